"""What became of the copies that were to be taken back: for people (text) and for programs (JSON).

Every copy that was to be undone stands under exactly one :class:`Undone`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import Any, NamedTuple

from rich.text import Text

from pop2imap.errors import Again, ExitCode, Pop2imapError
from pop2imap.report.ending import ended_early, frame, moment
from pop2imap.report.text import LINE_LIMIT, SHORT_LIST, drawn, new_table, size
from pop2imap.text import printable


class Undone(Enum):
    """What became of one copy that we had stored."""

    REMOVED = "removed"  # it is not there any more, and we have taken it away; in a dry run: it would be
    GONE = "gone"  # moved or deleted since by somebody else: not looked for
    DIFFERENT = "different"  # under its UID stands something else, which stays
    NAMELESS = "nameless"  # its UID was never known, so it stays
    LAST = "last"  # its message was deleted at its source by us, so it may be the last copy, and stays
    LEFT = "left"  # the server, or its folder, would not let it go


WORDS = {
    Undone.REMOVED: "removed",
    Undone.GONE: "moved or deleted since by somebody else",
    Undone.DIFFERENT: "different now, and left",
    Undone.NAMELESS: "left, since the UID is not known",
    Undone.LAST: "left, since they were deleted at their source",
    Undone.LEFT: "left",
}


class Stayed(NamedTuple):
    """One copy that was not removed, and why."""

    outcome: Undone
    source: str
    key: str
    date: datetime
    size: int
    folder: str
    uid: int | None
    reason: str


class UndoReport(NamedTuple):
    """``counts`` has copies by folder name and outcome; ``run`` is None where all runs were meant. ``removed_folders``
    and ``kept_folders`` (with the reason) are those that pop2imap had made, by the server's names."""

    dry_run: bool
    started: datetime
    finished: datetime
    target: str
    run: int | None
    folders: Mapping[str, Mapping[Undone, int]]
    removed_folders: tuple[str, ...]
    kept_folders: Mapping[str, str]
    stayed: Sequence[Stayed]
    remarks: tuple[str, ...]
    error: Pop2imapError | None = None
    interrupted: ExitCode | None = None

    @property
    def counts(self) -> dict[Undone, int]:
        """Copies of all folders."""
        return {
            outcome: sum(counts.get(outcome, 0) for counts in self.folders.values()) for outcome in Undone
        }

    @property
    def copies(self) -> int:
        """All copies that were to be undone."""
        return sum(self.counts.values())

    @property
    def exit_code(self) -> ExitCode:
        """See ``docs/exit-codes.md``."""
        if (early := ended_early(self)) is not None:
            return early
        return (
            ExitCode.OK if self.dry_run or self.counts[Undone.REMOVED] == self.copies else ExitCode.INCOMPLETE
        )

    def as_dict(self) -> dict[str, Any]:
        """The document of ``--json``."""
        return {
            **frame(self),
            "dry_run": self.dry_run,
            "run": self.run,
            "counts": {"copies": self.copies, **_by_word(self.counts)},
            "folders": [
                {"name": folder, "counts": _by_word(counts)} for folder, counts in self.folders.items()
            ],
            "removed_folders": list(self.removed_folders),
            "kept_folders": [{"mailbox": name, "reason": why} for name, why in self.kept_folders.items()],
            "stayed": [
                {
                    "outcome": one.outcome.value,
                    "source": one.source,
                    "key": one.key,
                    "date": moment(one.date),
                    "size": one.size,
                    "folder": one.folder,
                    "uid": one.uid,
                    "reason": one.reason,
                }
                for one in self.stayed
            ],
        }

    def text(self, *, full: bool = False) -> str:
        """For people. ``full`` names every copy that stayed instead of the first twenty."""
        return "\n".join(printable(line.rstrip(), LINE_LIMIT) for line in self._lines(full)) + "\n"

    def _lines(self, full: bool) -> Iterator[str]:
        which = "all runs" if self.run is None else f"run {self.run}"
        yield f"Undo{' (nothing is removed yet)' if self.dry_run else ''}: what {which} stored in {self.target}"
        yield ""
        shown = [outcome for outcome, number in self.counts.items() if number or outcome is Undone.REMOVED]
        if self.folders:
            table = new_table("folder", "ours", *(self._word(outcome) for outcome in shown))
            for folder, counts in self.folders.items():
                table.add_row(
                    Text(folder),
                    f"{sum(counts.values()):,}",
                    *(f"{counts.get(outcome, 0):,}" for outcome in shown),
                )
            yield from drawn(table)
        else:
            yield "nothing is stored there that could be removed"
        verb = "would be removed, if it is empty then" if self.dry_run else "removed"
        yield from (f"- folder {verb}, since pop2imap made it: {name}" for name in self.removed_folders)
        yield from (f"- folder kept: {name}: {why}" for name, why in self.kept_folders.items())
        yield from (f"- {remark}" for remark in self.remarks)
        yield from self._stayed(full)
        yield ""
        yield self._verdict()

    def _word(self, outcome: Undone) -> str:
        return "to be removed" if self.dry_run and outcome is Undone.REMOVED else outcome.value

    def _stayed(self, full: bool) -> Iterator[str]:
        if not self.stayed:
            return
        yield ""
        yield f"{len(self.stayed):,} {'would stay' if self.dry_run else 'stayed'}:"
        some = self.stayed if full else self.stayed[:SHORT_LIST]
        for one in some:
            uid = "" if one.uid is None else f" UID {one.uid}"
            yield (
                f"  {one.outcome.value}: {one.date:%Y-%m-%d}, {size(one.size)}, {one.folder}{uid}, "
                f"{one.source} {one.key}: {one.reason}"
            )
        if len(some) < len(self.stayed):
            yield f"  … and {len(self.stayed) - len(some):,} more: -v names them all"

    def _verdict(self) -> str:
        if self.error is not None:
            again = "; next: run the same command again" if self.error.again is not Again.NEVER else ""
            return f"not finished: {self.error}{again}"
        if self.interrupted is not None:
            return "not finished: stopped as asked; run the same command again"
        counts = self.counts
        rest = "; ".join(
            f"{number:,} {WORDS[outcome]}"
            for outcome, number in counts.items()
            if number and outcome is not Undone.REMOVED
        )
        removed = f"{counts[Undone.REMOVED]:,} {'to be removed' if self.dry_run else 'removed'}"
        return "; ".join(filter(None, (removed, rest)))


