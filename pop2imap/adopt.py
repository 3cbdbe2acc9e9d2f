"""What the target holds already, written into the journal: for a journal that was lost, or is older than the mailbox.

::

    open target ── recover what an earlier run left in doubt ── find out what the journal knows already
      look for what is held
      for each source:
        open ── list ── drop what is known ── read ── decide ── look for it in the target ── note what was found
    report

Nothing is sent, and nothing is deleted: afterwards ``migrate`` moves what was not found, and that alone. A copy that is
found is *present*, never *stored*, also if the journal had it as held: nobody knows who put it there, and what is not
known to be ours is not ours to take away again.

Messages are looked for a portion at a time, and what was found is durable after each. So it may be killed anywhere: the
next run goes on from there. Only what was found nowhere has to be read again.

A dry run does all of it with a copy of the journal that is thrown away. This file stays whole: it is one account from
start to end, as :mod:`pop2imap.migrate` is.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from pop2imap.decide import Decided
from pop2imap.errors import ConnectionLost, NotFinished, Pop2imapError
from pop2imap.job import Job
from pop2imap.journal import Entry, Moved, Placement, Record
from pop2imap.journal.history import read_history
from pop2imap.journal.store import SqlJournal, open_journal
from pop2imap.listed import Chosen, Listed, Renamed, list_source
from pop2imap.model import SETTLED, Account, Key, Ref, Unread
from pop2imap.pipeline import Stop, pause
from pop2imap.placing import record_of
from pop2imap.progress import Progress
from pop2imap.recovery import recover, refuse_half_undone
from pop2imap.report import Count
from pop2imap.report.adopted import AdoptedFolder, AdoptReport, after_search
from pop2imap.report.builder import ReportBuilder
from pop2imap.sameness import refuse_same
from pop2imap.seeking import Search, Seeker, Wanted, search_for
from pop2imap.sources import Source
from pop2imap.verify.places import PAUSES, Places

PORTION = 1000
"""Messages that are looked for at once."""

Now = Callable[[], datetime]


def adopt(
    job: Job,
    progress: Progress,
    stop: threading.Event,
    *,
    now: Now = lambda: datetime.now(UTC),
    sleep: Callable[[float], None] = time.sleep,
) -> AdoptReport:
    """Find in the target what the sources list and the journal does not know, and what it has as held. What ended it
    early is in the report. ``job.options.full``: reads all that could be it.

    Raises LocalIOError, JournalCorrupt, JournalTooNew, JournalLocked if there is no journal to write to.
    """
    started = now()
    with _journal(job) as journal:
        adoption = _Adoption(job, journal, progress, stop, now, sleep, started)
        adoption.run()
        report = adoption.report()
        journal.finish_run(report.exit_code, {"adopted": report.found.messages})
        return report


@contextmanager
def _journal(job: Job) -> Iterator[SqlJournal]:
    """The journal, or for a dry run a copy of it."""
    state_dir, identity = job.options.state_dir, job.target.identity
    with ExitStack() as stack:
        if job.dry_run:
            history = read_history(state_dir, identity)
            state_dir = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pop2imap-")))
            if history is not None:
                with closing(history):
                    history.copy_to(state_dir, identity)
        journal = stack.enter_context(closing(open_journal(state_dir, identity)))
        if job.dry_run:
            shutil.rmtree(
                state_dir
            )  # its open files are enough, and nothing is left behind however this ends
        yield journal


class _Adoption:
    """One look for what is known, under way."""

    def __init__(
        self,
        job: Job,
        journal: SqlJournal,
        progress: Progress,
        stop: threading.Event,
        now: Now,
        sleep: Callable[[float], None],
        started: datetime,
    ) -> None:
        self._job, self._journal, self._progress, self._stop = job, journal, progress, stop
        self._now, self._sleep, self._started = now, sleep, started
        self._builder = ReportBuilder(
            dry_run=job.dry_run,
            started=started,
            target=job.target.identity,
            mark=str(job.options.mark),
            rules=job.rules.names,
        )
        self._places = Places(job.target, progress, stop, self._wait)
        self._seeker = Seeker(self._places, journal, full=job.options.full, stop=stop)
        self._adopted: dict[str, Count] = defaultdict(Count)
        self._copies: Counter[str] = Counter()  # by the mailbox where they were found
        self._elsewhere: Counter[str] = Counter()
        self._renumbered = self._held_found = 0
        self._reached: Key | None = None  # the last message of this source that was looked for
        self._looked_for = 0
        self._portion: list[Search] = []

    def run(self) -> None:
        """All of it. What ended it is the builder's ``error``; raises what is nobody's fault but ours."""
        try:
            refuse_half_undone(self._journal)
            self._places.open()
            recovered = recover(
                self._journal,
                self._job.target,
                now=self._now,
                wait=self._wait,
                say=self._progress.say,
                fence=self._job.options.fence,
                quiet_since=None if self._journal.last_alive else self._started,
            )
            if recovered.text:
                self._builder.remark(recovered.text)
            self._renumbered = self._seeker.prepare()
            self._held()
            for source in self._job.sources:
                if not self._stop.is_set():
                    self._source(source)
        except Pop2imapError as error:
            self._builder.error = error
        finally:
            self._progress.finish()
            self._job.target.close()

    def _wait(self, seconds: float) -> None:
        pause(seconds, self._stop, self._sleep)

    # -- what is held

    def _held(self) -> None:
        held = self._journal.held_copies()
        entries = self._journal.lookup([copy.key for _, copy in held])
        wanted = []
        for mailbox, copy in held:
            self._seeker.mailbox(copy.folder)
            others = frozenset(entries[copy.key].mailboxes) - {mailbox}
            wanted.append(
                Wanted(
                    id=copy.id,
                    digest=copy.digest,
                    match_digest=copy.match_digest,
                    size=copy.size,
                    sizes=copy.sizes,
                    date=copy.date,
                    home=mailbox,
                    barred=others,
                )
            )
        if not wanted or self._stop.is_set():
            return
        got = self._seeker.seek(wanted)
        self._journal.settle(
            [
                (number, Moved(name, self._seeker.uidvalidity(name), uid))
                for number, (name, uid) in got.items()
            ],
            durable=True,
        )
        for one in wanted:
            if one.id in got:
                self._count(got[one.id][0], one.home)
        self._held_found = len(got)

    def _count(self, mailbox: str, home: str) -> None:
        self._copies[mailbox] += 1
        self._elsewhere[mailbox] += mailbox != home

    # -- what a source lists

    def _source(self, source: Source) -> None:
        """One source. While target and folders are looked into, a POP3 server may lose its patience: then it is opened
        again, and what was found so far is known by now."""
        fruitless = 0
        self._reached = None
        while True:
            before = self._looked_for
            try:
                self._look_for_all(source)
                return
            except ConnectionLost as error:
                fruitless = 0 if self._looked_for > before else fruitless + 1
                if fruitless == len(PAUSES) or self._stop.is_set():
                    raise
                self._progress.say(f"{error}; trying again")
                self._wait(PAUSES[fruitless])

    def _look_for_all(self, source: Source) -> None:
        """One source, once through. Raises what the source, the target or the journal raised."""
        self._portion.clear()
        settled = False
        try:
            source.open()
            listed = list_source(
                source,
                rules=self._job.rules,
                rules_digest=self._job.rules_digest,
                options=self._job.options,
                journal=self._journal,
                run_start=self._started,
                builder=self._builder,
                progress=self._progress,
                compare_placed=False,
            )
            todo = self._from_where_it_was(listed)
            try:
                if not self._job.options.allow_same_account:
                    refuse_same(source, listed.listing, self._job.target, self._journal, names_alone=True)
                self._read(source, listed, todo)
            finally:
                listed.rest_is_pending()
                self._progress.finish()
            positions = [ref.position for ref in todo]
            settled = listed.ledger.tally.all_in(SETTLED | {Account.SKIPPED}, positions)
        finally:
            remarks = source.close(settled=settled and not self._job.dry_run and not self._stop.is_set())
            self._builder.source_remarks(source.id, remarks)

    def _from_where_it_was(self, listed: Listed) -> Chosen:
        """What to read, less what was looked for, and not found, before the connection was lost."""
        after = 0
        if self._reached is not None:
            refs = listed.listing.refs
            after = next((ref.position for ref in refs if ref.key == self._reached), 0)
        todo = Chosen(listed.listing.refs)
        for ref in listed.todo:
            if ref.position > after:
                todo.add(ref)
        return todo

    def _read(self, source: Source, listed: Listed, todo: Sequence[Ref]) -> None:
        if not todo:
            return
        self._progress.start(f"looking for {source.id}", sum(ref.size for ref in todo), len(todo))
        unnamed = any(ref.key is None for ref in todo)
        renamed = Renamed(source.id, listed, self._journal)
        others = not self._job.options.keep_duplicates and bool(set(self._journal.counts()) - {source.id})
        for item in listed.decider.decide(source.read(todo)):
            if isinstance(item, Unread):
                self._unread(item, listed)
            else:
                key = item.message.key
                entry = (self._journal.lookup([key]) if unnamed else listed.entries).get(key)
                self._take(item, listed, entry, renamed, others=others)
            if len(self._portion) >= PORTION:
                self._look_for(listed)
            if self._stop.is_set():
                return
        self._look_for(listed)

    def _unread(self, item: Unread, listed: Listed) -> None:
        size = listed.ledger.size_of(item.position)
        listed.ledger.put(item.position, item.account, size)
        self._builder.problem(
            item.account, listed.ledger.source, item.position, item.key, item.reason, size=size
        )
        self._progress.advance(size, 1)
        if item.account is Account.PENDING:
            self._builder.remark(f"{listed.ledger.source}: {item.reason}")

    def _take(
        self, item: Decided, listed: Listed, entry: Entry | None, renamed: Renamed, *, others: bool
    ) -> None:
        """A message was read: it is known after all, left out, or to be looked for. The order is that of placing."""
        key, octets, position = item.message.key, item.message.octets, item.message.position
        digest = self._job.rules_digest
        begun = entry is not None and bool(entry.placed)
        account, new = None, False
        if entry is not None and entry.account in SETTLED | {Account.REFUSED, Account.HELD}:
            account = entry.account  # its source could not name it before it was read
        elif not begun and (old := renamed(key, octets.digest)):
            self._journal.rebind(old, key)
            account, new = self._journal.lookup([key])[key].account, True
        elif item.decision.skip:
            account = Account.SKIPPED
            self._journal.note([record_of(item, digest, account, item.decision.skip)])
        elif not begun and others and self._journal.elsewhere(key, octets.digest):
            account, new = Account.PRESENT, True
            self._journal.note([record_of(item, digest, account, "the same octets came from another source")])
        else:
            self._portion.append(search_for(item, entry, self._seeker.mailbox, digest))
            return
        self._close(listed, position, key, account, octets.size, new=new)
        reason, date, subject = entry.reason if entry is not None else "", item.date, item.subject
        self._builder.problem(
            account, key.source, position, key, reason, date=date, subject=subject, size=octets.size
        )

    def _look_for(self, listed: Listed) -> None:
        """Look for the portion, note durably what was found, and account for it."""
        portion, self._portion = self._portion, []
        if not portion:
            return
        numbers = iter(range(1, 1 << 62))
        got = self._seeker.seek([one for sought in portion for one in sought.wanted(numbers)])
        found: list[tuple[Placement, int]] = []
        records: list[Record] = []
        for sought in portion:
            before = len(found)
            for number, placement, home in zip(sought.numbers, sought.placements, sought.homes, strict=True):
                if number in got:
                    name, uid = got[number]
                    found.append((self._lies(placement, name, uid), uid))
                    self._count(name, home)
            if len(found) > before:
                records.append(sought.record)
        if records:
            self._journal.adopt(records, found)
        entries = self._journal.lookup([record.key for record in records])
        self._looked_for += len(portion)
        self._reached = portion[-1].record.key
        for sought in portion:
            key = sought.record.key
            account = entries[key].account if key in entries else Account.PENDING
            self._close(listed, sought.position, key, account, sought.record.size, new=account in SETTLED)

    def _lies(self, placement: Placement, mailbox: str, uid: int) -> Placement:
        """The placement as it was found."""
        uidvalidity = self._seeker.uidvalidity(mailbox)
        return placement._replace(mailbox=mailbox, uidvalidity=uidvalidity, lower_bound=uid)

    def _close(
        self, listed: Listed, position: int, key: Key, account: Account, size: int, *, new: bool
    ) -> None:
        listed.ledger.put(position, account, size)
        if new:
            self._adopted[key.source] += Count(1, size)
        self._progress.advance(size, 1)

    # -- the end

    def report(self) -> AdoptReport:
        """Everything that was found. Raises InternalError if the accounts do not add up."""
        if self._stop.is_set() and (
            self._builder.error is None or isinstance(self._builder.error, NotFinished)
        ):
            self._builder.error = None
            self._builder.interrupted = (
                self._stop.exit_code if isinstance(self._stop, Stop) else Stop.exit_code
            )
        for remark in self._seeker.remarks:
            self._builder.remark(remark)
        for one in self._journal.problems():
            if one.account is Account.HELD:
                self._builder.problem(
                    *(one.account, one.key.source, 0, one.key, one.reason),
                    date=one.date,
                    subject=one.subject,
                    size=one.size,
                )
        built = self._builder.build(self._now())
        return AdoptReport(
            dry_run=built.dry_run,
            started=built.started,
            finished=built.finished,
            target=built.target,
            sources=built.sources,
            adopted=dict(self._adopted),
            folders=tuple(
                AdoptedFolder(name, copies, self._elsewhere[name])
                for name, copies in sorted(self._copies.items())
            ),
            renumbered=self._renumbered,
            held_found=self._held_found,
            held_left=len(self._journal.held_copies()),
            unseen=self._seeker.unseen,
            remarks=built.remarks,
            problems=tuple(after_search(problem) for problem in built.problems),
            error=built.error,
            interrupted=built.interrupted,
        )
