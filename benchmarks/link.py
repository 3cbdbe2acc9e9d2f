"""A network between a program and its servers: ``python benchmarks/link.py SECONDS OCTETS PORT…``.

Whatever passes arrives SECONDS later, in either direction, and all connections together get OCTETS a second in each
direction (0: no limit). For each PORT of this machine it prints one of its own, which leads there. Ends at the end of
its standard input, and so with whoever started it.

It is a process of its own and does little, so that what is measured is not its own speed: what is on its way may be
large (:data:`HOLDS`), and is copied as it came.
"""

from __future__ import annotations

import select
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

PIECE = 1 << 18
HOLDS = 16 << 20
"""Octets on the way in one direction of one connection; more than 300 MB/s need on a link of 40 ms."""

QUEUE = 0.25
"""Seconds that octets wait, at most, before a link that is the narrow place: as much as its router keeps."""


class Wire:
    """One direction of the link, which all connections share."""

    def __init__(self, delay: float, rate: float) -> None:
        self.delay, self.rate = delay, rate
        self.holds = int(rate * (QUEUE + delay)) if rate else HOLDS
        self.piece = min(PIECE, max(1 << 12, self.holds // 16))
        self._free = 0.0

    def arrival(self, octets: int, now: float) -> float:
        """When octets arrive that are sent now."""
        if self.rate:
            now = self._free = max(self._free, now) + octets / self.rate
        return now + self.delay


class Flow:
    """What is on its way from one end of a connection to the other; no octets are the end of it."""

    def __init__(self, wire: Wire, near: socket.socket, far: socket.socket) -> None:
        self.wire, self.near, self.far = wire, near, far
        self.waiting: deque[tuple[float, memoryview]] = deque()
        self.octets = 0
        self.ended = self.over = False

    def take(self, now: float) -> None:
        try:
            octets = self.near.recv(self.wire.piece)
        except BlockingIOError:
            return
        except OSError:
            octets = b""
        if octets and len(octets) < self.wire.piece:
            # an acknowledgement that waits for company would delay who waits for it, by more than this link does
            self.near.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        self.ended = not octets
        self.octets += len(octets)
        self.waiting.append((self.wire.arrival(len(octets), now), memoryview(octets)))

    def give(self, now: float) -> bool:
        """Hand over what has arrived. Whether the far end takes more."""
        try:
            while self.waiting and self.waiting[0][0] <= now:
                due, octets = self.waiting[0]
                if not octets:
                    self.over = True
                    self.waiting.clear()
                    self.far.shutdown(socket.SHUT_WR)
                    return True
                sent = self.far.send(octets)
                self.octets -= sent
                if sent == len(octets):
                    self.waiting.popleft()
                else:
                    self.waiting[0] = (due, octets[sent:])
        except BlockingIOError:
            return False
        except OSError:
            self.ended = self.over = True
            self.waiting.clear()
        return True


def serve(delay: float, rate: float, ports: Sequence[int]) -> None:
    """Listen, print the ports, and let pass until standard input ends."""
    listeners = {socket.create_server(("127.0.0.1", 0)): port for port in ports}
    print(*(listener.getsockname()[1] for listener in listeners), flush=True)
    wires = Wire(delay, rate), Wire(delay, rate)
    flows: list[Flow] = []
    blocked: list[Flow] = []
    while True:
        readers: list[Any] = [sys.stdin, *listeners]
        readers += [flow.near for flow in flows if not flow.ended and flow.octets < flow.wire.holds]
        due = min(
            (flow.waiting[0][0] for flow in flows if flow.waiting and flow not in blocked), default=None
        )
        wait = None if due is None else max(0.0, due - time.monotonic())
        ready, _, _ = select.select(readers, [flow.far for flow in blocked], [], wait)
        if sys.stdin in ready:
            return
        now = time.monotonic()
        for listener in ready:
            if listener in listeners:
                flows += _connected(listener.accept()[0], listeners[listener], wires)
        for flow in flows:
            if flow.near in ready:
                flow.take(now)
        blocked = [flow for flow in flows if not flow.give(now)]
        if any(flow.over for flow in flows):
            flows = _left(flows)


def _connected(client: socket.socket, port: int, wires: tuple[Wire, Wire]) -> tuple[Flow, Flow]:
    server = socket.create_connection(("127.0.0.1", port))
    for end in (client, server):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        end.setblocking(False)
    return Flow(wires[0], client, server), Flow(wires[1], server, client)


def _left(flows: list[Flow]) -> list[Flow]:
    """Those of connections that are not over in both directions; the others are closed."""
    open_ends = {end for flow in flows if not flow.over for end in (flow.near, flow.far)}
    for flow in flows:
        if flow.near not in open_ends:
            flow.near.close()
    return [flow for flow in flows if flow.near in open_ends]


@contextmanager
def link(delay: float, rate: float, ports: Sequence[int]) -> Iterator[list[int]]:
    """The ports that lead to these; the same ones if the link would change nothing. ``delay``: seconds, one way."""
    if not delay and not rate:
        yield list(ports)
        return
    process = subprocess.Popen(
        [sys.executable, __file__, str(delay), str(rate), *map(str, ports)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            yield [int(port) for port in process.stdout.readline().split()]
        finally:
            with suppress(OSError):
                process.stdin.close()


if __name__ == "__main__":
    serve(float(sys.argv[1]), float(sys.argv[2]), [int(port) for port in sys.argv[3:]])
