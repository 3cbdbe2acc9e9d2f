"""Providers are known by the names of their servers, and what they publish holds unless one says otherwise."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from pop2imap import providers
from pop2imap.cli.check import Checked
from pop2imap.errors import ExitCode
from pop2imap.providers import MB, PROVIDERS, Provider, host_of, recognise
from tests.fakes.memory_target import MemoryTarget
from tests.unit.test_daily import EIGHT, SIZE, Week, mail, says_when, week

__all__ = ["week"]


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("imap.gmail.com", "Gmail"),
        ("POP.GoogleMail.com.", "Gmail"),
        ("gmail.com", "Gmail"),
        ("outlook.office365.com", "Microsoft 365"),
        ("imap-mail.outlook.com", "Microsoft 365"),
        ("export.imap.mail.yahoo.com", "Yahoo"),
        ("imap.aol.com", "Yahoo"),
        ("notgmail.com", None),
        ("gmail.com.example.org", None),
        ("localhost", None),
        ("::1", None),
        ("", None),
    ],
)
def test_a_provider_is_known_by_the_name_of_its_server(host: str, name: str | None) -> None:
    found = recognise(host)
    assert (found and found.name) == name


def test_gmail_is_known_behind_other_names_too() -> None:
    assert recognise("mail.example.org", {"IMAP4rev1", "X-GM-EXT-1"}) is PROVIDERS[0]
    assert recognise("mail.example.org", {"IMAP4rev1", ""}) is None


@pytest.mark.parametrize(
    ("account", "host"),
    [
        ("alice@imap.example.org:993", "imap.example.org"),
        ("pop3:alice@example.com@pop.example.com:995", "pop.example.com"),
        ("pop3:alice@[::1]:110", "::1"),
        ("mbox:/home/alice/mail", ""),
    ],
)
def test_the_host_of_an_account(account: str, host: str) -> None:
    assert host_of(account) == host


def test_each_provider_has_words_for_both_ends() -> None:
    gmail = PROVIDERS[0]
    assert "take 500 MB in a day" in gmail.words("target")
    assert "give 1,250 MB in a day" in gmail.words("source")
    assert "--no-provider-limits" in gmail.words("target")
    for provider in PROVIDERS[1:]:
        assert provider.words("source") == provider.words("target")
        assert provider.habits


def test_check_names_what_it_knows_of_both_ends() -> None:
    end = Checked("source", "pop3s://alice@pop.gmail.com", ("POP3",)).with_provider("pop.gmail.com")
    assert end.lines == ("POP3", PROVIDERS[0].words("source"))
    assert PROVIDERS[0].words("source") in "\n".join(end.text())
    assert end.as_dict()["facts"] == list(end.lines)
    hidden = Checked("target", "imaps://alice@mail.example.org", capabilities=frozenset({"X-GM-EXT-1"}))
    assert hidden.with_provider("mail.example.org").lines == (PROVIDERS[0].words("target"),)
    assert Checked("source", "mbox:inbox").with_provider("").lines == ()


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Provider:
    """A provider that allows little, at the names that tests have."""
    small = Provider("Smallmail", ("memory", "127.0.0.1", "localhost"), upload=3 * SIZE, download=5 * SIZE)
    monkeypatch.setattr(providers, "PROVIDERS", (small,))
    monkeypatch.setattr(MemoryTarget, "identity", "alice@mail.memory:993")
    return small


def test_what_a_provider_publishes_holds_if_nothing_is_said(week: Week, small: Provider) -> None:
    report = week.run(week.mbox(mail(9)))
    says_when(report, EIGHT + timedelta(hours=25))
    assert report.moved.messages == 3
    assert "what Smallmail allows; --no-provider-limits" in str(report.error)
    week.now += timedelta(hours=25)
    assert week.run(week.mbox(mail(9)), daily_bytes=4 * SIZE).moved.messages == 4, "what is said wins"
    assert week.run(week.mbox(mail(9)), provider_limits=False).exit_code is ExitCode.OK


def test_what_a_provider_gives_holds_at_the_source(week: Week, small: Provider) -> None:
    report = week.run(week.drop(mail(9)), daily_bytes=100 * SIZE)
    says_when(report, EIGHT + timedelta(hours=25))
    assert report.moved.messages == 4, "four, and what listings may be wrong by"
    assert "what Smallmail allows" in str(report.error)


def test_numbers_are_round() -> None:
    for provider in PROVIDERS:
        assert all(limit % MB == 0 for limit in (provider.upload, provider.download) if limit)


def test_the_docs_name_them_all() -> None:
    text = (Path(__file__).parents[2] / "docs" / "limits.md").read_text("utf-8")
    for provider in PROVIDERS:
        assert f"| {provider.name}" in text
        for limit in (provider.upload, provider.download):
            assert limit is None or f"{limit // MB} MB" in text
