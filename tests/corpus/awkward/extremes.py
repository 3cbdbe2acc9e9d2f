"""Sizes from one line to many, and messages that are nearly or wholly the same."""

from __future__ import annotations

from collections.abc import Iterator

from pop2imap.model import SEEN
from tests.corpus.awkward.making import UNDATED, Made, plain

LENGTHS = (76, 998, 999, 1000, 2048, 4096, 8192, 10_239, 10_240, 16_384, 65_536, 100_000, 1_000_000)
LARGE = 20_000_000

TWIN = UNDATED + b"Message-ID: <twin@example.org>\r\n\r\nOne of several.\r\n"
ALIKE = {
    # octets that servers make the same
    "8-bit": UNDATED + b"X-Odd: \xfc\r\n\r\nalike\r\n",
    "x": UNDATED + b"X-Odd: X\r\n\r\nalike\r\n",
    "other-8-bit": UNDATED + b"X-Odd: \xe4\r\n\r\nalike\r\n",
    "nul": UNDATED + b"\r\nalike \0\r\n",
    "0x80": UNDATED + b"\r\nalike \x80\r\n",
    "lf": UNDATED + b"\r\nalike\nalike\r\n",
    "crlf": UNDATED + b"\r\nalike\r\nalike\r\n",
    "cr": UNDATED + b"\r\nalike\ralike\r\n",
    "cr-cr-lf": UNDATED + b"\r\nalike\r\r\nalike\r\n",
}


def messages() -> Iterator[Made]:
    for length in LENGTHS:
        yield plain(f"a-line-of-{length}-octets", b"x" * length + b"\r\n")
        yield plain(f"a-line-of-{length}-octets-without-an-end", b"text\r\n" + b"x" * length)
    yield plain("a-line-of-65536-octets-above-127", b"\xe4" * 65_536 + b"\r\n")
    yield plain("a-hundred-thousand-empty-lines", b"\r\n" * 100_000)
    yield plain("a-hundred-thousand-lines-of-one-octet", b"a\r\n" * 100_000)
    yield plain(
        "of-about-one-mebioctet", b"0123456789abcdef" * 4 * 15 + b"\r\n" + (b"y" * 76 + b"\r\n") * 13_430
    )
    yield plain("of-twenty-megabytes", (b"z" * 78 + b"\r\n") * (LARGE // 80))
    for number in range(3):
        yield Made(f"twin-{number}", TWIN)
    yield Made("twin-that-was-read", TWIN, flags=frozenset({SEEN}))
    yield Made("twin-that-was-not-read", TWIN, flags=frozenset())
    yield Made("twin-but-for-one-octet", TWIN.replace(b"several", b"Several"))
    yield Made("twin-but-for-the-last-empty-line", TWIN + b"\r\n")
    yield Made("twin-but-for-a-space", TWIN.replace(b"\r\n\r\n", b"\r\n\r\n "))
    for name, octets in ALIKE.items():
        yield Made(f"alike-by-{name}", octets)
