"""The folders of one account of a Thunderbird profile, as they lie on the disk.

A folder ``Name`` is a file ``Name`` (an mbox), or with the other store a directory ``Name`` that holds ``cur``; what
lies below it is in ``Name.sbd``, and ``Name.msf`` is its index. A name that a file system might not take is cut and
ends in eight hexadecimal digits (``NS_MsgHashIfNecessary``); the real one stands in ``folderCache.json`` of the
profile, in older profiles in the index. A saved search has an index alone, and so has an empty folder of the second
store.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Set
from pathlib import Path
from typing import NamedTuple

from pop2imap.sources.file_folder import read_beside
from pop2imap.sources.mork import LIMIT, Index, read_index
from pop2imap.sources.mutf7 import decoded
from pop2imap.sources.thunderbird_prefs import Account
from pop2imap.sources.walking import LINKS, OUTSIDE, Walk

CACHE = "folderCache.json"
CACHE_LIMIT = 64 << 20
_LOST = "folders are called as their files are, since their real names stand nowhere in this profile"

_BESIDE = (
    ".msf",
    ".dat",
    ".html",
    ".json",
    ".snm",
    ".lock",
    ".nstmp",
    ".mozmsgs",
    ".bak",
    ".wdseml",
    ".js",
    ".sqlite",
)
_HASHED = re.compile(r".*[0-9a-f]{8}", re.DOTALL)
_PERHAPS_A_DATE = re.compile(r".*[0-9]{8}", re.DOTALL)


class Folder(NamedTuple):
    """One folder. ``levels`` are its real names, the top first; ``file`` is its file or directory, without symbolic
    links; ``path`` the same as levels of names on the disk below the directory of the account. ``fault``: why it
    cannot be looked into."""

    levels: tuple[str, ...]
    path: tuple[str, ...]
    file: Path
    maildir: bool = False
    fault: str = ""


def cached_names(profile: Path) -> Mapping[str, str]:
    """Real names of folders, by the path of the index on the machine on which the profile was written."""
    try:
        text = read_beside(profile / CACHE, CACHE_LIMIT)
        said = json.loads(text or b"{}")
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(said, dict):
        return {}
    return {
        path.replace("\\", "/"): about["folderName"]
        for path, about in said.items()
        if isinstance(about, dict) and isinstance(about.get("folderName"), str)
    }


def folders(account: Account, names: Mapping[str, str], walk: Walk) -> Iterator[Folder]:
    """Every folder of ``account``, those below a folder after it. ``walk`` begins at its directory."""
    yield from _below(account, names, walk, (), ())


def _below(
    account: Account, names: Mapping[str, str], walk: Walk, path: tuple[str, ...], levels: tuple[str, ...]
) -> Iterator[Folder]:
    found = walk.look(path)
    directory = account.directory.joinpath(*path)
    if isinstance(found, str):
        yield Folder(levels or (account.name,), path, directory, fault=found)
        return
    directories, files = set(found.directories), set(found.files)
    for name in sorted(found.others):
        yield from _link(account, names, walk, (*path, name), levels, files)
    mails = {name for name in files if _is_mail(name, files)}
    maildirs = {name for name in directories if os.path.isdir(directory / name / "cur")}
    closed = {name for name in directories - maildirs if not name.endswith(".sbd") and _is_mail(name, files)}
    closed = {name for name in closed if isinstance(walk.look((*path, name)), str)}
    below = {
        name.removesuffix(".sbd") for name in directories if name.endswith(".sbd") and name not in maildirs
    }
    for name in sorted(mails | maildirs | closed | below, key=_order):
        here = (*path, name)
        known = _real_name(account, names, here, directory / name)
        if known == name and _HASHED.fullmatch(name) and not _PERHAPS_A_DATE.fullmatch(name):
            walk.passed_over(_LOST, "/".join(here))
        real = (*levels, known)
        if name in closed:
            yield Folder(real, here, directory / name, fault="the directory cannot be read")
        if name in mails | maildirs:
            yield Folder(real, here, directory / name, maildir=name in maildirs)
        if name in below:
            yield from _below(account, names, walk, (*path, f"{name}.sbd"), real)


def _link(
    account: Account,
    names: Mapping[str, str],
    walk: Walk,
    path: tuple[str, ...],
    levels: tuple[str, ...],
    files: Set[str],
) -> Iterator[Folder]:
    """What lies in the account is found there; mail elsewhere is not moved, and so a fault."""
    if not _is_mail(path[-1], files):
        return
    target = walk.leads_out(path)
    if target is None or not (os.path.isfile(target) or os.path.isdir(target)):
        walk.passed_over(LINKS, "/".join(path))
        return
    file = account.directory.joinpath(*path)
    real = _real_name(account, names, path, file)
    yield Folder((*levels, real.removesuffix(".sbd")), path, file, fault=OUTSIDE)


def has_mail(walk: Walk, path: tuple[str, ...]) -> bool:
    """Whether there is mail in the directory ``path`` or below it."""
    found = walk.look(path)
    if isinstance(found, str):
        return False
    at, files = walk.root.joinpath(*path), set(found.files)
    if path[-1:] == ("cur",):
        return bool(files)
    with contextlib.suppress(OSError):  # removed this moment
        if any(_is_mail(one, files) and (at / one).stat().st_size for one in files):
            return True
    return any(has_mail(walk, (*path, one)) for one in sorted(found.directories))


def _is_mail(name: str, files: Set[str]) -> bool:
    """A folder may be called like an index; then it has an index itself."""
    if f"{name}.msf" in files:
        return True
    return not (name.startswith(".") or name.lower().endswith(_BESIDE) or name == "filterlog")


def _order(name: str) -> tuple[bool, str]:
    """The inbox first."""
    return name.lower() != "inbox", name


def _real_name(account: Account, names: Mapping[str, str], path: tuple[str, ...], file: Path) -> str:
    name = path[-1]
    if _HASHED.fullmatch(name):
        written = "/".join([account.written.replace("\\", "/").rstrip("/"), *path])
        return names.get(f"{written}.msf") or index_of(file).name or name
    return decoded(name)


def index_of(file: Path) -> Index:
    """The index of the folder that is in ``file``; an empty one if it cannot be read."""
    try:
        return read_index(read_beside(file.with_name(f"{file.name}.msf"), LIMIT + 1))
    except OSError:
        return Index()
