"""Command line before environment before file before default; and what contradicts itself."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from pop2imap.config import (
    CommandLine,
    Config,
    MoveFile,
    Said,
    SourceConfig,
    TargetConfig,
    assemble,
    names_endpoints,
)
from pop2imap.credentials import Place, SecretRef
from pop2imap.endpoints import parse
from pop2imap.errors import LocalIOError, UsageError
from pop2imap.options import Mark, Options, default_state_dir

POP = "pop3s://alice@pop.example.com"
POP2 = "pop3s://bob@pop.example.com"
IMAP = "imaps://alice@imap.example.com"
MBOX = "mbox:/srv/mail/alice"


def ends(config: Config) -> tuple[list[str], str]:
    return [str(s.endpoint) for s in config.sources], str(config.target and config.target.endpoint)


def given(*arguments: str, **others: object) -> Config:
    return assemble(CommandLine(arguments=arguments, **others), None, {})  # type: ignore[arg-type]


def move_file(*sources: SourceConfig, target: TargetConfig | None = None, **said: object) -> MoveFile:
    return MoveFile(path=Path("/etc/move.toml"), sources=sources, target=target, said=Said(**said))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ("auto", Mark("auto", 14)),
        ("SEEN", Mark("seen", 0)),
        ("unseen", Mark("unseen", 0)),
        ("older-than:30d", Mark("older-than", 30)),
        ("older-than:0", Mark("older-than", 0)),
    ],
)
def test_ways_to_mark_mail(text: str, mark: Mark) -> None:
    assert Mark.parse(text) == mark
    assert Mark.parse(str(mark)) == mark


@pytest.mark.parametrize(
    "text", ["", "read", "older-than:", "older-than:-1d", "older-than:9999999d", "older-than:2w"]
)
def test_what_is_no_way_to_mark_mail(text: str) -> None:
    with pytest.raises(UsageError, match="older-than:30d"):
        Mark.parse(text)


def test_the_last_endpoint_is_the_target() -> None:
    assert ends(given(POP, MBOX, IMAP)) == ([POP, MBOX], IMAP)
    assert ends(given(sources=(POP, MBOX), target=IMAP)) == ([POP, MBOX], IMAP)
    assert ends(given(POP, target=IMAP)) == ([POP], IMAP)
    assert ends(given(IMAP, sources=(POP,))) == ([POP], IMAP)


def test_what_the_file_names_need_not_be_typed() -> None:
    file = move_file(SourceConfig(parse(POP)), target=TargetConfig(parse(IMAP)))
    assert ends(assemble(CommandLine(), file, {})) == ([POP], IMAP)
    assert ends(assemble(CommandLine(arguments=(MBOX,)), file, {})) == ([MBOX], IMAP)
    other = "imaps://carol@imap.example.com"
    assert ends(assemble(CommandLine(arguments=(other,)), file, {})) == ([POP], other)
    assert names_endpoints(CommandLine(), file)
    assert not names_endpoints(CommandLine(), move_file())
    assert names_endpoints(CommandLine(arguments=(POP,)), None)


def test_an_endpoint_of_the_file_that_is_typed_keeps_its_settings() -> None:
    secret = SecretRef.file("/pw", "move.toml")
    file = move_file(
        SourceConfig(parse(POP), secret),
        SourceConfig(parse(POP2)),
        target=TargetConfig(parse(IMAP), secret, login_as="bob"),
    )
    config = assemble(CommandLine(arguments=(POP, IMAP)), file, {})
    assert config.sources == (SourceConfig(parse(POP), secret),)
    assert config.target == TargetConfig(parse(IMAP), secret, login_as="bob")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "what is to be moved"),
        ((POP,), "no target is named"),
        ((IMAP,), "no source is named"),
        ((IMAP, IMAP), "an IMAP account cannot be a source"),
        ((IMAP, POP), "an IMAP account cannot be a source"),
        ((POP, POP, IMAP), "named twice"),
        (("-", "mbox:-", IMAP), "named twice"),
    ],
)
def test_ends_that_do_not_make_a_move(arguments: tuple[str, ...], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        given(*arguments)


def test_sources_are_named_in_one_way() -> None:
    with pytest.raises(UsageError, match="named twice, by --source"):
        given(POP, IMAP, sources=(MBOX,))
    with pytest.raises(UsageError, match="target must be an IMAP account"):
        given(POP, target=MBOX)


def test_one_end_may_do_where_one_end_is_looked_at() -> None:
    config = assemble(CommandLine(arguments=(IMAP,)), None, {}, part_will_do=True)
    assert ends(config) == ([], IMAP)
    config = assemble(CommandLine(arguments=(POP,)), None, {}, part_will_do=True)
    assert config.target is None
    with pytest.raises(UsageError):
        assemble(CommandLine(), None, {}, part_will_do=True)


def test_a_file_cannot_allow_clear_text_in_silence() -> None:
    file = move_file(SourceConfig(parse("pop3://a@pop.example.com", allow_cleartext=True)))
    line = CommandLine(arguments=(IMAP,))
    with pytest.raises(UsageError, match="clear text"):
        assemble(line, file, {})
    allowed = move_file(*file.sources, allow_cleartext=True)
    assert assemble(line, allowed, {}).allow_cleartext


def test_option_before_file_before_default(tmp_path: Path) -> None:
    file = move_file(
        SourceConfig(parse(POP)), target=TargetConfig(parse(IMAP)), into="File", limit=5, assume_empty=True
    )
    line = CommandLine(said=Said(into="Line", assume_empty=False, state_dir=tmp_path))
    options = assemble(line, file, {}).options
    assert options == Options(into="Line", limit=5, assume_empty=False, state_dir=tmp_path)


def test_settings_of_a_side_reach_the_ends_they_are_for() -> None:
    config = given(
        POP,
        MBOX,
        IMAP,
        login_as={"source": "boss", "target": "clerk"},
        ca_file={"source": Path("/s.pem"), "target": Path("/t.pem")},
        password_file={"source": "/s", "target": None},
        password_command={"source": None, "target": "pass t"},
        lenient_end=True,
        quoting="none",
        keep_mbox_headers=True,
    )
    pop, mbox = config.sources
    assert pop == SourceConfig(
        parse(POP),
        SecretRef(Place.FILE, "/s", "--source-password-file"),
        login_as="boss",
        ca_file=Path("/s.pem"),
        lenient_end=True,
    )
    assert mbox == SourceConfig(parse(MBOX), quoting="none", keep_mbox_headers=True)
    assert config.target == TargetConfig(
        parse(IMAP),
        SecretRef(Place.COMMAND, ("pass", "t"), "--target-password-command"),
        login_as="clerk",
        ca_file=Path("/t.pem"),
    )


def test_secrets_of_the_environment_win_over_the_file() -> None:
    file = move_file(
        SourceConfig(parse(POP), SecretRef.file("/file", "move.toml")),
        target=TargetConfig(parse(IMAP), SecretRef.file("/file", "move.toml")),
    )
    config = assemble(CommandLine(), file, {"POP2IMAP_SOURCE_PASSWORD_FILE": "/environment"})
    assert config.sources[0].secret == SecretRef(Place.FILE, "/environment", "POP2IMAP_SOURCE_PASSWORD_FILE")
    assert config.target
    assert config.target.secret == SecretRef.file("/file", "move.toml")


@pytest.mark.parametrize(
    ("line", "environ", "words"),
    [
        (
            CommandLine(password_file={"source": "/pw"}),
            {},
            "--source-password-file cannot tell which of the 2",
        ),
        (CommandLine(login_as={"source": "x"}), {}, "--source-login-as cannot tell which"),
        (
            CommandLine(),
            {"POP2IMAP_SOURCE_PASSWORD": "hunter2"},
            "POP2IMAP_SOURCE_PASSWORD cannot tell which",
        ),
    ],
)
def test_one_password_is_not_for_two_accounts(line: CommandLine, environ: dict[str, str], words: str) -> None:
    file = move_file(SourceConfig(parse(POP)), SourceConfig(parse(POP2)), target=TargetConfig(parse(IMAP)))
    with pytest.raises(UsageError, match=words) as caught:
        assemble(line, file, environ)
    assert "hunter2" not in str(caught.value)
    assert "move.toml" in str(caught.value)


@pytest.mark.parametrize(
    ("sources", "account", "words"),
    [
        ((POP, POP2), IMAP, "one POP3 source, and there are 2 .*move.toml"),
        ((MBOX,), IMAP, "there are none"),
        ((POP,), POP, "names no IMAP account"),
        ((POP,), "imap://alice@imap.example.com", "clear text"),
        ((POP,), "imaps://alice:hunter2@imap.example.com", "holds a password"),
    ],
)
def test_state_comes_from_one_imap_account(sources: tuple[str, ...], account: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        given(*sources, IMAP, read_state_from=account)
    assert "hunter2" not in str(caught.value)


def test_state_from_imap_is_for_the_maildrop_alone() -> None:
    pop, mbox = given(POP, MBOX, IMAP, read_state_from=IMAP).sources
    assert (pop.read_state_from, mbox.read_state_from) == (parse(IMAP), None)
    clear = parse("imap://alice@imap.example.com", allow_cleartext=True)
    file = move_file(SourceConfig(parse(POP), read_state_from=clear), target=TargetConfig(parse(IMAP)))
    with pytest.raises(UsageError, match="clear text"):
        assemble(CommandLine(), file, {})
    allowed = assemble(CommandLine(said=Said(allow_cleartext=True)), file, {})
    assert allowed.sources[0].read_state_from == clear


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (Said(since=date(2020, 1, 1), before=date(2020, 1, 1)), "no day is both"),
        (Said(limit=0), "at least 1"),
        (Said(max_messages_per_second=float("nan")), "more than 0"),
        (Said(into="  "), "no name for a folder"),
        (Said(into="a\nb"), r"a\\x0ab"),
        (Said(reports=(Path("out.pdf"),)), r"\.json \.csv \.txt"),
    ],
)
def test_options_that_make_no_sense(said: Said, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        given(POP, IMAP, said=said)


def test_a_login_name_with_controls_is_refused() -> None:
    with pytest.raises(UsageError, match="no login takes"):
        given(POP, IMAP, login_as={"target": "a\0b"})


def test_a_report_that_cannot_be_written_is_found_out_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(LocalIOError, match="no report can be written there"):
        given(POP, IMAP, said=Said(reports=(tmp_path / "missing" / "out.json",)))
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(LocalIOError):
        given(POP, IMAP, said=Said(reports=(tmp_path / "folder.json",)))
    good = (tmp_path / "a.json", tmp_path / "b.TXT", tmp_path / "a.json")
    assert given(POP, IMAP, said=Said(reports=good)).reports == good[:2]


def test_where_the_state_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("POP2IMAP_STATE_DIR", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_state_dir() == tmp_path / "pop2imap"
    monkeypatch.setenv("POP2IMAP_STATE_DIR", "/srv/state")
    assert default_state_dir() == Path("/srv/state")
    assert Options().state_dir == Path("/srv/state")
