"""The internal date of a message: which header tells it, and how its text is read.

The first of these that is readable and plausible: the From_ date of an mbox, the top ``Received`` line (when
the mail reached the account), the ``Date`` line (when it was sent, or so the sender says). Plausible is from
1970 on: no mail is older than the epoch, and QUIRK(Cyrus, Courier): they take the epoch itself for "now"; until
2037: IMAP servers mangle later years; and not in the future, for QUIRK(Dovecot): it would store "now".

Dates are found anywhere in a text, whatever stands around them: missing weekday, comments, two-digit years,
no seconds, asctime order, named zones, ``GMT+0200``, trailing junk. ``email.utils.parsedate_tz`` is not used:
it reads ``+02:00``, ``GMT+0200``, ``CET`` and ``11:00 PM`` without a word as something else, and fails on a
comment before the date. The tests hold both to the same answers for well-formed dates.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from pop2imap.headers import Headers
from pop2imap.model import DateFrom

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(2037, 12, 31, 23, 59, 59, tzinfo=UTC)

SLACK = timedelta(days=1)
"""How far clocks and zones may be wrong before a date counts as in the future."""

MAX_TEXT = 4096
"""Characters of a header that are searched for a date."""

_DAY = r"(?P<day>\d{1,2})"
_MONTH = r"(?P<month>[A-Za-z]{3,9})\.?"
_DIGIT_MONTH = r"(?P<month>\d{1,2})"
_YEAR = r"(?P<year>\d{4})"
_SHORT_YEAR = r"(?P<year>\d{2,4})"
_CLOCK = (
    r"(?P<hour>\d{1,2})[:.](?P<minute>\d{2})(?:[:.](?P<second>\d{2}))?(?:[.,]\d{1,9})?"
    r"\s*(?P<half>[ap]\.?m\b)?"
)
_ZONE = r"(?P<zone>(?:[\"']?[A-Za-z]{1,5}[\"']?\s?)?[+-]\d{1,2}(?::?\d{2})?\b|[\"']?[A-Za-z]{1,5}\b)"
_TIME = rf"{_CLOCK}(?:\s{{0,9}}{_ZONE})?"
_LATE_ZONE = r"(?:\s{0,9}(?P<late_zone>[+-]\d{4}\b))?"
_SP, _SEP, _COMMA = r"\s{1,9}", r"[\s,-]{1,9}", r"[\s,]{1,9}"
_FORMS = (
    # 1 Jan 2001 10:00:00 +0200, 01-Jan-01 10:00 GMT
    rf"(?<!\d){_DAY}{_SEP}{_MONTH}{_SEP}{_SHORT_YEAR}[\s,T]{{1,9}}{_TIME}",
    # Mon Jan  1 10:00:00 2001, with a zone before or after the year
    rf"\b{_MONTH}{_SP}{_DAY}{_SP}{_CLOCK}{_SP}(?:{_ZONE}{_SP})?{_YEAR}\b{_LATE_ZONE}",
    # Jan 1 2001 10:00:00 -0700, Jan 1, 2001 10:00
    rf"\b{_MONTH}{_SP}{_DAY}{_COMMA}{_YEAR}{_COMMA}{_TIME}",
    # 2001-01-01T10:00:00Z, 2001/01/01 10:00
    rf"(?<!\d){_YEAR}[-/]{_DIGIT_MONTH}[-/]{_DAY}[\sT]{{1,9}}{_TIME}",
    # 15 09 2014 05:25:04: some program's idea of a month
    rf"(?<!\d){_DAY}\s{_DIGIT_MONTH}\s{_YEAR}\s{_TIME}",
    # 1 Jan 2001, without a time of day
    rf"(?<!\d){_DAY}{_SEP}{_MONTH}{_SEP}{_YEAR}\b",
)

_WELL_FORMED = (
    re.compile(  # RFC 5322 3.3, as programs write it; with a comment after it, which is the zone's name
        r"\s{0,9}(?:[A-Z][a-z]{2}, )?(\d{1,2}) ([A-Z][a-z]{2}) (\d{4}) (\d\d):(\d\d):([0-5]\d)"
        r" ([+-])(0\d|1[0-4])([0-5]\d)(?: \([^()]{1,99}\))?\s{0,9}",
        re.ASCII,
    )
)

# fmt: off
_MONTHS = {
    "jan": 1, "feb": 2, "mar": 3, "apr": 4, "may": 5, "jun": 6,
    "jul": 7, "aug": 8, "sep": 9, "oct": 10, "nov": 11, "dec": 12,
}
# RFC 5322 4.3, and the zones that mean one thing only; the others, as -0000, are taken for UTC
_HOURS = {
    "hst": -10, "akst": -9, "akdt": -8, "pst": -8, "pdt": -7, "mst": -7, "mdt": -6, "cst": -6, "cdt": -5,
    "est": -5, "edt": -4, "bst": 1, "west": 1, "cet": 1, "met": 1, "mez": 1, "cest": 2, "mest": 2, "mesz": 2,
    "eet": 2, "eest": 3, "msk": 3, "msd": 4, "hkt": 8, "awst": 8, "jst": 9, "kst": 9, "aest": 10, "aedt": 11,
    "nzst": 12, "nzdt": 13,
}
# fmt: on
_OFFSET = re.compile(r"([+-])(\d{1,2}):?(\d{2})?")
_COMMENT = re.compile(r"\([^()]*\)")


def internal_date(
    headers: Headers, envelope_date: datetime | None, now: datetime = LATEST
) -> tuple[datetime, DateFrom] | None:
    """The internal date (UTC, whole seconds) and the fact it is taken from, or None. Never raises.

    ``envelope_date`` is a From_ date that its source vouches for; one without a zone is taken for UTC. Dates more
    than ``SLACK`` after ``now`` are in the future.
    """
    latest = min(now + SLACK, LATEST) if now < LATEST else LATEST
    for date, date_from in _candidates(headers, envelope_date):
        if date is not None and EARLIEST < date <= latest:
            return date, date_from
    return None


def _candidates(
    headers: Headers, envelope_date: datetime | None
) -> Iterator[tuple[datetime | None, DateFrom]]:
    if envelope_date is not None:
        yield _utc(envelope_date), DateFrom.ENVELOPE
    if received := headers.first("received"):
        yield parse_received(received), DateFrom.RECEIVED
    if dated := headers.first("date"):
        yield parse_date(dated), DateFrom.DATE


def _utc(date: datetime) -> datetime | None:
    if date.tzinfo is UTC and not date.microsecond:
        return date
    try:
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).astimezone(UTC).replace(microsecond=0)
    except OverflowError:
        return None


def parse_received(text: str) -> datetime | None:
    """The date of an unfolded ``Received`` field (RFC 5321 4.4): what stands after the last ``;`` outside of
    comments, or, where a program wrote no ``;``, wherever it stands."""
    if date := _well_formed(text.rpartition(";")[2]):
        return date
    text = _without_comments(text[-MAX_TEXT:])
    return parse_date(text.rpartition(";")[2]) or parse_date(text)


def parse_date(text: str) -> datetime | None:
    """The date in ``text`` (UTC), or None. A text that names no zone, or an unknown one, is taken for UTC."""
    if date := _well_formed(text):
        return date
    text = text[:MAX_TEXT]
    for spelled in dict.fromkeys((_without_comments(text), text)):
        for form in _forms():
            found = form.search(spelled)
            if found and (date := _date(found.groupdict())):
                return date
    return None


@functools.cache
def _forms() -> tuple[re.Pattern[str], ...]:
    """Most runs meet no date that needs them."""
    return tuple(re.compile(form, re.IGNORECASE | re.ASCII) for form in _FORMS)


def _well_formed(text: str) -> datetime | None:
    """The date that ``text`` is, written as nearly all mail has it: the same answer as below, sooner."""
    found = _WELL_FORMED.fullmatch(text)
    if found is None:
        return None
    day, month, year, hour, minute, second, sign, zone_hours, zone_minutes = found.groups()
    offset = timedelta(hours=int(zone_hours), minutes=int(zone_minutes))
    try:
        date = datetime(
            int(year), _MONTHS[month.lower()], int(day), int(hour), int(minute), int(second), tzinfo=UTC
        )
        return date + offset if sign == "-" else date - offset
    except (KeyError, ValueError, OverflowError):
        return None


def _without_comments(text: str) -> str:
    for _ in range(3):  # they may nest
        if "(" in text:
            text = _COMMENT.sub(" ", text)
    return text


def _date(parts: dict[str, str | None]) -> datetime | None:
    month = parts["month"] or ""
    year = parts["year"] or ""
    try:
        date = datetime(
            _full_year(year),
            int(month) if month.isdecimal() else _MONTHS[month[:3].lower()],
            int(parts["day"] or ""),
            _hour(int(parts.get("hour") or 0), parts.get("half") or ""),
            int(parts.get("minute") or 0),
            min(int(parts.get("second") or 0), 59),  # a leap second is the one before
            tzinfo=UTC,
        )
        return date - _offset(parts.get("late_zone") or parts.get("zone") or "")
    except (KeyError, ValueError, OverflowError):
        return None


def _full_year(digits: str) -> int:
    """RFC 5322 4.3: two digits are 1950 to 2049, three count from 1900."""
    year = int(digits)
    if len(digits) == 2:
        return year + (2000 if year < 50 else 1900)
    return year + 1900 if len(digits) == 3 else year


def _hour(hour: int, half: str) -> int:
    if not half or hour > 12:
        return hour
    return hour % 12 + (12 if half[0] in "pP" else 0)


def _offset(zone: str) -> timedelta:
    """East of UTC is positive. What no zone of the earth has is taken for UTC."""
    if found := _OFFSET.search(zone):
        minutes = int(found[2]) * 60 + int(found[3] or 0)
        if minutes > 15 * 60 or int(found[3] or 0) > 59:
            return timedelta()
        return timedelta(minutes=-minutes if found[1] == "-" else minutes)
    return timedelta(hours=_HOURS.get(zone.strip("\"' ").lower(), 0))
