"""How the memory of a process that moves mail is handled: what mail has used is used again for mail."""

from __future__ import annotations

import contextlib
import gc

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
"""Parameters of glibc's ``mallopt`` (malloc.h)."""

KEPT = 48 << 20
"""Octets of freed memory that are not given back to the system: about what is on its way at once."""

STEP = 4 << 20
"""Octets by which memory grows."""

LARGEST = 32 << 20
"""Octets from which on a piece of memory is a mapping of its own, gone with its end; the most that glibc allows."""

OBJECTS = 20_000
"""Objects made, and not freed, after which cycles among the young ones are looked for."""


def settle_in() -> None:
    """To be called once everything is imported and before mail moves.

    What was imported is there for good, so no collection of cycles looks at it again; and as there are many messages
    on their way at any time, collections are rare. By default glibc gives freed memory back at once: each message
    would be written into pages that the system first has to clear, which costs as much as all digests.
    """
    gc.freeze()
    gc.set_threshold(OBJECTS, 20, 20)
    with contextlib.suppress(ImportError, OSError, AttributeError, TypeError):  # another system, another libc
        import ctypes

        for parameter, value in ((_TRIM_THRESHOLD, KEPT), (_TOP_PAD, STEP), (_MMAP_THRESHOLD, LARGEST)):
            ctypes.CDLL(None).mallopt(parameter, value)
