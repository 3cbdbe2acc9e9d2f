"""What shows that a maildrop is the target's own INBOX, and what does not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from pop2imap.errors import ExitCode, UsageError
from pop2imap.sameness import Likeness, alike
from tests.unit.test_migrate import Bench, counts, mail

MAIL = [mail(number, "X: " + "y" * number + "\r\n") for number in range(1, 6)]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with ExitStack() as stack:
        yield Bench(tmp_path, stack)


def one_mailbox(bench: Bench, form: str) -> None:
    """The INBOX of the target holds what the maildrop lists, and the UIDLs are made of UID and UIDVALIDITY."""
    uids = [bench.server.deliver("INBOX", octets) for octets in MAIL]
    uidvalidity = bench.server.mailboxes["INBOX"].uidvalidity
    bench.maildrop.uids = [form.format(uid=uid, v=uidvalidity) for uid in uids]


@pytest.mark.parametrize("form", ["{uid:08x}{v:08x}", "{uid:08X}{v:08X}", "{v}.{uid}"])
@pytest.mark.parametrize("dry_run", [True, False])
def test_uidls_that_lead_into_the_targets_inbox_are_noticed(bench: Bench, form: str, dry_run: bool) -> None:
    one_mailbox(bench, form)
    report = bench.run(bench.drop(*MAIL), dry_run=dry_run)
    assert (report.exit_code, counts(report)) == (ExitCode.USAGE, {"pending": len(MAIL)})
    assert isinstance(report.error, UsageError)
    assert ("append", "INBOX") not in bench.server.log


def test_mail_that_came_meanwhile_hides_nothing(bench: Bench) -> None:
    one_mailbox(bench, "{uid:08x}{v:08x}")
    bench.server.deliver("INBOX", mail("new"))
    assert bench.run(bench.drop(*MAIL)).exit_code is ExitCode.USAGE


def test_whoever_allows_it_gets_no_second_copy_and_has_to_allow_it_each_time(bench: Bench) -> None:
    one_mailbox(bench, "{uid:08x}{v:08x}")
    report = bench.run(bench.drop(*MAIL), allow_same_account=True)
    assert counts(report) == {"present": len(MAIL)}
    again = bench.run(bench.drop(*MAIL))
    assert (again.exit_code, bool(again.unsafe_because())) == (ExitCode.USAGE, True)
    assert "--allow-same-account: source and target may be one mailbox" in report.unsafe_because()


@pytest.mark.parametrize("appenduid", [True, False])
def test_a_target_that_holds_what_was_moved_there_is_no_source(bench: Bench, appenduid: bool) -> None:
    bench.server.appenduid = appenduid
    uidvalidity = bench.server.mailboxes[
        "INBOX"
    ].uidvalidity  # by chance that of the source, and the UIDs too
    bench.maildrop.uids = [f"{number:08x}{uidvalidity:08x}" for number in range(1, len(MAIL) + 1)]
    assert counts(bench.run(bench.drop(*MAIL))) == {"stored": len(MAIL)}
    again = bench.run(bench.drop(*MAIL))
    assert (counts(again), again.moved.messages, again.exit_code) == ({"stored": len(MAIL)}, 0, ExitCode.OK)


def test_the_same_names_with_other_sizes_are_another_mailbox(bench: Bench) -> None:
    one_mailbox(bench, "{v}.{uid}")
    others = [octets + b"more\r\n" for octets in MAIL]
    assert counts(bench.run(bench.drop(*others))) == {"stored": len(MAIL)}


def test_the_same_person_and_the_same_mail_are_noticed_without_names(bench: Bench) -> None:
    for octets in MAIL:
        bench.server.deliver("INBOX", octets)
    drop = bench.drop(*MAIL)
    assert counts(bench.run(drop)) == {"present": len(MAIL)}, "of another host it is only a copy"
    bench.options = replace(bench.options, state_dir=bench.path / "other")
    drop.id = "pop3:alice@imap.example:995"
    assert bench.run(drop).exit_code is ExitCode.USAGE


def test_what_was_begun_is_gone_on_with(bench: Bench) -> None:
    drop = bench.drop(*MAIL)
    drop.id = "pop3:alice@imap.example:995"
    assert counts(bench.run(drop, limit=3)) == {"stored": 3, "pending": 2}
    assert counts(bench.run(drop)) == {"stored": 5}
    assert counts(bench.run(drop)) == {"stored": 5}


@pytest.mark.parametrize(
    ("source", "target", "likeness"),
    [
        ("pop3:alice@pop.example.com:995", "alice@imap.example.com:993", Likeness.ACCOUNT),
        ("pop3:Alice@mail.example.com:110", "alice@mail.example.com:143", Likeness.ACCOUNT),
        ("pop3:alice@example.com@pop.example.com:995", "alice@imap.example.com:993", Likeness.ACCOUNT),
        ("pop3:alice@127.0.0.1:110", "alice@127.0.0.1:143", Likeness.ACCOUNT),
        ("pop3:alice@127.0.0.1:110", "alice@127.0.0.2:143", Likeness.NONE),
        ("pop3:alice@localhost:1110", "alice@127.0.0.1:1143", Likeness.HOST),
        ("pop3:alice@pop.example.com:995", "bob@imap.example.com:993", Likeness.NONE),
        ("pop3:alice@pop.example.com:995", "alice@imap.example.org:993", Likeness.NONE),
        ("pop3:alice@localhost:110", "alice@mailhost:143", Likeness.NONE),
    ],
)
def test_which_names_may_mean_one_account(source: str, target: str, likeness: Likeness) -> None:
    assert alike(source, target) is likeness


@pytest.mark.parametrize(("more", "same"), [(0, True), (1, False)])
def test_at_unusual_ports_the_inbox_must_hold_nothing_else(bench: Bench, more: int, same: bool) -> None:
    for octets in MAIL + MAIL[:more]:
        bench.server.deliver("INBOX", octets)
    drop = bench.drop(*MAIL)
    drop.id = "pop3:alice@imap.example:1995"
    assert (bench.run(drop).exit_code is ExitCode.USAGE) is same


def test_two_numberings_that_are_alike_by_chance_are_two_mailboxes(bench: Bench) -> None:
    """Both INBOXes were made in one second, and the target had the first messages already."""
    uidvalidity = bench.server.mailboxes["INBOX"].uidvalidity
    for octets in MAIL[:2]:
        bench.server.deliver("INBOX", octets)
    bench.maildrop.uids = [f"{number:08x}{uidvalidity:08x}" for number in range(1, len(MAIL) + 1)]
    assert counts(bench.run(bench.drop(*MAIL))) == {"stored": 3, "present": 2}
    again = bench.run(bench.drop(*MAIL))
    assert (again.exit_code, again.moved.messages) == (ExitCode.OK, 0)
