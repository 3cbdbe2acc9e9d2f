"""Read, answered and starred of a POP3 maildrop, from the IMAP account behind it; and what check says of that one."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import NamedTuple

import pytest

from pop2imap.cli.state import imap_beside
from pop2imap.config import SourceConfig
from pop2imap.credentials import Secret
from pop2imap.endpoints import Endpoint, parse
from pop2imap.imap_state import DISCARDED
from pop2imap.kinds import Kind
from pop2imap.net import Timeouts, Transport
from tests.conftest import ServerFactory
from tests.fakes.imap_server import ImapAccount, ImapServer
from tests.servers.dovecot import Dovecot
from tests.servers.server import PASSWORD, Server
from tests.system.maildrop import deliver, offer
from tests.system.program import run

GUESSED = frozenset({"\\Seen"})
"""What --mark says of all that is as old as this mail."""


class Given(NamedTuple):
    """One message of the maildrop: its body, its flags in IMAP, and its Message-ID."""

    body: str
    flags: str
    message_id: str | None = None

    @property
    def octets(self) -> bytes:
        message_id = f"<{self.body}@example.org>" if self.message_id is None else self.message_id
        line = f"Message-ID: {message_id}\r\n" if message_id else ""
        head = f"Date: Tue, 06 May 2014 07:08:09 +0000\r\n{line}Subject: {self.body}\r\n"
        return f"{head}\r\n{self.body}\r\n".encode()


MAIL = (
    Given("new", ""),
    Given("read", "\\Seen"),
    Given("answered", "\\Seen \\Answered"),
    Given("starred", "\\Flagged"),
    Given("tagged", "\\Seen $Forwarded $label1"),
    Given("draft", "\\Draft"),
    Given("gone", "\\Seen \\Deleted"),
)
HARD = (
    Given("twin1", "\\Flagged", "<twin@example.org>"),
    Given("twin2", "\\Answered", "<twin@example.org>"),
    Given("anonymous", "\\Answered", ""),
)
"""What only a UIDL tells apart."""


def flags_in(server: Server, user: str) -> dict[str, frozenset[str]]:
    """The flags of each message of the INBOX, by its body."""
    with server.client(user) as client:
        client.select_folder("INBOX", readonly=True)
        told = client.fetch(client.search(), ["FLAGS", "BODY.PEEK[TEXT]"])
    return {
        message[b"BODY[TEXT]"].strip().decode(): frozenset(
            flag.decode() for flag in message[b"FLAGS"] if flag != b"\\Recent"
        )
        for message in told.values()
    }


@pytest.mark.parametrize("kind", ["Dovecot", "Cyrus", "Courier"])
def test_each_message_gets_the_flags_that_it_has_in_imap(
    server_like: ServerFactory, kind: str, tmp_path: Path
) -> None:
    server = server_like(kind)
    ours, theirs = server.user(), server.user()
    assert all(
        " OK" in said for said in offer(server, ours, ((one.octets, one.flags) for one in MAIL + HARD))
    )
    command = (
        *("--source-ca", server.ca_file, "--target-ca", server.ca_file),
        *("--read-state-from", f"imaps://{ours}@localhost:{server.imaps_port}"),
        *(f"pop3s://{ours}@localhost:{server.pop3s_port}", f"imaps://{theirs}@localhost:{server.imaps_port}"),
    )
    foreseen = run(tmp_path, "plan", "--json", *command)
    moved = run(tmp_path, "migrate", "--json", *command)
    assert (foreseen.code, moved.code) == (0, 0), foreseen.err + moved.err
    names = kind != "Courier"
    wanted = {one.body: frozenset(one.flags.split()) for one in MAIL if one.body != "gone"}
    wanted |= {one.body: frozenset(one.flags.split()) if names else GUESSED for one in HARD}
    assert flags_in(server, theirs) == wanted
    assert flags_in(server, ours)["new"] == (frozenset() if kind == "Cyrus" else GUESSED), "RETR, not IMAP"
    assert (
        foreseen.json["read_state_guessed"] == moved.json["read_state_guessed"] == (0 if names else len(HARD))
    )
    assert foreseen.json["skipped_because"] == moved.json["skipped_because"] == {DISCARDED: 1}


@pytest.mark.parametrize(
    ("port", "password", "code", "words"),
    [("imaps", "wrong", 77, "login refused"), ("nobody", PASSWORD, 69, "nothing listens there")],
)
def test_without_that_account_nothing_goes_on(
    dovecot: Dovecot, tmp_path: Path, port: str, password: str, code: int, words: str
) -> None:
    user = dovecot.user()
    deliver(dovecot, user, [MAIL[0].octets])
    ran = run(
        tmp_path,
        "plan",
        *("--source-ca", dovecot.ca_file, "--target-ca", dovecot.ca_file, "--read-state-from"),
        f"imaps://{user}@localhost:{dovecot.imaps_port if port == 'imaps' else 1}",
        f"pop3s://{user}@localhost:{dovecot.pop3s_port}",
        f"imaps://{dovecot.user()}@localhost:{dovecot.imaps_port}",
        POP2IMAP_STATE_PASSWORD=password,
    )
    assert ran.code == code, ran.err
    assert words in ran.err
    assert "without --read-state-from, --mark decides what counts as read" in ran.err


def account(dovecot: Dovecot, ca_file: Path | None) -> SourceConfig:
    user = dovecot.user()
    offer(dovecot, user, ((one.octets, one.flags) for one in MAIL))
    with dovecot.client(user) as client:
        client.create_folder("Sent")
        client.create_folder("Old/2014")
        client.append("Sent", MAIL[0].octets)
        client.append("Old/2014", MAIL[0].octets)
    return SourceConfig(Endpoint(Kind.POP3, user, "localhost", 995, Transport.TLS), ca_file=ca_file)


def test_check_says_what_imap_on_the_same_host_would_give(dovecot: Dovecot) -> None:
    config = account(dovecot, dovecot.ca_file)
    before = flags_in(dovecot, config.endpoint.user)
    with dovecot.client(config.endpoint.user) as client:
        folders = sum(
            b"\\Noselect" not in flags for flags, _, name in client.list_folders() if name != "INBOX"
        )
    for ports in ((dovecot.imaps_port, 1), (1, dovecot.imap_port)):
        there, todo = imap_beside(config, Secret(PASSWORD), len(MAIL), ports)
        assert f"besides INBOX it shows {folders} folders with 2 messages" in there
        assert f"INBOX has as many messages as the maildrop, {len(MAIL)}" in there
        named = re.search(r"--read-state-from (\S+) takes", todo)
        assert named
        found = parse(named[1])
        assert (found.port, found.user) == (max(ports), config.endpoint.user)
    (fewer, _) = imap_beside(config, Secret(PASSWORD), 3, (dovecot.imaps_port, 1))
    assert f"INBOX has {len(MAIL)} messages, the maildrop 3" in fewer
    assert flags_in(dovecot, config.endpoint.user) == before


@pytest.mark.parametrize(
    "answer", ["{tag} NO [AUTHENTICATIONFAILED] no\r\n", "* BYE enough\r\n", "{tag} BAD what?\r\n", ""]
)
def test_check_tries_a_password_once(answer: str) -> None:
    fake = ImapAccount(answers={"AUTHENTICATE": answer.encode()})
    with ImapServer(fake, tls=True) as server:
        endpoint = Endpoint(Kind.POP3, "alice", "localhost", 110, Transport.CLEAR)
        config = SourceConfig(endpoint, ca_file=server.address().ca_file)
        said = imap_beside(config, Secret(PASSWORD), 1, (server.port, server.port))
        sessions = server.wait()
    assert [log.commands[-1].split()[0] for log in sessions if log.commands] == ["AUTHENTICATE"]
    assert len(sessions) == 1
    assert ("but not with us: login refused" in "".join(said)) is answer.startswith("{tag}")


def test_check_sends_no_password_to_whom_it_does_not_know(dovecot: Dovecot) -> None:
    config = account(dovecot, None)
    assert imap_beside(config, Secret(PASSWORD), 1, (dovecot.imaps_port, dovecot.imap_port)) == ()


def test_check_is_silent_of_what_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pop2imap.cli.state.PATIENCE", Timeouts(0.1, 0.1))
    config = SourceConfig(Endpoint(Kind.POP3, "alice", "localhost", 110, Transport.CLEAR))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert imap_beside(config, Secret(PASSWORD), 1, (port, port)) == ()
