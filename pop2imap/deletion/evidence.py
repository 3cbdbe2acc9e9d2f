"""Which messages may be deleted at their source: those of which every copy in the target was read just now and holds
the octets that the source gave just now.

The target is compared by :class:`pop2imap.verify.target.Comparison`; this is the judge that it tells. A copy that its
owner has moved counts where it was found. A message without a copy of its own, because another source had brought the
same octets, stands by those: there must be one identical copy for each.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from typing import NamedTuple

from pop2imap.journal import Entry
from pop2imap.journal.copies import Copy, CopyReader, Kept
from pop2imap.report.deleted import Fate
from pop2imap.report.verified import Finding

_NOT_SEEN = "not every copy of it could be looked at"
_LENT = "it counted as present for a copy that another source had brought, and that is not in the target as it was"


@dataclass(slots=True)
class _Case:
    """One message: how many of its copies are still to be found, in which mailboxes (bits) the others were, and what
    speaks against it."""

    copies: int
    mailboxes: int = 0
    fate: Fate = Fate.UNCHECKED
    reason: str = _NOT_SEEN

    def against(self, fate: Fate, reason: str) -> None:
        if self.fate in {Fate.UNCHECKED, Fate.REWRITTEN}:
            self.fate, self.reason = fate, reason


class Standing(NamedTuple):
    """Where the copies of some messages are, and all messages that may be of their octets (mailbox and UID); and what
    speaks against their being deleted."""

    copies: Set[tuple[str, int]] = frozenset()
    alike: Set[tuple[str, int]] = frozenset()
    fault: str = ""

    def fault_since(self, before: Standing) -> str:
        """Why these are not messages of their own, if it seems so: ``before``, they were still at the source."""
        if self.fault:
            return self.fault
        if not self.copies <= before.copies:
            return "an equal message was found in another place"
        if not before.alike <= self.alike:
            return "another message of that size is gone from the target"
        return ""


class Evidence:
    """A judge (``verify.target.Judge``) of messages of one source. ``also_rewritten``: what the server has rewritten in
    known ways counts as the same; what was repaired before it was stored never does. ``places``: where copies were
    found, mailbox and UID, if they are ``watched``."""

    full = True

    def __init__(
        self, journal: CopyReader, source: str, *, also_rewritten: bool, watched: bool = False
    ) -> None:
        self.kept: Sequence[Kept] = journal.kept()
        self.remarks: list[str] = []
        self._source, self._also_rewritten, self._watched = source, also_rewritten, watched
        self.places: set[tuple[str, int]] = set()
        self._cases: dict[str, _Case] = {}  # by UIDL
        self._lent: dict[bytes, list[str]] = defaultdict(list)
        self._lent_as: dict[str, bytes] = {}
        self._bits: dict[str, int] = {}  # a bit for each mailbox
        self._brought_in: Counter[bytes] = Counter()  # mailboxes (bits) of what other sources brought
        self._brought: Counter[bytes] = Counter()  # identical copies that other sources brought
        self._like: set[bytes] = (
            set()
        )  # digests of all: twins are looked for, too, and each copy stands for one

    def ask(self, name: str, entry: Entry) -> None:
        """May this message (by its UIDL) be deleted? The source gave the octets of ``entry`` just now."""
        if entry.digest is not None:
            self._like.add(entry.digest)
        if entry.placed:
            self._cases[name] = _Case(len(entry.placed))
        elif entry.digest is not None:
            self._lent[entry.digest].append(name)
            self._lent_as[name] = entry.digest

    def answers(self) -> Iterator[tuple[str, Fate, str]]:
        """READY, or what speaks against it and why, for each that was asked for."""
        for name, case in self._cases.items():
            if case.fate is Fate.UNCHECKED and case.copies == 0:
                yield name, Fate.READY, ""
            else:
                yield name, case.fate, case.reason
        for digest, names in self._lent.items():
            enough = self._brought[digest] >= len(names)
            for name in names:
                yield (name, Fate.READY, "") if enough else (name, Fate.MISSING, _LENT)

    def first_of_each(self, names: Iterable[str]) -> list[str]:
        """Of messages that may be deleted, the first one of each mailbox in which there is a copy of any of them."""
        chosen, covered = [], 0
        for name in names:
            case = self._cases.get(name)
            mailboxes = case.mailboxes if case is not None else self._brought_in[self._lent_as[name]]
            if mailboxes & ~covered:
                covered |= mailboxes
                chosen.append(name)
        return chosen

    def _case(self, copy: Copy) -> _Case | None:
        if copy.key.source != self._source or copy.key.nth:
            return None
        return self._cases.get(copy.key.name)

    # -- what the comparison tells

    def wants(self, copy: Copy) -> bool:
        return copy.digest in self._like

    def holds(self, kept: Kept, messages: int) -> None:
        pass

    def seen(self, copy: Copy, place: str, uid: int) -> None:
        bit = self._bits.setdefault(place, 1 << len(self._bits))
        if case := self._case(copy):
            case.mailboxes |= bit
        elif copy.digest in self._lent:
            self._brought_in[copy.digest] |= bit
        if self._watched:
            self.places.add((place, uid))

    def found(self, copy: Copy, mailbox: str, finding: Finding) -> None:
        if finding is Finding.IDENTICAL:
            self._there(copy)

    def rewritten(self, copy: Copy, mailbox: str, how: str) -> None:
        if self._also_rewritten and not copy.repairs:  # that was no server: of a repair more may be lost
            self._there(copy)
        elif case := self._case(copy):
            case.against(Fate.REWRITTEN, f"its copy in {copy.folder} was rewritten: {how}")

    def moved(self, copy: Copy, mailbox: str, where: str, *, identical: bool) -> None:
        if identical:
            self._there(copy)
        else:
            what = "repaired" if copy.repairs else "with other line ends, NUL or 8-bit header"
            self.rewritten(copy, mailbox, f"found in {where}, {what}")

    def problem(self, copy: Copy, mailbox: str, finding: Finding, reason: str, todo: str) -> None:
        if case := self._case(copy):
            fate = Fate.DIFFERENT if finding is Finding.DIFFERENT else Fate.MISSING
            case.against(fate, f"its copy in {copy.folder}: {reason}")

    def _there(self, copy: Copy) -> None:
        if case := self._case(copy):
            case.copies -= 1
        elif copy.key.source != self._source and copy.digest in self._lent:
            self._brought[copy.digest] += 1
