"""``move.toml``: one move in a file, so that nothing is typed twice.

pydantic finds every fault of the shape at once; what it cannot know (two places for one password, a key that
belongs to another kind of source) is looked for beside it, also in a file whose shape is at fault. All of it
comes as one ConfigError. The rules that such a file may hold are none of our business: :data:`RULE_KEYS` are
left to :mod:`pop2imap.rules`.

The keys and all that can be wrong with them stand here together, which is why this file stays whole.
"""

from __future__ import annotations

import difflib
import os
import stat
import tomllib
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo
from pydantic_core import ErrorDetails, PydanticCustomError

from pop2imap.config import (
    MOVE_KEYS,
    REPORT_SUFFIXES,
    RULE_KEYS,
    Labels,
    MoveFile,
    Quoting,
    Said,
    SourceConfig,
    TargetConfig,
    checked_login_as,
    imap_account,
)
from pop2imap.credentials import SecretRef
from pop2imap.endpoints import Endpoint, parse
from pop2imap.errors import ConfigError, Pop2imapError
from pop2imap.kinds import Kind
from pop2imap.options import DeletedAtHome, Mark, checked_repairs
from pop2imap.sizes import MAX_MESSAGE, message_size, per_day, per_second
from pop2imap.text import printable

MOST_OCTETS = 1 << 22
"""More than this is no file that a person wrote."""

Locate = Callable[[str, Sequence[str | int]], int | None]
"""Finds the line (from 1) on which the value at a path of keys and indexes stands in TOML text, if it can."""

_FOR_SERVERS = ("password-file", "password-command", "login-as", "ca", "lenient-end", "read-state-from")
_FOR_FILES = ("quoting", "keep-mbox-headers", "labels", "accounts")

T = TypeVar("T")


def _through(convert: Callable[[str, Path], T]) -> Callable[[object, ValidationInfo], object]:
    """A validator that turns a string into what it means, with our own words for what is wrong with it."""

    def validate(value: object, info: ValidationInfo) -> object:
        if not isinstance(value, str):
            raise PydanticCustomError("string_type", "must be a string")
        try:
            return convert(value, info.context or Path.cwd())
        except Pop2imapError as error:
            words = f"{error.what} ({error.todo})" if error.todo else error.what
            raise PydanticCustomError("pop2imap", "{words}", {"words": words}) from None

    return validate


def _path(text: str, base: Path) -> Path:
    if not text or "\0" in text:
        raise ConfigError("is no path")
    return Path(base, os.path.expanduser(text)).absolute()


def _report(text: str, base: Path) -> Path:
    if Path(text).suffix.lower() not in REPORT_SUFFIXES:
        raise ConfigError("the suffix of a report says its form", todo=f"one of {' '.join(REPORT_SUFFIXES)}")
    return _path(text, base)


def _day(value: object) -> date:
    if isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    raise PydanticCustomError("day", "must be a day, such as 2015-01-31")


def _words(value: object) -> tuple[str, ...]:
    """A command, in words."""
    words = tuple(value) if isinstance(value, list) else value
    if isinstance(words, str) or (isinstance(words, tuple) and all(isinstance(word, str) for word in words)):
        try:
            command = SecretRef.command(words, "").value
        except Pop2imapError as error:
            raise PydanticCustomError("pop2imap", "{words}", {"words": error.what}) from None
        assert isinstance(command, tuple)
        return command
    raise PydanticCustomError("command", "must be a list of words, the first one a program")


def _amount(read: Callable[[str], int], what: str) -> Callable[[object], int]:
    """A validator of numbers of octets, as numbers or as people write them."""

    def validate(value: object) -> int:
        try:
            if isinstance(value, bool) or not isinstance(value, int | str):
                raise ValueError
            return read(str(value))
        except (Pop2imapError, ValueError):  # ValueError: also of a number too long for text
            raise PydanticCustomError("size", "must be {what}", {"what": what}) from None

    return validate


_Endpoint = Annotated[
    Endpoint, BeforeValidator(_through(lambda text, base: parse(text, allow_cleartext=True, base=base)))
]
_Account = Annotated[Endpoint, BeforeValidator(_through(imap_account))]
_Path = Annotated[Path, BeforeValidator(_through(_path))]
_Report = Annotated[Path, BeforeValidator(_through(_report))]
_Repair = Annotated[str, BeforeValidator(_through(lambda text, base: checked_repairs([text])[0]))]
_Mark = Annotated[Mark, BeforeValidator(_through(lambda text, base: Mark.parse(text)))]
_Day = Annotated[date, BeforeValidator(_day)]
_Command = Annotated[tuple[str, ...], BeforeValidator(_words)]
_Size = Annotated[int, BeforeValidator(_amount(message_size, 'a size of a message, such as 4096 or "50M"'))]
_Rate = Annotated[int, BeforeValidator(_amount(per_second, 'octets a second, such as 50000 or "5MB/s"'))]
_OfADay = Annotated[
    int, BeforeValidator(_amount(per_day, 'a number of octets, such as 400000000 or "500MB"'))
]
_User = Annotated[str, BeforeValidator(_through(lambda text, base: checked_login_as(text, "login-as")))]


