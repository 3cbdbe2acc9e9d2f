"""SIGKILL at known places of the conversation: whatever was on its way, nothing is lost and nothing comes twice.

The program runs as a process against a real Dovecot, through a proxy that kills it after a seeded number of
octets, or when an OK to an APPEND is about to be delivered, and then cuts the connection. Then it is run again,
killed again, and so on; the last run comes to its end. What the target holds must equal what an uninterrupted run
leaves in another account.
"""

from __future__ import annotations

import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from signal import SIGKILL

import pytest

from tests.servers.dovecot import Dovecot
from tests.system import readback
from tests.system.program import run
from tests.system.victim import RULES, Victim, arguments, mail, write_mbox

SEED = 20261123
MESSAGES = 300
KILLS = 12
SWALLOWED = 3
"""Of the kills, so many strike when an OK has been sent and is not delivered."""


@pytest.fixture
def home() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="p2i-kill-"))
    (path / "rules.toml").write_text(RULES)
    write_mbox(mail(MESSAGES, SEED), path / "mail.mbox")
    yield path
    shutil.rmtree(path)


def test_kills_at_known_places_lose_nothing_and_double_nothing(
    dovecot: Dovecot, home: Path, figure: Callable[[str, object], None]
) -> None:
    whole = dovecot.user()
    uninterrupted = run(home, *arguments("mail.mbox", whole, dovecot.imap_port))
    assert uninterrupted.code == 0, uninterrupted.err

    victim, chance = Victim(home, dovecot, "mail.mbox"), random.Random(SEED)
    size = (home / "mail.mbox").stat().st_size
    kills = with_intents = unread = 0
    for kill in range(KILLS):
        if kill < SWALLOWED:
            struck, process, err = victim.run(before_answer=chance.randint(1, 2))
        else:
            struck, process, err = victim.run(after_octets=chance.randint(20_000, size // KILLS))
        if not struck:  # nothing was left to do
            assert process.returncode == 0, err
            break
        assert process.returncode == -SIGKILL
        kills += 1
        with_intents += victim.in_doubt() > 0
        unread += struck.startswith("before answer")

    _struck, last, err = victim.run()
    assert last.returncode == 0, err
    _struck, again, err = victim.run()
    assert again.returncode == 0, err
    assert victim.json["moved"]["messages"] == 0

    expected = Counter(readback.messages(dovecot, whole))
    found = Counter(readback.messages(dovecot, victim.user))
    lost, twice = expected - found, found - expected
    figure("kills", f"{kills}, with open intents {with_intents}, with an unread OK {unread}")
    figure("messages", f"{sum(expected.values())}, lost {sum(lost.values())}, twice {sum(twice.values())}")
    assert with_intents >= 5
    assert unread >= 1
    assert (sum(lost.values()), sum(twice.values())) == (0, 0)
