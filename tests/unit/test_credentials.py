"""Where passwords come from, and that they do not get out."""

from __future__ import annotations

import copy
import os
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pop2imap import credentials
from pop2imap.credentials import Place, Secret, SecretRef, alive, find, from_environment, resolve
from pop2imap.errors import AuthenticationFailed, ConfigError, Pop2imapError, UsageError

ACCOUNT = "imaps://alice@imap.example.com"


def got(ref: SecretRef | None, environ: dict[str, str] | None = None) -> str:
    return resolve(ref, side="target", account=ACCOUNT, environ=environ or {}, ask=None).reveal()


def failure(ref: SecretRef | None, environ: dict[str, str] | None = None) -> Pop2imapError:
    with pytest.raises(Pop2imapError) as caught:
        got(ref, environ)
    assert "hunter2" not in str(caught.value)
    return caught.value


def password_file(path: Path, content: bytes, mode: int = 0o600) -> SecretRef:
    path.write_bytes(content)
    path.chmod(mode)
    return SecretRef.file(path, "--target-password-file")


def python(code: str) -> SecretRef:
    return SecretRef.command((sys.executable, "-c", code), "--target-password-command")


@pytest.fixture(autouse=True)
def _no_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)


def test_a_secret_does_not_show_itself() -> None:
    secret = Secret("hunter2")
    assert "hunter2" not in f"{secret} {secret!r} {[secret]}"
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            attempt(secret)


def test_the_register_of_secrets_forgets_those_that_are_gone() -> None:
    secret = Secret("that of no other test")
    assert any(one is secret for one in alive())
    del secret
    assert not any(one.reveal() == "that of no other test" for one in alive())


@pytest.mark.parametrize(
    ("content", "password"),
    [
        (b"hunter2", "hunter2"),
        (b"hunter2\n", "hunter2"),
        (b"hunter2\r\n", "hunter2"),
        (b"hunter2\nuser: alice\n", "hunter2"),
        (b" with spaces \n", " with spaces "),
        ("pässwört\n".encode(), "pässwört"),
    ],
)
def test_the_first_line_of_a_password_file_counts(tmp_path: Path, content: bytes, password: str) -> None:
    assert got(password_file(tmp_path / "pw", content)) == password


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_password_file_that_others_can_open_is_refused(tmp_path: Path, mode: int) -> None:
    error = failure(password_file(tmp_path / "pw", b"hunter2", mode))
    assert isinstance(error, ConfigError)
    assert f"chmod 600 {tmp_path}/pw" in str(error)


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    password_file(tmp_path / "pw", b"hunter2")
    (tmp_path / "link").symlink_to(tmp_path / "pw")
    os.mkfifo(tmp_path / "pipe", 0o600)
    for name, words in [
        ("link", "symbolic link"),
        ("pipe", "no regular file"),
        (".", "no regular file"),
        ("missing", "No such file"),
    ]:
        error = failure(SecretRef.file(tmp_path / name, "--target-password-file"))
        assert isinstance(error, ConfigError)
        assert words in str(error)
        assert "--target-password-file" in str(error)


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "empty"), (b"\nhunter2", "empty"), (b"hunter2\xff", "UTF-8"), (b"hunter2\0x", "NUL")],
)
def test_what_no_login_takes_is_no_password(tmp_path: Path, content: bytes, words: str) -> None:
    assert words in str(failure(password_file(tmp_path / "pw", content)))


def test_a_relative_password_file_starts_at_the_file_that_names_it(tmp_path: Path) -> None:
    password_file(tmp_path / "pw", b"hunter2")
    assert got(SecretRef.file("pw", "move.toml", base=tmp_path)) == "hunter2"


def test_a_command_is_run_without_a_shell(tmp_path: Path) -> None:
    assert got(python("print('hunter2'); print('more')")) == "hunter2"
    witness = tmp_path / "witness"
    ref = SecretRef.command(f"echo hunter2; touch {witness}", "--target-password-command")
    assert ref.value == ("echo", "hunter2;", "touch", str(witness))
    assert got(ref) == f"hunter2; touch {witness}"
    assert not witness.exists()


def test_a_failing_command_is_named_by_its_program_and_exit_code_alone() -> None:
    error = failure(python("import sys; print('hunter2'); print('hunter2', file=sys.stderr); sys.exit(3)"))
    assert isinstance(error, AuthenticationFailed)
    assert "exit code 3" in str(error)
    error = failure(python("import os, signal; os.kill(os.getpid(), signal.SIGKILL)"))
    assert "signal 9" in str(error)


def test_a_command_that_is_not_there_is_a_fault_of_the_configuration() -> None:
    error = failure(SecretRef.command("/no/such/program hunter2", "POP2IMAP_TARGET_PASSWORD_COMMAND"))
    assert isinstance(error, ConfigError)
    assert "/no/such/program" in str(error)


def test_a_command_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "COMMAND_SECONDS", 0.05)
    assert "no answer" in str(failure(python("import time; time.sleep(60)")))


