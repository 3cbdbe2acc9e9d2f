"""Limits by choice, and servers that have enough: the whole program against a scripted server, in a time of its own."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pop2imap import placing
from pop2imap.credentials import Secret
from pop2imap.errors import ConnectionLost, ExitCode, NotFinished, ServerBusy
from pop2imap.job import Job
from pop2imap.migrate import migrate
from pop2imap.options import Mark, Options
from pop2imap.pipeline import Stop
from pop2imap.progress import Silent
from pop2imap.rates import STEP, UNLIMITED, Limits
from pop2imap.report import Report
from pop2imap.rules import toml
from pop2imap.sources.mbox import MboxSource
from pop2imap.target.imap import ImapTarget
from pop2imap.throttle import NAP, Throttle
from tests.fakes.imap_server import PASSWORD, USER, ImapAccount, ImapServer

BATCH = 4


class Time:
    """Passes when somebody waits, or a server takes its time."""

    def __init__(self) -> None:
        self.seconds, self.looks, self.waits = 0.0, 0, 0
        self._turn = threading.Lock()

    def clock(self) -> float:
        self.looks += 1
        return self.seconds

    def now(self) -> datetime:
        return datetime(2026, 3, 1, tzinfo=UTC) + timedelta(seconds=self.seconds)

    def sleep(self, seconds: float) -> None:
        self.waits += 1
        self.pass_by(seconds)

    def pass_by(self, seconds: float) -> None:
        with self._turn:
            self.seconds += seconds


@dataclass
class Post:
    """Mail in an mbox, and a server that takes ``each`` seconds for a message and notes when a command came."""

    path: Path
    each: float = 1.0
    time: Time = field(default_factory=Time)
    account: ImapAccount = field(default_factory=ImapAccount)
    came: list[tuple[float, int]] = field(default_factory=list)
    busy: dict[int, bytes] = field(default_factory=dict)  # answers, by how many messages have come
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.account.verdict = self.verdict

    def verdict(self, messages: list[bytes]) -> bytes | None:
        self.time.pass_by(self.each * len(messages))
        if answer := self.busy.pop(len(self.came), None):
            return answer
        self.came += [(self.time.seconds, len(octets)) for octets in messages]
        return None

    def run(self, count: int, *, size: int = 1000, stop: Stop | None = None, **options: object) -> Report:
        mbox = self.path / "mail.mbox"
        mbox.write_bytes(
            b"".join(b"From - \n" + octets.replace(b"\r", b"") + b"\n" for octets in mail(count, size))
        )
        chosen = Options(state_dir=self.path / "state", fence=0.0, mark=Mark("unseen"), **options)  # type: ignore[arg-type]
        with ImapServer(self.account) as server:
            target = ImapTarget(server.address(), USER, Secret(PASSWORD))
            job = Job((MboxSource(mbox),), target, toml.default("INBOX"), chosen)
            time = self.time
            return migrate(
                job, _Said(self.said), stop or Stop(), now=time.now, sleep=time.sleep, clock=time.clock
            )

    def rate(self, begin: float, end: float) -> float:
        """Messages a second that came in this time."""
        return sum(begin < at <= end for at, _ in self.came) / (end - begin)


class _Said(Silent):
    def __init__(self, said: list[str]) -> None:
        self._said = said

    def say(self, text: str) -> None:
        self._said.append(text)


def mail(count: int, size: int) -> list[bytes]:
    head = b"From: bob@example.org\r\nSubject: %06d\r\nDate: Mon, 04 May 2020 10:00:00 +0000\r\n\r\n"
    filling = size - len(head % 0) - 2
    return [head % number + b"x" * filling + b"\r\n" for number in range(count)]


@pytest.fixture
def post(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Post:
    monkeypatch.setattr(placing, "BATCH_MESSAGES", BATCH)
    return Post(tmp_path)


def test_without_limits_nothing_waits_and_no_clock_is_read_for_a_batch(post: Post) -> None:
    assert post.run(40).exit_code is ExitCode.OK
    assert (post.time.waits, post.time.looks) == (0, 1)


def test_a_rate_by_choice_is_kept(post: Post) -> None:
    post.each = 0.0
    report = post.run(40, max_rate=1000)
    assert report.exit_code is ExitCode.OK
    assert len(post.came) == 40
    assert post.time.seconds == pytest.approx(38), "all but the last two, which follow at once"


def test_messages_a_second_are_kept_and_make_small_batches(post: Post) -> None:
    post.each = 0.0
    assert post.run(9, max_messages_per_second=0.5).exit_code is ExitCode.OK
    assert [at for at, _ in post.came] == pytest.approx([2.0 * number for number in range(9)])


@pytest.mark.parametrize("kind", [b"NO", b"BAD"])
@pytest.mark.parametrize("capabilities", ["MULTIAPPEND", "LITERAL+", ""])
def test_a_busy_server_is_pressed_less_and_then_as_before(post: Post, kind: bytes, capabilities: str) -> None:
    post.account.capabilities = f"IMAP4rev1 AUTH=PLAIN UIDPLUS NAMESPACE UNSELECT {capabilities}"
    post.busy[60] = (
        b"{tag} " + kind + b" Request is throttled. Suggested Backoff Time: 20000 milliseconds\r\n"
    )
    report = post.run(280)
    assert report.exit_code is ExitCode.OK, report.text()
    assert Counter(post.account.octets()) == Counter(mail(280, 1000)), "each once"
    before = post.rate(20, 60)
    again = next(at for at, _ in post.came if at > 60 + 20) - 1
    after = [post.rate(again + STEP * step, again + STEP * (step + 1)) for step in range(16)]
    assert before == pytest.approx(1)
    assert after[:2] == pytest.approx([0.5] * 2, rel=0.1), "half of it"
    assert 0.6 < after[2] < 0.9, "it comes back in steps"
    assert sum(after[5:13]) / 8 == pytest.approx(before, rel=0.1)
    assert any("sending more slowly" in line for line in post.said)


def test_a_server_that_is_busy_again_and_again_gets_all_of_it_once(post: Post) -> None:
    for at in (8, 40, 60):
        post.busy[at] = b"{tag} NO Upload was rate limited. Try again in 30 seconds\r\n"
    report = post.run(100)
    assert report.exit_code is ExitCode.OK, report.text()
    assert Counter(post.account.octets()) == Counter(mail(100, 1000))
    assert post.run(100).moved.messages == 0


def test_a_stop_while_it_waits_for_its_turn_is_noticed_at_once(post: Post) -> None:
    stop = Stop()
    sleep = post.time.sleep

    def stopping(seconds: float) -> None:
        sleep(seconds)
        stop.set()

    post.time.sleep, post.each = stopping, 0.0  # type: ignore[method-assign]
    report = post.run(40, stop=stop, max_messages_per_second=0.001)
    assert report.exit_code is ExitCode.INTERRUPTED
    assert post.time.seconds == pytest.approx(NAP)
    assert (report.moved.messages, len(post.came)) == (1, 1)
    post.time.sleep = sleep  # type: ignore[method-assign]
    assert post.run(40).exit_code is ExitCode.OK
    assert Counter(post.account.octets()) == Counter(mail(40, 1000))


def test_what_lowers_the_rate_and_what_does_not() -> None:
    def heard(error: Exception) -> bool:
        throttle = Throttle(UNLIMITED, lambda: 0.0, lambda seconds: None)
        throttle.went(1_000_000, 100)
        return throttle.heard(error) is not None  # type: ignore[arg-type]

    assert heard(ServerBusy("full"))
    assert heard(ServerBusy("wait", retry_after=5))
    assert heard(ConnectionLost("BYE, in 5 seconds", retry_after=5))
    assert not heard(ConnectionLost("cut"))
    assert not heard(NotFinished("enough for today", retry_after=3600))


def test_what_was_given_up_costs_nobody_any_time() -> None:
    time = Time()
    throttle = Throttle(Limits(octets=100), time.clock, time.sleep)
    assert throttle.wait_for(100, 1, lambda: False)
    assert not any(throttle.wait_for(100, 1, lambda: True) for _ in range(50))
    assert throttle.wait_for(100, 1, lambda: False)
    assert time.seconds == pytest.approx(1)
    assert Throttle(UNLIMITED, time.clock, time.sleep).wait_for(100, 1, lambda: True), "it need not wait"


def test_several_threads_share_one_rate() -> None:
    time = Time()
    throttle = Throttle(Limits(octets=100), time.clock, time.sleep)
    lanes = [
        threading.Thread(target=lambda: [throttle.wait_for(100, 1, lambda: False) for _ in range(5)])
        for _ in range(4)
    ]
    for lane in lanes:
        lane.start()
    for lane in lanes:
        lane.join()
    assert throttle.wait_for(0, 0, lambda: False)
    assert time.seconds >= 20 - 1e-6
