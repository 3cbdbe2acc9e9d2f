"""What ``docs/quirks.md`` says that servers do to the octets of an APPEND, asked of the servers themselves."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import ServerFactory
from tests.system.maildrop import deliver

PAGE = Path(__file__).parents[2] / "docs" / "quirks.md"
REWRITES, REFUSES, LACKS = 1, 2, 3

HEAD = b"Subject: a\r\n\r\n"


class Claim(NamedTuple):
    """Words of the table, and octets with what becomes of them (None: they are refused)."""

    column: int
    words: str
    sent: bytes
    kept: bytes | None


CLAIMS = {
    "Dovecot": [
        Claim(REWRITES, "bare LF → CRLF", HEAD + b"x\ny\r\n", HEAD + b"x\r\ny\r\n"),
        Claim(REWRITES, "CR CR LF → CRLF", HEAD + b"x\r\r\n", HEAD + b"x\r\n"),
        Claim(REWRITES, "a CR at the very end goes", HEAD + b"x\r", HEAD + b"x"),
        Claim(REWRITES, "NUL → 0x80", HEAD + b"x\0\r\n", HEAD + b"x\x80\r\n"),
        Claim(REFUSES, "empty messages", b"", None),
    ],
    "Cyrus": [
        Claim(
            REWRITES,
            "8-bit octets in the header → `X`",
            b"Subject: \xfc\r\n\r\n\xfc",
            b"Subject: X\r\n\r\n\xfc",
        ),
        Claim(REFUSES, "NUL", HEAD + b"x\0\r\n", None),
        Claim(REFUSES, "bare LF", HEAD + b"x\ny\r\n", None),
        Claim(REFUSES, "header lines without a name", b": x\r\n" + HEAD, None),
        Claim(REFUSES, "without a colon", b"x\r\n" + HEAD, None),
        Claim(REFUSES, "a space", b"Subject : a\r\n\r\n", None),
        Claim(REFUSES, "a control character before it", b"Sub\x01ject: a\r\n\r\n", None),
        Claim(REFUSES, "empty messages", b"", None),
    ],
    "Courier": [
        Claim(REWRITES, "every LF → CRLF", HEAD + b"x\ny\r\n", HEAD + b"x\r\ny\r\n"),
        Claim(REWRITES, "bare CR is lost", HEAD + b"x\ry\r\n", HEAD + b"xy\r\n"),
        Claim(REWRITES, "CR CR LF → CRLF", HEAD + b"x\r\r\n", HEAD + b"x\r\n"),
        Claim(REWRITES, "the last line gets its end", HEAD + b"x", HEAD + b"x\r\n"),
    ],
}
SAFE = [
    Claim(0, "", HEAD + b"x" * 20_000 + b"\r\n.\r\n..\r\n", HEAD + b"x" * 20_000 + b"\r\n.\r\n..\r\n"),
    Claim(0, "", HEAD + b"\xfc\x80\xff\r\n", HEAD + b"\xfc\x80\xff\r\n"),
    Claim(0, "", HEAD, HEAD),
]
"""What none of them touches."""


@pytest.mark.parametrize("kind", CLAIMS)
def test_the_table_of_quirks_is_true(server_like: ServerFactory, kind: str) -> None:
    (row,) = (
        line
        for line in PAGE.read_text().splitlines()
        if line.startswith(f"| {kind} (tried)") and line.count("|") == 5
    )
    cells = [cell.strip() for cell in row.split("|")[1:]]
    server = server_like(kind)
    user = server.user()
    claims = CLAIMS[kind] + SAFE
    with server.client(user) as client:
        client.select_folder("INBOX")
        for claim in claims:
            assert claim.words in cells[claim.column]
            taken = deliver(server, user, [claim.sent])
            assert taken == (claim.kept is not None), claim
        client.noop()
        found = client.fetch(client.search("ALL"), ["BODY.PEEK[]"])
        assert [found[uid][b"BODY[]"] for uid in sorted(found)] == [
            claim.kept for claim in claims if claim.kept is not None
        ]
        offers = {capability.decode() for capability in client.capabilities()}
    assert not offers & set(cells[LACKS].split(", "))
