"""The rows: what there is to measure, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from benchmarks import alone, moves, sizes
from benchmarks.corpus import BY_PERSON, PEOPLE
from benchmarks.moves import CEILING, JOURNALED, OURS, Move, Program, Wanted
from benchmarks.show import Table
from benchmarks.site import Site


@dataclass(frozen=True)
class Row:
    """``measure`` yields a table for each delay, or one."""

    about: str
    measure: Callable[[Site, Wanted], Iterator[Table]]


def _move(move: Move, *, peers: bool = False) -> Callable[[Site, Wanted], Iterator[Table]]:
    def measured(site: Site, wanted: Wanted) -> Iterator[Table]:
        mail = site.mail(wanted.messages, move.shape)
        programs: dict[str, Program] = {CEILING: moves.raw(move.how)}
        if move.how == "multiappend":
            programs[JOURNALED] = moves.raw("journaled")
        programs[OURS] = moves.ours(move.rules, move.options)
        notes: list[str] = []
        if peers and wanted.rounds.peers:
            programs, notes = moves.with_peers(move, programs)
        for delay in wanted.delays:
            late = replace(move, delay=delay)
            done = moves.measure(site, late, mail, programs, rounds=wanted.rounds)
            yield moves.table(late, mail, done, notes)

    return measured


ROWS = {
    "pop3-dovecot": Row(
        "a maildrop to Dovecot, which takes many messages in a command",
        _move(Move("pop3-dovecot"), peers=True),
    ),
    "pop3-dovecot-tls": Row(
        "the same, with TLS at both ends", _move(Move("pop3-dovecot-tls", tls=True), peers=True)
    ),
    "mbox-dovecot": Row("an mbox to Dovecot", _move(Move("mbox-dovecot", source="mbox"))),
    "mbox-dovecot-tls": Row("the same, with TLS", _move(Move("mbox-dovecot-tls", source="mbox", tls=True))),
    "pop3-cyrus": Row(
        "a maildrop to Cyrus, which takes many messages in a command, too",
        _move(Move("pop3-cyrus", target="cyrus"), peers=True),
    ),
    "pop3-courier": Row(
        "a maildrop to Courier, which takes one message at a time: one session, so that order holds",
        _move(Move("pop3-courier", target="courier", how="synchronous"), peers=True),
    ),
    "pop3-courier-unordered": Row(
        "the same on three sessions, where there is a delay",
        _move(
            Move(
                "pop3-courier-unordered",
                target="courier",
                how="synchronous",
                sessions=3,
                options=("--unordered",),
            )
        ),
    ),
    "pop3-dovecot-20mbit": Row(
        "a maildrop to Dovecot over 20 Mbit/s each way", _move(Move("pop3-dovecot-20mbit", rate=20e6 / 8))
    ),
    "folders": Row(
        f"small mail to {PEOPLE} folders, which a rule chooses",
        _move(Move("folders", how="pipelined", shape="small", rules=BY_PERSON, folders=PEOPLE)),
    ),
    "scaling": Row(
        "small mail, ten times as much each time: time and memory for each message", sizes.scaling
    ),
    "memory": Row("the peak with a message of 100 MB, and with ever more mail", sizes.memory),
    "resume": Row("a second run, when all is moved", sizes.resume),
    "plan": Row("a plan of an mbox, with a rule that reads subjects", alone.plan),
    "start-up": Row("pop2imap --help", alone.start_up),
}
