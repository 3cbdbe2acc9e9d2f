"""Fetching: a bounded window, whole messages only, and servers that break sessions."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, repeat
from pathlib import Path

import pytest

from pop2imap.credentials import Secret
from pop2imap.errors import ConnectionLost, InternalError, LocalIOError, ProtocolError
from pop2imap.model import Account, Message, Unread
from pop2imap.octets import SPOOL_AT
from pop2imap.sources import pop3_fetch
from pop2imap.sources.pop3 import Pop3Source
from tests.fakes.pop3_server import CAPABILITIES, PASSWORD, USER, Maildrop, Pop3Server, endless

ONE_AT_A_TIME = ("USER", "UIDL", "TOP")


def mail(count: int, size: int = 100) -> list[bytes]:
    return [
        f"Subject: {number}\r\n\r\n".encode().ljust(size - 2, b"x") + b"\r\n"
        for number in range(1, count + 1)
    ]


@pytest.fixture
def serve() -> Iterator[Callable[[Maildrop], tuple[Pop3Server, Pop3Source]]]:
    servers: list[Pop3Server] = []
    sources: list[Pop3Source] = []

    def start(maildrop: Maildrop) -> tuple[Pop3Server, Pop3Source]:
        server = Pop3Server(maildrop).__enter__()
        servers.append(server)
        sources.append(Pop3Source(server.address(), USER, Secret(PASSWORD)))
        return server, sources[-1]

    yield start
    for source in sources:
        source.close(settled=False)
    for server in servers:
        server.__exit__(None, None, None)


Serve = Callable[[Maildrop], tuple[Pop3Server, Pop3Source]]


def positions(items: Sequence[Message | Unread]) -> list[int]:
    return [item.position for item in items]


def read_on(source: Pop3Source, sessions: int) -> tuple[list[Message | Unread], int]:
    """What a caller gets that opens again after each ConnectionLost and reads what it does not have yet; and
    how many sessions that took."""
    got: dict[str, Message | Unread] = {}
    for session in range(1, sessions + 1):
        source.open()
        try:
            refs = [ref for ref in source.list().refs if str(ref.key) not in got]
            for item in source.read(refs):
                got[str(item.key)] = item
            return sorted(got.values(), key=lambda item: item.position), session
        except ConnectionLost:
            source.close(settled=False)
    raise AssertionError(f"not done after {sessions} sessions")


class TestTheWindow:
    def test_sends_many_commands_ahead(self, serve: Serve) -> None:
        server, source = serve(Maildrop(mail(1200)))
        source.open()
        items = list(source.read(source.list().refs))
        assert positions(items) == list(range(1, 1201))
        assert 100 < server.sessions[0].most_waiting <= pop3_fetch.WINDOW_COMMANDS

    def test_is_bounded_in_octets(self, serve: Serve) -> None:
        server, source = serve(Maildrop(mail(100), sizes=[pop3_fetch.WINDOW_OCTETS // 4] * 100))
        source.open()
        assert positions(list(source.read(source.list().refs))) == list(range(1, 101))
        assert 1 < server.sessions[0].most_waiting <= 4

    def test_lets_a_message_pass_that_is_larger_than_itself(self, serve: Serve) -> None:
        server, source = serve(Maildrop(mail(3), sizes=[10 * pop3_fetch.WINDOW_OCTETS] * 3))
        source.open()
        refs = source.list().refs
        server.sessions[0].most_waiting = 0
        assert positions(list(source.read(refs))) == [1, 2, 3]
        assert server.sessions[0].most_waiting == 1

    def test_is_one_command_without_pipelining(self, serve: Serve) -> None:
        server, source = serve(Maildrop(mail(20), capabilities=ONE_AT_A_TIME))
        source.open()
        assert len(list(source.read(source.list().refs))) == 20
        assert server.sessions[0].most_waiting == 1

    def test_never_blocks_both_sides(self, serve: Serve) -> None:
        """More than all socket buffers hold waits on the server's side while the reader does something else."""
        _, source = serve(Maildrop(mail(400, size=100_000), sizes=[1] * 400))
        source.open()
        total = 0
        for item in source.read(source.list().refs):
            assert isinstance(item, Message)
            total += item.size
        assert total == 400 * 100_000

    def test_is_not_shared_by_two_readers(self, serve: Serve) -> None:
        _, source = serve(Maildrop(mail(4)))
        source.open()
        refs = source.list().refs
        first = source.read(refs)
        next(first)
        assert positions(list(source.read(refs))) == [1, 2, 3, 4]
        with pytest.raises(InternalError):
            next(first)


