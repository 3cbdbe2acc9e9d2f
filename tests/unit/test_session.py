"""IMAP sessions against a server that does what servers and attackers do."""

from __future__ import annotations

import base64
import logging
import socket
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pop2imap import net
from pop2imap.credentials import Secret
from pop2imap.errors import (
    AuthenticationFailed,
    ConnectionLost,
    FolderError,
    HostUnavailable,
    Pop2imapError,
    ProtocolError,
    ServerBusy,
    TlsRefused,
)
from pop2imap.octets import from_bytes
from pop2imap.target.session import Session, encoded
from tests.fakes.imap_server import CAPABILITIES, PASSWORD, USER, Box, ImapAccount, ImapServer, Mail

CLEAR, STARTTLS = net.Transport.CLEAR, net.Transport.STARTTLS


@contextmanager
def session_with(
    account: ImapAccount, transport: net.Transport = CLEAR
) -> Iterator[tuple[Session, ImapServer]]:
    """A session that is logged in."""
    with ImapServer(account) as server:
        session = Session(server.address(transport))
        try:
            session.login(USER, Secret(PASSWORD))
            yield session, server
        finally:
            session.close()


def failure(
    account: ImapAccount,
    kind: type[Pop2imapError],
    transport: net.Transport = CLEAR,
    *,
    password: str = PASSWORD,
) -> tuple[Pop2imapError, list[str]]:
    """The error that connecting and logging in ends with, and all that the server heard."""
    with ImapServer(account) as server:
        with pytest.raises(kind) as caught:
            _log_in(server.address(transport), password)
        (log,) = server.wait()
    assert type(caught.value) is kind
    return caught.value, log.commands


def _log_in(server: net.Server, password: str) -> None:
    session = Session(server)
    try:
        session.login(USER, Secret(password))
    finally:
        session.drop()


# -- TLS


def test_starttls_comes_before_any_credential() -> None:
    account = ImapAccount(capabilities_in_clear="IMAP4rev1 STARTTLS LOGINDISABLED")
    with session_with(account, STARTTLS) as (session, server):
        assert session.capabilities == frozenset(CAPABILITIES.upper().split())
        assert server.sessions[0].before_tls == ["CAPABILITY", "STARTTLS"]


@pytest.mark.parametrize(
    "account",
    [
        ImapAccount(),
        ImapAccount(
            capabilities_in_clear="IMAP4rev1 STARTTLS", answers={"STARTTLS": b"{tag} NO not now\r\n"}
        ),
        ImapAccount(capabilities_in_clear="IMAP4rev1 STARTTLS", answers={"STARTTLS": b"{tag} BAD what?\r\n"}),
        ImapAccount(capabilities_in_clear="IMAP4rev1 STARTTLS", greeting=b"* PREAUTH welcome back\r\n"),
        ImapAccount(capabilities_in_clear="IMAP4rev1 STARTTLS", injected=b"* OK injected\r\n"),
        ImapAccount(capabilities_in_clear="IMAP4rev1 STARTTLS", injected=b"\0"),
    ],
    ids=["not offered", "refused", "not understood", "PREAUTH", "injected line", "injected octet"],
)
def test_without_starttls_nothing_is_told(account: ImapAccount) -> None:
    _, heard = failure(account, TlsRefused, STARTTLS)
    assert set(heard) <= {"CAPABILITY", "STARTTLS"}


def test_what_came_before_tls_is_forgotten() -> None:
    account = ImapAccount(
        capabilities_in_clear="IMAP4rev1 STARTTLS AUTH=EVIL",
        greeting=b"* OK [CAPABILITY IMAP4rev1 EVIL] evil\r\n"
        b'* LIST () "/" "evil"\r\n* NAMESPACE (("evil" ".")) NIL NIL\r\n',
    )
    with session_with(account, STARTTLS) as (session, _):
        assert not any("EVIL" in word for word in session.capabilities)
        assert [listed.name for listed in session.ask(session.listing())] == ["INBOX"]
        assert session.ask(session.namespace()) == ("", "/", ())
        assert session.greeting == ""


@pytest.mark.parametrize("tls", [False, True])
def test_a_login_that_nobody_made_is_refused(*, tls: bool) -> None:
    with ImapServer(ImapAccount(greeting=b"* PREAUTH welcome back, root\r\n"), tls=tls) as server:
        with pytest.raises(AuthenticationFailed, match="PREAUTH"):
            Session(server.address())
        assert server.wait()[0].commands == ["CAPABILITY"]


