"""Death at every step of a scenario, and what must come of it.

For each step n of the uninterrupted run: a process dies at n. What it had sent and the server had not looked at is
stored, thrown away, or stored late. Its journal is what a killed process leaves or, where that differs, what a
power failure leaves. In each of these *endings* the program is run again, and once more. Then:

* the target holds what it holds after the uninterrupted run: octets, flags and dates, as a multiset;
* every message is accounted for, none is pending or held;
* no journal has counted less than what was sent, before and after;
* the last run appended nothing.

And for every third distinct ending the run that should have mended it dies as well, at a random step.

Two endings with the same journal and the same target have the same future, since a process has no other memory:
that future is played once.
"""

from __future__ import annotations

import hashlib
import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

from pop2imap.journal import place
from pop2imap.journal.store import open_journal
from pop2imap.model import Account
from tests.crash.outside import Copy, Fate
from tests.crash.process import END_OF_RUN, Life, Orders, run, without_power
from tests.crash.scenarios import World

SETTLED = {Account.STORED, Account.PRESENT, Account.REFUSED}


PASSING = {"run", "made", "seal"}
"""Columns of the journal that say which run wrote a row."""


class Violation(AssertionError):
    """The promise was broken."""


@dataclass
class Tally:
    """How much was tried."""

    deaths: int = 0
    endings: int = 0
    distinct: int = 0
    power_failures: int = 0
    second_deaths: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))


class Explorer:
    """Plays one scenario with one interleaving (``seed``)."""

    def __init__(self, world: World, *, seed: int = 1, sabotage: Callable[[], None] = lambda: None) -> None:
        self.world, self.seed, self.sabotage = world, seed, sabotage
        self.state, self.work = world.place / "state", world.place / "work"
        self.blank = world.place / "blank"
        self.chance = random.Random(seed)
        self.tally = Tally()
        self._seen: set[bytes] = set()

    def _run(self, state: Path, *, runs: int = 1, die_at: int = 0, power_cut: bool = False) -> Life:
        return run(
            Orders(
                lambda: self.world.job(state),
                state,
                seed=self.seed,
                die_at=die_at,
                runs=runs,
                sabotage=self.sabotage,
                power_cut=power_cut,
            ),
            self.world.outside,
        )

    # -- without a death

    def uninterrupted(self) -> Life:
        """The run that all others are compared with. It is checked against the scenario itself."""
        world = self.world
        self._afresh()
        life = self._run(self.state)
        if life.runs[0].error:
            raise Violation(life.runs[0].error)
        self._check_order()
        world.grow()
        if world.scenario.grown:
            self._run(self.state)
        self.expected = world.outside.copies()
        return life

    def _check_order(self) -> None:
        """In a run without refusals and deaths, each folder has its messages in the order of the source."""
        world = self.world
        scenario = world.scenario
        if scenario.unordered or scenario.refuses or scenario.repair:  # what was refused first comes later
            return
        strangers = {stranger.octets for stranger in scenario.strangers}
        sent = [scenario.rewrite(one.octets) for one in scenario.letters]
        for name in world.outside.account.boxes:
            came = [octets for _, octets, _, _ in world.outside.in_order(name)]
            if strangers & set(came):
                continue
            rest = iter(sent)
            if not all(octets in rest for octets in came):
                raise Violation(f"{name} is not in the order of the source")
            if name == "INBOX" and world.source != "home" and not scenario.rules and came != sent:
                raise Violation("what came is not what was sent")

    def _afresh(self) -> None:
        for path in (self.state, without_power(self.state)):
            shutil.rmtree(path, ignore_errors=True)
            if self.blank.exists():
                shutil.copytree(self.blank, path)
        self.world.begin()

    def with_blank_journal(self) -> Explorer:
        """Let there be a journal before the first run, with nothing in it: making it has its own steps, which are
        the same in every scenario."""
        open_journal(self.blank, self.world.job(self.blank).target.identity).close()
        return self

    # -- deaths

    def everywhere(self, every: int = 1, first: int | None = None) -> Tally:
        """Die at each step (or each ``every``-th one; only the ``first`` ones), and see. Raises Violation."""
        reference = self.uninterrupted()
        last = reference.count - 1  # without the end of the run
        for number in range(1 + self.seed % every, min(first or last, last) + 1, every):
            self._afresh()
            life = self._run(self.state, die_at=number, power_cut=True)
            if not life.died or life.steps[0] != reference.steps[number - 1]:
                raise AssertionError(f"step {number} was {reference.steps[number - 1]}, and is {life.steps}")
            self.tally.deaths += 1
            where = f"after death at step {number} of {reference.count}, {life.steps[0]}"
            self._each_ending(where)
        return self.tally

    def _each_ending(self, where: str) -> None:
        outside = self.world.outside
        in_doubt, held = outside.cut(), outside.held()
        left = [(self.state, "killed")]
        if _journal(self.state) != _journal(without_power(self.state)):
            left.append((without_power(self.state), "without power"))
        for fate in Fate if in_doubt else (Fate.NEVER,):
            for state, how in left:
                self.tally.endings += 1
                self.tally.power_failures += how == "without power"
                note = f"{where}, {how}, what was on its way {fate.value}" if in_doubt else f"{where}, {how}"
                self._ending(state, held, fate, note)

    def _ending(self, state: Path, held: object, fate: Fate, note: str) -> None:
        outside = self.world.outside

        def restore() -> None:
            outside.put_back(held)  # type: ignore[arg-type]
            outside.decide(fate)
            shutil.rmtree(self.work, ignore_errors=True)
            if state.exists():
                shutil.copytree(state, self.work)

        restore()
        self._check_counted(note)
        now = outside.held()
        appends = now.appends if self.world.scenario.strangers else 0  # else nothing depends on their number
        future = (
            _journal(self.work),
            sorted(now.boxes.items()),
            sorted(now.subscribed),
            outside.still_to_come,
            appends,
        )
        digest = hashlib.sha256(repr(future).encode()).digest()
        if digest in self._seen:
            return
        self._seen.add(digest)
        self.tally.distinct += 1
        self.world.grow()
        life = self._resume(note)
        if self.tally.distinct % 3 == 1:
            restore()
            self._second_death(life, note)

    def _resume(self, note: str) -> Life:
        """Run twice, and see."""
        life = self._run(self.work, runs=2)
        self.world.outside.slept()  # whatever is late enough comes after all
        self.world.outside.cut()
        try:
            self._check(life)
        except Violation as error:
            raise Violation(f"{error}: {note}") from None
        return life

    def _second_death(self, life: Life, note: str) -> None:
        number = self.chance.randint(1, max(life.steps.index(END_OF_RUN), 1))
        died = self._run(self.work, die_at=number)
        outside = self.world.outside
        if died.died:
            self.tally.second_deaths += 1
            late = bool(outside.still_to_come)
            outside.slept()
            outside.cut()
            fate = self.chance.choice(list(Fate))
            outside.decide(fate)
            note += (
                f"; and then at step {number}, {died.steps[0]}{', late mail had come' * late}, {fate.value}"
            )
        self._resume(note)

    # -- what must have come of it

    def _check(self, life: Life) -> None:
        outside = self.world.outside
        first, last = life.runs
        copies = outside.copies()
        for ran in life.runs:
            if ran.error:
                raise Violation(ran.error)
            if set(ran.counts) - SETTLED or sum(ran.counts.values()) != self.world.listed:
                raise Violation(f"the accounts are {ran.counts}")
        lost, twice = self.expected - copies, copies - self.expected
        if not self._excused(lost):
            raise Violation(f"{lost.total()} lost: {_shown(lost)}")
        if twice:
            raise Violation(f"{twice.total()} twice: {_shown(twice)}")
        if last.moved or last.held.appends != first.held.appends:
            raise Violation("a run with nothing to do sent something")
        self._check_counted("at the end")

    def _check_counted(self, note: str) -> None:
        """The journal has counted at least the octets that are in the target (servers here make none more)."""
        if self.world.scenario.strangers:
            return
        counted, sent = (
            _counted(self.work),
            sum(len(copy[1]) for copy in self.world.outside.copies().elements()),
        )
        if counted < sent:
            raise Violation(f"{counted} octets counted, and {sent} sent: {note}")

    def _excused(self, lost: Counter[Copy]) -> bool:
        """The same octets, delivered by somebody else while ours were in doubt, may be taken for ours: the content
        is there, in one copy less."""
        twins = Counter(stranger.octets for stranger in self.world.scenario.strangers)
        return not Counter(copy[1] for copy in lost.elements()) - twins


