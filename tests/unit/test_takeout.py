"""Labels of Gmail: read from what Takeout writes, and what becomes of exports."""

from __future__ import annotations

import base64
import gzip
import quopri
import unicodedata
import zipfile
from email.header import Header
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pop2imap.model import Message, Remark, Unread, place_of
from pop2imap.sources import Source
from pop2imap.sources.archive import archive_source
from pop2imap.sources.mbox import MboxSource
from pop2imap.sources.mbox_flags import Head
from pop2imap.sources.mbox_index import Index
from pop2imap.sources.mbox_known import Memory
from pop2imap.sources.packed import PackedMbox
from pop2imap.sources.settings import Settings
from pop2imap.sources.takeout import Seen, begins_like_takeout, takeout_source
from pop2imap.sources.takeout_labels import (
    _NAMES,
    LABEL_LIMIT,
    VALUE_LIMIT,
    Labels,
    Own,
    read_labels,
    split_labels,
)
from tests.contract.test_packed_contract import as_zip
from tests.corpus.takeout import OWN, as_takeout, by_label, header_value, messages

SEEN, FLAGGED, DRAFT, IMPORTANT = "\\Seen", "\\Flagged", "\\Draft", "$Important"


def said(*labels: str) -> tuple[list[str], set[str] | None]:
    labelled = read_labels(header_value(labels).encode())
    return list(labelled.folders), None if labelled.flags is None else set(labelled.flags)


@pytest.mark.parametrize(
    ("labels", "folders", "flags"),
    [
        (("Inbox", "Unread", "Category Promotions"), ["INBOX"], set()),
        (("Archived", "Opened"), ["\\Archive"], {SEEN}),
        (("Sent", "Opened"), ["\\Sent"], {SEEN}),
        (("Sent", "Inbox"), ["INBOX", "\\Sent"], {SEEN}),
        (("Inbox", "Work/Clients", "Opened", "Starred"), ["Work/Clients", "INBOX"], {SEEN, FLAGGED}),
        (("Archived", "Work", "2019", "Opened"), ["Work", "2019"], {SEEN}),
        (("Drafts", "Important"), ["\\Drafts"], {SEEN, DRAFT, IMPORTANT}),
        (("Trash", "Work", "Unread"), ["\\Trash"], set()),
        (("Spam", "Inbox"), ["\\Junk"], {SEEN}),
        (("Chat", "Opened"), ["Chat"], {SEEN}),
        (("Opened", "Category Personal", "Muted"), ["\\Archive"], {SEEN}),
        (("Inbox", "IMAP_$Forwarded", "IMAP_NotJunk"), ["INBOX"], {SEEN, "$Forwarded", "NotJunk"}),
        (("[Imap]/Drafts", "Opened"), ["\\Drafts"], {SEEN, DRAFT}),
        (("[Gmail]/All Mail", "Unread"), ["\\Archive"], set()),
        (("Posteingang", "Geöffnet", "Important"), ["Important", "INBOX"], {SEEN}),
        (("Posteingang", "Ungelesen", "Wichtig", "Markiert"), ["INBOX"], {IMPORTANT, FLAGGED}),
        (("Messages archivés", "Ouvert", "Catégorie\xa0: E-mails personnels"), ["\\Archive"], {SEEN}),
        (("Boîte de réception", "Non lus"), ["INBOX"], set()),
        (("受信トレイ", "未読", "家族/写真"), ["家族/写真", "INBOX"], set()),
        (("Work",), ["Work"], None),
        (("Kategorie A", "Posteingang"), ["Kategorie A", "INBOX"], {SEEN}),
        ((), ["\\Archive"], None),
        (("\\Sent", "Inbox"), ["_Sent", "INBOX"], {SEEN}),
        (("../..", "a//b", "/", "Inbox"), ["a/b", "INBOX"], {SEEN}),
        (("inbox/x", "Opened"), ["INBOX/x"], {SEEN}),
        (("a\u202eb", "Opened"), ["a_b"], {SEEN}),
    ],
)
def test_what_labels_say(labels: tuple[str, ...], folders: list[str], flags: set[str] | None) -> None:
    assert said(*labels) == (folders, flags)


