"""``pop2imap init``: a few questions, and a ``move.toml`` out of the answers. Never a password in it."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from pop2imap.cli.kinds import Command, EndpointText, FilePath, option
from pop2imap.errors import LocalIOError, Pop2imapError, UsageError
from pop2imap.text import printable

if TYPE_CHECKING:
    from pop2imap.endpoints import Endpoint

T = TypeVar("T")

FILE = "The file"

HEAD = """\
# A move: from where, to where, and how. Check it with:  pop2imap check -c {name}
# See what would happen with:  pop2imap plan -c {name}     and do it with:  pop2imap migrate -c {name}
# No password belongs in here. docs/configuration.md tells of every key.
version = 1
"""

RULES = """
[options]
# into = "INBOX"           # where mail goes that no rule matches
# mark = "auto"            # read or unread, where the source does not know: auto, seen, unseen, older-than:30d
# report = ["report.txt"]  # also .json, .csv

# Rules: the first that matches wins. docs/rules.md tells of all they can do. Take the # away to use one.
# [[rule]]
# name = "Lists"
# when = { list-id = "*" }
# then = { folder = "Lists/{list-id}" }

# [[rule]]
# name = "Old mail"
# when = { before = 2015-01-01 }
# then = { folder = "Archive/{date:%Y}" }
"""

PASSWORDS = """
Where is the password of {account}?
  1  nowhere: ask me each time, or look into the keyring
  2  in a file that nobody else can read
  3  a command prints it, such as: pass show mail/pop"""


@click.command("init", cls=Command)
@click.argument("file", type=FilePath(), default="move.toml", metavar="[FILE]")
@option("--source", section=FILE, env=False, type=EndpointText(), multiple=True, help="A source; repeatable.")
@option("--target", section=FILE, env=False, type=EndpointText(), help="The target.")
@option(
    "--me", section=FILE, env=False, multiple=True, metavar="ADDRESS", help="An address of yours; repeatable."
)
@option("--force", section=FILE, env=False, is_flag=True, help="Write over a file that is there already.")
def command(file: Path, source: tuple[str, ...], target: str | None, me: tuple[str, ...], force: bool) -> int:
    """Ask a few questions and write the answers into FILE (default: move.toml).

    What is given as an option is not asked; without a terminal, nothing is. No password goes into the file, only
    the place where it is.
    """
    from pop2imap.cli.output import say

    shown = printable(str(file))
    if file.exists() and not force:
        raise UsageError("this file is there already", where=shown, todo="choose another name, or --force")
    if not file.parent.is_dir():
        raise LocalIOError("there is no such folder", where=printable(str(file.parent)))
    ask = sys.stdin is not None and sys.stdin.isatty()
    if not ask and not (source and target):
        raise UsageError("there is no terminal to ask on", todo="give --source and --target")

    sources = [_source(text) for text in source] or _ask_sources()
    goal = _target(target) if target else _asked("Where shall it go? (imaps://USER@HOST)", _target)
    password = _ask_password if ask else _no_password
    tables = [_table("[[source]]", one, password) for one in sources]
    tables.append(_table("[target]", goal, password))
    addresses = me or (goal.user,) * ("@" in goal.user)
    if ask and not me:
        typed = click.prompt(
            "Your own addresses, with spaces between (what they sent goes into the Sent folder; may be empty)",
            default=" ".join(addresses),
            show_default=bool(addresses),
            err=True,
        )
        addresses = tuple(typed.replace(",", " ").split())
    _write(file, _text(file, addresses, tables))
    quoted = shlex.quote(shown)
    say(f"Written: {shown}\nNext: pop2imap check -c {quoted}, then pop2imap plan -c {quoted}")
    return 0


def _source(text: str) -> Endpoint:
    from pop2imap.endpoints import parse
    from pop2imap.kinds import Kind

    endpoint = parse(text)
    if endpoint.kind is Kind.IMAP:
        raise UsageError(
            "an IMAP account cannot be a source", todo="pop3s://USER@HOST, or a file or folder of mail"
        )
    return endpoint


def _target(text: str) -> Endpoint:
    from pop2imap.endpoints import parse
    from pop2imap.kinds import Kind

    endpoint = parse(text)
    if endpoint.kind is not Kind.IMAP:
        raise UsageError("the target must be an IMAP account", todo="imaps://USER@HOST")
    return endpoint


def _asked(question: str, read: Callable[[str], T], default: str | None = None) -> T:
    """The answer, as ``read`` understands it; what it does not is said, and asked again."""

    def value(text: str) -> T:
        try:
            return read(text)
        except Pop2imapError as error:
            raise click.UsageError(str(error)) from None

    answer: T = click.prompt(question, value_proc=value, default=default, show_default=False, err=True)
    return answer


def _ask_sources() -> list[Endpoint]:
    sources = [_asked("Where is the mail? (pop3s://USER@HOST, or an mbox file)", _source)]
    while True:
        more = _asked(
            "Another source? (leave empty for no)", lambda text: _source(text) if text else None, default=""
        )
        if more is None:
            return sources
        sources.append(more)


Password = tuple[str, object]
"""A key of ``move.toml`` and its value."""


def _no_password(endpoint: Endpoint) -> Password | None:
    return None


def _ask_password(endpoint: Endpoint) -> Password | None:
    click.echo(PASSWORDS.format(account=printable(str(endpoint))), err=True)
    choice = click.prompt(
        "1, 2 or 3", type=click.Choice(("1", "2", "3")), default="1", show_choices=False, err=True
    )
    if choice == "2":
        file = click.prompt("Which file? (its first line is the password; chmod 600)", err=True)
        return "password-file", str(Path(file).expanduser().absolute())
    if choice == "3":
        return "password-command", _asked("Which command? (no shell is started)", _words)
    return None


def _words(text: str) -> Sequence[str]:
    from pop2imap.credentials import SecretRef

    words = SecretRef.command(text, "").value
    assert isinstance(words, tuple)
    return words


def _table(name: str, endpoint: Endpoint, password: Callable[[Endpoint], Password | None]) -> str:
    from pop2imap.movefile_writer import toml_value

    lines = [name, f"endpoint = {toml_value(str(endpoint))}"]
    if endpoint.kind.is_local:
        return "\n".join(lines)
    found = password(endpoint)
    if found:
        key, value = found
        lines.append(f"{key} = {toml_value(value)}")
    else:
        lines.append(
            '# password-file = "~/secrets/password"  # or: password-command = ["pass", "show", "mail"]'
        )
    return "\n".join(lines)


def _text(file: Path, addresses: Sequence[str], tables: Sequence[str]) -> str:
    from pop2imap.movefile_writer import toml_value

    me = f"me = {toml_value(list(addresses))}" if addresses else '# me = ["alice@example.com"]'
    return "\n".join(
        [
            HEAD.format(name=printable(file.name)),
            "# Your own addresses: what you sent goes into the Sent folder.",
            me,
            "",
            "\n\n".join(tables),
            RULES,
        ]
    )


def _write(file: Path, text: str) -> None:
    from pop2imap.cli.recall import write_privately

    try:
        write_privately(file, text)
    except OSError as error:
        raise LocalIOError(f"cannot be written: {error.strerror}", where=printable(str(file))) from None
