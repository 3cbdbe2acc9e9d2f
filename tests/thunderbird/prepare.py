"""Make the profile of the tests anew, by a real Thunderbird and a real Dovecot:

    python -m tests.thunderbird.prepare

It writes beside itself ``profile.tar.xz`` (a ``.thunderbird`` directory as Thunderbird left it), ``maildrop.tar.xz``
(what is on the server afterwards, see maildrop.py) and ``shown.json`` (what that Thunderbird showed of it, see
shown.js). Needs Thunderbird, Dovecot, and the right to make ``/home/alice``, which is there for that time only, and to
have a host name of its own (unshare), so that no name of the machine gets into the profile. Takes about a minute.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.servers.dovecot import PASSWORD, Dovecot
from tests.thunderbird import letters, maildrop
from tests.thunderbird.maildrop import Kept
from tests.thunderbird.sink import sink
from tests.thunderbird.thunderbird import Thunderbird, preferences_for_tests

__all__ = ["HERE", "HOME", "PROFILE", "SHOWN", "make"]

HERE = Path(__file__).parent
PROFILE = HERE / "profile.tar.xz"
SHOWN = HERE / "shown.json"
HOME = Path("/home/alice")
NAME = "abcd1234.default-esr"
MBOX, MAILDIR = "@mozilla.org/msgstore/berkeleystore;1", "@mozilla.org/msgstore/maildirstore;1"
VALIDITY = {"alice": 1_700_000_001, "bob": 1_700_000_002}
GONE = "gone"
OLD_KEY = "b&apw-cher"
"""As Thunderbird made the keys of tags from their names in former times: IMAP's UTF-7."""
SIZE_LIMIT = 50
_ELSEWHERE = ("unshare", "--uts", "sh", "-c", 'hostname desktop && exec "$@"', "sh")
"""Thunderbird writes the name of the machine into names of files."""

LONG = (
    "Korrespondenz mit der Hausverwaltung über die Nebenkostenabrechnung der Jahre 2015 bis 2019 und danach"
)
ODD_NAMES = (
    "Überweisungen", "Bu\u0308ro (zerlegt)", "a/b", "Q1: Bücher?", "con", LONG, "請求書", "Ende mit Punkt.",
    "Ende mit Leerzeichen ", ".versteckt", "100% & mehr; [x] #1", "alt.sbd", "Notizen.msf", "Rechnung",
    "zwei\\drei", "Emoji 🎁", "<spitz>|\"quer\"*",
)  # fmt: skip


class Hand:
    """What does things in a Thunderbird, by the functions of ``make.js``."""

    def __init__(self, thunderbird: Thunderbird) -> None:
        self._thunderbird = thunderbird
        self.local = self.alice = self.bob = self.moebel = self.taxes = ""
        self.identities: dict[str, str] = {}
        self.accounts: dict[str, str] = {}

    def __call__(self, function: str, **parameters: Any) -> Any:
        return self._thunderbird.call("make.js", function, **parameters)

    def folder(self, *place: str) -> list[str]:
        """Make a folder within the others of ``place``; its place."""
        self("makeFolder", parent=list(place[:-1]), name=place[-1])
        return list(place)

    def copy(
        self, subjects: Sequence[str], source: Sequence[str], to: Sequence[str], *, move: bool = False
    ) -> None:
        """Copy or move the messages with these subjects."""
        self("copyMail", folder=list(source), subjects=list(subjects), to=list(to), move=move)


def make(home: Path = HOME) -> None:
    """Make all of it. Raises FileExistsError if somebody has that home already."""
    profile = home / ".thunderbird" / NAME
    with _home(home), _dovecot() as server, sink() as outgoing:
        _fill(server, first=True)
        with Thunderbird(profile, home=home, launcher=_ELSEWHERE) as thunderbird:
            hand = Hand(thunderbird)
            _accounts(hand, server, outgoing)
            for account in (hand.alice, hand.bob):
                hand("fetchMail", server=account, password=PASSWORD)
            _everything(hand)
        _fill(server, first=False)
        with Thunderbird(profile, home=home, launcher=_ELSEWHERE) as thunderbird:
            hand = _again(hand, thunderbird)
            hand("fetchMail", server=hand.alice, password=PASSWORD)
            _after_the_last_fetch(hand)
            before = thunderbird.call("shown.js", "shown")
        keep = _packed(home, profile)
        with Thunderbird(profile, home=home, launcher=_ELSEWHERE) as thunderbird:
            shown = thunderbird.call("shown.js", "shown")
        _must_equal(before, shown)
        PROFILE.write_bytes(keep)
        SHOWN.write_text(json.dumps(shown, ensure_ascii=False, indent=1) + "\n")
        maildrop.packed(
            maildrop.ARCHIVE, {name: (_kept(name, last=True), VALIDITY[name]) for name in VALIDITY}
        )


