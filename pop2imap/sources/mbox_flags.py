"""What programs write into the header of a message in an mbox for their own book-keeping, read and taken off.

Two sorts. Thunderbird puts its lines (``X-Mozilla-Status`` and so on) at the very top, so only there are they
its own; further down an ``X-UIDL`` is part of what was received. So does Google Takeout (``X-GM-THRID``,
``X-Gmail-Labels``, which :mod:`~pop2imap.sources.takeout_labels` reads). Everybody else's lines (``Status`` ...)
stand anywhere in the header; but in a file of Thunderbird, which has none of them, they are what was received.
``Content-Length`` and ``Lines`` are written by senders too, so they stay, but do not
count for the key, since mutt and Dovecot rewrite them. Only where the file shows that ``Content-Length`` is its
writer's (it is exact, in this and all messages before, and stands beside other book-keeping lines) does it go.

Sources: c-client ``mailbox.txt`` and Dovecot (``Status``, ``X-Status``, ``X-Keywords``), mutt (``r``),
Thunderbird ``nsMsgMessageFlags`` (``X-Mozilla-Status``, ``X-Mozilla-Status2``).
"""

from __future__ import annotations

import functools
import re
from typing import NamedTuple

from pop2imap.model import ANSWERED, DRAFT, FLAGGED, SEEN
from pop2imap.octets import HEAD_LIMIT

FORWARDED = "$Forwarded"
MDN_SENT = "$MDNSent"

KEYWORD_LIMIT = 100
"""Keywords of one message that are read; more is not a person's doing."""

_OWN = rb"status|x-(?:status|keywords|uid|imap|imapbase)"
_THUNDERBIRD = rb"x-(?:mozilla-(?:status2?|keys)|account-key|uidl)"
_OF_OTHERS = frozenset({b"status", b"x-status", b"x-keywords", b"x-uid", b"x-imap", b"x-imapbase"})
_TAKEOUT = rb"x-(?:gm-thrid|gmail-labels)"
_OF_TAKEOUT = frozenset({b"x-gm-thrid", b"x-gmail-labels"})
_REST_OF_FIELD = rb"[ \t]*:(?P<value>[^\n]*(?:\n[ \t][^\n]*)*)"
_LEADING = re.compile(
    rb"(?i:(?P<own>" + rb"|".join((_THUNDERBIRD, _OWN, _TAKEOUT)) + rb"))" + _REST_OF_FIELD + rb"\n"
)
_ANYWHERE = re.compile(rb"\n(?i:(?P<own>" + _OWN + rb")|content-length|lines)" + _REST_OF_FIELD)
_LENGTH = re.compile(rb"\n(?i:content-length)[ \t]*:[ \t]*(\d{1,15})[ \t]*\r?\n")
_LENGTH_FIELD = re.compile(rb"\n(?i:content-length)" + _REST_OF_FIELD)
_EMPTY_LINE = re.compile(rb"\n\r?\n")
_HEXADECIMAL = re.compile(rb"[0-9A-Fa-f]{1,8}")
_INTERNAL = b"DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA"
_SAFE_KEYWORD = re.compile(r"[!#$&',\-./0-9:;<=>?@A-Z^_`a-z|}~+]+")


UIDL, ACCOUNT = b"x-uidl", b"x-account-key"
"""The fields in which Thunderbird notes the UIDL of a message, and the account that fetched it, by its key in prefs.js.
"""

_LONGEST_NAME = 200
"""Octets of a UIDL or the key of an account; RFC 1939 allows 70."""

_USUAL = 256
"""Octets of book-keeping lines up to which what they say is remembered: most messages say one of a few things."""


class Tagged(NamedTuple):
    """What an index says of a message with tags: these as ``keywords``, and its other ``flags``; None if it does not
    say them."""

    keywords: frozenset[str]
    flags: frozenset[str] | None = None


class State(NamedTuple):
    """What a mail program noted about a message.

    ``flags`` is None if it noted nothing at all. ``discarded`` says in words that it was deleted there.
    """

    flags: frozenset[str] | None = None
    discarded: str = ""

    def tagged(self, tagged: Tagged | None) -> State:
        """With what an index says. If nobody says whether the message was read, nothing is said."""
        flags = self.flags if tagged is None or self.flags is not None else tagged.flags
        return self if tagged is None or flags is None else self._replace(flags=flags | tagged.keywords)


