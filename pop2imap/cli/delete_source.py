"""``pop2imap delete-source``: delete at a POP3 source what is in the target."""

from __future__ import annotations

import logging
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from pop2imap.cli import options
from pop2imap.cli.kinds import Age, Command, option

if TYPE_CHECKING:
    from pop2imap.config import Config
    from pop2imap.report.deleted import DeletionReport

log = logging.getLogger("pop2imap.cli")

WHAT = "What is deleted"


@click.command(
    "delete-source",
    cls=Command,
    epilog=options.EPILOG,
)
@options.ends
@options.login
@option("--yes", section=WHAT, env=False, is_flag=True, help="Delete without asking: for scripts.")
@option(
    "--older-than",
    section=WHAT,
    type=Age(),
    metavar="DAYS",
    help="Only mail that is older, such as 30d, by the date under which it was moved.",
)
@options.limit(WHAT)
@option(
    "--also-rewritten",
    section=WHAT,
    is_flag=True,
    help="Also what the server of the target has rewritten in known ways: then its octets are nowhere any more.",
)
@options.lenient_end
@options.report
@options.as_json
@options.logging_
@click.pass_context
def command(ctx: click.Context, /, yes: bool, older_than: int | None, also_rewritten: bool, **_: Any) -> int:
    """Delete at a POP3 source the messages whose copies in the target are the same, octet for octet.

    Each message is read from the source, and each copy of it from the target, in this very run; what differs is left
    alone. One message of each folder is deleted first, and their copies are looked for once more. Without --yes it says
    what it could delete and, on a terminal, asks. What is deleted is gone for good.
    """
    options.configure_logs(ctx.params)
    from pop2imap.cli import build, finish
    from pop2imap.cli.interrupt import watched
    from pop2imap.deletion import Choice, delete_source
    from pop2imap.journal import place
    from pop2imap.pipeline import Stop
    from pop2imap.progress import choose
    from pop2imap.sources.pop3 import Pop3Source

    params = ctx.params
    config = build.read_move(options.command_line(ctx), params["config"]).config
    _check_source(config)
    assert config.target is not None
    (of_source,), of_target = build.secrets(config)
    assert of_target is not None
    target = build.target(config.target, of_target)
    spool = place.directory(config.options.state_dir, target.identity) / place.SPOOL
    source = build.source(config.sources[0], of_source, spool)
    assert isinstance(source, Pop3Source)
    stop = Stop()
    with watched(stop):
        report = delete_source(
            source,
            target,
            Choice(
                older_than=None if older_than is None else timedelta(days=older_than),
                limit=config.options.limit,
                also_rewritten=also_rewritten,
            ),
            state_dir=config.options.state_dir,
            confirm=lambda found: yes or _ask(found, as_json=params["as_json"]),
            progress=choose(quiet=params["quiet"], lines=params["log_format"] == "json"),
            stop=stop,
        )
        counts = ", ".join(f"{count.messages} {fate.value}" for fate, count in report.counts.items())
        log.info("%d listed: %s; exit code %d", report.listed.messages, counts, report.exit_code)
        return finish.conclude(
            report, config.reports, ctx, stopped="stopped as asked; what is gone is known. To go on"
        )


def _check_source(config: Config) -> None:
    """Raise UsageError unless there is one source, a POP3 maildrop."""
    from pop2imap.errors import UsageError
    from pop2imap.text import printable

    files = [source for source in config.sources if source.endpoint.kind.is_local]
    if files:
        raise UsageError(
            "these are files of yours, and yours to delete",
            where=printable(str(files[0].endpoint)),
            todo="pop2imap verify --full with this source and target reads both and says whether everything that was "
            "stored is there; then remove the files yourself",
        )
    if len(config.sources) > 1:
        raise UsageError(
            f"{len(config.sources)} sources are named, and one at a time is deleted",
            todo="name the one that is meant, and the target",
        )


def _ask(report: DeletionReport, *, as_json: bool) -> bool:
    """Whether the person at the terminal wants it; False if there is nobody to ask."""
    from pop2imap.cli.output import say
    from pop2imap.report.deleted import Fate
    from pop2imap.report.text import in_messages, size

    if as_json or not (sys.stdin and sys.stdin.isatty()):
        return False
    count = report.counts[Fate.READY]
    say(report.text())
    return click.confirm(
        f"\nDelete {in_messages(count.messages)} ({size(count.octets)}) at the source for good?", err=True
    )
