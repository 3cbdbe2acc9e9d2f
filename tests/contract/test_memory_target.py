"""The target in memory, on which much is tested, keeps the contract of a target."""

from __future__ import annotations

import pytest

from pop2imap.model import Mailbox
from tests.contract.target import Expunge, MakeTarget, TargetContract
from tests.fakes.memory_target import MemoryServer, MemoryTarget


class TestMemoryTargetKeepsTheContract(TargetContract):
    @pytest.fixture
    def server(self) -> MemoryServer:
        return MemoryServer()

    @pytest.fixture
    def make(self, server: MemoryServer) -> MakeTarget:
        return lambda: MemoryTarget(server)

    @pytest.fixture
    def expunge(self, server: MemoryServer) -> Expunge:
        def expunge(mailbox: Mailbox, uid: int) -> None:
            server.expunge(mailbox.name, uid)

        return expunge


class TestWithPrefixAndDots(TestMemoryTargetKeepsTheContract):
    @pytest.fixture
    def server(self) -> MemoryServer:
        return MemoryServer(prefix="INBOX.", delimiter=".")
