"""Seals: how the journal notices that a disk has changed what was written.

SQLite has no checksums in its database file, and a flipped bit in a UID or a digest is a message lost or there twice.
So every row of every table carries a *seal*: 8 octets of BLAKE2b over all its other columns. Triggers of the database
keep it, whatever statement writes the row, with a function that only our connections have; who changes a row by hand
with another program is told that it does not know that function.

:func:`damage` looks at everything: at the pages, the B-trees, and whether each index has exactly the rows of its table
(``PRAGMA integrity_check``), which shows where rows are missing or out of place; at the statements that made the
tables, whose digest is in ``meta``; and at each seal. What is left are octets that SQLite never reads.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

from sqlalchemy import Connection, func, select, sql, update
from sqlalchemy.sql.functions import Function

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


def add(connection: Connection, tables: Iterable[str]) -> None:
    """Give each row of these tables a seal, and let triggers keep it. A step that adds a column to a sealed table
    makes its triggers anew."""
    for table in tables:
        connection.exec_driver_sql(f"ALTER TABLE {table} ADD COLUMN {COLUMN} BLOB")
        columns = _columns(connection, table)
        sealed = f"{FUNCTION}({', '.join(f'NEW.{column}' for column in columns)})"
        reseal = f"BEGIN UPDATE {table} SET {COLUMN} = {sealed} WHERE rowid = NEW.rowid; END"  # noqa: S608 (our names)
        connection.exec_driver_sql(f"CREATE TRIGGER {table}_insert AFTER INSERT ON {table} {reseal}")
        connection.exec_driver_sql(
            f"CREATE TRIGGER {table}_update AFTER UPDATE OF {', '.join(columns)} ON {table} {reseal}"
        )
        connection.execute(update(sql.table(table, sql.column(COLUMN))).values({COLUMN: _sealed(columns)}))


def structure(connection: Connection) -> str:
    """What is wrong with the structure of the database, in SQLite's words; empty if nothing."""
    found = str(connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar_one())
    return "" if found == "ok" else found


def tables_digest(connection: Connection) -> str:
    """Names every statement that made a table, an index or a trigger."""
    made = connection.exec_driver_sql(
        "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' "
        "ORDER BY type, name"
    )
    return seal(*(tuple(row) for row in made)).hex()


def broken(connection: Connection, tables: Iterable[str]) -> str:
    """What shows that rows of these tables are not as they were written; empty if nothing does. A table that has no
    seals yet is passed over."""
    for table in tables:
        columns = _columns(connection, table)
        if not _is_sealed(connection, table):
            continue
        differs = sql.column(COLUMN).is_distinct_from(_sealed(columns))
        number = connection.scalar(select(func.count()).select_from(sql.table(table)).where(differs))
        if number:
            return f"{number} rows of {table} are not as they were written"
    return ""


def _sealed(columns: Iterable[str]) -> Function[bytes]:
    """What the seal of a row with these columns must be."""
    return Function(FUNCTION, *(sql.column(column) for column in columns))


def _columns(connection: Connection, table: str) -> list[str]:
    """All columns that the seal covers, in their order."""
    return [name for name in _all_columns(connection, table) if name != COLUMN]


def _is_sealed(connection: Connection, table: str) -> bool:
    return COLUMN in _all_columns(connection, table)


def _all_columns(connection: Connection, table: str) -> list[str]:
    return [row[1] for row in connection.exec_driver_sql(f"PRAGMA table_info({table})")]
