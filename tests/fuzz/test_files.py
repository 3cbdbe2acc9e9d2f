"""What comes from files: mbox, move.toml, rules, and what a person types as an endpoint."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pop2imap import endpoints, movefile
from pop2imap.config import MOVE_KEYS
from pop2imap.errors import ConfigError, SourceDataError, UsageError
from pop2imap.headers import Headers
from pop2imap.model import Message
from pop2imap.options import Mark
from pop2imap.rules import toml
from pop2imap.rules.locator import locate
from pop2imap.sizes import message_size
from pop2imap.sources.mbox import MboxSource
from pop2imap.sources.mbox_reader import NotMboxError, Scanner
from tests.fuzz import bounded, harmless

# --- mbox

LINES = st.sampled_from(
    [b"From a@example.com Mon May  4 10:00:00 2020", b"From - Mon May  4 10:00:00 2020", b"From ", b">From x",
     b"From", b">>From a@example.com Mon May  4 10:00:00 2020", b"Subject: x", b"Content-Length: 3",
     b"Content-Length: 99999999999", b"Status: RO", b"X-Mozilla-Status: 0001", b"X-Mozilla-Keys: a b", b"X-IMAP: 1 2",
     b"", b"", b".", b"\0", b"\xff", b"From MAILER-DAEMON Fri Jul  8 12:08:34 2011",
     b"Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA", b"\x1f\x8b",
     b"\xef\xbb\xbfFrom a Mon May  4 10:00:00 2020", b"--- a/file", b"x" * 200]
)  # fmt: skip
MBOX = st.lists(
    st.tuples(LINES | st.binary(max_size=8), st.sampled_from([b"\n", b"\r\n", b"\r", b""])), max_size=25
).map(lambda lines: b"".join(line + end for line, end in lines))
BEGINNING = st.sampled_from([b"From a@example.com Mon May  4 10:00:00 2020\n", b""])


@bounded(1200)
@given(BEGINNING, MBOX, st.integers(16, 300), st.booleans(), st.booleans())
def test_an_mbox_of_anything_is_read_whole_in_blocks_of_any_size(
    start: bytes, rest: bytes, block: int, loose: bool, keep: bool
) -> None:
    octets = start + rest

    def scanned(size: int) -> tuple[list[object], object]:
        scanner = Scanner(lambda at, most: octets[at : at + most], block=size, loose=loose, keep_headers=keep)
        try:
            entries = list(scanner.entries())
        except NotMboxError:
            return ["no mbox"], None
        return list(entries), (scanner.totals.torn, scanner.totals.end, scanner.totals.unquote())

    whole, said = scanned(1 << 20)
    assert scanned(block) == (whole, said)
    if whole == ["no mbox"]:
        return
    at = 0
    for entry in Scanner(lambda at, most: octets[at : at + most], loose=loose, keep_headers=keep).entries():
        assert octets[at : entry.offset].strip(b"\r\n\xef\xbb\xbf") == b"", (
            "what lies between two messages is no mail"
        )
        assert entry.offset <= entry.start <= entry.end <= len(octets)
        assert octets[entry.offset : entry.start].count(b"\n") <= 1
        at = entry.end
    assert octets[at:].strip(b"\r\n\xef\xbb\xbf") == b""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz") / "file"


@bounded(250)
@given(octets=st.tuples(BEGINNING, MBOX).map(b"".join))
def test_an_mbox_of_anything_is_a_source_or_says_why_not(file: Path, octets: bytes) -> None:
    file.write_bytes(octets)
    source = MboxSource(file)
    with contextlib.suppress(SourceDataError):
        source.open()
        listing = source.list()
        items = list(source.read(listing.refs))
        assert [item.position for item in items] == list(range(1, len(listing.refs) + 1))
        for item, peeked in zip(items, source.peek(listing.refs), strict=True):
            assert item.key == peeked.key
            if isinstance(item, Message) and isinstance(peeked, Message):
                assert item.octets.size == item.size
                assert (item.flags, item.envelope_date) == (peeked.flags, peeked.envelope_date)
                assert Headers.parse(item.octets.head()).values("subject") == (
                    Headers.parse(peeked.octets.head()).values("subject")
                )
    source.close(settled=False)
    assert file.read_bytes() == octets


# --- TOML

KEYS = st.sampled_from(
    ["version", "me", "max-folders", "default-folder", "rule", "source", "target", "options", "when", "then", "name",
     "from", "to", "list-id", "header", "folder", "skip", "flag", "seen", "any", "all", "not", "regex", "is",
     "contains", "domain", "larger", "after", "continue", "endpoint", "password-file", "password-command", "ca",
     "quoting", "max-message-size", "into", "mark", "since", "limit", "report", "state-dir", "x"]
)  # fmt: skip
TEXTS = st.sampled_from(
    ["", "*", "a@b.example", "{list-id}", "Lists/{list-id}", "{date:%Y}", "\\\\Sent", "\\u0000", "\\u202e", "(a+)+$",
     "(", "[", "mbox:x", "pop3s://a@b", "imaps://a@b", "imap://a@b", "pop3s://a:b@c", "5M", "older-than:3d", "INBOX",
     "~", "a/b", "1", "2020-01-01", "\\\\C", "(?P<x>a)", "{x}", "{{", "}", "99999999999999999999G"]
).map(lambda text: f'"{text}"')  # fmt: skip
PLAIN = TEXTS | st.sampled_from(
    ["true", "false", "1", "-1", "0", "1.5", "nan", "inf", "1e400", "9" * 30, "9" * 5000, "0x" + "f" * 40,
     "2020-01-01", "2020-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "07:00:00", "[]",
     "{}", "''"]
)  # fmt: skip
VALUES = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda some: f"[{', '.join(some)}]")
        | st.dictionaries(KEYS, inner, max_size=3).map(
            lambda some: "{ " + ", ".join(f"{key} = {value}" for key, value in some.items()) + " }"
        )
    ),
    max_leaves=6,
)
PAIRS = st.lists(st.tuples(KEYS, VALUES).map(" = ".join), max_size=4)
TABLES = st.sampled_from(["[[rule]]", "[[source]]", "[target]", "[options]", "[rule]", "[x.y]", "[[x]]", "["])
TOML = st.tuples(
    st.sampled_from(["version = 1", "version = 2", ""]),
    PAIRS,
    st.lists(st.tuples(TABLES, PAIRS).map(lambda table: "\n".join([table[0], *table[1]])), max_size=4),
).map(lambda parts: "\n".join([parts[0], *parts[1], *parts[2]]))


@bounded(800)
@given(TOML)
@example("version = " + "9" * 5000)
@example("a = " + "[" * 10_000)
def test_any_file_of_rules_is_understood_or_a_fault_of_the_file(text: str) -> None:
    told: Sequence[str]
    try:
        told = toml.parse(text, "rules.toml", other_keys=MOVE_KEYS - {"version"}).describe()
    except ConfigError as error:
        told = error.problems
    assert told
    assert all(map(harmless, told))


@bounded(500)
@given(text=TOML)
@example(text="version = " + "9" * 5000)
def test_any_move_file_is_understood_or_a_fault_of_the_file(file: Path, text: str) -> None:
    file.write_text(text, "utf-8")
    file.chmod(0o600)
    told: tuple[str, ...] = ()
    try:
        movefile.load(file, locate)
    except ConfigError as error:
        told = (error.what, error.where, error.todo, *error.problems)
    assert all(map(harmless, told))


@bounded(300)
@given(octets=st.binary(max_size=60))
def test_any_octets_are_no_more_than_a_fault_of_a_file(file: Path, octets: bytes) -> None:
    file.write_bytes(octets)
    with contextlib.suppress(ConfigError):
        movefile.load(file, locate)
    with contextlib.suppress(ConfigError):
        toml.load(file)


# --- what is typed

TYPED = st.lists(
    st.sampled_from(
        ["pop3s://", "imaps://", "imap+starttls://", "mbox:", "pop3://", "POP3S://", "http://", "//", "/", "@", ":",
         "[", "]", "::1", "%", "%00", "%40", "%ff", "?", "#", "a", "b.example", "ß", "xn--", "xn--a", "\0", "\x1b",
         "\u202e", "\udcff", "٣", "。", "127.0.0.1", "1.2.3", "localhost", "-", "~", "..", "99999", ":993", " ", "\n",
         "a" * 300]
    ) | st.text(max_size=3),
    max_size=8,
).map("".join)  # fmt: skip


@bounded(1500)
@given(TYPED)
def test_whatever_is_typed_is_an_endpoint_or_a_clear_error(text: str) -> None:
    told = ""
    try:
        endpoint = endpoints.parse(text, base=Path("/nowhere"))
        assert endpoints.parse(str(endpoint)) == endpoint
        assert endpoint.host.isascii()
        assert harmless(endpoint.user)
    except (UsageError, SourceDataError) as error:
        told = str(error)
    assert harmless(told)


@bounded(300)
@given(TYPED | st.from_regex(r"\A[0-9]{0,20} ?[kmgKMG]?i?b?\Z"))
def test_sizes_and_marks_are_read_or_refused(text: str) -> None:
    with contextlib.suppress(UsageError):
        assert 1 <= message_size(text) < 1 << 32
    with contextlib.suppress(UsageError):
        assert Mark.parse(str(Mark.parse(text))) == Mark.parse(text)
