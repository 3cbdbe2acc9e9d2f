"""Peak memory of a migration, whatever the size of the mail: ``python -m benchmarks.memory``.

Generates a 100 MB message and an mbox of 2 GB (``--gigabytes`` for another size), moves each into a real Dovecot
with the real program, and prints the peak resident memory of that process and how fast it went. Needs Dovecot and,
for the default size, 5 GB of disk in ``--directory``.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.servers.dovecot import PASSWORD, Dovecot

LIMIT_MB = 150
"""What the project promises."""


def write_large_message(path: Path, octets: int) -> None:
    """One message of about ``octets``, in base64-like lines."""
    line = b"A" * 76 + b"\n"
    with path.open("wb") as file:
        file.write(b"From a@example.org Mon May 04 10:00:00 2020\nFrom: a@example.org\nSubject: large\n\n")
        for _ in range(octets // (len(line) * 1000)):
            file.write(line * 1000)
        file.write(b"\n")


def write_mbox(path: Path, octets: int, seed: int = 1) -> int:
    """Messages of 4 kB to 1 MB until the file has ``octets``; returns how many."""
    chance = random.Random(seed)
    block = bytes(chance.choice(b"abcdefghijklmnopqrstuvwxyz     ") for _ in range(1 << 20))
    number = 0
    with path.open("wb") as file:
        while file.tell() < octets:
            size = chance.choice((4_000,) * 14 + (50_000,) * 5 + (1_000_000,))
            start = chance.randrange(len(block) - 80)
            body = b"\n".join(block[at : at + 75] for at in range(start, min(start + size, len(block)), 75))
            file.write(
                b"From a@example.org Mon May 04 10:00:00 2020\n"
                b"From: a@example.org\nSubject: %d\nMessage-ID: <%d@example.org>\nStatus: RO\n\n%s\n\n"
                % (number, number, body)
            )
            number += 1
    return number


def migrate(mbox: Path, dovecot: Dovecot, user: str) -> tuple[float, float, dict[str, int]]:
    """(peak MB, seconds, counts) of one migration in a process of its own."""
    command = [
        *(sys.executable, "-m", "pop2imap", "migrate", f"mbox:{mbox}"),
        f"imaps://{user}@localhost:{dovecot.imaps_port}",
        *(
            "--target-ca",
            str(dovecot.ca_file),
            "--state-dir",
            str(mbox.parent / "state"),
            "--json",
            "--quiet",
        ),
    ]
    began = time.monotonic()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, env={**os.environ, "POP2IMAP_TARGET_PASSWORD": PASSWORD}
    )
    assert process.stdout is not None
    document = json.loads(process.stdout.read())
    process.stdout.close()
    _pid, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"migration ended with {process.returncode}: {document}")
    return usage.ru_maxrss / 1000, time.monotonic() - began, document["counts"]


def main() -> None:
    parser = argparse.ArgumentParser(description="Peak memory of a migration.")
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument(
        "--directory", type=Path, default=None, help="where to put the mail (default: temporary)"
    )
    options = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="p2i-memory-", dir=options.directory))
    dovecot = Dovecot()
    print(
        f"machine: {os.cpu_count()} cores, Python {sys.version.split()[0]}, pages of {resource.getpagesize()}"
    )
    within = True
    try:
        for name, octets in (("one message of 100 MB", 100_000_000), ("mbox", int(options.gigabytes * 1e9))):
            mbox = place / "mail.mbox"
            if name == "mbox":
                name = f"mbox of {octets / 1e9:.1f} GB, {write_mbox(mbox, octets):,} messages"
            else:
                write_large_message(mbox, octets)
            user = dovecot.user()
            peak, seconds, counts = migrate(mbox, dovecot, user)
            rate = mbox.stat().st_size / 1e6 / seconds
            print(
                f"{name}: peak {peak:.0f} MB of {LIMIT_MB}; {seconds:.1f} s, {rate:.0f} MB/s, "
                f"stored {counts['stored']:,} of {counts['source']:,}"
            )
            within = within and peak <= LIMIT_MB and counts["stored"] == counts["source"]
            shutil.rmtree(dovecot.directory / "mail" / user)
    finally:
        dovecot.stop(purge=True)
        shutil.rmtree(place)
    raise SystemExit(0 if within else 1)


if __name__ == "__main__":
    main()
