"""What recovery finds out, on an account in memory that has every habit and every accident of real ones."""

from __future__ import annotations

import copy
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pop2imap.errors import ConnectionLost, FolderError, NotFinished, ProtocolError
from pop2imap.journal import Placement, Record
from pop2imap.journal.place import directory
from pop2imap.journal.store import SqlJournal, open_journal
from pop2imap.model import Account, Key, Outcome, Upload
from pop2imap.octets import from_bytes
from pop2imap.recovery import FENCE, Recovered, RecoveredMailbox, recover
from tests.fakes.appending import append
from tests.fakes.memory_target import (
    Fate,
    MemoryServer,
    MemoryTarget,
    Rewrite,
    like_courier,
    like_cyrus,
    like_dovecot,
)
from tests.fakes.watched_database import waits_for_disk, watched

NOW = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)
DATE = datetime(2019, 1, 2, 3, 4, 5, tzinfo=UTC)
SOURCE = "mbox:/home/alice/inbox"


def mail(name: str, extra: str = "") -> bytes:
    return f"From: {name}@example.com\r\nSubject: {name}\r\n\r\nHello from {name}.{extra}\r\n".encode()


class World:
    """An account, the journal of it, a clock, and the simplest thing that sends mail."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.server = MemoryServer()
        self.target = MemoryTarget(self.server)
        self.target.open()
        self.time = NOW
        self.waits: list[float] = []
        self.said: list[str] = []
        self.while_waiting: Callable[[], object] = lambda: None
        self.journal: SqlJournal | None = None
        self.restart()

    def restart(self, quiet_for: float = 1.0) -> None:
        """The process died ``quiet_for`` seconds ago, and begins anew."""
        if self.journal is not None:
            self.journal.close()
        lock = directory(self.state, MemoryTarget.identity) / "lock"
        if lock.exists():
            stamp = self.time.timestamp() - quiet_for
            os.utime(lock, (stamp, stamp))
        self.journal = open_journal(self.state, MemoryTarget.identity)
        self.target.close()
        self.target.open()

    @property
    def open_journal(self) -> SqlJournal:
        assert self.journal is not None
        return self.journal

    def placement(self, name: str, octets: bytes, folder: str, date: datetime) -> Placement:
        mailbox = self.target.prepare(folder)
        whole = from_bytes(octets)
        return Placement(
            key=Key(SOURCE, name),
            folder=folder,
            mailbox=mailbox.name,
            uidvalidity=mailbox.uidvalidity,
            lower_bound=mailbox.uidnext,
            match_digest=whole.match_digest,
            size=whole.size,
            date=date,
            flags=("\\Seen",),
        )

    def send(
        self,
        *messages: tuple[str, bytes] | str,
        fates: Sequence[Fate] = (),
        folder: str = "INBOX",
        date: datetime = DATE,
        settle: bool = True,
    ) -> list[Outcome]:
        """Intend, append and settle, as a run does. Without ``settle`` the run dies before it."""
        named = [(one, mail(one)) if isinstance(one, str) else one for one in messages]
        placements = [self.placement(name, octets, folder, date) for name, octets in named]
        records = [
            Record(Key(SOURCE, name), Account.PENDING, len(octets), from_bytes(octets).digest, date)
            for name, octets in named
        ]
        ids = self.open_journal.intend(records, placements)
        fate = iter(fates)
        self.server.fate = lambda upload: next(fate, Fate.STORED)
        uploads = [Upload(from_bytes(octets), ("\\Seen",), date) for _, octets in named]
        outcomes = append(self.target, self.target.prepare(folder), uploads)
        self.server.fate = lambda upload: Fate.STORED
        if settle:
            self.open_journal.settle(zip(ids, outcomes, strict=True))
        return outcomes

    def now(self) -> datetime:
        return self.time

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.while_waiting()
        self.time += timedelta(seconds=seconds)

    def recover(self, **more: object) -> Recovered:
        return recover(
            self.open_journal,
            self.target,
            now=self.now,
            wait=self.wait,
            say=self.said.append,
            **more,  # type: ignore[arg-type]
        )

    def accounts(self) -> dict[str, str]:
        keys = [Key(SOURCE, name) for name in "abcdefgh"]
        return {key.name: entry.account.value for key, entry in self.open_journal.lookup(keys).items()}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "state")
    yield world
    world.open_journal.close()


LOST, LOST_ANSWER, LATE, STORED = Fate.LOST, Fate.LOST_ANSWER, Fate.LATE, Fate.STORED


def test_when_nothing_is_in_doubt_nothing_is_asked(world: World) -> None:
    world.send("a")
    world.server.log.clear()
    recovered = world.recover()
    assert (recovered, recovered.text) == (Recovered(), "")
    assert (world.server.log, world.waits, world.said) == ([], [], [])


def test_what_arrived_is_found_at_once(world: World) -> None:
    world.send("a", "b", fates=[LOST_ANSWER, LOST_ANSWER])
    world.restart()
    recovered = world.recover()
    assert recovered.mailboxes == (RecoveredMailbox("INBOX", stored=2),)
    assert world.waits == []
    assert world.accounts() == {"a": "stored", "b": "stored"}
    assert world.open_journal.owned("INBOX", world.server.mailboxes["INBOX"].uidvalidity) == {1, 2}
    assert world.open_journal.mailboxes_in_doubt() == []
    assert "2 copies were on the way" in recovered.text
    assert "2 had arrived" in recovered.text


def test_what_did_not_arrive_is_ready_after_the_fence(world: World) -> None:
    world.send("a", "b", fates=[LOST_ANSWER, LOST])
    world.restart(quiet_for=10)
    recovered = world.recover()
    assert (recovered.stored, recovered.ready, recovered.held) == (1, 1, 0)
    assert world.waits == [FENCE - 10]
    assert world.accounts() == {"a": "stored", "b": "pending"}
    world.send("b")
    assert world.server.octets_in("INBOX") == [mail("a"), mail("b")]


def test_an_ok_that_the_journal_lost_is_found_again(world: World) -> None:
    world.send("a", settle=False)
    world.restart()
    assert world.recover().stored == 1
    assert world.server.octets_in("INBOX") == [mail("a")]


def test_what_arrives_before_the_fence_is_found(world: World) -> None:
    world.send("a", "b", fates=[LATE, LATE])
    world.restart()
    world.while_waiting = world.server.arrive
    assert world.recover().stored == 2
    assert len(world.waits) == 1


@pytest.mark.parametrize(("quiet_for", "waited"), [(0, 30), (29, 1), (30, None), (3600, None), (-3600, 30)])
def test_the_fence_is_measured_from_the_last_sign_of_life(
    world: World, quiet_for: float, waited: float | None
) -> None:
    """A clock that was set back makes nobody wait for an hour."""
    world.send("a", fates=[LOST])
    world.restart(quiet_for)
    world.recover()
    assert world.waits == ([] if waited is None else [pytest.approx(waited, abs=0.01)])


def test_the_fence_begins_with_the_connection_that_this_run_lost(world: World) -> None:
    world.restart(quiet_for=3600)
    world.send("a", fates=[LOST])
    world.recover(quiet_since=NOW - timedelta(seconds=5), fence=60.0)
    assert world.waits == [55]


def test_without_any_sign_of_life_the_whole_fence_is_waited(world: World) -> None:
    assert world.open_journal.last_alive is None
    world.send("a", fates=[LOST])
    world.recover()
    assert world.waits == [FENCE]


def test_a_stop_while_waiting_leaves_the_doubt_to_the_next_run(world: World) -> None:
    world.send("a", "b", fates=[LOST_ANSWER, LOST])
    world.restart()

    def stop() -> None:
        raise NotFinished("stopped")

    world.while_waiting = stop
    with pytest.raises(NotFinished):
        world.recover()
    assert world.accounts() == {"a": "stored", "b": "pending"}
    assert world.open_journal.mailboxes_in_doubt() == [("INBOX", "INBOX")]
    world.restart(quiet_for=60)
    assert world.recover().ready == 1


@pytest.mark.parametrize("rewrite", [like_dovecot, like_cyrus, like_courier])
def test_what_the_server_rewrote_is_recognised(world: World, rewrite: Rewrite) -> None:
    octets = b"From: caf\xe9@example.com\nSubject: \xfc\n\nbare LF\nnothing \0 here\nno last line end"
    world.server.rewrite = rewrite
    world.send(("a", octets), "b", fates=[LOST_ANSWER, LOST_ANSWER])
    world.restart()
    assert world.recover().stored == 2
    assert world.server.octets_in("INBOX")[0] != octets


def with_many_line_ends(octets: bytes) -> bytes:
    return octets + b"\n" * 5000


@pytest.mark.parametrize("rewrite", [like_dovecot, with_many_line_ends])
def test_a_size_that_tells_nothing_only_costs_time(world: World, rewrite: Rewrite) -> None:
    """The first server nearly doubles it, the second makes it larger than any rule allows."""
    for n in range(5):
        world.server.deliver("INBOX", mail(f"before{n}"))
    world.server.rewrite = rewrite
    world.send(("a", b"From: a\n\n" + b"\n" * 500), fates=[LOST_ANSWER])
    for n in range(5):
        world.server.deliver("INBOX", mail(f"other{n}", "x" * 400))
    world.restart()
    assert world.recover().stored == 1


def test_only_bodies_of_likely_size_are_read_while_these_are_enough(world: World) -> None:
    world.send("a", fates=[LOST_ANSWER])
    for n in range(50):
        world.server.deliver("INBOX", mail(f"other{n}", "x" * (2000 + n)))
    world.restart()
    assert world.recover().stored == 1
    assert world.server.bodies == 1


def test_other_mail_that_came_meanwhile_is_nobodys(world: World) -> None:
    world.send("a", fates=[LOST])
    world.server.deliver("INBOX", mail("somebody else"), DATE)
    world.restart()
    recovered = world.recover()
    assert (recovered.stored, recovered.ready) == (0, 1)


def test_mail_that_was_there_before_is_not_taken_for_ours(world: World) -> None:
    world.server.deliver("INBOX", mail("a"), DATE)
    world.send("a", fates=[LOST])
    world.restart()
    assert world.recover().ready == 1


# -- twins


def test_an_unsent_twin_does_not_take_the_stored_copy(world: World) -> None:
    """The server tells no UID: of two twins one is stored, the other was never sent."""
    world.server.appenduid = False
    twin = mail("twin")
    world.send(("a", twin))
    world.send(("b", twin), fates=[LOST])
    world.restart()
    recovered = world.recover()
    assert (recovered.stored, recovered.ready) == (0, 1)
    assert world.accounts() == {"a": "stored", "b": "pending"}
    world.send(("b", twin))
    assert world.server.octets_in("INBOX") == [twin, twin]


def test_twins_that_both_arrived_are_both_found(world: World) -> None:
    world.server.appenduid = False
    twin = mail("twin")
    world.send(("a", twin))
    world.send(("b", twin), ("c", twin), fates=[LOST_ANSWER, LOST])
    world.restart()
    recovered = world.recover()
    assert (recovered.stored, recovered.ready) == (1, 1)
    stored = [name for name, account in world.accounts().items() if account == "stored"]
    assert len(stored) == 2


def test_stored_copies_without_a_uid_get_it_when_their_twin_is_looked_for(world: World) -> None:
    world.server.appenduid = False
    world.send(("a", mail("twin")), "other")
    world.send(("b", mail("twin")), fates=[LOST_ANSWER])
    world.restart()
    world.recover()
    assert [one.key.name for one in world.open_journal.claims("INBOX")] == ["other"]


# -- mail that was moved or deleted meanwhile


def test_a_copy_that_somebody_deleted_is_held_and_not_sent_again(world: World) -> None:
    world.send("a", "b", fates=[LOST_ANSWER, LOST_ANSWER])
    world.server.expunge("INBOX", 1)
    world.restart()
    recovered = world.recover()
    assert (recovered.stored, recovered.held) == (1, 1)
    assert world.accounts() == {"a": "held", "b": "stored"}
    assert world.open_journal.problems()[0].reason.startswith("it was on its way to INBOX")
    assert "1 cannot be known about" in recovered.text


def test_a_deletion_of_what_we_own_raises_no_doubt(world: World) -> None:
    world.send("a")
    world.server.expunge("INBOX", 1)
    world.send("b", fates=[LOST])
    world.restart()
    assert world.recover().ready == 1


def test_a_gap_below_the_window_raises_no_doubt(world: World) -> None:
    world.server.expunge("INBOX", world.server.deliver("INBOX", mail("old")))
    world.send("a", fates=[LOST])
    world.restart()
    assert world.recover().ready == 1


@pytest.mark.parametrize("use", ["\\Trash", "\\Archive", "\\All"])
def test_a_copy_that_was_moved_to_where_mail_is_moved_to_is_stored(world: World, use: str) -> None:
    world.server.special_use[use] = "Over there"
    world.send("a", fates=[LOST_ANSWER])
    world.server.deliver("Over there", mail("b"), DATE)
    world.server.move("INBOX", 1, "Over there")
    world.restart()
    recovered = world.recover()
    assert (recovered.stored, recovered.held) == (1, 0)
    uidvalidity = world.server.mailboxes["Over there"].uidvalidity
    assert world.open_journal.owned("Over there", uidvalidity) == {2}
    assert world.accounts() == {"a": "stored"}


def test_a_copy_that_was_moved_to_anywhere_else_is_held(world: World) -> None:
    world.send("a", fates=[LOST_ANSWER])
    world.server.move("INBOX", 1, "Hidden")
    world.restart()
    assert world.recover().held == 1


def test_what_lies_in_the_trash_with_another_date_is_not_ours(world: World) -> None:
    world.server.special_use["\\Trash"] = "Trash"
    world.server.deliver("Trash", mail("a"), DATE - timedelta(days=1))
    world.send("a", fates=[LOST_ANSWER])
    world.server.expunge("INBOX", 1)
    world.restart()
    assert world.recover().held == 1


def test_what_lies_in_the_trash_and_may_be_a_twin_of_ours_is_not_believed(world: World) -> None:
    world.server.special_use["\\Trash"] = "Trash"
    twin = mail("twin")
    world.send(("a", twin))
    world.server.move("INBOX", 1, "Trash")  # the stored one, by its owner
    world.server.deliver("INBOX", mail("other"))
    world.send(("b", twin), fates=[LOST])
    world.server.deliver("INBOX", mail("another"))
    world.server.expunge("INBOX", 3)
    world.restart()
    assert world.recover().held == 1


def test_two_lost_twins_share_one_copy_in_the_trash_with_one_held(world: World) -> None:
    world.server.special_use["\\Trash"] = "Trash"
    twin = mail("twin")
    world.send(("a", twin), ("b", twin), fates=[LOST_ANSWER, LOST_ANSWER])
    world.server.move("INBOX", 1, "Trash")
    world.server.expunge("INBOX", 2)
    world.restart()
    recovered = world.recover()
    assert (recovered.stored, recovered.held) == (1, 1)


def test_what_another_mailbox_still_waits_for_is_not_taken_from_it(world: World) -> None:
    world.server.special_use["\\Archive"] = "Archive"
    twin = mail("twin")
    world.send(("a", twin), fates=[LOST_ANSWER], folder="Archive", settle=False)
    world.restart()
    world.send(("b", twin), fates=[LOST])
    world.server.expunge("INBOX", world.server.deliver("INBOX", mail("other")))
    world.restart()
    assert world.recover(mailboxes={"INBOX"}).held == 1
    assert world.recover().stored == 1


def test_a_folder_that_is_gone_is_not_made_and_filled_again(world: World) -> None:
    world.send("a", fates=[LOST_ANSWER], folder="Clients/ACME")
    world.server.rename("Clients/ACME", "Clients/Acme Ltd")
    world.restart()
    recovered = world.recover()
    assert recovered.mailboxes == (RecoveredMailbox("Clients/ACME", held=1),)
    assert "Clients/ACME" not in world.server.mailboxes
    assert world.accounts() == {"a": "held"}


def test_a_folder_that_comes_back_before_the_fence_is_looked_into(world: World) -> None:
    world.send("a", fates=[LOST_ANSWER], folder="Work")
    world.server.rename("Work", "Elsewhere")
    world.restart()
    world.while_waiting = lambda: world.server.rename("Elsewhere", "Work")
    assert world.recover().stored == 1


def test_a_special_folder_that_changed_its_meaning_is_not_mistaken(world: World) -> None:
    world.server.special_use["\\Sent"] = "Sent Items"
    world.send("a", fates=[LOST_ANSWER], folder="\\Sent")
    world.server.special_use["\\Sent"] = "Sent"
    world.server.make("Sent")
    world.restart()
    assert world.recover().held == 1


def test_two_names_of_one_mailbox_are_one_search(world: World) -> None:
    world.server.special_use["\\Sent"] = "Sent"
    twin = mail("twin")
    world.send(("a", twin), fates=[LOST_ANSWER], folder="\\Sent")
    world.restart()
    world.send(("b", twin), fates=[LOST], folder="Sent")
    world.restart()
    recovered = world.recover()
    assert len(recovered.mailboxes) == 1
    assert (recovered.stored, recovered.ready) == (1, 1)


# -- a new UIDVALIDITY


def test_after_a_renumbering_copies_are_found_by_their_content(world: World) -> None:
    world.server.deliver("INBOX", mail("old"))
    world.send("a", "b", fates=[LOST_ANSWER, LOST])
    world.server.renumber("INBOX")
    world.restart()
    recovered = world.recover()
    assert (recovered.stored, recovered.ready, recovered.held) == (1, 1, 0)
    uidvalidity = world.server.mailboxes["INBOX"].uidvalidity
    assert world.open_journal.owned("INBOX", uidvalidity) == {2}


def test_after_a_renumbering_stored_twins_claim_first(world: World) -> None:
    twin = mail("twin")
    world.send(("a", twin))  # its UID was known, and means nothing any more
    world.send(("b", twin), fates=[LOST])
    world.server.renumber("INBOX")
    world.restart()
    recovered = world.recover()
    assert (recovered.stored, recovered.ready) == (0, 1)
    world.send(("b", twin))
    assert world.server.octets_in("INBOX") == [twin, twin]


def test_after_a_renumbering_a_gap_is_a_reason_to_hold(world: World) -> None:
    world.server.deliver("INBOX", mail("old"))
    world.send("a", fates=[LOST])
    world.server.renumber("INBOX")
    world.server.expunge("INBOX", 1)
    world.restart()
    assert world.recover().held == 1


def test_what_was_moved_away_before_a_renumbering_is_sought_without_a_gap(world: World) -> None:
    world.server.special_use["\\Trash"] = "Trash"
    world.send("a", fates=[LOST_ANSWER])
    world.server.move("INBOX", 1, "Trash")
    world.server.renumber("INBOX")
    world.restart()
    recovered = world.recover()
    assert (recovered.stored, recovered.ready) == (1, 0)


def test_a_renumbering_under_our_eyes_makes_us_look_anew(world: World) -> None:
    world.send("a", fates=[LOST_ANSWER])
    world.restart()
    times = iter([True])

    def renumber_once(step: str) -> None:
        if step == "digests" and next(times, False):
            world.server.renumber("INBOX")

    world.server.before = renumber_once
    assert world.recover().stored == 1
    assert world.open_journal.owned("INBOX", world.server.mailboxes["INBOX"].uidvalidity) == {1}


def test_a_server_that_renumbers_all_the_time_is_given_up(world: World) -> None:
    world.send("a", fates=[LOST_ANSWER])
    world.restart()
    world.server.before = lambda step: world.server.renumber("INBOX") if step == "survey" else None
    with pytest.raises(ProtocolError, match="UIDVALIDITY"):
        world.recover()
    assert world.accounts() == {"a": "pending"}


def test_what_it_finds_is_written_for_good(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.send("a", "b", fates=[LOST_ANSWER, LOST])
    waited: list[bool] = []
    monkeypatch.setattr(sqlite3, "connect", watched(lambda database: waited.append(waits_for_disk(database))))
    world.restart()
    waited.clear()
    world.recover()
    assert set(waited) == {True}


# -- trouble


def test_a_folder_that_cannot_be_looked_into_stays_in_doubt_alone(world: World) -> None:
    world.send("a", fates=[LOST_ANSWER], folder="Locked")
    world.restart()
    world.send("b", fates=[LOST_ANSWER], folder="Open")
    world.restart()

    def refuse(step: str) -> None:
        if step == "survey" and world.server.log[-1] == ("survey", "Locked"):
            raise FolderError("permission denied", where="Locked")

    world.server.before = refuse
    recovered = world.recover()
    assert {one.folder: (one.stored, one.unresolved) for one in recovered.mailboxes} == {
        "Locked": (0, 1),
        "Open": (1, 0),
    }
    assert "permission denied" in recovered.text
    assert world.open_journal.mailboxes_in_doubt() == [("Locked", "Locked")]


def test_only_the_mailboxes_asked_for_are_looked_into(world: World) -> None:
    world.send("a", fates=[LOST_ANSWER], folder="One")
    world.restart()
    world.send("b", fates=[LOST_ANSWER], folder="Two")
    world.restart()
    assert world.recover(mailboxes={"Two"}).stored == 1
    assert world.open_journal.mailboxes_in_doubt() == [("One", "One")]
    assert world.recover(mailboxes=set()) == Recovered()


def test_it_changes_nothing_on_the_server(world: World) -> None:
    world.server.special_use["\\Trash"] = "Trash"
    world.send("a", "b", "c", fates=[LOST_ANSWER, LOST, LOST_ANSWER])
    world.server.move("INBOX", 1, "Trash")
    world.restart()
    before = copy.deepcopy(world.server.mailboxes)
    world.recover()
    assert world.server.mailboxes == before
    assert world.server.subscribed == {"INBOX"}
    assert {step for step, _ in world.server.log} >= {"locate", "survey", "digests"}


def test_it_may_die_at_any_step_and_the_next_one_finishes(tmp_path: Path) -> None:
    def prepared(state: Path) -> World:
        world = World(state)
        world.server.special_use["\\Trash"] = "Trash"
        world.server.appenduid = False
        twin = mail("twin")
        world.send(("a", twin), folder="Work")
        world.send(("b", twin), ("c", twin), fates=[LOST_ANSWER, LOST], folder="Work")
        world.restart()
        world.send("d", "e", "f", fates=[LOST_ANSWER, LATE, LOST])
        world.server.move("INBOX", 1, "Trash")
        world.restart()
        world.while_waiting = world.server.arrive
        return world

    undisturbed = prepared(tmp_path / "undisturbed")
    undisturbed.server.log.clear()
    undisturbed.recover()
    expected, steps = undisturbed.accounts(), len(undisturbed.server.log)
    undisturbed.open_journal.close()
    assert expected == {
        "a": "stored", "b": "stored", "c": "pending", "d": "stored", "e": "stored", "f": "held",
    }  # fmt: skip
    assert steps > 10
    for deadly in range(steps):
        world = prepared(tmp_path / str(deadly))
        at = iter(range(1000))

        def die(step: str, world: World = world, at: Iterator[int] = at, deadly: int = deadly) -> None:
            if next(at) == deadly:
                world.server.before = lambda step: None
                raise ConnectionLost("the cable")

        world.server.before = die
        with pytest.raises(ConnectionLost):
            world.recover()
        world.server.before = lambda step: None
        world.restart()
        world.recover()
        assert world.accounts() == expected, f"after dying at step {deadly}"
        assert world.open_journal.mailboxes_in_doubt() == []
        world.open_journal.close()
