"""A comparison for programs: the JSON document and the CSV, as ``docs/exit-codes.md`` describes them."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from pop2imap.report.ending import frame, moment
from pop2imap.report.files import cell, put
from pop2imap.report.verified import Difference, Finding, VerifiedFolder, VerifiedSource, VerifyReport


def as_dict(report: VerifyReport) -> dict[str, Any]:
    """The document of ``--json``."""
    because = report.because()
    return {
        **frame(report),
        "full": report.full,
        "counts": {"copies": report.copies}
        | {finding.value: number for finding, number in report.counts.items()},
        "rewritten": dict(report.rewritten),
        "moved_to": dict(report.moved),
        "lent": report.lent,
        "in_doubt": report.in_doubt,
        "folders": [_folder(folder) for folder in report.folders],
        "sources": [_source(source) for source in report.sources],
        "problems": [_problem(problem) for problem in report.problems],
        "everything_is_there": not because,
        "because": list(because),
    }


def _folder(folder: VerifiedFolder) -> dict[str, Any]:
    return {
        "name": folder.folder,
        "mailbox": folder.mailbox,
        "messages": folder.messages,
        "counts": {finding.value: folder.counts.get(finding, 0) for finding in Finding},
    }


def _source(source: VerifiedSource) -> dict[str, Any]:
    return {
        "id": source.id,
        "complete": source.complete,
        "listed": {"messages": source.listed.messages, "bytes": source.listed.octets},
        "counts": dict(source.counts),
        "read": source.read,
        "different": source.different,
        "unread": source.unread,
    }


def _problem(problem: Difference) -> dict[str, Any]:
    return {
        "finding": problem.finding.value,
        "source": problem.source,
        "key": problem.key,
        "date": moment(problem.date) if problem.date else None,
        "size": problem.size,
        "folder": problem.folder or None,
        "uid": problem.uid,
        "reason": problem.reason,
        "todo": problem.todo,
    }


def as_csv(report: VerifyReport) -> str:
    """One table: a row for each finding, folder, source and problem."""
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\r\n")  # RFC 4180
    rows.writerow(("what", "name", "messages", "date", "size", "source", "key", "uid", "reason"))
    for finding, number in report.counts.items():
        rows.writerow(("count", finding.value, number))
    for folder in report.folders:
        rows.writerow(("folder", cell(folder.folder), sum(folder.counts.values())))
    for source in report.sources:
        rows.writerow(("source", cell(source.id), source.listed.messages))
    for problem in report.problems:
        rows.writerow(
            (
                problem.finding.value,
                cell(problem.folder),
                1,
                moment(problem.date) if problem.date else "",
                problem.size,
                cell(problem.source),
                cell(problem.key),
                problem.uid or "",
                cell(problem.reason),
            )
        )
    return out.getvalue()


def write(report: VerifyReport, path: Path) -> None:
    """See :meth:`VerifyReport.write`."""
    put(
        path,
        json=lambda: json.dumps(as_dict(report), indent=2) + "\n",
        csv=lambda: as_csv(report),
        txt=lambda: report.text(full=True),
    )
