"""Each repair mends its fault and nothing else."""

from __future__ import annotations

import email
import email.policy
import quopri
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pop2imap.headers import Headers
from pop2imap.octets import from_bytes
from pop2imap.repair import LONGEST_LINE, NAMES, apply, candidates


def repaired(octets: bytes, *repairs: str) -> bytes:
    after = apply(from_bytes(octets), repairs)
    return octets if after is None else b"".join(after.chunks())


def longest_line(octets: bytes) -> int:
    return max(len(line.rstrip(b"\r")) for line in octets.split(b"\n"))


HEADED = b"Subject: x\r\nMIME-Version: 1.0\r\n"

some_octets = st.lists(
    st.sampled_from([b"\r", b"\n", b"\0", b"a", b": ", b"\xe4", b"=", b" ", b"\r\n", b"\r\n\r\n"])
    | st.binary(max_size=5)
).map(b"".join)


@given(some_octets)
def test_no_bare_lf_is_left_and_all_else_stays(octets: bytes) -> None:
    after = repaired(octets, "bare-lf")
    assert not re.search(rb"(?<!\r)\n", after)
    assert after.replace(b"\r", b"") == octets.replace(b"\r", b"")
    assert after == re.sub(rb"(?<!\r)\n", b"\r\n", octets)


def test_a_line_end_across_two_pieces_is_seen_whole() -> None:
    start = b"x" * (1 << 16)  # a piece is as long as that
    for end in (b"\r\n", b"\n"):
        cut = start[: -len(end[:-1])] if end[:-1] else start
        assert repaired(cut + end + b"y", "bare-lf") == cut + b"\r\n" + b"y"


@given(some_octets)
def test_no_nul_is_left_and_all_else_stays(octets: bytes) -> None:
    assert repaired(octets, "nul") == octets.replace(b"\0", b"")


@pytest.mark.parametrize("form", ["utf-16-le", "utf-16-be"])
def test_the_halves_of_utf_16_become_text_with_its_own_line_ends(form: str) -> None:
    message = b"Subject: x\n\r\n" + "one\r\ntwo\r\n".encode(form)
    for repairs in candidates(from_bytes(message), NAMES):
        after = repaired(message, *repairs)
    assert after == b"Subject: x\r\n\r\none\r\ntwo\r\n"


@given(some_octets)
def test_no_header_octet_above_0x7f_is_left_but_in_names(octets: bytes) -> None:
    message = b"Subject: " + octets.replace(b"\n", b"") + b"\r\n\r\nb\xf6dy"
    after = repaired(message, "8bit-headers")
    assert from_bytes(after).head().isascii()
    assert after.endswith(b"b\xf6dy")


@pytest.mark.parametrize(
    ("line", "read_as"),
    [
        ("Subject: Grüße aus Köln".encode(), "Grüße aus Köln"),
        ("Subject: Grüße aus Köln".encode("latin-1"), "Grüße aus Köln"),
        ("Subject: Re: Привет, мир! ".encode(), "Re: Привет, мир!"),
        ("Subject: a\r\n ünd b".encode(), "a ünd b"),
        (("Subject: " + "ü" * 300).encode(), "ü" * 300),
    ],
)
def test_header_words_read_the_same_afterwards(line: bytes, read_as: str) -> None:
    after = repaired(line + b"\r\n\r\nbody\r\n", "8bit-headers")
    assert Headers.parse(from_bytes(after).head()).subject == read_as
    assert all(len(word) <= 75 for word in re.findall(rb"=\?[^ ]*\?=", after))


@pytest.mark.parametrize("field", ["From", "To", "Reply-To", "Resent-From"])
@pytest.mark.parametrize(
    "name", ["Jörg Müller", '"Müller, Jörg"', "Jörg (dienstlich) Müller", "=?utf-8?q?J=C3=B6rg?= Müller"]
)
def test_addresses_stay_addresses(field: str, name: str) -> None:
    after = repaired(f"{field}: {name} <jm@example.org>, b@example.org\r\n\r\n".encode(), "8bit-headers")
    found = Headers.parse(from_bytes(after).head()).addresses(field)
    assert [one.address for one in found] == ["jm@example.org", "b@example.org"]
    parsed = email.message_from_bytes(after, policy=email.policy.default)
    assert [one.addr_spec for one in parsed[field].addresses] == ["jm@example.org", "b@example.org"]


def test_a_file_name_stays_a_parameter() -> None:
    after = repaired(
        'Content-Disposition: attachment; filename="Übersicht 1.pdf"; size=3\r\n\r\n'.encode(), "8bit-headers"
    )
    assert after.isascii()
    assert re.search(rb'filename="=\?utf-8\?B\?[^"]*\?= 1\.pdf"; size=3\r\n\r\n$', after)


LONG_TEXT = ("Zeile mit Umlauten äöü, " * 100).encode()


