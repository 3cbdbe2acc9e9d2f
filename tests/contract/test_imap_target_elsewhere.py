"""The IMAP target against the real servers that are not Dovecot: the contract is the same, what they refuse is not."""

from __future__ import annotations

import pytest

from pop2imap import net
from pop2imap.credentials import Secret
from pop2imap.model import Mailbox, Refused, Stored
from pop2imap.target import Target
from pop2imap.target.imap import ImapTarget
from tests.conftest import ServerFactory
from tests.contract.target import AWKWARD, Expunge, MakeTarget, TargetContract, upload
from tests.fakes.appending import append
from tests.servers.behaviour import SETUPS, Setup, words_of
from tests.servers.server import PASSWORD, Server

ELSEWHERE = [name for name in SETUPS if not name.startswith("Dovecot")]


@pytest.fixture(params=ELSEWHERE)
def setup(request: pytest.FixtureRequest) -> Setup:
    return SETUPS[request.param]


@pytest.fixture
def server(server_like: ServerFactory, setup: Setup) -> Server:
    return server_like(setup.kind, **setup.settings)


class TestImapTargetKeepsTheContractElsewhere(TargetContract):
    @pytest.fixture
    def user(self, server: Server) -> str:
        return server.user()

    @pytest.fixture
    def make(self, server: Server, user: str) -> MakeTarget:
        return lambda: ImapTarget(server.imap(net.Transport.CLEAR), user, Secret(PASSWORD))

    @pytest.fixture
    def expunge(self, server: Server, user: str) -> Expunge:
        def remove(mailbox: Mailbox, uid: int) -> None:
            with server.client(user) as client:
                client.select_folder(mailbox.name)
                client.delete_messages([uid])
                client.expunge()

        return remove

    def test_the_server_offers_what_is_known_of_it(self, make: MakeTarget, setup: Setup) -> None:
        target = make()
        facts = target.open()
        target.close()
        assert setup.offers <= facts.capabilities
        assert not setup.lacks & facts.capabilities
        assert (facts.prefix, facts.delimiter) == (setup.prefix, setup.delimiter)

    @pytest.mark.parametrize("sort", AWKWARD)
    def test_awkward_octets_are_found_again(self, target: Target, sort: str, setup: Setup) -> None:  # type: ignore[override]
        """Or refused, with the reason."""
        check(target, setup, [AWKWARD[sort]])

    def test_awkward_octets_are_found_again_when_they_travel_together(  # type: ignore[override]
        self, target: Target, setup: Setup
    ) -> None:
        """And those that are refused are refused alone."""
        check(target, setup, list(AWKWARD.values()))

    def test_large_and_small_travel_together(self, target: Target, setup: Setup) -> None:  # type: ignore[override]
        sizes = [15, 70, 4095, 4096, 4097, 65_536, 1_500_000, 3_000_000, 70]
        whole = b"Subject: x\r\n\r\n" + b"line of text\r\n" * 250_000
        check(target, setup, [whole[:size] for size in sizes])


def check(target: Target, setup: Setup, messages: list[bytes]) -> None:
    """Each is found again by its digest, or refused for the reason for which this server is known."""
    mailbox = target.prepare("INBOX")
    sent = [upload(octets) for octets in messages]
    outcomes = append(target, mailbox, sent)
    expected = [setup.refuses(octets) for octets in messages]
    refused = [words_of(outcome.reason) if isinstance(outcome, Refused) else "" for outcome in outcomes]
    assert refused == expected
    stored = {
        outcome.uid or 0: one
        for outcome, one in zip(outcomes, sent, strict=True)
        if isinstance(outcome, Stored)
    }
    digests = target.digests(mailbox, list(stored))
    assert {uid: found[1] for uid, found in digests.items()} == {
        uid: one.octets.match_digest for uid, one in stored.items()
    }
