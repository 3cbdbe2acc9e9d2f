"""STAT, LIST and UIDL together make one listing, whether or not they agree."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pop2imap.model import Key, Ref, Remark
from pop2imap.sources.pop3_listing import MOST, Names, Scan, Table, drop_count, merge, number
from pop2imap.sources.pop3_wire import LIST_LIMIT, Status

SOURCE = "pop3:alice@pop.example:995"


def listing(
    scan_lines: list[bytes], name_lines: list[bytes] | None, count: int | None = None
) -> tuple[list[Ref], tuple[Remark, ...]]:
    scan = Scan()
    scan.add(scan_lines)
    names = None
    if name_lines is not None:
        names = Names()
        names.add(name_lines)
    if count is None:
        count = len(scan.numbers)
    table, remarks = merge(SOURCE, count, scan, names)
    return list(table), remarks


def key(name: str, nth: int = 0) -> Key:
    return Key(SOURCE, name, nth)


@pytest.mark.parametrize(
    ("octets", "value"),
    [
        (b"0", 0),
        (b"007", 7),
        (b"1099511627776", MOST),
        (b"1099511627777", None),
        (b"9" * 19, None),
        (b"12.", 12),
        (b"12.000", 12),
        (b"12.5", None),
        (b"-1", None),
        (b"+1", None),
        (b"1e3", None),
        (b"1_0", None),
        (b"9" * 20, None),
        ("٣".encode(), None),
        (b"", None),
    ],
)
def test_numbers_are_digits_and_perhaps_an_empty_fraction(octets: bytes, value: int | None) -> None:
    assert number(octets) == value


def test_all_the_sizes_that_a_list_may_hold_add_up_to_what_a_journal_can_keep() -> None:
    assert MOST * LIST_LIMIT < 1 << 63


@pytest.mark.parametrize(
    ("text", "count"), [("3 1200", 3), ("0", 0), ("3 1200 octets in all", 3), ("many", None), ("", None)]
)
def test_stat_says_how_many(text: str, count: int | None) -> None:
    assert drop_count(Status(True, "", text)) == count


def test_what_agrees_needs_no_remark() -> None:
    refs, remarks = listing([b"1 100", b"2 200"], [b"1 a", b"2 b"])
    assert refs == [Ref(1, key("a"), 100), Ref(2, key("b"), 200)]
    assert remarks == ()


def test_spaces_and_words_at_the_end_do_no_harm() -> None:
    refs, remarks = listing([b" 1   100 ", b"2\t200.0 octets"], [b"1    a ", b" 2 b"])
    assert refs == [Ref(1, key("a"), 100), Ref(2, key("b"), 200)]
    assert remarks == ()


def test_without_uidl_nothing_has_a_key() -> None:
    refs, (remark,) = listing([b"1 100", b"2 200"], None)
    assert refs == [Ref(1, None, 100), Ref(2, None, 200)]
    assert remark.count == 2
    assert "no UIDL" in remark.text
    assert listing([], None) == ([], ())


def test_a_name_that_repeats_is_counted_in_order() -> None:
    refs, (remark,) = listing([b"%d 9" % n for n in range(1, 6)], [b"1 a", b"2 b", b"3 a", b"4 a", b"5 b"])
    assert [ref.key for ref in refs] == [key("a"), key("b"), key("a", 1), key("a", 2), key("b", 1)]
    assert remark.count == 3


@pytest.mark.parametrize(
    "broken",
    [
        b"2",
        b"2 ",
        b"2 two words",
        b"2 " + b"x" * 256,
        b"2 caf\xe9",
        b"2 \x1b[31m",
        b"2 sha256:" + b"0" * 64,
        b"2 position:2",
    ],
)
def test_a_broken_name_costs_that_message_its_key(broken: bytes) -> None:
    refs, (odd, unnamed) = listing([b"1 1", b"2 2", b"3 3"], [b"1 a", broken, b"3 c"])
    assert [ref.key for ref in refs] == [key("a"), None, key("c")]
    assert odd.count == unnamed.count == 1
    assert odd.text.isprintable()
    assert "UIDL" in odd.text


@pytest.mark.parametrize("broken", [b"", b"x b", b"0 b", b"-2 b", b"2.5 b"])
def test_a_name_for_no_number_is_no_name(broken: bytes) -> None:
    refs, remarks = listing([b"1 1", b"2 2", b"3 3"], [b"1 a", broken, b"3 c"])
    assert refs == [Ref(1, key("a"), 1), Ref(2, None, 2), Ref(3, key("c"), 3)]
    assert [remark.count for remark in remarks] == [1, 1, 1]


def test_a_broken_size_is_an_unknown_size() -> None:
    refs, (remark,) = listing([b"1 -1", b"2", b"garbage", b"3 3"], [b"1 a", b"2 b", b"3 c"])
    assert [ref.size for ref in refs] == [0, 0, 3]
    assert remark.count == 3


def test_messages_that_only_one_reply_knows_are_all_listed() -> None:
    refs, remarks = listing([b"1 10", b"2 20"], [b"2 b", b"3 c"])
    assert refs == [Ref(1, None, 10), Ref(2, key("b"), 20), Ref(3, key("c"), 0)]
    texts = [remark.text for remark in remarks]
    assert any("LIST reply and not in the UIDL" in text for text in texts)
    assert any("UIDL reply and not in the LIST" in text for text in texts)


def test_an_empty_uidl_reply_names_nothing() -> None:
    refs, remarks = listing([b"1 10", b"2 20"], [])
    assert [ref.key for ref in refs] == [None, None]
    assert remarks[0].count == 2


def test_stat_may_count_differently() -> None:
    _, (remark,) = listing([b"1 10"], [b"1 a"], count=5)
    assert "STAT counts 5" in remark.text
    assert "LIST shows 1" in remark.text


def test_numbers_out_of_order_are_put_in_order() -> None:
    scan, names = Scan(), Names()
    scan.add([b"3 30", b"1 10", b"7 70"])
    names.add([b"7 g", b"3 c", b"1 a"])
    table, _ = merge(SOURCE, 3, scan, names)
    assert list(table) == [Ref(1, key("a"), 10), Ref(2, key("c"), 30), Ref(3, key("g"), 70)]
    assert [table.message_number(ref) for ref in table] == [1, 3, 7]
    with pytest.raises(IndexError):
        table.message_number(Ref(4, None, 0))
    with pytest.raises(IndexError):
        table.message_number(Ref(0, None, 0))


def test_a_number_that_comes_twice_is_one_message() -> None:
    refs, remarks = listing([b"1 10", b"1 11", b"2 20"], [b"1 a", b"2 b", b"2 c"], count=2)
    assert refs == [Ref(1, key("a"), 10), Ref(2, None, 20)]
    assert len([remark for remark in remarks if "twice" in remark.text]) == 2


LINE = st.one_of(
    st.binary(max_size=12),
    st.builds(
        b"%d %s".__mod__, st.tuples(st.integers(0, 6), st.sampled_from([b"a", b"b", b"c", b"10", b"-1", b""]))
    ),
)


@given(st.lists(LINE, max_size=8), st.lists(LINE, max_size=8), st.none() | st.integers(0, 9))
def test_whatever_comes_the_listing_is_sound(
    scans: list[bytes], names: list[bytes], count: int | None
) -> None:
    refs, remarks = listing(scans, names, count)
    assert [ref.position for ref in refs] == list(range(1, len(refs) + 1))
    keys = [ref.key for ref in refs if ref.key is not None]
    assert len(set(keys)) == len(keys)
    numbers = {number(line.split()[0]) for line in [*scans, *names] if line.split()} - {None, 0}
    assert len(refs) == len(numbers)
    assert all(remark.text.isprintable() for remark in remarks)


def test_a_long_listing_is_small() -> None:
    messages = 20_000
    tracemalloc.start()
    try:
        scan, names = Scan(), Names()
        for start in range(1, messages + 1, 1000):  # as they come
            scan.add([b"%d %d" % (n, n * 1000) for n in range(start, start + 1000)])
            names.add([b"%d %030d" % (n, n) for n in range(start, start + 1000)])
        table, remarks = merge(SOURCE, messages, scan, names)
        del scan, names
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert remarks == ()
    assert isinstance(table, Table)
    assert table[messages - 1] == Ref(messages, key(f"{messages:030}"), messages * 1000)
    assert held / messages < 60
    assert peak / messages < 150
