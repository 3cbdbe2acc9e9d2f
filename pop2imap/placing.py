"""Placing: from decided messages to batches that are durable intents, and from outcomes to accounts.

The order that nothing may change: look whether it is there already, *then* intend durably, *then* send. A
batch leaves this module only with its intents committed (the invariant of :mod:`pop2imap.journal`).

A message may go to several folders; it gets its account when the last of its copies has an outcome. A
message with a copy whose outcome is unknown gets none: it is pending, and recovery will know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from pop2imap.decide import Decided
from pop2imap.errors import Again, ConnectionLost, FolderError, Pop2imapError, ServerBusy
from pop2imap.folders import Folders
from pop2imap.journal import Entry, Journal, Placement, Record
from pop2imap.model import (
    SETTLED,
    Account,
    Key,
    Mailbox,
    Outcome,
    Refused,
    Stored,
    Unknown,
    Unread,
    Upload,
)
from pop2imap.pipeline import Batch, Budgets
from pop2imap.progress import Progress
from pop2imap.report import PROBLEMS
from pop2imap.report.builder import ReportBuilder, SourceLedger

BATCH_MESSAGES = 64
BATCH_OCTETS = 4 << 20

Copy = tuple["_Open", Placement]


@dataclass(slots=True)
class _Open:
    """A message on its way: how many of its copies have no outcome yet, what became of the others (of earlier
    runs, too), and how many were stored just now."""

    item: Decided
    accounts: list[Account]
    waiting: int = 0
    copies: int = 1
    reason: str = ""
    sent: int = 0

    def refuse(self, reason: str) -> None:
        self.accounts.append(Account.REFUSED)
        self.reason = reason


@dataclass(slots=True)
class _Waiting:
    """Copies for one mailbox that wait for company."""

    copies: list[Copy] = field(default_factory=list)
    octets: int = 0


class Placer:
    """Places the messages of one listing; used by the account thread alone (see ``pipeline.Placing``).

    ``known``: what the journal knows of a key. ``renamed``: the settled key that this new key and digest stand
    for, if its source renamed it. ``other_sources``: whether the same octets may have come from another source.
    ``most``: how many messages to place; the others are left pending, and ``cut_short`` says so.
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
        most: int | None = None,
    ) -> None:
        self._journal, self._folders = journal, folders
        self._rules_digest = rules_digest
        self._ledger, self._builder = ledger, builder
        self._budgets, self._progress = budgets, progress
        self._known, self._renamed = known, renamed
        self._other_sources = other_sources
        self._most = most
        self.cut_short = False
        self._waiting: dict[str, _Waiting] = {}
        self._open: dict[int, Copy] = {}  # by placement id
        self._broken: Pop2imapError | None = None

    @property
    def broken(self) -> Pop2imapError | None:
        return self._broken

    def tick(self) -> None:
        self._journal.touch()

    # -- what comes from the source

    def take(self, item: Decided | Unread) -> Iterator[Batch]:
        if isinstance(item, Unread):
            self._take_unread(item)
            return
        message, decision = item.message, item.decision
        entry = self._known(message.key)
        begun = entry is not None and bool(entry.placed)  # what has a copy of its own borrows from no other
        if entry is not None and entry.account in SETTLED:
            self._close(item, entry.account)  # a message that its source could not name before it was read
        elif not begun and (old := self._renamed(message.key, message.octets.digest)):
            self._journal.rebind(old, message.key)
            self._close(item, self._journal.lookup([message.key])[message.key].account)
        elif decision.skip:
            self._journal.note([self._record(item, Account.SKIPPED, decision.skip)])
            self._builder.judged(item, skipped=decision.skip)
            self._close(item, Account.SKIPPED)
        elif (
            not begun and self._other_sources and self._journal.elsewhere(message.key, message.octets.digest)
        ):
            self._journal.note(
                [self._record(item, Account.PRESENT, "the same octets came from another source")]
            )
            self._builder.judged(item)
            self._close(item, Account.PRESENT)
        elif self._most == 0:
            self.cut_short = True
            self._budgets.release(message.octets.size)
        else:
            yield from self._place(item, entry)

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
        placed = dict(entry.mailboxes) if entry else {}
        opened = _Open(item, list(placed.values()))
        wanted: dict[str, Mailbox] = {}
        for folder in item.decision.folders:
            if entry and folder in entry.placed:
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
        waiting = self._waiting.setdefault(mailbox.name, _Waiting())
        if waiting.copies and waiting.octets + size > BATCH_OCTETS:
            yield from self._dispatch(mailbox.name)
            waiting = self._waiting.setdefault(mailbox.name, _Waiting())
        waiting.copies.append((opened, self._placement(opened.item, mailbox)))
        waiting.octets += size
        if len(waiting.copies) >= BATCH_MESSAGES or waiting.octets >= BATCH_OCTETS:
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
        for name in list(self._waiting):
            yield from self._dispatch(name)

    def _dispatch(self, name: str) -> Iterator[Batch]:
        """What waits for one mailbox: present already, or durably intended and on its way."""
        copies = self._waiting.pop(name).copies
        try:
            mailbox = self._folders.mailbox(copies[0][1].folder)
            copies = self._without_present(mailbox, copies)
        except FolderError as error:  # what is in there cannot be seen: nothing is sent there blindly
            for opened, _ in copies:
                self._outcome(opened, Account.REFUSED, str(error))
            return
        if copies:
            ids = self._journal.intend(
                [self._record(opened.item, Account.PENDING, copies=opened.copies) for opened, _ in copies],
                [placement for _, placement in copies],
            )
            self._open.update(zip(ids, copies, strict=True))
            yield Batch(
                mailbox, ids, [Upload(opened.item.message.octets, p.flags, p.date) for opened, p in copies]
            )

    def _without_present(self, mailbox: Mailbox, copies: list[Copy]) -> list[Copy]:
        """The copies that are not in the mailbox already; the others are present from now on."""
        inventory = self._folders.inventory(mailbox)
        if not inventory:
            return copies
        left = []
        uids = inventory.claim([opened.item.message.octets for opened, _ in copies])
        for (opened, placement), uid in zip(copies, uids, strict=True):
            if uid is None:
                left.append((opened, placement))
                continue
            record = self._record(opened.item, Account.PENDING, copies=opened.copies)
            self._journal.present(record, placement, uid)
            self._outcome(opened, Account.PRESENT)
        return left

    # -- what comes from the target

    def settle(self, batch: Batch, outcomes: Sequence[Outcome]) -> None:
        self._journal.touch()
        self._journal.settle(zip(batch.ids, outcomes, strict=True))
        for placement_id, outcome in zip(batch.ids, outcomes, strict=True):
            opened, placement = self._open.pop(placement_id)
            match outcome:
                case Stored():
                    size = opened.item.message.octets.size
                    self._builder.added(placement.folder, size, placement.flags)
                    self._builder.dropped(opened.item.flags - set(placement.flags))
                    opened.sent += 1
                    self._folders.stored(batch.mailbox, outcome)
                    self._outcome(opened, Account.STORED)
                case Refused(again=Again.NEVER):
                    self._outcome(opened, Account.REFUSED, outcome.reason)
                case Refused(again=Again.NOW):
                    self._broken = self._broken or ConnectionLost(outcome.reason, where=batch.mailbox.folder)
                    self._outcome(opened, Account.PENDING)
                case Refused():
                    self._broken = self._broken or ServerBusy(
                        outcome.reason,
                        where=batch.mailbox.folder,
                        todo="run again later: it goes on from here",
                    )
                    self._outcome(opened, Account.PENDING)
                case Unknown():
                    if not isinstance(self._broken, ConnectionLost):
                        self._broken = ConnectionLost(outcome.reason, where=batch.mailbox.folder)
                    self._outcome(opened, Account.PENDING)

    # -- the account of a message

    def _outcome(self, opened: _Open, account: Account, reason: str = "") -> None:
        opened.accounts.append(account)
        opened.reason = reason or opened.reason
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

    def _close(self, item: Decided, account: Account, reason: str = "") -> None:
        """The message has its account."""
        key, position, size = item.message.key, item.message.position, item.message.octets.size
        self._ledger.put(position, account, size)
        self._builder.problem(
            account,
            self._ledger.source,
            position,
            key,
            reason,
            date=item.date,
            subject=item.subject,
            size=size,
        )
        self._budgets.release(size)
        self._progress.advance(size, 1)

    def _record(
        self, item: Decided, account: Account, reason: str = "", copies: int = 1, subject: str = ""
    ) -> Record:
        return Record(
            key=item.message.key,
            account=account,
            size=item.message.octets.size,
            digest=item.message.octets.digest,
            date=item.date,
            date_from=item.date_from,
            reason=reason,
            why=" + ".join(item.decision.rules) or "no rule matched",  # kept for good: no word of the message
            rules_digest=self._rules_digest,
            subject=subject,
            copies=copies,
        )


def account_of(copies: Sequence[Account]) -> Account:
    """The account of a message from those of its copies: the worst one decides."""
    for worst in (Account.PENDING, Account.HELD, Account.REFUSED, Account.STORED):
        if worst in copies:
            return worst
    return Account.PRESENT
