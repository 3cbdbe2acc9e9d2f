r"""Read, answered and starred for the mail of a POP3 maildrop, from the IMAP account that shows the same mail.

Theory of operation
-------------------
POP3 has no flags. Where the server has IMAP too, its INBOX holds the messages of the maildrop with their flags, and
:class:`WithState` puts these to the messages of a POP3 source. Which message is which is told by

* *the UIDL*, if it is made of UIDVALIDITY and UID of that INBOX (:mod:`pop2imap.uidl`). The size must be right, too:
  RFC822.SIZE is that of the octets that RETR gives. (Of a message of which only the head was read, the size is that of
  the listing, and counts if the listing is right in most of its sizes.)
* else *Message-ID and size*, if they are those of one message of that INBOX alone: of twins nobody knows which is
  which. Each message of the INBOX is given away once.

What is not found keeps the flags of its source, which are none, is counted, and said. The INBOX is read before
anything is fetched, and once for each run: QUIRK(Dovecot, Courier): RETR marks as read. A message that is marked as
deleted there, which POP3 shows all the same, is ``discarded``, as one of an mbox would be. The date is not taken: it
is that of delivery, which the topmost Received line tells as well, or that of an earlier copy, which is worse.

The table takes 48 octets a message, 10 MB for 200,000: UID, size, the number of a set of flags, 64 bits of a keyed
hash of Message-ID and size, the order by these, and whom it was given to.
"""

from __future__ import annotations

import hashlib
import os
import re
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from pop2imap.errors import Pop2imapError, ProtocolError
from pop2imap.headers import Headers
from pop2imap.model import DELETED, SYSTEM_FLAGS, Found, Key, Message, Ref, Remark, Unread
from pop2imap.sources import Listing, ListProgress, Source
from pop2imap.target.inbox import Inbox
from pop2imap.uidl import imap_name

DISCARDED = "marked as deleted in the IMAP account, not expunged yet"

AT_ONCE = 1000
"""Messages whose Message-ID is asked for by one FETCH."""

EXACT = 0.9
"""Share of the listed sizes that are right on a server that does not estimate."""

MOST_KEYWORDS = 100
"""Keywords of one message that are taken over."""

_SYSTEM = {flag.lower(): flag for flag in SYSTEM_FLAGS}
_KEYWORD = re.compile(r"[!#$&',\-./0-9:;<=>?@A-Z^_`a-z|}~+\[]+")  # RFC 3501 9, atom
_SALT = os.urandom(16)


class State(NamedTuple):
    """What an INBOX says of one message."""

    flags: frozenset[str]
    discarded: str = ""


class InboxState:
    """What an INBOX says of each of its messages, kept small."""

    def __init__(self, uidvalidity: int | None, found: Iterable[Found]) -> None:
        self.uidvalidity = uidvalidity
        states: dict[State, int] = {}
        self.uids, self._sizes, self._numbers = array("Q"), array("Q"), array("Q")
        for one in found:
            self.uids.append(one.uid)
            self._sizes.append(one.size)
            self._numbers.append(states.setdefault(_state(one), len(states)))
        self._states = list(states)
        self._sort()
        self._hashes = array("Q", bytes(8 * len(self.uids)))  # 0: no Message-ID
        self._by_hash = array("Q")
        self._given = array("q", bytes(8 * len(self.uids)))  # a hash of the key; 0: to nobody yet

    def __len__(self) -> int:
        return len(self.uids)

    def _sort(self) -> None:
        """By UID, each once: servers answer in their order, and may tell twice of one message."""
        uids = self.uids
        if all(before < after for before, after in pairwise(uids)):
            return
        last = {uid: row for row, uid in enumerate(uids)}  # of two answers, the later one
        rows = [last[uid] for uid in sorted(last)]
        self.uids, self._sizes, self._numbers = (
            array("Q", (column[row] for row in rows)) for column in (uids, self._sizes, self._numbers)
        )

    def at_uid(self, uid: int) -> int | None:
        """The row of the message with this UID."""
        at = bisect_left(self.uids, uid)
        return at if at < len(self.uids) and self.uids[at] == uid else None

    def named(self, key: Key | None) -> int | None:
        """The row of the message whose UID and UIDVALIDITY are in a UIDL."""
        name = imap_name(key.name) if key else None
        return self.at_uid(name.uid) if name and name.uidvalidity == self.uidvalidity else None

    def size(self, row: int) -> int:
        """RFC822.SIZE of the message in this row."""
        return self._sizes[row]

    def learn(self, message_ids: Iterable[tuple[int, bytes]]) -> None:
        """(UID, header with the field Message-ID) of messages that are there."""
        for uid, head in message_ids:
            row = self.at_uid(uid)
            if row is not None:
                self._hashes[row] = _hash(head, self._sizes[row])

    def learned(self) -> None:
        """No more of these will come."""
        told = (row for row in range(len(self)) if self._hashes[row])
        self._by_hash = array("Q", sorted(told, key=self._hashes.__getitem__))

    def same_id(self, head: bytes, size: int) -> int | None:
        """The row of the only message with the Message-ID of this header and this size."""
        wanted = _hash(head, size)
        at = bisect_left(self._by_hash, wanted, key=self._hashes.__getitem__)
        rows = self._by_hash[at : at + 2]
        alike = [row for row in rows if self._hashes[row] == wanted]
        return alike[0] if wanted and len(alike) == 1 else None

    def give(self, row: int, key: Key) -> State | None:
        """What is known of the message in this row, for the one with this key; None if another one had it."""
        mark = hash(key) or 1
        if self._given[row] not in (0, mark):
            return None
        self._given[row] = mark
        return self._states[self._numbers[row]]


