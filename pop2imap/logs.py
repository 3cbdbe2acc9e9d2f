"""Logs: to standard error for whoever watches, to a file for whoever looks later, as text or as JSON lines.

Two things are done to every record, whoever wrote it. The secrets that are alive are scrubbed out of it, in
each form in which protocols and programs write them; and what is left is made printable, so that no server
can forge a line or move a cursor. Handlers hang on the logger ``pop2imap`` alone, never on the root: what
other libraries log (imaplib writes down every literal it sends) goes nowhere.

On a terminal a progress bar and log lines share the screen: whoever draws a bar says through
:func:`set_guard` how to step aside while a line is written.
"""

from __future__ import annotations

import base64
import contextlib
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, TextIO

from pop2imap import private
from pop2imap.credentials import alive
from pop2imap.errors import LocalIOError
from pop2imap.text import printable

if TYPE_CHECKING:
    from pathlib import Path

ROOT = "pop2imap"
PROGRESS = "pop2imap.progress"
"""The logger whose INFO lines are seen without ``-v``."""

MOST = 4000
"""Characters of one message; a traceback's lines count one by one."""

SHORT = 4
"""A secret shorter than this is scrubbed only where it stands alone: it is part of too many words."""

_LEAD = "lead"
"""The attribute of a record that is shown as it is, with nothing but its value before it."""

Guard = Callable[[], AbstractContextManager[object]]

_guard: Guard = contextlib.nullcontext


def set_guard(guard: Guard | None) -> None:
    """From now on write to standard error within ``guard()``."""
    global _guard
    _guard = guard or contextlib.nullcontext


def configure(
    *,
    verbosity: int = 0,
    log_file: Path | None = None,
    form: Literal["text", "json"] = "text",
    stream: TextIO | None = None,
) -> None:
    """Send the records of pop2imap to ``stream`` (default: standard error) and to ``log_file``, and nowhere
    else. May be called again.

    ``verbosity`` -1: errors alone; 0: warnings and progress; 1: all that happens; 2: details. The file gets
    what ``verbosity`` 1 shows at least. Raises LocalIOError if the file cannot be written.
    """
    handlers: list[logging.Handler] = [_StreamHandler(stream or sys.stderr, verbosity, form)]
    if log_file is not None:
        handlers.append(_file_handler(log_file, verbosity, form))
    close()
    logger = logging.getLogger(ROOT)
    for handler in handlers:
        logger.addHandler(handler)
    logger.propagate = False
    logger.setLevel(min(handler.level for handler in handlers))
    logging.getLogger("imapclient").setLevel(logging.CRITICAL + 1)


def close() -> None:
    """Undo ``configure``."""
    logger = logging.getLogger(ROOT)
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    logger.propagate = True
    logger.setLevel(logging.NOTSET)


def say_error(what: str, *more: str) -> None:
    """The last words of a command: one line, and indented lines after it, without a time before them."""
    logger = logging.getLogger(f"{ROOT}.cli")
    logger.error("%s", what, extra={_LEAD: "pop2imap: "})
    for line in more:
        logger.error("%s", line, extra={_LEAD: "  "})


def scrub(text: str) -> str:
    """``text`` with ``***`` for every secret that is alive."""
    for secret in alive():
        value = secret.reveal()
        if not value:
            continue
        for form in sorted(_forms(value), key=len, reverse=True):
            if len(form) >= SHORT:
                text = text.replace(form, "***")
            else:
                text = re.sub(rf"(?<!\w){re.escape(form)}(?!\w)", "***", text)
    return text


def said(words: str | bytes, most: int = 200) -> str:
    """What a server said, for people: printable, at most ``most`` characters, and without our secrets, which some
    servers repeat when they refuse something. Not only logs show it, but errors, reports and the journal.

    They are scrubbed before they are cut, since half a secret would not be known as one."""
    if isinstance(words, bytes):
        words = words.decode("utf-8", "surrogateescape")
    return printable(scrub(words), most)


def _forms(value: str) -> set[str]:
    import json
    from urllib.parse import quote, quote_plus

    octets = value.encode("utf-8", "surrogatepass")
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return {
        value,
        escaped,  # an IMAP quoted string
        repr(value)[1:-1],
        repr(octets)[2:-1],
        json.dumps(value)[1:-1],
        printable(value, MOST),
        quote(octets, safe=""),
        quote_plus(octets),
        *_base64_forms(octets),
    }


