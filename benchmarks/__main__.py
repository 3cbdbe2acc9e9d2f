"""How fast pop2imap is, beside what could be: ``python -m benchmarks [ROW…]``. ``--help`` and ``--list`` say more."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from benchmarks.machine import machine
from benchmarks.moves import Rounds, Wanted
from benchmarks.rows import ROWS
from benchmarks.show import Table, between_markers
from benchmarks.site import Site
from tests.servers import dovecot


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("row", nargs="*", metavar="ROW", help="what to measure; default: all")
    parser.add_argument("--list", action="store_true", help="say which rows there are, and end")
    parser.add_argument(
        "--delay",
        action="append",
        type=float,
        metavar="MS",
        help="there and back; repeatable; default 0 and 40",
    )
    parser.add_argument("--rounds", type=int, help="default 5")
    parser.add_argument("--peer-rounds", type=int, help="of other people's programs, 0 for none; default 1")
    parser.add_argument("--messages", type=int, help="of the rows that move mixed mail; default 2000")
    parser.add_argument("--scale", type=int, help="messages of the largest mailbox; default 20000")
    parser.add_argument(
        "--limit",
        type=float,
        help="seconds that one program may take, other people's a fifth of it; default 600",
    )
    parser.add_argument(
        "--quick", action="store_true", help="one round, a quarter of the mail: whether it all works"
    )
    parser.add_argument("--directory", type=Path, help="where the mail is kept before it is moved")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every run there")
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="put the tables between the markers of this page"
    )
    given = parser.parse_args()
    if unknown := [name for name in given.row if name not in ROWS]:
        parser.error(f"no such row: {', '.join(unknown)}; there are {', '.join(ROWS)}")
    if given.markdown:  # what cannot be written is better known before anything is measured
        try:
            between_markers(given.markdown.read_text(), [])
        except (OSError, ValueError) as error:
            parser.error(f"--markdown {given.markdown}: {error}")
    if given.json and not given.json.absolute().parent.is_dir():
        parser.error(f"--json {given.json}: there is no such directory")
    return given


def wanted(given: argparse.Namespace) -> Wanted:
    quick = given.quick
    return Wanted(
        messages=given.messages or (500 if quick else 2_000),
        rounds=Rounds(
            count=given.rounds or (1 if quick else 5),
            peers=1 if given.peer_rounds is None else given.peer_rounds,
            limit=given.limit or (300 if quick else 600),
        ),
        delays=tuple(delay / 1000 for delay in given.delay or (0, 40)),
        scale=given.scale or (2_000 if quick else 20_000),
    )


def command(rows: Sequence[str], asked: Wanted) -> str:
    """What to type for the same again, nothing left to defaults and nothing of this machine."""
    delays = " ".join(f"--delay {delay * 1000:g}" for delay in asked.delays)
    rounds = (
        f"--rounds {asked.rounds.count} --peer-rounds {asked.rounds.peers} --limit {asked.rounds.limit:g}"
    )
    words = [
        "python -m benchmarks",
        *rows,
        delays,
        rounds,
        f"--messages {asked.messages} --scale {asked.scale}",
    ]
    return " ".join(words)


def keep(
    given: argparse.Namespace, asked: Wanted, where: dict[str, str], tables: list[Table], failed: list[str]
) -> None:
    """Write what there is so far to where it was asked for."""
    if given.json:
        runs = [line for table in tables for line in table.data]
        given.json.write_text(json.dumps({"machine": where, "runs": runs, "failed": failed}, indent=1))
    if given.markdown:
        about = "; ".join(f"{name} {value}" for name, value in where.items())
        parts = [f"`{command(given.row, asked)}`: {about}.", *(table.markdown() for table in tables)]
        given.markdown.write_text(between_markers(given.markdown.read_text(), parts))


def main() -> int:
    given = options()
    if given.list:
        for name, row in ROWS.items():
            print(f"{name:<20} {row.about}")
        return 0
    if not dovecot.installed():
        sys.exit(dovecot.MISSING)
    where, asked = machine(), wanted(given)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that servers and mail are taken away
    tables: list[Table] = []
    failed: list[str] = []
    print("\n".join(f"{name}: {value}" for name, value in where.items()))
    with Site(given.directory) as site:
        for name in given.row or ROWS:
            began = time.monotonic()
            try:
                for table in ROWS[name].measure(site, asked):
                    tables.append(table)
                    print(f"\n{table.text()}", flush=True)
            except Exception as error:
                failed.append(f"{name}: {error}")
                traceback.print_exc()
            print(f"({name} took {time.monotonic() - began:.0f} s)", flush=True)
            keep(given, asked, where, tables, failed)
    for line in failed:
        print(f"failed: {line}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