class TestNegativeAnswers:
    @pytest.mark.parametrize("capabilities", [ONE_AT_A_TIME, (*ONE_AT_A_TIME, "PIPELINING")])
    def test_cost_one_message_each(self, serve: Serve, capabilities: tuple[str, ...]) -> None:
        maildrop = Maildrop(mail(6), capabilities=capabilities)
        maildrop.answers["RETR 2"] = b"-ERR damaged\r\n"
        maildrop.answers["RETR 4"] = b"-ERR [SYS/TEMP] later\r\n"
        maildrop.answers["RETR 6"] = b"-ERR Message 6 expunged.\r\n"
        _, source = serve(maildrop)
        source.open()
        refs = source.list().refs
        items = list(source.read(refs))
        assert positions(items) == [1, 2, 3, 4, 5, 6]
        lost = [item for item in items if isinstance(item, Unread)]
        assert positions(lost) == [2, 4, 6]
        assert [item.account for item in lost] == [Account.UNREADABLE, Account.PENDING, Account.GONE]
        assert [item.key for item in lost] == [refs[1].key, refs[3].key, refs[5].key]
        assert "damaged" in lost[0].reason

    @pytest.mark.parametrize("capabilities", [ONE_AT_A_TIME, (*ONE_AT_A_TIME, "PIPELINING")])
    def test_of_a_server_that_says_farewell_are_no_verdict(
        self, serve: Serve, capabilities: tuple[str, ...]
    ) -> None:
        farewell = b"-ERR idle for too long\r\n"
        maildrop = Maildrop(mail(4), capabilities=capabilities)
        maildrop.answers["RETR 2"] = farewell
        maildrop.cut["RETR 2"] = len(farewell)
        _, source = serve(maildrop)
        source.open()
        items = source.read(source.list().refs)
        assert next(items).position == 1
        with pytest.raises(ConnectionLost):
            next(items)


