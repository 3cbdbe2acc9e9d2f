"""What went where in which hour: counted before it is sent, over runs, and whatever the clock does."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pop2imap.errors import Again, InternalError
from pop2imap.journal.store import SqlJournal, open_journal
from pop2imap.journal.traffic import KEPT, TARGET
from pop2imap.model import Refused, Unknown
from tests.contract.journal import POP, intend, key, placement, record

EIGHT = datetime(2026, 3, 1, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Desk:
    """A journal, opened as often as one likes, and a clock to set."""

    def __init__(self, state: Path) -> None:
        self.state, self.now = state, EIGHT
        self.journal = self._open()

    def _open(self) -> SqlJournal:
        return open_journal(self.state, "alice@imap.example:993", now=lambda: self.now)

    def reopen(self) -> SqlJournal:
        self.journal.close()
        self.journal = self._open()
        return self.journal

    def all(self, name: str = TARGET) -> list[tuple[datetime, int]]:
        return self.journal.traffic(name, EIGHT - timedelta(days=365))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "state")
    yield desk
    desk.journal.close()


def test_what_is_made_ready_is_counted_and_the_next_run_knows_it(desk: Desk) -> None:
    intend(desk.journal, "a", "b")
    desk.now += timedelta(minutes=59)
    intend(desk.journal, "c", size=7)
    desk.now += timedelta(minutes=2)
    intend(desk.journal, "d", size=5)
    assert desk.all() == [(EIGHT, 207), (EIGHT + HOUR, 5)]
    assert desk.reopen().traffic(TARGET, EIGHT + timedelta(minutes=61)) == [(EIGHT + HOUR, 5)]
    assert desk.all(POP) == []


def test_what_is_made_ready_again_is_counted_again(desk: Desk) -> None:
    (number,) = intend(desk.journal, "a")
    desk.journal.settle([(number, Unknown("cut"))])
    desk.journal.settle([(number, Refused("not there", Again.LATER))])
    intend(desk.journal, "a")
    assert desk.all() == [(EIGHT, 200)]


def test_intents_that_are_not_made_are_not_counted(desk: Desk) -> None:
    intend(desk.journal, "a")
    with pytest.raises(InternalError):
        desk.journal.intend([record("b"), record("a")], [placement("b"), placement("a")])
    assert desk.all() == [(EIGHT, 100)]
    assert set(desk.journal.lookup([key("a"), key("b")])) == {key("a")}


def test_each_source_has_its_own_count_and_may_give_some_back(desk: Desk) -> None:
    desk.journal.carried(POP, 1 << 40)
    desk.journal.carried(POP, -5)
    desk.journal.carried("pop3:bob@pop.example:995", 3)
    desk.reopen()
    assert desk.all(POP) == [(EIGHT, (1 << 40) - 5)]
    assert desk.all("pop3:bob@pop.example:995") == [(EIGHT, 3)]
    assert desk.all() == []


def test_a_clock_that_was_set_back_makes_hours_that_lie_ahead(desk: Desk) -> None:
    desk.journal.carried(POP, 10)
    desk.now -= 5 * HOUR
    desk.journal.carried(POP, 3)
    assert desk.all(POP) == [(EIGHT - 5 * HOUR, 3), (EIGHT, 10)]
    assert desk.journal.traffic(POP, desk.now) == desk.all(POP)


def test_old_hours_are_forgotten_and_no_others(desk: Desk) -> None:
    desk.journal.carried(POP, 1)
    desk.now += HOUR
    desk.journal.carried(POP, 2)
    desk.now = EIGHT + KEPT
    desk.journal.carried(POP, 3)
    assert [octets for _, octets in desk.all(POP)] == [1, 2, 3]
    desk.now += HOUR
    desk.journal.carried(TARGET, 4)
    assert [octets for _, octets in desk.all(POP)] == [2, 3]
