"""Any octets at all, from one end of the program to the other: what a server gave, or a file held, is what the target
has.

The servers are those of the tests, which keep octets; what real servers make of them is in ``docs/quirks.md``.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, composite

from tests.fakes.imap_server import CAPABILITIES, PASSWORD, USER, ImapAccount, ImapServer
from tests.fakes.pop3_server import Maildrop, Pop3Server
from tests.system.program import run

FROM = b"From alice@example.com Mon May  4 10:00:00 2020\n"

PIECES = st.sampled_from(
    [b"\0", b"\r", b"\n", b"\r\n", b".", b"..", b"\r\n.", b"\r\n.\r\n", b"\n.\n", b"\r.\r", b"\xff", b"\x80", b"\x1a",
     b"From ", b">From ", b"\nFrom x Mon May  4 10:00:00 2020\n", b"+OK\r\n", b"-ERR\r\n", b"A1 OK done\r\n",
     b"{10}\r\n", b"{10+}\r\n", b"\x1b[2J", b"Subject: x\r\n", b"Status: RO\r\n", b"Content-Length: 3\r\n",
     b"\r\n\r\n"]
)  # fmt: skip
LONG = st.tuples(
    st.sampled_from([b"x", b"\0", b"\xff", b".", b"\r"]), st.sampled_from([998, 2049, 65_537, 100_000])
).map(lambda line: line[0] * line[1])


@composite
def messages(draw: DrawFn) -> list[bytes]:
    """Some mail of any octets, hardly any of which is well-formed."""
    octets = (
        st.lists(PIECES | st.binary(max_size=12) | LONG, min_size=1, max_size=12).map(b"".join).filter(len)
    )
    return draw(st.lists(octets, min_size=8, max_size=20))


def migrated(home: Path, source: str, target: ImapServer) -> None:
    """There and, with verify, back again: every octet is fetched and compared."""
    ends = [source, f"imap://{USER}@127.0.0.1:{target.port}"]
    for command in (["migrate", "--fence", "0", "--mark", "seen"], ["verify", "--full"]):
        ran = run(
            home, command[0], *ends, *command[1:], POP2IMAP_SOURCE_PASSWORD="secret", POP2IMAP_TARGET_PASSWORD=PASSWORD
        )  # fmt: skip
        assert ran.code == 0, f"{command}: {ran.out}{ran.err}"


@pytest.mark.parametrize("capabilities", [CAPABILITIES, "IMAP4rev1 AUTH=PLAIN"])
@settings(max_examples=2, derandomize=True, deadline=None, database=None)
@given(mail=messages(), pieces=st.sampled_from([None, 1021]))
def test_octets_come_from_pop3_as_they_are(capabilities: str, mail: list[bytes], pieces: int | None) -> None:
    account, home = ImapAccount(capabilities=capabilities), Path(tempfile.mkdtemp(prefix="p2i-octets-"))
    try:
        with ImapServer(account) as target, Pop3Server(Maildrop(mail, pieces=pieces)) as source:
            migrated(home, f"pop3://{USER}@127.0.0.1:{source.port}", target)
    finally:
        shutil.rmtree(home)
    # POP3 cannot say that a message has no line end at its end (RFC 1939 3)
    assert account.octets() == [one if one.endswith(b"\r\n") else one + b"\r\n" for one in mail]


@settings(max_examples=2, derandomize=True, deadline=None, database=None)
@given(mail=messages())
def test_octets_come_from_an_mbox_as_they_are(mail: list[bytes]) -> None:
    """Those that an mbox can hold: its line ends are LF and become CRLF, and a message ends with one."""
    held = [b"Subject: x\n\n" + one.replace(b"\r", b"") for one in mail]
    held = [one if one.endswith(b"\n") else one + b"\n" for one in held]
    quoted = [re.sub(rb"(?m)^(>*From )", rb">\1", one) for one in held]
    account, home = ImapAccount(), Path(tempfile.mkdtemp(prefix="p2i-octets-"))
    try:
        (home / "mail.mbox").write_bytes(b"".join(FROM + one + b"\n" for one in quoted))
        with ImapServer(account) as target:
            migrated(home, "mail.mbox", target)
    finally:
        shutil.rmtree(home)
    assert account.octets() == [one.replace(b"\n", b"\r\n") for one in held]
