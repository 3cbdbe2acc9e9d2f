"""The threads of one account: reading, placing and uploading at the same time.

::

    reader thread               account thread (the caller)          a thread for each upload session
    source.read, decide   ──►   place: journal, batches        ──►   target.append
                          inbox                                lane
                                ◄──────────── inbox ◄──────────────  outcomes

The account thread alone writes the journal. Everything it waits for comes through one inbox. What has been
read and is not settled is bounded in octets by two budgets, one for memory and one for spool files; when the
reader has to wait for room it says so, and whatever lies in half-filled batches is sent. So it is when nothing is on
the wire and the source is slow.

Each upload session has a *lane* of batches that wait for it. A mailbox keeps to one lane, so that the order of its
messages is that of the source; unless order does not matter, when a batch goes to the lane that has the least to do.

A stop (a signal, a lost connection, a full target) ends the reading at once and lets what is on the wire
come to its end; what was read and not sent is forgotten, which is safe: the journal knows nothing of it. A batch
that waits for its turn then, because of a limit, is not sent.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from pop2imap.budgets import Budgets
from pop2imap.decide import Decided
from pop2imap.errors import Again, ExitCode, NotFinished, Pop2imapError
from pop2imap.model import Batch, Outcome, Refused, Stored, Unknown, Unread
from pop2imap.net import Bell
from pop2imap.target import Target
from pop2imap.throttle import NAP, Throttle

READER_ENDS = 30.0
"""Seconds that a reader whose source was closed is waited for."""

TICK = 1.0
"""Seconds after which a waiting account thread shows that it is alive."""

FORESEEN = 64
"""Messages that are looked at before the first of them is placed."""

STARVED = 0.02
"""Seconds without a message, and with nothing on the wire, after which half-filled batches are sent."""


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


class Ahead:
    """Something that is done on a thread of its own, while the caller does something else."""

    def __init__(self, what: Callable[[], None]) -> None:
        self._what = what
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._do, name="ahead", daemon=True)
        self._thread.start()

    def _do(self) -> None:
        try:
            self._what()
        except Exception as error:
            self._error = error

    def wait(self) -> None:
        """Until it is done. Raises what it raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error


@dataclass(frozen=True, slots=True)
class _Blocked:
    """The reader waits for room."""


class _ReadEnd(NamedTuple):
    error: Exception | None


class _Appended(NamedTuple):
    batch: Batch
    outcomes: Sequence[Outcome]
    lane: Lane
    error: Exception | None = None


_Event = Decided | Unread | _Blocked | _ReadEnd | _Appended


class Placing(Protocol):
    """What the account thread does with what comes in (``placing.Placer``)."""

    def foresee(self, items: Sequence[Decided]) -> None:
        """These will be taken next."""

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


class Lane:
    """The batches of one upload session: a :class:`pop2imap.target.Feed`.

    ``put`` and ``end`` are the account thread's, the rest is the uploader's.
    """

    def __init__(
        self,
        number: int,
        inbox: queue.SimpleQueue[_Event],
        throttle: Throttle,
        stop: threading.Event,
        ended: threading.Event,
    ) -> None:
        """What waits for its turn is not sent any more when there is a ``stop``, or when all has ``ended``."""
        self.number = number
        self._throttle, self._stop, self._all_over = throttle, stop, ended
        self.bell = Bell()
        self.octets = 0  # that wait or are on the wire, as the account thread knows
        self._inbox = inbox
        self._waiting: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()
        self._taken: list[Batch] = []
        self._ended = False

    def put(self, batch: Batch) -> None:
        """Send this, after all that was put before."""
        self.octets += batch.octets
        self._waiting.put(batch)
        self.bell.ring()

    def end(self) -> None:
        """There will be no more."""
        self._waiting.put(None)
        self.bell.ring()

    def next(self, *, wait: bool) -> Batch | None:
        while not self._ended and (wait or not self._throttle.holds):
            try:
                batch = self._waiting.get(block=wait)
            except queue.Empty:
                return None
            if batch is None:
                self._ended = True
            elif self._throttle.wait_for(batch.octets, len(batch.uploads), self._given_up):
                self._taken.append(batch)
                return batch
            else:
                unsent = [Refused("not sent: the run ended", Again.NOW)] * len(batch.uploads)
                stopped = NotFinished("stopped before it was sent") if self._stop.is_set() else None
                self._inbox.put(_Appended(batch, unsent, self, stopped))
        return None

    def _given_up(self) -> bool:
        return self._stop.is_set() or self._all_over.is_set()

    def done(self, batch: Batch, outcomes: Sequence[Outcome]) -> None:
        self._taken.remove(batch)
        if isinstance(outcomes[-1], Stored):  # else it may not have been sent
            self._throttle.went(batch.octets, len(batch.uploads))
        self._inbox.put(_Appended(batch, outcomes, self))

    def serve(self, target: Target) -> None:
        """Have everything appended, until the end."""
        while not self._ended:
            try:
                target.append(self, self.number)
            except Exception as error:  # whatever it was, what may have been sent is unknown
                taken, self._taken = self._taken, []
                for batch in taken:
                    unknown = [Unknown(f"{type(error).__name__} while sending")] * len(batch.uploads)
                    self._inbox.put(_Appended(batch, unknown, self, error))


