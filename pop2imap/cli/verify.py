"""``pop2imap verify``: is everything that was stored still there?"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pop2imap.cli import options
from pop2imap.cli.kinds import Command, option
from pop2imap.errors import ExitCode

if TYPE_CHECKING:
    from pop2imap.report.verified import VerifyReport

log = logging.getLogger("pop2imap.cli")


@click.command(
    "verify",
    cls=Command,
    epilog=options.EPILOG,
)
@options.ends
@options.login
@options.reading
@option(
    "--full",
    section=options.READING,
    is_flag=True,
    default=None,
    help="Read every message, in the target and at the sources, and compare all octets; some POP3 servers then "
    "mark them as read.",
)
@options.report
@options.as_json
@options.logging_
@click.pass_context
def command(ctx: click.Context, /, **_: Any) -> int:
    """Compare what the journal says was stored with what is in the target now, and change nothing.

    Each copy is identical, rewritten by the server, moved by its owner, different, or missing; the last two end
    with exit code 4. Sources may be left out; those that are named are listed, and what is new there is counted.
    """
    options.configure_logs(ctx.params)
    from pop2imap.cli import build
    from pop2imap.cli.interrupt import watched
    from pop2imap.errors import UsageError
    from pop2imap.pipeline import Stop
    from pop2imap.progress import choose
    from pop2imap.verify import verify

    params = ctx.params
    config = build.read_move(options.command_line(ctx), params["config"], part_will_do=True).config
    if config.target is None:
        raise UsageError(
            "no target is named: the last endpoint must be one",
            todo="write pop2imap verify imaps://alice@imap.example.com",
        )
    of_sources, of_target = build.secrets(config)
    assert of_target is not None
    sources = [
        build.source(source, secret, None) for source, secret in zip(config.sources, of_sources, strict=True)
    ]
    stop = Stop()
    with watched(stop):
        report = verify(
            build.target(config.target, of_target),
            sources,
            state_dir=config.options.state_dir,
            full=config.options.full,
            progress=choose(quiet=params["quiet"], lines=params["log_format"] == "json"),
            stop=stop,
        )
        return _finish(report, config.reports, ctx)


def _finish(report: VerifyReport, files: Sequence[Path], ctx: click.Context) -> ExitCode:
    """Write and print the report. Returns its exit code, or 74 if all is well but for a file."""
    from pop2imap.cli.finish import conclude

    code = report.exit_code
    counts = ", ".join(f"{number} {finding.value}" for finding, number in report.counts.items())
    log.info("%d copies: %s; exit code %d", report.copies, counts, code)
    for problem in report.problems:
        log.info("%s: %s %s: %s", problem.finding.value, problem.source, problem.key, problem.reason)
    return conclude(report, files, ctx, stopped="stopped as asked. To compare anew")
