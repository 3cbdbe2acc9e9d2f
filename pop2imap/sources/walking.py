"""A directory tree, gone through once: bounded, and without following symbolic links.

What a link leads to inside of the tree is found there anyway; what it leads to outside of it is not what was named.
A directory that was seen already (a bind mount can lead back up) is not seen again.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from pop2imap.errors import SourceDataError
from pop2imap.model import Remark
from pop2imap.text import printable

DEPTH = 64
DIRECTORIES = 100_000
OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Entries(NamedTuple):
    """The names in one directory, in no order. ``others`` are neither: links, pipes, devices."""

    directories: list[str]
    files: list[str]
    others: list[str]


class Walk:
    """Looks into directories, and counts what it sees. ``most`` is how many it looks into."""

    def __init__(self, root: Path, most: int = DIRECTORIES) -> None:
        self.root = root
        self.noticed = False
        """For whoever goes through the tree, to remember that there is something else in it."""
        self._left = most
        self._seen: set[tuple[int, int]] = set()
        self._remarked: Counter[str] = Counter()
        self._first: dict[str, str] = {}

    def look(self, levels: tuple[str, ...]) -> Entries | str:
        """What the directory ``levels`` below the root holds; or why that cannot be known, in words."""
        if len(levels) > DEPTH:
            return f"it lies more than {DEPTH} directories deep; name it as a source of its own"
        if self._left <= 0:
            return "the store has too many directories; name this one as a source of its own"
        self._left -= 1
        try:
            handle = os.open(self.root.joinpath(*levels), OPEN_DIRECTORY)
            try:
                status = os.fstat(handle)
                if (status.st_dev, status.st_ino) in self._seen:
                    self.passed_over("directories that were seen already are passed over", "/".join(levels))
                    return Entries([], [], [])
                self._seen.add((status.st_dev, status.st_ino))
                return _entries(handle)
            finally:
                os.close(handle)
        except OSError as error:
            return f"the directory cannot be read: {error.strerror}"

    def leads_out(self, at: tuple[str, ...]) -> Path | None:
        """Where a symbolic link leads, if that is outside of the tree."""
        real = Path(os.path.realpath(self.root.joinpath(*at)))
        return None if real.is_relative_to(self.root) else real

    def passed_over(self, what: str, path: str) -> None:
        """Something is left out, such as ``path``."""
        self._remarked[what] += 1
        self._first.setdefault(what, path)

    def remarks(self) -> tuple[Remark, ...]:
        return tuple(
            Remark(f"{what}, such as {printable(self._first[what], 80)}", count)
            for what, count in self._remarked.items()
        )


def _entries(handle: int) -> Entries:
    found = Entries([], [], [])
    with os.scandir(handle) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                found.directories.append(entry.name)
            elif entry.is_file(follow_symlinks=False):
                found.files.append(entry.name)
            else:
                found.others.append(entry.name)
    return found


OUTSIDE = "it is a symbolic link, which is not followed; name what it leads to as a source of its own"
"""The fault of a link behind which there is mail."""

LINKS = "symbolic links and special files are passed over"


def root_of(path: Path, what: str) -> tuple[Path, str]:
    """The directory that ``path`` names, without symbolic links, and its name for people. Raises SourceDataError."""
    where = printable(str(path))
    real = Path(os.path.realpath(path))
    if real.is_dir():
        return real, where
    if os.path.lexists(real):
        raise SourceDataError(f"is no directory, so no {what}", where=where)
    raise SourceDataError("no such directory", where=where, todo="check the path")


def no_store(what: str, where: str, todo: str = "check the path") -> SourceDataError:
    """There is nothing of that kind."""
    return SourceDataError(f"holds no {what}", where=where, todo=todo)
