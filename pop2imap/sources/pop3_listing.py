"""One listing out of three replies: STAT, LIST and UIDL, without I/O.

The three should agree and often do not: lines lack a UIDL or have two, names repeat (identical messages may
share one, RFC 1939 7), counts differ. Nothing of that loses a message or stops the rest. What cannot be named
by its UIDL gets no key, and is named by its octets once they were read; every oddity becomes a remark.

A maildrop may hold hundreds of thousands of messages, so a :class:`Table` keeps numbers, sizes and names in
flat arrays, at 16 octets and the length of its UIDL for a message, and makes a Ref when it is asked for one.
"""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import accumulate, chain, islice, pairwise
from operator import eq
from typing import overload

from pop2imap.model import Key, Ref, Remark
from pop2imap.sources.pop3_wire import Status
from pop2imap.text import printable

DIGEST_NAME = "sha256:"
POSITION_NAME = "position:"

UIDL_LIMIT = 255
"""RFC 1939 7 allows 70 characters; longer ones are stable names all the same."""

MOST = 1 << 40
"""A larger number is no size and no count: as many sizes as a list may have add up to less than 2**63."""

# QUIRK(several): sizes written as floats. Negative or absurd numbers are no numbers.
_NUMBER = re.compile(rb"([0-9]{1,19})(?:\.0*)?")
_UID = re.compile(rb"[\x21-\x7e]{1,%d}" % UIDL_LIMIT)
_RESERVED = (DIGEST_NAME.encode(), POSITION_NAME.encode())

# Lines as nearly all servers write nearly all of them: these are taken many at a time.
_USUAL_SIZES = re.compile(rb"(?:[1-9][0-9]{0,11} [0-9]{1,12}\n)*")
_USUAL_NAMES = re.compile(
    rb"(?:[1-9][0-9]{0,11} (?!%b)[\x21-\x7e]{1,%d}\n)*" % (b"|".join(_RESERVED), UIDL_LIMIT)
)


def number(octets: bytes) -> int | None:
    """A count, message number or size as servers write it, up to ``MOST``, or None."""
    found = _NUMBER.fullmatch(octets)
    return value if found and (value := int(found[1])) <= MOST else None


def drop_count(status: Status) -> int | None:
    """How many messages a positive answer to STAT speaks of, or None if it does not say."""
    words = status.text.split(None, 1)
    return number(words[0].encode("utf-8", "surrogateescape")) if words else None


def agree(status: Status, scan: Scan, names: Names | None) -> bool:
    """Whether STAT, LIST and UIDL speak of the same messages and of as many octets."""
    words = status.text.encode("utf-8", "surrogateescape").split()
    return (
        status.ok
        and names is not None
        and not scan.odd.count + names.odd.count
        and scan.numbers == names.numbers
        and [number(word) for word in words[:2]] == [len(scan.numbers), sum(scan.sizes)]
    )


class _Oddities:
    """Lines that make no sense: how many, and the first of them."""

    def __init__(self, command: str) -> None:
        self._command = command
        self._first = b""
        self.count = 0

    def add(self, line: bytes) -> None:
        self._first = self._first if self.count else line
        self.count += 1

    def remark(self) -> Remark:
        return Remark(
            f"lines of the {self._command} reply make no sense, the first is {printable(self._first, 60)!r}",
            self.count,
        )


def _usual(lines: Sequence[bytes], form: re.Pattern[bytes]) -> list[bytes]:
    """The words of these lines, two of each; nothing if not all have this form."""
    text = b"\n".join((*lines, b""))
    return text.split() if form.fullmatch(text) else []


