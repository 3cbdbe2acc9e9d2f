"""A POP3 maildrop keeps the contract of a source: on a correct server, on one without UIDL, over a slow wire in
tiny pieces, and on a real Dovecot."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pop2imap import net
from pop2imap.credentials import Secret
from pop2imap.imap_state import WithState
from pop2imap.sources import Source
from pop2imap.sources.pop3 import Pop3Source
from pop2imap.target.inbox import Inbox
from tests.contract.source import MAIL, MakeSource, PartlyUnreadableContract, SourceContract
from tests.fakes.imap_server import ImapAccount, ImapServer
from tests.fakes.pop3_server import CAPABILITIES, PASSWORD, USER, Maildrop, Pop3Server
from tests.servers.dovecot import Dovecot


class _OnTheFake(SourceContract, PartlyUnreadableContract):
    tls = False

    @pytest.fixture
    def maildrop(self, mail: list[bytes]) -> Maildrop:
        return Maildrop(mail)

    @pytest.fixture
    def server(self, maildrop: Maildrop) -> Iterator[Pop3Server]:
        with Pop3Server(maildrop, tls=self.tls) as server:
            yield server

    @pytest.fixture
    def make(self, server: Pop3Server) -> MakeSource:
        return lambda: Pop3Source(server.address(), USER, Secret(PASSWORD))

    @pytest.fixture
    def partly_unreadable(self, maildrop: Maildrop, make: MakeSource) -> Source:
        maildrop.answers["RETR 2"] = b"-ERR this one is damaged\r\n"
        return make()


class TestPipelined(_OnTheFake):
    pass


class TestOverTls(_OnTheFake):
    tls = True


class TestOneAtATime(_OnTheFake):
    @pytest.fixture
    def maildrop(self, mail: list[bytes]) -> Maildrop:
        return Maildrop(mail, capabilities=("USER", "UIDL", "TOP"))


class TestWithoutUidl(_OnTheFake):
    @pytest.fixture
    def maildrop(self, mail: list[bytes]) -> Maildrop:
        return Maildrop(mail, capabilities=("USER", "TOP", "PIPELINING"), answers={"UIDL": b"-ERR what?\r\n"})


class TestWithoutCapa(_OnTheFake):
    @pytest.fixture
    def maildrop(self, mail: list[bytes]) -> Maildrop:
        return Maildrop(mail, capabilities=None)


class TestInTinyPieces(_OnTheFake):
    @pytest.fixture
    def mail(self) -> list[bytes]:
        return MAIL[:4]

    @pytest.fixture
    def maildrop(self, mail: list[bytes]) -> Maildrop:
        return Maildrop(mail, capabilities=CAPABILITIES, pieces=1)


class TestWithFlagsFromImap(_OnTheFake):
    @pytest.fixture
    def make(self, server: Pop3Server) -> Iterator[MakeSource]:
        with ImapServer(ImapAccount()) as imap:

            def made() -> Source:
                source = Pop3Source(server.address(), USER, Secret(PASSWORD))
                return WithState(source, Inbox(imap.address(), USER, Secret(PASSWORD)))

            yield made


@pytest.mark.system
class TestOnDovecot(SourceContract):
    @pytest.fixture
    def mail(self) -> list[bytes]:
        return [octets.replace(b"\0", b"\x80") for octets in MAIL]  # Dovecot shows NUL as 0x80

    @pytest.fixture(params=list(net.Transport), ids=lambda transport: transport.value)
    def make(self, dovecot: Dovecot, mail: list[bytes], request: pytest.FixtureRequest) -> MakeSource:
        user = dovecot.user()
        for octets in mail:
            dovecot.doveadm("save", "-u", user, "-m", "INBOX", input=octets)
        server = dovecot.pop3(request.param)
        return lambda: Pop3Source(server, user, Secret(PASSWORD))
