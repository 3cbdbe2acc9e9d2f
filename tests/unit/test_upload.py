"""Uploading to servers that refuse, falter, lie and hang up: what is known afterwards, and what is not."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from pop2imap.credentials import Secret
from pop2imap.errors import Again, LocalIOError
from pop2imap.model import Batch, Mailbox, Outcome, Refused, Stored, Unknown, Upload
from pop2imap.octets import from_bytes
from pop2imap.pipeline import Lane
from pop2imap.rates import UNLIMITED
from pop2imap.target.append import LITERAL_PLUS, LITERAL_PLUS_EXCHANGE
from pop2imap.target.imap import ImapTarget
from pop2imap.target.suspects import STRIKES
from pop2imap.target.upload import MULTIAPPEND_MESSAGES
from pop2imap.throttle import Throttle
from tests.fakes.appending import append, append_each
from tests.fakes.imap_server import CAPABILITIES, PASSWORD, USER, ImapAccount, ImapServer

SINGLE = CAPABILITIES.replace("MULTIAPPEND ", "")
WAITING = SINGLE.replace("LITERAL+ ", "")
MULTI_WAITING = CAPABILITIES.replace("LITERAL+ ", "")
EVERY_WAY = pytest.mark.parametrize("capabilities", [CAPABILITIES, SINGLE, WAITING, MULTI_WAITING])
DATE = datetime(2003, 2, 1, 4, 5, 6, tzinfo=UTC)


def mail(count: int, size: int = 10) -> list[Upload]:
    return [Upload(from_bytes(b"%d " % number + b"x" * size), (), DATE) for number in range(count)]


@contextmanager
def opened(account: ImapAccount, *, idle: float = 20) -> Iterator[tuple[ImapTarget, Mailbox, ImapServer]]:
    with ImapServer(account) as server:
        target = ImapTarget(server.address(idle=idle), USER, Secret(PASSWORD))
        target.open()
        try:
            yield target, target.prepare("INBOX"), server
        finally:
            target.close()


def shape(outcomes: list[Outcome]) -> str:
    """One letter each: Stored, Never, Later, Unknown."""
    letters = ""
    for outcome in outcomes:
        match outcome:
            case Stored():
                letters += "S"
            case Refused(again=Again.NEVER):
                letters += "N"
            case Refused():
                letters += "L"
            case Unknown():
                letters += "U"
    return letters


def refusing(*refused: int, words: bytes = b"NO no") -> Callable[[list[bytes]], bytes | None]:
    """A verdict against commands that hold one of these messages."""

    def verdict(messages: list[bytes]) -> bytes | None:
        held = {int(octets.split(b" ")[0]) for octets in messages}
        return b"{tag} " + words + b"\r\n" if held & set(refused) else None

    return verdict


# -- refusals


@EVERY_WAY
def test_one_bad_message_costs_one_message(capabilities: str) -> None:
    account = ImapAccount(capabilities=capabilities, verdict=refusing(3, 8))
    with opened(account) as (target, mailbox, _):
        outcomes = append(target, mailbox, mail(20))
    assert shape(outcomes) == "SSSNSSSSN" + "S" * 11
    assert [octets.split()[0] for octets in account.octets()] == [
        b"%d" % number for number in range(20) if number not in {3, 8}
    ]
    assert [outcome.uid for outcome in outcomes if isinstance(outcome, Stored)] == list(range(1, 19))


def test_the_words_of_a_refusal_are_passed_on_and_printable() -> None:
    with opened(ImapAccount(verdict=refusing(0, words=b"NO [ALERT] \x1b[2J no \xff"))) as (
        target,
        mailbox,
        _,
    ):
        (outcome,) = append(target, mailbox, mail(1))
    assert isinstance(outcome, Refused)
    assert outcome.reason.isprintable()
    assert "ALERT" in outcome.reason


@EVERY_WAY
@pytest.mark.parametrize("words", [b"NO [OVERQUOTA] full", b"NO mailbox is full"])
def test_a_full_account_takes_what_it_can(capabilities: str, words: bytes) -> None:
    account = ImapAccount(capabilities=capabilities, verdict=refusing(*range(5, 20), words=words))
    with opened(account) as (target, mailbox, _):
        assert shape(append(target, mailbox, mail(20))) == "SSSSS" + "L" * 15
        assert shape(append(target, mailbox, mail(2))) == "SS"


@EVERY_WAY
@pytest.mark.parametrize("words", [
    b"NO [UNAVAILABLE] down", b"NO [INUSE] locked", b"NO [TRYCREATE] gone",
    b"NO Request is throttled. Suggested Backoff Time: 299961 milliseconds",
])  # fmt: skip
def test_a_busy_server_is_not_pressed(capabilities: str, words: bytes) -> None:
    account = ImapAccount(capabilities=capabilities, verdict=lambda messages: b"{tag} " + words + b"\r\n")
    with opened(account) as (target, mailbox, server):
        outcomes = append(target, mailbox, mail(200))
        assert shape(outcomes) == "L" * 200
        assert server.appends <= 64
    assert words[3:12].decode() in str(outcomes[0])
    assert account.octets() == []


THROTTLED = b"Request is throttled. Suggested Backoff Time: 4000 milliseconds"


@EVERY_WAY
@pytest.mark.parametrize(
    "words", [b"{tag} NO " + THROTTLED, b"{tag} BAD " + THROTTLED, b"* BYE " + THROTTLED]
)
def test_a_server_that_names_a_time_is_left_alone_until_it_is_opened_anew(
    capabilities: str, words: bytes
) -> None:
    account = ImapAccount(capabilities=capabilities, verdict=lambda messages: words + b"\r\n")
    uploads = mail(3)
    with opened(account) as (target, mailbox, server):
        for _ in range(STRIKES + 1):
            outcomes = append(target, mailbox, uploads) + append(target, mailbox, uploads)
            assert not [outcome for outcome in outcomes if isinstance(outcome, Stored)]
            assert {outcome.retry_after for outcome in outcomes if not isinstance(outcome, Stored)} == {4.0}
            target.open()
        assert server.appends <= 3 * (STRIKES + 1)
        account.verdict = lambda messages: None
        assert shape(append(target, mailbox, uploads)) == "SSS", "no message was blamed"


def test_a_pause_asked_for_between_two_commands_is_kept_too() -> None:
    bye = b"{tag} OK done\r\n* BYE " + THROTTLED + b"\r\n"
    account = ImapAccount(verdict=lambda messages: bye)
    with opened(account) as (target, mailbox, server):
        outcomes = append(target, mailbox, mail(MULTIAPPEND_MESSAGES + 2))
    assert shape(outcomes) == "S" * MULTIAPPEND_MESSAGES + "UU"
    assert server.appends <= 2


@EVERY_WAY
def test_a_limit_of_one_message_is_told_from_a_limit_of_the_account(capabilities: str) -> None:
    account = ImapAccount(capabilities=capabilities, verdict=refusing(3, words=b"NO [LIMIT] too many flags"))
    with opened(account) as (target, mailbox, _):
        assert shape(append(target, mailbox, mail(8))) == "SSSNSSSS"
    account = ImapAccount(
        capabilities=capabilities, verdict=refusing(*range(3, 99), words=b"NO [LIMIT] slow down")
    )
    with opened(account) as (target, mailbox, _):
        assert shape(append(target, mailbox, mail(8))) == "SSSLLLLL"
    account = ImapAccount(capabilities=capabilities, verdict=refusing(7, words=b"NO [SERVERBUG] oops"))
    with opened(account) as (target, mailbox, _):
        assert shape(append(target, mailbox, mail(8))) == "SSSSSSSL"


@pytest.mark.parametrize("capabilities", [WAITING, MULTI_WAITING])
@pytest.mark.parametrize("answer", [b"{tag} NO [TOOBIG] no\r\n", b"{tag} BAD [TOOBIG] no\r\n"])
def test_a_refusal_before_anything_was_sent_is_about_that_message(capabilities: str, answer: bytes) -> None:
    account = ImapAccount(capabilities=capabilities, go_ahead=lambda number: answer if number == 0 else None)
    with opened(account) as (target, mailbox, server):
        outcomes = append(target, mailbox, mail(1)) + append(target, mailbox, mail(2))
        assert len(server.sessions) == 2
    assert shape(outcomes) == "NSS"


@EVERY_WAY
def test_a_refusal_in_the_middle_of_a_message_costs_the_connection_but_leaves_no_doubt(
    capabilities: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pop2imap.target.append.LITERAL_PLUS", 1 << 30)
    answers = iter([b"{tag} NO [TOOBIG] no\r\n"])
    account = ImapAccount(capabilities=capabilities, while_reading=lambda number, octets: next(answers, None))
    uploads = [*mail(1, 15_000_000), *mail(3)]  # more than the system takes before the server has read any
    with opened(account) as (target, mailbox, server):
        outcomes = append(target, mailbox, uploads[:1]) + append(target, mailbox, uploads[1:])
        assert len(server.sessions) == 3  # one to look, one that was given up, a new one
    assert shape(outcomes) == "NSSS"


def test_too_large_a_message_is_not_even_begun() -> None:
    account = ImapAccount(capabilities=f"{CAPABILITIES} APPENDLIMIT=1000")
    with opened(account) as (target, mailbox, _):
        assert mailbox.append_limit == 1000
        assert shape(append(target, mailbox, [*mail(1), *mail(1, 1001), *mail(1)])) == "SNS"
        assert len(account.octets()) == 2


def test_a_message_that_is_not_to_be_sent_does_not_hold_up_the_others() -> None:
    bad = Upload(from_bytes(b"x"), ("\\Seen) {1+}\r\nx",), DATE)
    with opened(ImapAccount()) as (target, mailbox, _):
        assert shape(append(target, mailbox, [bad, *mail(2), bad])) == "NSSN"
        assert shape(append(target, mailbox, [bad])) == "N"


# -- doubt


@EVERY_WAY
def test_an_ok_that_nobody_hears_leaves_doubt(capabilities: str) -> None:
    account = ImapAccount(capabilities=capabilities, swallowed={0})
    with opened(account) as (target, mailbox, _):
        outcomes = append(target, mailbox, mail(3))
        assert shape(outcomes)[0] == "U"
        assert set(shape(outcomes)) <= {"U", "L"}
        assert len(account.octets()) == (3 if "MULTIAPPEND" in capabilities else 1)
        assert shape(append(target, mailbox, mail(2))) == "LL"  # dead until it is opened anew
        assert len(account.octets()) == (3 if "MULTIAPPEND" in capabilities else 1)
        target.open()
        assert shape(append(target, mailbox, mail(2))) == "SS"


@EVERY_WAY
def test_what_was_never_sent_is_not_in_doubt(capabilities: str) -> None:
    account = ImapAccount(
        capabilities=capabilities,
        while_reading=lambda number, octets: b"cut" if number == 1 and octets > 100_000 else None,
    )
    uploads = [*mail(1, 70_000), *mail(1, 15_000_000), *mail(2, 2_000_000), *mail(2)]
    with opened(account) as (target, mailbox, _):
        letters = shape(append(target, mailbox, uploads))
    if "MULTIAPPEND" in capabilities:  # the first two are one command: none of it is stored
        assert letters == "UULLLL"
        assert account.octets() == []
    else:
        assert letters == "SULLLL"
        assert len(account.octets()) == 1


@EVERY_WAY
@pytest.mark.parametrize("answer", [
    b"* BYE [UNAVAILABLE] shutting down\r\n", b"{tag} BAD Error in IMAP command\r\n", b"{tag} OK too early\r\n",
    b"+ more\r\n", b"Z9 OK\r\n", b"what?\r\n", b"* BYE bye\r\ncut",
])  # fmt: skip
def test_nonsense_in_the_middle_of_a_message_ends_everything_at_once(
    capabilities: str, answer: bytes
) -> None:
    account = ImapAccount(
        capabilities=capabilities,
        while_reading=lambda number, octets: answer if number == 0 and octets < 2_000_000 else None,
    )
    with opened(account) as (target, mailbox, server):
        outcomes = append(target, mailbox, [*mail(1, 15_000_000), *mail(3)])
        sent = len(server.sessions[1].raw)
        assert shape(outcomes) == ("UUUU" if "MULTIAPPEND" in capabilities else "ULLL")
        assert shape(append(target, mailbox, mail(1))) == "L"
        target.close()
    assert sent <= 15_000_000
    assert account.octets() == []
    assert all(outcome.reason.isprintable() for outcome in outcomes if isinstance(outcome, Unknown))


def test_a_server_that_falls_silent_leaves_doubt() -> None:
    account = ImapAccount(verdict=lambda messages: b"* OK still here\r\n")
    with opened(account, idle=0.1) as (target, mailbox, _):
        outcomes = append(target, mailbox, mail(2))
    assert shape(outcomes) == "UU"
    assert "no answer" in str(outcomes[0])


def test_answers_that_came_before_the_end_count() -> None:
    account = ImapAccount(capabilities=SINGLE, swallowed={3})
    with opened(account) as (target, mailbox, _):
        letters = shape(append(target, mailbox, mail(5)))
    assert letters == "SSSUU"
    assert len(account.octets()) == 4


def test_a_message_that_cannot_be_read_any_more_ends_the_session() -> None:
    class Vanishing:
        size = 10
        digest = match_digest = b"d" * 32
        likely_sizes = frozenset({10})

        def head(self) -> bytes:
            return b""

        def chunks(self) -> Iterator[bytes]:
            yield b"half"
            raise LocalIOError("the spool file is gone")

    account = ImapAccount(capabilities=SINGLE)
    with opened(account) as (target, mailbox, server):
        with pytest.raises(LocalIOError):
            append(target, mailbox, [*mail(1), Upload(Vanishing(), (), DATE)])
        assert shape(append(target, mailbox, mail(1))) == "L"
        target.open()
        assert shape(append(target, mailbox, mail(1))) == "S"
        assert len(server.sessions) == 4
    assert all(b"half" not in octets for octets in account.octets())


# -- messages that end sessions


@EVERY_WAY
def test_a_message_that_gets_bad_each_time_is_found_and_the_others_arrive(capabilities: str) -> None:
    account = ImapAccount(
        capabilities=capabilities, verdict=refusing(2, words=b"BAD Command Argument Error. 11")
    )
    uploads = mail(5)
    with opened(account) as (target, mailbox, server):
        known = ["?"] * 5
        for _ in range(6):  # as a run does that recovers in between: what is not there is sent again
            left = [number for number in range(5) if known[number] not in "SN"]
            letters = shape(append(target, mailbox, [uploads[number] for number in left]))
            target.close()
            server.wait()  # what was behind the message at fault may be stored after the connection is lost
            for number, letter in zip(left, letters, strict=True):
                arrived = any(octets.startswith(b"%d " % number) for octets in account.octets())
                known[number] = "S" if arrived else letter
            target.open()
        (outcome,) = append(target, mailbox, [uploads[2]])
    assert "".join(known) == "SSNSS"
    assert "Command Argument Error" in str(outcome)
    assert sorted(account.octets()) == [b"%d xxxxxxxxxx" % number for number in (0, 1, 3, 4)]


def test_a_message_that_ends_sessions_again_and_again_is_given_up() -> None:
    account = ImapAccount(
        verdict=lambda messages: b"cut" if any(m.startswith(b"1 ") for m in messages) else None
    )
    uploads = mail(3)
    with opened(account) as (target, mailbox, _):
        seen = []
        for _ in range(4):
            seen.append(shape(append(target, mailbox, uploads)))
            target.open()
        assert seen == ["UUU", "SUL", "SUL", "SNS"]
        assert "3 times" in str(append(target, mailbox, uploads[1:2])[0])


def test_a_suspect_travels_alone_and_waits_for_the_go_ahead() -> None:
    account = ImapAccount(swallowed={0})
    with opened(account) as (target, mailbox, server):
        assert shape(append(target, mailbox, mail(3))) == "UUU"
        target.open()
        assert shape(append(target, mailbox, mail(3) + mail(5)[3:])) == "SSSSS"
        appends = [c for c in server.sessions[-1].commands if c.startswith("APPEND")]
        assert [c.endswith("{12}") for c in appends] == [True, True, True, False]
        sent = server.appends
        assert shape(append(target, mailbox, mail(3))) == "SSS"
        assert server.appends == sent + 1  # acquitted: together again


# -- sessions


def test_the_uploading_session_never_selects_and_is_opened_late() -> None:
    with opened(ImapAccount()) as (target, mailbox, server):
        target.survey(mailbox, 1)
        assert len(server.sessions) == 1
        append(target, mailbox, mail(3))
        target.survey(mailbox, 1)
        assert len(server.sessions) == 2
        commands = server.sessions[1].commands
        after_login = commands[commands.index("AUTHENTICATE PLAIN") + 2 :]
        assert {command.split()[0] for command in after_login} == {"CAPABILITY", "APPEND"}
        assert not any(c.startswith("APPEND") for c in server.sessions[0].commands)


def test_an_uploading_session_that_cannot_be_opened_is_a_reason_to_wait() -> None:
    account = ImapAccount()
    with opened(account) as (target, mailbox, _):
        account.answers["AUTHENTICATE"] = b"{tag} NO [LIMIT] too many sessions\r\n"
        outcomes = append(target, mailbox, mail(2))
        assert shape(outcomes) == "LL"
        assert "too many sessions" in str(outcomes[0])
        del account.answers["AUTHENTICATE"]
        assert shape(append(target, mailbox, mail(2))) == "SS"


def test_an_uploading_session_that_meets_nobody_may_be_tried_at_once() -> None:
    with ImapServer(ImapAccount()) as server:
        target = ImapTarget(server.address(), USER, Secret(PASSWORD))
        target.open()
        mailbox = target.prepare("INBOX")
    (outcome,) = append(target, mailbox, mail(1))
    target.close()
    assert isinstance(outcome, Refused)
    assert outcome.again is Again.NOW


def test_a_session_that_was_ended_while_nothing_was_sent_is_made_again() -> None:
    account = ImapAccount(appenduid=lambda v, uids: "done\r\n* BYE autologout after ")
    with opened(account) as (target, mailbox, server):
        for _ in range(3):
            assert shape(append(target, mailbox, mail(1))) == "S"
        assert len(server.sessions) == 4


def test_a_quiet_session_is_tried_before_mail_is_trusted_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pop2imap.target.upload.QUIET", -1.0)
    account = ImapAccount()
    with opened(account) as (target, mailbox, server):
        assert shape(append(target, mailbox, mail(1))) == "S"
        assert shape(append(target, mailbox, mail(1))) == "S"
        assert server.sessions[1].commands[-2] == "NOOP"
        account.answers["NOOP"] = b"* BYE autologout\r\n"
        assert shape(append(target, mailbox, mail(1))) == "S"
        assert len(server.sessions) == 3


# -- how it travels


@pytest.mark.parametrize("exchange", [False, True])
def test_large_literals_wait_even_where_they_need_not(*, exchange: bool) -> None:
    answers = (
        {"ID": b'* ID ("name" "Microsoft.Exchange.Imap4.Imap4Server")\r\n{tag} OK\r\n'} if exchange else {}
    )
    limit = LITERAL_PLUS_EXCHANGE if exchange else LITERAL_PLUS
    with opened(ImapAccount(capabilities=SINGLE, answers=answers)) as (target, mailbox, server):
        assert shape(append(target, mailbox, [*mail(1), *mail(1, limit - 2), *mail(1, limit - 1)])) == "SSS"
        appends = [c for c in server.sessions[1].commands if c.startswith("APPEND")]
        assert [c.endswith("+}") for c in appends] == [False, True, False], "the first one waits anyway"


def test_everything_of_one_call_travels_in_one_command() -> None:
    with opened(ImapAccount()) as (target, mailbox, server):
        assert shape(append(target, mailbox, mail(50))) == "S" * 50
        assert server.appends <= 2


def test_a_command_is_not_too_long() -> None:
    with opened(ImapAccount()) as (target, mailbox, server):
        assert shape(append(target, mailbox, mail(300))) == "S" * 300
        assert server.appends == 3
        assert shape(append(target, mailbox, mail(6, 7_000_000))) == "S" * 6
        assert server.appends == 6


# -- several batches


class Told:
    """Octets that say when they are sent."""

    def __init__(self, octets: bytes, told: threading.Event) -> None:
        self._octets, self._told = from_bytes(octets), told
        self.size, self.digest = self._octets.size, self._octets.digest
        self.match_digest, self.likely_sizes = self._octets.match_digest, self._octets.likely_sizes

    def head(self) -> bytes:
        return self._octets.head()

    def chunks(self) -> Iterator[bytes]:
        self._told.set()
        return self._octets.chunks()


PATIENCE = 30.0


@pytest.mark.parametrize("capabilities", [CAPABILITIES, SINGLE])
def test_the_next_batch_does_not_wait_for_the_answer_to_the_one_before(capabilities: str) -> None:
    """The server keeps its answer to the first until the second, which came only then, is being sent."""
    arrived, sending = threading.Event(), threading.Event()

    def verdict(messages: list[bytes]) -> None:
        if messages[-1].startswith(b"last of the first"):
            arrived.set()
            assert sending.wait(PATIENCE)

    account = ImapAccount(capabilities=capabilities, verdict=verdict)
    first = [*mail(1), Upload(from_bytes(b"last of the first"), (), DATE)]
    second = [Upload(Told(b"second", sending), (), DATE)]
    inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
    with opened(account) as (target, mailbox, _):
        lane = Lane(
            0, inbox, Throttle(UNLIMITED, time.monotonic, time.sleep), threading.Event(), threading.Event()
        )
        uploading = threading.Thread(target=lane.serve, args=[target])
        uploading.start()
        lane.put(Batch(mailbox, [1, 2], first))
        assert arrived.wait(PATIENCE)
        lane.put(Batch(mailbox, [3], second))
        done = [inbox.get(timeout=PATIENCE) for _ in range(2)]
        lane.end()
        uploading.join(PATIENCE)
    assert [list(one.batch.ids) for one in done] == [[1, 2], [3]]
    assert [shape(one.outcomes) for one in done] == ["SS", "S"]
    lane.bell.close()


@EVERY_WAY
def test_a_refusal_in_one_batch_costs_one_message_of_all(capabilities: str) -> None:
    account = ImapAccount(capabilities=capabilities, verdict=refusing(3))
    uploads = mail(12)
    with opened(account) as (target, mailbox, _):
        batches = [(mailbox, uploads[:5]), (mailbox, uploads[5:9]), (mailbox, uploads[9:])]
        outcomes = append_each(target, batches)
    assert [shape(one) for one in outcomes] == ["SSSNS", "SSSS", "SSS"]
    assert len(account.octets()) == 11


@EVERY_WAY
def test_a_full_account_ends_all_batches(capabilities: str) -> None:
    account = ImapAccount(
        capabilities=capabilities, verdict=refusing(*range(4, 20), words=b"NO [OVERQUOTA] x")
    )
    uploads = mail(12)
    with opened(account) as (target, mailbox, _):
        outcomes = append_each(target, [(mailbox, uploads[:6]), (mailbox, uploads[6:])])
        assert [shape(one) for one in outcomes] == ["SSSSLL", "LLLLLL"]
        assert shape(append(target, mailbox, mail(2))) == "SS"


@EVERY_WAY
def test_a_limit_at_the_end_of_a_batch_is_told_by_the_next_batch(capabilities: str) -> None:
    account = ImapAccount(capabilities=capabilities, verdict=refusing(2, words=b"NO [LIMIT] too many"))
    uploads = mail(5)
    with opened(account) as (target, mailbox, _):
        outcomes = append_each(target, [(mailbox, uploads[:3]), (mailbox, uploads[3:])])
    # in one command with others it is found only when the second batch is there already: then nothing tells
    assert [shape(one) for one in outcomes] == ["SSL" if "MULTIAPPEND" in capabilities else "SSN", "SS"]


def test_each_upload_session_has_its_own_connection() -> None:
    account = ImapAccount()
    with opened(account) as (target, mailbox, server):
        assert shape(append(target, mailbox, mail(2), session=0)) == "SS"
        assert shape(append(target, mailbox, mail(2), session=1)) == "SS"
        assert shape(append(target, mailbox, mail(2), session=0)) == "SS"
        assert len(server.sessions) == 3  # one to look


# -- UIDs


@pytest.mark.parametrize(
    "appenduid",
    [
        lambda v, uids: "",
        lambda v, uids: f"[APPENDUID {uids[0]} {v}] ",
        lambda v, uids: f"[APPENDUID {v + 1} {uids[0]}:{uids[-1]}] ",
        lambda v, uids: f"[APPENDUID {v} {uids[0]}] ",
        lambda v, uids: f"[APPENDUID {v} 1:3] ",
        lambda v, uids: f"[APPENDUID {v} {uids[0]}:{uids[-1] + 1}] ",
        lambda v, uids: f"[COPYUID {v} {uids[0]}:{uids[-1]}] ",
    ],
)
def test_uids_that_cannot_be_are_not_believed(appenduid: Callable[[int, list[int]], str]) -> None:
    account = ImapAccount(appenduid=appenduid)
    with opened(account) as (target, _, _):
        append(target, target.prepare("INBOX"), mail(5))
        outcomes = append(target, target.prepare("INBOX"), mail(3))
    assert outcomes == [Stored(7, None)] * 3


def test_the_same_uids_are_not_believed_twice() -> None:
    account = ImapAccount(appenduid=lambda v, uids: f"[APPENDUID {v} 1:3] ")
    with opened(account) as (target, mailbox, _):
        assert [o.uid for o in append(target, mailbox, mail(3)) if isinstance(o, Stored)] == [1, 2, 3]
        assert append(target, mailbox, mail(3)) == [Stored(7, None)] * 3


def test_ranges_of_uids_are_understood() -> None:
    account = ImapAccount(appenduid=lambda v, uids: f"[APPENDUID {v} {uids[0]}:{uids[-1]}] ")
    with opened(account) as (target, mailbox, _):
        assert append(target, mailbox, mail(3)) == [Stored(7, 1), Stored(7, 2), Stored(7, 3)]


# -- folders, through the whole target


def test_a_folder_that_is_there_in_another_case_is_used_when_the_server_says_so() -> None:
    account = ImapAccount(answers={'CREATE "clients"': b"{tag} NO Mailbox already exists\r\n"})
    with opened(account) as (target, _, _):
        account.boxes["CLIENTS"] = account.boxes["INBOX"]
        prepared = target.prepare("clients")
        assert (prepared.name, prepared.folder, prepared.created) == ("CLIENTS", "clients", False)


def test_the_watermark_is_found_where_status_does_not_tell_it() -> None:
    account = ImapAccount(tells_uidnext=False)
    with opened(account) as (target, mailbox, server):
        assert mailbox.uidnext == 1
        append(target, mailbox, mail(3))
        assert target.prepare("INBOX").uidnext == 4
        assert not any(c.startswith("CLOSE") for c in server.sessions[0].commands)


def test_permanent_flags_that_are_not_told_are_all() -> None:
    with opened(ImapAccount(permanent_flags=None)) as (_, mailbox, _):
        assert mailbox.permanent_flags is None
        assert mailbox.takes("$Any")
    with opened(ImapAccount(permanent_flags="\\Seen $Work")) as (_, mailbox, _):
        assert mailbox.takes("$work")
        assert not mailbox.takes("$Any")
        assert not mailbox.takes("\\Flagged")


def test_permanent_flags_are_asked_for_once() -> None:
    with opened(ImapAccount()) as (target, _, server):
        target.prepare("INBOX")
        target.prepare("INBOX")
        assert sum(c.startswith("SELECT") for c in server.sessions[0].commands) == 1


def test_locating_never_selects_for_writing() -> None:
    with ImapServer(ImapAccount()) as server:
        target = ImapTarget(server.address(), USER, Secret(PASSWORD))
        target.open()
        assert target.locate("INBOX")
        assert target.locate("Nowhere") is None
        target.close()
        verbs = {command.split()[0] for command in server.wait()[0].commands}
        assert not verbs & {"SELECT", "CREATE", "SUBSCRIBE", "APPEND"}


def test_a_quiet_looking_session_is_made_again_when_it_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pop2imap.target.imap.QUIET", -1.0)
    account = ImapAccount()
    with opened(account) as (target, mailbox, server):
        append(target, mailbox, mail(2))
        assert len(target.survey(mailbox, 1)) == 2
        account.answers["NOOP"] = b"* BYE autologout\r\n"
        assert len(target.digests(mailbox, [1, 2])) == 2
        assert len(server.sessions) > 2
