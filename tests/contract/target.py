"""What every target has to keep: one suite for all of them, fakes included.

A target is held to it by a subclass that says how to make one::

    class TestMemoryTargetKeepsTheContract(TargetContract):
        @pytest.fixture
        def make(self) -> MakeTarget:
            server = MemoryServer()
            return lambda: MemoryTarget(server)

``make`` gives a new connection to the same account each time; the account is empty for each test. ``expunge``
removes a message as another program would.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from pop2imap.errors import FolderError
from pop2imap.model import Mailbox, Outcome, Stored, Upload
from pop2imap.octets import from_bytes
from pop2imap.target import Erasing
from tests.fakes.appending import append

MakeTarget = Callable[[], Erasing]
Expunge = Callable[[Mailbox, int], None]

DATE = datetime(2003, 2, 1, 4, 5, 6, tzinfo=UTC)

PLAIN = b"From: alice@example.com\r\nSubject: plain\r\nMessage-ID: <1@example.com>\r\n\r\nHello.\r\n"

AWKWARD = {
    "bare LF": b"Subject: lf\n\nline\nline\n",
    "bare CR": b"Subject: cr\r\n\r\none\rtwo\r\rthree\r\n",
    "CR CR LF": b"Subject: crcrlf\r\n\r\none\r\r\ntwo\r\r\n",
    "NUL": b"Subject: nul\r\n\r\n\0one\0\0two\r\n",
    "8-bit header": b"Subject: gr\xfc\xdfe \xe2\x82\xac\r\n\r\nbody \xff\xfe\r\n",
    "long line": b"Subject: long\r\n\r\n" + b"x" * 20_000 + b"\r\n",
    "no last line end": b"Subject: unended\r\n\r\nlast line",
    "dots": b"Subject: dots\r\n\r\n.\r\n..\r\n.x\r\n",
    "like commands": b"Subject: c\r\n\r\n)\r\nA1 LOGOUT\r\n{3+}\r\n* BYE\r\nA2 CREATE PWNED\r\n",
    "no body": b"Subject: no body\r\n\r\n",
    "one octet": b"x",
}


def upload(octets: bytes, *flags: str, date: datetime = DATE) -> Upload:
    return Upload(from_bytes(octets), flags, date)


def uids(outcomes: list[Outcome]) -> list[int]:
    """The UIDs of messages that all must have been stored."""
    assert all(isinstance(outcome, Stored) for outcome in outcomes), outcomes
    return [outcome.uid or 0 for outcome in outcomes if isinstance(outcome, Stored)]


class TargetContract:
    """Subclasses give ``make`` and ``expunge``."""

    @pytest.fixture
    def make(self) -> MakeTarget:
        raise NotImplementedError("a subclass says how to make a target")

    @pytest.fixture
    def expunge(self) -> Expunge:
        raise NotImplementedError("a subclass says how somebody else removes a message")

    @pytest.fixture
    def target(self, make: MakeTarget) -> Iterator[Erasing]:
        target = make()
        target.open()
        yield target
        target.close()

    # -- the account

    def test_the_identity_is_of_the_account_not_of_the_connection(self, make: MakeTarget) -> None:
        assert make().identity == make().identity
        assert make().identity.isprintable()

    def test_opening_tells_facts_that_can_be_shown(self, make: MakeTarget) -> None:
        target = make()
        facts = target.open()
        assert facts.server
        assert facts.lines()
        assert all(line.isprintable() for line in facts.lines())
        target.close()

    def test_it_can_be_closed_and_opened_again(self, make: MakeTarget) -> None:
        target = make()
        target.open()
        mailbox = target.prepare("INBOX")
        append(target, mailbox, [upload(PLAIN)])
        target.close()
        target.close()
        target.open()
        assert target.prepare("INBOX").messages == 1
        assert uids(append(target, mailbox, [upload(PLAIN)])) == [mailbox.uidnext + 1]
        target.close()

    # -- folders

    def test_locating_makes_nothing(self, target: Erasing, make: MakeTarget) -> None:
        assert target.locate("Clients/ACME") is None
        other = make()
        other.open()
        assert other.locate("Clients/ACME") is None
        assert other.locate("Clients") is None
        other.close()

    def test_many_are_located_like_each_of_them(self, target: Erasing) -> None:
        for folder in ("Clients/ACME", "Grüße & Küsse", "\\Sent"):
            uids(append(target, target.prepare(folder), [upload(PLAIN)]))
        asked = ["Clients/ACME", "no such", "INBOX", "a/", "\\Sent", "Grüße & Küsse", "INBOX"]
        told = target.locate_each(asked)
        assert isinstance(told.pop(3), FolderError)
        del asked[3]
        assert told == [target.locate(folder) for folder in asked]
        assert told[1] is None
        assert target.locate_each([]) == []

    def test_preparing_makes_a_folder_once(self, target: Erasing) -> None:
        made = target.prepare("Clients/ACME")
        again = target.prepare("Clients/ACME")
        assert made.created
        assert not again.created
        assert made.folder == again.folder == "Clients/ACME"
        assert (made.name, made.uidvalidity) == (again.name, again.uidvalidity)
        assert made.messages == 0
        assert 0 < made.uidnext <= again.uidnext

    def test_many_are_prepared_as_each_by_itself(self, target: Erasing) -> None:
        asked = ["New/One", "INBOX", "New/Two", "a\r\nb", "New/One", "\\Sent", "Größe"]
        told = target.prepare_each(asked)
        assert isinstance(told.pop(3), FolderError)
        del asked[3]
        found = [one for one in told if not isinstance(one, FolderError)]
        assert [one.folder for one in found] == asked
        assert [one.created for one in found[:4]] == [True, False, True, False]
        for one in found:
            again = target.prepare(one.folder)
            assert (again.name, again.uidvalidity, again.created) == (one.name, one.uidvalidity, False)
        assert target.prepare_each([]) == []

    def test_what_was_made_is_there_for_everybody(self, target: Erasing, make: MakeTarget) -> None:
        made = target.prepare("Clients/ACME")
        other = make()
        other.open()
        located = other.locate("Clients/ACME")
        assert located is not None
        assert (located.name, located.uidvalidity, located.created) == (made.name, made.uidvalidity, False)
        other.close()

    def test_inbox_is_always_there_in_any_case(self, target: Erasing) -> None:
        located = target.locate("INBOX")
        assert located is not None
        assert located.name == "INBOX"
        assert not target.prepare("INBOX").created
        assert target.prepare("Inbox").name == "INBOX"

    @pytest.mark.parametrize(
        "folder", ["Grüße & Küsse", "Привет/мир", "a b c", "日本/語", "&-", "x]y", "100%", "Fran*"]
    )
    def test_names_of_all_sorts_are_taken_and_found_again(self, target: Erasing, folder: str) -> None:
        made = target.prepare(folder)
        uids(append(target, made, [upload(PLAIN)]))
        located = target.locate(folder)
        assert located is not None
        assert (located.name, located.messages) == (made.name, 1)

    @pytest.mark.parametrize("folder", ["a\r\nb", "a\0b", "", "a//b", "/a", "a/"])
    def test_impossible_names_are_refused_before_anything_happens(self, target: Erasing, folder: str) -> None:
        with pytest.raises(FolderError):
            target.prepare(folder)

    def test_sent_mail_has_a_folder_of_its_own_whatever_its_name(self, target: Erasing) -> None:
        sent = target.prepare("\\Sent")
        assert sent.folder == "\\Sent"
        assert sent.name not in {"", "INBOX"}
        below = target.prepare("\\Sent/2019")
        assert below.name.startswith(sent.name)
        assert below.name != sent.name

    def test_the_watermark_is_new_at_each_preparation(self, target: Erasing) -> None:
        before = target.prepare("INBOX")
        (uid,) = uids(append(target, before, [upload(PLAIN)]))
        after = target.prepare("INBOX")
        assert before.uidnext <= uid < after.uidnext
        assert after.messages == 1

    # -- sending and looking

    def test_octets_date_and_flags_arrive_in_order(self, target: Erasing) -> None:
        mailbox = target.prepare("Mail")
        uploads = [
            upload(PLAIN + b"1\r\n", "\\Seen"),
            upload(PLAIN + b"2\r\n", date=datetime(1999, 12, 31, 23, 59, 59, tzinfo=UTC)),
            upload(PLAIN + b"3\r\n", "\\Flagged", "\\Answered", "$Work"),
        ]
        outcomes = append(target, mailbox, uploads)
        assert [outcome.uidvalidity for outcome in outcomes if isinstance(outcome, Stored)] == [
            mailbox.uidvalidity
        ] * 3
        found = target.survey(mailbox, 1)
        assert [one.uid for one in found] == uids(outcomes) == sorted(uids(outcomes))
        assert [one.size for one in found] == [one.octets.size for one in uploads]
        assert [one.date for one in found] == [one.date for one in uploads]
        assert [one.flags for one in found] == [frozenset(one.flags) for one in uploads]
        digests = target.digests(mailbox, uids(outcomes))
        assert [digests[uid] for uid in uids(outcomes)] == [
            (one.octets.digest, one.octets.match_digest) for one in uploads
        ]

    def test_sending_nothing_is_nothing(self, target: Erasing) -> None:
        assert append(target, target.prepare("INBOX"), []) == []

    def test_twins_are_two(self, target: Erasing) -> None:
        mailbox = target.prepare("INBOX")
        assert len(set(uids(append(target, mailbox, [upload(PLAIN), upload(PLAIN)])))) == 2
        assert len(target.survey(mailbox, 1)) == 2

    @pytest.mark.parametrize("sort", AWKWARD)
    def test_awkward_octets_are_found_again(self, target: Erasing, sort: str) -> None:
        mailbox = target.prepare("INBOX")
        sent = upload(AWKWARD[sort])
        (uid,) = uids(append(target, mailbox, [sent]))
        assert target.digests(mailbox, [uid])[uid][1] == sent.octets.match_digest

    def test_awkward_octets_are_found_again_when_they_travel_together(self, target: Erasing) -> None:
        mailbox = target.prepare("INBOX")
        sent = [upload(octets) for octets in AWKWARD.values()]
        got = uids(append(target, mailbox, sent))
        digests = target.digests(mailbox, got)
        assert [digests[uid][1] for uid in got] == [one.octets.match_digest for one in sent]

    def test_large_and_small_travel_together(self, target: Erasing) -> None:
        mailbox = target.prepare("INBOX")
        sizes = [1, 70, 4095, 4096, 4097, 65_536, 1_500_000, 3_000_000, 70]
        sent = [
            upload((b"Subject: x\r\n\r\n" + b"line of text\r\n" * (size // 14 + 1))[:size]) for size in sizes
        ]
        got = uids(append(target, mailbox, sent))
        digests = target.digests(mailbox, got)
        assert [digests[uid][1] for uid in got] == [one.octets.match_digest for one in sent]

    def test_hundreds_in_one_call_keep_their_order(self, target: Erasing) -> None:
        mailbox = target.prepare("INBOX")
        sent = [upload(PLAIN + b"%d\r\n" % number) for number in range(300)]
        got = uids(append(target, mailbox, sent))
        digests = target.digests(mailbox, got)
        assert [digests[uid][0] for uid in got] == [one.octets.digest for one in sent]

    def test_a_survey_begins_where_it_is_told(self, target: Erasing) -> None:
        mailbox = target.prepare("INBOX")
        assert target.survey(mailbox, 1) == []
        got = uids(append(target, mailbox, [upload(PLAIN)] * 4))
        assert [one.uid for one in target.survey(mailbox, got[2])] == got[2:]
        assert target.survey(mailbox, got[-1] + 1) == []

    def test_looking_marks_nothing_as_read(self, target: Erasing) -> None:
        mailbox = target.prepare("INBOX")
        (uid,) = uids(append(target, mailbox, [upload(PLAIN)]))
        target.digests(mailbox, [uid])
        assert target.survey(mailbox, 1)[0].flags == frozenset()

    def test_what_others_removed_is_missing_and_the_rest_is_there(
        self, target: Erasing, expunge: Expunge
    ) -> None:
        mailbox = target.prepare("INBOX")
        first, second, third = uids(append(target, mailbox, [upload(PLAIN)] * 3))
        expunge(mailbox, second)
        assert [one.uid for one in target.survey(mailbox, 1)] == [first, third]
        assert set(target.digests(mailbox, [first, second, third, third + 1000])) == {first, third}

    def test_mail_that_others_brought_is_seen(self, target: Erasing, make: MakeTarget) -> None:
        mailbox = target.prepare("INBOX")
        target.survey(mailbox, 1)
        other = make()
        other.open()
        (uid,) = uids(append(other, other.prepare("INBOX"), [upload(PLAIN, "\\Seen")]))
        other.close()
        assert [one.uid for one in target.survey(mailbox, 1)] == [uid]
        assert set(target.digests(mailbox, [uid])) == {uid}

    def test_what_has_just_been_sent_is_there_at_once(self, target: Erasing) -> None:
        mailbox = target.prepare("INBOX")
        for number in range(3):
            sent = upload(PLAIN + b"%d\r\n" % number)
            (uid,) = uids(append(target, mailbox, [sent]))
            assert target.digests(mailbox, [uid]) == {uid: (sent.octets.digest, sent.octets.match_digest)}

    def test_sending_runs_beside_looking(self, target: Erasing) -> None:
        mailbox = target.prepare("Busy")
        outcomes: list[Outcome] = []

        def send() -> None:
            for number in range(20):
                outcomes.extend(append(target, mailbox, [upload(PLAIN + b"%d\r\n" % number)] * 3))

        sender = threading.Thread(target=send)
        sender.start()
        while sender.is_alive():
            target.prepare("Other")
            found = target.survey(mailbox, 1)
            target.digests(mailbox, [one.uid for one in found[-2:]])
        sender.join()
        assert [one.uid for one in target.survey(mailbox, 1)] == uids(outcomes)

    def test_old_dates_stay(self, target: Erasing) -> None:
        mailbox = target.prepare("INBOX")
        dates = [
            datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC),
            datetime(2020, 2, 29, 23, 59, 59, tzinfo=UTC),
            DATE,
        ]
        uids(append(target, mailbox, [upload(PLAIN, date=date) for date in dates]))
        assert [one.date for one in target.survey(mailbox, 1)] == dates

    # -- taking back

    @pytest.fixture
    def exact(self, make: MakeTarget) -> bool:
        """Whether the server can expunge single messages."""
        other = make()
        try:
            return "UIDPLUS" in other.open().capabilities
        finally:
            other.close()

    def test_what_is_erased_is_gone_and_nothing_else_is(self, target: Erasing, exact: bool) -> None:
        mailbox = target.prepare("INBOX")
        first, second, third, last = uids(append(target, mailbox, [upload(PLAIN, "\\Seen")] * 4))
        before = {one.uid: one for one in target.survey(mailbox, 1)}
        gone = target.erase(mailbox, [first, third, last + 1000], plain=not exact)
        assert gone == {first, third, last + 1000}
        assert target.survey(mailbox, 1) == [before[second], before[last]]
        assert set(target.digests(mailbox, [first, second, third, last])) == {second, last}
        assert target.erase(mailbox, [], plain=not exact) == set()
        (after,) = uids(append(target, mailbox, [upload(PLAIN)]))
        assert after > last
        assert [one.uid for one in target.survey(mailbox, 1)] == [second, last, after]

    def test_what_somebody_else_has_marked_as_deleted_stays(self, target: Erasing, exact: bool) -> None:
        """If it cannot be told apart from ours, ours stays too."""
        mailbox = target.prepare("INBOX")
        first, marked, last = uids(
            append(target, mailbox, [upload(PLAIN), upload(PLAIN, "\\Deleted"), upload(PLAIN)])
        )
        before = {one.uid: one for one in target.survey(mailbox, 1)}
        if exact:
            assert target.erase(mailbox, [first]) == {first}
            del before[first]
        else:
            for plain in (False, True):
                with pytest.raises(FolderError):
                    target.erase(mailbox, [first], plain=plain)
        assert target.survey(mailbox, 1) == list(before.values())
        assert {marked, last} <= set(before)

    def test_hundreds_are_erased(self, target: Erasing, exact: bool) -> None:
        mailbox = target.prepare("INBOX")
        got = uids(append(target, mailbox, [upload(PLAIN + b"%d\r\n" % n) for n in range(450)]))
        assert target.erase(mailbox, got[::2], plain=not exact) == set(got[::2])
        assert [one.uid for one in target.survey(mailbox, 1)] == got[1::2]

    def test_nothing_is_erased_in_a_folder_that_was_replaced(self, target: Erasing) -> None:
        mailbox = target.prepare("INBOX")
        (uid,) = uids(append(target, mailbox, [upload(PLAIN)]))
        with pytest.raises(FolderError):
            target.erase(mailbox._replace(uidvalidity=mailbox.uidvalidity + 1), [uid])
        assert [one.uid for one in target.survey(mailbox, 1)] == [uid]

    def test_only_an_empty_folder_without_others_below_it_is_removed(
        self, target: Erasing, exact: bool
    ) -> None:
        upper, lower = target.prepare("Upper"), target.prepare("Upper/Lower")
        assert lower.above == ()
        (uid,) = uids(append(target, lower, [upload(PLAIN)]))
        assert target.remove(upper.name, upper.uidvalidity)
        assert target.remove(lower.name, lower.uidvalidity)
        assert len(target.survey(lower, 1)) == 1
        target.erase(lower, [uid], plain=not exact)
        assert target.remove(lower.name, lower.uidvalidity + 1)
        assert target.remove(lower.name, lower.uidvalidity) == ""
        assert target.locate("Upper/Lower") is None
        assert target.locate("Upper") is not None
        assert target.remove(upper.name, None) == ""
        assert target.remove(upper.name, None) == "", "what is not there need not be removed"
        assert target.locate("Upper") is None
        assert target.prepare("Upper").created
        assert target.remove("INBOX", None)
