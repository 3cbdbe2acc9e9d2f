"""Seals: how the journal notices that a disk has changed what was written.

SQLite has no checksums in its database file, and a flipped bit in a UID or a digest is a message lost or there twice.
So every row of every table carries a *seal*: 8 octets of BLAKE2b over all its other columns. The statements that
write most rows bring it with them; whatever other statement writes one, triggers of the database seal it, with a
function that only our connections have; who changes a row by hand with another program is told that it does not know
that function.

:func:`damage` looks at everything: at the pages, the B-trees, and whether each index has exactly the rows of its table
(``PRAGMA integrity_check``), which shows where rows are missing or out of place; at the statements that made the
tables, whose digest is in ``meta``; and at each seal. What is left are octets that SQLite never reads.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from hashlib import blake2b

FUNCTION = "pop2imap_seal"

COLUMN = "seal"

TABLES = "tables"
"""The name in ``meta`` of the digest of all statements that made tables, indexes and triggers."""

SEALED_SINCE = 2
"""The schema from which on rows have seals."""


def seal(*values: object) -> bytes:
    """The seal of a row with these values: numbers, strings, octets or None. ``ascii`` writes them in one way only,
    in each version of Python."""
    return blake2b(ascii(values).encode(), digest_size=8).digest()


def with_seal(row: tuple[object, ...]) -> tuple[object, ...]:
    """The values of a row, in the order of its table, and its seal. Truth must be 0 or 1, as the database has it."""
    return (*row, seal(*row))


def add(database: sqlite3.Connection, tables: Iterable[str]) -> None:
    """Give each row of these tables a seal, and let triggers keep it. A step that adds a column to a sealed table
    makes its triggers anew."""
    for table in tables:
        database.execute(f"ALTER TABLE {table} ADD COLUMN {COLUMN} BLOB").close()
        own = _sealed_columns(database, table)
        sealed = f"{FUNCTION}({', '.join(f'NEW.{column}' for column in own)})"
        reseal = f"BEGIN UPDATE {table} SET {COLUMN} = {sealed} WHERE rowid = NEW.rowid; END"  # noqa: S608 (our names)
        for event, unsealed in (
            ("insert", f"AFTER INSERT ON {table} WHEN NEW.{COLUMN} IS NULL"),
            ("update", f"AFTER UPDATE OF {', '.join(own)} ON {table} WHEN NEW.{COLUMN} IS OLD.{COLUMN}"),
        ):
            database.execute(f"CREATE TRIGGER {table}_{event} {unsealed} {reseal}").close()
        database.execute(f"UPDATE {table} SET {COLUMN} = {_call(own)}").close()  # noqa: S608 (our names)


def structure(database: sqlite3.Connection) -> str:
    """What is wrong with the structure of the database, in SQLite's words; empty if nothing."""
    (found,) = database.execute("PRAGMA integrity_check(1)").fetchone()
    return "" if found == "ok" else str(found)


def tables_digest(database: sqlite3.Connection) -> str:
    """Names every statement that made a table, an index or a trigger."""
    made = database.execute(
        "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' "
        "ORDER BY type, name"
    )
    return seal(*made).hex()


def sealed(database: sqlite3.Connection) -> list[str]:
    """The tables that have seals."""
    made = database.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
    return [table for (table,) in made if COLUMN in columns(database, table)]


def broken(database: sqlite3.Connection, tables: Iterable[str]) -> str:
    """What shows that rows of these tables are not as they were written; empty if nothing does. A table that has no
    seals yet is passed over."""
    for table in tables:
        if COLUMN not in columns(database, table):
            continue
        wrong = f"{COLUMN} IS NOT {_call(_sealed_columns(database, table))}"
        (number,) = database.execute(f"SELECT count(*) FROM {table} WHERE {wrong}").fetchone()  # noqa: S608 (our names)
        if number:
            return f"{number} rows of {table} are not as they were written"
    return ""


def columns(database: sqlite3.Connection, table: str) -> list[str]:
    """The names of its columns, in their order."""
    return [row[1] for row in database.execute(f"PRAGMA table_info({table})")]


def _sealed_columns(database: sqlite3.Connection, table: str) -> list[str]:
    """All columns that the seal covers, in their order."""
    return [name for name in columns(database, table) if name != COLUMN]


def _call(columns: Iterable[str]) -> str:
    """What the seal of a row with these columns must be."""
    return f"{FUNCTION}({', '.join(columns)})"
