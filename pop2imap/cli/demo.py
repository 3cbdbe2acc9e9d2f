"""``pop2imap demo``."""

from __future__ import annotations

from pathlib import Path

import click

from pop2imap.cli.kinds import Command, FilePath, option

DEMO = "Demo"


@click.command("demo", cls=Command)
@option("--dovecot", section=DEMO, is_flag=True, help="Use a real Dovecot, which must be installed.")
@option(
    "--keep", section=DEMO, type=FilePath(folder=True), help="Keep all files in this new or empty folder."
)
def command(dovecot: bool, keep: Path | None) -> int:
    """Show the whole thing on sample mail, with a POP3 and an IMAP server of its own.

    Needs no root, no account and no network; nothing leaves this machine.
    """
    from pop2imap.cli.output import say
    from pop2imap.errors import UsageError

    try:
        from pop2imap.demo import run
    except ModuleNotFoundError as error:
        raise UsageError(
            f"the demo needs a package that is not installed: {error.name}",
            todo="pip install 'pop2imap[demo]'",
        ) from None
    return run(dovecot, keep, say)
