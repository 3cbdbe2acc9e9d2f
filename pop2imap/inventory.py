"""What a folder of the target held before we came: so that what is there already is not put there again.

Made lazily, once for each folder a run writes to and that is not empty. It lists UIDs and sizes; bodies are
fetched only of messages whose size could be that of a message to be placed, each at most once, by the batch.
Octets are compared by digest, and by match digest, which forgives what servers rewrite.

It is a multiset: each copy in the folder stands for one source message. Copies that the journal owns by UID
are left out; for copies that are ours but whose UID the server never told, as many are *reserved*.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence

from pop2imap.model import Mailbox, Octets
from pop2imap.target import Target


class Inventory:
    """The unowned messages of one mailbox with UIDs from ``lowest`` up and below the UIDNEXT of its preparation."""

    def __init__(
        self,
        target: Target,
        mailbox: Mailbox,
        owned: Collection[int],
        reserved: Iterable[bytes] = (),
        lowest: int = 1,
    ) -> None:
        self._target = target
        self._mailbox = mailbox
        self._reserved = Counter(reserved)
        self._uids: dict[int, list[int]] = defaultdict(list)  # by size
        self._by_digest: dict[bytes, list[int]] = defaultdict(list)  # digests and match digests
        self._match: dict[int, bytes] = {}  # match digest by UID, of the unclaimed ones
        for found in target.survey(mailbox, lowest):
            if found.uid < mailbox.uidnext and found.uid not in owned:
                self._uids[found.size].append(found.uid)

    def __bool__(self) -> bool:
        return bool(self._uids) or bool(self._match)

    def claim(self, octets: Sequence[Octets]) -> list[int | None]:
        """For each message the UID of a copy that is there already, claimed for it, or None."""
        self._look_at({size for message in octets for size in message.likely_sizes})
        claimed: list[int | None] = [None] * len(octets)
        for exact in (True, False):  # exact copies first
            for at, message in enumerate(octets):
                if claimed[at] is None and message.size:  # of an empty message no server has a copy
                    same = message.digest if exact else message.match_digest
                    claimed[at] = self._claim(same, message.match_digest)
        return claimed

    def _look_at(self, sizes: Iterable[int]) -> None:
        uids = [uid for size in sizes for uid in self._uids.pop(size, ())]
        if not uids:
            return
        for uid, (digest, match) in sorted(self._target.digests(self._mailbox, sorted(uids)).items()):
            self._match[uid] = match
            self._by_digest[digest].append(uid)
            if match != digest:
                self._by_digest[match].append(uid)

    def _claim(self, digest: bytes, match: bytes) -> int | None:
        copies = [uid for uid in self._by_digest.get(digest, ()) if uid in self._match]
        if not copies:
            return None
        if self._reserved[match]:
            alike = sum(uid in self._match for uid in self._by_digest[match])
            if alike <= self._reserved[match]:
                return None
        del self._match[copies[0]]
        return copies[0]
