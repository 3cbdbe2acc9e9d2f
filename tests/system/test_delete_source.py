"""Mail is moved from the POP3 server of Dovecot, Cyrus and Courier to the IMAP server of the same, and then deleted at
the source: with the program, and with connections that break where it hurts."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from pop2imap import net
from pop2imap.credentials import Secret
from pop2imap.deletion import Choice, delete_source
from pop2imap.pipeline import Stop
from pop2imap.progress import Silent
from pop2imap.report.deleted import DeletionReport
from pop2imap.sources.pop3 import Pop3Source
from pop2imap.target.imap import ImapTarget
from tests.conftest import ServerFactory
from tests.faults.proxy import Act, Fault, Line, Proxy, Side, before, cut
from tests.servers.server import PASSWORD, Server
from tests.system import readback
from tests.system.maildrop import deliver, served
from tests.system.program import Ran, environment, run

KINDS = ("Dovecot", "Cyrus", "Courier")


def mail(number: int) -> bytes:
    return (
        f"From: bob@example.org\r\nSubject: {number}\r\nDate: Mon, 04 May 2020 10:00:{number:02} +0000\r\n\r\n"
        f"body of {number}{' more' * number}\r\n"
    ).encode()


MAIL = [*(mail(number) for number in range(12)), mail(3)]
ODD = mail(20).replace(b"Subject: ", b"Subject: gr\xfc\xdf ").replace(b"body", b"bo\rdy")
"""Which Cyrus and Courier rewrite."""


class Move:
    """Mail that was moved from a maildrop to an account of the same server."""

    def __init__(self, home: Path, server: Server, *more: bytes) -> None:
        self.home, self.server = home, server
        self.drop, self.user = server.user(), server.user()
        assert deliver(server, self.drop, [*MAIL, *more]) == len(MAIL) + len(more)
        self.target = f"imap://{self.user}@{server.imap(net.Transport.CLEAR)}"
        ran = run(home, "migrate", self.source(), self.target, "--fence", "0")
        assert ran.code == 0, ran.out + ran.err

    def source(self, port: int = 0) -> str:
        return f"pop3://{self.drop}@127.0.0.1:{port or self.server.pop3_port}"

    def run(self, *arguments: str | Path, source: str = "") -> Ran:
        return run(self.home, "delete-source", source or self.source(), self.target, *arguments)

    def in_process(self, port: int = 0) -> DeletionReport:
        """The same without the pauses that a server asks for between two logins."""
        where = self.server.pop3(net.Transport.CLEAR, host="127.0.0.1")
        through = net.Server(where.host, port or where.port, where.transport, where.ca_file, where.timeouts)
        source = Pop3Source(through, self.drop, Secret(PASSWORD))
        source.id = f"pop3:{self.drop}@{where}"
        return delete_source(
            source,
            ImapTarget(self.server.imap(net.Transport.CLEAR), self.user, Secret(PASSWORD)),
            Choice(),
            state_dir=self.home / "state",
            confirm=lambda report: True,
            progress=Silent(),
            stop=Stop(),
            sleep=lambda seconds: None,
        )

    def left(self) -> list[bytes]:
        return list(served(self.server, self.drop).values())

    def held(self) -> Counter[bytes]:
        return Counter(one.octets for one in readback.messages(self.server, self.user))


@pytest.fixture
def move(tmp_path: Path, server_like: ServerFactory, kind: str) -> Move:
    return Move(tmp_path, server_like(kind))


def found(document: dict[str, int]) -> dict[str, int]:
    return {word: number for word, number in document.items() if number and word != "listed"}


def counts(report: DeletionReport) -> dict[str, int]:
    return {fate.value: count.messages for fate, count in report.counts.items() if count.messages}


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_moved_is_deleted_and_the_target_keeps_it(move: Move, kind: str) -> None:
    before = move.held()
    ran = move.run("--json")
    assert (ran.code, found(ran.json["counts"])) == (0, {"ready": len(MAIL)}), ran.out + ran.err
    assert len(move.left()) == len(MAIL)
    deliver(move.server, move.drop, [mail(30)])
    assert counts(move.in_process()) == {"deleted": len(MAIL), "new": 1}
    assert move.left() == [mail(30)]
    assert move.held() == before
    ran = run(move.home, "migrate", move.source(), move.target, "--json", "--fence", "0")
    assert (ran.code, ran.json["moved"]["messages"], ran.json["counts"]["source"]) == (0, 1, 1)
    ran = run(move.home, "verify", move.target, "--full", "--json")
    assert (ran.code, ran.json["counts"]["copies"]) == (0, len(MAIL) + 1), ran.out + ran.err
    assert counts(move.in_process()) == {"deleted": 1}
    assert move.left() == []


@pytest.mark.parametrize("kind", ["Cyrus", "Courier"])
def test_what_the_server_rewrote_is_kept_at_the_source(
    tmp_path: Path, server_like: ServerFactory, kind: str
) -> None:
    server = server_like(kind)
    other = server_like("Dovecot")
    drop = other.user()
    deliver(other, drop, [*MAIL, ODD])
    user = server.user()
    source, target = (
        f"pop3://{drop}@127.0.0.1:{other.pop3_port}",
        f"imap://{user}@127.0.0.1:{server.imap_port}",
    )
    assert run(tmp_path, "migrate", source, target, "--fence", "0").code == 0
    ran = run(tmp_path, "delete-source", source, target, "--yes", "--json")
    assert (ran.code, found(ran.json["counts"])) == (3, {"deleted": len(MAIL), "rewritten": 1}), (
        ran.out + ran.err
    )
    assert list(served(other, drop).values()) == [ODD]
    ran = run(tmp_path, "delete-source", source, target, "--yes", "--also-rewritten", "--json")
    assert (ran.code, found(ran.json["counts"])) == (0, {"deleted": 1}), ran.out + ran.err


@pytest.mark.parametrize("kind", ["Dovecot"])
def test_a_maildrop_that_is_the_target_itself_loses_nothing(move: Move, kind: str) -> None:
    """Found out by the first message, where no name shows it: a target that is reached under another name."""
    home = move.home / "same"
    home.mkdir()
    source = f"pop3://{move.user}@127.0.0.1:{move.server.pop3_port}"
    target = f"imap://{move.user}@localhost:{move.server.imap_port}"
    before = move.held()
    ran = run(home, "adopt", source, target, "--allow-same-account", "--fence", "0")
    assert ran.code == 0, ran.out + ran.err
    ran = run(home, "delete-source", source, target, "--yes", "--json")
    assert (ran.code, ran.json["result"]) == (4, "different"), ran.out + ran.err
    assert found(ran.json["counts"]) == {"unconfirmed": 1, "ready": len(MAIL) - 1}
    (kept,) = home.glob("state/targets/*/rescue/*.eml")
    assert str(kept.parent) in ran.json["alarm"]
    assert move.held() + Counter([kept.read_bytes()]) == before


def pass_and_cut(line: Line, rest: bytes, side: Side) -> None:
    """The server gets it; the client hears nothing any more."""
    line.pass_on(rest, side)
    cut(line, b"", side)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("act", "expected"),
    [
        (cut, {"later": 1, "ready": len(MAIL) - 1}),  # QUIT does not come through
        (pass_and_cut, {"deleted": len(MAIL)}),  # its answer does not
    ],
)
def test_a_connection_that_breaks_at_quit_is_decided_by_the_next_listing(
    move: Move, kind: str, act: Act, expected: dict[str, int]
) -> None:
    fault = Fault(before(rb"QUIT\r\n", side=Side.CLIENT), act)
    with Proxy(move.server.pop3_port, fault) as proxy:
        report = move.in_process(proxy.port)
    assert fault.struck
    assert counts(report) == expected
    assert len(move.left()) == len(MAIL) - expected.get("deleted", 0)
    if move.left():
        assert counts(move.in_process()) == {"deleted": len(MAIL)}
    assert sum(move.held().values()) == len(MAIL)


@pytest.mark.parametrize("kind", ["Dovecot"])
def test_a_person_is_asked_at_the_terminal(move: Move, kind: str) -> None:
    command = [sys.executable, "-m", "pop2imap", "delete-source", move.source(), move.target]
    for answer, left in ((b"n\n", len(MAIL)), (b"y\n", 0)):
        ours, theirs = pty.openpty()
        os.write(ours, answer)
        done = subprocess.run(
            command, cwd=move.home, env=environment(move.home), stdin=theirs, capture_output=True, text=True,
            timeout=100, check=False,
        )  # fmt: skip
        os.close(ours)
        os.close(theirs)
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"Delete {len(MAIL)} messages" in done.stderr
        assert len(move.left()) == left


@pytest.mark.parametrize("kind", ["Dovecot"])
def test_a_source_that_cannot_be_deleted_is_refused_in_one_line(move: Move, kind: str) -> None:
    (move.home / "old.mbox").write_bytes(b"From bob Mon May 04 10:00:00 2020\n\nhello\n")
    ran = run(move.home, "delete-source", "old.mbox", move.target, "--yes")
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert "yours to delete" in ran.err
    assert "verify --full" in ran.err
    ran = run(move.home, "delete-source", move.source(), move.target.replace(move.user, "nobody"), "--yes")
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert "pop2imap adopt" in ran.err