# -- greeting


@pytest.mark.parametrize(
    ("greeting", "kind"),
    [
        (b"* BYE go away\r\n", HostUnavailable),
        (b"* BYE [UNAVAILABLE] back soon\r\n", ServerBusy),
        (b"* BYE Too many connections from your address\r\n", ServerBusy),
        (b"220 mail.example.com ESMTP\r\n", ProtocolError),
        (b"+OK POP3 ready\r\n", ProtocolError),
        (b"SSH-2.0-OpenSSH_9.2\r\n", ProtocolError),
        (b"\x00\xff\xfe\r\n", ProtocolError),
        (b"* \r\n", ProtocolError),
        (b"* OK " + b"x" * 300_000 + b"\r\n", ProtocolError),
        (b"* OK " + b"x" * 2_000_000 + b"\r\n", ProtocolError),
        (b"* OK half a li", HostUnavailable),
    ],
)
def test_greetings_that_are_none(greeting: bytes, kind: type[Pop2imapError]) -> None:
    error, _ = failure(ImapAccount(greeting=greeting), kind)
    assert str(error).isprintable()
    assert len(str(error)) < 500


def test_tls_where_clear_text_is_spoken_is_said() -> None:
    with ImapServer(ImapAccount()) as server, pytest.raises(TlsRefused):
        Session(server.address(net.Transport.TLS))


# -- login


def test_plain_carries_both_identities() -> None:
    with ImapServer(ImapAccount()) as server:
        session = Session(server.address())
        session.login("admin", Secret(PASSWORD), USER)
        session.close()
        heard = server.wait()[0].commands
    at = heard.index("AUTHENTICATE PLAIN")
    assert base64.b64decode(heard[at + 1]) == b"alice\0admin\0secret"


def test_login_is_used_where_there_is_no_plain_and_quotes_what_it_sends() -> None:
    account = ImapAccount(capabilities="IMAP4rev1", answers={"LOGIN": b"{tag} OK in\r\n"})
    with ImapServer(account) as server:
        session = Session(server.address())
        session.login('al "ice" \\', Secret('se"cr\\et'))
        session.close()
        assert server.wait()[0].commands[1] == 'LOGIN "al \\"ice\\" \\\\" "se\\"cr\\\\et"'


@pytest.mark.parametrize("capabilities", ["IMAP4rev1", "IMAP4rev1 AUTH=PLAIN"])
@pytest.mark.parametrize(("user", "password", "login_as"), [
    ("alice\r\nA CREATE x", "secret", ""), ("alice", "se\0cret", ""), ("alice", "secret", "bob\0eve"),
])  # fmt: skip
def test_nothing_is_smuggled_into_a_login(capabilities: str, user: str, password: str, login_as: str) -> None:
    with ImapServer(ImapAccount(capabilities=capabilities)) as server:
        session = Session(server.address())
        with pytest.raises(AuthenticationFailed):
            session.login(user, Secret(password), login_as)
        session.drop()
        assert set(server.wait()[0].commands) == {"CAPABILITY"}


@pytest.mark.parametrize(
    ("capabilities", "password", "login_as", "words"),
    [
        ("IMAP4rev1 LOGINDISABLED", "secret", "", "LOGINDISABLED"),
        ("IMAP4rev1", "gehe\u00efm", "", "ASCII"),
        ("IMAP4rev1", "secret", "bob", "AUTH=PLAIN"),
    ],
)
def test_logins_that_cannot_be_are_not_tried(
    capabilities: str, password: str, login_as: str, words: str
) -> None:
    with ImapServer(ImapAccount(capabilities=capabilities)) as server:
        session = Session(server.address())
        with pytest.raises(AuthenticationFailed, match=words):
            session.login(USER, Secret(password), login_as)
        session.drop()
        assert set(server.wait()[0].commands) == {"CAPABILITY"}


def test_a_password_beyond_ascii_goes_through_plain_as_utf8() -> None:
    with ImapServer(ImapAccount()) as server:
        session = Session(server.address())
        with pytest.raises(AuthenticationFailed):
            session.login("ålice", Secret("gehëim"))
        session.drop()
        assert base64.b64decode(server.wait()[0].commands[-1]).decode() == "\0ålice\0gehëim"


