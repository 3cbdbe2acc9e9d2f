"""The awkward set on Dovecot, Cyrus and Courier, over POP3 and from an mbox: each message of it, by name.

Every message must end *identical*, or *rewritten* to exactly the octets that ``tests/servers/behaviour.py`` says of the
server, or *refused* and then named in the report with the server's words and kept in the quarantine. A second run moves
nothing, one without the journal finds everything present, and ``verify --full`` calls each what it is.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import pytest

from pop2imap.credentials import Secret
from pop2imap.model import Account, Message
from pop2imap.octets import from_bytes
from pop2imap.sources.mbox import MboxSource
from pop2imap.sources.pop3 import Pop3Source
from pop2imap.verify.rewrites import named, suspects
from tests.conftest import ServerFactory
from tests.corpus import Sample, dates_of, write_maildir, write_mbox
from tests.corpus.awkward import awkward, on_the_wire
from tests.corpus.awkward.extremes import LARGE
from tests.fakes.pop3_server import USER, Maildrop, Pop3Server
from tests.servers.behaviour import SETUPS, Setup, match_digest, words_of
from tests.servers.dovecot import Dovecot
from tests.servers.server import PASSWORD, Server
from tests.system import readback
from tests.system.difference import Row, explain, found_in
from tests.system.maildrop import deliver, served
from tests.system.program import Ran, run
from tests.unit.test_migrate import Bench

KINDS = ("Dovecot", "Cyrus", "Courier")


@dataclass(frozen=True)
class Given:
    """A source and what it gives: ``names`` are the keys of the samples in the report, ``samples`` have the octets
    that arrive. ``skipped``: the source's own mark leaves them out. ``exact``: flags and dates are known, too."""

    source: str
    names: Sequence[str]
    samples: Sequence[Sample]
    skipped: frozenset[str] = frozenset()
    exact: bool = True


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    return awkward()


@pytest.fixture
def setup(name: str) -> Setup:
    return SETUPS[name]


@pytest.fixture
def server(server_like: ServerFactory, setup: Setup) -> Server:
    return server_like(setup.kind, **setup.settings)


@pytest.fixture
def home() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="p2i-awkward-"))
    yield path
    shutil.rmtree(path)


# -- sources


@contextmanager
def exact_maildrop(samples: list[Sample]) -> Iterator[Given]:
    """A POP3 server that serves the octets as they are; the name of each is its UIDL."""
    names = [sample.kind for sample in samples]
    with Pop3Server(Maildrop([sample.octets for sample in samples], uids=[*names])) as pop3:
        yield Given(
            f"pop3://{USER}@127.0.0.1:{pop3.port}",
            names,
            [replace(sample, octets=on_the_wire(sample.octets), flags=None) for sample in samples],
        )


def in_mbox(samples: list[Sample], path: Path) -> Given:
    """An mbox; what its reader makes of it counts as the source (``test_awkward_set`` says how that differs)."""
    write_mbox(samples, path)
    os.utime(path, (1_000_000_000,) * 2)  # it is not being written any more
    source = MboxSource(path)
    source.open()
    refs = source.list().refs
    assert len(refs) == len(samples)
    arriving, skipped = [], set()
    for sample, message in zip(samples, source.read(refs), strict=True):
        assert isinstance(message, Message)
        octets = b"".join(message.octets.chunks())
        if message.discarded:
            skipped.add(str(message.key))
        arriving.append(replace(sample, octets=octets, flags=message.flags))
    source.close(settled=False)
    return Given(f"mbox:{path}", [str(ref.key) for ref in refs], arriving, frozenset(skipped))