@pytest.mark.parametrize(
    "kind",
    [b"", b"Content-Type: text/plain; charset=utf-8\r\n", b"Content-Type: text/html; charset=utf-8\r\n"],
)
@pytest.mark.parametrize("encoding", [b"", b"Content-Transfer-Encoding: 8bit\r\n"])
def test_long_text_becomes_quoted_printable(kind: bytes, encoding: bytes) -> None:
    body = b"short\r\n" + LONG_TEXT + b"\r\n.\r\nend\r\n"
    after = repaired(b"Subject: x\r\n" + kind + encoding + b"\r\n" + body, "long-lines")
    parsed = email.message_from_bytes(after)
    assert parsed.get_payload(decode=True) == body
    assert parsed["MIME-Version"] == "1.0"
    assert longest_line(after) <= 76
    assert after.startswith(b"Subject: x\r\n" + kind)


@given(some_octets, some_octets)
def test_text_that_becomes_quoted_printable_reads_the_same(before: bytes, after: bytes) -> None:
    body = before + b"x" * 1100 + after
    head, _, encoded = repaired(b"Subject: x\r\n\r\n" + body, "long-lines").partition(b"\r\n\r\n")
    assert head.endswith(b"quoted-printable")
    assert not re.search(rb"\r(?!\n)", encoded), "no server could take that for a line end"
    assert quopri.decodestring(encoded) == re.sub(rb"\r?\n", b"\r\n", body)
    assert longest_line(encoded) <= 76


def test_base64_and_quoted_printable_are_wrapped_and_mean_the_same() -> None:
    base64_body = b"QUJD" * 5000
    quoted = b"=C3=A4x" * 1000
    for encoding, body in ((b"base64", base64_body), (b"quoted-printable", quoted)):
        message = HEADED + b"Content-Transfer-Encoding: " + encoding + b"\r\n\r\n" + body + b"\r\n"
        after = repaired(message, "long-lines")
        before, now = email.message_from_bytes(message), email.message_from_bytes(after)
        assert now.get_payload(decode=True) == before.get_payload(decode=True)
        assert longest_line(after) <= 76
        assert now.items() == before.items()


def test_only_the_part_with_a_long_line_is_encoded_anew() -> None:
    message = (
        HEADED + b'Content-Type: multipart/mixed; boundary="b(1)"\r\n\r\npreamble\r\n'
        b"--b(1)\r\nContent-Type: text/plain\r\n\r\nshort\r\n"
        b"--b(1)\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + LONG_TEXT + b"\r\nend\r\n"
        b"--b(1)\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n\r\n"
        + b"\x01\x02" * 1000
        + b"\r\n--b(1)\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\n"
        + b"y" * 2000
        + b"\r\n--b(1)--\r\nepilogue\r\n"
    )
    after = repaired(message, "long-lines")
    parts = list(email.message_from_bytes(after).walk())
    assert [part.get_content_type() for part in parts] == [
        "multipart/mixed",
        "text/plain",
        "text/html",
        "application/octet-stream",
        "message/rfc822",
        "text/plain",
    ]
    leaves = [part.get_payload(decode=True) for part in parts if not part.is_multipart()]
    assert leaves == [b"short", LONG_TEXT + b"\r\nend", b"\x01\x02" * 1000, b"y" * 2000]
    assert longest_line(after) <= LONGEST_LINE
    assert after.startswith(message[: message.index(b"--b(1)\r\nContent-Type: text/html")])
    assert after.endswith(b"\r\n--b(1)--\r\nepilogue\r\n")


def test_long_header_lines_are_folded_at_white_space_only() -> None:
    words = b" ".join(b"word%d" % number for number in range(1000))
    message = b"References: " + words + b"\r\nX: " + b"z" * 2000 + b"\r\n\r\nbody\r\n"
    after = repaired(message, "long-lines")
    assert Headers.parse(from_bytes(after).head()).first("references") == words.decode()
    assert after.replace(b"\r\n ", b" ") == message
    assert max(map(len, after.split(b"\r\n")[:8])) <= LONGEST_LINE
    assert b"\r\nX: " + b"z" * 2000 in after, "nothing can be folded there"


@given(some_octets, st.integers(0, 3))
def test_what_is_not_at_fault_is_not_touched(octets: bytes, which: int) -> None:
    name = NAMES[which]
    once = repaired(octets, name)
    assert apply(from_bytes(once), (name,)) is None, "once is enough"


@given(some_octets)
def test_mail_without_long_lines_is_not_encoded_anew(octets: bytes) -> None:
    assert apply(from_bytes(HEADED + b"\r\n" + octets), ("long-lines",)) is None


def test_each_repair_is_tried_alone_before_all_together() -> None:
    octets = from_bytes(b"Subject: \xe4\r\n\r\na\nb\0c\r\n")
    assert list(candidates(octets, NAMES)) == [
        ("nul",), ("bare-lf",), ("8bit-headers",), ("nul", "bare-lf", "8bit-headers")
    ]  # fmt: skip
    assert list(candidates(octets, ("nul", "long-lines"))) == [("nul",)]
    assert list(candidates(from_bytes(b"Subject: x\r\n\r\n"), NAMES)) == []
