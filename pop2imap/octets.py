"""The exact octets of a message, with their digests: held in memory or, when large, in a file.

A message is written once, in chunks, into an :class:`OctetsWriter`. Past ``SPOOL_AT`` octets it moves to an unnamed
temporary file, so memory stays bounded whatever a source sends, and nothing is left behind however the process
ends. The digest names the message, so it is taken at once; what else can be told of its octets is told when somebody
asks: many a message is settled without, and what lies in memory is digested in one go.

``match_digest`` answers one question: *is what this server holds that message, although the server rewrote
it?* Servers answer OK to an APPEND and store other octets: Dovecot turns bare LF and CR CR LF into CRLF and
shows NUL as 0x80; Cyrus turns header octets above 0x7F into ``X``; Courier drops bare CR, turns LF into CRLF, and gives
the last line its end. So both sides are digested in one form, the *plain* one: no CR but before LF, no LF but after CR,
one line end after the last line that has text, NUL read as 0x80, and header octets from 0x80 up read as ``X``. The
header ends at the first empty line, CR being ignored. Nearly all mail is plain as it is; then its match digest is its
digest, and costs no more than a look.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from pop2imap.errors import LocalIOError

SPOOL_AT = 2 << 20
"""Octets up to which a message stays in memory."""

HEAD_LIMIT = 1 << 20
"""Octets of a header block that are looked at; more is data for nobody's rule."""

CHUNK = 1 << 16

_EMPTY_LINE = re.compile(rb"\n\r*\n")
_NUL_AS_80 = bytes([0x80, *range(1, 256)])
_HEAD_TABLE = bytes([ord("X"), *range(1, 0x80)]) + b"X" * 0x80


class MatchDigest:
    """SHA-256 of the plain form of octets that come in pieces of any size."""

    def __init__(self) -> None:
        self._sha = hashlib.sha256()
        self._in_head = True
        self._at_line_start = True  # an empty first line ends an empty header
        self._ends = 0  # line ends that count if any text follows

    def update(self, octets: bytes) -> None:
        if self._in_head:
            end = self._end_of_head(octets)
            if end is None:
                self._add(octets.translate(_HEAD_TABLE, b"\r"))
                return
            self._add(octets[:end].translate(_HEAD_TABLE, b"\r"))
            self._in_head = False
            octets = octets[end:]
        self._add(octets.translate(_NUL_AS_80, b"\r"))

    def _add(self, lines: bytes) -> None:
        """These lines end with LF."""
        text = lines.rstrip(b"\n")
        if text:
            while self._ends:  # some at a time: a message may be made of nothing else
                some = min(self._ends, CHUNK)
                self._sha.update(b"\r\n" * some)
                self._ends -= some
            self._sha.update(text.replace(b"\n", b"\r\n"))
        self._ends += len(lines) - len(text)

    def _end_of_head(self, octets: bytes) -> int | None:
        if self._at_line_start:
            lead = len(octets) - len(octets.lstrip(b"\r"))
            if lead == len(octets):
                return None
            if octets[lead] == 0x0A:
                return lead + 1
        if found := _EMPTY_LINE.search(octets):
            return found.end()
        self._at_line_start = octets.rstrip(b"\r").endswith(b"\n")
        return None

    def digest(self) -> bytes:
        whole = self._sha.copy()
        whole.update(b"\r\n")
        return whole.digest()

    @classmethod
    def of(cls, octets: bytes, digest: bytes, *, crlf_only: bool = False) -> bytes:
        """The match digest of a whole message, of which ``digest`` is the SHA-256. ``crlf_only``: it is known that
        there is no CR without LF, and no LF without CR."""
        matched = cls()
        if b"\0" in octets or not (octets.isascii() or octets[: matched._end_of_head(octets)].isascii()):
            matched.update(octets)
            return matched.digest()
        if crlf_only and octets.endswith(b"\r\n") and not octets.endswith(b"\n\r\n"):
            return digest
        lines = octets.replace(b"\r", b"")
        if not lines.endswith(b"\n") or lines.endswith(b"\n\n"):
            lines = lines.rstrip(b"\n") + b"\n"
        plain = lines.replace(b"\n", b"\r\n")
        return digest if plain == octets else hashlib.sha256(plain).digest()


class _LineEnds:
    """Counts line ends, in pieces of any size, to know what becomes of a size when servers rewrite them."""

    def __init__(self) -> None:
        self._size = self._returns = self._feeds = self._pairs = self._doubled = 0
        self._last = b""  # two octets

    def update(self, octets: bytes) -> None:
        last, begins = self._last, octets[:2]
        self._size += len(octets)
        self._returns += octets.count(b"\r")
        self._feeds += octets.count(b"\n")
        self._pairs += octets.count(b"\r\n") + (last[-1:] == b"\r" and begins[:1] == b"\n")
        straddling = (last + begins).count(b"\r\r\n") if last.endswith(b"\r") else 0
        self._doubled += octets.count(b"\r\r\n") + straddling
        self._last = (last + octets[-2:])[-2:]

    def likely_sizes(self) -> frozenset[int]:
        # QUIRK(Courier): every CR goes, every LF becomes CRLF, and a last line gets its end
        without_cr = self._size - self._returns + self._feeds
        courier = {without_cr, without_cr + 2, max(without_cr - 2, 0)}
        # QUIRK(Dovecot): LF becomes CRLF, CR CR LF does, too, and a CR at the end goes
        dovecot = self._size + self._feeds - self._pairs - self._doubled - self._last.endswith(b"\r")
        return frozenset({self._size, dovecot, *courier})


