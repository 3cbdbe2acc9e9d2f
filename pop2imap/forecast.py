"""What a run would do with each message: the end of the line in a dry run, in place of :mod:`placing`.

Writes nowhere: not in the target, not in the journal. Without a reachable target it says less, and says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from pop2imap import repair
from pop2imap.at_home import Planned, Wholes
from pop2imap.decide import Decided
from pop2imap.errors import FolderError, Pop2imapError
from pop2imap.inventory import Inventory
from pop2imap.journal import Entry
from pop2imap.journal.history import History
from pop2imap.listed import tries
from pop2imap.model import SETTLED, Account, Mailbox, Unread
from pop2imap.options import Options
from pop2imap.progress import Progress
from pop2imap.report import Count
from pop2imap.report.builder import ReportBuilder, SourceLedger
from pop2imap.target import Target, TargetFacts
from pop2imap.target.linter import Linter


class Forecast:
    """The folders of one plan, as they are now, and what would come into them."""

    def __init__(
        self,
        builder: ReportBuilder,
        progress: Progress,
        target: Target | None,
        history: History | None,
        *,
        options: Options,
        facts: TargetFacts | None,
        wholes: Wholes,
    ) -> None:
        self._builder, self._progress = builder, progress
        self.target, self._history = target, history
        self._options, self._facts = options, facts
        self._linter = Linter(facts) if facts else None
        self._repaired: set[tuple[str, int]] = set()
        self._mailboxes: dict[str, Mailbox | None] = {}
        self._inventories: dict[str, Inventory | None] = {}
        self._from: dict[bytes, Counter[str]] = {}  # digest → copies planned by source
        self.planned, self.wholes = Planned(), wholes
        self.shared = 0
        """Messages that come from one source and are in another, too."""
        self._coming = Count()
        self._unlooked = 0
        self.elsewhere = 0
        """Stored messages that the rules of today would put into another folder."""

    def take(self, item: Decided | Unread, ledger: SourceLedger, entry: Entry | None) -> None:
        """Account for one message: PENDING is what would be moved."""
        if isinstance(item, Unread):
            size = ledger.size_of(item.position)
            ledger.put(item.position, item.account, size)
            self._builder.problem(
                item.account, ledger.source, item.position, item.key, item.reason, size=size
            )
            self._progress.advance(size, 1)
            return
        if entry is not None and entry.account in SETTLED:
            account = entry.account
            # without placements, another source brought it, and its own placements count
            self.elsewhere += bool(entry.placed) and not set(item.decision.folders) <= set(entry.placed)
        else:
            account = self._account(item, ledger.source, entry.placed if entry else {})
        self.planned.add(item.message, account)
        ledger.put(item.message.position, account, item.message.size)
        self._progress.advance(item.message.size, 1)

    def _account(self, item: Decided, source: str, placed: Mapping[str, Account]) -> Account:
        message, decision = item.message, item.decision
        rule = decision.rules[-1] if decision.rules else ""
        if decision.skip:
            self._builder.judged(item, skipped=decision.skip)
            self._builder.why(rule, "", "; ".join(decision.why))
            return Account.SKIPPED
        self._builder.judged(item)
        if message.whole and self._from_elsewhere(item, source):
            self.shared += 1
            return Account.PRESENT
        accounts = [
            placed[folder]
            if folder in placed and not tries(self._options, placed[folder])
            else self._copy(item, source, rule, folder)
            for folder in decision.folders
        ]
        for worst in (Account.REFUSED, Account.PENDING):
            if worst in accounts:
                break
        else:
            worst = Account.PRESENT
        if worst is Account.PENDING:
            self._coming += Count(1, message.size)
            self._builder.stored(message.size, accounts.count(Account.PENDING))
        return worst

    def _copy(self, item: Decided, source: str, rule: str, folder: str) -> Account:
        message = item.message
        mailbox, fault = self._mailbox(folder)
        if not fault and mailbox and mailbox.append_limit is not None and message.size > mailbox.append_limit:
            fault = f"{message.size} octets; the target takes {mailbox.append_limit} at most"
        if fault := fault or self._refusal(item, source):
            self._builder.problem(
                Account.REFUSED,
                source,
                message.position,
                message.key,
                fault,
                date=item.date,
                subject=item.subject,
                size=message.size,
            )
            return Account.REFUSED
        self._builder.touched(folder, mailbox, asked=self.target is not None)
        self._builder.why(rule, folder, "; ".join(item.decision.why))
        if self._is_there(item, mailbox):
            return Account.PRESENT
        kept = {flag for flag in item.flags if mailbox is None or mailbox.takes(flag)}
        self._builder.added(folder, message.size, kept)
        self._builder.dropped(item.flags - kept)
        return Account.PENDING

    def _refusal(self, item: Decided, source: str) -> str:
        """Why the target would not take these octets, as far as that can be foretold."""
        message = item.message
        if self._linter is None or not message.whole:
            return ""
        if harm := self._linter.harm(message.octets):
            return harm
        found = self._linter.refusals(message.octets)
        if not found:
            return ""
        repairs = {name for one in found for name in one.repairs}
        mends = (
            [name for name in repair.NAMES if name in repairs] if all(one.repairs for one in found) else []
        )
        if mends and repairs <= set(self._options.repair):
            self._repaired.add((source, message.position))
            return ""
        why = "; ".join(one.why for one in found)
        how = f": {' '.join(f'--repair {name}' for name in mends)} would mend that" if mends else ""
        return f"the target will refuse it: {why}{how}"

    def _mailbox(self, folder: str) -> tuple[Mailbox | None, str]:
        if self.target is None:
            return None, ""
        if folder not in self._mailboxes:
            try:
                self._mailboxes[folder] = self.target.locate(folder)
            except FolderError as error:
                return None, str(error)
        return self._mailboxes[folder], ""

    def _is_there(self, item: Decided, mailbox: Mailbox | None) -> bool:
        if self.target is None or mailbox is None or not mailbox.messages or self._options.assume_empty:
            return False
        if not item.message.whole:
            self._unlooked += 1
            return False
        if mailbox.name not in self._inventories:
            owned: set[int] = set()
            reserved: list[bytes] = []
            if self._history is not None:
                owned = self._history.owned(mailbox.name, mailbox.uidvalidity)
                reserved = self._history.unlocated(mailbox.name)
            self._inventories[mailbox.name] = Inventory(self.target, mailbox, owned, reserved)
        inventory = self._inventories[mailbox.name]
        return (
            bool(inventory)
            and inventory is not None
            and inventory.claim([item.message.octets])[0] is not None
        )

    def _from_elsewhere(self, item: Decided, source: str) -> bool:
        """Whether an earlier source of this plan, or of an earlier run, brings the same octets."""
        if self._options.keep_duplicates:
            return False
        digest = item.message.octets.digest
        planned = self._from.setdefault(digest, Counter())
        mine = planned[source]
        planned[source] += 1
        if sum(planned.values()) - planned[source] > mine:
            return True
        return self._history is not None and self._history.elsewhere(item.message.key, digest) > mine

    def finish(self, unreachable: Pop2imapError | None) -> None:
        """Say what could not be foreseen, and what stands in the way."""
        say = self._builder.remark
        if unreachable is not None:
            say(
                f"the target cannot be asked ({unreachable}): folders, limits and flags of it are not foreseen"
            )
        if self._unlooked:
            say(
                f"{self._unlooked} messages go to folders that are not empty; whether they are there already "
                "is looked up when they are moved, or now with --full"
            )
        if self.elsewhere:
            say(
                f"{self.elsewhere} messages that are stored already would go to another folder by the rules, or the "
                "folders at home, of today; they stay where they are"
            )
        if self._repaired:
            say(
                f"{len(self._repaired)} messages will be refused as they are, and repaired, as --repair allows"
            )
        facts = self._facts
        if facts is None:
            return
        for quota, coming, unit in (
            (facts.quota_octets, self._coming.octets, "octets"),
            (facts.quota_messages, self._coming.messages, "messages"),
        ):
            if quota is not None and quota[0] + coming > quota[1]:
                say(
                    f"the target's quota is too small: {quota[1]} {unit} allowed, {quota[0]} used, "
                    f"{coming} to come"
                )
