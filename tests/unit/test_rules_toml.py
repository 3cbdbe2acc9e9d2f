"""The TOML file of rules: what is read, what is a fault, on which line, and what only deserves a warning."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pop2imap.errors import ConfigError, ExitCode
from pop2imap.rules import toml
from tests.unit.deciding import decide, rules

EXAMPLE = """\
version = 1
default-folder = "INBOX"
me = ["alice@example.com"]             # own mail goes to the target's \\Sent folder, seen, before the rules below

[[rule]]
name = "Client ACME"
when = { any = [ { from = "*@acme.example" }, { recipient = "*@acme.example" } ] }
then = { folder = "Clients/ACME" }

[[rule]]
name = "Lists"
when = { list-id = "*.lists.example.org", not = { from = "boss@example.com" } }
then = { folder = "Lists/{list-id}", add-flags = ["$List"], mark = "seen" }

[[rule]]
name = "Old"
when = { before = 2015-01-01 }
then = { folder = "Archive/{date:%Y}" }
"""


def problems(text: str, **how: object) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        toml.parse(text, "rules.toml", **how)  # type: ignore[arg-type]
    assert caught.value.exit_code is ExitCode.CONFIG
    return caught.value.problems


def test_the_example_of_the_documentation() -> None:
    ruled = toml.parse(EXAMPLE, "rules.toml")
    assert ruled.names == ("own mail", "Client ACME", "Lists", "Old")
    assert ruled.me == ("alice@example.com",)
    assert ruled.default_folder == "INBOX"
    assert ruled.warnings == ()
    assert ruled.describe() == [
        "own mail: from is one of alice@example.com → \\Sent, marked seen",
        'rule "Client ACME": from matches *@acme.example or recipient matches *@acme.example → Clients/ACME',
        (
            'rule "Lists": list-id matches *.lists.example.org and not (from is boss@example.com)'
            " → Lists/{list-id}, tagged $List, marked seen"
        ),
        'rule "Old": date is before 2015-01-01 → Archive/{date:%Y}',
        "the rest → INBOX",
    ]
    decision = decide(ruled, "List-Id: <news.lists.example.org>\n")
    assert decision.why == (
        (
            'rule "Lists": list-id news.lists.example.org matches *.lists.example.org'
            " and not (from is boss@example.com)"
            " → Lists/news.lists.example.org, tagged $List, marked seen"
        ),
    )


def test_every_fault_comes_at_once_in_file_order_with_its_line() -> None:
    text = """\
version = 2
defualt-folder = "x"
me = ["alice", 3]

[[rule]]
name = "A"
when = { form = "x@example.com" }
then = { foldre = "x", mark = "read" }

