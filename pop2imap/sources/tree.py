"""A store of many folders as one source: a Thunderbird profile, a Maildir with its sub-folders, a tree of mbox files.

Theory of operation
-------------------
A kind of store says how to *find* its folders: each is a :class:`Part`, a source of one folder, not opened until
it is its turn. The tree lists them one after the other, keeps what their listings hold, and closes them again, so
that a store of a thousand files needs no thousand open files. Reading goes to each part in the same order.

The keys of the tree are those of its parts, with a short name of the part behind them: the same message in two folders
is two messages, as at home. A folder that was renamed there gives its messages new keys; what was moved is then
recognised by its octets.

A part that cannot be opened or listed costs that part alone. It stands in the listing as one message that cannot
be had, with the reason, so that it is in every report and nobody takes the account for complete.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple

from pop2imap.errors import SourceDataError
from pop2imap.model import Account, Key, Message, Ref, Remark, Unread, place_of
from pop2imap.sources import Listing, ListProgress, Source
from pop2imap.sources.refs import Refs
from pop2imap.text import printable

_NAME = 10  # hex digits of the name of a part


class Part(NamedTuple):
    """One folder of a store.

    ``name`` is what the store calls it, and stays the same from run to run: the path of its file in the store.
    ``folder`` is its place for people: levels split by ``/``; a special use of the target as ``\\Sent``, ``\\Trash/X``.
    ``make`` gives a source of it, not opened. ``fault``: why it cannot be had at all; then there is no ``make``.
    """

    name: str
    folder: str
    make: Callable[[], Source] | None = None
    fault: str = ""


class Found(NamedTuple):
    """What was found in a store: its folders, in the order in which they are moved; what there is to say of it, one
    line each, for ``check``; what a person should know."""

    parts: Sequence[Part]
    facts: tuple[str, ...] = ()
    remarks: tuple[Remark, ...] = ()


class _Listed(NamedTuple):
    """One part with its listing. ``source`` None: it could not be had, for ``fault``."""

    name: str
    folder: str
    source: Source | None
    refs: Sequence[Ref]
    fault: str = ""


class TreeSource:
    """The folders that ``find`` finds, as one :class:`pop2imap.sources.Source`.

    ``name`` is the id of the source. ``find`` raises SourceDataError where there is no such store.
    """

    lists_by: Literal["octets", "messages"] = "messages"
    folder = "INBOX"

    parts_in_keys = True
    """Whether the same message in two folders is two."""

    def __init__(self, name: str, kind: str, find: Callable[[], Found]) -> None:
        self.id, self.kind = name, kind
        self._find = find
        self._found: Found | None = None
        self._listed: list[_Listed] = []
        self._starts: list[int] = []

    def open(self) -> tuple[str, ...]:
        """Raises SourceDataError where there is no such store."""
        self._found = found = self._find()
        return found.facts or (f"{len(found.parts)} folders",)

    def list(self, progress: ListProgress | None = None) -> Listing:
        if self._found is None:
            raise RuntimeError("open() comes first")
        remarks = list(self._found.remarks)
        self._listed, self._starts = [], []
        done = octets = 0
        complete = True
        for part in self._found.parts:
            listed, listing = self._list(part)
            self._listed.append(listed)
            self._starts.append(done)
            done += len(listed.refs)
            if listing is not None:
                octets += listing.octets
                complete = complete and listing.complete
                named = printable(part.folder or part.name, 80)
                remarks += [Remark(f"{named}: {one.text}", one.count) for one in listing.remarks]
            if progress:
                progress(done, 0)
        if progress:
            progress(done, done)
        return Listing(
            _Refs(self.id, self._listed, self._starts, always=self.parts_in_keys),
            octets,
            complete,
            tuple(remarks),
        )

    def _list(self, part: Part) -> tuple[_Listed, Listing | None]:
        """One part, closed again. What is wrong with it is its fault, not an error."""
        missing = [Ref(1, Key("", "", 0), 0)]
        if part.make is None:
            return _Listed(part.name, part.folder, None, missing, part.fault), None
        source = part.make()
        try:
            source.open()
            listing = source.list()
        except SourceDataError as error:
            return _Listed(part.name, part.folder, None, missing, str(error)), None
        finally:
            source.close(settled=False)
        return _Listed(part.name, part.folder, source, listing.refs), listing

    def names(self) -> Iterator[tuple[int, str]]:
        """Of each part of the last listing: the position of its last message, and its name."""
        for start, listed in zip(self._starts, self._listed, strict=True):
            yield start + len(listed.refs), listed.name

    def read(self, refs: Sequence[Ref]) -> Iterator[Message | Unread]:
        return self._items(refs, lambda source, some: source.read(some))

    def peek(self, refs: Sequence[Ref]) -> Iterator[Message | Unread]:
        return self._items(refs, lambda source, some: source.peek(some))

    def _items(
        self, refs: Sequence[Ref], read: Callable[[Source, Sequence[Ref]], Iterator[Message | Unread]]
    ) -> Iterator[Message | Unread]:
        at = 0
        while at < len(refs):
            number = bisect_right(self._starts, refs[at].position - 1) - 1
            listed, first = self._listed[number], self._starts[number]
            end = first + len(listed.refs)
            upto = at + 1
            while upto < len(refs) and first < refs[upto].position <= end:
                upto += 1
            yield from self._of_part(listed, first, [ref.position - first for ref in refs[at:upto]], read)
            at = upto

    def _of_part(
        self,
        listed: _Listed,
        first: int,
        positions: Sequence[int],
        read: Callable[[Source, Sequence[Ref]], Iterator[Message | Unread]],
    ) -> Iterator[Message | Unread]:
        source = listed.source
        key = _Keys(self.id, listed.name, always=self.parts_in_keys)
        if source is None:
            yield Unread(first + 1, key(listed.refs[0].key), Account.UNREADABLE, listed.fault)
            return
        folders = (listed.folder,) if listed.folder else ()
        done = 0
        try:
            source.open()
            for item in read(source, [listed.refs[position - 1] for position in positions]):
                done += 1
                if isinstance(item, Message):
                    named = key(item.key)
                    assert named is not None
                    yield item._replace(
                        position=first + item.position, key=named, folders=item.folders or folders
                    )
                else:
                    yield item._replace(position=first + item.position, key=key(item.key))
        except SourceDataError as error:
            for position in positions[done:]:
                named = key(listed.refs[position - 1].key)
                yield Unread(first + position, named, Account.UNREADABLE, str(error))
        finally:
            source.close(settled=False)

    def close(self, *, settled: bool) -> tuple[Remark, ...]:
        """``settled`` makes no difference: nothing ever happens to the files."""
        return ()


class _Keys:
    """The keys of one part, as keys of the tree: with its name, and at least (not ``always``) for those that name no
    message."""

    def __init__(self, source: str, part: str, *, always: bool) -> None:
        self._source, self._always = source, always
        self._part = "@" + hashlib.sha256(part.encode("utf-8", "surrogateescape")).hexdigest()[:_NAME]

    def __call__(self, key: Key | None) -> Key | None:
        if key is None:
            return None
        return Key(self._source, key.name + self._part * (self._always or not key.name), key.nth)


class _Refs(Refs):
    """The refs of all parts in a row, made on access."""

    def __init__(
        self, source: str, listed: Sequence[_Listed], starts: Sequence[int], *, always: bool
    ) -> None:
        self._parts = [
            (one.refs, _Keys(source, one.name, always=always), place_of((one.folder,) if one.folder else ()))
            for one in listed
        ]
        self._starts = list(starts)
        self._length = sum(len(one.refs) for one in listed)

    def __len__(self) -> int:
        return self._length

    def _ref(self, at: int) -> Ref:
        number = bisect_right(self._starts, at) - 1
        refs, keys, place = self._parts[number]
        ref = refs[at - self._starts[number]]
        return Ref(at + 1, keys(ref.key), ref.size, ref.place or place)
