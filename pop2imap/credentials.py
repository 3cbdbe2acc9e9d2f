"""Secrets and where they come from.

A secret is never an option's value, never in a log, a repr, a pickle or the journal. What travels through
configuration is a :class:`SecretRef`: where a password *is*. :func:`find` picks the reference that counts, by
the one order of precedence (option, environment, file); :func:`resolve` fetches what it names, or else
looks into the keyring, or else asks, if there is a terminal to ask on.

A password file must be the person's own, a regular file, and closed to group and others. A password command
is a list of arguments, started without a shell; it may talk to the person on the terminal, but what it says
is never captured, since nobody knows what a failing command prints.
"""

from __future__ import annotations

import os
import stat
import sys
import threading
import weakref
from collections.abc import Callable, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Literal, NamedTuple, NoReturn

from pop2imap.errors import AuthenticationFailed, ConfigError, UsageError
from pop2imap.text import printable

if TYPE_CHECKING:
    from pathlib import Path

COMMAND_SECONDS = 300.0
"""How long a password command may take: a person may have to find a key and touch it."""

MOST_OCTETS = 1 << 16
"""More than this is no password file."""

KEYRING_SERVICE = "pop2imap"

_PASSWORDS = frozenset({"POP2IMAP_SOURCE_PASSWORD", "POP2IMAP_TARGET_PASSWORD", "POP2IMAP_STATE_PASSWORD"})

Side = Literal["source", "target", "state"]
"""``state`` is the IMAP account of ``--read-state-from``: its password has no options, only the environment."""

_alive: weakref.WeakSet[Secret] = weakref.WeakSet()
_alive_lock = threading.Lock()


class Secret:
    """A password that does not show itself by accident. Logs scrub its value for as long as it lives."""

    __slots__ = ("__weakref__", "_value")

    def __init__(self, value: str) -> None:
        self._value = value
        with _alive_lock:
            _alive.add(self)

    def reveal(self) -> str:
        """The value, for the one place that sends it."""
        return self._value

    def __repr__(self) -> str:
        return "Secret('***')"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled")


def alive() -> tuple[Secret, ...]:
    """Every secret that something still holds."""
    with _alive_lock:
        return tuple(_alive)


class Place(Enum):
    """The kinds of places a password can be in."""

    FILE = "file"
    COMMAND = "command"
    ENVIRONMENT = "environment variable"


class SecretRef(NamedTuple):
    """Where a password is. ``value`` is the path, the arguments, or the name of the variable; ``origin`` names
    the option, variable or key that said so, for errors."""

    place: Place
    value: str | tuple[str, ...]
    origin: str

    @classmethod
    def file(cls, path: str | os.PathLike[str], origin: str, base: Path | None = None) -> SecretRef:
        """``base`` is the folder that a relative path starts from."""
        from pathlib import Path

        absolute = Path(base or Path.cwd(), os.path.expanduser(os.fspath(path))).absolute()
        return cls(Place.FILE, str(absolute), origin)

    @classmethod
    def command(cls, command: str | tuple[str, ...], origin: str) -> SecretRef:
        """A string is split as a shell would, without any other service of a shell. Raises UsageError."""
        if isinstance(command, str):
            import shlex

            try:
                command = tuple(shlex.split(command))
            except ValueError as error:
                raise UsageError(f"the command cannot be split into words: {error}", where=origin) from None
        if not command or not command[0]:
            raise UsageError("the command is empty", where=origin)
        if any("\0" in word for word in command):
            raise UsageError("the command holds a NUL character", where=origin)
        return cls(Place.COMMAND, command, origin)


def find(
    side: Side,
    *,
    file: str | None,
    command: str | None,
    environ: Mapping[str, str],
    configured: SecretRef | None = None,
) -> SecretRef | None:
    """The reference that counts: of the options, else of the environment, else ``configured``, else None.

    Raises UsageError when one level names two places.
    """
    if file is not None and command is not None:
        raise UsageError(
            f"--{side}-password-file and --{side}-password-command exclude each other",
            todo="give one of them",
        )
    if file is not None:
        return SecretRef.file(file, f"--{side}-password-file")
    if command is not None:
        return SecretRef.command(command, f"--{side}-password-command")
    return from_environment(side, environ) or configured


def from_environment(side: Side, environ: Mapping[str, str]) -> SecretRef | None:
    """What ``POP2IMAP_SOURCE_PASSWORD``, ``…_FILE`` or ``…_COMMAND`` name; an empty variable is none. Raises
    UsageError when more than one is set."""
    name = f"POP2IMAP_{side.upper()}_PASSWORD"
    given = [name + suffix for suffix in ("", "_FILE", "_COMMAND") if environ.get(name + suffix)]
    if len(given) > 1:
        raise UsageError(
            f"{' and '.join(given)} exclude each other", where="environment", todo="set one of them"
        )
    if not given:
        return None
    if given[0].endswith("_FILE"):
        return SecretRef.file(environ[given[0]], given[0])
    if given[0].endswith("_COMMAND"):
        return SecretRef.command(environ[given[0]], given[0])
    return SecretRef(Place.ENVIRONMENT, given[0], given[0])


Ask = Callable[[str], str]
"""Asks a person for a password, with a prompt; raises EOFError when there is no answer."""