@pytest.mark.parametrize(
    ("answer", "kind", "retry_after"),
    [
        (b"NO [AUTHENTICATIONFAILED] no", AuthenticationFailed, None),
        (b"NO [AUTHORIZATIONFAILED] no", AuthenticationFailed, None),
        (b"NO [EXPIRED] change it", AuthenticationFailed, None),
        (b"NO invalid credentials", AuthenticationFailed, None),
        (b"BAD invalid credentials", AuthenticationFailed, None),
        (b"NO [UNAVAILABLE] back soon", ServerBusy, None),
        (b"NO [INUSE] by somebody", ServerBusy, None),
        (b"NO [LIMIT] too often", ServerBusy, None),
        (b"NO [ALERT] Too many simultaneous connections. (Failure)", ServerBusy, None),
        (b"NO Request is throttled. Suggested Backoff Time: 299961 milliseconds", ServerBusy, 299.961),
        (b"BAD Request is throttled. Suggested Backoff Time: 5 milliseconds", ServerBusy, 0.005),
    ],
)
@pytest.mark.parametrize("capabilities", ["IMAP4rev1", "IMAP4rev1 AUTH=PLAIN"])
def test_refused_logins_are_told_apart(
    answer: bytes, kind: type[Pop2imapError], retry_after: float | None, capabilities: str
) -> None:
    scripted = b"{tag} " + answer + b"\r\n"
    account = ImapAccount(capabilities=capabilities, answers={"AUTHENTICATE": scripted, "LOGIN": scripted})
    error, heard = failure(account, kind)
    assert error.retry_after == retry_after
    assert sum(line.startswith(("AUTHENTICATE", "LOGIN")) for line in heard) == 1  # no second guess


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"* BYE [UNAVAILABLE] back soon\r\n", ServerBusy),
        (b"* BYE go away\r\n", ConnectionLost),
        (b"{tag} NO half", ConnectionLost),
        (b"\r\n", ProtocolError),
        (b"Z9 OK welcome\r\n", ProtocolError),
        (b"* 1 LIST {99999999999}\r\n", ProtocolError),
    ],
)
@pytest.mark.parametrize("capabilities", ["IMAP4rev1", "IMAP4rev1 AUTH=PLAIN"])
def test_logins_that_end_in_nonsense(answer: bytes, kind: type[Pop2imapError], capabilities: str) -> None:
    account = ImapAccount(capabilities=capabilities, answers={"AUTHENTICATE": answer, "LOGIN": answer})
    failure(account, kind)


