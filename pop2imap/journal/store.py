"""The journal of one target account, open for writing: :class:`pop2imap.journal.Journal` over SQLite.

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
from sqlite3 import Connection, Error
from typing import Any, NamedTuple, TypeVar

from pop2imap import __version__
from pop2imap.errors import Again, ExitCode, InternalError
from pop2imap.journal import Held, Moved, Placement, Record, digest, place, sqlite, traffic
from pop2imap.journal import statements as say
from pop2imap.journal.facts import bring_up_to_date, check, examine, set_facts
from pop2imap.journal.mark import Mark, missing
from pop2imap.journal.place import directory
from pop2imap.journal.reading import ACCOUNT_OF, CHUNK, PROBLEMS, chunked, named, scalar
from pop2imap.journal.seals import with_seal
from pop2imap.journal.values import (
    FORMAT,
    HELD,
    INTENDED,
    PRESENT,
    REFUSED,
    REMOVING,
    STORED,
    UNDOING,
    seconds,
    storable,
)
from pop2imap.model import Account, Key, Outcome, Refused, Stored, Unknown

__all__ = ["SqlJournal", "directory", "open_journal"]

Now = Callable[[], datetime]

_Kind = TypeVar("_Kind", bound="SqlJournal")

NAMED = frozenset({Account.PENDING, *PROBLEMS})
"""Accounts whose messages a report may have to name, so that their subject is kept."""

_RULES = 10
"""Where the columns of a message, but for the first, have the number of the rules."""

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
        intact = digest.holds(path)
        with sqlite.storage_errors(path, examining=True):
            database = sqlite.writer(path)
            undo.callback(database.close)
            sqlite.durable(database, True)
            facts, new = _prepare(database, path, identity, now(), begun=begun, intact=intact)
        with sqlite.storage_errors(path):
            place.sync(where, where.parent, state_dir)
            journal = kind(database, path, lock, mark, facts, new, now)
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
    database: Connection, path: Path, identity: str, moment: datetime, *, begun: bool, intact: bool
) -> tuple[dict[str, str], bool]:
    """See that this is a journal, whole, of this target and of the newest schema. Returns what ``meta`` says, and
    whether there was none before. ``begun``: there must have been one."""
    with sqlite.transaction(database, _BEGIN):
        facts = examine(database, path, identity, intact=intact)
    if begun and not facts:
        raise sqlite.corrupt(path, sqlite.EMPTY)
    born = {"format": FORMAT, "identity": identity, "created": str(seconds(moment))}
    bring_up_to_date(database, int(facts.get("schema", "0")), born)
    with sqlite.transaction(database, _BEGIN):
        return check(database, path), not facts


_BEGIN = "BEGIN IMMEDIATE"

_Owner = tuple[int, int, int | None]
"""Mailbox, UIDVALIDITY and UID."""


class _Remembered(NamedTuple):
    """Messages whose rows are written: their ids, and which of these were there before."""

    ids: dict[Key, int]
    known: set[int]


class _Known(NamedTuple):
    """The row of a message."""

    id: int
    source: int
    name: str
    nth: int
    rules: int | None


class _ToSettle(NamedTuple):
    """The row of a placement."""

    id: int
    message: int
    mailbox: int
    state: str
    claim: int
    uidvalidity: int
    lower_bound: int


class SqlJournal(traffic.TrafficReader):
    """See :class:`pop2imap.journal.Journal`. Made by :func:`open_journal`."""

    def __init__(
        self,
        database: Connection,
        path: Path,
        lock: place.Lock,
        mark: Mark,
        facts: Mapping[str, str],
        new: bool,
        now: Now,
    ) -> None:
        super().__init__()
        self._database = database
        self._path = path
        self._lock = lock
        self._mark, self._id, self._commits = mark, facts["id"], int(facts["commits"])
        self._missing = missing(mark.read(), facts)
        self._is_new = new
        self._run = 0
        self._now = now
        self._waits_for_disk = True
        self._numbers: dict[tuple[str, str], int] = {}
        with sqlite.transaction(database, _BEGIN):
            self._last_id = {
                table: scalar(database, say.LAST_ID.format(table)) or 0
                for table in ("messages", "placements")
            }

    def begin_run(self, options_digest: str) -> None:
        """Write the row of this run. To be called once, before all else."""
        row = (seconds(self._now()), storable(options_digest), __version__, "{}")
        with self._writing(durable=True) as database:
            self._run = database.execute(say.BEGIN_RUN, row).lastrowid or 0

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
        with sqlite.storage_errors(self._path), sqlite.transaction(self._database, _BEGIN):
            yield self._database

    @contextlib.contextmanager
    def _writing(self, *, durable: bool = False) -> Iterator[Connection]:
        with sqlite.storage_errors(self._path):
            if durable != self._waits_for_disk:
                sqlite.durable(self._database, durable)
                self._waits_for_disk = durable
            try:
                with sqlite.transaction(self._database, _BEGIN):
                    yield self._database
                    if durable:
                        self._database.execute(say.COUNT_COMMIT, (str(self._commits + 1),))
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
            with self._writing() as database:
                self._remember(database, some)

    def _remember(
        self, database: Connection, records: Sequence[Record], account: Account | None = None
    ) -> _Remembered:
        """Insert or replace the rows of these messages."""
        rows = {record.key: self._message_row(database, record, account) for record in records}
        known = self._known_messages(database, rows)
        fresh = [key for key in rows if key not in known]
        ids = dict(zip(fresh, self._next_ids("messages", len(fresh)), strict=True))
        database.executemany(say.ADD_MESSAGE, [with_seal((ids[key], *rows[key])) for key in fresh])
        if known:
            database.executemany(say.CHANGE_MESSAGE, [(*rows[key], old.id) for key, old in known.items()])
            decided_anew = [
                old.id for key, old in known.items() if rows[key][_RULES] not in {None, old.rules}
            ]
            for some in chunked(decided_anew):
                database.execute(say.among(say.FORGET_REFUSALS, len(some)), some)
            ids.update((key, old.id) for key, old in known.items())
        homes = [
            with_seal(
                (
                    storable(home.maildrop),
                    storable(home.uidl),
                    ids[record.key],
                    int(home.deleted),
                    int(home.partial),
                )
            )
            for record in records
            if (home := record.home) is not None
        ]
        if homes:
            database.executemany(say.ADD_HOME, homes)
        return _Remembered(ids, {row.id for row in known.values()})

    def fetched(self, maildrop: str, uidls: Iterable[str]) -> None:
        for some in chunked(uidls):
            with self._writing() as database:
                rows = [(storable(maildrop), storable(uidl)) for uidl in some]
                database.executemany(say.ADD_FETCHED, rows)

    def _known_messages(self, database: Connection, keys: Iterable[Key]) -> dict[Key, _Known]:
        by_source: dict[str, list[Key]] = defaultdict(list)
        for key in keys:
            by_source[key.source].append(key)
        found: dict[Key, _Known] = {}
        for source, its_keys in by_source.items():
            number = self._numbered(database, "sources", source)
            for some in chunked(its_keys):
                wanted = {(storable(key.name), key.nth): key for key in some}
                for row in named(database, say.KNOWN_MESSAGES, number, wanted):
                    if (its := wanted.get((row[2], row[3]))) is not None:
                        found[its] = _Known(*row)
        return found

    def _message_row(self, database: Connection, record: Record, account: Account | None) -> tuple[Any, ...]:
        """All columns but the first."""
        key, account, date = record.key, account or record.account, record.date
        return (
            self._numbered(database, "sources", key.source),
            storable(key.name),
            key.nth,
            account.value,
            record.size,
            record.digest,
            None if date is None else seconds(date),
            record.date_from.name if record.date_from else None,
            record.copies,
            self._text(database, record.why),
            self._text(database, record.rules_digest),
            storable(record.reason[:MOST_TEXT]),
            storable(record.subject[:MOST_TEXT]) if account in NAMED else "",
            self._run,
        )

    def _text(self, database: Connection, text: str) -> int | None:
        return self._numbered(database, "texts", text[:MOST_TEXT]) if text else None

    def _next_ids(self, table: str, count: int) -> range:
        """So many ids that this run has not used, ascending. There is one writer, so it can count by itself."""
        first = self._last_id[table] + 1
        self._last_id[table] += count
        return range(first, first + count)

    def _numbered(self, database: Connection, table: str, name: str) -> int:
        """The number of a name, which is given one if it has none."""
        number = self._numbers.get((table, name))
        if number is None:
            number = self._number(database, table, name)
            if number is None:
                number = database.execute(say.ADD_NAME.format(table), (storable(name),)).lastrowid or 0
            if len(self._numbers) >= CHUNK:
                self._numbers.clear()
            self._numbers[table, name] = number
        return number

    def rebind(self, old: Key, new: Key) -> None:
        with self._writing() as database:
            found = self._known_messages(database, {old, new})
            if old not in found:
                raise InternalError(f"no message is known as {old}")
            if (taken := found.get(new)) is not None and new != old:
                if scalar(database, say.among(say.COPIES, 1), taken.id) is not None:
                    raise InternalError(f"{new} is known already")
                database.execute(say.DELETE_MESSAGE, (taken.id,))
            source = self._numbered(database, "sources", new.source)
            database.execute(
                say.RENAME_MESSAGE, (source, storable(new.name), new.nth, self._run, found[old].id)
            )

    def begin_removing(self, keys: Sequence[Key]) -> None:
        with self._writing(durable=True) as database:
            set_facts(database, {REMOVING: json.dumps([(key.source, key.name) for key in keys])})

    def remove(self, keys: Sequence[Key]) -> None:
        with self._writing(durable=True) as database:
            database.execute(say.FORGET_FACT, (REMOVING,))
            found = self._known_messages(database, keys)
            if missing := [key for key in keys if key not in found]:
                raise InternalError(f"no message is known as {missing[0]}")
            lowest: dict[tuple[int, str], int] = {}
            names: dict[int, list[str]] = defaultdict(list)
            for row in found.values():
                names[row.source].append(row.name)
            for source, its_names in names.items():
                for some in chunked(its_names):
                    rows = database.execute(say.among(say.LOWEST, len(some)), (source, *some))
                    lowest.update({(source, name): min(nth, 0) for name, nth in rows})
            updates = []
            for row in found.values():
                lowest[row.source, row.name] -= 1
                updates.append((lowest[row.source, row.name], self._run, row.id))
            database.executemany(say.REMOVE_MESSAGE, updates)

    # -- placements

    def intend(self, records: Sequence[Record], placements: Sequence[Placement]) -> list[int]:
        with self._writing(durable=True) as database:
            remembered = self._remember(database, records, Account.PENDING)
            added = self._place(database, remembered, placements, INTENDED, [None] * len(placements))
            traffic.add(database, traffic.TARGET, sum(one.size for one in placements), self._now())
        self._lock.touch()
        return added

    def present(self, record: Record, placement: Placement, uid: int | None) -> None:
        with self._writing() as database:
            remembered = self._remember(database, [record])
            self._place(database, remembered, [placement], PRESENT, [uid])
            self._account(database, remembered.ids.values(), {})

    def adopt(self, records: Sequence[Record], found: Sequence[tuple[Placement, int]]) -> None:
        with self._writing(durable=True) as database:
            remembered = self._remember(database, records, Account.PENDING)
            copies = [copy for copy, _ in found]
            self._place(database, remembered, copies, PRESENT, [uid for _, uid in found], adopted=True)
            self._account(database, remembered.ids.values(), {})
        self._lock.touch()

    def _place(
        self,
        database: Connection,
        remembered: _Remembered,
        new: Sequence[Placement],
        state: str,
        uids: Sequence[int | None],
        *,
        adopted: bool = False,
    ) -> list[int]:
        """Insert placements of these messages, in place of refused and held ones of the same folder. ``adopted``: they
        are there, so two of a message may be in one mailbox."""
        numbers = self._next_ids("placements", len(new))
        rows = []
        for number, one, uid in zip(numbers, new, uids, strict=True):
            message = remembered.ids.get(one.key)
            if message is None:
                raise InternalError("a placement came without the record of its message")
            rows.append(
                (
                    number,
                    message,
                    self._numbered(database, "folders", one.folder),
                    self._numbered(database, "mailboxes", one.mailbox),
                    state,
                    int(state == INTENDED),
                    one.uidvalidity,
                    one.lower_bound,
                    uid,
                    one.match_digest,
                    one.size,
                    seconds(one.date),
                    storable(" ".join(one.flags)),
                    self._run,
                    storable(" ".join(one.repairs)),
                )
            )
        where = [(message, folder, mailbox) for _, message, folder, mailbox, *_ in rows]
        self._make_room(database, remembered.known, new, where, adopted=adopted)
        lowest: dict[tuple[int, int], int] = {}
        for (_, _, mailbox), one in zip(where, new, strict=True):
            under = (mailbox, one.uidvalidity)
            lowest[under] = min(lowest.get(under, one.lower_bound), one.lower_bound)
        for (mailbox, uidvalidity), first in lowest.items():
            self._under(database, mailbox, uidvalidity, first)
        database.executemany(say.ADD_PLACEMENT, map(with_seal, rows))
        return list(numbers)

    def _make_room(
        self,
        database: Connection,
        known: Collection[int],
        new: Sequence[Placement],
        where: Sequence[tuple[int, int, int]],
        *,
        adopted: bool,
    ) -> None:
        """Delete what the new rows replace. Raises InternalError for what would become a second copy. ``where``:
        message, folder and mailbox of each."""
        old: dict[int, list[tuple[int, int, int, str]]] = defaultdict(list)
        for some in chunked(known):
            for number, message, *copy in database.execute(say.among(say.COPIES, len(some)), some):
                old[message].append((number, *copy))
        gone: list[int] = []
        seen: set[tuple[int, int]] = set()
        for one, (message, folder, mailbox) in zip(new, where, strict=True):
            place = (message, folder if adopted else mailbox)
            if place in seen:
                raise InternalError(f"{one.key} was to go to {one.mailbox} twice")
            seen.add(place)
            for number, its_folder, its_mailbox, state in old.get(message, ()):
                if its_folder != folder and (adopted or its_mailbox != mailbox):
                    continue
                if state not in {REFUSED, HELD}:
                    raise InternalError(f"{one.key} is {state} in {one.folder} already")
                gone.append(number)
        for some in chunked(gone):
            database.execute(say.among(say.DELETE_PLACEMENTS, len(some)), some)

    def renumbered(self, mailbox: str, uidvalidity: int) -> None:
        with self._writing(durable=True) as database:
            self._under(database, self._numbered(database, "mailboxes", mailbox), uidvalidity)

    def _under(
        self, database: Connection, mailbox: int, uidvalidity: int, first_uid: int | None = None
    ) -> None:
        """The mailbox has this UIDVALIDITY now. Copies known under another have lost their UIDs. ``first_uid``: if it
        was not used before, no copy of ours has a lower UID, as far as a journal can know that: see
        ``unsure_from``."""
        was = scalar(database, say.UIDVALIDITY, mailbox)
        if was == uidvalidity:
            return
        database.execute(say.SET_UIDVALIDITY, (uidvalidity, mailbox))
        first = first_uid if was is None and self._is_new else None
        if not database.execute(say.SET_FIRST_UID, (first, mailbox)).rowcount:
            database.execute(say.ADD_FIRST_UID, (first, mailbox))
        if was is not None:
            database.execute(say.LOSE_UIDS, (uidvalidity, mailbox, uidvalidity))

    def made(self, names: Sequence[str]) -> None:
        with self._writing() as database:
            for name in names:
                row = (self._run, self._numbered(database, "mailboxes", name))
                if not database.execute(say.SET_MADE, row).rowcount:
                    database.execute(say.ADD_MADE, row)

    @property
    def missing(self) -> int:
        return self._missing

    def unsure_from(self, mailbox: str) -> int | None:
        with self._reading() as database:
            began = database.execute(say.BEGAN, (storable(mailbox),)).fetchone()
        if began is None or began[0] is None:
            return None if self._is_new else 1
        return max(began[1] or 1, 1)

    def carried(self, name: str, octets: int) -> None:
        with self._writing(durable=True) as database:
            traffic.add(database, name, octets, self._now())

    # -- outcomes

    def settle(
        self, outcomes: Iterable[tuple[int, Outcome | Held | Moved]], *, durable: bool = False
    ) -> None:
        decided = {number: outcome for number, outcome in outcomes if not isinstance(outcome, Unknown)}
        if decided:
            with self._writing(durable=durable) as database:
                self._settle(database, decided)
        self._lock.touch()

    def _settle(self, database: Connection, outcomes: Mapping[int, Outcome | Held | Moved]) -> None:
        rows = {
            row[0]: _ToSettle(*row)
            for some in chunked(outcomes)
            for row in database.execute(say.among(say.TO_SETTLE, len(some)), some)
        }
        taken = self._taken(database, rows, outcomes)
        updates: list[tuple[Any, ...]] = []
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
                updates.append(self._change(database, row, outcome, taken))
        database.executemany(say.SET_OUTCOME, updates)
        for some in chunked(ready):
            database.execute(say.among(say.DELETE_PLACEMENTS, len(some)), some)
        self._account(database, {row.message for row in rows.values()}, reasons)

    def _change(
        self, database: Connection, row: _ToSettle, outcome: Outcome | Held | Moved, taken: set[_Owner]
    ) -> tuple[Any, ...]:
        """What becomes of the row of a placement: the values of ``SET_OUTCOME``. Adds to ``taken`` the UID it gets."""
        place = (row.mailbox, row.uidvalidity, row.id)
        match outcome:
            case Stored(uidvalidity=uidvalidity, uid=uid):
                state = {INTENDED: STORED, HELD: PRESENT}.get(row.state, row.state)
                owner = (row.mailbox, uidvalidity, uid)
                same = uidvalidity == row.uidvalidity
                if uid is not None and same and uid >= row.lower_bound and owner not in taken:
                    taken.add(owner)
                    return state, False, uid, *place
                return state, True, None, *place
            case Moved(mailbox=mailbox, uidvalidity=uidvalidity, uid=uid):
                state = {INTENDED: STORED, HELD: PRESENT}.get(row.state, row.state)
                elsewhere = self._numbered(database, "mailboxes", mailbox)
                self._under(database, elsewhere, uidvalidity)
                return state, False, uid, elsewhere, uidvalidity, row.id
            case Refused():
                return REFUSED, False, None, *place
            case _:
                return HELD, False, None, *place

    def _taken(
        self,
        database: Connection,
        rows: Mapping[int, _ToSettle],
        outcomes: Mapping[int, Outcome | Held | Moved],
    ) -> set[_Owner]:
        """Those of the UIDs in these outcomes that other placements own."""
        asked: dict[tuple[int, int], set[int]] = defaultdict(set)
        for number, row in rows.items():
            outcome = outcomes[number]
            if isinstance(outcome, Stored) and outcome.uid is not None:
                asked[row.mailbox, outcome.uidvalidity].add(outcome.uid)
        return {
            (mailbox, uidvalidity, uid)
            for (mailbox, uidvalidity), uids in asked.items()
            for some in chunked(uids)
            for (uid,) in database.execute(say.among(say.OWNERS, len(some)), (mailbox, uidvalidity, *some))
        }

    def _account(self, database: Connection, changed: Iterable[int], reasons: Mapping[int, str]) -> None:
        """Work out the accounts of these messages from the states of their placements."""
        facts: dict[int, tuple[int, str, str]] = {}
        states: dict[int, list[str]] = defaultdict(list)
        for some in chunked(changed):
            for message, copies, reason, subject, state in database.execute(
                say.among(say.STATES, len(some)), some
            ):
                facts[message] = copies, reason, subject
                if state:
                    states[message].append(state)
        updates = []
        for message, (copies, reason, subject) in facts.items():
            account = account_of(states.get(message, ()), copies)
            if account in NAMED:
                reason = storable(reasons.get(message, reason)[:MOST_TEXT])
                updates.append((account.value, reason, subject, message))
            else:
                updates.append((account.value, "", "", message))
        database.executemany(say.SET_ACCOUNT, updates)

    # -- the run

    def finish_run(self, exit_code: ExitCode, counts: Mapping[str, int]) -> None:
        row = (seconds(self._now()), int(exit_code), json.dumps(dict(counts)), self._run)
        with self._writing(durable=True) as database:
            database.execute(say.END_RUN, row)
            database.execute(say.FORGET_TEXTS)
        self._numbers.clear()

    def close(self) -> None:
        with contextlib.suppress(Error, OSError):
            self._database.close()
            digest.note(self._path)
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
