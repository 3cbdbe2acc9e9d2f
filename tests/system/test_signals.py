"""SIGINT and SIGTERM: once brings what is on the wire to its end and says how to go on, twice leaves at once."""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from subprocess import Popen

import pytest

from tests.faults.proxy import Fault, Proxy, Side, after, calling
from tests.servers.dovecot import Dovecot
from tests.system import readback
from tests.system.program import start

MESSAGES = 600
BODY = ("x" * 70 + "\n") * 600
"""All of it is more than what is read ahead, so that a signal always finds something left to read."""


@pytest.fixture
def home() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="p2i-signals-"))
    with (path / "mail.mbox").open("w") as file:
        for number in range(MESSAGES):
            file.write(f"From bob@example.org Mon May 04 10:00:00 2020\nSubject: {number}\n\n{BODY}\n")
    yield path
    shutil.rmtree(path)


def interrupted(
    dovecot: Dovecot, home: Path, user: str, signals: list[int], port: int = 0
) -> tuple[Popen[str], str, str, int]:
    """A run that gets ``signals`` when a part of a batch has been sent; (process, output, errors, port)."""
    process: list[Popen[str]] = []

    def strike() -> None:
        for number in signals:
            process[0].send_signal(number)

    fault = Fault(after(3_000_000, Side.CLIENT), calling(strike))
    with Proxy(dovecot.imap_port, fault, port=port) as proxy:
        target = f"imap://{user}@127.0.0.1:{proxy.port}"
        process.append(start(home, "migrate", "mail.mbox", target, "--fence", "1"))
        out, err = process[0].communicate(timeout=100)
        return process[0], out, err, proxy.port


def subjects(dovecot: Dovecot, user: str) -> Counter[bytes]:
    return Counter(kept.octets.partition(b"\r\n")[0] for kept in readback.messages(dovecot, user))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 75)])
def test_one_signal_finishes_the_batch_and_says_how_to_go_on(
    dovecot: Dovecot, home: Path, number: int, code: int
) -> None:
    user = dovecot.user()
    process, out, err, port = interrupted(dovecot, home, user, [number])
    assert process.returncode == code, err
    assert "finishing the batch in flight" in err
    assert "pop2imap migrate mail.mbox" in err
    assert "Traceback" not in err
    stored = sum(subjects(dovecot, user).values())
    assert 0 < stored < MESSAGES
    assert f"moved in this run: {stored} messages" in out, "what was in flight was settled"
    assert "safe to delete the source: no" in out
    process, out, err, port = interrupted(dovecot, home, user, [], port)
    assert process.returncode == 0, err
    assert set(subjects(dovecot, user).values()) == {1}
    assert len(subjects(dovecot, user)) == MESSAGES


def test_two_signals_leave_at_once_and_that_is_safe(dovecot: Dovecot, home: Path) -> None:
    user = dovecot.user()
    process, _out, err, port = interrupted(dovecot, home, user, [signal.SIGINT, signal.SIGTERM])
    assert process.returncode == 130, err
    process, _out, err, _port = interrupted(dovecot, home, user, [], port)
    assert process.returncode == 0, err
    assert set(subjects(dovecot, user).values()) == {1}
    assert len(subjects(dovecot, user)) == MESSAGES
