"""What was deleted at a source, and what was not, and why: for people (text) and for programs (JSON, CSV). Each message
that the source listed stands under exactly one :class:`Fate`."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

from pop2imap.errors import ExitCode, Pop2imapError
from pop2imap.report import Count
from pop2imap.report.ending import ended_early, frame, moment
from pop2imap.report.files import cell, put
from pop2imap.report.text import LINE_LIMIT, SHORT_LIST, drawn, in_messages, new_table, next_after, size
from pop2imap.text import printable


class Fate(Enum):
    """Where one message of the source ended up."""

    DELETED = "deleted"  # by us, and no longer listed
    READY = "ready"  # every copy of it was compared and is there; it may be deleted
    SURVIVED = "survived"  # the server would not delete it, or lists it all the same
    UNCONFIRMED = "unconfirmed"  # marked as deleted; the listing that would tell was not had
    LATER = (
        "later"  # not come to: by --limit, a lost connection, a stop, or a QUIT that was not answered well
    )
    VANISHED = "vanished"  # somebody else deleted it meanwhile
    YOUNGER = "younger"  # by --older-than
    NEW = "new"  # the journal does not know it, or it is pending: not moved so far
    SKIPPED = "skipped"  # left out when it was to be moved
    PROBLEM = "problem"  # refused, held, unreadable or gone, by the journal
    REWRITTEN = "rewritten"  # its copy is that message, changed by the server
    DIFFERENT = "different"  # the source, or the target under the UID of its copy, has other octets
    MISSING = "missing"  # a copy of it is no longer in the target
    UNCHECKED = "unchecked"  # it, or a copy of it, could not be read now
    UNNAMED = "unnamed"  # it has no UIDL, or shares it with others


WRONG = (Fate.DIFFERENT, Fate.MISSING)
"""Exit code 4."""

STAYS = (
    *(Fate.SURVIVED, Fate.UNCONFIRMED, Fate.NEW, Fate.PROBLEM, Fate.REWRITTEN),
    *(Fate.UNCHECKED, Fate.UNNAMED),
)
"""It stays at the source although nobody has chosen that: exit code 3."""

WORDS = {
    Fate.DELETED: "deleted, and no longer listed",
    Fate.READY: "every copy is in the target, compared just now",
    Fate.SURVIVED: "the server keeps it",
    Fate.UNCONFIRMED: "marked as deleted; whether it is gone is not known",
    Fate.LATER: "left for the next run",
    Fate.VANISHED: "deleted by somebody else meanwhile",
    Fate.YOUNGER: "younger than --older-than",
    Fate.NEW: "not moved so far",
    Fate.SKIPPED: "left out when the rest was moved",
    Fate.PROBLEM: "refused, held or unreadable when the rest was moved",
    Fate.REWRITTEN: "its copy was rewritten by the server",
    Fate.DIFFERENT: "different",
    Fate.MISSING: "a copy is no longer in the target",
    Fate.UNCHECKED: "could not be compared",
    Fate.UNNAMED: "without a name of its own (UIDL)",
}

TODO = {
    Fate.PROBLEM: "see what pop2imap migrate says of it: the source alone has it, unless it is held and had arrived",
    Fate.SURVIVED: "look into the settings of the provider for what becomes of mail that POP3 deletes",
    Fate.REWRITTEN: "keep it: its octets are at the source alone; or delete it too, with --also-rewritten",
    Fate.DIFFERENT: "look at both before you delete anything by hand",
    Fate.MISSING: "nothing, if you deleted the copy; else take it from the source before that is gone",
    Fate.UNCHECKED: "run the same command again",
    Fate.UNNAMED: "delete it by hand: over POP3 nothing tells it from another one",
}
"""For the fates of which each message is named in the report."""


class Left(NamedTuple):
    """One message that stays at the source, and why."""

    fate: Fate
    key: str
    date: datetime | None
    size: int
    reason: str

    @property
    def todo(self) -> str:
        return TODO[self.fate]


class DeletionReport(NamedTuple):
    """Everything that came of it. ``asked``: it was to be deleted, and not only looked at. ``stuck``: everything was
    looked at that the limit lets in, and all of it stays, so the next run would get no further. ``alarm``: a copy
    vanished from the target together with its message at the source, and everything was stopped; it says what to do."""

    asked: bool
    started: datetime
    finished: datetime
    source: str
    target: str
    complete: bool
    listed: Count
    counts: Mapping[Fate, Count]
    remarks: tuple[str, ...]
    left: tuple[Left, ...]
    stuck: bool = False
    alarm: str = ""
    error: Pop2imapError | None = None
    interrupted: ExitCode | None = None

    def messages(self, fate: Fate) -> int:
        return self.counts.get(fate, Count()).messages

    @property
    def exit_code(self) -> ExitCode:
        """See ``docs/exit-codes.md``."""
        if self.alarm:
            return ExitCode.DIFFERENT
        if (early := ended_early(self)) is not None:
            return early
        if any(map(self.messages, WRONG)):
            return ExitCode.DIFFERENT
        if self.messages(Fate.LATER) and not self.stuck:
            return ExitCode.NOT_FINISHED
        if any(map(self.messages, STAYS)) or (self.asked and self.messages(Fate.READY)):
            return ExitCode.INCOMPLETE
        return ExitCode.OK

    def text(self, *, full: bool = False) -> str:
        """For people. ``full`` names every message that stays instead of the first twenty."""
        return "\n".join(printable(line.rstrip(), LINE_LIMIT) for line in _lines(self, full)) + "\n"

    def as_dict(self) -> dict[str, Any]:
        """The document of ``--json``; its fields are described in ``docs/exit-codes.md``."""
        return {
            **frame(self),
            "dry_run": not self.asked,
            "source": self.source,
            "complete": self.complete,
            "counts": {"listed": self.listed.messages} | {fate.value: self.messages(fate) for fate in Fate},
            "bytes": {"listed": self.listed.octets}
            | {fate.value: self.counts.get(fate, Count()).octets for fate in Fate},
            "alarm": self.alarm or None,
            "left": [
                {
                    "fate": one.fate.value,
                    "key": one.key,
                    "date": moment(one.date) if one.date else None,
                    "size": one.size,
                    "reason": one.reason,
                    "todo": one.todo,
                }
                for one in self.left
            ],
        }

    def write(self, path: Path) -> None:
        """Write it to a file whose suffix (.json .csv .txt) picks the form.

        Raises UsageError for another suffix, LocalIOError when it cannot be written.
        """
        put(
            path,
            json=lambda: json.dumps(self.as_dict(), indent=2) + "\n",
            csv=lambda: _csv(self),
            txt=lambda: self.text(full=True),
        )


def _csv(report: DeletionReport) -> str:
    """One table: a row for each fate, and for each message that stays and is named."""
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\r\n")  # RFC 4180
    rows.writerow(("what", "name", "messages", "octets", "date", "key", "reason"))
    for fate, count in report.counts.items():
        rows.writerow(("count", fate.value, count.messages, count.octets))
    for one in report.left:
        date = moment(one.date) if one.date else ""
        rows.writerow((one.fate.value, "", 1, one.size, date, cell(one.key), cell(one.reason)))
    return out.getvalue()


def _lines(report: DeletionReport, full: bool) -> Iterator[str]:
    yield f"{'Deletion' if report.asked else 'What could be deleted'}: {report.source} (copies in {report.target})"
    yield ""
    table = new_table("", "messages", "size")
    table.add_row("listed at the source", f"{report.listed.messages:,}", size(report.listed.octets))
    sign = "  = "
    for fate in Fate:
        count = report.counts.get(fate, Count())
        if count.messages or fate is (Fate.DELETED if report.asked else Fate.READY):
            table.add_row(sign + WORDS[fate], f"{count.messages:,}", size(count.octets))
            sign = "  + "
    yield from drawn(table)
    notes = list(report.remarks)
    if not report.complete:
        notes.append("the source may hold more than it lists")
    if notes:
        yield ""
        yield from (f"- {note}" for note in notes)
    yield from _left(report, full)
    yield ""
    yield from _verdict(report)


def _left(report: DeletionReport, full: bool) -> Iterator[str]:
    if not report.left:
        return
    yield ""
    yield f"{len(report.left):,} to look at:"
    shown = report.left if full else report.left[:SHORT_LIST]
    for one in shown:
        date = f"{one.date:%Y-%m-%d}, " if one.date else ""
        yield f"  {one.fate.value}: {date}{size(one.size)}, {one.key}"
        yield f"    because: {one.reason}; what to do: {one.todo}"
    if len(shown) < len(report.left):
        yield f"  … and {len(report.left) - len(shown):,} more: --report FILE.txt names them all"


def _verdict(report: DeletionReport) -> Iterator[str]:
    if report.alarm:
        yield f"STOPPED: {report.alarm}"
    if report.error is not None:
        yield f"stopped: {report.error}"
    ready = report.messages(Fate.READY)
    if report.asked:
        yield f"deleted at the source: {in_messages(report.messages(Fate.DELETED))}"
    else:
        yield "nothing was deleted"
    if report.alarm:
        yield "next: do not run it again before you know that source and target are two mailboxes"
    elif report.messages(Fate.LATER) and report.stuck:
        yield "next: say a larger --limit: all that this one lets in stays, so the next run would get no further"
    elif report.error is not None or report.interrupted is not None or report.messages(Fate.LATER):
        yield f"next: {next_after(report.error, report.finished)}"
    elif report.messages(Fate.NEW):
        yield "next: pop2imap migrate moves what is new"
    elif ready and not report.asked:
        yield f"next: the same with --yes deletes {in_messages(ready)} for good"
