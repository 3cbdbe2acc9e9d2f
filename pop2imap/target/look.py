"""What is asked of a server to know one mailbox as it is now."""

from __future__ import annotations

from typing import Any

from pop2imap.target.burst import Asked
from pop2imap.target.session import Selected, Session


class Look:
    """The questions about one mailbox that are asked together.

    It is opened first and asked for its numbers then, unless it was opened before and told ``known``: QUIRK(Courier): a
    mailbox that nobody has opened yet tells another UIDVALIDITY each second.
    """

    def __init__(
        self,
        session: Session,
        folder: str,
        name: str,
        known: Selected | None,
        *,
        read_only: bool = True,
    ) -> None:
        self.folder, self.name, self.read_only = folder, name, read_only
        self._known = known
        self.status = Asked(session.status(name))
        self.questions: list[Asked[Any]] = [self.status]
        if known is None:
            self._opened = Asked(session.select(name, read_only=read_only))
            # RFC 3501 6.3.10: no STATUS of the selected mailbox
            self.questions[:0] = [self._opened, Asked(session.unselect())]

    @property
    def selected(self) -> Selected:
        """What opening it has told. Raises FolderError."""
        return self._known or self._opened.value
