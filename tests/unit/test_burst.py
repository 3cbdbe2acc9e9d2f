"""What is asked of a server goes out at once where the server bears it, and one by one where it does not."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import pytest

from pop2imap import net
from pop2imap.credentials import Secret
from pop2imap.errors import AuthenticationFailed, ConnectionLost, FolderError, ProtocolError, ServerBusy
from pop2imap.model import Mailbox
from pop2imap.target.burst import BURST_OCTETS, Asked, Experience
from pop2imap.target.imap import ImapTarget
from pop2imap.target.session import Session
from tests.fakes.imap_server import CAPABILITIES, PASSWORD, USER, Box, ImapAccount, ImapServer
from tests.fakes.round_trips import RoundTrips, counted

MODERN = f"{CAPABILITIES} SASL-IR QUOTA"


def modern(**more: object) -> ImapAccount:
    """A server as most are today."""
    return ImapAccount(capabilities=MODERN, tells_capabilities=True, **more)  # type: ignore[arg-type]


@contextmanager
def target_on(account: ImapAccount) -> Iterator[tuple[ImapTarget, ImapServer, RoundTrips]]:
    with ImapServer(account) as server, counted() as trips:
        target = ImapTarget(server.address(), USER, Secret(PASSWORD))
        try:
            yield target, server, trips
        finally:
            target.close()


def found(mailbox: Mailbox | FolderError | None) -> tuple[str, int, int] | None:
    assert not isinstance(mailbox, FolderError)
    return None if mailbox is None else (mailbox.name, mailbox.uidvalidity, mailbox.uidnext)


# -- how few they are


def test_greeting_login_and_one_burst_open_a_target() -> None:
    with target_on(modern()) as (target, server, trips):
        target.open()
        assert trips.count == 3
        verbs = [command.split()[0] for command in server.sessions[0].commands]
        assert verbs == ["AUTHENTICATE", "ID", "NAMESPACE", "LIST", "GETQUOTAROOT", "LSUB"]


def test_an_upload_session_is_greeted_and_logs_in_and_no_more() -> None:
    with ImapServer(modern()) as server, counted() as trips:
        session = Session(server.address())
        session.login(USER, Secret(PASSWORD))
        session.close()
        assert trips.count == 2
        assert server.wait()[0].commands[1:] == ["LOGOUT"]
        assert session.capabilities == frozenset(MODERN.upper().split())


def test_a_folder_is_prepared_in_one_and_made_in_two() -> None:
    account = modern(boxes={"INBOX": Box(), "There": Box(uidvalidity=9)})
    with target_on(account) as (target, server, trips):
        target.open()
        opened = trips.count
        assert found(target.prepare("There")) == ("There", 9, 1)
        assert trips.since(opened) == 1
        assert server.sessions[0].commands[-4:] == [
            'SUBSCRIBE "There"',
            'SELECT "There"',
            "UNSELECT",
            'STATUS "There" (MESSAGES UIDNEXT UIDVALIDITY)',
        ]
        target.prepare("There")
        assert trips.since(opened) == 2
        made = target.prepare("New/Below")
        assert (made.created, made.above) == (True, ("New",))
        assert trips.since(opened) == 4
        assert account.subscribed == {"There", "New", "New/Below"}


def test_many_folders_are_made_in_hardly_more_than_one_is() -> None:
    account = modern()
    with target_on(account) as (target, _, trips):
        target.open()
        opened = trips.count
        names = [f"People/{number:03}" for number in range(64)]
        told = [
            made for made in target.prepare_each([*names, "People", "INBOX"]) if isinstance(made, Mailbox)
        ]
        assert trips.since(opened) <= 3
    assert [made.folder for made in told] == [*names, "People", "INBOX"]
    assert [made.created for made in told] == [True] * 64 + [False] * 2
    assert [made.above for made in told] == [("People",)] + [()] * 65
    assert account.subscribed == {"INBOX", "People", *names}


def test_five_hundred_folders_are_looked_at_in_few_bursts() -> None:
    names = [f"Folder {number:03}" for number in range(500)]
    account = modern(boxes={"INBOX": Box()} | {name: Box(uidvalidity=at) for at, name in enumerate(names, 7)})
    with target_on(account) as (target, _, trips):
        target.open()
        opened = trips.count
        told = target.locate_each(["Folder 999", *names])
        assert told[0] is None
        assert [found(one) for one in told[1:]] == [(name, at, 1) for at, name in enumerate(names, 7)]
        asked = sum(len(f'EXAMINE "{name}" UNSELECT STATUS "{name}" ') + 60 for name in names)
        assert trips.since(opened) <= asked // BURST_OCTETS + 1 <= 5


def test_what_is_wrong_with_one_folder_is_said_of_that_one() -> None:
    account = modern(
        boxes={"INBOX": Box(), "a": Box(), "b": Box()}, answers={'EXAMINE "a"': b"{tag} NO [NOPERM] no\r\n"}
    )
    with target_on(account) as (target, _, _):
        target.open()
        denied, unknown, forbidden, fine = target.locate_each(["a", "c", "x\x07y", "b"])
        assert isinstance(denied, FolderError)
        assert "NOPERM" in denied.what
        assert unknown is None
        assert isinstance(forbidden, FolderError)
        assert found(fine) == ("b", 7, 1)
        with pytest.raises(FolderError, match="NOPERM"):
            target.locate("a")


# -- the login


def test_a_response_that_was_overlooked_is_sent_again() -> None:
    account = ImapAccount()  # does not have SASL-IR, and yet is said to
    greeting = f"* OK [CAPABILITY {MODERN}] ready\r\n".encode()
    account.greeting = greeting
    with ImapServer(account) as server:
        session = Session(server.address())
        session.login(USER, Secret(PASSWORD))
        session.close()
        at_once, again = server.wait()[0].commands[:2]
    assert at_once == f"AUTHENTICATE PLAIN {again}"
    assert base64.b64decode(again) == b"\0alice\0secret"


def test_nothing_follows_a_login_that_is_refused() -> None:
    with ImapServer(modern()) as server:
        target = ImapTarget(server.address(), USER, Secret("wrong"))
        with pytest.raises(AuthenticationFailed):
            target.open()
        (log,) = server.wait()
    assert [command.split()[0] for command in log.commands] == ["AUTHENTICATE"]


def test_what_a_greeting_leaves_out_is_asked_for_where_it_is_needed() -> None:
    account = ImapAccount(greeting=b"* OK [CAPABILITY IMAP4rev1 LOGINDISABLED] ready\r\n")
    with ImapServer(account) as server:
        session = Session(server.address())
        session.login(USER, Secret(PASSWORD))
        session.close()
        assert [c.split()[0] for c in server.wait()[0].commands[:2]] == ["CAPABILITY", "AUTHENTICATE"]


def test_what_a_greeting_in_clear_text_tells_is_not_believed_after_tls() -> None:
    account = ImapAccount(
        greeting=b"* OK [CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN SASL-IR EVIL] ready\r\n",
        capabilities_in_clear="IMAP4rev1 STARTTLS",
    )
    with ImapServer(account) as server:
        session = Session(server.address(net.Transport.STARTTLS))
        session.login(USER, Secret(PASSWORD))
        session.close()
        assert server.wait()[0].commands[:3] == ["STARTTLS", "CAPABILITY", "AUTHENTICATE PLAIN"]
        assert "EVIL" not in session.capabilities


# -- servers that do not bear it


@pytest.mark.parametrize("burst", ["bad", "swaps", "closes"])
def test_a_server_that_bears_no_bursts_is_asked_one_by_one(burst: Literal["bad", "swaps", "closes"]) -> None:
    boxes = {"INBOX": Box(), "a": Box(uidvalidity=11), "b": Box(uidvalidity=12, uidnext=5)}
    account = modern(boxes=boxes, burst=burst, subscribed={"a", "b"})
    with target_on(account) as (target, server, trips):
        facts = target.open()
        assert facts.server == "Fake 1.0"
        assert set(facts.folders) == {"INBOX", "a", "b"}
        opened = trips.count
        assert [found(one) for one in target.locate_each(["a", "b"])] == [("a", 11, 1), ("b", 12, 5)]
        assert trips.since(opened) == 6
        target.close()
        opened = trips.count
        target.open()
        assert trips.since(opened) == 2 + 5  # what was learned outlives the session
        assert len(server.sessions) == (3 if burst == "closes" else 2)


def test_a_session_that_breaks_off_later_is_not_held_against_bursts() -> None:
    account = modern()
    with target_on(account) as (target, _, trips):
        target.open()
        account.burst = "closes"
        with pytest.raises(ConnectionLost):
            target.prepare("INBOX")
        account.burst = ""
        opened = trips.count
        target.open()
        assert trips.since(opened) == 3


def test_what_cannot_be_read_in_a_burst_is_read_again_alone() -> None:
    account = modern(answers={"LSUB": b'* LSUB () "/" {99999999999}\r\n{tag} OK\r\n'})
    with target_on(account) as (target, server, _):
        assert target.open().folders == ("INBOX",)
        assert len(server.sessions) == 2
        account.answers["LIST"] = b'* LIST () "/" {99999999999}\r\n{tag} OK\r\n'
        with pytest.raises(ProtocolError, match="literal"):
            target.open()


def test_numbers_of_another_folder_are_not_believed() -> None:
    """They would be taken for the bounds between which lost mail is looked for."""
    account = modern(
        boxes={"INBOX": Box(), "a": Box(uidvalidity=11), "b": Box(uidvalidity=12)},
        answers={
            'STATUS "a"': b'* STATUS "b" (MESSAGES 3 UIDNEXT 4 UIDVALIDITY 12)\r\n{tag} OK\r\n',
            'STATUS "b"': b'* STATUS "b" (MESSAGES 0 UIDNEXT 1 UIDVALIDITY 12)\r\n{tag} OK\r\n',
        },
    )
    experience = Experience()
    with ImapServer(account) as server:
        session = Session(server.address(), experience)
        session.login(USER, Secret(PASSWORD))
        first, second = Asked(session.status("a")), Asked(session.status("b"))
        session.together(first, second)
        session.close()
        commands = server.wait()[0].commands
    assert second.value.uidvalidity == 12
    assert experience.one_at_a_time
    assert sum(command.startswith('STATUS "a"') for command in commands) == 2


@pytest.mark.parametrize("one_at_a_time", ["", "it was told to be"])
def test_a_busy_farewell_in_the_middle_is_what_is_told(one_at_a_time: str) -> None:
    account = modern(answers={"LIST": b"* BYE [UNAVAILABLE] try again in 2 minutes\r\ngone"})
    with ImapServer(account) as server:
        session = Session(server.address(), Experience(one_at_a_time))
        session.login(USER, Secret(PASSWORD))
        with pytest.raises(ServerBusy) as caught:
            session.together(Asked(session.identify()), Asked(session.listing()), Asked(session.quota()))
        session.close()
    assert caught.value.retry_after == 120


def test_a_server_that_says_bad_for_its_own_reasons_is_still_asked_at_once() -> None:
    account = modern(answers={'LIST "" "*" RETURN': b"{tag} BAD what?\r\n"})
    with target_on(account) as (target, _, trips):
        assert target.open().folders == ("INBOX",)
        opened = trips.count
        target.prepare("INBOX")
        assert trips.since(opened) == 1
