"""A POP3 maildrop as a source.

POP3 has numbers that are valid for one session, names that last (UIDL), sizes that are estimates, and no state
but "still there". So the listing is UIDL and LIST (``pop3_listing``), and a message is what RETR gives up to
CRLF . CRLF, whatever LIST said of its size (``pop3_fetch``, over ``pop3_session``, over ``pop3_wire``).

*QUIT is a statement.* On it servers remove what was marked, Gmail hides what was retrieved, ``EXPIRE 0`` may delete
it. So it is sent only when the caller says that all is settled, and never when an answer to a RETR was not taken.
DELE is sent in ``delete`` alone, and what it marks goes with the QUIT of ``commit``, or not at all.

*A name that means something lasts.* What has no usable UIDL is named by its octets: ``sha256:`` and the digest in
hex, with its nth repeat among the messages that were read in this session.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from pop2imap import net
from pop2imap.credentials import Secret
from pop2imap.errors import ConnectionLost, InternalError, Pop2imapError, ProtocolError
from pop2imap.model import Account, Key, Message, Ref, Remark, Unread
from pop2imap.octets import StoredOctets, from_bytes
from pop2imap.sizes import MAX_MESSAGE
from pop2imap.sources import Listing, ListProgress, pop3_errors, pop3_wire, too_large
from pop2imap.sources.pop3_capabilities import Capabilities
from pop2imap.sources.pop3_fetch import WINDOW_COMMANDS, Answer, Experience, Fetcher, Request, TooLarge
from pop2imap.sources.pop3_listing import (
    DIGEST_NAME,
    POSITION_NAME,
    Names,
    Scan,
    Table,
    agree,
    drop_count,
    merge,
)
from pop2imap.sources.pop3_session import Session, open_session
from pop2imap.sources.pop3_wire import Command, Status
from pop2imap.text import printable

UNKNOWN_SIZE = 64 << 10
"""What a message without a size counts in the window, in octets."""

_LISTING = (pop3_wire.STAT, pop3_wire.LIST, pop3_wire.UIDL)

HEAD_SIZE = 4 << 10
"""What a header counts in the window, in octets."""


class Pop3Source:
    """A maildrop; satisfies :class:`pop2imap.sources.Erasable`.

    ``user`` logs in with ``password``; with ``login_as`` it does so for the mailbox of that user (AUTH PLAIN with an
    authorization identity). Large messages go to ``spool``; those of more than ``max_message_size`` octets are
    unreadable. ``lenient_end`` also takes LF . LF for the end of a message: for servers that write bare LF
    throughout, since it lets mail from strangers end early on all others. The caller has made sure that a transport
    in clear text is meant.
    """

    kind = "pop3"
    lists_by: Literal["octets", "messages"] = "messages"
    folder = "INBOX"

    def __init__(
        self,
        server: net.Server,
        user: str,
        password: Secret,
        *,
        login_as: str = "",
        spool: Path | None = None,
        lenient_end: bool = False,
        max_message_size: int = MAX_MESSAGE,
    ) -> None:
        self.id = f"pop3:{login_as or user}@{str(server).lower()}"
        self._server = server
        self._user = user
        self._password = password
        self._login_as = login_as
        self._spool = spool
        self._lenient_end = lenient_end
        self._most = max_message_size
        self._experience = Experience()
        self._lists_ahead = True  # until a session breaks at that
        self.login_delay = 0.0
        self._reset()

    def _reset(self) -> None:
        self._session: Session | None = None
        self._table: Table | None = None
        self._fetcher: Fetcher | None = None
        self._unnamed: dict[bytes, dict[int, int]] = {}  # digest → position → nth, of what has no UIDL
        self._top_works = False
        self._without_head = 0
        self._sizes_differ = 0
        self._shorter = 0
        self._marked = False

    # ---- the session -----------------------------------------------------------------------------------

    def open(self) -> tuple[str, ...]:
        if self._session is not None:
            self._session.close()
        self._reset()
        session, how = open_session(
            self._server,
            self._user,
            self._password,
            self._login_as,
            lenient_end=self._lenient_end,
            ahead=_LISTING if self._lists_ahead and not self._experience.one_at_a_time else (),
        )
        self._session = session
        self._fetcher = Fetcher(session, self._experience, self._spool, self._most)
        self.login_delay = session.capabilities.login_delay or 0.0
        return tuple(self._facts(session, how))

    def _facts(self, session: Session, how: str) -> Iterator[str]:
        yield f"POP3 at {self._server}: {session.greeting.words}".removesuffix(": ")
        travel = {
            net.Transport.TLS: "over TLS",
            net.Transport.STARTTLS: "over TLS, begun with STLS",
            net.Transport.CLEAR: "in clear text",
        }[self._server.transport]
        mailbox = f" for the mailbox of {printable(self._login_as)}" if self._login_as else ""
        yield f"logged in as {printable(self._user)}{mailbox} with {how}, {travel}"
        known = session.capabilities
        if not known.known:
            yield "does not say what it offers (no CAPA)"
        elif missing := [name for name in ("UIDL", "TOP", "PIPELINING") if name not in known]:
            costs = {
                "UIDL": "each run has to read everything again",
                "TOP": "a dry run cannot see what is in the messages",
                "PIPELINING": "messages are fetched one at a time",
            }
            yield from (f"offers no {name}: {costs[name]}" for name in missing)
        else:
            yield "offers UIDL, TOP, PIPELINING"
        if self._experience.one_at_a_time:
            yield f"messages are fetched one at a time: {self._experience.one_at_a_time}"
        if known.login_delay:
            yield f"wants {known.login_delay:.0f} seconds between two logins"
        if known.offers.get("EXPIRE", ())[:1] == ("0",):
            yield "may delete what was fetched once the session has ended well (EXPIRE 0)"

    def close(self, *, settled: bool) -> tuple[Remark, ...]:
        session = self._session
        if session is None:
            return ()
        remarks = list(self._noticed())
        if settled and not self._marked and (trouble := self._quit(session)):
            remarks.append(Remark(f"the POP3 session ended without a proper QUIT: {trouble}"))
        session.close()
        self._reset()
        return tuple(remarks)

    def _quit(self, session: Session) -> str:
        """QUIT, if that is no lie. Returns what was in its way."""
        if session.ended:
            return session.ended
        if self._fetcher and self._fetcher.owed:
            return "messages were asked for and not taken"
        try:
            status = session.ask(pop3_wire.QUIT)
        except Pop2imapError as error:
            return error.what
        return "" if status.ok else f'the server said "{status.words}"'

    def _noticed(self) -> Iterator[Remark]:
        if self._experience.one_at_a_time:
            yield Remark(f"messages were fetched one at a time: {self._experience.one_at_a_time}")
        if self._without_head:
            yield Remark(
                "the server has no TOP: nothing is known of messages before they are fetched",
                self._without_head,
            )
        if self._sizes_differ:
            shorter = f" ({self._shorter} of them shorter)" if self._shorter else ""
            yield Remark(
                f"messages are not as long as the server's listing says{shorter}: many servers estimate, and the "
                "end mark decides",
                self._sizes_differ,
            )

    # ---- the listing -----------------------------------------------------------------------------------

    def list(self, progress: ListProgress | None = None) -> Listing:
        if self._session is None:
            raise InternalError("a POP3 source is listed before it is opened")
        session = self._session
        self._table = None
        count, scan, names = self._listed(session, progress)
        table, remarks = merge(self.id, count, scan, names)
        if progress:
            progress(len(table), len(table))
        self._table = table
        gmail = session.capabilities.gmail or session.greeting.text.startswith("Gpop ready")
        if gmail:
            remarks += (
                Remark("Gmail shows a part of its mail at a time: run again until nothing new is listed"),
            )
        return Listing(table, table.octets, complete=not gmail, remarks=remarks)

    def _listed(
        self, session: Session, progress: ListProgress | None
    ) -> tuple[int | None, Scan, Names | None]:
        """What STAT, LIST and UIDL tell. Where they were sent ahead, all at once, they are believed only if they agree
        in every number, else asked again one by one: a size that is taken for a name would be another message."""
        if not session.is_ahead:
            status, scan, names = self._ask_listing(session, progress)
            return drop_count(status) if status.ok else None, scan, names
        try:
            status, scan, names = self._ask_listing(session, progress)
            if agree(status, scan, names):
                return drop_count(status), scan, names
        except ConnectionLost:
            self._lists_ahead = False
            raise
        except ProtocolError as error:
            self._lists_ahead = False
            if session.ended:
                raise ConnectionLost(f"the session cannot go on: {error.what}", where=error.where) from error
        session.drain()
        return self._listed(session, progress)

    def _ask_listing(
        self, session: Session, progress: ListProgress | None
    ) -> tuple[Status, Scan, Names | None]:
        stat = session.ask(pop3_wire.STAT)
        count = drop_count(stat) if stat.ok else None
        done = 0

        def told(lines: int) -> None:
            nonlocal done
            done += lines
            if progress:
                progress(done // 2, max(count or 0, len(scan.numbers)))

        scan = Scan()
        status = session.ask(pop3_wire.LIST)
        if status.ok:
            for lines in session.lines():
                scan.add(lines)
                told(len(lines))
        elif count != 0:  # some refuse to list nothing
            raise pop3_errors.command_refused(status, "LIST", session.where)
        names: Names | None = None
        status = session.ask(pop3_wire.UIDL)
        if status.ok:
            names = Names()
            for lines in session.lines():
                names.add(lines)
                told(len(lines))
        elif status.code in {*pop3_errors.LATER, pop3_errors.SYS_PERM}:
            raise pop3_errors.command_refused(status, "UIDL", session.where)
        else:  # before every message is taken for one without a name: a farewell looks the same
            session.ask(pop3_wire.NOOP)
        return stat, scan, names

    # ---- the messages ----------------------------------------------------------------------------------

    def read(self, refs: Sequence[Ref]) -> Iterator[Message | Unread]:
        for ref, answer in self._fetch(refs, pop3_wire.retr):
            if isinstance(answer, StoredOctets):
                self._note_size(ref, answer.size)
                key = ref.key or self._name(ref.position, answer.digest)
                yield Message(ref.position, key, answer, answer.size)
            else:
                yield self._unread(ref, ref.key, answer)

    def peek(self, refs: Sequence[Ref]) -> Iterator[Message | Unread]:
        """As the contract says, with TOP. Where the server has no TOP, messages come with empty octets."""
        capabilities = self._session.capabilities if self._session else Capabilities()
        if not capabilities.may("TOP"):
            yield from map(self._headless, refs)
            return
        for ref, answer in self._fetch(refs, pop3_wire.top):
            if isinstance(answer, StoredOctets):
                self._top_works = True
                head = answer.head()  # QUIRK(several): the number of lines is not looked at, more comes
                octets = answer if len(head) == answer.size else from_bytes(head)
                yield Message(ref.position, self._peek_key(ref), octets, ref.size, whole=False)
            elif answer is None or self._top_works or "TOP" in capabilities:
                yield self._unread(ref, self._peek_key(ref), answer)
            else:
                yield self._headless(ref)

    def _fetch(
        self, refs: Sequence[Ref], command: Callable[[int], Command]
    ) -> Iterator[tuple[Ref, Answer | None]]:
        table, fetcher = self._table, self._fetcher
        if table is None or fetcher is None:
            raise InternalError("a POP3 source is read before it is listed")
        whole = command is pop3_wire.retr

        def requests() -> Iterator[Request]:
            for ref in refs:
                size = ref.size or UNKNOWN_SIZE
                weight = size if whole else min(size, HEAD_SIZE)
                try:
                    number = table.message_number(ref)
                except IndexError:
                    raise InternalError(f"message {ref.position} is not in the last listing") from None
                yield Request(ref, command(number), weight, retrieves=whole)

        return fetcher.fetch(requests())

    # ---- deleting --------------------------------------------------------------------------------------

    def delete(self, refs: Sequence[Ref]) -> Iterator[tuple[Ref, str]]:
        session, table = self._session, self._table
        if session is None or table is None:
            raise InternalError("messages of a POP3 source are deleted before it is listed")
        pipelined = "PIPELINING" in session.capabilities and not self._experience.one_at_a_time
        session.drain()
        self._marked = True
        at_once = WINDOW_COMMANDS if pipelined else 1
        for start in range(0, len(refs), at_once):
            some = refs[start : start + at_once]
            try:
                numbers = [table.message_number(ref) for ref in some]
            except IndexError:
                raise InternalError("a message is to be deleted that is not in the last listing") from None
            session.send(*map(pop3_wire.dele, numbers))
            for ref in some:
                status = session.event()
                assert isinstance(status, Status)
                yield ref, "" if status.ok else f'the server said "{status.words}"'

    def commit(self) -> str:
        session = self._session
        if session is None:
            raise InternalError("a POP3 source is left before it is opened")
        trouble = self._quit(session)
        session.close()
        self._reset()
        return trouble

    # ---- names and sizes -------------------------------------------------------------------------------

    def _name(self, position: int, digest: bytes) -> Key:
        """The key of a message without UIDL: stable, since equal messages differ in nothing but their order."""
        nths = self._unnamed.setdefault(digest, {})
        return Key(self.id, DIGEST_NAME + digest.hex(), nths.setdefault(position, len(nths)))

    def _peek_key(self, ref: Ref) -> Key:
        return ref.key or Key(self.id, f"{POSITION_NAME}{ref.position}")

    def _headless(self, ref: Ref) -> Message:
        self._without_head += 1
        return Message(ref.position, self._peek_key(ref), from_bytes(b""), ref.size, whole=False)

    def _note_size(self, ref: Ref, size: int) -> None:
        if ref.size and ref.size != size:
            self._sizes_differ += 1
            self._shorter += size < ref.size

    def _unread(self, ref: Ref, key: Key | None, answer: Status | TooLarge | None) -> Unread:
        """Raises ServerBusy if it is not about the message: the server wants to be left alone for some time."""
        if answer is None:
            return Unread(
                ref.position,
                key,
                Account.UNREADABLE,
                "the session broke each time that it was asked for, or it had no end",
            )
        if isinstance(answer, TooLarge):
            return Unread(ref.position, key, Account.UNREADABLE, too_large(answer.size, answer.most))
        if busy := pop3_errors.asked_for_a_pause(answer, str(self._server)):
            raise busy
        account, reason = pop3_errors.message_refused(answer)
        return Unread(ref.position, key, account, reason)
