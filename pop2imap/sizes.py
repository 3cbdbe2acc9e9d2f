"""Sizes as people write them, and the largest message there is."""

from __future__ import annotations

import re

from pop2imap.errors import UsageError
from pop2imap.text import printable

MAX_MESSAGE = 1 << 30
"""Octets of one message that are read, unless told otherwise: no mail system carries more, and whatever has no end
must not fill the disk."""

MOST_OF_A_MESSAGE = (1 << 32) - 1
"""No IMAP literal holds more octets (RFC 3501 9, ``number``)."""

_SIZE = re.compile(r"(\d{1,15})\s*([kmg]?)(?:i?b)?", re.IGNORECASE | re.ASCII)
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def octets(text: str) -> int | None:
    """A size as people write it: ``4096``, ``200k``, ``5M`` (of 1024 octets, and of 1024 of those), or None."""
    found = _SIZE.fullmatch(text.strip())
    return int(found[1]) * _UNITS[found[2].lower()] if found else None


def per_second(text: str) -> int:
    """Octets a second: ``5M``, ``5MB/s``. Raises UsageError."""
    return _amount(text.strip().removesuffix("/s"), f"'{printable(text, 60)}' is no rate", "5MB/s")


def per_day(text: str) -> int:
    """Octets in a day: ``500M``. Raises UsageError."""
    return _amount(text, f"'{printable(text, 60)}' is no amount of mail", "500MB")


def _amount(text: str, wrong: str, example: str) -> int:
    size = octets(text)
    if not size:
        raise UsageError(wrong, todo=f"write for example {example}")
    return size


def message_size(text: str) -> int:
    """The most octets of one message, from 1 to ``MOST_OF_A_MESSAGE``. Raises UsageError."""
    size = octets(text)
    if size is None or not 1 <= size <= MOST_OF_A_MESSAGE:
        raise UsageError(
            f"'{printable(text, 60)}' is no size of a message",
            todo="write for example 50M; it must be less than 4G, since no IMAP server takes more",
        )
    return size
