"""Fixtures that several kinds of tests share, above all the real mail server.

Where Dovecot is missing, its tests are skipped and the summary says so in a line of its own. With ``CI=true`` or
``POP2IMAP_REQUIRE_SERVERS=1`` they fail instead, so that nobody takes a run without them for a full one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from tests.servers import dovecot as servers

DovecotFactory = Callable[..., servers.Dovecot]


def _required() -> bool:
    return os.environ.get("CI", "").lower() == "true" or os.environ.get("POP2IMAP_REQUIRE_SERVERS") == "1"


@pytest.fixture(scope="session")
def dovecot_like() -> Iterator[DovecotFactory]:
    """Start a Dovecot of certain settings: ``dovecot_like(SEP=".", PREFIX="INBOX.")``. One for each choice."""
    if not servers.installed():
        if _required():
            pytest.fail(servers.MISSING)
        pytest.skip(servers.MISSING)
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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever asks for a real server is a system test, wherever it stands."""
    for item in items:
        if "dovecot_like" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.system)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly what was not tested."""
    skipped = [
        report
        for report in terminalreporter.stats.get("skipped", ())
        if servers.MISSING in str(report.longrepr)
    ]
    if skipped:
        terminalreporter.write_line(
            f"NOT TESTED: {len(skipped)} tests, {servers.MISSING}", red=True, bold=True
        )

    figures = [
        f"{report.nodeid.rpartition('::')[2]}: {name} {value}"
        for report in terminalreporter.stats.get("passed", ())
        for name, value in report.user_properties
    ]
    for figure in figures:
        terminalreporter.write_line(figure)


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Callable[[str, object], None]:
    """``figure(name, value)``: something measured by a test that the summary shall show."""

    def show(name: str, value: object) -> None:
        request.node.user_properties.append((name, value))

    return show
