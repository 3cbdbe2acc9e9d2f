"""A POP3 server on loopback for tests, which can misbehave in every way that POP3 servers do.

By default it is correct (RFC 1939, 2449, 2595, 5034), with pipelining, TOP, UIDL and AUTH PLAIN::

    maildrop = Maildrop([b"Subject: hello\\r\\n\\r\\nhello\\r\\n"])
    with Pop3Server(maildrop) as server:
        source = Pop3Source(server.address(), "alice", Secret("secret"))
        ...
    assert server.sessions[0].commands[-1] == "QUIT"

Misbehaviour is set in the :class:`Maildrop`, also between two sessions. ``answers`` is the master key: what it
holds for a command line (``"RETR 2"``) or else for a verb (``"UIDL"``) is sent instead of the proper reply, octet
by octet; an iterable of pieces may be endless. Every session runs in a thread of its own;
:meth:`Pop3Server.wait` returns when all of them have seen their end.
"""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from pop2imap import net

CERTIFICATE = Path(__file__).with_name("localhost.pem")
"""Key and certificate of ``localhost``, 127.0.0.1 and ::1, which certifies itself: for tests only."""

USER, PASSWORD = "alice", "secret"
MASTER, MASTER_PASSWORD = "admin", "admin-secret"

CAPABILITIES = ("USER", "SASL PLAIN", "UIDL", "TOP", "PIPELINING", "RESP-CODES", "AUTH-RESP-CODE")
"""What a modern server offers."""


def stuffed(octets: bytes) -> bytes:
    """``octets`` as the body of a multi-line reply, end and all (RFC 1939 3)."""
    if octets and not octets.endswith(b"\r\n"):
        octets += b"\r\n"
    return (b"\r\n" + octets).replace(b"\r\n.", b"\r\n..")[2:] + b".\r\n"


@dataclass
class Maildrop:
    """The mail, who may read it, and how the server behaves.

    ``uids`` default to ``u1``, ``u2``, …; None among them leaves out the line, an empty one the name.
    ``capabilities`` None: no CAPA at all. ``sizes`` are what LIST says, default the truth. ``cut`` ends the
    connection within the reply to a command line, after so many octets. ``stuffs`` False: dots are left as
    they are. ``injected`` goes out in clear text right behind the answer to STLS. ``mixes_pipelines``: the
    status of a pipelined answer overtakes the end of the one before it, and UIDL overtakes LIST. ``shows`` and
    ``hides_retrieved``: like Gmail, only so many messages in a session, and what was retrieved before a QUIT is gone
    in the next.
    ``pieces``: send everything in pieces of so many octets. ``keeps``: places in ``mail`` of what stays, whatever is
    deleted. ``cut_at_quit``: the connection ends "before" what was marked has gone, or "after" it.
    """

    mail: list[bytes] = field(default_factory=list)
    uids: list[str | None] | None = None
    sizes: list[int] | None = None
    users: dict[str, str] = field(default_factory=lambda: {USER: PASSWORD})
    masters: dict[str, str] = field(default_factory=lambda: {MASTER: MASTER_PASSWORD})
    greeting: bytes = b"+OK ready\r\n"
    capabilities: tuple[str, ...] | None = CAPABILITIES
    capabilities_after_login: tuple[str, ...] | None = None
    answers: dict[str, bytes | Iterable[bytes]] = field(default_factory=dict)
    cut: dict[str, int] = field(default_factory=dict)
    stuffs: bool = True
    injected: bytes = b""
    mixes_pipelines: bool = False
    shows: int | None = None
    hides_retrieved: bool = False
    pieces: int | None = None
    keeps: frozenset[int] = frozenset()
    cut_at_quit: str = ""

    def uid(self, index: int) -> str | None:
        return self.uids[index] if self.uids is not None else f"u{index + 1}"


@dataclass
class SessionLog:
    """What happened in one session. ``commands`` holds every line as it came, without its end."""

    commands: list[str] = field(default_factory=list)
    before_tls: list[str] = field(default_factory=list)
    retrieved: list[int] = field(default_factory=list)  # places in the maildrop, from 0
    marked: set[int] = field(default_factory=set)  # likewise, by DELE
    user: str = ""
    quit: bool = False
    most_waiting: int = 0  # commands that had come and were not yet answered


class _Over(Exception):
    """The session ends here."""


