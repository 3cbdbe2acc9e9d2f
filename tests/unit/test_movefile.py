"""move.toml: what it says, and what is wrong with it, all at once."""

from __future__ import annotations

import tomllib
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pop2imap import movefile
from pop2imap.config import CommandLine, Config, MoveFile, SourceConfig, TargetConfig, assemble
from pop2imap.credentials import Place, SecretRef
from pop2imap.endpoints import parse
from pop2imap.errors import ConfigError
from pop2imap.movefile_writer import dump, toml_value
from pop2imap.options import Mark, Options
from pop2imap.rules.locator import locate

WHOLE = """
version = 1
me = ["alice@example.com"]

[[source]]
endpoint = "pop3s://alice@pop.example.com"
password-command = "pass show 'mail/pop x'"
login-as = "bob"
ca = "ca.pem"
lenient-end = true
max-message-size = "50M"
read-state-from = "imaps://alice@imap.example.com"

[[source]]
endpoint = "mbox:old/sent"
quoting = "mboxo"
keep-mbox-headers = true

[target]
endpoint = "imaps://alice@example.com@imap.example.com"
password-file = "secrets/imap"

[options]
into = "Archive"
mark = "older-than:30d"
limit = 10
since = 2015-01-31
max-rate = "5MB/s"
provider-limits = false
daily-bytes = "500MB"
source-daily-bytes = 1200000000
max-messages-per-second = 0.5
before = "2020-01-01"
assume-empty = true
keep-duplicates = false
state-dir = "state"
report = ["out.json", "/tmp/out.csv"]
allow-cleartext = true

[[rule]]
name = "left to others"
"""


def load(folder: Path, text: str, **given: movefile.Locate) -> MoveFile:
    path = folder / "move.toml"
    path.write_text(text)
    path.chmod(0o600)
    return movefile.load(path, **given)