@pytest.mark.parametrize("language", _NAMES)
def test_every_language_says_the_same(language: str) -> None:
    names = {own: text.split("|") for own, text in _NAMES[language].items()}
    needed = {Own.INBOX, Own.SENT, Own.DRAFTS, Own.JUNK, Own.TRASH, Own.STARRED, Own.IMPORTANT, Own.UNREAD}
    assert needed <= names.keys()
    every = [name for one in names.values() for name in one]
    assert len(every) == len(set(every))
    for inbox in names[Own.INBOX]:
        for unread in names[Own.UNREAD]:
            assert said(inbox, unread) == (["INBOX"], set())
            assert said(inbox, "Mine") == (["Mine", "INBOX"], {SEEN})
            assert said(unicodedata.normalize("NFD", inbox), unread) == (["INBOX"], set())
    for own, place in ((Own.SENT, "\\Sent"), (Own.TRASH, "\\Trash"), (Own.JUNK, "\\Junk")):
        for name in names[own]:
            assert said(name, names[Own.UNREAD][0]) == ([place], set())
    assert said(names[Own.INBOX][0], names[Own.STARRED][0], names[Own.IMPORTANT][0]) == (
        ["INBOX"],
        {SEEN, FLAGGED, IMPORTANT},
    )


def test_as_an_export_has_it() -> None:
    value = (
        b"=?UTF-8?Q?Messages_archiv=C3=A9s,Ouvert,Cat=C3=A9gorie=C2=A0:_E-mails_?=\r\n"
        b' =?UTF-8?Q?personnels,"Culture,_associations,_=C3=A9v=C3=A9nements"?='
    )
    assert split_labels(value) == [
        "Messages archivés", "Ouvert", "Catégorie : E-mails personnels", "Culture, associations, événements",
    ]  # fmt: skip
    assert read_labels(value).folders == ("Culture, associations, événements",)
    assert split_labels(b"Inbox,Category\r\n Promotions,\r\n\tWork") == [
        "Inbox",
        "Category Promotions",
        "Work",
    ]
    assert split_labels("Entwürfe,Übung".encode()) == ["Entwürfe", "Übung"]
    assert split_labels("Übung".encode("latin-1")) == ["Übung"]
    assert split_labels(b'"unclosed,Inbox') == ['"unclosed', "Inbox"]


label = st.text(
    st.characters(exclude_categories=("Cc", "Cs", "Cf", "Zl", "Zp", "Zs")) | st.sampled_from(', "/'),
    min_size=1,
    max_size=40,
).map(lambda text: " ".join(text.split()))
made = st.lists(label.filter(bool), unique=True, max_size=10)


def coded(text: str, style: str, cut: int) -> bytes:
    octets = text.encode()
    pieces = [octets[at : at + cut] for at in range(0, len(octets), cut)]
    if style == "raw":
        return octets
    if style == "base64":
        words = [b"=?UTF-8?B?" + base64.b64encode(piece) + b"?=" for piece in pieces]
    elif style == "quoted":
        words = [
            b"=?utf-8?q?"
            + quopri.encodestring(piece, quotetabs=True, header=True)
            .replace(b"=\n", b"")
            .replace(b"?", b"=3F")
            + b"?="
            for piece in pieces
        ]
    else:
        return Header(text, "utf-8", maxlinelen=60).encode(linesep="\r\n").encode()
    return b"\r\n ".join(words)


@given(made, st.sampled_from(["raw", "base64", "quoted", "email"]), st.integers(1, 45))
@settings(deadline=None)
def test_labels_come_back_however_they_were_put(labels: list[str], style: str, cut: int) -> None:
    text = ",".join('"' + one.replace('"', '""') + '"' if set(one) & set(',"') else one for one in labels)
    if style == "raw" and "=?" in text:
        return
    assert split_labels(coded(text, style, cut)) == labels


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_no_value_fails(value: bytes) -> None:
    labelled = read_labels(value)
    assert labelled.folders
    for folder in labelled.folders:
        levels = folder.split("/")
        assert all(level.strip() and level not in (".", "..") for level in levels)
        assert not folder.startswith("\\") or folder in (
            "\\Archive",
            "\\Sent",
            "\\Drafts",
            "\\Junk",
            "\\Trash",
        )