@pytest.mark.parametrize("capabilities", ["IMAP4rev1", "IMAP4rev1 AUTH=PLAIN"])
@pytest.mark.parametrize("answer", [
    b"{tag} NO bad login: alice open-sesame b3Blbi1zZXNhbWU=\r\n", b"{tag} BAD\r\n", b"* BYE no\r\n", b"cut", b"??\r\n",
])  # fmt: skip
def test_no_error_of_a_login_holds_the_password(
    capabilities: str, answer: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    account = ImapAccount(capabilities=capabilities, answers={"AUTHENTICATE": answer, "LOGIN": answer})
    with ImapServer(account) as server:
        session = Session(server.address())
        secret = Secret("open" + "-sesame")
        with pytest.raises(Pop2imapError) as caught:
            session.login(USER, secret)
        session.drop()
    error = caught.value
    told = traceback.TracebackException.from_exception(error, capture_locals=True)
    frames = [(frame.locals, frame.line) for frame in told.stack if frame.filename != __file__]
    assert frames
    shown = "".join((repr(frames), str(error), repr(error), repr(error.__cause__), repr(error.__context__)))
    shown += caplog.text
    assert "open-sesame" not in shown
    assert "b3Blbi1zZXNhbWU=" not in shown


# -- hostile and strange answers


@pytest.mark.parametrize(
    "answer",
    [
        b'* LIST () "/" {2000000000}\r\n',
        b'* LIST () "/" ' + b"x" * 2_000_000 + b"\r\n",
        (b'* LIST () "/" ' + b"x" * 900_000 + b"\r\n") * 20,
        b"* LIST " + b"(" * 100_000 + b"\r\n{tag} OK\r\n",
        b'* LIST (x "/" "y"\r\n{tag} OK\r\n',
        b"* LIST () NIL\r\n{tag} OK\r\n",
        b"{tag} NO no\r\n",
        b"{tag} BAD no\r\n",
        b"{tag} MAYBE\r\n",
        b"+ go on\r\n{tag} BAD\r\n",
    ],
)
def test_hostile_listings_are_protocol_errors(answer: bytes) -> None:
    with session_with(ImapAccount(answers={"LIST": answer})) as (session, _), pytest.raises(ProtocolError):
        session.ask(session.listing())


def test_a_listing_may_come_in_many_shapes() -> None:
    account = ImapAccount(
        answers={
            "LIST": b'* LIST (\\HasNoChildren) "/" INBOX\r\n'
            b'* LIST () "/" {8}\r\nFolder 1\r\n'
            b'* LIST () NIL "flat"\r\n'
            b'* LIST (\\SENT \\HasNoChildren) "/" "Gesendet &AOQ-"\r\n'
            b'* LIST () "/" 2019\r\n'
            b'* LIST () "/" "a\\"b"\r\n'
            b'* LIST () "/" "child" ("CHILDINFO" ("SUBSCRIBED"))\r\n'
            b"* 5 EXISTS\r\n"
            b'* LIST (\\Noselect) "/" "&broken"\r\n'
            b'* LIST () "/" "raw \xc3\xa4"\r\n'
            b'* LIST () "\\\\" "back\\\\slash"\r\n'
            b"{tag} OK\r\n"
        }
    )
    with session_with(account) as (session, _):
        listed = session.ask(session.listing())
    assert [one.name for one in listed] == [
        "INBOX", "Folder 1", "flat", "Gesendet ä", "2019", 'a"b', "child", "back\\slash",
    ]  # fmt: skip
    assert listed[2].delimiter == ""
    assert listed[-1].delimiter == "\\"
    assert "\\sent" in listed[3].attributes


def test_names_that_no_folder_has_are_left_out() -> None:
    names = [b"INBOX", b"x" * 1025, b"&" + b"AwADFg" * 100_000 + b"-"]
    answer = b"".join(b'* LIST () "/" "%b"\r\n' % name for name in names) + b"{tag} OK\r\n"
    with session_with(ImapAccount(answers={"LIST": answer})) as (session, _):
        assert [listed.name for listed in session.ask(session.listing())] == ["INBOX"]


def test_special_uses_are_asked_for_and_done_without_where_that_fails() -> None:
    account = ImapAccount(answers={'LIST "" "*" RETURN': b"{tag} BAD what?\r\n"})
    with session_with(account) as (session, server):
        assert [one.name for one in session.ask(session.listing())] == ["INBOX"]
        assert server.sessions[0].commands[-2:] == ['LIST "" "*" RETURN (SPECIAL-USE)', 'LIST "" "*"']


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (
            b'* NAMESPACE (("INBOX." ".")) (("user." ".")) (("shared." "."))',
            ("INBOX.", ".", ("user.", "shared.")),
        ),
        (b'* NAMESPACE (("INBOX" ".")) NIL NIL', ("INBOX.", ".", ())),
        (b'* NAMESPACE (("#mh/" "/")("" "/")) NIL NIL', ("", "/", ("#mh/",))),
        (b"* NAMESPACE NIL NIL NIL", (None, "/", ())),
        (b"* NAMESPACE (((((", (None, "/", ())),
        (b"* NAMESPACE", (None, "/", ())),
    ],
)
def test_namespaces(answer: bytes, expected: tuple[str | None, str, tuple[str, ...]]) -> None:
    with session_with(ImapAccount(answers={"NAMESPACE": answer + b"\r\n{tag} OK\r\n"})) as (session, _):
        assert session.ask(session.namespace()) == expected


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b'("name" "Dovecot")', "Dovecot"),
        (b'("vendor" "x" "NAME" "Cyrus IMAP" "version" "3.6.1")', "Cyrus IMAP 3.6.1"),
        (b'("name" NIL "version" 4)', "4"),
        (b'("name" "evil\x1b[2J")', "evil\\x1b[2J"),
        (b"NIL", "ready"),
        (b"((((", "ready"),
        (b'("name")', "ready"),
    ],
)
def test_names_that_servers_give_themselves(answer: bytes, expected: str) -> None:
    account = ImapAccount(answers={"ID": b"* ID " + answer + b"\r\n{tag} OK\r\n"})
    with session_with(account) as (session, server):
        assert session.ask(session.identify()) == expected
        assert server.sessions[0].commands[-1].startswith('ID ("name" "pop2imap" "version" "')


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b'* QUOTAROOT INBOX a b\r\n* QUOTA a (STORAGE 10 100)\r\n* QUOTA b (STORAGE 10 50 MESSAGE 1 9)',
         [("STORAGE", 10, 100), ("STORAGE", 10, 50), ("MESSAGE", 1, 9)]),
        (b"* QUOTAROOT INBOX", []),
        (b'* QUOTAROOT INBOX ""\r\n* QUOTA "" (STORAGE -1 x)', []),
        (b'* QUOTAROOT INBOX ""\r\n* QUOTA "" (STORAGE 99999999999999999999 5)', []),
        (b'* QUOTAROOT INBOX ""\r\n* QUOTA "" (((', []),
        (b'* QUOTAROOT INBOX ""\r\n* QUOTA "" (STORAGE 1.0 5.0)', [("STORAGE", 1, 5)]),
    ],
)  # fmt: skip
def test_quotas_are_numbers_or_nothing(answer: bytes, expected: list[tuple[str, int, int]]) -> None:
    account = ImapAccount(
        capabilities=f"{CAPABILITIES} QUOTA", answers={"GETQUOTAROOT": answer + b"\r\n{tag} OK\r\n"}
    )
    with session_with(account) as (session, _):
        assert session.ask(session.quota()) == expected


