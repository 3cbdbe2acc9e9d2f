"""The tests of the rule language: what each looks at, and the words it finds for it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.unit.deciding import DATE, decide, when

MAIL = """\
From: "Bob Builder" <Bob@ACME.example>
To: Alice <alice@example.com>, team@example.org
Cc: =?utf-8?Q?J=C3=BCrgen?= <jk@example.net>
Bcc: hidden@example.com
Delivered-To: alice@catchall.example
Reply-To: reply@example.com
Subject: =?utf-8?Q?Angebot_f=C3=BCr?=
 Alice
List-Id: Builder news <News.Lists.example.org>
X-Spam: yes
X-Spam: no
X-Empty:
"""


def hits(test: str, mail: str = MAIL, **how: object) -> bool:
    decision = decide(when(test, top='me = ["me@example.com"]'), mail, **how)  # type: ignore[arg-type]
    assert decision.folders in (("Hit",), ("INBOX",))
    return decision.folders == ("Hit",)


@pytest.mark.parametrize(
    "test",
    [
        'from = "bob@acme.example"',
        'from = "*@acme.example"',
        'from = { is = "BOB@acme.example" }',
        'from = { contains = "acme" }',
        'from = { domain = "acme.example" }',
        'from = { regex = "^bob@" }',
        'from = ["x@example.com", "*@acme.example"]',
        'from = { is = ["x@example.com", "bob@acme.example"] }',
        'from = [{ domain = "example.org" }, { contains = "acme" }]',
        'to = "alice@example.com"',
        'to = "team@*"',
        'cc = "jk@example.net"',
        'recipient = "alice@example.com"',
        'recipient = "jk@example.net"',
        'recipient = "hidden@example.com"',
        'recipient = "alice@catchall.example"',
        'from-name = "bob builder"',
        'to-name = "alice"',
        'cc-name = "jürgen"',
        'list-id = "news.lists.example.org"',
        'list-id = "*.lists.example.org"',
        'list-id = { domain = "lists.example.org" }',
        'subject = "angebot für alice"',
        'subject = { contains = "Für" }',
        'header."x-spam" = "no"',
        'header."X-SPAM" = "yes"',
        'header."X-Empty" = ""',
        'header."X-Empty" = "*"',
        'header.Reply-To = "reply@*"',
        'header = { X-Spam = "yes", Reply-To = "*" }',
        'not = { header.X-Other = "*" }',
        'all = [{ from = "*" }, { to = "*" }]',
        'any = [{ from = "x*" }, { to = "team*" }]',
        'from = "*@acme.example", subject = "*alice"',
        'not = { from = "*@acme.example", subject = "other" }',
        'not = { not = { from = "bob*" } }',
        "sent = false",
    ],
)
def test_it_matches(test: str) -> None:
    assert hits(test)


@pytest.mark.parametrize(
    "test",
    [
        'from = "Bob Builder*"',  # the name is no part of the address
        'from = "acme*"',
        'from = "reply@example.com"',
        'to = "jk@example.net"',
        'to = "hidden@example.com"',
        'cc = "alice@example.com"',
        'recipient = "bob@acme.example"',
        'from = { is = "b*@acme.example" }',
        'from-name = "bob@acme.example"',
        'list-id = "Builder news*"',
        'subject = "alice"',
        'subject = "=?utf-8*"',
        'header."X-Spam" = "yes, no"',
        'header."X-Other" = "*"',
        'any = [{ from = "x*" }, { to = "x*" }]',
        'all = [{ from = "*" }, { to = "x*" }]',
        'not = { from = "*" }',
        'from = "*@acme.example", subject = "other"',
        "sent = true",
    ],
)
def test_it_does_not_match(test: str) -> None:
    assert not hits(test)


def test_no_header_at_all_matches_only_what_is_about_nothing() -> None:
    for test in ('from = "*"', 'to = "*"', 'subject = "*"', 'list-id = "*"', 'from-name = "*"'):
        assert not hits(test, "")
    assert hits('not = { subject = "*" }', "")


def test_before_and_after_share_all_time_without_a_gap() -> None:
    turn = datetime(2015, 1, 1, tzinfo=UTC)
    for date in (turn - timedelta(seconds=1), turn, turn + timedelta(seconds=1)):
        assert hits("before = 2015-01-01", date=date) is (date < turn)
        assert hits("after = 2015-01-01", date=date) is (date >= turn)
    assert hits("after = 2014-01-01, before = 2015-01-01")


def test_times_in_rules_are_utc_unless_they_say_otherwise() -> None:
    assert hits("before = 2014-05-06T07:08:10", date=DATE)
    assert not hits("before = 2014-05-06T07:08:09", date=DATE)
    assert not hits("before = 2014-05-06T07:08:10+02:00", date=DATE)
    assert hits("after = 2014-05-06T09:08:09+02:00", date=DATE)


def test_sizes() -> None:
    mail = "Subject: x\n\n" + "a" * (2048 - 12)
    for larger in ("2047", '"2047"', '"1k"', '"1K"'):
        assert hits(f"larger = {larger}", mail)
    assert not hits('larger = "2k"', mail)
    assert not hits('smaller = "2k"', mail)
    assert hits("smaller = 2049", mail)
    assert hits('smaller = "1 MB"', mail)
    assert hits('smaller = "1g"', mail)


def test_flags_are_those_the_source_knows_whatever_their_case() -> None:
    flags = frozenset({"\\Flagged", "$Work"})
    assert hits('has-flag = "\\\\flagged"', flags=flags)
    assert hits('has-flag = "$work"', flags=flags)
    assert hits('has-flag = ["\\\\Seen", "$WORK"]', flags=flags)
    assert not hits('has-flag = "\\\\Seen"', flags=flags)
    assert not hits('has-flag = "\\\\Seen"', flags=None)
    assert hits('not = { has-flag = "\\\\Seen" }', flags=None)


@pytest.mark.parametrize(
    ("test", "described", "why"),
    [
        ('from = "*@acme.example"', "from matches *@acme.example", "from Bob@acme.example matches *@acme.example"),
        ('from = "bob@acme.example"', "from is bob@acme.example", "from Bob@acme.example is bob@acme.example"),
        ('subject = { contains = "alice" }', "subject contains alice", "subject Angebot für Alice contains alice"),
        ('list-id = { domain = "example.org" }', "list-id is in the domain example.org",
         "list-id news.lists.example.org is in the domain example.org"),
        ('header.X-Empty = "*"', "X-Empty matches *", 'X-Empty "" matches *'),
        ("before = 2015-01-01", "date is before 2015-01-01", "date 2014-05-06 is before 2015-01-01"),
        ("after = 2014-05-06T01:02:03", "date is after 2014-05-06 01:02:03",
         "date 2014-05-06 is after 2014-05-06 01:02:03"),
        ('smaller = "200k"', "size is smaller than 200k", f"size {len(MAIL) + 2} is smaller than 200k"),
        ('any = [{ from = "x*" }, { from = "b*", to = "team*" }]',
         "from matches x* or (from matches b* and to matches team*)",
         "from Bob@acme.example matches b* and to team@example.org matches team*"),
        ('not = { from = "x*" }', "not (from matches x*)", "not (from matches x*)"),
        ('from = ["x*", { regex = "b.b" }]', "from matches x* or matches the regex b.b",
         "from Bob@acme.example matches the regex b.b"),
        ("sent = false", "it is not own mail", "it is not own mail"),
    ],
)  # fmt: skip
def test_every_test_describes_itself_and_says_why_it_matches(test: str, described: str, why: str) -> None:
    ruled = when(test, top='me = ["me@example.com"]')
    assert ruled.describe()[1] == f'rule "R": {described} → Hit'
    assert decide(ruled, MAIL).why == (f'rule "R": {why} → Hit',)


def test_what_mail_says_is_printable_in_the_why() -> None:
    hostile = "Subject: \x1b[2J\u202eevil" + "x" * 500 + "\n"
    (why,) = decide(when('subject = "*"'), hostile).why
    assert "\x1b" not in why
    assert "\u202e" not in why
    assert "\\x1b[2J\\u202eevil" in why
    assert len(why) < 200
