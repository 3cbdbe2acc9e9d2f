"""The structure of MIME: boundaries, nesting, types, and the reports that are made of them."""

from __future__ import annotations

from collections.abc import Iterator

from tests.corpus.awkward.making import Made, parts, plain

TEXT = b"Content-Type: text/plain\r\n\r\ntext"
MIXED = b"Content-Type: multipart/mixed; boundary=edge"
PART = b"Subject: inside\r\n\r\nbody"

TYPES = {
    "missing-its-subtype": b"Content-Type: text",
    "empty": b"Content-Type:",
    "unknown": b"Content-Type: x-strange/x-stranger; a=b",
    "given-twice": b"Content-Type: text/plain\r\nContent-Type: text/html",
    "with-junk-behind": b"Content-Type: text/plain; charset=utf-8; ;; foo; =bar; baz=",
    "with-spaces-inside": b"Content-Type: text / plain ; charset = utf-8",
    "in-capitals": b"CONTENT-TYPE: TEXT/PLAIN; CHARSET=UTF-8",
    "with-a-quote-that-never-ends": b'Content-Type: text/plain; name="never',
    "with-a-thousand-parameters": b"Content-Type: text/plain"
    + b"".join(b";\r\n a%d=b" % n for n in range(1000)),
    "of-10000-octets": b"Content-Type: text/" + b"x" * 10_000,
    "in-8-bit": b"Content-Type: text/pl\xe4in",
    "that-says-multipart-without-a-boundary": b"Content-Type: multipart/mixed",
    "that-says-message-and-is-text": b"Content-Type: message/rfc822",
    "that-says-multipart-and-is-text": b"Content-Type: multipart/alternative; boundary=nowhere",
    "that-says-multipart-in-base64": MIXED + b"\r\nContent-Transfer-Encoding: base64",
    "for-a-part-of-a-message": b'Content-Type: message/partial; id="x@example.org"; number=2; total=3',
    "for-a-body-that-is-elsewhere": b"Content-Type: message/external-body; access-type=anon-ftp; site=x",
    "for-html-with-a-script": b"Content-Type: text/html",
    "for-a-format-that-flows": b"Content-Type: text/plain; format=flowed; delsp=yes",
}

BOUNDARIES = {
    "with-spaces": b"a b c",
    "that-ends-in-a-space": b"edge ",
    "with-specials": b"'()+_,-./:=?",
    "with-brackets": b"<>@;[]",
    "of-70-octets": b"x" * 70,
    "of-71-octets": b"x" * 71,
    "of-1000-octets": b"x" * 1000,
    "that-is-empty": b"",
    "that-is-a-hyphen": b"-",
    "of-hyphens": b"------------",
    "with-a-quote": b'a\\"b',
    "like-a-regular-expression": b".*(a|b)+$",
    "with-a-percent-sign": b"%s%n%d",
}


def messages() -> Iterator[Made]:
    for name, field in TYPES.items():
        yield plain(f"a-type-{name}", b"text --nowhere <script>alert(1)</script>\r\n", field)
    for name, edge in BOUNDARIES.items():
        field = b'Content-Type: multipart/mixed; boundary="%b"' % edge
        yield plain(f"a-boundary-{name}", parts(TEXT, TEXT, edge=edge.replace(b'\\"', b'"')), field)
    yield from _broken()
    yield from _nested()
    yield from _reports()


def _broken() -> Iterator[Made]:
    whole = parts(TEXT, TEXT)
    for name, body in {
        "without-its-last-boundary": whole.removesuffix(b"--edge--\r\n"),
        "cut-off-in-a-boundary": whole.removesuffix(b"ge--\r\n") + b"\r\n",
        "without-any-boundary": b"no part at all\r\n",
        "without-parts": b"--edge--\r\n",
        "without-a-body": b"",
        "that-ends-twice": whole + whole,
        "with-text-around-its-parts": b"before\r\n" + whole + b"behind\r\n--edge\r\n\r\nlate\r\n",
        "with-a-part-without-a-header": parts(b"\r\nbody"),
        "with-a-part-that-is-only-a-header": parts(b"Content-Type: text/plain"),
        "with-empty-parts": b"--edge\r\n" * 20 + b"--edge--\r\n",
        "with-spaces-behind-boundaries": whole.replace(b"--edge\r\n", b"--edge \t \r\n"),
        "with-boundaries-ended-by-lf": whole.replace(b"--edge\r\n", b"--edge\n"),
        "with-boundaries-that-go-on": whole.replace(b"--edge\r\n", b"--edge-and-more\r\n"),
        "with-its-boundary-in-a-part": parts(
            b"Content-Type: text/plain\r\n\r\nsee --edge\r\n --edge\r\n>--edge"
        ),
        "with-8-bit-in-the-header-of-a-part": parts(b"Content-Type: text/plain; name=\xfc\r\n\r\nx"),
        "with-a-nul-in-the-header-of-a-part": parts(b"Content-Type: text/plain; name=a\0b\r\n\r\nx"),
        "with-parts-of-the-same-boundary": parts(MIXED + b"\r\n\r\n" + whole),
    }.items():
        yield plain(f"a-multipart-{name}", body, MIXED)
    yield plain("a-multipart-with-two-types", whole, MIXED, b"Content-Type: multipart/mixed; boundary=other")
    yield plain("a-multipart-with-two-boundaries", whole, MIXED + b"; boundary=other")


