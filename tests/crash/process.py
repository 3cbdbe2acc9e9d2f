"""One life of the program, in a process of its own that is forked and dies where it is told.

Everything that lasts, or that others see, is a numbered *step*: each commit of the journal before and after it, each
fsync, each piece of what is sent, each receiving. :func:`run` forks a process, lets it migrate, serves as the
world around it, and says how it ended; ``die_at`` makes it end with ``os._exit`` at that step.

What a power failure leaves is kept beside the journal: a copy of its files as of the last commit that waited for
the disk (``synchronous=FULL``), so without the frames of all commits after it.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import pickle
import queue
import shutil
import socket
import sqlite3
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO, NoReturn

from pop2imap import budgets, folders, migrate, net, pipeline, placing
from pop2imap.job import Job
from pop2imap.journal.store import SqlJournal
from pop2imap.model import Account
from pop2imap.pipeline import Stop
from pop2imap.progress import Silent
from pop2imap.target import upload
from tests.crash.outside import Held, Outside
from tests.crash.schedule import Queue, Schedule

DIED = 100

PIECE = 160
"""Octets that are sent at once: so that a process dies between two messages, and in the midst of one."""

END_OF_RUN = "the end of a run"
"""Stands behind the steps of each run; it is no place to die at."""

_CHANGES = ("INSERT", "UPDATE", "DELETE", "CREATE", "ALTER", "DROP")


@dataclass(frozen=True, slots=True)
class Ran:
    """One run that came to its end: what it reported, and what the target held then."""

    error: str
    exit_code: int
    counts: dict[Account, int]
    moved: int
    held: Held


@dataclass
class Life:
    """How a process lived. ``steps`` are all that it took, if it came to its end, else the last one."""

    died: bool = False
    count: int = 0
    steps: list[str] = field(default_factory=list)
    runs: list[Ran] = field(default_factory=list)


@dataclass(frozen=True)
class Orders:
    """What a process is to do: ``job`` makes the job, once for each of ``runs``. ``sabotage`` is called first."""

    job: Callable[[], Job]
    state: Path
    seed: int = 0
    die_at: int = 0
    runs: int = 1
    sabotage: Callable[[], None] = lambda: None
    power_cut: bool = False
    """Whether copies are kept for a power failure."""


def without_power(state: Path) -> Path:
    """Where the state lies as a power failure would leave it."""
    return state.with_name(state.name + "-without-power")


# -- the process under test


def stand_in(where: object, name: str, what: object) -> None:
    """Replace something. There is no way back: this is for a process that ends in ``os._exit``."""
    setattr(where, name, what)


class _Channel:
    """To the world around. One call at a time: threads take turns."""

    def __init__(self, end: socket.socket) -> None:
        self._out: BinaryIO = end.makefile("wb")
        self._in: BinaryIO = end.makefile("rb")

    def tell(self, *words: Any) -> None:
        pickle.dump(words, self._out)
        self._out.flush()

    def ask(self, *words: Any) -> Any:
        self.tell(*words)
        return pickle.load(self._in)


class _Inside:
    """The process under test: its steps, and what stands in for the ways out of it."""

    def __init__(self, orders: Orders, channel: _Channel) -> None:
        self.orders, self.channel = orders, channel
        self.schedule = Schedule(orders.seed)
        self.steps: list[str] = []
        self.clock = timedelta()

    def step(self, what: str) -> None:
        """Something that lasts is about to be done. Others may come first, or the end."""
        self.schedule.wait()
        self.steps.append(f"{self.schedule.name}: {what}")
        if len(self.steps) == self.orders.die_at:
            self.channel.tell("died", self.steps[-1])
            os._exit(DIED)

    # -- sockets

    def connect(self, address: tuple[str, int], timeout: float) -> _Socket:
        self.step("connect")
        return _Socket(self, self.channel.ask("connect", address[1]))

    # -- files

    def open_database(self, *arguments: Any, **named: Any) -> sqlite3.Connection:
        connection = _connect(*arguments, factory=_Database, **named)
        assert isinstance(connection, _Database)
        connection.inside = self
        connection.set_trace_callback(connection.traced)
        return connection

    def fsync(self, descriptor: int) -> None:
        self.step("fsync")
        _fsync(descriptor)

    def keep(self) -> None:
        """What is on the disk now outlasts a power failure."""
        if not self.orders.power_cut:
            return
        kept = without_power(self.orders.state)
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(self.orders.state, kept)

    # -- time and threads

    def now(self) -> datetime:
        return datetime.now(UTC) + self.clock

    def sleep(self, seconds: float) -> None:
        self.clock += timedelta(seconds=seconds)
        self.channel.tell("slept")

    def first_of(self, line: _Socket, bell: _Bell) -> bool:
        """Whether to receive, rather than to see who rang: if both could be, as it falls."""
        self.schedule.wait()
        return not (bell.heard() and self.schedule.chance.random() < 0.5)

    # -- all of it

    def install(self) -> None:
        """Only this process is changed: it is a fork, and ends in ``os._exit``."""
        gc.disable()
        schedule = self.schedule
        stand_in(socket, "create_connection", self.connect)
        stand_in(os, "fsync", self.fsync)
        stand_in(sqlite3, "connect", self.open_database)
        taking_turns = {"Thread": schedule.Thread, "Condition": schedule.Condition}
        threads = SimpleNamespace(**{**vars(threading), **taking_turns})
        queues = SimpleNamespace(SimpleQueue=partial(Queue, schedule), Empty=queue.Empty)
        for where in (pipeline, budgets):
            stand_in(where, "threading", threads)
        stand_in(pipeline, "queue", queues)
        stand_in(pipeline, "Bell", _Bell)
        stand_in(net, "first_of", self.first_of)
        # small mail in small batches: several of them in flight, each of several commands, lower bounds
        # that move on, and a reader that has to wait
        placing.BATCH_MESSAGES = 3
        upload.MULTIAPPEND_MESSAGES = 2
        folders.ROLL = 3
        budgets.MEMORY_BUDGET = 7 * (budgets.OVERHEAD + 200)
        # what recovery overlooks must not be found again by the look for what an older journal does not know
        stand_in(SqlJournal, "unsure_from", lambda journal, mailbox: None)
        self.orders.sabotage()

    def live(self) -> None:
        self.install()
        for _ in range(self.orders.runs):
            report = migrate.migrate(self.orders.job(), Silent(), Stop(), now=self.now, sleep=self.sleep)
            counts = {account: count.messages for account, count in report.counts.items() if count.messages}
            error = "" if report.error is None else str(report.error)
            error = error or next((text for text in report.remarks if "journal is older" in text), "")
            self.steps.append(END_OF_RUN)
            self.channel.tell("ran", error, int(report.exit_code), counts, report.moved.messages)
        self.channel.tell("lived", self.steps)


class _Database(sqlite3.Connection):
    """A connection whose commits are steps."""

    inside: _Inside
    changed = False
    waits_for_disk = True

    def traced(self, statement: str) -> None:
        self.changed = self.changed or statement.startswith(_CHANGES)
        if statement.startswith("PRAGMA synchronous="):
            self.waits_for_disk = statement.endswith("FULL")

    def commit(self) -> None:
        changed, self.changed = self.changed, False
        kind = "durable" if self.waits_for_disk else "lazy"
        if changed:
            self.inside.step(f"before a {kind} commit")
        super().commit()
        if changed:
            if self.waits_for_disk:
                self.inside.keep()
            self.inside.step(f"after a {kind} commit")


class _Bell:
    """As ``net.Bell``: threads take turns, so that nobody is woken."""

    def __init__(self) -> None:
        self._rung = False

    def ring(self) -> None:
        self._rung = True

    def heard(self) -> bool:
        rung, self._rung = self._rung, False
        return rung

    def close(self) -> None:
        pass


class _Socket:
    """A connection to the world around."""

    def __init__(self, inside: _Inside, number: int) -> None:
        self._inside, self._number = inside, number
        self._timeout: float | None = None
        self._closed = False

    def setsockopt(self, *_: int) -> None:
        pass

    def settimeout(self, seconds: float | None) -> None:
        self._timeout = seconds

    def sendall(self, octets: bytes) -> None:
        for at in range(0, len(octets), PIECE):
            if self._closed:
                raise OSError(errno.EBADF, "closed")
            self._inside.step("send")
            self._inside.channel.tell("send", self._number, bytes(octets[at : at + PIECE]))

    def recv(self, most: int) -> bytes:
        if self._closed:
            raise OSError(errno.EBADF, "closed")
        waits = self._timeout != 0
        self._inside.step("receive" if waits else "look")
        if not waits and self._inside.schedule.chance.random() < 0.5:
            raise BlockingIOError  # the server is slower than that
        octets: bytes | None = self._inside.channel.ask("receive", self._number, most)
        if octets is None:
            if waits:
                raise TimeoutError
            raise BlockingIOError
        return octets

    def shutdown(self, _: int) -> None:
        if not self._closed:
            self._inside.step("close")
            self._closed = True
            self._inside.channel.tell("close", self._number)

    def close(self) -> None:
        self.shutdown(socket.SHUT_RDWR)


_connect, _fsync = partial(sqlite3.connect), os.fsync


def _end_inside(orders: Orders, end: socket.socket) -> NoReturn:
    """The whole life of the forked process."""
    try:
        _Inside(orders, _Channel(end)).live()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)


# -- the process of the test


def run(orders: Orders, outside: Outside) -> Life:
    """Fork a process, and be the world around it until it has ended. Its connections are left as it left them:
    the caller says what comes of that (``Outside.cut``)."""
    ours, its = socket.socketpair()
    with warnings.catch_warnings():  # the test runner's own threads are none of the child's business
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        ours.close()
        _end_inside(orders, its)
    its.close()
    life = Life()
    with ours, ours.makefile("rb") as said, ours.makefile("wb") as answers:
        for words in _words(said):
            match words:
                case ("connect" | "receive" as what, *arguments):
                    pickle.dump(getattr(outside, what)(*arguments), answers)
                    answers.flush()
                case ("send" | "close" | "slept" as what, *arguments):
                    getattr(outside, what)(*arguments)
                case ("ran", error, exit_code, counts, moved):
                    life.runs.append(Ran(error, exit_code, counts, moved, outside.held()))
                case ("lived", steps):
                    life.steps, life.count = steps, len(steps)
                case ("died", step):
                    life.died, life.steps = True, [step]
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code == (DIED if life.died else 0), "the program failed by itself; see what it printed"
    return life


def _words(said: BinaryIO) -> Iterator[tuple[Any, ...]]:
    with contextlib.suppress(EOFError, ConnectionResetError):
        while True:
            yield pickle.load(said)
