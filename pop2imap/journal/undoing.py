"""What undo asks of a journal, and what it writes.

Only copies that are *stored* under a UID are undone: what was present is not ours, and nobody knows which message a
copy without a UID is. Each goes this way::

    stored ──► undoing ──► (no row: its message is pending, and the next migrate moves it again)
                      └──► stored     it could not be removed

*undoing* is durable before the target is told to remove anything. So after a crash a copy that is undoing and no
longer there was removed by us; one that is stored and no longer there was moved or deleted by somebody else, which is
their right, and it is not sent again. While anything is undoing, nothing is migrated, adopted or deleted at a source.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from sqlalchemy import Connection, bindparam, delete, exists, not_, or_, select, update
from sqlalchemy.exc import SQLAlchemyError

from pop2imap.journal import sqlite
from pop2imap.journal import statements as say
from pop2imap.journal.reading import chunked
from pop2imap.journal.schema import claimed, mailboxes, messages, origins, placements
from pop2imap.journal.store import Now, SqlJournal, open_as
from pop2imap.journal.values import PRESENT, STORED, UNDOING
from pop2imap.model import Account

owns_a_copy = exists().where(
    placements.c.message == messages.c.id,
    placements.c.state.in_([STORED, PRESENT]),
    or_(placements.c.uid.is_not(None), claimed),
)
_some = placements.c.id.in_(bindparam("ids", expanding=True))
_BEGIN = update(placements).where(_some, placements.c.state == STORED).values(state=UNDOING)
_LEAVE = update(placements).where(_some, placements.c.state == UNDOING).values(state=STORED)
_FORGET = delete(placements).where(_some, placements.c.state == UNDOING)
_OF = (
    select(messages.c.id, messages.c.digest)
    .join_from(placements, messages, placements.c.message == messages.c.id)
    .where(_some)
)
_LENT = (
    update(messages)
    .where(
        messages.c.digest.in_(bindparam("digests", expanding=True)),
        messages.c.account == Account.PRESENT.value,
        not_(owns_a_copy),
    )
    .values(account=Account.PENDING.value, reason="")
)
_WRITTEN_NOW = (
    update(messages)
    .where(
        messages.c.id.in_(bindparam("ids", expanding=True)), messages.c.nth >= 0
    )  # else: the run that deleted it
    .values(run=bindparam("run"))
)


def open_for_undo(state_dir: Path, identity: str, *, now: Now = lambda: datetime.now(UTC)) -> UndoingJournal:
    """Like :func:`pop2imap.journal.store.open_journal`."""
    return open_as(UndoingJournal, state_dir, identity, now=now)


class UndoingJournal(SqlJournal):
    """A journal that also lets copies be undone. Errors: LocalIOError, JournalCorrupt."""

    @cached_property
    def _core(self) -> Connection:
        return sqlite.core(self._database)

    @contextlib.contextmanager
    def _changing(self, *, durable: bool = False) -> Iterator[Connection]:
        """A writing transaction in the words of SQLAlchemy."""
        connection = self._core
        with self._writing(durable=durable):
            yield connection

    def begin_undoing(self, copies: Collection[int]) -> None:
        """These stored copies (by id) are about to be removed. Fully durable."""
        with self._changing(durable=True) as connection:
            for some in chunked(copies):
                connection.execute(_BEGIN, {"ids": some})

    def leave(self, copies: Collection[int]) -> None:
        """These could not be removed: they are stored as before."""
        with self._changing() as connection:
            for some in chunked(copies):
                connection.execute(_LEAVE, {"ids": some})

    def undone(self, copies: Collection[int]) -> None:
        """These are not in the target any more. Their messages are pending from now on, and so are those that count
        as present because these had brought the same octets. Lazily durable: what is lost is undoing again."""
        with self._changing() as connection:
            for some in chunked(copies):
                rows = connection.execute(_OF, {"ids": some}).all()
                connection.execute(_FORGET, {"ids": some})
                its = {row.id for row in rows}
                self._account(self._database, its, {})
                for part in chunked(its):
                    connection.execute(_WRITTEN_NOW, {"ids": part, "run": self._run})
                for digests in chunked({row.digest for row in rows if row.digest is not None}):
                    connection.execute(_LENT, {"digests": digests})

    def unmade(self, mailbox: str) -> None:
        """A mailbox that we had made is not there any more."""
        with self._changing() as connection:
            number = self._numbered(self._database, "mailboxes", mailbox)
            connection.execute(delete(origins).where(origins.c.mailbox == number))
            mine = or_(placements.c.uid.is_not(None), placements.c.claim)
            if connection.execute(
                select(placements.c.id).where(placements.c.mailbox == number, mine)
            ).first():
                return  # what was moved out of it is still known by the UIDs that it had there
            connection.execute(update(mailboxes).where(mailboxes.c.id == number).values(uidvalidity=None))

    def close(self) -> None:
        if "_core" in vars(self):
            with contextlib.suppress(SQLAlchemyError):
                self._core.close()
        super().close()

    def held(self) -> int:
        """How many copies were sent of which nobody knows whether they arrived."""
        return self._count(say.HELD_COPIES)
