"""Apple Mail's ``.emlx`` files: single ones in directories, and the tree in ``~/Library/Mail``.

A file begins with a line that says how many octets the message has; then comes the message, and then a property list
with what Mail knows of it. In ``.partial.emlx`` Mail keeps what it has of a message while its attachments lie in files
of their own, or are still on the server: such a message is *partial*.

The tree has been arranged anew with almost every version: ``V10/ACCOUNT/INBOX.mbox/UUID/Data/3/1/Messages/13245.emlx``.
What stays is that a mailbox is a directory with the ending ``.mbox`` (``.imapmbox``), and that mailboxes lie in
mailboxes. All else (versions, accounts, ``Data``, ``Messages``, digits) says nothing of folders. So the folders of
several accounts that have the same name become one; whoever wants one account names its directory.

Numbers are those of an index that may be made anew, so the key is made of what is in the file
(:mod:`~pop2imap.sources.file_folder`), without the property list: to read a message changes no key.

Of the property list only two numbers matter, so it is searched for them: it is text of which nothing is certain.
Source of the bits in ``flags``: the table that went round when the format was new, in 2005; Thunderbird's importer
has the same.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from pop2imap.model import ANSWERED, DRAFT, FLAGGED, SEEN
from pop2imap.sources.eml import natural
from pop2imap.sources.file_folder import Fault, FileFolder, Look, OpenFile
from pop2imap.sources.mbox_flags import FORWARDED
from pop2imap.sources.mbox_slice import read_fully
from pop2imap.sources.settings import Settings
from pop2imap.sources.special_use import folder_name
from pop2imap.sources.tree import Found, Part, TreeSource
from pop2imap.sources.walking import LINKS, Walk, no_store, root_of
from pop2imap.text import printable

_COUNT = re.compile(rb"[ \t]*(\d{1,15})[ \t]*\r?\n")
_COUNT_LIMIT = 256
_LIST_LIMIT = 1 << 18
_FLAGS = re.compile(rb"<key>flags</key>\s{0,99}<integer>(\d{1,20})</integer>")
_DELETED = 1 << 1
_BITS = {
    1 << 0: SEEN,
    1 << 2: ANSWERED,
    1 << 4: FLAGGED,
    1 << 6: DRAFT,
    1 << 8: FORWARDED,
    1 << 24: "$Junk",
    1 << 25: "$NotJunk",
}
_PARTIAL = ".partial.emlx"
_MAILBOX = re.compile(r"(?P<name>.+)\.(?:imap)?mbox", re.IGNORECASE)
_INSIDE = frozenset({"Data", "Messages"})
_TRANSPARENT = frozenset({"[Gmail]", "[Google Mail]"})


class EmlxFolder(FileFolder):
    """The ``.emlx`` files in ``directories``, which are those of one mailbox."""

    kind = ".emlx files"

    def _order(self, name: str) -> tuple[object, ...] | None:
        return natural(name) if is_emlx(name) else None

    def _files(self) -> Iterator[tuple[tuple[object, ...], int, str, int]]:
        """A message that is there as a whole is not wanted in part, too."""
        found = list(super()._files())
        whole = {(place, name) for _, place, name, _ in found}
        for one in found:
            name = one[2]
            if not (_is_partial(name) and (one[1], name[: -len(_PARTIAL)] + ".emlx") in whole):
                yield one

    def _look(self, file: OpenFile) -> Look:
        count = _COUNT.match(read_fully(file.read_at, 0, _COUNT_LIMIT))
        if count is None:
            raise Fault("it is no .emlx file: it does not begin with the length of a message")
        start, length = count.end(), int(count[1])
        end = start + length
        if end > file.size:
            raise Fault(
                f"the message should have {length:,} octets, but the file ends after {file.size - start:,}"
            )
        if not length:
            raise Fault("the message is empty")
        said = _FLAGS.search(read_fully(file.read_at, end, min(file.size - end, _LIST_LIMIT)))
        bits = int(said[1]) if said else 0
        return Look(
            start,
            start,
            end,
            frozenset(flag for bit, flag in _BITS.items() if bits & bit) if said else None,
            "marked as deleted in the mail program, not expunged yet" if bits & _DELETED else "",
            partial=_is_partial(file.name),
        )


def is_emlx(name: str) -> bool:
    return name[-5:].lower() == ".emlx" and not name.startswith(".")


def _is_partial(name: str) -> bool:
    return name.lower().endswith(_PARTIAL)


def apple_mail_source(path: Path, settings: Settings) -> TreeSource:
    """The directory ``path``, from ``~/Library/Mail`` down to one with .emlx files. Opening it raises SourceDataError
    where there are none."""
    return TreeSource(f"emlx:{os.path.realpath(path)}", "emlx", lambda: find(path, settings))


def find(path: Path, settings: Settings) -> Found:
    """Every mailbox with .emlx files, INBOX first. Raises SourceDataError."""
    root, where = root_of(path, "directory of .emlx files")
    walk = Walk(root)
    parts = _parts(walk, settings)
    if not any(part.make for part in parts):
        if parts:
            todo = (
                "on a Mac, System Settings → Privacy & Security → Full Disk Access lets the terminal read it"
            )
            raise no_store(f".emlx files that can be read: {parts[0].fault}", where, todo)
        raise no_store(".emlx files", where)
    parts.sort(key=lambda part: (part.folder != "INBOX", natural(part.name)))
    return Found(parts, (f"{len(parts):,} mailboxes of .emlx files: {where}",), walk.remarks())


def _parts(walk: Walk, settings: Settings) -> list[Part]:
    faults: list[Part] = []
    mailboxes: dict[tuple[str, ...], list[Path]] = {}
    stack: list[tuple[str, ...]] = [()]
    while stack:
        at = stack.pop()
        entries = walk.look(at)
        if isinstance(entries, str):
            name = "/".join(at) or "."
            folder = folder_name(_levels(walk.root, _mailbox(walk.root, at)))
            faults.append(Part(name, folder, fault=f"{printable(name, 80)}: {entries}"))
            continue
        if any(is_emlx(one) for one in (*entries.files, *entries.others)):
            mailboxes.setdefault(_mailbox(walk.root, at), []).append(walk.root.joinpath(*at))
        for one in entries.others:
            if not is_emlx(one):
                walk.passed_over(LINKS, "/".join((*at, one)))
        stack += [(*at, one) for one in sorted(entries.directories, reverse=True) if one[:1] != "."]
    return [_part(walk.root, at, directories, settings) for at, directories in mailboxes.items()] + faults


def _part(root: Path, at: tuple[str, ...], directories: Sequence[Path], settings: Settings) -> Part:
    folder = folder_name(_levels(root, at))
    name = f"emlx:{root.joinpath(*at)}"
    return Part("/".join((*at, "*.emlx")), folder, lambda: EmlxFolder(name, folder, directories, settings))


def _mailbox(root: Path, at: tuple[str, ...]) -> tuple[str, ...]:
    """The directory of the mailbox in which the directory ``at`` lies; itself if there is none."""
    for length in range(len(at), 0, -1):
        if _MAILBOX.fullmatch(at[length - 1]):
            return at[:length]
    if _MAILBOX.fullmatch(root.name):
        return ()
    return at[: next((nth for nth, one in enumerate(at) if one in _INSIDE), len(at))]


def _levels(root: Path, at: tuple[str, ...]) -> Sequence[str]:
    named = [match["name"] for match in map(_MAILBOX.fullmatch, at) if match]
    if len(named) > 1 and named[0] in _TRANSPARENT:
        named = named[1:]
    if named:
        return named
    if own := _MAILBOX.fullmatch(root.name):
        return (own["name"],)
    return at or (root.name,)
