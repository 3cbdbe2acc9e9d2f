"""Adopting, whole: real journals of real runs that are lost or old, sources, and a target in memory."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pop2imap.adopt import adopt
from pop2imap.errors import ConnectionLost, ExitCode, FolderError, HostUnavailable
from pop2imap.job import Job
from pop2imap.journal.history import read_history
from pop2imap.journal.place import directory
from pop2imap.model import Account, Upload
from pop2imap.pipeline import Stop
from pop2imap.progress import Silent
from pop2imap.report.adopted import AdoptReport
from pop2imap.rules import toml
from pop2imap.sources import Source
from tests.fakes.memory_target import Fate, MemoryTarget, like_courier, like_dovecot
from tests.unit.test_journal_history import files
from tests.unit.test_migrate import NOW, Bench, mail
from tests.unit.test_undo import cut_at_expunge, undone

RULES = """
[[rule]]
name = "Copy"
when = { subject = "both*" }
then = { folder = "Copies", continue = true }

[[rule]]
name = "Lists"
when = { any = [{ subject = "list*" }, { subject = "both*" }] }
then = { folder = "Lists" }

[[rule]]
name = "Spam"
when = { subject = "spam*" }
then = { skip = "spam" }
"""
MAIL = (mail(1), mail("list 2"), mail(3), mail("list 4"), mail("both 5"), mail("spam 6"))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with ExitStack() as stack:
        bench = Bench(tmp_path, stack)
        bench.rules = RULES
        yield bench


def take(
    bench: Bench, *sources: Source, dry_run: bool = False, stop: Stop | None = None, **options: object
) -> AdoptReport:
    job = Job(
        sources,
        MemoryTarget(bench.server),
        toml.parse(f"version = 1\n{bench.rules}", "rules.toml"),
        replace(bench.options, **options),  # type: ignore[arg-type]
        dry_run,
    )
    return adopt(job, Silent(), stop or Stop(), now=lambda: NOW, sleep=bench.sleep)


def lose_journal(bench: Bench) -> None:
    shutil.rmtree(bench.options.state_dir)


def keep_journal(bench: Bench) -> Callable[[], None]:
    """Returns what brings the journal of now back."""
    kept = bench.path / "kept"
    shutil.copytree(bench.options.state_dir, kept)

    def back() -> None:
        shutil.rmtree(bench.options.state_dir)
        shutil.copytree(kept, bench.options.state_dir)

    return back


def counts(report: AdoptReport) -> dict[str, int]:
    return {account.value: count.messages for account, count in report.counts.items() if count.messages}


def everything(bench: Bench) -> Counter[bytes]:
    return Counter(one.octets for box in bench.server.mailboxes.values() for one in box.mail.values())


def states(bench: Bench) -> list[tuple[str, str, int | None]]:
    """(mailbox, state, UID) of every copy that the journal has."""
    path = directory(bench.options.state_dir, MemoryTarget.identity) / "journal.db"
    query = "SELECT b.name, p.state, p.uid FROM placements p JOIN mailboxes b ON b.id = p.mailbox ORDER BY 1, 2, 3"
    with sqlite3.connect(path) as connection:
        rows = connection.execute(query).fetchall()
    connection.close()
    return rows


# a journal that was lost


@pytest.mark.parametrize("appenduid", [True, False])
@pytest.mark.parametrize("via", ["mbox", "drop"])
def test_after_a_lost_journal_what_is_missing_is_moved_and_that_alone(
    bench: Bench, via: str, appenduid: bool
) -> None:
    bench.server.appenduid = appenduid
    source: Callable[..., Source] = getattr(bench, via)
    twins = (mail(7), mail("list 8"), mail("list 8"))
    bench.run(source(*MAIL, *twins))
    bench.server.move("INBOX", 2, "My own/Place")
    bench.server.move("Lists", 1, "Trash")
    before = everything(bench)
    lose_journal(bench)

    new = (mail(9), mail("list 10"), mail("both 11"))
    report = take(bench, source(*MAIL, *twins, *new))
    assert (report.exit_code, counts(report)) == (ExitCode.OK, {"present": 8, "skipped": 1, "pending": 3})
    assert report.found.messages == 8
    assert {(one.mailbox, one.copies, one.elsewhere) for one in report.folders} == {
        ("INBOX", 2, 0),
        ("Lists", 4, 0),
        ("Copies", 1, 0),
        ("My own/Place", 1, 1),
        ("Trash", 1, 1),
    }
    assert everything(bench) == before, "nothing is sent or deleted"
    assert {state for _, state, _ in states(bench)} == {"present"}

    moved = bench.run(source(*MAIL, *twins, *new))
    assert moved.moved.messages == 3
    assert everything(bench) == before + Counter({new[0]: 1, new[1]: 1, new[2]: 2})
    again = take(bench, source(*MAIL, *twins, *new))
    assert (again.found.messages, counts(again)) == (0, {"stored": 3, "present": 8, "skipped": 1})


def test_what_the_server_rewrote_is_known_again(bench: Bench) -> None:
    bench.server.rewrite = like_courier
    odd = (mail(1).replace(b"body", b"bo\rdy"), mail(2).replace(b"body", b"bo\ndy"), mail(3)[:-2])
    bench.run(bench.drop(*odd))
    lose_journal(bench)
    assert counts(take(bench, bench.drop(*odd))) == {"present": 3}
    assert bench.run(bench.drop(*odd)).moved.messages == 0


def test_twins_are_counted(bench: Bench) -> None:
    twin = mail(1)
    bench.run(bench.mbox(twin, twin))
    lose_journal(bench)
    report = take(bench, bench.mbox(twin, twin, twin))
    assert counts(report) == {"present": 2, "pending": 1}
    bench.run(bench.mbox(twin, twin, twin))
    assert everything(bench) == Counter({twin: 3})


def test_mail_that_another_program_has_moved_is_known_whatever_its_date_and_folder(bench: Bench) -> None:
    for octets, folder in ((MAIL[0], "Old"), (MAIL[1], "INBOX"), (MAIL[2], "Old")):
        bench.server.deliver(folder, octets, datetime(2011, 1, 1, tzinfo=UTC))
    report = take(bench, bench.mbox(*MAIL[:4]))
    assert counts(report) == {"present": 3, "pending": 1}
    bench.run(bench.mbox(*MAIL[:4]))
    assert everything(bench) == Counter(MAIL[:4])


def test_a_message_with_a_copy_missing_gets_that_copy_alone(bench: Bench) -> None:
    bench.run(bench.mbox(MAIL[4]))
    bench.server.expunge("Copies", 1)
    lose_journal(bench)
    assert counts(take(bench, bench.mbox(MAIL[4]))) == {"pending": 1}
    bench.run(bench.mbox(MAIL[4]))
    assert bench.server.octets_in("Lists") == bench.server.octets_in("Copies") == [MAIL[4]]


def test_both_copies_of_a_message_may_lie_in_one_folder(bench: Bench) -> None:
    bench.run(bench.mbox(MAIL[4]))
    bench.server.move("Lists", 1, "Mine")
    bench.server.move("Copies", 1, "Mine")
    lose_journal(bench)
    assert counts(take(bench, bench.mbox(MAIL[4]))) == {"present": 1}
    bench.run(bench.mbox(MAIL[4]))
    assert everything(bench) == Counter({MAIL[4]: 2})


def test_the_copy_of_one_folder_does_not_stand_for_that_of_another(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the twin whose copy it is would be sent again."""
    monkeypatch.setattr("pop2imap.adopt.PORTION", 1)
    twin = mail("both 1")
    bench.run(bench.mbox(twin, twin))
    bench.server.mailboxes["Copies"].mail.clear()
    lose_journal(bench)
    assert counts(take(bench, bench.mbox(twin, twin))) == {"pending": 2}
    bench.run(bench.mbox(twin, twin))
    assert bench.held("Lists") == bench.held("Copies") == Counter({twin: 2})


