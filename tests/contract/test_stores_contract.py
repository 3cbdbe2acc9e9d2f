"""Stores of many folders keep the contract of a source: Maildir, MH, directories of .eml and .emlx files, trees of mbox
files. Their mail is spread over several folders, with LF and CRLF, in the order of the listing."""

from __future__ import annotations

from pathlib import Path

import pytest

from pop2imap.model import Account, Unread
from pop2imap.sources import Source
from pop2imap.sources.apple_mail import apple_mail_source
from pop2imap.sources.eml import eml_source
from pop2imap.sources.maildir import maildir_source
from pop2imap.sources.mbox_tree import mbox_tree_source
from pop2imap.sources.mh import mh_source
from pop2imap.sources.settings import Settings
from tests.contract.source import MAIL, MakeSource, PartlyUnreadableContract, SourceContract
from tests.contract.test_mbox_contract import as_mbox

SMALL = MAIL[:3]


def lf(octets: bytes) -> bytes:
    return octets.replace(b"\r\n", b"\n")


def folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def maildir(path: Path) -> Path:
    for name in ("cur", "new", "tmp"):
        folder(path / name)
    return path


def emlx(octets: bytes, flags: int = 1) -> bytes:
    said = (
        b'<plist version="1.0">\n<dict>\n\t<key>flags</key>\n\t<integer>%d</integer>\n</dict>\n</plist>\n'
        % flags
    )
    return b"%-10d\n" % len(octets) + octets + b'<?xml version="1.0" encoding="UTF-8"?>\n' + said


class TestMaildir(SourceContract, PartlyUnreadableContract):
    @pytest.fixture
    def make(self, mail: list[bytes], tmp_path: Path) -> MakeSource:
        inbox, sent = maildir(tmp_path / "M"), maildir(tmp_path / "M" / ".Sent")
        for nth, octets in enumerate(mail[:5]):
            where = "new/%d.M1.host" if nth % 2 else "cur/%d.M1.host:2,S"
            (inbox / (where % (1_600_000_000 + nth))).write_bytes(lf(octets) if nth % 3 else octets)
        for nth, octets in enumerate(mail[5:]):
            (sent / "cur" / f"{1_600_000_000 + nth}.M1.host:2,S").write_bytes(octets)
        return lambda: maildir_source(tmp_path / "M", Settings(spool=tmp_path))

    @pytest.fixture
    def partly_unreadable(self, tmp_path: Path) -> Source:
        box = maildir(tmp_path / "M")
        for nth in (1, 3):
            (box / "cur" / f"160000000{nth}.host:2,").write_bytes(SMALL[nth - 1])
        folder(box / "cur" / "1600000002.host:2,")
        return maildir_source(box, Settings())


class TestMh(SourceContract, PartlyUnreadableContract):
    @pytest.fixture
    def make(self, mail: list[bytes], tmp_path: Path) -> MakeSource:
        for number, octets in enumerate(mail[:6], 7):
            (folder(tmp_path / "Mail" / "inbox") / str(number)).write_bytes(lf(octets))
        for number, octets in enumerate(mail[6:], 1):
            (folder(tmp_path / "Mail" / "inbox" / "2020") / str(number)).write_bytes(octets)
        return lambda: mh_source(tmp_path / "Mail", Settings(spool=tmp_path))

    @pytest.fixture
    def partly_unreadable(self, tmp_path: Path) -> Source:
        box = folder(tmp_path / "inbox")
        for number in (1, 3):
            (box / str(number)).write_bytes(SMALL[number - 1])
        (box / "2").symlink_to(tmp_path / "nowhere")
        return mh_source(box, Settings())


class TestEml(SourceContract, PartlyUnreadableContract):
    @pytest.fixture
    def make(self, mail: list[bytes], tmp_path: Path) -> MakeSource:
        for number, octets in enumerate(mail[:5], 7):
            name = f"Message {number}.{'EML' if number % 2 else 'eml'}"
            (folder(tmp_path / "export") / name).write_bytes(octets if number % 2 else lf(octets))
        for number, octets in enumerate(mail[5:]):
            (folder(tmp_path / "export" / "Work" / "2020") / f"{number}.eml").write_bytes(octets)
        return lambda: eml_source(tmp_path / "export", Settings(spool=tmp_path))

    @pytest.fixture
    def partly_unreadable(self, tmp_path: Path) -> Source:
        box = folder(tmp_path / "box")
        for number in (1, 3):
            (box / f"{number}.eml").write_bytes(SMALL[number - 1])
        (box / "2.eml").symlink_to(box / "1.eml")
        return eml_source(box, Settings())


class TestAppleMail(SourceContract, PartlyUnreadableContract):
    @pytest.fixture
    def make(self, mail: list[bytes], tmp_path: Path) -> MakeSource:
        """More than a thousand messages of a mailbox lie in directories by their digits."""
        account = tmp_path / "V10" / "5A1B"
        for nth, octets in enumerate(mail[:5]):
            below = "INBOX.mbox/77CC/Data/1/Messages" if nth % 2 else "INBOX.mbox/77CC/Data/Messages"
            (folder(account / below) / f"{990 + 5 * nth}.emlx").write_bytes(
                emlx(lf(octets) if nth % 2 else octets)
            )
        for nth, octets in enumerate(mail[5:]):
            (folder(account / "Work.mbox/77CC/Data/Messages") / f"{nth}.emlx").write_bytes(emlx(octets))
        return lambda: apple_mail_source(tmp_path, Settings(spool=tmp_path))

    @pytest.fixture
    def partly_unreadable(self, tmp_path: Path) -> Source:
        box = folder(tmp_path / "box")
        for number in (1, 3):
            (box / f"{number}.emlx").write_bytes(emlx(SMALL[number - 1]))
        (box / "2.emlx").write_bytes(emlx(SMALL[1])[:50])
        return apple_mail_source(box, Settings())


class TestMboxTree(SourceContract, PartlyUnreadableContract):
    @pytest.fixture
    def make(self, mail: list[bytes], tmp_path: Path) -> MakeSource:
        root = folder(tmp_path / "tree")
        (root / "Inbox").write_bytes(as_mbox(mail[:3]))
        (folder(root / "Work.mbox") / "mbox").write_bytes(as_mbox(mail[5:]))
        (folder(root / "Inbox.sbd") / "2020.mbox").write_bytes(as_mbox(mail[3:5]))
        (root / "Inbox.msf").write_bytes(b"// <!-- <mdb:mork:z")
        return lambda: mbox_tree_source(root, Settings(spool=tmp_path))

    @pytest.fixture
    def partly_unreadable(self, tmp_path: Path) -> Source:
        root = folder(tmp_path / "tree")
        for number in (1, 3):
            (root / f"{number}.mbox").write_bytes(as_mbox(SMALL[:1]))
        (root / "2.mbox").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(1000))
        return mbox_tree_source(root, Settings())

    def test_why_it_cannot_be_read_is_said(self, partly_unreadable: Source) -> None:
        partly_unreadable.open()
        lost = list(partly_unreadable.read(partly_unreadable.list().refs))[1]
        assert isinstance(lost, Unread)
        assert lost.account is Account.UNREADABLE
        assert "2.mbox: no mbox: it begins with" in lost.reason
