"""What an IMAP account holds, read back with the standard library's imaplib: not with the code that put it there.

The demo's account is small and its server is on this machine; imaplib's limits (one line of a megabyte, a message
in memory) do not matter here.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from imaplib import IMAP4, ParseFlags
from typing import Any

from pop2imap.demo.mail import Sample
from pop2imap.demo.servers import HOST, Server
from pop2imap.errors import ProtocolError
from pop2imap.headers import Headers
from pop2imap.model import ANSWERED, FLAGGED, SEEN
from pop2imap.text import printable

_LIST = re.compile(rb'\((?P<attributes>[^)]*)\) (?:"."|NIL) (?:"(?P<quoted>.*)"|(?P<atom>\S+))')
_DATE = re.compile(rb'INTERNALDATE "(?P<date>[^"]+)"')
_SHIFTED = re.compile(r"&([^-]*)-")


@dataclass(frozen=True, slots=True)
class Stored:
    """One message in the target. ``folder`` is the server's name of it, decoded; ``uses`` are its special uses
    (``\\Sent``)."""

    folder: str
    uses: frozenset[str]
    flags: frozenset[str]
    date: datetime
    octets: bytes


def read(server: Server) -> list[Stored]:
    """Every message of the account, by folder and then in the order of the folder. Sets no flag."""
    session = IMAP4(HOST, server.port)
    try:
        session.login(server.user, server.password)
        found = []
        for folder, wire_name, attributes in _folders(session):
            _done("SELECT", session.select(wire_name, readonly=True))
            answer = _done("FETCH", session.uid("FETCH", "1:*", "(FLAGS INTERNALDATE BODY.PEEK[])"))
            found += [
                Stored(folder, attributes, *_flags_and_date(item[0]), item[1])
                for item in answer
                if isinstance(item, tuple)
            ]
        return found
    finally:
        with suppress(OSError, IMAP4.error):
            session.logout()


def _done(command: str, answer: tuple[str, list[Any]]) -> list[Any]:
    status, data = answer
    if status != "OK":
        raise ProtocolError(
            f"{command} was answered with {status} {printable(str(data))}", where="IMAP server"
        )
    return data


def _folders(session: IMAP4) -> Iterator[tuple[str, str, frozenset[str]]]:
    """(name for people, name for commands, attributes) of what can be selected, INBOX first."""
    found = []
    for line in _done("LIST", session.list()):
        match = _LIST.fullmatch(line) if isinstance(line, bytes) else None
        if match is None:
            raise ProtocolError(f"LIST answered {printable(str(line))}", where="IMAP server")
        attributes = frozenset(match["attributes"].decode("ascii").split())
        name = (match["quoted"] or match["atom"]).decode("ascii")
        if "\\Noselect" not in attributes:
            found.append((_decoded(name), f'"{name}"', attributes))
    return iter(sorted(found, key=lambda folder: (folder[0] != "INBOX", folder[0].casefold())))


def _decoded(name: str) -> str:
    """A folder name from modified UTF-7 (RFC 3501 5.1.3)."""

    def plain(match: re.Match[str]) -> str:
        digits = match[1].replace(",", "/")
        return b64decode(digits + "=" * (-len(digits) % 4)).decode("utf-16-be") if digits else "&"

    return _SHIFTED.sub(plain, name)


def _flags_and_date(answer: bytes) -> tuple[frozenset[str], datetime]:
    date = _DATE.search(answer)
    assert date
    flags = frozenset(flag.decode("ascii") for flag in ParseFlags(answer))
    when = datetime.strptime(date["date"].decode("ascii"), "%d-%b-%Y %H:%M:%S %z")
    return flags - {"\\Recent"}, when.astimezone(UTC)


def lines(messages: Iterable[Stored]) -> Iterator[str]:
    """The account for people: one line a folder, then one a message: date, flags, sender, subject."""
    folders: dict[str, list[Stored]] = {}
    for message in messages:
        folders.setdefault(message.folder, []).append(message)
    for folder, held in folders.items():
        uses = " ".join(sorted(held[0].uses & {"\\Sent", "\\Drafts", "\\Trash"}))
        unread = sum(SEEN not in message.flags for message in held)
        yield f"{folder}{f'  ({uses})' if uses else ''}  {len(held)} in all, {unread} unread"
        for message in held:
            headers = Headers.parse(message.octets)
            sender = next((a.name or a.address for a in headers.addresses("from")), "")
            yield (
                f"  {message.date:%Y-%m-%d %H:%M}  {_words(message.flags):<22} "
                f"{printable(sender, 16):<16} {printable(headers.subject, 44)}"
            )


def _words(flags: frozenset[str]) -> str:
    """``unread starred answered`` and keywords as they are."""
    words = [] if SEEN in flags else ["unread"]
    words += [word for flag, word in ((FLAGGED, "starred"), (ANSWERED, "answered")) if flag in flags]
    return " ".join((*words, *sorted(flags - {SEEN, FLAGGED, ANSWERED})))


def differences(samples: Iterable[Sample], messages: Iterable[Stored]) -> list[str]:
    """What differs between what should have arrived and what is there: folder, flags, date, octets, copies.
    Empty when all is as it should be."""
    expected = Counter((s.folder, s.flags, s.date, s.octets) for s in samples if s.arrives)
    found = Counter(
        ("\\Sent" if "\\Sent" in m.uses else m.folder, m.flags, m.date, m.octets) for m in messages
    )
    return [
        f"{word}: {printable(Headers.parse(octets).subject, 60)} in {folder}, {date:%Y-%m-%d %H:%M}, "
        f"{' '.join(sorted(flags)) or 'no flags'}"
        for word, rest in (("missing", expected - found), ("unexpected", found - expected))
        for folder, flags, date, octets in rest.elements()
    ]
