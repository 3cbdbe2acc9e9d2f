from __future__ import annotations

import hashlib
import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pop2imap.octets import HEAD_LIMIT
from pop2imap.sources.mbox_found import Entry, Totals
from pop2imap.sources.mbox_reader import NotMboxError, Scanner
from pop2imap.sources.mbox_slice import ReadAt, Slice, Unquote

FROM = b"From alice@example.com Thu Nov 29 19:33:09 2018\n"
ONE = b"From: alice@example.com\nSubject: one\n\nfirst body\n"
TWO = b"From: bob@example.com\nSubject: two\n\nsecond body\n"
PATCH = b"From " + b"0123456789" * 4 + b" Mon Sep 17 00:00:00 2001\n"


def reading(octets: bytes) -> ReadAt:
    return lambda offset, most: octets[offset : offset + most]


def scan(octets: bytes, *, block: int = 1 << 20, loose: bool = False) -> tuple[list[Entry], Totals]:
    scanner = Scanner(reading(octets), block=block, loose=loose)
    return list(scanner.entries()), scanner.totals


def contents(octets: bytes, *, loose: bool = False) -> list[bytes]:
    """The messages as they lie in the file."""
    return [octets[entry.start : entry.end] for entry in scan(octets, loose=loose)[0]]


def sent(octets: bytes, unquote: Unquote | None = None, *, block: int = 1 << 20) -> list[bytes]:
    """The messages as they are sent; keys and sizes are checked on the way."""
    entries, totals = scan(octets, block=block)
    result = []
    for entry in entries:
        piece = Slice(reading(octets), *entry[:3], exact_length=entry.exact_length)
        result.append(b"".join(piece.octets(totals.unquote() if unquote is None else unquote)))
        assert piece.digest == entry.digest
        plain = Slice(reading(octets), *entry[:3], exact_length=entry.exact_length)
        assert len(b"".join(plain.octets(Unquote.NOTHING))) == entry.size
    return result


def crlf(octets: bytes) -> bytes:
    return octets.replace(b"\n", b"\r\n")


# -- what separates


def test_messages_are_separated_by_an_empty_line_that_is_no_content() -> None:
    assert contents(FROM + ONE + b"\n" + FROM + TWO + b"\n") == [ONE, TWO]


def test_the_last_empty_line_may_be_missing() -> None:
    assert contents(FROM + ONE + b"\n" + FROM + TWO) == [ONE, TWO]


def test_only_one_empty_line_is_the_separator() -> None:
    assert contents(FROM + ONE + b"\n\n\n" + FROM + TWO + b"\n\n") == [ONE + b"\n\n", TWO + b"\n"]


def test_an_empty_file_has_no_messages() -> None:
    assert contents(b"") == []
    assert contents(b"\n\n") == []


def test_a_byte_order_mark_and_empty_lines_may_come_first() -> None:
    assert contents(b"\xef\xbb\xbf\n\r\n" + FROM + ONE) == [ONE]


def test_empty_messages_are_messages() -> None:
    assert contents(FROM + b"\n" + FROM + b"\n\n" + FROM) == [b"", b"\n", b""]


@pytest.mark.parametrize(
    "start", [b"Subject: x\n\nbody\n", b"\x1f\x8b\x08", b"text\n" + FROM + ONE, b"From here on\nit is text\n"]
)
def test_what_does_not_begin_like_an_mbox_is_none(start: bytes) -> None:
    with pytest.raises(NotMboxError) as caught:
        scan(start)
    assert start.startswith(caught.value.args[0][:8])


def test_text_after_an_empty_line_does_not_separate_without_a_date() -> None:
    body = ONE + b"\nFrom here on it is text\n\nFrom bob@example.com\nTo: x\n"
    text = FROM + body + b"\n" + FROM + TWO
    totals = scan(text)[1]
    assert contents(text) == [body, TWO]
    assert (totals.undated, totals.undated_at) == (2, text.index(b"From here"))
    assert totals.unseparated == 0


def test_a_date_does_not_separate_without_an_empty_line() -> None:
    body = ONE + FROM + b"is how it began\n"
    text = FROM + body + b"\n" + FROM + TWO
    totals = scan(text)[1]
    assert contents(text) == [body, TWO]
    assert (totals.unseparated, totals.unseparated_at) == (1, text.index(FROM, 5))
    assert totals.undated == 0


def test_a_from_line_in_the_middle_of_a_line_is_nothing() -> None:
    body = ONE + b"\n" + b"x " + FROM + b"\n>" + FROM
    totals = scan(FROM + body)[1]
    assert contents(FROM + body) == [body]
    assert (totals.undated, totals.unseparated) == (0, 0)