[[rule]]
name = "a"
when.all = [
  { from = "acme.example" },
  { subject = { regex = "(?=x)" } },  # [[rule]]
  { larger = "big", before = "2015-01-01" },
]
then.folder = "Lists/{lst-id}"
"""
    assert problems(text) == (
        "rules.toml:1: version must be 1: this pop2imap knows no other",
        'rules.toml:2: unknown key "defualt-folder" (did you mean "default-folder"?)',
        'rules.toml:3: me: "alice" is no whole address',
        "rules.toml:3: me: an address must be text, not a number",
        'rules.toml:7: rule 1 "A": unknown test "form" (did you mean "from"?)',
        'rules.toml:8: rule 1 "A": unknown action "foldre" (did you mean "folder"?)',
        'rules.toml:8: rule 1 "A": mark: must be "seen" or "unseen", not "read"',
        'rules.toml:11: rule 2 "a": this name is that of rule 1: reports could not tell them apart',
        (
            'rules.toml:13: rule 2 "a": from: "acme.example" is no whole address:'
            ' write "*@acme.example" or { domain = "acme.example" }'
        ),
        (
            'rules.toml:14: rule 2 "a": subject: RE2 does not take the regex (?=x): invalid perl operator: (?='
            " (it has no look-around and no back-references, and repeats up to 1000 times)"
        ),
        'rules.toml:15: rule 2 "a": larger: must be a size, such as 4096, "200k" or "5M", not text "big"',
        'rules.toml:15: rule 2 "a": before: must be a date, such as 2015-01-31 (without quotes), not text',
        'rules.toml:17: rule 2 "a": folder: unknown placeholder "lst-id" (did you mean "list-id"?)',
    )
    assert problems(text.replace("\n", "\r\n")) == problems(text)


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        # the top
        ("version = true", "version must be 1"),
        ('version = "1"', "version must be 1"),
        ("x = 1", 'unknown key "x" (known: default-folder, max-folders, me, rule, version)'),
        ('me = "alice@example.com"', "me must be a list"),
        ('me = ["a..b@example.com"]', '"a..b@example.com" is no address: '),
        ('me = ["Alice <a@example.com>"]', "is no address: "),
        ("default-folder = 3", "default-folder: must be text, not a number"),
        ('default-folder = "a//b"', "default-folder: an empty level"),
        ('default-folder = "{list-id}"', "no placeholders here"),
        ("max-folders = 0", "max-folders must be a number from 1 to 10000"),
        ("max-folders = true", "max-folders must be a number"),
        ("rule = 3", "each rule begins with a line [[rule]], not with a number"),
        ("[rule]\nname = 'x'", "each rule begins with a line [[rule]], not with a table"),
        # a rule
        ("[[rule]]\nname = 3\nthen.folder = 'x'", "name must be text, not a number"),
        ("[[rule]]\nname = ''\nthen.folder = 'x'", "name must be text that can be shown"),
        (
            "[[rule]]\nname = 'a\\u202e'\nthen.folder = 'x'".replace("'", '"'),
            "name must be text that can be shown",
        ),
        ("[[rule]]\nname = 'Own Mail'\nthen.folder = 'x'", "this name is that of the rule for own mail"),
        ("[[rule]]\nname = 'x'", "says nothing of what to do"),
        ("[[rule]]\nfolder = 'x'", '"folder" belongs into then'),
        ("[[rule]]\nme = ['x']\nthen.folder = 'x'", '"me" belongs to the top of the file'),
        ("[[rule]]\nthen = 'x'", "then must be a table, not text"),
        ("[[rule]]\nwhen = 'x'\nthen.folder = 'x'", "must be a table of tests, not text"),
    ],
)
def test_faults_at_the_top_and_in_a_rule(line: str, fault: str) -> None:
    found = problems(("" if line.startswith("version") else "version = 1\n") + line)
    assert any(fault in problem for problem in found), found


def test_a_file_without_its_version_is_told_how_it_begins() -> None:
    assert problems("me = []\n") == ("rules.toml:1: the first line must be version = 1",)


@pytest.mark.parametrize(
    ("test", "fault"),
    [
        ("subjekt = 'x'", 'unknown test "subjekt" (did you mean "subject"?)'),
        ("from = 3", "from: must be text, a list, or one of"),
        ("from = []", "from: an empty list matches nothing"),
        ("from = ['x*', ['y*']]", "from: a list within a list"),
        ("from = ['x*', 3]", "from: must be text"),
        ("from = '@acme.example'", 'write "*@acme.example"'),
        ("from = 'root'", 'write "root*" or "*root"'),
        ("from = { is = 'a b@example.com' }", '"a b@example.com" is no address'),
        ("from = { is = 3 }", "is must be text, not a number"),
        ("from = { is = [] }", "an empty list matches nothing"),
        ("from = {}", "must be a table with one of is, contains, regex, domain"),
        ("from = { is = 'a@example.com', contains = 'x' }", "must be a table with one of"),
        ("from = { contians = 'x' }", 'unknown form of a value "contians" (did you mean "contains"?)'),
        ("from = { domain = '*.example.com' }", "is no domain"),
        ("from = { domain = 'a@example.com' }", "is no domain"),
        ("from = { domain = 'exa mple.com' }", "is no domain"),
        ("subject = { domain = 'example.com' }", "domain is for addresses and list-id"),
        ("subject = { contains = '' }", "contained in everything"),
        ("subject = { regex = '(' }", "RE2 does not take the regex"),
        ("header = 'x'", "header: must be the name of a header and its value"),
        ("header = {}", "header: must be the name of a header"),
        ("header.'X Y' = 'x'", "a header name is of ASCII letters"),
        ("header.'X:' = 'x'", "a header name is of ASCII letters"),
        ("header.X-Y = 3", "X-Y: must be text"),
        ("before = 'yesterday'", "before: must be a date"),
        ("before = 07:00:00", "before: must be a date, such as 2015-01-31, not a time of day"),
        ("before = 0001-01-01T00:00:00+02:00", "out of range"),
        ("larger = -1", "larger: must be a size"),
        ("larger = 1.5", "larger: must be a size"),
        ("smaller = true", "smaller: must be a size, such as 4096, \"200k\" or \"5M\", not true or false"),
        ("smaller = '5 miles'", 'not text "5 miles"'),
        ("has-flag = 'Seen'", 'the flag is "\\Seen" (in TOML "\\\\Seen")'),
        ("has-flag = []", "must be a flag or a list of flags"),
        ("has-flag = [3]", "must be a flag or a list of flags"),
        ("sent = 'yes'", "sent: must be true or false, not text"),
        ("all = []", "all: must be a list of tables with tests, not an empty one"),
        ("any = { from = 'x*' }", "any: must be a list of tables with tests, not a table"),
        ("any = [{}]", "any: an empty table tests nothing"),
        ("any = ['x']", "must be a table of tests, not text"),
        ("not = [{ from = 'x*' }]", "for none of several, not = { any = [ … ] }"),
        ("not = {}", "not: an empty table tests nothing"),
        ("not = 3", "must be a table of tests, not a number"),
        ("not = { " * 22 + "from = 'x*'" + " }" * 22, "tests go deeper than 20 levels"),
    ],
)  # fmt: skip
def test_faults_in_tests(test: str, fault: str) -> None:
    found = problems(f"version = 1\n[[rule]]\nname = 'R'\nwhen = {{ {test} }}\nthen.folder = 'x'\n")
    assert len(found) == 1
    assert found[0].startswith('rules.toml:4: rule 1 "R": ')
    assert fault in found[0]


@pytest.mark.parametrize(
    ("actions", "fault"),
    [
        ("", "then does nothing"),
        ("continue = true", "then does nothing"),
        ("folder = 3", "folder: must be text, not a number"),
        ("folder = 'a/../b'", 'folder: ".." is no name'),
        ("folder = '{nothing}'", 'folder: unknown placeholder "nothing"'),
        ("add-flags = '$x'", 'add-flags: must be a list, such as ["$List"], not text'),
        ("add-flags = [3]", "add-flags: a flag must be text, not a number"),
        ("add-flags = ['a b']", "is no flag"),
        ("add-flags = ['a)']", "is no flag"),
        ("add-flags = ['ü']", "is no flag"),
        ("add-flags = ['a\\u000d\\u000a']".replace("'", '"'), "is no flag"),
        (f"add-flags = ['{'x' * 51}']", "too long for a flag (at most 50 characters)"),
        ("add-flags = ['\\Recent']", 'unknown flag "\\Recent"'),
        ("add-flags = ['\\Deleted']", "does not mark mail as deleted"),
        ("add-flags = ['flagged']", 'the flag is "\\Flagged"'),
        ("add-flags = ['\\Seen'], mark = 'unseen'", "\\Seen contradicts mark"),
        ("add-flags = ['\\Flagged'], flagged = false", "\\Flagged contradicts flagged"),
        ("mark = 'read'", 'mark: must be "seen" or "unseen", not "read"'),
        ("mark = true", 'mark: must be "seen" or "unseen", not true or false'),
        ("flagged = 'yes'", 'flagged: must be true or false, not "yes"'),
        ("folder = 'x', continue = 1", "continue: must be true or false, not a number"),
        ("skip = true", "skip: must say why, for the report, in text, not true or false"),
        ("skip = ' '", "skip: must say why"),
        ("skip = 'x', folder = 'y'", "skip: what is left out gets nothing else (here: folder)"),
        ("skip = 'x', continue = true", "skip: what is left out gets nothing else (here: continue)"),
        ("fodler = 'x'", 'unknown action "fodler" (did you mean "folder"?)'),
    ],
)
def test_faults_in_actions(actions: str, fault: str) -> None:
    found = problems(f"version = 1\n[[rule]]\nname = 'R'\nthen = {{ {actions} }}\n")
    assert len(found) == 1
    assert found[0].startswith('rules.toml:4: rule 1 "R": ')
    assert fault in found[0]


def test_a_group_that_no_match_gives_is_no_placeholder() -> None:
    head = "version = 1\n[[rule]]\nname = 'R'\n"
    only_in_not = (
        f"{head}when = {{ not = {{ subject = {{ regex = '(?P<x>.)' }} }} }}\nthen.folder = '{{x}}'\n"
    )
    assert "unknown placeholder" in problems(only_in_not)[0]
    taken = f"{head}when = {{ subject = {{ regex = '(?P<from>.)' }} }}\nthen.folder = '{{from}}'\n"
    assert "a group of the regex is called from, as {from} is" in problems(taken)[0]


def test_a_rule_without_a_name_is_called_by_its_number() -> None:
    ruled = rules("[[rule]]\nthen.folder = 'x'\n")
    assert ruled.names == ("rule 1",)
    assert decide(ruled, "").why == ("rule 1: every message matches → x",)
    assert problems("version = 1\n[[rule]]\nthen.foldre = 'x'\n")[0].startswith(
        "rules.toml:3: rule 1: unknown action"
    )


# --- what is not TOML ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("version = 1\nme = [\n  nonsense\n]\n", 3),
        ("version = 1\nversion = 2\n", 2),
        ("version = 1\nme = [\n\n", 2),
    ],
)
def test_a_syntax_fault_has_its_line(text: str, line: int) -> None:
    (problem,) = problems(text)
    assert problem.startswith(f"rules.toml:{line}: this is not TOML: ")


def test_nesting_without_end_is_a_fault() -> None:
    (problem,) = problems("version = 1\nx = " + "[" * 20_000)
    assert problem.startswith("rules.toml:")


# --- files ---------------------------------------------------------------------------------------------------


def test_a_file_is_read_with_or_without_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    path.write_bytes(b"\xef\xbb\xbf" + EXAMPLE.replace("\n", "\r\n").encode())
    assert toml.load(path).digest == toml.parse(EXAMPLE, "elsewhere").digest


def test_a_file_that_cannot_be_read_is_one_clear_fault(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read: No such file"):
        toml.load(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        toml.load(tmp_path)


def test_a_file_that_is_not_utf8_is_told_its_line(tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    path.write_bytes(b"version = 1\n# gr\xfcn\n")
    with pytest.raises(ConfigError) as caught:
        toml.load(path)
    assert caught.value.problems == (f"{path}:2: this is not UTF-8, which TOML must be",)


def test_a_file_too_large_to_be_written_by_a_person_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    path.write_bytes(b"#" * (toml.MOST_OCTETS + 1))
    with pytest.raises(ConfigError, match="too large"):
        toml.load(path)


def test_keys_of_others_are_passed_over_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "move.toml"
    path.write_text('version = 1\n[[source]]\nendpoint = "mbox:x"\n[options]\n[[rule]]\nthen.folder = "A"\n')
    assert toml.load(path, other_keys=frozenset({"source", "options"})).names == ("rule 1",)
    with pytest.raises(ConfigError) as caught:
        toml.load(path, other_keys=frozenset({"source"}))
    assert caught.value.problems == (
        f'{path}:4: unknown key "options" (known: default-folder, max-folders, me, rule, version)',
    )


# --- what is said beside the file ----------------------------------------------------------------------------


def test_into_goes_before_the_file_and_me_is_added_to_it() -> None:
    ruled = rules("", top='default-folder = "A"\nme = ["a@example.com"]')
    assert (ruled.default_folder, ruled.me) == ("A", ("a@example.com",))
    said = toml.parse(
        'version = 1\ndefault-folder = "A"\nme = ["a@example.com"]', "f", into="inbox", me=["b@example.com"]
    )
    assert (said.default_folder, said.me) == ("INBOX", ("a@example.com", "b@example.com"))


def test_faults_beside_the_file_are_faults() -> None:
    assert problems("version = 1", into="a//b", me=["nobody"]) == (
        'rules.toml:1: me: "nobody" is no whole address',
        'rules.toml:1: --into: an empty level: a name neither begins nor ends with "/", nor has two in a row',
    )
    with pytest.raises(ConfigError) as caught:
        toml.default(into="\\Nope")
    assert str(caught.value).startswith('--into: unknown special use "\\Nope" (known: \\Archive, ')


# --- warnings ------------------------------------------------------------------------------------------------


def test_special_use_domains_are_only_warned_of() -> None:
    ruled = rules(
        '[[rule]]\nname = "R"\nwhen.from = ["a@x.test", "root@localhost", { domain = "corp" }]\nthen.folder = "x"\n',
        top='me = ["me@example.invalid"]',
    )
    assert ruled.warnings == (
        'rules.toml:2: "me@example.invalid" is no address that mail travels to or from: invalid is no public domain',
        'rules.toml:5: rule 1 "R": "a@x.test" is no address that mail travels to or from: test is no public domain',
        (
            'rules.toml:5: rule 1 "R": "root@localhost" is no address that mail travels to or from:'
            " localhost is no public domain"
        ),
        'rules.toml:5: rule 1 "R": no mail travels to or from "corp": corp is no public domain',
    )
    assert decide(ruled, "From: Root@LOCALHOST\n").folders == ("x",)
    assert decide(ruled, "From: me@example.invalid\n").folders == ("\\Sent",)


def test_rules_that_are_never_asked_are_warned_of() -> None:
    text = """
