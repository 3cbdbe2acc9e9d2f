"""What a mailbox holds now, and which of it is nobody's: where copies are looked for by their octets.

Kept in arrays, some 30 octets a message. Bodies are read only of messages that could be what is looked for, each at
most once; the digests of those that were read and given to nobody stay in memory (some 300 octets each).
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Protocol

from pop2imap.matching import same_size, size_in_reach
from pop2imap.model import Found

Digests = dict[int, tuple[bytes, bytes]]
Read = Callable[[Sequence[int]], Digests]
"""Digest and match digest by UID, of those of these UIDs that are there."""

AT_ONCE = 200
"""Bodies asked for at once."""


class Sought(Protocol):
    """A copy that is looked for. ``digest`` None: not known; ``sizes`` are those under which it is likely to be found
    whatever its date."""

    @property
    def id(self) -> int: ...
    @property
    def digest(self) -> bytes | None: ...
    @property
    def match_digest(self) -> bytes: ...
    @property
    def size(self) -> int: ...
    @property
    def sizes(self) -> Collection[int]: ...
    @property
    def date(self) -> datetime: ...


_Likely = Callable[[int, int], bool]
"""Whether a message of this size and date may be what is looked for."""


class Contents:
    """The messages of one mailbox; ``read`` fetches bodies. Each is given away once."""

    def __init__(self, found: Iterable[Found], read: Read) -> None:
        self._read = read
        self._uids, self._sizes, self._dates = array("Q"), array("Q"), array("q")
        for one in found:
            self._uids.append(one.uid)
            self._sizes.append(one.size)
            self._dates.append(_seconds(one.date.timestamp()))
        self._taken = bytearray(len(self._uids))
        self._unread: array[int] | None = None
        self._digests: dict[int, bytes] = {}  # by UID: read, and nobody's so far
        self._alike: dict[bytes, list[int]] = defaultdict(list)  # their UIDs by match digest

    def __len__(self) -> int:
        return len(self._uids)

    @property
    def nobodys(self) -> int:
        """How many messages are nobody's so far."""
        return len(self._taken) - sum(self._taken)

    def take(self, uid: int) -> int | None:
        """The size of the message with this UID, which is somebody's from now on; None if it is not there."""
        at = bisect_left(self._uids, uid)
        if at == len(self._uids) or self._uids[at] != uid:
            return None
        self._taken[at] = True
        return self._sizes[at]

    def size_of(self, uid: int) -> int:
        """The size of a message that is there."""
        return self._sizes[bisect_left(self._uids, uid)]

    def of_sizes(self, sizes: Collection[int]) -> Iterator[int]:
        """The UIDs of all messages of these sizes, whosesoever they are."""
        return (uid for uid, size in zip(self._uids, self._sizes, strict=True) if size in sizes)

    def seek(
        self, wanted: Sequence[Sought], *, any_date: bool, any_size: bool
    ) -> dict[int, tuple[int, bytes]]:
        """Copies, by id, of which the octets are here and nobody's: their UID and digest.

        First among messages of the same date and a size in reach; ``any_date``: also among those of a likely size;
        ``any_size``: also among all of a size in reach.
        """
        got: dict[int, tuple[int, bytes]] = {}
        left = list(wanted)
        for likely in (None, *_ways(wanted, any_date=any_date, any_size=any_size)):
            if likely is not None:
                self._look_at(likely)
            for exact in (True, False):
                left = [copy for copy in left if not self._give(copy, got, exact=exact)]
            if not left:
                break
        return got

    def _look_at(self, likely: _Likely) -> None:
        if self._unread is None:
            self._unread = array("Q", (at for at in range(len(self._uids)) if not self._taken[at]))
        rest, uids = array("Q"), []
        for at in self._unread:
            if self._taken[at]:
                continue
            if likely(self._sizes[at], self._dates[at]):
                uids.append(self._uids[at])
            else:
                rest.append(at)
        self._unread = rest
        for some in _in_parts(uids):
            for uid, (digest, match) in sorted(self._read(some).items()):
                self._digests[uid] = digest
                self._alike[match].append(uid)

    def _give(self, copy: Sought, got: dict[int, tuple[int, bytes]], *, exact: bool) -> bool:
        alike = self._alike.get(copy.match_digest, [])
        uids = [uid for uid in alike if self._digests[uid] == copy.digest] if exact else alike
        if not uids:
            return False
        uid = uids[0]
        alike.remove(uid)
        if not alike:
            del self._alike[copy.match_digest]
        self.take(uid)
        got[copy.id] = (uid, self._digests.pop(uid))
        return True


def _ways(wanted: Sequence[Sought], *, any_date: bool, any_size: bool) -> Iterator[_Likely]:
    sizes = sorted({copy.size for copy in wanted})
    likely = sorted({size for copy in wanted for size in copy.sizes})
    dates = {_seconds(copy.date.timestamp()) for copy in wanted}
    yield lambda size, date: date in dates and size_in_reach(size, sizes)
    if any_date:
        yield lambda size, date: same_size(size, likely)
    if any_size:
        yield lambda size, date: size_in_reach(size, sizes)


def _seconds(stamp: float) -> int:
    return int(stamp // 1)


def _in_parts(uids: Sequence[int]) -> Iterator[Sequence[int]]:
    for at in range(0, len(uids), AT_ONCE):
        yield uids[at : at + AT_ONCE]
