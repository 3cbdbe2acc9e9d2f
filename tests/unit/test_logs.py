"""No secret in a log, no forged line, and nothing from other libraries."""

from __future__ import annotations

import base64
import io
import json
import logging
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pop2imap import logs
from pop2imap.credentials import Secret
from pop2imap.errors import LocalIOError

log = logging.getLogger("pop2imap.test")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _undo() -> Iterator[None]:
    yield
    logs.close()
    logs.set_guard(None)


def logged(stream: io.StringIO, **options: object) -> io.StringIO:
    logs.configure(stream=stream, **options)  # type: ignore[arg-type]
    return stream


def test_a_secret_is_scrubbed_in_every_form_a_protocol_gives_it() -> None:
    stream = logged(io.StringIO(), verbosity=2)
    secret = Secret('pass wörd"\\%1')
    value = secret.reveal()
    forms = [
        value,
        repr(value),
        repr(value.encode()),
        json.dumps(value),
        quote(value, safe=""),
        value.replace("\\", "\\\\").replace('"', '\\"'),
        base64.b64encode(value.encode()).decode(),
        base64.b64encode(b"\0alice\0" + value.encode()).decode(),
        base64.b64encode(b"bob\0alice\0" + value.encode()).decode(),
        base64.b64encode(b"bob\0alic\0" + value.encode() + b"\r\n").decode(),
    ]
    for form in forms:
        log.info("sent %s", form)
    assert stream.getvalue().count("***") == len(forms)
    assert "rd" not in stream.getvalue()
    middle = base64.b64encode(value.encode())[3:-4].decode()
    assert middle not in stream.getvalue()


@given(st.text(min_size=4, max_size=40), st.binary(max_size=7), st.binary(max_size=7))
def test_no_base64_text_around_a_secret_gives_it_away(value: str, before: bytes, after: bytes) -> None:
    secret = Secret(value.encode("utf-8", "replace").decode())
    octets = secret.reveal().encode()
    sent = base64.b64encode(before + octets + after).decode()
    left = logs.scrub(sent)
    assert sent not in left or len(octets) < 6
    del secret


def test_a_secret_in_an_exception_is_scrubbed_too() -> None:
    stream = logged(io.StringIO())
    secret = Secret("hunter2")
    try:
        raise RuntimeError(f"LOGIN alice {secret.reveal()}")
    except RuntimeError:
        log.exception("failed")
    text = stream.getvalue()
    assert "LOGIN alice ***" in text
    assert "hunter2" not in text


def test_a_short_secret_does_not_eat_other_words() -> None:
    stream = logged(io.StringIO())
    secret = Secret("ab")
    log.warning("ab in tablet, 'ab'")
    assert "*** in tablet, '***'" in stream.getvalue()
    del secret


def test_a_secret_that_is_gone_is_no_longer_looked_for() -> None:
    stream = logged(io.StringIO())
    Secret("hunter2")
    log.warning("hunter2")
    assert "hunter2" in stream.getvalue()


def test_nothing_can_forge_a_line_or_move_the_cursor(tmp_path: Path) -> None:
    stream = logged(io.StringIO(), log_file=tmp_path / "log")
    log.warning("banner: %s", "x\r\n2026-01-01 info pop2imap: all is well\x1b[2J")
    for text in (stream.getvalue(), (tmp_path / "log").read_text()):
        assert len(text.splitlines()) == 1
        assert "\\x0d\\x0a" in text
        assert "\x1b" not in text


def test_how_much_is_said() -> None:
    def said(verbosity: int) -> list[str]:
        stream = logged(Terminal(), verbosity=verbosity)
        for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
            log.log(level, logging.getLevelName(level))
        logging.getLogger(logs.PROGRESS).info("PROGRESS")
        return stream.getvalue().splitlines()

    assert said(-1) == ["error: ERROR"]
    assert said(0) == ["warning: WARNING", "error: ERROR", "PROGRESS"]
    assert said(1) == ["INFO", "warning: WARNING", "error: ERROR", "PROGRESS"]
    assert said(2) == ["DEBUG", "INFO", "warning: WARNING", "error: ERROR", "PROGRESS"]