def test_the_same_octets_from_two_sources_are_one_message(bench: Bench) -> None:
    def sources() -> tuple[Source, ...]:
        return bench.drop(mail(1), mail(2)), bench.mbox(mail(2), mail(3), mail(2))

    bench.run(*sources())
    lose_journal(bench)
    report = take(bench, *sources())
    assert counts(report) == {"present": 5}
    assert report.found.messages == 5
    assert bench.run(*sources()).moved.messages == 0


def test_other_rules_than_before_find_it_all_the_same(bench: Bench) -> None:
    bench.run(bench.mbox(*MAIL))
    lose_journal(bench)
    bench.rules = (
        '[[rule]]\nname = "Old"\nwhen = { before = 2025-01-01 }\nthen = { folder = "Archive/{date:%Y}" }'
    )
    report = take(bench, bench.mbox(*MAIL[:5]))
    assert counts(report) == {"present": 5}
    assert sum(one.elsewhere for one in report.folders) == 5
    assert "Archive/2020" not in bench.server.mailboxes, "no folder is made"
    assert bench.run(bench.mbox(*MAIL[:5])).moved.messages == 0


# a journal that is older than the mailbox


@pytest.mark.parametrize("appenduid", [True, False])
def test_an_older_journal_is_brought_up_to_date(bench: Bench, appenduid: bool) -> None:
    bench.server.appenduid = appenduid
    twin = mail(1)
    bench.run(bench.mbox(*MAIL, twin))
    back = keep_journal(bench)
    bench.run(bench.mbox(*MAIL, twin, twin, mail(8), mail("both 9")))
    bench.server.move("INBOX", 1, "Elsewhere")  # of the old journal
    bench.server.move("INBOX", 5, "Elsewhere")  # of what it does not know
    before = everything(bench)
    back()
    report = take(bench, bench.mbox(*MAIL, twin, twin, mail(8), mail("both 9"), mail(10)))
    assert counts(report) == {"stored": 6, "present": 3, "skipped": 1, "pending": 1}
    moved = bench.run(bench.mbox(*MAIL, twin, twin, mail(8), mail("both 9"), mail(10)))
    assert moved.moved.messages == 1
    assert everything(bench) == before + Counter([mail(10)])