def faults(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(folder, text)
    assert "hunter2" not in str(caught.value)
    return list(caught.value.problems)


def test_everything_that_can_be_said_in_a_file(tmp_path: Path) -> None:
    file = load(tmp_path, WHOLE)
    assert file.has_rules
    assert file.path == tmp_path / "move.toml"
    assert file.sources == (
        SourceConfig(
            parse("pop3s://alice@pop.example.com"),
            SecretRef(Place.COMMAND, ("pass", "show", "mail/pop x"), "[[source]] 1, password-command"),
            login_as="bob",
            ca_file=tmp_path / "ca.pem",
            lenient_end=True,
            max_message_size=50 << 20,
            read_state_from=parse("imaps://alice@imap.example.com"),
        ),
        SourceConfig(parse(f"mbox:{tmp_path}/old/sent"), quoting="mboxo", keep_mbox_headers=True),
    )
    assert file.target == TargetConfig(
        parse("imaps://alice@example.com@imap.example.com"),
        SecretRef(Place.FILE, f"{tmp_path}/secrets/imap", "[target] password-file"),
    )
    said = file.said
    assert (said.into, said.mark, said.limit) == ("Archive", Mark("older-than", 30), 10)
    assert (said.since, said.before) == (date(2015, 1, 31), date(2020, 1, 1))
    assert (said.daily_bytes, said.source_daily_bytes) == (500 << 20, 1_200_000_000)
    assert said.provider_limits is False
    assert (said.max_rate, said.max_messages_per_second) == (5 << 20, 0.5)
    assert (said.assume_empty, said.keep_duplicates, said.allow_cleartext) == (True, False, True)
    assert said.state_dir == tmp_path / "state"
    assert said.reports == (tmp_path / "out.json", Path("/tmp/out.csv"))


def test_almost_nothing_has_to_be_said(tmp_path: Path) -> None:
    file = load(tmp_path, "version = 1\n")
    assert (file.sources, file.target, file.has_rules) == ((), None, False)


def test_every_fault_is_named_at_once(tmp_path: Path) -> None:
    problems = faults(
        tmp_path,
        """
        version = 2
        sorce = []

        [[source]]
        endpoint = "pop3s://alice:hunter2@pop.example.com"
        password = "hunter2"

        [[source]]
        endpoint = "mbox:inbox"
        quoting = "mboxx"
        login-as = "bob"

        [[source]]
        endpoint = "pop3s://carol@pop.example.com"
        password-file = "a"
        password-command = []
        keep-mbox-headers = "yes"

        [target]
        endpoint = "mbox:inbox"

        [options]
        mark = "read"
        limit = 0
        since = 2015-01-31T10:00:00
        report = ["out.pdf"]
        asume-empty = true
        endpoint = "x"
        """,
    )
    text = "\n".join(problems)
    for words in [
        "version: must be 1",
        'sorce: unknown key (did you mean "source"?)',
        "[[source]] 1, endpoint: this URL holds a password",
        "[[source]] 1, password: a password does not belong in this file",
        "[[source]] 2, quoting: must be 'auto', 'mboxrd', 'mboxo' or 'none'",
        "[[source]] 2, login-as: means nothing for files",
        "[[source]] 3, password-command: the command is empty",
        "[[source]] 3, password-command: excludes password-file",
        "[[source]] 3, keep-mbox-headers: must be true or false",
        "[[source]] 3, keep-mbox-headers: means nothing for a server",
        "target.endpoint: the target must be an IMAP account",
        "options.mark: 'read' is no way to mark mail",
        "options.limit: must be at least 1",
        "options.since: must be a day",
        "options.report[1]: the suffix of a report",
        'options.asume-empty: unknown key (did you mean "assume-empty"?)',
        "options.endpoint: belongs in [[source]]",
    ]:
        assert words in text
    assert len(problems) == 17


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[options]", "version: is missing"),
        ("version = 1\n[source]\nendpoint = 'mbox:x'", "source: must be written [[source]]"),
        ("version = 1\ntarget = 'imaps://a@b.example'", "target: must be a table"),
        ("version = 1\n[target]", "target.endpoint: is missing"),
        ("version = 1\n[target]\nendpoint = 5", "target.endpoint: must be a string"),
        ("version = 1\n[options]\ninto = ''", "options.into: must not be empty"),
        ("version = 1\n[options]\nlimit = '10'", "options.limit: must be a whole number"),
        ("version = 1\n[options]\nlimit = 1.5", "options.limit: must be a whole number"),
        ("version = 1\n[options]\nreport = 'a.json'", "options.report: must be a list"),
        ("version = 1\n[options]\nsince = '31.1.2015'", "options.since: must be a day"),
        ("version = 1\n[options]\nrules = ''", "options.rules: is no path"),
        ("version = 1\n[options]\nme = ['a']", "options.me: belongs at the top of the file"),
        ("version = 1\n[options]\nrules = 'r.toml'\n[[rule]]", "options.rules: this file holds rules itself"),
        (
            "version = 1\n[target]\nendpoint='imaps://a@b.example'\npassword-command = \"x 'y\"",
            "target.password-command: the command cannot be split",
        ),
        ("version = 1\n[[source]]\nendpoint = 'imaps://a@b.example'", "an IMAP account cannot be a source"),
    ],
)
def test_faults_are_put_in_words_that_fit_the_file(tmp_path: Path, text: str, words: str) -> None:
    assert any(words in problem for problem in faults(tmp_path, text)), faults(tmp_path, text)


def test_what_is_not_toml_says_where(tmp_path: Path) -> None:
    (problem,) = faults(tmp_path, "version = 1\nendpoint = hunter\n")
    assert "line 2" in problem
    (tmp_path / "move.toml").write_bytes(b"version = 1 # \xff")
    with pytest.raises(ConfigError, match="UTF-8"):
        movefile.load(tmp_path / "move.toml")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"missing\.toml: cannot be read: No such file"):
        movefile.load(tmp_path / "missing.toml")


def test_a_locator_puts_lines_to_the_faults_and_the_faults_in_order(tmp_path: Path) -> None:
    path = tmp_path / "move.toml"
    path.write_text(
        "version = 2\n[options]\nlimit = 0\nmark = 'x'\n[[source]]\nendpoint = 'imaps://a@b.example'\n"
    )
    with pytest.raises(ConfigError) as caught:
        movefile.load(path, locate)
    assert [problem.split(": ")[0] for problem in caught.value.problems] == [
        f"{path}:{line}" for line in (1, 3, 4, 6)
    ]


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ('"mbox:old"\nread-state-from = "imaps://a@b.example"', "means nothing for files"),
        ('"pop3s://a@b.example"\nread-state-from = "pop3s://a@b.example"', "names no IMAP account"),
        ('"pop3s://a@b.example"\nread-state-from = "imaps://a:hunter2@b.example"', "holds a password"),
        ('"pop3s://a@b.example"\nread-state-from = 5', "must be a string"),
    ],
)
def test_state_is_read_from_an_imap_account_for_a_maildrop(tmp_path: Path, source: str, fault: str) -> None:
    (problem,) = faults(tmp_path, f"version = 1\n[[source]]\nendpoint = {source}\n")
    assert "[[source]] 1, read-state-from: " in problem
    assert fault in problem


