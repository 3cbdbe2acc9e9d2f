"""What the themes of the awkward set write their messages with."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from pop2imap.model import DateFrom
from tests.corpus.sample import Sample


class Made(NamedTuple):
    """One message of a theme: what is awkward in it, and its octets, in which ``USUAL`` stands for the usual header
    fields. ``date``: what dates it, if the usual fields do not. ``dated`` False: nothing does, although they are
    there; ``by_date``: their ``Date`` does, since ``Received`` cannot be read. ``flags``: what a mail program noted."""

    name: str
    octets: bytes
    date: datetime | None = None
    dated: bool = True
    by_date: bool = False
    flags: frozenset[str] | None = None


Theme = Callable[[], Iterator[Made]]

UNDATED = b"From: Bob <bob@example.org>\r\nTo: alice@example.com\r\nSubject: undated\r\nMIME-Version: 1.0\r\n"
"""Header fields that give no date."""

LATER = timedelta(seconds=30)
"""How much later the usual ``Received`` is than the usual ``Date``."""

_USUAL = re.compile(rb"\0usual ((?:0d|0a)*)\0")


def usual(end: bytes = b"\r\n") -> bytes:
    """Stands for the usual header fields, each line of them ended by ``end``."""
    return b"\0usual %b\0" % end.hex().encode()


USUAL = usual()


def plain(name: str, body: bytes, *fields: bytes) -> Made:
    """The usual fields, some more, and a body."""
    return Made(name, USUAL + b"".join(field + b"\r\n" for field in fields) + b"\r\n" + body)


def parts(*some: bytes, edge: bytes = b"edge") -> bytes:
    """The body of a multipart: each of ``some`` begins with its header fields or its empty line."""
    return b"".join(b"--%b\r\n%b\r\n" % (edge, part) for part in some) + b"--%b--\r\n" % edge


def sample(made: Made, theme: str, number: int) -> Sample:
    """The message as a sample: its kind is its name."""
    when = datetime(2003, 1, 1, 12, tzinfo=UTC) + timedelta(hours=7 * number)
    octets = _USUAL.sub(
        lambda found: _fields(made.name, number, when).replace(b"\r\n", bytes.fromhex(found[1].decode())),
        made.octets,
    )
    if made.date is not None or made.by_date:
        date, date_from = made.date or when - LATER, DateFrom.DATE
    elif made.dated and octets != made.octets:
        date, date_from = when, DateFrom.RECEIVED
    else:
        date, date_from = None, DateFrom.NEIGHBOUR
    return Sample(number, f"{theme}/{made.name}", octets, made.flags, date, date_from, "INBOX")


def _fields(name: str, number: int, when: datetime) -> bytes:
    sent = when - LATER
    return (
        f"Received: from mx.example.net (mx.example.net [192.0.2.7])\r\n\tby mail.example.com (Postfix) "
        f"id {number:06X};\r\n\t{when:%a, %d %b %Y %H:%M:%S} +0000\r\n"
        "From: Bob <bob@example.org>\r\nTo: Alice <alice@example.com>\r\n"
        f"Subject: {name}\r\nDate: {sent:%a, %d %b %Y %H:%M:%S} +0000\r\n"
        f"Message-ID: <{number}.awkward@example.org>\r\nMIME-Version: 1.0\r\n"
    ).encode()
