"""Undo, whole: a real journal of real runs, and a target in memory to which things happen meanwhile."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from pop2imap.errors import ConnectionLost, ExitCode, FolderError, JournalLocked, UsageError
from pop2imap.journal.history import read_history
from pop2imap.journal.store import open_journal
from pop2imap.pipeline import Stop
from pop2imap.progress import Silent
from pop2imap.report.undone import Undone, UndoReport
from pop2imap.undo import foresee, undo
from tests.fakes.memory_target import Fate, MemoryTarget, like_courier
from tests.unit.test_journal_history import files
from tests.unit.test_migrate import NOW, RULES, Bench, counts, mail
from tests.unit.test_verify import compare, found

MAIL = tuple(mail(number) for number in range(1, 6))
OTHERS = mail("from somebody else")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with ExitStack() as stack:
        yield Bench(tmp_path, stack)


def undone(
    bench: Bench,
    run: int | None = None,
    *,
    plain: bool = False,
    also_deleted: bool = False,
    stop: Stop | None = None,
) -> UndoReport:
    return undo(
        MemoryTarget(bench.server),
        state_dir=bench.options.state_dir,
        run=run,
        plain=plain,
        also_deleted=also_deleted,
        progress=Silent(),
        stop=stop or Stop(),
        now=lambda: NOW,
        sleep=bench.sleep,
    )


def foreseen(bench: Bench, run: int | None = None, *, also_deleted: bool = False) -> UndoReport:
    return foresee(
        MemoryTarget(bench.server),
        state_dir=bench.options.state_dir,
        run=run,
        also_deleted=also_deleted,
        progress=Silent(),
        stop=Stop(),
        now=lambda: NOW,
    )


def cut_at_expunge(step: str) -> None:
    if step == "expunge":
        raise ConnectionLost("cut", where="the server")


def outcome(report: UndoReport) -> dict[str, int]:
    return {word.value: number for word, number in report.counts.items() if number}


# what goes


def test_what_was_stored_goes_what_was_there_stays_and_a_new_run_moves_it_again(bench: Bench) -> None:
    kept = [bench.server.deliver("INBOX", octets) for octets in (OTHERS, MAIL[0])]
    assert counts(bench.run(bench.mbox(*MAIL))) == {"stored": 4, "present": 1}
    bench.server.deliver("INBOX", MAIL[1])
    report = undone(bench)
    assert (report.exit_code, outcome(report)) == (ExitCode.OK, {"removed": 4})
    assert bench.held() == Counter([OTHERS, MAIL[0], MAIL[1]])
    assert set(kept) <= set(bench.server.mailboxes["INBOX"].mail)
    assert report.text().endswith("\n4 removed\n")
    assert outcome(undone(bench)) == {}
    again = bench.run(bench.mbox(*MAIL))
    assert counts(again) == {"stored": 3, "present": 2}, "one has come from somebody else meanwhile"
    assert bench.held() == Counter([OTHERS, *MAIL])


def test_one_run_is_undone_alone(bench: Bench) -> None:
    bench.run(bench.mbox(*MAIL[:2]))
    bench.run(bench.mbox(*MAIL))
    assert outcome(foreseen(bench, 2)) == outcome(undone(bench, 2)) == {"removed": 3}
    assert bench.held() == Counter(MAIL[:2])
    assert counts(bench.run(bench.mbox(*MAIL))) == {"stored": 5}
    assert bench.held() == Counter(MAIL)
    with pytest.raises(UsageError, match="no run 9"):
        undone(bench, 9)
    with pytest.raises(UsageError, match="no run 9"):
        foreseen(bench, 9)


def test_a_message_in_two_folders_is_undone_in_both(bench: Bench) -> None:
    bench.rules = RULES
    both = mail("both 1")
    bench.run(bench.mbox(both, MAIL[0]))
    report = undone(bench)
    assert {folder: dict(counts) for folder, counts in report.folders.items()} == {
        "Copies": {Undone.REMOVED: 1},
        "Rest": {Undone.REMOVED: 2},
    }
    assert not any(box.mail for box in bench.server.mailboxes.values())
    assert counts(bench.run(bench.mbox(both, MAIL[0]))) == {"stored": 2}


def test_what_counted_as_present_because_of_an_undone_copy_is_moved_by_the_next_run(bench: Bench) -> None:
    """Also where the source that had brought it is not asked again."""
    bench.run(bench.drop(MAIL[0]), bench.mbox(MAIL[0], MAIL[1]))
    assert bench.held() == Counter(MAIL[:2])
    assert outcome(undone(bench)) == {"removed": 2}
    assert counts(bench.run(bench.mbox(MAIL[0], MAIL[1]))) == {"stored": 2}
    assert counts(bench.run(bench.drop(MAIL[0]))) == {"present": 1}
    assert bench.held() == Counter(MAIL[:2])


def test_what_the_server_has_rewritten_is_ours_all_the_same(bench: Bench) -> None:
    bench.server.rewrite = like_courier
    bench.run(bench.drop(b"Subject: lf\n\nbare\n"))
    assert outcome(undone(bench)) == {"removed": 1}


def test_what_was_in_doubt_is_found_out_first_and_goes_too(bench: Bench) -> None:
    fates = iter([Fate.STORED, Fate.LOST_ANSWER, Fate.LOST])
    bench.server.fate = lambda upload: next(fates)
    bench.server.before = lambda step: None
    stop = Stop()
    bench.mend = stop.set
    bench.run(bench.mbox(*MAIL[:3]), stop=stop)
    assert len(bench.server.octets_in("INBOX")) == 2
    bench.mend = lambda: None
    report = foreseen(bench)
    assert (outcome(report), len(report.remarks)) == ({"removed": 1}, 1)
    assert outcome(undone(bench)) == {"removed": 2}
    bench.server.fate = lambda upload: Fate.STORED
    assert counts(bench.run(bench.mbox(*MAIL[:3]))) == {"stored": 3}
    assert bench.held() == Counter(MAIL[:3])


# what stays


def test_what_was_moved_or_changed_since_stays_and_is_listed(bench: Bench) -> None:
    bench.run(bench.mbox(*MAIL))
    box = bench.server.mailboxes["INBOX"]
    bench.server.move("INBOX", 1, "Elsewhere")
    bench.server.expunge("INBOX", 2)
    box.mail[3], box.mail[4] = box.mail[4], box.mail[3]  # as if this were another folder of the same number
    assert outcome(foreseen(bench)) == {"removed": 3, "gone": 2}
    report = undone(bench)
    assert (report.exit_code, outcome(report)) == (
        ExitCode.INCOMPLETE,
        {"removed": 1, "gone": 2, "different": 2},
    )
    assert [(one.outcome.value, one.uid) for one in report.stayed] == [
        *(("gone", 1), ("gone", 2)),
        *(("different", 3), ("different", 4)),
    ]
    assert bench.held("Elsewhere") == Counter([MAIL[0]])
    assert bench.held() == Counter([MAIL[2], MAIL[3]])
    assert counts(bench.run(bench.mbox(*MAIL))) == {"stored": 5}, (
        "what its owner moved or deleted is not sent again"
    )
    assert bench.held() == Counter([MAIL[2], MAIL[3], MAIL[4]])
    lines = report.text().splitlines()
    assert lines[-1] == "1 removed; 2 moved or deleted since by somebody else; 2 different now, and left"
    assert any("UID 3" in line and "another message" in line for line in lines)
    assert json.loads(json.dumps(report.as_dict()))["counts"] == {
        "copies": 5,
        "removed": 1,
        "gone": 2,
        "different": 2,
        "nameless": 0,
        "last": 0,
        "left": 0,
    }


def test_copies_without_a_uid_stay(bench: Bench) -> None:
    bench.server.appenduid = False
    bench.run(bench.mbox(*MAIL))
    report = undone(bench, plain=True)
    assert (report.exit_code, outcome(report)) == (ExitCode.INCOMPLETE, {"nameless": 5})
    assert bench.held() == Counter(MAIL)


def test_a_folder_that_was_renamed_or_renumbered_keeps_all(bench: Bench) -> None:
    bench.rules = RULES
    bench.run(bench.mbox(mail("both 1"), MAIL[0]))
    bench.server.rename("Copies", "Mine")
    bench.server.renumber("Rest")
    assert outcome(foreseen(bench)) == {"gone": 1, "left": 2}
    report = undone(bench)
    assert outcome(report) == {"gone": 1, "left": 2}
    assert any("renumbered" in one.reason for one in report.stayed)
    assert bench.held("Mine") == Counter([mail("both 1")])
    assert bench.held("Rest") == Counter([mail("both 1"), MAIL[0]])


def test_what_the_server_keeps_is_left_unmarked_and_the_rest_goes(bench: Bench) -> None:
    bench.run(bench.mbox(*MAIL))
    bench.server.kept_back = {2}
    report = undone(bench)
    assert (report.exit_code, outcome(report)) == (ExitCode.INCOMPLETE, {"removed": 4, "left": 1})
    assert bench.server.mailboxes["INBOX"].mail[2].flags == frozenset()
    bench.server.kept_back = set()
    assert counts(bench.run(bench.mbox(*MAIL))) == {"stored": 5}
    assert outcome(undone(bench)) == {"removed": 5}


def test_a_server_without_uidplus_is_told_to_expunge_only_what_is_ours(bench: Bench) -> None:
    bench.run(bench.mbox(*MAIL[:2]))
    bench.server.appenduid = False
    assert outcome(undone(bench)) == {"left": 2}, "not unless it is asked for"
    marked = bench.server.deliver("INBOX", OTHERS, None, "\\Deleted")
    assert outcome(undone(bench, plain=True)) == {"left": 2}, "somebody else's would go, too"
    assert len(bench.server.octets_in("INBOX")) == 3
    bench.server.expunge("INBOX", marked)
    assert outcome(undone(bench, plain=True)) == {"removed": 2}


def test_a_folder_that_cannot_be_looked_into_is_left_and_the_others_are_done(bench: Bench) -> None:
    bench.rules = RULES
    bench.run(bench.mbox(mail("both 1"), MAIL[0]))

    def closed(step: str) -> None:
        if step == "digests" and bench.server.log[-1] == ("digests", "Copies"):
            raise FolderError("no", where="Copies")

    bench.server.before = closed
    report = undone(bench)
    assert (report.exit_code, outcome(report)) == (ExitCode.INCOMPLETE, {"removed": 2, "left": 1})
    bench.server.before = lambda step: None
    assert outcome(undone(bench)) == {"removed": 1}


# folders


def test_folders_that_were_made_go_with_their_mail_and_others_stay(bench: Bench) -> None:
    bench.rules = RULES
    bench.server.make("Rest")
    bench.run(bench.mbox(mail("both 1"), MAIL[0]))
    assert foreseen(bench).removed_folders == ("Copies",)
    report = undone(bench)
    assert (report.removed_folders, report.kept_folders) == (("Copies",), {})
    assert set(bench.server.mailboxes) == {"INBOX", "Rest"}
    assert "Copies" not in bench.server.subscribed
    again = bench.run(bench.mbox(mail("both 1"), MAIL[0]))
    assert (counts(again), again.remarks) == ({"stored": 2}, ())
    assert compare(bench).exit_code is ExitCode.OK


def test_a_folder_with_other_mail_or_folders_in_it_stays(bench: Bench) -> None:
    bench.rules = RULES
    bench.run(bench.mbox(mail("both 1")))
    bench.server.deliver("Copies", OTHERS)
    bench.server.make("Rest/Below")
    report = undone(bench)
    assert (report.exit_code, report.removed_folders) == (ExitCode.OK, ())
    assert set(report.kept_folders) == {"Copies", "Rest"}
    assert bench.held("Copies") == Counter([OTHERS])


def test_a_folder_that_somebody_made_anew_is_not_ours(bench: Bench) -> None:
    bench.rules = RULES
    bench.run(bench.mbox(mail("both 1")))
    del bench.server.mailboxes["Copies"]
    bench.server.make("Copies")
    assert "Copies" in undone(bench).kept_folders
    assert "Copies" in bench.server.mailboxes


def test_only_the_run_that_made_a_folder_takes_it_away(bench: Bench) -> None:
    bench.rules = RULES
    bench.run(bench.mbox(mail("both 1")))
    bench.run(bench.mbox(mail("both 1"), mail("both 2")))
    assert undone(bench, 2).removed_folders == ()
    report = undone(bench, 1)
    assert set(report.removed_folders) == {"Copies", "Rest"}


# how it ends


def test_a_dry_run_changes_nothing(bench: Bench) -> None:
    bench.run(bench.mbox(*MAIL))
    before, mailboxes = files(bench.path), str(bench.server.mailboxes)
    bench.server.log.clear()
    report = foreseen(bench)
    assert (report.exit_code, outcome(report)) == (ExitCode.OK, {"removed": 5})
    assert report.text().endswith("\n5 to be removed\n")
    assert (files(bench.path), str(bench.server.mailboxes)) == (before, mailboxes)
    assert {step for step, _ in bench.server.log} <= {"open", "locate", "survey"}


def test_without_a_journal_there_is_nothing_to_undo(bench: Bench) -> None:
    with pytest.raises(UsageError, match="no journal"):
        foreseen(bench)


def test_while_a_run_is_at_work_nothing_is_undone(bench: Bench) -> None:
    bench.run(bench.mbox(*MAIL))
    with (
        closing(open_journal(bench.options.state_dir, MemoryTarget.identity)),
        pytest.raises(JournalLocked) as caught,
    ):
        undone(bench)
    assert caught.value.exit_code is ExitCode.NOT_FINISHED


def test_stopped_or_cut_off_it_goes_on_and_no_run_comes_between(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pop2imap.undo.AT_ONCE", 2)
    bench.run(bench.mbox(*MAIL))
    expunges = iter([None, ConnectionLost("cut", where="the server")])

    def cut(step: str) -> None:
        if step == "expunge" and (error := next(expunges, None)) is not None:
            raise error

    bench.server.before = cut
    report = undone(bench)
    assert (report.exit_code, outcome(report)) == (ExitCode.NOT_FINISHED, {"removed": 2})
    bench.server.before = lambda step: None
    refused = bench.run(bench.mbox(*MAIL))
    assert refused.exit_code is ExitCode.NOT_FINISHED
    assert "undo" in str(refused.error)
    assert len(bench.server.octets_in("INBOX")) == 3
    history = read_history(bench.options.state_dir, MemoryTarget.identity)
    assert history is not None
    assert history.status().undoing == 2
    history.close()
    assert found(compare(bench)) == {"identical": 1}
    stop = Stop()
    bench.server.before = lambda step: stop.set() if step == "expunged" else None
    report = undone(bench, stop=stop)
    assert (report.exit_code, outcome(report)) == (ExitCode.INTERRUPTED, {"removed": 2})
    bench.server.before = lambda step: None
    assert outcome(undone(bench)) == {"removed": 1}
    assert counts(bench.run(bench.mbox(*MAIL))) == {"stored": 5}


@pytest.mark.parametrize(
    "change", [lambda b: b.server.renumber("INBOX"), lambda b: b.server.rename("INBOX", "Old")]
)
def test_an_undo_that_can_no_longer_go_on_does_not_stand_in_the_way_for_good(
    bench: Bench, change: Callable[[Bench], None]
) -> None:
    bench.run(bench.mbox(*MAIL))
    bench.server.before = cut_at_expunge
    assert undone(bench).exit_code is ExitCode.NOT_FINISHED
    bench.server.before = lambda step: None
    change(bench)
    assert undone(bench).exit_code is ExitCode.INCOMPLETE
    assert counts(bench.run(bench.mbox(*MAIL))) == {"stored": 5}
