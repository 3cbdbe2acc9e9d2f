"""Going on with the last move without naming it, and writing a move.toml in the first place."""

from __future__ import annotations

import os
import pty
import select
import stat
import sys
import time
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from pop2imap.cli import main as cli
from pop2imap.cli import recall
from pop2imap.config import MOVE_KEYS, CommandLine, Config, Said, SourceConfig, TargetConfig
from pop2imap.credentials import SecretRef
from pop2imap.endpoints import parse
from pop2imap.errors import ConfigError, UsageError
from pop2imap.movefile import load
from pop2imap.options import Options
from pop2imap.rules import toml as rules

SOURCE = "pop3s://alice@pop.example.com"
TARGET = "imaps://alice@imap.example.com"
IDENTITY = "alice@imap.example.com:993"

Run = Callable[..., int]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in list(os.environ):
        if name.startswith("POP2IMAP_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setitem(sys.modules, "keyring", None)
    monkeypatch.setattr("pop2imap.credentials.ask_on_terminal", lambda: None)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mail.mbox").write_text(
        "From bob@example.org Mon May 04 10:00:00 2020\nSubject: x\n\nbody\n\n"
    )
    return tmp_path


def config(home: Path) -> Config:
    return Config(
        sources=(SourceConfig(parse(SOURCE), SecretRef.command("pass hunter2", "x")),),
        target=TargetConfig(parse(TARGET), SecretRef.file("/pw", "x")),
        options=Options(into="Archive", state_dir=home / "state"),
    )


def moved(home: Path, *, from_file: bool = False, **said: object) -> Path:
    """Remember a move as ``migrate`` does, and make its journal (as far as that is looked at)."""
    file = None
    if from_file:
        path = home / "my-move.toml"
        path.write_text(f'version = 1\n[[source]]\nendpoint = "{SOURCE}"\n[target]\nendpoint = "{TARGET}"\n')
        file = load(path)
    line = CommandLine(said=Said(**said))  # type: ignore[arg-type]
    recall.remember(home / "state", IDENTITY, config(home), line, file)
    (directory,) = (home / "state" / "targets").iterdir()
    (directory / "journal.db").touch()
    return directory / "move.toml"


def test_the_last_move_is_remembered_without_secrets(home: Path) -> None:
    path = moved(home)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    known = tomllib.loads(path.read_text())
    assert known["source"] == [{"endpoint": SOURCE}]
    assert known["target"] == {"endpoint": TARGET, "password-file": "/pw"}
    assert known["options"] == {"into": "Archive"}
    assert "hunter2" not in path.read_text()
    assert recall.recall(home / "state") == path


def test_nothing_is_known_where_nothing_was_moved(home: Path) -> None:
    assert recall.recall(home / "state") is None
    path = moved(home)
    (path.parent / "journal.db").unlink()
    assert recall.recall(home / "state") is None, "a login that failed before any journal was made is no move"


def test_a_move_from_a_file_is_remembered_by_its_name(home: Path) -> None:
    moved(home, from_file=True)
    assert recall.recall(home / "state") == home / "my-move.toml"
    (home / "my-move.toml").unlink()
    with pytest.raises(ConfigError, match="which is gone"):
        recall.recall(home / "state")


def test_what_was_typed_beside_a_file_is_remembered_too(home: Path) -> None:
    path = moved(home, from_file=True, into="Archive")
    assert recall.recall(home / "state") == path
    moved(home, from_file=True, limit=5, full=True)
    assert recall.recall(home / "state") == home / "my-move.toml", "what concerns one run alone is not"


def test_going_on_with_the_last_move_changes_what_is_remembered_only_if_more_was_said(home: Path) -> None:
    path = moved(home)
    before = path.read_text()
    changed = Config(sources=(SourceConfig(parse(SOURCE)),), target=None, options=Options(into="x"))
    recall.remember(home / "state", IDENTITY, changed, CommandLine(), None, recalled=True)
    assert path.read_text() == before
    line = CommandLine(said=Said(into="x"))
    recall.remember(home / "state", IDENTITY, changed, line, None, recalled=True)
    assert 'into = "x"' in path.read_text()


