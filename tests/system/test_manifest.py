"""2,000 awkward messages, 128 MB, over POP3 and as an mbox: what the target holds equals the manifest.

Every message must be *identical*, or *rewritten* in a way that this server is known for and that this test names;
its flags, its date and its folder must be those of the manifest; and a second run must append nothing.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from tests.corpus import RULES_TOML, Sample, Via, corpus, dates_of, on_dovecot, write_maildir, write_mbox
from tests.servers.dovecot import Dovecot
from tests.system import readback
from tests.system.program import Ran, run

COUNT = 2000
SEED = 1

Row = tuple[str, bytes, frozenset[str], datetime]
"""(folder, octets, flags, date): what IMAP shows of a message."""


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    return list(corpus(COUNT, seed=SEED))


@pytest.fixture
def home() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="p2i-manifest-"))
    (path / "rules.toml").write_text(RULES_TOML)
    yield path
    shutil.rmtree(path)


def as_dovecot_keeps(octets: bytes) -> bytes:
    """QUIRK(Dovecot): what APPEND to a Maildir makes of octets that are not lines ended by CRLF."""
    octets = octets.replace(b"\0", b"\x80").removesuffix(b"\r")
    return re.sub(rb"\r\r\n|(?<!\r)\n", b"\r\n", octets)


def move(home: Path, dovecot: Dovecot, source: str, user: str) -> Ran:
    return run(
        home,
        "migrate",
        source,
        f"imaps://{user}@localhost:{dovecot.imaps_port}",
        *("--rules", "rules.toml", "--fence", "0", "--json"),
        *("--source-ca", dovecot.ca_file, "--target-ca", dovecot.ca_file),
    )


@pytest.mark.timeout(400)
@pytest.mark.parametrize("via", ["pop3", "mbox"])
def test_everything_in_the_target_equals_the_manifest(
    dovecot: Dovecot,
    home: Path,
    samples: list[Sample],
    via: Via,
    figure: Callable[[str, object], None],
) -> None:
    user = dovecot.user()
    if via == "pop3":
        samples = [sample for sample in samples if not sample.deleted]
        maildrop = dovecot.user()
        write_maildir(samples, dovecot.directory / "mail" / maildrop)
        source = f"pop3s://{maildrop}@localhost:{dovecot.pop3s_port}"
    else:
        source = "mail.mbox"
        write_mbox(samples, home / source)

    ran = move(home, dovecot, source, user)
    assert ran.code == 0, ran.err + ran.out
    kept = [sample for sample in samples if not sample.deleted]
    assert ran.json["counts"]["source"] == len(samples)
    assert ran.json["counts"]["stored"] == len(kept)
    assert ran.json["counts"]["skipped"] == len(samples) - len(kept)

    expected: Counter[Row] = Counter()
    for sample, date in zip(samples, dates_of(samples), strict=True):
        if not sample.deleted:
            octets = as_dovecot_keeps(sample.over(via))
            expected[(on_dovecot(sample.folder), octets, sample.expected_flags(via), date)] += 1
    identical = sum(as_dovecot_keeps(sample.over(via)) == sample.over(via) for sample in kept)
    found = Counter((m.folder, m.octets, m.flags, m.date) for m in readback.messages(dovecot, user))
    assert sum(found.values()) == len(kept)
    missing, surplus = expected - found, found - expected
    assert not missing, _explain(missing, surplus)
    assert not surplus

    with readback.client(dovecot, user) as client:
        subscribed = {name for _flags, _delimiter, name in client.list_sub_folders()}
    assert {on_dovecot(sample.folder) for sample in kept} - {"INBOX"} <= subscribed

    again = move(home, dovecot, source, user)
    assert (again.code, again.json["moved"]["messages"]) == (0, 0)
    assert again.json["counts"] == ran.json["counts"]
    figure(
        via,
        f"{len(kept)} stored, {identical} identical, {len(kept) - identical} rewritten by Dovecot as known",
    )


def _explain(missing: Counter[Row], surplus: Counter[Row]) -> str:
    """The first differences, small enough to read: each expected message beside the one most like it."""
    found = {_core(row[1]): row for row in surplus}
    lines = [f"{sum(missing.values())} missing"]
    for row in list(missing)[:8]:
        lines.append(f"expected {_shown(row, row)}")
        other = found.get(_core(row[1]))
        lines.append(f"   found {_shown(other, row)}" if other else "   nothing like it")
    return "\n".join(lines)


def _core(octets: bytes) -> bytes:
    return re.sub(rb"[\r\n\0\x80]", b"", octets)


def _shown(row: Row, other: Row) -> str:
    at = next((i for i, (a, b) in enumerate(zip(row[1], other[1], strict=False)) if a != b), -60)
    return f"{row[0]} {sorted(row[2])} {row[3]} {len(row[1])} octets, {row[1][max(at - 30, -90) :][:90]!r}"
