"""One move, by several programs in turn, round after round: how they compare with the raw program."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from benchmarks.ceilings import End
from benchmarks.ends import Ends
from benchmarks.link import link
from benchmarks.measure import MEGA, Run, Spread, ratios, spend
from benchmarks.peers import PEERS
from benchmarks.show import Table, megabytes, number, percent
from benchmarks.site import Mail, Site, forget, held
from tests.servers.server import Server
from tests.system.program import environment

CEILING = "raw program"
JOURNALED = "raw + journal"
OURS = "pop2imap"
AT_REST_RUNS = 3

Program = Callable[[Ends, Path], list[str | Path]]
"""What is started in a home of its own; it may write files there first."""


@dataclass(frozen=True)
class Move:
    """What is moved from where to where. ``how``: what the raw program does (ceilings).

    ``delay``: seconds there and back; ``rate``: octets a second each way, 0 for no limit. ``rules``, ``options``: of
    pop2imap; ``folders``: how many the raw program makes for the same; ``sessions``: on how many it sends if there is a
    delay. Without one, more than one would be slower, where a server takes one message at a time and locks the folder.
    """

    name: str
    source: str = "pop3"
    target: str = "dovecot"
    how: str = "multiappend"
    tls: bool = False
    delay: float = 0.0
    rate: float = 0.0
    sessions: int = 1
    folders: int = 0
    shape: str = "mixed"
    rules: str = ""
    options: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        return f"{self.name}, {self.delay * 1000:.0f} ms"


@dataclass(frozen=True)
class Rounds:
    """``peers``: of other people's programs. ``limit``: seconds that a program may take; it gets no second chance."""

    count: int
    peers: int
    limit: float

    def of(self, program: str) -> tuple[int, float]:
        """How many rounds it gets, and how many seconds in each: some of the others would take hours."""
        if program in (CEILING, JOURNALED, OURS):
            return self.count, self.limit
        return self.peers, self.limit / 5


@dataclass(frozen=True)
class Wanted:
    """What was asked for. ``delays``: seconds, there and back. ``scale``: messages of the largest mailbox."""

    messages: int
    rounds: Rounds
    delays: tuple[float, ...]
    scale: int


@dataclass(frozen=True)
class Measured:
    """All runs of a move, by program, one a round; and what each takes, in seconds, with nothing to move."""

    runs: dict[str, list[Run]]
    at_rest: dict[str, float]

    def whole(self, program: str) -> Spread | None:
        """Its speed as a part of the raw program's, from start to end of the process."""
        return Spread.of(ratios(self.runs[program], self.runs[CEILING]))

    def moving(self, program: str) -> Spread | None:
        """The same of the moving alone, where it is known what both take with nothing to move."""
        if not {program, CEILING} <= self.at_rest.keys():
            return None
        at_rest = self.at_rest[program], self.at_rest[CEILING]
        return Spread.of(ratios(self.runs[program], self.runs[CEILING], *at_rest))


def measure(site: Site, move: Move, mail: Mail, programs: dict[str, Program], *, rounds: Rounds) -> Measured:
    """Every program in every round, each into an account of its own; first, with nothing to move, those compared."""
    with site.target(move.target) as server, _linked(site, move, server) as ends_for:
        nothing = site.mail(0, move.shape)
        at_rest = {}
        for name in (CEILING, OURS):
            idle = [
                run_once(site, ends_for, nothing, name, programs[name], rounds.limit)
                for _ in range(AT_REST_RUNS)
            ]
            if not any(run.fault for run in idle):
                at_rest[name] = statistics.median(run.spent.seconds for run in idle)
        if move.source == "pop3":
            site.maildrop(mail)
        runs: dict[str, list[Run]] = {name: [] for name in programs}
        for number_of_round in range(rounds.count):
            for name, program in programs.items():
                count, limit = rounds.of(name)
                if number_of_round < count and not any(run.spent.late for run in runs[name]):
                    runs[name].append(run_once(site, ends_for, mail, name, program, limit))
    return Measured(runs, at_rest)


EndsFor = Callable[[Mail], Ends]


