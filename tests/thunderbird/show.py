"""Ask a real Thunderbird what it shows: of a profile, or of a mailbox on an IMAP server of loopback.

The answer is a dictionary as in ``shown.json``: ``tags``, and ``accounts``, each with its ``folders``, each with its
``messages``. See ``shown.js`` for what is in them.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.thunderbird.thunderbird import Preference, Thunderbird, temporary_profile

__all__ = ["shown_of_profile", "shown_over_imap"]


def shown_of_profile(profile: Path, *, timeout: float = 120) -> dict[str, Any]:
    """What ``profile`` would show where it was made; that is asked of a copy, and the original is not touched.

    Names of folders that cannot be names of files stand in ``folderCache.json`` alone, by the whole path of the file:
    Thunderbird loses them when a profile is moved. So the paths are told of the copy.
    """
    with temporary_profile() as copy:
        shutil.copytree(profile, copy, symlinks=True)
        _moved(copy)
        with Thunderbird(copy, timeout=timeout) as thunderbird:
            return _dictionary(thunderbird.call("shown.js", "shown"))


def shown_over_imap(
    host: str,
    port: int,
    user: str,
    password: str,
    *,
    preferences: Mapping[str, Preference] | None = None,
    only_subscribed: bool = True,
    timeout: float = 120,
) -> dict[str, Any]:
    """What a new profile with that account shows, without TLS, after it has looked into every folder.

    ``preferences`` are those that shall hold from the start, such as ``mailnews.tags.KEY.tag``; with such names of
    tags there are no others, not even Thunderbird's five. The folders are those that are subscribed to, unless
    ``only_subscribed`` says otherwise. Raises ScriptFailed and TimeoutError.
    """
    server = {"host": host, "port": port, "user": user, "password": password, "subscribed": only_subscribed}
    with (
        temporary_profile() as profile,
        Thunderbird(profile, preferences=_settled(preferences or {}), timeout=timeout) as thunderbird,
    ):
        return _dictionary(thunderbird.call("shown.js", "shownOverImap", **server))


def _moved(profile: Path) -> None:
    """Let the files that have the whole path of ``profile`` in them say where it is now."""
    preferences = profile / "prefs.js"
    former = re.search(r'"mail\.root\.(?:none|pop3|imap)", "(.*)/Mail"', preferences.read_text())
    assert former is not None, "no Thunderbird profile with mail"
    for path in (preferences, profile / "folderCache.json"):
        if path.exists():
            path.write_text(path.read_text().replace(former[1] + "/", f"{profile}/"))


def _dictionary(answer: Any) -> dict[str, Any]:
    assert isinstance(answer, dict)
    return answer


def _settled(preferences: Mapping[str, Preference]) -> dict[str, Preference]:
    """Without a version of the tags, Thunderbird would take the profile for an old one and name its five anew."""
    tagged = any(name.startswith("mailnews.tags.") for name in preferences)
    return {**({"mailnews.tags.version": 2} if tagged else {}), **preferences}
