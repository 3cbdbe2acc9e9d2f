"""What a mailbox holds, read by another IMAP client than the one under test would be: plain FETCH of everything."""

from __future__ import annotations

import ssl
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from imapclient import IMAPClient

from tests.servers.dovecot import PASSWORD, Dovecot

FETCH_AT_ONCE = 50


@dataclass(frozen=True)
class Kept:
    """One message as the server keeps it."""

    folder: str
    octets: bytes
    flags: frozenset[str]
    date: datetime


@contextmanager
def client(dovecot: Dovecot, user: str) -> Iterator[IMAPClient]:
    """A logged-in client over TLS."""
    context = ssl.create_default_context(cafile=str(dovecot.ca_file))
    with IMAPClient("localhost", port=dovecot.imaps_port, ssl_context=context, timeout=60) as connected:
        connected.normalise_times = False
        connected.login(user, PASSWORD)
        yield connected


def messages(dovecot: Dovecot, user: str) -> Iterator[Kept]:
    """Every message of every folder, in order of UID within a folder; ``\\Recent`` left out."""
    with client(dovecot, user) as connected:
        for _attributes, _delimiter, name in connected.list_folders():
            connected.select_folder(name, readonly=True)
            uids = connected.search("ALL")
            for at in range(0, len(uids), FETCH_AT_ONCE):
                fetched = connected.fetch(
                    uids[at : at + FETCH_AT_ONCE], ["FLAGS", "INTERNALDATE", "BODY.PEEK[]"]
                )
                for uid in uids[at : at + FETCH_AT_ONCE]:
                    one = fetched[uid]
                    flags = {flag.decode() for flag in one[b"FLAGS"]} - {"\\Recent"}
                    yield Kept(name, one[b"BODY[]"], frozenset(flags), one[b"INTERNALDATE"].astimezone(UTC))


def folders(dovecot: Dovecot, user: str) -> Counter[str]:
    """How many messages each folder holds, empty ones included."""
    with client(dovecot, user) as connected:
        return Counter(
            {
                name: connected.folder_status(name, ["MESSAGES"])[b"MESSAGES"]
                for _attributes, _delimiter, name in connected.list_folders()
            }
        )
