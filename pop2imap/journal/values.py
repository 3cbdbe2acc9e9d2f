"""How things are written in the journal, whoever writes them: states, names of facts, texts and moments."""

from __future__ import annotations

from datetime import UTC, datetime

from pop2imap.errors import InternalError

FORMAT = "pop2imap journal"

INTENDED, STORED, PRESENT, REFUSED, HELD = "intended", "stored", "present", "refused", "held"
UNDOING = "undoing"
"""The states of a placement, in the column ``placements.state``. *undoing* was stored, and is being removed."""

REMOVING = "removing"
"""The fact that messages may be gone from their source and the journal does not say so yet."""


def storable(text: str) -> str:
    """``text`` as the journal has it, so that any database takes it: lone surrogates (how Python carries octets of a
    file name that are not UTF-8) and NUL are written as ``\\udc80`` and ``\\x00``. The same text is always written the
    same way."""
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()


def seconds(moment: datetime) -> int:
    """Whole seconds since 1970. Raises InternalError for a naive datetime: nobody knows what it means."""
    if moment.tzinfo is None:
        raise InternalError("a date without a time zone was to go into the journal")
    return int(moment.timestamp() // 1)


def moment(seconds: int) -> datetime:
    """What ``seconds`` has written."""
    return datetime.fromtimestamp(seconds, UTC)
