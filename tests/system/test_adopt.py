"""A journal is lost, or brought back from a backup, or a folder is renumbered, on real servers: then what is missing is
moved, and that alone.

Dovecot as it is, Dovecot without UIDPLUS (so that no UID is told), and Courier, which stores other octets than it was
sent. Between the move and the loss, the owner of the account has moved mail and changed flags.
"""

from __future__ import annotations

import random
import re
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.conftest import ServerFactory
from tests.faults.proxy import Fault, Proxy, Side, after, calling, cut
from tests.servers.behaviour import match_digest
from tests.servers.server import Server
from tests.system import readback
from tests.system.program import Ran, run, start

RULES = """
version = 1

[[rule]]
name = "Copy"
when = { subject = "both*" }
then = { folder = "Copies", continue = true }

[[rule]]
name = "Lists"
when = { subject = "list*" }
then = { folder = "Lists/All" }

[[rule]]
name = "Old"
when = { before = 2012-01-01 }
then = { folder = "Archive/{date:%Y}" }
"""

SETUPS = {
    "Dovecot": ("Dovecot", {}),
    "Dovecot without UIDPLUS": ("Dovecot", {"IMAP_CAPABILITY": "IMAP4rev1 NAMESPACE SPECIAL-USE UNSELECT"}),
    "Courier": ("Courier", {}),
}


def mail(number: int, chance: random.Random) -> bytes:
    kind = chance.choice(("list", "both", "one", "two"))
    year = chance.randint(2008, 2020)
    body = "\n".join(chance.choice("abcdef") * chance.randint(0, 70) for _ in range(chance.randint(1, 60)))
    return (
        f"From: bob@example.org\nSubject: {kind} {number}\nDate: Mon, 04 May {year} 10:00:{number % 60:02} +0000\n"
        f"\n{body} \n"
    ).encode()


def mbox(messages: Iterable[bytes]) -> bytes:
    """With an envelope that vouches for no date."""
    return b"".join(b"From - Thu Jan  1 00:00:00 1970\n" + octets + b"\n" for octets in messages)


class Account:
    """An account of a real server into which mail is moved from an mbox by rules."""

    def __init__(self, home: Path, server: Server) -> None:
        self.home, self.server, self.user = home, server, server.user()
        self.port = 0  # that of a proxy, if there is one between
        chance = random.Random(20261124)
        self.mail = [mail(number, chance) for number in range(60)]
        self.mail += self.mail[:6] + self.mail[:2]  # twins
        (home / "rules.toml").write_text(RULES)
        self.bring(self.mail)

    def bring(self, messages: Iterable[bytes]) -> None:
        (self.home / "old.mbox").write_bytes(mbox(messages))

    def command(self, name: str, *more: str) -> tuple[str, ...]:
        target = f"imap://{self.user}@127.0.0.1:{self.port or self.server.imap_port}"
        return (name, "old.mbox", target, "--rules", "rules.toml", "--fence", "0", "--json", *more)

    def run(self, name: str, *more: str) -> Ran:
        ran = run(self.home, *self.command(name, *more))
        assert ran.code == 0, ran.out + ran.err
        return ran

    @property
    def state(self) -> Path:
        return self.home / "state"

    def held(self) -> Counter[bytes]:
        """What the account holds, as a multiset that forgives what servers rewrite."""
        return Counter(match_digest(one.octets) for one in readback.messages(self.server, self.user))

    def expected(self, messages: Iterable[bytes]) -> Counter[bytes]:
        expected: Counter[bytes] = Counter()
        for octets in messages:
            copies = 2 if re.search(rb"^Subject: both.*\nDate: .* 20(0.|10|11) ", octets, re.MULTILINE) else 1
            expected[match_digest(octets.replace(b"\n", b"\r\n"))] += copies
        return expected

    def tidy_up(self) -> None:
        """What an owner does: moves mail into a folder of his own and into another one, and reads and stars some."""
        with self.server.client(self.user) as client:
            names = {name.rpartition("/")[2].rpartition(".")[2]: name for _, _, name in client.list_folders()}
            own = names["Copies"].replace("Copies", "My own")
            client.create_folder(own)
            for name, count, to in (
                ("INBOX", 5, own),
                ("All", 4, own),
                ("Copies", 3, "INBOX"),
                ("2010", 2, own),
            ):
                client.select_folder(names[name])
                some = client.search("ALL")[:count]
                assert len(some) == count
                client.copy(some, to)
                client.delete_messages(some)
                client.expunge()
                rest = client.search("ALL")[:3]
                client.add_flags(rest, ["\\Seen", "\\Flagged"])


@pytest.fixture(params=SETUPS)
def account(request: pytest.FixtureRequest, tmp_path: Path, server_like: ServerFactory) -> Account:
    kind, settings = SETUPS[request.param]
    return Account(tmp_path, server_like(kind, **settings))


