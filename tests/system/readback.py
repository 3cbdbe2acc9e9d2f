"""What a mailbox holds, read by another IMAP client than the one under test would be: plain FETCH of everything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime

from imapclient import IMAPClient

from tests.servers.server import Server

FETCH_AT_ONCE = 50


@dataclass(frozen=True)
class Kept:
    """One message as the server keeps it."""

    folder: str
    octets: bytes
    flags: frozenset[str]
    date: datetime


def client(server: Server, user: str) -> AbstractContextManager[IMAPClient]:
    """A logged-in client over TLS."""
    return server.client(user)


def messages(server: Server, user: str) -> Iterator[Kept]:
    """Every message of every folder, in order of UID within a folder; ``\\Recent`` left out."""
    with client(server, user) as connected:
        for _attributes, _delimiter, name in connected.list_folders():
            connected.select_folder(name, readonly=True)
            uids = connected.search("ALL")
            for at in range(0, len(uids), FETCH_AT_ONCE):
                fetched = connected.fetch(
                    uids[at : at + FETCH_AT_ONCE], ["FLAGS", "INTERNALDATE", "BODY.PEEK[]"]
                )
                for uid in uids[at : at + FETCH_AT_ONCE]:
                    one = fetched[uid]
                    flags = {_text(flag) for flag in one[b"FLAGS"]} - {"\\Recent"}
                    yield Kept(name, one[b"BODY[]"], frozenset(flags), one[b"INTERNALDATE"].astimezone(UTC))


def _text(flag: bytes | int | None) -> str:
    """imapclient reads a keyword of digits as a number, and NIL as None."""
    return "NIL" if flag is None else str(flag) if isinstance(flag, int) else flag.decode()


def folders(server: Server, user: str) -> Counter[str]:
    """How many messages each folder holds, empty ones included."""
    with client(server, user) as connected:
        return Counter(
            {
                name: connected.folder_status(name, ["MESSAGES"])[b"MESSAGES"]
                for _attributes, _delimiter, name in connected.list_folders()
            }
        )
