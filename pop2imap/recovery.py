"""Recovery: what became of the messages that were on the wire when a connection or a run ended.

Theory of operation
-------------------
An intent is a durable row written before the first octet goes out, with L, a lower bound for the UID that the copy
would get. After an interruption nobody knows whether the copy arrived, so we look: every message in the mailbox with
UID ≥ L that no row owns is a *candidate*, and a candidate whose match digest equals that of a *claim* may be that
claim's copy.

Claims are the intents in doubt and, if they have the same match digest, copies that were answered with OK without a
UID that can be believed. The latter are certain to be there, so they claim first. Without them mail is lost: of two
twins the first was stored without a UID, the second never sent; the one copy in the mailbox is the first's. And all
claims of a mailbox are matched together, whatever their L: a copy that an older claim could take as well must not be
given away by looking at the newer ones alone.

A server may still be busy storing what it read before the connection broke. So while something is unmatched we wait
until the *fence* has passed since the last sign of life of whoever sent it, and look once more. What is missing then
did not arrive, provided that nothing was taken out of the mailbox: a UID from L up to UIDNEXT that is neither there
nor owned says that something was. Then we look where people and mail programs move mail to, and what is not found
there is *held*: reported, and never sent again by itself.

**A new UIDVALIDITY** makes all UIDs of before meaningless, those of our stored copies too. They all become claims
with L = 0 (``Journal.renumbered``), and every message in the mailbox is a candidate. What does not match is *not in
the mailbox*; was it ever? Had it been moved away before the renumbering, no gap would show it. So for these we look
into Trash, Archive and All even without a gap, and hold them if the new numbering has gaps; otherwise they are ready
to be sent. The one case this gets wrong needs a person who moves a message to some other folder within the minutes
between the interruption and a renumbering of that very mailbox, and it costs a second copy, not a message. Holding
them all instead would leave a person with every message of the last batch each time a server rebuilds its index.

The pure part, who gets what, is in :mod:`pop2imap.matching`.

Everything here is read-only on the server, and may be killed anywhere and done again: what is found is settled
durably at once, and what is not yet settled is looked for again. A copy that is found early and settled never takes
anything from one that arrives later: late copies have UIDs above every L, so any claim can take them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from pop2imap.errors import Again, FolderError, NotFinished, ProtocolError
from pop2imap.folders import located
from pop2imap.journal import Held, Journal, JournalReader, Moved, Placement
from pop2imap.matching import Gaps, any_size, date_of, match, same_size, size_in_reach, without_partner
from pop2imap.model import Found, Mailbox, Outcome, Refused, Stored
from pop2imap.target import Target
from pop2imap.text import printable

FENCE = 30.0
"""Seconds after which a server has stored what it was sent before the connection ended, or never will."""

MOVED_TO = ("\\Trash", "\\Archive", "\\All")
"""Where to look for what was taken out of a mailbox."""

FETCH = 100
"""Bodies compared at once."""

MOST_ELSEWHERE = 200
"""Bodies compared in one of ``MOVED_TO``."""

STEADY = 3
"""How often to look anew when UIDVALIDITY changes under our eyes."""

NOT_THERE = "it had not arrived when the connection was lost"


class RecoveredMailbox(NamedTuple):
    """What became of the intents in doubt of one mailbox. ``unresolved`` ones stay in doubt, because the mailbox
    cannot be looked into (``trouble``)."""

    folder: str
    stored: int = 0
    ready: int = 0
    held: int = 0
    unresolved: int = 0
    trouble: str = ""


class Recovered(NamedTuple):
    """What became of all intents in doubt."""

    mailboxes: tuple[RecoveredMailbox, ...] = ()

    @property
    def stored(self) -> int:
        return sum(one.stored for one in self.mailboxes)

    @property
    def ready(self) -> int:
        return sum(one.ready for one in self.mailboxes)

    @property
    def held(self) -> int:
        return sum(one.held for one in self.mailboxes)

    @property
    def unresolved(self) -> int:
        return sum(one.unresolved for one in self.mailboxes)

    @property
    def text(self) -> str:
        """One sentence; empty if nothing was in doubt."""
        total = self.stored + self.ready + self.held + self.unresolved
        if not total:
            return ""
        parts = [
            f"{number} {words}"
            for number, words in (
                (self.stored, "had arrived"),
                (self.ready, "had not, and will be sent again" if self.stored else "had not arrived"),
                (self.held, "cannot be known about, and held: see the problems"),
                (
                    self.unresolved,
                    "still in doubt: " + "; ".join(m.trouble for m in self.mailboxes if m.trouble),
                ),
            )
            if number
        ]
        copies = "copy was" if total == 1 else "copies were"
        return f"{total} {copies} on the way when the connection or the run ended: {', '.join(parts)}"


def refuse_half_undone(journal: JournalReader) -> None:
    """Raise NotFinished if an undo was cut off: what it was about to remove is nobody's copy until it has gone on."""
    if journal.undoing():
        raise NotFinished(
            "an undo of this account did not come to its end", todo="run pop2imap undo again: it goes on"
        )


