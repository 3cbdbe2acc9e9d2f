"""What grows with the mailbox, and how: time and memory of a move, and of a run that finds all of it moved."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import asdict, replace

from benchmarks import moves
from benchmarks.ceilings import End
from benchmarks.ends import Ends
from benchmarks.measure import MEGA, Spent, spend
from benchmarks.moves import CEILING, OURS, Measured, Move, Wanted
from benchmarks.show import Table, megabytes, number, percent
from benchmarks.site import Site, forget
from tests.system.program import environment

FIRST = 2_000
LARGE = 100 * MEGA
MUCH = 16_000
"""Messages; a gigabyte of mixed mail."""

LIMIT = 150 * MEGA
"""Octets of memory, whatever is moved."""

COLUMNS = (
    "messages",
    "raw ms/msg",
    "ms/msg",
    "CPU ms/msg",
    "whole process",
    "peak MB",
    "octets/msg added",
    "rounds",
)


def sizes(scale: int) -> list[int]:
    """From the first one on, ten times as much each time, up to ``scale``."""
    counts = [FIRST]
    while counts[-1] * 10 <= scale:
        counts.append(counts[-1] * 10)
    return counts


def scaling(site: Site, wanted: Wanted) -> Iterator[Table]:
    """The cost of a message in mailboxes of different sizes, beside that of the raw program."""
    move = Move("scaling", shape="small")
    programs = {CEILING: moves.raw(move.how), OURS: moves.ours()}
    lines: list[tuple[str, ...]] = []
    data: list[dict[str, object]] = []
    faults: set[str] = set()
    before = 0, 0.0
    for count in sizes(wanted.scale):
        done = moves.measure(
            site, move, site.mail(count, "small"), programs, rounds=replace(wanted.rounds, peers=0)
        )
        data += moves.records(move, done)
        faults |= moves.faults(done)
        good = [run.spent for run in done.runs[OURS] if not run.fault]
        peak = statistics.median([spent.peak for spent in good] or [0])
        added = number((peak - before[1]) / (count - before[0])) if before[0] and good else ""
        lines.append(_cost(count, done, good, peak, added))
        before = count, peak
    yield Table(
        "scaling: small messages, maildrop to Dovecot, 0 ms", COLUMNS, lines, tuple(sorted(faults)), data
    )


def _cost(count: int, done: Measured, good: list[Spent], peak: float, added: str) -> tuple[str, ...]:
    if not good:
        return (f"{count:,}", *["–"] * 6, "0")
    raw = [run.spent.seconds for run in done.runs[CEILING] if not run.fault]
    return (
        f"{count:,}",
        number(statistics.median(raw) / count * 1000) if raw else "–",
        number(statistics.median(spent.seconds for spent in good) / count * 1000),
        number(statistics.median(spent.cpu for spent in good) / count * 1000),
        percent(done.whole(OURS)),
        megabytes(peak),
        added,
        f"{len(good)} of {len(done.runs[OURS])}",
    )


def memory(site: Site, wanted: Wanted) -> Iterator[Table]:
    """The peak of a move from an mbox, of one large message, and of much mail; it must stay below the limit."""
    move = Move("memory", source="mbox")
    programs = {OURS: moves.ours(), CEILING: moves.raw(move.how)}
    lines: list[tuple[str, ...]] = []
    data: list[dict[str, object]] = []
    wrong: set[str] = set()
    much = max(wanted.messages, min(wanted.messages * 8, MUCH))
    for name, mail in (
        ("one message", site.mail(0, large=LARGE)),
        (f"{wanted.messages:,} messages", site.mail(wanted.messages)),
        (f"{much:,} messages", site.mail(much)),
    ):
        done = moves.measure(site, move, mail, programs, rounds=replace(wanted.rounds, count=1, peers=0))
        data += moves.records(move, done)
        wrong |= moves.faults(done)
        peaks = [
            max((run.spent.peak for run in done.runs[each] if not run.fault), default=0) for each in programs
        ]
        lines.append((name, number(mail.octets / MEGA), *map(megabytes, peaks)))
        if peaks[0] > LIMIT:
            wrong.add(f"{name}: more than the {megabytes(LIMIT)} MB that are promised")
    columns = ("", "MB of mail", "peak MB", "raw peak MB")
    yield Table("memory: mbox to Dovecot, 0 ms", columns, lines, tuple(sorted(wrong)), data)


def resume(site: Site, wanted: Wanted) -> Iterator[Table]:
    """A run over a mailbox that an earlier one has moved, beside what the server takes to name what it has."""
    mail = site.mail(wanted.scale, "small")
    source = End(port=site.dovecot.pop3_port, user=site.maildrop(mail))
    ends = Ends(source, End(port=site.dovecot.imap_port, user=site.dovecot.user()), site.dovecot)
    limit = wanted.rounds.limit
    spent: dict[str, list[Spent]] = {"UIDL and LIST": [], "first run": [], "second run": []}
    with site.home() as home:
        env = environment(home)
        spent["first run"].append(spend(ends.ours(), env=env, cwd=home, limit=limit))
        for _ in range(wanted.rounds.count):
            spent["UIDL and LIST"].append(spend(ends.raw("listing"), env=env, cwd=home, limit=limit))
            spent["second run"].append(spend(ends.ours(), env=env, cwd=home, limit=limit))
    forget(site.dovecot, ends.target["user"])
    lines = []
    for name, runs in spent.items():
        good = [run for run in runs if not run.fault]
        seconds = statistics.median([run.seconds for run in good] or [0])
        cpu = statistics.median([run.cpu for run in good] or [0])
        peak = max([run.peak for run in good] or [0])
        lines.append((name, number(seconds), number(cpu), megabytes(peak), f"{len(good)} of {len(runs)}"))
    faults = {f"{name}: {run.fault}" for name, runs in spent.items() for run in runs if run.fault}
    title = f"resume: {mail.count:,} small messages ({number(mail.octets / MEGA)} MB), all of them moved"
    data = [{"row": "resume", "program": name, **asdict(run)} for name, runs in spent.items() for run in runs]
    yield Table(title, ("", "seconds", "CPU s", "peak MB", "rounds"), lines, tuple(sorted(faults)), data)
