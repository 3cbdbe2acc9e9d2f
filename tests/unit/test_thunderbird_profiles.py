"""Profiles with a past: copied from elsewhere, with accounts that are gone, with locks and names that are leftovers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pop2imap.model import Message, Unread
from pop2imap.sources.settings import Settings
from pop2imap.sources.thunderbird import ThunderbirdSource, homes, in_use
from pop2imap.sources.thunderbird_prefs import Place, Prefs
from tests.thunderbird.profiles import WRITTEN, Profile, letter, mbox, noted


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    return Profile(tmp_path / "abcd1234.default")


def put(path: Path, *messages: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(mbox(messages or [noted(letter(1))]))


def prefs(profile: Profile) -> Prefs:
    return Prefs((profile.path / "prefs.js").read_text("utf-8"), profile.path)


def items(source: ThunderbirdSource) -> list[Message | Unread]:
    source.open()
    return list(source.read(source.list().refs))


def where(profile: Profile) -> list[str]:
    found = items(ThunderbirdSource(profile.path, Settings()))
    return [one.folders[0] for one in found if isinstance(one, Message)]


def remarks(profile: Profile) -> str:
    source = ThunderbirdSource(profile.path, Settings())
    source.open()
    return "\n".join(map(str, source.list().remarks))


@pytest.mark.parametrize(
    "written", [f"{WRITTEN}/Mail/pop.example", r"C:\x\Mail\pop.example", "/gone/Mail/pop.example/"]
)
def test_a_profile_that_was_copied_has_a_path_that_is_wrong(profile: Profile, written: str) -> None:
    root = profile.account("pop3", "pop.example", directory=written)
    del profile.prefs["mail.server.server1.directory-rel"]
    profile.write()
    assert prefs(profile).accounts[0].directory == root


def test_a_directory_elsewhere(profile: Profile, tmp_path: Path) -> None:
    profile.account("none", "Local Folders", directory=str(tmp_path))
    del profile.prefs["mail.server.server1.directory-rel"]
    profile.write()
    assert prefs(profile).accounts[0].directory == tmp_path


def test_the_account_of_unified_folders_is_none(profile: Profile) -> None:
    profile.account("none", "smart mailboxes").rmdir()
    assert prefs(profile).accounts == ()


def test_hosts_in_settings_may_be_written_in_any_case(profile: Profile) -> None:
    profile.account("pop3", "pop", user="alice@example.org", host="Pop.example.org")
    profile.says(mail__identity__id1__fcc_folder="mailbox://alice%40example.org@pop.Example.org/Gesendet")
    assert prefs(profile).roles() == {Place("account1", ("Gesendet",)): "\\Sent"}


def test_an_inbox_stays_one_whatever_else_is_kept_there(profile: Profile) -> None:
    root = profile.account("none", "Local Folders")
    put(root / "Inbox")
    put(root / "Inbox.sbd" / "Kept")
    here = "mailbox://nobody@Local%20Folders/Inbox"
    profile.says(mail__identity__id1__fcc_folder=here, mail__identity__id1__archive_folder=f"{here}/Kept")
    assert where(profile) == ["INBOX", "\\Archive"]


def test_names_that_are_lost_are_told(profile: Profile) -> None:
    root = profile.account("none", "Local Folders")
    for name in ("Q18ec4566a", "deadbeef", "Invoices20240101"):
        put(root / name)
    cache = {f"{WRITTEN}/Mail/Local Folders/Q18ec4566a.msf": {"folderName": "Q1: Books"}}
    (profile.path / "folderCache.json").write_text(json.dumps(cache))
    assert where(profile) == ["Invoices20240101", "Q1: Books", "deadbeef"]
    assert "real names stand nowhere in this profile, such as deadbeef (1)" in remarks(profile)


def test_two_accounts_in_one_directory_are_moved_once(profile: Profile) -> None:
    put(profile.account("none", "Local Folders") / "Inbox")
    profile.account("none", "Local Folders")
    assert where(profile) == ["INBOX"]


def test_mail_of_an_account_that_was_removed_is_told(profile: Profile) -> None:
    put(profile.account("none", "Local Folders") / "Inbox")
    put(profile.path / "Mail" / "old.example" / "Work.sbd" / "Mail")
    (profile.path / "Mail" / "empty.example").mkdir()
    (profile.path / "Mail" / "empty.example" / "Inbox").touch()
    said = remarks(profile)
    assert f"the mail in {profile.path}/Mail/old.example is left out" in said
    assert "empty.example" not in said


def fetched(profile: Profile, *accounts: str) -> dict[str, list[str]]:
    source = ThunderbirdSource(profile.path, Settings(), accounts)
    source.open()
    source.list()
    return {drop: list(uidls) for drop, uidls in source.fetched().items()}


def test_what_was_fetched_is_only_told_when_all_mail_is_seen(profile: Profile) -> None:
    """What is not at home counts as deleted there, and a filter may have put it into any folder."""
    root = profile.account("pop3", "pop.example", user="Alice")
    put(profile.account("none", "Local Folders") / "Inbox")
    (root / "popstate.dat").write_text("*pop.example Alice\nk one 1600000000\n")
    assert fetched(profile) == {"alice@pop.example": ["one"]}
    assert fetched(profile, "pop.example", "Local Folders") == {"alice@pop.example": ["one"]}
    assert fetched(profile, "pop.example") == {}
    (root / "Broken").write_bytes(b"\x89PNG" + bytes(100))
    assert fetched(profile) == {}


def test_a_profile_has_one_name_however_it_is_named(tmp_path: Path) -> None:
    put(Profile(tmp_path / "aaa").account("none", "Local Folders") / "Inbox")
    (tmp_path / "profiles.ini").write_text("[Profile0]\nName=x\nIsRelative=1\nPath=aaa\n")
    assert ThunderbirdSource(tmp_path, Settings()).id == ThunderbirdSource(tmp_path / "aaa", Settings()).id


def test_where_profiles_may_be(tmp_path: Path) -> None:
    place = tmp_path / "snap/thunderbird/common/.thunderbird"
    place.mkdir(parents=True)
    assert homes(tmp_path) == []
    (place / "profiles.ini").touch()
    assert homes(tmp_path) == [place]


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_link_is_a_lock_where_there_are_no_others(profile: Profile, tmp_path: Path) -> None:
    program = tmp_path / "thunderbird-bin"
    program.symlink_to(sys.executable)
    run = "print('up', flush=True); input()"
    with subprocess.Popen(
        [program, "-c", run], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        link = profile.path / "lock"
        link.symlink_to(f"127.0.1.1:{other.pid}")
        assert in_use(profile.path)
        os.unlink(link)
        link.symlink_to(f"127.0.1.1:+{other.pid}")
        assert in_use(profile.path), "nothing else can be known"
        (profile.path / ".parentlock").touch()
        assert not in_use(profile.path), "it is a Thunderbird with another profile"
        other.communicate("\n")
