"""Foreign text made printable.

Whatever a server, a message, a file name or a file says goes through :func:`printable` before it reaches a
terminal, a log, an error or a report: control characters move cursors and forge lines, and bidirectional
marks make text read other than it is.
"""

from __future__ import annotations

import re
import unicodedata

_JOINERS = "\u200c\u200d"
_SUSPECT = re.compile(r"[^\x20-\x7e]")


def printable(text: str | bytes, limit: int = 200) -> str:
    """``text`` on one line, at most ``limit`` characters long, safe to show to a person.

    Controls (C0, C1, DEL), line and paragraph separators, bidirectional and other invisible format
    characters, unassigned and private ones become ``\\x1b``, ``\\u202e`` or ``\\U000e0041``; octets that are not
    UTF-8, and the surrogates that stand for them, become ``\\xff``. The joiners that Persian, Indic scripts
    and emoji need are kept. What is cut off is marked by ``…``.
    """
    if isinstance(text, bytes):
        text = text[: limit * 4 + 4].decode("utf-8", "surrogateescape")
    if len(text) <= limit and text.isascii() and text.isprintable():
        return text
    text = text[: limit + 1]  # an escape only makes it longer
    shown = _SUSPECT.sub(_escaped, text)
    return shown if len(shown) <= limit else shown[: max(limit - 1, 0)] + "…"


def _escaped(found: re.Match[str]) -> str:
    character = found.group()
    point = ord(character)
    if 0xDC80 <= point <= 0xDCFF:  # how "surrogateescape" carries an octet
        return f"\\x{point - 0xDC00:02x}"
    category = unicodedata.category(character)
    if category[0] != "C" and category not in {"Zl", "Zp"}:
        return character
    if character in _JOINERS:
        return character
    if point < 0x100:
        return f"\\x{point:02x}"
    return f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"
