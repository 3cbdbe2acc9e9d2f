"""``pop2imap undo``: take out of the target again what was put into it."""

from __future__ import annotations

import logging
import shlex
import sys
from typing import TYPE_CHECKING, Any

import click

from pop2imap.cli import options
from pop2imap.cli.kinds import Command, option
from pop2imap.errors import ExitCode

if TYPE_CHECKING:
    from pop2imap.options import Options
    from pop2imap.report.undone import UndoReport
    from pop2imap.target import Erasing

log = logging.getLogger("pop2imap.cli")

UNDO = "What is undone"


@click.command("undo", cls=Command, epilog=options.EPILOG)
@options.ends
@options.login
@option(
    "--run",
    "number",
    section=UNDO,
    env=False,
    type=click.IntRange(min=1),
    metavar="N",
    help="Only what run number N stored; pop2imap status --json tells of the last runs.  [default: all runs]",
)
@option("-n", "--dry-run", section=UNDO, env=False, is_flag=True, help="Only say what would be removed.")
@option("-y", "--yes", section=UNDO, env=False, is_flag=True, help="Remove it without asking.")
@option(
    "--without-uidplus",
    section=UNDO,
    env=False,
    is_flag=True,
    help="On servers that cannot expunge single messages: expunge the folder, if nothing else in it is marked as "
    "deleted.",
)
@option(
    "--also-deleted",
    section=UNDO,
    env=False,
    is_flag=True,
    help="Also what was deleted at its source (pop2imap delete-source): then it is nowhere any more.",
)
@options.as_json
@options.logging_
@click.pass_context
def command(
    ctx: click.Context, /, number: int | None, dry_run: bool, yes: bool, also_deleted: bool, **_: Any
) -> int:
    """Take out of the target what pop2imap stored there: exactly those messages, each compared by content before it
    goes, and the folders that it made, if they are empty then.

    First it says what it would remove, and asks. What was moved or changed meanwhile, was there before, or was deleted
    at its source, stays. The sources are not asked for; a later migrate moves what was undone again.
    """
    options.configure_logs(ctx.params)
    from pop2imap.cli.interrupt import watched
    from pop2imap.errors import NotFinished
    from pop2imap.pipeline import Stop
    from pop2imap.progress import choose
    from pop2imap.undo import foresee, undo

    params = ctx.params
    target, said = _target(ctx)
    progress = choose(quiet=params["quiet"], lines=params["log_format"] == "json")
    stop = Stop()
    with watched(stop):
        report = foresee(
            target,
            state_dir=said.state_dir,
            run=number,
            also_deleted=also_deleted,
            progress=progress,
            stop=stop,
        )
        if dry_run or report.exit_code is not ExitCode.OK:
            return _finish(report, ctx)
        if not yes:
            if not params["as_json"]:
                _say(report, ctx)
            if not _agreed(report):
                nobody = NotFinished("nothing was removed: nobody has agreed", todo="--yes does")
                return _finish(report._replace(error=nobody), ctx, said=True)
        report = undo(
            target,
            state_dir=said.state_dir,
            run=number,
            plain=params["without_uidplus"],
            also_deleted=also_deleted,
            progress=progress,
            stop=stop,
            fence=said.fence,
        )
        return _finish(report, ctx)


def _target(ctx: click.Context) -> tuple[Erasing, Options]:
    """The target that is meant, not yet opened, and the options."""
    from pop2imap.cli import build
    from pop2imap.errors import UsageError

    if len(ctx.params["endpoints"]) > 1:
        raise UsageError(
            "undo takes back what was stored in one target, whichever source it came from",
            todo="name the target alone: pop2imap undo imaps://alice@imap.example.com",
        )
    config = build.read_move(options.command_line(ctx), ctx.params["config"], part_will_do=True).config
    if config.target is None:
        raise UsageError("no target is named", todo="write pop2imap undo imaps://alice@imap.example.com")
    secret = build.secrets(config._replace(sources=()))[1]
    assert secret is not None
    return build.target(config.target, secret), config.options


def _agreed(report: UndoReport) -> bool:
    """Whether a person says that it shall be so."""
    from pop2imap.report.undone import Undone

    if not sys.stdin or not sys.stdin.isatty():
        return False
    number = report.counts[Undone.REMOVED]
    return click.confirm(f"Remove {number:,} messages from {report.target}?", err=True)


def _say(report: UndoReport, ctx: click.Context) -> None:
    from pop2imap.cli.output import say

    say(report.text(full=ctx.params["verbose"] > 0))


def _finish(report: UndoReport, ctx: click.Context, *, said: bool = False) -> ExitCode:
    """Print the report, unless it was ``said`` before. Returns its exit code."""
    from pop2imap.cli.failure import tell
    from pop2imap.cli.output import say_json
    from pop2imap.errors import Pop2imapError

    code, params = report.exit_code, ctx.params
    counts = ", ".join(f"{number} {outcome.value}" for outcome, number in report.counts.items())
    log.info("%d copies: %s; exit code %d", report.copies, counts, code)
    if params["as_json"]:
        say_json(report.as_dict())
    elif not said and not (params["quiet"] and code is ExitCode.OK):
        _say(report, ctx)
    if report.error is not None:
        tell(Pop2imapError.__str__(report.error))
    if report.interrupted is not None:
        tell(f"stopped as asked. To go on: {shlex.join(['pop2imap', *ctx.find_root().obj])}")
    return code
