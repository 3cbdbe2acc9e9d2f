"""The sample mail of the demo: what it says should become of each message is what our own rules say too."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from pop2imap.decide import Decided, Decider
from pop2imap.demo.mail import RULES, Sample, maildrop, mbox, write_maildrop, write_mbox
from pop2imap.model import FLAGGED, SEEN, Key, Message
from pop2imap.octets import from_bytes
from pop2imap.options import Options
from pop2imap.rules import toml
from pop2imap.sources.mbox import MboxSource

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def decided(messages: list[Message]) -> list[Decided]:
    rules = toml.parse(RULES, where="rules.toml")
    found = list(Decider(rules, Options(), "INBOX", NOW).decide(messages))
    return [item for item in found if isinstance(item, Decided)]


def from_pop3(samples: list[Sample]) -> list[Message]:
    return [
        Message(number, Key("pop3", sample.name), from_bytes(sample.octets), len(sample.octets))
        for number, sample in enumerate(samples, 1)
    ]


def from_mbox(file: Path) -> list[Message]:
    source = MboxSource(file)
    source.open()
    try:
        return [item for item in source.read(source.list().refs) if isinstance(item, Message)]
    finally:
        source.close(settled=True)


def test_the_maildrop_is_decided_as_the_demo_expects() -> None:
    samples = [s for s in maildrop(NOW) if not s.damaged]
    found = decided(from_pop3(samples))
    assert [(d.decision.folders, d.date) for d in found] == [
        ((s.folder,) if s.arrives else (), s.date) for s in samples
    ]
    assert [d.flags for d, s in zip(found, samples, strict=True) if s.arrives] == [
        s.flags for s in samples if s.arrives
    ]
    assert [d.subject for d in found] == [s.subject for s in samples]


def test_the_mbox_file_gives_back_its_messages_with_their_flags_and_dates(tmp_path: Path) -> None:
    samples = mbox(NOW)
    write_mbox(samples, tmp_path / "old.mbox")
    messages = from_mbox(tmp_path / "old.mbox")
    assert [b"".join(m.octets.chunks()) for m in messages] == [s.octets for s in samples]
    found = decided(messages)
    assert [d.date for d in found] == [s.date for s in samples]
    for one, sample in zip(found, samples, strict=True):
        if sample.arrives:
            assert (one.decision.folders, one.flags) == ((sample.folder,), sample.flags)
    assert [s.name for s, m in zip(samples, messages, strict=True) if m.discarded] == ["deleted"]


def test_every_sort_of_mail_is_there() -> None:
    samples = [*maildrop(NOW), *mbox(NOW)]
    assert {s.folder for s in samples} >= {
        "INBOX",
        "\\Sent",
        "Haushalt/Müller & Söhne",
        "Lists/hikers.lists.example.org",
    }
    arriving = [s for s in samples if s.arrives]
    assert any(SEEN not in s.flags for s in arriving), "unread"
    assert any(FLAGGED in s.flags for s in arriving), "starred"
    assert any(s.flags - {SEEN} and FLAGGED not in s.flags for s in arriving), "tagged"
    assert any(b"filename*=" in s.octets for s in arriving), "an attachment"
    assert any(b"Message-ID" not in s.octets and max(s.octets) > 127 for s in arriving), "broken"
    assert any(s.damaged for s in samples), "what the source cannot give"
    in_maildrop = [s.octets for s in maildrop(NOW)]
    assert len(set(in_maildrop)) == len(in_maildrop) - 1, "twins in one source"
    assert {s.octets for s in mbox(NOW)} & set(in_maildrop), "one message in both sources"


@pytest.mark.parametrize("sample", [*maildrop(NOW), *mbox(NOW)], ids=lambda s: s.name)
def test_a_sample_is_octets_as_a_server_has_them(sample: Sample) -> None:
    assert sample.octets.count(b"\n") == sample.octets.count(b"\r\n") == sample.octets.count(b"\r")
    assert sample.octets.endswith(b"\r\n")
    assert b"\r\n\r\n" in sample.octets


def test_the_maildrop_is_written_in_order_and_says_what_is_damaged(tmp_path: Path) -> None:
    samples = maildrop(NOW)
    write_maildrop(samples, tmp_path / "maildrop")
    files = sorted((tmp_path / "maildrop").iterdir())
    assert [f.stem for f in files] == [s.name for s in samples]
    assert [f.read_bytes() for f in files] == [s.octets for s in samples]
    assert [f.stem for f in files if f.suffix == ".damaged"] == ["04-damaged"]
