"""The tables of the journal, and the numbered steps that make them.

A step is applied once, in one transaction together with the number it leads to, in ``meta``. A journal with a
higher number than this program knows is refused politely. A step makes tables, and never changes what a step before
it made (a test compares); the only exception are the seals, which no question asks for.

Nothing here is particular to SQLite but the seals (see :mod:`pop2imap.journal.seals`) and the two hints about integer
primary keys and partial indexes, of which the second has its like for PostgreSQL.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    UniqueConstraint,
    func,
    insert,
    inspect,
    select,
    true,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

from pop2imap.errors import InternalError, JournalCorrupt, JournalTooNew
from pop2imap.journal import seals, sqlite
from pop2imap.text import printable

FORMAT = "pop2imap journal"

INTENDED, STORED, PRESENT, REFUSED, HELD = "intended", "stored", "present", "refused", "held"
UNDOING = "undoing"
"""The states of a placement, in the column ``placements.state``. *undoing* was stored, and is being removed."""


class Text(TypeDecorator[str]):
    """Text that any database takes: lone surrogates (how Python carries octets of a file name that are not
    UTF-8) and NUL are written as ``\\udc80`` and ``\\x00``. The same text is always written the same way."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else storable(value)


def storable(text: str) -> str:
    """``text`` as the journal has it."""
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()


