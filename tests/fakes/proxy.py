"""A TCP proxy on loopback that strikes at a chosen octet: it holds everything still, calls somebody, and cuts.

Used to kill the program at a known place of the conversation instead of at a random time: after so many octets
from the client, or when the server's n-th tagged OK to an APPEND is about to be delivered (and never is).
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable
from contextlib import suppress

_APPENDED = re.compile(rb"^\S+ OK [^\r\n]*(?:APPENDUID|[Aa]ppend)[^\r\n]*\r\n", re.MULTILINE)


class StrikingProxy:
    """``with StrikingProxy(port, strike, after_octets=…) as proxy`` listens on ``proxy.port``.

    Once, ``strike`` is called on a thread of the proxy while nothing is forwarded; then all connections are cut,
    or with ``cut=False`` go on as if nothing had been.
    ``after_octets`` counts what clients have sent, over all connections; ``before_answer`` counts the server's
    OKs to APPEND from 1, and that one is not delivered. ``struck`` tells which of them it was, if any. ``port`` 0
    is a free one.
    """

    def __init__(
        self,
        upstream: int,
        strike: Callable[[], None],
        *,
        after_octets: int | None = None,
        before_answer: int | None = None,
        cut: bool = True,
        port: int = 0,
    ) -> None:
        self._upstream, self._strike = upstream, strike
        self._after_octets, self._before_answer = after_octets, before_answer
        self._cuts = cut
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._octets = self._answers = 0
        self.struck = ""
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = int(self._listener.getsockname()[1])

    def __enter__(self) -> StrikingProxy:
        self._run(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._cut()
        for thread in self._threads:
            thread.join(10)

    def _run(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._upstream))
                self._sockets += [client, server]
                self._run(self._pump, client, server, self._from_client)
                self._run(self._pump, server, client, self._from_server)

    def _pump(self, source: socket.socket, sink: socket.socket, look: Callable[[bytes], bytes]) -> None:
        with suppress(OSError):
            while octets := source.recv(1 << 16):
                with self._lock:
                    if self.struck and self._cuts:
                        return
                    before = octets if self.struck else look(octets)
                    sink.sendall(before)
                    if len(before) < len(octets):
                        self._strike()
                        if self._cuts:
                            self._cut()
                            return
                        sink.sendall(octets[len(before) :])
            sink.shutdown(socket.SHUT_WR)

    def _from_client(self, octets: bytes) -> bytes:
        if self._after_octets is not None and self._octets + len(octets) > self._after_octets:
            self.struck = f"after {self._after_octets} octets"
            return octets[: self._after_octets - self._octets]
        self._octets += len(octets)
        return octets

    def _from_server(self, octets: bytes) -> bytes:
        for found in _APPENDED.finditer(octets):
            self._answers += 1
            if self._answers == self._before_answer:
                self.struck = f"before answer {self._before_answer}"
                return octets[: found.start()]
        return octets

    def _cut(self) -> None:
        for connection in self._sockets:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
