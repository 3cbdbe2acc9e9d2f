"""What the sources of a store are given, whatever kind of store it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from pop2imap.sizes import MAX_MESSAGE
from pop2imap.sources.mbox_known import Memory
from pop2imap.sources.takeout_labels import Labels


class Settings(NamedTuple):
    """``spool`` is the directory for large messages; None: the system's own. Messages of more than
    ``max_message_size`` octets are unreadable. ``keep_headers`` leaves the book-keeping lines of mail programs in the
    messages. ``quoting`` is a :class:`pop2imap.sources.mbox.Quoting`, as people write it. ``memory`` gives what earlier
    runs have found in mbox files; None: all of each is read. ``maildrops`` are those (``user@host``) that the mail
    program knows by the names that it notes in messages. ``labels``: what is made of those of a Takeout export."""

    spool: Path | None = None
    max_message_size: int = MAX_MESSAGE
    keep_headers: bool = False
    quoting: str = "auto"
    memory: Callable[[], Memory] | None = None
    maildrops: Mapping[str, str] = MappingProxyType({})
    labels: Labels = ""
