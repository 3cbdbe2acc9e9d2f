"""Archives of mail: what is taken for mail, under which names, and what hostile or damaged ones do."""

from __future__ import annotations

import contextlib
import gzip
import io
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pop2imap.errors import SourceDataError
from pop2imap.model import Message, Unread
from pop2imap.sources import archive_mail, tar_file
from pop2imap.sources.archive import archive_source, kind_of_file
from pop2imap.sources.archive_mail import common, split_path
from pop2imap.sources.settings import Settings
from pop2imap.sources.unpack import FREE
from tests.contract.test_mbox_contract import as_mbox
from tests.contract.test_packed_contract import as_tar, as_zip
from tests.contract.test_stores_contract import emlx

MAIL = [b"From: alice@example.com\r\nSubject: %d\r\n\r\nHello %d.\r\n" % (nth, nth) for nth in range(6)]
PACKINGS = ("zip", "tar", "tgz")


def pack(packing: str, members: dict[str, bytes]) -> bytes:
    if packing == "zip":
        return as_zip(members)
    return as_tar(members, "w:gz" if packing == "tgz" else "w")


def look(path: Path, octets: bytes, **options: str) -> tuple[list[Message | Unread], list[str]]:
    """What is in it, and what is said."""
    path.write_bytes(octets)
    source = archive_source(path, Settings(spool=path.parent, **options))  # type: ignore[arg-type]
    try:
        source.open()
        listing = source.list()
        found = list(source.read(listing.refs))
        assert [item.key for item in found] == [ref.key for ref in listing.refs]
        assert len({item.key for item in found}) == len(found)
        return found, [str(remark) for remark in listing.remarks]
    finally:
        source.close(settled=False)
        assert [one.name for one in path.parent.iterdir()] == [path.name]


def folders(found: list[Message | Unread]) -> list[tuple[str, ...]]:
    return [item.folders for item in found if isinstance(item, Message)]


def octets_of(found: list[Message | Unread]) -> list[bytes]:
    return [b"".join(item.octets.chunks()) for item in found if isinstance(item, Message)]


def lost(found: list[Message | Unread]) -> list[str]:
    return [item.reason for item in found if isinstance(item, Unread)]


@pytest.mark.parametrize("packing", PACKINGS)
def test_folders_are_called_as_in_the_archive(packing: str, tmp_path: Path) -> None:
    members = {
        "export/Sent.mbox": as_mbox(MAIL[:1]),
        "export/Clients.sbd/ACME": as_mbox(MAIL[1:2]),
        "export/Lists/mbox": as_mbox(MAIL[2:3]),
        "export/Old.mbox/mbox": as_mbox(MAIL[3:4]),
        "export/single/2.eml": MAIL[4],
        "export/single/10.eml": MAIL[5],
        "export/notes.txt": b"From here on it is text.\n",
        "export/more.zip": b"PK\3\4",
        "export/__MACOSX/._a.eml": b"x",
    }
    found, said = look(tmp_path / "mail", pack(packing, members))
    assert folders(found) == [
        ("\\Sent",),
        ("Clients/ACME",),
        ("Lists/mbox",),
        ("Old",),
        ("single",),
        ("single",),
    ]
    assert octets_of(found) == MAIL
    assert any("not looked into" in one and "(1)" in one for one in said)
    assert any("no mail are passed over (1)" in one for one in said)


@pytest.mark.parametrize("packing", PACKINGS)
def test_names_lead_nowhere(packing: str, tmp_path: Path) -> None:
    names = (
        "../../etc/passwd.mbox",
        "/root/x.mbox",
        "C:\\mail\\y.mbox",
        "a\x1b[2J/\u202eb.mbox",
        "\\\\host\\z.mbox",
    )
    found, _ = look(tmp_path / "mail", pack(packing, {name: as_mbox([MAIL[0]]) for name in names}))
    assert sorted(folders(found)) == [
        ("a_[2J/_b",), ("etc/passwd",), ("host/z",), ("mail/y",), ("root/x",),
    ]  # fmt: skip


@given(st.text(max_size=60))
def test_a_path_has_no_levels_that_mean_anything(path: str) -> None:
    levels = split_path(path)
    assert not any("/" in level or "\\" in level or level in ("", ".", "..") for level in levels)


def test_what_all_have_in_common() -> None:
    assert common([["a", "b", "c"], ["a", "b", "d", "e"]]) == 2
    assert common([["a"], ["a", "b"]]) == 0
    assert common([["a", "b"]]) == 1


@pytest.mark.parametrize("packing", PACKINGS)
def test_emlx_files_have_their_flags(packing: str, tmp_path: Path) -> None:
    found, _ = look(tmp_path / "mail", pack(packing, {"a/1.emlx": emlx(MAIL[0]), "a/2.eml": MAIL[1]}))
    assert sorted(octets_of(found)) == MAIL[:2]
    assert {item.flags for item in found if isinstance(item, Message)} == {None, frozenset({"\\Seen"})}


