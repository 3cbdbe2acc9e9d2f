"""What is mail among the members of an archive, and the folders it makes."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from pop2imap.errors import SourceDataError
from pop2imap.model import Remark
from pop2imap.sources.apple_mail import EmlxFolder, is_emlx
from pop2imap.sources.eml import EmlFolder, is_eml
from pop2imap.sources.file_folder import Fault, FileFolder, OpenFile
from pop2imap.sources.mbox_file import MboxFile
from pop2imap.sources.mbox_from import Look, look
from pop2imap.sources.mbox_slice import ReadAhead
from pop2imap.sources.settings import Settings
from pop2imap.sources.takeout import begins_like_takeout
from pop2imap.sources.unpack import PACKINGS, Content
from pop2imap.text import printable

MEMBERS = 100_000
"""Members that an archive may have."""

NAME_LIMIT = 200
"""Characters of the name of a file, from its end, that are kept."""

START = 512
"""Octets of a member that tell what it is."""

Sort = Literal["mbox", "eml", "emlx", ""]

_BEGINS = re.compile(rb"(?:\xef\xbb\xbf)?(?:\r?\n)*(From [^\n]*)\n")
_MBOX = (".mbox", ".mbx")
_ARCHIVES = (".zip", ".tar", ".tgz", ".tbz2", ".txz", ".7z", ".rar", *(f".{packing}" for packing in PACKINGS))
_PACKED = (b"PK\3\4", b"7z\xbc\xaf\x27\x1c", b"Rar!", *PACKINGS.values())
_ENDING = re.compile(r"(.+)\.(?:mbox|mbx|sbd|fol)", re.IGNORECASE)
_DRIVE = re.compile(r"[A-Za-z]:")


class OneFile(NamedTuple):
    """A file of one message: where it lies in the file that ``Load`` gives. ``fault``: why it cannot be had."""

    start: int
    size: int
    fault: str = ""


Load = Callable[[], tuple[MboxFile, Mapping[str, OneFile]]]
"""Unpacks the files of one folder, and gives them by their names. Raises SourceDataError, LocalIOError."""


class Mbox(NamedTuple):
    """``name`` is its path in the archive. ``get`` raises SourceDataError, LocalIOError."""

    name: str
    get: Callable[[], Content]
    takeout: bool = False
    fault: str = ""


class Directory(NamedTuple):
    """The files of one message each that lie in one directory, ``name``."""

    name: str
    sort: Sort
    load: Load


@dataclass(slots=True)
class Contents:
    """What was found in an archive. ``where`` names it for people; ``fault``: its end is missing, or damaged."""

    where: str
    mail: list[Mbox | Directory] = field(default_factory=list)
    members: int = 0
    archives: int = 0
    others: int = 0
    fault: str = ""

    def count(self) -> None:
        """One more member. Raises SourceDataError where there are too many."""
        self.members += 1
        if self.members > MEMBERS:
            raise SourceDataError(
                f"there are more than {MEMBERS:,} files in it",
                where=self.where,
                todo="unpack it yourself, and name the directory",
            )

    def sort(self, name: str, start: bytes) -> Sort:
        """What sort of mail a member is, by its name and its first octets; empty if it is none."""
        levels = split_path(name)
        base = levels[-1] if levels else ""
        if base.startswith("._") or "__MACOSX" in levels[:1]:  # what macOS keeps beside each file
            return ""
        if is_eml(base):
            return "eml"
        if is_emlx(base):
            return "emlx"
        if base.lower().endswith(_MBOX) or (
            (begins := _BEGINS.match(start)) and look(begins[1]) is not Look.OTHER
        ):
            return "mbox"
        if base.lower().endswith(_ARCHIVES) or start.startswith(_PACKED):
            self.archives += 1
        else:
            self.others += 1
        return ""

    def add_mbox(self, name: str, start: bytes, get: Callable[[], Content], fault: str = "") -> None:
        self.mail.append(Mbox(name, get, begins_like_takeout(start), fault))

    def remarks(self) -> tuple[Remark, ...]:
        remarks = []
        if self.archives:
            said = "archives and compressed files in the archive are not looked into; unpack them yourself"
            remarks.append(Remark(said, self.archives))
        if self.others:
            remarks.append(Remark("files in the archive that are no mail are passed over", self.others))
        return tuple(remarks)


def split_path(path: str) -> list[str]:
    """The levels of a path in an archive, whoever wrote it: nothing of it leads out of the archive."""
    levels = path.replace("\\", "/").split("/")
    if _DRIVE.fullmatch(levels[0]):
        del levels[0]
    return [level for level in levels if level not in ("", ".", "..")]


def levels_of(mail: Mbox | Directory) -> list[str]:
    """The levels of the folder that it makes."""
    levels = split_path(mail.name)
    if isinstance(mail, Mbox) and len(levels) > 1 and levels[-1] == "mbox" and _ENDING.fullmatch(levels[-2]):
        del levels[-1]  # Apple Mail exports Name.mbox/mbox
    return [stripped[1] if (stripped := _ENDING.fullmatch(level)) else level for level in levels]


def common(paths: list[list[str]]) -> int:
    """How many levels above the last one all of them have in common."""
    above = [path[:-1] for path in paths]
    shortest = min(map(len, above), default=0)
    return next((at for at in range(shortest) if len({path[at] for path in above}) > 1), shortest)


def own_name(names: Mapping[str, object], name: str) -> str:
    """``name``, or one like it that is not among ``names`` yet: an archive may have several of one name."""
    stem, dot, ending = name.rpartition(".")
    nth = len(names)
    own = name
    while own in names:
        nth += 1
        own = f"{stem}~{nth}{dot}{ending}"
    return own


class _InArchive(FileFolder):
    """A folder whose files are unpacked when it is opened."""

    _file: MboxFile | None = None
    _members: Mapping[str, OneFile]
    _load: Load

    def open(self) -> tuple[str, ...]:
        """Raises SourceDataError, LocalIOError."""
        self._file, self._members = self._load()
        return (f"a folder of {self.kind}: {self._where}",)

    def close(self, *, settled: bool) -> tuple[Remark, ...]:
        """What was unpacked goes."""
        self._file = None
        return ()

    def _files(self) -> Iterator[tuple[tuple[object, ...], int, str, int]]:
        for name, one in self._members.items():
            order = self._order(name)
            yield (order or (name,)), 0, name, one.size

    @contextlib.contextmanager
    def _opened(self, place: int, name: str) -> Iterator[OpenFile]:
        one = self._members.get(name)
        if one is None:
            raise FileNotFoundError(name)
        if one.fault:
            raise Fault(one.fault)
        if not one.size:
            raise Fault("the file is empty")
        if self._file is None:
            raise RuntimeError("open() comes first")
        file = self._file.window(one.start, one.size)
        try:
            yield OpenFile(name, ReadAhead(file.read_at), one.size, 0)
        finally:
            file.close()


class EmlInArchive(_InArchive, EmlFolder):
    def __init__(self, id: str, folder: str, path: Path, settings: Settings, load: Load) -> None:  # noqa: A002
        super().__init__(id, folder, path, settings)
        self._load = load
        self._where = printable(str(path))


class EmlxInArchive(_InArchive, EmlxFolder):
    def __init__(self, id: str, folder: str, path: Path, settings: Settings, load: Load) -> None:  # noqa: A002
        super().__init__(id, folder, (path,), settings)
        self._load = load
        self._where = printable(str(path))
