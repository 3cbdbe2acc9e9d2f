"""On which line of a TOML text a value stands."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from pop2imap.rules.locator import Path, locate

TEXT = '''\
version = 1 # [[rule]] in a comment
me = [
  "a@example.com", # one, [two]
  "b@example.com",
]
odd = """
[[rule]]
name = 'x' \\""" "
"""
[[rule]]
name = "a"
when = { any = [ { from = "[[rule]]" },
   { header."X-\\u0041" = ["}", ']'] } ] }
then.folder = "x"
then . "skip" = 2015-01-01 10:00:00

[[ rule ]]
[rule.when]
from = \'\'\'
[rule.then]\'\'\'
[rule.when.header]
'X-B' = 1
[a.b."c.d"]
x = [[1, 2],
  [3]]
[[a.list]]
y = 1
[[a.list]]
y = 2
[[a.list.inner]]
z = 3
'''


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("version",), 1),
        (("me", 0), 3),
        (("me", 1), 4),
        (("odd",), 6),
        (("rule",), 10),
        (("rule", 0), 10),
        (("rule", 0, "name"), 11),
        (("rule", 0, "when", "any", 0, "from"), 12),
        (("rule", 0, "when", "any", 1, "header", "X-A", 1), 13),
        (("rule", 0, "then"), 14),
        (("rule", 0, "then", "folder"), 14),
        (("rule", 0, "then", "skip"), 15),
        (("rule", 1), 17),
        (("rule", 1, "when"), 18),
        (("rule", 1, "when", "from"), 19),
        (("rule", 1, "when", "header", "X-B"), 22),
        (("a", "b", "c.d", "x", 1, 0), 25),
        (("a", "list", 1, "y"), 29),
        (("a", "list", 1, "inner", 0, "z"), 31),
    ],
)
def test_every_value_is_found_where_it_stands(path: Path, line: int, end: str) -> None:
    assert locate(TEXT.replace("\n", end), path) == line


def test_a_value_that_is_not_there_is_where_its_table_is() -> None:
    assert locate(TEXT, ("rule", 1, "then", "folder")) == 17
    assert locate(TEXT, ("rule", 0, "when", "any", 9)) == 12
    assert locate(TEXT, ("nothing",)) is None
    assert locate(TEXT, ()) is None


def marked(document: object, path: Path = ()) -> Iterator[tuple[Path, int]]:
    """Where integers stand, which in the generated documents are their own lines."""
    if isinstance(document, dict):
        for key, item in document.items():
            yield from marked(item, (*path, key))
    elif isinstance(document, list):
        for index, item in enumerate(document):
            yield from marked(item, (*path, index))
    elif isinstance(document, int):
        yield path, document


KEYS = st.sampled_from(["rule", "name", '"when"', "'a.b'", '"\\u0063"', "d-1", '"[[rule]]"', '"#"'])
FILLER = st.sampled_from(["", "# [[rule]]\n", "\n", "  # x = 1\n\n"])
STRINGS = st.sampled_from(
    ['"[[rule]]"', "'#'", '"""\n[x]\n\\"""y"""', "'''\n# \"\n'''", "2015-01-01 10:00:00", '"\\\\"']
)


@st.composite
def documents(draw: st.DrawFn) -> str:
    """TOML in which every integer is the number of its line (written first as ``@``)."""

    def value(depth: int) -> str:
        how = draw(st.integers(0, 4 if depth < 3 else 1))
        if how == 0:
            return "@"
        if how == 1:
            return draw(STRINGS)
        items = [value(depth + 1) for _ in range(draw(st.integers(0, 3)))]
        if how == 2:
            between = draw(st.sampled_from([", ", ",\n  ", " # ],\n  , "]))
            return f"[{between.join(items)}]"
        return "{ " + ", ".join(f"k{nth} = {item}" for nth, item in enumerate(items)) + " }"

    text = ""
    for nth in range(draw(st.integers(1, 4))):
        header = draw(st.sampled_from(["", "[[rule]]\n", f"[t{nth}.x]\n", "[[ 'list' . deep ]] # y\n"]))
        text += draw(FILLER) + (header if nth else "")
        for key in draw(st.lists(KEYS, unique=True, max_size=3)):
            text += f"{draw(FILLER)}p{nth}.{key} = {value(0)} # end\n"
    lines = text.split("\n")
    return "\n".join(line.replace("@", str(number)) for number, line in enumerate(lines, start=1))


@given(documents())
def test_the_scanner_follows_whatever_tomllib_accepts(text: str) -> None:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:  # some combinations are none: a key twice, a line end in an inline table
        reject()
    for path, line in marked(document):
        assert locate(text, path) == line


@given(
    st.one_of(
        st.text(), st.lists(st.sampled_from([*"[]{}\"'=,#.\n\\a 1", '"""', "'''"]), max_size=40).map("".join)
    )
)
def test_what_is_not_toml_gives_some_line_or_none(text: str) -> None:
    found = locate(text, ("a", "a", 0))
    assert found is None or 1 <= found <= text.count("\n") + 1
