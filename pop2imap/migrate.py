"""One account, from start to end.

::

    open target ── recover what an earlier run left in doubt
      for each source:
        open ── list ── drop what is settled ── read ── decide ── place ── append ── settle ── close
    report

Running again is always right: it goes on from the journal. Within a run, a connection that is lost is opened
again a few times, and each time the way begins at *recover*. A dry run (:mod:`pop2imap.plan`) goes the same
way up to *decide*. The steps of one account stay whole, in one file.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta

from pop2imap import at_home
from pop2imap.budgets import Budgets
from pop2imap.daily import Quota, SourceDay, source_quota, target_quota
from pop2imap.errors import Again, FolderError, HostUnavailable, NotFinished, Pop2imapError
from pop2imap.folders import Folders
from pop2imap.job import Job
from pop2imap.journal import Entry
from pop2imap.journal.store import SqlJournal, open_journal
from pop2imap.listed import Chosen, Listed, Renamed, Wanted, costs_itself_alone, list_source
from pop2imap.model import SETTLED, Account, Key, Mailbox, Octets
from pop2imap.opening import Openings
from pop2imap.pipeline import Pipeline, Stop, pause
from pop2imap.placing import Placer
from pop2imap.progress import Progress
from pop2imap.quarantine import Quarantine
from pop2imap.recovery import recover, refuse_half_undone
from pop2imap.report import Count, Report
from pop2imap.report.builder import ReportBuilder
from pop2imap.sameness import refuse_same
from pop2imap.sources import Source
from pop2imap.target.linter import Linter
from pop2imap.throttle import Throttle

TRIES = 5
"""How often in a row a lost connection is opened again while nothing gets done in between."""

LONGEST_HINT = 300.0
"""Seconds, as many as QUIRK(Exchange) asks for. A server that wants a longer pause ends the run, which says when to
come back."""

SESSIONS_OF_SLOW = 3
"""Upload sessions where each message waits for the server (QUIRK(Courier))."""

Now = Callable[[], datetime]


def migrate(
    job: Job,
    progress: Progress,
    stop: threading.Event,
    *,
    now: Now = lambda: datetime.now(UTC),
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Report:
    """Do the job, or with ``dry_run`` say what it would do. What ended it early is in the report, too.

    ``stop`` ends it early; a :class:`Stop` also says with which exit code. ``now`` (UTC), ``sleep`` (seconds) and
    ``clock`` (seconds that never go back) are the time. Raises InternalError alone, when the accounts do not add up.
    """
    started = now()
    builder = ReportBuilder(
        dry_run=job.dry_run,
        started=started,
        target=job.target.identity,
        mark=str(job.options.mark),
        rules=job.rules.names,
    )
    builder.same_account_allowed = job.options.allow_same_account
    try:
        if job.dry_run:
            from pop2imap.plan import plan  # it reads the journal from outside, with more than a run needs

            plan(job, builder, started, progress, stop)
        else:
            with closing(open_journal(job.options.state_dir, job.target.identity, now=now)) as journal:
                job.rules.remember(journal.folders())
                throttle = Throttle(job.options.limits, clock, sleep)
                run = _Run(job, journal, builder, progress, stop, now, sleep, throttle, started)
                run.move()
                report = _report(builder, stop, now)
                journal.finish_run(report.exit_code, {"moved": report.moved.messages})
                return report
    except Pop2imapError as error:
        builder.error = error
    return _report(builder, stop, now)


def _report(builder: ReportBuilder, stop: threading.Event, now: Now) -> Report:
    if stop.is_set() and (builder.error is None or isinstance(builder.error, NotFinished)):
        builder.error = None
        builder.interrupted = stop.exit_code if isinstance(stop, Stop) else Stop.exit_code
    report = builder.build(now())
    if report.error is not None and report.retry_at is not None:
        report.error.todo = f"run again at {report.retry_at:%Y-%m-%d %H:%M:%S} UTC or later"
    return report


class _Run:
    """One migration under way."""

    def __init__(
        self,
        job: Job,
        journal: SqlJournal,
        builder: ReportBuilder,
        progress: Progress,
        stop: threading.Event,
        now: Now,
        sleep: Callable[[float], None],
        throttle: Throttle,
        started: datetime,
    ) -> None:
        self.job, self.journal, self.builder, self.throttle = job, journal, builder, throttle
        self.progress, self.stop, self.now, self.sleep, self.started = progress, stop, now, sleep, started
        self.to_do = list(job.sources)
        self.wholes = at_home.Wholes(() if job.options.keep_duplicates else job.sources)
        self.quiet_since = journal.last_alive or started
        self.connected = False
        self.harm: Callable[[Octets], str] = lambda octets: ""
        self.connections = 1
        self.openings = Openings()
        self.pipeline: Pipeline | None = None
        self.quota: Quota | None = None
        self.quarantine = Quarantine(job.options.quarantine) if job.options.quarantine else None
        self.cut_short = False  # by the limit: then no later source comes before the rest of this one
        self.fruitless, self.headway = 0, builder.headway
        self.pause = 0.0  # seconds until the next try

    def move(self) -> None:
        """All of it, with new tries where a connection is lost. What ended it is the builder's ``error``; raises
        what is nobody's fault but ours."""
        try:
            while (error := self._attempted()) is not None:
                if not self._worth_another_try(error):
                    raise error
                self._wait(self.pause)
        except Pop2imapError as error:
            self.builder.error = error
        maildrops = [source.id for source in self.job.sources if source.kind == at_home.MAILDROP]
        self.builder.copies(self.journal.shared(), maildrops)
        self._folders_at_end()
        self.job.target.close()

    def _worth_another_try(self, error: Pop2imapError) -> bool:
        """Whether the error of an attempt may be gone after a pause, which is set; and says so."""
        if error.again is Again.NEVER or self.stop.is_set():
            return False
        self.quiet_since = self.now()
        self.fruitless = self.fruitless + 1 if self.builder.headway == self.headway else 1
        self.headway = self.builder.headway
        lost = error.again is Again.NOW or (self.connected and isinstance(error, HostUnavailable))
        hint = error.retry_after
        if not (lost if hint is None else hint <= LONGEST_HINT):
            return False
        if self.fruitless >= TRIES:
            return False
        at_least = float(2 ** (self.fruitless - 1))  # a server may well say "0 seconds"
        self.pause = max(hint or 0.0, at_least)
        self.progress.say(f"{error}; trying again in {self.pause:.0f} s")
        return True

    def _wait(self, seconds: float) -> None:
        pause(seconds, self.stop, self.sleep)

    def _attempted(self) -> Pop2imapError | None:
        try:
            self._attempt()
        except Pop2imapError as error:
            return error
        return None

    def _attempt(self) -> None:
        refuse_half_undone(self.journal)
        self.job.target.close()
        if self.to_do and not self.journal.missing and not self.journal.mailboxes_in_doubt():
            self.openings.begin(self.to_do[0])  # nothing has to be waited for before, so that it waits for us
        try:
            self._move_all()
        finally:
            if closed := self.openings.give_up():
                self.builder.source_remarks(*closed)

    def _move_all(self) -> None:
        target = self.job.target
        facts = target.open()
        self.harm = Linter(facts).harm
        self.connections = self.job.options.connections or (SESSIONS_OF_SLOW if facts.one_at_a_time else 1)
        self.quota = target_quota(
            self.job.options, target.identity, facts.capabilities, self.journal, self.now
        )
        self.connected = True
        if self.journal.missing:
            self._know_that_something_is_missing()
        recovered = recover(
            self.journal,
            target,
            now=self.now,
            wait=self._wait,
            fence=self.job.options.fence,
            quiet_since=self.quiet_since,
            say=self.progress.say,
        )
        if recovered.text:
            self.builder.remark(recovered.text)
        options = self.job.options
        look = options.on_held == "retry"  # what is sent again may well be there
        folders = Folders(self.journal, target, self.builder, assume_empty=options.assume_empty and not look)
        while self.to_do and not self.stop.is_set():
            with costs_itself_alone(self.to_do[0], self.job.sources, self.builder):
                self._move_source(self.to_do[0], folders)
            self.to_do.pop(0)

    def _know_that_something_is_missing(self) -> None:
        """What an earlier run has sent, and the journal does not know, is recognised by its content; but not before
        the server has stored it."""
        self.builder.remark(
            f"the journal is older than what was done with it: {self.journal.missing} of its entries are missing, "
            "since an older copy was put in its place or the disk has damaged it; whatever came into the folders since "
            "was compared by content, so that nothing is sent twice"
        )
        quiet = self.quiet_since + timedelta(seconds=self.job.options.fence)
        self._wait(min((quiet - self.now()).total_seconds(), self.job.options.fence))

    def _move_source(self, source: Source, folders: Folders) -> None:
        """One source, once through. Raises what the source or the target raised."""
        settled = False
        try:
            self.openings.open(source)
            listed = list_source(
                source,
                rules=self.job.rules,
                rules_digest=self.job.rules_digest,
                options=self.job.options,
                journal=self.journal,
                run_start=self.started,
                builder=self.builder,
                progress=self.progress,
                compare_placed=False,
                quarantine=self.quarantine,
            )
            self._look_at_home(source, listed)
            todo, most = self._within_limit(listed)
            day = SourceDay(source_quota(self.job.options, source, self.journal, self.now))
            read = 0
            try:
                if not self.job.options.allow_same_account:
                    refuse_same(source, listed.listing, self.job.target, self.journal)
                whole = True
                for part in day.parts(todo):
                    whole = self._move_messages(source, listed, part, most, folders, day)
                    read += len(part)
                    if not whole:
                        break
                    most = None if most is None else self._left()
            finally:
                listed.rest_is_pending()
                self.progress.finish()
            self.cut_short = self.cut_short or len(todo) < len(listed.todo)
            settled = whole and listed.ledger.tally.all_in(SETTLED | {Account.SKIPPED}, todo.positions[:read])
        finally:
            remarks = source.close(settled=settled)
            if self.pipeline is not None:
                self.pipeline.wait_for_reader()
            self.builder.source_remarks(source.id, remarks)
        if day.over:
            raise day.over

    def _look_at_home(self, source: Source, listed: Listed) -> None:
        """What mail programs know of maildrops is kept; what of a maildrop is at home is settled by that."""
        if isinstance(source, at_home.Fetching):
            for maildrop, uidls in source.fetched().items():
                self.journal.fetched(maildrop, uidls)
        if source.kind != at_home.MAILDROP:
            listed.decider.comes_whole = self.wholes.has
        elif not self.job.options.keep_duplicates:
            sifted = at_home.sift(
                source,
                listed,
                [self.journal],
                note=self.journal.note,
                rules_digest=self.job.rules_digest,
                skipped=self.builder.skipped,
                wholes=self.wholes,
            )
            self.builder.deleted_at_home(source.id, sifted.deleted)

    def _within_limit(self, listed: Listed) -> tuple[Chosen, int | None]:
        """What to read, and how many of it to place at most (None: all). What is settled shows only in the reading
        where the source cannot name its messages before."""
        if self.job.options.limit is None:
            return listed.todo, None
        left = 0 if self.cut_short else self._left()
        if left and listed.todo.unnamed:
            return listed.todo, left
        return listed.todo[:left], None

    def _left(self) -> int:
        """How many messages the limit of this run still allows."""
        return max((self.job.options.limit or 0) - self.builder.moved.messages, 0)

    def _move_messages(
        self,
        source: Source,
        listed: Listed,
        todo: Chosen,
        most: int | None,
        folders: Folders,
        day: SourceDay,
    ) -> bool:
        """Read them and place them. Returns whether it came to its end."""
        if not todo:
            return True
        self.progress.start("moving", todo.octets, len(todo))
        budgets = Budgets()
        placer = self._placer(source, listed, todo, most, folders, budgets)
        items = listed.decider.decide(day.counted(source.read(todo)))
        self.pipeline = Pipeline(
            items,
            placer,
            self.job.target,
            budgets,
            self.stop,
            self.throttle,
            connections=self.connections,
            ordered=not self.job.options.unordered,
        )
        ended = self._carry(self.pipeline)
        self.cut_short = self.cut_short or placer.cut_short
        return ended

    def _placer(
        self,
        source: Source,
        listed: Listed,
        todo: Chosen,
        most: int | None,
        folders: Folders,
        budgets: Budgets,
    ) -> Placer:

        def known(key: Key) -> Entry | None:
            if todo.unnamed:  # then its source could name it only now
                return self.journal.lookup([key]).get(key)
            return listed.entries.get(key)

        return Placer(
            journal=self.journal,
            folders=folders,
            rules_digest=self.job.rules_digest,
            ledger=listed.ledger,
            builder=self.builder,
            budgets=budgets,
            progress=self.progress,
            known=known,
            renamed=Renamed(source.id, listed, self.journal),
            other_sources=not self.job.options.keep_duplicates
            and bool(set(self.journal.counts()) - {source.id}),
            wanted=Wanted(self.job.options, self.quarantine),
            repairs=self.job.options.repair,
            spool=self.journal.spool,
            harm=self.harm,
            most=most,
            limits=self.job.options.limits,
            quota=self.quota,
        )

    def _carry(self, pipeline: Pipeline) -> bool:
        """Run it. If a server was busy, what follows goes more slowly."""
        try:
            return pipeline.run()
        except Pop2imapError as error:
            if rate := self.throttle.heard(error):
                self.progress.say(f"sending more slowly for some minutes: {rate / 1000:,.0f} kB/s")
            raise

    def _folders_at_end(self) -> None:
        """What the folders hold now, as far as the target still answers."""
        ours = self.journal.folders()
        folders = list(self.builder.folders)
        found: Sequence[Mailbox | FolderError | None] = [None] * len(folders)
        with contextlib.suppress(Pop2imapError):
            found = self.job.target.locate_each(folders)
        for folder, mailbox in zip(folders, found, strict=True):
            after = mailbox.messages if isinstance(mailbox, Mailbox) else None
            self.builder.at_end(folder, Count(*ours.get(folder, (0, 0))), after)
