"""On what all of it was measured, and with which versions."""

from __future__ import annotations

import gzip
import platform
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from pop2imap import __version__
from tests.servers import dovecot
from tests.servers.server import Unavailable, fetched

PACKAGES = ("mpop", "isync", "fdm")


def machine() -> dict[str, str]:
    """Words for each; what is not here is left out."""
    information = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in information if line.startswith("model name")]
    cores = sum(line.startswith("processor") for line in information)
    memory = Path("/proc/meminfo").read_text().split()[1]
    facts = {
        "measured": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processors": f"{cores} × {models[0] if models else platform.machine()}",
        "memory": f"{int(memory) / 1e6:.0f} GB",
        "system": platform.platform(),
        "Python": platform.python_version(),
        "pop2imap": __version__,
        "Dovecot": _said(str(dovecot.PROGRAM), "--version").split(" ")[0],
        "Cyrus": _unpacked("cyrus", "cyrus-imapd"),
        "Courier": _unpacked("courier", "courier-imap"),
    }
    for package in PACKAGES:
        facts[package] = _said("dpkg-query", "--show", "--showformat", "${Version}", package)
    return {name: value for name, value in facts.items() if value}


def _said(*command: str) -> str:
    if not shutil.which(command[0]):
        return ""
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def _unpacked(kind: str, package: str) -> str:
    """The version of a server that ``fetch-servers`` has put somewhere, as its Debian changelog begins."""
    try:
        path = fetched(kind) / kind / "usr/share/doc" / package / "changelog.Debian.gz"
        with gzip.open(path, "rt") as file:
            return file.readline().partition("(")[2].partition(")")[0]
    except (OSError, Unavailable):
        return ""
