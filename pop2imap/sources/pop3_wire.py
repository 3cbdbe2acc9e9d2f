"""POP3 on the wire, without I/O: commands out as octets, replies in as events.

Theory of operation. A POP3 reply cannot be understood alone: whether ``+OK`` is followed by lines, by a
message or by nothing depends on the command (RFC 1939 3). So a :class:`Command` knows which reply it brings,
and a :class:`ReplyReader` is told what to expect, in the order in which commands are sent; with PIPELINING
(RFC 2449 6.6) that is a queue. Octets go in with :meth:`ReplyReader.feed` as they come from a socket, in
pieces of any size; events come out of :meth:`ReplyReader.next_event` until it says None, for "more octets".
Every reply begins with a :class:`Status` (or, during SASL, a :class:`Challenge`); a multi-line one goes on
with :class:`Lines` or :class:`Body` and closes with :class:`End`.

Two kinds of line end, on purpose. In status lines and lists a bare LF ends a line too: only the server writes
them, and old ones are careless. In a message the only line end is CRLF and the only end is CRLF . CRLF: its
octets were chosen by whoever sent the mail, and ``LF . LF`` in them must not end it, or the rest of the mail
would be read as replies. ``lenient_end`` gives this up for one account, for servers that send mail with bare
LF throughout.

How a message is taken out of the octets, at speed, is in :mod:`pop2imap.sources.pop3_stuffing`.

What is deliberately not here: APOP (MD5 over a challenge that a stranger chooses), and any login over a
connection that is not the caller's choice.
"""

from __future__ import annotations

import base64
import re
from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from pop2imap.errors import ConfigError, ProtocolError
from pop2imap.logs import said
from pop2imap.sources.pop3_stuffing import MessageReader
from pop2imap.text import printable

GREETING_LIMIT = 8 << 10
LINE_LIMIT = 64 << 10
LIST_LIMIT = 1_000_000
CAPABILITIES_LIMIT = 1_000

AUTH_LINE_LIMIT = 255
"""Octets of an AUTH command with its initial response, CRLF included (RFC 5034 4)."""


class Reply(Enum):
    """What a command brings. Lists and messages follow a positive status only."""

    GREETING = "greeting"
    STATUS = "status"
    SASL = "status or challenge"
    CAPABILITIES = "capabilities"
    LIST = "list"
    MESSAGE = "message"


class Command(NamedTuple):
    """One command: the octets to send, and the reply that they bring. Its repr shows no octets: they may be
    a password."""

    octets: bytes
    reply: Reply

    def __repr__(self) -> str:
        return f"Command(reply={self.reply})"


class Status(NamedTuple):
    """``+OK`` or ``-ERR``. ``code`` is the response code in upper case without brackets (RFC 2449 8), made
    printable, or empty; ``text`` is the rest, the server's own: ``words`` is what people may see."""

    ok: bool
    code: str
    text: str

    @property
    def words(self) -> str:
        """What the server said, code included, for people."""
        return said(
            " ".join(part for part in (f"[{self.code}]" if self.code else "", self.text) if part), 300
        )


@dataclass(frozen=True, slots=True)
class Challenge:
    """``+ ``: the server asks for the next step of a SASL exchange (RFC 5034 4). Never a success."""


class Lines(NamedTuple):
    """Some lines of a list, without line ends and stuffed dots: never empty."""

    lines: list[bytes]


class Body(NamedTuple):
    """Some octets of a message, exactly as they are in it: never empty."""

    octets: bytes


@dataclass(frozen=True, slots=True)
class End:
    """The end of a list or of a message."""


Event = Status | Challenge | Lines | Body | End

_CODE = re.compile(rb"\[([^\]\s]{1,64})[^\]]{0,200}\]\s*")


