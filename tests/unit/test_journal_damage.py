"""A journal on a disk that changes what was written, or beside which an older one was kept: it is always noticed."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from pop2imap.errors import ExitCode, JournalCorrupt
from pop2imap.journal import digest, seals
from pop2imap.journal.history import History, read_history
from pop2imap.journal.place import directory
from pop2imap.journal.store import SqlJournal, open_journal
from pop2imap.model import Account, Refused, Stored
from tests.contract.journal import POP, intend, key, placement, record
from tests.unit.test_journal_store import ALICE, database

NAMES = [f"message-{n}" for n in range(40)]

EVERY = 199
"""Octets between two that are changed; a prime, so that all sorts of them have their turn."""


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Small pages, so that there are many of each sort."""
    state = tmp_path / "state"
    open_journal(state, ALICE).close()
    with closing(sqlite3.connect(database(state), isolation_level=None)) as bare:
        for statement in ("journal_mode=DELETE", "page_size=512"):
            bare.execute(f"PRAGMA {statement}").close()
        bare.execute("VACUUM").close()
        bare.execute("PRAGMA journal_mode=WAL").close()
    return state


def fill(journal: SqlJournal, names: list[str] = NAMES) -> list[int]:
    digests = [hashlib.sha256(name.encode()).digest() for name in names]
    return journal.intend(
        [
            record(name, digest=digest, subject=f"about {name}")
            for name, digest in zip(names, digests, strict=True)
        ],
        [placement(name, match_digest=digest) for name, digest in zip(names, digests, strict=True)],
    )


def filled(state: Path) -> None:
    """A finished run, with all states of a copy."""
    journal = open_journal(state, ALICE)
    ids = fill(journal)
    journal.settle((number, Stored(7, number + 10)) for number in ids[:20])
    journal.settle([(ids[20], Refused("no")), (ids[21], Stored(7, None))])
    journal.note([record("skipped", Account.SKIPPED, reason="by rule")])
    journal.made(["INBOX"])
    journal.finish_run(ExitCode.INCOMPLETE, {"moved": 21})
    journal.close()


def answers(state: Path) -> str:
    """What all questions are answered with."""
    history = read_history(state, ALICE)
    assert history is not None
    with closing(history):
        return "older" if history.missing else _answers(history)


def _answers(history: History) -> str:
    kept = history.kept()
    return repr(
        [
            history.lookup([key(name) for name in (*NAMES, "skipped")]),
            *(history.intents("INBOX"), history.claims("INBOX"), history.unlocated("INBOX")),
            *(
                sorted(history.owned("INBOX", 7)),
                history.mailboxes_in_doubt(),
                history.settled_like([b"m" * 32]),
            ),
            *(history.last_uidvalidity("INBOX"), history.folders(), history.problems(), history.counts()),
            *(
                history.known(POP),
                history.same_octets(POP, b"d" * 32),
                history.elsewhere(key("x"), b"d" * 32),
            ),
            *(
                kept,
                [list(history.with_uid(one)) for one in kept],
                [list(history.without_uid(one)) for one in kept],
            ),
            *(history.lent(), history.ours(1), history.mailboxes_made(None), history.undoing()),
            *(history.identity, history.runs(), history.trace("message-1")),
        ]
    )


def changed(whole: bytes, at: int, bit: int) -> bytes:
    octets = bytearray(whole)
    octets[at] ^= 1 << bit
    return bytes(octets)


def looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The looks at all of the structure of a journal, from now on."""
    found: list[str] = []
    structure = seals.structure

    def looking(database: sqlite3.Connection) -> str:
        found.append("structure")
        return structure(database)

    monkeypatch.setattr(seals, "structure", looking)
    return found


def test_a_journal_that_is_as_it_was_left_is_not_looked_at_again(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(state)
    looked = looks(monkeypatch)
    expected = answers(state)
    open_journal(state, ALICE).close()
    assert looked == []
    assert digest.holds(database(state))
    database(state).with_name(digest.FILE).unlink()
    assert answers(state) != expected  # there was one more run
    open_journal(state, ALICE).close()
    assert looked == ["structure"] * 2
    answers(state)
    assert looked == ["structure"] * 2, "noted again"


def test_what_is_in_the_log_has_no_digest(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(state)
    looked = looks(monkeypatch)
    path = database(state)
    with closing(
        sqlite3.connect(path)
    ) as other:  # keeps the log from being taken over when the journal is closed
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM meta").fetchone()
        journal = open_journal(state, ALICE)
        journal.note([])
        journal.close()
        assert not digest.holds(path)
        path.with_name(digest.FILE).write_bytes(b"")
        assert not digest.holds(path)
        answers(state)
    assert looked == ["structure"]


def test_a_digest_that_cannot_be_read_or_written_costs_nothing_but_time(state: Path) -> None:
    filled(state)
    witness = database(state).with_name(digest.FILE)
    witness.unlink()
    witness.symlink_to(state / "elsewhere")
    open_journal(state, ALICE).close()
    assert not (state / "elsewhere").exists()
    assert not digest.holds(database(state))


@pytest.mark.timeout(300)
def test_a_flipped_bit_is_noticed_or_changes_no_answer(
    state: Path, figure: Callable[[str, object], None]
) -> None:
    filled(state)
    expected, path = answers(state), database(state)
    whole = path.read_bytes()
    header = [(at, bit) for at in range(100) for bit in ((at * 3) % 8, (at * 3 + 5) % 8)]
    flips = header + [(at, at // EVERY % 8) for at in range(100, len(whole), EVERY)]
    noticed = 0
    for at, bit in flips:
        damaged = changed(whole, at, bit)
        path.write_bytes(damaged)
        try:
            assert answers(state) == expected, f"bit {bit} of octet {at}"
        except JournalCorrupt:
            noticed += 1
            with pytest.raises(JournalCorrupt):
                open_journal(state, ALICE)
            assert path.read_bytes() == damaged, "it is left as it is"
    assert noticed > len(flips) // 3
    figure("flipped bits", len(flips))


@pytest.mark.timeout(300)
def test_a_flipped_bit_in_the_log_of_a_killed_run_is_noticed_or_takes_only_what_waited_for_no_disk(
    state: Path, tmp_path: Path, figure: Callable[[str, object], None]
) -> None:
    snapshots = [tmp_path / f"after-{n}" for n in range(3)]
    journal = open_journal(state, ALICE)
    ids = fill(journal, NAMES[:20])
    journal.settle((number, Stored(7, number + 10)) for number in ids)
    ids = fill(journal, NAMES[20:])
    shutil.copytree(state, snapshots[0])
    journal.settle((number, Stored(7, number + 10)) for number in ids[:10])
    shutil.copytree(state, snapshots[1])
    journal.settle((number, Stored(7, number + 10)) for number in ids[10:])
    shutil.copytree(state, snapshots[2])
    journal.close()
    good = {answers(snapshot) for snapshot in snapshots}
    assert len(good) == 3
    killed = snapshots[2]
    log = database(killed).with_name("journal.db-wal")
    whole, pages = log.read_bytes(), database(killed).read_bytes()
    flips = [(at, at % 8) for at in range(32)] + [
        (at, at // EVERY % 8) for at in range(32, len(whole), EVERY)
    ]
    older = 0
    for at, bit in flips:
        log.write_bytes(changed(whole, at, bit))
        try:
            found = answers(killed)
        except JournalCorrupt:
            continue
        older += found == "older"
        assert found in {*good, "older"}, f"bit {bit} of octet {at}"
    assert older > len(flips) // 3
    log.write_bytes(changed(whole, len(whole) // 3, 1))
    database(killed).write_bytes(pages)
    journal = open_journal(killed, ALICE)
    assert journal.missing > 0
    assert journal.unsure_from("Never used") == 1
    journal.close()
    journal = open_journal(killed, ALICE)
    assert (journal.missing, journal.unsure_from("Never used")) == (0, 1), (
        "it is said once, and not forgotten"
    )
    journal.close()
    figure("flipped bits", len(flips))


def test_a_damaged_row_is_noticed_even_where_the_structure_is_whole(state: Path) -> None:
    filled(state)
    whole = database(state).read_bytes()
    database(state).write_bytes(changed(whole, whole.index(b"by rule"), 0))
    with pytest.raises(JournalCorrupt, match="not as they were written") as caught:
        open_journal(state, ALICE)
    assert caught.value.exit_code is ExitCode.LOCAL_IO
    assert "pop2imap adopt" in caught.value.todo


def test_another_program_cannot_change_a_row_unnoticed(state: Path) -> None:
    filled(state)
    with closing(sqlite3.connect(database(state))) as bare:
        with pytest.raises(sqlite3.OperationalError, match="no such function"):
            bare.execute("UPDATE placements SET uid = uid + 1")
        bare.execute("DROP TRIGGER placements_update")
        bare.execute("UPDATE placements SET uid = uid + 1000")
        bare.commit()
    with pytest.raises(JournalCorrupt, match="tables are not those"):
        open_journal(state, ALICE)


# an older journal


def older_copy(state: Path, tmp_path: Path) -> Path:
    """A copy of the journal as it was before its last run."""
    journal = open_journal(state, ALICE)
    intend(journal, "a")
    journal.close()
    copy = tmp_path / "copy"
    shutil.copytree(state, copy)
    journal = open_journal(state, ALICE)
    intend(journal, "b", "c")
    journal.close()
    return copy


def test_an_older_database_in_the_place_of_a_newer_one_is_noticed(state: Path, tmp_path: Path) -> None:
    copy = older_copy(state, tmp_path)
    shutil.copyfile(database(copy), database(state))
    history = read_history(state, ALICE)
    assert history is not None
    assert (history.missing, history.status().missing) == (2, 2)
    history.close()
    journal = open_journal(state, ALICE)
    assert journal.missing == 2
    journal.close()


def test_a_whole_directory_that_was_put_back_tells_of_nothing(state: Path, tmp_path: Path) -> None:
    """What was done since shows only in the target: see ``Journal.unsure_from``."""
    copy = older_copy(state, tmp_path)
    shutil.rmtree(state)
    shutil.copytree(copy, state)
    journal = open_journal(state, ALICE)
    assert (journal.missing, journal.unsure_from("INBOX"), journal.unsure_from("Sent")) == (0, 1, 1)
    journal.close()


def test_a_new_journal_has_nothing_to_be_unsure_of(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "state", ALICE)
    assert (journal.missing, journal.unsure_from("INBOX")) == (0, None)
    intend(journal, "a", lower_bound=5)
    intend(journal, "b", lower_bound=9)
    assert journal.unsure_from("INBOX") == 5
    journal.renumbered("INBOX", 8)
    assert (journal.unsure_from("INBOX"), journal.unsure_from("Sent")) == (1, None)
    journal.close()
    journal = open_journal(tmp_path / "state", ALICE)
    assert journal.unsure_from("Sent") == 1, "it may have been used by a run of which nothing is left"
    journal.close()


def test_a_witness_that_cannot_be_read_says_nothing(state: Path) -> None:
    open_journal(state, ALICE).close()
    mark = directory(state, ALICE) / "mark"
    whole = mark.read_bytes()
    for content in (b"", b"x", b"\xff" * 100, *(changed(whole, at, at % 8) for at in range(len(whole)))):
        mark.write_bytes(content)
        history = read_history(state, ALICE)
        assert history is not None
        assert history.missing == 0
        history.close()
    mark.unlink()
    mark.symlink_to("/dev/zero")
    journal = open_journal(state, ALICE)
    assert journal.missing == 0
    journal.close()


# nothing left


def test_a_journal_that_was_moved_away_begins_anew_and_one_that_was_emptied_does_not(state: Path) -> None:
    filled(state)
    database(state).write_bytes(b"")
    for ask in (open_journal, read_history):
        with pytest.raises(JournalCorrupt, match="nothing of it is left"):
            ask(state, ALICE)
    database(state).unlink()
    assert read_history(state, ALICE) is None
    journal = open_journal(state, ALICE)
    assert (journal.missing, journal.lookup([key("message-1")])) == (0, {})
    journal.close()


def test_a_log_that_was_left_behind_or_that_holds_all_is_not_lost_in_silence(tmp_path: Path) -> None:
    first, killed = tmp_path / "first", tmp_path / "killed"
    journal = open_journal(first, ALICE)
    intend(journal, "a")
    shutil.copytree(first, killed)
    journal.close()
    log = database(killed).with_name("journal.db-wal")
    whole = log.read_bytes()
    assert len(database(killed).read_bytes()) <= 4096, "all of it is in the log"
    log.write_bytes(changed(whole, 17, 2))
    for ask in (read_history, open_journal):
        with pytest.raises(JournalCorrupt, match="nothing of it is left"):
            ask(killed, ALICE)
    log.write_bytes(whole)
    database(killed).unlink()
    with pytest.raises(JournalCorrupt, match="its log is there"):
        open_journal(killed, ALICE)
    log.unlink()
    open_journal(killed, ALICE).close()
