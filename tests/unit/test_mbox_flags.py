from __future__ import annotations

import pytest

from pop2imap.octets import HEAD_LIMIT
from pop2imap.sources.mbox_flags import KEYWORD_LIMIT, Head, content_length, end_of_head

PLAIN = b"From: alice@example.com\nSubject: Hello\n\n"


def head(text: bytes, *, crlf_before: bool = False) -> Head:
    return Head(text, crlf_before=crlf_before)


def flags(text: bytes) -> frozenset[str] | None:
    return head(text + PLAIN).state().flags


def test_no_status_line_at_all_means_that_nothing_is_known() -> None:
    assert head(PLAIN).state().flags is None
    assert head(PLAIN).kept == PLAIN


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (b"Status: RO\n", {"\\Seen"}),
        (b"Status: O\n", set()),
        (b"Status:\n", set()),
        (b"Status: RO\nX-Status: AF\n", {"\\Seen", "\\Answered", "\\Flagged"}),
        (b"Status: r\n", {"\\Answered"}),
        (b"X-Status: T\n", {"\\Draft"}),
        (b"status : RO\r\nx-STATUS:F\r\n", {"\\Seen", "\\Flagged"}),
        (b"X-Keywords: $Label1 work\n", {"$Label1", "work"}),
        (b"X-Mozilla-Status: 0001\nX-Mozilla-Status2: 00000000\n", {"\\Seen"}),
        (b"X-Mozilla-Status: 0000\n", set()),
        (b"X-Mozilla-Status: 1007\n", {"\\Seen", "\\Answered", "\\Flagged", "$Forwarded"}),
        (b"X-Mozilla-Status: 0001\nX-Mozilla-Status2: 00800000\n", {"\\Seen", "$MDNSent"}),
        (b"X-Mozilla-Status: 0001\nX-Mozilla-Status2: 04000000\n", {"\\Seen", "$label2"}),
        (
            b"X-Mozilla-Status: 0001\nX-Mozilla-Keys: $label1 NonJunk      \n",
            {"\\Seen", "$label1", "NonJunk"},
        ),
        (b"X-Mozilla-Status: 0000\nX-Mozilla-Keys:          \n", set()),
    ],
)
def test_flags_are_read(lines: bytes, expected: set[str]) -> None:
    assert flags(lines) == frozenset(expected)
    assert head(lines + PLAIN).kept == PLAIN


def test_an_empty_keyword_line_alone_says_nothing_of_read_or_unread() -> None:
    assert flags(b"X-Keywords:            \n") is None
    assert flags(b"X-UID: 17\n") is None


@pytest.mark.parametrize("value", [b"", b"xyz", b"-1", b"0_1", b"000000001"])
def test_a_broken_mozilla_status_is_taken_off_and_says_nothing(value: bytes) -> None:
    broken = head(b"X-Mozilla-Status: " + value + b"\n" + PLAIN)
    assert broken.state().flags is None
    assert broken.kept == PLAIN


def test_keywords_cannot_smuggle_system_flags_or_break_commands() -> None:
    said = flags(b'X-Keywords: \\Deleted a"b {3} (x) ok *% ]\xff \x01 a:b\n')
    assert said == frozenset({"ok", "a:b"})


def test_more_keywords_than_a_person_has_are_not_read() -> None:
    many = b" ".join(b"k%d" % n for n in range(5000))
    said = flags(b"X-Keywords: " + many + b"\n")
    assert said is not None
    assert len(said) == KEYWORD_LIMIT


@pytest.mark.parametrize(
    "lines",
    [
        b"X-Mozilla-Status: 0009\nX-Mozilla-Status2: 00000000\n",
        b"X-Mozilla-Status: 0001\nX-Mozilla-Status2: 00200000\n",
        b"Status: RO\nX-Status: D\n",
    ],
)
def test_deleted_in_the_mail_program_is_discarded_in_words_and_not_a_flag(lines: bytes) -> None:
    state = head(lines + PLAIN).state()
    assert "deleted in the mail program" in state.discarded
    assert state.flags is not None
    assert "\\Deleted" not in state.flags


def test_read_messages_are_not_discarded() -> None:
    assert head(b"Status: RO\nX-Status: AF\n" + PLAIN).state().discarded == ""
    assert head(b"X-Mozilla-Status: 0011\n" + PLAIN).state().discarded == ""


def test_a_message_never_fetched_whole_is_known_as_such() -> None:
    assert head(b"X-Mozilla-Status: 0401\n" + PLAIN).is_partial
    assert not head(b"X-Mozilla-Status: 0001\n" + PLAIN).is_partial
    assert not head(PLAIN).is_partial


