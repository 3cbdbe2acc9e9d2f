"""Directories of .eml files: keys, book-keeping lines, names, and what is no message."""

from __future__ import annotations

import itertools
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pop2imap.errors import SourceDataError
from pop2imap.model import Account, Message, Unread
from pop2imap.octets import SPOOL_AT
from pop2imap.sources.eml import EmlFolder, eml_source, find, natural
from pop2imap.sources.settings import Settings
from pop2imap.sources.tree import TreeSource

MAIL = b"From: alice@example.org\r\nSubject: one\r\n\r\nHello.\r\n"


@pytest.fixture
def box(tmp_path: Path) -> Path:
    path = tmp_path / "export"
    path.mkdir()
    return path


def source(box: Path, **given: object) -> TreeSource:
    one = eml_source(box, Settings(**given))  # type: ignore[arg-type]
    one.open()
    return one


def items(box: Path, **given: object) -> list[Message | Unread]:
    one = source(box, **given)
    return list(one.read(one.list().refs))


def only(box: Path, **given: object) -> Message:
    (item,) = items(box, **given)
    assert isinstance(item, Message), item
    return item


def keys(box: Path) -> list[str]:
    return [str(ref.key) for ref in source(box).list().refs]


def octets(message: Message) -> bytes:
    return b"".join(message.octets.chunks())


def test_numbers_in_names_count() -> None:
    names = ["10.eml", "2.eml", "1 b.eml", "1 A.eml", "a10b2.eml", "a10b10.eml", "a9.eml"]
    assert sorted(names, key=natural) == [
        *("1 A.eml", "1 b.eml", "2.eml", "10.eml", "a9.eml", "a10b2.eml", "a10b10.eml")
    ]


@given(st.lists(st.text(max_size=20)))
def test_any_names_have_an_order(names: list[str]) -> None:
    ordered = sorted(names, key=natural)
    assert all(natural(one) <= natural(two) for one, two in itertools.pairwise(ordered))


def test_another_message_under_the_same_name_has_another_key(box: Path) -> None:
    (box / "1.eml").write_bytes(MAIL)
    (before,) = keys(box)
    (box / "1.eml").write_bytes(MAIL.replace(b"one", b"two"))
    assert keys(box) != [before]


def test_the_same_message_under_another_name_has_the_same_key(box: Path) -> None:
    (box / "1.eml").write_bytes(MAIL)
    before = keys(box)
    (box / "1.eml").rename(box / "7.eml")
    os.utime(box / "7.eml", (0, 0))
    assert keys(box) == before


@pytest.mark.parametrize("at", [10, 60, 5000, 19_000])
def test_a_key_tells_of_both_ends(box: Path, at: int) -> None:
    text = bytearray(MAIL + b"a" * 20_000)
    (box / "1.eml").write_bytes(text)
    before = keys(box)
    text[at] ^= 1
    (box / "1.eml").write_bytes(text)
    assert (keys(box) == before) == (at == 5000)  # the middle of a long body is not looked at


def test_what_a_mail_program_notes_changes_no_key(box: Path) -> None:
    (box / "1.eml").write_bytes(b"X-Mozilla-Status: 0000\r\n" + MAIL + b"a" * 20_000)
    before = keys(box)
    (box / "1.eml").write_bytes(b"X-Mozilla-Status: 0001\r\nX-Mozilla-Keys: a\r\n" + MAIL + b"a" * 20_000)
    assert keys(box) == before


def test_equal_messages_are_told_apart_by_their_order(box: Path) -> None:
    for name in ("1.eml", "2.eml"):
        (box / name).write_bytes(MAIL)
    found = keys(box)
    assert found[1] == found[0] + "#1"


def test_book_keeping_lines_go_and_tell_the_flags(box: Path) -> None:
    own = b"X-Mozilla-Status: 0003\r\nX-Mozilla-Status2: 00000000\r\n"
    (box / "1.eml").write_bytes(own + MAIL)
    message = only(box)
    assert octets(message) == MAIL
    assert message.flags == frozenset({"\\Seen", "\\Answered"})
    kept = only(box, keep_headers=True)
    assert octets(kept) == own + MAIL
    assert kept.flags == frozenset({"\\Seen", "\\Answered"})
    assert kept.key == message.key


