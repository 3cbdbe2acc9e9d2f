"""The end of a command that makes a report: the report to wherever it was asked for, and last words."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import click

from pop2imap.cli.failure import tell
from pop2imap.cli.output import say, say_json
from pop2imap.errors import ConfigError, ExitCode, LocalIOError, Pop2imapError
from pop2imap.report import Report

log = logging.getLogger("pop2imap.cli")


class AnyReport(Protocol):
    """What the reports of all commands have in common."""

    @property
    def exit_code(self) -> ExitCode: ...
    @property
    def error(self) -> Pop2imapError | None: ...
    @property
    def interrupted(self) -> ExitCode | None: ...
    def text(self, *, full: bool = False) -> str: ...
    def as_dict(self) -> dict[str, Any]: ...
    def write(self, path: Path) -> None: ...


def finish(report: Report, files: Sequence[Path], ctx: click.Context) -> ExitCode:
    """Write and print the report. Returns the exit code: that of the report, or 74 if all is well but for a
    report that could not be written."""
    code = report.exit_code
    counts = ", ".join(f"{count.messages} {account.value}" for account, count in report.counts.items())
    log.info("%d listed: %s; exit code %d", report.listed.messages, counts, code)
    for remark in report.remarks:
        log.info("%s", remark)
    for problem in report.problems:
        log.info("%s: %s %s: %s", problem.account.value, problem.source, problem.key, problem.reason)
    return conclude(
        report,
        files,
        ctx,
        stopped="stopped as asked; what was moved is settled. To go on",
        worth_showing=bool(report.sources),
    )


def conclude(
    report: AnyReport, files: Sequence[Path], ctx: click.Context, *, stopped: str, worth_showing: bool = True
) -> ExitCode:
    """The same for any report. ``stopped``: what to say, before the command that goes on, when it was interrupted."""
    code, params = report.exit_code, ctx.params
    for path in files:
        try:
            report.write(path)
        except LocalIOError as trouble:
            tell(str(trouble))
            code = code or trouble.exit_code
    if params["as_json"]:
        say_json(report.as_dict())
    elif worth_showing and not (params["quiet"] and code is ExitCode.OK):
        say(report.text(full=params["verbose"] > 0))
    if report.error is not None:
        error = report.error
        tell(Pop2imapError.__str__(error), error.problems if isinstance(error, ConfigError) else ())
    if report.interrupted is not None:
        tell(f"{stopped}: {shlex.join(['pop2imap', *ctx.find_root().obj])}")
    return code