class ReplyReader:
    """Replies out of octets. Not thread-safe; after a ProtocolError it must not be used again.

    ``where`` names the server in errors.
    """

    def __init__(self, where: str = "", *, lenient_end: bool = False) -> None:
        self._where = where
        self._lenient = lenient_end
        self._buffer = b""
        self._at = 0  # everything before has been given out
        self._dry = False  # of a message, nothing more can be had from the buffer
        self._expected: deque[Reply] = deque()
        self._list_room: int | None = None  # lines that may still come; None: not in a list
        self._message: MessageReader | None = None

    def expect(self, *replies: Reply) -> None:
        """Say which replies come next, after those that were said before."""
        self._expected.extend(replies)

    def feed(self, octets: bytes) -> None:
        """Take octets as they came, at least one."""
        self._buffer = self._buffer[self._at :] + octets
        self._at = 0
        self._dry = False

    @property
    def awaiting(self) -> bool:
        """Whether a reply, or the rest of one, is still to come."""
        return bool(self._expected) or self.inside

    @property
    def inside(self) -> bool:
        """Whether a list or a message has begun and not ended."""
        return self._list_room is not None or self._message is not None

    @property
    def begun(self) -> bool:
        """Whether a part of something is here and the rest is not."""
        return self.inside or self._at < len(self._buffer)

    @property
    def excess(self) -> bytes:
        """What stands in the buffer and cannot be the beginning of a reply that is awaited.

        Worth a look after :class:`End`, before the next command, and before TLS begins: it means that the
        end was not the end, that replies got mixed up, or that somebody injects octets.
        """
        start = self._buffer[self._at : self._at + 4].upper()
        if not start or self.inside:
            return b""
        if self._expected and (
            b"+OK".startswith(start[:3]) or b"-ERR".startswith(start) or self._expected[0] is Reply.SASL
        ):
            return b""
        return self._buffer[self._at :]

    @property
    def bare_end(self) -> bool:
        """Whether the message so far ends with ``LF . LF``: a server that ends messages like that leaves us
        waiting, and the person should be told why."""
        return self._message is not None and self._message.bare_end

    def next_event(self) -> Event | None:
        """The next event, or None if there are not enough octets for one.

        Raises ProtocolError for what is no reply, and for lines and lists past the limits.
        """
        if self._message is not None:
            return self._message_event(self._message)
        if self._list_room is not None:
            return self._list_event(self._list_room)
        if not self._expected:
            return None
        expected = self._expected[0]
        limit = GREETING_LIMIT if expected is Reply.GREETING else LINE_LIMIT
        end = self._buffer.find(b"\n", self._at, self._at + limit)
        if end < 0:
            self._check_line(len(self._buffer) - self._at + 1, limit)
            return None
        line = self._buffer[self._at : end].removesuffix(b"\r")
        event = self._status(line, expected)
        self._expected.popleft()
        self._at = end + 1
        if isinstance(event, Status) and event.ok:
            if expected is Reply.LIST:
                self._list_room = LIST_LIMIT
            elif expected is Reply.CAPABILITIES:
                self._list_room = CAPABILITIES_LIMIT
            elif expected is Reply.MESSAGE:
                self._begin_message()
        return event

    def _status(self, line: bytes, expected: Reply) -> Status | Challenge:
        sign = line[:4].upper()
        if sign.startswith(b"+OK"):
            ok, text = True, line[3:].strip()
        elif sign == b"-ERR":
            ok, text = False, line[4:].strip()
        elif expected is Reply.SASL and line[:1] == b"+":
            return Challenge()
        else:
            raise ProtocolError(
                f"this is no POP3 reply: {said(line, 80)!r}",
                where=self._where,
                todo="check host and port" if expected is Reply.GREETING else "",
            )
        code = ""
        if text[:1] == b"[" and (found := _CODE.match(text)):
            code = printable(found[1].upper())
            text = text[found.end() :]
        return Status(ok, code, text.decode("utf-8", "surrogateescape"))

    def _check_line(self, octets: int, limit: int) -> None:
        if octets > limit:
            raise ProtocolError(f"a line of a reply is longer than {limit} octets", where=self._where)

    def _list_event(self, room: int) -> Lines | End | None:
        last = self._buffer.rfind(b"\n", self._at)
        if last < 0:
            self._check_line(len(self._buffer) - self._at, LINE_LIMIT)
            return None
        lines: list[bytes] = []
        at = self._at
        for line in self._buffer[at:last].split(b"\n"):
            self._check_line(len(line), LINE_LIMIT)
            text = line.removesuffix(b"\r")
            if text == b".":
                if lines:
                    break  # the next event is the end
                self._at = at + len(line) + 1
                self._list_room = None
                return End()
            at += len(line) + 1
            lines.append(text[1:] if text[:2] == b".." else text)
        self._at = at
        self._list_room = room - len(lines)
        if self._list_room < 0:
            raise ProtocolError("a list has more lines than any maildrop", where=self._where)
        return Lines(lines)

    def _begin_message(self) -> None:
        # The line end of the status line is the one before the first line: it is put back into the buffer.
        self._message = MessageReader(lenient=self._lenient)
        newline = self._message.newline
        if self._buffer.endswith(newline, 0, self._at):
            self._at -= len(newline)
        else:
            self._buffer = newline + self._buffer[self._at :]
            self._at = 0

    def _message_event(self, message: MessageReader) -> Body | End | None:
        if message.ended:
            self._message = None
            return End()
        if self._dry:
            return None
        octets, self._at = message.take(self._buffer, self._at)
        self._dry = not message.ended
        if octets:
            return Body(octets)
        if message.ended:  # an empty message
            self._message = None
            return End()
        return None


