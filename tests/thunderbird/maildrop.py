"""The maildrops that the profile was fetched from, for a Dovecot of the tests: with the very UIDLs of then.

``maildrop.tar.xz`` holds for each account ``<account>/uidls.json`` (``validity``, and for each message in the order
of the maildrop its ``uid``, ``name`` and ``uidl``) and ``<account>/<uid>.eml``. Dovecot's UIDL is made of a message's
UID and its mailbox's UIDVALIDITY (``pop3_uidl_format``, here as it comes: ``%08Xu%08Xv``), and both stand in
``dovecot-uidlist``, which :func:`fill` writes beside the messages. So a maildrop is rebuilt with

    server = Dovecot()
    user = server.user()
    rebuild(server, user, "alice")
"""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.servers.dovecot import Dovecot

__all__ = ["ARCHIVE", "Kept", "fill", "packed", "rebuild", "recorded"]

ARCHIVE = Path(__file__).with_name("maildrop.tar.xz")


@dataclass(frozen=True)
class Kept:
    """One message in a maildrop."""

    uid: int
    name: str
    octets: bytes

    def uidl(self, validity: int) -> str:
        """What Dovecot calls it over POP3."""
        return f"{self.uid:08x}{validity:08x}"


def fill(server: Dovecot, user: str, messages: Sequence[Kept], validity: int) -> None:
    """Make ``user``'s INBOX anew with these messages, whose UIDs rise. Nobody may be logged in as ``user``."""
    mailbox = server.directory / "mail" / user
    shutil.rmtree(mailbox, ignore_errors=True)
    for part in ("cur", "new", "tmp"):
        (mailbox / part).mkdir(parents=True)
    last = messages[-1].uid if messages else 0
    lines = [f"3 V{validity} N{last + 1} G{validity:032x}\n"]
    for message in messages:
        name = f"{1_700_000_000 + message.uid}.M{message.uid}P1.mail.example.org"
        (mailbox / "cur" / f"{name}:2,").write_bytes(message.octets)
        lines.append(f"{message.uid} :{name}\n")
    (mailbox / "dovecot-uidlist").write_text("".join(lines))
    _give(mailbox, server.directory)


def rebuild(server: Dovecot, user: str, account: str = "alice", *, archive: Path = ARCHIVE) -> list[str]:
    """Give ``user`` of ``server`` the maildrop of ``account`` ("alice" or "bob"); its UIDLs in their order."""
    messages, validity = recorded(account, archive=archive)
    fill(server, user, messages, validity)
    return [message.uidl(validity) for message in messages]


def recorded(account: str = "alice", *, archive: Path = ARCHIVE) -> tuple[list[Kept], int]:
    """The messages of ``account``'s maildrop, and its UIDVALIDITY."""
    with tarfile.open(archive) as tar:
        index = json.loads(_member(tar, f"{account}/uidls.json"))
        messages = [
            Kept(entry["uid"], entry["name"], _member(tar, f"{account}/{entry['uid']:02}.eml"))
            for entry in index["messages"]
        ]
    return messages, index["validity"]


def packed(archive: Path, maildrops: dict[str, tuple[Sequence[Kept], int]]) -> None:
    """Write the archive that :func:`recorded` reads."""
    with tarfile.open(archive, "w:xz") as tar:
        for account, (messages, validity) in maildrops.items():
            index = {
                "validity": validity,
                "messages": [
                    {"uid": each.uid, "name": each.name, "uidl": each.uidl(validity)} for each in messages
                ],
            }
            _add(tar, f"{account}/uidls.json", json.dumps(index, indent=1).encode() + b"\n")
            for each in messages:
                _add(tar, f"{account}/{each.uid:02}.eml", each.octets)


def _member(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(name)
    assert file is not None, name
    return file.read()


def _add(tar: tarfile.TarFile, name: str, octets: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(octets)
    entry.mtime = 1_717_000_000
    tar.addfile(entry, io.BytesIO(octets))


def _give(tree: Path, like: Path) -> None:
    """Let the tree belong to whom ``like`` belongs to: the server runs as that user."""
    if os.geteuid() != 0:
        return
    owner = like.stat()
    for path in (tree, *tree.rglob("*")):
        os.chown(path, owner.st_uid, owner.st_gid)
