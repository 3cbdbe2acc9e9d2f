"""Header fields, encoded words, addresses and list ids, as they really come."""

from __future__ import annotations

import base64

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pop2imap.addresses import Address, iter_addresses, parse_list_id
from pop2imap.charsets import decode_octets, decode_words
from pop2imap.headers import MAX_ADDRESSES, MAX_FIELDS, Headers


def head(*lines: str | bytes) -> Headers:
    octets = [line.encode() if isinstance(line, str) else line for line in lines]
    return Headers.parse(b"\r\n".join(octets) + b"\r\n\r\nBody: not a header\r\n")


# --- finding fields ------------------------------------------------------------------------------------------


def test_fields_are_found_by_name_whatever_its_case_in_order() -> None:
    headers = head("X-A: one", "x-b: other", "x-a: two", "X-A : three")
    assert headers.values("x-A") == ["one", "two", "three"]
    assert headers.first("X-A") == "one"
    assert headers.raw("x-a") == [b" one", b" two", b" three"]


def test_a_missing_field_is_an_empty_list_and_no_first() -> None:
    headers = head("Subject: x")
    assert headers.values("Cc") == []
    assert headers.first("Cc") is None
    assert headers.addresses("Cc") == []
    assert headers.list_id() == ""


def test_an_empty_field_is_there() -> None:
    headers = head("Subject:", "X-A: ")
    assert headers.values("Subject") == [""]
    assert headers.subject == ""
    assert headers.first("X-A") == ""


def test_the_body_holds_no_fields() -> None:
    assert head("Subject: x").values("Body") == []


def test_a_name_is_not_found_inside_another_name_or_inside_a_body() -> None:
    headers = head("X-Subject: a", "Subject-X: b", "Comments: y", " Subject: c")
    assert headers.values("Subject") == []


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r\r\n"])
def test_every_line_end_is_understood(end: str) -> None:
    octets = end.join(["Subject: one", "\ttwo", "From: a@example.com", "", "To: body@example.com"])
    headers = Headers.parse(octets.encode())
    assert headers.subject == "one two"
    assert headers.addresses("From") == [Address("", "a@example.com")]
    assert headers.values("To") == []


@pytest.mark.parametrize("block", [b"", b"\r\n", b"\n", b"\r\nTo: a@example.com\r\n"])
def test_an_empty_header_has_no_fields(block: bytes) -> None:
    assert Headers.parse(block).values("To") == []


def test_lines_without_a_colon_and_a_from_line_are_passed_over() -> None:
    headers = head("From alice Mon Jan  1 10:00:00 2001", "Subject: x", ".", "garbage", "To: a@example.com")
    assert headers.subject == "x"
    assert headers.addresses("to") == [Address("", "a@example.com")]
    assert headers.addresses("from") == []


def test_folds_become_one_space_and_tabs_one_space() -> None:
    headers = head("Subject: one\t", "\t  two", " ", "   three\tfour")
    assert headers.subject == "one two  three four"


def test_a_header_without_an_end_is_read_to_its_end() -> None:
    assert Headers.parse(b"Subject: cut of").subject == "cut of"


def test_fields_past_the_limit_are_not_seen() -> None:
    block = b"X: 1\r\n y\r\n" * MAX_FIELDS + b"Subject: hidden\r\n\r\n"
    headers = Headers.parse(block)
    assert len(headers.values("X")) == MAX_FIELDS
    assert headers.values("Subject") == []


def test_mailboxes_past_the_limit_are_not_seen() -> None:
    headers = head("To: " + "a@example.com, " * (MAX_ADDRESSES + 1))
    assert len(headers.addresses("To")) == MAX_ADDRESSES


def test_a_name_that_no_header_can_have_is_never_found() -> None:
    headers = head("Subject: x")
    assert headers.values("Subject: x\r\nTo") == []
    assert headers.values("ä\udc80*[") == []


