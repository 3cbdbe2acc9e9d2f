"""What the target refuses: kept in the quarantine, changed as far as that was allowed, and tried again when asked."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from pop2imap.credentials import Secret
from pop2imap.errors import ExitCode, LocalIOError
from pop2imap.journal.history import read_history
from pop2imap.model import Upload
from pop2imap.pipeline import Stop
from pop2imap.progress import Silent
from pop2imap.report import Report
from pop2imap.sources import Source
from pop2imap.target.imap import ImapTarget
from pop2imap.verify import verify
from tests.fakes.imap_server import PASSWORD, USER, ImapAccount, ImapServer
from tests.fakes.memory_target import Fate, MemoryTarget, as_sent
from tests.unit.test_migrate import Bench, counts, mail

NUL = mail("nul", "X: \0\0x\r\n")
MENDED = NUL.replace(b"\0", b"")
LF = mail("lf").replace(b"body", b"bo\ndy")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with ExitStack() as stack:
        yield Bench(tmp_path, stack)


def like_cyrus(bench: Bench) -> None:
    """QUIRK(Cyrus): refuses NUL and bare LF."""

    def fate(upload: Upload) -> Fate:
        octets = b"".join(upload.octets.chunks())
        bad = b"\0" in octets or octets.count(b"\n") != octets.count(b"\r\n")
        return Fate.REFUSED if bad else Fate.STORED

    bench.server.fate = fate


def kept(path: Path) -> Counter[bytes]:
    return Counter(file.read_bytes() for file in path.glob("*.eml"))


def test_each_refused_message_is_kept_beside_its_line_in_the_report(bench: Bench) -> None:
    like_cyrus(bench)
    report = bench.run(bench.drop(mail(1), NUL, LF), quarantine=bench.path / "q")
    assert (counts(report), report.exit_code) == ({"stored": 1, "refused": 2}, ExitCode.INCOMPLETE)
    assert kept(bench.path / "q") == Counter([NUL, LF])
    saved = {problem.subject: problem.saved for problem in report.problems}
    assert saved == {
        "nul": str(bench.path / "q" / f"{sha256(NUL).hexdigest()}.eml"),
        "lf": str(bench.path / "q" / f"{sha256(LF).hexdigest()}.eml"),
    }
    assert f"kept as {saved['nul']}" in report.text()
    assert {problem["saved"] for problem in report.as_dict()["problems"]} == set(saved.values())


def test_what_an_earlier_run_refused_is_kept_too_and_not_sent_again(bench: Bench) -> None:
    like_cyrus(bench)
    bench.run(bench.drop(mail(1), NUL))
    bench.server.fate = lambda upload: pytest.fail("nothing is to be sent")
    report = bench.run(bench.drop(mail(1), NUL), quarantine=bench.path / "q")
    assert counts(report) == {"stored": 1, "refused": 1}
    assert kept(bench.path / "q") == Counter([NUL])
    again = bench.run(bench.drop(mail(1), NUL), quarantine=bench.path / "q")
    assert again.problems == report.problems, "its file is known without reading the message"


def test_a_quarantine_that_cannot_be_is_said_before_anything_is_done(bench: Bench) -> None:
    (bench.path / "q").write_text("a file")
    report = bench.run(bench.drop(mail(1)), quarantine=bench.path / "q")
    assert isinstance(report.error, LocalIOError)
    assert not bench.server.log


def test_a_full_quarantine_ends_the_run_and_the_message_is_kept_by_the_next(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    like_cyrus(bench)
    path = bench.path / "q"
    path.mkdir()
    in_its_way = path / f"{sha256(NUL).hexdigest()}.eml"
    in_its_way.mkdir()  # as good as a disk that takes no file
    report = bench.run(bench.drop(NUL, mail(1)), quarantine=path)
    assert report.exit_code is ExitCode.LOCAL_IO
    assert counts(report) == {"stored": 1, "pending": 1}
    in_its_way.rmdir()
    report = bench.run(bench.drop(NUL, mail(1)), quarantine=path)
    assert counts(report) == {"stored": 1, "refused": 1}
    assert kept(path) == Counter([NUL])
    assert bench.held() == Counter([mail(1)])


def test_a_repair_is_tried_on_what_was_refused_and_the_original_is_kept(bench: Bench) -> None:
    like_cyrus(bench)
    report = bench.run(bench.drop(mail(1), NUL, LF), quarantine=bench.path / "q", repair=("nul",))
    assert counts(report) == {"stored": 2, "refused": 1}
    assert bench.held() == Counter([mail(1), MENDED])
    assert kept(bench.path / "q") == Counter([NUL, LF])
    (repaired,) = report.repaired
    assert repaired.repairs == ("nul",)
    assert Path(repaired.saved).read_bytes() == NUL
    assert "1 repaired" in " ".join(report.unsafe_because())
    assert report.as_dict()["repaired"][0]["repairs"] == ["nul"]
    json.dumps(report.as_dict())
    assert "1 message stored after a repair:" in report.text()


def test_a_repaired_message_is_settled_and_stays_known_as_repaired(bench: Bench) -> None:
    like_cyrus(bench)
    first = bench.run(bench.drop(NUL), quarantine=bench.path / "q", repair=("nul",))
    again = bench.run(bench.drop(NUL))
    assert (again.moved.messages, counts(again)) == (0, {"stored": 1})
    assert [one.repairs for one in again.repaired] == [("nul",)]
    assert again.unsafe_because() == first.unsafe_because()
    history = read_history(bench.options.state_dir, MemoryTarget.identity)
    assert history is not None
    (traced,) = history.trace(first.repaired[0].key)
    assert "after repair (nul)" in traced.copies[0].line()
    history.close()


def test_an_original_that_is_not_in_this_quarantine_is_not_said_to_be_there(bench: Bench) -> None:
    bench.maildrop.answers = {"UIDL": b"-ERR what?\r\n"}
    like_cyrus(bench)
    bench.run(bench.drop(NUL), quarantine=bench.path / "q", repair=("nul",))
    report = bench.run(bench.drop(NUL), quarantine=bench.path / "another")
    assert [one.saved for one in report.repaired] == [""]


def test_what_another_source_brought_repaired_is_known_as_repaired(bench: Bench) -> None:
    like_cyrus(bench)
    bench.run(bench.drop(NUL), quarantine=bench.path / "q", repair=("nul",))
    again = bench.drop(NUL)
    again.id = "pop3:alice@elsewhere.example:995"
    for _ in range(2):
        report = bench.run(again)
        assert counts(report) == {"present": 1}
        assert [one.repairs for one in report.repaired] == [("nul",)]
        assert report.unsafe_because()
    assert bench.held() == Counter([MENDED])


def test_two_faults_in_one_message_are_mended_together(bench: Bench) -> None:
    like_cyrus(bench)
    both = NUL.replace(b"body", b"bo\ndy")
    report = bench.run(bench.drop(both), quarantine=bench.path / "q", repair=("bare-lf", "nul"))
    assert counts(report) == {"stored": 1}
    assert bench.held() == Counter([MENDED.replace(b"body", b"bo\r\ndy")])
    assert report.repaired[0].repairs == ("nul", "bare-lf")


def test_a_repair_that_does_not_help_leaves_the_message_refused(bench: Bench) -> None:
    bench.server.fate = lambda upload: Fate.REFUSED if b"nul" in upload.octets.head() else Fate.STORED
    report = bench.run(bench.drop(NUL, mail(1)), quarantine=bench.path / "q", repair=("nul",))
    assert counts(report) == {"stored": 1, "refused": 1}
    assert "and changed it was refused, too" in report.problems[0].reason
    assert not report.repaired
    assert bench.held() == Counter([mail(1)])


def test_nothing_is_repaired_that_is_not_refused(bench: Bench) -> None:
    report = bench.run(bench.drop(NUL), quarantine=bench.path / "q", repair=("nul",))
    assert bench.held() == Counter([NUL])
    assert not report.repaired
    assert not kept(bench.path / "q")


def test_a_repaired_message_is_found_again_without_a_journal(bench: Bench) -> None:
    like_cyrus(bench)
    bench.run(bench.drop(NUL), quarantine=bench.path / "q", repair=("nul",))
    elsewhere = replace(bench.options, state_dir=bench.path / "new")
    bench.options = elsewhere
    report = bench.run(bench.drop(NUL), quarantine=bench.path / "q", repair=("nul",))
    assert counts(report) == {"present": 1}
    assert bench.held() == Counter([MENDED])


def test_a_repaired_copy_whose_answer_was_lost_is_recognised(bench: Bench) -> None:
    like_cyrus(bench)
    usual = bench.server.fate
    bench.server.fate = lambda upload: (
        Fate.LOST_ANSWER if usual(upload) is Fate.STORED and b"nul" in upload.octets.head() else usual(upload)
    )
    report = bench.run(bench.drop(NUL, mail(1)), quarantine=bench.path / "q", repair=("nul",))
    assert counts(report) == {"stored": 2}
    assert bench.held() == Counter([MENDED, mail(1)])
    assert [one.repairs for one in report.repaired] == [("nul",)]


def test_verify_calls_a_repaired_copy_so(bench: Bench) -> None:
    like_cyrus(bench)
    bench.run(bench.drop(NUL), quarantine=bench.path / "q", repair=("nul",))
    found = verify(
        MemoryTarget(bench.server),
        (),
        state_dir=bench.options.state_dir,
        full=True,
        progress=Silent(),
        stop=Stop(),
    )
    assert (found.exit_code, dict(found.rewritten)) == (
        ExitCode.OK,
        {"repaired before it was stored: nul": 1},
    )


def test_keywords_for_which_a_server_refuses_a_message_are_left_out(bench: Bench) -> None:
    disliked = "k" * 50

    bench.rules = f"""
        [[rule]]
        name = "tagged"
        when = {{ subject = "1" }}
        then = {{ add-flags = ["{disliked}", "short", "\\\\Flagged"] }}
    """
    bench.server.fate = lambda upload: Fate.REFUSED if disliked in upload.flags else Fate.STORED
    report = bench.run(bench.drop(mail(1), mail(2)))
    assert counts(report) == {"stored": 2}
    (tagged,) = (one for one in bench.server.mailboxes["INBOX"].mail.values() if one.octets == mail(1))
    assert tagged.flags == {"\\Flagged"}
    assert report.dropped_flags == {disliked: 1, "short": 1}


def test_a_repaired_message_under_a_new_name_is_still_known_as_repaired(bench: Bench) -> None:
    like_cyrus(bench)
    bench.run(bench.drop(NUL), quarantine=bench.path / "q", repair=("nul",))
    bench.maildrop.uids = ["another"]
    report = bench.run(bench.drop(NUL))
    assert (counts(report), report.moved.messages) == ({"stored": 1}, 0)
    assert [one.repairs for one in report.repaired] == [("nul",)]
    assert report.unsafe_because()


def test_nothing_is_repaired_for_a_server_that_is_full(bench: Bench) -> None:
    like_cyrus(bench)
    usual = bench.server.fate
    bench.server.fate = lambda upload: Fate.REFUSED_NOW if upload.octets.digest == full else usual(upload)
    full = sha256(mail(1)).digest()
    report = bench.run(bench.drop(NUL, mail(1)), quarantine=bench.path / "q", repair=("nul",))
    assert (counts(report), report.exit_code) == ({"pending": 2}, ExitCode.NOT_FINISHED)
    assert not bench.held()
    assert not kept(bench.path / "q")
    bench.server.fate = usual
    assert counts(bench.run(bench.drop(NUL, mail(1)))) == {"stored": 1, "refused": 1}


@pytest.mark.parametrize("repair", [(), ("nul", "bare-lf")])
def test_a_message_that_ends_sessions_in_every_form_does_not_keep_the_others_from_moving(
    bench: Bench, repair: tuple[str, ...]
) -> None:
    ends = NUL.replace(b"body", b"bo\ndy")

    def verdict(messages: list[bytes]) -> bytes | None:
        return b"* BYE" if any(b"nul" in octets for octets in messages) else None

    with ImapServer(ImapAccount(verdict=verdict)) as server:
        target = ImapTarget(server.address(), USER, Secret(PASSWORD))
        report = bench.run(
            bench.drop(ends, mail(1)), target=target, quarantine=bench.path / "q", repair=repair
        )
    assert counts(report) == {"stored": 1, "refused": 1}
    assert kept(bench.path / "q") == Counter([ends])


def refused_then_new(bench: Bench, **options: Any) -> Report:
    """One message stored, one refused; then the fault is gone, and one more has come."""
    like_cyrus(bench)
    bench.run(bench.drop(mail(1), NUL))
    bench.server.fate = lambda upload: Fate.STORED
    return bench.run(bench.drop(mail(1), NUL, mail(3)), **options)


def test_what_was_refused_is_not_tried_again_by_itself(bench: Bench) -> None:
    assert counts(refused_then_new(bench)) == {"stored": 2, "refused": 1}


def test_retry_refused_tries_just_those_again(bench: Bench) -> None:
    report = refused_then_new(bench, retry_refused=True)
    assert counts(report) == {"stored": 2, "pending": 1}
    assert bench.held() == Counter([mail(1), NUL])
    assert report.exit_code is ExitCode.NOT_FINISHED
    assert counts(bench.run(bench.drop(mail(1), NUL, mail(3)))) == {"stored": 3}


def test_what_was_refused_is_not_sent_again_once_another_source_has_brought_it(bench: Bench) -> None:
    like_cyrus(bench)
    assert counts(bench.run(bench.drop(NUL, NUL))) == {"refused": 2}
    bench.server.fate = lambda upload: Fate.STORED
    both: list[Source] = [bench.drop(NUL, NUL), bench.mbox(NUL)]
    assert counts(bench.run(*both)) == {"stored": 1, "refused": 2}
    assert counts(bench.run(*both, retry_refused=True)) == {"stored": 2, "present": 1}
    assert bench.held() == Counter({NUL: 2}), "the maildrop has two of them"


def test_retry_refused_without_uidl_leaves_everything_else_alone_too(bench: Bench) -> None:
    bench.maildrop.answers = {"UIDL": b"-ERR what?\r\n"}
    report = refused_then_new(bench, retry_refused=True)
    assert counts(report) == {"stored": 2, "pending": 1}
    assert bench.held() == Counter([mail(1), NUL])


def test_retry_refused_makes_a_folder_that_can_be_made_by_now(bench: Bench) -> None:
    bench.rules = "".join(
        f'[[rule]]\nname = "{name}"\nwhen = {{ subject = "1" }}\nthen = {{ folder = "{name}", continue = true }}\n'
        for name in ("Bad", "Good")
    )
    bench.server.no_folder = {"Bad"}
    assert counts(bench.run(bench.drop(mail(1), mail(2)))) == {"stored": 1, "refused": 1}
    bench.server.no_folder = set()
    plan = bench.run(bench.drop(mail(1), mail(2)), retry_refused=True, dry_run=True)
    assert {one.folder: one.added.messages for one in plan.folders} == {"Bad": 1}
    assert counts(bench.run(bench.drop(mail(1), mail(2)), retry_refused=True)) == {"stored": 2}
    assert (bench.held("Good"), bench.held("Bad")) == (Counter([mail(1)]), Counter([mail(1)]))


def test_a_plan_says_what_retry_refused_would_do(bench: Bench) -> None:
    like_cyrus(bench)
    bench.run(bench.drop(mail(1), NUL))
    report = bench.run(bench.drop(mail(1), NUL, mail(3)), dry_run=True, retry_refused=True)
    assert counts(report)["stored"] == 1
    assert counts(report)["pending"] == 2


def held_one(bench: Bench) -> None:
    """One copy whose answer was lost, and which somebody has moved before it could be looked for."""
    bench.server.fate = lambda upload: (
        Fate.LOST_ANSWER if b"Subject: 1" in upload.octets.head() else Fate.STORED
    )

    def taken_away(step: str) -> None:
        box = bench.server.mailboxes["INBOX"]
        if step == "open" and box.mail:
            bench.server.move("INBOX", min(box.mail), "Elsewhere")

    bench.server.before = taken_away
    report = bench.run(bench.drop(mail(1), mail(2)))
    assert counts(report) == {"stored": 1, "held": 1}
    bench.server.before = lambda step: None
    bench.server.fate = lambda upload: Fate.STORED


def test_held_mail_stays_held_by_itself_and_is_sent_again_when_asked(bench: Bench) -> None:
    held_one(bench)
    assert counts(bench.run(bench.drop(mail(1), mail(2)))) == {"stored": 1, "held": 1}
    assert bench.held() == Counter([mail(2)])
    assert counts(bench.run(bench.drop(mail(1), mail(2)), on_held="retry")) == {"stored": 2}
    assert bench.held() == Counter([mail(1), mail(2)])
    assert bench.held("Elsewhere") == Counter([mail(1)]), "the second copy that the option speaks of"


@pytest.mark.parametrize("assume_empty", [False, True])
def test_held_mail_that_is_in_its_folder_again_is_not_sent(bench: Bench, assume_empty: bool) -> None:
    held_one(bench)
    bench.server.move("Elsewhere", 1, "INBOX")
    report = bench.run(bench.drop(mail(1), mail(2)), on_held="retry", assume_empty=assume_empty)
    assert counts(report) == {"stored": 1, "present": 1}
    assert bench.held() == Counter([mail(1), mail(2)])


def test_a_plan_foretells_what_a_known_server_refuses_and_what_would_mend_it(bench: Bench) -> None:
    bench.server.name = "Cyrus IMAP 3.6"
    bench.server.rewrite = as_sent
    source = bench.drop(mail(1), NUL, LF, b"no header\r\n")
    report = bench.run(source, dry_run=True, full=True)
    assert counts(report) == {"pending": 1, "refused": 3}
    reasons = [problem.reason for problem in report.problems]
    assert "NUL (Cyrus): --repair nul would mend that" in reasons[0]
    assert "without CR (Cyrus): --repair bare-lf would mend that" in reasons[1]
    assert reasons[2].startswith("the target will refuse it: line 1 is no header field")
    mended = bench.run(source, dry_run=True, full=True, repair=("nul",), quarantine=bench.path / "q")
    assert counts(mended) == {"pending": 2, "refused": 2}
    assert any("1 messages will be refused as they are, and repaired" in line for line in mended.remarks)
    assert not (bench.path / "q").exists(), "a plan makes nothing"


def test_what_a_server_would_cut_off_is_not_sent_to_it(bench: Bench) -> None:
    bench.server.name = "Courier-IMAP ready."
    parts = b"".join(b"--x\r\n\r\npart\r\n" for _ in range(301))
    many = mail("many", "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n") + parts
    report = bench.run(bench.drop(mail(1), many), quarantine=bench.path / "q")
    assert counts(report) == {"stored": 1, "refused": 1}
    assert "show only a part of it" in report.problems[0].reason
    assert kept(bench.path / "q") == Counter([many])
