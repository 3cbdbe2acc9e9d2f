"""What an earlier run has found in an mbox: so that of a file that only grew, only what came at its end is scanned.

For each file there is a small one of ours, with the places and keys of its messages up to the one that more octets at
the end could still change (:class:`~pop2imap.sources.mbox_found.Resume`). It is believed

* while the file is the same one (its inode) and either has neither another size nor another time of change,
* or has grown, and what was known of it is there: its first and its last 64 kB, and 4 kB in each of thirty places.

Whatever else has become of the file, all of it is read again, as it is when what we have kept is damaged or was made by
another version. So what is *missed* is a change in the middle that leaves every octet after it where it was, in a file
that grew at the same time. Programs that note there that a message was read do so: that changes neither place nor key
of any message, and flags are read when the message is. A message that was put exactly into the place of another is
missed until all is read.

Nothing rests on this for what is moved: places are only places, and each message is digested again when it is read. If
one is not where it was, what is known is forgotten, and the next run reads all.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import NamedTuple

from pop2imap import __version__, private
from pop2imap.sources.mbox_file import Stamp
from pop2imap.sources.mbox_found import Resume
from pop2imap.sources.mbox_index import Index
from pop2imap.sources.mbox_slice import ReadAt, read_fully

_ENDS = 1 << 16
_SAMPLE = 1 << 12
_SAMPLES = 30
_DIGEST = 32
_MOST = 1 << 31  # octets of a file of ours


class _Facts(NamedTuple):
    """Of which file, read in which way, and what is known of it. What lacks one of these is not believed."""

    version: str
    source: str
    keep_headers: bool
    labels: str
    size: int
    modified: int
    inode: int
    messages: int
    exact_lengths: int
    offset: int
    lengths_hold: bool
    totals: list[int]
    samples: str


class Known(NamedTuple):
    """The messages of a file up to where the scan of it goes on. ``grew``: there is more of it than there was."""

    found: Index
    resume: Resume
    grew: bool


class Memory:
    """Keeps what is known in ``directory``, which is made when there is something to keep. ``rescan``: nothing is
    believed. ``read_only``: nothing is kept, as befits a dry run."""

    def __init__(self, directory: Path, *, rescan: bool = False, read_only: bool = False) -> None:
        self._directory = directory
        self._rescan = rescan
        self._read_only = read_only

    def recall(
        self, source: str, stamp: Stamp, read_at: ReadAt, *, keep_headers: bool, labels: str = ""
    ) -> Known | str:
        """What is known of this file, as it is now; or why nothing is believed, in words, which are empty where there
        is nothing to say. Raises OSError where the file cannot be read."""
        if self._rescan or (kept := self._load(source)) is None:
            return ""
        facts, octets = kept
        read_as = (__version__, source, keep_headers, labels)
        if (facts.version, facts.source, facts.keep_headers, facts.labels) != read_as:
            return ""
        if facts.inode != stamp.identity[1]:
            return "it is another file than the one that was read before"
        if stamp.size < facts.size:
            return "it has become shorter since it was read before"
        if stamp.size == facts.size and stamp.modified != facts.modified:
            return "it was changed since it was read before, and did not just grow"
        if stamp.size > facts.size and facts.samples != _samples(read_at, facts.offset):
            return "it did not just grow since it was read before"
        index = Index.unpacked(source, facts.messages, facts.exact_lengths, octets, places=bool(labels))
        if index is None:
            return ""
        resume = Resume(facts.offset, facts.lengths_hold, tuple(facts.totals))
        return Known(index, resume, stamp.size > facts.size)

    def keep(
        self,
        source: str,
        stamp: Stamp,
        read_at: ReadAt,
        index: Index,
        resume: Resume,
        *,
        keep_headers: bool,
        labels: str = "",
    ) -> None:
        """Never raises: whoever knows nothing reads all."""
        if self._read_only or not resume.mail:
            return
        with contextlib.suppress(OSError):
            facts = _Facts(
                version=__version__,
                source=source,
                keep_headers=keep_headers,
                labels=labels,
                size=stamp.size,
                modified=stamp.modified,
                inode=stamp.identity[1],
                messages=resume.mail,
                exact_lengths=min(index.exact_lengths, resume.mail),
                offset=resume.offset,
                lengths_hold=resume.lengths_hold,
                totals=list(resume.totals),
                samples=_samples(read_at, resume.offset),
            )
            text = json.dumps(facts._asdict()).encode() + b"\n" + index.packed(resume.mail)
            self._directory.mkdir(mode=0o700, exist_ok=True)
            new = self._path(source).with_suffix(".new")
            with open(private.opened(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "wb") as file:
                file.write(hashlib.sha256(text).digest() + text)
            new.replace(self._path(source))

    def forget(self, source: str) -> None:
        """Never raises."""
        if not self._read_only:
            with contextlib.suppress(OSError):
                self._path(source).unlink(missing_ok=True)

    def _path(self, source: str) -> Path:
        return self._directory / hashlib.sha256(source.encode("utf-8", "surrogateescape")).hexdigest()[:32]

    def _load(self, source: str) -> tuple[_Facts, bytes] | None:
        try:
            with open(os.open(self._path(source), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
                digest, text = file.read(_DIGEST), file.read(_MOST)
            if hashlib.sha256(text).digest() != digest:
                return None
            line, _, octets = text.partition(b"\n")
            return _Facts(**json.loads(line)), octets
        except (OSError, ValueError, TypeError):
            return None


def _samples(read_at: ReadAt, upto: int) -> str:
    """Names the first ``upto`` octets of a file, by some of them."""
    sha = hashlib.sha256(b"%d" % upto)
    ends = min(_ENDS, upto)
    sha.update(read_fully(read_at, 0, ends))
    sha.update(read_fully(read_at, upto - ends, ends))
    for nth in range(1, _SAMPLES + 1):
        at = upto * nth // (_SAMPLES + 1)
        sha.update(read_fully(read_at, at, min(_SAMPLE, upto - at)))
    return sha.hexdigest()
