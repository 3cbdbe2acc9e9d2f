"""A real Dovecot behind a wire on which everything happens: the run goes on and ends right."""

from __future__ import annotations

import socket

import pytest

from pop2imap.errors import ExitCode
from pop2imap.model import Account
from tests.faults.bench import COMMANDS, NEVER, RealBench
from tests.faults.conftest import Undisturbed
from tests.faults.proxy import (
    APPENDED,
    Altered,
    Fault,
    Side,
    after,
    before,
    calling,
    cut,
    double,
    drip,
    farewell,
    hold,
    interject,
)
from tests.servers.dovecot import Dovecot
from tests.servers.server import PASSWORD

NO_UIDNEXT = rb"\* OK \[UIDNEXT[^\r\n]*\r\n| UIDNEXT [0-9]+"
BATCH = rb"(?s)APPEND .*z0 CREATE"
"""The first octets of mail that leave."""


@pytest.mark.parametrize("answer", [1, 2])
@pytest.mark.parametrize("act", [cut, hold, double], ids=["swallowed", "after the timeout", "doubled"])
def test_an_ok_that_is_swallowed_or_late_or_comes_twice(
    bench: RealBench, over_imap: Undisturbed, act: object, answer: int
) -> None:
    fault = Fault(before(APPENDED, answer), act)  # type: ignore[arg-type]
    source, target = bench.mbox(), bench.imap(fault=fault, idle=0.6)
    first = bench.run(source, target)
    assert fault.struck
    assert first.exit_code is ExitCode.OK
    bench.check(source, target, over_imap.rows, first)


