"""From a config to the things that do the work. The table of kinds of sources is here."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pop2imap import credentials
from pop2imap.cli import recall
from pop2imap.config import (
    MOVE_KEYS,
    RULE_KEYS,
    CommandLine,
    Config,
    MoveFile,
    SourceConfig,
    TargetConfig,
    assemble,
    names_endpoints,
)
from pop2imap.credentials import Secret
from pop2imap.errors import ConfigError
from pop2imap.kinds import Kind
from pop2imap.options import Options, default_state_dir
from pop2imap.rules import Rules
from pop2imap.sources import Source
from pop2imap.target import Erasing
from pop2imap.text import printable

if TYPE_CHECKING:
    from pop2imap.sources.mbox_known import Memory
    from pop2imap.sources.settings import Settings

Recall = Callable[[], "Memory"]

log = logging.getLogger("pop2imap.progress")


class Move(NamedTuple):
    """One move as it was said, and where from. ``recalled``: no endpoint was named, so it is the last one."""

    config: Config
    line: CommandLine
    file: MoveFile | None
    recalled: bool = False


def read_move(line: CommandLine, config_file: Path | None, *, part_will_do: bool = False) -> Move:
    """Everything that was said, put together. Raises UsageError, ConfigError, SourceDataError, LocalIOError."""
    file = load_file(config_file) if config_file else None
    recalled = None
    if not names_endpoints(line, file):
        recalled = recall.recall(_state_dir(line, file))
        if recalled is not None:
            last = load_file(recalled)
            file = (
                last
                if file is None
                else MoveFile(
                    path=file.path,
                    sources=last.sources,
                    target=last.target,
                    said=file.said,
                    has_rules=file.has_rules,
                )
            )
    config = assemble(line, file, os.environ, part_will_do=part_will_do)
    if recalled is not None and config.target is not None:
        ends = ", ".join(printable(str(source.endpoint)) for source in config.sources)
        log.info("no endpoints named: the last move, %s → %s", ends, printable(str(config.target.endpoint)))
    return Move(config, line, file, recalled is not None)


def _state_dir(line: CommandLine, file: MoveFile | None) -> Path:
    return line.said.state_dir or (file and file.said.state_dir) or default_state_dir()


def load_file(path: Path) -> MoveFile:
    """A ``move.toml``. Raises ConfigError, with the faults of its rules beside its own."""
    from pop2imap import movefile
    from pop2imap.rules.locator import locate

    try:
        return movefile.load(path, locate)
    except ConfigError as error:
        problems = [*error.problems, *_faults_in_rules(path)]
        raise ConfigError(error.what, where=error.where, todo=error.todo, problems=problems) from None


def _faults_in_rules(path: Path) -> Sequence[str]:
    """What is wrong with the rules in a ``move.toml`` that is at fault anyway."""
    import tomllib

    from pop2imap.rules import toml as rules_toml

    try:
        keys = tomllib.loads(path.read_text("utf-8-sig"))
        if keys.get("version") == 1:
            rules_toml.load(path, other_keys=frozenset(keys) - RULE_KEYS)
    except ConfigError as error:
        return error.problems
    except (OSError, ValueError):
        pass  # said already
    return ()


def rules(options: Options) -> Rules:
    """The rules that the options name, or the default ones; likely mistakes in them are logged. Raises
    ConfigError."""
    from pop2imap.rules import toml as rules_toml

    if options.rules is None:
        return rules_toml.default(options.into or "INBOX")
    found = rules_toml.load(options.rules, into=options.into, other_keys=MOVE_KEYS - {"version"})
    for warning in found.warnings:
        logging.getLogger("pop2imap.rules").warning("%s", warning)
    return found


def secrets(
    config: Config, environ: Mapping[str, str] = os.environ
) -> tuple[Sequence[Secret | None], Secret | None]:
    """The passwords of the sources, in order (None: it needs none), and that of the target. All of them are
    fetched, and asked for, before anything is connected to. Raises ConfigError, AuthenticationFailed."""
    ask = credentials.ask_on_terminal()
    of_sources = [
        None
        if source.endpoint.kind.is_local
        else credentials.resolve(
            source.secret, side="source", account=str(source.endpoint), environ=environ, ask=ask
        )
        for source in config.sources
    ]
    of_target = None
    if config.target is not None:
        of_target = credentials.resolve(
            config.target.secret,
            side="target",
            account=str(config.target.endpoint),
            environ=environ,
            ask=ask,
        )
    return of_sources, of_target


def _pop3(config: SourceConfig, secret: Secret | None, spool: Path | None) -> Source:
    from pop2imap.sources.pop3 import Pop3Source

    assert secret is not None
    return Pop3Source(
        config.endpoint.server(config.ca_file),
        config.endpoint.user,
        secret,
        login_as=config.login_as,
        spool=spool,
        lenient_end=config.lenient_end,
        max_message_size=config.max_message_size,
    )


def _mbox(path: Path, settings: Settings) -> Source:
    """A file, or a directory of files."""
    if path.is_dir():
        from pop2imap.sources.mbox_tree import mbox_tree_source

        return mbox_tree_source(path, settings)
    if path.is_file():
        from pop2imap.sources.archive import archive_source, kind_of_file

        if kind := kind_of_file(path):
            if kind != "packed":
                return archive_source(path, settings)
            from pop2imap.sources.packed import PackedMbox

            return PackedMbox(path, settings)
    from pop2imap.sources.mbox import mbox_source

    return mbox_source(path, settings)


def _takeout(path: Path, settings: Settings) -> Source:
    if not path.is_dir():
        return _mbox(path, settings)
    from pop2imap.sources.takeout import takeout_source

    return takeout_source(path, settings)


def _maildir(path: Path, settings: Settings) -> Source:
    from pop2imap.sources.maildir import maildir_source

    return maildir_source(path, settings)


def _mh(path: Path, settings: Settings) -> Source:
    from pop2imap.sources.mh import mh_source

    return mh_source(path, settings)


def _eml(path: Path, settings: Settings) -> Source:
    from pop2imap.sources.eml import eml_source

    return eml_source(path, settings)


_LOCAL: Mapping[Kind, Callable[[Path, Settings], Source]] = {
    Kind.MBOX: _mbox,
    Kind.MAILDIR: _maildir,
    Kind.MH: _mh,
    Kind.EML: _eml,
    Kind.TAKEOUT: _takeout,
}


def source(
    config: SourceConfig, secret: Secret | None, spool: Path | None, memory: Recall | None = None
) -> Source:
    """The source that is meant, not yet opened. ``spool`` is a directory for large messages; None: the system's
    own. ``memory`` gives what earlier runs know of files; None: all of them is read."""
    kind, path = config.endpoint.kind, config.endpoint.path
    if kind is Kind.POP3:
        return _pop3(config, secret, spool)
    from pop2imap.sources.settings import Settings

    settings = Settings(
        spool,
        config.max_message_size,
        config.keep_mbox_headers,
        config.quoting,
        memory,
        labels=config.labels if kind is Kind.TAKEOUT else "",
    )
    if path is None:
        from pop2imap.sources.mbox import mbox_source

        return mbox_source(None, settings)
    if kind is Kind.THUNDERBIRD:
        from pop2imap.sources.thunderbird import ThunderbirdSource

        return ThunderbirdSource(path, settings, config.accounts)
    return _LOCAL[kind](path, settings)


def target(config: TargetConfig, secret: Secret) -> Erasing:
    """The target that is meant, not yet opened."""
    from pop2imap.target.imap import ImapTarget

    return ImapTarget(
        config.endpoint.server(config.ca_file), config.endpoint.user, secret, login_as=config.login_as
    )
