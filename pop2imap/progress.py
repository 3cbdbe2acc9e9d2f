"""Progress as an observer: the work reports to it and never asks it anything."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """What the work tells. May be called from any thread."""

    def start(self, doing: str, octets: int, messages: int) -> None:
        """A phase begins ("listing", "reading and uploading"); totals are 0 when unknown."""

    def advance(self, octets: int, messages: int) -> None:
        """So much more is done."""

    def say(self, text: str) -> None:
        """A line that stays: what a person should see now ("looking for 12 messages of the run before")."""

    def finish(self) -> None:
        """The phase is over, whatever its end."""


class Silent:
    """For ``--quiet``, and for tests."""

    def start(self, doing: str, octets: int, messages: int) -> None: ...

    def advance(self, octets: int, messages: int) -> None: ...

    def say(self, text: str) -> None: ...

    def finish(self) -> None: ...
