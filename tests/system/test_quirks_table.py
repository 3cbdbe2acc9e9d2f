"""What ``docs/quirks.md`` says that servers do to the octets of an APPEND, asked of the servers themselves."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import ServerFactory
from tests.system.maildrop import deliver, offer

PAGE = Path(__file__).parents[2] / "docs" / "quirks.md"
REWRITES, REFUSES, LACKS = 1, 2, 3

HEAD = b"Subject: a\r\n\r\n"


def multipart(parts: int) -> bytes:
    head = b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n"
    return head + b"--x\r\n\r\npart\r\n" * parts + b"--x--\r\n"


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
        Claim(REFUSES, "a header whose last line has no end", b"Subject: a", None),
        Claim(REFUSES, "empty messages", b"", None),
    ],
    "Courier": [
        Claim(REWRITES, "every LF → CRLF", HEAD + b"x\ny\r\n", HEAD + b"x\r\ny\r\n"),
        Claim(REWRITES, "bare CR is lost", HEAD + b"x\ry\r\n", HEAD + b"xy\r\n"),
        Claim(REWRITES, "CR CR LF → CRLF", HEAD + b"x\r\r\n", HEAD + b"x\r\n"),
        Claim(REWRITES, "what does not end in LF gets CRLF", HEAD + b"x", HEAD + b"x\r\n"),
        Claim(REWRITES, "what does not end in LF gets CRLF", HEAD + b"x\r\n\r", HEAD + b"x\r\n\r\n"),
        Claim(
            REWRITES,
            "more than 300 parts only these are shown",
            multipart(300),  # and one for what stands before them
            multipart(300).removesuffix(b"\r\npart\r\n--x--\r\n"),
        ),
    ],
}
SAFE = [
    Claim(0, "", HEAD + b"x" * 20_000 + b"\r\n.\r\n..\r\n", HEAD + b"x" * 20_000 + b"\r\n.\r\n..\r\n"),
    Claim(0, "", HEAD + b"\xfc\x80\xff\r\n", HEAD + b"\xfc\x80\xff\r\n"),
    Claim(0, "", HEAD, HEAD),
    Claim(0, "", multipart(299), multipart(299)),
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


class Limit(NamedTuple):
    """Words of a server, with what it just takes and just refuses: octets and flags."""

    words: str
    taken: tuple[bytes, str]
    refused: tuple[bytes, str]


BODY = HEAD + b"x\r\n"


def header(taken: bytes, refused: bytes) -> Limit:
    return Limit("Message contains invalid header", (taken, ""), (refused, ""))


def flags(words: str, taken: str, refused: str) -> Limit:
    return Limit(words, (BODY, taken), (BODY, refused))


COURIER_SAYS = "Error in IMAP command received by server."
LIMITS = {
    "Dovecot": [
        Limit("Can't save a zero byte message", (b"x", ""), (b"", "")),
        flags("Keyword length too long", "x" * 50, "x" * 51),
        flags("Invalid system flag", "\\Seen", "\\Recent"),
    ],
    "Cyrus": [
        Limit("Zero-length message literal", (b"\r", ""), (b"", "")),
        Limit("Message contains NUL characters", (BODY + b"\x01", ""), (BODY + b"\0", "")),
        Limit("Message contains NUL characters", (b"\x7f" + BODY, ""), (b"\0" + BODY, "")),
        Limit("Message contains bare newlines", (BODY + b"\r\n", ""), (BODY + b"x\n", "")),
        Limit("Message contains bare newlines", (b"\r\n", ""), (b"\n", "")),
        header(b"X:\r\n" + HEAD, b":\r\n" + HEAD),
        header(b"X\x7f\xfc: a\r\n" + HEAD, b"X\x1f: a\r\n" + HEAD),
        header(b"X: a b\r\n" + HEAD, b"X : a\r\n" + HEAD),
        header(b" X : a\r\n" + HEAD, b">From a\r\n" + HEAD),
        header(b"From a\r\n" + HEAD, b"From\r\n" + HEAD),
        header(HEAD + b"From a\r\n", b"X: a\r\nFro m: a\r\n" + HEAD),
        header(b"x" * 4096 + b" : a\r\n" + HEAD, b"x" * 4095 + b" : a\r\n" + HEAD),
        header(b"x" * 4096 + b"\r\n" + HEAD, b"x" * 4095 + b"\r\n" + HEAD),
        header(b"X: a\r\n\rword\r\nword", b"X: a\r\nword\r\n\rword"),
        header(b"X: a\r\n", b"X: a"),
        header(b"X: a\r\n\r\nword", b"X: a\r\nword"),
        flags("Too many user flags in mailbox", " ".join(f"k{n}" for n in range(100)), "k100"),
    ],
    "Courier": [
        flags(COURIER_SAYS, "a^b`", "a[b"),
        flags(COURIER_SAYS, "a|b", "a]b"),
        flags(COURIER_SAYS, "a;b", "a}b"),
        flags(COURIER_SAYS, "a=b", "a~b"),
        flags(COURIER_SAYS, "1a", "12"),
        flags(COURIER_SAYS, "NILA", "NIL"),
    ],
}


@pytest.mark.parametrize("kind", LIMITS)
def test_refusals_begin_exactly_where_the_page_says(server_like: ServerFactory, kind: str) -> None:
    page = PAGE.read_text()
    server = server_like(kind)
    user = server.user()
    for limit in LIMITS[kind]:
        assert limit.words in page
        taken, refused = offer(server, user, [limit.taken, limit.refused])
        assert taken.startswith("A OK"), (limit, taken)
        assert limit.words in refused, limit
