"""Undo dies at every step, and is run again: it must end as if nothing had been, and take nothing that is not ours.

The process is forked and ends in ``os._exit`` at its n-th step: before or after a commit of the journal, before a
question to the target, between two messages that go. Its journal is then what a killed process leaves, or what a
power failure leaves: the files as of the last commit that waited for the disk.
"""

from __future__ import annotations

import gc
import os
import pickle
import shutil
import sqlite3
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import pytest

from pop2imap import undo as under_test
from pop2imap.journal.history import read_history
from pop2imap.pipeline import Stop
from pop2imap.progress import Silent
from pop2imap.report.undone import Undone
from tests.crash.process import DIED, _connect, _Database, stand_in, without_power
from tests.fakes.memory_target import MemoryMailbox, MemoryServer, MemoryTarget
from tests.unit.test_migrate import RULES, Bench, counts, mail

MAIL = [mail("both 1"), mail(1), mail(2), mail(1), mail(3), mail(4)]
OTHERS = mail("from somebody else")

Held = dict[str, MemoryMailbox]


class Dying:
    """The process under test, which dies at step ``die_at``; what its server holds then is handed back."""

    def __init__(self, server: MemoryServer, state: Path, die_at: int) -> None:
        self.server, self.state, self.die_at, self.steps = server, state, die_at, 0

    @property
    def handed_back(self) -> Path:
        return self.state.with_suffix(".pickle")

    def step(self, what: str) -> None:
        self.steps += 1
        if self.steps == self.die_at:
            self.end(DIED)

    def keep(self) -> None:
        kept = without_power(self.state)
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(self.state, kept)

    def open_database(self, *arguments: Any, **named: Any) -> sqlite3.Connection:
        connection = _connect(*arguments, factory=_Database, **named)
        assert isinstance(connection, _Database)
        connection.inside = self  # type: ignore[assignment]
        connection.set_trace_callback(connection.traced)
        return connection

    def end(self, code: int) -> NoReturn:
        with self.handed_back.open("wb") as file:
            pickle.dump((self.server.mailboxes, self.server.subscribed), file)
        os._exit(code)

    def live(self) -> NoReturn:
        try:
            gc.disable()
            stand_in(sqlite3, "connect", self.open_database)
            self.server.before = self.step
            undo(self.server, self.state)
            self.end(0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)


def undo(server: MemoryServer, state: Path) -> dict[Undone, int]:
    report = under_test.undo(
        MemoryTarget(server),
        state_dir=state,
        run=None,
        plain=False,
        progress=Silent(),
        stop=Stop(),
        now=lambda: datetime(2026, 6, 1, tzinfo=UTC),
    )
    assert report.error is None
    return report.counts


def run_and_die(server: MemoryServer, state: Path, at: int) -> bool:
    """Returns False if it came to its end before."""
    dying = Dying(server, state, at)
    with warnings.catch_warnings():  # the test runner's own threads are none of the child's business
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        dying.live()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in {0, DIED}, "it failed by itself; see what it printed"
    with dying.handed_back.open("rb") as file:
        server.mailboxes, server.subscribed = pickle.load(file)
    return code == DIED


def known(state: Path) -> object:
    """What decides about the future."""
    history = read_history(state, MemoryTarget.identity)
    assert history is not None
    with closing(history):
        return (
            *(history.counts(), history.kept(), history.ours(None), history.mailboxes_made(None)),
            *(history.undoing(), history.last_uidvalidity("Rest"), history.missing),
        )


@pytest.mark.timeout(300)
def test_dead_at_any_step_undo_goes_on_and_takes_only_what_is_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, figure: Callable[[str, object], None]
) -> None:
    monkeypatch.setattr(under_test, "AT_ONCE", 2)
    with ExitStack() as stack:
        bench = Bench(tmp_path, stack, rules=RULES)
        server = bench.server
        server.deliver("Rest", OTHERS, None, "\\Deleted")
        server.deliver("Rest", mail(1))
        assert counts(bench.run(bench.mbox(*MAIL))) == {"stored": 5, "present": 1}
        server.deliver("Rest", mail(2), None, "\\Deleted")
        state, blank = bench.options.state_dir, tmp_path / "blank"
        shutil.copytree(state, blank)
        before = pickle.dumps((server.mailboxes, server.subscribed))

        def afresh() -> None:
            for path in (state, without_power(state)):
                shutil.rmtree(path, ignore_errors=True)
                shutil.copytree(blank, path)
            server.mailboxes, server.subscribed = pickle.loads(before)
            server.before = lambda step: None

        afresh()
        assert undo(server, state)[Undone.REMOVED] == 6
        assert Counter(server.octets_in("Rest")) == Counter([OTHERS, mail(1), mail(2)])
        assert "Copies" not in server.mailboxes
        expected, expected_known = (server.mailboxes, server.subscribed), known(state)
        number = 0
        while True:
            number += 1
            afresh()
            if not run_and_die(server, state, number):
                break
            left = pickle.dumps((server.mailboxes, server.subscribed))
            for how in (state, without_power(state)):
                server.mailboxes, server.subscribed = pickle.loads(left)
                undo(server, how)
                assert (server.mailboxes, server.subscribed) == expected, f"step {number}"
                assert known(how) == expected_known, f"step {number}"
        figure("crash points", number - 1)
        assert number > 40
        again = bench.run(bench.mbox(*MAIL))
        assert counts(again) == {"stored": 4, "present": 2}
        assert Counter(server.octets_in("Rest")) == Counter([OTHERS, *MAIL])