def _base64_forms(octets: bytes) -> Iterator[str]:
    """The characters that any base64 text with ``octets`` in it has in common, for each of the three places
    where they may begin within a group (SASL PLAIN puts a name before a password)."""
    for before in range(3):
        whole = base64.b64encode(bytes(before) + octets).decode("ascii")
        middle = whole[(before * 8 + 5) // 6 : (before + len(octets)) * 8 // 6]
        if len(middle) >= SHORT + 2:
            yield middle
            yield middle.translate(str.maketrans("+/", "-_"))


def _exception_lines(record: logging.LogRecord) -> list[str]:
    """The traceback of a record, without local variables."""
    if record.exc_info and not record.exc_text:
        record.exc_text = logging.Formatter().formatException(record.exc_info)
    return [printable(line, MOST) for line in scrub(record.exc_text or "").splitlines()]


def _message(record: logging.LogRecord) -> str:
    try:
        text = record.getMessage()
    except Exception:  # a logging call with arguments that do not fit must not end a migration
        text = str(record.msg)
    return printable(scrub(text), MOST)


def _time(record: logging.LogRecord) -> str:
    return (
        datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )


class _Timed(logging.Formatter):
    """For files, and for a standard error that becomes one."""

    def format(self, record: logging.LogRecord) -> str:
        line = f"{_time(record)} {record.levelname.lower()} {record.name}: {_message(record)}"
        return "\n    ".join([line, *_exception_lines(record)])


class _Spoken(_Timed):
    """For standard error: the last words of a command as they are, and on a terminal no times."""

    def __init__(self, *, timed: bool) -> None:
        super().__init__()
        self._timed = timed

    def format(self, record: logging.LogRecord) -> str:
        lead = getattr(record, _LEAD, None)
        if lead is None and self._timed:
            return super().format(record)
        if lead is None:
            lead = f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""
        return "\n    ".join([lead + _message(record), *_exception_lines(record)])


class _Json(logging.Formatter):
    """One object a line."""

    def format(self, record: logging.LogRecord) -> str:
        import json

        fields = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record),
        }
        if lines := _exception_lines(record):
            fields["exception"] = "\n".join(lines)
        return json.dumps(fields, ensure_ascii=True)


class _StreamHandler(logging.Handler):
    """Writes to standard error, around a bar if there is one. A stream that is gone is no error."""

    def __init__(self, stream: TextIO | None, verbosity: int, form: str) -> None:
        super().__init__({-1: logging.ERROR, 0: logging.INFO, 1: logging.INFO}.get(verbosity, logging.DEBUG))
        self._stream = stream
        self._progress_only = verbosity == 0
        if form == "json":
            self.setFormatter(_Json())
        else:
            self.setFormatter(_Spoken(timed=not (stream and stream.isatty())))

    def emit(self, record: logging.LogRecord) -> None:
        if self._progress_only and record.levelno < logging.WARNING and record.name != PROGRESS:
            return
        line = self.format(record)
        with contextlib.suppress(OSError, ValueError), _guard():
            if self._stream is not None:
                self._stream.write(line + "\n")
                self._stream.flush()


class _FileHandler(logging.StreamHandler[TextIO]):
    """Writes to the log file; when that fails (a full disk), says so once and goes on without it."""

    failed = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        if not self.failed:
            self.failed = True
            logging.getLogger(f"{ROOT}.logs").warning("the log file cannot be written any more")

    def emit(self, record: logging.LogRecord) -> None:
        if not self.failed:
            super().emit(record)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.stream.close()
        super().close()


def _file_handler(path: Path, verbosity: int, form: str) -> logging.Handler:
    try:
        handle = private.opened(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    except OSError as error:
        raise LocalIOError(
            f"the log file cannot be written: {error.strerror}", where=printable(str(path))
        ) from None
    handler = _FileHandler(open(handle, "a", encoding="utf-8", errors="backslashreplace"))  # noqa: SIM115
    handler.setLevel(logging.DEBUG if verbosity > 0 else logging.INFO)
    handler.setFormatter(_Json() if form == "json" else _Timed())
    return handler
