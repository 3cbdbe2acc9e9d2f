"""The spine, whole: real sources and the real journal, a scripted POP3 server, a target in memory."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from hashlib import sha256
from pathlib import Path

import pytest

from pop2imap.credentials import Secret
from pop2imap.errors import (
    Again,
    AuthenticationFailed,
    ExitCode,
    FolderError,
    HostUnavailable,
    NotFinished,
    ServerBusy,
)
from pop2imap.job import Job
from pop2imap.journal.history import read_history
from pop2imap.migrate import migrate
from pop2imap.model import Account, Refused, Remark, Upload
from pop2imap.options import Mark, Options
from pop2imap.pipeline import Stop
from pop2imap.progress import Silent
from pop2imap.report import Count, Report
from pop2imap.rules import toml
from pop2imap.sources import Source
from pop2imap.sources.mbox import MboxSource
from pop2imap.sources.pop3 import Pop3Source
from pop2imap.target import Feed, Target
from tests.fakes.memory_target import Fate, MemoryServer, MemoryTarget, like_courier, like_dovecot
from tests.fakes.pop3_server import Maildrop, Pop3Server

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def mail(number: int | str, more: str = "") -> bytes:
    return (
        f"From: bob@example.org\r\nSubject: {number}\r\nDate: Mon, 04 May 2020 10:00:00 +0000\r\n{more}\r\n"
        f"body of {number}\r\n"
    ).encode()


def mbox_of(*messages: bytes) -> bytes:
    envelope = b"From bob@example.org Mon May 04 10:00:00 2020\n"
    return b"".join(envelope + octets.replace(b"\r\n", b"\n") + b"\n" for octets in messages)


@dataclass
class Bench:
    """One account on a bench: an mbox, a maildrop, a target, a journal."""

    path: Path
    stack: ExitStack
    server: MemoryServer = field(default_factory=MemoryServer)
    maildrop: Maildrop = field(default_factory=Maildrop)
    rules: str = ""
    options: Options = field(default_factory=Options)
    waits: list[float] = field(default_factory=list)
    pop3: Pop3Server | None = None
    mend: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        self.options = replace(self.options, state_dir=self.path / "state", fence=0.0, mark=Mark("unseen"))

    def mbox(self, *messages: bytes, name: str = "inbox.mbox") -> MboxSource:
        (self.path / name).write_bytes(mbox_of(*messages))
        return MboxSource(self.path / name)

    def drop(self, *messages: bytes) -> Pop3Source:
        """A POP3 source of these messages; the server is the same one each time."""
        self.maildrop.mail = list(messages)
        if self.pop3 is None:
            self.pop3 = self.stack.enter_context(Pop3Server(self.maildrop))
        return Pop3Source(self.pop3.address(), "alice", Secret("secret"))

    def run(
        self,
        *sources: Source,
        dry_run: bool = False,
        stop: Stop | None = None,
        target: Target | None = None,
        **options: object,
    ) -> Report:
        job = Job(
            sources,
            target or MemoryTarget(self.server),
            toml.parse(f"version = 1\n{self.rules}", "rules.toml"),
            replace(self.options, **options),  # type: ignore[arg-type]
            dry_run,
        )
        return migrate(job, Silent(), stop or Stop(), now=lambda: NOW, sleep=self.sleep)

    def sleep(self, seconds: float) -> None:
        """Waits take no time, and are written down; whoever waits may find things mended."""
        self.waits.append(seconds)
        self.mend()

    def held(self, folder: str = "INBOX") -> Counter[bytes]:
        return Counter(self.server.octets_in(folder))


@pytest.fixture
def bench(tmp_path: Path) -> object:
    with ExitStack() as stack:
        yield Bench(tmp_path, stack)


def counts(report: Report) -> dict[str, int]:
    return {account.value: count.messages for account, count in report.counts.items() if count.messages}


def test_a_run_moves_everything_and_the_next_one_nothing(bench: Bench) -> None:
    first = bench.run(bench.mbox(mail(1), mail(2)))
    assert (first.exit_code, counts(first), first.moved.messages) == (ExitCode.OK, {"stored": 2}, 2)
    assert bench.held() == Counter([mail(1), mail(2)])
    second = bench.run(bench.mbox(mail(1), mail(2), mail(3)))
    assert (counts(second), second.moved.messages) == ({"stored": 3}, 1)
    third = bench.run(bench.mbox(mail(1), mail(2), mail(3)))
    assert (counts(third), third.moved) == ({"stored": 3}, Count())
    assert bench.held() == Counter([mail(1), mail(2), mail(3)])


def test_twins_of_one_source_are_both_kept(bench: Bench) -> None:
    assert counts(bench.run(bench.mbox(mail(1), mail(1)))) == {"stored": 2}
    assert bench.held() == Counter({mail(1): 2})
    assert bench.run(bench.mbox(mail(1), mail(1))).moved.messages == 0


def test_the_same_octets_from_two_sources_are_one_message(bench: Bench) -> None:
    report = bench.run(bench.drop(mail(1), mail(2)), bench.mbox(mail(2), mail(3), mail(2)))
    assert counts(report) == {"stored": 4, "present": 1}
    assert bench.held() == Counter({mail(1): 1, mail(2): 2, mail(3): 1}), "the mbox has two of them"
    assert report.exit_code is ExitCode.OK
    assert bench.run(bench.drop(mail(1), mail(2)), bench.mbox(mail(2), mail(3), mail(2))).moved.messages == 0


def test_what_was_begun_from_one_source_borrows_no_copy_from_another(bench: Bench) -> None:
    """Else all of its twins would stand for the one copy that another source has brought."""
    bench.rules = RULES
    twin = mail("both 1")
    folders = iter([Fate.STORED] * 3 + [Fate.REFUSED_NOW] * 9)
    bench.server.fate = lambda upload: next(folders)
    report = bench.run(bench.mbox(twin, twin, twin))
    assert counts(report) == {"pending": 3}
    assert bench.held("Copies") == Counter({twin: 3})
    bench.server.fate = lambda upload: Fate.STORED
    report = bench.run(bench.drop(twin), bench.mbox(twin, twin, twin))
    assert counts(report) == {"stored": 4}
    assert bench.held("Rest")[twin] >= 3, "no copy of the mbox is missing anywhere"
    assert bench.held("Copies")[twin] >= 3


def test_keep_duplicates_keeps_them(bench: Bench) -> None:
    report = bench.run(bench.drop(mail(1)), bench.mbox(mail(1)), keep_duplicates=True)
    assert counts(report) == {"stored": 2}


@pytest.mark.parametrize("appenduid", [True, False])
@pytest.mark.parametrize("rewrite", [like_dovecot, like_courier])
def test_what_the_target_held_before_counts_as_present_one_by_one(
    bench: Bench, appenduid: bool, rewrite: Callable[[bytes], bytes]
) -> None:
    bench.server.appenduid = appenduid
    bench.server.rewrite = rewrite
    awkward = mail(1).replace(b"body", b"bo\ndy")
    bench.server.deliver("INBOX", rewrite(awkward))
    source = bench.mbox(mail(1), mail(2)).folder
    assert source == "inbox"
    report = bench.run(bench.drop(awkward, awkward, mail(2)))
    assert counts(report) == {"stored": 2, "present": 1}
    assert sum(bench.held().values()) == 3
    # a twin that comes later is not mistaken for a copy that is ours
    report = bench.run(bench.drop(awkward, awkward, mail(2), mail(2)))
    assert (counts(report), report.moved.messages) == ({"stored": 3, "present": 1}, 1)
    assert bench.held()[rewrite(mail(2))] == 2


def test_assume_empty_does_not_look(bench: Bench) -> None:
    bench.server.deliver("INBOX", mail(1))
    assert counts(bench.run(bench.mbox(mail(1)), assume_empty=True)) == {"stored": 1}


def test_a_renumbered_folder_is_compared_by_content(bench: Bench) -> None:
    bench.run(bench.mbox(mail(1)))
    bench.server.renumber("INBOX")
    bench.server.deliver("INBOX", mail(2))
    report = bench.run(bench.mbox(mail(1), mail(2)), assume_empty=True)
    assert counts(report) == {"stored": 1, "present": 1}
    assert any("new UIDVALIDITY" in remark for remark in report.remarks)


def test_a_twin_that_comes_after_a_renumbering_is_not_mistaken_for_our_own_copy(bench: Bench) -> None:
    bench.run(bench.mbox(mail(1)))
    bench.server.renumber("INBOX")
    assert counts(bench.run(bench.mbox(mail(1), mail(1)))) == {"stored": 2}
    assert bench.held() == Counter({mail(1): 2})


RULES = """
[[rule]]
name = "Spam"
when = { subject = "spam*" }
then = { skip = "spam" }

