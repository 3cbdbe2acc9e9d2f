"""A real Dovecot for tests: found, started on free ports, asked, stopped.

``tests/conftest.py`` makes fixtures of this. The server lives in a directory of its own and is stopped by its
process id; nothing of the system is changed.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path

from pop2imap import net

PROGRAM = Path(os.environ.get("DOVECOT", "/usr/sbin/dovecot"))
MISSING = "no real IMAP and POP3 server here: Dovecot is not installed (apt-get install dovecot-imapd dovecot-pop3d)"
HERE = Path(__file__).parent
HOST = "localhost"
PASSWORD = "secret"
MASTER, MASTER_PASSWORD = "admin", "admin-secret"


def installed() -> bool:
    return PROGRAM.exists()


class Dovecot:
    """One running Dovecot. Every user name logs in with ``PASSWORD``; ``MASTER`` logs in for anybody.

    ``settings`` are the environment variables that ``dovecot-start`` describes: SEP, PREFIX, QUOTA,
    IMAP_CAPABILITY, EXTRA_CONF.
    """

    host = HOST

    def __init__(self, **settings: str) -> None:
        self._settings = settings
        self._users = itertools.count(1)
        self.directory = Path(tempfile.mkdtemp(prefix="p2i-dovecot-", dir=_open_to_others()))
        self.directory.chmod(0o755)
        for attempt in range(5):
            self.imap_port = _free_block(attempt)
            try:
                self.start()
                break
            except RuntimeError:
                if attempt == 4:
                    self.stop(purge=True)
                    raise
        self.imaps_port = self.imap_port + 1
        self.pop3_port = self.imap_port + 2
        self.pop3s_port = self.imap_port + 3
        self.ca_file = self.directory / "cert.pem"

    def start(self) -> None:
        """Start it, again after ``kill`` or ``stop`` on the same ports with the mail that was there.

        Raises RuntimeError with what Dovecot said when it does not start.
        """
        done = subprocess.run(
            ["bash", HERE / "dovecot-start", self.directory, str(self.imap_port)],
            env={**os.environ, **self._settings},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"Dovecot does not start: {done.stdout}{done.stderr}{self.log()}")

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

    def doveadm(self, *arguments: str, input: bytes | str | None = None) -> str:  # noqa: A002
        """What ``doveadm`` prints, octets that are not UTF-8 as surrogates. Raises CalledProcessError.

        ``dovecot.doveadm("save", "-u", user, "-m", "INBOX", input=octets)`` delivers a message as another
        program would.
        """
        given = input.encode() if isinstance(input, str) else input
        done = subprocess.run(
            [*_unprivileged(), "doveadm", "-c", str(self.directory / "dovecot.conf"), *arguments],
            input=given if given is not None else b"",
            capture_output=True,
            check=True,
        )
        return done.stdout.decode("utf-8", "surrogateescape")

    def kick(self, user: str) -> None:
        """End all connections of ``user``, as an administrator would."""
        self.doveadm("kick", user)

    def kill(self) -> None:
        """SIGKILL to all of it: every connection ends at once, as when the machine loses power."""
        master = self._master()
        for pid in [master, *_children(master)]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        (self.directory / "base" / "master.pid").unlink()

    def log(self) -> str:
        """Its log so far, for the message of a failed assertion."""
        path = self.directory / "dovecot.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def stop(self, *, purge: bool = False) -> None:
        """Stop it politely; with ``purge`` at once, and remove its directory, mail and all."""
        running = (self.directory / "base" / "master.pid").exists()
        if purge:
            if running:
                self.kill()
            shutil.rmtree(self.directory, ignore_errors=True)
        elif running:
            subprocess.run(["bash", HERE / "dovecot-stop", self.directory], check=True)

    def _master(self) -> int:
        return int((self.directory / "base" / "master.pid").read_text())


def _unprivileged() -> list[str]:
    """Root asks doveadm as the user that the server runs as."""
    if os.geteuid() != 0:
        return []
    group = subprocess.run(["id", "-g", "nobody"], capture_output=True, text=True, check=True).stdout.strip()
    return ["setpriv", "--reuid=nobody", f"--regid={group}", "--clear-groups"]


def _children(parent: int) -> list[int]:
    children = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text(errors="replace").rpartition(")")[2].split()
        except OSError:  # it has ended meanwhile
            continue
        if int(fields[1]) == parent:
            children.append(int(status.parent.name))
    return children


def _open_to_others() -> str:
    """A directory for temporary files that a server without privileges can get to."""
    for candidate in (tempfile.gettempdir(), "/var/tmp", "/dev/shm"):
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