def in_real_maildrop(server: Server, samples: list[Sample]) -> Given:
    """The maildrop of the server itself; what it serves counts as the source. Where it lies in files, the octets are
    put there as they are; else the server takes what it takes. QUIRK(Dovecot, Courier): a dot that is a message's first
    octet is not stuffed (tried below)."""
    samples = [one for one in samples if not one.octets.startswith(b".") and len(one.octets) < LARGE]
    user = server.user()
    if isinstance(server, Dovecot):
        server.doveadm("mailbox", "create", "-u", user, "Made")  # makes the directory, as Dovecot wants it
        count = write_maildir(samples, server.directory / "mail" / user)
    else:
        count = deliver(server, user, (sample.octets for sample in samples))
    messages = served(server, user)
    assert len(messages) == count
    any_sample = samples[0]
    return Given(
        f"pop3s://{user}@localhost:{server.pop3s_port}",
        list(messages),
        [replace(any_sample, octets=octets) for octets in messages.values()],
        exact=False,
    )


# -- what must become of it


@dataclass(frozen=True)
class Fate:
    """What must become of a source: the samples that are stored, the reasons of what is refused by name, and the
    flags that are lost."""

    stored: Sequence[tuple[str, Sample]]
    refused: Mapping[str, str]
    dropped: Counter[str]

    @classmethod
    def of(cls, setup: Setup, given: Given) -> Fate:
        stored, refused, dropped = [], {}, Counter[str]()
        for name, sample in zip(given.names, given.samples, strict=True):
            if name in given.skipped:
                continue
            if words := setup.refuses(sample.octets):
                refused[name] = words
            else:
                stored.append((name, sample))
                flags = sample.expected_flags("mbox")
                dropped.update(flags - setup.flags(flags))
        return cls(stored, refused, dropped)

    def rows(self, setup: Setup, given: Given) -> Counter[Row]:
        dates = dict(zip(given.names, dates_of(given.samples), strict=True))
        return Counter(
            ("INBOX", setup.keeps(sample.octets), setup.flags(sample.expected_flags("mbox")), dates[name])
            for name, sample in self.stored
        )


def check(
    home: Path, server: Server, setup: Setup, given: Given, figure: Callable[[str, object], None]
) -> str:
    """Move all of it, and compare with what must become of it. Returns the target."""
    target = f"imaps://{server.user()}@localhost:{server.imaps_port}"
    fate = Fate.of(setup, given)
    ran = move(home, server, given, target, "--quarantine", home / "quarantine")
    check_report(ran, given, fate)
    check_quarantine(home / "quarantine", given, fate)
    user = target.partition("//")[2].partition("@")[0]
    if given.exact:
        expected, found = fate.rows(setup, given), found_in(server, user)
        missing, surplus = expected - found, found - expected
        assert not missing, explain(missing, surplus)
        assert not surplus
    else:
        kept = Counter(setup.keeps(sample.octets) for _name, sample in fate.stored)
        assert (
            Counter(
                message.octets for message in readback.messages(server, user) if message.folder == "INBOX"
            )
            == kept
        )

    again = move(home, server, given, target)
    assert (again.code, again.json["moved"]["messages"]) == (ran.code, 0)
    rewritten = check_verified(home, server, setup, given, target, fate)
    identical = len(fate.stored) - rewritten
    figure(
        "messages",
        f"{identical} identical, {rewritten} rewritten as known, {len(fate.refused)} refused by name",
    )
    return target


def move(home: Path, server: Server, given: Given, target: str, *more: str | Path) -> Ran:
    options = ("--fence", "0", "--json", *certificates(server, given))
    return run(home, "migrate", given.source, target, *options, *more)


def certificates(server: Server, given: Given) -> list[str]:
    ends = ("source", "target") if given.source.startswith("pop3s:") else ("target",)
    return [word for end in ends for word in (f"--{end}-ca", str(server.ca_file))]