[[rule]]
name = "Copy"
when = { subject = "both*" }
then = { folder = "Copies", continue = true }

[[rule]]
name = "Rest"
then = { folder = "Rest" }
"""


def test_rules_place_copy_and_skip_and_the_report_tells(bench: Bench) -> None:
    bench.rules = RULES
    report = bench.run(bench.mbox(mail("spam 1"), mail("both 2"), mail(3)))
    assert counts(report) == {"stored": 2, "skipped": 1}
    assert (report.moved.messages, report.extra_copies) == (2, 1)
    assert bench.held("Copies") == Counter([mail("both 2")])
    assert bench.held("Rest") == Counter([mail("both 2"), mail(3)])
    assert dict(report.rules) == {"Spam": 1, "Copy": 1, "Rest": 2}
    assert report.skipped_why == {"spam": 1}
    assert report.unsafe_because() == ("1 skipped",)


def test_skipped_mail_is_decided_again_when_the_rules_changed_and_stored_mail_stays(bench: Bench) -> None:
    bench.rules = RULES
    bench.run(bench.mbox(mail("spam 1"), mail(3)))
    bench.rules = '[[rule]]\nname = "All"\nthen = { folder = "New" }\n'
    plan = bench.run(bench.mbox(mail("spam 1"), mail(3)), dry_run=True)
    assert any("1 messages that are stored already would go to another folder" in r for r in plan.remarks)
    report = bench.run(bench.mbox(mail("spam 1"), mail(3)))
    assert counts(report) == {"stored": 2}
    assert bench.held("New") == Counter([mail("spam 1")])
    assert bench.held("Rest") == Counter([mail(3)])
    assert any("placed by other rules" in remark for remark in report.remarks)


def test_days_out_of_range_wait_for_a_run_that_wants_them(bench: Bench) -> None:
    assert counts(bench.run(bench.mbox(mail(1)), since=date(2021, 1, 1))) == {"skipped": 1}
    assert counts(bench.run(bench.mbox(mail(1)))) == {"stored": 1}


def test_a_limit_leaves_the_rest_pending_and_running_again_goes_on(bench: Bench) -> None:
    messages = [mail(number) for number in range(5)]
    first = bench.run(bench.mbox(*messages), limit=2)
    assert (counts(first), first.exit_code) == ({"stored": 2, "pending": 3}, ExitCode.NOT_FINISHED)
    second = bench.run(bench.mbox(*messages), limit=2)
    assert (counts(second), second.moved.messages) == ({"stored": 4, "pending": 1}, 2)
    assert bench.run(bench.mbox(*messages), limit=2).exit_code is ExitCode.OK
    assert bench.held() == Counter(messages)


def test_a_limit_holds_for_all_tries_of_a_run_together(bench: Bench) -> None:
    fates = iter([Fate.STORED, Fate.STORED, Fate.STORED, Fate.LOST])
    bench.server.fate = lambda upload: next(fates, Fate.STORED)
    report = bench.run(bench.mbox(*[mail(number) for number in range(10)]), limit=4)
    assert counts(report) == {"stored": 4, "pending": 6}


def test_a_refused_message_costs_one_message_and_is_not_tried_again(bench: Bench) -> None:
    def refuse_two(upload: Upload) -> Fate:
        return Fate.REFUSED if b"Subject: 2" in b"".join(upload.octets.chunks()) else Fate.STORED

    bench.server.fate = refuse_two
    report = bench.run(bench.drop(mail(1), mail(2), mail(3)))
    assert (counts(report), report.exit_code) == ({"stored": 2, "refused": 1}, ExitCode.INCOMPLETE)
    (problem,) = report.problems
    assert (problem.account, problem.key, problem.subject) == (Account.REFUSED, "u2", "2")
    assert problem.reason
    assert bench.pop3 is not None
    assert not bench.pop3.wait()[-1].quit, "it exists at the source only: no QUIT"
    bench.server.fate = lambda upload: Fate.STORED
    again = bench.run(bench.drop(mail(1), mail(2), mail(3)))
    assert (counts(again), again.moved.messages) == ({"stored": 2, "refused": 1}, 0)
    assert again.problems[0].subject == "2", "the report of a later run names it too"
    assert bench.pop3.wait()[-1].retrieved == []


def test_a_message_larger_than_the_target_takes_is_refused_before_it_is_sent(bench: Bench) -> None:
    bench.server.append_limit = 500
    messages = (mail(1), mail(2).replace(b"body", b"body " * 200))
    for dry_run in (True, False):
        report = bench.run(bench.mbox(*messages), dry_run=dry_run)
        assert counts(report)["refused"] == 1
        assert "the target takes 500 at most" in report.problems[0].reason
        assert report.exit_code is ExitCode.INCOMPLETE
    assert bench.held() == Counter([mail(1)])


def test_a_folder_that_cannot_be_made_refuses_its_mail_only(bench: Bench) -> None:
    bench.rules = RULES
    bench.server.no_folder.add("Copies")
    report = bench.run(bench.mbox(mail("both 2"), mail(3)))
    assert counts(report) == {"stored": 1, "refused": 1}
    assert bench.held("Rest") == Counter([mail("both 2"), mail(3)])


EACH = """
[[rule]]
name = "Each"
then = { folder = "By/{from}" }
"""


def test_folders_are_made_for_mail_that_is_placed_and_for_no_other(bench: Bench) -> None:
    bench.rules = EACH + RULES
    mails = [mail(number).replace(b"bob@", b"bob%d@" % number) for number in range(9)]
    bench.run(bench.mbox(*mails), limit=2)
    assert sorted(bench.server.mailboxes) == ["By/bob0@example.org", "By/bob1@example.org", "INBOX"]
    bench.run(bench.mbox(*mails[:5]))
    assert len(bench.server.mailboxes) == 6
    assert len(bench.held("By/bob4@example.org")) == 1


def test_a_full_target_ends_the_run_and_a_later_one_goes_on(bench: Bench) -> None:
    bench.server.fate = lambda upload: Fate.REFUSED_NOW
    report = bench.run(bench.mbox(mail(1), mail(2)))
    assert (counts(report), report.exit_code) == ({"pending": 2}, ExitCode.NOT_FINISHED)
    assert isinstance(report.error, ServerBusy)
    bench.server.fate = lambda upload: Fate.STORED
    assert counts(bench.run(bench.mbox(mail(1), mail(2)))) == {"stored": 2}
    assert bench.held() == Counter([mail(1), mail(2)])


@pytest.mark.parametrize("appenduid", [True, False])
@pytest.mark.parametrize("fate", [Fate.LOST, Fate.LOST_ANSWER])
def test_a_lost_connection_is_opened_again_and_nothing_comes_twice(
    bench: Bench, fate: Fate, appenduid: bool
) -> None:
    bench.server.appenduid = appenduid
    fates = iter([Fate.STORED, fate])
    bench.server.fate = lambda upload: next(fates, Fate.STORED)
    messages = [mail(number) for number in range(6)]
    report = bench.run(bench.mbox(*messages, messages[0]))
    assert (counts(report), report.exit_code) == ({"stored": 7}, ExitCode.OK)
    assert bench.held() == Counter([*messages, messages[0]])


def test_an_uploading_session_that_cannot_be_opened_at_once_is_tried_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = iter([True])
    append = MemoryTarget.append

    def no_connection(target: MemoryTarget, feed: Feed, session: int = 0) -> None:
        while next(tries, False) and (batch := feed.next(wait=True)):
            feed.done(batch, [Refused("not sent: nothing listens there", Again.NOW)] * len(batch.uploads))
        append(target, feed, session)

    monkeypatch.setattr(MemoryTarget, "append", no_connection)
    report = bench.run(bench.mbox(mail(1), mail(2)))
    assert (counts(report), report.exit_code) == ({"stored": 2}, ExitCode.OK)
    assert sum(bench.waits) == pytest.approx(1)


def test_a_target_that_never_answers_ends_the_run_after_some_tries(bench: Bench) -> None:
    bench.server.fate = lambda upload: Fate.LOST
    report = bench.run(bench.mbox(mail(1)))
    assert (counts(report), report.exit_code) == ({"pending": 1}, ExitCode.NOT_FINISHED)
    assert sum(bench.waits) == pytest.approx(1 + 2 + 4 + 8)
    bench.server.fate = lambda upload: Fate.STORED
    assert counts(bench.run(bench.mbox(mail(1)))) == {"stored": 1}
    assert bench.held() == Counter([mail(1)])


def test_a_maildrop_that_breaks_off_is_opened_again(bench: Bench) -> None:
    source = bench.drop(*[mail(number) for number in range(1, 8)])
    bench.maildrop.cut = {"RETR 4": 30}

    bench.mend = lambda: bench.maildrop.cut.clear()
    report = bench.run(source)
    assert (counts(report), report.exit_code) == ({"stored": 7}, ExitCode.OK)
    assert bench.held() == Counter(bench.maildrop.mail)
    assert dict(report.rules) == {}
    assert sum(report.dates.values()) == 7, "what was read twice counts once"


class Stalls:
    """An answer that stops in its middle the first time, until ``go_on``."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.times = 0

    def __iter__(self) -> Iterator[bytes]:
        self.times += 1
        yield b"+OK\r\nSubject: slow\r\n"
        if self.times == 1:
            self.go_on.wait(20)
        yield b"\r\nbody\r\n.\r\n"


