"""The lower bound of a mailbox moves on where the server gives no UIDs, and only there."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pop2imap.folders import ROLL, Folders
from pop2imap.journal.store import SqlJournal, open_journal
from pop2imap.model import Stored
from pop2imap.report.builder import ReportBuilder
from tests.fakes.memory_target import MemoryServer, MemoryTarget

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SqlJournal]:
    journal = open_journal(tmp_path, "alice@memory")
    yield journal
    journal.close()


@pytest.fixture
def server() -> MemoryServer:
    return MemoryServer()


@pytest.fixture
def folders(journal: SqlJournal, server: MemoryServer) -> Folders:
    target = MemoryTarget(server)
    target.open()
    builder = ReportBuilder(dry_run=False, started=NOW, target="alice@memory", mark="auto", rules=())
    return Folders(journal, target, builder, assume_empty=False)


@pytest.mark.parametrize(("uid", "moves"), [(None, True), (7, False)])
def test_the_bound_moves_after_copies_without_a_uid(
    folders: Folders, server: MemoryServer, uid: int | None, moves: bool
) -> None:
    first = folders.mailbox("INBOX")
    for _ in range(ROLL):
        server.deliver("INBOX", b"x")
        assert folders.mailbox("INBOX").uidnext == first.uidnext
        folders.stored(first, Stored(first.uidvalidity, uid))
    assert folders.mailbox("INBOX").uidnext == first.uidnext + (ROLL if moves else 0)


def test_a_folder_that_is_gone_meanwhile_is_not_made_again(folders: Folders, server: MemoryServer) -> None:
    first = folders.mailbox("New")
    del server.mailboxes["New"]
    for _ in range(ROLL):
        folders.stored(first, Stored(first.uidvalidity, None))
    assert folders.mailbox("New") == first
    assert "New" not in server.mailboxes


def test_a_renumbered_folder_is_inventoried_anew(folders: Folders, server: MemoryServer) -> None:
    first = folders.mailbox("INBOX")
    assert folders.inventory(first) is None, "it was empty"
    server.deliver("INBOX", b"x")
    server.renumber("INBOX")
    for _ in range(ROLL):
        folders.stored(first, Stored(first.uidvalidity, None))
    assert folders.inventory(folders.mailbox("INBOX")) is not None
