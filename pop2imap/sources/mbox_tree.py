"""A directory with mbox files in it, and in the directories below: what mail programs keep, or at least export.

Each program has a spelling of its own for a folder and for what lies below it:

=====================  ===========================  ====================================
Apple Mail's export    ``Name.mbox/mbox``           ``Name/Sub.mbox/mbox``
Thunderbird            ``Name``                     ``Name.sbd/Sub``
KMail, Kolab           ``Name``                     ``.Name.directory/Sub``
Eudora                 ``Name.mbx``                 ``Name.fol/Sub.mbx``; ``descmap.pce`` has the long names
mutt, Pine, others     ``Name``, ``Name.mbox``      ``Name/Sub``
=====================  ===========================  ====================================

A file is an mbox if it begins as one; an empty file is an empty folder. Indexes and locks are passed over by their
endings, and so is what is no mail; how many files, is said. What is called an mbox and is none, or cannot be looked
into, is a folder with a fault. Where a directory turns out to be a Maildir (KMail keeps both, side by side), it is read
as one.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from pop2imap.charsets import decode_octets
from pop2imap.sources.eml import natural
from pop2imap.sources.file_folder import read_beside
from pop2imap.sources.maildir import is_maildir, maildir_part
from pop2imap.sources.settings import Settings
from pop2imap.sources.special_use import folder_name
from pop2imap.sources.tree import Found, Part, TreeSource
from pop2imap.sources.walking import LINKS, OUTSIDE, Entries, Walk, no_store, root_of
from pop2imap.text import printable

_START = re.compile(rb"(?:\xef\xbb\xbf)?(?:\r?\n)*From ")
_MBOX = (".mbox", ".mbx")
_COMPRESSED = frozenset({".gz", ".xz", ".bz2", ".zip"})
# fmt: off
_BESIDE = _COMPRESSED | {
    ".msf", ".toc", ".idx", ".index", ".ids", ".sorted", ".lock", ".dat", ".db", ".ev-summary", ".ev-summary-meta",
    ".cmeta", ".ibex", ".summary", ".pce", ".ini", ".sta", ".log", ".json", ".sqlite", ".html", ".plist", ".xml",
}
# fmt: on
_BELOW = re.compile(r"(?P<name>.+)\.(?:mbox|sbd|fol)|\.(?P<hidden>.+)\.directory", re.IGNORECASE)
_EUDORA = {"in": "Inbox", "out": "Sent"}
_DESCMAP = "descmap.pce"
_DESCMAP_LIMIT = 1 << 20
_PACKED_LIMIT = 1 << 20
_MAGIC = 16
_NO_MBOX = "files that are no mbox are passed over"


def mbox_tree_source(path: Path, settings: Settings) -> TreeSource:
    """The directory ``path`` of mbox files, with all directories below it. Opening it raises SourceDataError where
    there is no mbox."""
    return TreeSource(f"mbox-tree:{os.path.realpath(path)}", "mbox tree", lambda: find(path, settings))


def find(path: Path, settings: Settings) -> Found:
    """Every mbox file, and what should be one. Raises SourceDataError."""
    root, where = root_of(path, "directory of mbox files")
    walk = Walk(root)
    parts = list(_parts(walk, settings))
    if not any(part.make for part in parts):
        if parts:
            raise no_store(f"mbox file that can be read: {parts[0].fault}", where, "check its permissions")
        raise no_store("mbox files", where)
    parts.sort(key=lambda part: part.folder != "INBOX")
    return Found(parts, (f"{len(parts):,} mbox files: {where}",), walk.remarks())


def _parts(walk: Walk, settings: Settings) -> Iterator[Part]:
    stack: list[tuple[tuple[str, ...], tuple[str, ...]]] = [((), ())]
    while stack:
        at, levels = stack.pop()
        entries = walk.look(at)
        if isinstance(entries, str):
            name = "/".join(at) or "."
            yield Part(name, folder_name(levels), fault=f"{printable(name, 80)}: {entries}")
            continue
        for one in entries.others:
            yield from _link(walk, (*at, one), levels)
        below = entries.directories
        if is_maildir(entries):
            yield maildir_part(walk.root, at, levels or (walk.root.name,), settings)
            below = [one for one in below if one not in ("cur", "new", "tmp")]
        names = _long_names(walk.root.joinpath(*at), entries)
        if _is_export(walk.root, at, entries):
            yield mbox_part(walk.root, (*at, "mbox"), levels or (_stem(walk.root.name),), settings)
        else:
            yield from _files(walk, at, levels, entries.files, names, settings)
        named = {one: _level(one, names) for one in sorted(below, key=natural, reverse=True)}
        stack += [((*at, one), (*levels, level)) for one, level in named.items() if level is not None]


def _is_export(root: Path, at: tuple[str, ...], entries: Entries) -> bool:
    """Whether it is ``Name.mbox`` of Apple Mail, whose other files are its own."""
    name = at[-1] if at else root.name
    return name.lower().endswith(".mbox") and "mbox" in entries.files


def _files(
    walk: Walk,
    at: tuple[str, ...],
    levels: tuple[str, ...],
    files: list[str],
    names: Mapping[str, str],
    settings: Settings,
) -> Iterator[Part]:
    for file in sorted(files, key=natural):
        ending = os.path.splitext(file)[1].lower()
        path = (*at, file)
        if ending in _COMPRESSED:
            yield from _compressed(walk, path, levels)
        if file.startswith(".") or ending in _BESIDE or file.endswith("~"):
            continue
        name = names.get(file.lower()) or _stem(file)
        if ending == ".mbx" and not levels:
            name = _EUDORA.get(name.lower(), name)
        named = ending in _MBOX
        try:
            start = read_beside(walk.root.joinpath(*path), 512)
        except OSError as error:
            if named or not ending:
                fault = f"{printable('/'.join(path), 80)}: cannot be read: {error.strerror}"
                yield Part("/".join(path), folder_name((*levels, name)), fault=fault)
            else:
                walk.passed_over("files that cannot be read are passed over", "/".join(path))
            continue
        if named or _START.match(start) or not (start or ending):
            yield mbox_part(walk.root, path, (*levels, name), settings)
        elif start:
            walk.passed_over(_NO_MBOX, "/".join(path))


def _link(walk: Walk, path: tuple[str, ...], levels: tuple[str, ...]) -> Iterator[Part]:
    """What lies in the tree is found there; an mbox elsewhere is mail that is not moved, and so a fault."""
    name, target = "/".join(path), walk.leads_out(path)
    with contextlib.suppress(OSError):
        if target and target.is_file() and _START.match(read_beside(target, _MAGIC)):
            folder = folder_name((*levels, _stem(path[-1])))
            yield Part(name, folder, fault=f"{printable(name, 80)}: {OUTSIDE}")
            return
    walk.passed_over(LINKS, name)


def _compressed(walk: Walk, path: tuple[str, ...], levels: tuple[str, ...]) -> Iterator[Part]:
    """A packed mbox is mail that is not moved, and so a fault; of others only so much is said that they are there."""
    stem, ending = os.path.splitext(path[-1])
    try:
        packed = read_beside(walk.root.joinpath(*path), _PACKED_LIMIT)
    except OSError:
        packed = b""
    if os.path.splitext(stem)[1].lower() in _MBOX or _begins(packed, ending.lower()).startswith(b"From "):
        name = "/".join(path)
        fault = f"{printable(name, 80)}: it is compressed; unpack it first"
        yield Part(name, folder_name((*levels, _stem(stem))), fault=fault)
    elif not path[-1].startswith("."):
        walk.passed_over("compressed files are passed over", "/".join(path))


def _begins(packed: bytes, ending: str) -> bytes:
    """The first octets of what is packed, where that can be told."""
    import bz2
    import zlib

    try:
        if ending == ".gz":
            return zlib.decompressobj(31).decompress(packed, _MAGIC)
        return bz2.BZ2Decompressor().decompress(packed, _MAGIC) if ending == ".bz2" else b""
    except (OSError, zlib.error, EOFError):
        return b""


def mbox_part(root: Path, at: tuple[str, ...], levels: tuple[str, ...], settings: Settings) -> Part:
    """The mbox file ``at`` below the root of a store."""
    from pop2imap.sources.mbox import mbox_source

    return Part("/".join(at), folder_name(levels), lambda: mbox_source(root.joinpath(*at), settings))


def _stem(name: str) -> str:
    stem, ending = os.path.splitext(name)
    return stem if ending.lower() in _MBOX else name


def _level(directory: str, names: Mapping[str, str]) -> str | None:
    """What a directory is called as a level; None if no folders lie in it."""
    found = _BELOW.fullmatch(directory)
    if found:
        return names.get(directory.lower()) or found["name"] or found["hidden"]
    return None if directory.startswith(".") else directory


def _long_names(directory: Path, entries: Entries) -> dict[str, str]:
    """Eudora's names for its files, which had eight letters once: lines of name, file, sort and a mark."""
    beside = next((one for one in entries.files if one.lower() == _DESCMAP), None)
    if beside is None:
        return {}
    try:
        text = read_beside(directory / beside, _DESCMAP_LIMIT)
    except OSError:
        return {}
    names = {}
    for line in text.splitlines():
        pieces = decode_octets(line).split(",")
        if len(pieces) >= 4 and (name := ",".join(pieces[:-3]).strip()):
            names[pieces[-3].strip().lower()] = name
    return names
