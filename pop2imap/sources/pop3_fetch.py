"""Messages out of a POP3 session: asked for ahead, taken one by one, never passed on unless complete.

Theory of operation. Where the server offers PIPELINING, commands are sent ahead in a rolling window that is
bounded in octets and in commands. The commands of a full window are a few kilobytes, which fit into any socket
buffer, so we never wait for the server to read while it waits for us. The window is filled up when half of it
is used up: one packet for many commands.

What servers do to such a client, and what is done about it:

* *A farewell looks like an answer.* "-ERR idle for too long" is not what became of message 5. A negative answer
  counts only once the session has shown that it goes on: by the next answer, or by one to NOOP.
* QUIRK(WildDuck): answers to pipelined commands get mixed up. In a pipeline a message is passed on only when
  the next answer has begun as one. When it has not, the session is given up, and the next ones do without
  pipelining. The same when a session breaks before a pipeline has brought a window full.
* *A status line that comes twice* looks like the first line of the message. It is one if it is no field of a header
  and the message is longer by just this line than the listing says; then the session is given up as well.
* QUIRK(Cyrus 3.4, Exchange, servers that do not stuff dots): one message breaks the session, each time. It is
  asked for alone, and after ``STRIKES`` times it is left out, so that who opens again after each ConnectionLost
  gets everything else.
* *A message that fills the disk.* Past ``most`` octets nothing of it is kept, and it is read on to its end, so that
  the others come in the same session. Past ``MESSAGE_LIMIT`` it may have no end at all: it is left out at once.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from pop2imap.errors import ConnectionLost, InternalError, ProtocolError
from pop2imap.model import Key, Ref
from pop2imap.octets import OctetsWriter, StoredOctets
from pop2imap.sizes import MAX_MESSAGE, MOST_OF_A_MESSAGE
from pop2imap.sources import pop3_wire
from pop2imap.sources.pop3_session import Session
from pop2imap.sources.pop3_wire import Body, Command, Status

WINDOW_OCTETS = 16 << 20
"""Octets, by what the commands are expected to bring, that may be asked for and not yet here: what a fast line holds
within a long round trip. None of it is held by us before it is here."""

TRIED = 4 << 20
"""Octets that a pipeline has brought when it can be said to work."""

WINDOW_COMMANDS = 512

MESSAGE_LIMIT = MOST_OF_A_MESSAGE
"""Octets after which a message is not even read on any more."""

STRIKES = 3
"""How often one message may break a session before it is left out."""


@dataclass(slots=True)
class Experience:
    """What was learned of a server and outlives the session: why nothing is pipelined (empty: it is), and how
    often a session broke at which message."""

    one_at_a_time: str = ""
    strikes: Counter[Key | None] = field(default_factory=Counter)

    def blame(self, ref: Ref, strikes: int = 1) -> None:
        if ref.key is not None:  # without a lasting name it would not be known again
            self.strikes[ref.key] += strikes


class Request(NamedTuple):
    """One message to ask for. ``weight`` is what the answer is expected to bring, in octets; ``retrieves`` is
    False for what a server does not count as fetching it."""

    ref: Ref
    command: Command
    weight: int
    retrieves: bool = True


class _Waiting(NamedTuple):
    request: Request
    weight: int
    left_out: bool


class _Window:
    """Requests that were sent (or would have been, if they are left out) and wait for their answers."""

    def __init__(self, requests: Iterable[Request], experience: Experience, commands: int) -> None:
        self._requests = iter(requests)
        self._strikes = experience.strikes
        self._commands = commands
        self._waiting: deque[_Waiting] = deque()
        self._octets = 0
        self._next = self._upcoming()

    def _upcoming(self) -> _Waiting | None:
        request = next(self._requests, None)
        if request is None:
            return None
        struck = self._strikes[request.ref.key]
        suspect = 0 < struck < STRIKES
        weight = WINDOW_OCTETS if suspect else min(request.weight, WINDOW_OCTETS)  # a suspect goes alone
        return _Waiting(request, weight, left_out=struck >= STRIKES)

    def fill(self) -> list[Request]:
        """What to send now: nothing as long as more than half of the window is in use."""
        batch: list[Request] = []
        if len(self._waiting) > self._commands // 2 or self._octets > WINDOW_OCTETS // 2:
            return batch
        while (
            self._next is not None
            and len(self._waiting) < self._commands
            and self._octets + self._next.weight <= WINDOW_OCTETS
        ):
            self._waiting.append(self._next)
            self._octets += self._next.weight
            if not self._next.left_out:
                batch.append(self._next.request)
            self._next = self._upcoming()
        return batch

    def take(self) -> _Waiting | None:
        """The next one to be answered; None at the end."""
        if not self._waiting:
            return None
        taken = self._waiting.popleft()
        self._octets -= taken.weight
        return taken

    @property
    def more(self) -> bool:
        """Whether another answer is to come after that to the one taken last."""
        return any(not waiting.left_out for waiting in self._waiting)


class TooLarge(NamedTuple):
    """The answer was whole, and of more octets than are to be kept."""

    size: int
    most: int


Answer = StoredOctets | Status | TooLarge


class _Endless(ProtocolError):
    """The message past ``MESSAGE_LIMIT``: the session is of no more use, nor is asking for it again."""


class Fetcher:
    """Fetches messages of one session, one stream of them at a time, and keeps ``most`` octets of each."""

    def __init__(
        self, session: Session, experience: Experience, spool: Path | None, most: int = MAX_MESSAGE
    ) -> None:
        self._session = session
        self._experience = experience
        self._spool = spool
        self._most = most
        self._received = 0
        self._turn = 0
        self.owed = 0
        """How many messages were retrieved, as far as the server knows, and not passed on."""

    def fetch(self, requests: Iterable[Request]) -> Iterator[tuple[Ref, Answer | None]]:
        """For each request, in order: the whole answer, or the negative status, or that it was too large, or None
        if it was left out because the session broke at it too often.

        Raises ConnectionLost, ProtocolError, LocalIOError. If it is not used up, what is still to come is read
        and dropped before the next command.
        """
        self._turn = turn = self._turn + 1
        pipelined = "PIPELINING" in self._session.capabilities and not self._experience.one_at_a_time
        window = _Window(requests, self._experience, WINDOW_COMMANDS if pipelined else 1)
        self._session.drain()
        while True:
            if turn != self._turn:
                raise InternalError("a POP3 session is used by two readers at once")
            if batch := window.fill():
                self.owed += sum(request.retrieves for request in batch)
                self._session.send(*(request.command for request in batch))
            taken = window.take()
            if taken is None:
                return
            if taken.left_out:
                yield taken.request.ref, None
                continue
            answer = self._answer(taken.request, window.more, pipelined)
            self.owed -= taken.request.retrieves
            yield taken.request.ref, answer

    def _answer(self, request: Request, more: bool, pipelined: bool) -> Answer:
        """One answer. When the session breaks at it, that is remembered."""
        try:
            answer = self._read_answer(more)
            if isinstance(answer, StoredOctets) and request.retrieves and _begins_twice(answer, request.ref):
                raise ProtocolError("the server began its answer twice", where=self._session.where)
        except _Endless as error:
            if request.ref.key is None:
                raise ProtocolError(error.what, where=error.where) from None
            self._experience.blame(request.ref, STRIKES)
            raise ConnectionLost(error.what, where=error.where) from None
        except ConnectionLost:
            if self._session.closed:
                raise
            self._experience.blame(request.ref)
            if pipelined and self._received < TRIED:
                self._experience.one_at_a_time = "a session broke when it had just begun to pipeline"
            raise
        except ProtocolError as error:
            if pipelined:
                self._experience.one_at_a_time = "the server mixes up the answers to pipelined commands"
            elif request.ref.key is None:
                raise
            self._experience.blame(request.ref)
            raise ConnectionLost(f"the session cannot go on: {error.what}", where=error.where) from error
        self._experience.strikes.pop(request.ref.key, None)
        return answer

    def _read_answer(self, more: bool) -> Answer:
        status = self._session.event()
        assert isinstance(status, Status)
        if not status.ok:
            if more:
                self._session.peek()
            else:
                self._session.ask(pop3_wire.NOOP)
            return status
        writer: OctetsWriter | None = OctetsWriter(self._spool)
        size = 0
        while isinstance(event := self._session.event(), Body):
            size += len(event.octets)
            self._received += len(event.octets)
            if size > self._most:
                writer = None  # and with it goes its spool file
            elif writer is not None:
                writer.write(event.octets)
            if size > MESSAGE_LIMIT:
                raise _Endless(
                    f"a message goes on after {MESSAGE_LIMIT} octets, more than any IMAP server can take",
                    where=self._session.where,
                )
        try:
            self._session.check_excess()
            if more:
                self._session.peek()
        except ConnectionLost:  # this message is whole; the next use of the session sees it
            pass
        return writer.finish() if writer is not None else TooLarge(size, self._most)


def _begins_twice(octets: StoredOctets, ref: Ref) -> bool:
    """Whether what was read begins with a status line that is not part of the message."""
    surplus = octets.size - ref.size
    if not ref.size or not 0 < surplus <= pop3_wire.LINE_LIMIT:
        return False
    line, end, _ = next(octets.chunks()).partition(b"\r\n")
    word = line.partition(b" ")[0]
    return word.startswith(b"+OK") and b":" not in word and len(line + end) == surplus
