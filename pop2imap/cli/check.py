"""``pop2imap check``: log in at both ends, and say what each offers and what will be missing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import click

from pop2imap.cli import options
from pop2imap.cli.kinds import Command
from pop2imap.errors import ExitCode, Pop2imapError
from pop2imap.text import printable

if TYPE_CHECKING:
    from pop2imap.progress import Progress
    from pop2imap.sources import Listing, Source
    from pop2imap.target import Target

MISSING = {
    "pop3": "POP3 shows one folder only: no other folders, no sent mail, not what was read, answered or starred",
}
"""What a kind of source cannot show, whatever the server."""


class Checked(NamedTuple):
    """One end: what it said of itself, or the error that came instead. ``messages`` None: not listed."""

    role: Literal["source", "target"]
    endpoint: str
    lines: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    messages: int | None = None
    octets: int = 0
    complete: bool = True
    error: Pop2imapError | None = None
    capabilities: frozenset[str] = frozenset()

    def with_provider(self, host: str) -> Checked:
        """The same, with what is known of the provider whose server it is."""
        from pop2imap.providers import recognise

        provider = recognise(host, self.capabilities)
        return self._replace(lines=(*self.lines, provider.words(self.role))) if provider else self

    def text(self) -> list[str]:
        from pop2imap.report.text import size

        shown = [f"{self.role} {printable(self.endpoint)}"]
        shown += [f"  {printable(line, 500)}" for line in self.lines]
        if self.messages is not None:
            part = "" if self.complete else ", which is only a part of what is there"
            shown.append(f"  {self.messages:,} messages, {size(self.octets)}{part}")
        shown += [f"  note: {printable(remark, 500)}" for remark in self.remarks]
        if self.error is not None:
            shown.append(f"  fails: {printable(str(self.error), 1000)}")
        return shown

    def as_dict(self) -> dict[str, Any]:
        return {
            "role": self.role,
            "endpoint": self.endpoint,
            "facts": list(self.lines),
            "messages": self.messages,
            "bytes": None if self.messages is None else self.octets,
            "complete": self.complete,
            "remarks": list(self.remarks),
            "error": None if self.error is None else str(self.error),
        }


@click.command("check", cls=Command, epilog=options.EPILOG)
@options.ends
@options.login
@options.reading
@options.as_json
@options.logging_
@click.pass_context
def command(ctx: click.Context, /, **_: Any) -> int:
    """Log in at both ends and say what each offers, what is there, and what will be missing.

    Nothing is changed, and no message is read. One end alone may be checked, too.
    """
    params = ctx.params
    options.configure_logs(params)
    from pop2imap.cli import build, state
    from pop2imap.progress import choose

    move = build.read_move(options.command_line(ctx), params["config"], part_will_do=True)
    build.rules(move.config.options)
    of_sources, of_target = build.secrets(move.config)
    progress = choose(quiet=params["quiet"], lines=params["log_format"] == "json")
    checked: list[Checked] = []
    listings: list[tuple[Source, Listing]] = []
    for config, secret in zip(move.config.sources, of_sources, strict=True):
        source = build.source(config, secret, None)
        end, listing = check_source(str(config.endpoint), source, progress)
        if end.messages is not None and secret is not None and config.endpoint.port in state.POP3_PORTS:
            beside = state.imap_beside(config, secret, end.messages)
            end = end._replace(remarks=(*end.remarks, *beside))
        checked.append(end.with_provider(config.endpoint.host))
        if listing is not None:
            listings.append((source, listing))
    if move.config.target is not None and of_target is not None:
        endpoint, target = move.config.target.endpoint, build.target(move.config.target, of_target)
        end = check_target(str(endpoint), target, listings, move.config.options.state_dir)
        checked.append(end.with_provider(endpoint.host))
    return _tell(checked, as_json=params["as_json"])


def check_source(endpoint: str, source: Source, progress: Progress) -> tuple[Checked, Listing | None]:
    """What a source says of itself, and what it lists. Nothing is read, so its session may end well."""
    lines: tuple[str, ...] = ()
    at = 0

    def listed(done: int, expected: int) -> None:
        nonlocal at
        progress.advance(done - at, 0)
        at = done

    try:
        lines = source.open()
        progress.start(f"listing {printable(endpoint)}", 0, 0)
        listing = source.list(listed)
    except Pop2imapError as error:
        source.close(settled=False)
        return Checked("source", endpoint, lines, error=error), None
    finally:
        progress.finish()
    remarks = [*listing.remarks, *source.close(settled=True)]
    words = [str(remark) for remark in remarks]
    if source.kind in MISSING:
        words.append(MISSING[source.kind])
    checked = Checked(
        "source",
        endpoint,
        lines,
        tuple(words),
        messages=len(listing.refs),
        octets=listing.octets,
        complete=listing.complete,
    )
    return checked, listing


def check_target(
    endpoint: str, target: Target, listings: Sequence[tuple[Source, Listing]], state_dir: Path
) -> Checked:
    """What a target says of itself, and whether it is one of the sources."""
    from pop2imap.journal.history import read_history
    from pop2imap.sameness import sameness

    history = None
    try:
        facts = target.open()
        history = read_history(state_dir, target.identity)
        same = [
            f"{source.id} is this very mailbox: {words}"
            for source, listing in listings
            if (words := sameness(source, listing, target, history))
        ]
        return Checked("target", endpoint, facts.lines(), tuple(same), capabilities=facts.capabilities)
    except Pop2imapError as error:
        return Checked("target", endpoint, error=error)
    finally:
        target.close()
        if history is not None:
            history.close()


def _tell(checked: list[Checked], *, as_json: bool) -> ExitCode:
    from pop2imap.cli.failure import SCHEMA_VERSION, tell
    from pop2imap.cli.output import say, say_json

    errors = [end.error for end in checked if end.error is not None]
    code = errors[0].exit_code if errors else ExitCode.OK
    if as_json:
        say_json(
            {
                "schema_version": SCHEMA_VERSION,
                "result": code.name.lower(),
                "exit_code": int(code),
                "error": str(errors[0]) if errors else None,
                "ends": [end.as_dict() for end in checked],
            }
        )
    else:
        say("\n".join(line for end in checked for line in end.text()))
    for error in errors:
        tell(str(error))
    return code
