"""The header fields of a message, read the way mail really comes: tolerant, lazy, never raising.

A header block is octets that anybody may have written. Nothing is looked at until it is asked for: a field is
found in the block by name, then unfolded, decoded and, for addresses, taken apart; each step is kept. Every
step is linear in the octets it reads, whatever they are, and the block is capped.
"""

from __future__ import annotations

import functools
import itertools
import re

from pop2imap.addresses import Address, iter_addresses, parse_list_id
from pop2imap.charsets import decode_octets, decode_words

__all__ = ["Address", "Headers"]

MAX_BLOCK = 1 << 20
"""Octets of a header block that are looked at."""

MAX_FIELDS = 5000
"""Fields of a header block that are looked at."""

MAX_ADDRESSES = 5000
"""Mailboxes of one field name that are looked at."""

_EMPTY_LINE = re.compile(rb"\n\r*\n")
_FIELD_END = re.compile(rb"\n(?![ \t])")


class Headers:
    """The header fields of one message. The lists it returns are shared: do not change them."""

    __slots__ = ("_addresses", "_block", "_firsts", "_folded", "_raw", "_values")

    def __init__(self, block: bytes) -> None:
        self._block = block
        self._folded = block.lower()  # names are found in here: a search that ignores case is slow
        self._raw: dict[str, list[bytes]] = {}
        self._values: dict[str, list[str]] = {}
        self._firsts: dict[str, str | None] = {}
        self._addresses: dict[str, list[Address]] = {}

    @classmethod
    def parse(cls, head: bytes) -> Headers:
        """The fields of ``head``, which may go on after the empty line that ends them. Never raises."""
        block = b"\n" + head[:MAX_BLOCK]  # so that every field begins after a line end
        if end := _EMPTY_LINE.search(block):
            block = block[: end.start()]
        if len(block) > MAX_FIELDS and block.count(b"\n") > MAX_FIELDS:
            for nth, field in enumerate(_FIELD_END.finditer(block)):
                if nth == MAX_FIELDS:
                    block = block[: field.start()]
                    break
        return cls(block)

    def raw(self, name: str) -> list[bytes]:
        """The bodies of every field of this name, as they stand after the colon, in order."""
        key = name.lower()
        found = self._raw.get(key)
        if found is None:
            block, fields = self._block, _field(key).finditer(self._folded)
            found = [block[field.start(1) : field.end(1)].rstrip(b"\r") for field in fields]
            self._raw[key] = found
        return found

    def values(self, name: str) -> list[str]:
        """The bodies of every field of this name: unfolded, decoded, without white space around them."""
        key = name.lower()
        found = self._values.get(key)
        if found is None:
            found = [_text(body) for body in self.raw(key)]
            self._values[key] = found
        return found

    def first(self, name: str) -> str | None:
        """The first of :meth:`values`, or None; the others are not looked at."""
        key = name.lower()
        if key not in self._firsts:
            field = _field(key).search(self._folded)
            self._firsts[key] = field and _text(self._block[field.start(1) : field.end(1)].rstrip(b"\r"))
        return self._firsts[key]

    @property
    def subject(self) -> str:
        """The decoded subject, or an empty string."""
        return self.first("subject") or ""

    def addresses(self, name: str) -> list[Address]:
        """Every mailbox in every field of this name, groups opened, in order."""
        key = name.lower()
        found = self._addresses.get(key)
        if found is None:
            self._addresses[key] = found = []
            for body in self.raw(key):
                found += itertools.islice(iter_addresses(_unfolded(body)), MAX_ADDRESSES - len(found))
        return found

    def list_id(self) -> str:
        """The id of the mailing list in lower case (RFC 2919), or an empty string."""
        for body in self.raw("list-id"):
            if found := parse_list_id(_unfolded(body)):
                return found
        return ""


@functools.lru_cache(maxsize=512)
def _field(name: str) -> re.Pattern[bytes]:
    written = re.escape(name.encode("utf-8", "replace"))
    return re.compile(rb"\n" + written + rb"[ \t]*+:(.*(?:\n[ \t].*)*)")


def _text(body: bytes) -> str:
    """A field body as people read it."""
    return _tidy(decode_words(_unfolded(body)))


def _unfolded(body: bytes) -> str:
    """The text of a field body, each fold (RFC 5322 2.2.3) one space; encoded words as they are."""
    text = decode_octets(body)
    if "\n" in text:
        text = " ".join([line.strip(" \t\r") for line in text.split("\n")])
    return text


_BREAKS = dict.fromkeys(map(ord, "\t\n\v\f\r\x1c\x1d\x1e\x85\u2028\u2029"), " ")


def _tidy(text: str) -> str:
    """Text on one line: an encoded word may hold line ends."""
    return (text if text.isprintable() else text.translate(_BREAKS)).strip()
