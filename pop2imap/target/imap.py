"""The IMAP target: sessions of one account, one to look and one or more to upload.

The looking session belongs to the caller's thread: it lists, creates, selects and fetches. What it learns of
a mailbox once (its name, its permanent flags) is kept; UIDVALIDITY and UIDNEXT never are. Each uploading one
(:mod:`pop2imap.target.upload`) may be used by a thread of its own. A looking session that was quiet for long is
tried before it is used, and made again if the server has ended it: nothing of ours can be in doubt there.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from pop2imap import net
from pop2imap.credentials import Secret
from pop2imap.errors import ConnectionLost, FolderError, InternalError, ProtocolError
from pop2imap.model import Found, Mailbox
from pop2imap.target import Feed, TargetFacts
from pop2imap.target.burst import Asked, Experience
from pop2imap.target.erase import erase, remove
from pop2imap.target.fetched import number
from pop2imap.target.folders import Names
from pop2imap.target.look import Look
from pop2imap.target.making import Making
from pop2imap.target.session import Selected, Session
from pop2imap.target.suspects import Suspects
from pop2imap.target.upload import QUIET, Pause, Uploader
from pop2imap.text import printable

log = logging.getLogger(__name__)

MESSAGES_AT_ONCE = 200
"""Bodies asked for by one FETCH: enough to hide the round trip, short enough as a command line."""

ANY_KEYWORD = "\\*"


class ImapTarget:
    """An IMAP account (see :class:`pop2imap.target.Target` and :class:`pop2imap.target.Erasing`).

    ``user`` logs in with ``password``; with ``login_as``, an administrator ``user`` works in that account
    (SASL PLAIN with an authorization identity).
    """

    def __init__(self, server: net.Server, user: str, password: Secret, *, login_as: str = "") -> None:
        where = net.Server(server.host.lower(), server.port, server.transport)
        self.identity = f"{login_as or user}@{where}"
        self._server, self._user, self._password, self._login_as = server, user, password, login_as
        self._session: Session | None = None
        self._experience = Experience()
        self._suspects, self._pause = Suspects(), Pause()
        self._uploaders: dict[int, Uploader] = {}
        self._exchange = False
        self._append_limit: int | None = None
        self._names = Names("", "", ())
        self._subscribed: set[str] | None = None
        self._selected: dict[
            str, Selected
        ] = {}  # what SELECT told of each mailbox when it was first prepared
        self._examined: tuple[Mailbox, int] | None = None  # what is selected now, and its UIDNEXT then

    # -- the account

    def open(self) -> TargetFacts:
        self.close()
        self._pause.seconds = None
        for uploader in self._uploaders.values():
            uploader.reset()
        try:
            session, name, quota = self._learn()
        except BaseException:
            self.close()
            raise
        return TargetFacts(
            server=name,
            capabilities=session.capabilities,
            prefix=self._names.prefix,
            delimiter=self._names.delimiter,
            special_use=dict(self._names.special_use),
            append_limit=self._append_limit,
            quota_octets=_tightest(quota, "STORAGE", 1024),  # RFC 9208 5.1: in units of 1024 octets
            quota_messages=_tightest(quota, "MESSAGE", 1),
            folders=self._names.folders(),
        )

    def _learn(self) -> tuple[Session, str, list[tuple[str, int, int]]]:
        """Make the looking session, and ask all that is to be known of the account, at once if the server bears that.
        Returns the session, the name of the server, and quotas."""
        asked_at_once = not self._experience.one_at_a_time
        session = self._session = self._connect()
        name, space, listed = Asked(session.identify()), Asked(session.namespace()), Asked(session.listing())
        quota, subscribed = Asked(session.quota()), Asked(session.subscribed())
        try:
            session.together(name, space, listed, quota, subscribed)
        except ConnectionLost:
            if not (asked_at_once and self._experience.one_at_a_time):
                raise
            session.drop()
            return self._learn()
        self._exchange = "exchange" in f"{name.value} {session.greeting}".lower()
        prefix, delimiter, foreign = space.value
        self._names = Names(prefix, delimiter, listed.value, foreign)
        self._append_limit = _global_append_limit(session.capabilities)
        self._subscribed = _unless_refused(subscribed)
        return session, name.value, quota.value

    def close(self) -> None:
        for uploader in self._uploaders.values():
            uploader.close()
        session, self._session = self._session, None
        if session:
            session.close()
        self._subscribed = None
        self._selected.clear()
        self._examined = None

    def _connect(self) -> Session:
        session = Session(self._server, self._experience)
        try:
            session.login(self._user, self._password, self._login_as)
        except BaseException:
            session.drop()
            raise
        return session

    def _look(self) -> Session:
        """The looking session, alive as far as can be known."""
        if self._session is None:
            raise InternalError("a target was asked before it was opened")
        if self._session.wire.quiet > QUIET:
            try:
                self._session.noop()
            except ConnectionLost:
                self._session.drop()
                self._examined = None
                self._session = self._connect()
        return self._session

    # -- folders

    def locate(self, folder: str) -> Mailbox | None:
        (found,) = self.locate_each([folder])
        if isinstance(found, FolderError):
            raise found
        return found

    def locate_each(self, folders: Sequence[str]) -> list[Mailbox | FolderError | None]:
        session = self._look()
        looks: list[Look | FolderError | None] = []
        for folder in folders:
            try:
                name = self._names.spelled(folder)
            except FolderError as error:
                looks.append(error)
            else:
                there = self._names.find(name) or self._names.find(self._names.harmless(name))
                looks.append(Look(session, folder, there, self._selected.get(there)) if there else None)
        self._ask(session, *(one for look in looks if isinstance(look, Look) for one in look.questions))
        return [self._seen(session, look) if isinstance(look, Look) else look for look in looks]

    def _seen(self, session: Session, look: Look) -> Mailbox | FolderError:
        try:
            return self._mailbox(session, look)
        except FolderError as error:
            return error

    def prepare(self, folder: str) -> Mailbox:
        (prepared,) = self.prepare_each([folder])
        if isinstance(prepared, FolderError):
            raise prepared
        return prepared

    def prepare_each(self, folders: Sequence[str]) -> list[Mailbox | FolderError]:
        session = self._look()
        making = Making(self._names, session, partial(self._ask, session))
        found = making.each(folders)
        there = [name for name in found if isinstance(name, str)]
        subscriptions = self._subscriptions(session, dict.fromkeys((*making.made, *there)))
        looks = [
            one
            if isinstance(one, FolderError)
            else Look(session, folder, one, self._selected.get(one), read_only=False)
            for folder, one in zip(folders, found, strict=True)
        ]
        self._ask(
            session,
            *subscriptions,
            *(one for look in looks if isinstance(look, Look) for one in look.questions),
        )
        for one in subscriptions:
            if isinstance(one.error, FolderError):
                log.warning("the folder cannot be subscribed, mail programs may hide it: %s", one.error)
            elif one.error is not None:
                raise one.error
        seen = [self._seen(session, look) if isinstance(look, Look) else look for look in looks]
        return [making.claimed(one) if isinstance(one, Mailbox) else one for one in seen]

    def _subscriptions(self, session: Session, names: Iterable[str]) -> list[Asked[None]]:
        """Make folders such that mail programs show. A server that will not is no reason to stop."""
        if self._subscribed is None:
            subscribed = Asked(session.subscribed())
            session.together(subscribed)
            self._subscribed = _unless_refused(subscribed)
        missing = [name for name in names if name not in self._subscribed]
        self._subscribed.update(missing)
        return [Asked(session.subscribe(name)) for name in missing]

    def _ask(self, session: Session, *questions: Asked[Any]) -> None:
        """Ask all at once, with no mailbox selected."""
        self._examined = None
        session.together(*([Asked(session.unselect())] if session.has_selected else []), *questions)

    def _mailbox(self, session: Session, look: Look) -> Mailbox:
        """The mailbox as it is now."""
        folder, name, read_only = look.folder, look.name, look.read_only
        known = look.selected
        if not read_only:
            self._selected[name] = known
        status = look.status.value
        uidvalidity, uidnext, messages = status.uidvalidity, status.uidnext, status.messages
        if uidvalidity is None or uidnext is None or messages is None:
            selected = self._select(session, name, read_only=True)
            uidvalidity = uidvalidity or selected.uidvalidity
            messages = selected.messages if messages is None else messages
            uidnext = uidnext or selected.uidnext or (session.last_uid() or 0 if messages else 0) + 1
            self._leave(session)
        if not uidvalidity:
            raise FolderError(
                "the server gives this folder no UIDVALIDITY, so mail in it cannot be found again",
                where=printable(folder),
            )
        if known.read_only and not read_only:
            raise FolderError("the server lets nobody write to this folder", where=printable(folder))
        # with EXAMINE many servers show none, although there are some
        flags = known.permanent_flags or (None if read_only else known.permanent_flags)
        limits = [limit for limit in (status.append_limit, self._append_limit) if limit is not None]
        return Mailbox(
            folder=folder,
            name=name,
            uidvalidity=uidvalidity,
            uidnext=uidnext,
            messages=messages,
            permanent_flags=None if flags is None else flags - {ANY_KEYWORD},
            any_keyword=flags is None or ANY_KEYWORD in flags,
            append_limit=min(limits, default=None),
        )

    def _select(self, session: Session, name: str, *, read_only: bool) -> Selected:
        self._examined = None
        return session.ask(session.select(name, read_only=read_only))

    def _leave(self, session: Session) -> None:
        """Select nothing any more. Never expunges."""
        self._examined = None
        if session.has_selected:
            session.ask(session.unselect())

    # -- messages

    def append(self, feed: Feed, session: int = 0) -> None:
        if session not in self._uploaders:
            self._uploaders[session] = Uploader(
                self._connect, lambda: self._exchange, self._suspects, self._pause
            )
        self._uploaders[session].append(feed)

    def survey(self, mailbox: Mailbox, lowest_uid: int) -> list[Found]:
        session = self._look()
        selected = self._examine(session, mailbox)
        if not selected.messages:
            return []
        found = session.survey(max(lowest_uid, 1), selected.uidnext, selected.messages)
        return sorted({one.uid: one for one in found}.values(), key=lambda one: one.uid)

    def digests(self, mailbox: Mailbox, uids: Sequence[int]) -> dict[int, tuple[bytes, bytes]]:
        wanted = sorted(set(uids))
        digests: dict[int, tuple[bytes, bytes]] = {}
        session = self._look()
        if wanted and not self._is_in_view(mailbox, wanted[-1]):
            self._examine(session, mailbox)
        for at in range(0, len(wanted), MESSAGES_AT_ONCE):
            some = wanted[at : at + MESSAGES_AT_ONCE]
            got = session.digests(some)
            digests.update((uid, got[uid]) for uid in some if uid in got)
        return digests

    def erase(self, mailbox: Mailbox, uids: Sequence[int], *, plain: bool = False) -> set[int]:
        session, wanted = self._look(), sorted(set(uids))
        selected = self._open_again(session, mailbox, read_only=False)
        self._examined = None
        try:
            if selected.read_only:
                raise FolderError(
                    "the server lets nobody write to this folder", where=printable(mailbox.folder)
                )
            gone: set[int] = set()
            for at in range(0, len(wanted), MESSAGES_AT_ONCE):
                gone |= erase(session, mailbox, wanted[at : at + MESSAGES_AT_ONCE], plain=plain)
            return gone
        finally:
            with contextlib.suppress(ConnectionLost):
                self._leave(session)

    def remove(self, name: str, uidvalidity: int | None) -> str:
        session = self._look()
        self._leave(session)
        why = remove(session, name, uidvalidity)
        if not why:
            self._names.relist(session.ask(session.listing()))
            self._selected.pop(name, None)
            self._subscribed = None
        return why

    def _examine(self, session: Session, mailbox: Mailbox) -> Selected:
        return self._open_again(session, mailbox, read_only=True)

    def _open_again(self, session: Session, mailbox: Mailbox, *, read_only: bool) -> Selected:
        """Select what must still be the same mailbox."""
        selected = self._select(session, mailbox.name, read_only=read_only)
        if selected.uidvalidity not in {None, mailbox.uidvalidity}:
            raise FolderError(
                f"the server has replaced this folder (UIDVALIDITY {mailbox.uidvalidity} became "
                f"{selected.uidvalidity})",
                where=printable(mailbox.folder),
                todo="run again: what is in it is compared anew",
            )
        self._examined = (mailbox, selected.uidnext or 0)
        return selected

    def _is_in_view(self, mailbox: Mailbox, uid: int) -> bool:
        """Whether the selected mailbox is this one and shows this UID.

        QUIRK(Courier): what came after EXAMINE is not there until the next EXAMINE or NOOP.
        """
        if self._examined is None:
            return False
        examined, uidnext = self._examined
        return (examined.name, examined.uidvalidity) == (mailbox.name, mailbox.uidvalidity) and uid < uidnext


def _unless_refused(subscribed: Asked[set[str]]) -> set[str]:
    """What is subscribed; nothing if the server does not tell."""
    try:
        return subscribed.value
    except ProtocolError:
        return set()


def _global_append_limit(capabilities: frozenset[str]) -> int | None:
    """APPENDLIMIT=<number> among the capabilities (RFC 7889 2)."""
    values = (c.removeprefix("APPENDLIMIT=") for c in capabilities if c.startswith("APPENDLIMIT="))
    limits = [limit for value in values if (limit := number(value.encode("utf-8", "replace"))) is not None]
    return min(limits, default=None)


def _tightest(quotas: Sequence[tuple[str, int, int]], resource: str, unit: int) -> tuple[int, int] | None:
    """(used, limit) of the root with the least room."""
    ours = [(used * unit, limit * unit) for name, used, limit in quotas if name == resource]
    return min(ours, key=lambda quota: quota[1] - quota[0], default=None)
