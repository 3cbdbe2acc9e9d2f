"""The program dies at every step of every scenario; see :mod:`tests.crash.explore` for what must come of it.

Each scenario is played from an mbox and from a POP3 maildrop: to one kind of server with a death at every step, to
the other kinds at some of the steps, or at all of them if ``POP2IMAP_CRASH_POINTS=all``. What breaks the promise
must be caught, so the harness is also run on variants of the program that are wrong.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from pop2imap import folders, migrate
from pop2imap.errors import Again
from pop2imap.journal import Journal, Placement, traffic
from pop2imap.journal.store import SqlJournal
from pop2imap.model import Refused
from pop2imap.recovery import Recovered, recover
from pop2imap.target import Target
from tests.crash.explore import Explorer, Tally, Violation
from tests.crash.process import stand_in
from tests.crash.scenarios import SCENARIOS, SERVERS, World

EVERY = 1 if os.environ.get("POP2IMAP_CRASH_POINTS") == "all" else 24

CASES = [(name, source) for name, scenario in SCENARIOS.items() for source in scenario.sources]


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory for journals, in memory if it can be had: what outlasts a power failure is copied by hand, so the
    disk need not be waited for."""
    memory = Path("/dev/shm")
    where = memory if memory.is_dir() and os.access(memory, os.W_OK) else None
    path = Path(tempfile.mkdtemp(prefix="pop2imap-crash-", dir=where))
    yield path
    shutil.rmtree(path, ignore_errors=True)


def explored(
    place: Path,
    scenario: str,
    source: str,
    server: str,
    *,
    every: int,
    seed: int,
    sabotage: Callable[[], None] | None = None,
) -> Tally:
    where = place / server
    where.mkdir()
    world = World(SCENARIOS[scenario], source, server, where)
    explorer = Explorer(world, seed=seed, sabotage=sabotage or (lambda: None))
    try:
        return explorer.with_blank_journal().everywhere(every)
    except Violation as error:
        error.add_note(f"{scenario}, from {source}, to a server that offers {server}, seed {seed}")
        raise


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("scenario", "source"), CASES)
def test_dead_at_any_step_each_message_comes_once(
    scenario: str, source: str, place: Path, figure: Callable[[str, object], None]
) -> None:
    tally = Tally()
    at = CASES.index((scenario, source))
    for number, server in enumerate(SERVERS):
        whole = number == at % len(SERVERS)
        tally += explored(place, scenario, source, server, every=1 if whole else EVERY, seed=at + 1)
    figure("crash points", tally.deaths + tally.second_deaths)
    figure("ways to go on from them", tally.endings)


@pytest.mark.timeout(300)
def test_dead_while_the_journal_is_made(place: Path, figure: Callable[[str, object], None]) -> None:
    world = World(SCENARIOS["no Message-ID"], "mbox", "all", place)
    tally = Explorer(world).everywhere(1, first=12)
    assert tally.deaths == 12
    figure("crash points", tally.deaths + tally.second_deaths)


def test_a_schedule_is_the_same_each_time(place: Path) -> None:
    explorer = Explorer(World(SCENARIOS["twins"], "pop3", "all", place))
    first, again = explorer.uninterrupted(), explorer.uninterrupted()
    assert first.steps == again.steps
    other = Explorer(explorer.world, seed=2).uninterrupted()
    assert other.steps != first.steps
    assert {step.partition(":")[0] for step in first.steps[:-1]} == {
        "account",
        "ahead",
        "reader",
        "uploader 0",
    }


# -- programs that are wrong


def blind_retry() -> None:
    """What has no outcome is sent again."""

    def forget(journal: Journal, target: Target, **_options: object) -> Recovered:
        for mailbox, _ in journal.mailboxes_in_doubt():
            not_there = Refused("never mind", Again.LATER)
            journal.settle([(one.id, not_there) for one in journal.intents(mailbox)], durable=True)
        return Recovered()

    stand_in(migrate, "recover", forget)


def only_open_intents_claim() -> None:
    """What is stored under an unknown UID claims nothing, so that a twin takes its copy."""
    claims = SqlJournal.claims

    def open_ones(self: SqlJournal, *arguments: Any) -> list[Placement]:
        return [claim for claim in claims(self, *arguments) if not claim.stored]

    stand_in(SqlJournal, "claims", open_ones)
    stand_in(folders, "ROLL", 1 << 10)  # a lower bound that moves on hides it from all but few


def no_fence() -> None:
    """What is not there yet never will be."""

    def at_once(journal: Journal, target: Target, **options: Any) -> Recovered:
        return recover(journal, target, **{**options, "fence": 0.0})

    stand_in(migrate, "recover", at_once)


def intents_do_not_wait_for_the_disk() -> None:
    """A power failure forgets what was sent."""
    writing = SqlJournal._writing

    def in_haste(self: SqlJournal, *, durable: bool = False) -> AbstractContextManager[sqlite3.Connection]:
        return writing(self, durable=False)

    stand_in(SqlJournal, "_writing", in_haste)


def what_is_sent_is_counted_later() -> None:
    """Octets are counted when they are settled, and a death before that forgets them."""
    intend, settle = SqlJournal.intend, SqlJournal.settle
    waiting: list[int] = []

    def intend_alone(self: SqlJournal, records: Any, placements: Any) -> list[int]:
        waiting.append(sum(placement.size for placement in placements))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(traffic, "add", lambda *_: None)
            return intend(self, records, placements)

    def settle_and_count(self: SqlJournal, outcomes: Any, **options: Any) -> None:
        settle(self, outcomes, **options)
        while waiting:
            self.carried(traffic.TARGET, waiting.pop())

    stand_in(SqlJournal, "intend", intend_alone)
    stand_in(SqlJournal, "settle", settle_and_count)


INTERLEAVINGS = 8
"""Of which one must show what is wrong."""


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("wrong", "server", "what"),
    [
        (blind_retry, "all", "twice"),
        (no_fence, "all", "twice"),
        (intents_do_not_wait_for_the_disk, "all", "twice|counted"),
        (only_open_intents_claim, "without UIDPLUS", "lost"),
        (what_is_sent_is_counted_later, "all", "counted"),
    ],
)
def test_a_wrong_program_is_caught(wrong: Callable[[], None], server: str, what: str, place: Path) -> None:
    caught = ""
    for seed in range(1, INTERLEAVINGS + 1):
        own = place / str(seed)
        own.mkdir()
        try:
            explored(own, "twins", "mbox", server, every=1, seed=seed, sabotage=wrong)
        except Violation as violation:
            caught = str(violation)
            break
    assert re.search(what, caught)
