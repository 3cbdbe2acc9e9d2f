"""The smallest changes that make a refused message one that a server takes.

Theory of operation
-------------------
Nothing here is ever applied beforehand: a message goes to the target as it is, and only what was refused for good is
repaired, if ``--repair`` names how. Each repair mends one well-known fault of old mail, and changes nothing else:

``nul``
    NUL goes (RFC 5322 2.2 and RFC 3501 4.3 forbid it). Text that was broken into the halves of UTF-16 becomes readable
    by that; anything else that holds NUL was damaged before.
``bare-lf``
    LF without CR becomes CRLF (RFC 5322 2.3 allows no other).
``8bit-headers``
    Header words with octets above 0x7F become encoded words in UTF-8 (RFC 2047), read as what they most likely are.
``long-lines``
    Lines over 998 octets (RFC 5322 2.1.1). In the header they are folded where they have white space. In the body each
    part that has one is encoded anew: base64 is wrapped, quoted-printable gets soft line breaks, text becomes
    quoted-printable, everything else base64. A signature over such a part no longer verifies.

Which server refuses what is in :mod:`pop2imap.target.linter`.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from pop2imap.charsets import decode_octets
from pop2imap.model import Octets
from pop2imap.octets import StoredOctets, from_chunks

LONGEST_LINE = 998
"""Octets of a line without its CRLF (RFC 5322 2.1.1)."""

MOST_IN_MEMORY = 32 << 20
"""Octets up to which lines are mended: that needs the whole message at once."""

DEEPEST = 50
"""Levels of parts within parts that are looked into."""

WORD_OCTETS = 45
"""Octets of text in one encoded word: with base64 and its frame that makes 72 of the 75 of RFC 2047 2."""

Repairs = tuple[str, ...]
"""Names of repairs, in the order in which they are applied."""


def candidates(octets: Octets, names: Sequence[str], spool: Path | None = None) -> Iterator[Repairs]:
    """Ways to repair this message with the repairs of these names, the smallest first: each one alone that changes
    something, then all of those together. Raises LocalIOError as octets do."""
    useful = tuple(name for name in NAMES if name in names and apply(octets, (name,), spool) is not None)
    for name in useful:
        yield (name,)
    if len(useful) > 1:
        yield useful


def apply(octets: Octets, repairs: Repairs, spool: Path | None = None) -> StoredOctets | None:
    """The repaired message; None if there is nothing to repair in it. Raises LocalIOError as octets do."""
    repaired: StoredOctets | None = None
    for name in repairs:
        before = repaired or octets
        after = from_chunks(_REPAIRS[name](before), spool)
        if after.digest != before.digest:
            repaired = after
    return repaired


# -- line ends and NUL

_LF_ALONE = re.compile(rb"(?<=[^\r])\n")
"""Within a chunk, whose first octet is looked at apart."""


def _bare_lf(octets: Octets) -> Iterator[bytes]:
    last = b""
    for chunk in octets.chunks():
        if chunk[:1] == b"\n" and last != b"\r":
            yield b"\r"
        yield _LF_ALONE.sub(b"\r\n", chunk)
        last = chunk[-1:] or last


def _nul(octets: Octets) -> Iterator[bytes]:
    for chunk in octets.chunks():
        yield chunk.replace(b"\0", b"")


# -- words of the header

_LINES = re.compile(rb"[^\n]*\n|[^\n]+")
_ADDRESSES = re.compile(
    rb"(?i)(?:resent-)?(?:from|to|cc|bcc|reply-to|sender)|return-path|delivered-to|disposition-notification-to"
)
"""Fields in which quotes and brackets mean something (RFC 5322 3.4)."""
_PARAMETERS = re.compile(rb"(?i)content-(?:type|disposition)")


def _runs(ends: bytes) -> re.Pattern[bytes]:
    """Words with 8-bit octets, as many as stand side by side. ``ends``: octets beside white space that end a word."""
    word = rb"[^\s%b]*[\x80-\xff][^\s%b]*" % (ends, ends)
    return re.compile(word + rb"(?:[ \t]+" + word + rb")*")


_IN_TEXT = _runs(b"")
_IN_PARAMETERS = _runs(rb'"<>(),;=')
_IN_ADDRESSES = re.compile(rb'"[^"\r\n]*[\x80-\xff][^"\r\n]*"|' + _runs(rb'"<>(),;:').pattern)


def _eight_bit_headers(octets: Octets) -> Iterator[bytes]:
    head = octets.head()
    if head.isascii():
        yield from octets.chunks()
        return
    words = _IN_TEXT
    for line in _LINES.findall(head):
        name, colon, _ = line.partition(b":")
        begins = bool(colon) and line[:1] not in b" \t"
        if begins:
            field = name.strip()
            words = _IN_TEXT
            if _ADDRESSES.fullmatch(field):
                words = _IN_ADDRESSES
            elif _PARAMETERS.fullmatch(field):
                words = _IN_PARAMETERS
        start = len(name) + 1 if begins else 0
        yield line[:start] + words.sub(_encoded, line[start:])
    yield from _from(octets, len(head))


def _encoded(words: re.Match[bytes]) -> bytes:
    """Encoded words (RFC 2047 2), each of whole characters."""
    pieces, piece = [], b""
    for character in decode_octets(words[0].strip(b'"')):
        octets = character.encode()
        if len(piece) + len(octets) > WORD_OCTETS:
            pieces.append(piece)
            piece = b""
        piece += octets
    return b" ".join(b"=?utf-8?B?%b?=" % base64.b64encode(text) for text in (*pieces, piece))


def _from(octets: Octets, start: int) -> Iterator[bytes]:
    """The octets from ``start`` on."""
    for chunk in octets.chunks():
        yield chunk[start:]
        start = max(start - len(chunk), 0)


# -- long lines

_EMPTY_LINE = re.compile(rb"\A\r*\n|\n\r*\n")
_BOUNDARY = re.compile(rb'(?i);\s*boundary\s*=\s*(?:"([^"]{1,200})"|([^\s;"]{1,200}))')
_ENCODING = re.compile(rb"(?im)^content-transfer-encoding[ \t]*:[^\n]*(?:\n[ \t][^\n]*)*\n?")
_TYPE = re.compile(rb"(?im)^content-type[ \t]*:([^\n]*(?:\n[ \t][^\n]*)*)")
_CR_ALONE = re.compile(rb"\r(?!\n)")
_LINE_END = re.compile(rb"\r?\n")
_LAST_LINE_END = re.compile(rb"\r?\n\Z")
_FOLD_AT = re.compile(rb"[ \t](?=[^ \t\r\n])")
_IDENTITY = frozenset({b"", b"7bit", b"8bit", b"binary"})


def _long_lines(octets: Octets) -> Iterator[bytes]:
    if octets.size > MOST_IN_MEMORY:
        yield from octets.chunks()
        return
    message = b"".join(octets.chunks())
    yield from _entity(message, 0) if _has_long_line(message) else (message,)


def _has_long_line(octets: bytes) -> bool:
    at, most = 0, LONGEST_LINE + len(b"\r\n")
    while len(octets) - at > most:
        end = octets.rfind(b"\n", at, at + most)
        if end < 0:
            return True
        at = end + 1
    return False


def _entity(entity: bytes, depth: int) -> Iterator[bytes]:
    """A header and a body (RFC 2045 2.4), lines mended."""
    end = _EMPTY_LINE.search(entity)
    head, body = (entity[: end.end()], entity[end.end() :]) if end else (entity, b"")
    kind, encoding = _field(_TYPE, head), _field(_ENCODING, head).partition(b":")[2].strip().lower()
    if _has_long_line(body) and depth < DEEPEST:
        boundary = _BOUNDARY.search(kind)
        if kind.startswith(b"multipart/") and boundary and encoding in _IDENTITY:
            yield _folded(head)
            yield from _parts(body, boundary[1] or boundary[2], depth)
            return
        if kind.startswith(b"message/rfc822") and encoding in _IDENTITY:
            yield _folded(head)
            yield from _entity(body, depth + 1)
            return
        if encoding == b"base64":
            body = _wrapped(body)
        elif encoding == b"quoted-printable":
            body = _soft_broken(body)
        elif encoding in _IDENTITY:
            text = not kind or kind.startswith(b"text/")
            head = _with_encoding(head, b"quoted-printable" if text else b"base64", first=depth == 0)
            body = _quoted(body) if text else base64.encodebytes(body).replace(b"\n", b"\r\n")
    yield _folded(head)
    yield body


def _field(pattern: re.Pattern[bytes], head: bytes) -> bytes:
    """The field that ``pattern`` finds: its body where that is a group, in lower case up to the parameters."""
    found = pattern.search(head)
    if not found:
        return b""
    if pattern.groups == 0:
        return found[0]
    value = found[1].strip()
    kind, semicolon, parameters = value.partition(b";")
    return kind.strip().lower() + semicolon + parameters


def _parts(body: bytes, boundary: bytes, depth: int) -> Iterator[bytes]:
    """The body of a multipart (RFC 2046 5.1): what stands between its boundary lines is an entity each."""
    border = re.compile(rb"(?m)^--%b(--)?[ \t]*\r?(?:\n|\Z)" % re.escape(boundary))
    at, inside = 0, False
    for line in border.finditer(body):
        part = body[at : line.start()]
        content = _LAST_LINE_END.sub(b"", part)  # the line end before a boundary is the boundary's
        yield from _entity(content, depth + 1) if inside else (content,)
        yield part[len(content) :] + line[0]
        at, inside = line.end(), not line[1]
    rest = body[at:]
    yield from _entity(rest, depth + 1) if inside else (rest,)


def _folded(head: bytes) -> bytes:
    """Long header lines broken before white space (RFC 5322 2.2.3)."""
    if not _has_long_line(head):
        return head
    lines = []
    for line in _LINES.findall(head):
        while len(line) > LONGEST_LINE + 2:
            places = [found.start() for found in _FOLD_AT.finditer(line, 1, LONGEST_LINE)]
            name_ends = line.find(b":") + 2
            places = [place for place in places if place >= name_ends]
            if not places:
                break
            lines.append(line[: places[-1]] + b"\r\n")
            line = line[places[-1] :]
        lines.append(line)
    return b"".join(lines)


def _wrapped(body: bytes) -> bytes:
    """base64 in lines of 76 (RFC 2045 6.8); a last line that is no base64 (a footer) stays."""
    lines = []
    for line in _LINES.findall(body):
        text = line.rstrip(b"\r\n")
        end = line[len(text) :]
        pieces = [text[at : at + 76] for at in range(0, len(text), 76)] or [b""]
        lines.append(b"\r\n".join(pieces) + end)
    return b"".join(lines)


def _quoted(text: bytes) -> bytes:
    """Text as quoted-printable: every line end is CRLF, and a CR that ends no line is quoted (RFC 2045 6.7)."""
    quoted = b"=0D".join(map(binascii.b2a_qp, _CR_ALONE.split(text)))
    return _soft_broken(_LINE_END.sub(b"\r\n", quoted))


def _soft_broken(body: bytes) -> bytes:
    """quoted-printable in lines of 76 (RFC 2045 6.7), no ``=XX`` cut in two."""
    return b"".join(map(_soft_broken_line, _LINES.findall(body)))


def _soft_broken_line(line: bytes) -> bytes:
    text = line.rstrip(b"\r\n")
    end = line[len(text) :]
    pieces = []
    while len(text) > 76:
        at = 75
        at -= 2 if text[at - 2 : at - 1] == b"=" else 1 if text[at - 1 : at] == b"=" else 0
        pieces.append(text[:at] + b"=\r\n")
        text = text[at:]
    return b"".join(pieces) + text + end


def _with_encoding(head: bytes, encoding: bytes, *, first: bool) -> bytes:
    """The header with another transfer encoding. ``first``: it is that of the message, which must say that it is MIME
    (RFC 2045 4)."""
    fields = _ENCODING.sub(b"", head)
    new = b"Content-Transfer-Encoding: " + encoding + b"\r\n"
    if first and not re.search(rb"(?im)^mime-version[ \t]*:", fields):
        new = b"MIME-Version: 1.0\r\n" + new
    end = _EMPTY_LINE.search(fields)
    at = (
        len(fields) if end is None else end.start() + (fields[end.start() :][:1] == b"\n" and end.start() > 0)
    )
    return fields[:at] + new + fields[at:]


_REPAIRS: Mapping[str, Callable[[Octets], Iterator[bytes]]] = {
    "nul": _nul,  # before line ends: in the halves of UTF-16, a NUL stands between CR and LF
    "bare-lf": _bare_lf,
    "8bit-headers": _eight_bit_headers,
    "long-lines": _long_lines,
}

NAMES: tuple[str, ...] = tuple(_REPAIRS)
"""What ``--repair`` takes."""
