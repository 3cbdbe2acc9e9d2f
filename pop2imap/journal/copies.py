"""The copies that a journal counts as being in the target, in portions: what ``verify``, ``adopt``, ``undo`` and
``delete-source`` go through.

A portion begins where the one before ended, by an index, so that memory and time do not depend on how many
copies there are.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Connection, Select, and_, bindparam, exists, func, or_, select

from pop2imap.journal.reading import CHUNK, FoundRow, Reader, chunked
from pop2imap.journal.schema import (
    HELD,
    PRESENT,
    REMOVING,
    STORED,
    UNDOING,
    claimed,
    folders,
    mailboxes,
    messages,
    meta,
    origins,
    placements,
    runs,
    sources,
)
from pop2imap.model import Account, Key


@dataclass(frozen=True, slots=True)
class Copy:
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


@dataclass(frozen=True, slots=True)
class Kept:
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


_there = placements.c.state.in_([STORED, PRESENT])
_has_uid = placements.c.uid.is_not(None)

_PLACES = (
    select(
        mailboxes.c.name.label("mailbox"),
        mailboxes.c.uidvalidity,
        folders.c.name.label("folder"),
        func.count(placements.c.uid).label("with_uid"),
        func.count().label("copies"),
    )
    .join_from(placements, mailboxes, placements.c.mailbox == mailboxes.c.id)
    .join(folders, placements.c.folder == folders.c.id)
    .group_by(mailboxes.c.id, folders.c.id)
    .order_by(mailboxes.c.name, func.count().desc(), folders.c.name)
)
_KEPT = _PLACES.where(_there, or_(_has_uid, claimed))

_run = bindparam("run", type_=BigInteger)
_ours = or_(
    placements.c.state == UNDOING,
    and_(placements.c.state == STORED, or_(_run.is_(None), placements.c.run == _run)),
)
"""Stored by a run of ours (None: by any), or half undone."""
_OURS = _PLACES.where(_ours, or_(_has_uid, claimed))

_COPY = select(
    placements.c.id,
    messages.c.source,
    messages.c.name,
    messages.c.nth,
    messages.c.digest,
    placements.c.folder,
    placements.c.uid,
    placements.c.match_digest,
    placements.c.size,
    placements.c.date,
    placements.c.repairs,
    placements.c.state,
).join_from(placements, messages, placements.c.message == messages.c.id)

_BY_UID = (
    _COPY.where(
        placements.c.mailbox == bindparam("mailbox"),
        placements.c.uidvalidity == bindparam("uidvalidity"),
        _has_uid,
        placements.c.uid > bindparam("above"),
    )
    .order_by(placements.c.uid)
    .limit(CHUNK)
)
_WITH_UID = _BY_UID.where(_there)

_OURS_WITH_UID = _BY_UID.where(_ours)

_NAMELESS = (
    _COPY.where(
        placements.c.mailbox == bindparam("mailbox"),
        claimed,
        placements.c.match_digest >= bindparam("digest"),
        or_(
            placements.c.match_digest > bindparam("digest"),
            and_(placements.c.match_digest == bindparam("digest"), placements.c.id > bindparam("above")),
        ),
    )
    .order_by(placements.c.match_digest, placements.c.id)
    .limit(CHUNK)
)
_WITHOUT_UID = _NAMELESS.where(_there)
_OURS_WITHOUT_UID = _NAMELESS.where(_ours)

_MADE = (
    select(mailboxes.c.name, mailboxes.c.uidvalidity)
    .join_from(origins, mailboxes, origins.c.mailbox == mailboxes.c.id)
    .where(origins.c.made.is_not(None), or_(_run.is_(None), origins.c.made == _run))
    .order_by(mailboxes.c.name)
)

_RENUMBERED = _WITHOUT_UID.where(placements.c.lower_bound == 0)

_HELD = (
    _COPY.add_columns(mailboxes.c.name.label("mailbox"))
    .join(mailboxes, placements.c.mailbox == mailboxes.c.id)
    .where(placements.c.state == HELD)
    .order_by(placements.c.id)
)

_LENT = select(func.count()).where(
    messages.c.account == Account.PRESENT.value,
    ~exists().where(placements.c.message == messages.c.id, _there, or_(_has_uid, claimed)),
)

_DELETED_LIKE = (
    select(messages.c.digest)
    .distinct()
    .where(messages.c.digest.in_(bindparam("digests", expanding=True)), messages.c.nth < 0)
)

_REMOVED = select(func.count()).where(messages.c.source == bindparam("source"), messages.c.nth < 0)


class CopyReader(Reader):
    """Questions about copies, and about messages whose copies are all that is left. Errors: LocalIOError,
    JournalCorrupt."""

    def kept(self) -> list[Kept]:
        """Every mailbox that has copies of ours, by name."""
        return self._places(_KEPT, {})

    def with_uid(self, kept: Kept) -> Iterator[list[Copy]]:
        """The copies in a mailbox that have a UID under ``kept.uidvalidity``, ascending, in portions."""
        return self._by_uid(_WITH_UID, kept, {})

    def without_uid(self, kept: Kept, *, renumbered: bool = False) -> Iterator[list[Copy]]:
        """The copies in a mailbox whose UID is not known, by match digest, in portions. ``renumbered``: only those
        that had one until the server renumbered the mailbox."""
        return self._by_digest(_RENUMBERED if renumbered else _WITHOUT_UID, kept, {})

    def ours(self, run: int | None) -> list[Kept]:
        """Every mailbox into which this run (None: any) has stored copies, by name; and what is half undone."""
        return self._places(_OURS, {"run": run})

    def ours_with_uid(self, kept: Kept, run: int | None) -> Iterator[list[Copy]]:
        """Like ``with_uid``, of these alone."""
        return self._by_uid(_OURS_WITH_UID, kept, {"run": run})

    def ours_without_uid(self, kept: Kept, run: int | None) -> Iterator[list[Copy]]:
        """Like ``without_uid``, of these alone."""
        return self._by_digest(_OURS_WITHOUT_UID, kept, {"run": run})

    def mailboxes_made(self, run: int | None) -> list[tuple[str, int | None]]:
        """The mailboxes that this run (None: any) has made, and the UIDVALIDITY of each (None: no copy of ours was
        ever in it)."""
        with self._reading() as connection:
            return [(name, uidvalidity) for name, uidvalidity in connection.execute(_MADE, {"run": run})]

    def run_numbers(self) -> list[int]:
        """Every run there was, ascending."""
        with self._reading() as connection:
            return list(connection.scalars(select(runs.c.id).order_by(runs.c.id)))

    def held_copies(self) -> list[tuple[str, Copy]]:
        """Every held copy, and the mailbox (the server's name) that it was on its way to."""
        with self._reading() as connection:
            rows: list[FoundRow] = list(connection.execute(_HELD))
            return [(row.mailbox, self._copy(connection, row)) for row in rows]

    def lent(self) -> int:
        """How many messages are present only because another source brought the same octets."""
        with self._reading() as connection:
            return connection.scalar(_LENT) or 0

    def deleted_like(self, digests: Collection[bytes]) -> set[bytes]:
        """Those of these digests (of the octets of sources) of which a message was deleted at its source by us."""
        with self._reading() as connection:
            return {
                digest
                for some in chunked(digests)
                for digest in connection.scalars(_DELETED_LIKE, {"digests": some})
            }

    def removing(self) -> list[Key]:
        """What was about to be deleted at a source, and may be gone there (:meth:`Journal.begin_removing`)."""
        with self._reading() as connection:
            found = connection.scalar(select(meta.c.value).where(meta.c.name == REMOVING))
        return [Key(source, name) for source, name in json.loads(found or "[]")]

    def removed(self, source: str) -> int:
        with self._reading() as connection:
            number = self._number(connection, sources, source)
            return connection.scalar(_REMOVED, {"source": number}) or 0

    def _places(self, query: Select[Any], parameters: dict[str, Any]) -> list[Kept]:
        found: dict[str, Kept] = {}
        with self._reading() as connection:
            for row in connection.execute(query, parameters):
                before = found.get(row.mailbox, Kept(row.mailbox, (), row.uidvalidity or 0, 0, 0))
                found[row.mailbox] = Kept(
                    row.mailbox,
                    (*before.folders, row.folder),
                    before.uidvalidity,
                    before.with_uid + row.with_uid,
                    before.without_uid + row.copies - row.with_uid,
                )
        return list(found.values())

    def _by_uid(self, query: Select[Any], kept: Kept, parameters: dict[str, Any]) -> Iterator[list[Copy]]:
        above = 0
        while some := self._portion(
            query, kept.mailbox, {"uidvalidity": kept.uidvalidity, "above": above, **parameters}
        ):
            yield some
            above = some[-1].uid or 0

    def _by_digest(self, query: Select[Any], kept: Kept, parameters: dict[str, Any]) -> Iterator[list[Copy]]:
        digest, above = b"", 0
        while some := self._portion(query, kept.mailbox, {"digest": digest, "above": above, **parameters}):
            yield some
            digest, above = some[-1].match_digest, some[-1].id

    def _portion(self, query: Select[Any], mailbox: str, parameters: dict[str, Any]) -> list[Copy]:
        with self._reading() as connection:
            number = self._number(connection, mailboxes, mailbox)
            rows: list[FoundRow] = list(connection.execute(query, {"mailbox": number, **parameters}))
            return [self._copy(connection, row) for row in rows]

    def _copy(self, connection: Connection, row: FoundRow) -> Copy:
        return Copy(
            id=row.id,
            key=Key(self._name(connection, sources, row.source), row.name, row.nth),
            folder=self._name(connection, folders, row.folder),
            uid=row.uid,
            digest=row.digest,
            match_digest=row.match_digest,
            size=row.size,
            date=row.date,
            repairs=tuple(row.repairs.split()),
            state=row.state,
        )
