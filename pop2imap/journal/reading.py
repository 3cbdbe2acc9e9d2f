"""What can be asked of a journal, whoever has it open: the reading half of :mod:`pop2imap.journal`."""

from __future__ import annotations

import itertools
import sqlite3
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from pop2imap.journal import AtHome, Entry, Placement, Problem, Settled
from pop2imap.journal import statements as say
from pop2imap.journal.values import INTENDED, UNDOING, moment, storable
from pop2imap.model import Account, Key

CHUNK = 1000
"""Values in one IN list."""

PROBLEMS = (Account.REFUSED, Account.HELD, Account.UNREADABLE, Account.GONE)

ACCOUNT_OF: dict[str, Account] = {INTENDED: Account.PENDING, UNDOING: Account.PENDING} | {
    account.value: account for account in (Account.STORED, Account.PRESENT, Account.REFUSED, Account.HELD)
}
"""Account of a copy by the state of its placement."""

ACCOUNTS = {account.value: account for account in Account}

_T = TypeVar("_T")

_Copies = tuple[dict[str, Account], dict[str, Account], tuple[str, ...]]
"""Accounts of the copies of a message by folder and by mailbox, and what was repaired in them."""
_NOWHERE: _Copies = ({}, {}, ())


def chunked(items: Iterable[_T], size: int = CHUNK) -> Iterator[list[_T]]:
    """``items`` in lists of at most ``size``."""
    rest = iter(items)
    while chunk := list(itertools.islice(rest, size)):
        yield chunk


def _with(
    entry: Entry, placed: Mapping[str, Account], mailboxes: Mapping[str, Account], repairs: Iterable[str]
) -> Entry:
    """The entry of a message that has one more copy."""
    return entry._replace(
        placed={**entry.placed, **placed},
        mailboxes={**entry.mailboxes, **mailboxes},
        repairs=tuple(dict.fromkeys((*entry.repairs, *repairs))),
    )


