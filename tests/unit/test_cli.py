"""The command line: what is understood, what is refused, and that an error is one line and a code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import click
import pytest

from pop2imap import __version__, logs
from pop2imap.cli import main as cli
from pop2imap.cli import options
from pop2imap.cli.kinds import Section
from pop2imap.cli.migrate import command as migrate_command
from pop2imap.cli.plan import command as plan_command
from pop2imap.config import CommandLine, Said
from pop2imap.credentials import Secret
from pop2imap.errors import InternalError
from pop2imap.options import Mark

TARGET = "imaps://alice@imap.example.com"
SOURCE = "pop3s://alice@pop.example.com"

MBOX = "From bob@example.org Mon May 04 10:00:00 2020\nFrom: bob@example.org\nSubject: hello\n\nbody\n\n"

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def _logs_are_put_back() -> Iterator[None]:
    yield
    logs.close()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place without anything of this machine's owner, and with one mbox in it."""
    for name in list(os.environ):
        if name.startswith("POP2IMAP_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setitem(sys.modules, "keyring", None)
    monkeypatch.setattr("pop2imap.credentials.ask_on_terminal", lambda: None)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mail.mbox").write_text(MBOX)
    return tmp_path


@pytest.fixture
def run(home: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """The program within this process: (exit code, standard output, standard error)."""

    def go(*arguments: str | Path) -> tuple[int, str, str]:
        capsys.readouterr()
        code = cli.run([str(argument) for argument in arguments])
        said = capsys.readouterr()
        assert "Traceback" not in said.out + said.err
        return code, said.out, said.err

    return go


def in_subprocess(code: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], env=os.environ | env, capture_output=True, text=True, check=False
    )


COMMANDS = [
    *("init", "check", "plan", "migrate", "verify", "status", "trace"),
    *("adopt", "undo", "delete-source", "demo"),
]

# what a newcomer sees


def test_the_bare_command_shows_three_examples(run: Run) -> None:
    code, out, err = run()
    assert (code, err) == (0, "")
    assert sum(": " in line and " pop2imap " in line for line in out.splitlines()) == 3
    assert "pop2imap demo" in out


HEAVY = {
    *("sqlalchemy", "pydantic", "tqdm", "rich", "email_validator", "keyring", "asyncio"),
    *("sqlite3", "imapclient", "re2", "ssl"),
}
NEEDED_TO_MOVE = {"sqlite3", "imapclient", "ssl"}
"""By a move from POP3 to IMAP, with no file of rules and no bar. The whole time that it takes to begin goes here."""


def loaded(arguments: list[str], heavy: set[str]) -> tuple[int, set[str], str]:
    """The exit code of a command, and what it has imported of this."""
    done = in_subprocess(
        f"import sys\nfrom pop2imap.cli.main import run\ncode = run({arguments})\n"
        f"print(code, *({heavy} & set(sys.modules)))"
    )
    assert done.returncode == 0, done.stderr
    *printed, last = done.stdout.splitlines()
    code, *found = last.split()
    return int(code), set(found), "\n".join(printed)


@pytest.mark.parametrize("arguments", [["--help"], ["migrate", "--help"], ["--version"], []])
def test_help_needs_nothing_heavy(arguments: list[str], home: Path) -> None:
    introduction = {"ssl", "sqlite3"} if not arguments else set()  # it looks for journals
    code, found, printed = loaded(arguments, HEAVY - introduction)
    assert (code, found) == (0, set())
    assert printed


def test_a_move_begins_with_nothing_heavy_that_it_does_not_need(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POP2IMAP_SOURCE_PASSWORD", "dummy")
    monkeypatch.setenv("POP2IMAP_TARGET_PASSWORD", "dummy")
    ends = ["pop3://alice@127.0.0.1:1", "imap://alice@127.0.0.1:1"]
    code, found, _ = loaded(["migrate", "--state-dir", str(home / "state"), *ends], HEAVY)
    assert (code, found) == (69, NEEDED_TO_MOVE), "it gets as far as the first connect"


def test_help_lists_the_commands_in_the_order_a_newcomer_needs_them(run: Run) -> None:
    code, out, _ = run("-h")
    assert code == 0
    listed = [line.split()[0] for line in out.partition("Commands:")[2].splitlines() if line.strip()]
    assert listed[: len(COMMANDS)] == COMMANDS


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_help_with_its_options_in_sections(run: Run, name: str) -> None:
    code, out, _ = run(name, "--help")
    assert code == 0
    command = cli.cli.get_command(click.Context(cli.cli), name)
    assert command is not None
    for param in command.params:
        if isinstance(param, Section) and not param.hidden:
            assert param.help
            assert f"\n{param.section}:\n" in out
            assert param.opts[-1] in out


def test_the_version(run: Run) -> None:
    assert run("--version") == (0, f"pop2imap {__version__}\n", "")


def test_completion_offers_commands_options_and_files(home: Path) -> None:
    def completions(words: str, at: int) -> str:
        return in_subprocess(
            "from pop2imap.cli.main import main; main()",
            _POP2IMAP_COMPLETE="bash_complete",
            COMP_WORDS=words,
            COMP_CWORD=str(at),
        ).stdout

    assert "plain,plan" in completions("pop2imap p", 1)
    assert "--mbox-quoting" in completions("pop2imap plan --mb", 2)
    assert "file," in completions("pop2imap plan ma", 2)


# what is refused


def refusal(said: tuple[int, str, str], code: int) -> str:
    """The one line on standard error."""
    assert said[0] == code, said
    assert said[1] == ""
    lines = said[2].strip("\n").splitlines()
    assert len(lines) == 1, said[2]
    assert lines[0].startswith("pop2imap: ")
    return lines[0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["migrat"], "Did you mean 'migrate'?"),
        (["plan", "--lmit", "5"], "--limit"),
        (["plan", "--limit", "0", SOURCE, TARGET], "--limit"),
        (["plan", "--max-rate", "fast"], "5MB/s"),
        (["plan", "--daily-bytes", "0"], "500MB"),
        (["plan", "--max-rate", "0", SOURCE, TARGET], "5MB/s"),
        (["plan", "--max-messages-per-second", "0"], "--max-messages-per-second"),
        (["plan", "--since", "31.1.2015"], "2015-01-31"),
        (["plan", "--mark", "read"], "older-than:30d"),
        (["plan", "--mbox-quoting", "x"], "mboxrd"),
        (["plan", "--config", ""], "--config"),
        (["plan", "--into"], "--into"),
        (["trace"], "KEY"),
        (["plan"], "what is to be moved"),
        (["plan", SOURCE], "no target is named"),
        (["plan", TARGET, SOURCE], "the one target comes last"),
        (["plan", TARGET, TARGET], "cannot be a source"),
        (["plan", "pop3://alice@pop.example.com", TARGET], "clear text"),
        (["plan", SOURCE, TARGET, "--report", "out.pdf"], ".json .csv .txt"),
        ([SOURCE, TARGET], "an endpoint is no command"),
        (["demo", "extra"], "unexpected extra argument"),
        (["init", "--source", SOURCE], "--source and --target"),
    ],
)
def test_what_is_typed_wrong_is_answered_in_one_line_with_2(
    run: Run, arguments: list[str], words: str
) -> None:
    assert words in refusal(run(*arguments), 2)


