"""The target as it is now beside the copies that the journal has in it."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TypeVar

from pop2imap.errors import ConnectionLost, FolderError
from pop2imap.journal.copies import Copy, Kept
from pop2imap.journal.history import History
from pop2imap.model import Key, Mailbox
from pop2imap.progress import Progress
from pop2imap.report.verified import Finding
from pop2imap.target import Target
from pop2imap.text import printable
from pop2imap.verify.contents import AT_ONCE, Contents, Digests
from pop2imap.verify.ledger import Ledger
from pop2imap.verify.rewrites import named

SAMPLE = 200
"""Copies of an account whose octets are compared in any case."""

PORTION = 1000
"""Copies looked for at once."""

ELSEWHERE = ("\\Trash", "\\Archive", "\\All", "\\Junk")
"""Where mail programs move mail to: looked into before all other folders of the account."""

PAUSES = (1.0, 2.0, 4.0, 8.0)
"""Seconds before each new try when the target is lost."""

_T = TypeVar("_T")


class Comparison:
    """One comparison of a target, which it opens. ``read`` has, for each source whose octets were read, what in its
    messages servers change. What comes of it is in the ledger."""

    def __init__(
        self,
        target: Target,
        history: History,
        ledger: Ledger,
        read: Mapping[str, Mapping[Key, tuple[str, ...]]],
        progress: Progress,
        stop: threading.Event,
        sleep: Callable[[float], None],
    ) -> None:
        self._target, self._history, self._ledger, self._read = target, history, ledger, read
        self._progress, self._stop, self._sleep = progress, stop, sleep
        self._places: dict[str, tuple[Mailbox, Contents]] = {}  # by the server's name
        self._lost: dict[str, list[Copy]] = defaultdict(list)  # by mailbox: not where it was
        self._others: tuple[str, ...] = ()  # the folders of the account
        self._at = 0
        self._every = max(-(-sum(kept.with_uid for kept in ledger.kept) // SAMPLE), 1)

    def run(self) -> None:
        """Judge every copy that the journal counts as being in the target. Raises what targets and journals raise."""
        self._others = self._target.open().folders
        self._progress.start(
            f"comparing {self._target.identity}", 0, sum(kept.copies for kept in self._ledger.kept)
        )
        for kept in self._ledger.kept:
            if self._stop.is_set():
                return
            try:
                self._mailbox(kept)
            except FolderError as error:  # what has no finding yet stays unchecked
                self._remark_trouble(error)
                self._lost.pop(kept.mailbox, None)
        self._seek_elsewhere()

    def _mailbox(self, kept: Kept) -> None:
        mailbox = self._asked(partial(self._locate, kept))
        if mailbox is None:
            self._ledger.remarks.append(f"{_shown(kept.mailbox)} is not there any more: renamed, or deleted")
            for some in self._copies(kept):
                self._lost[kept.mailbox] += some
            return
        contents = self._look_into(mailbox)
        self._ledger.holds(kept, len(contents))
        gone: list[Copy] = []
        if mailbox.uidvalidity == kept.uidvalidity:
            for some in self._history.with_uid(kept):
                gone += self._by_uid(some, kept.mailbox)
                if self._stop.is_set():
                    return
            nameless = self._history.without_uid(kept)
        else:
            self._ledger.remarks.append(
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
        yield from self._history.with_uid(kept)
        yield from self._history.without_uid(kept)

    def _by_uid(self, copies: Sequence[Copy], name: str) -> list[Copy]:
        """Judge copies that have a UID in their mailbox. Returns those that are not there."""
        contents = self._places[name][1]
        sizes: dict[int, int] = {}
        reading: list[int] = []
        for copy in copies:
            uid = copy.uid or 0
            size = contents.take(uid)
            self._at += 1
            if size is not None:
                sizes[uid] = size
            if size != copy.size or self._ledger.full or self._at % self._every == 0:
                reading.append(uid)  # if it is not there, it is asked for once more
        digests = self._digests(name, reading)
        gone = []
        asked = set(reading)
        for copy in copies:
            uid = copy.uid or 0
            if uid in digests:
                self._judge(copy, name, sizes.get(uid), digests[uid])
            elif uid in asked:
                gone.append(copy)
            else:
                self._found(copy, name, Finding.THERE)
        return gone

    def _judge(self, copy: Copy, name: str, size: int | None, digests: tuple[bytes, bytes]) -> None:
        digest, match = digests
        if digest == copy.digest:
            self._found(copy, name, Finding.IDENTICAL)
        elif match == copy.match_digest:
            self._found(copy, name, Finding.REWRITTEN)
            self._ledger.rewritten[self._how(copy, size)] += 1
        else:
            stored = "other octets" if size is None else f"another message, of {size} octets,"
            self._ledger.problem(
                copy,
                name,
                Finding.DIFFERENT,
                f"{stored} with SHA-256 {digest.hex()[:16]}… stands under this UID",
                "look at it in your mail program; what was sent is still at the source, if you have kept that",
            )
            self._progress.advance(0, 1)

    def _how(self, copy: Copy, size: int | None) -> str:
        read = self._read.get(copy.key.source)
        suspects = None if read is None else read.get(copy.key, ())
        return named(copy.size, copy.size if size is None else size, suspects)

    def _found(self, copy: Copy, name: str, finding: Finding) -> None:
        self._ledger.found(copy, name, finding)
        self._progress.advance(0, 1)

    def _by_octets(self, copies: Sequence[Copy], name: str) -> list[Copy]:
        """Judge copies that have no UID in their mailbox. Returns those that are not there."""
        contents = self._places[name][1]
        got = contents.seek(copies, any_date=True, any_size=self._ledger.full)
        missing = []
        for copy in copies:
            if copy.id not in got:
                missing.append(copy)
                continue
            uid, digest = got[copy.id]
            self._judge(copy, name, contents.size_of(uid), (digest, copy.match_digest))
        return missing

    # -- what is not where it was

    def _seek_elsewhere(self) -> None:
        """Look for the lost copies in all other mailboxes, and decide about the rest."""
        lost = {name: copies for name, copies in self._lost.items() if copies}
        if not lost or self._stop.is_set():
            return
        for folder in dict.fromkeys((*ELSEWHERE, *self._others)):
            try:
                mailbox = self._asked(partial(self._located, folder))
                if mailbox is not None and mailbox.name not in self._places:
                    self._look_into(mailbox)
            except FolderError as error:
                self._remark_trouble(error)
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

    def _seek(self, copies: Sequence[Copy], name: str, place: str) -> list[Copy]:
        """Look in the mailbox ``place`` for copies that were in the mailbox ``name``. Returns those not found."""
        contents = self._places[place][1]
        left: list[Copy] = []
        got: dict[int, tuple[int, bytes]] = {}
        for at in range(0, len(copies), PORTION):
            full = self._ledger.full
            got |= contents.seek(copies[at : at + PORTION], any_date=full, any_size=full)
        where = _shown(place) if place != name else f"{_shown(place)}, under another UID"
        for copy in copies:
            if copy.id in got:
                self._found(copy, name, Finding.MOVED)
                self._ledger.moved[where] += 1
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
        self._ledger.problem(
            copy,
            name,
            Finding.MISSING,
            f"{what}; nor was it found in another folder",
            "nothing, if you deleted it; else take it from the source: pop2imap does not store it again by itself",
        )
        self._progress.advance(0, 1)

    def _remark_trouble(self, error: FolderError) -> None:
        self._ledger.remarks.append(f"a folder cannot be looked into: {error}")

    # -- asking

    def _locate(self, kept: Kept) -> Mailbox | None:
        """Our mailbox, under whichever folder name leads there."""
        trouble: FolderError | None = None
        for folder in kept.folders:
            try:
                mailbox = self._target.locate(folder)
            except FolderError as error:
                trouble = trouble or error
            else:
                if mailbox is not None and mailbox.name == kept.mailbox:
                    return mailbox
        if trouble is not None:
            raise trouble
        others = (self._located(folder) for folder in dict.fromkeys((*ELSEWHERE, *self._others)))
        return next((one for one in others if one is not None and one.name == kept.mailbox), None)

    def _located(self, folder: str) -> Mailbox | None:
        """The mailbox of a folder that may well not be there."""
        try:
            return self._target.locate(folder)
        except FolderError:
            return None

    def _look_into(self, mailbox: Mailbox) -> Contents:
        found = self._asked(partial(self._target.survey, mailbox, 1))
        contents = Contents(found, lambda uids: self._digests(mailbox.name, uids))
        self._places[mailbox.name] = mailbox, contents
        return contents

    def _digests(self, name: str, uids: Sequence[int]) -> Digests:
        mailbox = self._places[name][0]
        digests: Digests = {}
        for at in range(0, len(uids), AT_ONCE):
            some = uids[at : at + AT_ONCE]
            digests.update(self._asked(partial(self._target.digests, mailbox, some)))
            if self._stop.is_set():
                break
        return digests

    def _asked(self, question: Callable[[], _T]) -> _T:
        """The answer of the target; asked again where the connection is lost, since asking changes nothing."""
        for pause in PAUSES:
            try:
                return question()
            except ConnectionLost as error:
                if self._stop.is_set():
                    raise
                self._progress.say(f"{error}; trying again")
                self._sleep(pause)
                self._target.close()
                self._target.open()
        return question()


def _shown(mailbox: str) -> str:
    return printable(mailbox, 100)
