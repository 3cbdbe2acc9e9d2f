"""The mbox source: one file, or standard input, as a source of mail (:mod:`pop2imap.sources`).

Listing is one pass over the file (:mod:`~pop2imap.sources.mbox_reader`) and keeps 60 octets for each message.
Reading goes back to each message by its offset (:mod:`~pop2imap.sources.mbox_slice`) and takes its digest again,
so a file that was rewritten in between costs an ``Unread``, never a wrong message.

What comes through a pipe has the id ``mbox:-``, whatever the name of the pipe. Since keys are digests, the same
mail piped in twice is moved once.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NoReturn

from pop2imap.endpoints import not_an_mbox
from pop2imap.errors import SourceDataError
from pop2imap.model import Account, Message, Ref, Remark, Unread, place_of
from pop2imap.octets import from_bytes, from_chunks
from pop2imap.sizes import MAX_MESSAGE
from pop2imap.sources import Listing, ListProgress, too_large
from pop2imap.sources.mbox_file import MboxFile, Stamp, copy_stream, is_stream, open_file, what_changed
from pop2imap.sources.mbox_flags import ACCOUNT, UIDL, Head, State, Tagged
from pop2imap.sources.mbox_found import Resume, Totals
from pop2imap.sources.mbox_from import Look, envelope_date, look
from pop2imap.sources.mbox_index import Index
from pop2imap.sources.mbox_known import Known, Memory
from pop2imap.sources.mbox_reader import NotMboxError, Scanner
from pop2imap.sources.mbox_remarks import left_out, suspicious
from pop2imap.sources.mbox_slice import ReadAhead, ReadAt, Slice, Unquote, read_fully
from pop2imap.sources.settings import Settings
from pop2imap.sources.takeout_labels import Labelled, Labels, read_labels
from pop2imap.text import printable

SETTLING = timedelta(seconds=60)
"""How long after its last change a torn end of a file is taken for mail that is just being written."""

_EVERY = 8 << 20  # octets between two calls of a progress callback
_UNQUOTED = {
    Unquote.EVERY: "one > was put before them (mboxrd) and is taken off again",
    Unquote.SINGLE: "those with one > lose it (mboxo)",
    Unquote.SINGLE_AFTER_EMPTY: (
        "those after an empty line lose their >; the others are citations, since the file holds unquoted ones"
    ),
    Unquote.NOTHING: "they stay as they are",
}


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Quoting(Enum):
    """How ``From `` lines inside messages were disguised when the file was written."""

    AUTO = "auto"  # told from the file
    MBOXRD = "mboxrd"  # one > before any number of > and From
    MBOXO = "mboxo"  # one > before From
    NONE = "none"  # not at all


class MboxSource:
    """One mbox file, or standard input, as a :class:`pop2imap.sources.Source`.

    ``path`` None is standard input. ``keep_headers`` leaves the book-keeping lines of mail programs in the
    messages. Messages of more than ``max_message_size`` octets are unreadable. ``spool`` is the directory for large
    messages and for what comes through a pipe. ``memory`` knows what earlier runs have found in the file; None: all of
    it is read. ``maildrops`` are those (``user@host``) that the mail program knows by the names that it notes in
    messages.
    ``labels``: in a Takeout export, folders and flags are those that the labels of a message tell: all of
    them, or the one that tells most (:mod:`~pop2imap.sources.takeout_labels`).
    ``tags``: what an index says of the message at an offset; asked where the message cannot say it itself.
    """

    kind = "mbox"
    lists_by: Literal["octets", "messages"] = "octets"
    _through = "through a pipe"
    _withheld = ""
    """Why the last message, and from ``_sure`` on each of them, is not given; empty if they are."""
    _sure = sys.maxsize

    def __init__(
        self,
        path: Path | None,
        *,
        quoting: Quoting = Quoting.AUTO,
        keep_headers: bool = False,
        max_message_size: int = MAX_MESSAGE,
        spool: Path | None = None,
        memory: Memory | None = None,
        maildrops: Mapping[str, str] = MappingProxyType({}),
        labels: Labels = "",
        tags: Callable[[int], Tagged | None] | None = None,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._is_stream = is_stream(path)
        self._path = path if path is None or self._is_stream else Path(os.path.realpath(path))
        self._quoting = quoting
        self._keep_headers = keep_headers
        self._most = max_message_size
        self._spool = spool
        self._memory = None if self._is_stream else memory
        self._maildrops = maildrops
        self._labels = labels
        self._tags = tags
        self._now = now
        self.id = "mbox:-" if self._is_stream else f"mbox:{self._path}"
        self.folder = "INBOX" if self._is_stream else _folder(self._path)
        self._where = printable(str(self._path)) if self._path else "standard input"
        self._file: MboxFile | None = None
        self._listed: Stamp | None = None
        self._index = Index(self.id)
        self._totals = Totals()
        self._unquote = Unquote.NOTHING

    def open(self) -> tuple[str, ...]:
        """Raises SourceDataError for what cannot be read or is no mbox, LocalIOError when there is no room for
        what comes through a pipe."""
        file = self._obtain()
        stamp = file.stamp()
        try:
            Scanner(file.read_at, block=1 << 14).first()
        except NotMboxError as error:
            self._refuse(error)
        except OSError as error:
            self._unreadable(error)
        self._file = file
        if self._path is None or self._is_stream:
            return (f"an mbox of {stamp.size:,} octets {self._through}",)
        changed = datetime.fromtimestamp(stamp.modified // 10**9, UTC)
        said = [f"an mbox of {stamp.size:,} octets, last changed {changed:%Y-%m-%d %H:%M} UTC"]
        if os.path.lexists(f"{self._path}.lock"):
            said.append("a mail program holds a lock on it: mail may be arriving just now")
        return tuple(said)

    def gives(self, at: int) -> bool:
        """Whether the message at ``at`` in the listing is not withheld."""
        return not self._withheld or at < min(len(self._index) - 1, self._sure)

    def _obtain(self) -> MboxFile:
        """The file to be read. Raises as ``open`` does."""
        if self._path is None or self._is_stream:
            return self._file or copy_stream(self._path, self._where, self._spool)  # it comes only once
        return open_file(self._path, self._where)

    def list(self, progress: ListProgress | None = None) -> Listing:
        file = self._opened()
        self._listed = stamp = file.stamp()
        try:
            known, recalled = self._recall(file, stamp)
            resume = self._scan(file, stamp.size, progress, known)
            if loose := self._totals.wants_loose:
                self._scan(file, stamp.size, None, loose=True)
            elif self._memory and resume:
                self._memory.keep(
                    self.id,
                    stamp,
                    file.read_at,
                    self._index,
                    resume,
                    keep_headers=self._keep_headers,
                    labels=self._labels,
                )
        except NotMboxError as error:
            self._refuse(error)
        except OSError as error:
            self._unreadable(error)
        self._index.count_repeats()
        remarks = left_out(self._totals)
        remarks += suspicious(self._totals, loose=loose)
        remarks += self._choose_unquoting()
        if self._totals.torn and not self._is_fresh(stamp):
            remarks += (Remark("the last message looks cut off; it is taken as it is", 1),)
        return Listing(self._index, self._index.octets, remarks=remarks + recalled)

    def read(self, refs: Sequence[Ref]) -> Iterator[Message | Unread]:
        """Raises LocalIOError when there is no room for a large message."""
        read_at = ReadAhead(self._opened().read_at)
        for ref in refs:
            yield self._read(ref, read_at, whole=True)

    def peek(self, refs: Sequence[Ref]) -> Iterator[Message | Unread]:
        read_at = ReadAhead(self._opened().read_at)
        for ref in refs:
            yield self._read(ref, read_at, whole=False)

    def close(self, *, settled: bool) -> tuple[Remark, ...]:
        """``settled`` makes no difference: nothing ever happens to the file."""
        file, stamp, self._listed = self._file, self._listed, None
        if file is None or self._is_stream or self._path is None:
            return ()  # what came through a pipe is kept for the next open
        self._file = None
        changed = what_changed(self._path, file, stamp) if stamp else ""
        file.close()
        return (Remark(f"{self._where} {changed}"),) if changed else ()

    def _opened(self) -> MboxFile:
        if self._file is None:
            raise RuntimeError("open() comes first")
        return self._file

    def _recall(self, file: MboxFile, stamp: Stamp) -> tuple[Known | None, tuple[Remark, ...]]:
        """What an earlier run knew of the file and still holds, and what is to be said of that."""
        if self._memory is None:
            return None, ()
        known = self._memory.recall(
            self.id, stamp, file.read_at, keep_headers=self._keep_headers, labels=self._labels
        )
        if isinstance(known, str):
            return None, (Remark(f"{known}, so all of the file was read"),) if known else ()
        said = "messages are known from an earlier run and were not looked for again: the file only grew (--rescan)"
        return known, (Remark(said, len(known.found)),) if known.grew else ()

    def _scan(
        self,
        file: MboxFile,
        size: int,
        progress: ListProgress | None,
        known: Known | None = None,
        *,
        loose: bool = False,
    ) -> Resume | None:
        """Fill the index, or go on filling the one that is known. What comes after ``size`` octets is for the next
        listing. Returns where that may begin."""
        self._index = known.found if known else Index(self.id, places=bool(self._labels))
        scanner = Scanner(
            lambda offset, most: file.read_at(offset, min(most, size - offset)) if offset < size else b"",
            loose=loose,
            keep_headers=self._keep_headers,
            resume=known.resume if known else None,
            place=self._place if self._labels else None,
        )
        told = 0
        for entry in scanner.entries():
            if progress and entry.end - told >= _EVERY:
                told = entry.end
                progress(told, size)
            if not entry.internal:
                self._index.add(entry)
        if progress:
            progress(size, size)
        self._totals = scanner.totals
        return scanner.resume

    def _place(self, head: Head) -> int:
        return place_of(self._labelled(head).folders)

    def _labelled(self, head: Head) -> Labelled:
        if not self._labels or (value := head.labels) is None:
            return Labelled()
        labelled = read_labels(value)
        return labelled if self._labels == "all" else labelled._replace(folders=labelled.folders[:1])

    def _choose_unquoting(self) -> tuple[Remark, ...]:
        totals = self._totals
        self._unquote = {
            Quoting.AUTO: totals.unquote(),
            Quoting.MBOXRD: Unquote.EVERY,
            Quoting.MBOXO: Unquote.SINGLE,
            Quoting.NONE: Unquote.NOTHING,
        }[self._quoting]
        if not totals.disguised:
            self._unquote = Unquote.NOTHING  # there is nothing to look for
        quoted = totals.quoted_after_empty + totals.quoted_elsewhere
        if not quoted:
            return ()
        why = "told from the file" if self._quoting is Quoting.AUTO else "as asked for"
        return (Remark(f"lines that begin with '>From ': {_UNQUOTED[self._unquote]} ({why})", quoted),)

    def _read(self, ref: Ref, read_at: ReadAt, *, whole: bool) -> Message | Unread:
        at = ref.position - 1
        key = ref.key or self._index.key(at)
        try:
            if not self.gives(at):
                return Unread(ref.position, key, Account.UNREADABLE, self._withheld)
            if at == len(self._index) - 1 and (reason := self._not_yet(self._opened())):
                return Unread(ref.position, key, Account.PENDING, reason)
            if ref.size > self._most:
                return Unread(ref.position, key, Account.UNREADABLE, too_large(ref.size, self._most))
            piece = Slice(
                read_at,
                *self._index.place(at),
                exact_length=at < self._index.exact_lengths,
                keep_headers=self._keep_headers,
            )
            if whole:
                octets = from_chunks(piece.octets(self._unquote), self._spool)
                octets.crlf_only = piece.crlf_only
                if piece.digest != self._index.digest(at):
                    if self._memory:
                        self._memory.forget(self.id)
                    return Unread(
                        ref.position,
                        key,
                        Account.GONE,
                        "another program changed the file since it was listed; run again",
                    )
                size = octets.size
            else:
                octets = from_bytes(piece.header())
                size = ref.size
        except OSError as error:
            return Unread(ref.position, key, Account.UNREADABLE, f"the file cannot be read: {error.strerror}")
        state = self._state(piece, at)
        labelled = self._labelled(piece.head)
        return Message(
            ref.position,
            key,
            octets,
            size,
            flags=labelled.over(state.flags),
            envelope_date=envelope_date(piece.from_line, self._now()),
            discarded=state.discarded,
            whole=whole,
            uidl=piece.head.own(UIDL),
            maildrop=self._maildrops.get(piece.head.own(ACCOUNT), ""),
            partial=piece.head.is_partial,
            folders=labelled.folders,
        )

    def _state(self, piece: Slice, at: int) -> State:
        if self._tags is None or not piece.head.may_be_tagged:
            return piece.state
        return piece.state.tagged(self._tags(self._index.place(at)[0]))

    def _not_yet(self, file: MboxFile) -> str:
        """Why the last message may still be under way; empty if it is all there."""
        if self._is_stream:
            return ""
        stamp = file.stamp()
        if self._totals.torn and self._is_fresh(stamp):
            return "it is still being written: its end is not there yet; run again in a minute"
        if stamp.size > self._totals.end:
            _, _, end = self._index.place(len(self._index) - 1)
            rest = read_fully(file.read_at, end, 1 << 10)
            follows = re.match(rb"(?:\r?\n){0,2}(From [^\n]*)", rest)
            if not follows or look(follows[1]) in (Look.OTHER, Look.PATCH):
                return "it is still being written: the file grew since it was listed; run again in a minute"
        return ""

    def _is_fresh(self, stamp: Stamp) -> bool:
        changed = datetime.fromtimestamp(stamp.modified / 10**9, UTC)
        return not self._is_stream and abs(self._now() - changed) < SETTLING  # a wrong clock settles nothing

    def _refuse(self, error: NotMboxError) -> NoReturn:
        start: bytes = error.args[0]
        if start.startswith(b"From "):
            raise SourceDataError(
                "no mbox: its first line begins with From, but has no date and no header after it",
                where=self._where,
            ) from None
        raise not_an_mbox(
            start, self._where, "if its beginning was cut off, cut up to a line that begins with 'From '"
        ) from None

    def _unreadable(self, error: OSError) -> NoReturn:
        raise SourceDataError(f"cannot be read: {error.strerror}", where=self._where) from error


def mbox_source(
    path: Path | None, settings: Settings, *, tags: Callable[[int], Tagged | None] | None = None
) -> MboxSource:
    """The mbox ``path`` (None: standard input) as ``settings`` have it. ``tags`` as for :class:`MboxSource`."""
    return MboxSource(
        path,
        quoting=Quoting(settings.quoting),
        keep_headers=settings.keep_headers,
        max_message_size=settings.max_message_size,
        spool=settings.spool,
        memory=settings.memory() if settings.memory else None,
        maildrops=settings.maildrops,
        labels=settings.labels,
        tags=tags,
    )


def _folder(path: Path | None) -> str:
    """The file's name, without the ending that some programs give it."""
    assert path is not None
    return path.stem if path.suffix.lower() in {".mbox", ".mbx"} and path.stem else path.name
