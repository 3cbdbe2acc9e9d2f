"""The raw programs that pop2imap is measured against: the least that has to be done, and no more.

They keep no journal, look at no answer but for OK, parse no message, and are safe from nothing: kill one, and nobody
knows what has arrived. One process, one thread that reads, the others send; what the protocol allows to be under way
at once is under way. Standard library only, so that they start at once. One of them, *journaled*, is what exactly-once
takes at the very least in a program of this kind, see :class:`Journal`::

    python benchmarks/ceilings.py pop3 multiappend '{"source": {"port": …, "user": …}, "target": {…}}'

Passwords come from the environment, as those of pop2imap do. Prints how many messages it has sent.
"""

from __future__ import annotations

import itertools
import json
import os
import queue
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from typing import IO, Any, TypedDict

PIECE = 1 << 18
DATE = b' () "04-May-2020 10:00:00 +0000"'
RETRS = 512
BATCH = 50
BATCHES = 4
PIPELINED = BATCH * BATCHES


class End(TypedDict, total=False):
    """Where to: ``ca`` is the authority to trust, and without one there is no TLS. ``path``: of an mbox."""

    port: int
    user: str
    ca: str
    path: str
    sessions: int
    folders: int


Mail = Iterator[bytes]


def connected(end: End) -> socket.socket:
    plain = socket.create_connection(("127.0.0.1", end["port"]))
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if not end.get("ca"):
        return plain
    return ssl.create_default_context(cafile=end["ca"]).wrap_socket(plain, server_hostname="127.0.0.1")


def unstuffed(octets: bytes) -> bytes:
    """A message as it was before each line that begins with a dot got another one (RFC 1939 3)."""
    octets = octets.replace(b"\r\n..", b"\r\n.")
    return octets[1:] if octets.startswith(b"..") else octets


class Pop3:
    """A maildrop, read with as many RETR under way as servers take."""

    def __init__(self, end: End) -> None:
        self._socket = connected(end)
        self._buffer = bytearray()
        self.line()
        for command in (b"USER " + end["user"].encode(), b"PASS " + _password("SOURCE")):
            self.ask(command)

    def ask(self, command: bytes) -> bytes:
        self._socket.sendall(command + b"\r\n")
        line = self.line()
        assert line.startswith(b"+OK"), line
        return line

    def line(self) -> bytes:
        while (end := self._buffer.find(b"\r\n")) < 0:
            self._more()
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line

    def text(self) -> bytes:
        """What follows a status line, up to its dot."""
        start = 0
        while not self._buffer.startswith(b".\r\n"):
            if (end := self._buffer.find(b"\r\n.\r\n", start)) >= 0:
                text = bytes(memoryview(self._buffer)[: end + 2])
                del self._buffer[: end + 5]
                return text
            start = max(0, len(self._buffer) - 4)
            self._more()
        del self._buffer[:3]
        return b""

    def _more(self) -> None:
        octets = self._socket.recv(PIECE)
        assert octets, "the server has gone"
        self._buffer += octets

    def messages(self) -> Mail:
        count = int(self.ask(b"STAT").split()[1])
        sent = 0
        for number in range(1, count + 1):
            if sent < count and sent - number < RETRS // 2:
                upto = min(count, number + RETRS)
                self._socket.sendall(b"".join(b"RETR %d\r\n" % each for each in range(sent + 1, upto + 1)))
                sent = upto
            line = self.line()
            assert line.startswith(b"+OK"), line
            yield unstuffed(self.text())
        self.ask(b"QUIT")

    def listing(self) -> int:
        """How many messages UIDL and LIST name."""
        for command in (b"UIDL", b"LIST"):
            self.ask(command)
            count = self.text().count(b"\r\n")
        self.ask(b"QUIT")
        return count


def mbox_messages(end: End) -> Mail:
    """The messages of an mbox whose own lines never begin with ``From ``."""
    with open(end["path"], "rb") as file:
        kept = b"\n"
        while piece := file.read(4 * PIECE):
            *whole, kept = (kept + piece).split(b"\nFrom ")
            yield from (_unwrapped(message) for message in whole if message)
        if kept != b"\n":
            yield _unwrapped(kept.removesuffix(b"\n"))


def _unwrapped(message: bytes) -> bytes:
    return message[message.index(b"\n") + 1 :].replace(b"\n", b"\r\n")


class Imap:
    """A session that sends, and counts what it has not yet got an answer to."""

    def __init__(self, end: End) -> None:
        self._socket = connected(end)
        self._answers: IO[bytes] = self._socket.makefile("rb")
        self._answers.readline()
        self.send(b"T LOGIN %b %b\r\n" % (end["user"].encode(), _password("TARGET")))
        self.under_way = 1
        self.wait(0)

    def send(self, octets: bytes) -> None:
        self._socket.sendall(octets)

    def append(self, batch: list[bytes]) -> None:
        """All of these in one command (RFC 3502)."""
        parts = [b"T APPEND INBOX"]
        for message in batch:
            parts += (b"%b {%d+}\r\n" % (DATE, len(message)), message)
        self.send(b"".join([*parts, b"\r\n"]))
        self.under_way += 1

    def wait(self, most: int) -> None:
        """Until at most that many commands are without an answer."""
        while self.under_way > most:
            self.answer(b"T")
            self.under_way -= 1

    def hurry(self) -> None:
        """Acknowledge the next answer at once. QUIRK(Courier): OK and ``+`` are two packets, the second one waits."""
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def answer(self, start: bytes) -> None:
        """Read on to an answer that starts like this; whatever is said to a command must be OK."""
        while line := self._answers.readline():
            if line.startswith(b"T"):
                assert line.startswith(b"T OK"), line
            if line.startswith(start):
                return
        raise AssertionError("the server has gone")