class Reader(ABC):
    """The questions; ``_reading`` gives the database on which to ask them."""

    def __init__(self) -> None:
        self._name_by_id: dict[tuple[str, int], str] = {}

    @abstractmethod
    def _reading(self) -> AbstractContextManager[sqlite3.Connection]:
        """The database within a transaction; errors as the contract has them."""

    def lookup(self, keys: Sequence[Key]) -> dict[Key, Entry]:
        found: dict[Key, Entry] = {}
        with self._reading() as database:
            for number, some in self._by_source(database, keys):
                found.update(self._entries(database, number, some))
        return found

    def settled(self, keys: Sequence[Key]) -> dict[Key, Settled]:
        found: dict[Key, Settled] = {}
        with self._reading() as database:
            rules: dict[int | None, str] = {None: ""}
            for source, some in self._by_source(database, keys):
                wanted = {(storable(key.name), key.nth): key for key in some}
                for name, nth, account, size, seconds, number in named(
                    database, say.SETTLED_MESSAGES, source, wanted
                ):
                    if number not in rules:
                        rules[number] = self._name(database, "texts", number)
                    if key := wanted.get((name, nth)):
                        found[key] = Settled(ACCOUNTS[account], size, seconds, rules[number])
        return found

    @property
    def any_repaired(self) -> bool:
        with self._reading() as database:
            return scalar(database, say.REPAIRED) is not None

    def _by_source(
        self, database: sqlite3.Connection, keys: Iterable[Key]
    ) -> Iterator[tuple[int, list[Key]]]:
        """The keys of each source that is known, with its number, some at a time."""
        by_source: dict[str, list[Key]] = defaultdict(list)
        for key in keys:
            by_source[key.source].append(key)
        for source, its_keys in by_source.items():
            number = self._number(database, "sources", source)
            if number is not None:
                for some in chunked(its_keys):
                    yield number, some

    def _entries(self, database: sqlite3.Connection, source: int, keys: Sequence[Key]) -> dict[Key, Entry]:
        wanted = {(storable(key.name), key.nth): key for key in keys}
        found: dict[Key, Entry] = {}
        alike: dict[
            tuple[Any, ...], _Copies
        ] = {}  # most messages have one copy, of the same folder and state
        lent: list[Key] = []
        for row in named(database, say.ENTRIES, source, wanted):
            if (key := wanted.get(row[:2])) is None:
                continue
            copies = alike.get(row[9:])
            if copies is None:
                copies = alike[row[9:]] = self._copies(database, *row[9:])
            if (before := found.get(key)) is not None:
                found[key] = _with(before, *copies)
                continue
            _, _, account, size, digest, date, reason, subject, rules, *_ = row
            found[key] = Entry(
                ACCOUNTS[account],
                size,
                digest,
                None if date is None else moment(date),
                reason,
                "" if rules is None else self._name(database, "texts", rules),
                subject,
                *copies,
            )
            if not copies[0] and found[key].account is Account.PRESENT:
                lent.append(key)
        return found | self._lent(database, {key: found[key] for key in lent}) if lent else found

    def _copies(
        self,
        database: sqlite3.Connection,
        folder: int | None,
        mailbox: int | None,
        state: str | None,
        repairs: str | None,
    ) -> _Copies:
        """One copy, or none."""
        if folder is None or mailbox is None or state is None:
            return _NOWHERE
        account = ACCOUNT_OF[state]
        return (
            {self._name(database, "folders", folder): account},
            {self._name(database, "mailboxes", mailbox): account},
            tuple(dict.fromkeys((repairs or "").split())),
        )

    def _lent(self, database: sqlite3.Connection, entries: dict[Key, Entry]) -> dict[Key, Entry]:
        """Of messages that are present because another source brought the same octets: with what was repaired in
        those."""
        repaired = {
            digest: tuple(repairs.split())
            for some in chunked({entry.digest for entry in entries.values()})
            for digest, repairs in database.execute(say.among(say.REPAIRS_LIKE, len(some)), some)
        }
        return {
            key: entry._replace(repairs=repaired[entry.digest])
            for key, entry in entries.items()
            if entry.digest in repaired
        }

    def intents(self, mailbox: str) -> list[Placement]:
        return self._placements(say.INTENTS, mailbox, [()])

    def claims(self, mailbox: str, match_digests: Collection[bytes] | None = None) -> list[Placement]:
        if match_digests is None:
            return self._placements(say.CLAIMS, mailbox, [()])
        return self._placements(say.CLAIMS_LIKE, mailbox, chunked(set(match_digests)))

    def _placements(
        self, statement: str, mailbox: str, parameters: Iterable[Sequence[bytes]]
    ) -> list[Placement]:
        with self._reading() as database:
            number = self._number(database, "mailboxes", mailbox)
            if number is None:
                return []
            found = [
                self._placement(database, mailbox, *row)
                for some in parameters
                for row in database.execute(say.among(statement, len(some)), (number, *some)).fetchall()
            ]
        return sorted(found, key=lambda placement: placement.id)

    def _placement(
        self,
        database: sqlite3.Connection,
        mailbox: str,
        number: int,
        source: int,
        name: str,
        nth: int,
        folder: int,
        uidvalidity: int,
        lower_bound: int,
        match_digest: bytes,
        size: int,
        date: int,
        flags: str,
        repairs: str,
        state: str,
    ) -> Placement:
        return Placement(
            key=Key(self._name(database, "sources", source), name, nth),
            folder=self._name(database, "folders", folder),
            mailbox=mailbox,
            uidvalidity=uidvalidity,
            lower_bound=lower_bound,
            match_digest=match_digest,
            size=size,
            date=moment(date),
            flags=tuple(flags.split()),
            id=number,
            stored=state != INTENDED,
            repairs=tuple(repairs.split()),
        )

    def unlocated(self, mailbox: str) -> list[bytes]:
        with self._reading() as database:
            number = self._number(database, "mailboxes", mailbox)
            return [digest for (digest,) in database.execute(say.UNLOCATED, (number,))]

    def mailboxes_in_doubt(self) -> list[tuple[str, str]]:
        with self._reading() as database:
            return database.execute(say.IN_DOUBT).fetchall()

    def owned(self, mailbox: str, uidvalidity: int) -> set[int]:
        with self._reading() as database:
            number = self._number(database, "mailboxes", mailbox)
            return {uid for (uid,) in database.execute(say.OWNED, (number, uidvalidity))}

    def put(self, source: str, mailbox: str, uidvalidity: int) -> dict[str, int]:
        with self._reading() as database:
            of, within = (
                self._number(database, "sources", source),
                self._number(database, "mailboxes", mailbox),
            )
            return dict(database.execute(say.PUT, (within, uidvalidity, of)).fetchall())

    def last_uidvalidity(self, mailbox: str) -> int | None:
        with self._reading() as database:
            found: int | None = scalar(database, say.LAST_UIDVALIDITY, storable(mailbox))
            return found

    def undoing(self) -> int:
        return self._count(say.UNDOING_COPIES)

    def settled_like(self, match_digests: Collection[bytes]) -> set[bytes]:
        with self._reading() as database:
            return {
                digest
                for some in chunked(set(match_digests))
                for (digest,) in database.execute(say.among(say.SETTLED_LIKE, len(some)), some)
            }

    def elsewhere(self, key: Key, digest: bytes) -> int:
        with self._reading() as database:
            source = self._number(database, "sources", key.source)
            brought = int(
                scalar(database, say.BROUGHT_BY_OTHERS, digest, -1 if source is None else source) or 0
            )
            if not brought or source is None:
                return brought
            lent = scalar(database, say.LENT_BY_OTHERS, digest, source, storable(key.name), key.nth)
            return max(brought - (lent or 0), 0)

    def at_home(self, maildrop: str, uidls: Sequence[str]) -> dict[str, AtHome]:
        found: dict[str, AtHome] = {}
        with self._reading() as database:
            for some in chunked(uidls):
                wanted = {storable(uidl): uidl for uidl in some}
                rows = database.execute(
                    say.among(say.AT_HOME, len(wanted)), (storable(maildrop), *wanted)
                ).fetchall()
                for uidl, account, size, octets, date, deleted, partial in rows:
                    found[wanted[uidl]] = AtHome(
                        ACCOUNTS[account] if account else None,
                        size or 0,
                        octets,
                        None if date is None else moment(date),
                        bool(deleted),
                        bool(partial),
                    )
        return found

    def knows(self, maildrop: str) -> bool:
        with self._reading() as database:
            return scalar(database, say.KNOWS, storable(maildrop)) is not None

    def rewritten(self, source: str) -> dict[bytes, dict[bytes, int]]:
        found: dict[bytes, dict[bytes, int]] = defaultdict(dict)
        with self._reading() as database:
            number = self._number(database, "sources", source)
            for match, octets, messages in database.execute(
                say.REWRITTEN, (-1 if number is None else number,)
            ):
                found[match][octets] = messages
        return dict(found)

    def shared(self) -> int:
        return self._count(say.SHARED)

    def same_octets(self, source: str, digest: bytes) -> list[Key]:
        with self._reading() as database:
            number = self._number(database, "sources", source)
            rows = database.execute(say.SAME_OCTETS, (number, digest)).fetchall()
        return [Key(source, name, nth) for name, nth in rows]

    def known(self, source: str) -> int:
        return self._count(say.KNOWN, source)

    def removed(self, source: str) -> int:
        return self._count(say.REMOVED, source)

    def _count(self, statement: str, *sources: str) -> int:
        with self._reading() as database:
            numbers = [self._number(database, "sources", source) for source in sources]
            return int(scalar(database, statement, *numbers) or 0)

    def folders(self) -> dict[str, tuple[int, int]]:
        with self._reading() as database:
            return {name: (copies, octets) for name, copies, octets in database.execute(say.FOLDERS)}

    def problems(self) -> list[Problem]:
        accounts = [account.value for account in PROBLEMS]
        with self._reading() as database:
            rows = database.execute(say.among(say.PROBLEMS, len(accounts)), accounts).fetchall()
        return [
            Problem(
                Key(source, name, nth),
                ACCOUNTS[account],
                None if date is None else moment(date),
                subject,
                size,
                reason,
            )
            for source, name, nth, account, date, subject, size, reason in rows
        ]

    def counts(self) -> dict[str, dict[Account, tuple[int, int]]]:
        found: dict[str, dict[Account, tuple[int, int]]] = defaultdict(dict)
        with self._reading() as database:
            for source, account, number, octets in database.execute(say.COUNTS):
                found[source][ACCOUNTS[account]] = (number, octets)
        return dict(found)

    def _number(self, database: sqlite3.Connection, table: str, name: str) -> int | None:
        """The number of a name in one of the tables of names."""
        found: int | None = scalar(database, say.NUMBER.format(table), storable(name))
        return found

    def _name(self, database: sqlite3.Connection, table: str, number: int) -> str:
        """The name of a number. Names never change, so they are remembered."""
        key = (table, number)
        if key not in self._name_by_id:
            rows = database.execute(say.NAMES.format(table)).fetchall()
            self._name_by_id.update({(table, other): name for other, name in rows})
        return self._name_by_id[key]


def named(
    database: sqlite3.Connection, statement: str, source: int, names: Collection[tuple[str, int]]
) -> list[tuple[Any, ...]]:
    """The rows of messages with these names and nths, and perhaps of others that share a name with them: one name may
    have very many repeats."""
    alike = list({name for name, _ in names})
    nths = [nth for _, nth in names]
    return database.execute(
        say.among(statement, len(alike)), (source, min(nths), max(nths), *alike)
    ).fetchall()


def scalar(database: sqlite3.Connection, statement: str, *parameters: Any) -> Any:
    """The first column of the first row, or None."""
    row = database.execute(statement, parameters).fetchone()
    return None if row is None else row[0]
