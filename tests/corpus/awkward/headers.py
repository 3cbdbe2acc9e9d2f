"""Headers that are not built as they should be, or not there, or endless."""

from __future__ import annotations

from collections.abc import Iterator

from tests.corpus.awkward.making import USUAL, Made, plain

FIRST = {
    "a-line-without-a-colon": b"no colon in here",
    "one-word": b"word",
    "a-field-without-a-name": b": nameless",
    "a-colon-alone": b":",
    "a-space-before-the-colon": b"X-Space : a",
    "a-tab-before-the-colon": b"X-Tab\t: a",
    "a-name-of-two-words": b"X Two: a",
    "a-name-with-quotes": b'"X-Odd": a',
    "a-folded-line": b" X-Folded: a",
    "a-line-folded-by-a-tab": b"\tX-Folded: a",
    "a-line-of-spaces": b"   ",
    "a-from-line": b"From bob@example.org Mon Jan  1 00:00:00 2001",
    "a-quoted-from-line": b">From bob@example.org Mon Jan  1 00:00:00 2001",
    "a-from-line-without-a-date": b"From bob@example.org",
    "an-http-answer": b"HTTP/1.1 200 OK",
    "a-pop3-answer": b"+OK 1234 octets",
    "an-smtp-command": b"MAIL FROM:<bob@example.org>",
    "a-mime-boundary": b"--=_boundary_000",
    "a-name-of-76-octets": b"X" * 76 + b": a",
    "a-name-of-1000-octets": b"X" * 1000 + b": a",
    "a-name-of-5000-octets": b"X" * 5000 + b": a",
    "a-word-of-4095-octets": b"x" * 4095,
    "a-word-of-4096-octets": b"x" * 4096,
    "a-space-before-the-colon-after-4096-octets": b"x" * 4096 + b" : a",
    "a-cr-before-a-word": b"\rword",
    "a-field-that-is-only-a-name": b"X-Empty:",
    "a-field-of-spaces": b"X-Spaces:      ",
    "no-space-after-the-colon": b"X-Tight:a:b:c",
}


def messages() -> Iterator[Made]:
    for name, line in FIRST.items():
        # a line that goes on with nothing hides no field behind it, but an empty first line ends the header
        yield Made(f"{name}-comes-first", line + b"\r\n" + USUAL + b"\r\nbody\r\n")
        yield plain(f"{name}-comes-last", b"body\r\n", line)
    yield Made("no-octets", b"")
    for name, octets in {
        "one-letter": b"a",
        "one-dot": b".",
        "one-space": b" ",
        "one-empty-line": b"\r\n",
        "two-empty-lines": b"\r\n\r\n",
        "one-cr": b"\r",
        "one-lf": b"\n",
        "one-nul": b"\0",
        "one-colon": b":",
        "one-field": b"Subject: alone\r\n",
        "one-field-and-the-empty-line": b"Subject: alone\r\n\r\n",
        "a-dot-and-a-line-end": b".\r\n",
        "five-empty-lines-and-a-letter": b"\r\n" * 5 + b"a\r\n",
    }.items():
        yield Made(f"nothing-but-{name}", octets)
    yield Made("no-header-but-a-body", b"\r\nOnly a body.\r\n\r\nWith two paragraphs.\r\n")
    yield Made("no-empty-line-and-no-body", USUAL)
    yield Made("no-empty-line-before-the-body", USUAL + b"Hello Alice,\r\nhow are you?\r\n")
    yield Made("a-header-behind-the-body", b"Hello Alice,\r\n\r\n" + USUAL + b"\r\nbody\r\n", dated=False)
    yield Made("an-empty-line-in-the-header", b"X-Early: a\r\n\r\n" + USUAL + b"\r\nbody\r\n", dated=False)
    yield plain("an-empty-body", b"")
    yield plain("a-body-of-one-empty-line", b"\r\n")
    yield from _folds()
    yield from _much()


def _folds() -> Iterator[Made]:
    for name, field in {
        "at-every-word": b"X-Fold: a\r\n b\r\n\tc\r\n  d\r\n \te",
        "before-the-value": b"X-Fold:\r\n a",
        "with-lines-of-spaces": b"X-Fold: a\r\n \r\n\t\r\n b",
        "a-thousand-empty-ones": b"X-Fold: a" + b"\r\n " * 1000 + b"b",
        "at-the-end": b"X-Fold: a\r\n ",
        "by-a-no-break-space": b"X-Fold: a\r\n\xc2\xa0b",
        "in-the-name": b"X-Fo\r\n ld: a",
        "before-the-colon": b"X-Fold\r\n : a",
        "inside-quotes": b'X-Fold: "a\r\n b"',
        "inside-a-comment": b"X-Fold: (a\r\n b) c",
        "by-cr-cr-lf": b"X-Fold: a\r\r\n b",
        "by-lf": b"X-Fold: a\n b",
        "by-cr": b"X-Fold: a\r b",
    }.items():
        yield plain(f"folds-{name}", b"body\r\n", field)


def _much() -> Iterator[Made]:
    mebi = 1 << 20
    yield plain("a-field-of-one-mebioctet", b"body\r\n", b"X-Long: " + b"x" * mebi)
    yield plain(
        "a-folded-field-of-one-mebioctet", b"body\r\n", b"X-Long: a" + (b"\r\n " + b"x" * 77) * (mebi // 80)
    )
    yield Made(
        "one-mebioctet-before-the-usual-fields",
        b"X-Long: " + b"x" * mebi + b"\r\n" + USUAL + b"\r\nbody\r\n",
        dated=False,
    )
    for count in (4990, 5000, 20_000):
        fields = b"".join(b"X-%d: value %d\r\n" % (n, n) for n in range(count))
        yield Made(f"{count}-fields", USUAL + fields + b"\r\nbody\r\n")
    yield Made("a-thousand-times-the-same-field", USUAL + b"X-Same: same\r\n" * 1000 + b"\r\nbody\r\n")
    yield Made("a-thousand-lines-without-a-colon", USUAL + b"no colon\r\n" * 1000 + b"\r\nbody\r\n")
    yield plain(
        "two-hundred-received-fields",
        b"body\r\n",
        *(
            b"Received: from a.example by b.example; Mon, 1 Jan 2001 00:00:%02d +0000" % (n % 60)
            for n in range(200)
        ),
    )
    for length in (997, 998, 999, 1000, 10_239, 10_240):
        yield plain(f"a-field-of-{length}-octets", b"body\r\n", b"X-Long: " + b"x" * (length - 8))
