"""A TCP proxy on loopback between the program and a server, on which faults happen.

::

    with Proxy(server.imap_port, Fault(after(5_000, Side.CLIENT), cut)) as proxy:
        ...                                   # the program connects to proxy.port
    assert proxy.fault.struck

A :class:`Fault` is a place in what passes (:func:`after`, :func:`before`) and an act there (:func:`cut`,
:func:`reset`, :func:`half_close`, :func:`hold`, :func:`drip`, :func:`double`, :func:`farewell`, :func:`calling`). It
strikes once; before and after, everything passes. :class:`Altered` alters octets throughout. On a :class:`Link`,
everything is late and slow.

Each connection is one thread; while a fault strikes, all others stand still. When the client has gone, the server gets
what had passed, and an end, and is waited for (:meth:`Proxy.quiesce`): who looks then finds what will ever be there.
Whatever shall arrive later than that is held on purpose, and let go with :meth:`Proxy.release`.
"""

from __future__ import annotations

import re
import select
import socket
import struct
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum

PIECE = 1 << 16
TICK = 0.02
"""Seconds between two looks at what was asked from outside."""

PATIENCE = 10.0
"""Seconds that a server has to come to the end of a connection."""

APPENDED = rb"(?m)^\S+ OK [^\r\n]*(?:APPENDUID|[Aa]ppend)[^\r\n]*\r\n"
"""The OK to an APPEND."""


class Side(Enum):
    """Where octets come from."""

    CLIENT = "client"
    SERVER = "server"


# -- faults


Place = Callable[[bytes, Side], int | None]
"""Where in these octets from that side a fault strikes, if it does. Sees everything that passes, once."""

Act = Callable[["Line", bytes, Side], None]
"""What happens there; the octets are those from the place on."""


def after(octets: int, side: Side) -> Place:
    """Behind so many octets from one side, over all connections."""
    left = octets

    def place(piece: bytes, of: Side) -> int | None:
        nonlocal left
        if of is not side:
            return None
        left -= len(piece)
        return left + len(piece) if left < 0 else None

    return place


def before(pattern: bytes, nth: int = 1, side: Side = Side.SERVER) -> Place:
    """In front of the nth match in what comes from one side; a match does not reach over two pieces."""
    matcher, left = re.compile(pattern), nth

    def place(piece: bytes, of: Side) -> int | None:
        nonlocal left
        for found in matcher.finditer(piece) if of is side else ():
            left -= 1
            if left == 0:
                return found.start()
        return None

    return place


class Fault:
    """Strikes once, at ``place``. ``struck`` tells whether it has."""

    def __init__(self, place: Place = lambda octets, side: None, *acts: Act) -> None:
        self._place, self._acts = place, acts
        self.struck = False

    def look(self, octets: bytes, side: Side, line: Line) -> None:
        """Octets have come: pass them on, or do otherwise."""
        at = None if self.struck else self._place(octets, side)
        if at is None:
            line.pass_on(octets, side)
            return
        self.struck = True
        line.pass_on(octets[:at], side)
        line.deliver(all_of_it=True)
        for act in self._acts:
            act(line, octets[at:], side)


class Altered(Fault):
    """Every match of ``pattern`` in what comes from ``side`` is replaced, up to ``times`` times. What comes out of that
    meets the fault ``then``."""

    def __init__(
        self,
        pattern: bytes,
        replacement: bytes,
        side: Side = Side.SERVER,
        *,
        times: int = 1 << 30,
        then: Fault | None = None,
    ) -> None:
        super().__init__()
        self._pattern, self._replacement, self._side = re.compile(pattern), replacement, side
        self._left = times
        self._then = then or Fault()

    def look(self, octets: bytes, side: Side, line: Line) -> None:
        if side is self._side and self._left:
            octets, number = self._pattern.subn(self._replacement, octets, count=self._left)
            self._left -= number
            self.struck = self.struck or number > 0
        self._then.look(octets, side, line)


def cut(line: Line, rest: bytes, side: Side) -> None:
    """The client finds the connection closed, the server gets what has passed."""
    line.end()


