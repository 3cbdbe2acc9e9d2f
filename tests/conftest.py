"""Fixtures that several kinds of tests share, above all the real mail servers.

Where one of them is missing, its tests are skipped and the summary says so in a line of its own. With ``CI=true`` or
``POP2IMAP_REQUIRE_SERVERS=1`` they fail instead, so that nobody takes a run without them for a full one.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from typing import NoReturn

import hypothesis
import pytest

from tests.servers import dovecot as servers
from tests.servers.courier import Courier
from tests.servers.cyrus import Cyrus
from tests.servers.server import Server, Unavailable

DovecotFactory = Callable[..., servers.Dovecot]
ServerFactory = Callable[..., Server]
hypothesis.settings.register_profile("no clock", deadline=None)  # a busy machine is no fault
hypothesis.settings.load_profile("no clock")

KINDS: dict[str, type[Server]] = {"Dovecot": servers.Dovecot, "Cyrus": Cyrus, "Courier": Courier}
NOT_TESTED = "no real server: "


def _required() -> bool:
    return os.environ.get("CI", "").lower() == "true" or os.environ.get("POP2IMAP_REQUIRE_SERVERS") == "1"


def _without(why: str) -> NoReturn:
    if _required():
        pytest.fail(why)
    pytest.skip(NOT_TESTED + why)


@pytest.fixture(scope="session")
def server_like() -> Iterator[ServerFactory]:
    """Start a server of any kind and settings: ``server_like("Cyrus", ALTNS="yes")``. One for each choice."""
    running: dict[tuple[str, tuple[tuple[str, str], ...]], Server] = {}

    def like(kind: str, **settings: str) -> Server:
        chosen = (kind, tuple(sorted(settings.items())))
        if chosen not in running:
            if kind == "Dovecot" and not servers.installed():
                _without(servers.MISSING)
            try:
                running[chosen] = KINDS[kind](**settings)
            except Unavailable as why:
                _without(str(why))
        return running[chosen]

    yield like
    for server in running.values():
        server.stop(purge=True)


@pytest.fixture(scope="session")
def dovecot_like() -> Iterator[DovecotFactory]:
    """Start a Dovecot of certain settings: ``dovecot_like(SEP=".", PREFIX="INBOX.")``. One for each choice."""
    if not servers.installed():
        _without(servers.MISSING)
    running: dict[tuple[tuple[str, str], ...], servers.Dovecot] = {}

    def like(**settings: str) -> servers.Dovecot:
        chosen = tuple(sorted(settings.items()))
        if chosen not in running:
            running[chosen] = servers.Dovecot(**settings)
        return running[chosen]

    yield like
    for server in running.values():
        server.stop(purge=True)


@pytest.fixture(scope="session")
def dovecot(dovecot_like: DovecotFactory) -> servers.Dovecot:
    """A real Dovecot with its usual abilities, the same one for all tests of a process."""
    return dovecot_like()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Whatever asks for a real server is a system test, wherever it stands. What takes long runs only if it is asked
    for, and then first."""
    long = [item for item in items if item.get_closest_marker("long")]
    others = [item for item in items if item not in long]
    if os.environ.get("POP2IMAP_LONG") == "1":
        items[:] = long + others
    elif long:
        config.hook.pytest_deselected(items=long)
        items[:] = others
    for item in items:
        if {"dovecot_like", "server_like"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.system)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly what was not tested."""
    reasons = Counter(
        str(report.longrepr[2]).partition(NOT_TESTED)[2]
        for report in terminalreporter.stats.get("skipped", ())
        if isinstance(report.longrepr, tuple) and NOT_TESTED in str(report.longrepr[2])
    )
    for reason, count in reasons.items():
        terminalreporter.write_line(f"NOT TESTED: {count} tests, {reason}", red=True, bold=True)

    totals: Counter[str] = Counter()
    for report in (*terminalreporter.stats.get("passed", ()), *terminalreporter.stats.get("failed", ())):
        for name, value in report.user_properties:
            if isinstance(value, int):
                totals[name] += value
            else:
                terminalreporter.write_line(f"{report.nodeid.rpartition('::')[2]}: {name} {value}")
    for name, total in totals.items():
        terminalreporter.write_line(f"{name}: {total:,}")


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Callable[[str, object], None]:
    """``figure(name, value)``: something measured by a test that the summary shall show. Whole numbers of the same
    name are added up over all tests."""

    def show(name: str, value: object) -> None:
        request.node.user_properties.append((name, value))

    return show
