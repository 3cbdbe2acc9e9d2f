"""Apple Mail: single .emlx files, and its tree in several versions."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pop2imap.errors import SourceDataError
from pop2imap.model import Message, Unread
from pop2imap.sources.apple_mail import apple_mail_source, find
from pop2imap.sources.eml import eml_source
from pop2imap.sources.settings import Settings

MAIL = b"From: alice@example.org\nSubject: one\nStatus: RO\n\nHello.\n"


def emlx(octets: bytes, flags: int | None = 1, length: int | None = None) -> bytes:
    said = b"" if flags is None else b"\t<key>flags</key>\n\t<integer>%d</integer>\n" % flags
    count = len(octets) if length is None else length
    return b"%-10d\n" % count + octets + b"<plist>\n<dict>\n" + said + b"</dict>\n</plist>\n"


def put(path: Path, octets: bytes | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(emlx(MAIL) if octets is None else octets)
    return path


def items(root: Path) -> list[Message | Unread]:
    one = apple_mail_source(root, Settings())
    one.open()
    return list(one.read(one.list().refs))


def only(root: Path) -> Message:
    (item,) = items(root)
    assert isinstance(item, Message), item
    return item


def octets(message: Message) -> bytes:
    return b"".join(message.octets.chunks())


@pytest.mark.parametrize(
    ("bits", "flags", "discarded"),
    [
        (0, set(), False),
        (1, {"\\Seen"}, False),
        (1 | 1 << 1, {"\\Seen"}, True),
        (1 << 2 | 1 << 4, {"\\Answered", "\\Flagged"}, False),
        (1 << 6 | 1 << 8, {"\\Draft", "$Forwarded"}, False),
        (1 << 24, {"$Junk"}, False),
        (8590195713, {"\\Seen"}, False),  # attachments, priority, more than 32 bits
    ],
)
def test_flags(tmp_path: Path, bits: int, flags: set[str], discarded: bool) -> None:
    put(tmp_path / "1.emlx", emlx(MAIL, bits))
    message = only(tmp_path)
    assert message.flags == frozenset(flags)
    assert bool(message.discarded) == discarded


def test_the_message_is_what_its_length_says(tmp_path: Path) -> None:
    put(tmp_path / "1.emlx")
    message = only(tmp_path)
    assert octets(message) == MAIL.replace(b"\n", b"\r\n")
    assert not message.partial


def test_without_a_property_list_nothing_is_known(tmp_path: Path) -> None:
    put(tmp_path / "1.emlx", emlx(MAIL, None))
    put(tmp_path / "2.emlx", b"%d\n" % len(MAIL) + MAIL)
    assert [item.flags for item in items(tmp_path) if isinstance(item, Message)] == [None, None]


def test_to_read_a_message_changes_no_key(tmp_path: Path) -> None:
    put(tmp_path / "1.emlx", emlx(MAIL, 0))
    before = only(tmp_path).key
    put(tmp_path / "1.emlx", emlx(MAIL, 123457))
    assert only(tmp_path).key == before


def test_partial_messages_are_said_to_be(tmp_path: Path) -> None:
    put(tmp_path / "1.partial.emlx")
    assert only(tmp_path).partial


def test_a_message_that_is_there_as_a_whole_is_not_wanted_in_part(tmp_path: Path) -> None:
    put(tmp_path / "1.partial.emlx", emlx(b"Subject: less\n\n"))
    put(tmp_path / "1.emlx")
    assert not only(tmp_path).partial


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (emlx(MAIL, 1, 500), "should have 500 octets, but the file ends after"),
        (MAIL, "does not begin with the length"),
        (b"\0" * 100, "does not begin with the length"),
        (b"9" * 400, "does not begin with the length"),
        (emlx(b""), "the message is empty"),
        (b"", "the file is empty"),
    ],
)
def test_damaged_files_are_unreadable(tmp_path: Path, text: bytes, reason: str) -> None:
    put(tmp_path / "1.emlx", text)
    put(tmp_path / "2.emlx")
    lost, rest = items(tmp_path)
    assert isinstance(lost, Unread)
    assert reason in lost.reason
    assert isinstance(rest, Message)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=100))
def test_octets_with_crlf_survive_exactly(tmp_path: Path, body: bytes) -> None:
    mail = b"Subject: x\r\nTo: bob@example.org\r\n\r\n" + body
    put(tmp_path / "1.emlx", emlx(mail))
    assert octets(only(tmp_path)) == mail


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=100))
def test_whatever_a_file_holds_nothing_breaks(tmp_path: Path, text: bytes) -> None:
    put(tmp_path / "1.emlx", text)
    assert len(items(tmp_path)) == 1


# the tree


def test_the_tree_of_today(tmp_path: Path) -> None:
    for name in (
        "V10/4F1A/INBOX.mbox/77CC/Data/Messages/169.emlx",
        "V10/4F1A/INBOX.mbox/77CC/Data/6/4/1/Messages/146053.emlx",
        "V10/4F1A/Work.mbox/Clients.mbox/77CC/Data/Messages/8.emlx",
        "V10/4F1A/Sent Messages.mbox/77CC/Data/Messages/9.emlx",
        "V10/4F1A/[Gmail].mbox/All Mail.mbox/77CC/Data/Messages/10.emlx",
        "V10/4F1A/[Gmail].mbox/Sent Mail.mbox/77CC/Data/Messages/11.emlx",
        "V10/9B2C/INBOX.mbox/77CC/Data/Messages/12.emlx",
    ):
        put(tmp_path / name)
    put(tmp_path / "V10/MailData/Envelope Index", b"SQLite")
    found = find(tmp_path, Settings()).parts
    assert [part.folder for part in found] == [
        *("INBOX", "INBOX", "All Mail", "\\Sent", "\\Sent", "Work/Clients")
    ]
    assert [len(items((tmp_path / part.name).parent)) for part in found] == [2, 1, 1, 1, 1, 1]


def test_the_tree_of_old(tmp_path: Path) -> None:
    put(tmp_path / "V2/IMAP-alice@mail.example.org/INBOX.imapmbox/Messages/3.emlx")
    put(tmp_path / "Mailboxes/Family.mbox/Messages/4.emlx")
    assert [part.folder for part in find(tmp_path, Settings()).parts] == ["INBOX", "Family"]


def test_one_mailbox_is_one_folder_wherever_it_is_named(tmp_path: Path) -> None:
    box = tmp_path / "Work.mbox"
    put(box / "77CC/Data/Messages/1.emlx")
    put(box / "77CC/Data/1/Messages/1001.emlx")
    for root in (box, box / "77CC", tmp_path):
        assert [(part.folder, len(items(root))) for part in find(root, Settings()).parts] == [
            ("77CC" if root.name == "77CC" else "Work", 2)
        ]


def test_plain_directories_are_folders(tmp_path: Path) -> None:
    put(tmp_path / "export" / "1.emlx")
    put(tmp_path / "export" / "Friends" / "2.emlx")
    put(tmp_path / "export" / "._1.emlx", b"\0\5\x16\7")
    (tmp_path / "export" / "loop").symlink_to(tmp_path)
    assert [part.folder for part in find(tmp_path / "export", Settings()).parts] == ["export", "Friends"]


def test_they_are_found_beside_eml_files_too(tmp_path: Path) -> None:
    put(tmp_path / "export" / "1.emlx")
    one = eml_source(tmp_path / "export", Settings())
    one.open()
    assert len(one.list().refs) == 1
    put(tmp_path / "export" / "1.eml", MAIL)
    one.open()
    listing = one.list()
    assert len({ref.key for ref in listing.refs}) == len(listing.refs) == 2
    assert not listing.remarks


def test_a_directory_without_messages_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceDataError, match=r"holds no \.emlx files"):
        apple_mail_source(tmp_path, Settings()).open()
