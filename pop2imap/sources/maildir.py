"""Maildir: one file for each message, its state in its name, and trees of such folders.

One folder has ``cur`` (seen by a mail program) and ``new`` (not yet). A name is ``UNIQUE:2,FLAGS``; where a file system
knows no colon, programs write ``;2,`` or ``!2,``. ``UNIQUE`` never changes and is never given again: it is the key. The
flags do change, and with them the name, even while we read: then the file is found again by its unique name.

Trees come in several layouts, which may be mixed; each directory tells its own:

* Maildir++ (Dovecot, Courier): ``.Work.2019`` beside ``cur``, each level in modified UTF-7;
* Dovecot's ``LAYOUT=fs``, and the trees of fetchers such as mbsync: directories in directories;
* KMail: ``.Work.directory`` holds the folders below ``Work``.

**What is received stays as it is**: servers keep their book-keeping in names and files of their own, so a ``Status``
line in the header is the sender's or an older program's.

**Dates.** The top ``Received`` line says when a message came, and ``Date`` when it was sent. Only where neither can be
read do the file's own times count: the one in its unique name, which is of its delivery here, and its time of change,
which Dovecot keeps at the internal date. An import sets the first too late, a copy of the files the second, so the
earlier one of them is the better guess.

Sources: qmail's ``maildir(5)``, the Maildir++ page of Courier, Dovecot's ``maildir`` and ``mailbox layout``
pages.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from pop2imap import dates
from pop2imap.headers import Headers
from pop2imap.model import ANSWERED, DRAFT, FLAGGED, SEEN, Remark
from pop2imap.sources.file_folder import FileFolder, Look, OpenFile, hashed, read_beside
from pop2imap.sources.mbox_flags import FORWARDED, keywords
from pop2imap.sources.mbox_from import FIRST
from pop2imap.sources.mutf7 import decoded
from pop2imap.sources.settings import Settings
from pop2imap.sources.special_use import folder_name
from pop2imap.sources.tree import Found, Part, TreeSource
from pop2imap.sources.unpacking import unpacked
from pop2imap.sources.walking import LINKS, OUTSIDE, Entries, Walk, no_store, root_of
from pop2imap.text import printable

NEW = 1
"""The place of ``new`` among the directories of a folder; that of ``cur`` is 0."""

_INFO = re.compile(r"[:;!](?P<version>[12]),(?P<info>.*)\Z", re.DOTALL)
_TIME = re.compile(r"(\d{9,10})(?!\d)")
_USABLE_KEY = re.compile(r"[!-?A-~]{1,200}", re.ASCII)  # anything but a blank and @
_FLAGS = {"P": FORWARDED, "R": ANSWERED, "S": SEEN, "D": DRAFT, "F": FLAGGED}
_TRASHED = "marked as deleted in the mail program, not expunged yet"
_KEYWORDS = "dovecot-keywords"
_KEYWORDS_LIMIT = 1 << 16
_KEYWORD = re.compile(rb"(\d{1,2}) (\S{1,200})")
_ESCAPED = re.compile(r"\\(2[eEfF]|5[cC]|7[eE])")
_NOT_BELOW = frozenset({"cur", "new", "tmp", "courierimapkeywords", "courierimaphieracl"})


def unique(name: str) -> str:
    """The part of a file name that stays."""
    found = _INFO.search(name, 1)
    return name[: found.start()] if found else name


def info(name: str) -> str:
    """The letters of a file name that tell the state of the message."""
    found = _INFO.search(name, 1)
    return found["info"].partition(",")[0] if found and found["version"] == "2" else ""


class MaildirFolder(FileFolder):
    """One folder, ``directory``, which holds ``cur`` and ``new``."""

    kind = "Maildir"
    looks_inside = False
    may_nest = False

    def __init__(self, id: str, folder: str, directory: Path, settings: Settings) -> None:  # noqa: A002
        super().__init__(id, folder, (directory / "cur", directory / "new"), settings)
        self._directory = directory
        self._keywords: dict[str, str] = {}
        self._nameless = 0
        self._there: dict[str, tuple[int, str]] = {}
        self._scanned: tuple[int, ...] = ()

    def _began(self) -> None:
        self._nameless = 0
        try:
            self._keywords = _keywords(read_beside(self._directory / _KEYWORDS, _KEYWORDS_LIMIT))
        except OSError:
            self._keywords = {}

    def _order(self, name: str) -> tuple[object, ...] | None:
        if name.startswith("."):
            return None
        self._nameless += any("a" <= one <= "z" and one not in self._keywords for one in info(name))
        found = _TIME.match(name)
        return (int(found[1]) if found else 0, unique(name))

    def _key(self, name: str, file: OpenFile | None) -> str:
        name = unique(name)
        return name if _USABLE_KEY.fullmatch(name) else hashed(name)

    def _look(self, file: OpenFile) -> Look:
        letters = info(file.name)
        flags = {_FLAGS[one] for one in letters if one in _FLAGS}
        flags |= {self._keywords[one] for one in letters if one in self._keywords}
        return Look(0, 0, file.size, frozenset(flags), discarded=_TRASHED if "T" in letters else "")

    def _moved(self, place: int, name: str) -> tuple[int, str] | None:
        """By its unique name. The directories are only looked at again once something in them has changed."""
        stamps = tuple(os.fstat(self._handle(one)).st_mtime_ns for one in self._places())
        if self._scanned != stamps:
            self._scanned = stamps
            self._there = {unique(file): (one, file) for one in self._places() for file in self._names(one)}
        return self._there.get(unique(name))

    @contextlib.contextmanager
    def _found(self, place: int, name: str) -> Iterator[OpenFile]:
        with super()._found(place, name) as file, unpacked(file, self.settings) as plain:
            yield plain

    def _places(self) -> Iterator[int]:
        return (one for one, path in enumerate(self.directories) if path.is_dir())

    def _names(self, place: int) -> list[str]:
        return [name for name in os.listdir(self._handle(place)) if not name.startswith(".")]

    def _envelope_date(self, file: OpenFile, head: bytes) -> datetime | None:
        now = datetime.now(UTC)
        if dates.internal_date(Headers.parse(head), None, now):
            return None
        named = _TIME.match(file.name)
        times = [file.modified, *([float(named[1])] if named else [])]
        plausible = [one for one in times if FIRST.timestamp() <= one <= (now + dates.SLACK).timestamp()]
        return datetime.fromtimestamp(int(min(plausible)), UTC) if plausible else None

    def _remarks(self) -> tuple[Remark, ...]:
        remarks = []
        if self._nameless:
            text = f"messages have keywords to which no {_KEYWORDS} file gives a name; those keywords are left out"
            remarks.append(Remark(text, self._nameless))
        try:
            unfinished = sum(not name.startswith(".") for name in os.listdir(self._directory / "tmp"))
        except OSError:
            unfinished = 0
        if unfinished:
            remarks.append(Remark("files in tmp: deliveries that were never finished; left out", unfinished))
        return tuple(remarks)


def _keywords(text: bytes) -> dict[str, str]:
    """Letters, and the keywords for which they stand: lines of a number from 0 and a name."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        if (match := _KEYWORD.fullmatch(line.strip())) and int(match[1]) < 26:
            for word in keywords(match[2]):
                found[chr(ord("a") + int(match[1]))] = word
    return found


