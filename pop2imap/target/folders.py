"""Folder names: as people and rules write them, and as this server spells them. No I/O.

People write levels with ``/``: ``Clients/ACME``. A server has a delimiter of its own, maybe a prefix that all
personal folders carry, and special folders under names of its own choice. So:

* ``INBOX`` is INBOX in any case. Its levels are the server's: under the prefix ``INBOX.``, ``INBOX/Sub`` is
  ``INBOX.Sub``, not ``INBOX.INBOX.Sub``. A name that already begins with the server's prefix is taken as the
  server's spelling.
* The server's delimiter *inside* a level becomes ``_``; so does ``/`` where names have no levels at all.
* ``\\Sent`` is the folder that the server marks so (RFC 6154); else one that is called as such folders are
  called in the languages people use; else a new one. ``\\Sent/2019`` is a level below it.
* Names are compared exactly but for Unicode normalisation (NFC), and INBOX in any case.
"""

from __future__ import annotations

import contextlib
import unicodedata
from collections.abc import Iterable
from typing import NamedTuple

from pop2imap.errors import FolderError
from pop2imap.special_folders import WELL_KNOWN
from pop2imap.text import printable

_FORBIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_JOINERS = "\u200c\u200d"
"""Format characters that some scripts and emoji need."""

_HARMFUL = frozenset('.%*"\\~#!?|<>:;$`^{}[]')

_UNUSABLE = frozenset({"\\noselect", "\\nonexistent"})

_USES = {use.lower(): use for use in (*WELL_KNOWN, "\\All", "\\Flagged", "\\Important")}


class Listed(NamedTuple):
    """One mailbox as LIST shows it, its attributes in lower case."""

    name: str
    delimiter: str
    attributes: frozenset[str]

    @property
    def usable(self) -> bool:
        """Whether it can hold messages."""
        return not self.attributes & _UNUSABLE


def check_name(name: str) -> None:
    """Raise FolderError if a mailbox name holds what no server and no mail program should be given."""
    for character in name:
        if unicodedata.category(character) in _FORBIDDEN and character not in _JOINERS:
            raise FolderError(
                "the name holds a control or an invisible character",
                where=printable(name),
                todo="choose another folder name",
            )
    if not name:
        raise FolderError("a folder needs a name")


def is_inbox(name: str) -> bool:
    """INBOX has its name in any case (RFC 3501 5.1)."""
    return name.isascii() and name.upper() == "INBOX"


