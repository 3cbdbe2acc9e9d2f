"""Rules in TOML: the file, its top level, and the ``then`` of a rule. The language is told in ``docs/rules.md``.

Every fault of a file is found in one reading and raised as one ConfigError, each with its line. The digest is
that of the file as parsed, without comments and lay-out, and of what was said beside it.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path as FilePath

from pop2imap.errors import ConfigError
from pop2imap.rules import literals
from pop2imap.rules.engine import MAX_FOLDERS, OWN_MAIL, Actions, Rule, RuleList
from pop2imap.rules.faults import Fault, Faults, kind, unknown
from pop2imap.rules.folders import PLACEHOLDERS, Template, checked_folder
from pop2imap.rules.locator import Path
from pop2imap.rules.toml_then import KEYS as THEN_KEYS
from pop2imap.rules.toml_then import read_then
from pop2imap.rules.toml_when import When
from pop2imap.rules.tree import Everything, Test
from pop2imap.rules.values import fold
from pop2imap.text import printable

VERSION = 1
MOST_FOLDERS = 10_000
MOST_OCTETS = 1 << 22
"""More than this is no file that a person wrote."""

_MEANING = "pop2imap rules 1"
"""Part of every digest: to be changed when the same file comes to mean something else."""

_TOP = frozenset({"version", "default-folder", "me", "max-folders", "rule"})
_RULE = frozenset({"name", "when", "then"})
_SYNTAX_LINE = re.compile(r"at line (\d+)")


class TomlRules(RuleList):
    """Rules read from TOML. ``default_folder`` is as decisions spell it; ``me`` as it was written;
    ``warnings`` hold one line for each likely mistake."""

    me: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def default(into: str = "INBOX", me: Sequence[str] = ()) -> TomlRules:
    """No file: own mail, and everything else into one folder. Raises ConfigError."""
    try:
        checked_folder(into)
    except Fault as fault:
        raise ConfigError(str(fault), where="--into") from None
    return _Loader(Faults("", "(no rules)")).load({"version": VERSION}, into, me)


def load(
    path: FilePath,
    *,
    into: str | None = None,
    me: Sequence[str] = (),
    other_keys: frozenset[str] = frozenset(),
) -> TomlRules:
    """The rules in a file. Raises ConfigError: it cannot be read, or all that is wrong in it.

    ``into`` is used instead of the file's ``default-folder``; ``me`` is added to the file's; ``other_keys``
    are keys at the top that belong to somebody else.
    """
    where = str(path)
    try:
        with path.open("rb") as file:
            octets = file.read(MOST_OCTETS + 1)
    except OSError as error:
        raise ConfigError(
            f"cannot be read: {error.strerror}", where=printable(where), todo="check the path"
        ) from None
    if len(octets) > MOST_OCTETS:
        raise ConfigError(f"is too large for rules (at most {MOST_OCTETS >> 20} MiB)", where=printable(where))
    try:
        text = octets.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = octets.count(b"\n", 0, error.start) + 1
        raise _syntax(where, line, "this is not UTF-8, which TOML must be") from None
    return parse(text, where, into=into, me=me, other_keys=other_keys)


def parse(
    text: str,
    where: str,
    *,
    into: str | None = None,
    me: Sequence[str] = (),
    other_keys: frozenset[str] = frozenset(),
) -> TomlRules:
    """The rules in ``text``, which people know as ``where``. See :func:`load`."""
    import tomllib  # not loaded by runs without rules

    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = _SYNTAX_LINE.search(str(error))  # tomllib has no other way to say it before Python 3.14
        line = int(found[1]) if found else text.rstrip().count("\n") + 1
        raise _syntax(where, line, f"this is not TOML: {printable(str(error))}") from None
    except RecursionError:
        raise _syntax(where, 1, "tables and lists are nested too deeply") from None
    except ValueError:  # tomllib lets Python's own bound on numbers through
        raise _syntax(where, 1, "a number is too long") from None
    document = {key: value for key, value in document.items() if key in _TOP or key not in other_keys}
    return _Loader(Faults(text, where)).load(document, into, me)


def _syntax(where: str, line: int, what: str) -> ConfigError:
    where = printable(where)
    return ConfigError("1 fault in the rules", where=where, problems=[f"{where}:{line}: {what}"])


class _Loader:
    """Turns one parsed document into rules, and what is wrong in it into faults."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def load(self, document: Mapping[str, object], into: str | None, said_me: Sequence[str]) -> TomlRules:
        for key in document:
            if key not in _TOP:
                self._faults.add((key,), unknown("key", key, _TOP))
        self._version(document)
        me = self._me(document, said_me)
        default_folder = self._default_folder(document, into)
        max_folders = document.get("max-folders", MAX_FOLDERS)
        if (
            not isinstance(max_folders, int)
            or isinstance(max_folders, bool)
            or not 1 <= max_folders <= MOST_FOLDERS
        ):
            self._faults.add(("max-folders",), f"max-folders must be a number from 1 to {MOST_FOLDERS}")
            max_folders = MAX_FOLDERS
        rules = self._rules(document.get("rule", []), When(self._faults, has_me=bool(me)))
        self._faults.raise_if_any()
        loaded = TomlRules(
            rules,
            digest=_digest(document, default_folder, me),
            default_folder=default_folder,
            me=frozenset(map(fold, me)),
            max_folders=max_folders,
        )
        loaded.me = tuple(me)
        loaded.warnings = self._faults.warnings
        return loaded

    def _version(self, document: Mapping[str, object]) -> None:
        version = document.get("version")
        if version is None:
            self._faults.add(("version",), f"the first line must be version = {VERSION}")
        elif isinstance(version, bool) or version != VERSION:
            self._faults.add(("version",), f"version must be {VERSION}: this pop2imap knows no other")

    def _me(self, document: Mapping[str, object], said: Sequence[str]) -> list[str]:
        written = document.get("me", [])
        if not isinstance(written, list):
            self._faults.add(("me",), f'me must be a list, me = ["alice@example.com"], not {kind(written)}')
            written = []
        me: dict[str, None] = {}
        for at, one in enumerate((*written, *said)):
            path: Path = ("me", at) if at < len(written) else ()
            try:
                if not isinstance(one, str):
                    raise Fault(f"an address must be text, not {kind(one)}")
                me[literals.address(one, functools.partial(self._faults.warn, path), hint=False)] = None
            except Fault as fault:
                self._faults.add(path, f"me: {fault}")
        return list(me)

    def _default_folder(self, document: Mapping[str, object], into: str | None) -> str:
        written = document.get("default-folder", "INBOX")
        folder = "INBOX"
        try:
            if not isinstance(written, str):
                raise Fault(f"must be text, not {kind(written)}")
            folder = checked_folder(written)
        except Fault as fault:
            self._faults.add(("default-folder",), f"default-folder: {fault}")
        if into is not None:
            try:
                folder = checked_folder(into)
            except Fault as fault:
                self._faults.add((), f"--into: {fault}")
        return folder

    # --- rules -----------------------------------------------------------------------------------------------

    def _rules(self, tables: object, when: When) -> list[Rule]:
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            self._faults.add(("rule",), f"each rule begins with a line [[rule]], not with {kind(tables)}")
            return []
        rules: list[Rule] = []
        names: dict[str, int] = {fold(OWN_MAIL): 0}
        catches_all = 0
        for index, table in enumerate(tables):
            name = self._name(table, index, names)
            rule = self._rule(table, index, name, when)
            if catches_all and not rule.test.asks_for_sent:
                self._faults.warn(("rule", index), f"is never asked: rule {catches_all} takes every message")
            if isinstance(rule.test, Everything) and not rule.then.goes_on and not catches_all:
                settles = rule.then.folder is None or rule.then.folder.is_literal
                catches_all = index + 1 if settles else 0
            rules.append(rule)
        return rules

    def _name(self, table: Mapping[str, object], index: int, names: dict[str, int]) -> str:
        path: Path = ("rule", index, "name")
        number = f"rule {index + 1}"
        written = table.get("name", number)
        name = written if isinstance(written, str) else number
        self._faults.name_rule(index, name)
        if name is not written:
            self._faults.add(path, f"name must be text, not {kind(written)}")
        if not name.strip() or printable(name, 100) != name:
            self._faults.add(path, "name must be text that can be shown, of at most 100 characters")
        first = names.setdefault(fold(name), index + 1)
        if first != index + 1:
            taken = f"rule {first}" if first else "the rule for own mail, which is always there"
            self._faults.add(path, f"this name is that of {taken}: reports could not tell them apart")
        return name

    def _rule(self, table: Mapping[str, object], index: int, name: str, when: When) -> Rule:
        path: Path = ("rule", index)
        for key in table:
            if key not in _RULE:
                self._faults.add((*path, key), self._misplaced(key))
        test = when.read(table["when"], (*path, "when")) if "when" in table else Everything()
        then = Actions()
        if "then" not in table:
            self._faults.add(path, 'says nothing of what to do: then = { folder = "…" }')
        else:
            then = read_then(table["then"], (*path, "then"), self._faults)
        if then.folder is not None:
            self._check_names(then.folder, test, (*path, "then", "folder"))
        number = f"rule {index + 1}"
        return Rule(name, test, then, number if name == number else "")

    def _misplaced(self, key: str) -> str:
        if key in THEN_KEYS:
            return f'"{key}" belongs into then: then = {{ {key} = … }}'
        if key in _TOP:
            return f'"{key}" belongs to the top of the file, before the first [[rule]]'
        return unknown("key", key, _RULE)

    def _check_names(self, folder: Template, test: Test, path: Path) -> None:
        clash = test.groups & PLACEHOLDERS
        for name in sorted(clash):
            self._faults.add(
                path, f"a group of the regex is called {name}, as {{{name}}} is: name it otherwise"
            )
        for name in sorted(set(folder.names) - test.groups - PLACEHOLDERS):
            if not name.startswith("date:"):
                known = {*PLACEHOLDERS, *test.groups}
                self._faults.add(path, f"folder: {unknown('placeholder', name, known)}")


def _digest(document: Mapping[str, object], default_folder: str, me: Iterable[str]) -> str:
    """In hex: of everything that a decision may depend on, whatever way it was written."""
    told = [
        _MEANING,
        default_folder,
        sorted(map(fold, me)),
        document.get("max-folders", MAX_FOLDERS),
        document.get("rule", []),
    ]
    spelled = json.dumps(told, sort_keys=True, default=lambda value: {type(value).__name__: str(value)})
    return hashlib.sha256(spelled.encode()).hexdigest()
