"""Writes samples: ordinary mail, of which each kind changes one thing."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from email.header import Header

from pop2imap.model import ANSWERED, DRAFT, FLAGGED, SEEN, DateFrom
from tests.corpus.sample import ME, Sample


def corpus(count: int, seed: int = 1, *, mean_size: int = 64_000) -> Iterator[Sample]:
    """``count`` samples; from 100 on every kind is among them. ``mean_size`` in octets; below some 8,000 the kinds
    that need room make it larger."""
    chance = random.Random(seed)
    kinds = _kinds(count, chance)
    sizes = _sizes(kinds, chance, mean_size)
    originals: list[Sample] = []
    for number, (kind, size) in enumerate(zip(kinds, sizes, strict=True)):
        if kind in _TWINS and originals:
            sample = replace(chance.choice(originals), number=number, kind=kind)
            if kind == "twin-other-flags":
                sample = replace(sample, flags=frozenset({*(sample.flags or ()), "$twin"} ^ {SEEN}))
        else:
            sample = _Writer(chance, number, size).write(kind)
            if kind in _TWINNED and len(sample.octets) < 40_000:
                originals = [*originals[-19:], sample]
        yield sample


_TWINS = ("twin", "twin-other-flags")
_TWINNED = ("plain", "html", "no-message-id")
_USUAL = ("plain",) * 6 + ("html",) * 3 + ("attachment",) * 3


def _kinds(count: int, chance: random.Random) -> list[str]:
    """A third is usual mail; the awkward kinds take turns; the order is mixed."""
    awkward = [kind for kind in KINDS if kind not in _USUAL]
    kinds = ["plain", "html"][:count]
    rest = count - len(kinds)
    some = [awkward[at % len(awkward)] for at in range(rest * 2 // 3)]
    some += [chance.choice(_USUAL) for _ in range(rest - len(some))]
    chance.shuffle(some)
    return kinds + some


def _sizes(kinds: list[str], chance: random.Random, mean: int) -> list[int]:
    """A size for each kind that has one of its own choice; together they make up for the others."""
    sizes: list[float] = []
    for at, kind in enumerate(kinds):
        share = (at * 61 + 17) % 100
        if kind in _TWINS or kind == "empty-body":
            sizes.append(0)
        elif share < 70:
            sizes.append(chance.uniform(1_500, 6_500))
        elif share < 95:
            sizes.append(chance.uniform(20_000, 90_000))
        else:
            sizes.append(chance.uniform(300_000, 1_500_000))
    scale = mean * len(kinds) / (sum(sizes) or 1)
    return [int(size * scale) for size in sizes]


# -- one message

_WORDS = (
    *(
        "the",
        "meeting",
        "of",
        "Tuesday",
        "was",
        "moved",
        "to",
        "next",
        "week",
        "because",
        "nobody",
        "could",
        "come",
    ),
    *(
        "please",
        "find",
        "attached",
        "an",
        "offer",
        "for",
        "twelve",
        "chairs",
        "and",
        "one",
        "table",
        "Regards",
    ),
)
_NAMES = ("Bob", "Carol", "Dave", "Erin", "Frank", "Grace", "Heidi", "Ivan", "Judy", "Mallory")
_LISTS = ("devel", "users", "announce")
_EARLIEST, _OLD, _LATEST = (datetime(year, 1, 1, tzinfo=UTC) for year in (1998, 2015, 2025))


class _Writer:
    """Writes one sample. The parts that a kind does not change are those of ordinary mail."""

    def __init__(self, chance: random.Random, number: int, size: int) -> None:
        self.chance = chance
        self.number = number
        self.size = size
        self.kind = "plain"
        self.date: datetime | None = None
        self.date_from = DateFrom.RECEIVED
        self.sender = f"{chance.choice(_NAMES).lower()}{number}@example.org"
        self.to = ME
        self.head: list[bytes] = []
        self.subject = f"Subject: {self._words(4)} {number}".encode()
        self.message_id = f"Message-ID: <{number}.{chance.randrange(10**9)}@example.org>".encode()
        self.content = b"Content-Type: text/plain; charset=utf-8"
        self.body = b""
        self.deleted = False
        self.octets_last: Callable[[bytes], bytes] = lambda octets: octets

    def write(self, kind: str) -> Sample:
        self.kind = kind
        role = self._role(kind)
        self.date = self._moment(role)
        written = self.date
        sent = self.date - timedelta(seconds=self.chance.randrange(1, 90))
        fields = [self._received(self.date), self._received(sent)]
        dated = [b"Date: " + _rfc5322(sent, self.chance.choice((-8, 0, 1, 5)))]
        folder, rule, add_flags, mark_seen = self._place(role)
        KINDS[kind](self)
        match kind:
            case "no-received" | "own-sent":
                fields = []
                written, self.date_from = sent, DateFrom.DATE
            case "odd-date":
                fields, dated = [], [b"Date: " + sent.strftime("%a %b %e %H:%M:%S %Y").encode()]
                written, self.date_from = sent, DateFrom.DATE
            case "no-date":
                fields, dated = [], []
                self.date_from = DateFrom.NEIGHBOUR
            case "future-date":
                dated = [b"Date: Thu, 01 Jan 2071 00:00:00 +0000"]
            case "old-date":
                dated = [b"Date: Mon, 05 Jan 1903 09:00:00 +0100"]
        head = [
            *fields,
            f"From: {self.sender}".encode(),
            f"To: {self.to}".encode(),
            self.subject,
            *dated,
            self.message_id,
            b"MIME-Version: 1.0",
            self.content,
            *self.head,
        ]
        head_octets = b"\r\n".join(filter(None, head)) + b"\r\n\r\n"
        if not self.body and kind != "empty-body":
            self.body = self._text(self.size - len(head_octets))
        return Sample(
            self.number,
            kind,
            self.octets_last(head_octets + self.body),
            self._flags(),
            None if kind == "no-date" else written,
            self.date_from,
            folder,
            rule,
            add_flags,
            mark_seen,
            self.deleted,
        )

    # -- where it goes

    def _role(self, kind: str) -> str:
        if kind.startswith("own-"):
            return kind
        if kind == "no-date":
            return "client"  # goes where it goes whatever its date
        return self.chance.choice(
            ("default",) * 8 + ("old",) * 4 + ("list",) * 4 + ("client", "client-cc", "verein") * 2
        )

    def _moment(self, role: str) -> datetime:
        """Any second from 1998 to 2024, but those around midnight: what was sent is received in the same year."""
        start, end = _EARLIEST, _LATEST
        if role == "old":
            end = _OLD
        elif role == "default" or role.startswith("own-"):
            start = _OLD
        day = start + timedelta(days=self.chance.randrange((end - start).days))
        return day + timedelta(seconds=self.chance.randrange(600, 86_400))

    def _place(self, role: str) -> tuple[str, str, frozenset[str], bool]:
        """Folder, rule, flags it adds, whether it marks as seen; makes the header match."""
        assert self.date is not None
        match role:
            case "own-sent" | "own-received":  # mine, to somebody else
                self.sender, self.to = f"Alice Example <{ME}>", "bob@example.org"
                return "\\Sent", "own mail", frozenset(), True
            case "own-note" | "own-forged":  # from me to me over the wire: a note, or spam
                self.sender = f'"Alice" <{ME.upper()}>'
                return "INBOX", "", frozenset(), False
            case "client":
                self.sender = f"ACME Sales <sales{self.number}@ACME.example>"
                return "Clients/ACME", "Client ACME", frozenset(), False
            case "client-cc":
                self.head.append(b"Cc: bob@example.org,\r\n\tACME Support <support@acme.example>")
                return "Clients/ACME", "Client ACME", frozenset(), False
            case "verein":
                self.head.append(b"List-Id: =?utf-8?q?Verein_=C3=9Cberblick?= <ueberblick.verein.example>")
                return "Vereine/Überblick", "Verein", frozenset(), False
            case "list":
                name = self.chance.choice(_LISTS)
                self.head.append(f"List-Id: The {name} list\r\n <{name}.lists.example.org>".encode())
                return f"Lists/{name}.lists.example.org", "Lists", frozenset({"$List"}), True
            case "old":
                return f"Archive/{self.date.year}", "Old", frozenset(), False
        return "INBOX", "", frozenset(), False

    def _flags(self) -> frozenset[str] | None:
        if self.deleted:
            return frozenset({SEEN})
        if self.chance.random() < 0.15:
            return None
        flags = set()
        for flag, share in (
            (SEEN, 0.7),
            (ANSWERED, 0.15),
            (FLAGGED, 0.1),
            (DRAFT, 0.01),
            ("$Forwarded", 0.05),
            ("$label1", 0.05),
            ("project-x", 0.03),
        ):
            if self.chance.random() < share:
                flags.add(flag)
        return frozenset(flags)

    # -- pieces

    def _received(self, date: datetime) -> bytes:
        host = f"mx{self.chance.randrange(9)}.example.com"
        by = f"from relay.example.net (relay.example.net [192.0.2.{self.chance.randrange(255)}])\r\n\tby {host}"
        return (
            f"Received: {by} (Postfix) with ESMTPS id {self.chance.randrange(16**8):08X};\r\n\t".encode()
            + (_rfc5322(date, self.chance.choice((-5, 0, 2))))
        )

    def _words(self, count: int) -> str:
        return " ".join(self.chance.choice(_WORDS) for _ in range(count))

    def _text(self, size: int) -> bytes:
        """Lines of words, at least one, some ``size`` octets."""
        lines = [self._words(self.chance.randrange(4, 13)).encode() for _ in range(40)]
        page = b"\r\n".join(lines) + b"\r\n\r\n"
        text = f"Number {self.number}.\r\n\r\n".encode()
        if size <= len(text):
            return text
        text += page * ((size - len(text)) // len(page) + 1)
        return text[:size].rpartition(b"\r\n")[0] + b"\r\n"

    # -- kinds

    def html(self) -> None:
        self.content = b"Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit"
        text = self._text(self.size - 800).replace(b"\r\n\r\n", "<p>Grüße, 再见</p>\r\n".encode())
        self.body = b"<!doctype html>\r\n<html><body>\r\n" + text + b"</body></html>\r\n"

    def attachment(self) -> None:
        edge = f"=_{self.number}_{self.chance.randrange(10**9)}"
        self.content = f'Content-Type: multipart/mixed;\r\n boundary="{edge}"'.encode()
        octets = self.chance.randbytes(max(self.size - 2_000, 600) * 73 // 100)
        name = Header("Angebot für März.pdf", "utf-8").encode()
        self.body = (
            f"This is a message of parts.\r\n--{edge}\r\nContent-Type: text/plain\r\n\r\nSee below.\r\n"
            f'--{edge}\r\nContent-Type: application/pdf; name="{name}"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
        ).encode() + base64.encodebytes(octets).replace(b"\n", b"\r\n")
        self.body += f"--{edge}--\r\n".encode()

    def folded(self) -> None:
        self.subject = b"Subject: a subject\r\n that goes\r\n\ton and on\r\n   for a while"
        self.head.append(b"References: " + b"\r\n ".join(b"<%d@example.org>" % n for n in range(30)))
        self.head.append(b"X-Empty:\r\nX-Spaces:   \r\nx-lower-CASE: yes")

    def rfc2047(self) -> None:
        words = Header("Übergröße & 日本語の件名: ein ziemlich langer Betreff mit Umlauten", "utf-8")
        self.subject = b"Subject: " + words.encode(linesep="\r\n").encode()
        self.head.append(b"X-Broken: =?utf-8?b?w6?= =?nonsense?q?x?= =?iso-8859-1?q?gr=FC=DFe?=")

    def raw_8bit_head(self) -> None:
        self.subject = "Subject: Grüße aus Zürich, unverschlüsselt ".encode("latin-1") + b"\xff\x80"

    def raw_8bit_body(self) -> None:
        self.body = (
            self._text(self.size - 900) + bytes(range(0x80, 0x100)) + "\r\nGrüße\r\n".encode("latin-1")
        )

    def nul(self) -> None:
        self.body = self._text(self.size - 900) + b"a NUL:\0, two:\0\0, at the end\0\r\n"

    def bare_lf(self) -> None:
        self.body = b"one\ntwo\n\nthree\r\n\n.\nfour\r\n" + self._text(self.size - 900)

    def bare_cr(self) -> None:
        self.body = b"one\rtwo\r\rthree\r\n\r.\r\n" + self._text(self.size - 900)

    def cr_cr_lf(self) -> None:
        self.body = b"one\r\r\ntwo\r\r\r\n" + self._text(self.size - 900)

    def long_line(self) -> None:
        self.body = b"x" * 20_000 + b"\r\n" + self._text(self.size - 21_000)

    def dots(self) -> None:
        self.body = b".\r\n..\r\n.x\r\n...\r\n\r\n.\r\n" + self._text(self.size - 900) + b".\r\n"

    def from_lines(self) -> None:
        self.body = (
            b"From here on:\r\n\r\nFrom there.\r\n>From further\r\n\r\n>>From afar\r\n\r\n"
            b"From carol@example.org Thu Nov 29 19:33:09 2018\r\nSubject: inside\r\n\r\n"
            b"From \r\nStatus: RO\r\nX-Mozilla-Status: 0008\r\n\r\n"
        ) + self._text(self.size - 1_000)

    def status_inside(self) -> None:
        self.head.append(
            b"X-UIDL: 00a7\r\nX-Mozilla-Status: 0008\r\nX-Account-Key: account1\r\nX-Status-Page: up"
        )

    def no_final_line_end(self) -> None:
        self.body = self._text(self.size - 900) + b"the end"

    def no_message_id(self) -> None:
        self.message_id = b""

    def huge_header(self) -> None:
        lines = (f"X-Trace-{number}: {self._words(12)}\r\n\t{self._words(10)}" for number in range(400))
        self.head.append("\r\n".join(lines).encode())

    def thrown_away(self) -> None:
        self.deleted = True

    def as_usual(self) -> None:
        """What makes this kind is in ``write``, or in where it goes."""


KINDS: dict[str, Callable[[_Writer], None]] = {
    "plain": _Writer.as_usual,
    "html": _Writer.html,
    "attachment": _Writer.attachment,
    "twin": _Writer.as_usual,
    "twin-other-flags": _Writer.as_usual,
    "folded": _Writer.folded,
    "rfc2047": _Writer.rfc2047,
    "raw-8bit-head": _Writer.raw_8bit_head,
    "raw-8bit-body": _Writer.raw_8bit_body,
    "nul": _Writer.nul,
    "bare-lf": _Writer.bare_lf,
    "bare-cr": _Writer.bare_cr,
    "cr-cr-lf": _Writer.cr_cr_lf,
    "long-line": _Writer.long_line,
    "dots": _Writer.dots,
    "from-lines": _Writer.from_lines,
    "status-inside": _Writer.status_inside,
    "empty-body": _Writer.as_usual,
    "no-final-line-end": _Writer.no_final_line_end,
    "no-message-id": _Writer.no_message_id,
    "huge-header": _Writer.huge_header,
    "no-received": _Writer.as_usual,
    "odd-date": _Writer.as_usual,
    "no-date": _Writer.as_usual,
    "future-date": _Writer.as_usual,
    "old-date": _Writer.as_usual,
    "own-sent": _Writer.as_usual,
    "own-received": _Writer.as_usual,
    "own-note": _Writer.as_usual,
    "own-forged": _Writer.as_usual,
    "deleted": _Writer.thrown_away,
}


def _rfc5322(date: datetime, hours_east: int) -> bytes:
    local = date.astimezone(timezone(timedelta(hours=hours_east)))
    return local.strftime("%a, %d %b %Y %H:%M:%S %z").encode()
