"""What there is to do: one account, all of it."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from pop2imap.options import Options
from pop2imap.rules import Rules
from pop2imap.sources import Source
from pop2imap.target import Target


class Job(NamedTuple):
    """One account to migrate. The sources are taken in order; the same octets from two of them are one."""

    sources: tuple[Source, ...]
    target: Target
    rules: Rules
    options: Options
    dry_run: bool = False

    @property
    def rules_digest(self) -> str:
        """Names everything that decides what is skipped and where mail goes."""
        options = self.options
        decides = f"{self.rules.digest} {options.since} {options.before}"
        at_home = (options.flatten, options.with_trash, options.with_junk, options.deleted_at_home)
        if at_home != (False, False, False, "trash"):
            decides += f" {at_home}"
        return hashlib.sha256(decides.encode()).hexdigest()[:16]
