"""What is moved, from where, to what kind of server."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

from pop2imap import net
from pop2imap.credentials import Secret
from pop2imap.job import Job
from pop2imap.options import Mark, Options
from pop2imap.rules import Rules, toml
from pop2imap.sources import Source
from pop2imap.sources.mbox import MboxSource
from pop2imap.sources.pop3 import Pop3Source
from pop2imap.sources.tree import Found, Part, TreeSource
from pop2imap.target.imap import ImapTarget
from tests.crash.outside import IMAP, POP3, Outside, Stranger
from tests.fakes.imap_server import CAPABILITIES, ImapAccount
from tests.fakes.memory_target import Rewrite, as_sent, like_cyrus, like_dovecot
from tests.fakes.pop3_server import Maildrop

SERVERS = {
    "all": CAPABILITIES,
    "without MULTIAPPEND": CAPABILITIES.replace(" MULTIAPPEND", ""),
    "without LITERAL+": CAPABILITIES.replace(" LITERAL+", ""),
    "without UIDPLUS": CAPABILITIES.replace(" UIDPLUS", ""),
    "plain": "IMAP4rev1 AUTH=PLAIN NAMESPACE UNSELECT",
}
"""What the target offers."""

_RULES = """
version = 1
[[rule]]
when = { subject = "both*" }
then = { folder = "Copies", continue = true }
[[rule]]
when = { subject = "list*" }
then = { folder = "Lists" }
"""


@dataclass(frozen=True, slots=True)
class Letter:
    """A message of the source, and what an mbox says of its state."""

    octets: bytes
    status: bytes = b""


def letter(subject: str, *, body: bytes = b"text\r\n", name: str = "", status: bytes = b"") -> Letter:
    """``name`` is the Message-ID; none by default. Equal arguments make twins."""
    message_id = f"Message-ID: <{name}@example.org>\r\n" if name else ""
    head = f"From: bob@example.org\r\nSubject: {subject}\r\n{message_id}Date: Mon, 04 May 2020 10:00:00 +0000\r\n\r\n"
    return Letter(head.encode() + body, status)


def like_all(octets: bytes) -> bytes:
    """What Dovecot and Cyrus do, together."""
    return like_cyrus(like_dovecot(octets))


@dataclass(frozen=True)
class Scenario:
    """``grown`` come to the source after the death, ``strangers`` to the target before it or after. ``refuses``:
    the server takes no message that holds these octets. ``repair``: what may be changed in it then."""

    letters: tuple[Letter, ...]
    grown: tuple[Letter, ...] = ()
    strangers: tuple[Stranger, ...] = ()
    rules: str = ""
    rewrite: Rewrite = as_sent
    refuses: bytes = b""
    repair: tuple[str, ...] = ()
    sources: tuple[str, ...] = ("mbox", "pop3")
    """``home``: a mail program at home has most of what is in the maildrop."""
    uidl: bool = True
    assume_empty: bool = True
    """Then recovery alone has to know: nothing that was sent is found again as present."""
    connections: int = 1
    unordered: bool = False
    """Whether several of the connections may upload to one folder."""


_twin = letter("twin", name="t")
_SIX = tuple(letter(f"number {n}", name=f"m{n}") for n in range(1, 7))

SCENARIOS = {
    "twins": Scenario((_twin, _SIX[0], _twin, _twin, _SIX[1], _twin, _SIX[2], _twin)),
    "twins with different flags": Scenario(
        tuple(
            letter("twin", name="t", status=status)
            for status in (b"", b"Status: RO\n", b"Status: O\nX-Status: F\n", b"", b"Status: RO\n")
        ),
        sources=("mbox",),
    ),
    "twins without UIDL": Scenario((_twin, _SIX[0], _twin, _SIX[1], _twin), sources=("pop3",), uidl=False),
    "no Message-ID": Scenario((letter("one"), letter("two"), letter("one"), letter("three"), letter("four"))),
    "one Message-ID": Scenario(
        tuple(letter("same", name="same", body=b"%d\r\n" % n) for n in (1, 2, 3, 1, 2)),
        assume_empty=False,
    ),
    "several folders": Scenario(
        (
            letter("both 1", name="b1"),
            _SIX[0],
            letter("list 1", name="l1"),
            letter("both 1", name="b1"),
            letter("list 1", name="l1"),
            _SIX[1],
        ),
        rules=_RULES,
    ),
    "several sessions": Scenario(
        (
            letter("list 1", name="l1"),
            _SIX[0],
            letter("both 1", name="b1"),
            letter("list 1", name="l1"),
            _SIX[1],
            letter("both 1", name="b1"),
            _SIX[2],
        ),
        rules=_RULES,
        connections=3,
    ),
    "several sessions for one folder": Scenario(
        (_twin, _SIX[0], _twin, _twin, _SIX[1], _twin, _SIX[2], _twin), connections=2, unordered=True
    ),
    "a refused message": Scenario(
        (_SIX[0], letter("bad", body=b"refuse me\r\n"), _twin, _SIX[1], _twin, _SIX[2], _SIX[3]),
        refuses=b"refuse me",
    ),
    "repaired messages": Scenario(
        tuple(
            letter("nul", body=body) for body in (b"1\r\n", b"a\0\r\n", b"a\0\r\n", b"a\r\n", b"a\0b\0\r\n")
        ),
        refuses=b"\0",
        repair=("nul",),
    ),
    "the source grows": Scenario((_twin, _SIX[0], _twin, _SIX[1], _SIX[2]), grown=(_twin, _SIX[3], _twin)),
    "both copies": Scenario(
        (_SIX[0], _twin, _twin, letter("at home", name="h"), _SIX[1], letter("at home", name="h")),
        sources=("home",),
    ),
    "mail from others": Scenario(
        (_SIX[0], _twin, _SIX[1], _twin, _SIX[2], _SIX[3]),
        strangers=(Stranger(1, letter("from others").octets), Stranger(2, _twin.octets)),
    ),
    "a server that rewrites": Scenario(
        (
            letter("nul", body=b"a\0b\r\n"),
            letter("nul", body=b"a\0b\r\n"),
            letter("nul", body=b"a\x80b\r\n"),
            Letter(b"From: bob@example.org\r\nSubject: gr\xfc\xdfe\r\n\r\nhello\r\n"),
            letter("r", body=b"two\r\r\nlines\r\n"),
        ),
        rewrite=like_all,
    ),
}


@dataclass
class World:
    """One scenario, played from one kind of source to one kind of server. What it makes is made anew for each life:
    the directory is the test's, and what is in it is removed."""

    scenario: Scenario
    source: str
    server: str
    place: Path
    rules: Rules = field(init=False)
    outside: Outside = field(init=False)

    def __post_init__(self) -> None:
        self.mbox = self.place / "mail.mbox"
        self.quarantine = self.place / "quarantine"
        self.rules = (
            toml.parse(self.scenario.rules, "rules.toml") if self.scenario.rules else toml.default("INBOX")
        )
        self.begin()

    def begin(self) -> None:
        """As if nothing had been."""
        scenario = self.scenario
        shutil.rmtree(self.quarantine, ignore_errors=True)
        account = ImapAccount(capabilities=SERVERS[self.server])
        if "UIDPLUS" not in account.capabilities:
            account.appenduid = lambda uidvalidity, uids: ""
        if scenario.refuses:
            account.verdict = lambda messages: (
                b"{tag} NO not this one\r\n" if any(scenario.refuses in one for one in messages) else None
            )
        maildrop = Maildrop()
        if not scenario.uidl:
            maildrop.answers["UIDL"] = b"-ERR what?\r\n"
        self.outside = Outside(account, maildrop, scenario.rewrite, scenario.strangers)
        self.hold(scenario.letters)

    def grow(self) -> None:
        """New mail has come to the source."""
        self.hold(self.scenario.letters + self.scenario.grown)

    def hold(self, letters: tuple[Letter, ...]) -> None:
        """The source holds these now."""
        if self.source != "mbox":
            self.outside.maildrop.mail = [one.octets for one in letters]
        if self.source == "home":
            self.outside.maildrop.uids = [_uidl(number) for number in range(1, len(letters) + 1)]
        if self.source == "pop3":
            return
        at_home = letters if self.source == "mbox" else letters[: _at_home(len(letters))]
        with self.mbox.open("wb") as file:
            for number, one in enumerate(at_home, 1):
                head, _, body = one.octets.partition(b"\r\n\r\n")
                file.write(b"From bob@example.org Mon May  4 10:00:00 2020\n")
                if self.source == "home" and number % 2:  # the others are known by their octets alone
                    own = f"X-Account-Key: account1\nX-UIDL: {_uidl(number)}\nX-Mozilla-Status: 0001\n"
                    file.write(own.encode())
                file.write(head.replace(b"\r\n", b"\n") + b"\n")
                file.write(one.status + b"\n" + body.replace(b"\r\n", b"\n") + b"\n")

    @property
    def listed(self) -> int:
        """How many messages all sources list in the end."""
        every = len(self.scenario.letters + self.scenario.grown)
        return every + (_at_home(every) if self.source == "home" else 0)

    def job(self, state: Path) -> Job:
        sources: list[Source] = []
        if self.source == "mbox":
            sources.append(MboxSource(self.mbox))
        if self.source == "home":
            sources.append(TreeSource("thunderbird:home", "thunderbird", lambda: Found([self._kept()])))
        if self.source != "mbox":
            sources.append(Pop3Source(_address(POP3), "alice", Secret("secret")))
        target = ImapTarget(_address(IMAP), "alice", Secret("secret"))
        options = Options(
            state_dir=state,
            mark=Mark("unseen"),
            assume_empty=self.scenario.assume_empty,
            connections=self.scenario.connections,
            unordered=self.scenario.unordered,
            repair=self.scenario.repair,
            quarantine=self.quarantine if self.scenario.repair else None,
        )
        return Job(tuple(sources), target, self.rules, options)

    def _kept(self) -> Part:
        """The one folder of the mail program at home."""
        maildrops = {"account1": "alice@localhost"}
        return Part("kept", "Kept", lambda: MboxSource(self.mbox, maildrops=maildrops))


def _uidl(number: int) -> str:
    return f"{number:08x}5f3c9d01"


def _at_home(letters: int) -> int:
    """How many of so many messages the mail program at home has."""
    return letters * 2 // 3


def _address(port: int) -> net.Server:
    return net.Server("localhost", port, net.Transport.CLEAR)
