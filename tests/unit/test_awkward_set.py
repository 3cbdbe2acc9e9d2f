"""The awkward set is what it says: always the same, each message with a name of its own, whole in an mbox as far as an
mbox can hold it; and what known servers refuse of it is foretold."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from pop2imap import dates
from pop2imap.headers import Headers
from pop2imap.model import DateFrom, Message
from pop2imap.octets import from_bytes
from pop2imap.sources.mbox import MboxSource
from pop2imap.target import TargetFacts
from pop2imap.target.linter import Linter
from tests.corpus import Sample, write_mbox
from tests.corpus.awkward import THEMES, awkward, on_the_wire
from tests.corpus.awkward.lookalikes import BOOK_KEEPING
from tests.servers.behaviour import SETUPS, match_digest

AT_THE_TOP = ("x-uidl", "x-account-key", "x-mozilla")
"""Lines that are book-keeping only where a message begins; the first words of their names."""
NEVER = ("content-length", "x-gmail")


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    return awkward()


def test_it_is_large_and_always_the_same_and_names_each_message(samples: list[Sample]) -> None:
    assert len(samples) >= 800
    assert samples == awkward()
    names = Counter(sample.kind for sample in samples)
    assert max(names.values()) == 1
    assert all(re.fullmatch(r"[!-~]{1,70}", name) for name in names), "so each can be a UIDL"
    themes = Counter(name.partition("/")[0] for name in names)
    assert set(themes) == set(THEMES)
    assert min(themes.values()) >= 30
    alike = Counter(sample.octets for sample in samples)
    assert sum(alike.values()) - len(alike) == 4, "only the twins are equal"


def test_what_dates_a_message_is_what_the_set_says(samples: list[Sample]) -> None:
    for sample in samples:
        dated = dates.internal_date(Headers.parse(from_bytes(sample.octets).head()), None)
        expected = (sample.date, sample.date_from) if sample.date else None
        assert dated == expected, sample.kind
        assert (sample.date is None) is (sample.date_from is DateFrom.NEIGHBOUR)


def test_an_mbox_holds_it_but_for_line_ends_and_book_keeping(samples: list[Sample], tmp_path: Path) -> None:
    path = tmp_path / "awkward.mbox"
    write_mbox(samples, path)
    source = MboxSource(path)
    source.open()
    for sample, message in zip(samples, source.read(source.list().refs), strict=True):
        assert isinstance(message, Message)
        assert b"".join(message.octets.chunks()) == in_an_mbox(sample), sample.kind
    source.close(settled=False)


def in_an_mbox(sample: Sample) -> bytes:
    """What comes back of a message, by the rules of ``docs/mbox.md``."""
    octets = sample.over("mbox")
    head = octets.partition(b"\n\n")[0]
    if head.count(b"\n") > 1 and b"\r\n" not in head:
        octets = octets.replace(b"\n", b"\r\n")  # a message of LF lines: each gets its CR, whatever it holds
    name = sample.kind.partition("/")[2]
    if name == "what-mail-programs-keep-for-themselves":
        return octets.replace(b"X-IMAP: 1234567890 0000000001\r\n", b"")
    for noted, field in BOOK_KEEPING.items():
        at_the_top = name == f"{noted}-is-content-at-the-top"
        anywhere = name == f"{noted}-is-content" and not noted.startswith(AT_THE_TOP)
        if (at_the_top or anywhere) and not noted.startswith(NEVER):
            octets = octets.replace(field + b"\r\n", b"", 1)
    return octets


@pytest.mark.parametrize("name", ["Dovecot", "Cyrus", "Courier"])
def test_what_a_server_refuses_is_foretold_and_nothing_else(samples: list[Sample], name: str) -> None:
    setup = SETUPS[name]
    linter = Linter(TargetFacts(name, frozenset(), "", "", {}))
    for sample in samples:
        octets = on_the_wire(sample.octets)
        stored = from_bytes(octets)
        foretold = [one.why for one in linter.refusals(stored)] + [linter.harm(stored)]
        assert any(foretold) is bool(setup.refuses(octets)), (sample.kind, foretold)


@pytest.mark.parametrize("name", ["Dovecot", "Cyrus", "Courier"])
def test_what_a_server_rewrites_keeps_its_match_digest_and_has_a_likely_size(
    samples: list[Sample], name: str
) -> None:
    setup = SETUPS[name]
    for sample in samples:
        if not setup.refuses(sample.octets):
            kept = setup.keeps(sample.octets)
            assert match_digest(kept) == match_digest(sample.octets), sample.kind
            assert len(kept) in from_bytes(sample.octets).likely_sizes, sample.kind
