"""What may be changed in a copy that the target refused, so that it is taken: its keywords, its octets by ``--repair``.

The smallest change is tried first. A server may refuse a message for its keywords alone, so without any repair it is
tried without them: the mail is worth more than its tags.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from pop2imap import repair
from pop2imap.model import SYSTEM_FLAGS, Octets


class Change(NamedTuple):
    """One way to change a copy."""

    repairs: repair.Repairs = ()
    without_keywords: bool = False

    def flags(self, flags: Sequence[str]) -> tuple[str, ...]:
        """What is left of these flags."""
        return tuple(flag for flag in flags if flag in SYSTEM_FLAGS or not self.without_keywords)

    def octets(self, octets: Octets, spool: Path | None) -> Octets:
        """These octets, repaired. Raises LocalIOError as octets do."""
        return repair.apply(octets, self.repairs, spool) or octets


def changes(
    octets: Octets, flags: Collection[str], repairs: repair.Repairs, spool: Path | None
) -> list[Change]:
    """What to try with a refused copy, in order. Raises LocalIOError as octets do.

    QUIRK(Dovecot): a keyword of more than 50 octets, QUIRK(Cyrus): one more than a mailbox can have,
    QUIRK(Courier): one that is a number or holds ``[`` or ``|``: the message is refused for it.
    """
    has_keywords = not SYSTEM_FLAGS.issuperset(flags)
    useful = list(repair.candidates(octets, repairs, spool)) if repairs else []
    ways = [Change(without_keywords=True)] if has_keywords else []
    ways += [Change(some) for some in useful]
    return ways + ([Change(useful[-1], without_keywords=True)] if has_keywords and useful else [])
