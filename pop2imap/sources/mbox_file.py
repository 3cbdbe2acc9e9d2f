"""The file under an mbox source: opened for reading only, read by offset, watched for changes.

The file is never written to, and where the system lets us not even its access time changes, since mail
programs tell new mail by it. Nothing is mapped into memory: a mapped file that another program cuts short
kills whoever reads it. What is no plain file (standard input, a pipe such as ``/dev/fd/63``) is copied to an
unnamed temporary file first.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import stat
import sys
import tempfile
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from pop2imap import logs
from pop2imap.errors import LocalIOError, SourceDataError

_COPY = 1 << 20
_EVERY = 10.0
"""Seconds between two lines on what has come through a pipe so far."""

_LOOK = 64 << 20
"""Octets between two looks at what is left of the disk."""
_ROOM = 512 << 20

log = logging.getLogger(logs.PROGRESS)


class Stamp(NamedTuple):
    """What tells one state of a file from another. ``modified`` is in ns since the epoch."""

    size: int
    modified: int
    identity: tuple[int, int]

    @classmethod
    def of(cls, status: os.stat_result) -> Stamp:
        return cls(status.st_size, status.st_mtime_ns, (status.st_dev, status.st_ino))


class MboxFile:
    """An open file, closed by :meth:`close` or with the last reference to it; or the ``size`` octets from ``start`` on
    in one."""

    def __init__(self, descriptor: int, start: int = 0, size: int | None = None) -> None:
        self._descriptor = descriptor
        self._start, self._size = start, size
        self.close = weakref.finalize(self, os.close, descriptor)

    def read_at(self, offset: int, most: int) -> bytes:
        """Raises OSError."""
        if self._size is not None:
            most = max(min(most, self._size - offset), 0)
        return os.pread(self._descriptor, most, self._start + offset)

    def stamp(self) -> Stamp:
        stamp = Stamp.of(os.fstat(self._descriptor))
        return stamp if self._size is None else stamp._replace(size=self._size)

    def window(self, start: int, size: int) -> MboxFile:
        """A part of it, as a file that is open by itself."""
        return MboxFile(os.dup(self._descriptor), self._start + start, size)


def is_stream(path: Path | None) -> bool:
    """Whether ``path`` (None: standard input) can be read only once, from its beginning to its end."""
    if path is None:
        return True
    try:
        mode = path.stat().st_mode
    except OSError:
        return False  # said when it is opened
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def open_file(path: Path, where: str) -> MboxFile:
    """``path`` holds no symbolic links any more. Raises SourceDataError; ``where`` names the file there."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        try:
            descriptor = os.open(path, flags | getattr(os, "O_NOATIME", 0))
        except PermissionError:  # only the owner of a file may ask for O_NOATIME
            descriptor = os.open(path, flags)
    except (FileNotFoundError, NotADirectoryError):
        raise SourceDataError("no such file", where=where, todo="check the path") from None
    except PermissionError:
        raise SourceDataError("you may not read it", where=where, todo="check its permissions") from None
    except OSError as error:
        raise SourceDataError(f"cannot be opened: {error.strerror}", where=where) from None
    file = MboxFile(descriptor)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        file.close()
        raise _no_file(path, where)
    return file


def copy_stream(path: Path | None, where: str, spool: Path | None) -> MboxFile:
    """Everything that comes through the pipe ``path`` (None: standard input), in a temporary file in ``spool``.

    Raises SourceDataError if nothing comes, LocalIOError if there is no room for it.
    """
    if path is None:
        if sys.stdin is None or sys.stdin.isatty():
            raise SourceDataError(
                "is a terminal", where=where, todo="give it an mbox: zcat mail.gz | pop2imap migrate - TARGET"
            )
        return _copy(sys.stdin.buffer, where, spool)
    try:
        with path.open("rb", buffering=0) as pipe:
            return _copy(pipe, where, spool)
    except OSError as error:
        raise SourceDataError(f"cannot be opened: {error.strerror}", where=where) from None


def _copy(stream: BinaryIO, where: str, spool: Path | None) -> MboxFile:
    with Spool(spool, where, "what comes through the pipe") as copy:
        while True:
            try:
                piece = stream.read(_COPY)
            except OSError as error:
                raise SourceDataError(f"cannot be read: {error.strerror}", where=where) from error
            if not piece and not copy.size:
                raise SourceDataError(
                    "nothing came", where=where, todo="see what the program before the pipe says"
                )
            if not piece:
                return copy.file()
            copy.write(piece)


class Spool:
    """An unnamed temporary file in the directory ``spool``, to be written from its beginning to its end. ``what`` it
    holds, and from ``where`` that comes, is for people. ``leave_room``: it does not take the last of a disk, which
    others need: 5 %, or half a gigabyte. Everything here raises LocalIOError when there is no room."""

    def __init__(self, spool: Path | None, where: str, what: str, *, leave_room: bool = False) -> None:
        self._where, self._what = where, what
        self._directory = spool or Path(tempfile.gettempdir())
        self._leave_room = leave_room
        self._looked = 0
        self._logged = time.monotonic()
        self.size = 0
        with self._no_room():
            self._copy = tempfile.TemporaryFile("w+b", dir=spool, buffering=0)  # noqa: SIM115

    def write(self, piece: bytes) -> None:
        with self._no_room():
            if self._leave_room and self.size >= self._looked:
                self._looked = self.size + _LOOK
                disk = os.statvfs(self._copy.fileno())
                left = disk.f_bavail * disk.f_frsize
                if left < min(_ROOM, disk.f_blocks * disk.f_frsize // 20) + len(piece):
                    raise OSError(errno.ENOSPC, f"only {left / 1e6:,.0f} MB are left on the disk")
            written = 0
            while written < len(piece):
                written += self._copy.write(piece[written:])
        self.size += written
        if time.monotonic() - self._logged >= _EVERY:
            self._logged = time.monotonic()
            log.info("reading %s: %.1f MB so far", self._where, self.size / 1e6)

    def file(self) -> MboxFile:
        """What was written, to be read."""
        return MboxFile(os.dup(self._copy.fileno()))

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: object) -> None:
        self._copy.close()

    @contextlib.contextmanager
    def _no_room(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise LocalIOError(
                f"cannot keep {self._what}: {error.strerror}",
                where=str(self._directory),
                todo="free some space there, or choose another place with --state-dir",
            ) from error


def _no_file(path: Path, where: str) -> SourceDataError:
    if not path.is_dir():
        return SourceDataError("is not a file", where=where)
    if (path / "mbox").is_file():  # what Apple Mail exports
        return SourceDataError("is a folder with an mbox in it", where=where, todo=f"name {where}/mbox")
    if (path / "cur").is_dir() and (path / "new").is_dir():
        return SourceDataError("is a Maildir, which pop2imap does not read yet", where=where)
    return SourceDataError("is a folder, not an mbox file", where=where, todo="name one file, or several")


def what_changed(path: Path, file: MboxFile, before: Stamp) -> str:
    """What happened to a file since ``before``, in words; empty if nothing did. Never raises."""
    try:
        now = file.stamp()
        there = Stamp.of(path.stat())
    except OSError:
        return "is gone: another program removed it while it was read"
    if there.identity != before.identity:
        return "was replaced by another program while it was read: run again, nothing is moved twice"
    if now.size > before.size:
        return f"grew by {now.size - before.size:,} octets while it was read: run again to fetch what came"
    if now != before:
        return "was changed by another program while it was read: run again, nothing is moved twice"
    return ""
