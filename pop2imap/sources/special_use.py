"""Where a folder of a store belongs in the target, told from its name alone.

A folder at the top of its store that is called as mail programs call their special ones has that use, and what lies
below it stays below it: ``Sent Items/2019`` is ``\\Sent/2019``. Deeper down a name is just a name: the ``Archive`` in
``Clients`` is the person's own.

A name is text that anybody may have written: what no server should be given becomes ``_``, and so does what clients
cannot cope with: ``*`` and ``%``, which mean other names, quotes, backslashes and ``<>|`` (QUIRK(Thunderbird): it shows
a folder with them, and cannot open it).
"""

from __future__ import annotations

import contextlib
import functools
import os
import unicodedata
from collections.abc import Mapping, Sequence

from pop2imap.charsets import decode_octets
from pop2imap.special_folders import WELL_KNOWN

_FORBIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_AWKWARD = frozenset('*%"\\<>|')
_JOINERS = "\u200c\u200d"
_INBOX = (
    "Inbox", "Posteingang", "Boîte de réception", "Bandeja de entrada", "Caixa de entrada", "Posta in arrivo",
    "Postvak IN", "Odebrane", "Skrzynka odbiorcza", "Входящие", "受信トレイ", "受信箱", "收件箱",
)  # fmt: skip
_LEVELS = 32
"""Levels of a name; what is deeper is joined to the last one."""


def folder_name(levels: Sequence[str]) -> str:
    """The name of the folder, as in :class:`pop2imap.sources.tree.Part`. ``levels`` are decoded names, the top first;
    none at all is INBOX."""
    kept = [level_name(level) for level in levels[:_LEVELS]]
    if len(levels) > _LEVELS:
        kept.append("_".join(level_name(level) for level in levels[_LEVELS:]))
    if not kept:
        return "INBOX"
    kept[0] = _uses().get(kept[0].casefold(), kept[0])
    return "/".join(kept)


def level_name(level: str) -> str:
    """One level of a name, without what would part it, make a special use of it, or cannot be seen."""
    text = level
    if any("\udc80" <= one <= "\udcff" for one in level):  # octets that are not UTF-8
        with contextlib.suppress(UnicodeEncodeError):
            text = decode_octets(os.fsencode(level))
    text = unicodedata.normalize("NFC", text)
    text = "".join("_" if _is_forbidden(one) else one for one in text).replace("/", "_").strip()
    return text or "_"


def _is_forbidden(character: str) -> bool:
    return character in _AWKWARD or (
        unicodedata.category(character) in _FORBIDDEN and character not in _JOINERS
    )


@functools.cache
def _uses() -> Mapping[str, str]:
    uses = {name.casefold(): use for use, names in WELL_KNOWN.items() for name in names}
    return uses | {name.casefold(): "INBOX" for name in _INBOX}
