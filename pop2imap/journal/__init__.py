"""The contract of the journal: the durable record of what became of every message.

One journal belongs to one target account; all sources of that account share it. The unit of state is the
*placement* (key, folder); a message that rules put into two folders has two.

The invariant everything rests on: **before the first octet of an APPEND goes out, a durable row (key, folder,
match digest, mailbox, V, L) exists, with L ≤ the UIDNEXT of the mailbox at that moment under UIDVALIDITY V.**
So :meth:`Journal.intend` commits with full durability before it returns. :meth:`Journal.settle` may lose its
last commits in a power failure: a lost *stored* is *intended* again, which recovery resolves.

Life of a placement: ``intended`` → ``stored`` | ``refused`` | ``held``; a server's temporary refusal, or
recovery that did not find it, deletes the row again (the message is ready once more). ``present`` placements
never were intended.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from pop2imap.errors import ExitCode
from pop2imap.model import Account, DateFrom, Key, Mailbox, Outcome


@dataclass(frozen=True, slots=True)
class Entry:
    """What the journal knows of one key. ``placed`` maps each folder that is stored, present, refused or held
    to its state; a PENDING entry with ``placed`` was interrupted between two folders."""

    account: Account
    size: int
    digest: bytes | None
    date: datetime | None
    reason: str
    rules_digest: str
    placed: Mapping[str, Account] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Record:
    """What is to be remembered of one message, whatever becomes of it.

    ``subject`` is empty unless the message is a problem that a report must name (refused, held,
    unreadable); it is dropped again once the message is settled. ``rules_digest`` names the rules (and
    options) that decided. ``copies`` is the number of folders decided.
    """

    key: Key
    account: Account
    size: int
    digest: bytes | None = None
    date: datetime | None = None
    date_from: DateFrom | None = None
    reason: str = ""
    why: str = ""
    rules_digest: str = ""
    subject: str = ""
    copies: int = 1


@dataclass(frozen=True, slots=True)
class Placement:
    """One copy of one message for one mailbox: an intent when it is new, a claim when it is looked up.

    ``lower_bound`` is the L of the invariant. ``id`` is the journal's (0 before ``intend``); ids ascend in
    the order of intending. ``stored`` is True for a claim whose OK was seen but whose UID is not known.
    """

    key: Key
    folder: str
    mailbox: str
    uidvalidity: int
    lower_bound: int
    match_digest: bytes
    size: int
    date: datetime
    flags: tuple[str, ...]
    id: int = 0
    stored: bool = False


@dataclass(frozen=True, slots=True)
class Held:
    """The outcome that recovery gives when it cannot know. Beside the three of ``model.Outcome``."""

    reason: str


class Journal(Protocol):
    """The journal of one target account, open for writing under its lock. Used by one thread.

    Errors: LocalIOError (disk full, read-only), JournalCorrupt.
    """

    def lookup(self, keys: Sequence[Key]) -> dict[Key, Entry]:
        """What is known of these keys; unknown ones are missing. Any number of keys."""

    def note(self, records: Iterable[Record]) -> None:
        """Insert or replace what is known of messages (skipped, unreadable, present, pending …). Placements
        are not touched. Lazily durable."""

    def intend(self, records: Sequence[Record], placements: Sequence[Placement]) -> list[int]:
        """Make the placements durable as *intended*, and the records of their messages with them, in one
        fully durable transaction. Returns the ids of the placements, in order."""

    def settle(self, outcomes: Iterable[tuple[int, Outcome | Held]], *, durable: bool = False) -> None:
        """Record outcomes by placement id and bring the accounts of their messages up to date.

        Stored → stored (with the UID, if no other placement owns (mailbox, UIDVALIDITY, UID), else without);
        Refused(NEVER) → refused; Refused(LATER) → the placement goes, the message is PENDING; Unknown → stays
        intended; Held → held. A message is STORED when all its copies are stored or present (PRESENT if all
        are present), HELD if one is held, else REFUSED if one is refused, else PENDING.
        """

    def present(self, record: Record, placement: Placement, uid: int | None) -> None:
        """The target (or another source, then ``uid`` is None) holds this copy already. Owns (mailbox,
        UIDVALIDITY, UID) from now on. Updates the account of the message as ``settle`` does."""

    def claims(self, mailbox: str) -> list[Placement]:
        """Every intended placement of the server's mailbox ``mailbox``, of every UIDVALIDITY, and every
        stored one without a UID; in order of id."""

    def mailboxes_in_doubt(self) -> list[tuple[str, str]]:
        """(mailbox, folder) of every mailbox that has an intended placement."""

    def owned(self, mailbox: str, uidvalidity: int) -> set[int]:
        """The UIDs that placements own in this mailbox under this UIDVALIDITY."""

    def last_uidvalidity(self, mailbox: str) -> int | None:
        """The UIDVALIDITY under which the mailbox was used last, or None."""

    def elsewhere(self, key: Key, digest: bytes) -> int:
        """How many copies of these octets other sources than ``key.source`` have stored or present, less how
        many of this source's messages count as present because of them."""

    def same_octets(self, source: str, digest: bytes) -> list[Key]:
        """The settled keys of ``source`` with this digest, in order of nth."""

    def known(self, source: str) -> int:
        """How many settled keys this source has."""

    def rebind(self, old: Key, new: Key) -> None:
        """The message known as ``old`` is called ``new`` from now on (a server renumbered its UIDLs)."""

    def touch(self) -> None:
        """Say that this run is alive: after a crash, the fence is measured from the last touch."""

    @property
    def last_alive(self) -> datetime | None:
        """When the run before this one was last alive (UTC), or None if there was none."""

    def finish_run(self, exit_code: ExitCode, counts: Mapping[str, int]) -> None:
        """Close the row of this run with its result."""

    def close(self) -> None:
        """Flush and release the lock. Never raises."""


__all__ = ["Entry", "Held", "Journal", "Mailbox", "Placement", "Record"]
