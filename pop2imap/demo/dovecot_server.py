"""A private Dovecot for ``demo --dovecot``: POP3 and IMAP, as a child process of the demo.

Started as ``python -m pop2imap.demo.dovecot_server MAILDROP POP3_USER IMAP_USER``; the line on its standard input
holds the passwords of both, and ``ready`` is followed by the POP3 and the IMAP port. See
:mod:`pop2imap.demo.servers` for the rest of how such a child is spoken to.

Nothing of the system's own Dovecot is read, used or changed. Everything lies in a directory below the temporary
one and goes with it. Dovecot does not serve mail as root, so root's demo runs it as ``nobody``. Dovecot binds its
ports itself; if another program is quicker, other ports are tried.
"""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

_HOST = "127.0.0.1"
_ATTEMPTS = 5
_PATIENCE = 10.0  # seconds for Dovecot to start or to end

_COMMON = """\
base_dir = {home}/base
state_dir = {home}/state
log_path = {home}/dovecot.log
instance_name = pop2imap-demo
listen = {host}
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
auth_mechanisms = plain login
ssl = no
namespace inbox {{
  inbox = yes
  separator = /
  mailbox Entwürfe {{
    auto = subscribe
    special_use = \\Drafts
  }}
  mailbox Gesendet {{
    auto = subscribe
    special_use = \\Sent
  }}
  mailbox Papierkorb {{
    auto = subscribe
    special_use = \\Trash
  }}
}}
service anvil {{
  chroot =
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service pop3-login {{
  chroot =
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
"""

_SETTINGS_2_3 = """\
protocols = imap pop3
mail_location = maildir:{home}/mail/%u:LAYOUT=fs
disable_plaintext_auth = no
passdb {{
  driver = passwd-file
  args = {home}/users
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={home}/home/%u
}}
"""

_SETTINGS_2_4 = """\
dovecot_config_version = 2.4.0
dovecot_storage_version = 2.4.0
protocols {{
  imap = yes
  pop3 = yes
}}
mail_driver = maildir
mailbox_list_layout = fs
mail_path = {home}/mail/%{{user}}
auth_allow_cleartext = yes
passdb passwd-file {{
  passwd_file_path = {home}/users
}}
userdb static {{
  fields {{
    uid = {uid}
    gid = {gid}
    home = {home}/home/%{{user}}
  }}
}}
"""


@contextmanager
def _dovecot(maildrop: Path, users: dict[str, str]) -> Iterator[tuple[int, int]]:
    """A running Dovecot in a home of its own: its POP3 and IMAP ports. ``users`` maps names to passwords; the
    first one owns the maildrop. Raises OSError or RuntimeError if it does not start."""
    binary = shutil.which("dovecot", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if not binary:
        raise RuntimeError("Dovecot is not installed (on Debian and Ubuntu: dovecot-imapd and dovecot-pop3d)")
    account = pwd.getpwnam("nobody") if os.getuid() == 0 else pwd.getpwuid(os.getuid())
    home = Path(mkdtemp(prefix="pop2imap-dovecot-"))
    try:
        for folder in ("base", "home", "mail", "state"):
            (home / folder).mkdir()
        with open(home / "users", "x", opener=lambda path, flags: os.open(path, flags, 0o600)) as passwd:
            passwd.writelines(f"{user}:{{PLAIN}}{password}\n" for user, password in users.items())
        _deliver(maildrop, home / "mail" / next(iter(users)))
        _own(home, account)
        process, ports = _serving(binary, home, account)
        try:
            yield ports
        finally:
            _end(process)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _serving(
    binary: str, home: Path, account: pwd.struct_passwd
) -> tuple[subprocess.Popen[bytes], tuple[int, int]]:
    for _ in range(_ATTEMPTS):
        ports = _free_ports()
        process = _start(binary, home, account, ports)
        deadline = time.monotonic() + _PATIENCE
        while process.poll() is None and time.monotonic() < deadline:
            if all(map(_answers, ports)):
                return process, ports
            time.sleep(0.05)
        _end(process)
    log = home / "dovecot.log"
    said = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    raise RuntimeError(f"Dovecot did not start: {said[-1] if said else 'it said nothing'}")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _deliver(maildrop: Path, maildir: Path) -> None:
    """The messages of ``maildrop`` as new mail, in order; a damaged one is a file that nobody may read."""
    for folder in ("cur", "new", "tmp"):
        (maildir / folder).mkdir(parents=True)
    for number, file in enumerate(sorted(maildrop.iterdir())):
        size = file.stat().st_size
        there = maildir / "new" / f"{1_000_000_000 + number}.{number}.demo,S={size},W={size}"
        shutil.copyfile(file, there)
        if file.suffix == ".damaged":
            there.chmod(0)


def _own(home: Path, account: pwd.struct_passwd) -> None:
    if os.getuid() == 0:
        for path in (home, *home.rglob("*")):
            os.chown(path, account.pw_uid, account.pw_gid)


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as two:
        for each in (one, two):
            each.bind((_HOST, 0))
        return one.getsockname()[1], two.getsockname()[1]


def _answers(port: int) -> bool:
    try:
        with socket.create_connection((_HOST, port), timeout=_PATIENCE) as connection:
            return bool(connection.recv(1))
    except OSError:
        return False


def _start(
    binary: str, home: Path, account: pwd.struct_passwd, ports: tuple[int, int]
) -> subprocess.Popen[bytes]:
    answer = subprocess.run([binary, "--version"], capture_output=True, check=True, text=True).stdout
    settings = _SETTINGS_2_3 if answer.startswith("2.3") else _SETTINGS_2_4
    config = home / "dovecot.conf"
    config.write_text(
        (settings + _COMMON).format(
            home=home,
            host=_HOST,
            user=account.pw_name,
            group=grp.getgrgid(account.pw_gid).gr_name,
            uid=account.pw_uid,
            gid=account.pw_gid,
            pop3=ports[0],
            imap=ports[1],
        ),
        encoding="utf-8",
    )
    command = [binary, "-F", "-c", str(config)]
    if os.getuid() == 0:
        return subprocess.Popen(command, user=account.pw_uid, group=account.pw_gid, extra_groups=[])
    return subprocess.Popen(command)


def main() -> None:
    maildrop, *users = sys.argv[1:]
    passwords = sys.stdin.readline().split()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    try:
        with _dovecot(Path(maildrop), dict(zip(users, passwords, strict=True))) as ports:
            print("ready", *ports, flush=True)  # noqa: T201
            sys.stdin.read()  # until the demo is over
    except (OSError, RuntimeError, subprocess.SubprocessError) as fault:
        sys.exit(str(fault))


if __name__ == "__main__":
    main()
