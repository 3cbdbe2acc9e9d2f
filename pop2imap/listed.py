"""One listing of one source, less what is settled: the part of the way that plan and migration share."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, overload

from pop2imap.decide import Decider, decided_by
from pop2imap.errors import NotFinished, Pop2imapError, SourceDataError
from pop2imap.journal import Entry, JournalReader, Settled
from pop2imap.journal.values import seconds
from pop2imap.model import SETTLED, Account, Key, Ref
from pop2imap.options import Options
from pop2imap.progress import Progress
from pop2imap.quarantine import Quarantine
from pop2imap.report import PROBLEMS
from pop2imap.report.builder import ReportBuilder, SourceLedger
from pop2imap.rules import Rules
from pop2imap.sources import Listing, Source

LOOKUP = 1000
"""Keys that the journal is asked for at once."""

RENUMBERED = 0.2
SAME_COUNT = 0.8
RENUMBERED_FROM = 10
"""More than this share of the known UIDLs is gone (of at least ten), and the listing is about as long as it was:
then the server has probably given its messages new UIDLs (a maildrop restored, moved or rebuilt)."""


class Chosen(Sequence[Ref]):
    """Some refs of a listing, kept by position: eight octets each, since a listing may be long."""

    def __init__(self, refs: Sequence[Ref]) -> None:
        self._refs = refs
        self.positions = array("q")
        self.octets = 0
        """Their sizes, by the listing, in all."""
        self.unnamed = 0
        """How many of them have no key yet."""

    def add(self, ref: Ref) -> None:
        self.positions.append(ref.position)
        self.octets += ref.size
        self.unnamed += ref.key is None

    def __len__(self) -> int:
        return len(self.positions)

    @overload
    def __getitem__(self, index: int) -> Ref: ...
    @overload
    def __getitem__(self, index: slice) -> Chosen: ...
    def __getitem__(self, index: int | slice) -> Ref | Chosen:
        if not isinstance(index, slice):
            return self._refs[self.positions[index] - 1]
        some = Chosen(self._refs)
        for position in self.positions[index]:
            some.add(self._refs[position - 1])
        return some

    def __iter__(self) -> Iterator[Ref]:
        refs = self._refs
        return (refs[position - 1] for position in self.positions)


@dataclass(slots=True)
class Listed:
    """``todo`` is what still has to be read, ``entries`` what the journal knows of some of that. ``vanished``
    counts settled keys that a complete listing no longer shows."""

    listing: Listing
    ledger: SourceLedger
    decider: Decider
    todo: Chosen
    entries: dict[Key, Entry] = field(default_factory=dict)
    vanished: int = 0

    def rest_is_pending(self) -> None:
        """Whatever has no account by now is pending."""
        self.ledger.rest_is_pending()

    def names(self) -> set[Key]:
        """Every key of the listing."""
        return {ref.key for ref in self.listing.refs if ref.key is not None}


@contextmanager
def costs_itself_alone(source: Source, of: Sequence[Source], builder: ReportBuilder) -> Iterator[None]:
    """Where ``source``, one of several, cannot be had at all, it is lost, and no more than that."""
    try:
        yield
    except SourceDataError as error:
        if len(of) == 1 or builder.has(source.id):
            raise
        builder.lost(source.id, error)


def list_source(
    source: Source,
    *,
    rules: Rules,
    rules_digest: str,
    options: Options,
    journal: JournalReader | None,
    run_start: datetime,
    builder: ReportBuilder,
    progress: Progress,
    compare_placed: bool,
    quarantine: Quarantine | None = None,
) -> Listed:
    """List ``source`` and account for all that needs no reading, since the ``journal`` knows it.
    ``compare_placed``: read also what is settled, but was placed by other rules. ``quarantine``:
    read also what was refused and is not in there.

    Raises NotFinished where the server seems to have renumbered its messages, unless
    ``options.accept_renumbered``.
    """
    known = journal.known(source.id) if journal else 0
    listing = source.list(_Told(progress, source))
    progress.finish()
    builder.source_remarks(source.id, listing.remarks)
    ledger = builder.begin(source.id, listing.refs, complete=listing.complete)
    listed = Listed(listing, ledger, Decider(rules, options, source.folder, run_start), Chosen(listing.refs))
    try:
        found, other_rules = _drop_settled(
            listed,
            source.id,
            rules_digest,
            journal,
            builder,
            Wanted(options, quarantine),
            compare_placed=compare_placed,
        )
        listed.vanished = max(known - found, 0) if listing.complete else 0
        if source.kind == "pop3" and not listed.todo.unnamed and not options.accept_renumbered:
            _ask_if_renumbered(source.id, known, listed.vanished, len(listing.refs))
    except Pop2imapError:
        listed.rest_is_pending()
        raise
    if other_rules and not compare_placed:
        builder.remark(
            f"{other_rules} messages of {source.id} were placed by other rules or options, or lay in other folders at "
            "home, and stay where they are; a plan says how many would be put elsewhere today"
        )
    return listed


class _Told:
    """Progress of a listing, which is told in totals, as progress that is told in steps."""

    def __init__(self, progress: Progress, source: Source) -> None:
        self._progress, self._by_octets = progress, source.lists_by == "octets"
        self._doing = f"listing {source.id}"
        self._done = self._expected = 0
        progress.start(self._doing, 0, 0)

    def __call__(self, done: int, expected: int) -> None:
        if not self._expected and expected:
            self._expected = expected
            self._progress.start(self._doing, *((expected, 0) if self._by_octets else (0, expected)))
        step, self._done = done - self._done, done
        self._progress.advance(*((step, 0) if self._by_octets else (0, step)))


def _drop_settled(
    listed: Listed,
    source: str,
    rules_digest: str,
    journal: JournalReader | None,
    builder: ReportBuilder,
    wanted: Wanted,
    *,
    compare_placed: bool,
) -> tuple[int, int]:
    """Account for what needs no reading. Returns how many are settled, and how many of these by other rules. One pass
    over each ref, by far the hottest of a second run, and so whole."""
    found = other_rules = 0
    refs, put = listed.listing.refs, listed.ledger.put
    rules = rules_digest if compare_placed else None
    in_short = journal is not None and not journal.any_repaired
    for start in range(0, len(refs), LOOKUP):
        chunk = list(refs[start : start + LOOKUP])
        settled, entries = _known(journal, chunk, rules, in_short=in_short)
        for ref in chunk:
            if ref.key is None:
                listed.todo.add(ref)
                continue
            by = decided_by(rules_digest, ref.place)
            if (known := settled.get(ref.key)) is not None:
                listed.decider.remember(ref.position, known.seconds)
                found += 1
                other_rules += known.rules_digest != by
                put(ref.position, known.account, known.size or ref.size)
                continue
            entry = entries.get(ref.key)
            if entry is None:
                if wanted(entry, by):
                    listed.todo.add(ref)
                continue
            listed.decider.remember(ref.position, seconds(entry.date) if entry.date else None)
            if entry.account in SETTLED:
                found += 1
                by_others = entry.rules_digest != by
                other_rules += by_others
                read = compare_placed and by_others
            else:
                read = wanted(entry, by)
            if read:
                listed.entries[ref.key] = entry
                listed.todo.add(ref)
                continue
            size = entry.size or ref.size
            put(ref.position, entry.account, size)
            if entry.repairs or entry.account in PROBLEMS:
                _tell(builder, source, ref, ref.key, entry, size, wanted.saved(entry.digest))
    return found, other_rules


def _known(
    journal: JournalReader | None, refs: Sequence[Ref], rules: str | None, *, in_short: bool
) -> tuple[dict[Key, Settled], dict[Key, Entry]]:
    """What the journal knows of these refs: ``in_short`` of what is settled (by these ``rules``; None: by any), and all
    of the rest."""
    keys = {ref.key: ref.place for ref in refs if ref.key is not None}
    if journal is None:
        return {}, {}
    settled = journal.settled(list(keys)) if in_short else {}
    if rules is not None:
        settled = {
            key: one for key, one in settled.items() if one.rules_digest == decided_by(rules, keys[key])
        }
    rest = [key for key in keys if key not in settled]
    return settled, journal.lookup(rest) if rest else {}


def _tell(
    builder: ReportBuilder, source: str, ref: Ref, key: Key, entry: Entry, size: int, saved: Path | None
) -> None:
    """What the report has to say of a message that is not read again."""
    builder.repaired(source, key, size, entry.repairs, saved)
    builder.problem(
        entry.account,
        source,
        ref.position,
        key,
        entry.reason,
        date=entry.date,
        subject=entry.subject,
        size=size,
        saved=saved,
    )


class Wanted(NamedTuple):
    """Which messages a run takes up: what is not settled, nor refused or held, which only a person can change, nor
    skipped by these very rules. With ``retry_refused``, what was refused, and nothing else."""

    options: Options
    quarantine: Quarantine | None

    def __call__(self, entry: Entry | None, by: str) -> bool:
        """Whether a message of which the journal knows this is to be read. ``by``: see ``decide.decided_by``."""
        if self.options.retry_refused:
            return entry is not None and self.tries(entry.account)
        if entry is None or self.tries(entry.account):
            return True
        match entry.account:
            case Account.SKIPPED:
                return entry.rules_digest != by
            case Account.REFUSED:
                return self.quarantine is not None and self.quarantine.find(entry.digest) is None
            case account:
                return account not in SETTLED and account is not Account.HELD

    def leaves(self, entry: Entry | None, by: str) -> bool:
        """Whether a message that was read, since its source could not name it before, is none of this run's."""
        return self.options.retry_refused and not self(entry, by)

    def tries(self, account: Account) -> bool:
        """See :func:`tries`."""
        return tries(self.options, account)

    def saved(self, digest: bytes | None) -> Path | None:
        """Where the message with this SHA-256 is kept, if it is."""
        return self.quarantine.find(digest) if self.quarantine else None


