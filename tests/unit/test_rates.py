"""The arithmetic of rates and days: never faster than asked, never more in a day, and back to full speed in time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pop2imap.rates import DAY, HOUR, LEAST_MESSAGES, LEAST_OCTETS, STEP, WORTH_A_RUN, Day, Limits, Pace

NOW = datetime(2026, 3, 1, 8, 20, tzinfo=UTC)
EIGHT = datetime(2026, 3, 1, 8, tzinfo=UTC)


class Clock:
    """Seconds that pass when told; counts how often it is looked at."""

    def __init__(self) -> None:
        self.now, self.looks = 1000.0, 0

    def __call__(self) -> float:
        self.looks += 1
        return self.now


def paced(octets: float | None = None, messages: float | None = None) -> tuple[Pace, Clock]:
    clock = Clock()
    return Pace(Limits(octets, messages), clock), clock


def send(pace: Pace, clock: Clock, octets: int, messages: int = 1) -> float:
    """Wait as long as it says. Returns when it went."""
    clock.now += pace.delay(octets, messages)
    pace.went(octets, messages)
    return clock.now


# -- limits by choice


def test_without_a_limit_nothing_waits_and_the_clock_is_read_once() -> None:
    pace, clock = paced()
    assert {pace.delay(1 << 22, 64) for _ in range(1000)} == {0.0}
    assert clock.looks == 1


def test_what_was_sent_has_its_time_before_the_next_goes() -> None:
    pace, clock = paced(octets=100)
    assert [send(pace, clock, 250) for _ in range(3)] == [1000, 1002.5, 1005]
    clock.now += 60
    assert [send(pace, clock, 100) for _ in range(2)] == [1065, 1066], "nothing is saved up"


def test_messages_are_spaced_too_and_the_tighter_limit_counts() -> None:
    pace, clock = paced(octets=100, messages=2)
    assert [send(pace, clock, 10, 4), send(pace, clock, 500, 4), send(pace, clock, 0)] == [1000, 1002, 1007]


@given(
    st.floats(1, 1e9),
    st.lists(st.tuples(st.integers(0, 1 << 26), st.integers(1, 64), st.floats(0, 100)), min_size=1),
)
def test_the_mean_never_exceeds_the_limit(rate: float, pieces: list[tuple[int, int, float]]) -> None:
    pace, clock = paced(octets=rate, messages=rate / 1000)
    begun, octets, messages = None, 0, 0
    for size, number, later in pieces:
        clock.now += later
        at = send(pace, clock, size, number)
        begun = at if begun is None else begun
        assert octets <= rate * (at - begun) * (1 + 1e-9) + 1e-3
        assert messages <= rate / 1000 * (at - begun) * (1 + 1e-9) + 1e-3
        octets, messages = octets + size, messages + number


@given(st.floats(1, 1e9), st.integers(1, 1 << 26))
def test_a_limit_is_reached_by_whoever_has_enough_to_send(rate: float, size: int) -> None:
    pace, clock = paced(octets=rate)
    times = [send(pace, clock, size) for _ in range(11)]
    assert times[-1] - times[0] == pytest.approx(10 * size / rate, rel=1e-6, abs=1e-5)


@pytest.mark.parametrize(
    ("limits", "together"),
    [
        (Limits(), (4 << 20, 64)),
        (Limits(octets=1 << 30), (4 << 20, 64)),
        (Limits(octets=100_000), (200_000, 64)),
        (Limits(messages=4), (4 << 20, 8)),
        (Limits(octets=0.1, messages=0.1), (1, 1)),
    ],
)
def test_a_low_limit_makes_small_batches(limits: Limits, together: tuple[int, int]) -> None:
    assert limits.at_once(4 << 20, 64) == together


# -- a busy server


def warmed(octets: float | None = None) -> tuple[Pace, Clock]:
    """A million octets a second were sent, 10 messages a second, for 10 seconds."""
    pace, clock = paced(octets)
    for _ in range(10):
        send(pace, clock, 1_000_000, 10)
        clock.now += 1
    return pace, clock


def rate_of(pace: Pace, clock: Clock) -> float:
    """Octets a second, by what two pieces are apart."""
    send(pace, clock, 100_000, 0)
    return 100_000 / pace.delay(0, 0)


def test_a_busy_answer_halves_the_rate_that_was_reached() -> None:
    pace, clock = warmed()
    assert pace.busy() == pytest.approx(500_000)
    assert rate_of(pace, clock) == pytest.approx(500_000)


def test_the_rate_comes_back_in_steps_and_then_is_free_again() -> None:
    pace, clock = warmed()
    pace.busy()
    rates = []
    for number in range(12):
        clock.now = 1010 + number * STEP
        rates.append(rate_of(pace, clock))
    assert rates == pytest.approx([125_000 * eighths for eighths in range(4, 16)])
    clock.now = 1010 + 12 * STEP
    looks = clock.looks
    assert [pace.delay(1 << 30, 64) for _ in range(3)] == [0.0] * 3
    assert clock.looks - looks == 1, "to see that it is over"


def test_a_pause_that_the_server_asked_for_brings_nothing_back() -> None:
    pace, clock = warmed()
    pace.busy(300)
    clock.now += 300
    assert rate_of(pace, clock) == pytest.approx(500_000)


def test_many_answers_to_what_was_sent_before_are_one() -> None:
    pace, clock = warmed()
    assert [pace.busy(), pace.busy(), pace.busy(20), pace.busy(10)] == [500_000, None, None, None]
    clock.now += 20
    assert rate_of(pace, clock) == pytest.approx(500_000)


def test_a_server_that_is_busy_again_is_pressed_half_as_much_again() -> None:
    pace, clock = warmed()
    pace.busy()
    for _ in range(32):
        send(pace, clock, 250_000, 1)
    assert pace.busy()
    reached = 32 * 250_000 / (clock.now - 1010)
    assert rate_of(pace, clock) == pytest.approx(reached / 2, rel=0.05)


def test_a_limit_by_choice_holds_also_while_the_rate_comes_back() -> None:
    pace, clock = warmed(octets=2_000_000)
    pace.busy()
    assert rate_of(pace, clock) == pytest.approx(500_000)
    clock.now += 20 * STEP
    assert rate_of(pace, clock) == pytest.approx(2_000_000)


def test_a_rate_does_not_get_lower_than_the_least() -> None:
    pace, clock = paced()
    send(pace, clock, 10)
    for _ in range(20):
        pace.busy()
        send(pace, clock, 10)
        clock.now += STEP + 1
    pace.busy()
    assert send(pace, clock, int(LEAST_OCTETS), 1) == clock.now
    assert pace.delay(0, 0) == pytest.approx(1 / LEAST_MESSAGES)


def test_busy_before_anything_was_sent_is_no_trouble() -> None:
    pace, clock = paced()
    assert pace.busy() is None
    assert {send(pace, clock, 1 << 20, 64) for _ in range(9)} == {1000.0}


@given(st.lists(st.tuples(st.integers(0, 1 << 24), st.floats(0, 60), st.booleans()), min_size=1))
def test_whatever_comes_the_limit_holds_and_in_the_end_it_is_reached(
    pieces: list[tuple[int, float, bool]],
) -> None:
    pace, clock = paced(octets=1e6)
    begun, octets = None, 0
    for size, later, is_busy in pieces:
        clock.now += later
        if is_busy:
            pace.busy(later)
        at = send(pace, clock, size)
        begun = at if begun is None else begun
        assert octets <= 1e6 * (at - begun) + 1
        octets += size
    clock.now += 3600
    assert rate_of(pace, clock) == pytest.approx(1e6)


# -- days


def test_a_day_counts_whole_hours_until_24_hours_after_their_end() -> None:
    day, hours = Day(1000), [(EIGHT, 700)]
    for later, room in ((0, 300), (23, 300), (24, 300), (24.6, 300), (25, 1000)):
        assert day.room(hours, EIGHT + timedelta(hours=later)) == room


def test_what_fits_is_the_beginning_of_what_is_asked_for() -> None:
    day, hours = Day(1000), [(EIGHT, 400)]
    assert day.fits(hours, NOW, [300, 300, 1]) == 2
    assert day.fits(hours, NOW, [601, 1]) == 0
    assert day.fits([(EIGHT, 2000)], NOW, [0, 1]) == 1
    assert day.fits(hours, NOW, []) == 0


def test_a_message_larger_than_the_limit_goes_alone_when_nothing_else_has() -> None:
    day = Day(1000)
    assert day.fits([], NOW, [5000, 1]) == 1
    assert day.fits([(EIGHT, 1)], NOW, [5000]) == 0
    assert day.free_at([(EIGHT, 1)], NOW, 5000) == EIGHT + HOUR + DAY


def test_it_says_from_when_on_there_is_room() -> None:
    day = Day(1000)
    hours = [(EIGHT - 3 * HOUR, 300), (EIGHT - HOUR, 300), (EIGHT, 400)]
    assert day.free_at(hours, NOW, 1) == EIGHT - 2 * HOUR + DAY
    assert day.free_at(hours, NOW, 301) == EIGHT + DAY
    assert day.free_at(hours, NOW, 1000) == EIGHT + HOUR + DAY
    assert day.free_at([], NOW, 1000) == NOW
    almost = [(EIGHT - 3 * HOUR, 1), (EIGHT, 999)]
    assert day.free_at(almost, NOW, 1) == EIGHT + HOUR + DAY, "one octet is not worth a run"


_HOURS = st.dictionaries(st.integers(-30, 3), st.integers(0, 500), max_size=20).map(
    lambda hours: [(EIGHT + number * HOUR, octets) for number, octets in sorted(hours.items())]
)


@given(_HOURS, st.integers(1, 1000), st.integers(0, 2000))
def test_then_there_is_room_and_not_an_hour_before(
    hours: list[tuple[datetime, int]], limit: int, octets: int
) -> None:
    day = Day(limit)
    wanted = min(max(octets, limit // WORTH_A_RUN, 1), limit)
    when = day.free_at(hours, NOW, octets)
    assert when >= NOW
    assert day.room(hours, when) >= wanted
    if when > NOW:
        assert day.room(hours, max(when - timedelta(seconds=1), NOW)) < wanted


@given(st.integers(1, 1000), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 10_000))))
def test_in_no_24_hours_more_goes_than_the_limit(limit: int, asked: list[tuple[int, int]]) -> None:
    """Unless one message alone is more."""
    day, now = Day(limit), NOW
    sent: list[tuple[datetime, int]] = []
    for size, later in asked:
        now += timedelta(seconds=later)
        hours: dict[datetime, int] = {}
        for at, octets in sent:
            hour = at.replace(minute=0, second=0)
            hours[hour] = hours.get(hour, 0) + octets
        if day.fits(sorted(hours.items()), now, [size]):
            sent.append((now, size))
        within = [octets for at, octets in sent if at > now - DAY and octets]
        assert sum(within) <= limit or len(within) == 1