def test_a_value_without_end_is_bounded() -> None:
    assert len(split_labels(b",".join(b"%d" % nth for nth in range(100_000)))) == LABEL_LIMIT
    long = split_labels(b"Inbox," + b"x" * (2 * VALUE_LIMIT))
    assert long == ["Inbox"]
    split_labels(b'"' * VALUE_LIMIT)
    split_labels(b'"a,"b' * (VALUE_LIMIT // 5))


# the lines in the header


LINES = b"X-GM-THRID: 1\r\nX-Gmail-Labels: Inbox,\r\n Unread\r\n"
PLAIN = b"Delivered-To: alice@example.com\r\nSubject: x\r\n\r\n"


def test_the_lines_are_takeouts_own_where_they_lead() -> None:
    head = Head(LINES + PLAIN, crlf_before=True)
    assert head.kept == head.unkeyed == PLAIN
    assert head.labels == b"Inbox,\r\n Unread"
    assert head.sendable(keep=True) == LINES + PLAIN
    assert Head(b"X-Mozilla-Status: 0001\r\n" + LINES + PLAIN, crlf_before=True).kept == PLAIN
    assert head.state().flags is None
    later = Head(b"Subject: y\r\n" + LINES + PLAIN, crlf_before=True)
    assert later.kept == b"Subject: y\r\n" + LINES + PLAIN
    assert later.labels is None
    lengths = b"Content-Length: 3\r\n"
    assert Head(LINES + lengths + PLAIN, crlf_before=True).sendable(exact_length=True) == lengths + PLAIN


def test_an_export_is_known_by_its_first_message() -> None:
    line = b"From 1@xxx Thu Nov 29 19:33:09 +0000 2018\r\n"
    assert begins_like_takeout(line + LINES + PLAIN)
    assert begins_like_takeout(b"\xef\xbb\xbf\n" + line + LINES[:20])
    assert not begins_like_takeout(line + PLAIN + LINES)
    assert not begins_like_takeout(line + b"Subject: x\r\n" + LINES)
    assert not begins_like_takeout(LINES)
    assert not begins_like_takeout(b"")


# exports


def everything(source: Source) -> tuple[list[Message], list[Remark], list[int]]:
    source.open()
    listing = source.list()
    found = list(source.read(listing.refs))
    source.close(settled=True)
    mail = [item for item in found if isinstance(item, Message)]
    assert len(mail) == len(found)
    return mail, list(listing.remarks), [ref.place for ref in listing.refs]


@pytest.mark.parametrize("language", OWN)
@pytest.mark.parametrize("labels", ["all", "one"])
def test_an_export_in_one_file(language: str, labels: Labels, tmp_path: Path) -> None:
    exported = list(messages(60_000, language=language))
    path = tmp_path / "All mail.mbox"
    path.write_bytes(b"".join(map(as_takeout, exported)))
    found, _, places = everything(MboxSource(path, labels=labels))
    names = OWN[language]
    places_of = dict(zip(names, ("INBOX", "\\Sent", "\\Archive"), strict=False))
    assert len(found) == len(exported) > 20
    for message, one, place in zip(found, exported, places, strict=True):
        assert b"".join(message.octets.chunks()) == one.octets
        assert message.flags is not None
        assert (SEEN in message.flags) == (names[3] not in one.labels)
        assert (FLAGGED in message.flags) == (names[5] in one.labels)
        assert (IMPORTANT in message.flags) == (names[6] in one.labels)
        users = tuple(label for label in one.labels if label not in names)
        own = tuple(places_of[name] for name in names[:2] if name in one.labels)
        expected = (*users, *own) or ("\\Archive",)
        if names[7] in one.labels:
            expected = ("\\Trash",)
        if names[8] in one.labels:
            expected = ("\\Junk",)
        assert message.folders == (expected if labels == "all" else expected[:1])
        assert place == place_of(message.folders)
    plain, _, places = everything(MboxSource(path))
    assert [message.key for message in plain] == [message.key for message in found]
    assert {message.folders for message in plain} == {()}
    assert set(places) == {0}
    kept, _, _ = everything(MboxSource(path, keep_headers=True, labels=labels))
    assert b"".join(kept[0].octets.chunks()).startswith(b"X-GM-THRID: ")
    assert [message.key for message in kept] == [message.key for message in found]


def test_labels_win_over_what_other_programs_noted(tmp_path: Path) -> None:
    path = tmp_path / "x"
    head = b"From 1@xxx Thu Nov 29 19:33:09 +0000 2018\r\nX-Mozilla-Status: 0007\r\n"
    path.write_bytes(head + LINES + PLAIN + b"text\r\n\r\n" + head + PLAIN + b"text\r\n")
    found, _, _ = everything(MboxSource(path, labels="all"))
    assert [message.flags for message in found] == [
        frozenset({"\\Answered"}),
        frozenset({"\\Answered", SEEN, FLAGGED}),
    ]
    assert [message.folders for message in found] == [("INBOX",), ()]


def test_places_are_remembered(tmp_path: Path) -> None:
    path = tmp_path / "x.mbox"
    octets = [as_takeout(one) for one in messages(60_000)]
    path.write_bytes(b"".join(octets[:-5]))
    memory = Memory(tmp_path / "listings")
    everything(MboxSource(path, memory=memory, labels="all"))
    with path.open("ab") as file:
        file.writelines(octets[-5:])
    grown = everything(MboxSource(path, memory=memory, labels="all"))
    assert any("known from an earlier run" in str(remark) for remark in grown[1])
    assert grown[2] == everything(MboxSource(path, labels="all"))[2]
    other = everything(MboxSource(path, memory=memory, labels="one"))
    assert not any("known from an earlier run" in str(remark) for remark in other[1])
    assert other[2] == everything(MboxSource(path, labels="one"))[2]
    assert set(everything(MboxSource(path, memory=memory))[2]) == {0}


@pytest.mark.parametrize("labels", ["all", "one"])
@pytest.mark.parametrize("packed", [False, True])
def test_an_export_by_label_has_each_message_once(labels: Labels, packed: bool, tmp_path: Path) -> None:
    exported = list(messages(60_000))
    twin = exported[3]
    files = by_label([*exported, twin])
    settings = Settings(spool=tmp_path, labels=labels)
    if packed:
        path = tmp_path / "takeout.zip"
        path.write_bytes(as_zip({f"Takeout/Mail/{name}.mbox": octets for name, octets in files.items()}))
        source = archive_source(path, settings)
    else:
        path = tmp_path / "Takeout" / "Mail"
        path.mkdir(parents=True)
        for name, octets in files.items():
            (path / f"{name}.mbox").write_bytes(octets)
        source = takeout_source(tmp_path, settings)
    found, remarks, places = everything(source)
    count = sum(len(one.labels) for one in [*exported, twin])
    assert sorted(b"".join(message.octets.chunks()) for message in found) == sorted(
        one.octets for one in [*exported, twin]
    )
    assert len({message.key for message in found}) == len(found)
    assert {len(message.key.name) for message in found} == {64}
    again = [remark for remark in remarks if "several labels" in remark.text]
    assert [remark.count for remark in again] == [count - len(found)]
    assert places == [place_of(message.folders) for message in found]
    assert everything(source)[0][0].key == found[0].key


def test_what_is_withheld_in_one_file_is_taken_from_the_next(tmp_path: Path) -> None:
    """The first file is damaged in the middle of its zip member; its message is in the second, too."""
    one = next(messages(100))
    octets = as_zip(
        {"Takeout/Mail/A.mbox": as_takeout(one), "Takeout/Mail/B.mbox": as_takeout(one)}, zipfile.ZIP_STORED
    )
    at = octets.index(b"Subject")
    path = tmp_path / "takeout.zip"
    path.write_bytes(octets[:at] + b"s" + octets[at + 1 :])
    source = archive_source(path, Settings(spool=tmp_path, labels="all"))
    source.open()
    items = list(source.read(source.list().refs))
    source.close(settled=False)
    assert [type(item) for item in items] == [Unread, Message]


def test_a_packed_export(tmp_path: Path) -> None:
    exported = list(messages(10_000))
    path = tmp_path / "All mail.mbox.gz"
    path.write_bytes(gzip.compress(b"".join(map(as_takeout, exported))))
    found, _, places = everything(PackedMbox(path, Settings(spool=tmp_path, labels="one")))
    assert [len(message.folders) for message in found] == [1] * len(exported)
    assert all(places)


@given(st.lists(st.binary(min_size=32, max_size=32).filter(any), max_size=50))
def test_what_was_seen_is_known(digests: list[bytes]) -> None:
    seen = Seen()
    known: set[bytes] = set()
    for digest in [*digests, *digests[::2]]:
        assert seen.add(digest) == (digest not in known)
        known.add(digest)
    assert seen.again == len(digests) + len(digests[::2]) - len(known)


def test_many_are_known() -> None:
    seen = Seen()
    digests = [nth.to_bytes(32) for nth in range(1, 5000)]
    assert all(seen.add(digest) for digest in digests)
    assert not any(seen.add(digest) for digest in digests)


def test_places_cost_nothing_where_there_are_none() -> None:
    assert Index("x")._places is None
