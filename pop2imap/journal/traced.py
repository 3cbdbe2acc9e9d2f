"""What a journal knows of one message, and how that is said."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from pop2imap.model import Account, DateFrom, Key
from pop2imap.text import printable


class TracedCopy(NamedTuple):
    """One placement of a traced message. ``run`` began at ``since``."""

    folder: str
    mailbox: str
    state: str
    uidvalidity: int
    uid: int | None
    flags: tuple[str, ...]
    date: datetime
    run: int
    since: datetime
    repairs: tuple[str, ...] = ()

    def line(self) -> str:
        """In words."""
        where = printable(self.folder)
        if self.mailbox != self.folder:
            where += f" (on the server: {printable(self.mailbox)})"
        place = f"as UID {self.uid} under UIDVALIDITY {self.uidvalidity}" if self.uid else "UID not known"
        flags = printable(" ".join(self.flags)) or "none"
        run = f"run {self.run}, {self.since:%Y-%m-%d %H:%M} UTC"
        match self.state:
            case "stored":
                mended = f", after repair ({', '.join(self.repairs)})" if self.repairs else ""
                return f"stored in {where}, {place}{mended}; flags: {flags}; {run}"
            case "present":
                known = f"found {place}" if self.uid else "the same octets were there already"
                return f"present in {where}: {known}; {run}"
            case "refused":
                return f"refused by {where}; {run}"
            case "undoing":
                return f"being removed from {where}, {place}: pop2imap undo goes on with it; {run}"
            case "held":
                return f"held: sent to {where}, and whether it arrived cannot be known; {run}"
            case _:
                return f"on its way to {where}: whether it arrived is looked up by the next run; {run}"


class Traced(NamedTuple):
    """Everything known of one message. ``subject`` is there only for messages that are problems. ``removed_by`` is the
    run that deleted it at its source, if one did."""

    key: Key
    account: Account
    size: int
    digest: bytes | None
    date: datetime | None
    date_from: DateFrom | None
    reason: str
    why: str
    subject: str
    rules_digest: str
    wanted: int
    copies: tuple[TracedCopy, ...]
    removed_by: int | None = None

    def lines(self) -> tuple[str, ...]:
        """In words, one fact a line."""
        name = self.key.name if self.key.nth < 0 else str(self.key)  # below 0 is the journal's own business
        facts = [f"{printable(name)} of {printable(self.key.source)}: {self.account.value}"]
        if self.reason:
            facts.append(f"reason: {printable(self.reason, 400)}")
        if self.subject:
            facts.append(f"subject: {printable(self.subject)}")
        if self.date:
            origin = f" ({self.date_from.value})" if self.date_from else ""
            facts.append(f"dated {self.date:%Y-%m-%d %H:%M:%S} UTC{origin}")
        facts.append(f"{self.size} octets" + (f", SHA-256 {self.digest.hex()}" if self.digest else ""))
        if self.why:
            facts.append(f"why: {printable(self.why, 1000)}")
        facts += [copy.line() for copy in self.copies]
        if self.removed_by is not None:
            facts.append(f"deleted at the source; run {self.removed_by}")
        elif (missing := self.wanted - len(self.copies)) > 0 and self.account is Account.PENDING:
            facts.append(f"{missing} of {self.wanted} copies not sent yet")
        return tuple(facts)
