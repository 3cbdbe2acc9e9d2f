"""What every journal has to keep: one suite for all stores.

A store is held to it by a subclass that says how to open one::

    class TestSqlite(JournalContract):
        @pytest.fixture
        def reopen(self, tmp_path: Path) -> Reopen: ...

``reopen()`` gives the journal of one target, anew each time: the one before is closed.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from pop2imap.errors import Again, ExitCode, InternalError
from pop2imap.journal import Held, Journal, Moved, Placement, Problem, Record
from pop2imap.model import Account, DateFrom, Key, Refused, Stored, Unknown

Reopen = Callable[[], Journal]

WHEN = datetime(2021, 2, 3, 4, 5, 6, tzinfo=UTC)
POP, MBOX = "pop3:alice@pop.example:995", "mbox:/home/alice/mail/inbox"


def key(name: str, nth: int = 0, source: str = POP) -> Key:
    return Key(source, name, nth)


def record(of: Key | str, account: Account = Account.PENDING, **more: object) -> Record:
    whole = Record(
        key=key(of) if isinstance(of, str) else of,
        account=account,
        size=100,
        digest=b"d" * 32,
        date=WHEN,
        date_from=DateFrom.RECEIVED,
        why="rule 'Lists'",
        rules_digest="rules-1",
    )
    return whole._replace(**more)  # type: ignore[arg-type]


def placement(of: Key | str, mailbox: str = "INBOX", **more: object) -> Placement:
    whole = Placement(
        key=key(of) if isinstance(of, str) else of,
        folder=mailbox,
        mailbox=mailbox,
        uidvalidity=7,
        lower_bound=10,
        match_digest=b"m" * 32,
        size=100,
        date=WHEN,
        flags=("\\Seen", "$List"),
    )
    return whole._replace(**more)  # type: ignore[arg-type]


def intend(journal: Journal, *names: str, mailbox: str = "INBOX", **more: object) -> list[int]:
    return journal.intend(
        [record(name) for name in names], [placement(name, mailbox, **more) for name in names]
    )


def account(journal: Journal, name: str) -> Account:
    return journal.lookup([key(name)])[key(name)].account


class JournalContract:
    """Subclasses give ``reopen``."""

    @pytest.fixture
    def reopen(self) -> Reopen:
        raise NotImplementedError("a subclass says how to open a journal")

    @pytest.fixture
    def journal(self, reopen: Reopen) -> Journal:
        return reopen()

    # -- messages

    def test_what_was_noted_is_found_again_by_the_next_run(self, reopen: Reopen) -> None:
        reopen().note([record("a", Account.SKIPPED, reason="skip me")])
        entry = reopen().lookup([key("a"), key("b")])
        assert set(entry) == {key("a")}
        found = entry[key("a")]
        assert (found.account, found.size, found.digest) == (Account.SKIPPED, 100, b"d" * 32)
        assert (found.date, found.reason, found.rules_digest) == (WHEN, "skip me", "rules-1")
        assert (found.placed, found.mailboxes) == ({}, {})

    def test_keys_differ_by_source_name_and_repeat(self, journal: Journal) -> None:
        keys = [key("a"), key("a", 1), key("A"), key("a", source=MBOX)]
        journal.note([record(one, size=number) for number, one in enumerate(keys)])
        assert {one: entry.size for one, entry in journal.lookup(keys).items()} == dict(
            zip(keys, range(4), strict=True)
        )

    def test_any_number_of_keys_may_be_looked_up(self, journal: Journal) -> None:
        journal.note(record(f"k{n}", size=n) for n in range(2500))
        found = journal.lookup([key(f"k{n}") for n in range(3000)])
        assert len(found) == 2500
        assert all(found[key(f"k{n}")].size == n for n in range(2500))
        assert journal.lookup([]) == {}

    def test_ten_thousand_repeats_of_one_name(self, journal: Journal) -> None:
        journal.note(record(key("same", nth), size=nth) for nth in range(10_000))
        wanted = [key("same", nth) for nth in range(9_000, 9_010)]
        assert [entry.size for entry in journal.lookup(wanted).values()] == list(range(9_000, 9_010))

    def test_what_is_settled_is_told_in_short_as_it_is_at_length(self, journal: Journal) -> None:
        ids = intend(journal, "stored", "intended", "refused")
        journal.settle([(ids[0], Stored(7, 11)), (ids[2], Refused("no"))])
        journal.present(record("present", date=None, rules_digest=""), placement("present"), 12)
        journal.note([record("skipped", Account.SKIPPED), record("lent", Account.PRESENT, size=3)])
        names = ("stored", "intended", "refused", "present", "skipped", "lent", "other")
        keys = [key(name) for name in names]
        entries, settled = journal.lookup(keys), journal.settled(keys)
        assert {one.name for one in settled} == {"stored", "present", "lent"}
        for one, told in settled.items():
            entry = entries[one]
            seconds = int(entry.date.timestamp()) if entry.date else None
            assert told == (entry.account, entry.size, seconds, entry.rules_digest)
        assert journal.settled([]) == {}

    def test_it_is_known_whether_anything_was_repaired(self, journal: Journal) -> None:
        intend(journal, "a")
        assert not journal.any_repaired
        intend(journal, "b", repairs=("nul",))
        assert journal.any_repaired

    def test_a_new_note_replaces_the_old_one(self, journal: Journal) -> None:
        journal.note([record("a", Account.UNREADABLE, reason="garbled", digest=None, date=None)])
        journal.note([record("a", Account.SKIPPED, reason="by rule", rules_digest="rules-2")])
        entry = journal.lookup([key("a")])[key("a")]
        assert (entry.account, entry.reason, entry.rules_digest) == (
            Account.SKIPPED,
            "by rule",
            "rules-2",
        )

    @pytest.mark.parametrize(
        "hostile", ["nul \0 nul", "lone \udc80 surrogate", "quote ' \" ; --", "日本語 \U0001f4ec"]
    )
    def test_no_text_breaks_it(self, reopen: Reopen, hostile: str) -> None:
        one = Key(f"mbox:{hostile}", hostile, 0)
        journal = reopen()
        ids = journal.intend([record(one, subject=hostile)], [placement(one, hostile)])
        journal.settle([(ids[0], Refused(hostile))])
        again = reopen()
        assert again.lookup([one])[one].account is Account.REFUSED
        assert again.known(one.source) == 0
        assert len(again.problems()) == 1

    def test_dates_before_1970_are_kept(self, journal: Journal) -> None:
        early = datetime(1904, 1, 1, tzinfo=UTC)
        journal.note([record("a", date=early)])
        assert journal.lookup([key("a")])[key("a")].date == early

    # -- intents

    def test_an_intent_is_there_after_a_crash_with_all_that_recovery_needs(self, reopen: Reopen) -> None:
        ids = intend(reopen(), "a", "b")
        journal = reopen()
        found = journal.intents("INBOX")
        assert [one.id for one in found] == ids
        assert ids == sorted(ids)
        assert found == [placement("a", id=ids[0]), placement("b", id=ids[1])]
        assert journal.claims("INBOX") == found
        assert journal.mailboxes_in_doubt() == [("INBOX", "INBOX")]
        assert account(journal, "a") is Account.PENDING

    def test_an_intent_shows_in_its_entry_as_pending(self, journal: Journal) -> None:
        journal.intend([record("a", copies=2)], [placement("a", "Sent Items", folder="\\Sent")])
        entry = journal.lookup([key("a")])[key("a")]
        assert entry.placed == {"\\Sent": Account.PENDING}
        assert entry.mailboxes == {"Sent Items": Account.PENDING}

    def test_what_is_intended_or_stored_is_not_intended_again(self, journal: Journal) -> None:
        ids = intend(journal, "a")
        with pytest.raises(InternalError):
            intend(journal, "a")
        journal.settle([(ids[0], Stored(7, 11))])
        with pytest.raises(InternalError):
            intend(journal, "a")
        assert account(journal, "a") is Account.STORED

    def test_one_mailbox_gets_one_copy_whatever_its_folder_is_called(self, journal: Journal) -> None:
        intend(journal, "a")
        with pytest.raises(InternalError):
            journal.intend([record("a")], [placement("a", folder="inbox")])
        with pytest.raises(InternalError):
            journal.intend([record("b")], [placement("b"), placement("b", folder="inbox")])

    def test_a_failed_intend_leaves_nothing_behind(self, journal: Journal) -> None:
        intend(journal, "a")
        with pytest.raises(InternalError):
            journal.intend([record("new"), record("a")], [placement("new", "New folder"), placement("a")])
        assert journal.lookup([key("new")]) == {}
        assert len(journal.claims("INBOX")) == 1
        ids = intend(journal, "new", mailbox="New folder")  # and it is as good as before
        assert [one.id for one in journal.intents("New folder")] == ids

    def test_a_placement_without_its_record_is_a_defect(self, journal: Journal) -> None:
        with pytest.raises(InternalError):
            journal.intend([record("a")], [placement("b")])

    def test_naive_dates_are_a_defect(self, journal: Journal) -> None:
        with pytest.raises(InternalError):
            intend(journal, "a", date=WHEN.replace(tzinfo=None))

    # -- outcomes

    def test_stored_with_a_uid_owns_it_and_is_no_claim(self, journal: Journal) -> None:
        ids = intend(journal, "a", "b")
        journal.settle(zip(ids, [Stored(7, 10), Stored(7, 11)], strict=True))
        assert journal.owned("INBOX", 7) == {10, 11}
        assert journal.owned("INBOX", 8) == set()
        assert journal.put(key("a").source, "INBOX", 7) == {"a": 10, "b": 11}
        assert journal.put(key("a").source, "INBOX", 8) == journal.put("another source", "INBOX", 7) == {}
        assert journal.claims("INBOX") == []
        assert journal.unlocated("INBOX") == []
        assert journal.mailboxes_in_doubt() == []
        entry = journal.lookup([key("a")])[key("a")]
        assert (entry.account, entry.placed) == (Account.STORED, {"INBOX": Account.STORED})

    def test_stored_without_a_uid_stays_a_claim_until_it_is_found(self, journal: Journal) -> None:
        ids = intend(journal, "a")
        journal.settle([(ids[0], Stored(7, None))])
        assert journal.claims("INBOX") == [placement("a", id=ids[0], stored=True)]
        assert journal.unlocated("INBOX") == [b"m" * 32]
        assert journal.intents("INBOX") == []
        assert account(journal, "a") is Account.STORED
        journal.settle([(ids[0], Stored(7, 12))], durable=True)
        assert (journal.claims("INBOX"), journal.owned("INBOX", 7)) == ([], {12})

    @pytest.mark.parametrize(
        "outcome",
        [
            pytest.param(Stored(7, 5), id="a UID below L"),
            pytest.param(Stored(8, 15), id="another UIDVALIDITY"),
            pytest.param(Stored(7, 10), id="a UID that is owned"),
        ],
    )
    def test_a_uid_that_cannot_be_believed_is_not_believed(self, journal: Journal, outcome: Stored) -> None:
        first, second = intend(journal, "a", "b")
        journal.settle([(first, Stored(7, 10))])
        journal.settle([(second, outcome)])
        assert account(journal, "b") is Account.STORED
        assert [one.id for one in journal.claims("INBOX")] == [second]
        assert journal.owned("INBOX", 7) == {10}

    def test_one_uid_told_twice_in_one_batch_has_one_owner(self, journal: Journal) -> None:
        ids = intend(journal, "a", "b")
        journal.settle((number, Stored(7, 12)) for number in ids)
        assert journal.owned("INBOX", 7) == {12}
        assert [one.id for one in journal.claims("INBOX")] == ids[1:]

    def test_refused_for_good(self, journal: Journal) -> None:
        ids = intend(journal, "a")
        journal.settle([(ids[0], Refused("too ugly"))])
        entry = journal.lookup([key("a")])[key("a")]
        assert (entry.account, entry.reason) == (Account.REFUSED, "too ugly")
        assert entry.placed == {"INBOX": Account.REFUSED}
        assert journal.claims("INBOX") == []

    def test_refused_for_now_is_ready_again(self, journal: Journal) -> None:
        ids = intend(journal, "a")
        journal.settle([(ids[0], Refused("over quota", Again.LATER))])
        entry = journal.lookup([key("a")])[key("a")]
        assert (entry.account, entry.reason, entry.placed) == (Account.PENDING, "over quota", {})
        again = intend(journal, "a")
        assert again[0] > ids[0], "an id is not used twice"
        journal.settle([(again[0], Stored(7, 10))])
        entry = journal.lookup([key("a")])[key("a")]
        assert (entry.account, entry.reason) == (Account.STORED, "")

    def test_unknown_stays_intended(self, journal: Journal) -> None:
        ids = intend(journal, "a")
        journal.settle([(ids[0], Unknown("lost"))])
        assert [one.id for one in journal.intents("INBOX")] == ids
        assert account(journal, "a") is Account.PENDING

    def test_held_is_no_claim_and_no_doubt(self, journal: Journal) -> None:
        ids = intend(journal, "a")
        journal.settle([(ids[0], Held("nobody knows"))], durable=True)
        entry = journal.lookup([key("a")])[key("a")]
        assert (entry.account, entry.reason) == (Account.HELD, "nobody knows")
        assert entry.placed == {"INBOX": Account.HELD}
        assert (journal.claims("INBOX"), journal.mailboxes_in_doubt()) == ([], [])

    def test_held_and_refused_copies_may_be_tried_again(self, journal: Journal) -> None:
        ids = intend(journal, "a", "b")
        journal.settle(zip(ids, [Held("nobody knows"), Refused("no")], strict=True))
        again = intend(journal, "a", "b")
        journal.settle((number, Stored(7, 20 + at)) for at, number in enumerate(again))
        assert {account(journal, name) for name in "ab"} == {Account.STORED}

    def test_moved_owns_its_uid_where_it_is_now(self, journal: Journal) -> None:
        ids = intend(journal, "a")
        journal.settle([(ids[0], Moved("Trash", 3, 44))], durable=True)
        assert account(journal, "a") is Account.STORED
        assert journal.owned("Trash", 3) == {44}
        assert journal.owned("INBOX", 7) == set()
        assert journal.claims("INBOX") == []
        assert journal.lookup([key("a")])[key("a")].placed == {"INBOX": Account.STORED}

    def test_an_outcome_comes_once(self, journal: Journal) -> None:
        ids = intend(journal, "a", "b")
        journal.settle([(ids[0], Stored(7, 10)), (ids[1], Stored(7, None))])
        with pytest.raises(InternalError):
            journal.settle([(ids[0], Stored(7, 11))])
        with pytest.raises(InternalError):
            journal.settle([(ids[1], Refused("no"))])
        with pytest.raises(InternalError):
            journal.settle([(9999, Held("who?"))])
        assert journal.owned("INBOX", 7) == {10}

    # -- several copies of a message

    def test_a_message_is_pending_until_its_last_copy_has_an_outcome(self, journal: Journal) -> None:
        first = journal.intend([record("a", copies=2)], [placement("a", "X")])
        journal.settle([(first[0], Refused("no"))])
        assert account(journal, "a") is Account.PENDING, "or its other copy would never be sent"
        second = journal.intend([record("a", copies=2)], [placement("a", "Y")])
        assert account(journal, "a") is Account.PENDING
        journal.settle([(second[0], Stored(7, 10))])
        entry = journal.lookup([key("a")])[key("a")]
        assert entry.account is Account.REFUSED
        assert entry.placed == {"X": Account.REFUSED, "Y": Account.STORED}

    @pytest.mark.parametrize(
        ("outcomes", "expected"),
        [
            ((Stored(7, 10), Stored(7, 10)), Account.STORED),
            ((Stored(7, 10), Held("?")), Account.HELD),
            ((Refused("no"), Held("?")), Account.HELD),
            ((Stored(7, 10), Refused("no")), Account.REFUSED),
            ((Stored(7, 10), Refused("later", Again.LATER)), Account.PENDING),
            ((Stored(7, 10), Unknown("?")), Account.PENDING),
        ],
    )
    def test_the_worst_copy_decides(
        self,
        journal: Journal,
        outcomes: tuple[Stored | Refused | Held | Unknown, ...],
        expected: Account,
    ) -> None:
        ids = journal.intend([record("a", copies=2)], [placement("a", "X"), placement("a", "Y")])
        journal.settle(zip(ids, outcomes, strict=True))
        assert account(journal, "a") is expected

    def test_new_rules_make_old_refusals_void(self, journal: Journal) -> None:
        ids = intend(journal, "a", mailbox="Old")
        journal.settle([(ids[0], Refused("no"))])
        new = record("a", rules_digest="rules-2")
        again = journal.intend([new], [placement("a", "New")])
        journal.settle([(again[0], Stored(7, 10))])
        entry = journal.lookup([key("a")])[key("a")]
        assert (entry.account, entry.placed) == (Account.STORED, {"New": Account.STORED})

    # -- present

    def test_present_owns_its_uid(self, journal: Journal) -> None:
        journal.present(record("a"), placement("a"), 4)
        assert journal.owned("INBOX", 7) == {4}
        assert account(journal, "a") is Account.PRESENT
        assert journal.claims("INBOX") == []
        with pytest.raises(InternalError):
            intend(journal, "a")

    def test_stored_and_present_together_are_stored(self, journal: Journal) -> None:
        journal.present(record("a", copies=2), placement("a", "X"), 4)
        assert account(journal, "a") is Account.PENDING
        ids = journal.intend([record("a", copies=2)], [placement("a", "Y")])
        journal.settle([(ids[0], Stored(7, 10))])
        assert account(journal, "a") is Account.STORED

    def test_held_may_turn_out_to_be_present(self, journal: Journal) -> None:
        ids = intend(journal, "a")
        journal.settle([(ids[0], Held("?"))])
        journal.present(record("a"), placement("a"), 12)
        assert account(journal, "a") is Account.PRESENT

    # -- renumbering

    def test_a_new_uidvalidity_makes_claims_of_everything_that_is_there(self, journal: Journal) -> None:
        known, unknown, doubt, refused = intend(journal, "a", "b", "c", "d")
        journal.settle([(known, Stored(7, 10)), (unknown, Stored(7, None)), (refused, Refused("no"))])
        journal.present(record("p"), placement("p"), 4)
        journal.present(record("q"), placement("q"), None)  # another source's: there is no copy of its own
        intend(journal, "e", mailbox="Other", uidvalidity=7)
        assert journal.last_uidvalidity("INBOX") == 7
        journal.renumbered("INBOX", 8)
        assert journal.last_uidvalidity("INBOX") == 8
        claims = {one.key.name: one for one in journal.claims("INBOX")}
        assert set(claims) == {"a", "b", "c", "p"}
        assert {(one.uidvalidity, one.lower_bound) for one in claims.values()} == {(8, 0)}
        assert [name for name, one in claims.items() if not one.stored] == ["c"]
        assert (journal.owned("INBOX", 7), journal.owned("INBOX", 8)) == (set(), set())
        assert journal.intents("Other")[0].uidvalidity == 7
        journal.settle([(claims["p"].id, Stored(8, 1)), (doubt, Stored(8, 2))])
        assert account(journal, "p") is Account.PRESENT
        assert journal.owned("INBOX", 8) == {1, 2}

    def test_a_moved_copy_is_renumbered_where_it_is_now(self, journal: Journal) -> None:
        ids = intend(journal, "a")
        journal.settle([(ids[0], Moved("Trash", 3, 44))])
        assert journal.last_uidvalidity("Trash") == 3
        journal.renumbered("Trash", 4)
        assert [(one.id, one.uidvalidity) for one in journal.claims("Trash")] == [(ids[0], 4)]

    def test_the_same_uidvalidity_changes_nothing(self, journal: Journal) -> None:
        ids = intend(journal, "a")
        journal.settle([(ids[0], Stored(7, 10))])
        journal.renumbered("INBOX", 7)
        assert journal.owned("INBOX", 7) == {10}
        journal.renumbered("Never seen", 1)
        assert journal.last_uidvalidity("Never seen") == 1

    def test_an_intent_under_a_new_uidvalidity_renumbers_too(self, journal: Journal) -> None:
        ids = intend(journal, "a")
        journal.settle([(ids[0], Stored(7, 10))])
        intend(journal, "b", uidvalidity=8)
        assert [(one.key.name, one.stored) for one in journal.claims("INBOX")] == [
            ("a", True),
            ("b", False),
        ]

    def test_claims_can_be_asked_for_by_content(self, journal: Journal) -> None:
        digests = [bytes([n % 256, n // 256]) * 16 for n in range(1500)]
        journal.intend(
            [record(f"k{n}") for n in range(1500)],
            [placement(f"k{n}", match_digest=digest) for n, digest in enumerate(digests)],
        )
        assert [one.key.name for one in journal.claims("INBOX", [digests[3], b"?" * 32])] == ["k3"]
        assert len(journal.claims("INBOX", digests)) == 1500
        assert journal.claims("INBOX", []) == []

    # -- copies in other sources, other names

    def test_what_other_sources_brought_counts_once_each(self, journal: Journal) -> None:
        mine, theirs = key("m", source=MBOX), key("a")
        assert journal.elsewhere(mine, b"d" * 32) == 0
        ids = intend(journal, "a", "b")
        assert journal.elsewhere(mine, b"d" * 32) == 0, "not before it is stored"
        journal.settle((number, Stored(7, 10 + number)) for number in ids)
        assert journal.elsewhere(theirs, b"d" * 32) == 0, "twins within one source are both kept"
        assert journal.elsewhere(mine, b"x" * 32) == 0
        assert journal.elsewhere(mine, b"d" * 32) == 2
        journal.note([record(mine, Account.PRESENT)])
        assert journal.elsewhere(mine, b"d" * 32) == 2, "the same question has the same answer"
        assert journal.elsewhere(key("n", source=MBOX), b"d" * 32) == 1
        journal.present(record(key("n", source=MBOX)), placement(key("n", source=MBOX)), None)
        assert journal.elsewhere(key("o", source=MBOX), b"d" * 32) == 0
        assert journal.elsewhere(key("x", source="mbox:third"), b"d" * 32) == 2
        assert journal.elsewhere(key("c"), b"d" * 32) == 0, "what they had from us is not theirs"

    def test_found_in_the_target_counts_as_brought(self, journal: Journal) -> None:
        journal.present(record("a"), placement("a"), 4)
        assert journal.elsewhere(key("m", source=MBOX), b"d" * 32) == 1

    def test_the_settled_keys_of_the_same_octets(self, journal: Journal) -> None:
        ids = journal.intend(
            [record(key("a", nth)) for nth in (2, 0, 1)],
            [placement(key("a", nth), f"F{nth}") for nth in (2, 0, 1)],
        )
        journal.settle(zip(ids, [Stored(7, 10), Stored(7, 10), Unknown("?")], strict=True))
        assert journal.same_octets(POP, b"d" * 32) == [key("a", 0), key("a", 2)]
        assert journal.same_octets(MBOX, b"d" * 32) == []
        assert (journal.known(POP), journal.known(MBOX)) == (2, 0)

    def test_a_message_can_get_another_name(self, reopen: Reopen) -> None:
        journal = reopen()
        ids = intend(journal, "old")
        journal.settle([(ids[0], Stored(7, 10))])
        journal.note([record("new")])
        journal.rebind(key("old"), key("new"))
        again = reopen()
        assert set(again.lookup([key("old"), key("new")])) == {key("new")}
        assert account(again, "new") is Account.STORED
        with pytest.raises(InternalError):
            again.rebind(key("never"), key("other"))

    def test_a_name_that_means_a_placed_message_is_not_given_away(self, journal: Journal) -> None:
        intend(journal, "a", "b")
        with pytest.raises(InternalError):
            journal.rebind(key("a"), key("b"))

    def test_which_octets_are_settled_anywhere(self, journal: Journal) -> None:
        one, two, three = (digest * 32 for digest in (b"1", b"2", b"3"))
        ids = journal.intend(
            [record("a"), record("b")],
            [placement("a", match_digest=one), placement("b", match_digest=two)],
        )
        journal.settle([(ids[0], Stored(7, 10))])
        journal.present(record("c"), placement("c", match_digest=three), 4)
        assert journal.settled_like([one, two, three]) == {one, three}

    # -- sums

    def test_folders_sum_up_what_we_stored(self, journal: Journal) -> None:
        ids = intend(journal, "a", "b", "c")
        journal.settle(zip(ids, [Stored(7, 10), Stored(7, None), Refused("no")], strict=True))
        journal.present(record("p"), placement("p"), 4)
        assert journal.folders() == {"INBOX": (2, 200)}

    def test_counts_by_source_and_account(self, journal: Journal) -> None:
        journal.note([record("a", Account.SKIPPED), record("b", Account.SKIPPED, size=11)])
        journal.note([record(key("c", source=MBOX), Account.GONE, size=0)])
        assert journal.counts() == {
            POP: {Account.SKIPPED: (2, 111)},
            MBOX: {Account.GONE: (1, 0)},
        }

    def test_problems_name_what_a_person_has_to_look_at(self, journal: Journal) -> None:
        journal.note([record("u", Account.UNREADABLE, reason="garbled", subject="Hi")])
        ids = journal.intend(
            [record("r", subject="No good"), record("s", subject="Private")],
            [placement("r"), placement("s")],
        )
        journal.settle(zip(ids, [Refused("too ugly"), Stored(7, 10)], strict=True))
        assert journal.problems() == [
            Problem(key("u"), Account.UNREADABLE, WHEN, "Hi", 100, "garbled"),
            Problem(key("r"), Account.REFUSED, WHEN, "No good", 100, "too ugly"),
        ]

    def test_a_subject_goes_when_the_message_is_settled(self, journal: Journal) -> None:
        ids = journal.intend([record("a", subject="Private")], [placement("a")])
        assert journal.lookup([key("a")])[key("a")].subject == "Private"
        journal.settle([(ids[0], Stored(7, 10))])
        assert journal.lookup([key("a")])[key("a")].subject == ""
        journal.note([record("b", Account.SKIPPED, subject="Private")])
        assert journal.lookup([key("b")])[key("b")].subject == ""

    # -- runs

    def test_the_last_sign_of_life_is_that_of_the_run_before(self, reopen: Reopen) -> None:
        first = reopen()
        assert first.last_alive is None
        before = datetime.now(UTC) - timedelta(seconds=1)
        first.touch()
        second = reopen()
        assert second.last_alive is not None
        assert before <= second.last_alive <= datetime.now(UTC) + timedelta(seconds=1)
        seen = second.last_alive
        second.touch()
        assert second.last_alive == seen

    def test_a_run_can_be_finished(self, reopen: Reopen) -> None:
        journal = reopen()
        intend(journal, "a")
        journal.finish_run(ExitCode.NOT_FINISHED, {"pending": 1})
        intend(journal, "b")  # nothing forbids to go on
        assert len(reopen().intents("INBOX")) == 2

    # -- what was found, and what was deleted at its source

    def test_adopted_copies_are_present_and_own_their_uids(self, journal: Journal, reopen: Reopen) -> None:
        journal.adopt(
            [record("a", copies=2), record("b", copies=2)],
            [
                (placement("a", "INBOX", folder="Lists"), 5),
                (placement("a", "INBOX", folder="Copies"), 6),  # its owner has put both into one
                (placement("b", "Trash", folder="Lists"), 7),
            ],
        )
        journal = reopen()
        known = journal.lookup([key("a"), key("b")])
        assert (known[key("a")].account, known[key("b")].account) == (Account.PRESENT, Account.PENDING)
        assert known[key("a")].placed == {"Lists": Account.PRESENT, "Copies": Account.PRESENT}
        assert (journal.owned("INBOX", 7), journal.owned("Trash", 7)) == ({5, 6}, {7})
        assert journal.folders() == {}, "they are not ours"

    def test_an_adopted_copy_takes_the_place_of_a_refused_one_and_of_no_other(self, journal: Journal) -> None:
        (number,) = intend(journal, "a")
        journal.settle([(number, Refused("no"))])
        journal.adopt([record("a")], [(placement("a"), 9)])
        assert account(journal, "a") is Account.PRESENT
        with pytest.raises(InternalError):
            journal.adopt([record("a")], [(placement("a"), 10)])

    def test_a_held_copy_that_was_found_is_present_where_it_was_found(self, journal: Journal) -> None:
        (number,) = intend(journal, "a")
        journal.settle([(number, Held("who knows"))])
        journal.settle([(number, Moved("Trash", 3, 4))], durable=True)
        assert account(journal, "a") is Account.PRESENT
        assert journal.owned("Trash", 3) == {4}
        assert journal.problems() == []
        with pytest.raises(InternalError):
            journal.settle([(number, Moved("Trash", 3, 5))])

    def test_what_was_deleted_at_its_source_is_known_and_its_name_is_free(
        self, journal: Journal, reopen: Reopen
    ) -> None:
        for name, uid in (("a", 11), ("b", 12)):
            (number,) = intend(journal, name)
            journal.settle([(number, Stored(7, uid))])
        journal.remove([key("a")])
        journal = reopen()
        assert set(journal.lookup([key("a"), key("b")])) == {key("b")}
        assert (journal.known(POP), journal.removed(POP)) == (1, 1)
        assert journal.counts()[POP][Account.STORED] == (2, 200)
        assert journal.same_octets(POP, b"d" * 32) == [key("a", -1), key("b")]
        assert journal.owned("INBOX", 7) == {11, 12}
        assert journal.elsewhere(key("x", source=MBOX), b"d" * 32) == 2

        intend(journal, "a")
        journal.remove([key("b")])
        assert journal.removed(POP) == 2
        journal.rebind(key("b", -1), key("b"))
        assert (journal.removed(POP), account(journal, "b")) == (1, Account.STORED)

    def test_one_name_may_have_been_deleted_many_times(self, journal: Journal) -> None:
        for uid in (11, 12, 13):
            (number,) = intend(journal, "a")
            journal.settle([(number, Stored(7, uid))])
            journal.remove([key("a")])
        assert journal.same_octets(POP, b"d" * 32) == [key("a", nth) for nth in (-3, -2, -1)]
        with pytest.raises(InternalError):
            journal.remove([key("a")])