class TestBrokenSessions:
    @pytest.mark.parametrize("capabilities", [ONE_AT_A_TIME, (*ONE_AT_A_TIME, "PIPELINING")])
    @pytest.mark.parametrize("cut", [0, 3, 5, 20, 103, 104, 105, 107])
    def test_give_no_half_messages(self, serve: Serve, capabilities: tuple[str, ...], cut: int) -> None:
        reply = 5 + 100 + 3
        assert cut < reply
        _, source = serve(Maildrop(mail(3), capabilities=capabilities, cut={"RETR 2": cut}))
        source.open()
        items = source.read(source.list().refs)
        assert next(items).position == 1
        with pytest.raises(ConnectionLost):
            next(items)

    @pytest.mark.parametrize("capabilities", [ONE_AT_A_TIME, (*ONE_AT_A_TIME, "PIPELINING")])
    def test_give_what_was_whole(self, serve: Serve, capabilities: tuple[str, ...]) -> None:
        _, source = serve(Maildrop(mail(3), capabilities=capabilities, cut={"RETR 2": 5 + 100 + 3}))
        source.open()
        items = source.read(source.list().refs)
        assert [next(items).position, next(items).position] == [1, 2]
        with pytest.raises(ConnectionLost):
            next(items)

    @pytest.mark.parametrize("capabilities", [ONE_AT_A_TIME, (*ONE_AT_A_TIME, "PIPELINING")])
    def test_by_the_same_message_each_time_leave_it_out_in_the_end(
        self, serve: Serve, capabilities: tuple[str, ...]
    ) -> None:
        _, source = serve(Maildrop(mail(6), capabilities=capabilities, cut={"RETR 3": 50}))
        items, sessions = read_on(source, pop3_fetch.STRIKES + 1)
        assert sessions == pop3_fetch.STRIKES + 1
        assert positions(items) == [1, 2, 3, 4, 5, 6]
        (lost,) = [item for item in items if isinstance(item, Unread)]
        assert lost.position == 3
        assert lost.account is Account.UNREADABLE

    def test_by_accident_are_forgiven(self, serve: Serve) -> None:
        server, source = serve(Maildrop(mail(6), capabilities=ONE_AT_A_TIME))
        for _ in range(3):  # a message that was had once is no suspect
            server.maildrop.cut["RETR 3"] = 50
            source.open()
            with pytest.raises(ConnectionLost):
                list(source.read(source.list().refs))
            server.maildrop.cut.clear()
            source.open()
            assert all(isinstance(item, Message) for item in source.read(source.list().refs))

    def test_by_a_message_without_stuffed_dots_leave_it_out_too(self, serve: Serve) -> None:
        bad = b"Subject: 2\r\n\r\nfirst part\r\n.\r\nthe rest\r\n"
        maildrop = Maildrop([*mail(1), bad, *mail(3)[2:]], stuffs=False)
        _, source = serve(maildrop)
        items, _ = read_on(source, 6)
        assert positions(items) == [1, 2, 3]
        assert [isinstance(item, Unread) for item in items] == [False, True, False]

    def test_without_lasting_names_end_it(self, serve: Serve) -> None:
        bad = b"Subject: 2\r\n\r\nfirst part\r\n.\r\nthe rest\r\n"
        maildrop = Maildrop(
            [bad, *mail(2)], stuffs=False, capabilities=("USER",), answers={"UIDL": b"-ERR\r\n"}
        )
        _, source = serve(maildrop)
        source.open()
        with pytest.raises(ProtocolError):
            list(source.read(source.list().refs))

    def test_by_mixed_up_pipelines_are_followed_by_sessions_without(self, serve: Serve) -> None:
        mails = mail(6)
        server, source = serve(Maildrop(mails, mixes_pipelines=True))
        items, sessions = read_on(source, 3)
        assert sessions == 2
        assert [b"".join(item.octets.chunks()) for item in items if isinstance(item, Message)] == mails
        assert server.sessions[1].most_waiting == 1
        assert any("one at a time" in remark.text for remark in source.close(settled=True))

    def test_at_once_are_followed_by_sessions_without_pipelining(self, serve: Serve) -> None:
        server, source = serve(Maildrop(mail(6), cut={"RETR 2": 10}))
        source.open()
        with pytest.raises(ConnectionLost):
            list(source.read(source.list().refs))
        server.maildrop.cut.clear()
        facts = source.open()
        assert any("one at a time" in fact for fact in facts)
        assert len(list(source.read(source.list().refs))) == 6
        assert server.sessions[1].most_waiting == 1

    def test_after_a_full_window_do_not_doubt_pipelining(self, serve: Serve) -> None:
        mails = mail(60, size=100_000)
        server, source = serve(Maildrop(mails, cut={"RETR 50": 10}))
        source.open()
        with pytest.raises(ConnectionLost):
            list(source.read(source.list().refs))
        server.maildrop.cut.clear()
        source.open()
        assert len(list(source.read(source.list().refs))) == 60
        assert server.sessions[1].most_waiting > 1


def test_a_spool_that_cannot_be_written_is_a_local_error(
    serve: Serve, tmp_path_factory: pytest.TempPathFactory
) -> None:
    server, _ = serve(Maildrop(mail(2, size=SPOOL_AT + 1)))
    missing = tmp_path_factory.mktemp("gone") / "not there"
    source = Pop3Source(server.address(), USER, Secret(PASSWORD), spool=missing)
    source.open()
    with pytest.raises(LocalIOError):
        list(source.read(source.list().refs))
    source.close(settled=True)
    assert not server.wait()[0].quit