@pytest.mark.parametrize(
    "arguments",
    [
        [
            "migrate",
            "--host1",
            "a.example",
            "--user1",
            "alice",
            "--password1",
            "hunter2",
            "--host2",
            "b.example",
        ],
        ["--host1=a.example", "--password1=hunter2"],
        ["migrate", "-host1", "a.example", "-password2", "hunter2"],
        ["migrate", "--passfile1", "hunter2"],
        ["plan", "--ssl1", "--user2", "hunter2"],
    ],
)
def test_the_spelling_of_imapsync_is_answered_with_ours(run: Run, arguments: list[str]) -> None:
    line = refusal(run(*arguments), 2)
    assert "pop2imap migrate pop3s://USER1@HOST1 imaps://USER2@HOST2" in line
    assert "hunter2" not in line
    assert ("change that password" in line) == any("password" in word for word in arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        ["plan", "pop3s://alice:hunter2@pop.example.com", TARGET],
        ["plan", "alice:hunter2@pop.example.com", TARGET],
        ["alice:hunter2@pop.example.com"],
        ["demo", "alice:hunter2@pop.example.com"],
        ["trace", "a", "alice:hunter2@pop.example.com"],
        ["plan", "--password", "hunter2"],
        ["plan", "--source-password=hunter2", SOURCE, TARGET],
        ["plan", "--limit", "pop3s://a:hunter2@b.example"],
        ["plan", "--alice:hunter2@pop.example.com"],
    ],
)
def test_a_password_where_none_belongs_is_never_repeated(run: Run, arguments: list[str]) -> None:
    assert "hunter2" not in refusal(run(*arguments), 2)
    code, out, err = run(*arguments, "--json")
    assert code == 2
    assert "hunter2" not in out + err
    assert json.loads(out)["result"] == "usage"


