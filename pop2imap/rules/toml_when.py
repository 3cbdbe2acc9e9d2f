"""The ``when`` of a TOML rule: tables of tests, turned into the tree."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

from pop2imap.rules import literals
from pop2imap.rules.faults import Fault, Faults, kind, unknown
from pop2imap.rules.locator import Path
from pop2imap.rules.mail import ADDRESSES, NAMES
from pop2imap.rules.tree import (
    AllOf,
    AnyOf,
    DateTest,
    Everything,
    FlagTest,
    Not,
    SentTest,
    SizeTest,
    Test,
    TextTest,
)
from pop2imap.rules.values import OneOf, Regex, Value, containing, exactly, glob, within_domain

MAX_DEPTH = 20
"""Tests within tests within tests."""

_TEXTS = frozenset({*ADDRESSES, *NAMES, "list-id", "source-folder", "subject"})
_OTHERS = frozenset(
    {"header", "before", "after", "larger", "smaller", "has-flag", "sent", "all", "any", "not"}
)
KEYS = _TEXTS | _OTHERS
_FORMS = frozenset({"is", "contains", "regex", "domain"})
_FIELD_NAME = frozenset(map(chr, range(0x21, 0x7F))) - {":"}


class When:
    """Reads the tests of one file. ``has_me``: the file says who the person is."""

    def __init__(self, faults: Faults, *, has_me: bool) -> None:
        self._faults = faults
        self._has_me = has_me

    def read(self, table: object, path: Path) -> Test:
        """The test that stands at ``path``. What is wrong in it is added to the faults; the test that comes
        back then is of no use."""
        found = self._table(table, path, 0)
        return found or Everything()

    def _table(self, table: object, path: Path, depth: int) -> Test | None:
        """The test of one table: all of its keys. None if it is empty or wrong."""
        if not isinstance(table, dict):
            self._faults.add(path, f"must be a table of tests, not {kind(table)}")
            return None
        if depth > MAX_DEPTH:
            self._faults.add(path, f"tests go deeper than {MAX_DEPTH} levels")
            return None
        tests = [self._test(key, value, (*path, key), depth) for key, value in table.items()]
        good = [test for test in tests if test is not None]
        return good[0] if len(good) == 1 else AllOf(good) if good else None

    def _test(self, key: str, value: object, path: Path, depth: int) -> Test | None:
        try:
            if key in _TEXTS:
                return self._text(f"header {key}" if key == "subject" else key, value, path)
            match key:
                case "header":
                    return self._headers(value, path)
                case "before" | "after":
                    return DateTest(literals.moment(value), after=key == "after")
                case "larger" | "smaller":
                    limit = literals.size(value)
                    return SizeTest(limit, larger=key == "larger", written=str(value))
                case "has-flag":
                    return self._flags(value)
                case "sent":
                    return self._sent(value, path)
                case "not":
                    return self._not(value, path, depth)
                case "all" | "any":
                    return self._several(key, value, path, depth)
        except Fault as fault:
            self._faults.add(path, f"{key}: {fault}")
            return None
        self._faults.add(path, unknown("test", key, KEYS))
        return None

    def _several(self, key: str, value: object, path: Path, depth: int) -> Test:
        if not isinstance(value, list) or not value:
            raise Fault(
                f"must be a list of tables with tests, not {'an empty one' if value == [] else kind(value)}"
            )
        tests = [self._table(item, (*path, at), depth + 1) for at, item in enumerate(value)]
        for at, item in enumerate(value):
            if item == {}:
                self._faults.add((*path, at), f"{key}: an empty table tests nothing")
        good = [test for test in tests if test is not None]
        return (AllOf if key == "all" else AnyOf)(good)

    def _not(self, value: object, path: Path, depth: int) -> Test | None:
        if isinstance(value, list):
            raise Fault("must be a table; for none of several, not = { any = [ … ] }")
        if value == {}:
            raise Fault("an empty table tests nothing")
        test = self._table(value, path, depth + 1)
        return Not(test) if test else None

    def _flags(self, value: object) -> Test | None:
        items = value if isinstance(value, list) else [value]
        flags = [literals.looked_for_flag(item) for item in items if isinstance(item, str)]
        if not flags or len(flags) < len(items):
            raise Fault("must be a flag or a list of flags")
        return FlagTest(flags)

    def _sent(self, value: object, path: Path) -> Test:
        if not isinstance(value, bool):
            raise Fault(f"must be true or false, not {kind(value)}")
        if not self._has_me:
            self._faults.warn(path, "no mail counts as sent, because me is not set")
        return SentTest(value)

    def _headers(self, value: object, path: Path) -> Test | None:
        if not isinstance(value, dict) or not value:
            raise Fault(f'must be the name of a header and its value: header."X-Name" = …, not {kind(value)}')
        tests = []
        for name, wanted in value.items():
            here = (*path, name)
            if not name or not _FIELD_NAME.issuperset(name):
                self._faults.add(
                    here, "a header name is of ASCII letters, digits and signs, without colon and space"
                )
                continue
            try:
                tests.append(self._text(f"header {name}", wanted, here))
            except Fault as fault:
                self._faults.add(here, f"{name}: {fault}")
        good = [test for test in tests if test is not None]
        return good[0] if len(good) == 1 else AllOf(good) if good else None

    # --- values ----------------------------------------------------------------------------------------------

    def _text(self, look: str, value: object, path: Path) -> Test | None:
        found = self._value(look, value, path)
        return TextTest(look, found) if found is not None else None

    def _value(self, look: str, value: object, path: Path) -> Value | None:
        """A text, a list, or a table with one form. Raises Fault."""
        if isinstance(value, str):
            return self._glob(look, value, path)
        if isinstance(value, list):
            return self._list(value, path, lambda item, here: self._value(look, item, here))
        if isinstance(value, dict):
            return self._form(look, value, path)
        raise Fault(
            f"must be text, a list, or one of {{ is = }}, {{ contains = }}, {{ regex = }}, not {kind(value)}"
        )

    def _list(
        self, items: list[object], path: Path, read: Callable[[object, Path], Value | None]
    ) -> Value | None:
        if not items:
            raise Fault("an empty list matches nothing")
        values = []
        for at, item in enumerate(items):
            here = (*path, at)
            try:
                if isinstance(item, list):
                    raise Fault("a list within a list")
                values.append(read(item, here))
            except Fault as fault:
                self._faults.add(here, f"{_key(path)}: {fault}")
        good = [value for value in values if value is not None]
        return OneOf(good) if good else None

    def _form(self, look: str, table: Mapping[str, object], path: Path) -> Value | None:
        forms = table.keys() & _FORMS
        for key in table:
            if key not in _FORMS:
                self._faults.add((*path, key), f"{_key(path)}: {unknown('form of a value', key, _FORMS)}")
        if len(forms) != 1:
            if len(table) != 1:
                raise Fault("must be a table with one of is, contains, regex, domain")
            return None
        form = forms.pop()
        wanted = table[form]

        def read(item: object, here: Path) -> Value:
            if not isinstance(item, str):
                raise Fault(f"{form} must be text, not {kind(item)}")
            return self._of_form(form, look, item, here)

        if isinstance(wanted, list):
            return self._list(wanted, (*path, form), read)
        return read(wanted, (*path, form))

    def _of_form(self, form: str, look: str, text: str, path: Path) -> Value:
        match form:
            case "is":
                return exactly(self._address(text, path) if look in ADDRESSES else text)
            case "contains":
                return containing(text)
            case "regex":
                return Regex(text)
        if look not in ADDRESSES and look != "list-id":
            raise Fault("domain is for addresses and list-id")
        return within_domain(literals.domain(text, functools.partial(self._faults.warn, path)))

    def _glob(self, look: str, text: str, path: Path) -> Value:
        if look not in ADDRESSES:
            return glob(text)
        if "*" in text or "?" in text:
            return glob(text, domains=True)
        return glob(self._address(text, path))

    def _address(self, text: str, path: Path) -> str:
        return literals.address(text, functools.partial(self._faults.warn, path))


def _key(path: Path) -> str:
    """The last key of a path: what a fault in a list within it begins with."""
    return next((str(key) for key in reversed(path) if isinstance(key, str)), "")