[[rule]]
name = "Tag"
then = { mark = "seen", continue = true }
[[rule]]
name = "Maybe"
then.folder = "{list-id}"
[[rule]]
name = "All"
then.folder = "x"
[[rule]]
name = "Never"
then.folder = "y"
[[rule]]
name = "Mine"
when.sent = true
then.folder = "z"
"""
    assert rules(text, top='me = ["a@example.com"]').warnings == (
        'rules.toml:13: rule 4 "Never": is never asked: rule 3 takes every message',
    )
    assert rules(text).warnings[1].endswith('rule 5 "Mine": no mail counts as sent, because me is not set')


# --- the digest ----------------------------------------------------------------------------------------------


def test_the_digest_is_that_of_the_meaning_not_of_the_lay_out() -> None:
    same = EXAMPLE.replace("when = { before = 2015-01-01 }", "when.before = 2015-01-01 # old\n\n")
    digest = toml.parse(EXAMPLE, "a").digest
    assert toml.parse(same, "b").digest == digest
    assert len(digest) == 64


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("2015-01-01", "2015-01-02"),
        ("2015-01-01", "2015-01-01T00:00:00"),
        ("Clients/ACME", "Clients/Acme"),
        ('"seen"', '"unseen"'),
        ("alice@example.com", "alice@example.org"),
        ('default-folder = "INBOX"', 'default-folder = "Inbox/x"'),
        ('name = "Old"', 'name = "Older"'),
        ("version = 1", "version = 1\nmax-folders = 3"),
    ],
)
def test_the_digest_changes_with_anything_that_may_change_a_decision(old: str, new: str) -> None:
    assert old in EXAMPLE
    assert toml.parse(EXAMPLE.replace(old, new), "a").digest != toml.parse(EXAMPLE, "a").digest


def test_the_digest_knows_what_was_said_beside_the_file() -> None:
    digests = {
        toml.default().digest,
        toml.default(into="Old").digest,
        toml.default(me=["a@example.com"]).digest,
        toml.default(me=["a@example.com", "b@example.com"]).digest,
    }
    assert len(digests) == 4
    assert toml.default(me=["b@example.com", "A@example.com"]).digest in digests


# --- any file at all -----------------------------------------------------------------------------------------

WORDS = st.sampled_from(
    [
        "version",
        "me",
        "rule",
        "when",
        "then",
        "from",
        "subject",
        "header",
        "not",
        "any",
        "is",
        "folder",
        "x",
        "name",
    ]
)
LEAVES = st.one_of(
    st.booleans(),
    st.integers(-5, 5),
    st.sampled_from(["x", "a@example.com", "*", "{from}", "{", "\\Seen", "seen"]),
)
TREES = st.recursive(
    LEAVES, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(WORDS, inner, max_size=3))
)


def spelled(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"'{value}'"
    if isinstance(value, list):
        return f"[{', '.join(map(spelled, value))}]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {spelled(item)}" for key, item in value.items()) + " }"
    return str(value)


def parsed(text: str) -> tuple[toml.TomlRules | None, tuple[str, ...]]:
    try:
        return toml.parse(text, "f"), ()
    except ConfigError as error:
        return None, error.problems


@given(
    st.dictionaries(WORDS, TREES, max_size=4), st.lists(st.dictionaries(WORDS, TREES, max_size=4), max_size=2)
)
def test_any_toml_at_all_gives_rules_or_faults_with_lines(
    top: dict[str, object], tables: list[dict[str, object]]
) -> None:
    text = "version = 1\n" + "".join(
        f"{key} = {spelled(value)}\n" for key, value in top.items() if key != "rule"
    )
    text += "".join(
        "[[rule]]\n" + "".join(f"{key} = {spelled(value)}\n" for key, value in table.items())
        for table in tables
    )
    ruled, found = parsed(text)
    if ruled is None:
        assert found
        assert all(1 <= int(problem.split(":")[1]) <= text.count("\n") for problem in found)
    else:
        assert decide(ruled, "From: a@example.com\n").why
        assert len(ruled.describe()) >= len(tables)


@pytest.mark.parametrize("text", ["version = " + "9" * 5000, "a = " + "[" * 10_000])
def test_a_file_that_the_toml_reader_itself_chokes_on_is_a_fault_of_the_file(text: str) -> None:
    with pytest.raises(ConfigError, match=r"rules\.toml:1: "):
        toml.parse(text, "rules.toml")
