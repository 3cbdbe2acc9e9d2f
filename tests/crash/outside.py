"""What goes on when the process dies: the servers, and what is on the way to them.

The servers are the fakes of :mod:`tests.fakes`, command by command as they are, but without sockets and threads:
they live in the process of the test, and the process under test talks to them through a pipe. A command is carried
out when the client next wants to hear something, not before; so there is always a time in which a message has left
the client and is not stored. What becomes of such octets when the client dies is the test's to say (:class:`Fate`).
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from tests.fakes import imap_server, pop3_server
from tests.fakes.imap_server import Box, ImapAccount, Mail
from tests.fakes.memory_target import Rewrite
from tests.fakes.pop3_server import Maildrop

IMAP, POP3 = 143, 110

Copy = tuple[str, bytes, frozenset[str], str]
"""A message as the target holds it: mailbox, octets, flags, INTERNALDATE."""


class Fate(Enum):
    """What a server does with octets that it was sent by a client that is dead now."""

    AT_ONCE = "carried out at once"
    NEVER = "thrown away"
    LATE = "carried out while the next run waits"


@dataclass(frozen=True, slots=True)
class Stranger:
    """Mail that somebody else delivers right before APPEND command number ``at`` (from 1) is carried out."""

    at: int
    octets: bytes
    date: str = "05-May-2021 09:00:00 +0000"


class _Imap(imap_server.ImapServer):
    """What the sessions of the fake share, without a socket."""

    def __init__(self, account: ImapAccount, rewrite: Rewrite, strangers: tuple[Stranger, ...]) -> None:
        self.account, self.rewrite, self.strangers = account, rewrite, strangers
        self.tls = False
        self.lock = threading.Lock()
        self.messages = self.appends = 0


class _Pop3(pop3_server.Pop3Server):
    def __init__(self, maildrop: Maildrop) -> None:
        self.maildrop, self.tls = maildrop, False
        self._hidden = set()


class _ImapSession(imap_server._Session):
    def store(self, name: str, mail: list[Mail]) -> None:
        server = self.server
        assert isinstance(server, _Imap)
        for stranger in server.strangers:
            if stranger.at == server.appends + 1:
                self.account.boxes["INBOX"].add(Mail(stranger.octets, (), stranger.date))
        super().store(name, [replace(one, octets=server.rewrite(one.octets)) for one in mail])


class _Hungry(Exception):
    """The session cannot go on without more octets."""


class _Line:
    """What a session takes for its socket."""

    def __init__(self) -> None:
        self.arriving = b""
        self.said = b""

    def recv(self, _: int) -> bytes:
        octets, self.arriving = self.arriving, b""
        if not octets:
            raise _Hungry
        return octets

    def sendall(self, octets: bytes) -> None:
        self.said += octets


class _Talk:
    """A session of a fake server, which is given octets as they come.

    The fakes wait for octets in the midst of a command. Here there is no waiting: a command that is not whole is
    begun anew when there is more, and what it had said by then is not said twice.
    """

    def __init__(self, server: _Imap | _Pop3) -> None:
        self.pending = b""  # sent by the client, and not yet looked at
        self.output = b""  # said to the client, and not yet fetched by it
        self.over = False
        self._server = server
        self._line = line = _Line()
        self._rest = b""
        self._said = 0  # octets, by the command that is not whole yet
        self._session: Any  # the fakes' sessions, which are nobody's business but theirs
        if isinstance(server, _Imap):
            self._session = _ImapSession(server, line, imap_server.SessionLog())  # type: ignore[arg-type]
            greeting = server.account.greeting
        else:
            self._session = pop3_server._Session(server, line, pop3_server.SessionLog())  # type: ignore[arg-type]
            greeting = server.maildrop.greeting
        self.output = greeting

    def carry_out(self) -> None:
        """Whatever is whole by now."""
        octets, self.pending = self._rest + self.pending, b""
        while octets and not self.over:
            left = self._command(octets)
            if left is None:
                break
            octets = left
        self._rest = octets

    def _command(self, octets: bytes) -> bytes | None:
        """Carry out the first command. Returns what comes after it; None: it is not whole."""
        server, session, line = self._server, self._session, self._line
        commands = len(session.log.commands)
        messages = server.messages if isinstance(server, _Imap) else 0
        line.arriving, line.said, session.input = octets, b"", type(session.input)()
        whole = True
        try:
            if isinstance(server, _Imap):
                session.command()
            else:
                session.answer(session.read_line())
        except _Hungry:
            whole = False
            del session.log.commands[commands:]
            if isinstance(server, _Imap):
                server.messages = messages
        except (imap_server._Over, pop3_server._Over):
            self.over = True
        self.output += line.said[self._said :]
        self._said = 0 if whole else len(line.said)
        return bytes(session.input) if whole else None

    @property
    def unheard(self) -> bytes:
        """What the client sent and was not carried out."""
        return self._rest + self.pending

    def may_store(self) -> bool:
        """Whether that makes a difference to anything that lasts."""
        return not self.over and isinstance(self._server, _Imap) and b" APPEND " in self.unheard

    def carry_out_again(self, octets: bytes) -> None:
        """This, as if nothing of it had been looked at."""
        self.over, self._rest, self._said, self.pending = False, b"", 0, octets
        self.carry_out()


@dataclass(frozen=True, slots=True)
class Held:
    """What a target holds, to be put back."""

    boxes: dict[str, Box]
    subscribed: frozenset[str]
    messages: int
    appends: int


class Outside:
    """The two servers, and the connections of one client after the other."""

    def __init__(
        self,
        account: ImapAccount,
        maildrop: Maildrop,
        rewrite: Rewrite,
        strangers: tuple[Stranger, ...],
    ) -> None:
        self.account, self.maildrop = account, maildrop
        self._imap, self._pop3 = _Imap(account, rewrite, strangers), _Pop3(maildrop)
        self._talks: list[_Talk] = []
        self._severed: list[tuple[_Talk, bytes]] = []
        self._fate = Fate.NEVER

    # -- what the client does

    def connect(self, port: int) -> int:
        self._talks.append(_Talk(self._imap if port == IMAP else self._pop3))
        return len(self._talks) - 1

    def send(self, number: int, octets: bytes) -> None:
        self._talks[number].pending += octets

    def receive(self, number: int, most: int) -> bytes | None:
        """What the server says; nothing if it has closed, None if it is the client's turn."""
        talk = self._talks[number]
        if not talk.output:
            talk.carry_out()
        octets, talk.output = talk.output[:most], talk.output[most:]
        return octets if octets or talk.over else None

    def close(self, number: int) -> None:
        talk = self._talks[number]
        talk.carry_out()
        talk.over = True

    def slept(self) -> None:
        """Time passes for the client."""
        if self._fate is Fate.LATE:
            self._fate = Fate.NEVER
            self._deliver()

    # -- when it is dead

    def cut(self) -> bool:
        """All connections are gone. Returns whether something was on its way that may be stored or not; what comes
        of that is to be said now (``decide``)."""
        talks, self._talks = self._talks, []
        self._severed = [(talk, talk.unheard) for talk in talks if talk.may_store()]
        return bool(self._severed)

    def decide(self, fate: Fate) -> None:
        """What comes of the octets on their way. May be said again, after ``put_back``."""
        self._fate = fate
        if fate is Fate.AT_ONCE:
            self._deliver()

    def _deliver(self) -> None:
        for talk, octets in self._severed:
            talk.carry_out_again(octets)

    @property
    def still_to_come(self) -> bytes:
        """What will be stored late."""
        return b"|".join(octets for _, octets in self._severed) if self._fate is Fate.LATE else b""

    @property
    def appends(self) -> int:
        """How many APPEND commands were carried out."""
        return self._imap.appends

    def held(self) -> Held:
        boxes = {name: replace(box, mail=dict(box.mail)) for name, box in self.account.boxes.items()}
        return Held(boxes, frozenset(self.account.subscribed), self._imap.messages, self._imap.appends)

    def put_back(self, held: Held) -> None:
        self.account.boxes = {name: replace(box, mail=dict(box.mail)) for name, box in held.boxes.items()}
        self.account.subscribed = set(held.subscribed)
        self._imap.messages, self._imap.appends = held.messages, held.appends

    def copies(self) -> Counter[Copy]:
        return Counter(copy for name in self.account.boxes for copy in self.in_order(name))

    def in_order(self, name: str) -> list[Copy]:
        return [
            (name, mail.octets, frozenset(mail.flags), mail.date)
            for _, mail in sorted(self.account.boxes[name].mail.items())
        ]
