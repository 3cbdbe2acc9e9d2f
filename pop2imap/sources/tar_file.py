"""The members of a tar file, in one pass, in constant memory.

The standard library reads extended headers of any length into memory, keeps every member, and follows a chain of long
names by recursion. Here a header has a bound, and what is behind it is passed over.

What is read: ustar, with the long names of GNU tar and the extended headers of pax (``path``, ``size``). Links, devices
and sparse files are members without content.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

from pop2imap.sources.mbox_file import MboxFile

_BLOCK = 512
_EXTENDED_LIMIT = 1 << 20
_NAME_LIMIT = 1 << 12
_FILES = b"0\x007"
_PAX = re.compile(rb"(\d{1,7}) (path|size)=")


class Member(NamedTuple):
    """``size`` in octets; None if it is no file."""

    name: str
    size: int | None


class Input(Protocol):
    """Octets in order."""

    @property
    def position(self) -> int:
        """The offset of the next one."""

    def take(self, most: int) -> bytes:
        """Exactly that many of them; fewer only at the end."""

    def skip(self, count: int) -> None: ...


class Pieces:
    """Input from pieces of any size."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._held = b""
        self.position = 0

    def take(self, most: int) -> bytes:
        taken = []
        missing = most
        while missing:
            octets = self.some(missing)
            if not octets:
                break
            taken.append(octets)
            missing -= len(octets)
        return b"".join(taken)

    def some(self, most: int) -> bytes:
        """At least one octet, at most so many; none at the end."""
        while not self._held:
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._held = piece
        octets, self._held = self._held[:most], self._held[most:]
        self.position += len(octets)
        return octets

    def skip(self, count: int) -> None:
        while count and (octets := self.some(count)):
            count -= len(octets)


class InFile:
    """Input from a file, of which what is skipped is not read."""

    def __init__(self, file: MboxFile) -> None:
        self._file = file
        self._size = file.stamp().size
        self.position = 0

    def take(self, most: int) -> bytes:
        octets = self._file.read_at(self.position, most)
        self.position += len(octets)
        return octets

    def skip(self, count: int) -> None:
        self.position = min(self.position + count, self._size)


class DamagedTarError(ValueError):
    """Holds what is wrong, in words."""


def is_tar(start: bytes) -> bool:
    """Whether a file that begins like this is a tar file (its first 512 octets are looked at)."""
    header = start[:_BLOCK]
    return len(header) == _BLOCK and any(header) and _is_right(header)


def members(octets: Input, each: Callable[[Member], None]) -> None:
    """Call ``each`` for every member, when the first octet of its content comes next. It may take them, or not.

    Raises DamagedTarError where the file is damaged, or ends before its end."""
    name, size = b"", None
    while True:
        at = octets.position
        header = octets.take(_BLOCK)
        if len(header) < _BLOCK:
            raise DamagedTarError(f"the tar file is cut off after {at + len(header):,} octets")
        if not any(header):
            return
        if not _is_right(header):
            raise DamagedTarError(f"the tar file is damaged at octet {at:,}")
        length = _number(header[124:136])
        kind = header[156:157]
        if kind in b"xL" and length is not None and length <= _EXTENDED_LIMIT:
            text = octets.take(length)
            octets.skip(-length % _BLOCK)
            if kind == b"L":
                name = text[:_NAME_LIMIT].partition(b"\0")[0]
            else:
                name, size = _extended(text, name, size)
            continue
        if size is not None:
            length = size
        if length is None:
            raise DamagedTarError(f"the tar file is damaged at octet {at:,}: a length is no number")
        start = octets.position
        each(Member(_text(name or _name(header)), length if kind in _FILES else None))
        held = 0 if kind in b"123456" else length  # links, devices and directories have none
        octets.skip(start + held + -held % _BLOCK - octets.position)
        if kind not in b"gKx":
            name, size = b"", None


def _is_right(header: bytes) -> bool:
    said = _number(header[148:156])
    blank = header[:148] + b" " * 8 + header[156:]
    return said in (sum(blank), sum(octet - 256 if octet > 127 else octet for octet in blank))


def _number(field: bytes) -> int | None:
    """Octal digits, or, for what does not fit, the number itself (GNU)."""
    if field[:1] == b"\x80":
        return int.from_bytes(field[1:])
    digits = field.strip(b" \0")
    try:
        return int(digits or b"0", 8)
    except ValueError:
        return None


def _name(header: bytes) -> bytes:
    name = header[:100].partition(b"\0")[0]
    prefix = header[345:500].partition(b"\0")[0] if header[257:263] == b"ustar\0" else b""
    return prefix + b"/" + name if prefix else name


def _extended(text: bytes, name: bytes, size: int | None) -> tuple[bytes, int | None]:
    at = 0
    while at < len(text):
        space = text.find(b" ", at, at + 9)
        length = text[at:space] if space > 0 else b""
        if not length.isdigit() or not int(length):
            break
        record = text[at : at + int(length)]
        if found := _PAX.match(record):
            value = record[found.end() :].rstrip(b"\n")
            if found[2] == b"path":
                name = value[:_NAME_LIMIT]
            elif value.isdigit() and len(value) < 20:
                size = int(value)
        at += int(length)
    return name, size


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")
