"""Round trips, counted where they are paid: a write that waited for an answer is one, a greeting that was waited for is
another."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from pop2imap import net


class RoundTrips:
    """``count`` goes up with each of any connection."""

    def __init__(self) -> None:
        self.count = 0

    def since(self, before: int) -> int:
        return self.count - before


@contextlib.contextmanager
def counted() -> Iterator[RoundTrips]:
    """Count them from now on."""
    trips = RoundTrips()
    waiting: dict[int, bool] = {}
    send, receive = net.Connection.send, net.Connection.receive

    def sending(self: net.Connection, octets: bytes) -> None:
        waiting[id(self)] = True
        send(self, octets)

    def receiving(
        self: net.Connection, most: int = 1 << 18, *, begun: bool = False, unless: net.Bell | None = None
    ) -> bytes:
        trips.count += waiting.get(id(self), True)
        waiting[id(self)] = False
        return receive(self, most, begun=begun, unless=unless)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(net.Connection, "send", sending)
        patch.setattr(net.Connection, "receive", receiving)
        yield trips
