"""A maildrop is not moved into itself: the three servers, whose POP3 and IMAP show the same INBOX."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pop2imap.errors import ExitCode
from tests.conftest import KINDS, ServerFactory
from tests.servers.server import Server
from tests.system.maildrop import deliver
from tests.system.program import run

pytestmark = pytest.mark.system

MAIL = [f"From: a@example.org\r\nSubject: {n}\r\n\r\n{'x' * n}\r\n".encode() for n in range(1, 8)]


@pytest.fixture(params=KINDS)
def server(request: pytest.FixtureRequest, server_like: ServerFactory) -> Server:
    return server_like(request.param)


@pytest.fixture
def home() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="p2i-same-"))
    yield path
    shutil.rmtree(path)


def ends(server: Server, source: str, target: str) -> tuple[str, str]:
    # two names of one host, as most providers have
    return f"pop3://{source}@localhost:{server.pop3_port}", f"imap://{target}@127.0.0.1:{server.imap_port}"


def messages(server: Server, user: str) -> int:
    with server.client(user) as client:
        return int(client.folder_status("INBOX", ["MESSAGES"])[b"MESSAGES"])


def test_a_maildrop_is_not_moved_into_itself(server: Server, home: Path) -> None:
    user = server.user()
    deliver(server, user, MAIL)
    for command in ("plan", "migrate"):
        ran = run(home, command, *ends(server, user, user))
        assert (ran.code, "are one mailbox" in ran.err) == (ExitCode.USAGE, True), ran.err
    checked = run(home, "check", *ends(server, user, user))
    assert "is this very mailbox" in checked.out
    assert messages(server, user) == len(MAIL)


def test_whoever_means_it_may(server: Server, home: Path) -> None:
    user = server.user()
    deliver(server, user, MAIL)
    ran = run(home, "migrate", *ends(server, user, user), "--allow-same-account", "--json")
    assert (ran.code, ran.json["counts"]["present"]) == (ExitCode.OK, len(MAIL)), ran.err
    assert messages(server, user) == len(MAIL)


def test_another_account_of_the_same_server_is_another_mailbox(server: Server, home: Path) -> None:
    old, new = server.user(), server.user()
    deliver(server, old, MAIL)
    deliver(server, new, MAIL[:3])
    for moved in (4, 0):
        ran = run(home, "migrate", *ends(server, old, new), "--json")
        assert (ran.code, ran.json["moved"]["messages"]) == (ExitCode.OK, moved), ran.err
    assert messages(server, new) == len(MAIL)
