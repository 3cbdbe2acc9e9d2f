"""The journal from outside: without its lock, without a trace, and true while another process writes."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pop2imap.errors import ExitCode, JournalCorrupt, LocalIOError
from pop2imap.journal import Held
from pop2imap.journal.history import History, accounts, read_history
from pop2imap.journal.place import directory
from pop2imap.journal.store import open_journal
from pop2imap.model import Account, Refused, Stored
from tests.contract.journal import MBOX, POP, WHEN, intend, key, placement, record
from tests.unit.test_journal_store import ALICE, database, in_another_process, kill

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def files(state: Path) -> dict[Path, tuple[int, int, int]]:
    """Everything there is, with what would show that it was touched."""
    return {
        path: (found.st_ino, found.st_size, found.st_mtime_ns)
        for path in state.rglob("*")
        if (found := path.lstat()) and not path.name.endswith("-shm")  # where readers, too, leave marks
    }


def read(state: Path) -> History:
    history = read_history(state, ALICE)
    assert history is not None
    return history


def test_where_there_is_no_journal_there_is_no_history(state: Path) -> None:
    assert read_history(state, ALICE) is None
    assert accounts(state) == []
    assert not state.exists()


def test_a_file_that_was_only_begun_is_no_history(state: Path) -> None:
    directory(state, ALICE).mkdir(parents=True)
    database(state).touch()
    assert read_history(state, ALICE) is None


def test_a_finished_run_is_read_without_a_trace(state: Path) -> None:
    journal = open_journal(state, ALICE)
    intend(journal, "a")
    journal.close()
    before = files(state)
    history = read(state)
    assert set(history.lookup([key("a"), key("b")])) == {key("a")}
    assert [one.key for one in history.claims("INBOX")] == [key("a")]
    history.close()
    assert files(state) == before
    assert accounts(state) == [ALICE]
    assert files(state) == before


def test_a_killed_run_is_read_with_all_that_is_only_in_the_log(state: Path) -> None:
    kill(in_another_process(state, "intend(journal, 'a')"))
    before = files(state)
    assert database(state).with_name("journal.db-wal").stat().st_size
    history = read(state)
    assert len(history.intents("INBOX")) == 1
    history.close()
    assert files(state) == before


def test_a_run_under_way_is_seen_going_on(state: Path) -> None:
    journal = open_journal(state, ALICE)
    history = read(state)
    assert history.known(POP) == 0
    for number in range(5):
        ids = intend(journal, f"message-{number}", mailbox=f"Folder {number}")
        assert len(history.intents(f"Folder {number}")) == 1
        journal.settle([(ids[0], Stored(7, 10))])
        assert history.known(POP) == number + 1
    assert len(history.folders()) == 5
    journal.close()
    assert history.known(POP) == 5
    history.close()


def test_a_run_that_begins_later_is_noticed(state: Path) -> None:
    open_journal(state, ALICE).close()
    history = read(state)
    assert history.problems() == []
    for number in range(3):
        journal = open_journal(state, ALICE)
        journal.note(record(f"message-{number}-{n}", Account.UNREADABLE) for n in range(500))
        assert len(history.problems()) == 500 * (number + 1)
        journal.close()
        assert len(history.problems()) == 500 * (number + 1)
    history.close()


def test_status_sums_everything_up(state: Path) -> None:
    journal = open_journal(state, ALICE, options_digest="options-1", now=lambda: START)
    ids = intend(journal, "a", "b", "c")
    journal.settle(zip(ids[:2], [Stored(7, 10), Refused("no")], strict=True))
    journal.note([record(key("m", source=MBOX), Account.SKIPPED, size=11)])
    journal.finish_run(ExitCode.INCOMPLETE, {"stored": 1, "refused": 1})
    journal.close()
    second = open_journal(state, ALICE, now=lambda: START)
    history = read(state)
    status = history.status()
    assert status.identity == ALICE
    assert status.path == directory(state, ALICE)
    assert status.sources[POP] == {
        Account.STORED: (1, 100),
        Account.REFUSED: (1, 100),
        Account.PENDING: (1, 100),
    }
    assert status.sources[MBOX] == {Account.SKIPPED: (1, 11)}
    assert status.folders == {"INBOX": (1, 100)}
    assert status.in_doubt == 1
    assert status.octets > 4096
    under_way, finished = status.runs
    assert (under_way.ended, under_way.exit_code) == (None, None)
    assert (finished.started, finished.ended) == (START, START)
    assert finished.exit_code is ExitCode.INCOMPLETE
    assert finished.counts == {"stored": 1, "refused": 1}
    assert finished.options_digest == "options-1"
    assert status.process == os.getpid()
    second.close()
    assert history.status().process is None
    assert history.status().last_alive is not None
    history.close()


def test_a_killed_run_is_not_under_way(state: Path) -> None:
    child = in_another_process(state, "pass")
    history = read(state)
    assert history.status().process == child.pid
    kill(child)
    assert history.status().process is None
    history.close()


def test_only_the_last_runs_are_told(state: Path) -> None:
    for _ in range(12):
        open_journal(state, ALICE).close()
    history = read(state)
    assert [run.number for run in history.runs()] == list(range(12, 2, -1))
    history.close()


def traced(state: Path, text: str) -> list[str]:
    history = read(state)
    found = [str(one.key) for one in history.trace(text)]
    history.close()
    return found


def test_a_message_is_found_by_its_name_its_beginning_or_its_octets(state: Path) -> None:
    journal = open_journal(state, ALICE)
    journal.note(
        [
            record("0001-abc", digest=bytes.fromhex("ab" * 32)),
            record("0001-abcd", digest=bytes.fromhex("ab" * 31 + "cd")),
            record(key("0001-abcd", 1), digest=None),
            record("%_'", digest=None),
            record("0002", digest=bytes.fromhex("0002ff" + "00" * 29)),
        ]
    )
    journal.close()
    assert traced(state, "0001-abc") == ["0001-abc"], "a whole name is that name"
    assert traced(state, "0001-a") == ["0001-abc", "0001-abcd", "0001-abcd#1"]
    assert traced(state, "0001-abcd#1") == ["0001-abcd#1"]
    assert traced(state, "ABABAB") == ["0001-abc", "0001-abcd"]
    assert traced(state, "ab" * 32) == ["0001-abc"]
    assert traced(state, "ab" * 31 + "c") == ["0001-abcd"]
    assert traced(state, "0002ff0") == ["0002"]
    assert traced(state, "%") == traced(state, "%_'") == ["%_'"]
    assert traced(state, "_") == traced(state, "") == traced(state, "  ") == traced(state, "zzz") == []


def test_a_trace_says_all_there_is_in_words(state: Path) -> None:
    journal = open_journal(state, ALICE, now=lambda: START)
    whole = record("a", copies=5, subject="Hello \x1b[31m", why="rule 'Lists': list-id is x.example.org")
    ids = journal.intend(
        [whole],
        [
            placement("a", "Sent Items", folder="\\Sent"),
            placement("a", "Refused"),
            placement("a", "Held"),
            placement("a", "Doubt"),
        ],
    )
    journal.settle(zip(ids, [Stored(7, 12), Refused("too \x07 ugly"), Held("nobody knows")], strict=False))
    journal.close()
    history = read(state)
    (found,) = history.trace("a")
    history.close()
    assert found.wanted == 5
    assert (found.key, found.date, found.digest) == (key("a"), WHEN, b"d" * 32)
    run = "run 1, 2026-01-02 03:04 UTC"
    assert found.lines() == (
        f"a of {POP}: pending",
        "reason: nobody knows",
        "subject: Hello \\x1b[31m",
        "dated 2021-02-03 04:05:06 UTC (Received)",
        f"100 octets, SHA-256 {(b'd' * 32).hex()}",
        "why: rule 'Lists': list-id is x.example.org",
        f"stored in \\Sent (on the server: Sent Items), as UID 12 under UIDVALIDITY 7; flags: \\Seen $List; {run}",
        "refused by Refused; run 1, 2026-01-02 03:04 UTC",
        "held: sent to Held, and whether it arrived cannot be known; run 1, 2026-01-02 03:04 UTC",
        "on its way to Doubt: whether it arrived is looked up by the next run; run 1, 2026-01-02 03:04 UTC",
        "1 of 5 copies not sent yet",
    )


def test_present_copies_are_traced_too(state: Path) -> None:
    journal = open_journal(state, ALICE, now=lambda: START)
    journal.present(record("a", copies=2), placement("a"), 4)
    journal.present(record("a", copies=2), placement("a", "Other"), None)
    journal.close()
    history = read(state)
    lines = history.trace("a")[0].lines()
    history.close()
    assert lines[0] == f"a of {POP}: present"
    assert lines[-2:] == (
        "present in INBOX: found as UID 4 under UIDVALIDITY 7; run 1, 2026-01-02 03:04 UTC",
        "present in Other: the same octets were there already; run 1, 2026-01-02 03:04 UTC",
    )


def test_damage_is_told_as_it_is(state: Path) -> None:
    open_journal(state, ALICE).close()
    open_journal(state, "bob@imap.example:993").close()
    database(state).write_bytes(b"no database at all " * 500)
    with pytest.raises(JournalCorrupt):
        read_history(state, ALICE)
    assert accounts(state) == ["bob@imap.example:993"], "the others are found all the same"


def test_the_journal_of_another_target_is_refused(state: Path) -> None:
    open_journal(state, ALICE).close()
    open_journal(state, "bob@imap.example:993").close()
    (directory(state, "bob@imap.example:993") / "journal.db").replace(database(state))
    with pytest.raises(JournalCorrupt, match="another target"):
        read_history(state, ALICE)


def test_a_place_that_cannot_be_looked_into_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LocalIOError):
        read_history(tmp_path / "file", ALICE)
