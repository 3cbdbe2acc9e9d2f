"""The report for people: plain text that reads from top to bottom, the sentence they look for at the end."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pop2imap.errors import Again, ExitCode, Pop2imapError
from pop2imap.model import Account, DateFrom
from pop2imap.report import Problem, Report, retry_at
from pop2imap.text import printable

SHORT_LIST = 20
WIDTH = 110
LINE_LIMIT = 2000

WORDS = {
    Account.STORED: "stored in the target",
    Account.PRESENT: "present there already",
    Account.SKIPPED: "skipped",
    Account.REFUSED: "refused by the target",
    Account.HELD: "held: sent, arrival not known",
    Account.UNREADABLE: "unreadable at the source",
    Account.GONE: "gone from the source",
    Account.PENDING: "pending",
}

DATES = {
    DateFrom.ENVELOPE: "the From_ line of the mbox",
    DateFrom.RECEIVED: "the top Received line",
    DateFrom.DATE: "the Date line",
    DateFrom.NEIGHBOUR: "the nearest dated neighbour, having none of their own",
    DateFrom.RUN: "the start of this run, there being no date anywhere",
}


def render(report: Report, *, full: bool = False) -> str:
    """The whole report as text, lines ended by LF, safe to show: folder names are the server's words."""
    return "\n".join(printable(line.rstrip(), LINE_LIMIT) for line in _lines(report, full)) + "\n"


def _lines(report: Report, full: bool) -> Iterator[str]:
    plan = report.dry_run
    yield f"{'Plan' if plan else 'Report'}: {', '.join(s.id for s in report.sources) or 'nothing'} → {report.target}"
    if report.read_state_guessed:
        yield (
            f"Read or unread is not known of {in_messages(report.read_state_guessed)}; "
            f"--mark {report.mark} decides: {_mark_in_words(report.mark)}."
        )
    yield ""
    yield from _equation(report)
    if report.folders:
        yield ""
        yield from _folders(report)
    if report.rules and (report.dates or report.skipped_why):  # something was decided
        yield ""
        yield from _rules(report)
    yield from _notes(report)
    yield from problem_lines(report.problems, full)
    yield from _repaired(report, full)
    yield ""
    yield from _verdict(report)


def _equation(report: Report) -> Iterator[str]:
    words = dict(WORDS)
    if report.dry_run:
        words |= {Account.STORED: "stored by an earlier run", Account.PENDING: "to be moved"}
    table = new_table("", "messages", "size")
    table.add_row("listed at the source", f"{report.listed.messages:,}", size(report.listed.octets))
    for account, count in report.counts.items():
        if count.messages or account in {Account.STORED, Account.PENDING}:
            sign = "  = " if account is Account.STORED else "  + "
            table.add_row(sign + words[account], f"{count.messages:,}", size(count.octets))
    yield from drawn(table)
    if not report.dry_run:
        yield f"moved in this run: {in_messages(report.moved.messages)}, {size(report.moved.octets)}"
    if report.extra_copies:
        yield f"and {report.extra_copies:,} more copies, by rules that name more than one folder"
    if (copies := report.copies) is not None:
        yield (
            f"at home and in the maildrop: {copies.both:,}; only at home: {copies.only_at_home:,}; "
            f"only in the maildrop: {copies.only_in_maildrop:,}"
        )


def _folders(report: Report) -> Iterator[str]:
    plan = report.dry_run
    columns = ["before", "to come" if plan else "added", "size", "unseen", "flagged"]
    table = new_table("folder", *columns, *(() if plan else ("ours", "after")))
    for folder in report.folders:
        name = folder.folder
        if folder.mailbox and folder.mailbox != name:
            name = f"{name} ({folder.mailbox})"
        row = [
            "new" if folder.created else _known(folder.before),
            f"{folder.added.messages:,}",
            size(folder.added.octets),
            f"{folder.unseen:,}",
            f"{folder.flagged:,}",
        ]
        if not plan:
            row += [f"{folder.ours.messages:,}", _known(folder.after)]
        table.add_row(Text(name), *row)
    yield from drawn(table)


def _rules(report: Report) -> Iterator[str]:
    table = new_table("rule", "matched")
    for name, matched in report.rules:
        table.add_row(Text(name), f"{matched:,}" if matched else "never")
    yield from drawn(table)
    if report.dry_run and report.whys:
        yield ""
        yield "why, by the first message of each:"
        for why in report.whys[:SHORT_LIST]:
            yield f"  {why}"


def _notes(report: Report) -> Iterator[str]:
    notes = []
    if report.dates:
        used = ", ".join(f"{used:,} by {DATES[source]}" for source, used in report.dates.items())
        notes.append(f"dates: {used}")
    if report.dropped_flags:
        lost = ", ".join(f"{flag} ({times:,})" for flag, times in report.dropped_flags.items())
        notes.append(f"flags that the target does not keep: {lost}")
    notes += [f"skipped {times:,}: {why}" for why, times in report.skipped_why.items()]
    if any(source.id.startswith("pop3:") for source in report.sources):
        notes.append(
            "POP3 shows one folder only: no other folders, no sent mail, not what was read, answered or starred"
        )
    notes += report.remarks
    if notes:
        yield ""
        yield from (f"- {note}" for note in notes)