def recover(
    journal: Journal,
    target: Target,
    *,
    now: Callable[[], datetime],
    wait: Callable[[float], None],
    say: Callable[[str], None] = lambda text: None,
    fence: float = FENCE,
    quiet_since: datetime | None = None,
    mailboxes: Collection[str] | None = None,
) -> Recovered:
    """Find out what became of every intent in doubt, and settle it in the journal.

    To be called when nothing is on the wire to these mailboxes any more. ``mailboxes``: only these, by the server's
    names. ``quiet_since``: when this process lost the connection on which it had sent them; the fence is measured
    from the later of that and the last sign of life of the run before, and from now if there is neither. ``wait``
    sleeps so many seconds; it may raise to end the run. ``say`` is told what a person should see.

    Raises what target and journal raise; then, as after a kill, the next call goes on. A mailbox that cannot be
    looked into (FolderError) stays in doubt and is in the result.
    """
    folders: dict[str, list[str]] = defaultdict(list)
    for mailbox, folder in journal.mailboxes_in_doubt():
        if mailboxes is None or mailbox in mailboxes:
            folders[mailbox].append(folder)
    searches = [_Search(journal, target, mailbox, names) for mailbox, names in folders.items()]
    if not searches:
        return Recovered()
    names = ", ".join(printable(search.folder, 60) for search in searches[:3])
    more = f" and {len(searches) - 3} more" if len(searches) > 3 else ""
    say(f"looking in {names}{more} for what was on the way when the connection or the run ended")
    began = now()
    alive = [moment for moment in (journal.last_alive, quiet_since) if moment is not None]
    quiet = max(alive, default=began) + timedelta(seconds=fence)
    for search in searches:
        search.look()
    missing = [search for search in searches if search.unmatched]
    if missing and began < quiet:
        pause = min((quiet - now()).total_seconds(), fence)  # a clock may have been set back
        if pause > 0:
            number = sum(len(search.unmatched) for search in missing)
            say(
                f"{number} of them not found: looking again in {pause:.0f} s, as the server may be at work on them"
            )
            wait(pause)
        for search in missing:
            search.look()
    for search in missing:
        search.conclude()
    return Recovered(tuple(search.result() for search in searches))


