"""What a scan of an mbox finds: its messages, what speaks for what, and where a scan of more of it may begin."""

from __future__ import annotations

from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any, NamedTuple

from pop2imap.sources.mbox_slice import Unquote


class Entry(NamedTuple):
    """One message: offsets of its From_ line, of its first octet and after its last; its key's digest; the size
    it will have when sent, but for un-quoting. ``exact_length``: its Content-Length, and that of all messages
    before it, is exact. ``internal``: c-client's data, no mail. ``partial``: the mail program says that it never
    fetched the whole message. ``place`` as in :class:`pop2imap.model.Ref`."""

    offset: int
    start: int
    end: int
    digest: bytes
    size: int
    exact_length: bool
    internal: bool
    partial: bool
    place: int = 0


@dataclass(slots=True)
class Totals:
    """What a scan saw. The first offset of something is -1 if it did not occur."""

    messages: int = 0
    internal: int = 0  # of these, those that are no mail (see Entry)
    partial: int = 0
    end: int = 0  # of the file
    torn: bool = False  # the last message lacks its last newline, or the end of its header
    undated: int = 0  # "From " lines after an empty line without a date
    undated_at: int = -1
    unseparated: int = 0  # "From " lines with a date, without an empty line before
    unseparated_at: int = -1
    run_together: int = 0  # of these (and bare ones) those that header fields follow
    sealed: int = 0  # separators that a Content-Length showed to be content
    quoted_after_empty: int = 0
    quoted_elsewhere: int = 0
    quoted_deeper: int = 0  # of these, with more than one >
    plain_after_empty: int = 0  # "From " lines in messages, not quoted
    plain_elsewhere: int = 0
    disguised: bool = False  # ">From " occurs at all

    def unquote(self) -> Unquote:
        """What the evidence is for.

        Whoever quotes at all leaves no ``From `` line of that sort unquoted: a writer either quotes them
        everywhere, or where it matters, after empty lines (BSD), or not at all. So a file with unquoted ones
        (more than one to ten quoted ones: files have more than one writer) was not quoted there, and a
        ``>From `` in it is what somebody wrote, mostly a citation.
        """
        if self.plain_after_empty * 10 > self.quoted_after_empty:
            return Unquote.NOTHING
        if self.plain_elsewhere * 10 > self.quoted_elsewhere:
            return Unquote.SINGLE_AFTER_EMPTY
        return Unquote.EVERY

    def numbers(self) -> tuple[Any, ...]:
        """All of it, to make it from again."""
        numbers: tuple[Any, ...] = _NUMBERS(self)
        return numbers

    @property
    def wants_loose(self) -> bool:
        """Whether so many messages begin without an empty line that it is the habit of the file's writer."""
        return self.run_together >= 3 and self.run_together * 4 >= self.messages


_NUMBERS = attrgetter(*(one.name for one in fields(Totals)))


class Resume(NamedTuple):
    """Where the next scan of a file that grew may begin, and what the scan of what is before it has seen: the offset of
    a From_ line, whether all lengths up to there were exact, and the :class:`Totals`, in their order."""

    offset: int
    lengths_hold: bool
    totals: tuple[Any, ...]

    @property
    def messages(self) -> int:
        """How many messages lie before it."""
        return Totals(*self.totals).messages

    @property
    def mail(self) -> int:
        """How many of them are mail."""
        return self.messages - Totals(*self.totals).internal