def _shown(copies: Counter[Copy]) -> str:
    return "; ".join(f"{number} of {copy}" for copy, number in copies.items())


@contextmanager
def _database(state: Path) -> Iterator[sqlite3.Connection | None]:
    """A copy of the journal to look into; None if there is none."""
    found = list(state.glob(f"{place.TARGETS}/*/{place.DATABASE}"))
    if not found or not found[0].stat().st_size:
        yield None
        return
    scratch = state.with_name("scratch")
    scratch.mkdir(exist_ok=True)
    for path in found[0].parent.glob(f"{place.DATABASE}*"):
        if not path.name.endswith("-shm"):
            shutil.copyfile(path, scratch / path.name)
    with closing(sqlite3.connect(scratch / place.DATABASE)) as connection:
        yield connection
    shutil.rmtree(scratch)


def _counted(state: Path) -> int:
    """The octets that a journal has counted for the target."""
    with _database(state) as connection:
        if connection is None or not connection.execute("PRAGMA table_info(traffic)").fetchall():
            return 0
        total: int = connection.execute("SELECT total(octets) FROM traffic WHERE name = ''").fetchone()[0]
        return total


def _journal(state: Path) -> bytes:
    """All that a journal knows and that decides anything: what it says of runs and times is left out."""
    known: list[object] = []
    with _database(state) as connection:
        if connection is None:
            return b"none"
        tables = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
        ).fetchall()
        for (table,) in tables:
            if table in {"runs", "meta", "facts", "traffic"}:
                known.append(table)
                continue
            rows = connection.execute(f'SELECT * FROM "{table}"')  # the names are the schema's own
            columns = [column[0] for column in rows.description]
            known.append(
                [
                    table,
                    *sorted(
                        tuple(
                            repr(value)
                            for name, value in zip(columns, row, strict=True)
                            if name not in PASSING
                        )
                        for row in rows
                    ),
                ]
            )
    return hashlib.sha256(repr(known).encode()).digest()