def maildir_source(path: Path, settings: Settings) -> TreeSource:
    """The Maildir ``path`` with all folders below it, or a directory of such. Opening it raises SourceDataError where
    there is none."""
    name = f"maildir:{os.path.realpath(path)}"
    return TreeSource(name, "maildir", lambda: find(path, settings))


def find(path: Path, settings: Settings) -> Found:
    """Every folder, INBOX first. Raises SourceDataError."""
    root, where = root_of(path, "Maildir")
    walk = Walk(root)
    parts = list(maildir_parts(walk, (), (), settings))
    if not any(part.make for part in parts):
        if parts:
            raise no_store(f"Maildir that can be read: {parts[0].fault}", where, "check its permissions")
        raise no_store("Maildir: no directory in it has cur and new", where)
    parts.sort(key=lambda part: (part.folder != "INBOX", part.name))
    return Found(parts, (f"a Maildir of {len(parts):,} folders: {where}",), walk.remarks())


def is_maildir(entries: Entries) -> bool:
    return "cur" in entries.directories and bool({"new", "tmp"} & set(entries.directories))


def maildir_parts(
    walk: Walk, at: tuple[str, ...], levels: Sequence[str], settings: Settings
) -> Iterator[Part]:
    """The folders in the directory ``at`` of a store, which is the folder ``levels``, and below it."""
    stack = [(at, tuple(levels))]
    while stack:
        at, levels = stack.pop()
        entries = walk.look(at)
        name = "/".join(at) or "."
        if isinstance(entries, str):
            yield Part(name, folder_name(levels), fault=f"{printable(name, 80)}: {entries}")
            continue
        if is_maildir(entries):
            yield maildir_part(walk.root, at, levels, settings)
        for link in entries.others:
            place, linked = (*at, link), _below(link, levels)
            target = walk.leads_out(place)
            if target and linked is not None and os.path.isdir(target / "cur"):
                name = "/".join(place)
                yield Part(name, folder_name(linked), fault=f"{printable(name, 80)}: {OUTSIDE}")
            else:
                walk.passed_over(LINKS, "/".join(place))
        below = {one: _below(one, levels) for one in sorted(entries.directories, reverse=True)}
        stack += [((*at, one), named) for one, named in below.items() if named is not None]


def maildir_part(root: Path, at: tuple[str, ...], levels: Sequence[str], settings: Settings) -> Part:
    directory, folder = root.joinpath(*at), folder_name(levels)
    return Part(
        "/".join(at) or ".",
        folder,
        lambda: MaildirFolder(f"maildir:{directory}", folder, directory, settings),
    )


def _below(name: str, levels: tuple[str, ...]) -> tuple[str, ...] | None:
    """The levels of the directory ``name`` in the folder ``levels``; None if no folder is meant."""
    if name in _NOT_BELOW:
        return None
    if not name.startswith("."):
        return (*levels, _level(name))
    if name.endswith(".directory") and len(name) > len("..directory"):
        return (*levels, name[1 : -len(".directory")])
    named = [_level(level) for level in name[1:].split(".")]
    return (*levels, *named) if all(named) else None


def _level(name: str) -> str:
    """Dovecot may write a dot in a name as ``\\2e``."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), decoded(name))
