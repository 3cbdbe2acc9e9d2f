"""The two ends of one run of one program, and how each program is told of them."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks import ceilings
from tests.servers.server import Server


@dataclass(frozen=True)
class Ends:
    """``server`` is the target's, of which ``target`` is one account, perhaps at the near end of a link."""

    source: ceilings.End
    target: ceilings.End
    server: Server

    def raw(self, how: str) -> list[str | Path]:
        """The raw program."""
        kind = "mbox" if "path" in self.source else "pop3"
        given = json.dumps({"source": self.source, "target": self.target})
        return [sys.executable, ceilings.__file__, kind, how, given]

    def ours(self, *options: str, command: str = "migrate") -> list[str | Path]:
        """pop2imap."""
        if "path" in self.source:
            source = f"mbox:{self.source['path']}"
        else:
            source = _url("pop3", self.source)
        words = [sys.executable, "-m", "pop2imap", command, "-q", source, _url("imap", self.target), *options]
        for side, end in (("source", self.source), ("target", self.target)):
            if "ca" in end:
                words += [f"--{side}-ca", end["ca"]]
        return list(words)


def _url(protocol: str, end: ceilings.End) -> str:
    secure = "s" if "ca" in end else ""
    return f"{protocol}{secure}://{end['user']}@127.0.0.1:{end['port']}"
