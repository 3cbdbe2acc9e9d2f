"""The servers of the demo, each in a child process of its own.

Theory of operation. A listening socket on a free loopback port is made *here* and handed to the child, so that
no one else can take the port in between and a client that comes early just waits. The child gets its password as
the first line of its standard input, says ``ready`` on its standard output once it serves, and ends when its
standard input ends. So it goes away with the demo in whatever way the demo goes away: at the end, on Ctrl-C (the
child has a session of its own, so that the terminal does not interrupt it before the migration that talks to it
has finished), after a crash, after SIGKILL.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from secrets import token_urlsafe
from socket import AF_INET, SOCK_STREAM, socket

from pop2imap.errors import HostUnavailable, UsageError

HOST = "127.0.0.1"
_PATIENCE = 10.0  # seconds for a child to end by itself


@dataclass(frozen=True, slots=True)
class Server:
    """A running server: where it listens, and who may log in to it. ``what`` is its name and version."""

    what: str
    port: int
    user: str
    password: str = field(repr=False)

    def url(self, scheme: str) -> str:
        return f"{scheme}://{self.user}@{HOST}:{self.port}"


Serving = AbstractContextManager[tuple[Server, Server]]
"""The POP3 server and the IMAP server while they run."""


@contextmanager
def embedded(maildrop: Path, users: tuple[str, str], logs: Path) -> Iterator[tuple[Server, Server]]:
    """A POP3 server that gives the messages of the folder ``maildrop`` to the first of ``users``, and an IMAP
    server with an empty account of the second one. Each writes its log into the folder ``logs``.

    Raises UsageError if their packages are not installed, HostUnavailable if one of them does not start.
    """
    with (
        _embedded("pop3_server", "Twisted", [users[0], str(maildrop)], logs) as pop3,
        _embedded("imap_server", "pymap", [users[1]], logs) as imap,
    ):
        yield pop3, imap


@contextmanager
def dovecot(maildrop: Path, users: tuple[str, str], logs: Path) -> Iterator[tuple[Server, Server]]:
    """The same from one real Dovecot, which must be installed. Raises HostUnavailable if it does not start."""
    passwords = token_urlsafe(), token_urlsafe()
    command = ["pop2imap.demo.dovecot_server", str(maildrop), *users]
    with _child(command, " ".join(passwords), logs / "dovecot_server.log") as ports:
        pop3, imap = (
            Server("Dovecot", int(port), user, password)
            for port, user, password in zip(ports, users, passwords, strict=True)
        )
        yield pop3, imap


@contextmanager
def _embedded(module: str, package: str, arguments: Sequence[str], logs: Path) -> Iterator[Server]:
    try:
        what = f"{package} {version(package)}"
    except PackageNotFoundError:
        raise UsageError(
            f"the servers of the demo need the Python package {package}", todo="pip install 'pop2imap[demo]'"
        ) from None
    password = token_urlsafe()
    with socket(AF_INET, SOCK_STREAM) as listener:
        listener.bind((HOST, 0))
        listener.listen()
        server = Server(what, listener.getsockname()[1], arguments[0], password)
        command = [f"pop2imap.demo.{module}", str(listener.fileno()), *arguments]
        with _child(command, password, logs / f"{module}.log", listener):
            listener.close()
            yield server


@contextmanager
def _child(command: Sequence[str], password: str, log: Path, *sockets: socket) -> Iterator[list[str]]:
    """Run the module and arguments of ``command`` as the theory of operation says, and end it afterwards. Yields
    the words that follow ``ready``. Raises HostUnavailable if it ends before it is ready."""
    with log.open("ab") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            pass_fds=[s.fileno() for s in sockets],
            start_new_session=True,
            text=True,
        )
    assert process.stdin
    assert process.stdout
    try:
        with suppress(BrokenPipeError):  # it has ended already, and the missing "ready" will tell
            print(password, file=process.stdin, flush=True)
        ready, *words = process.stdout.readline().split() or [""]
        if ready != "ready":
            said = log.read_text(errors="replace").strip().splitlines() or ["it said nothing"]
            raise HostUnavailable(said[-1], where=f"server of the demo, {command[0]}")
        yield words
    finally:
        with suppress(BrokenPipeError):
            process.stdin.close()
        process.stdout.close()
        try:
            with suppress(subprocess.TimeoutExpired):
                process.wait(_PATIENCE)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
