"""Thunderbird profiles: a real one, with all that its owner saw; and what others may look like."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pop2imap.errors import SourceDataError
from pop2imap.model import Account as Fate
from pop2imap.model import Message, Unread
from pop2imap.sources.settings import Settings
from pop2imap.sources.thunderbird import ThunderbirdSource, fetched, in_use, profile_of, profiles
from pop2imap.sources.thunderbird_prefs import Place, Prefs, parse
from pop2imap.sources.walking import OUTSIDE

DATA = Path(__file__).parents[1] / "thunderbird"
NAME = "abcd1234.default-esr"
MBOX = b"From - Thu Nov 29 19:33:09 2018\nX-Mozilla-Status: 0001\nSubject: %s\n\nbody\n\n"
ACCOUNT = """\
user_pref("mail.accountmanager.accounts", "account1,account2,account3,account4");
user_pref("mail.account.account1.server", "server1");
user_pref("mail.account.account2.server", "server2");
user_pref("mail.account.account2.identities", "id1,id2");
user_pref("mail.account.account3.server", "server3");
user_pref("mail.account.account4.server", "server4");
user_pref("mail.server.server1.type", "none");
user_pref("mail.server.server1.name", "Local Folders");
user_pref("mail.server.server1.userName", "nobody");
user_pref("mail.server.server1.hostname", "Local Folders");
user_pref("mail.server.server1.directory-rel", "[ProfD]Mail/Local Folders");
user_pref("mail.server.server2.type", "pop3");
user_pref("mail.server.server2.name", "Work");
user_pref("mail.server.server2.userName", "alice");
user_pref("mail.server.server2.hostname", "pop.example.org");
user_pref("mail.server.server2.directory", "/home/alice/old/Mail/pop.example.org");
user_pref("mail.server.server2.directory-rel", "[ProfD]Mail/pop.example.org");
user_pref("mail.identity.id1.useremail", "alice@example.org");
user_pref("mail.identity.id2.useremail", "office@example.org");
user_pref("mail.server.server3.type", "imap");
user_pref("mail.server.server3.name", "Over IMAP");
user_pref("mail.server.server4.type", "nntp");
user_pref("mail.server.server4.name", "News");
"""


INDEX = rb"""// <!-- <mdb:mork:z v="1.4"/> -->
< <(a=c)> // (f=iso-8859-1)
  (80=ns:msg:db:row:scope:dbfolderinfo:all)(81=folderName)(82=ns:msg:db:table:kind:dbfolderinfo)>
