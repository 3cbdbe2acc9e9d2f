"""A real mail server for tests: started on free ports by a script, asked, stopped by its process id.

It lives in a directory of its own, and nothing of the system is changed. What the kinds of servers have in common is
here; each has a module for the rest.
"""

from __future__ import annotations

import itertools
import os
import shutil
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from imapclient import IMAPClient

from pop2imap import net

HERE = Path(__file__).parent
HOST = "localhost"
PASSWORD = "secret"
ROOM = 200 << 20


class Unavailable(Exception):
    """This machine cannot have that server. The text says why, and what to do, if anything."""


class Server:
    """One running server; ``settings`` are the environment variables that ``<kind>-start`` describes.

    Every user of :meth:`user` logs in with ``PASSWORD``. ``imap_port``, ``imaps_port``, ``pop3_port``,
    ``pop3s_port`` and ``ca_file`` say where it is.
    """

    host = HOST
    kind = ""
    """The name of the scripts that start and stop it."""
    pid_file = ""
    """Within the directory; its first process, while it runs."""
    logs: tuple[str, ...] = ()
    in_memory = False
    """Whether its directory lies in memory, if there is room: for those that cannot be told to do without fsync."""

    def __init__(self, **settings: str) -> None:
        self._settings = settings
        self._users = itertools.count(1)
        self.directory = Path(
            tempfile.mkdtemp(prefix=f"p2i-{self.kind}-", dir=_open_to_others(in_memory=self.in_memory))
        )
        self.directory.chmod(0o755)
        for attempt in range(5):
            self.imap_port = _free_block(attempt)
            try:
                self.start()
                break
            except (RuntimeError, Unavailable) as error:
                if attempt == 4 or isinstance(error, Unavailable):
                    self.stop(purge=True)
                    raise
        self.imaps_port = self.imap_port + 1
        self.pop3_port = self.imap_port + 2
        self.pop3s_port = self.imap_port + 3
        self.ca_file = self.directory / "cert.pem"

    def start(self) -> None:
        """Start it, again after it was stopped on the same ports with the mail that was there.

        Raises RuntimeError with what it said when it does not start, and Unavailable when it never will.
        """
        done = subprocess.run(
            ["bash", HERE / f"{self.kind}-start", self.directory, str(self.imap_port)],
            env={**os.environ, **self._settings},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == 3:
            raise Unavailable(f"{self.kind.title()} cannot run here: {done.stderr.strip()}")
        if done.returncode:
            raise RuntimeError(f"{self.kind.title()} does not start: {done.stdout}{done.stderr}{self.log()}")

    def user(self) -> str:
        """A user name that nobody had before: an account without mail."""
        return f"user{next(self._users)}"

    def imap(self, transport: net.Transport = net.Transport.TLS, *, host: str = HOST) -> net.Server:
        """How to reach it over IMAP."""
        port = self.imaps_port if transport is net.Transport.TLS else self.imap_port
        return net.Server(host, port, transport, self.ca_file, net.Timeouts(connect=10, idle=30))

    def pop3(self, transport: net.Transport = net.Transport.TLS, *, host: str = HOST) -> net.Server:
        """How to reach it over POP3."""
        port = self.pop3s_port if transport is net.Transport.TLS else self.pop3_port
        return net.Server(host, port, transport, self.ca_file, net.Timeouts(connect=10, idle=30))

    @contextmanager
    def client(self, user: str) -> Iterator[IMAPClient]:
        """A logged-in IMAP client over TLS that is not the one under test. Dates keep their zone."""
        context = ssl.create_default_context(cafile=str(self.ca_file))
        with IMAPClient(HOST, port=self.imaps_port, ssl_context=context, timeout=60) as connected:
            connected.normalise_times = False
            connected.login(user, PASSWORD)
            yield connected

    def log(self) -> str:
        """Its logs so far, for the message of a failed assertion."""
        paths = [self.directory / name for name in self.logs]
        return "".join(path.read_text(errors="replace") for path in paths if path.exists())

    def stop(self, *, purge: bool = False) -> None:
        """Stop it politely; with ``purge`` remove its directory as well, mail and all."""
        if (self.directory / self.pid_file).exists():
            subprocess.run(["bash", HERE / f"{self.kind}-stop", self.directory], check=True)
        if purge:
            shutil.rmtree(self.directory, ignore_errors=True)


class FixedUsers(Server):
    """A server whose accounts are made when it starts: enough of them for all tests of a process."""

    COUNT = 90

    def __init__(self, **settings: str) -> None:
        users = " ".join(f"user{number}" for number in range(1, self.COUNT + 1))
        super().__init__(USERS=users, POP2IMAP_SERVERS=str(fetched(self.kind)), **settings)

    def user(self) -> str:
        name = super().user()
        assert int(name.removeprefix("user")) <= self.COUNT, "more accounts are needed: FixedUsers.COUNT"
        return name


def fetched(kind: str) -> Path:
    """Where ``fetch-servers`` has put its servers. Raises Unavailable if that one is not there, or is not ours."""
    place = Path(os.environ.get("POP2IMAP_SERVERS", "/var/tmp/pop2imap-servers"))
    if not (place / kind / "complete").exists():
        raise Unavailable(
            f"{kind.title()} is not in {place}; tests/servers/fetch-servers puts it there, on Debian and Ubuntu"
        )
    if (place / kind).stat().st_uid not in {0, os.geteuid()}:
        raise Unavailable(
            f"{place / kind} belongs to somebody else: set POP2IMAP_SERVERS to a place of your own"
        )
    return place


def _open_to_others(*, in_memory: bool) -> str:
    """A directory for temporary files that a server without privileges can get to."""
    memory = Path("/dev/shm")
    roomy = in_memory and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > ROOM
    for candidate in (*([str(memory)] if roomy else []), tempfile.gettempdir(), "/var/tmp", str(memory)):
        path = Path(candidate).resolve()
        if os.geteuid() != 0 or all(place.stat().st_mode & 0o001 for place in (path, *path.parents)):
            return str(path)
    raise RuntimeError("no directory for temporary files that others may traverse")


def _free_block(attempt: int) -> int:
    """The first of four free ports in a row, below those that the system gives to clients."""
    for step in range(2000):
        first = 20_000 + (os.getpid() * 7 + attempt * 97 + step) % 2_900 * 4
        try:
            with ExitStack() as sockets:
                for port in range(first, first + 4):
                    trial = sockets.enter_context(socket.socket())
                    trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    trial.bind(("127.0.0.1", port))
            return first
        except OSError:
            continue
    raise RuntimeError("no four free ports in a row")
