"""The nouns of pop2imap, one name each. Frozen data, standard library only, no I/O.

Facts are named tuples: to make the class of a frozen dataclass costs a millisecond of each start, and to make one some
microseconds of each message. What changes is a dataclass.

source
    Where mail comes from: a POP3 maildrop, an mbox file, or a store of many folders such as a Thunderbird profile.
home
    The computer on which POP3 left the mail, with the mail program's folders. A *place* is the folder there.
target
    The IMAP account that mail goes to.
key
    The name of one source *occurrence*: (source id, UIDL or mbox digest, nth repeat of it).
ref
    What a listing gives of one message before its body is read: position, key and size.
message
    A ref that was read: octets, flags and dates.
rule, decision
    A rule tests a message; the decision says into which folders, with which flags, or why not at all.
placement
    (key, folder): one copy of one message in one folder. The unit of the journal.
upload
    What goes over the wire for a placement: octets, flags, date.
outcome
    What became of an upload: stored, refused, or unknown.
account
    What the report says of a message, exactly one word each: see :class:`Account`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import NamedTuple, Protocol

from pop2imap.errors import Again

SEEN = "\\Seen"
ANSWERED = "\\Answered"
FLAGGED = "\\Flagged"
DELETED = "\\Deleted"
DRAFT = "\\Draft"
SYSTEM_FLAGS = frozenset({SEEN, ANSWERED, FLAGGED, DELETED, DRAFT})
"""The flags a client may set (RFC 3501 2.3.2; ``\\Recent`` is the server's own)."""


class Account(Enum):
    """Where one source message ended up: ``source`` is always the sum of these."""

    STORED = "stored"  # in the target, put there by us, in this run or an earlier one
    PRESENT = "present"  # the same octets were in the target already (or came from another source)
    SKIPPED = "skipped"  # left out by a rule or by the source's own mark, with the words why
    REFUSED = "refused"  # the target would not take it
    HELD = "held"  # sent, but whether it arrived cannot be known; never guessed
    UNREADABLE = "unreadable"  # the source lists it but does not give it
    GONE = "gone"  # listed, and no longer there when it was to be read
    PENDING = "pending"  # not yet: interrupted, limited, or still being written

    __hash__ = (
        object.__hash__
    )  # each is one object; the enum's own is written in Python, and asked for all the time


SETTLED = frozenset({Account.STORED, Account.PRESENT})
"""A later run need not read these again."""


class DateFrom(Enum):
    """Which fact gave a message its internal date."""

    ENVELOPE = "From_ line"
    RECEIVED = "Received"
    DATE = "Date"
    NEIGHBOUR = "nearest dated neighbour"
    RUN = "start of this run"

    __hash__ = object.__hash__  # as for Account


class Key(NamedTuple):
    """One occurrence in one source. ``name`` is a UIDL or, in lower-case hex, a digest; ``nth`` counts its
    repeats within the source, from 0, in source order. Below 0: it was deleted there by us, and the name may be
    given to other mail."""

    source: str
    name: str
    nth: int = 0

    def __str__(self) -> str:
        return f"{self.name}#{self.nth}" if self.nth else self.name


class Ref(NamedTuple):
    """One line of a listing. ``position`` counts from 1 in source order; ``size`` is in octets as the source
    states it (0 if unknown; servers estimate). ``key`` is None where the source can only name a message
    once it has read it (POP3 without UIDL). ``place`` tells one place at home from another (:func:`place_of`)."""

    position: int
    key: Key | None
    size: int
    place: int = 0


def place_of(folders: Sequence[str]) -> int:
    """A number below 2⁶³ for the folders in which a message lies at home; 0 for none."""
    if not folders:
        return 0
    digest = hashlib.sha256("\n".join(folders).encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8]) >> 1 or 1


class Octets(Protocol):
    """The exact octets of one message, wherever they lie (see :mod:`pop2imap.octets`)."""

    @property
    def size(self) -> int:
        """Length in octets."""

    @property
    def digest(self) -> bytes:
        """SHA-256 of the octets: 32 bytes."""

    @property
    def match_digest(self) -> bytes:
        """SHA-256 without what servers are known to rewrite: 32 bytes."""

    @property
    def likely_sizes(self) -> frozenset[int]:
        """Lengths with which servers are known to store it, its own among them."""

    def head(self) -> bytes:
        """The header block up to and with its ending empty line, capped at 1 MiB."""

    def chunks(self) -> Iterator[bytes]:
        """The octets in order, in pieces of bounded size. May be called again."""


