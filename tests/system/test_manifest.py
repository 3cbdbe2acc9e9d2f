"""2,000 awkward messages, 128 MB, over POP3 and as an mbox: what the target holds equals the manifest.

Every message must be *identical*, or *rewritten* in a way that this server is known for and that this test names;
its flags, its date and its folder must be those of the manifest; and a second run must append nothing.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.corpus import RULES_TOML, Sample, Via, corpus, dates_of, on_dovecot, write_maildir, write_mbox
from tests.servers.behaviour import dovecot_keeps
from tests.servers.dovecot import Dovecot
from tests.system.difference import Row, explain, found_in
from tests.system.program import Ran, run

COUNT = 2000
SEED = 1


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    return list(corpus(COUNT, seed=SEED))


@pytest.fixture
def home() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="p2i-manifest-"))
    (path / "rules.toml").write_text(RULES_TOML)
    yield path
    shutil.rmtree(path)


def move(home: Path, dovecot: Dovecot, source: str, user: str) -> Ran:
    return run(
        home,
        "migrate",
        source,
        f"imaps://{user}@localhost:{dovecot.imaps_port}",
        *("--rules", "rules.toml", "--fence", "0", "--json"),
        *("--source-ca", dovecot.ca_file, "--target-ca", dovecot.ca_file),
    )


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
            octets = dovecot_keeps(sample.over(via))
            expected[(on_dovecot(sample.folder), octets, sample.expected_flags(via), date)] += 1
    identical = sum(dovecot_keeps(sample.over(via)) == sample.over(via) for sample in kept)
    found = found_in(dovecot, user)
    assert sum(found.values()) == len(kept)
    missing, surplus = expected - found, found - expected
    assert not missing, explain(missing, surplus)
    assert not surplus

    with dovecot.client(user) as client:
        subscribed = {name for _flags, _delimiter, name in client.list_sub_folders()}
    assert {on_dovecot(sample.folder) for sample in kept} - {"INBOX"} <= subscribed

    again = move(home, dovecot, source, user)
    assert (again.code, again.json["moved"]["messages"]) == (0, 0)
    assert again.json["counts"] == ran.json["counts"]
    figure(
        via,
        f"{len(kept)} stored, {identical} identical, {len(kept) - identical} rewritten by Dovecot as known",
    )
