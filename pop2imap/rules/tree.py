"""Tests as a tree: each node matches a message, and describes itself in words.

The tree is the same whatever language rules are written in. A match carries what it found, so that a decision
can say why; the words are only made when somebody is told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

from pop2imap.rules.mail import Mail
from pop2imap.rules.values import Value
from pop2imap.text import printable

_NO_GROUPS: Mapping[str, str] = {}


class Hit(NamedTuple):
    """Why a test matches: (what was looked at, the text found there, how it matches) for each part that
    did, and what named groups caught."""

    parts: tuple[tuple[str, str, str], ...]
    groups: Mapping[str, str] = _NO_GROUPS

    def words(self) -> str:
        return " and ".join(
            " ".join(filter(None, (look, printable(text, 80) if text else "", how)))
            for look, text, how in self.parts
        )


class Test(Protocol):
    """A node of the tree."""

    @property
    def groups(self) -> frozenset[str]:
        """Named groups that a match may give."""

    @property
    def asks_for_sent(self) -> bool:
        """Whether it says ``sent = true``."""

    def match(self, mail: Mail) -> Hit | None:
        """Why it matches, or None."""

    def describe(self) -> str:
        """The test in words."""


class Everything:
    """The test of a rule without one."""

    groups: frozenset[str] = frozenset()
    asks_for_sent = False

    def match(self, mail: Mail) -> Hit | None:
        return Hit((("", "", "every message matches"),))

    def describe(self) -> str:
        return "every message"


class TextTest:
    """An address, a display name, a list id or a header field has a value."""

    __slots__ = ("_look", "_value", "_words", "groups")
    asks_for_sent = False

    def __init__(self, look: str, value: Value) -> None:
        self._look = look
        self._words = look.removeprefix("header ")
        self._value = value
        self.groups = value.groups

    def match(self, mail: Mail) -> Hit | None:
        found = self._value.find(mail.texts(self._look))
        if found is None:
            return None
        return Hit(((self._words, found.text or '""', found.how),), found.groups)

    def describe(self) -> str:
        return f"{self._words} {self._value.describe()}"


class DateTest:
    """The internal date is before a moment, or not before it (``after``). ``limit`` is aware."""

    __slots__ = ("_after", "_limit", "_words")
    groups: frozenset[str] = frozenset()
    asks_for_sent = False

    def __init__(self, limit: datetime, *, after: bool) -> None:
        self._limit = limit.astimezone(UTC)
        self._after = after
        shown = self._limit.replace(tzinfo=None).isoformat(" ").removesuffix(" 00:00:00")
        self._words = f"{'after' if after else 'before'} {shown}"

    def match(self, mail: Mail) -> Hit | None:
        if (mail.date >= self._limit) is not self._after:
            return None
        return Hit((("date", mail.date.date().isoformat(), f"is {self._words}"),))

    def describe(self) -> str:
        return f"date is {self._words}"


class SizeTest:
    """More (``larger``) or fewer octets than ``limit``."""

    __slots__ = ("_larger", "_limit", "_words")
    groups: frozenset[str] = frozenset()
    asks_for_sent = False

    def __init__(self, limit: int, *, larger: bool, written: str) -> None:
        self._limit = limit
        self._larger = larger
        self._words = f"{'larger' if larger else 'smaller'} than {written}"

    def match(self, mail: Mail) -> Hit | None:
        size = mail.message.size
        if size > self._limit if self._larger else size < self._limit:
            return Hit((("size", str(size), f"is {self._words}"),))
        return None

    def describe(self) -> str:
        return f"size is {self._words}"


class FlagTest:
    """The source says that the message has one of these flags."""

    __slots__ = ("_flags", "_words")
    groups: frozenset[str] = frozenset()
    asks_for_sent = False

    def __init__(self, flags: Sequence[str]) -> None:
        self._flags = {flag.lower(): flag for flag in flags}
        self._words = " or ".join(flags)

    def match(self, mail: Mail) -> Hit | None:
        for folded, flag in self._flags.items():
            if folded in mail.flags:
                return Hit((("flag", flag, "is set"),))
        return None

    def describe(self) -> str:
        return f"flag {self._words} is set"


class SentTest:
    """The message is, or is not, the person's own."""

    __slots__ = ("_wanted",)
    groups: frozenset[str] = frozenset()

    def __init__(self, wanted: bool = True) -> None:
        self._wanted = wanted

    @property
    def asks_for_sent(self) -> bool:
        return self._wanted

    def match(self, mail: Mail) -> Hit | None:
        if bool(mail.sent) is not self._wanted:
            return None
        return Hit((("", "", mail.sent or self.describe()),))

    def describe(self) -> str:
        return "it is own mail" if self._wanted else "it is not own mail"


class AllOf:
    """Every one of its tests."""

    __slots__ = ("_tests", "asks_for_sent", "groups")

    def __init__(self, tests: Sequence[Test]) -> None:
        self._tests = tuple(tests)
        self.groups = frozenset().union(*(test.groups for test in tests))
        self.asks_for_sent = any(test.asks_for_sent for test in tests)

    def match(self, mail: Mail) -> Hit | None:
        hits = []
        for test in self._tests:
            if (hit := test.match(mail)) is None:
                return None
            hits.append(hit)
        groups: dict[str, str] = {}
        for hit in reversed(hits):  # the first to catch a name keeps it
            groups.update(hit.groups)
        return Hit(tuple(part for hit in hits for part in hit.parts), groups)

    def describe(self) -> str:
        return " and ".join(_inner(test) for test in self._tests)


class AnyOf:
    """At least one of its tests: the first that matches counts."""

    __slots__ = ("_tests", "asks_for_sent", "groups")

    def __init__(self, tests: Sequence[Test]) -> None:
        self._tests = tuple(tests)
        self.groups = frozenset().union(*(test.groups for test in tests))
        self.asks_for_sent = any(test.asks_for_sent for test in tests)

    def match(self, mail: Mail) -> Hit | None:
        for test in self._tests:
            if (hit := test.match(mail)) is not None:
                return hit
        return None

    def describe(self) -> str:
        return " or ".join(_inner(test) for test in self._tests)


class Not:
    """Not this test."""

    __slots__ = ("_test",)
    groups: frozenset[str] = frozenset()
    asks_for_sent = False

    def __init__(self, test: Test) -> None:
        self._test = test

    def match(self, mail: Mail) -> Hit | None:
        return None if self._test.match(mail) else Hit((("", "", self.describe()),))

    def describe(self) -> str:
        return f"not ({self._test.describe()})"


def _inner(test: Test) -> str:
    """A test in words, within another."""
    return f"({test.describe()})" if isinstance(test, AllOf | AnyOf) else test.describe()
