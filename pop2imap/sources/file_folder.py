"""One folder of a store that keeps one file for each message: listed by names and sizes, read file by file.

What differs from store to store is said by a subclass: which files are messages and in which order, what names one
(:meth:`FileFolder._key`), and what a file holds beside the message (:meth:`FileFolder._look`).

**Keys.** A store that never gives a name twice, as a Maildir does, names its messages so. Where names are reused (MH
renumbers, people export again into the same directory), a name would be taken for the message that had it before, and
the new one be left out. There the key is made of what is in the file: :func:`evidence`. It costs a look into each file
when the folder is listed. Messages that agree in all of that are told apart by their order.

**Line ends** are those of :mod:`pop2imap.sources.mbox_slice`: a message of LF lines gets CRLF, each LF once. In one of
CRLF lines nothing is changed. Its header decides, and where the header is of both kinds, its first line.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal, NamedTuple

from pop2imap.errors import SourceDataError
from pop2imap.model import Account, Message, Ref, Remark, Unread
from pop2imap.octets import HEAD_LIMIT, from_bytes, from_chunks
from pop2imap.sources import Listing, ListProgress, too_large
from pop2imap.sources.file_index import FileIndex
from pop2imap.sources.mbox_flags import ACCOUNT, UIDL, Head, State, end_of_head, is_crlf
from pop2imap.sources.mbox_slice import PIECE, ReadAhead, ReadAt, Slice, Unquote, read_fully
from pop2imap.sources.settings import Settings
from pop2imap.sources.walking import OPEN_DIRECTORY
from pop2imap.text import printable

_EVERY = 1000  # messages between two calls of a progress callback
_OPEN_AT_ONCE = 8  # directories of a folder
_HEAD = 1 << 14
_BODY = _TAIL = 1 << 12
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class OpenFile(NamedTuple):
    """``modified`` is in seconds since the epoch."""

    name: str
    read_at: ReadAt
    size: int
    modified: float


class Look(NamedTuple):
    """What a file holds: the offsets of a From_ line (``start`` if there is none), of the message, and after it.
    The rest is what the store says of the message, as in :class:`pop2imap.model.Message`."""

    offset: int
    start: int
    end: int
    flags: frozenset[str] | None = None
    discarded: str = ""
    partial: bool = False


class Fault(Exception):
    """Why a message cannot be had, in words."""

    def __init__(self, reason: str, account: Account = Account.UNREADABLE) -> None:
        super().__init__(reason)
        self.reason, self.account = reason, account


class FileFolder:
    """The messages in ``directories`` (without symbolic links), as a :class:`pop2imap.sources.Source`."""

    kind = "files"
    lists_by: Literal["octets", "messages"] = "messages"

    own_lines = False
    """Whether book-keeping lines in the header are the mail program's, and not what was received."""

    def __init__(self, id: str, folder: str, directories: Sequence[Path], settings: Settings) -> None:  # noqa: A002
        self.id = id
        self.folder = folder
        self.directories = directories
        self.settings = settings
        self._where = printable(str(directories[0]))
        self._handles: dict[int, int] = {}
        self._index = FileIndex(id)
        self._extra = getattr(os, "O_NOATIME", 0)

    # what a kind of store says

    def _order(self, name: str) -> tuple[object, ...] | None:
        """By which the messages are sorted; None if the file ``name`` is no message."""
        raise NotImplementedError

    def _key(self, name: str, file: OpenFile | None) -> str:
        """The name of the key, printable ASCII. ``file`` is None where it cannot be opened, or need not be."""
        return evidence(file.read_at, self._look(file), own=self.own_lines) if file else hashed(name)

    def _look(self, file: OpenFile) -> Look:
        """What is in ``file``. Raises OSError, Fault."""
        return Look(0, 0, file.size)

    def _began(self) -> None:
        """The folder was opened, or is listed again: what its own files say can be read. Raises SourceDataError."""

    def _moved(self, place: int, name: str) -> tuple[int, str] | None:
        """Where the file is now that is not where it was listed; None if it is gone."""
        return None

    def _tagged(self, name: str, state: State, head: Head) -> State:
        """The state of a message with what is said of it elsewhere; ``own_lines`` alone."""
        return state

    def _envelope_date(self, file: OpenFile, head: bytes) -> datetime | None:
        """As in :class:`pop2imap.model.Message`."""
        return None

    def _remarks(self) -> tuple[Remark, ...]:
        """What is to be said once the folder is listed."""
        return ()

    may_nest = True
    """Whether a directory in it is a folder of its own, whatever its name."""

    looks_inside = True
    """Whether files are opened when the folder is listed."""

    # the contract of a source

    def open(self) -> tuple[str, ...]:
        """Raises SourceDataError if the first of the directories cannot be read."""
        try:
            self._handle(0)
        except OSError as error:
            raise SourceDataError(f"cannot be read: {error.strerror}", where=self._where) from None
        return (f"a folder of {self.kind}: {self._where}",)

    def list(self, progress: ListProgress | None = None) -> Listing:
        self._began()
        self._index = index = FileIndex(self.id)
        found = sorted(self._files())
        for done, (_, place, name, size) in enumerate(found):
            if progress and done % _EVERY == 0:
                progress(done, len(found))
            index.add(place, name, *self._named(place, name, size))
        if progress:
            progress(len(found), len(found))
        index.count_repeats()
        return Listing(index, index.octets, remarks=self._remarks())

    def read(self, refs: Sequence[Ref]) -> Iterator[Message | Unread]:
        """Raises LocalIOError when there is no room for a large message."""
        self._began()
        for ref in refs:
            yield self._item(ref, whole=True)

    def peek(self, refs: Sequence[Ref]) -> Iterator[Message | Unread]:
        self._began()
        for ref in refs:
            yield self._item(ref, whole=False)

    def close(self, *, settled: bool) -> tuple[Remark, ...]:
        """``settled`` makes no difference: nothing ever happens to the files."""
        while self._handles:
            os.close(self._handles.popitem()[1])
        return ()

    # listing

    def _files(self) -> Iterator[tuple[tuple[object, ...], int, str, int]]:
        for place, path in enumerate(self.directories):
            try:
                with os.scandir(self._handle(place)) as entries:
                    for entry in entries:
                        if (order := self._order(entry.name)) is None:
                            continue
                        if self.may_nest and entry.is_dir(follow_symlinks=False):
                            continue
                        with contextlib.suppress(FileNotFoundError):  # gone, or renamed, this moment
                            yield order, place, entry.name, entry.stat(follow_symlinks=False).st_size
            except OSError as error:
                if place and isinstance(error, FileNotFoundError):
                    continue  # a Maildir without new
                raise SourceDataError(
                    f"cannot be read: {error.strerror}", where=printable(str(path))
                ) from None

    def _named(self, place: int, name: str, size: int) -> tuple[int, str]:
        """Size and key of a file."""
        if not self.looks_inside:
            return size, self._key(name, None)
        try:
            with self._opened(place, name) as file:
                look = self._look(file)
                return look.end - look.start, self._key(name, file)
        except (OSError, Fault):  # whoever reads it will say so
            return size, self._key(name, None)

    # reading

    def _item(self, ref: Ref, *, whole: bool) -> Message | Unread:
        at = ref.position - 1
        key = self._index.key(at)
        try:
            place, name = self._index.place(at)
            with self._found(place, name) as file:
                look = self._look(file)
                if look.end - look.start > self.settings.max_message_size:
                    raise Fault(too_large(look.end - look.start, self.settings.max_message_size))
                if self.looks_inside and self._key(name, file) != key.name:
                    raise Fault(
                        "another program changed the file since it was listed; run again", Account.GONE
                    )
                return self._message(ref, file, look, whole=whole)
        except Fault as fault:
            return Unread(ref.position, key, fault.account, fault.reason)
        except FileNotFoundError:
            return Unread(
                ref.position, key, Account.GONE, "another program removed the file since it was listed"
            )
        except OSError as error:
            link = error.errno in (errno.ELOOP, errno.EMLINK)
            reason = "it is a symbolic link, which is not followed" if link else f"the file: {error.strerror}"
            return Unread(ref.position, key, Account.UNREADABLE, reason)

    def _message(self, ref: Ref, file: OpenFile, look: Look, *, whole: bool) -> Message:
        body = _Body(file.read_at, look, own=self.own_lines, keep=self.settings.keep_headers)
        if whole:
            octets = from_chunks(self._not_too_large(body.octets()), self.settings.spool)
            octets.crlf_only = body.crlf_only
            if body.cut_short:
                raise Fault("another program changed the file while it was read; run again", Account.GONE)
        else:
            octets = from_bytes(body.header())
        state = self._tagged(file.name, body.slice.state, body.slice.head) if body.slice else None
        return Message(
            ref.position,
            self._index.key(ref.position - 1),
            octets,
            octets.size if whole else ref.size,
            flags=look.flags if state is None else state.flags,
            envelope_date=self._envelope_date(file, octets.head()),
            discarded=look.discarded if state is None else state.discarded,
            whole=whole,
            uidl=body.own(UIDL),
            maildrop=self.settings.maildrops.get(body.own(ACCOUNT), ""),
            partial=look.partial or body.is_partial,
        )

    def _not_too_large(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """A message grows with its line ends."""
        size = 0
        for chunk in chunks:
            size += len(chunk)
            if size > self.settings.max_message_size:
                raise Fault(too_large(size, self.settings.max_message_size))
            yield chunk

    @contextlib.contextmanager
    def _found(self, place: int, name: str) -> Iterator[OpenFile]:
        """The file, wherever it is now."""
        with contextlib.ExitStack() as stack:
            try:
                file = stack.enter_context(self._opened(place, name))
            except FileNotFoundError:
                moved = self._moved(place, name)
                if moved is None:
                    raise
                file = stack.enter_context(self._opened(*moved))
            yield file

    @contextlib.contextmanager
    def _opened(self, place: int, name: str) -> Iterator[OpenFile]:
        """Raises OSError, Fault."""
        handle = self._open(self._handle(place), name)
        try:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                what = "a directory" if stat.S_ISDIR(status.st_mode) else "a pipe or a device"
                raise Fault(f"it is {what}, not a file")
            if not status.st_size:
                raise Fault("the file is empty")
            read_at = ReadAhead(lambda offset, most: os.pread(handle, most, offset))
            yield OpenFile(name, read_at, status.st_size, status.st_mtime)
        finally:
            os.close(handle)

    def _open(self, directory: int, name: str) -> int:
        try:
            return os.open(name, _FLAGS | self._extra, dir_fd=directory)
        except PermissionError:  # only the owner of a file may ask for O_NOATIME
            self._extra = 0
            return os.open(name, _FLAGS, dir_fd=directory)

    def _handle(self, place: int) -> int:
        """The open directory. Raises OSError."""
        if (handle := self._handles.get(place)) is None:
            if len(self._handles) >= _OPEN_AT_ONCE:
                os.close(self._handles.pop(next(iter(self._handles))))
            self._handles[place] = handle = os.open(self.directories[place], OPEN_DIRECTORY)
        return handle


class _Body:
    """The octets of one message, as they are to be sent. ``own``: book-keeping lines are the mail program's, and go
    unless they are to be kept."""

    def __init__(self, read_at: ReadAt, look: Look, *, own: bool, keep: bool) -> None:
        self._read_at, self._look = read_at, look
        head = _head(read_at, look)
        before = read_fully(read_at, look.offset, look.start - look.offset) or head[: head.find(b"\n") + 1]
        crlf_before = before.endswith(b"\r\n")
        self.slice = (
            Slice(read_at, look.offset, look.start, look.end, keep_headers=keep, crlf_before=crlf_before)
            if own
            else None
        )
        self._head = head
        self._crlf = is_crlf(head, crlf_before=crlf_before)
        self._plain = True
        self.is_partial = bool(self.slice and self.slice.head.is_partial)
        self.cut_short = False

    def own(self, name: bytes) -> str:
        """The value of a book-keeping field of the mail program."""
        return self.slice.head.own(name) if self.slice else ""

    @property
    def crlf_only(self) -> bool:
        return self.slice.crlf_only if self.slice else self._plain

    def header(self) -> bytes:
        return self.slice.header() if self.slice else self._sendable(self._head)

    def octets(self) -> Iterator[bytes]:
        """To be called once; ``cut_short`` and ``crlf_only`` hold afterwards."""
        if self.slice:
            yield from self.slice.octets(Unquote.NOTHING)
            self.cut_short = not self._read_at(self._look.end - 1, 1)
            return
        at = self._look.start
        while at < self._look.end:
            piece = self._read_at(at, min(PIECE, self._look.end - at))
            if not piece:
                self.cut_short = True
                return
            at += len(piece)
            yield self._sendable(piece)

    def _sendable(self, octets: bytes) -> bytes:
        self._plain = self._plain and not self._crlf and b"\r" not in octets
        return octets if self._crlf else octets.replace(b"\n", b"\r\n")


def _head(read_at: ReadAt, look: Look) -> bytes:
    """The header block with its empty line, or all there is of it."""
    text = b"\n"
    for most in (_HEAD, PIECE, HEAD_LIMIT):
        text = b"\n" + read_fully(read_at, look.start, min(most, look.end - look.start))
        if end := end_of_head(text, 1):
            return text[1:end]
    return text[1:]


def evidence(read_at: ReadAt, look: Look, *, own: bool) -> str:
    """What tells one message from another, in 32 hex digits: its length, its header, and the ends of its body; without
    the book-keeping lines where those are the mail program's ``own``. Raises OSError."""
    raw = _head(read_at, look)
    unkeyed = Head(raw, crlf_before=False).unkeyed if own else raw
    body = look.start + len(raw)
    sha = hashlib.sha256(b"%d\n" % (look.end - body + len(unkeyed)))
    sha.update(unkeyed)
    sha.update(read_fully(read_at, body, min(_BODY, look.end - body)))
    if (tail := max(body + _BODY, look.end - _TAIL)) < look.end:
        sha.update(read_fully(read_at, tail, look.end - tail))
    return sha.hexdigest()[:32]


def read_beside(path: Path, most: int) -> bytes:
    """A file in which the store keeps what it knows of its messages, up to ``most`` octets of it. Raises OSError."""
    with open(os.open(path, _FLAGS), "rb", buffering=0) as file:
        return file.read(most) or b""


def hashed(name: str) -> str:
    """A key for a file of which there is nothing but its name."""
    return "file-" + hashlib.sha256(os.fsencode(name)).hexdigest()[:32]
