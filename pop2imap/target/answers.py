"""What an IMAP server says, read without I/O (RFC 3501 7 and 9, RFC 5530).

Octets go in, in pieces of any size; whole :class:`Answer` objects come out. Of untagged data only the kind
matters here (a BYE above all), so the octets of their literals are passed over. Everything is bounded: a line,
a literal, and what may come untagged before the next tagged answer; past a bound the server is not to be
trusted and ProtocolError is raised.

What a refusal *means* is decided here and nowhere else, from its response code first, and from its text only
where servers of note give no code.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import NamedTuple

from pop2imap.errors import ProtocolError
from pop2imap.hints import waiting_time
from pop2imap.logs import said

LINE_LIMIT = 1 << 20
LITERAL_LIMIT = 1 << 20
UNTAGGED_LIMIT = 16 << 20
"""Octets of untagged data that a server may send before the next tagged answer."""

UNTAGGED = b"*"
GO_AHEAD = b"+"

_LINE = re.compile(rb"([^\x00-\x20]+) (?:[0-9]+ )?([A-Za-z][A-Za-z0-9.-]*)(?: (.*))?", re.DOTALL)
_CODE = re.compile(rb"\[([A-Za-z][A-Za-z0-9/_.=-]*)(?: ([^\]]*))?\] ?(.*)", re.DOTALL)
_LITERAL = re.compile(rb"\{([0-9]{1,19})\+?\}$")
_STATUS = frozenset({"OK", "NO", "BAD", "BYE", "PREAUTH"})

_BUSY_TEXT = re.compile(
    r"throttled|too many (?:simultaneous |concurrent |open )?(?:connection|session|login|command)"
    r"|maximum number of connections|authenticated but not connected|bandwidth limit|try again later",
    re.IGNORECASE,
)
_QUOTA_TEXT = re.compile(r"over ?quota|quota (?:is )?exceeded|mailbox (?:is )?full", re.IGNORECASE)


class Meaning(Enum):
    """What a NO or BAD tells a program."""

    QUOTA = "quota"  # the account is full
    BUSY = "busy"  # the account cannot be served now
    LIMIT = (
        "limit"  # some limit, or some trouble: of this message, or of the account; the server does not say
    )
    NO_FOLDER = "no folder"  # the mailbox is not there
    LOGIN = "login"  # who logs in is not to be let in
    OTHER = "other"


_MEANINGS = {
    "OVERQUOTA": Meaning.QUOTA,
    "UNAVAILABLE": Meaning.BUSY,
    "INUSE": Meaning.BUSY,
    "LIMIT": Meaning.LIMIT,
    "SERVERBUG": Meaning.LIMIT,
    "TRYCREATE": Meaning.NO_FOLDER,
    "NONEXISTENT": Meaning.NO_FOLDER,
    "AUTHENTICATIONFAILED": Meaning.LOGIN,
    "AUTHORIZATIONFAILED": Meaning.LOGIN,
    "EXPIRED": Meaning.LOGIN,
    "PRIVACYREQUIRED": Meaning.LOGIN,
    "CONTACTADMIN": Meaning.LOGIN,
    "WEBALERT": Meaning.LOGIN,
}


class Answer(NamedTuple):
    """One response. ``tag`` is ``*``, ``+`` or that of a command; ``kind`` is upper case (OK, NO, BAD, BYE,
    FETCH …; empty for ``+``); ``code`` and ``argument`` are those of a response code, if there is one.
    ``text`` is the server's own: make it printable before anybody sees it."""

    tag: bytes
    kind: str
    code: str = ""
    argument: str = ""
    text: str = ""

    @property
    def words(self) -> str:
        """What the server said, for people: response code and text."""
        code = f"[{self.code}{' ' if self.argument else ''}{self.argument}] " if self.code else ""
        return said((code + self.text).strip() or self.kind)

    @property
    def capabilities(self) -> tuple[str, ...]:
        """What the server can do, in upper case, if that is what the response code tells (RFC 3501 7.1)."""
        return tuple(self.argument.upper().split()) if self.code == "CAPABILITY" else ()

    @property
    def meaning(self) -> Meaning:
        """What this refusal tells a program."""
        meaning = _MEANINGS.get(self.code)
        if meaning is Meaning.LOGIN:
            return meaning
        if self.retry_after is not None or _BUSY_TEXT.search(self.text):
            # QUIRK(Gmail): [OVERQUOTA] also stands for "exceeded command or bandwidth limits"
            return Meaning.BUSY
        if meaning is None and _QUOTA_TEXT.search(self.text):
            return Meaning.QUOTA
        return meaning or Meaning.OTHER

    @property
    def retry_after(self) -> float | None:
        """Seconds that the server asks to wait, if this refusal says so. A refused login never does: who tries
        a password again because of some words may be locked out by others."""
        if self.kind not in {"NO", "BAD", "BYE"} or _MEANINGS.get(self.code) is Meaning.LOGIN:
            return None
        return waiting_time(self.text)