@pytest.mark.parametrize("appenduid", [True, False])
def test_an_unsent_twin_is_not_given_the_copy_of_one_that_its_owner_moved(
    bench: Bench, appenduid: bool
) -> None:
    bench.server.appenduid = appenduid
    twin = mail(1)
    bench.run(bench.mbox(twin))
    bench.server.move("INBOX", 1, "Mine")
    assert counts(take(bench, bench.mbox(twin, twin))) == {"stored": 1, "pending": 1}
    assert counts(take(bench, bench.mbox(twin, twin, twin))) == {"stored": 1, "pending": 2}
    bench.run(bench.mbox(twin, twin, twin))
    assert everything(bench) == Counter({twin: 3})


def test_a_copy_whose_uid_nobody_told_takes_its_own_before_a_twin_does(bench: Bench) -> None:
    bench.server.appenduid = False
    twin = mail(1)
    bench.run(bench.mbox(twin))
    assert counts(take(bench, bench.mbox(twin, twin))) == {"stored": 1, "pending": 1}
    assert states(bench) == [("INBOX", "stored", 1)], "and is known by it from now on"


def test_a_new_uidvalidity_gives_every_copy_its_new_uid(bench: Bench) -> None:
    bench.run(bench.mbox(*MAIL))
    bench.server.expunge("INBOX", 1)
    bench.server.renumber("INBOX")
    bench.server.renumber("Lists")
    report = take(bench, bench.mbox(*MAIL))
    assert (report.renumbered, report.found.messages) == (4, 0)
    assert counts(report) == {"stored": 5, "skipped": 1}
    assert any("renumbered by the server" in remark for remark in report.remarks)
    assert states(bench) == [
        ("Copies", "stored", 1),
        ("INBOX", "stored", None),  # which its owner has deleted
        ("INBOX", "stored", 1),
        *(("Lists", "stored", uid) for uid in (1, 2, 3)),
    ]
    assert bench.run(bench.mbox(*MAIL)).moved.messages == 0


def test_a_folder_that_was_renamed_is_looked_into(bench: Bench) -> None:
    bench.run(bench.mbox(*MAIL))
    lose_journal(bench)
    bench.server.rename("Lists", "Post")
    assert counts(take(bench, bench.mbox(*MAIL))) == {"present": 5, "skipped": 1}
    assert bench.run(bench.mbox(*MAIL)).moved.messages == 0


# what is in doubt, and what is held


def hold(bench: Bench, octets: bytes) -> None:
    """Send a message that is lost with its answer, while somebody deletes another one in its folder."""
    bench.server.deliver("INBOX", mail("somebody else's"))

    def lose(upload: Upload) -> Fate:
        bench.server.expunge("INBOX", bench.server.deliver("INBOX", mail("more")))
        bench.server.fate = lambda upload: Fate.STORED
        return Fate.LOST

    bench.server.fate = lose
    assert bench.run(bench.mbox(octets)).counts[Account.HELD].messages == 1


