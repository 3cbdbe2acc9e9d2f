"""What is known of an mbox from an earlier run changes what is read of it, and not what is found in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pop2imap.model import Account, Message, Ref, Unread
from pop2imap.sources.mbox import MboxSource
from pop2imap.sources.mbox_known import Memory

FROM = b"From alice@example.com Thu Nov 29 19:33:09 2018\n"
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def mail(*numbers: int) -> bytes:
    """Messages of about 500 octets, of equal length."""
    return b"".join(
        FROM + b"From: bob@example.org\nStatus: N\nSubject: number %06d\n\n" % number + b"text\n" * 90 + b"\n"
        for number in numbers
    )


@dataclass
class Bench:
    """A file, and what runs remember of it. Each change of the file is later than the one before."""

    path: Path
    directory: Path
    clock: int = 1_700_000_000
    open: list[MboxSource] = field(default_factory=list)

    def write(self, octets: bytes) -> None:
        self.path.open("r+b" if self.path.exists() else "wb").close()
        self.change(0, octets)
        os.truncate(self.path, len(octets))
        self.tick()

    def append(self, octets: bytes) -> None:
        self.change(self.path.stat().st_size, octets)

    def change(self, at: int, octets: bytes) -> None:
        with self.path.open("r+b") as file:
            file.seek(at)
            file.write(octets)
        self.tick()

    def tick(self) -> None:
        self.clock += 100
        os.utime(self.path, (self.clock, self.clock))

    def source(self, memory: Memory | None, **options: bool) -> MboxSource:
        source = MboxSource(self.path, memory=memory, now=lambda: NOW, **options)  # type: ignore[arg-type]
        source.open()
        self.open.append(source)
        return source

    def found(self, *, rescan: bool = False, **options: bool) -> list[Ref]:
        return list(self.source(Memory(self.directory, rescan=rescan), **options).list().refs)

    def whole(self) -> list[Ref]:
        """What a run finds that knows nothing."""
        return list(self.source(None).list().refs)

    def said(self) -> str:
        return " ".join(str(remark) for remark in self.source(Memory(self.directory)).list().remarks)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "inbox", tmp_path / "listings")
    yield bench
    for source in bench.open:
        source.close(settled=False)


def hidden_change(bench: Bench, number: int, by: int) -> None:
    """Another message is put exactly into the place of one in the middle, where nobody looks."""
    at = len(mail(1)) * (number - 1)
    assert mail(number) == bench.path.read_bytes()[at : at + len(mail(number))]
    bench.change(at, mail(by))


MANY = range(1, 2001)


def test_of_a_file_that_grew_only_the_end_is_scanned(bench: Bench) -> None:
    bench.write(mail(*MANY))
    first = bench.found()
    assert first == bench.whole()
    hidden_change(bench, 1500, by=5000)  # so that it shows what is looked at
    bench.append(mail(2001, 2002))
    assert bench.found()[:2000] == first
    assert [ref.key for ref in bench.found()[2000:]] == [ref.key for ref in bench.whole()[2000:]]
    assert bench.found(rescan=True) == bench.whole() != bench.found()[:2000]


def test_after_rescan_what_was_found_then_is_known(bench: Bench) -> None:
    bench.write(mail(*MANY))
    bench.found()
    hidden_change(bench, 1500, by=5000)
    bench.append(mail(2001))
    assert bench.found() != bench.whole()
    assert bench.found(rescan=True) == bench.whole()
    assert bench.found() == bench.whole()


def test_a_file_that_grows_again_and_again(bench: Bench) -> None:
    bench.write(mail(*range(1, 51)))
    for number in range(51, 80, 3):
        assert bench.found() == bench.whole()
        bench.append(mail(number, number + 1, 7))  # the last one is a twin
    refs = bench.found()
    assert refs == bench.whole()
    assert max(ref.key.nth for ref in refs if ref.key) == 10
    assert bench.said() == "", "the file is as it was"
    bench.append(mail(100))
    assert bench.said().startswith("messages are known from an earlier run")


def test_a_message_that_was_being_written_is_read_again(bench: Bench) -> None:
    bench.write(mail(*range(1, 51)) + mail(51)[:-200])
    before = bench.found()
    bench.append(mail(51)[-200:] + mail(52))
    after = bench.found()
    assert after == bench.whole()
    assert (before[:50], len(after)) == (after[:50], 52)
    assert before[50] != after[50]


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("shorter", "shorter"),
        ("same size", "did not just grow"),
        ("other file", "another file"),
        ("other beginning", "did not just grow"),
        ("other end", "did not just grow"),
        ("shifted", "did not just grow"),
    ],
)
def test_whatever_else_became_of_it_all_is_read_and_that_is_said(bench: Bench, what: str, said: str) -> None:
    bench.write(mail(*MANY))
    bench.found()
    match what:
        case "shorter":
            bench.write(mail(*MANY[:-1]))
        case "same size":
            hidden_change(bench, 1500, by=5000)
        case "other file":
            other = bench.path.with_name("other")
            other.write_bytes(mail(*MANY, 2001))
            other.replace(bench.path)
        case "other beginning":
            hidden_change(bench, 3, by=5000)
            bench.append(mail(2001))
        case "other end":
            hidden_change(bench, 1980, by=5000)
            bench.append(mail(2001))
        case "shifted":
            bench.write(mail(*MANY[:1200], *MANY[1201:], 3001, 3002))
    assert said in bench.said()
    assert bench.found() == bench.whole()
    assert bench.said() == "", "and then it is known"


@pytest.mark.parametrize("at", [0, 40, 400, -1])
def test_a_damaged_memory_is_none(bench: Bench, at: int) -> None:
    bench.write(mail(*MANY))
    bench.found()
    hidden_change(bench, 1500, by=5000)
    bench.append(mail(2001))
    (kept,) = bench.directory.iterdir()
    octets = bytearray(kept.read_bytes())
    octets[at] ^= 1
    kept.write_bytes(octets)
    assert bench.found() == bench.whole()


def test_a_file_read_in_another_way_is_read_whole(bench: Bench) -> None:
    bench.write(mail(*MANY))
    bench.found()
    assert bench.found(keep_headers=True)[0].size > bench.whole()[0].size
    assert bench.found() == bench.whole()


def test_a_dry_run_uses_what_is_known_and_keeps_nothing(bench: Bench) -> None:
    bench.write(mail(*MANY))
    bench.source(Memory(bench.directory, read_only=True)).list()
    assert not bench.directory.exists()
    known = bench.found()
    (kept,) = bench.directory.iterdir()
    octets = kept.read_bytes()
    hidden_change(bench, 1500, by=5000)
    bench.append(mail(2001))
    assert list(bench.source(Memory(bench.directory, read_only=True)).list().refs)[:2000] == known
    assert kept.read_bytes() == octets


def test_what_is_not_where_it_was_is_gone_once_and_found_by_the_next_run(bench: Bench) -> None:
    bench.write(mail(*MANY))
    bench.found()
    hidden_change(bench, 1500, by=5000)
    bench.append(mail(2001))
    source = bench.source(Memory(bench.directory))
    refs = source.list().refs
    (item,) = source.read([refs[1499]])
    assert isinstance(item, Unread)
    assert item.account is Account.GONE
    assert bench.found() == bench.whole()
    source = bench.source(Memory(bench.directory))
    (item,) = source.read([source.list().refs[1499]])
    assert isinstance(item, Message)


def test_flags_that_were_noted_in_place_are_read_with_the_message(bench: Bench) -> None:
    bench.write(mail(*MANY))
    bench.found()
    at = bench.path.read_bytes().index(b"Status: N", 1500 * len(mail(1)))
    bench.change(at, b"Status: R")
    bench.append(mail(2001))
    assert bench.found() == bench.whole()
    source = bench.source(Memory(bench.directory))
    before, after = source.read(source.list().refs[1499:1501])
    assert isinstance(before, Message)
    assert isinstance(after, Message)
    assert (before.flags, after.flags) == (frozenset(), frozenset({"\\Seen"}))


def test_what_is_kept_is_for_its_owner_alone(bench: Bench) -> None:
    bench.write(mail(*MANY))
    bench.found()
    (kept,) = bench.directory.iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600
    assert bench.directory.stat().st_mode & 0o777 == 0o700
    assert b"number 000001" not in kept.read_bytes(), "no word of any message"


def test_where_nothing_can_be_kept_nothing_is_known(bench: Bench) -> None:
    bench.write(mail(*MANY))
    bench.directory.write_bytes(b"in the way")
    assert bench.found() == bench.found() == bench.whole()


def test_a_file_without_empty_lines_between_its_messages_is_read_whole(bench: Bench) -> None:
    bench.write(mail(*MANY).replace(b"text\n\nFrom", b"text\nFrom"))
    assert len(bench.found()) == 2000
    assert not bench.directory.exists()
    bench.append(mail(2001).replace(b"text\n\n", b"text\n"))
    assert bench.found() == bench.whole()
