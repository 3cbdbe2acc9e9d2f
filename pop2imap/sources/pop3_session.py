"""One POP3 session: a connection, its replies, and the way from the greeting to the mail.

The order is fixed, so that no credential and no belief crosses a border it should not cross (RFC 2595 4):
greeting, CAPA, TLS, CAPA again with a new reader, login, CAPA once more (LOGIN-DELAY and EXPIRE may change with
the user, RFC 2449 5). A transport of STARTTLS that does not get its TLS ends here; there is no falling back.

Each of these is a round trip. Where the server offers PIPELINING, UTF8 and USER go out at once; PASS waits for what
becomes of USER, since no password is given to a server that refuses the name; and what the caller will ask for first
after the login goes out with the last CAPA, *ahead*: ``ask`` then finds the reply on its way.

There is one try at the login. A second mechanism with the same password is a second wrong password to the
server, and three of those lock many an account.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterator

from pop2imap import net
from pop2imap.credentials import Secret
from pop2imap.errors import ConnectionLost, Pop2imapError, ProtocolError, TlsRefused
from pop2imap.logs import said
from pop2imap.sources import pop3_errors, pop3_wire
from pop2imap.sources.pop3_capabilities import Capabilities
from pop2imap.sources.pop3_wire import Command, End, Event, Lines, ReplyReader, Status


class Session:
    """A connection on which commands bring replies.

    Whatever is raised by waiting or sending ends the session: ``ended`` then says why, and every later use raises
    it again. Errors: HostUnavailable, TlsRefused, ConnectionLost, ProtocolError.
    """

    def __init__(self, server: net.Server, *, lenient_end: bool = False) -> None:
        """Connect, and read the greeting. Raises ServerBusy if it is negative."""
        self.server = server
        self.where = str(server)
        self.capabilities = Capabilities()
        self.closed = False
        """By us: what comes to its end then is nobody's fault."""
        self._lenient_end = lenient_end
        self._reader = ReplyReader(self.where, lenient_end=lenient_end)
        self._next: Event | None = None
        self._failure: Pop2imapError | None = None
        self._ahead: deque[Command] = deque()  # sent before they were asked
        self._connection = net.Connection(server)
        try:
            self._reader.expect(pop3_wire.Reply.GREETING)
            self.greeting = self._status()
            self._connection.greeted()
            if not self.greeting.ok:
                raise pop3_errors.greeting_refused(self.greeting, self.where)
        except BaseException:
            self.close()
            raise

    @property
    def ended(self) -> str:
        """Why the session is over, or nothing while it is not."""
        return self._failure.what if self._failure else ""

    def close(self) -> None:
        """Close the connection without a word. Never raises."""
        self.closed = True
        self._connection.close()

    def send(self, *commands: Command) -> None:
        """Send commands in one go, without waiting for anything."""
        with self._failing():
            if not self._reader.awaiting:
                self._check_excess()
            self._reader.expect(*(command.reply for command in commands))
            self._connection.send(b"".join(command.octets for command in commands))

    def event(self) -> Event:
        """The next event; waits for it."""
        event, self._next = self.peek(), None
        return event

    def peek(self) -> Event:
        """The next event, which stays the next."""
        if self._next is None:
            if self._failure:
                raise self._failure
            try:
                self._next = self._pull()
            except Pop2imapError as error:
                self._failure = error
                raise
        return self._next

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        if self._failure:
            raise self._failure
        try:
            yield
        except Pop2imapError as error:
            self._failure = error
            raise

    def ask(self, command: Command) -> Status:
        """Send one command, if it was not sent ahead, and wait for its status. What is left of earlier replies is read
        and dropped."""
        if self._ahead and self._ahead.popleft() == command:
            while not isinstance(event := self.event(), Status):
                pass
            return event
        self.drain()
        self.send(command)
        return self._status()

    @property
    def is_ahead(self) -> bool:
        """Whether something was sent that was not asked yet."""
        return bool(self._ahead)

    def lines(self) -> Iterator[list[bytes]]:
        """The lines of a list after its positive status, some at a time."""
        while isinstance(event := self.event(), Lines):
            yield event.lines
        assert isinstance(event, End)
        self.check_excess()

    def check_excess(self) -> None:
        """Raise ProtocolError if something was sent that is no reply, ConnectionLost if it was a farewell."""
        if self._failure:
            raise self._failure
        try:
            self._check_excess()
        except Pop2imapError as error:
            self._failure = error
            raise

    def drain(self) -> None:
        """Read and drop all replies that are still to come."""
        self._ahead.clear()
        while self._next is not None or self._reader.awaiting:
            self.event()

    def _status(self) -> Status:
        event = self.event()
        assert isinstance(event, Status)  # the reader gives a challenge to nobody who expects none
        return event

    def _pull(self) -> Event:
        while (event := self._reader.next_event()) is None:
            try:
                octets = self._connection.receive(begun=self._reader.begun)
            except ConnectionLost as lost:
                if self._reader.bare_end:
                    raise ConnectionLost(
                        f"{lost.what}; the message before ended with LF.LF instead of CRLF.CRLF",
                        where=self.where,
                        todo="if this server always does that, allow it with --lenient-end",
                    ) from lost
                raise
            self._reader.feed(octets)
        return event

    def _check_excess(self) -> None:
        excess = self._reader.excess
        if excess:
            # a farewell ("-ERR idle for too long") is not answered to a command: the connection is about to end
            kind = ConnectionLost if excess[:4].upper() == b"-ERR" else ProtocolError
            raise kind(f"the server sent what nobody asked for: {said(excess, 80)!r}", where=self.where)

    # ---- before the mail -------------------------------------------------------------------------------

    def ask_capabilities(self) -> Capabilities:
        """What CAPA says now. A server without CAPA (RFC 1939 alone) offers nothing and excludes nothing."""
        if not self.ask(pop3_wire.CAPA).ok:
            return Capabilities()
        return Capabilities.parse([line for lines in self.lines() for line in lines])

    def start_tls(self) -> None:
        """STLS (RFC 2595 4). Everything known so far is forgotten. Raises TlsRefused."""
        try:
            offered = self.ask_capabilities().may("STLS")
            answer = self.ask(pop3_wire.STLS) if offered else None
        except ProtocolError as error:
            raise TlsRefused(f"no clean way to TLS: {error.what}", where=self.where) from error
        if answer is None or not answer.ok:
            words = f': "{answer.words}"' if answer and answer.words else ""
            raise TlsRefused(
                f"the server does not offer STLS{words}",
                where=self.where,
                todo="use pop3s:// (port 995) if it has that; without TLS no password is sent",
            )
        if self._reader.excess:
            raise TlsRefused(
                "octets in clear text stood where TLS was to begin: somebody may be injecting commands",
                where=self.where,
                todo="use pop3s:// (port 995), and do not trust this network",
            )
        self._reader = ReplyReader(self.where, lenient_end=self._lenient_end)
        self.greeting = Status(True, "", "")  # it came in clear text: it may be an attacker's
        with self._failing():
            self._connection.start_tls()

    def log_in(self, user: str, password: Secret, login_as: str, ahead: tuple[Command, ...] = ()) -> str:
        """Log in, once, and send ``ahead`` what will be asked next, in that order, if the server offers PIPELINING.
        Returns how. Raises AuthenticationFailed or ServerBusy; no error holds the password, nor hangs
        on one that does, nor on a frame of the call that sent it."""
        failure: Pop2imapError
        try:
            return self._log_in(user, password, login_as, ahead)
        except Pop2imapError as error:
            failure = error
        failure.__cause__ = failure.__context__ = None
        raise failure.with_traceback(None)

    def _log_in(self, user: str, password: Secret, login_as: str, ahead: tuple[Command, ...]) -> str:
        plain = pop3_wire.plain_response(user, password.reveal(), login_as)
        commands = (pop3_wire.user(user), pop3_wire.password(password.reveal()))
        self.capabilities = known = self.ask_capabilities()
        ascii_only = all(command.octets.isascii() for command in commands)
        pipelined = bool(ahead) and "PIPELINING" in known
        if login_as or (known.sasl_plain and not ("USER" in known and ascii_only)):
            self._ask_for_mail_as_it_is()
            how, status = "AUTH PLAIN", self._authenticate(plain)
        else:
            how = "USER and PASS"
            if pipelined and "UTF8" in known:
                self._send_ahead(pop3_wire.UTF8, commands[0])
            self._ask_for_mail_as_it_is()
            for command in commands:
                status = self.ask(command)
                if not status.ok:
                    break
        if not status.ok:
            raise pop3_errors.login_refused(status, self.where, known.login_delay)
        if pipelined:
            self._send_ahead(pop3_wire.CAPA, *ahead)
        after = self.ask_capabilities()
        if after.known:
            self.capabilities = after
        return how

    def _send_ahead(self, *commands: Command) -> None:
        self.send(*commands)
        self._ahead.extend(commands)

    def _ask_for_mail_as_it_is(self) -> None:
        """UTF8 (RFC 6856 2), where it is offered: without it a server may show a stand-in for mail with 8-bit octets
        in its header (RFC 6857).

        QUIRK(Courier): does so, with a notice "Cannot display Unicode content" of its own, which holds the mail as a
        part and is another one in each session. An answer other than ``+OK`` changes nothing.
        """
        if "UTF8" in self.capabilities:
            self.ask(pop3_wire.UTF8)

    def _authenticate(self, response: Command) -> Status:
        """AUTH PLAIN: with the response at once where the server is known to understand that, else in two
        steps, so that no password goes to a server that may not know the mechanism."""
        at_once = pop3_wire.plain_at_once(response) if self.capabilities.sasl_plain else None
        self.send(at_once or pop3_wire.AUTH_PLAIN)
        event = self.event()
        if isinstance(event, pop3_wire.Challenge):  # also from a server that overlooked the response
            self.send(response)
            event = self.event()
        if isinstance(event, pop3_wire.Challenge):  # PLAIN has one step: whatever this is, it is no success
            self.send(pop3_wire.AUTH_CANCEL)
            event = self.event()
            if not isinstance(event, Status) or event.ok:
                raise ProtocolError("a login that goes on and on", where=self.where)
        assert isinstance(event, Status)
        return event


def open_session(
    server: net.Server,
    user: str,
    password: Secret,
    login_as: str = "",
    *,
    lenient_end: bool = False,
    ahead: tuple[Command, ...] = (),
) -> tuple[Session, str]:
    """A session that is logged in, and how that was done. ``ahead``: what will be asked first, so that it can be sent
    with what opens the session where the server offers PIPELINING.

    Raises ConfigError, before anything is sent, if a name or the password cannot stand in a command; else
    HostUnavailable, TlsRefused, ConnectionLost, ProtocolError, ServerBusy, AuthenticationFailed.
    """
    pop3_wire.plain_response(user, password.reveal(), login_as)
    session = Session(server, lenient_end=lenient_end)
    try:
        if server.transport is net.Transport.STARTTLS:
            session.start_tls()
        return session, session.log_in(user, password, login_as, ahead)
    except BaseException:
        session.close()
        raise
