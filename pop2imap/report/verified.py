"""What a comparison of journal, target and sources found: for people (text) and for programs (JSON, CSV).

Every copy that the journal counts as stored or present stands under exactly one :class:`Finding`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

from pop2imap.errors import ExitCode, Pop2imapError
from pop2imap.report import Count
from pop2imap.report.ending import ended_early


class Finding(Enum):
    """What became of one copy since it was stored."""

    IDENTICAL = "identical"  # the octets that were sent, by SHA-256
    REWRITTEN = "rewritten"  # that message, but for what servers are known to change
    THERE = "there"  # under its UID, with the size that was sent; its octets were not read
    MOVED = "moved"  # not under its UID any more, and found by content in this folder or in another
    DIFFERENT = "different"  # something else stands under its UID
    MISSING = "missing"  # not under its UID, and found nowhere else
    UNCHECKED = "unchecked"  # its folder cannot be looked into, or the comparison was stopped


WRONG = (Finding.DIFFERENT, Finding.MISSING)
"""What a person has to look at; exit code 4."""


class VerifiedFolder(NamedTuple):
    """One folder of the target: copies of ours in it, by finding. ``messages`` is how many messages it holds now,
    None where that is not known."""

    folder: str
    mailbox: str
    messages: int | None
    counts: Mapping[Finding, int]


class VerifiedSource(NamedTuple):
    """One source as it is now. ``counts`` has messages by word: what the journal says of them, *new* for what it
    does not know, *unnamed* for what the source has no name for. ``read`` messages were compared by their octets,
    of which ``different`` are no longer those that were moved and ``unread`` did not come."""

    id: str
    complete: bool
    listed: Count
    counts: Mapping[str, int]
    read: int = 0
    different: int = 0
    unread: int = 0


class Difference(NamedTuple):
    """One message to look at. ``folder`` is empty, and ``uid`` None, where the source is what differs."""

    finding: Finding
    source: str
    key: str
    date: datetime | None
    size: int
    folder: str
    uid: int | None
    reason: str
    todo: str


class VerifyReport(NamedTuple):
    """Everything that a comparison found out.

    ``rewritten`` counts what servers changed, by name; ``moved`` the folders (the server's names) in which copies
    were found; ``lent`` messages have no copy of their own, as another source brought the same octets; ``in_doubt``
    copies were sent and nobody knows yet whether they arrived.
    """

    started: datetime
    finished: datetime
    target: str
    full: bool
    folders: tuple[VerifiedFolder, ...]
    rewritten: Mapping[str, int]
    moved: Mapping[str, int]
    lent: int
    in_doubt: int
    sources: tuple[VerifiedSource, ...]
    remarks: tuple[str, ...]
    problems: tuple[Difference, ...]
    error: Pop2imapError | None = None
    interrupted: ExitCode | None = None

    @property
    def counts(self) -> dict[Finding, int]:
        """Copies under each finding, over all folders."""
        return {finding: sum(folder.counts.get(finding, 0) for folder in self.folders) for finding in Finding}

    @property
    def copies(self) -> int:
        """All copies that the journal counts as being there."""
        return sum(self.counts.values())

    @property
    def exit_code(self) -> ExitCode:
        """See ``docs/exit-codes.md``."""
        if (early := ended_early(self)) is not None:
            return early
        counts = self.counts
        if any(counts[finding] for finding in WRONG) or any(source.different for source in self.sources):
            return ExitCode.DIFFERENT
        if counts[Finding.UNCHECKED]:
            return ExitCode.INCOMPLETE
        return ExitCode.OK

    @property
    def known(self) -> bool:
        """Whether the comparison came to its end."""
        return self.error is None and self.interrupted is None

    def because(self) -> tuple[str, ...]:
        """Why it cannot be said that everything that was stored is there; empty if it can."""
        counts = self.counts
        reasons = [
            f"{counts[finding]:,} {words}"
            for finding, words in (
                (Finding.MISSING, "missing"),
                (Finding.DIFFERENT, "different"),
                (Finding.UNCHECKED, "not looked at"),
            )
            if counts[finding]
        ]
        if self.error is not None:
            reasons.append("the comparison did not come to its end")
        elif self.interrupted is not None:
            reasons.append("the comparison was stopped")
        return tuple(reasons)

    def text(self, *, full: bool = False) -> str:
        """For people. ``full`` names every problem instead of the first twenty."""
        from pop2imap.report import verified_text

        return verified_text.render(self, full=full)

    def as_dict(self) -> dict[str, Any]:
        """The document of ``--json``."""
        from pop2imap.report import verified_files

        return verified_files.as_dict(self)

    def write(self, path: Path) -> None:
        """Write it to a file whose suffix (.json .csv .txt) picks the form.

        Raises UsageError for another suffix, LocalIOError when it cannot be written.
        """
        from pop2imap.report import verified_files

        verified_files.write(self, path)
