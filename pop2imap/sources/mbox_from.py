"""The line that begins each message of an mbox, "From_" for short: recognised, and its date read.

There is no standard worth the name (RFC 4155 describes one form of many), so this knows what files in the
wild show:

    From alice@example.com Thu Nov 29 19:33:09 1973            asctime: sendmail, Postfix, procmail, qmail
    From alice@example.com Thu Nov 29 19:33 MET 1973           no seconds; a zone before or after the year
    From 1596@xxx Mon Jan 01 00:00:00 +0000 2018               Google Takeout
    From - Tue Mar 27 10:00:00 2012                            Thunderbird until 2023; the time it fetched the mail
    From                                                       Thunderbird since: no sender, no date
    From ???@??? Fri Mar 10 09:04:22 1995                      Eudora; the time it fetched the mail
    From MAILER-DAEMON Fri Jul  8 12:08:34 2011                Pine, Python and many exports: often the export's time
    From Alice Example <alice@example.com> Mon Aug 12 ...      senders with spaces and comments
    From host!alice Tue Jan  3 01:05:34 1996 remote from host  UUCP
    From alice@example.com Fri, 2 Jan 1998 10:14:00 +0000      RFC 822 dates
    From alice@example.com 2023-10-16T16:18:56-07:00           ISO 8601
    From - Mon Oct 16 2023 16:18:56 GMT-0700                   JavaScript
    From 3f2c...e1 Mon Sep 17 00:00:00 2001                    git: the first line of a patch, not of a mail
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from enum import Enum

from pop2imap import dates

LINE_LIMIT = 1000
"""Octets beyond which a line is no From_ line, whatever it begins with."""

FIRST = dates.EARLIEST + timedelta(days=1)
"""Earlier dates are the placeholder of programs that knew none: ``Thu Jan  1 00:00:00 1970``."""


class Look(Enum):
    """What a line that begins with ``From `` looks like."""

    DATED = "a From_ line with a date"
    BARE = "nothing but From, or From and a hyphen"
    EUDORA = "Eudora's mark"
    PATCH = "git's mark"
    OTHER = "no date"


_DAY_NAME = rb"(?:[A-Za-z]{2,9}\.?,? +)?"
_MONTH = rb"(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}"
_DAY = rb"(?:0?[1-9]|[12]\d|3[01])"
_YEAR = rb"(?P<year>\d{4,5}|1\d\d|\d\d)"
_TIME = rb"(?:[01]?\d|2[0-3]):[0-5]\d(?::[0-6]\d(?:\.\d{1,9})?)?(?: ?[AaPp]\.?[Mm]\b\.?)?"
_ZONE = rb"(?:[+-]\d\d:?\d\d|[A-Za-z]{1,5}(?:[+-]\d\d:?\d\d)?)"
_FORMS = tuple(
    re.compile(
        rb"(?:^|(?<=[ \t]))(?P<date>" + form + rb")(?: *\([^()]{1,40}\))?(?:[ \t]+remote from \S+)?[ \t]*$"
    )
    for form in (
        # Thu Nov 29 19:33:09 [MET] 1973 [+0100]
        b"%b%b +%b,? +%b(?: +%b)? +%b(?: +%b)?" % (_DAY_NAME, _MONTH, _DAY, _TIME, _ZONE, _YEAR, _ZONE),
        # Mon Oct 16 2023 16:18:56 GMT-0700
        b"%b%b +%b,? +%b,? +%b(?: *%b)?" % (_DAY_NAME, _MONTH, _DAY, _YEAR, _TIME, _ZONE),
        # Fri, 2 Jan 1998 10:14:00 +0000
        b"%b%b[ -]%b[ -]%b,? +%b(?: *%b)?" % (_DAY_NAME, _DAY, _MONTH, _YEAR, _TIME, _ZONE),
        # 2023-10-16T16:18:56-07:00
        rb"(?P<year>\d{4})[-/](?:0[1-9]|1[0-2])[-/]%b(?:[Tt]| +)%b(?: *%b)?" % (_DAY, _TIME, _ZONE),
    )
)
_PLAIN = re.compile(  # what most programs write, whole: a sender that is nothing special, and an asctime date
    rb"From (?:-|[^ \t\r\n@?]{1,200}@[^ \t\r\n@?]{1,200}) [A-Z][a-z]{2} ([A-Z][a-z]{2}) ([ 0][1-9]|[12]\d|3[01])"
    rb" ([01]\d|2[0-3]):([0-5]\d):([0-5]\d) ((?:19|20)\d\d)\r?\n?"
)
_MONTHS = dict(zip(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), range(1, 13), strict=True))
_DATE_LIMIT = 160  # octets at the end of a line in which its date must begin
_BARE = re.compile(rb"From[ \t]*(?:[ \t]-)?[ \t]*$")
_EUDORA = b"From ???@??? "
_PATCH = re.compile(rb"From (?:[0-9a-f]{40}|[0-9a-f]{64}) Mon Sep 17 00:00:00 2001[ \t]*$")
_NOBODY = (b"", b"-", b"MAILER-DAEMON", b"???@???")


def look(line: bytes) -> Look:
    """What ``line`` (it begins with ``From ``; with or without its line end) looks like."""
    if (plain := _PLAIN.fullmatch(line)) and plain[1] in _MONTHS:
        return Look.DATED
    line = line.rstrip(b"\r\n")
    if len(line) > LINE_LIMIT:
        return Look.OTHER
    if _BARE.match(line):
        return Look.BARE
    if line.startswith(_EUDORA):
        return Look.EUDORA
    if _PATCH.match(line):
        return Look.PATCH
    return Look.DATED if _dated(line) else Look.OTHER


def envelope_date(line: bytes, now: datetime) -> datetime | None:
    """The date of a From_ line (UTC) if it can be when the message came, else None.

    A sender ``-``, ``???@???``, ``MAILER-DAEMON`` or none means that a mail program wrote the line when it
    fetched or exported the message, so the date is not the message's. Nothing is lost where MAILER-DAEMON is a
    true sender: the headers of a bounce say the same. Without a zone the date is taken for UTC, as qmail writes
    it; others write local time and do not say which.
    """
    if line.startswith(b"From - "):
        return None
    date = _plain_date(line) or _any_date(line.rstrip(b"\r\n"))
    if date is None or not FIRST <= date <= dates.LATEST or date > now + timedelta(days=1):
        return None
    return date


def _plain_date(line: bytes) -> datetime | None:
    """The same as below, sooner."""
    if (plain := _PLAIN.fullmatch(line)) is None:
        return None
    month, day, hour, minute, second, year = plain.groups()
    try:
        return datetime(int(year), _MONTHS[month], int(day), int(hour), int(minute), int(second), tzinfo=UTC)
    except (KeyError, ValueError):  # no month; the 30th of February
        return None


def _any_date(line: bytes) -> datetime | None:
    found = _dated(line)
    if found is None or len(line) > LINE_LIMIT or _PATCH.match(line):
        return None
    sender = line[len(b"From ") : found.start("date")].strip(b" \t")
    if sender.partition(b" ")[0] in _NOBODY:
        return None
    text = (
        line[found.start("date") : found.start("year")],
        _full_year(found["year"]),
        line[found.end("year") :],
    )
    return dates.parse_date(b"".join(text).decode("latin-1"))


def _dated(line: bytes) -> re.Match[bytes] | None:
    start = max(len(b"From "), len(line) - _DATE_LIMIT)
    for form in _FORMS:
        if found := form.search(line, start):
            return found
    return None


def _full_year(digits: bytes) -> bytes:
    """Two digits, and what programs of 1999 made of 2000: ``100``, ``19100``."""
    year = int(digits)
    if year >= 19100:
        year -= 19000 - 1900
    elif year < 70:
        year += 2000
    elif year < 1000:
        year += 1900
    return b"%04d" % year
