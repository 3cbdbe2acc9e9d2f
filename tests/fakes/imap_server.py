"""An IMAP server on loopback for tests, which can misbehave in every way that IMAP servers do.

By default it is correct, as far as pop2imap talks to it (RFC 3501, 2342, 3502, 4315, 6154, 7888)::

    account = ImapAccount()
    with ImapServer(account) as server:
        target = ImapTarget(server.address(), "alice", Secret("secret"))
        ...
    assert account.boxes["INBOX"].mail

Misbehaviour is set in the :class:`ImapAccount`. ``answers`` is the master key: what it holds for a command line
without its tag (``'STATUS "INBOX"'``, any beginning of it) is sent instead of the proper answer; ``{tag}`` in it
becomes the tag; an answer without a line end is followed by the end of the connection. The other attributes
concern APPEND, message by message. Every session runs in a thread of its own.
"""

from __future__ import annotations

import base64
import contextlib
import re
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from pop2imap import net
from tests.fakes.pop3_server import CERTIFICATE

USER, PASSWORD = "alice", "secret"

CAPABILITIES = (
    "IMAP4rev1 AUTH=PLAIN LITERAL+ MULTIAPPEND UIDPLUS NAMESPACE UNSELECT ID SPECIAL-USE LIST-EXTENDED"
)

_LITERAL = re.compile(rb"\{(\d+)(\+?)\}$")
_APPEND_ITEM = re.compile(r'^ ?\(([^()]*)\) "([^"]*)" \{\d+\+?\}$')


@dataclass
class Mail:
    octets: bytes
    flags: tuple[str, ...] = ()
    date: str = "01-Jan-2020 00:00:00 +0000"


@dataclass
class Box:
    """A mailbox: mail by UID."""

    uidvalidity: int = 7
    mail: dict[int, Mail] = field(default_factory=dict)
    uidnext: int = 1
    attributes: str = ""

    def add(self, mail: Mail) -> int:
        uid = self.uidnext
        self.mail[uid] = mail
        self.uidnext += 1
        return uid


@dataclass
class ImapAccount:
    """The mail, and how the server behaves.

    Messages that clients send are counted from 0, over all sessions. ``go_ahead`` gives what is sent when a
    synchronising literal is announced, in place of the go-ahead; ``while_reading`` what is sent when so many
    octets of a message have come (it is asked again and again); ``verdict`` what an APPEND command of these
    messages is answered with instead of being carried out. Each gives None where all is well. ``{tag}`` as in
    ``answers``; an answer without a line end ends the connection. ``swallowed``: APPEND commands, counted
    from 0, that are carried out, but the connection ends before the answer. ``appenduid`` makes the response
    code. ``tells_capabilities``: in the greeting and with the OK of the login, too. ``burst`` is what is done to
    commands that came together: ``bad`` understands the first alone, ``swaps`` turns the first two around, ``closes``
    ends the session. ``injected`` goes out in clear text right behind the answer to STARTTLS.
    """

    boxes: dict[str, Box] = field(default_factory=lambda: {"INBOX": Box()})
    subscribed: set[str] = field(default_factory=set)
    prefix: str = ""
    delimiter: str = "/"
    greeting: bytes = b"* OK ready\r\n"
    capabilities: str = CAPABILITIES
    capabilities_in_clear: str = ""
    answers: dict[str, bytes] = field(default_factory=dict)
    injected: bytes = b""
    go_ahead: Callable[[int], bytes | None] = lambda number: None
    while_reading: Callable[[int, int], bytes | None] = lambda number, octets: None
    verdict: Callable[[list[bytes]], bytes | None] = lambda messages: None
    appenduid: Callable[[int, list[int]], str] = lambda v, uids: (
        f"[APPENDUID {v} {','.join(map(str, uids))}] "
    )
    swallowed: set[int] = field(default_factory=set)
    permanent_flags: str | None = "\\Answered \\Flagged \\Deleted \\Seen \\Draft \\*"
    tells_uidnext: bool = True
    tells_capabilities: bool = False
    burst: Literal["", "bad", "swaps", "closes"] = ""

    def octets(self, box: str = "INBOX") -> list[bytes]:
        return [mail.octets for _, mail in sorted(self.boxes[box].mail.items())]


