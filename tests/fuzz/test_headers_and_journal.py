"""What mail says in its header, through to where it is written down."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pop2imap import dates
from pop2imap.addresses import iter_addresses, parse_list_id
from pop2imap.charsets import decode_octets, decode_words
from pop2imap.errors import ExitCode
from pop2imap.headers import Headers
from pop2imap.journal import Placement, Record
from pop2imap.journal.store import open_journal
from pop2imap.model import Account, Key, Refused
from tests.fuzz import bounded

PIECES = st.sampled_from(
    ["From: ", "To: ", "Subject: ", "List-Id: ", "Date: ", "Received: ", "\n", "\r\n", "\n ", "\t", ":", "<", ">",
     "(", ")", '"', "\\", ",", ";", "@", "=?", "?=", "=?utf-8?q?", "=?utf-8?b?", "=?x?q?=00?=", "=?idna?b?eG4tLQ==?=",
     "=?bz2?b?QlpoOTE=?=", "=?utf-7?q?+2AA?=", "=?utf-16?b?2AA=?=", "xn--", "xn--a.example", "a@b.example",
     "1 Jan 2001 10:00:00 +0200", "99", "Mon,", "GMT", "+9999", "\0", "\x1b", "\u202e", "\udcff", "ü", "\u0301"]
)  # fmt: skip
TEXT = st.lists(PIECES | st.text(max_size=3), max_size=20).map("".join)


@bounded(800)
@given(TEXT)
def test_any_header_at_all_is_read(text: str) -> None:
    headers = Headers.parse(text.encode("utf-8", "surrogateescape" if text.isascii() else "replace"))
    for name in ("from", "to", "subject", "list-id", "date", "received"):
        for value in headers.values(name):
            value.encode()  # no lone surrogate gets further
            assert "\n" not in value
        assert all(one.name.encode() is not None for one in headers.addresses(name))
    headers.list_id().encode()
    dated = dates.internal_date(headers, None)
    assert dated is None or dates.EARLIEST < dated[0] <= dates.LATEST


@bounded(400)
@given(TEXT, st.binary(max_size=30), st.text(max_size=12))
def test_any_text_at_all_is_taken_apart(text: str, octets: bytes, charset: str) -> None:
    decode_octets(octets, charset).encode()
    assert isinstance(decode_words(text), str)
    assert sum(len(one.address) for one in iter_addresses(text)) <= 2 * len(text) + 100
    assert len(parse_list_id(text)) <= 255
    assert all(date is None or date.tzinfo for date in (dates.parse_received(text), dates.parse_date(text)))


ANY = st.text(st.characters(), max_size=12) | st.sampled_from(
    ["\0", "\ud800", "\udcff\udcfe", "a\0b", "\U0010ffff", "'; DROP TABLE messages; --", "\\x00", "\u202e",
     "x" * 5000, ""]
)  # fmt: skip
MOMENT = datetime(2020, 5, 4, tzinfo=UTC)


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@bounded(40)
@given(
    identity=ANY, names=st.lists(ANY, min_size=1, max_size=3, unique=True), source=ANY, folder=ANY, words=ANY
)
@example(identity="\ud800", names=["\0"], source="\udcff", folder="\0", words="\ud800")
def test_any_text_can_be_written_down_and_found_again(
    state: Path, identity: str, names: list[str], source: str, folder: str, words: str
) -> None:
    keys = [Key(source, name) for name in names]
    journal = open_journal(state, identity)
    try:
        records = [
            Record(
                key, Account.REFUSED, 1, digest=b"d" * 32, date=MOMENT, reason=words, why=words, subject=words
            )
            for key in keys
        ]
        journal.note(records)
        assert set(journal.lookup(keys)) == set(keys)
        placement = Placement(keys[0], folder, words or "x", 7, 1, b"m" * 32, 1, MOMENT, ("\\Seen",))
        (number,) = journal.intend([Record(keys[0], Account.PENDING, 1, digest=b"d" * 32)], [placement])
        journal.settle([(number, Refused(words))])
        assert len(journal.problems()) >= 1
        journal.finish_run(ExitCode.INCOMPLETE, {})
    finally:
        journal.close()
    again = open_journal(state, identity)
    try:
        assert set(again.lookup(keys)) == set(keys)
    finally:
        again.close()
