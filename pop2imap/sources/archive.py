"""An archive of mail files as one source: ``.zip``, ``.tar``, ``.tar.gz`` and so on.

What is mail in it: members that begin as an mbox does, or are called so; ``.eml`` and ``.emlx`` files, those of one
directory together being a folder. The name of a folder is that of its file, or directory, in the archive; what all of
them have in common above them says nothing. Names are only names: nothing is ever written under them.

A zip file is read from its list: each member is unpacked when its folder is opened, and what was unpacked goes when it
is closed. A tar file has no list, so one pass unpacks all the mail in it; a plain one is read where it lies.

An archive in an archive is not looked into; that is said, as is how many files are no mail. A member that cannot be had
is a folder with a fault. Where the end of the archive is missing, so is the rest of it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from pop2imap.errors import SourceDataError
from pop2imap.sources import Source, tar_file, zip_file
from pop2imap.sources.archive_mail import (
    NAME_LIMIT,
    START,
    Contents,
    Directory,
    EmlInArchive,
    EmlxInArchive,
    Mbox,
    OneFile,
    Sort,
    common,
    levels_of,
    own_name,
    split_path,
)
from pop2imap.sources.mbox_file import MboxFile, Spool, Stamp, open_file
from pop2imap.sources.packed import UnpackedMbox, folder_of, reader, spooled
from pop2imap.sources.settings import Settings
from pop2imap.sources.special_use import folder_name
from pop2imap.sources.takeout import Seen, TakeoutTree, once
from pop2imap.sources.tree import Found, Part, TreeSource
from pop2imap.sources.unpack import Content, Stream, bomb, is_bomb, packing_of
from pop2imap.text import printable

_PIECE = 1 << 18
_ZIP = (b"PK\3\4", b"PK\5\6")
_ENDINGS = (".zip", ".tar", ".tgz", ".tbz2", ".txz")


def kind_of_file(path: Path) -> Literal["zip", "tar", "packed", ""]:
    """Whether the file is a zip file; a tar file, packed or not; packed in another way; none of these, or unreadable.
    Raises SourceDataError where it cannot be opened, or is packed and nothing is installed that unpacks it."""
    where = printable(str(path))
    file = open_file(Path(os.path.realpath(path)), where)
    try:
        start = file.read_at(0, START)
        if start.startswith(_ZIP):
            return "zip"
        if packing := packing_of(start):
            start = _begin(Stream(reader(file), packing, where, step=START))
            return "tar" if tar_file.is_tar(start) else "packed"
    except OSError:
        return ""
    return "tar" if tar_file.is_tar(start) else ""


def archive_source(path: Path, settings: Settings) -> TreeSource:
    """The mail in the archive ``path``. ``settings.labels``: where it is an export of Takeout, folders are those of the
    labels. Opening it raises SourceDataError where there is no mail, or too many files, LocalIOError where there is no
    room for what is unpacked."""
    archive = Archive(path, settings)
    if settings.labels:
        return TakeoutTree(archive.id, "archive", archive.find)
    return TreeSource(archive.id, "archive", archive.find)


class Archive:
    """What is found in ``path`` is kept as long as the file stays as it is."""

    def __init__(self, path: Path, settings: Settings) -> None:
        self.path = Path(os.path.realpath(path))
        self.id = f"archive:{self.path}"
        self._settings = settings
        self._where = printable(str(self.path))
        self._found: tuple[Stamp, Contents] | None = None

    def find(self, seen: Seen | None = None) -> Found:
        """``seen`` is given where labels count. Raises SourceDataError, LocalIOError."""
        file = open_file(self.path, self._where)
        stamp = file.stamp()
        if self._found is None or self._found[0] != stamp:
            self._found = None
            try:
                self._found = stamp, _look_into(file, self._where, self._settings.spool)
            except OSError as error:
                raise SourceDataError(f"cannot be read: {error.strerror}", where=self._where) from None
        contents = self._found[1]
        if not contents.mail:
            remarks = contents.remarks()
            said = f": {contents.fault}" if contents.fault else "; ".join(["", *map(str, remarks)])
            raise SourceDataError(f"there is no mail in it{said}", where=self._where)
        parts = self._parts(contents.mail, seen)
        if contents.fault:
            said = f"{contents.fault}: what came after it is lost; fetch the file again"
            parts.append(Part("what is missing", "", fault=said))
        fact = f"an archive of {stamp.size:,} octets with {len(contents.mail):,} folders: {self._where}"
        return Found(parts, (fact,), contents.remarks())

    def _parts(self, mail: Sequence[Mbox | Directory], seen: Seen | None) -> list[Part]:
        levels = [levels_of(one) or [_stem(self.path.name)] for one in mail]
        cut = common(levels)
        parts: dict[str, Part] = {}
        for one, its in zip(mail, levels, strict=True):
            name = one.name if isinstance(one, Mbox) else f"{one.name}/*.{one.sort}"
            name = own_name(parts, name)
            parts[name] = self._part(one, name, folder_name(its[cut:]), seen)
        return sorted(parts.values(), key=lambda part: part.folder != "INBOX")

    def _part(self, mail: Mbox | Directory, name: str, folder: str, seen: Seen | None) -> Part:
        settings = self._settings
        if isinstance(mail, Directory):
            made: type[EmlInArchive | EmlxInArchive] = EmlInArchive if mail.sort == "eml" else EmlxInArchive
            path = self.path.joinpath(*split_path(mail.name))
            return Part(name, folder, partial(made, self.id, folder, path, settings, mail.load))
        if mail.fault:
            return Part(name, folder, fault=f"{printable(mail.name, 80)}: {mail.fault}")
        labelled = seen is not None and mail.takeout
        if not labelled:
            settings = settings._replace(labels="")
        where = f"{printable(mail.name, 80)} in {self._where}"

        def make() -> Source:
            return UnpackedMbox(self.id, folder, where, mail.get, settings)

        part = Part(name, folder, make)
        return once(part, seen) if labelled and seen is not None else part


def _look_into(file: MboxFile, where: str, spool: Path | None) -> Contents:
    """Raises SourceDataError, LocalIOError, OSError."""
    start = file.read_at(0, START)
    if start.startswith(_ZIP):
        return _Zip(file, where, spool).contents
    if packing := packing_of(start):
        stream = Stream(reader(file), packing, where)
        with Spool(spool, where, "what is unpacked", leave_room=True) as copy:
            return _Tar(tar_file.Pieces(stream.pieces()), where, stream, copy, copy.file()).contents
    return _Tar(tar_file.InFile(file), where, None, None, file).contents


class _Zip:
    """Looks at the beginning of every member."""

    def __init__(self, file: MboxFile, where: str, spool: Path | None) -> None:
        self._file, self._where, self._spool = file, where, spool
        self._size = file.stamp().size
        self._unpacked: dict[int, int] = {}  # octets that came out of the members, by their offsets
        self._total = 0
        self.contents = Contents(where)
        directories: dict[tuple[str, Sort], list[zip_file.Member]] = {}
        for member in zip_file.members(file, where):
            self.contents.count()
            if not member.size and not member.crc:
                continue
            start = b"" if member.fault else self._begin(member)
            sort = self.contents.sort(member.name, start)
            if sort == "mbox":
                get = partial(self._get, member)
                self.contents.add_mbox(member.name, start, get, member.fault)
            elif sort:
                directories.setdefault((member.name.rpartition("/")[0], sort), []).append(member)
        self.contents.mail += [
            Directory(name, sort, partial(self._load, members))
            for (name, sort), members in directories.items()
        ]

    def _begin(self, member: zip_file.Member) -> bytes:
        try:
            return _begin(zip_file.opened(self._file, member, self._where, step=START))
        except SourceDataError:
            return b""  # said when it is opened

    def _stream(self, member: zip_file.Member) -> Stream:
        name = f"{printable(member.name, 80)} in {self._where}"
        return zip_file.opened(self._file, member, name)

    def _get(self, member: zip_file.Member) -> Content:
        try:
            stream = self._stream(member)
            content = spooled(stream, self._where, self._spool)
        except OSError as error:
            raise SourceDataError(f"cannot be read: {error.strerror}", where=self._where) from None
        self._count(member, stream)
        return content

    def _load(self, members: Sequence[zip_file.Member]) -> tuple[MboxFile, Mapping[str, OneFile]]:
        files: dict[str, OneFile] = {}
        with Spool(self._spool, self._where, "what is unpacked", leave_room=True) as copy:
            for member in members:
                name = own_name(files, split_path(member.name)[-1][-NAME_LIMIT:])
                start = copy.size
                if fault := member.fault:
                    files[name] = OneFile(start, member.size, fault)
                    continue
                try:
                    stream = self._stream(member)
                    for piece in stream.pieces():
                        copy.write(piece)
                    fault = stream.fault
                except OSError as error:
                    raise SourceDataError(f"cannot be read: {error.strerror}", where=self._where) from None
                except SourceDataError as error:
                    fault = str(error)
                else:
                    self._count(member, stream)
                files[name] = OneFile(start, copy.size - start, fault)
            return copy.file(), files

    def _count(self, member: zip_file.Member, stream: Stream) -> None:
        """Members may lie over each other, so that each is small and all together are a bomb."""
        self._total += stream.size - self._unpacked.get(member.offset, 0)
        self._unpacked[member.offset] = stream.size
        if is_bomb(self._total, self._size):
            raise bomb(self._where)


class _Tar:
    """Goes through the file once. With ``copy``, what is mail is copied to it; ``file`` is that copy, or the file
    itself."""

    def __init__(
        self,
        octets: tar_file.Pieces | tar_file.InFile,
        where: str,
        stream: Stream | None,
        copy: Spool | None,
        file: MboxFile,
    ) -> None:
        self._octets, self._copy, self._file = octets, copy, file
        self._size = 0 if copy else file.stamp().size
        self.contents = contents = Contents(where)
        self._mboxes: list[
            tuple[str, bytes, OneFile, int]
        ] = []  # with the offset in the tar file where each ends
        self._files: dict[tuple[str, Sort], dict[str, tuple[OneFile, int]]] = {}
        try:
            tar_file.members(octets, self._member)
        except tar_file.DamagedTarError as error:
            contents.fault = str(error)
        octets.skip(1 << 62)  # what follows tells whether the whole was right
        usable: int | None = None
        if stream is not None and stream.fault:
            contents.fault, usable = stream.fault, stream.usable
        self._end(usable)

    def _member(self, member: tar_file.Member) -> None:
        self.contents.count()
        if not member.size:
            return
        octets = self._octets
        at = octets.position
        start = octets.take(min(START, member.size))
        sort = self.contents.sort(member.name, start)
        if not sort:
            return
        one = self._copied(start, member.size) if self._copy else self._in_place(at, member.size)
        if sort == "mbox":
            self._mboxes.append((member.name, start, one, at + member.size))
        else:
            directory, _, name = member.name.replace("\\", "/").rpartition("/")
            files = self._files.setdefault((directory, sort), {})
            files[own_name(files, name[-NAME_LIMIT:])] = one, at + member.size

    def _copied(self, start: bytes, size: int) -> OneFile:
        assert self._copy is not None
        assert isinstance(self._octets, tar_file.Pieces)
        at = self._copy.size
        self._copy.write(start)
        missing = size - len(start)
        while missing and (piece := self._octets.some(min(missing, _PIECE))):
            self._copy.write(piece)
            missing -= len(piece)
        return OneFile(at, size - missing, "the tar file is cut off in it" if missing else "")

    def _in_place(self, at: int, size: int) -> OneFile:
        cut = at + size > self._size
        there = max(min(size, self._size - at), 0)
        return OneFile(at, there, "the tar file is cut off in it" if cut else "")

    def _end(self, usable: int | None) -> None:
        """``usable``: what is right of a packed file of which something is wrong."""

        def judged(one: OneFile, end: int) -> OneFile:
            if usable is None or end <= usable:
                return one
            return one._replace(size=max(one.size - (end - usable), 0), fault=self.contents.fault)

        for name, start, one, end in self._mboxes:
            its = judged(one, end)
            content = partial(self._get, its)
            self.contents.add_mbox(name, start, content)
        for (directory, sort), files in self._files.items():
            right = {name: judged(one, end) for name, (one, end) in files.items()}
            self.contents.mail.append(Directory(directory, sort, partial(self._given, right)))

    def _get(self, one: OneFile) -> Content:
        return Content(self._file.window(one.start, one.size), one.size, one.fault)

    def _given(self, files: Mapping[str, OneFile]) -> tuple[MboxFile, Mapping[str, OneFile]]:
        return self._file, files


def _begin(stream: Stream) -> bytes:
    """The first octets of what comes out, START of them if there are as many."""
    start = b""
    for piece in stream.pieces():
        start += piece
        if len(start) >= START:
            break
    return start[:START]


def _stem(name: str) -> str:
    name = folder_of(name)
    stem, dot, ending = name.rpartition(".")
    return stem if stem and dot + ending.lower() in _ENDINGS else name
