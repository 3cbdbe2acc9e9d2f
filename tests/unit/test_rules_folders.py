"""Folder names: what rules may say, and what mail may put into them."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pop2imap.rules.faults import Fault
from pop2imap.rules.folders import (
    MAX_LEVEL_LENGTH,
    MAX_LEVELS,
    MAX_NAME_OCTETS,
    Template,
    checked_folder,
    harmless,
    name_octets,
)
from tests.unit.deciding import DATE, decide, rules, then


def filled(template: str, **values: str) -> str:
    folder, missing = Template(template).fill(lambda name: values.get(name.replace("-", "_"), ""))
    assert bool(folder) is not bool(missing)
    return folder


# --- what rules may say --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "spelled"),
    [
        ("INBOX", "INBOX"),
        ("inbox", "INBOX"),
        ("Inbox/Old", "INBOX/Old"),
        ("Work/inbox", "Work/inbox"),
        ("Inboxes", "Inboxes"),
        ("Arbeit/Entwürfe", "Arbeit/Entwürfe"),
        ("Entwu\u0308rfe", "Entwürfe"),
        ("\\Sent", "\\Sent"),
        ("\\sent/2015", "\\Sent/2015"),
        ("\\ARCHIVE", "\\Archive"),
        ("a.b & c, (d) 'e'", "a.b & c, (d) 'e'"),
        ("{{curly}}", "{curly}"),
        ("a/" * 9 + "a", "a/" * 9 + "a"),
    ],
)
def test_literal_names_are_their_authors_own(written: str, spelled: str) -> None:
    assert checked_folder(written) == spelled


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("", "no name"),
        ("   ", "no name"),
        ("/a", "empty level"),
        ("a/", "empty level"),
        ("a//b", "empty level"),
        ("a/../b", '".." is no name'),
        ("./b", '"." is no name'),
        ("a/" * 10 + "a", "11 levels are too many"),
        ("a*", 'cannot hold "*"'),
        ("50%", 'cannot hold "%"'),
        ('"a"', "cannot hold"),
        ("a\\b", "cannot hold"),
        ("a/\\Sent", "cannot hold"),
        ("a\tb", "invisible"),
        ("a\u202eb", "invisible"),
        ("a\u200bb", "invisible"),
        ("~home", 'cannot begin with "~"'),
        ("#news", 'cannot begin with "#"'),
        ("\\Snet", 'did you mean "\\Sent"'),
        ("\\All", "unknown special use"),
        ("\\Sent2", "unknown special use"),
        ("a /b", "space"),
        (" a", "space"),
        ("{", 'a lone "{"'),
        ("a}b", 'a lone "}"'),
        ("{date}", "needs a form"),
        ("{date:%H}", '"%H" is no part of a date'),
        ("{date:%", "a lone"),
        ("x" * 201, "too long: 201 octets"),
        ("ü" * 80, "too long"),
        ("{from}/" * 9 + "x" * 60, "too long"),
    ],
)
def test_names_that_no_folder_can_have_are_faults(written: str, why: str) -> None:
    with pytest.raises(Fault) as caught:
        Template(written)
    assert why in str(caught.value)


def test_a_default_folder_has_no_placeholders() -> None:
    with pytest.raises(Fault, match="no placeholders"):
        checked_folder("Lists/{list-id}")


# --- what mail may put into them -----------------------------------------------------------------------------


def test_a_value_stays_within_one_level() -> None:
    assert filled("Lists/{x}/all", x="a/b/../c") == "Lists/a_b_.._c/all"
    assert filled("{x}", x="/etc/passwd") == "_etc_passwd"


@pytest.mark.parametrize("value", ["", " ", ".", "..", "\u202e", "\x00\x1f", '"%*\\', "~#", "\u200b\ufeff"])
def test_a_value_of_which_nothing_is_left_is_no_value(value: str) -> None:
    assert harmless(value) == ""
    assert Template("Lists/{x}").fill(lambda name: value) == ("", "x")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("plain", "plain"),
        ("Entwu\u0308rfe", "Entwürfe"),
        ("a\u202eb\u2066c", "abc"),
        ("a\r\nb\tc", "a b c"),
        ('%a*b"c\\d', "abcd"),
        ("~root", "root"),
        ("#news.x", "news.x"),
        ("  ~ # a  ", "a"),
        ("a" * 100, "a" * 64),
        ("a" * 63 + " b", "a" * 63),
        ("...", "..."),
        ("日本語", "日本語"),
        ("👩‍👧", "👩👧"),
    ],
)
def test_a_hostile_value_is_made_harmless(value: str, shown: str) -> None:
    assert harmless(value) == shown


def test_a_value_at_the_start_cannot_become_a_special_name() -> None:
    assert filled("{x}", x="\\Sent") == "Sent"
    assert filled("{x}/a", x="inbox") == "INBOX/a"
    assert filled("{x}", x="~/mail") == "_mail"


def test_levels_of_several_values_cannot_become_dots() -> None:
    assert filled("{x}{y}", x="..a", y="..b") == "..a..b"
    for cut in range(1, 5):
        assert "/../" not in f"/{filled('/'.join(['{x}'] * 9), x='..' + 'ü' * cut * 9)}/"


def test_long_values_are_cut_until_the_name_fits() -> None:
    folder = filled("a/{x}/{x}/{x}/{x}", x="漢" * 64)
    assert name_octets(folder) <= MAX_NAME_OCTETS
    assert folder.count("/") == 4
    assert len(filled("prefix-{x}-suffix", x="a" * 100)) == MAX_LEVEL_LENGTH


@pytest.mark.parametrize(
    ("name", "octets"),
    [
        ("", 0),
        ("abc/d", 5),
        ("a&b", 4),
        ("ü", len("&APw-")),
        ("台北", len("&U,BTFw-")),
        ("~peter/mail/台北/日本語", len("~peter/mail/&U,BTFw-/&ZeVnLIqe-")),
    ],
)
def test_the_length_in_modified_utf7(name: str, octets: int) -> None:
    assert name_octets(name) == octets


TEMPLATES = [
    "{x}",
    "Lists/{x}",
    "{x}/{y}",
    "a-{x}.{y}-z/{x}",
    "INBOX/{x}",
    "\\Archive/{x}",
    "/".join(["{x}"] * 10),
]


@given(st.sampled_from(TEMPLATES), st.text(max_size=100), st.text(max_size=100))
@example("{x}/{y}", "..", "x")
@example("/".join(["{x}"] * 10), "&" * 64, "")
@example("/".join(["{x}"] * 10), "..😀😀😀", "")
@example("{x}", "\udcff", "y")
def test_whatever_mail_says_the_folder_is_harmless(template: str, x: str, y: str) -> None:
    folder, missing = Template(template).fill(lambda name: {"x": x, "y": y}[name])
    if missing:
        assert harmless(x) == "" or harmless(y) == ""
        return
    levels = folder.split("/")
    assert len(levels) == template.count("/") + 1 <= MAX_LEVELS
    assert name_octets(folder) <= MAX_NAME_OCTETS
    assert not any(level in ("", ".", "..") or level != level.strip() for level in levels)
    assert all(len(level) <= MAX_LEVEL_LENGTH for level in levels)
    assert folder[0] not in "~#"
    assert not set('%*"\\') & set(folder.removeprefix("\\Archive"))
    assert not any(unicodedata.category(character)[0] == "C" for character in folder)
    folder.encode()


# --- in rules ------------------------------------------------------------------------------------------------


def folder_of(template: str, mail: str, **how: str) -> tuple[str, ...]:
    return decide(then(f'folder = "{template}"'), mail, **how).folders  # type: ignore[arg-type]


def test_every_placeholder() -> None:
    mail = "From: Bob <Bob@ACME.example>\nList-Id: News <News.lists.example.org>\n"
    assert folder_of("L/{list-id}", mail) == ("L/news.lists.example.org",)
    assert folder_of("F/{from}", mail) == ("F/bob@acme.example",)
    assert folder_of("D/{from-domain}", mail) == ("D/acme.example",)
    assert folder_of("S/{source-folder}", mail, source_folder="Work/Old") == ("S/Work_Old",)
    assert folder_of("{date:%Y/%m-%d %b %B %y}", mail) == ("2014/05-06 May May 14",)


def test_date_parts_are_english_and_cover_the_year() -> None:
    named = then('folder = "{date:%b %B}"')
    months = [decide(named, "", date=DATE.replace(month=month)).folders[0] for month in range(1, 13)]
    assert months[0] == "Jan January"
    assert months[11] == "Dec December"
    assert len(set(months)) == 12


def test_a_rule_whose_placeholder_has_no_value_does_not_apply_and_says_so() -> None:
    ruled = rules(
        '[[rule]]\nname = "Lists"\nthen = { folder = "Lists/{list-id}", mark = "seen" }\n'
        '[[rule]]\nname = "Rest"\nthen = { folder = "Rest" }\n'
    )
    decision = decide(ruled, "From: a@example.com\n")
    assert decision.folders == ("Rest",)
    assert decision.seen is None
    assert decision.rules == ("Rest",)
    assert (
        decision.why[0]
        == 'rule "Lists" does not apply: every message matches, but {list-id} has no value here'
    )


def test_past_the_limit_new_folders_become_the_fixed_part_of_their_name() -> None:
    ruled = rules(
        '[[rule]]\nname = "Lists"\nwhen = { list-id = "*" }\nthen = { folder = "Lists/{list-id}" }\n'
        '[[rule]]\nname = "People"\nthen = { folder = "{from}" }\n',
        top="max-folders = 2\ndefault-folder = 'Rest'",
    )
    first, second = "List-Id: <a.example.org>\n", "List-Id: <b.example.org>\n"
    assert decide(ruled, first).folders == ("Lists/a.example.org",)
    assert decide(ruled, second).folders == ("Lists/b.example.org",)
    over = decide(ruled, "List-Id: <c.example.org>\n")
    assert over.folders == ("Lists",)
    assert over.why[-1].endswith("→ Lists (instead of Lists/c.example.org: 2 folders are made already)")
    assert decide(ruled, first).folders == ("Lists/a.example.org",)
    assert decide(ruled, "From: z@example.com\n").folders == ("Rest",)
    assert decide(ruled, "List-Id: <c.example.org>\n") == over


def test_folders_that_earlier_runs_made_count_and_may_be_used_again() -> None:
    ruled = rules(
        '[[rule]]\nname = "Lists"\nwhen = { list-id = "*" }\nthen = { folder = "Lists/{list-id}" }\n'
        '[[rule]]\nname = "Friends"\nwhen = { from = "*@friends.example" }\nthen = { folder = "Lists/Friends" }\n',
        top="max-folders = 2",
    )
    ruled.remember(["INBOX", "Lists", "Lists/Friends", "Other/x.example.org", "Lists/a.example.org"])
    assert decide(ruled, "List-Id: <b.example.org>\n").folders == ("Lists/b.example.org",)
    assert decide(ruled, "List-Id: <c.example.org>\n").folders == ("Lists",)
    assert decide(ruled, "List-Id: <a.example.org>\n").folders == ("Lists/a.example.org",)


@pytest.mark.parametrize(
    ("template", "made", "not_made"),
    [
        ("{list-id}", ["a", "ä b"], ["a/b", ""]),
        ("L/{list-id}", ["L/a.b"], ["L", "L/", "L/a/b", "l/a"]),
        ("{date:%Y/%m}", ["2020/05"], ["2020", "2020/05/01"]),
        ("x.{from-domain}-{list-id}", ["x.a-b"], ["xxa-b", "x.a"]),
        ("Fixed", [], ["Fixed"]),
    ],
)
def test_a_template_knows_what_it_may_have_made(template: str, made: list[str], not_made: list[str]) -> None:
    shape = Template(template)
    assert all(shape.may_have_made(folder) for folder in made)
    assert not any(shape.may_have_made(folder) for folder in not_made)


@pytest.mark.parametrize(
    ("value", "folder"),
    [
        ("INBOX.Sent.a.b", "INBOX_Sent.a.b"),
        ("inbox\\evil", "inboxevil"),
        ("Inbox!x", "Inbox_x"),
        ("inbox", "INBOX"),
        ("inbox-zero.example.org", "inbox-zero.example.org"),
        ("inboxes.example.org", "inboxes.example.org"),
    ],
)
def test_a_value_that_begins_a_name_is_never_a_path_of_the_server(value: str, folder: str) -> None:
    assert Template("{list-id}").fill(lambda _: value) == (folder, "")
