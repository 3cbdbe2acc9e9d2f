"""Passwords stay where they belong: whatever a server does with one that it was given, it is nowhere to be read
afterwards, nor while the program is at work."""

from __future__ import annotations

import base64
import json
import os
import re
import socket
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from pop2imap import net
from pop2imap.credentials import Secret
from pop2imap.errors import ConnectionLost, Pop2imapError
from pop2imap.logs import said
from pop2imap.sources import pop3_wire
from pop2imap.sources.pop3_session import open_session
from tests.fakes.imap_server import PASSWORD, USER, ImapAccount, ImapServer
from tests.fakes.pop3_server import Maildrop, Pop3Server
from tests.security.conftest import Program
from tests.system.program import start

SECRET = 'hün"ter\\2%n+e v/er'
MESSAGE = b"Subject: hello\r\n\r\nhello\r\n"


def forms(secret: str = SECRET, user: str = USER) -> dict[str, str]:
    """How protocols and programs write a password."""
    octets = secret.encode()
    escaped = secret.replace("\\", "\\\\").replace('"', '\\"')
    return {
        "plain": secret,
        "quoted": f'"{escaped}"',
        "sasl": base64.b64encode(f"\0{user}\0{secret}".encode()).decode(),
        "sasl for another": base64.b64encode(f"bob\0{user}\0{secret}".encode()).decode(),
        "base64": base64.b64encode(octets).decode(),
        "url-safe base64": base64.urlsafe_b64encode(octets).decode(),
        "percent": quote(secret, safe=""),
        "form": quote_plus(secret),
        "json": json.dumps(secret)[1:-1],
        "repr": repr(secret),
        "repr of octets": repr(octets),
    }


def told(text: str, secret: str = SECRET) -> list[str]:
    """The forms of the password that can be read in ``text``."""
    return [name for name, form in forms(secret).items() if form in text]


@pytest.fixture
def kept(home: Path) -> Path:
    path = home / "password"
    path.write_text(SECRET + "\n", "utf-8")
    path.chmod(0o600)
    return path


def written(home: Path, *leaving_out: Path) -> Iterator[str]:
    for path in home.rglob("*"):
        if path.is_file() and path not in leaving_out:
            yield path.read_bytes().decode("utf-8", "surrogateescape")


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("side", ["source", "target"])
@pytest.mark.parametrize("form", sorted(forms()))
def test_a_server_that_repeats_it_in_any_form_makes_nobody_read_it(
    program: Program,
    home: Path,
    kept: Path,
    monkeypatch: pytest.MonkeyPatch,
    side: str,
    form: str,
    as_json: bool,
) -> None:
    monkeypatch.setenv("POP2IMAP_DEBUG", "1")
    monkeypatch.delenv(f"POP2IMAP_{side.upper()}_PASSWORD")
    echo = forms()[form].encode()
    drop, account = Maildrop([MESSAGE]), ImapAccount()
    if side == "source":
        drop.answers = {"AUTH": b"-ERR [AUTH] no: " + echo + b"\r\n"}
    else:
        account.answers["AUTHENTICATE"] = b"+ \r\n* OK " + echo + b"\r\n{tag} NO wrong: " + echo + b"\r\n"
    with ImapServer(account) as target, Pop3Server(drop) as source:
        ends = [f"pop3://{USER}@127.0.0.1:{source.port}", f"imap://{USER}@127.0.0.1:{target.port}"]
        ran = program(
            "migrate", *ends, f"--{side}-password-file", kept, "-vv", "--log-file", "run.log", "--log-format",
            "json" if as_json else "text", "--report", "r.txt", "--report", "r.json", "--report", "r.csv",
            *(["--json"] if as_json else []),
        )  # fmt: skip
    assert ran.code == 77
    # the traceback that POP2IMAP_DEBUG asks for, and everything else
    everything = "\n".join([ran.out, ran.err, *written(home, kept)])
    assert told(everything) == []
    assert "***" in everything


@pytest.mark.parametrize("before", range(160, 320, 7))
def test_an_error_that_is_cut_in_the_middle_of_it_does_not_tell_a_half(before: int) -> None:
    secret = Secret("hunter2-never-shown")
    line = b"-ERR " + b"x" * before + secret.reveal().encode() * 3 + b"y" * 300 + b"\r\n"
    reader = pop3_wire.ReplyReader()
    reader.expect(pop3_wire.Reply.STATUS)
    reader.feed(line)
    status = reader.next_event()
    assert isinstance(status, pop3_wire.Status)
    for shown in (status.words, said(line), said(line.decode()), said(line * 40)):
        assert "hun" not in shown
    for most in range(before, before + 40):  # what is scrubbed takes less room than it did
        assert "hun" not in said(secret.reveal().encode() * 200, most)


def test_it_is_in_no_list_of_processes_while_the_program_is_at_work(tmp_path: Path) -> None:
    """Looked at from the target, while a message is on its way there."""
    seen: list[str] = []
    running: list[subprocess.Popen[str]] = []

    def look(messages: list[bytes]) -> None:
        process = Path(f"/proc/{running[0].pid}")
        seen.extend((process / name).read_text("utf-8", "replace") for name in ("cmdline", "environ"))

    if not os.path.exists("/proc/self/cmdline"):
        pytest.skip("no /proc here")
    for side in ("source", "target"):
        (tmp_path / side).write_text(SECRET if side == "source" else PASSWORD)
        (tmp_path / side).chmod(0o600)
    drop = Maildrop([MESSAGE], users={USER: SECRET})
    with ImapServer(ImapAccount(verdict=look)) as target, Pop3Server(drop) as source:
        command = f"{sys.executable} -c \"print(open('target').read())\""
        running.append(
            start(
                tmp_path,
                "migrate",
                f"pop3://{USER}@127.0.0.1:{source.port}",
                f"imap://{USER}@127.0.0.1:{target.port}",
                "--source-password-file",
                "source",
                "--target-password-command",
                command,
                POP2IMAP_SOURCE_PASSWORD="",
                POP2IMAP_TARGET_PASSWORD="",
            )
        )
        out, err = running[0].communicate(timeout=60)
    assert running[0].returncode == 0, err
    assert len(seen) == 2
    assert "migrate" in seen[0]
    assert told("\n".join([*seen, out, err])) == []


