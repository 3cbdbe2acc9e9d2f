"""The journal from outside: for ``status``, ``log``, ``trace`` and dry runs, while a run may be writing it.

Nothing is written and no file is made. SQLite makes log files even for readers, so two ways are used: where a log
(``-wal``) with content lies beside the database, somebody writes or a run was killed, and the database is opened
``mode=ro``, which reads the log. Otherwise nobody has it open, and it is opened ``immutable``. Before each question
the files are looked at again, and the database is opened anew if they changed.
"""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection, and_, func, or_, select

from pop2imap.errors import ExitCode, JournalCorrupt, Pop2imapError
from pop2imap.journal import digest, place, sqlite
from pop2imap.journal.copies import CopyReader
from pop2imap.journal.facts import as_of_today, check, examine
from pop2imap.journal.mark import Mark, missing
from pop2imap.journal.schema import (
    claimed,
    folders,
    mailboxes,
    messages,
    placements,
    runs,
    sources,
    texts,
)
from pop2imap.journal.traced import Traced, TracedCopy
from pop2imap.journal.values import INTENDED, storable
from pop2imap.model import Account, DateFrom, Key

FoundRow = Any
"""A row of a query; its columns are attributes. (Its static type is another in each SQLAlchemy.)"""

LAST_RUNS = 10
"""How many runs ``status`` tells of."""

MOST_TRACED = 50
"""How many messages one ``trace`` shows."""


class Run(NamedTuple):
    """One run. ``ended`` and ``exit_code`` are None for one that is under way or was killed. ``counts`` is what
    was given to ``finish_run``."""

    number: int
    started: datetime
    ended: datetime | None
    exit_code: ExitCode | int | None
    counts: Mapping[str, int]
    options_digest: str
    version: str


@dataclass(frozen=True, slots=True)
class Status:
    """What the journal knows, in sum. ``sources`` has messages and octets by account; ``folders`` copies stored by
    us and their octets; ``runs`` the last ones, newest first. ``in_doubt`` counts intents without an outcome,
    ``undoing`` copies of an undo that did not come to its end, ``missing`` durable commits that were there once;
    ``octets`` is the size of the files. ``process`` is who seems to be at work now, None for nobody. ``removed``
    counts, by source, the messages that were deleted there by us; they are among the others, too."""

    identity: str
    path: Path
    sources: Mapping[str, Mapping[Account, tuple[int, int]]]
    folders: Mapping[str, tuple[int, int]]
    runs: tuple[Run, ...]
    in_doubt: int
    octets: int
    process: int | None
    last_alive: datetime | None
    removed: Mapping[str, int] = field(default_factory=dict)
    missing: int = 0
    undoing: int = 0


_RUNS = select(runs).order_by(runs.c.id.desc()).limit(LAST_RUNS)
_IN_DOUBT = select(func.count()).where(claimed, placements.c.state == INTENDED)
_why, _rules = texts.alias(), texts.alias()
_TRACED = (
    select(
        messages,
        sources.c.name.label("source_name"),
        _why.c.name.label("why_text"),
        _rules.c.name.label("rules_text"),
    )
    .join_from(messages, sources, messages.c.source == sources.c.id)
    .join(_why, messages.c.why == _why.c.id, isouter=True)
    .join(_rules, messages.c.rules == _rules.c.id, isouter=True)
    .order_by(sources.c.name, messages.c.id)
    .limit(MOST_TRACED)
)
_TRACED_COPIES = (
    select(
        placements,
        folders.c.name.label("folder_name"),
        mailboxes.c.name.label("mailbox_name"),
        runs.c.started,
    )
    .join_from(placements, folders, placements.c.folder == folders.c.id)
    .join(mailboxes, placements.c.mailbox == mailboxes.c.id)
    .join(runs, placements.c.run == runs.c.id)
    .order_by(placements.c.id)
)


def read_history(state_dir: Path, identity: str) -> History | None:
    """The journal of the target ``identity``, for reading; None if there is none.

    Raises JournalTooNew, JournalCorrupt, LocalIOError.
    """
    path = place.directory(state_dir, identity) / place.DATABASE
    history = _opened(path)
    if history is None:
        return None
    try:
        begun = history.examine(identity)
    except BaseException:
        history.close()
        raise
    if not begun:
        history.close()
        return None
    return history


