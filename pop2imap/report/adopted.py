"""What was found in the target for messages that the journal did not know: for people (text) and for programs (JSON,
CSV). Each message of a source stands under one word of the equation; *pending* is what a migration would move."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from rich.text import Text

from pop2imap.errors import ExitCode, Pop2imapError
from pop2imap.model import Account
from pop2imap.report import PROBLEMS, Count, Problem, SourceReport
from pop2imap.report.ending import ended_early, frame, moment
from pop2imap.report.files import cell, problem_as_dict, put
from pop2imap.report.text import (
    LINE_LIMIT,
    WORDS,
    drawn,
    in_messages,
    new_table,
    next_after,
    problem_lines,
    size,
)
from pop2imap.text import printable


def after_search(problem: Problem) -> Problem:
    """A problem as this report has it: what is held still was looked for everywhere."""
    if problem.account is not Account.HELD:
        return problem
    return problem._replace(
        todo="look for it yourself; or pop2imap migrate --on-held retry sends it again, perhaps twice",
    )


class AdoptedFolder(NamedTuple):
    """Copies that were found in one mailbox of the target (the server's name); ``elsewhere`` of them are not where the
    rules of today would put them."""

    mailbox: str
    copies: int
    elsewhere: int


class AdoptReport(NamedTuple):
    """Everything that a look for known mail found out.

    ``adopted`` has, for each source, its messages that became known now. ``renumbered`` copies of ours got their new
    UIDs; of the copies that were held, ``held_found`` were found and ``held_left`` were not. ``unseen``: a folder that
    could not be looked into.
    """

    dry_run: bool
    started: datetime
    finished: datetime
    target: str
    sources: tuple[SourceReport, ...]
    adopted: Mapping[str, Count]
    folders: tuple[AdoptedFolder, ...]
    renumbered: int
    held_found: int
    held_left: int
    unseen: bool
    remarks: tuple[str, ...]
    problems: tuple[Problem, ...]
    error: Pop2imapError | None = None
    interrupted: ExitCode | None = None

    @property
    def counts(self) -> dict[Account, Count]:
        """Each word of the equation, over all sources."""
        return {
            account: sum((s.counts.get(account, Count()) for s in self.sources), Count())
            for account in Account
        }

    @property
    def found(self) -> Count:
        """Messages that became known now, of all sources."""
        return sum(self.adopted.values(), Count())

    @property
    def exit_code(self) -> ExitCode:
        """See ``docs/exit-codes.md``."""
        if (early := ended_early(self)) is not None:
            return early
        counts = self.counts
        if self.unseen or self.held_left or any(counts[account].messages for account in PROBLEMS):
            return ExitCode.INCOMPLETE
        return ExitCode.OK

    def text(self, *, full: bool = False) -> str:
        """For people. ``full`` names every problem instead of the first twenty."""
        return "\n".join(printable(line.rstrip(), LINE_LIMIT) for line in _lines(self, full)) + "\n"

    def as_dict(self) -> dict[str, Any]:
        """The document of ``--json``; its fields are described in ``docs/exit-codes.md``."""
        counts = self.counts
        return {
            **frame(self),
            "dry_run": self.dry_run,
            "counts": {"source": sum(source.listed.messages for source in self.sources)}
            | {account.value: counts[account].messages for account in Account},
            "adopted": self.found.messages,
            "renumbered": self.renumbered,
            "held_found": self.held_found,
            "held_left": self.held_left,
            "sources": [
                {
                    "id": source.id,
                    "complete": source.complete,
                    "listed": {"messages": source.listed.messages, "bytes": source.listed.octets},
                    "adopted": self.adopted.get(source.id, Count()).messages,
                    "counts": {account.value: source.counts[account].messages for account in Account},
                }
                for source in self.sources
            ],
            "folders": [
                {"mailbox": folder.mailbox, "copies": folder.copies, "elsewhere": folder.elsewhere}
                for folder in self.folders
            ],
            "problems": [problem_as_dict(problem) for problem in self.problems],
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


def _csv(report: AdoptReport) -> str:
    """One table: a row for each word, source, folder and problem."""
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\r\n")  # RFC 4180
    rows.writerow(("what", "name", "messages", "date", "size", "key", "reason"))
    for account, count in report.counts.items():
        rows.writerow(("count", account.value, count.messages))
    for source in report.sources:
        rows.writerow(("adopted", cell(source.id), report.adopted.get(source.id, Count()).messages))
    for folder in report.folders:
        rows.writerow(("folder", cell(folder.mailbox), folder.copies))
    for problem in report.problems:
        date = moment(problem.date) if problem.date else ""
        rows.writerow(
            (
                problem.account.value,
                cell(problem.subject),
                1,
                date,
                problem.size,
                cell(problem.key),
                cell(problem.reason),
            )
        )
    return out.getvalue()


def _lines(report: AdoptReport, full: bool) -> Iterator[str]:
    dry = report.dry_run
    yield (
        f"{'What would be adopted' if dry else 'Adopted'}: "
        f"{', '.join(source.id for source in report.sources) or 'held messages'} ↔ {report.target}"
    )
    if report.sources:
        yield ""
        yield from _sources(report)
    if report.folders:
        yield ""
        table = new_table("found in", "copies", "of them elsewhere than by the rules")
        for folder in report.folders:
            table.add_row(Text(folder.mailbox), f"{folder.copies:,}", f"{folder.elsewhere:,}")
        yield from drawn(table)
    notes = list(report.remarks)
    if report.renumbered:
        notes.append(
            f"copies that the server had renumbered, and that are known by their new UIDs: {report.renumbered:,}"
        )
    if report.held_found or report.held_left:
        notes.append(
            f"of the copies that were held, {report.held_found:,} were found and count as present, "
            f"{report.held_left:,} were not found and stay held"
        )
    if notes:
        yield ""
        yield from (f"- {note}" for note in notes)
    yield from problem_lines(report.problems, full)
    yield ""
    yield from _verdict(report)


def _sources(report: AdoptReport) -> Iterator[str]:
    words = WORDS | {Account.PENDING: "not found: pop2imap migrate moves it"}
    table = new_table("", "messages", "size")
    listed = sum((source.listed for source in report.sources), Count())
    table.add_row("listed at the source", f"{listed.messages:,}", size(listed.octets))
    sign = "  = "
    for account, count in report.counts.items():
        if count.messages or account in {Account.PRESENT, Account.PENDING}:
            table.add_row(sign + words[account], f"{count.messages:,}", size(count.octets))
            sign = "  + "
    yield from drawn(table)
    yield f"found now: {in_messages(report.found.messages)}, {size(report.found.octets)}"


def _verdict(report: AdoptReport) -> Iterator[str]:
    if report.error is not None:
        yield f"stopped: {report.error}"
    if report.dry_run:
        yield "nothing was changed, in the journal neither"
    else:
        found = report.found.messages + report.held_found
        yield f"known from now on: {in_messages(found)}; nothing was sent or deleted"
    pending = report.counts[Account.PENDING].messages
    if report.error is not None or report.interrupted is not None:
        yield f"next: {next_after(report.error, report.finished)}"
    elif report.dry_run:
        yield "next: the same without --dry-run"
    elif pending:
        yield f"next: pop2imap migrate, with the same options; it moves {in_messages(pending)}"
    elif report.problems:
        yield "next: look at the messages named above; nothing else is left to move"
    else:
        yield "next: nothing is left to move"
