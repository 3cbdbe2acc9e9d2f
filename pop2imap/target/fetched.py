"""What FETCH answers, read without I/O (RFC 3501 7.4.2).

The records are as imaplib collects them: for each response its text, in which the octets of a literal stand
apart, as tuples of (text up to the literal, literal), ended by a text alone. Only flat items are asked for and
understood: UID, RFC822.SIZE, INTERNALDATE, FLAGS, BODY[], and of the header the field Message-ID. ENVELOPE and
BODYSTRUCTURE are never asked for: servers get them wrong.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta, timezone

from pop2imap.errors import ProtocolError
from pop2imap.model import Found
from pop2imap.octets import MatchDigest

Record = bytes | tuple[bytes, bytes]

_UID = re.compile(rb"[( ]UID ([0-9]{1,10})(?:\.0*)?[ )]", re.IGNORECASE)
_SIZE = re.compile(rb"[( ]RFC822\.SIZE ([0-9]{1,19})(?:\.0*)?[ )]", re.IGNORECASE)
_DATE = re.compile(
    rb'[( ]INTERNALDATE "([ 0-9]?[0-9])-([A-Za-z]{3})-([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2})'
    rb' ([+-])([0-9]{2})([0-9]{2})"',
    re.IGNORECASE,
)
_FLAGS = re.compile(rb"(?<=[( ])FLAGS \(([^)]*)\)", re.IGNORECASE)
_BODY = re.compile(
    rb'(?<=[( ])BODY\[\](?:<0>)? (NIL|"(?:[^"\\]|\\.)*"|\{[0-9]+\})', re.IGNORECASE | re.DOTALL
)
_HEAD = re.compile(
    rb'(?<=[( ])BODY\[HEADER\.FIELDS \("?MESSAGE-ID"?\)\] (NIL|"(?:[^"\\]|\\.)*"|\{[0-9]+\})',
    re.IGNORECASE | re.DOTALL,
)
_MONTHS = b"jan feb mar apr may jun jul aug sep oct nov dec".split()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBER = re.compile(rb"([0-9]{1,19})(?:\.0*)?")


def number(value: object, bits: int = 63) -> int | None:
    """A number as servers write it (QUIRK(iCloud): also as ``12.0``), or None for anything else, and for one that
    takes more than ``bits``: 32 for UIDs and their kin (RFC 3501 9, ``nz-number``)."""
    if isinstance(value, bytes) and (found := _NUMBER.fullmatch(value)):
        value = int(found[1])
    return value if isinstance(value, int) and 0 <= value < 1 << bits else None


def responses(records: Iterable[Record | None]) -> Iterator[bytes]:
    """The text of each whole response, ``{n}`` standing where a literal was."""
    text = b""
    for record in records:
        if record is None:
            continue
        if isinstance(record, tuple):
            text += record[0]
            continue
        yield text + record
        text = b""


def found(response: bytes) -> Found | None:
    """One message as a survey shows it; None for a response without a UID or a size (an unsolicited one).

    The date is the epoch where the server gives none that can be read. ``\\Recent`` is left out: it belongs
    to a session, not to the message.
    """
    flags = _FLAGS.search(response)
    if flags:  # a keyword may read like the name of an item
        response = response[: flags.start()] + response[flags.end() :]
    uid, size = _UID.search(response), _SIZE.search(response)
    if not uid or not size:
        return None
    names = flags[1].decode("ascii", "replace").split() if flags else ()
    return Found(
        int(uid[1]),
        int(size[1]),
        _date(response),
        frozenset(name for name in names if name.lower() != "\\recent"),
    )


def uid(response: bytes) -> int | None:
    """The UID that a response tells, if any."""
    told = _UID.search(_FLAGS.sub(b"", _BODY.sub(b"", response)))
    return int(told[1]) if told else None


class BodyDigest:
    """Digest and match digest of one message body, fed in pieces."""

    def __init__(self) -> None:
        self._sha = hashlib.sha256()
        self._match = MatchDigest()

    def update(self, octets: bytes) -> None:
        self._sha.update(octets)
        self._match.update(octets)

    @property
    def digests(self) -> tuple[bytes, bytes]:
        return self._sha.digest(), self._match.digest()


def bodies(
    records: Sequence[Record | None], literals: Sequence[BodyDigest]
) -> Iterator[tuple[int, BodyDigest]]:
    """(UID, digests) of each message body. ``literals`` are those of all literals that came, in order.

    Raises ProtocolError when literals came that are not bodies, so that it is not known which is which.
    """
    if sum(isinstance(record, tuple) for record in records) != len(literals):
        raise ProtocolError("octets came that belong to no message that was asked for")
    coming = iter(literals)
    response, held = b"", []
    for record in records:
        if isinstance(record, tuple):
            response += record[0]
            held.append(next(coming))
            continue
        response += record or b""
        told, number = _BODY.search(response), uid(response)
        if told and number is not None:
            if not told[1].startswith(b"{"):  # not a literal: QUIRK(some) for empty and tiny messages
                held.append(BodyDigest())
                held[-1].update(_unquoted(told[1]))
            if len(held) != 1:
                raise ProtocolError("a message came in a shape that is not known")
            yield number, held[0]
        response, held = b"", []


def heads(records: Iterable[Record | None]) -> Iterator[tuple[int, bytes]]:
    """(UID, header block) of each response that tells the field Message-ID; empty where a message has none."""
    response, literals = b"", []
    for record in records:
        if isinstance(record, tuple):
            response += record[0]
            literals.append(record[1])
            continue
        response += record or b""
        told, number = _HEAD.search(response), _UID.search(_FLAGS.sub(b"", _HEAD.sub(b"", response)))
        if told and number and len(literals) == told[1].startswith(b"{"):
            yield int(number[1]), literals[0] if literals else _unquoted(told[1])
        response, literals = b"", []


def _unquoted(text: bytes) -> bytes:
    return re.sub(rb"\\(.)", rb"\1", text[1:-1], flags=re.DOTALL) if text.startswith(b'"') else b""


def _date(response: bytes) -> datetime:
    told = _DATE.search(response)
    if not told:
        return _EPOCH
    day, month, year, hour, minute, second, sign, zone_hours, zone_minutes = told.groups()
    offset = timedelta(hours=int(zone_hours), minutes=int(zone_minutes))
    try:
        return datetime(
            int(year),
            _MONTHS.index(month.lower()) + 1,
            int(day),
            int(hour),
            int(minute),
            min(int(second), 59),
            tzinfo=timezone(-offset if sign == b"-" else offset),
        ).astimezone(UTC)
    except (ValueError, OverflowError):
        return _EPOCH


def uid_set(uids: Iterable[int]) -> str:
    """Ascending UIDs as a sequence set, ranges drawn together: ``1:3,7``."""
    parts: list[list[int]] = []
    for one in uids:
        if parts and parts[-1][1] == one - 1:
            parts[-1][1] = one
        else:
            parts.append([one, one])
    return ",".join(str(first) if first == last else f"{first}:{last}" for first, last in parts)