@contextmanager
def _home(home: Path) -> Iterator[None]:
    home.mkdir()
    try:
        yield
    finally:
        shutil.rmtree(home)


@contextmanager
def _dovecot() -> Iterator[Dovecot]:
    server = Dovecot()
    try:
        yield server
    finally:
        server.stop(purge=True)


def _kept(account: str, *, last: bool) -> list[Kept]:
    """What is in a maildrop: at first, after the program has fetched for the second time, or at the end."""
    written = letters.of_alice() if account == "alice" else letters.of_bob()
    kept = [Kept(uid, letter.name, letter.octets) for uid, letter in enumerate(written, 1)]
    if account == "alice" and last:
        kept = [each for each in kept if each.name != GONE]
        after = len(written) + 1
        kept += [Kept(uid, late.name, late.octets) for uid, late in enumerate(letters.later(), after)]
    return kept


def _fill(server: Dovecot, *, first: bool) -> None:
    """Fill the maildrops: at first, or before the last fetch, when one message is gone from the server."""
    for account, validity in VALIDITY.items():
        kept = _kept(account, last=False)
        maildrop.fill(server, account, [each for each in kept if first or each.name != GONE], validity)


def _accounts(hand: Hand, server: Dovecot, outgoing: int) -> None:
    hand.local = hand("addLocalFolders")["server"]
    common = {"leave_on_server": True, "delete_mail_left_on_server": False, "check_new_mail": False}
    for user, full_name, store, values in (
        ("alice", "Alice Muster", MBOX, {"limit_offline_message_size": True, "max_size": SIZE_LIMIT}),
        ("bob", "Bob Beispiel", MAILDIR, {}),
    ):
        made = hand(
            "addAccount", user=user, host="localhost", port=server.pop3_port, name=f"{user}@example.org",
            email=f"{user}@example.org", full_name=full_name, store=store, values={**common, **values},
        )  # fmt: skip
        setattr(hand, user, made["server"])
        hand.identities[user] = made["identity"]
        hand.accounts[user] = made["account"]
    hand("setSender", host="localhost", port=outgoing, user="", identities=list(hand.identities.values()))


def _again(hand: Hand, thunderbird: Thunderbird) -> Hand:
    new = Hand(thunderbird)
    new.local, new.alice, new.bob = hand.local, hand.alice, hand.bob
    new.identities, new.accounts = hand.identities, hand.accounts
    return new


def _everything(hand: Hand) -> None:
    _folders(hand)
    _tags(hand)
    _marks(hand)
    _filter(hand)
    _copies(hand)
    _writing(hand)
    _archive(hand)
    _deleting(hand)
    _maildir(hand)
    _searches(hand)


def _folders(hand: Hand) -> None:
    for name in ODD_NAMES:
        hand.folder(hand.local, name)
    hand.folder(hand.local, "Projekte")
    hand.folder(hand.local, "Projekte", "2023")
    hand.folder(hand.local, "Projekte", "2023", "Küche: Möbel")
    hand.folder(hand.local, "Leer")
    hand.folder(hand.alice, "Bank")
    hand.folder(hand.alice, "Inbox", "Unter dem Eingang")
    hand.folder(hand.alice, "Junk")
    hand.folder(hand.alice, "Zu verdichten")


def _tags(hand: Hand) -> None:
    hand("renameTag", key="$label3", name="Privat")
    hand.moebel = hand("addTag", name="Möbel", color="#008080")
    hand.taxes = hand("addTag", name="Steuer 2024 (neu)", color="#804000")
    hand("setKeyedTag", key="projekt-x", name="Projekt X", color="#4000FF")
    hand("setKeyedTag", key=OLD_KEY, name="Bücher", color="#40A0FF")


