"""The accounts add up or the report refuses to exist; its forms say the same."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pop2imap.errors import ConnectionLost, ExitCode, InternalError, UsageError
from pop2imap.model import Account, DateFrom, Decision, Key, Mailbox, Ref
from pop2imap.report import Count, Report
from pop2imap.report.builder import ReportBuilder
from pop2imap.report.tally import Tally
from pop2imap.report.text import size

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def builder(*, dry_run: bool = False) -> ReportBuilder:
    return ReportBuilder(
        dry_run=dry_run, started=NOW, target="bob@imap.example:993", mark="auto", rules=("Lists", "Old")
    )


def refs(number: int) -> list[Ref]:
    return [Ref(position, None, 9) for position in range(1, number + 1)]


def report(*accounts: Account, dry_run: bool = False, complete: bool = True) -> Report:
    made = builder(dry_run=dry_run)
    ledger = made.begin("pop3:alice@pop.example:995", refs(len(accounts)), complete=complete)
    for position, account in enumerate(accounts, start=1):
        ledger.put(position, account, 100)
        made.problem(
            account, ledger.source, position, Key(ledger.source, f"u{position}"), "bad\x1b[2J header"
        )
    return made.build(NOW)


LISTS = Decision(("Lists",), (), rules=("Lists",))


@dataclass
class Judgement:
    """What a decision tells the report."""

    date: datetime = NOW
    date_from: DateFrom = DateFrom.DATE
    guessed: bool = False
    decision: Decision = LISTS


def test_every_message_has_one_account() -> None:
    tally = Tally(3)
    tally.put(1, Account.STORED, 10)
    tally.put(3, Account.SKIPPED, 5)
    assert list(tally.open_positions()) == [2]
    with pytest.raises(InternalError, match="1 of 3 messages have none"):
        tally.counts()
    tally.put(2, Account.STORED, 7)
    assert tally.counts()[Account.STORED] == Count(2, 17)
    assert tally.all_in(frozenset({Account.STORED}), [1, 2])
    assert not tally.all_in(frozenset({Account.STORED}), [1, 3])


def test_no_message_has_two() -> None:
    tally = Tally(1)
    tally.put(1, Account.STORED, 1)
    with pytest.raises(InternalError, match="twice"):
        tally.put(1, Account.STORED, 1)


def test_a_report_whose_accounts_do_not_add_up_is_a_defect_of_ours() -> None:
    made = builder()
    made.begin("mbox:/x", refs(2), complete=True).put(1, Account.STORED, 1)
    with pytest.raises(InternalError) as caught:
        made.build(NOW)
    assert caught.value.exit_code is ExitCode.INTERNAL


@pytest.mark.parametrize(
    ("accounts", "code"),
    [
        ((), ExitCode.OK),
        ((Account.STORED, Account.PRESENT, Account.SKIPPED), ExitCode.OK),
        ((Account.STORED, Account.REFUSED), ExitCode.INCOMPLETE),
        ((Account.HELD,), ExitCode.INCOMPLETE),
        ((Account.UNREADABLE,), ExitCode.INCOMPLETE),
        ((Account.GONE,), ExitCode.INCOMPLETE),
        ((Account.PENDING, Account.REFUSED), ExitCode.NOT_FINISHED),
    ],
)
def test_the_exit_code_follows_from_the_accounts(accounts: tuple[Account, ...], code: ExitCode) -> None:
    assert report(*accounts).exit_code is code


def test_a_plan_with_mail_to_move_is_a_success() -> None:
    assert report(Account.PENDING, dry_run=True).exit_code is ExitCode.OK


def test_an_error_decides_the_exit_code() -> None:
    made = builder()
    made.error = ConnectionLost("gone", where="imap.example:993")
    assert made.build(NOW).exit_code is ExitCode.NOT_FINISHED


@pytest.mark.parametrize("account", sorted(set(Account) - {Account.STORED, Account.PRESENT}, key=str))
def test_the_source_is_not_safe_to_delete_with_anything_left(account: Account) -> None:
    made = report(Account.STORED, account)
    assert made.unsafe_because() == (f"1 {account.value}",)
    assert f"safe to delete the source: no, because 1 {account.value}" in made.text()
    assert made.as_dict()["safe_to_delete_source"] is False


def test_a_folder_is_called_new_only_if_the_target_was_asked() -> None:
    made = builder(dry_run=True)
    made.touched("Asked", None)
    made.touched("Unasked", None, asked=False)
    asked, unasked = made.build(NOW).folders
    assert (asked.created, unasked.created, unasked.before) == (True, False, None)


def test_it_is_safe_when_all_is_there_and_the_listing_was_whole() -> None:
    assert "safe to delete the source: yes\n" in report(Account.STORED, Account.PRESENT).text()
    assert "may hold more" in report(Account.STORED, complete=False).text()
    assert report(Account.STORED, dry_run=True).as_dict()["safe_to_delete_source"] is False


def test_a_second_listing_of_a_source_replaces_the_first() -> None:
    made = builder()
    made.begin("s", refs(5), complete=True)
    made.begin("s", refs(1), complete=True).put(1, Account.STORED, 9)
    assert made.build(NOW).listed == Count(1, 9)


def test_the_json_document_has_every_word_of_the_equation() -> None:
    document = report(*Account).as_dict()
    assert document["counts"] == {"source": 8} | {account.value: 1 for account in Account}
    assert document["counts"]["source"] == sum(document["counts"][a.value] for a in Account)
    assert document["schema_version"] == 1
    assert document["exit_code"] == 75
    assert document["result"] == "not_finished"
    assert json.loads(json.dumps(document)) == document
    assert [p["account"] for p in document["problems"]] == ["refused", "held", "unreadable", "gone"]


def test_folders_tell_before_ours_and_after() -> None:
    made = builder()
    mailbox = Mailbox("Sent", "INBOX.Sent", 1, 8, 7)
    made.touched("Sent", mailbox)
    made.added("Sent", 100, ("\\Seen",))
    made.added("Sent", 50, ("\\Flagged",))
    made.at_end("Sent", Count(2, 150), 9)
    (folder,) = made.build(NOW).as_dict()["folders"]
    assert folder == {
        "name": "Sent",
        "mailbox": "INBOX.Sent",
        "created": False,
        "before": 7,
        "messages": 2,
        "bytes": 150,
        "unseen": 1,
        "flagged": 1,
        "ours": 2,
        "after": 9,
    }
    text = made.build(NOW).text()
    assert "Sent (INBOX.Sent)" in text


def test_rules_that_never_matched_are_named() -> None:
    made = builder()
    ledger = made.begin("s", refs(1), complete=True)
    ledger.put(1, Account.STORED, 1)
    made.judged(Judgement())
    lines = [line.split() for line in made.build(NOW).text().splitlines()]
    assert ["Lists", "1"] in lines
    assert ["Old", "never"] in lines


def test_a_run_that_decided_nothing_says_nothing_of_rules() -> None:
    assert "matched" not in report(Account.STORED).text()


def test_foreign_text_is_made_harmless_in_every_form(tmp_path: Path) -> None:
    made = report(Account.REFUSED)
    assert "\x1b" not in made.text()
    made.write(tmp_path / "r.json")
    assert "\\u001b" in (tmp_path / "r.json").read_text()


def test_a_csv_cell_is_never_a_formula(tmp_path: Path) -> None:
    made = builder()
    made.begin("s", refs(1), complete=True).put(1, Account.REFUSED, 1)
    made.problem(Account.REFUSED, "s", 1, Key("s", "+key"), "-1+1", subject="=HYPERLINK(1)", date=NOW, size=1)
    made.build(NOW).write(tmp_path / "r.csv")
    rows = list(csv.reader(io.StringIO((tmp_path / "r.csv").read_text())))
    assert rows[-1] == [
        "refused",
        "'=HYPERLINK(1)",
        "1",
        "",
        "2026-01-02T03:04:05Z",
        "1",
        "'+key",
        "'-1+1",
        "",
    ]


def test_the_suffix_picks_the_form(tmp_path: Path) -> None:
    report(Account.STORED).write(tmp_path / "r.txt")
    assert (tmp_path / "r.txt").read_text() == report(Account.STORED).text(full=True)
    with pytest.raises(UsageError, match=r"\.json, \.csv or \.txt"):
        report(Account.STORED).write(tmp_path / "r.pdf")


def test_text_names_twenty_problems_and_says_how_to_see_all() -> None:
    made = report(*[Account.REFUSED] * 25)
    assert made.text().count("because: bad") == 20
    assert "… and 5 more" in made.text()
    assert made.text(full=True).count("because: bad") == 25


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_951, "1.0 MB"),
        (5 * 10**15, "5000.0 TB"),
    ],
)
def test_sizes_for_people(octets: int, text: str) -> None:
    assert size(octets) == text
