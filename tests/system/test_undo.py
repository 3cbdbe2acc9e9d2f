"""Undo on real servers, by the program itself."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from imapclient import IMAPClient

from pop2imap import net
from pop2imap.errors import ExitCode
from tests.conftest import ServerFactory
from tests.servers.server import Server
from tests.system.program import Ran, environment, run
from tests.system.test_verify import PLAIN, mbox

RULES = """
version = 1
[[rule]]
when = { subject = "1" }
then = { folder = "Old/Work/2020" }
"""
OTHERS = b"From: carol@example.org\r\nSubject: other\r\n\r\nother\r\n"


class Account:
    """An mbox that was moved to an account that had mail before."""

    def __init__(self, home: Path, server: Server) -> None:
        self.home, self.server, self.user = home, server, server.user()
        self.source, self.target = home / "old.mbox", f"imap://{self.user}@{server.imap(net.Transport.CLEAR)}"
        self.source.write_bytes(mbox(*PLAIN))
        (home / "rules.toml").write_text(RULES)
        with self.client() as client:
            client.append("INBOX", OTHERS, (b"\\Deleted",))
            client.append("INBOX", OTHERS)
        assert self.migrate()["counts"]["stored"] == len(PLAIN)

    def client(self) -> AbstractContextManager[IMAPClient]:
        return self.server.client(self.user)

    def migrate(self) -> dict[str, dict[str, int]]:
        ran = run(self.home, "migrate", self.source, self.target, "--rules", "rules.toml", "--json")
        assert ran.code == ExitCode.OK, ran.out + ran.err
        return ran.json

    def undo(self, *arguments: str) -> Ran:
        return run(self.home, "undo", self.target, *arguments)

    def held(self) -> dict[str, list[int]]:
        """The UIDs in each folder, by its last level."""
        with self.client() as client:
            found = {}
            for _, delimiter, name in client.list_folders():
                client.select_folder(name, readonly=True)
                found[name.rpartition(delimiter.decode())[2]] = sorted(client.search())
            return found

    def subscribed(self) -> set[str]:
        with self.client() as client:
            return {name for _, _, name in client.list_sub_folders()}


@pytest.fixture(params=["Dovecot", "Cyrus", "Courier"])
def account(request: pytest.FixtureRequest, tmp_path: Path, server_like: ServerFactory) -> Account:
    return Account(tmp_path, server_like(request.param))


def test_what_was_stored_goes_with_the_folders_that_were_made(account: Account) -> None:
    assert account.held()["2020"] == [1]
    foreseen = account.undo("--dry-run", "--json")
    assert (foreseen.code, foreseen.json["dry_run"]) == (ExitCode.OK, True), foreseen.out + foreseen.err
    ran = account.undo("--yes", "--json")
    assert ran.code == ExitCode.OK, ran.out + ran.err
    assert foreseen.json["counts"] == ran.json["counts"]
    assert {word: number for word, number in ran.json["counts"].items() if number} == {
        "copies": len(PLAIN),
        "removed": len(PLAIN),
    }
    assert [len(name.split("2020")) for name in ran.json["removed_folders"]] == [2, 1, 1], "the lowest first"
    held = account.held()
    assert held["INBOX"] == [1, 2]
    assert not {"Old", "Work", "2020"} & set(held)
    assert not any(level in name for name in account.subscribed() for level in ("Old", "Work", "2020"))
    again = account.undo("--yes", "--json")
    assert (again.code, again.json["counts"]["copies"]) == (ExitCode.OK, 0)
    assert account.migrate()["counts"]["stored"] == len(PLAIN)
    assert account.held()["2020"] == [1]


def test_what_its_owner_has_touched_stays(account: Account) -> None:
    with account.client() as client:
        client.select_folder("INBOX")
        client.copy([3], next(name for _, _, name in client.list_folders() if name.endswith("2020")))
        client.delete_messages([4])
        client.uid_expunge([4])
    ran = account.undo("--yes", "--json")
    assert ran.code == ExitCode.INCOMPLETE, ran.out + ran.err
    assert ran.json["counts"]["removed"] == len(PLAIN) - 1
    assert [(one["outcome"], one["uid"]) for one in ran.json["stayed"]] == [("gone", 4)]
    assert account.held()["2020"] == [2], "the copy is the owner's, and so is the folder by now"
    assert len(ran.json["kept_folders"]) == 3
    assert account.held()["INBOX"] == [1, 2]


# what only needs one server


@pytest.fixture
def moved(tmp_path: Path, server_like: ServerFactory) -> Account:
    return Account(tmp_path, server_like("Dovecot"))


def test_nothing_goes_unless_somebody_agrees(moved: Account) -> None:
    before = moved.held()
    ran = moved.undo()
    assert ran.code == ExitCode.NOT_FINISHED
    assert "8 to be removed" in ran.out
    assert ran.err.splitlines()[-1].startswith("pop2imap: nothing was removed")
    ran = moved.undo("--json")
    assert (ran.code, ran.json["exit_code"], ran.json["dry_run"]) == (75, 75, True)
    assert moved.held() == before


@pytest.mark.parametrize(("answer", "code"), [("y", ExitCode.OK), ("n", ExitCode.NOT_FINISHED)])
def test_a_person_is_asked(moved: Account, answer: str, code: ExitCode) -> None:
    ours, its = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "pop2imap", "undo", moved.target],
        cwd=moved.home,
        env=environment(moved.home),
        stdin=its,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        os.close(its)
        os.write(ours, f"{answer}\n".encode())
        out, err = process.communicate(timeout=100)
    os.close(ours)
    assert process.returncode == code, out + err
    assert "Remove 8 messages" in err
    assert ("8 removed" in out) is (code is ExitCode.OK)


def test_one_run_is_undone_where_no_target_is_named(moved: Account) -> None:
    moved.source.write_bytes(mbox(*PLAIN, b"From: dave@example.org\nSubject: new\n\nnew\n"))
    moved.migrate()
    runs = run(moved.home, "status", "--json").json["targets"][0]["runs"]
    assert [one["number"] for one in runs] == [2, 1]
    ran = run(moved.home, "undo", "--run", "2", "--yes", "--json")
    assert (ran.code, ran.json["run"], ran.json["counts"]["removed"]) == (ExitCode.OK, 2, 1)
    assert "it undid 1 copies" in run(moved.home, "status").out
    for wrong in (("--run", "99", "--yes"), (str(moved.source),)):
        assert moved.undo(*wrong).code == ExitCode.USAGE
