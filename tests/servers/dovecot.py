"""A real Dovecot for tests: found, started on free ports, asked, stopped."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

from tests.servers.server import PASSWORD, Server

__all__ = ["MASTER", "MASTER_PASSWORD", "MISSING", "PASSWORD", "Dovecot", "installed"]

PROGRAM = Path(os.environ.get("DOVECOT", "/usr/sbin/dovecot"))
MISSING = "no real IMAP and POP3 server here: Dovecot is not installed (apt-get install dovecot-imapd dovecot-pop3d)"
MASTER, MASTER_PASSWORD = "admin", "admin-secret"


def installed() -> bool:
    return PROGRAM.exists()


class Dovecot(Server):
    """One running Dovecot. Every user name logs in with ``PASSWORD``; ``MASTER`` logs in for anybody.

    ``settings`` are the environment variables that ``dovecot-start`` describes: SEP, PREFIX, LAYOUT, QUOTA,
    IMAP_CAPABILITY, EXTRA_CONF.
    """

    kind = "dovecot"
    pid_file = "base/master.pid"
    logs = ("dovecot.log",)

    def doveadm(self, *arguments: str, input: bytes | str | None = None) -> str:  # noqa: A002
        """What ``doveadm`` prints, octets that are not UTF-8 as surrogates. Raises CalledProcessError.

        ``dovecot.doveadm("save", "-u", user, "-m", "INBOX", input=octets)`` delivers a message as another
        program would.
        """
        given = input.encode() if isinstance(input, str) else input
        done = subprocess.run(
            [*unprivileged(), "doveadm", "-c", str(self.directory / "dovecot.conf"), *arguments],
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
        (self.directory / self.pid_file).unlink()

    def stop(self, *, purge: bool = False) -> None:
        """Stop it politely; with ``purge`` at once, and remove its directory, mail and all."""
        if purge:
            if (self.directory / self.pid_file).exists():
                self.kill()
            shutil.rmtree(self.directory, ignore_errors=True)
        else:
            super().stop()

    def _master(self) -> int:
        return int((self.directory / self.pid_file).read_text())


def unprivileged() -> list[str]:
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
