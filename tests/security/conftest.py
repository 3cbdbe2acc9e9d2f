"""The program within this process, so that many hostile servers can be met in little time."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pop2imap import logs
from pop2imap.cli.main import run
from pop2imap.migrate import migrate as spine
from tests.fakes import imap_server, pop3_server
from tests.fakes.imap_server import ImapAccount, ImapServer
from tests.fakes.pop3_server import Maildrop, Pop3Server


@dataclass(frozen=True)
class Ran:
    """What a run left behind."""

    code: int
    out: str
    err: str


Program = Callable[..., Ran]
Migrate = Callable[..., Ran]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place without anything of this machine's owner."""
    for name in list(os.environ):
        if name.startswith("POP2IMAP_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("POP2IMAP_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("POP2IMAP_SOURCE_PASSWORD", pop3_server.PASSWORD)
    monkeypatch.setenv("POP2IMAP_TARGET_PASSWORD", imap_server.PASSWORD)
    monkeypatch.setitem(sys.modules, "keyring", None)
    monkeypatch.setattr("pop2imap.credentials.ask_on_terminal", lambda: None)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def program(home: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Program]:
    """``program("check", …)``: one run from start to end, which is never a defect."""

    def go(*arguments: str | Path) -> Ran:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        ran = Ran(code, *capsys.readouterr())
        assert "Traceback" not in ran.out + ran.err
        assert code != 70, ran.err
        return ran

    yield go
    logs.close()


@pytest.fixture
def migrate(program: Program, monkeypatch: pytest.MonkeyPatch) -> Migrate:
    """``migrate(maildrop, account, "--json")``: from the one to the other, on loopback, ``runs`` times; gives the last
    one. Between two tries within a run nobody waits."""
    assert spine.__kwdefaults__ is not None
    monkeypatch.setitem(spine.__kwdefaults__, "sleep", lambda seconds: None)

    def go(drop: Maildrop, account: ImapAccount, *more: str | Path, runs: int = 1) -> Ran:
        with ImapServer(account) as target, Pop3Server(drop) as source:
            ends = (
                f"pop3://{pop3_server.USER}@127.0.0.1:{source.port}",
                f"imap://{imap_server.USER}@127.0.0.1:{target.port}",
            )
            return [program("migrate", *ends, "--fence", "0", *more) for _ in range(runs)][-1]

    return go