RENUMBERED = ("INBOX", "Lists/All", "Copies")
NEW = (
    b"Subject: new\nDate: Tue, 05 May 2020 10:00:00 +0000\n\nnew\n",
    b"Subject: both new\nDate: Tue, 05 May 2010 10:00:00 +0000\n\nnew, too\n",
)


def test_after_a_lost_journal_exactly_what_is_missing_is_moved(account: Account) -> None:
    account.run("migrate")
    assert account.held() == account.expected(account.mail)
    account.tidy_up()
    before = account.held()
    assert before == account.expected(account.mail)
    shutil.rmtree(account.state)
    account.bring([*account.mail, *NEW])

    dry = account.run("adopt", "--dry-run").json
    ran = account.run("adopt").json
    assert {**dry, "dry_run": False, "started": 0, "finished": 0} == {**ran, "started": 0, "finished": 0}
    assert (ran["adopted"], ran["counts"]["pending"]) == (len(account.mail), len(NEW))
    assert sum(folder["copies"] for folder in ran["folders"]) == sum(before.values())
    assert sum(folder["elsewhere"] for folder in ran["folders"]) == 14
    assert account.held() == before

    moved = account.run("migrate").json
    assert (moved["moved"]["messages"], moved["extra_copies"]) == (len(NEW), 1)
    assert account.held() == account.expected([*account.mail, *NEW])
    assert account.run("migrate").json["moved"]["messages"] == 0
    assert account.run("adopt").json["adopted"] == 0


def test_an_older_journal_is_brought_up_to_date(account: Account) -> None:
    account.bring(account.mail[:40])
    account.run("migrate")
    shutil.copytree(account.state, account.home / "backup")
    account.bring(account.mail)
    account.run("migrate")
    account.tidy_up()
    shutil.rmtree(account.state)
    shutil.copytree(account.home / "backup", account.state)
    account.bring([*account.mail, *NEW])
    ran = account.run("adopt").json
    assert (ran["counts"]["stored"], ran["adopted"], ran["counts"]["pending"]) == (
        40,
        len(account.mail) - 40,
        2,
    )
    assert account.run("migrate").json["moved"]["messages"] == len(NEW)
    assert account.held() == account.expected([*account.mail, *NEW])


@pytest.mark.parametrize("name", SETUPS)
def test_killed_in_the_middle_and_repeated(tmp_path: Path, server_like: ServerFactory, name: str) -> None:
    kind, settings = SETUPS[name]
    account = Account(tmp_path, server_like(kind, **settings))

    def through_a_proxy(command: str, octets: int | None = None) -> tuple[bool, Ran]:
        """(whether it was killed, how it ended)"""
        processes: list[subprocess.Popen[str]] = []
        kill = calling(lambda: processes[0].kill(), then=cut)
        fault = Fault() if octets is None else Fault(after(octets, Side.CLIENT), kill)
        with Proxy(account.server.imap_port, fault, port=account.port) as proxy:
            account.port = proxy.port
            processes.append(start(account.home, *account.command(command)))
            out, err = processes[0].communicate(timeout=100)
        return fault.struck, Ran(processes[0].returncode, out, err)

    through_a_proxy("migrate")
    account.tidy_up()
    shutil.rmtree(account.state)
    account.bring([*account.mail, *NEW])
    for octets in (300, 600, 900, 1200):
        struck, ran = through_a_proxy("adopt", octets)
        assert (struck, ran.code) == (True, -signal.SIGKILL), ran.out + ran.err
    _, ran = through_a_proxy("adopt")
    assert (ran.code, ran.json["counts"]["present"]) == (0, len(account.mail)), ran.out + ran.err
    _, ran = through_a_proxy("migrate")
    assert (ran.code, ran.json["moved"]["messages"]) == (0, len(NEW)), ran.out + ran.err
    assert account.held() == account.expected([*account.mail, *NEW])


@pytest.mark.parametrize("name", ["Dovecot", "Dovecot without UIDPLUS"])
def test_after_a_new_uidvalidity_every_copy_has_its_uid_again(
    tmp_path: Path, server_like: ServerFactory, name: str
) -> None:
    kind, settings = SETUPS[name]
    account = Account(tmp_path, server_like(kind, **settings))
    account.run("migrate")
    doveadm = account.server.doveadm  # type: ignore[attr-defined]
    for number, folder in enumerate(RENUMBERED):
        doveadm("mailbox", "update", "-u", account.user, "--uid-validity", str(4000 + number), folder)
    ran = account.run("adopt").json
    folders = Counter(one.folder for one in readback.messages(account.server, account.user))
    assert (ran["adopted"], ran["renumbered"]) == (0, sum(folders[name] for name in RENUMBERED))
    account.bring([*account.mail, *NEW])
    assert account.run("migrate").json["moved"]["messages"] == len(NEW)
    assert account.held() == account.expected([*account.mail, *NEW])