def test_messages_that_break_every_session_cost_themselves_alone(bench: Bench) -> None:
    """QUIRK(Dovecot, Courier): of a message that is a dot, the dot is not stuffed, so it looks like the end."""
    mail_of_dots = [mail(1), b".\r\n", b".\r\n", mail(2), b".\r\n", mail(3)]
    bench.maildrop.answers = {f"RETR {number}": b"+OK\r\n.\r\n.\r\n" for number in (2, 3, 5)}
    report = bench.run(bench.drop(*mail_of_dots))
    assert (counts(report), report.exit_code) == ({"stored": 3, "unreadable": 3}, ExitCode.INCOMPLETE)
    assert bench.held() == Counter([mail(1), mail(2), mail(3)])


def test_a_maildrop_that_stalls_while_the_target_breaks_is_left_and_not_blamed(bench: Bench) -> None:
    """Its reader waits for the rest of a message, and has to be gone before anything is opened anew."""
    source = bench.drop(*[mail(number) for number in range(1, 101)])
    stalls = Stalls()
    bench.maildrop.answers = {"RETR 90": stalls}
    fates = iter([Fate.LOST])
    bench.server.fate = lambda upload: next(fates, Fate.STORED)
    try:
        report = bench.run(source)
        assert not [thread.name for thread in threading.enumerate() if thread.name == "reader"]
    finally:
        stalls.go_on.set()
    assert counts(report) == {"stored": 100}
    assert stalls.times == 2
    assert not any("one at a time" in remark for remark in report.remarks)