class Head:
    """The header block of one message, with the empty line that ends it, as the file holds it.

    ``crlf_before`` tells whether the From_ line ended in CRLF. ``kept`` is the block without book-keeping
    lines; ``crlf`` whether the message's lines end in CRLF: the From_ line decides, unless all lines of
    the header say otherwise (Thunderbird appends CRLF messages to files of LF messages and the reverse).
    """

    __slots__ = ("_own", "crlf", "kept", "raw", "unkeyed")

    def __init__(self, raw: bytes, *, crlf_before: bool) -> None:
        self.raw = raw
        own: list[tuple[bytes, bytes]] = []  # names in lower case, and values
        at = 0
        names: set[bytes] = set()
        while found := _LEADING.match(raw, at):
            name = found["own"].lower()
            if b"x-mozilla-status" in names and (name in names or name in _OF_OTHERS):
                break  # Thunderbird writes each of its lines once, and no others: this one was received
            if name == b"x-gmail-labels" and b"x-gm-thrid" not in names:
                break  # Takeout begins with the other one
            names.add(name)
            own.append((name, found["value"].strip()))
            at = found.end()
        received = (
            b"x-mozilla-status" in names
        )  # whatever others wrote further down is what Thunderbird was given
        # A field goes with the newline before it, and its own newline stays: the same, and quick to search for.
        text = b"\n" + raw[at:]
        kept: list[bytes] = []
        keyed: list[bytes] = []
        kept_from = keyed_from = 0
        for found in _ANYWHERE.finditer(text):
            start, end = found.span()
            if found["own"] is not None and not received:
                name = found["own"]
                own.append((name.lower(), found["value"].strip()))
                kept.append(text[kept_from:start])
                kept_from = end
            keyed.append(text[keyed_from:start])
            keyed_from = end
        kept.append(text[kept_from:])
        keyed.append(text[keyed_from:])
        self.kept = b"".join(kept)[1:]
        self.unkeyed = self.kept if len(kept) == len(keyed) else b"".join(keyed)[1:]
        self._own = tuple(own)
        self.crlf = is_crlf(self.kept, crlf_before=crlf_before)

    def sendable(self, *, keep: bool = False, exact_length: bool = False) -> bytes:
        """The block as it is sent, but for its line ends: all of it (``keep``), or without book-keeping lines.
        ``exact_length``: Content-Length is exact in this message and all messages before."""
        if keep:
            return self.raw
        if exact_length and any(name not in _OF_TAKEOUT for name, _ in self._own):
            return _LENGTH_FIELD.sub(b"", b"\n" + self.kept)[1:]
        return self.kept

    @property
    def labels(self) -> bytes | None:
        """What Takeout says of the labels, as it stands in the file; None if it says nothing."""
        return next((value for name, value in self._own if name == b"x-gmail-labels"), None)

    @property
    def is_of_takeout(self) -> bool:
        return any(name in _OF_TAKEOUT for name, _ in self._own)

    @property
    def is_internal(self) -> bool:
        """Whether this heads the message in which c-client keeps data about the folder: no mail."""
        names = {name for name, _ in self._own}
        return _INTERNAL in self.kept and not names.isdisjoint({b"x-imap", b"x-imapbase"})

    def own(self, name: bytes) -> str:
        """The value of a book-keeping field, ``name`` in lower case; empty if there is none, or it is not ASCII."""
        value = next((value for its, value in self._own if its == name), b"")
        return value.decode() if value.isascii() and len(value) <= _LONGEST_NAME else ""

    @property
    def may_be_tagged(self) -> bool:
        """Whether there is no line for tags, as in what Thunderbird's owner wrote: they stand in its index alone."""
        return all(name != b"x-mozilla-keys" for name, _ in self._own)

    @property
    def is_partial(self) -> bool:
        """Whether the mail program never fetched the whole message."""
        return any(
            (_hexadecimal(value) or 0) & _PARTIAL for name, value in self._own if name == b"x-mozilla-status"
        )

    def state(self) -> State:
        """What the book-keeping lines say."""
        said = tuple(field for field in self._own if field[0] in _TELLING)
        if not said:
            return State()
        usual = len(self.raw) - len(self.kept) <= _USUAL
        return _state(said) if usual else _state.__wrapped__(said)


