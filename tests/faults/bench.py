"""One move on a bench: the real program, its journal and its wire protocols, with a fault on the way.

Only time is not real: a wait takes none, but is over only when the servers have done what such a time is waited for.
Whatever the fault, :meth:`Bench.check` wants the same in the end.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pop2imap import net
from pop2imap.credentials import Secret
from pop2imap.errors import Again, ExitCode
from pop2imap.job import Job
from pop2imap.migrate import migrate
from pop2imap.options import Mark, Options
from pop2imap.pipeline import Stop
from pop2imap.progress import Silent
from pop2imap.report import Report
from pop2imap.report.verified import VerifyReport
from pop2imap.rules import toml
from pop2imap.sources import Source
from pop2imap.sources.mbox import MboxSource
from pop2imap.sources.pop3 import Pop3Source
from pop2imap.target.imap import ImapTarget
from pop2imap.verify import verify
from tests.fakes import imap_server, pop3_server
from tests.fakes.imap_server import ImapAccount, ImapServer
from tests.fakes.pop3_server import Maildrop, Pop3Server
from tests.faults.proxy import Fault, Proxy
from tests.servers.dovecot import Dovecot
from tests.servers.server import PASSWORD
from tests.system.difference import Row, found_in
from tests.system.maildrop import deliver

RULES = """
version = 1

[[rule]]
name = "Four"
when = { subject = "even 4*" }
then = { add-flags = ["$Four"], continue = true }

[[rule]]
name = "Even"
when = { subject = "even *" }
then = { folder = "Even", flagged = true }