class Pop3Server:
    """Serves ``maildrop`` on a free port of ``host``. With ``tls`` from the first octet; STLS works if the
    maildrop offers it. ``after`` is called when a QUIT has done its work."""

    after: Callable[[SessionLog], None] | None = None

    def __init__(self, maildrop: Maildrop, *, host: str = "127.0.0.1", tls: bool = False) -> None:
        self.maildrop = maildrop
        self.host = host
        self.tls = tls
        self.sessions: list[SessionLog] = []
        self._hidden: set[int] = set()
        self._threads: list[threading.Thread] = []
        self._connections: list[socket.socket] = []
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(CERTIFICATE)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family)
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Pop3Server:
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join()
        self._listener.close()
        for connection in self._connections:  # of clients that a failed test has left open
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.wait()

    def address(
        self, transport: net.Transport | None = None, *, host: str = "", idle: float = 20
    ) -> net.Server:
        """How to reach it, by default in the way it was made for."""
        transport = transport or (net.Transport.TLS if self.tls else net.Transport.CLEAR)
        return net.Server(host or self.host, self.port, transport, CERTIFICATE, net.Timeouts(10, idle))

    def wait(self) -> list[SessionLog]:
        """The logs, once every session that was begun is over."""
        for thread in self._threads:
            thread.join()
        return self.sessions

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            log = SessionLog()
            self.sessions.append(log)
            session = _Session(self, connection, log)
            self._connections.append(connection)
            thread = threading.Thread(target=session.run, daemon=True)
            self._threads.append(thread)
            thread.start()

    def visible(self) -> list[int]:
        """The places in the maildrop that a new session shows."""
        places = [place for place in range(len(self.maildrop.mail)) if place not in self._hidden]
        return places[: self.maildrop.shows]

    def restore(self) -> None:
        """Everything that went is there again."""
        self._hidden.clear()

    def after_quit(self, log: SessionLog) -> None:
        if self.maildrop.hides_retrieved:
            self._hidden.update(log.retrieved)
        self._hidden.update(log.marked - self.maildrop.keeps)
        if self.after is not None:
            self.after(log)


