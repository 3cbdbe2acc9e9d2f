"""A path in place of a command: what people are told of the mail that they have."""

# ruff: noqa: F811 (fixtures of another module)

from __future__ import annotations

import mailbox
import shlex
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from pop2imap.cli.stores import name_in_words, place_in_words
from tests.unit.test_cli import MBOX, Run, home, run  # noqa: F401
from tests.unit.test_thunderbird import HOLDER

PROFILE = Path(__file__).parents[1] / "thunderbird" / "profile.tar.xz"
NAME = "abcd1234.default-esr"


@pytest.fixture
def thunderbird(home: Path) -> Path:
    """A real ``~/.thunderbird``."""
    with tarfile.open(PROFILE) as tar:
        tar.extractall(home, filter="data")
    return home / ".thunderbird"


def table(out: str, name: str) -> list[list[str]]:
    """The rows of the table whose first column is ``name``, split at two blanks."""
    lines = out.splitlines()
    begin = next(nth for nth, line in enumerate(lines) if line.startswith(f"{name} "))
    end = lines.index("", begin)
    return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in lines[begin + 1 : end]]


def section(out: str, title: str) -> list[str]:
    lines = [*out.splitlines(), ""]
    begin = lines.index(f"{title}:") + 1
    return [line.strip() for line in lines[begin : lines.index("", begin)]]


def next_command(out: str) -> list[str]:
    (line,) = (line for line in out.splitlines() if line.startswith("  pop2imap plan "))
    return shlex.split(line)


