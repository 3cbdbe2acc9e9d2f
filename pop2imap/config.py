"""What one run is to do, as frozen data."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Literal

from pop2imap.errors import UsageError
from pop2imap.text import printable

RULE_KEYS = frozenset({"version", "default-folder", "me", "max-folders", "rule"})
"""The top-level keys of a rules file; they may also stand in a ``move.toml``."""

MOVE_KEYS = frozenset({"version", "source", "target", "options"})
"""The top-level keys of a ``move.toml`` that are not about rules."""

AUTO_DAYS = 14
"""With ``--mark auto``, mail of unknown state counts as read when it is older than this."""

MAX_DAYS = 36500


@dataclass(frozen=True, slots=True)
class Mark:
    """Read or unread, for mail whose source does not know.

    ``auto`` and ``older-than`` mark as seen what is older than ``days``; ``auto`` does so only where the source
    says nothing, which is what ``older-than`` does too, with days of one's own. ``seen`` and ``unseen`` say it
    for everything that the source is silent about.
    """

    kind: Literal["auto", "seen", "unseen", "older-than"] = "auto"
    days: int = AUTO_DAYS

    @classmethod
    def parse(cls, text: str) -> Mark:
        """``auto``, ``seen``, ``unseen`` or ``older-than:30d``. Raises UsageError."""
        match text.strip().lower():
            case "auto":
                return cls()
            case "seen":
                return cls("seen", 0)
            case "unseen":
                return cls("unseen", 0)
            case other:
                found = re.fullmatch(r"older-than:([0-9]{1,6})d?", other)
                if found and int(found[1]) <= MAX_DAYS:
                    return cls("older-than", int(found[1]))
        raise UsageError(
            f"{printable(text, 60)!r} is no way to mark mail",
            where="mark",
            todo="one of: auto, seen, unseen, older-than:30d",
        )

    def __str__(self) -> str:
        return f"older-than:{self.days}d" if self.kind == "older-than" else self.kind


def default_state_dir() -> Path:
    """``POP2IMAP_STATE_DIR``, else where this system keeps the state of programs
    (``~/.local/state/pop2imap``)."""
    if named := os.environ.get("POP2IMAP_STATE_DIR"):
        return Path(named).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_state_dir("pop2imap", appauthor=False))


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to move. ``since`` (inclusive) and ``before`` (exclusive) are days in UTC of the internal date;
    ``limit`` is the most messages to upload in this run; ``fence`` is in seconds.

    ``into`` None: the rules' own default folder, else INBOX. ``rules`` None: no rules but the defaults.
    """

    into: str | None = None
    rules: Path | None = None
    mark: Mark = field(default_factory=Mark)
    assume_empty: bool = False
    keep_duplicates: bool = False
    limit: int | None = None
    since: date | None = None
    before: date | None = None
    state_dir: Path = field(default_factory=default_state_dir)
    full: bool = False
    accept_renumbered: bool = False
    fence: float = 30.0
