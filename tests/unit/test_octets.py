"""The digests of octets do not depend on how they arrive, and forgive what servers rewrite, and only that."""

from __future__ import annotations

import hashlib
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pop2imap.errors import LocalIOError
from pop2imap.octets import (
    CHUNK,
    SPOOL_AT,
    MatchDigest,
    OctetsWriter,
    from_bytes,
    from_chunks,
)
from tests.servers.behaviour import courier_keeps, cyrus_keeps, dovecot_keeps, match_digest

AWKWARD = st.lists(
    st.sampled_from([b"\r", b"\n", b"\r\n", b"\r\r\n", b"\0", b"\xe9", b"a", b"Subject: x", b" "]),
    max_size=30,
).map(b"".join)


@given(octets=AWKWARD, cuts=st.lists(st.integers(0, 60), max_size=5), chunk=st.integers(1, 20))
def test_pieces_make_no_difference(octets: bytes, cuts: list[int], chunk: int) -> None:
    ends = sorted(min(cut, len(octets)) for cut in cuts)
    pieces = [octets[a:b] for a, b in zip([0, *ends], [*ends, len(octets)], strict=True)]
    matched = MatchDigest()
    writer = OctetsWriter(spool_at=0)
    for piece in pieces:
        matched.update(piece)
        writer.write(piece)
    whole, pieced, spooled = from_bytes(octets), from_chunks(pieces), writer.finish()
    assert pieced.digest == spooled.digest == whole.digest == hashlib.sha256(octets).digest()
    assert matched.digest() == whole.match_digest
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pop2imap.octets.CHUNK", chunk)
        for other in (pieced, spooled):
            assert other.match_digest == whole.match_digest
            assert other.likely_sizes == whole.likely_sizes
            assert b"".join(other.chunks()) == octets


def test_a_message_of_line_ends_alone_takes_no_memory_to_match() -> None:
    matched, plain = MatchDigest(), hashlib.sha256(b"a")
    matched.update(b"a")
    tracemalloc.start()
    try:
        for _ in range(500):
            matched.update(b"\n" * CHUNK)
            plain.update(b"\r\n" * CHUNK)
        matched.update(b"b")
        assert tracemalloc.get_traced_memory()[1] < 10 * CHUNK
    finally:
        tracemalloc.stop()
    plain.update(b"b\r\n")
    assert matched.digest() == plain.digest()


def test_a_large_message_does_not_stay_in_memory(tmp_path: Path) -> None:
    octets = bytes(SPOOL_AT + 1)
    stored = from_bytes(octets, tmp_path)
    assert (stored.in_memory, stored.size, stored.digest) == (
        0,
        SPOOL_AT + 1,
        hashlib.sha256(octets).digest(),
    )


def test_spooled_octets_are_the_same_octets(tmp_path: Path) -> None:
    octets = b"Subject: big\r\n\r\n" + bytes(range(256)) * 1000
    writer = OctetsWriter(tmp_path, spool_at=1000)
    for at in range(0, len(octets), 777):
        writer.write(octets[at : at + 777])
    spooled, held = writer.finish(), from_bytes(octets)
    assert spooled.in_memory == 0
    assert held.in_memory == len(octets)
    assert b"".join(spooled.chunks()) == octets
    assert b"".join(spooled.chunks()) == octets, "chunks may be asked for twice"
    assert (spooled.digest, spooled.match_digest, spooled.head()) == (
        held.digest,
        held.match_digest,
        b"Subject: big\r\n\r\n",
    )
    assert list(tmp_path.iterdir()) == [], "a spool file has no name"


def test_an_unwritable_spool_is_a_clear_error(tmp_path: Path) -> None:
    writer = OctetsWriter(tmp_path / "missing", spool_at=10)
    with pytest.raises(LocalIOError, match=r"missing: cannot spool a large message"):
        writer.write(b"x" * 11)


