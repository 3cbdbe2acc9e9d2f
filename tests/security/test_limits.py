"""Servers without measure: whatever they send in answer to whatever command, a run comes to an end, with an error of
ours or without one, and within bounds of memory and disk.

The limits themselves stand in ``docs/security.md``, and a test here holds the page to the code.
"""

from __future__ import annotations

import json
import re
import tracemalloc
from collections.abc import Iterable
from itertools import repeat
from pathlib import Path

import pytest

from pop2imap import budgets, net, octets, sizes
from pop2imap.credentials import Secret
from pop2imap.errors import ExitCode, ProtocolError
from pop2imap.headers import MAX_BLOCK, MAX_FIELDS
from pop2imap.migrate import TRIES
from pop2imap.rules.engine import MAX_FOLDERS
from pop2imap.rules.folders import MAX_LEVEL_LENGTH, MAX_LEVELS, MAX_NAME_OCTETS
from pop2imap.rules.values import REGEX_SEES
from pop2imap.sources import pop3_fetch, pop3_wire
from pop2imap.sources.pop3_capabilities import Capabilities
from pop2imap.target import answers, wire
from pop2imap.target.session import Session
from tests.fakes.imap_server import PASSWORD, USER, Box, ImapAccount, ImapServer, Mail
from tests.fakes.pop3_server import Maildrop, endless
from tests.security.conftest import Migrate

ROOT = Path(__file__).parents[2]

MESSAGE = b"Subject: hello\r\nDate: Mon, 04 May 2020 10:00:00 +0000\r\n\r\nhello\r\n"

ENDED = {
    ExitCode.OK,
    ExitCode.INCOMPLETE,
    ExitCode.DATA,
    ExitCode.UNAVAILABLE,
    ExitCode.NOT_FINISHED,
    ExitCode.AUTHENTICATION,
}
"""How a run may end whose servers are out of their minds."""


# --- POP3

POP3_SAYS: dict[str, bytes | Iterable[bytes]] = {
    "nothing": b"",
    "an empty line": b"\r\n",
    "a line without end": repeat(b"+OK" + b"x" * 65536),
    "lines without end": endless(b"1 1\r\n" * 10_000),
    "a message without end": endless(b"x" * 65536),
    "octets": bytes(range(256)) * 4,
    "NUL": b"+OK\0\0\r\n\0\r\n.\r\n",
    "a challenge": b"+ \r\n",
    "challenges without end": endless(b"+ \r\n" * 1000, first=b""),
    "two answers": b"+OK\r\n.\r\n+OK\r\n.\r\n",
    "escapes": b"-ERR \x1b]0;owned\x07\xe2\x80\xae\r\n",
    "a code": b"-ERR [" + b"A" * 60_000 + b"] no\r\n",
    "numbers": b"+OK " + b"9" * 60_000 + b"\r\n.\r\n",
    "IMAP": b"* OK ready\r\nA1 OK done\r\n",
}


