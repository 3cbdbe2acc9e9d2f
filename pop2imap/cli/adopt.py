"""``pop2imap adopt``: find in the target what the journal does not know."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pop2imap.cli import options
from pop2imap.cli.kinds import Command, option

if TYPE_CHECKING:
    from pop2imap.job import Job

log = logging.getLogger("pop2imap.cli")


@click.command(
    "adopt",
    cls=Command,
    epilog=options.EPILOG,
)
@options.ends
@options.login
@option(
    "-n",
    "--dry-run",
    section=options.WHERE,
    env=False,
    is_flag=True,
    help="Only say what would be found, and change nothing, in the journal neither.",
)
@options.deciding
@options.keep_duplicates
@options.fence
@options.reading
@option(
    "--full",
    section=options.READING,
    is_flag=True,
    default=None,
    help="Read also what is of another size than expected: for servers that change messages or state wrong sizes.",
)
@options.accept_renumbered
@options.allow_same_account
@options.report
@options.as_json
@options.logging_
@click.pass_context
def command(ctx: click.Context, /, dry_run: bool, **_: Any) -> int:
    """Find in the target what the sources list and the journal does not know, and note it in the journal.

    For a journal that was lost or is an old copy, a folder that the server has renumbered, held messages, and mail that
    another program has moved. All folders are looked through. Nothing is sent or deleted; what is found, migrate does
    not send again, and what is not found, it does. Without a source, only held messages are looked for.
    """
    options.configure_logs(ctx.params)
    from pop2imap.adopt import adopt
    from pop2imap.cli import finish
    from pop2imap.cli.interrupt import watched
    from pop2imap.pipeline import Stop
    from pop2imap.progress import choose

    params = ctx.params
    job, reports = _job(ctx, dry_run=dry_run)
    stop = Stop()
    with watched(stop):
        report = adopt(job, choose(quiet=params["quiet"], lines=params["log_format"] == "json"), stop)
        log.info(
            "%d adopted, %d held found; exit code %d",
            report.found.messages,
            report.held_found,
            report.exit_code,
        )
        return finish.conclude(
            report, reports, ctx, stopped="stopped as asked; what was found is known. To go on"
        )


def _job(ctx: click.Context, *, dry_run: bool) -> tuple[Job, Sequence[Path]]:
    """What is to be looked for, and where reports go."""
    from pop2imap.cli import build, recall
    from pop2imap.errors import UsageError
    from pop2imap.job import Job
    from pop2imap.journal import place

    params = ctx.params
    said = build.read_move(options.command_line(ctx), params["config"], part_will_do=True)
    config = said.config
    if config.target is None:
        raise UsageError(
            "no target is named: the last endpoint must be one",
            todo="write pop2imap adopt pop3s://alice@pop.example.com imaps://alice@imap.example.com",
        )
    rules = build.rules(config.options)
    of_sources, of_target = build.secrets(config)
    assert of_target is not None
    target = build.target(config.target, of_target)
    spool = None
    if config.sources and not dry_run:
        recall.remember(
            config.options.state_dir, target.identity, config, said.line, said.file, recalled=said.recalled
        )
        spool = place.directory(config.options.state_dir, target.identity) / place.SPOOL
    sources = tuple(
        build.source(source, secret, spool) for source, secret in zip(config.sources, of_sources, strict=True)
    )
    return Job(sources, target, rules, config.options, dry_run), config.reports
