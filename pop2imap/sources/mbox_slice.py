"""One message of an mbox whose place is known: read, and made what it was before it was put into the file.

The From_ line and the program's book-keeping lines come off, LF line ends become CRLF, and what was put before
``From `` lines comes off. On the way the digest of the key is taken again, from the octets as they lie in the
file: if it is not the one of the listing, the file has changed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from enum import Enum

from pop2imap.octets import HEAD_LIMIT
from pop2imap.sources.mbox_flags import Head, State, end_of_head

ReadAt = Callable[[int, int], bytes]
"""Octets at an offset: (offset, most) → at least one and up to ``most``, or none at the end of the file."""

PIECE = 1 << 18
AHEAD = 1 << 15
LONG_LINE = 1 << 12  # octets of a line that are held back at most


class ReadAhead:
    """A ``ReadAt`` that has some of what comes next already: many messages are small, and follow one another."""

    def __init__(self, read_at: ReadAt) -> None:
        self._read_at = read_at
        self._at = 0
        self._octets = b""

    def __call__(self, offset: int, most: int) -> bytes:
        start = offset - self._at
        if not 0 <= start < len(self._octets):
            if most >= AHEAD:
                return self._read_at(offset, most)
            self._at, start = offset, 0
            self._octets = self._read_at(offset, AHEAD)
        return self._octets[start : start + most]


class Unquote(Enum):
    """What is done about it; see :meth:`Totals.unquote`."""

    EVERY = ">From and >>From lose one >"
    SINGLE = ">From loses its >"
    SINGLE_AFTER_EMPTY = ">From after an empty line loses its >"
    NOTHING = "stays as it is"


class Slice:
    """One message of which the place is known, to be read. ``crlf_before`` says how lines end where its From_ line does
    not."""

    def __init__(
        self,
        read_at: ReadAt,
        offset: int,
        start: int,
        end: int,
        *,
        exact_length: bool = False,
        keep_headers: bool = False,
        crlf_before: bool | None = None,
    ) -> None:
        self._read_at = read_at
        self._start = start
        self._end = end
        self.from_line = read_fully(read_at, offset, start - offset)
        self._crlf_before = self.from_line.endswith(b"\r\n") if crlf_before is None else crlf_before
        self._sha = hashlib.sha256()
        self.crlf_only = True
        """Whether all line ends of what was given so far have become CRLF, and no CR was anywhere else."""
        self.head = self._read_head()
        self._head = self.head.sendable(keep=keep_headers, exact_length=exact_length)

    @property
    def state(self) -> State:
        return self.head.state()

    def header(self) -> bytes:
        """The header block as it is to be sent."""
        return self._sendable(self._head)

    def octets(self, unquote: Unquote) -> Iterator[bytes]:
        """The message as it is to be sent, in pieces. To be called once; ``digest`` holds afterwards."""
        unquoter = Unquoter(unquote)
        before = self._head  # goes with the first piece of the body
        self._sha.update(self.head.unkeyed)
        at = self._start + len(self.head.raw)
        last = self.head.raw[-1:]
        while at < self._end:
            piece = self._read_at(at, min(PIECE, self._end - at))
            if not piece:
                break  # the file became shorter; the digest will tell
            self._sha.update(piece)
            at += len(piece)
            last = piece[-1:]
            yield self._sendable(unquoter.feed(before + piece if before else piece))
            before = b""
        if last not in (b"\n", b""):
            self._sha.update(line_end(crlf=self.head.crlf))
        if rest := unquoter.feed(before) + unquoter.finish():
            yield self._sendable(rest)

    @property
    def digest(self) -> bytes:
        """The digest of the key, from what was read."""
        return self._sha.digest()

    def _sendable(self, octets: bytes) -> bytes:
        self.crlf_only = self.crlf_only and not self.head.crlf and b"\r" not in octets
        return octets if self.head.crlf else octets.replace(b"\n", b"\r\n")

    def _read_head(self) -> Head:
        text = b"\n"
        for most in (1 << 14, PIECE, HEAD_LIMIT):
            text = b"\n" + read_fully(self._read_at, self._start, min(most, self._end - self._start))
            if found := end_of_head(text, 1):
                text = text[:found]
                break
        return Head(text[1:], crlf_before=self._crlf_before)


class Unquoter:
    """Takes off what was put before ``From `` lines, from octets fed in pieces of any size."""

    def __init__(self, unquote: Unquote) -> None:
        self._unquote = unquote
        self._held = b""  # the beginning of a line
        self._at_line_start = True  # what is held begins a line, or goes on with nothing but > before it
        self._deep = False  # ... and there was such a > before it
        self._after_empty = False  # the line before is empty

    def feed(self, octets: bytes) -> bytes:
        if self._unquote is Unquote.NOTHING:
            return octets
        text = self._held + octets
        cut = text.rfind(b"\n") + 1
        if not cut and len(text) > LONG_LINE:
            cut = len(text) - len(b">>From ")  # a line without end
        self._held = text[cut:]
        return self._lines(text[:cut])

    def finish(self) -> bytes:
        held, self._held = self._held, b""
        return self._lines(held)

    def _lines(self, text: bytes) -> bytes:
        pieces = []
        passed = 0
        at = text.find(b">From ")
        while at >= 0:
            if self._is_quoted(text, at):
                pieces.append(text[passed:at])
                passed = at + 1
            at = text.find(b">From ", at + 1)
        if text.endswith(b"\n"):
            opened = self._at_line_start
            self._at_line_start, self._deep = True, False
            self._after_empty = bool(
                empty_line_before(text, len(text)) or (opened and text in (b"\n", b"\r\n"))
            )
        elif text:
            self._at_line_start = self._at_line_start and not text.strip(b">")
            self._deep = True
        return b"".join([*pieces, text[passed:]]) if pieces else text

    def _is_quoted(self, text: bytes, at: int) -> bool:
        start = at
        while start > 0 and text[start - 1] == 0x3E:
            start -= 1
        if start > 0 and text[start - 1] != 0x0A:
            return False
        if start == 0 and not self._at_line_start:
            return False
        if self._unquote is Unquote.EVERY:
            return True
        if at > start or (start == 0 and self._deep):
            return False
        if self._unquote is Unquote.SINGLE:
            return True
        if start == 0:
            return self._after_empty
        return empty_line_before(text, start) > 0 or (
            text[:start] in (b"\n", b"\r\n") and self._at_line_start and not self._deep
        )


def read_fully(read_at: ReadAt, offset: int, size: int) -> bytes:
    """``size`` octets at ``offset``, fewer only if the file ends before."""
    pieces: list[bytes] = []
    while size > 0:
        piece = read_at(offset, size)
        if len(piece) == size and not pieces:
            return piece
        if not piece:
            break
        pieces.append(piece)
        offset += len(piece)
        size -= len(piece)
    return b"".join(pieces)


def line_end(*, crlf: bool) -> bytes:
    return b"\r\n" if crlf else b"\n"


def empty_line_before(text: bytes, at: int) -> int:
    """Length of the empty line that ends at ``at``: 0 if there is none, else with its line end 1 or 2."""
    if text.endswith(b"\n\n", 0, at):
        return 1
    return 2 if text.endswith(b"\n\r\n", 0, at) else 0