@contextmanager
def _linked(site: Site, move: Move, server: Server) -> Iterator[EndsFor]:
    """What makes the ends of the next run, through the link of this move."""
    source, target = site.dovecot, server
    ports = [source.pop3s_port, target.imaps_port] if move.tls else [source.pop3_port, target.imap_port]
    with link(move.delay / 2, move.rate, ports) as (pop3, imap):

        def ends_for(mail: Mail) -> Ends:
            to = End(port=imap, user=server.user(), sessions=move.sessions if move.delay else 1)
            if mail.count:  # with nothing to move, nobody makes folders
                to["folders"] = move.folders
            if move.source == "mbox":
                origin = End(path=str(mail.mbox))
            else:
                origin = End(port=pop3, user=mail.user)
            if move.tls:
                to["ca"] = str(target.ca_file)
                if "port" in origin:
                    origin["ca"] = str(source.ca_file)
            return Ends(origin, to, server)

        yield ends_for


def run_once(site: Site, ends_for: EndsFor, mail: Mail, name: str, program: Program, limit: float) -> Run:
    """One program, from its start to its end, into an empty account, which is counted and then forgotten."""
    ends = ends_for(mail)
    user = ends.target["user"]
    with site.home() as home:
        command = program(ends, home)
        spent = spend(command, env=environment(home), cwd=home, limit=limit)
    try:
        moved = held(ends.server, user)
    except Exception as error:  # a server that a program has brought down is that run's fault, not the row's
        spent, moved = replace(spent, fault=spent.fault or f"the target cannot be counted: {error}"), 0
    forget(ends.server, user)
    return Run(name, spent, moved, mail.count, mail.octets)


def with_peers(move: Move, programs: dict[str, Program]) -> tuple[dict[str, Program], list[str]]:
    """Those programs, and other people's that can do it; and in words, which of these are not on this machine."""
    fit = [peer for peer in PEERS if not peer.targets or move.target in peer.targets]
    missing = [f"{peer.name} left out: {peer.missing} is not installed" for peer in fit if peer.missing]
    return programs | {peer.name: peer.command for peer in fit if not peer.missing}, missing


def raw(how: str) -> Program:
    return lambda ends, _home: ends.raw(how)


def ours(rules: str = "", options: Sequence[str] = ()) -> Program:
    """pop2imap, with what else it needs to be told: the text of rules, and options."""

    def command(ends: Ends, home: Path) -> list[str | Path]:
        if not rules:
            return ends.ours(*options)
        (home / "rules.toml").write_text(rules)
        return ends.ours("--rules", "rules.toml", *options)

    return command


COLUMNS = ("", "msg/s", "MB/s", "CPU s/GB", "peak MB", "whole process", "moving alone", "rounds")


def lines(measured: Measured) -> list[tuple[str, ...]]:
    """A line for each program: medians of its whole runs, and its ratios to the raw program."""
    table = []
    for name, runs in measured.runs.items():
        good = [run for run in runs if not run.fault]
        if not good:
            table.append((name, *["–"] * 6, f"0 of {len(runs)}"))
            continue
        seconds = statistics.median(run.spent.seconds for run in good)
        cpu = statistics.median(run.spent.cpu for run in good)
        octets, count = good[0].octets, good[0].moved
        table.append(
            (
                name,
                number(count / seconds),
                number(octets / MEGA / seconds),
                number(cpu / octets * 1000 * MEGA),
                megabytes(max(run.spent.peak for run in good)),
                percent(measured.whole(name)) if name != CEILING else "100 %",
                percent(measured.moving(name)) if name == OURS else "",
                f"{len(good)} of {len(runs)}",
            )
        )
    return table


def table(move: Move, mail: Mail, measured: Measured, notes: Sequence[str] = ()) -> Table:
    """What people and programs read of it."""
    rest = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in measured.at_rest.items())
    about = f"{mail.count:,} messages, {number(mail.octets / MEGA)} MB; with nothing to move: {rest}"
    return Table(
        move.title,
        COLUMNS,
        lines(measured),
        (about, *notes, *sorted(faults(measured))),
        records(move, measured),
    )


def faults(measured: Measured) -> set[str]:
    """Why runs do not count, in words."""
    return {f"{name}: {run.fault}" for name, runs in measured.runs.items() for run in runs if run.fault}


def records(move: Move, measured: Measured) -> list[dict[str, object]]:
    """Every run, for programs."""
    data = [
        asdict(run) | {"row": move.name, "delay": move.delay, "rate": move.rate, "round": number_of_round}
        for runs in measured.runs.values()
        for number_of_round, run in enumerate(runs, 1)
    ]
    data += [
        {"row": move.name, "delay": move.delay, "rate": move.rate, "program": name, "at_rest": seconds}
        for name, seconds in measured.at_rest.items()
    ]
    return data
