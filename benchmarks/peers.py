"""What else moves mail from POP3 to IMAP, of what Debian has: how each is told of the two ends.

Each gets a configuration in its home that is as fast as its manual knows how, and leaves the maildrop as it was.
"""

from __future__ import annotations

import getpass
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.ends import Ends
from tests.servers.dovecot import unprivileged
from tests.servers.server import PASSWORD


@dataclass(frozen=True)
class Peer:
    """``command`` writes what the programs need into a home. ``targets``: kinds of servers; none: whatever it is."""

    name: str
    programs: tuple[str, ...]
    command: Callable[[Ends, Path], list[str | Path]]
    targets: tuple[str, ...] = ()

    @property
    def missing(self) -> str:
        """Which of its programs are not here, in words; empty if all are."""
        return ", ".join(program for program in self.programs if not shutil.which(program))


def _written(path: Path, text: str) -> Path:
    path.touch(0o600)
    path.write_text(text)
    return path


def mpop_and_mbsync(ends: Ends, home: Path) -> list[str | Path]:
    """Into a Maildir, and from there to the target: two programs, one after the other."""
    for name in ("cur", "new", "tmp"):
        (home / "Maildir" / name).mkdir(parents=True)
    source, target = ends.source, ends.target
    tls = f"tls on\ntls_starttls off\ntls_trust_file {source['ca']}" if "ca" in source else "tls off"
    mpop = _written(
        home / "mpoprc",
        f"account source\nhost localhost\nport {source['port']}\nuser {source['user']}\nauth user\n"
        f"passwordeval printenv POP2IMAP_SOURCE_PASSWORD\n{tls}\nkeep on\npipelining on\nreceived_header off\n"
        f"uidls_file {home}/uidls\ndelivery maildir {home}/Maildir\n",
    )
    tls = (
        f"SSLType IMAPS\nCertificateFile {target['ca']}"
        if "ca" in target
        else "SSLType None\nAuthMechs LOGIN"
    )
    mbsync = _written(
        home / "mbsyncrc",
        f"FSync no\nSyncState *\n\nIMAPAccount target\nHost localhost\nPort {target['port']}\nUser {target['user']}\n"
        f'PassCmd "printenv POP2IMAP_TARGET_PASSWORD"\n{tls}\n\nIMAPStore far\nAccount target\n\n'
        f"MaildirStore near\nInbox {home}/Maildir\n\nChannel move\nFar :far:\nNear :near:\nSync PushNew\n",
    )
    script = f"mpop -q -C '{mpop}' source && mbsync -q -c '{mbsync}' move"
    return ["sh", "-c", script]


def fdm(ends: Ends, home: Path) -> list[str | Path]:
    """Fetches and delivers one message at a time."""
    source, target = ends.source, ends.target
    kinds = ["s" if "ca" in end else "" for end in (source, target)]
    configuration = _written(
        home / "fdm.conf",
        f'set default-user "{getpass.getuser()}"\nset lock-file "{home}/lock"\nset maximum-size 1G\n'
        f'account "source" pop3{kinds[0]} server "localhost" port {source["port"]} user "{source["user"]}" '
        f'pass "{PASSWORD}"\naction "store" imap{kinds[1]} server "localhost" port {target["port"]} '
        f'user "{target["user"]}" pass "{PASSWORD}" folder "INBOX"\nmatch all action "store"\n',
    )
    return ["fdm", "-k", "-f", configuration, "fetch"]


def doveadm(ends: Ends, home: Path) -> list[str | Path]:
    """Dovecot's own way, which needs no IMAP: it reads the maildrop and writes into the mailbox."""
    source = ends.source
    tls = f"pop3c_ssl = pop3s\nssl_client_ca_file = {source['ca']}\n" if "ca" in source else ""
    home.chmod(0o755)
    configuration = _written(
        home / "dovecot.conf",
        f"!include {ends.server.directory}/dovecot.conf\npop3c_host = localhost\npop3c_port = {source['port']}\n"
        f"pop3c_user = {source['user']}\npop3c_password = {PASSWORD}\n{tls}mail_prefetch_count = 50\n",
    )
    configuration.chmod(0o644)
    words = ["doveadm", "-c", str(configuration), "backup", "-R", "-u", ends.target["user"], "pop3c:"]
    return [*unprivileged(), *words]


PEERS = (
    Peer("mpop, mbsync", ("mpop", "mbsync"), mpop_and_mbsync),
    Peer("fdm", ("fdm",), fdm),
    Peer("doveadm backup", ("doveadm",), doveadm, ("dovecot",)),
)
