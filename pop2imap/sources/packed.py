"""An mbox that lies packed in another file: ``mail.mbox.gz``, or a member of an archive.

Messages are read by their offsets, so it is unpacked into an unnamed temporary file first. Keys are those of the mbox
source: the id names the packed file, and the same mail in another file is recognised by its digest.

Where the end is missing (:mod:`pop2imap.sources.unpack`), what is there is mail as any other, but for its last message:
nobody can tell whether that is whole. It stands in the listing as one that cannot be had, with the reason, so that
nobody takes the file for complete. So it does when not even one message came.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pop2imap.errors import SourceDataError
from pop2imap.model import Account, Key, Message, Ref, Remark, Unread
from pop2imap.sources import Listing, ListProgress
from pop2imap.sources.mbox import MboxSource, Quoting
from pop2imap.sources.mbox_file import MboxFile, Spool, Stamp, open_file, what_changed
from pop2imap.sources.mbox_flags import content_length
from pop2imap.sources.mbox_index import Index
from pop2imap.sources.mbox_slice import Slice, read_fully
from pop2imap.sources.settings import Settings
from pop2imap.sources.unpack import AND_SO, PACKINGS, Content, Stream, packing_of
from pop2imap.text import printable

_FROM = b"From "
_NOTHING = hashlib.sha256().hexdigest()


class UnpackedMbox(MboxSource):
    """An mbox that ``get`` unpacks. ``get`` raises SourceDataError, LocalIOError."""

    def __init__(
        self,
        id: str,  # noqa: A002
        folder: str,
        where: str,
        get: Callable[[], Content],
        settings: Settings,
    ) -> None:
        super().__init__(
            None,
            quoting=Quoting(settings.quoting),
            keep_headers=settings.keep_headers,
            max_message_size=settings.max_message_size,
            spool=settings.spool,
            labels=settings.labels,
        )
        self.id, self.folder, self._where = id, folder, where
        self._through = f"in {where}"
        self._get = get
        self._start = b""
        self._nothing = False  # not one message came

    def _obtain(self) -> MboxFile:
        file, size, fault = self._get()
        self._withheld = f"{fault}: {AND_SO}" if fault else ""
        self._start = read_fully(file.read_at, 0, min(len(_FROM), size))
        return file.window(0, size)

    def open(self) -> tuple[str, ...]:
        """Raises SourceDataError for what cannot be read or is no mbox, LocalIOError when there is no room for what
        is unpacked."""
        self._nothing = False
        try:
            return super().open()
        except SourceDataError:
            if not self._withheld or not _FROM.startswith(self._start):
                raise
            self._nothing = True
            return (f"an mbox {self._through}, of which not one message can be had",)

    def list(self, progress: ListProgress | None = None) -> Listing:
        self._sure = 0
        if not self._nothing:
            listing = super().list(progress)
            self._sure = self._find_sure() if self._withheld else len(listing.refs)
            if not self._withheld or listing.refs:
                return listing
        self._index = Index(self.id)
        if progress:
            progress(0, 0)
        return Listing([Ref(1, Key(self.id, _NOTHING), 0)], 0)

    def _find_sure(self) -> int:
        """How many messages are surely those of the file. Where lengths told messages from text, and one is longer
        than what is left, what seems to be a message after it may be its text."""
        at = self._index.exact_lengths
        if at >= len(self._index):
            return at
        file = self._opened()
        offset, start, end = self._index.place(at)
        head = Slice(file.read_at, offset, start, end).head.raw
        length = content_length(head)
        beyond = length is not None and start + len(head) + length > file.stamp().size
        return at if beyond else len(self._index)

    def read(self, refs: Sequence[Ref]) -> Iterator[Message | Unread]:
        return self._nothings(refs) if self._is_empty else super().read(refs)

    def peek(self, refs: Sequence[Ref]) -> Iterator[Message | Unread]:
        return self._nothings(refs) if self._is_empty else super().peek(refs)

    @property
    def _is_empty(self) -> bool:
        return bool(self._withheld) and not self._index

    def _nothings(self, refs: Sequence[Ref]) -> Iterator[Message | Unread]:
        for ref in refs:
            yield Unread(ref.position, ref.key, Account.UNREADABLE, self._withheld)

    def close(self, *, settled: bool) -> tuple[Remark, ...]:
        """What was unpacked goes."""
        self._file = None
        return ()


class PackedMbox(UnpackedMbox):
    """The mbox in the packed file ``path``. It is unpacked once, and again if it was changed since."""

    def __init__(self, path: Path, settings: Settings) -> None:
        self._packed_path = Path(os.path.realpath(path))
        where = printable(str(self._packed_path))
        super().__init__(
            f"mbox:{self._packed_path}",
            folder_of(self._packed_path.name),
            where,
            self._unpack,
            settings,
        )
        self._content: tuple[Stamp, Content] | None = None
        self._packed: MboxFile | None = None

    def _unpack(self) -> Content:
        self._packed = packed = open_file(self._packed_path, self._where)
        stamp = packed.stamp()
        if self._content is None or self._content[0] != stamp:
            self._content = None
            self._content = stamp, unpacked(packed, self._where, self._spool)
        return self._content[1]

    def close(self, *, settled: bool) -> tuple[Remark, ...]:
        """``settled`` makes no difference: nothing ever happens to the file."""
        super().close(settled=settled)
        packed, self._packed = self._packed, None
        if packed is None or self._content is None:
            return ()
        changed = what_changed(self._packed_path, packed, self._content[0])
        packed.close()
        return (Remark(f"{self._where} {changed}"),) if changed else ()


def unpacked(file: MboxFile, where: str, spool: Path | None) -> Content:
    """All of the packed ``file``, in an unnamed file in ``spool``. Raises SourceDataError, LocalIOError."""
    try:
        stream = Stream(reader(file), packing_of(file.read_at(0, 8)), where)
        return spooled(stream, where, spool)
    except OSError as error:
        raise SourceDataError(f"cannot be read: {error.strerror}", where=where) from error


def spooled(stream: Stream, where: str, spool: Path | None) -> Content:
    """What comes out of ``stream``. Raises as it does, and LocalIOError."""
    with Spool(spool, where, "what is unpacked", leave_room=True) as copy:
        for piece in stream.pieces():
            copy.write(piece)
        return Content(copy.file(), stream.usable, stream.fault)


def reader(file: MboxFile, start: int = 0, size: int | None = None) -> Callable[[int], bytes]:
    """Reads on in ``file``, from ``start`` on, up to ``size`` octets."""
    at, end = start, None if size is None else start + size

    def read(most: int) -> bytes:
        nonlocal at
        octets = file.read_at(at, most if end is None else min(most, end - at))
        at += len(octets)
        return octets

    return read


def packing_of_file(path: Path) -> str:
    """How the file is packed: a key of ``PACKINGS``; empty if it is not, or cannot be read."""
    with contextlib.suppress(OSError, SourceDataError):
        return packing_of(open_file(Path(os.path.realpath(path)), printable(str(path))).read_at(0, 8))
    return ""


def folder_of(name: str) -> str:
    """The name of the folder that the file ``name`` is of: without ``.gz``, and without ``.mbox``."""
    for endings in ({f".{packing}" for packing in PACKINGS}, {".mbox", ".mbx"}):
        stem, dot, ending = name.rpartition(".")
        if stem and dot + ending.lower() in endings:
            name = stem
    return name
