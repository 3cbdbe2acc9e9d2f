"""A real Courier, from packages that were unpacked and not installed, in a mount namespace of its own."""

from __future__ import annotations

from tests.servers.server import FixedUsers


class Courier(FixedUsers):
    """Folders lie below ``INBOX.``; mail is kept in Maildirs: ``directory / "mail" / user / "Maildir"``."""

    kind = "courier"
    pid_file = "pid"
    logs = ("log/out", "log/auth", "log/imap", "log/imaps", "log/pop3", "log/pop3s")
