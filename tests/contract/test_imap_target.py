"""The IMAP target against real Dovecots, one for each way in which mail can travel and names can be spelled."""

from __future__ import annotations

import imaplib
import traceback
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from pop2imap import net
from pop2imap.credentials import Secret
from pop2imap.errors import Again, AuthenticationFailed, FolderError, TlsRefused
from pop2imap.model import Mailbox, Refused, Stored, Upload
from pop2imap.octets import OctetsWriter
from pop2imap.target.imap import ImapTarget
from tests.conftest import DovecotFactory
from tests.contract.target import DATE, PLAIN, Expunge, MakeTarget, TargetContract, uids, upload
from tests.fakes.appending import append
from tests.servers.dovecot import MASTER, MASTER_PASSWORD, PASSWORD, Dovecot

BASIC = "IMAP4rev1 UIDPLUS ENABLE IDLE"
ALL_ELSE = f"{BASIC} NAMESPACE SPECIAL-USE LIST-EXTENDED UNSELECT ID"


@dataclass(frozen=True)
class Way:
    """How one server is set up and reached, and what it is expected to offer."""

    settings: dict[str, str]
    transport: net.Transport
    offers: frozenset[str]
    lacks: frozenset[str] = frozenset()


WAYS = {
    "MULTIAPPEND and LITERAL+": Way({}, net.Transport.TLS, frozenset({"MULTIAPPEND", "LITERAL+"})),
    "below INBOX, dots as delimiters": Way(
        {"SEP": ".", "PREFIX": "INBOX."}, net.Transport.STARTTLS, frozenset({"MULTIAPPEND", "LITERAL+"})
    ),
    "pipelined with LITERAL+": Way(
        {"IMAP_CAPABILITY": f"{ALL_ELSE} LITERAL+"},
        net.Transport.CLEAR,
        frozenset({"LITERAL+"}),
        frozenset({"MULTIAPPEND"}),
    ),
    "pipelined with LITERAL-": Way(
        {"IMAP_CAPABILITY": f"{ALL_ELSE} LITERAL-"},
        net.Transport.TLS,
        frozenset({"LITERAL-"}),
        frozenset({"MULTIAPPEND", "LITERAL+"}),
    ),
    "MULTIAPPEND with synchronising literals": Way(
        {"IMAP_CAPABILITY": f"{ALL_ELSE} MULTIAPPEND"},
        net.Transport.CLEAR,
        frozenset({"MULTIAPPEND"}),
        frozenset({"LITERAL+", "LITERAL-"}),
    ),
    "nothing but IMAP4rev1": Way(
        {"IMAP_CAPABILITY": "IMAP4rev1", "SEP": ".", "PREFIX": "INBOX."},
        net.Transport.STARTTLS,
        frozenset(),
        frozenset({"MULTIAPPEND", "LITERAL+", "LITERAL-", "NAMESPACE", "SPECIAL-USE", "UNSELECT", "UIDPLUS"}),
    ),
}


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Way:
    return WAYS[request.param]


class TestImapTargetKeepsTheContract(TargetContract):
    @pytest.fixture
    def make(self, dovecot_like: DovecotFactory, way: Way) -> MakeTarget:
        server = dovecot_like(**way.settings)
        user = server.user()
        return lambda: ImapTarget(server.imap(way.transport), user, Secret(PASSWORD))

    @pytest.fixture
    def expunge(self, dovecot_like: DovecotFactory, way: Way, make: MakeTarget) -> Expunge:
        def remove(mailbox: Mailbox, uid: int) -> None:
            user = make().identity.partition("@")[0]
            dovecot_like(**way.settings).doveadm(
                "expunge", "-u", user, "mailbox", mailbox.name, "uid", str(uid)
            )

        return remove

    def test_the_server_offers_what_this_way_is_about(self, make: MakeTarget, way: Way) -> None:
        target = make()
        facts = target.open()
        target.close()
        assert way.offers <= facts.capabilities
        assert not way.lacks & facts.capabilities
        assert (facts.prefix, facts.delimiter) == (
            way.settings.get("PREFIX", ""),
            way.settings.get("SEP", "/"),
        )


