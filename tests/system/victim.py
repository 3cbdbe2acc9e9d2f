"""The program as a process on its way to an IMAP server through a proxy that kills it."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from subprocess import Popen, TimeoutExpired
from typing import Any

from pop2imap.journal.history import read_history
from tests.faults.proxy import APPENDED, Fault, Link, Proxy, Side, after, before, calling, cut
from tests.servers.server import Server
from tests.system.program import start


def arguments(source: str, user: str, port: int) -> tuple[str, ...]:
    """How the program is called: with the ``rules.toml`` of its home, and a journal for each user."""
    return (
        *("migrate", source, f"imap://{user}@127.0.0.1:{port}"),
        *("--rules", "rules.toml", "--state-dir", f"state-{user}", "--fence", "1", "--json"),
    )


RULES = """
version = 1

[[rule]]
name = "Even"
when = { subject = "even *" }
then = { folder = "Even", add-flags = ["$Even"] }

[[rule]]
name = "Both"
when = { subject = "both *" }
then = { folder = "Copies", continue = true }

[[rule]]
name = "Rest"
then = { folder = "INBOX" }
"""

LONGEST_START = 30.0
"""Seconds within which the program connects."""


def mail(count: int, seed: int, lines: Sequence[int] = (5, 50, 500, 3000)) -> Iterator[tuple[str, str]]:
    """(what an mbox adds, the message) of mail of so many lines: twins (one seen and one not), messages without
    Message-ID, and some that ``RULES`` copies. Line ends are LF."""
    chance = random.Random(seed)
    envelope = text = ""
    for number in range(count):
        if number % 10 == 9:  # a twin of the one before, unread
            yield f"{envelope}Status: O\n", text
            continue
        kind = chance.choice(("even", "odd", "both"))
        time = f"10:{number // 60:02}:{number % 60:02}"
        envelope = f"From bob@example.org Mon May 04 {time} 2020\n"
        identity = f"Message-ID: <{number}@example.org>\n" if number % 3 else ""
        body = "".join(f"{chance.random()}\n" for _ in range(chance.choice(lines)))
        date = f"Date: Mon, 04 May 2020 {time} +0000\n"
        text = f"From: bob@example.org\nSubject: {kind} {number}\n{date}{identity}\n{body}"
        yield f"{envelope}Status: RO\n", text


def write_mbox(messages: Iterable[tuple[str, str]], path: Path) -> None:
    """An mbox of such mail."""
    path.write_text("".join(f"{added}{text}\n" for added, text in messages), newline="\n")


class Victim:
    """Moves ``source`` to a fresh account of ``server``, as often as it takes; over a ``link``, if there is one."""

    def __init__(self, home: Path, server: Server, source: str) -> None:
        self._home, self._server, self._source = home, server, source
        self.user = server.user()
        self.out = ""
        self._port = 0
        self.link: Link | None = None
        self._process: Popen[str] | None = None

    def run(
        self, *, after_octets: int | None = None, before_answer: int | None = None
    ) -> tuple[str, Popen[str], str]:
        """(where the proxy struck, the ended process, what it wrote to standard error)."""
        fault, where = Fault(), ""
        strike = calling(self._strike, then=cut)
        if after_octets is not None:
            fault, where = Fault(after(after_octets, Side.CLIENT), strike), f"after {after_octets} octets"
        elif before_answer is not None:
            fault, where = Fault(before(APPENDED, before_answer), strike), f"before answer {before_answer}"
        # one port for all runs: host and port are part of the name of the target
        with Proxy(self._server.imap_port, fault, link=self.link, port=self._port) as proxy:
            self._port = proxy.port
            self._process = start(self._home, *arguments(self._source, self.user, proxy.port))
            self.out, err = self._process.communicate(timeout=100)
        return where if fault.struck else "", self._process, err

    def run_for(self, seconds: float, *, delivers: bool) -> tuple[Popen[str], str]:
        """Killed so many seconds after it has first connected, unless it has come to its end by then. What is on the
        link then arrives if ``delivers``. Returns the ended process and what it wrote to standard error."""
        with Proxy(self._server.imap_port, link=self.link, port=self._port) as proxy:
            self._port = proxy.port
            self._process = process = start(self._home, *arguments(self._source, self.user, proxy.port))
            proxy.connected.wait(LONGEST_START)
            try:
                self.out, err = process.communicate(timeout=seconds)
            except TimeoutExpired:
                process.kill()
                self.out, err = process.communicate()
                proxy.delivers = delivers
        return process, err

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
