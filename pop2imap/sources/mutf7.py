"""Folder names on the disks of IMAP servers: modified UTF-7 (RFC 3501 5.1.3), read where a name is nothing else."""

from __future__ import annotations

import base64
import binascii
import re

_SHIFTED = re.compile(r"&([A-Za-z0-9+,]*)(-?)")


def decoded(name: str) -> str:
    """What ``name`` says. What is no modified UTF-7 (octets above 0x7E, a lone ``&``, odd base64) is taken as it is:
    some servers and many people write names in UTF-8."""
    if "&" not in name or not (name.isascii() and name.isprintable()):
        return name
    pieces: list[str] = []
    at = 0
    for found in _SHIFTED.finditer(name):
        text = _unshifted(found[1]) if found[2] else None
        if text is None:
            return name
        pieces += [name[at : found.start()], text]
        at = found.end()
    return "".join([*pieces, name[at:]])


def _unshifted(digits: str) -> str | None:
    """None if no writer of modified UTF-7 would write them."""
    if not digits:
        return "&"
    try:
        octets = base64.b64decode(digits.replace(",", "/") + "=" * (-len(digits) % 4), validate=True)
        text = octets.decode("utf-16-be")
    except (binascii.Error, UnicodeDecodeError):
        return None
    again = base64.b64encode(octets).decode("ascii").rstrip("=").replace("/", ",")
    plain = any(" " <= one <= "~" for one in text)
    return text if again == digits and not plain else None
