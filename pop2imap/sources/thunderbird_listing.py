"""What there is of Thunderbird's in a directory: profiles, their accounts and folders, how much mail is in each, and
what of it would not be moved. Nothing is moved, and nothing is written."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from pop2imap.errors import SourceDataError
from pop2imap.model import Remark
from pop2imap.sources.settings import Settings
from pop2imap.sources.thunderbird import (
    LEFT_OUT,
    MOVED,
    Profile,
    chosen,
    in_use,
    mail_of_none,
    parts_of,
    profiles,
    read_prefs,
    settings_for,
)
from pop2imap.sources.thunderbird_prefs import Account
from pop2imap.sources.tree import Part
from pop2imap.sources.walking import Walk
from pop2imap.text import printable

KINDS = {"pop3": "POP3", "none": "on this computer", "imap": "IMAP", "nntp": "news", "rss": "feeds"}
"""What people call a kind of account."""


class DescribedFolder(NamedTuple):
    """``name`` is where it lies in the profile, ``folder`` its place in the target (``\\Sent``). ``octets`` of all
    its ``messages``, deleted ones that were not compacted away among them. ``fault``: why it cannot be read."""

    name: str
    folder: str
    messages: int = 0
    octets: int = 0
    fault: str = ""


class DescribedAccount(NamedTuple):
    """``kind`` as in :class:`~pop2imap.sources.thunderbird_prefs.Account`. ``left_out``: why it is not moved unless it
    is named; then it has no ``folders`` here. ``server`` is its ``user@host``; empty for Local Folders."""

    name: str
    kind: str
    emails: tuple[str, ...]
    server: str
    left_out: str = ""
    folders: tuple[DescribedFolder, ...] = ()

    @property
    def messages(self) -> int:
        return sum(folder.messages for folder in self.folders)

    @property
    def octets(self) -> int:
        return sum(folder.octets for folder in self.folders)


class DescribedProfile(NamedTuple):
    """``fault``: why there is nothing to say of it. ``running``: Thunderbird holds it, so nothing was counted.
    ``remarks`` tell what else would be left out, and what a person should know."""

    name: str
    path: Path
    is_default: bool
    running: bool = False
    fault: str = ""
    accounts: tuple[DescribedAccount, ...] = ()
    remarks: tuple[Remark, ...] = ()


def describe(path: Path, settings: Settings | None = None) -> tuple[DescribedProfile, ...]:
    """The profile ``path``, or all profiles of such a directory as ``~/.thunderbird``, the default one first. Raises
    SourceDataError where there is neither."""
    if (path / "prefs.js").is_file() or not (path / "profiles.ini").is_file():
        read_prefs(path)
        return (_profile(Profile(path.name, path, True), settings or Settings()),)
    return tuple(_profile(one, settings or Settings()) for one in profiles(path))


def _profile(profile: Profile, settings: Settings) -> DescribedProfile:
    described = DescribedProfile(*profile)
    if not (profile.path / "prefs.js").exists():
        return described._replace(fault="never used: it holds no prefs.js")
    try:
        prefs = read_prefs(profile.path)
    except SourceDataError as error:
        return described._replace(fault=error.what)
    moved = chosen(prefs.accounts, (), str(profile.path))
    walks: list[Walk] = []
    running = in_use(profile.path)
    accounts = []
    for account in prefs.accounts:
        about = _account(account)
        if account in moved and not running:
            parts = parts_of(account, prefs, settings_for(prefs, settings), walks)
            about = about._replace(folders=tuple(map(_folder, parts)))
        accounts.append(about)
    remarks = [*mail_of_none(prefs), *(remark for walk in walks for remark in walk.remarks())]
    return described._replace(running=running, accounts=tuple(accounts), remarks=tuple(remarks))


def _account(account: Account) -> DescribedAccount:
    why = LEFT_OUT.get(account.kind, "" if account.kind in MOVED else "its kind is not known")
    server = "" if account.kind == "none" else f"{account.user}@{account.host}"
    return DescribedAccount(account.name, account.kind, account.emails, server, why)


def _folder(part: Part) -> DescribedFolder:
    described = DescribedFolder(part.name, part.folder, fault=part.fault)
    if part.make is None:
        return described
    source = part.make()
    try:
        source.open()
        listing = source.list()
    except SourceDataError as error:
        return described._replace(fault=printable(str(error), 300))
    finally:
        source.close(settled=False)
    return described._replace(messages=len(listing.refs), octets=listing.octets)
