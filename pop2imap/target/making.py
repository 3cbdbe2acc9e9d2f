"""Folders that are missing are made: of many, all at once; and what the server refuses is tried in other spellings."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence

from pop2imap.errors import FolderError
from pop2imap.model import Mailbox
from pop2imap.target.burst import Asked
from pop2imap.target.folders import Names
from pop2imap.target.session import Session
from pop2imap.text import printable


class Making:
    """For some folders that are wanted together. ``ask`` asks questions of that session at once."""

    def __init__(self, names: Names, session: Session, ask: Callable[..., None]) -> None:
        self._names, self._session, self._ask = names, session, ask
        self.made: dict[str, None] = {}
        """The mailboxes that were made, in order, as the server spells them; less what was ``claimed``."""

    def each(self, folders: Sequence[str]) -> list[str | FolderError]:
        """The server's spelling of each, which is there now, or why it is not."""
        if len(folders) > 1:
            self._create_ahead(folders)
        return [self._found_or_made(folder) for folder in folders]

    def claimed(self, mailbox: Mailbox) -> Mailbox:
        """With what was made of it, and of those above it, which then is nobody else's."""
        own = [level for level in self._names.levels(mailbox.name) if level in self.made]
        for level in own:
            del self.made[level]
        above = tuple(level for level in own if level != mailbox.name)
        return mailbox._replace(created=mailbox.name in own, above=above)

    def _create_ahead(self, folders: Iterable[str]) -> None:
        """Create what is missing, all at once. What the server refuses is left to ``_make``."""
        missing: dict[str, str] = {}  # with its use
        for folder in folders:
            with contextlib.suppress(FolderError):
                name = self._names.spelled(folder)
                for level in self._missing(name):
                    missing.setdefault(level, "")
                if name in missing:
                    missing[name] = self._names.use_of(folder)
        self._create(missing)

    def _found_or_made(self, folder: str) -> str | FolderError:
        try:
            name = self._names.spelled(folder)
            return self._names.find(name) or self._make(folder, name)
        except FolderError as error:
            return error

    def _make(self, folder: str, name: str) -> str:
        """Create what is missing. Returns the server's spelling."""
        use, refusal = self._names.use_of(folder), ""
        for spelling in dict.fromkeys((name, self._names.harmless(name))):
            if there := self._names.find(spelling):
                return there
            refusals = self._create(
                {level: use if level == spelling else "" for level in self._missing(spelling)}
            )
            if any(refusals):  # it may be there in another spelling
                self._names.relist(self._session.ask(self._session.listing()))
            refusal = refusals[-1] if refusals else ""  # of the last level: one above it may not be needed
            if not refusal:
                return spelling
            if there := self._names.find(spelling) or self._names.similar(spelling):
                return there
        raise FolderError(f"cannot be made: {refusal}", where=printable(folder))

    def _missing(self, name: str) -> list[str]:
        """The mailbox and those above it, the highest first, as far as they are not there."""
        return [level for level in self._names.levels(name) if not self._names.find(level)]

    def _create(self, uses: dict[str, str]) -> list[str]:
        """Create these, with their special uses. Returns the server's words to each, empty where it made it."""
        asked = {name: Asked(self._session.create(name, use)) for name, use in uses.items()}
        self._ask(*asked.values())
        for name, one in asked.items():
            if not one.value:
                self.made[name] = None
                self._names.add(name)
        return [one.value for one in asked.values()]