def reset(line: Line, rest: bytes, side: Side) -> None:
    """The same with a RST for the client."""
    line.end(abruptly=True)


def half_close(line: Line, rest: bytes, side: Side) -> None:
    """The client finds that nothing more comes; what it sends still reaches the server."""
    line.end_one_half()
    line.pass_on(rest, side)


def hold(line: Line, rest: bytes, side: Side) -> None:
    """Nothing passes any more, either way."""
    line.held = True
    line.pass_on(rest, side)


def drip(line: Line, rest: bytes, side: Side) -> None:
    """What comes from the server goes on one octet at a time."""
    line.step = 1
    line.pass_on(rest, side)


def double(line: Line, rest: bytes, side: Side) -> None:
    """The line that stands there comes twice."""
    line.pass_on(rest[: rest.find(b"\n") + 1] + rest, side)


def interject(words: bytes) -> Act:
    """The client hears this, and all goes on."""

    def act(line: Line, rest: bytes, side: Side) -> None:
        line.pass_on(words, Side.SERVER)
        line.pass_on(rest, side)

    return act


def farewell(words: bytes) -> Act:
    """The client hears this, and then nothing any more."""

    def act(line: Line, rest: bytes, side: Side) -> None:
        line.pass_on(words, Side.SERVER)
        line.deliver(all_of_it=True)
        line.end()

    return act


def calling(somebody: Callable[[], object], *, then: Act | None = None) -> Act:
    """While nothing moves, somebody is called; then something happens, or all goes on as if nothing had."""

    def act(line: Line, rest: bytes, side: Side) -> None:
        somebody()
        if then:
            then(line, rest, side)
        else:
            line.pass_on(rest, side)

    return act


# -- what passes


@dataclass(frozen=True)
class Link:
    """``delay`` in seconds, one way; ``rate`` in octets a second, each way; ``holds``: octets on the way at most."""

    delay: float
    rate: float
    holds: int = 1 << 15


class _Flow:
    """What is on its way to one side."""

    def __init__(self, link: Link | None) -> None:
        self._link = link
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._free = 0.0  # when the link has room again
        self._octets = 0

    @property
    def full(self) -> bool:
        return self._link is not None and self._octets >= self._link.holds

    @property
    def due(self) -> float | None:
        """When the next octets arrive."""
        return self._waiting[0][0] if self._waiting else None

    def put(self, octets: bytes) -> None:
        arrives = 0.0
        if self._link:
            self._free = max(self._free, time.monotonic()) + len(octets) / self._link.rate
            arrives = self._free + self._link.delay
        self._waiting.append((arrives, octets))
        self._octets += len(octets)

    def take(self, *, all_of_it: bool = False) -> bytes:
        """What has arrived by now."""
        octets = b""
        while self._waiting and (all_of_it or self._waiting[0][0] <= time.monotonic()):
            octets += self._waiting.popleft()[1]
        self._octets -= len(octets)
        return octets


