"""Signals. The first SIGINT or SIGTERM asks the run to come to a good end; the second leaves at once. Both are
safe: the journal knows what is under way."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from types import FrameType

from pop2imap.errors import ExitCode
from pop2imap.pipeline import Stop

_SIGNALS = {signal.SIGINT: ExitCode.INTERRUPTED, signal.SIGTERM: ExitCode.NOT_FINISHED}
_FIRST = "pop2imap: finishing the batch in flight; again to leave at once\n"
_SECOND = "pop2imap: left at once; nothing is lost: run the same command again, and it goes on\n"


@contextlib.contextmanager
def watched(stop: Stop) -> Iterator[None]:
    """While this lasts, the first signal sets ``stop`` and the second ends the process with 130. A signal that
    was ignored when the process began (nohup, a job in the background) stays ignored."""

    def handle(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            _write(_SECOND)
            os._exit(ExitCode.INTERRUPTED)
        stop.exit_code = _SIGNALS[signal.Signals(number)]
        stop.set()
        _write(_FIRST)

    before = {}
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _write(words: str) -> None:
    """Past Python's own buffers, which this thread may be in the middle of; below the bar, if there is one."""
    with contextlib.suppress(OSError):
        lead = "\n" if os.isatty(2) else ""
        os.write(2, (lead + words).encode("ascii"))
