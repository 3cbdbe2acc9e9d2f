"""A disk that is full, at the start and in the middle of a run: it ends with 74, and goes on when there is room."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pop2imap import net
from pop2imap.errors import ExitCode
from tests.servers.dovecot import Dovecot
from tests.system.program import environment, run
from tests.system.test_verify import mbox

MAIL = [b"From: bob@example.org\nSubject: %d\n\nbody of %d\n" % (n, n) for n in range(600)]

IN_MEMORY = """
mount -t tmpfs -o size={size} none "$HOME/state" || exit 99
"$@" > first.json; echo $? > first.code
mount -o remount,size=32m "$HOME/state" || exit 99
"$@" > second.json; echo $? > second.code
"$@" > third.json; echo $? > third.code
"""
"""A small disk of one's own, which becomes larger after the first run."""

OWN_MOUNTS = (
    ("unshare", "--mount") if os.geteuid() == 0 else ("unshare", "--user", "--map-root-user", "--mount")
)


@pytest.fixture
def user(dovecot: Dovecot, tmp_path: Path) -> str:
    (tmp_path / "old.mbox").write_bytes(mbox(*MAIL))
    return dovecot.user()


def migrate(dovecot: Dovecot, user: str) -> tuple[str, ...]:
    return (
        "migrate",
        "old.mbox",
        f"imap://{user}@{dovecot.imap(net.Transport.CLEAR)}",
        "--json",
        "--fence",
        "1",
    )


def there(dovecot: Dovecot, user: str) -> list[int]:
    found = dovecot.doveadm("fetch", "-u", user, "hdr.subject", "mailbox", "INBOX").split()
    return sorted(int(word) for word in found if word.isdigit())


@pytest.mark.parametrize(
    ("size", "some"), [("12k", False), ("700k", True)], ids=["at the start", "in the middle"]
)
def test_a_full_disk_ends_the_run_and_the_next_one_goes_on(
    tmp_path: Path, dovecot: Dovecot, user: str, size: str, some: bool
) -> None:
    (tmp_path / "state").mkdir()
    program = (sys.executable, "-m", "pop2imap", *migrate(dovecot, user))
    done = subprocess.run(
        [*OWN_MOUNTS, "sh", "-c", IN_MEMORY.format(size=size), "sh", *program],
        cwd=tmp_path,
        env=environment(tmp_path),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    codes = [int((tmp_path / f"{name}.code").read_text()) for name in ("first", "second", "third")]
    assert codes == [ExitCode.LOCAL_IO, ExitCode.OK, ExitCode.OK], done.stderr
    first, second, third = (
        json.loads((tmp_path / f"{name}.json").read_text()) for name in ("first", "second", "third")
    )
    assert "free some space" in first["error"]
    assert any("had arrived" in remark for remark in second["remarks"]) is some
    assert second["counts"]["stored"] == len(MAIL)
    assert third["moved"]["messages"] == 0
    assert there(dovecot, user) == list(range(len(MAIL)))


def test_a_limit_on_files_is_no_less_clear(tmp_path: Path, dovecot: Dovecot, user: str) -> None:
    """Which a quota is, to SQLite: something that cannot be written, for a reason that it does not tell."""
    ran = run(tmp_path, *migrate(dovecot, user), within=("prlimit", "--fsize=400000"))
    assert ran.code == ExitCode.LOCAL_IO, ran.out + ran.err
    assert "quota" in ran.json["error"]
    assert 0 < len(there(dovecot, user)) < len(MAIL)
    ran = run(tmp_path, *migrate(dovecot, user))
    assert (ran.code, ran.json["counts"]["stored"]) == (ExitCode.OK, len(MAIL)), ran.out + ran.err
    assert there(dovecot, user) == list(range(len(MAIL)))


READ_ONLY = """
mount --bind "$HOME/state" "$HOME/state" && mount -o remount,bind,ro "$HOME/state" || exit 99
"$@"
"""
WITHOUT_PRIVILEGES = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
"""What a file's mode forbids is forbidden to root, too."""


@pytest.mark.parametrize(
    "how", ["a read-only file system", "a directory that we must not write to", "a file"]
)
def test_where_nothing_can_be_written_a_run_says_so_and_what_only_reads_still_works(
    tmp_path: Path, dovecot: Dovecot, user: str, how: str
) -> None:
    (tmp_path / "old.mbox").write_bytes(mbox(*MAIL[:5]))
    assert run(tmp_path, *migrate(dovecot, user)).code == ExitCode.OK
    (place,) = (tmp_path / "state" / "targets").iterdir()
    within: tuple[str, ...] = (*OWN_MOUNTS, "sh", "-c", READ_ONLY, "sh")
    if how != "a read-only file system":
        within = WITHOUT_PRIVILEGES
        (place if "directory" in how else place / "journal.db").chmod(0o500 if "directory" in how else 0o400)
    ran = run(tmp_path, *migrate(dovecot, user), within=within)
    assert ran.code == ExitCode.LOCAL_IO, ran.out + ran.err
    assert "--state-dir" in ran.json["error"]
    for command in (("status",), ("verify", "--json"), ("undo", "--dry-run", "--json")):
        ran = run(tmp_path, *command, within=within)
        assert ran.code == ExitCode.OK, ran.out + ran.err
    place.chmod(0o700)


def test_a_damaged_journal_is_named_by_all_and_used_by_none(
    tmp_path: Path, dovecot: Dovecot, user: str
) -> None:
    (tmp_path / "old.mbox").write_bytes(mbox(*MAIL[:5]))
    other = dovecot.user()
    for one in (other, user):
        assert run(tmp_path, *migrate(dovecot, one)).code == ExitCode.OK
    (path,) = (tmp_path / "state" / "targets").glob(f"{user}@*/journal.db")
    octets = bytearray(path.read_bytes())
    octets[octets.index(b"mbox:")] ^= 1
    path.write_bytes(octets)
    target = migrate(dovecot, user)[2]
    for command in (
        *(
            migrate(dovecot, user),
            ("plan", "old.mbox", target),
            ("verify", target),
            ("undo", target, "--yes"),
        ),
        *(("status",), ("trace", "abcdef")),
    ):
        ran = run(tmp_path, *command)
        assert ran.code == ExitCode.LOCAL_IO, ran.out + ran.err
        assert "the journal is damaged" in ran.err
        assert "pop2imap adopt" in ran.err
    assert f"target {other}@" in run(tmp_path, "status").out
    assert there(dovecot, user) == list(range(5))
    for left in path.parent.glob("journal.db*"):
        left.rename(tmp_path / left.name)
    ran = run(tmp_path, *migrate(dovecot, user))
    assert (ran.code, ran.json["counts"]["present"], ran.json["remarks"]) == (ExitCode.OK, 5, [])
    assert there(dovecot, user) == list(range(5))
