"""Waiting before something is sent: the pace of :mod:`pop2imap.rates`, for several threads, within one run.

Without a limit and without a busy server it waits for nothing, and reads no clock but once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from pop2imap.errors import NotFinished, Pop2imapError, ServerBusy
from pop2imap.rates import Limits, Pace

NAP = 0.2
"""Seconds of a wait after which its end is noticed."""


class Throttle:
    """One for all that goes to a target in one run, over all its connections. ``clock`` gives seconds that never go
    back, ``sleep`` takes seconds."""

    def __init__(self, limits: Limits, clock: Callable[[], float], sleep: Callable[[float], None]) -> None:
        self._pace, self._sleep = Pace(limits, clock), sleep
        self._turn = threading.Lock()

    @property
    def holds(self) -> bool:
        """Whether anything may have to wait: then each batch had better wait for the answer to the one before."""
        with self._turn:
            return self._pace.spaces

    def wait_for(self, octets: int, messages: int, given_up: Callable[[], bool]) -> bool:
        """Wait until these may be sent. Returns False if ``given_up`` said so meanwhile: then they must not be. What
        need not wait is sent all the same."""
        with self._turn:
            if self._pace.spaces and given_up():
                return False  # and nobody waits for their time
            seconds = self._pace.delay(octets, messages)
        while seconds > 0:
            if given_up():
                return False
            self._sleep(min(seconds, NAP))
            seconds -= NAP
        return True

    def went(self, octets: int, messages: int) -> None:
        """See :meth:`Pace.went`."""
        with self._turn:
            self._pace.went(octets, messages)

    def heard(self, error: Pop2imapError) -> float | None:
        """This ended the sending: a server that is busy, or that wants to be left alone, is pressed less from now on.
        Returns octets a second, if that is news."""
        if isinstance(error, NotFinished) or (
            error.retry_after is None and not isinstance(error, ServerBusy)
        ):
            return None
        return self.busy(error.retry_after)

    def busy(self, retry_after: float | None = None) -> float | None:
        """See :meth:`Pace.busy`."""
        with self._turn:
            return self._pace.busy(retry_after)