def _match_digest(chunks: Iterable[bytes]) -> bytes:
    matched = MatchDigest()
    for chunk in chunks:
        matched.update(chunk)
    return matched.digest()


def _likely_sizes(chunks: Iterable[bytes]) -> frozenset[int]:
    ends = _LineEnds()
    for chunk in chunks:
        ends.update(chunk)
    return ends.likely_sizes()


class _SpoolFile:
    """A file without a name, closed when the last reference to it goes. ``sha`` is of what was written."""

    __slots__ = ("file", "sha")

    def __init__(self, directory: Path | None) -> None:
        import tempfile  # not loaded by runs without large mail

        self.file = tempfile.TemporaryFile("w+b", dir=directory)  # noqa: SIM115
        self.sha = hashlib.sha256()

    def write(self, octets: bytes) -> None:
        self.sha.update(octets)
        self.file.write(octets)

    def read_at(self, at: int, most: int) -> bytes:
        return os.pread(self.file.fileno(), most, at)

    def __del__(self) -> None:
        if hasattr(self, "file"):  # not when there was no room to make it
            self.file.close()


class StoredOctets:
    """What :meth:`OctetsWriter.finish` returns; satisfies :class:`pop2imap.model.Octets`.

    Safe to read from several threads at once (``pread``). The spool file, if any, has no name: it goes when
    the last reference goes, or with the process. Whatever reads from it may raise LocalIOError.
    """

    __slots__ = ("_file", "_likely_sizes", "_match_digest", "_memory", "crlf_only", "digest", "size")

    def __init__(
        self, size: int, digest: bytes, *, memory: bytes = b"", file: _SpoolFile | None = None
    ) -> None:
        self.crlf_only = False
        """Whether whoever has written them knows that there is no CR without LF, and no LF without CR."""
        self.size = size
        self.digest = digest
        self._memory = memory
        self._file = file
        self._match_digest: bytes | None = None
        self._likely_sizes: frozenset[int] | None = None

    @property
    def match_digest(self) -> bytes:
        """See :class:`MatchDigest`. Taken when first asked for."""
        if self._match_digest is None:
            if self._file is None:
                self._match_digest = MatchDigest.of(self._memory, self.digest, crlf_only=self.crlf_only)
            else:
                self._match_digest = _match_digest(self.chunks())
        return self._match_digest

    @property
    def likely_sizes(self) -> frozenset[int]:
        """Lengths with which servers are known to store it, its own among them."""
        if self._likely_sizes is None:
            self._likely_sizes = _likely_sizes(self.chunks())
        return self._likely_sizes

    @property
    def in_memory(self) -> int:
        """Octets of memory this message holds: its size, or 0 when it lies in a spool file."""
        return len(self._memory)

    def chunks(self) -> Iterator[bytes]:
        if self._file is None:
            if self._memory:
                yield self._memory
            return
        at = 0
        while at < self.size:
            piece = self._file.read_at(at, CHUNK)
            if not piece:
                raise LocalIOError("a spool file became shorter while it was read")
            at += len(piece)
            yield piece

    def head(self) -> bytes:
        if self._file is None:
            start = self._memory
        else:
            start = self._file.read_at(0, HEAD_LIMIT)
        if start.startswith((b"\n", b"\r\n")):
            return start[: start.index(b"\n") + 1]
        end = _EMPTY_LINE.search(start, 0, HEAD_LIMIT)
        return start[: end.end() if end else HEAD_LIMIT]


class OctetsWriter:
    """Takes one message in pieces. ``spool`` is the directory for large ones (default: the system's)."""

    def __init__(self, spool: Path | None = None, *, spool_at: int = SPOOL_AT) -> None:
        self._spool = spool
        self._spool_at = spool_at
        self._pieces: list[bytes] = []
        self._file: _SpoolFile | None = None
        self.size = 0

    def write(self, octets: bytes) -> None:
        """Append ``octets``. Raises LocalIOError when the spool directory is full or not writable."""
        self.size += len(octets)
        self._pieces.append(octets)
        if self.size > self._spool_at:
            self._to_file()

    def _to_file(self) -> None:
        with self._spool_errors():
            if self._file is None:
                self._file = _SpoolFile(self._spool)
            for piece in self._pieces:
                self._file.write(piece)
            self._pieces.clear()

    def finish(self) -> StoredOctets:
        """The message, complete. The writer must not be used again."""
        if self._file is None:
            return _in_memory(b"".join(self._pieces))
        with self._spool_errors():
            self._file.file.flush()
        return StoredOctets(self.size, self._file.sha.digest(), file=self._file)

    @contextlib.contextmanager
    def _spool_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            import tempfile

            raise LocalIOError(
                f"cannot spool a large message: {error.strerror}",
                where=str(self._spool or tempfile.gettempdir()),
                todo="free some space there, or choose another place with --state-dir",
            ) from error


def from_chunks(chunks: Iterable[bytes], spool: Path | None = None) -> StoredOctets:
    """A message from pieces."""
    writer = OctetsWriter(spool)
    for chunk in chunks:
        writer.write(chunk)
    return writer.finish()


def from_bytes(octets: bytes, spool: Path | None = None) -> StoredOctets:
    """A message that is in memory already; as elsewhere, a large one does not stay there."""
    return _in_memory(octets) if len(octets) <= SPOOL_AT else from_chunks((octets,), spool)


def _in_memory(octets: bytes) -> StoredOctets:
    return StoredOctets(len(octets), hashlib.sha256(octets).digest(), memory=octets)
