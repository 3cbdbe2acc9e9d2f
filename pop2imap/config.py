"""What one run is to do, as frozen data, put together from what was said where.

Each level says what it wants as the same three things: sources, a target, and :class:`Said`, in which None
means nothing was said. :func:`assemble` lets the command line (with the environment, which the command line
reads first) win over a ``move.toml`` (:mod:`pop2imap.movefile`), and that over the defaults of
:class:`Options`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import date
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from pop2imap import credentials
from pop2imap.credentials import SecretRef, Side
from pop2imap.endpoints import Endpoint, parse, require_encryption
from pop2imap.errors import LocalIOError, UsageError
from pop2imap.kinds import Kind
from pop2imap.options import DeletedAtHome, Mark, OnHeld, Options, checked
from pop2imap.sizes import MAX_MESSAGE
from pop2imap.text import printable

RULE_KEYS = frozenset({"version", "default-folder", "me", "max-folders", "rule"})
"""The top-level keys of a rules file; they may also stand in a ``move.toml``."""

MOVE_KEYS = frozenset({"version", "source", "target", "options"})
"""The top-level keys of a ``move.toml`` that are not about rules."""

Quoting = Literal["auto", "mboxrd", "mboxo", "none"]
"""How ``>From `` lines in an mbox were made; ``auto`` goes by what the file shows."""

QUOTINGS: tuple[str, ...] = get_args(Quoting)

Labels = Literal["all", "one"]

REPORT_SUFFIXES = (".json", ".csv", ".txt")


class SourceConfig(NamedTuple):
    """One source. The first four fields are for servers, the last four for files; ``lenient_end`` is for POP3
    servers that do not end a message as they must. ``max_message_size`` is in octets; what is larger is
    unreadable. ``labels``: whether a message of Google Takeout goes into the folders of all its labels, or into one.
    ``accounts`` of a mail program are moved; none: those that make sense. ``read_state_from`` is the IMAP account that
    shows the mail of a POP3 maildrop."""

    endpoint: Endpoint
    secret: SecretRef | None = None
    login_as: str = ""
    ca_file: Path | None = None
    lenient_end: bool = False
    max_message_size: int = MAX_MESSAGE
    quoting: Quoting = "auto"
    keep_mbox_headers: bool = False
    labels: Labels = "all"
    accounts: tuple[str, ...] = ()
    read_state_from: Endpoint | None = None


class TargetConfig(NamedTuple):
    """The target."""

    endpoint: Endpoint
    secret: SecretRef | None = None
    login_as: str = ""
    ca_file: Path | None = None


class Said(NamedTuple):
    """What one level says of the options; None: nothing. See :class:`Options`."""

    into: str | None = None
    rules: Path | None = None
    mark: Mark | None = None
    assume_empty: bool | None = None
    keep_duplicates: bool | None = None
    limit: int | None = None
    since: date | None = None
    before: date | None = None
    state_dir: Path | None = None
    full: bool | None = None
    accept_renumbered: bool | None = None
    allow_same_account: bool | None = None
    max_rate: int | None = None
    max_messages_per_second: float | None = None
    daily_bytes: int | None = None
    source_daily_bytes: int | None = None
    provider_limits: bool | None = None
    quarantine: Path | None = None
    repair: tuple[str, ...] | None = None
    retry_refused: bool | None = None
    on_held: OnHeld | None = None
    connections: int | None = None
    unordered: bool | None = None
    fence: float | None = None
    flatten: bool | None = None
    with_trash: bool | None = None
    with_junk: bool | None = None
    deleted_at_home: DeletedAtHome | None = None
    rescan: bool | None = None
    allow_cleartext: bool | None = None
    reports: tuple[Path, ...] | None = None


class MoveFile(NamedTuple):
    """What a ``move.toml`` says. ``has_rules``: it holds rules of its own."""

    path: Path
    sources: tuple[SourceConfig, ...] = ()
    target: TargetConfig | None = None
    said: Said = Said()
    has_rules: bool = False


_NOTHING: Mapping[Side, None] = {}


class CommandLine(NamedTuple):
    """What options and arguments say. Endpoints are as typed; ``arguments`` are those without an option's
    name, of which the last is the target. The settings of one side hold for its server, or for every mbox."""

    arguments: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    target: str | None = None
    login_as: Mapping[Side, str | None] = _NOTHING
    ca_file: Mapping[Side, Path | None] = _NOTHING
    password_file: Mapping[Side, str | None] = _NOTHING
    password_command: Mapping[Side, str | None] = _NOTHING
    lenient_end: bool | None = None
    max_message_size: int | None = None
    quoting: Quoting | None = None
    keep_mbox_headers: bool | None = None
    labels: Labels | None = None
    accounts: tuple[str, ...] = ()
    read_state_from: str | None = None
    said: Said = Said()


class Config(NamedTuple):
    """One move, complete. ``sources`` may be empty or ``target`` None only if :func:`assemble` was told that
    a part will do."""

    sources: tuple[SourceConfig, ...]
    target: TargetConfig | None
    options: Options
    reports: tuple[Path, ...] = ()
    allow_cleartext: bool = False


def names_endpoints(line: CommandLine, file: MoveFile | None) -> bool:
    """Whether anything names any endpoint at all."""
    return bool(
        line.arguments or line.sources or line.target or (file and (file.sources or file.target is not None))
    )


def assemble(
    line: CommandLine, file: MoveFile | None, environ: Mapping[str, str], *, part_will_do: bool = False
) -> Config:
    """The move that command line, environment and file describe together. ``part_will_do``: one end alone is
    enough.

    Raises UsageError for what contradicts itself or is missing, SourceDataError for a bare path to what is no
    mbox, LocalIOError when there is no place for a report.
    """
    said = _prevailing(line.said, file.said if file else Said())
    if file and file.has_rules and said.rules is None:
        said = said._replace(rules=file.path)
    source_endpoints, target_endpoint = _named(line, allow_cleartext=bool(said.allow_cleartext))

    sources = file.sources if file else ()
    if source_endpoints:
        known = {source.endpoint: source for source in sources}
        sources = tuple(known.get(endpoint) or SourceConfig(endpoint) for endpoint in source_endpoints)
    target = file.target if file else None
    if target_endpoint and (target is None or target.endpoint != target_endpoint):
        target = TargetConfig(target_endpoint)

    _check_endpoints(sources, target, allow_cleartext=bool(said.allow_cleartext), part_will_do=part_will_do)
    return Config(
        sources=_with_state(
            _with_line_settings(sources, line, environ), line, allow_cleartext=bool(said.allow_cleartext)
        ),
        target=target and _with_target_settings(target, line, environ),
        options=_options(said),
        reports=_checked_reports(said.reports or ()),
        allow_cleartext=bool(said.allow_cleartext),
    )


def _prevailing(first: Said, second: Said) -> Said:
    """What ``first`` says, and where it is silent, what ``second`` says."""
    values = first._asdict()
    return second._replace(**{name: value for name, value in values.items() if value is not None})


def _named(line: CommandLine, *, allow_cleartext: bool) -> tuple[list[Endpoint], Endpoint | None]:
    """The sources and the target that the command line names."""
    arguments = [parse(text, allow_cleartext=allow_cleartext) for text in line.arguments]
    sources = [parse(text, allow_cleartext=allow_cleartext) for text in line.sources]
    target = parse(line.target, allow_cleartext=allow_cleartext) if line.target else None
    if target is None and arguments and arguments[-1].kind is Kind.IMAP:
        target = arguments.pop()
    if arguments and sources:
        raise UsageError(
            "sources are named twice, by --source and without it", todo="name them all in one of the two ways"
        )
    return arguments or sources, target


def _check_endpoints(
    sources: Sequence[SourceConfig], target: TargetConfig | None, *, allow_cleartext: bool, part_will_do: bool
) -> None:
    example = "both, such as pop3s://alice@pop.example.com imaps://alice@imap.example.com"
    for source in sources:
        if source.endpoint.kind is Kind.IMAP:
            raise UsageError(
                "an IMAP account cannot be a source",
                where=printable(str(source.endpoint)),
                todo="sources are pop3s:// URLs and files; the one target comes last",
            )
    if target is not None and target.endpoint.kind is not Kind.IMAP:
        raise UsageError(
            "the target must be an IMAP account",
            where=printable(str(target.endpoint)),
            todo=f"write {example}",
        )
    if not (part_will_do and (sources or target)):
        if not sources and target is None:
            raise UsageError("what is to be moved, and where to?", todo=f"write {example}, or -c move.toml")
        if not sources:
            raise UsageError("no source is named", todo=f"write {example}")
        if target is None:
            raise UsageError("no target is named: the last endpoint must be one", todo=f"write {example}")
    named = [source.endpoint for source in sources]
    if twice := next((endpoint for endpoint in named if named.count(endpoint) > 1), None):
        raise UsageError("this source is named twice", where=printable(str(twice)))
    if not allow_cleartext:
        states = [source.read_state_from for source in sources if source.read_state_from]
        for endpoint in [*named, *states, *([target.endpoint] if target else [])]:
            require_encryption(endpoint)


def _with_line_settings(
    sources: Sequence[SourceConfig], line: CommandLine, environ: Mapping[str, str]
) -> tuple[SourceConfig, ...]:
    """The sources with what the command line and the environment say of them."""
    secret = _secret("source", line, environ)
    login_as = _login_as("source", line)
    servers = [source for source in sources if source.endpoint.kind is Kind.POP3]
    if len(servers) > 1 and (secret or login_as):
        raise UsageError(
            f"{secret.origin if secret else '--source-login-as'} cannot tell which of the {len(servers)} POP3 "
            "sources it is for",
            todo="give each of them its own password-file or password-command in a move.toml (-c), keep the "
            "passwords in the keyring, or let pop2imap ask",
        )
    settled = []
    for source in sources:
        source = source._replace(max_message_size=line.max_message_size or source.max_message_size)
        if source.endpoint.kind is Kind.POP3:
            source = source._replace(
                secret=secret or source.secret,
                login_as=login_as or source.login_as,
                ca_file=line.ca_file.get("source") or source.ca_file,
                lenient_end=source.lenient_end if line.lenient_end is None else line.lenient_end,
            )
        else:
            keep = line.keep_mbox_headers
            source = source._replace(
                quoting=line.quoting or source.quoting,
                keep_mbox_headers=source.keep_mbox_headers if keep is None else keep,
                labels=line.labels or source.labels,
                accounts=line.accounts or source.accounts,
            )
        settled.append(source)
    return tuple(settled)


def _with_state(
    sources: tuple[SourceConfig, ...], line: CommandLine, *, allow_cleartext: bool
) -> tuple[SourceConfig, ...]:
    """The sources with what the command line says of where read, answered and starred come from."""
    if not line.read_state_from:
        return sources
    account = imap_account(line.read_state_from)
    if not allow_cleartext:
        require_encryption(account)
    servers = [source for source in sources if source.endpoint.kind is Kind.POP3]
    if len(servers) != 1:
        raise UsageError(
            f"it is for one POP3 source, and there are {len(servers) or 'none'}",
            where="--read-state-from",
            todo="of several, each has its own read-state-from in a move.toml (-c)"
            if servers
            else "leave it out",
        )
    return tuple(
        source._replace(read_state_from=account) if source is servers[0] else source for source in sources
    )


def _with_target_settings(
    target: TargetConfig, line: CommandLine, environ: Mapping[str, str]
) -> TargetConfig:
    return target._replace(
        secret=_secret("target", line, environ) or target.secret,
        login_as=_login_as("target", line) or target.login_as,
        ca_file=line.ca_file.get("target") or target.ca_file,
    )


def _secret(side: Side, line: CommandLine, environ: Mapping[str, str]) -> SecretRef | None:
    return credentials.find(
        side, file=line.password_file.get(side), command=line.password_command.get(side), environ=environ
    )


def _login_as(side: Side, line: CommandLine) -> str:
    return checked_login_as(line.login_as.get(side) or "", f"--{side}-login-as")


def checked_login_as(user: str, where: str) -> str:
    """``user``, if it can be sent as an authorization identity. Raises UsageError."""
    if any(not character.isprintable() for character in user):
        raise UsageError(f"'{printable(user, 60)}' holds characters that no login takes", where=where)
    return user


def imap_account(text: str, base: Path | None = None) -> Endpoint:
    """The IMAP account from which read, answered and starred are read, also one in clear text. Raises UsageError."""
    account = parse(text, allow_cleartext=True, base=base)
    if account.kind is not Kind.IMAP:
        raise UsageError(
            "read-state-from names no IMAP account", todo="write it like imaps://alice@imap.example.com"
        )
    return account


def _options(said: Said) -> Options:
    known = {f.name for f in fields(Options)}
    given = {name: value for name, value in said._asdict().items() if name in known}
    options = Options(**{name: value for name, value in given.items() if value is not None})
    return checked(options)


def _checked_reports(paths: Sequence[Path]) -> tuple[Path, ...]:
    """``paths``, if a report can be written to each: found out before the work and not after it."""
    for path in paths:
        where = printable(str(path))
        if path.suffix.lower() not in REPORT_SUFFIXES:
            raise UsageError(
                "the suffix of a report says its form",
                where=where,
                todo=f"one of {' '.join(REPORT_SUFFIXES)}",
            )
        if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
            raise LocalIOError("no report can be written there", where=where, todo="choose another place")
    return tuple(dict.fromkeys(paths))
