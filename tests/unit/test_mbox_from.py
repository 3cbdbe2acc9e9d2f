from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pop2imap.sources.mbox_from import LINE_LIMIT, Look, envelope_date, look

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)

DATED = [
    (b"From alice@example.com Thu Nov 29 19:33:09 1973", "1973-11-29 19:33:09"),
    (b"From alice@example.com  Fri Jan  2 01:05:34 1998", "1998-01-02 01:05:34"),
    (b"From alice@example.com Thu Nov 29 19:33 1973", "1973-11-29 19:33:00"),
    (b"From alice@example.com Thu Nov 29 19:33:09 MET 1973", "1973-11-29 18:33:09"),
    (b"From alice@example.com Thu Nov 29 23:33:09 1973 +0200", "1973-11-29 21:33:09"),
    (b"From alice@example.com Fri Jan  2 10:13:52 UTC 1970 +0000", "1970-01-02 10:13:52"),
    (b"From 1596@xxx Mon Jan 01 00:00:00 +0000 2018", "2018-01-01 00:00:00"),
    (b"From host!alice Wed Jan  3 01:05:34 1996 remote from host", "1996-01-03 01:05:34"),
    (b"From alice@example.com Fri, 2 Jan 1998 10:14:00 +0000", "1998-01-02 10:14:00"),
    (b"From alice@example.com Fri, 2-Jan-98 10:14:00 +0100", "1998-01-02 09:14:00"),
    (b"From alice@example.com 2023-10-16T16:18:56-07:00", "2023-10-16 23:18:56"),
    (b"From alice@example.com 2023-10-16 16:18:56.123Z", "2023-10-16 16:18:56"),
    (b"From alice@example.com Mon Oct 16 2023 16:18:56 GMT-0700 (PDT)", "2023-10-16 23:18:56"),
    (b"From alice@example.com Sat Apr 12 2025 3:59:28 PM", "2025-04-12 15:59:28"),
    (b"From alice@example.com Thu Jan  4 10:00:00 96", "1996-01-04 10:00:00"),
    (b"From alice@example.com Tue Jan  4 10:00:00 100", "2000-01-04 10:00:00"),
    (b"From alice@example.com Tue Jan  4 10:00:00 19100", "2000-01-04 10:00:00"),
    (b"From Alice Example <alice@example.com> Mon Aug 12 14:43:33 1996", "1996-08-12 14:43:33"),
    (b"From alice@example.com (Alice) Sat Jul 27 03:26:47 1996  ", "1996-07-27 03:26:47"),
    (b'From "alice example"@example.com Mon Aug 12 14:43:33 1996\r\n', "1996-08-12 14:43:33"),
]

FETCHED = [
    b"From - Tue Mar 27 10:00:00 2012",
    b"From - alice@example.com  Mon Oct 16 2023 16:18:56 GMT-0700",
    b"From MAILER-DAEMON Fri Jul  8 12:08:34 2011",
    b"From  Fri Jul  8 12:08:34 2011",
    b"From Fri Jul  8 12:08:34 2011",
    b"From ???@??? Fri Mar 10 09:04:22 1995",
]

TEXT = [
    b"From here on it is text",
    b"From alice@example.com",
    b"From john.doe@example.com 2025-06-15",
    b"From Monday to Friday 9:00",
    b"From alice@example.com Mon Jan 45 10:00:00 2001",
    b"From alice@example.com Mon Jan 5 29:00:00 2001",
    b"From alice@example.com Mon Foo  5 10:00:00 2001",
    b"From alice@example.com Mon Jan  5 10:00:00 2001, she wrote",
    b"From " + b"x" * LINE_LIMIT + b" Thu Nov 29 19:33:09 1973",
]


@pytest.mark.parametrize(("line", "date"), DATED)
def test_dates_of_the_wild_are_read(line: bytes, date: str) -> None:
    assert look(line) is Look.DATED
    assert envelope_date(line, NOW) == datetime.fromisoformat(date).replace(tzinfo=UTC)


@pytest.mark.parametrize("line", FETCHED)
def test_a_date_that_a_program_fetched_or_exported_at_is_not_when_the_mail_came(line: bytes) -> None:
    assert look(line) in (Look.DATED, Look.EUDORA)
    assert envelope_date(line, NOW) is None


@pytest.mark.parametrize("line", TEXT)
def test_without_a_plausible_date_at_its_end_a_line_is_text(line: bytes) -> None:
    assert look(line) is Look.OTHER
    assert envelope_date(line, NOW) is None


@pytest.mark.parametrize("line", [b"From ", b"From \r\n", b"From -\n", b"From - \n", b"From"])
def test_bare_lines_are_told_apart(line: bytes) -> None:
    assert look(line) is Look.BARE


def test_the_first_line_of_a_git_patch_is_no_start_of_a_mail_to_date_it_by() -> None:
    line = b"From " + b"0123456789" * 4 + b" Mon Sep 17 00:00:00 2001\n"
    assert look(line) is Look.PATCH
    assert envelope_date(line, NOW) is None


@pytest.mark.parametrize(
    "date",
    [
        b"Thu Jan  1 00:00:00 1970",  # the placeholder of programs without a date
        b"Wed Nov 25 12:00:00 2026",  # after tomorrow
        b"Tue Jan  1 00:00:00 2041",
        b"Mon Feb 30 10:00:00 2015",
    ],
)
def test_implausible_dates_separate_but_date_nothing(date: bytes) -> None:
    line = b"From alice@example.com " + date
    assert look(line) is Look.DATED
    assert envelope_date(line, NOW) is None


def test_a_clock_that_is_a_few_hours_ahead_is_forgiven() -> None:
    line = b"From alice@example.com Tue Nov 24 11:00:00 2026"
    assert envelope_date(line, NOW) == datetime(2026, 11, 24, 11, 0, tzinfo=UTC)


def test_a_hostile_line_is_judged_without_being_searched_for_long() -> None:
    assert look(b"From " + b"Mon Jan " * 120) is Look.OTHER
