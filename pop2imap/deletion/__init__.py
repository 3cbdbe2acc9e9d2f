"""Deleting at a POP3 source what is in the target, compared in this very run.

Theory of operation
-------------------
What is deleted there is gone for good, so every step looks at what the step before has done::

    list ── read each candidate whole ── compare with every copy of it in the target
      ask
    first: a new session ── list ── delete ONE message of each folder ── QUIT      their copies must still be there
    then:  a new session ── list: those are gone ── delete the rest ── QUIT
    last:  a new session ── list: what is gone is noted in the journal, what is not is reported

*The first ones.* Source and target may be one mailbox, in ways that no comparison of names shows. Then to delete a
message at the source is to delete its copy, if that lies in just that mailbox; others may have copies of their own. So
for each mailbox in which there are copies, the smallest message with a copy there goes first, and if a copy of one of
these is not where it was in the target afterwards, everything stops: not even an equal message elsewhere will do, which
may be a twin. Nor may any other message of such a size be gone: where the journal has taken a twin for the copy of a
message that is its own copy, the twin stays, and that message goes. Their octets lie on this disk until that is sure
(:mod:`rescue`), so not even these are lost. They also show a server that keeps what POP3 deletes, and one whose UIDLs
are but positions: with either they are still listed afterwards, and no other message is touched.

*Names.* A message is found again by its UIDL in each session, and must have the size that it had when it was compared.
A UIDL that several messages share names none of them.

*QUIT.* Only with it does anything go (RFC 1939 6). If it is not answered with +OK, or the connection ends, nobody knows
what has gone; the listing after it tells. The first session, in which all candidates are read, ends without it, since
some servers hide what was retrieved.

It may be killed anywhere and run again: what is gone is not listed any more, and all else is compared anew. The journal
knows before QUIT what is about to go (``Journal.begin_removing``), so that ``undo`` never takes a last copy. What has
gone is noted there (``Journal.remove``), so that it does not count as vanished: a message of the same octets that comes
later is a new one.

This file stays whole: it is those sessions, one after the other, and their order is what protects the mail.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from pop2imap.deletion.candidates import Candidates, Choice, Ready, catch_up
from pop2imap.deletion.evidence import Evidence, Standing
from pop2imap.deletion.fates import Fates
from pop2imap.deletion.rescue import Rescue
from pop2imap.errors import ConnectionLost, ExitCode, Pop2imapError, ServerBusy, UsageError
from pop2imap.journal.history import read_history
from pop2imap.journal.store import SqlJournal, open_journal
from pop2imap.migrate import LONGEST_HINT
from pop2imap.model import Key, Message, Octets, Ref
from pop2imap.pipeline import Stop
from pop2imap.progress import Progress
from pop2imap.recovery import refuse_half_undone
from pop2imap.report import Count
from pop2imap.report.deleted import DeletionReport, Fate
from pop2imap.report.text import in_messages
from pop2imap.sameness import refuse_same_name
from pop2imap.sources import Erasable, Listing
from pop2imap.target import Target
from pop2imap.text import printable
from pop2imap.verify.places import PAUSES
from pop2imap.verify.target import Comparison

__all__ = ["Choice", "delete_source"]

Now = Callable[[], datetime]
Confirm = Callable[[DeletionReport], bool]


def delete_source(
    source: Erasable,
    target: Target,
    choice: Choice,
    *,
    state_dir: Path,
    confirm: Confirm,
    progress: Progress,
    stop: threading.Event,
    now: Now = lambda: datetime.now(UTC),
    sleep: Callable[[float], None] = time.sleep,
) -> DeletionReport:
    """Compare, and if ``confirm`` says so to the report of that, delete. What ended it early is in the report.

    Raises UsageError if there is no journal, or source and target are one mailbox by their names; JournalCorrupt,
    JournalTooNew, JournalLocked, LocalIOError if the journal cannot be used.
    """
    refuse_same_name(source, target)
    history = read_history(state_dir, target.identity)
    if history is None:
        raise UsageError(
            f"no journal of {printable(target.identity)} is here, so nothing is known to be there",
            where=printable(str(state_dir)),
            todo="pop2imap adopt finds out what of the source is in the target; --state-dir says where a journal is",
        )
    history.close()
    rescue = Rescue(state_dir, target.identity)
    rescue.refuse_after_alarm()
    with closing(open_journal(state_dir, target.identity)) as journal:
        deletion = _Deletion(source, target, choice, journal, rescue, progress, stop, now, sleep)
        deletion.run(confirm)
        report = deletion.report()
        journal.finish_run(report.exit_code, {"deleted": report.messages(Fate.DELETED)})
        return report


class _Deletion:
    """One deletion under way."""

    def __init__(
        self,
        source: Erasable,
        target: Target,
        choice: Choice,
        journal: SqlJournal,
        rescue: Rescue,
        progress: Progress,
        stop: threading.Event,
        now: Now,
        sleep: Callable[[float], None],
    ) -> None:
        self._source, self._target, self._choice, self._journal = source, target, choice, journal
        self._rescue, self._progress, self._stop, self._now, self._sleep = rescue, progress, stop, now, sleep
        self._started = now()
        self._fates = Fates(())
        self._complete = True
        self._remarks: dict[str, None] = {}
        self._asked = False
        self._alarm = ""
        self._error: Pop2imapError | None = None
        self._stuck = False
        self._ready: dict[str, Ready] = {}  # by UIDL
        self._evidence = Evidence(journal, source.id, also_rewritten=choice.also_rewritten)

    def run(self, confirm: Confirm) -> None:
        """All of it. What ended it is in the report."""
        try:
            refuse_half_undone(self._journal)
            if left := self._rescue.left():
                self._remark(
                    f"{in_messages(left)} that an earlier run deleted first, and whose copies it could not look at: "
                    f"kept in {self._rescue.directory}; remove what the target has"
                )
            self._compare()
            if self._ready and not self._stop.is_set() and confirm(self.report()):
                self._asked = True
                if not self._stop.is_set() and (listing := self._first()) is not None:
                    self._rest(listing)
        except Pop2imapError as error:
            self._error = error
        finally:
            self._progress.finish()
            self._source.close(settled=False)
            self._target.close()

    def _remark(self, text: str) -> None:
        self._remarks[text] = None

    def _compare(self) -> None:
        """Give every message of the source its fate: READY if it may be deleted."""
        listing = self._open()
        self._fates, self._complete = Fates(listing.refs), listing.complete
        for remark in listing.remarks:
            self._remark(f"{self._source.id}: {remark}")
        catch_up(self._journal, self._source, listing)
        candidates = Candidates(self._journal, self._choice, self._started, self._fates)
        todo = candidates.of(listing)
        self._progress.start(f"reading {self._source.id}", sum(ref.size for ref in todo), len(todo))
        try:
            for name, ready, entry in candidates.read(self._source, todo, self._progress):
                self._ready[name] = ready
                self._evidence.ask(name, entry)
                if self._stop.is_set():
                    break
            self._stuck = bool(todo)
        except ConnectionLost as error:
            self._remark(f"{error}; what had been read was compared, the rest is left for the next run")
        for remark in self._source.close(settled=False):
            self._remark(f"{self._source.id}: {remark}")
        if self._ready and not self._stop.is_set():
            self._judge(self._evidence)
        self._stuck = self._stuck and not self._ready and not self._stop.is_set()

    def _judge(self, evidence: Evidence) -> None:
        self._look_at_target(evidence, self._stop)
        if self._stop.is_set():
            self._ready.clear()
            return
        for name, fate, reason in evidence.answers():
            if fate is Fate.READY:
                self._fates.put(self._ready[name].position, fate)
            else:
                self._drop(name, fate, reason)

    def _look_at_target(self, evidence: Evidence, stop: threading.Event) -> Comparison:
        self._target.close()
        comparison = Comparison(self._target, self._journal, evidence, {}, self._progress, stop, self._sleep)
        comparison.run()
        for remark in evidence.remarks:
            self._remark(remark)
        return comparison

    def _drop(self, name: str, fate: Fate, reason: str = "") -> None:
        """A message that might have been deleted has this fate instead, or has been."""
        ready = self._ready.pop(name)
        self._fates.put(ready.position, fate, reason, date=ready.date, size=ready.size)

    # -- sessions

    def _open(self, *, again: bool = False) -> Listing:
        """A new session, and what it lists. A server may want a pause, and may hold the maildrop until it has done what
        the session before had asked for."""
        if again:
            self._sleep(min(self._source.login_delay, LONGEST_HINT))
        for pause in (*PAUSES, None):
            try:
                self._source.open()
                return self._source.list()
            except (ServerBusy, ConnectionLost) as error:
                self._source.close(settled=False)
                if pause is None or (error.retry_after or 0) > LONGEST_HINT:
                    raise
                self._progress.say(f"{error}; trying again")
                self._sleep(max(pause, error.retry_after or 0))
        raise AssertionError("unreachable")

    def _found_in(self, listing: Listing) -> dict[str, Ref]:
        """The refs of the messages that may be deleted, by UIDL: those that are still what they were."""
        found: dict[str, Ref] = {}
        times: Counter[str] = Counter()
        for ref in listing.refs:
            if ref.key is not None and ref.key.name in self._ready:
                found[ref.key.name] = ref
                times[ref.key.name] += 1
        for name, ready in list(self._ready.items()):
            if name not in found:
                self._drop(name, Fate.VANISHED)
            elif times[name] > 1 or found[name].size != ready.listed:
                reason = "its UIDL stands for another message now, or for several"
                self._drop(name, Fate.UNCHECKED, reason)
                del found[name]
        return found

    def _mark(self, found: Mapping[str, Ref]) -> str:
        """Delete these messages, in the session that listed them. Those that were marked are UNCONFIRMED from now on.
        Returns what was in the way, in words: then nobody knows what has gone."""
        refs = sorted(found.values(), key=lambda ref: ref.position)
        try:
            for ref, refusal in self._source.delete(refs):
                assert ref.key is not None
                if refusal:
                    self._drop(ref.key.name, Fate.SURVIVED, refusal)
                else:
                    self._fates.put(self._ready[ref.key.name].position, Fate.UNCONFIRMED)
                self._progress.advance(0, 1)
        except ConnectionLost as error:
            self._source.close(settled=False)
            return error.what
        if self._stop.is_set():
            self._source.close(settled=False)
            return "stopped before QUIT"
        self._journal.begin_removing([Key(self._source.id, name) for name in found if name in self._ready])
        return self._source.commit()

    def _confirm(self, listing: Listing, names: Sequence[str], trouble: str) -> bool:
        """What of the messages that were marked is gone? That is noted in the journal. Returns whether it is all."""
        listed = {ref.key.name for ref in listing.refs if ref.key is not None}
        gone = [name for name in names if name not in listed]
        self._journal.remove([Key(self._source.id, name) for name in gone])
        for name in gone:
            self._drop(name, Fate.DELETED)
        for name in names:
            if name in listed and trouble:
                self._drop(name, Fate.LATER)
            elif name in listed:
                self._drop(name, Fate.SURVIVED, "the server agreed to delete it, and lists it all the same")
        return len(gone) == len(names)

    # -- the first ones

    def _first(self) -> Listing | None:
        """Delete one message of each mailbox, and look what that does. Returns the listing of a new session if the rest
        may follow."""
        found = self._found_in(self._open(again=True))
        first = self._representatives(found)
        sizes = frozenset(size for octets in first.values() for size in octets.likely_sizes)
        before = self._standing_of(first, sizes)
        if (fault := before.fault) or not first:
            for name in first:
                self._drop(name, Fate.UNCHECKED, fault)
            return None
        for octets in first.values():
            self._rescue.keep(octets)
        self._progress.start("deleting the first messages", 0, len(first))
        trouble = self._mark({name: found[name] for name in first})
        marked = [name for name in first if name in self._ready]  # the server refused the others
        if marked and not self._are_they_others(marked, before, sizes):
            return None
        self._rescue.forget()
        if not marked:
            return None
        if trouble:
            self._remark(f"the first session did not end well: {trouble}")
        listing = self._open(again=True)
        if self._confirm(listing, marked, trouble) and len(marked) == len(first):
            return listing
        if not trouble:
            self._remark("the server keeps what is deleted over POP3, so nothing else was tried")
        return None

    def _representatives(self, found: Mapping[str, Ref]) -> dict[str, Octets]:
        """The smallest message of each mailbox with copies, read once more."""
        read: dict[str, Octets] = {}
        while True:
            left = (name for name in found if name in self._ready)
            by_size = sorted(left, key=lambda name: (found[name].size, found[name].position))
            chosen = self._evidence.first_of_each(by_size)
            new = [name for name in chosen if name not in read]
            if not new:
                return {name: read[name] for name in chosen}
            for name, item in zip(new, self._source.read([found[name] for name in new]), strict=True):
                if isinstance(item, Message) and item.octets.digest == self._ready[name].digest:
                    read[name] = item.octets
                else:
                    self._drop(name, Fate.UNCHECKED, "read once more, it was not what it had been")

    def _are_they_others(self, names: Sequence[str], before: Standing, sizes: frozenset[int]) -> bool:
        """Whether the copies of these messages, which were deleted, are where they were ``before``, and nothing of
        these sizes is gone; else ``alarm`` says so. Whatever is in the way, the messages are kept on this disk."""
        try:
            after = self._standing_of(names, sizes)
        except Pop2imapError:
            self._remark(
                f"deleted at the source: {in_messages(len(names))}; whether the copies are still in the target could "
                f"not be looked at, so what was deleted is kept in {self._rescue.directory}"
            )
            raise
        if fault := after.fault_since(before):
            self._alarm = (
                f"{in_messages(len(names))} marked as deleted at the source, and then the target was not as it had "
                f"been ({fault}): the two seem to be one mailbox. What was deleted is kept in "
                f"{self._rescue.directory}, as .eml, for you to put back; no other message was touched"
            )
            self._rescue.alarm()
        return not fault

    def _standing_of(self, names: Iterable[str], sizes: frozenset[int]) -> Standing:
        """How the target stands to these messages, of these sizes, now. No stop ends this."""
        evidence = Evidence(
            self._journal, self._source.id, also_rewritten=self._choice.also_rewritten, watched=True
        )
        keys = [Key(self._source.id, name) for name in names]
        entries = self._journal.lookup(keys)
        for key in keys:
            evidence.ask(key.name, entries[key])
        if not keys:
            return Standing()
        comparison = self._look_at_target(evidence, threading.Event())
        faults = [reason for _, fate, reason in evidence.answers() if fate is not Fate.READY]
        return Standing(evidence.places, comparison.of_sizes(sizes), "; ".join(faults))

    # -- the others

    def _rest(self, listing: Listing) -> None:
        """Delete all that may be deleted, in the session of this listing, and see what is gone."""
        found = self._found_in(listing)
        if not found or self._stop.is_set():
            self._source.close(settled=True)
            return
        self._progress.start("deleting", 0, len(found))
        trouble = self._mark(found)
        marked = [name for name in found if name in self._ready]
        if trouble:
            self._remark(f"the session did not end well, so the next listing tells what is gone: {trouble}")
        if not self._confirm(self._open(again=True), marked, trouble) and not trouble:
            self._remark("the server said that all is deleted, and lists some of it all the same")
        self._source.close(settled=True)

    # -- the end

    def report(self) -> DeletionReport:
        """What is known by now."""
        counts = self._fates.counts()
        interrupted: ExitCode | None = None
        if self._stop.is_set() and self._error is None:
            interrupted = self._stop.exit_code if isinstance(self._stop, Stop) else Stop.exit_code
        return DeletionReport(
            asked=self._asked,
            started=self._started,
            finished=self._now(),
            source=self._source.id,
            target=self._target.identity,
            complete=self._complete,
            listed=sum(counts.values(), Count()),
            counts=counts,
            remarks=tuple(self._remarks),
            left=self._fates.left(),
            stuck=self._stuck,
            alarm=self._alarm,
            error=self._error,
            interrupted=interrupted,
        )
