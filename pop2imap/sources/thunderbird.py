"""A Thunderbird profile as a source: the folders of its POP3 accounts, and Local Folders.

What is where says ``prefs.js`` (:mod:`~pop2imap.sources.thunderbird_prefs`); how folders lie on the disk,
:mod:`~pop2imap.sources.thunderbird_folders`. The mail of IMAP accounts is on their servers, and is left out; so are
news and feeds. Folders of several accounts that have one name meet in one folder of the target.

Read state, stars, answers and tags stand in each message, in ``X-Mozilla-Status`` and ``X-Mozilla-Keys``
(:mod:`~pop2imap.sources.mbox_flags`), with both stores. A tag is a keyword: its key in the settings, which is what
Thunderbird looks for over IMAP, too. What was written at home has no such line; of its tags tells the index of the
folder (:mod:`~pop2imap.sources.mork`). ``popstate.dat`` of each POP3 account lists what is on its server and was
fetched.

While Thunderbird runs, it may write anywhere, and has not yet written what it knows. A profile in use is therefore not
read. Thunderbird leaves its lock behind even when it ends well, so only a lock that somebody holds counts.
"""

from __future__ import annotations

import contextlib
import os
import re
import struct
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from configparser import Error, RawConfigParser
from pathlib import Path
from typing import NamedTuple

from pop2imap.errors import SourceDataError
from pop2imap.model import Remark
from pop2imap.sources import Source
from pop2imap.sources.eml import EmlFolder
from pop2imap.sources.file_folder import read_beside
from pop2imap.sources.mbox import mbox_source
from pop2imap.sources.mbox_flags import Tagged
from pop2imap.sources.mork import Index
from pop2imap.sources.settings import Settings
from pop2imap.sources.special_use import level_name
from pop2imap.sources.thunderbird_folders import Folder, cached_names, folders, has_mail, index_of
from pop2imap.sources.thunderbird_prefs import PREFS_LIMIT, Account, Place, Prefs
from pop2imap.sources.tree import Found, Part, TreeSource
from pop2imap.sources.walking import Walk
from pop2imap.text import printable

STANDARD = {
    "inbox": "INBOX",
    "sent": "\\Sent",
    "drafts": "\\Drafts",
    "archives": "\\Archive",
    "junk": "\\Junk",
    "trash": "\\Trash",
}
"""Folders at the top of an account that Thunderbird makes itself, by their names on the disk in lower case."""

RUNNING = "Thunderbird is running with this profile: close it and run again"

MOVED = frozenset({"pop3", "none"})
"""Kinds of accounts whose mail is on this computer."""

LEFT_OUT = {
    "imap": "its mail is on its server",
    "nntp": "it is news",
    "rss": "it is feeds",
}
"""Kinds of accounts that are not moved, and why."""

_FLOCK_FIELDS = ("type", "whence", "start", "length", "process")
_FLOCK = {"linux": ("hhqqi4x", 0), "darwin": ("qqihh", 3)}
"""``struct flock`` of a system, as F_GETLK has it, and where in it the type is."""

_FETCHED = re.compile(r"[kd] ([!-~]{1,200}) [0-9]+")
_POPSTATE_LIMIT = 64 << 20
_MOST_SHOWN = 12
_LOOKED_INTO = 2000
"""Directories of accounts that are no more in which mail is looked for."""

HOMES = (
    ".thunderbird",
    "snap/thunderbird/common/.thunderbird",
    ".var/app/org.mozilla.Thunderbird/.thunderbird",
    ".icedove",
    "Library/Thunderbird",
    "AppData/Roaming/Thunderbird",
)
"""Where a directory of profiles may be, below the home directory: Linux, Snap, Flatpak, older Debian, macOS, Windows.
"""


class Profile(NamedTuple):
    """A profile that ``profiles.ini`` names."""

    name: str
    path: Path
    is_default: bool