<(83=old name)>
{1:^80 {(k^82:c)(s=9)} [1(^81^83)]}
@$${1{@
<(84=Q1\) \\ \$ B$C3$BC\
cher)>[1:^80(^81^84)]
@$$}1}@
"""


@pytest.fixture
def real(tmp_path: Path) -> Path:
    """The real profile, on another machine than the one that made it."""
    with tarfile.open(DATA / "profile.tar.xz") as tar:
        tar.extractall(tmp_path, filter="data")
    return tmp_path / ".thunderbird" / NAME


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    """A small one: Local Folders, an account Work, and two that are left out."""
    put(tmp_path / "p", {"prefs.js": ACCOUNT.encode(), "Mail/pop.example.org/Inbox": MBOX % b"new"})
    put(tmp_path / "p", {"Mail/Local Folders/Old": MBOX % b"old"})
    return tmp_path / "p"


def put(root: Path, files: dict[str, bytes]) -> None:
    for name, octets in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(octets)


def source(path: Path, *accounts: str) -> ThunderbirdSource:
    one = ThunderbirdSource(path, Settings(), accounts)
    one.open()
    return one


def items(path: Path, *accounts: str) -> list[Message | Unread]:
    one = source(path, *accounts)
    return list(one.read(one.list().refs))


def by_folder(path: Path, *accounts: str) -> dict[str, str]:
    """Subjects, or why they cannot be had, by folder."""
    one = source(path, *accounts)
    assert one._found is not None
    names = [part.folder for part in one._found.parts]
    said = {}
    for item in one.read(one.list().refs):
        if isinstance(item, Message):
            said[item.folders[0]] = item.octets.head().split(b"\r\n")[0].decode()
        else:
            said[next(name for name in names if name not in said)] = item.reason
    return said


def remarks(path: Path, *accounts: str) -> list[str]:
    return [remark.text for remark in source(path, *accounts).list().remarks]


class TestPrefs:
    def test_escapes(self) -> None:
        text = r'user_pref("a\"b", "x\\y\n\u00e9\x41\ud83c\udf81\q");' + '\nuser_pref("n", -12);\n'
        assert parse(text + 'user_pref("t",true);user_pref("f", false );') == {
            'a"b': "x\\y\né" + "A🎁q",
            "n": -12,
            "t": True,
            "f": False,
        }

    def test_the_last_one_counts_and_what_is_none_is_passed_over(self) -> None:
        text = 'user_pref("a", "1");\n// user\nuser_pref("b", );\nuser_pref("c", "x\nuser_pref("a", "2");'
        assert parse(text) == {"a": "2"}

    def test_half_a_character_and_nul_are_harmless(self) -> None:
        said = parse(r'user_pref("a", "\ud83c"); user_pref("b", "x\x00\u0000"); user_pref("c", "' + '\0");')
        assert said == {"a": "\ufffd", "b": "x\ufffd\ufffd", "c": "\ufffd"}

    @given(
        st.lists(
            st.sampled_from(
                ['user_pref("', '", "', '");', "\\", "\\u", "\\ud800", "\0", "\n", "mail.account.", "server1"]
            )
            | st.sampled_from(ACCOUNT.splitlines(keepends=True))
            | st.text(max_size=5)
        )
    )
    def test_never_fails(self, pieces: list[str]) -> None:
        prefs = Prefs("".join(pieces), Path("/p"))
        prefs.roles()
        prefs.tags()
        for account in prefs.accounts:
            os.path.isdir(account.directory)
            account.directory.as_posix().encode()

    def test_roles_and_places(self) -> None:
        text = (
            ACCOUNT
            + """
