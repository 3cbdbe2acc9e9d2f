"""One account, from start to end.

::

    open target ── recover what an earlier run left in doubt
      for each source:
        open ── list ── drop what is settled ── read ── decide ── place ── append ── settle ── close
    report

Running again is always right: it goes on from the journal. Within a run, a connection that is lost is opened
again a few times, and each time the way begins at *recover*. A dry run (:mod:`pop2imap.plan`) goes the same
way up to *decide*.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime

from tenacity import RetryCallState, Retrying

from pop2imap.errors import Again, FolderError, HostUnavailable, NotFinished, Pop2imapError
from pop2imap.folders import Folders
from pop2imap.job import Job
from pop2imap.journal import Entry, Journal
from pop2imap.journal.store import open_journal
from pop2imap.listed import Listed, list_source
from pop2imap.model import SETTLED, Account, Key, Ref
from pop2imap.pipeline import Budgets, Pipeline, Stop
from pop2imap.placing import Placer
from pop2imap.plan import plan
from pop2imap.progress import Progress
from pop2imap.recovery import recover
from pop2imap.report import Count, Report
from pop2imap.report.builder import ReportBuilder
from pop2imap.sources import Source

TRIES = 5
"""How often in a row a lost connection is opened again while nothing gets done in between."""

LONGEST_HINT = 60.0
"""Seconds. A server that asks for a longer pause ends the run, which says when to come back."""

NAP = 0.2
"""Seconds of a wait after which a stop is noticed."""

Now = Callable[[], datetime]


def migrate(
    job: Job,
    progress: Progress,
    stop: threading.Event,
    *,
    now: Now = lambda: datetime.now(UTC),
    sleep: Callable[[float], None] = time.sleep,
) -> Report:
    """Do the job, or with ``dry_run`` say what it would do. What ended it early is in the report, too.

    ``stop`` ends it early; a :class:`Stop` also says with which exit code. ``now`` (UTC) and ``sleep`` (seconds)
    are the clock. Raises InternalError alone, when the accounts do not add up.
    """
    started = now()
    builder = ReportBuilder(
        dry_run=job.dry_run,
        started=started,
        target=job.target.identity,
        mark=str(job.options.mark),
        rules=job.rules.names,
    )
    try:
        if job.dry_run:
            plan(job, builder, started, progress, stop)
        else:
            with closing(open_journal(job.options.state_dir, job.target.identity)) as journal:
                run = _Run(job, journal, builder, progress, stop, now, sleep, started)
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
    return builder.build(now())


class _Run:
    """One migration under way."""

    def __init__(
        self,
        job: Job,
        journal: Journal,
        builder: ReportBuilder,
        progress: Progress,
        stop: threading.Event,
        now: Now,
        sleep: Callable[[float], None],
        started: datetime,
    ) -> None:
        self.job, self.journal, self.builder = job, journal, builder
        self.progress, self.stop, self.now, self.sleep, self.started = progress, stop, now, sleep, started
        self.to_do = list(job.sources)
        self.quiet_since = journal.last_alive or started
        self.connected = False
        self.pipeline: Pipeline | None = None
        self.cut_short = False  # by the limit: then no later source comes before the rest of this one
        self.fruitless, self.moved = 0, builder.moved

    def move(self) -> None:
        """All of it, with new tries where a connection is lost. What ended it is the builder's ``error``; raises
        what is nobody's fault but ours."""
        try:
            Retrying(
                retry=self._worth_another_try,
                stop=lambda _: self.fruitless >= TRIES,
                wait=self._pause,
                sleep=self._wait,
                reraise=True,
            )(self._attempt)
        except Pop2imapError as error:
            self.builder.error = error
        self._folders_at_end()
        self.job.target.close()

    def _worth_another_try(self, state: RetryCallState) -> bool:
        error = state.outcome.exception() if state.outcome else None
        if not isinstance(error, Pop2imapError) or error.again is Again.NEVER or self.stop.is_set():
            return False
        self.quiet_since = self.now()
        self.fruitless = self.fruitless + 1 if self.builder.moved == self.moved else 1
        self.moved = self.builder.moved
        lost = error.again is Again.NOW or (self.connected and isinstance(error, HostUnavailable))
        hinted = error.retry_after is not None and error.retry_after <= LONGEST_HINT
        if not (lost or hinted):
            return False
        if self.fruitless < TRIES:
            self.progress.say(f"{error}; trying again")
        return True

    def _pause(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        hint = error.retry_after if isinstance(error, Pop2imapError) else None
        return hint if hint is not None else float(2 ** (self.fruitless - 1))

    def _wait(self, seconds: float) -> None:
        # not stop.wait: a signal handler that sets the event while this thread is in there would wait for itself
        while seconds > 0:
            self.sleep(min(seconds, NAP))
            seconds -= NAP
            if self.stop.is_set():
                raise NotFinished("stopped while waiting", todo="run again: it goes on from here")

    def _attempt(self) -> None:
        target = self.job.target
        target.close()
        target.open()
        self.connected = True
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
        folders = Folders(self.journal, target, self.builder, assume_empty=self.job.options.assume_empty)
        while self.to_do and not self.stop.is_set():
            self._move_source(self.to_do[0], folders)
            self.to_do.pop(0)

    def _move_source(self, source: Source, folders: Folders) -> None:
        """One source, once through. Raises what the source or the target raised."""
        settled = False
        try:
            source.open()
            listed = list_source(
                source,
                rules=self.job.rules,
                rules_digest=self.job.rules_digest,
                options=self.job.options,
                lookup=self.journal.lookup,
                known=self.journal.known(source.id),
                run_start=self.started,
                builder=self.builder,
                progress=self.progress,
                compare_placed=False,
            )
            todo, most = self._within_limit(listed)
            try:
                settled = self._move_messages(source, listed, todo, most, folders)
            finally:
                listed.rest_is_pending()
                self.progress.finish()
            self.cut_short = self.cut_short or len(todo) < len(listed.todo)
            settled = settled and listed.ledger.tally.all_in(
                SETTLED | {Account.SKIPPED}, [ref.position for ref in todo]
            )
        finally:
            remarks = source.close(settled=settled)
            if self.pipeline is not None:
                self.pipeline.wait_for_reader()
            self.builder.source_remarks(source.id, remarks)

    def _within_limit(self, listed: Listed) -> tuple[Sequence[Ref], int | None]:
        """What to read, and how many of it to place at most (None: all). What is settled shows only in the reading
        where the source cannot name its messages before."""
        if self.job.options.limit is None:
            return listed.todo, None
        left = 0 if self.cut_short else max(self.job.options.limit - self.builder.moved.messages, 0)
        if left and any(ref.key is None for ref in listed.todo):
            return listed.todo, left
        return listed.todo[:left], None

    def _move_messages(
        self, source: Source, listed: Listed, todo: Sequence[Ref], most: int | None, folders: Folders
    ) -> bool:
        if not todo:
            return True
        self.progress.start("moving", sum(ref.size for ref in todo), len(todo))
        unnamed = any(ref.key is None for ref in todo)

        def known(key: Key) -> Entry | None:
            if unnamed:  # then its source could name it only now
                return self.journal.lookup([key]).get(key)
            return listed.entries.get(key)

        budgets = Budgets()
        placer = Placer(
            journal=self.journal,
            folders=folders,
            rules_digest=self.job.rules_digest,
            ledger=listed.ledger,
            builder=self.builder,
            budgets=budgets,
            progress=self.progress,
            known=known,
            renamed=_Renamed(source.id, listed, self.journal),
            other_sources=not self.job.options.keep_duplicates
            and bool(set(self.journal.counts()) - {source.id}),
            most=most,
        )
        items = listed.decider.decide(source.read(todo))
        self.pipeline = Pipeline(items, placer, self.job.target, budgets, self.stop)
        ended = self.pipeline.run()
        self.cut_short = self.cut_short or placer.cut_short
        return ended

    def _folders_at_end(self) -> None:
        """What the folders hold now, as far as the target still answers."""
        ours = self.journal.folders()
        answers = True
        for folder in self.builder.folders:
            mailbox = None
            try:
                mailbox = self.job.target.locate(folder) if answers else None
            except FolderError:
                pass
            except Pop2imapError:
                answers = False
            after = mailbox.messages if mailbox else None
            self.builder.at_end(folder, Count(*ours.get(folder, (0, 0))), after)


class _Renamed:
    """Finds the settled message that a new UIDL stands for: same source, same octets, and its own UIDL no
    longer listed (QUIRK(Dovecot): UIDLs change with UIDVALIDITY; others when a maildrop is moved). Each old
    name is given away once. A message without UIDL has the name of its octets: of two equal ones, the second is
    no new name of the first."""

    def __init__(self, source: str, listed: Listed, journal: Journal) -> None:
        self._source, self._listed, self._journal = source, listed, journal
        self._names: set[Key] | None = None

    def __call__(self, key: Key, digest: bytes) -> Key | None:
        if not self._listed.vanished:
            return None
        for old in self._journal.same_octets(self._source, digest):
            if self._names is None:
                self._names = self._listed.names()
            if old.name != key.name and old not in self._names:
                return old
        return None