@dataclass
class Pipeline:
    """Runs one source through one target. ``items`` is consumed on the reader thread. ``connections``: how many
    upload sessions; ``ordered``: a mailbox keeps to one of them."""

    items: Iterable[Decided | Unread]
    placing: Placing
    target: Target
    budgets: Budgets
    stop: threading.Event
    throttle: Throttle
    connections: int = 1
    ordered: bool = True

    def __post_init__(self) -> None:
        self._inbox: queue.SimpleQueue[_Event] = queue.SimpleQueue()
        self._events: deque[_Event] = deque()  # out of the inbox, and not looked at yet
        self._ended = threading.Event()
        self._in_flight = 0
        self._reader: threading.Thread | None = None
        self._lanes: list[Lane] = []
        self._uploaders: list[threading.Thread] = []
        self._lane_of: dict[str, Lane] = {}

    def run(self) -> bool:
        """Returns True when everything was read and every batch has its outcomes, False when it was stopped.

        Raises what the source raised, what broke the placing, or a defect of any thread, in each case
        after the batches in flight came to their end.
        """
        reader = self._reader = threading.Thread(target=self._read, name="reader", daemon=True)
        reader.start()
        self._open_lane()
        try:
            return self._account()
        finally:
            self._ended.set()
            for lane in self._lanes:
                lane.end()
            for uploader in self._uploaders:
                uploader.join()
            for lane in self._lanes:
                lane.bell.close()

    def wait_for_reader(self) -> None:
        """After a run that ended early, and once its source is closed: wait until the reader has noticed. Before
        that nothing may be opened that could be taken for what it reads."""
        if self._reader is not None:
            self._reader.join(READER_ENDS)

    def _account(self) -> bool:
        reading, failure = True, None
        while reading or self._in_flight or self._events:
            if not self._ended.is_set() and (failure or self.placing.broken or self.stop.is_set()):
                self._ended.set()  # the reader ends at its next message, or when its source is closed
                reading = False
                continue
            try:
                event = self._next_event()
            except queue.Empty:
                self.placing.tick()
                if reading and not self._in_flight:
                    self._send(self.placing.flush())
                continue
            match event:
                case _Appended():
                    self._in_flight -= 1
                    event.lane.octets -= event.batch.octets
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

    def _next_event(self) -> _Event:
        """What came first. Raises queue.Empty when nothing has come for some time."""
        events = self._events
        if not events:
            events.append(self._inbox.get(timeout=TICK if self._in_flight else STARVED))
            with contextlib.suppress(queue.Empty):
                while len(events) < FORESEEN:
                    events.append(self._inbox.get_nowait())
            if len(events) > 1 and not self._ended.is_set():
                self.placing.foresee([event for event in events if isinstance(event, Decided)])
        return events.popleft()

    # -- lanes

    def _send(self, batches: Iterable[Batch]) -> None:
        for batch in batches:
            self._in_flight += 1
            self._lane(batch).put(batch)

    def _lane(self, batch: Batch) -> Lane:
        """The one with the least to do, or that of the mailbox; a new one as long as all have something to do."""
        name = batch.mailbox.name
        lane = self._lane_of.get(name) if self.ordered else None
        if lane is None:
            lane = min(self._lanes, key=lambda one: one.octets)
            if lane.octets and len(self._lanes) < self.connections:
                lane = self._open_lane()
            self._lane_of[name] = lane
        return lane

    def _open_lane(self) -> Lane:
        lane = Lane(len(self._lanes), self._inbox, self.throttle, self.stop, self._ended)
        self._lanes.append(lane)
        uploader = threading.Thread(
            target=lambda: lane.serve(self.target), name=f"uploader {lane.number}", daemon=True
        )
        self._uploaders.append(uploader)
        uploader.start()
        return lane

    # -- reading

    def _read(self) -> None:
        try:
            for item in self.items:
                if isinstance(item, Decided):
                    octets = item.message.octets
                    _ = octets.match_digest  # kept with them: now they are in this processor's cache
                    self.budgets.acquire(
                        octets.size,
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
