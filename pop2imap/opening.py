"""Opening the sources of one run: the first of them while the target is being opened."""

from __future__ import annotations

import contextlib

from pop2imap.errors import ServerBusy
from pop2imap.model import Remark
from pop2imap.pipeline import Ahead
from pop2imap.sources import Source

GHOST = 15.0
"""Seconds that a server may hold a maildrop locked for a session of ours that was lost."""


class Openings:
    """Each source is opened once before it is closed again."""

    def __init__(self) -> None:
        self._opened: set[str] = set()  # sources that this run has had a session with
        self._ahead: tuple[Source, Ahead] | None = None

    def begin(self, source: Source) -> None:
        """Open it on a thread of its own; ``open`` then waits for that."""
        self._ahead = source, Ahead(lambda: self._open(source))

    def open(self, source: Source) -> None:
        """Raises what the source raises. If this run had a session with it that was lost, the server may not have
        noticed yet, and hold the maildrop locked for that one: then there is an end to it."""
        if self._ahead is not None and self._ahead[0] is source:
            ahead, self._ahead = self._ahead[1], None
            ahead.wait()
        else:
            self._open(source)

    def _open(self, source: Source) -> None:
        try:
            source.open()
        except ServerBusy as busy:
            if busy.retry_after is None and source.id in self._opened:
                busy.retry_after = GHOST
            raise
        self._opened.add(source.id)

    def give_up(self) -> tuple[str, tuple[Remark, ...]] | None:
        """Close what was begun and never opened, if something was: its id, and what it has to say."""
        if self._ahead is None:
            return None
        source, ahead = self._ahead
        self._ahead = None
        with contextlib.suppress(Exception):  # something else has ended the run
            ahead.wait()
        return source.id, source.close(settled=False)
