"""STARTTLS and login: what must be right before anything is trusted to a connection.

STARTTLS is all or nothing: not offered, refused, PREAUTH, or one octet that stands behind its OK in clear text
ends the connection before any credential is sent (RFC 3501 6.2.1, RFC 9051 11.1). At login one mechanism is
tried, once: a second guess may lock an account. No exception that leaves ``log_in`` holds the secret, nor hangs
on one that does.
"""

from __future__ import annotations

import base64
import imaplib
from collections.abc import Collection
from typing import NoReturn

from pop2imap import net
from pop2imap.credentials import Secret
from pop2imap.errors import (
    AuthenticationFailed,
    ConnectionLost,
    Pop2imapError,
    ProtocolError,
    ServerBusy,
    TlsRefused,
)
from pop2imap.target.answers import Meaning
from pop2imap.target.append import quoted
from pop2imap.target.asking import Asking


def start_tls(asking: Asking) -> None:
    """Upgrade a connection that was just greeted. Raises TlsRefused.

    What the server said in clear text is forgotten: it may have been an attacker.
    """
    wire = asking.wire

    def unsafe(what: str, todo: str = "") -> TlsRefused:
        return TlsRefused(what, where=asking.where, todo=todo)

    if wire.state != "NONAUTH":
        raise unsafe("the server claims a login before STARTTLS (PREAUTH), which makes TLS impossible")
    if "STARTTLS" not in wire.capabilities:
        raise unsafe("the server does not offer STARTTLS", "use imaps:// if it listens on port 993")
    try:
        with asking("asking for STARTTLS"):
            done, _ = wire._simple_command("STARTTLS")
    except (ProtocolError, ServerBusy) as error:
        raise unsafe(f"the server refuses STARTTLS: {error.what}") from None
    if done != "OK":
        raise unsafe(f"the server refuses STARTTLS: {asking.answer().words}")
    if wire.buffered():
        raise unsafe("somebody put octets behind the server's answer to STARTTLS: this may be an attack")
    wire.connection.start_tls()
    wire.untagged_responses.clear()
    wire.capabilities = ()


def log_in(
    asking: Asking,
    transport: net.Transport,
    offered: Collection[str],
    user: str,
    password: Secret,
    login_as: str = "",
) -> None:
    """Log in as ``user``, or with the rights of ``user`` as ``login_as``: AUTHENTICATE PLAIN (RFC 4616) where the
    server offers it, else LOGIN. ``offered`` are its capabilities. Raises AuthenticationFailed, ServerBusy,
    ConnectionLost, ProtocolError."""
    _check(asking.where, transport, offered, user, password, login_as)
    failure: Pop2imapError | None = None
    try:
        asking.wire.untagged_responses.clear()
        if "AUTH=PLAIN" in offered:
            plain = _Plain(f"{login_as}\0{user}\0{password.reveal()}", asking.where)
            _with_plain(asking.wire, plain, at_once="SASL-IR" in offered)
        else:
            _with_login(asking.wire, user, password)
    except Pop2imapError as error:
        failure = error
    except Exception:  # its text, its traceback and what it came from may hold the password
        failure = _why(asking)
    if failure is not None:
        failure.__cause__ = failure.__context__ = None
        raise failure.with_traceback(None)


def _check(
    where: str,
    transport: net.Transport,
    offered: Collection[str],
    user: str,
    password: Secret,
    login_as: str,
) -> None:
    """Raise AuthenticationFailed for a login that cannot be."""

    def refuse(what: str, todo: str = "") -> NoReturn:
        raise AuthenticationFailed(what, where=where, todo=todo)

    if any(mark in text for text in (user, login_as, password.reveal()) for mark in "\0\r\n"):
        refuse("user name or password holds a line break or a NUL, which no login takes")
    if "AUTH=PLAIN" in offered:
        return
    if login_as:
        refuse("logging in for somebody else needs AUTH=PLAIN, which this server does not offer")
    if "LOGINDISABLED" in offered:
        clear = transport is net.Transport.CLEAR
        refuse(
            "the server allows no password here (LOGINDISABLED)",
            "use imaps:// or imap+starttls://" if clear else "",
        )
    if not (user + password.reveal()).isascii():
        refuse("the server offers only LOGIN, which takes no characters beyond ASCII")


class _Plain:
    """The only step of PLAIN, as imaplib wants it: a bound method that answers each challenge."""

    def __init__(self, message: str, where: str) -> None:
        self._where = where
        self._challenges = 0
        self.response = base64.b64encode(message.encode()).decode("ascii")

    def answer(self, _: bytes) -> bytes:
        self._challenges += 1
        if self._challenges > 1:  # imaplib would answer for ever
            raise ProtocolError("a login that goes on and on", where=self._where)
        return self.response.encode()


def _with_plain(wire: imaplib.IMAP4, plain: _Plain, *, at_once: bool) -> None:
    """AUTHENTICATE PLAIN; with ``at_once`` the response is in the command (RFC 4959), and is sent again to a server
    that overlooked it. imaplib's own would turn it into upper case."""
    wire.literal = plain.answer  # type: ignore[assignment]  # imaplib calls it with each challenge
    done, _ = wire._simple_command("AUTHENTICATE", "PLAIN", plain.response if at_once else None)
    if done != "OK":
        raise imaplib.IMAP4.error("refused")
    wire.state = "AUTH"


def _with_login(wire: imaplib.IMAP4, user: str, password: Secret) -> None:
    """LOGIN. imaplib's own would send the user name as it is: not quoted."""
    arguments = (quoted(text.encode("ascii")).decode("ascii") for text in (user, password.reveal()))
    done, _ = wire._simple_command("LOGIN", *arguments)
    if done != "OK":
        raise imaplib.IMAP4.error("refused")
    wire.state = "AUTH"


def _why(asking: Asking) -> Pop2imapError:
    """Why a login failed, from the last line that came."""
    try:
        answer = asking.answer()
        if answer.kind not in {"NO", "BAD", "BYE"}:
            asking.unreadable("logging in")
    except ProtocolError as error:
        return error
    if answer.kind == "BYE" or answer.meaning in {Meaning.BUSY, Meaning.LIMIT}:
        return asking.busy_or(ConnectionLost, "not logged in", answer)
    return AuthenticationFailed(
        f"login refused: {answer.words}",
        where=asking.where,
        todo="check user name and password; some providers want an app password",
    )
