"""How long a server wants to be left alone, out of its words.

Neither IMAP nor POP3 has a field for that (but for LOGIN-DELAY among the capabilities of POP3, RFC 2449 6.5), so
servers say it in a text that is meant for people. Only a number with its unit, in a phrase that servers of note
use, is taken for a waiting time:

* QUIRK(Exchange): "Request is throttled. Suggested Backoff Time: 299961 milliseconds", as NO or BAD, and then BYE
* QUIRK(WildDuck): "Upload was rate limited. Try again in 45 seconds", rounded down to minutes, hours or days
* QUIRK(Cyrus): "-ERR [LOGIN-DELAY] Logins must be at least 5 minutes apart"
"""

from __future__ import annotations

import re

LONGEST = 7 * 86_400.0
"""Seconds. A server that names more is taken to mean this: the number is a stranger's."""

_SECONDS = {"millisecond": 0.001, "second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86_400.0}
_UNIT = f"({'|'.join(_SECONDS)})s?"
_NAMED = re.compile(
    rf"(?:backoff time:|(?:again|retry) (?:in|after)|wait(?: for)?) ?([0-9]{{1,9}}) ?{_UNIT}\b"
    rf"|at least ([0-9]{{1,9}}) {_UNIT} apart",
    re.IGNORECASE,
)


def waiting_time(text: str) -> float | None:
    """Seconds that ``text`` asks to wait, 0 to ``LONGEST``; None if it names no time."""
    found = _NAMED.search(text)
    if not found:
        return None
    number, unit = found[1] or found[3], found[2] or found[4]
    return min(int(number) * _SECONDS[unit.lower()], LONGEST)


def longer(one: float | None, other: float | None) -> float | None:
    """The longer of two waiting times, either of which may not be known."""
    return max((seconds for seconds in (one, other) if seconds is not None), default=None)
