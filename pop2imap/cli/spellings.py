"""What people type who come from elsewhere, answered with the form that works here, without a value repeated."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pop2imap.errors import UsageError

_IMAPSYNC = re.compile(
    r"--?(host|user|password|passfile|port|ssl|nossl|tls|notls|authuser|authmech|prefix|sep|oauthaccesstoken)[12](=.*)?",
    re.DOTALL,
)
_PASSWORD = re.compile(r"--(source-|target-)?(password|passwd|pass|token)(=.*)?", re.DOTALL)
_CHANGE_IT = (
    "what is typed there stays in the shell's history and in lists of processes, so change that password"
)


def refuse_foreign(argv: Sequence[str]) -> None:
    """Raise UsageError for options of imapsync, and for passwords on the command line."""
    words = list(argv)
    if "--" in words:
        words = words[: words.index("--")]
    found = [match for word in words if (match := _IMAPSYNC.fullmatch(word))]
    if found:
        typed_password = any(match[1] == "password" for match in found)
        raise UsageError(
            "these are options of imapsync, whose host1 is an IMAP server; a source here is POP3 or an mbox",
            todo="write pop2imap migrate pop3s://USER1@HOST1 imaps://USER2@HOST2 --source-password-file FILE1 "
            "--target-password-file FILE2" + (f"; {_CHANGE_IT}" if typed_password else ""),
        )
    if any(_PASSWORD.fullmatch(word) for word in words):
        raise UsageError(
            "a password is never the value of an option",
            todo=f"{_CHANGE_IT}; then use --source-password-file/--target-password-file, …-password-command, or let "
            "pop2imap ask",
        )
    if words and "://" in words[0]:
        raise UsageError(
            "an endpoint is no command",
            todo="write pop2imap plan SOURCE TARGET first, then pop2imap migrate SOURCE TARGET",
        )
