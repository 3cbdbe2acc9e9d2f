"""The fates of the messages of one listing: each exactly one, one byte each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from pop2imap.model import Ref
from pop2imap.report import Count
from pop2imap.report.deleted import TODO, Fate, Left

_FATES = tuple(Fate)
_NUMBER = {fate: number for number, fate in enumerate(_FATES)}


class Fates:
    """LATER for all, until they are put under something else; that may be done again and again."""

    def __init__(self, refs: Sequence[Ref]) -> None:
        self._refs = refs
        self._numbers = bytearray([_NUMBER[Fate.LATER]]) * len(refs)
        self._left: dict[int, Left] = {}

    def put(
        self, position: int, fate: Fate, reason: str = "", *, date: datetime | None = None, size: int = 0
    ) -> None:
        """A message has this fate from now on. With a ``reason`` it is named in the report, if it is to be looked at;
        ``size`` 0: as listed."""
        self._numbers[position - 1] = _NUMBER[fate]
        self._left.pop(position, None)
        if reason and fate in TODO:
            ref = self._refs[position - 1]
            key = str(ref.key) if ref.key is not None else f"message {position}"
            self._left[position] = Left(fate, key, date, size or ref.size, reason)

    def counts(self) -> Mapping[Fate, Count]:
        """Messages and octets (as listed) under each."""
        counts = dict.fromkeys(Fate, Count())
        for ref, number in zip(self._refs, self._numbers, strict=True):
            counts[_FATES[number]] += Count(1, ref.size)
        return counts

    def left(self) -> tuple[Left, ...]:
        """Those to look at, in source order."""
        return tuple(self._left[position] for position in sorted(self._left))
