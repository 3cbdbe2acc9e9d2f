"""What a comparison has found so far, until it becomes a report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from pop2imap.errors import ExitCode, Pop2imapError
from pop2imap.journal.copies import Copy, Kept
from pop2imap.journal.history import History
from pop2imap.report.verified import (
    Difference,
    Finding,
    VerifiedFolder,
    VerifiedSource,
    VerifyReport,
)


class _Folder:
    """What was found out of the copies of one folder name in one mailbox."""

    def __init__(self) -> None:
        self.messages: int | None = None
        self.counts: Counter[Finding] = Counter()


class Ledger:
    """One for a comparison. Each copy is put under one finding, once."""

    def __init__(self, history: History, *, full: bool) -> None:
        self.full = full
        self.kept: Sequence[Kept] = history.kept()
        self.remarks: list[str] = []
        self.problems: list[Difference] = []
        self.sources: list[VerifiedSource] = []
        self._rewritten: Counter[str] = Counter()
        self._moved: Counter[str] = Counter()
        self._folders: dict[tuple[str, str], _Folder] = {}  # by folder name and mailbox
        self._lent = history.lent()
        status = history.status()
        self._identity, self._in_doubt = status.identity, status.in_doubt
        if status.missing:
            self.remarks.append(
                f"{status.missing} entries of the journal are missing, so more may be there than it knows of: pop2imap "
                "migrate compares that by content"
            )
        if status.undoing:
            self.remarks.append(
                f"an undo was cut off: {status.undoing} copies are half undone, and in no number here; run it again"
            )
        if status.process is not None:
            self.remarks.append(
                f"process {status.process} is moving mail at this moment: what it does meanwhile is counted in part"
            )

    def holds(self, kept: Kept, messages: int) -> None:
        """A mailbox has so many messages now, ours and others."""
        for folder in kept.folders:
            self._folder(folder, kept.mailbox).messages = messages

    def wants(self, copy: Copy) -> bool:
        """All of them."""
        return True

    def seen(self, copy: Copy, place: str, uid: int) -> None:
        """Nothing is kept of that."""

    def found(self, copy: Copy, mailbox: str, finding: Finding) -> None:
        """What became of a copy that the journal has in ``mailbox``."""
        self._folder(copy.folder, mailbox).counts[finding] += 1

    def rewritten(self, copy: Copy, mailbox: str, how: str) -> None:
        """Likewise, of a copy that the server rewrote; how, in words."""
        self.found(copy, mailbox, Finding.REWRITTEN)
        self._rewritten[how] += 1

    def moved(self, copy: Copy, mailbox: str, where: str, *, identical: bool) -> None:
        """Likewise, of a copy that was found elsewhere; where, in words."""
        self.found(copy, mailbox, Finding.MOVED)
        self._moved[where] += 1

    def problem(self, copy: Copy, mailbox: str, finding: Finding, reason: str, todo: str) -> None:
        """Likewise, of a copy that a person has to look at."""
        self.found(copy, mailbox, finding)
        self.problems.append(
            Difference(
                finding=finding,
                source=copy.key.source,
                key=str(copy.key),
                date=copy.date,
                size=copy.size,
                folder=copy.folder,
                uid=copy.uid,
                reason=reason,
                todo=todo,
            )
        )

    def report(
        self, started: datetime, finished: datetime, error: Pop2imapError | None, interrupted: ExitCode | None
    ) -> VerifyReport:
        """Everything; copies that nobody came to are *unchecked*."""
        for kept in self.kept:
            done = [one.counts.total() for (_, name), one in self._folders.items() if name == kept.mailbox]
            if sum(done) < kept.copies:
                rest = kept.copies - sum(done)
                self._folder(kept.folders[0], kept.mailbox).counts[Finding.UNCHECKED] += rest
        return VerifyReport(
            started=started,
            finished=finished,
            target=self._identity,
            full=self.full,
            folders=tuple(
                VerifiedFolder(folder, mailbox, one.messages, one.counts)
                for (folder, mailbox), one in self._folders.items()
            ),
            rewritten=dict(self._rewritten.most_common()),
            moved=dict(self._moved.most_common()),
            lent=self._lent,
            in_doubt=self._in_doubt,
            sources=tuple(self.sources),
            remarks=tuple(dict.fromkeys(self.remarks)),
            problems=tuple(self.problems),
            error=error,
            interrupted=interrupted,
        )

    def _folder(self, folder: str, mailbox: str) -> _Folder:
        return self._folders.setdefault((folder, mailbox), _Folder())
