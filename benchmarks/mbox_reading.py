"""Speed and peak memory of the mbox source alone: ``python -m benchmarks.mbox_reading [MiB]``.

Writes an mbox of about that size (default 2048 MiB, one message of it 100 MiB) to a temporary file, lists it, reads
every message of it, and prints what it took. Exits 1 if the peak is above 150 MiB.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import corpus
from pop2imap.sources.mbox import MboxSource

MEBI = 1 << 20
LARGE = 100 * MEBI
LIMIT = 150
MEAN = 64_000
"""Octets of a message, about."""


def main() -> int:
    wanted = int(sys.argv[1] if len(sys.argv) > 1 else 2048) * MEBI
    count = max(0, wanted - LARGE) // MEAN
    with tempfile.NamedTemporaryFile(suffix=".mbox") as file:
        corpus.write_mbox(Path(file.name), corpus.messages(count, "mixed"), large=min(LARGE, wanted))
        size = Path(file.name).stat().st_size
        source = MboxSource(Path(file.name))
        source.open()
        started = time.perf_counter()
        refs = source.list().refs
        listed = time.perf_counter() - started
        assert len(refs) == count + 1
        octets = 0
        started = time.perf_counter()
        for ref in refs:
            for item in source.read([ref]):
                octets += getattr(item, "size", 0)
        read = time.perf_counter() - started
        source.close(settled=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{count + 1:,} messages, {size / MEBI:,.0f} MiB, one of them {min(LARGE, wanted) / MEBI:,.0f} MiB")
    print(f"listing: {listed:.1f} s, {size / 1e6 / listed:,.0f} MB/s")
    print(f"reading: {read:.1f} s, {octets / 1e6 / read:,.0f} MB/s")
    print(f"peak memory: {peak:.0f} MiB, limit {LIMIT} MiB")
    return peak > LIMIT


if __name__ == "__main__":
    sys.exit(main())
