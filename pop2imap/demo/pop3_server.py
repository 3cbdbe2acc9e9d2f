"""The demo's POP3 server: Twisted's, over a folder of message files, as a child process of the demo.

Started as ``python -m pop2imap.demo.pop3_server FD USER FOLDER``; see :mod:`pop2imap.demo.servers` for how such a
child is spoken to. The folder is the maildrop: one file a message, in the order of their names, each with its
exact octets (CRLF). A file whose name ends in ``.damaged`` is listed, but the server fails to give it, as servers
with a bad disk block do.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from hmac import compare_digest
from io import BytesIO
from pathlib import Path
from socket import AF_INET

from twisted.cred.error import UnauthorizedLogin
from twisted.internet import reactor
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.stdio import StandardIO
from twisted.mail.pop3 import POP3, IMailbox, Mailbox, POP3Error


class _Maildrop(Mailbox):  # type: ignore[misc]
    """The folder as one session sees it; nothing in it can be deleted."""

    def __init__(self, folder: Path) -> None:
        self._files = sorted(folder.iterdir())

    def damaged(self, number: bytes) -> bool:
        return number.isdigit() and self._file(int(number) - 1).suffix == ".damaged"

    def listMessages(self, i: int | None = None) -> int | list[int]:  # noqa: N802
        if i is None:
            return [file.stat().st_size for file in self._files]
        return self._file(i).stat().st_size

    def getMessage(self, i: int) -> BytesIO:  # noqa: N802
        """The message as it goes over the wire: leading dots doubled (RFC 1939 3)."""
        return BytesIO((b"\n" + self._file(i).read_bytes()).replace(b"\n.", b"\n..")[1:])

    def getUidl(self, i: int) -> bytes:  # noqa: N802
        return self._file(i).stem.encode("ascii")

    def deleteMessage(self, i: int) -> None:  # noqa: N802
        raise ValueError("this maildrop is read-only")

    def _file(self, i: int) -> Path:
        if not 0 <= i < len(self._files):
            raise ValueError("no such message")
        return self._files[i]


class _Session(POP3):  # type: ignore[misc]
    """QUIRK(Twisted 26): it pipelines, but calls it PIPELINE where RFC 2449 6.6 says PIPELINING, and a bad command
    among pipelined ones stops the rest; it misses leading dots at the start of a message and of a chunk; it never
    answers RETR when a message cannot be read. All of that is put right here."""

    magic = b"pop2imap demo, POP3 server ready"  # without <…>, so that it offers no APOP
    mbox: _Maildrop | None
    factory: _Server

    def listCapabilities(self) -> list[bytes]:  # noqa: N802
        return [b"TOP", b"USER", b"UIDL", b"PIPELINING", b"EXPIRE NEVER", b"IMPLEMENTATION Twisted"]

    def authenticateUserPASS(  # noqa: N802
        self, user: bytes, password: bytes
    ) -> tuple[object, _Maildrop, Callable[[], None]]:
        server = self.factory
        if not (compare_digest(user, server.user) and compare_digest(password, server.password)):
            raise UnauthorizedLogin
        return IMailbox, _Maildrop(server.folder), lambda: None

    def processCommand(self, command: bytes, *args: bytes) -> object:  # noqa: N802
        try:
            return super().processCommand(command, *args)
        except (POP3Error, TypeError, ValueError) as fault:
            return self.failResponse(str(fault))

    def _sendMessageContent(self, i: bytes, wrapped: object, answer: object) -> object:  # noqa: N802
        if self.mbox and self.mbox.damaged(i):
            return self.failResponse(b"message %s cannot be read: damaged on the disk" % i)
        return super()._sendMessageContent(i, wrapped, answer)

    def transformChunk(self, chunk: bytes) -> bytes:  # noqa: N802
        return chunk


class _Server(Factory):  # type: ignore[misc]
    protocol = _Session
    noisy = False

    def __init__(self, user: str, password: str, folder: Path) -> None:
        self.user = user.encode()
        self.password = password.encode()
        self.folder = folder


class _Parent(Protocol):  # type: ignore[misc]
    def connectionLost(self, reason: object = None) -> None:  # noqa: N802
        os._exit(0)  # with whatever sessions are open: the demo is over


if __name__ == "__main__":
    descriptor, user, folder = sys.argv[1:]
    password = sys.stdin.readline().rstrip("\n")
    os.set_blocking(int(descriptor), False)
    reactor.adoptStreamPort(int(descriptor), AF_INET, _Server(user, password, Path(folder)))
    StandardIO(_Parent())
    print("ready", flush=True)  # noqa: T201
    reactor.run(installSignalHandlers=False)
