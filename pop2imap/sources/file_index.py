"""The files of one folder, and the keys of their messages: a few octets beside the names themselves, however many."""

from __future__ import annotations

import os
from array import array

from pop2imap.model import Key, Ref
from pop2imap.sources.refs import Refs


class FileIndex(Refs):
    """Refs are made on access. ``source`` is the id that their keys have."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._places = array("I")
        self._starts = array("Q", [0])
        self._names = array("H")  # octets of each name; its key follows it
        self._text = bytearray()
        self._sizes = array("Q")
        self._repeats: dict[int, int] = {}
        self.octets = 0

    def add(self, place: int, name: str, size: int, key: str) -> None:
        """``place`` numbers the directory, ``key`` is ASCII."""
        octets = os.fsencode(name)
        self._text += octets + key.encode("ascii")
        self._places.append(place)
        self._names.append(len(octets))
        self._starts.append(len(self._text))
        self._sizes.append(size)
        self.octets += size

    def count_repeats(self) -> None:
        """Number the messages of equal key, in their order."""
        seen: dict[bytes, int] = {}
        for at in range(len(self)):
            nth = seen.get(key := self._key(at), -1) + 1
            seen[key] = nth
            if nth:
                self._repeats[at] = nth

    def place(self, at: int) -> tuple[int, str]:
        """The number of the directory, and the name in it."""
        start = self._starts[at]
        return self._places[at], os.fsdecode(bytes(self._text[start : start + self._names[at]]))

    def key(self, at: int) -> Key:
        return Key(self._source, self._key(at).decode("ascii"), self._repeats.get(at, 0))

    def _key(self, at: int) -> bytes:
        return bytes(self._text[self._starts[at] + self._names[at] : self._starts[at + 1]])

    def __len__(self) -> int:
        return len(self._sizes)

    def _ref(self, at: int) -> Ref:
        return Ref(at + 1, self.key(at), self._sizes[at])
