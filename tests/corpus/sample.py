"""A sample, the rules it is written for, and what must become of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pop2imap.model import SEEN, DateFrom

ME = "alice@example.com"

RULES_TOML = f"""\
version = 1
default-folder = "INBOX"
me = ["{ME}"]

[[rule]]
name = "Client ACME"
when = {{ any = [ {{ from = "*@acme.example" }}, {{ recipient = "*@acme.example" }} ] }}
then = {{ folder = "Clients/ACME" }}

[[rule]]
name = "Verein"
when = {{ list-id = "ueberblick.verein.example" }}
then = {{ folder = "Vereine/Überblick" }}

[[rule]]
name = "Lists"
when = {{ list-id = "*.lists.example.org" }}
then = {{ folder = "Lists/{{list-id}}", add-flags = ["$List"], mark = "seen" }}

[[rule]]
name = "Old"
when = {{ before = 2015-01-01 }}
then = {{ folder = "Archive/{{date:%Y}}" }}
"""

Via = Literal["pop3", "mbox"]


@dataclass(frozen=True, slots=True)
class Sample:
    """One message and what must become of it.

    ``flags`` is what a mail program noted, None if nothing (POP3 shows none of it). ``date`` (UTC) is the internal
    date, None if nothing dates the message; ``date_from`` is the fact that gives it over POP3, while an mbox dates
    all but the undated by its From_ line. ``folder`` is as people write it (see :func:`on_dovecot`), ``rule`` the
    name of the rule, empty for none; ``add_flags`` and ``mark_seen`` are the rule's doing. ``deleted``: the
    mail program threw it away, so an mbox source skips it; it is in no maildrop.
    """

    number: int
    kind: str
    octets: bytes
    flags: frozenset[str] | None
    date: datetime | None
    date_from: DateFrom
    folder: str
    rule: str = ""
    add_flags: frozenset[str] = frozenset()
    mark_seen: bool = False
    deleted: bool = False

    def over(self, via: Via) -> bytes:
        """The octets that arrive through a source."""
        octets = self.octets
        if via == "pop3":
            octets = as_dovecot_serves(octets)
        elif octets and not octets.endswith(b"\n"):
            octets += b"\r\n"
        return octets

    @property
    def sources(self) -> frozenset[Via]:
        """Those that give the octets exactly."""
        vias: tuple[Via, ...] = ("mbox",) if self.deleted else ("pop3", "mbox")
        return frozenset(via for via in vias if self.over(via) == self.octets)

    def expected_flags(self, via: Via) -> frozenset[str]:
        """The flags in the target, with ``--mark auto``, before what its PERMANENTFLAGS take away."""
        known = self.flags if via == "mbox" else None
        flags = {SEEN} if known is None else set(known)  # of unknown state, but older than 14 days
        return frozenset(flags | self.add_flags | ({SEEN} if self.mark_seen else set()))


def as_dovecot_serves(octets: bytes) -> bytes:
    """What Dovecot's POP3 server makes of a file in a Maildir."""
    octets = re.sub(rb"(?<!\r)\n", b"\r\n", octets)
    return octets if octets.endswith(b"\r\n") else octets + b"\r\n"


def on_dovecot(folder: str, special: str = "Sent") -> str:
    """What a folder is called on the Dovecot of these tests: QUIRK(Dovecot): no dot in a name kept in Maildir++.
    ``special`` is the name of its ``\\Sent`` folder."""
    return folder.replace("\\Sent", special).replace(".", "_")


def dates_of(samples: Sequence[Sample]) -> list[datetime]:
    """The internal dates in source order; the undated take that of the nearest dated sample, the earlier of two."""
    result = []
    for at, sample in enumerate(samples):
        for away in range(len(samples)):
            near = [samples[other].date for other in (at - away, at + away) if 0 <= other < len(samples)]
            if date := next(filter(None, near), None):
                result.append(date)
                break
        else:
            raise ValueError(f"nothing dates sample {sample.number}, nor any other")
    return result