def gathered(error: Pop2imapError) -> str:
    """What programs that gather tracebacks show of it, local variables included, but for those of this test."""
    told: traceback.TracebackException | None = traceback.TracebackException.from_exception(
        error, capture_locals=True
    )
    shown = []
    while told is not None:
        shown += [str(told), *(f"{frame.locals}" for frame in told.stack if frame.filename != __file__)]
        told = told.__cause__ or told.__context__
    return "\n".join(shown)


@pytest.mark.parametrize("capabilities", [("USER",), ("SASL PLAIN",)])
@pytest.mark.parametrize("answer", [b"-ERR no\r\n", b"what\r\n", b"+OK\r\n+OK\r\n", b"+ \r\n+ \r\n", b"+"])
def test_no_error_of_a_pop3_login_holds_it_nor_hangs_on_what_does(
    capabilities: tuple[str, ...], answer: bytes
) -> None:
    drop = Maildrop(capabilities=capabilities, answers={"PASS": answer, "AUTH": answer})
    secret = Secret("hunter2-never-shown")
    if answer == b"+":
        drop.cut = {f"PASS {secret.reveal()}": 1, f"AUTH PLAIN {forms(secret.reveal())['sasl']}": 1}
    with Pop3Server(drop) as server, pytest.raises(Pop2imapError) as caught:
        open_session(server.address(), USER, secret)
    shown = gathered(caught.value)
    assert told(shown, secret.reveal()) == []


def test_a_connection_that_breaks_while_it_is_sent_does_not_leave_it_in_a_traceback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connections: list[net.Connection] = []
    connect = net.Connection.__init__

    def noted(connection: net.Connection, server: net.Server) -> None:
        connect(connection, server)
        connections.append(connection)

    def broken() -> Iterator[bytes]:
        connections[0]._socket.shutdown(socket.SHUT_WR)
        yield b"+OK go on\r\n"

    monkeypatch.setattr(net.Connection, "__init__", noted)
    secret = Secret("hunter2-never-shown")
    with Pop3Server(Maildrop(answers={"USER": broken()})) as server, pytest.raises(ConnectionLost) as caught:
        open_session(server.address(), USER, secret)
    assert "sending" in caught.value.what
    assert told(gathered(caught.value), secret.reveal()) == []


def test_nothing_of_ours_ever_shows_local_variables() -> None:
    package = Path(__file__).parents[2] / "pop2imap"
    for path in package.rglob("*.py"):
        text = path.read_text("utf-8")
        for word in ("capture_locals", "show_locals", "cgitb", "rich.traceback", "sys.excepthook"):
            assert word not in text, path


def test_a_password_that_was_typed_into_a_url_is_not_repeated_and_its_change_is_advised(
    program: Program,
) -> None:
    ran = program(
        "migrate", f"pop3s://alice:{quote(SECRET)}@pop.example.com", "imaps://alice@imap.example.com"
    )
    assert ran.code == 2
    assert told(ran.out + ran.err) == []
    assert re.search("change that\\s+password", ran.err)


def test_a_refused_login_is_tried_once(program: Program) -> None:
    """However many mechanisms the server offers: a second wrong password may lock the account."""
    drop = Maildrop(
        [MESSAGE], users={USER: "another"}, capabilities=("USER", "SASL PLAIN LOGIN CRAM-MD5", "UIDL")
    )
    account = ImapAccount(capabilities="IMAP4rev1 AUTH=PLAIN AUTH=LOGIN AUTH=CRAM-MD5 AUTH=XOAUTH2")
    with ImapServer(account) as target, Pop3Server(drop) as source:
        ends = [f"pop3://{USER}@127.0.0.1:{source.port}", f"imap://{USER}@127.0.0.1:{target.port}"]
        assert program("migrate", *ends).code == 77
        account.answers["AUTHENTICATE"] = b"+ \r\n{tag} NO [AUTHENTICATIONFAILED] no\r\n"
        assert program("migrate", *ends).code == 77
        tried = [line for log in source.wait() for line in log.commands if line.startswith(("PASS", "AUTH"))]
        assert len(tried) == 2, "one for each run"
        looked = [
            line for log in target.wait() for line in log.commands if line.startswith(("AUTH", "LOGIN"))
        ]
        assert len(looked) == 2, "one for each run"


def test_no_journal_and_no_remembered_move_holds_one(program: Program, home: Path, kept: Path) -> None:
    drop = Maildrop([MESSAGE], users={USER: SECRET})
    with ImapServer(ImapAccount()) as target, Pop3Server(drop) as source:
        ends = [f"pop3://{USER}@127.0.0.1:{source.port}", f"imap://{USER}@127.0.0.1:{target.port}"]
        command = f"{sys.executable} -c \"print('{PASSWORD}', end='')\""
        assert (
            program(
                "migrate", *ends, "--source-password-file", kept, "--target-password-command", command
            ).code
            == 0
        )
    everything = "\n".join(written(home, kept))
    assert told(everything) == []
    assert str(kept) in everything, "the place of a password is no secret"
    assert command not in everything, "but a command could hold one"
