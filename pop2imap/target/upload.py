"""The uploading half of the IMAP target: a session of its own that does nothing but APPEND.

No mailbox is ever selected on it (QUIRK(Courier): after EXAMINE a session refuses every APPEND). It is made
when it is first needed, and made again when it was lost *between* two conversations, when nothing can be in
doubt. Once something is in doubt, it stays closed until ``reset``.

How messages travel, by what the server offers: with MULTIAPPEND in commands of many messages, each command
stored whole or not at all, so that a refused one is cut in halves until the message at fault is alone; without,
in pipelined commands of one message each.

*A message that ends sessions.* Some message may make a server say BAD, or drop the connection, each time it
is sent; after recovery it would be sent again, for ever. So whatever was on the wire when a session broke is
sent alone the next time, octets only after the server's go-ahead; a message that alone gets BAD, or alone ends
sessions until it did so ``STRIKES`` times in all, is refused for good, with these words.

*A server that names a time* after which to come back is left alone until ``reset``, whether it did so with NO, BAD
or BYE; no message is suspected for that.

*A limit of what?* [LIMIT] and the like may be about one message or about the account. The next message tells:
if it is taken, the limit was the message's own; if not, the account's.
"""

from __future__ import annotations

import contextlib
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pop2imap.errors import Again, ConnectionLost, FolderError, HostUnavailable, Pop2imapError, ProtocolError
from pop2imap.hints import longer
from pop2imap.model import Mailbox, Outcome, Refused, Stored, Unknown, Upload
from pop2imap.target.answers import Answer, AnswerReader, Meaning
from pop2imap.target.append import (
    ALWAYS_SYNCHRONISE,
    Conversation,
    Fate,
    fault,
    non_synchronising,
    tags,
    uid_list,
)
from pop2imap.target.session import Session, encoded

MULTIAPPEND_MESSAGES = 128
MULTIAPPEND_OCTETS = 16 << 20
"""Of one command: what a server may have to keep open at once, and what is sent again when one is refused."""

STRIKES = 3

QUIET = 120.0
"""Seconds without a word after which a session is tried with a NOOP before mail is trusted to it."""


@dataclass(slots=True)
class _Job:
    """One call of ``append``: its outcomes so far, and the commands still to be sent, as positions."""

    mailbox: Mailbox
    name: bytes
    uploads: Sequence[Upload]
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    commands: deque[list[int]] = field(default_factory=deque)
    stopped: str = ""
    again: Again = Again.LATER
    retry_after: float | None = None
    doubtful: int | None = None  # refused with a limit, and nothing accepted since

    def finished(self) -> list[Outcome]:
        unsent = Refused(f"not sent: {self.stopped}", self.again, self.retry_after)
        return [self.outcomes.get(position, unsent) for position in range(len(self.uploads))]