@pytest.mark.parametrize("capabilities", [CAPABILITIES, ONE_AT_A_TIME])
def test_a_message_without_end_is_left_out_at_once(
    serve: Serve, capabilities: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pop3_fetch, "MESSAGE_LIMIT", 1 << 20)
    maildrop = Maildrop(mail(3), capabilities=capabilities)
    _, source = serve(maildrop)
    maildrop.answers["RETR 2"] = endless(b"x" * 65536)
    items, sessions = read_on(source, 2)
    assert sessions == 2
    assert [type(item) for item in items] == [Message, Unread, Message]
    assert isinstance(items[1], Unread)
    assert items[1].account is Account.UNREADABLE


def test_a_message_without_end_and_name_ends_it(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pop3_fetch, "MESSAGE_LIMIT", 1 << 20)
    maildrop = Maildrop(mail(1), capabilities=("USER",), answers={"UIDL": b"-ERR\r\n"})
    _, source = serve(maildrop)
    maildrop.answers["RETR 1"] = endless(b"x" * 65536)
    source.open()
    with pytest.raises(ProtocolError, match="goes on after"):
        list(source.read(source.list().refs))


@pytest.mark.parametrize("capabilities", [CAPABILITIES, ONE_AT_A_TIME])
@pytest.mark.parametrize("uidl", [None, b"-ERR\r\n"])
def test_a_message_larger_than_wanted_is_read_to_its_end_and_costs_no_session(
    serve: Serve, capabilities: tuple[str, ...], uidl: bytes | None, tmp_path: Path
) -> None:
    maildrop = Maildrop([*mail(1), *mail(5, 3 << 20), *mail(1)], capabilities=capabilities)
    if uidl:
        maildrop.answers["UIDL"] = uidl
    server, _ = serve(maildrop)
    source = Pop3Source(
        server.address(), USER, Secret(PASSWORD), spool=tmp_path, max_message_size=(2 << 20) - 1
    )
    source.open()
    items = list(source.read(source.list().refs))
    source.close(settled=False)
    assert [type(item) for item in items] == [Message, *[Unread] * 5, Message]
    assert isinstance(items[1], Unread)
    assert items[1].account is Account.UNREADABLE
    assert items[1].reason == "3,145,728 octets; --max-message-size allows 2,097,151"
    assert len(server.wait()) == 1


def test_a_large_message_takes_no_memory(serve: Serve) -> None:
    piece, pieces = b"a line of no interest\r\n" * 4096, 500
    reply = chain([b"+OK\r\nSubject: large\r\n\r\n"], repeat(piece, pieces), [b".\r\n"])
    _, source = serve(Maildrop([b"x"], answers={"RETR": reply}))
    source.open()
    refs = source.list().refs
    tracemalloc.start()
    try:
        (item,) = source.read(refs)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert isinstance(item, Message)
    assert item.size == 18 + len(piece) * pieces > 40_000_000
    assert peak < 6_000_000


@pytest.mark.parametrize("start", [b"+OK 5 octets\r\n", b"+OK\r\n"])
def test_a_message_that_begins_like_an_answer_is_taken_if_it_is_as_long_as_listed(
    serve: Serve, start: bytes
) -> None:
    message = start + mail(1)[0]
    _, source = serve(Maildrop([message]))
    (got,), sessions = read_on(source, 1)
    assert sessions == 1
    assert isinstance(got, Message)
    assert b"".join(got.octets.chunks()) == message
    _, source = serve(Maildrop([message], sizes=[len(message) - len(start)]))
    (got,), sessions = read_on(source, 9)
    assert isinstance(got, Unread), "a status line came twice, each time"
    assert sessions > 1
    _, source = serve(Maildrop([message], sizes=[10]))
    (got,), sessions = read_on(source, 1)
    assert isinstance(got, Message), "sizes are estimates there"