def test_without_such_lines_nothing_is_known(box: Path) -> None:
    (box / "1.eml").write_bytes(MAIL)
    assert only(box).flags is None


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_from_line_goes_and_dates_the_message(box: Path, end: bytes) -> None:
    line = b"From bob@example.org Thu Nov 29 19:33:09 2018" + end
    (box / "1.eml").write_bytes(line + MAIL.replace(b"\r\n", end))
    message = only(box)
    assert octets(message) == MAIL
    assert message.envelope_date == datetime(2018, 11, 29, 19, 33, 9, tzinfo=UTC)


def test_large_messages_are_spooled(box: Path, tmp_path: Path) -> None:
    large = MAIL + b"x\n" * SPOOL_AT
    (box / "1.eml").write_bytes(large)
    message = only(box, spool=tmp_path)
    assert octets(message) == large
    assert message.octets.size == len(large)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=60), st.sampled_from([b"\r\n", b"X: y\r\n", b"Subject: a\r\nTo: b\r\n"]))
def test_octets_with_crlf_survive_exactly(box: Path, body: bytes, head: bytes) -> None:
    given = head + b"\r\n" + body
    (box / "1.eml").write_bytes(given)
    assert octets(only(box)) == given


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(min_size=1, max_size=200))
def test_whatever_a_file_holds_it_is_read_or_said_to_be_unreadable(box: Path, text: bytes) -> None:
    (box / "1.eml").write_bytes(text)
    one = source(box)
    refs = one.list().refs
    (item,) = one.read(refs)
    (peeked,) = one.peek(refs)
    assert isinstance(item, Message)
    assert isinstance(peeked, Message)
    assert item.octets.head() == peeked.octets.head()
    assert item.size == item.octets.size == len(octets(item))


def test_what_changed_since_it_was_listed_is_not_taken_for_what_was(box: Path) -> None:
    for name in ("1.eml", "2.eml", "3.eml"):
        (box / name).write_bytes(MAIL + name.encode())
    one = source(box)
    refs = one.list().refs
    (box / "2.eml").write_bytes(MAIL + b"another")
    (box / "3.eml").unlink()
    found = list(one.read(refs))
    assert isinstance(found[0], Message)
    assert [item.account for item in found[1:] if isinstance(item, Unread)] == [Account.GONE, Account.GONE]
    assert [item.key for item in found] == [ref.key for ref in refs]


# trees


def test_directories_are_folders(box: Path) -> None:
    for name in ("1.eml", "Sent/1.eml", "Work/2020/1.EML", "Work/10/1.eml", "Work/9/1.eml", "._1/1.eml"):
        (box / name).parent.mkdir(parents=True, exist_ok=True)
        (box / name).write_bytes(MAIL)
    (box / "Empty").mkdir()
    (box / "Work" / "folder.eml").mkdir()
    assert [part.folder for part in find(box, Settings()).parts] == [
        *("export", "\\Sent", "Work/9", "Work/10", "Work/2020")
    ]


def test_what_is_no_message_is_passed_over_and_said(box: Path) -> None:
    (box / "1.eml").write_bytes(MAIL)
    (box / "._1.eml").write_bytes(b"\0\5\x16\7")
    (box / "desktop.ini").write_bytes(b"x")
    (box / "mail.msg").write_bytes(b"x")
    (box / "loop").symlink_to(box)
    one = source(box)
    listing = one.list()
    assert len(listing.refs) == 1
    assert [(remark.text.partition(",")[0], remark.count) for remark in listing.remarks] == [
        ("files that are no .eml are passed over", 2),
        ("symbolic links and special files are passed over", 1),
    ]


def test_every_file_of_thunderbirds_maildir(box: Path) -> None:
    for name in ("1600000000123.eml", "1600000000124"):
        (box / name).write_bytes(b"X-Mozilla-Status: 0001\n" + MAIL)
    one = EmlFolder("eml:x", "Inbox", box, Settings(), every=True)
    one.open()
    found = list(one.read(one.list().refs))
    one.close(settled=True)
    assert [item.flags for item in found if isinstance(item, Message)] == [frozenset({"\\Seen"})] * 2


def test_a_directory_without_messages_is_refused(box: Path) -> None:
    (box / "a.txt").write_bytes(MAIL)
    with pytest.raises(SourceDataError, match=r"holds no \.eml files"):
        eml_source(box, Settings()).open()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_directory_that_may_not_be_read_is_a_fault(box: Path) -> None:
    (box / "1.eml").write_bytes(MAIL)
    (box / "locked").mkdir(mode=0)
    found = items(box)
    assert isinstance(found[1], Unread)
    assert "Permission denied" in found[1].reason
