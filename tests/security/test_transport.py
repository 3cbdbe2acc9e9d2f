"""TLS or nothing, for both protocols, over real sockets: whatever is wrong with it, no name and no password is sent."""

from __future__ import annotations

import base64
import re
import ssl
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from pop2imap import net
from pop2imap.credentials import Secret
from pop2imap.errors import AuthenticationFailed, HostUnavailable, Pop2imapError, TlsRefused
from pop2imap.sources.pop3_session import open_session
from pop2imap.target.session import Session
from tests.fakes import imap_server, pop3_server
from tests.fakes.imap_server import ImapAccount, ImapServer
from tests.fakes.pop3_server import Maildrop, Pop3Server

USER, PASSWORD = "alice", "hunter2-never-sent"
FAKES = Path(pop3_server.__file__).parent
TLS, STARTTLS = net.Transport.TLS, net.Transport.STARTTLS

Server = Pop3Server | ImapServer
Start = Callable[[net.Transport], Server]


def pop3(transport: net.Transport, drop: Maildrop | None = None) -> Pop3Server:
    drop = drop or Maildrop(capabilities=(*pop3_server.CAPABILITIES, "STLS"))
    return Pop3Server(drop, tls=transport is TLS)


def imap(transport: net.Transport, account: ImapAccount | None = None) -> ImapServer:
    account = account or ImapAccount(capabilities=f"{imap_server.CAPABILITIES} STARTTLS")
    return ImapServer(account, tls=transport is TLS)


def log_in(server: Server, address: net.Server) -> None:
    """Come as far as a login, and end it."""
    if isinstance(server, Pop3Server):
        opened, _ = open_session(address, USER, Secret(PASSWORD))
        opened.close()
        return
    session = Session(address)
    try:
        session.login(USER, Secret(PASSWORD))
    finally:
        session.drop()


def refused(server: Server, address: net.Server, kind: type[Pop2imapError]) -> Pop2imapError:
    """The error, after it was made sure that neither name nor password was sent, in no form."""
    with server:
        with pytest.raises(kind) as caught:
            log_in(server, address)
        heard = "\n".join(line for log in server.wait() for line in log.commands)
    for word in (USER, PASSWORD, base64.b64encode(f"\0{USER}\0{PASSWORD}".encode()).decode()):
        assert word not in heard
    return caught.value


both = pytest.mark.parametrize("start", [pop3, imap])
ways = pytest.mark.parametrize("transport", [TLS, STARTTLS])


@both
@ways
@pytest.mark.parametrize(
    ("certificate", "words"),
    [("expired", "expired"), ("elsewhere", "mismatch|not valid for"), ("localhost", "self.signed")],
)
def test_a_certificate_that_proves_nothing_ends_it(
    start: Start, transport: net.Transport, certificate: str, words: str
) -> None:
    server = start(transport)
    own = FAKES / f"{certificate}.pem"
    server.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.context.load_cert_chain(own)
    trusted = None if certificate == "localhost" else own
    error = refused(server, server.address(transport)._replace(ca_file=trusted), TlsRefused)
    assert "not to be trusted" in error.what
    assert re.search(words, str(error.__cause__))


@both
@ways
def test_tls_older_than_1_2_ends_it(start: Start, transport: net.Transport) -> None:
    server = start(transport)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        server.context.minimum_version = ssl.TLSVersion.TLSv1
        server.context.maximum_version = ssl.TLSVersion.TLSv1_1
    server.context.set_ciphers("ALL:@SECLEVEL=0")
    refused(server, server.address(transport), TlsRefused)


@both
@pytest.mark.parametrize("talk", [b"", b"+OK ready\r\n", b"* OK ready\r\n", b"\x15\x03\x01\x00\x02\x02\x28"])
def test_what_speaks_no_tls_where_tls_belongs_ends_it(start: Start, talk: bytes) -> None:
    server: Server
    if start is pop3:
        server = pop3(net.Transport.CLEAR, Maildrop(greeting=talk or b"\n"))
    else:
        server = imap(net.Transport.CLEAR, ImapAccount(greeting=(talk or b"\n") + b"\n"))
    refused(server, server.address(TLS), TlsRefused)


