"""The wire form of APPEND, without I/O (RFC 3501 6.3.11, RFC 3502 MULTIAPPEND, RFC 7888 LITERAL+ and LITERAL-).

A :class:`Conversation` is the sending side of one session: it is given commands at any time, each with one message
or, where the server has MULTIAPPEND, with several, and learns what becomes of each. Its user moves octets: it
sends what ``next_octets`` gives, and when that gives none, hands what arrives to ``receive``; until it is ``idle``.

Commands are pipelined: the next begins when the last octet of the one before is out, not when that has its
answer. Only a synchronising literal waits, for the server's go-ahead.

*What may be believed.* A literal's octets look like commands to a server that has stopped reading them as a
literal: on Dovecot, one bad flag in the second message of a non-synchronising MULTIAPPEND makes it answer BAD
and then carry out the rest of the mail, line by line. Hence:

* Names, flags and dates are checked before a command is built (``fault``): no such BAD is ever provoked.
* A server may yet object to a list of flags. So the first message with each list of flags waits for the go-ahead,
  which says that the server has read the list and found nothing wrong: a round trip for each list in a session,
  and no octet of mail is on the way when a list is refused.
* BAD to a command of which no octet of a literal went out, nor was announced as non-synchronising, is a
  plain refusal. Any other BAD, a BYE, an answer nobody asked for, or the end of the connection *breaks* the
  conversation: nothing more is sent, the connection must be closed, and what has no answer is in flight.
* NO means not stored, whenever it comes (RFC 3501 6.3.11). When it comes before the last octet of its command
  is out, it counts, but the connection is broken as well: whether the server still reads is not known.
* OK before the last octet of its command is out is nonsense, and breaks.
"""

from __future__ import annotations

import itertools
import re
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pop2imap.errors import InternalError, ProtocolError
from pop2imap.hints import longer
from pop2imap.model import SYSTEM_FLAGS, Upload
from pop2imap.target.answers import GO_AHEAD, UNTAGGED, Answer, AnswerReader, Meaning
from pop2imap.text import printable

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(2038, 1, 1, tzinfo=UTC)
"""What every server can read. QUIRK(Dovecot): any date in the future becomes "now", with an OK."""

ALWAYS_SYNCHRONISE = -1
LITERAL_MINUS = 4096  # RFC 7888 5
LITERAL_PLUS = 8 << 20
"""A larger literal waits for the go-ahead even where it need not: one round trip, which is little beside the time that
it takes, against a message of many megabytes sent to a server that will not have it."""
LITERAL_PLUS_EXCHANGE = 1 << 16  # QUIRK(Exchange): "BAD command line limit exceeded" for larger ones

SEND_AT = 1 << 18
"""Octets that are gathered before anything is sent: small pieces cost round trips (RFC 896, RFC 1122)."""

OPEN_COMMANDS = 64
"""Commands that may wait for their answers at once."""

MAX_FLAG = 255
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_KEYWORD = re.compile(r"[!#$&'+-\[^-z|}~]+")  # RFC 3501 9: atom, without ( ) { % * " \ ] and controls
_SYSTEM = {flag.lower() for flag in SYSTEM_FLAGS}


def non_synchronising(capabilities: Collection[str], *, exchange: bool = False) -> int:
    """The largest literal to be sent without waiting for the go-ahead, or ``ALWAYS_SYNCHRONISE``."""
    if "LITERAL+" in capabilities:
        return LITERAL_PLUS_EXCHANGE if exchange else LITERAL_PLUS
    return LITERAL_MINUS if "LITERAL-" in capabilities else ALWAYS_SYNCHRONISE


def fault(upload: Upload) -> str:
    """Why this upload must not be sent, in words for people, or nothing.

    Empty messages are never sent: servers refuse them, and one cancels a whole MULTIAPPEND (RFC 3502).
    """
    if upload.octets.size <= 0:
        return "the message is empty: no IMAP server takes that"
    for flag in upload.flags:
        if flag.startswith("\\"):
            if flag.lower() not in _SYSTEM:
                return f"{printable(flag, 60)} is not a flag that a client may set"
        elif len(flag) > MAX_FLAG or not _KEYWORD.fullmatch(flag):
            return f"{printable(flag, 60)!r} cannot be an IMAP keyword"
    if upload.date.tzinfo is None or not EARLIEST <= upload.date < LATEST:
        return f"{upload.date} is not a date that every IMAP server takes (1970 to 2037)"
    return ""