def test_a_pasted_message_or_two_is_not_the_habit_of_the_file() -> None:
    body = ONE + FROM + TWO + FROM + TWO
    _, totals = scan(FROM + body)
    assert contents(FROM + body) == [body]
    assert totals.run_together == 2
    assert not totals.wants_loose


def test_messages_run_together_throughout_are_told_by_their_headers() -> None:
    text = FROM + ONE + FROM + TWO + FROM + ONE + FROM + TWO
    _, totals = scan(text)
    assert totals.wants_loose
    assert contents(text, loose=True) == [ONE, TWO, ONE, TWO]
    mentioned = text + FROM + b"This is how a From_ line looks.\n"
    assert contents(mentioned, loose=True)[-1].endswith(b"looks.\n")


def test_an_ordinary_file_never_wants_a_second_scan() -> None:
    text = (FROM + ONE + b"\n") * 13 + (FROM + ONE + FROM + TWO + b"\n") * 3
    assert scan(text)[1].run_together == 3
    assert not scan(text)[1].wants_loose


# -- Thunderbird, Eudora, git and others


def test_thunderbirds_bare_from_lines_separate() -> None:
    text = b"From \r\n" + crlf(ONE) + b"\r\nFrom \r\n" + crlf(TWO) + b"\r\n"
    assert contents(text) == [crlf(ONE), crlf(TWO)]


def test_a_bare_from_in_a_text_does_not_separate() -> None:
    body = ONE + b"\nFrom \nhere\nto there\n\nFrom -\n"
    assert contents(FROM + body) == [body]


@pytest.mark.parametrize("line", [b"From \n", b"From - Tue Mar 27 10:00:00 2012\n"])
def test_thunderbird_may_leave_out_the_empty_line(line: bytes) -> None:
    own = b"X-Mozilla-Status: 0001\nX-Mozilla-Status2: 00000000\n"
    text = line + own + ONE + line + own + TWO + line + b"X-Account-Key: account1\n" + ONE
    assert contents(text) == [own + ONE, own + TWO, b"X-Account-Key: account1\n" + ONE]


def test_eudora_may_leave_out_the_empty_line() -> None:
    line = b"From ???@??? Fri Mar 10 09:04:22 1995\r\n"
    odd = b"From ???@??? 00:00:00 1997 +0000\r\n"
    text = line + crlf(ONE) + line + crlf(TWO) + b"\r\n" + odd + crlf(ONE)
    assert contents(text) == [crlf(ONE), crlf(TWO), crlf(ONE)]
    body = ONE + b"Eudora writes:\n" + line.replace(b"\r", b"")
    assert contents(FROM + body) == [body], "its mark means nothing in other files"


def test_a_patch_in_a_mail_is_not_a_mail() -> None:
    body = ONE + b"\n" + PATCH + b"From: Carol <carol@example.com>\nSubject: [PATCH] fix\n\n--- a\n+++ b\n"
    assert contents(FROM + body + b"\n" + FROM + TWO) == [body, TWO]


def test_a_file_of_patches_is_an_mbox() -> None:
    assert contents(PATCH + ONE + b"\n" + PATCH + TWO + b"\n") == [ONE, TWO]


def test_a_file_without_any_dates_is_separated_by_what_its_first_line_shows() -> None:
    line = b"From alice@example.com\n"
    body = ONE + b"\nFrom here on it is text\n"
    assert contents(line + body + b"\n" + line + TWO) == [body, TWO]


def test_google_takeout_separates() -> None:
    line = b"From 1596@xxx Mon Jan 01 00:00:00 +0000 2018\r\n"
    assert contents(line + crlf(ONE) + b"\r\n" + line + crlf(TWO) + b"\r\n") == [crlf(ONE), crlf(TWO)]


# -- Content-Length


def with_length(body: bytes, length: int | None = None) -> bytes:
    return b"Subject: x\nContent-Length: %d\n\n" % (len(body) if length is None else length) + body


def test_mboxcl2_bodies_hold_anything() -> None:
    body = b"An mbox looks so:\n\n" + FROM + ONE
    text = FROM + with_length(body) + b"\n" + FROM + with_length(b"two\n") + b"\n"
    assert contents(text) == [with_length(body), with_length(b"two\n")]
    assert scan(text)[1].sealed == 1
    last = FROM + with_length(b"one\n") + b"\n" + FROM + with_length(body)
    assert contents(last) == [with_length(b"one\n"), with_length(body)]


def test_a_length_that_lands_nowhere_is_not_believed() -> None:
    body = b"An mbox looks so:\n\n" + FROM + ONE
    for length in (len(body) - 1, len(body) + 2, 10**9, 0):
        text = FROM + with_length(body, length) + b"\n" + FROM + TWO
        assert len(contents(text)) == 3