def profiles(directory: Path) -> list[Profile]:
    """The profiles of ``directory``, such as ``~/.thunderbird``, the default one first. Raises SourceDataError."""
    where = printable(str(directory))
    try:
        text = read_beside(directory / "profiles.ini", 1 << 20).decode("utf-8", "replace")
        installs = _ini(directory / "installs.ini")
        ini = RawConfigParser(strict=False, interpolation=None)
        ini.read_string(text)
    except (OSError, Error) as error:
        raise SourceDataError(
            f"profiles.ini cannot be read: {printable(str(error), 200)}", where=where
        ) from None
    chosen = {one.get(name, "Default", fallback="") for one in (ini, installs) for name in one.sections()}
    chosen -= {"", "0", "1"}
    found = []
    for section in ini.sections():
        path = ini.get(section, "Path", fallback="")
        if not section.startswith("Profile") or not path or "\0" in path:
            continue
        relative = ini.get(section, "IsRelative", fallback="1") != "0"
        default = path in chosen if chosen else ini.get(section, "Default", fallback="") == "1"
        place = directory / path if relative else Path(path)
        found.append(Profile(ini.get(section, "Name", fallback=path), place, default))
    return sorted(found, key=lambda one: not one.is_default)


def _ini(path: Path) -> RawConfigParser:
    ini = RawConfigParser(strict=False, interpolation=None)
    with contextlib.suppress(OSError, Error):  # only newer versions have it
        ini.read_string(read_beside(path, 1 << 20).decode("utf-8", "replace"))
    return ini


def profile_of(path: Path) -> Path:
    """The profile that ``path`` is, or the one in it. Raises SourceDataError where that is not clear."""
    if os.path.isfile(path / "prefs.js") or not os.path.isfile(path / "profiles.ini"):
        return path
    with_mail = [one for one in profiles(path) if os.path.isfile(one.path / "prefs.js")]
    if len(with_mail) == 1 or (with_mail and with_mail[0].is_default):
        return with_mail[0].path
    names = ", ".join(printable(str(one.path)) for one in with_mail[:_MOST_SHOWN])
    raise SourceDataError(
        "there are several profiles" if with_mail else "there is no profile with mail",
        where=printable(str(path)),
        todo=f"name one of {names}" if with_mail else "start Thunderbird once, or name another directory",
    )


def homes(home: Path) -> list[Path]:
    """The directories of profiles that there are below ``home``."""
    return [home / one for one in HOMES if os.path.isfile(home / one / "profiles.ini")]


class ThunderbirdSource(TreeSource):
    """The profile ``profile``, or the default one of a directory of profiles. ``accounts``: those alone, by name, host,
    ``user@host`` or e-mail address."""

    def __init__(self, profile: Path, settings: Settings, accounts: Sequence[str] = ()) -> None:
        path = Path(os.path.realpath(profile))
        with contextlib.suppress(SourceDataError):  # opening it will say so
            path = Path(os.path.realpath(profile_of(path)))
        super().__init__(f"thunderbird:{path}", "thunderbird", self._look)
        self._path, self._settings, self._wanted = path, settings, accounts
        self._accounts: list[Account] = []
        self._all_seen = False

    def _look(self) -> Found:
        profile = profile_of(self._path)
        where = printable(str(profile))
        prefs = read_prefs(profile)
        self._accounts = chosen(prefs.accounts, self._wanted, where)
        if in_use(profile):
            part = Part("profile", "", None, f"{where}: {RUNNING}")
            return Found([part], (f"a Thunderbird profile in use: {where}",))
        settings = settings_for(prefs, self._settings)
        remarks = [*_left_out(prefs.accounts, self._accounts), *mail_of_none(prefs)]
        if tags := prefs.tags():
            said = ", ".join(
                f"{keyword} is '{printable(tag, 40)}'" for keyword, tag in sorted(tags.items())[:_MOST_SHOWN]
            )
            remarks.append(Remark(f"tags are kept as keywords: {said}"))
        walks: list[Walk] = []
        parts: list[Part] = []
        for account in self._accounts:
            parts += parts_of(account, prefs, settings, walks)
        self._all_seen = not any(part.fault for part in parts) and all(
            one in self._accounts for one in prefs.accounts if one.kind in MOVED
        )
        for walk in walks:
            remarks += walk.remarks()
        names = ", ".join(printable(account.name, 60) for account in self._accounts)
        return Found(
            parts, (f"a Thunderbird profile: {where}", f"{len(parts):,} folders of {names}"), tuple(remarks)
        )

    def fetched(self) -> Mapping[str, Iterable[str]]:
        """UIDLs of messages that were fetched whole, by maildrop. Nothing unless all mail of the profile is moved and
        can be read: filters put mail into folders of other accounts, and what is not seen there is not deleted."""
        if not self._all_seen or any(one.source is None for one in self._listed):
            return {}
        return {one.maildrop: fetched(one) for one in self._accounts if one.kind == "pop3"}