def test_quit_comes_only_when_everything_is_settled(bench: Bench) -> None:
    assert bench.run(bench.drop(mail(1))).exit_code is ExitCode.OK
    assert bench.pop3 is not None
    assert bench.pop3.wait()[-1].quit
    bench.server.fate = lambda upload: Fate.REFUSED_NOW
    bench.run(bench.drop(mail(1), mail(2)))
    assert bench.pop3.wait()[-1].retrieved
    assert not bench.pop3.wait()[-1].quit


def test_renamed_uidls_are_known_by_their_octets(bench: Bench) -> None:
    messages = [mail(number) for number in range(20)]
    bench.run(bench.drop(*messages))
    bench.maildrop.uids = [*(f"u{number}" for number in range(1, 19)), "new19", "new20"]
    report = bench.run(bench.drop(*messages))
    assert (counts(report), report.moved.messages) == ({"stored": 20}, 0)
    assert bench.held() == Counter(messages)
    assert bench.run(bench.drop(*messages)).moved.messages == 0
    assert bench.pop3 is not None
    assert bench.pop3.wait()[-1].retrieved == [], "the new names are known by now"


def test_a_renumbered_maildrop_stops_the_run_until_somebody_agrees(bench: Bench) -> None:
    messages = [mail(number) for number in range(20)]
    bench.run(bench.drop(*messages))
    bench.maildrop.uids = [f"other{number}" for number in range(20)]
    report = bench.run(bench.drop(*messages))
    assert report.exit_code is ExitCode.NOT_FINISHED
    assert isinstance(report.error, NotFinished)
    assert "--accept-renumbered" in str(report.error)
    report = bench.run(bench.drop(*messages), accept_renumbered=True)
    assert (counts(report), report.moved.messages) == ({"stored": 20}, 0)
    assert bench.held() == Counter(messages)


