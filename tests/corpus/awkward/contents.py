"""What is in the parts: transfer encodings, attachments, their names, and other people's formats."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator

from tests.corpus.awkward.making import Made, parts, plain

BASE64 = b"Content-Transfer-Encoding: base64"
QUOTED = b"Content-Transfer-Encoding: quoted-printable"
OCTETS = b"Content-Type: application/octet-stream"
MIXED = b"Content-Type: multipart/mixed; boundary=edge"
DATA = bytes(range(256)) * 8
LINES = base64.encodebytes(DATA).replace(b"\n", b"\r\n")

NAMES = {
    "rfc-2231": b"filename*=utf-8''Gr%C3%BC%C3%9Fe.pdf",
    "rfc-2231-in-pieces": b"filename*0*=utf-8''Gr%C3;\r\n filename*1*=%BC%C3%9Fe;\r\n filename*2=.pdf",
    "rfc-2231-in-the-wrong-order": b"filename*2=c;\r\n filename*0=a;\r\n filename*1=b",
    "rfc-2231-with-a-hole": b"filename*0=a; filename*2=c",
    "rfc-2231-of-a-thousand-pieces": b";\r\n ".join(b"filename*%d=x" % n for n in range(1000)),
    "rfc-2231-with-a-broken-escape": b"filename*=utf-8''Gr%C3%Bx%",
    "rfc-2231-in-an-unknown-charset": b"filename*=x-none'de'a%FC",
    "an-encoded-word": b'filename="=?utf-8?q?Gr=C3=BC=C3=9Fe.pdf?="',
    "an-encoded-word-without-quotes": b"filename==?utf-8?q?Gr=C3=BC=C3=9Fe.pdf?=",
    "without-quotes": b"filename=two words.pdf",
    "that-never-ends": b'filename="never.pdf',
    "with-a-path": b'filename="../../../etc/passwd"',
    "with-a-drive": b'filename="C:\\Windows\\system32\\x.exe"',
    "with-a-nul": b'filename="a.pdf\0.exe"',
    "with-an-override": 'filename="a\u202efdp.exe"'.encode(),
    "in-latin-1": b'filename="Gr\xfc\xdfe.pdf"',
    "of-5000-octets": b'filename="' + b"x" * 5000 + b'"',
    "that-is-empty": b'filename=""',
    "given-twice": b"filename=a.pdf; filename=b.exe",
}

BODIES = {
    "base64-with-junk": (BASE64, b"QUJD!!**\xfcREVG\r\n-- not base64 --\r\nR0hJ\r\n"),
    "base64-with-odd-padding": (BASE64, b"QQ=\r\nQUI\r\nQUJD=\r\n====\r\n"),
    "base64-in-one-line-of-100000-octets": (BASE64, base64.b64encode(bytes(75_000)) + b"\r\n"),
    "base64-in-lines-of-one-octet": (BASE64, b"".join(b"%c\r\n" % octet for octet in b"QUJDREVG" * 40)),
    "base64-cut-off": (BASE64, LINES[:1001]),
    "base64-that-is-empty": (BASE64, b""),
    "base64-with-bare-lf": (BASE64, LINES.replace(b"\r\n", b"\n")),
    "quoted-printable-with-half-an-escape": (QUOTED, b"a=C\r\nb=\r\nc=4\r\n="),
    "quoted-printable-with-raw-8-bit": (QUOTED, b"Gr\xfc=DFe=\r\n \xff\r\n"),
    "quoted-printable-in-small-letters": (QUOTED, b"Gr=c3=bc=c3=9fe =e2=98=83\r\n"),
    "quoted-printable-with-spaces-at-line-ends": (QUOTED, b"a= \r\nb \t\r\nc=20\r\n=  \r\n"),
    "quoted-printable-with-wrong-letters": (QUOTED, b"=XY=ZZ=G0= =\r\n"),
    "quoted-printable-in-one-line-of-100000-octets": (QUOTED, b"=41" * 33_333 + b"\r\n"),
    "seven-bit-that-is-not": (b"Content-Transfer-Encoding: 7bit", DATA[128:256] + b"\r\n"),
    "eight-bit-with-long-lines": (b"Content-Transfer-Encoding: 8bit", b"\xfc" * 20_000 + b"\r\n"),
    "binary": (b"Content-Transfer-Encoding: binary", DATA + b"\r\n\n\r"),
    "binary-without-nul": (b"Content-Transfer-Encoding: binary", bytes(range(1, 256)) * 4 + b"\r\n"),
    "an-unknown-encoding": (b"Content-Transfer-Encoding: x-magic", b"text\r\n"),
    "two-encodings": (BASE64 + b"\r\n" + QUOTED, LINES),
    "an-encoding-with-a-comment": (BASE64 + b" (really)", LINES),
    "an-encoding-that-is-empty": (b"Content-Transfer-Encoding:", b"text\r\n"),
}

_UU = b"".join(binascii.b2a_uu(DATA[at : at + 45]) for at in range(0, 900, 45)).replace(b"\n", b"\r\n")


def messages() -> Iterator[Made]:
    for name, (encoding, body) in BODIES.items():
        yield plain(name, body, OCTETS, encoding)
    for name, parameter in NAMES.items():
        disposition = b"Content-Disposition: attachment; " + parameter
        yield plain(
            f"a-file-name-{name}",
            parts(OCTETS + b"\r\n" + disposition + b"\r\n" + BASE64 + b"\r\n\r\nQUJD"),
            MIXED,
        )
    yield plain("uuencode-in-text", b"See below.\r\n\r\nbegin 644 a.bin\r\n" + _UU + b"`\r\nend\r\n")
    yield plain(
        "uuencode-with-backquotes", b"begin 644 a.bin\r\n" + _UU.replace(b" ", b"`") + b"`\r\nend\r\n"
    )
    yield plain("uuencode-cut-off", b"begin 644 a.bin\r\n" + _UU[:300])
    yield plain("uuencode-that-begins-twice", b"begin 644 a\r\nbegin 644 b\r\n" + _UU + b"end\r\n")
    yenc = bytes((octet + 42) % 256 for octet in DATA[:512])
    for escaped in (0, 10, 13, 61):
        yenc = yenc.replace(b"%c" % escaped, b"=%c" % ((escaped + 64) % 256))
    yield plain("yenc", b"=ybegin line=128 size=512 name=a.bin\r\n" + yenc + b"\r\n=yend size=512\r\n")
    yield plain("tnef", LINES, b"Content-Type: application/ms-tnef; name=winmail.dat", BASE64)
    yield plain(
        "tnef-in-raw-octets",
        b"\x78\x9f\x3e\x22\x01\x00\x06\x90" + DATA[14:] + b"\r\n",
        b"Content-Type: application/ms-tnef; name=winmail.dat",
        b"Content-Transfer-Encoding: binary",
    )
    yield from _signed()
    yield from _other_formats()


def _signed() -> Iterator[Made]:
    text = b"Content-Type: text/plain\r\n\r\nDo not touch: \t \r\n-- \r\n\r\nFrom here on\r\n"
    signed = b"Content-Type: multipart/signed; protocol=%b; micalg=sha-256; boundary=edge"
    signature = b"Content-Type: application/%b-signature\r\n" + BASE64 + b"\r\n\r\n" + LINES[:400]
    yield plain(
        "signed-by-smime", parts(text, signature % b"pkcs7"), signed % b'"application/pkcs7-signature"'
    )
    yield plain(
        "encrypted-by-smime",
        LINES,
        b"Content-Type: application/pkcs7-mime; smime-type=enveloped-data",
        BASE64,
    )
    yield plain("signed-by-pgp", parts(text, signature % b"pgp"), signed % b'"application/pgp-signature"')
    yield plain(
        "encrypted-by-pgp",
        parts(
            b"Content-Type: application/pgp-encrypted\r\n\r\nVersion: 1",
            OCTETS + b"\r\n\r\n-----BEGIN PGP MESSAGE-----",
        ),
        b"Content-Type: multipart/encrypted; protocol=application/pgp-encrypted; boundary=edge",
    )
    yield plain(
        "signed-in-the-text",
        b"-----BEGIN PGP SIGNED MESSAGE-----\r\nHash: SHA256\r\n\r\n- -----\r\n- From here on\r\ntext \r\n"
        b"-----BEGIN PGP SIGNATURE-----\r\n\r\n" + LINES[:200] + b"-----END PGP SIGNATURE-----\r\n",
    )


def _other_formats() -> Iterator[Made]:
    event = b"BEGIN:VEVENT\r\nSUMMARY:Gr\xc3\xbc\xc3\x9fe\\, \r\n all\r\nEND:VEVENT\r\n"
    calendar = b"BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\n" + event + b"END:VCALENDAR\r\n"
    yield plain("a-calendar", calendar, b"Content-Type: text/calendar; method=REQUEST; charset=utf-8")
    yield plain("a-calendar-with-bare-lf", calendar.replace(b"\r\n", b"\n"), b"Content-Type: text/calendar")
    yield plain(
        "a-card", b"BEGIN:VCARD\r\nVERSION:3.0\r\nFN:B\xf6b\r\nEND:VCARD\r\n", b"Content-Type: text/x-vcard"
    )
    yield plain("enriched-text", b"<bold>Now</bold> <<is\r\n", b"Content-Type: text/enriched")
    yield plain("a-patch", b"--- a/x\r\n+++ b/x\r\n@@ -1,2 +1,2 @@\r\n-a\r\r\n+b\r\n \r\n-- \r\n2.39.2\r\n")
    yield plain(
        "html-that-never-closes", b"<html><body>" + b"<div>" * 5000 + b"\r\n", b"Content-Type: text/html"
    )
    yield plain(
        "html-with-conditional-comments",
        b"<!--[if mso]><xml></xml><![endif]-->\r\n",
        b"Content-Type: text/html",
    )
    yield plain(
        "related-parts",
        parts(b'Content-Type: text/html\r\n\r\n<img src="cid:a">', b"Content-ID: <a>\r\n\r\nx"),
        b"Content-Type: multipart/related; boundary=edge; start=nowhere",
    )
    yield plain(
        "mac-binary",
        parts(b"Content-Type: application/applefile\r\n\r\n\x00\x05\x16\x07", OCTETS + b"\r\n\r\nx"),
        b"Content-Type: multipart/appledouble; boundary=edge",
    )
    yield plain(
        "spam-of-entities-and-spaces",
        b"V&#105;&#97;gr&#x61;" + b"&nbsp;" * 3000 + b"\r\n",
        b"Content-Type: text/html",
    )
    yield plain(
        "spam-of-one-word-in-white",
        b'<font color="#ffffff">' + b"bayes poison " * 2000 + b"</font>\r\n",
        b"Content-Type: text/html",
    )
    yield plain(
        "the-test-string-of-spam-filters",
        b"XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X\r\n",
    )
