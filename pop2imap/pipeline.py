"""The threads of one account: reading, placing and uploading at the same time.

::

    reader thread               account thread (the caller)          uploader thread
    source.read, decide   ──►   place: journal, batches        ──►   target.append
                          inbox                                jobs
                                ◄──────────── inbox ◄──────────────  outcomes

The account thread alone writes the journal. Everything it waits for comes through one inbox. What has been
read and is not settled is bounded in octets by two budgets, one for memory and one for spool files; when the
reader has to wait for room it says so, and whatever lies in half-filled batches is sent.

A stop (a signal, a lost connection, a full target) ends the reading at once and lets what is on the wire
come to its end; what was read and not sent is forgotten, which is safe: the journal knows nothing of it.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pop2imap.decide import Decided
from pop2imap.errors import ExitCode, NotFinished, Pop2imapError
from pop2imap.model import Mailbox, Outcome, Unknown, Unread, Upload
from pop2imap.octets import SPOOL_AT
from pop2imap.target import Target

MEMORY_BUDGET = 24 << 20
SPOOL_BUDGET = 512 << 20
OVERHEAD = 2048
"""Octets that a message costs beside its own."""

READER_ENDS = 30.0
"""Seconds that a reader whose source was closed is waited for."""

NAP = 0.2
"""Seconds of a wait after which a stop is noticed."""

TICK = 1.0
"""Seconds after which a waiting account thread shows that it is alive."""


class Stop(threading.Event):
    """Set to end a run early; ``exit_code`` says what ended it (130 for SIGINT, 75 for SIGTERM)."""

    exit_code = ExitCode.INTERRUPTED


def pause(seconds: float, stop: threading.Event, sleep: Callable[[float], None]) -> None:
    """Sleep so long. Raises NotFinished as soon as ``stop`` is set.

    Not ``stop.wait``: a signal handler that sets the event while this thread is in there would wait for itself.
    """
    while seconds > 0:
        sleep(min(seconds, NAP))
        seconds -= NAP
        if stop.is_set():
            raise NotFinished("stopped while waiting", todo="run again: it goes on from here")


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
                self._changed.wait(TICK)
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


@dataclass(frozen=True, slots=True)
class Batch:
    """What one ``append`` sends: ``ids`` are the journal's, one for each upload, in order."""

    mailbox: Mailbox
    ids: Sequence[int]
    uploads: Sequence[Upload]


@dataclass(frozen=True, slots=True)
class _Blocked:
    """The reader waits for room."""


@dataclass(frozen=True, slots=True)
class _ReadEnd:
    error: Exception | None


@dataclass(frozen=True, slots=True)
class _Appended:
    batch: Batch
    outcomes: Sequence[Outcome]
    error: Exception | None = None


class Placing(Protocol):
    """What the account thread does with what comes in (``placing.Placer``)."""

    def take(self, item: Decided | Unread) -> Iterable[Batch]:
        """A message was read and decided. Returns batches that are full and durable intents by now."""

    def flush(self) -> Iterable[Batch]:
        """Batches of everything that waits for company."""

    def settle(self, batch: Batch, outcomes: Sequence[Outcome]) -> Iterable[Batch]:
        """A batch has its outcomes. Returns batches that take the place of what was refused."""

    def tick(self) -> None:
        """Time passes."""

    @property
    def broken(self) -> Pop2imapError | None:
        """Why nothing more can be placed, if so."""


@dataclass
class Pipeline:
    """Runs one source through one target. ``items`` is consumed on the reader thread."""

    items: Iterable[Decided | Unread]
    placing: Placing
    target: Target
    budgets: Budgets
    stop: threading.Event
    _inbox: queue.SimpleQueue[Decided | Unread | _Blocked | _ReadEnd | _Appended] = field(
        default_factory=queue.SimpleQueue
    )
    _jobs: queue.SimpleQueue[Batch | None] = field(default_factory=queue.SimpleQueue)
    _ended: threading.Event = field(default_factory=threading.Event)
    _in_flight: int = 0
    _reader: threading.Thread | None = None

    def run(self) -> bool:
        """Returns True when everything was read and every batch has its outcomes, False when it was stopped.

        Raises what the source raised, what broke the placing, or a defect of either thread, in each case
        after the batches in flight came to their end.
        """
        reader = self._reader = threading.Thread(target=self._read, name="reader", daemon=True)
        uploader = threading.Thread(target=self._upload, name="uploader", daemon=True)
        reader.start()
        uploader.start()
        try:
            return self._account()
        finally:
            self._ended.set()
            self._jobs.put(None)
            uploader.join()

    def wait_for_reader(self) -> None:
        """After a run that ended early, and once its source is closed: wait until the reader has noticed. Before
        that nothing may be opened that could be taken for what it reads."""
        if self._reader is not None:
            self._reader.join(READER_ENDS)

    def _account(self) -> bool:
        reading, failure = True, None
        while reading or self._in_flight:
            if reading and (failure or self.placing.broken or self.stop.is_set()):
                self._ended.set()  # the reader ends at its next message, or when its source is closed
                reading = False
                continue
            try:
                event = self._inbox.get(timeout=TICK)
            except queue.Empty:
                self.placing.tick()
                continue
            match event:
                case _Appended():
                    self._in_flight -= 1
                    self._send(self.placing.settle(event.batch, event.outcomes))
                    failure = failure or event.error
                case _ if not reading:
                    pass  # read, but too late to be sent
                case _Blocked():
                    self._send(self.placing.flush())
                case _ReadEnd(error=error):
                    reading, failure = False, failure or error
                    if failure is None and not self.placing.broken:
                        self._send(self.placing.flush())
                case _:
                    self._send(self.placing.take(event))
        if failure := failure or self.placing.broken:
            raise failure
        return not self.stop.is_set()

    def _send(self, batches: Iterable[Batch]) -> None:
        for batch in batches:
            self._in_flight += 1
            self._jobs.put(batch)

    def _read(self) -> None:
        try:
            for item in self.items:
                if isinstance(item, Decided):
                    self.budgets.acquire(
                        item.message.octets.size,
                        on_wait=lambda: self._inbox.put(_Blocked()),
                        given_up=self._ended.is_set,
                    )
                if self._ended.is_set():
                    return
                self._inbox.put(item)
        except Exception as error:
            self._inbox.put(_ReadEnd(error))
        else:
            self._inbox.put(_ReadEnd(None))

    def _upload(self) -> None:
        while (batch := self._jobs.get()) is not None:
            try:
                outcomes: Sequence[Outcome] = self.target.append(batch.mailbox, batch.uploads)
                self._inbox.put(_Appended(batch, outcomes))
            except Exception as error:  # whatever it was, what may have been sent is unknown
                unknown = [Unknown(f"{type(error).__name__} while sending")] * len(batch.uploads)
                self._inbox.put(_Appended(batch, unknown, error))
