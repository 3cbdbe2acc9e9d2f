"""The mailboxes of a target that were looked into, and what each of them holds.

Whoever looks for copies looks in the mailbox where they should be first, then where mail programs move mail to, then
in all other folders of the account. Where the connection is lost, the question is asked again: it changes nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeVar

from pop2imap.errors import Again, FolderError, HostUnavailable
from pop2imap.folders import located
from pop2imap.model import Mailbox
from pop2imap.progress import Progress
from pop2imap.target import Target, TargetFacts
from pop2imap.verify.contents import AT_ONCE, Contents, Digests

ELSEWHERE = ("\\Trash", "\\Archive", "\\All", "\\Junk")
"""Where mail programs move mail to: looked into before all other folders of the account."""

PAUSES = (1.0, 2.0, 4.0, 8.0)
"""Seconds before each new try when a connection is lost."""

_T = TypeVar("_T")


class Places:
    """The mailboxes of one target, by the server's name, in the order in which they were looked into."""

    def __init__(
        self, target: Target, progress: Progress, stop: threading.Event, sleep: Callable[[float], None]
    ) -> None:
        self._target, self._progress, self._stop, self._sleep = target, progress, stop, sleep
        self._places: dict[str, tuple[Mailbox, Contents]] = {}
        self._folders: tuple[str, ...] = ()  # of the account
        self._everywhere = False

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __getitem__(self, name: str) -> Contents:
        return self._places[name][1]

    def open(self) -> TargetFacts:
        """Open the target. Raises what it raises."""
        facts = self._target.open()
        self._folders = facts.folders
        return facts

    def mailbox(self, name: str) -> Mailbox:
        """A mailbox as it was when it was looked into."""
        return self._places[name][0]

    def locate(self, name: str, folders: Sequence[str]) -> Mailbox | None:
        """The mailbox of this (the server's) name, under whichever of these folder names, or of any, leads there.
        Raises FolderError."""
        return self._asked(partial(self._locate, name, folders))

    def _locate(self, name: str, folders: Sequence[str]) -> Mailbox | None:
        others = (self._located(folder) for folder in self._others)
        return located(self._target, name, folders) or next(
            (one for one in others if one is not None and one.name == name), None
        )

    @property
    def _others(self) -> Sequence[str]:
        return tuple(dict.fromkeys((*ELSEWHERE, *self._folders)))

    def _located(self, folder: str) -> Mailbox | None:
        """The mailbox of a folder that may well not be there."""
        try:
            return self._target.locate(folder)
        except FolderError:
            return None

    def find(self, folder: str) -> Mailbox | None:
        """The mailbox of a folder name as people write it; None if there is none. Raises FolderError."""
        return self._asked(partial(self._target.locate, folder))

    def look_into(self, mailbox: Mailbox) -> Contents:
        """What a mailbox holds; each is asked for it once. Raises FolderError."""
        if mailbox.name not in self._places:
            found = self._asked(partial(self._target.survey, mailbox, 1))
            contents = Contents(found, lambda uids: self.digests(mailbox.name, uids))
            self._places[mailbox.name] = mailbox, contents
        return self._places[mailbox.name][1]

    def look_everywhere(self) -> Iterator[Mailbox | FolderError]:
        """Every mailbox of the account that was not looked into so far, once for each object of this class, as it is
        about to be looked into; errors of folders in their place."""
        if self._everywhere:
            return
        for folder in self._others:
            if self._stop.is_set():
                return
            try:
                mailbox = self._asked(partial(self._located, folder))
                if mailbox is not None and mailbox.name not in self._places:
                    self.look_into(mailbox)
                    yield mailbox
            except FolderError as error:
                yield error
        self._everywhere = True

    def digests(self, name: str, uids: Sequence[int]) -> Digests:
        """Digest and match digest of messages in a mailbox that was looked into; fewer once it is to stop."""
        mailbox = self._places[name][0]
        digests: Digests = {}
        for at in range(0, len(uids), AT_ONCE):
            some = uids[at : at + AT_ONCE]
            digests.update(self._asked(partial(self._target.digests, mailbox, some)))
            if self._stop.is_set():
                break
        return digests

    def _asked(self, question: Callable[[], _T]) -> _T:
        lost = False
        for pause in (*PAUSES, None):
            try:
                if lost:
                    self._target.close()
                    self._target.open()
                return question()
            except HostUnavailable as error:
                if pause is None or error.again is Again.NEVER or self._stop.is_set():
                    raise
                lost = True
                self._progress.say(f"{error}; trying again")
                self._sleep(pause)
        raise AssertionError("unreachable")