def read_prefs(profile: Path) -> Prefs:
    """Raises SourceDataError where there are none."""
    try:
        text = read_beside(profile / "prefs.js", PREFS_LIMIT).decode("utf-8", "replace")
    except OSError as error:
        raise SourceDataError(
            f"no Thunderbird profile: prefs.js cannot be read: {error.strerror}",
            where=printable(str(profile)),
            todo="name the directory that holds prefs.js",
        ) from None
    return Prefs(text, profile)


def chosen(accounts: Sequence[Account], wanted: Sequence[str], where: str) -> list[Account]:
    """The accounts that are moved: those of these names; without any, all whose mail is on this computer. Raises
    SourceDataError for a name that is none."""
    if not wanted:
        return [one for one in accounts if one.kind in MOVED]
    for name in wanted:
        if not any(one.is_called(name) for one in accounts):
            known = ", ".join(printable(one.name, 60) for one in accounts[:_MOST_SHOWN])
            raise SourceDataError(
                f"there is no account '{printable(name, 60)}'", where=where, todo=f"one of {known}"
            )
    return [one for one in accounts if any(one.is_called(name) for name in wanted)]


def _left_out(accounts: Sequence[Account], moved: Sequence[Account]) -> Iterator[Remark]:
    for one in accounts:
        if one not in moved:
            why = LEFT_OUT.get(one.kind, "it was not named")
            yield Remark(f"the account {printable(one.name, 60)} is left out: {why}")


def settings_for(prefs: Prefs, settings: Settings) -> Settings:
    """``settings`` with the maildrops that messages name by accounts."""
    return settings._replace(
        maildrops={one.key: one.maildrop for one in prefs.accounts if one.kind == "pop3"}
    )


def mail_of_none(prefs: Prefs) -> Iterator[Remark]:
    """Mail of accounts that were removed: Thunderbird leaves it in the profile."""
    store = prefs.profile / "Mail"
    known = {os.path.realpath(one.directory) for one in prefs.accounts}
    walk = Walk(store, _LOOKED_INTO)
    top = walk.look(())
    for name in sorted(top.directories) if not isinstance(top, str) else ():
        if os.path.realpath(store / name) not in known and has_mail(walk, (name,)):
            where = printable(str(store / name))
            why = f"it belongs to no account of the profile; mbox:{where} names it as a source"
            yield Remark(f"the mail in {where} is left out: {why}")


def parts_of(account: Account, prefs: Prefs, settings: Settings, walks: list[Walk]) -> Iterator[Part]:
    """The folders of one account. ``walks`` gets what was passed over."""
    within = os.path.relpath(account.directory, prefs.profile)
    if not os.path.isdir(account.directory):
        if not account.inbox_of:  # what it fetches lies elsewhere, so it may have no folders
            fault = f"{printable(str(account.directory))}: the directory of this account is not there"
            yield Part(f"{within}/", account.name, None, fault)
        return
    root = Path(os.path.realpath(account.directory))
    if any(walk.root == root for walk in walks):
        return  # two accounts in one directory show the same folders
    walk = Walk(root)
    walks.append(walk)
    roles = prefs.roles()
    for folder in folders(account, cached_names(prefs.profile), walk):
        name = "/".join([within, *folder.path])
        target = folder_name(account, folder, roles)
        if folder.fault:
            yield Part(name, target, None, f"{printable(str(folder.file))}: {folder.fault}")
        else:
            yield Part(name, target, _maker(folder, settings))


