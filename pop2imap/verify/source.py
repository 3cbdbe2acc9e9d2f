"""A source as it is now beside what the journal says of it."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pop2imap.journal import Entry, JournalReader
from pop2imap.listed import LOOKUP, Chosen
from pop2imap.model import SETTLED, Account, Key, Message, Ref, Unread
from pop2imap.progress import Progress
from pop2imap.report import Count
from pop2imap.report.verified import Difference, Finding, VerifiedSource
from pop2imap.sources import Listing, Source
from pop2imap.verify.rewrites import suspects

NEW, UNNAMED = "new", "unnamed"
"""Words for what the journal does not know, and for what the source has no name for until it is read."""

WORDS = (*(account.value for account in Account), NEW, UNNAMED)


class SourceFound(NamedTuple):
    """What there is to say of a source. ``suspects`` has, for messages that were read, what in them servers change;
    only those in which there is anything."""

    report: VerifiedSource
    remarks: tuple[str, ...]
    problems: tuple[Difference, ...]
    suspects: dict[Key, tuple[str, ...]]


def look_at(
    source: Source, journal: JournalReader, *, full: bool, progress: Progress, stop: threading.Event
) -> SourceFound:
    """List ``source``, and with ``full`` read what the journal counts as settled. Changes nothing there; a POP3
    server may mark as read what is read. Raises what sources and journals raise."""
    remarks: list[str] = []
    try:
        source.open()
        listing = _list(source, progress)
        remarks += map(str, listing.remarks)
        counts, todo = _account_for(listing, journal, full=full)
        report = VerifiedSource(source.id, listing.complete, Count(len(listing.refs), listing.octets), counts)
        problems: list[Difference] = []
        odd: dict[Key, tuple[str, ...]] = {}
        if todo:
            progress.start(f"reading {source.id}", sum(ref.size for ref in todo), len(todo))
            for some in _portions(source, todo, progress, stop):
                report = _compare(report, some, journal, problems)
                odd.update((one.key, one.suspects) for one in some if one.key and one.suspects)
    finally:
        progress.finish()
        # no QUIT after bodies: some servers hide what was retrieved (QUIRK(Gmail))
        remarks += map(str, source.close(settled=not full))
    return SourceFound(report, tuple(f"{source.id}: {remark}" for remark in remarks), tuple(problems), odd)


def _list(source: Source, progress: Progress) -> Listing:
    progress.start(f"listing {source.id}", 0, 0)
    at = 0

    def listed(done: int, expected: int) -> None:
        nonlocal at
        progress.advance(*((done - at, 0) if source.lists_by == "octets" else (0, done - at)))
        at = done

    return source.list(listed)


def _account_for(listing: Listing, journal: JournalReader, *, full: bool) -> tuple[dict[str, int], Chosen]:
    """How many messages the journal has under each word, and which of them to read."""
    counts: Counter[str] = Counter()
    todo = Chosen(listing.refs)
    for start in range(0, len(listing.refs), LOOKUP):
        some = listing.refs[start : start + LOOKUP]
        entries = journal.lookup([ref.key for ref in some if ref.key is not None])
        for ref in some:
            entry = entries.get(ref.key) if ref.key is not None else None
            if ref.key is None:
                counts[UNNAMED] += not full  # else it is named when it was read
            else:
                counts[_word(entry)] += 1
            if full and (ref.key is None or (entry is not None and entry.account in SETTLED)):
                todo.add(ref)
    return {word: counts[word] for word in WORDS if counts[word]}, todo


def _word(entry: Entry | None) -> str:
    return entry.account.value if entry is not None else NEW


class _Read(NamedTuple):
    """What is kept of a message that was read, or was to be. ``digest`` None: it did not come. ``named``: only now."""

    key: Key | None
    digest: bytes | None
    size: int = 0
    suspects: tuple[str, ...] = ()
    named: bool = False


def _portions(
    source: Source, todo: Sequence[Ref], progress: Progress, stop: threading.Event
) -> Iterator[list[_Read]]:
    some: list[_Read] = []
    for ref, item in zip(todo, source.read(todo), strict=False):
        some.append(_kept(ref, item))
        progress.advance(ref.size, 1)
        if len(some) == LOOKUP or stop.is_set():
            yield some
            some = []
        if stop.is_set():
            return
    if some:
        yield some


def _kept(ref: Ref, item: Message | Unread) -> _Read:
    if isinstance(item, Unread):
        return _Read(item.key, None, named=ref.key is None)
    octets = item.octets
    return _Read(item.key, octets.digest, octets.size, suspects(octets), ref.key is None)


def _compare(
    report: VerifiedSource, some: Sequence[_Read], journal: JournalReader, problems: list[Difference]
) -> VerifiedSource:
    """``report`` with some more messages compared."""
    entries = journal.lookup([one.key for one in some if one.key is not None])
    counts = Counter(report.counts)
    read = different = unread = 0
    for one in some:
        entry = entries.get(one.key) if one.key is not None else None
        if one.named:
            counts[_word(entry) if one.key is not None else UNNAMED] += 1
        if one.key is None or one.digest is None:
            unread += 1
        elif entry is not None and entry.account in SETTLED:
            read += 1
            if entry.digest not in {None, one.digest}:
                different += 1
                problems.append(_changed(one.key, one, entry))
    return report._replace(
        counts={word: counts[word] for word in WORDS if counts[word]},
        read=report.read + read,
        different=report.different + different,
        unread=report.unread + unread,
    )


def _changed(key: Key, now: _Read, entry: Entry) -> Difference:
    return Difference(
        finding=Finding.DIFFERENT,
        source=key.source,
        key=str(key),
        date=entry.date,
        size=entry.size,
        folder="",
        uid=None,
        reason=f"the source gives other octets now ({now.size}) than those that were moved ({entry.size})",
        todo="see that the options of reading are those of the move (--keep-mbox-headers, --mbox-quoting); else keep "
        "the source until you have compared the two yourself, for pop2imap does not move it again",
    )
