"""Exactly once, against every order of events that a machine can think of.

Two models. The first has no I/O at all, so that it can live many thousand lives: a mailbox is a set of UIDs, a row
of the journal a :class:`Placement`. It also shows that it would notice: two tempting ways to resolve doubts, known to
lose mail, are caught losing it. The second drives the real journal and the real recovery on an account in memory, with
hypothesis choosing what happens next, power failures included.

What is kept in both, with no person moving mail about and nothing stored later than the fence: no message is lost, and
none is there twice. A third one lets people and belated servers do as they like, and says what is kept then.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pop2imap.journal import Entry, Placement, Record
from pop2imap.journal.place import directory
from pop2imap.journal.store import open_journal
from pop2imap.matching import match
from pop2imap.model import Account, Found, Key, Mailbox, Outcome, Upload
from pop2imap.octets import from_bytes
from pop2imap.recovery import recover
from tests.fakes.appending import append
from tests.fakes.memory_target import Fate, MemoryServer, MemoryTarget

DATE = datetime(2019, 1, 2, 3, 4, 5, tzinfo=UTC)

Resolve = Callable[[Sequence[Placement], Sequence[Found], dict[int, bytes]], dict[int, int]]


# -- without I/O


@dataclass
class Lives:
    """One source of a few messages, many of them twins, one mailbox, and a few runs that are all killed but the
    last. ``resolve`` is what recovery does with claims and candidates."""

    chance: random.Random
    resolve: Resolve
    tells_uids: bool = True
    mailbox: dict[int, bytes] = field(default_factory=dict)
    uidnext: int = 1
    rows: dict[int, tuple[Placement, int | None]] = field(default_factory=dict)  # by message; UID if known
    intents: int = 0

    def live(self) -> Counter[bytes]:
        """Copies too many (positive) and too few (negative), by content, when all is done."""
        wanted = {
            number: self.chance.choice([b"A", b"A", b"B"]) for number in range(self.chance.randint(2, 8))
        }
        for _ in range(self.chance.randint(1, 4)):
            self._run(wanted, killed=True)
            self._recover()
        self._run(wanted, killed=False)
        surplus = Counter(self.mailbox.values())
        surplus.subtract(wanted.values())
        return surplus

    def _run(self, wanted: dict[int, bytes], *, killed: bool) -> None:
        chance, bound = self.chance, self.uidnext
        never_roll, always_roll = chance.random() < 0.3, chance.random() < 0.3
        ready = [number for number in wanted if number not in self.rows]
        chance.shuffle(ready)
        in_flight: list[list[int]] = []
        lazily: list[int] = []
        while ready or in_flight:
            if ready and (not in_flight or (len(in_flight) < 4 and chance.random() < 0.6)):
                if always_roll or (not never_roll and chance.random() < 0.5):
                    bound = self.uidnext
                batch = [ready.pop() for _ in range(min(len(ready), chance.randint(1, 3)))]
                for number in batch:
                    self.intents += 1
                    self.rows[number] = (_row(self.intents, wanted[number], bound), None)
                in_flight.append(batch)
                continue
            if killed and chance.random() < 0.4:
                break
            batch = in_flight.pop(chance.randrange(len(in_flight)))
            for number in batch:
                uid = self._land(wanted[number])
                row = self.rows[number][0]
                self.rows[number] = (row._replace(stored=True), uid if self.tells_uids else None)
                lazily.append(number)
        for number in [number for batch in in_flight for number in batch]:
            if chance.random() < 0.5:  # it arrived; nobody was told
                self._land(wanted[number])
        if killed and chance.random() < 0.5:  # the power went, too: the last answers were not written yet
            for number in lazily[chance.randint(0, len(lazily)) :]:
                self.rows[number] = (self.rows[number][0]._replace(stored=False), None)

    def _land(self, content: bytes) -> int:
        uid = self.uidnext
        self.mailbox[uid] = content
        self.uidnext += 1
        return uid

    def _recover(self) -> None:
        intents = [row for row, uid in self.rows.values() if not row.stored]
        digests = {row.match_digest for row in intents}
        claims = [row for row, uid in self.rows.values() if uid is None and row.match_digest in digests]
        owned = {uid for _, uid in self.rows.values() if uid is not None}
        candidates = {uid: content for uid, content in self.mailbox.items() if uid not in owned}
        pairs = self.resolve(claims, [Found(uid, 1, DATE, frozenset()) for uid in candidates], candidates)
        for number, (row, uid) in list(self.rows.items()):
            if row.id in pairs:
                self.rows[number] = (row._replace(stored=True), pairs[row.id])
            elif not row.stored:
                del self.rows[number]
            else:
                self.rows[number] = (row, uid)


def _row(number: int, content: bytes, bound: int) -> Placement:
    return Placement(Key("s", str(number)), "F", "F", 1, bound, content, 1, DATE, (), id=number)


def only_intents(
    claims: Sequence[Placement], candidates: Sequence[Found], digests: dict[int, bytes]
) -> dict[int, int]:
    """Wrong: a copy that was stored without a UID belongs to nobody."""
    return match([claim for claim in claims if not claim.stored], candidates, digests)


def window_by_window(
    claims: Sequence[Placement], candidates: Sequence[Found], digests: dict[int, bytes]
) -> dict[int, int]:
    """Wrong: each window for itself, the newest first."""
    pairs: dict[int, int] = {}
    for bound in sorted({claim.lower_bound for claim in claims}, reverse=True):
        window = [claim for claim in claims if claim.lower_bound == bound]
        free = [candidate for candidate in candidates if candidate.uid not in pairs.values()]
        pairs.update(match(window, free, digests))
    return pairs


def lives(resolve: Resolve, number: int, *, tells_uids: bool) -> tuple[int, int]:
    """How many of so many lives lost a message, and in how many one is there twice."""
    lost = twice = 0
    for seed in range(number):
        surplus = Lives(random.Random(seed), resolve, tells_uids).live().values()
        lost += any(count < 0 for count in surplus)
        twice += any(count > 0 for count in surplus)
    return lost, twice


@pytest.mark.parametrize("tells_uids", [True, False])
def test_nothing_lost_nothing_twice_in_thousands_of_lives(tells_uids: bool) -> None:
    assert lives(match, 5000, tells_uids=tells_uids) == (0, 0)


@pytest.mark.parametrize("wrong", [only_intents, window_by_window])
def test_the_model_notices_what_loses_mail(wrong: Resolve) -> None:
    lost, _ = lives(wrong, 3000, tells_uids=False)
    assert lost > 0


# -- with the real journal and the real recovery

CONTENTS = [
    b"From: a@example.com\r\n\r\ntwin\r\n",
    b"From: a@example.com\r\n\r\ntwin\r\n",
    b"From: a@example.com\n\ntwin\n",  # the same after what servers rewrite
    b"From: a@example.com\r\n\r\ntwin\r\n",
    b"From: b@example.com\r\n\r\nother, but of the same size as\r\n",
    b"From: b@example.com\r\n\r\nother, but of the same size as\r\n",
    b"From: c@example.com\r\n\r\nanother, of the same size as a\r\n",
]
SOURCE = [(Key("mbox:x", str(n)), content) for n, content in enumerate(CONTENTS * 2)]
FOLDERS = ("INBOX", "Work")
Copy = tuple[str, bytes]
"""A folder and a match digest."""


def folder_of(key: Key) -> str:
    return FOLDERS[int(key.name) % 3 == 0]


@dataclass
class Batch:
    mailbox: Mailbox
    ids: list[int]
    keys: list[Key]
    outcomes: list[Outcome] | None = None


class ExactlyOnce(RuleBasedStateMachine):
    """Runs that are interrupted anywhere. ``in_flight``: batches intended, or sent, and not settled."""

    def __init__(self) -> None:
        super().__init__()
        room = Path("/dev/shm")
        self.directory = Path(tempfile.mkdtemp(dir=room if os.access(room, os.W_OK) else None))
        self.state, self.durable = self.directory / "state", self.directory / "durable"
        self.server = MemoryServer()
        self.target = MemoryTarget(self.server)
        self.octets = dict(SOURCE)
        self.time = datetime(2026, 1, 1, tzinfo=UTC)
        self.in_flight: list[Batch] = []
        self.mailboxes: dict[str, Mailbox] = {}
        self.journal = open_journal(self.state, MemoryTarget.identity)
        self.target.open()
        self.remember_what_is_durable()

    @initialize(uids=st.booleans())
    def choose_a_server(self, uids: bool) -> None:
        self.server.appenduid = uids

    # -- a run

    def ready(self) -> list[Key]:
        known = self.journal.lookup([key for key, _ in SOURCE])
        return [key for key, _ in SOURCE if key not in known or not known[key].placed]

    @precondition(lambda self: len(self.in_flight) < 4)
    @rule(data=st.data(), roll=st.booleans())
    def intend(self, data: st.DataObject, roll: bool) -> None:
        ready = self.ready()
        if not ready:
            return
        folder = folder_of(data.draw(st.sampled_from(ready)))
        fitting = [key for key in ready if folder_of(key) == folder]
        keys = fitting[: data.draw(st.integers(1, 3))]
        if roll or folder not in self.mailboxes:
            self.mailboxes[folder] = self.target.prepare(folder)
        mailbox = self.mailboxes[folder]
        ids = self.journal.intend(
            [self.record(key) for key in keys], [self.placed(key, mailbox) for key in keys]
        )
        self.remember_what_is_durable()
        self.in_flight.append(Batch(mailbox, ids, keys))

    def record(self, key: Key) -> Record:
        whole = from_bytes(self.octets[key])
        return Record(key, Account.PENDING, whole.size, whole.digest, DATE)

    def placed(self, key: Key, mailbox: Mailbox) -> Placement:
        whole = from_bytes(self.octets[key])
        return Placement(
            key, mailbox.folder, mailbox.name, mailbox.uidvalidity, mailbox.uidnext,
            whole.match_digest, whole.size, DATE, (),
        )  # fmt: skip

    @precondition(lambda self: any(batch.outcomes is None for batch in self.in_flight))
    @rule(
        fates=st.lists(
            st.sampled_from(
                [Fate.STORED, Fate.STORED, Fate.REFUSED_NOW, Fate.LOST, Fate.LOST_ANSWER, Fate.LATE]
            ),
            max_size=3,
        )
    )
    def send(self, fates: list[Fate]) -> None:
        batch = next(batch for batch in self.in_flight if batch.outcomes is None)
        coming = iter(fates)
        self.server.fate = lambda upload: next(coming, Fate.STORED)
        uploads = [Upload(from_bytes(self.octets[key]), (), DATE) for key in batch.keys]
        batch.outcomes = append(self.target, batch.mailbox, uploads)

    @precondition(lambda self: any(batch.outcomes for batch in self.in_flight))
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        answered = [batch for batch in self.in_flight if batch.outcomes is not None]
        batch = data.draw(st.sampled_from(answered))
        assert batch.outcomes is not None
        self.journal.settle(zip(batch.ids, batch.outcomes, strict=True))
        self.in_flight.remove(batch)

    # -- what happens to it

    @rule(
        content=st.sampled_from([b"From: x@example.com\r\n\r\nsomebody else\r\n"]),
        folder=st.sampled_from(FOLDERS),
    )
    def others_deliver(self, content: bytes, folder: str) -> None:
        self.server.deliver(folder, content, DATE)

    @rule(folder=st.sampled_from(FOLDERS))
    def the_server_renumbers(self, folder: str) -> None:
        if folder in self.server.mailboxes:
            self.server.renumber(folder)

    @rule(soon=st.booleans())
    def the_connection_is_lost(self, soon: bool) -> None:
        self.target.close()
        self.target.open()
        self.find_out(soon)

    @rule(soon=st.booleans())
    def the_process_is_killed(self, soon: bool) -> None:
        self.journal.close()
        self.begin_anew(soon)

    @rule(soon=st.booleans())
    def the_power_fails(self, soon: bool) -> None:
        """What was committed lazily since the last durable commit is gone."""
        self.journal.close()
        place = directory(self.state, MemoryTarget.identity)
        for old in place.glob("journal.db*"):
            old.unlink()
        for kept in self.durable.iterdir():
            shutil.copy(kept, place / kept.name)
        self.begin_anew(soon)

    def remember_what_is_durable(self) -> None:
        shutil.rmtree(self.durable, ignore_errors=True)
        self.durable.mkdir()
        for name in ("journal.db", "journal.db-wal"):
            path = directory(self.state, MemoryTarget.identity) / name
            if path.exists():
                shutil.copy(path, self.durable / name)

    def begin_anew(self, soon: bool) -> None:
        self.target.close()
        self.target.open()
        self.journal = open_journal(self.state, MemoryTarget.identity)
        self.find_out(soon)

    def find_out(self, soon: bool) -> None:
        """Recover. What is late arrives before the first look, or while recovery waits."""
        self.in_flight.clear()
        self.mailboxes.clear()
        if soon:
            self.server.arrive()

        def wait(seconds: float) -> None:
            self.server.arrive()
            self.time += timedelta(seconds=seconds)

        recovered = recover(
            self.journal, self.target, now=lambda: self.time, wait=wait, quiet_since=self.time
        )
        self.server.arrive()  # what was nobody's doubt any more
        assert recovered.held <= self.may_be_held()
        assert recovered.unresolved == 0
        assert self.journal.mailboxes_in_doubt() == []
        self.remember_what_is_durable()

    def may_be_held(self) -> int:
        """How many copies recovery may be unable to know of: none, where nobody takes mail away."""
        return 0

    # -- what is always true

    def surplus(self) -> Counter[tuple[str, bytes]]:
        found: Counter[tuple[str, bytes]] = Counter()
        for folder in FOLDERS:
            for octets in self.server.octets_in(folder):
                if not octets.endswith(b"somebody else\r\n"):
                    found[folder, from_bytes(octets).match_digest] += 1
        found.subtract(Counter((folder_of(key), from_bytes(content).match_digest) for key, content in SOURCE))
        return found

    @invariant()
    def nothing_is_there_twice(self) -> None:
        assert max(self.surplus().values()) <= 0

    def teardown(self) -> None:
        try:
            self.the_process_is_killed(soon=False)
            for folder in FOLDERS:
                keys = [key for key in self.ready() if folder_of(key) == folder]
                if keys:
                    mailbox = self.target.prepare(folder)
                    ids = self.journal.intend(
                        [self.record(key) for key in keys], [self.placed(key, mailbox) for key in keys]
                    )
                    self.server.fate = lambda upload: Fate.STORED
                    uploads = [Upload(from_bytes(self.octets[key]), (), DATE) for key in keys]
                    self.journal.settle(zip(ids, append(self.target, mailbox, uploads), strict=True))
            self.check_at_end(self.journal.lookup([key for key, _ in SOURCE]))
        finally:
            self.journal.close()
            shutil.rmtree(self.directory)

    def check_at_end(self, entries: dict[Key, Entry]) -> None:
        assert set(self.surplus().values()) == {0}, "something is lost, or there twice"
        assert {entry.account for entry in entries.values()} == {Account.STORED}


class AmongPeople(ExactlyOnce):
    """The same, while others deliver mail with the same octets, people delete what they like, and the server stores
    mail after the fence that was given up.

    Kept then: of each message there are as many copies as the source has, or more, if those that were deleted and those
    that are held count; and never more than that but for what others delivered and what came after the fence.
    """

    def __init__(self) -> None:
        super().__init__()
        self.foreign: Counter[Copy] = Counter()
        self.deleted: Counter[Copy] = Counter()
        self.deleted_in_doubt: Counter[Copy] = Counter()  # perhaps: nobody knows yet whose it was
        self.forgotten: Counter[Copy] = Counter()
        self.somebody_deleted = False
        self.given_up: list[Copy] = []  # never arrived, and recovery knows that
        self.lost: list[Copy] = []  # never arrived
        self.belated: Counter[Copy] = Counter()

    @rule(content=st.sampled_from(CONTENTS), folder=st.sampled_from(FOLDERS))
    def others_deliver_a_twin(self, content: bytes, folder: str) -> None:
        self.server.deliver(folder, content, DATE)
        self.foreign[folder, from_bytes(content).match_digest] += 1

    @rule(data=st.data(), folder=st.sampled_from(FOLDERS))
    def somebody_deletes(self, data: st.DataObject, folder: str) -> None:
        box = self.server.mailboxes.get(folder)
        if box is None or not box.mail:
            return
        uid = data.draw(st.sampled_from(sorted(box.mail)))
        copy = folder, from_bytes(box.mail[uid].octets).match_digest
        if uid not in self.journal.owned(folder, box.uidvalidity):
            self.deleted_in_doubt[copy] += 1
        self.deleted[copy] += 1
        self.somebody_deleted = True
        self.server.expunge(folder, uid)

    def may_be_held(self) -> int:
        return len(SOURCE) if self.somebody_deleted else 0

    @rule(folder=st.sampled_from(FOLDERS))
    def the_server_renumbers(self, folder: str) -> None:
        """After which nothing shows that something was deleted: see the theory of :mod:`pop2imap.recovery`."""
        super().the_server_renumbers(folder)
        for copy in [copy for copy in self.deleted_in_doubt if copy[0] == folder]:
            self.forgotten[copy] += self.deleted_in_doubt.pop(copy)

    @precondition(lambda self: any(batch.outcomes is None for batch in self.in_flight))
    @rule()
    def send_into_the_void(self) -> None:
        batch = next(batch for batch in self.in_flight if batch.outcomes is None)
        self.lost += [(batch.mailbox.name, from_bytes(self.octets[key]).match_digest) for key in batch.keys]
        self.send([Fate.LOST] * len(batch.keys))

    def find_out(self, soon: bool) -> None:
        super().find_out(soon)
        self.given_up += self.lost
        self.lost.clear()

    @precondition(lambda self: self.given_up)
    @rule(data=st.data())
    def the_server_stores_it_after_all(self, data: st.DataObject) -> None:
        copy = data.draw(st.sampled_from(self.given_up))
        self.given_up.remove(copy)
        content = next(octets for _, octets in SOURCE if from_bytes(octets).match_digest == copy[1])
        self.server.deliver(copy[0], content, DATE)
        self.belated[copy] += 1

    @invariant()
    def nothing_is_there_twice(self) -> None:
        for copy, count in self.surplus().items():
            known = self.deleted[copy] - self.forgotten[copy]
            assert count + known <= self.foreign[copy] + self.belated[copy]

    def check_at_end(self, entries: dict[Key, Entry]) -> None:
        held = Counter(
            (folder_of(key), from_bytes(self.octets[key]).match_digest)
            for key, entry in entries.items()
            if entry.account is Account.HELD
        )
        assert {entry.account for entry in entries.values()} <= {Account.STORED, Account.HELD}
        assert not held or self.may_be_held()
        for copy, count in self.surplus().items():
            assert count + self.deleted[copy] + held[copy] >= 0, "something is lost"
        self.nothing_is_there_twice()


TestAmongPeople = AmongPeople.TestCase
TestExactlyOnce = ExactlyOnce.TestCase
TestAmongPeople.settings = TestExactlyOnce.settings = settings(
    max_examples=40,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
