"""Trees of mbox files, as each program keeps or exports them, and what lies about in them."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pop2imap.errors import SourceDataError
from pop2imap.model import Message, Unread
from pop2imap.sources.mbox_known import Memory
from pop2imap.sources.mbox_tree import find, mbox_tree_source
from pop2imap.sources.settings import Settings
from pop2imap.sources.tree import TreeSource
from pop2imap.sources.walking import Walk

MBOX = b"From alice@example.com Thu Nov 29 19:33:09 2018\nSubject: one\n\nbody\n\n"
EUDORA = b"From ???@??? Fri Mar 10 09:04:22 1995\r\nSubject: one\r\n\r\nbody\r\n\r\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "Mail"
    path.mkdir()
    return path


def put(root: Path, files: dict[str, bytes]) -> None:
    for name, octets in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(octets)


def source(root: Path, **given: object) -> TreeSource:
    one = mbox_tree_source(root, Settings(**given))  # type: ignore[arg-type]
    one.open()
    return one


def items(root: Path, **given: object) -> list[Message | Unread]:
    one = source(root, **given)
    return list(one.read(one.list().refs))


def folders(root: Path) -> list[str]:
    return [part.folder for part in find(root, Settings()).parts]


def test_apple_mails_export(root: Path) -> None:
    put(
        root,
        {
            "INBOX.mbox/mbox": MBOX,
            "INBOX.mbox/table_of_contents": b"\0\1",
            "Work.mbox/mbox": MBOX,
            "Work/Clients.mbox/mbox": MBOX,
            "Deleted Messages.mbox/mbox": b"",
        },
    )
    assert folders(root) == ["INBOX", "\\Trash", "Work/Clients", "Work"]
    assert folders(root / "Work.mbox") == ["Work"]
    assert not find(root, Settings()).remarks


def test_thunderbirds_directories(root: Path) -> None:
    put(
        root,
        {
            "Inbox": MBOX,
            "Inbox.msf": b"x",
            "Inbox.sbd/2020": MBOX,
            "Inbox.sbd/2020.msf": b"x",
            "Archives.sbd/2019.sbd/May": MBOX,
            "Sent": b"",
            "msgFilterRules.dat": b"x",
            "popstate.dat": b"x",
        },
    )
    assert set(folders(root)) == {"INBOX", "\\Sent", "INBOX/2020", "\\Archive/2019/May"}
    assert len(items(root)) == 3


def test_eudora(root: Path) -> None:
    put(
        root,
        {
            "descmap.pce": b"In,In.mbx,S,N\r\nLong name, with comma,Longna~1.mbx,M,N\r\n"
            b"K\xfcche,Kueche.fol,F,Y\r\nbad\r\n",
            "In.mbx": EUDORA,
            "In.toc": b"\0\1",
            "Out.mbx": EUDORA,
            "Trash.mbx": b"",
            "LONGNA~1.MBX": EUDORA,
            "Kueche.fol/Rezepte.mbx": EUDORA,
            "eudora.ini": b"[Settings]",
            "Attach/photo.jpg": b"\xff\xd8",
        },
    )
    found = find(root, Settings())
    assert {part.folder for part in found.parts} == {
        *("INBOX", "\\Sent", "\\Trash", "Long name, with comma", "Küche/Rezepte")
    }
    assert [(remark.count, remark.text) for remark in found.remarks] == [
        (1, "files that are no mbox are passed over, such as Attach/photo.jpg")
    ]


def test_kmail_with_maildirs_beside(root: Path) -> None:
    put(
        root,
        {
            "inbox": MBOX,
            ".inbox.index": b"x",
            ".inbox.directory/Work": MBOX,
            "sent-mail/cur/1600000000.host:2,S": b"Subject: x\n\n",
            "sent-mail/new/.keep": b"",
        },
    )
    assert set(folders(root)) == {"INBOX", "INBOX/Work", "\\Sent"}
    assert [type(item) for item in items(root)] == [Message] * 3


def test_plain_files_and_directories(root: Path) -> None:
    put(
        root,
        {
            "saved.2019": MBOX,
            "work/acme.mbox": MBOX,
            "work/globex.mbx": b"\r\n\r\n" + MBOX,
            "work/empty": b"",
            "work/empty.txt": b"",
            "notes": b"Dear diary\n",
            "photo.png": b"\x89PNG\r\n\x1a\n",
            "photos.zip": b"PK",
            "acme.mbox.lock": b"",
            "old~": MBOX,
        },
    )
    found = find(root, Settings())
    assert [part.folder for part in found.parts] == ["saved.2019", "work/acme", "work/empty", "work/globex"]
    assert [(remark.count, remark.text) for remark in found.remarks] == [
        (2, "files that are no mbox are passed over, such as notes"),
        (1, "compressed files are passed over, such as photos.zip"),
    ]


def test_what_is_called_an_mbox_and_is_none_is_a_fault(root: Path) -> None:
    put(
        root,
        {"a.mbox": MBOX, "b.mbox": b"\x89PNG\r\n\x1a\n" + bytes(99), "c.mbx": b"From me to you", "d": MBOX},
    )
    found = items(root)
    assert [type(item) for item in found] == [Message, Unread, Unread, Message]
    binary, cut = (item.reason for item in found if isinstance(item, Unread))
    assert binary.startswith(f"{root}/b.mbox: no mbox: it begins with '\\x89PNG")
    assert (
        cut
        == f"{root}/c.mbx: no mbox: its first line begins with From, but has no date and no header after it"
    )


def test_a_packed_mbox_is_a_fault(root: Path) -> None:
    put(
        root,
        {
            "a": MBOX,
            "b.gz": gzip.compress(MBOX),
            "c.bz2": bz2.compress(MBOX),
            "d.mbox.xz": lzma.compress(MBOX),
            "e.mbox.gz": b"broken",
            "log.gz": gzip.compress(b"no mail"),
            "bad.bz2": b"BZh9",
        },
    )
    found = find(root, Settings())
    assert [(part.folder, bool(part.fault)) for part in found.parts] == [
        *(("a", False), ("b", True), ("c", True), ("d", True), ("e", True))
    ]
    assert found.parts[1].fault == "b.gz: it is compressed; unpack it first"
    assert [remark.count for remark in found.remarks] == [2]


def test_links_and_loops_are_not_followed(root: Path) -> None:
    put(root, {"a": MBOX})
    (root / "b").symlink_to(root / "a")
    (root / "loop").symlink_to(root)
    (root / "secret.mbox").symlink_to("/etc/passwd")
    os.mkfifo(root / "pipe.mbox")
    found = find(root, Settings())
    assert [part.folder for part in found.parts] == ["a"]
    assert [remark.count for remark in found.remarks] == [4]


def test_mail_behind_a_link_is_a_fault(root: Path, tmp_path: Path) -> None:
    put(root, {"a": MBOX})
    put(tmp_path, {"elsewhere.mbox": MBOX, "notes": b"x"})
    (root / "Sent").symlink_to(tmp_path / "elsewhere.mbox")
    (root / "notes").symlink_to(tmp_path / "notes")
    found = find(root, Settings())
    assert [(part.folder, part.fault.partition(";")[0]) for part in found.parts] == [
        *(("\\Sent", "Sent: it is a symbolic link, which is not followed"), ("a", ""))
    ]
    assert [remark.count for remark in found.remarks] == [1]


def test_a_directory_that_cannot_be_read_costs_only_itself(root: Path) -> None:
    """Root may read everything, so it is one too deep."""
    put(root, {"a": MBOX, "/".join(["d"] * 65) + "/b": MBOX, "z": MBOX})
    found = items(root)
    assert [type(item) for item in found] == [Message, Message, Unread]
    assert isinstance(found[2], Unread)
    assert "64 directories deep" in found[2].reason


def test_directories_have_a_bound(root: Path) -> None:
    for name in ("a", "b", "c"):
        (root / name).mkdir()
    walk = Walk(root, most=2)
    assert not isinstance(walk.look(()), str)
    assert not isinstance(walk.look(("a",)), str)
    assert "too many directories" in str(walk.look(("b",)))


def test_a_directory_is_seen_once(root: Path) -> None:
    (root / "a").mkdir()
    walk = Walk(root)
    walk.look(())
    assert walk.look(()) == ([], [], [])
    assert [remark.count for remark in walk.remarks()] == [1]


def test_a_directory_without_mail_is_refused(root: Path) -> None:
    put(root, {"a.txt": b"x"})
    with pytest.raises(SourceDataError, match="holds no mbox files"):
        mbox_tree_source(root, Settings()).open()


def test_what_is_asked_for_reaches_the_files(root: Path, tmp_path: Path) -> None:
    own = MBOX.replace(b"Subject", b"Status: RO\nSubject").replace(b"body", b">From here\n" + b"x\n" * 9000)
    put(root, {"a": own * 3})
    memory = Memory(tmp_path / "listings")
    message, *_ = items(root, keep_headers=True, quoting="mboxrd", memory=lambda: memory)
    assert isinstance(message, Message)
    octets = b"".join(message.octets.chunks())
    assert b"Status: RO\r\n" in octets
    assert b"\r\nFrom here\r\n" in octets
    assert list((tmp_path / "listings").iterdir())
    item, *_ = items(root, max_message_size=20)
    assert isinstance(item, Unread)
    assert "--max-message-size" in item.reason


def test_keys_stay_when_other_folders_come(root: Path) -> None:
    put(root, {"m": MBOX})
    (before,) = source(root).list().refs
    put(root, {"a": MBOX, "Inbox": b""})
    assert before.key in [ref.key for ref in source(root).list().refs]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(
    st.dictionaries(
        st.text(
            st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=12
        ).filter(lambda name: name not in (".", "..")),
        st.binary(max_size=60) | st.just(MBOX),
        max_size=6,
    )
)
def test_whatever_lies_there_nothing_breaks(root: Path, files: dict[str, bytes]) -> None:
    for path in root.iterdir():
        path.unlink()
    put(root, {"first": MBOX, **files})
    one = source(root)
    refs = one.list().refs
    assert len(list(one.read(refs))) == len(refs)
