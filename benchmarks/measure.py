"""One program, from its start to its end: what it took, and how two of them compare."""

from __future__ import annotations

import os
import resource
import signal
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

MEGA = 1_000_000
LEAST = 0.2
"""Seconds; a ratio of less is one of chances."""


@dataclass(frozen=True)
class Spent:
    """What a program and its children took.

    ``peak``: octets resident, of the largest process among them; 0 if that is less than this process has itself,
    since a process that was started begins with the peak of who started it.
    """

    seconds: float
    cpu: float
    peak: int
    fault: str
    """Why it did not end well; empty if it did."""
    out: str
    late: bool = False
    """Whether it was ended for want of time."""


@dataclass(frozen=True)
class Run:
    """One move by one program. Only whole ones count."""

    program: str
    spent: Spent
    moved: int
    wanted: int
    octets: int

    @property
    def fault(self) -> str:
        """Why it does not count; empty if it does."""
        short = f"moved {self.moved:,} of {self.wanted:,}" if self.moved != self.wanted else ""
        return ", ".join(filter(None, (self.spent.fault, short)))

    @property
    def rate(self) -> float:
        """Messages a second."""
        return self.moved / self.spent.seconds


@dataclass(frozen=True)
class Spread:
    """The middle of what was measured, and its ends."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread | None:
        """None of nothing."""
        return cls(statistics.median(values), min(values), max(values)) if values else None


def ratios(
    runs: Sequence[Run], ceilings: Sequence[Run], at_rest: float = 0.0, ceiling_at_rest: float = 0.0
) -> list[float]:
    """The speed of each run as a part of the ceiling's in the same round, without rounds in which one does not count.

    ``at_rest``: seconds that a run takes with nothing to move, taken off before (of the ceiling, ``ceiling_at_rest``).
    What is left must be :data:`LEAST` seconds on both sides.
    """
    left = [
        (run.spent.seconds - at_rest, ceiling.spent.seconds - ceiling_at_rest)
        for run, ceiling in zip(runs, ceilings, strict=False)  # some programs have fewer rounds
        if not run.fault and not ceiling.fault
    ]
    return [ceiling / run for run, ceiling in left if min(run, ceiling) >= LEAST]


def spend(command: Sequence[str | Path], *, env: Mapping[str, str], cwd: Path, limit: float) -> Spent:
    """Run it to its end; after ``limit`` seconds it is killed, and every process of its group."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        began = time.perf_counter()
        process = subprocess.Popen(
            list(map(str, command)),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=errors,
            env=env,
            cwd=cwd,
            start_new_session=True,
        )
        late = threading.Event()

        def end() -> None:
            late.set()
            _kill(process.pid)

        timer = threading.Timer(limit, end)
        timer.start()
        try:
            _pid, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            _kill(process.pid)
            raise
        finally:
            timer.cancel()
        seconds = time.perf_counter() - began
        process.returncode = code = os.waitstatus_to_exitcode(status)
        _kill(process.pid)  # what it left behind
        errors.seek(0)
        said = errors.read().decode(errors="replace").strip().splitlines()
        out.seek(0)
        text = out.read().decode(errors="replace")
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak = usage.ru_maxrss * 1024 if usage.ru_maxrss > own else 0
    fault = ""
    if late.is_set():
        fault = f"not finished after {limit:,.0f} s"
    elif code:
        fault = f"ended with {code}: {said[-1] if said else ''}"
    return Spent(seconds, usage.ru_utime + usage.ru_stime, peak, fault, text, late.is_set())


def _kill(group: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
