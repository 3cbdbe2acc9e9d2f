"""Text in charsets, declared and not, in headers that should be ASCII and in bodies."""

from __future__ import annotations

from collections.abc import Iterator

from tests.corpus.awkward.making import USUAL, Made, plain

TEXTS = {
    "iso-8859-1": "Grüße aus Österreich",
    "windows-1252": "„Preis“: 5 € – günstig",
    "iso-8859-2": "Žluťoučký kůň",
    "iso-8859-5": "Привет",
    "iso-8859-7": "Καλημέρα",
    "iso-8859-8": "שלום",
    "iso-8859-9": "İyi akşamlar",
    "iso-8859-15": "5 € œuvre",
    "koi8-r": "Здравствуйте",
    "koi8-u": "Привіт",
    "windows-1251": "Добрый день",
    "ibm866": "Старое письмо",
    "windows-1255": "בוקר טוב",
    "windows-1256": "صباح الخير",
    "tis-620": "สวัสดี",
    "macintosh": "déjà vu",
    "gb2312": "你好，世界",
    "gb18030": "你好𠀀",
    "big5": "早安許功蓋",  # octets of 0x5C and 0x7C within characters
    "shift_jis": "表示ソース",  # likewise
    "euc-jp": "こんにちは",
    "iso-2022-jp": "日本語の件名",  # ESC and ASCII only
    "iso-2022-kr": "안녕하세요",  # SO and SI
    "hz": "你好",
    "euc-kr": "안녕하세요",
    "utf-7": "Grüße ☃",
    "utf-8": "Grüße ☃ 日本語 👋",
}
WIDE = ("utf-16-le", "utf-16-be", "utf-16", "utf-32")
INVALID = {
    "cut-off": b"Gr\xc3",
    "stray-continuation": b"a\x80\xbf\x80b",
    "latin-1-amid-utf-8": "Grüße ".encode() + b"Gr\xfc\xdfe",
    "ff-and-fe": b"\xff\xfe\xff",
}


def messages() -> Iterator[Made]:
    for charset, text in TEXTS.items():
        octets = text.encode(_codec(charset))
        yield Made(
            f"raw-{charset}-in-fields",
            b'Subject: %b\r\nX-Name: "%b" <x@example.org>\r\n' % (octets, octets) + USUAL + b"\r\nbody\r\n",
        )
        declared = b"Content-Type: text/plain; charset=" + charset.encode()
        yield plain(f"{charset}-in-the-body", octets + b"\r\n", declared, b"Content-Transfer-Encoding: 8bit")
    for charset in WIDE:
        octets = "Grüße\r\nzweite Zeile\r\n".encode(charset)
        yield plain(
            f"{charset}-in-the-body", octets, b"Content-Type: text/plain; charset=" + charset.encode()
        )
        yield Made(f"all-in-{charset}", "Subject: wide\r\n\r\nbody\r\n".encode(charset))
    for name, octets in INVALID.items():
        yield Made(f"utf-8-{name}-in-a-field", b"Subject: %b\r\n" % octets + USUAL + b"\r\nbody\r\n")
        yield plain(f"utf-8-{name}-in-the-body", octets + b"\r\n", b"Content-Type: text/plain; charset=utf-8")
    yield from _lies()
    yield from _places()


def _lies() -> Iterator[Made]:
    """Declarations that are wrong, or none."""
    body = "Grüße\r\n".encode("latin-1")
    for name, parameter in {
        "us-ascii": b"us-ascii",
        "utf-8": b"utf-8",
        "one-that-is-unknown": b"x-unknown-8bit",
        "nothing": b"",
        "one-with-line-noise": b'"iso-8859-1\\"\'',
        "two": b"utf-8; charset=iso-8859-1",
        "a-sentence": b"the usual one, please",
        "a-codec-that-is-no-charset": b"base64",
        "ten-thousand-octets": b"x" * 10_000,
    }.items():
        yield plain(f"latin-1-declared-as-{name}", body, b"Content-Type: text/plain; charset=" + parameter)
    yield plain("latin-1-not-declared", body)


def _places() -> Iterator[Made]:
    """Places where octets above 127 are rarer."""
    for name, field in {
        "an-address": b"Cc: <gr\xfc\xdfe@ex\xe4mple.org>",
        "a-message-id": b"References: <gr\xfc\xdfe@example.org>",
        "a-field-name": b"Gr\xfc\xdfe: value",
        "a-comment": b"Cc: a@example.org (Gr\xfc\xdfe)",
        "a-list-id": b"List-Id: Gr\xfc\xdfe <list.example.org>",
        "a-file-name": b'Content-Disposition: attachment; filename="Gr\xfc\xdfe.txt"',
        "a-boundary": b'Content-Type: multipart/mixed; boundary="gr\xfc\xdfe"',
        "a-fold": b"X-Odd: a\r\n \xfc\r\n\xa0b: c",
        "the-last-field": b"X-Last: \xfc",
    }.items():
        yield plain(f"8-bit-in-{name}", b"--gr\xfc\xdfe\r\n\r\nbody\r\n--gr\xfc\xdfe--\r\n", field)
    yield Made("8-bit-in-a-header-without-an-end", USUAL + b"X-Odd: \xfc\r\n")
    yield Made("8-bit-where-no-header-is", b"\r\n\xfcber\r\n")
    yield Made("8-bit-after-an-empty-line-with-cr", USUAL + b"X-Odd: \xfc\r\n\r\r\n\xfcber\r\n")
    yield Made("a-byte-order-mark-before-the-header", b"\xef\xbb\xbf" + USUAL + b"\r\nbody\r\n", by_date=True)
    yield plain("a-byte-order-mark-before-the-body", b"\xef\xbb\xbfbody\r\n")
    yield Made(
        "a-utf-16-byte-order-mark-before-the-header", b"\xff\xfe" + USUAL + b"\r\nbody\r\n", by_date=True
    )


def _codec(charset: str) -> str:
    return {"ibm866": "cp866", "macintosh": "mac-roman"}.get(charset, charset)
