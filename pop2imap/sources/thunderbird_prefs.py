"""What ``prefs.js`` of a Thunderbird profile says of accounts, folders and tags.

The file is one ``user_pref("name", value);`` a line, as Thunderbird writes it (Mozilla ``PrefParser``); everything else
is passed over, so a damaged file says less, and never fails.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

PREFS_LIMIT = 16 << 20
"""Octets of a prefs.js that are read."""

_PREF = re.compile(
    r'user_pref\("((?:[^"\\\n]|\\.)*)",[ \t]*(?:"((?:[^"\\\n]|\\.)*)"|(-?[0-9]{1,20})|(true|false))[ \t]*\);'
)
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|x([0-9A-Fa-f]{2})|(.))", re.DOTALL)
_SIMPLE = {"n": "\n", "r": "\r"}
_URI = re.compile(r"(mailbox|imap)://([^/]*)/?(.*)")
_SMART = "smart mailboxes"
"""The host of the account in which Thunderbird keeps its unified folders, which hold no mail."""

_TAG = re.compile(r"mailnews\.tags\.(.+)\.tag")

ROLES = {
    "fcc_folder": "\\Sent",
    "draft_folder": "\\Drafts",
    "archive_folder": "\\Archive",
}
"""Settings of an identity that name a folder, and its special use. Templates have none (RFC 6154)."""


class Account(NamedTuple):
    """One account. ``kind`` is Thunderbird's word: ``pop3``, ``none`` (Local Folders), ``imap``, ``nntp``, ``rss``.
    ``directory`` is where its folders are; ``written`` is the directory as prefs.js has it, absolute, on the machine
    on which it was written. ``maildir``: it keeps a file for each message. ``emails`` are those of its identities.
    ``inbox_of``: the key of the account into whose inbox it delivers; empty: its own."""

    key: str
    kind: str
    name: str
    user: str
    host: str
    directory: Path
    written: str
    maildir: bool
    emails: tuple[str, ...] = ()
    inbox_of: str = ""

    @property
    def maildrop(self) -> str:
        """``user@host`` in lower case."""
        return f"{self.user}@{self.host}".lower()

    def is_called(self, name: str) -> bool:
        """Whether a person may mean it by ``name``."""
        meant = {self.key, self.name, self.host, f"{self.user}@{self.host}", *self.emails}
        return name.casefold() in {one.casefold() for one in meant if one}


class Place(NamedTuple):
    """A folder by the account in which it is and the levels of its name there."""

    account: str
    levels: tuple[str, ...]


class Prefs:
    """The settings of one profile, which lies in ``profile``."""

    def __init__(self, text: str, profile: Path) -> None:
        self._said = parse(text)
        self.profile = profile
        self.accounts = tuple(self._accounts())

    def _accounts(self) -> Iterator[Account]:
        keys = self._text("mail.accountmanager.accounts").split(",")
        by_server = {self._text(f"mail.account.{key}.server"): key for key in keys}
        for server, key in by_server.items():
            if not server:
                continue
            if self._text(f"mail.server.{server}.hostname") == _SMART:
                continue
            says = f"mail.server.{server}"
            identities = self._text(f"mail.account.{key}.identities").split(",")
            emails = [self._text(f"mail.identity.{one}.useremail") for one in identities if one]
            written = self._text(f"{says}.directory")
            yield Account(
                key=key,
                kind=self._text(f"{says}.type"),
                name=self._text(f"{says}.name") or self._text(f"{says}.hostname"),
                user=self._text(f"{says}.realuserName") or self._text(f"{says}.userName"),
                host=self._text(f"{says}.realhostname") or self._text(f"{says}.hostname"),
                directory=self._directory(self._text(f"{says}.directory-rel"), written),
                written=written,
                maildir="maildirstore" in self._text(f"{says}.storeContractID"),
                emails=tuple(email for email in emails if email),
                inbox_of=self._text(f"{says}.deferred_to_account"),
            )

    def _directory(self, relative: str, absolute: str) -> Path:
        """A profile may have been copied to here, so what it says of places within itself comes first."""
        if relative.startswith("[ProfD]"):
            return self.profile / relative.removeprefix("[ProfD]")
        written = self.profile / absolute
        if absolute and not os.path.isdir(written):
            last = absolute.replace("\\", "/").rstrip("/").rpartition("/")[2]
            for store in ("Mail", "ImapMail"):
                if os.path.isdir(copied := self.profile / store / last):
                    return copied
        return written

    def roles(self) -> dict[Place, str]:
        """The folders that identities name for a special use."""
        found: dict[Place, str] = {}
        for account in self.accounts:
            for identity in self._text(f"mail.account.{account.key}.identities").split(","):
                for setting, use in ROLES.items():
                    place = self._place(self._text(f"mail.identity.{identity}.{setting}"))
                    if place is not None:
                        found.setdefault(place, use)
            junk = self._place(self._text(f"mail.server.{self._server(account)}.spamActionTargetFolder"))
            if junk is not None:
                found.setdefault(junk, "\\Junk")
        return found

    def _server(self, account: Account) -> str:
        return self._text(f"mail.account.{account.key}.server")

    def _place(self, uri: str) -> Place | None:
        """``mailbox://alice@pop.example.org/Sent/2019``."""
        found = _URI.fullmatch(uri)
        if not found or found[1] != "mailbox":
            return None
        levels = tuple(unquote(level) for level in found[3].split("/") if level)
        user, _, host = found[2].rpartition("@")
        for account in self.accounts:
            server = f"mail.server.{self._server(account)}"
            names = self._text(f"{server}.userName"), self._text(f"{server}.hostname").casefold()
            if levels and names == (unquote(user), unquote(host).casefold()):
                return Place(account.key, levels)
        return None

    def tags(self) -> dict[str, str]:
        """The names that people gave to tags, by the keyword that stands for each."""
        return {
            found[1]: value
            for name, value in self._said.items()
            if isinstance(value, str) and (found := _TAG.fullmatch(name))
        }

    def _text(self, name: str) -> str:
        value = self._said.get(name, "")
        return value if isinstance(value, str) else ""


def parse(text: str) -> Mapping[str, str | int | bool]:
    """The settings by name. Never fails: what is no setting is passed over. No text in it has a NUL, which no path may
    have."""
    found: dict[str, str | int | bool] = {}
    for name, string, number, truth in _PREF.findall(text):
        value = int(number) if number else truth == "true" if truth else _unescaped(string)
        found[_unescaped(name)] = value
    return found


def _unescaped(text: str) -> str:
    if "\\" not in text and "\0" not in text:
        return text

    def one(found: re.Match[str]) -> str:
        if digits := found[1] or found[2]:
            return chr(int(digits, 16))
        return _SIMPLE.get(found[3], found[3])

    plain = _ESCAPE.sub(one, text).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return plain.replace("\0", "\ufffd")
