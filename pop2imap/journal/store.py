"""The journal of one target account, open for writing: :class:`pop2imap.journal.Journal` over SQLAlchemy Core.

Each public method that writes is one transaction. Which of them wait for the disk is said in the contract; see
:mod:`pop2imap.journal.sqlite` for how. Accounts of messages are never counted up and down: they are worked out
anew from the placements of the message whenever one of these changed.

This file stays whole because the transactions belong together: each keeps the same few truths (one owner of a UID,
a claim where the UID is not known, no second intent), and they are easier to check side by side.
"""

from __future__ import annotations

import contextlib
import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection, Table, bindparam, delete, func, insert, or_, select, update
from sqlalchemy.exc import SQLAlchemyError

from pop2imap import __version__
from pop2imap.errors import Again, ExitCode, InternalError
from pop2imap.journal import Held, Moved, Placement, Record, place, sqlite
from pop2imap.journal.copies import CopyReader
from pop2imap.journal.mark import Mark, missing
from pop2imap.journal.place import directory
from pop2imap.journal.reading import ACCOUNT_OF, CHUNK, PROBLEMS, FoundRow, chunked
from pop2imap.journal.schema import (
    FORMAT,
    HELD,
    INTENDED,
    PRESENT,
    REFUSED,
    REMOVING,
    STORED,
    UNDOING,
    bring_up_to_date,
    check,
    examine,
    folders,
    mailboxes,
    messages,
    meta,
    origins,
    placements,
    runs,
    seconds,
    set_facts,
    sources,
    storable,
    texts,
)
from pop2imap.model import Account, Key, Outcome, Refused, Stored, Unknown

__all__ = ["SqlJournal", "directory", "open_journal"]

Now = Callable[[], datetime]

_Kind = TypeVar("_Kind", bound="SqlJournal")

NAMED = frozenset({Account.PENDING, *PROBLEMS})
"""Accounts whose messages a report may have to name, so that their subject is kept."""

MOST_TEXT = 1000
"""Characters of a reason, a subject or a why that are kept."""


def open_journal(
    state_dir: Path,
    identity: str,
    *,
    options_digest: str = "",
    now: Now = lambda: datetime.now(UTC),
) -> SqlJournal:
    """Open the journal of the target ``identity`` for writing, making what is missing, and begin a run in it.

    Raises JournalLocked if another run has it, JournalTooNew if a newer pop2imap wrote it, JournalCorrupt if it
    cannot be used, LocalIOError if its place is full, not writable or not safe.
    """
    return open_as(SqlJournal, state_dir, identity, options_digest, now)


def open_as(
    kind: type[_Kind],
    state_dir: Path,
    identity: str,
    options_digest: str = "",
    now: Now = lambda: datetime.now(UTC),
) -> _Kind:
    """``open_journal`` for a journal that can do more."""
    where = place.make(state_dir, identity)
    with ExitStack() as undo:
        lock = place.Lock(where / place.LOCK)
        undo.callback(lock.release)
        place.empty_spool(where)
        path, mark = where / place.DATABASE, Mark(where)
        undo.callback(mark.close)
        begun = _claim(path, mark)
        with sqlite.storage_errors(path, examining=True):
            connection = sqlite.writer(path).connect()
            undo.callback(connection.close)
            sqlite.durable(connection, True)
            facts, new = _prepare(connection, path, identity, now(), begun)
        with sqlite.storage_errors(path):
            place.sync(where, where.parent, state_dir)
            journal = kind(connection, path, lock, mark, facts, new, now)
            journal.begin_run(options_digest)
        undo.pop_all()
        return journal


def _claim(path: Path, mark: Mark) -> bool:
    """See that the file of the database is there, and ours. Returns whether a journal has been in it."""
    log = path.with_name(path.name + "-wal")
    for suffix in ("-wal", "-shm"):
        if path.with_name(path.name + suffix).is_symlink():
            raise sqlite.corrupt(path, f"its {suffix} file is a symbolic link")
    with place.disk_errors(path):
        was_there = path.exists()
        if not was_there and log.exists() and log.stat().st_size:
            raise sqlite.corrupt(path, "it is gone, but its log is there")
        if not was_there:
            mark.forget()
    place.claim_file(path)
    sqlite.check_header(path)
    return mark.is_there


