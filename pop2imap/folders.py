"""The folders of the target that a run writes to: prepared when first needed, and with what they held before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from pop2imap.errors import FolderError
from pop2imap.inventory import Inventory
from pop2imap.journal import Journal
from pop2imap.model import Mailbox, Stored
from pop2imap.report.builder import ReportBuilder
from pop2imap.target import Target
from pop2imap.text import printable

ROLL = 256
"""Copies stored without a UID after which the lower bound of their mailbox is read anew."""


class Folders:
    """The mailboxes of one connection to the target, each prepared and inventoried when first needed."""

    def __init__(
        self, journal: Journal, target: Target, builder: ReportBuilder, *, assume_empty: bool
    ) -> None:
        self._journal, self._target, self._builder = journal, target, builder
        self._assume_empty = assume_empty
        self._mailboxes: dict[str, Mailbox | FolderError] = {}
        self._inventories: dict[str, Inventory | None] = {}
        self._without_uid: Counter[str] = Counter()
        self._used_from: dict[str, int] = {}  # lowest UID of ours, where an earlier run has used the mailbox

    def mailbox(self, folder: str) -> Mailbox:
        """Raises FolderError each time it is asked for a folder that cannot be made."""
        if folder not in self._mailboxes:
            self._prepare([folder])
        known = self._mailboxes[folder]
        if isinstance(known, FolderError):
            raise known
        if self._without_uid[known.name] >= ROLL:
            known = self._roll(known)
        return known

    def knows(self, folder: str) -> bool:
        """Whether it was asked for before."""
        return folder in self._mailboxes

    def foresee(self, folders: Iterable[str]) -> None:
        """These will be needed: prepared together, they cost no more round trips than one of them."""
        if len(new := [one for one in dict.fromkeys(folders) if one not in self._mailboxes]) > 1:
            self._prepare(new)

    def _prepare(self, folders: Sequence[str]) -> None:
        made: list[str] = []
        for folder, known in zip(folders, self._target.prepare_each(folders), strict=True):
            self._mailboxes[folder] = known
            if isinstance(known, Mailbox):
                self._builder.touched(folder, known)
                made += [*known.above, *([known.name] if known.created else [])]
        if made:
            self._journal.made(made)

    def _roll(self, mailbox: Mailbox) -> Mailbox:
        self._without_uid[mailbox.name] = 0
        now = self._target.locate(mailbox.folder)
        if now is None:  # it is gone; the next APPEND will say so
            return mailbox
        if now.uidvalidity != mailbox.uidvalidity:
            self._inventories.pop(mailbox.name, None)
        self._mailboxes[mailbox.folder] = now
        return now

    def stored(self, mailbox: Mailbox, outcome: Stored) -> None:
        """One more copy is there. Those without a UID make recovery read bodies from the lower bound of the
        mailbox up, so after some of them the bound is read anew."""
        self._without_uid[mailbox.name] += outcome.uid is None

    def present(self, mailbox: Mailbox, uid: int) -> None:
        """A copy that was to be sent is there already."""
        if uid >= self._used_from.get(mailbox.name, uid + 1):
            self._builder.remark(
                f"{printable(mailbox.folder)} held copies already that came after the journal had first used it, and "
                "that it did not know: from somebody else, or from a run that this journal is older than; they were "
                "recognised by content and not sent again"
            )

    def inventory(self, mailbox: Mailbox) -> Inventory | None:
        """What may be there already, or None where nothing is, or nothing is to be looked for."""
        if mailbox.name not in self._inventories:
            self._inventories[mailbox.name] = self._take_inventory(mailbox)
        return self._inventories[mailbox.name]

    def _take_inventory(self, mailbox: Mailbox) -> Inventory | None:
        """With ``assume_empty``, what was there before the journal first used the mailbox is left out; but what came
        since is always looked at, for the journal may be older than the mailbox: somebody has put back an old copy,
        or a damaged disk has done the same. Then what a run after that copy has sent is nobody's."""
        before = self._journal.last_uidvalidity(mailbox.name)
        renewed = before is not None and before != mailbox.uidvalidity
        if renewed:
            self._builder.remark(
                f"the server gave {mailbox.folder} a new UIDVALIDITY ({before} → {mailbox.uidvalidity}); "
                "what is in it was compared by content"
            )
            self._journal.renumbered(mailbox.name, mailbox.uidvalidity)  # else our copies look like others'
        lowest = self._journal.unsure_from(mailbox.name)
        if before is not None and not renewed and lowest is not None:
            self._used_from[mailbox.name] = lowest
        if not self._assume_empty:
            lowest = 1
        if not mailbox.messages or lowest is None or lowest >= mailbox.uidnext:
            return None
        owned = self._journal.owned(mailbox.name, mailbox.uidvalidity)
        unlocated = self._journal.unlocated(mailbox.name)
        inventory = Inventory(self._target, mailbox, owned, unlocated, lowest)
        return inventory or None


def located(target: Target, name: str, folders: Iterable[str]) -> Mailbox | None:
    """The mailbox that the server calls ``name``, under whichever of these folder names still leads there; None if
    none does. Raises FolderError if that cannot be known."""
    trouble: FolderError | None = None
    for folder in folders:
        try:
            mailbox = target.locate(folder)
        except FolderError as error:
            trouble = trouble or error
        else:
            if mailbox is not None and mailbox.name == name:
                return mailbox
    if trouble is not None:
        raise trouble
    return None
