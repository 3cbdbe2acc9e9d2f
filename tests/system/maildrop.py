"""Mail put into an INBOX and read out over POP3, octet by octet, by neither the program nor a library."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable
from typing import BinaryIO

from tests.servers.server import PASSWORD, Server


def deliver(server: Server, user: str, messages: Iterable[bytes]) -> int:
    """APPEND each to the INBOX of ``user``. Returns how many of them the server took."""
    taken = 0
    with socket.create_connection(("127.0.0.1", server.imap_port), 30) as connection:
        answers = connection.makefile("rb")
        with answers:
            answers.readline()
            connection.sendall(f"A LOGIN {user} {PASSWORD}\r\n".encode())
            assert b" OK" in _tagged(answers)
            for octets in messages:
                connection.sendall(b"A APPEND INBOX () {%d}\r\n" % len(octets))
                ready = answers.readline()
                if ready.startswith(b"+"):
                    connection.sendall(octets + b"\r\n")
                    ready = _tagged(answers)
                taken += ready.startswith(b"A OK")
            connection.sendall(b"A LOGOUT\r\n")
            _tagged(answers)
    return taken


def _tagged(answers: BinaryIO) -> bytes:
    while not (line := answers.readline()).startswith(b"A "):
        assert line, "the server has gone"
    return line


def served(server: Server, user: str) -> list[bytes]:
    """The messages of a maildrop in its order, as RETR gives them. Ends without QUIT, so nothing is changed by it."""
    with socket.create_connection(("127.0.0.1", server.pop3_port), 30) as connection:
        answers = connection.makefile("rb")
        with answers:
            answers.readline()
            connection.sendall(
                b"UTF8\r\n"
            )  # refused by all but Courier, which would show other mail without it
            answers.readline()
            for command in (f"USER {user}", f"PASS {PASSWORD}", "STAT"):
                connection.sendall(f"{command}\r\n".encode())
                answer = answers.readline()
                assert answer.startswith(b"+OK"), answer
            messages = []
            for number in range(1, int(answer.split()[1]) + 1):
                connection.sendall(b"RETR %d\r\n" % number)
                answer = answers.readline()
                assert answer.startswith(b"+OK"), answer
                octets = b"\r\n"
                while not octets.endswith(b"\r\n.\r\n"):
                    line = answers.readline()
                    assert line, "the server has gone"
                    octets += line
                messages.append(re.sub(rb"\r\n\.", b"\r\n", octets[:-3])[2:])
            return messages