def _by_word(counts: Mapping[Undone, int]) -> dict[str, int]:
    return {outcome.value: counts.get(outcome, 0) for outcome in Undone}


class UndoLedger:
    """Collects what an :class:`UndoReport` will say."""

    def __init__(self, *, dry_run: bool, started: datetime, target: str, run: int | None) -> None:
        self.dry_run, self.started, self.target, self.run = dry_run, started, target, run
        self.removed_folders: list[str] = []
        self.kept_folders: dict[str, str] = {}
        self.remarks: dict[str, None] = {}
        self._folders: dict[str, Counter[Undone]] = {}
        self._stayed: list[Stayed] = []

    def removed(self, folder: str) -> None:
        """One copy that was in this folder is not there any more."""
        self._folders.setdefault(folder, Counter())[Undone.REMOVED] += 1

    def stayed(self, one: Stayed) -> None:
        """One copy is not undone."""
        self._folders.setdefault(one.folder, Counter())[one.outcome] += 1
        self._stayed.append(one)

    def report(
        self, finished: datetime, error: Pop2imapError | None, interrupted: ExitCode | None
    ) -> UndoReport:
        """Everything so far."""
        return UndoReport(
            dry_run=self.dry_run,
            started=self.started,
            finished=finished,
            target=self.target,
            run=self.run,
            folders=self._folders,
            removed_folders=tuple(self.removed_folders),
            kept_folders=self.kept_folders,
            stayed=self._stayed,
            remarks=tuple(self.remarks),
            error=error,
            interrupted=interrupted,
        )
