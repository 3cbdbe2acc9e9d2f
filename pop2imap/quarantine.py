"""Where refused messages are kept: a directory of ``.eml`` files, each with the octets of one message.

A file is named by the SHA-256 of its octets, so nothing in a message decides where it goes, the same message is kept
once, and whoever has the file can check it. It appears whole or not at all, and belongs to its owner alone.
"""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pop2imap.errors import LocalIOError
from pop2imap.model import Octets
from pop2imap.text import printable


class Quarantine:
    """A directory for refused messages; made when it is missing. Raises LocalIOError if it cannot be."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        with self._errors():
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not os.access(directory, os.W_OK | os.X_OK):  # found out before the work and not after it
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    def find(self, digest: bytes | None) -> Path | None:
        """The file of the message with this SHA-256, if it is there."""
        if digest is None:
            return None
        path = self._directory / f"{digest.hex()}.eml"
        return path if path.is_file() and not path.is_symlink() else None

    def keep(self, octets: Octets) -> Path:
        """Put a message there, durably. Returns its file. Raises LocalIOError.

        Other runs may keep the same message at the same time: each writes a file of its own, and the first that is
        whole takes the name. Then the others are of no more use, nor are those of runs that were killed.
        """
        if found := self.find(octets.digest):
            return found
        name = octets.digest.hex()
        path = self._directory / f"{name}.eml"
        with self._errors():
            handle, written = tempfile.mkstemp(".part", name, self._directory)
            part = Path(written)
            try:
                with open(handle, "wb") as file:
                    file.writelines(octets.chunks())
                    file.flush()
                    os.fsync(file.fileno())
                part.rename(path)
            except FileNotFoundError:
                if self.find(octets.digest) is None:  # else another run was faster
                    raise
            finally:
                part.unlink(missing_ok=True)
            for left in self._directory.glob(f"{name}*.part"):
                left.unlink(missing_ok=True)
            fd = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
        return path

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise LocalIOError(
                f"refused messages cannot be kept there: {error.strerror or error}",
                where=printable(str(self._directory)),
                todo="free some space there, make it writable for you, or name another place with --quarantine",
            ) from error
