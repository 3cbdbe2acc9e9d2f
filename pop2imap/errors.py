"""Every way a run can fail, as one tree.

::

    Pop2imapError                    reaches   again?  exit
    ├── UsageError                   run       never   2    the command line asks for something impossible
    ├── ConfigError                  run       never   78   faults in a file, all of them at once
    ├── SourceDataError              account   never   65   a source that is missing or is not what it claims
    │   └── MessageUnreadable        message   never   65   one message of a source cannot be had
    ├── HostUnavailable              host      later   69   unknown host, nothing listens, no answer
    │   ├── ConnectionLost           account   now     75   a connection that worked has ended
    │   └── TlsRefused               host      never   69   certificate not trusted, STLS/STARTTLS missing or unsafe
    ├── ProtocolError                account   later   69   the server said what no rule of its protocol allows
    ├── AuthenticationFailed         account   never   77   the server refused the login
    ├── ServerBusy                   account   later   75   locked maildrop, login delay, temporary trouble
    │   └── QuotaExceeded            account   later   75   the target mailbox is full
    ├── FolderError                  folder    never   3    one folder cannot be made or used
    ├── LocalIOError                 run       never   74   disk full, read-only directory
    │   ├── JournalCorrupt           run       never   74
    │   ├── JournalTooNew            run       never   78   written by a newer pop2imap
    │   └── JournalLocked            run       later   75   another run holds this account
    ├── NotFinished                  run       later   75   stopped on purpose before the end
    │   └── DailyLimitReached        run       later   75   no more may be moved in these 24 hours
    └── InternalError                run       never   70   a defect of ours

What went wrong matters to people; what a program may decide on is only: how far does it *reach*, is it
worth trying *again*, and which exit code tells it. No code looks at the text of an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, IntEnum
from typing import ClassVar


class Reach(Enum):
    """How much of the work an error makes impossible."""

    MESSAGE = "message"
    FOLDER = "folder"
    ACCOUNT = "account"
    HOST = "host"
    RUN = "run"


class Again(Enum):
    """Whether the same thing may succeed if it is tried again."""

    NOW = "now"
    LATER = "later"
    NEVER = "never"


class ExitCode(IntEnum):
    """The exit codes of the program: a promise, described in ``docs/exit-codes.md``."""

    OK = 0
    USAGE = 2
    INCOMPLETE = 3
    DIFFERENT = 4
    DATA = 65
    UNAVAILABLE = 69
    INTERNAL = 70
    LOCAL_IO = 74
    NOT_FINISHED = 75
    AUTHENTICATION = 77
    CONFIG = 78
    INTERRUPTED = 130


class Pop2imapError(Exception):
    """The root: never raised itself.

    ``what`` says what happened, ``where`` names the file, server or folder, ``todo`` says what the person can
    do. ``retry_after`` is the server's own hint in seconds, if it gave one, or when a daily limit allows more. None of
    them ever holds a secret.
    """

    reach: ClassVar[Reach] = Reach.RUN
    again: ClassVar[Again] = Again.NEVER
    exit_code: ClassVar[ExitCode] = ExitCode.INTERNAL

    def __init__(
        self, what: str, *, where: str = "", todo: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.todo = todo
        self.retry_after = retry_after

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text} ({self.todo})" if self.todo else text


class UsageError(Pop2imapError):
    exit_code = ExitCode.USAGE


class ConfigError(Pop2imapError):
    """Faults in a configuration or rules file; ``problems`` holds one line for each, in file order."""

    exit_code = ExitCode.CONFIG

    def __init__(self, what: str, *, where: str = "", todo: str = "", problems: Sequence[str] = ()) -> None:
        super().__init__(what, where=where, todo=todo)
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return "\n  ".join((super().__str__(), *self.problems))


class SourceDataError(Pop2imapError):
    reach = Reach.ACCOUNT
    exit_code = ExitCode.DATA


class MessageUnreadable(SourceDataError):
    reach = Reach.MESSAGE


class HostUnavailable(Pop2imapError):
    reach = Reach.HOST
    again = Again.LATER
    exit_code = ExitCode.UNAVAILABLE


class ConnectionLost(HostUnavailable):
    reach = Reach.ACCOUNT
    again = Again.NOW
    exit_code = ExitCode.NOT_FINISHED


class TlsRefused(HostUnavailable):
    again = Again.NEVER


class ProtocolError(Pop2imapError):
    reach = Reach.ACCOUNT
    again = Again.LATER
    exit_code = ExitCode.UNAVAILABLE


class AuthenticationFailed(Pop2imapError):
    reach = Reach.ACCOUNT
    exit_code = ExitCode.AUTHENTICATION


class ServerBusy(Pop2imapError):
    reach = Reach.ACCOUNT
    again = Again.LATER
    exit_code = ExitCode.NOT_FINISHED


class QuotaExceeded(ServerBusy):
    pass


class FolderError(Pop2imapError):
    reach = Reach.FOLDER
    exit_code = ExitCode.INCOMPLETE


class LocalIOError(Pop2imapError):
    exit_code = ExitCode.LOCAL_IO


class JournalCorrupt(LocalIOError):
    pass


class JournalTooNew(LocalIOError):
    exit_code = ExitCode.CONFIG


class JournalLocked(LocalIOError):
    again = Again.LATER
    exit_code = ExitCode.NOT_FINISHED


class NotFinished(Pop2imapError):
    """The work was stopped before its end, on purpose or by a limit; running again goes on from there."""

    again = Again.LATER
    exit_code = ExitCode.NOT_FINISHED


class DailyLimitReached(NotFinished):
    pass


class InternalError(Pop2imapError):
    exit_code = ExitCode.INTERNAL
