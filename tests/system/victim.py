"""The program as a process on its way to an IMAP server through a proxy that kills it."""

from __future__ import annotations

import json
from pathlib import Path
from subprocess import Popen
from typing import Any

from pop2imap.journal.history import read_history
from tests.fakes.proxy import StrikingProxy
from tests.servers.server import Server
from tests.system.program import start


def arguments(source: str, user: str, port: int) -> tuple[str, ...]:
    """How the program is called: with the ``rules.toml`` of its home, and a journal for each user."""
    return (
        *("migrate", source, f"imap://{user}@127.0.0.1:{port}"),
        *("--rules", "rules.toml", "--state-dir", f"state-{user}", "--fence", "1", "--json"),
    )


class Victim:
    """Moves ``source`` to a fresh account of ``server``, as often as it takes."""

    def __init__(self, home: Path, server: Server, source: str) -> None:
        self._home, self._server, self._source = home, server, source
        self.user = server.user()
        self.out = ""
        self._port = 0
        self._process: Popen[str] | None = None

    def run(
        self, *, after_octets: int | None = None, before_answer: int | None = None
    ) -> tuple[str, Popen[str], str]:
        """(where the proxy struck, the ended process, what it wrote to standard error)."""
        with StrikingProxy(
            self._server.imap_port,
            self._strike,
            after_octets=after_octets,
            before_answer=before_answer,
            port=self._port,  # one for all runs: host and port are part of the name of the target
        ) as proxy:
            self._port = proxy.port
            self._process = start(self._home, *arguments(self._source, self.user, proxy.port))
            self.out, err = self._process.communicate(timeout=100)
        return proxy.struck, self._process, err

    @property
    def json(self) -> dict[str, Any]:
        """The report of the last run."""
        document: dict[str, Any] = json.loads(self.out)
        return document

    def _strike(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def in_doubt(self) -> int:
        """Intents without an outcome in the journal that the killed run left behind."""
        history = read_history(self._home / f"state-{self.user}", f"{self.user}@127.0.0.1:{self._port}")
        if history is None:  # killed before there was one
            return 0
        try:
            return history.status().in_doubt
        finally:
            history.close()
