"""SQLite under SQLAlchemy: how a connection is made, when it commits for good, and what its errors mean.

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

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import StatementError
from sqlalchemy.pool import NullPool

from pop2imap.errors import InternalError, JournalCorrupt, LocalIOError, Pop2imapError
from pop2imap.journal import seals
from pop2imap.journal.place import ELSEWHERE, disk_errors
from pop2imap.text import printable

BUSY_SECONDS = 10.0
"""How long to wait for a program that has the database open by hand."""


def writer(path: Path) -> Engine:
    """An engine for the one connection that writes."""
    uri = f"{path.absolute().as_uri()}?mode=rw"
    return _engine(uri, "BEGIN IMMEDIATE", "PRAGMA journal_mode=WAL", "PRAGMA secure_delete=ON")


def reader(path: Path, *, immutable: bool) -> Engine:
    """An engine that writes nothing and makes no file. ``immutable``: nobody else has the database open, so
    that not even the files of its log are looked for."""
    return _engine(f"{path.absolute().as_uri()}?{'immutable=1' if immutable else 'mode=ro'}", "BEGIN")


def in_memory(connection: Connection) -> Connection:
    """A copy of the database, as it is now, that lives as long as its connection."""
    copied = _engine("file::memory:", "BEGIN").connect()
    _driver(connection).backup(_driver(copied))
    return copied


def _engine(uri: str, begin: str, *pragmas: str) -> Engine:
    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=BUSY_SECONDS)
        try:
            connection.create_function(seals.FUNCTION, -1, seals.seal, deterministic=True)
            for pragma in ("PRAGMA foreign_keys=ON", *pragmas):
                connection.execute(pragma).close()
        except BaseException:
            connection.close()
            raise
        return connection

    engine = create_engine("sqlite+pysqlite://", creator=connect, poolclass=NullPool, hide_parameters=True)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def check_header(path: Path) -> None:
    """Raise JournalCorrupt if the file says that nobody may write or read it in the way SQLite does: with that it
    means a newer SQLite, and would speak of a file that is read-only."""
    with disk_errors(path), path.open("rb") as file:
        header = file.read(20)
    if len(header) == 20 and not set(header[18:20]) <= {1, 2}:
        raise corrupt(path, "its header is not as it was written")


def durable(connection: Connection, yes: bool) -> None:
    """Whether the commits to come wait for the disk. Only between transactions."""
    _driver(connection).execute(f"PRAGMA synchronous={'FULL' if yes else 'NORMAL'}").close()


def copy(connection: Connection, path: Path) -> None:
    """Write what the database holds now, as one transaction sees it, into the empty file ``path``."""
    with contextlib.closing(sqlite3.connect(path)) as into:
        _driver(connection).backup(into)


def _driver(connection: Connection) -> sqlite3.Connection:
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver


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
    except StatementError as error:
        if isinstance(error.orig, sqlite3.Error):
            raise _meaning(path, error.orig, examining) from error
        if isinstance(error.orig, Pop2imapError):  # a value that no column takes
            raise error.orig from None
        raise
    except sqlite3.Error as error:
        raise _meaning(path, error, examining) from error
    except UnicodeDecodeError as error:
        if not examining:
            raise
        raise corrupt(path, "text in it that is no text") from error


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