@dataclass
class SessionLog:
    """What came in one session: command lines without tags and line ends, ``{}`` for each literal."""

    commands: list[str] = field(default_factory=list)
    before_tls: list[str] = field(default_factory=list)
    raw: bytearray = field(default_factory=bytearray)
    ended: bool = False  # the client has closed, or we have


class _Over(Exception):
    """The session ends here."""


class ImapServer:
    """Serves ``account`` on a free port of 127.0.0.1; with ``tls`` from the first octet."""

    def __init__(self, account: ImapAccount, *, tls: bool = False) -> None:
        self.account = account
        self.tls = tls
        self.sessions: list[SessionLog] = []
        self.lock = threading.Lock()  # one command at a time, over all sessions
        self.messages = 0
        self.appends = 0
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(CERTIFICATE)
        self._threads: list[threading.Thread] = []
        self._connections: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> ImapServer:
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join()
        self._listener.close()
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.wait()

    def address(self, transport: net.Transport | None = None, *, idle: float = 20) -> net.Server:
        transport = transport or (net.Transport.TLS if self.tls else net.Transport.CLEAR)
        return net.Server("localhost", self.port, transport, CERTIFICATE, net.Timeouts(10, idle))

    def wait(self) -> list[SessionLog]:
        """The logs, once every session is over."""
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
            self._connections.append(connection)
            thread = threading.Thread(target=_Session(self, connection, log).run, daemon=True)
            self._threads.append(thread)
            thread.start()