class Seconds(TypeDecorator[datetime]):
    """A moment as whole seconds since 1970, UTC. Only aware ones go in."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else seconds(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        return None if value is None else datetime.fromtimestamp(value, UTC)


def seconds(moment: datetime) -> int:
    """Whole seconds since 1970. Raises InternalError for a naive datetime: nobody knows what it means."""
    if moment.tzinfo is None:
        raise InternalError("a date without a time zone was to go into the journal")
    return int(moment.timestamp() // 1)


_Id = BigInteger().with_variant(Integer(), "sqlite")
"""What SQLite takes for its row number."""

metadata = MetaData()

meta = Table("meta", metadata, Column("name", Text, primary_key=True), Column("value", Text, nullable=False))
"""``format``, ``schema`` (the number of the last step), ``identity`` (of the target), ``created``; since schema 2
``id`` and ``commits`` (see :mod:`pop2imap.journal.mark`) and ``tables`` (``seals``). ``removing``: while messages may
be gone from their source and the journal does not say so yet, a JSON list of their sources and names."""

REMOVING = "removing"


def _names(table: str) -> Table:
    """A table that gives numbers to names, so that they are written once."""
    return Table(
        table,
        metadata,
        Column("id", _Id, primary_key=True),
        Column("name", Text, nullable=False, unique=True),
    )


sources = _names("sources")  # the ids of sources
folders = _names("folders")  # folder names as people write them
mailboxes = _names("mailboxes")  # the server's names of them
mailboxes.append_column(Column("uidvalidity", BigInteger))  # under which it was used last
texts = _names("texts")  # what many messages share: why, and the digests of rules

runs = Table(
    "runs",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("started", Seconds, nullable=False),
    Column("ended", Seconds),
    Column("exit_code", SmallInteger),
    Column("options_digest", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("counts", Text, nullable=False),  # a JSON object: word of the equation → messages
)

messages = Table(
    "messages",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=False),  # the writer counts
    Column("source", ForeignKey(sources.c.id), nullable=False),
    Column("name", Text, nullable=False),
    Column("nth", Integer, nullable=False),
    Column("account", Text, nullable=False),  # a value of model.Account
    Column("size", BigInteger, nullable=False),
    Column("digest", LargeBinary),
    Column("date", Seconds),
    Column("date_from", Text),  # a name of model.DateFrom
    Column("copies", SmallInteger, nullable=False),
    Column("why", ForeignKey(texts.c.id)),
    Column("rules", ForeignKey(texts.c.id)),
    Column("reason", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("run", ForeignKey(runs.c.id), nullable=False),  # that wrote this last
    UniqueConstraint("source", "name", "nth"),
    Index("messages_digest", "digest"),
)

placements = Table(
    "placements",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=False),
    Column("message", ForeignKey(messages.c.id), nullable=False),
    Column("folder", ForeignKey(folders.c.id), nullable=False),
    Column("mailbox", ForeignKey(mailboxes.c.id), nullable=False),
    Column("state", Text, nullable=False),
    Column("claim", Boolean, nullable=False),  # may own, or does own, a message there whose UID is not known
    Column("uidvalidity", BigInteger, nullable=False),
    Column("lower_bound", BigInteger, nullable=False),
    Column("uid", BigInteger),
    Column("match_digest", LargeBinary, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("date", Seconds, nullable=False),
    Column("flags", Text, nullable=False),  # split by spaces
    Column(
        "repairs", Text, nullable=False, system=True
    ),  # names of pop2imap.repair, split by spaces; of step 2
    Column("run", ForeignKey(runs.c.id), nullable=False),  # that intended it or found it
    UniqueConstraint("message", "folder"),
)

claimed = placements.c.claim == true()
"""The condition of the index on claims. SQLite uses it only for a condition written in the very same way."""

Index(
    "placements_owner",
    placements.c.mailbox,
    placements.c.uidvalidity,
    placements.c.uid,
    unique=True,
    sqlite_where=placements.c.uid.is_not(None),
    postgresql_where=placements.c.uid.is_not(None),
)
Index(
    "placements_claim",
    placements.c.mailbox,
    placements.c.match_digest,
    sqlite_where=claimed,
    postgresql_where=claimed,
)


_FIRST = tuple(metadata.sorted_tables)

origins = Table(
    "origins",
    metadata,
    Column("mailbox", ForeignKey(mailboxes.c.id), primary_key=True, autoincrement=False),
    Column("first_uid", BigInteger),  # no copy of ours has a lower UID; without it, nobody knows
    Column("made", ForeignKey(runs.c.id)),  # the run that made this mailbox; without it, it was there
)


def _first(connection: Connection) -> None:
    metadata.create_all(connection, tables=_FIRST)


def _second(connection: Connection) -> None:
    """Repairs, seals, a name and a count of commits, and how each mailbox began."""
    connection.exec_driver_sql(
        f"ALTER TABLE {placements.name} ADD COLUMN repairs VARCHAR DEFAULT '' NOT NULL"
    )
    origins.create(connection)
    least = select(placements.c.mailbox, func.min(placements.c.lower_bound)).group_by(placements.c.mailbox)
    connection.execute(insert(origins).from_select(["mailbox", "first_uid"], least))
    connection.execute(
        insert(meta), [{"name": "id", "value": uuid.uuid4().hex}, {"name": "commits", "value": "0"}]
    )
    seals.add(connection, (table.name for table in (*_FIRST, origins)))


STEPS: tuple[Callable[[Connection], None], ...] = (_first, _second)
"""Step n leads from schema n - 1 to schema n."""


def check(connection: Connection, path: Path) -> dict[str, str]:
    """What ``meta`` says; empty if the database is empty.

    Raises JournalCorrupt if this is a database of something else, JournalTooNew if a newer pop2imap wrote it.
    """
    tables = inspect(connection).get_table_names()
    if not tables:
        return {}
    found: dict[str, str] = {}
    if meta.name in tables:
        columns = {column["name"] for column in inspect(connection).get_columns(meta.name)}
        if {"name", "value"} <= columns:
            if damage := seals.broken(connection, [meta.name]):
                raise sqlite.corrupt(path, damage)
            found = {row.name: row.value for row in connection.execute(select(meta))}
    schema = found.get("schema", "")
    if found.get("format") != FORMAT or not schema.isdecimal():
        raise JournalCorrupt(
            "this is a database, but not a journal of pop2imap",
            where=printable(str(path)),
            todo="move the file away, or choose another place with --state-dir",
        )
    if int(schema) > len(STEPS):
        raise JournalTooNew(
            f"a newer pop2imap wrote this journal (schema {schema}; this one knows schema {len(STEPS)})",
            where=printable(str(path)),
            todo="use that newer pop2imap; this one leaves the journal as it is",
        )
    return found


def examine(connection: Connection, path: Path, identity: str) -> dict[str, str]:
    """Look whether every octet that matters is as it was written, and whether this is the journal of the target
    ``identity``. Returns what ``meta`` says; empty if the database is empty.

    Raises JournalCorrupt, JournalTooNew.
    """
    if wrong := seals.structure(connection):
        raise sqlite.corrupt(path, wrong)
    found = check(connection, path)
    if not found:
        return found
    if int(found["schema"]) >= seals.SEALED_SINCE:
        if found.get(seals.TABLES) != seals.tables_digest(connection):
            raise sqlite.corrupt(path, "its tables are not those that were made")
        if wrong := seals.broken(connection, (table.name for table in metadata.sorted_tables)):
            raise sqlite.corrupt(path, wrong)
    if found.get("identity") != storable(identity):
        raise JournalCorrupt(
            f"this is the journal of another target: {printable(found.get('identity', ''))}",
            where=printable(str(path)),
            todo="move the file away, or put it where it was",
        )
    return found


def bring_up_to_date(connection: Connection, schema: int, facts: Iterable[tuple[str, str]] = ()) -> None:
    """Apply the steps that a journal of this schema lacks, each in a transaction. ``facts`` are rows of ``meta`` for a
    new one."""
    for number in range(schema + 1, len(STEPS) + 1):
        with connection.begin():
            _apply_step(connection, number, facts if number == 1 else ())


def as_of_today(connection: Connection, path: Path) -> Connection:
    """The journal that ``connection`` reads as one of the newest schema: a copy in memory, if an older pop2imap wrote
    it. Raises JournalCorrupt, JournalTooNew."""
    with connection.begin():
        schema = int(check(connection, path).get("schema", len(STEPS)))
    if schema == len(STEPS):
        return connection
    newer = sqlite.in_memory(connection)
    connection.close()
    bring_up_to_date(newer, schema)
    return newer


def _apply_step(connection: Connection, number: int, facts: Iterable[tuple[str, str]] = ()) -> None:
    """Apply step ``number`` and say so in ``meta``, within the transaction that ``connection`` is in. ``facts``
    are further rows of ``meta`` for the first step."""
    STEPS[number - 1](connection)
    set_facts(connection, ("schema", str(number)), *facts)
    if number >= seals.SEALED_SINCE:
        set_facts(connection, (seals.TABLES, seals.tables_digest(connection)))


def set_facts(connection: Connection, *rows: tuple[str, str]) -> None:
    """Write rows of ``meta``, in place of those of the same names."""
    connection.execute(meta.delete().where(meta.c.name.in_([name for name, _ in rows])))
    connection.execute(meta.insert(), [{"name": name, "value": value} for name, value in rows])