def test_a_maildrop_without_uidl_moves_nothing_twice(bench: Bench) -> None:
    bench.maildrop.answers = {"UIDL": b"-ERR what?\r\n"}
    assert counts(bench.run(bench.drop(mail(1), mail(1), mail(2)))) == {"stored": 3}
    report = bench.run(bench.drop(mail(2), mail(1), mail(1), mail(3)))
    assert (counts(report), report.moved.messages) == ({"stored": 4}, 1)
    assert bench.held() == Counter([mail(1), mail(1), mail(2), mail(3)])
    plan = bench.run(bench.drop(mail(1)), dry_run=True)
    assert any("does not name all its messages" in remark for remark in plan.remarks)


def test_a_long_maildrop_without_uidl_is_not_taken_for_a_renumbered_one(bench: Bench) -> None:
    bench.maildrop.answers = {"UIDL": b"-ERR what?\r\n"}
    messages = [mail(number) for number in range(12)]
    bench.run(bench.drop(*messages))
    report = bench.run(bench.drop(*messages))
    assert (counts(report), report.moved.messages, report.error) == ({"stored": 12}, 0, None)


def test_a_limit_gets_on_without_uidl(bench: Bench) -> None:
    bench.maildrop.answers = {"UIDL": b"-ERR what?\r\n"}
    messages = [mail(number) for number in range(5)]
    ran = [counts(bench.run(bench.drop(*messages), limit=2)) for _ in range(3)]
    assert ran == [{"stored": 2, "pending": 3}, {"stored": 4, "pending": 1}, {"stored": 5}]
    assert bench.held() == Counter(messages)