class _Table(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        arbitrary_types_allowed=True,
        alias_generator=lambda name: name.replace("_", "-"),
    )


class _Target(_Table):
    endpoint: _Endpoint
    password_file: _Path | None = None
    password_command: _Command | None = None
    login_as: _User = ""
    ca: _Path | None = None

    def secret(self, table: str) -> SecretRef | None:
        if self.password_file:
            return SecretRef.file(self.password_file, f"{table} password-file")
        if self.password_command:
            return SecretRef.command(self.password_command, f"{table} password-command")
        return None


class _Source(_Target):
    quoting: Quoting = "auto"
    keep_mbox_headers: bool = False
    labels: Labels = "all"
    accounts: list[str] = Field(default_factory=list)
    lenient_end: bool = False
    max_message_size: _Size = MAX_MESSAGE
    read_state_from: _Account | None = None


class _Options(_Table):
    into: Annotated[str, Field(min_length=1)] | None = None
    rules: _Path | None = None
    mark: _Mark | None = None
    assume_empty: bool | None = None
    keep_duplicates: bool | None = None
    flatten: bool | None = None
    with_trash: bool | None = None
    with_junk: bool | None = None
    deleted_at_home: DeletedAtHome | None = None
    quarantine: _Path | None = None
    repair: list[_Repair] | None = None
    limit: Annotated[int, Field(ge=1)] | None = None
    connections: Annotated[int, Field(ge=1, le=16)] | None = None
    unordered: bool | None = None
    max_rate: _Rate | None = None
    max_messages_per_second: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    daily_bytes: _OfADay | None = None
    source_daily_bytes: _OfADay | None = None
    provider_limits: bool | None = None
    since: _Day | None = None
    before: _Day | None = None
    state_dir: _Path | None = None
    report: list[_Report] | None = None
    allow_cleartext: bool | None = None


class _Move(_Table):
    version: Literal[1]
    source: list[_Source] = Field(default_factory=list)
    target: _Target | None = None
    options: _Options = Field(default_factory=lambda: _Options())


_TABLES: Mapping[str, type[_Table]] = {"source": _Source, "target": _Target, "options": _Options}


def load(path: Path, locate: Locate | None = None) -> MoveFile:
    """What the file says. Paths in it start from its own folder. Raises ConfigError, with every fault."""
    where = printable(str(path))
    text, mode = _read(path, where)
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError("this is not TOML", where=where, problems=[printable(str(error))]) from None
    except RecursionError:
        raise ConfigError("tables and lists are nested too deeply", where=where) from None
    except ValueError:  # tomllib lets Python's own bound on numbers through
        raise ConfigError("a number is too long", where=where) from None
    faults = _Faults(text, where, locate)
    mine = {key: value for key, value in document.items() if key == "version" or key not in RULE_KEYS}
    move: _Move | None = None
    try:
        move = _Move.model_validate(mine, context=path.absolute().parent)
    except ValidationError as error:
        for details in error.errors(include_url=False, include_input=False):
            faults.add(details["loc"], _in_words(details, mine))
    _look_beyond(document, path.absolute().parent, mode, faults)
    if faults.found or move is None:
        raise ConfigError("there are faults in this file", where=where, problems=faults.in_order())
    return MoveFile(
        path=path.absolute(),
        sources=tuple(_source_config(source, at) for at, source in enumerate(move.source, 1)),
        target=_target_config(move.target) if move.target else None,
        said=_said(move.options),
        has_rules=bool(RULE_KEYS & document.keys() - {"version"}),
    )


def _read(path: Path, where: str) -> tuple[str, int]:
    """(text, permission bits). Raises ConfigError."""
    try:
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            octets = file.read(MOST_OCTETS + 1)
        if len(octets) > MOST_OCTETS:
            raise ConfigError("this is too long for a move.toml", where=where)
        return octets.decode("utf-8-sig"), stat.S_IMODE(status.st_mode)
    except OSError as error:
        raise ConfigError(
            f"cannot be read: {error.strerror}", where=where, todo="see pop2imap init"
        ) from None
    except UnicodeDecodeError:
        raise ConfigError("this is not TOML: not in UTF-8", where=where) from None


class _Faults:
    """Collects faults, and puts them in the order of the file."""

    def __init__(self, text: str, where: str, locate: Locate | None) -> None:
        self._text = text
        self._where = where
        self._locate = locate
        self.found: list[tuple[int, str]] = []

    def add(self, at: Sequence[str | int], words: str) -> None:
        line = self._locate(self._text, at) if self._locate else None
        parts = (f"{self._where}:{line}" if line else "", _place(at), words)
        self.found.append((line or 0, ": ".join(part for part in parts if part)))

    def in_order(self) -> list[str]:
        return [words for _, words in sorted(self.found, key=lambda fault: fault[0])]


def _place(at: Sequence[str | int]) -> str:
    """``("source", 1, "ca")`` → ``[[source]] 2, ca``; ``("options", "into")`` → ``options.into``."""
    match list(at):
        case ["source", int(index), *rest]:
            return ", ".join([f"[[source]] {index + 1}", *([_dotted(rest)] if rest else [])])
        case parts:
            return _dotted(parts)


