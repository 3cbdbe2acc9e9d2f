"""The index of a Thunderbird folder: what is read of it, later changes, damage, and hostile ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pop2imap.sources.mbox_flags import Tagged
from pop2imap.sources.mork import Index, read_index

COLUMNS = b"""// <!-- <mdb:mork:z v="1.4"/> -->
< <(a=c)> // (f=iso-8859-1)
  (80=ns:msg:db:row:scope:msgs:all)(81=storeToken)(82=keywords)(83=flags)(84
    =ns:msg:db:row:scope:dbfolderinfo:all)(85=folderSize)(86=folderName)
  (96=ns:msg:db:table:kind:msgs)(87=subject)>
"""
ROWS = b"""<(90=462)(91=\\$label1 m=c3=b6bel)(92=5)(93=never to be read)(94=395)>
{1:^80 {(k^96:c)(s=9)}
  [1(^87^93)(^81=0)(^83=0)]
  [2(^87^93)(^81^90)
    (^82^91)(^83^92)]}
{2:^80 {(k^96:c)(s=9)2:m } 2 }
[2:m(^81=7)(^82=other)]
{1:^84 {(k^96:c)(s=9)} [1(^85^94)(^86=Sent)]}
"""
SOUND = COLUMNS + ROWS
TAGGED = {"462": Tagged(frozenset({"$label1", "m=c3=b6bel"}), frozenset({"\\Seen", "\\Flagged"}))}


def group(text: bytes, end: bytes = b"@$$}1}@") -> bytes:
    return b"\n@$${1{@\n" + text + b"\n" + end + b"\n"


def words(octets: bytes) -> dict[str, set[str]]:
    return {where: set(tagged.keywords) for where, tagged in read_index(octets).tagged.items()}


def test_what_an_index_says() -> None:
    assert read_index(SOUND) == Index(TAGGED, 917, "Sent")


def test_later_cells_count() -> None:
    more = group(b"<(91=)(95=one)>[2:^80(^82^95)]") + group(b"[1:^80(^82=two three)(^83=1)][1:^84(^85=400)]")
    index = read_index(COLUMNS + ROWS.replace(b"(91=", b"(9F=").replace(b"^91", b"^9F") + more)
    assert {where: set(tagged.keywords) for where, tagged in index.tagged.items()} == {
        "462": {"one"},
        "0": {"two", "three"},
    }
    assert index.size == 0x400


@pytest.mark.parametrize(
    "end", [b"@$$}~~}@", b"@$$}~abort~1}@", b"@$$}2}@", b""], ids=["aborted", "named", "another", "cut off"]
)
def test_what_was_not_committed_does_not_count(end: bytes) -> None:
    assert read_index(SOUND + group(b"[2:^80(^82=wrong)]", end)).tagged == TAGGED


def test_what_follows_an_aborted_group_counts() -> None:
    octets = SOUND + group(b"[2:^80(^82=wrong)]", b"@$$}~~}@") + group(b"[2:^80(^82=right)]")
    assert words(octets) == {"462": {"right"}}


def test_rows_that_begin_anew_or_leave_the_table() -> None:
    assert words(SOUND + group(b"[-2:^80(^81=500)(^82=x)]")) == {"500": {"x"}}
    assert words(SOUND + group(b"[-2:^80(^81=500)]")) == {}
    assert words(SOUND + group(b"{1:^80 {(k^96:c)(s=9)} -2 }")) == {}


def test_tags_that_were_taken_off_again() -> None:
    assert words(SOUND + group(b"[2:^80(^82=)]")) == {}


def test_two_rows_at_one_place_say_nothing() -> None:
    assert words(SOUND + group(b"[3:^80(^81=462)(^82=x)]")) == {}


def test_rows_after_a_table_keep_their_own_scope() -> None:
    assert words(
        COLUMNS + b"{1:^80 {(k^96:c)} [1(^81=0)(^82=x)]} [2(^81=1)(^82=y)] [3:^84(^81=2)(^82=z)]"
    ) == {"0": {"x"}}


def test_a_row_after_the_description_of_its_table() -> None:
    assert words(COLUMNS + b"{1:^80 {(k^96:c)(s=9)2:m } 7 [1(^81=0)(^82=x)]}") == {"0": {"x"}}


def test_rows_with_a_description_of_their_own() -> None:
    assert words(COLUMNS + b"[1:^80[(a=b)](^81=0)(^82=x)]{1:^80 [2[(a=b)](^81=1)(^82=y)]}") == {
        "0": {"x"},
        "1": {"y"},
    }


def test_what_looks_like_a_cell_in_a_value_is_none() -> None:
    assert words(COLUMNS + b"[1:^80(^81=0)(^87=a (^82=x)]") == {}
    assert words(COLUMNS + b"<(90=a (91=y)(91=z)>[1:^80(^81=0)(^82^91)]") == {"0": {"z"}}


def test_escapes() -> None:
    octets = COLUMNS + b"[1:^80(^81=B$C3$BCro \\)\\\\\\$.eml)(^82=lo\\\nng $61bc)]"
    assert words(octets) == {"Büro )\\$.eml": {"long", "abc"}}


def test_words_that_can_be_no_keywords_are_left_out() -> None:
    assert words(COLUMNS + b"[1:^80(^81=0)(^82=\\\\\\\\Seen b\\(d good)]") == {"0": {"good"}}


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"From - Thu Nov 29 19:33:09 2018\n",
        SOUND + b"[2:^80(^82=x",
        SOUND + b"[2:^80(^82=x)",
        SOUND + b"}",
        SOUND + b"[2:^80(^82=x)}",
        SOUND + b"@$$}1}@",
        SOUND + b"@$${1{@@$${1{@ @$$}1}@",
        SOUND + b"{" * 100,
        SOUND + b"[2:^80" + b"(^82=x)" * 40_000 + b"]",
    ],
)
def test_what_is_damaged_says_nothing(octets: bytes) -> None:
    assert read_index(octets) == Index()


def test_many_rows_with_values_that_do_not_matter() -> None:
    rows = b"".join(
        b"<(%X=subject %d)>[%X:^80(^87^%X)(^81=%d)]" % (256 + n, n, n, 256 + n, n) for n in range(5000)
    )
    assert words(COLUMNS + rows + b"[7:^80(^82=x)]") == {"7": {"x"}}


PIECES = st.sampled_from(
    [
        *(SOUND, COLUMNS, ROWS, b"<", b">", b"[", b"]", b"{", b"}", b"(", b")", b"\\", b"$", b"$4", b"\n"),
        *(b"@$$}1}@", b"@$${1{@", b"@$$}~~}@", b"//", b"<(a=c)>", b"(80=", b"(^82^91)", b"(^81=0)"),
        *(b"[2:^80", b"-2", b":^", b"^", b"="),
    ]
)


@given(st.lists(PIECES | st.binary(max_size=6)))
def test_never_fails(pieces: list[bytes]) -> None:
    index = read_index(b"".join(pieces))
    assert all(where and tagged.keywords for where, tagged in index.tagged.items())


@given(st.integers(0, len(SOUND)), st.binary(max_size=4))
def test_never_fails_where_something_was_written_over(at: int, octets: bytes) -> None:
    read_index(SOUND[:at] + octets + SOUND[at + len(octets) :])


@pytest.mark.parametrize(
    "piece", [b"(", b"(80=", b"[2:^80(^82=", b"@$${1{@", b"@$$}1}@", b"\\(", b"<(80=x)>", b"12", b"-"]
)
def test_long_ones_take_no_longer(piece: bytes) -> None:
    read_index(COLUMNS + piece * 100_000)
