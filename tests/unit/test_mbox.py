from __future__ import annotations

import io
import os
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pop2imap.errors import LocalIOError, SourceDataError
from pop2imap.model import Account, Key, Message, Unread
from pop2imap.sources.mbox import MboxSource, Quoting

FROM = b"From alice@example.com Thu Nov 29 19:33:09 2018\n"
ONE = b"From: alice@example.com\nSubject: one\n\nfirst body\n"
TWO = b"From: bob@example.com\nSubject: two\n\nsecond body\n"
WRITTEN = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)

Make = Callable[..., MboxSource]


def crlf(octets: bytes) -> bytes:
    return octets.replace(b"\n", b"\r\n")


def touch(path: Path, when: datetime = WRITTEN) -> None:
    os.utime(path, (when.timestamp(), when.timestamp()))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "inbox"


@pytest.fixture
def make(path: Path) -> Iterator[Make]:
    """An open source on what is given, as if written long ago."""
    sources = []

    def make(octets: bytes, *, age: timedelta = timedelta(days=1), **options: object) -> MboxSource:
        path.write_bytes(octets)
        touch(path)
        source = MboxSource(path, now=lambda: WRITTEN + age, **options)  # type: ignore[arg-type]
        source.open()
        sources.append(source)
        return source

    yield make
    for source in sources:
        source.close(settled=False)


def read(source: MboxSource) -> list[Message]:
    items = list(source.read(source.list().refs))
    assert all(isinstance(item, Message) for item in items), items
    return [item for item in items if isinstance(item, Message)]


def octets(message: Message) -> bytes:
    return b"".join(message.octets.chunks())


def remarks(source: MboxSource) -> str:
    return "\n".join(f"{remark.text}: {remark.count}" for remark in source.list().remarks)


# -- what it is called


@pytest.mark.parametrize(
    ("name", "folder"),
    [("inbox", "inbox"), ("Work.mbox", "Work"), ("Old.MBX", "Old"), ("a.b", "a.b"), (".mbox", ".mbox")],
)
def test_the_folder_is_the_files_name(tmp_path: Path, name: str, folder: str) -> None:
    source = MboxSource(tmp_path / name)
    assert source.folder == folder
    assert source.id == f"mbox:{tmp_path / name}"
    assert source.kind == "mbox"


