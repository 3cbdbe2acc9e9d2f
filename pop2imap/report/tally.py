"""The accounts of the messages of one listing: each exactly once, and the sum is checked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pop2imap.errors import InternalError
from pop2imap.model import Account
from pop2imap.report import Count

_ACCOUNTS = tuple(Account)
_NUMBER = {account: number for number, account in enumerate(_ACCOUNTS, start=1)}


class Tally:
    """One byte a message: which account it is under, 0 while it has none."""

    def __init__(self, messages: int) -> None:
        self._state = bytearray(messages)
        self._octets = dict.fromkeys(Account, 0)

    def put(self, position: int, account: Account, octets: int) -> None:
        """The message at ``position`` (from 1) is settled under ``account``. Raises InternalError if it
        stands under one already: it would be counted twice."""
        if self._state[position - 1]:
            raise InternalError(f"message {position} was accounted for twice")
        self._state[position - 1] = _NUMBER[account]
        self._octets[account] += octets

    def open_positions(self) -> Iterator[int]:
        """Positions without an account so far, ascending."""
        at = self._state.find(0)
        while at >= 0:
            yield at + 1
            at = self._state.find(0, at + 1)

    def all_in(self, accounts: frozenset[Account], positions: Sequence[int]) -> bool:
        """Whether each of ``positions`` stands under one of ``accounts``."""
        numbers = {_NUMBER[account] for account in accounts}
        return all(self._state[position - 1] in numbers for position in positions)

    def counts(self) -> dict[Account, Count]:
        """Messages and octets under each account. Raises InternalError if a message has none: that is
        the equation, and if it does not hold, the defect is ours."""
        missing = self._state.count(0)
        if missing:
            raise InternalError(
                f"the accounts do not add up: {missing} of {len(self._state)} messages have none"
            )
        return {
            account: Count(self._state.count(_NUMBER[account]), self._octets[account]) for account in Account
        }
