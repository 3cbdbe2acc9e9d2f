"""``pop2imap migrate``, and the body that it shares with ``plan``."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import click

from pop2imap import __version__
from pop2imap.cli import options
from pop2imap.cli.kinds import Command, EndpointText, option

if TYPE_CHECKING:
    from pop2imap.sources.mbox_known import Memory

log = logging.getLogger("pop2imap.cli")


read_state_from = option(
    "--read-state-from",
    section=options.READING,
    type=EndpointText(),
    help="imaps://USER@HOST: the IMAP account that shows the mail of the POP3 source; read, answered, starred and tags "
    "come from its INBOX.",
)


@click.command("migrate", cls=Command, epilog=options.EPILOG)
@options.ends
@options.login
@option(
    "-n",
    "--dry-run",
    section=options.WHERE,
    env=False,
    is_flag=True,
    help="Only say what would happen, like pop2imap plan.",
)
@options.where
@options.speed
@options.refused
@options.reading
@read_state_from
@options.rescan
@options.full
@options.accept_renumbered
@options.allow_same_account
@options.report
@options.as_json
@options.logging_
@click.pass_context
def command(ctx: click.Context, /, dry_run: bool, **_: Any) -> int:
    """Move mail from the sources into the folders of the target.

    Run it again to go on after an interruption, or to fetch what has come since: what is in the target is never
    sent twice. Nothing is ever deleted at a source.
    """
    return move(ctx, dry_run=dry_run)


def move(ctx: click.Context, *, dry_run: bool) -> int:
    """Plan or migrate, from the command line to the last line of the report. Returns the exit code."""
    options.configure_logs(ctx.params)
    from pop2imap import memory
    from pop2imap.at_home import in_order
    from pop2imap.cli import build, finish, recall, state
    from pop2imap.cli.interrupt import watched
    from pop2imap.job import Job
    from pop2imap.journal import place
    from pop2imap.migrate import migrate
    from pop2imap.pipeline import Stop
    from pop2imap.progress import choose

    params = ctx.params
    said = build.read_move(options.command_line(ctx), params["config"])
    config = said.config
    assert config.target is not None
    rules = build.rules(config.options)
    of_sources, of_target = build.secrets(config)
    assert of_target is not None
    states = state.read_from(config, of_sources)
    target = build.target(config.target, of_target)
    where = place.directory(config.options.state_dir, target.identity)
    spool = None
    if not dry_run:
        recall.remember(
            config.options.state_dir, target.identity, config, said.line, said.file, recalled=said.recalled
        )
        spool = where / place.SPOOL

    def known() -> Memory:
        from pop2imap.sources.mbox_known import Memory

        return Memory(where / place.LISTINGS, rescan=config.options.rescan, read_only=dry_run)

    sources = tuple(
        with_state(build.source(source, secret, spool, known))
        for source, secret, with_state in zip(config.sources, of_sources, states, strict=True)
    )
    ends = ", ".join(str(source.endpoint) for source in config.sources)
    log.info("pop2imap %s: %s → %s", __version__, ends, config.target.endpoint)
    stop = Stop()
    with watched(stop):
        memory.settle_in()
        report = migrate(
            Job(in_order(sources), target, rules, config.options, dry_run),
            choose(quiet=params["quiet"], lines=params["log_format"] == "json"),
            stop,
        )
        return finish.finish(report, config.reports, ctx)
