"""Reading, placing and uploading at once: every batch comes to its end, whoever stops, and room is given back."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from pop2imap.budgets import MEMORY_BUDGET, Budget, Budgets
from pop2imap.decide import Decided
from pop2imap.errors import Again, ConnectionLost, NotFinished, Pop2imapError, ServerBusy
from pop2imap.model import (
    Account,
    Batch,
    DateFrom,
    Decision,
    Key,
    Mailbox,
    Message,
    Outcome,
    Refused,
    Stored,
    Unknown,
    Unread,
    Upload,
)
from pop2imap.octets import from_bytes
from pop2imap.pipeline import FORESEEN, Pipeline
from pop2imap.rates import UNLIMITED, Limits
from pop2imap.target import Feed, Target
from pop2imap.throttle import NAP, Throttle

MAILBOX = Mailbox("INBOX", "INBOX", 1, 1, 0)
WHEN = datetime(2020, 1, 1, tzinfo=UTC)


def decided(number: int, size: int = 10) -> Decided:
    octets = from_bytes(b"x" * size)
    message = Message(number, Key("s", str(number)), octets, size)
    return Decided(message, "", Decision(("INBOX",), ()), WHEN, DateFrom.DATE, frozenset(), guessed=False)


class Wire:
    """The uploading half of a target: answers as told."""

    def __init__(self, outcome: Outcome | Exception | None = None) -> None:
        self._outcome = outcome or Stored(1, None)
        self.sent: list[int] = []
        self.threads: set[str] = set()
        self.before: Callable[[], None] = lambda: None  # called before each batch

    def append(self, feed: Feed, session: int = 0) -> None:
        self.threads.add(threading.current_thread().name)
        while (batch := feed.next(wait=True)) is not None:
            self.before()
            if isinstance(self._outcome, Exception):
                raise self._outcome
            self.sent += [upload.octets.size for upload in batch.uploads]
            feed.done(batch, [self._outcome] * len(batch.uploads))


class Places:
    """Batches of three; remembers what it was told, and by which thread."""

    batch_of = 3

    def __init__(self, budgets: Budgets) -> None:
        self._budgets = budgets
        self._waiting: list[Decided] = []
        self.broken: Pop2imapError | None = None
        self.unread: list[int] = []
        self.settled: list[Outcome] = []
        self.again: list[Batch] = []  # what takes the place of the first batch that is settled
        self.most_waiting = 0
        self.threads: set[str] = set()
        self.taken: set[int] = set()
        self.foreseen: list[int] = []
        self.mailbox_of: Callable[[int], Mailbox] = lambda number: MAILBOX  # of the first message of a batch

    def foresee(self, items: Sequence[Decided]) -> None:
        assert not {item.message.position for item in items} & self.taken
        self.foreseen.append(len(items))

    def take(self, item: Decided | Unread) -> Iterator[Batch]:
        if isinstance(item, Decided):
            self.taken.add(item.message.position)
        self.threads.add(threading.current_thread().name)
        if isinstance(item, Unread):
            self.unread.append(item.position)
            return
        self._waiting.append(item)
        self.most_waiting = max(self.most_waiting, len(self._waiting))
        if len(self._waiting) == self.batch_of:
            yield from self.flush()

    def flush(self) -> Iterator[Batch]:
        items, self._waiting = self._waiting, []
        if items:
            yield Batch(
                self.mailbox_of(items[0].message.position),
                [item.message.position for item in items],
                [Upload(item.message.octets, (), WHEN) for item in items],
            )

    def settle(self, batch: Batch, outcomes: Sequence[Outcome]) -> Iterable[Batch]:
        self.settled += outcomes
        for upload in batch.uploads:
            self._budgets.release(upload.octets.size)
        again, self.again = self.again, []
        return again

    def tick(self) -> None: ...


class Line:
    """A pipeline with its parts at hand."""

    def __init__(
        self, items: Iterator[Decided | Unread], wire: Wire, limits: Limits = UNLIMITED, **how: Any
    ) -> None:
        self.now = 0.0
        self.meanwhile: Callable[[], object] = lambda: None
        self.budgets, self.wire, self.stop = Budgets(), wire, threading.Event()
        self.places = Places(self.budgets)
        target: Target = wire  # type: ignore[assignment]
        throttle = Throttle(limits, lambda: self.now, self.sleep)
        self.pipeline = Pipeline(items, self.places, target, self.budgets, self.stop, throttle, **how)

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.meanwhile()


def test_everything_read_is_sent_in_order_by_three_threads() -> None:
    unread = Unread(3, None, Account.GONE, "gone")
    items: list[Decided | Unread] = [decided(1, 11), decided(2, 12), unread, decided(4, 14), decided(5, 15)]
    line = Line(iter(items), Wire())
    assert line.pipeline.run() is True
    assert line.wire.sent == [11, 12, 14, 15]
    assert line.places.unread == [3]
    assert line.places.settled == [Stored(1, None)] * 4
    assert line.places.threads == {threading.current_thread().name}
    assert line.wire.threads == {"uploader 0"}


def test_what_waits_is_looked_at_before_it_is_placed() -> None:
    all_read = threading.Event()

    def items() -> Iterator[Decided]:
        yield from (decided(n) for n in range(1, 101))
        all_read.set()

    line = Line(items(), Wire())
    take = line.places.take

    def late(item: Decided | Unread) -> Iterator[Batch]:
        assert all_read.wait(30)
        return take(item)

    line.places.take = late  # type: ignore[method-assign]
    assert line.pipeline.run() is True
    assert line.wire.sent == [10] * 100
    assert max(line.places.foreseen) == FORESEEN


def test_what_takes_the_place_of_a_refused_batch_is_sent_though_all_is_read() -> None:
    line = Line((decided(n) for n in range(1, 4)), Wire())
    line.places.again = [Batch(MAILBOX, [4], [Upload(from_bytes(b"y" * 99), (), WHEN)])]
    assert line.pipeline.run() is True
    assert line.wire.sent == [10, 10, 10, 99]


class Sessions(Wire):
    """Upload sessions that note what each of them sent, and answer only when so many are at work."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.of: defaultdict[int, list[str]] = defaultdict(list)
        self._at_work = threading.Barrier(count)

    def append(self, feed: Feed, session: int = 0) -> None:
        while (batch := feed.next(wait=True)) is not None:
            if not self.of[session]:
                self._at_work.wait(30)
            self.of[session].append(batch.mailbox.name)
            feed.done(batch, [Stored(1, None)] * len(batch.uploads))


