"""``pop2imap PATH``: what is in a store of mail on this computer, in words for whoever owns it, and what to type next.

It is what people try first: they know where their mail is, and no command. Everything is listed, and the head of each
message is looked at; nothing is connected to, and nothing is changed.
"""

from __future__ import annotations

import os
import shlex
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from pop2imap.cli import options
from pop2imap.cli.kinds import Command, option
from pop2imap.errors import ExitCode, SourceDataError, UsageError
from pop2imap.kinds import LOCAL, Kind
from pop2imap.text import printable

if TYPE_CHECKING:
    from pathlib import Path

    from pop2imap.progress import Progress
    from pop2imap.sources import Listing, Source

WHAT = {
    Kind.MBOX: "mbox files",
    Kind.TAKEOUT: "mail from Google Takeout",
    Kind.MAILDIR: "a Maildir",
    Kind.MH: "an MH store",
    Kind.EML: "files with one message each",
    Kind.THUNDERBIRD: "Thunderbird",
}
ACCOUNTS = {
    "pop3": "POP3; its mail is on this computer",
    "none": "folders on this computer",
    "imap": "IMAP; left out, since its mail is on its server",
    "nntp": "news; left out",
    "rss": "feeds; left out",
}
"""What kinds of accounts of Thunderbird are."""

_USES = {
    "\\Sent": "the folder for sent mail",
    "\\Drafts": "the folder for drafts",
    "\\Archive": "the archive",
    "\\Junk": "the folder for junk",
    "\\Trash": "the trash",
}
_MOST_SHOWN = 20


def is_store(text: str) -> bool:
    """Whether ``text`` names something on this computer, and not a command that was mistyped."""
    word, colon, _ = text.partition(":")
    return bool(colon and word in LOCAL) or os.path.lexists(os.path.expanduser(text))


class Row(NamedTuple):
    """One folder: its name at home, its ``place`` in the target, what is moved from it, in messages and octets."""

    name: str
    place: str
    messages: int
    octets: int


class Contents(NamedTuple):
    """What a store holds. ``left_out``: how many messages, by the reason; ``lost``: what cannot be had, and why."""

    rows: Sequence[Row]
    left_out: Counter[str]
    lost: Sequence[str]


@click.command("PATH", cls=Command)
@click.argument("store")
@click.argument("rest", nargs=-1)
@option(
    "--account",
    section="Mail",
    multiple=True,
    metavar="name",
    help="Thunderbird: look at this account alone.",
)
@options.logging_
@click.pass_context
def command(
    ctx: click.Context, /, store: str, rest: Sequence[str], account: tuple[str, ...], **_: Any
) -> int:
    """Say what mail is in a store on this computer, where it would go, and what to type next.

    A store is a Thunderbird profile, a Maildir, an MH store, an mbox file or a directory of such files, an archive of
    them, or a directory of .eml files. Nothing is changed.
    """
    if rest:
        raise UsageError(
            "a place for mail is no command",
            todo="write pop2imap plan SOURCE TARGET first, then pop2imap migrate SOURCE TARGET",
        )
    options.configure_logs(ctx.params)
    from pop2imap.cli.output import say
    from pop2imap.progress import choose

    progress = choose(quiet=ctx.params["quiet"], lines=ctx.params["log_format"] == "json")
    try:
        lines = list(_lines(store, account, progress))
    finally:
        progress.finish()
    say("\n".join(printable(line.rstrip(), 2000) for line in lines))
    return ExitCode.OK


def _lines(text: str, accounts: tuple[str, ...], progress: Progress) -> Iterator[str]:
    """Raises UsageError, SourceDataError, LocalIOError."""
    from pop2imap import endpoints
    from pop2imap.cli import build
    from pop2imap.config import SourceConfig

    endpoint = endpoints.parse(text)
    names: Mapping[str, str] = {}
    yield f"{endpoint.path or 'standard input'}: {WHAT[endpoint.kind]}"
    if endpoint.kind is Kind.THUNDERBIRD and endpoint.path is not None:
        profile = yield from _profiles(endpoint.path)
        if profile is None:
            return
        endpoint = endpoint._replace(path=profile)
        names = yield from _accounts(profile, accounts)
    source = build.source(SourceConfig(endpoint, accounts=accounts), None, None)
    try:
        source.open()
        progress.start(f"looking through {printable(str(endpoint), 200)}", 0, 0)
        listing = source.list()
        progress.finish()
        progress.start("looking at each message", listing.octets, len(listing.refs))
        contents = look(source, listing, progress)
    finally:
        source.close(settled=False)
    yield from _folders(contents, names)
    yield from _left_out(contents)
    notes = [str(remark) for remark in listing.remarks]
    yield from _section("To know", notes)
    yield ""
    if contents.rows:
        more = "".join(f" --account {shlex.quote(one)}" for one in accounts)
        yield "Nothing was changed. To see what a move would do (it changes nothing either), type:"
        yield f"  pop2imap plan {shlex.quote(str(endpoint))} imaps://USER@HOST{more}"
        yield "where USER is the name with which you log in at the new server, and HOST the name of that server."
    elif contents.lost:
        yield "Nothing can be moved as it is. Put right what is said above, and look again."
    else:
        yield "There is no mail to move."


