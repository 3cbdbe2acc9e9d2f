"""A profile that a real Thunderbird made, moved together with its maildrop; and a real Thunderbird looks at the result.

``tests/thunderbird/shown.json`` is what Thunderbird showed when the profile was made.
"""

from __future__ import annotations

import json
import re
import shutil
import tarfile
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import NOT_TESTED
from tests.servers.dovecot import PASSWORD, Dovecot
from tests.system import program
from tests.thunderbird.maildrop import rebuild

pytestmark = pytest.mark.system

DATA = Path(__file__).parents[1] / "thunderbird"
USES = {
    "sent": "Sent",
    "drafts": "Drafts",
    "archive": "Archive",
    "trash": "Trash",
    "junk": "Junk",
    "inbox": "INBOX",
}
UNFETCHED = {"Not fetched yet", "Not fetched yet either"}
"""What came to the maildrop after Thunderbird had looked into it."""


TAGGED_BY_SENDER = {"sender-lines@example.net", "bob-6@example.net"}


@dataclass(frozen=True)
class Shown:
    """One message, as a mail program shows it."""

    folder: str
    message_id: str
    subject: str
    date: str
    read: bool
    starred: bool
    replied: bool
    forwarded: bool
    tags: tuple[str, ...]


@dataclass(frozen=True)
class Moved:
    """A target into which the profile and its maildrop were moved."""

    dovecot: Dovecot
    user: str
    plan: dict[str, Any]
    report: dict[str, Any]
    again: dict[str, Any]


@pytest.fixture(scope="module")
def moved(dovecot: Dovecot, tmp_path_factory: pytest.TempPathFactory) -> Moved:
    home = tmp_path_factory.mktemp("home")
    rebuild(dovecot, "alice", "alice")
    with tarfile.open(DATA / "profile.tar.xz") as tar:
        tar.extractall(home, filter="data")
    user = dovecot.user()
    ends = (
        f"thunderbird:{home}/.thunderbird",
        f"pop3://alice@localhost:{dovecot.pop3_port}",
        f"imap://{user}@localhost:{dovecot.imap_port}",
    )
    plan, report, again = (
        program.run(home, command, *ends, "--json", POP2IMAP_MARK="unseen")
        for command in ("plan", "migrate", "migrate")
    )
    assert (plan.code, report.code, again.code) == (0, 0, 0), report.err
    return Moved(dovecot, user, plan.json, report.json, again.json)


def at_home() -> list[Shown]:
    """What Thunderbird showed at home, in the folders in which it belongs."""
    shown = json.loads((DATA / "shown.json").read_text())
    return [message for account in shown["accounts"] for message in messages_of(account)]


def messages_of(account: dict[str, Any]) -> Iterator[Shown]:
    roles = {
        tuple(folder["path"]): USES[role]
        for folder in account["folders"]
        for role in folder["roles"]
        if role in USES
    }
    for folder in account["folders"]:
        path = tuple(folder["path"])
        depth = next((depth for depth in range(len(path), 0, -1) if path[:depth] in roles), 0)
        levels = [roles[path[:depth]], *path[depth:]] if depth else list(path)
        for message in folder["messages"]:
            yield Shown(
                as_stored(levels),
                message["message_id"],
                message["subject"],
                message["date"],
                message["read"],
                message["starred"],
                message["replied"],
                message["forwarded"],
                tuple(sorted(message["tags"])),
            )


def as_stored(levels: list[str]) -> str:
    """What becomes of such a name: nothing in it that clients cannot cope with, and no dot (QUIRK(Dovecot))."""
    return "/".join(
        re.sub(r'[./*%"\\<>|]', "_", unicodedata.normalize("NFC", level)).strip() for level in levels
    )


def plain(shown: Shown) -> Shown:
    """The message without what Thunderbird makes up: a name and a date for what has none, and tags where a sender wrote
    lines like its own into the header, which is none of its owner's doing."""
    if shown.message_id.startswith("md5:"):
        shown = replace(shown, message_id="", date="" if "no Date" in shown.subject else shown.date)
    return replace(shown, tags=()) if shown.message_id in TAGGED_BY_SENDER else shown


def test_every_message_has_its_account(moved: Moved) -> None:
    counts = moved.report["counts"]
    assert sum(number for word, number in counts.items() if word != "source") == counts["source"]
    assert (counts["refused"], counts["held"], counts["unreadable"], counts["pending"]) == (0, 0, 0, 0)
    assert moved.again["moved"]["messages"] == 0
    assert moved.again["counts"] == counts


def test_both_copies_are_one(moved: Moved) -> None:
    copies = moved.report["copies"]
    home, drop = (source["counts"] for source in moved.report["sources"])
    assert drop["present"] >= 30, "most of the maildrop is at home"
    assert copies["both"] >= 30
    assert moved.plan["counts"]["source"] == moved.report["counts"]["source"]
    assert home["stored"] == copies["both"] + copies["only_at_home"] - home["present"]


def test_a_real_thunderbird_shows_over_imap_what_it_showed_at_home(moved: Moved) -> None:
    if shutil.which("thunderbird") is None:
        pytest.skip(f"{NOT_TESTED}there is no Thunderbird here: as root, apt-get install thunderbird")
    from tests.thunderbird.show import shown_over_imap

    tags = json.loads((DATA / "shown.json").read_text())["tags"]
    shown = shown_over_imap(
        "localhost",
        moved.dovecot.imap_port,
        moved.user,
        PASSWORD,
        preferences={f"mailnews.tags.{tag['key']}.tag": tag["tag"] for tag in tags},
    )
    (account,) = (one for one in shown["accounts"] if one["type"] == "imap")
    roles = {role: folder["path"] for folder in account["folders"] for role in folder["roles"]}
    assert roles["sent"] == ["Sent"]
    found = Counter(map(plain, messages_of(account)))
    expected = Counter(
        plain(message) for message in at_home() if message.folder.partition("/")[0] not in {"Trash", "Junk"}
    )
    missing, more = expected - found, found - expected
    assert not missing, "everything is there as it was"
    assert {one.subject for one in more if one.folder == "INBOX"} == UNFETCHED
    assert all(not one.read for one in more if one.subject in UNFETCHED)
