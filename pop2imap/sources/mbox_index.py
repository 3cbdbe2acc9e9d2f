"""Where every message of an mbox lies, and its key: 60 octets each, however long the file is."""

from __future__ import annotations

import sys
from array import array

from pop2imap.model import Key, Ref
from pop2imap.sources.mbox_found import Entry
from pop2imap.sources.refs import Refs


class Index(Refs):
    """Where every message lies, in 60 octets each; refs are made on access. With ``places``, its place at home too:
    8 octets more."""

    def __init__(self, source: str, *, places: bool = False) -> None:
        self._source = source
        self._places = array("Q") if places else None
        self._offsets = array("Q")
        self._starts = array("I")  # relative to the offset
        self._ends = array("Q")
        self._sizes = array("Q")
        self._digests = bytearray()
        self._repeats: dict[int, int] = {}  # nth of those that are not the first of their digest
        self.octets = 0
        self.exact_lengths = 0
        """How many messages, from the first on, had an exact Content-Length."""

    def add(self, entry: Entry) -> None:
        self._offsets.append(entry.offset)
        self._starts.append(entry.start - entry.offset)
        self._ends.append(entry.end)
        self._sizes.append(entry.size)
        self._digests += entry.digest
        if self._places is not None:
            self._places.append(entry.place)
        self.octets += entry.size
        if entry.exact_length:
            self.exact_lengths = len(self)

    def count_repeats(self) -> None:
        """Find messages of equal digest. First by 8 octets of it, which takes little memory, then exactly."""
        once: set[int] = set()
        again: set[int] = set()
        with memoryview(self._digests) as octets, octets.cast("Q") as words:
            for at in range(0, len(words), 4):
                (again if words[at] in once else once).add(words[at])
            suspects = [at // 4 for at in range(0, len(words), 4) if words[at] in again] if again else []
        seen: dict[bytes, int] = {}
        for at in suspects:
            nth = seen.get(self.digest(at), 0)
            seen[self.digest(at)] = nth + 1
            if nth:
                self._repeats[at] = nth

    def packed(self, count: int) -> bytes:
        """The first ``count`` entries, for :meth:`unpacked` on a machine of this kind."""
        columns = self._columns
        octets = [column[:count].tobytes() for column in columns]
        return b"".join([sys.byteorder.encode(), *octets, self._digests[: 32 * count]])

    @property
    def _columns(self) -> tuple[array[int], ...]:
        columns = (self._offsets, self._starts, self._ends, self._sizes)
        return columns if self._places is None else (*columns, self._places)

    @classmethod
    def unpacked(
        cls, source: str, count: int, exact_lengths: int, octets: bytes, *, places: bool = False
    ) -> Index | None:
        """Those entries again; None if it cannot be they. Their repeats are not counted yet."""
        index = cls(source, places=places)
        columns = index._columns
        order, at = sys.byteorder.encode(), len(sys.byteorder)
        if not octets.startswith(order):
            return None
        if len(octets) != at + count * (sum(column.itemsize for column in columns) + 32):
            return None
        for column in columns:
            end = at + count * column.itemsize
            column.frombytes(octets[at:end])
            at = end
        index._digests += octets[at:]
        index.octets = sum(index._sizes)
        index.exact_lengths = exact_lengths
        return index

    def place(self, at: int) -> tuple[int, int, int]:
        """Offsets of the From_ line, of the first octet, after the last."""
        return self._offsets[at], self._offsets[at] + self._starts[at], self._ends[at]

    def digest(self, at: int) -> bytes:
        return bytes(self._digests[32 * at : 32 * at + 32])

    def key(self, at: int) -> Key:
        return Key(self._source, self.digest(at).hex(), self._repeats.get(at, 0))

    def __len__(self) -> int:
        return len(self._offsets)

    def _ref(self, at: int) -> Ref:
        return Ref(at + 1, self.key(at), self._sizes[at], self._places[at] if self._places else 0)