def test_a_new_twin_without_uidl_is_no_new_name_of_the_old_one(bench: Bench) -> None:
    bench.maildrop.answers = {"UIDL": b"-ERR what?\r\n"}
    bench.run(bench.drop(mail(1)))
    assert counts(bench.run(bench.drop(mail(1), mail(1)))) == {"stored": 2}
    assert bench.held() == Counter({mail(1): 2})


def test_a_renamed_message_keeps_its_account(bench: Bench) -> None:
    bench.server.deliver("INBOX", mail(1))
    assert counts(bench.run(bench.drop(mail(1)))) == {"present": 1}
    bench.maildrop.uids = ["another"]
    assert counts(bench.run(bench.drop(mail(1)))) == {"present": 1}


def test_a_twin_between_two_folders_is_no_new_name_of_one_that_vanished(bench: Bench) -> None:
    """It has copies of its own: it is brought to its end, not given up for the other."""
    bench.rules = RULES
    twin = mail("both 1")
    bench.run(bench.drop(twin))
    fates = iter([Fate.STORED, Fate.REFUSED_NOW])
    bench.server.fate = lambda upload: next(fates, Fate.STORED)
    assert counts(bench.run(bench.drop(twin, twin))) == {"stored": 1, "pending": 1}
    bench.maildrop.uids = ["u2"]
    assert counts(bench.run(bench.drop(twin))) == {"stored": 1}
    assert (bench.held("Copies"), bench.held("Rest")) == (Counter({twin: 2}), Counter({twin: 2}))


