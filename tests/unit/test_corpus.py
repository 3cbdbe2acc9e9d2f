"""The corpus is what it says: the same each time, of the sizes and kinds promised, and its manifest is true for the
sources, the dates and the rules of this project."""

from __future__ import annotations

import re
import socket
import ssl
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pop2imap import dates
from pop2imap.headers import Headers
from pop2imap.model import DateFrom, Key, Message
from pop2imap.octets import from_bytes
from pop2imap.rules.toml import load
from pop2imap.sources.mbox import MboxSource
from tests.corpus import (
    KINDS,
    RULES_TOML,
    Sample,
    as_dovecot_serves,
    corpus,
    dates_of,
    on_dovecot,
    write_maildir,
    write_mbox,
)
from tests.servers.dovecot import PASSWORD, Dovecot


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    return list(corpus(300, seed=7, mean_size=9_000))


def test_the_same_seed_gives_the_same_mail() -> None:
    assert list(corpus(60, seed=3, mean_size=5_000)) == list(corpus(60, seed=3, mean_size=5_000))
    assert list(corpus(60, seed=3, mean_size=5_000)) != list(corpus(60, seed=4, mean_size=5_000))


def test_a_hundred_samples_have_every_kind(samples: list[Sample]) -> None:
    assert {sample.kind for sample in corpus(100, mean_size=4_000)} == set(KINDS)
    assert [sample.number for sample in samples] == list(range(300))
    assert list(corpus(0)) == []
    assert len(list(corpus(1))) == 1


def test_sizes_are_those_of_a_persons_mail() -> None:
    sizes = [len(sample.octets) for sample in corpus(2000)]
    assert 121_000_000 < sum(sizes) < 135_000_000
    shares = Counter("small" if size < 12_000 else "middle" if size < 200_000 else "large" for size in sizes)
    assert 1300 < shares["small"] < 1500
    assert 450 < shares["middle"] < 600
    assert 80 < shares["large"] < 110
    assert max(sizes) < 1_800_000


def test_twins_are_twins(samples: list[Sample]) -> None:
    for sample in samples:
        if sample.kind.startswith("twin"):
            originals = [other for other in samples[: sample.number] if other.octets == sample.octets]
            assert originals
            original = originals[0]
            assert (original.flags == sample.flags) is (sample.kind == "twin")
            assert (original.folder, original.date) == (sample.folder, sample.date)


def octets_of(samples: list[Sample], kind: str) -> bytes:
    return next(sample.octets for sample in samples if sample.kind == kind)


def test_each_kind_shows_what_it_is_named_for(samples: list[Sample]) -> None:
    assert re.search(rb"(?<!\r)\n", octets_of(samples, "bare-lf"))
    assert re.search(rb"\r(?!\n)", octets_of(samples, "bare-cr"))
    assert b"\r\r\n" in octets_of(samples, "cr-cr-lf")
    assert b"\0" in octets_of(samples, "nul")
    assert re.search(rb"[\x80-\xff]", octets_of(samples, "raw-8bit-head").partition(b"\r\n\r\n")[0])
    assert b"\r\n" + b"x" * 20_000 + b"\r\n" in octets_of(samples, "long-line")
    assert b"\r\n.\r\n" in octets_of(samples, "dots")
    assert b"\r\n\r\nFrom carol@example.org Thu Nov 29" in octets_of(samples, "from-lines")
    assert octets_of(samples, "empty-body").endswith(b"\r\n\r\n")
    assert not octets_of(samples, "no-final-line-end").endswith(b"\n")
    assert b"message-id" not in octets_of(samples, "no-message-id").lower()
    assert len(octets_of(samples, "huge-header").partition(b"\r\n\r\n")[0]) > 30_000
    assert b"\r\nDate:" not in octets_of(samples, "no-date")
    assert b"Received:" not in octets_of(samples, "own-sent")


def test_folders_of_every_rule_occur(samples: list[Sample]) -> None:
    folders = Counter(sample.folder.partition("/")[0] for sample in samples)
    assert set(folders) == {"INBOX", "\\Sent", "Clients", "Vereine", "Lists", "Archive"}
    assert on_dovecot("Lists/devel.lists.example.org") == "Lists/devel_lists_example_org"
    assert on_dovecot("\\Sent") == "Sent"


def test_the_rules_say_what_the_manifest_says(samples: list[Sample], tmp_path: Path) -> None:
    (tmp_path / "rules.toml").write_text(RULES_TOML)
    rules = load(tmp_path / "rules.toml")
    for sample, date in zip(samples, dates_of(samples), strict=True):
        octets = from_bytes(sample.octets)
        message = Message(1, Key("test", "x"), octets, octets.size, flags=sample.flags)
        decision = rules.decide(message, Headers.parse(octets.head()), date, "INBOX")
        assert decision.folders == (sample.folder,), (sample.number, sample.kind, decision.why)
        assert decision.rules == ((sample.rule,) if sample.rule else ())
        assert decision.add_flags == sample.add_flags
        assert bool(decision.seen) is sample.mark_seen


def test_the_headers_date_what_the_manifest_says(samples: list[Sample]) -> None:
    for sample in samples:
        dated = dates.internal_date(Headers.parse(from_bytes(sample.octets).head()), None)
        if sample.date is None:
            assert dated is None
            assert sample.date_from is DateFrom.NEIGHBOUR
        else:
            assert dated == (sample.date, sample.date_from), (sample.number, sample.kind)
            assert sample.date < datetime(2025, 1, 1, tzinfo=UTC)


