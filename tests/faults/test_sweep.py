"""The connection is cut after n octets, in either direction: n goes over the whole conversation."""

from __future__ import annotations

import pytest

from tests.faults.bench import RealBench
from tests.faults.conftest import Undisturbed
from tests.faults.proxy import Fault, Side, after, cut, half_close, reset

EARLY = 6
"""Points within the first octets: greeting, login, listing."""

POINTS = 14
"""Points over the rest."""

SIDES = pytest.mark.parametrize("side", list(Side), ids=lambda side: f"from the {side.value}")


def place(point: int, total: int) -> int:
    """The octet of a point of the sweep."""
    early = min(1_200, total // 4)
    if point < EARLY:
        return early * point // EARLY
    return early + (total - early) * (point - EARLY) // POINTS


@SIDES
@pytest.mark.parametrize("point", range(EARLY + POINTS))
def test_a_target_that_is_cut_off_anywhere(
    bench: RealBench, over_imap: Undisturbed, side: Side, point: int
) -> None:
    fault = Fault(after(place(point, over_imap.passed[side]), side), cut)
    source, target = bench.mbox(), bench.imap(fault=fault)
    first = bench.run(source, target)
    assert fault.struck
    bench.check(source, target, over_imap.rows, first)


@SIDES
@pytest.mark.parametrize("point", range(EARLY + POINTS))
def test_a_source_that_is_cut_off_anywhere(
    bench: RealBench, over_pop3: Undisturbed, side: Side, point: int
) -> None:
    fault = Fault(after(place(point, over_pop3.passed[side]), side), cut)
    source, target = bench.pop3(fault=fault), bench.imap()
    first = bench.run(source, target)
    assert fault.struck
    bench.check(source, target, over_pop3.rows, first)


@SIDES
@pytest.mark.parametrize("act", [reset, half_close], ids=["reset", "closed by half"])
@pytest.mark.parametrize("tenth", [1, 4, 6, 9])
@pytest.mark.parametrize("end", ["imaps", "pop3s"])
def test_tls_that_is_reset_or_closed_by_half(
    bench: RealBench,
    over_imap: Undisturbed,
    over_pop3: Undisturbed,
    side: Side,
    act: object,
    tenth: int,
    end: str,
) -> None:
    undisturbed = over_imap if end == "imaps" else over_pop3
    fault = Fault(after(undisturbed.passed[side] * tenth // 10, side), act)  # type: ignore[arg-type]
    if end == "imaps":
        source, target = bench.mbox(), bench.imap(fault=fault, tls=True)
        first = bench.run(source, target)
        bench.check(source, target, undisturbed.rows, first)
    else:
        drop, target = bench.pop3(fault=fault, tls=True), bench.imap()
        first = bench.run(drop, target)
        bench.check(drop, target, undisturbed.rows, first)
    assert fault.struck
