"""MH: numbers, sequences, folders in folders."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pop2imap.errors import SourceDataError
from pop2imap.model import Message
from pop2imap.sources.mh import find, mh_source
from pop2imap.sources.mh_state import MARKS, Sequences, marks
from pop2imap.sources.settings import Settings

MAIL = b"From: alice@example.org\nSubject: %d\n\nHello.\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "Mail" / "inbox").mkdir(parents=True)
    return tmp_path / "Mail"


def put(folder: Path, *numbers: int) -> None:
    folder.mkdir(exist_ok=True, parents=True)
    for number in numbers:
        (folder / str(number)).write_bytes(MAIL % number)


def read(root: Path) -> list[Message]:
    one = mh_source(root, Settings())
    one.open()
    return [item for item in one.read(one.list().refs) if isinstance(item, Message)]


def subjects(found: list[Message]) -> list[bytes]:
    return [item.octets.head().partition(b"Subject: ")[2].partition(b"\r\n")[0] for item in found]


def test_messages_come_in_the_order_of_their_numbers(root: Path) -> None:
    put(root / "inbox", 10, 9, 100, 2)
    for name in (",3", "#4", "05", "0", "5.bak", ".xmhcache"):
        (root / "inbox" / name).write_bytes(MAIL % 1)
    assert subjects(read(root)) == [b"2", b"9", b"10", b"100"]


def test_sequences_tell_the_flags(root: Path) -> None:
    put(root / "inbox", 1, 2, 3, 4, 5)
    (root / "inbox" / ".mh_sequences").write_bytes(
        b"cur: 3\nunseen: 4-5\nreplied: 1 3-3\nflagged:\n 2\nmine: 1-5\nbroken\nforwarded: x 5-2 3\n"
    )
    assert [set(item.flags or ()) for item in read(root)] == [
        {"\\Seen", "\\Answered"},
        {"\\Seen", "\\Flagged"},
        {"\\Seen", "\\Answered", "$Forwarded"},
        set(),
        set(),
    ]


def test_without_sequences_nothing_is_known(root: Path) -> None:
    put(root / "inbox", 1)
    (root / "inbox" / ".mh_sequences").symlink_to("/etc/passwd")
    assert [item.flags for item in read(root)] == [None]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("name", MARKS)
def test_claws_mails_marks_come_first(root: Path, name: str, order: str) -> None:
    put(root / "inbox", 1, 2, 3, 4, 5)
    (root / "inbox" / ".mh_sequences").write_bytes(b"unseen: 1-4\n")
    records = (2, 1, 3, 1, 0, 2, 1 << 4 | 1 << 2, 3, 1 << 1 | 1 << 5, 4, 1 << 3)
    (root / "inbox" / name).write_bytes(struct.pack(f"{order}{len(records)}I", *records) + b"cut")
    found = read(root)
    assert [set(item.flags or ()) for item in found] == [
        {"\\Seen"},
        {"\\Seen", "\\Answered", "\\Flagged"},
        {"$Forwarded"},
        {"\\Seen"},
        {"\\Seen"},
    ]
    assert [bool(item.discarded) for item in found] == [False, False, False, True, False]


@given(st.binary(max_size=60))
def test_whatever_marks_say_they_do_no_harm(text: bytes) -> None:
    assert len(marks(text)) <= len(text) // 8


def test_a_number_that_is_given_again_is_no_key(root: Path) -> None:
    put(root / "inbox", 1, 5)
    before = [item.key for item in read(root)]
    (root / "inbox" / "1").unlink()
    (root / "inbox" / "5").rename(root / "inbox" / "1")  # folder -pack
    assert [item.key for item in read(root)] == before[1:]


def test_what_was_received_stays(root: Path) -> None:
    given = b"Status: RO\nX-Mozilla-Status: 0001\nSubject: x\n\nHello.\n"
    (root / "inbox" / "1").write_bytes(given)
    (message,) = read(root)
    assert b"".join(message.octets.chunks()) == given.replace(b"\n", b"\r\n")


def test_folders_in_folders(root: Path) -> None:
    put(root / "inbox", 1)
    put(root / "inbox" / "2020" / "12", 1)
    put(root / "drafts", 1)
    (root / "empty").mkdir()
    (root / "empty" / ".mh_sequences").write_bytes(b"")
    (root / "loop").symlink_to(root)
    assert [part.folder for part in find(root, Settings()).parts] == [
        *("\\Drafts", "empty", "INBOX", "INBOX/2020/12")
    ]


def test_one_folder_has_its_own_name(root: Path) -> None:
    put(root / "inbox", 1)
    assert [part.folder for part in find(root / "inbox", Settings()).parts] == ["INBOX"]


def test_a_directory_without_messages_is_refused(root: Path) -> None:
    with pytest.raises(SourceDataError, match="no numbered files"):
        mh_source(root, Settings()).open()


@given(st.binary(max_size=200))
def test_whatever_sequences_say_they_do_no_harm(text: bytes) -> None:
    assert isinstance(Sequences(text).flags(3), frozenset)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 20)), max_size=10))
def test_ranges_hold_what_they_should(ranges: list[tuple[int, int]]) -> None:
    text = b" ".join(b"%d-%d" % (first, first + more) for first, more in ranges)
    sequences = Sequences(b"flagged: " + text)
    for number in range(80):
        wanted = any(first <= number <= first + more for first, more in ranges)
        assert ("\\Flagged" in sequences.flags(number)) == wanted


def test_a_long_range_costs_nothing() -> None:
    flags = Sequences(b"unseen: 1-999999999999999\n" * 2).flags(7)
    assert flags == frozenset()
