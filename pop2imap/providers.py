"""What large providers allow, as far as they publish it: data, and how to recognise them.

Only numbers that a provider has published are here, since they become limits where the person sets none
(``--no-provider-limits`` leaves them out). Megabytes are taken as 1,000,000 octets, the smaller meaning.

* Gmail: Google Workspace Admin Help, "Gmail bandwidth limits", https://support.google.com/a/answer/1071518: in a day,
  1250 MB of download via POP and 500 MB of upload via IMAP, for all editions; past them the account is stopped for a
  while. For accounts of gmail.com nothing is published; they have no more.
* Microsoft 365: no number for IMAP or POP3 is published. The server says how long to wait (:mod:`pop2imap.hints`).
* Yahoo and AOL: nothing is published.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, NamedTuple

MB = 1_000_000


class Provider(NamedTuple):
    """One provider. ``domains`` are those of its servers; ``mark`` is a capability that no other IMAP server has.
    ``upload`` and ``download`` are octets in 24 hours; None: no limit is published. ``habits`` are words for people."""

    name: str
    domains: tuple[str, ...]
    mark: str = ""
    upload: int | None = None
    download: int | None = None
    habits: str = ""

    def words(self, role: Literal["source", "target"]) -> str:
        """What a person should know of it, at this end."""
        limit, moved = (self.upload, "take") if role == "target" else (self.download, "give")
        if limit is None:
            return f"{self.name}: {self.habits}"
        return (
            f"{self.name} says it will {moved} {limit // MB:,} MB in a day: there pop2imap stops and says when to go "
            "on, unless you set another limit, or --no-provider-limits"
        )


PROVIDERS = (
    Provider(
        "Gmail",
        ("gmail.com", "googlemail.com"),
        mark="X-GM-EXT-1",
        upload=500 * MB,
        download=1250 * MB,
    ),
    Provider(
        "Microsoft 365",
        (
            "office365.com",
            "office365.us",
            "office.com",
            "outlook.com",
            "outlook.cn",
            "hotmail.com",
            "live.com",
        ),
        habits="says how long to wait when mail comes too fast, which is obeyed; it publishes no limits",
    ),
    Provider(
        "Yahoo",
        ("yahoo.com", "ymail.com", "aol.com"),
        habits="allows few sessions, and refuses some when there were many logins; it publishes no limits",
    ),
)


def recognise(host: str, capabilities: Collection[str] = ()) -> Provider | None:
    """The provider whose server this is, by the name under which it was called, or by what it offers."""
    name = host.lower().rstrip(".")
    for provider in PROVIDERS:
        if provider.mark and provider.mark in capabilities:
            return provider
        if any(f".{name}".endswith(f".{domain}") for domain in provider.domains):
            return provider
    return None


def host_of(account: str) -> str:
    """The host in ``alice@imap.example.org:993`` or ``pop3:alice@[::1]:110``; empty if there is none."""
    server = account.rpartition("@")[2] if "@" in account else ""
    return server.rpartition(":")[0].strip("[]")
