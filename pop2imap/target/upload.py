"""The uploading half of the IMAP target: sessions of their own that do nothing but APPEND.

No mailbox is ever selected on one (QUIRK(Courier): after EXAMINE a session refuses every APPEND). It is made
before there is anything to send, and made again when it was lost while nothing was in flight, when nothing can be in
doubt. Once something is in doubt, it stays closed until ``reset``.

How messages travel, by what the server offers: with MULTIAPPEND in commands of many messages, each command
stored whole or not at all, so that a refused one is cut in halves until the message at fault is alone; without,
in commands of one message each. Commands follow each other without waiting, those of one batch and those of the next:
what bounds them is how much the caller lets be on its way. A command that was refused whole is not cut before all
others have their answers, and its halves travel one by one.

*A message that ends sessions* is found, and then refused: see :mod:`pop2imap.target.suspects`.

*A server that names a time* after which to come back is left alone until ``reset``, whether it did so with NO, BAD
or BYE; no message is suspected for that.

*A limit of what?* [LIMIT] and the like may be about one message or about the account. The next message tells:
if it is taken, the limit was the message's own; if not, or if there is none, the account's.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from pop2imap.errors import Again, ConnectionLost, FolderError, HostUnavailable, Pop2imapError, ProtocolError
from pop2imap.hints import longer
from pop2imap.model import Batch, Outcome, Refused, Stored, Unknown
from pop2imap.net import Bell
from pop2imap.target import Feed
from pop2imap.target.answers import Answer, AnswerReader, Meaning
from pop2imap.target.append import Command, Conversation, fault, non_synchronising, tags, uid_list
from pop2imap.target.session import Session, encoded
from pop2imap.target.suspects import Suspect, Suspects

MULTIAPPEND_MESSAGES = 128
MULTIAPPEND_OCTETS = 16 << 20
"""Of one command: what a server may have to keep open at once, and what is sent again when one is refused."""

QUIET = 120.0
"""Seconds without a word after which a session is tried with a NOOP before mail is trusted to it."""


@dataclass(slots=True)
class Pause:
    """How many seconds the server wants to be left alone, as any of the sessions of a target has heard."""

    seconds: float | None = None


@dataclass(slots=True, eq=False)
class _Job:
    """One batch, and the outcomes of its uploads so far, by position."""

    batch: Batch
    number: int
    name: bytes = b""
    outcomes: dict[int, Outcome] = field(default_factory=dict)

    @property
    def done(self) -> bool:
        return len(self.outcomes) == len(self.batch.uploads)

    def suspect(self, position: int) -> Suspect:
        return self.batch.mailbox.name, self.batch.uploads[position].octets.digest


@dataclass(slots=True, eq=False)
class _Piece:
    """Messages of one batch that travel in one command. ``alone``: while nothing else does; ``careful``: alone, and
    octets only after the server's go-ahead."""

    job: _Job
    positions: list[int]
    alone: bool = False
    careful: bool = False

    @property
    def place(self) -> tuple[int, int]:
        """Where it stands in the order in which everything came."""
        return self.job.number, self.positions[0]

    def split(self, at: int) -> tuple[_Piece, _Piece]:
        before, after = self.positions[:at], self.positions[at:]
        return _Piece(self.job, before, alone=True), _Piece(self.job, after, alone=True)