class Message(NamedTuple):
    """A message as its source gave it.

    ``flags`` is None when the source does not know the state of its mail (POP3, or an mbox message without
    any status line), else the full set. ``envelope_date`` (UTC) is a From_ date that the source vouches for.
    ``discarded`` holds words when the source itself marks the message as deleted. ``whole`` is False when
    only the head was read (a dry run over POP3): ``octets`` then hold the head alone.

    ``folders`` is where it lies at home, names as in :class:`Decision`; empty where its source has no folders. ``uidl``
    is what a mail program noted as its UIDL, in the maildrop ``maildrop`` (``user@host``, lower case; empty if it does
    not say). ``partial``: the mail program never fetched the whole of it.
    """

    position: int
    key: Key
    octets: Octets
    size: int
    flags: frozenset[str] | None = None
    envelope_date: datetime | None = None
    discarded: str = ""
    whole: bool = True
    folders: tuple[str, ...] = ()
    uidl: str = ""
    maildrop: str = ""
    partial: bool = False


class Unread(NamedTuple):
    """A ref that no message came of. ``account`` is UNREADABLE, GONE or PENDING; ``reason`` is for people."""

    position: int
    key: Key | None
    account: Account
    reason: str


class Decision(NamedTuple):
    """What the rules say of one message, and why.

    ``folders`` are names as people write them: levels split by ``/``; a name that begins with a special-use
    attribute (``\\Sent``) means the target's folder of that use. Empty if and only if ``skip`` is set.
    ``seen`` and ``flagged`` are None where no rule says anything. ``rules`` names the rules that matched, in
    order; ``why`` holds one sentence for each step.
    """

    folders: tuple[str, ...]
    why: tuple[str, ...]
    rules: tuple[str, ...] = ()
    add_flags: frozenset[str] = frozenset()
    seen: bool | None = None
    flagged: bool | None = None
    skip: str = ""


class Mailbox(NamedTuple):
    """One folder of the target, as the server knows it, at the moment it was prepared.

    ``folder`` is the name as people write it, ``name`` the server's (decoded, with its own prefix and
    delimiter). ``created``: the preparation has made it, and ``above`` are the names of the mailboxes above it that
    it has made too. ``uidnext`` is a lower bound for every UID given later under ``uidvalidity``.
    ``permanent_flags`` are lower case; None: the server did not say, so everything is tried.
    ``append_limit`` is in octets; None: no limit known.
    """

    folder: str
    name: str
    uidvalidity: int
    uidnext: int
    messages: int
    created: bool = False
    permanent_flags: frozenset[str] | None = None
    any_keyword: bool = True
    append_limit: int | None = None
    above: tuple[str, ...] = ()

    def takes(self, flag: str) -> bool:
        """Whether a message stored here can keep ``flag`` (RFC 3501 7.1, PERMANENTFLAGS)."""
        if self.permanent_flags is None or flag.lower() in self.permanent_flags:
            return True
        return self.any_keyword and not flag.startswith("\\")


class Upload(NamedTuple):
    """What goes over the wire for one placement. ``flags`` are already those the mailbox takes, ``date`` is
    aware, in UTC."""

    octets: Octets
    flags: tuple[str, ...]
    date: datetime


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Uploads to one mailbox whose intents are durable. ``ids`` are the journal's, one for each upload, in order."""

    mailbox: Mailbox
    ids: Sequence[int]
    uploads: Sequence[Upload]

    @property
    def octets(self) -> int:
        """Of all its messages."""
        return sum(upload.octets.size for upload in self.uploads)


class Stored(NamedTuple):
    """The server took it. ``uid`` is None when it gave no UID that can be believed."""

    uidvalidity: int
    uid: int | None


class Refused(NamedTuple):
    """The server did *not* store it (RFC 3501 6.3.11: a NO leaves the mailbox as it was).

    ``again`` is NEVER for what concerns this message, LATER for what concerns the account (quota, busy), NOW for
    what was not sent because there was no connection to send it on. ``retry_after``: seconds that the server wants to
    be left alone before that, if it said so.
    """

    reason: str
    again: Again = Again.NEVER
    retry_after: float | None = None


class Unknown(NamedTuple):
    """The connection ended, or answered nonsense, before the outcome was known. ``retry_after`` as in
    :class:`Refused`."""

    reason: str
    retry_after: float | None = None


Outcome = Stored | Refused | Unknown


class Found(NamedTuple):
    """One message that a mailbox of the target holds, as a survey shows it."""

    uid: int
    size: int
    date: datetime
    flags: frozenset[str]


@dataclass(frozen=True, slots=True)
class Remark:
    """Something a person should know that is not an error: what, and how many messages it concerns."""

    text: str
    count: int = 0

    def __str__(self) -> str:
        return f"{self.text} ({self.count:,})" if self.count else self.text
