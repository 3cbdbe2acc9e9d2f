"""Dovecot, Cyrus and Courier, in each of their usual settings: POP3 of the server and an mbox to IMAP of the server.

Every message must end *identical*, or *rewritten* in the way that ``tests/servers/behaviour.py`` knows of the server,
or *refused* with its reason in the report; its flags, its date and its folder must be those of the manifest; a second
run must move nothing; and what was killed in the middle must come to the same end.
"""

from __future__ import annotations

import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from signal import SIGKILL

import pytest

from tests.conftest import ServerFactory
from tests.corpus import RULES_TOML, Sample, Via, corpus, dates_of, write_mbox
from tests.servers.behaviour import SETUPS, Setup, match_digest, words_of
from tests.servers.server import Server
from tests.system.difference import Row, explain, found_in
from tests.system.maildrop import deliver, served
from tests.system.program import Ran, run
from tests.system.victim import Victim

COUNT = 110
SEED = 20261123
KILLS = 3

HEADERS = {
    "a field without a name": b": nameless\r\n",
    "a line without a colon": b"no colon at all\r\n",
    "a space before the colon": b"X-Space : x\r\n",
    "a control character in a name": b"X-\x01: x\r\n",
    "8-bit octets in a name": b"Gr\xfc\xdfe: x\r\n",
    "NUL": b"X-Nul: a\0b\r\n",
    "bare CR": b"X-Cr: a\rb\r\n",
    "CR CR LF": b"X-Crcrlf: a\r\r\n",
    "bare LF": b"X-Lf: a\nX-Lf-2: b\r\n",
}
"""What stands in a header that should not."""


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    """Every kind of the corpus, and headers as they should not be."""
    usual = list(corpus(COUNT, seed=SEED, mean_size=5_000))
    plain = [sample for sample in usual if sample.kind == "plain"]
    horrors = [
        replace(
            sample,
            number=COUNT + at,
            kind=kind,
            octets=sample.octets.replace(b"MIME-Version: 1.0\r\n", horror + b"MIME-Version: 1.0\r\n", 1),
        )
        for at, ((kind, horror), sample) in enumerate(zip(HEADERS.items(), plain, strict=False))
    ]
    return usual + horrors


@pytest.fixture
def setup(name: str) -> Setup:
    return SETUPS[name]


@pytest.fixture
def server(server_like: ServerFactory, setup: Setup) -> Server:
    return server_like(setup.kind, **setup.settings)


@pytest.fixture
def home() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="p2i-servers-"))
    (path / "rules.toml").write_text(RULES_TOML)
    yield path
    shutil.rmtree(path)


def in_maildrop(server: Server, samples: list[Sample]) -> tuple[str, list[Sample]]:
    """A user who has the samples in the maildrop, and the samples in its order with the octets that it serves. What
    the server does not take is not there."""
    user = server.user()
    present = [sample for sample in samples if not sample.deleted]
    taken = deliver(server, user, (sample.octets for sample in present))
    by_digest: dict[bytes, list[Sample]] = {}
    for sample in present:
        by_digest.setdefault(match_digest(sample.octets), []).append(sample)
    found = served(server, user).values()
    assert len(found) == taken
    return user, [replace(by_digest[match_digest(octets)].pop(0), octets=octets) for octets in found]


def expect(setup: Setup, samples: list[Sample], via: Via) -> tuple[Counter[Row], Counter[tuple[int, str]]]:
    """(rows, (size, reason) of what is refused)."""
    rows: Counter[Row] = Counter()
    refused: Counter[tuple[int, str]] = Counter()
    for sample, date in zip(samples, dates_of(samples), strict=True):
        octets = sample.over("mbox") if via == "mbox" else sample.octets
        if sample.deleted:
            continue
        if reason := setup.refuses(octets):
            refused[len(octets), reason] += 1
        else:
            flags = sample.expected_flags(via)
            rows[setup.mailbox(sample.folder), setup.keeps(octets), flags, date] += 1
    return rows, refused


