"""The kinds of endpoints, and which kind of mail store lies at a path.

Only looks: the first octets of a file, the names in a directory. What it is taken for can always be said instead:
``maildir:PATH``, ``mbox:PATH``.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator
from enum import Enum
from pathlib import Path


class Kind(Enum):
    """What an endpoint speaks, or is."""

    POP3 = "pop3"
    IMAP = "imap"
    MBOX = "mbox"  # an mbox file, compressed or not, an archive of mail files, or a directory of mbox files
    TAKEOUT = "takeout"  # the same with the labels of Gmail
    MAILDIR = "maildir"
    MH = "mh"
    EML = "eml"  # a directory of .eml or .emlx files
    THUNDERBIRD = "thunderbird"

    __hash__ = object.__hash__

    @property
    def is_local(self) -> bool:
        """Whether it is files on this computer."""
        return self not in {Kind.POP3, Kind.IMAP}


LOCAL = {kind.value: kind for kind in Kind if kind.is_local}
"""The kinds of files, by the word before the path: ``mbox:PATH``."""

_LOOKED_AT = 2000
"""Names in a directory tree that are looked at."""

_DEEP = 4
_SINGLE = (".eml", ".emlx")
_MH_MESSAGE = re.compile(r",?[1-9][0-9]{0,9}")
_LABELS = re.compile(rb"(?im)^x-(?:gm-thrid|gmail-labels):")


def kind_of_directory(path: Path) -> Kind:
    """What kind of store the directory ``path`` is; an mbox tree if nothing speaks for another kind. Raises OSError
    if it cannot be looked at."""
    names = set(itertools.islice((entry.name for entry in os.scandir(path)), _LOOKED_AT))
    if "prefs.js" in names or "profiles.ini" in names:
        return Kind.THUNDERBIRD
    if {"cur", "new"} <= names or any(
        name.startswith(".") and (path / name / "cur").is_dir() for name in names
    ):
        return Kind.MAILDIR
    if (path / "Takeout").is_dir() or (path.name == "Takeout" and (path / "Mail").is_dir()):
        return Kind.TAKEOUT
    if ".mh_sequences" in names or (names and all(map(_MH_MESSAGE.fullmatch, names))):
        return Kind.MH
    if any(name.lower().endswith(_SINGLE) for name in _names(path)):
        return Kind.EML
    return Kind.MBOX


def has_labels(start: bytes) -> bool:
    """Whether an mbox that begins with ``start`` is one of Google Takeout."""
    line, _, head = start.partition(b"\n")
    return line.startswith(b"From ") and bool(_LABELS.match(head))


def _names(path: Path) -> Iterator[str]:
    """Names in and below a directory, not very many and not very deep."""
    depth = len(path.parts) + _DEEP

    def walk() -> Iterator[str]:
        for directory, below, files in os.walk(path):
            if len(Path(directory).parts) >= depth:
                below.clear()
            yield from files

    return itertools.islice(walk(), _LOOKED_AT)