def test_with_one_account_known_the_endpoints_may_be_left_out(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moved(home)
    assert cli.run(["plan", "--state-dir", "state"]) == 78
    err = capsys.readouterr().err
    assert f"no endpoints named: the last move, {SOURCE} → {TARGET}" in err
    assert f"{SOURCE}: no password is known" in err


def test_with_several_accounts_known_it_is_asked_which(home: Path) -> None:
    path = moved(home)
    other = home / "state" / "targets" / "other"
    other.mkdir()
    (other / "journal.db").touch()
    with pytest.raises(UsageError, match="2 targets are known here") as caught:
        recall.recall(home / "state")
    assert f"-c {path}" in str(caught.value)


def test_a_file_is_replaced_whole_or_not_at_all(home: Path) -> None:
    path = home / "move.toml"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        recall.write_privately(path, "new\udc80")
    assert path.read_text() == "old"
    recall.write_privately(path, "new")
    assert path.read_text() == "new"
    assert sorted(entry.name for entry in home.iterdir()) == ["mail.mbox", "move.toml"]


# init


def test_init_writes_a_file_that_says_where_and_never_a_password(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    goal = "imaps://alice@example.com@imap.example.com"
    assert cli.run(["init", "--source", SOURCE, "--source", "mail.mbox", "--target", goal]) == 0
    assert "pop2imap check -c" in capsys.readouterr().out
    path = home / "move.toml"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    move = load(path)
    assert [str(source.endpoint) for source in move.sources] == [SOURCE, f"mbox:{home}/mail.mbox"]
    assert move.target
    assert str(move.target.endpoint) == goal
    assert tomllib.loads(path.read_text())["me"] == ["alice@example.com"]


def test_what_init_suggests_can_be_used_as_it_stands(home: Path) -> None:
    path = home / "new.toml"
    assert cli.run(["init", "new.toml", "--source", SOURCE, "--target", TARGET]) == 0
    rules.load(path, other_keys=MOVE_KEYS - {"version"})
    head, options, suggested = path.read_text().partition("[options]\n")
    used = [
        line.removeprefix("# ") if " = " in line or "[[" in line else line for line in suggested.splitlines()
    ]
    path.write_text(head + options + "\n".join(used))
    assert load(path).said.into == "INBOX"
    assert {"Lists", "Old mail"} <= set(rules.load(path, other_keys=MOVE_KEYS - {"version"}).names)


def test_init_writes_over_nothing_unasked(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "move.toml").write_text("mine")
    assert cli.run(["init", "--source", SOURCE, "--target", TARGET]) == 2
    assert "--force" in capsys.readouterr().err
    assert (home / "move.toml").read_text() == "mine"
    assert cli.run(["init", "--source", SOURCE, "--target", TARGET, "--force"]) == 0
    assert SOURCE in (home / "move.toml").read_text()


def on_terminal(arguments: Sequence[str], answers: Sequence[tuple[str, str]], **env: str) -> tuple[int, str]:
    """The program on a terminal of its own: for each (words, answer), wait for the words and type the answer."""
    process, terminal = pty.fork()
    if process == 0:
        os.execve(sys.executable, [sys.executable, "-m", "pop2imap", *arguments], os.environ | env)
    shown, seen = "", 0
    left = list(answers)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if not select.select([terminal], [], [], 1)[0]:
            continue
        try:
            octets = os.read(terminal, 4096)
        except OSError:  # the other side is closed
            break
        if not octets:
            break
        shown += octets.decode("utf-8", "replace")
        if left and left[0][0] in shown[seen:]:
            seen = shown.index(left[0][0], seen) + len(left[0][0])
            os.write(terminal, left.pop(0)[1].encode() + b"\n")
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), shown


def test_init_asks_on_a_terminal(home: Path) -> None:
    code, shown = on_terminal(
        ["init"],
        [
            ("Where is the mail?", "pop3s://alice:x@pop.example.com"),
            ("Where is the mail?", SOURCE),
            ("Another source?", "mail.mbox"),
            ("Another source?", ""),
            ("Where shall it go?", TARGET),
            ("1, 2 or 3", "3"),
            ("Which command?", "pass show 'mail pop'"),
            ("1, 2 or 3", "2"),
            ("Which file?", "~/secret"),
            ("Your own addresses", "alice@example.com, a@example.org"),
        ],
        HOME=str(home),
    )
    assert code == 0, shown
    assert "this URL holds a password" in shown
    known = tomllib.loads((home / "move.toml").read_text())
    assert known["me"] == ["alice@example.com", "a@example.org"]
    assert known["source"] == [
        {"endpoint": SOURCE, "password-command": ["pass", "show", "mail pop"]},
        {"endpoint": f"mbox:{home}/mail.mbox"},
    ]
    assert known["target"] == {"endpoint": TARGET, "password-file": f"{home}/secret"}


def test_a_password_is_asked_for_on_a_terminal_and_not_shown(home: Path) -> None:
    code, shown = on_terminal(
        ["check", "imap://alice@127.0.0.1:1"],
        [("Password for imap://alice@127.0.0.1:1 (target):", "hunter2")],
        HOME=str(home),
        PYTHON_KEYRING_BACKEND="keyring.backends.null.Keyring",
    )
    assert code == 69, shown
    assert "connection refused" in shown
    assert "hunter2" not in shown