def test_each_folder_keeps_to_one_of_the_sessions() -> None:
    line = Line((decided(n) for n in range(1, 41)), Sessions(3), connections=3)
    line.places.batch_of = 1
    line.places.mailbox_of = lambda number: MAILBOX._replace(name=f"folder {number % 4}")
    assert line.pipeline.run() is True
    sent = line.wire.of  # type: ignore[attr-defined]
    assert sorted(sent) == [0, 1, 2]
    assert sum(len(names) for names in sent.values()) == 40
    assert sum(len(set(names)) for names in sent.values()) == 4, "no folder is in two sessions"


def test_without_order_a_folder_may_be_in_several_sessions() -> None:
    line = Line((decided(n) for n in range(1, 41)), Sessions(2), connections=2, ordered=False)
    line.places.batch_of = 1
    assert line.pipeline.run() is True
    sent = line.wire.of  # type: ignore[attr-defined]
    assert {name for names in sent.values() for name in names} == {"INBOX"}
    assert sorted(sent) == [0, 1]


def test_one_folder_needs_one_session() -> None:
    line = Line((decided(n) for n in range(1, 41)), Sessions(1), connections=3)
    assert line.pipeline.run() is True
    assert list(line.wire.of) == [0]  # type: ignore[attr-defined]


def test_a_source_that_makes_us_wait_makes_half_filled_batches_go() -> None:
    """The next message comes only when the one before is stored."""
    stored = threading.Semaphore(0)

    def items() -> Iterator[Decided]:
        for number in range(1, 4):
            yield decided(number)
            assert stored.acquire(timeout=30)

    line = Line(items(), Wire())
    settle = line.places.settle

    def settle_and_tell(batch: Batch, outcomes: Sequence[Outcome]) -> Iterable[Batch]:
        stored.release()
        return settle(batch, outcomes)

    line.places.settle = settle_and_tell  # type: ignore[method-assign]
    assert line.pipeline.run() is True
    assert line.wire.sent == [10, 10, 10]


def test_an_empty_source_ends_at_once() -> None:
    assert Line(iter(()), Wire()).pipeline.run() is True