def test_a_held_message_that_is_found_is_present_and_undo_leaves_it(bench: Bench) -> None:
    """It never arrived: this is somebody else's."""
    hold(bench, mail(1))
    report = take(bench)
    assert (report.exit_code, report.held_found, report.held_left) == (ExitCode.INCOMPLETE, 0, 1)
    bench.server.deliver("Somewhere", mail(1))
    report = take(bench, bench.mbox(mail(1)))
    assert (report.exit_code, report.held_found, report.held_left) == (ExitCode.OK, 1, 0)
    assert counts(report) == {"present": 1}
    assert states(bench) == [("Somewhere", "present", 1)]
    assert bench.run(bench.mbox(mail(1))).moved.messages == 0
    assert undone(bench).copies == 0
    assert bench.held("Somewhere") == Counter([mail(1)])


def test_a_held_message_that_is_not_found_stays_held_and_is_named(bench: Bench) -> None:
    hold(bench, mail(1))
    report = take(bench, bench.mbox(mail(1)))
    assert (report.exit_code, counts(report)) == (ExitCode.INCOMPLETE, {"held": 1})
    assert "1 were not found and stay held" in report.text()
    assert "held: 2020-05-04" in report.text()


def test_what_stays_held_is_named_with_its_subject_where_no_source_is(bench: Bench) -> None:
    hold(bench, mail(1))
    report = take(bench)
    (problem,) = report.problems
    assert (problem.account, problem.subject) == (Account.HELD, "1")
    assert "adopt" not in problem.todo
    assert "next: look at the messages named above" in report.text()


def test_what_is_in_doubt_is_recovered_first(bench: Bench) -> None:
    bench.server.fate = lambda upload: Fate.LOST_ANSWER
    stop = Stop()
    bench.mend = stop.set
    bench.run(bench.mbox(mail(1)), stop=stop)
    bench.mend, bench.server.fate = (lambda: None), (lambda upload: Fate.STORED)
    report = take(bench, bench.mbox(mail(1)))
    assert counts(report) == {"stored": 1}
    assert any("had arrived" in remark for remark in report.remarks)


# interruptions