def test_a_command_gets_no_mail_on_its_standard_input_and_no_other_password() -> None:
    code = (
        "import sys; from os import environ as e; "
        "print(repr(sys.stdin.read()), e.get('POP2IMAP_SOURCE_PASSWORD'), e['VAULT_PASSWORD'])"
    )
    environ = {"POP2IMAP_SOURCE_PASSWORD": "hunter2", "VAULT_PASSWORD": "its own"}
    assert got(python(code), environ) == "'' None its own"


@pytest.mark.parametrize("command", ["", "   ", "'unclosed"])
def test_a_command_without_words_is_refused(command: str) -> None:
    with pytest.raises(UsageError, match="--source-password-command"):
        SecretRef.command(command, "--source-password-command")


def test_option_before_environment_before_file() -> None:
    configured = SecretRef.file("/configured", "move.toml")
    environ = {"POP2IMAP_SOURCE_PASSWORD_FILE": "/environment"}

    def places(file: str | None = None, command: str | None = None) -> SecretRef | None:
        return find("source", file=file, command=command, environ=environ, configured=configured)

    chosen = places(command="pass show mail")
    assert chosen is not None
    assert chosen.value == ("pass", "show", "mail")
    chosen = places(file="/option")
    assert chosen is not None
    assert chosen.value == "/option"
    chosen = places()
    assert chosen is not None
    assert (chosen.value, chosen.origin) == ("/environment", "POP2IMAP_SOURCE_PASSWORD_FILE")
    environ.clear()
    assert places() is configured


def test_each_side_has_variables_of_its_own() -> None:
    environ = {"POP2IMAP_SOURCE_PASSWORD": "hunter2", "POP2IMAP_TARGET_PASSWORD_COMMAND": "echo two"}
    ref = from_environment("source", environ)
    assert ref == SecretRef(Place.ENVIRONMENT, "POP2IMAP_SOURCE_PASSWORD", "POP2IMAP_SOURCE_PASSWORD")
    assert got(ref, environ) == "hunter2"
    assert got(from_environment("target", environ), {"PATH": os.environ["PATH"]}) == "two"
    assert from_environment("target", {"POP2IMAP_TARGET_PASSWORD": ""}) is None


def test_two_places_on_one_level_are_one_too_many() -> None:
    with pytest.raises(UsageError, match="exclude each other"):
        find("source", file="a", command="b", environ={})
    environ = {"POP2IMAP_SOURCE_PASSWORD": "hunter2", "POP2IMAP_SOURCE_PASSWORD_FILE": "b"}
    with pytest.raises(UsageError, match="POP2IMAP_SOURCE_PASSWORD and") as caught:
        find("source", file=None, command=None, environ=environ)
    assert "hunter2" not in str(caught.value)


def test_without_any_place_a_person_is_asked() -> None:
    prompts: list[str] = []

    def ask(prompt: str) -> str:
        prompts.append(prompt)
        return "hunter2"

    secret = resolve(None, side="source", account=ACCOUNT, environ={}, ask=ask)
    assert secret.reveal() == "hunter2"
    assert prompts == [f"Password for {ACCOUNT} (source): "]


def test_no_answer_is_no_login() -> None:
    def hang_up(prompt: str) -> str:
        raise EOFError

    with pytest.raises(AuthenticationFailed, match="no password was entered"):
        resolve(None, side="source", account=ACCOUNT, environ={}, ask=hang_up)


def test_without_a_terminal_it_is_said_where_a_password_can_come_from() -> None:
    error = failure(None)
    assert isinstance(error, ConfigError)
    assert "--target-password-file" in str(error)
    assert "POP2IMAP_TARGET_PASSWORD_FILE" in str(error)


@pytest.fixture
def keyring_answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str | Exception]]:
    """The real keyring package over a back end in memory: {endpoint: answer}."""
    monkeypatch.undo()
    keyring = pytest.importorskip("keyring")
    backend = pytest.importorskip("keyring.backend")
    answers: dict[str, str | Exception] = {}

    class InMemory(backend.KeyringBackend):  # type: ignore[misc, name-defined]
        priority = 1

        def get_password(self, service: str, username: str) -> str | None:
            answer = answers.get(username) if service == "pop2imap" else None
            if isinstance(answer, Exception):
                raise answer
            return answer

        def set_password(self, service: str, username: str, password: str) -> None:
            answers[username] = password

    before = keyring.get_keyring()
    keyring.set_keyring(InMemory())
    yield answers
    keyring.set_keyring(before)


def test_the_keyring_is_asked_by_the_canonical_endpoint(keyring_answers: dict[str, str | Exception]) -> None:
    keyring_answers[ACCOUNT] = "hunter2"
    assert got(None) == "hunter2"


def test_a_keyring_that_does_not_work_is_mentioned_by_kind_alone(
    keyring_answers: dict[str, str | Exception],
) -> None:
    assert "keyring" not in str(failure(None))
    keyring_answers[ACCOUNT] = RuntimeError("hunter2")
    assert "RuntimeError" in str(failure(None))
    keyring_answers[ACCOUNT] = pytest.importorskip("keyring.errors").NoKeyringError()
    assert "keyring" not in str(failure(None))
