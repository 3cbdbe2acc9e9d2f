"""Progress as an observer: the work reports to it and never asks it anything.

On a terminal it is a bar that grows by octets, with messages, rate and time left beside it; anywhere else it
is a log line every ten seconds. What a bar's stream does (it may be gone) never reaches the work.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, NoReturn, Protocol, TextIO

from pop2imap import logs
from pop2imap.text import printable

if TYPE_CHECKING:
    from tqdm import tqdm

EVERY = 10.0
"""Seconds between two log lines."""

USUAL_SIZE = (79, 24)
"""For terminals that do not know their own (serial lines, some programs that play terminal)."""

log = logging.getLogger(logs.PROGRESS)
phases = logging.getLogger("pop2imap.phases")


class Progress(Protocol):
    """What the work tells. May be called from any thread."""

    def start(self, doing: str, octets: int, messages: int) -> None:
        """A phase begins ("listing", "reading and uploading"); totals are 0 when unknown. A phase that is
        still open ends."""

    def advance(self, octets: int, messages: int) -> None:
        """So much more is done."""

    def say(self, text: str) -> None:
        """A line that stays: what a person should see now ("looking for 12 messages of the run before")."""

    def finish(self) -> None:
        """The phase is over, whatever its end."""


class Silent:
    """For ``--quiet``, and for tests."""

    def start(self, doing: str, octets: int, messages: int) -> None: ...

    def advance(self, octets: int, messages: int) -> None: ...

    def say(self, text: str) -> None: ...

    def finish(self) -> None: ...


def choose(
    *,
    quiet: bool = False,
    lines: bool = False,
    stream: TextIO | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Progress:
    """A bar if ``stream`` (default: standard error) is a terminal that can draw one; nothing if ``quiet``;
    else log lines, also if ``lines`` asks for them."""
    stream = stream or sys.stderr
    if quiet:
        return Silent()
    if lines or not (stream and stream.isatty()) or environ.get("TERM", "dumb") == "dumb":
        return LogProgress()
    return BarProgress(stream)


class BarProgress:
    """A tqdm bar on ``stream``, drawn at most once in ``interval`` seconds. It bears no colour and starts no
    thread."""

    def __init__(self, stream: TextIO, *, interval: float = 0.1) -> None:
        self._stream = stream
        self._interval = interval
        self._lock = threading.RLock()
        self._bar: tqdm[NoReturn] | None = None
        self._messages = self._all_messages = 0
        self._by_octets = True

    def start(self, doing: str, octets: int, messages: int) -> None:
        _note(doing, octets, messages)
        with self._drawing():
            self._close()
            self._messages, self._all_messages = 0, messages
            self._by_octets = bool(octets) or not messages
            bar_class = _bar_class()
            self._bar = bar_class(
                total=(octets if self._by_octets else messages) or None,
                desc=printable(doing, 40),
                unit="B" if self._by_octets else " messages",
                unit_scale=self._by_octets,
                bar_format=_format(self._by_octets, known=bool(octets or messages)),
                file=self._stream,
                dynamic_ncols=_has_size(self._stream),
                ncols=None if _has_size(self._stream) else USUAL_SIZE[0],
                nrows=None if _has_size(self._stream) else USUAL_SIZE[1],
                leave=False,
                miniters=1,
                mininterval=self._interval,
                smoothing=0.1,
            )
            logs.set_guard(lambda: bar_class.external_write_mode(file=self._stream))

    def advance(self, octets: int, messages: int) -> None:
        with self._drawing():
            if self._bar is None:
                return
            self._messages += messages
            if self._by_octets and self._all_messages:
                self._bar.set_postfix_str(
                    f"{self._messages:,}/{self._all_messages:,} messages", refresh=False
                )
            elif self._by_octets and self._messages:
                self._bar.set_postfix_str(f"{self._messages:,} messages", refresh=False)
            done = octets if self._by_octets else messages
            if self._bar.total:  # sizes are estimates: more than all is still all
                done = min(done, int(self._bar.total - self._bar.n))
            self._bar.update(done)

    def say(self, text: str) -> None:
        log.info("%s", text)

    def finish(self) -> None:
        with self._drawing():
            self._close()

    def _close(self) -> None:
        if self._bar is not None:
            bar, self._bar = self._bar, None
            logs.set_guard(None)
            bar.close()

    @contextlib.contextmanager
    def _drawing(self) -> Iterator[None]:
        with self._lock:
            try:
                yield
            except (OSError, ValueError):  # the terminal is gone; there is nothing to draw on any more
                self._bar = None
                logs.set_guard(None)


def _note(doing: str, octets: int, messages: int) -> None:
    """For the log: what begins."""
    facts = [f"{messages} messages"] if messages else []
    facts += [f"{octets} octets"] if octets else []
    phases.info("%s%s", doing, f": {', '.join(facts)}" if facts else "")


def _bar_class() -> type[tqdm[NoReturn]]:
    from tqdm import tqdm

    class Bar(tqdm):  # type: ignore[type-arg]
        monitor_interval = 0  # no thread that watches over the bar

    Bar.set_lock(threading.RLock())  # tqdm's own would start the machinery of processes
    return Bar


def _has_size(stream: TextIO) -> bool:
    try:
        return os.get_terminal_size(stream.fileno()).columns > 0
    except (OSError, ValueError):
        return False


def _format(by_octets: bool, *, known: bool) -> str:
    if not known:
        return "{desc}: {n_fmt}{unit}{postfix}, {rate_fmt}, {elapsed}"
    unit = "B" if by_octets else " messages"
    return (
        "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt}"
        + unit
        + "{postfix}, {rate_fmt}, {remaining} left"
    )


class LogProgress:
    """A log line when ``EVERY`` seconds have passed since the last one. ``clock`` counts seconds and never
    goes back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._doing = ""
        self._octets = self._all_octets = self._messages = self._all_messages = 0
        self._started = self._logged = 0.0
        self._spoke = False

    def start(self, doing: str, octets: int, messages: int) -> None:
        _note(doing, octets, messages)
        self.finish()
        with self._lock:
            self._doing = doing
            self._octets = self._messages = 0
            self._all_octets, self._all_messages = octets, messages
            self._started = self._logged = self._clock()
            self._spoke = False

    def advance(self, octets: int, messages: int) -> None:
        with self._lock:
            self._octets += octets
            self._messages += messages
            now = self._clock()
            if self._doing and now - self._logged >= EVERY:
                self._logged, self._spoke = now, True
                log.info("%s: %s", self._doing, ", ".join(self._facts(now)))

    def say(self, text: str) -> None:
        log.info("%s", text)

    def finish(self) -> None:
        with self._lock:
            if self._spoke:
                log.info("%s: ended after %s", self._doing, _duration(self._clock() - self._started))
            self._doing, self._spoke = "", False

    def _facts(self, now: float) -> Iterator[str]:
        if self._messages or self._all_messages:
            total = f" of {self._all_messages:,}" if self._all_messages else ""
            yield f"{self._messages:,}{total} messages"
        if self._octets or self._all_octets:
            total = f" of {self._all_octets / 1e6:.1f}" if self._all_octets else ""
            yield f"{self._octets / 1e6:.1f}{total} MB"
        spent = now - self._started
        if self._octets:
            yield f"{self._octets / 1e6 / spent:.2f} MB/s"
        done, total_work = (
            (self._octets, self._all_octets) if self._all_octets else (self._messages, self._all_messages)
        )
        if done and total_work:
            part = min(done / total_work, 1.0)
            yield f"{part:.0%}"
            yield f"about {_duration(spent / part - spent)} left"


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"
