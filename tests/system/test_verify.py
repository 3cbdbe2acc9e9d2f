"""A comparison on real servers, by the program itself: what it rewrote, and what was done to the mail meanwhile."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pop2imap import net
from pop2imap.errors import ExitCode
from tests.conftest import ServerFactory
from tests.servers.dovecot import Dovecot
from tests.system.program import Ran, run

PLAIN = [
    b"From: bob@example.org\nSubject: %d\nDate: Mon, 04 May 2020 10:00:%02d +0000\n\nbody of %d\n" % (n, n, n)
    for n in range(8)
]
ODD = [
    b"From: carol@example.org\nSubject: caf\xe9\nDate: Tue, 05 May 2020 10:00:00 +0000\n\nraw\n",
    b"From: carol@example.org\nSubject: nul\nDate: Tue, 05 May 2020 10:00:01 +0000\n\nn\0l\n",
    b"From: carol@example.org\nSubject: cr\nDate: Tue, 05 May 2020 10:00:02 +0000\n\nfirst\r\r\nsecond\n",
]


def mbox(*messages: bytes) -> bytes:
    return b"".join(
        b"From bob@example.org Mon May 04 10:00:00 2020\n" + octets + b"\n" for octets in messages
    )


class Account:
    """An mbox that was moved to an account on a Dovecot."""

    def __init__(self, home: Path, dovecot: Dovecot, *options: str) -> None:
        self.home, self.dovecot, self.user = home, dovecot, dovecot.user()
        self.source = home / "old.mbox"
        self.source.write_bytes(mbox(*PLAIN, *ODD))
        self.target = f"imap://{self.user}@{dovecot.imap(net.Transport.CLEAR)}"
        ran = run(home, "migrate", self.source, self.target, *options)
        assert ran.code == ExitCode.OK, ran.out + ran.err

    def verify(self, *arguments: str | Path) -> Ran:
        return run(self.home, "verify", *arguments, self.target, "--json")

    def doveadm(self, *arguments: str) -> None:
        command = 2 if arguments[0] == "mailbox" else 1
        self.dovecot.doveadm(*arguments[:command], "-u", self.user, *arguments[command:])

    def flags(self) -> str:
        return self.dovecot.doveadm("fetch", "-u", self.user, "uid flags", "mailbox", "INBOX")


@pytest.fixture
def account(tmp_path: Path, dovecot: Dovecot) -> Account:
    return Account(tmp_path, dovecot)


def found(ran: Ran) -> dict[str, int]:
    return {word: number for word, number in ran.json["counts"].items() if number and word != "copies"}


def test_all_is_there_and_what_dovecot_rewrote_is_named(account: Account) -> None:
    before = account.flags()
    ran = account.verify()
    assert (ran.code, found(ran)) == (ExitCode.OK, {"identical": 9, "rewritten": 2}), ran.out + ran.err
    assert ran.json["rewritten"] == {"NUL or 8-bit header": 1, "line ends": 1}
    ran = account.verify(account.source, "--full")
    assert (ran.code, found(ran)) == (ExitCode.OK, {"identical": 9, "rewritten": 2}), ran.out + ran.err
    assert ran.json["rewritten"] == {"NUL": 1, "line ends": 1}
    assert ran.json["everything_is_there"] is True
    assert account.flags() == before, "nothing was marked as read"


def test_new_mail_at_the_source_is_counted_and_the_last_move_is_meant_where_no_end_is_named(
    account: Account,
) -> None:
    with open(account.source, "ab") as file:
        file.write(mbox(b"From: dave@example.org\nSubject: new\n\nnew\n"))
    ran = run(account.home, "verify", "-v")
    assert ran.code == ExitCode.OK, ran.out + ran.err
    assert "lists 12 messages: 11 stored, 1 new" in ran.out
    assert ran.out.endswith("everything that was stored is there: yes\n")


def test_moved_mail_is_found_and_deleted_mail_is_missing(account: Account) -> None:
    account.doveadm("mailbox", "create", "Trash")
    account.doveadm("move", "Trash", "mailbox", "INBOX", "uid", "2")
    ran = account.verify()
    assert (ran.code, found(ran)) == (ExitCode.OK, {"identical": 8, "rewritten": 2, "moved": 1})
    assert (ran.json["moved_to"], ran.json["remarks"]) == ({"Trash": 1}, [])
    account.doveadm("expunge", "mailbox", "INBOX", "uid", "3")
    ran = account.verify("--report", account.home / "report.json")
    assert (ran.code, found(ran)) == (
        ExitCode.DIFFERENT,
        {"identical": 7, "rewritten": 2, "moved": 1, "missing": 1},
    )
    assert json.loads((account.home / "report.json").read_text()) == ran.json
    (problem,) = ran.json["problems"]
    assert (problem["finding"], problem["folder"], problem["uid"]) == ("missing", "INBOX", 3)


def test_a_folder_that_its_owner_renamed_is_found_and_a_deleted_one_is_missing(
    tmp_path: Path, dovecot: Dovecot
) -> None:
    account = Account(tmp_path, dovecot, "--into", "Work/Old")
    account.doveadm("mailbox", "rename", "Work/Old", "Job")
    ran = account.verify()
    assert (ran.code, found(ran), ran.json["moved_to"]) == (ExitCode.OK, {"moved": 11}, {"Job": 11})
    account.doveadm("mailbox", "delete", "Job")
    ran = account.verify()
    assert (ran.code, found(ran)) == (ExitCode.DIFFERENT, {"missing": 11}), ran.out + ran.err
    assert "Work/Old is not there any more: renamed, or deleted" in ran.json["remarks"]


def test_a_new_uidvalidity_is_compared_by_octets(account: Account) -> None:
    account.doveadm("mailbox", "update", "--uid-validity", "123456", "INBOX")
    ran = account.verify()
    assert (ran.code, found(ran)) == (ExitCode.OK, {"identical": 9, "rewritten": 2}), ran.out + ran.err
    assert any("new UIDVALIDITY" in remark for remark in ran.json["remarks"])


def test_a_target_without_a_journal_is_one_clear_line(account: Account) -> None:
    other = account.target.replace(account.user, account.dovecot.user())
    ran = run(account.home, "verify", other)
    assert (ran.code, ran.out, ran.err.count("\n")) == (ExitCode.USAGE, "", 1)
    assert "no journal of" in ran.err


@pytest.mark.parametrize(("kind", "changes"), [("Cyrus", {"8-bit header": 1}), ("Courier", {"line ends": 1})])
def test_other_servers_are_understood_too(
    tmp_path: Path, server_like: ServerFactory, kind: str, changes: dict[str, int]
) -> None:
    server = server_like(kind)
    user = server.user()
    source, target = tmp_path / "old.mbox", f"imap://{user}@{server.imap(net.Transport.CLEAR)}"
    source.write_bytes(mbox(*PLAIN, *(octets for octets in ODD if b"\0" not in octets)))
    assert run(tmp_path, "migrate", source, target, "--into", "Work").code == ExitCode.OK
    ran = run(tmp_path, "verify", source, target, "--full", "--json")
    assert (ran.code, ran.json["rewritten"]) == (ExitCode.OK, changes), ran.out + ran.err
    with server.client(user) as client:
        (folder,) = (name for _, _, name in client.list_folders() if name.endswith("Work"))
        client.select_folder(folder)
        client.copy([1], "INBOX")
        client.delete_messages([1, 2])
        client.expunge()
    ran = run(tmp_path, "verify", target, "--json")
    assert (ran.code, ran.json["moved_to"]) == (ExitCode.DIFFERENT, {"INBOX": 1}), ran.out + ran.err
    assert [problem["uid"] for problem in ran.json["problems"]] == [2]
