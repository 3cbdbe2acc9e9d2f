"""What may still go to a target, or come from a source, in these 24 hours.

The journal counts over all runs (:mod:`pop2imap.journal.traffic`), always before octets move: those for the target with
their intents; those of a source in *parts*, a few megabytes at a time, by the sizes of its listing and a little more,
since servers estimate them. What a part had too much is given back when it has come whole; a run that dies in it leaves
it counted. So a count may be too high for a day, by a part, and is never too low.

Used by the account thread, but for :meth:`SourceDay.counted`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import datetime

from pop2imap.errors import DailyLimitReached
from pop2imap.journal import Journal
from pop2imap.journal.traffic import TARGET
from pop2imap.listed import Chosen
from pop2imap.model import Message, Ref, Unread
from pop2imap.options import Options
from pop2imap.providers import Provider, host_of, recognise
from pop2imap.rates import Day
from pop2imap.sources import Source

PART = 32 << 20
"""Octets of a source that are counted, and asked for, at a time."""

UNKNOWN_SIZE = 64 << 10
"""What a message without a size counts, in octets."""

MORE = 16
"""A message may be larger than its listing says by this part of it: some servers count line ends as one octet."""

Now = Callable[[], datetime]


class Quota:
    """A limit on what ``name`` stands for in the journal. ``where`` says it to people, ``whose`` who has set it."""

    def __init__(self, day: Day, journal: Journal, name: str, now: Now, *, where: str, whose: str) -> None:
        self._day, self._journal, self._name, self._now = day, journal, name, now
        self._where, self._whose = where, whose

    def fits(self, sizes: Iterable[int]) -> int:
        """How many of the first messages, of these sizes, may go now."""
        now = self._now()
        return self._day.fits(self._hours(now), now, sizes)

    def reached(self, octets: int) -> DailyLimitReached:
        """The error that says so, and when so many octets may go."""
        now = self._now()
        free = self._day.free_at(self._hours(now), now, octets)
        return DailyLimitReached(
            f"the limit of {self._day.limit / 1e6:,.1f} MB in 24 hours is reached ({self._whose})",
            where=self._where,
            todo="run again later: it goes on from here",
            retry_after=(free - now).total_seconds(),
        )

    def carried(self, octets: int) -> None:
        """Count so many octets, in the journal."""
        self._journal.carried(self._name, octets)

    def _hours(self, now: datetime) -> list[tuple[datetime, int]]:
        return self._journal.traffic(self._name, Day.since(now))


def target_quota(
    options: Options, target: str, capabilities: Collection[str], journal: Journal, now: Now
) -> Quota | None:
    """The limit on what goes to ``target``, if there is one: what was chosen, else what its provider allows. What goes
    there is counted by ``Journal.intend``."""
    if options.daily_bytes:
        return Quota(Day(options.daily_bytes), journal, TARGET, now, where=target, whose="--daily-bytes")
    provider = recognise(host_of(target), capabilities) if options.provider_limits else None
    if provider is None or provider.upload is None:
        return None
    return Quota(Day(provider.upload), journal, TARGET, now, where=target, whose=_allowed(provider))


def source_quota(options: Options, source: Source, journal: Journal, now: Now) -> Quota | None:
    """The same for what comes from ``source``, if it is a server."""
    if source.kind != "pop3":
        return None
    limit, whose, where = options.source_daily_bytes, "--source-daily-bytes", source.id
    if limit is None and options.provider_limits and (provider := recognise(host_of(source.id))):
        limit, whose = provider.download, _allowed(provider)
    return Quota(Day(limit), journal, source.id, now, where=where, whose=whose) if limit else None


def _allowed(provider: Provider) -> str:
    return f"what {provider.name} allows; --no-provider-limits goes on at your own risk"


class SourceDay:
    """What of one listing of a source may come today; all of it, if there is no ``quota``."""

    def __init__(self, quota: Quota | None) -> None:
        self._quota = quota
        self._counted: dict[int, int] = {}  # by position, of the part that comes now
        self._surplus = 0
        self.over: DailyLimitReached | None = None
        """Why not everything may come."""

    def parts(self, todo: Chosen) -> Iterator[Chosen]:
        """``todo`` in parts, each of which is counted. Whoever asks for the next one has read the one before whole."""
        if self._quota is None:
            yield todo
            return
        at = 0
        while at < len(todo):
            sizes = list(_first_part(todo, at))
            number = self._quota.fits(sizes)
            if not number:
                self.over = self._quota.reached(sizes[0])
                return
            part = todo[at : at + number]
            at += number
            self._counted = {ref.position: _expected(ref) for ref in part}
            self._surplus = 0
            self._quota.carried(sum(sizes[:number]))
            yield part
            self._quota.carried(-self._surplus)

    def counted(self, items: Iterable[Message | Unread]) -> Iterable[Message | Unread]:
        """The same items, as they come from the source: on the thread that reads."""
        if self._quota is None:
            return items
        return self._weighed(items)

    def _weighed(self, items: Iterable[Message | Unread]) -> Iterator[Message | Unread]:
        for item in items:
            if isinstance(item, Message):
                self._surplus += self._counted[item.position] - item.octets.size
            yield item


def _first_part(refs: Sequence[Ref], start: int) -> Iterator[int]:
    """The sizes of the first messages from ``start`` on, up to ``PART`` octets in all, or of the first one."""
    total = 0
    for index in range(start, len(refs)):
        size = _expected(refs[index])
        if total and total + size > PART:
            return
        total += size
        yield size


def _expected(ref: Ref) -> int:
    return (ref.size or UNKNOWN_SIZE) * (MORE + 1) // MORE