def problem_lines(problems: Sequence[Problem], full: bool) -> Iterator[str]:
    """The messages to look at, after an empty line; ``full``: all of them. Nothing if there are none."""
    if not problems:
        return
    yield ""
    yield f"{len(problems):,} to look at:"
    shown = problems if full else problems[:SHORT_LIST]
    for problem in shown:
        date = f"{problem.date:%Y-%m-%d} " if problem.date else ""
        subject = f'"{problem.subject}"' if problem.subject else "(no subject known)"
        yield f"  {problem.account.value}: {date}{subject}, {size(problem.size)}, {problem.source} {problem.key}"
        yield f"    because: {problem.reason or 'no reason known'}; what to do: {problem.todo}"
        if problem.saved:
            yield f"    kept as {problem.saved}"
    if len(shown) < len(problems):
        yield f"  … and {len(problems) - len(shown):,} more: --report FILE.txt names them all"


def _repaired(report: Report, full: bool) -> Iterator[str]:
    if not report.repaired:
        return
    yield ""
    yield f"{in_messages(len(report.repaired))} stored after a repair:"
    shown = report.repaired if full else report.repaired[:SHORT_LIST]
    for one in shown:
        kept = f"; its original is {one.saved}" if one.saved else ""
        yield f"  {', '.join(one.repairs)}: {size(one.size)}, {one.source} {one.key}{kept}"
    if len(shown) < len(report.repaired):
        yield f"  … and {len(report.repaired) - len(shown):,} more: --report FILE.txt names them all"


def _verdict(report: Report) -> Iterator[str]:
    if report.error is not None:
        yield f"stopped: {report.error}"
    if report.dry_run:
        yield "nothing was changed: this is a plan"
    else:
        unsafe = report.unsafe_because()
        yield "safe to delete the source: " + (f"no, because {'; '.join(unsafe)}" if unsafe else "yes")
    yield f"next: {_next(report)}"


def _next(report: Report) -> str:
    pending = report.counts[Account.PENDING].messages
    if report.error is not None:
        return next_after(report.error, report.finished)
    if report.dry_run:
        return "pop2imap migrate, with the same options" if pending else "nothing is left to move"
    match report.exit_code:
        case ExitCode.OK:
            return "run it again whenever new mail has come to the source; only that is moved"
        case ExitCode.INCOMPLETE:
            return "look at the messages named above; nothing else is left to move"
        case _:
            return "run the same command again; it goes on where it stopped"


def next_after(error: Pop2imapError | None, finished: datetime) -> str:
    """What to do after this error, which ended a run at this moment (UTC); None: after a stop."""
    if error is not None and error.again is Again.NEVER:
        return error.todo or "mend what stopped it, then run the same command again"
    at = retry_at(error, finished)
    when = f" at {at:%Y-%m-%d %H:%M:%S} UTC or later" if at else ""
    return f"run the same command again{when}; it goes on where it stopped"


def _mark_in_words(mark: str) -> str:
    if mark == "auto":
        return "older than 14 days counts as read"
    if mark.startswith("older-than"):
        return f"older than {mark.partition(':')[2].removesuffix('d')} days counts as read"
    return "all count as read" if mark == "seen" else "all count as unread"


def in_messages(number: int) -> str:
    """``1 message``, ``1,200 messages``."""
    return f"{number:,} message{'' if number == 1 else 's'}"


def _known(number: int | None) -> str:
    return "?" if number is None else f"{number:,}"


def size(octets: int) -> str:
    """Octets for people: ``731``, ``12.3 kB``, ``4.0 GB`` (powers of 1000)."""
    if octets < 1000:
        return f"{octets} B"
    amount = float(octets)
    units = iter(("kB", "MB", "GB", "TB"))
    while True:
        amount, unit = amount / 1000, next(units)
        if amount < 999.95 or unit == "TB":
            return f"{amount:.1f} {unit}"


def new_table(first: str, *others: str) -> Table:
    """A table without lines: a first column that may fold, and numbers."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(first, overflow="fold")
    for name in others:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def cell(words: str) -> Text:
    """A cell with the words of others, in which nothing is taken for markup."""
    return Text(printable(words, LINE_LIMIT))


def drawn(table: Table) -> Iterable[str]:
    """Columns as wide as their contents, wide characters counted as two cells, no colours."""
    out = io.StringIO()
    Console(file=out, width=WIDTH, color_system=None, legacy_windows=False).print(table)
    return out.getvalue().rstrip("\n").split("\n")