def test_one_file_has_one_id_whatever_path_leads_to_it(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_bytes(FROM + ONE)
    link = tmp_path / "link"
    link.symlink_to(path)
    monkeypatch.chdir(tmp_path)
    assert {MboxSource(one).id for one in (path, link, Path("inbox"), Path("./link"))} == {f"mbox:{path}"}
    source = MboxSource(link)
    source.open()
    assert len(source.list().refs) == 1
    source.close(settled=True)


# -- keys


def test_twins_are_two_messages_with_one_digest(make: Make) -> None:
    source = make((FROM + ONE + b"\n") * 2 + FROM + TWO + b"\n" + FROM + ONE)
    keys = [message.key for message in read(source)]
    assert [key.nth for key in keys] == [0, 1, 0, 2]
    assert keys[0].name == keys[1].name == keys[3].name != keys[2].name
    assert keys[0] == Key(source.id, keys[0].name)


def test_reading_the_mail_in_a_mail_program_changes_no_key(make: Make) -> None:
    before = [message.key for message in read(make(FROM + ONE + b"\n" + FROM + TWO))]
    noted = b"X-Mozilla-Status: 0001\nX-Mozilla-Status2: 00000000\n" + ONE
    other = TWO.replace(b"\n\n", b"\nX-UID: 7\nStatus: RO\nX-Status: F\n\n")
    after = read(make(b"From - Mon Nov 23 10:00:00 2026\n" + noted + b"\n" + FROM + other + b"\n"))
    assert [message.key for message in after] == before
    assert [octets(message) for message in after] == [crlf(ONE), crlf(TWO)]
    assert [message.flags for message in after] == [{"\\Seen"}, {"\\Seen", "\\Flagged"}]  # type: ignore[comparison-overlap]


def test_the_quoting_option_changes_no_key(make: Make) -> None:
    text = FROM + ONE + b">From here\n>>From there\n"
    read_as = {quoting: read(make(text, quoting=quoting))[0] for quoting in Quoting}
    assert len({message.key for message in read_as.values()}) == 1
    assert octets(read_as[Quoting.NONE]).endswith(b"\r\n>From here\r\n>>From there\r\n")
    assert octets(read_as[Quoting.MBOXO]).endswith(b"\r\nFrom here\r\n>>From there\r\n")
    assert octets(read_as[Quoting.MBOXRD]).endswith(b"\r\nFrom here\r\n>From there\r\n")
    assert octets(read_as[Quoting.AUTO]) == octets(read_as[Quoting.MBOXRD])


# -- what is said


def test_a_plain_file_gives_no_remarks(make: Make) -> None:
    source = make(FROM + ONE + b"\n" + FROM + TWO + b"\n")
    assert source.list().remarks == ()
    assert source.close(settled=True) == ()


def test_suspicious_lines_are_said_with_their_place(make: Make) -> None:
    text = FROM + ONE + FROM + b"is text\n\nFrom here on too\n"
    said = remarks(make(text))
    assert (
        f"no empty line before them, are taken as text (the first at octet {text.index(FROM, 9)}): 1" in said
    )
    assert f"have no date, are taken as text (the first at octet {text.index(b'From here')}): 1" in said


def test_the_choice_of_unquoting_is_said(make: Make) -> None:
    assert (
        "'>From ': one > was put before them (mboxrd) and is taken off again (told from the file): 1"
        in remarks(make(FROM + ONE + b">From here\n"))
    )
    assert "'>From ': they stay as they are (told from the file): 1" in remarks(
        make(FROM + ONE + b">From here\n\nFrom there\n")
    )
    assert "(as asked for): 1" in remarks(make(FROM + ONE + b">From here\n", quoting=Quoting.MBOXO))


def test_citations_stay_where_only_lines_after_empty_ones_were_quoted(make: Make) -> None:
    source = make(FROM + ONE + b">From cited\nFrom plain\n\n>From quoted\n")
    assert octets(read(source)[0]).endswith(b"\r\n>From cited\r\nFrom plain\r\n\r\nFrom quoted\r\n")


def test_files_without_empty_lines_between_messages_are_read_and_said(make: Make) -> None:
    source = make((FROM + ONE + FROM + TWO) * 2)
    assert [octets(message) for message in read(source)] == [crlf(ONE), crlf(TWO)] * 2
    assert "not separated by empty lines" in remarks(source)


def test_the_mail_programs_own_data_is_left_out_and_said(make: Make) -> None:
    data = b"Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\nX-IMAP: 1 2\n\ntext\n"
    source = make(FROM + data + b"\n" + FROM + ONE)
    messages = read(source)
    assert [(message.position, octets(message)) for message in messages] == [(1, crlf(ONE))]
    assert "keeps data of its own is left out: 1" in remarks(source)


def test_messages_that_were_never_fetched_whole_are_said(make: Make) -> None:
    source = make(FROM + b"X-Mozilla-Status: 0400\n" + ONE)
    assert "never fetched the whole: what is in the file is moved: 1" in remarks(source)


def test_a_lock_beside_the_file_is_said(make: Make, path: Path) -> None:
    source = make(FROM + ONE)
    assert len(source.open()) == 1
    Path(f"{path}.lock").touch()
    assert "holds a lock" in source.open()[1]


# -- messages


def test_sizes_are_exact_unless_lines_lose_their_quoting(make: Make) -> None:
    source = make(FROM + b"Status: RO\n" + ONE + b"\n" + FROM + TWO)
    listing = source.list()
    sizes = [ref.size for ref in listing.refs]
    assert sizes == [len(crlf(ONE)), len(crlf(TWO))] == [message.size for message in read(source)]
    assert listing.octets == sum(sizes)


def test_book_keeping_lines_are_kept_on_request(make: Make) -> None:
    text = FROM + b"Status: RO\n" + ONE
    source = make(text, keep_headers=True)
    message = read(source)[0]
    assert octets(message) == crlf(text[len(FROM) :])
    assert message.size == source.list().refs[0].size
    assert message.flags == frozenset({"\\Seen"})
    assert message.key == read(make(text))[0].key


def test_the_from_line_dates_a_message(make: Make) -> None:
    messages = read(make(FROM + ONE + b"\nFrom - Mon Nov 23 10:00:00 2026\n" + TWO))
    assert [message.envelope_date for message in messages] == [
        datetime(2018, 11, 29, 19, 33, 9, tzinfo=UTC),
        None,
    ]


def test_deleted_messages_are_given_with_the_words_why(make: Make) -> None:
    messages = read(make(FROM + b"X-Mozilla-Status: 0009\n" + ONE + b"\n" + FROM + TWO))
    assert [bool(message.discarded) for message in messages] == [True, False]


def test_peeking_reads_heads_with_flags_dates_and_sizes(make: Make) -> None:
    source = make(FROM + b"X-Mozilla-Status: 0009\n" + ONE + b"\n" + FROM + TWO + b"x" * 100_000)
    refs = source.list().refs
    for peeked, whole in zip(source.peek(refs), source.read(refs), strict=True):
        assert isinstance(peeked, Message)
        assert isinstance(whole, Message)
        assert octets(peeked) == whole.octets.head()
        assert not peeked.whole
        assert (peeked.key, peeked.size, peeked.flags) == (whole.key, whole.size, whole.flags)
        assert (peeked.envelope_date, peeked.discarded) == (whole.envelope_date, whole.discarded)


def test_a_message_larger_than_wanted_is_said_and_the_rest_goes_on(make: Make) -> None:
    head = b"From a@example.com Mon May  4 10:00:00 2020\nSubject: x\n\n"
    source = make(
        head + b"small\n\n" + head + b"x" * 100 + b"\n\n" + head + b"small too\n", max_message_size=60
    )
    listing = source.list()
    for items in (list(source.read(listing.refs)), list(source.peek(listing.refs))):
        assert [type(item) for item in items] == [Message, Unread, Message]
        assert isinstance(items[1], Unread)
        assert items[1].account is Account.UNREADABLE
        assert "--max-message-size allows 60" in items[1].reason


def test_the_file_is_only_read(make: Make, path: Path) -> None:
    source = make(FROM + ONE)
    path.chmod(0o400)
    before = path.stat()
    read(source)
    source.close(settled=True)
    after = path.stat()
    assert (after.st_mtime_ns, after.st_atime_ns, after.st_mode) == (
        before.st_mtime_ns,
        before.st_atime_ns,
        before.st_mode,
    )
    assert path.read_bytes() == FROM + ONE


# -- ends that are torn, files that grow or change


@pytest.mark.parametrize("torn", [TWO[:-1], b"From: bob@example.com\nSubj", b"From: bob@example.com\n", b""])
def test_a_fresh_torn_end_is_pending_and_taken_later(make: Make, torn: bytes) -> None:
    text = FROM + ONE + b"\n" + FROM + torn
    source = make(text, age=timedelta(seconds=59))
    first, last = source.read(source.list().refs)
    assert isinstance(first, Message)
    assert isinstance(last, Unread)
    assert last.account is Account.PENDING
    assert "still being written" in last.reason
    assert [item.account for item in source.peek(source.list().refs) if isinstance(item, Unread)] == [
        Account.PENDING
    ]
    assert "cut off" not in remarks(source)

    later = make(text, age=timedelta(seconds=61))
    assert octets(read(later)[1]) == crlf(torn)
    assert "looks cut off; it is taken as it is: 1" in remarks(later)


def test_a_file_from_the_future_is_not_pending_for_years(make: Make) -> None:
    assert len(read(make(FROM + ONE[:-1], age=timedelta(days=-400)))) == 1


def test_a_whole_end_is_never_pending(make: Make) -> None:
    assert len(read(make(FROM + ONE + b"\n" + FROM + TWO, age=timedelta(seconds=1)))) == 2


def test_a_completed_end_keeps_its_key(make: Make) -> None:
    torn = read(make(FROM + ONE[:-1]))[0]
    assert read(make(FROM + ONE + b"\n" + FROM + TWO))[0].key == torn.key


def test_new_mail_during_a_run_is_said_and_harms_nothing(make: Make, path: Path) -> None:
    source = make(FROM + ONE)
    refs = source.list().refs
    with path.open("ab") as file:
        file.write(b"\n" + FROM + TWO)
    assert [type(item) for item in source.read(refs)] == [Message]
    (remark,) = source.close(settled=True)
    assert (
        remark.text
        == f"{path} grew by {len(FROM + TWO) + 1} octets while it was read: run again to fetch what came"
    )
    source.open()
    assert len(source.list().refs) == 2
    assert source.close(settled=True) == ()


@pytest.mark.parametrize("more", [b"more of it\n", b"\nmore of it\n", b"\nFrom here on\n"])
def test_a_last_message_that_goes_on_is_pending(make: Make, path: Path, more: bytes) -> None:
    source = make(FROM + TWO + b"\n" + FROM + ONE)
    refs = source.list().refs
    with path.open("ab") as file:
        file.write(more)
    first, last = source.read(refs)
    assert isinstance(first, Message)
    assert isinstance(last, Unread)
    assert last.account is Account.PENDING


def test_what_comes_during_the_listing_waits_for_the_next(make: Make, path: Path) -> None:
    source = make((FROM + ONE + b"x" * (9 << 20) + b"\n\n") * 2)

    size = path.stat().st_size

    def deliver(_done: int, _expected: int) -> None:
        if path.stat().st_size == size:
            with path.open("ab") as file:
                file.write(FROM + TWO + b"\n")

    assert len(source.list(deliver).refs) == 2
    assert len(source.list().refs) == 3


def test_messages_that_moved_are_gone_never_wrong(make: Make, path: Path) -> None:
    source = make(FROM + TWO + b"\n" + FROM + ONE + b"\n" + FROM + TWO)
    refs = source.list().refs
    path.write_bytes(FROM + ONE + b"\n" + FROM + TWO)
    items = list(source.read(refs))
    assert [item.account for item in items if isinstance(item, Unread)] == [Account.GONE] * 3
    (remark,) = source.close(settled=True)
    assert "was changed by another program" in remark.text


def test_marking_mail_as_read_in_place_meanwhile_changes_nothing_but_flags(make: Make, path: Path) -> None:
    source = make(FROM + b"X-Mozilla-Status: 0000\n" + ONE)
    refs = source.list().refs
    path.write_bytes(FROM + b"X-Mozilla-Status: 0001\n" + ONE)
    (message,) = source.read(refs)
    assert isinstance(message, Message)
    assert message.flags == frozenset({"\\Seen"})


def test_a_replaced_file_is_still_read_and_said(make: Make, path: Path, tmp_path: Path) -> None:
    source = make(FROM + ONE)
    refs = source.list().refs
    (tmp_path / "new").write_bytes(FROM + TWO)
    (tmp_path / "new").replace(path)
    (message,) = source.read(refs)
    assert isinstance(message, Message)
    assert "was replaced by another program" in source.close(settled=True)[0].text


def test_a_removed_file_is_still_read_and_said(make: Make, path: Path) -> None:
    source = make(FROM + ONE)
    refs = source.list().refs
    path.unlink()
    (message,) = source.read(refs)
    assert isinstance(message, Message)
    assert "is gone" in source.close(settled=True)[0].text


def test_a_file_that_became_shorter_makes_messages_gone(make: Make, path: Path) -> None:
    source = make(FROM + ONE + b"\n" + FROM + TWO)
    refs = source.list().refs
    os.truncate(path, len(FROM + ONE) + 3)
    first, last = source.read(refs)
    assert isinstance(first, Message)
    assert isinstance(last, Unread)
    assert last.account is Account.GONE


# -- standard input and pipes


def piped(monkeypatch: pytest.MonkeyPatch, text: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))


