"""What a server changed in a message, by name.

That a stored message has the match digest of the one that was sent, and another digest, says that nothing but three
things can differ: line ends, NUL, and octets above 0x7F in the header (:mod:`pop2imap.octets`). Two facts tell which:
only line ends change a size, and what was not in the message that was sent cannot have been changed in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pop2imap.model import Octets

LINE_ENDS: Final = "line ends"
NUL: Final = "NUL"
HEADER: Final = "8-bit header"

ALL = (LINE_ENDS, NUL, HEADER)


def suspects(octets: Octets) -> tuple[str, ...]:
    """What there is in a message that servers change: some of ``ALL``, in that order."""
    returns = feeds = pairs = 0
    nul = False
    last = b""
    for chunk in octets.chunks():
        returns += chunk.count(b"\r")
        feeds += chunk.count(b"\n")
        pairs += chunk.count(b"\r\n") + (last == b"\r" and chunk.startswith(b"\n"))
        nul = nul or b"\0" in chunk
        last = chunk[-1:] or last
    odd = not (returns == feeds == pairs) or last not in {b"\n", b""}
    found = {LINE_ENDS: odd, NUL: nul, HEADER: not octets.head().isascii()}
    return tuple(name for name in ALL if found[name])


def named(sent: int, stored: int, suspected: Sequence[str] | None) -> str:
    """In words what was changed in a message of ``sent`` octets that is stored with ``stored`` octets.
    ``suspected``: what :func:`suspects` said of it; None where it was not read."""
    if sent != stored:
        others = [name for name in suspected or () if name != LINE_ENDS]
        return LINE_ENDS + (f", perhaps also {' and '.join(others)}" if others else "")
    if suspected:
        return " or ".join(suspected)
    return f"{NUL} or {HEADER}"  # line ends that keep the size are the rarest
