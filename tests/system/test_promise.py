"""What a person has after the move is what IMAP is for: the same mail, the same state, on every device at once."""

from __future__ import annotations

import mailbox
import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import NamedTuple

import pytest
from imapclient import IMAPClient

from tests.servers.dovecot import Dovecot
from tests.system import readback
from tests.system.program import Ran, run, start

RULES = """
version = 1
me = ["alice@example.com"]

[[rule]]
name = "Client ACME"
when = { any = [ { from = "*@acme.example" }, { recipient = "*@acme.example" } ] }
then = { folder = "Clients/ACME" }

[[rule]]
name = "Lists"
when = { list-id = "*.lists.example.org" }
then = { folder = "Listen/Grüße/{list-id}", add-flags = ["$List"], mark = "seen" }

[[rule]]
name = "Old"
when = { before = 2015-01-01 }
then = { folder = "Archiv/{date:%Y}" }
"""


class Mail(NamedTuple):
    sender: str
    day: str
    body: str
    status: str
    to: str = "alice@example.com"
    list_id: str = ""


MAIL = [
    Mail("Bob <bob@acme.example>", "Mon, 04 May 2020", "offer", "Status: O"),
    Mail("Carol <carol@example.org>", "Tue, 05 May 2020", "zebra crossing", "Status: RO\nX-Status: F"),
    Mail("news@example.org", "Wed, 06 May 2020", "the news", "Status: O", list_id="news.lists.example.org"),
    Mail("Dave <dave@example.org>", "Thu, 06 May 2010", "long ago", "Status: RO\nX-Status: A"),
    Mail("Alice <alice@example.com>", "Fri, 08 May 2020", "my answer", "Status: RO", to="carol@example.org"),
    Mail("Erin <erin@example.org>", "Sat, 09 May 2020", "tagged", "Status: O\nX-Keywords: project"),
]

# QUIRK(Dovecot): no "." in the name of a folder that is kept in Maildir++, so the target makes it "_"
EXPECTED = {
    ("Clients/ACME", "offer", frozenset[str]()),
    ("INBOX", "zebra crossing", frozenset({"\\Seen", "\\Flagged"})),
    ("Listen/Grüße/news_lists_example_org", "the news", frozenset({"\\Seen", "$List"})),
    ("Archiv/2010", "long ago", frozenset({"\\Seen", "\\Answered"})),
    ("Sent", "my answer", frozenset({"\\Seen"})),
    ("INBOX", "tagged", frozenset({"project"})),
}


class Home:
    """A person's home: an mbox, a rules file, an account on the server."""

    def __init__(self, path: Path, dovecot: Dovecot) -> None:
        self.path, self.dovecot, self.user = path, dovecot, dovecot.user()
        (path / "rules.toml").write_text(RULES)
        self.write(MAIL)

    def write(self, mail: list[Mail]) -> None:
        with (self.path / "inbox.mbox").open("w", newline="\n") as file:
            for number, one in enumerate(mail):
                date = f"{one.day} 10:00:00 +0000"
                file.write(f"From - Fri May 01 00:00:{number:02} 2020\n")
                if not one.sender.startswith("Alice"):
                    file.write(f"Received: from a.example by b.example; {date}\n")
                file.write(f"From: {one.sender}\nTo: {one.to}\nSubject: about {one.body}\nDate: {date}\n")
                file.write(f"Message-ID: <{number}@example.org>\n")
                file.write(f"List-Id: <{one.list_id}>\n" if one.list_id else "")
                file.write(f"{one.status}\n\n{one.body}\n\n")

    @property
    def arguments(self) -> tuple[str, ...]:
        target = f"imaps://{self.user}@localhost:{self.dovecot.imaps_port}"
        return (
            "inbox.mbox",
            target,
            "--rules",
            "rules.toml",
            "--target-ca",
            str(self.dovecot.ca_file),
            "--fence",
            "0",
        )

    def migrate(self, *more: str) -> Ran:
        return run(self.path, "migrate", *self.arguments, *more)


