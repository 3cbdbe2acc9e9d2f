"""Taking messages and mailboxes out of a target again: the only code of pop2imap that removes anything there.

Messages are marked as deleted and expunged by their UIDs (RFC 4315 2.1), so that nothing goes that somebody else has
marked. A server that cannot do that (no UIDPLUS) expunges all that is marked, and is told so only if nothing else is:
that is looked at before and after the marking. Nothing keeps another client from marking a message between the last
look and the EXPUNGE, nor from delivering mail between the look into an empty mailbox and its DELETE; IMAP has no way
to.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from pop2imap.errors import FolderError, Pop2imapError
from pop2imap.model import Mailbox
from pop2imap.target.folders import is_inbox
from pop2imap.target.session import Session
from pop2imap.text import printable


def erase(session: Session, mailbox: Mailbox, uids: Sequence[int], *, plain: bool) -> set[int]:
    """See :meth:`pop2imap.target.Erasing.erase`; the mailbox is selected, and can be written."""
    exact, where = "UIDPLUS" in session.capabilities, printable(mailbox.folder)
    if not exact and not plain:
        raise FolderError(
            "the server cannot remove single messages (no UIDPLUS)",
            where=where,
            todo="--without-uidplus removes all that is marked as deleted there, if only these messages are",
        )
    if not exact:
        _see_that_nothing_else_is_marked(session, uids, where)
    session.mark_deleted(uids, True)
    try:
        if exact:
            session.expunge(uids)
        else:
            _see_that_nothing_else_is_marked(session, uids, where)
            session.expunge(None)
        left = session.there(uids)
        if left:
            session.mark_deleted(sorted(left), False)
    except Pop2imapError:
        with contextlib.suppress(Pop2imapError):
            session.mark_deleted(uids, False)
        raise
    return set(uids) - left


def _see_that_nothing_else_is_marked(session: Session, uids: Sequence[int], where: str) -> None:
    others = session.marked_deleted() - set(uids)
    if others:
        raise FolderError(
            f"{len(others)} other messages are marked as deleted there, and would go with ours",
            where=where,
            todo="expunge them with a mail program (it may call that compacting), or take the mark away",
        )


def remove(session: Session, name: str, uidvalidity: int | None) -> str:
    """See :meth:`pop2imap.target.Erasing.remove`; nothing is selected."""
    listed = {one.name: one for one in session.ask(session.listing())}
    if name in listed:
        delimiter = listed[name].delimiter
        if is_inbox(name):
            return "it is the INBOX"
        if delimiter and any(other.startswith(name + delimiter) for other in listed):
            return "there are folders below it"
        try:
            status = session.ask(session.status(name))
        except FolderError as error:
            return error.what
        if uidvalidity not in {None, status.uidvalidity}:
            return "it is no longer the folder that was made: its UIDVALIDITY is another"
        if status.messages != 0:
            return "there are other messages in it"
        if refusal := session.ask(session.delete(name)):
            return refusal
    session.ask(session.unsubscribe(name))
    return ""
