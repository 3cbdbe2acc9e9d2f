"""Which date a message gets, and how dates are read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime, parsedate_to_datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pop2imap.dates import EARLIEST, LATEST, internal_date, parse_date, parse_received
from pop2imap.headers import Headers
from pop2imap.model import DateFrom

AT_TEN = datetime(2001, 1, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("written", "utc"),
    [
        ("Mon, 1 Jan 2001 10:00:00 +0000", "2001-01-01 10:00:00"),
        ("Mon, 1 Jan 2001 10:00:00 +0200", "2001-01-01 08:00:00"),
        ("Mon, 1 Jan 2001 10:00:00 -0530", "2001-01-01 15:30:00"),
        ("Mon, 1 Jan 2001 10:00:00 -0000", "2001-01-01 10:00:00"),
        ("1 jan 2001 10:00:00 +0200", "2001-01-01 08:00:00"),
        ("Mon 1 Jan 2001 10:00", "2001-01-01 10:00:00"),
        ("Monday, 1 January 2001 10:00:00 +0200", "2001-01-01 08:00:00"),
        ("Mon, 01-Jan-01 10:00:00 GMT", "2001-01-01 10:00:00"),
        ("1 Jan 01 10:00:00 EST", "2001-01-01 15:00:00"),
        ("1 Jan 49 10:00:00 +0000", "2049-01-01 10:00:00"),
        ("1 Jan 50 10:00:00 +0000", "1950-01-01 10:00:00"),
        ("1 Jan 101 10:00:00", "2001-01-01 10:00:00"),
        ("Mon, 1 Jan 2001 10:00:00 CEST", "2001-01-01 08:00:00"),
        ("Mon, 1 Jan 2001 10:00:00 GMT+0200", "2001-01-01 08:00:00"),
        ("Mon, 1 Jan 2001 10:00:00 UTC +2", "2001-01-01 08:00:00"),
        ("Mon, 1 Jan 2001 10:00:00 +02:00", "2001-01-01 08:00:00"),
        ("Mon, 1 Jan 2001 10:00:00 XYZ", "2001-01-01 10:00:00"),
        ("Mon, 1 Jan 2001 10:00:00 +9900", "2001-01-01 10:00:00"),
        ('Mon, 1 Jan 2001 10:00:00 "CET"', "2001-01-01 09:00:00"),
        ("Mon, 1 Jan 2001 10:00:00 PM", "2001-01-01 22:00:00"),
        ("Mon, 1 Jan 2001 12:30:00 AM +0000", "2001-01-01 00:30:00"),
        ("Mon, 1 Jan 2001 10.00.00 +0200", "2001-01-01 08:00:00"),
        ("Mon, 1 Jan 2001 10:00:00 +0200 (CEST) junk", "2001-01-01 08:00:00"),
        ("(a) Mon, (b) 1 Jan (c (d)) 2001 10:00:00 +0200", "2001-01-01 08:00:00"),
        ("(2 Jan 2002 00:00:00 +0000) 1 Jan 2001 10:00:00 +0200", "2001-01-01 08:00:00"),
        ("(1 Jan 2001 10:00:00 +0200", "2001-01-01 08:00:00"),
        ("Thu, 27 May 2004 17:06:42 -0500 .", "2004-05-27 22:06:42"),
        ("Mon Jan  1 10:00:00 2001", "2001-01-01 10:00:00"),
        ("Mon Jan  1 10:00:00 CET 2001", "2001-01-01 09:00:00"),
        ("Mon Jan  1 10:00:00 +0200 2001", "2001-01-01 08:00:00"),
        ("Mon Jan  1 10:00:00 2001 +0200", "2001-01-01 08:00:00"),
        ("Sat, Apr 09 2005 06:39:52 -0700", "2005-04-09 13:39:52"),
        ("Jan 1, 2001 10:00 PM EST", "2001-01-02 03:00:00"),
        ("Mon, 15 09 2014 05:25:04", "2014-09-15 05:25:04"),
        ("2001-01-01T10:00:00Z", "2001-01-01 10:00:00"),
        ("2001-01-01 10:00:00.123+02:00", "2001-01-01 08:00:00"),
        ("Sat, 31 Dec 1999 23:59:60 GMT", "1999-12-31 23:59:59"),
        ("1 Jan 2001", "2001-01-01 00:00:00"),
    ],
)
def test_dates_as_people_and_programs_write_them(written: str, utc: str) -> None:
    assert parse_date(written) == datetime.fromisoformat(utc).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "written",
    ["", " ", ":", "yesterday", "1/2/2001 10:00", "32 Jan 2001 10:00:00", "1 Foo 2001 10:00:00", "10 10 10"],
)
def test_what_is_no_date_gives_none(written: str) -> None:
    assert parse_date(written) is None


@pytest.mark.parametrize(
    "written",
    [
        "from a by b; Mon, 1 Jan 2001 10:00:00 +0000",
        "from a (b; 2 Feb 2002 00:00:00 +0000) by b; Mon, 1 Jan 2001 10:00:00 +0000 (c; d)",
        "by b (IBM OS/400 ANYMAIL/400) Mon, 1 Jan 2001  12:00:00 +0200",
        "from a by b; Mon, 1 Jan 2001 10:00:00 +0000; junk",
        "from " + "a" * 20000 + " by b; Mon, 1 Jan 2001 10:00:00 +0000",
    ],
)
def test_the_date_of_a_received_line(written: str) -> None:
    assert parse_received(written) == AT_TEN


def headers(*lines: str) -> Headers:
    return Headers.parse("\r\n".join([*lines, "", ""]).encode())


RECEIVED = "Received: from a by b; Mon, 1 Jan 2001 10:00:00 +0000"
OLDER = "Received: from c by a; Mon, 1 Jan 2001 09:00:00 +0000"
DATE = "Date: Sun, 31 Dec 2000 10:00:00 +0000"


def test_the_envelope_comes_first_then_the_top_received_line_then_date() -> None:
    envelope = datetime(1999, 5, 6, 7, 8, 9, tzinfo=UTC)
    both = headers(DATE, RECEIVED, OLDER)
    assert internal_date(both, envelope) == (envelope, DateFrom.ENVELOPE)
    assert internal_date(both, None) == (AT_TEN, DateFrom.RECEIVED)
    assert internal_date(headers(DATE), None) == (datetime(2000, 12, 31, 10, tzinfo=UTC), DateFrom.DATE)
    assert internal_date(headers("Subject: x"), None) is None


def test_an_envelope_date_without_a_zone_is_utc_and_others_become_utc() -> None:
    assert internal_date(headers(), datetime(2001, 1, 1, 10)) == (AT_TEN, DateFrom.ENVELOPE)
    east = datetime(2001, 1, 1, 12, 0, 0, 5, tzinfo=timezone(timedelta(hours=2)))
    assert internal_date(headers(), east) == (AT_TEN, DateFrom.ENVELOPE)


@pytest.mark.parametrize("year", ["1904", "1969", "2038", "2099", "0001", "9999"])
def test_an_implausible_date_gives_way_to_the_next(year: str) -> None:
    forged = f"Received: by b; 1 Jan {year} 10:00:00 +0000"
    assert internal_date(headers(forged, OLDER, DATE), None) == (
        datetime(2000, 12, 31, 10, tzinfo=UTC),
        DateFrom.DATE,
    )
    assert internal_date(headers(f"Date: 1 Jan {year} 10:00:00 +0000"), None) is None
    assert internal_date(headers(RECEIVED), datetime(int(year), 1, 1, tzinfo=UTC)) == (
        AT_TEN,
        DateFrom.RECEIVED,
    )


def test_the_first_and_the_last_plausible_second() -> None:
    first = EARLIEST + timedelta(seconds=1)
    assert internal_date(headers("Date: 1 Jan 1970 00:00:01 +0000"), None) == (first, DateFrom.DATE)
    assert internal_date(headers("Date: 1 Jan 1970 00:00:00 +0000"), None) is None
    assert internal_date(headers("Date: 31 Dec 2037 23:59:59 +0000"), None) == (LATEST, DateFrom.DATE)
    assert internal_date(headers("Date: 31 Dec 2037 23:59:59 -0001"), None) is None


@pytest.mark.parametrize(("day", "counts"), [(2, True), (3, False)])
def test_a_date_in_the_future_gives_way_but_for_clocks_that_are_wrong(day: int, counts: bool) -> None:
    now = datetime(2001, 1, 1, 12, tzinfo=UTC)
    found = internal_date(headers(f"Date: {day} Jan 2001 10:00:00 +0000"), None, now)
    assert (found is not None) is counts


def test_the_first_date_line_counts_and_an_encoded_one_is_decoded() -> None:
    twice = headers("Date: =?us-ascii?Q?1_Jan_2001_10=3A00=3A00?=", DATE)
    assert internal_date(twice, None) == (AT_TEN, DateFrom.DATE)


@given(
    st.datetimes(datetime(1970, 1, 2), datetime(2037, 12, 30)),
    st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)
def test_well_formed_dates_read_as_the_standard_library_reads_them(naive: datetime, zone: timezone) -> None:
    written = format_datetime(naive.replace(microsecond=0, tzinfo=zone))
    assert parse_date(written) == parsedate_to_datetime(written)
    assert parse_date(f"{written} .") == parsedate_to_datetime(written), "with junk after it: the long way"
    assert parse_received(f"from x (y; z) by z; {written} (zone)") == parsedate_to_datetime(written)


PIECES = st.sampled_from([*"/.;()T-", "1", "31", "2001", "99999", "jan", "Feb", "mon,", "10:00", ":00", "+0200",
                          "-9999", "GMT", "PM", "٣", "é", "\x00"])  # fmt: skip


@given(st.one_of(st.text(), st.lists(PIECES, max_size=20).map(" ".join)))
@example("1 Jan 0001 00:00:00 +0200")
@example("31 Dec 9999 23:59:59 -0200")
@example("(" * 5000)
def test_no_text_at_all_makes_it_raise(text: str) -> None:
    for date in (parse_date(text), parse_received(text)):
        assert date is None or date.tzinfo is UTC
    octets = f"Received: {text}\r\nDate: {text}\r\n\r\n".encode()
    found = internal_date(Headers.parse(octets), None)
    assert found is None or EARLIEST <= found[0] <= LATEST


@given(
    st.datetimes(
        timezones=st.sampled_from([UTC, timezone(timedelta(hours=14)), timezone(timedelta(hours=-14))])
    )
)
@example(datetime.min.replace(tzinfo=timezone(timedelta(hours=14))))
@example(datetime.max.replace(tzinfo=timezone(timedelta(hours=-14))))
def test_no_envelope_date_makes_it_raise(envelope: datetime) -> None:
    found = internal_date(headers(), envelope)
    assert found is None or EARLIEST <= found[0] <= LATEST
