"""MH: one numbered file for each message, directories in directories (:mod:`~pop2imap.sources.mh_state` has the flags).

Numbers are given again (``folder -pack``, ``sortm``), so they name nothing: the key is made of what is in the file
(:mod:`~pop2imap.sources.file_folder`). nmh, exmh, Sylpheed, Claws Mail and Evolution write such trees. Deleted messages
get a comma or a hash before their number until they are purged, and are left out.

Source: nmh's ``mh-mail(5)``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from pop2imap.sources.eml import from_line, natural
from pop2imap.sources.file_folder import FileFolder, Look, OpenFile
from pop2imap.sources.mbox_from import envelope_date
from pop2imap.sources.mh_state import SEQUENCES, States
from pop2imap.sources.settings import Settings
from pop2imap.sources.special_use import folder_name
from pop2imap.sources.tree import Found, Part, TreeSource
from pop2imap.sources.walking import LINKS, Walk, no_store, root_of
from pop2imap.text import printable

_NUMBER = re.compile(r"[1-9]\d{0,14}", re.ASCII)


class MhFolder(FileFolder):
    """The numbered files in ``directory``."""

    kind = "MH"

    def __init__(self, id: str, folder: str, directory: Path, settings: Settings) -> None:  # noqa: A002
        super().__init__(id, folder, (directory,), settings)
        self._states = States(directory)

    def _began(self) -> None:
        self._states = States(self.directories[0])

    def _order(self, name: str) -> tuple[object, ...] | None:
        return (int(name),) if is_number(name) else None

    def _look(self, file: OpenFile) -> Look:
        flags, discarded = self._states.of(int(file.name))
        return Look(0, len(from_line(file)), file.size, flags, discarded)

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
