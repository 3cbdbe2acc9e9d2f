"""What goes wrong is one clear line on standard error, with the exit code that the documentation names.

Never a traceback, and never a password: not in the output, not in a log, not in the journal.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import DovecotFactory
from tests.fakes.pop3_server import CERTIFICATE, Maildrop, Pop3Server
from tests.servers.dovecot import Dovecot
from tests.system import readback
from tests.system.program import Ran, run

SECRET = "hunter2-never-shown"

MBOX = "".join(
    f"From bob@example.org Mon May 04 10:00:{n:02} 2020\nFrom: bob@example.org\nSubject: {n}\n\nbody {n}\n\n"
    for n in range(5)
)


@pytest.fixture
def home() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="p2i-faults-"))
    (path / "mail.mbox").write_text(MBOX)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def target(dovecot: Dovecot) -> list[str]:
    return [
        f"imaps://{dovecot.user()}@localhost:{dovecot.imaps_port}",
        "--target-ca",
        str(dovecot.ca_file),
        "--fence",
        "0",
    ]


def check_clean(home: Path, ran: Ran, code: int, *words: str) -> None:
    """The exit code, a first line that says all of ``words``, and no secret anywhere."""
    shown = ran.out + ran.err
    assert ran.code == code, shown
    assert "Traceback" not in shown
    line = next((line for line in ran.err.splitlines() if line.startswith("pop2imap: ")), "")
    assert line, f"no line that says what is wrong:\n{ran.err}"
    missing = [word for word in words if word.lower() not in ran.err.lower()]
    assert not missing, f"{missing} not in: {ran.err}"
    assert SECRET not in shown
    for path in home.rglob("*"):
        if path.is_file() and path.name != "password":
            assert SECRET.encode() not in path.read_bytes(), path


def test_wrong_password_at_the_target(home: Path, target: list[str]) -> None:
    ran = run(home, "migrate", "mail.mbox", *target, POP2IMAP_TARGET_PASSWORD=SECRET)
    check_clean(home, ran, 77, "localhost", "login", "refused")


def test_wrong_password_at_the_source(home: Path, dovecot: Dovecot, target: list[str]) -> None:
    source = f"pop3s://{dovecot.user()}@localhost:{dovecot.pop3s_port}"
    ran = run(
        home,
        "migrate",
        source,
        *target,
        "--source-ca",
        str(dovecot.ca_file),
        POP2IMAP_SOURCE_PASSWORD=SECRET,
    )
    check_clean(home, ran, 77, "localhost", "login", "refused")


def test_unknown_host(home: Path) -> None:
    ran = run(home, "migrate", "mail.mbox", "imaps://bob@no-such-host.invalid")
    check_clean(home, ran, 69, "no-such-host.invalid", "unknown host")


def test_nothing_listens(home: Path) -> None:
    ran = run(home, "migrate", "mail.mbox", "imap://bob@127.0.0.1:1")
    check_clean(home, ran, 69, "127.0.0.1:1", "refused")


def test_tls_where_clear_text_is_spoken(home: Path, dovecot: Dovecot) -> None:
    ran = run(home, "migrate", "mail.mbox", f"imaps://bob@127.0.0.1:{dovecot.imap_port}")
    check_clean(home, ran, 69, "127.0.0.1", "check the port")


def test_pop3_and_imap_mixed_up(home: Path, dovecot: Dovecot, target: list[str]) -> None:
    ran = run(home, "migrate", "mail.mbox", f"imap://bob@127.0.0.1:{dovecot.pop3_port}")
    check_clean(home, ran, 69, "127.0.0.1", "IMAP")
    ran = run(home, "migrate", f"pop3://bob@127.0.0.1:{dovecot.imap_port}", *target)
    check_clean(home, ran, 69, "127.0.0.1", "POP3")


def test_refused_certificate(home: Path, dovecot: Dovecot) -> None:
    target = f"imaps://{dovecot.user()}@localhost:{dovecot.imaps_port}"
    ran = run(home, "migrate", "mail.mbox", target)
    check_clean(home, ran, 69, "localhost", "certificate", "--target-ca")


def test_missing_stls(home: Path, target: list[str]) -> None:
    with Pop3Server(Maildrop(capabilities=("USER", "UIDL"))) as server:
        ran = run(
            home,
            "migrate",
            f"pop3+starttls://alice@127.0.0.1:{server.port}",
            *target,
            "--source-ca",
            str(CERTIFICATE),
            POP2IMAP_SOURCE_PASSWORD=SECRET,
        )
        commands = [command for session in server.wait() for command in session.commands]
    check_clean(home, ran, 69, "127.0.0.1", "STLS")
    assert not [command for command in commands if command.startswith(("USER", "PASS", "AUTH"))]


def test_locked_maildrop(home: Path, target: list[str]) -> None:
    locked = Maildrop(answers={"PASS": b"-ERR [IN-USE] somebody else reads it\r\n"})
    with Pop3Server(locked) as server:
        source = f"pop3://alice@127.0.0.1:{server.port}"
        ran = run(home, "migrate", source, *target, POP2IMAP_SOURCE_PASSWORD=SECRET)
    check_clean(home, ran, 75, "127.0.0.1", "again")


def test_full_quota(home: Path, dovecot_like: DovecotFactory) -> None:
    small = dovecot_like(QUOTA="40k")
    user = small.user()
    (home / "mail.mbox").write_text(
        MBOX + MBOX.replace("body", "x" * 70 + "\n" * 2 + ("y" * 70 + "\n") * 500)
    )
    target = f"imaps://{user}@localhost:{small.imaps_port}"
    ran = run(home, "migrate", "mail.mbox", target, "--target-ca", str(small.ca_file), "--fence", "0")
    check_clean(home, ran, 75, "quota")
    stored = sum(readback.folders(small, user).values())
    assert 0 < stored < 10
    assert f"{stored:,}" in ran.out
    assert "safe to delete the source: no" in ran.out


def test_missing_file(home: Path, target: list[str]) -> None:
    check_clean(home, run(home, "migrate", "no-such.mbox", *target), 65, "no-such.mbox")


def test_a_file_that_is_no_mbox(home: Path, target: list[str]) -> None:
    (home / "photo.mbox").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(1000))
    check_clean(home, run(home, "migrate", "mbox:photo.mbox", *target), 65, "photo.mbox")


def test_bad_rules_file(home: Path, target: list[str]) -> None:
    (home / "rules.toml").write_text(
        'version = 1\n[[rule]]\nname = "one"\nwhen = { form = "x" }\nthen = { folder = "A" }\n'
        '[[rule]]\nname = "two"\nthen = { mark = "red" }\n'
    )
    ran = run(home, "migrate", "mail.mbox", *target, "--rules", "rules.toml")
    check_clean(home, ran, 78, "rules.toml:4", "one", "from", "rules.toml:8", "two", "red")


def test_password_in_a_url(home: Path, dovecot: Dovecot) -> None:
    target = f"imaps://bob:{SECRET}@localhost:{dovecot.imaps_port}"
    check_clean(home, run(home, "migrate", "mail.mbox", target), 2, "password", "change")


def test_the_spelling_of_another_tool(home: Path) -> None:
    ran = run(home, "migrate", "--host1", "a.example", "--password1", SECRET, "--host2", "b.example")
    check_clean(home, ran, 2, "pop3s://", "imaps://")
    assert len(ran.err.strip().splitlines()) <= 2


def test_corrupt_journal(home: Path, target: list[str]) -> None:
    assert run(home, "migrate", "mail.mbox", *target).code == 0
    (journal,) = home.glob("state/targets/*/journal.db")
    octets = bytearray(journal.read_bytes())
    octets[: len(octets) // 2] = b"\xa5" * (len(octets) // 2)
    journal.write_bytes(octets)
    check_clean(home, run(home, "migrate", "mail.mbox", *target), 74, "journal.db", "damaged")


def test_another_run_holds_the_account(home: Path, target: list[str]) -> None:
    import fcntl

    assert run(home, "migrate", "mail.mbox", *target).code == 0
    (lock,) = home.glob("state/targets/*/lock")
    with lock.open("r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        check_clean(home, run(home, "migrate", "mail.mbox", *target), 75, "another")


def small_disk(home: Path, options: str) -> tuple[Path, list[str]]:
    """A place for a tiny file system of its own, and the command that runs another one with it mounted there: in
    a mount namespace, so that nothing is left behind, and in a user namespace where we are not root."""
    place = home / "small"
    place.mkdir()
    script = 'mount -t tmpfs -o "$1" tmpfs "$2" && shift 2 && exec "$@"'
    namespaces = "-m" if os.geteuid() == 0 else "-rm"
    within = ["unshare", namespaces, "sh", "-c", script, "sh", options, str(place)]
    if subprocess.run([*within, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody mount a file system in a namespace")
    return place, within


def test_full_disk(home: Path, target: list[str]) -> None:
    state, within = small_disk(home, "size=64k,mode=700")
    ran = run(home, "migrate", "mail.mbox", *target, "--state-dir", state, within=within)
    check_clean(home, ran, 74, "small", "space")


def test_disk_full_in_the_middle(home: Path, target: list[str]) -> None:
    """There is room for the journal, but not beside a large message; a run with more room goes on."""
    large = "From bob@example.org Mon May 04 10:00:00 2020\nSubject: large\n\n" + ("x" * 70 + "\n") * 60_000
    (home / "mail.mbox").write_text(MBOX + large)
    state, within = small_disk(home, "size=2m,mode=700")
    ran = run(home, "migrate", "mail.mbox", *target, "--state-dir", state, within=within)
    check_clean(home, ran, 74, "small", "space")
    assert "safe to delete the source: no" in ran.out
    assert run(home, "migrate", "mail.mbox", *target).code == 0


def test_read_only_state_directory(home: Path, target: list[str]) -> None:
    state, within = small_disk(home, "ro,mode=700")
    ran = run(home, "migrate", "mail.mbox", *target, "--state-dir", state, within=within)
    check_clean(home, ran, 74, "small", "read-only")
