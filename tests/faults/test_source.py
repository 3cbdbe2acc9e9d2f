"""A real POP3 server behind a wire on which everything happens: the run goes on and ends right."""

from __future__ import annotations

import pytest

from pop2imap.errors import ExitCode
from tests.faults.bench import RealBench
from tests.faults.conftest import Undisturbed
from tests.faults.proxy import Fault, Side, after, before, double, drip, farewell, hold

OK = rb"(?m)^\+OK"


@pytest.mark.parametrize("tenth", range(0, 10, 2))
def test_a_server_that_falls_silent(bench: RealBench, over_pop3: Undisturbed, tenth: int) -> None:
    fault = Fault(after(over_pop3.passed[Side.SERVER] * tenth // 10, Side.SERVER), hold)
    source, target = bench.pop3(fault=fault, idle=0.6), bench.imap()
    first = bench.run(source, target)
    assert fault.struck
    bench.check(source, target, over_pop3.rows, first)


@pytest.mark.parametrize("nth", range(1, 14))
def test_an_ok_that_comes_twice(bench: RealBench, over_pop3: Undisturbed, nth: int) -> None:
    fault = Fault(before(OK, nth), double)
    source, target = bench.pop3(fault=fault, idle=0.6), bench.imap()
    first = bench.run(source, target)
    assert fault.struck
    bench.check(source, target, over_pop3.rows, first)


@pytest.mark.usefixtures("clock")
def test_a_server_that_sends_an_octet_a_second(bench: RealBench, over_pop3: Undisturbed) -> None:
    fault = Fault(after(over_pop3.passed[Side.SERVER] // 3, Side.SERVER), drip)
    source, target = bench.pop3(fault=fault), bench.imap()
    first = bench.run(source, target)
    assert fault.struck
    assert any("octets a second" in line for line in bench.said), bench.said
    assert first.exit_code is ExitCode.OK
    bench.check(source, target, over_pop3.rows, first)


@pytest.mark.parametrize("nth", [1, 2, 5, 8, 11])
def test_a_farewell_in_place_of_an_answer(bench: RealBench, over_pop3: Undisturbed, nth: int) -> None:
    fault = Fault(before(OK, nth), farewell(b"-ERR Disconnected for inactivity\r\n"))
    source, target = bench.pop3(fault=fault), bench.imap()
    first = bench.run(source, target)
    assert fault.struck
    bench.check(source, target, over_pop3.rows, first)