class TestThunderbird:
    def test_what_there_is(self, run: Run, thunderbird: Path) -> None:
        code, out, err = run("~/.thunderbird")
        assert (code, err) == (0, "")
        assert table(out, "profile") == [
            ["default-esr", "this one", NAME],
            ["default", "never used", "efgh5678.default"],
        ]
        assert table(out, "account") == [
            ["alice@example.org", "POP3; its mail is on this computer"],
            ["bob@example.org", "POP3; its mail is on this computer"],
            ["Local Folders", "folders on this computer"],
        ]
        folders = table(out, "folder")
        assert folders[0] == ["alice@example.org: Inbox", "INBOX", "28", "15.3 kB"]
        assert ["alice@example.org: Archives/2021", "the archive, below it 2021", "1", "438 B"] in folders
        assert ["bob@example.org: Gesendete Objekte", "the folder for sent mail", "1", "405 B"] in folders
        assert ["Local Folders: Q18ec4566a", "Q1: Bücher?", "1", "455 B"] in folders
        left_out = section(out, "Left out")
        assert "2 messages: in the trash folder at home (--with-trash moves it)" in left_out
        assert "1 message: in the junk folder at home (--with-junk moves it)" in left_out
        assert any("waiting to be compacted away" in line for line in left_out)
        ends = f"thunderbird:{thunderbird / NAME}", "imaps://USER@HOST"
        assert next_command(out) == ["pop2imap", "plan", *ends]

    def test_one_account(self, run: Run, thunderbird: Path) -> None:
        code, out, _ = run(thunderbird / NAME, "--account", "bob@example.org")
        assert code == 0
        assert "efgh5678" not in out
        assert table(out, "account")[0] == ["alice@example.org", "not asked for"]
        assert {row[0].partition(":")[0] for row in table(out, "folder")} == {"bob@example.org"}
        assert next_command(out)[-2:] == ["--account", "bob@example.org"]

    def test_an_account_that_is_not_there(self, run: Run, thunderbird: Path) -> None:
        code, _, err = run(thunderbird, "--account", "carol")
        assert code == 65
        assert "there is no account 'carol'" in err

    def test_several_profiles(self, run: Run, home: Path) -> None:
        store = home / "my profiles"
        for name in ("a", "b", "c"):
            (store / name).mkdir(parents=True)
        (store / "a/prefs.js").touch()
        (store / "b/prefs.js").touch()
        names = "".join(f"[Profile{name}]\nName={name}\nPath={name}\n" for name in "abc")
        (store / "profiles.ini").write_text(names)
        code, out, _ = run(store)
        assert code == 0
        assert [row[0] for row in table(out, "profile")] == ["a", "b", "c"]
        assert f"  pop2imap 'thunderbird:{store}/b'" in out.splitlines()
        assert "pop2imap plan" not in out

    def test_no_profile_with_mail(self, run: Run, home: Path) -> None:
        (home / "profiles.ini").write_text("[Profile0]\nName=a\nPath=a\n")
        code, out, _ = run(home)
        assert code == 0
        assert out.splitlines()[-1] == "There is no profile with mail."

    def test_while_it_runs(self, run: Run, thunderbird: Path) -> None:
        with subprocess.Popen(
            [sys.executable, "-c", HOLDER, thunderbird / NAME / ".parentlock"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as process:
            assert process.stdin
            assert process.stdout
            process.stdout.readline()
            code, out, _ = run(thunderbird)
            process.stdin.close()
        assert code == 0
        assert "close it and run again" in section(out, "Cannot be read")[0]
        assert out.splitlines()[-1].startswith("Nothing can be moved as it is.")


class TestOthers:
    def test_an_mbox(self, run: Run, home: Path) -> None:
        for text in ("mail.mbox", home / "mail.mbox", "~/mail.mbox", "mbox:mail.mbox"):
            code, out, err = run(text)
            assert (code, err) == (0, "")
            assert table(out, "folder") == [["mail", "INBOX", "1", "47 B"]]
            assert next_command(out) == [*("pop2imap", "plan", f"mbox:{home}/mail.mbox"), "imaps://USER@HOST"]

    def test_a_tree_of_them(self, run: Run, home: Path) -> None:
        (home / "Mail/old").mkdir(parents=True)
        (home / "Mail/Sent.mbox").write_text(MBOX)
        (home / "Mail/old/2019.mbox").write_text(MBOX + MBOX)
        (home / "Mail/broken.mbox").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
        code, out, _ = run("Mail")
        assert code == 0
        assert sorted(row[:3] for row in table(out, "folder")) == [
            ["Sent.mbox", "the folder for sent mail", "1"],
            ["old/2019.mbox", "old/2019", "2"],
        ]
        assert len(section(out, "Cannot be read")) == 1
        assert "Together: 3 messages, 141 B." in out

    def test_a_maildir(self, run: Run, home: Path) -> None:
        box = mailbox.Maildir(home / "My Maildir")
        box.add(b"Subject: 1\n\n1\n")
        message = mailbox.MaildirMessage(b"Subject: 2\n\n2\n")
        message.set_subdir("cur")
        message.set_flags("T")
        box.add(message)
        code, out, _ = run(home / "My Maildir")
        assert code == 0
        assert "a Maildir" in out.splitlines()[0]
        assert [row[1:3] for row in table(out, "folder")] == [["INBOX", "1"]]
        assert len(section(out, "Left out")) == 1
        assert next_command(out)[2] == f"maildir:{home}/My Maildir"

    def test_an_empty_one(self, run: Run, home: Path) -> None:
        (home / "empty.mbox").touch()
        code, out, _ = run("empty.mbox")
        assert code == 0
        assert out.splitlines()[-1] == "There is no mail to move."

    @pytest.mark.parametrize("octets", [b"\x89PNG\r\n\x1a\n" + bytes(100), b"hello"])
    def test_what_is_no_mail(self, run: Run, home: Path, octets: bytes) -> None:
        (home / "some.file").write_bytes(octets)
        code, out, err = run("some.file")
        assert (code, out) == (65, "")
        assert "some.file" in err

    def test_a_directory_without_mail(self, run: Run, home: Path) -> None:
        (home / "nothing").mkdir()
        code, _, err = run("nothing")
        assert code == 65
        assert "holds no mbox files" in err

    def test_names_that_could_act_on_a_terminal(self, run: Run, home: Path) -> None:
        (home / "Mail").mkdir()
        (home / "Mail/a\x1b[31m[bold]b.mbox").write_text(MBOX)
        code, out, _ = run("Mail")
        assert code == 0
        assert "\x1b" not in out
        assert "[bold]b" in out


class TestCommandOrPath:
    def test_a_command_comes_first(self, run: Run, home: Path) -> None:
        (home / "status").write_text(MBOX)
        _, out, _ = run("status")
        assert "folder" not in out

    def test_what_is_not_there_is_no_command(self, run: Run, home: Path) -> None:
        for text in ("mail.mbx", "migrat", "~/none", ""):
            code, out, err = run(text)
            assert (code, out) == (2, "")
            assert "No such command" in err

    def test_both_ends_without_a_command(self, run: Run, home: Path) -> None:
        code, out, err = run("mail.mbox", "imaps://alice@imap.example.com")
        assert (code, out) == (2, "")
        assert "write pop2imap plan SOURCE TARGET first" in err

    def test_help(self, run: Run, home: Path) -> None:
        code, out, _ = run("mail.mbox", "--help")
        assert code == 0
        assert "--account" in out


def test_words() -> None:
    assert place_in_words("\\Trash") == "the trash"
    assert place_in_words("\\Sent/2019/May") == "the folder for sent mail, below it 2019/May"
    assert place_in_words("Work/2019") == "Work/2019"
    assert name_in_words("Mail/a/Inbox.sbd/b", {"Mail/a": "me"}) == "me: Inbox/b"
    assert name_in_words("Mail/b/Inbox", {"Mail/a": "me"}) == "Mail/b/Inbox"