def test_what_the_source_raises_comes_out_after_the_batches_in_flight() -> None:
    def items() -> Iterator[Decided]:
        yield from (decided(n) for n in range(1, 5))
        raise ConnectionLost("cut")

    line = Line(items(), Wire())
    with pytest.raises(ConnectionLost, match="cut"):
        line.pipeline.run()
    assert line.places.settled == [Stored(1, None)] * 3, "the fourth was read, and not sent"


def test_a_broken_placing_ends_the_reading() -> None:
    line = Line((decided(n) for n in range(1, 10_000)), Wire(Unknown("cut")))
    settle = line.places.settle

    def settle_and_break(batch: Batch, outcomes: Sequence[Outcome]) -> Iterable[Batch]:
        settle(batch, outcomes)
        line.places.broken = ServerBusy("full")
        return ()

    line.places.settle = settle_and_break  # type: ignore[method-assign]
    with pytest.raises(ServerBusy, match="full"):
        line.pipeline.run()
    assert Unknown("cut") in line.places.settled


def test_a_defect_of_the_target_is_not_hidden_and_leaves_outcomes_unknown() -> None:
    line = Line((decided(n) for n in range(1, 4)), Wire(ZeroDivisionError("ours")))
    with pytest.raises(ZeroDivisionError):
        line.pipeline.run()
    assert [type(outcome) for outcome in line.places.settled] == [Unknown] * 3


def test_a_stop_lets_what_is_on_the_wire_come_to_its_end() -> None:
    line = Line((decided(n) for n in range(1, 10_000)), Wire())
    line.wire.before = line.stop.set
    assert line.pipeline.run() is False
    assert len(line.places.settled) == len(line.wire.sent) >= 3


def test_with_a_limit_each_batch_waits_for_its_turn() -> None:
    line = Line((decided(n, 50) for n in range(1, 10)), Wire(), Limits(octets=75))
    assert line.pipeline.run() is True
    assert line.now == pytest.approx(2 * 150 / 75)
    assert line.wire.sent == [50] * 9


def test_a_stop_while_a_batch_waits_for_its_turn_ends_the_wait_and_nothing_more_is_sent() -> None:
    line = Line((decided(n) for n in range(1, 1000)), Wire(), Limits(messages=0.001))
    line.meanwhile = line.stop.set
    with pytest.raises(NotFinished):
        line.pipeline.run()
    assert line.now == NAP, "noticed at once"
    assert line.wire.sent == [10] * 3
    unsent = [outcome for outcome in line.places.settled if isinstance(outcome, Refused)]
    assert len(unsent) == len(line.places.settled) - 3 >= 3
    assert {outcome.again for outcome in unsent} == {Again.NOW}


def test_a_run_that_ends_while_a_batch_waits_for_its_turn_says_why() -> None:
    line = Line((decided(n) for n in range(1, 1000)), Wire(), Limits(messages=0.001))
    line.meanwhile = line.pipeline._ended.wait
    settle = line.places.settle

    def settle_and_break(batch: Batch, outcomes: Sequence[Outcome]) -> Iterable[Batch]:
        settle(batch, outcomes)
        line.places.broken = line.places.broken or ServerBusy("full")
        return ()

    line.places.settle = settle_and_break  # type: ignore[method-assign]
    with pytest.raises(ServerBusy, match="full"):
        line.pipeline.run()
    assert line.wire.sent == [10] * 3


def test_a_reader_without_room_makes_half_filled_batches_go() -> None:
    """No batch would ever be full, and the budget is: nobody may wait for ever."""
    half = 1 << 20
    count = 2 * MEMORY_BUDGET // half
    line = Line((decided(n, half) for n in range(1, count + 1)), Wire())
    line.places.batch_of = count + 1
    assert line.pipeline.run() is True
    assert len(line.wire.sent) == count
    assert line.places.most_waiting <= MEMORY_BUDGET // half + 1


def test_a_message_larger_than_the_budget_travels_alone() -> None:
    budget = Budget(100)
    waited: list[int] = []
    budget.acquire(500, on_wait=lambda: waited.append(1), given_up=lambda: False)
    assert waited == []
    budget.acquire(1, on_wait=lambda: waited.append(1), given_up=lambda: True)
    assert waited == [1]
    budget.release(501)
    budget.acquire(100, on_wait=lambda: waited.append(1), given_up=lambda: False)
    assert waited == [1]
