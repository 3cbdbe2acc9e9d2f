"""The tables of the journal, and the numbered steps that make them.

A step is applied once, in one transaction together with the number it leads to, in ``meta``. A journal with a
higher number than this program knows is refused politely. A step makes tables, and never changes what a step before
it made (a test compares); the only exception are the seals, which no question asks for.

Nothing here is particular to SQLite but the seals (see :mod:`pop2imap.journal.seals`) and the two hints about integer
primary keys and partial indexes, of which the second has its like for PostgreSQL.
"""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Callable
from datetime import datetime

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
    select,
    true,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

from pop2imap.journal import seals, sqlite
from pop2imap.journal.facts import set_facts
from pop2imap.journal.values import moment, seconds, storable


class Text(TypeDecorator[str]):
    """Text that any database takes: see :func:`pop2imap.journal.values.storable`."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else storable(value)


class Seconds(TypeDecorator[datetime]):
    """A moment as whole seconds since 1970, UTC. Only aware ones go in."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else seconds(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        return None if value is None else moment(value)


_Id = BigInteger().with_variant(Integer(), "sqlite")
"""What SQLite takes for its row number."""

metadata = MetaData()

meta = Table("meta", metadata, Column("name", Text, primary_key=True), Column("value", Text, nullable=False))
"""See :mod:`pop2imap.journal.facts`."""


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

traffic = Table(
    "traffic",
    metadata,
    Column("name", Text, primary_key=True),  # the id of a source; empty: the target
    Column("hour", Seconds, primary_key=True),  # its beginning
    Column("octets", BigInteger, nullable=False),
)

homes = Table(
    "homes",
    metadata,
    Column("maildrop", Text, primary_key=True),  # user@host
    Column("uidl", Text, primary_key=True),
    Column(
        "message", ForeignKey(messages.c.id, ondelete="CASCADE")
    ),  # at home; without it: it was fetched, once
    Column("deleted", Boolean, nullable=False),
    Column("partial", Boolean, nullable=False),
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
    seals.add(_database(connection), [table.name for table in (*_FIRST, origins)])


def _database(connection: Connection) -> sqlite3.Connection:
    database = connection.connection.driver_connection
    assert isinstance(database, sqlite3.Connection)
    return database


def _third(connection: Connection) -> None:
    """What daily limits are measured by."""
    traffic.create(connection)
    seals.add(_database(connection), [traffic.name])


def _fourth(connection: Connection) -> None:
    """By which names mail programs know the mail of a maildrop."""
    homes.create(connection)
    seals.add(_database(connection), [homes.name])


STEPS: tuple[Callable[[Connection], None], ...] = (_first, _second, _third, _fourth)
"""Step n leads from schema n - 1 to schema n."""


def apply_steps(database: sqlite3.Connection, schema: int) -> None:
    """Apply the steps that a journal of this schema lacks, each in a transaction, and say so in ``meta``."""
    connection = sqlite.core(database)
    for number in range(schema + 1, len(STEPS) + 1):
        with sqlite.transaction(database, "BEGIN IMMEDIATE"):
            STEPS[number - 1](connection)
            set_facts(database, {"schema": str(number)})
            if number >= seals.SEALED_SINCE:
                set_facts(database, {seals.TABLES: seals.tables_digest(database)})