def check_report(ran: Ran, given: Given, fate: Fate) -> None:
    """Each message has its account, and each refused one its name and the server's words."""
    assert ran.code == (3 if fate.refused else 0), ran.err + ran.out[-2000:]
    counts = ran.json["counts"]
    assert (counts["source"], counts["stored"], counts["refused"], counts["skipped"]) == (
        len(given.samples),
        len(fate.stored),
        len(fate.refused),
        len(given.skipped),
    )
    problems = {one["key"]: words_of(one["reason"]) for one in ran.json["problems"]}
    assert problems == fate.refused
    assert ran.json["flags_dropped"] == fate.dropped


def check_quarantine(directory: Path, given: Given, fate: Fate) -> None:
    """Each refused message is there with its exact octets, and nothing else is."""
    refused = {
        sample.octets for name, sample in zip(given.names, given.samples, strict=True) if name in fate.refused
    }
    kept = [path.read_bytes() for path in directory.iterdir()]
    assert Counter(kept) == Counter(refused)
    assert {path.stem for path in directory.iterdir()} == {sha256(octets).hexdigest() for octets in refused}


def check_verified(home: Path, server: Server, setup: Setup, given: Given, target: str, fate: Fate) -> int:
    """``verify --full`` with the source at hand calls each what it is. Returns how many were rewritten."""
    hows: Counter[str] = Counter()
    for _name, sample in fate.stored:
        sent, kept = sample.octets, setup.keeps(sample.octets)
        assert match_digest(sent) == match_digest(kept), sample.kind
        if sent != kept:
            hows[named(len(sent), len(kept), suspects(from_bytes(sent)))] += 1
    ran = run(home, "verify", given.source, target, "--full", "--json", *certificates(server, given))
    assert ran.code == 0, ran.out[-3000:] + ran.err
    counts = ran.json["counts"]
    assert (counts["copies"], counts["identical"], counts["rewritten"]) == (
        len(fate.stored),
        len(fate.stored) - hows.total(),
        hows.total(),
    )
    assert ran.json["rewritten"] == hows
    return hows.total()


@pytest.mark.parametrize("name", KINDS)
def test_over_pop3_each_ends_as_known(
    server: Server, setup: Setup, home: Path, samples: list[Sample], figure: Callable[[str, object], None]
) -> None:
    with exact_maildrop(samples) as given:
        target = check(home, server, setup, given, figure)
        (home / "elsewhere").mkdir()
        again = move(home / "elsewhere", server, given, target)
        assert again.json["moved"]["messages"] == 0, "without its journal it knows them by their octets"
        assert again.json["counts"]["present"] == len(Fate.of(setup, given).stored)


@pytest.mark.parametrize("name", KINDS)
def test_from_an_mbox_each_ends_as_known(
    server: Server, setup: Setup, home: Path, samples: list[Sample], figure: Callable[[str, object], None]
) -> None:
    check(home, server, setup, in_mbox(samples, home / "awkward.mbox"), figure)


@pytest.mark.parametrize("name", KINDS)
def test_from_the_servers_own_maildrop_each_ends_as_known(
    server: Server, setup: Setup, home: Path, samples: list[Sample], figure: Callable[[str, object], None]
) -> None:
    check(home, server, setup, in_real_maildrop(server, samples), figure)


@pytest.mark.parametrize("kind", ["Dovecot", "Courier"])
def test_a_dot_that_the_server_does_not_stuff_costs_its_message_alone(
    server_like: ServerFactory, tmp_path: Path, kind: str
) -> None:
    server = server_like(kind)
    user = server.user()
    good = [sample.octets for sample in awkward() if sample.kind.startswith("words/")][:4]
    dot = b".\r\nX-Odd: a dot comes first\r\n"
    assert deliver(server, user, [good[0], dot, dot, *good[1:], dot]) == 7
    with ExitStack() as stack:
        bench = Bench(tmp_path, stack)
        report = bench.run(Pop3Source(server.pop3(), user, Secret(PASSWORD)))
        stored, unreadable = (
            report.counts[Account.STORED].messages,
            report.counts[Account.UNREADABLE].messages,
        )
        assert (stored, unreadable) == (4, 3)
        assert bench.held() == Counter(good)
