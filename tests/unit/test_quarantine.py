"""A quarantine holds messages whole or not at all, for its owner alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import cast

import pytest

from pop2imap.errors import ExitCode, LocalIOError
from pop2imap.model import Octets
from pop2imap.octets import from_bytes
from pop2imap.quarantine import Quarantine

ODD = b"Subject: ../../etc/passwd\r\n\r\n\0\n\r\xff"


def test_a_message_is_kept_octet_for_octet_under_its_digest(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path / "a" / "b")
    octets = from_bytes(ODD)
    assert quarantine.find(octets.digest) is None
    path = quarantine.keep(octets)
    assert path == tmp_path / "a" / "b" / f"{sha256(ODD).hexdigest()}.eml"
    assert path.read_bytes() == ODD
    assert quarantine.find(octets.digest) == path
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_the_same_message_is_kept_once_and_one_that_broke_off_is_kept_anew(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path)
    part = tmp_path / f"{sha256(ODD).hexdigest()}x.part"
    part.write_bytes(b"half of it")
    assert quarantine.keep(from_bytes(ODD)) == quarantine.keep(from_bytes(ODD))
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [ODD]


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path / "kept")
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / "kept" / f"{sha256(ODD).hexdigest()}.eml").symlink_to(victim)
    assert quarantine.keep(from_bytes(ODD)).read_bytes() == ODD
    assert victim.read_bytes() == b"precious"


@dataclass
class Watched:
    """Octets that somebody else looks for while they are written."""

    octets: Octets
    meanwhile: Callable[[], None]

    @property
    def digest(self) -> bytes:
        return self.octets.digest

    def chunks(self) -> Iterator[bytes]:
        whole = b"".join(self.octets.chunks())
        yield whole[:5]
        self.meanwhile()
        yield whole[5:]


def test_two_runs_may_keep_the_same_message_at_the_same_time(tmp_path: Path) -> None:
    octets = from_bytes(ODD)

    def another() -> None:
        assert Quarantine(tmp_path).find(octets.digest) is None, "half of it is not it"
        assert Quarantine(tmp_path).keep(octets).read_bytes() == ODD

    path = Quarantine(tmp_path).keep(cast(Octets, Watched(octets, another)))
    assert [(one, one.read_bytes()) for one in tmp_path.iterdir()] == [(path, ODD)]


def test_a_place_that_cannot_be_used_is_said_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(LocalIOError, match="refused messages cannot be kept there") as error:
        Quarantine(tmp_path / "file")
    assert error.value.exit_code is ExitCode.LOCAL_IO
    if os.geteuid():
        (tmp_path / "closed").mkdir(mode=0o500)
        with pytest.raises(LocalIOError, match="Permission denied"):
            Quarantine(tmp_path / "closed")