def tries(options: Options, account: Account) -> bool:
    """Whether a copy that stands so is sent again."""
    if account is Account.HELD:
        return options.on_held == "retry"
    return account is Account.REFUSED and options.retry_refused


def _ask_if_renumbered(source: str, known: int, vanished: int, listed: int) -> None:
    if known >= RENUMBERED_FROM and vanished > RENUMBERED * known and listed >= SAME_COUNT * known:
        raise NotFinished(
            f"{vanished} of the {known} messages moved before are no longer listed under their UIDL, and the "
            f"maildrop lists {listed}: the server seems to have given its messages new UIDLs",
            where=source,
            todo="run again with --accept-renumbered: every message is then read and compared by its octets, "
            "and what was moved before is not moved again",
        )


class Renamed:
    """Finds the settled message that a new key stands for: same source, same octets, and its own UIDL no longer
    listed (QUIRK(Dovecot): UIDLs change with UIDVALIDITY; others when a maildrop is moved). Each old name is given
    away once. A message without UIDL has the name of its octets: of two equal ones, the second is no new name of the
    first.

    What we deleted at the source has not vanished: it stands for a message that is listed under its own name again,
    as after a backup was brought back, and for no other."""

    def __init__(self, source: str, listed: Listed, journal: JournalReader) -> None:
        self._source, self._listed, self._journal = source, listed, journal
        self._removed = journal.removed(source)
        self._names: set[Key] | None = None

    def __call__(self, key: Key, digest: bytes) -> Key | None:
        if not (self._listed.vanished or self._removed):
            return None
        for old in self._journal.same_octets(self._source, digest):
            if old.nth < 0:
                if old.name == key.name:
                    return old
                continue
            if self._names is None:
                self._names = self._listed.names()
            if self._listed.vanished and old.name != key.name and old not in self._names:
                return old
        return None
