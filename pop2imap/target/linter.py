"""What a server will make of a message that it is sent, foretold from the octets and from what the server calls itself.

Tried with Dovecot 2.3, Cyrus 3.6 and Courier 5.0, whose every refusal of octets is here; ``docs/quirks.md`` has the
table. Of servers that are not known nothing is foretold but what no server takes. A *refusal* is the server's own: the
server is asked all the same, and its answer counts. *Harm* is what it does to a message that it has taken with an OK,
beyond what a match digest forgives: such a message must not be sent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import islice
from typing import NamedTuple

from pop2imap.model import Octets
from pop2imap.target import TargetFacts

EXCHANGE_LINE = 10_239
"""QUIRK(Exchange): octets of the longest line that it is known to take."""

COURIER_ENTITIES = 300
"""QUIRK(Courier): parts of a message, parts of parts counted, that it serves."""

OVERLAP = 512
"""Octets in which a boundary is declared, at most: what is looked at together across two chunks."""


class Foretold(NamedTuple):
    """What is wrong with a message for this server: why, in words, and the repairs that would mend it (names of
    :mod:`pop2imap.repair`; none: nothing would)."""

    why: str
    repairs: tuple[str, ...] = ()


class Linter:
    """What one server makes of messages."""

    def __init__(self, facts: TargetFacts) -> None:
        name = facts.server.lower()
        self._refuses = next((look for kind, look in _REFUSALS.items() if kind in name), _nothing)
        self._cuts = "courier" in name

    def refusals(self, octets: Octets) -> list[Foretold]:
        """Every reason for which the server would refuse this message; none: it takes it, as far as is known."""
        if not octets.size:
            return [Foretold("the message is empty: no IMAP server takes that")]
        return list(self._refuses(octets))

    def harm(self, octets: Octets) -> str:
        """Why this message must not be sent to this server, or nothing."""
        if self._cuts and _may_have_entities(octets) and _entities(octets) > COURIER_ENTITIES:
            return (
                f"the server would take it and show only a part of it: it has more than {COURIER_ENTITIES} parts "
                "(Courier)"
            )
        return ""


def _nothing(octets: Octets) -> Iterator[Foretold]:
    return iter(())


# -- Cyrus


def _cyrus(octets: Octets) -> Iterator[Foretold]:
    nul = bare = False
    last = b""
    for chunk in octets.chunks():
        nul = nul or b"\0" in chunk
        crlf = chunk.count(b"\r\n") + (last == b"\r" and chunk[:1] == b"\n")
        bare = bare or chunk.count(b"\n") > crlf
        last = chunk[-1:]
    if nul:
        yield Foretold("it holds NUL (Cyrus)", ("nul",))
    if bare:
        yield Foretold("it has line ends without CR (Cyrus)", ("bare-lf",))
    if line := _bad_header_line(octets):
        yield Foretold(f"line {line} is no header field and no empty line comes before it (Cyrus)")


_HEADER_OCTETS = 4096
"""QUIRK(Cyrus): octets of a header line of which it looks at the name."""

_BLANK = re.compile(rb"[\x00-\x20]")


def _bad_header_line(octets: Octets) -> int:
    """The number of the first line, from 1, that Cyrus does not take for one of a header; 0 if there is none.

    QUIRK(Cyrus): up to a line that begins with CR, each must begin with white space, with ``From ``, or with a name
    that holds neither white space nor controls and is followed by a colon; and the last one needs its end.
    """
    for number, line in enumerate(_lines(octets), 1):
        if line[:1] == b"\r" or line == b"\n":  # the latter once its line ends are mended
            return 0
        if not line.startswith((b" ", b"\t", b"From ")):
            name = line[:_HEADER_OCTETS].partition(b":")[0]
            if not name or _BLANK.search(name):
                return number
        if not line.endswith(b"\n"):
            return number
    return 0


def _lines(octets: Octets) -> Iterator[bytes]:
    """The lines with their LF; of a long one, the beginning and the end."""
    line = bytearray()
    for chunk in octets.chunks():
        *whole, rest = chunk.split(b"\n")
        for piece in whole:
            line += piece[: _HEADER_OCTETS + 1]
            yield bytes(line) + b"\n"
            line.clear()
        line += rest[: _HEADER_OCTETS + 1]
    if line:
        yield bytes(line)


# -- Exchange


def _exchange(octets: Octets) -> Iterator[Foretold]:
    length = 0
    for chunk in octets.chunks():
        first, *others = chunk.split(b"\n")
        length += len(first)
        if max(length, *map(len, others), 0) > EXCHANGE_LINE:
            yield Foretold(f"it has a line of more than {EXCHANGE_LINE:,} octets (Exchange)", ("long-lines",))
            return
        if others:
            length = len(others[-1])


# -- Courier

_MULTIPART, _RFC822 = re.compile(rb"(?i)multipart/"), re.compile(rb"(?i)message/rfc822")
_DIGEST = re.compile(rb"(?i)multipart/digest")
_DELIMITER = re.compile(rb"\n--")
_MIME = re.compile(rb"(?im)^mime-version[ \t]*:")
_DECLARED = re.compile(rb'(?i)boundary\s*=\s*(?:"([^"\r\n]{1,200})"|([^\s";]{1,200}))')


def _found(octets: Octets, pattern: re.Pattern[bytes]) -> Iterator[re.Match[bytes]]:
    """Every place where ``pattern``, which finds at most ``OVERLAP`` octets, matches."""
    before = b""
    for chunk in octets.chunks():
        text = before + chunk
        end = 0
        for found in pattern.finditer(text):
            end = found.end()
            yield found
        before = text[max(end, len(text) - OVERLAP) :]


def _may_have_entities(octets: Octets) -> bool:
    """Whether it can have so many parts at all: cheap, and right for nearly all mail."""
    few = COURIER_ENTITIES // 4
    if octets.size < COURIER_ENTITIES * len(b"--x\n") or not _MIME.search(octets.head()):
        return False
    likely = (_DELIMITER, _MULTIPART, _RFC822)
    return any(next(islice(_found(octets, pattern), few, None), None) is not None for pattern in likely)


def _entities(octets: Octets) -> int:
    """How many parts it has for Courier, or a few more where text looks like the structure of a message.

    QUIRK(Courier): each line that begins like a delimiter of any multipart begins a part, unless it ends that
    multipart; what stands before the first part counts, too, and so does a message within a message.
    """
    boundaries = sorted({found[1] or found[2] for found in _found(octets, _DECLARED)}, key=len)
    shortest: list[bytes] = []
    for boundary in boundaries:  # a delimiter that begins like another counts as that one
        if not boundary.startswith(tuple(shortest)):
            shortest.append(boundary)
    delimiters = 0
    if shortest:
        any_of = b"|".join(re.escape(boundary) for boundary in shortest)
        delimiters = sum(1 for _ in _found(octets, re.compile(rb"\n--(?:%b)(?!--)" % any_of)))
    if next(_found(octets, _DIGEST), None):  # there each part holds a message (RFC 2046 5.1.5)
        delimiters *= 2
    others = (_MULTIPART, _RFC822)
    return delimiters + sum(1 for pattern in others for _ in _found(octets, pattern))


_REFUSALS: dict[str, Callable[[Octets], Iterator[Foretold]]] = {"cyrus": _cyrus, "exchange": _exchange}
"""By a word in what the server calls itself."""
