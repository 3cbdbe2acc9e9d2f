"""The contract of a set of rules, whatever language it was written in."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Protocol

from pop2imap.headers import Headers
from pop2imap.model import Decision, Message


class Rules(Protocol):
    """A set of rules: pure, without I/O, safe to ask as often as one likes."""

    names: tuple[str, ...]
    """Every rule, in order, as reports name it."""

    digest: str
    """Changes when any decision might change; kept with what was skipped."""

    def decide(
        self,
        message: Message,
        headers: Headers,
        date: datetime,
        source_folder: str,
        places: tuple[str, ...] = (),
    ) -> Decision:
        """The decision for one message. ``date`` is its internal date (UTC). ``places`` are the folders that it has
        at home and keeps where no rule says otherwise; without any, that is the default folder. Never raises for
        what a message contains: a header that cannot be read is no match."""

    def remember(self, folders: Iterable[str]) -> None:
        """Earlier runs put mail into these folders: those among them that mail gave its name to are some of the
        folders that it may make in all."""
