"""Databases whose transactions somebody watches: the seam of whoever wants to know of each commit of a journal."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import partial

_connect = sqlite3.connect


def watched(
    committing: Callable[[sqlite3.Connection], object],
    beginning: Callable[[sqlite3.Connection], object] = lambda database: None,
) -> Callable[..., sqlite3.Connection]:
    """What to put in place of ``sqlite3.connect``: ``beginning`` is called before each BEGIN, ``committing`` before
    each commit."""

    class Watched(sqlite3.Connection):
        def execute(self, sql: str, *parameters: object) -> sqlite3.Cursor:
            if sql.startswith("BEGIN"):
                beginning(self)
            return super().execute(sql, *parameters)  # type: ignore[arg-type]

        def commit(self) -> None:
            committing(self)
            super().commit()

    return partial(_connect, factory=Watched)


def waits_for_disk(database: sqlite3.Connection) -> bool:
    """Whether its next commit does (``synchronous=FULL``)."""
    return bool(database.execute("PRAGMA synchronous").fetchone()[0] == 2)
