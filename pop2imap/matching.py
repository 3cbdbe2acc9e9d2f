"""Which message in a mailbox is whose copy: pure, and the heart of :mod:`pop2imap.recovery`.

All claims of a mailbox are matched at once. Per match digest this is a small assignment problem of a friendly kind:
a claim takes any UID from its L up, so of two claims the one with the lower L can take all that the other can. A
promise to a claim is given only while there is room for it beside the promises before it, and a UID only while it
breaks none; that makes the result the largest possible, whatever is preferred.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from pop2imap.journal import Placement
from pop2imap.model import Found


def match(
    claims: Sequence[Placement], candidates: Sequence[Found], digests: Mapping[int, bytes]
) -> dict[int, int]:
    """Pair claims with candidates: the UID by placement id. Pure.

    ``digests``: match digests of the candidates that were read, by UID. A pair has equal match digests and a UID
    not below the claim's L; each UID is given once. As many stored claims as possible are matched, and besides
    them as many intents as possible; where not all can be, those come first that have a copy of equal INTERNALDATE
    and flags, then those with the higher L, then the lower id.
    Among possible partners one of equal INTERNALDATE and flags is preferred, then one of equal INTERNALDATE, and
    stored claims choose before intents.
    """
    alike: dict[bytes, list[Placement]] = defaultdict(list)
    for claim in claims:
        alike[claim.match_digest].append(claim)
    found: dict[bytes, list[Found]] = defaultdict(list)
    for candidate in candidates:
        digest = digests.get(candidate.uid)
        if digest is not None and digest in alike:
            found[digest].append(candidate)
    pairs: dict[int, int] = {}
    for digest, its_candidates in found.items():
        pairs.update(_match_alike(alike[digest], its_candidates))
    return pairs


def _match_alike(claims: Iterable[Placement], candidates: Iterable[Found]) -> dict[int, int]:
    """``match`` for claims and candidates that all have the same match digest."""
    by_uid = {candidate.uid: candidate for candidate in candidates}
    first_come = _first_come(claims, by_uid.values())
    room = _Room({claim.lower_bound for claim in first_come}, by_uid)
    chosen = [claim for claim in first_come if room.reserve(claim.lower_bound)]
    taken: set[int] = set()
    shelves: list[dict[object, _Shelf]] = []
    for traits in _TRAITS:
        uids: dict[object, list[int]] = defaultdict(list)
        for uid in sorted(by_uid):
            uids[traits(by_uid[uid])].append(uid)
        shelves.append({key: _Shelf(its_uids, taken) for key, its_uids in uids.items()})
    pairs: dict[int, int] = {}
    for stored in (True, False):
        for traits, shelf_of in zip(_TRAITS, shelves, strict=True):
            for claim in chosen:
                shelf = shelf_of.get(traits(claim))
                if claim.stored is not stored or claim.id in pairs or shelf is None:
                    continue
                # the lowest UID takes the least from the others: if it cannot be had, no other one can
                lowest = shelf.first(claim.lower_bound)
                if lowest is not None and room.give(claim.lower_bound, lowest):
                    taken.add(lowest)
                    pairs[claim.id] = lowest
    return pairs


def _first_come(claims: Iterable[Placement], candidates: Iterable[Found]) -> list[Placement]:
    """In this order claims are promised a UID. Any order promises as many; this one lets a twin that did not arrive
    go without, and not the one that did and has other flags."""
    like = Counter(_date_and_flags(candidate) for candidate in candidates)
    by_bound = sorted(claims, key=lambda claim: (not claim.stored, -claim.lower_bound, claim.id))
    alien = set()
    for claim in by_bound:
        traits = _date_and_flags(claim)
        if not like[traits]:
            alien.add(claim.id)
        like[traits] -= like[traits] > 0
    return sorted(by_bound, key=lambda claim: (not claim.stored, claim.id in alien))


def date_of(either: Found | Placement) -> int:
    """Its INTERNALDATE in seconds, the way IMAP has it."""
    return int(either.date.timestamp() // 1)


def _date_and_flags(either: Found | Placement) -> object:
    return date_of(either), frozenset(flag.lower() for flag in either.flags) - {"\\recent"}


def _nothing(either: Found | Placement) -> object:
    return None


_TRAITS: tuple[Callable[[Found | Placement], object], ...] = (_date_and_flags, date_of, _nothing)
"""What a pair should have in common, best first."""


class _Room:
    """Whether claims can still all have a UID. A claim takes any UID from its L up, so what it can take includes
    all that a claim with a higher L can take, and it is enough to count from each L up: the UIDs free there, less
    the claims that can only be served there (Hall's condition for nested sets)."""

    def __init__(self, bounds: Collection[int], uids: Iterable[int]) -> None:
        self._bounds = sorted(bounds)
        ascending = sorted(uids)
        self._spare = [len(ascending) - bisect_left(ascending, bound) for bound in self._bounds]

    def reserve(self, bound: int) -> bool:
        """Promise a UID to one more claim with this L, if there is room for it beside those before."""
        return self._take(0, bisect_right(self._bounds, bound))

    def give(self, bound: int, uid: int) -> bool:
        """Give ``uid`` to a claim with this L that has a promise, unless that would break another promise: the
        claims with an L above its own, up to ``uid``, have one UID less to choose from."""
        return self._take(bisect_right(self._bounds, bound), bisect_right(self._bounds, uid))

    def _take(self, start: int, end: int) -> bool:
        if any(spare < 1 for spare in self._spare[start:end]):
            return False
        for at in range(start, end):
            self._spare[at] -= 1
        return True


class _Shelf:
    """UIDs in ascending order, of which others take some away (``taken``)."""

    def __init__(self, uids: Sequence[int], taken: Collection[int]) -> None:
        self._uids, self._taken = uids, taken
        self._next = list(range(len(uids)))  # where to go on from here; skips what is taken

    def first(self, lowest: int) -> int | None:
        """The lowest UID from ``lowest`` up that is not taken."""
        start = at = bisect_left(self._uids, lowest)
        while at < len(self._uids) and self._uids[at] in self._taken:
            self._next[at] = max(self._next[at], at + 1)
            at = self._next[at]
        if start < len(self._uids):
            self._next[start] = at
        return self._uids[at] if at < len(self._uids) else None


def without_partner(
    claims: Sequence[Placement], candidates: Sequence[Found], digests: Mapping[int, bytes]
) -> list[Placement]:
    """The claims that ``match`` leaves alone."""
    pairs = match(claims, candidates, digests)
    return [claim for claim in claims if claim.id not in pairs]


class Gaps:
    """Which UIDs that were given are neither there nor owned: something was taken out."""

    def __init__(self, claims: Iterable[Placement], known: Iterable[int], uidnext: int) -> None:
        self._known = sorted(known)
        self._end = max(uidnext, self._known[-1] + 1 if self._known else 1)
        self._lowest: dict[bytes, int] = {}
        for claim in claims:
            lowest = self._lowest.get(claim.match_digest, claim.lower_bound)
            self._lowest[claim.match_digest] = min(lowest, claim.lower_bound)

    def beside(self, match_digest: bytes) -> bool:
        """Whether a copy of these octets may have been taken out: from the lowest L of its claims up. A claim that
        is stored counts, too: had its copy been taken out, it would have been given another's."""
        lowest = max(self._lowest[match_digest], 1)
        there = len(self._known) - bisect_left(self._known, lowest)
        return there < self._end - lowest


def same_size(size: int, sizes: Sequence[int]) -> bool:
    """Whether a message of this size is one of these (ascending) sizes."""
    at = bisect_left(sizes, size)
    return at < len(sizes) and sizes[at] == size


def size_in_reach(size: int, sizes: Sequence[int]) -> bool:
    """Whether a message of this size may have been one of these (ascending) sizes: rewritten line ends at most
    double a message, or halve it, and one at its end may come or go."""
    at = bisect_left(sizes, (size - 2) / 2)
    return at < len(sizes) and sizes[at] <= 2 * size + 4


def any_size(size: int, sizes: Sequence[int]) -> bool:
    """Servers state wrong sizes, too: size puts in order, and never excludes."""
    return True
