"""A mail server that takes all that is sent to it and keeps nothing: for a Thunderbird that sends."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["sink"]


class _Session(socketserver.StreamRequestHandler):
    """One connection of a sender."""

    timeout = 60

    def handle(self) -> None:
        self._say("220 localhost")
        for line in self.rfile:
            match line[:4].upper():
                case b"QUIT":
                    self._say("221 bye")
                    return
                case b"DATA":
                    self._say("354 go on")
                    while self.rfile.readline() not in {b".\r\n", b""}:
                        pass
                    self._say("250 taken")
                case _:
                    self._say("250 fine")

    def _say(self, text: str) -> None:
        self.wfile.write(text.encode() + b"\r\n")


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


@contextmanager
def sink() -> Iterator[int]:
    """The port of such a server, while the block lasts."""
    with _Server(("127.0.0.1", 0), _Session) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
