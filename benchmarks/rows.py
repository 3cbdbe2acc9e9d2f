"""The rows: what there is to measure, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from benchmarks import moves
from benchmarks.moves import CEILING, OURS, Move
from benchmarks.show import Table
from benchmarks.site import Site


@dataclass(frozen=True)
class Wanted:
    """What was asked for. ``limit``: seconds that a program may take. ``scale``: the largest mailbox of those rows."""

    messages: int
    rounds: int
    delays: tuple[float, ...]
    scale: int
    limit: float


@dataclass(frozen=True)
class Row:
    """``measure`` yields a table for each delay, or one."""

    about: str
    measure: Callable[[Site, Wanted], Iterator[Table]]


def _move(move: Move) -> Callable[[Site, Wanted], Iterator[Table]]:
    def measured(site: Site, wanted: Wanted) -> Iterator[Table]:
        mail = site.mail(wanted.messages, move.shape)
        programs = {CEILING: moves.raw(move.how), OURS: moves.ours(*move.options)}
        for delay in wanted.delays:
            late = replace(move, delay=delay)
            done = moves.measure(site, late, mail, programs, rounds=wanted.rounds, limit=wanted.limit)
            yield moves.table(late, mail, done)

    return measured


ROWS = {
    "pop3-dovecot": Row(
        "a maildrop to Dovecot, which takes many messages in a command", _move(Move("pop3-dovecot"))
    ),
    "pop3-dovecot-tls": Row("the same, with TLS at both ends", _move(Move("pop3-dovecot-tls", tls=True))),
    "mbox-dovecot": Row("an mbox to Dovecot", _move(Move("mbox-dovecot", source="mbox"))),
    "mbox-dovecot-tls": Row("the same, with TLS", _move(Move("mbox-dovecot-tls", source="mbox", tls=True))),
    "pop3-cyrus": Row(
        "a maildrop to Cyrus, where commands may be under way at once",
        _move(Move("pop3-cyrus", target="cyrus", how="pipelined")),
    ),
    "pop3-courier": Row(
        "a maildrop to Courier, which takes one message at a time",
        _move(Move("pop3-courier", target="courier", how="synchronous", sessions=3)),
    ),
    "pop3-dovecot-20mbit": Row(
        "a maildrop to Dovecot over 20 Mbit/s each way", _move(Move("pop3-dovecot-20mbit", rate=20e6 / 8))
    ),
}