def test_several_of_one_name_are_all_there(tmp_path: Path) -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for octets in (MAIL[0], MAIL[1], MAIL[1]):
            for name, text in (("a/x.eml", octets), ("b.mbox", as_mbox([octets]))):
                info = tarfile.TarInfo(name)
                info.size = len(text)
                archive.addfile(info, io.BytesIO(text))
    found, _ = look(tmp_path / "mail", file.getvalue())
    assert sorted(octets_of(found)) == sorted([MAIL[0], MAIL[1], MAIL[1]] * 2)


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_and_names_beyond_ascii(form: int, tmp_path: Path) -> None:
    name = "Überblick/" * 30 + "x.mbox"
    found, _ = look(
        tmp_path / "mail", as_tar({name: as_mbox(MAIL[:1]), "other.mbox": as_mbox(MAIL[1:2])}, "w", form)
    )
    assert folders(found)[0] == ("Überblick/" * 30 + "x",)
    assert folders(found)[1] == ("other",)


def test_links_and_devices_hold_no_mail(tmp_path: Path) -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE):
            info = tarfile.TarInfo("link.mbox")
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
        info = tarfile.TarInfo("a.mbox")
        info.size = len(as_mbox(MAIL))
        archive.addfile(info, io.BytesIO(as_mbox(MAIL)))
    found, _ = look(tmp_path / "mail", file.getvalue())
    assert octets_of(found) == MAIL


def test_an_archive_without_mail_is_refused(tmp_path: Path) -> None:
    for packing in PACKINGS:
        with pytest.raises(SourceDataError, match="there is no mail in it"):
            look(tmp_path / "mail", pack(packing, {"a.txt": b"nothing"}))


def test_what_a_file_is(tmp_path: Path) -> None:
    path = tmp_path / "x"
    for octets, kind in (
        (as_zip({"a": b"b"}), "zip"),
        (as_tar({"a": b"b"}), "tar"),
        (as_tar({"a": b"b"}, "w:xz"), "tar"),
        (gzip.compress(as_mbox(MAIL), mtime=0), "packed"),
        (as_mbox(MAIL), ""),
        (b"", ""),
        (bytes(2000), ""),
        (b"\x1f\x8b\x08", "packed"),
    ):
        path.write_bytes(octets)
        assert kind_of_file(path) == kind


# what is damaged


def test_a_damaged_member_of_a_zip_costs_that_member(tmp_path: Path) -> None:
    octets = as_zip({f"{nth}.mbox": as_mbox([MAIL[nth]]) for nth in range(3)}, zipfile.ZIP_STORED)
    at = octets.index(b"Subject: 1")
    found, _ = look(tmp_path / "mail", octets[:at] + b"X" + octets[at + 1 :])
    assert octets_of(found) == [MAIL[0], MAIL[2]]
    assert "check sum is wrong" in lost(found)[0]


def test_a_damaged_file_of_one_message_costs_that_message(tmp_path: Path) -> None:
    octets = as_zip({f"a/{nth}.eml": MAIL[nth] for nth in range(3)}, zipfile.ZIP_STORED)
    at = octets.index(b"Subject: 1")
    found, _ = look(tmp_path / "mail", octets[:at] + b"X" + octets[at + 1 :])
    assert octets_of(found) == [MAIL[0], MAIL[2]]
    assert len(lost(found)) == 1


def test_an_encrypted_member_is_said(tmp_path: Path) -> None:
    octets = bytearray(as_zip({"a.mbox": as_mbox(MAIL[:1]), "b.mbox": as_mbox(MAIL[1:2])}))
    octets[octets.index(b"PK\1\2") + 8] |= 1
    found, _ = look(tmp_path / "mail", bytes(octets))
    assert octets_of(found) == [MAIL[1]]
    assert "encrypted" in lost(found)[0]


def test_a_zip_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    octets = as_zip({"a.mbox": as_mbox(MAIL)})
    for end in range(30, len(octets), 7):
        with pytest.raises(SourceDataError, match="cut off or damaged"):
            look(tmp_path / "mail", octets[:end])


@pytest.mark.parametrize("packing", ["tar", "tgz"])
def test_a_tar_that_is_cut_off_gives_what_came_before(packing: str, tmp_path: Path) -> None:
    members = {
        "a.mbox": as_mbox(MAIL[:3]),
        "b/1.eml": MAIL[3],
        "b/2.eml": MAIL[4],
        "c.mbox": as_mbox(MAIL[5:]),
    }
    octets = pack(packing, members)
    most = 0
    for end in range(600 if packing == "tar" else 20, len(octets.rstrip(b"\0")), 11):
        path = tmp_path / "mail"
        try:
            found, _ = look(path, octets[:end])
        except SourceDataError:
            continue  # before there is any mail
        moved = octets_of(found)
        assert all(one in MAIL for one in moved)
        assert lost(found)
        assert "cut off" in lost(found)[-1]
        most = max(most, len(moved))
    assert most >= 5 or packing == "tgz"


