"""The copies that a journal counts as being in the target, in portions: what ``verify`` goes through.

A portion begins where the one before ended, by an index, so that memory and time do not depend on how many
copies there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, and_, bindparam, exists, func, or_, select

from pop2imap.journal.reading import CHUNK, FoundRow, Reader
from pop2imap.journal.schema import (
    PRESENT,
    STORED,
    claimed,
    folders,
    mailboxes,
    messages,
    placements,
    sources,
)
from pop2imap.model import Account, Key


@dataclass(frozen=True, slots=True)
class Copy:
    """One copy that is stored or present. ``digest`` is that of the octets of the source (None: not known),
    ``size`` theirs; ``uid`` is None where nobody told it."""

    id: int
    key: Key
    folder: str
    uid: int | None
    digest: bytes | None
    match_digest: bytes
    size: int
    date: datetime


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

_KEPT = (
    select(
        mailboxes.c.name.label("mailbox"),
        mailboxes.c.uidvalidity,
        folders.c.name.label("folder"),
        func.count(placements.c.uid).label("with_uid"),
        func.count().label("copies"),
    )
    .join_from(placements, mailboxes, placements.c.mailbox == mailboxes.c.id)
    .join(folders, placements.c.folder == folders.c.id)
    .where(_there, or_(_has_uid, claimed))
    .group_by(mailboxes.c.id, folders.c.id)
    .order_by(mailboxes.c.name, func.count().desc(), folders.c.name)
)

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
).join_from(placements, messages, placements.c.message == messages.c.id)

_WITH_UID = (
    _COPY.where(
        placements.c.mailbox == bindparam("mailbox"),
        placements.c.uidvalidity == bindparam("uidvalidity"),
        _has_uid,
        placements.c.uid > bindparam("above"),
        _there,
    )
    .order_by(placements.c.uid)
    .limit(CHUNK)
)

_WITHOUT_UID = (
    _COPY.where(
        placements.c.mailbox == bindparam("mailbox"),
        claimed,
        placements.c.match_digest >= bindparam("digest"),
        or_(
            placements.c.match_digest > bindparam("digest"),
            and_(placements.c.match_digest == bindparam("digest"), placements.c.id > bindparam("above")),
        ),
        _there,
    )
    .order_by(placements.c.match_digest, placements.c.id)
    .limit(CHUNK)
)

_LENT = select(func.count()).where(
    messages.c.account == Account.PRESENT.value,
    ~exists().where(placements.c.message == messages.c.id, _there, or_(_has_uid, claimed)),
)


class CopyReader(Reader):
    """Questions about copies. Errors: LocalIOError, JournalCorrupt."""

    def kept(self) -> list[Kept]:
        """Every mailbox that has copies of ours, by name."""
        found: dict[str, Kept] = {}
        with self._reading() as connection:
            for row in connection.execute(_KEPT):
                before = found.get(row.mailbox, Kept(row.mailbox, (), row.uidvalidity or 0, 0, 0))
                found[row.mailbox] = Kept(
                    row.mailbox,
                    (*before.folders, row.folder),
                    before.uidvalidity,
                    before.with_uid + row.with_uid,
                    before.without_uid + row.copies - row.with_uid,
                )
        return list(found.values())

    def with_uid(self, kept: Kept) -> Iterator[list[Copy]]:
        """The copies in a mailbox that have a UID under ``kept.uidvalidity``, ascending, in portions."""
        above = 0
        while some := self._portion(
            _WITH_UID, kept.mailbox, {"uidvalidity": kept.uidvalidity, "above": above}
        ):
            yield some
            above = some[-1].uid or 0

    def without_uid(self, kept: Kept) -> Iterator[list[Copy]]:
        """The copies in a mailbox whose UID is not known, by match digest, in portions."""
        digest, above = b"", 0
        while some := self._portion(_WITHOUT_UID, kept.mailbox, {"digest": digest, "above": above}):
            yield some
            digest, above = some[-1].match_digest, some[-1].id

    def lent(self) -> int:
        """How many messages are present only because another source brought the same octets."""
        with self._reading() as connection:
            return connection.scalar(_LENT) or 0

    def _portion(self, query: Select[Any], mailbox: str, parameters: dict[str, Any]) -> list[Copy]:
        with self._reading() as connection:
            number = self._number(connection, mailboxes, mailbox)
            rows: list[FoundRow] = list(connection.execute(query, {"mailbox": number, **parameters}))
            return [
                Copy(
                    id=row.id,
                    key=Key(self._name(connection, sources, row.source), row.name, row.nth),
                    folder=self._name(connection, folders, row.folder),
                    uid=row.uid,
                    digest=row.digest,
                    match_digest=row.match_digest,
                    size=row.size,
                    date=row.date,
                )
                for row in rows
            ]
