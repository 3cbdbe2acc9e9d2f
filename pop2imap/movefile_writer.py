"""Writing TOML: single values, and a whole ``move.toml``."""

from __future__ import annotations

import json
from datetime import date

from pop2imap.config import Config, SourceConfig, TargetConfig
from pop2imap.credentials import Place
from pop2imap.options import Options
from pop2imap.sizes import MAX_MESSAGE


def toml_value(value: object) -> str:
    """A string, boolean, number, day or list of them, as TOML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml_value(item) for item in value) + "]"
    if isinstance(value, int | float):
        return str(value)
    # a JSON string is a TOML string, but for surrogates, which TOML cannot hold at all
    text = str(value).encode("utf-8", "replace").decode("utf-8")
    return "".join(map(_shown, json.dumps(text, ensure_ascii=False)))


def _shown(character: str) -> str:
    """A character of a string: what cannot be seen, or moves what can, is escaped."""
    return character if character.isprintable() else f"\\U{ord(character):08x}"


def dump(config: Config) -> str:
    """A ``move.toml`` that says the same as ``config``, but for what concerns one run alone (``limit``, days,
    reports), and for password commands, whose arguments could be secrets."""
    lines = ["version = 1"]
    for source in config.sources:
        lines += ["", "[[source]]", *_end_lines(source)]
        if source.endpoint.kind.is_local:
            lines += _unless_default("quoting", source.quoting, "auto")
            lines += _unless_default("keep-mbox-headers", source.keep_mbox_headers, False)
            lines += _unless_default("labels", source.labels, "all")
            lines += _unless_default("accounts", source.accounts, ())
        else:
            lines += _unless_default("lenient-end", source.lenient_end, False)
            lines += _unless_default("read-state-from", str(source.read_state_from or ""), "")
        lines += _unless_default("max-message-size", source.max_message_size, MAX_MESSAGE)
    if config.target is not None:
        lines += ["", "[target]", *_end_lines(config.target)]
    options, usual = config.options, Options(state_dir=config.options.state_dir)
    lines += ["", "[options]"]
    for name in (
        *("into", "rules", "assume_empty", "keep_duplicates", "quarantine", "repair"),
        *("flatten", "with_trash", "with_junk", "deleted_at_home"),
        *("max_rate", "max_messages_per_second", "daily_bytes", "source_daily_bytes", "provider_limits"),
    ):
        lines += _unless_default(name.replace("_", "-"), getattr(options, name), getattr(usual, name))
    lines += _unless_default("mark", str(options.mark), str(usual.mark))
    lines += _unless_default("allow-cleartext", config.allow_cleartext, False)
    return "\n".join(lines) + "\n"


def _end_lines(end: SourceConfig | TargetConfig) -> list[str]:
    lines = [f"endpoint = {toml_value(str(end.endpoint))}"]
    if end.secret and end.secret.place is Place.FILE:
        lines.append(f"password-file = {toml_value(end.secret.value)}")
    lines += _unless_default("login-as", end.login_as, "")
    return lines + _unless_default("ca", end.ca_file, None)


def _unless_default(key: str, value: object, default: object) -> list[str]:
    return [] if value == default else [f"{key} = {toml_value(value)}"]
