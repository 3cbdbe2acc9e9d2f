"""An export of Google Takeout: one mbox for all mail, or one for each label, whose messages say where they lie.

Which file a message is in says nothing: a message with three labels is in three of the files, with all its labels in
each. So it is one message, named by its digest alone; where it comes up again it is not listed, and that is said. What
was exported twice with the same octets within one file stays two messages, as in Gmail.

Whoever wants none of this reads the same files as an mbox tree, where each is a folder.
"""

from __future__ import annotations

import hashlib
import os
from array import array
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from pop2imap.model import Key, Message, Ref, Remark, Unread
from pop2imap.sources import Listing, ListProgress
from pop2imap.sources.mbox import MboxSource
from pop2imap.sources.mbox_flags import Head, end_of_head
from pop2imap.sources.refs import Refs
from pop2imap.sources.settings import Settings
from pop2imap.sources.tree import Found, Part, TreeSource

_DIGEST = 32
_EMPTY = bytes(_DIGEST)


def begins_like_takeout(start: bytes) -> bool:
    """Whether an mbox that begins with ``start`` (some hundred octets) is an export of Takeout: its lines lead the
    first message."""
    start = start.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n")
    line, found, head = start.partition(b"\n")
    if not found or not line.startswith(b"From "):
        return False
    head = head[: end_of_head(b"\n" + head, 1) or len(head)]
    return Head(head + b"\n\n", crlf_before=False).is_of_takeout


def takeout_source(path: Path, settings: Settings) -> TakeoutTree:
    """The directory ``path`` with the mbox files of an export in it, or below it. ``settings.labels`` says what is made
    of the labels. Opening it raises SourceDataError where there is no mbox."""

    def find(seen: Seen) -> Found:
        from pop2imap.sources import mbox_tree

        found = mbox_tree.find(path, settings)
        return found._replace(parts=[once(part, seen) for part in found.parts])

    return TakeoutTree(f"takeout:{os.path.realpath(path)}", "takeout", find)


class Seen:
    """Which messages have been listed, in some 32 to 96 octets each: a table of digests, by open addressing."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self._slots = 1 << 10
        self._table = bytearray(_DIGEST * self._slots)
        self._used = 0
        self.again = 0
        """How many came up again."""

    def add(self, digest: bytes) -> bool:
        """Whether it is new. ``digest`` has 32 octets, not all of them 0."""
        if self._used * 3 > self._slots * 2:
            self._grow()
        at = self._slot(digest)
        if self._table[at : at + _DIGEST] == digest:
            self.again += 1
            return False
        self._table[at : at + _DIGEST] = digest
        self._used += 1
        return True

    def _slot(self, digest: bytes) -> int:
        at = hash(digest) % self._slots  # nobody can know that, to send mail that makes the search long
        while (there := self._table[_DIGEST * at : _DIGEST * at + _DIGEST]) != digest and there != _EMPTY:
            at = (at + 1) % self._slots
        return _DIGEST * at

    def _grow(self) -> None:
        old = self._table
        self._slots *= 2
        self._table = bytearray(_DIGEST * self._slots)
        for start in range(0, len(old), _DIGEST):
            if (digest := bytes(old[start : start + _DIGEST])) != _EMPTY:
                at = self._slot(digest)
                self._table[at : at + _DIGEST] = digest


class TakeoutTree(TreeSource):
    """The mbox files that ``find`` finds; those of Takeout among them are made with :func:`once`."""

    parts_in_keys = False

    def __init__(self, name: str, kind: str, find: Callable[[Seen], Found]) -> None:
        self._seen = Seen()
        super().__init__(name, kind, lambda: find(self._seen))

    def list(self, progress: ListProgress | None = None) -> Listing:
        self._seen.clear()
        listing = super().list(progress)
        again = self._seen.again
        self._seen.clear()
        if not again:
            return listing
        said = "messages are in the files of several labels, and are listed once, with all their labels"
        return listing._replace(remarks=(*listing.remarks, Remark(said, again)))


def once(part: Part, seen: Seen) -> Part:
    """The mbox ``part`` of an export, without the messages that an earlier part has shown. Its labels say where they
    lie, not its name."""
    make = part.make
    if make is None:
        return part

    def made() -> Once:
        source = make()
        assert isinstance(source, MboxSource)
        return Once(source, seen)

    return Part(part.name, "", made)


class Once:
    """``source`` without the messages that were seen before."""

    lists_by: Literal["octets", "messages"] = "octets"

    def __init__(self, source: MboxSource, seen: Seen) -> None:
        self._source, self._seen = source, seen
        self._refs: Sequence[Ref] = ()
        self._kept = array("I")
        self.id, self.kind, self.folder = source.id, source.kind, source.folder

    def open(self) -> tuple[str, ...]:
        return self._source.open()

    def list(self, progress: ListProgress | None = None) -> Listing:
        listing = self._source.list(progress)
        self._refs, self._kept = listing.refs, array("I")
        octets = 0
        for at, ref in enumerate(listing.refs):
            if ref.key is None or not self._source.gives(at) or self._seen.add(_name(ref.key)):
                self._kept.append(at)
                octets += ref.size
        return listing._replace(refs=_Kept(self._refs, self._kept), octets=octets)

    def read(self, refs: Sequence[Ref]) -> Iterator[Message | Unread]:
        return self._items(refs, self._source.read)

    def peek(self, refs: Sequence[Ref]) -> Iterator[Message | Unread]:
        return self._items(refs, self._source.peek)

    def _items(
        self, refs: Sequence[Ref], read: Callable[[Sequence[Ref]], Iterator[Message | Unread]]
    ) -> Iterator[Message | Unread]:
        its = [self._refs[self._kept[ref.position - 1]] for ref in refs]
        for ref, item in zip(refs, read(its), strict=True):
            yield item._replace(position=ref.position)

    def close(self, *, settled: bool) -> tuple[Remark, ...]:
        return self._source.close(settled=settled)


class _Kept(Refs):
    """Some of ``refs``, numbered anew."""

    def __init__(self, refs: Sequence[Ref], kept: Sequence[int]) -> None:
        self._refs, self._kept = refs, kept

    def __len__(self) -> int:
        return len(self._kept)

    def _ref(self, at: int) -> Ref:
        return self._refs[self._kept[at]]._replace(position=at + 1)


def _name(key: Key) -> bytes:
    return bytes.fromhex(key.name) if not key.nth else hashlib.sha256(str(key).encode()).digest()
