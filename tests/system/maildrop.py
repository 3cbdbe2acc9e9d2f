"""Mail put into an INBOX and read out over POP3, octet by octet, by neither the program nor a library."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from tests.servers.server import PASSWORD, Server


def deliver(server: Server, user: str, messages: Iterable[bytes]) -> int:
    """APPEND each to the INBOX of ``user``. Returns how many of them the server took."""
    return sum(" OK" in answer for answer in offer(server, user, ((octets, "") for octets in messages)))


def offer(server: Server, user: str, messages: Iterable[tuple[bytes, str]]) -> list[str]:
    """APPEND each message, with flags, to the INBOX of ``user``. Returns what the server answered."""
    said = []
    with socket.create_connection(("127.0.0.1", server.imap_port), 30) as connection:
        answers = connection.makefile("rb")
        with answers:
            answers.readline()
            connection.sendall(f"A LOGIN {user} {PASSWORD}\r\n".encode())
            assert b" OK" in _answer(answers, b"A ")
            for octets, flags in messages:
                connection.sendall(f"A APPEND INBOX ({flags}) {{{len(octets)}}}\r\n".encode())
                answer = _answer(answers, b"A ", b"+")
                if answer.startswith(b"+"):
                    connection.sendall(octets + b"\r\n")
                    answer = _answer(answers, b"A ")
                said.append(answer.decode().rstrip())
            connection.sendall(b"A LOGOUT\r\n")
            _answer(answers, b"A ")
    return said


def _answer(answers: BinaryIO, *starts: bytes) -> bytes:
    while not (line := answers.readline()).startswith(starts):
        assert line, "the server has gone"
    return line


def served(server: Server, user: str) -> dict[str, bytes]:
    """The messages of a maildrop in its order, by UIDL, as RETR gives them. Ends without QUIT, so nothing is changed
    by it."""
    with socket.create_connection(("127.0.0.1", server.pop3_port), 30) as connection:
        answers = connection.makefile("rb")
        with answers:
            answers.readline()
            connection.sendall(
                b"UTF8\r\n"
            )  # refused by all but Courier, which would show other mail without it
            answers.readline()
            for command in (f"USER {user}", f"PASS {PASSWORD}", "UIDL"):
                connection.sendall(f"{command}\r\n".encode())
                answer = answers.readline()
                assert answer.startswith(b"+OK"), answer
            names = [line.split()[1].decode() for line in _lines(answers)]
            messages = {}
            for number, name in enumerate(names, 1):
                connection.sendall(b"RETR %d\r\n" % number)
                answer = answers.readline()
                assert answer.startswith(b"+OK"), answer
                octets = b"\r\n" + b"".join(_lines(answers))
                messages[name] = octets.replace(b"\r\n.", b"\r\n")[2:]
            return messages


def _lines(answers: BinaryIO) -> Iterator[bytes]:
    """The lines of a multi-line answer up to its end, which is a dot between two CRLF (RFC 1939 3)."""
    after_crlf = True
    while not ((line := answers.readline()) == b".\r\n" and after_crlf):
        assert line, "the server has gone"
        after_crlf = line.endswith(b"\r\n")
        yield line
