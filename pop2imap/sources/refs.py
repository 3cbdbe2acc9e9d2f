"""Refs that are made when somebody asks for them, since a listing may be long."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import overload

from pop2imap.model import Ref


class Refs(Sequence[Ref]):
    """A sequence of refs of which a subclass says how many there are, and makes each."""

    @abstractmethod
    def _ref(self, at: int) -> Ref:
        """The one at ``at``, which is from 0 up to the last one."""

    @overload
    def __getitem__(self, at: int) -> Ref: ...
    @overload
    def __getitem__(self, at: slice) -> list[Ref]: ...
    def __getitem__(self, at: int | slice) -> Ref | list[Ref]:
        places = range(len(self))[at]
        return self._ref(places) if isinstance(places, int) else [self._ref(one) for one in places]
