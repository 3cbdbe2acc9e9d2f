"""A real Cyrus, from packages that were unpacked and not installed."""

from __future__ import annotations

from tests.servers.server import FixedUsers


class Cyrus(FixedUsers):
    """``Cyrus(ALTNS="yes")`` shows folders beside INBOX, ``Cyrus()`` below it; ``UNIXSEP="no"`` separates by dots."""

    kind = "cyrus"
    pid_file = "master.pid"
    logs = ("master.log", "out.log")
    in_memory = True
