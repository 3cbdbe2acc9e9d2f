"""What a test compares text with: globs, is, contains, regex, domain, lists."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pop2imap.rules.faults import Fault
from pop2imap.rules.values import (
    REGEX_SEES,
    OneOf,
    Regex,
    Texts,
    containing,
    exactly,
    fold,
    glob,
    within_domain,
)


@pytest.mark.parametrize(
    ("pattern", "matched", "not_matched"),
    [
        ("offer", ["offer", "OFFER"], ["offers", "an offer", ""]),
        ("*", ["", "anything", "two\nlines"], []),
        ("**", ["", "anything"], []),
        ("*offer", ["offer", "an Offer"], ["offers"]),
        ("offer*", ["offer", "OFFERS"], ["an offer"]),
        ("*offer*", ["offer", "an offers"], ["off er"]),
        ("a*z", ["az", "abcz", "A Z"], ["a", "z", "za", "aza"]),
        ("aa*aa", ["aaaa", "aa-aa"], ["aa", "aaa"]),
        ("a*b*c", ["abc", "a-b-c", "abbcc"], ["acb", "ab"]),
        ("?", ["x", "ü"], ["", "xy"]),
        ("a?c*", ["abc", "axc-d"], ["ac", "abbc"]),
        ("*.?", ["a.b"], ["a.bc"]),
        ("[a].+(b)", ["[A].+(B)"], ["a.+b"]),
        ("straße", ["STRASSE", "straße"], ["strase"]),
        ("GRÜN*", ["grün!", "gru\u0308n"], ["grun"]),
        ("a\\*", ["a\\b"], ["a*"]),
    ],
)
def test_a_glob_covers_the_whole_text_and_ignores_case(
    pattern: str, matched: list[str], not_matched: list[str]
) -> None:
    value = glob(pattern)
    for text in matched:
        assert value.find(Texts([text])) is not None, text
    for text in not_matched:
        assert value.find(Texts([text])) is None, text


@given(st.text("ab*?.\n", max_size=8), st.text("ab.\n", max_size=10))
@example("a*a", "a")
@example("*a*b*", "ba")
def test_a_glob_means_what_a_regex_with_dots_means(pattern: str, text: str) -> None:
    spelled = "".join({"*": ".*", "?": "."}.get(character, re.escape(character)) for character in pattern)
    expected = re.fullmatch(spelled, text, re.DOTALL) is not None
    assert (glob(pattern).find(Texts([text])) is not None) is expected


def test_is_and_contains_know_no_wildcards() -> None:
    assert exactly("a*").find(Texts(["ab"])) is None
    assert exactly("A*").find(Texts(["x", "a*"])) is not None
    assert containing("?").find(Texts(["really"])) is None
    assert containing("REALLY?").find(Texts(["oh really?!"])) is not None
    with pytest.raises(Fault, match="contained in everything"):
        containing("")


@pytest.mark.parametrize(
    ("text", "within"),
    [
        ("bob@acme.example", True),
        ("bob@mail.acme.example", True),
        ("lists.acme.example", True),
        ("acme.example", True),
        ("bob@notacme.example", False),
        ("bob@acme.example.org", False),
        ("acme.example@example.org", False),
    ],
)
def test_a_domain_is_itself_and_all_below_it(text: str, within: bool) -> None:
    assert (within_domain("ACME.example").find(Texts([text])) is not None) is within


def test_idn_domains_match_in_either_spelling() -> None:
    texts = Texts(["x@bücher.example"])  # how addresses come out of headers
    assert glob("*@xn--bcher-kva.example", domains=True).find(texts)
    assert glob("*@BÜCHER.example", domains=True).find(texts)
    assert within_domain("xn--bcher-kva.example").find(texts)
    assert glob("*@xn--?.example", domains=True).find(texts) is None


def test_a_regex_searches_anywhere_without_case_and_gives_its_groups() -> None:
    found = Regex(r"\[(?P<project>[^\]]+)\](?P<rest>x)?").find(Texts(["Re: [Builder] hello"]))
    assert found is not None
    assert found.text == "Re: [Builder] hello"
    assert found.groups == {"project": "Builder"}
    assert Regex("BUILDER").find(Texts(["builder"])) is not None
    assert Regex("(?-i)BUILDER").find(Texts(["builder"])) is None
    assert Regex("^builder$").find(Texts(["a builder"])) is None


def test_a_regex_looks_at_the_first_four_thousand_characters() -> None:
    assert Regex("x").find(Texts(["a" * REGEX_SEES + "x"])) is None
    assert Regex("x").find(Texts(["a" * (REGEX_SEES - 1) + "x"])) is not None


def test_a_megabyte_of_combining_marks_is_folded_in_linear_time() -> None:
    # put into order at once they take an hour: pytest's time limit is the assertion
    assert len(fold("a" + "\u0300\u0316" * (1 << 18))) >= 1 << 18


@pytest.mark.parametrize("length", [255, 256, 257, 511, 512, 2000])
def test_long_text_is_composed_as_if_it_were_in_one_piece(length: int) -> None:
    text = ("E\u0301te\u0301 \u1112\u1161\u11ab " * length)[:length] + "e\u0301"
    assert fold(text) == unicodedata.normalize("NFC", text.casefold())


def test_a_regex_takes_linear_time_on_what_makes_others_explode() -> None:
    # backtracking engines need longer than the age of the universe: pytest's time limit is the assertion
    assert Regex(r"(a+)+$").find(Texts(["a" * 4000 + "!"])) is None
    assert glob("*a*a*a*a*a*a*a*a*a*b").find(Texts(["a" * 100_000])) is None


@pytest.mark.parametrize(
    ("pattern", "said"),
    [("(?=x)", "(?="), (r"(a)\1", r"\1"), ("(a", "missing )"), ("a{2000}", "repetition"), ("", "empty regex"),
     (r"((((((\pL{999}){9}){9}){9}){9}){9})", ""), ("[\\x{D800}", "")],
)  # fmt: skip
def test_what_re2_does_not_take_is_a_fault_that_says_what(
    pattern: str, said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Fault) as caught:
        Regex(pattern)
    assert said in str(caught.value)
    assert capfd.readouterr().err == ""


def test_a_list_is_any_of_its_values() -> None:
    value = OneOf([glob("a@example.com"), glob("*@acme.example"), Regex("(?P<who>b.*)@")])
    assert value.groups == {"who"}
    for text, how in [("A@example.com", "is a@example.com"), ("x@acme.example", "matches *@acme.example")]:
        found = value.find(Texts(["other", text]))
        assert found is not None
        assert (found.text, found.how) == (text, how)
    caught = value.find(Texts(["bob@example.com"]))
    assert caught is not None
    assert caught.groups == {"who": "bob"}
    assert value.find(Texts(["c@example.com"])) is None
    assert value.find(Texts([])) is None


@given(st.text())
def test_folding_is_stable_and_ignores_case(text: str) -> None:
    assert fold(fold(text)) == fold(text)
    assert exactly(text).find(Texts([text])) is not None
