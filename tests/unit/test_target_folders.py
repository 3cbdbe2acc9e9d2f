"""Folder names between people and servers."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pop2imap.errors import FolderError
from pop2imap.special_folders import WELL_KNOWN
from pop2imap.target.folders import Listed, Names, check_name


def listed(name: str, *attributes: str, delimiter: str = "/") -> Listed:
    return Listed(name, delimiter, frozenset(attributes))


SLASH = Names("", "/", [listed("INBOX")])
DOT = Names("", ".", [listed("INBOX")])
COURIER = Names("INBOX.", ".", [listed("INBOX")])
FLAT = Names("", "", [listed("INBOX")])


@pytest.mark.parametrize(
    ("folder", "slash", "dot", "courier"),
    [
        ("INBOX", "INBOX", "INBOX", "INBOX"),
        ("inbox", "INBOX", "INBOX", "INBOX"),
        ("Clients/ACME", "Clients/ACME", "Clients.ACME", "INBOX.Clients.ACME"),
        ("INBOX/Sub", "INBOX/Sub", "INBOX.Sub", "INBOX.Sub"),
        ("Inbox/Sub", "INBOX/Sub", "INBOX.Sub", "INBOX.Sub"),
        ("Inboxes/Sub", "Inboxes/Sub", "Inboxes.Sub", "INBOX.Inboxes.Sub"),
        ("Lists/a.example.org", "Lists/a.example.org", "Lists.a_example_org", "INBOX.Lists.a_example_org"),
        (" Clients / ACME ", "Clients/ACME", "Clients.ACME", "INBOX.Clients.ACME"),
        ("Gru\u0308ße", "Grüße", "Grüße", "INBOX.Grüße"),
        ("INBOX.Sub.Deep", "INBOX.Sub.Deep", "INBOX_Sub_Deep", "INBOX.Sub.Deep"),
        ("inbox.Sub", "inbox.Sub", "inbox_Sub", "INBOX.Sub"),
        ("a\\b", "a\\b", "a\\b", "INBOX.a\\b"),
        ("Family 👩\u200d👧", "Family 👩\u200d👧", "Family 👩\u200d👧", "INBOX.Family 👩\u200d👧"),
        ("INBOX/INBOX", "INBOX/INBOX", "INBOX.INBOX", "INBOX.INBOX"),
    ],
)
def test_names_are_spelled_as_the_server_does(folder: str, slash: str, dot: str, courier: str) -> None:
    assert SLASH.spelled(folder) == slash
    assert DOT.spelled(folder) == dot
    assert COURIER.spelled(folder) == courier


def test_what_is_there_is_told_as_people_write_it() -> None:
    names = [listed(name, delimiter=".") for name in ("INBOX", "INBOX.a.b", "INBOX.a/b", "other.x")]
    names.append(listed("INBOX.none", "\\noselect", delimiter="."))
    courier = Names("INBOX.", ".", names, ["other."])
    assert sorted(courier.folders()) == ["INBOX", "a/b"]
    assert sorted(Names("", ".", names).folders()) == ["INBOX", "INBOX/a/b", "other/x"]


def test_where_names_have_no_levels_they_are_joined() -> None:
    assert FLAT.spelled("Clients/ACME") == "Clients_ACME"
    assert FLAT.spelled("INBOX/Sub") == "INBOX_Sub"
    assert FLAT.levels("Clients_ACME") == ["Clients_ACME"]


@pytest.mark.parametrize(
    "folder",
    ["", "/", "a/", "/a", "a//b", "a/ /b", "a\0", "a\r\nb", "a\x9b", "a\u202eb", "a\u2028", "\ud800"],
)
def test_names_that_cannot_be_are_refused(folder: str) -> None:
    for names in (SLASH, DOT, COURIER, FLAT):
        with pytest.raises(FolderError) as caught:
            names.spelled(folder)
        assert str(caught.value).isprintable()


@given(st.text(max_size=30))
def test_whatever_is_spelled_can_be_named_and_stays_below_the_prefix(folder: str) -> None:
    for names in (SLASH, DOT, COURIER, FLAT):
        try:
            name = names.spelled(folder)
        except FolderError:
            continue
        check_name(name)
        assert name == "INBOX" or name.startswith(names.prefix)
        assert unicodedata.is_normalized("NFC", name)
        if names.delimiter and name != "INBOX":
            assert all(name.removeprefix(names.prefix).split(names.delimiter))
        assert names.levels(name)[-1] == name or name == "INBOX"


# -- special uses


def test_a_special_use_is_the_folder_that_the_server_marks() -> None:
    names = Names(
        "", "/", [listed("INBOX"), listed("Sent"), listed("Ausgang", "\\sent"), listed("Müll", "\\trash")]
    )
    assert names.special_use == {"\\Sent": "Ausgang", "\\Trash": "Müll"}
    assert names.spelled("\\Sent") == "Ausgang"
    assert names.spelled("\\sent/2019") == "Ausgang/2019"
    assert names.spelled("\\SENT/2019/01") == "Ausgang/2019/01"
    assert names.spelled("\\Inbox") == "INBOX"


def test_without_marks_it_is_the_folder_that_is_called_so() -> None:
    names = Names(
        "INBOX.", ".", [listed("INBOX"), listed("INBOX.gesendete objekte"), listed("INBOX.Junk E-mail")]
    )
    assert names.special_use == {}
    assert names.spelled("\\Sent") == "INBOX.gesendete objekte"
    assert names.spelled("\\Junk/2019") == "INBOX.Junk E-mail.2019"


def test_without_any_it_is_one_to_be_made() -> None:
    assert SLASH.spelled("\\Sent") == "Sent"
    assert COURIER.spelled("\\Drafts") == "INBOX.Drafts"
    assert SLASH.use_of("\\Sent") == "\\Sent"
    assert SLASH.use_of("\\sent") == "\\Sent"
    assert SLASH.use_of("\\Sent/2019") == ""
    assert SLASH.use_of("Sent") == ""


def test_folders_that_cannot_hold_mail_have_no_use() -> None:
    names = Names("", "/", [listed("Sent", "\\sent", "\\noselect"), listed("Old", "\\sent", "\\nonexistent")])
    assert names.special_use == {}
    assert names.find("Sent") is None


def test_other_peoples_special_folders_are_not_ours() -> None:
    folders = [listed("Other Users/bob/Sent", "\\sent"), listed("Sent Mail in a long name", "\\sent")]
    names = Names("", "/", folders, ["Other Users/"])
    assert names.special_use == {"\\Sent": "Sent Mail in a long name"}


def test_of_two_marked_folders_the_shortest_name_is_taken_each_time() -> None:
    folders = [listed("Sent/Old", "\\sent"), listed("Sent", "\\sent"), listed("Sent/2019", "\\sent")]
    assert Names("", "/", folders).special_use["\\Sent"] == "Sent"
    assert Names("", "/", reversed(folders)).special_use["\\Sent"] == "Sent"


@pytest.mark.parametrize("use", ["\\All", "\\Flagged", "\\Nonsense", "\\", "\\Sent\\x"])
def test_uses_that_cannot_be_made_up_are_refused(use: str) -> None:
    with pytest.raises(FolderError):
        SLASH.spelled(use)


def test_well_known_names_are_names_and_none_has_two_uses() -> None:
    every = [name.casefold() for names in WELL_KNOWN.values() for name in names]
    assert len(every) == len(set(every))
    for name in every:
        check_name(name)


# -- what is there


def test_names_are_found_in_any_unicode_form_and_inbox_in_any_case() -> None:
    names = Names("", "/", [listed("inbox/Sub"), listed("Gru\u0308ße"), listed("Box")])
    assert names.find("Grüße") == "Gru\u0308ße"
    assert names.find("INBOX/Sub") == "inbox/Sub"
    assert names.find("Inbox") == "INBOX"
    assert names.find("box") is None
    assert names.similar("box") == "Box"
    assert names.find("inbox/sub") is None


def test_what_is_made_is_found() -> None:
    names = Names("", "/", [])
    names.add("New")
    assert names.find("New") == "New"
    assert names.similar("nEW") == "New"
    names.add("NEW")
    assert names.similar("new") == "New"
    names.relist([listed("Newer")])
    assert names.find("New") is None


@pytest.mark.parametrize(
    ("names", "name", "levels"),
    [
        (SLASH, "a/b/c", ["a", "a/b", "a/b/c"]),
        (COURIER, "INBOX.a.b", ["INBOX.a", "INBOX.a.b"]),
        (DOT, "INBOX.a.b", ["INBOX.a", "INBOX.a.b"]),
        (SLASH, "INBOX", ["INBOX"]),
        (SLASH, "a", ["a"]),
    ],
)
def test_levels_come_topmost_first_and_without_inbox(names: Names, name: str, levels: list[str]) -> None:
    assert names.levels(name) == levels


def test_what_a_server_may_refuse_is_replaced_but_for_its_delimiter_and_prefix() -> None:
    assert SLASH.harmless("Lists/a.b") == "Lists/a_b"
    assert SLASH.harmless('100%/"x"*') == "100_/_x__"
    assert DOT.harmless("Lists.a_b") == "Lists.a_b"
    assert DOT.harmless("Lists.100%") == "Lists.100_"
    assert Names("~me.x/", "/", []).harmless("~me.x/a.b") == "~me.x/a_b"
    assert SLASH.harmless("Grüße & Küsse/a-b (c)") == "Grüße & Küsse/a-b (c)"


def test_a_prefix_that_nobody_tells_is_seen_from_the_folders() -> None:
    below = [
        listed("INBOX", delimiter="."),
        listed("INBOX.Sent", delimiter="."),
        listed("INBOX.a.b", delimiter="."),
    ]
    assert Names(None, ".", below).prefix == "INBOX."
    assert Names(None, ".", [*below, listed("Other", delimiter=".")]).prefix == ""
    assert Names(None, ".", [listed("INBOX", delimiter=".")]).prefix == ""
    assert Names("", ".", below).prefix == ""
