"""So much in 24 hours and no more, over runs and deaths: the run says when to go on, and then all is there once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pop2imap import daily, placing
from pop2imap.credentials import Secret
from pop2imap.daily import MORE, UNKNOWN_SIZE, SourceDay
from pop2imap.errors import DailyLimitReached, ExitCode
from pop2imap.job import Job
from pop2imap.journal.store import open_journal
from pop2imap.journal.traffic import TARGET
from pop2imap.listed import Chosen
from pop2imap.migrate import migrate
from pop2imap.model import Account, Ref
from pop2imap.options import Mark, Options
from pop2imap.pipeline import Stop
from pop2imap.progress import Silent
from pop2imap.report import Report
from pop2imap.rules import toml
from pop2imap.sources import Source
from pop2imap.sources.mbox import MboxSource
from pop2imap.sources.pop3 import Pop3Source
from tests.fakes.memory_target import Fate, MemoryServer, MemoryTarget
from tests.fakes.pop3_server import Maildrop, Pop3Server

EIGHT = datetime(2026, 3, 1, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)
SIZE = 1000


def mail(count: int, size: int = SIZE) -> list[bytes]:
    head = b"From: bob@example.org\r\nSubject: %06d\r\nDate: Mon, 04 May 2020 10:00:00 +0000\r\n\r\n"
    return [head % n + b"x" * (size - len(head % n) - 2) + b"\r\n" for n in range(count)]


@dataclass
class Week:
    """One account, and a clock to set."""

    path: Path
    stack: ExitStack
    now: datetime = EIGHT
    server: MemoryServer = field(default_factory=MemoryServer)
    maildrop: Maildrop = field(default_factory=Maildrop)
    pop3: Pop3Server | None = None

    def mbox(self, messages: list[bytes]) -> Source:
        text = b"".join(b"From - \n" + octets.replace(b"\r", b"") + b"\n" for octets in messages)
        (self.path / "mail.mbox").write_bytes(text)
        return MboxSource(self.path / "mail.mbox")

    def drop(self, messages: list[bytes]) -> Source:
        self.maildrop.mail = messages
        if self.pop3 is None:
            self.pop3 = self.stack.enter_context(Pop3Server(self.maildrop))
        return Pop3Source(self.pop3.address(), "alice", Secret("secret"))

    def run(self, source: Source, stop: Stop | None = None, **options: object) -> Report:
        chosen = Options(state_dir=self.path / "state", fence=0.0, mark=Mark("unseen"), **options)  # type: ignore[arg-type]
        job = Job((source,), MemoryTarget(self.server), toml.default("INBOX"), chosen)
        return migrate(job, Silent(), stop or Stop(), now=lambda: self.now, sleep=self.sleep)

    def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def counted(self, name: str = TARGET) -> int:
        journal = open_journal(self.path / "state", MemoryTarget(self.server).identity)
        total = sum(octets for _, octets in journal.traffic(name, EIGHT - 30 * HOUR))
        journal.close()
        return total

    def held(self) -> Counter[bytes]:
        return Counter(self.server.octets_in("INBOX"))


@pytest.fixture
def week(tmp_path: Path) -> Iterator[Week]:
    with ExitStack() as stack:
        yield Week(tmp_path, stack)


def says_when(report: Report, when: datetime) -> None:
    assert report.exit_code is ExitCode.NOT_FINISHED
    assert isinstance(report.error, DailyLimitReached)
    assert report.retry_at is not None
    assert when <= report.retry_at <= when + timedelta(seconds=1)
    words = f"{report.retry_at:%Y-%m-%d %H:%M:%S} UTC"
    assert f"run the same command again at {words} or later" in report.text()
    found = report.as_dict()
    assert found["retry_at"] == f"{report.retry_at:%Y-%m-%dT%H:%M:%SZ}"
    assert (found["result"], found["exit_code"]) == ("not_finished", 75)
    assert words in found["error"]


# -- to the target


def test_what_goes_in_a_day_is_as_much_as_is_allowed_and_the_rest_goes_later(week: Week) -> None:
    messages = mail(10)
    first = week.run(week.mbox(messages), daily_bytes=4500)
    says_when(first, EIGHT + 25 * HOUR)
    assert first.counts[Account.STORED].messages == 4
    assert first.counts[Account.PENDING].messages == 6
    assert "the limit of 0.0 MB in 24 hours is reached (--daily-bytes)" in str(first.error)
    week.now += 24 * HOUR
    says_when(week.run(week.mbox(messages), daily_bytes=4500), EIGHT + 25 * HOUR)
    assert len(week.held()) == 4, "nothing more went"
    week.now = EIGHT + 25 * HOUR
    assert week.run(week.mbox(messages), daily_bytes=6000).exit_code is ExitCode.OK
    assert week.held() == Counter(messages)


def test_what_an_earlier_run_sent_without_a_limit_counts_too(week: Week) -> None:
    messages = mail(10)
    assert week.run(week.mbox(messages[:3])).exit_code is ExitCode.OK
    week.now += 2 * HOUR
    second = week.run(week.mbox(messages), daily_bytes=5000)
    assert second.moved.messages == 2
    says_when(second, EIGHT + 25 * HOUR)


def test_what_was_sent_and_lost_counts_too(week: Week) -> None:
    messages = mail(3)
    fates = iter([Fate.LOST, Fate.STORED, Fate.STORED])
    week.server.fate = lambda upload: next(fates, Fate.STORED)
    assert week.run(week.mbox(messages)).exit_code is ExitCode.OK
    assert week.held() == Counter(messages)
    assert week.counted() >= 4 * SIZE


def test_small_batches_fill_the_day_to_the_last_message(week: Week, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placing, "BATCH_MESSAGES", 3)
    messages = mail(20)
    report = week.run(week.mbox(messages), daily_bytes=10 * SIZE)
    assert report.moved.messages == 10
    assert week.counted() == 10 * SIZE
    assert week.held() == Counter(messages[:10]), "the first ones, in order"


def test_a_message_larger_than_the_day_goes_alone(week: Week) -> None:
    messages = [*mail(1, 5000), *mail(3)[1:]]
    assert week.run(week.mbox(messages), daily_bytes=2500).moved.messages == 1
    week.now += 25 * HOUR
    assert week.run(week.mbox(messages), daily_bytes=2500).exit_code is ExitCode.OK
    assert week.held() == Counter(messages)


def test_a_limit_that_is_free_again_in_some_minutes_is_waited_for(week: Week) -> None:
    messages = mail(4)
    week.run(week.mbox(messages[:2]))
    week.now += 25 * HOUR - timedelta(minutes=3)
    report = week.run(week.mbox(messages), daily_bytes=2 * SIZE)
    assert report.exit_code is ExitCode.OK, report.text()
    assert week.now >= EIGHT + 25 * HOUR
    assert week.held() == Counter(messages)


# -- from a source


def test_what_comes_from_a_source_in_a_day_is_bounded(week: Week, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daily, "PART", 4 * SIZE)
    messages = mail(20)
    source = week.drop(messages)
    first = week.run(source, source_daily_bytes=10 * SIZE)
    says_when(first, EIGHT + 25 * HOUR)
    assert str(first.error).startswith(source.id)
    assert "--source-daily-bytes" in str(first.error)
    read = first.moved.messages
    assert 8 <= read <= 10
    assert week.counted(source.id) == read * SIZE, "what was counted too much was given back"
    assert week.pop3 is not None
    (session,) = week.pop3.sessions
    assert len(session.retrieved) == read
    assert session.commands[-1] == "QUIT", "everything that was read is settled"
    week.now += 25 * HOUR
    assert week.run(week.drop(messages), source_daily_bytes=11 * SIZE + SIZE * 2).exit_code is ExitCode.OK
    assert week.held() == Counter(messages)


def test_a_source_that_is_a_file_has_no_limit_of_a_day(week: Week) -> None:
    assert week.run(week.mbox(mail(20)), source_daily_bytes=SIZE).exit_code is ExitCode.OK


def test_a_run_that_is_stopped_in_a_part_leaves_it_counted(week: Week) -> None:
    stop = Stop()
    week.server.before = lambda step: stop.set() if step == "append" else None
    source = week.drop(mail(20))
    report = week.run(source, stop, source_daily_bytes=1 << 20)
    assert report.exit_code is ExitCode.INTERRUPTED
    assert week.counted(source.id) >= 20 * SIZE
    week.server.before = lambda step: None
    assert week.run(source, source_daily_bytes=1 << 20).exit_code is ExitCode.OK
    assert week.held() == Counter(mail(20))


def test_the_limit_of_a_run_holds_over_the_parts(week: Week, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daily, "PART", 4 * SIZE)
    week.maildrop.answers["UIDL"] = b"-ERR what?\r\n"
    report = week.run(week.drop(mail(20)), source_daily_bytes=1 << 20, limit=7)
    assert (report.moved.messages, report.exit_code) == (7, ExitCode.NOT_FINISHED)


def test_without_a_limit_there_is_one_part_and_nothing_is_counted() -> None:
    refs, items = Chosen([Ref(1, None, 5)]), iter(())
    day = SourceDay(None)
    assert [part is refs for part in day.parts(refs)] == [True]
    assert day.counted(items) is items
    assert day.over is None


def test_a_message_of_unknown_size_counts_something() -> None:
    assert daily._expected(Ref(1, None, 0)) > UNKNOWN_SIZE
    assert daily._expected(Ref(1, None, MORE)) == MORE + 1
