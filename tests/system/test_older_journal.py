"""A journal that is older than the mailbox, on a real Dovecot: nothing twice, nothing lost."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pop2imap import net
from pop2imap.errors import ExitCode
from tests.conftest import DovecotFactory
from tests.system.program import run
from tests.system.test_verify import mbox

MAIL = [b"From: bob@example.org\nSubject: %d\n\nbody\n" % (n // 2) for n in range(20)]  # each has a twin
BEFORE = b"From: carol@example.org\nSubject: 3\n\nbody\n"


@pytest.mark.parametrize("whole", [True, False], ids=["the whole directory", "the database alone"])
@pytest.mark.parametrize("options", [(), ("--assume-empty",)], ids=["usual", "assume empty"])
@pytest.mark.parametrize("uidplus", [True, False], ids=["UIDPLUS", "without UIDPLUS"])
def test_an_old_copy_of_the_journal_is_put_back(
    tmp_path: Path, dovecot_like: DovecotFactory, uidplus: bool, options: tuple[str, ...], whole: bool
) -> None:
    dovecot = dovecot_like(
        **({} if uidplus else {"IMAP_CAPABILITY": "IMAP4rev1 NAMESPACE UNSELECT LITERAL+"})
    )
    user = dovecot.user()
    dovecot.doveadm("save", "-u", user, "-m", "INBOX", input=BEFORE)
    source, target = tmp_path / "old.mbox", f"imap://{user}@{dovecot.imap(net.Transport.CLEAR)}"
    source.write_bytes(mbox(*MAIL))
    migrate = ("migrate", str(source), target, *options, "--fence", "1", "--json")
    assert run(tmp_path, *migrate, "--limit", "7").code == ExitCode.NOT_FINISHED
    shutil.copytree(tmp_path / "state", tmp_path / "copy")
    assert run(tmp_path, *migrate).code == ExitCode.OK
    if whole:
        shutil.rmtree(tmp_path / "state")
        shutil.copytree(tmp_path / "copy", tmp_path / "state")
    else:
        (old,) = (tmp_path / "copy" / "targets").glob("*/journal.db")
        (new,) = (tmp_path / "state" / "targets").glob("*/journal.db")
        shutil.copyfile(old, new)
        status = run(tmp_path, "status")
        assert "entries of its journal are missing" in status.out
    ran = run(tmp_path, *migrate)
    assert (ran.code, ran.json["moved"]["messages"]) == (ExitCode.OK, 0), ran.out + ran.err
    assert (ran.json["counts"]["stored"], ran.json["counts"]["present"]) == (7, 13)
    assert any("older" in remark for remark in ran.json["remarks"])
    assert run(tmp_path, *migrate).json["moved"]["messages"] == 0
    subjects = dovecot.doveadm("fetch", "-u", user, "hdr.subject", "mailbox", "INBOX").split()
    assert sorted(word for word in subjects if word.isdigit()) == sorted(
        ["3", *(str(n // 2) for n in range(20))]
    )
