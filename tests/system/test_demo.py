"""The demo does what it shows, with the embedded servers and with a real Dovecot, and leaves nothing running."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from imaplib import IMAP4
from importlib.util import find_spec
from pathlib import Path
from poplib import POP3

import pytest

from pop2imap import demo
from pop2imap.demo import servers
from pop2imap.demo.servers import HOST, Server
from pop2imap.errors import ExitCode, UsageError
from tests.servers.dovecot import MISSING, installed

pytestmark = pytest.mark.system

_EMBEDDED = "the demo's servers are not installed (pip install 'pop2imap[demo]')"


def needed(there: bool, words: str) -> None:
    """What is not there skips a test, or fails it where nothing may be missing."""
    if not there:
        required = (
            os.environ.get("CI", "").lower() == "true" or os.environ.get("POP2IMAP_REQUIRE_SERVERS") == "1"
        )
        (pytest.fail if required else pytest.skip)(words)


@pytest.fixture(scope="module")
def embedded_installed() -> None:
    needed(bool(find_spec("pymap") and find_spec("twisted")), _EMBEDDED)


@dataclass(frozen=True)
class Shown:
    """One demo from start to end."""

    code: int
    lines: list[str]
    directory: Path

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def after(self, title: str) -> str:
        """What stands under the title that begins so."""
        return self.text.split(f"== {title}", 1)[1].split("\n== ", 1)[0]


@pytest.fixture(scope="module", params=["embedded", "dovecot"])
def shown(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Shown:
    if request.param == "embedded":
        request.getfixturevalue("embedded_installed")
    else:
        needed(installed(), MISSING)
    directory = tmp_path_factory.mktemp("demo") / "kept"
    lines: list[str] = []
    code = demo.run(request.param == "dovecot", directory, lines.append)
    return Shown(code, lines, directory)


def test_every_message_ends_where_it_should(shown: Shown) -> None:
    assert shown.code == ExitCode.OK, shown.text
    assert "All 16 messages are where they should be, octet for octet, each once." in shown.lines, shown.text


def test_the_commands_are_those_that_a_person_would_type(shown: Shown) -> None:
    commands = [line for line in shown.lines if line.startswith("$ ")]
    source, target = r"pop3://alice@127\.0\.0\.1:\d+", r"imap://alice\.new@127\.0\.0\.1:\d+"
    rest = r"--rules rules\.toml --state-dir state"
    for command, expected in zip(
        commands,
        (
            rf"plan {source} {target} {rest}",
            rf"migrate {source} {target} {rest}",
            rf"migrate mbox:old-mail\.mbox {target} {rest}",
            rf"migrate {source} mbox:old-mail\.mbox {target} {rest}",
        ),
        strict=True,
    ):
        assert re.fullmatch(rf"\$ pop2imap {expected}", command)


def test_the_account_is_read_back_with_folders_flags_dates_and_subjects(shown: Shown) -> None:
    listing = shown.after("The account, read back over IMAP")
    assert re.search(r"^Gesendet  \(\\Sent\)  2 in all, 0 unread$", listing, re.MULTILINE)
    assert re.search(r"^Haushalt/Müller & Söhne  1 in all, 0 unread$", listing, re.MULTILINE)
    assert re.search(r"2013-06-01 09:30 +Erik +Photos of the summer", listing)
    assert re.search(r"unread starred +Berta +Signature needed today", listing)
    assert re.search(r"\$label1 taxes +Ann +Tax papers", listing)
    assert "Grüße vom Faxgerät" in listing


def test_what_stays_behind_can_be_looked_at_and_holds_no_password(shown: Shown) -> None:
    assert {"maildrop", "old-mail.mbox", "rules.toml", "state"} <= {p.name for p in shown.directory.iterdir()}
    secret = re.compile(rb"[A-Za-z0-9_-]{43}")  # what token_urlsafe() makes
    assert not secret.search(shown.text.encode())
    for path in shown.directory.rglob("*.log"):
        assert not secret.search(path.read_bytes()), path


def test_a_directory_that_holds_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        demo.run(False, tmp_path, lambda line: None)
    assert [p.name for p in tmp_path.iterdir()] == ["mine"]


@pytest.fixture
def embedded(embedded_installed: None, tmp_path: Path) -> Iterator[tuple[Server, Server]]:
    (tmp_path / "maildrop").mkdir()
    (tmp_path / "maildrop" / "1.eml").write_bytes(
        b".a: b\r\n\r\n.\r\n..c\r\n" + b"." * 40_000 + b"\r\n.d\r\n"
    )
    (tmp_path / "maildrop" / "2.damaged").write_bytes(b"gone\r\n")
    with servers.embedded(tmp_path / "maildrop", ("alice", "alice.new"), tmp_path) as both:
        yield both


def test_the_pop3_server_pipelines_and_stuffs_dots(embedded: tuple[Server, Server], tmp_path: Path) -> None:
    pop3, _ = embedded
    commands = [
        b"CAPA",
        b"USER alice",
        b"PASS " + pop3.password.encode(),
        b"UIDL",
        b"RETR 1",
        b"RETR 2",
        b"NONSENSE",
    ]
    commands += [b"RETR 9", b"DELE 1", b"STAT", b"QUIT"]
    with (
        socket.create_connection((HOST, pop3.port), timeout=20) as connection,
        connection.makefile("rb") as answers,
    ):
        connection.sendall(b"".join(command + b"\r\n" for command in commands))
        said = answers.read()
    octets = (tmp_path / "maildrop" / "1.eml").read_bytes()
    assert b"\r\nPIPELINING\r\n" in said
    assert b"\r\n1 1\r\n2 2\r\n.\r\n" in said
    wire = (b"\n" + octets).replace(b"\n.", b"\n..")[1:]
    head, found, rest = said.partition(wire + b".\r\n")
    assert found, said
    assert head.endswith(b"+OK %d\r\n" % len(octets))
    assert [line[:4] for line in rest.splitlines()] == [b"-ERR"] * 4 + [b"+OK ", b"+OK "]


def test_the_servers_let_nobody_in_without_the_password(embedded: tuple[Server, Server]) -> None:
    pop3, imap = embedded
    client = POP3(HOST, pop3.port, timeout=20)
    client.user("alice")
    with pytest.raises(Exception, match=r"-ERR"):
        client.pass_("secret")
    client.quit()
    with IMAP4(HOST, imap.port, timeout=20) as session, pytest.raises(IMAP4.error):
        session.login("alice.new", "secret")


def started(temporary: Path) -> subprocess.Popen[str]:
    program = "import sys\nfrom pop2imap.demo import run\nsys.exit(run(False, None, lambda x: print(x, flush=True)))"
    return subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def port_of(process: subprocess.Popen[str], what: str) -> int:
    assert process.stdout
    for line in process.stdout:
        if line.startswith(what):
            match = re.search(r"127\.0\.0\.1:(\d+)", line)
            assert match
            return int(match[1])
    raise AssertionError(f"no line that begins with {what}")


def wait_for_the_end(connection: socket.socket) -> None:
    with connection, suppress(ConnectionResetError):
        while connection.recv(4096):
            pass  # the greeting, then the end


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_servers_end_with_the_demo_whatever_ends_it(
    embedded_installed: None, tmp_path: Path, number: signal.Signals
) -> None:
    with started(tmp_path) as process:
        ports = [port_of(process, "POP3 server"), port_of(process, "IMAP server")]
        connections = [socket.create_connection((HOST, port), timeout=30) for port in ports]
        process.send_signal(number)
        for connection in connections:
            wait_for_the_end(connection)
        assert process.stdout
        process.stdout.read()
        assert process.wait(30) == (-number if number == signal.SIGKILL else ExitCode.INTERRUPTED)
    if number != signal.SIGKILL:
        assert not list(tmp_path.iterdir())
    for port in ports:
        with suppress(ConnectionRefusedError):
            while True:  # a server that is ending may take one more connection, which ends with it
                wait_for_the_end(socket.create_connection((HOST, port), timeout=30))