def test_numbers_as_some_servers_write_them() -> None:
    answer = b'* STATUS "INBOX" (MESSAGES 3.0 UIDNEXT 12.00 UIDVALIDITY 7)\r\n{tag} OK\r\n'
    with session_with(ImapAccount(answers={"STATUS": answer})) as (session, _):
        status = session.ask(session.status("INBOX"))
        assert (status.messages, status.uidnext, status.uidvalidity, status.append_limit) == (3, 12, 7, None)


def test_the_append_limit_of_a_mailbox_is_asked_for_where_it_differs() -> None:
    account = ImapAccount(
        capabilities=f"{CAPABILITIES} APPENDLIMIT",
        answers={
            "STATUS": b"* STATUS INBOX (MESSAGES 0 UIDNEXT 1 UIDVALIDITY 7 APPENDLIMIT 35651584)\r\n{tag} OK\r\n"
        },
    )
    with session_with(account) as (session, server):
        assert session.ask(session.status("INBOX")).append_limit == 35_651_584
        assert server.sessions[0].commands[-1].endswith("(MESSAGES UIDNEXT UIDVALIDITY APPENDLIMIT)")


def test_selecting_tells_what_stays() -> None:
    with session_with(ImapAccount()) as (session, _):
        selected = session.ask(session.select("INBOX", read_only=False))
        assert selected.permanent_flags == frozenset(
            {"\\answered", "\\flagged", "\\deleted", "\\seen", "\\draft", "\\*"}
        )
        assert (selected.uidvalidity, selected.uidnext, selected.messages) == (7, 1, 0)
        assert not selected.read_only
        assert session.ask(session.select("INBOX", read_only=True)).read_only
        assert (
            session.ask(session.select("INBOX", read_only=False)).uidvalidity == 7
        )  # imaplib would not go on


def test_a_mailbox_is_never_left_with_close() -> None:
    for capabilities in (CAPABILITIES, CAPABILITIES.replace("UNSELECT ", "")):
        with session_with(ImapAccount(capabilities=capabilities)) as (session, server):
            session.ask(session.select("INBOX", read_only=False))
            session.ask(session.unselect())
            session.ask(session.unselect())
            commands = server.sessions[0].commands
            assert commands[-1] == ("UNSELECT" if "UNSELECT" in capabilities else 'EXAMINE ""')
            assert "CLOSE" not in commands


