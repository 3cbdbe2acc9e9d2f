"""The contract of the journal: the durable record of what became of every message.

One journal belongs to one target account; all sources of that account share it. The unit of state is the
*placement* (key, folder); a message that rules put into two folders has two.

The invariant everything rests on: **before the first octet of an APPEND goes out, a durable row (key, folder,
match digest, mailbox, V, L) exists, with L ≤ the UIDNEXT of the mailbox at that moment under UIDVALIDITY V.**
So :meth:`Journal.intend` commits with full durability before it returns. :meth:`Journal.settle` may lose its
last commits in a power failure: a lost *stored* is *intended* again, which recovery resolves.

Life of a placement::

    intended ──► stored     the OK was seen, or recovery found it
             ├─► refused    a NO that concerns this message
             ├─► held       sent, and recovery cannot know
             └─► (no row)   a NO that concerns the account, or recovery knows that it is not there: ready again
    present                 never intended: the target held this copy before

A placement is a **claim** on a copy in its mailbox while it is intended, or while it is known to be there under
a UID that nobody told us. Claims decide what an unowned message in a mailbox means: whoever looks for copies of
a message (recovery, inventory) has to let claims that are *stored* have theirs first, or mail gets lost.

Times are aware and in UTC, and kept to the second.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from pop2imap.errors import ExitCode
from pop2imap.model import Account, DateFrom, Key, Outcome


class Entry(NamedTuple):
    """What the journal knows of one key.

    ``placed`` says of each folder what became of the copy there: stored, present, refused or held; or PENDING,
    an intent that nobody has resolved yet (it must not be intended again before recovery did). A PENDING entry
    with ``placed`` was interrupted between two folders. ``mailboxes`` is the same by the server's name of the
    mailbox: two folder names may mean one mailbox. ``repairs`` are those of its copies, all together, or, if another
    source brought them, of the copies of that one.
    """

    account: Account
    size: int
    digest: bytes | None
    date: datetime | None
    reason: str
    rules_digest: str
    subject: str
    placed: Mapping[str, Account]
    mailboxes: Mapping[str, Account]
    repairs: tuple[str, ...]


class Settled(NamedTuple):
    """What a later run needs to know of a message that it need not read. ``seconds`` since 1970 is its date."""

    account: Account
    size: int
    seconds: int | None
    rules_digest: str


class Home(NamedTuple):
    """By which name a mail program at home knows a message: as ``uidl`` of ``maildrop`` (``user@host``, lower case;
    empty if it does not say). ``deleted`` there; ``partial``: it never fetched the whole of it."""

    maildrop: str
    uidl: str
    deleted: bool = False
    partial: bool = False


class AtHome(NamedTuple):
    """What is known at home of a UIDL. ``account`` None: that the mail program has fetched it, and nothing else, so
    that it was deleted or never filed. ``size`` and ``digest`` are those of the octets without book-keeping lines."""

    account: Account | None = None
    size: int = 0
    digest: bytes | None = None
    date: datetime | None = None
    deleted: bool = False
    partial: bool = False


class Record(NamedTuple):
    """What is to be remembered of one message, whatever becomes of it.

    ``subject`` is for the messages that a report must name: the journal keeps it while the message is pending,
    refused, held or unreadable, and drops it with any other account; ``reason`` likewise goes when the message
    is stored or present by its placements. ``why`` is kept for good, so it holds the names of rules and
    no word of the message. ``rules_digest`` names the rules (and options) that decided. ``copies`` is the number
    of placements decided, one for each *mailbox*.
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
    home: Home | None = None


