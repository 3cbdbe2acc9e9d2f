"""How fast may mail go, and how much of it in a day: arithmetic alone, with a clock that is given. No I/O, no waiting.

A :class:`Pace` spaces what is sent. Something may begin when what began before it has had its time: its octets by the
rate. So the mean never exceeds the rate, and nobody saves up for a burst. Unless somebody asked for a limit, there is
none, and no clock is read but once.

*A busy server is pressed less*: additive increase, multiplicative decrease (RFC 5681 3.1 has the idea). When a server
says that it has enough, what follows goes at half of the rate that was reached; each ``STEP`` that passes without such
an answer brings back an eighth of that rate; when it has doubled, all is as it was before.

A :class:`Day` is any 24 hours, not the day of a calendar: nobody says when a provider's day begins, and whoever sends
up to the limit before midnight and again after it sends twice of it in an hour. It is counted in whole hours, each of
which counts until 24 hours after its end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

STEP = 15.0
"""Seconds after which a rate that was lowered is raised a little; a server that is still busy within the first of them
does not lower it again."""

PARTS = 8
"""A step is this part of the rate at which the server had enough."""

LEAST_OCTETS, LEAST_MESSAGES = 16_384.0, 0.5
"""A second: no lower does a rate get because of busy answers."""

AT_ONCE = 2.0
"""Seconds for which what travels together is enough: with a low limit, large batches would make bursts."""

HOUR = timedelta(hours=1)
DAY = timedelta(hours=24)

WORTH_A_RUN = 10
"""It is worth going on when this part of a day's limit is free again."""


class Limits(NamedTuple):
    """The most in a second; None: as fast as it goes."""

    octets: float | None = None
    messages: float | None = None

    def __bool__(self) -> bool:
        return self.octets is not None or self.messages is not None

    def at_once(self, octets: int, messages: int) -> tuple[int, int]:
        """How many octets and messages to send together, where otherwise it would be these."""
        if self.octets is not None:
            octets = min(octets, max(int(self.octets * AT_ONCE), 1))
        if self.messages is not None:
            messages = min(messages, max(int(self.messages * AT_ONCE), 1))
        return octets, messages


UNLIMITED = Limits()


class _Top(NamedTuple):
    """A second."""

    octets: float
    messages: float


@dataclass(slots=True)
class _Lowered:
    """Since a server had enough at ``top``; ``since`` may lie ahead, if it wants to be left alone until then."""

    top: _Top
    since: float

    def share(self, now: float) -> float:
        """What of ``top`` is allowed now."""
        steps = max(int((now - self.since) // STEP), 0)
        return 0.5 + steps / PARTS

    def is_over(self, now: float) -> bool:
        """Whether it has doubled."""
        return self.share(now) >= 2


class Pace:
    """When the next piece may go. ``clock`` gives seconds that never go back."""

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self._limits, self._clock = limits, clock
        self._lowered: _Lowered | None = None
        self._free = 0.0  # from then on something may begin
        self._began: float | None = None  # since then it was counted what was sent
        self._octets = self._messages = 0

    @property
    def spaces(self) -> bool:
        """Whether anything may have to wait now."""
        return bool(self._limits) or self._lowered is not None

    def delay(self, octets: int, messages: int) -> float:
        """How many seconds to wait before these are sent."""
        now = self._clock() if self.spaces or self._began is None else 0.0
        if self._lowered and self._lowered.is_over(now):
            self._lowered = self._began = None
        if self._began is None:
            self._began, self._octets, self._messages = now, 0, 0
        if not self.spaces:
            return 0.0
        rates = self._rates(now)
        begin = max(now, self._free)
        self._free = begin + max(
            octets / rates.octets if rates.octets else 0.0,
            messages / rates.messages if rates.messages else 0.0,
        )
        return begin - now

    def went(self, octets: int, messages: int) -> None:
        """These were sent, and the server took them: by that it is known what rate was reached."""
        self._octets += octets
        self._messages += messages

    def busy(self, retry_after: float | None = None) -> float | None:
        """The server has said that it has enough, and to be left alone for so many seconds, if it did. Returns the
        octets a second that are allowed now; None if that is no news: answers to what was sent before are one, and
        before anything went it is not known what would be half of it."""
        now = self._clock()
        resume = now + (retry_after or 0.0)
        if not self._messages or (self._lowered and now < self._lowered.since + STEP):
            if self._lowered:
                self._lowered.since = max(self._lowered.since, resume)
            return None
        rates = self._rates(now)
        elapsed = max(now - self._began, 1.0) if self._began is not None else 1.0
        self._lowered = _Lowered(
            _Top(
                max(_lower(rates.octets, self._octets / elapsed), 2 * LEAST_OCTETS),
                max(_lower(rates.messages, self._messages / elapsed), 2 * LEAST_MESSAGES),
            ),
            resume,
        )
        self._began, self._octets, self._messages = resume, 0, 0
        return self._rates(now).octets

    def _rates(self, now: float) -> Limits:
        """What holds now."""
        limits, lowered = self._limits, self._lowered
        if lowered is None or lowered.is_over(now):
            return limits
        share, (octets, messages) = lowered.share(now), lowered.top
        return Limits(_lower(limits.octets, octets * share), _lower(limits.messages, messages * share))


def _lower(limit: float | None, rate: float) -> float:
    return rate if limit is None else min(limit, rate)


class Day(NamedTuple):
    """A limit of so many octets in any 24 hours. What was moved comes in hours: (beginning in UTC, octets)."""

    limit: int

    @staticmethod
    def since(now: datetime) -> datetime:
        """The beginning of the first hour that counts at this moment."""
        return now.replace(minute=0, second=0, microsecond=0) - DAY

    def room(self, hours: Iterable[tuple[datetime, int]], now: datetime) -> int:
        """Octets that may still be moved at this moment."""
        used = sum(octets for hour, octets in hours if hour >= self.since(now))
        return max(self.limit - used, 0)

    def fits(self, hours: Sequence[tuple[datetime, int]], now: datetime, sizes: Iterable[int]) -> int:
        """How many messages of these sizes, in order, may go. One that is larger than all of the limit may go alone."""
        room, number = self.room(hours, now), 0
        for size in sizes:
            if size > room and not (number == 0 and room == self.limit):
                break
            room -= size
            number += 1
        return number

    def free_at(self, hours: Iterable[tuple[datetime, int]], now: datetime, octets: int) -> datetime:
        """From when on there is room for so many octets, and for a part that is worth a run. Now, or the end of some
        hour, a day later; ``now`` may be any moment of the hour."""
        wanted = min(max(octets, self.limit // WORTH_A_RUN, 1), self.limit)
        counted = sorted(one for one in hours if one[0] >= self.since(now))
        used = sum(octets for _, octets in counted)
        for hour, moved in counted:
            if used + wanted <= self.limit:
                break
            used -= moved
            now = hour + HOUR + DAY
        return now
