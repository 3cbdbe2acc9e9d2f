"""Encoded words (RFC 2047), broken in every way that mail has shown."""

from __future__ import annotations

from collections.abc import Iterator

from tests.corpus.awkward.making import USUAL, Made

WORDS = {
    "in-base64-of-an-odd-length": b"=?utf-8?b?w6?=",
    "in-base64-of-one-letter": b"=?utf-8?b?w?=",
    "in-base64-without-padding": b"=?utf-8?b?R3LDvMOf?=",
    "in-base64-with-too-much-padding": b"=?utf-8?b?R3LDvMOf====?=",
    "in-base64-with-junk": b"=?utf-8?b?R3L!Dv*MOf?=",
    "in-base64-with-a-space": b"=?utf-8?b?R3LD vMOf?=",
    "in-q-with-half-an-escape": b"=?utf-8?q?Gr=C3=B?=",
    "in-q-with-no-hexadecimal": b"=?utf-8?q?Gr=ZZ=?=",
    "in-q-with-small-letters": b"=?utf-8?q?Gr=c3=bc?=",
    "in-q-with-spaces": b"=?utf-8?q?Gr=C3=BC und mehr?=",
    "in-q-with-a-question-mark": b"=?utf-8?q?what?_now??=",
    "in-q-with-line-ends": b"=?utf-8?q?a=0D=0AX-Injected:_b?=",
    "in-q-with-nul": b"=?utf-8?q?a=00b?=",
    "in-an-unknown-encoding": b"=?utf-8?x?abc?=",
    "without-an-encoding": b"=?utf-8??abc?=",
    "without-text": b"=?utf-8?q??=",
    "without-a-charset": b"=??q?abc?=",
    "without-an-end": b"=?utf-8?q?abc",
    "with-half-an-end": b"=?utf-8?q?abc?",
    "that-is-only-a-start": b"=?",
    "in-an-unknown-charset": b"=?x-nonsense?q?abc=FC?=",
    "in-a-charset-of-1000-octets": b"=?" + b"x" * 1000 + b"?q?abc?=",
    "in-a-codec-that-is-no-charset": b"=?hex_codec?q?616263?= =?idna?q?xn--a?= =?rot13?q?nop?=",
    "in-utf-16": b"=?utf-16?b?//5HAHIA/AA=?=",
    "in-utf-7": b"=?utf-7?q?Gr+APw-?=",
    "in-iso-2022-jp-without-the-way-back": b"=?iso-2022-jp?b?GyRCRnxLXA==?= plain",
    "in-iso-2022-jp-over-two-words": b"=?iso-2022-jp?b?GyRCRg==?=\r\n =?iso-2022-jp?b?fEtcGyhC?=",
    "with-a-language": b"=?utf-8*de?q?Gr=C3=BC=C3=9Fe?=",
    "with-a-character-over-two-words": b"=?utf-8?q?Gr=C3?= =?utf-8?q?=BC=C3=9Fe?=",
    "with-no-space-between": b"=?utf-8?q?a?==?utf-8?q?b?=",
    "inside-another": b"=?utf-8?q?=?utf-8?q?a?=?=",
    "inside-quotes": b'"=?utf-8?q?Gr=C3=BC=C3=9Fe?=" <x@example.org>',
    "inside-a-comment": b"x@example.org (=?utf-8?q?Gr=C3=BC=C3=9Fe?=)",
    "inside-a-word": b"abc=?utf-8?q?Gr=C3=BC?=def",
    "folded-inside": b"=?utf-8?q?Gr\r\n =C3=BC?=",
    "of-20000-octets": b"=?utf-8?q?" + b"=C3=BC" * 3333 + b"?=",
    "of-latin-1-called-utf-8": b"=?utf-8?q?Gr=FC=DFe?=",
    "of-raw-8-bit": b"=?iso-8859-1?q?Gr\xfc\xdfe?=",
    "five-thousand-times": b"\r\n ".join([b"=?utf-8?q?=C3=BC?="] * 5000),
    "five-thousand-times-without-an-end": b"=?utf-8?q?" * 5000,
}


def messages() -> Iterator[Made]:
    for name, word in WORDS.items():
        yield Made(f"a-word-{name}", b"Subject: " + word + b"\r\n" + USUAL + b"\r\nbody\r\n")
