"""Collects, while a run goes on, what its report will say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from pop2imap.errors import ExitCode, Pop2imapError, SourceDataError
from pop2imap.model import FLAGGED, SEEN, Account, DateFrom, Decision, Key, Mailbox, Ref, Remark
from pop2imap.report import PROBLEMS, Copies, Count, FolderReport, Problem, Repaired, Report, SourceReport
from pop2imap.report.tally import Tally

TODO = {
    Account.REFUSED: "mend what the reason names, then run with --retry-refused; add --repair NAME for what that can "
    "mend; --quarantine keeps it as a file",
    Account.HELD: "pop2imap adopt looks for it in the whole target; --on-held retry sends it again, perhaps twice",
    Account.UNREADABLE: "try to open it with the program or web mail of the source",
    Account.GONE: "nothing, if it was deleted or moved there on purpose",
}


class Judged(Protocol):
    """What the builder wants to know of a decision (``decide.Decided`` has it all)."""

    @property
    def date(self) -> datetime: ...
    @property
    def date_from(self) -> DateFrom: ...
    @property
    def guessed(self) -> bool: ...
    @property
    def decision(self) -> Decision: ...


@dataclass(slots=True)
class _Added:
    """What a run has put into one folder so far."""

    messages: int = 0
    octets: int = 0
    unseen: int = 0
    flagged: int = 0


class SourceLedger:
    """The accounts of one listing of one source."""

    def __init__(self, source: str, refs: Sequence[Ref], complete: bool) -> None:
        self.source = source
        self.complete = complete
        self._refs = refs
        self.tally = Tally(len(refs))

    def size_of(self, position: int) -> int:
        """The size that the listing states, in octets."""
        return self._refs[position - 1].size

    def put(self, position: int, account: Account, octets: int) -> None:
        """See :meth:`Tally.put`."""
        self.tally.put(position, account, octets)

    def rest_is_pending(self) -> None:
        """The run ended early: what has no account so far is pending."""
        for position in self.tally.open_positions():
            self.tally.put(position, Account.PENDING, self.size_of(position))

    def report(self) -> SourceReport:
        """Raises InternalError if the equation does not hold."""
        counts = self.tally.counts()
        listed = sum(counts.values(), Count())
        return SourceReport(
            self.source, Count(len(self._refs), listed.octets), counts, complete=self.complete
        )


class ReportBuilder:
    """One for a run. Everything is counted when a message gets its account, never before: so a message that
    a lost connection made us read twice counts once."""

    def __init__(
        self, *, dry_run: bool, started: datetime, target: str, mark: str, rules: Iterable[str]
    ) -> None:
        self.dry_run = dry_run
        self.target = target
        self.error: Pop2imapError | None = None
        self.interrupted: ExitCode | None = None
        self.same_account_allowed = False
        self.extra_copies = 0
        self._moved = self._moved_octets = 0
        self._started = started
        self._mark = mark
        self._ledgers: dict[str, SourceLedger] = {}
        self._folders: dict[str, FolderReport] = {}
        self._added: dict[str, _Added] = {}
        self._rules: Counter[str] = Counter(dict.fromkeys(rules, 0))
        self._dates: Counter[DateFrom] = Counter()
        self._guessed = 0
        self._dropped: Counter[str] = Counter()
        self._skipped: Counter[str] = Counter()
        self._whys: dict[tuple[str, str], str] = {}
        self._remarks: dict[str, None] = {}
        self._problems: dict[tuple[str, str], Problem] = {}
        self._repaired: dict[tuple[str, str], Repaired] = {}
        self._given_up: set[bytes] = set()
        self._copies: Copies | None = None

    def begin(self, source: str, refs: Sequence[Ref], *, complete: bool) -> SourceLedger:
        """A new listing of ``source``; replaces what an earlier try of this run had counted of it."""
        self._ledgers[source] = SourceLedger(source, refs, complete)
        return self._ledgers[source]

    def lost(self, source: str, error: SourceDataError) -> None:
        """A source of several that cannot be had at all: it counts as one unreadable message, so that nobody takes
        the account for complete."""
        self.begin(source, [Ref(1, None, 0)], complete=False).put(1, Account.UNREADABLE, 0)
        self.problem(Account.UNREADABLE, source, 1, None, str(error))

    def has(self, source: str) -> bool:
        """Whether a listing of ``source`` has begun."""
        return source in self._ledgers

    def remark(self, text: str) -> None:
        """Something a person should know; the same words are kept once."""
        self._remarks[text] = None

    def source_remarks(self, source: str, remarks: Iterable[Remark]) -> None:
        """What a source noticed."""
        for remark in remarks:
            self.remark(f"{source}: {remark}")

    def judged(self, judged: Judged, *, skipped: str = "") -> None:
        """A message got its account by this decision; ``skipped``: the words of who left it out."""
        for rule in judged.decision.rules:
            self._rules[rule] += 1
        if skipped:
            self._skipped[skipped] += 1
            return
        self._dates[judged.date_from] += 1
        self._guessed += judged.guessed

    def skipped(self, why: str) -> None:
        """A message is left out, for this reason, without a look at it."""
        self._skipped[why] += 1

    def stored(self, octets: int, copies: int) -> None:
        """So many copies of one message were stored in this run."""
        if copies:
            self._moved += 1
            self._moved_octets += octets
            self.extra_copies += copies - 1

    @property
    def moved(self) -> Count:
        """The messages that were stored in this run."""
        return Count(self._moved, self._moved_octets)

    def deleted_at_home(self, source: str, deleted: int) -> None:
        """So many messages of a maildrop were deleted in the mail program that had fetched them."""
        if deleted:
            self.remark(
                f"{source}: {deleted:,} messages were deleted in the mail program that had fetched them "
                "(--deleted-at-home says what becomes of them)"
            )

    def copies(self, both: int, maildrops: Collection[str]) -> None:
        """So many messages lie both at home and in one of these sources, which are maildrops."""
        moved = {
            source: sum(
                count.messages
                for account, count in ledger.tally.counts().items()
                if account is not Account.SKIPPED
            )
            for source, ledger in self._ledgers.items()
        }
        in_maildrops = sum(number for source, number in moved.items() if source in maildrops)
        at_home = sum(moved.values()) - in_maildrops
        if len(moved) > len(maildrops) and maildrops:
            self._copies = Copies(both, max(at_home - both, 0), max(in_maildrops - both, 0))

    def why(self, rule: str, folder: str, why: str) -> None:
        """The first message of each rule and folder explains that rule and folder."""
        self._whys.setdefault((rule, folder), why)

    def touched(self, folder: str, mailbox: Mailbox | None, *, asked: bool = True) -> None:
        """This run writes (or would write) to a folder; None: it is not there yet, or, if the target was not
        ``asked``, nothing is known of it."""
        if folder not in self._folders:
            self._folders[folder] = FolderReport(
                folder,
                mailbox.name if mailbox else "",
                mailbox.messages if mailbox else None,
                Count(),
                Count(),
                None,
                created=asked and (mailbox is None or mailbox.created),
            )
            self._added[folder] = _Added()

    def added(self, folder: str, octets: int, flags: Collection[str]) -> None:
        """One copy went (or would go) into a folder that was touched."""
        added = self._added[folder]
        added.messages += 1
        added.octets += octets
        added.unseen += SEEN not in flags
        added.flagged += FLAGGED in flags

    def at_end(self, folder: str, ours: Count, after: int | None) -> None:
        """What is known of a folder at the end of the run."""
        self._folders[folder] = self._folders[folder]._replace(ours=ours, after=after)

    @property
    def folders(self) -> tuple[str, ...]:
        """The folders touched so far."""
        return tuple(self._folders)

    @property
    def headway(self) -> tuple[int, ...]:
        """Grows with every message that was stored, and with every one that was given up, or a form of it."""
        return self._moved, len(self._problems), len(self._given_up)

    def gave_up(self, digest: bytes) -> None:
        """Octets with this SHA-256 were refused for good; what they can be changed into is tried now."""
        self._given_up.add(digest)

    def dropped(self, flags: Iterable[str]) -> None:
        """Flags that a mailbox cannot keep, once for each message."""
        for flag in flags:
            self._dropped[flag] += 1

    def problem(
        self,
        account: Account,
        source: str,
        position: int,
        key: Key | None,
        reason: str,
        *,
        date: datetime | None = None,
        subject: str = "",
        size: int = 0,
        saved: Path | None = None,
    ) -> None:
        """One message a person has to look at (other accounts than ``PROBLEMS`` are passed over). ``saved``: where
        its octets are kept."""
        if account in PROBLEMS:
            name = str(key) if key else f"message {position}"
            self._problems[(source, name)] = Problem(
                account,
                source,
                name,
                date,
                subject,
                size,
                reason,
                TODO[account],
                str(saved or ""),
            )

    def repaired(self, source: str, key: Key, size: int, repairs: Sequence[str], saved: Path | None) -> None:
        """One message is in the target, changed by these repairs (without any: passed over)."""
        if repairs:
            name = str(key)
            self._repaired[(source, name)] = Repaired(source, name, size, tuple(repairs), str(saved or ""))

    def _with_added(self) -> Iterable[FolderReport]:
        for folder, report in self._folders.items():
            added = self._added[folder]
            yield report._replace(
                added=Count(added.messages, added.octets),
                unseen=added.unseen,
                flagged=added.flagged,
            )

    def build(self, finished: datetime) -> Report:
        """The report. Raises InternalError if the equation does not hold."""
        return Report(
            dry_run=self.dry_run,
            started=self._started,
            finished=finished,
            target=self.target,
            sources=tuple(ledger.report() for ledger in self._ledgers.values()),
            moved=self.moved,
            extra_copies=self.extra_copies,
            folders=tuple(sorted(self._with_added(), key=lambda f: (f.folder != "INBOX", f.folder))),
            rules=tuple(self._rules.items()),
            dates=dict(self._dates),
            read_state_guessed=self._guessed,
            mark=self._mark,
            dropped_flags=dict(self._dropped),
            skipped_why=dict(self._skipped),
            whys=tuple(self._whys.values()),
            remarks=tuple(self._remarks),
            problems=tuple(self._problems.values()),
            repaired=tuple(self._repaired.values()),
            error=self.error,
            interrupted=self.interrupted,
            copies=self._copies,
            same_account_allowed=self.same_account_allowed,
        )
