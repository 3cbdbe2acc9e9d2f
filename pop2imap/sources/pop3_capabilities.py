"""What a POP3 server offers (CAPA, RFC 2449)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from pop2imap.hints import LONGEST
from pop2imap.text import printable

LINE_LIMIT = 512
"""Octets of a line that are looked at: RFC 2449 4 allows no more, and each word of it takes memory."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What CAPA said (RFC 2449 5): names in upper case, each with its arguments. ``known`` is False when the
    server does not have CAPA: then nothing is offered, and nothing is excluded either."""

    offers: dict[str, tuple[str, ...]] = field(default_factory=dict)
    known: bool = False

    @classmethod
    def parse(cls, lines: Iterable[bytes]) -> Capabilities:
        offers: dict[str, tuple[str, ...]] = {}
        for line in lines:
            words = [printable(word) for word in line[:LINE_LIMIT].split()]
            if words:
                offers[words[0].upper()] = tuple(words[1:])
        return cls(offers, known=True)

    def __contains__(self, name: str) -> bool:
        return name in self.offers

    def may(self, name: str) -> bool:
        """Whether it is worth a try."""
        return name in self.offers or not self.known

    @property
    def sasl_plain(self) -> bool:
        return "PLAIN" in (mechanism.upper() for mechanism in self.offers.get("SASL", ()))

    @property
    def login_delay(self) -> float | None:
        """Seconds that must pass between two sessions (RFC 2449 6.5), at most ``hints.LONGEST``."""
        seconds = next(iter(self.offers.get("LOGIN-DELAY", ())), "")
        return min(float(seconds), LONGEST) if re.fullmatch(r"[0-9]{1,9}", seconds) else None

    @property
    def gmail(self) -> bool:
        return "X-GOOGLE-RICO" in self.offers
