"""A store of many folders keeps the contract of a source: messages spread over parts, one of which cannot be had."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pop2imap.sources import Source
from pop2imap.sources.mbox import MboxSource
from pop2imap.sources.tree import Found, Part, TreeSource
from tests.contract.source import MakeSource, PartlyUnreadableContract, SourceContract
from tests.contract.test_mbox_contract import as_mbox


def maker(path: Path) -> Callable[[], Source]:
    return lambda: MboxSource(path)


class TestTree(SourceContract, PartlyUnreadableContract):
    @pytest.fixture
    def make(self, mail: list[bytes], tmp_path: Path) -> MakeSource:
        """Three parts, the second of them empty."""
        pieces = [mail[:3], [], mail[3:]]
        parts = []
        for number, piece in enumerate(pieces):
            path = tmp_path / f"part{number}"
            path.write_bytes(as_mbox(piece))
            parts.append(Part(path.name, f"Folder/{number}", maker(path)))
        return lambda: TreeSource(f"mbox:{tmp_path}", "mbox", lambda: Found(parts))

    @pytest.fixture
    def partly_unreadable(self, mail: list[bytes], tmp_path: Path) -> Source:
        for name in ("a", "c"):
            (tmp_path / name).write_bytes(as_mbox(mail[:1]))
        parts = [Part(name, name, maker(tmp_path / name)) for name in "abc"]
        return TreeSource("mbox:tree", "mbox", lambda: Found(parts))