[[rule]]
name = "Rest"
then = { folder = "INBOX" }
"""

COMMANDS = b"".join(b"z%d CREATE PWNED\r\n%s" % (number, b"z CREATE PWNED\r\n" * 3) for number in range(4))
"""In each message: what nobody may ever carry out."""

NEVER = "PWNED"


def mail(count: int = 12, large: int = 20_000) -> list[bytes]:
    """Mail with one large message, a twin, and IMAP commands in all bodies."""
    messages = []
    for number in range(count):
        kind = b"even" if number % 2 == 0 else b"odd"
        day = number + 1
        head = b"From: bob@example.org\r\nSubject: %s %d\r\nDate: %02d May 2020 10:00:00 +0000\r\n" % (
            kind, number, day,
        )  # fmt: skip
        filling = b"x" * 70 + b"\r\n"
        body = COMMANDS + filling * (large // 72 if number == count // 2 else number)
        messages.append(head + b"\r\n" + body + COMMANDS)
    messages.append(messages[1])
    return messages


@dataclass
class Bench(ABC):
    """Moves ``messages``; what they are moved between is up to its subclasses.

    ``waits`` are the seconds of each wait; ``meanwhile`` is called in each, when the servers are done. ``said`` is what
    a person is told.
    """

    path: Path
    stack: ExitStack
    messages: list[bytes] = field(default_factory=mail)
    waits: list[float] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    meanwhile: Callable[[], object] = lambda: None
    fence: float = 30.0

    def __post_init__(self) -> None:
        self._ahead = timedelta()

    @abstractmethod
    def found(self) -> Counter[Row]:
        """Everything that the target holds."""

    @abstractmethod
    def folders(self) -> set[str]:
        """Its folders."""

    @abstractmethod
    def quiesce(self) -> None:
        """Wait until the servers have done what they were sent."""

    def mbox(self) -> MboxSource:
        envelope = b"From - Mon May 04 10:00:00 2020\n"  # not to be trusted: the Date counts, as over POP3
        text = b"".join(envelope + octets.replace(b"\r\n", b"\n") + b"\n" for octets in self.messages)
        (self.path / "mail.mbox").write_bytes(text)
        return MboxSource(self.path / "mail.mbox")

    # -- runs

    def run(self, source: Source, target: ImapTarget, **options: object) -> Report:
        chosen = Options(state_dir=self.path / "state", fence=self.fence, mark=Mark("unseen"), **options)  # type: ignore[arg-type]
        job = Job((source,), target, toml.parse(RULES, "rules.toml"), chosen)
        report = migrate(job, _Said(self.said), Stop(), now=self.now, sleep=self.sleep)
        self.quiesce()
        return report

    def verify(self, target: ImapTarget) -> VerifyReport:
        """What a comparison says."""
        place = self.path / "state"
        return verify(
            target, (), state_dir=place, full=False, progress=Silent(), stop=Stop(), sleep=self.sleep
        )

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    def sleep(self, seconds: float) -> None:
        self._ahead += timedelta(seconds=seconds)
        self.waits.append(seconds)
        self.quiesce()
        self.meanwhile()

    @property
    def waited(self) -> float:
        return sum(self.waits)

    # -- what must be in the end

    def check(self, source: Source, target: ImapTarget, expected: Counter[Row], first: Report) -> None:
        """``first`` has come to its end, or says that another run shall follow, which does; what is there is what an
        undisturbed run leaves; and then there is nothing left to do."""
        report = first
        if first.exit_code is not ExitCode.OK:
            assert first.exit_code in {ExitCode.NOT_FINISHED, ExitCode.UNAVAILABLE}, first.text()
            assert first.error is None or first.error.again is not Again.NEVER
            assert "run the same command again" in first.text()
            report = self.run(source, target)
        assert report.exit_code is ExitCode.OK, report.text()
        self.check_found(expected)
        again = self.run(source, target)
        assert (again.exit_code, again.moved.messages) == (ExitCode.OK, 0), again.text()
        self.check_found(expected)

    def check_found(self, expected: Counter[Row]) -> None:
        found = self.found()
        lost, twice = expected - found, found - expected
        assert (sum(lost.values()), sum(twice.values())) == (0, 0)
        assert NEVER not in self.folders()


@dataclass
class RealBench(Bench):
    """To a fresh account on Dovecot; ``proxy``, where there is one, is in front of the end that has the fault."""

    dovecot: Dovecot = field(kw_only=True)
    proxy: Proxy | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.user = self.dovecot.user()

    def found(self) -> Counter[Row]:
        return found_in(self.dovecot, self.user)

    def folders(self) -> set[str]:
        with self.dovecot.client(self.user) as client:
            return {name for _flags, _delimiter, name in client.list_folders()}

    def quiesce(self) -> None:
        if self.proxy:
            self.proxy.quiesce()

    def imap(self, *, fault: Fault | None = None, tls: bool = False, idle: float = 20) -> ImapTarget:
        """The account, with a fault on the way to it."""
        port = self.dovecot.imaps_port if tls else self.dovecot.imap_port
        return ImapTarget(self._server(port, fault, tls, idle), self.user, Secret(PASSWORD))

    def pop3(self, *, fault: Fault | None = None, tls: bool = False, idle: float = 20) -> Pop3Source:
        """The mail in a maildrop, with a fault on the way to it."""
        maildrop = self.dovecot.user()
        assert deliver(self.dovecot, maildrop, self.messages) == len(self.messages)
        port = self.dovecot.pop3s_port if tls else self.dovecot.pop3_port
        return Pop3Source(self._server(port, fault, tls, idle), maildrop, Secret(PASSWORD))

    def _server(self, port: int, fault: Fault | None, tls: bool, idle: float) -> net.Server:
        if fault:
            self.proxy = self.stack.enter_context(Proxy(port, fault))
            port = self.proxy.port
        transport = net.Transport.TLS if tls else net.Transport.CLEAR
        timeouts = net.Timeouts(max(idle, 1), idle)
        return net.Server("localhost", port, transport, self.dovecot.ca_file, timeouts)


@dataclass
class ScriptedBench(Bench):
    """To an account on a server that does as it is told, from an mbox or a maildrop on another one. The large message
    does not leave in one piece."""

    messages: list[bytes] = field(default_factory=lambda: mail(large=400_000))
    account: ImapAccount = field(default_factory=ImapAccount)
    drop: Maildrop = field(default_factory=Maildrop)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.server = self.stack.enter_context(ImapServer(self.account))
        self.drop.mail = self.messages
        self.pop3_server = self.stack.enter_context(Pop3Server(self.drop))

    def found(self) -> Counter[Row]:
        return Counter(
            (name, one.octets, frozenset(one.flags), datetime.strptime(one.date, "%d-%b-%Y %H:%M:%S %z"))
            for name, box in self.account.boxes.items()
            for one in box.mail.values()
        )

    def folders(self) -> set[str]:
        return set(self.account.boxes)

    def quiesce(self) -> None:
        """It has: it answers whatever it carries out before it reads on."""

    def imap(self, *, idle: float = 20) -> ImapTarget:
        return ImapTarget(self.server.address(idle=idle), imap_server.USER, Secret(imap_server.PASSWORD))

    def pop3(self) -> Pop3Source:
        return Pop3Source(self.pop3_server.address(), pop3_server.USER, Secret(pop3_server.PASSWORD))


class _Said(Silent):
    """Remembers what a person is told."""

    def __init__(self, said: list[str]) -> None:
        self._said = said

    def say(self, text: str) -> None:
        self._said.append(text)
