"""What IMAP shows of messages, and the first differences between two lots of them, small enough to read."""

from __future__ import annotations

import re
from collections import Counter
from datetime import datetime

from tests.servers.server import Server
from tests.system import readback

Row = tuple[str, bytes, frozenset[str], datetime]
"""(mailbox, octets, flags, date)."""


def found_in(server: Server, user: str) -> Counter[Row]:
    """Everything that the account holds."""
    return Counter((one.folder, one.octets, one.flags, one.date) for one in readback.messages(server, user))


def explain(missing: Counter[Row], surplus: Counter[Row]) -> str:
    """Each expected message beside the one that is most like it."""
    found = {_core(row[1]): row for row in surplus}
    lines = [f"{sum(missing.values())} missing"]
    for row in list(missing)[:8]:
        lines.append(f"expected {_shown(row, row)}")
        other = found.get(_core(row[1]))
        lines.append(f"   found {_shown(other, row)}" if other else "   nothing like it")
    return "\n".join(lines)


def _core(octets: bytes) -> bytes:
    return re.sub(rb"[\r\nX\0\x80-\xff]", b"", octets)


def _shown(row: Row, other: Row) -> str:
    at = next((i for i, (a, b) in enumerate(zip(row[1], other[1], strict=False)) if a != b), -60)
    return f"{row[0]} {sorted(row[2])} {row[3]} {len(row[1])} octets, {row[1][max(at - 30, -90) :][:90]!r}"
