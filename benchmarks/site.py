"""Where all rows are measured: servers, mail, and accounts that nobody had before; made when first wanted."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import corpus
from benchmarks.ceilings import End
from benchmarks.ends import Ends
from benchmarks.measure import Spent, spend
from tests.servers.courier import Courier
from tests.servers.cyrus import Cyrus
from tests.servers.dovecot import Dovecot
from tests.servers.server import Server
from tests.system.program import environment

FILL = 3600
"""Seconds that filling a maildrop may take."""

KINDS: dict[str, type[Server]] = {"cyrus": Cyrus, "courier": Courier}


@dataclass(frozen=True)
class Mail:
    """A corpus: as an mbox, and as a maildrop of that user. ``octets``: on the wire."""

    count: int
    octets: int
    mbox: Path
    user: str


class Site:
    """A Dovecot, which is the source of all POP3 rows, and a directory for all else. Gone when it is left."""

    def __init__(self, directory: Path | None = None) -> None:
        self.dovecot = Dovecot(LAYOUT="mdbox")  # no bottleneck; Maildirs with many files are one
        self.directory = Path(tempfile.mkdtemp(prefix="p2i-bench-", dir=directory))
        self.directory.chmod(0o755)  # doveadm has other rights
        self._corpora: dict[tuple[int, str, int], Mail] = {}

    def __enter__(self) -> Site:
        return self

    def __exit__(self, *_: object) -> None:
        self.dovecot.stop(purge=True)
        shutil.rmtree(self.directory, ignore_errors=True)

    @contextmanager
    def target(self, kind: str) -> Iterator[Server]:
        """The Dovecot, or another server that is started now and stopped afterwards. Raises Unavailable."""
        if kind == "dovecot":
            yield self.dovecot
            return
        server = KINDS[kind]()
        try:
            yield server
        finally:
            server.stop(purge=True)

    @contextmanager
    def home(self) -> Iterator[Path]:
        """A directory for one run of a program."""
        with tempfile.TemporaryDirectory(dir=self.directory) as name:
            yield Path(name)

    def mail(self, count: int, shape: str = "mixed", *, large: int = 0) -> Mail:
        """The mbox with that many messages, written when first asked for; its maildrop is empty until filled.

        ``large``: octets of one message more.
        """
        if (count, shape, large) not in self._corpora:
            name = f"{shape}-{count}-{large}"
            path = self.directory / f"{name}.mbox"
            octets = corpus.write_mbox(path, corpus.messages(count, shape), large=large)
            self._corpora[count, shape, large] = Mail(count + bool(large), octets, path, name)
        return self._corpora[count, shape, large]

    def maildrop(self, mail: Mail) -> str:
        """The user whose maildrop holds that mail, filled when first asked for. Raises RuntimeError."""
        if mail.count and held(self.dovecot, mail.user) != mail.count:
            account = End(port=self.dovecot.imap_port, user=mail.user)
            fill = Ends(End(path=str(mail.mbox)), account, self.dovecot).raw("multiappend")
            spent = self.run(fill, limit=FILL)
            if spent.fault or held(self.dovecot, mail.user) != mail.count:
                raise RuntimeError(f"the maildrop could not be filled: {spent.fault}")
        return mail.user

    def run(self, command: list[str | Path], *, limit: float) -> Spent:
        """A program in a home of its own, which is gone afterwards."""
        with self.home() as home:
            return spend(command, env=environment(home), cwd=home, limit=limit)


def held(server: Server, user: str) -> int:
    """How many messages the folders of an account hold, as the server counts them."""
    with server.client(user) as client:
        folders = [name for flags, _, name in client.list_folders() if b"\\Noselect" not in flags]
        return sum(client.folder_status(name, ["MESSAGES"])[b"MESSAGES"] for name in folders)


def forget(server: Server, user: str) -> None:
    """Take the mail of an account, which nobody asks for again, off the disk."""
    for place in [path for path in server.directory.rglob(user) if path.is_dir()]:
        shutil.rmtree(place, ignore_errors=True)