def _dotted(parts: Sequence[str | int]) -> str:
    shown = "".join(f"[{part + 1}]" if isinstance(part, int) else f".{printable(part, 60)}" for part in parts)
    return shown.removeprefix(".")


_WORDS = {
    "missing": "is missing",
    "string_type": "must be a string",
    "string_too_short": "must not be empty",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a number",
    "greater_than": "must be more than {gt:g}",
    "greater_than_equal": "must be at least {ge}",
    "literal_error": "must be {expected}",
    "list_type": "must be a list",
    "model_type": "must be a table",
    "model_attributes_type": "must be a table",
}


def _in_words(details: ErrorDetails, document: Mapping[str, Any]) -> str:
    """One fault as pydantic found it, in words that fit a TOML file; never with the value itself."""
    kind, at = details["type"], details["loc"]
    if kind == "extra_forbidden":
        return _unknown_key(at)
    if kind == "list_type" and at == ("source",):
        return "must be written [[source]], with two brackets, since there may be several"
    words = _WORDS.get(kind)
    return words.format(**details.get("ctx", {})) if words else details["msg"]


def _unknown_key(at: Sequence[str | int]) -> str:
    key = str(at[-1])
    table = next((part for part in at[:-1] if isinstance(part, str)), "")
    known = keys_of(table)
    if key in {"password", "pass", "token", "secret"}:
        return "a password does not belong in this file (use password-file or password-command)"
    for other in _TABLES:
        if other != table and key in keys_of(other):
            return f"belongs in {'[[source]]' if other == 'source' else f'[{other}]'}"
    if table and key in RULE_KEYS:
        return "belongs at the top of the file, before any table"
    near = difflib.get_close_matches(key.replace("_", "-"), sorted(known), 1)
    return f'unknown key (did you mean "{near[0]}"?)' if near else "unknown key"


def keys_of(table: str) -> frozenset[str]:
    """The keys of ``source``, ``target`` or ``options``; of anything else: those at the top."""
    if table not in _TABLES:
        return MOVE_KEYS | RULE_KEYS
    return frozenset(name.replace("_", "-") for name in _TABLES[table].model_fields)


def _look_beyond(document: Mapping[str, Any], base: Path, mode: int, faults: _Faults) -> None:
    """What the shape alone does not show."""
    sources = document.get("source")
    tables: list[tuple[tuple[str | int, ...], Any]] = [(("target",), document.get("target"))]
    if isinstance(sources, list):
        tables += [(("source", at), table) for at, table in enumerate(sources)]
    for at, table in tables:
        if not isinstance(table, dict):
            continue
        if "password-file" in table and "password-command" in table:
            faults.add((*at, "password-command"), "excludes password-file: give one of them")
        if "password-command" in table and mode & stat.S_IWOTH:
            faults.add((*at, "password-command"), "others can write this file, and so start programs as you")
        _check_kind(at, table, base, faults)
    options = document.get("options")
    if isinstance(options, dict) and "rules" in options and RULE_KEYS & document.keys() - {"version"}:
        faults.add(("options", "rules"), "this file holds rules itself: keep one of the two")


def _check_kind(at: tuple[str | int, ...], table: Mapping[str, Any], base: Path, faults: _Faults) -> None:
    try:
        kind = parse(str(table.get("endpoint", "")), allow_cleartext=True, base=base).kind
    except Pop2imapError:
        return  # said already
    if at[0] == "target" and kind is not Kind.IMAP:
        faults.add((*at, "endpoint"), "the target must be an IMAP account, for example imaps://USER@HOST")
    if at[0] == "source":
        if kind is Kind.IMAP:
            faults.add((*at, "endpoint"), "an IMAP account cannot be a source")
        others = _FOR_SERVERS if kind.is_local else _FOR_FILES
        for key in others:
            if key in table:
                what = "files" if kind.is_local else "a server"
                faults.add((*at, key), f"means nothing for {what}")


def _source_config(source: _Source, number: int) -> SourceConfig:
    return SourceConfig(
        source.endpoint,
        secret=source.secret(f"[[source]] {number},"),
        login_as=source.login_as,
        ca_file=source.ca,
        lenient_end=source.lenient_end,
        max_message_size=source.max_message_size,
        quoting=source.quoting,
        keep_mbox_headers=source.keep_mbox_headers,
        labels=source.labels,
        accounts=tuple(source.accounts),
        read_state_from=source.read_state_from,
    )


def _target_config(target: _Target) -> TargetConfig:
    return TargetConfig(
        target.endpoint, secret=target.secret("[target]"), login_as=target.login_as, ca_file=target.ca
    )


def _said(options: _Options) -> Said:
    values = options.model_dump(exclude={"report", "repair"}, exclude_none=True)
    if options.report is not None:
        values["reports"] = tuple(options.report)
    if options.repair is not None:
        values["repair"] = tuple(options.repair)
    if options.mark is not None:
        values["mark"] = options.mark
    return Said(**values)
