"""What ``-ERR`` means: from response codes to our errors.

The codes are those of RFC 2449 8 (IN-USE, LOGIN-DELAY) and RFC 3206 (SYS/TEMP, SYS/PERM, AUTH); they are obeyed
whether or not the server announces RESP-CODES, since nobody writes them by accident. A bare ``-ERR`` means
what its place in the session makes of it. The text is for people, with three exceptions: ``_LOCKED`` and ``_GONE``
only choose words for a report, and beside one of these codes, a time to wait is obeyed (:mod:`pop2imap.hints`).
"""

from __future__ import annotations

import re

from pop2imap.errors import (
    AuthenticationFailed,
    HostUnavailable,
    Pop2imapError,
    ProtocolError,
    ServerBusy,
    SourceDataError,
)
from pop2imap.hints import longer, waiting_time
from pop2imap.model import Account
from pop2imap.sources.pop3_wire import Status

IN_USE = "IN-USE"
LOGIN_DELAY = "LOGIN-DELAY"
SYS_TEMP = "SYS/TEMP"
SYS_PERM = "SYS/PERM"
AUTH = "AUTH"

LATER = frozenset({IN_USE, LOGIN_DELAY, SYS_TEMP})

# QUIRK(old servers): a maildrop that another session has locked is answered like a wrong password, without a
# code. It is still an authentication failure (a second try could lock the account), but the hint helps.
_LOCKED = re.compile(
    r"\block|\bin use\b|\bbusy\b|another (session|client|process|pop)|already", re.IGNORECASE
)

# QUIRK(Dovecot): "Message 5 expunged."
_GONE = re.compile(
    r"\bexpunged\b|\b(has been|is|was|already|marked( as)?) deleted\b|\bno such message\b|\bthere('s| is) no message\b",
    re.IGNORECASE,
)


def _said(status: Status) -> str:
    return f': "{status.words}"' if status.words else ""


def _busy(status: Status, where: str, delay: float | None) -> ServerBusy | None:
    named = waiting_time(status.text)
    match status.code:
        case "IN-USE":
            return ServerBusy(
                f"the maildrop is in use by another session{_said(status)}",
                where=where,
                todo="close other programs that fetch this mail, wait a minute, and run again",
                retry_after=named,
            )
        case "LOGIN-DELAY":
            delay = longer(named, delay)
            wait = f"at least {delay:.0f} seconds" if delay else "some minutes"
            return ServerBusy(
                f"the server wants a pause between logins{_said(status)}",
                where=where,
                todo=f"run again after {wait}",
                retry_after=delay,
            )
        case "SYS/TEMP":
            return ServerBusy(
                f"the server has temporary trouble{_said(status)}",
                where=where,
                todo="run again later",
                retry_after=named,
            )
    return None


def greeting_refused(status: Status, where: str) -> Pop2imapError:
    """The error for a negative greeting: ServerBusy, or HostUnavailable with SYS/PERM."""
    if status.code == SYS_PERM:
        return HostUnavailable(f"the server turns everybody away{_said(status)}", where=where)
    return _busy(status, where, None) or ServerBusy(
        f"the server does not want to talk now{_said(status)}",
        where=where,
        todo="run again later",
        retry_after=waiting_time(status.text),
    )


def login_refused(status: Status, where: str, delay: float | None) -> Pop2imapError:
    """The error for a negative answer to USER, PASS or AUTH: ServerBusy or AuthenticationFailed.

    ``delay`` is what the server announced as LOGIN-DELAY, in seconds.
    """
    if busy := _busy(status, where, delay):
        return busy
    todo = "check user name and password; some providers want an app password"
    if status.code == SYS_PERM:
        todo = "the mailbox is in trouble that its administrator has to end"
    elif status.code != AUTH and _LOCKED.search(status.text):
        todo = "check user name and password; perhaps another program holds the maildrop locked"
    return AuthenticationFailed(f"the server refused the login{_said(status)}", where=where, todo=todo)


def command_refused(status: Status, name: str, where: str) -> Pop2imapError:
    """The error for a negative answer to ``name``, a command that has to succeed: ServerBusy, SourceDataError
    with SYS/PERM, else ProtocolError."""
    if busy := _busy(status, where, None):
        return busy
    what = f"the server refused {name}{_said(status)}"
    if status.code == SYS_PERM:
        return SourceDataError(what, where=where, todo="the mailbox's administrator has to look at it")
    return ProtocolError(what, where=where)


def asked_for_a_pause(status: Status, where: str) -> ServerBusy | None:
    """The error if a negative answer to RETR or TOP names a time: that is not about the message.

    QUIRK(WildDuck): "-ERR [SYS/TEMP] Download was rate limited. Try again in 2 minutes", to each RETR.
    """
    busy = _busy(status, where, None)
    return busy if busy and busy.retry_after is not None else None


def message_refused(status: Status) -> tuple[Account, str]:
    """What a negative answer to RETR or TOP makes of the message, and the reason in words.

    PENDING if it may be had later, GONE if the server says that it was deleted, else UNREADABLE.
    """
    reason = f"the server does not give it{_said(status)}"
    if status.code in LATER:
        return Account.PENDING, reason
    if not status.code and _GONE.search(status.text):
        return Account.GONE, f"it was deleted meanwhile{_said(status)}"
    return Account.UNREADABLE, reason