def test_busy_servers_are_told_from_folders_that_cannot_be() -> None:
    account = ImapAccount(
        answers={"CREATE": b"{tag} NO [UNAVAILABLE] later\r\n", "EXAMINE": b"{tag} NO [INUSE] x\r\n"}
    )
    with session_with(account) as (session, _):
        with pytest.raises(ServerBusy):
            session.ask(session.create("x"))
        with pytest.raises(ServerBusy):
            session.ask(session.select("x", read_only=True))
        with pytest.raises(FolderError, match="NONEXISTENT"):
            session.ask(session.status("x"))
    account = ImapAccount(answers={"STATUS": b"{tag} BAD User is authenticated but not connected.\r\n"})
    with session_with(account) as (session, _), pytest.raises(ServerBusy):
        session.ask(session.status("INBOX"))


@pytest.mark.parametrize("farewell", [b"* BYE autologout\r\n", b"* BYE autologout\r\ngone"])
def test_a_farewell_ends_the_session(farewell: bytes) -> None:
    account = ImapAccount(answers={"NOOP": farewell})
    with session_with(account) as (session, _), pytest.raises(ConnectionLost, match="autologout"):
        session.noop()


def test_a_farewell_between_two_commands_ends_the_session() -> None:
    with session_with(ImapAccount(answers={"NOOP": b"{tag} OK\r\n* BYE autologout\r\n"})) as (session, _):
        session.noop()
        with pytest.raises(ConnectionLost, match="autologout"):
            session.noop()


def test_a_server_that_falls_silent_is_given_up() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    with listener:
        silent = net.Server("127.0.0.1", listener.getsockname()[1], CLEAR, None, net.Timeouts(0.05, 5))
        with pytest.raises(HostUnavailable, match=r"no greeting: no answer.*check the port"):
            Session(silent)


def test_an_answer_that_only_drips_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    long = b'* LIST () "/" {900000}\r\n' + b"x" * 900_000 + b"\r\n{tag} OK\r\n"
    with session_with(ImapAccount(answers={"LIST": long})) as (session, _):
        monkeypatch.setattr(net, "SLOW_FOR", 0.0)
        monkeypatch.setattr(net, "SLOWEST", 1 << 60)
        with pytest.raises(ConnectionLost, match="octets a second"):
            session.ask(session.listing())


# -- special uses


def test_a_special_use_is_given_to_what_is_made_where_that_is_possible() -> None:
    account = ImapAccount(capabilities=f"{CAPABILITIES} CREATE-SPECIAL-USE")
    with session_with(account) as (session, server):
        assert session.ask(session.create("Sent", "\\Sent")) == ""
        assert server.sessions[0].commands[-1] == 'CREATE "Sent" (USE (\\Sent))'
    account = ImapAccount(
        capabilities=f"{CAPABILITIES} CREATE-SPECIAL-USE",
        answers={'CREATE "Sent" (USE': b"{tag} NO [USEATTR] no\r\n"},
    )
    with session_with(account) as (session, server):
        assert session.ask(session.create("Sent", "\\Sent")) == ""
        assert server.sessions[0].commands[-1] == 'CREATE "Sent"'
    with session_with(ImapAccount()) as (session, server):
        assert session.ask(session.create("Sent", "\\Sent")) == ""
        assert server.sessions[0].commands[-1] == 'CREATE "Sent"'


def test_names_are_sent_in_modified_utf7() -> None:
    assert encoded("Entwürfe & mehr") == b"Entw&APw-rfe &- mehr"
    for name in ("a\rb", "a\0b", "\u202e", "\ud800", "", "ü" * 90):
        with pytest.raises(FolderError):
            encoded(name)


# -- messages


def _mail(count: int) -> dict[int, Mail]:
    return {uid: Mail(b"Subject: %d\r\n\r\n" % uid) for uid in range(1, count + 1)}


def test_a_large_mailbox_is_surveyed_in_parts() -> None:
    account = ImapAccount(boxes={"INBOX": Box(mail=_mail(12_000), uidnext=12_001)})
    with session_with(account) as (session, server):
        session.ask(session.select("INBOX", read_only=True))
        found = list(session.survey(501, 12_001, 12_000))
        asked = [c.split()[2] for c in server.sessions[0].commands if c.startswith("UID FETCH")]
    assert [one.uid for one in found] == list(range(501, 12_001))
    assert asked == ["501:5500", "5501:10500", "10501:*"]
    assert found[0].flags == frozenset()