def resolve(
    ref: SecretRef | None, *, side: Side, account: str, environ: Mapping[str, str], ask: Ask | None
) -> Secret:
    """The password of ``account`` (an endpoint in its canonical spelling).

    Without a reference the keyring is looked into, if there is one, then ``ask`` is called, unless it is
    None. Raises ConfigError when there is nowhere to get it from, or when what is named cannot be used;
    AuthenticationFailed when a command fails.
    """
    if ref is None:
        return _unnamed(side, account, ask)
    if ref.place is Place.FILE:
        assert isinstance(ref.value, str)
        return _checked(_read_file(ref.value, ref.origin), ref.origin)
    if ref.place is Place.COMMAND:
        assert isinstance(ref.value, tuple)
        return _checked(_run(ref.value, ref.origin, environ), ref.origin)
    assert isinstance(ref.value, str)
    return _checked(environ.get(ref.value, ""), ref.origin)


def ask_on_terminal() -> Ask | None:
    """Something that asks on the terminal of this process, or None if it has none."""
    if not (sys.stderr and sys.stderr.isatty()):
        return None
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return None

    def ask(prompt: str) -> str:
        import getpass
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("error", getpass.GetPassWarning)  # rather nothing than an echo
            try:
                return getpass.getpass(prompt)
            except getpass.GetPassWarning:
                raise EOFError from None

    return ask


def _unnamed(side: Side, account: str, ask: Ask | None) -> Secret:
    value, trouble = _from_keyring(account)
    if value is not None:
        return _checked(value, "the keyring")
    if ask is not None:
        try:
            value = ask(f"Password for {printable(account)} ({side}): ")
        except EOFError:
            value = ""
        if value:
            return _checked(value, "the prompt")
        raise AuthenticationFailed("no password was entered", where=printable(account))
    raise ConfigError(
        f"no password is known, and there is no terminal to ask on{trouble}",
        where=printable(account),
        todo="use "
        + (
            "POP2IMAP_STATE_PASSWORD_FILE or POP2IMAP_STATE_PASSWORD_COMMAND"
            if side == "state"
            else f"--{side}-password-file, --{side}-password-command, the same in a move.toml, or "
            f"POP2IMAP_{side.upper()}_PASSWORD_FILE"
        ),
    )


def _from_keyring(account: str) -> tuple[str | None, str]:
    """(the password or None, what to say of a keyring that does not work)."""
    try:
        import keyring
        import keyring.errors
    except ImportError:
        return None, ""
    try:
        return keyring.get_password(KEYRING_SERVICE, account), ""
    except keyring.errors.NoKeyringError:
        return None, ""
    except Exception as error:  # back ends raise what their libraries raise
        return None, f"; the keyring does not answer ({type(error).__name__})"


def _read_file(path: str, origin: str) -> str:
    """The first line, without its line end. Raises ConfigError."""
    where = f"{origin} {printable(path)}"
    try:
        # O_NONBLOCK: a named pipe must not hang us before we have seen what it is
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        if os.path.islink(path):
            raise ConfigError(
                "a password file must not be a symbolic link", where=where, todo="name the file itself"
            ) from None
        raise ConfigError(f"cannot be read: {error.strerror}", where=where) from None
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise ConfigError(
                "is no regular file", where=where, todo="use a password command for anything else"
            )
        if status.st_uid not in (os.geteuid(), 0):
            raise ConfigError("belongs to somebody else", where=where, todo="use a file of your own")
        if status.st_mode & 0o077:
            raise ConfigError(
                "others can read or write this file", where=where, todo=f"chmod 600 {printable(path)}"
            )
        octets = os.read(handle, MOST_OCTETS)
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=where) from None
    finally:
        os.close(handle)
    return _first_line(octets, where)


def _run(arguments: tuple[str, ...], origin: str, environ: Mapping[str, str]) -> str:
    """What a password command prints, up to its first line end. Raises ConfigError, AuthenticationFailed."""
    import subprocess

    where = f"{origin} {printable(arguments[0], 80)}"  # the other arguments may hold anything
    own = {name: value for name, value in environ.items() if name not in _PASSWORDS}
    try:
        done = subprocess.run(
            arguments,
            # a terminal is for talking to the person; anything else on standard input may be mail
            stdin=None if sys.stdin and sys.stdin.isatty() else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=None if sys.stderr and sys.stderr.isatty() else subprocess.DEVNULL,
            env=own,
            timeout=COMMAND_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise AuthenticationFailed(
            f"the password command gave no answer within {COMMAND_SECONDS:.0f} seconds", where=where
        ) from None
    except OSError as error:
        raise ConfigError(
            f"the password command cannot be started: {error.strerror}",
            where=where,
            todo="it is started without a shell: the first word is a program, the others its arguments",
        ) from None
    if done.returncode:
        ended = f"exit code {done.returncode}" if done.returncode > 0 else f"signal {-done.returncode}"
        raise AuthenticationFailed(
            f"the password command failed with {ended}",
            where=where,
            todo="run it by hand to see what it says",
        )
    return _first_line(done.stdout, where)


def _first_line(octets: bytes, where: str) -> str:
    line = octets.split(b"\n", 1)[0].removesuffix(b"\r")
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        raise ConfigError("the password is not in UTF-8", where=where) from None


def _checked(value: str, origin: str) -> Secret:
    if not value:
        raise ConfigError("the password is empty", where=origin)
    if any(c in value for c in "\0\r\n"):
        raise ConfigError("no login takes a password with a line end or a NUL character in it", where=origin)
    return Secret(value)
