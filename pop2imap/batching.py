"""How much goes into one batch: about what the target stores in a second.

Large batches cost little each: one durable commit, one command. But what is on its way is in doubt when the connection
breaks, and nothing is known of a batch before the answer to all of it. So a fast target gets as much as is allowed, and
behind a slow line a batch stays small. The first one is small in any case: until it is full, nothing is on its way.
"""

from __future__ import annotations

from collections.abc import Callable

LEAST_MESSAGES, LEAST_OCTETS = 16, 256 << 10
"""Less than this is not worth a commit."""

WEIGHT = 0.5
"""Of the newest measurement, beside all those before it."""


class BatchSize:
    """``messages`` and ``octets`` are what a batch may hold now. ``clock`` gives seconds that never go back."""

    def __init__(self, most_octets: int, most_messages: int, clock: Callable[[], float]) -> None:
        self._most_octets, self._most_messages = most_octets, most_messages
        self._clock = clock
        self._busy_since: float | None = None
        self._octets_a_second = self._messages_a_second = 0.0
        self._allow()

    def sent(self) -> None:
        """A batch is on its way."""
        if self._busy_since is None:
            self._busy_since = self._clock()

    def settled(self, octets: int, messages: int, *, idle: bool) -> None:
        """A batch of so much has its outcomes; ``idle``: it was the last one that was on its way."""
        now = self._clock()
        if self._busy_since is not None and now > self._busy_since:
            elapsed = now - self._busy_since
            first = not self._messages_a_second
            weight = 1.0 if first else WEIGHT
            self._octets_a_second += weight * (octets / elapsed - self._octets_a_second)
            self._messages_a_second += weight * (messages / elapsed - self._messages_a_second)
            self._allow()
        self._busy_since = None if idle else now

    def _allow(self) -> None:
        self.octets = min(self._most_octets, max(LEAST_OCTETS, int(self._octets_a_second)))
        self.messages = min(self._most_messages, max(LEAST_MESSAGES, int(self._messages_a_second)))