def test_thunderbirds_lines_are_its_own_at_the_top_only() -> None:
    inside = b"Subject: Hello\nX-UIDL: abc\nX-Mozilla-Status: 0008\nX-Account-Key: account1\n\n"
    assert head(b"X-Account-Key: account1\nX-UIDL: xyz\nX-Mozilla-Status: 0001\n" + inside).kept == inside
    assert head(inside).kept == inside
    assert head(inside).state() == (None, "")


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_other_programs_lines_are_taken_off_wherever_they_stand(end: bytes) -> None:
    text = end.join(
        [
            b"Status: RO",
            b"From: alice@example.com",
            b"X-Status: F",
            b"X-Keywords: one",
            b"\ttwo",
            b" three",
            b"Subject: Status: fine",
            b"X-UID: 17",
            b"X-Status-Report: kept",
            b"x-imapbase: 1 2",
            b"",
            b"",
        ]
    )
    kept = end.join(
        [b"From: alice@example.com", b"Subject: Status: fine", b"X-Status-Report: kept", b"", b""]
    )
    got = head(text, crlf_before=end == b"\r\n")
    assert got.kept == kept
    assert got.state().flags == frozenset({"\\Seen", "\\Flagged", "one", "two", "three"})
    assert got.crlf is (end == b"\r\n")


def test_the_first_of_repeated_lines_counts_as_it_does_for_mail_programs() -> None:
    assert flags(b"X-Mozilla-Status: 0001\nX-Mozilla-Status: 0009\n") == frozenset({"\\Seen"})
    assert head(b"X-Mozilla-Status: 0001\nX-Mozilla-Status: 0009\n" + PLAIN).state().discarded == ""


def test_lengths_stay_in_the_message_but_out_of_the_key() -> None:
    with_lengths = head(b"Content-Length: 12\nFrom: alice@example.com\nLines: 1\nSubject: Hello\n\n")
    assert with_lengths.unkeyed == PLAIN
    assert with_lengths.kept == with_lengths.raw
    assert content_length(with_lengths.raw) == 12
    assert content_length(PLAIN) is None


def test_everything_may_be_book_keeping() -> None:
    only = head(b"Status: RO\nX-UID: 1\n")
    assert only.kept == b""
    assert only.unkeyed == b""


def test_a_cut_off_header_loses_no_octet_that_is_mail() -> None:
    assert head(b"Subject: x\nStatus: R").kept == b"Subject: x"
    assert head(b"Subject: x\nStat").kept == b"Subject: x\nStat"
    assert head(b"").kept == b""


def test_the_data_message_of_c_client_is_no_mail() -> None:
    subject = b"Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\n"
    assert head(b"From: Mail System Internal Data\n" + subject + b"X-IMAP: 1 2\nStatus: RO\n\n").is_internal
    assert not head(subject + b"\n").is_internal, "somebody may write about it"
    assert not head(b"Subject: x\nX-IMAPbase: 1 2\n\n").is_internal


@pytest.mark.parametrize(
    ("text", "crlf_before", "crlf"),
    [
        (b"A: 1\nB: 2\n\n", False, False),
        (b"A: 1\r\nB: 2\r\n\r\n", True, True),
        (b"A: 1\r\nB: 2\r\n\r\n", False, True),  # the header is of one mind, against the From_ line
        (b"A: 1\nB: 2\n\n", True, False),
        (b"A: 1\r\nB: 2\n\n", False, False),  # a stray CR is content
        (b"A: 1\nB: 2\r\n\r\n", True, True),  # a stray LF is content
        (b"\r\n", False, False),
        (b"", True, True),
    ],
)
def test_line_ends_are_found_out(text: bytes, crlf_before: bool, crlf: bool) -> None:
    assert head(text, crlf_before=crlf_before).crlf is crlf


def test_the_end_of_a_header_is_its_first_empty_line() -> None:
    assert end_of_head(b"\nA: 1\n\nbody\n\n", 1) == 7
    assert end_of_head(b"\nA: 1\r\n\r\nbody", 1) == 9
    assert end_of_head(b"\n\nbody", 1) == 2
    assert end_of_head(b"\nA: 1\nB: 2\n", 1) is None


def test_a_header_without_end_is_cut_at_a_line() -> None:
    lines = b"A: 1234567\n" * (HEAD_LIMIT // 11 + 5)
    end = end_of_head(b"\n" + lines, 1)
    assert end is not None
    assert end - 1 <= HEAD_LIMIT
    assert (end - 1) % 11 == 0
    assert end_of_head(b"\n" + b"x" * (HEAD_LIMIT + 5), 1) == HEAD_LIMIT + 1