def test_standard_input_is_read_once_and_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    piped(monkeypatch, FROM + ONE + b"\n" + FROM + TWO[:-1])
    source = MboxSource(None, spool=tmp_path)
    assert (source.id, source.folder) == ("mbox:-", "INBOX")
    assert source.open() == (f"an mbox of {len(FROM + ONE + FROM + TWO)} octets through a pipe",)
    assert [octets(message) for message in read(source)] == [crlf(ONE), crlf(TWO[:-1])], "nobody writes on"
    assert source.close(settled=False) == ()
    source.open()
    assert len(read(source)) == 2
    assert list(tmp_path.iterdir()) == [], "the copy has no name"


def test_a_pipe_with_a_name_is_as_good(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    writer = threading.Thread(target=fifo.write_bytes, args=(FROM + ONE + b"\n" + FROM + TWO,))
    source = MboxSource(fifo)
    assert source.id == "mbox:-"
    writer.start()
    source.open()
    writer.join()
    assert len(read(source)) == 2


def test_no_room_for_a_pipe_is_a_local_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    piped(monkeypatch, FROM + ONE)
    with pytest.raises(LocalIOError, match="cannot keep what comes through the pipe") as caught:
        MboxSource(None, spool=tmp_path / "missing").open()
    assert caught.value.where == str(tmp_path / "missing")


def test_a_pipe_through_which_nothing_comes_is_no_empty_mbox(monkeypatch: pytest.MonkeyPatch) -> None:
    piped(monkeypatch, b"")
    with pytest.raises(SourceDataError, match="nothing came") as caught:
        MboxSource(None).open()
    assert "the program before the pipe" in caught.value.todo


def test_a_slow_pipe_says_how_much_has_come(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("pop2imap.sources.mbox_file._EVERY", 0.0)
    piped(monkeypatch, FROM + ONE)
    with caplog.at_level("INFO", "pop2imap.progress"):
        MboxSource(None).open()
    assert caplog.messages == ["reading standard input: 0.0 MB so far"]


def test_a_terminal_is_no_mbox(monkeypatch: pytest.MonkeyPatch) -> None:
    piped(monkeypatch, b"")
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    with pytest.raises(SourceDataError, match="is a terminal"):
        MboxSource(None).open()


# -- what cannot be read


def test_an_empty_file_is_an_empty_mbox(make: Make) -> None:
    source = make(b"")
    listing = source.list()
    assert (len(listing.refs), listing.octets, listing.remarks) == (0, 0, ())


def refused(path: Path) -> str:
    with pytest.raises(SourceDataError) as caught:
        MboxSource(path).open()
    assert str(path) in caught.value.where
    return str(caught.value)


def test_a_missing_file_is_said(path: Path) -> None:
    assert "no such file" in refused(path)
    assert "no such file" in refused(path / "below")


def test_folders_are_said_for_what_they_are(tmp_path: Path) -> None:
    assert "is a folder, not an mbox file" in refused(tmp_path)
    apple = tmp_path / "Work.mbox"
    apple.mkdir()
    (apple / "mbox").touch()
    assert f"name {apple}/mbox" in refused(apple)
    for name in ("cur", "new", "tmp"):
        (tmp_path / name).mkdir()
    assert "is a Maildir" in refused(tmp_path)


def test_a_forbidden_file_is_said(path: Path) -> None:
    path.write_bytes(FROM)
    path.chmod(0)
    user = os.geteuid()
    if user == 0:  # root may read everything
        os.seteuid(65534)
    try:
        assert "you may not read it" in refused(path)
    finally:
        os.seteuid(user)


@pytest.mark.parametrize(
    ("start", "said"),
    [
        (b"Subject: x\n\nbody\n", "a single message"),
        (b"\0\0\0\0", "begins with"),
        (b"text\n\n" + FROM + ONE, "if its beginning was cut off"),
        (b"From here on it is text\nand so on\n", "has no date and no header after it"),
    ],
)
def test_what_is_no_mbox_is_said_for_what_it_is(path: Path, start: bytes, said: str) -> None:
    path.write_bytes(start)
    text = refused(path)
    assert said in text
    assert text.isprintable()


def test_names_are_shown_harmlessly(tmp_path: Path) -> None:
    with pytest.raises(SourceDataError) as caught:
        MboxSource(tmp_path / "in\x1b[2Jbox").open()
    assert str(caught.value).isprintable()


def test_nothing_works_before_open(path: Path) -> None:
    path.write_bytes(FROM + ONE)
    with pytest.raises(RuntimeError, match="open"):
        MboxSource(path).list()


# -- many and large


def test_large_messages_go_through_the_spool(make: Make, tmp_path: Path) -> None:
    body = b"0123456789abcdef" * 64 + b"\n"
    source = make(FROM + ONE + body * 4000 + b"\n" + FROM + TWO, spool=tmp_path)
    large, small = read(source)
    assert large.octets.size == len(crlf(ONE)) + 4000 * (len(body) + 1)
    assert octets(large).endswith(crlf(body))
    assert octets(small) == crlf(TWO)


def test_the_listing_stays_compact(make: Make) -> None:
    count = 2000
    source = make(b"".join(FROM + b"Subject: %d\n\n\n" % number for number in range(count)))
    refs = source.list().refs
    assert len(refs) == count
    held = sum(
        len(memoryview(part).tobytes())
        for part in vars(refs).values()
        if isinstance(part, bytearray) or type(part).__name__ == "array"
    )
    assert held / count <= 60
