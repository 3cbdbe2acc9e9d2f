"""What is seen while mail moves, on a terminal and without one."""

from __future__ import annotations

import io
import logging
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from pop2imap import logs
from pop2imap.progress import BarProgress, LogProgress, Progress, Silent, choose


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def _undo() -> Iterator[None]:
    yield
    logs.close()
    logs.set_guard(None)


def drawn(stream: io.StringIO) -> list[str]:
    """Every state of the bar that had something in it."""
    return [state.strip() for state in re.split(r"[\r\n]|\x1b\[A", stream.getvalue()) if state.strip()]


def test_a_bar_is_for_terminals_and_log_lines_for_the_rest() -> None:
    xterm = {"TERM": "xterm"}
    assert isinstance(choose(stream=Terminal(), environ=xterm), BarProgress)
    assert isinstance(choose(stream=Terminal(), environ=xterm | {"NO_COLOR": "1"}), BarProgress)
    assert isinstance(choose(stream=Terminal(), environ={"TERM": "dumb"}), LogProgress)
    assert isinstance(choose(stream=Terminal(), environ={}), LogProgress)
    assert isinstance(choose(stream=io.StringIO(), environ=xterm), LogProgress)
    assert isinstance(choose(stream=Terminal(), environ=xterm, lines=True), LogProgress)
    assert isinstance(choose(stream=Terminal(), environ=xterm, quiet=True), Silent)


def test_the_bar_shows_octets_messages_rate_and_time_left() -> None:
    stream = Terminal()
    bar = BarProgress(stream, interval=0)
    bar.start("moving", 4_000_000, 2_000)
    bar.advance(1_000_000, 500)
    last = drawn(stream)[-1]
    assert last.startswith("moving:  25%|")
    assert "1.00M/4.00MB" in last
    assert "500/2,000 messages" in last
    assert "B/s" in last
    assert last.endswith(" left")
    bar.finish()


def test_a_bar_by_messages_where_octets_are_not_known() -> None:
    stream = Terminal()
    bar = BarProgress(stream, interval=0)
    bar.start("comparing", 0, 10)
    bar.advance(12345, 4)
    assert "40%|" in drawn(stream)[-1]
    assert "4/10 messages" in drawn(stream)[-1]
    bar.finish()


def test_a_count_where_nothing_is_known() -> None:
    stream = Terminal()
    bar = BarProgress(stream, interval=0)
    bar.start("listing", 0, 0)
    bar.advance(2_500_000, 3)
    assert re.match(r"listing: 2\.50MB, 3 messages, .*/s, 00:00", drawn(stream)[-1])
    bar.finish()


def test_more_than_was_announced_is_all_of_it() -> None:
    stream = Terminal()
    bar = BarProgress(stream, interval=0)
    bar.start("moving", 100, 1)
    bar.advance(60, 0)
    bar.advance(60, 1)
    assert drawn(stream)[-1].startswith("moving: 100%|")
    bar.finish()


def test_the_bar_goes_when_the_phase_ends_and_what_comes_late_is_ignored() -> None:
    stream = Terminal()
    bar = BarProgress(stream, interval=0)
    bar.advance(1, 1)
    bar.finish()
    assert stream.getvalue() == ""
    bar.start("one", 100, 1)
    bar.start("two", 100, 1)
    bar.finish()
    bar.advance(50, 1)
    assert drawn(stream)[-1].startswith("two:   0%|")
    assert stream.getvalue().endswith("\r")


def test_foreign_text_cannot_move_the_cursor() -> None:
    stream = Terminal()
    logs.configure(stream=stream)
    bar = BarProgress(stream, interval=0)
    bar.start("listing \x1b[2Jevil\u202e", 10, 1)
    bar.say("folder \x1b[31mred")
    bar.finish()
    assert "\\x1b[2Jevil\\u202e" in stream.getvalue()
    assert "folder \\x1b[31mred" in stream.getvalue()
    assert "\x1b[2J" not in stream.getvalue()
    assert "\x1b[31m" not in stream.getvalue()


def test_a_line_is_said_above_the_bar() -> None:
    stream = Terminal()
    logs.configure(stream=stream)
    bar = BarProgress(stream, interval=0)
    bar.start("moving", 10, 1)
    bar.say("looking for 12 messages")
    assert "\rlooking for 12 messages\n" in stream.getvalue()
    assert drawn(stream)[-1].startswith("moving:")
    bar.finish()


class Gone(Terminal):
    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_a_terminal_that_is_gone_is_no_error() -> None:
    logs.configure(stream=Gone())
    bar = BarProgress(Gone(), interval=0)
    bar.start("moving", 10, 1)
    bar.advance(5, 1)
    bar.say("hello?")
    bar.finish()


def test_many_threads_count_right_and_no_thread_is_started_for_the_bar() -> None:
    stream = Terminal()
    bar = BarProgress(stream, interval=0)
    bar.start("moving", 4000, 4000)
    before = threading.active_count()

    def work(_: int) -> None:
        for _ in range(500):
            bar.advance(1, 1)

    assert before == threading.active_count()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert "4,000/4,000 messages" in drawn(stream)[-1]
    bar.finish()


def test_without_a_terminal_a_line_is_logged_every_ten_seconds(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logs.PROGRESS)
    clock = Clock()
    progress = LogProgress(clock)
    progress.start("moving", 128_000_000, 2000)
    for _ in range(25):
        clock.now += 1
        progress.advance(1_280_000, 20)
    assert caplog.messages == [
        "moving: 200 of 2,000 messages, 12.8 of 128.0 MB, 1.28 MB/s, 10%, about 1 min 30 s left",
        "moving: 400 of 2,000 messages, 25.6 of 128.0 MB, 1.28 MB/s, 20%, about 1 min 20 s left",
    ]
    progress.finish()
    progress.finish()
    assert caplog.messages[2:] == ["moving: ended after 25 s"]


def test_short_phases_leave_no_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logs.PROGRESS)
    progress = LogProgress(Clock())
    progress.start("listing", 0, 0)
    progress.advance(100, 1)
    progress.finish()
    assert caplog.messages == []
    progress.say("looking for 12 messages")
    assert caplog.messages == ["looking for 12 messages"]


def test_lines_say_what_is_known_and_no_more(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logs.PROGRESS)
    clock = Clock()
    progress = LogProgress(clock)
    progress.start("listing", 0, 0)
    clock.now += 7200
    progress.advance(0, 1000)
    progress.start("comparing", 0, 2000)
    clock.now += 7200
    progress.advance(0, 1000)
    assert caplog.messages == [
        "listing: 1,000 messages",
        "listing: ended after 2 h 00 min",
        "comparing: 1,000 of 2,000 messages, 50%, about 2 h 00 min left",
    ]


def test_everything_that_shows_progress_has_the_same_shape() -> None:
    shown: list[Progress] = [Silent(), LogProgress(), BarProgress(Terminal())]
    for progress in shown:
        progress.start("moving", 0, 0)
        progress.advance(0, 0)
        progress.say("x")
        progress.finish()
