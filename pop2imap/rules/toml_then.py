"""The ``then`` of a TOML rule: what is to be done with a message."""

from __future__ import annotations

from collections.abc import Mapping

from pop2imap.model import FLAGGED, SEEN
from pop2imap.rules import literals
from pop2imap.rules.engine import Actions
from pop2imap.rules.faults import Fault, Faults, kind, unknown
from pop2imap.rules.folders import Template
from pop2imap.rules.locator import Path
from pop2imap.text import printable

KEYS = frozenset({"folder", "add-flags", "mark", "flagged", "skip", "continue"})
_MARKS = {"seen": True, "unseen": False}
MAX_REASON = 200


def read_then(table: object, path: Path, faults: Faults) -> Actions:
    """The actions in ``table``, which stands at ``path``. What is wrong in it is added to ``faults``."""
    if not isinstance(table, dict):
        faults.add(path, f"then must be a table, not {kind(table)}")
        return Actions()
    return _Then(table, path, faults).read()


class _Then:
    def __init__(self, table: Mapping[str, object], path: Path, faults: Faults) -> None:
        self._table = table
        self._path = path
        self._faults = faults

    def _wrong(self, key: str, what: str) -> None:
        self._faults.add((*self._path, key), f"{key}: {what}")

    def read(self) -> Actions:
        for key in self._table:
            if key not in KEYS:
                self._faults.add((*self._path, key), unknown("action", key, KEYS))
        flags = self._flags()
        seen, flagged = self._mark(), self._truth("flagged")
        for flag, wanted, key in ((SEEN, seen, "mark"), (FLAGGED, flagged, "flagged")):
            if flag in flags and wanted is False:
                self._wrong("add-flags", f"{flag} contradicts {key}")
        self._check_together()
        return Actions(
            folder=self._folder(),
            add_flags=tuple(flag for flag in flags if flag not in (SEEN, FLAGGED)),
            seen=True if SEEN in flags else seen,
            flagged=True if FLAGGED in flags else flagged,
            skip=self._skip(),
            goes_on=self._truth("continue") or False,
        )

    def _check_together(self) -> None:
        said = self._table.keys() & KEYS
        if not said - {"continue"}:
            if not self._table.keys() - KEYS:
                self._faults.add(self._path, "then does nothing: it needs a folder, or flags, or skip")
        elif "skip" in said and len(said) > 1:
            others = ", ".join(sorted(said - {"skip"}))
            self._wrong("skip", f"what is left out gets nothing else (here: {others})")

    def _folder(self) -> Template | None:
        value = self._table.get("folder")
        if value is None:
            return None
        try:
            if not isinstance(value, str):
                raise Fault(f"must be text, not {kind(value)}")
            return Template(value)
        except Fault as fault:
            self._wrong("folder", str(fault))
            return None

    def _flags(self) -> tuple[str, ...]:
        value = self._table.get("add-flags", [])
        if not isinstance(value, list):
            self._wrong("add-flags", f'must be a list, such as ["$List"], not {kind(value)}')
            return ()
        flags: dict[str, str] = {}
        for at, item in enumerate(value):
            try:
                if not isinstance(item, str):
                    raise Fault(f"a flag must be text, not {kind(item)}")
                flag = literals.flag(item)
                flags.setdefault(flag.lower(), flag)
            except Fault as fault:
                self._faults.add((*self._path, "add-flags", at), f"add-flags: {fault}")
        return tuple(flags.values())

    def _mark(self) -> bool | None:
        value = self._table.get("mark")
        if value is None:
            return None
        if isinstance(value, str) and value in _MARKS:
            return _MARKS[value]
        self._wrong("mark", f'must be "seen" or "unseen", not {_shown(value)}')
        return None

    def _truth(self, key: str) -> bool | None:
        value = self._table.get(key)
        if value is None or isinstance(value, bool):
            return value
        self._wrong(key, f"must be true or false, not {_shown(value)}")
        return None

    def _skip(self) -> str:
        value = self._table.get("skip")
        if value is None:
            return ""
        if isinstance(value, str) and value.strip() and printable(value, MAX_REASON) == value:
            return value.strip()
        what = "text that can be shown" if isinstance(value, str) else f"text, not {kind(value)}"
        self._wrong("skip", f'must say why, for the report, in {what}: skip = "old newsletters"')
        return ""


def _shown(value: object) -> str:
    return f'"{printable(value, 40)}"' if isinstance(value, str) else kind(value)
