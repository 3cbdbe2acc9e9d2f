"""The whole thing on sample mail, with servers of its own: no root, no account, nothing leaves this machine.

The demo starts a POP3 server and an IMAP server on loopback, writes sample mail and rules into a directory, and
then runs the very commands that a person would type, each printed before its output: ``plan``, ``migrate`` from
POP3, ``migrate`` from an mbox file, and both again. At last it reads the IMAP account back, without the code that
filled it, and compares it message for message with what should be there.

Theory of operation. Servers and commands are child processes in sessions of their own, so that Ctrl-C at the
terminal reaches this process alone. It passes the signal on to the command under way, which finishes what it is
at and says how to resume; then the servers end, and the directory goes.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from pop2imap.demo import listing, mail, servers
from pop2imap.errors import ExitCode, LocalIOError, UsageError

Echo = Callable[[str], None]

_USERS = "alice", "alice.new"
_MBOX = "old-mail.mbox"


def run(dovecot: bool, keep: Path | None, echo: Echo) -> int:
    """Show everything, each line through ``echo``. Returns the exit code: 0 if every message ended where it
    should, 4 if not, 130 if interrupted, or that of a command that ended otherwise than it should have.

    ``dovecot``: with a real Dovecot, which must be installed, instead of the embedded servers. ``keep``: a
    directory, new or empty, that gets all files and stays. Raises UsageError, HostUnavailable, LocalIOError.
    """
    try:
        with _interruptible(), _directory(keep) as directory:
            return _show(servers.dovecot if dovecot else servers.embedded, directory, echo)
    except KeyboardInterrupt:
        echo("\nInterrupted; the servers of the demo have ended.")
        return ExitCode.INTERRUPTED
    finally:
        if keep:
            echo(f"Everything is in {keep}.")


@contextmanager
def _interruptible() -> Iterator[None]:
    """SIGINT and SIGTERM are KeyboardInterrupt, so that what was started is ended. What is ignored stays so."""
    before = {}
    with suppress(ValueError):  # not the main thread, which alone gets signals
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _directory(keep: Path | None) -> Iterator[Path]:
    try:
        if keep is None:
            with TemporaryDirectory(prefix="pop2imap-demo-") as directory:
                yield Path(directory)
            return
        keep.mkdir(parents=True, exist_ok=True)
        if any(keep.iterdir()):
            raise UsageError("the directory to keep the demo's files in is not empty", where=str(keep))
        yield keep.absolute()
    except OSError as fault:
        raise LocalIOError(fault.strerror or str(fault), where=str(fault.filename or keep)) from fault


def _show(
    serve: Callable[[Path, tuple[str, str], Path], servers.Serving], directory: Path, echo: Echo
) -> int:
    now = datetime.now(UTC).replace(microsecond=0)
    maildrop, mbox = mail.maildrop(now), mail.mbox(now)
    mail.write_maildrop(maildrop, directory / "maildrop")
    mail.write_mbox(mbox, directory / _MBOX)
    (directory / "rules.toml").write_text(mail.RULES, encoding="utf-8")
    with serve(directory / "maildrop", _USERS, directory) as (pop3, imap):
        source, target = pop3.url("pop3"), imap.url("imap")
        echo(f"POP3 server: {pop3.what}, {source}, {len(maildrop)} messages")
        echo(f"mbox file:   {_MBOX}, {len(mbox)} messages")
        echo(f"IMAP server: {imap.what}, {target}, empty")
        echo(
            "Both servers are on this machine, for this demo alone, with passwords made for it. The commands"
        )
        echo("get them from the environment, in POP2IMAP_SOURCE_PASSWORD and POP2IMAP_TARGET_PASSWORD.")
        _title("The rules: rules.toml", echo)
        for line in mail.RULES.splitlines():
            echo(f"  {line}")
        commands = _Commands(directory, pop3.password, imap.password, echo)
        options = ("--rules", "rules.toml", "--state-dir", "state")
        # One message of the maildrop cannot be read by its own server: the runs that read it end with 3.
        for title, expected, words in (
            ("The plan: what would happen", ExitCode.INCOMPLETE, ("plan", source, target)),
            ("From POP3", ExitCode.INCOMPLETE, ("migrate", source, target)),
            ("From the mbox file", ExitCode.OK, ("migrate", f"mbox:{_MBOX}", target)),
            ("Both again: nothing moves", ExitCode.INCOMPLETE, ("migrate", source, f"mbox:{_MBOX}", target)),
        ):
            _title(title, echo)
            if (code := commands.run(*words, *options)) != expected:
                echo(f"The demo expected exit code {expected.value}.")
                return code or ExitCode.DIFFERENT
        _title("The account, read back over IMAP", echo)
        stored = listing.read(imap)
    for line in listing.lines(stored):
        echo(line)
    return _verdict(listing.differences([*maildrop, *mbox], stored), len(stored), echo)


def _title(text: str, echo: Echo) -> None:
    echo("")
    echo(f"== {text} ==")


def _verdict(differences: list[str], stored: int, echo: Echo) -> int:
    echo("")
    if differences:
        echo("The account is not as it should be:")
        for line in differences:
            echo(f"  {line}")
        return ExitCode.DIFFERENT
    echo(f"All {stored} messages are where they should be, octet for octet, each once.")
    return ExitCode.OK


@dataclass(frozen=True, slots=True)
class _Commands:
    """Runs pop2imap's own commands in ``directory``."""

    directory: Path
    source_password: str
    target_password: str
    echo: Echo

    def run(self, *words: str) -> int:
        """Print the command, relay what it says line by line, and return its exit code."""
        self.echo(f"$ {shlex.join(('pop2imap', *words))}")
        kept = ("POP2IMAP_DEBUG",)  # the others would change what is shown
        environment = {k: v for k, v in os.environ.items() if k in kept or not k.startswith("POP2IMAP_")}
        process = subprocess.Popen(
            [sys.executable, "-m", "pop2imap", *words],
            cwd=self.directory,
            env=environment
            | {
                "POP2IMAP_SOURCE_PASSWORD": self.source_password,
                "POP2IMAP_TARGET_PASSWORD": self.target_password,
                "PYTHONUTF8": "1",
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            encoding="utf-8",
            errors="replace",
        )
        with process:
            try:
                self._relay(process)
            except KeyboardInterrupt:
                process.send_signal(signal.SIGINT)
                self._relay(process)
                raise
            except BaseException:
                process.kill()
                raise
        self.echo(f"(exit code {process.returncode})")
        return process.returncode

    def _relay(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout
        for line in process.stdout:
            self.echo(line.rstrip("\n"))
