"""Whole runs, killed anywhere, against what must come of them.

A *life* is an account with some sources, and a seeded series of runs in which everything goes wrong that does on
the way: processes die at any commit of the journal and at any APPEND, before and after it is carried out; the
connections of both ends break; the target is full, or stores late what it never answered; folders are
renumbered, mail arrives, sources grow, and people stop the program. The last run is left in peace. Then:

* each message is in each of its folders, once for each time that a source has it (what others put there before
  counts, and what is in two sources is one), with its octets as the server keeps them, and its flags;
* the equation holds, nothing is pending or held;
* one more run sends nothing.

A run that is to die lives in a process of its own, forked, and ends in ``os._exit``; what its server held at that
moment is handed back through a file, as a real server would still have it.
"""

from __future__ import annotations

import os
import pickle
import random
import shutil
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import pytest

from pop2imap.errors import ConnectionLost, ExitCode
from pop2imap.job import Job
from pop2imap.journal.history import read_history
from pop2imap.migrate import migrate
from pop2imap.model import Account, Key, Message, Ref, Remark, Unread, Upload
from pop2imap.octets import from_bytes
from pop2imap.options import Mark, Options
from pop2imap.pipeline import Stop
from pop2imap.progress import Silent
from pop2imap.report import Report
from pop2imap.rules import toml
from pop2imap.sources import Listing, ListProgress
from tests.fakes.memory_target import (
    Fate,
    MemoryServer,
    MemoryTarget,
    Rewrite,
    as_sent,
    like_courier,
    like_cyrus,
    like_dovecot,
)
from tests.fakes.watched_database import watched

SEED = 20261123
LIVES = 30
TOGETHER = 3
TOGETHER_RESTORED = 5
RUNS = 6
"""Troubled runs in each life, at most."""

DIED = 100

STRANGER = b"Subject: from a stranger\r\n\r\n"
"""Mail that no source has."""

RULES = toml.parse(
    """
version = 1

[[rule]]
name = "Junk"
when = { subject = "junk*" }
then = { skip = "junk" }

[[rule]]
name = "Both"
when = { subject = "both*" }
then = { folder = "Copies", continue = true }

[[rule]]
name = "Twice the same"
when = { subject = "alias*" }
then = { folder = "inbox", continue = true }

[[rule]]
name = "Rest"
when = { subject = "both*" }
then = { folder = "Rest" }
""",
    "rules.toml",
)
FOLDERS = {"both": ("Copies", "Rest"), "alias": ("INBOX",), "plain": ("INBOX",), "junk": ()}
"""The server's names of the folders, by the first word of a subject."""

FLAGS = (None, frozenset[str](), frozenset({"\\Seen"}), frozenset({"\\Flagged", "work"}))


@dataclass(frozen=True, slots=True)
class Letter:
    """One message of a source: octets and what the source knows of its state."""

    octets: bytes
    flags: frozenset[str] | None

    @property
    def kind(self) -> str:
        return self.octets.split(b"Subject: ", 1)[1].split(b" ", 1)[0].decode()


def letters(chance: random.Random) -> list[Letter]:
    """Contents to choose from, so that there are twins; some that servers rewrite, now and then a large one."""
    made = []
    for number in range(chance.randint(2, 6)):
        kind = chance.choice(["plain", "plain", "alias", "both", "junk"])
        body = chance.choice(
            [b"text\r\n", b"bare\nline\r\n", b"\0\r\n", b"no end", b"x" * chance.randrange(900)]
        )
        if chance.random() < 0.03:
            body = b"large\r\n" * 160_000  # goes to a spool file
        date = b"Date: Mon, 04 May 2020 10:00:%02d +0000\r\n" % chance.randrange(3)
        octets = b"From: bob@example.org\r\nSubject: %b %d\r\n%b\r\n%b" % (kind.encode(), number, date, body)
        made += [Letter(octets, flags) for flags in chance.sample(FLAGS, chance.randint(1, 2))]
    return made


