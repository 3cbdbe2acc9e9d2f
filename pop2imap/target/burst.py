"""Questions to an IMAP server, one at a time or many at once.

Theory of operation. A question is a generator, :data:`Steps`: it yields a command, is given the answer, reads what
came with it, and yields another command if it needs one. So it does not know whether it is asked alone or in a
*burst* with others, whose commands go out in one piece and whose answers are read in their order (RFC 3501 5.5: a
server keeps to it where one command may change what another tells). What a far server costs is a round trip a burst.

Servers that do not bear a burst are known by a BAD that goes away when the same is asked alone, by answers in another
order, or by the end of a session that had just begun with bursts. They are asked one thing at a time from then on, for
as long as the :class:`Experience` lasts.
"""

from __future__ import annotations

import imaplib
import logging
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, NoReturn, TypeVar

from pop2imap.errors import ConnectionLost, Pop2imapError, ProtocolError, ServerBusy
from pop2imap.target.answers import Answer, Meaning, parse
from pop2imap.target.wire import CANNOT_READ, Wire

log = logging.getLogger(__name__)

BURST_OCTETS = 16 << 10
"""Octets of commands that are sent before their answers are read: they fit into any socket buffer, so we never wait
for the server to read while it waits for us."""

T = TypeVar("T")

_TROUBLE = (Pop2imapError, imaplib.IMAP4.error, *CANNOT_READ)


class Command(NamedTuple):
    """A command line without its tag. ``may_fail``: BAD is as good an answer as any."""

    line: str
    may_fail: bool = False


Steps = Generator[Command, Answer, T]
"""A question. Whenever it is given an answer, what came untagged before that stands in ``wire.untagged_responses``;
where none could be read, what was in the way is raised at the ``yield``."""


@dataclass(slots=True)
class Experience:
    """What was learned of a server and outlives the session: why it is asked one thing at a time (empty: it is not),
    and whether it has answered a burst as it should."""

    one_at_a_time: str = ""
    proven: bool = False

    def blame(self, why: str) -> None:
        """This server bears no bursts."""
        log.info("the server is asked one thing at a time from now on: %s", why)
        self.one_at_a_time = why


class Asked(Generic[T]):
    """A question, and what has come of it."""

    def __init__(self, steps: Steps[T]) -> None:
        self._steps = steps
        self._values: list[T] = []
        self.error: Pop2imapError | None = None
        self.command: Command | None = None
        """What is to be sent next; None when the question is over."""
        self._go(lambda: next(steps))

    @property
    def value(self) -> T:
        """Raises what the question raised."""
        if self.error is not None:
            raise self.error
        return self._values[0]

    def go_on(self, answer: Answer) -> None:
        """Give it the answer to its command."""
        self._go(lambda: self._steps.send(answer))

    def fail(self, trouble: Exception) -> None:
        """No answer could be read."""
        self._go(lambda: self._steps.throw(trouble))

    def _go(self, step: Callable[[], Command]) -> None:
        self.command = None
        try:
            self.command = step()
        except StopIteration as end:
            self._values.append(end.value)
        except Pop2imapError as error:
            self.error = error


class _Told(NamedTuple):
    """A tagged answer as it came, and what came untagged before it."""

    line: bytes
    untagged: dict[str, list[Any]]

    @property
    def is_bad(self) -> bool:
        """Whether the server did not understand."""
        try:
            answer = parse(self.line)
        except ProtocolError:
            return False
        return answer.kind == "BAD" and answer.meaning is not Meaning.BUSY


def ask(wire: Wire, experience: Experience, questions: Sequence[Asked[Any]]) -> None:
    """Ask all of these, in order, in as few bursts as they take.

    What a server refuses is the error of that question, unless it is busy. Raises ConnectionLost, ServerBusy; after
    that, no value is to be believed.
    """
    while under_way := [one for one in questions if one.command is not None]:
        while under_way:
            some = _first(under_way, experience)
            del under_way[: len(some)]
            if len(some) > 1:
                _burst(wire, experience, some)
            else:
                _alone(wire, some[0])
            for one in some:
                if isinstance(one.error, ConnectionLost | ServerBusy):
                    raise one.error


def _first(questions: Sequence[Asked[Any]], experience: Experience) -> list[Asked[Any]]:
    """As many of them as may be asked at once."""
    some: list[Asked[Any]] = []
    octets = 0
    for one in questions:
        octets += len(_line(one))
        if some and (octets > BURST_OCTETS or experience.one_at_a_time):
            break
        some.append(one)
    return some


def _line(one: Asked[Any]) -> str:
    assert one.command is not None
    return one.command.line


def _alone(wire: Wire, one: Asked[Any]) -> bool:
    """Ask it, and wait. Returns whether the server did not understand."""
    try:
        (tag,) = wire.issue([_line(one)])
        told = _hear(wire, tag)
    except _TROUBLE as trouble:
        one.fail(trouble)
        return False
    _tell(wire, one, told)
    return told.is_bad


def _burst(wire: Wire, experience: Experience, questions: Sequence[Asked[Any]]) -> None:
    tags = wire.issue([_line(one) for one in questions])
    told: list[_Told] = []
    mixed_up = False
    for tag, one in zip(tags, questions, strict=True):
        mixed_up = mixed_up or wire.tagged_commands[tag] is not None
        try:
            told.append(_hear(wire, tag))
        except _TROUBLE as trouble:
            one.fail(trouble)
            _break_off(experience, one)
    if mixed_up:
        experience.blame("it mixes up the answers to commands that were sent at once")
    not_understood = [
        at for at, (one, it) in enumerate(zip(questions, told, strict=True)) if _is_fault(one, it)
    ]
    good = 0 if mixed_up else min(not_understood, default=len(told))
    for one, it in zip(questions[:good], told, strict=False):
        _tell(wire, one, it)
    for at, one in enumerate(questions[good:], good):
        is_bad = _alone(wire, one)
        if isinstance(one.error, ConnectionLost | ServerBusy):
            return
        if at in not_understood and not is_bad and not mixed_up:
            experience.blame("it does not understand commands that are sent at once")
    experience.proven = not experience.one_at_a_time


def _is_fault(one: Asked[Any], told: _Told) -> bool:
    assert one.command is not None
    return told.is_bad and not one.command.may_fail


def _hear(wire: Wire, tag: bytes) -> _Told:
    """The next answer. What came untagged before is dropped."""
    wire.untagged_responses = {}
    wire.complete(tag)
    return _Told(wire.last_line, wire.untagged_responses)


def _tell(wire: Wire, one: Asked[Any], told: _Told) -> None:
    wire.last_line, wire.untagged_responses = told
    try:
        answer = parse(told.line)
    except ProtocolError as error:
        one.fail(error)
    else:
        one.go_on(answer)


def _break_off(experience: Experience, one: Asked[Any]) -> NoReturn:
    """Raise what it means that an answer of a burst cannot be had: nobody can tell where the next one begins."""
    error = one.error
    if isinstance(error, ServerBusy):
        raise error
    lost = isinstance(error, ConnectionLost)
    if not (lost and experience.proven):
        experience.blame("a session broke off while much was asked at once")
    if error is not None and lost:
        raise error
    what = error.what if error is not None else "an answer that cannot be read"
    raise ConnectionLost(f"the session cannot go on: {what}", where=error.where if error else "") from None