user_pref("mail.identity.id1.fcc_folder", "mailbox://alice@pop.example.org/Gesendete%20Objekte");
user_pref("mail.identity.id1.draft_folder", "imap://alice@imap.example.org/Drafts");
user_pref("mail.identity.id2.archive_folder", "mailbox://nobody@Local%20Folders/A/B");
user_pref("mail.identity.id2.draft_folder", "mailbox://nobody@elsewhere/Drafts");
user_pref("mail.identity.id2.fcc_folder", "nonsense");
user_pref("mail.server.server2.spamActionTargetFolder", "mailbox://nobody@Local%20Folders/Spam");
"""
        )
        assert Prefs(text, Path("/p")).roles() == {
            Place("account2", ("Gesendete Objekte",)): "\\Sent",
            Place("account1", ("A", "B")): "\\Archive",
            Place("account1", ("Spam",)): "\\Junk",
        }

    def test_a_directory_within_the_profile_goes_with_it(self) -> None:
        accounts = {one.name: one for one in Prefs(ACCOUNT, Path("/moved/p")).accounts}
        assert accounts["Work"].directory == Path("/moved/p/Mail/pop.example.org")
        assert accounts["Work"].written == "/home/alice/old/Mail/pop.example.org"
        elsewhere = re.sub(r".*directory-rel.*\n", "", ACCOUNT)
        accounts = {one.name: one for one in Prefs(elsewhere, Path("/moved/p")).accounts}
        assert accounts["Work"].directory == Path("/home/alice/old/Mail/pop.example.org")


class TestRealProfile:
    def test_every_message_is_found_as_thunderbird_showed_it(self, real: Path) -> None:
        found = Counter(
            (item.folders[0], subject(item), *marks(item.flags or frozenset()))
            for item in items(real)
            if isinstance(item, Message) and not item.discarded
        )
        expected = Counter(shown())
        assert not expected - found
        assert {folder for folder, *_ in found - expected} == {"Notizen.msf", "alt.sbd"}, (
            "Thunderbird takes them for something else"
        )

    def test_nothing_is_unreadable(self, real: Path) -> None:
        assert not [item for item in items(real) if isinstance(item, Unread)]

    def test_what_was_deleted_and_not_compacted_away_is_told(self, real: Path) -> None:
        gone = [item for item in items(real) if isinstance(item, Message) and item.discarded]
        assert len(gone) > 10
        assert {item.discarded for item in gone} == {
            "deleted in the mail program, waiting to be compacted away"
        }

    def test_uidls_and_maildrops(self, real: Path) -> None:
        drops = {
            (item.maildrop, len(item.uidl)) for item in items(real) if isinstance(item, Message) and item.uidl
        }
        assert drops == {("alice@localhost", 16), ("bob@localhost", 16)}

    def test_those_fetched_by_popstate_are_the_whole_ones(self, real: Path) -> None:
        one = source(real)
        said = {drop: list(uidls) for drop, uidls in one.fetched().items()}
        assert set(said) == {"alice@localhost", "bob@localhost"}
        assert len(said["alice@localhost"]) == 36
        assert "000000166553f101" in said["alice@localhost"], "to be deleted there, and here"
        assert not {"000000266553f101", "000000276553f101"} & set(said["alice@localhost"]), "the top alone"

    def test_the_directory_of_profiles_will_do(self, real: Path) -> None:
        assert source(real.parent).list().refs[0].key == source(real).list().refs[0].key._replace(  # type: ignore[union-attr]
            source=source(real.parent).id
        )

    @pytest.mark.parametrize(
        "text", [b"", b"[]", b'{"x": 1}', b"\xff", b"[" * 100_000, b'{"a":{"folderName":7}}']
    )
    def test_without_a_sound_cache_names_are_those_of_the_index(self, real: Path, text: bytes) -> None:
        (real / "folderCache.json").write_bytes(text)
        (real / "Mail/Local Folders/Q18ec4566a.msf").write_bytes(INDEX)
        found = {item.folders[0] for item in items(real) if isinstance(item, Message)}
        assert "Q1) _ $ Bücher" in found
        assert "f2359122" in found, "newer indexes do not say it"

    def test_without_cache_and_index_it_is_the_name_of_the_file(self, real: Path) -> None:
        (real / "folderCache.json").unlink()
        (real / "Mail/Local Folders/Q18ec4566a.msf").write_bytes(b"")
        assert "Q18ec4566a" in {item.folders[0] for item in items(real) if isinstance(item, Message)}

    def test_tags_are_told(self, real: Path) -> None:
        (said,) = (text for text in remarks(real) if text.startswith("tags"))
        assert "$label1 is 'Important'" in said
        assert "m=c3=b6bel is 'Möbel'" in said

    @pytest.mark.parametrize("name", ["bob@example.org", "BOB@localhost", "account3"])
    def test_one_account_alone(self, real: Path, name: str) -> None:
        one = source(real, name)
        found = [item for item in one.read(one.list().refs) if isinstance(item, Message)]
        assert len(found) == 12
        assert not one.fetched(), "what is not here may lie in a folder of another account"


def subject(message: Message) -> str:
    from email.header import decode_header, make_header

    found = re.search(rb"(?im)^subject: (.*)\r$", message.octets.head())
    assert found
    return str(make_header(decode_header(found[1].decode())))


def marks(flags: frozenset[str]) -> tuple[bool, bool, bool, bool, tuple[str, ...]]:
    system = {"\\Seen", "\\Flagged", "\\Answered", "$Forwarded"}
    keywords = tuple(sorted(flags - system - {"$MDNSent"}))
    seen, flagged, answered, forwarded = (
        flag in flags for flag in ("\\Seen", "\\Flagged", "\\Answered", "$Forwarded")
    )
    return seen, flagged, answered, forwarded, keywords


def shown() -> Iterator[tuple[Any, ...]]:
    """What Thunderbird showed, in the words of the model."""
    uses = {
        "sent": "\\Sent",
        "drafts": "\\Drafts",
        "archive": "\\Archive",
        "trash": "\\Trash",
        "junk": "\\Junk",
    }
    uses |= {"inbox": "INBOX"}
    for account in json.loads((DATA / "shown.json").read_text())["accounts"]:
        roles = {
            tuple(folder["path"]): uses[role]
            for folder in account["folders"]
            for role in folder["roles"]
            if role in uses
        }
        for folder in account["folders"]:
            path = tuple(folder["path"])
            depth = next((depth for depth in range(len(path), 0, -1) if path[:depth] in roles), 0)
            levels = ([roles[path[:depth]]] if depth else []) + [
                re.sub(r'[/*%"\\<>|]', "_", unicodedata.normalize("NFC", level)).strip()
                for level in path[depth:]
            ]
            for message in folder["messages"]:
                keywords = message["keywords"]
                if message["message_id"] in {"sender-lines@example.net", "bob-6@example.net"}:
                    keywords = []  # those are of whoever sent it
                yield (
                    "/".join(levels),
                    message["subject"],
                    message["read"],
                    message["starred"],
                    message["replied"],
                    message["forwarded"],
                    tuple(sorted(keywords)),
                )


class TestAccounts:
    def test_mail_on_servers_is_left_out_and_that_is_said(self, profile: Path) -> None:
        assert by_folder(profile) == {"INBOX": "Subject: new", "Old": "Subject: old"}
        assert remarks(profile) == [
            "the account Over IMAP is left out: its mail is on its server",
            "the account News is left out: it is news",
        ]

    @pytest.mark.parametrize(
        "name", ["work", "office@example.org", "alice@POP.example.org", "pop.example.org"]
    )
    def test_named(self, profile: Path, name: str) -> None:
        assert by_folder(profile, name) == {"INBOX": "Subject: new"}
        assert "the account Local Folders is left out: it was not named" in remarks(profile, name)

    def test_unknown(self, profile: Path) -> None:
        with pytest.raises(SourceDataError, match="there is no account 'Wrok'") as raised:
            source(profile, "Work", "Wrok")
        assert raised.value.todo == "one of Local Folders, Work, Over IMAP, News"

    def test_a_directory_that_is_not_there_costs_its_account_alone(self, profile: Path) -> None:
        (profile / "Mail/Local Folders/Old").unlink()
        (profile / "Mail/Local Folders").rmdir()
        lost, found = items(profile)
        assert isinstance(lost, Unread)
        assert isinstance(found, Message)
        assert lost.account is Fate.UNREADABLE
        assert lost.reason.endswith("Local Folders: the directory of this account is not there")

    @pytest.mark.parametrize("directory", ["x" * 300, "a\\x00b", "C:\\\\Mail", ""])
    def test_a_directory_that_cannot_be(self, profile: Path, directory: str) -> None:
        old = '"[ProfD]Mail/pop.example.org"'
        (profile / "prefs.js").write_text(ACCOUNT.replace(old, f'"[ProfD]{directory}/y"'))
        one = source(profile)
        assert len(list(one.read(one.list().refs))) == 2
        assert not one.fetched(), "what is not here may lie in what is not there"

    def test_an_account_that_delivers_elsewhere_may_have_no_folders(self, profile: Path) -> None:
        more = 'user_pref("mail.server.server2.deferred_to_account", "account1");\n'
        (profile / "prefs.js").write_text(ACCOUNT + more)
        (profile / "Mail/pop.example.org/Inbox").unlink()
        (profile / "Mail/pop.example.org").rmdir()
        assert by_folder(profile) == {"Old": "Subject: old"}

    def test_no_profile(self, tmp_path: Path) -> None:
        with pytest.raises(SourceDataError, match=r"prefs\.js cannot be read: No such file"):
            source(tmp_path)

    def test_fetched_takes_whole_messages_only(self, tmp_path: Path) -> None:
        put(
            tmp_path,
            {
                "popstate.dat": b"# x\n*host alice\nk a 1\r\nd b 1\nf c 1\nb d 1\nk  e 1\n"
                b"k \xff 1\nk g\nk h 1 2\nk i 9\n"
            },
        )
        account = Prefs(ACCOUNT, tmp_path).accounts[1]._replace(directory=tmp_path)
        assert fetched(account) == ["a", "b", "i"]
        assert fetched(account._replace(directory=tmp_path / "none")) == []


class TestFolders:
    def test_roles_at_unusual_names_and_below(self, profile: Path) -> None:
        local, work = "Mail/Local Folders", "Mail/pop.example.org"
        text = """
