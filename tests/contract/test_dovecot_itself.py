"""The real server that the other tests stand on does what they take for granted."""

from __future__ import annotations

import imaplib
import poplib
import socket
import ssl

import pytest

from tests.servers.dovecot import MASTER, MASTER_PASSWORD, PASSWORD, Dovecot


def test_any_user_logs_in_over_tls_with_a_certificate_that_can_be_checked(dovecot: Dovecot) -> None:
    context = ssl.create_default_context(cafile=dovecot.ca_file)
    for host in ("localhost", "127.0.0.1"):
        with imaplib.IMAP4_SSL(host, dovecot.imaps_port, ssl_context=context) as client:
            client.login(dovecot.user(), PASSWORD)
            assert b"\\Sent" in b"".join(line for line in client.list()[1] if isinstance(line, bytes))
    maildrop = poplib.POP3_SSL("localhost", dovecot.pop3s_port, context=context)
    maildrop.user(dovecot.user())
    maildrop.pass_(PASSWORD)
    assert maildrop.stat() == (0, 0)
    maildrop.quit()


def test_it_listens_on_ipv6_where_there_is_ipv6(dovecot: Dovecot) -> None:
    with socket.socket(socket.AF_INET6) as trial:
        try:
            trial.bind(("::1", 0))
        except OSError:
            pytest.skip("no IPv6 on this machine")
    context = ssl.create_default_context(cafile=dovecot.ca_file)
    with imaplib.IMAP4_SSL("::1", dovecot.imaps_port, ssl_context=context) as client:
        client.login(dovecot.user(), PASSWORD)


def test_the_administrator_logs_in_for_somebody_else(dovecot: Dovecot) -> None:
    user = dovecot.user()
    dovecot.doveadm("save", "-u", user, "-m", "INBOX", input=b"Subject: hello\r\n\r\nhello\r\n")
    with imaplib.IMAP4("localhost", dovecot.imap_port) as client:
        client.authenticate("PLAIN", lambda _: f"{user}\0{MASTER}\0{MASTER_PASSWORD}".encode())
        assert client.select("INBOX")[1] == [b"1"]


def test_users_are_strangers_to_each_other(dovecot: Dovecot) -> None:
    assert dovecot.user() != dovecot.user()
    with pytest.raises(imaplib.IMAP4.error), imaplib.IMAP4("localhost", dovecot.imap_port) as client:
        client.login(dovecot.user(), "wrong")


def test_it_can_be_killed_and_started_again_with_its_mail(dovecot_like: object) -> None:
    server = Dovecot()
    try:
        user = server.user()
        server.doveadm("save", "-u", user, "-m", "INBOX", input=b"Subject: hello\r\n\r\nhello\r\n")
        with socket.create_connection(("127.0.0.1", server.imap_port)) as connection:
            connection.settimeout(10)
            assert connection.recv(4).startswith(b"* OK")
            server.kill()
            while connection.recv(1000):
                pass
        server.start()
        assert server.doveadm("mailbox", "status", "-u", user, "messages", "INBOX") == "INBOX messages=1\n"
    finally:
        server.stop(purge=True)