@given(octets=st.binary(max_size=40), at=st.integers(0, 3000), packing=st.sampled_from(PACKINGS))
@settings(max_examples=300, deadline=None)
def test_nothing_in_an_archive_makes_it_fail_otherwise(
    octets: bytes, at: int, packing: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("x") / "mail"
    whole = pack(packing, {"a.mbox": as_mbox(MAIL[:2]), "b/1.eml": MAIL[3], "b/1.emlx": emlx(MAIL[4])})
    at %= len(whole)
    damaged = whole[:at] + octets + whole[at + len(octets) :]
    try:
        found, _ = look(path, damaged)
    except SourceDataError:
        return
    if packing != "tar":  # which has no check sums of what is in it
        assert all(one in MAIL for one in octets_of(found))


# what is hostile


def test_a_zip_with_too_many_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_mail, "MEMBERS", 50)
    for packing in PACKINGS:
        with pytest.raises(SourceDataError, match="more than 50 files"):
            look(tmp_path / "mail", pack(packing, {f"{nth}.mbox": as_mbox(MAIL[:1]) for nth in range(51)}))


def test_a_member_of_a_zip_that_is_a_bomb(tmp_path: Path) -> None:
    bomb = as_mbox(MAIL[:1]) + bytes(FREE + 100)
    found, _ = look(tmp_path / "mail", as_zip({"a.mbox": as_mbox(MAIL[:1]), "b.mbox": bomb}))
    assert octets_of(found) == MAIL[:1]
    assert "200 times" in lost(found)[0]


def test_members_that_lie_over_each_other_are_a_bomb_together(tmp_path: Path) -> None:
    text = as_mbox(MAIL[:1]) + b"\n" * (FREE // 3)
    octets = as_zip({"x.mbox": text})
    first = octets.index(b"PK\1\2")
    end = octets.rindex(b"PK\5\6")
    entry = octets[first:end]
    data = octets[:first]
    more = 6
    entries = b""
    local = struct.Struct("<4s5H3I2H")
    base = local.pack(b"PK\3\4", 20, 0, 8, 0, 33, zlib.crc32(text), len(data), len(text), 6, 0) + b"x.mbox"
    packed = data[30 + 6 :]
    body = b"".join(base for _ in range(more))  # headers one after the other, all for the same data
    for nth in range(more):
        offset = nth * len(base)
        extra = (more - 1 - nth) * len(base)
        central = bytearray(entry)
        struct.pack_into("<I", central, 42, offset)
        entries += bytes(central)
        local_header = bytearray(base)
        struct.pack_into("<H", local_header, 28, extra)
        body = body[:offset] + bytes(local_header) + body[offset + len(base) :]
    start = len(body) + len(packed)
    tail = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, more, more, len(entries), start, 0)
    found, _ = look(tmp_path / "mail", body + packed + entries + tail)
    assert any("200 times" in one for one in lost(found))


@pytest.mark.parametrize("packing", ["tgz"])
def test_a_tar_that_is_a_bomb(packing: str, tmp_path: Path) -> None:
    with pytest.raises(SourceDataError, match="200 times"):
        look(tmp_path / "mail", pack(packing, {"a.mbox": as_mbox(MAIL), "b.mbox": bytes(FREE + 100)}))


def test_a_tar_of_headers_without_end(tmp_path: Path) -> None:
    """A chain of long names, and an extended header of any length."""
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 2
    header.name = "././@LongLink"
    chain = (header.tobuf(tarfile.GNU_FORMAT) + b"y\0".ljust(512, b"\0")) * 5000
    huge = tarfile.TarInfo("x")
    huge.type, huge.size = tarfile.XHDTYPE, 1 << 40
    with pytest.raises(SourceDataError, match="no mail"):
        look(tmp_path / "mail", chain + huge.tobuf(tarfile.GNU_FORMAT))
    found, _ = look(tmp_path / "mail", chain + as_tar({"a.mbox": as_mbox(MAIL)}))
    assert octets_of(found) == MAIL


@given(st.binary(max_size=2000))
@settings(deadline=None)
def test_any_octets_are_a_tar_or_not(octets: bytes) -> None:
    seen: list[tar_file.Member] = []
    with contextlib.suppress(tar_file.DamagedTarError):
        tar_file.members(tar_file.Pieces(iter([octets])), seen.append)