@pytest.fixture
def low_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is endless shows at a few megabytes."""
    monkeypatch.setattr(pop3_fetch, "MESSAGE_LIMIT", 4 << 20)
    monkeypatch.setattr(pop3_wire, "LIST_LIMIT", 50_000)
    monkeypatch.setattr(wire, "UNTAGGED_LIMIT", 1 << 20)
    monkeypatch.setattr(answers, "UNTAGGED_LIMIT", 1 << 20)
    monkeypatch.setattr(wire, "MESSAGE_LIMIT", 4 << 20)


@pytest.mark.usefixtures("low_limits")
@pytest.mark.parametrize("command", ["CAPA", "USER", "PASS", "STAT", "LIST", "UIDL", "RETR", "NOOP", "QUIT"])
@pytest.mark.parametrize("says", sorted(POP3_SAYS))
def test_a_pop3_server_may_say_anything_to_anything(migrate: Migrate, command: str, says: str) -> None:
    said = POP3_SAYS[says]
    drop = Maildrop([MESSAGE], answers={command: said or b"+"}, cut={} if said else dict.fromkeys(_LINES, 0))
    account = ImapAccount()
    ran = migrate(drop, account, "--json")
    assert ran.code in ENDED, ran.err
    assert len(account.boxes["INBOX"].mail) <= 1


_LINES = ("CAPA", f"USER {USER}", f"PASS {PASSWORD}", "STAT", "LIST", "UIDL", "RETR 1", "NOOP", "QUIT")


@pytest.mark.parametrize("greeting", [
    b"\r\n", b"+OK" + b"x" * 9000, b"+OK" + b"x" * 9000 + b"\r\n", b"-ERR [SYS/PERM] no\r\n", b"-ERR\r\n", b"+ \r\n",
    b"\0\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", bytes(range(256)),
])  # fmt: skip
def test_a_pop3_greeting_may_be_anything(migrate: Migrate, greeting: bytes) -> None:
    ran = migrate(Maildrop([MESSAGE], greeting=greeting + b"\n"), ImapAccount())
    assert ran.code in {ExitCode.UNAVAILABLE, ExitCode.NOT_FINISHED}, ran.err


@pytest.mark.parametrize("size", [
    b"-1", b"0", b"1.5", b"1e9", b"9999999999999999999", b"9223372036854775807", b"99999999999999999999", b"x", b"",
])  # fmt: skip
@pytest.mark.parametrize("gives", [True, False])
def test_a_listed_size_is_never_believed_and_never_an_error(
    migrate: Migrate, size: bytes, gives: bool
) -> None:
    drop = Maildrop([MESSAGE, MESSAGE + b"2\r\n"], answers={
        "STAT": b"+OK 2 " + size + b"\r\n", "LIST": b"+OK\r\n1 " + size + b"\r\n2 " + size + b"\r\n.\r\n",
    })  # fmt: skip
    if not gives:
        drop.answers["RETR"] = b"-ERR not today\r\n"
    account = ImapAccount()
    ran = migrate(drop, account, "--json", runs=2)  # the second adds up what the first one wrote down
    assert ran.code == (ExitCode.OK if gives else ExitCode.INCOMPLETE), ran.err
    assert len(account.boxes["INBOX"].mail) == (2 if gives else 0)


@pytest.mark.parametrize("name", [
    b"x" * 71, b"x" * 255, b"x" * 256, b"x" * 60_000, b"a b", b"", b"\x1b[2J", b"\xff", b"\0", b"../../etc",
    b"sha256:x", b"position:1", b"'; DROP TABLE messages; --",
])  # fmt: skip
def test_a_name_is_stored_as_it_is_or_not_at_all(migrate: Migrate, name: bytes) -> None:
    drop = Maildrop(
        [MESSAGE, MESSAGE + b"2\r\n"], answers={"UIDL": b"+OK\r\n1 " + name + b"\r\n2 ok\r\n.\r\n"}
    )
    account = ImapAccount()
    assert migrate(drop, account, runs=2).code == ExitCode.OK
    assert account.octets() == drop.mail


def test_capabilities_take_no_more_memory_than_their_lines() -> None:
    lines = [b"X " * 32_000] * 100
    tracemalloc.start()
    try:
        known = Capabilities.parse(lines)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    assert "X" in known


def test_a_message_past_the_size_wanted_leaves_nothing_on_the_disk(migrate: Migrate, home: Path) -> None:
    drop = Maildrop([MESSAGE, MESSAGE + b"x" * (3 << 20), MESSAGE + b"3\r\n"])
    account = ImapAccount()
    ran = migrate(drop, account, "--json", "--max-message-size", "2M")
    assert ran.code == ExitCode.INCOMPLETE
    (problem,) = json.loads(ran.out)["problems"]
    assert problem["account"] == "unreadable"
    assert "--max-message-size" in problem["reason"]
    assert len(account.octets()) == 2
    assert migrate(drop, account).code == ExitCode.OK
    assert len(account.octets()) == 3


def test_a_server_that_ends_each_session_gets_some_and_no_more(
    migrate: Migrate, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions = []
    opened = net.Connection.__init__

    def counted(connection: net.Connection, server: net.Server) -> None:
        sessions.append(server)
        opened(connection, server)

    monkeypatch.setattr(net.Connection, "__init__", counted)
    ran = migrate(Maildrop([MESSAGE], cut={"STAT": 1}), ImapAccount())
    assert ran.code == ExitCode.NOT_FINISHED
    assert len(sessions) == 2 * TRIES, "of each side"


# --- IMAP

COMMANDS = (
    "CAPABILITY", "AUTHENTICATE", "ID", "NAMESPACE", "LIST", "LSUB", "CREATE", "SUBSCRIBE", "SELECT", "EXAMINE",
    "STATUS", "UNSELECT", "UID FETCH",
)  # fmt: skip

IMAP_SAYS = {
    "nothing": b"cut",
    "an empty line": b"\r\n",
    "a line without end": b"* OK " + b"x" * (2 << 20) + b"\r\n",
    "a literal of terabytes": b"* LIST () \"/\" {99999999999999}\r\n",
    "a literal of gigabytes": b"* 1 FETCH (BODY[] {4294967295}\r\n",
    "literals without end": (b"* LIST () \"/\" {100000}\r\n" + b"x" * 100_000 + b"\r\n") * 20,
    "untagged answers without end": b"* 1 EXISTS\r\n" * 100_000,
    "go-aheads without end": b"+ \r\n" * 300_000,
    "farewells without end": b"* BYE \x1b[2J\r\n" * 100_000,
    "octets": bytes(range(256)) * 4 + b"\r\n",
    "another's answer": b"A0 OK [APPENDUID 7 1:4294967295] done\r\n",
    "parentheses": b"* LIST " + b"(" * 100_000 + b"\r\n{tag} OK done\r\n",
    "quotes": b'* LIST () "/" "' + b"\\" * 100_001 + b'"\r\n{tag} OK done\r\n',
    "what nobody asked for": (
        b'* LIST () NIL ""\r\n* STATUS x ()\r\n* 1 FETCH ()\r\n* NAMESPACE NIL\r\n* SEARCH 1\r\n{tag} OK\r\n'
    ),
    "numbers": b'* STATUS "INBOX" (MESSAGES 99999999999999999999 UIDNEXT -1 UIDVALIDITY 1e9)\r\n{tag} OK done\r\n',
    "codes": (
        b"* OK [UIDVALIDITY \xff] x\r\n* OK [UIDNEXT 99999999999999999999] x\r\n"
        b"* OK [PERMANENTFLAGS (\xff\0)]\r\n{tag} OK\r\n"
    ),
    "no": b"{tag} NO [TRYCREATE] \x1b]0;owned\x07\r\n",
    "bad": b"{tag} BAD " + b"x" * 100_000 + b"\r\n",
}  # fmt: skip


@pytest.mark.usefixtures("low_limits")
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("says", sorted(IMAP_SAYS))
def test_an_imap_server_may_say_anything_to_anything(migrate: Migrate, command: str, says: str) -> None:
    held = Box(mail={1: Mail(b"Subject: another\r\n\r\n"), 2: Mail(MESSAGE)}, uidnext=3)
    account = ImapAccount(boxes={"INBOX": held}, answers={command: IMAP_SAYS[says]})
    ran = migrate(Maildrop([MESSAGE]), account, "--json", "--into", "INBOX" if command != "CREATE" else "New")
    assert ran.code in ENDED, ran.err
    assert sum(MESSAGE in account.octets(box) for box in account.boxes) <= 2


@pytest.mark.parametrize("greeting", [
    b"\r\n", b"* OK " + b"x" * 9000 + b"\r\n", b"* BYE [REFERRAL imap://x/] no\r\n", b"* BAD\r\n", b"+OK POP3\r\n",
    b"\0\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b"* OK [CAPABILITY " + b"X " * 3000 + b"] hi\r\n",
    b"* LIST {9999999999}\r\n", b"cut",
])  # fmt: skip
def test_an_imap_greeting_may_be_anything(migrate: Migrate, greeting: bytes) -> None:
    ran = migrate(Maildrop([MESSAGE]), ImapAccount(greeting=greeting))
    assert ran.code in ENDED, ran.err


def test_a_login_without_end_sends_the_password_once() -> None:
    account = ImapAccount(answers={"AUTHENTICATE": b"+ \r\n" * 1000})
    with ImapServer(account) as server:
        session = Session(server.address())
        with pytest.raises(ProtocolError, match="on and on"):
            session.login(USER, Secret(PASSWORD))
        session.drop()
        (log,) = server.wait()
    assert log.raw.count(b"AGFsaWNlAHNlY3JldA==") == 1


@pytest.mark.parametrize(
    "uidvalidity", [b"0", b"4294967296", b"9223372036854775808", b"99999999999999999999", b"-1", b"x"]
)
def test_a_uidvalidity_that_is_none_is_not_believed(migrate: Migrate, uidvalidity: bytes) -> None:
    status = b'* STATUS "INBOX" (MESSAGES 0 UIDNEXT 1 UIDVALIDITY ' + uidvalidity + b")\r\n{tag} OK done\r\n"
    account = ImapAccount(answers={"STATUS": status})
    assert migrate(Maildrop([MESSAGE]), account, runs=2).code == ExitCode.OK
    assert account.octets() == [MESSAGE]


def test_a_uidnext_that_is_none_does_not_make_a_survey_endless() -> None:
    account = ImapAccount(boxes={"INBOX": Box(mail={n: Mail(b"x") for n in range(1, 6000)}, uidnext=6000)})
    account.answers["EXAMINE"] = (
        b"* 5999 EXISTS\r\n* OK [UIDVALIDITY 7]\r\n* OK [UIDNEXT 9999999999999999999]\r\n{tag} OK [READ-ONLY]\r\n"
    )
    with ImapServer(account) as server:
        session = Session(server.address())
        session.login(USER, Secret(PASSWORD))
        selected = session.ask(session.select("INBOX", read_only=True))
        assert selected.uidnext is None
        session.close()


@pytest.mark.parametrize("code", [
    "[APPENDUID 7 1:4294967295] ", "[APPENDUID 7 4294967295:1] ", "[APPENDUID 8 1,2] ", "[APPENDUID 7 2,1] ",
    "[APPENDUID 7 1,1] ", "[APPENDUID 7 99999999999] ", "[APPENDUID] ", "[APPENDUID 7 1:2,3:4,5:6] ",
    "[APPENDUID 7 *] ", "[COPYUID 7 1 1] ", "[APPENDUID 99999999999999999999 1,2] ",
])  # fmt: skip
def test_a_server_that_lies_about_uids_gets_every_message_once(migrate: Migrate, code: str) -> None:
    drop = Maildrop([MESSAGE + b"%d\r\n" % n for n in range(2)])
    account = ImapAccount(appenduid=lambda uidvalidity, uids: code)
    assert migrate(drop, account, "--assume-empty", runs=3).code == ExitCode.OK
    assert account.octets() == drop.mail


def test_a_server_whose_uidvalidity_changes_all_the_time_gets_no_message_twice(migrate: Migrate) -> None:
    box = Box()

    def renumber(messages: list[bytes]) -> None:
        box.uidvalidity += 1

    drop = Maildrop([MESSAGE + b"%d\r\n" % n for n in range(3)])
    account = ImapAccount(boxes={"INBOX": box}, verdict=renumber)
    assert migrate(drop, account, runs=3).code in ENDED
    assert sorted(account.octets()) == sorted(drop.mail)


def test_messages_that_were_not_asked_for_are_not_taken_for_those_that_were(migrate: Migrate) -> None:
    """The look for mail that is there already, answered with every UID there could be."""
    account = ImapAccount(boxes={"INBOX": Box(mail={1: Mail(b"x" * len(MESSAGE))}, uidnext=2)})
    body = b"{%d}\r\n" % len(MESSAGE) + MESSAGE
    account.answers["UID FETCH 1 (UID BODY.PEEK[])"] = (
        b"* 9 FETCH (UID 9 BODY[] " + body + b")\r\n{tag} OK done\r\n"
    )
    drop = Maildrop([MESSAGE])
    assert migrate(drop, account).code == ExitCode.OK
    assert account.octets().count(MESSAGE) == 1


# --- both


def test_what_is_on_the_way_is_bounded_whatever_the_sizes() -> None:
    assert octets.SPOOL_AT < budgets.MEMORY_BUDGET < budgets.SPOOL_BUDGET < sizes.MAX_MESSAGE


def test_the_page_on_security_tells_the_limits_that_there_are() -> None:
    page = (ROOT / "docs" / "security.md").read_text("utf-8")
    told = dict(re.findall(r"^\| ([^|]+?) \| ([^|]+?) \|$", page, re.MULTILINE))
    kib, mib, gib = 1 << 10, 1 << 20, 1 << 30
    assert wire.GREETING_LIMIT == pop3_wire.GREETING_LIMIT
    expected = {
        "a greeting": f"{wire.GREETING_LIMIT // kib} KiB",
        "a line of a POP3 reply or list": f"{pop3_wire.LINE_LIMIT // kib} KiB",
        "lines of a POP3 list": f"{pop3_wire.LIST_LIMIT:,}",
        "a line of an IMAP answer": f"{answers.LINE_LIMIT // mib} MiB",
        "an IMAP literal that is no message": f"{answers.LITERAL_LIMIT // mib} MiB",
        "one whole IMAP answer, without messages": f"{answers.UNTAGGED_LIMIT // mib} MiB",
        "a message that is read from a source": f"{sizes.MAX_MESSAGE // gib} GiB; `--max-message-size`",
        "messages on their way": (
            f"{budgets.MEMORY_BUDGET // mib} MiB in memory, {budgets.SPOOL_BUDGET // mib} MiB on disk"
        ),
        "time to connect to one address": f"{net.Timeouts().connect:.0f} s",
        "silence": f"{net.Timeouts().idle:.0f} s",
        "speed within a reply": f"{net.SLOWEST // kib} KiB/s, over {net.SLOW_FOR:.0f} s",
        "sessions in a row that bring nothing": str(TRIES),
        "a header that rules look at": f"{MAX_BLOCK // mib} MiB, {MAX_FIELDS:,} fields",
        "text that a regular expression sees": f"{REGEX_SEES:,} characters",
        "folders that mail may name": f"{MAX_FOLDERS}, over all runs; `max-folders`",
        "a folder name made from mail": (
            f"{MAX_LEVEL_LENGTH} characters a level, {MAX_LEVELS} levels, {MAX_NAME_OCTETS} octets"
        ),
    }  # fmt: skip
    assert {name: told.get(name) for name in expected} == expected