@pytest.mark.parametrize("via", ["mbox", "pop3"])
@pytest.mark.parametrize("name", SETUPS)
def test_everything_is_identical_or_rewritten_as_known_or_refused_by_name(
    server: Server,
    setup: Setup,
    home: Path,
    samples: list[Sample],
    via: Via,
    figure: Callable[[str, object], None],
) -> None:
    user = server.user()
    if via == "pop3":
        maildrop, samples = in_maildrop(server, samples)
        source = f"pop3s://{maildrop}@localhost:{server.pop3s_port}"
    else:
        source = "mail.mbox"
        write_mbox(samples, home / source)
    expected, refused = expect(setup, samples, via)
    kept = [sample for sample in samples if not sample.deleted]

    ran = move(home, server, source, user)
    assert ran.code == (3 if refused else 0), ran.err + ran.out
    counts = ran.json["counts"]
    assert (counts["source"], counts["stored"], counts["refused"], counts["skipped"]) == (
        len(samples),
        len(kept) - sum(refused.values()),
        sum(refused.values()),
        len(samples) - len(kept),
    )
    problems = Counter((one["size"], words_of(one["reason"])) for one in ran.json["problems"])
    assert problems == refused

    found = found_in(server, user)
    missing, surplus = expected - found, found - expected
    assert not missing, explain(missing, surplus)
    assert not surplus

    with server.client(user) as client:
        subscribed = {name for _flags, _delimiter, name in client.list_sub_folders()}
    assert {row[0] for row in expected} - {"INBOX"} <= subscribed

    again = move(home, server, source, user)
    assert (again.code, again.json["moved"]["messages"]) == (ran.code, 0)
    assert again.json["counts"] == counts
    figure("messages", _summary(setup, expected, refused, kept, via))


def move(home: Path, server: Server, source: str, user: str) -> Ran:
    return run(
        home,
        *("migrate", source, f"imaps://{user}@localhost:{server.imaps_port}"),
        *("--rules", "rules.toml", "--fence", "0", "--json"),
        *("--source-ca", server.ca_file, "--target-ca", server.ca_file),
    )


def _summary(
    setup: Setup, expected: Counter[Row], refused: Counter[tuple[int, str]], kept: list[Sample], via: Via
) -> str:
    sent = [sample.over("mbox") if via == "mbox" else sample.octets for sample in kept]
    identical = sum(not setup.refuses(octets) and setup.keeps(octets) == octets for octets in sent)
    rewritten = sum(expected.values()) - identical
    return f"{identical} identical, {rewritten} rewritten as known, {sum(refused.values())} refused by name"


@pytest.mark.parametrize(
    ("name", "via"),
    [*((name, "mbox") for name in SETUPS), ("Dovecot", "pop3"), ("Cyrus", "pop3"), ("Courier", "pop3")],
)
def test_kills_lose_nothing_and_double_nothing(
    server: Server,
    setup: Setup,
    home: Path,
    samples: list[Sample],
    via: Via,
    figure: Callable[[str, object], None],
) -> None:
    if via == "pop3":
        maildrop, samples = in_maildrop(server, samples)
        source = f"pop3://{maildrop}@127.0.0.1:{server.pop3_port}"
    else:
        source = "mail.mbox"
        write_mbox(samples, home / source)
    expected, refused = expect(setup, samples, via)
    code = 3 if refused else 0
    size = sum(len(sample.octets) for sample in samples)

    victim, chance = Victim(home, server, source), random.Random(f"{SEED} {setup.kind} {via}")
    kills = with_intents = 0
    for kill in range(KILLS):
        if kill == 1:
            struck, process, err = victim.run(after_octets=chance.randint(size // 20, size // KILLS))
        else:
            struck, process, err = victim.run(before_answer=chance.randint(1, 3))
        if not struck:  # nothing was left to do
            assert process.returncode == code, err
            break
        assert process.returncode == -SIGKILL
        kills += 1
        with_intents += victim.in_doubt() > 0

    _struck, last, err = victim.run()
    assert last.returncode == code, err + victim.out
    assert victim.json["counts"]["held"] == 0
    _struck, again, err = victim.run()
    assert again.returncode == code, err
    assert victim.json["moved"]["messages"] == 0

    found = found_in(server, victim.user)
    lost, twice = expected - found, found - expected
    figure(
        "kills",
        f"{kills}, {with_intents} with open intents; lost {sum(lost.values())}, twice {sum(twice.values())}",
    )
    assert not lost, explain(lost, twice)
    assert not twice
    assert kills >= 2
    assert with_intents >= 1
