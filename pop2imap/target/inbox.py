"""The INBOX of an IMAP account that is no target: looked at, and left as it is (EXAMINE, BODY.PEEK)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Self

from pop2imap import net
from pop2imap.credentials import Secret
from pop2imap.model import Found
from pop2imap.target.burst import Asked
from pop2imap.target.folders import is_inbox
from pop2imap.target.session import Session

MOST_FOLDERS = 1000
"""Folders that are asked how much they hold."""


class Others(NamedTuple):
    """What an account holds besides INBOX. ``messages`` are those of at most MOST_FOLDERS folders."""

    folders: int
    messages: int


class Inbox:
    """Logged in, with INBOX opened read-only, as long as it is entered.

    Entering raises HostUnavailable, TlsRefused, ConnectionLost, ProtocolError, AuthenticationFailed (after one try),
    ServerBusy, FolderError; so do the methods, but for what concerns the login.
    """

    def __init__(self, server: net.Server, user: str, password: Secret, *, login_as: str = "") -> None:
        self.where = str(server)
        self._server, self._user, self._password, self._login_as = server, user, password, login_as
        self.tried = False
        """Whether the password was sent, or may have been."""
        self.uidvalidity: int | None = None
        self.messages = 0
        self._uidnext: int | None = None

    def __enter__(self) -> Self:
        session = self._session = Session(self._server)
        self.tried = True
        try:
            session.login(self._user, self._password, self._login_as)
            selected = session.ask(session.select("INBOX", read_only=True))
        except BaseException:
            session.drop()
            raise
        self.uidvalidity, self.messages = selected.uidvalidity, selected.messages
        self._uidnext = selected.uidnext
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def survey(self) -> Iterator[Found]:
        """Every message, in the order of the server."""
        return self._session.survey(1, self._uidnext, self.messages) if self.messages else iter(())

    def message_ids(self, first: int, last: int) -> Iterator[tuple[int, bytes]]:
        """(UID, the header field Message-ID as it stands) of the messages from UID ``first`` to ``last``."""
        return self._session.message_ids(first, last)

    def others(self) -> Others:
        """What there is besides. Closes INBOX."""
        session = self._session
        listed = session.ask(session.listing())
        names = [one.name for one in listed if not is_inbox(one.name) and one.usable]
        states = [Asked(session.status(name)) for name in names[:MOST_FOLDERS]]
        session.together(Asked(session.unselect()), *states)
        return Others(len(names), sum(one.value.messages or 0 for one in states if one.error is None))