class _Session:
    def __init__(self, server: Pop3Server, connection: socket.socket, log: SessionLog) -> None:
        self.server = server
        self.maildrop = server.maildrop
        self.log = log
        self.connection = connection
        self.input = b""
        self.name = ""
        self.left = -1  # octets until the connection is cut; negative: it is not
        self.places: list[int] = []

    def run(self) -> None:
        connection = self.connection
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.server.tls:
                self.start_tls()
            self.send(self.maildrop.greeting)
            while True:
                self.answer(self.read_line())
        except (_Over, OSError):
            pass
        finally:
            self.close()

    def close(self) -> None:
        """Say that nothing more comes, and go only after the client: else what was sent could be lost to it."""
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            while self.connection.recv(65536):
                pass
        self.connection.close()

    def start_tls(self) -> None:
        self.connection = self.server.context.wrap_socket(self.connection, server_side=True)

    def read_line(self) -> str:
        while b"\n" not in self.input:
            octets = self.connection.recv(65536)
            if not octets:
                raise _Over
            self.input += octets
        self.log.most_waiting = max(self.log.most_waiting, self.input.count(b"\n"))
        line, _, self.input = self.input.partition(b"\n")
        text = line.rstrip(b"\r").decode("utf-8", "surrogateescape")
        self.log.commands.append(text)
        if not isinstance(self.connection, ssl.SSLSocket):
            self.log.before_tls.append(text)
        return text

    def send(self, octets: bytes) -> None:
        if 0 <= self.left <= len(octets):
            self.connection.sendall(octets[: self.left])
            raise _Over
        step = self.maildrop.pieces or max(len(octets), 1)
        for at in range(0, len(octets), step):
            self.connection.sendall(octets[at : at + step])
        if self.left >= 0:
            self.left -= len(octets)

    def answer(self, line: str) -> None:
        verb, _, rest = line.partition(" ")
        verb = verb.upper()
        self.left = self.maildrop.cut.get(line, -1)
        if verb == "RETR" and rest.isdigit() and 0 < int(rest) <= len(self.places):
            self.log.retrieved.append(self.places[int(rest) - 1])
        for name in (line, verb):
            if name in self.maildrop.answers:
                scripted = self.maildrop.answers[name]
                for piece in [scripted] if isinstance(scripted, bytes) else scripted:
                    self.send(piece)
                return
        handler = getattr(self, f"do_{verb.lower()}", None)
        if handler is None or (
            not self.log.user and verb not in {"CAPA", "STLS", "USER", "PASS", "AUTH", "QUIT"}
        ):
            self.send(b"-ERR no such command now\r\n")
        else:
            handler(rest)

    # ---- before login ----------------------------------------------------------------------------------

    def do_capa(self, _: str) -> None:
        offered = self.maildrop.capabilities
        if self.log.user and self.maildrop.capabilities_after_login is not None:
            offered = self.maildrop.capabilities_after_login
        if offered is None:
            self.send(b"-ERR what?\r\n")
        else:
            self.send_lines("capabilities follow", offered)

    def do_stls(self, _: str) -> None:
        if "STLS" not in (self.maildrop.capabilities or ()):
            self.send(b"-ERR what?\r\n")
            return
        self.send(b"+OK begin\r\n" + self.maildrop.injected)
        self.start_tls()

    def do_user(self, name: str) -> None:
        self.name = name
        self.send(b"+OK go on\r\n")

    def do_pass(self, password: str) -> None:
        self.log_in(self.maildrop.users.get(self.name) == password, self.name)

    def do_auth(self, rest: str) -> None:
        mechanism, _, response = rest.partition(" ")
        if mechanism.upper() != "PLAIN":
            self.send(b"-ERR [AUTH] no such mechanism\r\n")
            return
        if not response:
            self.send(b"+ \r\n")
            response = self.read_line()
        mailbox, name, password = base64.b64decode(response).decode().split("\0")
        if mailbox and mailbox != name:
            self.log_in(
                self.maildrop.masters.get(name) == password and mailbox in self.maildrop.users, mailbox
            )
        else:
            self.log_in(self.maildrop.users.get(name) == password, name)

    def log_in(self, good: bool, user: str) -> None:
        if not good:
            self.send(b"-ERR [AUTH] Authentication failed.\r\n")
            return
        self.log.user = user
        self.places = self.server.visible()
        self.send(b"+OK Logged in.\r\n")

    # ---- with the mail ---------------------------------------------------------------------------------

    def size(self, place: int) -> int:
        return self.maildrop.sizes[place] if self.maildrop.sizes else len(self.maildrop.mail[place])

    def do_stat(self, _: str) -> None:
        self.send(f"+OK {len(self.places)} {sum(map(self.size, self.places))}\r\n".encode())

    def do_list(self, _: str) -> None:
        if self.maildrop.mixes_pipelines and self.input.upper().startswith(b"UIDL"):
            self.read_line()
            self.do_uidl("")
        self.send_lines("scan listing", (f"{n} {self.size(place)}" for n, place in enumerate(self.places, 1)))

    def do_uidl(self, _: str) -> None:
        names = ((n, self.maildrop.uid(place)) for n, place in enumerate(self.places, 1))
        self.send_lines("names", (f"{n} {name}".rstrip() for n, name in names if name is not None))

    def send_lines(self, text: str, lines: Iterable[str]) -> None:
        self.send(
            b"".join((f"+OK {text}\r\n".encode(), *(f"{line}\r\n".encode() for line in lines), b".\r\n"))
        )

    def do_retr(self, number: str) -> None:
        octets = self.mail(number)
        if octets is None:
            self.send(b"-ERR no such message\r\n")
            return
        body = stuffed(octets) if self.maildrop.stuffs else octets + b".\r\n"
        if self.maildrop.mixes_pipelines and self.input.upper().startswith(b"RETR "):
            self.read_line()
            self.send(b"+OK\r\n" + body.removesuffix(b".\r\n") + b"+OK\r\n.\r\nSubject: overtaken\r\n")
        else:
            self.send(b"+OK\r\n" + body)

    def do_top(self, rest: str) -> None:
        number, _, lines = rest.partition(" ")
        octets = self.mail(number)
        if octets is None:
            self.send(b"-ERR no such message\r\n")
            return
        head, _, body = octets.partition(b"\r\n\r\n")
        wanted = b"".join(body.splitlines(keepends=True)[: int(lines)])
        self.send(b"+OK\r\n" + stuffed(head + b"\r\n\r\n" + wanted))

    def mail(self, number: str) -> bytes | None:
        if number.isdigit() and 0 < int(number) <= len(self.places):
            return self.maildrop.mail[self.places[int(number) - 1]]
        return None

    def do_noop(self, _: str) -> None:
        self.send(b"+OK\r\n")

    def do_dele(self, number: str) -> None:
        if self.mail(number) is None or self.places[int(number) - 1] in self.log.marked:
            self.send(b"-ERR no such message\r\n")
            return
        self.log.marked.add(self.places[int(number) - 1])
        self.send(b"+OK marked\r\n")

    def do_quit(self, _: str) -> None:
        self.log.quit = True
        cut = self.maildrop.cut_at_quit if self.log.marked else ""
        if cut == "before":
            raise _Over
        self.server.after_quit(self.log)
        if cut == "after":
            raise _Over
        self.send(b"+OK bye\r\n")
        raise _Over


def endless(piece: bytes, *, first: bytes = b"+OK\r\n") -> Iterator[bytes]:
    """A reply without an end."""
    yield first
    while True:
        yield piece
