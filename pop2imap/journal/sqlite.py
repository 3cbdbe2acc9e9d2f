"""SQLite: how a connection is made, with or without SQLAlchemy on top of it, when it commits for good, and what its
errors mean.

The driver's own transactions are switched off: left to itself it begins one late, and not at all for DDL, which
then survives a rollback. So each transaction begins with an explicit BEGIN: IMMEDIATE for the writer, who is the
only one (the lock of :mod:`pop2imap.journal.place` sees to that), plain for readers.

The journal is in WAL mode. ``synchronous=FULL`` makes a commit wait until the log is on the disk, and with it all
commits before; ``NORMAL`` does not wait, and a power failure (not a killed process) may take back the last
commits. The mode can only be changed between transactions.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pop2imap.errors import InternalError, JournalCorrupt, LocalIOError, Pop2imapError
from pop2imap.journal import seals
from pop2imap.journal.place import ELSEWHERE, disk_errors
from pop2imap.text import printable

if TYPE_CHECKING:
    from sqlalchemy import Connection

BUSY_SECONDS = 10.0
"""How long to wait for a program that has the database open by hand."""


def writer(path: Path) -> sqlite3.Connection:
    """The one connection that writes."""
    uri = f"{path.absolute().as_uri()}?mode=rw"
    return _connect(uri, "journal_mode=WAL", "secure_delete=ON")


def reader(path: Path, *, immutable: bool) -> sqlite3.Connection:
    """A connection that writes nothing and makes no file. ``immutable``: nobody else has the database open, so
    that not even the files of its log are looked for."""
    return _connect(f"{path.absolute().as_uri()}?{'immutable=1' if immutable else 'mode=ro'}")


def in_memory(database: sqlite3.Connection) -> sqlite3.Connection:
    """A copy of the database, as it is now, that lives as long as its connection."""
    copied = _connect("file::memory:")
    database.backup(copied)
    return copied


def _connect(uri: str, *pragmas: str) -> sqlite3.Connection:
    database = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=BUSY_SECONDS)
    try:
        database.create_function(seals.FUNCTION, -1, seals.seal, deterministic=True)
        for pragma in ("foreign_keys=ON", *pragmas):
            database.execute(f"PRAGMA {pragma}").close()
    except BaseException:
        database.close()
        raise
    return database


@contextlib.contextmanager
def transaction(database: sqlite3.Connection, begin: str = "BEGIN") -> Iterator[None]:
    """What is done within becomes true with the end of it, all of it, or not at all."""
    database.execute(begin).close()
    try:
        yield
        database.commit()
    except BaseException:
        database.rollback()
        raise


def core(database: sqlite3.Connection) -> Connection:
    """SQLAlchemy on top of this connection, for what is not said in plain SQL. Transactions are none of its business:
    they begin and end with ``transaction``, and only outside of one may this be called. The caller closes both."""
    from sqlalchemy import create_engine
    from sqlalchemy.pool import StaticPool

    engine = create_engine(
        "sqlite+pysqlite://",
        creator=lambda: database,
        poolclass=StaticPool,
        pool_reset_on_return=None,
        hide_parameters=True,
    )
    return engine.connect()


def check_header(path: Path) -> None:
    """Raise JournalCorrupt if the file says that nobody may write or read it in the way SQLite does: with that it
    means a newer SQLite, and would speak of a file that is read-only."""
    with disk_errors(path), path.open("rb") as file:
        header = file.read(20)
    if len(header) == 20 and not set(header[18:20]) <= {1, 2}:
        raise corrupt(path, "its header is not as it was written")


def durable(database: sqlite3.Connection, yes: bool) -> None:
    """Whether the commits to come wait for the disk. Only between transactions."""
    database.execute(f"PRAGMA synchronous={'FULL' if yes else 'NORMAL'}").close()


def copy(database: sqlite3.Connection, path: Path) -> None:
    """Write what the database holds now, as one transaction sees it, into the empty file ``path``."""
    with contextlib.closing(sqlite3.connect(path)) as into:
        database.backup(into)


def corrupt(path: Path, what: str) -> JournalCorrupt:
    """The error for a journal that cannot be used, with the way out."""
    return JournalCorrupt(
        f"the journal is damaged: {what}",
        where=printable(str(path)),
        todo=f"move the file {DATABASE_FILES} away; pop2imap adopt with the same endpoints then makes a new one from "
        "what the target holds. Or run again, without --assume-empty: what the target holds already is recognised by "
        "its content and not sent twice",
    )


DATABASE_FILES = "(and its -wal and -shm, if there)"

EMPTY = "nothing of it is left, although there was a journal"

_MEANING = {
    sqlite3.SQLITE_FULL: ("the disk is full", f"free some space there, or {ELSEWHERE}"),
    sqlite3.SQLITE_IOERR: (
        "reading or writing failed",
        "look whether the disk is full, at your quota there, and at the messages of the system log",
    ),
    sqlite3.SQLITE_READONLY: ("it cannot be written", f"make it writable for you, or {ELSEWHERE}"),
    sqlite3.SQLITE_PERM: ("it cannot be written", f"make it writable for you, or {ELSEWHERE}"),
    sqlite3.SQLITE_CANTOPEN: ("it cannot be opened", f"make it writable for you, or {ELSEWHERE}"),
    sqlite3.SQLITE_BUSY: ("another program has it locked", "close that program"),
    sqlite3.SQLITE_LOCKED: ("another program has it locked", "close that program"),
}


@contextlib.contextmanager
def storage_errors(path: Path, *, examining: bool = False) -> Iterator[None]:
    """Errors of the database in terms of :mod:`pop2imap.errors`. ``examining``: what is asked can be asked of every
    journal that is whole, so one that does not understand it is not."""
    try:
        yield
    except sqlite3.Error as error:
        raise _meaning(path, error, examining) from error
    except UnicodeDecodeError as error:
        if not examining:
            raise
        raise corrupt(path, "text in it that is no text") from error
    except Exception as error:
        below = getattr(error, "orig", None)  # how SQLAlchemy hands on an error of what is below it
        if isinstance(below, sqlite3.Error):
            raise _meaning(path, below, examining) from error
        if isinstance(below, Pop2imapError):  # a value that no column takes
            raise below from None
        raise


def _meaning(path: Path, error: sqlite3.Error, examining: bool) -> LocalIOError | InternalError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB} or (examining and code not in _MEANING):
        return corrupt(path, name)
    if code in _MEANING:
        what, todo = _MEANING[code]
        return LocalIOError(
            f"trouble with the journal: {what} ({name})", where=printable(str(path)), todo=todo
        )
    return InternalError(f"the journal was used wrongly ({name})", where=printable(str(path)))