@pytest.fixture
def user(dovecot: Dovecot) -> str:
    return dovecot.user()


@pytest.fixture
def target(dovecot: Dovecot, user: str) -> Iterator[ImapTarget]:
    target = ImapTarget(dovecot.imap(net.Transport.CLEAR), user, Secret(PASSWORD))
    target.open()
    yield target
    target.close()


# -- the account


def test_the_identity_names_login_host_and_port() -> None:
    server = net.Server("IMAP.Example.ORG", 993, net.Transport.TLS)
    assert ImapTarget(server, "Alice", Secret("x")).identity == "Alice@imap.example.org:993"
    assert ImapTarget(server, "admin", Secret("x"), login_as="bob").identity == "bob@imap.example.org:993"
    server = net.Server("::1", 143, net.Transport.CLEAR)
    assert ImapTarget(server, "alice@example.com", Secret("x")).identity == "alice@example.com@[::1]:143"


def test_an_administrator_works_in_the_account_of_somebody_else(dovecot: Dovecot, user: str) -> None:
    target = ImapTarget(dovecot.imap(), MASTER, Secret(MASTER_PASSWORD), login_as=user)
    target.open()
    uids(append(target, target.prepare("INBOX"), [upload(PLAIN)]))
    target.close()
    assert dovecot.doveadm("mailbox", "status", "-u", user, "messages", "INBOX") == "INBOX messages=1\n"


@pytest.mark.parametrize("transport", net.Transport)
def test_a_wrong_password_is_said_and_not_shown(dovecot: Dovecot, transport: net.Transport) -> None:
    target = ImapTarget(dovecot.imap(transport), dovecot.user(), Secret("wrong-pass-word"))
    with pytest.raises(AuthenticationFailed, match="AUTHENTICATIONFAILED") as caught:
        target.open()
    told = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    ours = [frame for frame in told.stack if frame.filename != __file__]
    assert ours
    assert "wrong-pass-word" not in repr([(frame.locals, frame.line) for frame in ours])
    assert "wrong-pass-word" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_a_certificate_that_nobody_vouches_for_is_refused(dovecot: Dovecot) -> None:
    for transport in (net.Transport.TLS, net.Transport.STARTTLS):
        known = dovecot.imap(transport)
        with pytest.raises(TlsRefused):
            ImapTarget(net.Server(known.host, known.port, transport), "alice", Secret("secret")).open()


def test_what_the_server_offers_is_told(dovecot_like: DovecotFactory) -> None:
    server = dovecot_like(QUOTA="300k")
    target = ImapTarget(server.imap(), server.user(), Secret(PASSWORD))
    facts = target.open()
    target.close()
    assert facts.server == "Dovecot"
    assert facts.quota_octets == (0, 300 * 1024)
    assert facts.special_use == {
        "\\Archive": "Archive", "\\Drafts": "Drafts", "\\Junk": "Junk", "\\Sent": "Sent", "\\Trash": "Trash",
    }  # fmt: skip


# -- folders


def _subscribed(dovecot: Dovecot, user: str) -> set[str]:
    return set(dovecot.doveadm("mailbox", "list", "-s", "-u", user).splitlines())


def test_folders_are_subscribed_with_those_above_them(
    dovecot: Dovecot, user: str, target: ImapTarget
) -> None:
    dovecot.doveadm("mailbox", "create", "-u", user, "There")
    target.prepare("Clients/ACME/2019")
    target.prepare("There")
    assert {"Clients", "Clients/ACME", "Clients/ACME/2019", "There"} <= _subscribed(dovecot, user)


def test_locating_does_not_even_subscribe(dovecot: Dovecot, user: str, target: ImapTarget) -> None:
    dovecot.doveadm("mailbox", "create", "-u", user, "There")
    before = _subscribed(dovecot, user)
    target.close()
    target.open()
    assert target.locate("There")
    assert _subscribed(dovecot, user) == before


