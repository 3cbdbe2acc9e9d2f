"""Servers and mail that mean ill, met by the whole program.

What they say never moves a cursor or forges a line, a password that they repeat is shown nowhere, and nothing
of a run can be read by other people.
"""

from __future__ import annotations

import base64
import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.imap_server import PASSWORD, USER, Box, ImapAccount, ImapServer
from tests.fakes.pop3_server import Maildrop, Pop3Server
from tests.system.program import Ran, run

SECRET = "hunter2-never-shown"
SASL = base64.b64encode(f"\0{USER}\0{SECRET}".encode())
EVIL = b"\x1b]0;owned\x07\x9b2J\xe2\x80\xaefdp\r\xc2\x85"
ECHO = EVIL + SECRET.encode() + b" " + SASL

HOSTILE = (
    b"From: " + EVIL.replace(b"\r", b"") + b" <bob@example.org>\r\n"
    b"Subject: =?utf-8?q?=1b[2J=0d=0aFAKE=e2=80=ae?=\r\n"
    b'List-Id: "x" <../../~\x1b[31m\xe2\x80\xae"%*.example.org>\r\n'
    b"Date: Mon, 04 May 2020 10:00:00 +0000\r\n\r\nbody\r\n"
)
RULES = 'version = 1\n[[rule]]\nname = "lists"\nwhen = { list-id = "*" }\nthen = { folder = "L/{list-id}" }\n'

ACTS = re.compile("[\0-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""What acts on a terminal, and on readers."""


@pytest.fixture
def home() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="p2i-hostile-"))
    (path / "rules.toml").write_text(RULES)
    yield path
    shutil.rmtree(path)


def migrated(home: Path, drop: Maildrop, account: ImapAccount, *more: str) -> Ran:
    """A migration with everything that may be written switched on. ``SECRET`` is the password of the source."""
    drop.users = {USER: SECRET}
    reports = [word for suffix in ("json", "csv", "txt") for word in ("--report", f"report.{suffix}")]
    written = ["--log-file", "run.log", "-v", "--rules", "rules.toml", "--fence", "0", *reports]
    with ImapServer(account) as target, Pop3Server(drop) as source:
        ends = [f"pop3://{USER}@127.0.0.1:{source.port}", f"imap://{USER}@127.0.0.1:{target.port}"]
        return run(
            home,
            "migrate",
            *ends,
            *written,
            *more,
            POP2IMAP_SOURCE_PASSWORD=SECRET,
            POP2IMAP_TARGET_PASSWORD=PASSWORD,
        )


def check_harmless(home: Path, ran: Ran) -> None:
    shown = {"standard output": ran.out, "standard error": ran.err}
    for path in home.rglob("*"):
        if path.is_file() and path.name != "rules.toml":
            assert path.stat().st_mode & 0o077 == 0, f"others can read {path}"
            shown[path.name] = path.read_bytes().decode("utf-8", "surrogateescape")
    for name, text in shown.items():
        assert SECRET not in text, name
        assert SASL.decode() not in text, name
        if not name.startswith(("journal.db", "report.csv")):  # a CSV has CRLF
            found = ACTS.search(text)
            assert not found, f"{name}: {text[max(0, found.start() - 60) : found.end() + 20]!r}"
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("more", [[], ["--json"]])
@pytest.mark.parametrize(
    ("answers", "code"),
    [
        ({"PASS": b"-ERR [AUTH] wrong password: " + ECHO + b"\r\n"}, 77),
        ({"LIST": b"-ERR " + ECHO + b"\r\n"}, 69),
        ({"UIDL": b"+OK\r\nwhat " + ECHO + b"\r\n.\r\n"}, 0),
        ({"RETR 1": b"-ERR [SYS/PERM] " + ECHO + b"\r\n"}, 3),
        ({"STAT": ECHO + b"\r\n"}, 69),
        ({"QUIT": b"-ERR " + ECHO + b"\r\n"}, 0),
    ],
)  # fmt: skip
def test_a_pop3_server_that_repeats_the_password(
    home: Path, answers: dict[str, bytes], code: int, more: list[str]
) -> None:
    ran = migrated(home, Maildrop([HOSTILE, HOSTILE + b"2\r\n"], answers=dict(answers)), ImapAccount(), *more)
    assert ran.code == code, ran.err
    check_harmless(home, ran)


@pytest.mark.parametrize("more", [[], ["--json"]])
@pytest.mark.parametrize(
    ("account", "code"),
    [
        (ImapAccount(greeting=b"* OK " + EVIL.replace(b"\r", b"") + b"\r\n"), 0),
        (ImapAccount(answers={"AUTHENTICATE": b"+ \r\n{tag} NO " + ECHO + b"\r\n"}), 77),
        (ImapAccount(answers={"LIST": b"{tag} NO " + ECHO + b"\r\n"}), 69),
        (ImapAccount(answers={"CREATE": b"{tag} NO " + ECHO + b"\r\n"}), 3),
        (ImapAccount(answers={"STATUS": b"* BYE " + ECHO + b"\r\n"}), 75),
        (ImapAccount(verdict=lambda messages: b"{tag} NO " + ECHO + b"\r\n"), 3),
        (ImapAccount(boxes={"INBOX": Box(), "\x1b[2J\u202e": Box(attributes="\\Sent")}), 0),
        (ImapAccount(prefix="\x1b[2J", boxes={"INBOX": Box()}), 3),
    ],
)  # fmt: skip
def test_an_imap_server_that_repeats_the_password_or_names_folders_with_escapes(
    home: Path, account: ImapAccount, code: int, more: list[str]
) -> None:
    ran = migrated(home, Maildrop([HOSTILE]), account, *more)
    assert ran.code == code, ran.err
    check_harmless(home, ran)


def test_a_folder_named_by_mail_is_harmless_and_within_its_level(home: Path) -> None:
    account = ImapAccount()
    ran = migrated(home, Maildrop([HOSTILE]), account, "--json")
    assert ran.code == 0, ran.err
    (name,) = (folder["name"] for folder in json.loads(ran.out)["folders"])
    assert name.startswith("L/")
    assert name.count("/") == 1
    assert not set(name) & set('%*"\\')
    assert ACTS.search(name) is None