class _Session:
    def __init__(self, server: ImapServer, connection: socket.socket, log: SessionLog) -> None:
        self.server, self.account, self.log = server, server.account, log
        self.connection = connection
        self.input = bytearray()
        self.tag = ""
        self.selected: Box | None = None
        self.behind = False  # the command came together with one before it

    def run(self) -> None:
        try:
            self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.server.tls:
                self.start_tls()
            told = f"[CAPABILITY {self.account.capabilities}] ".encode() if self.tells_now() else b""
            self.send(self.account.greeting.replace(b"OK ", b"OK " + told, 1))
            while True:
                self.command()
        except (_Over, OSError):
            pass
        finally:
            self.close()

    def close(self) -> None:
        """Say that nothing more comes, and go only after the client: else what was sent could be lost to it."""
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            while octets := self.connection.recv(65536):
                self.log.raw += octets
        self.log.ended = True
        self.connection.close()

    def start_tls(self) -> None:
        self.connection = self.server.context.wrap_socket(self.connection, server_side=True)

    # -- octets

    def more(self) -> None:
        octets = self.connection.recv(65536)
        if not octets:
            raise _Over
        self.log.raw += octets
        self.input += octets

    def line(self) -> bytes:
        while b"\n" not in self.input:
            self.more()
        line, _, rest = bytes(self.input).partition(b"\n")
        self.input[:] = rest
        return line.removesuffix(b"\r")

    def send(self, octets: bytes) -> None:
        self.connection.sendall(octets.replace(b"{tag}", self.tag.encode("utf-8", "surrogateescape")))
        if not octets.endswith(b"\n"):
            raise _Over

    def untagged(self, *lines: str) -> None:
        self.send(b"".join(b"* " + line.encode("utf-8", "surrogateescape") + b"\r\n" for line in lines))

    def done(self, text: str = "OK done") -> None:
        self.send(f"{self.tag} {text}\r\n".encode("utf-8", "surrogateescape"))

    # -- commands

    def tells_now(self) -> bool:
        clear = not isinstance(self.connection, ssl.SSLSocket)
        return self.account.tells_capabilities and not (clear and self.account.capabilities_in_clear)

    def command(self) -> None:
        line = self.line()
        if self.account.burst == "swaps" and b"\n" in self.input:
            second, _, rest = bytes(self.input).partition(b"\n")
            line, self.input[:] = second.removesuffix(b"\r"), line + b"\r\n" + rest
        if self.account.burst == "closes" and b"\n" in self.input:
            raise _Over
        behind, self.behind = self.behind, b"\n" in self.input
        self.tag, _, text = line.decode("utf-8", "surrogateescape").partition(" ")
        verb = text.partition(" ")[0].upper()
        if verb == "APPEND":
            self.append(text)
            return
        self.log.commands.append(text)
        if not isinstance(self.connection, ssl.SSLSocket):
            self.log.before_tls.append(text)
        if behind and self.account.burst == "bad":
            self.done("BAD one thing at a time")
            return
        scripted = next((a for start, a in self.account.answers.items() if text.startswith(start)), None)
        if scripted is not None:
            self.send(scripted)
            return
        arguments = text.partition(" ")[2]
        with self.server.lock:
            handler = getattr(self, f"do_{verb.lower()}", None)
            if handler:
                handler(arguments)
            else:
                self.done("BAD what?")

    def do_capability(self, _: str) -> None:
        clear = not isinstance(self.connection, ssl.SSLSocket)
        offered = (clear and self.account.capabilities_in_clear) or self.account.capabilities
        self.untagged(f"CAPABILITY {offered}")
        self.done()

    def do_noop(self, _: str) -> None:
        self.done()

    def do_starttls(self, _: str) -> None:
        self.send(f"{self.tag} OK begin\r\n".encode() + self.account.injected)
        self.start_tls()

    def do_authenticate(self, arguments: str) -> None:
        mechanism, _, response = arguments.partition(" ")
        if not response or "SASL-IR" not in self.account.capabilities:
            self.send(b"+ \r\n")
            response = self.line().decode()
            self.log.commands.append(response)
        identity, name, password = base64.b64decode(response).decode().split("\0")
        good = password == PASSWORD and mechanism == "PLAIN" and identity in {"", USER, name}
        self.done(self.welcome() if good else "NO [AUTHENTICATIONFAILED] no")

    def do_login(self, arguments: str) -> None:
        self.done(self.welcome() if arguments == f'"{USER}" "{PASSWORD}"' else "NO no")

    def welcome(self) -> str:
        return f"OK [CAPABILITY {self.account.capabilities}] in" if self.tells_now() else "OK in"

    def do_id(self, _: str) -> None:
        self.untagged('ID ("name" "Fake" "version" "1.0")')
        self.done()

    def do_namespace(self, _: str) -> None:
        self.untagged(f'NAMESPACE (("{self.account.prefix}" "{self.account.delimiter}")) NIL NIL')
        self.done()

    def do_list(self, arguments: str) -> None:
        if arguments == '"" ""':
            self.untagged(f'LIST (\\Noselect) "{self.account.delimiter}" ""')
        else:
            for name, box in self.account.boxes.items():
                self.untagged(f'LIST ({box.attributes}) "{self.account.delimiter}" "{name}"')
        self.done()

    def do_lsub(self, _: str) -> None:
        for name in self.account.subscribed:
            self.untagged(f'LSUB () "{self.account.delimiter}" "{name}"')
        self.done()

    def do_getquotaroot(self, _: str) -> None:
        self.untagged('QUOTAROOT INBOX ""')
        self.done()

    def do_create(self, arguments: str) -> None:
        name = _unquoted(arguments)
        if name in self.account.boxes:
            self.done("NO [ALREADYEXISTS] there")
            return
        self.account.boxes[name] = Box(uidvalidity=100 + len(self.account.boxes))
        self.done()

    def do_subscribe(self, arguments: str) -> None:
        self.account.subscribed.add(_unquoted(arguments))
        self.done()

    def do_status(self, arguments: str) -> None:
        name = _unquoted(arguments)
        box = self.account.boxes.get(name)
        if box is None:
            self.done("NO [NONEXISTENT] no such mailbox")
            return
        uidnext = f" UIDNEXT {box.uidnext}" if self.account.tells_uidnext else ""
        self.untagged(f'STATUS "{name}" (MESSAGES {len(box.mail)}{uidnext} UIDVALIDITY {box.uidvalidity})')
        self.done()

    def do_select(self, arguments: str) -> None:
        self._select(arguments, "[READ-WRITE] ")

    def do_examine(self, arguments: str) -> None:
        self._select(arguments, "[READ-ONLY] ")

    def _select(self, arguments: str, mode: str) -> None:
        self.selected = self.account.boxes.get(_unquoted(arguments))
        if self.selected is None:
            self.done("NO no such mailbox")
            return
        lines = [
            "FLAGS (\\Seen)",
            f"{len(self.selected.mail)} EXISTS",
            f"OK [UIDVALIDITY {self.selected.uidvalidity}] valid",
        ]
        if self.account.permanent_flags is not None:
            lines.append(f"OK [PERMANENTFLAGS ({self.account.permanent_flags})] Limited [sort of].")
        if self.account.tells_uidnext:
            lines.append(f"OK [UIDNEXT {self.selected.uidnext}] next")
        self.untagged(*lines)
        self.done(f"OK {mode}done")

    def do_unselect(self, _: str) -> None:
        self.selected = None
        self.done()

    def do_uid(self, arguments: str) -> None:
        _, wanted, items = arguments.split(" ", 2)
        assert self.selected is not None
        ranges = _ranges(wanted, max(self.selected.mail, default=0))
        for number, (uid, mail) in enumerate(sorted(self.selected.mail.items()), 1):
            if not any(first <= uid <= last for first, last in ranges):
                continue
            flags = " ".join((*mail.flags, "\\Recent"))
            shown = f"* {number} FETCH (UID {uid}"
            if "FLAGS" in items:
                shown += f' RFC822.SIZE {len(mail.octets)} INTERNALDATE "{mail.date}" FLAGS ({flags})'
            if "BODY.PEEK[]" in items:
                self.send(f"{shown} BODY[] {{{len(mail.octets)}}}\r\n".encode() + mail.octets + b")\r\n")
            else:
                self.send(f"{shown})\r\n".encode())
        self.done()

    def do_logout(self, _: str) -> None:
        raise _Over

    # -- APPEND

    def append(self, text: str) -> None:
        mail: list[Mail] = []
        name = _unquoted(text.partition(" ")[2])
        rest = text.partition('" ')[2]
        shown = text
        while literal := _LITERAL.search(rest.encode()):
            item = _APPEND_ITEM.match(rest)
            assert item, rest
            octets = self.message(int(literal[1]), waits=not literal[2])
            if octets is None:  # refused
                self.log.commands.append(shown)
                return
            mail.append(Mail(octets, tuple(item[1].split()), item[2]))
            rest = self.line().decode()
            shown += rest
        self.log.commands.append(shown)
        assert rest == "", rest
        with self.server.lock:
            self.store(name, mail)

    def message(self, size: int, *, waits: bool) -> bytes | None:
        number = self.server.messages
        self.server.messages += 1
        if waits:
            answer = self.account.go_ahead(number)
            self.send(answer or b"+ go ahead\r\n")
            if answer:
                return None
        while len(self.input) < size:
            self.more()
            if answer := self.account.while_reading(number, min(len(self.input), size)):
                self.send(answer)
        octets = bytes(self.input[:size])
        del self.input[:size]
        return octets

    def store(self, name: str, mail: list[Mail]) -> None:
        append = self.server.appends
        self.server.appends += 1
        if answer := self.account.verdict([one.octets for one in mail]):
            self.send(answer)
            return
        box = self.account.boxes.get(name)
        if box is None:
            self.done("NO [TRYCREATE] no such mailbox")
            return
        uids = [box.add(one) for one in mail]
        if append in self.account.swallowed:
            raise _Over
        self.done(f"OK {self.account.appenduid(box.uidvalidity, uids)}stored")


def _unquoted(arguments: str) -> str:
    found = re.match(r'"((?:[^"\\]|\\.)*)"', arguments)
    assert found, arguments
    return re.sub(r"\\(.)", r"\1", found[1])


def _ranges(uids: str, highest: int) -> list[tuple[int, int]]:
    ends = [[highest if end == "*" else int(end) for end in part.split(":")] for part in uids.split(",")]
    return [(min(end), max(end)) for end in ends]
