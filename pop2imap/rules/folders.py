"""Folder names of rules: what a person wrote, and what mail may put into it.

Literal text is its author's own: it is checked, never changed, but for NFC, ``INBOX`` and the spelling of
special uses. What a placeholder stands for comes from mail, that is, from anybody, and is made harmless: it
stays within one level (``/`` becomes ``_``), has no control, format and bidirectional characters, nothing
that IMAP gives a meaning to (``%``, ``*``, quotes, backslash, a leading ``~`` or ``#``), is never ``.`` or
``..``, and is cut so that neither its level nor the whole name gets too long. The delimiter of the server is
no matter here: levels are split by ``/``, and the target knows what to do with the rest. But it takes a name that
begins with its own prefix, such as ``INBOX.``, for its own spelling, so no value may begin a name like that.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import NamedTuple

from pop2imap.rules.faults import Fault, unknown
from pop2imap.text import printable

MAX_LEVELS = 10
MAX_LEVEL_LENGTH = 64
"""Characters in a level that a placeholder has a part in."""

MAX_NAME_OCTETS = 200
"""Octets of a whole name in modified UTF-7 (RFC 3501 5.1.3), which is how servers know it."""

SPECIAL_USES = ("\\Archive", "\\Drafts", "\\Junk", "\\Sent", "\\Trash")
"""RFC 6154, without the two that are views of other folders."""

PLACEHOLDERS = frozenset({"list-id", "from", "from-domain", "date", "source-folder"})

_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_DATE_PARTS: Mapping[str, Callable[[datetime], str]] = {
    "Y": lambda date: f"{date.year:04}",
    "y": lambda date: f"{date.year % 100:02}",
    "m": lambda date: f"{date.month:02}",
    "d": lambda date: f"{date.day:02}",
    "b": lambda date: _MONTHS[date.month - 1][:3],
    "B": lambda date: _MONTHS[date.month - 1],
}

_CUTS = (64, 48, 32, 16, 8, 4, 2)
_RESERVE = 16
"""Octets that two characters of any value fit into, and any part of a date."""

_BELOW_INBOX = re.compile(r"(inbox)[^\w /-]", re.IGNORECASE)
"""How a value may begin that a server with the prefix ``INBOX.`` would take for levels of its own."""

_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


class Placeholder(NamedTuple):
    """``{name}``; of ``{date:%Y/%m}``, each part is one, named ``date:%Y`` and ``date:%m``."""

    name: str


class Template:
    """A folder name with or without placeholders. Raises Fault for what can be no folder."""

    __slots__ = ("_levels", "is_literal", "literal", "names", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        levels = _levels(text)
        if levels[0] and isinstance(start := levels[0][0], str):
            levels[0][0] = _checked_start(start, whole=len(levels[0]) == 1)
        self._levels = tuple(map(tuple, levels))
        _check(self._levels, text)
        self.names = tuple(
            sorted(
                {piece.name for level in self._levels for piece in level if isinstance(piece, Placeholder)}
            )
        )
        """The placeholders, as they are looked up, each once."""
        self.is_literal = not self.names
        self.literal = self._literal()
        """The levels before the first placeholder; the whole name if there is none."""

    def _literal(self) -> str:
        fixed = []
        for level in self._levels:
            if not all(isinstance(piece, str) for piece in level):
                break
            fixed.append("".join(map(str, level)))
        return "/".join(fixed)

    def fill(self, lookup: Callable[[str], str]) -> tuple[str, str]:
        """The folder, and an empty string; or an empty string, and the placeholder that has no value.

        ``lookup`` gives what a name stands for, an empty string for nothing.
        """
        values: dict[str, str] = {}
        for name in self.names:
            values[name] = harmless(lookup(name))
            if not values[name]:
                return "", name
        for cut in _CUTS:
            folder = "/".join(self._filled(level, values, cut) for level in self._levels)
            if name_octets(folder) <= MAX_NAME_OCTETS:
                break
        if isinstance(self._levels[0][0], Placeholder):
            folder = _BELOW_INBOX.sub(r"\1_", folder, count=1) if _BELOW_INBOX.match(folder) else folder
        first, slash, rest = folder.partition("/")
        return (f"INBOX{slash}{rest}" if first.upper() == "INBOX" else folder), ""

    def may_have_made(self, folder: str) -> bool:
        """Whether ``folder`` is a name as placeholders in this template make them."""
        if self.is_literal:
            return False
        import re2  # loaded only by runs that have patterns

        shape = "/".join(
            "".join(re2.escape(piece) if isinstance(piece, str) else "[^/]+" for piece in level)
            for level in self._levels
        )
        return re2.fullmatch(shape, folder) is not None

    def _filled(self, level: tuple[str | Placeholder, ...], values: Mapping[str, str], cut: int) -> str:
        if len(level) == 1 and isinstance(level[0], str):
            return level[0]
        literal = sum(len(piece) for piece in level if isinstance(piece, str))
        room = max(MAX_LEVEL_LENGTH - literal, 2)
        parts = []
        for piece in level:
            if isinstance(piece, str):
                parts.append(piece)
            else:
                value = values[piece.name][: min(cut, room)].rstrip()
                room = max(room - len(value), 2)
                parts.append(value)
        filled = "".join(parts)
        return "_" if filled in (".", "..") else filled


def _levels(text: str) -> list[list[str | Placeholder]]:
    """The levels of a template: each a list of literal texts and placeholders, neighbouring texts joined."""
    levels: list[list[str | Placeholder]] = [[]]

    def add(literal: str) -> None:
        first, *others = unicodedata.normalize("NFC", literal).split("/")
        for nth, part in enumerate((first, *others)):
            if nth:
                levels.append([])
            level = levels[-1]
            if part and level and isinstance(level[-1], str):
                level[-1] += part
            elif part:
                level.append(part)

    at = 0
    for piece in _PIECE.finditer(text):
        add(text[at : piece.start()])
        at = piece.end()
        if piece[0] in ("{{", "}}"):
            add(piece[0][0])
        elif piece[1] is None:
            raise Fault(f'a lone "{piece[0]}" (write "{piece[0] * 2}" for the character itself)')
        elif piece[1].startswith("date:"):
            for part in re.split(r"(%.?)", piece[1][len("date:") :], flags=re.DOTALL):
                if not part.startswith("%"):
                    add(part)
                elif part[1:] in _DATE_PARTS:
                    levels[-1].append(Placeholder(f"date:{part}"))
                else:
                    known = " ".join(f"%{letter}" for letter in _DATE_PARTS)
                    raise Fault(f'"{printable(part)}" is no part of a date (known: {known})')
        elif piece[1] == "date":
            raise Fault("{date} needs a form, such as {date:%Y} or {date:%Y/%m}")
        else:
            levels[-1].append(Placeholder(piece[1]))
    add(text[at:])
    return levels


def _checked_start(first: str, *, whole: bool) -> str:
    """The literal text that a name begins with. ``whole``: it is all of the first level."""
    if whole and first.upper() == "INBOX":
        return "INBOX"
    if first.startswith("\\"):
        for use in SPECIAL_USES:
            if whole and first.lower() == use.lower():
                return use
        raise Fault(unknown("special use", first, SPECIAL_USES))
    if first[0] in "~#":
        raise Fault(f'a folder name cannot begin with "{first[0]}": servers give it a meaning of their own')
    return first


def _check(levels: tuple[tuple[str | Placeholder, ...], ...], text: str) -> None:
    if not text.strip():
        raise Fault("the folder has no name")
    if len(levels) > MAX_LEVELS:
        raise Fault(f"{len(levels)} levels are too many (at most {MAX_LEVELS})")
    octets = len(levels) - 1
    for nth, level in enumerate(levels):
        if not level:
            raise Fault('an empty level: a name neither begins nor ends with "/", nor has two in a row')
        if level in ((".",), ("..",)):
            raise Fault(f'"{level[0]}" is no name for a level')
        for piece in level:
            if isinstance(piece, Placeholder):
                octets += _RESERVE
                continue
            octets += name_octets(piece)
            if bad := _FORBIDDEN.search(piece, 1 if nth == 0 and piece in SPECIAL_USES else 0):
                raise Fault(f'a folder name cannot hold "{printable(bad[0])}"')
            if any(unicodedata.category(character) in _INVISIBLE for character in piece):
                raise Fault(f'an invisible character in "{printable(piece)}"')
        if str(level[0])[:1] == " " or str(level[-1])[-1:] == " ":
            raise Fault(
                "a level neither begins nor ends with a space: some servers cannot open such a folder"
            )
    if octets > MAX_NAME_OCTETS:
        raise Fault(f"the name is too long: {octets} octets as servers spell it (at most {MAX_NAME_OCTETS})")


_PLAIN = re.compile(rf"(?!\.{{1,2}}\Z)[a-zA-Z0-9@.+_=-]{{1,{MAX_LEVEL_LENGTH}}}")
"""What most values are: nothing about them is to be changed."""

_FORBIDDEN = re.compile(r'[%*"\\]')
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def checked_folder(text: str) -> str:
    """The one folder that ``text`` names, as decisions spell it. Raises Fault, also for placeholders."""
    template = Template(text)
    if not template.is_literal:
        raise Fault("no placeholders here: this folder must do for every message")
    return template.literal


def harmless(value: str) -> str:
    """What of ``value``, which anybody may have written, can stand in one level; an empty string if nothing."""
    if _PLAIN.fullmatch(value):
        return value
    kept = []
    for character in unicodedata.normalize("NFC", value[: 16 * MAX_LEVEL_LENGTH]):
        if character == "/":
            kept.append("_")
        elif character.isspace():
            kept.append(" ")
        elif character not in '%*"\\' and unicodedata.category(character) not in _INVISIBLE:
            kept.append(character)
    text = " ".join("".join(kept).split()).lstrip("~# ")[:MAX_LEVEL_LENGTH].rstrip()
    return "" if text in (".", "..") else text


def name_octets(name: str) -> int:
    """The length of a folder name in modified UTF-7 (RFC 3501 5.1.3)."""
    if name.isascii() and name.isprintable():
        return len(name) + name.count("&")
    octets = 0
    for run in re.finditer(r"[\x20-\x7e]+|[^\x20-\x7e]+", name):
        if run[0].isascii() and run[0].isprintable():
            octets += len(run[0]) + run[0].count("&")
        else:
            octets += 2 + -(-len(run[0].encode("utf-16-be", "surrogatepass")) * 8 // 6)
    return octets


def date_part(name: str, date: datetime) -> str:
    """What ``date:%Y`` and the like stand for, in English whatever the locale."""
    return _DATE_PARTS[name[-1]](date)
