"""imaplib on our own connection, with bounds.

imaplib says which methods a subclass may replace: open, read, readline, send, shutdown. Replacing them gives
it our TLS and deadlines (:mod:`pop2imap.net`), and gives us what it lacks: a bound on each line, each literal
and each whole answer, the last line as the server sent it, and literals that stream through instead of being
held in memory. Its log of recent commands, which would keep a password, is switched off.
"""

from __future__ import annotations

import imaplib
import re
import time
from collections.abc import Callable, Sequence
from typing import Any

from pop2imap import net
from pop2imap.errors import ProtocolError
from pop2imap.target.answers import LINE_LIMIT, LITERAL_LIMIT, UNTAGGED_LIMIT, parse

STREAM_CHUNK = 1 << 18
GREETING_LIMIT = 8 << 10
MESSAGE_LIMIT = 1 << 32
"""Octets of one message body that are read from a server at most."""

CANNOT_READ = (ValueError, LookupError, TypeError, AttributeError, AssertionError, RecursionError)
"""What imaplib and imapclient raise, beside their own errors, when a server says what they do not expect."""

_BARE = re.compile(rb"[A-Z]{4}[0-9]+ (?:OK|NO|BAD)")
"""QUIRK(some): a tagged answer without the text that RFC 3501 7.1 wants, which imaplib does not know."""

Sink = Callable[[bytes], None]


class NoGreeting(Exception):
    """The server did not greet us as an IMAP server does; ``line`` is the last that it said."""

    def __init__(self, line: bytes) -> None:
        super().__init__()
        self.line = line


class Wire(imaplib.IMAP4):
    """An IMAP connection as imaplib wants it. Connects when it is made.

    Raises HostUnavailable, TlsRefused, NoGreeting; later ConnectionLost, and ProtocolError past a bound.
    """

    def __init__(self, server: net.Server) -> None:
        self._server = server
        self._buffer = bytearray()
        self._answer_octets = 0
        self._line_limit = GREETING_LIMIT
        self.last_line = b""
        """The last line that came, without its line end: the tagged answer, once a command is over."""
        self.new_sink: Callable[[], Sink] | None = None
        """Where the octets of literals go: asked anew for each. None: imaplib gets them."""
        try:
            super().__init__(server.host, server.port)
            self.connection.greeted()
            self._line_limit = LINE_LIMIT
        except BaseException as error:
            self.shutdown()
            if isinstance(error, (imaplib.IMAP4.error, *CANNOT_READ)):
                raise NoGreeting(self.last_line) from None
            raise

    # -- what imaplib calls

    def open(self, host: str = "", port: int = 0, timeout: float | None = None) -> None:
        self.debug = 4  # from 4 on imaplib keeps no log of commands
        self.connection = net.Connection(self._server)
        self._last_sent = time.monotonic()

    def read(self, size: int) -> bytes:
        if self.new_sink is not None:
            if size > MESSAGE_LIMIT:
                raise ProtocolError(f"a message of {size} octets")
            self._stream(size, self.new_sink())
            return b""
        if size > LITERAL_LIMIT:
            raise ProtocolError(f"a literal of {size} octets, where no message was asked for")
        while len(self._buffer) < size:
            self._more(begun=True)
        octets = bytes(self._buffer[:size])
        del self._buffer[:size]
        self._held(size)
        return octets

    def readline(self) -> bytes:
        searched = 0
        while (end := self._buffer.find(b"\n", searched)) < 0:
            searched = len(self._buffer)
            if searched > self._line_limit:
                raise ProtocolError(f"a line longer than {self._line_limit} octets")
            self._more(begun=bool(self._buffer))
        self.last_line = bytes(self._buffer[:end]).removesuffix(b"\r")
        del self._buffer[: end + 1]
        self._held(end + 1)
        if self.last_line[:5].upper() == b"* BYE":
            raise imaplib.IMAP4.abort("BYE")  # imaplib would wait on, in places, for what never comes
        if _BARE.fullmatch(self.last_line):
            return self.last_line + b" \r\n"
        return self.last_line + b"\r\n"

    def send(self, data: Any) -> None:
        self._answer_octets = 0
        self._last_sent = time.monotonic()
        self.connection.send(data)

    def shutdown(self) -> None:
        if hasattr(self, "connection"):
            self.connection.close()

    def _mesg(self, s: str, secs: float | None = None) -> None:
        """imaplib's log: nothing."""

    _log = _mesg

    def _get_capabilities(self) -> None:
        """What the greeting tells of them (RFC 3501 7.1) need not be asked for."""
        self.capabilities = parse(self.last_line).capabilities
        if "IMAP4REV1" not in self.capabilities:
            super()._get_capabilities()  # type: ignore[misc]

    # -- what we call

    def issue(self, commands: Sequence[str]) -> list[bytes]:
        """Send command lines in one piece, without waiting. Returns their tags."""
        tags: list[bytes] = [self._new_tag() for _ in commands]
        lines = (
            b"%b %b\r\n" % (tag, command.encode("ascii")) for tag, command in zip(tags, commands, strict=True)
        )
        self.send(b"".join(lines))
        return tags

    def complete(self, tag: bytes) -> None:
        """Read up to the answer with this tag."""
        self._get_tagged_response(tag)

    def buffered(self) -> bytes:
        """Octets that have been received and not read, taken out."""
        octets = bytes(self._buffer)
        self._buffer.clear()
        return octets

    @property
    def quiet(self) -> float:
        """Seconds since something was sent last."""
        return time.monotonic() - self._last_sent

    def _more(self, *, begun: bool) -> None:
        self._buffer += self.connection.receive(begun=begun)

    def _held(self, octets: int) -> None:
        """imaplib keeps these octets until the command is over."""
        self._answer_octets += octets
        if self._answer_octets > UNTAGGED_LIMIT:
            raise ProtocolError(f"an answer of more than {UNTAGGED_LIMIT} octets")

    def _stream(self, size: int, sink: Sink) -> None:
        while size:
            if not self._buffer:
                self._buffer += self.connection.receive(STREAM_CHUNK, begun=True)
            octets = bytes(self._buffer[:size])
            del self._buffer[:size]
            size -= len(octets)
            sink(octets)
