"""Signals, and standard streams that are full, closed or gone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pop2imap.cli import output
from pop2imap.cli.interrupt import watched
from pop2imap.errors import ExitCode
from pop2imap.pipeline import Stop


def in_subprocess(code: str) -> subprocess.CompletedProcess[str]:
    head = "import signal\nfrom pop2imap.cli.interrupt import watched\nfrom pop2imap.pipeline import Stop\n"
    return subprocess.run([sys.executable, "-c", head + code], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, ExitCode.INTERRUPTED), (signal.SIGTERM, ExitCode.NOT_FINISHED)]
)
def test_the_first_signal_asks_to_stop_and_says_how_it_will_end(
    number: signal.Signals, code: ExitCode, capfd: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(number)
    stop = Stop()
    with watched(stop):
        signal.raise_signal(number)
        assert stop.is_set()
        assert stop.exit_code is code
    assert signal.getsignal(number) is before
    assert "again to leave at once" in capfd.readouterr().err


def test_the_second_signal_leaves_at_once() -> None:
    done = in_subprocess(
        "with watched(Stop()):\n  signal.raise_signal(signal.SIGTERM)\n  print('still here', flush=True)\n"
        "  signal.raise_signal(signal.SIGINT)\n  print('never', flush=True)\n"
    )
    assert (done.returncode, done.stdout) == (130, "still here\n")
    assert "run the same command again" in done.stderr


def test_a_signal_that_was_ignored_stays_ignored() -> None:
    done = in_subprocess(
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\nstop = Stop()\n"
        "with watched(stop):\n  signal.raise_signal(signal.SIGINT)\n  print(stop.is_set())\n"
    )
    assert done.stdout == "False\n"


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("POP2IMAP_")}
    return subprocess.run(
        ["bash", "-c", command.replace("pop2imap ", f"{sys.executable} -m pop2imap ")],
        cwd=folder,
        env=env | {"HOME": str(folder), "XDG_STATE_HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_reader_who_has_heard_enough_is_no_error(tmp_path: Path) -> None:
    done = shell("pop2imap migrate --help | true; echo ${PIPESTATUS[0]}", tmp_path)
    assert (done.stdout, done.stderr) == ("0\n", "")


def test_standard_streams_that_are_closed_are_no_error(tmp_path: Path) -> None:
    assert shell("pop2imap status --state-dir s <&- >&- 2>&-", tmp_path).returncode == 0
    assert shell("pop2imap plan <&- >&- 2>&-", tmp_path).returncode == 2


def test_a_full_disk_under_standard_output_is_an_error(tmp_path: Path) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    done = shell("pop2imap status --state-dir s > /dev/full", tmp_path)
    assert done.returncode == 74
    assert "standard output cannot be written" in done.stderr


def test_a_terminal_that_does_not_know_a_character_gets_an_escape(tmp_path: Path) -> None:
    done = shell("PYTHONIOENCODING=latin-1 pop2imap status --state-dir 日本", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "\\u65e5\\u672c" in done.stdout


def test_json_on_standard_output_is_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    output.say_json({"subject": "grün\u202e\x1b"})
    said = capsys.readouterr().out
    assert said.isascii()
    assert "\x1b" not in said
    assert json.loads(said) == {"subject": "grün\u202e\x1b"}


def test_one_more_signal_while_the_first_is_answered_is_no_traceback() -> None:
    done = in_subprocess(
        "import sys\nfrom pop2imap.cli import main\n"
        "def interrupted(argv): raise KeyboardInterrupt\n"
        "main.run = interrupted\nmain.main()\n"
    )
    assert (done.returncode, done.stderr) == (ExitCode.INTERRUPTED, "")
