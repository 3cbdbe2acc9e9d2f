"""``pop2imap trace``: everything the journals know of one message."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from pop2imap.cli import options
from pop2imap.cli.kinds import Command
from pop2imap.cli.output import moment, say, say_json
from pop2imap.errors import ExitCode
from pop2imap.text import printable

if TYPE_CHECKING:
    from pop2imap.journal.traced import Traced


@click.command("trace", cls=Command)
@click.argument("key")
@options.state_dir
@options.as_json
@options.logging_
@click.pass_context
def command(ctx: click.Context, /, key: str, **_: Any) -> int:
    """Say what became of one message, and why.

    KEY is its name at the source as a report shows it (a UIDL, or the digest of an mbox message, with #1 for a
    repeat), or the beginning of it, or of the SHA-256 of the message.
    """
    options.configure_logs(ctx.params)
    from pop2imap.cli.failure import SCHEMA_VERSION, tell
    from pop2imap.journal.history import MOST_TRACED, histories
    from pop2imap.options import default_state_dir

    state_dir = ctx.params["state_dir"] or default_state_dir()
    found: list[tuple[str, Traced]] = []
    readable, troubles = histories(state_dir)
    for history in readable:
        identity = history.identity or ""
        found += [(identity, traced) for traced in history.trace(key)]
        history.close()
    code = ExitCode.OK if found else troubles[0].exit_code if troubles else ExitCode.DATA
    if ctx.params["as_json"]:
        say_json(
            {
                "schema_version": SCHEMA_VERSION,
                "result": code.name.lower(),
                "exit_code": int(code),
                "messages": [as_dict(identity, traced) for identity, traced in found],
            }
        )
    elif found:
        told = [
            "\n  ".join([*traced.lines(), f"target: {printable(identity)}"]) for identity, traced in found
        ]
        if MOST_TRACED in Counter(identity for identity, _ in found).values():
            told.append(f"{MOST_TRACED} messages of a target are shown at most: write more of the key")
        say("\n\n".join(told))
    for trouble in troubles:
        tell(str(trouble))
    if not found:
        tell(f"no message of this name is known: {printable(key, 100)} (see pop2imap status)")
    return code


def as_dict(identity: str, traced: Traced) -> dict[str, Any]:
    """One message for programs."""
    return {
        "target": identity,
        "source": traced.key.source,
        "key": str(traced.key),
        "account": traced.account.value,
        "size": traced.size,
        "sha256": traced.digest.hex() if traced.digest else None,
        "date": moment(traced.date),
        "date_from": traced.date_from.name.lower() if traced.date_from else None,
        "reason": traced.reason,
        "why": traced.why,
        "subject": traced.subject,
        "deleted_by_run": traced.removed_by,
        "copies": [
            {
                "folder": copy.folder,
                "mailbox": copy.mailbox,
                "state": copy.state,
                "repairs": list(copy.repairs),
                "uidvalidity": copy.uidvalidity,
                "uid": copy.uid,
                "flags": list(copy.flags),
                "run": copy.run,
            }
            for copy in traced.copies
        ],
    }
