"""Recovery on a real Dovecot: what it rewrites is recognised, what others did meanwhile is understood."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pop2imap import net
from pop2imap.credentials import Secret
from pop2imap.journal import Placement, Record
from pop2imap.journal.store import SqlJournal, open_journal
from pop2imap.model import Account, Key, Stored, Upload
from pop2imap.octets import from_bytes
from pop2imap.recovery import Recovered, recover
from pop2imap.target.imap import ImapTarget
from tests.contract.target import AWKWARD, DATE, PLAIN
from tests.fakes.appending import append
from tests.servers.dovecot import PASSWORD, Dovecot

FOLDER = "Clients/ACME"
SENT = {name: octets for name, octets in AWKWARD.items() if name != "one octet"} | {"plain": PLAIN}


@pytest.fixture
def user(dovecot: Dovecot) -> str:
    return dovecot.user()


@pytest.fixture
def target(dovecot: Dovecot, user: str) -> Iterator[ImapTarget]:
    target = ImapTarget(dovecot.imap(net.Transport.CLEAR), user, Secret(PASSWORD))
    target.open()
    yield target
    target.close()


@pytest.fixture
def journal(tmp_path: Path, target: ImapTarget) -> Iterator[SqlJournal]:
    journal = open_journal(tmp_path / "state", target.identity)
    yield journal
    journal.close()


def interrupted(journal: SqlJournal, target: ImapTarget, *unsent: str) -> None:
    """Intend all of ``SENT``, send all but ``unsent``, and learn nothing of it."""
    mailbox = target.prepare(FOLDER)
    octets = {name: from_bytes(octets) for name, octets in SENT.items()}
    journal.intend(
        [Record(Key("mbox:x", name), Account.PENDING, whole.size) for name, whole in octets.items()],
        [
            Placement(
                Key("mbox:x", name), FOLDER, mailbox.name, mailbox.uidvalidity, mailbox.uidnext,
                whole.match_digest, whole.size, DATE, (),
            )
            for name, whole in octets.items()
        ],
    )  # fmt: skip
    uploads = [Upload(whole, (), DATE) for name, whole in octets.items() if name not in unsent]
    assert all(isinstance(outcome, Stored) for outcome in append(target, mailbox, uploads))


def found_out(journal: SqlJournal, target: ImapTarget) -> Recovered:
    target.close()
    target.open()
    return recover(journal, target, now=lambda: datetime.now(UTC), wait=lambda seconds: None)


def test_what_dovecot_rewrote_is_found_and_what_was_not_sent_is_ready(
    journal: SqlJournal, target: ImapTarget, dovecot: Dovecot, user: str
) -> None:
    dovecot.doveadm("mailbox", "create", "-u", user, "Clients", FOLDER)
    dovecot.doveadm("save", "-u", user, "-m", FOLDER, input=PLAIN)
    interrupted(journal, target, "NUL", "plain")
    dovecot.doveadm("save", "-u", user, "-m", FOLDER, input=b"Subject: somebody else\r\n\r\nhello\r\n")
    recovered = found_out(journal, target)
    assert (recovered.stored, recovered.ready, recovered.held) == (len(SENT) - 2, 2, 0)
    mailbox = target.prepare(FOLDER)
    owned = journal.owned(mailbox.name, mailbox.uidvalidity)
    assert owned == set(range(2, len(SENT)))
    assert found_out(journal, target) == Recovered()


def test_mail_that_its_owner_moved_to_the_trash_or_deleted(
    journal: SqlJournal, target: ImapTarget, dovecot: Dovecot, user: str
) -> None:
    target.prepare("\\Trash")
    trash = target.prepare("\\Trash").name
    interrupted(journal, target)
    dovecot.doveadm("move", "-u", user, trash, "mailbox", FOLDER, "uid", "1")
    dovecot.doveadm("expunge", "-u", user, "mailbox", FOLDER, "uid", "2")
    recovered = found_out(journal, target)
    assert (recovered.stored, recovered.ready, recovered.held) == (len(SENT) - 1, 0, 1)
    assert len(journal.owned(trash, target.prepare("\\Trash").uidvalidity)) == 1


def test_a_new_uidvalidity(journal: SqlJournal, target: ImapTarget, dovecot: Dovecot, user: str) -> None:
    interrupted(journal, target, "plain")
    before = target.prepare(FOLDER).uidvalidity
    dovecot.doveadm("mailbox", "update", "-u", user, "--uid-validity", str(before + 1000), FOLDER)
    recovered = found_out(journal, target)
    after = target.prepare(FOLDER)
    assert after.uidvalidity != before
    assert (recovered.stored, recovered.ready, recovered.held) == (len(SENT) - 1, 1, 0)
    assert len(journal.owned(after.name, after.uidvalidity)) == len(SENT) - 1


def test_a_folder_that_its_owner_renamed_is_not_made_again(
    journal: SqlJournal, target: ImapTarget, dovecot: Dovecot, user: str
) -> None:
    interrupted(journal, target)
    dovecot.doveadm("mailbox", "rename", "-u", user, FOLDER, "Clients/Acme Ltd")
    recovered = found_out(journal, target)
    assert (recovered.stored, recovered.held) == (0, len(SENT))
    assert FOLDER not in dovecot.doveadm("mailbox", "list", "-u", user).splitlines()
