"""What comes over the network: POP3 replies and IMAP answers. Whatever it is, it is read, or it is a ProtocolError; and
in what pieces it comes makes no difference."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, composite

from pop2imap import net
from pop2imap.errors import ConnectionLost, Pop2imapError, ProtocolError
from pop2imap.sources.pop3_capabilities import Capabilities
from pop2imap.sources.pop3_listing import Names, Scan, merge
from pop2imap.sources.pop3_wire import Body, Challenge, End, Event, Lines, Reply, ReplyReader, Status
from pop2imap.target import fetched
from pop2imap.target.answers import Answer, AnswerReader
from pop2imap.target.folders import Names as FolderNames
from pop2imap.target.session import Session
from pop2imap.target.wire import Wire
from tests.fuzz import bounded, harmless

# --- pieces


@composite
def cut(draw: DrawFn, octets: st.SearchStrategy[bytes]) -> list[bytes]:
    """Octets in pieces: in one, octet by octet, or anyhow."""
    whole = draw(octets)
    match draw(st.sampled_from(["one", "octets", "anyhow"])):
        case "one":
            return [whole] if whole else []
        case "octets":
            return [whole[at : at + 1] for at in range(len(whole))]
    places = sorted(draw(st.sets(st.integers(0, len(whole)), max_size=8)))
    ends = [*places, len(whole)]
    return [whole[start:end] for start, end in zip([0, *places], ends, strict=True) if start < end]


# --- POP3

POP3_WORDS = st.sampled_from(
    [b"+OK", b"-ERR", b"+", b"+ ", b"-", b"\r\n", b"\n", b"\r", b".", b"..", b"\r\n.\r\n", b"\n.\n", b" ", b"1",
     b"1 120", b"[IN-USE]", b"[", b"]", b"\0", b"\xff", b"STLS", b"x" * 300, b"Subject: x\r\n\r\n"]
)  # fmt: skip
POP3_TALK = st.lists(POP3_WORDS | st.binary(max_size=4), max_size=30).map(b"".join)
REPLIES = st.lists(st.sampled_from(list(Reply)), min_size=1, max_size=5)


def drawn_together(events: Sequence[Event]) -> list[object]:
    """Events with what belongs together in one: how much of a list or a message comes at once depends on the pieces."""
    told: list[object] = []
    for event in events:
        if isinstance(event, Body) and told and isinstance(told[-1], bytes):
            told[-1] += event.octets
        elif isinstance(event, Body):
            told.append(event.octets)
        elif isinstance(event, Lines) and told and isinstance(told[-1], list):
            told[-1] += event.lines
        elif isinstance(event, Lines):
            told.append(list(event.lines))
        else:
            told.append(event)
    return told


def heard(pieces: Sequence[bytes], replies: Sequence[Reply], *, lenient: bool) -> tuple[list[Event], str]:
    """All events, and "" or the error that ended them, or what was left over."""
    reader = ReplyReader("pop.example", lenient_end=lenient)
    reader.expect(*replies)
    events: list[Event] = []
    try:
        for piece in pieces:
            reader.feed(piece)
            while (event := reader.next_event()) is not None:
                events.append(event)
    except ProtocolError:
        return events, "error"
    return events, f"{reader.awaiting} {reader.begun} {reader.excess!r}" if not reader.inside else "inside"


@bounded(1500)
@given(cut(POP3_TALK), REPLIES, st.booleans())
@example([b"+OK\r\n", b".", b"\r\n"], [Reply.MESSAGE], False)
@example([b"+OK\n", b".\r\n"], [Reply.MESSAGE], False)
def test_pop3_replies_are_the_same_in_any_pieces(
    pieces: list[bytes], replies: list[Reply], lenient: bool
) -> None:
    whole = b"".join(pieces)
    events, end = heard([whole] if whole else [], replies, lenient=lenient)
    again, its_end = heard(pieces, replies, lenient=lenient)
    assert end == its_end
    assert drawn_together(events) == drawn_together(again) or end == "error"


@bounded(800)
@given(POP3_TALK, REPLIES, st.booleans())
def test_pop3_replies_never_get_out_of_step(octets: bytes, replies: list[Reply], lenient: bool) -> None:
    """One status for each reply at most, and nothing follows a negative one but the next."""
    events, _ = heard([octets] if octets else [], replies, lenient=lenient)
    expected = iter(replies)
    inside = None
    for event in events:
        if isinstance(event, Status | Challenge):
            assert inside is None
            inside = next(expected)
            assert isinstance(event, Status) or inside is Reply.SASL
            many = inside in {Reply.CAPABILITIES, Reply.LIST, Reply.MESSAGE}
            inside = inside if many and isinstance(event, Status) and event.ok else None
        elif isinstance(event, End):
            assert inside is not None
            inside = None
        else:
            assert isinstance(event, Body) == (inside is Reply.MESSAGE)


LISTED = st.lists(
    st.tuples(st.sampled_from([b"1", b"2", b"-1", b"0", b"9" * 19, b"9" * 40, b"x", b""]),
              st.sampled_from([b"120", b"1.0", b"u1", b"u2", b"-5", b"x" * 80, b"a b", b"\xff", b"sha256:0", b""]))
    .map(b" ".join) | st.binary(max_size=20), max_size=12,
)  # fmt: skip


@bounded(600)
@given(LISTED, st.none() | LISTED, st.none() | st.integers(0, 1 << 70))
def test_any_lines_make_a_listing(sizes: list[bytes], names: list[bytes] | None, count: int | None) -> None:
    scan, named = Scan(), None if names is None else Names()
    scan.add(sizes)
    if named is not None:
        named.add(names or ())
    table, remarks = merge("pop3:a@b:1", count, scan, named)
    keys = [ref.key for ref in table if ref.key is not None]
    assert len(set(keys)) == len(keys)
    assert [ref.position for ref in table] == list(range(1, len(table) + 1))
    assert 0 <= table.octets < 1 << 63
    assert all(harmless(str(remark)) for remark in remarks)
    Capabilities.parse(sizes)


# --- IMAP

ATOMS = st.sampled_from(
    [b"* ", b"A1 ", b"+ ", b"OK", b"NO", b"BAD", b"BYE", b"PREAUTH", b" ", b"\r\n", b"\n", b"[APPENDUID 7 1:3]", b"[",
     b"]", b"(", b")", b'"', b"\\", b'""', b"NIL", b"{3}\r\nabc", b"{0}\r\n", b"{99999999999}\r\n", b"{", b"1",
     b"4294967296", b"-1", b"1.0", b"FETCH", b"LIST", b"STATUS", b"NAMESPACE", b"QUOTA", b"QUOTAROOT", b"ID",
     b"CAPABILITY", b"EXISTS", b"UID 1", b"UID 4294967295", b"RFC822.SIZE 12", b"FLAGS (\\Seen)", b"FLAGS (",
     b"BODY[]", b"BODY[] NIL", b'INTERNALDATE "01-Jan-2020 00:00:00 +0000"', b"\\Sent", b'"/"', b"&", b"&AAA-",
     b"INBOX", b"UIDVALIDITY 7", b"MESSAGES 2", b"UIDNEXT 3", b"\0", b"\xff", b"\xc3\xa9"]
)  # fmt: skip
IMAP_TALK = st.lists(ATOMS | st.binary(max_size=3), max_size=40).map(b"".join)


def answered(pieces: Sequence[bytes]) -> tuple[list[Answer], bool]:
    """All answers, and whether an error ended them."""
    reader, answers = AnswerReader(), list[Answer]()
    try:
        for piece in pieces:
            answers += reader.feed(piece)
    except ProtocolError:
        return answers, True
    return answers, False


@bounded(1500)
@given(cut(IMAP_TALK))
def test_imap_answers_are_the_same_in_any_pieces(pieces: list[bytes]) -> None:
    whole = b"".join(pieces)
    answers, broken = answered([whole])
    again, again_broken = answered(pieces)
    assert broken == again_broken
    assert answers == again or broken
    for answer in again:
        assert harmless(answer.words)
        assert answer.meaning


@bounded(1500)
@given(st.lists(IMAP_TALK | st.tuples(IMAP_TALK, st.binary(max_size=5)) | st.none(), max_size=4))
def test_any_records_of_a_fetch_are_read_or_refused(records: list[fetched.Record | None]) -> None:
    for response in fetched.responses(records):
        one = fetched.found(response)
        if one is not None:
            assert 0 <= one.uid < 10**10
            assert one.date.tzinfo is not None
        fetched.uid(response)
    literals = [fetched.BodyDigest() for record in records if isinstance(record, tuple)]
    with contextlib.suppress(ProtocolError):
        assert len(list(fetched.bodies(records, literals))) <= len(records)


class Scripted(net.Connection):
    """A connection at whose other end the same words stand ready for each command."""

    def __init__(self, words: bytes) -> None:
        self.server = net.Server("imap.example", 993, net.Transport.CLEAR)
        self._words = words
        self._coming = b"* OK ready\r\n"

    def send(self, octets: bytes) -> None:
        tag = octets.split(b" ", 1)[0]
        capable = b"* CAPABILITY IMAP4rev1 NAMESPACE QUOTA ID UNSELECT AUTH=PLAIN"
        words = capable if b" CAPABILITY" in octets else self._words
        self._coming += words + b"\r\n" + tag + b" OK done\r\n"

    def receive(self, most: int = 1 << 18, *, begun: bool = False, unless: net.Bell | None = None) -> bytes:
        if not self._coming:
            raise ConnectionLost("the server closed it", where="imap.example")
        octets, self._coming = self._coming[:most], self._coming[most:]
        return octets

    def greeted(self) -> None: ...

    def close(self) -> None: ...

    @classmethod
    def session(cls, words: bytes) -> Session:
        """A session whose server says ``words`` and then OK to each command but CAPABILITY."""
        connection = cls(words)

        class Over(Wire):
            def open(self, host: str = "", port: int = 0, timeout: float | None = None) -> None:
                self.debug = 4  # as Wire.open
                self.connection = connection

        class Opened(Session):
            def _connect(self) -> Wire:
                return Over(connection.server)

        opened = Opened(connection.server)
        opened._read_capabilities()
        opened.wire.state = "SELECTED"
        return opened


ASKED: dict[str, Callable[[Session], object]] = {
    "listing": lambda asked: FolderNames("", "/", asked.ask(asked.listing())).folders(),
    "subscribed": lambda asked: asked.ask(asked.subscribed()),
    "namespace": lambda asked: asked.ask(asked.namespace()),
    "identify": lambda asked: harmless(asked.ask(asked.identify())) or pytest.fail("not printable"),
    "status": lambda asked: asked.ask(asked.status("INBOX")),
    "select": lambda asked: asked.ask(asked.select("INBOX", read_only=True)),
    "create": lambda asked: asked.ask(asked.create("New", "\\Sent")),
    "subscribe": lambda asked: asked.ask(asked.subscribe("New")),
    "survey": lambda asked: list(asked.survey(1, 3, 2)),
    "last uid": Session.last_uid,
    "digests": lambda asked: asked.digests([1, 2]),
    "quota": lambda asked: asked.ask(asked.quota()),
    "noop": Session.noop,
}


@pytest.mark.parametrize("asked", sorted(ASKED))
@bounded(150)
@given(words=IMAP_TALK)
@example(words=b"* OK [UIDVALIDITY \xff]")
@example(words=b"* STATUS INBOX (UIDNEXT 99999999999999999999)")
@example(words=b'* LIST () "/" {3}\r\nabc')
def test_an_imap_session_reads_any_answer_or_says_that_it_cannot(asked: str, words: bytes) -> None:
    """With imaplib's and imapclient's parsers, as they are installed."""
    with contextlib.suppress(Pop2imapError):
        opened = Scripted.session(words)
        ASKED[asked](opened)
