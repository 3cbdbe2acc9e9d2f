"""The size of a batch follows the speed of the target."""

from __future__ import annotations

from pop2imap.batching import LEAST_MESSAGES, LEAST_OCTETS, BatchSize

MOST_OCTETS, MOST_MESSAGES = 4 << 20, 128


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def sizes(clock: Clock) -> BatchSize:
    return BatchSize(MOST_OCTETS, MOST_MESSAGES, clock)


def settle(size: BatchSize, clock: Clock, seconds: float, octets: int, messages: int) -> None:
    size.sent()
    clock.now += seconds
    size.settled(octets, messages, idle=True)


def test_the_first_batch_is_small() -> None:
    size = sizes(Clock())
    assert (size.octets, size.messages) == (LEAST_OCTETS, LEAST_MESSAGES)


def test_a_fast_target_gets_as_much_as_is_allowed() -> None:
    clock = Clock()
    size = sizes(clock)
    settle(size, clock, 0.01, 1 << 20, 16)
    assert (size.octets, size.messages) == (MOST_OCTETS, MOST_MESSAGES)


def test_a_slow_target_gets_what_it_stores_in_a_second() -> None:
    clock = Clock()
    size = sizes(clock)
    for _ in range(20):
        settle(size, clock, 2.0, 1 << 20, 40)
    assert size.octets == 512 << 10
    assert size.messages == 20
    for _ in range(20):
        settle(size, clock, 100.0, 1 << 20, 40)
    assert (size.octets, size.messages) == (LEAST_OCTETS, LEAST_MESSAGES)


def test_the_time_in_which_nothing_was_on_its_way_does_not_count() -> None:
    clock = Clock()
    size = sizes(clock)
    settle(size, clock, 1.0, 1 << 20, 100)
    clock.now += 1000
    settle(size, clock, 1.0, 1 << 20, 100)
    assert (size.octets, size.messages) == (1 << 20, 100)


def test_batches_that_overlap_share_the_time() -> None:
    clock = Clock()
    size = sizes(clock)
    size.sent()
    size.sent()
    clock.now += 1.0
    size.settled(1 << 20, 50, idle=False)
    clock.now += 1.0
    size.settled(1 << 20, 50, idle=True)
    assert (size.octets, size.messages) == (1 << 20, 50)


def test_a_lower_bound_of_what_is_allowed_holds() -> None:
    size = BatchSize(1000, 3, Clock())
    assert (size.octets, size.messages) == (1000, 3)


def test_a_clock_that_stands_still_tells_nothing() -> None:
    clock = Clock()
    size = sizes(clock)
    settle(size, clock, 0.0, 1 << 20, 50)
    assert (size.octets, size.messages) == (LEAST_OCTETS, LEAST_MESSAGES)
