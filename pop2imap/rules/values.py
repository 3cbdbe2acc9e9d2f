"""What a test compares text with: the value forms of the rule language.

Every comparison ignores case (Unicode case folding, on composed text), as mail does. A *glob* covers the whole
text: ``*`` stands for any characters, ``?`` for one; a *regex* may match anywhere in its first ``REGEX_SEES``
characters. Regular expressions are RE2's, so that no pattern and no hostile header can take more than linear
time; globs are plain prefix, suffix and substring tests where that suffices, and RE2 where not.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from pop2imap.addresses import unicode_domain
from pop2imap.rules.faults import Fault
from pop2imap.text import printable

REGEX_SEES = 4096
"""Characters of a text that a regex looks at."""

_REGEX_MEMORY = 4 << 20

_PIECE = re.compile(r"(?s).{1,256}(?=[\x00-\x7f]|\Z)|.{1,256}")


def fold(text: str) -> str:
    """``text`` for comparing: without case, composed.

    It is composed piece by piece: the time for one piece grows with the square of its combining marks, and a
    hostile header may be a million of those. Nothing composes with an ASCII character after it, so pieces end
    before one, and only marks without end are cut elsewhere.
    """
    if text.isascii():
        return text.lower()
    return "".join(unicodedata.normalize("NFC", piece) for piece in _PIECE.findall(text.casefold()))


class Texts:
    """Texts that a test looks at: as they were written, and folded. Never changed."""

    __slots__ = ("folded", "written")

    def __init__(self, written: Iterable[str]) -> None:
        self.written = tuple(written)
        self.folded = tuple(map(fold, self.written))


class Found(NamedTuple):
    """A text that a value matched, how, and what its named groups caught."""

    text: str
    how: str
    groups: Mapping[str, str]


_NO_GROUPS: Mapping[str, str] = {}


class Value(Protocol):
    """One value form."""

    groups: frozenset[str]
    """Names of the groups that a match may give."""

    def find(self, texts: Texts) -> Found | None:
        """The first of ``texts`` that matches."""

    def describe(self) -> str:
        """In words, to stand after the name of what is looked at: ``matches *@acme.example``."""


class Comparison:
    """A glob, ``is``, ``contains`` or ``domain``: made by the functions below."""

    __slots__ = ("_accepts", "_words", "exact", "groups")

    def __init__(self, words: str, accepts: Callable[[str], bool], exact: str | None = None) -> None:
        self._words = words
        self._accepts = accepts
        self.exact = exact  # the one folded text that it accepts, if there is only one
        self.groups: frozenset[str] = frozenset()

    def find(self, texts: Texts) -> Found | None:
        for at, text in enumerate(texts.folded):
            if self._accepts(text):
                return Found(texts.written[at], self._words, _NO_GROUPS)
        return None

    def describe(self) -> str:
        return self._words


def exactly(text: str) -> Comparison:
    """``{ is = text }``"""
    folded = fold(text)
    return Comparison(f"is {_shown(text)}", folded.__eq__, folded)


def containing(text: str) -> Comparison:
    """``{ contains = text }``. Raises Fault if ``text`` is empty."""
    if not text:
        raise Fault('an empty text is contained in everything; "*" matches whatever is there')
    folded = fold(text)
    return Comparison(f"contains {_shown(text)}", lambda other: folded in other)


def within_domain(domain: str) -> Comparison:
    """``{ domain = name }``: what ends in that domain or in one below it, for addresses and list ids."""
    name = unicode_domain(fold(domain).strip("."))
    ends = (f"@{name}", f".{name}")
    return Comparison(f"is in the domain {_shown(name)}", lambda text: text.endswith(ends) or text == name)


def glob(pattern: str, *, domains: bool = False) -> Comparison:
    """A text with ``*`` and ``?``. ``domains``: it stands for an address, its IDN labels become Unicode."""
    words = f"matches {_shown(pattern)}"
    folded = fold(pattern)
    if domains and "xn--" in folded:
        folded = re.sub(r"xn--[a-z0-9-]+", lambda label: unicode_domain(label[0]), folded)
    parts = re.sub(r"\*+", "*", folded).split("*")
    if "?" in folded:
        return Comparison(words, _by_regex(parts))
    match parts:
        case [whole]:
            return Comparison(f"is {_shown(pattern)}", whole.__eq__, whole)
        case ["", ""]:
            return Comparison(words, lambda text: True)
        case ["", end]:
            return Comparison(words, lambda text: text.endswith(end))
        case [start, ""]:
            return Comparison(words, lambda text: text.startswith(start))
        case ["", middle, ""]:
            return Comparison(words, lambda text: middle in text)
        case [start, end]:
            least = len(start) + len(end)
            return Comparison(
                words, lambda text: len(text) >= least and text.startswith(start) and text.endswith(end)
            )
    return Comparison(words, _by_regex(parts))


def _by_regex(parts: Sequence[str]) -> Callable[[str], bool]:
    """A glob that plain tests cannot decide; ``parts`` are what its stars separate."""
    import re2

    spelled = ".*".join(".".join(map(re2.escape, part.split("?"))) for part in parts)
    matches = _compiled(f"(?s){spelled}", ignore_case=False).fullmatch
    return lambda text: matches(text) is not None


class Regex:
    """``{ regex = pattern }``. Raises Fault for what RE2 does not take."""

    __slots__ = ("_search", "_words", "groups")

    def __init__(self, pattern: str) -> None:
        if not pattern:
            raise Fault('an empty regex matches everything; "*" matches whatever is there')
        compiled = _compiled(pattern, ignore_case=True)
        self._search = compiled.search
        self._words = f"matches the regex {_shown(pattern)}"
        self.groups = frozenset(compiled.groupindex)

    def find(self, texts: Texts) -> Found | None:
        for text in texts.written:
            if (found := self._search(text[:REGEX_SEES])) is not None:
                caught = {name: value for name, value in found.groupdict().items() if value}
                return Found(text, self._words, caught)
        return None

    def describe(self) -> str:
        return self._words


# mypy knows nothing of re2, whose wheels carry no types
def _compiled(pattern: str, *, ignore_case: bool):  # type: ignore[no-untyped-def]
    import re2  # loaded only by runs that have patterns

    options = re2.Options()
    options.log_errors = False  # or RE2 writes them to stderr
    options.max_mem = _REGEX_MEMORY
    options.case_sensitive = not ignore_case
    try:
        return re2.compile(pattern, options)
    except (re2.error, UnicodeError) as error:
        said = error.args[0] if error.args else ""
        raise Fault(
            f"RE2 does not take the regex {_shown(pattern)}: {printable(said, 100)} "
            "(it has no look-around and no back-references, and repeats up to 1000 times)"
        ) from None


class OneOf:
    """A list: any of its values. Whole texts are looked up, however many there are."""

    __slots__ = ("_exact", "_others", "_values", "groups")

    def __init__(self, values: Sequence[Value]) -> None:
        self._values = tuple(values)
        self._exact: dict[str, Comparison] = {}
        others: list[Value] = []
        for value in values:
            if isinstance(value, Comparison) and value.exact is not None:
                self._exact.setdefault(value.exact, value)
            else:
                others.append(value)
        self._others = tuple(others)
        self.groups = frozenset().union(*(value.groups for value in values))

    def find(self, texts: Texts) -> Found | None:
        if self._exact:
            for at, text in enumerate(texts.folded):
                if value := self._exact.get(text):
                    return Found(texts.written[at], value.describe(), _NO_GROUPS)
        for other in self._others:
            if found := other.find(texts):
                return found
        return None

    def describe(self) -> str:
        return " or ".join(value.describe() for value in self._values)


def _shown(text: str) -> str:
    return printable(text, 100)
