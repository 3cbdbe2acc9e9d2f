"""The demo's IMAP server: pymap with its in-memory store, as a child process of the demo.

Started as ``python -m pop2imap.demo.imap_server FD USER``; see :mod:`pop2imap.demo.servers` for how such a child
is spoken to.

pymap brings IMAP4rev1, UIDPLUS, MULTIAPPEND, LITERAL+ and IDLE. Two things that any mail host has are added
here, in the store and not in the protocol, so that the demo can show them: keywords (PERMANENTFLAGS with
``\\*``) and the folders of a German account, with SPECIAL-USE on them (RFC 6154 2).
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from argparse import Namespace
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from socket import socket

from proxyprotocol.reader import ProxyProtocolReader
from pymap.backend.dict import Config, Login
from pymap.backend.dict.filter import FilterSet
from pymap.backend.dict.mailbox import MailboxData, MailboxSet
from pymap.config import BackendCapability
from pymap.imap import IMAPServer
from pymap.listtree import ListEntry, ListTree
from pymap.parsing.specials import ObjectId
from pymap.parsing.specials.flag import Flag, Wildcard
from pymap.user import Passwords, UserMetadata

SPECIAL_USE = {"Entwürfe": b"Drafts", "Gesendet": b"Sent", "Papierkorb": b"Trash"}


class _Mailbox(MailboxData):  # type: ignore[misc]
    @property
    def permanent_flags(self) -> frozenset[Flag]:
        return frozenset(super().permanent_flags | {Wildcard})


@dataclass(frozen=True)
class _Entry(ListEntry):  # type: ignore[misc]
    @property
    def attributes(self) -> Sequence[bytes]:
        use = SPECIAL_USE.get(self.name)
        return [*super().attributes, *([use] if use else [])]


class _Tree(ListTree):  # type: ignore[misc]
    def list(self) -> Iterable[_Entry]:
        for entry in super().list():
            yield _Entry(entry.name, entry.exists, entry.marked, entry.has_children)


class _Account(MailboxSet):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self._inbox = self._new()
        for name in SPECIAL_USE:
            self._set[name] = self._new()
            self._subscribed[name] = True

    def _new(self) -> _Mailbox:
        return _Mailbox(self._content_cache, self._thread_cache)

    async def list_mailboxes(self) -> _Tree:
        async with self._set_lock.read_lock():
            tree = _Tree(self.delimiter)
            tree.update("INBOX", *self._set)
            return tree

    async def add_mailbox(self, name: str) -> ObjectId:
        async with self._set_lock.write_lock():
            if name in self._set:
                raise ValueError(name)
            self._set[name] = mailbox = self._new()
            return mailbox.mailbox_id


class _Config(Config):  # type: ignore[misc]
    @property
    def backend_capability(self) -> BackendCapability:
        return BackendCapability(idle=True, object_id=True, multi_append=True, custom=[b"SPECIAL-USE"])

    @property
    def greeting(self) -> bytes:
        return b"pop2imap demo, IMAP server ready"


async def _serve(listener: socket, user: str, password: str) -> None:
    # pymap takes its settings as the result of its own command line.
    arguments = Namespace(
        host=None,
        port=0,
        debug=False,
        cert=None,
        key=None,
        tls=False,
        proxy_protocol=None,
        passlib_cfg=None,
        demo_data=False,
        demo_user=user,
        demo_password=password,
    )
    config = _Config.from_args(arguments)
    config.apply_context()
    login = Login(config)
    hashed = await Passwords(config).hash_password(password)
    await login.demo_user_identity.set(UserMetadata(config, user, password=hashed))
    config.set_cache[user] = (_Account(), FilterSet())
    callback = ProxyProtocolReader(config.proxy_protocol).get_callback(IMAPServer(login, config))
    await asyncio.start_server(callback, sock=listener)
    over = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), over.set)
    print("ready", flush=True)  # noqa: T201
    await over.wait()
    os._exit(0)  # with whatever sessions are open: the demo is over


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    asyncio.run(_serve(socket(fileno=int(sys.argv[1])), sys.argv[2], sys.stdin.readline().rstrip("\n")))
