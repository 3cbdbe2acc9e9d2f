"""A message and a question about it, for the tests of rules."""

from __future__ import annotations

from datetime import UTC, datetime

from pop2imap.headers import Headers
from pop2imap.model import Decision, Key, Message
from pop2imap.octets import from_bytes
from pop2imap.rules import Rules, toml

DATE = datetime(2014, 5, 6, 7, 8, 9, tzinfo=UTC)


def decide(
    rules: Rules,
    mail: str | bytes,
    *,
    date: datetime = DATE,
    flags: frozenset[str] | None = None,
    source_folder: str = "inbox",
) -> Decision:
    """What ``rules`` say of ``mail``: its header, and a body if there is one."""
    octets = mail.encode() if isinstance(mail, str) else mail
    stored = from_bytes(octets if b"\n\n" in octets else octets + b"\n\n")
    message = Message(1, Key("mbox:/x", "0" * 64), stored, stored.size, flags=flags)
    return rules.decide(message, Headers.parse(stored.head()), date, source_folder)


def rules(text: str, *, top: str = "") -> toml.TomlRules:
    """Rules from the text of a file, without its first line."""
    return toml.parse(f"version = 1\n{top}\n{text}", "rules.toml")


def when(test: str, *, top: str = "") -> toml.TomlRules:
    """One rule that puts what ``test`` matches into the folder ``Hit``."""
    return rules(f'[[rule]]\nname = "R"\nwhen = {{ {test} }}\nthen = {{ folder = "Hit" }}\n', top=top)


def then(actions: str) -> toml.TomlRules:
    """One rule that does ``actions`` with every message."""
    return rules(f'[[rule]]\nname = "R"\nthen = {{ {actions} }}\n')
