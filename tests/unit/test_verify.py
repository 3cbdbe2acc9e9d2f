"""A comparison, whole: a real journal of real runs, sources, and a target in memory to which things happen."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from pop2imap.errors import ConnectionLost, ExitCode, FolderError, JournalCorrupt, UsageError
from pop2imap.journal import copies
from pop2imap.journal.history import read_history
from pop2imap.journal.store import open_journal
from pop2imap.model import Upload
from pop2imap.pipeline import Stop
from pop2imap.progress import Silent
from pop2imap.report import Count
from pop2imap.report.verified import Finding, VerifyReport
from pop2imap.sources import Source
from pop2imap.sources.mbox import MboxSource
from pop2imap.verify import verify
from tests.contract.journal import placement, record
from tests.fakes.memory_target import (
    Fate,
    MemoryServer,
    MemoryTarget,
    like_courier,
    like_cyrus,
    like_dovecot,
)
from tests.unit.test_journal_history import files
from tests.unit.test_migrate import NOW, Bench, mail

MAIL = tuple(mail(number) for number in range(1, 6))

KEEP = '[[rule]]\nname = "Kept"\nwhen = { subject = "keep*" }\nthen = { folder = "Kept" }'
INTO_WORK = 'default-folder = "Work/2020"'


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with ExitStack() as stack:
        yield Bench(tmp_path, stack)


def compare(bench: Bench, *sources: Source, full: bool = False, stop: Stop | None = None) -> VerifyReport:
    return verify(
        MemoryTarget(bench.server),
        sources,
        state_dir=bench.options.state_dir,
        full=full,
        progress=Silent(),
        stop=stop or Stop(),
        now=lambda: NOW,
        sleep=bench.waits.append,
    )


def found(report: VerifyReport) -> dict[str, int]:
    return {finding.value: number for finding, number in report.counts.items() if number}


class Watched(Silent):
    """A progress that does something when a phase begins or goes on."""

    def __init__(self, act: Callable[[], None]) -> None:
        self._act = act

    def advance(self, octets: int, messages: int) -> None:
        self._act()


# what is where it was put


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("appenduid", [True, False])
def test_what_was_stored_and_is_there_is_identical(bench: Bench, full: bool, appenduid: bool) -> None:
    bench.server.appenduid = appenduid
    bench.server.deliver("INBOX", MAIL[4])
    bench.server.deliver("INBOX", mail("from somebody else"))
    bench.run(bench.mbox(*MAIL, MAIL[0]))
    report = compare(bench, full=full)
    assert (report.exit_code, found(report)) == (ExitCode.OK, {"identical": 6})
    assert report.text().endswith("everything that was stored is there: yes\n")
    (folder,) = report.folders
    assert (folder.folder, folder.messages, folder.counts) == ("INBOX", 7, {Finding.IDENTICAL: 6})


def test_nothing_is_written_anywhere(bench: Bench) -> None:
    bench.run(bench.mbox(*MAIL))
    before, mailboxes = files(bench.path), str(bench.server.mailboxes)
    bench.server.log.clear()
    compare(bench, bench.mbox(*MAIL), full=True)
    after = files(bench.path)
    del before[bench.path / "inbox.mbox"], after[bench.path / "inbox.mbox"]  # which the bench writes
    assert (after, str(bench.server.mailboxes)) == (before, mailboxes)
    assert {step for step, _ in bench.server.log} <= {"open", "locate", "survey", "digests"}


def test_of_many_a_sample_is_read_and_the_rest_is_there(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pop2imap.verify.target.SAMPLE", 4)
    bench.run(bench.mbox(*(mail(number) for number in range(10))))
    bench.server.bodies = 0
    assert found(compare(bench)) == {"identical": 3, "there": 7}
    assert bench.server.bodies == 3
    assert found(compare(bench)) == {"identical": 3, "there": 7}, "the same each time"
    assert found(compare(bench, full=True)) == {"identical": 10}


def test_what_has_another_size_is_read_in_any_case(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pop2imap.verify.target.SAMPLE", 1)
    bench.server.rewrite = lambda octets: octets.replace(b"of 2", b"of 222") if b"of 2" in octets else octets
    bench.run(bench.drop(*MAIL))
    report = compare(bench)
    assert found(report) == {"identical": 1, "there": 3, "different": 1}
    assert report.exit_code is ExitCode.DIFFERENT


def test_an_empty_journal_is_no_fault(bench: Bench) -> None:
    bench.run(bench.mbox(mail(1)), since=date(2025, 1, 1))
    report = compare(bench)
    assert (report.exit_code, found(report)) == (ExitCode.OK, {})
    assert "yes, for nothing was stored so far" in report.text()


def test_a_message_that_two_sources_brought_is_looked_at_once(bench: Bench) -> None:
    bench.run(bench.drop(mail(1)), bench.mbox(mail(1), mail(2)))
    report = compare(bench)
    assert (found(report), report.lent) == ({"identical": 2}, 1)


# servers that rewrite


@pytest.mark.parametrize("appenduid", [True, False])
@pytest.mark.parametrize(
    ("rewrite", "old", "new", "blind", "seeing"),
    [
        (like_dovecot, b"body", b"bo\ndy", "line ends", "line ends"),
        (like_dovecot, b"body", b"bo\0dy", "NUL or 8-bit header", "NUL"),
        (like_dovecot, b"body", b"bo\0\ndy", "line ends", "line ends, perhaps also NUL"),
        (like_cyrus, b"Subject: ", b"Subject: \xe4", "NUL or 8-bit header", "8-bit header"),
        (like_courier, b"body", b"bo\rdy", "line ends", "line ends"),
    ],
)
def test_what_a_server_rewrote_is_named(
    bench: Bench,
    rewrite: Callable[[bytes], bytes],
    old: bytes,
    new: bytes,
    blind: str,
    seeing: str,
    appenduid: bool,
) -> None:
    bench.server.rewrite, bench.server.appenduid = rewrite, appenduid
    awkward = mail(7).replace(old, new, 1)
    bench.run(bench.drop(awkward, *MAIL))
    report = compare(bench)
    assert (report.exit_code, found(report)) == (ExitCode.OK, {"identical": 5, "rewritten": 1})
    assert report.rewritten == {blind: 1}
    report = compare(bench, bench.drop(awkward, *MAIL), full=True)
    assert found(report) == {"identical": 5, "rewritten": 1}
    assert report.rewritten == {seeing: 1}
    assert f"rewritten 1: {seeing}" in report.text()


# what its owner did meanwhile


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("appenduid", [True, False])
@pytest.mark.parametrize("to", ["INBOX", "Trash", "Papierkorb", "Kept", "A folder of mine/2020"])
def test_what_was_moved_is_found_and_is_no_fault(bench: Bench, to: str, appenduid: bool, full: bool) -> None:
    """Within its folder, to the trash whatever its name, to another folder that has mail of ours, or to any other."""
    bench.server.appenduid = appenduid
    bench.rules = KEEP
    if to == "Papierkorb":
        bench.server.special_use["\\Trash"] = to
    bench.run(bench.mbox(*MAIL, mail("keep this")))
    bench.server.move("INBOX", 2, to)
    report = compare(bench, full=full)
    assert report.exit_code is ExitCode.OK
    in_place = to == "INBOX" and not appenduid  # it had no UID to lose
    assert found(report) == ({"identical": 6} if in_place else {"identical": 5, "moved": 1})
    if not in_place:
        assert list(report.moved) == [f"{to}, under another UID" if to == "INBOX" else to]


def test_what_was_expunged_is_missing_and_named(bench: Bench) -> None:
    bench.run(bench.mbox(*MAIL))
    bench.server.deliver("INBOX", mail("from somebody else"))
    bench.server.expunge("INBOX", 2)
    report = compare(bench)
    assert (report.exit_code, found(report)) == (ExitCode.DIFFERENT, {"identical": 4, "missing": 1})
    (problem,) = report.problems
    assert (problem.finding, problem.folder, problem.uid, problem.size) == (
        Finding.MISSING,
        "INBOX",
        2,
        len(MAIL[1]),
    )
    assert problem.date == datetime(2020, 5, 4, 10, tzinfo=UTC)
    assert problem.key in report.text()
    assert report.text().endswith("everything that was stored is there: no, because 1 missing\n")


def test_a_twin_does_not_stand_for_two(bench: Bench) -> None:
    bench.run(bench.mbox(mail(1), mail(1)))
    bench.server.expunge("INBOX", 1)
    assert found(compare(bench)) == {"identical": 1, "missing": 1}


def test_a_twin_without_a_uid_does_not_stand_for_two(bench: Bench) -> None:
    bench.server.appenduid = False
    bench.run(bench.mbox(mail(1), mail(1)))
    bench.server.expunge("INBOX", 1)
    assert found(compare(bench)) == {"identical": 1, "missing": 1}


def test_a_copy_without_a_uid_goes_before_one_that_has_lost_its_own(bench: Bench) -> None:
    told = iter([1, 0])
    bench.server.appenduid_of = lambda uid: next(told)  # the second one cannot be believed
    bench.run(bench.mbox(mail(1), mail(1)))
    bench.server.expunge("INBOX", 1)
    report = compare(bench)
    assert found(report) == {"identical": 1, "missing": 1}
    assert report.problems[0].uid == 1


def test_something_else_under_the_uid_is_different(bench: Bench) -> None:
    bench.run(bench.mbox(*MAIL))
    box = bench.server.mailboxes["INBOX"]
    box.mail[3] = box.mail[4]
    report = compare(bench)
    assert (report.exit_code, found(report)) == (ExitCode.DIFFERENT, {"identical": 4, "different": 1})
    assert report.problems[0].uid == 3
    assert report.because() == ("1 different",)


@pytest.mark.parametrize("full", [True, False])
def test_a_new_uidvalidity_is_compared_by_octets(bench: Bench, full: bool) -> None:
    bench.run(bench.mbox(*MAIL, MAIL[0]))
    bench.server.expunge("INBOX", 3)
    bench.server.renumber("INBOX")
    report = compare(bench, full=full)
    assert found(report) == {"identical": 5, "missing": 1}
    assert any("new UIDVALIDITY" in remark for remark in report.remarks)


def test_a_folder_that_is_gone_is_said_and_its_copies_are_looked_for(bench: Bench) -> None:
    bench.rules = INTO_WORK
    bench.run(bench.mbox(*MAIL))
    bench.server.deliver("Trash", MAIL[0], datetime(2020, 5, 4, 10, tzinfo=UTC))
    del bench.server.mailboxes["Work/2020"]
    report = compare(bench)
    assert found(report) == {"moved": 1, "missing": 4}
    assert any("Work/2020 is not there any more" in remark for remark in report.remarks)
    assert "its folder is not there any more" in report.problems[0].reason


def test_a_folder_that_its_owner_renamed_is_found(bench: Bench) -> None:
    bench.rules = INTO_WORK
    bench.run(bench.mbox(*MAIL))
    bench.server.rename("Work/2020", "Job")
    report = compare(bench)
    assert (report.exit_code, found(report), report.moved) == (ExitCode.OK, {"moved": 5}, {"Job": 5})


def test_a_copy_of_another_date_elsewhere_is_looked_for_with_full_alone(bench: Bench) -> None:
    """A move keeps the date; to read all of a large trash for the others would take long."""
    bench.run(bench.mbox(*MAIL))
    bench.server.expunge("INBOX", 1)
    bench.server.deliver("Trash", MAIL[0], datetime(2021, 1, 1, tzinfo=UTC))
    assert found(compare(bench)) == {"identical": 4, "missing": 1}
    assert found(compare(bench, full=True)) == {"identical": 4, "moved": 1}


def test_a_copy_that_recovery_found_in_the_trash_is_looked_for_there(bench: Bench) -> None:
    def lose(upload: Upload) -> Fate:
        return Fate.LOST_ANSWER

    bench.server.fate = lose

    def move() -> None:
        bench.server.fate = lambda upload: Fate.STORED
        if 1 in bench.server.mailboxes["INBOX"].mail:
            bench.server.move("INBOX", 1, "Trash")

    bench.mend = move
    bench.run(bench.mbox(mail(1)))
    report = compare(bench)
    assert (report.exit_code, found(report)) == (ExitCode.OK, {"identical": 1})
    assert [folder.mailbox for folder in report.folders] == ["Trash"]


def test_what_comes_while_the_comparison_is_at_work_is_not_missing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.run(bench.mbox(*MAIL[:3]))

    target = MemoryTarget(bench.server)
    survey = target.survey
    monkeypatch.setattr(target, "survey", lambda mailbox, lowest_uid: survey(mailbox, lowest_uid)[:2])
    report = verify(
        target, [], state_dir=bench.options.state_dir, full=False, progress=Silent(), stop=Stop(), now=lambda: NOW
    )  # fmt: skip
    assert found(report) == {"identical": 3}


# sources


def test_other_options_of_reading_are_named_as_a_likely_cause(bench: Bench) -> None:
    bench.run(bench.mbox(mail(1, "Status: RO\r\n")))
    bench.mbox(mail(1, "Status: RO\r\n"))
    report = compare(bench, MboxSource(bench.path / "inbox.mbox", keep_headers=True), full=True)
    assert (report.sources[0].different, report.exit_code) == (1, ExitCode.DIFFERENT)
    assert "--keep-mbox-headers" in report.problems[0].todo


def test_what_a_source_lists_is_counted_by_what_became_of_it(bench: Bench) -> None:
    bench.rules = '[[rule]]\nname = "Spam"\nwhen = { subject = "spam*" }\nthen = { skip = "spam" }'
    bench.run(bench.drop(mail(1), mail(2), mail("spam")))
    report = compare(bench, bench.drop(mail(1), mail(2), mail("spam"), mail("new")))
    (source,) = report.sources
    assert source.counts == {"stored": 2, "skipped": 1, "new": 1}
    assert (source.listed.messages, source.read, report.exit_code) == (4, 0, ExitCode.OK)
    assert "lists 4 messages: 2 stored, 1 skipped, 1 new" in report.text()


def test_with_full_the_octets_of_the_source_are_compared(bench: Bench) -> None:
    bench.run(bench.drop(*MAIL))
    source = bench.drop(*MAIL, mail("new"))
    report = compare(bench, source, full=True)
    assert (report.exit_code, report.sources[0].read, report.sources[0].different) == (ExitCode.OK, 5, 0)
    assert report.sources[0].listed == Count(6, sum(map(len, bench.maildrop.mail)))
    assert bench.pop3 is not None
    assert not bench.pop3.sessions[-1].quit, "what was read may vanish after QUIT on some servers"


def test_a_source_that_gives_other_octets_now_is_a_difference(bench: Bench) -> None:
    bench.run(bench.drop(*MAIL))
    report = compare(bench, bench.drop(MAIL[0].replace(b"body", b"b0dy"), *MAIL[1:]), full=True)
    assert (report.exit_code, report.sources[0].different) == (ExitCode.DIFFERENT, 1)
    assert found(report) == {"identical": 5}
    assert "yes (but the source gives other octets now for 1 message)" in report.text()


def test_an_mbox_may_have_been_read_meanwhile(bench: Bench) -> None:
    bench.run(bench.mbox(mail(1, "Status: O\r\n"), mail(2)))
    report = compare(bench, bench.mbox(mail(1, "Status: RO\r\n"), mail(2)), full=True)
    assert (report.sources[0].counts, report.sources[0].read) == ({"stored": 2}, 2)
    assert (report.sources[0].different, report.exit_code) == (0, ExitCode.OK)


def test_a_source_that_is_gone_ends_it_with_what_is_known(bench: Bench) -> None:
    bench.run(bench.mbox(mail(1)))
    source = bench.mbox(mail(1))
    (bench.path / "inbox.mbox").unlink()
    report = compare(bench, source)
    assert (report.exit_code, found(report)) == (ExitCode.DATA, {"unchecked": 1})
    assert "not known, because 1 not looked at; the comparison did not come to its end" in report.text()


# trouble


def test_without_a_journal_there_is_one_clear_line(bench: Bench) -> None:
    with pytest.raises(UsageError, match=r"no journal of alice@imap\.example:993"):
        compare(bench)
    assert not bench.options.state_dir.exists()


def test_a_journal_that_is_no_journal_is_said_to_be_one(bench: Bench) -> None:
    bench.run(bench.mbox(mail(1)))
    (database,) = bench.options.state_dir.rglob("journal.db")
    database.write_bytes(b"no database" * 1000)
    with pytest.raises(JournalCorrupt):
        compare(bench)


def test_a_connection_that_is_lost_is_opened_again(bench: Bench) -> None:
    bench.run(bench.mbox(*MAIL))
    troubles = iter([True, False, True, True, False] + [False] * 50)

    def before(step: str) -> None:
        if step in {"survey", "digests"} and next(troubles):
            raise ConnectionLost("gone", where="imap.example")

    bench.server.before = before
    assert found(compare(bench)) == {"identical": 5}
    assert bench.waits == [1.0, 1.0, 2.0]


def test_a_target_that_stays_away_is_the_end(bench: Bench) -> None:
    bench.run(bench.mbox(*MAIL))

    def before(step: str) -> None:
        if step == "digests":
            raise ConnectionLost("gone", where="imap.example")

    bench.server.before = before
    report = compare(bench)
    assert (report.exit_code, found(report)) == (ExitCode.NOT_FINISHED, {"unchecked": 5})
    assert report.because() == ("5 not looked at", "the comparison did not come to its end")


def test_a_folder_that_cannot_be_looked_into_is_unchecked_and_the_others_are_compared(bench: Bench) -> None:
    bench.rules = KEEP
    bench.run(bench.mbox(*MAIL, mail("keep this")))
    server = bench.server

    def before(step: str) -> None:
        if step == "survey" and server.log[-1] == ("survey", "Kept"):
            raise FolderError("permission denied", where="Kept")

    server.before = before
    report = compare(bench)
    assert (report.exit_code, found(report)) == (ExitCode.INCOMPLETE, {"identical": 5, "unchecked": 1})
    assert any("permission denied" in remark for remark in report.remarks)
    assert report.because() == ("1 not looked at",)


def test_a_stop_ends_it_between_two_portions(bench: Bench) -> None:
    bench.run(bench.mbox(*MAIL))
    stop = Stop()
    report = verify(
        MemoryTarget(bench.server), [bench.mbox(*MAIL)], state_dir=bench.options.state_dir, full=False,
        progress=Watched(stop.set), stop=stop, now=lambda: NOW,
    )  # fmt: skip
    assert (report.exit_code, found(report)) == (ExitCode.INTERRUPTED, {"unchecked": 5})
    assert "not known, because" in report.text()


def test_a_run_that_is_at_work_is_told_of(bench: Bench) -> None:
    bench.run(bench.mbox(*MAIL))
    journal = open_journal(bench.options.state_dir, MemoryTarget.identity)
    try:
        report = compare(bench)
    finally:
        journal.close()
    assert found(report) == {"identical": 5}
    assert any("is moving mail at this moment" in remark for remark in report.remarks)


def test_copies_in_doubt_are_told_of_and_count_for_nothing(bench: Bench) -> None:
    bench.run(bench.mbox(mail(1)))
    journal = open_journal(bench.options.state_dir, MemoryTarget.identity)
    journal.intend([record("a")], [placement("a", uidvalidity=1001)])
    journal.close()
    report = compare(bench)
    assert (found(report), report.in_doubt) == ({"identical": 1}, 1)
    assert "pop2imap migrate finds out" in report.text()


# the journal's part


def test_copies_come_in_portions_and_each_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.run(bench.mbox(*(mail(number) for number in range(7)), *[mail("twin")] * 5))
    bench.server.appenduid = False
    bench.run(bench.drop(*(mail(-number) for number in range(1, 8)), *[mail("twins")] * 5))
    monkeypatch.setattr(copies, "CHUNK", 3)
    history = read_history(bench.options.state_dir, MemoryTarget.identity)
    assert history is not None
    (kept,) = history.kept()
    assert (kept.mailbox, kept.folders, kept.with_uid, kept.without_uid) == ("INBOX", ("INBOX",), 12, 12)
    portions = [list(history.with_uid(kept)), list(history.without_uid(kept))]
    history.close()
    assert [[len(some) for some in each] for each in portions] == [[3] * 4, [3] * 4]
    known = [copy for each in portions for some in each for copy in some]
    assert len({copy.id for copy in known}) == 24
    assert [copy.uid for copy in known[:12]] == list(range(1, 13))
    assert all(copy.uid is None for copy in known[12:])


# the report


def test_the_report_in_all_its_forms(bench: Bench, tmp_path: Path) -> None:
    bench.run(bench.mbox(*MAIL))
    bench.server.expunge("INBOX", 2)
    bench.server.move("INBOX", 1, "Trash")
    report = compare(bench, bench.mbox(*MAIL, mail(9)))
    for suffix in ("json", "csv", "txt"):
        report.write(tmp_path / f"report.{suffix}")
    document = json.loads((tmp_path / "report.json").read_text())
    assert document == json.loads(json.dumps(report.as_dict()))
    assert document["counts"] == {
        "copies": 5, "identical": 3, "rewritten": 0, "there": 0, "moved": 1, "different": 0, "missing": 1,
        "unchecked": 0,
    }  # fmt: skip
    assert (document["result"], document["exit_code"]) == ("different", 4)
    assert (document["everything_is_there"], document["because"]) == (False, ["1 missing"])
    assert document["moved_to"] == {"Trash": 1}
    assert document["sources"][0]["counts"] == {"stored": 5, "new": 1}
    (problem,) = document["problems"]
    assert (problem["finding"], problem["folder"], problem["uid"]) == ("missing", "INBOX", 2)
    rows = (tmp_path / "report.csv").read_text().splitlines()
    assert any(row.startswith("missing,INBOX,1,2020-05-04") for row in rows)
    assert problem["key"] in (tmp_path / "report.txt").read_text()
    with pytest.raises(UsageError, match="suffix"):
        report.write(tmp_path / "report.html")


def test_the_short_text_names_twenty_and_the_full_one_all(bench: Bench) -> None:
    bench.run(bench.mbox(*(mail(number) for number in range(25))))
    bench.server.mailboxes["INBOX"].mail.clear()
    report = compare(bench)
    assert len(report.problems) == 25
    assert "… and 5 more" in report.text()
    assert report.text(full=True).count("  missing: ") == 25


def test_a_server_with_a_prefix_is_understood(tmp_path: Path) -> None:
    with ExitStack() as stack:
        bench = Bench(tmp_path, stack, server=MemoryServer(prefix="INBOX.", delimiter="."))
        bench.rules = INTO_WORK
        bench.run(bench.mbox(*MAIL))
        bench.server.move("INBOX.Work.2020", 1, "INBOX.Trash")
        report = compare(bench)
    assert found(report) == {"identical": 4, "moved": 1}
    assert report.moved == {"INBOX.Trash": 1}