def test_the_undated_take_the_date_of_a_neighbour(samples: list[Sample]) -> None:
    resolved = dates_of(samples)
    assert all(sample.date in (None, date) for sample, date in zip(samples, resolved, strict=True))
    at = next(sample.number for sample in samples if sample.date is None)
    assert resolved[at] in (samples[at - 1].date, samples[at + 1].date)
    with pytest.raises(ValueError, match="nothing dates"):
        dates_of([samples[at]])


def test_an_mbox_holds_what_the_manifest_says(samples: list[Sample], tmp_path: Path) -> None:
    path = tmp_path / "corpus.mbox"
    assert write_mbox(samples, path) == len(samples)
    source = MboxSource(path)
    source.open()
    listing = source.list()
    assert [remark.text.partition(":")[0] for remark in listing.remarks] == ["lines that begin with '>From '"]
    read = list(source.read(listing.refs))
    assert source.close(settled=True) == ()
    for sample, message in zip(samples, read, strict=True):
        assert isinstance(message, Message)
        assert b"".join(message.octets.chunks()) == sample.over("mbox"), (sample.number, sample.kind)
        assert message.flags == sample.flags
        assert message.envelope_date == sample.date
        assert bool(message.discarded) is sample.deleted
        assert ("mbox" in sample.sources) is (sample.over("mbox") == sample.octets)
    assert {sample.kind for sample in samples if "mbox" not in sample.sources} == {"no-final-line-end"}


def test_flags_follow_the_source_and_the_rules(samples: list[Sample]) -> None:
    for sample in samples:
        assert sample.expected_flags("pop3") == {"\\Seen"} | sample.add_flags
        over_mbox = sample.expected_flags("mbox")
        assert sample.add_flags | (sample.flags or set()) <= over_mbox
        if sample.flags is not None and not sample.mark_seen:
            assert over_mbox == sample.flags | sample.add_flags


def test_what_dovecot_makes_of_octets_is_known() -> None:
    assert as_dovecot_serves(b"a\nb\r\nc\rd\r\r\n") == b"a\r\nb\r\nc\rd\r\r\n"
    assert as_dovecot_serves(b"a\r") == b"a\r\r\n"
    assert as_dovecot_serves(b"") == b"\r\n"


class _Pop3:
    """POP3 as simple as can be, to see what really comes over the wire."""

    def __init__(self, dovecot: Dovecot, user: str) -> None:
        context = ssl.create_default_context(cafile=str(dovecot.ca_file))
        plain = socket.create_connection(("localhost", dovecot.pop3s_port), timeout=30)
        self.socket = context.wrap_socket(plain, server_hostname="localhost")
        self.file = self.socket.makefile("rb")
        assert self.file.readline().startswith(b"+OK")
        self.ask(f"USER {user}")
        self.ask(f"PASS {PASSWORD}")

    def ask(self, command: str) -> bytes:
        self.socket.sendall(command.encode() + b"\r\n")
        answer = self.file.readline()
        assert answer.startswith(b"+OK"), answer
        return answer

    def retrieve(self, number: int) -> bytes:
        self.ask(f"RETR {number}")
        lines = bytearray()
        while not (lines.endswith(b"\r\n.\r\n") or lines == b".\r\n"):
            lines += self.file.readline()
        return re.sub(rb"(\A|\r\n)\.", rb"\1", bytes(lines[:-3]))

    def close(self) -> None:
        self.file.close()
        self.socket.close()


@pytest.fixture
def served(dovecot: Dovecot, samples: list[Sample]) -> Iterator[tuple[_Pop3, list[bytes]]]:
    """A maildrop of the corpus and some shorter oddities, and what is to come from it."""
    user = dovecot.user()
    dovecot.doveadm("mailbox", "create", "-u", user, "Trash2")  # makes the directory, as Dovecot wants it
    odd = [
        b"",
        b"\n",
        b"Subject: x\r\n",
        b"Subject: x\r\n\r\n.",
        b"Subject: x\r\n\r\none\r",
        b"\r\nno header\r\n",
    ]
    more = [
        Sample(len(samples) + at, "odd", octets, None, None, DateFrom.NEIGHBOUR, "INBOX")
        for at, octets in enumerate(odd)
    ]
    everything = [sample for sample in samples if not sample.deleted] + more
    assert write_maildir([*samples, *more], dovecot.directory / "mail" / user) == len(everything)
    client = _Pop3(dovecot, user)
    yield client, [sample.over("pop3") for sample in everything]
    client.close()


def test_dovecot_serves_the_maildir_as_the_manifest_says(served: tuple[_Pop3, list[bytes]]) -> None:
    pop3, expected = served
    assert pop3.ask("STAT").split()[1] == b"%d" % len(expected)
    for number, octets in enumerate(expected, 1):
        size = int(pop3.ask(f"LIST {number}").split()[2])
        assert (number, pop3.retrieve(number)) == (number, octets)
        assert size == len(octets)


def test_over_pop3_bare_lf_and_missing_line_ends_do_not_survive(samples: list[Sample]) -> None:
    changed = {sample.kind for sample in samples if "pop3" not in sample.sources}
    assert changed == {"bare-lf", "no-final-line-end", "deleted"}
