"""Maildir: names, flags, dates, trees of several layouts, and what programs do to it while it is read."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pop2imap.errors import SourceDataError
from pop2imap.model import Account, Message, Unread
from pop2imap.sources.maildir import MaildirFolder, find, info, maildir_source, unique
from pop2imap.sources.settings import Settings
from pop2imap.sources.tree import TreeSource

MAIL = b"From: alice@example.org\r\nSubject: one\r\n\r\nHello.\r\n"
NAME = "1600000000.M1P2.host.example.org,S=51,W=51"


def maildir(path: Path) -> Path:
    for name in ("cur", "new", "tmp"):
        (path / name).mkdir(parents=True, exist_ok=True)
    return path


@pytest.fixture
def box(tmp_path: Path) -> Path:
    return maildir(tmp_path / "Maildir")


def source(box: Path, **given: object) -> TreeSource:
    one = maildir_source(box, Settings(**given))  # type: ignore[arg-type]
    one.open()
    return one


def items(box: Path, **given: object) -> list[Message | Unread]:
    one = source(box, **given)
    return list(one.read(one.list().refs))


def only(box: Path, **given: object) -> Message:
    (item,) = items(box, **given)
    assert isinstance(item, Message), item
    return item


def octets(message: Message) -> bytes:
    return b"".join(message.octets.chunks())


def folders(path: Path) -> list[str]:
    return [part.folder for part in find(path, Settings()).parts]


# names


@pytest.mark.parametrize(
    ("name", "stays", "letters"),
    [
        (f"{NAME}:2,RS", NAME, "RS"),
        (f"{NAME}:2,", NAME, ""),
        (f"{NAME};2,S", NAME, "S"),
        (f"{NAME}!2,S", NAME, "S"),
        (f"{NAME}:2,FS,extra=S", NAME, "FS"),
        (f"{NAME}:1,experimental", NAME, ""),
        (f"{NAME}:2", f"{NAME}:2", ""),
        (NAME, NAME, ""),
        (":2,S", ":2,S", ""),
        ("a:b:2,S", "a:b", "S"),
        ("a:2,S:2,T", "a", "S:2"),
    ],
)
def test_what_stays_of_a_name_and_what_changes(name: str, stays: str, letters: str) -> None:
    assert unique(name) == stays
    assert info(name) == letters


@given(
    st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=60),
    st.text("DFPRSTabcz", max_size=9),
)
def test_flags_change_no_unique_name(name: str, letters: str) -> None:
    assert unique(f"{unique(name)}:2,{letters}") == unique(f"{unique(name)}:2,")


def test_a_key_is_the_unique_name_and_stays_when_the_message_is_read(box: Path) -> None:
    (box / "new" / NAME).write_bytes(MAIL)
    (before,) = source(box).list().refs
    (box / "new" / NAME).rename(box / "cur" / f"{NAME}:2,S")
    (after,) = source(box).list().refs
    assert before.key == after.key
    assert before.key is not None
    assert before.key.name.startswith(NAME)


def test_names_that_cannot_be_keys_are_digested(box: Path) -> None:
    for name in ("with space", "with@sign", "\udcff", "ü", "x" * 240):
        (box / "cur" / f"{name}:2,S").write_bytes(MAIL)
    keys = {ref.key for ref in source(box).list().refs}
    assert len(keys) == 5
    for key in keys:
        assert key is not None
        assert key.name.isascii()
        assert key.name.startswith("file-")


def test_the_same_name_twice_is_two_messages(box: Path) -> None:
    (box / "cur" / f"{NAME}:2,S").write_bytes(MAIL)
    (box / "new" / NAME).write_bytes(MAIL)
    assert [ref.key.nth for ref in source(box).list().refs if ref.key] == [0, 1]


def test_messages_come_in_the_order_of_their_delivery(box: Path) -> None:
    for time, where in ((1_600_000_002, "cur"), (999_999_999, "new"), (1_600_000_001, "new")):
        (box / where / f"{time}.M1.host").write_bytes(MAIL + b"%d" % time)
    found = [octets(item).rpartition(b"\n")[2] for item in items(box) if isinstance(item, Message)]
    assert found == [b"999999999", b"1600000001", b"1600000002"]


# flags


@pytest.mark.parametrize(
    ("letters", "flags", "discarded"),
    [
        ("", set(), False),
        ("S", {"\\Seen"}, False),
        ("DFPRS", {"\\Draft", "\\Flagged", "$Forwarded", "\\Answered", "\\Seen"}, False),
        ("ST", {"\\Seen"}, True),
        ("Sab", {"\\Seen", "$label1", "Work"}, False),
        ("Sxz", {"\\Seen"}, False),
        ("XYZ?", set(), False),
    ],
)
def test_flags(box: Path, letters: str, flags: set[str], discarded: bool) -> None:
    (box / "dovecot-keywords").write_bytes(b"0 $label1\n1 Work\n2 \\Evil\n23 not one\n99 x\nnonsense\n\xff\n")
    (box / "cur" / f"{NAME}:2,{letters}").write_bytes(MAIL)
    message = only(box)
    assert message.flags == frozenset(flags)
    assert bool(message.discarded) == discarded


def test_new_mail_is_unseen(box: Path) -> None:
    (box / "new" / NAME).write_bytes(MAIL)
    assert only(box).flags == frozenset()


@pytest.mark.parametrize("what", ["missing", "directory", "link"])
def test_keywords_without_names_are_left_out_and_said(box: Path, what: str) -> None:
    if what == "directory":
        (box / "dovecot-keywords").mkdir()
    if what == "link":
        (box / "dovecot-keywords").symlink_to("/etc/passwd")
    (box / "cur" / f"{NAME}:2,Sa").write_bytes(MAIL)
    one = source(box)
    (remark,) = [remark for remark in one.list().remarks if remark.text.startswith("INBOX")]
    assert "keywords to which no dovecot-keywords file gives a name" in remark.text
    assert remark.count == 1


def test_deliveries_that_were_not_finished_are_said(box: Path) -> None:
    (box / "tmp" / NAME).write_bytes(MAIL)
    one = source(box)
    listing = one.list()
    assert len(listing.refs) == 0
    assert "never finished" in listing.remarks[0].text


# dates


def at(path: Path, *when: int) -> None:
    path.write_bytes(MAIL)
    os.utime(path, (datetime(*when, tzinfo=UTC).timestamp(),) * 2)  # type: ignore[arg-type, misc]


def test_the_earlier_one_of_the_times_of_the_file_is_its_date(box: Path) -> None:
    """A copy of the files makes the time of change too late, an import over IMAP the time in the name."""
    at(box / "cur" / "1600000000.host:2,S", 2024, 1, 1)
    at(box / "cur" / "1600000001.host:2,S", 2003, 1, 1)
    at(box / "cur" / "odd:2,S", 2004, 1, 1)
    at(box / "cur" / "1600000002.host:2,S", 1970, 1, 1)
    found = {item.key.name.partition(":")[0][:10]: item for item in items(box) if isinstance(item, Message)}
    assert found["1600000000"].envelope_date == datetime(2020, 9, 13, 12, 26, 40, tzinfo=UTC)
    assert found["1600000001"].envelope_date == datetime(2003, 1, 1, tzinfo=UTC)
    assert found["1600000002"].envelope_date == datetime(2020, 9, 13, 12, 26, 42, tzinfo=UTC)
    assert found["odd@" + found_suffix(found)].envelope_date == datetime(2004, 1, 1, tzinfo=UTC)


def found_suffix(found: dict[str, Message]) -> str:
    return next(name for name in found if name.startswith("odd@")).removeprefix("odd@")


@pytest.mark.parametrize(
    "field", [b"Date: Mon, 1 Jan 2018 10:00:00 +0000", b"Received: x; 1 Jan 2018 10:00:00 +0000"]
)
def test_what_the_header_says_is_better(box: Path, field: bytes) -> None:
    (box / "cur" / f"{NAME}:2,S").write_bytes(field + b"\r\n" + MAIL)
    assert only(box).envelope_date is None


# octets


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(
        st.sampled_from([b"a", b"\xff", b"\0", b"From ", b"\r\n", b"Status: RO", b"\n", b"\r", b": "]),
        max_size=30,
    )
)
def test_octets_with_crlf_survive_exactly(box: Path, pieces: list[bytes]) -> None:
    for path in box.glob("cur/*"):
        path.unlink()
    given = b"Subject: x\r\nTo: bob@example.org\r\n\r\n" + b"".join(pieces)
    (box / "cur" / f"{NAME}:2,S").write_bytes(given)
    message = only(box)
    assert octets(message) == given
    assert message.octets.digest


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.sampled_from([b"a", b"\xff", b"\0", b"From ", b"\n", b"X-Status: A", b": "]), max_size=30))
def test_octets_with_lf_get_crlf_and_nothing_else(box: Path, pieces: list[bytes]) -> None:
    for path in box.glob("cur/*"):
        path.unlink()
    given = b"Subject: x\nStatus: RO\n\n" + b"".join(pieces)
    (box / "cur" / f"{NAME}:2,S").write_bytes(given)
    message = only(box)
    assert octets(message) == given.replace(b"\n", b"\r\n")
    assert message.size == message.octets.size


def test_a_message_that_grows_over_the_limit_is_unreadable(box: Path) -> None:
    (box / "cur" / f"{NAME}:2,S").write_bytes(b"Subject: x\n\n" + b"\n" * 100)
    (item,) = items(box, max_message_size=150)
    assert isinstance(item, Unread)
    assert "--max-message-size allows 150" in item.reason
    (item,) = items(box, max_message_size=50)
    assert isinstance(item, Unread)
    assert "112 octets" in item.reason


def test_an_empty_file_is_unreadable(box: Path) -> None:
    (box / "cur" / f"{NAME}:2,S").write_bytes(b"")
    (item,) = items(box)
    assert isinstance(item, Unread)
    assert (item.account, item.reason) == (Account.UNREADABLE, "the file is empty")


def test_a_pipe_does_not_stop_the_run(box: Path) -> None:
    os.mkfifo(box / "cur" / f"{NAME}:2,S")
    (item,) = items(box)
    assert isinstance(item, Unread)
    assert "a pipe or a device" in item.reason


# compressed by the server

LONG = MAIL + b"x\n" * 3_000_000


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
@pytest.mark.parametrize("mail", [MAIL, LONG])
def test_what_dovecot_has_compressed_is_unpacked(
    box: Path, pack: Callable[[bytes], bytes], mail: bytes
) -> None:
    (box / "cur" / f"{NAME}:2,SZ").write_bytes(pack(mail))
    message = only(box)
    assert octets(message) == mail
    assert message.flags == frozenset({"\\Seen"})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (gzip.compress(MAIL, mtime=0)[:30], "compressed, and damaged"),
        (gzip.compress(MAIL, mtime=0)[:-8] + bytes(8), "compressed, and damaged"),
        (b"BZh91AY&SY" + bytes(50), "compressed, and damaged"),
        (gzip.compress(b"", mtime=0), "the message is empty"),
        (gzip.compress(b"\n" * 10_000_000, mtime=0), "--max-message-size allows 9,000,000"),
        (lzma.compress(MAIL), "compressed with xz"),
        (b"\x28\xb5\x2f\xfd" + bytes(50), "compressed with Zstandard"),
        (b"CRYPTED\x03\x07" + bytes(50), "encrypted"),
    ],
)
def test_what_cannot_be_unpacked_is_unreadable(box: Path, text: bytes, reason: str) -> None:
    (box / "cur" / f"{NAME}:2,S").write_bytes(text)
    (item,) = items(box, max_message_size=9_000_000)
    assert isinstance(item, Unread)
    assert item.account is Account.UNREADABLE
    assert reason in item.reason


# while it is read


def test_a_message_that_gets_other_flags_is_found_again(box: Path) -> None:
    (box / "new" / NAME).write_bytes(MAIL)
    (box / "cur" / "1600000001.host:2,").write_bytes(MAIL)
    one = source(box)
    refs = one.list().refs
    (box / "new" / NAME).rename(box / "cur" / f"{NAME}:2,S")
    (box / "cur" / "1600000001.host:2,").rename(box / "cur" / "1600000001.host:2,FS")
    found = list(one.read(refs))
    assert [set(item.flags or ()) for item in found if isinstance(item, Message)] == [
        {"\\Seen"},
        {"\\Seen", "\\Flagged"},
    ]
    assert [item.key for item in found] == [ref.key for ref in refs]


def test_a_message_that_was_removed_is_gone(box: Path) -> None:
    names = [f"160000000{nth}.host:2," for nth in range(3)]
    for name in names:
        (box / "cur" / name).write_bytes(MAIL)
    folder = MaildirFolder("maildir:x", "INBOX", box, Settings())
    folder.open()
    refs = folder.list().refs
    reading = folder.read(refs)
    assert isinstance(next(reading), Message)
    (box / "cur" / names[1]).unlink()
    (box / "cur" / names[2]).rename(box / "cur" / f"{names[2]}R")
    gone, moved = reading
    folder.close(settled=False)
    assert isinstance(gone, Unread)
    assert gone.account is Account.GONE
    assert isinstance(moved, Message)
    assert moved.flags == frozenset({"\\Answered"})


# trees


def test_maildir_plus_plus(box: Path) -> None:
    for name in (".Sent", ".Work.2019", ".Entw&APw-rfe", ".&ZeVnLIqe-", ".R&-D", ".a\\2eb", ".Trash"):
        maildir(box / name)
    (box / ".nothing").mkdir()
    (box / "courierimapkeywords").mkdir()
    assert folders(box)[0] == "INBOX"
    assert set(folders(box)) == {
        "INBOX",
        "\\Sent",
        "Work/2019",
        "\\Drafts",
        "日本語",
        "R&D",
        "a.b",
        "\\Trash",
    }


def test_directories_in_directories(box: Path) -> None:
    for name in ("Work", "Work/2019", "Work/2019/Deep", "Sent", "Empty/Inner"):
        maildir(box / name)
    assert set(folders(box)) == {"INBOX", "Work", "Work/2019", "Work/2019/Deep", "\\Sent", "Empty/Inner"}


def test_a_directory_of_maildirs(tmp_path: Path) -> None:
    for name in ("INBOX", "INBOX/.Sub", "Archive"):
        maildir(tmp_path / name)
    assert folders(tmp_path) == ["INBOX", "\\Archive", "INBOX/Sub"]


def test_kmail(tmp_path: Path) -> None:
    for name in ("inbox", "sent-mail", ".inbox.directory/Work", ".inbox.directory/.Work.directory/2019"):
        maildir(tmp_path / name)
    assert set(folders(tmp_path)) == {"INBOX", "\\Sent", "INBOX/Work", "INBOX/Work/2019"}


def test_links_and_loops_are_not_followed(box: Path) -> None:
    (box / ".Loop").symlink_to(box)
    (box / ".Out").symlink_to("/")
    (box / ".Nowhere").symlink_to("nowhere")
    found = find(box, Settings())
    assert [part.folder for part in found.parts] == ["INBOX"]
    assert [remark.count for remark in found.remarks] == [3]


def test_a_maildir_behind_a_link_is_a_fault(box: Path, tmp_path: Path) -> None:
    maildir(tmp_path / "elsewhere")
    (box / ".Archive").symlink_to(tmp_path / "elsewhere")
    (fault,) = [part for part in find(box, Settings()).parts if part.fault]
    assert fault.folder == "\\Archive"
    assert "name what it leads to" in fault.fault


def test_the_store_itself_may_be_a_link(box: Path, tmp_path: Path) -> None:
    (box / "cur" / f"{NAME}:2,S").write_bytes(MAIL)
    (tmp_path / "link").symlink_to(box)
    one = source(tmp_path / "link")
    assert one.id == f"maildir:{box}"
    assert len(one.list().refs) == 1


def test_a_folder_without_new_is_one(box: Path) -> None:
    (box / "cur" / f"{NAME}:2,S").write_bytes(MAIL)
    (box / "new").rmdir()
    assert only(box).flags == frozenset({"\\Seen"})


def test_a_tree_too_deep_is_a_fault_and_no_end(box: Path) -> None:
    deep = box.joinpath(*["d"] * 70)
    maildir(deep)
    (fault,) = [part for part in find(box, Settings()).parts if part.fault]
    assert "64 directories deep" in fault.fault


@pytest.mark.parametrize("what", ["nothing", "file", "other"])
def test_what_is_no_maildir_is_refused(tmp_path: Path, what: str) -> None:
    path = tmp_path / "it"
    if what == "file":
        path.write_bytes(b"")
    if what == "other":
        (path / "sub").mkdir(parents=True)
    with pytest.raises(
        SourceDataError,
        match={"nothing": "no such", "file": "no directory", "other": "no Maildir|holds"}[what],
    ):
        maildir_source(path, Settings()).open()


def test_a_folder_that_vanishes_costs_only_itself(box: Path) -> None:
    (box / "cur" / f"{NAME}:2,S").write_bytes(MAIL)
    sub = maildir(box / ".Sub")
    one = source(box)
    for name in ("cur", "new", "tmp"):
        (sub / name).rmdir()
    found = list(one.read(one.list().refs))
    assert [type(item) for item in found] == [Message, Unread]
    assert isinstance(found[1], Unread)
    assert "cannot be read" in found[1].reason