@pytest.fixture
def home(dovecot: Dovecot) -> Iterator[Home]:
    path = Path(tempfile.mkdtemp(prefix="p2i-home-"))
    yield Home(path, dovecot)
    shutil.rmtree(path)


def see(client: IMAPClient) -> set[tuple[str, str, frozenset[str]]]:
    """(folder, body, flags) of everything a client is shown."""
    seen = set()
    for _flags, _delimiter, name in client.list_folders():
        client.select_folder(name, readonly=True)
        for one in client.fetch(client.search("ALL"), ["FLAGS", "BODY.PEEK[TEXT]"]).values():
            flags = frozenset(flag.decode() for flag in one[b"FLAGS"]) - {"\\Recent"}
            seen.add((name, one[b"BODY[TEXT]"].decode().strip(), flags))
    return seen


def test_two_clients_at_once_see_the_same_folders_flags_and_tags(home: Home) -> None:
    ran = home.migrate("--json")
    assert (ran.code, ran.err.count("Traceback")) == (0, 0), ran.err
    assert ran.json["counts"]["stored"] == len(MAIL)
    assert ran.json["safe_to_delete_source"] is True
    with readback.client(home.dovecot, home.user) as one, readback.client(home.dovecot, home.user) as two:
        assert see(one) == see(two) == EXPECTED
        # one marks a message read, and the other sees it
        one.select_folder("Clients/ACME")
        two.select_folder("Clients/ACME")
        (uid,) = one.search("UNSEEN")
        one.add_flags([uid], ["\\Seen"])
        two.noop()
        assert b"\\Seen" in two.get_flags([uid])[uid]


def test_the_folders_are_subscribed_and_the_dates_are_those_of_the_mail(home: Home) -> None:
    assert home.migrate().code == 0
    with readback.client(home.dovecot, home.user) as client:
        subscribed = {name for _flags, _delimiter, name in client.list_sub_folders()}
    assert {folder for folder, _body, _flags in EXPECTED} <= subscribed | {"INBOX"}
    dates = {kept.date for kept in readback.messages(home.dovecot, home.user)}
    assert datetime(2010, 5, 6, 10, tzinfo=UTC) in dates
    assert {moment.year for moment in dates} == {2010, 2020}


def test_the_server_finds_the_right_ones(home: Home) -> None:
    assert home.migrate().code == 0
    with readback.client(home.dovecot, home.user) as client:

        def bodies(folder: str, *criteria: object) -> list[str]:
            client.select_folder(folder, readonly=True)
            fetched = client.fetch(client.search(list(criteria)), ["BODY.PEEK[TEXT]"])
            return sorted(one[b"BODY[TEXT]"].decode().strip() for one in fetched.values())

        assert bodies("INBOX", "FROM", "carol@example.org") == ["zebra crossing"]
        assert bodies("INBOX", "SUBJECT", "about tagged") == ["tagged"]
        assert bodies("INBOX", "TEXT", "zebra") == ["zebra crossing"]
        assert bodies("INBOX", "FLAGGED") == ["zebra crossing"]
        assert bodies("INBOX", "KEYWORD", "project") == ["tagged"]
        assert bodies("INBOX", "UNSEEN") == ["tagged"]
        assert bodies("Archiv/2010", "BEFORE", date(2011, 1, 1)) == ["long ago"]
        assert bodies("INBOX", "SINCE", date(2020, 5, 6)) == ["tagged"]


def test_the_sent_mail_is_in_the_folder_that_the_server_calls_sent(home: Home) -> None:
    assert home.migrate().code == 0
    with readback.client(home.dovecot, home.user) as client:
        (sent,) = [name for flags, _delimiter, name in client.list_folders() if b"\\Sent" in flags]
    assert ("my answer", frozenset({"\\Seen"})) in {
        (kept.octets.decode().rpartition("\r\n\r\n")[2].strip(), kept.flags)
        for kept in readback.messages(home.dovecot, home.user)
        if kept.folder == sent
    }


