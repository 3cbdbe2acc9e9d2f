"""What the index of a Thunderbird folder (``Name.msf``) says that stands nowhere else: tags of mail written at home.

An index is Mork, a text of dictionaries ``<(id=value)...>``, tables ``{id:scope {...} ...}`` and rows
``[id:scope(^column^value)(^column=literal)...]``, with what changed later written behind it in groups
``@$${1{@ ... @$$}1}@``; a group that was not committed (``@$$}~~}@``, or no end) does not count. Source: the writer and
parser of Mork in comm-central (``morkWriter``, ``morkParser``); ``nsMsgDatabase`` for the columns.

The text is gone through once for the rows and, if any of them is wanted, once more for those values alone to which they
point: an index holds subjects and names too, and they are most of it. What is damaged says nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from pop2imap.sources.mbox_flags import Tagged, flags_of, keywords

LIMIT = 128 << 20
"""Octets of an index that are read; a longer one says nothing."""

_ROWS = 1_000_000
_CELLS = 1 << 18  # octets of those of a row
_DEEP = 8

_WORD = rb"-?[0-9A-Fa-f]++(?::\^?[0-9A-Za-z]++)?"
_TOKEN = re.compile(
    rb"\((?P<cell>(?:[^\\)]++|\\.)*+)\)"
    rb"|<(?P<entries>(?:\s*+\((?:[^\\)]++|\\.)*+\))*+)\s*+>"
    rb"|\[\s*+(?P<row>" + _WORD + rb")(?P<cells>(?:\s*+\((?:[^\\)]++|\\.)*+\))*+)\s*+\]"
    rb"|(?P<open>[<\[{])|(?P<close>[>\]}])"
    rb"|@\$\$\{(?P<group>[0-9A-Fa-f]++)\{@|(?P<end>@\$\$\})[^}]{0,20}\}@"
    rb"|(?P<word>" + _WORD + rb")"
    rb"|//[^\r\n]*+|[\s,;:!]++|[^(]",
    re.DOTALL,
)
"""Whole rows and whole dictionaries are what most of an index is; their brackets alone, what else there may be."""

_IN_BRACKETS = re.compile(rb"\(((?:[^\\)]++|\\.)*+)\)", re.DOTALL)
_END = re.compile(rb"@\$\$\}([^}]{0,20})\}@")
_CELL = re.compile(rb"\^([0-9A-Fa-f]{1,8})(?:\^([0-9A-Fa-f]{1,8})|=(.*))", re.DOTALL)
_ALIAS = re.compile(rb"\s*([0-9A-Fa-f]{1,8})\s*=(.*)", re.DOTALL)
_ESCAPED = re.compile(rb"\\(?:\r?\n|(.))|\$([0-9A-Fa-f]{2})|\r?\n", re.DOTALL)
_IN_ROW = (b"[", b"{[")
_NAMED = (b"{", *_IN_ROW)
_CLOSES = {b">": b"<", b"]": b"[", b"}": b"{"}

_MESSAGES, _FOLDER = "ns:msg:db:row:scope:msgs:all", "ns:msg:db:row:scope:dbfolderinfo:all"
_NAMES = frozenset({_MESSAGES, _FOLDER, "storeToken", "keywords", "flags", "folderSize", "folderName"})

_Value = int | bytes
"""A number is that of a value in a dictionary."""


class Index(NamedTuple):
    """``tagged`` are the messages that have keywords, by where they are: the offset of the From_ line in decimal
    digits, or in the other store the name of the file. ``size`` is that of the folder's file, as it was when the
    index was written; None if it is not said. ``name`` is the name of the folder; empty if it is not said."""

    tagged: Mapping[str, Tagged] = MappingProxyType({})
    size: int | None = None
    name: str = ""


def read_index(octets: bytes) -> Index:
    """Never fails."""
    try:
        return _read(octets) if len(octets) <= LIMIT else Index()
    except _DamagedError:
        return Index()


class _DamagedError(Exception):
    pass


class _Row(NamedTuple):
    """A row, or a part of it. ``id`` begins with a minus where what was there before goes."""

    scope: bytes
    id: bytes
    cells: list[bytes]


class _Entry(NamedTuple):
    """An entry of a dictionary. ``of_columns``: it names columns and the like, and is no value."""

    cell: bytes
    of_columns: bool


def _read(octets: bytes) -> Index:
    rows = _Rows()
    for event in _events(octets, values=False):
        if isinstance(event, _Row):
            rows.add(event)
        elif event.of_columns:
            rows.name(event.cell)
    wanted = rows.wanted()
    values: dict[int, bytes] = {}
    if wanted:
        for event in _events(octets, values=True):
            if isinstance(event, _Entry) and not event.of_columns and (found := _ALIAS.fullmatch(event.cell)):
                number = int(found[1], 16)
                if number in wanted:
                    values[number] = found[2]
    return rows.index(values)


class _Rows:
    """The cells of rows that are wanted, as far as they were read. The last one of a row counts."""

    def __init__(self) -> None:
        self._names: dict[int, str] = {}
        self._starts: tuple[bytes, ...] = ()  # of cells that are wanted
        self._tokens: dict[bytes, _Value] = {}
        self._words: dict[bytes, _Value] = {}
        self._flags: dict[bytes, _Value] = {}
        self._folder: dict[str, _Value] = {}

    def name(self, cell: bytes) -> None:
        """An entry that names a column."""
        found = _ALIAS.fullmatch(cell)
        name = found[2].decode("latin-1") if found else ""
        if found and name in _NAMES:
            self._names[int(found[1], 16)] = name
            self._starts = tuple(b"^%X" % number for number in self._names)

    def add(self, row: _Row) -> None:
        scope = self._names.get(int(row.scope[1:], 16)) if _is_number(row.scope) else None
        number = row.id.lstrip(b"-").upper()
        if scope == _MESSAGES:
            of = {"storeToken": self._tokens, "keywords": self._words, "flags": self._flags}
            if row.id.startswith(b"-"):
                for cells in of.values():
                    cells.pop(number, None)
            for name, value in self._cells(row):
                if name in of:
                    of[name][number] = value
            if sum(map(len, of.values())) > 3 * _ROWS:
                raise _DamagedError
        elif scope == _FOLDER:
            self._folder |= {name: value for name, value in self._cells(row) if name.startswith("folder")}

    def _cells(self, row: _Row) -> Iterator[tuple[str, _Value]]:
        for cell in row.cells:
            if not cell.startswith(self._starts):
                continue
            found = _CELL.fullmatch(cell)
            name = self._names.get(int(found[1], 16)) if found else None
            if found and name:
                yield name, found[3] if found[2] is None else int(found[2], 16)

    def wanted(self) -> frozenset[int]:
        """Numbers of the values without which the rows say nothing."""
        of_messages = (
            cells.get(row) for row in self._words for cells in (self._tokens, self._words, self._flags)
        )
        return frozenset(value for value in (*of_messages, *self._folder.values()) if isinstance(value, int))

    def index(self, values: Mapping[int, bytes]) -> Index:
        def text(value: _Value | None) -> bytes:
            return _plain(values.get(value, b"") if isinstance(value, int) else value or b"")

        said: dict[str, Tagged] = {}
        twice = set()
        for row, value in self._words.items():
            token = text(self._tokens.get(row)).decode("utf-8", "replace")
            if token in said:
                twice.add(token)  # one of the rows is of a message that was there before
            bits = _number(text(self._flags.get(row)))
            said[token] = Tagged(keywords(text(value)), None if bits is None else flags_of(bits))
        return Index(
            {where: one for where, one in said.items() if where and one.keywords and where not in twice},
            _number(text(self._folder.get("folderSize"))),
            text(self._folder.get("folderName")).decode("utf-8", "replace"),
        )


def _number(text: bytes) -> int | None:
    return int(text, 16) if re.fullmatch(rb"[0-9A-Fa-f]{1,16}", text) else None


def _is_number(scope: bytes) -> bool:
    return re.fullmatch(rb"\^[0-9A-Fa-f]{1,8}", scope) is not None


def _plain(value: bytes) -> bytes:
    """The octets that a value stands for: a newline in it, with or without a backslash, was put there to fold it."""
    return _ESCAPED.sub(lambda found: bytes([int(found[2], 16)]) if found[2] else found[1] or b"", value)


def _events(octets: bytes, *, values: bool) -> Iterator[_Row | _Entry]:
    """Rows and entries of dictionaries, in order; with ``values``, for those that are values: rows may be left out, and
    without, values may be. Raises _DamagedError.

    It is whole, since every token may change how the next one is read.
    """
    inside = b""  # the brackets that are open
    scope = table = row = b""
    cells: list[bytes] = []
    of_columns = named = in_group = False
    at = 0
    while at < len(octets):
        found = _TOKEN.match(octets, at)
        if found is None:
            raise _DamagedError  # a cell without an end
        at = found.end()
        kind = found.lastgroup
        if kind == "cell":
            if inside == b"<":
                yield _Entry(found["cell"], of_columns)
            elif inside == b"<<":
                of_columns = of_columns or found["cell"].strip() == b"a=c"
            elif inside in _IN_ROW:
                cells.append(found["cell"])
                if len(cells) > _CELLS >> 8:
                    raise _DamagedError
        elif kind == "entries":
            if values and not inside:
                yield from (_Entry(one[1], False) for one in _IN_BRACKETS.finditer(found["entries"]))
            elif inside == b"<":
                of_columns = of_columns or found["entries"].strip() == b"(a=c)"
        elif kind == "cells":
            if not values and inside in (b"", b"{"):
                word, _, own = found["row"].partition(b":")
                if len(found["cells"]) > _CELLS:
                    raise _DamagedError
                yield _Row(own or (table if inside else b""), word, _IN_BRACKETS.findall(found["cells"]))
        elif kind == "word" and inside in _NAMED:
            word, _, own = found["word"].partition(b":")
            if not named and inside == b"{":
                table = own
            elif not named:
                row, scope = word, own or table
            elif inside == b"{" and word.startswith(b"-"):
                yield _Row(own or table, word, [])  # taken out of the table
            named = True
        elif kind == "open":
            if not inside:
                table, of_columns = b"", False
            if found["open"] != b"<" and inside + found["open"] in _NAMED:
                named, cells = False, []
            inside += found["open"]
            if len(inside) > _DEEP:
                raise _DamagedError
        elif kind == "close":
            if inside[-1:] != _CLOSES[found["close"]]:
                raise _DamagedError
            if inside in _IN_ROW:
                yield _Row(scope, row, cells)
                named = True  # the table in which it is
            inside = inside[:-1]
        elif kind in ("group", "end"):
            if inside or in_group == (kind == "group"):
                raise _DamagedError
            in_group = kind == "group"
            if in_group:
                end = _END.search(octets, at)
                if end is None:
                    return  # never committed
                if end[1].upper() != found["group"].upper():
                    at, in_group = end.end(), False
    if inside:
        raise _DamagedError