@dataclass
class Drawer:
    """A source in memory; satisfies :class:`pop2imap.sources.Source`. ``names`` None: it cannot name its messages
    before it has read them. ``cut_at`` breaks the reading at this message, once."""

    id: str
    letters: list[Letter]
    names: list[str] | None
    cut_at: int | None = None
    kind: str = "pop3"
    lists_by: Literal["octets", "messages"] = "messages"
    folder: str = "INBOX"

    def grow(self, letter: Letter) -> None:
        self.letters.append(letter)
        if self.names is not None:
            self.names.append(f"u{len(self.letters)}")

    def rename(self) -> None:
        """The server gives new UIDLs to all of them."""
        if self.names is not None:
            self.names = [f"{name}'" for name in self.names]

    def open(self) -> tuple[str, ...]:
        return ()

    def list(self, progress: ListProgress | None = None) -> Listing:
        refs = [
            Ref(
                position,
                None if self.names is None else Key(self.id, self.names[position - 1]),
                len(letter.octets),
            )
            for position, letter in enumerate(self.letters, start=1)
        ]
        return Listing(refs, sum(ref.size for ref in refs))

    def read(self, refs: Sequence[Ref]) -> Iterator[Message | Unread]:
        repeats: Counter[bytes] = Counter()
        for ref in refs:
            if ref.position == self.cut_at:
                self.cut_at = None
                raise ConnectionLost("cut", where=self.id)
            letter = self.letters[ref.position - 1]
            octets = from_bytes(letter.octets)
            key = ref.key or Key(self.id, octets.digest.hex(), repeats[octets.digest])
            repeats[octets.digest] += 1
            yield Message(ref.position, key, octets, octets.size, flags=letter.flags)

    peek = read

    def close(self, *, settled: bool) -> tuple[Remark, ...]:
        return ()


class Server(MemoryServer):
    """A server that may end the process of its client before or after anything it does."""

    def __init__(self) -> None:
        super().__init__()
        self.at_once = threading.RLock()
        self.dies: Callable[[], None] = lambda: None

    def take(self, name: str, upload: Upload) -> tuple[Fate, int | None]:
        with self.at_once:
            self.dies()
            taken = super().take(name, upload)
            self.dies()
            return taken


