"""The entry point: finds the command, loads it, and turns whatever comes of it into an exit code."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from pop2imap import __version__

_COMMANDS = {
    "init": "Ask a few questions and write a move.toml.",
    "check": "Log in at both ends and say what each offers.",
    "plan": "Say what would happen, and change nothing.",
    "migrate": "Do it, or go on with it.",
    "verify": "Compare what was stored with what is there now.",
    "status": "Say what was moved and what is under way.",
    "trace": "Say what became of one message, and why.",
    "adopt": "Find in the target what a lost journal does not know.",
    "undo": "Take out of the target what was put into it.",
    "delete-source": "Delete at a POP3 source what is in the target.",
    "demo": "Show it all on sample mail.",
}
"""In the order in which a newcomer needs them. Each is ``command`` in a module of its name, with ``_`` for ``-``, which
is imported only when it is called for, so that the list of them is there at once."""


class LazyGroup(click.Group):
    """Loads a command when it is called for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"pop2imap.cli.{cmd_name.replace('-', '_')}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """A path in place of a command is a store that somebody wants to know about."""
        if args and args[0] not in _COMMANDS:
            from pop2imap.cli.stores import command, is_store

            if is_store(args[0]):
                return args[0], command, args
        try:
            return super().resolve_command(ctx, args)
        except click.exceptions.NoSuchCommand as error:
            raise click.exceptions.NoSuchCommand(error.command_name, None, _COMMANDS, ctx) from None


@click.command(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="""\b
pop2imap COMMAND --help tells of each command and its options.
pop2imap PATH says what mail is at that place on this computer, and what to type next.
Exit codes:
   0  all well                            69  a server cannot be used
   2  typed wrong                         74  this machine: disk, journal, report
   3  done; some messages need a look     75  not finished: run it again
   4  a comparison found a difference     77  a login was refused
  65  a source is not what it should be   78  faults in a file, or no password
  70  a defect of pop2imap: report it    130  interrupted: run it again
""",
)
@click.version_option(__version__, "--version", message="%(prog)s %(version)s")
@click.pass_context
def cli(ctx: click.Context, /) -> int:
    """Move mail from a POP3 maildrop or mbox files into the folders of an IMAP account: once, whole, dated and
    flagged as it was."""
    if ctx.invoked_subcommand is None:
        from pop2imap.cli.intro import introduce

        introduce()
    return 0


@cli.result_callback()
def _exit_code(code: int) -> int:
    """The exit code of the command, where click would take that of the group."""
    return code


def run(argv: Sequence[str]) -> int:
    """Do what ``argv`` (without the program's name) says. Returns the exit code; never raises."""
    from pop2imap import logs
    from pop2imap.cli import output

    output.prepare_streams()
    logs.configure()
    try:
        return _run(argv)
    finally:
        output.flush_streams()
        logs.close()


def _run(argv: Sequence[str]) -> int:
    stdout = sys.stdout
    try:
        from pop2imap.cli.spellings import refuse_foreign

        refuse_foreign(argv)
        code = cli.main(args=list(argv), prog_name="pop2imap", standalone_mode=False, obj=tuple(argv))
        return int(code or 0)
    except SystemExit as end:
        if (
            sys.stdout is not stdout
        ):  # click puts up with a reader of the help who has gone, but calls it an error
            return 0
        return end.code if isinstance(end.code, int) else 0
    except BaseException as error:
        from pop2imap.cli.failure import fail

        as_json = "--json" in argv or bool(os.environ.get("POP2IMAP_JSON"))
        return int(fail(error, argv, as_json=as_json))


def main() -> NoReturn:
    """The program."""
    try:
        code = run(sys.argv[1:])
    except KeyboardInterrupt:  # one more, while the first was being answered
        code = 130  # ExitCode.INTERRUPTED, without an import that can be interrupted
    sys.exit(code)
