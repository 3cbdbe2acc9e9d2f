"""Tables, for a terminal and for a page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from benchmarks.measure import MEGA, Spread

BEGIN = "<!-- measured: begin -->"
END = "<!-- measured: end -->"


@dataclass(frozen=True)
class Table:
    """Text in columns; the first column is words, the others are numbers. ``data``: the same for programs."""

    title: str
    columns: tuple[str, ...]
    lines: Sequence[tuple[str, ...]]
    notes: tuple[str, ...] = ()
    data: Sequence[dict[str, object]] = field(default=())

    def text(self) -> str:
        rows = [self.columns, *self.lines]
        widths = [max(len(row[at]) for row in rows) for at in range(len(self.columns))]
        body = (
            "  ".join(
                cell.rjust(width) if at else cell.ljust(width)
                for at, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        )
        return "\n".join([self.title, *body, *(f"({note})" for note in self.notes)])

    def markdown(self) -> str:
        rule = ["---", *["--:"] * (len(self.columns) - 1)]
        rows = ("| " + " | ".join(row) + " |" for row in [self.columns, rule, *self.lines])
        notes = [line for note in self.notes for line in ("", f"{note}.")]
        return "\n".join([f"### {self.title}", "", *rows, *notes])


def between_markers(page: str, parts: Iterable[str]) -> str:
    """The page with these parts, and no others, between its two markers. Raises ValueError if they are not there."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has no {BEGIN} and {END}")
    return "\n\n".join([before + BEGIN, *parts, END + after])


def number(value: float) -> str:
    """With as many digits as can be believed: three."""
    if abs(value) >= 99.5:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 9.95 else f"{value:.2f}"


def percent(spread: Spread | None) -> str:
    """``81 % (78–84)``; a dash if there is nothing."""
    if spread is None:
        return "–"
    median, least, most = (f"{part * 100:.0f}" for part in (spread.median, spread.least, spread.most))
    return f"{median} % ({least}–{most})"


def megabytes(octets: float) -> str:
    """A dash if they are not known."""
    return number(octets / MEGA) if octets else "–"
