"""Line ends that are none, and lines without an end."""

from __future__ import annotations

from collections.abc import Iterator

from tests.corpus.awkward.making import USUAL, Made, plain, usual

ENDS = {
    "cr": b"\r",
    "lf": b"\n",
    "cr-cr-lf": b"\r\r\n",
    "cr-cr-cr-lf": b"\r\r\r\n",
    "lf-cr": b"\n\r",
    "lf-lf": b"\n\n",
    "cr-cr": b"\r\r",
    "nul-crlf": b"\0\r\n",
    "cr-nul-lf": b"\r\0\n",
    "vertical-tab": b"\x0b",
    "form-feed": b"\x0c",
    "next-line": b"\x85",
    "line-separator": b"\xe2\x80\xa8",
}
PLACES = {
    "in-a-field": USUAL + b"X-Odd: one%(end)b two\r\n\r\nbody\r\n",
    "between-fields": USUAL + b"X-One: one%(end)bX-Two: two\r\n\r\nbody\r\n",
    "for-the-empty-line": USUAL + b"%(end)bbody\r\nmore\r\n",
    "in-the-body": USUAL + b"\r\none%(end)btwo\r\n",
    "at-the-end": USUAL + b"\r\nthe last line%(end)b",
}
WHOLE = {"lf": b"\n", "cr": b"\r", "cr-cr-lf": b"\r\r\n", "lf-cr": b"\n\r"}


def messages() -> Iterator[Made]:
    for place, octets in PLACES.items():
        for name, end in ENDS.items():
            yield Made(f"{name}-{place}", octets % {b"end": end})
    for name, end in WHOLE.items():
        dated = name != "lf-cr"  # a line that begins with CR is no folded one
        yield Made(f"all-lines-end-in-{name}", usual(end) + end + b"one" + end + b"two" + end, dated=dated)
        yield Made(f"only-the-header-ends-in-{name}", usual(end) + end + b"one\r\ntwo\r\n", dated=dated)
        yield plain(f"only-the-body-ends-in-{name}", b"one" + end + b"two" + end + b"three" + end)
    yield plain("every-line-ends-otherwise", b"a\r\nb\nc\rd\r\r\ne\n\rf\r\n\r\n\n\n\r\rg\r\n")
    yield plain("only-line-ends", b"\r\n" * 3000)
    yield plain("only-bare-lf", b"\n" * 3000)
    yield plain("only-bare-cr", b"\r" * 3000)
    yield plain(
        "cr-where-a-buffer-ends", b"".join(b"x" * n + b"\r\n" for n in (4094, 4095, 8190, 8191, 16383))
    )
    yield plain(
        "cr-cr-lf-where-a-buffer-ends", b"".join(b"x" * n + b"\r\r\n" for n in (4093, 4094, 4095, 8190))
    )
    yield plain("lone-cr-where-a-buffer-ends", b"".join(b"x" * n + b"\ry" for n in (4094, 4095, 4096, 8191)))
    yield plain("lf-where-a-buffer-ends", b"".join(b"x" * n + b"\n" for n in (4094, 4095, 4096, 8191)))
    yield plain("no-final-line-end", b"the end")
    yield plain("no-final-line-end-after-a-dot", b"the end\r\n.")
    yield Made("header-alone-without-its-last-line-end", USUAL + b"X-Last: cut off")
    yield plain("white-space-at-line-ends", b"a \r\nb\t\r\nc \t \r\n \r\n\t\r\n")
    yield plain("the-end-of-pop3-with-bare-lf", b"one\n.\ntwo\n.\r\nthree\r\n.\nQUIT\r\n")
    yield plain("the-end-of-pop3-with-bare-cr", b"one\r.\rtwo\r\n.\rthree\r.\r\nfour\r\n")