@both
@pytest.mark.parametrize("more", [
    b"+OK logged in\r\n", b"* CAPABILITY IMAP4rev1\r\n", b"* PREAUTH hello\r\n", b"A1 OK in\r\n",
    b"\x16\x03\x01", b"\0", b"\n",
])  # fmt: skip
def test_an_octet_behind_the_agreement_in_the_same_packet_ends_it(start: Start, more: bytes) -> None:
    server: Server
    if start is pop3:
        server = pop3(STARTTLS, Maildrop(capabilities=("STLS",), injected=more))
    else:
        server = imap(STARTTLS, ImapAccount(capabilities="IMAP4rev1 STARTTLS AUTH=PLAIN", injected=more))
    assert re.search("attack|injecting", refused(server, server.address(STARTTLS), TlsRefused).what)


@pytest.mark.parametrize("agreed", ["OK", "NO", "BAD"])
def test_answers_that_were_given_before_they_were_asked_for_end_it(agreed: str) -> None:
    """An attacker need not know the tag: it would have to be guessed, and then stands in clear text all the same."""
    guesses = b"".join(b"{tag}%d %b now\r\n" % (n, agreed.encode()) for n in range(3))
    account = ImapAccount(capabilities="IMAP4rev1 STARTTLS", answers={"CAPABILITY": (
        b"* CAPABILITY IMAP4rev1 STARTTLS\r\n{tag} OK done\r\n" + guesses
    )})  # fmt: skip
    server = imap(STARTTLS, account)
    refused(server, server.address(STARTTLS), TlsRefused)


@pytest.mark.parametrize("transport", [TLS, STARTTLS, net.Transport.CLEAR])
def test_a_login_that_somebody_else_made_ends_it(transport: net.Transport) -> None:
    server = imap(transport, ImapAccount(greeting=b"* PREAUTH welcome, root\r\n"))
    kind = TlsRefused if transport is STARTTLS else AuthenticationFailed
    assert "PREAUTH" in refused(server, server.address(transport), kind).what


def test_what_was_offered_in_clear_text_is_asked_again_under_tls() -> None:
    account = ImapAccount(
        capabilities="IMAP4rev1 AUTH=PLAIN UIDPLUS",
        capabilities_in_clear="IMAP4rev1 STARTTLS AUTH=EVIL X-EVIL",
    )
    with imap(STARTTLS, account) as server:
        session = Session(server.address(STARTTLS))
        session.login(USER, Secret(imap_server.PASSWORD))
        assert session.capabilities == {"IMAP4REV1", "AUTH=PLAIN", "UIDPLUS"}
        session.close()


def looked_into(server: ImapServer) -> None:
    session = Session(server.address())
    try:
        session.login(USER, Secret(imap_server.PASSWORD))
        session.ask(session.select("INBOX", read_only=True))
    finally:
        session.drop()


REFERRAL = b"[REFERRAL imap://eve@127.0.0.1:%d/INBOX] try there"


@pytest.mark.parametrize("where", ["greeting", "AUTHENTICATE", "EXAMINE"])
def test_nobody_is_followed_to_another_server(where: str) -> None:
    """RFC 2221 and RFC 2193 would have us take the password there."""
    with imap(net.Transport.CLEAR) as elsewhere:
        pointed = REFERRAL % elsewhere.port
        account = ImapAccount()
        if where == "greeting":
            account.greeting = b"* BYE " + pointed + b"\r\n"
        else:
            account.answers[where] = b"{tag} NO " + pointed + b"\r\n"
        with imap(net.Transport.CLEAR, account) as server, pytest.raises(Pop2imapError):
            looked_into(server)
    assert elsewhere.wait() == []


@pytest.mark.parametrize("protocol", ["pop3", "imap"])
def test_nothing_is_said_to_what_answers_in_the_wrong_language(protocol: str) -> None:
    other = (imap if protocol == "pop3" else pop3)(net.Transport.CLEAR)
    with other:
        with pytest.raises(Pop2imapError) as caught:
            open_session(other.address(), USER, Secret(PASSWORD)) if protocol == "pop3" else Session(
                other.address()
            )
        assert all(log.commands == [] for log in other.wait())
    assert caught.value.exit_code == HostUnavailable.exit_code