def test_a_forged_length_in_a_file_without_lengths_swallows_nothing() -> None:
    rest = b"\n" + FROM + TWO + b"\n" + FROM + ONE
    forged = with_length(b"mine\n", len(b"mine\n") + len(b"\n" + FROM + TWO))
    assert contents(FROM + ONE + b"\n" + FROM + forged + rest) == [ONE, forged, TWO, ONE]


def test_one_wrong_length_ends_the_trust_in_all() -> None:
    body = b"An mbox looks so:\n\n" + FROM + ONE
    text = FROM + with_length(b"one\n", 99) + b"\n" + FROM + with_length(body) + b"\n" + FROM + TWO
    assert len(contents(text)) == 4


# -- quoting: the evidence


def unquote_of(*bodies: bytes) -> Unquote:
    text = b"".join(FROM + b"Subject: x\n\n" + body + b"\n" for body in bodies)
    return scan(text)[1].unquote()


def test_without_unquoted_lines_everything_was_quoted() -> None:
    assert unquote_of(b"text\n") is Unquote.EVERY
    assert unquote_of(b"\n>From here\ntext\n>From there\n>>From far\n") is Unquote.EVERY


def test_an_unquoted_line_after_an_empty_one_shows_that_nothing_was_quoted() -> None:
    assert unquote_of(b"\n>From here\n", b"text\n\nFrom here\n") is Unquote.NOTHING


def test_unquoted_lines_elsewhere_show_that_only_those_that_matter_were_quoted() -> None:
    assert unquote_of(b"text\n\n>From here\n", b"text\nFrom here\n") is Unquote.SINGLE_AFTER_EMPTY


def test_one_odd_message_does_not_outweigh_many() -> None:
    assert unquote_of(*[b"text\n>From here\n"] * 20, b"text\nFrom here\n") is Unquote.EVERY


def test_quoted_lines_are_counted() -> None:
    text = FROM + b"\n>From a\n>From b\n\n>>From c\n" + b">" * 40 + b"From d\nx>From e\n>From: f\n> From g\n"
    totals = scan(text)[1]
    assert (totals.quoted_after_empty, totals.quoted_elsewhere, totals.quoted_deeper) == (2, 2, 2)


# -- keys, sizes, torn ends


THUNDERBIRD = b"X-Mozilla-Status: 0001\nX-Mozilla-Status2: 00000000\n"


def key_of(message: bytes) -> bytes:
    return scan(FROM + message + b"\n")[0][0].digest


def test_the_key_is_the_digest_of_the_octets_in_the_file() -> None:
    assert key_of(ONE) == hashlib.sha256(ONE).digest()


def test_the_key_does_not_know_what_a_mail_program_noted() -> None:
    noted = ONE.replace(b"\n\n", b"\nStatus: RO\nX-Keywords: a\n b\nContent-Length: 11\nLines: 1\n\n")
    assert key_of(noted) == key_of(ONE)
    assert key_of(THUNDERBIRD + noted) == key_of(ONE)
    left = ONE.replace(b"\n\n", b"\nLines: 1\n\n")
    assert sent(FROM + noted) == [crlf(left)], "an exact length beside a status is book-keeping"
    kept = ONE.replace(b"\n\n", b"\nContent-Length: 11\nLines: 1\n\n")
    assert sent(FROM + ONE + b"\n" + FROM + noted) == [crlf(ONE), crlf(kept)]


def test_what_thunderbird_does_not_write_was_received() -> None:
    of_others = ONE.replace(b"\n\n", b"\nStatus: RO\nX-UIDL: theirs\nX-Mozilla-Status: 0004\n\n")
    assert sent(FROM + THUNDERBIRD + of_others) == [crlf(of_others)]
    leading = b"X-Mozilla-Status: 0004\nStatus: RO\n" + ONE
    assert sent(FROM + THUNDERBIRD + leading) == [crlf(leading)], (
        "it writes each of its lines once, and no others"
    )


def test_the_key_does_not_know_the_quoting_option_or_the_from_line() -> None:
    quoted = ONE + b">From here\n"
    assert key_of(quoted) == hashlib.sha256(quoted).digest()
    other = scan(b"From - Tue Mar 27 10:00:00 2012\n" + quoted)[0][0]
    assert other.digest == key_of(quoted)


@pytest.mark.parametrize("message", [ONE, crlf(ONE)])
def test_a_missing_last_newline_does_not_change_the_key(message: bytes) -> None:
    line_end = b"\r\n" if b"\r" in message else b"\n"
    entries, totals = scan(FROM + message.removesuffix(line_end))
    assert entries[0].digest == key_of(message)
    assert totals.torn


