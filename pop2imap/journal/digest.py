"""The digest beside a journal: the SHA-256 of its file, as the last run that came to its end has left it.

As long as the file has it, every octet is as it was written, and nothing else need be looked at: of a journal of
100,000 messages that takes some hundredths of a second, where all its checksums and trees take two seconds. A run that
was killed leaves none that fits, and a flipped bit, anywhere, is another digest; then everything is looked at
(:func:`pop2imap.journal.facts.examine`). So a digest that is missing or wrong costs time alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

FILE = "digest"

_LENGTH = 64


def holds(database: Path) -> bool:
    """Whether the file of this database is, octet for octet, as it was left. Never raises."""
    try:
        fd = os.open(database.with_name(FILE), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            noted = os.read(fd, _LENGTH + 1)
        finally:
            os.close(fd)
        return noted == _of(database)  # which is not None
    except OSError:
        return False


def note(database: Path) -> None:
    """The database was closed. Never raises."""
    with contextlib.suppress(OSError):
        digest = _of(database) or b""
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(database.with_name(FILE), flags, 0o600)
        try:
            os.write(fd, digest)
        finally:
            os.close(fd)


def _of(database: Path) -> bytes | None:
    """None if what was written is not all in this file, but in its log."""
    log = database.with_name(database.name + "-wal")
    if log.exists() and log.stat().st_size:
        return None
    with database.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest().encode()
