"""An mbox keeps the contract of a source: with LF and CRLF, as Thunderbird writes it, with Content-Length instead
of quoting, through a pipe, and when another program changes it under our hands."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pop2imap.sources import Listing, ListProgress, Source
from pop2imap.sources.mbox import MboxSource
from pop2imap.sources.mbox_known import Memory
from tests.conftest import DovecotFactory
from tests.contract.source import MAIL, MakeSource, PartlyUnreadableContract, SourceContract, read
from tests.servers.dovecot import PROGRAM, Dovecot

FROM = b"From alice@example.com Thu Nov 29 19:33:09 2018"
LOOKS_LIKE_MBOX = (
    b"From: grace@example.com\r\nSubject: an mbox\r\n\r\nFrom here:\r\n\r\n"
    b"From bob@example.com Thu Nov 29 19:33:09 2018\r\nSubject: inside\r\n\r\n>From there\r\n>>From far\r\n"
)


def as_mbox(mail: list[bytes]) -> bytes:
    """mboxrd with LF."""
    return b"".join(
        FROM + b"\n" + re.sub(rb"(?m)^(>*From )", rb">\1", octets).replace(b"\r\n", b"\n") + b"\n"
        for octets in mail
    )


class _AsFile(SourceContract):
    @pytest.fixture
    def mail(self) -> list[bytes]:
        return [*MAIL, LOOKS_LIKE_MBOX]

    def write(self, mail: list[bytes]) -> bytes:
        raise NotImplementedError

    @pytest.fixture
    def path(self, mail: list[bytes], tmp_path: Path) -> Path:
        path = tmp_path / "mail.mbox"
        path.write_bytes(self.write(mail))
        return path

    @pytest.fixture
    def make(self, path: Path) -> MakeSource:
        return lambda: MboxSource(path)


class TestLf(_AsFile):
    def write(self, mail: list[bytes]) -> bytes:
        return as_mbox(mail)


class TestThatGrew(TestLf):
    @pytest.fixture
    def make(self, path: Path, tmp_path: Path) -> MakeSource:
        """Each source knows what was found when there was less of the file."""
        memory = Memory(tmp_path / "listings")
        octets = path.read_bytes()
        path.write_bytes(octets[: len(octets) * 3 // 4])
        source = MboxSource(path, memory=memory)
        source.open()
        source.list()
        source.close(settled=False)
        with path.open("ab") as file:
            file.write(octets[len(octets) * 3 // 4 :])
        assert list((tmp_path / "listings").iterdir())
        return lambda: MboxSource(path, memory=memory)


class TestCrlf(_AsFile):
    def write(self, mail: list[bytes]) -> bytes:
        return as_mbox(mail).replace(b"\n", b"\r\n")


class TestThunderbird(_AsFile):
    """Bare From_ lines, its own fields on top, and messages of LF and CRLF in one file."""

    def write(self, mail: list[bytes]) -> bytes:
        text = b""
        for number, octets in enumerate(mail):
            quoted = re.sub(rb"(?m)^(>*From )", rb">\1", octets)
            body = quoted.replace(b"\r\n", b"\n") if number % 2 else quoted
            own = b"X-Mozilla-Status: 0001\r\nX-Mozilla-Status2: 00000000\r\nX-Mozilla-Keys:    \r\n"
            text += b"From \r\n" + own + body + b"\r\n"
        return text


class TestMboxcl2(_AsFile):
    """No quoting; each message says how long its body is."""

    @pytest.fixture
    def mail(self) -> list[bytes]:
        mail = []
        for octets in [*MAIL, LOOKS_LIKE_MBOX]:
            head, _, body = octets.partition(b"\r\n\r\n")
            length = len(body.replace(b"\r\n", b"\n"))
            mail.append(head + b"\r\nContent-Length: %d\r\n\r\n" % length + body)
        return mail

    def write(self, mail: list[bytes]) -> bytes:
        return b"".join(FROM + b"\n" + octets.replace(b"\r\n", b"\n") + b"\n" for octets in mail)


class TestThroughAPipe(_AsFile):
    def write(self, mail: list[bytes]) -> bytes:
        return as_mbox(mail)

    @pytest.fixture
    def make(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeSource:
        def make() -> Source:
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(path.read_bytes())))
            return MboxSource(None)

        return make


class TestWrittenByDovecot(_AsFile):
    """A real program's mbox: Content-Length instead of quoting, and flags in five kinds of line."""

    @pytest.fixture
    def mail(self) -> list[bytes]:
        # Dovecot gives a message without a body one empty line
        return [octets for octets in [*MAIL, LOOKS_LIKE_MBOX] if not octets.endswith(b"\r\n\r\n")]

    @pytest.fixture
    def mbox(self, dovecot_like: DovecotFactory) -> Dovecot:
        return dovecot_like(EXTRA_CONF=_dovecot_keeps_mbox())

    @pytest.fixture
    def user(self, mbox: Dovecot, mail: list[bytes]) -> str:
        user = mbox.user()
        for octets in mail:
            mbox.doveadm("save", "-u", user, "-m", "INBOX", input=octets)
        return user

    @pytest.fixture
    def path(self, mbox: Dovecot, user: str) -> Path:
        return mbox.directory / "home" / user / "inbox"

    def test_flags_are_those_that_its_users_see(self, make: MakeSource, mbox: Dovecot, user: str) -> None:
        for flags, message in (
            ("\\Seen \\Answered", "1"),
            ("\\Flagged \\Draft $work", "2"),
            ("\\Deleted", "3"),
        ):
            mbox.doveadm("flags", "add", "-u", user, flags, "mailbox", "INBOX", message)
        source = make()
        source.open()
        messages = read(source, source.list().refs)
        assert [message.flags for message in messages[:4]] == [
            frozenset({"\\Seen", "\\Answered"}),
            frozenset({"\\Flagged", "\\Draft", "$work"}),
            frozenset(),
            frozenset(),
        ]
        assert [bool(message.discarded) for message in messages[:4]] == [False, False, True, False]
        source.close(settled=True)

    def test_reading_mail_over_imap_changes_no_key(self, make: MakeSource, mbox: Dovecot, user: str) -> None:
        source = make()
        source.open()
        before = [ref.key for ref in source.list().refs]
        mbox.doveadm("flags", "add", "-u", user, "\\Seen", "mailbox", "INBOX", "ALL")
        source.close(settled=True)
        source.open()
        assert [ref.key for ref in source.list().refs] == before
        source.close(settled=True)


def _dovecot_keeps_mbox() -> str:
    version = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True).stdout
    if version.startswith("2.3"):
        return "mail_location = mbox:~/mail:INBOX=~/inbox"
    return "mail_driver = mbox\nmail_path = ~/mail\nmail_inbox_path = ~/inbox"


class _ChangedUnderOurHands(MboxSource):
    """Another program changes the second message after the listing."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._text = path

    def list(self, progress: ListProgress | None = None) -> Listing:
        listing = super().list(progress)
        self._text.write_bytes(self._text.read_bytes().replace(b"Subject: dots", b"Subject: DOTS"))
        return listing


class TestChanged(PartlyUnreadableContract):
    @pytest.fixture
    def partly_unreadable(self, tmp_path: Path) -> Source:
        path = tmp_path / "mail.mbox"
        path.write_bytes(as_mbox(MAIL))
        return _ChangedUnderOurHands(path)
