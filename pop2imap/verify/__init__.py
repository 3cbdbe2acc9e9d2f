"""Is everything that was stored still there? The journal, the target and the sources beside each other.

Theory of operation
-------------------
The journal counts copies as stored or present: most under a UID, some without one. The target is asked, mailbox by
mailbox, for the UIDs and sizes of all it holds, in one question. A copy that stands under its UID with the size that
was sent is *there*; whether it is *identical* needs its octets, which are read for all of them, or for every n-th so
that there are ``SAMPLE``, and for all whose size is another. SHA-256 decides: equal digests are identical, equal match
digests are the same message, *rewritten* by the server, and everything else is *different*.

A copy without a UID, or of a mailbox whose UIDVALIDITY is a new one, is looked for by its octets among the messages
that are nobody's. What is not under its UID is looked for likewise: in its mailbox, in the others that we have put mail
into, where mail programs move mail to, and in all other folders of the account. A move keeps the INTERNALDATE, so
messages of the same date are looked at first, and without ``full`` they are the only ones. What is found is *moved*,
which is its owner's right; what is not is *missing*.

A run may be at work meanwhile. The journal is asked after the mailbox was, so a copy may be newer than what is known of
the mailbox: before anything counts as missing, its UID is asked for once more.

Nothing is written anywhere: the journal is read without its lock, mailboxes are examined, bodies are peeked at.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from pop2imap.errors import Pop2imapError, UsageError
from pop2imap.journal.history import History, read_history
from pop2imap.model import Key
from pop2imap.pipeline import Stop
from pop2imap.progress import Progress
from pop2imap.report.verified import VerifyReport
from pop2imap.sources import Source
from pop2imap.target import Target
from pop2imap.text import printable
from pop2imap.verify.ledger import Ledger
from pop2imap.verify.source import look_at
from pop2imap.verify.target import SAMPLE, Comparison

__all__ = ["SAMPLE", "verify"]

Now = Callable[[], datetime]


def verify(
    target: Target,
    sources: Sequence[Source],
    *,
    state_dir: Path,
    full: bool,
    progress: Progress,
    stop: threading.Event,
    now: Now = lambda: datetime.now(UTC),
    sleep: Callable[[float], None] = time.sleep,
) -> VerifyReport:
    """Compare what the journal of ``target`` counts as stored or present with what is there, and with ``sources``.
    ``full``: all octets, of the sources too. What ended it early is in the report.

    Raises UsageError if there is no journal, JournalCorrupt, JournalTooNew, LocalIOError if it cannot be read.
    """
    started = now()
    history = read_history(state_dir, target.identity)
    if history is None:
        raise UsageError(
            f"no journal of {printable(target.identity)} is here, so nothing is known to compare with",
            where=printable(str(state_dir)),
            todo="pop2imap status says which targets are known; --state-dir says where the journal of the move is",
        )
    with closing(history):
        ledger = Ledger(history, full=full)
        error: Pop2imapError | None = None
        try:
            read = _look_at_sources(sources, history, ledger, progress, stop)
            if not stop.is_set():
                Comparison(target, history, ledger, read, progress, stop, sleep).run()
        except Pop2imapError as trouble:
            error = trouble
        finally:
            progress.finish()
            target.close()
        interrupted = None
        if stop.is_set() and error is None:
            interrupted = stop.exit_code if isinstance(stop, Stop) else Stop.exit_code
        return ledger.report(started, now(), error, interrupted)


def _look_at_sources(
    sources: Sequence[Source],
    history: History,
    ledger: Ledger,
    progress: Progress,
    stop: threading.Event,
) -> dict[str, dict[Key, tuple[str, ...]]]:
    """What the sources list; with ``ledger.full`` also what they hold. Returns, for each source that was read, what
    in its messages servers change."""
    read = {}
    for source in sources:
        if not stop.is_set():
            found = look_at(source, history, full=ledger.full, progress=progress, stop=stop)
            ledger.sources.append(found.report)
            ledger.remarks += found.remarks
            ledger.problems += found.problems
            if ledger.full:
                read[source.id] = found.suspects
    return read