user_pref("mail.identity.id1.fcc_folder", "mailbox://alice@pop.example.org/Gesendet");
user_pref("mail.identity.id1.archive_folder", "mailbox://nobody@Local%20Folders/Alt/Ablage");
"""
        put(
            profile,
            {
                "prefs.js": (ACCOUNT + text).encode(),
                f"{work}/Gesendet": MBOX % b"sent",
                f"{work}/TRASH": MBOX % b"trash",
                f"{work}/Trash.sbd/Sent": MBOX % b"below trash",
                f"{work}/Inbox.sbd/Sent": MBOX % b"below inbox",
                f"{local}/Alt.sbd/Ablage": MBOX % b"archive",
                f"{local}/Alt.sbd/Ablage.sbd/2021.sbd/Mai": MBOX % b"2021",
                f"{local}/Drafts": MBOX % b"draft",
            },
        )
        assert by_folder(profile) == {
            "INBOX": "Subject: new",
            "INBOX/Sent": "Subject: below inbox",
            "\\Sent": "Subject: sent",
            "\\Trash": "Subject: trash",
            "\\Trash/Sent": "Subject: below trash",
            "\\Archive": "Subject: archive",
            "\\Archive/2021/Mai": "Subject: 2021",
            "\\Drafts": "Subject: draft",
            "Old": "Subject: old",
        }

    def test_names(self, profile: Path) -> None:
        local = "Mail/Local Folders"
        put(
            profile,
            {
                f"{local}/Notizen.msf": MBOX % b"an index by name",
                f"{local}/Notizen.msf.msf": b"",
                f"{local}/alt.sbd": MBOX % b"a directory by name",
                f"{local}/Bu\u0308ro": MBOX % b"decomposed",
                f"{local}/B&APw-cher": MBOX % b"UTF-7",
                f"{local}/\\Sent": MBOX % b"no special use",
                f"{local}/.hidden": MBOX % b"none",
                f"{local}/filterlog": b"none",
                f"{local}/Search.msf": b"none",
                f"{local}/x.mozmsgs/1.wdseml": b"none",
            },
        )
        (profile / local / os.fsdecode(b"Gr\xfc\xdfe")).write_bytes(MBOX % b"Latin-1")
        assert by_folder(profile, "Local Folders") == {
            "Notizen.msf": "Subject: an index by name",
            "alt.sbd": "Subject: a directory by name",
            "Büro": "Subject: decomposed",
            "Bücher": "Subject: UTF-7",
            "_Sent": "Subject: no special use",
            "Old": "Subject: old",
            "Grüße": "Subject: Latin-1",
        }

    def test_links_inside_are_passed_over_and_out_of_the_account_are_faults(self, profile: Path) -> None:
        local = profile / "Mail/Local Folders"
        (local / "Again").symlink_to("Old")
        (local / "Loop.sbd").symlink_to(".")
        (local / "Broken").symlink_to("nowhere")
        (local / "Aside").symlink_to(profile / "Mail/pop.example.org/Inbox")
        (local / "Away.sbd").symlink_to(profile / "Mail/pop.example.org")
        assert by_folder(profile, "Local Folders") == {
            "Old": "Subject: old",
            "Aside": f"{local}/Aside: {OUTSIDE}",
            "Away": f"{local}/Away.sbd: {OUTSIDE}",
        }
        assert any(text.startswith("symbolic links") for text in remarks(profile))

    def test_files_that_are_no_mail_cost_themselves_alone(self, profile: Path) -> None:
        put(profile, {"Mail/Local Folders/Broken": b"\x89PNG\r\n\x1a\n" + bytes(100)})
        os.mkfifo(profile / "Mail/Local Folders/Pipe")
        said = by_folder(profile, "Local Folders")
        assert said["Old"] == "Subject: old"
        assert "not an mbox" in said["Broken"] or "no mbox" in said["Broken"]

    def test_what_may_not_be_read_is_told(self, profile: Path) -> None:
        local = profile / "Mail/Local Folders"
        put(
            local,
            {"Closed": MBOX % b"x", "Closed.sbd/In": MBOX % b"x", "Box/cur/1.eml": b"Subject: x\n\nx\n"},
        )
        put(local, {"Box.msf": b""})
        closed = [local / "Closed", local / "Closed.sbd", local / "Box"]
        for path in closed:
            path.chmod(0)
        try:
            if os.access(local / "Closed", os.R_OK):
                pytest.skip("root may read everything")
            lost = [item.reason for item in items(profile, "Local Folders") if isinstance(item, Unread)]
        finally:
            for path in closed:
                path.chmod(0o700)
        assert len(lost) == 3
        assert all("cannot be read" in reason or "permission" in reason for reason in lost)

    def test_deep_ones_end(self, profile: Path) -> None:
        path = profile / "Mail/Local Folders"
        for _ in range(80):
            path /= "d.sbd"
        put(path, {"Deep": MBOX % b"deep"})
        said = by_folder(profile, "Local Folders")
        assert len(said) == 2
        assert any("directories deep" in reason for reason in said.values())


KEYS = "(80=ns:msg:db:row:scope:msgs:all)(81=storeToken)(82=keywords)(83=flags)"
FOLDER = "(84=ns:msg:db:row:scope:dbfolderinfo:all)(85=folderSize)"


def index(tags: str, size: int, where: str = "0") -> bytes:
    return (
        f"< <(a=c)> {KEYS}{FOLDER}>\n[1:^80(^81={where})(^82={tags})(^83=5)]\n[1:^84(^85={size:X})]\n"
    ).encode()


class TestTags:
    """What stands in the index alone."""

    @pytest.mark.parametrize(
        ("lines", "flags"),
        [
            (b"X-Mozilla-Status: 0001\n", {"\\Seen", "$label1", "projekt"}),
            (b"X-Mozilla-Status: 0001\nX-Mozilla-Keys:      \n", {"\\Seen"}),
            (b"X-Mozilla-Status: 0001\nX-Mozilla-Keys: own  \n", {"\\Seen", "own"}),
            (b"", {"\\Seen", "\\Flagged", "$label1", "projekt"}),
        ],
    )
    def test_a_message_without_a_line_for_them(self, profile: Path, lines: bytes, flags: set[str]) -> None:
        octets = b"From - Thu Nov 29 19:33:09 2018\n" + lines + b"Subject: x\n\nbody\n\n"
        put(profile, {"Mail/Local Folders/Old": octets})
        put(profile, {"Mail/Local Folders/Old.msf": index("$label1 projekt", len(octets))})
        (item,) = items(profile, "Local Folders")
        assert isinstance(item, Message)
        assert item.flags == frozenset(flags)
        (head,) = (lambda one: one.peek(one.list().refs))(source(profile, "Local Folders"))
        assert isinstance(head, Message)
        assert head.flags == frozenset(flags)

    @pytest.mark.parametrize(("size", "where"), [(1, "0"), (-1, "0"), (0, "1")])
    def test_an_index_of_another_time_says_nothing(self, profile: Path, size: int, where: str) -> None:
        octets = MBOX % b"x"
        put(profile, {"Mail/Local Folders/Old": octets})
        put(profile, {"Mail/Local Folders/Old.msf": index("$label1", len(octets) + size, where)})
        (item,) = items(profile, "Local Folders")
        assert isinstance(item, Message)
        assert item.flags == frozenset({"\\Seen"})

    def test_with_the_other_store(self, profile: Path) -> None:
        local = "Mail/Local Folders"
        put(profile, {f"{local}/Box/cur/1.eml": b"X-Mozilla-Status: 0001\nSubject: 1\n\n1\n"})
        put(profile, {f"{local}/Box/cur/2.eml": b"X-Mozilla-Status: 0000\nSubject: 2\n\n2\n"})
        put(profile, {f"{local}/Box.msf": index("$label2", 7, "2.eml")})
        found = [item.flags for item in items(profile, "Local Folders") if isinstance(item, Message)]
        assert found == [frozenset({"\\Seen"}), frozenset({"$label2"}), frozenset({"\\Seen"})]


class TestProfiles:
    def test_the_default_of_this_installation(self, real: Path) -> None:
        first, second = profiles(real.parent)
        assert (first.name, first.path, first.is_default) == ("default-esr", real, True)
        assert (second.name, second.is_default) == ("default", False)
        assert profile_of(real.parent) == real
        assert profile_of(real) == real

    def test_older_ones_mark_the_default_one_itself(self, tmp_path: Path) -> None:
        ini = b"[General]\nStartWithLastProfile=1\n[Profile0]\nName=a\nPath=a\n[Profile1]\nName=b\nPath=b\nDefault=1\n"
        put(tmp_path, {"profiles.ini": ini, "a/prefs.js": b"", "b/prefs.js": b""})
        assert [(one.name, one.is_default) for one in profiles(tmp_path)] == [("b", True), ("a", False)]
        assert profile_of(tmp_path) == tmp_path / "b"

    def test_several_and_none(self, tmp_path: Path) -> None:
        elsewhere = tmp_path / "elsewhere"
        ini = f"[Profile0]\nPath=a\n[Profile1]\nIsRelative=0\nPath={elsewhere}\n[Profile2]\nPath=\n[Other]\nPath=c\n"
        put(tmp_path, {"profiles.ini": ini.encode()})
        with pytest.raises(SourceDataError, match="there is no profile with mail"):
            profile_of(tmp_path)
        put(tmp_path, {"a/prefs.js": b""})
        assert profile_of(tmp_path) == tmp_path / "a"
        put(tmp_path, {"elsewhere/prefs.js": b""})
        with pytest.raises(SourceDataError, match="there are several profiles") as raised:
            profile_of(tmp_path)
        assert raised.value.todo == f"name one of {tmp_path / 'a'}, {elsewhere}"

    @pytest.mark.parametrize("octets", [b"Path=x", b"[Profile0\n", b"\xff\xfe\0", b"[P]\n[P]\n = \n"])
    def test_a_broken_list_is_an_error_or_empty(self, tmp_path: Path, octets: bytes) -> None:
        put(tmp_path, {"profiles.ini": octets, "installs.ini": octets})
        with pytest.raises(SourceDataError):
            profile_of(tmp_path)


HOLDER = """
import fcntl, sys
file = open(sys.argv[1], "wb")
fcntl.lockf(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


class TestInUse:
    def test_a_lock_that_somebody_holds(self, profile: Path) -> None:
        assert not in_use(profile)
        lock = profile / ".parentlock"
        with subprocess.Popen(
            [sys.executable, "-c", HOLDER, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as holder:
            assert holder.stdout
            assert holder.stdin
            assert holder.stdout.readline() == b"held\n"
            assert in_use(profile)
            (lost,) = items(profile)
            holder.stdin.close()
        assert isinstance(lost, Unread)
        assert "Thunderbird is running with this profile: close it and run again" in lost.reason
        assert not in_use(profile), "the file stays behind"
        assert len(items(profile)) == 2

    @pytest.mark.parametrize("text", ["127.0.1.1:+4194305", "127.0.1.1:+1", "nonsense", "x" * 200])
    def test_a_link_that_was_left_behind(self, profile: Path, text: str) -> None:
        (profile / "lock").symlink_to(text)
        assert not in_use(profile)

    def test_a_link_of_a_process_of_another_name(self, profile: Path) -> None:
        (profile / "lock").symlink_to(f"127.0.1.1:+{os.getpid()}")
        assert not in_use(profile)
