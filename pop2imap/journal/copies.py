"""The copies that a journal counts as being in the target, in portions: what ``verify``, ``adopt``, ``undo`` and
``delete-source`` go through.

A portion begins where the one before ended, by an index, so that memory and time do not depend on how many
copies there are.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any, NamedTuple

from pop2imap.journal import statements as say
from pop2imap.journal.reading import CHUNK, Reader, chunked, scalar
from pop2imap.journal.values import REMOVING, STORED, moment
from pop2imap.model import Key


class Copy(NamedTuple):
    """One copy that is stored or present. ``digest`` is that of the octets of the source (None: not known),
    ``match_digest`` and ``size`` are those of what was sent, after the ``repairs``; ``uid`` is None where nobody told
    it."""

    id: int
    key: Key
    folder: str
    uid: int | None
    digest: bytes | None
    match_digest: bytes
    size: int
    date: datetime
    repairs: tuple[str, ...] = ()
    state: str = STORED

    @property
    def sizes(self) -> tuple[int, ...]:
        """Sizes under which it is likely to be found."""
        return (self.size,)


class Kept(NamedTuple):
    """A mailbox (the server's name) with copies of ours: the folder names that lead there, the UIDVALIDITY of last
    time, and how many copies have a UID and how many have none."""

    mailbox: str
    folders: tuple[str, ...]
    uidvalidity: int
    with_uid: int
    without_uid: int

    @property
    def copies(self) -> int:
        return self.with_uid + self.without_uid


class CopyReader(Reader):
    """Questions about copies, and about messages whose copies are all that is left. Errors: LocalIOError,
    JournalCorrupt."""

    def kept(self) -> list[Kept]:
        """Every mailbox that has copies of ours, by name."""
        return self._places(say.PLACES, {})

    def with_uid(self, kept: Kept) -> Iterator[list[Copy]]:
        """The copies in a mailbox that have a UID under ``kept.uidvalidity``, ascending, in portions."""
        return self._by_uid(say.WITH_UID, kept, {})

    def without_uid(self, kept: Kept, *, renumbered: bool = False) -> Iterator[list[Copy]]:
        """The copies in a mailbox whose UID is not known, by match digest, in portions. ``renumbered``: only those
        that had one until the server renumbered the mailbox."""
        return self._by_digest(say.RENUMBERED if renumbered else say.WITHOUT_UID, kept, {})

    def ours(self, run: int | None) -> list[Kept]:
        """Every mailbox into which this run (None: any) has stored copies, by name; and what is half undone."""
        return self._places(say.PLACES_OURS, {"run": run})

    def ours_with_uid(self, kept: Kept, run: int | None) -> Iterator[list[Copy]]:
        """Like ``with_uid``, of these alone."""
        return self._by_uid(say.OURS_WITH_UID, kept, {"run": run})

    def ours_without_uid(self, kept: Kept, run: int | None) -> Iterator[list[Copy]]:
        """Like ``without_uid``, of these alone."""
        return self._by_digest(say.OURS_WITHOUT_UID, kept, {"run": run})

    def mailboxes_made(self, run: int | None) -> list[tuple[str, int | None]]:
        """The mailboxes that this run (None: any) has made, and the UIDVALIDITY of each (None: no copy of ours was
        ever in it)."""
        with self._reading() as database:
            return database.execute(say.MADE, {"run": run}).fetchall()

    def run_numbers(self) -> list[int]:
        """Every run there was, ascending."""
        with self._reading() as database:
            return [number for (number,) in database.execute(say.RUNS)]

    def held_copies(self) -> list[tuple[str, Copy]]:
        """Every held copy, and the mailbox (the server's name) that it was on its way to."""
        with self._reading() as database:
            rows = database.execute(say.HELD_ONES).fetchall()
            return [(mailbox, self._copy(database, *row)) for *row, mailbox in rows]

    def lent(self) -> int:
        """How many messages are present only because another source brought the same octets."""
        return self._count(say.LENT)

    def deleted_like(self, digests: Collection[bytes]) -> set[bytes]:
        """Those of these digests (of the octets of sources) of which a message was deleted at its source by us."""
        with self._reading() as database:
            return {
                digest
                for some in chunked(digests)
                for (digest,) in database.execute(say.among(say.DELETED_LIKE, len(some)), some)
            }

    def removing(self) -> list[Key]:
        """What was about to be deleted at a source, and may be gone there (:meth:`Journal.begin_removing`)."""
        with self._reading() as database:
            found = scalar(database, say.FACT, REMOVING)
        return [Key(source, name) for source, name in json.loads(found or "[]")]

    def _places(self, statement: str, parameters: dict[str, Any]) -> list[Kept]:
        found: dict[str, Kept] = {}
        with self._reading() as database:
            rows = database.execute(statement, parameters).fetchall()
        for mailbox, uidvalidity, folder, with_uid, copies in rows:
            before = found.get(mailbox, Kept(mailbox, (), uidvalidity or 0, 0, 0))
            found[mailbox] = Kept(
                mailbox,
                (*before.folders, folder),
                before.uidvalidity,
                before.with_uid + with_uid,
                before.without_uid + copies - with_uid,
            )
        return list(found.values())

    def _by_uid(self, statement: str, kept: Kept, parameters: dict[str, Any]) -> Iterator[list[Copy]]:
        above = 0
        while some := self._portion(
            statement, kept.mailbox, {"uidvalidity": kept.uidvalidity, "above": above, **parameters}
        ):
            yield some
            above = some[-1].uid or 0

    def _by_digest(self, statement: str, kept: Kept, parameters: dict[str, Any]) -> Iterator[list[Copy]]:
        digest, above = b"", 0
        while some := self._portion(
            statement, kept.mailbox, {"digest": digest, "above": above, **parameters}
        ):
            yield some
            digest, above = some[-1].match_digest, some[-1].id

    def _portion(self, statement: str, mailbox: str, parameters: dict[str, Any]) -> list[Copy]:
        with self._reading() as database:
            number = self._number(database, "mailboxes", mailbox)
            rows = database.execute(statement, {"mailbox": number, "most": CHUNK, **parameters}).fetchall()
            return [self._copy(database, *row) for row in rows]

    def _copy(
        self,
        database: sqlite3.Connection,
        number: int,
        source: int,
        name: str,
        nth: int,
        digest: bytes | None,
        folder: int,
        uid: int | None,
        match_digest: bytes,
        size: int,
        date: int,
        repairs: str,
        state: str,
    ) -> Copy:
        return Copy(
            id=number,
            key=Key(self._name(database, "sources", source), name, nth),
            folder=self._name(database, "folders", folder),
            uid=uid,
            digest=digest,
            match_digest=match_digest,
            size=size,
            date=moment(date),
            repairs=tuple(repairs.split()),
            state=state,
        )