# ---- commands ------------------------------------------------------------------------------------------

CAPA = Command(b"CAPA\r\n", Reply.CAPABILITIES)
STLS = Command(b"STLS\r\n", Reply.STATUS)
UTF8 = Command(b"UTF8\r\n", Reply.STATUS)
STAT = Command(b"STAT\r\n", Reply.STATUS)
LIST = Command(b"LIST\r\n", Reply.LIST)
UIDL = Command(b"UIDL\r\n", Reply.LIST)
NOOP = Command(b"NOOP\r\n", Reply.STATUS)
QUIT = Command(b"QUIT\r\n", Reply.STATUS)
AUTH_PLAIN = Command(b"AUTH PLAIN\r\n", Reply.SASL)
AUTH_CANCEL = Command(b"*\r\n", Reply.SASL)


def retr(number: int) -> Command:
    """A whole message."""
    return Command(b"RETR %d\r\n" % number, Reply.MESSAGE)


def top(number: int) -> Command:
    """The header of a message. Never used for more: servers cut what TOP gives of a body."""
    return Command(b"TOP %d 0\r\n" % number, Reply.MESSAGE)


def dele(number: int) -> Command:
    """Mark a message as deleted: it goes when QUIT is answered (RFC 1939 6)."""
    return Command(b"DELE %d\r\n" % number, Reply.STATUS)


def argument(text: str, what: str) -> bytes:
    """``text`` as UTF-8, fit to stand in a command. Raises ConfigError, without the text, if it is not."""
    try:
        octets = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise ConfigError(f"the {what} is not text", todo="check its encoding") from None
    if any(octet in octets for octet in b"\0\r\n"):
        raise ConfigError(f"the {what} holds a line end or a NUL", todo="nothing with those can be sent")
    return octets


def user(name: str) -> Command:
    return Command(b"USER %b\r\n" % argument(name, "user name"), Reply.STATUS)


def password(secret: str) -> Command:
    return Command(b"PASS %b\r\n" % argument(secret, "password"), Reply.STATUS)


def plain_response(name: str, secret: str, login_as: str = "") -> Command:
    """The answer to the challenge of AUTH PLAIN (RFC 4616 2): ``name`` proves who it is, ``login_as`` names the
    mailbox, if it is another."""
    message = b"\0".join(
        (argument(login_as, "user to log in as"), argument(name, "user name"), argument(secret, "password"))
    )
    return Command(base64.b64encode(message) + b"\r\n", Reply.SASL)


def plain_at_once(response: Command) -> Command | None:
    """AUTH PLAIN with its response on the same line, or None if that line would be too long (RFC 5034 4)."""
    line = b"AUTH PLAIN " + response.octets
    return Command(line, Reply.SASL) if len(line) <= AUTH_LINE_LIMIT else None