def _opened(path: Path) -> History | None:
    """None if there is no file, or an empty one in which no journal has ever been. Raises LocalIOError,
    JournalCorrupt."""
    with place.disk_errors(path):
        try:
            octets = path.stat().st_size
        except FileNotFoundError:
            return None
        if octets:
            return History(path)
    if Mark(path.parent).is_there:
        raise sqlite.corrupt(path, sqlite.EMPTY)
    return None


def histories(state_dir: Path) -> tuple[list[History], list[Pop2imapError]]:
    """Every journal here, by identity, and what is wrong with those that cannot be read."""
    found: dict[str, History] = {}
    troubles: list[Pop2imapError] = []
    with contextlib.suppress(OSError):
        for path in sorted((state_dir / place.TARGETS).glob(f"*/{place.DATABASE}")):
            history = None
            try:
                history = _opened(path)
                identity = None if history is None else history.identity
                if history is not None and identity is not None:
                    history.examine(identity)
                    found[identity] = history
                    history = None
            except Pop2imapError as error:
                troubles.append(error)
            finally:
                if history is not None:
                    history.close()
    return [found[identity] for identity in sorted(found)], troubles


def accounts(state_dir: Path) -> list[str]:
    """The identities of the targets that have a readable journal here."""
    found = []
    with contextlib.suppress(OSError):
        for path in (state_dir / place.TARGETS).glob(f"*/{place.DATABASE}"):
            history = History(path)
            with contextlib.suppress(Pop2imapError):
                if history.identity is not None:
                    found.append(history.identity)
            history.close()
    return sorted(found)


_LOG = "log"