# --- text ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("octets", "charset", "text"),
    [
        (b"plain", "", "plain"),
        ("grün".encode(), "", "grün"),
        ("grün".encode("latin-1"), "", "grün"),
        ("grün".encode("latin-1"), "iso-8859-1", "grün"),
        (b"\x93quoted\x94", "iso-8859-1", "“quoted”"),
        ("grün".encode(), "us-ascii", "grün"),
        ("grün".encode("latin-1"), "utf-8", "grün"),
        ("grün".encode(), "no-such-charset", "grün"),
        ("grün".encode(), "x" * 5000, "grün"),
        ("你好".encode("gbk"), "GB2312", "你好"),
        ("안녕".encode("cp949"), "ks_c_5601-1987", "안녕"),
        ("こんにちは".encode("iso-2022-jp"), "iso-2022-jp", "こんにちは"),
        ("Привет".encode("koi8-u"), "koi8-u", "Привет"),
        (b"\x81\x8d", "", "\ufffd\ufffd"),
        (b"eJw=", "zlib", "eJw="),
        (b"xn--a", "idna", "xn--a"),
        (b"a\\u0041", "unicode_escape", "a\\u0041"),
        (b"+2AA-", "utf-7", "+2AA-"),
    ],
)
def test_octets_become_text_by_declared_charset_else_utf8_else_windows_1252(
    octets: bytes, charset: str, text: str
) -> None:
    assert decode_octets(octets, charset) == text


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("no words", "no words"),
        ("=?utf-8?Q?gr=C3=BCn?=", "grün"),
        ("=?UTF-8?b?Z3LDvG4=?=", "grün"),
        ("=?iso-8859-1?q?gr=FCn_und_blau?=", "grün und blau"),
        ("=?utf-8*de?Q?gr=C3=BCn?=", "grün"),
        ("a =?utf-8?Q?b?= c", "a b c"),
        ("=?utf-8?Q?a?= =?utf-8?Q?b?=", "ab"),
        ("=?utf-8?Q?a?= \t =?iso-8859-1?Q?=FC?= c", "aü c"),
        ("=?utf-8?Q?a?= x =?utf-8?Q?b?=", "a x b"),
        # a character split over two words, by Q and by B
        ("=?UTF-8?Q?pasi=C5=BEad=C4?= =?UTF-8?Q?=97jim=C5=B3?=", "pasižadėjimų"),
        ("=?utf-8?B?8J+Y?= =?utf-8?Q?=80?=", "😀"),
        # next to other text, inside quotes, with spaces, empty, with stray marks
        ("[SPAM]=?utf-8?B?Z3LDvG4=?=!", "[SPAM]grün!"),
        ('"=?utf-8?Q?gr=C3=BCn?="', '"grün"'),
        ("=?ISO-8859-1?Q?mail / LP pr?= =?ISO-8859-1?Q?e-order?=", "mail / LP pre-order"),
        ("x =?utf-8?Q??=", "x "),
        ("=?utf-8?Q?really??=", "really?"),
        ("=?utf-8?Q?soft=?=", "soft"),
        ("=?utf-8?Q?=ZZ?=", "=ZZ"),
        ("=?utf-8?B?Z3 LDvG4?=", "grün"),
        ("=?utf-8?B?YWJj=?=", "abc"),
        ("=?x-unknown?Q?=E4?=", "ä"),
        # broken ones stay
        ("=?utf-8?B?Y?= =?utf-8?Q?b?=", "=?utf-8?B?Y?= b"),
        ("=?utf-8?Q?a?= =?utf-8?B?*?=", "a =?utf-8?B?*?="),
        ("=?utf-8?X?a?=", "=?utf-8?X?a?="),
        ("=?utf-8?Q?open", "=?utf-8?Q?open"),
        ("=? ?= =??Q??=", "=? ?= =??Q??="),
    ],
)
def test_encoded_words(written: str, text: str) -> None:
    assert decode_words(written) == text


def test_raw_8_bit_and_encoded_words_live_together() -> None:
    assert head("Subject: grün =?utf-8?Q?=C3=BC?=").subject == "grün ü"
    assert head(b"Subject: gr\xfcn =?utf-8?Q?=C3=BC?=").subject == "grün ü"


def test_line_ends_inside_encoded_words_do_not_survive() -> None:
    assert head("Subject: =?utf-8?Q?a=0D=0ABcc:_b=09c?=").subject == "a  Bcc: b c"


