"""Profiles as Thunderbird writes them, small, made on the spot."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

BERKELEY = "@mozilla.org/msgstore/berkeleystore;1"
MAILDIR = "@mozilla.org/msgstore/maildirstore;1"
WRITTEN = "/home/alice/.thunderbird/abcd1234.default"
"""Where the profile was written; the paths in it say so."""

_HOLD = """
import fcntl, sys
file = open(sys.argv[1], "w")
fcntl.lockf(file, fcntl.LOCK_EX)
print("held", flush=True)
input()
"""


class Profile:
    """The profile in ``path``, with Local Folders unless accounts are added."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.prefs: dict[str, str | int | bool] = {}
        self._accounts: list[str] = []
        path.mkdir(parents=True, exist_ok=True)

    def account(
        self, kind: str, place: str, *, user: str = "nobody", host: str = "", name: str = "", **more: str
    ) -> Path:
        """Add one, and make its directory, which is returned. ``more`` are further settings of its server."""
        number = len(self._accounts) + 1
        self._accounts.append(f"account{number}")
        server = f"mail.server.server{number}"
        self.prefs |= {
            "mail.accountmanager.accounts": ",".join(self._accounts),
            f"mail.account.account{number}.server": f"server{number}",
            f"mail.account.account{number}.identities": f"id{number}",
            f"{server}.type": kind,
            f"{server}.userName": user,
            f"{server}.hostname": host or place,
            f"{server}.name": name or host or place,
            f"{server}.directory": f"{WRITTEN}/Mail/{place}",
            f"{server}.directory-rel": f"[ProfD]Mail/{place}",
            f"{server}.storeContractID": BERKELEY,
        }
        self.prefs |= {f"{server}.{key}": value for key, value in more.items()}
        self.write()
        where = self.path / "Mail" / place
        where.mkdir(parents=True, exist_ok=True)
        return where

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """While another process holds the lock of the profile, as a running Thunderbird does."""
        command = [sys.executable, "-c", _HOLD, str(self.path / ".parentlock")]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                assert process.stdout.readline() == "held\n"
                yield
            finally:
                process.communicate("\n")

    def says(self, **settings: str | int | bool) -> None:
        """Add settings; ``__`` in a name stands for a dot."""
        self.prefs |= {name.replace("__", "."): value for name, value in settings.items()}
        self.write()

    def write(self) -> None:
        lines = [
            f'user_pref("{name}", {json.dumps(value, ensure_ascii=False)});'
            for name, value in self.prefs.items()
        ]
        (self.path / "prefs.js").write_text(
            "// Mozilla User Preferences\n\n" + "\n".join(lines) + "\n", "utf-8"
        )


def noted(
    octets: bytes, status: int = 0, keys: str | None = None, uidl: str = "", account: str = ""
) -> bytes:
    """A message of LF lines as Thunderbird keeps it, with its own lines at the top."""
    lines = [f"X-Account-Key: {account}"] if account else []
    lines += [f"X-UIDL: {uidl}"] if uidl else []
    lines += [f"X-Mozilla-Status: {status & 0xFFFF:04x}", f"X-Mozilla-Status2: {status & 0xFFFF0000:08x}"]
    lines += [f"X-Mozilla-Keys: {keys:<80}"] if keys is not None else []
    return "\n".join(lines).encode() + b"\n" + octets


def letter(number: int, body: str = "Hello.") -> bytes:
    head = f"From: Bob <bob@example.org>\nSubject: Letter {number}\nMessage-ID: <{number}@example.org>\n"
    return f"{head}Date: Mon, 6 Jan 2020 10:00:0{number % 10} +0000\n\n{body}\n".encode()


def mbox(messages: Iterable[bytes]) -> bytes:
    return b"".join(b"From - Mon Jan  6 11:00:00 2020\r\n" + one + b"\r\n" for one in messages)
