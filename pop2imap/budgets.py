"""How much mail may be on its way at once: read, and not settled."""

from __future__ import annotations

import threading
from collections.abc import Callable

from pop2imap.octets import SPOOL_AT

MEMORY_BUDGET = 24 << 20
SPOOL_BUDGET = 512 << 20
OVERHEAD = 2048
"""Octets that a message costs beside its own."""

LOOK = 1.0
"""Seconds after which who waits for room looks whether it was given up."""


class Budget:
    """Octets that may be on the way at once. A message larger than all of it may travel alone."""

    def __init__(self, octets: int) -> None:
        self._limit = octets
        self._used = 0
        self._changed = threading.Condition()

    def acquire(self, octets: int, *, on_wait: Callable[[], None], given_up: Callable[[], bool]) -> None:
        """Wait for room. ``on_wait`` is called once before waiting; ``given_up`` ends the wait."""
        with self._changed:
            if self._used and self._used + octets > self._limit:
                on_wait()
            while self._used and self._used + octets > self._limit and not given_up():
                self._changed.wait(LOOK)
            self._used += octets

    def release(self, octets: int) -> None:
        """Give back what was acquired."""
        with self._changed:
            self._used -= octets
            self._changed.notify_all()


class Budgets:
    """Room for messages: in memory up to ``SPOOL_AT`` octets each, in spool files above."""

    def __init__(self) -> None:
        self._memory, self._spool = Budget(MEMORY_BUDGET), Budget(SPOOL_BUDGET)

    def _of(self, octets: int) -> Budget:
        return self._memory if octets <= SPOOL_AT else self._spool

    def acquire(self, octets: int, *, on_wait: Callable[[], None], given_up: Callable[[], bool]) -> None:
        """See :meth:`Budget.acquire`; ``octets`` is the size of one message."""
        self._of(octets).acquire(octets + OVERHEAD, on_wait=on_wait, given_up=given_up)

    def release(self, octets: int) -> None:
        """One message of this size is settled or forgotten."""
        self._of(octets).release(octets + OVERHEAD)
