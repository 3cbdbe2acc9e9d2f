"""The contract of a target (``tests/contract/target.py`` holds every implementer to it)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from pop2imap.errors import FolderError
from pop2imap.model import Batch, Found, Mailbox, Outcome
from pop2imap.net import Bell


class TargetFacts(NamedTuple):
    """What a target says of itself after login. Quota numbers are octets and messages; None: not known.
    ``folders``: what it holds, as people write it; names that nobody can write so are left out."""

    server: str
    capabilities: frozenset[str]
    prefix: str
    delimiter: str
    special_use: dict[str, str]  # "\\Sent" → the server's name of that mailbox
    append_limit: int | None = None
    quota_octets: tuple[int, int] | None = None  # used, limit
    quota_messages: tuple[int, int] | None = None
    folders: tuple[str, ...] = ()

    @property
    def one_at_a_time(self) -> bool:
        """Whether each message has to wait for the server twice, so that only more sessions are faster."""
        return not self.capabilities & {"MULTIAPPEND", "LITERAL+", "LITERAL-"}

    def lines(self) -> tuple[str, ...]:
        """The same in words, one line each, for ``check``."""
        quota = "no quota known"
        if self.quota_octets:
            used, limit = self.quota_octets
            quota = f"quota: {used / 1e6:.1f} of {limit / 1e6:.1f} MB used"
        prefix = f"prefix {self.prefix}" if self.prefix else "no prefix"
        fast = [c for c in ("MULTIAPPEND", "LITERAL+", "LITERAL-", "UIDPLUS") if c in self.capabilities]
        return (
            self.server,
            f"folders: {prefix}, delimiter {self.delimiter or 'none'}; "
            + (
                ", ".join(f"{use} is {name}" for use, name in sorted(self.special_use.items()))
                or "no special-use folders"
            ),
            "offers "
            + (", ".join(fast) or "plain APPEND only")
            + (f"; messages up to {self.append_limit:,} octets" if self.append_limit else ""),
            quota,
        )


class Feed(Protocol):
    """Where an upload session takes its batches from, and where it leaves their outcomes."""

    bell: Bell
    """Rings when there may be another batch."""

    def next(self, *, wait: bool) -> Batch | None:
        """The next batch. None: there is none now or, with ``wait``, there will be none any more."""

    def done(self, batch: Batch, outcomes: Sequence[Outcome]) -> None:
        """One outcome for each upload of a batch, in order."""


class Target(Protocol):
    """The IMAP account that mail goes to.

    ``append`` may run on threads of their own, one for each upload session, beside all the others, which share one
    more thread: it uses sessions of its own, on which no mailbox is ever selected (QUIRK(Courier): after EXAMINE a
    session refuses every APPEND). Errors: HostUnavailable, TlsRefused, ConnectionLost, ProtocolError,
    AuthenticationFailed, ServerBusy, QuotaExceeded; FolderError where one folder is concerned.
    """

    identity: str
    """``login@host:port`` in lower case host: names the journal."""

    def open(self) -> TargetFacts:
        """Connect and log in. May be called again after ``close`` (new sessions, caches dropped)."""

    def locate(self, folder: str) -> Mailbox | None:
        """The mailbox of a folder name as people write it, or None if there is none yet. Changes nothing."""

    def locate_each(self, folders: Sequence[str]) -> list[Mailbox | FolderError | None]:
        """The same of many folders, in order, in few round trips: a FolderError in place of what cannot be known."""

    def prepare(self, folder: str) -> Mailbox:
        """Like ``locate``, but creates and subscribes what is missing. Each call reads UIDVALIDITY and
        UIDNEXT anew. Raises FolderError."""

    def prepare_each(self, folders: Sequence[str]) -> list[Mailbox | FolderError]:
        """The same of many folders, in order, in few round trips: a FolderError in place of what cannot be used."""

    def append(self, feed: Feed, session: int = 0) -> None:
        """Append what the feed gives, in order, until it ends; several batches may be on their way at once. Does not
        raise for what the network or the server does: that is an outcome, Unknown for whatever may have arrived.
        After an Unknown, and after a ``retry_after``, this upload ``session`` (a number from 0) is dead until the next
        ``open``. When it raises (LocalIOError), whatever was taken and is not done must count as unknown."""

    def survey(self, mailbox: Mailbox, lowest_uid: int) -> list[Found]:
        """Every message with UID ≥ ``lowest_uid``, ascending by UID; no bodies. Selects read-only."""

    def digests(self, mailbox: Mailbox, uids: Sequence[int]) -> dict[int, tuple[bytes, bytes]]:
        """(digest, match digest) of the stored messages of these UIDs; expunged ones are missing. Sets no
        flag (BODY.PEEK)."""

    def close(self) -> None:
        """Log out. Never raises."""


class Erasing(Target, Protocol):
    """A target from which what was stored can be taken back. Both methods share the thread of all but ``append``."""

    def erase(self, mailbox: Mailbox, uids: Sequence[int], *, plain: bool = False) -> set[int]:
        """Remove these messages and no others (UID EXPUNGE, RFC 4315 2.1). Returns those of the UIDs that are not
        there any more. ``plain``: a server without UIDPLUS may be told to expunge the mailbox, provided that
        nothing but these messages is marked as deleted in it.

        Raises FolderError where that cannot be done; then nothing is left marked by us, and what is there still may
        be asked."""

    def remove(self, name: str, uidvalidity: int | None) -> str:
        """Delete and unsubscribe the mailbox that the server calls ``name``, if it is empty, has none below it, and
        has this UIDVALIDITY (None: any). Returns nothing if it is not there any more, else in words why it stays."""
