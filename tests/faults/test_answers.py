"""What servers say when they will not, now or for some time: obeyed within the run, or told with the time of day."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import pytest

from pop2imap.errors import ConnectionLost, ExitCode, ServerBusy
from pop2imap.migrate import LONGEST_HINT, SESSIONS_OF_SLOW, TRIES
from pop2imap.opening import GHOST
from pop2imap.report import Report
from tests.fakes.imap_server import CAPABILITIES
from tests.faults.bench import ScriptedBench
from tests.system.difference import Row

SINGLE = CAPABILITIES.replace("MULTIAPPEND ", "")
WAITING = SINGLE.replace("LITERAL+ ", "")
EVERY_WAY = pytest.mark.parametrize("capabilities", [CAPABILITIES, SINGLE, WAITING])

Verdict = Callable[[list[bytes]], bytes | None]


def throttled(seconds: float) -> bytes:
    return b"Request is throttled. Suggested Backoff Time: %d milliseconds" % (seconds * 1000)


def first_times(times: int, answer: bytes, after: int = 0) -> Verdict:
    """An answer to so many commands, after some that are carried out."""
    commands = 0

    def verdict(messages: list[bytes]) -> bytes | None:
        nonlocal commands
        commands += 1
        return answer if after < commands <= after + times else None

    return verdict


def says_when(bench: ScriptedBench, report: Report, seconds: float) -> None:
    """The report names the time of day, to people and to programs."""
    assert report.exit_code is ExitCode.NOT_FINISHED
    when = report.retry_at
    assert when is not None
    assert timedelta(seconds=seconds) <= when - report.finished <= timedelta(seconds=seconds + 1)
    words = f"{when:%Y-%m-%d %H:%M:%S} UTC"
    assert f"run the same command again at {words} or later" in report.text()
    assert words in str(report.error)
    assert report.as_dict()["retry_at"] == f"{when:%Y-%m-%dT%H:%M:%SZ}"


def uploads(scripted: ScriptedBench) -> int:
    """In how many sessions something was appended. In each, some batches may be in flight when an answer comes."""
    return sum(
        any(line.startswith("APPEND") for line in session.commands) for session in scripted.server.sessions
    )


# -- IMAP: a time to wait


@EVERY_WAY
@pytest.mark.parametrize("after", [0, 1])
@pytest.mark.parametrize(
    "answer",
    [
        b"{tag} NO " + throttled(90) + b"\r\n",
        b"{tag} NO " + throttled(90) + b"\r\n* BYE Connection closed. 14\r\ncut",
        b"{tag} BAD " + throttled(90) + b"\r\n* BYE Connection closed. 14\r\ncut",
        b"* BYE " + throttled(90) + b"\r\ncut",
        b"{tag} NO Upload was rate limited. Try again in 90 seconds.\r\n",
    ],
    ids=["NO", "NO and BYE", "BAD and BYE", "BYE", "in other words"],
)
def test_a_short_pause_that_an_append_is_answered_with_is_made(
    scripted: ScriptedBench, as_scripted: Counter[Row], answer: bytes, after: int, capabilities: str
) -> None:
    account = scripted.account
    account.capabilities = capabilities
    account.verdict = first_times(1, answer, after)
    source, target = scripted.mbox(), scripted.imap()
    first = scripted.run(source, target)
    assert first.exit_code is ExitCode.OK, first.text()
    assert 90 <= scripted.waited < 90 + 2 * scripted.fence + 1, "what follows goes more slowly"
    assert any("trying again in 90 s" in line for line in scripted.said)
    scripted.check(source, target, as_scripted, first)


@EVERY_WAY
@pytest.mark.parametrize("kind", [b"NO", b"BAD"])
def test_a_long_pause_ends_the_run_which_says_until_when(
    scripted: ScriptedBench, as_scripted: Counter[Row], kind: bytes, capabilities: str
) -> None:
    account, seconds = scripted.account, LONGEST_HINT + 1
    account.capabilities = capabilities
    account.verdict = first_times(99, b"{tag} " + kind + b" " + throttled(seconds) + b"\r\n")
    source, target = scripted.mbox(), scripted.imap()
    first = scripted.run(source, target)
    says_when(scripted, first, seconds)
    assert scripted.waited == 0
    assert uploads(scripted) <= SESSIONS_OF_SLOW, "after such an answer nothing is sent any more"
    account.verdict = lambda messages: None
    scripted.check(source, target, as_scripted, first)


def test_a_bad_in_a_literal_that_names_a_time_stops_the_sending_and_is_obeyed(
    scripted: ScriptedBench, as_scripted: Counter[Row]
) -> None:
    answers = iter([b"{tag} BAD " + throttled(20) + b"\r\n"])
    scripted.account.while_reading = lambda number, octets: next(answers, None) if number == LARGE else None
    source, target = scripted.mbox(), scripted.imap()
    first = scripted.run(source, target)
    assert next(answers, None) is None
    assert scripted.waited >= 20
    scripted.check(source, target, as_scripted, first)


@pytest.mark.parametrize("command", ["AUTHENTICATE", "LIST", "STATUS", "CREATE", "SELECT"])
@pytest.mark.parametrize("kind", [b"NO", b"BAD"])
def test_a_pause_that_another_command_is_answered_with_is_made(
    scripted: ScriptedBench, as_scripted: Counter[Row], command: str, kind: bytes
) -> None:
    lead = b"+ \r\n" if command == "AUTHENTICATE" else b""
    scripted.account.answers[command] = lead + b"{tag} " + kind + b" " + throttled(30) + b"\r\n"
    scripted.meanwhile = scripted.account.answers.clear
    source, target = scripted.mbox(), scripted.imap()
    first = scripted.run(source, target)
    assert first.exit_code is ExitCode.OK, first.text()
    assert scripted.waited == pytest.approx(30)
    scripted.check(source, target, as_scripted, first)


def test_a_server_that_names_no_time_at_all_as_a_time_is_not_pressed(
    scripted: ScriptedBench, as_scripted: Counter[Row]
) -> None:
    scripted.account.verdict = first_times(99, b"{tag} NO " + throttled(0) + b"\r\n")
    source, target = scripted.mbox(), scripted.imap()
    first = scripted.run(source, target)
    assert first.exit_code is ExitCode.NOT_FINISHED
    assert uploads(scripted) == TRIES
    assert scripted.waited == pytest.approx(sum(2**n for n in range(TRIES - 1))), "longer each time"
    scripted.account.verdict = lambda messages: None
    scripted.check(source, target, as_scripted, first)


def test_a_server_that_names_an_absurd_time_is_not_believed(scripted: ScriptedBench) -> None:
    scripted.account.verdict = first_times(99, b"{tag} NO Try again in 999999999 days\r\n")
    says_when(scripted, scripted.run(scripted.mbox(), scripted.imap()), 7 * 86_400)


def test_a_server_that_wants_a_pause_again_and_again_gets_it_while_mail_moves(
    scripted: ScriptedBench, as_scripted: Counter[Row]
) -> None:
    account, rounds = scripted.account, iter(range(100))
    account.capabilities = SINGLE
    throttle = b"{tag} NO " + throttled(60) + b"\r\n"
    account.verdict = lambda messages: throttle if next(rounds) % 2 else None
    source, target = scripted.mbox(), scripted.imap()
    first = scripted.run(source, target)
    assert first.exit_code is ExitCode.OK, first.text()
    assert scripted.waited > 60 * TRIES
    account.verdict = lambda messages: None
    scripted.check(source, target, as_scripted, first)


# -- IMAP: no time


@EVERY_WAY
@pytest.mark.parametrize("taken", [0, 1, 5, 12])
@pytest.mark.parametrize("words", [b"[OVERQUOTA] Quota exceeded", b"mailbox is full"])
def test_a_quota_that_is_full_at_some_message(
    scripted: ScriptedBench, as_scripted: Counter[Row], words: bytes, taken: int, capabilities: str
) -> None:
    account = scripted.account
    account.capabilities = capabilities

    def verdict(messages: list[bytes]) -> bytes | None:
        there = sum(len(box.mail) for box in account.boxes.values())
        return b"{tag} NO " + words + b"\r\n" if there + len(messages) > taken else None

    account.verdict = verdict
    source, target = scripted.mbox(), scripted.imap()
    first = scripted.run(source, target)
    assert isinstance(first.error, ServerBusy)
    assert first.moved.messages == taken
    account.verdict = lambda messages: None
    scripted.check(source, target, as_scripted, first)


LARGE = 3
"""The message of 400 kB, counted as they are sent."""

NEW_FLAGS = 2
"""The first message with other flags than those before it."""


@pytest.mark.parametrize("words", [b"{tag} BAD Error in IMAP command\r\n", b"* BYE [UNAVAILABLE] Bye\r\ncut"])
@pytest.mark.parametrize("place", ["in a literal", "in place of the go-ahead"])
def test_a_bad_or_bye_in_the_middle_of_a_multiappend(
    scripted: ScriptedBench, as_scripted: Counter[Row], words: bytes, place: str
) -> None:
    answers = iter([words])
    if place == "in a literal":
        scripted.account.while_reading = lambda number, octets: (
            next(answers, None) if number == LARGE else None
        )
    else:
        scripted.account.go_ahead = lambda number: next(answers, None) if number == NEW_FLAGS else None
    source, target = scripted.mbox(), scripted.imap()
    first = scripted.run(source, target)
    assert next(answers, None) is None
    assert first.exit_code is ExitCode.OK, first.text()
    scripted.check(source, target, as_scripted, first)


# -- POP3

BUSY = {
    "in use": b"-ERR [IN-USE] Do you have another POP session running?\r\n",
    "trouble": b"-ERR [SYS/TEMP] Temporary system problem\r\n",
    "too soon": b"-ERR [LOGIN-DELAY] wait some minutes\r\n",
}


@pytest.mark.parametrize("answer", BUSY.values(), ids=BUSY)
@pytest.mark.parametrize("command", ["PASS", "STAT", "LIST", "UIDL"])
def test_a_maildrop_that_is_busy_ends_the_run_and_a_later_one_goes_on(
    scripted: ScriptedBench, as_scripted: Counter[Row], command: str, answer: bytes
) -> None:
    scripted.drop.answers[command] = answer
    source, target = scripted.pop3(), scripted.imap()
    first = scripted.run(source, target)
    if command != "STAT":  # its number is not needed
        assert isinstance(first.error, ServerBusy)
        assert first.exit_code is ExitCode.NOT_FINISHED
    scripted.drop.answers.clear()
    scripted.check(source, target, as_scripted, first)


@pytest.mark.parametrize("answer", BUSY.values(), ids=BUSY)
def test_a_busy_greeting_ends_the_run_and_a_later_one_goes_on(
    scripted: ScriptedBench, as_scripted: Counter[Row], answer: bytes
) -> None:
    greeting, scripted.drop.greeting = scripted.drop.greeting, answer
    source, target = scripted.pop3(), scripted.imap()
    first = scripted.run(source, target)
    assert isinstance(first.error, ServerBusy)
    scripted.drop.greeting = greeting
    scripted.check(source, target, as_scripted, first)


@pytest.mark.parametrize("command", ["PASS", "UIDL", "RETR 1", "RETR 7"])
@pytest.mark.parametrize(
    "answer",
    [
        b"-ERR [SYS/TEMP] Download was rate limited. Try again in 40 seconds\r\n",
        b"-ERR [IN-USE] locked, try again in 40 seconds\r\n",
        b"-ERR [LOGIN-DELAY] Try again in 40 seconds\r\n",
    ],
    ids=["trouble", "in use", "too soon"],
)
def test_a_short_pause_that_a_maildrop_asks_for_is_made(
    scripted: ScriptedBench, as_scripted: Counter[Row], answer: bytes, command: str
) -> None:
    scripted.drop.answers[command] = answer
    scripted.meanwhile = scripted.drop.answers.clear
    source, target = scripted.pop3(), scripted.imap()
    first = scripted.run(source, target)
    assert first.exit_code is ExitCode.OK, first.text()
    assert scripted.waited >= 39.9  # and more, where what had gone before was slow
    scripted.check(source, target, as_scripted, first)


@pytest.mark.parametrize(
    ("offer", "answer", "seconds"),
    [
        ("LOGIN-DELAY 900", b"-ERR [LOGIN-DELAY] too soon\r\n", 900),
        ("UIDL", b"-ERR [LOGIN-DELAY] Logins must be at least 10 minutes apart\r\n", 600),
        ("LOGIN-DELAY 999999999", b"-ERR [LOGIN-DELAY] too soon\r\n", 7 * 86_400),
    ],
)
def test_a_long_pause_between_logins_ends_the_run_which_says_until_when(
    scripted: ScriptedBench, as_scripted: Counter[Row], offer: str, answer: bytes, seconds: float
) -> None:
    scripted.drop.capabilities = (*(scripted.drop.capabilities or ()), offer)
    scripted.drop.answers["PASS"] = answer
    source, target = scripted.pop3(), scripted.imap()
    first = scripted.run(source, target)
    says_when(scripted, first, seconds)
    assert scripted.waited == 0
    scripted.drop.answers.clear()
    scripted.check(source, target, as_scripted, first)


def test_a_maildrop_that_is_locked_for_our_own_lost_session_is_waited_for(
    scripted: ScriptedBench, as_scripted: Counter[Row]
) -> None:
    scripted.drop.cut["RETR 5"] = 30

    def later() -> None:
        scripted.drop.cut.clear()
        scripted.drop.answers["PASS"] = BUSY["in use"]
        if scripted.waited > GHOST:
            scripted.drop.answers.clear()

    scripted.meanwhile = later
    source, target = scripted.pop3(), scripted.imap()
    first = scripted.run(source, target)
    assert first.exit_code is ExitCode.OK, first.text()
    scripted.check(source, target, as_scripted, first)


def test_a_connection_that_was_lost_with_words_about_a_long_pause_is_not_opened_again(
    scripted: ScriptedBench,
) -> None:
    scripted.account.verdict = first_times(99, b"* BYE " + throttled(LONGEST_HINT * 2) + b"\r\ncut")
    first = scripted.run(scripted.mbox(), scripted.imap())
    assert isinstance(first.error, ConnectionLost)
    says_when(scripted, first, LONGEST_HINT * 2)
