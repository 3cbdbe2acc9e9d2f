"""Asking an IMAP server something: nothing old before it, only errors of ours after it.

What a refusal means is read from the last line that came (:mod:`pop2imap.target.answers`), never from the text
of an exception. Whatever a server may say that imaplib or imapclient cannot read (ValueError, IndexError and
more) is a ProtocolError.
"""

from __future__ import annotations

import contextlib
import imaplib
from collections.abc import Iterator
from typing import NoReturn

from pop2imap.errors import ConnectionLost, FolderError, Pop2imapError, ProtocolError, ServerBusy
from pop2imap.logs import said
from pop2imap.target.answers import Answer, Meaning, parse
from pop2imap.target.wire import CANNOT_READ, Wire
from pop2imap.text import printable


class Asking:
    """Around the commands of one connection."""

    def __init__(self, wire: Wire, where: str) -> None:
        self.wire = wire
        self.where = where

    @contextlib.contextmanager
    def __call__(self, doing: str, folder: str = "") -> Iterator[None]:
        """Around one command. ``doing`` completes "refused while <doing>"; with ``folder`` a refusal is a
        FolderError.

        What came untagged before is dropped: imaplib piles it up, even what an attacker sent before
        STARTTLS.
        """
        self.wire.untagged_responses.clear()
        try:
            yield
        except imaplib.IMAP4.abort:
            answer = self.answer()
            if answer.kind != "BYE":
                self.unreadable(doing)
            raise self.busy_or(
                ConnectionLost, f"the server ended the session while {doing}", answer
            ) from None
        except imaplib.IMAP4.error:
            self.refused(doing, folder)
        except CANNOT_READ:
            self.unreadable(doing)

    def answer(self) -> Answer:
        """The last line that came: the tagged answer, once a command is over."""
        return parse(self.wire.last_line)

    def refused(self, doing: str, folder: str = "") -> NoReturn:
        """Raise what the last answer, a NO or BAD, means."""
        answer = self.answer()
        if answer.kind not in {"NO", "BAD"}:
            self.unreadable(doing)
        if answer.meaning is Meaning.BUSY:
            raise self.busy_or(ServerBusy, f"refused while {doing}", answer) from None
        if folder:
            raise FolderError(f"refused while {doing}: {answer.words}", where=printable(folder)) from None
        raise ProtocolError(f"refused while {doing}: {answer.words}", where=self.where) from None

    def unreadable(self, doing: str) -> NoReturn:
        """Raise ProtocolError about the last line."""
        last = said(self.wire.last_line, 100)
        raise ProtocolError(
            f"an answer that cannot be read while {doing}: {last}", where=self.where
        ) from None

    def busy_or(self, otherwise: type[Pop2imapError], what: str, answer: Answer) -> Pop2imapError:
        """ServerBusy if the server says that it is, else ``otherwise``."""
        return busy_or(otherwise, what, answer, self.where)


def busy_or(otherwise: type[Pop2imapError], what: str, answer: Answer, where: str) -> Pop2imapError:
    """ServerBusy if the server says that it is, else ``otherwise``."""
    busy = answer.meaning in {Meaning.BUSY, Meaning.LIMIT}
    return (ServerBusy if busy else otherwise)(
        f"{what}: {answer.words}", where=where, retry_after=answer.retry_after
    )
