"""The mark beside a journal: how many of its commits are on the disk for good.

A log (``-wal``) that is damaged in the middle loses all that comes after the damage, and SQLite says nothing of it:
so does the log that a power failure leaves, and it cannot tell the two apart. The mark can. The journal counts the
commits that wait for the disk; *after* each of them the number goes into this file, without waiting. So whatever
happens to the machine, the journal has at least as many as the mark says, unless something took them away again: a
damaged log, or somebody who put an older journal in its place.

The mark names the journal by its ``id``, so a new journal has nothing to do with what an old one has left here. It is
only a witness: one that is missing or cannot be read says nothing, and nothing is lost by that.
"""

from __future__ import annotations

import contextlib
import os
import re
import zlib
from collections.abc import Mapping
from pathlib import Path

FILE = "mark"

Witnessed = tuple[str, int]
"""The id of a journal, and how many commits it has on the disk."""

_SHAPE = re.compile(rb"([0-9a-f]{32}) ([0-9]{20}) ([0-9a-f]{8})\n")
_LENGTH = 32 + 1 + 20 + 1 + 8 + 1


class Mark:
    """The mark in a directory."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE
        self._fd = -1

    @property
    def is_there(self) -> bool:
        """Whether some journal in this directory has had a commit on the disk."""
        return self._path.exists()

    def read(self) -> Witnessed:
        """Which journal has how many commits on the disk; nameless and none if nobody knows."""
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return "", 0
        try:
            found = _SHAPE.fullmatch(os.read(fd, _LENGTH + 1))
        except OSError:
            return "", 0
        finally:
            os.close(fd)
        if not found or found[3] != _check(found[1], found[2]):
            return "", 0
        return found[1].decode(), int(found[2])

    def write(self, journal: str, commits: int) -> None:
        """So many commits are on the disk now. Never raises."""
        name, number = journal.encode(), b"%020d" % commits
        with contextlib.suppress(OSError):
            if self._fd < 0:
                self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            os.pwrite(self._fd, b"%b %b %b\n" % (name, number, _check(name, number)), 0)

    def forget(self) -> None:
        """The journal was taken away. Never raises."""
        with contextlib.suppress(OSError):
            self._path.unlink()

    def close(self) -> None:
        """Never raises."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            with contextlib.suppress(OSError):
                os.close(fd)


def missing(witnessed: Witnessed, facts: Mapping[str, str]) -> int:
    """How many durable commits a journal with these rows of ``meta`` has lost. ``witnessed`` is the mark as it was
    before the journal was read: somebody may be at work in it."""
    journal, commits = witnessed
    return max(commits - int(facts["commits"]), 0) if facts.get("id") == journal else 0


def _check(name: bytes, number: bytes) -> bytes:
    return b"%08x" % zlib.crc32(name + number)
