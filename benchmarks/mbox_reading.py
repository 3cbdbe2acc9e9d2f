"""Speed and peak memory of the mbox source alone: ``python -m benchmarks.mbox_reading [MiB]``.

Writes an mbox of that size (default 2048 MiB, one message of it 100 MiB) to a temporary file, lists it, reads
every message of it, and prints what it took. Exits 1 if the peak is above 150 MiB.
"""

from __future__ import annotations

import random
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import IO

from pop2imap.sources.mbox import MboxSource

MEBI = 1 << 20
LARGE = 100 * MEBI
LIMIT = 150
LINE = b"All work and no play makes Jack a dull boy, said Alice, and turned a page.\n"
HEAD = (
    b"Received: from mail.example.org (mail.example.org [192.0.2.1])\n\tby mx.example.com with ESMTP id abcdef\n"
    b"\tfor <alice@example.com>; Mon, 1 Jan 2018 10:00:00 +0000\nFrom: Bob <bob@example.org>\n"
    b"To: alice@example.com\nStatus: RO\nSubject: number "
)


def write(file: IO[bytes], size: int) -> int:
    """A generated mbox of ``size`` octets, mean 64 kB a message; returns how many messages."""
    rng = random.Random(1)
    lines = LINE * (4 * MEBI // len(LINE))
    written = messages = 0
    while written < size:
        messages += 1
        file.write(b"From bob@example.org Mon Jan  1 10:00:00 2018\n%b%d\n\n" % (HEAD, messages))
        body = min(LARGE, size) if messages == 10 else int(rng.expovariate(1 / 64_000))
        for start in range(0, body, len(lines)):
            file.write(lines[: min(len(lines), body - start)])
        file.write(b"\n\n")
        written = file.tell()
    return messages


def main() -> int:
    size = int(sys.argv[1] if len(sys.argv) > 1 else 2048) * MEBI
    with tempfile.NamedTemporaryFile(suffix=".mbox") as file:
        messages = write(file, size)
        file.flush()
        source = MboxSource(Path(file.name))
        source.open()
        started = time.perf_counter()
        refs = source.list().refs
        listed = time.perf_counter() - started
        assert len(refs) == messages
        octets = 0
        started = time.perf_counter()
        for ref in refs:
            for item in source.read([ref]):
                octets += getattr(item, "size", 0)
        read = time.perf_counter() - started
        source.close(settled=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{messages:,} messages, {size / MEBI:,.0f} MiB, one of them {min(LARGE, size) / MEBI:,.0f} MiB")
    print(f"listing: {listed:.1f} s, {size / 1e6 / listed:,.0f} MB/s")
    print(f"reading: {read:.1f} s, {octets / 1e6 / read:,.0f} MB/s")
    print(f"peak memory: {peak:.0f} MiB, limit {LIMIT} MiB")
    return peak > LIMIT


if __name__ == "__main__":
    sys.exit(main())
