"""A target in memory: an IMAP account with the habits that real servers have, and with every trouble at hand.

The account is a :class:`MemoryServer`; it lives on while :class:`MemoryTarget` objects connect to it and die. What
goes wrong is asked of ``server.fate`` for each upload::

    server.fate = lambda upload: Fate.LOST_ANSWER      # stored, but nobody learns of it

A lost answer is the end of the upload session, as on a real wire: whatever was pipelined behind it has an unknown
outcome too, whether it arrives or not. Mail that is LATE arrives when somebody calls ``server.arrive()``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import Enum, auto

from pop2imap.errors import Again, ConnectionLost, FolderError
from pop2imap.model import Found, Mailbox, Outcome, Refused, Stored, Unknown, Upload
from pop2imap.octets import from_bytes
from pop2imap.target import Feed, TargetFacts

Rewrite = Callable[[bytes], bytes]


class Fate(Enum):
    """What becomes of one upload, and what its sender learns."""

    STORED = auto()  # stored, and answered
    REFUSED = auto()  # NO: this message, for good
    REFUSED_NOW = auto()  # NO: quota, busy
    LOST = auto()  # never arrives; no answer
    LOST_ANSWER = auto()  # stored; no answer
    LATE = auto()  # no answer; stored when ``arrive`` is called


UNANSWERED = frozenset({Fate.LOST, Fate.LOST_ANSWER, Fate.LATE})


def as_sent(octets: bytes) -> bytes:
    """A server that changes nothing."""
    return octets


def like_dovecot(octets: bytes) -> bytes:
    """QUIRK(Dovecot): every line end becomes CRLF, NUL becomes 0x80."""
    return re.sub(rb"\r*\n", b"\r\n", octets).replace(b"\0", b"\x80")


def like_cyrus(octets: bytes) -> bytes:
    """QUIRK(Cyrus): raw 8-bit octets in the header become X."""
    head, empty, body = octets.partition(b"\r\n\r\n")
    return re.sub(rb"[\x80-\xff]", b"X", head) + empty + body


def like_courier(octets: bytes) -> bytes:
    """QUIRK(Courier): line ends become CRLF, other CR go, a last line end is added."""
    lines = octets.replace(b"\r", b"").rstrip(b"\n")
    return lines.replace(b"\n", b"\r\n") + b"\r\n"


@dataclass(frozen=True, slots=True)
class Mail:
    """One message as the server holds it."""

    octets: bytes
    date: datetime
    flags: frozenset[str] = frozenset()


@dataclass
class MemoryMailbox:
    """One folder. ``kept`` are the flags it can keep, in lower case; None: all."""

    name: str
    uidvalidity: int
    uidnext: int = 1
    mail: dict[int, Mail] = field(default_factory=dict)
    kept: frozenset[str] | None = None

    def add(self, mail: Mail) -> int:
        """Store it under the next UID."""
        uid = self.uidnext
        self.mail[uid] = mail
        self.uidnext += 1
        return uid


class MemoryServer:
    """An IMAP account. Its public attributes are its habits; change them at any time."""

    def __init__(self, *, prefix: str = "", delimiter: str = "/") -> None:
        self.prefix, self.delimiter = prefix, delimiter
        self.name = "a server in memory"
        self.special_use: dict[str, str] = {}
        self.mailboxes: dict[str, MemoryMailbox] = {}
        self.subscribed: set[str] = set()
        self.rewrite: Rewrite = as_sent
        self.appenduid = True
        self.appenduid_of: Callable[[int], int] = lambda uid: uid  # a liar says another one
        self.fate: Callable[[Upload], Fate] = lambda upload: Fate.STORED
        self.refuse: set[bytes] = set()  # digests that it takes exception to
        self.no_folder: set[str] = set()  # folder names that it will not make
        self.kept_back: set[int] = set()  # UIDs that it will not expunge
        self.append_limit: int | None = None
        self.quota_octets: int | None = None
        self.before: Callable[[str], None] = lambda step: None  # called before every step; may raise
        self.log: list[tuple[str, str]] = []  # (step, mailbox)
        self.bodies = 0  # how many were read, for their digests
        self._uidvalidity = 1000
        self._late: list[tuple[str, Mail]] = []
        self.make("INBOX")

    def make(self, name: str) -> MemoryMailbox:
        """The mailbox of this (server's) name, made if it is missing."""
        if name not in self.mailboxes:
            self._uidvalidity += 1
            self.mailboxes[name] = MemoryMailbox(name, self._uidvalidity)
        return self.mailboxes[name]

    def name_of(self, folder: str) -> str:
        """The server's name of a folder as people write it. Raises FolderError."""
        first, *rest = folder.split("/")
        if not all((first, *rest)) or any(ord(character) < 32 for character in folder):
            raise FolderError("no such name", where=folder)
        if first.startswith("\\"):
            first = self.special_use.get(first, self.prefix + first[1:])
        elif first.upper() == "INBOX":
            first = "INBOX"
        else:
            first = self.prefix + first
        return self.delimiter.join((first, *rest))

    # -- what others do meanwhile

    def deliver(self, name: str, octets: bytes, date: datetime | None = None, *flags: str) -> int:
        """Mail from somebody else. Returns its UID."""
        mail = Mail(octets, date or datetime(2020, 1, 1, tzinfo=UTC), frozenset(flags))
        return self.make(name).add(mail)

    def expunge(self, name: str, uid: int) -> None:
        """Somebody deletes a message."""
        del self.mailboxes[name].mail[uid]

    def move(self, name: str, uid: int, to: str) -> int:
        """Somebody moves a message. Returns its new UID."""
        return self.make(to).add(self.mailboxes[name].mail.pop(uid))

    def renumber(self, name: str) -> None:
        """A new UIDVALIDITY: the messages stay, in their order, under new UIDs."""
        self._uidvalidity += 1
        old = self.mailboxes.pop(name)
        new = self.mailboxes[name] = MemoryMailbox(name, self._uidvalidity, kept=old.kept)
        for _, mail in sorted(old.mail.items()):
            new.add(mail)

    def rename(self, name: str, to: str) -> None:
        """Somebody renames a folder."""
        self.mailboxes[to] = self.mailboxes.pop(name)
        self.mailboxes[to].name = to

    def arrive(self) -> int:
        """Everything late is stored now. Returns how many messages that were."""
        late, self._late = self._late, []
        for name, mail in late:
            self.make(name).add(mail)
        return len(late)

    # -- what it holds

    def octets_in(self, name: str) -> list[bytes]:
        """The messages of a mailbox, in the order of their UIDs."""
        box = self.mailboxes.get(name)
        return [mail.octets for _, mail in sorted(box.mail.items())] if box else []

    def used(self) -> int:
        """Octets in all mailboxes."""
        return sum(len(mail.octets) for box in self.mailboxes.values() for mail in box.mail.values())

    def take(self, name: str, upload: Upload) -> tuple[Fate, int | None]:
        """One APPEND: what becomes of it, and the UID if it is stored now."""
        octets = b"".join(upload.octets.chunks())
        if upload.octets.digest in self.refuse or (self.append_limit or len(octets)) < len(octets):
            return Fate.REFUSED, None
        if self.quota_octets is not None and self.used() + len(octets) > self.quota_octets:
            return Fate.REFUSED_NOW, None
        fate = self.fate(upload)
        if fate in {Fate.REFUSED, Fate.REFUSED_NOW, Fate.LOST}:
            return fate, None
        box = self.mailboxes[name]
        flags = (flag for flag in upload.flags if box.kept is None or flag.lower() in box.kept)
        mail = Mail(self.rewrite(octets), upload.date.replace(microsecond=0), frozenset(flags))
        if fate is Fate.LATE:
            self._late.append((name, mail))
            return fate, None
        return fate, box.add(mail)


class MemoryTarget:
    """A connection to a :class:`MemoryServer`; satisfies :class:`pop2imap.target.Erasing`."""

    identity = "alice@imap.example:993"

    def __init__(self, server: MemoryServer) -> None:
        self.server = server
        self._open = False
        self._uploads = False

    def open(self) -> TargetFacts:
        self._step("open", "")
        self._open = self._uploads = True
        server = self.server
        capabilities = {"IMAP4REV1", "MULTIAPPEND"} | ({"UIDPLUS"} if server.appenduid else set())
        return TargetFacts(
            server=server.name,
            capabilities=frozenset(capabilities),
            prefix=server.prefix,
            delimiter=server.delimiter,
            special_use=dict(server.special_use),
            append_limit=server.append_limit,
            quota_octets=None if server.quota_octets is None else (server.used(), server.quota_octets),
            folders=tuple(
                name.removeprefix(server.prefix).replace(server.delimiter, "/") for name in server.mailboxes
            ),
        )

    def close(self) -> None:
        self._open = self._uploads = False

    def locate(self, folder: str) -> Mailbox | None:
        return self._mailbox("locate", folder, create=False)

    def locate_each(self, folders: Sequence[str]) -> list[Mailbox | FolderError | None]:
        told: list[Mailbox | FolderError | None] = []
        for folder in folders:
            try:
                told.append(self.locate(folder))
            except FolderError as error:
                told.append(error)
        return told

    def prepare(self, folder: str) -> Mailbox:
        found = self._mailbox("prepare", folder, create=True)
        assert found is not None
        return found

    def prepare_each(self, folders: Sequence[str]) -> list[Mailbox | FolderError]:
        prepared: list[Mailbox | FolderError] = []
        for folder in folders:
            try:
                prepared.append(self.prepare(folder))
            except FolderError as error:
                prepared.append(error)
        return prepared

    def append(self, feed: Feed, session: int = 0) -> None:
        while (batch := feed.next(wait=True)) is not None:
            feed.done(batch, self._append(batch.mailbox, batch.uploads))

    def _append(self, mailbox: Mailbox, uploads: Sequence[Upload]) -> list[Outcome]:
        server = self.server
        server.log.append(("append", mailbox.name))
        if not (self._open and self._uploads):
            return [Unknown("not connected")] * len(uploads)
        if mailbox.name not in server.mailboxes:
            return [Refused("[TRYCREATE] no such mailbox") for _ in uploads]
        outcomes: list[Outcome] = []
        for upload in uploads:
            server.before("append")
            fate, uid = server.take(mailbox.name, upload)
            self._uploads = self._uploads and fate not in UNANSWERED
            outcomes.append(self._outcome(mailbox, fate, uid))
        return outcomes

    def _outcome(self, mailbox: Mailbox, fate: Fate, uid: int | None) -> Outcome:
        if not self._uploads:
            return Unknown("the connection was lost")
        if fate is Fate.REFUSED:
            return Refused("the server does not like it")
        if fate is Fate.REFUSED_NOW:
            return Refused("[OVERQUOTA] not now", Again.LATER)
        assert uid is not None
        told = self.server.appenduid_of(uid) if self.server.appenduid else None
        return Stored(self.server.mailboxes[mailbox.name].uidvalidity, told)

    def survey(self, mailbox: Mailbox, lowest_uid: int) -> list[Found]:
        box = self._selected("survey", mailbox)
        return [
            Found(uid, len(mail.octets), mail.date, mail.flags)
            for uid, mail in sorted(box.mail.items())
            if uid >= lowest_uid
        ]

    def digests(self, mailbox: Mailbox, uids: Sequence[int]) -> dict[int, tuple[bytes, bytes]]:
        box = self._selected("digests", mailbox)
        self.server.bodies += len(uids)
        read = {uid: from_bytes(box.mail[uid].octets) for uid in uids if uid in box.mail}
        return {uid: (octets.digest, octets.match_digest) for uid, octets in read.items()}

    def erase(self, mailbox: Mailbox, uids: Sequence[int], *, plain: bool = False) -> set[int]:
        box = self._selected("mark", mailbox)
        marked = {uid for uid, mail in box.mail.items() if "\\Deleted" in mail.flags}
        if not self.server.appenduid and (not plain or marked - set(uids)):
            raise FolderError("the server cannot remove these messages alone", where=mailbox.folder)
        for uid in set(uids) & set(box.mail):
            box.mail[uid] = replace(box.mail[uid], flags=box.mail[uid].flags | {"\\Deleted"})
        self._step("expunge", mailbox.name)
        for uid in sorted(set(uids) & set(box.mail) - self.server.kept_back):
            del box.mail[uid]
            self._step("expunging", mailbox.name)
        self._step("expunged", mailbox.name)
        for uid in set(uids) & set(box.mail):
            box.mail[uid] = replace(box.mail[uid], flags=box.mail[uid].flags - {"\\Deleted"})
        return set(uids) - set(box.mail)

    def remove(self, name: str, uidvalidity: int | None) -> str:
        self._step("delete", name)
        server, box = self.server, self.server.mailboxes.get(name)
        if box is not None:
            if any(other.startswith(name + server.delimiter) for other in server.mailboxes):
                return "there are folders below it"
            if uidvalidity not in {None, box.uidvalidity}:
                return "it is another"
            if box.mail or name == "INBOX":
                return "there are other messages in it"
            del server.mailboxes[name]
        server.subscribed.discard(name)
        self._step("deleted", name)
        return ""

    def _selected(self, step: str, mailbox: Mailbox) -> MemoryMailbox:
        self._step(step, mailbox.name)
        if mailbox.name not in self.server.mailboxes:
            raise FolderError("it is no longer there", where=mailbox.folder)
        box = self.server.mailboxes[mailbox.name]
        if box.uidvalidity != mailbox.uidvalidity:
            raise FolderError("it has been replaced", where=mailbox.folder)
        return box

    def _mailbox(self, step: str, folder: str, *, create: bool) -> Mailbox | None:
        server, name = self.server, self.server.name_of(folder)
        self._step(step, name)
        created = name not in server.mailboxes
        if created and not create:
            return None
        if created and folder in server.no_folder:
            raise FolderError("the server will not make it", where=folder)
        box = server.make(name)
        if create:
            server.subscribed.add(name)
        return Mailbox(
            folder=folder,
            name=name,
            uidvalidity=box.uidvalidity,
            uidnext=box.uidnext,
            messages=len(box.mail),
            created=created,
            permanent_flags=box.kept,
            any_keyword=box.kept is None,
            append_limit=server.append_limit,
        )

    def _step(self, step: str, name: str) -> None:
        self.server.log.append((step, name))
        self.server.before(step)
        if step != "open" and not self._open:
            raise ConnectionLost("not connected", where=self.identity)