@pytest.mark.parametrize("tenth", range(0, 10, 2))
def test_a_server_that_falls_silent(bench: RealBench, over_imap: Undisturbed, tenth: int) -> None:
    fault = Fault(after(over_imap.passed[Side.SERVER] * tenth // 10, Side.SERVER), hold)
    source, target = bench.mbox(), bench.imap(fault=fault, idle=0.6)
    first = bench.run(source, target)
    assert fault.struck
    bench.check(source, target, over_imap.rows, first)


@pytest.mark.usefixtures("clock")
def test_a_server_that_sends_an_octet_a_second(bench: RealBench, over_imap: Undisturbed) -> None:
    alike = bench.messages[6].replace(
        b"x\r\n", b"y\r\n"
    )  # of the same size, so that its octets are looked at
    bench.dovecot.doveadm("mailbox", "create", "-u", bench.user, "Even")
    bench.dovecot.doveadm("save", "-u", bench.user, "-m", "Even", input=alike)
    before_it = bench.found()
    fault = Fault(before(rb"BODY\[\]"), drip)
    source, target = bench.mbox(), bench.imap(fault=fault)
    first = bench.run(source, target)
    assert fault.struck
    assert any("octets a second" in line for line in bench.said), bench.said
    bench.check(source, target, over_imap.rows + before_it, first)


@pytest.mark.parametrize("then", [None, 1, 2])
def test_a_server_that_tells_no_uidnext(bench: RealBench, over_imap: Undisturbed, then: int | None) -> None:
    fault = Altered(NO_UIDNEXT, b"", then=Fault(before(APPENDED, then), cut) if then else None)
    source, target = bench.mbox(), bench.imap(fault=fault)
    first = bench.run(source, target)
    assert fault.struck
    bench.check(source, target, over_imap.rows, first)


@pytest.mark.parametrize("words", [b"* BYE Shutting down\r\n", b"* BYE [UNAVAILABLE] Later\r\n"])
@pytest.mark.parametrize("octets", [1, 300, 5_000])
def test_a_bye_in_a_literal(bench: RealBench, over_imap: Undisturbed, words: bytes, octets: int) -> None:
    fault = Fault(after(over_imap.passed[Side.CLIENT] // 2 + octets, Side.CLIENT), farewell(words))
    source, target = bench.mbox(), bench.imap(fault=fault)
    first = bench.run(source, target)
    assert fault.struck
    bench.check(source, target, over_imap.rows, first)


# -- bodies are never commands


def test_the_server_would_carry_out_bodies_if_it_got_them_as_commands(dovecot: Dovecot) -> None:
    """What the next tests guard against is real."""
    user = dovecot.user()
    item = b'(%s) "01-Jan-2020 00:00:00 +0000" {%d+}\r\n' + COMMANDS
    with socket.create_connection(("127.0.0.1", dovecot.imap_port), 30) as connection:
        connection.sendall(b"a LOGIN %s %s\r\n" % (user.encode(), PASSWORD.encode()))
        items = b" ".join(item % (flags, len(COMMANDS)) for flags in (b"\\Seen", b"\\Bogus"))
        connection.sendall(b"b APPEND INBOX " + items + b"\r\n" * 2 + b"c LOGOUT\r\n")
        while connection.recv(65536):
            pass
    with dovecot.client(user) as client:
        assert NEVER in {name for _flags, _delimiter, name in client.list_folders()}


def test_a_bad_in_the_middle_of_a_multiappend_carries_out_no_body(
    bench: RealBench, over_imap: Undisturbed
) -> None:
    """The flags of the third message of a command become, on the way, flags that the server takes exception to."""
    fault = Altered(rb"\(\$Four ", rb"(\\Four ", Side.CLIENT, times=1)
    source, target = bench.mbox(), bench.imap(fault=fault)
    first = bench.run(source, target)
    assert fault.struck
    assert any("Invalid system flag" in line for line in bench.said), bench.said
    assert first.exit_code is ExitCode.OK
    bench.check(source, target, over_imap.rows, first)


@pytest.mark.parametrize("tenth", range(3, 10, 2))
def test_a_bad_out_of_the_blue_stops_the_sending(
    bench: RealBench, over_imap: Undisturbed, tenth: int
) -> None:
    bad = interject(b"".join(b"A%d BAD Error in IMAP command\r\n" % number for number in range(3)))
    fault = Fault(after(over_imap.passed[Side.CLIENT] * tenth // 10, Side.CLIENT), bad)
    source, target = bench.mbox(), bench.imap(fault=fault)
    first = bench.run(source, target)
    assert fault.struck
    bench.check(source, target, over_imap.rows, first)


# -- what others do meanwhile


def renumber(bench: RealBench, *folders: str) -> None:
    """The server gives these folders a new UIDVALIDITY."""
    for folder in folders:
        status = bench.dovecot.doveadm("mailbox", "status", "-u", bench.user, "uidvalidity", folder)
        new = int(status.rpartition("=")[2]) + 1_000
        bench.dovecot.doveadm("mailbox", "update", "-u", bench.user, "--uid-validity", str(new), folder)


def test_a_new_uidvalidity_between_two_runs(bench: RealBench, over_imap: Undisturbed) -> None:
    source, target = bench.mbox(), bench.imap()
    first = bench.run(source, target, limit=5)
    assert first.exit_code is ExitCode.NOT_FINISHED
    renumber(bench, "INBOX", "Even")
    bench.check(source, target, over_imap.rows, first)
    renumber(bench, "INBOX", "Even")
    bench.check(source, target, over_imap.rows, bench.run(source, target))


@pytest.mark.parametrize("answer", [1, 2])
@pytest.mark.parametrize("then", [None, cut], ids=["and nothing else", "and the connection is cut"])
def test_a_new_uidvalidity_in_the_middle(
    bench: RealBench, over_imap: Undisturbed, then: object, answer: int
) -> None:
    act = calling(lambda: renumber(bench, "INBOX", "Even"), then=then)  # type: ignore[arg-type]
    fault = Fault(before(APPENDED, answer), act)
    source, target = bench.mbox(), bench.imap(fault=fault)
    first = bench.run(source, target)
    assert fault.struck
    bench.check(source, target, over_imap.rows, first)


def test_mail_that_another_client_expunges_in_a_window_stays_gone(
    bench: RealBench, over_imap: Undisturbed
) -> None:
    def expunge() -> None:
        bench.dovecot.doveadm("expunge", "-u", bench.user, "mailbox", "Even", "uid", "1")

    fault = Fault(before(APPENDED, 2), calling(expunge))
    source, target = bench.mbox(), bench.imap(fault=fault)
    first = bench.run(source, target)
    assert fault.struck
    assert first.exit_code is ExitCode.OK
    found = bench.found()
    assert sum((over_imap.rows - found).values()) == 1
    assert not found - over_imap.rows
    again = bench.run(source, target)
    assert (again.exit_code, again.moved.messages) == (ExitCode.OK, 0)


def test_mail_that_another_client_expunges_while_its_ok_is_lost_is_held_and_named(
    bench: RealBench, over_imap: Undisturbed
) -> None:
    def expunge() -> None:
        for folder in ("INBOX", "Even"):
            bench.dovecot.doveadm("expunge", "-u", bench.user, "mailbox", folder, "uid", "1")

    fault = Fault(before(APPENDED), calling(expunge, then=cut))
    source, target = bench.mbox(), bench.imap(fault=fault)
    first = bench.run(source, target)
    assert fault.struck
    assert first.exit_code is ExitCode.INCOMPLETE
    lost = over_imap.rows - bench.found()
    assert sum(lost.values()) == len(first.problems) == 1
    assert {problem.account for problem in first.problems} == {Account.HELD}
    assert not bench.found() - over_imap.rows
    again = bench.run(source, target)
    assert (again.exit_code, again.moved.messages) == (ExitCode.INCOMPLETE, 0)
    assert [problem.key for problem in again.problems] == [problem.key for problem in first.problems]


# -- what arrives late


@pytest.mark.parametrize("tenth", [5, 9])
def test_mail_that_arrives_within_the_fence_is_waited_for(
    bench: RealBench, over_imap: Undisturbed, tenth: int
) -> None:
    fault = Fault(after(over_imap.passed[Side.CLIENT] * tenth // 10, Side.CLIENT), hold)
    source, target = bench.mbox(), bench.imap(fault=fault, idle=0.6)

    def arrive() -> None:
        assert bench.proxy is not None
        if bench.waited > bench.fence / 2:
            bench.proxy.release()

    bench.meanwhile = arrive
    first = bench.run(source, target)
    assert fault.struck
    assert bench.proxy is not None
    assert bench.proxy.released.is_set()
    assert first.exit_code is ExitCode.OK
    bench.check(source, target, over_imap.rows, first)


def test_mail_that_arrives_after_the_fence_is_there_twice_and_verify_says_so(
    bench: RealBench, over_imap: Undisturbed
) -> None:
    fault = Fault(after(over_imap.passed[Side.CLIENT] * 9 // 10, Side.CLIENT), hold)
    source, target = bench.mbox(), bench.imap(fault=fault, idle=0.6)
    assert bench.run(source, target).exit_code is ExitCode.OK
    assert fault.struck
    bench.check_found(over_imap.rows)
    assert not [remark for remark in bench.verify(target).remarks if "twice" in remark]
    assert bench.proxy is not None
    bench.proxy.release()
    surplus = bench.found() - over_imap.rows
    assert surplus
    assert not over_imap.rows - bench.found()
    again = bench.run(source, target)
    assert (again.exit_code, again.moved.messages) == (ExitCode.OK, 0)
    (remark,) = [remark for remark in bench.verify(target).remarks if "twice" in remark]
    assert f"{sum(surplus.values())} of our messages" in remark
    assert not over_imap.rows - bench.found(), "nothing is deleted"