class Scan:
    """Takes the lines of a LIST reply."""

    def __init__(self) -> None:
        self.numbers = array("Q")
        self.sizes = array("Q")
        self.odd = _Oddities("LIST")

    def add(self, lines: Sequence[bytes]) -> None:
        if usual := _usual(lines, _USUAL_SIZES):
            self.numbers.extend(map(int, usual[::2]))
            self.sizes.extend(map(int, usual[1::2]))
            return
        for line in lines:
            words = line.split()  # QUIRK(Maillennium): more than one space; others add words at the end
            where = number(words[0]) if words else None
            if not where:
                self.odd.add(line)
                continue
            size = number(words[1]) if len(words) > 1 else None
            if size is None:
                self.odd.add(line)
            self.put(where, size or 0)

    def put(self, where: int, size: int) -> None:
        self.numbers.append(where)
        self.sizes.append(size)


class Names:
    """Takes the lines of a UIDL reply. A message whose line is broken has the empty name."""

    def __init__(self) -> None:
        self.numbers = array("Q")
        self._text = bytearray()
        self._ends = array("Q")
        self.odd = _Oddities("UIDL")

    def add(self, lines: Sequence[bytes]) -> None:
        if usual := _usual(lines, _USUAL_NAMES):
            names = usual[1::2]
            self.numbers.extend(map(int, usual[::2]))
            self._ends.extend(islice(accumulate(map(len, names), initial=len(self._text)), 1, None))
            self._text += b"".join(names)
            return
        for line in lines:
            words = line.split()
            where = number(words[0]) if words else None
            if not where:
                self.odd.add(line)
                continue
            name = words[1] if len(words) == 2 else b""
            if not _UID.fullmatch(name) or name.startswith(_RESERVED):
                name = b""
                self.odd.add(line)
            self.put(where, name)

    def put(self, where: int, name: bytes) -> None:
        self.numbers.append(where)
        self._text += name
        self._ends.append(len(self._text))

    def forget_numbers(self) -> None:
        """From here on, names are known by their index alone."""
        self.numbers = array("Q")

    def name(self, index: int) -> bytes:
        start = self._ends[index - 1] if index else 0
        return bytes(self._text[start : self._ends[index]])

    def _all(self) -> Iterator[bytes]:
        start, text = 0, bytes(self._text)
        for end in self._ends:
            yield text[start:end]
            start = end

    def repeated(self) -> set[bytes]:
        """Names that come more than once. Looked for by their hashes, which take less room than they do."""
        hashes = sorted(map(hash, self._all()))
        alike = {one for one, other in pairwise(hashes) if one == other}
        names = Counter(name for name in self._all() if name and hash(name) in alike) if alike else {}
        return {name for name, count in names.items() if count > 1}

    def unnamed(self) -> int:
        """How many messages have the empty name."""
        return sum(map(eq, self._ends, chain((0,), self._ends)))


class Table(Sequence[Ref]):
    """The refs of one listing, in the order of their message numbers."""

    def __init__(self, source: str, scan: Scan, names: Names | None, nths: dict[int, int]) -> None:
        self._source = source
        numbers = scan.numbers
        self._numbers: Sequence[int] = range(1, len(numbers) + 1) if _counts_up(numbers) else numbers
        self._sizes = scan.sizes
        if names is not None:
            names.forget_numbers()
        self._names = names
        self._nths = nths

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, index: int) -> Ref: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Ref]: ...
    def __getitem__(self, index: int | slice) -> Ref | Sequence[Ref]:
        places = range(len(self))[index]
        return self._ref(places) if isinstance(places, int) else Part(self, places)

    def __iter__(self) -> Iterator[Ref]:
        return self.refs(range(len(self)))

    def refs(self, indexes: range) -> Iterator[Ref]:
        """Those at these indexes."""
        return map(self._ref, indexes)

    def _ref(self, index: int) -> Ref:
        name = self._names.name(index) if self._names else b""
        key = Key(self._source, name.decode("ascii"), self._nths.get(index, 0)) if name else None
        return Ref(index + 1, key, self._sizes[index])

    @property
    def octets(self) -> int:
        """The sum of all sizes."""
        return sum(self._sizes)

    def message_number(self, ref: Ref) -> int:
        """What the server calls ``ref`` in this session. Raises IndexError if it is not in the listing."""
        if ref.position < 1:
            raise IndexError(ref.position)
        return self._numbers[ref.position - 1]


