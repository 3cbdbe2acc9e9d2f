"""Messages that may end sessions: whose presence on the wire when a session broke is remembered.

Some message may make a server say BAD, or drop the connection, each time it is sent; after recovery it would be sent
again, for ever. So whatever was on the wire when a session broke is a *suspect*, and is sent alone the next time,
octets only after the server's go-ahead. A message that alone gets BAD, or alone ends sessions until it did so
``STRIKES`` times in all, is *poison*: refused for good, with these words. Whatever gets an answer is acquitted.
"""

from __future__ import annotations

from collections import Counter

from pop2imap.target.answers import Answer, Meaning

STRIKES = 3

Suspect = tuple[str, bytes]
"""The server's name of a mailbox, and the digest of a message."""


class Suspects:
    """Of all the upload sessions of one target. Each message is sent by one of them at a time."""

    def __init__(self) -> None:
        self._strikes: Counter[Suspect] = Counter()
        self._poison: dict[Suspect, str] = {}

    def __contains__(self, suspect: Suspect) -> bool:
        return suspect in self._strikes

    def poison(self, suspect: Suspect) -> str:
        """Why it is not to be sent any more, or nothing."""
        return self._poison.get(suspect, "")

    def strike(self, suspect: Suspect, *, alone: bool, bad: Answer | None, broken: str) -> None:
        """It was on the wire when the session ended: ``alone``, as a suspect is, with this answer, with these words."""
        self._strikes[suspect] += 1
        if alone and bad and bad.meaning in {Meaning.OTHER, Meaning.LIMIT}:
            self._poison[suspect] = f"the server rejects this message: {bad.words}"
        elif alone and self._strikes[suspect] >= STRIKES:
            self._poison[suspect] = (
                f"each of the {STRIKES} times that this message was sent, the connection ended: {broken}"
            )

    def acquit(self, suspect: Suspect) -> None:
        """It got an answer of its own."""
        self._strikes.pop(suspect, None)
