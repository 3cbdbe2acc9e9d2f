"""A message out of a POP3 reply: where it ends, and its dots as they were (RFC 1939 3). No I/O.

Speed. A message is never split into lines. A line that begins with a dot is looked for in the whole buffer: most
messages have none before their end, and then nothing else is done to them. Where there is one, dots are
un-stuffed with ``bytes.replace``. What stands at the end of a buffer and may be the beginning of a pattern waits for
the next octets, and the line end of the status line serves as the one before the first line.
"""

from __future__ import annotations

import re

NEAR = 4 << 10
"""Octets in which a line that begins with a dot is looked for at once: many messages are no longer than that."""

FEW_DOTS = 8
"""A dot alone is found twenty times as fast as one at the start of a line, and attachments (base64) have none at all.
After so many it is text, with dots everywhere."""

_DOT_LINE = {newline: re.compile(newline + rb"\.") for newline in (b"\n", b"\r\n")}


class MessageReader:
    """Un-stuffs one message (RFC 1939 3). ``ended`` once its end was found.

    A line that begins with one dot only keeps it: the server forgot to stuff.
    """

    def __init__(self, *, lenient: bool) -> None:
        self.newline = b"\n" if lenient else b"\r\n"
        self.ended = False
        self._ends = (b"\n.\n", b"\n.\r\n") if lenient else (b"\r\n.\r\n",)
        self._dot = self.newline + b"."
        self._dot_line = _DOT_LINE[self.newline]
        self._lead = len(self.newline)  # octets to come that are the status line's, not the message's
        self._tail = b""

    @property
    def bare_end(self) -> bool:
        return self._tail == b"\n.\n"

    def take(self, buffer: bytes, at: int) -> tuple[bytes, int]:
        """The octets that are sure, and the position up to which ``buffer`` is used up."""
        dot = self._first_dot(buffer, at)
        end = self._end(buffer, dot) if dot >= 0 else None
        if end is not None:
            self.ended = True
            place, length = end
            stop = place + len(self.newline)  # the line end before the dot belongs to the message
            used = place + length
        else:
            used = stop = len(buffer) - self._undecided(buffer, at)
        start = min(at + self._lead, stop)
        if 0 <= dot < stop - len(self.newline):  # before the end, so that it may be a stuffed one
            octets = buffer[at:stop].replace(self._dot + b".", self._dot)[start - at :]
        else:
            octets = buffer[start:stop]
        if stop > at:
            self._lead = 0
        if not self.ended:
            self._tail = (self._tail + octets[-3:])[-3:]
        return octets, used

    def _first_dot(self, buffer: bytes, at: int) -> int:
        """Where the first line that begins with a dot has the line end before it; below 0 if there is none."""
        found = buffer.find(self._dot, at, at + NEAR)
        if found >= 0:
            return found
        place = at + NEAR - len(self._dot)
        for _ in range(FEW_DOTS):
            place = buffer.find(b".", place + 1)
            if place < 0:
                return -1
            if buffer.endswith(self.newline, at, place):
                return place - len(self.newline)
        line = self._dot_line.search(buffer, place + 1 - len(self.newline))
        return line.start() if line else -1

    def _end(self, buffer: bytes, dot: int) -> tuple[int, int] | None:
        """Place and length of the first end, from the first line on that begins with a dot; None: there is none."""
        if len(self._ends) == 1 and buffer.startswith(self._ends[0], dot):
            return dot, len(self._ends[0])
        found = [(place, len(end)) for end in self._ends if (place := buffer.find(end, dot)) >= 0]
        return min(found, default=None)

    def _undecided(self, buffer: bytes, at: int) -> int:
        """How many octets at the end may be the beginning of an end, or of a stuffed dot."""
        if not buffer.endswith((b"\r", b"\n", b"."), at):
            return 0
        longest = self._ends[-1]
        for length in range(min(len(longest) - 1, len(buffer) - at), 0, -1):
            if buffer.endswith(longest[:length], at):
                return length
        return 0
