"""The account that a run gives of itself: for people (text) and for programs (JSON, CSV).

The equation, always: ``source = stored + present + skipped + refused + held + unreadable + gone + pending``,
each message under exactly one word. It is kept by :class:`pop2imap.report.tally.Tally` and checked before a
report is made. The JSON form is a promise, versioned by ``ending.SCHEMA_VERSION`` and described in
``docs/exit-codes.md``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from pop2imap.errors import ExitCode, Pop2imapError
from pop2imap.model import Account, DateFrom
from pop2imap.report.ending import ended_early

PROBLEMS = frozenset({Account.REFUSED, Account.HELD, Account.UNREADABLE, Account.GONE})
"""Accounts that a person has to look at."""


@dataclass(frozen=True, slots=True)
class Count:
    """So many messages, so many octets."""

    messages: int = 0
    octets: int = 0

    def __add__(self, other: Count) -> Count:
        return Count(self.messages + other.messages, self.octets + other.octets)


class SourceReport(NamedTuple):
    """One source: what it listed, and what became of that. ``complete`` is False when the listing is known
    to be only a part (or did not come to its end)."""

    id: str
    listed: Count
    counts: Mapping[Account, Count]
    complete: bool = True


class FolderReport(NamedTuple):
    """One folder of the target. ``before`` and ``after``: messages in it when this run first touched it, and
    at its end (None: not known). ``ours``: copies there that are ours, of all runs. ``added``: copies of this
    run (in a plan: those to come), with how many of them are unseen and flagged."""

    folder: str
    mailbox: str
    before: int | None
    ours: Count
    added: Count
    after: int | None
    unseen: int = 0
    flagged: int = 0
    created: bool = False


class Problem(NamedTuple):
    """One message a person has to look at. ``saved`` is the file in the quarantine that holds it, if one does."""

    account: Account
    source: str
    key: str
    date: datetime | None
    subject: str
    size: int
    reason: str
    todo: str
    saved: str = ""


class Repaired(NamedTuple):
    """One message that was changed so that the target took it, in this run or an earlier one. ``saved`` is the file
    that holds its original, if it is in the quarantine of this run."""

    source: str
    key: str
    size: int
    repairs: tuple[str, ...]
    saved: str = ""


class Copies(NamedTuple):
    """Mail at home and mail in maildrops: messages in both, and in one of them alone. What was left at home (in the
    trash, say) is not counted."""

    both: int
    only_at_home: int
    only_in_maildrop: int


class Report(NamedTuple):
    """Everything a plan or a run found out."""

    dry_run: bool
    started: datetime
    finished: datetime
    target: str
    sources: tuple[SourceReport, ...]
    moved: Count
    extra_copies: int
    folders: tuple[FolderReport, ...]
    rules: tuple[tuple[str, int], ...]
    dates: Mapping[DateFrom, int]
    read_state_guessed: int
    mark: str
    dropped_flags: Mapping[str, int]
    skipped_why: Mapping[str, int]
    whys: tuple[str, ...]
    """Why, in words, for the first message of each rule and folder (in a plan)."""
    remarks: tuple[str, ...]
    problems: tuple[Problem, ...]
    repaired: tuple[Repaired, ...] = ()
    error: Pop2imapError | None = None
    interrupted: ExitCode | None = None
    copies: Copies | None = None
    """None: there are not sources of both sorts."""
    same_account_allowed: bool = False
    """Whether source and target are two mailboxes was not asked."""

    @property
    def counts(self) -> dict[Account, Count]:
        """Each word of the equation, over all sources."""
        return {
            account: sum((s.counts.get(account, Count()) for s in self.sources), Count())
            for account in Account
        }

    @property
    def listed(self) -> Count:
        """The left side of the equation."""
        return sum((s.listed for s in self.sources), Count())

    @property
    def exit_code(self) -> ExitCode:
        """See ``docs/exit-codes.md``."""
        if (early := ended_early(self)) is not None:
            return early
        counts = self.counts
        if counts[Account.PENDING].messages and not self.dry_run:
            return ExitCode.NOT_FINISHED
        if any(counts[account].messages for account in PROBLEMS):
            return ExitCode.INCOMPLETE
        return ExitCode.OK

    @property
    def retry_at(self) -> datetime | None:
        """When the server that ended it wants to be asked again, if it said so; whole seconds, in UTC."""
        return retry_at(self.error, self.finished)

    def unsafe_because(self) -> tuple[str, ...]:
        """Why the source must not be deleted yet; empty if it may."""
        counts = self.counts
        reasons = [
            f"{counts[account].messages:,} {account.value}"
            for account in Account
            if account not in {Account.STORED, Account.PRESENT} and counts[account].messages
        ]
        if self.repaired:
            reasons.append(f"{len(self.repaired):,} repaired, so that the target holds them changed")
        if self.same_account_allowed:
            reasons.append("--allow-same-account: source and target may be one mailbox")
        if self.error is not None:
            reasons.append("the run did not come to its end")
        elif self.interrupted is not None:
            reasons.append("the run was stopped, and may not have come to every source")
        reasons += [
            f"{source.id} may hold more than it listed" for source in self.sources if not source.complete
        ]
        if not self.sources:
            reasons.append("nothing was listed")
        return tuple(reasons)

    def text(self, *, full: bool = False) -> str:
        """For people. ``full`` names every problem instead of the first twenty."""
        from pop2imap.report import text

        return text.render(self, full=full)

    def as_dict(self) -> dict[str, Any]:
        """The document of ``--json``."""
        from pop2imap.report import files

        return files.as_dict(self)

    def write(self, path: Path) -> None:
        """Write the report to a file whose suffix (.json .csv .txt) picks the form.

        Raises UsageError for another suffix, LocalIOError when it cannot be written.
        """
        from pop2imap.report import files

        files.write(self, path)


def retry_at(error: Pop2imapError | None, finished: datetime) -> datetime | None:
    """When the server that ended a run with ``error`` at this moment wants to be asked again, if it said so; whole
    seconds, in UTC."""
    if error is None or error.retry_after is None:
        return None
    return finished.replace(microsecond=0) + timedelta(seconds=math.ceil(error.retry_after) + 1)
