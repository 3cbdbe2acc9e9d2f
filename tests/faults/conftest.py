"""A bench for each test, and what an undisturbed run leaves."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest

from pop2imap import net
from pop2imap.errors import ExitCode
from tests.faults.bench import RealBench, ScriptedBench
from tests.faults.proxy import Fault, Side
from tests.servers.dovecot import Dovecot
from tests.system.difference import Row


@pytest.fixture
def bench(dovecot: Dovecot) -> Iterator[RealBench]:
    path = Path(tempfile.mkdtemp(prefix="p2i-bench-"))
    with ExitStack() as stack:
        yield RealBench(path, stack, dovecot=dovecot)
    shutil.rmtree(path)


@pytest.fixture
def scripted(tmp_path: Path) -> Iterator[ScriptedBench]:
    with ExitStack() as stack:
        yield ScriptedBench(tmp_path, stack)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second passes from one look at the clock to the next, where the speed of a server is measured."""
    half_seconds = count()
    monkeypatch.setattr(net, "time", SimpleNamespace(monotonic=lambda: next(half_seconds) / 2))


@dataclass(frozen=True)
class Undisturbed:
    """What is there in the end, and the octets of the conversation by the side they came from."""

    rows: Counter[Row]
    passed: Counter[Side]


def _undisturbed(dovecot: Dovecot, via: str) -> Undisturbed:
    path = Path(tempfile.mkdtemp(prefix="p2i-bench-"))
    with ExitStack() as stack:
        bench = RealBench(path, stack, dovecot=dovecot)
        fault = Fault()
        if via == "imap":
            report = bench.run(bench.mbox(), bench.imap(fault=fault))
        else:
            report = bench.run(bench.pop3(fault=fault), bench.imap())
        assert report.exit_code is ExitCode.OK, report.text()
        assert bench.proxy is not None
        passed = Counter(bench.proxy.passed)
        rows = bench.found()
        assert sum(rows.values()) == len(bench.messages)
    shutil.rmtree(path)
    return Undisturbed(rows, passed)


@pytest.fixture(scope="session")
def as_scripted(tmp_path_factory: pytest.TempPathFactory) -> Counter[Row]:
    """What an undisturbed run leaves on a scripted server."""
    with ExitStack() as stack:
        bench = ScriptedBench(tmp_path_factory.mktemp("undisturbed"), stack)
        report = bench.run(bench.mbox(), bench.imap())
        assert report.exit_code is ExitCode.OK, report.text()
        return bench.found()


@pytest.fixture(scope="session")
def over_imap(dovecot: Dovecot) -> Undisturbed:
    """From an mbox; the proxy in front of the target."""
    return _undisturbed(dovecot, "imap")


@pytest.fixture(scope="session")
def over_pop3(dovecot: Dovecot) -> Undisturbed:
    """From a maildrop; the proxy in front of the source."""
    return _undisturbed(dovecot, "pop3")
