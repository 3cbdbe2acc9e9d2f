"""Secrets and where they come from.

A secret is never an option's value, never in a log, a repr, a pickle or the journal.
"""

from __future__ import annotations

from typing import NoReturn


class Secret:
    """A password or token that does not show itself by accident."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value, for the one place that sends it."""
        return self._value

    def __repr__(self) -> str:
        return "Secret('***')"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled")
