"""What FETCH answers, as imaplib collects it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pop2imap.errors import ProtocolError
from pop2imap.target.fetched import BodyDigest, Record, bodies, found, heads, number, responses, uid, uid_set


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        (b" 1-Feb-2003 04:05:06 +0000", datetime(2003, 2, 1, 4, 5, 6, tzinfo=UTC)),
        (b"1-feb-2003 04:05:06 +0000", datetime(2003, 2, 1, 4, 5, 6, tzinfo=UTC)),
        (b"01-Feb-2003 04:05:06 -0230", datetime(2003, 2, 1, 6, 35, 6, tzinfo=UTC)),
        (b"31-Dec-2016 23:59:60 +0000", datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC)),
        (b"31-Feb-2003 04:05:06 +0000", datetime(1970, 1, 1, tzinfo=UTC)),
        (b"01-Xxx-2003 04:05:06 +0000", datetime(1970, 1, 1, tzinfo=UTC)),
        (b"01-Feb-2003 04:05:06 +9999", datetime(1970, 1, 1, tzinfo=UTC)),
        (b"01-Jan-0001 04:05:06 +2300", datetime(1970, 1, 1, tzinfo=UTC)),
        (b"01-nfe-2003 04:05:06 +0000", datetime(1970, 1, 1, tzinfo=UTC)),
        (b"yesterday", datetime(1970, 1, 1, tzinfo=UTC)),
    ],
)
def test_internal_dates(date: bytes, expected: datetime) -> None:
    one = found(b'1 (UID 5 RFC822.SIZE 3 INTERNALDATE "' + date + b'" FLAGS ())')
    assert one is not None
    assert one.date == expected


def test_items_come_in_any_order_and_case() -> None:
    one = found(
        b'1 (flags (\\Seen \\Recent $x) internaldate "01-Feb-2003 04:05:06 +0000" rfc822.size 3 uid 5)'
    )
    assert one is not None
    assert (one.uid, one.size, sorted(one.flags)) == (5, 3, ["$x", "\\Seen"])


@pytest.mark.parametrize(
    "response", [b"1 (FLAGS (\\Seen))", b"1 (UID 5)", b"1 (XUID 5 RFC822.SIZE 3)", b"", b"1 (UID 5"]
)
def test_what_does_not_tell_uid_and_size_is_not_a_message(response: bytes) -> None:
    assert found(response) is None


@given(st.binary(max_size=100))
def test_no_octets_upset_the_reading(octets: bytes) -> None:
    found(b"1 (UID 5 RFC822.SIZE 3 " + octets + b")")
    uid(octets)
    number(octets)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(5, 5), (b"5", 5), (b"5.0", 5), (b"-5", None), (-5, None), (b"5.5", None), (b"", None), (None, None),
     (b"9" * 20, None), (1 << 64, None), ("5", None), (b"5 ", None)],
)  # fmt: skip
def test_numbers(value: object, expected: int | None) -> None:
    assert number(value) == expected


def test_responses_are_put_together_around_their_literals() -> None:
    records: list[Record | None] = [
        (b"1 (UID 5 BODY[] {3}", b"abc"),
        b" FLAGS ())",
        b"2 (FLAGS ())",
        None,
        (b"3 ({1}", b"x"),
        (b" {1}", b"y"),
        b")",
    ]
    assert list(responses(records)) == [b"1 (UID 5 BODY[] {3} FLAGS ())", b"2 (FLAGS ())", b"3 ({1} {1})"]


def test_each_literal_belongs_to_its_message() -> None:
    first, second = BodyDigest(), BodyDigest()
    records: list[Record | None] = [
        (b"1 (UID 5 BODY[] {3}", b""),
        b")",
        b"2 (FLAGS (UID 6))",
        (b"3 (BODY[] {1}", b""),
        b" UID 7)",
    ]
    assert list(bodies(records, [first, second])) == [(5, first), (7, second)]


@pytest.mark.parametrize("literals", [0, 1, 3])
def test_a_wrong_number_of_literals_is_noticed(literals: int) -> None:
    records: list[Record | None] = [(b"1 (UID 5 BODY[] {3}", b""), b")", (b"3 (BODY[] {1}", b""), b" UID 7)"]
    with pytest.raises(ProtocolError):
        list(bodies(records, [BodyDigest() for _ in range(literals)]))


@pytest.mark.parametrize(
    ("uids", "written"),
    [([], ""), ([5], "5"), ([1, 2, 3], "1:3"), ([1, 3, 4, 9], "1,3:4,9"), ([1, 2, 4, 5, 6, 8], "1:2,4:6,8")],
)
def test_uids_are_written_as_ranges(uids: list[int], written: str) -> None:
    assert uid_set(uids) == written


@pytest.mark.parametrize(
    ("records", "told"),
    [
        (
            [
                (b"1 (UID 5 BODY[HEADER.FIELDS (MESSAGE-ID)] {4}", b"a\r\n\r"),
                b")",
                (b'2 (BODY[HEADER.FIELDS ("MESSAGE-ID")] {1}', b"b"),
                b" UID 6)",
            ],
            [(5, b"a\r\n\r"), (6, b"b")],
        ),
        ([b'1 (UID 5 BODY[HEADER.FIELDS (Message-ID)] " UID 7 ")', b"2 (FLAGS (\\Seen))"], [(5, b" UID 7 ")]),
        ([b"1 (UID 5 BODY[HEADER.FIELDS (MESSAGE-ID)] NIL)", None], [(5, b"")]),
        ([b"1 (BODY[HEADER.FIELDS (MESSAGE-ID)] NIL)"], []),
        ([b"1 (UID 5 BODY[HEADER.FIELDS (MESSAGE-ID)] {4})"], []),
        ([(b"1 (UID 5 BODY[] {4}", b"abcd"), b")"], []),
    ],
)
def test_message_ids(records: list[Record | None], told: list[tuple[int, bytes]]) -> None:
    assert list(heads(records)) == told


@given(st.lists(st.binary(max_size=60) | st.tuples(st.binary(max_size=60), st.binary(max_size=9))))
def test_no_octets_upset_the_reading_of_message_ids(records: list[Record | None]) -> None:
    list(heads(records))
