"""SIGKILL at 200 random times over a slow link, to every kind of server, from both kinds of sources.

Only with ``scripts/test --long``. The times are those of a seed; ``POP2IMAP_SEED`` names another one. When the program
is killed, what is on the link arrives or is lost, which is of the seed as well; what its own machine had still to send
is lost. Each run goes on where a kill has left it. When one comes to its end before its time, the account is compared
with what an uninterrupted run leaves, and an empty one is begun. The number of kills is fixed, and so is how long each
run may take: the whole of it ends in some minutes.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from signal import SIGKILL

import pytest

from tests.conftest import ServerFactory
from tests.faults.proxy import Link, Proxy
from tests.servers.behaviour import SETUPS
from tests.system.difference import explain, found_in
from tests.system.maildrop import deliver
from tests.system.victim import RULES, Victim, mail, write_mbox

SEED = os.environ.get("POP2IMAP_SEED", "20261123")
KILLS = {
    ("Dovecot", "mbox"): 34,
    ("Dovecot", "pop3"): 34,
    ("Cyrus", "mbox"): 33,
    ("Cyrus", "pop3"): 33,
    ("Courier", "mbox"): 33,
    ("Courier", "pop3"): 33,
}
MESSAGES = 500
LINES = (5, 50, 200)
"""Of a message, 20 octets each."""

LINK = Link(delay=0.015, rate=200_000)
"""30 ms there and back; the octets of a whole move take some 6 s on it."""

DOWN = Link(delay=0.015, rate=2_000_000)
"""From the maildrop; else most kills would come before anything is sent."""

LATEST = 3.5
"""Seconds after its first connection until which the program is killed."""

pytestmark = [pytest.mark.long, pytest.mark.timeout(1_100)]


@pytest.fixture
def home() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="p2i-long-"))
    (path / "rules.toml").write_text(RULES)
    yield path
    shutil.rmtree(path)


@pytest.mark.parametrize(("name", "via"), KILLS)
def test_kills_at_random_times_lose_nothing_and_double_nothing(
    server_like: ServerFactory, home: Path, name: str, via: str, figure: Callable[[str, object], None]
) -> None:
    setup, chance = SETUPS[name], random.Random(f"{SEED} {name} {via}")
    server = server_like(setup.kind, **setup.settings)
    messages = list(mail(MESSAGES, 20261123, LINES))
    # one proxy for all runs: its port is part of the name of the source
    with Proxy(server.pop3_port, link=DOWN) as pop3:
        source = "mail.mbox"
        if via == "pop3":
            maildrop = server.user()
            octets = (text.replace("\n", "\r\n").encode() for _added, text in messages)
            assert deliver(server, maildrop, octets) == MESSAGES
            source = f"pop3://{maildrop}@127.0.0.1:{pop3.port}"
        else:
            write_mbox(messages, home / source)
        whole = Victim(home, server, source)
        _struck, uninterrupted, err = whole.run()
        assert uninterrupted.returncode == 0, err
        expected = found_in(server, whole.user)
        assert sum(expected.values()) >= MESSAGES

        def begin() -> Victim:
            victim = Victim(home, server, source)
            victim.link = LINK
            return victim

        def finish(victim: Victim) -> None:
            _struck, last, err = victim.run()
            assert last.returncode == 0, err
            assert victim.json["counts"]["held"] == 0
            _struck, again, err = victim.run()
            assert (again.returncode, victim.json["moved"]["messages"]) == (0, 0), err
            found = found_in(server, victim.user)
            lost, twice = expected - found, found - expected
            totals.update(lost=sum(lost.values()), twice=sum(twice.values()), accounts=1)
            assert not lost + twice, explain(lost, twice)

        totals: Counter[str] = Counter(kills=0, open=0, lost=0, twice=0, accounts=0)
        victim = begin()
        try:
            while totals["kills"] < KILLS[name, via]:
                delivers = chance.random() < 0.5
                process, err = victim.run_for(chance.uniform(0, LATEST), delivers=delivers)
                if process.returncode == -SIGKILL:
                    totals.update(kills=1, open=victim.in_doubt() > 0)
                else:
                    assert process.returncode == 0, err
                    finish(victim)
                    victim = begin()
            finish(victim)
        finally:
            figure("long run", f"seed {SEED}; " + ", ".join(f"{what} {n}" for what, n in totals.items()))
            for where in (f"long run, {name}", "long run"):
                figure(f"{where}: kills", totals["kills"])
                figure(f"{where}: kills that hit open intents", totals["open"])
                figure(f"{where}: lost", totals["lost"])
                figure(f"{where}: twice", totals["twice"])
    assert totals["open"] >= totals["kills"] // 5
