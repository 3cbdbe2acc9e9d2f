"""A Thunderbird profile keeps the contract of a source: two accounts, one with each of the stores."""

from __future__ import annotations

from pathlib import Path

import pytest

from pop2imap.sources import Source
from pop2imap.sources.settings import Settings
from pop2imap.sources.thunderbird import ThunderbirdSource
from tests.contract.source import MAIL, MakeSource, PartlyUnreadableContract, SourceContract
from tests.contract.test_mbox_contract import as_mbox

PREFS = """\
user_pref("mail.accountmanager.accounts", "account1,account2");
user_pref("mail.account.account1.server", "server1");
user_pref("mail.account.account2.server", "server2");
user_pref("mail.server.server1.type", "pop3");
user_pref("mail.server.server1.directory-rel", "[ProfD]Mail/pop.example.org");
user_pref("mail.server.server2.type", "none");
user_pref("mail.server.server2.directory-rel", "[ProfD]Mail/Local Folders");
user_pref("mail.server.server2.storeContractID", "@mozilla.org/msgstore/maildirstore;1");
"""


class TestThunderbird(SourceContract, PartlyUnreadableContract):
    @pytest.fixture
    def make(self, mail: list[bytes], tmp_path: Path) -> MakeSource:
        pop, local = tmp_path / "Mail/pop.example.org", tmp_path / "Mail/Local Folders"
        (pop / "Inbox.sbd").mkdir(parents=True)
        (local / "Box" / "cur").mkdir(parents=True)
        (tmp_path / "prefs.js").write_text(PREFS)
        (pop / "Inbox").write_bytes(as_mbox(mail[:3]))
        (pop / "Inbox.sbd" / "2020").write_bytes(as_mbox(mail[3:5]))
        for nth, octets in enumerate(mail[5:]):
            (local / "Box" / "cur" / f"{1_600_000_000 + nth}.eml").write_bytes(octets)
        return lambda: ThunderbirdSource(tmp_path, Settings(spool=tmp_path))

    @pytest.fixture
    def partly_unreadable(self, tmp_path: Path) -> Source:
        pop = tmp_path / "Mail/pop.example.org"
        pop.mkdir(parents=True)
        (tmp_path / "Mail/Local Folders").mkdir()
        (tmp_path / "prefs.js").write_text(PREFS)
        for number in (1, 3):
            (pop / str(number)).write_bytes(as_mbox(MAIL[:1]))
        (pop / "2").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(1000))
        return ThunderbirdSource(tmp_path, Settings())