HEAD = b"From: a@example.com\r\nSubject: caf\xe9\r\n\r\n"


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (b"A: b\r\n\r\nx\ny\r\n", b"A: b\r\n\r\nx\r\ny\r\n"),
        (b"A: b\r\n\r\nx\r\r\ny\r\n", b"A: b\r\n\r\nx\r\ny\r\n"),
        (b"A: b\r\n\r\nx\ry\r\n", b"A: b\r\n\r\nxy\r\n"),
        (b"A: b\r\n\r\nx\0y\r\n", b"A: b\r\n\r\nx\x80y\r\n"),
        (b"A: b\r\n\r\nx", b"A: b\r\n\r\nx\r\n"),
        (HEAD + b"body\r\n", HEAD.replace(b"\xe9", b"X") + b"body\r\n"),
    ],
    ids=["bare LF", "CR CR LF", "bare CR", "NUL", "no last newline", "8-bit header"],
)
def test_a_rewritten_message_is_recognised(sent: bytes, kept: bytes) -> None:
    assert match_digest(sent) == match_digest(kept)
    assert from_bytes(sent).digest != from_bytes(kept).digest


@given(octets=AWKWARD)
def test_a_message_is_recognised_in_whatever_server_keeps_it(octets: bytes) -> None:
    for keeps in (dovecot_keeps, cyrus_keeps, courier_keeps):
        assert match_digest(keeps(octets)) == match_digest(octets)


@pytest.mark.parametrize(
    "octets",
    [b"A: b\r\n\r\nx\r\n", b"A: b\r\n\r\nna\xc3\xafve\r\n", b"A: b\r\n", b"\r\n"],
    ids=["text", "8-bit text", "no body", "an empty line"],
)
def test_the_match_digest_of_plain_mail_is_its_digest(octets: bytes) -> None:
    assert match_digest(octets) == hashlib.sha256(octets).digest()


@given(octets=AWKWARD.map(lambda text: text.replace(b"\r", b"").replace(b"\n", b"\r\n")))
def test_what_is_known_of_line_ends_changes_no_match_digest(octets: bytes) -> None:
    known = from_bytes(octets)
    known.crlf_only = True
    assert known.match_digest == match_digest(octets)


@pytest.mark.parametrize(
    ("octets", "plain"),
    [
        (b"\xe9: \0\r\n\n\0\xe9\r\r\n\r\n", b"X: X\r\n\r\n\x80\xe9\r\n"),
        (b"A: b\n\n\rx\n\n\n", b"A: b\r\n\r\nx\r\n"),
        (b"", b"\r\n"),
    ],
)
def test_other_mail_is_digested_in_plain_form(octets: bytes, plain: bytes) -> None:
    assert match_digest(octets) == hashlib.sha256(plain).digest()


@pytest.mark.parametrize(
    "other",
    [HEAD + b"bodyX\r\n", HEAD + b"bod\xe9\r\n", HEAD + b"bodX\r\n", b"X: y\r\n" + HEAD + b"body\r\n"],
)
def test_another_message_is_not(other: bytes) -> None:
    assert match_digest(other) != match_digest(HEAD + b"body\r\n")


def test_octets_of_the_body_above_127_count() -> None:
    assert match_digest(b"A: b\r\n\r\n\xe9") != match_digest(b"A: b\r\n\r\nX")
    assert match_digest(b"\r\n\xe9") != match_digest(b"\r\nX"), "also where there is no header"


@pytest.mark.parametrize(
    ("octets", "head"),
    [
        (b"A: b\r\n\r\nbody", b"A: b\r\n\r\n"),
        (b"A: b\n\nbody", b"A: b\n\n"),
        (b"\r\nbody", b"\r\n"),
        (b"\nbody", b"\n"),
        (b"A: b\r\n", b"A: b\r\n"),
        (b"", b""),
    ],
)
def test_the_head_ends_with_its_empty_line(octets: bytes, head: bytes) -> None:
    assert from_bytes(octets).head() == head


@given(octets=AWKWARD)
def test_the_size_that_a_server_makes_of_a_message_is_a_likely_one(octets: bytes) -> None:
    likely = from_bytes(octets).likely_sizes
    assert {len(octets), len(dovecot_keeps(octets)), len(cyrus_keeps(octets))} <= likely
    assert len(courier_keeps(octets)) in likely