@dataclass
class Life:
    """One account from its first run to its last."""

    chance: random.Random
    state: Path
    server: Server = field(default_factory=Server)
    sources: list[Drawer] = field(default_factory=list)
    strangers: Counter[tuple[str, bytes]] = field(default_factory=Counter)
    """What others put into the folders, as the server has it."""
    clock: timedelta = timedelta()
    deaths: int = 0
    restores: bool = False
    """Whether an older copy of the journal is put back now and then."""
    restored: int = 0

    def __post_init__(self) -> None:
        chance, server = self.chance, self.server
        server.appenduid = chance.random() < 0.6
        self.rewrite: Rewrite = chance.choice([as_sent, like_dovecot, like_cyrus, like_courier])
        server.rewrite = self.rewrite
        self.pool = letters(chance)
        self.keep_duplicates = chance.random() < 0.3
        for number in range(chance.choice([1, 1, 1, 2, 3])):
            its = chance.choices(self.pool, k=chance.randint(0, 14))
            names = [f"u{position}" for position in range(1, len(its) + 1)]
            self.sources.append(Drawer(f"pop3:{number}", its, names if chance.random() < 0.7 else None))
        for _ in range(chance.choice([0, 0, 3])):
            self.deliver(chance.choice(self.pool))
        self.assume_empty = self.restores and not self.strangers

    # -- what happens between the runs

    def deliver(self, letter: Letter) -> None:
        """Somebody else puts this mail into one of its folders."""
        for name in FOLDERS[letter.kind][:1]:
            self.server.deliver(name, self.rewrite(letter.octets))
            self.strangers[name, self.rewrite(letter.octets)] += 1

    def pass_time(self, *, in_peace: bool) -> None:
        chance = self.chance
        if chance.random() < 0.5:
            self.server.arrive()
        if chance.random() < 0.2:
            self.server.renumber(chance.choice(list(self.server.mailboxes)))
        if chance.random() < 0.3 and self.sources:
            # the others are complete before it is begun: what is in two of them comes from the first
            self.sources[-1].grow(chance.choice(self.pool))
        if chance.random() < 0.2:
            self.server.deliver(chance.choice(list(self.server.mailboxes)), STRANGER)
        if in_peace and chance.random() < 0.3 and self.sources:
            chance.choice(self.sources).rename()

    # -- the runs

    def run(self, stop: Stop | None = None, limit: int | None = None) -> Report:
        options = Options(
            state_dir=self.state,
            mark=Mark("unseen"),
            keep_duplicates=self.keep_duplicates,
            accept_renumbered=True,
            limit=limit,
            assume_empty=self.assume_empty,
        )
        job = Job(tuple(self.sources), MemoryTarget(self.server), RULES, options)
        return migrate(job, Silent(), stop or Stop(), now=self.now, sleep=self.sleep)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.clock

    def sleep(self, seconds: float) -> None:
        """Takes no time. What the server has still to store, it stores meanwhile."""
        self.clock += timedelta(seconds=seconds)
        self.server.arrive()

    def troubled_run(self) -> None:
        """One in which something goes wrong, or several things."""
        chance, server, stop = self.chance, self.server, Stop()
        trouble = random.Random(chance.random())
        risk = chance.choice([0.0, 0.05, 0.2])
        fates = [fate for fate in Fate if fate is not Fate.REFUSED and chance.random() < 0.7] or [Fate.STORED]
        server.fate = lambda upload: trouble.choice(fates) if trouble.random() < risk else Fate.STORED
        for source in self.sources:
            source.cut_at = chance.choice([None, None, 1 + chance.randrange(len(source.letters) + 1)])
        if chance.random() < 0.2:
            steps = iter(range(chance.randint(1, 8)))
            server.before = lambda step: None if next(steps, None) is not None else stop.set()
        limit = chance.choice([None, None, None, 3])
        if chance.random() < 0.7:
            self._run_and_die(stop, limit, chance.randint(1, 40))
        else:
            self.run(stop, limit)
        server.fate, server.before = (lambda upload: Fate.STORED), (lambda step: None)
        for source in self.sources:
            source.cut_at = None

    def _run_and_die(self, stop: Stop, limit: int | None, steps: int) -> None:
        """A run in a process of its own, which dies at the ``steps``-th commit or APPEND, if it gets there."""
        handed_back = self.state.with_suffix(".pickle")
        child = os.fork()
        if child:
            _, status = os.waitpid(child, 0)
            died = os.waitstatus_to_exitcode(status)
            assert died in {0, DIED}, "the run failed by itself"
            self.deaths += died == DIED
            with handed_back.open("rb") as file:
                self.server.mailboxes, self.server._late, self.server._uidvalidity, self.clock = pickle.load(
                    file
                )
            return
        code = 1
        try:
            server = self.server

            def end(code: int) -> None:
                held = (server.mailboxes, server._late, server._uidvalidity, self.clock)
                with handed_back.open("wb") as file:
                    pickle.dump(held, file)
                os._exit(code)

            def step(*_: object) -> None:
                nonlocal steps
                with server.at_once:
                    steps -= 1
                    if steps <= 0:
                        end(DIED)

            server.dies = step
            sqlite3.connect = watched(step, step)  # type: ignore[assignment]
            self.run(stop, limit)
            end(0)
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(code)

    def live(self) -> None:
        """All of it, and the checks at its end."""
        for _ in range(self.chance.randint(2 if self.restores else 1, RUNS)):
            self.troubled_run()
            self.pass_time(in_peace=False)
            if self.restores:
                self.restore()
        self.check(self.run())
        self.pass_time(in_peace=True)
        self.check(self.run())
        self.server.log.clear()
        report = self.run()
        self.check(report)
        assert report.moved.messages == 0
        assert ("append", "INBOX") not in self.server.log, "a run with nothing to do sends nothing"

    def restore(self) -> None:
        """Somebody puts back a copy of the journal that was made after an earlier run, or makes one."""
        copy = self.state.with_name(self.state.name + "-copy")
        if copy.exists() and self.chance.random() < 0.6:
            shutil.rmtree(self.state)
            shutil.copytree(copy, self.state)
            self.server.arrive()  # nobody is as quick as that
            self.restored += 1
        history = read_history(self.state, MemoryTarget.identity)
        if history is None:  # no run has got far enough to make one
            return
        history.close()
        if not copy.exists() or self.chance.random() < 0.3:
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(self.state, copy)

    # -- what must have come of it

    def check(self, report: Report) -> None:
        counts = {account: count.messages for account, count in report.counts.items() if count.messages}
        every = [letter for source in self.sources for letter in source.letters]
        junk = sum(letter.kind == "junk" for letter in every)
        assert report.error is None
        assert report.exit_code is ExitCode.OK
        assert set(counts) <= {Account.STORED, Account.PRESENT, Account.SKIPPED}
        assert sum(counts.values()) == len(every)
        assert counts.get(Account.SKIPPED, 0) == junk
        wanted = self.wanted()
        held: Counter[tuple[str, bytes]] = Counter()
        for name, box in self.server.mailboxes.items():
            held.update((name, mail.octets) for mail in box.mail.values())
        held = Counter({copy: number for copy, number in held.items() if copy[1] != STRANGER})
        lost, surplus = wanted - held, held - wanted
        assert not lost, f"{lost.total()} lost"
        assert not surplus, f"{surplus.total()} twice"
        if len(self.sources) == 1 and not self.strangers:
            self.check_flags()

    def wanted(self) -> Counter[tuple[str, bytes]]:
        """How many copies of what there must be in which folder: what is in several sources is one, unless
        duplicates are kept, and what was there before counts."""
        wanted: Counter[tuple[str, bytes]] = Counter()
        for source in self.sources:
            its = Counter(
                (name, self.rewrite(letter.octets))
                for letter in source.letters
                for name in FOLDERS[letter.kind]
            )
            wanted = wanted + its if self.keep_duplicates else wanted | its
        return wanted | self.strangers

    def check_flags(self) -> None:
        wanted = Counter(
            (name, self.rewrite(letter.octets), letter.flags or frozenset())
            for letter in self.sources[0].letters
            for name in FOLDERS[letter.kind]
        )
        held = Counter(
            (name, mail.octets, mail.flags)
            for name, box in self.server.mailboxes.items()
            for mail in box.mail.values()
            if mail.octets != STRANGER
        )
        assert held == wanted, (held - wanted, wanted - held)


@pytest.mark.parametrize("first", range(0, LIVES // 2, TOGETHER_RESTORED))
def test_an_older_copy_of_the_journal_costs_no_message_and_brings_none_twice(
    first: int, tmp_path: Path
) -> None:
    """Also where nothing is looked for that was there before the first run."""
    restored = 0
    for number in range(first, first + TOGETHER_RESTORED):
        life = Life(random.Random(SEED + 1000 + number), tmp_path / f"state-{number}", restores=True)
        try:
            life.live()
        except AssertionError as error:
            error.add_note(f"in life {number}")
            raise
        restored += life.restored
    assert restored, "no copy was put back: this shows nothing"


@pytest.mark.parametrize("first", range(0, LIVES, TOGETHER))
def test_whatever_dies_when_each_message_comes_once(first: int, tmp_path: Path) -> None:
    deaths = 0
    for number in range(first, first + TOGETHER):
        life = Life(random.Random(SEED + number), tmp_path / f"state-{number}")
        try:
            life.live()
        except AssertionError as error:
            error.add_note(f"in life {number}")
            raise
        deaths += life.deaths
    assert deaths, "nobody died: this shows nothing"