# --- addresses -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("a@example.com", [("", "a@example.com")]),
        ("<a@example.com>", [("", "a@example.com")]),
        ("Alice <a@example.com>", [("Alice", "a@example.com")]),
        ('"Smith, Alice" <a@example.com>, b@example.org', [("Smith, Alice", "a@example.com"), ("", "b@example.org")]),
        ("Mixed.Case@EXAMPLE.Com.", [("", "Mixed.Case@example.com")]),
        (r'"a \"b\" c" <a@example.com>', [('a "b" c', "a@example.com")]),
        ('A "B" C <a@example.com>', [("A B C", "a@example.com")]),
        ("'Alice' <'a@example.com'>", [("Alice", "a@example.com")]),
        ("O'Brien <o'brien@example.com>", [("O'Brien", "o'brien@example.com")]),
        ("ü@bücher.example", [("", "ü@bücher.example")]),
        ("x@xn--bcher-kva.example", [("", "x@bücher.example")]),
        ("x@xn--.example", [("", "x@xn--.example")]),
        # encoded names: split first, decoded then
        ("=?utf-8?Q?Smith=2C_Alice?= <a@example.com>", [("Smith, Alice", "a@example.com")]),
        ("=?utf-8?Q?Smith,_Alice?= <a@example.com>", [("Smith, Alice", "a@example.com")]),
        ('"=?utf-8?B?w4TDnA==?= x" <a@example.com>', [("ÄÜ x", "a@example.com")]),
        ("=?windows-1252?Q?fran=E7aise?=<a@example.com>", [("française", "a@example.com")]),
        ("=?utf-8?Q?Alice_=3Ca=40example=2Ecom=3E?=", [("Alice", "a@example.com")]),
        # comments and groups
        ("a@example.com (Alice (the) Smith)", [("Alice (the) Smith", "a@example.com")]),
        ("Alice (work) <a@example.com> (home)", [("Alice", "a@example.com")]),
        ("(first, one) a@example.com", [("first, one", "a@example.com")]),
        ("undisclosed-recipients:;", []),
        ("Team: a@example.com, Bob <b@example.com>;, c@example.com",
         [("", "a@example.com"), ("Bob", "b@example.com"), ("", "c@example.com")]),
        # what no grammar allows
        ("Alice a@example.com", [("Alice", "a@example.com")]),
        ("Alice <a@example.com", [("Alice", "a@example.com")]),
        ('"Alice <a@example.com>', [("Alice", "a@example.com")]),
        ("((Alice a@example.com", [("Alice", "a@example.com")]),
        ("a@example.com; b@example.com;", [("", "a@example.com"), ("", "b@example.com")]),
        ("A <a@example.com> B <b@example.com>", [("A", "a@example.com"), ("B", "b@example.com")]),
        ("a @ example.com", [("", "a@example.com")]),
        ("mailto:a@example.com", [("", "a@example.com")]),
        ("<mailto:a@example.com>", [("", "a@example.com")]),
        ("Re: offer <a@example.com>", [("offer", "a@example.com")]),
        ("<@relay.example,@b.example:a@example.com>", [("", "a@example.com")]),
        ('"john.doe"@example.com', [("", "john.doe@example.com")]),
        ('"john doe"@example.com', [("", '"john doe"@example.com')]),
        ('"a@example.org" <b@example.com>', [("a@example.org", "b@example.com")]),
        ("<a@example.com (work)>", [("", "a@example.com")]),
        ('Al "john doe"@example.com', [("Al", '"john doe"@example.com')]),
        ("Root <root>", [("Root", "root")]),
        ("root", [("", "root")]),
        ("Alice Smith", [("Alice Smith", "")]),
        ("Alice <>", [("Alice", "")]),
        ("", []), ("<>", []), (",;,", []), ("@", []), ('""', []),
    ],
)  # fmt: skip
def test_addresses(written: str, expected: list[tuple[str, str]]) -> None:
    assert list(iter_addresses(written)) == expected


def test_addresses_of_all_fields_of_a_name_come_in_order() -> None:
    headers = head("To: a@example.com,", " b@example.com", "Cc: x@example.com", "To: c@example.com")
    assert [one.address for one in headers.addresses("to")] == [
        "a@example.com",
        "b@example.com",
        "c@example.com",
    ]


