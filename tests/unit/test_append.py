"""The wire form of APPEND, octet by octet."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pop2imap.errors import InternalError
from pop2imap.model import Upload
from pop2imap.octets import SPOOL_AT, from_bytes
from pop2imap.target.append import (
    ALWAYS_SYNCHRONISE,
    LITERAL_MINUS,
    LITERAL_PLUS,
    LITERAL_PLUS_EXCHANGE,
    OPEN_COMMANDS,
    SEND_AT,
    Command,
    Conversation,
    date_time,
    fault,
    non_synchronising,
    quoted,
    tags,
    uid_list,
)

DATE = datetime(2003, 2, 1, 4, 5, 6, tzinfo=UTC)
HEAD = b'"01-Feb-2003 04:05:06 +0000"'


def upload(octets: bytes, *flags: str, date: datetime = DATE) -> Upload:
    return Upload(from_bytes(octets), flags, date)


class Talk:
    """A conversation that was given some commands, and what becomes of each."""

    def __init__(
        self, commands: Sequence[Sequence[Upload]], largest_unasked: int, name: bytes = b"INBOX"
    ) -> None:
        self.conversation = Conversation(largest_unasked=largest_unasked, tags=tags())
        self.commands = [Command(name, uploads) for uploads in commands]
        for command in self.commands:
            self.conversation.add(command)

    def said(self) -> bytes:
        """Everything that it wants to send before it must hear something."""
        octets = b""
        while piece := self.next_octets():
            octets += piece
        return octets

    def next_octets(self) -> bytes:
        return self.conversation.next_octets()

    def receive(self, octets: bytes) -> None:
        self.conversation.receive(octets)

    @property
    def broken(self) -> str:
        return self.conversation.broken

    @property
    def idle(self) -> bool:
        return self.conversation.idle

    def fates(self) -> list[str]:
        """The kind of the answer to each command; "in flight" or "unsent" where there is none. The last word: what is
        unsent will not be sent any more."""
        in_flight, unsent = self.conversation.in_flight, self.conversation.take_back()
        assert not set(map(id, in_flight)) & set(map(id, unsent))
        answered = self.conversation.take_answered()
        assert {id(one) for one in self.commands} == set(map(id, [*in_flight, *unsent, *answered]))
        return [
            one.answer.kind if one.answer else "in flight" if one in in_flight else "unsent"
            for one in self.commands
        ]


def new_talk(commands: Sequence[Sequence[Upload]], largest_unasked: int = LITERAL_PLUS) -> Talk:
    """In a session in which the server has taken no flags yet."""
    return Talk(commands, largest_unasked)


def conversation(commands: Sequence[Sequence[Upload]], largest_unasked: int = LITERAL_PLUS) -> Talk:
    """In a session in which the server has taken all these flags before."""
    talk = Talk(commands, largest_unasked)
    talk.conversation._good_flags |= {" ".join(one.flags).encode() for uploads in commands for one in uploads}
    return talk


# -- what goes out


def test_one_message_that_does_not_wait() -> None:
    talk = conversation([[upload(b"hello", "\\Seen", "$Work")]])
    assert talk.said() == b'A0 APPEND "INBOX" (\\Seen $Work) ' + HEAD + b" {5+}\r\nhello\r\n"
    assert not talk.idle
    talk.receive(b"A0 OK done\r\n")
    assert talk.idle
    assert talk.fates() == ["OK"]
    assert not talk.broken


def test_many_messages_in_one_command() -> None:
    talk = conversation([[upload(b"one", "\\Seen"), upload(b"two")]])
    assert talk.said() == (
        b'A0 APPEND "INBOX" (\\Seen) ' + HEAD + b" {3+}\r\none () " + HEAD + b" {3+}\r\ntwo\r\n"
    )


def test_commands_follow_each_other_without_waiting() -> None:
    talk = conversation([[upload(b"one")], [upload(b"two")]])
    start = b'APPEND "INBOX" () ' + HEAD
    assert talk.said() == b"A0 " + start + b" {3+}\r\none\r\nA1 " + start + b" {3+}\r\ntwo\r\n"


def test_a_synchronising_literal_waits_for_the_go_ahead() -> None:
    talk = conversation([[upload(b"one"), upload(b"two")], [upload(b"three")]], ALWAYS_SYNCHRONISE)
    assert talk.said() == b'A0 APPEND "INBOX" () ' + HEAD + b" {3}\r\n"
    talk.receive(b"+ go\r\n")
    assert talk.said() == b"one () " + HEAD + b" {3}\r\n"
    talk.receive(b"* 1 EXISTS\r\n")
    assert talk.said() == b""
    talk.receive(b"+ go\r\n")
    assert talk.said() == b'two\r\nA1 APPEND "INBOX" () ' + HEAD + b" {5}\r\n"
    talk.receive(b"A0 OK\r\n+ go\r\n")
    assert talk.said() == b"three\r\n"
    talk.receive(b"A1 OK\r\n")
    assert talk.fates() == ["OK", "OK"]
    assert talk.idle


def test_the_first_message_with_each_list_of_flags_waits_even_where_it_need_not() -> None:
    seen, plain = upload(b"one", "\\Seen"), upload(b"two")
    talk = new_talk([[seen, seen, plain], [seen], [plain]])
    assert talk.said() == b'A0 APPEND "INBOX" (\\Seen) ' + HEAD + b" {3}\r\n"
    talk.receive(b"+ go\r\n")
    assert talk.said() == b"one (\\Seen) " + HEAD + b" {3+}\r\none () " + HEAD + b" {3}\r\n"
    talk.receive(b"A0 BAD Invalid flag\r\n")
    assert talk.said() == b"", "no octet of the message that it objects to went out"
    assert talk.broken


def test_only_small_literals_do_not_wait() -> None:
    talk = conversation([[upload(b"x" * 4096), upload(b"x" * 4097)]], LITERAL_MINUS)
    octets = talk.said()
    assert b" {4096+}\r\n" in octets
    assert octets.endswith(b" {4097}\r\n")


def test_large_messages_leave_in_pieces() -> None:
    size = 2 * SPOOL_AT
    talk = conversation([[upload(b"x" * size)]])
    pieces = []
    while piece := talk.next_octets():
        pieces.append(piece)
    assert len(pieces) > 2
    assert max(map(len, pieces)) < 2 * SEND_AT
    assert b"".join(pieces).endswith(b" {%d+}\r\n" % size + b"x" * size + b"\r\n")


def test_small_messages_leave_together() -> None:
    talk = conversation([[upload(b"x" * 100)] for _ in range(50)])
    assert len(talk.next_octets()) > 8000
    assert talk.next_octets() == b""


def test_not_everything_is_open_at_once() -> None:
    talk = conversation([[upload(b"x")] for _ in range(OPEN_COMMANDS + 2)])
    assert talk.said().count(b"APPEND") == OPEN_COMMANDS
    talk.receive(b"A1 OK\r\n")
    assert talk.said().count(b"APPEND") == 1


def test_the_name_is_quoted() -> None:
    talk = Talk([[upload(b"x")]], LITERAL_PLUS, b'a "b" \\ c')
    assert talk.said().startswith(b'A0 APPEND "a \\"b\\" \\\\ c" () ')
    for name in (b"a\rb", b"a\nb", b"a\0b", b"\xff"):
        with pytest.raises(InternalError):
            quoted(name)


def test_a_message_that_changes_while_it_is_sent_is_a_defect() -> None:
    class Liar:
        size = 3
        digest = match_digest = b""
        likely_sizes = frozenset({3})

        def __init__(self, *chunks: bytes) -> None:
            self._chunks = chunks

        def head(self) -> bytes:
            return b""

        def chunks(self) -> itertools.chain[bytes]:
            return itertools.chain(self._chunks)

    for chunks in ((b"ab",), (b"ab", b"cd")):
        with pytest.raises(InternalError):
            conversation([[Upload(Liar(*chunks), (), DATE)]]).said()


@given(
    st.lists(st.lists(st.binary(min_size=1, max_size=60), min_size=1, max_size=4), min_size=1, max_size=4),
    st.sampled_from([ALWAYS_SYNCHRONISE, 20, LITERAL_PLUS]),
)
def test_a_server_that_reads_it_gets_exactly_what_was_given(mail: list[list[bytes]], largest: int) -> None:
    talk = conversation([[upload(octets) for octets in command] for command in mail], largest)
    wire, read = b"", []
    for number, command in enumerate(mail):
        for octets in command:
            header, waits = b"", len(octets) > largest
            wire += talk.said()
            header, _, wire = wire.partition(b"\r\n")
            assert header.endswith(b"{%d%b}" % (len(octets), b"" if waits else b"+"))
            if waits:
                assert wire == b""
                talk.receive(b"+\r\n")
                wire += talk.said()
            read.append(wire[: len(octets)])
            wire = wire[len(octets) :]
        assert wire.startswith(b"\r\n")
        wire = wire[2:]
        talk.receive(b"A%d OK\r\n" % number)
    assert wire == b""
    assert talk.idle
    assert not talk.broken
    assert read == [octets for command in mail for octets in command]


# -- what comes back


def test_each_command_has_its_own_answer_in_any_order() -> None:
    talk = conversation([[upload(b"x")], [upload(b"y")], [upload(b"z")]])
    talk.said()
    for octet in b"A2 OK\r\n* 3 EXISTS\r\nA0 NO no\r\nA1 OK\r\n":
        talk.receive(bytes([octet]))
    assert talk.fates() == ["NO", "OK", "OK"]
    assert talk.idle
    assert not talk.broken


@pytest.mark.parametrize("answer", [b"A0 NO [TRYCREATE] no\r\n", b"A0 NO no\r\n", b"A0 BAD what?\r\n"])
def test_a_refusal_instead_of_the_go_ahead_breaks_nothing(answer: bytes) -> None:
    talk = conversation([[upload(b"one")], [upload(b"two")]], ALWAYS_SYNCHRONISE)
    talk.said()
    talk.receive(answer)
    assert not talk.broken
    rest = talk.said()
    assert b"one" not in rest
    assert bool(rest) is (b"TRYCREATE" not in answer)  # a refusal of everything ends it
    assert talk.conversation.halted is not bool(rest)
    if rest:
        talk.receive(b"+\r\n")
        assert talk.said() == b"two\r\n"
        talk.receive(b"A1 OK\r\n")
    assert talk.fates() == [answer[3:6].decode().strip(), "OK" if rest else "unsent"]
    assert talk.idle


def test_a_refused_second_message_ends_its_command() -> None:
    talk = conversation([[upload(b"one"), upload(b"two")], [upload(b"three")]], ALWAYS_SYNCHRONISE)
    talk.said()
    talk.receive(b"+\r\n")
    talk.said()
    talk.receive(b"A0 NO no\r\n")
    assert talk.said().startswith(b"A1 APPEND")
    assert not talk.broken


def test_bad_while_octets_are_on_their_way_stops_everything() -> None:
    talk = conversation([[upload(b"one"), upload(b"x" * 600_000)], [upload(b"two")]])
    assert talk.next_octets()
    talk.receive(b"A0 BAD Error in IMAP command APPEND\r\n")
    assert talk.broken
    assert talk.next_octets() == b""
    assert talk.fates() == ["in flight", "unsent"]
    assert talk.conversation.bad is not None


def test_bad_to_one_of_many_leaves_the_others_in_doubt() -> None:
    talk = conversation([[upload(b"x")] for _ in range(4)])
    talk.said()
    talk.receive(b"A0 OK\r\nA1 BAD what?\r\nA2 OK\r\n")
    assert talk.fates() == ["OK", "in flight", "in flight", "in flight"]


@pytest.mark.parametrize("largest_unasked", [ALWAYS_SYNCHRONISE, LITERAL_PLUS])
def test_an_early_no_counts_and_breaks(largest_unasked: int) -> None:
    talk = conversation([[upload(b"x" * 900_000)], [upload(b"two")]], largest_unasked)
    talk.next_octets()
    if largest_unasked == ALWAYS_SYNCHRONISE:
        talk.receive(b"+\r\n")
        talk.next_octets()
    talk.receive(b"A0 NO [ALERT] too big\r\n")
    assert talk.broken
    assert talk.next_octets() == b""
    assert talk.fates() == ["NO", "unsent"]


@pytest.mark.parametrize(
    "answer",
    [
        b"A0 OK before it was sent\r\n",
        b"A1 OK of a command not begun\r\n",
        b"A7 OK of no command\r\n",
        b"+ go on, although nobody asked\r\n",
        b"* BYE [UNAVAILABLE] bye\r\n",
        b"220 smtp\r\n",
        b"* " + b"x" * 2_000_000,
    ],
)
def test_nonsense_breaks(answer: bytes) -> None:
    talk = conversation([[upload(b"x" * 900_000)], [upload(b"two")]])
    talk.next_octets()
    talk.receive(answer)
    assert talk.broken
    assert talk.broken.isprintable()
    assert talk.next_octets() == b""
    assert talk.fates() == ["in flight", "unsent"]


def test_a_lost_connection_leaves_what_was_begun_in_doubt() -> None:
    talk = conversation([[upload(b"x")], [upload(b"x" * 900_000)], [upload(b"two")]])
    talk.next_octets()
    talk.receive(b"A0 OK\r\n")
    talk.conversation.lost("no answer")
    assert talk.fates() == ["OK", "in flight", "unsent"]
    assert talk.broken == "no answer"


def test_nothing_at_all_is_in_doubt_before_anything_was_asked_for() -> None:
    talk = conversation([[upload(b"x")]])
    talk.conversation.lost("no connection")
    assert talk.fates() == ["unsent"]


def test_after_a_full_account_nothing_more_is_begun() -> None:
    talk = conversation([[upload(b"x" * SEND_AT)] for _ in range(4)])
    talk.next_octets()
    talk.next_octets()
    talk.receive(b"A0 NO [OVERQUOTA] full\r\n")
    talk.said()
    talk.receive(b"A1 NO [OVERQUOTA] full\r\n")
    talk.said()
    assert talk.fates()[-1] == "unsent"
    assert talk.idle
    assert not talk.broken


# -- what must never go out


@pytest.mark.parametrize(
    "flag",
    [
        "\\Seen)", "\\Seen) {3+}\r\nabc", "\\Recent", "\\", "\\Foo", "\\seen\r\nA CREATE x", "", "a b", "a(b", "a{b",
        "a%b", "a*b", 'a"b', "a\\b", "a]b", "ä", "a\0", "a\x7f", "x" * 256,
    ],
)  # fmt: skip
def test_no_flag_can_break_out(flag: str) -> None:
    assert fault(upload(b"x", flag))
    assert fault(upload(b"x", flag)).isprintable()


@pytest.mark.parametrize(
    "flag", ["\\Seen", "\\SEEN", "\\Deleted", "$Forwarded", "a:b", "a+b/c", "NonJunk", "[x", "a'b~"]
)
def test_flags_that_are_good_are_sent(flag: str) -> None:
    assert fault(upload(b"x", flag)) == ""


@given(st.text(max_size=12))
def test_whatever_passes_as_a_flag_is_an_atom(flag: str) -> None:
    if not fault(upload(b"x", flag)):
        assert flag.isascii()
        assert not set(flag.removeprefix("\\")) & set(' (){%*"\\]\r\n\0\x7f')


@pytest.mark.parametrize(
    ("date", "good"),
    [
        (datetime(1970, 1, 1, tzinfo=UTC), True),
        (datetime(2037, 12, 31, 23, 59, 59, tzinfo=UTC), True),
        (datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC), False),
        (datetime(2038, 1, 1, tzinfo=UTC), False),
        (datetime(1, 1, 1, tzinfo=UTC), False),
        (datetime(2000, 1, 1), False),
        (datetime(1970, 1, 1, tzinfo=timezone(timedelta(hours=2))), False),
    ],
)
def test_dates_that_servers_mangle_are_not_sent(date: datetime, *, good: bool) -> None:
    assert (fault(upload(b"x", date=date)) == "") is good


def test_nothing_empty_is_sent() -> None:
    assert "empty" in fault(upload(b""))


def test_dates_are_written_in_utc_whatever_their_zone() -> None:
    zone = timezone(timedelta(hours=5, minutes=30, seconds=28))
    assert date_time(datetime(2003, 1, 1, 0, 0, 0, 999_999, tzinfo=zone)) == b'"31-Dec-2002 18:29:32 +0000"'


def test_the_epoch_is_written_as_a_second_later() -> None:
    assert date_time(datetime(1970, 1, 1, tzinfo=UTC)) == b'"01-Jan-1970 00:00:01 +0000"'


def test_literals_wait_as_the_server_wants() -> None:
    assert non_synchronising({"LITERAL+"}) == LITERAL_PLUS
    assert non_synchronising({"LITERAL+", "LITERAL-"}, exchange=True) == LITERAL_PLUS_EXCHANGE
    assert non_synchronising({"LITERAL-"}) == LITERAL_MINUS
    assert non_synchronising({"IMAP4REV1"}) == ALWAYS_SYNCHRONISE


# -- APPENDUID


@pytest.mark.parametrize(
    ("argument", "uids"),
    [
        ("7 10:12", [10, 11, 12]),
        ("7 10,12,20", [10, 12, 20]),
        ("7 10:11,20", [10, 11, 20]),
        ("7 10,15:16", [10, 15, 16]),
        ("7 9:11", None),  # there before
        ("7 10:11", None),  # too few
        ("7 10:13", None),  # too many
        ("7 1:4294967295", None),
        ("7 12:10", None),
        ("7 12,11,10", None),
        ("7 10,10,11", None),
        ("7 10:12,12", None),
        ("8 10:12", None),  # another UIDVALIDITY
        ("10:12 7", None),
        ("7 10:*", None),
        ("7", None),
        ("", None),
        ("7 10,,12", None),
        ("7 10 11 12", None),
        ("7 4294967294:4294967296", None),
        ("7 " + "9" * 400, None),
    ],
)
def test_uids_are_believed_only_if_they_can_be_true(argument: str, uids: list[int] | None) -> None:
    assert uid_list(argument, 3, 7, 10) == uids


def test_swapped_arguments_are_not_believed() -> None:
    assert uid_list("12 7", 1, 7, 10) is None


@given(st.text(alphabet="0123456789:, ", max_size=30), st.integers(1, 5))
def test_believed_uids_are_ascending_and_as_many_as_asked(argument: str, count: int) -> None:
    uids = uid_list("7 " + argument, count, 7, 3)
    if uids is not None:
        assert len(uids) == count
        assert uids == sorted(set(uids))
        assert uids[0] >= 3