def parse(line: bytes) -> Answer:
    """The answer that one line (without its CRLF) is. Raises ProtocolError if it is none."""
    if line.startswith(GO_AHEAD) and (len(line) == 1 or line[1:2] == b" "):
        return Answer(GO_AHEAD, "", text=_text(line[2:]))
    found = _LINE.fullmatch(line)
    if not found or (found[1] != UNTAGGED and found[2].upper() not in {b"OK", b"NO", b"BAD"}):
        raise ProtocolError(f"this is no answer of an IMAP server: {said(line, 100)}")
    tag, kind, rest = found[1], _text(found[2]).upper(), found[3] or b""
    if kind in _STATUS and (code := _CODE.fullmatch(rest)):
        return Answer(tag, kind, _text(code[1]).upper(), _text(code[2] or b""), _text(code[3]))
    return Answer(tag, kind, text=_text(rest) if kind in _STATUS else "")


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "surrogateescape")


class AnswerReader:
    """Answers out of octets. Not usable any more once it has raised ProtocolError."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0  # octets of the buffer that hold no line end
        self._skip = 0  # octets of a literal still to come
        self._line = bytearray()  # what came before those literals
        self._untagged = 0

    @property
    def begun(self) -> bool:
        """Whether a part of an answer is here and the rest is not."""
        return bool(self._buffer or self._line or self._skip)

    def feed(self, octets: bytes) -> list[Answer]:
        """The answers that ``octets`` complete, in order. Raises ProtocolError."""
        self._buffer += octets
        self._untagged += len(octets)
        answers = []
        while True:
            if self._skip:
                skipped = min(self._skip, len(self._buffer))
                del self._buffer[:skipped]
                self._skip -= skipped
                if self._skip:
                    break
            end = self._buffer.find(b"\n", self._searched)
            if end < 0:
                self._searched = len(self._buffer)
                break
            self._searched = 0
            self._line += self._buffer[:end].removesuffix(b"\r")
            del self._buffer[: end + 1]
            self._check_line(len(self._line))
            if not self._literal_follows():
                answers.append(parse(bytes(self._line)))
                self._line.clear()
                if answers[-1].tag not in {UNTAGGED, GO_AHEAD}:
                    self._untagged = len(self._buffer)
        self._check_line(len(self._line) + len(self._buffer))
        if self._untagged > UNTAGGED_LIMIT:
            raise ProtocolError(f"more than {UNTAGGED_LIMIT} octets that nobody asked for")
        return answers

    def _check_line(self, length: int) -> None:
        if length > LINE_LIMIT:
            raise ProtocolError(f"a line longer than {LINE_LIMIT} octets")

    def _literal_follows(self) -> bool:
        """Whether the line goes on behind a literal; then it is to be passed over."""
        if self._line[-1:] != b"}" or not self._line.startswith(b"* "):
            return False
        found = _LITERAL.search(self._line, max(0, len(self._line) - 24))
        kind = _LINE.match(bytes(self._line[:40]))
        if not found or (kind and _text(kind[2]).upper() in _STATUS):  # there it is human text
            return False
        self._skip = int(found[1])
        if self._skip > LITERAL_LIMIT:
            raise ProtocolError(f"a literal of {self._skip} octets, where no message was asked for")
        del self._line[found.start() :]
        self._line += b"{}"
        return True
