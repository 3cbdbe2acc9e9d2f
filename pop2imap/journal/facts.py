"""What a journal says of itself, in its table ``meta``; how it is looked over when it is opened; how a new one begins.

The facts: ``format``, ``schema`` (how many steps of :mod:`pop2imap.journal.schema` have made it), ``identity`` (of the
target), ``created``; since schema 2 ``id`` and ``commits`` (see :mod:`pop2imap.journal.mark`) and ``tables``
(``seals``). ``removing``: while messages may be gone from their source and the journal does not say so yet, a JSON list
of their sources and names.

A new journal is made by the statements in ``tables.sql``, an older one is brought up to date by the steps. A test holds
that both make the same.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from pop2imap.errors import JournalCorrupt, JournalTooNew
from pop2imap.journal import seals, sqlite
from pop2imap.journal.statements import ADD_FACT, FACTS, FORGET_FACT
from pop2imap.journal.values import FORMAT, storable
from pop2imap.text import printable

NEWEST = 4
"""The schema that this program makes: the number of steps."""

_TABLES = Path(__file__).with_name("tables.sql")

Facts = dict[str, str]


def check(database: sqlite3.Connection, path: Path) -> Facts:
    """What ``meta`` says; empty if the database is empty.

    Raises JournalCorrupt if this is a database of something else, JournalTooNew if a newer pop2imap wrote it.
    """
    tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables:
        return {}
    found: Facts = {}
    if "meta" in tables and {"name", "value"} <= set(seals.columns(database, "meta")):
        if damage := seals.broken(database, ["meta"]):
            raise sqlite.corrupt(path, damage)
        found = dict(database.execute(FACTS).fetchall())
    schema = found.get("schema", "")
    if found.get("format") != FORMAT or not schema.isdecimal():
        raise JournalCorrupt(
            "this is a database, but not a journal of pop2imap",
            where=printable(str(path)),
            todo="move the file away, or choose another place with --state-dir",
        )
    if int(schema) > NEWEST:
        raise JournalTooNew(
            f"a newer pop2imap wrote this journal (schema {schema}; this one knows schema {NEWEST})",
            where=printable(str(path)),
            todo="use that newer pop2imap; this one leaves the journal as it is",
        )
    return found


def examine(database: sqlite3.Connection, path: Path, identity: str, *, intact: bool = False) -> Facts:
    """Look whether every octet that matters is as it was written, which need not be asked where it is ``intact``
    (:mod:`pop2imap.journal.digest`), and whether this is the journal of the target ``identity``. Returns what ``meta``
    says; empty if the database is empty.

    Raises JournalCorrupt, JournalTooNew.
    """
    if not intact and (wrong := seals.structure(database)):
        raise sqlite.corrupt(path, wrong)
    found = check(database, path)
    if not found:
        return found
    if int(found["schema"]) >= seals.SEALED_SINCE and not intact:
        if found.get(seals.TABLES) != seals.tables_digest(database):
            raise sqlite.corrupt(path, "its tables are not those that were made")
        if wrong := seals.broken(database, seals.sealed(database)):
            raise sqlite.corrupt(path, wrong)
    if found.get("identity") != storable(identity):
        raise JournalCorrupt(
            f"this is the journal of another target: {printable(found.get('identity', ''))}",
            where=printable(str(path)),
            todo="move the file away, or put it where it was",
        )
    return found


def bring_up_to_date(database: sqlite3.Connection, schema: int, born: Facts) -> None:
    """Make the tables of a journal that has none (``schema`` 0), with these facts, or those that an older one lacks."""
    if schema == 0:
        with sqlite.transaction(database, "BEGIN IMMEDIATE"):
            _make(database, born)
    elif schema < NEWEST:
        from pop2imap.journal.schema import apply_steps

        apply_steps(database, schema)


def _make(database: sqlite3.Connection, born: Facts) -> None:
    for statement in _TABLES.read_text("utf-8").splitlines():
        database.execute(statement).close()
    set_facts(database, {"schema": str(NEWEST), "id": os.urandom(16).hex(), "commits": "0", **born})
    set_facts(database, {seals.TABLES: seals.tables_digest(database)})


def as_of_today(database: sqlite3.Connection, path: Path) -> sqlite3.Connection:
    """The journal as one of the newest schema: a copy in memory, if an older pop2imap wrote it. Raises JournalCorrupt,
    JournalTooNew."""
    with sqlite.transaction(database):
        facts = check(database, path)
    if not facts or int(facts["schema"]) == NEWEST:
        return database
    newer = sqlite.in_memory(database)
    database.close()
    bring_up_to_date(newer, int(facts["schema"]), {})
    return newer


def set_facts(database: sqlite3.Connection, facts: Facts) -> None:
    """Write rows of ``meta``, in place of those of the same names."""
    database.executemany(FORGET_FACT, [(name,) for name in facts]).close()
    rows = [(name, storable(value)) for name, value in facts.items()]
    database.executemany(ADD_FACT, rows).close()
