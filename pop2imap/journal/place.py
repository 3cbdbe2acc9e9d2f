"""Where a journal lies on this machine: its directory, who may read it, and the lock.

::

    STATE/targets/alice@imap.example-993-1f3a…/    0700, ours
        journal.db   journal.db-wal   journal.db-shm   0600
        mark   digest                                  0600; witnesses of what was written
        lock                                           0600; held with flock while a run is under way
        spool/                                         0700; large messages on their way, in files without a name
        listings/                                      0700; what sources know of files, 0600

No name here comes from mail or from a server's answers, nothing is followed that somebody else could have put
there. The time stamp of ``lock`` says when a run was last alive, its content which process that is.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from pop2imap.errors import JournalLocked, LocalIOError
from pop2imap.text import printable

TARGETS = "targets"
DATABASE = "journal.db"
LOCK = "lock"
SPOOL = "spool"
LISTINGS = "listings"
"""The directory in which sources keep what they know of files: nothing but time is lost with it."""

ELSEWHERE = "choose another place with --state-dir"

_READABLE = 60
"""Characters of an identity that go into the name of its directory."""


def directory(state_dir: Path, identity: str) -> Path:
    """Where the journal of this target lies, whether it exists or not."""
    readable = re.sub(r"[^A-Za-z0-9@._+-]+", "-", identity).strip("-.")[:_READABLE]
    digest = hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return state_dir / TARGETS / (f"{readable}-{digest}" if readable else digest)


@contextlib.contextmanager
def disk_errors(where: Path) -> Iterator[None]:
    """Trouble with files, in words."""
    try:
        yield
    except OSError as error:
        todo = {
            errno.ENOSPC: f"free some space there, or {ELSEWHERE}",
            errno.EDQUOT: f"free some space there, or {ELSEWHERE}",
            errno.EROFS: ELSEWHERE,
            errno.EACCES: f"make it writable for you, or {ELSEWHERE}",
            errno.EPERM: f"make it writable for you, or {ELSEWHERE}",
        }.get(error.errno or 0, ELSEWHERE)
        raise LocalIOError(
            f"cannot keep a journal there: {error.strerror or error}", where=printable(str(where)), todo=todo
        ) from error


def make(state_dir: Path, identity: str) -> Path:
    """The directory of this journal, made if it was missing, with its spool directory, which is emptied.

    Raises LocalIOError if it cannot be made, or if others could put things into it.
    """
    place = directory(state_dir, identity)
    with disk_errors(state_dir):
        _make_state_dir(state_dir)
        for path in (place.parent, place, place / SPOOL):
            _make_ours(path)
    return place


def _make_state_dir(state_dir: Path) -> None:
    missing = [path for path in (state_dir, *state_dir.parents) if not path.exists()]
    if state_dir.is_symlink():
        if missing:
            _refuse(state_dir, "it is a symbolic link that leads nowhere")
        if os.lstat(state_dir).st_uid not in {0, os.geteuid()}:
            _refuse(state_dir, "it is a symbolic link that belongs to somebody else")
    for path in reversed(missing):
        path.mkdir(mode=0o700, exist_ok=True)
    real = state_dir.resolve(strict=True)
    if not real.is_dir():
        _refuse(state_dir, "it is not a directory")
    if os.geteuid() not in {0, real.stat().st_uid}:
        _refuse(state_dir, "it belongs to somebody else")
    for path in (real, *real.parents):
        mode = path.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            _refuse(path, "everybody may write there, so nothing in it is safe")


def _make_ours(path: Path) -> None:
    """A directory that is ours alone."""
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode):
        _refuse(path, "it is not a directory, but must be one")
    if found.st_uid != os.geteuid():
        _refuse(path, "it belongs to somebody else")
    if found.st_mode & 0o077:
        path.chmod(0o700)


def _refuse(path: Path, why: str) -> None:
    raise LocalIOError(f"no journal is kept there: {why}", where=printable(str(path)), todo=ELSEWHERE)


def empty_spool(place: Path) -> None:
    """Remove what a crash may have left in the spool directory. Only under the lock."""
    with disk_errors(place):
        for path in (place / SPOOL).iterdir():
            with contextlib.suppress(OSError):
                path.unlink()


def claim_file(path: Path) -> None:
    """Make ``path`` a regular file that only we can read, before anything else opens it by name. The files that
    SQLite puts beside a database get the mode of the database."""
    with disk_errors(path):
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode):
                _refuse(path, "it is not a plain file")
            if found.st_mode & 0o077:
                os.fchmod(fd, 0o600)
        finally:
            os.close(fd)


def sync(*paths: Path) -> None:
    """Make new names in these directories durable."""
    for path in paths:
        with disk_errors(path):
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)


class Lock:
    """The lock of one journal, held from the making of this object until ``release``.

    Raises JournalLocked if another process (or another journal of this one) holds it.
    """

    def __init__(self, path: Path) -> None:
        with disk_errors(path):
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with disk_errors(path):
                self._last_alive = self._take(path)
        except BaseException:
            os.close(self._fd)
            raise

    def _take(self, path: Path) -> datetime | None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = _pid(self._fd)
            raise JournalLocked(
                f"another run is at work on this account{f': process {pid}' if pid else ''}",
                where=printable(str(path.parent)),
                todo="wait until it has ended, or end it; nothing is lost by that",
            ) from None
        found = os.fstat(self._fd)
        # a lock file without content was never held: its time stamp tells of nobody's life
        last_alive = datetime.fromtimestamp(found.st_mtime, UTC) if found.st_size else None
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)
        return last_alive

    @property
    def last_alive(self) -> datetime | None:
        """When its holder before was last alive, or None if nobody knows."""
        return self._last_alive

    def touch(self) -> None:
        """Say that the holder is alive."""
        if self._fd < 0:
            return
        with contextlib.suppress(OSError):  # then the fence is a little shorter; no reason to end a run
            os.utime(self._fd)

    def release(self) -> None:
        """Give it up, saying so in the file. Never raises; the second time does nothing."""
        fd, self._fd = self._fd, -1  # the number may be somebody else's soon
        if fd < 0:
            return
        with contextlib.suppress(OSError):
            os.pwrite(fd, b"-", 0)
        with contextlib.suppress(OSError):
            os.close(fd)


def _pid(fd: int) -> int | None:
    content = os.pread(fd, 32, 0)
    return int(content) if re.fullmatch(rb"[0-9]+\n", content) else None


def holder(place: Path) -> tuple[int | None, datetime | None]:
    """Who seems to be at work there, for people: the process (None: nobody), and when it was last alive. Asks
    without taking the lock, so a process that happens to have the number of a dead one counts as alive."""
    try:
        fd = os.open(place / LOCK, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None, None
    try:
        pid = _pid(fd)
        last_alive = datetime.fromtimestamp(os.fstat(fd).st_mtime, UTC)
    except OSError:
        return None, None
    finally:
        os.close(fd)
    if pid is not None:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            pid = None
        except OSError:  # it lives, and belongs to somebody else
            pass
    return pid, last_alive
