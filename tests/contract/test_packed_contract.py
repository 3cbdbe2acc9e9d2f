"""Packed mbox files, archives and exports of Takeout keep the contract of a source."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from pathlib import Path

import pytest

from pop2imap.errors import SourceDataError
from pop2imap.sources import Source
from pop2imap.sources.archive import archive_source
from pop2imap.sources.packed import PackedMbox
from pop2imap.sources.settings import Settings
from pop2imap.sources.takeout import takeout_source
from pop2imap.sources.unpack import _zstd
from tests.contract.source import MAIL, MakeSource, PartlyUnreadableContract, SourceContract
from tests.contract.test_mbox_contract import LOOKS_LIKE_MBOX, as_mbox
from tests.corpus.takeout import Exported, as_takeout, by_label


def _has_zstd() -> bool:
    try:
        return bool(_zstd())
    except SourceDataError:
        return False


needs_zstd = pytest.mark.skipif(not _has_zstd(), reason="neither Python 3.14 nor backports.zstd is here")


class _Packed(SourceContract):
    @pytest.fixture
    def mail(self) -> list[bytes]:
        return [*MAIL, LOOKS_LIKE_MBOX]

    def pack(self, octets: bytes) -> bytes:
        raise NotImplementedError

    @pytest.fixture
    def make(self, mail: list[bytes], tmp_path: Path) -> MakeSource:
        path = tmp_path / "mail.mbox.packed"
        path.write_bytes(self.pack(as_mbox(mail)))
        return lambda: PackedMbox(path, Settings(spool=tmp_path))


class TestGzip(_Packed):
    def pack(self, octets: bytes) -> bytes:
        return gzip.compress(octets)


class TestGzipInMembers(_Packed):
    """As ``gzip -c >>`` writes them, with padding at the end."""

    def pack(self, octets: bytes) -> bytes:
        third = len(octets) // 3
        parts = (octets[:third], octets[third : 2 * third], b"", octets[2 * third :])
        return b"".join(gzip.compress(part) for part in parts) + bytes(300)


class TestBzip2(_Packed):
    def pack(self, octets: bytes) -> bytes:
        return bz2.compress(octets[:5000]) + bz2.compress(octets[5000:])


class TestXz(_Packed):
    def pack(self, octets: bytes) -> bytes:
        return lzma.compress(octets[:5000]) + lzma.compress(octets[5000:]) + bytes(4)


@needs_zstd
class TestZstd(_Packed):
    def pack(self, octets: bytes) -> bytes:
        packed: bytes = _zstd().compress(octets[:5000]) + _zstd().compress(octets[5000:])
        return packed


def as_zip(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, octets in members.items():
            archive.writestr(name, octets)
    return file.getvalue()


def as_tar(members: dict[str, bytes], mode: str = "w", form: int = tarfile.PAX_FORMAT) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode, format=form) as archive:  # type: ignore[call-overload]
        for name, octets in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(octets)
            archive.addfile(info, io.BytesIO(octets))
    return file.getvalue()


class _Archive(SourceContract):
    def members(self, mail: list[bytes]) -> dict[str, bytes]:
        """Three folders."""
        return {
            "mail/Inbox.mbox": as_mbox(mail[:3]),
            "mail/Sent": as_mbox(mail[3:5]),
            "mail/x/y.mbox": as_mbox(mail[5:]),
        }

    def pack(self, members: dict[str, bytes]) -> bytes:
        raise NotImplementedError

    @pytest.fixture
    def make(self, mail: list[bytes], tmp_path: Path) -> MakeSource:
        path = tmp_path / "mail.packed"
        path.write_bytes(self.pack(self.members(mail)))
        return lambda: archive_source(path, Settings(spool=tmp_path))


class TestZip(_Archive):
    def pack(self, members: dict[str, bytes]) -> bytes:
        return as_zip(members)


class TestZipNotPacked(_Archive):
    def pack(self, members: dict[str, bytes]) -> bytes:
        return as_zip(members, zipfile.ZIP_STORED)


class TestZipOfBzip2(_Archive):
    def pack(self, members: dict[str, bytes]) -> bytes:
        return as_zip(members, zipfile.ZIP_BZIP2)


class TestZipOfSingleFiles(_Archive):
    def members(self, mail: list[bytes]) -> dict[str, bytes]:
        return {f"mail/{'ab'[nth > 3]}/{nth}.eml": octets for nth, octets in enumerate(mail)}

    def pack(self, members: dict[str, bytes]) -> bytes:
        return as_zip(members)


class TestTar(_Archive):
    def pack(self, members: dict[str, bytes]) -> bytes:
        return as_tar(members)


class TestTarGz(_Archive):
    def pack(self, members: dict[str, bytes]) -> bytes:
        return as_tar(members, "w:gz", tarfile.GNU_FORMAT)


class TestTarXz(_Archive):
    def pack(self, members: dict[str, bytes]) -> bytes:
        return as_tar(members, "w:xz", tarfile.USTAR_FORMAT)


class TestTarOfSingleFiles(TestZipOfSingleFiles):
    def pack(self, members: dict[str, bytes]) -> bytes:
        return as_tar(members, "w:bz2")


class _Takeout(SourceContract):
    @pytest.fixture
    def mail(self) -> list[bytes]:
        return [octets for octets in MAIL if b"\r\n\r\n" in octets]

    @pytest.fixture
    def exported(self, mail: list[bytes]) -> list[Exported]:
        labels = ("Überblick", "Inbox", "Sent", "Work/Clients")
        return [
            Exported(nth, octets, (labels[0], labels[1 + nth % 3], "Opened"))
            for nth, octets in enumerate(mail)
        ]


class TestTakeoutInOneFile(_Takeout):
    @pytest.fixture
    def make(self, exported: list[Exported], tmp_path: Path) -> MakeSource:
        path = tmp_path / "Takeout" / "Mail"
        path.mkdir(parents=True)
        (path / "All mail Including Spam and Trash.mbox").write_bytes(b"".join(map(as_takeout, exported)))
        return lambda: takeout_source(tmp_path / "Takeout", Settings(spool=tmp_path, labels="all"))


class TestTakeoutByLabel(_Takeout):
    """Every message is in the first of the files."""

    def pack(self, files: dict[str, bytes]) -> bytes:
        files = {
            "Takeout/archive_browser.html": b"<html>",
            **{f"Takeout/Mail/{name}.mbox": files[name] for name in files},
        }
        return as_zip(dict(sorted(files.items(), key=lambda one: "Überblick" not in one[0])))

    @pytest.fixture
    def make(self, exported: list[Exported], tmp_path: Path) -> MakeSource:
        path = tmp_path / "takeout-20250101T000000Z-001.zip"
        path.write_bytes(self.pack(by_label(exported)))
        return lambda: archive_source(path, Settings(spool=tmp_path, labels="one"))


class TestPartlyUnreadableZip(PartlyUnreadableContract):
    @pytest.fixture
    def partly_unreadable(self, tmp_path: Path) -> Source:
        """A damaged member between two."""
        octets = as_zip({f"{nth}.mbox": as_mbox([MAIL[nth]]) for nth in range(3)}, zipfile.ZIP_STORED)
        at = octets.index(b"dots")
        path = tmp_path / "mail.zip"
        path.write_bytes(octets[:at] + b"Dots" + octets[at + 4 :])
        return archive_source(path, Settings(spool=tmp_path))


class TestPartlyUnreadableTar(PartlyUnreadableContract):
    @pytest.fixture
    def partly_unreadable(self, tmp_path: Path) -> Source:
        path = tmp_path / "mail.tgz"
        octets = as_tar({"a/0.eml": MAIL[0], "b/1.emlx": b"no length", "c/2.eml": MAIL[2]}, "w:gz")
        path.write_bytes(octets)
        return archive_source(path, Settings(spool=tmp_path))
