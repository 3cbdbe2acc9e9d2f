"""A real Dovecot's Maildirs, in both of its layouts, say of its users' mail what Dovecot says over IMAP."""

from __future__ import annotations

import imaplib
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pop2imap.model import Message
from pop2imap.sources.maildir import maildir_source
from pop2imap.sources.settings import Settings
from tests.conftest import DovecotFactory
from tests.servers.dovecot import PASSWORD, PROGRAM, Dovecot

MAIL = b"From: alice@example.org\r\nSubject: %d\r\nStatus: RO\r\n\r\nHello.\r\n"
FOLDERS = ("Sent", "Work", "Work/2019", "Entwürfe", "R&D", "日本語")


def _is_2_3() -> bool:
    version = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True).stdout
    return version.startswith("2.3")


def _compressing() -> str:
    if _is_2_3():
        return "mail_plugins = zlib\nplugin {\n  zlib_save = gz\n}"
    return "mail_plugins {\n  mail_compress = yes\n}\nmail_compress_write_method = gz"


def _fs() -> str:
    if _is_2_3():
        return "mail_location = maildir:~/Maildir:LAYOUT=fs"
    return "mail_path = ~/Maildir\nmailbox_list_layout = fs"


@pytest.fixture(params=["Maildir++", "fs"])
def dovecot(request: pytest.FixtureRequest, dovecot_like: DovecotFactory) -> Dovecot:
    return dovecot_like(EXTRA_CONF=_fs()) if request.param == "fs" else dovecot_like()


@pytest.fixture
def user(dovecot: Dovecot) -> str:
    user = dovecot.user()
    for nth, folder in enumerate(("INBOX", *FOLDERS)):
        if folder not in ("INBOX", "Sent"):
            dovecot.doveadm("mailbox", "create", "-u", user, folder)
        dovecot.doveadm("save", "-u", user, "-m", folder, input=MAIL % nth)
    return user


def place(dovecot: Dovecot, user: str) -> Path:
    fs = dovecot.directory / "home" / user / "Maildir"
    return fs if fs.exists() else dovecot.directory / "mail" / user


def messages(dovecot: Dovecot, user: str) -> dict[str, Message]:
    source = maildir_source(place(dovecot, user), Settings())
    source.open()
    found = list(source.read(source.list().refs))
    source.close(settled=True)
    assert all(isinstance(item, Message) for item in found), found
    return {item.folders[0]: item for item in found if isinstance(item, Message)}


def test_every_folder_is_found_under_its_name(dovecot: Dovecot, user: str) -> None:
    found = messages(dovecot, user)
    assert set(found) == {"INBOX", "\\Sent", "Work", "Work/2019", "\\Drafts", "R&D", "日本語"}
    assert b"".join(found["Work/2019"].octets.chunks()) == MAIL % 3


def test_flags_are_those_that_its_users_see(dovecot: Dovecot, user: str) -> None:
    for flags, folder in (
        ("\\Seen \\Answered $Forwarded", "INBOX"),
        ("\\Flagged \\Draft $work other", "Work"),
        ("\\Deleted", "R&D"),
    ):
        dovecot.doveadm("flags", "add", "-u", user, flags, "mailbox", folder, "ALL")
    found = messages(dovecot, user)
    assert found["INBOX"].flags == frozenset({"\\Seen", "\\Answered", "$Forwarded"})
    assert found["Work"].flags == frozenset({"\\Flagged", "\\Draft", "$work", "other"})
    assert found["R&D"].discarded
    assert found["\\Sent"].flags == frozenset()


def test_without_dates_in_the_header_the_internal_date_is_found(dovecot: Dovecot, user: str) -> None:
    then = datetime(2003, 2, 1, 10, tzinfo=UTC)
    with imaplib.IMAP4("127.0.0.1", dovecot.imap_port) as client:
        client.login(user, PASSWORD)
        client.create("Old")
        client.append("Old", "", imaplib.Time2Internaldate(then), MAIL % 9)
    assert messages(dovecot, user)["Old"].envelope_date == then


def test_what_it_has_compressed_is_unpacked(dovecot_like: DovecotFactory) -> None:
    dovecot = dovecot_like(EXTRA_CONF=_compressing())
    user = dovecot.user()
    mail = MAIL % 1 + b"All work and no play.\r\n" * 1000
    dovecot.doveadm("save", "-u", user, "-m", "INBOX", input=mail)
    (file,) = [one for name in ("cur", "new") for one in (place(dovecot, user) / name).iterdir()]
    assert file.read_bytes().startswith(b"\x1f\x8b")
    assert b"".join(messages(dovecot, user)["INBOX"].octets.chunks()) == mail
