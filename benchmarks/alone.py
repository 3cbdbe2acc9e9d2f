"""What pop2imap takes when it moves nothing: to start, and to plan."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from benchmarks.ceilings import End
from benchmarks.corpus import BY_SUBJECT
from benchmarks.ends import Ends
from benchmarks.measure import MEGA, Spent
from benchmarks.moves import Wanted
from benchmarks.show import Table, megabytes, number
from benchmarks.site import Site

STARTS = 20


def start_up(site: Site, wanted: Wanted) -> Iterator[Table]:
    """The help of the program, beside a Python that does nothing."""
    commands: dict[str, list[str | Path]] = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "pop2imap --help": [sys.executable, "-m", "pop2imap", "--help"],
    }
    spent: dict[str, list[Spent]] = {name: [] for name in commands}
    for _ in range(STARTS):
        for name, command in commands.items():
            spent[name].append(_well(site.run(command, limit=wanted.rounds.limit)))
    lines = [
        (
            name,
            number(statistics.median(run.seconds for run in runs) * 1000),
            number(statistics.median(run.cpu for run in runs) * 1000),
        )
        for name, runs in spent.items()
    ]
    data = [
        {"row": "start-up", "program": name, **asdict(run)} for name, runs in spent.items() for run in runs
    ]
    yield Table(f"start-up: median of {STARTS}", ("", "ms", "CPU ms"), lines, data=data)


def plan(site: Site, wanted: Wanted) -> Iterator[Table]:
    """A plan of an mbox into an empty account, with a rule that reads the subject: of mixed mail and of small mail."""
    rules = site.directory / "by-subject.toml"
    rules.write_text(BY_SUBJECT)
    lines, data = [], []
    for shape, count in (("mixed", wanted.messages), ("small", wanted.scale)):
        mail = site.mail(count, shape)
        account = End(port=site.dovecot.imap_port, user=site.dovecot.user())
        ends = Ends(End(path=str(mail.mbox)), account, site.dovecot)
        command = ends.ours("--rules", str(rules), command="plan")
        runs = [_well(site.run(command, limit=wanted.rounds.limit)) for _ in range(wanted.rounds.count)]
        seconds = statistics.median(run.seconds for run in runs)
        cpu = statistics.median(run.cpu for run in runs)
        lines.append(
            (
                f"{count:,} {shape} messages",
                number(count / seconds),
                number(mail.octets / MEGA / seconds),
                number(cpu / mail.octets * 1000 * MEGA),
                megabytes(max(run.peak for run in runs)),
            )
        )
        data += [
            {"row": "plan", "shape": shape, "messages": count, "octets": mail.octets, **asdict(run)}
            for run in runs
        ]
    yield Table("plan of an mbox", ("", "msg/s", "MB/s", "CPU s/GB", "peak MB"), lines, data=data)


def _well(spent: Spent) -> Spent:
    if spent.fault:
        raise RuntimeError(spent.fault)
    return spent