def _marks(hand: Hand) -> None:
    inbox = [hand.alice, "Inbox"]
    for subjects, marks in (
        (
            ["Welcome to your mailbox", "Summer sale", "Grüße aus Köln", "The garden", "請求書の件"],
            {"read": True},
        ),
        (["Re: The garden"], {"read": True, "replied": True}),
        (["A picture"], {"read": True, "starred": True, "forwarded": True}),
        (["Please read today"], {"starred": True}),
        (["Grüße aus Köln"], {"tags": ["$label1"]}),
        (["The garden"], {"tags": ["$label2", hand.moebel]}),
        (["Rohe Umlaute: Bücher"], {"tags": ["$label3", OLD_KEY]}),
        (["AW: The garden"], {"tags": ["unnamed"]}),
        (["請求書の件"], {"tags": ["$label4"]}),
        (["Nobody knows where"], {"tags": ["$label5"]}),
        (["Invoice 17"], {"tags": ["projekt-x", hand.taxes], "read": True}),
        (["Twice the same"], {"tags": ["$label1"], "untag": ["$label1"]}),
        (["Lines with From"], {"read": True, "starred": True, "replied": True, "forwarded": True}),
        (["Welcome to your mailbox"], {"priority": 5}),
        (["You have won", "You have won again"], {"junk": 100}),
        (["Summer sale"], {"junk": 0}),
    ):
        hand("mark", folder=inbox, subjects=subjects, **marks)


def _filter(hand: Hand) -> None:
    hand(
        "addFilter",
        server=hand.alice,
        name="Bank",
        sender="@bank.example",
        to=[hand.alice, "Bank"],
        tag="$label5",
    )
    hand("runFilters", folder=[hand.alice, "Inbox"])


def _copies(hand: Hand) -> None:
    inbox = [hand.alice, "Inbox"]
    hand.copy(["You have won"], inbox, [hand.alice, "Junk"], move=True)
    for name in ODD_NAMES:
        hand.copy(["Welcome to your mailbox"], inbox, [hand.local, name])
    hand.copy(["Grüße aus Köln", "A picture"], inbox, [hand.local, "Überweisungen"])
    hand.copy(["[list] First"], inbox, [hand.local, "Projekte"], move=True)
    hand.copy(["[list] Second"], inbox, [hand.local, "Projekte", "2023"], move=True)
    hand.copy(["The garden", "Re: The garden"], inbox, [hand.local, "Projekte", "2023", "Küche: Möbel"])
    hand.copy(["Nobody knows where"], inbox, [hand.alice, "Inbox", "Unter dem Eingang"], move=True)
    hand(
        "mark", folder=[hand.local, "Überweisungen"], subjects=["A picture"], starred=False, tags=["$label2"]
    )


def _writing(hand: Hand) -> None:
    alice = {"identity": hand.identities["alice"], "account": hand.accounts["alice"]}
    bob = {"identity": hand.identities["bob"], "account": hand.accounts["bob"]}
    hand.folder(hand.bob, "Gesendete Objekte")
    sent = hand("uriOf", folder=[hand.bob, "Gesendete Objekte"])
    hand("setIdentity", identity=bob["identity"], values={"fccFolderURI": sent, "fccFolderPickerMode": "1"})
    for who, mode, subject, body in (
        (alice, "send", "Sent by Alice", "From the first word on.\n>From quoted\n"),
        (alice, "send", "Grüße zurück", "Viele Grüße\n"),
        (bob, "send", "Sent by Bob", "To an unusual folder.\n"),
        (alice, "draft", "A draft", "Unfinished"),
        (alice, "template", "A template", "Dear ...\n"),
        (alice, "later", "Waits for being sent", "Later.\n"),
    ):
        hand("compose", **who, mode=mode, to="carol@example.net", subject=subject, body=body, html=False)

    hand(
        "mark",
        folder=[hand.alice, "Sent"],
        subjects=["Grüße zurück"],
        starred=True,
        tags=["$label1", hand.moebel],
    )


def _archive(hand: Hand) -> None:
    subjects = ["For the archive, 2021", "For the archive, 2022"]
    hand("archive", folder=[hand.alice, "Inbox"], subjects=subjects)


def _deleting(hand: Hand) -> None:
    inbox, trash = [hand.alice, "Inbox"], [hand.alice, "Trash"]
    hand("deleteMail", folder=inbox, subjects=["For the bin", "Gone from the bin"], at_once=False)
    hand("deleteMail", folder=trash, subjects=["Gone from the bin"], at_once=True)
    hand("deleteMail", folder=inbox, subjects=["Deleted at once"], at_once=True)
    squeezed = [hand.alice, "Zu verdichten"]
    hand.copy(["Same ID, first body", "Same ID, second body", "Summer sale"], inbox, squeezed)
    hand(
        "mark", folder=squeezed, subjects=["Same ID, second body"], tags=["$label1", "$label4"], starred=True
    )
    hand("deleteMail", folder=squeezed, subjects=["Same ID, first body"], at_once=True)
    hand("compact", folder=squeezed)


