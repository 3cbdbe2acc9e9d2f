"""NUL, control characters, and what acts on terminals and on readers."""

from __future__ import annotations

import base64
from collections.abc import Iterator

from tests.corpus.awkward.making import USUAL, Made, plain

C0 = bytes(sorted(set(range(1, 32)) - {9, 10, 13}))
C1 = bytes(range(0x80, 0xA0))

SHOWN = {
    "ansi-colours": b"\x1b[31mred\x1b[0m",
    "ansi-clears-the-screen": b"\x1b[2J\x1b[H",
    "a-title-for-the-terminal": b"\x1b]0;owned\x07",
    "c1-csi": b"\x9b31mred",
    "c1-csi-in-utf-8": b"\xc2\x9b31mred",
    "overstrike": b"_\x08u_\x08n_\x08d",
    "bidi-override": "invoice\u202efdp.exe".encode(),
    "bidi-isolates-never-closed": "a\u2066b\u2067c\u2068d".encode(),
    "zero-width": "pay\u200bpal\u200c\u200d\ufeff".encode(),
    "tag-characters": "x\U000e0041\U000e0042\U000e007f".encode(),
    "two-hundred-combining-marks": ("a" + "\u0301" * 200).encode(),
    "non-characters": "a\ufffe\uffff\U0001ffff".encode(),
    "surrogates": b"\xed\xa0\xbd\xed\xb8\x80",
    "overlong-nul": b"a\xc0\x80b",
    "overlong-slash": b"..\xc0\xaf..",
    "five-octet-utf-8": b"\xf8\x88\x80\x80\x80",
}


def messages() -> Iterator[Made]:
    yield Made("nul-first-of-all", b"\0" + USUAL + b"\r\nbody\r\n", by_date=True)
    yield Made("nul-in-a-field-name", USUAL + b"X-O\0dd: a\r\n\r\nbody\r\n")
    yield Made("nul-in-a-field", USUAL + b"X-Odd: a\0b\r\n\r\nbody\r\n")
    yield Made("nul-for-the-empty-line", USUAL + b"\0\r\nbody\r\n")
    yield plain("nul-in-the-body", b"a\0b\r\n")
    yield plain("nul-begins-the-body", b"\0\r\nbody\r\n")
    yield plain("nul-ends-the-body", b"body\r\n\0")
    yield plain("five-thousand-nul", b"\0" * 5000 + b"\r\n")
    yield plain("nul-beside-what-it-becomes", b"\0\x80\0\r\n")
    yield Made("nothing-but-nul", b"\0" * 64)
    for octet in (0x01, 0x08, 0x0B, 0x0C, 0x1B, 0x1F, 0x7F):
        yield Made(f"octet-{octet:02x}-in-a-field-name", USUAL + b"X-O%cdd: a\r\n\r\nbody\r\n" % octet)
    yield Made("all-c0-in-a-field", USUAL + b"X-Odd: a" + C0 + b"z\r\n\r\nbody\r\n")
    yield plain("all-c0-in-the-body", C0 + b"\r\n")
    yield Made("all-c1-in-a-field", USUAL + b"X-Odd: a" + C1 + b"z\r\n\r\nbody\r\n")
    yield plain("all-c1-in-the-body", C1 + b"\r\n")
    yield plain("every-octet-but-line-ends", bytes(sorted(set(range(256)) - {0, 10, 13})) + b"\r\n")
    yield plain("every-octet", bytes(range(256)) + b"\r\n")
    for name, octets in SHOWN.items():
        yield Made(f"{name}-in-the-subject", b"Subject: " + octets + b"\r\n" + USUAL + b"\r\nbody\r\n")
        word = b"=?utf-8?b?" + base64.b64encode(octets) + b"?="
        yield Made(f"{name}-in-an-encoded-word", b"Subject: " + word + b"\r\n" + USUAL + b"\r\nbody\r\n")