def _prepare(
    connection: Connection, path: Path, identity: str, moment: datetime, begun: bool
) -> tuple[dict[str, str], bool]:
    """See that this is a journal, whole, of this target and of the newest schema. Returns what ``meta`` says, and
    whether there was none before. ``begun``: there must have been one."""
    with connection.begin():
        facts = examine(connection, path, identity)
    if begun and not facts:
        raise sqlite.corrupt(path, sqlite.EMPTY)
    born = (("format", FORMAT), ("identity", identity), ("created", str(seconds(moment))))
    bring_up_to_date(connection, int(facts.get("schema", "0")), born)
    with connection.begin():
        return check(connection, path), not facts


_MESSAGES = select(messages.c.id, messages.c.source, messages.c.name, messages.c.nth, messages.c.rules).where(
    messages.c.source == bindparam("source"),
    messages.c.name.in_(bindparam("names", expanding=True)),
    messages.c.nth.between(bindparam("first"), bindparam("last")),
)
_COPIES = select(
    placements.c.id,
    placements.c.message,
    placements.c.folder,
    placements.c.mailbox,
    placements.c.state,
).where(placements.c.message.in_(bindparam("ids", expanding=True)))
_LOWEST = (
    select(messages.c.name, func.min(messages.c.nth).label("nth"))
    .where(messages.c.source == bindparam("source"), messages.c.name.in_(bindparam("names", expanding=True)))
    .group_by(messages.c.name)
)
_UPDATE_MESSAGES = update(messages).where(messages.c.id == bindparam("_id"))
_DELETE_PLACEMENTS = delete(placements).where(placements.c.id.in_(bindparam("ids", expanding=True)))
_TO_SETTLE = select(
    placements.c.id,
    placements.c.message,
    placements.c.mailbox,
    placements.c.state,
    placements.c.claim,
    placements.c.uidvalidity,
    placements.c.lower_bound,
).where(placements.c.id.in_(bindparam("ids", expanding=True)))
_OWNERS = select(placements.c.mailbox, placements.c.uidvalidity, placements.c.uid).where(
    placements.c.mailbox == bindparam("mailbox"),
    placements.c.uidvalidity == bindparam("uidvalidity"),
    placements.c.uid.in_(bindparam("uids", expanding=True)),
)
_UPDATE_PLACEMENT = (
    update(placements)
    .where(placements.c.id == bindparam("_id"))
    .values(
        state=bindparam("state"),
        claim=bindparam("claim"),
        uid=bindparam("uid"),
        mailbox=bindparam("mailbox"),
        uidvalidity=bindparam("uidvalidity"),
    )
)
_STATES = (
    select(messages.c.id, messages.c.copies, messages.c.reason, messages.c.subject, placements.c.state)
    .join_from(messages, placements, placements.c.message == messages.c.id, isouter=True)
    .where(messages.c.id.in_(bindparam("ids", expanding=True)))
)
_SET_ACCOUNT = (
    update(messages)
    .where(messages.c.id == bindparam("_id"))
    .values(account=bindparam("account"), reason=bindparam("reason"), subject=bindparam("subject"))
)


_COUNT_COMMIT = update(meta).where(meta.c.name == "commits").values(value=bindparam("commits"))
_BEGAN = (
    select(mailboxes.c.uidvalidity, origins.c.first_uid)
    .join_from(mailboxes, origins, origins.c.mailbox == mailboxes.c.id, isouter=True)
    .where(mailboxes.c.name == bindparam("name"))
)

_Owner = tuple[int, int, int | None]
"""Mailbox, UIDVALIDITY and UID."""


class _Remembered(NamedTuple):
    """Messages whose rows are written: their ids, and which of these were there before."""

    ids: dict[Key, int]
    known: set[int]