def test_a_client_in_idle_is_told_of_new_mail(home: Home) -> None:
    with readback.client(home.dovecot, home.user) as client:
        client.select_folder("INBOX")
        client.idle()
        process = start(home.path, "migrate", *home.arguments)
        told: list[tuple[object, ...]] = []
        for _ in range(60):
            told += client.idle_check(timeout=1)
            if any(b"EXISTS" in one for one in told):
                break
        client.idle_done()
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, out + err
    assert any(b"EXISTS" in one for one in told), told


def test_mail_delivered_meanwhile_and_before_is_untouched(home: Home) -> None:
    octets = b"From: frank@example.org\r\nSubject: delivered\r\n\r\nnot ours\r\n"
    home.dovecot.doveadm("save", "-u", home.user, "-m", "INBOX", input=octets)
    assert home.migrate().code == 0
    home.dovecot.doveadm("save", "-u", home.user, "-m", "INBOX", input=octets.replace(b"not", b"still not"))
    ran = home.migrate("--json")
    assert (ran.code, ran.json["moved"]["messages"]) == (0, 0)
    kept = [one for one in readback.messages(home.dovecot, home.user) if b"Subject: delivered" in one.octets]
    assert sorted(one.octets.rpartition(b"\r\n\r\n")[2] for one in kept) == [
        b"not ours\r\n",
        b"still not ours\r\n",
    ]
    assert {one.flags for one in kept} == {frozenset()}


def test_what_is_there_already_is_not_put_there_again(home: Home) -> None:
    """Somebody moved the same mail before, with another program: equal octets count as present, one by one."""
    box = mailbox.mbox(home.path / "inbox.mbox", create=False)
    zebra = next(iter(m for m in box if "zebra" in str(m["Subject"])))
    del zebra["Status"], zebra["X-Status"]
    octets = bytes(zebra).replace(b"\n", b"\r\n")
    box.close()
    home.dovecot.doveadm("save", "-u", home.user, "-m", "INBOX", input=octets.rstrip(b"\r\n") + b"\r\n")
    ran = home.migrate("--json")
    assert (ran.code, ran.json["counts"]["present"], ran.json["counts"]["stored"]) == (0, 1, len(MAIL) - 1)
    assert readback.folders(home.dovecot, home.user)["INBOX"] == 2


def test_a_second_run_moves_nothing_and_new_mail_alone_comes_later(home: Home) -> None:
    first, second = home.migrate("--json"), home.migrate("--json")
    assert (first.code, second.code) == (0, 0)
    assert (first.json["moved"]["messages"], second.json["moved"]["messages"]) == (len(MAIL), 0)
    assert second.json["counts"] == first.json["counts"]
    home.write([*MAIL, MAIL[1]._replace(body="new")])
    third = home.migrate("--json")
    assert (third.code, third.json["moved"]["messages"]) == (0, 1)
    assert sum(readback.folders(home.dovecot, home.user).values()) == len(MAIL) + 1


def test_a_plan_changes_nothing_and_foresees_what_a_run_does(home: Home) -> None:
    plan = run(home.path, "plan", *home.arguments, "--json")
    assert plan.code == 0, plan.err
    assert sum(readback.folders(home.dovecot, home.user).values()) == 0
    assert not (home.path / "state" / "targets").exists()
    ran = home.migrate("--json")
    planned = {f["name"]: (f["messages"], f["unseen"], f["flagged"]) for f in plan.json["folders"]}
    done = {f["name"]: (f["messages"], f["unseen"], f["flagged"]) for f in ran.json["folders"]}
    assert planned == done
    assert plan.json["counts"]["pending"] == ran.json["counts"]["stored"] == len(MAIL)
