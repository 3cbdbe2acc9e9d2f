"""Packed octets, unpacked in a stream: gzip, bzip2, xz and zstd files, and the members of zip files.

**Memory** is bounded: each step takes some octets in and gives some out, whatever they unpack to.

**Bombs**: what unpacks to more than ``RATIO`` times its size, once past ``FREE`` octets, is none of the mail that was
ever seen. Nothing of it is used.

**How far it can be believed.** A stream that ends too early (a download that broke off) is right as far as it goes. One
that is damaged is not: where the decoder notices is some way, or all the way, behind the first wrong octet. So what can
be used of a damaged stream ends where its check sum was right for the last time: at the end of a member (files are
appended to with ``gzip -c >>``; ``pbzip2`` and ``pzstd`` write many). :attr:`Stream.usable` says how much that is,
:attr:`Stream.fault` what is wrong.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

from pop2imap.errors import SourceDataError
from pop2imap.sources.mbox_file import MboxFile

RATIO = 200
FREE = 64 << 20
"""Octets that anything may unpack to."""

_BLOCK = 1 << 16  # octets that go in at once
_PIECE = 1 << 18  # octets that come out at once
_XZ_MEMORY = 256 << 20  # xz -9 takes 65 MB to unpack

PACKINGS = {
    "gz": b"\x1f\x8b\x08",
    "bz2": b"BZh",
    "xz": b"\xfd7zXZ\x00",
    "zst": b"\x28\xb5\x2f\xfd",
}
"""How each begins."""

_SKIPPABLE = tuple(bytes([0x50 + nth]) + b"\x2a\x4d\x18" for nth in range(16))
"""Frames of zstd that hold no data (RFC 8878 3.1.2)."""


class Content(NamedTuple):
    """A file that was unpacked, or a part of one; only what can be used of it. ``fault``: what is wrong with it; then
    its end is missing."""

    file: MboxFile
    size: int
    fault: str = ""


class _Decoder(Protocol):
    @property
    def needs_input(self) -> bool: ...
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Inflate:
    """zlib in the manner of the others."""

    def __init__(self, wbits: int) -> None:
        self._inflate = zlib.decompressobj(wbits)
        self._full = False

    @property
    def needs_input(self) -> bool:
        return not self._inflate.unconsumed_tail and not self._full

    @property
    def eof(self) -> bool:
        return self._inflate.eof

    @property
    def unused_data(self) -> bytes:
        return self._inflate.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        octets = self._inflate.decompress(self._inflate.unconsumed_tail + data, max_length)
        self._full = len(octets) == max_length
        return octets


class _Stored:
    """What is not packed at all."""

    needs_input, eof, unused_data = True, False, b""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return data


def _zstd() -> Any:
    """The module that unpacks zstd. Raises SourceDataError where there is none."""
    import importlib

    for name in ("compression.zstd", "backports.zstd"):  # Python 3.14 has the first
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise SourceDataError(
        "this is a zstd file, and nothing is installed that unpacks those",
        todo="install the package backports.zstd (pip install 'pop2imap[zstd]'), or unpack it with zstd -d",
    )


def _decoder(packing: str) -> _Decoder:
    """Raises SourceDataError."""
    match packing:
        case "gz":
            return _Inflate(16 + zlib.MAX_WBITS)
        case "deflate":
            return _Inflate(-zlib.MAX_WBITS)
        case "bz2":
            return bz2.BZ2Decompressor()
        case "xz":
            return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)
        case "zst":
            decoder: _Decoder = _zstd().ZstdDecompressor()
            return decoder
    return _Stored()


AND_SO = "this message may not be whole, and what came after it is lost; fetch the file again"
"""What a fault means for the last message."""


def packing_of(start: bytes) -> str:
    """How a file that begins like this is packed; empty if it is not."""
    return next((name for name, magic in PACKINGS.items() if start.startswith(magic)), "")


def is_bomb(octets: int, packed: int) -> bool:
    return octets > FREE and octets > RATIO * packed


def bomb(where: str) -> SourceDataError:
    return SourceDataError(
        f"it unpacks to more than {RATIO} times its size, which no mail does: nothing of it is used",
        where=where,
        todo="if you know that there is mail in it, unpack it yourself, and name what comes out",
    )


class Stream:
    """One packed stream. ``read`` gives at most that many of its octets, in order, none at its end. ``packing`` is a
    key of ``PACKINGS``, or ``deflate`` or ``stored`` for a member of a zip file; ``crc`` is what its check sum must be.
    Pieces have at most ``step`` octets. ``where`` and ``name`` are for people."""

    def __init__(
        self,
        read: Callable[[int], bytes],
        packing: str,
        where: str,
        *,
        name: str = "",
        crc: int | None = None,
        step: int = _PIECE,
    ) -> None:
        self._read = read
        self._packing = packing
        self._where = where
        self._name = name or packing
        self._crc = crc
        self._step = step
        self._sum = 0
        self.packed = 0
        """Octets that were read."""
        self.size = 0
        """Octets that came out."""
        self.usable = 0
        """How many of them are right. Holds once ``pieces`` has ended."""
        self.fault = ""
        """What is wrong with the stream, in words; empty if it is whole."""

    def pieces(self) -> Iterator[bytes]:
        """What comes out. A stream that is cut off or damaged ends early; ``fault`` tells. Raises SourceDataError
        for a bomb, and what ``read`` raises."""
        block = self._more(b"")
        if not block:
            self.fault = f"the {self._name} file is empty"
            return
        while block:  # one member of a stream after the other
            decoder = _decoder(self._packing)
            try:
                yield from self._member(decoder, block)
            except (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError) as error:
                if isinstance(error, OSError) and error.errno is not None:
                    raise  # of the file: bz2 has none
                self._damaged(error)
                return
            except Exception as error:
                if type(error).__name__ != "ZstdError":
                    raise
                self._damaged(error)
                return
            if not decoder.eof and not isinstance(decoder, _Stored):
                self._cut_off()
                return
            if self._crc is not None and self._sum != self._crc:
                self._damaged(ValueError("the check sum is wrong"))
                return
            self.usable = self.size
            block = b"" if self._crc is not None else self._next(decoder.unused_data)

    def _member(self, decoder: _Decoder, block: bytes) -> Iterator[bytes]:
        while not decoder.eof:
            if not block and decoder.needs_input and not (block := self._more(b"")):
                return
            octets = decoder.decompress(block, self._step)
            block = b""
            if not octets:
                continue
            self.size += len(octets)
            if self._packing != "stored" and is_bomb(self.size, self.packed):
                raise bomb(self._where)
            if self._crc is not None:
                self._sum = zlib.crc32(octets, self._sum)
            yield octets

    def _more(self, octets: bytes) -> bytes:
        block = self._read(min(_BLOCK, self._step))
        self.packed += len(block)
        return octets + block

    def _next(self, rest: bytes) -> bytes:
        """The beginning of the next member, from ``rest`` on, which follows one; empty if there is none."""
        starts = _SKIPPABLE if self._packing == "zst" else ()
        starts += (PACKINGS.get(self._packing, b""),)
        while True:
            if self._packing in ("gz", "xz"):
                rest = rest.lstrip(b"\0")  # padding is allowed
            if len(rest) >= max(map(len, starts)):
                break
            if len(more := self._more(rest)) == len(rest):
                break
            rest = more
        if not rest or rest.startswith(starts):
            return rest
        if any(start.startswith(rest) for start in starts):
            self._cut_off()
        else:
            at = self.packed - len(rest)
            self.fault = f"the {self._name} file is damaged: what follows octet {at:,} is no {self._name}"
        return b""

    def _cut_off(self) -> None:
        self.usable = self.size
        self.fault = f"the {self._name} file is cut off after {self.packed:,} octets"

    def _damaged(self, error: Exception) -> None:
        self.fault = f"the {self._name} file is damaged somewhere before octet {self.packed:,} ({error})"
