"""The way from the greeting to the mail: TLS first, one login, nothing unasked."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pop2imap import net
from pop2imap.credentials import Secret
from pop2imap.errors import (
    AuthenticationFailed,
    ConfigError,
    ConnectionLost,
    HostUnavailable,
    Pop2imapError,
    ProtocolError,
    ServerBusy,
    TlsRefused,
)
from pop2imap.sources import pop3_wire
from pop2imap.sources.pop3_session import Session, open_session
from tests.fakes.pop3_server import (
    CAPABILITIES,
    CERTIFICATE,
    MASTER,
    MASTER_PASSWORD,
    PASSWORD,
    USER,
    Maildrop,
    Pop3Server,
    SessionLog,
    endless,
)

STARTTLS = net.Transport.STARTTLS
WITH_STLS = (*CAPABILITIES, "STLS")


@contextmanager
def session(
    server: Pop3Server,
    transport: net.Transport | None = None,
    *,
    user: str = USER,
    password: str = PASSWORD,
    login_as: str = "",
) -> Iterator[Session]:
    opened, _ = open_session(server.address(transport), user, Secret(password), login_as)
    try:
        yield opened
    finally:
        opened.close()


def refused(maildrop: Maildrop, kind: type[Pop2imapError], **how: object) -> tuple[Pop2imapError, SessionLog]:
    """The error that a login ends with, which must be exactly of ``kind``, and what the server saw."""
    transport = how.pop("transport", None)
    assert transport is None or isinstance(transport, net.Transport)
    with Pop3Server(maildrop) as server:
        with pytest.raises(kind) as caught, session(server, transport, **how):  # type: ignore[arg-type]
            pass
        assert caught.type is kind
        (log,) = server.wait()
    assert PASSWORD not in repr(caught.value)
    return caught.value, log


def logged_in(
    maildrop: Maildrop, user: str = USER, password: str = PASSWORD, login_as: str = ""
) -> SessionLog:
    with Pop3Server(maildrop) as server:
        with session(server, user=user, password=password, login_as=login_as):
            pass
        (log,) = server.wait()
    assert log.user
    return log


def sent_a_password(log: SessionLog) -> bool:
    return any(line.upper().startswith(("PASS", "AUTH")) for line in log.commands)


class TestTls:
    def test_may_begin_with_the_first_octet(self) -> None:
        with Pop3Server(Maildrop(), tls=True) as server:
            with session(server):
                pass
            (log,) = server.wait()
        assert log.before_tls == []
        assert log.user == USER

    def test_by_stls_comes_before_any_credential_and_capabilities_are_asked_again(self) -> None:
        maildrop = Maildrop(capabilities=WITH_STLS, capabilities_after_login=("UIDL", "EXPIRE 7"))
        with Pop3Server(maildrop) as server:
            with session(server, STARTTLS) as opened:
                assert "EXPIRE" in opened.capabilities
                assert "STLS" not in opened.capabilities
            (log,) = server.wait()
        assert log.before_tls == ["CAPA", "STLS"]
        assert log.commands == ["CAPA", "STLS", "CAPA", f"USER {USER}", f"PASS {PASSWORD}", "CAPA"]

    def test_by_stls_forgets_what_was_said_in_clear_text(self) -> None:
        maildrop = Maildrop(capabilities=WITH_STLS, greeting=b"+OK Gpop ready, or so they say\r\n")
        with Pop3Server(maildrop) as server, session(server, STARTTLS) as opened:
            assert opened.greeting.words == ""

    def test_by_stls_works_without_capa(self) -> None:
        maildrop = Maildrop(capabilities=WITH_STLS, answers={"CAPA": b"-ERR what?\r\n"})
        with Pop3Server(maildrop) as server, session(server, STARTTLS) as opened:
            assert not opened.capabilities.known

    def test_that_is_not_offered_ends_it(self) -> None:
        error, log = refused(Maildrop(), TlsRefused, transport=STARTTLS)
        assert log.commands == ["CAPA"]
        assert "pop3s" in error.todo

    def test_that_is_refused_ends_it(self) -> None:
        maildrop = Maildrop(capabilities=WITH_STLS, answers={"STLS": b"-ERR no key\r\n"})
        error, log = refused(maildrop, TlsRefused, transport=STARTTLS)
        assert log.commands == ["CAPA", "STLS"]
        assert "no key" in error.what

    @pytest.mark.parametrize("injected", [b"+OK injected\r\n", b"+", b"\r\n", b"\x16\x03"])
    def test_does_not_begin_over_octets_that_stand_before_it(self, injected: bytes) -> None:
        _, log = refused(Maildrop(capabilities=WITH_STLS, injected=injected), TlsRefused, transport=STARTTLS)
        assert log.commands == ["CAPA", "STLS"]

    @pytest.mark.parametrize("where", ["greeting", "CAPA"])
    def test_does_not_begin_over_octets_that_came_earlier(self, where: str) -> None:
        maildrop = Maildrop(capabilities=WITH_STLS)
        if where == "greeting":
            maildrop.greeting = b"+OK ready\r\n+OK injected\r\n"
        else:
            maildrop.answers["CAPA"] = b"+OK\r\nSTLS\r\n.\r\n+OK injected\r\n"
        _, log = refused(maildrop, TlsRefused, transport=STARTTLS)
        assert not sent_a_password(log)
        assert "STLS" not in log.commands

    @pytest.mark.parametrize("transport", [net.Transport.TLS, STARTTLS])
    @pytest.mark.parametrize(("host", "ca_file"), [("127.0.0.1", None), ("127.0.0.2", CERTIFICATE)])
    def test_is_refused_when_nobody_vouches_for_the_certificate_or_it_is_for_another_name(
        self, transport: net.Transport, host: str, ca_file: Path | None
    ) -> None:
        maildrop = Maildrop(capabilities=WITH_STLS)
        with Pop3Server(maildrop, host=host, tls=transport is net.Transport.TLS) as server:
            with pytest.raises(TlsRefused):
                open_session(net.Server(host, server.port, transport, ca_file), USER, Secret(PASSWORD))
            (log,) = server.wait()
        assert not sent_a_password(log)

    def test_is_not_there_where_clear_text_is_spoken(self) -> None:
        with Pop3Server(Maildrop()) as server, pytest.raises(TlsRefused):
            open_session(server.address(net.Transport.TLS), USER, Secret(PASSWORD))

    @pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
    def test_works_for_addresses_of_both_kinds(self, host: str) -> None:
        try:
            server = Pop3Server(Maildrop(), host=host, tls=True)
        except OSError:
            pytest.skip(f"no {host} on this machine")
        with server, session(server) as opened:
            assert opened.where == (f"[::1]:{server.port}" if host == "::1" else f"127.0.0.1:{server.port}")

    def test_works_for_a_name(self) -> None:
        with Pop3Server(Maildrop(), tls=True) as server:
            opened, _ = open_session(server.address(host="localhost"), USER, Secret(PASSWORD))
            opened.close()


class TestLogin:
    def test_is_user_and_pass(self) -> None:
        assert logged_in(Maildrop()).commands[:3] == ["CAPA", f"USER {USER}", f"PASS {PASSWORD}"]
        assert logged_in(Maildrop(capabilities=None)).commands[1:3] == [f"USER {USER}", f"PASS {PASSWORD}"]
        assert logged_in(Maildrop(capabilities=("UIDL",))).commands[1] == f"USER {USER}"

    @pytest.mark.parametrize("answer", [b"+OK\r\n", b"-ERR what?\r\n"])
    def test_asks_before_for_mail_as_it_is_where_that_is_offered(self, answer: bytes) -> None:
        maildrop = Maildrop(capabilities=(*CAPABILITIES, "UTF8 USER"), answers={"UTF8": answer})
        assert logged_in(maildrop).commands == ["CAPA", "UTF8", f"USER {USER}", f"PASS {PASSWORD}", "CAPA"]

    def test_is_auth_plain_where_user_is_not_offered(self) -> None:
        log = logged_in(Maildrop(capabilities=("SASL LOGIN plain", "UIDL")))
        assert log.commands[1] == "AUTH PLAIN " + base64.b64encode(b"\0alice\0secret").decode()
        assert log.user == USER

    def test_is_auth_plain_for_what_is_not_ascii_where_that_is_offered(self) -> None:
        users = {"jürgen": "geheim", "alice": "pässword"}
        for user, password in users.items():
            log = logged_in(Maildrop(users=users), user=user, password=password)
            assert log.commands[1].startswith("AUTH PLAIN ")
            assert log.user == user
        log = logged_in(Maildrop(users=users, capabilities=("USER",)), user="jürgen", password="geheim")
        assert log.commands[1] == "USER jürgen"

    def test_for_another_mailbox_is_auth_plain_with_an_authorization_identity(self) -> None:
        log = logged_in(Maildrop(), user=MASTER, password=MASTER_PASSWORD, login_as=USER)
        assert log.user == USER
        assert base64.b64decode(log.commands[1].split()[-1]) == b"alice\0admin\0admin-secret"

    def test_takes_two_steps_when_the_server_did_not_say_that_it_knows_plain(self) -> None:
        maildrop = Maildrop(capabilities=None)
        log = logged_in(maildrop, user=MASTER, password=MASTER_PASSWORD, login_as=USER)
        assert log.commands[1] == "AUTH PLAIN"
        assert log.user == USER

    def test_takes_two_steps_when_the_line_would_be_too_long(self) -> None:
        password = "x" * 200
        maildrop = Maildrop(users={USER: password}, capabilities=("SASL PLAIN",))
        assert logged_in(maildrop, password=password).commands[1] == "AUTH PLAIN"

    def test_gives_no_password_to_a_server_without_plain(self) -> None:
        maildrop = Maildrop(answers={"AUTH": b"-ERR unknown command\r\n"}, capabilities=("USER",))
        _, log = refused(maildrop, AuthenticationFailed, login_as="bob")
        assert log.commands == ["CAPA", "AUTH PLAIN"]

    def test_answers_a_server_that_overlooked_the_response(self) -> None:
        maildrop = Maildrop(capabilities=("SASL PLAIN",))
        response = base64.b64encode(b"\0alice\0secret").decode()
        maildrop.answers["AUTH PLAIN " + response] = b"+ \r\n"
        maildrop.answers[response] = b"+OK\r\n"
        with Pop3Server(maildrop) as server:
            with session(server):
                pass
            (log,) = server.wait()
        assert log.commands[1:3] == ["AUTH PLAIN " + response, response]

    def test_is_not_won_by_a_challenge(self) -> None:
        maildrop = Maildrop(capabilities=("SASL PLAIN",), answers={"AUTH": b"+ eyJ9\r\n"})
        maildrop.answers[base64.b64encode(b"\0alice\0secret").decode()] = b"+ eyJ9\r\n"
        maildrop.answers["*"] = b"-ERR cancelled\r\n"
        error, log = refused(maildrop, AuthenticationFailed)
        assert log.commands[-1] == "*"
        assert "cancelled" in error.what

    def test_fails_once_and_is_not_tried_in_another_way(self) -> None:
        _, log = refused(Maildrop(), AuthenticationFailed, password="wrong")
        assert log.commands == ["CAPA", f"USER {USER}", "PASS wrong"]
        _, log = refused(Maildrop(capabilities=("SASL PLAIN",)), AuthenticationFailed, password="wrong")
        assert [line.split()[0] for line in log.commands] == ["CAPA", "AUTH"]

    def test_does_not_give_the_password_to_a_server_that_refuses_the_name(self) -> None:
        _, log = refused(Maildrop(answers={"USER": b"-ERR no such user\r\n"}), AuthenticationFailed)
        assert log.commands == ["CAPA", f"USER {USER}"]

    @pytest.mark.parametrize(
        ("answer", "kind"),
        [
            (b"-ERR [IN-USE] locked\r\n", ServerBusy),
            (b"-ERR [SYS/TEMP] later\r\n", ServerBusy),
            (b"-ERR [SYS/PERM] call us\r\n", AuthenticationFailed),
            (b"-ERR [AUTH] no\r\n", AuthenticationFailed),
            (b"-ERR\r\n", AuthenticationFailed),
            (b"* BYE\r\n", ProtocolError),
        ],
    )
    def test_may_be_refused_in_many_ways(self, answer: bytes, kind: type[Pop2imapError]) -> None:
        refused(Maildrop(answers={"PASS": answer}), kind)

    def test_too_soon_says_how_long_to_wait(self) -> None:
        maildrop = Maildrop(capabilities=("USER", "LOGIN-DELAY 300 USER"))
        maildrop.answers["PASS"] = b"-ERR [LOGIN-DELAY] not yet\r\n"
        error, _ = refused(maildrop, ServerBusy)
        assert error.retry_after == 300

    def test_that_is_cut_off_is_a_lost_connection(self) -> None:
        refused(Maildrop(cut={f"PASS {PASSWORD}": 3}), ConnectionLost)

    @pytest.mark.parametrize(
        ("user", "password"), [("a\r\nDELE 1", "x"), ("alice", "x\r\nDELE 1"), ("alice", "\0")]
    )
    def test_with_a_line_end_in_it_is_refused_before_anything_is_sent(self, user: str, password: str) -> None:
        with Pop3Server(Maildrop()) as server:
            with pytest.raises(ConfigError):
                open_session(server.address(), user, Secret(password))
            assert server.sessions == []


class TestGreeting:
    @pytest.mark.parametrize(
        ("greeting", "kind"),
        [
            (b"-ERR too many connections\r\n", ServerBusy),
            (b"-ERR [SYS/PERM] closed for good\r\n", HostUnavailable),
            (b"* OK IMAP4rev1\r\n", ProtocolError),
            (b"+OK " + b"x" * 9000 + b"\r\n", ProtocolError),
            (b"+OK ready\r\n+OK and more\r\n", ProtocolError),
            (b"+OK ready\r\n-ERR bye\r\n", ConnectionLost),
        ],
    )
    def test_may_end_it(self, greeting: bytes, kind: type[Pop2imapError]) -> None:
        _, log = refused(Maildrop(greeting=greeting), kind)
        assert not sent_a_password(log)


class TestLimits:
    def test_an_endless_line_ends_it(self) -> None:
        maildrop = Maildrop()
        with Pop3Server(maildrop) as server, session(server) as opened:
            maildrop.answers["STAT"] = endless(b"x" * 4096, first=b"+OK ")
            with pytest.raises(ProtocolError):
                opened.ask(pop3_wire.STAT)

    def test_endless_capabilities_end_it(self) -> None:
        refused(Maildrop(answers={"CAPA": endless(b"X-MORE\r\n" * 100)}), ProtocolError)

    def test_a_message_that_only_drips_ends_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        maildrop = Maildrop([b"x"], answers={"RETR": endless(b"x" * 4096)})
        with Pop3Server(maildrop) as server, session(server) as opened:
            monkeypatch.setattr(net, "SLOW_FOR", 0.0)
            monkeypatch.setattr(net, "SLOWEST", 1 << 60)
            opened.send(pop3_wire.retr(1))
            with pytest.raises(ConnectionLost, match="octets a second"):
                opened.drain()


class TestSession:
    def test_that_has_failed_says_so_each_time(self) -> None:
        maildrop = Maildrop(cut={"STAT": 2})
        with Pop3Server(maildrop) as server, session(server) as opened:
            assert not opened.ended
            for _ in range(2):
                with pytest.raises(ConnectionLost):
                    opened.ask(pop3_wire.STAT)
            assert opened.ended
            with pytest.raises(ConnectionLost):
                opened.send(pop3_wire.NOOP)

    def test_drops_what_nobody_took(self) -> None:
        with Pop3Server(Maildrop([b"a\r\n", b"b\r\n"])) as server, session(server) as opened:
            opened.send(pop3_wire.retr(1), pop3_wire.retr(2))
            opened.peek()
            assert opened.ask(pop3_wire.STAT).text == "2 6"

    def test_that_ends_mail_with_bare_line_feeds_is_told_apart(self) -> None:
        reply = b"+OK\nSubject: x\n\n.\n"
        maildrop = Maildrop([b"x"], answers={"RETR": reply}, cut={"RETR 1": len(reply)})
        with Pop3Server(maildrop) as server, session(server) as opened:
            opened.send(pop3_wire.retr(1))
            with pytest.raises(ConnectionLost) as caught:
                opened.drain()
            assert "LF.LF" in caught.value.what
            assert caught.value.todo
