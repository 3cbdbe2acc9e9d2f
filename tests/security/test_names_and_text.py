"""What mail, servers and files say of themselves: it names no file, breaks out of no folder, and does nothing to a
terminal, a spreadsheet or a log."""

from __future__ import annotations

import csv
import json
import os
import re
import stat
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pop2imap.errors import FolderError
from pop2imap.rules.folders import MAX_LEVEL_LENGTH, MAX_NAME_OCTETS, Template, name_octets
from pop2imap.target.folders import Listed, Names
from pop2imap.target.session import NAME_OCTETS, encoded
from tests.fakes.imap_server import PASSWORD, USER, Box, ImapAccount, ImapServer
from tests.fakes.pop3_server import Maildrop, Pop3Server
from tests.fuzz import bounded
from tests.security.conftest import Migrate, Program
from tests.system.program import run

ACTS = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""What acts on a terminal, and on readers."""

EVIL = "\x1b]0;owned\x07\x9b2J\u202eexe.\u2066\r\x85"

RULES = """version = 1
max-folders = {most}
[[rule]]
name = "Lists"
when = {{ list-id = "*" }}
then = {{ folder = "{folder}" }}
"""

HOSTILE = [
    "../../../etc/passwd", "..", ".", "~root", "#news.x", "%", "*", "a%b*c", '"; CREATE x', "a\\b", "INBOX", "inbox",
    "INBOX.Sent", "INBOX/Sent", "inbox.a.b.c", "INBOX\\a\\b", "INBOX^a^b", "Sent",
    "a.b.c.d.e.f.g.h.i.j.k.l.m", "a/b/c/d/e", "x" * 500, "ü" * 300, "\u202egnp.exe",
    "a\x00b", "a\x1b[2Jb", "\u200b", "{list-id}", "&AAA-", "a b", "-", "\ufeff", "c:\\x", "\U0001f4a9" * 100, "a^b|c!d",
]  # fmt: skip


def listed_as(name: str, number: int) -> bytes:
    return f"List-Id: <{name}>\r\nSubject: {number}\r\nDate: Mon, 04 May 2020 10:00:00 +0000\r\n\r\n".encode(
        "utf-8", "surrogateescape"
    )


# --- folder names


@pytest.mark.parametrize(
    ("prefix", "delimiter"),
    [("", "/"), ("", "."), ("INBOX.", "."), ("", "\\"), ("INBOX/", "/"), ("", "^")],
)
@pytest.mark.parametrize("folder", ["Lists/{list-id}", "{list-id}", "x{list-id}y"])
def test_a_folder_that_mail_names_is_one_level_of_the_server_and_nothing_else(
    migrate: Migrate, home: Path, prefix: str, delimiter: str, folder: str
) -> None:
    (home / "rules.toml").write_text(RULES.format(most=200, folder=folder))
    quoted = "\\\\" if delimiter == "\\" else delimiter
    account = ImapAccount(
        prefix=prefix, delimiter=quoted, capabilities="IMAP4rev1 AUTH=PLAIN NAMESPACE UIDPLUS"
    )
    drop = Maildrop([listed_as(name, number) for number, name in enumerate(HOSTILE)])
    ran = migrate(drop, account, "--rules", "rules.toml", "--json")
    assert ran.code == 0, ran.err
    assert sum(len(box.mail) for box in account.boxes.values()) == len(HOSTILE)
    levels = 1 + folder.count("/")
    for name in set(account.boxes) - {"INBOX"}:
        decoded = name.removeprefix(prefix)
        assert name.startswith(prefix)
        assert decoded.count(delimiter) <= levels - 1, name
        assert not set(name) & set('%*"\\') or delimiter == "\\"
        assert name.isascii()
        assert name.isprintable()
        assert not re.match(r"[~#]", decoded)
        assert "." not in decoded.split(delimiter)
        assert ".." not in decoded.split(delimiter)
        assert len(name) <= NAME_OCTETS


@bounded(300)
@example("x" * 500, ".", "{list-id}/{from}/{from-domain}/{source-folder}", True)
@example("inbox.a.b.c", ".", "{list-id}", True)
@given(
    st.text(max_size=300) | st.sampled_from(HOSTILE),
    st.sampled_from(["/", ".", "\\", "^", "|", "!", ":"]),
    st.sampled_from(["{list-id}", "Lists/{list-id}", "a{list-id}/b", "{list-id}/{from}"]),
    st.booleans(),
)
def test_whatever_a_value_is_it_adds_no_level(
    value: str, delimiter: str, folder: str, below_inbox: bool
) -> None:
    prefix = f"INBOX{delimiter}" if below_inbox else ""
    names = Names(prefix, delimiter, [Listed("INBOX", delimiter, frozenset())])
    made, missing = Template(folder).fill(lambda _: value)
    if missing:
        return
    assert name_octets(made) <= MAX_NAME_OCTETS
    assert all(0 < len(level) <= MAX_LEVEL_LENGTH + len(folder) for level in made.split("/"))
    spelled = names.spelled(made)
    encoded(spelled)
    assert names.levels(spelled)
    if spelled.upper() != "INBOX":
        below = spelled[len(prefix) :] if spelled.startswith(prefix) else spelled
        assert below.count(delimiter) == folder.count("/")


def test_folders_that_mail_names_are_bounded_over_all_runs(migrate: Migrate, home: Path) -> None:
    (home / "rules.toml").write_text(RULES.format(most=3, folder="Lists/{list-id}"))
    account = ImapAccount()
    drop = Maildrop()
    with ImapServer(account) as target, Pop3Server(drop) as source:
        ends = [f"pop3://{USER}@127.0.0.1:{source.port}", f"imap://{USER}@127.0.0.1:{target.port}"]
        for first in range(0, 12, 4):
            drop.mail += [listed_as(f"list{n}.example.org", n) for n in range(first, first + 4)]
            ran = run(
                home, "migrate", *ends, "--rules", "rules.toml", "--fence", "0",
                POP2IMAP_SOURCE_PASSWORD="secret", POP2IMAP_TARGET_PASSWORD=PASSWORD,
            )  # fmt: skip
            assert ran.code == 0, ran.err
        drop.mail += [listed_as("list1.example.org", 98), listed_as("new.example.org", 99)]
        planned = run(
            home, "plan", *ends, "--rules", "rules.toml", "--json",
            POP2IMAP_SOURCE_PASSWORD="secret", POP2IMAP_TARGET_PASSWORD=PASSWORD,
        )  # fmt: skip
    assert {name for name in account.boxes if "list" in name} == {
        f"Lists/list{n}.example.org" for n in range(3)
    }
    assert len(account.boxes["Lists"].mail) == 9
    foreseen = {
        folder["name"]: folder["messages"] for folder in planned.json["folders"] if folder["messages"]
    }
    assert foreseen == {"Lists/list1.example.org": 1, "Lists": 1}


@pytest.mark.parametrize("name", ["a\x00b", "a\rb", "a\nb", "\x1b", "\u202e", "\ud800"])
def test_a_folder_that_a_person_names_is_refused_rather_than_changed(name: str) -> None:
    with pytest.raises(FolderError):
        encoded(name)


# --- files


def test_no_name_of_a_file_comes_from_mail_or_from_a_server(migrate: Migrate, home: Path) -> None:
    big = b"x" * (2 << 20)
    drop = Maildrop(
        [listed_as(name, number) + big[:: max(number, 1)] for number, name in enumerate(HOSTILE[:12])],
        uids=[f"../../{number}/evil" for number in range(12)],
    )
    account = ImapAccount(boxes={"INBOX": Box(), "../evil": Box()}, greeting=b"* OK ../../evil ready\r\n")
    (home / "rules.toml").write_text(RULES.format(most=200, folder="{list-id}"))
    ran = migrate(drop, account, "--rules", "rules.toml")
    assert ran.code == 0, ran.err
    made = {path.name for path in home.rglob("*") if path.is_file()}
    assert made <= {
        "rules.toml",
        "journal.db",
        "journal.db-wal",
        "journal.db-shm",
        "lock",
        "mark",
        "digest",
        "move.toml",
    }
    assert not [path for path in home.parent.iterdir() if "evil" in path.name]
    assert list(home.rglob("spool/*")) == []


def test_whatever_the_umask_nobody_else_reads_what_a_run_leaves(home: Path) -> None:
    with ImapServer(ImapAccount()) as target, Pop3Server(Maildrop([listed_as("x", 1)])) as source:
        ran = run(
            home, "migrate", f"pop3://{USER}@127.0.0.1:{source.port}", f"imap://{USER}@127.0.0.1:{target.port}",
            "--log-file", "run.log", "--report", "r.json", "--report", "r.csv", "--report", "r.txt",
            within=("sh", "-c", 'umask 0; exec "$@"', "sh"),
            POP2IMAP_SOURCE_PASSWORD="secret", POP2IMAP_TARGET_PASSWORD=PASSWORD,
        )  # fmt: skip
    assert ran.code == 0, ran.err
    left = [path for path in home.rglob("*") if not path.is_symlink()]
    assert {"run.log", "r.json", "r.csv", "r.txt", "journal.db", "lock", "move.toml"} <= {
        path.name for path in left
    }
    open_to_others = [path for path in left if stat.S_IMODE(path.stat().st_mode) & 0o077]
    assert open_to_others == []


def test_a_file_name_cannot_act_on_a_terminal_nor_forge_a_line(program: Program, home: Path) -> None:
    name = f"a{EVIL}\nb.mbox"
    (home / name).write_bytes(b"From a@example.com Mon May  4 10:00:00 2020\nSubject: x\n\nbody\n")
    with ImapServer(ImapAccount()) as target:
        arguments = [
            "migrate",
            name,
            f"imap://{USER}@127.0.0.1:{target.port}",
            "-vv",
            "--log-file",
            "run.log",
        ]
        ran = program(*arguments, "--report", "r.txt", "--report", "r.csv", "--report", "r.json")
        assert ran.code == 0, ran.err
        shown = [
            ran.out,
            ran.err,
            *(path.read_text() for path in (home / "run.log", home / "r.txt", home / "r.json")),
        ]
        again = program("migrate", "--limit", "1", "--json")
        shown += [again.out, again.err, program("status").out, program("status", "--json").out]
        gone = program("migrate", f"{name}x", arguments[2])
        assert gone.code == 65
        shown += [gone.out, gone.err]
    for text in shown:
        assert ACTS.search(text) is None, text


@pytest.mark.parametrize(
    "subject", ['=HYPERLINK("http://x")', "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", EVIL, '"', "a,b"]
)
def test_a_csv_is_read_back_as_text_whatever_a_subject_is(migrate: Migrate, home: Path, subject: str) -> None:
    mail = (
        b"Subject: =?utf-8?q?"
        + "".join(f"={octet:02X}" for octet in subject.encode()).encode()
        + b"?=\r\n\r\nx\r\n"
    )
    account = ImapAccount(verdict=lambda messages: b"{tag} NO =1+1 \x1b[2J\r\n")
    ran = migrate(Maildrop([mail]), account, "--report", "r.csv", "--report", "r.json")
    assert ran.code == 3
    with open(home / "r.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    (row,) = [row for row in rows if row[0] == "refused" and row[6]]
    for cell in row:
        assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
        assert ACTS.search(cell) is None
    text = (home / "r.json").read_text("ascii")
    assert json.loads(text)["problems"][0]["account"] == "refused"


def test_the_state_directory_of_somebody_else_is_not_used(program: Program, home: Path) -> None:
    (home / "elsewhere").mkdir(mode=0o777)
    (home / "elsewhere").chmod(0o777)
    with ImapServer(ImapAccount()) as target, Pop3Server(Maildrop([listed_as("x", 1)])) as source:
        ends = [f"pop3://{USER}@127.0.0.1:{source.port}", f"imap://{USER}@127.0.0.1:{target.port}"]
        ran = program("migrate", *ends, "--state-dir", home / "elsewhere")
    assert ran.code == 74
    assert "everybody may write there" in ran.err
    assert os.listdir(home / "elsewhere") == []