def test_on_no_terminal_a_line_begins_with_its_time_in_utc() -> None:
    stream = logged(io.StringIO())
    log.warning("x")
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z warning pop2imap\.test: x\n", stream.getvalue()
    )


def test_last_words_have_no_time(tmp_path: Path) -> None:
    stream = logged(io.StringIO(), verbosity=-1, log_file=tmp_path / "log")
    logs.say_error("move.toml: 2 faults 100%", "line 1: x", "line 2: y")
    assert stream.getvalue() == "pop2imap: move.toml: 2 faults 100%\n  line 1: x\n  line 2: y\n"
    assert (tmp_path / "log").read_text().count("error pop2imap.cli: ") == 3


def test_json_lines(tmp_path: Path) -> None:
    stream = logged(io.StringIO(), form="json", log_file=tmp_path / "log")
    secret = Secret('päss"wort')
    try:
        raise ValueError(secret.reveal())
    except ValueError:
        log.exception("login with %s", secret.reveal())
    assert stream.getvalue() == (tmp_path / "log").read_text()
    record = json.loads(stream.getvalue())
    assert (record["level"], record["logger"], record["message"]) == (
        "error",
        "pop2imap.test",
        "login with ***",
    )
    assert record["exception"].endswith("ValueError: ***")


def test_the_log_file_is_for_its_owner_and_is_added_to(tmp_path: Path) -> None:
    path = tmp_path / "log"
    before = os.umask(0)
    try:
        for _ in range(2):
            logged(io.StringIO(), log_file=path)
            log.info("one")
            log.debug("details")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(path.read_text().splitlines()) == 2


def test_a_log_file_that_cannot_be_written_is_said_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "log")
    for name in ("missing/log", "link", "."):
        with pytest.raises(LocalIOError, match="the log file cannot be written"):
            logs.configure(log_file=tmp_path / name)


def test_a_full_disk_under_the_log_file_is_said_once_and_ends_nothing() -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    stream = logged(io.StringIO(), log_file=Path("/dev/full"))
    log.warning("one")
    log.warning("two")
    assert stream.getvalue().count("the log file cannot be written any more") == 1
    assert "two" in stream.getvalue()


class Gone(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_a_standard_error_that_is_gone_is_no_error() -> None:
    logged(Gone())
    log.error("nobody hears this")
    logs.say_error("nor this")


def test_what_other_libraries_log_goes_nowhere(capfd: pytest.CaptureFixture[str]) -> None:
    stream = logged(io.StringIO(), verbosity=2)
    for name in ("imaplib", "imapclient", "imapclient.imaplib"):
        logging.getLogger(name).debug("literal with a password")
    assert not logging.getLogger("imapclient.imaplib").isEnabledFor(logging.ERROR)
    assert stream.getvalue() == ""
    assert not set(logging.getLogger().handlers) & set(logging.getLogger("pop2imap").handlers)
    assert capfd.readouterr().err == ""


def test_a_logging_call_that_does_not_fit_ends_nothing() -> None:
    stream = logged(io.StringIO())
    log.warning("%d messages", "many")
    assert "%d messages" in stream.getvalue()


def test_a_line_is_written_within_the_guard_of_the_bar() -> None:
    events: list[str] = []

    class Guard:
        def __enter__(self) -> None:
            events.append("aside")

        def __exit__(self, *_: object) -> None:
            events.append("back")

    class Stream(Terminal):
        def write(self, text: str) -> int:
            events.append(text)
            return len(text)

    logged(Stream())
    logs.set_guard(Guard)
    log.warning("x")
    assert events == ["aside", "warning: x\n", "back"]
