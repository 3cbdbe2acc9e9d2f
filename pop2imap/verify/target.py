"""The target as it is now beside the copies that the journal has in it."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Protocol

from pop2imap.errors import FolderError
from pop2imap.journal.copies import Copy, CopyReader, Kept
from pop2imap.model import Key
from pop2imap.progress import Progress
from pop2imap.report.verified import Finding
from pop2imap.target import Target
from pop2imap.text import printable
from pop2imap.verify.places import Places
from pop2imap.verify.rewrites import named

SAMPLE = 200
"""Copies of an account whose octets are compared in any case."""

SHOWN = 10
"""UIDs named in a remark."""

PORTION = 1000
"""Copies looked for at once."""


class Judge(Protocol):
    """Who is told what became of each copy (``verify.ledger``). ``full``: all octets are to be compared; ``kept`` is
    what the journal has in the target; ``remarks`` are for people."""

    full: bool
    kept: Sequence[Kept]
    remarks: list[str]

    def holds(self, kept: Kept, messages: int) -> None:
        """A mailbox has so many messages now, ours and others."""

    def wants(self, copy: Copy) -> bool:
        """Whether this copy is to be judged. One that is not is left its message all the same."""

    def seen(self, copy: Copy, place: str, uid: int) -> None:
        """This message, in the mailbox ``place``, is taken for that copy; what it is comes next."""

    def found(self, copy: Copy, mailbox: str, finding: Finding) -> None:
        """What became of a copy that the journal has in ``mailbox``: identical, or there."""

    def rewritten(self, copy: Copy, mailbox: str, how: str) -> None:
        """It is there, rewritten by the server: how, in words."""

    def moved(self, copy: Copy, mailbox: str, where: str, *, identical: bool) -> None:
        """It was found elsewhere: where, in words."""

    def problem(self, copy: Copy, mailbox: str, finding: Finding, reason: str, todo: str) -> None:
        """It is different, or missing."""


class Comparison:
    """One comparison of a target, which it opens. ``read`` has, for each source whose octets were read, what in its
    messages servers change. What comes of it the judge is told."""

    def __init__(
        self,
        target: Target,
        journal: CopyReader,
        judge: Judge,
        read: Mapping[str, Mapping[Key, tuple[str, ...]]],
        progress: Progress,
        stop: threading.Event,
        sleep: Callable[[float], None],
    ) -> None:
        self._identity, self._journal, self._judge, self._read = target.identity, journal, judge, read
        self._progress, self._stop = progress, stop
        self._places = Places(target, progress, stop, sleep)
        self._lost: dict[str, list[Copy]] = defaultdict(list)  # by mailbox: not where it was
        self._at = 0
        self._every = max(-(-sum(kept.with_uid for kept in judge.kept) // SAMPLE), 1)

    def run(self) -> None:
        """Judge every copy that the journal counts as being in the target. Raises what targets and journals raise."""
        self._places.open()
        self._progress.start(f"comparing {self._identity}", 0, sum(kept.copies for kept in self._judge.kept))
        for kept in self._judge.kept:
            if self._stop.is_set():
                return
            try:
                self._mailbox(kept)
            except FolderError as error:  # what has no finding yet stays unchecked
                self._remark_trouble(error)
                self._lost.pop(kept.mailbox, None)
        self._seek_elsewhere()
        for kept in self._judge.kept:
            if kept.mailbox in self._places and not self._stop.is_set():
                self._seek_surplus(kept)

    def of_sizes(self, sizes: Collection[int]) -> set[tuple[str, int]]:
        """Mailbox and UID of all messages of these sizes, as far as mailboxes were looked into."""
        return {(name, uid) for name in self._places for uid in self._places[name].of_sizes(sizes)}

    def _mailbox(self, kept: Kept) -> None:
        mailbox = self._places.locate(kept.mailbox, kept.folders)
        if mailbox is None:
            self._judge.remarks.append(f"{_shown(kept.mailbox)} is not there any more: renamed, or deleted")
            for some in self._copies(kept):
                self._lost[kept.mailbox] += self._wanted(some)
            return
        self._judge.holds(kept, len(self._places.look_into(mailbox)))
        gone: list[Copy] = []
        if mailbox.uidvalidity == kept.uidvalidity:
            for some in self._journal.with_uid(kept):
                gone += self._by_uid(some, kept.mailbox)
                if self._stop.is_set():
                    return
            nameless = self._journal.without_uid(kept)
        else:
            self._judge.remarks.append(
                f"{_shown(kept.mailbox)} was renumbered by the server (a new UIDVALIDITY): its messages are compared "
                "by their octets"
            )
            nameless = self._copies(kept)
        for some in nameless:
            self._lost[kept.mailbox] += self._by_octets(some, kept.mailbox)
            if self._stop.is_set():
                return
        self._lost[kept.mailbox] += self._seek(gone, kept.mailbox, kept.mailbox)

    def _copies(self, kept: Kept) -> Iterator[list[Copy]]:
        yield from self._journal.with_uid(kept)
        yield from self._journal.without_uid(kept)

    def _wanted(self, copies: Sequence[Copy]) -> list[Copy]:
        return [copy for copy in copies if self._judge.wants(copy)]

    def _by_uid(self, copies: Sequence[Copy], name: str) -> list[Copy]:
        """Judge copies that have a UID in their mailbox. Returns those that are not there."""
        contents = self._places[name]
        sizes: dict[int, int] = {}
        reading: list[int] = []
        judged: list[Copy] = []
        for copy in copies:
            uid = copy.uid or 0
            size = contents.take(uid)
            self._at += 1
            if not self._judge.wants(copy):
                continue
            judged.append(copy)
            if size is not None:
                sizes[uid] = size
            if size != copy.size or self._judge.full or self._at % self._every == 0:
                reading.append(uid)  # if it is not there, it is asked for once more
        digests = self._places.digests(name, reading)
        gone = []
        asked = set(reading)
        for copy in judged:
            uid = copy.uid or 0
            if uid in digests or uid not in asked:
                self._judge.seen(copy, name, uid)
            if uid in digests:
                self._compare(copy, name, sizes.get(uid), digests[uid])
            elif uid in asked:
                gone.append(copy)
            else:
                self._found(copy, name, Finding.THERE)
        return gone

    def _compare(self, copy: Copy, name: str, size: int | None, digests: tuple[bytes, bytes]) -> None:
        digest, match = digests
        if digest == copy.digest:
            self._found(copy, name, Finding.IDENTICAL)
        elif match == copy.match_digest:
            self._judge.rewritten(copy, name, self._how(copy, size))
            self._progress.advance(0, 1)
        else:
            stored = "other octets" if size is None else f"another message, of {size} octets,"
            self._judge.problem(
                copy,
                name,
                Finding.DIFFERENT,
                f"{stored} with SHA-256 {digest.hex()[:16]}… stands under this UID",
                "look at it in your mail program; what was sent is still at the source, if you have kept that",
            )
            self._progress.advance(0, 1)

    def _how(self, copy: Copy, size: int | None) -> str:
        if copy.repairs:
            return f"repaired before it was stored: {', '.join(copy.repairs)}"
        read = self._read.get(copy.key.source)
        suspects = None if read is None else read.get(copy.key, ())
        return named(copy.size, copy.size if size is None else size, suspects)

    def _found(self, copy: Copy, name: str, finding: Finding) -> None:
        self._judge.found(copy, name, finding)
        self._progress.advance(0, 1)

    def _by_octets(self, copies: Sequence[Copy], name: str) -> list[Copy]:
        """Judge copies that have no UID in their mailbox. Returns those that are not there."""
        contents = self._places[name]
        got = contents.seek(copies, any_date=True, any_size=self._judge.full)
        missing = []
        for copy in self._wanted(copies):
            if copy.id not in got:
                missing.append(copy)
                continue
            uid, digest = got[copy.id]
            self._judge.seen(copy, name, uid)
            self._compare(copy, name, contents.size_of(uid), (digest, copy.match_digest))
        return missing

    # -- what is not where it was

    def _seek_elsewhere(self) -> None:
        """Look for the lost copies in all other mailboxes, and decide about the rest."""
        lost = {name: copies for name, copies in self._lost.items() if copies}
        if not lost or self._stop.is_set():
            return
        for seen in self._places.look_everywhere():
            if isinstance(seen, FolderError):
                self._remark_trouble(seen)
        for name, copies in lost.items():
            left = copies
            for place in self._places:
                if place != name:
                    try:
                        left = self._seek(left, name, place)
                    except FolderError as error:
                        self._remark_trouble(error)
            if self._stop.is_set():
                return
            for copy in left:
                self._missing(copy, name)

    def _seek_surplus(self, kept: Kept) -> None:
        """Look for messages of nobody that have the octets and the date of a copy of ours: what a server stored long
        after the connection was lost, and when it had been sent again. They are told, and left alone."""
        contents = self._places[kept.mailbox]
        uids: list[int] = []
        if not contents.nobodys:
            return
        try:
            for some in self._copies(kept):
                uids += (
                    uid
                    for uid, _ in contents.seek(self._wanted(some), any_date=False, any_size=False).values()
                )
        except FolderError as error:
            self._remark_trouble(error)
        if uids:
            shown = ", ".join(map(str, sorted(uids)[:SHOWN])) + (" …" if len(uids) > SHOWN else "")
            self._judge.remarks.append(
                f"{_shown(kept.mailbox)} holds {len(uids)} of our messages twice, to the octet and with the same date "
                f"(UID {shown}): the server may have stored them after all when they had been sent again"
            )

    def _seek(self, copies: Sequence[Copy], name: str, place: str) -> list[Copy]:
        """Look in the mailbox ``place`` for copies that were in the mailbox ``name``. Returns those not found."""
        contents = self._places[place]
        left: list[Copy] = []
        got: dict[int, tuple[int, bytes]] = {}
        for at in range(0, len(copies), PORTION):
            full = self._judge.full
            got |= contents.seek(copies[at : at + PORTION], any_date=full, any_size=full)
        where = _shown(place) if place != name else f"{_shown(place)}, under another UID"
        for copy in copies:
            if copy.id in got:
                uid, digest = got[copy.id]
                self._judge.seen(copy, place, uid)
                self._judge.moved(copy, name, where, identical=digest == copy.digest)
                self._progress.advance(0, 1)
            else:
                left.append(copy)
        return left

    def _missing(self, copy: Copy, name: str) -> None:
        if name not in self._places:
            what = "its folder is not there any more"
        elif copy.uid is None:
            what = "its UID is not known, and no message in its folder that is nobody else's has these octets"
        else:
            what = "its UID is not there any more"
        self._judge.problem(
            copy,
            name,
            Finding.MISSING,
            f"{what}; nor was it found in another folder",
            "nothing, if you deleted it; else take it from the source: pop2imap does not store it again by itself",
        )
        self._progress.advance(0, 1)

    def _remark_trouble(self, error: FolderError) -> None:
        self._judge.remarks.append(f"a folder cannot be looked into: {error}")


def _shown(mailbox: str) -> str:
    return printable(mailbox, 100)
