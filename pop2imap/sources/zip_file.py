"""The members of a zip file.

The standard library reads the list of what is in it, of which it is not given more than ``_LIST_LIMIT`` octets; the
members are unpacked by :mod:`~pop2imap.sources.unpack`, in steps of bounded size, whatever they are packed with.
"""

from __future__ import annotations

import stat
import struct
import zipfile
from collections.abc import Iterator
from io import SEEK_CUR, SEEK_END, SEEK_SET, RawIOBase
from typing import NamedTuple

from pop2imap.errors import SourceDataError
from pop2imap.sources.mbox_file import MboxFile
from pop2imap.sources.packed import reader
from pop2imap.sources.unpack import Stream

_LIST_LIMIT = 32 << 20
_METHODS = {0: "stored", 8: "deflate", 12: "bz2", 93: "zst", 95: "xz"}
_ENCRYPTED = 0x1
_UTF8 = 0x800
_LOCAL = struct.Struct("<4s22xHH")


class Member(NamedTuple):
    """``size`` in octets, as the list says. ``fault``: why it cannot be unpacked."""

    name: str
    size: int
    packed: int
    method: str
    crc: int
    offset: int
    fault: str = ""


class _Limited(RawIOBase):
    """A file of which only so much is read at once."""

    def __init__(self, file: MboxFile) -> None:
        self._file = file
        self._size = file.stamp().size
        self._at = 0

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = SEEK_SET) -> int:
        at = offset + {SEEK_SET: 0, SEEK_CUR: self._at, SEEK_END: self._size}[whence]
        if at < 0:
            raise OSError("before the beginning")
        self._at = at
        return at

    def tell(self) -> int:
        return self._at

    def read(self, most: int = -1) -> bytes:
        most = self._size - self._at if most < 0 else most
        if most > _LIST_LIMIT:
            raise zipfile.BadZipFile("its list of contents is too long")
        octets = self._file.read_at(self._at, max(most, 0))
        self._at += len(octets)
        return octets


def members(file: MboxFile, where: str) -> Iterator[Member]:
    """Every file in it, in the order of its list. Raises SourceDataError."""
    try:
        listed = zipfile.ZipFile(_Limited(file)).infolist()
    except (
        zipfile.BadZipFile,
        NotImplementedError,
        ValueError,
        OverflowError,
        struct.error,
        OSError,
    ) as error:
        raise SourceDataError(
            f"the zip file is cut off or damaged: {error}",
            where=where,
            todo="fetch it again; what is left of it may be saved with zip -FF",
        ) from None
    for info in listed:
        mode = info.external_attr >> 16
        if info.is_dir() or (mode and not stat.S_ISREG(mode) and stat.S_IFMT(mode)):
            continue
        method = _METHODS.get(info.compress_type, "")
        fault = ""
        if info.flag_bits & _ENCRYPTED:
            fault = "it is encrypted; unpack the zip file with its password, and name what comes out"
        elif not method:
            fault = (
                f"it is packed by method {info.compress_type}, which is not known here; unpack it yourself"
            )
        yield Member(
            _name(info), info.file_size, info.compress_size, method, info.CRC, info.header_offset, fault
        )


def opened(file: MboxFile, member: Member, where: str, *, step: int | None = None) -> Stream:
    """The content of a member, to be unpacked. Raises SourceDataError, OSError."""
    start = file.read_at(member.offset, _LOCAL.size)
    if len(start) < _LOCAL.size or not start.startswith(b"PK\3\4"):
        raise SourceDataError("the zip file is damaged: a member is not where its list says", where=where)
    _, name, extra = _LOCAL.unpack(start)
    read = reader(file, member.offset + _LOCAL.size + name + extra, member.packed)
    steps = {} if step is None else {"step": step}
    return Stream(read, member.method, where, name="zip", crc=member.crc, **steps)


def _name(info: zipfile.ZipInfo) -> str:
    """Names without the mark for UTF-8 are said to be those of DOS, and mostly are UTF-8."""
    if info.flag_bits & _UTF8:
        return info.filename
    try:
        return info.filename.encode("cp437").decode()
    except UnicodeError:
        return info.filename