def _nested() -> Iterator[Made]:
    for depth in (10, 50, 100, 150, 151):
        field, inside = _boxes(b"b%03d", depth)
        closed = b"".join(b"--b%03d--\r\n" % n for n in reversed(range(depth)))
        yield plain(f"multiparts-nested-{depth}-deep", inside + closed, field)
        yield plain(f"multiparts-nested-{depth}-deep-and-left-open", inside, field)
    field, inside = _boxes(b"b%d", 60)
    closed = b"".join(b"--b%d--\r\n" % n for n in reversed(range(60)))
    yield plain("multiparts-nested-with-boundaries-that-begin-alike", inside + closed, field)
    for depth in (10, 100, 300, 301):
        box = b"Subject: in %d\r\nMIME-Version: 1.0\r\nContent-Type: message/rfc822\r\n\r\n"
        boxes = b"".join(box % n for n in range(1, depth))
        yield plain(f"messages-nested-{depth}-deep", boxes + PART + b"\r\n", b"Content-Type: message/rfc822")
    for count in (299, 300):
        yield plain(f"{count}-parts", parts(*[b"\r\nx"] * count), MIXED)
    for count in (20, 149, 150):
        digest = b"Content-Type: multipart/digest; boundary=edge"
        yield plain(f"a-digest-of-{count}", parts(*(b"\r\n" + PART for _ in range(count))), digest)
    for name, part in {
        "whole": b"Content-Type: message/rfc822\r\n\r\n" + PART,
        "in-base64": b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nU3ViamVjdDogeA0KDQp5",
        "without-a-header": b"Content-Type: message/rfc822\r\n\r\n\r\nbody",
        "that-is-empty": b"Content-Type: message/rfc822\r\n",
        "with-a-from-line": b"Content-Type: message/rfc822\r\n\r\nFrom bob Mon Jan  1 00:00:00 2001\r\n"
        + PART,
        "with-8-bit-in-its-header": b"Content-Type: message/rfc822\r\n\r\nSubject: \xfc\r\n\r\nbody",
        "called-global": b"Content-Type: message/global\r\n\r\nSubject: Gr\xc3\xbc\xc3\x9fe\r\n\r\nbody",
    }.items():
        yield plain(f"a-forwarded-message-{name}", parts(TEXT, part), MIXED)
    yield plain("a-digest-of-nothing", parts(b"", b""), b"Content-Type: multipart/digest; boundary=edge")


def _boxes(name: bytes, depth: int) -> tuple[bytes, bytes]:
    """Multiparts each within the other: the field of the outermost, and what is in it, none of them closed."""
    names = [name % n for n in range(depth)]
    boxes = b"".join(b"Content-Type: multipart/mixed; boundary=%b\r\n\r\n--%b\r\n" % (n, n) for n in names)
    field, _, inside = boxes.partition(b"\r\n\r\n")
    return field, inside + TEXT + b"\r\n"


def _reports() -> Iterator[Made]:
    report = b"Content-Type: multipart/report; report-type=%b; boundary=edge"
    status = b"Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example.org\r\n\r\n"
    bounced = b"Content-Type: message/rfc822\r\n\r\nSubject: lost\r\n\r\nbody"
    yield plain(
        "a-bounce",
        parts(TEXT, status + b"Action: failed\r\nStatus: 5.1.1", bounced),
        report % b"delivery-status",
    )
    yield plain("a-bounce-without-a-status", parts(TEXT, status, bounced), report % b"delivery-status")
    receipt = b"Content-Type: message/disposition-notification\r\n\r\n"
    for name, fields in {
        "whole": b"Final-Recipient: rfc822;bob@example.org\r\nDisposition: manual-action/MDN-sent-manually; displayed",
        "without-fields": b"",
        "without-a-disposition": b"Final-Recipient: rfc822;bob@example.org",
        "with-a-line-without-a-colon": b"Final-Recipient rfc822;bob@example.org\r\nDisposition",
        "in-8-bit": b"Disposition: gel\xf6scht",
    }.items():
        body = parts(TEXT, receipt + fields)
        yield plain(f"a-read-receipt-{name}", body, report % b"disposition-notification")
    yield plain(
        "a-read-receipt-of-one-part",
        receipt.partition(b"\r\n\r\n")[2] + b"Disposition: x\r\n",
        b"Content-Type: message/disposition-notification",
    )
    yield plain(
        "an-abuse-report",
        parts(TEXT, b"Content-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse", bounced),
        report % b"feedback-report",
    )
