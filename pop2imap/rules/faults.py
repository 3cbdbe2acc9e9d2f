"""Faults in a file of rules: all of them at once, each with its line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, time

from pop2imap.errors import ConfigError
from pop2imap.rules.locator import Path, locate
from pop2imap.text import printable


class Fault(Exception):
    """One thing that is wrong, in words; whoever knows where it stands turns it into a line."""


class Faults:
    """Collects what is wrong in ``text``, which people know as ``where``."""

    def __init__(self, text: str, where: str) -> None:
        self._text = text
        self._where = printable(where)
        self._faults: list[tuple[int, str]] = []
        self._warnings: list[tuple[int, str]] = []
        self._rules: dict[int, str] = {}

    def name_rule(self, index: int, name: str) -> None:
        """From now on, what is said of the rule with this index names it."""
        number = f"rule {index + 1}"
        self._rules[index] = number if name == number else f'{number} "{printable(name, 60)}"'

    def add(self, path: Path, what: str) -> None:
        """Something is wrong at this path of keys and indexes."""
        self._faults.append(self._placed(path, what))

    def warn(self, path: Path, what: str) -> None:
        """Something there is likely a mistake."""
        self._warnings.append(self._placed(path, what))

    def _placed(self, path: Path, what: str) -> tuple[int, str]:
        line = locate(self._text, path) or 1
        rule = ""
        if path[:1] == ("rule",) and len(path) > 1:
            index = int(path[1])
            rule = f"{self._rules[index]}: "
        return line, f"{self._where}:{line}: {rule}{what}"

    @property
    def warnings(self) -> tuple[str, ...]:
        return _in_order(self._warnings)

    def raise_if_any(self) -> None:
        """Raises ConfigError, with every fault in file order."""
        if self._faults:
            count = len(self._faults)
            raise ConfigError(
                "1 fault in the rules" if count == 1 else f"{count} faults in the rules",
                where=self._where,
                problems=_in_order(self._faults),
            )


def _in_order(said: Sequence[tuple[int, str]]) -> tuple[str, ...]:
    return tuple(text for _, text in sorted(said, key=lambda one: one[0]))


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """``unknown key "form" (did you mean "from"?)``"""
    choices = {choice.lower(): choice for choice in sorted(known)}
    import difflib

    near = difflib.get_close_matches(name.lower(), choices, n=1, cutoff=0.55)
    hint = f'did you mean "{choices[near[0]]}"?' if near else f"known: {', '.join(choices.values())}"
    return f'unknown {what} "{printable(name, 60)}" ({hint})'


def kind(value: object) -> str:
    """What sort of TOML value this is, for people."""
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "text"
    if isinstance(value, date):
        return "a date"
    if isinstance(value, time):
        return "a time of day"
    return "a list" if isinstance(value, list) else "a table"
