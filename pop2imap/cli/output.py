"""Standard output, and standard streams that are not there."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import click

from pop2imap.errors import LocalIOError


def say(text: str) -> None:
    """Print ``text``, which is safe to show. Whoever closed the other end of a pipe wanted to hear no more: that
    is no error. Raises LocalIOError when it cannot be written for another reason (a full disk)."""
    try:
        click.echo(text, nl=not text.endswith("\n"))
    except OSError as error:
        _to_nowhere(sys.stdout)
        if error.errno not in {errno.EPIPE, errno.EIO}:
            raise LocalIOError(f"standard output cannot be written: {error.strerror}") from None


def say_json(document: Mapping[str, Any]) -> None:
    """Print one JSON document, in ASCII, so that nothing in it can act on a terminal. Raises LocalIOError."""
    import json

    say(json.dumps(document, indent=2, ensure_ascii=True))


def moment(at: datetime | None) -> str | None:
    """A moment (UTC) for programs: ``2026-11-23T08:00:00Z``."""
    return None if at is None else at.isoformat(timespec="seconds").replace("+00:00", "Z")


def prepare_streams() -> None:
    """Make sure that what is opened next is not taken for a standard stream that was closed before the start,
    and that no character is too strange for a terminal's encoding."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free, which is this one
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with contextlib.suppress(AttributeError, ValueError):
                stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def flush_streams() -> None:
    """Write what is still held back; the interpreter would complain of a closed pipe at its end."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            _to_nowhere(stream)


def _to_nowhere(stream: Any) -> None:
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
