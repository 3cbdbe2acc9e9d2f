"""Packed mbox files: cut off and damaged anywhere, and bombs."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pop2imap.errors import LocalIOError, SourceDataError
from pop2imap.model import Account, Message, Unread
from pop2imap.sources.mbox import MboxSource
from pop2imap.sources.packed import PackedMbox, folder_of
from pop2imap.sources.settings import Settings
from pop2imap.sources.unpack import FREE, Stream
from tests.contract.test_mbox_contract import as_mbox

MAIL = [b"From: alice@example.com\r\nSubject: %d\r\n\r\nHello %d.\r\n" % (nth, nth) for nth in range(4)]
PACK: dict[str, Callable[[bytes], bytes]] = {
    "gz": lambda octets: gzip.compress(octets, mtime=0),
    "bz2": bz2.compress,
    "xz": lzma.compress,
}


def items(path: Path, **kept: str) -> list[Message | Unread]:
    source = PackedMbox(path, Settings(spool=path.parent, **kept))  # type: ignore[arg-type]
    try:
        source.open()
        refs = source.list().refs
        found = list(source.read(refs))
        assert [item.position for item in found] == list(range(1, len(refs) + 1))
        assert [item.key for item in source.peek(refs)] == [item.key for item in found]
        return found
    finally:
        source.close(settled=False)


def octets_of(found: list[Message | Unread]) -> list[bytes]:
    return [b"".join(item.octets.chunks()) for item in found if isinstance(item, Message)]


def lost(found: list[Message | Unread]) -> list[Unread]:
    return [item for item in found if isinstance(item, Unread)]


@pytest.mark.parametrize("packing", PACK)
def test_cut_off_anywhere_what_came_before_is_moved_and_nothing_in_part(packing: str, tmp_path: Path) -> None:
    whole = PACK[packing](as_mbox(MAIL))
    path = tmp_path / "mail"
    most = 0
    for end in range(8, len(whole)):
        path.write_bytes(whole[:end])
        found = items(path)
        moved = octets_of(found)
        assert moved == MAIL[: len(moved)]
        (last,) = lost(found)
        assert last is found[-1]
        assert last.account is Account.UNREADABLE
        assert f"cut off after {end:,} octets" in last.reason
        most = max(most, len(moved))
    assert most == 3 or packing != "gz"
    path.write_bytes(whole)
    assert octets_of(items(path)) == MAIL


@pytest.mark.parametrize("packing", PACK)
def test_an_octet_that_is_wrong_moves_nothing_wrong(packing: str, tmp_path: Path) -> None:
    """The first member is right, the second is not."""
    first, second = PACK[packing](as_mbox(MAIL[:2])), PACK[packing](as_mbox(MAIL[2:]))
    path = tmp_path / "mail"
    for at in range(len(second)):
        path.write_bytes(first + second[:at] + bytes([second[at] ^ 0x55]) + second[at + 1 :])
        found = items(path)
        moved = octets_of(found)
        assert moved == MAIL[: len(moved)], at
        if not lost(found):
            assert moved == MAIL  # in what says nothing: the time, the system
        elif "cut off" not in lost(found)[0].reason:  # it may seem to be longer than it is
            assert moved == MAIL[:1]


def test_what_is_cut_off_in_the_middle_of_a_second_member(tmp_path: Path) -> None:
    first, second = gzip.compress(as_mbox(MAIL[:2])), gzip.compress(as_mbox(MAIL[2:]))
    path = tmp_path / "mail.gz"
    for end in range(1, len(second)):
        path.write_bytes(first + second[:end])
        found = items(path)
        assert octets_of(found) == MAIL[: len(found) - 1]
        assert len(lost(found)) == 1


def test_what_follows_and_is_not_packed_is_said(tmp_path: Path) -> None:
    path = tmp_path / "mail.gz"
    path.write_bytes(gzip.compress(as_mbox(MAIL)) + b"From here on it is text")
    found = items(path)
    assert octets_of(found) == MAIL[:3]
    assert "what follows octet" in lost(found)[0].reason


def test_with_lengths_no_part_of_a_message_is_taken_for_one(tmp_path: Path) -> None:
    """mboxcl2: a message that is cut off holds what looks like a From_ line."""
    from_line = b"From alice@example.com Thu Nov 29 19:33:09 2018\n"
    bodies = (b"one\n", b"two\n\n" + from_line + b"Subject: inside\n\ntext\n\nmore\n")
    mail = [b"Subject: x\nContent-Length: %d\n\n" % len(body) + body for body in bodies]
    text = b"".join(from_line + octets + b"\n" for octets in mail)
    path = tmp_path / "mail.gz"
    for end in range(text.index(b"inside"), len(text) - 2):
        path.write_bytes(zlib_cut(text, end))
        assert octets_of(items(path)) == [mail[0].replace(b"\n", b"\r\n")]


def zlib_cut(text: bytes, end: int) -> bytes:
    """A gzip stream of the first ``end`` octets that is cut off after them."""
    packer = zlib.compressobj(wbits=31)
    return packer.compress(text[:end]) + packer.flush(zlib.Z_SYNC_FLUSH)


def test_keys_and_octets_are_those_of_the_file_unpacked(tmp_path: Path) -> None:
    (tmp_path / "mail.mbox").write_bytes(as_mbox(MAIL))
    (tmp_path / "mail.mbox.gz").write_bytes(gzip.compress(as_mbox(MAIL)))
    plain = MboxSource(tmp_path / "mail.mbox")
    packed = PackedMbox(tmp_path / "mail.mbox.gz", Settings())
    names = []
    for source in (plain, packed):
        source.open()
        names.append([(ref.key.name, ref.key.nth) for ref in source.list().refs if ref.key])
        source.close(settled=True)
    assert names[0] == names[1]
    assert packed.id == f"mbox:{tmp_path}/mail.mbox.gz"
    assert packed.folder == plain.folder == "mail"


def test_the_same_message_from_a_whole_file_later_is_no_other(tmp_path: Path) -> None:
    path = tmp_path / "mail.gz"
    path.write_bytes(zlib_cut(as_mbox(MAIL), len(as_mbox(MAIL))))
    cut = items(path)
    path.write_bytes(gzip.compress(as_mbox(MAIL)))
    assert [item.key for item in items(path)] == [item.key for item in cut]


@pytest.mark.parametrize(
    ("name", "folder"),
    [("a.mbox.gz", "a"), ("a.gz", "a"), ("a.b.XZ", "a.b"), ("a.mbox", "a"), (".gz", ".gz"), ("a.zst", "a")],
)
def test_the_folder_is_called_as_the_file_without_its_endings(name: str, folder: str) -> None:
    assert folder_of(name) == folder


def test_an_empty_mbox_packed_is_an_empty_mbox(tmp_path: Path) -> None:
    path = tmp_path / "mail.gz"
    path.write_bytes(gzip.compress(b""))
    assert items(path) == []


def test_what_is_no_mbox_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mail.gz"
    path.write_bytes(gzip.compress(b"Subject: a message\n\ntext"))
    with pytest.raises(SourceDataError, match="single message"):
        items(path)


def test_a_file_that_changes_while_it_is_read_is_said(tmp_path: Path) -> None:
    path = tmp_path / "mail.gz"
    path.write_bytes(gzip.compress(as_mbox(MAIL)))
    source = PackedMbox(path, Settings(spool=tmp_path))
    source.open()
    source.list()
    path.write_bytes(gzip.compress(as_mbox(MAIL)) * 2)
    (remark,) = source.close(settled=True)
    assert "grew" in remark.text
    source.open()
    assert len(source.list().refs) == 8
    assert source.close(settled=True) == ()


@pytest.mark.parametrize("packing", PACK)
def test_a_bomb_is_refused_and_takes_no_memory(packing: str, tmp_path: Path) -> None:
    path = tmp_path / "mail"
    path.write_bytes(b"".join(bombs(packing)))
    tracemalloc.start()
    with pytest.raises(SourceDataError, match="200 times"):
        items(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16 << 20
    assert [one.name for one in tmp_path.iterdir()] == ["mail"]


def bombs(packing: str) -> Iterator[bytes]:
    text = b"From alice@example.com Thu Nov 29 19:33:09 2018\n\n" + bytes(FREE + (1 << 20))
    yield PACK[packing](text)


def test_no_room_is_said(tmp_path: Path) -> None:
    path = tmp_path / "mail.gz"
    path.write_bytes(gzip.compress(as_mbox(MAIL)))
    source = PackedMbox(path, Settings(spool=tmp_path / "missing"))
    with pytest.raises(LocalIOError, match="cannot keep what is unpacked"):
        source.open()


@given(st.lists(st.binary(max_size=3000), min_size=1, max_size=4), st.sampled_from(sorted(PACK)), st.data())
@settings(max_examples=200, deadline=None)
def test_what_comes_out_is_what_went_in(texts: list[bytes], packing: str, data: st.DataObject) -> None:
    packed = b"".join(map(PACK[packing], texts))
    end = data.draw(st.integers(1, len(packed)))
    step = data.draw(st.sampled_from([1, 7, 100, 1 << 16]))
    for length in (len(packed), end):
        rest = packed[:length]

        def read(most: int) -> bytes:
            nonlocal rest
            some, rest = rest[: min(most, step)], rest[min(most, step) :]
            return some

        stream = Stream(read, packing, "a file", step=max(step, 100))
        octets = b"".join(stream.pieces())
        whole = b"".join(texts)
        assert whole.startswith(octets)
        assert stream.usable == stream.size == len(octets)
        if length == len(packed):
            assert octets == whole
            assert not stream.fault
        assert stream.fault or len(octets) in [sum(map(len, texts[:nth])) for nth in range(len(texts) + 1)]
