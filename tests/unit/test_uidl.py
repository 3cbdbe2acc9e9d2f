"""What a UIDL says of UIDVALIDITY and UID."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pop2imap.uidl import ImapName, imap_name

NUMBERS = st.integers(1, 2**32 - 1)


@pytest.mark.parametrize(
    ("uidl", "name"),
    [
        ("0000000a5f3e2d1c", ImapName(16, 0x5F3E2D1C, 10)),
        ("0000000A5F3E2D1C", ImapName(16, 0x5F3E2D1C, 10)),
        ("1234567890123456", ImapName(16, 0x90123456, 0x12345678)),
        ("1598012700.10", ImapName(10, 1598012700, 10)),
        ("0000000a00000000", None),
        ("000000005f3e2d1c", None),
        ("4294967296.1", None),
        ("1598012700.010", None),
        ("1598012700.0", None),
        ("10", None),
        ("UID10-1598012700", None),  # Courier
        ("GmailId14c1e7b3a5f0d2e9", None),
        ("0000000a5f3e2d1c ", None),
        ("0000000a5f3e2d1c\n", None),
        ("\uff11.\uff11", None),
        ("", None),
    ],
)
def test_what_each_form_says(uidl: str, name: ImapName | None) -> None:
    assert imap_name(uidl) == name


@given(NUMBERS, NUMBERS)
def test_numbers_come_back_as_they_were_written(uidvalidity: int, uid: int) -> None:
    assert imap_name(f"{uid:08x}{uidvalidity:08x}") == ImapName(16, uidvalidity, uid)
    assert imap_name(f"{uidvalidity}.{uid}") == ImapName(10, uidvalidity, uid)


@given(
    st.text("0123456789abF", min_size=16, max_size=16) | st.text("0123.", max_size=5) | st.text(max_size=24)
)
def test_no_two_uidls_of_one_form_say_the_same_but_for_case(uidl: str) -> None:
    if name := imap_name(uidl):
        _, uidvalidity, uid = name
        written = f"{uid:08x}{uidvalidity:08x}" if name.base == 16 else f"{uidvalidity}.{uid}"
        assert uidl.lower() == written
