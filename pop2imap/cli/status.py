"""``pop2imap status``: what the journals know."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from pop2imap.cli import options
from pop2imap.cli.kinds import Command
from pop2imap.cli.output import moment, say, say_json
from pop2imap.errors import ExitCode
from pop2imap.text import printable

if TYPE_CHECKING:
    from pop2imap.journal.history import Run, Status


@click.command("status", cls=Command)
@options.state_dir
@options.as_json
@options.logging_
@click.pass_context
def command(ctx: click.Context, /, **_: Any) -> int:
    """Say what is known of every target: what was moved, what is under way, what to do next.

    Reads the journals alone, also while a run is at work. Nothing is connected to.
    """
    options.configure_logs(ctx.params)
    from pop2imap.cli.failure import SCHEMA_VERSION, tell
    from pop2imap.journal.history import histories
    from pop2imap.options import default_state_dir

    state_dir = ctx.params["state_dir"] or default_state_dir()
    readable, troubles = histories(state_dir)
    known = []
    for history in readable:
        known.append(history.status())
        history.close()
    code = troubles[0].exit_code if troubles else ExitCode.OK
    if ctx.params["as_json"]:
        say_json(
            {
                "schema_version": SCHEMA_VERSION,
                "result": code.name.lower(),
                "exit_code": int(code),
                "error": str(troubles[0]) if troubles else None,
                "state_dir": str(state_dir),
                "targets": [as_dict(status) for status in known],
            }
        )
    elif known:
        say("\n\n".join("\n".join(lines(status)) for status in known))
    elif not troubles:
        say(f"Nothing was moved yet: no journal in {printable(str(state_dir))}.")
    for trouble in troubles:
        tell(str(trouble))
    return code


def lines(status: Status) -> Iterator[str]:
    """One target in words."""
    from pop2imap.model import Account
    from pop2imap.report.text import size

    yield f"target {printable(status.identity)}"
    for source, counts in sorted(status.sources.items()):
        parts = ", ".join(
            f"{messages:,} {account.value}"
            for account in Account
            if (messages := counts.get(account, (0, 0))[0])
        )
        octets = sum(octets for _, octets in counts.values())
        removed = status.removed.get(source)
        there = f"; {removed:,} of them deleted there" if removed else ""
        yield f"  from {printable(source)}: {parts or 'nothing yet'} ({size(octets)}){there}"
    for folder, (messages, octets) in sorted(status.folders.items()):
        yield f"  {printable(folder)}: {messages:,} of ours, {size(octets)}"
    if status.runs:
        yield f"  last run: {_run(status.runs[0], status)}"
    if status.in_doubt:
        then = "the next run looks for them" if status.process is None else "they are on their way"
        yield f"  {status.in_doubt:,} sent whose arrival is not known yet; {then}"
    if status.undoing:
        yield f"  {status.undoing:,} half undone: an undo was cut off"
    if status.missing:
        yield f"  {status.missing:,} entries of its journal are missing: it is older than what was done with it"
    yield f"  journal: {printable(str(status.path))}, {size(status.octets)}"
    yield f"  next: {_next(status)}"


def _run(run: Run, status: Status) -> str:
    started = f"number {run.number}, {run.started:%Y-%m-%d %H:%M} UTC"
    if run.ended is not None:
        code = run.exit_code
        name = f" ({code.name.lower()})" if isinstance(code, ExitCode) else ""
        undone = f"; it undid {number:,} copies" if (number := run.counts.get("undone")) else ""
        return f"{started}, ended with {'no exit code' if code is None else int(code)}{name}{undone}"
    if status.process is not None:
        return f"{started}, at work now as process {status.process}"
    return f"{started}, cut off before its end"


def _next(status: Status) -> str:
    last = status.runs[0] if status.runs else None
    if status.process is not None:
        return "wait for the run that is at work"
    if status.undoing:
        return "run the same pop2imap undo again; it goes on from here"
    if status.in_doubt or last is None or last.exit_code != ExitCode.OK:
        return "run the same pop2imap migrate again; it goes on from here"
    return "run pop2imap migrate again whenever new mail has come to the source"


def as_dict(status: Status) -> dict[str, Any]:
    """One target for programs."""
    return {
        "target": status.identity,
        "journal": str(status.path),
        "bytes": status.octets,
        "in_doubt": status.in_doubt,
        "undoing": status.undoing,
        "missing": status.missing,
        "process": status.process,
        "last_alive": moment(status.last_alive),
        "sources": [
            {
                "id": source,
                "counts": {account.value: messages for account, (messages, _) in counts.items()},
                "bytes": {account.value: octets for account, (_, octets) in counts.items()},
                "deleted": status.removed.get(source, 0),
            }
            for source, counts in sorted(status.sources.items())
        ],
        "folders": [
            {"name": folder, "messages": messages, "bytes": octets}
            for folder, (messages, octets) in sorted(status.folders.items())
        ],
        "runs": [
            {
                "number": run.number,
                "started": moment(run.started),
                "ended": moment(run.ended),
                "exit_code": None if run.exit_code is None else int(run.exit_code),
                "version": run.version,
                "counts": dict(run.counts),
            }
            for run in status.runs
        ],
    }