class _Search:
    """The search for the intents in doubt of one mailbox."""

    def __init__(self, journal: Journal, target: Target, name: str, folders: Sequence[str]) -> None:
        self._journal, self._target, self._name, self._folders = journal, target, name, folders
        self._stored = self._ready = self._held = 0
        self._trouble: FolderError | None = None
        self._gaps: Gaps | None = None  # None: the mailbox is gone
        self.unmatched: list[Placement] = []

    @property
    def folder(self) -> str:
        return self._folders[0]

    def result(self) -> RecoveredMailbox:
        """What became of them, when the search is over."""
        if self._trouble is None:
            return RecoveredMailbox(self.folder, self._stored, self._ready, self._held)
        return RecoveredMailbox(
            self.folder, self._stored, unresolved=len(self.unmatched), trouble=str(self._trouble)
        )

    def look(self) -> None:
        """Find what is there and settle that; ``unmatched`` is the rest."""
        self._trouble, self._gaps = None, None
        self.unmatched = self._journal.intents(self._name)
        try:
            for _ in range(STEADY):
                mailbox = located(self._target, self._name, self._folders)
                if mailbox is None or self._look_into(mailbox):
                    return
        except FolderError as error:
            self._trouble = error
            return
        raise ProtocolError(
            "the UIDVALIDITY of the folder changes each time it is asked for, so nothing can be found in it",
            where=printable(self.folder),
        )

    def _look_into(self, mailbox: Mailbox) -> bool:
        """Returns False if the mailbox was renumbered or taken away meanwhile."""
        journal, uidvalidity = self._journal, mailbox.uidvalidity
        if journal.last_uidvalidity(self._name) != uidvalidity:
            journal.renumbered(self._name, uidvalidity)
        intents = journal.intents(self._name)
        claims = journal.claims(self._name, {intent.match_digest for intent in intents})
        lowest = max(min(claim.lower_bound for claim in claims), 1)
        owned = journal.owned(self._name, uidvalidity)
        try:
            found = [one for one in self._target.survey(mailbox, lowest) if one.uid >= lowest]
            candidates = [one for one in found if one.uid not in owned]
            pairs = match(claims, candidates, self._read(mailbox, claims, candidates))
        except FolderError:
            if self._is_the_same(mailbox):
                raise
            return False
        if not self._is_the_same(mailbox):
            return False
        journal.settle(((number, Stored(uidvalidity, uid)) for number, uid in pairs.items()), durable=True)
        self._stored += sum(intent.id in pairs for intent in intents)
        self.unmatched = [intent for intent in intents if intent.id not in pairs]
        self._gaps = Gaps(claims, {one.uid for one in found} | owned, mailbox.uidnext)
        return True

    def _is_the_same(self, mailbox: Mailbox) -> bool:
        now = self._target.locate(mailbox.folder)
        return now is not None and (now.name, now.uidvalidity) == (mailbox.name, mailbox.uidvalidity)

    def _read(
        self, mailbox: Mailbox, claims: Sequence[Placement], candidates: Sequence[Found]
    ) -> dict[int, bytes]:
        """Match digests of the candidates, likely sizes first, until every claim has a partner."""
        digests: dict[int, bytes] = {}
        unread = {one.uid: one for one in reversed(candidates)}  # what was on the way came last
        for likely in (same_size, size_in_reach, any_size):
            left = without_partner(claims, candidates, digests)
            sizes = sorted({claim.size for claim in left})
            uids = [uid for uid, one in unread.items() if likely(one.size, sizes)]
            for some in _in_parts(uids):
                if not left:
                    return digests
                for uid in some:
                    del unread[uid]
                read = self._target.digests(mailbox, sorted(some))
                digests.update({uid: matched for uid, (_, matched) in read.items()})
                left = without_partner(claims, candidates, digests)
        return digests

    def conclude(self) -> None:
        """Decide about what was not found, and settle that."""
        if self._trouble is not None:
            return
        outcomes: dict[int, Outcome | Held | Moved] = {}
        if self._gaps is None:
            reason = (
                f"{printable(self.folder)} was renamed or deleted while this message was on its way there"
            )
            outcomes = {intent.id: Held(reason) for intent in self.unmatched}
        else:
            gaps = self._gaps
            suspect = [one for one in self.unmatched if not one.lower_bound or gaps.beside(one.match_digest)]
            moved = self._seek(suspect) if suspect else {}
            reason = (
                f"it was on its way to {printable(self.folder)}; it is not there now, but other messages were "
                "moved or deleted there meanwhile, and it may have been one of them"
            )
            for intent in self.unmatched:
                if intent.id in moved:
                    outcomes[intent.id] = moved[intent.id]
                elif gaps.beside(intent.match_digest):
                    outcomes[intent.id] = Held(reason)
                else:
                    outcomes[intent.id] = Refused(NOT_THERE, Again.LATER)
        self._journal.settle(outcomes.items(), durable=True)
        for outcome in outcomes.values():
            self._stored += isinstance(outcome, Moved)
            self._held += isinstance(outcome, Held)
            self._ready += isinstance(outcome, Refused)
        self.unmatched = []

    def _seek(self, lost: Sequence[Placement]) -> dict[int, Moved]:
        """Those of these that were moved to where mail is usually moved. Only what cannot be anything else
        counts: equal octets, equal INTERNALDATE (which a move keeps), owned by nobody, and no other copy of ours
        with the same octets that it could be."""
        others = self._journal.settled_like({one.match_digest for one in lost})
        left = {one.id: one for one in lost if one.match_digest not in others}
        moved: dict[int, Moved] = {}
        for use in MOVED_TO:
            if not left:
                break
            try:
                mailbox = self._target.locate(use)
                if mailbox is not None and mailbox.name != self._name:
                    found = self._seek_in(mailbox, list(left.values()))
                    moved.update(found)
                    left = {number: one for number, one in left.items() if number not in found}
            except FolderError:  # one place less to look
                continue
        return moved

    def _seek_in(self, mailbox: Mailbox, lost: Sequence[Placement]) -> dict[int, Moved]:
        journal = self._journal
        if journal.last_uidvalidity(mailbox.name) not in {None, mailbox.uidvalidity}:
            journal.renumbered(mailbox.name, mailbox.uidvalidity)
        rivals = {
            one.match_digest for one in journal.claims(mailbox.name, {one.match_digest for one in lost})
        }
        claims = [one._replace(lower_bound=0) for one in lost if one.match_digest not in rivals]
        owned = journal.owned(mailbox.name, mailbox.uidvalidity)
        dates = {date_of(claim) for claim in claims}
        sizes = sorted({claim.size for claim in claims})
        candidates = {
            one.uid: one
            for one in self._target.survey(mailbox, 1)
            if one.uid not in owned and date_of(one) in dates and size_in_reach(one.size, sizes)
        }
        uids = sorted(candidates)[-MOST_ELSEWHERE:]
        digests = self._target.digests(mailbox, uids) if uids else {}
        pairs = match(
            claims, list(candidates.values()), {uid: matched for uid, (_, matched) in digests.items()}
        )
        return {
            claim.id: Moved(mailbox.name, mailbox.uidvalidity, pairs[claim.id])
            for claim in claims
            if claim.id in pairs and date_of(candidates[pairs[claim.id]]) == date_of(claim)
        }


def _in_parts(uids: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(uids), FETCH):
        yield uids[start : start + FETCH]
