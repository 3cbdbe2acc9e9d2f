"""What IMAP servers say, read whole, one octet at a time, and with more behind it."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pop2imap.errors import ProtocolError
from pop2imap.target import answers
from pop2imap.target.answers import (
    LINE_LIMIT,
    LITERAL_LIMIT,
    UNTAGGED_LIMIT,
    Answer,
    AnswerReader,
    Meaning,
    parse,
)

TALK = (
    b"* OK [CAPABILITY IMAP4rev1] ready\r\n"
    b"+ go ahead\r\n"
    b"+\r\n"
    b"* 23 EXISTS\r\n"
    b'* LIST () "/" {5}\r\nA1 OK\r\n'
    b"* 1 FETCH (BODY[] {12}\r\nA2 OK no\r\n{3 FLAGS ({0}\r\n))\r\n"
    b"* NO beware of {5}\r\n"
    b"A1 OK [APPENDUID 7 5:6] done\r\n"
    b"A2 NO [OVERQUOTA] full {12}\r\n"
    b"A3 bad what?\n"
    b"* BYE [UNAVAILABLE] bye\r\n"
)
ANSWERS = [
    Answer(b"*", "OK", "CAPABILITY", "IMAP4rev1", "ready"),
    Answer(b"+", "", text="go ahead"),
    Answer(b"+", ""),
    Answer(b"*", "EXISTS"),
    Answer(b"*", "LIST"),
    Answer(b"*", "FETCH"),
    Answer(b"*", "NO", text="beware of {5}"),
    Answer(b"A1", "OK", "APPENDUID", "7 5:6", "done"),
    Answer(b"A2", "NO", "OVERQUOTA", "", "full {12}"),
    Answer(b"A3", "BAD", text="what?"),
    Answer(b"*", "BYE", "UNAVAILABLE", "", "bye"),
]


def test_answers_come_out_of_one_piece() -> None:
    assert AnswerReader().feed(TALK) == ANSWERS


def test_answers_come_out_of_single_octets() -> None:
    reader = AnswerReader()
    heard = [answer for at in range(len(TALK)) for answer in reader.feed(TALK[at : at + 1])]
    assert heard == ANSWERS


@given(st.lists(st.integers(0, len(TALK)), max_size=12).map(sorted))
def test_answers_come_out_of_any_pieces(cuts: list[int]) -> None:
    reader = AnswerReader()
    ends = [0, *cuts, len(TALK)]
    heard = [a for first, last in itertools.pairwise(ends) for a in reader.feed(TALK[first:last])]
    assert heard == ANSWERS


def test_half_an_answer_is_known_to_have_begun() -> None:
    reader = AnswerReader()
    begun = []
    for octets in (b"* 1 FETCH (X {3}", b"\r\n", b"ab", b"c", b")\r\n", b"A1", b" OK\r\n"):
        reader.feed(octets)
        begun.append(reader.begun)
    assert begun == [True, True, True, True, False, True, False]


def test_half_an_answer_waits_for_its_end() -> None:
    reader = AnswerReader()
    assert reader.feed(b"A1 OK do") == []
    assert reader.feed(b"") == []
    assert reader.feed(b"ne\r\nA2 N") == [Answer(b"A1", "OK", text="done")]


@given(st.binary(max_size=200))
def test_nothing_but_answers_and_protocol_errors_come_of_any_octets(octets: bytes) -> None:
    reader, heard, error = AnswerReader(), [], ""
    try:
        heard = reader.feed(octets)
    except ProtocolError as caught:
        error = str(caught)
    assert error.isprintable()
    for answer in heard:
        assert answer.words.isprintable()
        assert answer.meaning in Meaning


@pytest.mark.parametrize(
    "line", [b"", b" ", b"*", b"hello", b"A1", b"A1 MAYBE so", b"220 smtp ready", b"+OK pop", b"A1OK"]
)
def test_what_is_no_answer_is_said(line: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse(line)


@pytest.mark.parametrize(
    "octets",
    [
        b"A1 OK " + b"x" * (LINE_LIMIT + 1),
        b'* LIST () "/" {%d}\r\n' % (LITERAL_LIMIT + 1),
        b'* LIST () "/" {99999999999999999999}\r\n' + b"x" * (LINE_LIMIT + 1),
    ],
)
def test_nothing_grows_without_bound(octets: bytes) -> None:
    with pytest.raises(ProtocolError):
        AnswerReader().feed(octets)


def test_a_line_of_many_literals_has_its_bound_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "LINE_LIMIT", 10_000)
    reader = AnswerReader()
    with pytest.raises(ProtocolError):
        reader.feed(b"* LIST " + b"{1}\r\nx" * 6_000)


def test_chatter_without_end_is_stopped_and_real_talk_is_not() -> None:
    reader = AnswerReader()
    chatter = b"* OK " + b"still here " * 5_000 + b"\r\n"
    rounds = UNTAGGED_LIMIT // len(chatter)
    for number in range(2 * rounds):
        reader.feed(chatter + b"A%d OK\r\n" % number)
    reader.feed(chatter * (rounds - 1))
    with pytest.raises(ProtocolError):
        reader.feed(chatter * 2)


@pytest.mark.parametrize(
    ("line", "meaning"),
    [
        (b"A NO [OVERQUOTA] Quota exceeded (mailbox for user is full)", Meaning.QUOTA),
        (b"A NO Over quota", Meaning.QUOTA),
        (b"A NO [OVERQUOTA] Account exceeded command or bandwidth limits", Meaning.BUSY),
        (b"A NO [UNAVAILABLE] backend down", Meaning.BUSY),
        (b"A NO [INUSE] locked", Meaning.BUSY),
        (b"A BAD Request is throttled. Suggested Backoff Time: 299961 milliseconds", Meaning.BUSY),
        (b"A NO [LIMIT] too large or too many", Meaning.LIMIT),
        (b"A NO [SERVERBUG] Internal error occurred.", Meaning.LIMIT),
        (b"A NO [TRYCREATE] no mailbox", Meaning.NO_FOLDER),
        (b"A NO [NONEXISTENT] no mailbox", Meaning.NO_FOLDER),
        (b"A NO [AUTHENTICATIONFAILED] too many login failures", Meaning.LOGIN),
        (b"A NO [TOOBIG] too big", Meaning.OTHER),
        (b"A NO [ALERT] the header is not valid", Meaning.OTHER),
        (b"A NO no", Meaning.OTHER),
        (b"A BAD Command Argument Error. 11", Meaning.OTHER),
        (b"A no [overquota] lower case", Meaning.QUOTA),
    ],
)
def test_refusals_mean_something(line: bytes, meaning: Meaning) -> None:
    assert parse(line).meaning is meaning


def test_words_are_printable_and_short() -> None:
    words = parse(b"A NO [ALERT \x1b[2J] \xe2\x80\xae evil \xff" + b"x" * 5000).words
    assert words.isprintable()
    assert len(words) <= 200
    assert "ALERT" in words
    assert parse(b"A NO").words == "NO"


def test_the_time_to_wait_is_told() -> None:
    assert parse(b"A NO throttled. Suggested Backoff Time: 1500 milliseconds").retry_after == 1.5
    assert parse(b"A NO throttled").retry_after is None
    assert parse(b"* BYE too many commands, try again in 5 seconds").retry_after == 5
    assert parse(b"A OK done, try again in 5 seconds").retry_after is None


def test_a_refused_login_is_not_tried_again_because_of_some_words() -> None:
    answer = parse(b"A NO [AUTHENTICATIONFAILED] Authentication was rate limited. Try again in 5 seconds.")
    assert answer.meaning is Meaning.LOGIN
    assert answer.retry_after is None
