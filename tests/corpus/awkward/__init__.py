"""The awkward set: some 800 messages that are each wrong in one way, always the same.

``awkward()`` gives them as samples, grouped by theme; the kind of each is ``theme/what-is-awkward`` and names no other.
Where nothing else is said, a message has the usual header fields, whose top ``Received`` dates it. All go into INBOX.

What a source makes of them: POP3 ends the last line (:func:`on_the_wire`), whatever else it holds; an mbox holds
lines, and its reader takes off what counts as book-keeping there. What targets make of them is in
``tests/servers/behaviour.py``.
"""

from __future__ import annotations

from collections.abc import Mapping

from tests.corpus.awkward import (
    charsets,
    contents,
    controls,
    extremes,
    fields,
    headers,
    line_ends,
    lookalikes,
    structure,
    words,
)
from tests.corpus.awkward.making import Theme, sample
from tests.corpus.sample import Sample

__all__ = ["THEMES", "awkward", "on_the_wire"]

THEMES: Mapping[str, Theme] = {
    "line-ends": line_ends.messages,
    "controls": controls.messages,
    "charsets": charsets.messages,
    "headers": headers.messages,
    "fields": fields.messages,
    "words": words.messages,
    "structure": structure.messages,
    "contents": contents.messages,
    "lookalikes": lookalikes.messages,
    "extremes": extremes.messages,
}


def awkward() -> list[Sample]:
    """All of them, in order of themes. The first and the last are dated."""
    every = [(theme, made) for theme, messages in THEMES.items() for made in messages()]
    return [sample(made, theme, number) for number, (theme, made) in enumerate(every)]


def on_the_wire(octets: bytes) -> bytes:
    """What RETR gives of a message (RFC 1939 3): its last line is ended, whatever else it holds."""
    return octets if not octets or octets.endswith(b"\r\n") else octets + b"\r\n"
