"""Finding copies in the target that nobody's row in the journal stands for, wherever they lie.

Theory of operation
-------------------
Every message in the target is somebody's or nobody's. It is somebody's if a copy that the journal counts as stored or
present owns its UID. Of what is nobody's, each message stands for one copy that is looked for, and for no second one:
equal octets are a multiset on both sides. First come those in the mailbox where the rules of today would put the copy,
then those in all other mailboxes of the account: its owner may have moved it, or other rules have placed it.

Copies of the journal that are not where it has them come before any that is looked for. Those without a UID (*claims*)
take theirs in their own mailbox first: else an unsent twin would be given the copy of one that was sent, and a message
would be lost. What is gone from its UID, or from its mailbox, may have been moved by its owner; so elsewhere as many
equal copies are left alone as there are such rows. That it was deleted instead is possible, too, and then a copy of its
twin is not recognised and the twin will be sent: one copy too many is the lesser evil than one message too few.

Bodies are read only of messages whose size could be that of a copy that is looked for, each at most once.
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from pop2imap.decide import Decided
from pop2imap.errors import FolderError
from pop2imap.journal import Entry, Placement, Record
from pop2imap.journal.copies import Kept
from pop2imap.journal.store import SqlJournal
from pop2imap.model import Account, Mailbox, Stored
from pop2imap.placing import record_of
from pop2imap.text import printable
from pop2imap.verify.contents import Contents
from pop2imap.verify.places import Places


class Wanted(NamedTuple):
    """A copy that is looked for. ``home``: the mailbox (the server's name) where it should be, empty if there is none;
    ``barred``: those that hold, or should hold, other copies of the same message."""

    id: int
    digest: bytes | None
    match_digest: bytes
    size: int
    sizes: Collection[int]
    date: datetime
    home: str = ""
    barred: frozenset[str] = frozenset()


@dataclass(slots=True)
class Search:
    """A message that is looked for, without its octets: one placement for each copy, the mailbox where it should be
    (empty: there is none), and, once they were asked for, the number of each copy. ``taken``: the mailboxes where the
    journal has copies of it."""

    position: int
    record: Record
    placements: list[Placement]
    homes: list[str]
    sizes: frozenset[int]
    taken: frozenset[str]
    numbers: list[int] = field(default_factory=list)

    def wanted(self, numbers: Iterator[int]) -> Iterator[Wanted]:
        """Its copies, each with the next of ``numbers``."""
        for placement, home in zip(self.placements, self.homes, strict=True):
            self.numbers.append(next(numbers))
            yield Wanted(
                id=self.numbers[-1],
                digest=self.record.digest,
                match_digest=placement.match_digest,
                size=placement.size,
                sizes=self.sizes,
                date=placement.date,
                home=home,
                barred=(self.taken | frozenset(self.homes)) - {home, ""},
            )


def search_for(
    item: Decided, entry: Entry | None, mailbox_of: Callable[[str], Mailbox | None], rules_digest: str
) -> Search:
    """The search for those copies of a message that the journal (``entry``) does not know."""
    octets = item.message.octets
    placed, taken = (entry.placed, frozenset(entry.mailboxes)) if entry else ({}, frozenset[str]())
    homes: dict[str, tuple[str, Mailbox | None]] = {}  # by mailbox, or by folder where there is none
    for folder in item.decision.folders:
        if folder not in placed:
            mailbox = mailbox_of(folder)
            name = mailbox.name if mailbox else ""
            if name not in taken:
                homes.setdefault(name or folder, (folder, mailbox))
    placements = [
        Placement(
            key=item.message.key,
            folder=folder,
            mailbox="",
            uidvalidity=0,
            lower_bound=0,
            match_digest=octets.match_digest,
            size=octets.size,
            date=item.date,
            flags=tuple(sorted(flag for flag in item.flags if mailbox is None or mailbox.takes(flag))),
        )
        for folder, mailbox in homes.values()
    ]
    copies = len(placed) + len(placements)  # two of them may lie in one mailbox
    return Search(
        position=item.message.position,
        record=record_of(item, rules_digest, Account.PENDING, copies=copies),
        placements=placements,
        homes=[mailbox.name if mailbox else "" for _, mailbox in homes.values()],
        sizes=octets.likely_sizes,
        taken=taken,
    )


class Seeker:
    """Finds copies in the mailboxes of ``places``, each once. ``full``: reads all of a size in reach, not only of the
    likely ones. ``remarks`` are for people; ``unseen``: some mailbox could not be looked into."""

    def __init__(self, places: Places, journal: SqlJournal, *, full: bool, stop: threading.Event) -> None:
        self._places, self._journal, self._full, self._stop = places, journal, full, stop
        self._gone: Counter[bytes] = Counter()  # by match digest: copies of ours that are not at their UID
        self._kept: list[str] = []  # the mailboxes that have copies of ours
        self._replaced: set[int] = set()  # claims that were found in another mailbox
        self._folders: dict[str, Mailbox | None] = {}
        self._ghosts = 0
        self.remarks: list[str] = []
        self.unseen = False

    def mailbox(self, folder: str) -> Mailbox | None:
        """The mailbox of a folder name as people write it, looked into; None if there is none, or it cannot be."""
        if folder not in self._folders:
            self._folders[folder] = None
            try:
                mailbox = self._places.find(folder)
                if mailbox is not None:
                    self._look_into(mailbox)
                    self._folders[folder] = self._places.mailbox(mailbox.name)
            except FolderError as error:
                self._trouble(error)
        return self._folders[folder]

    def uidvalidity(self, name: str) -> int:
        """That of a mailbox that was looked into."""
        return self._places.mailbox(name).uidvalidity

    # -- what is somebody's

    def prepare(self) -> int:
        """Find out what in the target the journal knows already. Returns how many copies of ours, in mailboxes that the
        server has renumbered, were given their new UIDs. Raises what targets and journals raise."""
        renumbered = 0
        for kept in self._journal.kept():
            if self._stop.is_set():
                break
            self._kept.append(kept.mailbox)
            try:
                mailbox = self._places.locate(kept.mailbox, kept.folders)
                if mailbox is None:
                    self.remarks.append(f"{_shown(kept.mailbox)} is not there any more: renamed, or deleted")
                    for some in self._journal.with_uid(kept):
                        self._gone.update(copy.match_digest for copy in some)
                else:
                    renumbered += self._prepare(kept, mailbox)
            except FolderError as error:
                self._trouble(error)
        return renumbered

    def _prepare(self, kept: Kept, mailbox: Mailbox) -> int:
        if kept.uidvalidity != mailbox.uidvalidity:
            self.remarks.append(
                f"{_shown(kept.mailbox)} was renumbered by the server (a new UIDVALIDITY): copies of ours in it are "
                "looked for by their octets"
            )
            self._journal.renumbered(kept.mailbox, mailbox.uidvalidity)
            kept = kept._replace(uidvalidity=mailbox.uidvalidity)
        contents = self._look_into(mailbox)
        for some in self._journal.with_uid(kept):
            self._gone.update(
                copy.match_digest for copy in some if copy.uid is None or contents.take(copy.uid) is None
            )
        renumbered = 0
        for some in self._journal.without_uid(kept, renumbered=True):
            found = contents.seek(some, any_date=True, any_size=self._full)
            self._settle(mailbox, {number: uid for number, (uid, _) in found.items()})
            renumbered += len(found)
            if self._stop.is_set():
                break
        return renumbered

    def _look_into(self, mailbox: Mailbox) -> Contents:
        """What a mailbox holds, less what the journal has there. Raises FolderError."""
        contents = self._places.look_into(mailbox)
        for uid in self._journal.owned(mailbox.name, mailbox.uidvalidity):
            contents.take(uid)
        return contents

    def _settle(self, mailbox: Mailbox, uids: dict[int, int]) -> None:
        if uids:
            outcomes = [(number, Stored(mailbox.uidvalidity, uid)) for number, uid in uids.items()]
            self._journal.settle(outcomes, durable=True)

    # -- what is nobody's

    def seek(self, wanted: Sequence[Wanted]) -> dict[int, tuple[str, int]]:
        """The mailbox (the server's name) and UID of each of these copies that was found, by its id. Raises what
        targets and journals raise."""
        got: dict[int, tuple[str, int]] = {}
        at_home: dict[str, list[Wanted]] = defaultdict(list)
        for one in wanted:
            at_home[one.home].append(one)
        for name, some in at_home.items():
            if name in self._places:
                self._claims_first(name, {one.match_digest for one in some})
                self._give(name, some, got)
        left = [one for one in wanted if one.id not in got]
        if left and not self._stop.is_set():
            for seen in self._places.look_everywhere():
                if isinstance(seen, FolderError):
                    self._trouble(seen)
                else:
                    self._look_into(seen)
            self._leave_ours_alone(left)
            for name in self._places:
                left = [one for one in left if one.id not in got]
                self._give(name, [one for one in left if name not in {one.home, *one.barred}], got)
        return got

    def _give(self, name: str, wanted: Sequence[Wanted], got: dict[int, tuple[str, int]]) -> None:
        if not wanted or self._stop.is_set():
            return
        try:
            found = self._places[name].seek(wanted, any_date=True, any_size=self._full)
        except FolderError as error:
            self._trouble(error)
        else:
            got.update({number: (name, uid) for number, (uid, _) in found.items()})

    def _claims_first(self, name: str, match_digests: Collection[bytes]) -> None:
        """Copies of ours in this mailbox whose UID nobody told take theirs, and have a UID from now on."""
        claims = [_as_wanted(claim) for claim in self._stored_claims(name, match_digests)]
        got: dict[int, tuple[str, int]] = {}
        self._give(name, claims, got)
        self._settle(self._places.mailbox(name), {number: uid for number, (_, uid) in got.items()})

    def _stored_claims(self, name: str, match_digests: Collection[bytes]) -> Iterator[Placement]:
        for claim in self._journal.claims(name, match_digests):
            if claim.stored and claim.id not in self._replaced:
                yield claim

    def _leave_ours_alone(self, wanted: Iterable[Wanted]) -> None:
        """Copies of ours that are not where they were take as many equal ones, wherever these are."""
        like = {one.match_digest: one for one in wanted}
        claims = [
            _as_wanted(claim) for name in self._kept for claim in self._stored_claims(name, like.keys())
        ]
        ghosts = [
            one._replace(id=self._next_ghost(), digest=None)
            for match_digest, one in like.items()
            for _ in range(self._gone[match_digest])
        ]
        left, got = [*claims, *ghosts], dict[int, tuple[str, int]]()
        for name in self._places:
            left = [one for one in left if one.id not in got]
            self._give(name, left, got)
        self._replaced.update(claim.id for claim in claims if claim.id in got)
        self._gone.subtract(ghost.match_digest for ghost in ghosts if ghost.id in got)

    def _next_ghost(self) -> int:
        self._ghosts -= 1
        return self._ghosts

    def _trouble(self, error: FolderError) -> None:
        self.unseen = True
        self.remarks.append(f"a folder cannot be looked into: {error}")


def _as_wanted(claim: Placement) -> Wanted:
    return Wanted(claim.id, None, claim.match_digest, claim.size, (claim.size,), claim.date)


def _shown(mailbox: str) -> str:
    return printable(mailbox, 100)
