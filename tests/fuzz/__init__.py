"""Octets and text that nobody means well with, fed to everything that reads what others wrote.

A run of the whole suite tries a fixed, small number of them, the same ones each time. ``POP2IMAP_FUZZ=50`` tries
fifty times as many, and other ones each time: for an evening. What that finds is fixed together with a plain test
beside those of the module at fault.
"""

from __future__ import annotations

import os

from hypothesis import settings

from pop2imap.text import printable

TIMES = int(os.environ.get("POP2IMAP_FUZZ", "0"))


def bounded(examples: int) -> settings:
    """As a decorator: so many examples, or that many times ``POP2IMAP_FUZZ``."""
    return settings(
        max_examples=examples * max(TIMES, 1), derandomize=not TIMES, deadline=None, database=None
    )


def harmless(text: str) -> bool:
    """Whether ``text`` is as people may be shown it."""
    return printable(text, len(text) + 1) == text