def test_a_file_that_anyone_can_write_must_not_start_programs(tmp_path: Path) -> None:
    path = tmp_path / "move.toml"
    path.write_text(WHOLE)
    path.chmod(0o646)
    with pytest.raises(ConfigError, match="others can write this file"):
        movefile.load(path)


def test_rules_in_the_file_are_the_rules(tmp_path: Path) -> None:
    config = assemble(CommandLine(), load(tmp_path, WHOLE), {})
    assert config.options.rules == tmp_path / "move.toml"


def test_what_was_written_reads_as_the_same_move(tmp_path: Path) -> None:
    config = assemble(CommandLine(), load(tmp_path, WHOLE), {})
    again = assemble(CommandLine(), load(tmp_path, dump(config)), {})
    source = again.sources[0]
    assert source.secret is None, "a command could hold a secret in its arguments"
    assert source._replace(secret=config.sources[0].secret) == config.sources[0]
    assert again.sources[1] == config.sources[1]
    assert again.target == config.target
    assert again.allow_cleartext
    options = again.options
    assert (options.into, options.rules, options.mark) == (
        "Archive",
        tmp_path / "move.toml",
        Mark("older-than", 30),
    )
    assert options.assume_empty
    assert (options.limit, options.since, options.before, again.reports) == (None, None, None, ())


def test_a_plain_move_is_written_plainly() -> None:
    config = Config(
        sources=(SourceConfig(parse("-")),),
        target=TargetConfig(parse("imaps://alice@imap.example.com")),
        options=Options(state_dir=Path("/state")),
    )
    assert dump(config) == (
        'version = 1\n\n[[source]]\nendpoint = "mbox:-"\n\n'
        '[target]\nendpoint = "imaps://alice@imap.example.com"\n\n[options]\n'
    )


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_survives_toml(text: str) -> None:
    assert tomllib.loads(f"key = {toml_value(text)}")["key"] == text


def test_values_of_each_kind_survive_toml() -> None:
    for value in (True, False, 7, 1.5, date(2015, 1, 31), ["a", "b"]):
        assert tomllib.loads(f"key = {toml_value(value)}")["key"] == value


def test_what_is_written_down_does_nothing_to_a_terminal() -> None:
    text = "/mail/\x1b[2J\x7f\x9b\u2028\u202e\U000e0041ü.mbox"
    written = toml_value(text)
    assert written.isprintable()
    assert "ü" in written
    assert tomllib.loads(f"key = {written}")["key"] == text


@pytest.mark.parametrize("text", ["version = " + "9" * 5000, "a = " + "[" * 10_000])
def test_a_file_that_the_toml_reader_itself_chokes_on_is_a_fault_of_the_file(
    tmp_path: Path, text: str
) -> None:
    with pytest.raises(ConfigError, match=r"move\.toml"):
        load(tmp_path, text)


@pytest.mark.parametrize("size", ['"4G"', '"0"', "0", "-1", "true", "1.5", '"50 octets"', "9" * 30])
def test_a_size_that_no_message_has_is_a_fault(tmp_path: Path, size: str) -> None:
    source = f'version = 1\n[[source]]\nendpoint = "pop3s://a@pop.example.com"\nmax-message-size = {size}\n'
    (fault,) = faults(tmp_path, source)
    assert "max-message-size" in fault
    assert "size" in fault.rpartition(":")[2]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('max-rate = "fast"', "must be octets a second, such as"),
        ("max-rate = 0", "must be octets a second, such as"),
        ("max-rate = true", "must be octets a second, such as"),
        ('daily-bytes = "much"', "must be a number of octets, such as"),
        ("source-daily-bytes = -1", "must be a number of octets, such as"),
        ("max-messages-per-second = 0", "must be more than 0"),
        ("max-messages-per-second = nan", "must be"),
        ('max-messages-per-second = "4"', "must be a number"),
    ],
)
def test_a_limit_that_is_none_is_a_fault(tmp_path: Path, line: str, words: str) -> None:
    (fault,) = faults(tmp_path, f"version = 1\n[options]\n{line}\n")
    assert words in fault
    assert line.partition(" ")[0] in fault
