"""The dry run of one account: the same way as a migration, up to the decisions. Writes nowhere."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pop2imap import at_home
from pop2imap.decide import Decided
from pop2imap.errors import HostUnavailable, Pop2imapError
from pop2imap.forecast import Forecast
from pop2imap.job import Job
from pop2imap.journal import place
from pop2imap.listed import Listed, costs_itself_alone, list_source
from pop2imap.progress import Progress
from pop2imap.report import Count
from pop2imap.report.builder import ReportBuilder
from pop2imap.sameness import refuse_same
from pop2imap.sources import Source

if TYPE_CHECKING:
    from pop2imap.journal.history import History


def plan(
    job: Job, builder: ReportBuilder, run_start: datetime, progress: Progress, stop: threading.Event
) -> None:
    """Fill ``builder`` with what a migration would do now.

    A target that cannot be reached is a remark; every other trouble is raised as :mod:`pop2imap.errors` has it.
    """
    target, facts, unreachable = job.target, None, None
    with ExitStack() as stack:
        try:
            stack.callback(target.close)
            facts = target.open()
        except HostUnavailable as error:
            unreachable = error
        history = _history(job.options.state_dir, target.identity)
        if history is not None:
            stack.callback(history.close)
            job.rules.remember(history.folders())
            if history.missing:
                builder.remark(
                    f"{history.missing} entries of the journal are missing: some of what would be moved by it may be "
                    "there, and is recognised by its content then"
                )
            if undoing := history.undoing():
                builder.remark(
                    f"an undo was cut off ({undoing} copies): run pop2imap undo again before you migrate"
                )
        forecast = Forecast(
            builder,
            progress,
            None if unreachable else target,
            history,
            options=job.options,
            facts=facts,
            wholes=at_home.Wholes(() if job.options.keep_duplicates else job.sources),
        )
        for source in job.sources:
            if stop.is_set():
                break
            with costs_itself_alone(source, job.sources, builder):
                _plan_source(job, source, history, forecast, builder, run_start, progress, stop)
        forecast.finish(unreachable)
        maildrops = [source.id for source in job.sources if source.kind == at_home.MAILDROP]
        builder.copies(forecast.shared, maildrops)
        ours = history.folders() if history else {}
        for folder in builder.folders:
            builder.at_end(folder, Count(*ours.get(folder, (0, 0))), None)


def _history(state_dir: Path, identity: str) -> History | None:
    """See :func:`pop2imap.journal.history.read_history`; with it comes SQLAlchemy, for which most plans, being the
    first, need not wait."""
    if not place.directory(state_dir, identity).exists():
        return None
    from pop2imap.journal.history import read_history

    return read_history(state_dir, identity)


def _plan_source(
    job: Job,
    source: Source,
    history: History | None,
    forecast: Forecast,
    builder: ReportBuilder,
    run_start: datetime,
    progress: Progress,
    stop: threading.Event,
) -> None:
    full = job.options.full
    try:
        source.open()
        listed = list_source(
            source,
            rules=job.rules,
            rules_digest=job.rules_digest,
            options=job.options,
            journal=history,
            run_start=run_start,
            builder=builder,
            progress=progress,
            compare_placed=True,
        )
        if listed.todo.unnamed:
            builder.remark(
                f"{source.id} does not name all its messages: which were moved before is not foreseen"
            )
        _look_at_home(job, source, listed, history, forecast, builder)
        progress.start(f"looking at {source.id}", listed.todo.octets, len(listed.todo))
        try:
            if forecast.target is not None and not job.options.allow_same_account:
                refuse_same(source, listed.listing, forecast.target, history)
            for item in listed.decider.decide((source.read if full else source.peek)(listed.todo)):
                key = item.message.key if isinstance(item, Decided) else item.key
                forecast.take(item, listed.ledger, listed.entries.get(key) if key else None)
                if stop.is_set():
                    break
        except Pop2imapError:
            listed.rest_is_pending()
            raise
        finally:
            progress.finish()
        listed.rest_is_pending()
    finally:
        # a dry run with bodies leaves no QUIT: some servers hide what was retrieved (QUIRK(Gmail))
        builder.source_remarks(source.id, source.close(settled=not full))


def _look_at_home(
    job: Job,
    source: Source,
    listed: Listed,
    history: History | None,
    forecast: Forecast,
    builder: ReportBuilder,
) -> None:
    """As a run does it, without writing anything."""
    if isinstance(source, at_home.Fetching):
        for maildrop, uidls in source.fetched().items():
            forecast.planned.fetched(maildrop, uidls)
    if source.kind != at_home.MAILDROP:
        listed.decider.comes_whole = forecast.wholes.has
    elif not job.options.keep_duplicates:
        known: list[at_home.Homes] = [forecast.planned]
        if history is not None:
            known.insert(0, history)
        sifted = at_home.sift(
            source,
            listed,
            known,
            note=lambda records: None,
            rules_digest=job.rules_digest,
            skipped=builder.skipped,
            wholes=forecast.wholes,
        )
        builder.deleted_at_home(source.id, sifted.deleted)
        forecast.shared += sifted.both
