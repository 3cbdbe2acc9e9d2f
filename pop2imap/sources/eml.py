"""Directories of ``.eml`` files, as mail programs save them: each directory is a folder, each file a message.

Names mean nothing: a second export into the same directory gives them to other mail. So the key is made of what is in
the file (:mod:`~pop2imap.sources.file_folder`). A From_ line at the top, and the book-keeping lines of the program that
wrote the file, are no part of the message. Files whose name begins with a dot (``._a.eml``, which macOS leaves on other
systems' disks) are none.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from pop2imap.sources.file_folder import FileFolder, Look, OpenFile
from pop2imap.sources.mbox_flags import Head, State, Tagged
from pop2imap.sources.mbox_from import LINE_LIMIT, envelope_date, look
from pop2imap.sources.mbox_from import Look as FromLook
from pop2imap.sources.mbox_slice import read_fully
from pop2imap.sources.settings import Settings
from pop2imap.sources.special_use import folder_name
from pop2imap.sources.tree import Found, Part, TreeSource
from pop2imap.sources.walking import LINKS, Walk, no_store, root_of
from pop2imap.text import printable

_DIGITS = re.compile(r"(\d+)", re.ASCII)
_OTHERS = "files that are no .eml are passed over"


def natural(name: str) -> tuple[object, ...]:
    """``2.eml`` before ``10.eml``."""
    pieces = _DIGITS.split(name.casefold())
    return tuple(int(piece) if nth % 2 else piece for nth, piece in enumerate(pieces))


def from_line(file: OpenFile) -> bytes:
    """The From_ line before the message, if there is one."""
    start = read_fully(file.read_at, 0, LINE_LIMIT)
    line = start[: start.find(b"\n") + 1]
    return line if line.startswith(b"From ") and look(line) is not FromLook.OTHER else b""


class EmlFolder(FileFolder):
    """The ``.eml`` files in ``directory``; with ``every``, all files: Thunderbird's Maildir has names of both sorts.
    ``tags``: what an index says of the message in a file; asked where the message cannot say it itself."""

    kind = ".eml files"
    own_lines = True

    def __init__(
        self,
        id: str,  # noqa: A002
        folder: str,
        directory: Path,
        settings: Settings,
        *,
        every: bool = False,
        tags: Callable[[str], Tagged | None] | None = None,
    ) -> None:
        super().__init__(id, folder, (directory,), settings)
        self._every = every
        self._tags = tags

    def _order(self, name: str) -> tuple[object, ...] | None:
        if name.startswith(".") or not (self._every or is_eml(name)):
            return None
        return natural(name)

    def _look(self, file: OpenFile) -> Look:
        return Look(0, len(from_line(file)), file.size)

    def _tagged(self, name: str, state: State, head: Head) -> State:
        return state.tagged(self._tags(name)) if self._tags and head.may_be_tagged else state

    def _envelope_date(self, file: OpenFile, head: bytes) -> datetime | None:
        return envelope_date(from_line(file), datetime.now(UTC))


def is_eml(name: str) -> bool:
    return name[-4:].lower() == ".eml" and not name.startswith(".")


def eml_source(path: Path, settings: Settings) -> TreeSource:
    """The directory ``path`` of .eml files, with all directories below it. Opening it raises SourceDataError where
    there is none."""
    return TreeSource(f"eml:{os.path.realpath(path)}", "eml", lambda: find(path, settings))


def find(path: Path, settings: Settings) -> Found:
    """Every directory with .eml files in it; the first one is ``path`` itself, named as it is. Where there are .emlx
    files, those of :mod:`~pop2imap.sources.apple_mail`, too. Raises SourceDataError."""
    root, where = root_of(path, "directory of .eml files")
    walk = Walk(root)
    parts = list(_parts(walk, settings))
    if walk.noticed:
        from pop2imap.sources import apple_mail

        theirs = apple_mail.find(path, settings)
        if not any(part.make for part in parts):
            return theirs
        parts += [part for part in theirs.parts if part.make]  # the faults are the same
    if not any(part.make for part in parts):
        if parts:
            raise no_store(f".eml files that can be read: {parts[0].fault}", where, "check its permissions")
        raise no_store(".eml files", where)
    return Found(parts, (f".eml files in {len(parts):,} directories: {where}",), walk.remarks())


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
        if any(is_eml(one) for one in (*entries.files, *entries.others)):
            yield eml_part(walk.root, at, folder, settings)
        for one in entries.files:
            if one.lower().endswith(".emlx"):
                walk.noticed = True
            elif not is_eml(one) and not one.startswith("."):
                walk.passed_over(_OTHERS, "/".join((*at, one)))
        for one in entries.others:
            if not is_eml(one):  # those are listed, and unreadable
                walk.passed_over(LINKS, "/".join((*at, one)))
        stack += [
            (*at, one) for one in sorted(entries.directories, key=natural, reverse=True) if one[:1] != "."
        ]


def eml_part(root: Path, at: Sequence[str], folder: str, settings: Settings) -> Part:
    directory = root.joinpath(*at)
    return Part(
        "/".join(at) or ".", folder, lambda: EmlFolder(f"eml:{directory}", folder, directory, settings)
    )
