"""The files of the journal: who may read them, who holds them, and what becomes of damaged ones."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlalchemy.sql.expression import Executable

from pop2imap.errors import (
    ExitCode,
    JournalCorrupt,
    JournalLocked,
    JournalTooNew,
    LocalIOError,
    Pop2imapError,
)
from pop2imap.journal import facts, history, place, schema, sqlite, statements, undoing
from pop2imap.journal.place import directory
from pop2imap.journal.store import SqlJournal, open_journal
from pop2imap.journal.values import FORMAT
from pop2imap.model import Account, Stored
from tests.contract.journal import intend, key, placement, record
from tests.fakes.watched_database import waits_for_disk, watched

ALICE = "alice@imap.example:993"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def journal(state: Path) -> Iterator[SqlJournal]:
    journal = open_journal(state, ALICE)
    yield journal
    journal.close()


def database(state: Path) -> Path:
    return directory(state, ALICE) / "journal.db"


def modes(state: Path) -> dict[str, int]:
    return {
        str(path.relative_to(state)): stat.S_IMODE(path.lstat().st_mode)
        for path in (state, *state.rglob("*"))
    }


def in_another_process(state: Path, script: str) -> subprocess.Popen[str]:
    """Run ``script`` with an open journal; returns when it has printed a line."""
    whole = (
        "from pathlib import Path\n"
        "from pop2imap.journal.store import open_journal\n"
        "from tests.contract.journal import *\n"
        f"journal = open_journal(Path({str(state)!r}), {ALICE!r})\n{script}\n"
        "print('done', flush=True)\ninput()\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", whole],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "done\n"
    return child


def kill(child: subprocess.Popen[str]) -> None:
    child.send_signal(signal.SIGKILL)
    child.communicate()


# -- where it lies


def test_its_directory_can_be_read_by_people_and_is_its_own(state: Path) -> None:
    assert directory(state, ALICE).parent == state / "targets"
    assert directory(state, ALICE).name.startswith("alice@imap.example-993-")
    assert directory(state, ALICE) != directory(state, "Alice@imap.example:993")


@pytest.mark.parametrize("identity", ["../../etc@x", "a/b@c:1", "", ".", "ü" * 300, "x\0y\n", "\udcff@host"])
def test_no_identity_leads_out_of_the_state_directory(state: Path, identity: str) -> None:
    where = directory(state, identity)
    assert where.parent == state / "targets"
    assert where.name not in {"", ".", ".."}
    open_journal(state, identity).close()
    assert where.is_dir()


def test_nobody_else_can_read_it_whatever_the_umask_is(state: Path) -> None:
    before = os.umask(0)
    try:
        journal = open_journal(state, ALICE)
        intend(journal, "a")
        found = modes(state)
        journal.close()
    finally:
        os.umask(before)
    account = f"targets/{directory(state, ALICE).name}"
    files = {"journal.db", "journal.db-wal", "journal.db-shm", "lock", "mark"}
    assert found == {
        ".": 0o700,
        "targets": 0o700,
        account: 0o700,
        f"{account}/spool": 0o700,
        **{f"{account}/{name}": 0o600 for name in files},
    }


def test_what_became_readable_for_others_is_closed_again(state: Path) -> None:
    open_journal(state, ALICE).close()
    database(state).chmod(0o644)
    database(state).parent.chmod(0o755)
    open_journal(state, ALICE).close()
    assert stat.S_IMODE(database(state).stat().st_mode) == 0o600
    assert stat.S_IMODE(database(state).parent.stat().st_mode) == 0o700


def test_a_directory_that_a_person_chose_keeps_its_mode(state: Path) -> None:
    state.mkdir(mode=0o755)
    open_journal(state, ALICE).close()
    assert stat.S_IMODE(state.stat().st_mode) == 0o755


def test_where_everybody_may_write_no_journal_is_kept(state: Path) -> None:
    state.mkdir()
    state.chmod(0o777)
    with pytest.raises(LocalIOError, match="everybody may write"):
        open_journal(state, ALICE)
    with pytest.raises(LocalIOError, match="everybody may write"):
        open_journal(state / "below", ALICE)
    state.chmod(0o1777)
    open_journal(state, ALICE).close()


def test_a_link_of_ones_own_is_followed(state: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    state.symlink_to(tmp_path / "elsewhere")
    open_journal(state, ALICE).close()
    assert directory(tmp_path / "elsewhere", ALICE).is_dir()


def test_a_link_that_leads_nowhere_is_refused(state: Path) -> None:
    state.symlink_to("nowhere")
    with pytest.raises(LocalIOError, match="leads nowhere"):
        open_journal(state, ALICE)


@pytest.mark.parametrize("what", ["a directory", "a symbolic link"])
def test_what_belongs_to_somebody_else_is_refused(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    (tmp_path / "theirs").mkdir()
    os.chown(tmp_path / "theirs", os.getuid(), -1)
    if what == "a directory":
        state = tmp_path / "theirs"
    else:
        state.symlink_to(tmp_path / "theirs")
    stranger = os.getuid() + 4711
    lstat = os.lstat

    def owned_by_root_is_not_somebody(path: str | os.PathLike[str]) -> os.stat_result:
        found = lstat(path)
        return os.stat_result((*found[:4], found.st_uid or 4242, *found[5:]))

    monkeypatch.setattr(os, "geteuid", lambda: stranger)
    monkeypatch.setattr(os, "lstat", owned_by_root_is_not_somebody)
    with pytest.raises(LocalIOError, match="belongs to somebody else"):
        open_journal(state, ALICE)


@pytest.mark.parametrize("name", ["targets", "journal.db", "journal.db-wal", "lock", "spool"])
def test_links_inside_are_never_followed(state: Path, tmp_path: Path, name: str) -> None:
    open_journal(state, ALICE).close()
    inside = database(state).parent / name if name != "targets" else state / name
    if inside.exists():
        inside.rename(tmp_path / "moved")
    (tmp_path / "victim").mkdir() if name in {"targets", "spool"} else (tmp_path / "victim").touch()
    inside.symlink_to(tmp_path / "victim")
    with pytest.raises(LocalIOError):
        open_journal(state, ALICE)
    victim = tmp_path / "victim"
    assert not list(victim.iterdir()) if victim.is_dir() else victim.stat().st_size == 0


@pytest.mark.parametrize("where", ["/proc/pop2imap", "/sys/pop2imap", "/dev/null/pop2imap"])
def test_where_nothing_can_be_written_the_error_says_what_to_do(where: str) -> None:
    with pytest.raises(LocalIOError) as caught:
        open_journal(Path(where), ALICE)
    assert caught.value.exit_code is ExitCode.LOCAL_IO
    assert "--state-dir" in str(caught.value)
    assert where.split("/")[1] in caught.value.where


def test_a_crash_leaves_nothing_in_the_spool_directory(state: Path) -> None:
    open_journal(state, ALICE).close()
    left = database(state).parent / "spool" / "tmpabcdef"
    left.write_bytes(b"half a message")
    journal = open_journal(state, ALICE)
    assert not left.exists()
    assert journal.spool == left.parent
    journal.close()


# -- the lock


def test_one_run_at_a_time_and_the_other_is_named(state: Path, journal: SqlJournal) -> None:
    with pytest.raises(JournalLocked, match=f"process {os.getpid()}") as caught:
        open_journal(state, ALICE)
    assert caught.value.exit_code is ExitCode.NOT_FINISHED
    open_journal(state, "bob@imap.example:993").close()
    journal.close()
    open_journal(state, ALICE).close()


def test_a_killed_run_leaves_its_intents_but_no_lock(state: Path) -> None:
    before = datetime.now(UTC) - timedelta(seconds=2)
    child = in_another_process(
        state,
        "ids = intend(journal, 'a', 'b', 'c')\n"
        "journal.settle([(ids[0], Stored(7, 10)), (ids[1], Stored(7, None))])",
    )
    with pytest.raises(JournalLocked, match=f"process {child.pid}"):
        open_journal(state, ALICE)
    kill(child)
    journal = open_journal(state, ALICE)
    assert [one.key.name for one in journal.intents("INBOX")] == ["c"]
    assert [one.key.name for one in journal.claims("INBOX")] == ["b", "c"]
    assert journal.owned("INBOX", 7) == {10}
    assert journal.last_alive is not None
    assert journal.last_alive > before
    journal.close()


def test_a_refused_second_run_is_no_sign_of_life(state: Path, journal: SqlJournal) -> None:
    lock = database(state).parent / "lock"
    os.utime(lock, (1_000_000, 1_000_000))
    with pytest.raises(JournalLocked):
        open_journal(state, ALICE)
    assert lock.stat().st_mtime == 1_000_000
    journal.close()


def test_intending_and_settling_are_signs_of_life(state: Path, journal: SqlJournal) -> None:
    lock = database(state).parent / "lock"
    for act in (
        lambda: intend(journal, "a"),
        lambda: journal.settle([(1, Stored(7, 10))]),
        journal.touch,
    ):
        os.utime(lock, (1_000_000, 1_000_000))
        act()
        assert lock.stat().st_mtime > 1_000_000


def test_closing_twice_does_no_harm(state: Path) -> None:
    journal = open_journal(state, ALICE)
    journal.close()
    other = open_journal(state, ALICE)
    journal.close()
    with pytest.raises(JournalLocked):
        open_journal(state, ALICE)
    other.close()


# -- damage


def test_a_file_that_is_no_database(state: Path) -> None:
    open_journal(state, ALICE).close()
    database(state).write_bytes(b"Dear diary, " * 1000)
    with pytest.raises(JournalCorrupt) as caught:
        open_journal(state, ALICE)
    assert "move the file" in caught.value.todo
    assert "not sent twice" in caught.value.todo
    assert caught.value.where.endswith("journal.db")
    assert database(state).read_bytes().startswith(b"Dear diary"), "it is left as it is"


def test_a_database_of_something_else(state: Path) -> None:
    open_journal(state, ALICE).close()
    database(state).unlink()
    with sqlite3.connect(database(state)) as other:
        other.execute("CREATE TABLE meta (id INTEGER)")
    other.close()
    with pytest.raises(JournalCorrupt, match="not a journal"):
        open_journal(state, ALICE)


def test_the_journal_of_another_target(state: Path) -> None:
    open_journal(state, "bob@imap.example:993").close()
    open_journal(state, ALICE).close()
    (directory(state, "bob@imap.example:993") / "journal.db").replace(database(state))
    with pytest.raises(JournalCorrupt, match="another target: bob"):
        open_journal(state, ALICE)


def test_damaged_pages_are_noticed_at_once(state: Path) -> None:
    journal = open_journal(state, ALICE)
    intend(journal, *(f"message-{n}" for n in range(300)))
    journal.close()
    whole = database(state).read_bytes()
    for page in (2, 7, 11):
        broken = bytearray(whole)
        broken[page * 4096 : page * 4096 + 64] = b"\xff" * 64
        database(state).write_bytes(broken)
        with pytest.raises(JournalCorrupt):
            open_journal(state, ALICE)
    database(state).write_bytes(whole)
    open_journal(state, ALICE).close()


def test_without_its_file_a_journal_begins_anew(state: Path) -> None:
    journal = open_journal(state, ALICE)
    intend(journal, "a")
    journal.close()
    database(state).rename(state / "moved-away.db")
    journal = open_journal(state, ALICE)
    assert journal.lookup([key("a")]) == {}
    journal.close()


def test_a_full_disk_is_told_and_the_journal_stays_whole(journal: SqlJournal) -> None:
    intend(journal, "a")
    driver = journal._database
    pages = driver.execute("PRAGMA page_count").fetchone()[0]
    driver.execute(f"PRAGMA max_page_count = {pages}")
    names = [f"message-{n}" for n in range(2000)]
    with pytest.raises(LocalIOError, match="disk is full") as caught:
        intend(journal, *names)
    assert "free some space" in caught.value.todo
    assert journal.lookup([key("message-0")]) == {}
    assert len(journal.intents("INBOX")) == 1
    driver.execute("PRAGMA max_page_count = 1000000")
    assert len(intend(journal, *names)) == 2000


def test_a_program_that_has_it_locked_is_told_of(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_journal(state, ALICE).close()
    monkeypatch.setattr("pop2imap.journal.sqlite.BUSY_SECONDS", 0.05)
    other = sqlite3.connect(database(state), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(LocalIOError, match="another program has it locked") as caught:
        open_journal(state, ALICE)
    assert "close that program" in caught.value.todo
    other.close()
    open_journal(state, ALICE).close()


def test_another_thread_is_a_defect_not_a_race(journal: SqlJournal) -> None:
    raised: list[Exception] = []

    def ask() -> None:
        try:
            journal.lookup([key("a")])
        except Exception as error:
            raised.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert isinstance(raised[0], Pop2imapError)
    assert raised[0].exit_code is ExitCode.INTERNAL


# -- durability


def test_only_what_must_not_get_lost_waits_for_the_disk(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[bool] = []

    monkeypatch.setattr(sqlite3, "connect", watched(lambda database: waited.append(waits_for_disk(database))))
    journal = open_journal(state, ALICE)
    waited.clear()

    def waits() -> bool:
        (last,) = waited
        waited.clear()
        return last

    ids = intend(journal, "a", "b")
    assert waits()
    journal.settle([(ids[0], Stored(7, 10))])
    assert not waits()
    journal.note([record("n", Account.SKIPPED)])
    assert not waits()
    journal.present(record("p"), placement("p"), 4)
    assert not waits()
    journal.settle([(ids[1], Stored(7, 11))], durable=True)
    assert waits()
    journal.renumbered("INBOX", 8)
    assert waits()
    journal.finish_run(ExitCode.OK, {})
    assert waits()
    journal.close()


def one_more_step(newer: pytest.MonkeyPatch, step: Callable[[Connection], None]) -> None:
    """A program of the next schema."""
    newer.setattr(schema, "STEPS", (*schema.STEPS, step))
    newer.setattr(facts, "NEWEST", len(schema.STEPS))


def test_a_step_that_fails_leaves_no_table_behind(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_journal(state, ALICE).close()

    def half(connection: Connection) -> None:
        connection.execute(text("CREATE TABLE half_done (id INTEGER)"))
        connection.execute(text("ALTER TABLE messages ADD COLUMN extra INTEGER"))
        connection.execute(text("this is no SQL"))

    with monkeypatch.context() as newer:
        one_more_step(newer, half)
        with pytest.raises(Pop2imapError):
            open_journal(state, ALICE)
    open_journal(state, ALICE).close()
    with sqlite3.connect(database(state)) as bare:
        tables = {name for (name,) in bare.execute("SELECT name FROM sqlite_master")}
        columns = {row[1] for row in bare.execute("PRAGMA table_info(messages)")}
    bare.close()
    assert "half_done" not in tables
    assert "extra" not in columns


def test_a_step_is_applied_once_and_an_older_program_steps_back(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = open_journal(state, ALICE)
    intend(journal, "a")
    journal.close()
    applied: list[int] = []

    def later(connection: Connection) -> None:
        applied.append(1)
        connection.execute(text("CREATE TABLE later (id INTEGER)"))

    with monkeypatch.context() as newer:
        one_more_step(newer, later)
        for _ in range(2):
            journal = open_journal(state, ALICE)
            assert len(journal.intents("INBOX")) == 1
            journal.close()
    assert applied == [1]
    before = database(state).read_bytes()
    for ask in (open_journal, history.read_history):
        known = len(schema.STEPS)
        with pytest.raises(
            JournalTooNew, match=f"schema {known + 1}; this one knows schema {known}"
        ) as caught:
            ask(state, ALICE)
        assert caught.value.exit_code is ExitCode.CONFIG
    assert database(state).read_bytes() == before


def made(steps: int, path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A database that so many steps have made; returns its statements."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    with closing(sqlite.writer(path)) as database, monkeypatch.context() as older:
        older.setattr(schema, "STEPS", schema.STEPS[:steps])
        schema.apply_steps(database, 0)
    return statements_of(path)


def statements_of(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as bare:
        rows = bare.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    return sorted(" ".join(sql.split()) + ";" for (sql,) in rows)


def test_the_steps_lead_to_the_newest_schema() -> None:
    assert len(schema.STEPS) == facts.NEWEST


@pytest.mark.parametrize("number", range(1, facts.NEWEST))
def test_the_tables_of_older_schemas_are_pinned(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever changes a table adds a step, and pins what that makes: the newest in the package, where new journals are
    made of it, the older ones here."""
    pinned = Path(__file__).with_name(f"journal_schema_{number}.sql")
    assert made(number, tmp_path / "made.db", monkeypatch) == sorted(pinned.read_text().splitlines())


