"""The POP3 wire protocol: every reply whole, one octet at a time, cut in two anywhere, and with more behind it."""

from __future__ import annotations

import base64
import io
import poplib
import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pop2imap.errors import ConfigError, ProtocolError
from pop2imap.sources import pop3_stuffing, pop3_wire
from pop2imap.sources.pop3_wire import Body, Challenge, Command, End, Event, Lines, Reply, ReplyReader, Status
from tests.fakes.pop3_server import stuffed

OK = Status(True, "", "")


def joined(events: list[Event]) -> list[Event]:
    """The same events, however the octets came in pieces."""
    whole: list[Event] = []
    for event in events:
        last = whole[-1] if whole else None
        if isinstance(event, Body) and isinstance(last, Body):
            whole[-1] = Body(last.octets + event.octets)
        elif isinstance(event, Lines) and isinstance(last, Lines):
            whole[-1] = Lines(last.lines + event.lines)
        else:
            whole.append(event)
    return whole


def events_of(reader: ReplyReader) -> list[Event]:
    events = []
    while (event := reader.next_event()) is not None:
        events.append(event)
    return events


def fed(pieces: list[bytes], *expected: Reply, lenient_end: bool = False) -> tuple[list[Event], ReplyReader]:
    reader = ReplyReader(lenient_end=lenient_end)
    reader.expect(*expected)
    events = events_of(reader)
    for piece in pieces:
        reader.feed(piece)
        events += events_of(reader)
    return joined(events), reader


def decoded(octets: bytes, *expected: Reply, lenient_end: bool = False) -> list[Event]:
    """The events of ``octets``, which do not depend on how the octets come; and what follows stays as excess."""
    events, reader = fed([octets], *expected, lenient_end=lenient_end)
    assert not reader.awaiting
    assert reader.excess == b""
    ways = [[octets[:at], octets[at:]] for at in range(1, len(octets))]
    ways.append([octets[at : at + 1] for at in range(len(octets))])
    for pieces in ways:
        assert fed(pieces, *expected, lenient_end=lenient_end)[0] == events
    events_with_more, reader = fed([octets + b"more"], *expected, lenient_end=lenient_end)
    assert events_with_more == events
    assert reader.excess == b"more"
    return events


def message(octets: bytes, *, lenient_end: bool = False) -> bytes:
    """The one message of the reply ``octets``."""
    first, *bodies, end = decoded(octets, Reply.MESSAGE, lenient_end=lenient_end)
    assert isinstance(first, Status)
    assert first.ok
    assert end == End()
    return b"".join(body.octets for body in bodies if isinstance(body, Body))


