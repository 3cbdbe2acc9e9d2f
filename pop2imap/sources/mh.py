"""MH: one numbered file for each message, directories in directories, and the state of all in ``.mh_sequences``.

Numbers are given again (``folder -pack``, ``sortm``), so they name nothing: the key is made of what is in the file
(:mod:`~pop2imap.sources.file_folder`). nmh, exmh, Sylpheed, Claws Mail and Evolution write such trees. Deleted messages
get a comma or a hash before their number until they are purged, and are left out.

What says nothing of a sequence is not in it: where there is ``.mh_sequences``, a message that is not ``unseen`` was
read. Without that file nothing is known.

Sources: nmh's ``mh-sequence(5)``, ``mh-mail(5)``.
"""

from __future__ import annotations

import os
import re
from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from pop2imap.model import ANSWERED, FLAGGED, SEEN
from pop2imap.sources.eml import from_line, natural
from pop2imap.sources.file_folder import FileFolder, Look, OpenFile, read_beside
from pop2imap.sources.mbox_flags import FORWARDED
from pop2imap.sources.mbox_from import envelope_date
from pop2imap.sources.settings import Settings
from pop2imap.sources.special_use import folder_name
from pop2imap.sources.tree import Found, Part, TreeSource
from pop2imap.sources.walking import LINKS, Walk, no_store, root_of
from pop2imap.text import printable

SEQUENCES = ".mh_sequences"
_SEQUENCES_LIMIT = 16 << 20
_NUMBER = re.compile(r"[1-9]\d{0,14}", re.ASCII)
_RANGE = re.compile(rb"(\d{1,15})(?:-(\d{1,15}))?")
_FLAGS = {b"replied": ANSWERED, b"flagged": FLAGGED, b"forwarded": FORWARDED}
_UNSEEN = b"unseen"
_ENDLESS = 10**16


class Sequences:
    """What a ``.mh_sequences`` says. A range costs the same however long it is."""

    def __init__(self, text: bytes) -> None:
        self._ranges: dict[bytes, list[tuple[int, int]]] = {}
        for line in text.replace(b"\n ", b" ").replace(b"\n\t", b" ").splitlines():
            name, colon, ranges = line.partition(b":")
            name = name.strip().lower()
            if colon and (name in _FLAGS or name == _UNSEEN):
                self._ranges[name] = _merged(ranges)

    def flags(self, number: int) -> frozenset[str]:
        flags = {flag for name, flag in _FLAGS.items() if self._holds(name, number)}
        return frozenset(flags if self._holds(_UNSEEN, number) else flags | {SEEN})

    def _holds(self, name: bytes, number: int) -> bool:
        ranges = self._ranges.get(name, [])
        at = bisect_right(ranges, (number, _ENDLESS)) - 1
        return at >= 0 and ranges[at][0] <= number <= ranges[at][1]


def _merged(text: bytes) -> list[tuple[int, int]]:
    """Ranges in order, none of which overlaps another."""
    merged: list[tuple[int, int]] = []
    found = (match for match in map(_RANGE.fullmatch, text.split()) if match)
    for first, last in sorted((int(match[1]), int(match[2] or match[1])) for match in found):
        if merged and first <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return merged


class MhFolder(FileFolder):
    """The numbered files in ``directory``."""

    kind = "MH"

    def __init__(self, id: str, folder: str, directory: Path, settings: Settings) -> None:  # noqa: A002
        super().__init__(id, folder, (directory,), settings)
        self._sequences: Sequences | None = None

    def _began(self) -> None:
        self._sequences = None
        try:
            text = read_beside(self.directories[0] / SEQUENCES, _SEQUENCES_LIMIT)
        except OSError:
            return
        self._sequences = Sequences(text)

    def _order(self, name: str) -> tuple[object, ...] | None:
        return (int(name),) if is_number(name) else None

    def _look(self, file: OpenFile) -> Look:
        flags = self._sequences.flags(int(file.name)) if self._sequences else None
        return Look(0, len(from_line(file)), file.size, flags)

    def _envelope_date(self, file: OpenFile, head: bytes) -> datetime | None:
        return envelope_date(from_line(file), datetime.now(UTC))


def is_number(name: str) -> bool:
    return bool(_NUMBER.fullmatch(name))


def mh_source(path: Path, settings: Settings) -> TreeSource:
    """The MH folder ``path`` with all folders below it. Opening it raises SourceDataError where there is none."""
    return TreeSource(f"mh:{os.path.realpath(path)}", "mh", lambda: find(path, settings))


def find(path: Path, settings: Settings) -> Found:
    """Every directory with numbered files or sequences; ``path`` itself is named as it is. Raises SourceDataError."""
    root, where = root_of(path, "MH folder")
    walk = Walk(root)
    parts = list(_parts(walk, settings))
    if not any(part.make for part in parts):
        if parts:
            raise no_store(f"MH folder that can be read: {parts[0].fault}", where, "check its permissions")
        raise no_store("MH folder: there are no numbered files", where)
    return Found(parts, (f"{len(parts):,} MH folders: {where}",), walk.remarks())


def _parts(walk: Walk, settings: Settings) -> Iterator[Part]:
    stack: list[tuple[str, ...]] = [()]
    while stack:
        at = stack.pop()
        entries = walk.look(at)
        name = "/".join(at) or "."
        folder = folder_name(at or (walk.root.name,))
        if isinstance(entries, str):
            yield Part(name, folder, fault=f"{printable(name, 80)}: {entries}")
            continue
        if SEQUENCES in entries.files or any(is_number(one) for one in (*entries.files, *entries.others)):
            yield _part(walk.root, at, folder, settings)
        for one in entries.others:
            if not is_number(one):
                walk.passed_over(LINKS, "/".join((*at, one)))
        stack += [
            (*at, one) for one in sorted(entries.directories, key=natural, reverse=True) if one[:1] != "."
        ]


def _part(root: Path, at: tuple[str, ...], folder: str, settings: Settings) -> Part:
    directory = root.joinpath(*at)
    return Part("/".join(at) or ".", folder, lambda: MhFolder(f"mh:{directory}", folder, directory, settings))