class Placement(NamedTuple):
    """One copy of one message for one mailbox: an intent when it is new, a claim when it is looked up.

    ``lower_bound`` is the L of the invariant; 0 says that the mailbox was renumbered since, so that the copy may
    have any UID. ``id`` is the journal's (0 before ``intend``); ids ascend in the order of intending, and one run
    never uses an id twice. ``stored`` is True for a claim that is known to be in the mailbox, under a UID that is
    not known. ``match_digest`` and ``size`` are those of the octets that are sent, after the ``repairs`` (names of
    :mod:`pop2imap.repair`), if any.
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
    repairs: tuple[str, ...] = ()


class Held(NamedTuple):
    """The outcome that recovery gives when it cannot know. Beside the three of ``model.Outcome``."""

    reason: str


class Moved(NamedTuple):
    """The outcome that recovery gives for a copy that arrived and was since moved to another mailbox (``mailbox``
    is the server's name): it is stored, and owns that UID there."""

    mailbox: str
    uidvalidity: int
    uid: int


class Problem(NamedTuple):
    """A message that a person has to look at: refused, held, unreadable or gone."""

    key: Key
    account: Account
    date: datetime | None
    subject: str
    size: int
    reason: str


class JournalReader(Protocol):
    """What can be asked of a journal, while it is open for writing (:class:`Journal`) or from outside, without
    its lock (``journal.history``). Used by one thread. Errors: LocalIOError, JournalCorrupt."""

    def lookup(self, keys: Sequence[Key]) -> dict[Key, Entry]:
        """What is known of these keys; unknown ones are missing. Any number of keys."""

    def settled(self, keys: Sequence[Key]) -> dict[Key, Settled]:
        """Those of these keys that are settled: of what ``lookup`` has, what matters where nothing was repaired
        (``any_repaired``), in half the time."""

    @property
    def any_repaired(self) -> bool:
        """Whether any copy was repaired. Looks at all of them."""

    def intents(self, mailbox: str) -> list[Placement]:
        """Every intended placement of the server's mailbox ``mailbox``, in order of id."""

    def claims(self, mailbox: str, match_digests: Collection[bytes] | None = None) -> list[Placement]:
        """Every claim on the server's mailbox ``mailbox``, in order of id; with ``match_digests`` only those
        with one of them. A server without UIDPLUS makes every stored placement a claim: ask with digests."""

    def unlocated(self, mailbox: str) -> list[bytes]:
        """The match digests of the claims that are stored: one for each copy that is in the mailbox, ours, and
        not among ``owned``. Cheaper than ``claims`` where there are very many."""

    def mailboxes_in_doubt(self) -> list[tuple[str, str]]:
        """(mailbox, folder) of everything that has an intended placement; one mailbox may have several folder
        names."""

    def owned(self, mailbox: str, uidvalidity: int) -> set[int]:
        """The UIDs that placements own in this mailbox under this UIDVALIDITY."""

    def put(self, source: str, mailbox: str, uidvalidity: int) -> dict[str, int]:
        """The UIDs of the copies that we have put into this mailbox, by the names of their messages in ``source``."""

    def last_uidvalidity(self, mailbox: str) -> int | None:
        """The UIDVALIDITY under which the mailbox was used last, or None."""

    def undoing(self) -> int:
        """How many copies an undo was about to remove when it was cut off (see ``journal.undoing``)."""

    def settled_like(self, match_digests: Collection[bytes]) -> set[bytes]:
        """Those of these match digests of which a placement is stored or present, in any mailbox. Slow (reads
        every placement): for recovery's rare questions."""

    def elsewhere(self, key: Key, digest: bytes) -> int:
        """How many copies of these octets other sources than ``key.source`` brought or found, less how many
        messages of this source other than ``key`` count as present because of them."""

    def at_home(self, maildrop: str, uidls: Sequence[str]) -> dict[str, AtHome]:
        """What mail programs at home know of these messages of a maildrop. Any number of them."""

    def knows(self, maildrop: str) -> bool:
        """Whether any mail program at home knows this maildrop."""

    def rewritten(self, source: str) -> dict[bytes, dict[bytes, int]]:
        """The messages that other sources brought whose match digest is not their digest: how many, by match digest
        and digest. Reads every placement."""

    def shared(self) -> int:
        """How many different messages came from one source and count as present in another because of that."""

    def same_octets(self, source: str, digest: bytes) -> list[Key]:
        """The settled keys of ``source`` with this digest, in order of nth: those that were removed come first."""

    def known(self, source: str) -> int:
        """How many settled keys this source has, less those that were removed."""

    def removed(self, source: str) -> int:
        """How many messages of this source were deleted there by us (:meth:`Journal.remove`)."""

    def folders(self) -> dict[str, tuple[int, int]]:
        """For each folder name: copies stored by us, of all runs, and their octets."""

    def problems(self) -> list[Problem]:
        """Every refused, held, unreadable or gone message, by source, in the order they became known."""

    def counts(self) -> dict[str, dict[Account, tuple[int, int]]]:
        """For each source and account: messages and octets."""


class Journal(JournalReader, Protocol):
    """The journal of one target account, open for writing under its lock. Used by one thread.

    Errors: LocalIOError (disk full, read-only), JournalCorrupt; InternalError when asked for what would break
    exactly-once (to intend what is intended, stored or present; to refuse what is stored).
    """

    def note(self, records: Iterable[Record]) -> None:
        """Insert or replace what is known of messages (skipped, unreadable, present, pending …). Placements
        are not touched, except that refusals go when ``rules_digest`` changed. Lazily durable."""

    def fetched(self, maildrop: str, uidls: Iterable[str]) -> None:
        """A mail program at home has fetched these messages of a maildrop, once. Lazily durable."""

    def intend(self, records: Sequence[Record], placements: Sequence[Placement]) -> list[int]:
        """Make the placements durable as *intended*, and the records of their messages (as PENDING) with them,
        in one fully durable transaction, which counts their octets (``traffic``). Returns the ids of the placements,
        in order. A refused or held placement of the same folder is replaced."""

    def carried(self, name: str, octets: int) -> None:
        """Count so many octets as ``traffic`` of now: before they are moved. Below 0: so many of those were not.
        Fully durable."""

    def traffic(self, name: str, since: datetime) -> list[tuple[datetime, int]]:
        """Octets that came from the source with this id, or went to the target (``journal.traffic.TARGET``), in the
        hour of ``since`` and later ones: (beginning of the hour, octets), in order. Never less than what was sent."""

    def settle(
        self, outcomes: Iterable[tuple[int, Outcome | Held | Moved]], *, durable: bool = False
    ) -> None:
        """Record outcomes by placement id, in one transaction, and bring the accounts of their messages up to
        date.

        Stored → stored: with the UID if its UIDVALIDITY is the placement's, it is not below L and no other
        placement owns it, else without; Refused(NEVER) → refused; Refused(LATER) → the placement goes; Unknown →
        stays intended; Held → held; Moved → stored, elsewhere. A claim that is stored may be given its UID, and a
        held placement may be Moved: it was found, and is present, for it may be somebody else's.
        A message is PENDING while one of its copies has no outcome; then HELD if one is held, else REFUSED if
        one is refused, else STORED, or PRESENT if all are present.
        """

    def present(self, record: Record, placement: Placement, uid: int | None) -> None:
        """The target (or another source, then ``uid`` is None) holds this copy already. Owns (mailbox,
        UIDVALIDITY, UID) from now on. Updates the account of the message as ``settle`` does. Lazily durable."""

    def adopt(self, records: Sequence[Record], found: Sequence[tuple[Placement, int]]) -> None:
        """These copies, of messages that the journal did not know as settled, were found in the target under these
        UIDs, wherever they lie: ``Placement.folder`` is where the rules would have put it, ``mailbox`` where it is.
        Present from now on, in one fully durable transaction, and the accounts of their messages as ``settle`` has
        it. Two copies of a message may lie in one mailbox."""

    def begin_removing(self, keys: Sequence[Key]) -> None:
        """These messages, of nth 0, are about to be deleted at their source: until the next ``remove``, nobody knows
        whether they are there. Fully durable."""

    def remove(self, keys: Sequence[Key]) -> None:
        """Of those that were about to be, these settled messages were deleted at their source by us, and no others.
        What became of them stays known, under keys whose nth is below 0, so that their names stand for whatever the
        source lists under them from now on. Fully durable."""

    def renumbered(self, mailbox: str, uidvalidity: int) -> None:
        """The mailbox has this UIDVALIDITY now: if another was known, no UID of before means anything, and
        every copy of ours in it becomes a claim with L = 0. To be called before ``owned`` and ``claims`` are
        believed for a mailbox whose UIDVALIDITY is not ``last_uidvalidity``. Fully durable."""

    def rebind(self, old: Key, new: Key) -> None:
        """The message known as ``old`` is called ``new`` from now on (a server renumbered its UIDLs)."""

    def made(self, names: Sequence[str]) -> None:
        """This run has made these mailboxes (the server's names). Lazily durable."""

    @property
    def missing(self) -> int:
        """How many durable commits are missing that this journal once had: its log was damaged, or it was put in
        place of a newer one."""

    def unsure_from(self, mailbox: str) -> int | None:
        """The lowest UID in the server's mailbox ``mailbox`` from which on there may be copies of ours that the
        journal does not know of, since it may be older than the mailbox: what came there since it first used it, or
        everything, if it knows nothing of that mailbox. None in the run that has made the journal."""

    def touch(self) -> None:
        """Say that this run is alive: after a crash, the fence is measured from the last touch. Every intend
        and settle does so too."""

    @property
    def last_alive(self) -> datetime | None:
        """When the run before this one was last alive (UTC), or None if there was none, or nobody knows."""

    def finish_run(self, exit_code: ExitCode, counts: Mapping[str, int]) -> None:
        """Close the row of this run with its result, and make everything durable."""

    def close(self) -> None:
        """Release the database and the lock. Never raises."""


__all__ = ["Entry", "Held", "Journal", "JournalReader", "Moved", "Placement", "Problem", "Record"]
