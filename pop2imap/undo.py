"""Undo: taking out of the target again what we have put into it, and nothing else.

Theory of operation
-------------------
What is ours is what the journal says is *stored* under a UID (:mod:`pop2imap.journal.undoing`). UIDs never change their
message while UIDVALIDITY is the same (RFC 3501 2.3.1.1), but a journal may be an old copy, and a folder may have been
made anew under the same number. So each message is read before it is removed, and only one with the octets that were
stored there, but for what servers rewrite, is ours. What is no longer under its UID was moved or deleted by its owner,
and is listed, never looked for.

For each portion of a mailbox: read and compare ─ make *undoing* durable ─ erase ─ forget. Killed anywhere and run
again, it goes on: a copy that is undoing was compared by us and was about to go, so if it is there it is compared and
removed, and if not, it is undone. Nothing is migrated, adopted or deleted at a source before that.

A mailbox that we have made goes, too, if nothing is in it or below it and it still is the one that we made.

What we deleted at its source since (:mod:`pop2imap.deletion`) is nowhere but in the target. Its copies stay, and so do
those of equal octets, for which it may have been deleted, unless a person says otherwise.

First of all, what an earlier run left in doubt is looked for (:mod:`pop2imap.recovery`): what had arrived is ours.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from pop2imap.errors import FolderError, NotFinished, Pop2imapError, UsageError
from pop2imap.folders import located
from pop2imap.journal.copies import Copy, CopyReader, Kept
from pop2imap.journal.history import read_history
from pop2imap.journal.undoing import UndoingJournal, open_for_undo
from pop2imap.journal.values import UNDOING
from pop2imap.model import Mailbox
from pop2imap.pipeline import Stop, pause
from pop2imap.progress import Progress
from pop2imap.recovery import FENCE, recover
from pop2imap.report.undone import Stayed, UndoLedger, Undone, UndoReport
from pop2imap.target import Erasing
from pop2imap.text import printable

AT_ONCE = 200
"""Copies compared, and then removed, at once."""

Now = Callable[[], datetime]


def foresee(
    target: Erasing,
    *,
    state_dir: Path,
    run: int | None,
    also_deleted: bool = False,
    progress: Progress,
    stop: threading.Event,
    now: Now = lambda: datetime.now(UTC),
) -> UndoReport:
    """What ``undo`` would do, as far as can be known without reading messages. Changes nothing, takes no lock.

    Raises UsageError and NotFinished as ``undo`` does, UsageError if there is no journal; JournalCorrupt,
    JournalTooNew, LocalIOError.
    """
    started = now()
    history = read_history(state_dir, target.identity)
    if history is None:
        raise UsageError(
            f"no journal of {printable(target.identity)} is here, so nothing is known that could be undone",
            where=printable(str(state_dir)),
            todo="pop2imap status says which targets are known; --state-dir says where the journal of the move is",
        )
    with closing(history):
        _check(history, run, history.missing, also_deleted=also_deleted)
        ledger = UndoLedger(dry_run=True, started=started, target=target.identity, run=run)
        status = history.status()
        if status.in_doubt:
            ledger.remarks[
                f"{status.in_doubt:,} more were on the way when a run ended: whether they arrived is found out first"
            ] = None
        work = _Foresight(target, history, run, ledger, progress, stop)
        work.also_deleted = also_deleted
        return work.report(now)


def undo(
    target: Erasing,
    *,
    state_dir: Path,
    run: int | None,
    plain: bool,
    also_deleted: bool = False,
    progress: Progress,
    stop: threading.Event,
    fence: float = FENCE,
    now: Now = lambda: datetime.now(UTC),
    sleep: Callable[[float], None] = time.sleep,
) -> UndoReport:
    """Remove from ``target`` what this run (None: any run) has stored there. ``plain``: see ``Erasing.erase``.
    ``also_deleted``: also what was deleted at its source. What ended it early is in the report; the next call goes on.

    Raises UsageError if there is no such run; but for ``also_deleted`` also if the journal may not know of all that was
    deleted at a source, and NotFinished if a deletion was cut off; JournalLocked if another run is at work,
    JournalCorrupt, JournalTooNew, LocalIOError.
    """
    started = now()
    with closing(open_for_undo(state_dir, target.identity, now=now)) as journal:
        _check(journal, run, journal.missing, also_deleted=also_deleted)
        ledger = UndoLedger(dry_run=False, started=started, target=target.identity, run=run)
        work = _Removal(target, journal, run, ledger, progress, stop)
        work.plain, work.also_deleted = plain, also_deleted
        work.prepare = partial(
            recover,
            journal,
            target,
            now=now,
            wait=lambda seconds: pause(seconds, stop, sleep),
            fence=fence,
            say=progress.say,
        )
        report = work.report(now)
        journal.finish_run(report.exit_code, {"undone": report.counts[Undone.REMOVED]})
        return report


def _check(journal: CopyReader, run: int | None, missing: int, *, also_deleted: bool) -> None:
    """See that there is this run, and that it is known what was deleted at sources. ``missing``: see ``Journal``."""
    runs = journal.run_numbers()
    if run is not None and run not in runs:
        last = f"there were runs 1 to {runs[-1]}" if runs else "there was none"
        raise UsageError(f"no run {run} is known", todo=f"{last}; pop2imap status --json tells of them")
    if missing and not also_deleted:
        raise UsageError(
            f"the journal is older than what was done with it ({missing} of its entries are missing), so it may not "
            "know of mail that was deleted at its source: what would be removed may be the last copy",
            todo="if nothing was deleted with pop2imap delete-source since, say --also-deleted",
        )
    if (begun := journal.removing()) and not also_deleted:
        raise NotFinished(
            f"{len(begun):,} messages were being deleted when that was cut off, and which of them are gone is not "
            "known: what would be removed may be the last copy",
            where=printable(begun[0].source),
            todo="run pop2imap delete-source again: it finds out; or say --also-deleted",
        )


class _Walk(ABC):
    """Through all mailboxes with copies of ours, by portions."""

    def __init__(
        self,
        target: Erasing,
        journal: CopyReader,
        run: int | None,
        ledger: UndoLedger,
        progress: Progress,
        stop: threading.Event,
    ) -> None:
        self._target, self._journal, self._run, self._ledger = target, journal, run, ledger
        self._progress, self._stop = progress, stop
        self._others: tuple[str, ...] = ()
        self.prepare: Callable[[], object] = lambda: None
        """Called when the target is open."""
        self.also_deleted = False

    def report(self, now: Now) -> UndoReport:
        """Do it, and say what came of it."""
        error: Pop2imapError | None = None
        try:
            self._others = self._target.open().folders
            self.prepare()
            self._walk()
        except Pop2imapError as trouble:
            error = None if self._stop.is_set() and isinstance(trouble, NotFinished) else trouble
        finally:
            self._progress.finish()
            self._target.close()
        interrupted = None
        if self._stop.is_set() and error is None:
            interrupted = self._stop.exit_code if isinstance(self._stop, Stop) else Stop.exit_code
        return self._ledger.report(now(), error, interrupted)

    def _walk(self) -> None:
        ours = self._journal.ours(self._run)
        self._progress.start(self._doing, 0, sum(kept.copies for kept in ours))
        for kept in ours:
            if self._stop.is_set():
                return
            self._mailbox(kept)
        if not self._stop.is_set():
            self._folders(self._journal.mailboxes_made(self._run))

    def _mailbox(self, kept: Kept) -> None:
        for some in self._journal.ours_without_uid(kept, self._run):
            for copy in some:
                self._stays(
                    copy, Undone.NAMELESS, "the server never told its UID, so it cannot be told from others"
                )
        trouble = ""
        mailbox: Mailbox | None = None
        try:
            mailbox = located(self._target, kept.mailbox, (*kept.folders, *self._others))
        except FolderError as error:
            trouble = str(error)
        if mailbox is not None and mailbox.uidvalidity != kept.uidvalidity:
            trouble = (
                "the server has renumbered its folder (a new UIDVALIDITY), so its UID means nothing any more"
            )
        for portion in self._journal.ours_with_uid(kept, self._run):
            for at in range(0, len(portion), AT_ONCE):
                some = portion[at : at + AT_ONCE]
                if self._stop.is_set():
                    return
                if trouble:
                    self._all_stay(some, Undone.LEFT, trouble)
                elif mailbox is None:
                    self._all_stay(some, Undone.GONE, "its folder was renamed or deleted")
                else:
                    trouble = self._portion(mailbox, some)

    def _all_stay(self, copies: Iterable[Copy], outcome: Undone, reason: str) -> None:
        for copy in copies:
            self._stays(copy, outcome, reason)

    def _stays(self, copy: Copy, outcome: Undone, reason: str) -> None:
        key = copy.key
        self._ledger.stayed(
            Stayed(outcome, key.source, str(key), copy.date, copy.size, copy.folder, copy.uid, reason)
        )
        self._progress.advance(0, 1)

    def _last(self, copies: Iterable[Copy]) -> set[bytes]:
        """Those of the digests of these copies of which none is to go: their source may not have them any more."""
        if self.also_deleted:
            return set()
        return self._journal.deleted_like({copy.digest for copy in copies if copy.digest is not None})

    def _goes(self, copy: Copy) -> None:
        self._ledger.removed(copy.folder)
        self._progress.advance(0, 1)

    _doing = ""

    @abstractmethod
    def _portion(self, mailbox: Mailbox, copies: Sequence[Copy]) -> str:
        """Each of these copies gets its outcome. Returns why no other copy of this mailbox can be removed, if so."""

    @abstractmethod
    def _folders(self, made: Sequence[tuple[str, int | None]]) -> None:
        """What becomes of the mailboxes that we have made."""


LAST = "a message with these octets was deleted at its source: --also-deleted removes its copies, too"
GONE = "its UID is not there any more: it was moved or deleted by somebody else"


class _Foresight(_Walk):
    """What would be done."""

    _doing = "looking what is still there"
    _seen: tuple[str, set[int]] = ("", set())  # a mailbox, and what is in it

    def _portion(self, mailbox: Mailbox, copies: Sequence[Copy]) -> str:
        try:
            if self._seen[0] != mailbox.name:
                self._seen = mailbox.name, {one.uid for one in self._target.survey(mailbox, 1)}
        except FolderError as error:
            self._all_stay(copies, Undone.LEFT, str(error))
            return str(error)
        last = self._last(copies)
        for copy in copies:
            if copy.state == UNDOING:
                self._goes(copy)
            elif copy.uid not in self._seen[1]:
                self._stays(copy, Undone.GONE, GONE)
            elif copy.digest in last:
                self._stays(copy, Undone.LAST, LAST)
            else:
                self._goes(copy)
        return ""

    def _folders(self, made: Sequence[tuple[str, int | None]]) -> None:
        self._ledger.removed_folders += [name for name, _ in made]


class _Removal(_Walk):
    """It is done."""

    _journal: UndoingJournal
    _doing = "removing what was stored"
    plain = False

    def _walk(self) -> None:
        super()._walk()
        if held := self._journal.held():
            self._ledger.remarks[
                f"{held:,} more are held: they were sent, and nobody knows whether they arrived; look for them yourself"
            ] = None
        if doubtful := {folder for _, folder in self._journal.mailboxes_in_doubt()}:
            self._ledger.remarks[
                f"what was on its way to {printable(', '.join(sorted(doubtful)))} is still in doubt, and left"
            ] = None

    def _portion(self, mailbox: Mailbox, copies: Sequence[Copy]) -> str:
        try:
            read = self._target.digests(mailbox, [copy.uid or 0 for copy in copies])
        except FolderError as error:
            self._all_stay(copies, Undone.LEFT, str(error))
            return str(error)
        ours: dict[int, Copy] = {}
        undone: list[Copy] = []
        last = self._last(copies)
        for copy in copies:
            digests = read.get(copy.uid or 0)
            if digests is None and copy.state == UNDOING:  # by an earlier undo, which did not live to say so
                undone.append(copy)
            elif digests is None:
                self._stays(copy, Undone.GONE, GONE)
            elif copy.digest != digests[0] and copy.match_digest != digests[1]:
                what = f"another message, with SHA-256 {digests[0].hex()[:16]}…, stands under its UID"
                self._stays(copy, Undone.DIFFERENT, what)
            elif copy.digest in last and copy.state != UNDOING:  # what is half undone was agreed to
                self._stays(copy, Undone.LAST, LAST)
            else:
                ours[copy.uid or 0] = copy
        trouble, left = self._erase(mailbox, ours)
        undone += [copy for uid, copy in ours.items() if uid not in left]
        self._journal.undone([copy.id for copy in undone])
        self._journal.leave([ours[uid].id for uid in left])
        for copy in undone:
            self._goes(copy)
        self._all_stay((ours[uid] for uid in left), Undone.LEFT, trouble or "the server did not remove it")
        return trouble

    def _erase(self, mailbox: Mailbox, ours: Mapping[int, Copy]) -> tuple[str, list[int]]:
        """Remove these messages. Returns what went wrong, and the UIDs that are there still."""
        if not ours:
            return "", []
        self._journal.begin_undoing([copy.id for copy in ours.values()])
        try:
            gone, trouble = self._target.erase(mailbox, list(ours), plain=self.plain), ""
        except FolderError as error:
            there = {one.uid for one in self._target.survey(mailbox, min(ours))}
            gone, trouble = set(ours) - there, str(error)
        return trouble, [uid for uid in ours if uid not in gone]

    def _stays(self, copy: Copy, outcome: Undone, reason: str) -> None:
        super()._stays(copy, outcome, reason)
        if copy.state == UNDOING:  # it was half undone, and will not be
            self._journal.leave([copy.id])

    def _folders(self, made: Sequence[tuple[str, int | None]]) -> None:
        for name, uidvalidity in sorted(made, key=lambda one: -len(one[0])):  # what is below comes first
            if why := self._target.remove(name, uidvalidity):
                self._ledger.kept_folders[name] = why
            else:
                self._journal.unmade(name)
                self._ledger.removed_folders.append(name)