class TestStatus:
    @pytest.mark.parametrize(
        ("octets", "status"),
        [
            (b"+OK\r\n", OK),
            (b"+OK ready\r\n", Status(True, "", "ready")),
            (b"+ok  ready \r\n", Status(True, "", "ready")),
            (b"+OK bare line feed\n", Status(True, "", "bare line feed")),
            (b"-ERR\r\n", Status(False, "", "")),
            (b"-ERR [IN-USE] locked\r\n", Status(False, "IN-USE", "locked")),
            (b"-ERR [sys/temp]locked\r\n", Status(False, "SYS/TEMP", "locked")),
            (b"-ERR [LOGIN-DELAY 300] wait\r\n", Status(False, "LOGIN-DELAY", "wait")),
            (b"-ERR [not closed\r\n", Status(False, "", "[not closed")),
            (b"-ERR [] nothing\r\n", Status(False, "", "[] nothing")),
            (b"+OK [X] y\r\n", Status(True, "X", "y")),
        ],
    )
    def test_is_read(self, octets: bytes, status: Status) -> None:
        assert decoded(octets, Reply.STATUS) == [status]

    def test_is_made_printable(self) -> None:
        (status,) = decoded(b"-ERR [A\x07B] \x1b[31mred \xe2\x80\xaegnp\xff\r\n", Reply.STATUS)
        assert isinstance(status, Status)
        assert status.words.isprintable()
        assert status.code == "A\\x07B"
        assert "\\u202e" in status.words

    def test_of_a_negative_multi_line_reply_ends_it(self) -> None:
        replies = b"-ERR no\r\n-ERR no\r\n+OK\r\n"
        events = decoded(replies, Reply.LIST, Reply.MESSAGE, Reply.STATUS)
        assert events == [Status(False, "", "no"), Status(False, "", "no"), OK]

    @pytest.mark.parametrize(
        "octets", [b"\r\n", b"* OK imap\r\n", b"220 smtp\r\n", b"HTTP/1.1 400\r\n", b"+ \r\n"]
    )
    def test_is_nothing_else(self, octets: bytes) -> None:
        with pytest.raises(ProtocolError):
            fed([octets], Reply.STATUS)

    def test_of_a_challenge_is_never_a_success(self) -> None:
        assert decoded(b"+ eyJzdGF0dXMiOiI0MDAifQ==\r\n", Reply.SASL) == [Challenge()]
        assert decoded(b"+\r\n", Reply.SASL) == [Challenge()]
        assert decoded(b"+OK\r\n", Reply.SASL) == [OK]
        with pytest.raises(ProtocolError):
            fed([b"+ eyJzdGF0dXMiOiI0MDAifQ==\r\n"], Reply.STATUS)

    @pytest.mark.parametrize(("reply", "limit"), [(Reply.GREETING, 8 << 10), (Reply.STATUS, 64 << 10)])
    def test_has_a_limit(self, reply: Reply, limit: int) -> None:
        fits = b"+OK ".ljust(limit - 1, b"x")
        assert len(fed([fits + b"\n"], reply)[0]) == 1
        assert fed([fits], reply)[0] == []
        with pytest.raises(ProtocolError):
            fed([fits + b"x\n"], reply)
        with pytest.raises(ProtocolError):  # it does not wait for an end that may never come
            fed([fits + b"x"], reply)


