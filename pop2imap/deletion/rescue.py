"""The first messages that are deleted, kept on this disk until it is sure that the target has others."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from pop2imap.errors import LocalIOError, UsageError
from pop2imap.journal import place
from pop2imap.model import Octets
from pop2imap.text import printable

DIRECTORY = "rescue"
ALARM = "ALARM"


class Rescue:
    """Files in the directory of the journal of ``identity``, which exists. Errors: LocalIOError."""

    def __init__(self, state_dir: Path, identity: str) -> None:
        self.directory = place.directory(state_dir, identity) / DIRECTORY
        self._paths: list[Path] = []

    def left(self) -> int:
        """How many messages earlier runs have left here, because they could not confirm their copies."""
        return len(list(self.directory.glob("*.eml")))

    def keep(self, octets: Octets) -> None:
        """Write a message, durably."""
        path = self.directory / f"{octets.digest.hex()[:16]}.eml"
        try:
            self.directory.mkdir(mode=0o700, exist_ok=True)
            descriptor = os.open(
                path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
            )
            with open(descriptor, "wb") as file:
                file.writelines(octets.chunks())
                file.flush()
                os.fsync(file.fileno())
            place.sync(self.directory, self.directory.parent)
        except OSError as error:
            raise LocalIOError(
                f"the first messages cannot be kept here while they are deleted: {error.strerror}",
                where=str(self.directory),
                todo="free some space there; nothing was deleted",
            ) from error
        self._paths.append(path)

    def alarm(self) -> None:
        """Source and target seem to be one mailbox: later runs are to know it. Never raises."""
        with contextlib.suppress(OSError):
            (self.directory / ALARM).touch(mode=0o600)

    def refuse_after_alarm(self) -> None:
        """Raise UsageError if an earlier run has raised the alarm, and nobody has removed the directory since."""
        if (self.directory / ALARM).exists():
            raise UsageError(
                "an earlier run was stopped, because source and target seem to be one mailbox",
                where=printable(str(self.directory)),
                todo="name two accounts; if you know that these are two, see that the messages kept there are in the "
                "target, and remove that directory",
            )

    def forget(self) -> None:
        """The copies of all that this object keeps are there. Never raises."""
        try:
            for path in self._paths:
                path.unlink(missing_ok=True)  # twins are one file
            self.directory.rmdir()
        except OSError:  # others lie there
            pass