class Uploader:
    """Sends mail through a session that ``connect`` makes, logged in. Used by one thread at a time.

    ``is_exchange`` tells whether the server is Microsoft Exchange, whose LITERAL+ has a low limit.
    """

    def __init__(self, connect: Callable[[], Session], is_exchange: Callable[[], bool]) -> None:
        self._connect = connect
        self._is_exchange = is_exchange
        self._session: Session | None = None
        self._reader = AnswerReader()
        self._tags = tags()
        self._good_flags: set[bytes] = set()
        self._dead = ""
        self._pause: float | None = None
        self._highest: dict[tuple[str, int], int] = {}  # UIDs believed, by mailbox
        self._strikes: Counter[tuple[str, bytes]] = Counter()
        self._poison: dict[tuple[str, bytes], str] = {}

    def reset(self) -> None:
        """Whatever was in doubt is resolved: sending may begin anew."""
        self.close()
        self._dead, self._pause = "", None

    def close(self) -> None:
        """Log out. Never raises."""
        session, self._session = self._session, None
        if session:
            session.close()

    def append(self, mailbox: Mailbox, uploads: Sequence[Upload]) -> list[Outcome]:
        """See ``Target.append``. Raises only what reading a message raises (LocalIOError); the session is
        closed then, and everything without an outcome must count as unknown."""
        try:
            job = _Job(mailbox, encoded(mailbox.name), uploads)
        except FolderError as error:
            return [Refused(str(error))] * len(uploads)
        job.stopped, job.retry_after = self._dead, self._pause
        sound = [position for position in range(len(uploads)) if not self._refuse_at_once(job, position)]
        if sound and not job.stopped:
            self._run(job, sound)
        return job.finished()

    def _refuse_at_once(self, job: _Job, position: int) -> bool:
        """Refuse what must not be sent at all."""
        upload = job.uploads[position]
        limit, key = job.mailbox.append_limit, self._key(job, position)
        reason = fault(upload) or self._poison.get(key, "")
        if not reason and limit is not None and upload.octets.size > limit:
            reason = f"{upload.octets.size} octets; the server takes {limit} at most"
        if reason:
            job.outcomes[position] = Refused(reason)
        return bool(reason)

    def _run(self, job: _Job, sound: Sequence[int]) -> None:
        planned = False
        while not job.stopped and (job.commands or not planned):
            try:
                session = self._ready()
            except Pop2imapError as error:
                job.stopped = str(error)
                self._leave_alone(job, error.retry_after)
                if isinstance(error, HostUnavailable) and error.again is not Again.NEVER:
                    job.again = Again.NOW
                return
            if not planned:
                job.commands.extend(self._plan(job, sound, session))
                planned = True
            self._step(job, session)

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
        self._session = self._connect()
        self._reader = AnswerReader()
        self._tags = tags()
        self._good_flags = set()
        self._reader.feed(self._session.wire.buffered())
        return self._session

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

    # -- commands

    def _plan(self, job: _Job, sound: Sequence[int], session: Session) -> list[list[int]]:
        """The messages of each command."""
        if "MULTIAPPEND" not in session.capabilities:
            return [[position] for position in sound]
        commands: list[list[int]] = []
        octets, full = 0, True
        for position in sound:
            size, alone = job.uploads[position].octets.size, self._is_suspect(job, position)
            if (
                full
                or alone
                or octets + size > MULTIAPPEND_OCTETS
                or len(commands[-1]) >= MULTIAPPEND_MESSAGES
            ):
                commands.append([])
                octets = 0
            commands[-1].append(position)
            octets += size
            full = alone
        return commands

    def _step(self, job: _Job, session: Session) -> None:
        """Send one command, or some that travel together, and note what became of them."""
        batch = [job.commands.popleft()]
        careful = self._is_suspect(job, batch[0][0])
        if job.doubtful is not None and len(batch[0]) > 1:
            job.commands.appendleft(batch[0][1:])
            batch = [batch[0][:1]]
        elif len(batch[0]) == 1 and not careful and job.doubtful is None:
            while (
                job.commands and len(job.commands[0]) == 1 and not self._is_suspect(job, job.commands[0][0])
            ):
                batch.append(job.commands.popleft())
        exchange = self._is_exchange()
        conversation = Conversation(
            job.name,
            [[job.uploads[position] for position in positions] for positions in batch],
            largest_unasked=ALWAYS_SYNCHRONISE
            if careful
            else non_synchronising(session.capabilities, exchange=exchange),
            tags=self._tags,
            reader=self._reader,
            good_flags=self._good_flags,
        )
        self._converse(session, conversation)
        self._leave_alone(job, conversation.retry_after)
        again: list[list[int]] = []
        heard = False
        for positions, result in zip(batch, conversation.results, strict=True):
            if isinstance(result, Answer):
                heard = True
                again += self._settle(job, positions, result)
            elif result is Fate.UNSENT:
                again.append(positions)
            else:
                self._lose(job, positions, conversation)
        job.commands.extendleft(reversed(again))
        if conversation.broken and (self._dead or not heard):  # otherwise a new session may go on
            job.stopped = job.stopped or conversation.broken

    def _converse(self, session: Session, conversation: Conversation) -> None:
        """Carry octets between a conversation and the server until it is finished."""
        wire = session.wire
        try:
            while not conversation.finished:
                if octets := conversation.next_octets():
                    wire.send(octets)
                    if heard := wire.connection.poll():  # a refusal may come early
                        conversation.receive(heard)
                elif not conversation.finished:
                    conversation.receive(wire.connection.receive(begun=self._reader.begun))
        except ConnectionLost as error:
            with contextlib.suppress(ConnectionLost):  # the last words, if some have arrived
                while not conversation.finished and (heard := wire.connection.poll()):
                    conversation.receive(heard)
            conversation.lost(error.what)
        except BaseException:
            self._dead = "sending was broken off"
            self._drop()
            raise
        if conversation.broken:
            self._drop()

    def _leave_alone(self, job: _Job, seconds: float | None) -> None:
        """The server has said how long it wants to be left alone, if it has: so nothing more is sent before
        ``reset``."""
        if seconds is not None:
            job.retry_after = self._pause = longer(self._pause, seconds)
            self._dead = self._dead or "the server asked for a pause"

    # -- outcomes

    def _settle(self, job: _Job, positions: list[int], answer: Answer) -> list[list[int]]:
        """Note what an answer means. Returns commands that are to be sent in its place."""
        if answer.kind == "OK":
            self._store(job, positions, answer)
            return []
        meaning = answer.meaning
        if len(positions) > 1 and meaning in {Meaning.OTHER, Meaning.QUOTA, Meaning.LIMIT}:
            half = (len(positions) + 1) // 2
            return [positions[:half], positions[half:]]
        if meaning is Meaning.OTHER:
            self._refuse(job, positions, answer, Again.NEVER)
            return []
        self._refuse(job, positions, answer, Again.LATER)
        if meaning is Meaning.LIMIT and job.doubtful is None:
            job.doubtful = positions[0]
        else:
            job.stopped = job.stopped or answer.words
        return []

    def _store(self, job: _Job, positions: list[int], answer: Answer) -> None:
        mailbox = job.mailbox
        key = (mailbox.name, mailbox.uidvalidity)
        lowest = max(mailbox.uidnext, self._highest.get(key, 0) + 1)
        uids: list[int] | None = None
        if answer.code == "APPENDUID":
            uids = uid_list(answer.argument, len(positions), mailbox.uidvalidity, lowest)
        if uids:
            self._highest[key] = uids[-1]
        for at, position in enumerate(positions):
            job.outcomes[position] = Stored(mailbox.uidvalidity, uids[at] if uids else None)
            self._acquit(job, position)
        if job.doubtful is not None:  # so the limit was of that message alone
            refused = job.outcomes[job.doubtful]
            assert isinstance(refused, Refused)
            job.outcomes[job.doubtful] = Refused(refused.reason)
            job.doubtful = None

    def _refuse(self, job: _Job, positions: list[int], answer: Answer, again: Again) -> None:
        for position in positions:
            reason = f"the server refused it: {answer.words}"
            job.outcomes[position] = Refused(reason, again, answer.retry_after)
            self._acquit(job, position)

    def _lose(self, job: _Job, positions: list[int], conversation: Conversation) -> None:
        """These were on the wire when the session broke."""
        self._dead = f"the connection was lost before ({conversation.broken})"
        job.stopped = conversation.broken
        bad = conversation.bad
        for position in positions:
            job.outcomes[position] = Unknown(conversation.broken, conversation.retry_after)
            if conversation.retry_after is not None:
                continue  # it is not about the message
            key = self._key(job, position)
            self._strikes[key] += 1
            if conversation.alone and bad and bad.meaning in {Meaning.OTHER, Meaning.LIMIT}:
                self._poison[key] = f"the server rejects this message: {bad.words}"
            elif conversation.alone and self._strikes[key] >= STRIKES:
                self._poison[key] = (
                    f"each of the {STRIKES} times that this message was sent, the connection ended: "
                    f"{conversation.broken}"
                )

    def _is_suspect(self, job: _Job, position: int) -> bool:
        return self._key(job, position) in self._strikes

    def _acquit(self, job: _Job, position: int) -> None:
        self._strikes.pop(self._key(job, position), None)

    @staticmethod
    def _key(job: _Job, position: int) -> tuple[str, bytes]:
        return job.mailbox.name, job.uploads[position].octets.digest