def _maildir(hand: Hand) -> None:
    inbox = [hand.bob, "Inbox"]
    hand.folder(hand.bob, "Möbel & Küche")
    hand.folder(hand.bob, "Möbel & Küche", "Q1: Bücher?")
    hand.folder(hand.bob, "Leer")
    hand("mark", folder=inbox, subjects=["First of bob"], read=True, starred=True, replied=True)
    hand("mark", folder=inbox, subjects=["Second of bob"], read=True, tags=["$label1", hand.moebel])
    hand("deleteMail", folder=inbox, subjects=["Fourth, to be deleted"], at_once=False)
    hand.copy(["Fifth, to be moved"], inbox, [hand.bob, "Möbel & Küche"], move=True)
    hand.copy(["First of bob", "Second of bob"], inbox, [hand.bob, "Möbel & Küche", "Q1: Bücher?"])
    hand.copy(["Lines with From", "Twice the same"], [hand.alice, "Inbox"], [hand.bob, "Möbel & Küche"])
    hand.copy(["Dritte für bob"], inbox, [hand.local, "Überweisungen"])


def _searches(hand: Hand) -> None:
    hand(
        "addSearchFolder", parent=[hand.local], name="Mit Stern", search="AND (status,is,flagged)",
        folders=[[hand.alice, "Inbox"], [hand.local, "Überweisungen"], [hand.bob, "Inbox"]],
    )  # fmt: skip


def _after_the_last_fetch(hand: Hand) -> None:
    inbox = [hand.alice, "Inbox"]
    hand("onServer", folder=inbox, subjects=["Three empty lines at the end"], state="remove")
    hand("onServer", folder=inbox, subjects=["A long report"], state="fetch")
    hand("mark", folder=inbox, subjects=["Same ID, first body"], tags=["$label2"], read=True)
    hand("mark", folder=inbox, subjects=["No final newline"], read=True)
    hand("mark", folder=inbox, subjects=["An empty body"], read=True)
    hand("mark", folder=inbox, subjects=["An empty body"], read=False)


_KEPT = {
    "prefs.js", "virtualFolders.dat", "folderCache.json", "folderTree.json", "session.json", "compatibility.ini",
    "times.json", "mailViews.dat",
}  # fmt: skip


def _packed(home: Path, profile: Path) -> bytes:
    """The ``.thunderbird`` directory, with what tells of mail and of nothing else."""
    _inis(profile.parent)
    _own_preferences(profile / "prefs.js")
    paths = [profile.parent / "profiles.ini", profile.parent / "installs.ini"]
    paths += [path for path in profile.iterdir() if path.name in _KEPT]
    paths += [*(profile / "Mail").rglob("*")]
    octets = io.BytesIO()
    with tarfile.open(fileobj=octets, mode="w:xz", preset=9, format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(paths):
            entry = tar.gettarinfo(str(path), arcname=str(path.relative_to(home)))
            entry.uid = entry.gid = 1000
            entry.uname = entry.gname = "alice"
            if path.is_file():
                with path.open("rb") as file:
                    tar.addfile(entry, file)
            else:
                tar.addfile(entry)
    return octets.getvalue()


def _inis(directory: Path) -> None:
    """What names the profiles of a user, as the installed program writes it."""
    (directory / "profiles.ini").write_text(
        f"[Install0123456789ABCDEF]\nDefault={NAME}\nLocked=1\n\n"
        f"[Profile1]\nName=default\nIsRelative=1\nPath=efgh5678.default\nDefault=1\n\n"
        f"[Profile0]\nName=default-esr\nIsRelative=1\nPath={NAME}\n\n"
        "[General]\nStartWithLastProfile=1\nVersion=2\n\n"
    )
    (directory / "installs.ini").write_text(f"[0123456789ABCDEF]\nDefault={NAME}\nLocked=1\n\n")


def _own_preferences(path: Path) -> None:
    """Leave in ``prefs.js`` what is about mail, without what was there for the test only."""
    strange = preferences_for_tests()
    kept = []
    for line in path.read_text().splitlines(keepends=True):
        found = re.match(r'user_pref\("((?:mail|mailnews|ldap_2|extensions\.lastAppVersion)\b[^"]*)"', line)
        if not line.startswith("user_pref") or (found and found[1] not in strange):
            kept.append(line)
    path.write_text("".join(kept))


def _must_equal(before: Any, after: Any) -> None:
    """Raises RuntimeError unless Thunderbird showed the same after it was started anew."""
    if before != after:
        raise RuntimeError("Thunderbird does not show the same when it is started anew")


if __name__ == "__main__":
    make()
