"""How to move: the options of one run, whoever said them, with what holds where nobody did."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Literal, NamedTuple

from pop2imap import repair
from pop2imap.errors import UsageError
from pop2imap.rates import Limits
from pop2imap.text import printable

AUTO_DAYS = 14
"""With ``--mark auto``, mail of unknown state counts as read when it is older than this."""

MAX_DAYS = 36500


class Mark(NamedTuple):
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
            f"'{printable(text, 60)}' is no way to mark mail",
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


OnHeld = Literal["keep", "retry"]
"""What to do with held messages: leave them so, or send again what is not found in its folder, perhaps twice then."""

DeletedAtHome = Literal["skip", "trash", "keep"]
"""What to do with mail in a maildrop that was deleted on the computer that had fetched it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to move. ``since`` (inclusive) and ``before`` (exclusive) are days in UTC of the internal date;
    ``limit`` is the most messages to upload in this run; ``fence`` is in seconds, ``max_rate`` in octets a second of
    uploads (None: as fast as it goes). ``daily_bytes`` may be uploaded in 24 hours, ``source_daily_bytes`` downloaded
    from each POP3 source; ``provider_limits``: where that is not said, what :mod:`pop2imap.providers` knows.

    ``into`` None: the rules' own default folder, else INBOX. ``rules`` names a rules file, or a ``move.toml``
    that holds rules; None: no rules but the default folder. ``quarantine`` is a directory for refused messages,
    ``repair`` holds names of :mod:`pop2imap.repair`, in its order; ``retry_refused`` takes up refused messages, and
    those alone. ``connections``: how many sessions upload at once; None: as many as the target needs. ``unordered``:
    several of them may upload to one folder. ``rescan`` reads all of each mbox, also where an earlier run knows most of
    it. ``flatten``: folders at home say nothing of folders in the target; without ``with_trash`` and ``with_junk``,
    mail in these folders is left at home.
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
    allow_same_account: bool = False
    max_rate: int | None = None
    max_messages_per_second: float | None = None
    daily_bytes: int | None = None
    source_daily_bytes: int | None = None
    provider_limits: bool = True
    quarantine: Path | None = None
    repair: tuple[str, ...] = ()
    retry_refused: bool = False
    on_held: OnHeld = "keep"
    connections: int | None = None
    unordered: bool = False
    fence: float = 30.0
    flatten: bool = False
    with_trash: bool = False
    with_junk: bool = False
    deleted_at_home: DeletedAtHome = "trash"
    rescan: bool = False

    @property
    def limits(self) -> Limits:
        """How fast mail may go to the target."""
        return Limits(self.max_rate, self.max_messages_per_second)


def checked(options: Options) -> Options:
    """``options``, if they do not contradict themselves, repairs in their order. Raises UsageError."""
    if options.since and options.before and options.since >= options.before:
        raise UsageError(
            f"no day is both since {options.since} and before {options.before}", where="--since, --before"
        )
    for name, least in (("limit", options.limit), ("connections", options.connections)):
        if least is not None and least < 1:
            raise UsageError("must be at least 1", where=f"--{name}")
    rate = options.max_messages_per_second
    if rate is not None and not 0 < rate < math.inf:
        raise UsageError("must be more than 0", where="--max-messages-per-second")
    if options.into is not None and (not options.into.strip() or not options.into.isprintable()):
        raise UsageError(f"'{printable(options.into, 60)}' is no name for a folder", where="--into")
    if options.repair and options.quarantine is None:
        raise UsageError(
            "a repair changes messages, so their originals are kept",
            where="--repair",
            todo="say where with --quarantine DIR",
        )
    return replace(options, repair=checked_repairs(options.repair))


def checked_repairs(names: Sequence[str]) -> tuple[str, ...]:
    """``names`` in the order in which they are applied, each once. Raises UsageError."""
    for name in names:
        if name not in repair.NAMES:
            raise UsageError(
                f"'{printable(name, 60)}' is no repair",
                where="--repair",
                todo=f"one of {', '.join(repair.NAMES)}",
            )
    return tuple(name for name in repair.NAMES if name in names)