class TestList:
    def test_comes_as_lines(self) -> None:
        octets = b"+OK\r\n1 100\r\n\r\n..2 200\r\nbare\n3 300\r\n.\r\n"
        assert decoded(octets, Reply.LIST) == [
            OK,
            Lines([b"1 100", b"", b".2 200", b"bare", b"3 300"]),
            End(),
        ]

    def test_may_be_empty(self) -> None:
        assert decoded(b"+OK\r\n.\r\n", Reply.LIST) == [OK, End()]

    def test_may_be_followed_by_other_replies(self) -> None:
        octets = b"+OK\r\na\r\n.\r\n+OK\r\n.\r\n+OK\r\nx\r\n.\r\n-ERR\r\n"
        events = decoded(octets, Reply.LIST, Reply.CAPABILITIES, Reply.MESSAGE, Reply.STATUS)
        expected = [OK, Lines([b"a"]), End(), OK, End(), OK, Body(b"x\r\n"), End(), Status(False, "", "")]
        assert events == expected

    def test_has_a_limit_for_its_lines(self) -> None:
        line = b"1 ".ljust(pop3_wire.LINE_LIMIT - 1, b"x")
        assert fed([b"+OK\r\n" + line + b"\n"], Reply.LIST)[0] == [OK, Lines([line])]
        for longer in (line + b"xx\n", line + b"xx"):
            with pytest.raises(ProtocolError):
                fed([b"+OK\r\n" + longer], Reply.LIST)

    @pytest.mark.parametrize(
        ("reply", "limit"),
        [(Reply.LIST, pop3_wire.LIST_LIMIT), (Reply.CAPABILITIES, pop3_wire.CAPABILITIES_LIMIT)],
    )
    def test_has_a_limit(self, reply: Reply, limit: int) -> None:
        pieces = [b"+OK\r\n", b"1\r\n" * (limit // 2), b"1\r\n" * (limit // 2)]
        assert fed([*pieces, b".\r\n"], reply)[0][-1] == End()
        with pytest.raises(ProtocolError):
            fed([*pieces, b"1\r\n"], reply)


class TestMessage:
    @pytest.mark.parametrize(
        ("wire", "octets"),
        [
            (b"", b""),
            (b"x\r\n", b"x\r\n"),
            (b"..\r\n", b".\r\n"),
            (b"...\r\n..x\r\n", b"..\r\n.x\r\n"),
            (b".x\r\n", b".x\r\n"),  # a server that forgot to stuff
            (b".\rx\r\n", b".\rx\r\n"),
            (b"a\n.\nb\r\n", b"a\n.\nb\r\n"),
            (b"a\n.\r\nb\r\n", b"a\n.\r\nb\r\n"),
            (b"a\r\n.\nb\r\n", b"a\r\n.\nb\r\n"),
            (b"a\n..b\r\n", b"a\n..b\r\n"),  # a line of mail begins after CRLF only
            (b"a\r\r\n..b\r\n", b"a\r\r\n.b\r\n"),
            (b"\r\n\r\n..\r\n\r\n", b"\r\n\r\n.\r\n\r\n"),
            (b"\0\r\n\xff\r\r\r\n", b"\0\r\n\xff\r\r\r\n"),
            (b"a\r\n.\r.\r\n", b"a\r\n.\r.\r\n"),
        ],
    )
    def test_keeps_every_octet(self, wire: bytes, octets: bytes) -> None:
        assert message(b"+OK\r\n" + wire + b".\r\n") == octets

    @given(st.lists(st.sampled_from([b"\r", b"\n", b".", b"\r\n", b"\0", b"a", b"\xff"]), max_size=12))
    @example([b".", b"\r\n", b"."])
    def test_comes_out_as_it_went_in(self, parts: list[bytes]) -> None:
        octets = b"".join(parts)
        expected = octets if octets.endswith(b"\r\n") or not octets else octets + b"\r\n"
        assert message(b"+OK here it is\r\n" + stuffed(octets)) == expected

    @given(
        st.lists(st.sampled_from([b"\r", b".", b"\r\n", b"\n.", b"a", b"ab."]), max_size=30),
        st.integers(1, 40),
        st.integers(3, 12),
        st.integers(0, 3),
    )
    def test_has_its_dots_found_by_each_way_of_looking(
        self, parts: list[bytes], step: int, near: int, few: int
    ) -> None:
        octets = b"".join(parts) + b"\r\n"
        wire = b"+OK\r\n" + stuffed(octets)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pop3_stuffing, "NEAR", near)
            patch.setattr(pop3_stuffing, "FEW_DOTS", few)
            pieces = [wire[at : at + step] for at in range(0, len(wire), step)]
            assert joined(fed(pieces, Reply.MESSAGE)[0]) == [OK, Body(octets), End()]

    @given(st.lists(st.binary(max_size=300), max_size=5), st.integers(1, 700))
    def test_of_many_come_out_one_by_one(self, mails: list[bytes], step: int) -> None:
        wire = b"".join(b"+OK\r\n" + stuffed(octets) for octets in mails)
        pieces = [wire[at : at + step] for at in range(0, len(wire), step)]
        events, reader = fed(pieces, *[Reply.MESSAGE] * len(mails))
        assert not reader.awaiting
        bodies: list[bytes] = []
        for event in events:
            if isinstance(event, Status):
                bodies.append(b"")
            elif isinstance(event, Body):
                bodies[-1] += event.octets
        assert bodies == [mail if mail.endswith(b"\r\n") or not mail else mail + b"\r\n" for mail in mails]

    @given(st.lists(st.binary(max_size=100).filter(lambda line: not {10, 13} & set(line)), max_size=8))
    def test_agrees_with_poplib_where_poplib_keeps_octets(self, lines: list[bytes]) -> None:
        wire = b"+OK\r\n" + stuffed(b"".join(line + b"\r\n" for line in lines))
        oracle = poplib.POP3.__new__(poplib.POP3)
        oracle.file = io.BytesIO(wire)
        oracle._debugging = 0  # type: ignore[attr-defined]
        _, expected, _ = oracle._getlongresp()  # type: ignore[attr-defined]
        assert message(wire) == b"".join(line + b"\r\n" for line in expected)

    def test_may_follow_a_status_that_ends_with_a_bare_line_feed(self) -> None:
        assert message(b"+OK\n..a\r\n.\r\n") == b".a\r\n"
        assert message(b"+OK\n.\r\n") == b""

    def test_that_was_cut_never_ends(self) -> None:
        whole = b"+OK\r\n" + stuffed(b"Subject: x\r\n\r\n.\r\nbody\r\n")
        for length in range(len(whole)):
            events, reader = fed([whole[:length]], Reply.MESSAGE)
            assert End() not in events
            assert reader.awaiting

    def test_has_lines_of_any_length_and_comes_in_pieces(self) -> None:
        reader = ReplyReader()
        reader.expect(Reply.MESSAGE)
        reader.feed(b"+OK\r\n")
        assert reader.next_event() == OK
        piece, total = b"x" * 100_000, 0
        tracemalloc.start()
        try:
            for _ in range(200):
                reader.feed(piece)
                event = reader.next_event()
                assert isinstance(event, Body)
                total += len(event.octets)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert total == 200 * len(piece)
        assert peak < 1 << 20

    def test_whose_dots_were_not_stuffed_shows_that_its_end_was_none(self) -> None:
        reader = ReplyReader()
        reader.expect(Reply.MESSAGE, Reply.MESSAGE)
        reader.feed(b"+OK\r\nfirst part\r\n.\r\nand the rest\r\n.\r\n+OK\r\n")
        assert [reader.next_event() for _ in range(3)] == [OK, Body(b"first part\r\n"), End()]
        assert reader.excess.startswith(b"and the rest")

    def test_ends_with_bare_line_feeds_only_if_that_was_agreed(self) -> None:
        wire = b"+OK\nSubject: x\n\n..dot\n.lone\nend\n.\n"
        events, reader = fed([wire], Reply.MESSAGE)
        assert End() not in events
        assert reader.bare_end
        assert message(wire, lenient_end=True) == b"Subject: x\n\n.dot\n.lone\nend\n"
        assert message(b"+OK\r\na\r\n..\r\n.\r\n", lenient_end=True) == b"a\r\n.\r\n"
        assert message(b"+OK\r\n.\r\n", lenient_end=True) == b""
        assert message(b"+OK\n.\n", lenient_end=True) == b""

    def test_in_progress_does_not_look_like_a_bare_end(self) -> None:
        assert not fed([b"+OK\r\na\n.\nb"], Reply.MESSAGE)[1].bare_end
        assert fed([b"+OK\r\na\n.", b"\n"], Reply.MESSAGE)[1].bare_end
        assert not fed([b"+OK\r\na\n.\n\r\n.\r\n"], Reply.MESSAGE)[1].bare_end


class TestExcess:
    def test_is_what_nobody_asked_for(self) -> None:
        reader = ReplyReader()
        reader.expect(Reply.STATUS)
        reader.feed(b"+OK\r\n+OK injected\r\n")
        assert reader.next_event() == OK
        assert reader.next_event() is None
        assert reader.excess == b"+OK injected\r\n"

    @pytest.mark.parametrize("beginning", [b"", b"+", b"+o", b"+OK", b"-", b"-E", b"-ERR no"])
    def test_is_not_the_beginning_of_an_awaited_reply(self, beginning: bytes) -> None:
        reader = ReplyReader()
        reader.expect(Reply.STATUS)
        if beginning:
            reader.feed(beginning)
        assert reader.excess == b""

    @pytest.mark.parametrize("other", [b"x", b"\r", b"+x", b"-Ex", b" +OK"])
    def test_is_anything_else(self, other: bytes) -> None:
        reader = ReplyReader()
        reader.expect(Reply.STATUS)
        reader.feed(other)
        assert reader.excess == other

    def test_is_nothing_within_a_message(self) -> None:
        events, reader = fed([b"+OK\r\nx\r"], Reply.MESSAGE)
        assert events == [OK, Body(b"x")]
        assert reader.inside
        assert reader.begun
        assert reader.excess == b""


class TestCommands:
    def test_are_what_the_standards_say(self) -> None:
        assert pop3_wire.retr(7).octets == b"RETR 7\r\n"
        assert pop3_wire.top(7).octets == b"TOP 7 0\r\n"
        assert pop3_wire.dele(7).octets == b"DELE 7\r\n"
        assert pop3_wire.user("alice@example.com").octets == b"USER alice@example.com\r\n"
        assert pop3_wire.password("two words é").octets == "PASS two words é\r\n".encode()

    def test_of_auth_plain_name_the_mailbox_first(self) -> None:
        response = pop3_wire.plain_response("admin", "secret", "alice")
        assert base64.b64decode(response.octets) == b"alice\0admin\0secret"
        assert response.octets.endswith(b"\r\n")
        at_once = pop3_wire.plain_at_once(response)
        assert at_once is not None
        assert at_once.octets == b"AUTH PLAIN " + response.octets

    def test_of_auth_plain_stay_within_the_line_limit(self) -> None:
        longest = max(
            (
                length
                for length in range(300)
                if pop3_wire.plain_at_once(pop3_wire.plain_response("a", "x" * length))
            ),
            default=0,
        )
        at_once = pop3_wire.plain_at_once(pop3_wire.plain_response("a", "x" * longest))
        assert at_once is not None
        assert 250 < len(at_once.octets) <= 255

    @pytest.mark.parametrize("bad", ["a\r\nDELE 1", "a\n", "\r", "nul\0"])
    def test_take_no_line_ends_and_no_nul(self, bad: str) -> None:
        makers: list[Callable[[], Command]] = [
            lambda: pop3_wire.user(bad),
            lambda: pop3_wire.password(bad),
            lambda: pop3_wire.plain_response(bad, "x"),
            lambda: pop3_wire.plain_response("x", bad),
            lambda: pop3_wire.plain_response("x", "y", bad),
        ]
        for make in makers:
            with pytest.raises(ConfigError) as caught:
                make()
            assert bad not in str(caught.value)

    def test_take_octets_that_are_no_text_from_the_environment(self) -> None:
        assert pop3_wire.password("gr\udcfcn").octets == b"PASS gr\xfcn\r\n"

    def test_never_show_a_password(self) -> None:
        with pytest.raises(ConfigError) as caught:
            pop3_wire.password("hunter2\ud800")
        assert "hunter2" not in repr(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__
        for command in (pop3_wire.password("hunter2"), pop3_wire.plain_response("a", "hunter2")):
            assert "hunter2" not in repr(command)
            assert base64.b64encode(b"\0a\0hunter2").decode() not in repr(command)


def test_a_message_is_never_taken_apart_into_lines() -> None:
    """One piece in, one piece out: the work is that of whole buffers, not of lines."""
    wire = b"+OK\r\n" + stuffed(b"..an ordinary line\r\n" * 50_000)
    pieces = [wire[at : at + (1 << 18)] for at in range(0, len(wire), 1 << 18)]
    reader = ReplyReader()
    reader.expect(Reply.MESSAGE)
    events = []
    for piece in pieces:
        reader.feed(piece)
        events += events_of(reader)
    assert len([event for event in events if isinstance(event, Body)]) == len(pieces)
