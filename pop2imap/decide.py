"""From a message to what shall become of it: its date, its flags, its folders, and why.

Everything here is pure but for one memory: a message without any usable date takes that of its nearest dated
neighbour in source order, so :class:`Decider` remembers the dates of its listing.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pop2imap import dates
from pop2imap.config import Mark, Options
from pop2imap.headers import Headers
from pop2imap.model import FLAGGED, SEEN, DateFrom, Decision, Message, Unread
from pop2imap.rules import Rules
from pop2imap.text import printable

AUTO_SEEN_AFTER = timedelta(days=14)
"""With ``--mark auto``, mail of unknown state older than this counts as seen."""

HOLD_LIMIT = 32
"""Undated messages at the head of a source that wait for a dated neighbour to come."""

RECENT = "\\recent"


@dataclass(frozen=True, slots=True)
class Decided:
    """A message with its decision. ``flags`` are those it shall have (before what the mailbox can keep);
    ``guessed`` says that its read state is not known but follows ``--mark``."""

    message: Message
    headers: Headers
    decision: Decision
    date: datetime
    date_from: DateFrom
    flags: frozenset[str]
    guessed: bool

    @property
    def subject(self) -> str:
        """For people: printable and short."""
        return printable(self.headers.first("subject") or "", 120)


class Decider:
    """Decides the messages of one listing of one source, in source order.

    ``messages`` is the length of the listing; ``run_start`` (UTC) is the "now" of ``--mark`` and the date of
    last resort.
    """

    def __init__(
        self, rules: Rules, options: Options, source_folder: str, messages: int, run_start: datetime
    ) -> None:
        self._rules = rules
        self._options = options
        self._folder = source_folder
        self._run_start = run_start
        self._dates = array("q", bytes(8 * (messages + 1)))  # epoch seconds by position; 0: not known
        self._any_date = False

    def remember(self, position: int, date: datetime | None) -> None:
        """A message that need not be read has this date: it may be somebody's neighbour."""
        if date is not None:
            self._dates[position] = int(date.timestamp())
            self._any_date = True

    def decide(self, items: Iterable[Message | Unread]) -> Iterator[Decided | Unread]:
        """One item for each item, in order. The first ones wait for a neighbour if they have no date."""
        held: list[Message | Unread] = []
        for item in items:
            if isinstance(item, Message):
                headers = Headers.parse(item.octets.head())
                dated = dates.internal_date(headers, item.envelope_date)
                if dated is None and self._neighbour(item.position) is None and len(held) < HOLD_LIMIT:
                    held.append(item)
                    continue
                if dated is not None:
                    self.remember(item.position, dated[0])
                for earlier in held:
                    yield self._decide_or_pass(earlier)
                held.clear()
                yield self._decide(item, headers, dated)
            elif held:
                held.append(item)
            else:
                yield item
        for earlier in held:
            yield self._decide_or_pass(earlier)

    def _decide_or_pass(self, item: Message | Unread) -> Decided | Unread:
        if isinstance(item, Unread):
            return item
        return self._decide(item, Headers.parse(item.octets.head()), None)

    def _neighbour(self, position: int) -> datetime | None:
        if not self._any_date:
            return None
        known = self._dates
        for away in range(1, len(known)):
            for near in (position - away, position + away):
                if 0 < near < len(known) and known[near]:
                    return datetime.fromtimestamp(known[near], UTC)
        return None

    def _decide(self, message: Message, headers: Headers, dated: tuple[datetime, DateFrom] | None) -> Decided:
        if dated is None:
            neighbour = self._neighbour(message.position)
            dated = (neighbour, DateFrom.NEIGHBOUR) if neighbour else (self._run_start, DateFrom.RUN)
            self.remember(message.position, neighbour)  # keeps the way to the next neighbour short
        date, date_from = dated
        if message.discarded:
            decision = Decision((), (message.discarded,), skip=message.discarded)
        elif out_of_range := self._out_of_range(date):
            decision = Decision((), (out_of_range,), skip=out_of_range)
        else:
            decision = self._rules.decide(message, headers, date, self._folder)
        flags, guessed = self._flags(message, decision, date)
        return Decided(message, headers, decision, date, date_from, flags, guessed)

    def _out_of_range(self, date: datetime) -> str:
        day, since, before = date.date(), self._options.since, self._options.before
        if since is not None and day < since:
            return f"dated {day}, before --since {since}"
        if before is not None and day >= before:
            return f"dated {day}, not before --before {before}"
        return ""

    def _flags(self, message: Message, decision: Decision, date: datetime) -> tuple[frozenset[str], bool]:
        flags = {flag for flag in message.flags or () if flag.lower() != RECENT} | decision.add_flags
        guessed = message.flags is None and decision.seen is None
        seen = decision.seen
        if seen is None:
            seen = SEEN in flags or (message.flags is None and self._marked_seen(date))
        for flag, wanted in ((SEEN, seen), (FLAGGED, decision.flagged)):
            if wanted is not None:
                (flags.add if wanted else flags.discard)(flag)
        return frozenset(flags), guessed

    def _marked_seen(self, date: datetime) -> bool:
        return marked_seen(self._options.mark, self._run_start - date)


def marked_seen(mark: Mark, age: timedelta) -> bool:
    """Whether mail of unknown state and this age counts as seen."""
    match mark.kind:
        case "seen":
            return True
        case "unseen":
            return False
        case "older-than":
            return age > timedelta(days=mark.days)
        case _:
            return age > AUTO_SEEN_AFTER
