"""Some uploads appended, as if there were nothing else to send."""

from __future__ import annotations

from collections.abc import Sequence

from pop2imap.model import Batch, Mailbox, Outcome, Upload
from pop2imap.net import Bell
from pop2imap.target import Target


class Batches:
    """A feed of these batches, all of which are there at once. ``outcomes`` of those that are done, by number."""

    def __init__(self, *batches: Batch) -> None:
        self.bell = Bell()
        self.outcomes: dict[int, Sequence[Outcome]] = {}
        self._numbers = {id(batch): number for number, batch in enumerate(batches)}
        self._waiting = list(batches)

    def next(self, *, wait: bool) -> Batch | None:
        return self._waiting.pop(0) if self._waiting else None

    def done(self, batch: Batch, outcomes: Sequence[Outcome]) -> None:
        assert len(outcomes) == len(batch.uploads)
        assert self._numbers[id(batch)] not in self.outcomes, "done twice"
        self.outcomes[self._numbers[id(batch)]] = outcomes


def append(target: Target, mailbox: Mailbox, uploads: Sequence[Upload], session: int = 0) -> list[Outcome]:
    """Append these in one batch. Returns an outcome for each."""
    return append_each(target, [(mailbox, uploads)], session)[0]


def append_each(
    target: Target, batches: Sequence[tuple[Mailbox, Sequence[Upload]]], session: int = 0
) -> list[list[Outcome]]:
    """Append several batches that may all be on their way at once. Returns their outcomes."""
    feed = Batches(*(Batch(mailbox, range(len(uploads)), uploads) for mailbox, uploads in batches))
    try:
        target.append(feed, session)
    finally:
        feed.bell.close()
    return [list(feed.outcomes[number]) for number in range(len(batches))]
