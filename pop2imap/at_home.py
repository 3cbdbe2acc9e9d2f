"""Both copies as one: mail that lies in a maildrop and, fetched from there, in a mail program at home.

Theory of operation
-------------------
Sources at home are moved before maildrops (:func:`in_order`), so that folder, flags, tags and date are those of home.
When a maildrop is listed, its messages are then looked for by name: mail programs note the UIDL of what they fetch
(``X-UIDL``), and of which maildrop it was. A message of that name that is settled, and has the size that the maildrop
lists, is the same one, and need not even be read. Names that are short (some servers give "1", "2", "3", and give them
again) or of an unknown maildrop say nothing. All others are read, and told by their octets, or by what servers
make of these (:mod:`pop2imap.placing`).

Of some messages a mail program has fetched only the beginning. Where a maildrop of this run has the whole, that is
moved, with the folder and flags of its beginning (:class:`Wholes`).

What was fetched once, and is not at home any more, or lies in the trash there, was deleted by its owner: it
would come back. ``--deleted-at-home`` says what becomes of it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeVar, runtime_checkable

from pop2imap.decide import is_deleted
from pop2imap.errors import Pop2imapError
from pop2imap.journal import AtHome, Record
from pop2imap.listed import LOOKUP, Chosen, Listed
from pop2imap.model import SETTLED, Account, Message, Ref
from pop2imap.octets import from_bytes
from pop2imap.sources import Source

_Source = TypeVar("_Source", bound=Source)

MAILDROP = "pop3"
"""The kind of source that is a maildrop."""

SHORTEST = 8
"""Characters of a UIDL that is believed to be given once. Those of Dovecot, Cyrus, Courier, Gmail and Exchange have
more."""

NO_OCTETS = from_bytes(b"")
LEFT = "it is left out at home"
BY_NAME = "the same message is at home (X-UIDL)"


@runtime_checkable
class Fetching(Protocol):
    """A source at home that knows what its mail program has fetched, once, from maildrops."""

    def fetched(self) -> Mapping[str, Iterable[str]]:
        """UIDLs by maildrop (``user@host``, lower case). After ``list``."""


def in_order(sources: Iterable[_Source]) -> tuple[_Source, ...]:
    """Sources at home before maildrops."""
    return tuple(sorted(sources, key=lambda source: source.kind == MAILDROP))


def maildrop_of(source: Source) -> str:
    """``user@host`` of a maildrop, in lower case."""
    return source.id.partition(":")[2].rpartition(":")[0].lower()


class Homes(Protocol):
    """Who knows what is at home: a journal, or :class:`Planned`."""

    def at_home(self, maildrop: str, uidls: Sequence[str]) -> dict[str, AtHome]:
        """See ``JournalReader.at_home``."""

    def knows(self, maildrop: str) -> bool:
        """See ``JournalReader.knows``."""


class Planned:
    """What a plan has seen at home so far, since it writes nothing into a journal."""

    def __init__(self) -> None:
        self._homes: dict[tuple[str, str], AtHome] = {}

    def add(self, message: Message, account: Account) -> None:
        """A message of a source at home. ``account`` PENDING: it would be moved."""
        if not message.uidl:
            return
        name = (message.maildrop, message.uidl)
        known = self._homes.get(name)
        if known is None or known.account is None or known.deleted or known.partial:
            settled = Account.PRESENT if account is Account.PENDING else account
            self._homes[name] = AtHome(
                settled, message.size, None, None, is_deleted(message), message.partial
            )

    def fetched(self, maildrop: str, uidls: Iterable[str]) -> None:
        """See ``Journal.fetched``."""
        for uidl in uidls:
            self._homes.setdefault((maildrop, uidl), AtHome())

    def knows(self, maildrop: str) -> bool:
        """See ``JournalReader.knows``."""
        return any(name == maildrop for name, _ in self._homes)

    def at_home(self, maildrop: str, uidls: Sequence[str]) -> dict[str, AtHome]:
        """See ``JournalReader.at_home``."""
        found = {uidl: self._homes.get((maildrop, uidl)) for uidl in uidls}
        return {uidl: one for uidl, one in found.items() if one is not None}


class Wholes:
    """Messages of which only the beginning is at home, and the whole in one of the maildrops among ``sources``."""

    def __init__(self, sources: Iterable[Source]) -> None:
        self._maildrops = {maildrop_of(one): one for one in sources if one.kind == MAILDROP}
        self._listed: dict[str, frozenset[str]] = {}
        self._at_home: dict[tuple[str, str], Message] = {}

    def has(self, message: Message) -> bool:
        """Whether the whole of ``message``, a part, comes from a maildrop, which is asked once. Called where sources
        are read."""
        source = self._maildrops.get(message.maildrop)
        if source is None or len(message.uidl) < SHORTEST or message.uidl not in self._names(source):
            return False
        # what it says counts, not the octets, which would be kept for as long
        self._at_home[message.maildrop, message.uidl] = message._replace(octets=NO_OCTETS)
        return True

    def part_of(self, maildrop: str, uidl: str) -> Message | None:
        """What is at home of this message, without its octets, if ``has`` was asked for it."""
        return self._at_home.get((maildrop, uidl))

    def _names(self, source: Source) -> frozenset[str]:
        """What the maildrop lists; nothing if it cannot be asked now, since then both are moved."""
        if source.id not in self._listed:
            names: frozenset[str] = frozenset()
            with contextlib.suppress(Pop2imapError):
                source.open()
                names = frozenset(ref.key.name for ref in source.list().refs if ref.key is not None)
            source.close(settled=True)  # nothing was read
            self._listed[source.id] = names
        return self._listed[source.id]


class Sifted(NamedTuple):
    """How many messages of a maildrop were found at home by name, and how many were deleted there."""

    both: int
    deleted: int


def sift(
    source: Source,
    listed: Listed,
    known: Sequence[Homes],
    *,
    note: Callable[[Sequence[Record]], None],
    rules_digest: str,
    skipped: Callable[[str], None],
    wholes: Wholes,
) -> Sifted:
    """Settle what of the maildrop ``source`` is at home, so that it is not read; the decider of ``listed`` hears of
    what was deleted there, and of what was never fetched, so that nobody can have read it. ``known`` is asked in order,
    ``note`` is given what to remember, ``skipped`` why a message is left out. Each message is one thing or another, so
    the function stays whole.
    """
    maildrop = maildrop_of(source)
    todo, listed.todo = listed.todo, Chosen(listed.listing.refs)
    both = deleted = 0
    is_known = any(one.knows(maildrop) for one in known)
    for start in range(0, len(todo), LOOKUP):
        some = list(todo[start : start + LOOKUP])
        uidls = [ref.key.name for ref in some if ref.key and len(ref.key.name) >= SHORTEST]
        homes: dict[str, AtHome] = {}
        for one in known:
            homes.update(one.at_home(maildrop, uidls))
        records = []
        for ref in some:
            home = homes.get(ref.key.name) if ref.key is not None and ref.key.nth == 0 else None
            if home is not None and _is_same(home, ref):
                assert ref.key is not None
                listed.ledger.put(ref.position, Account.PRESENT, ref.size)
                records.append(_record(ref, home, rules_digest))
                both += 1
                continue
            if home is not None and _is_left(home, ref):
                assert ref.key is not None
                listed.ledger.put(ref.position, Account.SKIPPED, ref.size)
                skipped(LEFT)
                records.append(
                    _record(ref, home, rules_digest)._replace(account=Account.SKIPPED, reason=LEFT)
                )
                continue
            if home is None:
                if is_known and ref.key and len(ref.key.name) >= SHORTEST:
                    listed.decider.unseen.add(ref.position)
            elif home.deleted or home.account is None:
                listed.decider.deleted.add(ref.position)
                deleted += 1
            elif home.partial and ref.key and (part := wholes.part_of(maildrop, ref.key.name)):
                listed.decider.parts[ref.position] = part
            listed.todo.add(ref)
        note(records)
    return Sifted(both, deleted)


def _is_same(home: AtHome, ref: Ref) -> bool:
    return home.account in SETTLED and not (home.partial or home.deleted) and home.size == ref.size


def _is_left(home: AtHome, ref: Ref) -> bool:
    """Whether it is left out at home, as junk, say."""
    left = home.account is Account.SKIPPED and not home.deleted and not home.partial
    return left and home.size == ref.size


def _record(ref: Ref, home: AtHome, rules_digest: str) -> Record:
    assert ref.key is not None
    return Record(
        key=ref.key,
        account=Account.PRESENT,
        size=home.size,
        digest=home.digest,
        date=home.date,
        reason=BY_NAME,
        why="at home",
        rules_digest=rules_digest,
    )
