"""The last move, remembered beside its journal, so that going on with it needs no endpoints.

``STATE/targets/<target>/move.toml`` (0600) is a move like any other. It is written when a ``migrate`` begins, and
read when a command names no endpoint and the state directory knows exactly one account. It holds places of
passwords at most, and no password commands, whose arguments could be secrets. A move that came from a ``-c``
file and from nothing else is remembered by the name of that file alone, so that later changes in it count.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from pop2imap.config import CommandLine, Config, MoveFile, Said
from pop2imap.errors import ConfigError, UsageError
from pop2imap.journal import place
from pop2imap.movefile_writer import dump, toml_value
from pop2imap.text import printable

NAME = "move.toml"
_SAME_AS = "same-as"
_HEAD = "# The last move to this target: what pop2imap does when no endpoint is named.\n"


def remember(
    state_dir: Path,
    identity: str,
    config: Config,
    line: CommandLine,
    file: MoveFile | None,
    *,
    recalled: bool = False,
) -> None:
    """Write down the move, for the next time. ``recalled``: it is what was written down the last time, with what
    the command line adds. Raises LocalIOError."""
    nothing_new = _says_nothing(line)
    if recalled and nothing_new:
        return
    if file is not None and nothing_new:
        text = f"{_HEAD}{_SAME_AS} = {toml_value(str(file.path))}\n"
    else:
        text = _HEAD + dump(config)
    directory = place.make(state_dir, identity)
    with place.disk_errors(directory):
        write_privately(directory / NAME, text)


def recall(state_dir: Path) -> Path | None:
    """The file of the one move that is known here; None if none is. Raises UsageError if there are several,
    ConfigError if the file that it came from is gone."""
    known = sorted(path.parent for path in (state_dir / place.TARGETS).glob(f"*/{place.DATABASE}"))
    remembered = [path / NAME for path in known if (path / NAME).is_file()]
    if len(known) > 1 and remembered:
        files = [path if (named := _named(path)) is None else named for path in remembered]
        raise UsageError(
            f"{len(known)} targets are known here, so which one is meant?",
            where=printable(str(state_dir)),
            todo="name the endpoints, or one of the last moves: "
            + ", ".join(f"-c {printable(str(path))}" for path in dict.fromkeys(files[:5])),
        )
    if not remembered:
        return None
    named = _named(remembered[0])
    if named is None:
        return remembered[0]
    if not named.is_file():
        raise ConfigError(
            "the last move came from this file, which is gone",
            where=printable(str(named)),
            todo="name the endpoints",
        )
    return named


def _named(path: Path) -> Path | None:
    """The file by whose name a move is remembered, if it is."""
    import tomllib

    try:
        named = tomllib.loads(path.read_text("utf-8")).get(_SAME_AS)
    except (OSError, ValueError):
        return None  # whoever loads it says what is wrong with it
    return Path(named) if isinstance(named, str) else None


def _says_nothing(line: CommandLine) -> bool:
    """Whether the command line adds nothing to a move but what concerns one run."""
    lasting = (
        *("into", "rules", "mark", "assume_empty", "keep_duplicates"),
        *("quarantine", "repair", "allow_cleartext"),
        *("max_rate", "max_messages_per_second", "daily_bytes", "source_daily_bytes", "provider_limits"),
    )
    said = Said(**{name: getattr(line.said, name) for name in lasting})
    sides = (line.login_as, line.ca_file, line.password_file)
    given = any(value is not None for side in sides for value in side.values())
    rest = line._replace(said=Said(), login_as={}, ca_file={}, password_file={}, password_command={})
    return said == Said() and not given and rest == CommandLine()


def write_privately(path: Path, text: str) -> None:
    """Put ``text`` in the place of whatever is there, whole or not at all, for the owner alone. Raises OSError."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(new, path)
    except BaseException:
        with contextlib.suppress(OSError):
            new.unlink()
        raise
