"""On which line of a TOML text a value stands: ``tomllib`` keeps no positions.

The scanner trusts that ``tomllib`` has accepted the text, so it need not judge, only follow: headers, dotted and
quoted keys, the four kinds of strings, arrays over many lines, inline tables, comments. On a text that is not
TOML it gives some answer or none, and ends.
"""

from __future__ import annotations

import bisect
import functools
import re
from collections.abc import Mapping, Sequence

Path = tuple[str | int, ...]

_BARE_KEY = re.compile(r"[^\s=.\[\]{}\"'#,]+")
_BLANK = re.compile(r"[ \t\r]*")
_BETWEEN = re.compile(r"(?:[\s,]|#[^\n]*)*")
_STRING = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*"{3,5}'
    r"|'''(?:[^']|'(?!''))*'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}\n#]*")
_LINE = re.compile(r"[^\n]*")


def locate(text: str, path: Sequence[str | int]) -> int | None:
    """The line (from 1) of the value at ``path``, its keys and, for arrays, indexes from 0; of its nearest
    table or array that has a line of its own, if it has none; None for a path that begins with nothing known."""
    lines = _lines(text)
    for length in range(len(path), 0, -1):
        if (line := lines.get(tuple(path[:length]))) is not None:
            return line
    return None


@functools.lru_cache(maxsize=4)
def _lines(text: str) -> Mapping[Path, int]:
    return _Scanner(text).scan()


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._ends = [found.start() for found in re.finditer("\n", text)]
        self._found: dict[Path, int] = {}
        self._last: dict[Path, int] = {}  # index of the newest element of each array of tables

    def scan(self) -> Mapping[Path, int]:
        table: Path = ()
        while self._pass(_BETWEEN) < len(self._text):
            if self._peek() == "[":
                table = self._header()
            else:
                self._assignment(table)
            self._pass(_LINE)
        return self._found

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _pass(self, what: re.Pattern[str]) -> int:
        """Go over what matches here, if anything does; where that leads to."""
        if found := what.match(self._text, self._at):
            self._at = found.end()
        return self._at

    def _note(self, path: Path, at: int) -> None:
        self._found.setdefault(path, bisect.bisect_left(self._ends, at) + 1)

    def _header(self) -> Path:
        """``[a.b]`` or ``[[a.b]]``: the path that the lines after it belong to."""
        start = self._at
        many = self._text.startswith("[[", start)
        self._at += 2 if many else 1
        path: Path = ()
        keys = self._keys()
        for nth, key in enumerate(keys, start=1):
            path = (*path, key)
            self._note(path, start)
            if many and nth == len(keys):
                self._last[path] = self._last.get(path, -1) + 1
            if path in self._last:
                path = (*path, self._last[path])
                self._note(path, start)
        return path

    def _keys(self) -> list[str]:
        """The parts of a dotted key."""
        keys = []
        while True:
            self._pass(_BLANK)
            start = self._at
            if self._peek() in ('"', "'"):
                keys.append(_unquoted(self._text[start : self._pass(_STRING)]))
            else:
                keys.append(self._text[start : self._pass(_BARE_KEY)])
            self._pass(_BLANK)
            if self._peek() != ".":
                return keys
            self._at += 1

    def _assignment(self, table: Path) -> None:
        """``key = value``, at the top, in a table or in an inline table."""
        start = self._at
        path = table
        for key in self._keys():
            path = (*path, key)
            self._note(path, start)
        if self._peek() == "=":
            self._at += 1
            self._value(path)
        elif self._at == start:
            self._pass(_LINE)  # not TOML

    def _value(self, path: Path) -> None:
        start = self._pass(_BLANK)
        first = self._peek()
        if first in ('"', "'"):
            if self._pass(_STRING) == start:
                self._pass(_LINE)  # it never ends: not TOML
        elif first == "[":
            self._at += 1
            index = 0
            while self._inside():
                self._note((*path, index), self._at)
                self._value((*path, index))
                index += 1
        elif first == "{":
            self._at += 1
            while self._inside():
                self._assignment(path)
        else:
            self._pass(_SCALAR)

    def _inside(self) -> bool:
        """Whether another item comes before the end of this array or inline table, which is passed."""
        if self._pass(_BETWEEN) >= len(self._text):
            return False
        if self._peek() in "]}":
            self._at += 1
            return False
        return True


def _unquoted(key: str) -> str:
    import tomllib

    try:
        value = tomllib.loads(f"key = {key}")["key"]
    except tomllib.TOMLDecodeError:
        return key
    return value if isinstance(value, str) else key
