"""The folders of one account of a Thunderbird profile, as they lie on the disk.

A folder ``Name`` is a file ``Name`` (an mbox), or with the other store a directory ``Name`` that holds ``cur``; what
lies below it is in ``Name.sbd``, and ``Name.msf`` is its index. A name that a file system might not take is cut and
ends in eight hexadecimal digits (``NS_MsgHashIfNecessary``); the real one stands in ``folderCache.json`` of the
profile, in older profiles in the index. A saved search has an index alone, and so has an empty folder of the second
store.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from pop2imap.sources.file_folder import read_beside
from pop2imap.sources.mutf7 import decoded
from pop2imap.sources.thunderbird_prefs import Account
from pop2imap.sources.walking import Walk

CACHE = "folderCache.json"
CACHE_LIMIT = 64 << 20
_INDEX_LIMIT = 64 << 20

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
_COLUMN = re.compile(rb"\(([0-9A-F]+)=folderName\)")
_ESCAPED = re.compile(rb"\\(.)|\$([0-9A-Fa-f]{2})", re.DOTALL)


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
    directories = set(found.directories)
    mails = {name for name in found.files if not name.startswith(".") and _is_mail(name, found.files)}
    maildirs = {name for name in directories if (directory / name / "cur").is_dir()}
    below = {
        name.removesuffix(".sbd") for name in directories if name.endswith(".sbd") and name not in maildirs
    }
    for name in sorted(mails | maildirs | below, key=_order):
        here = (*path, name)
        real = (*levels, _real_name(account, names, here, directory / f"{name}.msf"))
        if name in mails | maildirs:
            yield Folder(real, here, directory / name, maildir=name in maildirs)
        if name in below:
            yield from _below(account, names, walk, (*path, f"{name}.sbd"), real)


def _is_mail(name: str, names: list[str]) -> bool:
    """A folder may be called like an index; then it has an index itself."""
    return f"{name}.msf" in names or not (name.lower().endswith(_BESIDE) or name == "filterlog")


def _order(name: str) -> tuple[bool, str]:
    """The inbox first."""
    return name.lower() != "inbox", name


def _real_name(account: Account, names: Mapping[str, str], path: tuple[str, ...], index: Path) -> str:
    name = path[-1]
    if _HASHED.fullmatch(name):
        written = "/".join([account.written.replace("\\", "/").rstrip("/"), *path])
        return names.get(f"{written}.msf") or _from_index(index) or name
    return decoded(name)


def _from_index(index: Path) -> str:
    """The value of ``folderName`` in an index; empty if it has none. An index is Mork: columns have numbers, and so
    have values; the last value that was written counts."""
    try:
        text = read_beside(index, _INDEX_LIMIT) or b""
    except OSError:
        return ""
    column = _COLUMN.search(text)
    if column is None:
        return ""
    cells = re.findall(rb"\(\^" + column[1] + rb"(?:\^([0-9A-F]+)|=((?:[^\\)]|\\.)*))\)", text, re.DOTALL)
    if not cells:
        return ""
    number, value = cells[-1]
    if number:
        values = re.findall(rb"\(" + number + rb"\s*=((?:[^\\)]|\\.)*)\)", text, re.DOTALL)
        value = values[-1] if values else b""
    plain = _ESCAPED.sub(lambda found: bytes([int(found[2], 16)]) if found[2] else found[1], value)
    return plain.replace(b"\n", b"").decode("utf-8", "replace")