def test_a_missing_file_is_a_matter_of_data(run: Run) -> None:
    assert "no-such.mbox: no such file" in refusal(run("plan", "no-such.mbox", TARGET), 65)


def test_without_a_password_it_is_said_where_one_can_come_from(run: Run) -> None:
    assert "--source-password-file" in refusal(run("plan", SOURCE, TARGET), 78)


def test_a_failing_password_command_is_a_matter_of_login(run: Run) -> None:
    line = refusal(run("plan", "mail.mbox", TARGET, "--target-password-command", "false hunter2"), 77)
    assert "exit code 1" in line
    assert "hunter2" not in line


def test_every_fault_of_a_move_file_and_of_its_rules_comes_at_once(run: Run, home: Path) -> None:
    (home / "move.toml").write_text(
        'version = 1\n[options]\nlimt = 5\n[[rule]]\nname = "one"\nwhen = { form = "x" }\nthen = { folder = "A" }\n'
    )
    code, out, err = run("plan", "-c", "move.toml")
    assert (code, out) == (78, "")
    first, second, third = err.splitlines()
    assert first == f"pop2imap: {home}/move.toml: there are faults in this file"
    assert second.startswith(f"  {home}/move.toml:3: options.limt: ")
    assert third.startswith(f"  {home}/move.toml:6: ")


def test_an_error_before_the_run_is_a_json_document_too(run: Run) -> None:
    code, out, err = run("plan", "no-such.mbox", TARGET, "--json")
    document = json.loads(out)
    assert code == document["exit_code"] == 65
    assert document["schema_version"] == 1
    assert document["result"] == "data"
    assert document["error"] == "no-such.mbox: no such file (check the path)"
    assert document["error_details"] == {
        "kind": "SourceDataError",
        "what": "no such file",
        "where": "no-such.mbox",
        "todo": "check the path",
        "problems": [],
    }
    assert err == "pop2imap: no-such.mbox: no such file (check the path)\n"


