"""What every source has to keep: one suite for all kinds.

A kind of source is held to it by a subclass that says how to make one::

    class TestMboxKeepsTheContract(SourceContract):
        @pytest.fixture
        def make(self, mail: list[bytes], tmp_path: Path) -> MakeSource:
            path = tmp_path / "mbox"
            path.write_bytes(as_mbox(mail))
            return lambda: MboxSource(path)

``make`` gives a new source on the same mail each time. ``mail`` may be overridden where a kind of source cannot
hold what stands here. A source that can fail at one message keeps :class:`PartlyUnreadableContract` too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence

import pytest

from pop2imap.model import Account, Message, Ref, Unread
from pop2imap.sources import Source

MakeSource = Callable[[], Source]

TWIN = b"From: twin@example.org\r\nSubject: the same twice\r\n\r\nNo Message-ID, no difference.\r\n"

MAIL = [
    b"From: alice@example.com\r\nSubject: plain\r\nMessage-ID: <1@example.com>\r\n\r\nHello.\r\n",
    b"From: bob@example.org\r\nSubject: dots\r\n\r\n.\r\n..\r\n.x\r\n...\r\nend\r\n",
    TWIN,
    b"From: carol@example.net\r\nSubject: octets \xe4\xf6\xfc\r\n\r\nNUL \0, 8 bit \xff\xfe, tab \t\r\n",
    b"From: dave@example.com\r\nSubject: a long line\r\n\r\n" + b"x" * 20_000 + b"\r\n",
    b"From: erin@example.com\r\nSubject: no body\r\n\r\n",
    TWIN,
    b"From: frank@example.com\r\nSubject: large\r\n\r\n" + b"All work and no play.\r\n" * 80_000,
]


class SourceContract:
    """Subclasses give ``make``; what else is a fixture here may be overridden."""

    @pytest.fixture
    def mail(self) -> list[bytes]:
        """The octets of the messages that the source holds, in its order."""
        return list(MAIL)

    @pytest.fixture
    def make(self) -> MakeSource:
        raise NotImplementedError("a subclass says how to make a source")

    @pytest.fixture
    def source(self, make: MakeSource) -> Iterator[Source]:
        source = make()
        yield source
        source.close(settled=False)

    def test_opening_says_what_there_is_to_say(self, source: Source) -> None:
        facts = source.open()
        assert facts
        assert all(fact.isprintable() for fact in facts)

    def test_the_listing_is_in_order_and_counts_from_one(self, source: Source, mail: list[bytes]) -> None:
        source.open()
        listing = source.list()
        assert [ref.position for ref in listing.refs] == list(range(1, len(mail) + 1))
        assert listing.octets == sum(ref.size for ref in listing.refs)
        assert listing.complete

    def test_refs_are_a_sequence(self, source: Source, mail: list[bytes]) -> None:
        source.open()
        refs = source.list().refs
        assert len(refs) == len(mail)
        every = list(refs)
        assert [refs[index] for index in range(len(refs))] == every
        assert refs[-1] == every[-1]
        assert list(refs[1:4]) == every[1:4]
        assert list(refs[1:][::-2]) == every[1:][::-2]
        with pytest.raises(IndexError):
            refs[len(mail)]

    def test_listing_again_shows_the_same(self, source: Source) -> None:
        source.open()
        assert list(source.list().refs) == list(source.list().refs)

    def test_progress_rises_to_what_was_expected(self, source: Source) -> None:
        steps: list[tuple[int, int]] = []
        source.open()
        source.list(lambda done, expected: steps.append((done, expected)))
        assert steps
        assert [done for done, _ in steps] == sorted(done for done, _ in steps)
        done, expected = steps[-1]
        assert done == expected

    def test_reading_gives_the_exact_octets_in_order(self, source: Source, mail: list[bytes]) -> None:
        source.open()
        messages = read(source, source.list().refs)
        assert [message.position for message in messages] == list(range(1, len(mail) + 1))
        for message, octets in zip(messages, mail, strict=True):
            assert b"".join(message.octets.chunks()) == octets
            assert message.octets.digest == hashlib.sha256(octets).digest()
            assert message.size == message.octets.size == len(octets)
            assert message.whole

    def test_reading_a_part_gives_that_part(self, source: Source, mail: list[bytes]) -> None:
        source.open()
        refs = source.list().refs[1::3]
        messages = read(source, refs)
        assert [message.position for message in messages] == [ref.position for ref in refs]
        assert [b"".join(message.octets.chunks()) for message in messages] == mail[1::3]
        assert read(source, refs[:0]) == []

    def test_every_message_has_a_key_of_its_own(self, source: Source) -> None:
        source.open()
        refs = source.list().refs
        messages = read(source, refs)
        assert {message.key.source for message in messages} == {source.id}
        assert len({message.key for message in messages}) == len(messages)
        for ref, message in zip(refs, messages, strict=True):
            assert ref.key is None or ref.key == message.key

    def test_reading_again_gives_the_same_keys(self, source: Source) -> None:
        source.open()
        refs = source.list().refs
        once = [message.key for message in read(source, refs)]
        assert [message.key for message in read(source, refs)] == once

    def test_keys_last(self, source: Source, make: MakeSource) -> None:
        source.open()
        keys = [message.key for message in read(source, source.list().refs)]
        source.close(settled=True)
        source.open()
        assert [message.key for message in read(source, source.list().refs)] == keys
        source.close(settled=False)
        other = make()
        try:
            assert other.id == source.id
            other.open()
            assert [message.key for message in read(other, other.list().refs)] == keys
        finally:
            other.close(settled=False)

    def test_peeking_shows_the_same_heads_and_changes_nothing(
        self, source: Source, mail: list[bytes]
    ) -> None:
        source.open()
        refs = source.list().refs
        before = list(refs)
        peeked = [item for item in source.peek(refs) if isinstance(item, Message)]
        assert [message.position for message in peeked] == [ref.position for ref in refs]
        assert len({message.key for message in peeked}) == len(peeked)
        for ref, message in zip(refs, peeked, strict=True):
            assert ref.key is None or message.key == ref.key
        assert list(source.list().refs) == before
        messages = read(source, source.list().refs)
        assert [message.octets.head() for message in peeked] == [
            message.octets.head() for message in messages
        ]
        assert [b"".join(message.octets.chunks()) for message in messages] == mail

    def test_closing_never_raises(self, source: Source) -> None:
        source.close(settled=True)
        source.open()
        refs = source.list().refs
        items = source.read(refs)
        next(items)
        source.close(settled=False)
        source.close(settled=True)

    def test_what_was_read_outlives_the_session(self, source: Source, mail: list[bytes]) -> None:
        source.open()
        messages = read(source, source.list().refs)
        source.close(settled=True)
        assert [b"".join(message.octets.chunks()) for message in messages] == mail


class PartlyUnreadableContract:
    """For sources that may have one message they cannot give."""

    @pytest.fixture
    def partly_unreadable(self) -> Source:
        """A source of at least three messages, of which the second cannot be read."""
        raise NotImplementedError("a subclass says how to make such a source")

    def test_one_that_cannot_be_had_does_not_stop_the_rest(self, partly_unreadable: Source) -> None:
        source = partly_unreadable
        try:
            source.open()
            refs = source.list().refs
            items = list(source.read(refs))
        finally:
            source.close(settled=False)
        assert [item.position for item in items] == [ref.position for ref in refs]
        assert [isinstance(item, Unread) for item in items] == [index == 1 for index in range(len(refs))]
        lost = items[1]
        assert isinstance(lost, Unread)
        assert lost.account in {Account.UNREADABLE, Account.GONE, Account.PENDING}
        assert lost.reason


def read(source: Source, refs: Sequence[Ref]) -> list[Message]:
    """All of ``refs``, none of which may be missing."""
    messages = []
    for item in source.read(refs):
        assert isinstance(item, Message), item
        messages.append(item)
    return messages