class Part(Sequence[Ref]):
    """A slice of a table: still no refs, only places."""

    def __init__(self, table: Table, places: range) -> None:
        self._table = table
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Ref: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Ref]: ...
    def __getitem__(self, index: int | slice) -> Ref | Sequence[Ref]:
        places = self._places[index]
        return self._table[places] if isinstance(places, int) else Part(self._table, places)

    def __iter__(self) -> Iterator[Ref]:
        return self._table.refs(self._places)


def merge(
    source: str, count: int | None, scan: Scan, names: Names | None
) -> tuple[Table, tuple[Remark, ...]]:
    """The table of what LIST and UIDL say (``names`` None: the server has no UIDL), with remarks on what
    does not fit. ``source`` is the id for the keys; ``count`` is what STAT says, None if it says nothing."""
    remarks = [reply.odd.remark() for reply in (scan, names) if reply is not None and reply.odd.count]
    listed = len(scan.numbers)
    if count is not None and count != listed:
        remarks.append(Remark(f"STAT counts {count} messages, LIST shows {listed}"))
    if names is None and listed:
        remarks.append(
            Remark(
                "the server has no UIDL: messages are known by their octets, so each run reads all", listed
            )
        )
    ordered = _counts_up(scan.numbers) and (names is None or names.numbers == scan.numbers)
    if not ordered:
        remarks += _disagreements(scan, names)
        scan, names = _in_order(scan, names)
    nths: dict[int, int] = {}
    if names is not None:
        nths = _repeats(names)
        if nths:
            remarks.append(Remark("messages share their UIDL with an earlier one", len(nths)))
        if unnamed := names.unnamed():
            remarks.append(
                Remark(
                    "messages have no usable UIDL: they are known by their octets and read in each run",
                    unnamed,
                )
            )
    return Table(source, scan, names, nths), tuple(remarks)


def _counts_up(numbers: array[int]) -> bool:
    return numbers == array("Q", range(1, len(numbers) + 1))


def _disagreements(scan: Scan, names: Names | None) -> Iterator[Remark]:
    listed = set(scan.numbers)
    if twice := len(scan.numbers) - len(listed):
        yield Remark("message numbers come twice in the LIST reply; the first size counts", twice)
    if names is None:
        return
    named = set(names.numbers)
    if twice := len(names.numbers) - len(named):
        yield Remark("message numbers come twice in the UIDL reply", twice)
    if lacking := len(listed - named):
        yield Remark("messages are in the LIST reply and not in the UIDL reply", lacking)
    if lacking := len(named - listed):
        yield Remark(
            "messages are in the UIDL reply and not in the LIST reply: their sizes are unknown", lacking
        )


def _in_order(scan: Scan, names: Names | None) -> tuple[Scan, Names | None]:
    """The same by ascending message number, each number once, with 0 for sizes and nothing for names that
    are not known. A number with two names has none."""
    sizes = dict(zip(reversed(scan.numbers), reversed(scan.sizes), strict=True))
    texts: dict[int, bytes] = {}
    for index, where in enumerate(names.numbers if names else ()):
        text = names.name(index) if names else b""
        texts[where] = text if texts.get(where, text) == text else b""
    ordered, ordered_names = Scan(), Names() if names else None
    for where in sorted(sizes.keys() | texts.keys()):
        ordered.put(where, sizes.get(where, 0))
        if ordered_names is not None:
            ordered_names.put(where, texts.get(where, b""))
    return ordered, ordered_names


def _repeats(names: Names) -> dict[int, int]:
    """The index of each message whose name was there before, with how often it was."""
    before = dict.fromkeys(names.repeated(), 0)
    nths: dict[int, int] = {}
    for index in range(len(names.numbers)) if before else ():
        name = names.name(index)
        if name in before:
            if before[name]:
                nths[index] = before[name]
            before[name] += 1
    return nths
