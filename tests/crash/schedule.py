"""Real threads that take turns: one goes on at a time, and a seeded die says which.

The threads of :mod:`pop2imap.pipeline` run as they are; only what they wait with is replaced (threads, queues,
conditions). Whoever waits, and whoever reaches a step, may have to let another go on. So one seed is one
interleaving, the same each time, and a place in it has a number.
"""

from __future__ import annotations

import os
import queue
import random
import threading
import traceback
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class _Task:
    """One thread. It goes on when ``turn`` can be had."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.turn = threading.Lock()
        self.turn.acquire()
        self.ready: Callable[[], bool] = lambda: True
        self.tires = False


class Schedule:
    """Made by the thread that goes first."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.tasks: list[_Task] = []
        self._current = threading.local()
        self.enter(_Task("account"))
        self.tasks.append(self._current.task)

    @property
    def name(self) -> str:
        """Of the thread that goes on now."""
        return str(self._current.task.name)

    def enter(self, task: _Task) -> None:
        """The calling thread is this task."""
        self._current.task = task

    def wait(self, ready: Callable[[], bool] = lambda: True, *, tires: bool = False) -> bool:
        """Until ``ready``, and maybe longer, let others go on. With ``tires`` the wait also ends when nobody else
        can go on: a time-out. Returns whether it was worth it."""
        me: _Task = self._current.task
        me.ready, me.tires = ready, tires
        self._choose(me)
        return ready()

    def leave(self) -> None:
        """The calling thread is at its end."""
        self.tasks.remove(self._current.task)
        self._choose(None)

    def _choose(self, me: _Task | None) -> None:
        able = [task for task in self.tasks if task.ready()] or [task for task in self.tasks if task.tires]
        assert able, f"all wait for each other: {[task.name for task in self.tasks]}"
        chosen = self.chance.choice(able)
        if chosen is me:
            return
        chosen.turn.release()
        if me is not None:
            me.turn.acquire()

    # -- what stands in for ``threading`` and ``queue``

    def Thread(self, *, target: Callable[[], None], name: str, daemon: bool) -> _Thread:
        return _Thread(self, target, name)

    def Condition(self) -> _Condition:
        return _Condition(self)


class _Thread:
    def __init__(self, schedule: Schedule, target: Callable[[], None], name: str) -> None:
        self._schedule, self._target, self._task = schedule, target, _Task(name)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._schedule.tasks.append(self._task)
        self._thread.start()

    def join(self, timeout: float | None = None) -> None:
        if self._schedule.wait(lambda: not self.is_alive(), tires=timeout is not None):
            self._thread.join()

    def is_alive(self) -> bool:
        return self._task in self._schedule.tasks

    def _run(self) -> None:
        self._schedule.enter(self._task)
        self._task.turn.acquire()
        try:
            self._target()
            self._schedule.leave()
        except BaseException:
            traceback.print_exc()
            os._exit(1)


class _Condition:
    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._notified = 0

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass

    def wait(self, timeout: float) -> bool:
        seen = self._notified
        return self._schedule.wait(lambda: self._notified > seen, tires=True)

    def notify_all(self) -> None:
        self._notified += 1


class Queue(Generic[T]):
    """As ``queue.SimpleQueue``."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._items: deque[T] = deque()

    def put(self, item: T) -> None:
        self._items.append(item)

    def get(self, block: bool = True, timeout: float | None = None) -> T:
        if not block:
            self._schedule.wait()
        elif not self._schedule.wait(lambda: bool(self._items), tires=timeout is not None):
            raise queue.Empty
        if not self._items:
            raise queue.Empty
        return self._items.popleft()

    def get_nowait(self) -> T:
        return self.get(block=False)
