"""Deleting at the source, whole: real journals of real runs, a scripted maildrop, a target in memory."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pop2imap import net
from pop2imap.credentials import Secret
from pop2imap.deletion import Choice, delete_source
from pop2imap.errors import ConnectionLost, ExitCode, FolderError, NotFinished, UsageError
from pop2imap.journal.history import read_history
from pop2imap.journal.place import directory
from pop2imap.journal.store import SqlJournal
from pop2imap.model import Key
from pop2imap.pipeline import Stop
from pop2imap.progress import Silent
from pop2imap.report.deleted import DeletionReport
from pop2imap.sameness import refuse_same_name
from pop2imap.sources.pop3 import Pop3Source
from pop2imap.verify import verify
from tests.fakes.memory_target import Fate, Mail, MemoryTarget, like_courier
from tests.fakes.pop3_server import SessionLog
from tests.unit.test_migrate import NOW, Bench, mail
from tests.unit.test_undo import cut_at_expunge, foreseen, outcome, undone

MAIL = tuple(mail(number) for number in (100, 2, 300, 400))
SMALLEST = 1  # its place

COPIES = """
[[rule]]
name = "Copy"
when = { subject = "*00" }
then = { folder = "Copies", continue = true }

[[rule]]
name = "Rest"
then = { folder = "INBOX" }
"""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with ExitStack() as stack:
        yield Bench(tmp_path, stack)


def again(bench: Bench) -> Pop3Source:
    """The source of the maildrop as it is."""
    return bench.drop(*bench.maildrop.mail)


def delete(
    bench: Bench, choice: Choice | None = None, *, yes: bool = True, stop: Stop | None = None
) -> DeletionReport:
    return delete_source(
        again(bench),
        MemoryTarget(bench.server),
        choice or Choice(),
        state_dir=bench.options.state_dir,
        confirm=lambda report: yes,
        progress=Silent(),
        stop=stop or Stop(),
        now=lambda: NOW,
        sleep=bench.sleep,
    )


def counts(report: DeletionReport) -> dict[str, int]:
    return {fate.value: count.messages for fate, count in report.counts.items() if count.messages}


def sessions(bench: Bench) -> list[SessionLog]:
    assert bench.pop3 is not None
    return bench.pop3.wait()


def marked(bench: Bench) -> list[set[int]]:
    """What each session that ended with QUIT had marked, by place, where it had marked anything."""
    return [session.marked for session in sessions(bench) if session.quit and session.marked]


def in_maildrop(bench: Bench) -> list[bytes]:
    assert bench.pop3 is not None
    return [bench.maildrop.mail[place] for place in bench.pop3.visible()]


# all is well


@pytest.mark.parametrize("appenduid", [True, False])
def test_what_is_in_the_target_is_deleted_the_smallest_message_of_each_folder_first(
    bench: Bench, appenduid: bool
) -> None:
    bench.server.appenduid, bench.rules = appenduid, COPIES
    bench.run(bench.drop(*MAIL))
    report = delete(bench)
    assert (report.exit_code, counts(report)) == (ExitCode.OK, {"deleted": 4})
    assert in_maildrop(bench) == []
    assert marked(bench) == [{0, SMALLEST}, {2, 3}], "one of each folder"
    assert report.text().endswith("deleted at the source: 4 messages\n")
    assert not (directory(bench.options.state_dir, MemoryTarget.identity) / "rescue").exists()
    assert bench.held() == Counter(MAIL)


def test_afterwards_the_journal_still_knows_all_of_it(bench: Bench) -> None:
    bench.run(bench.drop(*MAIL))
    delete(bench)
    history = read_history(bench.options.state_dir, MemoryTarget.identity)
    assert history is not None
    status = history.status()
    (source,) = status.sources
    assert (status.removed, sum(n for n, _ in status.sources[source].values())) == ({source: 4}, 4)
    (traced,) = history.trace("u2")
    assert traced.lines()[-1] == "deleted at the source; run 2"
    assert traced.lines()[0].startswith("u2 of ")
    assert history.trace("u2#-1") == [traced]
    assert (history.known(source), history.removed(source)) == (0, 4)
    history.close()
    report = verify(
        MemoryTarget(bench.server), [], state_dir=bench.options.state_dir, full=True, progress=Silent(), stop=Stop()
    )  # fmt: skip
    assert (report.exit_code, report.copies) == (ExitCode.OK, 4)
    after = bench.run(again(bench))
    assert (after.exit_code, after.listed.messages) == (ExitCode.OK, 0)


def test_without_a_yes_nothing_is_marked_and_no_session_ends_with_quit(bench: Bench) -> None:
    bench.run(bench.drop(*MAIL))
    before = len(sessions(bench))
    report = delete(bench, yes=False)
    assert (report.exit_code, counts(report)) == (ExitCode.OK, {"ready": 4})
    assert "next: the same with --yes deletes 4 messages for good" in report.text()
    assert not any(session.quit or session.marked for session in sessions(bench)[before:])
    assert in_maildrop(bench) == list(MAIL)


def test_what_its_owner_moved_in_the_target_is_found_there(bench: Bench) -> None:
    bench.run(bench.drop(*MAIL))
    bench.server.move("INBOX", 1, "A folder of mine")
    assert counts(delete(bench)) == {"deleted": 4}


def test_a_message_that_another_source_brought_stands_by_its_copy(bench: Bench) -> None:
    bench.run(bench.mbox(MAIL[0], MAIL[1]), bench.drop(*MAIL))
    bench.server.expunge("INBOX", 1)
    report = delete(bench)
    assert (report.exit_code, counts(report)) == (ExitCode.DIFFERENT, {"deleted": 3, "missing": 1})
    assert in_maildrop(bench) == [MAIL[0]]


def test_one_copy_does_not_stand_for_two_twins(bench: Bench) -> None:
    bench.run(bench.drop(MAIL[0], MAIL[0], MAIL[1]))
    bench.server.expunge("INBOX", 1)
    report = delete(bench)
    assert (report.exit_code, counts(report)) == (ExitCode.DIFFERENT, {"deleted": 2, "missing": 1})


# what stays


def expunge(bench: Bench) -> None:
    bench.server.expunge("Copies", 1)


def remove_the_folder(bench: Bench) -> None:
    del bench.server.mailboxes["Copies"]


def put_other_mail_in_its_place(bench: Bench) -> None:
    bench.server.mailboxes["Copies"].mail[1] = Mail(MAIL[1], NOW)


def lock_the_folder(bench: Bench) -> None:
    def fail(step: str) -> None:
        if bench.server.log[-1] == ("survey", "Copies"):
            raise FolderError("cannot be opened", where="Copies")

    bench.server.before = fail


@pytest.mark.parametrize(
    ("spoil", "fate", "code"),
    [
        (expunge, "missing", ExitCode.DIFFERENT),
        (remove_the_folder, "missing", ExitCode.DIFFERENT),
        (put_other_mail_in_its_place, "different", ExitCode.DIFFERENT),
        (lock_the_folder, "unchecked", ExitCode.INCOMPLETE),
    ],
)
def test_every_copy_of_a_message_must_be_there(
    bench: Bench, spoil: Callable[[Bench], None], fate: str, code: ExitCode
) -> None:
    bench.rules = COPIES
    bench.run(bench.drop(*MAIL[:2]))
    spoil(bench)
    report = delete(bench)
    assert (report.exit_code, counts(report)) == (code, {"deleted": 1, fate: 1})
    assert in_maildrop(bench) == [MAIL[0]]
    assert f"  {fate}: 2020-05-04, " in report.text()


def test_a_moved_copy_of_another_source_stands_for_that_one(bench: Bench) -> None:
    bench.run(bench.mbox(MAIL[0]), bench.drop(MAIL[0], MAIL[1]), keep_duplicates=True)
    bench.server.expunge("INBOX", 2)
    bench.server.move("INBOX", 1, "Mine")
    report = delete(bench)
    assert (report.exit_code, counts(report)) == (ExitCode.DIFFERENT, {"deleted": 1, "missing": 1})


def test_a_source_that_gives_other_octets_now_keeps_them(bench: Bench) -> None:
    bench.run(bench.drop(*MAIL))
    bench.maildrop.mail[2] = MAIL[2].replace(b"body", b"b0dy")
    report = delete(bench)
    assert (report.exit_code, counts(report)) == (ExitCode.DIFFERENT, {"deleted": 3, "different": 1})
    assert "the source gives other octets" in report.text()


@pytest.mark.parametrize("also_rewritten", [False, True])
def test_what_the_server_rewrote_is_kept_unless_it_is_asked_for(bench: Bench, also_rewritten: bool) -> None:
    bench.server.rewrite = like_courier
    bench.run(bench.drop(MAIL[0].replace(b"body", b"bo\rdy"), *MAIL[1:]))
    report = delete(bench, Choice(also_rewritten=also_rewritten))
    if also_rewritten:
        assert (report.exit_code, counts(report)) == (ExitCode.OK, {"deleted": 4})
    else:
        assert (report.exit_code, counts(report)) == (ExitCode.INCOMPLETE, {"deleted": 3, "rewritten": 1})
        assert "was rewritten: line ends" in report.text()


def test_what_was_not_moved_stays(bench: Bench) -> None:
    bench.rules = '[[rule]]\nname = "Spam"\nwhen = { subject = "300" }\nthen = { skip = "spam" }'
    bench.run(bench.drop(*MAIL))
    bench.drop(*MAIL, mail("new"))
    report = delete(bench)
    assert (report.exit_code, counts(report)) == (ExitCode.INCOMPLETE, {"deleted": 3, "skipped": 1, "new": 1})
    assert in_maildrop(bench) == [MAIL[2], mail("new")]


def test_what_was_refused_is_named_with_the_words_of_the_server(bench: Bench) -> None:
    bench.server.fate = lambda upload: (
        Fate.REFUSED if b"Subject: 100" in upload.octets.head() else Fate.STORED
    )
    bench.run(bench.drop(*MAIL))
    report = delete(bench)
    assert (report.exit_code, counts(report)) == (ExitCode.INCOMPLETE, {"deleted": 3, "problem": 1})
    (left,) = report.left
    assert (left.key, left.reason.split(":")[0]) == ("u1", "refused")


def test_younger_mail_stays_and_that_is_as_it_should_be(bench: Bench) -> None:
    young = mail("young").replace(b"04 May 2020", b"20 May 2026")
    bench.run(bench.drop(*MAIL, young))
    report = delete(bench, Choice(older_than=timedelta(days=30)))
    assert (report.exit_code, counts(report)) == (ExitCode.OK, {"deleted": 4, "younger": 1})


def test_a_limit_leaves_the_rest_for_the_next_run(bench: Bench) -> None:
    bench.run(bench.drop(*MAIL))
    report = delete(bench, Choice(limit=3))
    assert (report.exit_code, counts(report)) == (ExitCode.NOT_FINISHED, {"deleted": 3, "later": 1})
    report = delete(bench, Choice(limit=3))
    assert (report.exit_code, counts(report)) == (ExitCode.OK, {"deleted": 1})


def test_a_limit_that_lets_in_only_what_stays_is_no_reason_to_run_it_again(bench: Bench) -> None:
    bench.server.rewrite = like_courier
    bench.run(bench.drop(mail(1).replace(b"body", b"bo\rdy"), *MAIL))
    report = delete(bench, Choice(limit=1))
    assert (report.exit_code, counts(report)) == (ExitCode.INCOMPLETE, {"rewritten": 1, "later": 4})
    assert "say a larger --limit" in report.text()
    assert counts(delete(bench, Choice(limit=2))) == {"deleted": 1, "rewritten": 1, "later": 3}


def test_without_a_uidl_or_with_a_shared_one_nothing_is_deleted(bench: Bench) -> None:
    bench.maildrop.uids = ["a", "b", "b", None]
    bench.run(bench.drop(*MAIL))
    report = delete(bench)
    assert (report.exit_code, counts(report)) == (ExitCode.INCOMPLETE, {"deleted": 1, "unnamed": 3})
    assert in_maildrop(bench) == list(MAIL[1:])
    bench.maildrop.answers["UIDL"] = b"-ERR what?\r\n"
    report = delete(bench)
    assert (report.exit_code, counts(report)) == (ExitCode.INCOMPLETE, {"unnamed": 3})


def test_a_message_that_the_source_does_not_give_stays(bench: Bench) -> None:
    bench.run(bench.drop(*MAIL))
    bench.maildrop.answers["RETR 3"] = b"-ERR broken\r\n"
    report = delete(bench)
    assert (report.exit_code, counts(report)) == (ExitCode.INCOMPLETE, {"deleted": 3, "unchecked": 1})


def test_no_journal_is_one_clear_error_and_none_is_made(bench: Bench) -> None:
    bench.drop(*MAIL)
    with pytest.raises(UsageError, match="no journal of"):
        delete(bench)
    assert not bench.options.state_dir.exists()


# one mailbox under two names


def the_same_mailbox(bench: Bench) -> None:
    """From now on, what is deleted at the source is gone from INBOX."""
    assert bench.pop3 is not None

    def expunge(log: SessionLog) -> None:
        gone = [bench.maildrop.mail[place] for place in log.marked]
        box = bench.server.mailboxes["INBOX"].mail
        for uid in [uid for uid, one in box.items() if one.octets in gone]:
            del box[uid]

    bench.pop3.after = expunge


def test_where_source_and_target_are_one_mailbox_one_message_is_deleted_and_that_is_kept(
    bench: Bench,
) -> None:
    bench.run(bench.drop(*MAIL))
    the_same_mailbox(bench)
    report = delete(bench)
    assert (report.exit_code, counts(report)) == (ExitCode.DIFFERENT, {"unconfirmed": 1, "ready": 3})
    assert marked(bench) == [{SMALLEST}]
    assert in_maildrop(bench) == [MAIL[0], *MAIL[2:]]
    assert "seem to be one mailbox" in report.alarm
    (kept,) = (directory(bench.options.state_dir, MemoryTarget.identity) / "rescue").glob("*.eml")
    assert kept.read_bytes() == MAIL[SMALLEST]
    assert kept.stat().st_mode & 0o777 == 0o600
    assert str(kept.parent) in report.text()


def test_after_the_alarm_no_other_message_is_deleted_until_somebody_has_seen_to_it(bench: Bench) -> None:
    bench.run(bench.drop(*MAIL))
    the_same_mailbox(bench)
    delete(bench)
    with pytest.raises(UsageError, match="seem to be one mailbox"):
        delete(bench)
    assert in_maildrop(bench) == [MAIL[0], *MAIL[2:]]
    shutil.rmtree(directory(bench.options.state_dir, MemoryTarget.identity) / "rescue")
    assert counts(delete(bench, yes=False)) == {"ready": 3}


def test_rules_that_spread_the_mail_hide_no_mailbox_that_is_the_source(bench: Bench) -> None:
    """Most messages have copies of their own in other folders; those in INBOX are the very ones that are listed."""
    bench.rules = '[[rule]]\nname = "Old"\nwhen = { subject = "2" }\nthen = { folder = "Old" }'
    bench.run(bench.drop(*MAIL))
    the_same_mailbox(bench)
    report = delete(bench)
    assert (report.exit_code, counts(report)) == (ExitCode.DIFFERENT, {"unconfirmed": 2, "ready": 2})
    kept = (directory(bench.options.state_dir, MemoryTarget.identity) / "rescue").glob("*.eml")
    assert Counter(path.read_bytes() for path in kept) == Counter([MAIL[0], MAIL[1]])


def test_a_twin_that_stands_for_the_first_message_does_not_hide_that_it_went_itself(bench: Bench) -> None:
    """A maildrop that shows the newest mail alone is the INBOX, and the journal was made by adopt: of twins in there,
    it may take any for the copy of the one that is listed. All other messages are their own copies."""
    bench.run(bench.drop(*MAIL))
    listed = {place: place + 1 for place in range(4)} | {
        SMALLEST: bench.server.deliver("INBOX", MAIL[SMALLEST])
    }
    assert bench.pop3 is not None

    def expunge(log: SessionLog) -> None:
        for place in log.marked:
            bench.server.expunge("INBOX", listed[place])

    bench.pop3.after = expunge
    report = delete(bench)
    assert (report.exit_code, counts(report)) == (ExitCode.DIFFERENT, {"unconfirmed": 1, "ready": 3})
    assert "is gone from the target" in report.alarm
    assert bench.held() == Counter(MAIL)


def test_a_twin_that_nobody_knows_does_not_stand_for_a_copy_that_went_with_its_message(bench: Bench) -> None:
    bench.run(bench.drop(*MAIL))
    assert bench.pop3 is not None

    def expunge(log: SessionLog) -> None:
        if log.marked:
            bench.server.expunge("INBOX", SMALLEST + 1)

    bench.pop3.after = expunge
    bench.server.deliver("Elsewhere", MAIL[SMALLEST], datetime(2020, 5, 4, 10, tzinfo=UTC))
    report = delete(bench)
    assert (report.exit_code, counts(report)) == (ExitCode.DIFFERENT, {"unconfirmed": 1, "ready": 3})
    assert "an equal message was found in another place" in report.alarm


@pytest.mark.parametrize(("port", "refused"), [(995, True), (1995, False)])
def test_one_account_by_its_name_is_refused_before_anything_is_done(
    bench: Bench, port: int, refused: bool
) -> None:
    """Behind an unusual port may be a tunnel to another machine."""
    source = Pop3Source(net.Server("mail.example", port, net.Transport.TLS), "alice", Secret("secret"))
    target = MemoryTarget(bench.server)
    target.identity = "alice@mail.example:993"
    if not refused:
        refuse_same_name(source, target)
        return
    with pytest.raises(UsageError, match="one mailbox"):
        delete_source(
            source, target, Choice(), state_dir=bench.options.state_dir, confirm=lambda report: True,
            progress=Silent(), stop=Stop(),
        )  # fmt: skip


def test_a_target_that_cannot_be_looked_into_again_leaves_the_first_message_on_this_disk(
    bench: Bench,
) -> None:
    bench.run(bench.drop(*MAIL))
    assert bench.pop3 is not None

    def die(step: str) -> None:
        raise ConnectionLost("gone for good")

    bench.pop3.after = lambda log: setattr(bench.server, "before", die) if log.marked else None
    report = delete(bench)
    assert report.exit_code is ExitCode.NOT_FINISHED
    assert counts(report) == {"unconfirmed": 1, "ready": 3}
    (kept,) = (directory(bench.options.state_dir, MemoryTarget.identity) / "rescue").iterdir()
    assert kept.read_bytes() == MAIL[SMALLEST]
    bench.pop3.after = lambda log: None
    bench.server.before = lambda step: None
    assert any("kept in" in remark for remark in delete(bench, yes=False).remarks)


# servers that keep mail, or name it badly


def test_a_server_that_keeps_the_first_message_is_asked_for_no_other(bench: Bench) -> None:
    bench.run(bench.drop(*MAIL))
    bench.maildrop.keeps = frozenset({0, 1, 2, 3})
    report = delete(bench)
    assert (report.exit_code, counts(report)) == (ExitCode.INCOMPLETE, {"survived": 1, "ready": 3})
    assert marked(bench) == [{SMALLEST}]
    assert any("the server keeps what is deleted" in remark for remark in report.remarks)
    assert bench.run(again(bench)).moved.messages == 0


def test_survivors_are_named(bench: Bench) -> None:
    bench.run(bench.drop(*MAIL))
    bench.maildrop.keeps = frozenset({2})
    report = delete(bench)
    assert (report.exit_code, counts(report)) == (ExitCode.INCOMPLETE, {"deleted": 3, "survived": 1})
    assert [one.key for one in report.left] == ["u3"]
    assert bench.run(again(bench)).moved.messages == 0


def test_uidls_that_are_positions_name_other_mail_after_a_deletion_and_are_found_out(bench: Bench) -> None:
    bench.maildrop.uids = ["1", "2", "3", "4"]
    bench.run(bench.drop(*MAIL))
    assert bench.pop3 is not None
    bench.pop3.after = lambda log: setattr(bench.maildrop, "uids", ["1", "gone", "2", "3"])
    report = delete(bench)
    assert counts(report) == {"survived": 1, "ready": 3}
    assert in_maildrop(bench) == [MAIL[0], MAIL[2], MAIL[3]]


def test_a_uidl_that_stands_for_mail_of_another_size_is_left_alone(bench: Bench) -> None:
    bench.run(bench.drop(*MAIL))
    assert bench.pop3 is not None

    def replace(log: SessionLog) -> None:
        if log.marked == {SMALLEST}:
            bench.maildrop.mail[2] = mail("quite another one")

    bench.pop3.after = replace
    report = delete(bench)
    assert counts(report) == {"deleted": 3, "unchecked": 1}
    assert in_maildrop(bench) == [mail("quite another one")]


def test_a_message_that_will_not_be_marked_is_named(bench: Bench) -> None:
    bench.run(bench.drop(*MAIL))
    bench.maildrop.answers["DELE 2"] = (
        b"-ERR not this one\r\n"  # the first of all is number 2, then the third
    )
    report = delete(bench)
    assert (report.exit_code, counts(report)) == (ExitCode.INCOMPLETE, {"survived": 1, "ready": 3})
    assert 'the server said "not this one"' in report.text()
    del bench.maildrop.answers["DELE 2"]
    bench.maildrop.answers["DELE 3"] = b"-ERR not this one\r\n"
    report = delete(bench)
    assert (report.exit_code, counts(report)) == (ExitCode.INCOMPLETE, {"deleted": 3, "survived": 1})


@pytest.mark.parametrize("pipelining", [True, False])
def test_deletions_are_pipelined_where_that_is_allowed(bench: Bench, pipelining: bool) -> None:
    if not pipelining:
        bench.maildrop.capabilities = ("USER", "UIDL", "TOP")
    bench.run(bench.drop(*(mail(number) for number in range(40))))
    assert counts(delete(bench)) == {"deleted": 40}
    rest = next(session for session in sessions(bench) if len(session.marked) == 39)
    assert (rest.most_waiting > 1) is pipelining


# broken sessions


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_connection_that_is_lost_at_the_first_quit_is_decided_by_the_next_listing(
    bench: Bench, when: str
) -> None:
    bench.run(bench.drop(*MAIL))
    bench.maildrop.cut_at_quit = when
    report = delete(bench)
    if when == "before":
        assert (report.exit_code, counts(report)) == (ExitCode.NOT_FINISHED, {"later": 1, "ready": 3})
        assert in_maildrop(bench) == list(MAIL)
    else:
        assert (report.exit_code, counts(report)) == (ExitCode.OK, {"deleted": 4})
    assert any("did not end well" in remark for remark in report.remarks)
    bench.maildrop.cut_at_quit = ""
    assert in_maildrop(bench) == [] or counts(delete(bench)) == {"deleted": 4}
    assert bench.held() == Counter(MAIL)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_connection_that_is_lost_at_the_second_quit_is_decided_by_the_next_listing(
    bench: Bench, when: str
) -> None:
    bench.run(bench.drop(*MAIL))
    assert bench.pop3 is not None
    bench.pop3.after = lambda log: setattr(bench.maildrop, "cut_at_quit", when) if log.marked else None
    report = delete(bench)
    bench.pop3.after, bench.maildrop.cut_at_quit = None, ""
    if when == "before":
        assert (report.exit_code, counts(report)) == (ExitCode.NOT_FINISHED, {"deleted": 1, "later": 3})
        assert counts(delete(bench)) == {"deleted": 3}
    else:
        assert (report.exit_code, counts(report)) == (ExitCode.OK, {"deleted": 4})
    assert bench.run(again(bench)).listed.messages == 0


def test_a_quit_that_is_refused_counts_for_nothing_before_the_next_listing(bench: Bench) -> None:
    bench.run(bench.drop(*MAIL))
    bench.maildrop.answers["QUIT"] = b"-ERR some messages were not removed\r\n"
    report = delete(bench)
    assert (report.exit_code, counts(report)) == (ExitCode.NOT_FINISHED, {"later": 1, "ready": 3})
    assert any("some messages were not removed" in remark for remark in report.remarks)
    del bench.maildrop.answers["QUIT"]
    assert counts(delete(bench)) == {"deleted": 4}


def test_a_connection_that_is_lost_while_marking_deletes_nothing(bench: Bench) -> None:
    bench.run(bench.drop(*MAIL))
    bench.maildrop.cut["DELE 3"] = 2  # within the second session, after the first message was deleted
    report = delete(bench)
    assert (report.exit_code, counts(report)) == (ExitCode.NOT_FINISHED, {"deleted": 1, "later": 3})
    assert len(in_maildrop(bench)) == 3
    bench.maildrop.cut.clear()
    assert counts(delete(bench)) == {"deleted": 3}


def test_what_was_read_before_the_connection_was_lost_is_deleted(bench: Bench) -> None:
    bench.maildrop.capabilities = ("USER", "UIDL", "TOP")
    bench.run(bench.drop(*MAIL))
    bench.maildrop.cut["RETR 3"] = 20
    report = delete(bench)
    assert (report.exit_code, counts(report)) == (ExitCode.NOT_FINISHED, {"deleted": 2, "later": 2})
    bench.maildrop.cut.clear()
    assert counts(delete(bench)) == {"deleted": 2}


def test_a_stop_before_quit_deletes_nothing_more(bench: Bench) -> None:
    bench.run(bench.drop(*MAIL))
    stop = Stop()

    class Stopping(Silent):
        def start(self, doing: str, octets: int, messages: int) -> None:
            if doing == "deleting":
                stop.set()

    report = delete_source(
        again(bench), MemoryTarget(bench.server), Choice(), state_dir=bench.options.state_dir,
        confirm=lambda report: True, progress=Stopping(), stop=stop, now=lambda: NOW, sleep=bench.sleep,
    )  # fmt: skip
    assert (report.exit_code, counts(report)) == (ExitCode.INTERRUPTED, {"deleted": 1, "later": 3})
    assert len(in_maildrop(bench)) == 3


def test_the_pause_between_logins_is_kept(bench: Bench) -> None:
    bench.maildrop.capabilities = ("USER", "UIDL", "TOP", "LOGIN-DELAY 7")
    bench.run(bench.drop(*MAIL))
    assert counts(delete(bench)) == {"deleted": 4}
    assert bench.waits == [7.0, 7.0, 7.0]


def test_a_maildrop_that_is_locked_until_the_server_is_done_is_waited_for(bench: Bench) -> None:
    bench.run(bench.drop(*MAIL))
    assert bench.pop3 is not None
    locked = {"PASS": b"-ERR [IN-USE] still at work\r\n"}
    bench.pop3.after = lambda log: bench.maildrop.answers.update(locked) if log.marked else None
    bench.mend = lambda: bench.maildrop.answers.clear() if bench.waits[-1] else None
    assert counts(delete(bench)) == {"deleted": 4}


def test_killed_anywhere_and_run_again_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove = SqlJournal.remove
    for steps in range(60):
        with ExitStack() as stack:
            bench = Bench(tmp_path / str(steps), stack)
            bench.path.mkdir()
            bench.rules = COPIES
            bench.run(bench.drop(*MAIL))
            left = [None] * steps

            def step(_: object = None, left: list[None] = left) -> None:
                if not left:
                    raise KeyboardInterrupt
                left.pop()

            def removing(self: SqlJournal, keys: Sequence[Key]) -> None:
                step()
                remove(self, keys)
                step()

            monkeypatch.setattr(SqlJournal, "remove", removing)
            bench.server.before = bench.mend = step
            try:
                report = delete(bench)
            except KeyboardInterrupt:
                report = None
            bench.server.before, bench.mend = (lambda step: None), (lambda: None)
            monkeypatch.setattr(SqlJournal, "remove", remove)
            gone = set(MAIL) - set(in_maildrop(bench))
            with suppress(NotFinished):  # then it is not known what is gone, and nothing is removed
                undone(bench)
            assert gone <= set(bench.held())
            bench.run(again(bench))
            again_report = delete(bench)
            assert set(counts(again_report)) <= {"deleted"}
            assert in_maildrop(bench) == []
            assert bench.held() == Counter(MAIL)
            assert bench.held("Copies") == Counter([MAIL[0], *MAIL[2:]])
            assert bench.run(bench.drop(*MAIL, mail("new"))).moved.messages == 1
        if report is not None:
            break
    assert 20 < steps < 59


# the names of what was deleted


def test_mail_that_comes_later_under_the_name_of_deleted_mail_is_moved(bench: Bench) -> None:
    bench.maildrop.uids = ["a", "b"]
    bench.run(bench.drop(*MAIL[:2]))
    delete(bench)
    bench.maildrop.uids = ["a", "b", "a"]
    report = bench.run(bench.drop(*MAIL[:3]))
    assert report.moved.messages == 1
    assert bench.held() == Counter(MAIL[:3])
    assert counts(delete(bench)) == {"deleted": 1}
    bench.maildrop.uids = ["a", "b", "a", "a"]
    assert bench.run(bench.drop(*MAIL)).moved.messages == 1


def test_deleted_mail_that_comes_back_under_its_name_is_known(bench: Bench) -> None:
    """As when an administrator brings back a backup."""
    bench.run(bench.drop(*MAIL))
    delete(bench)
    assert bench.pop3 is not None
    bench.pop3.restore()
    report = bench.run(again(bench))
    assert (report.listed.messages, report.moved.messages) == (4, 0)
    assert bench.held() == Counter(MAIL)
    assert counts(delete(bench)) == {"deleted": 4}


def test_the_same_octets_under_a_new_name_are_new_mail(bench: Bench) -> None:
    bench.run(bench.drop(*MAIL))
    delete(bench)
    assert bench.run(bench.drop(*MAIL, MAIL[0])).moved.messages == 1
    assert bench.held() == Counter([*MAIL, MAIL[0]])


def test_what_we_deleted_does_not_look_like_a_renumbered_maildrop(bench: Bench) -> None:
    old = [mail(number) for number in range(20)]
    bench.run(bench.drop(*old))
    assert counts(delete(bench, Choice(limit=10))) == {"deleted": 10, "later": 10}
    new = [mail(f"new {number}") for number in range(10)]
    report = bench.run(bench.drop(*old, *new))
    assert (report.exit_code, report.listed.messages, report.moved.messages) == (ExitCode.OK, 20, 10)


# the report


def test_the_report_in_all_its_forms(bench: Bench, tmp_path: Path) -> None:
    bench.run(bench.drop(*MAIL))
    bench.server.expunge("INBOX", 3)
    report = delete(bench)
    for suffix in ("json", "csv", "txt"):
        report.write(tmp_path / f"report.{suffix}")
    document = json.loads((tmp_path / "report.json").read_text())
    assert document == json.loads(json.dumps(report.as_dict()))
    assert document["counts"]["listed"] == 4
    assert sum(document["counts"].values()) == 8
    assert {word: number for word, number in document["counts"].items() if number} == {
        "listed": 4, "deleted": 3, "missing": 1,
    }  # fmt: skip
    assert (document["result"], document["dry_run"], document["alarm"]) == ("different", False, None)
    (left,) = document["left"]
    assert (left["fate"], left["key"], left["size"]) == ("missing", "u3", len(MAIL[2]))
    assert left["date"] == datetime(2020, 5, 4, 10, tzinfo=UTC).isoformat().replace("+00:00", "Z")
    rows = (tmp_path / "report.csv").read_text().splitlines()
    assert any(row.startswith(f"missing,,1,{len(MAIL[2])},2020-05-04") for row in rows)
    with pytest.raises(UsageError, match="suffix"):
        report.write(tmp_path / "report.html")


# undo


def test_nothing_is_deleted_while_an_undo_is_half_done(bench: Bench) -> None:
    bench.run(bench.drop(*MAIL))
    bench.server.before = cut_at_expunge
    undone(bench)
    bench.server.before = lambda step: None
    report = delete(bench)
    assert (report.exit_code, in_maildrop(bench)) == (ExitCode.NOT_FINISHED, list(MAIL))
    assert "undo" in str(report.error)


def test_the_last_copies_stay_unless_a_person_says_otherwise(bench: Bench) -> None:
    """Its own source has deleted the first, and a source that had borrowed it the second."""
    bench.run(bench.mbox(MAIL[1], MAIL[2]), bench.drop(*MAIL[:2]))
    assert counts(delete(bench)) == {"deleted": 2}
    assert outcome(foreseen(bench)) == {"removed": 1, "last": 2}
    report = undone(bench)
    assert (report.exit_code, outcome(report)) == (ExitCode.INCOMPLETE, {"removed": 1, "last": 2})
    assert bench.held() == Counter(MAIL[:2])
    assert outcome(foreseen(bench, also_deleted=True)) == {"removed": 2}
    assert outcome(undone(bench, also_deleted=True)) == {"removed": 2}
    history = read_history(bench.options.state_dir, MemoryTarget.identity)
    assert history is not None
    with closing(history):
        assert history.trace("u1")[0].lines()[-1] == "deleted at the source; run 2"


def test_what_came_back_to_its_source_is_undone_as_any_other(bench: Bench) -> None:
    bench.run(bench.drop(*MAIL))
    delete(bench)
    assert bench.pop3 is not None
    bench.pop3.restore()
    bench.run(again(bench))
    assert outcome(undone(bench)) == {"removed": 4}


def test_a_journal_that_may_not_know_what_was_deleted_removes_nothing(bench: Bench) -> None:
    bench.run(bench.drop(*MAIL))
    old = (directory(bench.options.state_dir, MemoryTarget.identity) / "journal.db").read_bytes()
    delete(bench)
    (directory(bench.options.state_dir, MemoryTarget.identity) / "journal.db").write_bytes(old)
    with pytest.raises(UsageError, match="may be the last copy"):
        foreseen(bench)
    with pytest.raises(UsageError, match="may be the last copy"):
        undone(bench)
    assert bench.held() == Counter(MAIL)


# repaired copies


def test_what_was_repaired_stays_at_the_source_whatever_is_asked_for(bench: Bench) -> None:
    """Elsewhere its octets are in the quarantine alone, which is a directory of its owner."""
    broken = mail("nul", "X: \0x\r\n")
    bench.server.fate = lambda upload: Fate.REFUSED if b"\0" in upload.octets.head() else Fate.STORED
    bench.run(bench.drop(*MAIL, broken), quarantine=bench.path / "q", repair=("nul",))
    report = delete(bench, Choice(also_rewritten=True))
    assert (report.exit_code, counts(report)) == (ExitCode.INCOMPLETE, {"deleted": 4, "rewritten": 1})
    assert "repaired before it was stored: nul" in report.text()
    assert in_maildrop(bench) == [broken]
    bench.server.move("INBOX", 5, "Mine")
    assert counts(delete(bench, Choice(also_rewritten=True))) == {"rewritten": 1}