@pytest.mark.parametrize("text", [FROM, FROM[:-1], FROM + b"Subject: x\n", FROM + b"Subject: x\n\nbody"])
def test_a_torn_end_is_noticed(text: bytes) -> None:
    assert scan(FROM + ONE + b"\n" + text)[1].torn


@pytest.mark.parametrize("text", [FROM + b"\n", FROM + b"Subject: x\n\n", FROM + ONE, FROM + ONE + b"\n"])
def test_a_whole_end_is_not_torn(text: bytes) -> None:
    assert not scan(FROM + ONE + b"\n" + text)[1].torn


def test_c_clients_data_is_marked() -> None:
    data = (
        b"From: Mail System Internal Data <MAILER-DAEMON@host>\n"
        b"Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\nX-IMAP: 1 2\nStatus: RO\n\nThis text is part\n"
    )
    entries, _ = scan(FROM + data + b"\n" + FROM + ONE + b"\n" + FROM + data)
    assert [entry.internal for entry in entries] == [True, False, False]


def test_a_header_of_more_than_a_mebibyte_is_kept_whole() -> None:
    long = b"Subject: x\n" + b"X-Long: 12345678\n" * (HEAD_LIMIT // 17 + 100) + b"Status: RO\n\nbody\n"
    assert sent(FROM + long + b"\n" + FROM + ONE) == [crlf(long), crlf(ONE)]


# -- line ends


def test_lf_becomes_crlf_once_and_stray_cr_stays() -> None:
    assert sent(FROM + b"A: 1\nB: 2\n\none\rtwo\nthree\r\n") == [
        b"A: 1\r\nB: 2\r\n\r\none\rtwo\r\nthree\r\r\n"
    ]


def test_crlf_stays_and_stray_lf_stays() -> None:
    message = b"A: 1\r\nB: 2\r\n\r\none\ntwo\r\nthree\r"
    assert sent(FROM.replace(b"\n", b"\r\n") + message + b"\r\n\r\n") == [message + b"\r\n"]


def test_a_file_may_hold_messages_of_both_sorts() -> None:
    text = FROM + ONE + b"\n" + b"From \r\n" + crlf(TWO) + b"\r\n" + b"From \r\n" + ONE + b"\r\n" + FROM + TWO
    assert sent(text) == [crlf(ONE), crlf(TWO), crlf(ONE), crlf(TWO)]


# -- everything at once

LINES = st.sampled_from(
    [
        b"",
        b"",
        b"\r",
        b"text",
        b"text\r",
        b"Subject: x",
        b" folded",
        b"\x00\xff\x80",
        b"From here",
        b"From ",
        FROM[:-1],
        PATCH[:-1],
        b"From",
        b"F",
        b">",
        b">>From there",
        b">From",
        b"> From there",
        b"Content-Length: 7",
        b"x" * 300,
    ]
)


@st.composite
def messages(draw: st.DrawFn, line_end: bytes) -> bytes:
    """Anything that can be received, in lines that mostly end in ``line_end``."""
    ends = st.sampled_from([line_end] * 9 + [b"\n"])
    lines = draw(st.lists(st.tuples(LINES | st.binary(max_size=40), ends), max_size=14))
    octets = b"".join(line + end for line, end in lines)
    return octets[:-1] if draw(st.booleans()) else octets


def quoted(message: bytes, line_end: bytes) -> bytes:
    """The message in an mbox, as mboxrd has it: quoted, its last line ended, an empty line after it."""
    if not message.endswith(b"\n"):
        message += line_end if message else b""
    return re.sub(rb"(?m)^(>*From )", rb">\1", message) + line_end


@given(st.lists(messages(b"\n"), max_size=5), st.sampled_from([1, 2, 3, 7, 64, 1 << 20]))
def test_whatever_is_written_as_mboxrd_is_read_octet_by_octet(given_: list[bytes], block: int) -> None:
    assume(all(not _crlf_header(message) for message in given_))
    text = b"".join(FROM + quoted(message, b"\n") for message in given_)
    assert sent(text, block=block) == [
        crlf(message if message.endswith(b"\n") or not message else message + b"\n") for message in given_
    ]


@given(st.lists(messages(b"\r\n"), max_size=5), st.sampled_from([1, 2, 3, 7, 64, 1 << 20]))
def test_whatever_is_written_as_mboxrd_with_crlf_is_read_octet_by_octet(
    given_: list[bytes], block: int
) -> None:
    assume(all(not _lf_header(message) for message in given_))
    text = b"".join(crlf(FROM) + quoted(message, b"\r\n") for message in given_)
    assert sent(text, block=block) == [
        message if message.endswith(b"\n") or not message else message + b"\r\n" for message in given_
    ]


def _header_ends(message: bytes) -> list[bytes]:
    """The line ends of the header, its empty line included."""
    ends = []
    for line in re.findall(rb"[^\n]*\n", message if message.endswith(b"\n") else message + b"\n"):
        ends.append(b"\r\n" if line.endswith(b"\r\n") else b"\n")
        if line in (b"\n", b"\r\n"):
            break
    return ends


def _crlf_header(message: bytes) -> bool:
    ends = _header_ends(message)
    return len(ends) > 1 and b"\n" not in ends


def _lf_header(message: bytes) -> bool:
    ends = _header_ends(message)
    return len(ends) > 1 and b"\r\n" not in ends


@given(st.lists(LINES, max_size=40), st.sampled_from([b"\n", b"\r\n"]), st.sampled_from([1, 2, 3, 5, 17]))
def test_the_size_of_what_is_read_at_once_changes_nothing(
    lines: list[bytes], line_end: bytes, block: int
) -> None:
    text = FROM + line_end.join(lines)
    assert scan(text, block=block) == scan(text)
    assert scan(text, block=block, loose=True) == scan(text, loose=True)


@given(st.lists(LINES, max_size=40))
def test_nothing_but_separators_and_from_lines_is_left_out(lines: list[bytes]) -> None:
    text = FROM + b"\n".join(lines)
    entries, _ = scan(text)
    at = 0
    for entry in entries:
        assert text[at : entry.offset] in (b"", b"\n", b"\r\n")
        assert text[entry.offset : entry.start].startswith(b"From ")
        assert entry.start <= entry.end
        at = entry.end
    assert text[at:] in (b"", b"\n", b"\r\n")


@given(st.lists(st.sampled_from([b"", b"text", FROM[:-1], b"From here", b">" + FROM[:-1]]), max_size=30))
def test_the_plain_rule_holds_line_by_line(lines: list[bytes]) -> None:
    """The rule of the manual, spelled out a line at a time."""
    messages_: list[list[bytes]] = []
    previous = b""
    for line in [FROM[:-1], *lines]:
        if line == FROM[:-1] and previous == b"":
            messages_.append([])
        else:
            messages_[-1].append(line)
        previous = line
    expected = []
    for number, message in enumerate(messages_):
        last = number == len(messages_) - 1
        expected.append(b"".join(line + b"\n" for line in (message[:-1] if not last else message)))
    if expected[-1].endswith(b"\n\n") or expected[-1] == b"\n":
        expected[-1] = expected[-1][:-1]
    text = b"".join(line + b"\n" for line in [FROM[:-1], *lines])
    assert contents(text) == expected


# -- what grew


GROWING = st.lists(
    st.one_of(LINES, st.sampled_from([b"x" * 4095, b"Content-Length: 4096", b"", FROM[:-1]])), max_size=40
)


@given(GROWING, st.floats(0, 1), st.booleans())
def test_a_scan_that_goes_on_finds_what_a_scan_of_all_finds(
    lines: list[bytes], share: float, loose: bool
) -> None:
    text = FROM + b"\n".join(lines)
    before = Scanner(reading(text[: max(int(len(text) * share), len(FROM))]), loose=loose)
    known = list(before.entries())
    assert before.resume is not None
    after = Scanner(reading(text), loose=loose, resume=before.resume)
    whole = Scanner(reading(text), loose=loose)
    assert known[: before.resume.messages] + list(after.entries()) == list(whole.entries())
    assert (after.totals, after.resume) == (whole.totals, whole.resume)


def test_a_scan_goes_on_shortly_before_the_end() -> None:
    text = b"".join(FROM + ONE + b"\n" for _ in range(200))
    scanner = Scanner(reading(text))
    assert len(list(scanner.entries())) == 200
    assert scanner.resume is not None
    assert 4000 < len(text) - scanner.resume.offset < 4500


def test_a_length_that_reaches_beyond_the_end_may_be_exact_one_day() -> None:
    later = (FROM + TWO + b"\n") * 100
    length = len(ONE[ONE.index(b"\n\n") + 2 :] + b"\n" + later)
    text = FROM + ONE.replace(b"\n\n", b"\nContent-Length: %d\n\n" % length) + b"\n" + later
    scanner = Scanner(reading(text[:-4000]))
    list(scanner.entries())
    assert scanner.resume is not None
    assert scanner.resume.messages == 0
    assert len(scan(text)[0]) == 1