def test_umlauts_reach_the_server_as_such(dovecot: Dovecot, user: str, target: ImapTarget) -> None:
    target.prepare("Entwürfe/Größe")
    assert "Entwürfe/Größe" in dovecot.doveadm("mailbox", "list", "-8", "-u", user).splitlines()


def test_a_folder_that_somebody_else_made_meanwhile_is_used(
    dovecot: Dovecot, user: str, target: ImapTarget
) -> None:
    dovecot.doveadm("mailbox", "create", "-u", user, "Meanwhile")
    mailbox = target.prepare("Meanwhile")
    assert not mailbox.created
    uids(append(target, mailbox, [upload(PLAIN)]))


def test_where_dots_are_refused_they_become_underscores(target: ImapTarget) -> None:
    made = target.prepare("Lists/users.lists.example.org")
    assert made.name == "Lists/users_lists_example_org"
    assert made.folder == "Lists/users.lists.example.org"
    assert target.prepare(made.folder).name == made.name
    assert target.locate(made.folder) is not None


def test_a_delimiter_inside_a_level_stays_inside_it(dovecot_like: DovecotFactory) -> None:
    server = dovecot_like(SEP=".", PREFIX="INBOX.")
    target = ImapTarget(server.imap(), server.user(), Secret(PASSWORD))
    target.open()
    assert target.prepare("Lists/users.example.org").name == "INBOX.Lists.users_example_org"
    assert target.prepare("INBOX/Sub").name == "INBOX.Sub"
    assert target.prepare("INBOX.Sub").name == "INBOX.Sub"
    assert target.prepare("inbox").name == "INBOX"
    target.close()


def test_a_folder_deleted_while_we_run_is_not_made_again(
    dovecot: Dovecot, user: str, target: ImapTarget
) -> None:
    mailbox = target.prepare("Gone")
    dovecot.doveadm("mailbox", "delete", "-u", user, "Gone")
    with pytest.raises(FolderError):
        target.prepare("Gone")
    (outcome,) = append(target, mailbox, [upload(PLAIN)])
    assert isinstance(outcome, Refused)
    assert outcome.again is Again.LATER
    assert "TRYCREATE" in outcome.reason


def test_a_folder_replaced_while_we_run_is_noticed(dovecot: Dovecot, user: str, target: ImapTarget) -> None:
    mailbox = target.prepare("Replaced")
    dovecot.doveadm("mailbox", "delete", "-u", user, "Replaced")
    dovecot.doveadm("mailbox", "create", "-u", user, "Replaced")
    assert target.prepare("Replaced").uidvalidity != mailbox.uidvalidity
    with pytest.raises(FolderError, match="UIDVALIDITY"):
        target.survey(mailbox, 1)
    with pytest.raises(FolderError, match="UIDVALIDITY"):
        target.digests(mailbox, [1])
    (outcome,) = append(target, mailbox, [upload(PLAIN)])
    assert outcome == Stored(mailbox.uidvalidity, None)  # not a UID of the mailbox that was meant


def test_permanent_flags_are_those_of_the_server(target: ImapTarget) -> None:
    mailbox = target.prepare("INBOX")
    assert mailbox.permanent_flags == frozenset({"\\answered", "\\flagged", "\\deleted", "\\seen", "\\draft"})
    assert mailbox.any_keyword
    assert mailbox.takes("$Anything")
    located = target.locate("INBOX")
    assert located is not None


# -- sending


def test_a_name_that_became_dangerous_is_not_sent(target: ImapTarget) -> None:
    mailbox = Mailbox("x", 'x"\r\nA9 CREATE PWNED\r\n', 1, 1, 0)
    (outcome,) = append(target, mailbox, [upload(PLAIN)])
    assert isinstance(outcome, Refused)
    assert target.locate("PWNED") is None


