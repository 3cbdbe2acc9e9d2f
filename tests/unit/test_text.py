"""Foreign text never reaches a terminal raw."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pop2imap.text import printable


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("-ERR no such user", "-ERR no such user"),
        ("\x1b[2J\x07gone", "\\x1b[2J\\x07gone"),
        ("one\r\ntwo\tthree", "one\\x0d\\x0atwo\\x09three"),
        ("del\x7f c1\x9b0m", "del\\x7f c1\\x9b0m"),
        ("exe.\u202efdp", "exe.\\u202efdp"),
        ("\u2066isolate\u2069 \u200fmark \u061c", "\\u2066isolate\\u2069 \\u200fmark \\u061c"),
        ("two\u2028lines\u2029", "two\\u2028lines\\u2029"),
        ("tag\U000e0041", "tag\\U000e0041"),
        ("zero\u200bwidth\ufeff", "zero\\u200bwidth\\ufeff"),
        ("Größe 日本語 🎉", "Größe 日本語 🎉"),
        ("می\u200cخواهم 👩\u200d💻", "می\u200cخواهم 👩\u200d💻"),
        ("\\Seen", "\\Seen"),
    ],
)
def test_what_moves_the_terminal_is_escaped_and_what_people_write_is_kept(raw: str, shown: str) -> None:
    assert printable(raw) == shown


def test_octets_that_are_not_utf8_are_shown_as_octets() -> None:
    assert printable(b"caf\xe9 \xc3\xa9") == "caf\\xe9 é"
    assert printable("caf\udce9") == "caf\\xe9"


def test_a_long_text_is_cut_and_says_so() -> None:
    assert printable("x" * 300, 10) == "x" * 9 + "…"
    assert printable(b"x" * 300, 10) == "x" * 9 + "…"
    assert printable("x" * 10, 10) == "x" * 10


@given(st.text() | st.binary(), st.integers(min_value=1, max_value=50))
def test_whatever_comes_the_result_is_one_short_line_without_controls(raw: str | bytes, limit: int) -> None:
    shown = printable(raw, limit)
    assert len(shown) <= limit
    shown.encode("utf-8")
    assert len(shown.splitlines()) <= 1
    assert not any(unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"} for c in shown)
    assert not any(
        unicodedata.bidirectional(c) in {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
        for c in shown
    )
