"""What can be asked of a journal, whoever has it open: the reading half of :mod:`pop2imap.journal`.

This file stays whole so that the questions stand beside each other: what counts as a copy of ours must mean the same
in all of them.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from sqlalchemy import (
    Connection,
    Select,
    Table,
    and_,
    bindparam,
    exists,
    func,
    literal,
    not_,
    or_,
    select,
)

from pop2imap.journal import Entry, Placement, Problem
from pop2imap.journal.schema import (
    INTENDED,
    PRESENT,
    STORED,
    UNDOING,
    claimed,
    folders,
    mailboxes,
    messages,
    placements,
    sources,
    storable,
    texts,
)
from pop2imap.model import SETTLED, Account, Key

CHUNK = 1000
"""Values in one IN list."""

PROBLEMS = (Account.REFUSED, Account.HELD, Account.UNREADABLE, Account.GONE)

ACCOUNT_OF: dict[str, Account] = {INTENDED: Account.PENDING, UNDOING: Account.PENDING} | {
    account.value: account for account in (Account.STORED, Account.PRESENT, Account.REFUSED, Account.HELD)
}
"""Account of a copy by the state of its placement."""

FoundRow = Any
"""A row of a query; its columns are attributes. (Its static type is another in each SQLAlchemy.)"""

ACCOUNTS = {account.value: account for account in Account}

_T = TypeVar("_T")

_Copies = tuple[dict[str, Account], dict[str, Account], tuple[str, ...]]
_NOWHERE: _Copies = ({}, {}, ())


def chunked(items: Iterable[_T], size: int = CHUNK) -> Iterator[list[_T]]:
    """``items`` in lists of at most ``size``."""
    rest = iter(items)
    while chunk := list(itertools.islice(rest, size)):
        yield chunk


def _some(name: str) -> Any:
    return bindparam(name, expanding=True)


_settled = messages.c.account.in_([literal(account.value) for account in sorted(SETTLED, key=str)])

owns_a_copy = exists().where(
    placements.c.message == messages.c.id,
    placements.c.state.in_([STORED, PRESENT]),
    or_(placements.c.uid.is_not(None), claimed),
)
"""Of a message that is present: found in the target itself, not only brought by another source."""

_ENTRIES = (
    select(
        messages.c.id,
        messages.c.name,
        messages.c.nth,
        messages.c.account,
        messages.c.size,
        messages.c.digest,
        messages.c.date,
        messages.c.reason,
        messages.c.subject,
        texts.c.name.label("rules_digest"),
    )
    .join_from(messages, texts, messages.c.rules == texts.c.id, isouter=True)
    .where(
        messages.c.source == bindparam("source"),
        messages.c.name.in_(_some("names")),
        messages.c.nth.between(bindparam("first"), bindparam("last")),
    )
)

_COPIES = select(
    placements.c.message,
    placements.c.folder,
    placements.c.mailbox,
    placements.c.state,
    placements.c.repairs,
).where(placements.c.message.in_(_some("ids")))

_REPAIRS_LIKE = (
    select(messages.c.digest, placements.c.repairs)
    .join_from(messages, placements, placements.c.message == messages.c.id)
    .where(messages.c.digest.in_(_some("digests")), placements.c.state.in_([STORED, PRESENT]))
    .where(placements.c.repairs != "")
)

_CLAIMS = (
    select(
        placements.c.id,
        messages.c.source,
        messages.c.name,
        messages.c.nth,
        placements.c.folder,
        placements.c.uidvalidity,
        placements.c.lower_bound,
        placements.c.match_digest,
        placements.c.size,
        placements.c.date,
        placements.c.flags,
        placements.c.repairs,
        placements.c.state,
    )
    .join_from(placements, messages, placements.c.message == messages.c.id)
    .where(placements.c.mailbox == bindparam("mailbox"), claimed)
)
_INTENTS = _CLAIMS.where(placements.c.state == INTENDED)
_CLAIMS_LIKE = _CLAIMS.where(placements.c.match_digest.in_(_some("digests")))

_UNLOCATED = select(placements.c.match_digest).where(
    placements.c.mailbox == bindparam("mailbox"), claimed, placements.c.state != INTENDED
)

_IN_DOUBT = (
    select(mailboxes.c.name, folders.c.name)
    .join_from(placements, mailboxes, placements.c.mailbox == mailboxes.c.id)
    .join(folders, placements.c.folder == folders.c.id)
    .where(claimed, placements.c.state == INTENDED)
    .distinct()
    .order_by(mailboxes.c.name, folders.c.name)
)

_OWNED = select(placements.c.uid).where(
    placements.c.mailbox == bindparam("mailbox"),
    placements.c.uidvalidity == bindparam("uidvalidity"),
    placements.c.uid.is_not(None),
)

_PUT = (
    _OWNED.add_columns(messages.c.name)
    .join_from(placements, messages, placements.c.message == messages.c.id)
    .where(placements.c.state == STORED, messages.c.source == bindparam("source"))
)

_UNDOING = select(func.count()).where(placements.c.state == UNDOING)

_SETTLED_LIKE = (
    select(placements.c.match_digest)
    .distinct()
    .where(placements.c.state.in_([STORED, PRESENT]), placements.c.match_digest.in_(_some("digests")))
)

_BROUGHT_BY_OTHERS = select(func.count()).where(
    messages.c.digest == bindparam("digest"),
    messages.c.source != bindparam("source"),
    or_(
        messages.c.account == Account.STORED.value,
        and_(messages.c.account == Account.PRESENT.value, owns_a_copy),
    ),
)
_LENT_BY_OTHERS = select(func.count()).where(
    messages.c.digest == bindparam("digest"),
    messages.c.source == bindparam("source"),
    messages.c.account == Account.PRESENT.value,
    not_(owns_a_copy),
    not_(and_(messages.c.name == bindparam("name"), messages.c.nth == bindparam("nth"))),
)

_SAME_OCTETS = (
    select(messages.c.name, messages.c.nth)
    .where(messages.c.source == bindparam("source"), messages.c.digest == bindparam("digest"), _settled)
    .order_by(messages.c.nth, messages.c.id)
)

_KNOWN = select(func.count()).where(messages.c.source == bindparam("source"), _settled, messages.c.nth >= 0)

_FOLDERS = (
    select(folders.c.name, func.count(), func.sum(placements.c.size))
    .join_from(placements, folders, placements.c.folder == folders.c.id)
    .where(placements.c.state == STORED)
    .group_by(folders.c.name)
    .order_by(folders.c.name)
)

_COUNTS = (
    select(sources.c.name, messages.c.account, func.count(), func.sum(messages.c.size))
    .join_from(messages, sources, messages.c.source == sources.c.id)
    .group_by(sources.c.name, messages.c.account)
    .order_by(sources.c.name)
)

_PROBLEMS = (
    select(
        sources.c.name.label("source"),
        messages.c.name,
        messages.c.nth,
        messages.c.account,
        messages.c.date,
        messages.c.subject,
        messages.c.size,
        messages.c.reason,
    )
    .join_from(messages, sources, messages.c.source == sources.c.id)
    .where(messages.c.account.in_([account.value for account in PROBLEMS]))
    .order_by(sources.c.name, messages.c.id)
)


class Reader(ABC):
    """The questions; ``_reading`` gives the connection on which to ask them."""

    def __init__(self) -> None:
        self._name_by_id: dict[tuple[str, int], str] = {}

    @abstractmethod
    def _reading(self) -> AbstractContextManager[Connection]:
        """A connection within a transaction; errors as the contract has them."""

    def lookup(self, keys: Sequence[Key]) -> dict[Key, Entry]:
        by_source: dict[str, list[Key]] = defaultdict(list)
        for key in keys:
            by_source[key.source].append(key)
        found: dict[Key, Entry] = {}
        with self._reading() as connection:
            for source, its_keys in by_source.items():
                number = self._number(connection, sources, source)
                if number is not None:
                    for chunk in chunked(its_keys):
                        found.update(self._entries(connection, number, chunk))
        return found

    def _entries(self, connection: Connection, source: int, keys: Sequence[Key]) -> dict[Key, Entry]:
        wanted = {(storable(key.name), key.nth): key for key in keys}
        rows = [
            tuple(row)
            for row in connection.execute(
                _ENTRIES,
                {
                    "source": source,
                    "names": list({name for name, _ in wanted}),
                    "first": min(nth for _, nth in wanted),  # one name may have very many repeats
                    "last": max(nth for _, nth in wanted),
                },
            ).all()
        ]
        copies = self._copies_of(connection, [row[0] for row in rows])
        lent = {
            digest
            for number, _, _, account, _, digest, *_ in rows
            if account == Account.PRESENT.value and number not in copies
        }
        copies |= self._lent_copies(connection, rows, lent) if lent else {}
        return {
            wanted[name, nth]: Entry(
                ACCOUNTS[account],
                size,
                digest,
                date,
                reason,
                rules or "",
                subject,
                *copies.get(number, _NOWHERE),
            )
            for number, name, nth, account, size, digest, date, reason, subject, rules in rows
            if (name, nth) in wanted
        }

    def _copies_of(self, connection: Connection, ids: Sequence[int]) -> dict[int, _Copies]:
        """Accounts of the copies of these messages, by folder and by mailbox, and what was repaired in them."""
        found: dict[int, _Copies] = {}
        for some in chunked(ids):
            for message, folder, mailbox, state, repairs in connection.execute(_COPIES, {"ids": some}).all():
                by_folder, by_mailbox, repaired = found.get(message, ({}, {}, ()))
                by_folder[self._name(connection, folders, folder)] = ACCOUNT_OF[state]
                by_mailbox[self._name(connection, mailboxes, mailbox)] = ACCOUNT_OF[state]
                repaired = tuple(dict.fromkeys((*repaired, *repairs.split())))
                found[message] = by_folder, by_mailbox, repaired
        return found

    def _lent_copies(
        self, connection: Connection, rows: Iterable[tuple[Any, ...]], digests: Collection[bytes]
    ) -> dict[int, _Copies]:
        """Of messages that are present because another source brought the same octets: what was repaired in those."""
        found: list[FoundRow] = list(connection.execute(_REPAIRS_LIKE, {"digests": list(digests)}))
        repaired = {row.digest: row.repairs for row in found}
        return {
            row[0]: ({}, {}, tuple(repaired[row[5]].split()))
            for row in rows
            if row[3] == Account.PRESENT.value and row[5] in repaired
        }

    def intents(self, mailbox: str) -> list[Placement]:
        return self._placements(_INTENTS, mailbox, [{}])

    def claims(self, mailbox: str, match_digests: Collection[bytes] | None = None) -> list[Placement]:
        if match_digests is None:
            return self._placements(_CLAIMS, mailbox, [{}])
        return self._placements(
            _CLAIMS_LIKE, mailbox, [{"digests": chunk} for chunk in chunked(set(match_digests))]
        )

    def _placements(
        self, query: Select[Any], mailbox: str, parameters: Sequence[dict[str, Any]]
    ) -> list[Placement]:
        with self._reading() as connection:
            number = self._number(connection, mailboxes, mailbox)
            if number is None:
                return []
            found = [
                self._placement(connection, mailbox, row)
                for some in parameters
                for row in connection.execute(query, {"mailbox": number, **some})
            ]
        return sorted(found, key=lambda placement: placement.id)

    def _placement(self, connection: Connection, mailbox: str, row: FoundRow) -> Placement:
        return Placement(
            key=Key(self._name(connection, sources, row.source), row.name, row.nth),
            folder=self._name(connection, folders, row.folder),
            mailbox=mailbox,
            uidvalidity=row.uidvalidity,
            lower_bound=row.lower_bound,
            match_digest=row.match_digest,
            size=row.size,
            date=row.date,
            flags=tuple(row.flags.split()),
            id=row.id,
            stored=row.state != INTENDED,
            repairs=tuple(row.repairs.split()),
        )

    def unlocated(self, mailbox: str) -> list[bytes]:
        with self._reading() as connection:
            number = self._number(connection, mailboxes, mailbox)
            return list(connection.scalars(_UNLOCATED, {"mailbox": number}))

    def mailboxes_in_doubt(self) -> list[tuple[str, str]]:
        with self._reading() as connection:
            return [(mailbox, folder) for mailbox, folder in connection.execute(_IN_DOUBT)]

    def owned(self, mailbox: str, uidvalidity: int) -> set[int]:
        with self._reading() as connection:
            number = self._number(connection, mailboxes, mailbox)
            return set(connection.scalars(_OWNED, {"mailbox": number, "uidvalidity": uidvalidity}))

    def put(self, source: str, mailbox: str, uidvalidity: int) -> dict[str, int]:
        with self._reading() as connection:
            numbers = {
                "source": self._number(connection, sources, source),
                "mailbox": self._number(connection, mailboxes, mailbox),
            }
            rows: list[FoundRow] = list(connection.execute(_PUT, {**numbers, "uidvalidity": uidvalidity}))
            return {row.name: row.uid for row in rows}

    def last_uidvalidity(self, mailbox: str) -> int | None:
        with self._reading() as connection:
            query = select(mailboxes.c.uidvalidity).where(mailboxes.c.name == mailbox)
            return connection.scalar(query)

    def undoing(self) -> int:
        with self._reading() as connection:
            return connection.scalar(_UNDOING) or 0

    def settled_like(self, match_digests: Collection[bytes]) -> set[bytes]:
        with self._reading() as connection:
            return {
                digest
                for chunk in chunked(set(match_digests))
                for digest in connection.scalars(_SETTLED_LIKE, {"digests": chunk})
            }

    def elsewhere(self, key: Key, digest: bytes) -> int:
        with self._reading() as connection:
            source = self._number(connection, sources, key.source)
            mine = {"digest": digest, "source": -1 if source is None else source}
            brought = connection.scalar(_BROUGHT_BY_OTHERS, mine) or 0
            if not brought or source is None:
                return brought
            lent = connection.scalar(_LENT_BY_OTHERS, {**mine, "name": key.name, "nth": key.nth}) or 0
            return max(brought - lent, 0)

    def same_octets(self, source: str, digest: bytes) -> list[Key]:
        with self._reading() as connection:
            number = self._number(connection, sources, source)
            rows = connection.execute(_SAME_OCTETS, {"source": number, "digest": digest})
            return [Key(source, name, nth) for name, nth in rows]

    def known(self, source: str) -> int:
        with self._reading() as connection:
            return connection.scalar(_KNOWN, {"source": self._number(connection, sources, source)}) or 0

    def folders(self) -> dict[str, tuple[int, int]]:
        with self._reading() as connection:
            return {name: (copies, int(octets)) for name, copies, octets in connection.execute(_FOLDERS)}

    def problems(self) -> list[Problem]:
        with self._reading() as connection:
            return [
                Problem(
                    Key(row.source, row.name, row.nth),
                    Account(row.account),
                    row.date,
                    row.subject,
                    row.size,
                    row.reason,
                )
                for row in connection.execute(_PROBLEMS)
            ]

    def counts(self) -> dict[str, dict[Account, tuple[int, int]]]:
        found: dict[str, dict[Account, tuple[int, int]]] = defaultdict(dict)
        with self._reading() as connection:
            for source, account, number, octets in connection.execute(_COUNTS):
                found[source][Account(account)] = (number, int(octets))
        return dict(found)

    def _number(self, connection: Connection, table: Table, name: str) -> int | None:
        """The number of a name in one of the tables of names."""
        return connection.scalar(select(table.c.id).where(table.c.name == name))

    def _name(self, connection: Connection, table: Table, number: int) -> str:
        """The name of a number. Names never change, so they are remembered."""
        key = (table.name, number)
        if key not in self._name_by_id:
            rows = connection.execute(select(table.c.id, table.c.name))
            self._name_by_id.update({(table.name, other): name for other, name in rows})
        return self._name_by_id[key]