# --- list ids ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("Builder news <News.Lists.example.org>", "news.lists.example.org"),
        ("<news.lists.example.org>", "news.lists.example.org"),
        ("news.lists.example.org", "news.lists.example.org"),
        ('"For <b>all</b>" <news.lists.example.org', "news.lists.example.org"),
        ('"News" news@lists.example.org', "news@lists.example.org"),
        ("(comment) news.lists.example.org", "news.lists.example.org"),
        ("news.example.org <>", "news.example.org"),
        ("< news.\texample.org >", "news.example.org"),
        ("", ""),
        ("<>", ""),
    ],
)
def test_list_id(written: str, found: str) -> None:
    assert parse_list_id(written) == found
    assert head(f"List-Id: {written}").list_id() == found


def test_the_first_list_id_that_says_something_counts() -> None:
    assert (
        head("List-Id: <>", "List-ID: <b.example.org>", "List-Id: <c.example.org>").list_id()
        == "b.example.org"
    )


# --- hostile input -------------------------------------------------------------------------------------------

NAMES = ("From", "To", "Subject", "List-Id", "Received")


def read_everything(headers: Headers) -> None:
    for name in NAMES:
        for value in headers.values(name):
            value.encode()  # no lone surrogates
        for address in headers.addresses(name):
            (address.name + address.address).encode()
        headers.raw(name)
        headers.first(name)
    headers.list_id().encode()
    assert isinstance(headers.subject, str)


@given(st.binary(max_size=500))
@example(b"From: " + b"(" * 3000)
@example(b"To: <\r\nSubject: =?")
def test_any_octets_at_all_can_be_asked_anything(octets: bytes) -> None:
    read_everything(Headers.parse(octets))


FRAGMENTS = [
    b"\r\n", b"\n ", b"\r", b":", b"<", b">", b"(", b")", b'"', b"\\", b",", b";", b"@", b" ", b"a", b"\x00",
    b"=?utf-8?q?", b"=?utf-7?b?", b"?=", b"=C3", b"+2AA-", b"\xc3", b"\xff", b"xn--", b"mailto:", b"=", b".",
    *(name.encode() + b": " for name in NAMES),
]  # fmt: skip


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=60).map(b"".join))
def test_anything_that_looks_like_mail_can_be_asked_anything(octets: bytes) -> None:
    read_everything(Headers.parse(octets))
    read_everything(Headers.parse(b"From: " + octets + b"\nSubject: " + octets))


@given(st.text(st.characters(codec="utf-8"), max_size=40), st.sampled_from("BQ"), st.integers(1, 5))
def test_what_was_encoded_is_decoded_even_if_it_was_cut_between_octets(
    text: str, how: str, size: int
) -> None:
    octets = text.encode()
    parts = [octets[at : at + size] for at in range(0, len(octets), size)]
    if how == "B":
        words = [base64.b64encode(part).decode() for part in parts]
    else:
        words = ["".join(f"={octet:02X}" for octet in part) for part in parts]
    assert decode_words(" ".join(f"=?utf-8?{how}?{word}?=" for word in words)) == text


@pytest.mark.parametrize("piece", ["(", '"', '\\"', "<", "=?a?q?", " ", "a@", ",", '"a', "=?utf-8?b?YQ==?= ",
                                   "a <", "@ ", "(\\", "x <a@b>, ", "xn--", "()", "<@:", "\t\n "])  # fmt: skip
def test_a_quarter_megabyte_of_nastiness_is_read_in_linear_time(piece: str) -> None:
    # what is not linear here takes hours, not seconds: pytest's own time limit is the assertion
    octets = (piece * ((1 << 18) // len(piece))).encode()
    read_everything(Headers.parse(b"From: " + octets + b"\r\nTo: x" + octets + b"\r\nSubject: " + octets))


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["Alice", "Ö, x", 'q"q', ""]),
            st.from_regex(r"[a-z]{1,8}@[a-z]{1,8}\.org", fullmatch=True),
        ),
        max_size=5,
    )
)
def test_well_formed_lists_are_read_as_the_standard_library_writes_them(pairs: list[tuple[str, str]]) -> None:
    from email.utils import formataddr

    written = ", ".join(formataddr(pair) for pair in pairs)
    assert list(iter_addresses(written)) == pairs
