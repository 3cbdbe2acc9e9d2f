"""The POP3 source against a real Dovecot: what only a real server does."""

from __future__ import annotations

import pytest

from pop2imap import net
from pop2imap.credentials import Secret
from pop2imap.errors import AuthenticationFailed, ConnectionLost, ServerBusy
from pop2imap.model import Message, Unread
from pop2imap.sources.pop3 import Pop3Source
from tests.conftest import DovecotFactory
from tests.servers.dovecot import MASTER, MASTER_PASSWORD, PASSWORD, Dovecot

pytestmark = pytest.mark.system

MAIL = [f"Subject: {number}\r\n\r\nbody of {number}\r\n".encode() for number in range(1, 6)]


def octets(item: Message | Unread) -> bytes:
    assert isinstance(item, Message)
    return b"".join(item.octets.chunks())


def deliver(dovecot: Dovecot, user: str, *mail: bytes) -> None:
    for message in mail:
        dovecot.doveadm("save", "-u", user, "-m", "INBOX", input=message)


def flags(dovecot: Dovecot, user: str) -> list[str]:
    return dovecot.doveadm("-f", "flow", "fetch", "-u", user, "flags", "mailbox", "INBOX").split("\n")[:-1]


def test_peeking_leaves_mail_unread_and_reading_does_not(dovecot: Dovecot) -> None:
    user = dovecot.user()
    deliver(dovecot, user, *MAIL)
    source = Pop3Source(dovecot.pop3(), user, Secret(PASSWORD))
    source.open()
    assert len(list(source.peek(source.list().refs))) == 5
    source.close(settled=True)
    assert not any("\\Seen" in line for line in flags(dovecot, user))
    source.open()
    assert [octets(item) for item in source.read(source.list().refs)] == MAIL
    source.close(settled=True)
    assert all("\\Seen" in line for line in flags(dovecot, user))


def test_the_administrator_reads_for_somebody_else(dovecot: Dovecot) -> None:
    user = dovecot.user()
    deliver(dovecot, user, *MAIL)
    for transport in net.Transport:
        source = Pop3Source(dovecot.pop3(transport), MASTER, Secret(MASTER_PASSWORD), login_as=user)
        assert "AUTH PLAIN" in " ".join(source.open())
        assert [octets(item) for item in source.read(source.list().refs)] == MAIL
        assert source.close(settled=True) == ()


def test_a_wrong_password_is_one_failure(dovecot: Dovecot) -> None:
    source = Pop3Source(dovecot.pop3(), dovecot.user(), Secret("wrong"))
    with pytest.raises(AuthenticationFailed):
        source.open()


def test_a_locked_maildrop_is_busy(dovecot_like: DovecotFactory) -> None:
    dovecot = dovecot_like(EXTRA_CONF="protocol pop3 {\n  pop3_lock_session = yes\n}\n")
    user = dovecot.user()
    first = Pop3Source(dovecot.pop3(), user, Secret(PASSWORD))
    first.open()
    try:
        with pytest.raises(ServerBusy) as caught:
            Pop3Source(dovecot.pop3(), user, Secret(PASSWORD)).open()
        assert "in use" in caught.value.what
    finally:
        first.close(settled=True)


def test_mail_expunged_meanwhile_is_gone_and_the_rest_goes_on(dovecot: Dovecot) -> None:
    user = dovecot.user()
    deliver(dovecot, user, *MAIL)
    source = Pop3Source(dovecot.pop3(), user, Secret(PASSWORD))
    source.open()
    refs = source.list().refs
    dovecot.doveadm("expunge", "-u", user, "mailbox", "INBOX", "2:3")
    items = list(source.read(refs))
    source.close(settled=True)
    assert [item.position for item in items] == [1, 2, 3, 4, 5]
    lost = [(item.position, item.account.name) for item in items if isinstance(item, Unread)]
    assert lost == [(2, "GONE"), (3, "GONE")]


def test_a_server_that_dies_is_a_lost_connection(dovecot_like: DovecotFactory) -> None:
    dovecot = Dovecot()
    try:
        user = dovecot.user()
        deliver(dovecot, user, *MAIL)
        source = Pop3Source(dovecot.pop3(), user, Secret(PASSWORD))
        source.open()
        refs = source.list().refs
        dovecot.kill()
        with pytest.raises(ConnectionLost):
            list(source.read(refs))
        assert source.close(settled=True)
    finally:
        dovecot.stop(purge=True)
