"""Reports in files: whose they are, and what stands in them."""

from __future__ import annotations

import csv
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pop2imap.errors import LocalIOError
from pop2imap.model import Account
from pop2imap.report import Count, Problem, Report

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def report(subject: str = "hello") -> Report:
    problem = Problem(Account.REFUSED, "s", "k", NOW, subject, 1, "because", "look")
    return Report(
        dry_run=False, started=NOW, finished=NOW, target="t", sources=(), moved=Count(), extra_copies=0,
        folders=(), rules=(), dates={}, read_state_guessed=0, mark="auto", dropped_flags={}, skipped_why={},
        whys=(), remarks=(), problems=(problem,),
    )  # fmt: skip


@pytest.mark.parametrize("suffix", ["json", "csv", "txt"])
def test_a_new_report_is_its_owners_alone(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"report.{suffix}"
    before = os.umask(0)
    try:
        report().write(path)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_report_that_its_owner_has_opened_to_others_stays_so(tmp_path: Path) -> None:
    path = tmp_path / "report.txt"
    path.write_text("an older and much longer report\n" * 1000)
    path.chmod(0o644)
    report().write(path)
    assert path.stat().st_mode & 0o777 == 0o644
    assert "older" not in path.read_text()


@pytest.mark.parametrize("subject", ["\t=1+1", "\r=1+1", "=1+1", "@SUM(A1)", "\x1b[2J", "a\u202eb"])
def test_a_csv_cell_neither_calculates_nor_commands(tmp_path: Path, subject: str) -> None:
    report(subject).write(tmp_path / "report.csv")
    with open(tmp_path / "report.csv", encoding="utf-8", newline="") as file:
        cell = list(csv.reader(file))[-1][1]
    assert cell[0] not in "=+-@\t\r"
    assert cell.isprintable()


def given_away(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``path`` belongs to neither us nor root from now on: we seem to be somebody else."""
    if os.geteuid() == 0:
        os.lchown(path, 65534, 65534)
    monkeypatch.setattr(os, "geteuid", lambda: 65533)


def test_a_link_of_ones_own_is_followed_and_one_of_somebody_else_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "real.txt").write_text("kept")
    link = tmp_path / "report.txt"
    link.symlink_to("real.txt")
    report("the subject").write(link)
    written = (tmp_path / "real.txt").read_text()
    assert "the subject" in written
    given_away(link, monkeypatch)
    with pytest.raises(LocalIOError):
        report("another").write(link)
    assert (tmp_path / "real.txt").read_text() == written


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has links of root's")
def test_a_link_of_root_is_followed_as_dev_stderr_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "real.txt").touch()
    (tmp_path / "report.txt").symlink_to("real.txt")
    monkeypatch.setattr(os, "geteuid", lambda: 65533)
    report("the subject").write(tmp_path / "report.txt")
    assert "the subject" in (tmp_path / "real.txt").read_text()


def test_what_somebody_else_put_there_gets_no_report_and_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = tmp_path / "report.txt"
    theirs.write_text("theirs")
    theirs.chmod(0o666)
    given_away(theirs, monkeypatch)
    with pytest.raises(LocalIOError, match="somebody else"):
        report().write(theirs)
    assert theirs.read_text() == "theirs"
