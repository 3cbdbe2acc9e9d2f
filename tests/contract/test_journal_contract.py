"""The journal in SQLite keeps the contract."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pop2imap.journal.store import SqlJournal, open_journal
from tests.contract.journal import JournalContract, Reopen


class TestSqliteKeepsTheContract(JournalContract):
    @pytest.fixture
    def reopen(self, tmp_path: Path) -> Iterator[Reopen]:
        opened: list[SqlJournal] = []

        def reopen() -> SqlJournal:
            for old in opened:
                old.close()
            opened[:] = [open_journal(tmp_path / "state", "alice@imap.example:993")]
            return opened[0]

        yield reopen
        for last in opened:
            last.close()