class SqlJournal(CopyReader):
    """See :class:`pop2imap.journal.Journal`. Made by :func:`open_journal`."""

    def __init__(
        self,
        connection: Connection,
        path: Path,
        lock: place.Lock,
        mark: Mark,
        facts: Mapping[str, str],
        new: bool,
        now: Now,
    ) -> None:
        super().__init__()
        self._connection = connection
        self._path = path
        self._lock = lock
        self._mark, self._id, self._commits = mark, facts["id"], int(facts["commits"])
        self._missing = missing(mark.read(), facts)
        self._is_new = new
        self._run = 0
        self._now = now
        self._waits_for_disk = True
        self._numbers: dict[tuple[str, str], int] = {}
        with connection.begin():
            self._last_id = {
                table.name: connection.scalar(select(func.max(table.c.id))) or 0
                for table in (messages, placements)
            }

    def begin_run(self, options_digest: str) -> None:
        """Write the row of this run. To be called once, before all else."""
        row = {
            "started": self._now(),
            "options_digest": options_digest,
            "version": __version__,
            "counts": "{}",
        }
        with self._writing(durable=True) as connection:
            self._run = int(connection.scalars(insert(runs).returning(runs.c.id), row).one())

    @property
    def spool(self) -> Path:
        """The directory for large messages on their way."""
        return self._path.parent / place.SPOOL

    @property
    def last_alive(self) -> datetime | None:
        return self._lock.last_alive

    def touch(self) -> None:
        self._lock.touch()

    # -- transactions

    @contextlib.contextmanager
    def _reading(self) -> Iterator[Connection]:
        with sqlite.storage_errors(self._path), self._connection.begin():
            yield self._connection

    @contextlib.contextmanager
    def _writing(self, *, durable: bool = False) -> Iterator[Connection]:
        with sqlite.storage_errors(self._path):
            if durable != self._waits_for_disk:
                sqlite.durable(self._connection, durable)
                self._waits_for_disk = durable
            try:
                with self._connection.begin():
                    yield self._connection
                    if durable:
                        self._connection.execute(_COUNT_COMMIT, {"commits": str(self._commits + 1)})
            except BaseException:
                self._numbers.clear()  # some may have been rolled back
                self._name_by_id.clear()
                raise
            if durable:
                self._commits += 1
                self._mark.write(self._id, self._commits)

    # -- messages

    def note(self, records: Iterable[Record]) -> None:
        for some in chunked(records):
            with self._writing() as connection:
                self._remember(connection, some)

    def _remember(
        self, connection: Connection, records: Sequence[Record], account: Account | None = None
    ) -> _Remembered:
        """Insert or replace the rows of these messages."""
        rows = {record.key: self._message_row(connection, record, account) for record in records}
        known = self._known_messages(connection, rows)
        fresh = {key: row for key, row in rows.items() if key not in known}
        ids = {key: row.id for key, row in known.items()}
        if fresh:
            ids.update(zip(fresh, self._next_ids(messages, len(fresh)), strict=True))
            connection.execute(insert(messages), [{"id": ids[key], **row} for key, row in fresh.items()])
        if known:
            connection.execute(_UPDATE_MESSAGES, [{"_id": old.id, **rows[key]} for key, old in known.items()])
            decided_anew = [
                old.id for key, old in known.items() if rows[key]["rules"] not in {None, old.rules}
            ]
            for some in chunked(decided_anew):
                connection.execute(
                    delete(placements).where(placements.c.message.in_(some), placements.c.state == REFUSED)
                )
        return _Remembered(ids, {row.id for row in known.values()})

    def _known_messages(self, connection: Connection, keys: Collection[Key]) -> dict[Key, FoundRow]:
        by_source: dict[str, list[Key]] = defaultdict(list)
        for key in keys:
            by_source[key.source].append(key)
        found: dict[Key, FoundRow] = {}
        for source, its_keys in by_source.items():
            number = self._numbered(connection, sources, source)
            for some in chunked(its_keys):
                wanted = {(storable(key.name), key.nth): key for key in some}
                rows = connection.execute(
                    _MESSAGES,
                    {
                        "source": number,
                        "names": list({name for name, _ in wanted}),
                        "first": min(nth for _, nth in wanted),
                        "last": max(nth for _, nth in wanted),
                    },
                )
                found.update(
                    {wanted[row.name, row.nth]: row for row in rows if (row.name, row.nth) in wanted}
                )
        return found

    def _message_row(self, connection: Connection, record: Record, account: Account | None) -> dict[str, Any]:
        account = account or record.account
        return {
            "source": self._numbered(connection, sources, record.key.source),
            "name": record.key.name,
            "nth": record.key.nth,
            "account": account.value,
            "size": record.size,
            "digest": record.digest,
            "date": record.date,
            "date_from": record.date_from.name if record.date_from else None,
            "copies": record.copies,
            "why": self._text(connection, record.why),
            "rules": self._text(connection, record.rules_digest),
            "reason": record.reason[:MOST_TEXT],
            "subject": record.subject[:MOST_TEXT] if account in NAMED else "",
            "run": self._run,
        }

    def _text(self, connection: Connection, text: str) -> int | None:
        return self._numbered(connection, texts, text[:MOST_TEXT]) if text else None

    def _next_ids(self, table: Table, count: int) -> range:
        """So many ids that this run has not used, ascending. There is one writer, so it can count by itself."""
        first = self._last_id[table.name] + 1
        self._last_id[table.name] += count
        return range(first, first + count)

    def _numbered(self, connection: Connection, table: Table, name: str) -> int:
        """The number of a name, which is given one if it has none."""
        key = (table.name, name)
        if (number := self._numbers.get(key)) is None:
            number = self._number(connection, table, name)
            if number is None:
                number = int(connection.scalars(insert(table).returning(table.c.id), {"name": name}).one())
            if len(self._numbers) >= CHUNK:
                self._numbers.clear()
            self._numbers[key] = number
        return number

    def rebind(self, old: Key, new: Key) -> None:
        with self._writing() as connection:
            found = self._known_messages(connection, {old, new})
            if old not in found:
                raise InternalError(f"no message is known as {old}")
            if (taken := found.get(new)) is not None and new != old:
                if connection.execute(_COPIES, {"ids": [taken.id]}).first() is not None:
                    raise InternalError(f"{new} is known already")
                connection.execute(delete(messages).where(messages.c.id == taken.id))
            row = {
                "_id": found[old].id,
                "source": self._numbered(connection, sources, new.source),
                "name": new.name,
                "nth": new.nth,
                "run": self._run,
            }
            connection.execute(_UPDATE_MESSAGES, row)

    def begin_removing(self, keys: Sequence[Key]) -> None:
        with self._writing(durable=True) as connection:
            set_facts(connection, (REMOVING, json.dumps([(key.source, key.name) for key in keys])))

    def remove(self, keys: Sequence[Key]) -> None:
        with self._writing(durable=True) as connection:
            connection.execute(delete(meta).where(meta.c.name == REMOVING))
            found = self._known_messages(connection, keys)
            if missing := [key for key in keys if key not in found]:
                raise InternalError(f"no message is known as {missing[0]}")
            lowest: dict[tuple[int, str], int] = {}
            names: dict[int, list[str]] = defaultdict(list)
            for row in found.values():
                names[row.source].append(row.name)
            for source, its_names in names.items():
                for some in chunked(its_names):
                    rows = connection.execute(_LOWEST, {"source": source, "names": some})
                    lowest.update({(source, row.name): min(row.nth, 0) for row in rows})
            updates = []
            for row in found.values():
                lowest[row.source, row.name] -= 1
                updates.append({"_id": row.id, "nth": lowest[row.source, row.name], "run": self._run})
            if updates:
                connection.execute(_UPDATE_MESSAGES, updates)

    # -- placements

    def intend(self, records: Sequence[Record], placements: Sequence[Placement]) -> list[int]:
        with self._writing(durable=True) as connection:
            remembered = self._remember(connection, records, Account.PENDING)
            added = self._place(connection, remembered, placements, INTENDED, [None] * len(placements))
        self._lock.touch()
        return added

    def present(self, record: Record, placement: Placement, uid: int | None) -> None:
        with self._writing() as connection:
            remembered = self._remember(connection, [record])
            self._place(connection, remembered, [placement], PRESENT, [uid])
            self._account(connection, remembered.ids.values(), {})

    def adopt(self, records: Sequence[Record], found: Sequence[tuple[Placement, int]]) -> None:
        with self._writing(durable=True) as connection:
            remembered = self._remember(connection, records, Account.PENDING)
            copies = [copy for copy, _ in found]
            self._place(connection, remembered, copies, PRESENT, [uid for _, uid in found], adopted=True)
            self._account(connection, remembered.ids.values(), {})
        self._lock.touch()

    def _place(
        self,
        connection: Connection,
        remembered: _Remembered,
        new: Sequence[Placement],
        state: str,
        uids: Sequence[int | None],
        *,
        adopted: bool = False,
    ) -> list[int]:
        """Insert placements of these messages, in place of refused and held ones of the same folder. ``adopted``: they
        are there, so two of a message may be in one mailbox."""
        if not {one.key for one in new} <= remembered.ids.keys():
            raise InternalError("a placement came without the record of its message")
        rows: list[dict[str, Any]] = [
            {
                "id": number,
                "message": remembered.ids[one.key],
                "folder": self._numbered(connection, folders, one.folder),
                "mailbox": self._numbered(connection, mailboxes, one.mailbox),
                "state": state,
                "claim": state == INTENDED,
                "uidvalidity": one.uidvalidity,
                "lower_bound": one.lower_bound,
                "uid": uid,
                "match_digest": one.match_digest,
                "size": one.size,
                "date": one.date,
                "flags": " ".join(one.flags),
                "repairs": " ".join(one.repairs),
                "run": self._run,
            }
            for number, one, uid in zip(self._next_ids(placements, len(new)), new, uids, strict=True)
        ]
        self._make_room(connection, remembered.known, new, rows, adopted=adopted)
        for mailbox, uidvalidity in {(row["mailbox"], row["uidvalidity"]) for row in rows}:
            lowest = min(row["lower_bound"] for row in rows if row["mailbox"] == mailbox)
            self._under(connection, mailbox, uidvalidity, lowest)
        if rows:
            connection.execute(insert(placements), rows)
        return [row["id"] for row in rows]

    def _make_room(
        self,
        connection: Connection,
        known: Collection[int],
        new: Sequence[Placement],
        rows: Sequence[Mapping[str, Any]],
        *,
        adopted: bool,
    ) -> None:
        """Delete what the new rows replace. Raises InternalError for what would become a second copy."""
        old: dict[int, list[FoundRow]] = defaultdict(list)
        for some in chunked(known):
            for copy in connection.execute(_COPIES, {"ids": some}):
                old[copy.message].append(copy)
        gone: list[int] = []
        seen: set[tuple[int, int]] = set()
        for one, row in zip(new, rows, strict=True):
            place = row["folder"] if adopted else row["mailbox"]
            if (row["message"], place) in seen:
                raise InternalError(f"{one.key} was to go to {one.mailbox} twice")
            seen.add((row["message"], place))
            for copy in old[row["message"]]:
                if copy.folder != row["folder"] and (adopted or copy.mailbox != row["mailbox"]):
                    continue
                if copy.state not in {REFUSED, HELD}:
                    raise InternalError(f"{one.key} is {copy.state} in {one.folder} already")
                gone.append(copy.id)
        for some in chunked(gone):
            connection.execute(_DELETE_PLACEMENTS, {"ids": some})

    def renumbered(self, mailbox: str, uidvalidity: int) -> None:
        with self._writing(durable=True) as connection:
            self._under(connection, self._numbered(connection, mailboxes, mailbox), uidvalidity)

    def _under(
        self, connection: Connection, mailbox: int, uidvalidity: int, first_uid: int | None = None
    ) -> None:
        """The mailbox has this UIDVALIDITY now. Copies known under another have lost their UIDs. ``first_uid``: if it
        was not used before, no copy of ours has a lower UID, as far as a journal can know that: see
        ``unsure_from``."""
        was = connection.scalar(select(mailboxes.c.uidvalidity).where(mailboxes.c.id == mailbox))
        if was == uidvalidity:
            return
        connection.execute(update(mailboxes).where(mailboxes.c.id == mailbox).values(uidvalidity=uidvalidity))
        first_use = was is None and self._is_new
        self._set_origin(connection, mailbox, first_uid=first_uid if first_use else None)
        if was is not None:
            owns = or_(placements.c.uid.is_not(None), placements.c.claim)
            connection.execute(
                update(placements)
                .where(placements.c.mailbox == mailbox, placements.c.uidvalidity != uidvalidity, owns)
                .values(uidvalidity=uidvalidity, lower_bound=0, uid=None, claim=True)
            )

    def _set_origin(self, connection: Connection, mailbox: int, **facts: int | None) -> None:
        done = connection.execute(update(origins).where(origins.c.mailbox == mailbox).values(**facts))
        if not done.rowcount:
            connection.execute(insert(origins).values(mailbox=mailbox, **facts))

    def made(self, names: Sequence[str]) -> None:
        with self._writing() as connection:
            for name in names:
                self._set_origin(connection, self._numbered(connection, mailboxes, name), made=self._run)

    @property
    def missing(self) -> int:
        return self._missing

    def unsure_from(self, mailbox: str) -> int | None:
        with self._reading() as connection:
            began = connection.execute(_BEGAN, {"name": mailbox}).first()
        if began is None or began.uidvalidity is None:
            return None if self._is_new else 1
        return max(began.first_uid or 1, 1)

    # -- outcomes

    def settle(
        self, outcomes: Iterable[tuple[int, Outcome | Held | Moved]], *, durable: bool = False
    ) -> None:
        decided = {number: outcome for number, outcome in outcomes if not isinstance(outcome, Unknown)}
        if decided:
            with self._writing(durable=durable) as connection:
                self._settle(connection, decided)
        self._lock.touch()

    def _settle(self, connection: Connection, outcomes: Mapping[int, Outcome | Held | Moved]) -> None:
        rows = {
            row.id: row for some in chunked(outcomes) for row in connection.execute(_TO_SETTLE, {"ids": some})
        }
        taken = self._taken(connection, rows, outcomes)
        updates: list[dict[str, Any]] = []
        ready: list[int] = []
        reasons: dict[int, str] = {}
        for number, outcome in outcomes.items():
            row = rows.get(number)
            found_again = row is not None and row.state == HELD and isinstance(outcome, Moved)
            if row is None or not (row.claim or found_again):
                raise InternalError(f"placement {number} had its outcome before")
            if row.state != INTENDED and not (isinstance(outcome, Stored) or found_again):
                raise InternalError(f"placement {number} is {row.state}, and cannot become {outcome}")
            if isinstance(outcome, Refused | Held):
                reasons[row.message] = outcome.reason
            if isinstance(outcome, Refused) and outcome.again is not Again.NEVER:
                ready.append(number)
            else:
                updates.append(self._change(connection, row, outcome, taken))
        if updates:
            connection.execute(_UPDATE_PLACEMENT, updates)
        for some in chunked(ready):
            connection.execute(_DELETE_PLACEMENTS, {"ids": some})
        self._account(connection, {row.message for row in rows.values()}, reasons)

    def _change(
        self, connection: Connection, row: FoundRow, outcome: Outcome | Held | Moved, taken: set[_Owner]
    ) -> dict[str, Any]:
        """What becomes of the row of a placement. Adds to ``taken`` the UID it gets."""
        change = {
            "_id": row.id,
            "state": {INTENDED: STORED, HELD: PRESENT}.get(row.state, row.state),
            "claim": False,
            "uid": None,
            "mailbox": row.mailbox,
            "uidvalidity": row.uidvalidity,
        }
        match outcome:
            case Stored(uidvalidity=uidvalidity, uid=uid):
                owner = (row.mailbox, uidvalidity, uid)
                same = uidvalidity == row.uidvalidity
                if uid is not None and same and uid >= row.lower_bound and owner not in taken:
                    taken.add(owner)
                    change.update(uid=uid)
                else:
                    change.update(claim=True)
            case Moved(mailbox=mailbox, uidvalidity=uidvalidity, uid=uid):
                elsewhere = self._numbered(connection, mailboxes, mailbox)
                self._under(connection, elsewhere, uidvalidity)
                change.update(mailbox=elsewhere, uidvalidity=uidvalidity, uid=uid)
            case Refused():
                change.update(state=REFUSED)
            case Held():
                change.update(state=HELD)
        return change

    def _taken(
        self,
        connection: Connection,
        rows: Mapping[int, FoundRow],
        outcomes: Mapping[int, Outcome | Held | Moved],
    ) -> set[_Owner]:
        """Those of the UIDs in these outcomes that other placements own."""
        asked: dict[tuple[int, int], set[int]] = defaultdict(set)
        for number, row in rows.items():
            outcome = outcomes[number]
            if isinstance(outcome, Stored) and outcome.uid is not None:
                asked[row.mailbox, outcome.uidvalidity].add(outcome.uid)
        return {
            (owner.mailbox, owner.uidvalidity, owner.uid)
            for (mailbox, uidvalidity), uids in asked.items()
            for some in chunked(uids)
            for owner in connection.execute(
                _OWNERS, {"mailbox": mailbox, "uidvalidity": uidvalidity, "uids": some}
            )
        }

    def _account(self, connection: Connection, changed: Iterable[int], reasons: Mapping[int, str]) -> None:
        """Work out the accounts of these messages from the states of their placements."""
        rows: dict[int, list[FoundRow]] = defaultdict(list)
        for some in chunked(changed):
            for row in connection.execute(_STATES, {"ids": some}):
                rows[row.id].append(row)
        updates = []
        for message, its_rows in rows.items():
            copies, reason, subject, _ = its_rows[0][1:]
            account = account_of([row.state for row in its_rows if row.state], copies)
            updates.append(
                {
                    "_id": message,
                    "account": account.value,
                    "reason": reasons.get(message, reason)[:MOST_TEXT] if account in NAMED else "",
                    "subject": subject if account in NAMED else "",
                }
            )
        if updates:
            connection.execute(_SET_ACCOUNT, updates)

    # -- the run

    def finish_run(self, exit_code: ExitCode, counts: Mapping[str, int]) -> None:
        used = select(messages.c.why).union_all(select(messages.c.rules)).subquery()
        with self._writing(durable=True) as connection:
            connection.execute(
                update(runs)
                .where(runs.c.id == self._run)
                .values(ended=self._now(), exit_code=int(exit_code), counts=json.dumps(dict(counts)))
            )
            connection.execute(
                delete(texts).where(texts.c.id.not_in(select(used.c.why).where(used.c.why.is_not(None))))
            )
        self._numbers.clear()

    def close(self) -> None:
        with contextlib.suppress(SQLAlchemyError, OSError):
            self._connection.close()
        self._mark.close()
        self._lock.touch()
        self._lock.release()


def account_of(states: Sequence[str], copies: int) -> Account:
    """The account of a message with placements in these states, of which it is to have ``copies``. As long as a
    copy has no outcome the message is pending, so that the next run takes it up again."""
    if not {INTENDED, UNDOING}.isdisjoint(states) or len(states) < copies:
        return Account.PENDING
    for state in (HELD, REFUSED, STORED, PRESENT):
        if state in states:
            return ACCOUNT_OF[state]
    return Account.PENDING