def _profiles(path: Path) -> Generator[str, None, Path | None]:
    """Lines; returns the profile that is meant, None if that is not clear."""
    from pop2imap.report.text import cell, drawn, new_table
    from pop2imap.sources.thunderbird import profile_of, profiles

    if os.path.isfile(path / "prefs.js") or not os.path.isfile(path / "profiles.ini"):
        return path
    try:
        meant = profile_of(path)
    except SourceDataError:
        meant = None
    table = new_table("profile")
    table.add_column("")
    table.add_column("directory", overflow="fold")
    found = profiles(path)
    for one in found:
        has_mail = os.path.isfile(one.path / "prefs.js")
        said = "this one" if one.path == meant else "" if has_mail else "never used"
        where = one.path.relative_to(path) if one.path.is_relative_to(path) else one.path
        table.add_row(cell(one.name), said, cell(str(where)))
    yield ""
    yield from drawn(table)
    if meant is None:
        yield ""
        with_mail = [one.path for one in found if os.path.isfile(one.path / "prefs.js")]
        yield "Which one is yours? To look into it, type:" if with_mail else "There is no profile with mail."
        for one_path in with_mail[:_MOST_SHOWN]:
            yield f"  pop2imap {shlex.quote(f'thunderbird:{one_path}')}"
    return meant


def _accounts(profile: Path, wanted: Sequence[str]) -> Generator[str, None, Mapping[str, str]]:
    """Lines; returns what accounts are called, by the directory in which their folders are."""
    from pop2imap.report.text import cell, drawn, new_table
    from pop2imap.sources.thunderbird import chosen, read_prefs

    prefs = read_prefs(profile)
    moved = chosen(prefs.accounts, wanted, printable(str(profile)))
    table = new_table("account")
    table.add_column("what it is")
    for one in prefs.accounts:
        what = ACCOUNTS.get(one.kind, "left out")
        table.add_row(
            cell(one.name or one.key), what if one in moved or "left out" in what else "not asked for"
        )
    yield ""
    yield from drawn(table)
    return {os.path.relpath(one.directory, profile): one.name or one.key for one in prefs.accounts}


def look(source: Source, listing: Listing, progress: Progress) -> Contents:
    """Look at the head of each message, in the order of the store."""
    from pop2imap.decide import left_at_home
    from pop2imap.model import Message
    from pop2imap.options import Options
    from pop2imap.sources.tree import TreeSource

    sizes: dict[tuple[str, str], list[int]] = {}
    left_out: Counter[str] = Counter()
    lost: list[str] = []
    defaults = Options()
    names = source.names() if isinstance(source, TreeSource) else iter(())
    upto, name = 0, source.folder
    for ref, item in zip(listing.refs, source.peek(listing.refs), strict=True):
        progress.advance(ref.size, 1)
        while item.position > upto:
            upto, name = next(names, (len(listing.refs), name))
        if not isinstance(item, Message):
            lost.append(item.reason)
            continue
        if why := item.discarded or left_at_home(item.folders, defaults):
            left_out[why] += 1
            continue
        for folder in item.folders or ("INBOX",):
            row = sizes.setdefault((name, folder), [0, 0])
            row[0] += 1
            row[1] += ref.size
    rows = [Row(name, place, *numbers) for (name, place), numbers in sizes.items()]
    return Contents(rows, left_out, lost)


def name_in_words(name: str, accounts: Mapping[str, str]) -> str:
    """``Mail/pop.example.org/Inbox.sbd/2020`` → ``alice@example.org: Inbox/2020``."""
    for directory, account in accounts.items():
        if name.startswith(f"{directory}/"):
            return f"{account}: {name.removeprefix(f'{directory}/').replace('.sbd/', '/')}"
    return name


def place_in_words(place: str) -> str:
    """``\\Sent/2019`` → ``the folder for sent mail, 2019``."""
    use, _, below = place.partition("/")
    if use not in _USES:
        return place
    return f"{_USES[use]}, below it {below}" if below else _USES[use]


def _folders(contents: Contents, names: Mapping[str, str]) -> Iterator[str]:
    from pop2imap.report.text import cell, drawn, in_messages, new_table, size

    if not contents.rows:
        return
    table = new_table("folder")
    table.add_column("in the target", overflow="fold")
    for name in ("messages", "size"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in contents.rows:
        place = place_in_words(row.place)
        table.add_row(
            cell(name_in_words(row.name, names)), cell(place), f"{row.messages:,}", size(row.octets)
        )
    yield ""
    yield from drawn(table)
    total = sum(row.messages for row in contents.rows), sum(row.octets for row in contents.rows)
    yield ""
    yield f"Together: {in_messages(total[0])}, {size(total[1])}."


def _left_out(contents: Contents) -> Iterator[str]:
    from pop2imap.report.text import in_messages

    yield from _section(
        "Left out", [f"{in_messages(count)}: {why}" for why, count in contents.left_out.most_common()]
    )
    yield from _section("Cannot be read", contents.lost)


def _section(title: str, lines: Sequence[str]) -> Iterator[str]:
    if not lines:
        return
    yield ""
    yield f"{title}:"
    yield from (f"  {line}" for line in lines[:_MOST_SHOWN])
    if len(lines) > _MOST_SHOWN:
        yield f"  and {len(lines) - _MOST_SHOWN:,} more"
