"""What mail programs know of the messages in an MH folder, by their numbers.

``.mh_sequences`` (nmh, exmh, Evolution): lines of a name and numbers. What says nothing of a sequence is not in it:
where there is such a file, a message that is not ``unseen`` was read.

``.claws_mark`` and ``.sylpheed_mark``: 32-bit numbers in the order of the machine that wrote them, first the version,
2, then a message's number and its flags, and so on; the last word on a message holds. They come before the sequences,
where those programs note no more than what is unread.

Without such a file nothing is known. Sources: nmh's ``mh-sequence(5)``; ``procmsg.h`` of Claws Mail.
"""

from __future__ import annotations

import re
import struct
from bisect import bisect_right
from pathlib import Path

from pop2imap.model import ANSWERED, FLAGGED, SEEN
from pop2imap.sources.file_folder import read_beside
from pop2imap.sources.mbox_flags import FORWARDED

SEQUENCES = ".mh_sequences"
MARKS = (".claws_mark", ".sylpheed_mark")
_SEQUENCES_LIMIT = 16 << 20
_MARKS_LIMIT = 4 << 20
_RANGE = re.compile(rb"(\d{1,15})(?:-(\d{1,15}))?")
_FLAGS = {b"replied": ANSWERED, b"flagged": FLAGGED, b"forwarded": FORWARDED}
_UNSEEN = b"unseen"
_ENDLESS = 10**16
_VERSION = 2
_UNREAD = 1 << 0 | 1 << 1
_DELETED = 1 << 3
_BITS = {1 << 2: FLAGGED, 1 << 4: ANSWERED, 1 << 5: FORWARDED}


class States:
    """All that is known in ``directory``. What cannot be read says nothing."""

    def __init__(self, directory: Path) -> None:
        self._marks: dict[int, int] = {}
        self._sequences: Sequences | None = None
        for name in MARKS:
            if text := _read(directory / name, _MARKS_LIMIT):
                self._marks = marks(text)
                break
        if (text := _read(directory / SEQUENCES, _SEQUENCES_LIMIT)) is not None:
            self._sequences = Sequences(text)

    def of(self, number: int) -> tuple[frozenset[str] | None, str]:
        """Flags, and words if the message is marked as deleted, as in :class:`pop2imap.model.Message`."""
        bits = self._marks.get(number)
        if bits is None:
            return self._sequences.flags(number) if self._sequences else None, ""
        flags = {flag for bit, flag in _BITS.items() if bits & bit}
        if not bits & _UNREAD:
            flags.add(SEEN)
        deleted = "marked as deleted in the mail program, not expunged yet" if bits & _DELETED else ""
        return frozenset(flags), deleted


def marks(text: bytes) -> dict[int, int]:
    """Numbers and flags; nothing where it is of another version."""
    for order in "<>":
        if text[:4] == struct.pack(order + "I", _VERSION):
            whole = len(text) - (len(text) - 4) % 8
            return dict(struct.iter_unpack(order + "II", text[4:whole]))
    return {}


def _read(path: Path, most: int) -> bytes | None:
    try:
        return read_beside(path, most)
    except OSError:
        return None


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