def test_a_message_that_the_source_does_not_give_is_reported_and_tried_again(bench: Bench) -> None:
    bench.maildrop.answers = {"RETR 2": b"-ERR cannot convert it\r\n"}
    report = bench.run(bench.drop(mail(1), mail(2), mail(3)))
    assert (counts(report), report.exit_code) == ({"stored": 2, "unreadable": 1}, ExitCode.INCOMPLETE)
    bench.maildrop.answers = {}
    assert counts(bench.run(bench.drop(mail(1), mail(2), mail(3)))) == {"stored": 3}


def test_mail_that_the_mail_program_deleted_is_skipped_in_words(bench: Bench) -> None:
    report = bench.run(bench.mbox(b"X-Mozilla-Status: 0009\r\n" + mail(1), mail(2)))
    assert counts(report) == {"stored": 1, "skipped": 1}
    assert "deleted" in next(iter(report.skipped_why))


def test_flags_that_the_target_cannot_keep_are_counted(bench: Bench) -> None:
    bench.server.make("INBOX").kept = frozenset({"\\seen"})
    report = bench.run(bench.mbox(mail(1, "Status: RO\r\nX-Status: F\r\nX-Keywords: work\r\n")))
    assert report.dropped_flags == {"\\Flagged": 1, "work": 1}
    assert next(iter(bench.server.mailboxes["INBOX"].mail.values())).flags == {"\\Seen"}


def test_a_wrong_password_at_the_source_is_the_error_of_the_report(bench: Bench) -> None:
    bench.maildrop.users = {"alice": "another"}
    report = bench.run(bench.drop(mail(1)))
    assert isinstance(report.error, AuthenticationFailed)
    assert (report.exit_code, report.listed) == (ExitCode.AUTHENTICATION, Count())
    assert "nothing was listed" in report.unsafe_because()
    assert bench.pop3 is not None
    assert len(bench.pop3.sessions) == 1, "a password that was refused is not tried again"


def test_a_server_that_asks_for_a_short_pause_gets_it(bench: Bench) -> None:
    source = bench.drop(mail(1))
    bench.maildrop.capabilities = (*(bench.maildrop.capabilities or ()), "LOGIN-DELAY 7")
    bench.maildrop.answers = {"PASS": b"-ERR [LOGIN-DELAY] too soon\r\n"}

    bench.mend = lambda: bench.maildrop.answers.clear()
    report = bench.run(source)
    assert counts(report) == {"stored": 1}
    assert sum(bench.waits) == pytest.approx(7)


def test_a_stop_while_waiting_ends_the_run(bench: Bench) -> None:
    stop = Stop()
    bench.server.fate = lambda upload: Fate.LOST
    bench.mend = stop.set
    report = bench.run(bench.mbox(mail(1)), stop=stop)
    assert (counts(report), report.exit_code) == ({"pending": 1}, ExitCode.INTERRUPTED)
    assert len(bench.waits) == 1


def test_a_folder_that_cannot_be_looked_into_gets_nothing_blindly(bench: Bench) -> None:
    bench.rules = RULES
    bench.server.deliver("Copies", mail("both 2"))

    def no_right_to_read(step: str) -> None:
        if step == "survey":
            raise FolderError("no right to read it", where="Copies")

    bench.server.before = no_right_to_read
    report = bench.run(bench.mbox(mail("both 2"), mail(3)))
    assert (counts(report), report.exit_code) == ({"stored": 1, "refused": 1}, ExitCode.INCOMPLETE)
    assert "no right to read it" in report.problems[0].reason
    assert bench.held("Copies") == Counter([mail("both 2")])
    assert bench.held("Rest") == Counter([mail("both 2"), mail(3)])