def date_time(date: datetime) -> bytes:
    """An aware date as RFC 3501 9 ``date-time``, quotes included, in UTC.

    The epoch itself is written as one second later: QUIRK(Cyrus, Courier) would store it as "now".
    """
    utc = max(date.astimezone(UTC), EARLIEST + timedelta(seconds=1))
    clock = utc.isoformat()[11:19]  # many times as fast as strftime
    return f'"{utc.day:02}-{_MONTHS[utc.month - 1]}-{utc.year:04} {clock} +0000"'.encode("ascii")


def quoted(text: bytes) -> bytes:
    """``text`` as a quoted string. Raises InternalError for what cannot stand in one: NUL, CR, LF, 8-bit."""
    if not text.isascii() or any(octet in text for octet in b"\0\r\n"):
        raise InternalError("this cannot be sent as an IMAP quoted string")
    return b'"' + text.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


@dataclass(slots=True, eq=False)
class Command:
    """One APPEND command, and how far it has got. ``mailbox`` is the name in modified UTF-7, not quoted; ``uploads``
    are all of them without ``fault``; ``careful``: each of its literals waits for the go-ahead."""

    mailbox: bytes
    uploads: Sequence[Upload]
    careful: bool = False
    tag: bytes = b""
    answer: Answer | None = None
    exposed: bool = False  # octets of a literal went out, or are announced and do not wait
    sent: bool = False