def folder_name(account: Account, folder: Folder, roles: Mapping[Place, str]) -> str:
    """Where the folder belongs in the target: by the role that the settings give to it or one above it, else by the
    name that Thunderbird itself gives to such folders."""
    on_disk = tuple(name.removesuffix(".sbd") for name in folder.path[:-1]) + folder.path[-1:]
    standard = STANDARD.get(on_disk[0].lower()) if on_disk else None
    for depth in range(len(on_disk), 0, -1):
        if depth == 1 and standard == "INBOX":
            break  # whoever keeps what is sent there has an inbox all the same
        if use := roles.get(Place(account.key, on_disk[:depth])):
            return "/".join([use, *map(level_name, folder.levels[depth:])])
    return "/".join([standard or level_name(folder.levels[0]), *map(level_name, folder.levels[1:])])


def _maker(folder: Folder, settings: Settings) -> Callable[[], Source]:
    if folder.maildir:
        where = Path(os.path.realpath(folder.file)) / "cur"
        return lambda: EmlFolder(
            f"eml:{where}", folder.levels[-1], where, settings, every=True, tags=Tags(folder).of_file
        )
    return lambda: mbox_source(folder.file, settings, tags=Tags(folder).of_offset)


class Tags:
    """What the index of a folder says of its messages; read when it is asked for the first time."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._said: Mapping[str, Tagged] | None = None

    def of_offset(self, offset: int) -> Tagged | None:
        """Of the message whose From_ line is there."""
        return self.of_file(str(offset))

    def of_file(self, name: str) -> Tagged | None:
        if self._said is None:
            index = index_of(self._folder.file)
            self._said = index.tagged if self._folder.maildir or self._is_of(index) else {}
        return self._said.get(name)

    def _is_of(self, index: Index) -> bool:
        """Whether it speaks of the file as it is, and not as it was. Thunderbird makes it anew otherwise."""
        try:
            return self._folder.file.stat().st_size == index.size
        except OSError:
            return False


def fetched(account: Account) -> list[str]:
    """What ``popstate.dat`` of an account says that is on its server and was fetched whole."""
    try:
        text = read_beside(account.directory / "popstate.dat", _POPSTATE_LIMIT)
    except OSError:
        return []
    found = (_FETCHED.fullmatch(line) for line in text.decode("utf-8", "replace").splitlines())
    return [one[1] for one in found if one]


def in_use(profile: Path) -> bool:
    """Whether a Thunderbird runs with this profile. It holds a lock on ``.parentlock``. Where a file system has no
    locks, its link ``lock`` names a process that lives; a ``+`` in it says that there is a lock, too (nsProfileLock).
    """
    held = _is_locked(profile / ".parentlock")
    return held or _lives(profile / "lock", believed=held is None)


def _is_locked(path: Path) -> bool | None:
    """None: that cannot be known."""
    try:
        import fcntl  # not on Windows

        form, at = _FLOCK[sys.platform]
        asked = [0] * len(_FLOCK_FIELDS)
        asked[at] = fcntl.F_WRLCK
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            answer = struct.unpack(form, fcntl.fcntl(file, fcntl.F_GETLK, struct.pack(form, *asked)))
    except (OSError, ImportError, KeyError, struct.error):
        return None
    return bool(answer[at] != fcntl.F_UNLCK)


def _lives(lock: Path, *, believed: bool) -> bool:
    """Whether the process lives that made the link ``lock``, ``127.0.1.1:+4711``, and is a Thunderbird. Not
    ``believed``: with a ``+`` it is a leftover."""
    try:
        found = re.fullmatch(r"[^:]+:(\+?)([0-9]{1,10})", os.readlink(lock))
        if not found or (found[1] and not believed):
            return False
        command = Path(f"/proc/{found[2]}/comm").read_text("utf-8", "replace")
    except OSError:
        return False
    return "thunderbird" in command.lower() or "icedove" in command.lower()
