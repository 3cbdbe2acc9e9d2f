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
from pop2imap.journal.place import ELSEWHERE
from pop2imap.text import printable

BUSY_SECONDS = 10.0
"""How long to wait for a program that has the database open by hand."""


def writer(path: Path) -> Engine:
    """An engine for the one connection that writes."""
    return _engine(path, "mode=rw", "BEGIN IMMEDIATE", "PRAGMA journal_mode=WAL", "PRAGMA secure_delete=ON")


def reader(path: Path, *, immutable: bool) -> Engine:
    """An engine that writes nothing and makes no file. ``immutable``: nobody else has the database open, so
    that not even the files of its log are looked for."""
    return _engine(path, "immutable=1" if immutable else "mode=ro", "BEGIN")


def _engine(path: Path, how: str, begin: str, *pragmas: str) -> Engine:
    def connect() -> sqlite3.Connection:
        uri = f"{path.absolute().as_uri()}?{how}"
        connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=BUSY_SECONDS)
        try:
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


def durable(connection: Connection, yes: bool) -> None:
    """Whether the commits to come wait for the disk. Only between transactions."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    driver.execute(f"PRAGMA synchronous={'FULL' if yes else 'NORMAL'}").close()


def intact(connection: Connection) -> str:
    """What is wrong with the structure of the database, in SQLite's words; empty if nothing."""
    found = str(connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one())
    return "" if found == "ok" else found


def corrupt(path: Path, what: str) -> JournalCorrupt:
    """The error for a journal that cannot be used, with the way out."""
    return JournalCorrupt(
        f"the journal is damaged: {what}",
        where=printable(str(path)),
        todo=f"move the file {DATABASE_FILES} away and run again: what the target holds already is then "
        "recognised by its content and not sent twice",
    )


DATABASE_FILES = "(and its -wal and -shm, if there)"

_MEANING = {
    sqlite3.SQLITE_FULL: ("the disk is full", f"free some space there, or {ELSEWHERE}"),
    sqlite3.SQLITE_IOERR: (
        "reading or writing failed",
        "look at the disk and its messages in the system log",
    ),
    sqlite3.SQLITE_READONLY: ("it cannot be written", f"make it writable for you, or {ELSEWHERE}"),
    sqlite3.SQLITE_PERM: ("it cannot be written", f"make it writable for you, or {ELSEWHERE}"),
    sqlite3.SQLITE_CANTOPEN: ("it cannot be opened", f"make it writable for you, or {ELSEWHERE}"),
    sqlite3.SQLITE_BUSY: ("another program has it locked", "close that program"),
    sqlite3.SQLITE_LOCKED: ("another program has it locked", "close that program"),
}


@contextlib.contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Errors of the database in terms of :mod:`pop2imap.errors`."""
    try:
        yield
    except StatementError as error:
        if isinstance(error.orig, sqlite3.Error):
            raise _meaning(path, error.orig) from error
        if isinstance(error.orig, Pop2imapError):  # a value that no column takes
            raise error.orig from None
        raise
    except sqlite3.Error as error:
        raise _meaning(path, error) from error


def _meaning(path: Path, error: sqlite3.Error) -> LocalIOError | InternalError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return corrupt(path, name)
    if code in _MEANING:
        what, todo = _MEANING[code]
        return LocalIOError(
            f"trouble with the journal: {what} ({name})", where=printable(str(path)), todo=todo
        )
    return InternalError(f"the journal was used wrongly ({name})", where=printable(str(path)))
