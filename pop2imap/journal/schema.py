"""The tables of the journal, and the numbered steps that make them.

A step is applied once, in one transaction together with the number it leads to, in ``meta``. A journal with a
higher number than this program knows is refused politely. The tables below are those of the *last* step: whoever
changes one writes a new step, and freezes what the steps before it made (a test compares).

Nothing here is particular to SQLite but the two hints about integer primary keys and partial indexes, of which the
second has its like for PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime

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
    inspect,
    select,
    true,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

from pop2imap.errors import InternalError, JournalCorrupt, JournalTooNew

FORMAT = "pop2imap journal"

INTENDED, STORED, PRESENT, REFUSED, HELD = "intended", "stored", "present", "refused", "held"
"""The states of a placement, in the column ``placements.state``."""


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
"""``format``, ``schema`` (the number of the last step), ``identity`` (of the target), ``created``."""


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


def _first(connection: Connection) -> None:
    metadata.create_all(connection)


STEPS: tuple[Callable[[Connection], None], ...] = (_first,)
"""Step n leads from schema n - 1 to schema n."""


def check(connection: Connection, where: str) -> dict[str, str]:
    """What ``meta`` says; empty if the database is empty. ``where`` is for errors.

    Raises JournalCorrupt if this is a database of something else, JournalTooNew if a newer pop2imap wrote it.
    """
    tables = inspect(connection).get_table_names()
    if not tables:
        return {}
    found: dict[str, str] = {}
    if meta.name in tables:
        columns = {column["name"] for column in inspect(connection).get_columns(meta.name)}
        if {"name", "value"} <= columns:
            found = {row.name: row.value for row in connection.execute(select(meta))}
    schema = found.get("schema", "")
    if found.get("format") != FORMAT or not schema.isdecimal():
        raise JournalCorrupt(
            "this is a database, but not a journal of pop2imap",
            where=where,
            todo="move the file away, or choose another place with --state-dir",
        )
    if int(schema) > len(STEPS):
        raise JournalTooNew(
            f"a newer pop2imap wrote this journal (schema {schema}; this one knows schema {len(STEPS)})",
            where=where,
            todo="use that newer pop2imap; this one leaves the journal as it is",
        )
    return found


def apply_step(connection: Connection, number: int, facts: Iterable[tuple[str, str]] = ()) -> None:
    """Apply step ``number`` and say so in ``meta``, within the transaction that ``connection`` is in. ``facts``
    are further rows of ``meta`` for the first step."""
    STEPS[number - 1](connection)
    rows = [("schema", str(number)), *facts]
    connection.execute(meta.delete().where(meta.c.name.in_([name for name, _ in rows])))
    connection.execute(meta.insert(), [{"name": name, "value": value} for name, value in rows])
