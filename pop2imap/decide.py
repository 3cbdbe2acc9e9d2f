"""From a message to what shall become of it: its date, its flags, its folders, and why.

Everything here is pure but for one memory: a message without any usable date takes that of its nearest dated
neighbour in source order, so :class:`Decider` remembers which ones have one.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from pop2imap import dates
from pop2imap.headers import Headers
from pop2imap.journal.values import seconds
from pop2imap.model import FLAGGED, SEEN, DateFrom, Decision, Message, Unread
from pop2imap.options import Mark, Options
from pop2imap.rules import Rules
from pop2imap.text import printable

HOLD_LIMIT = 32
"""Messages without a date that wait for the next dated one."""

MOST_ALIKE = 256
"""Sets of flags that messages share."""

RECENT = "\\recent"
TRASH, JUNK = "\\Trash", "\\Junk"


_DELETED = "deleted in the mail program that had fetched it"
PART = "only its beginning is at home; the whole of it comes from the maildrop"
_PART = Decision((), (PART,), skip=PART)
_DELETED_LEFT = Decision((), (_DELETED,), skip=f"{_DELETED} (--deleted-at-home)")
_DELETED_TO_TRASH = Decision((TRASH,), (f"{_DELETED} → {TRASH} (--deleted-at-home)",), seen=True)


class Decided(NamedTuple):
    """A message with its decision. ``flags`` are those it shall have (before what the mailbox can keep);
    ``guessed`` says that its read state is not known but follows ``--mark``. ``subject`` is for people: printable and
    short; of the other header fields nothing is kept, since thousands of messages may wait."""

    message: Message
    subject: str
    decision: Decision
    date: datetime
    date_from: DateFrom
    flags: frozenset[str]
    guessed: bool


class _Dated:
    """Positions that have a date of their own, ascending, and their dates; sixteen octets each."""

    def __init__(self) -> None:
        self._positions, self._dates = array("q"), array("q")

    def add(self, position: int, date: int) -> None:
        self._positions.append(position)
        self._dates.append(date)

    def around(self, position: int) -> Iterator[tuple[int, datetime]]:
        """(distance, date) of the last one before ``position`` and of the first one after it."""
        at = bisect_left(self._positions, position)
        for index in (at - 1, at):
            if 0 <= index < len(self._positions):
                distance = abs(self._positions[index] - position)
                yield distance, datetime.fromtimestamp(self._dates[index], UTC)


class Decider:
    """Decides the messages of one listing of one source, in source order.

    ``run_start`` (UTC) is the "now" of ``--mark`` and the date of last resort.
    """

    def __init__(self, rules: Rules, options: Options, source_folder: str, run_start: datetime) -> None:
        self._rules = rules
        self._options = options
        self._folder = source_folder
        self._run_start = run_start
        self._settled, self._read = _Dated(), _Dated()
        self.deleted: set[int] = set()
        """Positions of messages of a maildrop that were deleted at home."""
        self.unseen: set[int] = set()
        """Positions of messages that nobody can have read: nothing has fetched them."""
        self.parts: dict[int, Message] = {}
        """What is at home of messages of a maildrop, by position, where that is only a part of them."""
        self.comes_whole: Callable[[Message], bool] = lambda message: False
        """Whether the whole of a message comes from elsewhere, of which only a part is here."""
        self._alike: dict[frozenset[str], frozenset[str]] = {}  # few sets of flags, that many messages have

    def remember(self, position: int, date: int | None) -> None:
        """A message that need not be read has this date (seconds since 1970): it may be somebody's neighbour. Called
        in order of position, before ``decide``."""
        if date is not None:
            self._settled.add(position, date)

    def decide(self, items: Iterable[Message | Unread]) -> Iterator[Decided | Unread]:
        """One item for each item, in order. A message without a date waits until its next neighbour is known."""
        held: list[Message | Unread] = []
        for item in items:
            dated = None
            if isinstance(item, Message):
                headers = Headers.parse(item.octets.head())
                dated = dates.internal_date(headers, item.envelope_date, self._run_start)
            if dated is None and (held or isinstance(item, Message)) and len(held) < HOLD_LIMIT:
                held.append(item)
                continue
            if dated is not None:
                self._read.add(item.position, seconds(dated[0]))
            for earlier in held:
                yield self._pass(earlier)
            held.clear()
            yield self._decide(item, headers, dated) if isinstance(item, Message) else item
        for earlier in held:
            yield self._pass(earlier)

    def _pass(self, item: Message | Unread) -> Decided | Unread:
        """One that waited."""
        if isinstance(item, Unread):
            return item
        return self._decide(item, Headers.parse(item.octets.head()), None)

    def _neighbour(self, position: int) -> datetime | None:
        """The date of the nearest dated message, the earlier one of two."""
        near = [*self._settled.around(position), *self._read.around(position)]
        return min(near, key=lambda found: found[0])[1] if near else None

    def _decide(self, message: Message, headers: Headers, dated: tuple[datetime, DateFrom] | None) -> Decided:
        if dated is None:
            neighbour = self._neighbour(message.position)
            dated = (neighbour, DateFrom.NEIGHBOUR) if neighbour else (self._run_start, DateFrom.RUN)
        date, date_from = dated
        read, message = message, self._as_at_home(message)
        if message.discarded:
            decision = Decision((), (message.discarded,), skip=message.discarded)
        elif message.partial and self.comes_whole(message):
            decision = _PART
        elif out_of_range := self._out_of_range(date):
            decision = Decision((), (out_of_range,), skip=out_of_range)
        elif message.position in self.deleted and (by_owner := self._deleted_at_home()) is not None:
            decision = by_owner
        elif left := left_at_home(message.folders, self._options):
            decision = Decision((), (left,), skip=left)
        else:
            places = () if self._options.flatten else message.folders
            decision = self._rules.decide(message, headers, date, self._folder, places)
        flags, guessed = self._flags(message, decision, date)
        subject = printable(headers.first("subject") or "", 120)
        return Decided(read, subject, decision, date, date_from, flags, guessed)

    def _as_at_home(self, message: Message) -> Message:
        """``message`` with the folders and flags of its part at home, if that is what is there of it."""
        part = self.parts.get(message.position)
        return message if part is None else message._replace(folders=part.folders, flags=part.flags)

    def _deleted_at_home(self) -> Decision | None:
        """The decision for what was deleted at home; None: it is mail like any other."""
        match self._options.deleted_at_home:
            case "skip":
                return _DELETED_LEFT
            case "trash":
                return _DELETED_TO_TRASH
        return None

    def _out_of_range(self, date: datetime) -> str:
        day, since, before = date.date(), self._options.since, self._options.before
        if since is not None and day < since:
            return f"dated before {since} (--since)"
        if before is not None and day >= before:
            return f"dated {before} or later (--before)"
        return ""

    def _flags(self, message: Message, decision: Decision, date: datetime) -> tuple[frozenset[str], bool]:
        flags = set(decision.add_flags)
        flags.update(flag for flag in message.flags or () if flag.lower() != RECENT)
        seen = decision.seen
        if seen is None and message.flags is None and message.position in self.unseen:
            seen = False
        guessed = message.flags is None and seen is None
        if seen is None:
            seen = SEEN in flags or (message.flags is None and self._marked_seen(date))
        for flag, wanted in ((SEEN, seen), (FLAGGED, decision.flagged)):
            if wanted is not None:
                (flags.add if wanted else flags.discard)(flag)
        kept = frozenset(flags)
        if len(self._alike) >= MOST_ALIKE:
            self._alike.clear()
        return self._alike.setdefault(kept, kept), guessed

    def _marked_seen(self, date: datetime) -> bool:
        return marked_seen(self._options.mark, self._run_start - date)


def left_at_home(folders: Sequence[str], options: Options) -> str:
    """Why a message in these folders at home is not moved, in words; empty if it is."""
    for use, wanted, option in (
        (TRASH, options.with_trash, "--with-trash"),
        (JUNK, options.with_junk, "--with-junk"),
    ):
        if not wanted and _all_in(folders, use):
            return f"in the {use[1:].lower()} folder at home ({option} moves it)"
    return ""


def is_deleted(message: Message) -> bool:
    """Whether its owner has deleted it at home."""
    return bool(message.discarded) or _all_in(message.folders, TRASH)


def _all_in(folders: Sequence[str], use: str) -> bool:
    """Whether all of these are the folder of that special use, or below it."""
    return bool(folders) and all(folder.partition("/")[0] == use for folder in folders)


def decided_by(rules_digest: str, place: int) -> str:
    """Names everything that decided where a message goes: the rules, and its place at home
    (:func:`pop2imap.model.place_of`)."""
    return f"{rules_digest}+{place:016x}" if place else rules_digest


def marked_seen(mark: Mark, age: timedelta) -> bool:
    """Whether mail of unknown state and this age counts as seen."""
    if mark.kind in {"seen", "unseen"}:
        return mark.kind == "seen"
    return age > timedelta(days=mark.days)