class Conversation:
    """The APPEND commands of one session.

    ``largest_unasked`` is what ``non_synchronising`` gave; ``tags`` are fresh ones. After a refusal that concerns more
    than its own message the conversation is ``halted``: no further command is begun until ``resume``.
    """

    def __init__(
        self, *, largest_unasked: int, tags: Iterator[bytes], reader: AnswerReader | None = None
    ) -> None:
        self._largest_unasked = largest_unasked
        self._tags = tags
        self._reader = reader or AnswerReader()
        self._good_flags: set[bytes] = set()  # lists of flags that the server has read and not objected to
        self._waiting: deque[Command] = deque()
        self._open: dict[bytes, Command] = {}
        self._answered: list[Command] = []
        self._script: Iterator[bytes] | None = None  # of the command that is being written
        self._go_ahead_due = False
        self.halted = False
        self.broken = ""
        """Why the connection must be closed, if so. Nothing may be sent any more."""
        self.bad: Answer | None = None
        """The BAD that broke it, if that was it."""
        self.retry_after: float | None = None
        """Seconds that the server wants to be left alone, if it said so."""

    def add(self, command: Command) -> None:
        """Send this too, after what was added before."""
        self._waiting.append(command)

    def resume(self) -> None:
        """Begin commands again."""
        self.halted = False

    @property
    def idle(self) -> bool:
        """Whether nothing is to be sent, nor any answer to come."""
        return not (self._waiting or self._open)

    @property
    def in_flight(self) -> list[Command]:
        """The commands that were begun and have no answer. Once the conversation is ``broken``, whether they were
        carried out cannot be known."""
        return list(self._open.values())

    @property
    def reply_begun(self) -> bool:
        """Whether a part of an answer is here and the rest is not."""
        return self._reader.begun

    def take_answered(self) -> list[Command]:
        """The commands that got their answer since the last time, in the order of the answers."""
        answered, self._answered = self._answered, []
        return answered

    def take_back(self) -> list[Command]:
        """The commands of which not one octet went out. They will not be sent."""
        waiting, self._waiting = list(self._waiting), deque()
        return waiting

    def next_octets(self) -> bytes:
        """What is to be sent now; none when an answer must come first, or all is sent.

        Raises what reading a message raises (LocalIOError): the connection must be closed then.
        """
        pieces: list[bytes] = []
        size = 0
        while size < SEND_AT and not self.broken:
            if self._script is None and not self._begin():
                break
            assert self._script is not None
            piece = next(self._script, None)
            if piece is None:
                self._script = None
            elif piece:
                pieces.append(piece)
                size += len(piece)
            else:
                break
        return b"".join(pieces)

    def _begin(self) -> bool:
        """Begin the next command, if there is one and it may be."""
        if self.halted or not self._waiting or len(self._open) >= OPEN_COMMANDS:
            return False
        command = self._waiting.popleft()
        command.tag = next(self._tags)
        self._open[command.tag] = command
        self._script = self._write(command)
        return True

    def receive(self, octets: bytes) -> None:
        """Take in what the server sent."""
        try:
            answers = self._reader.feed(octets)
        except ProtocolError as error:
            self.lost(error.what)
            return
        for answer in answers:
            if not self.broken:
                self._hear(answer)

    def lost(self, reason: str) -> None:
        """The connection has ended, or is not to be used any more."""
        self.broken = self.broken or reason

    def _hear(self, answer: Answer) -> None:
        if answer.tag != UNTAGGED or answer.kind == "BYE":
            self.retry_after = longer(self.retry_after, answer.retry_after)
        if answer.tag == GO_AHEAD:
            if not self._go_ahead_due:
                self.lost("the server asked for octets that nobody announced")
            self._go_ahead_due = False
        elif answer.tag == UNTAGGED:
            if answer.kind == "BYE":
                self.lost(f"the server ended the session: {answer.words}")
        elif command := self._open.get(answer.tag):
            self._hear_of(command, answer)
        else:
            self.lost("the server answered a command that was not given")

    def _hear_of(self, command: Command, answer: Answer) -> None:
        if (answer.kind == "BAD" and command.exposed) or (answer.kind == "OK" and not command.sent):
            self.bad = answer if answer.kind == "BAD" else None
            self.lost(f"while a message was on its way, the server said {answer.kind} {answer.words}")
            return
        command.answer = answer
        del self._open[command.tag]
        self._answered.append(command)
        if answer.kind != "OK" and answer.meaning is not Meaning.OTHER:
            self.halted = True
        if not command.sent:
            if self._go_ahead_due:
                self._go_ahead_due = False  # refused instead of a go-ahead: nothing of the literal went out
            else:
                self.lost(f"refused while it was being sent: {answer.words}")

    def _write(self, command: Command) -> Iterator[bytes]:
        """All octets of one command, in order; an empty piece where an answer must come first."""
        yield command.tag + b" APPEND " + quoted(command.mailbox)
        for upload in command.uploads:
            yield from self._write_message(command, upload)
            if command.answer:
                return
        command.sent = True  # before the octets are given out: the next thing heard may be its answer
        yield b"\r\n"

    def _write_message(self, command: Command, upload: Upload) -> Iterator[bytes]:
        size = upload.octets.size
        flags = " ".join(upload.flags).encode("ascii")
        unasked = not command.careful and size <= self._largest_unasked and flags in self._good_flags
        # QUIRK(grommunio): the list of flags must be there, even if it is empty
        start = b" (%b) %b {%d%b}\r\n" % (flags, date_time(upload.date), size, b"+" if unasked else b"")
        if unasked:
            command.exposed = True
        else:
            self._go_ahead_due = True
        yield start
        while self._go_ahead_due:
            yield b""
        if command.answer:
            return
        self._good_flags.add(flags)
        command.exposed = True
        left = size
        for chunk in upload.octets.chunks():
            left -= len(chunk)
            if left < 0:
                break
            yield chunk
        if left:
            raise InternalError(f"a message of {size} octets gave others when it was sent")


def tags() -> Iterator[bytes]:
    """Fresh tags for all the conversations of one session: ``A0``, ``A1`` …"""
    return (b"A%d" % number for number in itertools.count())


def uid_list(argument: str, count: int, uidvalidity: int, lowest: int) -> list[int] | None:
    """The UIDs of an APPENDUID response code (RFC 4315 3), if it can be believed: one for each of ``count``
    messages, under ``uidvalidity``, ascending, none below ``lowest``. Otherwise None.

    QUIRK(DavMail): its two arguments are swapped. QUIRK(Proton Bridge): UIDPLUS is offered, none comes.
    """
    found = re.fullmatch(r"([0-9]{1,10}) ([0-9:,]{1,65536})", argument)
    if not found or int(found[1]) != uidvalidity:
        return None
    uids: list[int] = []
    for part in found[2].split(","):
        ends = re.fullmatch(r"([0-9]{1,10})(?::([0-9]{1,10}))?", part)
        if not ends:
            return None
        first, last = int(ends[1]), int(ends[2] or ends[1])
        if not lowest <= first <= last < 1 << 32 or len(uids) + last - first >= count:
            return None
        uids.extend(range(first, last + 1))
        lowest = last + 1
    return uids if len(uids) == count else None
