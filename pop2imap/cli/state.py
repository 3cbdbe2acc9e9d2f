"""Where read, answered and starred of a POP3 source come from: ``--read-state-from``, and what ``check`` looks for."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from pop2imap import credentials
from pop2imap.config import Config, SourceConfig
from pop2imap.credentials import Secret
from pop2imap.endpoints import Endpoint
from pop2imap.errors import AuthenticationFailed, Pop2imapError, ServerBusy
from pop2imap.kinds import Kind
from pop2imap.net import Server, Timeouts, Transport
from pop2imap.sources import Source
from pop2imap.text import printable

if TYPE_CHECKING:
    from pop2imap.target.inbox import Inbox

Wrap = Callable[[Source], Source]

POP3_PORTS = frozenset({110, 995})
"""At other ports there may be a tunnel, and at the usual ones of its host somebody else, who shall see no password."""

IMAP_PORTS = (993, 143)
"""TLS from the first octet, and STARTTLS."""

PATIENCE = Timeouts(connect=2.0, idle=10.0)
"""For a server that nobody has named."""


def read_from(
    config: Config, of_sources: Sequence[Secret | None], environ: Mapping[str, str] = os.environ
) -> list[Wrap]:
    """What each source is wrapped into: itself, or one that knows flags. Passwords are fetched now. Raises
    ConfigError, UsageError, AuthenticationFailed."""
    return [_wrap(source, secret, environ) for source, secret in zip(config.sources, of_sources, strict=True)]


def _wrap(config: SourceConfig, of_source: Secret | None, environ: Mapping[str, str]) -> Wrap:
    account = config.read_state_from
    if account is None:
        return lambda source: source
    from pop2imap.imap_state import WithState
    from pop2imap.target.inbox import Inbox

    secret, login_as = _secret(config, account, of_source, environ)
    inbox = Inbox(account.server(config.ca_file), account.user, secret, login_as=login_as)
    return lambda source: WithState(source, inbox)


def _secret(
    config: SourceConfig, account: Endpoint, of_source: Secret | None, environ: Mapping[str, str]
) -> tuple[Secret, str]:
    """The password, and the user whose mailbox it opens, if that is another one. Both are those of the source where
    the two are one account by their names, unless the environment names a password."""
    from pop2imap.sameness import Likeness, alike

    ours, theirs = (f"{one.user}@{one.server()}" for one in (config.endpoint, account))
    same = alike(f"pop3:{ours}", theirs) is not Likeness.NONE
    named = credentials.from_environment("state", environ)
    login_as = config.login_as if same else ""
    if named is None and same and of_source is not None:
        return of_source, login_as
    ask = credentials.ask_on_terminal()
    return credentials.resolve(named, side="state", account=str(account), environ=environ, ask=ask), login_as


def imap_beside(
    config: SourceConfig, secret: Secret, messages: int, ports: tuple[int, int] = IMAP_PORTS
) -> tuple[str, ...]:
    """What an IMAP server on the host of a POP3 source would give, in words; nothing if there is none that can be
    used. ``messages`` are those of the maildrop. There is one login at most, and nothing is changed."""
    from pop2imap.target.inbox import Inbox

    endpoint = config.endpoint
    tries = [(ports[0], Transport.TLS), (ports[1], Transport.STARTTLS)]
    if endpoint.transport is Transport.CLEAR:  # then the password has travelled so already
        tries.append((ports[1], Transport.CLEAR))
    for port, transport in tries:
        server = Server(endpoint.host, port, transport, config.ca_file, PATIENCE)
        inbox = Inbox(server, endpoint.user, secret, login_as=config.login_as)
        try:
            with inbox:
                return _beside(endpoint, server, inbox, messages)
        except (AuthenticationFailed, ServerBusy) as error:
            if inbox.tried:
                return (f"the same host speaks IMAP, too (port {port}), but not with us: {error.what}",)
        except Pop2imapError:
            if inbox.tried:  # whatever has happened, a password is sent once
                return ()
    return ()


def _beside(endpoint: Endpoint, server: Server, inbox: Inbox, messages: int) -> tuple[str, ...]:
    others = inbox.others()
    shown = f"{inbox.messages:,} messages, the maildrop {messages:,}"
    if inbox.messages == messages:
        shown = f"as many messages as the maildrop, {messages:,}"
    spelled = Endpoint(Kind.IMAP, endpoint.user, endpoint.host, server.port, server.transport)
    there = (
        f"the same host speaks IMAP, too (port {server.port}): besides INBOX it shows {others.folders:,} folders with "
        f"{others.messages:,} messages; INBOX has {shown}"
    )
    todo = (
        f"--read-state-from {printable(str(spelled))} takes read, answered and starred from it; what is in the other "
        "folders, a tool that moves from IMAP to IMAP can move"
    )
    return there, todo