def test_what_must_not_be_sent_is_refused_alone(target: ImapTarget) -> None:
    mailbox = target.prepare("INBOX")
    outcomes = append(
        target,
        mailbox,
        [
            upload(PLAIN),
            upload(PLAIN, "\\Seen)\r\nX CREATE PWNED"),
            upload(PLAIN, "\\Recent"),
            upload(PLAIN, date=datetime(2040, 1, 1, tzinfo=UTC)),
            upload(b""),
            upload(PLAIN, "\\Seen"),
        ],
    )
    assert [type(outcome) for outcome in outcomes] == [Stored, Refused, Refused, Refused, Refused, Stored]
    assert all(outcome.again is Again.NEVER for outcome in outcomes if isinstance(outcome, Refused))
    assert len(target.survey(mailbox, 1)) == 2
    assert target.locate("PWNED") is None


@pytest.mark.parametrize("capability", ["", f"{ALL_ELSE} LITERAL+", ALL_ELSE])
def test_when_the_account_is_full_the_rest_waits(dovecot_like: DovecotFactory, capability: str) -> None:
    settings = {"IMAP_CAPABILITY": capability} if capability else {}
    server = dovecot_like(QUOTA="300k", **settings)
    target = ImapTarget(server.imap(), server.user(), Secret(PASSWORD))
    target.open()
    mailbox = target.prepare("INBOX")
    outcomes = append(
        target, mailbox, [upload(b"Subject: %d\r\n\r\n" % n + b"x" * 40_000) for n in range(20)]
    )
    stored = [outcome for outcome in outcomes if isinstance(outcome, Stored)]
    refused = [outcome for outcome in outcomes if isinstance(outcome, Refused)]
    assert len(stored) == 7  # as many as there is room for
    assert outcomes == [*stored, *refused]
    assert {outcome.again for outcome in refused} == {Again.LATER}
    assert "OVERQUOTA" in refused[0].reason
    assert len(target.survey(mailbox, 1)) == 7
    (outcome,) = append(target, mailbox, [upload(PLAIN)])
    assert isinstance(outcome, Stored)  # the session lives on, and this one fits
    target.close()


def test_a_session_that_the_server_ended_between_two_calls_is_made_again(
    dovecot: Dovecot, user: str, target: ImapTarget
) -> None:
    mailbox = target.prepare("INBOX")
    uids(append(target, mailbox, [upload(PLAIN)]))
    _kick_uploader(dovecot, user, target)
    uids(append(target, mailbox, [upload(PLAIN)]))


def _kick_uploader(dovecot: Dovecot, user: str, target: ImapTarget) -> None:
    """End all sessions of the user, and open the looking one again."""
    uploader = target._uploaders[0]
    session = uploader._session
    assert session is not None
    dovecot.kick(user)
    assert session.wire.connection.receive().startswith(b"* BYE")
    assert target._session is not None
    target._session.drop()
    target._session = target._connect()


def test_a_large_message_passes_through_without_being_held(dovecot: Dovecot, user: str) -> None:
    target = ImapTarget(dovecot.imap(), user, Secret(PASSWORD))
    target.open()
    mailbox = target.prepare("INBOX")
    writer = OctetsWriter()
    writer.write(b"Subject: large\r\n\r\n")
    for _ in range(400):
        writer.write(b"All work and no play makes Jack a dull boy.....\r\n" * 2000)
    octets = writer.finish()
    tracemalloc.start()
    try:
        (uid,) = uids(append(target, mailbox, [Upload(octets, (), DATE)]))
        assert target.digests(mailbox, [uid])[uid] == (octets.digest, octets.match_digest)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    target.close()
    assert octets.size > 39_000_000
    assert peak < 8_000_000


def test_two_programs_at_once_see_the_same(dovecot: Dovecot, user: str, target: ImapTarget) -> None:
    mailbox = target.prepare("Shared")
    uids(append(target, mailbox, [upload(PLAIN, "\\Seen", "$Work")]))
    with imaplib.IMAP4("localhost", dovecot.imap_port) as client:
        client.login(user, PASSWORD)
        client.select("Shared")
        kind, data = client.fetch("1", "(FLAGS INTERNALDATE)")
        assert kind == "OK"
        assert isinstance(data[0], bytes)
        assert b"01-Feb-2003 04:05:06 +0000" in data[0]
        assert b"$Work" in data[0]