def test_a_mailbox_of_gaps_is_surveyed_in_wider_parts() -> None:
    mail = {uid * 1000: Mail(b"x") for uid in range(1, 6002)}
    account = ImapAccount(boxes={"INBOX": Box(mail=mail, uidnext=6_001_001)})
    with session_with(account) as (session, server):
        session.ask(session.select("INBOX", read_only=True))
        assert len(list(session.survey(1, 6_001_001, 6001))) == 6001
        assert sum(c.startswith("UID FETCH") for c in server.sessions[0].commands) < 120


def test_only_what_was_asked_for_is_believed_of_a_fetch() -> None:
    account = ImapAccount(
        boxes={"INBOX": Box(mail=_mail(1), uidnext=2)},
        answers={
            "UID FETCH": b"* 9 FETCH (FLAGS (\\Seen))\r\n"
            b'* 1 FETCH (FLAGS ($a) UID 5.0 RFC822.SIZE 77 INTERNALDATE " 1-Feb-2003 04:05:06 +0200")\r\n'
            b"* 3 EXPUNGE\r\n"
            b"* 2 FETCH (FLAGS (UID 9 RFC822.SIZE) UID 6 RFC822.SIZE 1 INTERNALDATE NIL)\r\n"
            b"{tag} OK\r\n"
        },
    )
    with session_with(account) as (session, _):
        session.ask(session.select("INBOX", read_only=True))
        found = list(session.survey(1, None, 2))
    assert [(one.uid, one.size, sorted(one.flags)) for one in found] == [
        (5, 77, ["$a"]),
        (6, 1, ["9", "RFC822.SIZE", "UID"]),
    ]
    assert found[0].date.isoformat() == "2003-02-01T02:05:06+00:00"
    assert found[1].date.year == 1970


def test_bodies_are_digested_in_every_shape_they_come_in() -> None:
    account = ImapAccount(
        answers={
            "UID FETCH": b"* 1 FETCH (UID 5 BODY[] {5}\r\nhello FLAGS (\\Seen))\r\n"
            b"* 2 FETCH (BODY[] {4}\r\nUID  UID 6)\r\n"
            b"* 7 FETCH (FLAGS (\\Deleted))\r\n"
            b'* 3 FETCH (UID 7 BODY[] "sma\\"ll")\r\n'
            b"* 4 FETCH (UID 8 BODY[] NIL)\r\n"
            b"* 5 FETCH (UID 9 BODY[] {0}\r\n)\r\n"
            b"* 6 FETCH (UID 10 BODY[]<0> {2}\r\nab)\r\n"
            b"{tag} OK\r\n"
        }
    )
    with session_with(account) as (session, _):
        session.ask(session.select("INBOX", read_only=True))
        digests = session.digests(list(range(5, 11)))
    bodies = {5: b"hello", 6: b"UID ", 7: b'sma"ll', 8: b"", 9: b"", 10: b"ab"}
    assert digests == {
        uid: (from_bytes(body).digest, from_bytes(body).match_digest) for uid, body in bodies.items()
    }


@pytest.mark.parametrize(
    "answer",
    [
        b'* LIST () "/" {3}\r\nabc\r\n* 1 FETCH (UID 5 BODY[] {5}\r\nhello)\r\n{tag} OK\r\n',
        b"* 1 FETCH (UID 5 BODY[] {5}\r\nhello BODY[TEXT] {2}\r\nab)\r\n{tag} OK\r\n",
        b"* 1 FETCH (UID 5 BODY[] {99999999999999}\r\nhello)\r\n{tag} OK\r\n",
        b"* 1 FETCH (UID 5 BODY[] {1}\r\nx)\r\n" * 100_000 + b"{tag} OK\r\n",
    ],
)
def test_bodies_that_cannot_be_told_apart_are_protocol_errors(answer: bytes) -> None:
    with session_with(ImapAccount(answers={"UID FETCH": answer})) as (session, _):
        session.ask(session.select("INBOX", read_only=True))
        with pytest.raises(ProtocolError):
            session.digests([5])


def test_a_body_that_breaks_off_is_a_lost_connection() -> None:
    answer = b"* 1 FETCH (UID 5 BODY[] {500}\r\nhello"
    with session_with(ImapAccount(answers={"UID FETCH": answer})) as (session, _):
        session.ask(session.select("INBOX", read_only=True))
        with pytest.raises(ConnectionLost):
            session.digests([5])