def test_a_new_journal_is_what_the_steps_make(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_journal(state, ALICE).close()
    assert statements_of(database(state)) == made(len(schema.STEPS), tmp_path / "made.db", monkeypatch)


def test_a_journal_of_the_first_schema_is_read_as_it_is_and_brought_up_to_date_by_the_next_run(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.make(state, ALICE)
    made(1, database(state), monkeypatch)
    with closing(sqlite3.connect(database(state))) as bare:
        bare.executescript(Path(__file__).with_name("journal_of_schema_1.sql").read_text())
        born = {"format": FORMAT, "identity": ALICE, "created": "1600000000"}
        facts.set_facts(bare, born)
        bare.commit()
    before = database(state).read_bytes()
    old = history.read_history(state, ALICE)
    assert old is not None
    known = [one.key.name for one in old.claims("Sent")]
    assert (known, old.owned("INBOX", 7), old.status().undoing) == (["c", "d"], {10}, 0)
    old.close()
    assert database(state).read_bytes() == before
    journal = open_journal(state, ALICE)
    assert [one.key.name for one in journal.claims("Sent")] == known
    assert (journal.unsure_from("INBOX"), journal.unsure_from("Sent")) == (10, 20)
    assert (journal.unsure_from("Never used"), journal.missing) == (1, 0)
    journal.close()
    new = history.read_history(state, ALICE)
    assert new is not None
    assert [one.key.name for one in new.claims("Sent")] == known
    new.close()


def test_postgresql_understands_the_same_tables_and_questions() -> None:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    made = [str(CreateTable(table).compile(dialect=dialect)) for table in schema.metadata.sorted_tables]
    made += [
        str(CreateIndex(index).compile(dialect=dialect))
        for table in schema.metadata.sorted_tables
        for index in sorted(table.indexes, key=lambda index: str(index.name))
    ]
    assert any("WHERE uid IS NOT NULL" in statement for statement in made)
    assert any("WHERE claim = true" in statement for statement in made)
    questions = [
        value
        for module in (history, undoing)
        for name, value in vars(module).items()
        if isinstance(value, Executable) and name.startswith("_")
    ]
    assert len(questions) >= 10
    for question in questions:
        assert str(question.compile(dialect=dialect))  # type: ignore[attr-defined]


# -- what is kept


def test_a_subject_is_nowhere_in_the_files_of_a_finished_run(state: Path) -> None:
    journal = open_journal(state, ALICE)
    names = [f"message-{n}" for n in range(300)]
    ids = journal.intend(
        [record(name, subject=f"Very private {name} " * 9) for name in names],
        [placement(name) for name in names],
    )
    assert b"Very private" in database(state).with_name("journal.db-wal").read_bytes()
    journal.settle((number, Stored(7, number + 10)) for number in ids[:-1])
    journal.rebind(key(names[0]), key("another name, so that rows move about"))
    journal.settle([(ids[-1], Stored(7, 9999))])
    journal.finish_run(ExitCode.OK, {})
    journal.close()
    kept = [path.read_bytes() for path in database(state).parent.rglob("*") if path.is_file()]
    assert not any(b"Very private" in content for content in kept)


def test_a_why_that_no_message_has_any_more_goes_with_the_run(state: Path) -> None:
    journal = open_journal(state, ALICE)
    journal.note([record("a", why="rule 'Old'", rules_digest="old")])
    journal.note([record("a", why="rule 'New'", rules_digest="new")])
    journal.finish_run(ExitCode.OK, {})
    journal.note([record("b", why="rule 'Newer'", rules_digest="new")])
    journal.close()
    with sqlite3.connect(database(state)) as bare:
        kept = {name for (name,) in bare.execute("SELECT name FROM texts")}
    bare.close()
    assert kept == {"rule 'New'", "rule 'Newer'", "new"}


def test_very_long_texts_are_cut(journal: SqlJournal) -> None:
    journal.note([record("a", Account.UNREADABLE, reason="r" * 10_000, subject="s" * 10_000)])
    (problem,) = journal.problems()
    assert len(problem.reason) == len(problem.subject) == 1000


OF_ANY_TABLE = ("NUMBER", "NAMES", "ADD_NAME", "LAST_ID")


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, value in vars(statements).items()
        if name.isupper() and name[0] != "_" and isinstance(value, str) and " " in value
    ],
)
def test_each_statement_is_understood_and_goes_by_an_index_where_it_is_asked_often(
    name: str, journal: SqlJournal
) -> None:
    text = getattr(statements, name)
    text = text.format("folders") if name in OF_ANY_TABLE else statements.among(text, 2)
    numbers = dict.fromkeys(("run", "mailbox", "uidvalidity", "above", "most"), 1) | {"digest": b""}
    numbered = {int(number) for number in re.findall(r"\?(\d+)", text)}
    parameters = [1] * (len(numbered) or text.count("?")) if "?" in text else numbers
    plan = [row[3] for row in journal._database.execute(f"EXPLAIN QUERY PLAN {text}", parameters)]
    if name in {"CLAIMS", "CLAIMS_LIKE", "INTENTS", "UNLOCATED", "IN_DOUBT", "WITHOUT_UID"}:
        assert any("placements_claim" in step for step in plan), plan
    if name in {"ENTRIES", "KNOWN_MESSAGES", "STATES", "TO_SETTLE", "OWNERS", "COPIES", "SET_OUTCOME"}:
        assert not any(step.startswith("SCAN") for step in plan), plan
