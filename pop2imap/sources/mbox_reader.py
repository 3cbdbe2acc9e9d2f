"""Messages found in an mbox, at the speed of the disk and in constant memory. No file is opened here.

Everything reads through a ``ReadAt``: a function that gives some octets at an offset. Two passes:

1. :class:`Scanner` goes through the file once and yields an :class:`Entry` for each message: where it lies, the
   digest that is its key, and its size. It never looks at lines: it searches its buffer for ``From `` and then
   judges what stands around each place where that occurs, which is rare.
2. :class:`pop2imap.sources.mbox_slice.Slice` reads one message of which the place is known and gives its octets
   as they are to be sent.

**What separates.** A From_ line after an empty line, or at the start of the file, that ends in a date. So much
is safe, and is all that most files need. Some files need more, each sort told by its own evidence:

* Thunderbird's files since 2023 have bare ``From `` lines: taken if header fields follow.
* Thunderbird and Eudora do not always put an empty line before the From_ line: taken if Thunderbird's own
  fields follow, or if the file begins with Eudora's mark.
* Files written without any empty lines between messages: only if they are many, and the scan is then made again,
  ``loose`` (see ``Totals.wants_loose``).
* Files whose very first line has no date have none: From_ lines without one are taken if header fields follow.
* mboxcl2 files do not quote ``From `` lines in bodies at all, but say how long each body is. ``Content-Length``
  is believed only while every message of the file so far had one that ended exactly at a separator or at the
  end of the file: a length in a single message may be a sender's forgery, to swallow the messages after it.

The rest, dates without empty line and empty lines without date, is text; it is counted and said.

**What is not content**: the From_ line, and one empty line before the next From_ line and at the end of the file.

**The key** is the SHA-256 of the octets as they lie in the file, but without book-keeping lines (and
``Content-Length`` and ``Lines``), so that it stays the same when a mail program notes that the message was read.
A last line without its newline counts as if it had one, since the next delivery will add it.

**What more octets at the end can change**: only the messages from the first one on that could not be judged without
looking where the file ends. A scan of a file that grew may begin there (:class:`Resume`), and finds what a scan of
all of it finds.

**Line ends**: a message of LF lines gets CRLF, each LF once. In one of CRLF lines nothing is changed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator

from pop2imap.sources.mbox_flags import Head, content_length, end_of_head
from pop2imap.sources.mbox_found import Entry, Resume, Totals
from pop2imap.sources.mbox_from import LINE_LIMIT, Look, look
from pop2imap.sources.mbox_slice import ReadAt, empty_line_before, line_end, read_fully

BLOCK = 1 << 17
"""Octets read at once: so few that they are still in the cache of the processor when they are searched, counted and
digested one after the other."""

_AHEAD = 4096  # octets after a "From " that are looked at to judge it
_BEHIND = 64  # octets before it, which holds all sensible quoting
_TAIL = 6  # octets at the end of a buffer that may belong to a separator: CR LF F r o m
_FROM = re.compile(b"From ")  # half as long to look for as with bytes.find
_FIELD = rb"[!-9;-~]{1,76}[ \t]*:"
_FIELDS_FOLLOW = re.compile(
    _FIELD + rb"[^\n]*(?:\n[ \t][^\n]*)*(?:\n(?:" + _FIELD + rb"|\r?\n|\Z)|\Z)",
)
_THUNDERBIRD_FOLLOWS = re.compile(rb"(?i:x-mozilla-(?:status|keys)|x-account-key)2?[ \t]*:")
_BEFORE_FIRST = re.compile(rb"(?:\xef\xbb\xbf)?(?:\r?\n)*")


class NotMboxError(ValueError):
    """The file does not begin as an mbox does; holds its first octets."""


class Scanner:
    """One pass over an mbox, or over its end, from ``resume`` on, which is afterwards where the next scan may begin.
    ``block`` is how much is read at once; the result does not depend on it. ``place`` tells from the header of a
    message where it lies at home."""

    def __init__(
        self,
        read_at: ReadAt,
        *,
        loose: bool = False,
        keep_headers: bool = False,
        block: int = BLOCK,
        resume: Resume | None = None,
        place: Callable[[Head], int] | None = None,
    ) -> None:
        self.totals = Totals()
        self.place = place
        self.resume = resume
        self.looked_past_end = False  # more octets at the end of the file might have changed something
        self.keep_headers = keep_headers
        self.lengths_hold = True  # every message so far had an exact Content-Length
        self.buffer = b""  # octets [base, limit) of the file
        self.base = 0
        self.at_end = False
        self._read_at = read_at
        self._loose = loose
        self._block = block
        self._style = Look.DATED

    def entries(self) -> Iterator[Entry]:
        """The messages in order. Raises NotMboxError before the first one."""
        offset = self.first()
        if self.resume is not None:
            offset = self._go_on(self.resume)
        while offset is not None:
            here = Resume(offset, self.lengths_hold, self.totals.numbers())
            sure = not self.looked_past_end
            entry, offset = _MessageScan(self, offset).run()
            if sure:
                self.resume = here
            self.totals.messages += 1
            self.totals.internal += entry.internal
            self.totals.partial += entry.partial
            yield entry
        self.totals.end = self.limit

    def _go_on(self, resume: Resume) -> int:
        self.totals = Totals(*resume.totals)
        self.lengths_hold = resume.lengths_hold
        self.base = max(resume.offset - _BEHIND, 0)
        self.buffer, self.at_end = b"", False
        self.need(self.base, resume.offset + 2 * _AHEAD)
        return resume.offset

    @property
    def limit(self) -> int:
        """The offset in the file where the buffer ends."""
        return self.base + len(self.buffer)

    def need(self, keep: int, upto: int) -> bool:
        """Have the octets from ``keep`` to ``upto`` in the buffer; False if the file ends before."""
        while self.limit < upto:
            block = b"" if self.at_end else self._read_at(self.limit, self._block)
            if not block:
                self.at_end = True
                return False
            kept = max(keep - self.base, 0)
            self.buffer = self.buffer[kept:] + block
            self.base += kept
        return True

    def octets(self, start: int, end: int) -> bytes:
        """Those of the file that are in the buffer."""
        return self.buffer[max(start - self.base, 0) : max(end - self.base, 0)]

    def lands(self, offset: int) -> bool:
        """Whether a message that ends at ``offset`` ends exactly: before a separator, or where the file ends."""
        text = read_fully(self._read_at, offset - 1, _AHEAD)
        self.looked_past_end |= len(text) < _AHEAD
        if not text:
            return False
        after_newline = text[:1] == b"\n"
        rest = text[1:]
        if found := re.match(rb"\r?\n", rest):
            after_newline = True
            rest = rest[found.end() :]
        if not rest:
            return True
        return (
            after_newline and rest.startswith(b"From ") and look(rest[: rest.find(b"\n") + 1]) is Look.DATED
        )

    def first(self) -> int | None:
        """The offset of the first From_ line, None in an empty file. Raises NotMboxError."""
        self.need(0, 2 * _AHEAD)
        found = _BEFORE_FIRST.match(self.buffer)
        assert found is not None
        offset = found.end()
        if offset == self.limit and self.at_end:
            return None
        if not self.buffer.startswith(b"From ", offset):
            raise NotMboxError(self.buffer[:512])
        self._style = look(self.line(offset))
        if self._style is Look.OTHER and not _FIELDS_FOLLOW.match(self._next_lines(offset)):
            raise NotMboxError(self.buffer[:512])
        return offset

    def line(self, offset: int) -> bytes:
        """The line at ``offset`` with its end, cut where it is too long for a From_ line."""
        at = offset - self.base
        end = self.buffer.find(b"\n", at, at + LINE_LIMIT)
        return self.buffer[at : end + 1 or at + LINE_LIMIT + 1]

    def _next_lines(self, offset: int) -> bytes:
        at = offset - self.base
        end = self.buffer.find(b"\n", at, at + LINE_LIMIT)
        return self.buffer[end + 1 : at + _AHEAD] if end >= 0 else b""

    def separates(self, offset: int, *, after_empty: bool) -> bool:
        """Whether the line at ``offset``, which begins with ``From ``, begins a message. Counts what is
        suspicious. The buffer holds ``_AHEAD`` octets from there, if the file does."""
        kind = look(self.line(offset))
        if kind is Look.DATED and after_empty:
            return True
        follows = self._next_lines(offset)
        match kind, kind is self._style:
            case (Look.EUDORA, False) | (Look.PATCH, True):
                kind = Look.DATED
            case Look.OTHER, True:
                kind = Look.BARE
        match kind:
            case Look.EUDORA:
                return True
            case Look.DATED if after_empty:  # or what this file has for a date
                return True
            case Look.BARE if after_empty and _FIELDS_FOLLOW.match(follows):
                return True
            case Look.DATED | Look.BARE if not after_empty:
                if _THUNDERBIRD_FOLLOWS.match(follows):
                    return True
                if _FIELDS_FOLLOW.match(follows):
                    if self._loose:
                        return True
                    self.totals.run_together += 1
        totals = self.totals
        if kind is Look.DATED:
            totals.unseparated_at = totals.unseparated_at if totals.unseparated else offset
            totals.unseparated += 1
        elif after_empty and kind is not Look.PATCH:
            totals.undated_at = totals.undated_at if totals.undated else offset
            totals.undated += 1
        return False


class _MessageScan:
    """The scan of one message, from its From_ line at ``offset`` to the next one."""

    def __init__(self, scanner: Scanner, offset: int) -> None:
        self._scanner = scanner
        self._offset = offset
        line = scanner.line(offset)
        self._start = offset + len(line)
        self._crlf_before = self._crlf = line.endswith(b"\r\n")
        self._head: Head | None = None  # once all of it is in the buffer and it is hashed
        self._head_complete = False
        self._head_end = self._find_head_end()
        self._sealed: int | None = None  # what lies before this offset is content; None: not looked at yet
        self._sha = hashlib.sha256()
        self._hashed = self._start
        self._size = 0

    def run(self) -> tuple[Entry, int | None]:
        """The message, and the offset of the next one's From_ line."""
        scanner = self._scanner
        at = self._start
        while True:
            match = _FROM.search(scanner.buffer, at - scanner.base)
            if match is None:
                if scanner.at_end:
                    return self._last(), None
                limit = scanner.limit
                self._absorb(limit - _TAIL)
                scanner.need(self._keep, limit + 1)
                at = max(at, limit - len(b"From"))
                continue
            found = match.start()
            at = found + scanner.base
            before = scanner.buffer[found - 1]
            if before == 0x0A:
                if scanner.limit < at + _AHEAD:
                    if not scanner.at_end:
                        self._absorb(at - 3)
                        scanner.need(self._keep, at + _AHEAD)
                        continue
                    scanner.looked_past_end = True
                empty = empty_line_before(scanner.buffer, at - scanner.base)
                if self._separates(at, after_empty=empty > 0):
                    return self._entry(at - empty), at
            elif before == 0x3E:
                scanner.totals.disguised = True
                self._count_quoted(found)
            at += len(b"From ")

    @property
    def _keep(self) -> int:
        return (self._start if self._head is None else self._hashed) - _BEHIND

    def _find_head_end(self) -> int:
        scanner = self._scanner
        while True:
            found = end_of_head(scanner.buffer, self._start - scanner.base)
            if found is not None:
                self._head_complete = True
                return found + scanner.base
            if not scanner.need(self._start - _BEHIND, scanner.limit + 1):
                scanner.looked_past_end = True
                return scanner.limit

    def _take_head(self, end: int) -> Head:
        head = Head(self._scanner.octets(self._start, end), crlf_before=self._crlf_before)
        self._head = head
        self._crlf = head.crlf
        self._sha.update(head.unkeyed)
        self._hashed = end
        return head

    def _absorb(self, upto: int) -> None:
        """Hash what lies before ``upto`` and is surely content."""
        if self._head is None:
            if upto < self._head_end:
                return
            self._take_head(self._head_end)
        if upto <= self._hashed:
            return
        scanner = self._scanner
        start, end = self._hashed - scanner.base, upto - scanner.base
        content = scanner.buffer[start:end]
        self._sha.update(content)
        self._size += len(content)
        if not self._crlf:  # as count does it, in half the time
            self._size += len(content) - len(content.replace(b"\n", b""))
        self._hashed = upto

    def _separates(self, at: int, *, after_empty: bool) -> bool:
        scanner = self._scanner
        totals = scanner.totals
        if at < self._sealed_until(at):
            if after_empty and look(scanner.line(at)) is Look.DATED:
                totals.sealed += 1
        elif scanner.separates(at, after_empty=after_empty):
            return True
        if after_empty:
            totals.plain_after_empty += 1
        else:
            totals.plain_elsewhere += 1
        return False

    def _sealed_until(self, at: int) -> int:
        if not self._scanner.lengths_hold:
            return 0
        if self._sealed is None and at >= self._head_end and self._head_complete:
            raw = self._head.raw if self._head else self._scanner.octets(self._start, self._head_end)
            length = content_length(raw)
            if length is not None and self._scanner.lands(self._head_end + length):
                self._sealed = self._head_end + length
            else:
                self._scanner.lengths_hold = False
        return self._sealed or 0

    def _count_quoted(self, found: int) -> None:
        """Count the quoted ``From `` at ``found`` in the buffer, if it is one: at the start of a line."""
        buffer = self._scanner.buffer
        start = found
        while start > 0 and buffer[start - 1] == 0x3E and found - start < _BEHIND - 8:
            start -= 1
        if start == 0 or buffer[start - 1] != 0x0A:
            return
        totals = self._scanner.totals
        if empty_line_before(buffer, start):
            totals.quoted_after_empty += 1
        else:
            totals.quoted_elsewhere += 1
        if found - start > 1:
            totals.quoted_deeper += 1

    def _last(self) -> Entry:
        scanner = self._scanner
        scanner.looked_past_end = True
        end = limit = scanner.limit
        empty = empty_line_before(scanner.buffer, len(scanner.buffer))
        if limit - empty >= self._start:
            end -= empty
        terminated = scanner.buffer.endswith(b"\n")
        scanner.totals.torn = not (terminated and self._head_complete)
        return self._entry(end, terminated=terminated)

    def _entry(self, end: int, *, terminated: bool = True) -> Entry:
        scanner = self._scanner
        if scanner.lengths_hold and self._sealed_until(end) not in range(
            end, end + 3
        ):  # some count the empty line
            scanner.lengths_hold = False
        head = self._head or self._take_head(min(self._head_end, end))
        self._absorb(end)
        octets = head.sendable(keep=scanner.keep_headers, exact_length=scanner.lengths_hold)
        self._size += len(octets) + (0 if head.crlf else octets.count(b"\n"))
        if not terminated and end > self._start:
            self._sha.update(line_end(crlf=self._crlf))
        return Entry(
            self._offset,
            self._start,
            end,
            self._sha.digest(),
            self._size,
            scanner.lengths_hold,
            scanner.totals.messages == 0 and head.is_internal,
            head.is_partial,
            scanner.place(head) if scanner.place else 0,
        )