def breaking(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Make ``plan`` come upon this error before it does anything."""

    def broken(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("pop2imap.cli.build.read_move", broken)


def test_a_defect_of_ours_is_told_by_kind_and_place_alone(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    breaking(monkeypatch, KeyError("hunter2"))
    line = refusal(run("plan", SOURCE, TARGET), 70)
    assert "KeyError" in line
    assert "please report it" in line
    assert "hunter2" not in line
    document = json.loads(run("plan", SOURCE, TARGET, "--json")[1])
    assert document["result"] == "internal"
    assert "hunter2" not in str(document)


def test_an_equation_that_does_not_hold_is_a_defect_of_ours(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    breaking(monkeypatch, InternalError("the accounts do not add up"))
    assert "a defect of pop2imap: the accounts do not add up" in refusal(run("plan", SOURCE, TARGET), 70)


def test_the_traceback_of_a_defect_is_for_those_who_ask_and_holds_no_secret(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = Secret("hunter2")
    breaking(monkeypatch, KeyError(f"LOGIN {secret.reveal()}"))
    monkeypatch.setenv("POP2IMAP_DEBUG", "1")
    assert cli.run(["plan", SOURCE, TARGET, "--log-file", "log"]) == 70
    shown = capsys.readouterr().err + (home / "log").read_text()
    assert "Traceback" in shown
    assert "LOGIN ***" in shown
    assert "hunter2" not in shown


def test_a_log_file_that_cannot_be_written_is_a_matter_of_the_disk(run: Run) -> None:
    line = refusal(run("plan", SOURCE, TARGET, "--log-file", "no/such/folder/log"), 74)
    assert "the log file cannot be written" in line


def test_ctrl_c_before_the_work_is_an_interruption(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    breaking(monkeypatch, KeyboardInterrupt())
    assert "interrupted" in refusal(run("plan", SOURCE, TARGET), 130)


# options and the environment


def parsed(*arguments: str) -> CommandLine:
    """What ``plan`` understands."""
    with plan_command.make_context("plan", list(arguments)) as ctx:
        return options.command_line(ctx)


def test_nothing_said_is_nothing_said(home: Path) -> None:
    line = parsed()
    assert line.said == Said()
    assert (line.arguments, line.sources, line.target) == ((), (), None)
    assert set(line.login_as.values()) == {None}
    assert (line.lenient_end, line.quoting, line.keep_mbox_headers) == (None, None, None)


def test_everything_that_can_be_said_is_understood(home: Path) -> None:
    line = parsed(
        *("a.mbox", TARGET, "--rules", "~/r.toml", "--into", "Archive", "--mark", "older-than:30d"),
        *("--since", "2015-01-31", "--before", "2016-01-31", "--limit", "7", "--state-dir", "state"),
        *(
            "--assume-empty",
            "--no-keep-duplicates",
            "--full",
            "--accept-renumbered",
            "--fence",
            "0.5",
            "--rescan",
        ),
        *("--report", "a.json", "--report", "b.txt", "--allow-cleartext", "--mbox-quoting", "mboxo"),
        *(
            "--keep-mbox-headers",
            "--lenient-end",
            "--max-message-size",
            "50M",
            "--source-login-as",
            "bob",
            "--target-ca",
            "ca.pem",
        ),
        *("--source-password-file", "pw", "--target-password-command", "pass show x"),
        *("--max-rate", "3MB/s", "--max-messages-per-second", "0.5"),
        *("--daily-bytes", "500MB", "--source-daily-bytes", "1200000000", "--no-provider-limits"),
    )
    assert line.arguments == ("a.mbox", TARGET)
    assert line.said == Said(
        rules=home / "r.toml",
        into="Archive",
        mark=Mark("older-than", 30),
        since=date(2015, 1, 31),
        before=date(2016, 1, 31),
        limit=7,
        max_rate=3 << 20,
        max_messages_per_second=0.5,
        daily_bytes=500 << 20,
        source_daily_bytes=1_200_000_000,
        provider_limits=False,
        state_dir=home / "state",
        assume_empty=True,
        keep_duplicates=False,
        full=True,
        accept_renumbered=True,
        fence=0.5,
        rescan=True,
        reports=(home / "a.json", home / "b.txt"),
        allow_cleartext=True,
    )
    assert (line.quoting, line.keep_mbox_headers, line.lenient_end) == ("mboxo", True, True)
    assert line.max_message_size == 50 << 20
    assert line.login_as == {"source": "bob", "target": None}
    assert line.ca_file == {"source": None, "target": home / "ca.pem"}
    assert line.password_file == {"source": "pw", "target": None}
    assert line.password_command == {"source": None, "target": "pass show x"}


def test_every_option_can_stand_in_the_environment(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "INTO": "Environment",
        "ASSUME_EMPTY": "yes",
        "LIMIT": "3",
        "SOURCE": f"{SOURCE} mbox:mail.mbox",
        "TARGET": TARGET,
        "SOURCE_LOGIN_AS": "bob",
        "REPORT": "a.json:b.csv",
    }.items():
        monkeypatch.setenv(f"POP2IMAP_{name}", value)
    line = parsed("--into", "Option")
    assert (line.said.into, line.said.assume_empty, line.said.limit) == ("Option", True, 3)
    assert (line.sources, line.target) == ((SOURCE, "mbox:mail.mbox"), TARGET)
    assert line.login_as["source"] == "bob"
    assert line.said.reports == (home / "a.json", home / "b.csv")


def test_typed_endpoints_win_over_those_of_the_environment(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POP2IMAP_SOURCE", SOURCE)
    monkeypatch.setenv("POP2IMAP_TARGET", TARGET)
    other = "imaps://bob@imap.example.com"
    line = parsed("mail.mbox", other)
    assert (line.arguments, line.sources, line.target) == (("mail.mbox", other), (), None)
    line = parsed("mail.mbox")
    assert (line.arguments, line.sources, line.target) == (("mail.mbox",), (), TARGET)
    line = parsed(other)
    assert (line.arguments, line.sources, line.target) == ((other,), (SOURCE,), None)


def test_passwords_are_no_options() -> None:
    variables = {param.name: param.envvar for param in migrate_command.params}
    assert variables["source_password_file"] is None, "whoever resolves secrets reads it, in its order"
    assert variables["into"] == "POP2IMAP_INTO"
    assert not {"source_password", "target_password", "password"} & variables.keys()


# status and trace


def test_status_and_trace_of_nothing(run: Run, home: Path) -> None:
    code, out, _ = run("status", "--state-dir", "state")
    assert (code, out) == (0, f"Nothing was moved yet: no journal in {home}/state.\n")
    assert json.loads(run("status", "--state-dir", "state", "--json")[1])["targets"] == []
    line = refusal(run("trace", "x\x1b[2J", "--state-dir", "state"), 65)
    assert "no message of this name is known: x\\x1b[2J" in line
    assert not (home / "state").exists()