class Names:
    """The names of one account: prefix and delimiter of its personal namespace, and what it holds.

    ``prefix`` is None where the server has no NAMESPACE to tell it. ``foreign`` are the prefixes of other
    people's and shared folders: their special uses are not ours.
    """

    def __init__(
        self, prefix: str | None, delimiter: str, listed: Iterable[Listed], foreign: Iterable[str] = ()
    ) -> None:
        self.delimiter = delimiter
        self._foreign = tuple(foreign)
        listed = tuple(listed)
        self.prefix = self._implied_prefix(listed) if prefix is None else prefix
        self._usable: dict[str, str] = {}
        self._in_any_case: dict[str, str] = {}  # folded → the key in _usable
        self.special_use: dict[str, str] = {}
        """``\\Sent`` and the like → the server's name."""
        self.relist(listed)

    def relist(self, listed: Iterable[Listed]) -> None:
        """Take over what the server holds now."""
        listed = sorted(listed, key=lambda one: (len(one.name), one.name))
        self._usable = {self._alike(one.name): one.name for one in reversed(listed) if one.usable}
        self._usable.setdefault("INBOX", "INBOX")
        self._in_any_case = {key.casefold(): key for key in reversed(self._usable)}
        self.special_use = {}
        for one in listed:
            if one.usable and not self._is_foreign(one.name):
                for attribute in sorted(one.attributes):
                    if attribute in _USES:
                        self.special_use.setdefault(_USES[attribute], one.name)

    def add(self, name: str) -> None:
        """A mailbox was made."""
        key = self._alike(name)
        self._usable[key] = name
        self._in_any_case.setdefault(key.casefold(), key)

    def find(self, name: str) -> str | None:
        """The server's spelling of a mailbox that is there and can hold messages, or None."""
        return self._usable.get(self._alike(name))

    def similar(self, name: str) -> str | None:
        """Like ``find``, in any case of letters: for a server that says that it has it already."""
        key = self._in_any_case.get(self._alike(name).casefold())
        return None if key is None else self._usable[key]

    def folders(self) -> tuple[str, ...]:
        """The person's own mailboxes that are there, as people write them: each name leads to its mailbox."""
        found = []
        for name in self._usable.values():
            folder = name.removeprefix(self.prefix)
            folder = folder.replace(self.delimiter, "/") if self.delimiter else folder
            with contextlib.suppress(FolderError):
                if not self._is_foreign(name) and self.find(self.spelled(folder)) == name:
                    found.append(folder)
        return tuple(found)

    def spelled(self, folder: str) -> str:
        """What the server calls, or is to call, the folder that people call ``folder``. Raises FolderError."""
        folder = unicodedata.normalize("NFC", folder)
        if folder.startswith("\\"):
            use, _, rest = folder.partition("/")
            return self._join(self._of_use(use), rest)
        start, rest = folder[: len(self.prefix)], folder[len(self.prefix) :]
        if self.prefix and start.lower() == self.prefix.lower():
            return self._join(self.prefix, rest.replace(self.delimiter, "/") if self.delimiter else rest)
        first, _, rest = folder.partition("/")
        if not is_inbox(first.strip(" ")):
            return self._join(self.prefix, folder)
        if not rest:
            return "INBOX"
        return self._join(self.prefix if is_inbox(self._prefix_name()) else "INBOX", rest)

    def use_of(self, folder: str) -> str:
        """The special use to give to a folder that is to be made, or nothing."""
        return _USES.get(folder.lower(), "")

    def levels(self, name: str) -> list[str]:
        """``name`` and the mailboxes above it, below the prefix, topmost first."""
        if not self.delimiter or is_inbox(name):
            return [name]
        start = self.prefix if name.startswith(self.prefix) else ""
        parts = name.removeprefix(start).split(self.delimiter)
        levels = [start + self.delimiter.join(parts[: count + 1]) for count in range(len(parts))]
        return [level for level in levels if not is_inbox(level)]

    def harmless(self, name: str) -> str:
        """``name`` with ``_`` for whatever a server may refuse in a name, for when it did.

        QUIRK(Dovecot): with Maildir++ on disk a dot is refused, whatever the delimiter. QUIRK(Cyrus): so are
        ``% * "`` and others.
        """
        start = self.prefix if name.startswith(self.prefix) else ""
        return start + "".join(
            "_" if character in _HARMFUL and character != self.delimiter else character
            for character in name.removeprefix(start)
        )

    def _of_use(self, use: str) -> str:
        known = _USES.get(use.lower())
        if use.lower() == "\\inbox":
            return "INBOX"
        if known in self.special_use:
            return self.special_use[known]
        if known not in WELL_KNOWN:
            raise FolderError(
                "the server has no folder of this special use",
                where=printable(use),
                todo=f"known special uses are {', '.join(WELL_KNOWN)}",
            )
        for guess in WELL_KNOWN[known]:
            if there := self.similar(self._join(self.prefix, guess)):
                return there
        return self._join(self.prefix, WELL_KNOWN[known][0])

    def _join(self, base: str, folder: str) -> str:
        """Levels written with ``/``, below a prefix or a mailbox."""
        parts = [part.strip(" ") for part in folder.split("/")] if folder else []
        if base == self.prefix and not parts:
            raise FolderError("a folder needs a name")
        if not all(parts):
            raise FolderError("a level of the folder name is empty", where=printable(folder))
        if self.delimiter:
            parts = [part.replace(self.delimiter, "_") for part in parts]
        if base and parts and base != self.prefix:
            base += self.delimiter or "_"
        name = base + (self.delimiter or "_").join(parts)
        check_name(name)
        return name

    def _prefix_name(self) -> str:
        return self.prefix.removesuffix(self.delimiter) if self.delimiter else self.prefix

    def _is_foreign(self, name: str) -> bool:
        return name.startswith(self._foreign)

    def _implied_prefix(self, listed: tuple[Listed, ...]) -> str:
        """QUIRK(Courier, old): no NAMESPACE to ask, but every folder is below INBOX."""
        below = f"INBOX{self.delimiter}"
        others = [one.name for one in listed if not is_inbox(one.name)]
        if self.delimiter and others and all(name.startswith(below) for name in others):
            return below
        return ""

    def _alike(self, name: str) -> str:
        """The same for names that mean the same mailbox."""
        name = unicodedata.normalize("NFC", name)
        first, delimiter, rest = name.partition(self.delimiter) if self.delimiter else (name, "", "")
        return "INBOX" + delimiter + rest if is_inbox(first) else name