_TELLING = frozenset(
    {b"status", b"x-status", b"x-keywords", b"x-mozilla-status", b"x-mozilla-status2", b"x-mozilla-keys"}
)


@functools.lru_cache(maxsize=512)
def _state(fields: tuple[tuple[bytes, bytes], ...]) -> State:
    flags: set[str] = set()
    known = False
    discarded = ""
    seen: set[bytes] = set()
    for name, value in fields:
        if name in seen and name != b"x-keywords":
            continue  # programs look at the first one
        seen.add(name)
        match name:
            case b"status" | b"x-status":
                known = True
                flags |= {flag for letter, flag in _LETTERS.items() if letter in value}
                if name == b"x-status" and b"D" in value:
                    discarded = "marked as deleted in the mail program, not expunged yet"
            case b"x-mozilla-status" | b"x-mozilla-status2":
                bits = _hexadecimal(value)
                if bits is None:
                    continue
                known = True
                flags |= flags_of(bits)
                if label := bits >> 25 & 7:
                    flags.add(f"$label{label}")
                if bits & _EXPUNGED:
                    discarded = "deleted in the mail program, waiting to be compacted away"
                elif bits & _IMAP_DELETED:
                    discarded = "marked as deleted in the mail program, not expunged yet"
            case b"x-keywords" | b"x-mozilla-keys":
                words = keywords(value)
                known = known or bool(words)
                flags |= words
    return State(frozenset(flags) if known else None, discarded)


_LETTERS = {b"R": SEEN, b"A": ANSWERED, b"r": ANSWERED, b"F": FLAGGED, b"T": DRAFT}
_BITS = {0x1: SEEN, 0x2: ANSWERED, 0x4: FLAGGED, 0x1000: FORWARDED, 0x0080_0000: MDN_SENT}
_EXPUNGED = 0x8
_PARTIAL = 0x400
_IMAP_DELETED = 0x0020_0000


def flags_of(bits: int) -> frozenset[str]:
    """What ``nsMsgMessageFlags`` say, but for what only this program knows."""
    return frozenset(flag for bit, flag in _BITS.items() if bits & bit)


def is_crlf(block: bytes, *, crlf_before: bool) -> bool:
    """Whether the lines of the message that a header block begins end in CRLF: ``crlf_before`` decides, what stands
    before it or in its first line, unless all its lines say otherwise."""
    if b"\r" not in block:
        return crlf_before and block.count(b"\n") <= 1
    lines, crlf_lines = block.count(b"\n"), block.count(b"\r\n")
    return crlf_lines > 0 if lines > 1 and crlf_lines in (0, lines) else crlf_before


def end_of_head(text: bytes, start: int) -> int | None:
    """Where in ``text`` the header block that begins at ``start`` ends, after its empty line; None if ``text``
    ends before. ``text[start - 1]`` is the newline of the From_ line. Past ``HEAD_LIMIT`` octets the header is
    cut at the end of a line."""
    found = _EMPTY_LINE.search(text, start - 1, start + HEAD_LIMIT)
    if found:
        return found.end()
    if len(text) < start + HEAD_LIMIT:
        return None
    return text.rfind(b"\n", start, start + HEAD_LIMIT) + 1 or start + HEAD_LIMIT


def content_length(head: bytes) -> int | None:
    """What a header block says that the length of the body is, in octets of the file."""
    found = _LENGTH.search(b"\n" + head)
    return int(found[1]) if found else None


def _hexadecimal(value: bytes) -> int | None:
    return int(value, 16) if _HEXADECIMAL.fullmatch(value) else None


def keywords(value: bytes) -> frozenset[str]:
    """Words that can be IMAP keywords (RFC 3501 ``flag-keyword``): what begins with a backslash would be a
    system flag, which these lines do not carry."""
    words = value.decode("ascii", "replace").split()[:KEYWORD_LIMIT]
    return frozenset(word for word in words if _SAFE_KEYWORD.fullmatch(word))
