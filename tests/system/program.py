"""Running the program as a person does: as a process, with its output and its exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.servers.dovecot import PASSWORD


@dataclass(frozen=True)
class Ran:
    """What a run left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.out)
        return document


def environment(home: Path, **more: str) -> dict[str, str]:
    """Only what the program needs, so that nothing of this machine's owner gets in."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "POP2IMAP_STATE_DIR": str(home / "state"),
        "POP2IMAP_SOURCE_PASSWORD": PASSWORD,
        "POP2IMAP_TARGET_PASSWORD": PASSWORD,
        **more,
    }


def start(
    home: Path, *arguments: str | Path, within: Sequence[str] = (), **env: str
) -> subprocess.Popen[str]:
    """The program under way; the caller waits for it. ``within``: a command that runs the command after it."""
    return subprocess.Popen(
        [*within, sys.executable, "-m", "pop2imap", *map(str, arguments)],
        cwd=home,
        env=environment(home, **env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(
    home: Path, *arguments: str | Path, timeout: float = 110, within: Sequence[str] = (), **env: str
) -> Ran:
    """One run from start to end."""
    process = start(home, *arguments, within=within, **env)
    out, err = process.communicate(timeout=timeout)
    return Ran(process.returncode, out, err)
