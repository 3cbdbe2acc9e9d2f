"""Which message of an INBOX is which of a maildrop, and when that is not certain."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pop2imap.cli.state import read_from
from pop2imap.config import Config, SourceConfig
from pop2imap.credentials import Secret
from pop2imap.endpoints import parse
from pop2imap.errors import ConfigError
from pop2imap.imap_state import DISCARDED, InboxState, State, WithState
from pop2imap.model import Found, Key, Message, Ref
from pop2imap.octets import from_bytes
from pop2imap.options import Options
from pop2imap.sources import Listing, Source
from pop2imap.target.inbox import Inbox

DATE = datetime(2014, 5, 6, tzinfo=UTC)
V = 1598012700


def found(uid: int, size: int = 100, *flags: str) -> Found:
    return Found(uid, size, DATE, frozenset(flags))


def key(name: str, nth: int = 0) -> Key:
    return Key("pop3:alice@pop.example:995", name, nth)


def head(message_id: str) -> bytes:
    return f"Message-ID: {message_id}\r\n\r\n".encode()


def state_of(one: Found) -> State | None:
    return InboxState(V, [one]).give(0, key("a"))


@pytest.mark.parametrize(
    ("flags", "kept"),
    [
        (("\\Seen", "\\Answered", "\\Flagged", "\\Draft"), {"\\Seen", "\\Answered", "\\Flagged", "\\Draft"}),
        (("\\SEEN", "\\flagged"), {"\\Seen", "\\Flagged"}),
        (("$Forwarded", "$label1", "NonJunk", "[a"), {"$Forwarded", "$label1", "NonJunk", "[a"}),
        (("\\Recent", "\\*", "\\X-Own", "b\ufffd", "a]"), set()),
    ],
)
def test_flags_that_are_taken(flags: tuple[str, ...], kept: set[str]) -> None:
    assert state_of(found(1, 100, *flags)) == State(frozenset(kept))


def test_what_is_marked_as_deleted_is_discarded() -> None:
    assert state_of(found(1, 100, "\\Seen", "\\Deleted")) == State(frozenset({"\\Seen"}), DISCARDED)


def test_of_a_thousand_keywords_a_hundred_are_taken() -> None:
    state = state_of(found(1, 100, *(f"k{number}" for number in range(1000))))
    assert state is not None
    assert len(state.flags) == 100


def test_servers_may_answer_in_any_order_and_twice() -> None:
    state = InboxState(V, [found(7), found(3, 30), found(7, 70, "\\Seen"), found(5)])
    assert list(state.uids) == [3, 5, 7]
    row = state.named(key(f"{V}.7"))
    assert row == 2
    assert state.size(row) == 70
    assert state.give(row, key("a")) == State(frozenset({"\\Seen"}))
    assert state.named(key(f"{V}.4")) is state.named(key(f"{V + 1}.7")) is state.named(None) is None


def test_a_message_is_given_once_and_again_to_the_same() -> None:
    state = InboxState(V, [found(1)])
    assert state.give(0, key("a")) == state.give(0, key("a")) == State(frozenset())
    assert state.give(0, key("a", 1)) is None


def test_message_id_and_size_of_one_alone() -> None:
    state = InboxState(V, [found(1), found(2), found(3, 200), found(4, 300), found(5, 300), found(6)])
    ids = ["<a@x>", "<b@x>", "<a@x>", "<t@x>", "<t@x>", ""]
    state.learn((uid, head(name)) for uid, name in enumerate(ids, 1))
    state.learn([(99, head("<z@x>"))])
    state.learned()
    assert [state.same_id(head(name), size) for name, size in (("<a@x>", 100), ("<a@x>", 200))] == [0, 2]
    assert state.same_id(b"Subject: x\r\nmessage-id:\r\n <b@x>\r\n\r\n", 100) == 1
    for name, size in (("<t@x>", 300), ("<a@x>", 300), ("", 100), ("<z@x>", 100), ("<A@x>", 100)):
        assert state.same_id(head(name), size) is None, (name, size)


IDS = st.sampled_from(["<a@x>", "<b@x>", "<c@x>", ""])


@given(st.lists(st.tuples(IDS, st.integers(1, 3)), max_size=12))
def test_nothing_is_found_but_the_only_one(mail: list[tuple[str, int]]) -> None:
    state = InboxState(V, (found(uid, size) for uid, (_, size) in enumerate(mail, 1)))
    state.learn((uid, head(name)) for uid, (name, _) in enumerate(mail, 1))
    state.learned()
    for row, one in enumerate(mail):
        alone = mail.count(one) == 1 and one[0] != ""
        assert state.same_id(head(one[0]), one[1]) == (row if alone else None)


class Maildrop:
    """A source of these messages: (UIDL, octets, size in the listing)."""

    id, kind, folder = "pop3:alice@pop.example:995", "pop3", "INBOX"
    lists_by: Literal["octets", "messages"] = "messages"

    def __init__(self, mail: Sequence[tuple[str, bytes, int]]) -> None:
        self.mail = mail

    def open(self) -> tuple[str, ...]:
        return ()

    def list(self, progress: object = None) -> Listing:
        refs = [Ref(at, key(uidl), size) for at, (uidl, _, size) in enumerate(self.mail, 1)]
        return Listing(refs, sum(ref.size for ref in refs))

    def read(self, refs: Sequence[Ref]) -> Iterator[Message]:
        for ref in refs:
            octets = from_bytes(self.mail[ref.position - 1][1])
            assert ref.key
            yield Message(ref.position, ref.key, octets, octets.size)

    def peek(self, refs: Sequence[Ref]) -> Iterator[Message]:
        for ref, message in zip(refs, self.read(refs), strict=True):
            yield message._replace(octets=from_bytes(message.octets.head()), size=ref.size, whole=False)

    def close(self, *, settled: bool) -> tuple[()]:
        return ()


class InMemory(Inbox):
    """An INBOX of (UID, octets, flags) without a server; says which Message-IDs it was asked for."""

    def __init__(self, *mail: tuple[int, bytes, tuple[str, ...]]) -> None:
        self.where, self.mail, self.asked = "imap.example:993", mail, 0

    def __enter__(self) -> InMemory:
        self.uidvalidity, self.messages = V, len(self.mail)
        return self

    def __exit__(self, *_: object) -> None: ...

    def survey(self) -> Iterator[Found]:
        return (found(uid, len(octets), *flags) for uid, octets, flags in self.mail)

    def message_ids(self, first: int, last: int) -> Iterator[tuple[int, bytes]]:
        self.asked += 1
        return ((uid, octets) for uid, octets, _ in self.mail if first <= uid <= last)


def mail(name: str) -> bytes:
    return head(f"<{name}@x>") + name.encode() * 10 + b"\r\n"


SEEN = frozenset({"\\Seen"})


def flags_of(source: WithState, *, whole: bool) -> list[frozenset[str] | None]:
    source.open()
    refs = source.list().refs
    return [item.flags for item in (source.read if whole else source.peek)(refs) if isinstance(item, Message)]


@pytest.mark.parametrize("whole", [True, False])
def test_by_uidl_no_message_id_is_asked_for(whole: bool) -> None:
    inbox = InMemory((1, mail("a"), ("\\Seen",)), (2, mail("b"), ()), (3, mail("c"), ("\\Flagged",)))
    drop = Maildrop(
        [(f"{uid:08x}{V:08x}", mail(name), len(mail(name))) for uid, name in ((1, "a"), (2, "b"), (4, "d"))]
    )
    source = WithState(drop, inbox)
    assert flags_of(source, whole=whole) == [SEEN, frozenset(), None]
    assert inbox.asked == 0
    (remark,) = source.close(settled=True)
    assert remark.count == 1


@pytest.mark.parametrize("shorter", [0, 7])
def test_of_a_head_the_listed_size_counts_only_where_listings_are_exact(shorter: int) -> None:
    inbox = InMemory(*((uid, mail(str(uid)), ("\\Seen",)) for uid in (1, 2, 3)))
    drop = Maildrop([(f"{V}.{uid}", mail(str(uid)), len(mail(str(uid))) - shorter) for uid in (1, 2, 3)])
    assert flags_of(WithState(drop, inbox), whole=False) == [SEEN] * 3
    assert flags_of(WithState(drop, inbox), whole=True) == [SEEN] * 3


@pytest.mark.parametrize("whole", [True, False])
def test_the_same_uidl_with_another_size_is_another_message(whole: bool) -> None:
    inbox = InMemory(*((uid, mail(str(uid)), ("\\Seen",)) for uid in range(1, 21)))
    listed = [(f"{V}.{uid}", mail(str(uid)), len(mail(str(uid)))) for uid in range(1, 21)]
    listed[4] = (listed[4][0], mail("other"), len(mail("other")))
    flags = flags_of(WithState(Maildrop(listed), inbox), whole=whole)
    assert [at for at, some in enumerate(flags) if some is None] == [4]


def test_of_two_kinds_of_uidl_each_tells_what_it_can() -> None:
    inbox = InMemory((1, mail("a"), ("\\Seen",)), (2, mail("b"), ("\\Answered",)))
    drop = Maildrop([("UID1-77", mail("a"), 1), (f"{V}.2", mail("b"), 1)])  # sizes are no more than estimates
    source = WithState(drop, inbox)
    assert flags_of(source, whole=True) == [SEEN, frozenset({"\\Answered"})]
    assert flags_of(source, whole=True) == [SEEN, frozenset({"\\Answered"})], (
        "and after a new connection the same"
    )
    assert inbox.asked == 1


POP = parse("pop3s://alice@pop.example.com")


@pytest.mark.parametrize(
    ("account", "environ", "password"),
    [
        ("imaps://alice@imap.example.com", {}, "source"),
        ("imaps://alice@pop.example.com", {}, "source"),
        ("imaps://alice@imap.example.com", {"POP2IMAP_STATE_PASSWORD": "own"}, "own"),
        ("imaps://bob@imap.example.com", {"POP2IMAP_STATE_PASSWORD": "own"}, "own"),
        ("imaps://bob@imap.example.com", {}, None),
        ("imaps://alice@imap.example.net", {}, None),
        ("imaps://alice@imap.example.com:1993", {}, None),
    ],
)
def test_the_password_of_the_source_goes_to_the_same_account_alone(
    account: str, environ: dict[str, str], password: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pop2imap.credentials.ask_on_terminal", lambda: None)
    source = SourceConfig(POP, read_state_from=parse(account))
    config = Config((source, SourceConfig(POP)), None, Options())
    if password is None:
        with pytest.raises(ConfigError, match="POP2IMAP_STATE_PASSWORD_FILE"):
            read_from(config, [Secret("source"), None], environ)
        return
    wrap, leave = read_from(config, [Secret("source"), None], environ)
    drop: Source = Maildrop([])
    assert leave(drop) is drop
    wrapped = wrap(drop)
    assert isinstance(wrapped, WithState)
    assert wrapped._inbox._password.reveal() == password
