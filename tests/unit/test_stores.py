"""What is said of Thunderbird profiles when nothing else was asked."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from pop2imap.cli.stores import lines, show_thunderbird
from pop2imap.errors import SourceDataError
from pop2imap.sources.thunderbird_listing import describe
from tests.thunderbird.profiles import Profile, letter, mbox, noted

DATA = Path(__file__).parents[1] / "thunderbird" / "profile.tar.xz"


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    made = Profile(tmp_path / "abcd1234.default")
    root = made.account("pop3", "pop.example", user="alice", host="pop.example", name="Mine")
    (root / "Inbox").write_bytes(mbox([noted(letter(1)), noted(letter(2))]))
    (root / "Drafts").touch()
    (root / "Junk").write_bytes(b"\x89PNG" + bytes(100))
    made.account("imap", "imap.example", user="alice", name="Work")
    made.says(mail__identity__id1__useremail="alice@example.org")
    return made


def text(path: Path) -> str:
    return "\n".join(lines(describe(path)))


def test_a_profile(profile: Profile) -> None:
    (described,) = describe(profile.path)
    mine, work = described.accounts
    assert (mine.name, mine.kind, mine.emails, mine.server, mine.left_out) == (
        "Mine", "pop3", ("alice@example.org",), "alice@pop.example", "",
    )  # fmt: skip
    assert [(folder.folder, folder.messages) for folder in mine.folders] == [
        ("INBOX", 2), ("\\Drafts", 0), ("\\Junk", 0),
    ]  # fmt: skip
    assert mine.messages == 2
    assert mine.octets > 200
    assert work.left_out == "its mail is on its server"


def test_as_text(profile: Profile) -> None:
    said = text(profile.path)
    assert "Mine (POP3, alice@pop.example, alice@example.org): 2 messages, " in said
    assert "    INBOX: 2 messages, " in said
    assert "    \\Junk: cannot be read: " in said
    assert "    1 empty folder" in said
    assert "Work (IMAP, alice@imap.example): left out, its mail is on its server" in said
    assert said.endswith(f"  pop2imap plan thunderbird:{profile.path} imaps://USER@HOST")


def test_names_from_outside_are_made_printable(profile: Profile) -> None:
    profile.says(mail__server__server1__name="a\x1b[31mb", mail__server__server1__type="\x1b]0;x")
    said = text(profile.path)
    assert "\x1b" not in said
    assert "a\\x1b[31mb" in said


def test_the_profiles_of_a_real_thunderbird(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with tarfile.open(DATA) as tar:
        tar.extractall(tmp_path, filter="data")
    show_thunderbird(tmp_path / ".thunderbird")
    said = capsys.readouterr().out
    assert "Thunderbird profile default-esr, the default one: " in said
    assert "  alice@example.org (POP3, alice@localhost): 53 messages, " in said
    assert "    Möbel & Küche/Q1: Bücher?: 2 messages, " in said
    assert "never used: it holds no prefs.js" in said
    assert said.endswith(
        f"pop2imap plan thunderbird:{tmp_path}/.thunderbird/abcd1234.default-esr imaps://USER@HOST\n"
    )


def test_one_in_use_is_told_and_not_counted(profile: Profile) -> None:
    with profile.in_use():
        said = text(profile.path)
    assert "Thunderbird is running with this profile" in said
    assert "messages" not in said


def test_neither(tmp_path: Path) -> None:
    with pytest.raises(SourceDataError, match="no Thunderbird profile"):
        describe(tmp_path)


def test_nothing_to_move(tmp_path: Path) -> None:
    (tmp_path / "profiles.ini").write_text("[Profile0]\nName=x\nPath=gone\n")
    assert text(tmp_path).endswith("There is no mail to move.")