class History(CopyReader):
    """A journal that is only read. See :func:`read_history`."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._database: sqlite3.Connection | None = None
        self._core: Connection | None = None
        self._opened: object = None
        self.missing = 0
        """See :attr:`pop2imap.journal.Journal.missing`; known once it was examined."""

    def copy_to(self, state_dir: Path, identity: str) -> None:
        """Put a copy of the journal as it is now where ``open_journal`` with this state directory finds it: for what
        wants to try something. Raises LocalIOError, JournalCorrupt."""
        path = place.make(state_dir, identity) / place.DATABASE
        place.claim_file(path)
        with sqlite.storage_errors(self._path):
            sqlite.copy(self._current(), path)

    def close(self) -> None:
        """Close the files. Never raises."""
        for opened in (self._core, self._database):
            if opened is not None:
                opened.close()
        self._core = self._database = None

    @contextlib.contextmanager
    def _reading(self, *, examining: bool = False) -> Iterator[sqlite3.Connection]:
        with sqlite.storage_errors(self._path, examining=examining):
            database = self._current()
            with sqlite.transaction(database):
                yield database

    @contextlib.contextmanager
    def _asking(self) -> Iterator[Connection]:
        """Reading, in the words of SQLAlchemy."""
        with sqlite.storage_errors(self._path):
            database = self._current()
            if self._core is None:
                self._core = sqlite.core(database)
            with sqlite.transaction(database):
                yield self._core

    def _current(self) -> sqlite3.Connection:
        """The database, opened anew when the files are no longer those that were opened."""
        files = self._files()
        if self._database is None or files != self._opened:
            self.close()
            self._name_by_id.clear()
            self._opened = files
            self._database = sqlite.reader(self._path, immutable=files != _LOG)
            self._database = as_of_today(self._database, self._path)
        return self._database

    def _files(self) -> object:
        """What tells whether the files are those that were opened: a log that is read sees every change; without one,
        any change means that somebody has been writing."""
        return _LOG if self._size(self._log) else self._stamp()

    @property
    def _log(self) -> Path:
        return self._path.with_name(self._path.name + "-wal")

    def _size(self, path: Path) -> int:
        try:
            return path.stat().st_size
        except OSError:
            return 0

    def _stamp(self) -> tuple[int, int, int]:
        with place.disk_errors(self._path):
            found = self._path.stat()
        return found.st_ino, found.st_mtime_ns, found.st_size

    @property
    def identity(self) -> str | None:
        """The target this is the journal of; None while it has no tables yet."""
        with self._reading(examining=True) as database:
            return check(database, self._path).get("identity")

    def examine(self, identity: str) -> bool:
        """Look whether this is the journal of ``identity``, and as it was written: see :func:`schema.examine`.
        Returns whether there is a journal in it yet. Raises JournalCorrupt, JournalTooNew, LocalIOError."""
        mark = Mark(self._path.parent)
        while True:
            witnessed, intact = mark.read(), digest.holds(self._path)
            try:
                with self._reading(examining=True) as database:
                    facts = examine(database, self._path, identity, intact=intact)
                break
            except JournalCorrupt:
                if self._files() == self._opened:
                    raise
                # a run has begun meanwhile, and wrote beneath a reader that counted on nobody doing so
        if not facts and mark.is_there:
            raise sqlite.corrupt(self._path, sqlite.EMPTY)
        self.missing = missing(witnessed, facts)
        return bool(facts)

    def runs(self) -> list[Run]:
        """The last runs, newest first."""
        with self._asking() as connection:
            return [_run(row) for row in connection.execute(_RUNS)]

    def status(self) -> Status:
        """Everything in sum."""
        process, last_alive = place.holder(self._path.parent)
        counts = self.counts()
        with self._asking() as connection:
            in_doubt = connection.scalar(_IN_DOUBT) or 0
        return Status(
            identity=self.identity or "",
            path=self._path.parent,
            sources=counts,
            folders=self.folders(),
            runs=tuple(self.runs()),
            in_doubt=in_doubt,
            octets=self._size(self._path) + self._size(self._log),
            process=process,
            last_alive=last_alive,
            removed={source: removed for source in counts if (removed := self.removed(source))},
            missing=self.missing,
            undoing=self.undoing(),
        )

    def trace(self, text: str) -> list[Traced]:
        """What is known of the messages that ``text`` names: a UIDL or mbox digest or its beginning, with
        ``#nth`` for one of its repeats, or the beginning of the SHA-256 of the octets. A whole name stands for
        itself alone. At most ``MOST_TRACED``."""
        name, nth = _split(text.strip())
        if not name:
            return []
        exact = messages.c.name == name
        start = func.substr(messages.c.name, 1, len(storable(name))) == name
        octets = _digest_range(name)
        if octets is not None:
            start = or_(start, and_(messages.c.digest >= octets[0], messages.c.digest <= octets[1]))
        with self._asking() as connection:
            for condition in (exact, start):
                if nth is not None:
                    condition = and_(condition, messages.c.nth == nth)
                rows = connection.execute(_TRACED.where(condition)).all()
                if rows:
                    return [self._traced(connection, row) for row in rows]
        return []

    def _traced(self, connection: Connection, row: FoundRow) -> Traced:
        copies = connection.execute(_TRACED_COPIES.where(placements.c.message == row.id))
        return Traced(
            key=Key(row.source_name, row.name, row.nth),
            account=Account(row.account),
            size=row.size,
            digest=row.digest,
            date=row.date,
            date_from=DateFrom[row.date_from] if row.date_from else None,
            reason=row.reason,
            why=row.why_text or "",
            subject=row.subject,
            rules_digest=row.rules_text or "",
            wanted=row.copies,
            copies=tuple(
                TracedCopy(
                    folder=copy.folder_name,
                    mailbox=copy.mailbox_name,
                    state=copy.state,
                    uidvalidity=copy.uidvalidity,
                    uid=copy.uid,
                    flags=tuple(copy.flags.split()),
                    date=copy.date,
                    run=copy.run,
                    since=copy.started,
                    repairs=tuple(copy.repairs.split()),
                )
                for copy in copies
            ),
            removed_by=row.run if row.nth < 0 else None,
        )


def _run(row: FoundRow) -> Run:
    exit_code: ExitCode | int | None = row.exit_code
    with contextlib.suppress(ValueError):
        exit_code = None if row.exit_code is None else ExitCode(row.exit_code)
    return Run(
        row.id, row.started, row.ended, exit_code, json.loads(row.counts), row.options_digest, row.version
    )


def _split(text: str) -> tuple[str, int | None]:
    """A key as it is shown: name, or name#nth."""
    if found := re.fullmatch(r"(.+)#(-?[0-9]{1,9})", text):
        return found[1], int(found[2])
    return text, None


def _digest_range(text: str) -> tuple[bytes, bytes] | None:
    """The lowest and the highest SHA-256 that begins so; None if none does, or if it is too short to mean one."""
    text = text.lower()
    if not re.fullmatch(r"[0-9a-f]{6,64}", text):
        return None
    return bytes.fromhex(text.ljust(64, "0")), bytes.fromhex(text.ljust(64, "f"))