def test_the_journal_remembers_how_each_run_ended(bench: Bench) -> None:
    bench.run(bench.mbox(mail(1), mail(2)), limit=1)
    bench.server.refuse.add(sha256(mail(2)).digest())
    bench.run(bench.mbox(mail(1), mail(2)))
    history = read_history(bench.options.state_dir, MemoryTarget(bench.server).identity)
    assert history is not None
    try:
        assert [run.exit_code for run in history.status().runs] == [
            ExitCode.INCOMPLETE,
            ExitCode.NOT_FINISHED,
        ]
    finally:
        history.close()


def test_a_stop_before_the_start_moves_nothing(bench: Bench) -> None:
    stop = Stop()
    stop.exit_code = ExitCode.NOT_FINISHED
    stop.set()
    report = bench.run(bench.mbox(mail(1)), stop=stop)
    assert report.exit_code is ExitCode.NOT_FINISHED
    assert not bench.held()


def test_after_a_stop_between_two_sources_nothing_is_said_to_be_safe(bench: Bench) -> None:
    stop = Stop()
    first, second = bench.mbox(mail(1), name="first.mbox"), bench.mbox(mail(2), name="second.mbox")
    close = first.close

    def stop_and_close(*, settled: bool) -> tuple[Remark, ...]:
        stop.set()
        return close(settled=settled)

    first.close = stop_and_close  # type: ignore[method-assign]
    report = bench.run(first, second, stop=stop)
    assert (counts(report), report.exit_code) == ({"stored": 1}, ExitCode.INTERRUPTED)
    assert report.unsafe_because()


def test_a_plan_writes_nowhere_and_foresees_the_run(bench: Bench) -> None:
    bench.rules = RULES
    bench.server.deliver("Rest", mail(3))
    messages = (mail("spam 1"), mail("both 2"), mail(3), mail(4))
    plan = bench.run(bench.mbox(*messages), dry_run=True, full=True)
    assert counts(plan) == {"pending": 2, "skipped": 1, "present": 1}
    assert plan.exit_code is ExitCode.OK
    assert not bench.options.state_dir.exists()
    assert bench.held("Rest") == Counter([mail(3)])
    report = bench.run(bench.mbox(*messages))
    assert counts(report) == {"stored": 2, "skipped": 1, "present": 1}
    assert [(f.folder, f.added) for f in plan.folders] == [(f.folder, f.added) for f in report.folders]
    assert plan.rules == report.rules


def test_a_plan_over_pop3_reads_heads_only_and_says_what_it_does_not_know(bench: Bench) -> None:
    bench.server.deliver("INBOX", mail(1))
    plan = bench.run(bench.drop(mail(1), mail(2)), dry_run=True)
    assert counts(plan) == {"pending": 2}
    assert any("now with --full" in remark for remark in plan.remarks)
    assert bench.pop3 is not None
    assert bench.pop3.wait()[-1].retrieved == []
    full = bench.run(bench.drop(mail(1), mail(2)), dry_run=True, full=True)
    assert counts(full) == {"pending": 1, "present": 1}
    assert not bench.pop3.wait()[-1].quit


def test_a_plan_works_without_its_target_and_says_so(bench: Bench) -> None:
    def unreachable(step: str) -> None:
        raise HostUnavailable("nothing listens there", where="imap.example:993")

    bench.server.before = unreachable
    plan = bench.run(bench.mbox(mail(1)), dry_run=True)
    assert (counts(plan), plan.exit_code) == ({"pending": 1}, ExitCode.OK)
    assert any("the target cannot be asked" in remark for remark in plan.remarks)


def test_a_plan_compares_with_the_quota(bench: Bench) -> None:
    bench.server.quota_octets = 50
    plan = bench.run(bench.mbox(mail(1)), dry_run=True)
    assert any("quota is too small" in remark for remark in plan.remarks)
