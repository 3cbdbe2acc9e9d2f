"""Each negative answer becomes the error that says how far it reaches and whether to try again."""

from __future__ import annotations

import pytest

from pop2imap.errors import (
    AuthenticationFailed,
    HostUnavailable,
    Pop2imapError,
    ProtocolError,
    ServerBusy,
    SourceDataError,
)
from pop2imap.model import Account
from pop2imap.sources.pop3_errors import (
    asked_for_a_pause,
    command_refused,
    greeting_refused,
    login_refused,
    message_refused,
)
from pop2imap.sources.pop3_wire import Status

WHERE = "pop.example:995"


def err(code: str, text: str = "words of the server") -> Status:
    return Status(False, code, text)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("IN-USE", ServerBusy),
        ("LOGIN-DELAY", ServerBusy),
        ("SYS/TEMP", ServerBusy),
        ("SYS/PERM", AuthenticationFailed),
        ("AUTH", AuthenticationFailed),
        ("", AuthenticationFailed),
        ("X-NEVER-HEARD-OF", AuthenticationFailed),
    ],
)
def test_a_login(code: str, kind: type[Pop2imapError]) -> None:
    error = login_refused(err(code), WHERE, None)
    assert type(error) is kind
    assert "words of the server" in error.what
    assert error.where == WHERE
    assert error.todo


def test_a_login_too_soon_says_when() -> None:
    error = login_refused(err("LOGIN-DELAY"), WHERE, 300.0)
    assert error.retry_after == 300.0
    assert "300 seconds" in error.todo
    assert login_refused(err("LOGIN-DELAY"), WHERE, None).retry_after is None
    words = err("LOGIN-DELAY", "Logins must be at least 5 minutes apart")
    assert login_refused(words, WHERE, None).retry_after == 300.0
    assert login_refused(words, WHERE, 600.0).retry_after == 600.0


@pytest.mark.parametrize("code", ["IN-USE", "SYS/TEMP"])
def test_a_time_in_words_counts_beside_a_code(code: str) -> None:
    words = err(code, "busy, try again in 20 seconds")
    assert login_refused(words, WHERE, None).retry_after == 20.0
    assert greeting_refused(words, WHERE).retry_after == 20.0
    assert command_refused(words, "UIDL", WHERE).retry_after == 20.0
    busy = asked_for_a_pause(words, WHERE)
    assert busy is not None
    assert busy.retry_after == 20.0


@pytest.mark.parametrize("code", ["", "AUTH", "SYS/PERM"])
def test_a_time_in_words_alone_makes_no_login_worth_another_try(code: str) -> None:
    words = err(code, "wrong password, try again in 20 seconds")
    assert login_refused(words, WHERE, None).retry_after is None
    assert asked_for_a_pause(words, WHERE) is None


def test_what_is_refused_without_a_time_is_about_the_message() -> None:
    assert asked_for_a_pause(err("SYS/TEMP"), WHERE) is None


@pytest.mark.parametrize(
    "text", ["unable to lock maildrop", "mailbox in use", "Another POP3 session is active"]
)
def test_a_login_that_smells_of_a_lock_is_still_a_failed_login(text: str) -> None:
    error = login_refused(err("", text), WHERE, None)
    assert type(error) is AuthenticationFailed
    assert "locked" in error.todo
    assert "locked" not in login_refused(err("AUTH", text), WHERE, None).todo
    assert "locked" not in login_refused(err("", "bad password"), WHERE, None).todo


@pytest.mark.parametrize(
    ("code", "kind"), [("", ServerBusy), ("SYS/TEMP", ServerBusy), ("SYS/PERM", HostUnavailable)]
)
def test_a_greeting(code: str, kind: type[Pop2imapError]) -> None:
    assert type(greeting_refused(err(code), WHERE)) is kind


@pytest.mark.parametrize(
    ("code", "kind"),
    [("", ProtocolError), ("SYS/TEMP", ServerBusy), ("IN-USE", ServerBusy), ("SYS/PERM", SourceDataError)],
)
def test_a_command_that_has_to_succeed(code: str, kind: type[Pop2imapError]) -> None:
    error = command_refused(err(code), "LIST", WHERE)
    assert type(error) is kind
    assert "words of the server" in error.what


@pytest.mark.parametrize(
    ("code", "text", "account"),
    [
        ("", "message is damaged", Account.UNREADABLE),
        ("", "file not found", Account.UNREADABLE),
        ("SYS/PERM", "disk error", Account.UNREADABLE),
        ("SYS/PERM", "no such message", Account.UNREADABLE),
        ("SYS/TEMP", "no such message", Account.PENDING),
        ("IN-USE", "", Account.PENDING),
        ("", "Message 5 expunged.", Account.GONE),
        ("", "no such message, only 2 messages in maildrop", Account.GONE),
        ("", "There's no message 5.", Account.GONE),
        ("", "message 5 already deleted", Account.GONE),
    ],
)
def test_a_message(code: str, text: str, account: Account) -> None:
    what, reason = message_refused(err(code, text))
    assert what is account
    assert text in reason


def test_no_words_are_no_quotes() -> None:
    assert login_refused(err("", ""), WHERE, None).what == "the server refused the login"
