"""The messages of a source that come into question for being deleted, and what the source gives of them now."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from pop2imap.deletion.fates import Fates
from pop2imap.errors import NotFinished
from pop2imap.journal import Entry, JournalReader
from pop2imap.journal.store import SqlJournal
from pop2imap.listed import LOOKUP, Chosen
from pop2imap.model import SETTLED, Account, Key, Message, Ref
from pop2imap.progress import Progress
from pop2imap.report.deleted import Fate
from pop2imap.sources import Listing, Source
from pop2imap.text import printable

_BY_ACCOUNT = {Account.PENDING: Fate.NEW, Account.SKIPPED: Fate.SKIPPED}


class Choice(NamedTuple):
    """Which messages: those that are older than ``older_than``, ``limit`` of them at most. ``also_rewritten``: also
    those that the target's server has rewritten in known ways."""

    older_than: timedelta | None = None
    limit: int | None = None
    also_rewritten: bool = False


class Ready(NamedTuple):
    """A message that may be deleted. ``position`` and ``listed`` (its size) are those of the listing in which it was
    compared; ``digest``, ``date`` and ``size`` are the journal's."""

    position: int
    listed: int
    digest: bytes | None
    date: datetime | None
    size: int


def catch_up(journal: SqlJournal, source: Source, listing: Listing) -> None:
    """Note in the journal what an earlier run has deleted, and did not live to note. Raises NotFinished if that was at
    another source."""
    if not (begun := journal.removing()):
        return
    if begun[0].source != source.id:
        raise NotFinished(
            "a deletion there did not come to its end",
            where=printable(begun[0].source),
            todo="run that pop2imap delete-source again first: it finds out what is gone",
        )
    listed = {ref.key for ref in listing.refs}
    journal.remove([key for key in journal.lookup(begun) if key not in listed])


class Candidates:
    """The candidates of one listing, whose ``fates`` are told what becomes of the others. ``started``: from when ages
    are counted back."""

    def __init__(self, journal: JournalReader, choice: Choice, started: datetime, fates: Fates) -> None:
        self._journal, self._choice, self._started, self._fates = journal, choice, started, fates

    def of(self, listing: Listing) -> Chosen:
        """The messages to read. All others have their fate."""
        todo = Chosen(listing.refs)
        shared = {ref.key.name for ref in listing.refs if ref.key is not None and ref.key.nth}
        for start in range(0, len(listing.refs), LOOKUP):
            some = listing.refs[start : start + LOOKUP]
            entries = self._journal.lookup([ref.key for ref in some if ref.key is not None])
            for ref in some:
                entry = entries.get(ref.key) if ref.key is not None else None
                if ref.key is None:
                    self._fates.put(ref.position, Fate.UNNAMED, "the server gives it no name that lasts")
                elif entry is None or entry.account not in SETTLED:
                    account = entry.account if entry is not None else Account.PENDING
                    fate = _BY_ACCOUNT.get(account, Fate.PROBLEM)
                    date, reason = (entry.date, f"{account.value}: {entry.reason}") if entry else (None, "")
                    self._fates.put(ref.position, fate, reason, date=date)
                elif ref.key.name in shared:
                    self._fates.put(ref.position, Fate.UNNAMED, "it shares its UIDL with another message")
                elif not self._is_old(entry):
                    self._fates.put(ref.position, Fate.YOUNGER)
                elif self._choice.limit is not None and len(todo) >= self._choice.limit:
                    self._fates.put(ref.position, Fate.LATER)
                else:
                    todo.add(ref)
        return todo

    def _is_old(self, entry: Entry) -> bool:
        age = self._choice.older_than
        return age is None or (entry.date is not None and entry.date <= self._started - age)

    def read(
        self, source: Source, todo: Sequence[Ref], progress: Progress
    ) -> Iterator[tuple[str, Ready, Entry]]:
        """Read the candidates whole. Those that have the octets that the journal knows: UIDL, what to remember, and
        what the journal knows. All others have their fate."""
        entries: dict[Key, Entry] = {}
        for at, (ref, item) in enumerate(zip(todo, source.read(todo), strict=True)):
            if at % LOOKUP == 0:
                keys = [one.key for one in todo[at : at + LOOKUP] if one.key is not None]
                entries = self._journal.lookup(keys)
            progress.advance(ref.size, 1)
            assert ref.key is not None
            entry = entries[ref.key]
            if not isinstance(item, Message):
                fate, reason = Fate.UNCHECKED, item.reason
            elif item.octets.digest != entry.digest:
                fate = Fate.DIFFERENT
                reason = f"the source gives other octets ({item.octets.size}) than those that were moved ({entry.size})"
            else:
                yield ref.key.name, Ready(ref.position, ref.size, entry.digest, entry.date, entry.size), entry
                continue
            self._fates.put(ref.position, fate, reason, date=entry.date, size=entry.size)
