from __future__ import annotations

import re
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pop2imap.sources.mbox_slice import LONG_LINE, PIECE, Slice, Unquote, Unquoter, read_fully

FROM = b"From alice@example.com Thu Nov 29 19:33:09 2018\n"
HEAD = b"Status: RO\nFrom: alice@example.com\n\n"


def unquoted(pieces: Iterable[bytes], unquote: Unquote) -> bytes:
    unquoter = Unquoter(unquote)
    return b"".join([*map(unquoter.feed, pieces), unquoter.finish()])


def slice_of(message: bytes, *, exact_length: bool = False, keep_headers: bool = False) -> Slice:
    text = FROM + message
    return Slice(
        lambda offset, most: text[offset : offset + most],
        0,
        len(FROM),
        len(text),
        exact_length=exact_length,
        keep_headers=keep_headers,
    )


@pytest.mark.parametrize(
    ("unquote", "expected"),
    [
        (Unquote.EVERY, b"From a\n>From b\n\nFrom c\n\r\nFrom d\nx >From e\n> From f\n"),
        (Unquote.SINGLE, b"From a\n>>From b\n\nFrom c\n\r\nFrom d\nx >From e\n> From f\n"),
        (Unquote.SINGLE_AFTER_EMPTY, b">From a\n>>From b\n\nFrom c\n\r\nFrom d\nx >From e\n> From f\n"),
        (Unquote.NOTHING, b">From a\n>>From b\n\n>From c\n\r\n>From d\nx >From e\n> From f\n"),
    ],
)
def test_each_way_takes_off_its_own(unquote: Unquote, expected: bytes) -> None:
    text = b">From a\n>>From b\n\n>From c\n\r\n>From d\nx >From e\n> From f\n"
    assert unquoted([text], unquote) == expected
    assert unquoted([text[at : at + 1] for at in range(len(text))], unquote) == expected


def by_lines(text: bytes, unquote: Unquote) -> bytes:
    """The same, said simply."""
    lines = re.findall(rb"[^\n]*\n|[^\n]+$", text)
    result = []
    before = b"text"
    for line in lines:
        found = re.match(rb"(>+)From ", line)
        if found and (
            unquote is Unquote.EVERY
            or (len(found[1]) == 1 and (unquote is Unquote.SINGLE or before in (b"\n", b"\r\n")))
        ):
            result.append(line[1:])
        else:
            result.append(line)
        before = line
    return b"".join(result)


PARTS = st.sampled_from(
    [b"\n", b"\r\n", b">", b">>", b"From ", b"Fro", b"text", b">From ", b"\n>From ", b"\n\n>From ", b">" * 40]
)


@given(
    st.lists(st.lists(PARTS, max_size=8).map(b"".join), max_size=8),
    st.sampled_from([Unquote.EVERY, Unquote.SINGLE, Unquote.SINGLE_AFTER_EMPTY]),
)
def test_it_does_not_matter_in_which_pieces_a_message_comes(pieces: list[bytes], unquote: Unquote) -> None:
    assert unquoted(pieces, unquote) == by_lines(b"".join(pieces), unquote)


@pytest.mark.parametrize("size", [LONG_LINE - 9, LONG_LINE, LONG_LINE + 1, 3 * LONG_LINE])
@pytest.mark.parametrize("before", [b"x", b">"])
@pytest.mark.parametrize("unquote", [Unquote.EVERY, Unquote.SINGLE, Unquote.SINGLE_AFTER_EMPTY])
def test_lines_of_any_length_are_right_and_not_held_back(size: int, before: bytes, unquote: Unquote) -> None:
    text = b"text\n\n" + before * size + b">From here\n\n>From there\n"
    for piece in (1000, 4097, 10**6):
        pieces = [text[at : at + piece] for at in range(0, len(text), piece)]
        assert unquoted(pieces, unquote) == by_lines(text, unquote)
    unquoter = Unquoter(unquote)
    held = 0
    for at in range(0, 64 * LONG_LINE, 500):
        held += 500 - len(unquoter.feed(before * 500))
        assert held <= LONG_LINE + 500, at


def test_a_slice_gives_what_was_received() -> None:
    piece = slice_of(HEAD + b"one\r\n>From here\n")
    assert piece.from_line == FROM
    assert piece.state.flags == frozenset({"\\Seen"})
    assert piece.header() == b"From: alice@example.com\r\n\r\n"
    assert b"".join(piece.octets(Unquote.EVERY)) == b"From: alice@example.com\r\n\r\none\r\r\nFrom here\r\n"


def test_book_keeping_lines_can_be_left_in() -> None:
    piece = slice_of(HEAD + b"one\n", keep_headers=True)
    assert piece.header().startswith(b"Status: RO\r\n")
    assert b"".join(piece.octets(Unquote.EVERY)).startswith(b"Status: RO\r\nFrom: ")
    other = slice_of(HEAD.replace(b"RO", b"O") + b"one\n")
    list(other.octets(Unquote.EVERY))
    assert piece.digest == other.digest


def test_a_content_length_of_the_writer_is_book_keeping_too() -> None:
    length = b"From: alice@example.com\nContent-Length: 4\n\n"
    assert slice_of(b"Status: RO\n" + length + b"one\n", exact_length=True).header() == (
        b"From: alice@example.com\r\n\r\n"
    )
    assert b"Length: 4" in slice_of(b"Status: RO\n" + length + b"one\n").header()
    assert b"Length: 4" in slice_of(length + b"one\n", exact_length=True).header(), "it may be the sender's"


def test_a_large_message_comes_in_bounded_pieces() -> None:
    body = b"x" * 75 + b"\n>From here\n"
    piece = slice_of(HEAD + body * 20_000)
    sizes = [len(octets) for octets in piece.octets(Unquote.EVERY)]
    assert max(sizes) < 1.5 * PIECE
    assert sum(sizes) == len(b"From: alice@example.com\r\n\r\n") + 20_000 * (len(body) + 2 - 1)


def test_a_file_that_became_shorter_shows_in_the_digest() -> None:
    text = FROM + HEAD + b"one\ntwo\n"
    whole = slice_of(text[len(FROM) :])
    list(whole.octets(Unquote.EVERY))
    short = Slice(lambda offset, most: text[: len(text) - 4][offset : offset + most], 0, len(FROM), len(text))
    assert b"".join(short.octets(Unquote.EVERY)).endswith(b"one\r\n")
    assert short.digest != whole.digest


def test_short_reads_are_made_up_for() -> None:
    text = b"0123456789"
    assert read_fully(lambda offset, most: text[offset : offset + min(most, 3)], 2, 6) == b"234567"
    assert read_fully(lambda offset, most: text[offset : offset + min(most, 3)], 8, 6) == b"89"


@given(
    st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"x", b">From a\n", b" "]), max_size=12).map(b"".join)
)
def test_what_is_known_of_line_ends_is_true(body: bytes) -> None:
    piece = slice_of(b"A: b\n\n" + body)
    octets = b"".join(piece.octets(Unquote.EVERY))
    assert piece.crlf_only == (b"\r" not in body)
    if piece.crlf_only:
        assert octets.count(b"\r\n") == octets.count(b"\r") == octets.count(b"\n")
