"""What a command says when it does not come to its end: one clear line on standard error, its exit code, and
with ``--json`` a document on standard output. Never a traceback, never a password.

What a person typed may hold a password in a place where none belongs, and click repeats what it does not
understand. So every word of the command line in which one could be is taken out of what click says.
"""

from __future__ import annotations

import logging
import os
import traceback
from collections.abc import Sequence
from typing import Any

import click

from pop2imap import logs
from pop2imap.cli.output import say_json
from pop2imap.errors import ConfigError, ExitCode, InternalError, Pop2imapError
from pop2imap.text import printable

SCHEMA_VERSION = 1
"""That of the report: its documents and these have the same fields where they mean the same."""

MOST = 2000

log = logging.getLogger("pop2imap.cli")


def fail(error: BaseException, argv: Sequence[str], *, as_json: bool) -> ExitCode:
    """Say what ended the command. Returns the exit code."""
    problems: tuple[str, ...] = ()
    match error:
        case ConfigError():
            line, problems = Pop2imapError.__str__(error), error.problems
            code = error.exit_code
        case Pop2imapError():
            line, code = str(error), error.exit_code
            if isinstance(error, InternalError):
                line = f"a defect of pop2imap: {line} (please report it; nothing is lost: run it again)"
        case click.ClickException():
            line, code = _of_click(error, argv), ExitCode.USAGE
        case click.Abort() | KeyboardInterrupt():
            line, code = "interrupted before anything was done", ExitCode.INTERRUPTED
        case MemoryError():
            line, code = "this machine has not enough memory for that", ExitCode.LOCAL_IO
        case _:
            line, code = _defect(error), ExitCode.INTERNAL
    if as_json:
        say_json(document(error, line, code, problems))
    tell(line, problems)
    if os.environ.get("POP2IMAP_DEBUG"):
        log.error("traceback, for a report of a defect", exc_info=error)
    return code


def tell(line: str, problems: Sequence[str] = ()) -> None:
    """Last words on standard error, and in the log file."""
    logs.say_error(printable(line, MOST), *(printable(problem, MOST) for problem in problems))


def document(error: BaseException, line: str, code: ExitCode, problems: Sequence[str] = ()) -> dict[str, Any]:
    """The JSON document of a command that did not get as far as a report."""
    known = isinstance(error, Pop2imapError)
    return {
        "schema_version": SCHEMA_VERSION,
        "result": code.name.lower(),
        "exit_code": int(code),
        "error": logs.scrub(line),
        "error_details": {
            "kind": type(error).__name__ if known else code.name.lower(),
            "what": logs.scrub(error.what) if isinstance(error, Pop2imapError) else logs.scrub(line),
            "where": error.where if isinstance(error, Pop2imapError) else "",
            "todo": error.todo if isinstance(error, Pop2imapError) else "",
            "problems": [logs.scrub(problem) for problem in problems],
        },
    }


def _of_click(error: click.ClickException, argv: Sequence[str]) -> str:
    text = error.format_message().rstrip(".")
    for word in sorted(argv, key=len, reverse=True):
        if "@" in word or ":" in word:
            text = text.replace(repr(word), "what was typed").replace(word, "what was typed")
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "pop2imap"
    return f"{text} (see {path} --help)"


def _defect(error: BaseException) -> str:
    """Kind and place alone: the text of an unknown exception may hold anything, a password too."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if f"{os.sep}pop2imap{os.sep}" in frame.filename]
    place = "".join(
        f" at {os.path.basename(frame.filename)}:{frame.lineno}" for frame in (ours or frames)[-1:]
    )
    log.debug("unexpected", exc_info=error)
    return (
        f"a defect of pop2imap: {type(error).__name__}{place} (please report it, with what POP2IMAP_DEBUG=1 adds; "
        "nothing is lost: run the same command again)"
    )