class Uploader:
    """Sends mail through a session that ``connect`` makes, logged in. Used by one thread at a time.

    ``is_exchange`` tells whether the server is Microsoft Exchange, whose LITERAL+ has a low limit. ``suspects`` and
    ``pause`` are those of all sessions of the target.
    """

    def __init__(
        self,
        connect: Callable[[], Session],
        is_exchange: Callable[[], bool],
        suspects: Suspects,
        pause: Pause,
    ) -> None:
        self._connect = connect
        self._is_exchange = is_exchange
        self._suspects = suspects
        self._session: Session | None = None
        self._reader = AnswerReader()
        self._tags = tags()
        self._talk = Conversation(largest_unasked=0, tags=self._tags)
        self._heard = False  # an answer, in this session
        self._dead = ""
        self._pause = pause
        self._highest: dict[tuple[str, int], int] = {}  # UIDs believed, by mailbox
        self._begin()

    def _begin(self) -> None:
        """Nothing is on its way."""
        self._jobs: list[_Job] = []
        self._taken = 0  # batches, so far
        self._pieces: deque[_Piece] = deque()  # to be sent
        self._travelling: dict[Command, _Piece] = {}
        self._stopped = ""  # why nothing of what was taken is to be sent any more
        self._doubtful: tuple[_Job, int] | None = None  # refused with a limit, and nothing accepted since
        self._not_ready: Pop2imapError | None = (
            None  # what came of making a session, before there was anything to send
        )

    def reset(self) -> None:
        """Whatever was in doubt is resolved: sending may begin anew."""
        self.close()
        self._dead = ""

    def close(self) -> None:
        """Log out. Never raises."""
        session, self._session = self._session, None
        if session:
            session.close()

    def append(self, feed: Feed) -> None:
        """See ``Target.append``. Raises only what reading a message raises (LocalIOError); the session is
        closed then, and every batch that is not done must count as unknown."""
        self._begin()
        if self._session is None and not self._closed:
            try:
                self._ready()  # while the first batch is made
            except Pop2imapError as error:
                self._not_ready = error
        while True:
            while (batch := feed.next(wait=not self._jobs)) is not None:
                self._take(batch)
                self._report(feed)
            if not self._jobs:
                return
            self._go_on(feed.bell)
            self._report(feed)

    def _report(self, feed: Feed) -> None:
        waiting = self._doubtful[0] if self._doubtful else None
        for job in [job for job in self._jobs if job.done and job is not waiting]:
            self._jobs.remove(job)
            feed.done(job.batch, [job.outcomes[position] for position in range(len(job.batch.uploads))])
        if not self._jobs:
            self._stopped = ""

    # -- from batches to pieces

    def _take(self, batch: Batch) -> None:
        job = _Job(batch, self._taken)
        self._taken += 1
        self._jobs.append(job)
        try:
            job.name = encoded(batch.mailbox.name)
        except FolderError as error:
            job.outcomes.update(dict.fromkeys(range(len(batch.uploads)), Refused(str(error))))
            return
        sound = [
            position for position in range(len(batch.uploads)) if not self._refuse_at_once(job, position)
        ]
        if self._closed:
            unsent = Refused(f"not sent: {self._closed}", Again.LATER, self._pause.seconds)
            job.outcomes.update(dict.fromkeys(sound, unsent))
        elif sound:
            self._pieces.append(_Piece(job, sound))

    def _refuse_at_once(self, job: _Job, position: int) -> bool:
        """Refuse what must not be sent at all."""
        upload, limit = job.batch.uploads[position], job.batch.mailbox.append_limit
        reason = fault(upload) or self._suspects.poison(job.suspect(position))
        if not reason and limit is not None and upload.octets.size > limit:
            reason = f"{upload.octets.size} octets; the server takes {limit} at most"
        if reason:
            job.outcomes[position] = Refused(reason)
        return bool(reason)

    def _cut(self, piece: _Piece, *, together: bool) -> list[_Piece]:
        """The pieces that this one travels in: commands of many messages, if they may be ``together``."""
        if piece.alone or piece.careful:
            return [piece]
        pieces: list[_Piece] = []
        octets, full = 0, True
        for position in piece.positions:
            size = piece.job.batch.uploads[position].octets.size
            suspect = piece.job.suspect(position) in self._suspects
            if (
                full
                or suspect
                or octets + size > MULTIAPPEND_OCTETS
                or len(pieces[-1].positions) >= MULTIAPPEND_MESSAGES
            ):
                pieces.append(_Piece(piece.job, [], alone=suspect, careful=suspect))
                octets = 0
            pieces[-1].positions.append(position)
            octets += size
            full = suspect or not together
        return pieces

    # -- the session

    def _ready(self) -> Session:
        """A session that is alive as far as can be known, its connection read empty."""
        if self._session is not None:
            with contextlib.suppress(ConnectionLost, ProtocolError):
                heard = self._reader.feed(self._session.wire.connection.poll())
                if self._session.wire.quiet > QUIET:
                    heard += self._noop(self._session)
                if not any(answer.kind == "BYE" for answer in heard):
                    return self._session
            self._drop()
        self._session = session = self._connect()
        self._reader = AnswerReader()
        self._tags = tags()
        self._talk = Conversation(
            largest_unasked=non_synchronising(session.capabilities, exchange=self._is_exchange()),
            tags=self._tags,
            reader=self._reader,
        )
        self._heard = False
        try:
            self._reader.feed(session.wire.buffered())
        except ProtocolError:
            self._drop()
            raise
        return session

    def _noop(self, session: Session) -> list[Answer]:
        tag = next(self._tags)
        session.wire.send(tag + b" NOOP\r\n")
        while True:
            heard = self._reader.feed(session.wire.connection.receive(begun=self._reader.begun))
            if any(answer.tag == tag or answer.kind == "BYE" for answer in heard):
                return heard

    def _drop(self) -> None:
        session, self._session = self._session, None
        if session:
            session.drop()

    # -- sending

    def _go_on(self, bell: Bell) -> None:
        """Send something, or hear something, and note what it means."""
        if not self._travelling:
            if not self._pieces:
                self._doubtful = None  # nothing comes that could tell: it is taken for the account's
                return
            if why := self._stopped or self._closed:
                self._stop(why)
                return
            try:
                if self._not_ready is not None:
                    error, self._not_ready = self._not_ready, None
                    raise error
                self._ready()
            except Pop2imapError as error:
                self._leave_alone(error.retry_after)
                now = isinstance(error, HostUnavailable) and error.again is not Again.NEVER
                self._stop(str(error), Again.NOW if now else Again.LATER, error.retry_after)
                return
            self._talk.resume()
        session, talk = self._session, self._talk
        assert session is not None
        self._issue(session, talk)
        self._exchange(session, talk, bell)
        for command in talk.take_answered():
            assert command.answer is not None
            self._heard = True
            self._settle(self._travelling.pop(command), command.answer)
        self._leave_alone(talk.retry_after)
        if talk.halted or talk.broken:
            self._send_later(*(self._travelling.pop(command) for command in talk.take_back()))
        if talk.broken:
            self._broke(talk)

    def _issue(self, session: Session, talk: Conversation) -> None:
        """Give the session what may be sent now."""
        together = "MULTIAPPEND" in session.capabilities
        while self._pieces and not talk.halted:
            pieces = self._cut(self._pieces.popleft(), together=together)
            while pieces:
                piece = pieces.pop(0)
                if self._doubtful is not None and len(piece.positions) > 1:
                    piece, rest = piece.split(1)
                    pieces.insert(0, rest)
                alone = piece.alone or self._doubtful is not None
                if self._travelling and (alone or any(one.alone for one in self._travelling.values())):
                    self._send_later(piece, *pieces)
                    return
                piece.alone = alone
                uploads = [piece.job.batch.uploads[position] for position in piece.positions]
                command = Command(piece.job.name, uploads, careful=piece.careful)
                self._travelling[command] = piece
                talk.add(command)

    def _send_later(self, *pieces: _Piece) -> None:
        """These are to be sent after all, or again."""
        self._pieces = deque(sorted((*pieces, *self._pieces), key=lambda piece: piece.place))

    def _exchange(self, session: Session, talk: Conversation, bell: Bell) -> None:
        """Carry octets between the conversation and the server, until there may be something to note, or the bell
        rings."""
        wire = session.wire
        try:
            if octets := talk.next_octets():
                wire.send(octets)
                if heard := wire.connection.poll():  # a refusal may come early
                    talk.receive(heard)
            elif not talk.broken:
                talk.receive(wire.connection.receive(begun=talk.reply_begun, unless=bell))
        except ConnectionLost as error:
            with contextlib.suppress(ConnectionLost):  # the last words, if some have arrived
                while not talk.broken and (heard := wire.connection.poll()):
                    talk.receive(heard)
            talk.lost(error.what)
        except BaseException:
            self._dead = "sending was broken off"
            self._drop()
            raise

    def _broke(self, talk: Conversation) -> None:
        """The session has ended. What was on the wire is unknown; if nothing was, a new session may go on."""
        self._drop()
        lost = list(self._travelling.values())
        self._travelling.clear()
        if lost:
            self._dead = f"the connection was lost before ({talk.broken})"
        for piece in lost:
            for position in piece.positions:
                piece.job.outcomes[position] = Unknown(talk.broken, talk.retry_after)
                if talk.retry_after is None:  # else it is not about the message
                    suspect = piece.job.suspect(position)
                    self._suspects.strike(suspect, alone=piece.careful, bad=talk.bad, broken=talk.broken)
        if lost or not self._heard:
            self._stop(talk.broken)

    def _stop(self, reason: str, again: Again = Again.LATER, retry_after: float | None = None) -> None:
        """Nothing of what is left is sent."""
        self._stopped, self._doubtful = "", None
        unsent = Refused(f"not sent: {reason}", again, longer(self._pause.seconds, retry_after))
        for piece in self._pieces:
            piece.job.outcomes.update(dict.fromkeys(piece.positions, unsent))
        self._pieces.clear()

    def _leave_alone(self, seconds: float | None) -> None:
        """The server has said how long it wants to be left alone, if it has: so nothing more is sent before
        ``reset``."""
        if seconds is not None:
            self._pause.seconds = longer(self._pause.seconds, seconds)

    @property
    def _closed(self) -> str:
        """Why nothing may be sent before ``reset``, if so."""
        return self._dead or ("" if self._pause.seconds is None else "the server asked for a pause")

    # -- outcomes

    def _settle(self, piece: _Piece, answer: Answer) -> None:
        """Note what an answer means."""
        if answer.kind == "OK":
            self._store(piece, answer)
            return
        meaning = answer.meaning
        if len(piece.positions) > 1 and meaning in {Meaning.OTHER, Meaning.QUOTA, Meaning.LIMIT}:
            self._send_later(*piece.split((len(piece.positions) + 1) // 2))
        elif meaning is Meaning.OTHER:
            self._refuse(piece, answer, Again.NEVER)
        else:
            self._refuse(piece, answer, Again.LATER)
            if meaning is Meaning.LIMIT and self._doubtful is None:
                self._doubtful = piece.job, piece.positions[0]
            else:
                self._stopped = self._stopped or answer.words

    def _store(self, piece: _Piece, answer: Answer) -> None:
        job, mailbox = piece.job, piece.job.batch.mailbox
        key = (mailbox.name, mailbox.uidvalidity)
        lowest = max(mailbox.uidnext, self._highest.get(key, 0) + 1)
        uids: list[int] | None = None
        if answer.code == "APPENDUID":
            uids = uid_list(answer.argument, len(piece.positions), mailbox.uidvalidity, lowest)
        if uids:
            self._highest[key] = uids[-1]
        for at, position in enumerate(piece.positions):
            job.outcomes[position] = Stored(mailbox.uidvalidity, uids[at] if uids else None)
            self._suspects.acquit(job.suspect(position))
        if self._doubtful is not None:  # so the limit was of that message alone
            doubtful, position = self._doubtful
            refused = doubtful.outcomes[position]
            assert isinstance(refused, Refused)
            doubtful.outcomes[position] = Refused(refused.reason)
            self._doubtful = None

    def _refuse(self, piece: _Piece, answer: Answer, again: Again) -> None:
        for position in piece.positions:
            reason = f"the server refused it: {answer.words}"
            piece.job.outcomes[position] = Refused(reason, again, answer.retry_after)
            self._suspects.acquit(piece.job.suspect(position))