def test_killed_in_the_middle_and_repeated(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pop2imap.adopt.PORTION", 2)
    many = [mail(number) for number in range(9)]
    bench.run(bench.mbox(*many[:8]))
    lose_journal(bench)
    for steps in range(1, 40):
        left = [None] * steps

        def die(step: str, left: list[None] = left) -> None:
            if not left:
                raise KeyboardInterrupt
            left.pop()

        bench.server.before = die
        try:
            take(bench, bench.mbox(*many))
            break
        except KeyboardInterrupt:
            continue
    bench.server.before = lambda step: None
    assert counts(take(bench, bench.mbox(*many))) == {"present": 8, "pending": 1}
    bench.run(bench.mbox(*many))
    assert everything(bench) == Counter(many)


def test_a_stop_ends_it_and_the_next_run_goes_on(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pop2imap.adopt.PORTION", 2)
    many = [mail(number) for number in range(8)]
    bench.run(bench.drop(*many))
    lose_journal(bench)
    stop = Stop()
    bench.server.before = lambda step: stop.set() if step == "digests" else None
    report = take(bench, bench.drop(*many), stop=stop)
    bench.server.before = lambda step: None
    assert report.exit_code is ExitCode.INTERRUPTED
    assert report.found.messages < 8
    assert counts(take(bench, bench.drop(*many))) == {"present": 8}


def test_a_maildrop_that_loses_its_patience_is_opened_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pop2imap.adopt.PORTION", 1)
    many = [mail(number) for number in range(4)]
    bench.run(bench.drop(*many))
    lose_journal(bench)
    bench.maildrop.cut = {"RETR 3": 20}
    bench.mend = bench.maildrop.cut.clear
    report = take(bench, bench.drop(*many, mail(9)))
    assert (report.exit_code, counts(report)) == (ExitCode.OK, {"present": 4, "pending": 1})
    assert bench.pop3 is not None
    last = bench.pop3.sessions[-1]
    assert len(last.retrieved) < 5, "what was found is not read again"


def test_a_target_that_is_lost_is_opened_again(bench: Bench) -> None:
    bench.run(bench.mbox(*MAIL))
    lose_journal(bench)
    faults = iter([False, True])

    def flaky(step: str) -> None:
        if step == "digests" and next(faults, False):
            raise ConnectionLost("gone")

    bench.server.before = flaky
    assert counts(take(bench, bench.mbox(*MAIL))) == {"present": 5, "skipped": 1}


def test_a_target_that_cannot_be_reached_for_some_seconds_is_waited_for(bench: Bench) -> None:
    bench.run(bench.mbox(*MAIL))
    lose_journal(bench)
    troubles = iter([ConnectionLost("gone"), HostUnavailable("starting"), ConnectionLost("not yet")])
    begun: list[str] = []

    def restart(step: str) -> None:
        begun.append(step)
        if "digests" in begun and (trouble := next(troubles, None)):
            raise trouble

    bench.server.before = restart
    assert counts(take(bench, bench.mbox(*MAIL))) == {"present": 5, "skipped": 1}


def test_a_folder_that_cannot_be_looked_into_is_said(bench: Bench) -> None:
    bench.run(bench.mbox(*MAIL))
    lose_journal(bench)
    names: list[str] = []

    def fail(step: str) -> None:
        if step == "survey" and bench.server.log[-1][1] == "Lists":
            names.append(step)
            raise FolderError("cannot be opened", where="Lists")

    bench.server.before = fail
    report = take(bench, bench.mbox(*MAIL))
    assert report.exit_code is ExitCode.INCOMPLETE
    assert any("cannot be looked into" in remark for remark in report.remarks)
    assert counts(report) == {"present": 2, "skipped": 1, "pending": 3}


# QUIT, dry runs, the report


@pytest.mark.parametrize(("extra", "quits"), [((), True), ((mail(99),), False)])
def test_quit_is_said_only_when_all_that_was_read_is_known(
    bench: Bench, extra: tuple[bytes, ...], quits: bool
) -> None:
    bench.run(bench.drop(*MAIL))
    lose_journal(bench)
    take(bench, bench.drop(*MAIL, *extra))
    assert bench.pop3 is not None
    bench.pop3.wait()
    assert bench.pop3.sessions[-1].quit is quits


def test_a_dry_run_says_the_same_and_changes_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.run(bench.mbox(*MAIL[:3]))
    back = keep_journal(bench)
    bench.run(bench.mbox(*MAIL))
    back()
    before, log = files(bench.options.state_dir), len(bench.server.log)
    (bench.path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(bench.path / "temporary"))
    there: list[Path] = []
    bench.server.before = lambda step: there.extend((bench.path / "temporary").rglob("journal*"))
    dry = take(bench, bench.mbox(*MAIL), dry_run=True)
    bench.server.before = lambda step: None
    assert there == [], "whatever ends it leaves no copy of the journal behind"
    assert files(bench.options.state_dir) == before
    assert "append" not in {step for step, _ in bench.server.log[log:]}
    assert "nothing was changed" in dry.text()
    real = take(bench, bench.mbox(*MAIL))
    assert (counts(dry), dry.adopted, dry.folders) == (counts(real), real.adopted, real.folders)
    assert real.found.messages == 2


def test_a_dry_run_needs_no_journal_and_makes_none(bench: Bench) -> None:
    bench.server.deliver("Old", mail(1))
    report = take(bench, bench.drop(mail(1), mail(2)), dry_run=True)
    assert counts(report) == {"present": 1, "pending": 1}
    assert read_history(bench.options.state_dir, MemoryTarget.identity) is None
    assert bench.pop3 is not None
    assert not bench.pop3.wait()[-1].quit


def test_bodies_are_read_only_of_sizes_in_reach(bench: Bench) -> None:
    for number in range(20):
        bench.server.deliver("Old", mail(f"quite another one {number}", "X-More: " + "x" * 500 + "\r\n"))
    bench.server.deliver("Old", mail(1))
    take(bench, bench.mbox(mail(1)))
    assert bench.server.bodies == 1


def test_with_full_other_sizes_are_looked_at_too(bench: Bench) -> None:
    bench.server.rewrite = like_dovecot
    odd = mail(1).replace(b"body", b"b\no\rd\ny")
    bench.server.deliver("Old", like_dovecot(odd)[:-2])
    assert counts(take(bench, bench.drop(odd))) == {"present": 1}
    bench.server.deliver("Old", mail(2).replace(b"\r\n", b"\r\n\r").replace(b"\r\n\r\r\n\r", b"\r\n\r\n"))
    assert counts(take(bench, bench.drop(odd, mail(2)))) == {"present": 1, "pending": 1}
    assert counts(take(bench, bench.drop(odd, mail(2)), full=True)) == {"present": 2}


def test_the_report_in_all_its_forms(bench: Bench, tmp_path: Path) -> None:
    bench.run(bench.mbox(*MAIL))
    bench.server.move("INBOX", 1, "Trash")
    lose_journal(bench)
    report = take(bench, bench.mbox(*MAIL, mail(9)))
    for suffix in ("json", "csv", "txt"):
        report.write(tmp_path / f"report.{suffix}")
    document = json.loads((tmp_path / "report.json").read_text())
    assert document == json.loads(json.dumps(report.as_dict()))
    assert document["counts"] == {
        "source": 7, "stored": 0, "present": 5, "skipped": 1, "refused": 0, "held": 0, "unreadable": 0, "gone": 0,
        "pending": 1,
    }  # fmt: skip
    assert (document["adopted"], document["result"]) == (5, "ok")
    assert {"mailbox": "Trash", "copies": 1, "elsewhere": 1} in document["folders"]
    assert "folder,Trash,1" in (tmp_path / "report.csv").read_text().splitlines()
    text = (tmp_path / "report.txt").read_text()
    assert "found now: 5 messages" in text
    assert text.endswith("next: pop2imap migrate, with the same options; it moves 1 message\n")


def test_nothing_is_adopted_while_an_undo_is_half_done(bench: Bench) -> None:
    """What it was about to remove would be taken for the copy of a twin."""
    bench.run(bench.mbox(mail(1)))
    bench.server.before = cut_at_expunge
    undone(bench)
    bench.server.before = lambda step: None
    for dry_run in (True, False):
        report = take(bench, bench.mbox(mail(1), mail(1)), dry_run=dry_run)
        assert (report.exit_code, report.found.messages) == (ExitCode.NOT_FINISHED, 0)
        assert "undo" in str(report.error)


# messages with several copies


FOUR = """
[[rule]]
name = "A"
when = { subject = "*" }
then = { folder = "A", continue = true }

[[rule]]
name = "B"
when = { subject = "*" }
then = { folder = "B", continue = true }

[[rule]]
name = "C"
when = { subject = "*" }
then = { folder = "C", continue = true }

[[rule]]
name = "D"
when = { subject = "*" }
then = { folder = "D" }
"""


@pytest.fixture
def spread(bench: Bench) -> Bench:
    """One message of four copies: two of them lie in one folder, two are gone. The journal knows only that."""
    bench.rules = FOUR
    bench.run(bench.mbox(mail(1)))
    for folder in "AB":
        bench.server.move(folder, 1, "Mine")
    for folder in "CD":
        bench.server.expunge(folder, 1)
    lose_journal(bench)
    assert counts(take(bench, bench.mbox(mail(1)))) == {"pending": 1}
    return bench


def test_what_adopt_finds_later_leaves_the_copy_that_is_still_missing_missing(spread: Bench) -> None:
    spread.server.deliver("C", mail(1))
    assert counts(take(spread, spread.mbox(mail(1)))) == {"pending": 1}
    assert spread.run(spread.mbox(mail(1))).moved.messages == 1
    assert spread.held("D") == Counter([mail(1)])


def test_a_copy_that_is_refused_for_now_stays_due_beside_two_in_one_folder(spread: Bench) -> None:
    fates = iter([Fate.STORED])
    spread.server.fate = lambda upload: next(fates, Fate.REFUSED_NOW)
    spread.run(spread.mbox(mail(1)))
    spread.server.fate = lambda upload: Fate.STORED
    spread.run(spread.mbox(mail(1)))
    assert spread.held("C") == spread.held("D") == Counter([mail(1)])


def test_a_copy_beside_one_that_is_known_does_not_stand_for_that_of_another_folder(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is that of a twin, which would be sent again."""
    monkeypatch.setattr("pop2imap.adopt.PORTION", 1)
    twin = mail("both 1")
    bench.run(bench.mbox(twin))
    bench.server.mailboxes["Lists"].mail.clear()
    lose_journal(bench)
    assert counts(take(bench, bench.mbox(twin))) == {"pending": 1}
    bench.server.deliver("Copies", twin)
    assert counts(take(bench, bench.mbox(twin, twin))) == {"pending": 2}
    bench.run(bench.mbox(twin, twin))
    assert bench.held("Lists") == bench.held("Copies") == Counter({twin: 2})


# a folder that could not be looked into, and then could


def test_what_the_journal_has_is_given_to_nobody_whenever_its_folder_is_looked_into(bench: Bench) -> None:
    bench.run(bench.mbox(MAIL[1]))
    faults = iter([FolderError("not now", where="Lists")])

    def fail(step: str) -> None:
        if bench.server.log[-1] == ("survey", "Lists") and (error := next(faults, None)):
            raise error

    bench.server.before = fail
    report = take(bench, bench.mbox(MAIL[1], MAIL[1]))
    assert (report.exit_code, counts(report)) == (ExitCode.INCOMPLETE, {"stored": 1, "pending": 1})