def multiappend(imap: Imap, mail: Mail) -> int:
    """Fifty messages a command, four commands under way (RFC 3502, RFC 7888)."""
    count = 0
    while batch := _batch(mail):
        imap.wait(BATCHES - 1)
        imap.append(batch)
        count += len(batch)
    imap.wait(0)
    return count


class Journal:
    """A row for each message, on the disk before it is sent and changed once it is stored, under the SHA-256 that makes
    it known again; and the packages that pop2imap is built on are loaded. That is all: one table, one row that is
    written twice, one commit a batch."""

    def __init__(self) -> None:
        import hashlib
        import sqlite3

        import click  # noqa: F401
        import imapclient  # noqa: F401

        self._sha = hashlib.sha256
        self._database = sqlite3.connect("journal.db", isolation_level=None, check_same_thread=False)
        for statement in (
            "PRAGMA journal_mode=WAL",
            "PRAGMA synchronous=FULL",
            "CREATE TABLE mail (id INTEGER PRIMARY KEY, digest BLOB UNIQUE, size INTEGER, state TEXT)",
        ):
            self._database.execute(statement)
        self._count = 0
        self._stored: list[tuple[int]] = []

    def intend(self, batch: list[bytes]) -> range:
        ids = range(self._count, self._count + len(batch))
        self._count += len(batch)
        rows = [(number, self._sha(one).digest(), len(one)) for number, one in zip(ids, batch, strict=True)]
        self._database.execute("BEGIN")
        self._settle()
        self._database.executemany("INSERT INTO mail VALUES (?, ?, ?, 'intended')", rows)
        self._database.execute("COMMIT")
        return ids

    def stored(self, ids: range) -> None:
        self._stored += ((number,) for number in ids)

    def end(self) -> None:
        self._settle()

    def _settle(self) -> None:
        self._database.executemany("UPDATE mail SET state = 'stored' WHERE id = ?", self._stored)
        self._stored.clear()


def journaled(imap: Imap, mail: Mail) -> int:
    """The same as ``multiappend``, with a journal."""
    journal = Journal()
    under_way: list[range] = []

    def wait(most: int) -> None:
        imap.wait(most)
        while len(under_way) > most:
            journal.stored(under_way.pop(0))

    count = 0
    while batch := _batch(mail):
        wait(BATCHES - 1)
        under_way.append(journal.intend(batch))
        imap.append(batch)
        count += len(batch)
    wait(0)
    journal.end()
    return count


def pipelined(imap: Imap, mail: Mail, folders: int = 0) -> int:
    """A command for each message, sent without waiting (RFC 7888). ``folders``: into so many, in turn."""
    names = [b"People/person%d@example.org" % number for number in range(folders)] or [b"INBOX"]
    if folders:
        imap.send(b"".join(b'T CREATE "%b"\r\n' % name for name in names))
        imap.under_way += len(names)
    count = 0
    while batch := _batch(mail):
        imap.wait(PIPELINED - BATCH)
        parts: list[bytes] = []
        for number, message in enumerate(batch, count):
            name = names[number % len(names)]
            parts += (b'T APPEND "%b"%b {%d+}\r\n' % (name, DATE, len(message)), message, b"\r\n")
        imap.send(b"".join(parts))
        imap.under_way += len(batch)
        count += len(batch)
    imap.wait(0)
    return count


def synchronous(imap: Imap, mail: Mail) -> int:
    """For a server without LITERAL+: a literal goes in one write with the next command, which waits for its ``+``."""
    count = 0
    before = b""
    for message in mail:
        imap.send(b"%bT APPEND INBOX%b {%d}\r\n" % (before, DATE, len(message)))
        imap.hurry()
        imap.answer(b"+")
        before = message + b"\r\n"
        count += 1
    if count:
        imap.send(before)
        imap.answer(b"T")
    return count


def _batch(mail: Mail) -> list[bytes]:
    return list(itertools.islice(mail, BATCH))


def _password(side: str) -> bytes:
    return os.environ[f"POP2IMAP_{side}_PASSWORD"].encode()


def _read(source: End, kind: str, mail: queue.Queue[bytes | None], readers: int) -> None:
    try:
        for message in Pop3(source).messages() if kind == "pop3" else mbox_messages(source):
            mail.put(message)
    except BaseException as error:
        print(repr(error), file=sys.stderr, flush=True)
        os._exit(1)
    for _ in range(readers):
        mail.put(None)


def move(kind: str, how: str, source: End, target: End) -> int:
    """Move all of the mail; returns how many messages. ``how``: multiappend, journaled, pipelined, synchronous."""
    sessions = target.get("sessions", 1)
    waiting: queue.Queue[bytes | None] = queue.Queue(4 * BATCH)
    threading.Thread(target=_read, args=(source, kind, waiting, sessions), daemon=True).start()
    counts: list[int] = []
    ways: dict[str, Callable[[Imap, Mail], int]] = {
        "multiappend": multiappend,
        "journaled": journaled,
        "pipelined": lambda imap, mail: pipelined(imap, mail, target.get("folders", 0)),
        "synchronous": synchronous,
    }

    def send() -> None:
        def mail() -> Mail:
            while (message := waiting.get()) is not None:
                yield message

        try:
            counts.append(ways[how](Imap(target), mail()))
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)

    others = [threading.Thread(target=send) for _ in range(sessions - 1)]
    for thread in others:
        thread.start()
    send()
    for thread in others:
        thread.join()
    return sum(counts)


def main() -> None:
    kind, how, given = sys.argv[1:]
    ends: dict[str, Any] = json.loads(given)
    if how == "listing":
        print(Pop3(ends["source"]).listing())
    else:
        print(move(kind, how, ends["source"], ends["target"]))


if __name__ == "__main__":
    main()