class Line:
    """One connection through the proxy. Everything but ``busy`` happens on its own thread."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._ends = {Side.CLIENT: client, Side.SERVER: server}
        self._flows = {side: _Flow(proxy.link) for side in Side}  # by where they come from
        self._over = self._deaf = self._client_gone = False
        self._kept = b""
        self.held = False
        self.step = PIECE
        """Octets that go on to the client at a time."""
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def pass_on(self, octets: bytes, side: Side) -> None:
        """What came from that side goes on to the other, or is kept while the line is held."""
        if self.held:
            self._kept += octets if side is Side.CLIENT else b""
        elif octets and not (self._deaf and side is Side.SERVER):
            self._flows[side].put(octets)

    def deliver(self, *, all_of_it: bool = False) -> None:
        """Hand over what has arrived."""
        if octets := self._flows[Side.CLIENT].take(all_of_it=all_of_it):
            self._ends[Side.SERVER].sendall(octets)
        octets = self._flows[Side.SERVER].take(all_of_it=all_of_it)
        for at in range(0, len(octets), self.step):
            self._ends[Side.CLIENT].sendall(octets[at : at + self.step])

    def end(self, *, abruptly: bool = False) -> None:
        """Close it, first at the client, then, as soon as it has come to its end there, at the server."""
        self._over = True
        if abruptly:
            linger = struct.pack("ii", 1, 0)
            self._ends[Side.CLIENT].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        else:
            with suppress(OSError):
                self._ends[Side.CLIENT].shutdown(socket.SHUT_RDWR)
        self._ends[Side.CLIENT].close()
        server = self._ends[Side.SERVER]
        with suppress(OSError):
            if self._proxy.delivers:
                server.sendall(self._flows[Side.CLIENT].take(all_of_it=True))
            server.shutdown(socket.SHUT_WR)
            server.settimeout(PATIENCE)
            while server.recv(PIECE):
                pass
        server.close()

    def end_one_half(self) -> None:
        """The client hears nothing any more, and knows it."""
        self._ends[Side.CLIENT].shutdown(socket.SHUT_WR)
        self._deaf = True

    def busy(self) -> bool:
        """Whether something is on its way to the server that nobody holds back."""
        if not self.thread.is_alive() or (self.held and self._client_gone):
            return False
        try:
            self._ends[Side.CLIENT].recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            pass
        return True

    def _run(self) -> None:
        with suppress(OSError):
            while not self._over:
                self._turn()
        for end in self._ends.values():
            end.close()

    def _turn(self) -> None:
        sides = {end: side for side, end in self._ends.items()}
        if self._client_gone:
            del sides[self._ends[Side.CLIENT]]
        dues = [flow.due - time.monotonic() for flow in self._flows.values() if flow.due is not None]
        ready, _, _ = select.select(
            [end for end, side in sides.items() if not self._flows[side].full],
            [],
            [],
            max(min([TICK, *dues]), 0),
        )
        for end in ready:
            octets = self._receive(end)
            with self._proxy.lock:
                if octets:
                    self._proxy.passed[sides[end]] += len(octets)
                    self._proxy.fault.look(octets, sides[end], self)
                elif sides[end] is Side.CLIENT:
                    self._client_gone = True
                else:
                    self.deliver(all_of_it=True)
                    self._over = True
            if self._over:
                return
        self.deliver()
        if self._proxy.over.is_set():
            self.end()
        elif self.held and self._kept and self._client_gone:
            if self._proxy.released.is_set():
                self._ends[Side.SERVER].sendall(self._kept)
                self.end()
        elif self._client_gone and self._flows[Side.CLIENT].due is None:
            self.end()

    @staticmethod
    def _receive(end: socket.socket) -> bytes:
        try:
            return end.recv(PIECE)
        except OSError:
            return b""


class Proxy:
    """``with Proxy(port, fault) as proxy`` listens on ``proxy.port``, a free one unless ``port`` names it.

    ``passed`` counts octets by side; ``lines`` are all connections so far. At the end, what is on its way to the
    server arrives if ``delivers``, and everything is cut.
    """

    def __init__(
        self, upstream: int, fault: Fault | None = None, *, link: Link | None = None, port: int = 0
    ) -> None:
        self._upstream = upstream
        self.fault = fault or Fault()
        self.link = link
        self.delivers = True
        self.passed: Counter[Side] = Counter()
        self.lines: list[Line] = []
        self.lock = threading.Lock()
        self.connected, self.released, self.over = threading.Event(), threading.Event(), threading.Event()
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = int(self._listener.getsockname()[1])
        self._acceptor = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Proxy:
        self._acceptor.start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._acceptor.join(PATIENCE)
        self.over.set()
        for line in self.lines:
            line.thread.join(PATIENCE)

    def quiesce(self) -> None:
        """Wait until servers have come to the end of every connection that the client has left."""
        for line in self.lines:
            while line.busy():
                line.thread.join(TICK)

    def release(self) -> None:
        """What was held goes on to the server, whoever sent it. Returns when the server has done with it."""
        self.released.set()
        for line in self.lines:
            if line.held:
                line.thread.join(PATIENCE)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection(("127.0.0.1", self._upstream))
                except OSError:
                    client.close()
                    continue
                for end in (client, server):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.lines.append(Line(self, client, server))
                self.connected.set()