def _state(found: Found) -> State:
    names = [flag.lower() for flag in found.flags]
    flags = {_SYSTEM[name] for name in names if name in _SYSTEM}
    keywords = sorted(flag for flag in found.flags if _KEYWORD.fullmatch(flag))[:MOST_KEYWORDS]
    return State(frozenset({*flags, *keywords} - {DELETED}), DISCARDED if DELETED in flags else "")


def _hash(head: bytes, size: int) -> int:
    """64 bits of a hash that nobody else can foresee, never 0; 0 where there is no Message-ID."""
    message_id = Headers.parse(head).first("message-id")
    if not message_id:
        return 0
    text = f"{size} {message_id}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8, key=_SALT).digest()) or 1


class WithState:
    """A POP3 source whose messages have the flags that they have in ``inbox``. Is a
    :class:`pop2imap.sources.Source`; its ``list`` also raises what reading that INBOX raises."""

    def __init__(self, source: Source, inbox: Inbox) -> None:
        self._source, self._inbox = source, inbox
        self.id, self.kind, self.lists_by, self.folder = (
            source.id,
            source.kind,
            source.lists_by,
            source.folder,
        )
        self._state: InboxState | None = None
        self._exact = True
        self._has_ids = False
        self._unknown = 0

    def open(self) -> tuple[str, ...]:
        return self._source.open()

    def list(self, progress: ListProgress | None = None) -> Listing:
        listing = self._source.list(progress)
        if self._state is None:
            try:
                self._read_state(listing.refs)
            except Pop2imapError as error:
                without = "without --read-state-from, --mark decides what counts as read"
                error.todo = f"{error.todo}; {without}" if error.todo else without
                raise
        assert self._state is not None
        how = "Message-ID and size where the UIDL does not tell" if self._has_ids else "the UIDL"
        told = Remark(
            f"read, answered and starred come from the INBOX of {self._inbox.where}, which holds {len(self._state):,} "
            f"messages; they are found by {how}"
        )
        return listing._replace(remarks=(*listing.remarks, told))

    def _read_state(self, refs: Sequence[Ref]) -> None:
        with self._inbox as inbox:
            state = InboxState(inbox.uidvalidity, inbox.survey())
            if inbox.messages and not len(state):
                raise ProtocolError("INBOX holds messages, and FETCH shows none of them", where=inbox.where)
            self._exact, all_named = _compare(refs, state)
            if not all_named:
                for start in range(0, len(state), AT_ONCE):
                    some = state.uids[start : start + AT_ONCE]
                    state.learn(inbox.message_ids(some[0], some[-1]))
                state.learned()
        self._has_ids = not all_named
        self._state = state

    def read(self, refs: Sequence[Ref]) -> Iterator[Message | Unread]:
        return map(self._with_state, self._source.read(refs))

    def peek(self, refs: Sequence[Ref]) -> Iterator[Message | Unread]:
        return map(self._with_state, self._source.peek(refs))

    def _with_state(self, item: Message | Unread) -> Message | Unread:
        state = self._state
        if not isinstance(item, Message) or state is None:
            return item
        row = state.named(item.key)
        if row is not None and state.size(row) != item.size and (item.whole or self._exact):
            row = None
        if row is None and self._has_ids:
            row = state.same_id(item.octets.head(), item.size)
        known = None if row is None else state.give(row, item.key)
        if known is None:
            self._unknown += 1
            return item
        return item._replace(flags=known.flags, discarded=item.discarded or known.discarded)

    def close(self, *, settled: bool) -> tuple[Remark, ...]:
        remarks = self._source.close(settled=settled)
        if self._unknown:
            remarks += (
                Remark(
                    f"messages are not in the INBOX of {self._inbox.where}, or it is not certain which they are there: "
                    "--mark decides whether they are read",
                    self._unknown,
                ),
            )
        self._unknown = 0
        return remarks


def _compare(refs: Sequence[Ref], state: InboxState) -> tuple[bool, bool]:
    """Whether the sizes of a listing are exact, and whether every UIDL is one of this INBOX (what came after it was
    read, or has gone before, included)."""
    named = equal = 0
    all_named = True
    for ref in refs:
        name = imap_name(ref.key.name) if ref.key else None
        if name is None or name.uidvalidity != state.uidvalidity:
            all_named = False
        elif (row := state.at_uid(name.uid)) is not None:
            named += 1
            equal += state.size(row) == ref.size
    return equal >= EXACT * named, all_named
