"""The report for programs: the JSON document, a CSV of the folders and problems, and writing any of them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pop2imap import private
from pop2imap.errors import LocalIOError, UsageError
from pop2imap.model import Account
from pop2imap.report import Count, FolderReport, Problem, Repaired, Report, SourceReport
from pop2imap.report.ending import frame, moment
from pop2imap.report.text import render
from pop2imap.text import printable

FORMULA_STARTS = ("=", "+", "-", "@")
"""OWASP names TAB and CR too: no cell holds those as they are."""

CELL_LIMIT = 2000


def as_dict(report: Report) -> dict[str, Any]:
    """The document of ``--json``; its fields are described in ``docs/exit-codes.md``."""
    counts = report.counts
    unsafe = report.unsafe_because()
    return {
        **frame(report),
        "dry_run": report.dry_run,
        "counts": {"source": report.listed.messages}
        | {account.value: counts[account].messages for account in Account},
        "octets": {"source": report.listed.octets}
        | {account.value: counts[account].octets for account in Account},
        "moved": _count(report.moved),
        "extra_copies": report.extra_copies,
        "copies": None if report.copies is None else report.copies._asdict(),
        "sources": [_source(source) for source in report.sources],
        "folders": [_folder(folder) for folder in report.folders],
        "rules": [{"name": name, "matched": matched} for name, matched in report.rules],
        "dates": {source.name.lower(): used for source, used in report.dates.items()},
        "read_state_guessed": report.read_state_guessed,
        "flags_dropped": dict(report.dropped_flags),
        "skipped_because": dict(report.skipped_why),
        "problems": [problem_as_dict(problem) for problem in report.problems],
        "repaired": [_repaired(repaired) for repaired in report.repaired],
        "retry_at": moment(report.retry_at) if report.retry_at else None,
        "safe_to_delete_source": not unsafe and not report.dry_run,
        "unsafe_because": list(unsafe),
    }


def _source(source: SourceReport) -> dict[str, Any]:
    return {
        "id": source.id,
        "complete": source.complete,
        "listed": _count(source.listed),
        "counts": {account.value: source.counts[account].messages for account in Account},
    }


def _folder(folder: FolderReport) -> dict[str, Any]:
    return {
        "name": folder.folder,
        "mailbox": folder.mailbox,
        "created": folder.created,
        "before": folder.before,
        "messages": folder.added.messages,
        "bytes": folder.added.octets,
        "unseen": folder.unseen,
        "flagged": folder.flagged,
        "ours": folder.ours.messages,
        "after": folder.after,
    }


def problem_as_dict(problem: Problem) -> dict[str, Any]:
    """One message to look at."""
    return {
        "account": problem.account.value,
        "source": problem.source,
        "key": problem.key,
        "date": moment(problem.date) if problem.date else None,
        "subject": problem.subject,
        "size": problem.size,
        "reason": problem.reason,
        "todo": problem.todo,
        "saved": printable(problem.saved, CELL_LIMIT) or None,
    }


def _repaired(repaired: Repaired) -> dict[str, Any]:
    return {
        "source": repaired.source,
        "key": repaired.key,
        "size": repaired.size,
        "repairs": list(repaired.repairs),
        "saved": printable(repaired.saved, CELL_LIMIT) or None,
    }


def as_csv(report: Report) -> str:
    """One table: a row for each word of the equation, folder, rule, problem and repaired message."""
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\r\n")  # RFC 4180
    rows.writerow(("what", "name", "messages", "octets", "date", "size", "key", "reason", "saved"))
    for account, count in report.counts.items():
        rows.writerow(("count", account.value, count.messages, count.octets))
    for folder in report.folders:
        rows.writerow(("folder", cell(folder.folder), folder.added.messages, folder.added.octets))
    for name, matched in report.rules:
        rows.writerow(("rule", cell(name), matched, ""))
    for problem in report.problems:
        rows.writerow(
            (
                problem.account.value,
                cell(problem.subject),
                1,
                "",
                moment(problem.date) if problem.date else "",
                problem.size,
                cell(problem.key),
                cell(problem.reason),
                cell(problem.saved),
            )
        )
    for one in report.repaired:
        how = ", ".join(one.repairs)
        rows.writerow(("repaired", "", 1, "", "", one.size, cell(one.key), how, cell(one.saved)))
    return out.getvalue()


def write(report: Report, path: Path) -> None:
    """See :meth:`Report.write`."""
    put(
        path,
        json=lambda: json.dumps(as_dict(report), indent=2) + "\n",
        csv=lambda: as_csv(report),
        txt=lambda: render(report, full=True),
    )


def put(path: Path, **forms: Callable[[], str]) -> None:
    """Write into a file the form that its suffix picks. Raises UsageError for a suffix that is none of ``forms``,
    LocalIOError when it cannot be written."""
    form = forms.get(path.suffix.lower().removeprefix("."))
    if form is None:
        raise UsageError(f"{path}: the suffix of a report is .json, .csv or .txt")
    text = form()
    try:
        with open(path, "w", encoding="utf-8", newline="", opener=private.opened) as file:
            file.write(text)
    except OSError as error:
        raise LocalIOError(f"the report cannot be written: {error.strerror}", where=str(path)) from error


def _count(count: Count) -> dict[str, int]:
    return {"messages": count.messages, "bytes": count.octets}


def cell(text: str) -> str:
    """Text that a spreadsheet will not take for a formula (OWASP ASVS 1.2.10), and a terminal not for commands."""
    text = printable(text, CELL_LIMIT)
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text
