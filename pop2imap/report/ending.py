"""What every report has in common: when it began, how it ended, and what a person should read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

from pop2imap.errors import ExitCode, Pop2imapError

SCHEMA_VERSION = 1
"""Of the JSON form of every report: a promise, described in ``docs/exit-codes.md``."""


class Ended(Protocol):
    """A report. ``error`` is what ended it early, ``interrupted`` the exit code of a stop that did."""

    @property
    def started(self) -> datetime: ...
    @property
    def finished(self) -> datetime: ...
    @property
    def target(self) -> str: ...
    @property
    def remarks(self) -> Sequence[str]: ...
    @property
    def error(self) -> Pop2imapError | None: ...
    @property
    def interrupted(self) -> ExitCode | None: ...
    @property
    def exit_code(self) -> ExitCode: ...


def ended_early(report: Ended) -> ExitCode | None:
    """The exit code of whatever ended it early; None if it came to its end."""
    return report.error.exit_code if report.error is not None else report.interrupted


def frame(report: Ended) -> dict[str, Any]:
    """The fields of the JSON document that all reports share."""
    return {
        "schema_version": SCHEMA_VERSION,
        "result": report.exit_code.name.lower(),
        "exit_code": int(report.exit_code),
        "started": moment(report.started),
        "finished": moment(report.finished),
        "target": report.target,
        "remarks": list(report.remarks),
        "error": Pop2imapError.__str__(report.error) if report.error else None,
    }


def moment(at: datetime) -> str:
    """A moment (UTC) for programs: ``2026-11-23T08:00:00Z``."""
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")
