"""``pop2imap plan``."""

from __future__ import annotations

from typing import Any

import click

from pop2imap.cli import options
from pop2imap.cli.kinds import Command
from pop2imap.cli.migrate import move, read_state_from


@click.command("plan", cls=Command, epilog=options.EPILOG)
@options.ends
@options.login
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
def command(ctx: click.Context, /, **_: Any) -> int:
    """Say what pop2imap migrate would do, and change nothing.

    The same as pop2imap migrate --dry-run, with the same options.
    """
    return move(ctx, dry_run=True)
