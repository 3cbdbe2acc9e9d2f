"""Placing: from decided messages to batches that are durable intents, and from outcomes to accounts.

The order that nothing may change: look whether it is there already, *then* intend durably, *then* send. A
batch leaves this module only with its intents committed (the invariant of :mod:`pop2imap.journal`).

A copy that the server refused for good may be changed and tried again (:mod:`pop2imap.changes`). Its intent is taken
back, as if nothing had been sent, the original is kept, and what it was changed into goes the same way as any other
copy: looked for, intended, sent.

This file stays whole although it is long: it is one life of a copy, and the order of its steps is the point.

A message may go to several folders; it gets its account when the last of its copies has an outcome. A
message with a copy whose outcome is unknown gets none: it is pending, and recovery will know.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pop2imap.batching import BatchSize
from pop2imap.budgets import Budgets
from pop2imap.changes import Change, changes
from pop2imap.daily import Quota
from pop2imap.decide import PART, Decided, decided_by, is_deleted
from pop2imap.errors import Again, ConnectionLost, DailyLimitReached, FolderError, Pop2imapError, ServerBusy
from pop2imap.folders import Folders
from pop2imap.hints import longer
from pop2imap.journal import Entry, Home, Journal, Placement, Record
from pop2imap.listed import Wanted
from pop2imap.model import (
    SETTLED,
    Account,
    Batch,
    Key,
    Mailbox,
    Message,
    Octets,
    Outcome,
    Refused,
    Stored,
    Unknown,
    Unread,
    Upload,
    place_of,
)
from pop2imap.progress import Progress
from pop2imap.rates import UNLIMITED, Limits
from pop2imap.repair import Repairs
from pop2imap.report import PROBLEMS
from pop2imap.report.builder import ReportBuilder, SourceLedger

BATCH_MESSAGES = 128
BATCH_OCTETS = 4 << 20

_FOR_A_PERSON = frozenset({Account.REFUSED, Account.HELD})


@dataclass(slots=True)
class _Open:
    """A message on its way: how many of its copies have no outcome yet, what became of the others (of earlier
    runs, too), how many were stored just now, and what was repaired in them."""

    item: Decided
    accounts: list[Account]
    waiting: int = 0
    copies: int = 1
    reason: str = ""
    sent: int = 0
    repairs: Repairs = ()

    def refuse(self, reason: str) -> None:
        self.accounts.append(Account.REFUSED)
        self.reason = reason


@dataclass(slots=True)
class _Copy:
    """One copy on its way: the octets that are sent, and, once they were refused, why, and what else to try."""

    opened: _Open
    placement: Placement
    octets: Octets
    refusal: str = ""
    left: list[Change] | None = None


@dataclass(slots=True)
class _Waiting:
    """Copies for one mailbox that wait for company."""

    copies: list[_Copy] = field(default_factory=list)
    octets: int = 0


class Placer:
    """Places the messages of one listing; used by the account thread alone (see ``pipeline.Placing``).

    ``known``: what the journal knows of a key. ``renamed``: the settled key that this new key and digest stand
    for, if its source renamed it. ``other_sources``: whether the same octets may have come from another source.
    ``wanted``: which messages are to be placed at all. ``repairs``: what may be changed in refused messages, whose
    octets ``wanted.quarantine`` keeps; ``spool`` is for large repaired ones. ``harm``: why these octets must not be
    sent, or nothing. ``most``: how many messages to place; the others are left pending, and ``cut_short`` says so.
    ``limits`` and ``quota`` are those of the target.
    """

    def __init__(
        self,
        *,
        journal: Journal,
        folders: Folders,
        rules_digest: str,
        ledger: SourceLedger,
        builder: ReportBuilder,
        budgets: Budgets,
        progress: Progress,
        known: Callable[[Key], Entry | None],
        renamed: Callable[[Key, bytes], Key | None],
        other_sources: bool,
        wanted: Wanted,
        repairs: Repairs = (),
        spool: Path | None = None,
        harm: Callable[[Octets], str],
        most: int | None = None,
        limits: Limits = UNLIMITED,
        quota: Quota | None = None,
    ) -> None:
        self._journal, self._folders = journal, folders
        self._rules_digest = rules_digest
        self._ledger, self._builder = ledger, builder
        self._budgets, self._progress = budgets, progress
        self._known, self._renamed = known, renamed
        self._other_sources = other_sources
        self._rewritten: dict[bytes, dict[bytes, int]] | None = None  # see the journal
        self._lent: Counter[bytes] = Counter()  # by match digest
        self._wanted, self._quarantine = wanted, wanted.quarantine
        self._repairs, self._spool, self._harm = repairs, spool, harm
        self._most, self._quota = most, quota
        self._full = BatchSize(*limits.at_once(BATCH_OCTETS, BATCH_MESSAGES), time.monotonic)
        self.cut_short = False
        self._waiting: dict[str, _Waiting] = {}
        self._open: dict[int, _Copy] = {}  # by placement id
        self._broken: Pop2imapError | None = None

    @property
    def broken(self) -> Pop2imapError | None:
        return self._broken

    def tick(self) -> None:
        self._journal.touch()

    # -- what comes from the source

    def foresee(self, items: Sequence[Decided]) -> None:
        """Prepare together what folders these need, as far as it is sure that they come to be placed."""
        new = [item for item in items if not all(map(self._folders.knows, item.decision.folders))]
        if len(new) > 1 and self._most is None and self._quota is None and not self._other_sources:
            self._folders.foresee(
                folder
                for item in new
                if self._known(item.message.key) is None
                and not self._renamed(item.message.key, item.message.octets.digest)
                for folder in item.decision.folders
            )

    def take(self, item: Decided | Unread) -> Iterator[Batch]:
        if isinstance(item, Unread):
            self._take_unread(item)
            return
        message, decision = item.message, item.decision
        entry = self._known(message.key)
        placed = entry.placed.values() if entry else ()
        begun = any(account is not Account.REFUSED for account in placed)  # it borrows no copy from another
        if entry is not None and entry.account in SETTLED:
            self._known_as(item, entry)  # a message that its source could not name before it was read
        elif entry is not None and not self._wanted.tries(entry.account) and entry.account in _FOR_A_PERSON:
            self._close(item, entry.account, entry.reason)  # read to be kept, or for its name
        elif self._wanted.leaves(entry, decided_by(self._rules_digest, place_of(message.folders))):
            self._budgets.release(message.octets.size)  # nor is it any other message's turn
        elif not placed and (old := self._renamed(message.key, message.octets.digest)):
            self._journal.rebind(old, message.key)
            self._known_as(item, self._journal.lookup([message.key])[message.key])
        elif decision.skip:
            self._journal.note([self._record(item, Account.SKIPPED, decision.skip)])
            self._builder.judged(item, skipped=decision.skip)
            self._close(item, Account.SKIPPED)
        elif not begun and self._other_sources and self._is_elsewhere(message):
            self._journal.note(
                [self._record(item, Account.PRESENT, "the same octets came from another source")]
            )
            self._builder.judged(item)
            self._close(item, Account.PRESENT)
            self._repaired(item, self._journal.lookup([message.key])[message.key].repairs)
        elif self._most == 0:
            self.cut_short = True
            self._budgets.release(message.octets.size)
        else:
            yield from self._place(item, entry)

    def _is_elsewhere(self, message: Message) -> bool:
        """Whether another source brought these octets, or others that are the same but for what servers make of them.
        Each of theirs stands for one of ours."""
        octets = message.octets
        if self._journal.elsewhere(message.key, octets.digest):
            return True
        if self._rewritten is None:
            self._rewritten = self._journal.rewritten(message.key.source)
        match = octets.match_digest
        alike = self._rewritten.get(match, {})
        brought = sum(messages for digest, messages in alike.items() if digest != octets.digest)
        if match != octets.digest:
            brought += self._journal.elsewhere(message.key, match)
        if brought <= self._lent[match]:
            return False
        self._lent[match] += 1
        return True

    def _take_unread(self, item: Unread) -> None:
        size = self._ledger.size_of(item.position)
        self._ledger.put(item.position, item.account, size)
        self._progress.advance(size, 1)
        if item.account is Account.PENDING:
            self._builder.remark(f"{self._ledger.source}: {item.reason}")
            return
        if item.key is not None:
            self._journal.note([Record(item.key, item.account, size, reason=item.reason)])
        self._builder.problem(
            item.account, self._ledger.source, item.position, item.key, item.reason, size=size
        )

    def _place(self, item: Decided, entry: Entry | None) -> Iterator[Batch]:
        mailboxes, folders = (entry.mailboxes, entry.placed) if entry else ({}, {})
        placed = {name: account for name, account in mailboxes.items() if not self._wanted.tries(account)}
        # by folder: two copies that their owner has moved may lie in one mailbox
        accounts = [account for account in folders.values() if not self._wanted.tries(account)]
        opened = _Open(item, accounts, repairs=entry.repairs if entry else ())
        wanted: dict[str, Mailbox] = {}
        for folder in item.decision.folders:
            if folder in folders and not self._wanted.tries(folders[folder]):
                continue
            try:
                mailbox = self._folders.mailbox(folder)
            except FolderError as error:
                opened.refuse(str(error))
                continue
            size, limit = item.message.octets.size, mailbox.append_limit
            if limit is not None and size > limit:
                opened.refuse(f"{size} octets; the target takes {limit} at most")
                continue
            if harm := self._harm(item.message.octets):
                opened.refuse(harm)
                continue
            if mailbox.name not in placed:
                wanted.setdefault(mailbox.name, mailbox)  # INBOX and inbox are one
        if wanted and self._most:
            self._most -= 1
        opened.waiting = len(wanted)
        opened.copies = len(opened.accounts) + len(wanted)
        if not wanted:
            self._finish(opened)
        for mailbox in wanted.values():
            yield from self._join(opened, mailbox)

    def _join(self, opened: _Open, mailbox: Mailbox) -> Iterator[Batch]:
        """One copy waits for company, unless it makes a full batch."""
        size = opened.item.message.octets.size
        waiting = self._waiting.get(mailbox.name)
        if waiting is not None and waiting.octets + size > self._full.octets:
            yield from self._dispatch(mailbox.name)
            waiting = None
        if waiting is None:
            waiting = self._waiting[mailbox.name] = _Waiting()
        waiting.copies.append(
            _Copy(opened, self._placement(opened.item, mailbox), opened.item.message.octets)
        )
        waiting.octets += size
        if len(waiting.copies) >= self._full.messages or waiting.octets >= self._full.octets:
            yield from self._dispatch(mailbox.name)

    def _placement(self, item: Decided, mailbox: Mailbox) -> Placement:
        kept = tuple(sorted(flag for flag in item.flags if mailbox.takes(flag)))
        return Placement(
            key=item.message.key,
            folder=mailbox.folder,
            mailbox=mailbox.name,
            uidvalidity=mailbox.uidvalidity,
            lower_bound=mailbox.uidnext,
            match_digest=item.message.octets.match_digest,
            size=item.message.octets.size,
            date=item.date,
            flags=kept,
        )

    def flush(self) -> Iterator[Batch]:
        waiting, self._waiting = self._waiting, {}
        yield from self._send(*(one.copies for one in waiting.values()))

    def _dispatch(self, name: str) -> Iterator[Batch]:
        """What waits for one mailbox: present already, or durably intended and on its way."""
        yield from self._send(self._waiting.pop(name).copies)

    def _send(self, *groups: list[_Copy]) -> Iterator[Batch]:
        """Batches of those of these copies (each group for one mailbox) that are not there already. Their intents
        become durable together: one commit, however many folders there are."""
        going: list[tuple[Mailbox, list[_Copy]]] = []
        for copies in groups:
            try:
                mailbox = self._folders.mailbox(copies[0].placement.folder)
                going.append((mailbox, self._without_present(mailbox, copies)))
            except FolderError as error:  # what is in there cannot be seen: nothing is sent there blindly
                for copy in copies:
                    self._outcome(copy.opened, Account.REFUSED, str(error))
        sent = self._within_quota([copy for _, copies in going for copy in copies])
        if not sent:
            return
        ids = self._journal.intend(
            [
                self._record(
                    c.opened.item,
                    Account.PENDING,
                    copies=c.opened.copies,
                    subject=c.opened.item.subject,  # the report names it if it is held
                )
                for c in sent
            ],
            [copy.placement for copy in sent],
        )
        self._open.update(zip(ids, sent, strict=True))
        self._full.sent()
        at = 0
        for mailbox, copies in going:
            own = sent[at : at + len(copies)]
            if own:
                uploads = [Upload(c.octets, c.placement.flags, c.placement.date) for c in own]
                yield Batch(mailbox, ids[at : at + len(own)], uploads)
            at += len(copies)

    def _without_present(self, mailbox: Mailbox, copies: list[_Copy]) -> list[_Copy]:
        """The copies that are not in the mailbox already; the others are present from now on."""
        inventory = self._folders.inventory(mailbox)
        if not inventory:
            return copies
        left = []
        uids = inventory.claim([copy.octets for copy in copies])
        for copy, uid in zip(copies, uids, strict=True):
            if uid is None:
                left.append(copy)
                continue
            record = self._record(copy.opened.item, Account.PENDING, copies=copy.opened.copies)
            self._journal.present(record, copy.placement, uid)
            self._folders.present(mailbox, uid)
            self._outcome(copy.opened, Account.PRESENT, repairs=copy.placement.repairs)
        return left

    def _within_quota(self, copies: list[_Copy]) -> list[_Copy]:
        """The copies that may go today; with the first that may not, the run comes to its end."""
        if self._quota is None or not copies:
            return copies
        over = isinstance(self._broken, DailyLimitReached)
        number = 0 if over else self._quota.fits(copy.octets.size for copy in copies)
        for copy in copies[number:]:
            self._outcome(copy.opened, Account.PENDING)
        if number < len(copies) and self._broken is None:
            self._broken = self._quota.reached(copies[number].octets.size)
        return copies[:number]

    # -- what comes from the target

    def settle(self, batch: Batch, outcomes: Sequence[Outcome]) -> Iterator[Batch]:
        self._journal.touch()
        copies = [self._open.pop(placement_id) for placement_id in batch.ids]
        self._full.settled(batch.octets, len(copies), idle=not self._open)
        known = [self._unless_repairable(c, outcome) for c, outcome in zip(copies, outcomes, strict=True)]
        self._journal.settle(zip(batch.ids, known, strict=True))
        for_good: list[_Copy] = []
        for copy, outcome in zip(copies, outcomes, strict=True):
            if isinstance(outcome, Stored):
                self._stored(copy, batch.mailbox, outcome)
            elif _for_good(outcome):
                for_good.append(copy)
            else:
                self._break(outcome, batch.mailbox.folder)
                self._outcome(copy.opened, Account.PENDING)
        for copy in for_good:  # last what needs the disk
            if not copy.left:
                self._outcome(copy.opened, Account.REFUSED, copy.refusal)
            elif self._broken:
                self._outcome(copy.opened, Account.PENDING)
            else:
                self._builder.gave_up(copy.octets.digest)
                yield from self._change(copy, batch.mailbox)

    def _stored(self, copy: _Copy, mailbox: Mailbox, outcome: Stored) -> None:
        opened, placement = copy.opened, copy.placement
        self._builder.added(placement.folder, opened.item.message.octets.size, placement.flags)
        if dropped := opened.item.flags.difference(placement.flags):
            self._builder.dropped(dropped)
        opened.sent += 1
        self._folders.stored(mailbox, outcome)
        self._outcome(opened, Account.STORED, repairs=placement.repairs)

    def _break(self, outcome: Refused | Unknown, folder: str) -> None:
        """Nothing more can be placed: what the server said first is why, unless the connection was lost as well.
        Of all the times that it wanted to be left alone, the longest counts."""
        broken = self._broken
        if isinstance(outcome, Unknown) or outcome.again is Again.NOW:
            if not isinstance(broken, ConnectionLost) and (broken is None or isinstance(outcome, Unknown)):
                self._broken = ConnectionLost(outcome.reason, where=folder)
        elif broken is None:
            todo = "run again later: it goes on from here"
            self._broken = ServerBusy(outcome.reason, where=folder, todo=todo)
        assert self._broken is not None
        before = broken.retry_after if broken else None
        self._broken.retry_after = longer(before, outcome.retry_after)

    def _unless_repairable(self, copy: _Copy, outcome: Outcome) -> Outcome:
        """What the journal is to know of this outcome: of a refused copy that can still be repaired, that it is not
        there, so that a run that is killed here takes it up again."""
        if not isinstance(outcome, Refused) or not _for_good(outcome):
            return outcome
        if copy.left is None:
            copy.left = changes(copy.octets, copy.placement.flags, self._repairs, self._spool)
            copy.refusal = outcome.reason
        elif not copy.left:
            copy.refusal += f"; and changed it was refused, too: {outcome.reason}"
            return outcome._replace(reason=copy.refusal)
        return outcome._replace(again=Again.LATER) if copy.left else outcome

    def _change(self, copy: _Copy, mailbox: Mailbox) -> Iterator[Batch]:
        """Send the next changed form of a refused copy, once its original is kept."""
        assert copy.left
        change = copy.left.pop(0)
        original = copy.opened.item.message.octets
        if change.repairs:
            assert self._quarantine is not None
            self._quarantine.keep(original)
        octets = change.octets(original, self._spool)
        usual = self._placement(copy.opened.item, mailbox)
        placement = usual._replace(
            flags=change.flags(usual.flags),
            match_digest=octets.match_digest,
            size=octets.size,
            repairs=change.repairs,
        )
        yield from self._send([replace(copy, placement=placement, octets=octets)])

    # -- the account of a message

    def _outcome(self, opened: _Open, account: Account, reason: str = "", repairs: Repairs = ()) -> None:
        opened.accounts.append(account)
        opened.reason = reason or opened.reason
        if repairs:
            opened.repairs = tuple(dict.fromkeys((*opened.repairs, *repairs)))
        opened.waiting -= 1
        if opened.waiting == 0:
            self._finish(opened)

    def _finish(self, opened: _Open) -> None:
        item, account = opened.item, account_of(opened.accounts)
        if account is Account.PENDING:
            # it has no account yet: the end of the run, or the next try, gives it one
            self._budgets.release(item.message.octets.size)
            return
        if account in PROBLEMS:
            self._journal.note(
                [self._record(item, account, opened.reason, opened.copies, subject=item.subject)]
            )
        self._builder.judged(item)
        self._builder.stored(item.message.octets.size, opened.sent)
        self._close(item, account, opened.reason)
        self._repaired(item, opened.repairs)

    def _known_as(self, item: Decided, settled: Entry) -> None:
        self._close(item, settled.account)
        self._repaired(item, settled.repairs)

    def _repaired(self, item: Decided, repairs: Repairs) -> None:
        if repairs:
            octets = item.message.octets
            saved = self._wanted.saved(octets.digest)
            self._builder.repaired(self._ledger.source, item.message.key, octets.size, repairs, saved)

    def _close(self, item: Decided, account: Account, reason: str = "") -> None:
        """The message has its account."""
        position, octets = item.message.position, item.message.octets
        saved = None
        if account is Account.REFUSED and self._quarantine is not None:
            saved = self._quarantine.keep(octets)
        self._ledger.put(position, account, octets.size)
        if account in PROBLEMS:
            self._builder.problem(
                account,
                self._ledger.source,
                position,
                item.message.key,
                reason,
                date=item.date,
                subject=item.subject,
                size=octets.size,
                saved=saved,
            )
        self._budgets.release(octets.size)
        self._progress.advance(octets.size, 1)

    def _record(
        self, item: Decided, account: Account, reason: str = "", copies: int = 1, subject: str = ""
    ) -> Record:
        return record_of(item, self._rules_digest, account, reason, copies, subject)


def _for_good(outcome: Outcome) -> bool:
    return isinstance(outcome, Refused) and outcome.again is Again.NEVER


def account_of(copies: Sequence[Account]) -> Account:
    """The account of a message from those of its copies: the worst one decides."""
    for worst in (Account.PENDING, Account.HELD, Account.REFUSED, Account.STORED):
        if worst in copies:
            return worst
    return Account.PRESENT


def record_of(
    item: Decided, rules_digest: str, account: Account, reason: str = "", copies: int = 1, subject: str = ""
) -> Record:
    """What the journal is to remember of a message."""
    return Record(
        key=item.message.key,
        account=account,
        size=item.message.octets.size,
        digest=item.message.octets.digest,
        date=item.date,
        date_from=item.date_from,
        reason=reason,
        why=" + ".join(item.decision.rules) or "no rule matched",  # kept for good: no word of the message
        # whether the maildrop has the whole of a part is asked again in each run
        rules_digest="" if reason == PART else decided_by(rules_digest, place_of(item.message.folders)),
        subject=subject,
        copies=copies,
        home=home_of(item.message),
    )


def home_of(message: Message) -> Home | None:
    """By which name the mail program that it comes from knows it, if it said so."""
    if not message.uidl:
        return None
    return Home(message.maildrop, message.uidl, is_deleted(message), message.partial)
