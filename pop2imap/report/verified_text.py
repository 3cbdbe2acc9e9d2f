"""A comparison for people: plain text that reads from top to bottom, the sentence they look for at the end."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from pop2imap.errors import Again
from pop2imap.report.text import LINE_LIMIT, SHORT_LIST, drawn, in_messages, new_table, size
from pop2imap.report.verified import Difference, Finding, VerifiedFolder, VerifiedSource, VerifyReport
from pop2imap.text import printable

WORDS = {
    Finding.IDENTICAL: "identical, octet for octet",
    Finding.REWRITTEN: "rewritten by the server",
    Finding.THERE: "there, with the size that was sent",
    Finding.MOVED: "moved, and found",
    Finding.DIFFERENT: "different",
    Finding.MISSING: "missing",
    Finding.UNCHECKED: "not looked at",
}

ALWAYS = frozenset({Finding.IDENTICAL, Finding.DIFFERENT, Finding.MISSING})
"""Shown also where there are none."""


def render(report: VerifyReport, *, full: bool = False) -> str:
    """The whole report as text, lines ended by LF, safe to show."""
    return "\n".join(printable(line.rstrip(), LINE_LIMIT) for line in _lines(report, full)) + "\n"


def _lines(report: VerifyReport, full: bool) -> Iterator[str]:
    yield f"Comparison: {', '.join(s.id for s in report.sources) or 'journal'} ↔ {report.target}"
    yield ""
    yield from _findings(report)
    if report.folders:
        yield ""
        yield from _folders(report)
    for source in report.sources:
        yield ""
        yield from _source(source)
    yield from _notes(report)
    yield from _problems(report, full)
    yield ""
    yield from _verdict(report)


def _findings(report: VerifyReport) -> Iterator[str]:
    table = new_table("", "copies")
    table.add_row("stored or present by the journal", f"{report.copies:,}")
    sign = "  = "
    for finding, number in report.counts.items():
        if number or finding in ALWAYS:
            table.add_row(sign + WORDS[finding], f"{number:,}")
            sign = "  + "
    yield from drawn(table)


def _folders(report: VerifyReport) -> Iterator[str]:
    shown = [finding for finding, number in report.counts.items() if number or finding in ALWAYS]
    table = new_table("folder", "ours", *(finding.value for finding in shown), "in it now")
    for folder in report.folders:
        table.add_row(
            Text(_name(folder)),
            f"{sum(folder.counts.values()):,}",
            *(f"{folder.counts.get(finding, 0):,}" for finding in shown),
            "?" if folder.messages is None else f"{folder.messages:,}",
        )
    yield from drawn(table)


def _name(folder: VerifiedFolder) -> str:
    if folder.mailbox == folder.folder:
        return folder.folder
    return f"{folder.folder} ({folder.mailbox})"


def _source(source: VerifiedSource) -> Iterator[str]:
    parts = ", ".join(f"{number:,} {word}" for word, number in source.counts.items() if number)
    yield f"{source.id} lists {in_messages(source.listed.messages)}: {parts or 'nothing'}"
    if source.read:
        same = source.read - source.different
        yield f"  read and compared: {source.read:,}; {same:,} are the octets that were moved"
    if source.different:
        yield f"  and {source.different:,} are not"
    if source.unread:
        yield f"  {source.unread:,} could not be read now"
    if not source.complete:
        yield "  it may hold more than it lists"


def _notes(report: VerifyReport) -> Iterator[str]:
    notes = [f"rewritten {times:,}: {what}" for what, times in report.rewritten.items()]
    notes += [f"moved {times:,}: found in {where}" for where, times in report.moved.items()]
    if report.counts[Finding.THERE]:
        notes.append("without --full, the octets of a sample are compared, and of all whose size is another")
    if report.lent:
        notes.append(
            f"the same octets from two sources: {in_messages(report.lent)} without a copy of their own"
        )
    if report.in_doubt:
        notes.append(
            f"{report.in_doubt:,} more were sent, and whether they arrived is not known yet: pop2imap migrate "
            "finds out"
        )
    notes += report.remarks
    if notes:
        yield ""
        yield from (f"- {note}" for note in notes)


def _problems(report: VerifyReport, full: bool) -> Iterator[str]:
    if not report.problems:
        return
    yield ""
    yield f"{len(report.problems):,} to look at:"
    shown = report.problems if full else report.problems[:SHORT_LIST]
    for problem in shown:
        yield f"  {_one(problem)}"
        yield f"    because: {problem.reason}; what to do: {problem.todo}"
    if len(shown) < len(report.problems):
        yield f"  … and {len(report.problems) - len(shown):,} more: --report FILE.txt names them all"


def _one(problem: Difference) -> str:
    date = f"{problem.date:%Y-%m-%d}, " if problem.date else ""
    place = f", {problem.folder}" if problem.folder else ", at the source"
    uid = "" if problem.uid is None else f" UID {problem.uid}"
    key = f"{problem.source} {problem.key}"
    return f"{problem.finding.value}: {date}{size(problem.size)}{place}{uid}, {key}"


def _verdict(report: VerifyReport) -> Iterator[str]:
    if report.error is not None:
        yield f"stopped: {report.error}"
        if report.error.again is not Again.NEVER:
            yield "next: run the same command again"
    because = report.because()
    if not because:
        answer = "yes" if report.copies else "yes, for nothing was stored so far"
    else:
        answer = ("no" if report.known else "not known") + f", because {'; '.join(because)}"
    changed = sum(source.different for source in report.sources)
    if changed:
        answer += f" (but the source gives other octets now for {in_messages(changed)})"
    yield f"everything that was stored is there: {answer}"
