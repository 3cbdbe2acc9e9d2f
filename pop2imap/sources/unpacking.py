"""Messages that a server keeps compressed: Dovecot does it in files that look like any other in the Maildir.

What is known by its first octets and can be unpacked is (gzip, bzip2); what cannot (xz, Zstandard, LZ4, and what is
encrypted) is unreadable, for nobody wants such octets as a message. The magic of each is too odd for a header to begin
so. Source: Dovecot's ``zlib``, ``mail_compress`` and ``mail_crypt`` plugins.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
import zlib
from collections.abc import Iterator
from typing import IO

from pop2imap.errors import LocalIOError
from pop2imap.octets import SPOOL_AT
from pop2imap.sources import too_large
from pop2imap.sources.file_folder import Fault, OpenFile
from pop2imap.sources.mbox_slice import PIECE, ReadAt
from pop2imap.sources.settings import Settings

_GZIP = b"\x1f\x8b\x08"
_BZIP2 = tuple(b"BZh%d1AY&SY" % level for level in range(1, 10))
_LOCKED = (
    (b"\xfd7zXZ\0", "compressed with xz"),
    (b"\x28\xb5\x2f\xfd", "compressed with Zstandard"),
    (b"Dovecot-LZ4\x0d\x2a\x9b\xc5", "compressed with LZ4"),
    (b"CRYPTED\x03\x07", "encrypted"),
)
_MAGIC = 16


@contextlib.contextmanager
def unpacked(file: OpenFile, settings: Settings) -> Iterator[OpenFile]:
    """``file``, or what is packed in it. Raises Fault where it cannot be had, LocalIOError where there is no room."""
    magic = file.read_at(0, _MAGIC)
    for start, what in _LOCKED:
        if magic.startswith(start):
            raise Fault(f"it is {what}; only its server can read it: move it from there, over POP3 or IMAP")
    if not magic.startswith((_GZIP, *_BZIP2)):
        yield file
        return
    most = settings.max_message_size
    with tempfile.SpooledTemporaryFile(SPOOL_AT, dir=str(settings.spool or "") or None) as copy:
        size = 0
        for piece in _pieces(file, gzipped=magic.startswith(_GZIP)):
            size += len(piece)
            if size > most:
                raise Fault(too_large(size, most))
            try:
                copy.write(piece)
            except OSError as error:
                raise LocalIOError(
                    f"cannot spool a large message: {error.strerror}",
                    where=str(settings.spool or tempfile.gettempdir()),
                    todo="free some space there, or choose another place with --state-dir",
                ) from error
        if not size:
            raise Fault("the message is empty")
        yield file._replace(read_at=_reader(copy), size=size)


def _pieces(file: OpenFile, *, gzipped: bool) -> Iterator[bytes]:
    import bz2
    import gzip

    raw = io.BufferedReader(_Raw(file.read_at))
    packed: IO[bytes] = gzip.GzipFile(fileobj=raw) if gzipped else bz2.BZ2File(raw)  # type: ignore[assignment]
    try:
        while piece := packed.read(PIECE):
            yield piece
    except (OSError, EOFError, zlib.error) as error:
        raise Fault(f"it is compressed, and damaged: {error}") from None


def _reader(copy: IO[bytes]) -> ReadAt:
    def read_at(offset: int, most: int) -> bytes:
        copy.seek(offset)
        return copy.read(most)

    return read_at


class _Raw(io.RawIOBase):
    """What a ``ReadAt`` reads, from its beginning on."""

    def __init__(self, read_at: ReadAt) -> None:
        self._read_at, self._at = read_at, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        piece = self._read_at(self._at, len(buffer))
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)
