"""The sample mail of the demo, and what the rules of the demo should make of each message.

Two years of an invented Alice: a POP3 maildrop (which knows neither folders nor what was read) and an mbox file
of a mail program (which knows flags). Each sample stands for one sort of mail that migrations stumble over.
"""

from __future__ import annotations

from base64 import encodebytes
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from re import MULTILINE
from re import compile as pattern

from pop2imap.model import ANSWERED, FLAGGED, SEEN

RULES = """\
version = 1
default-folder = "INBOX"
me = ["alice@example.com"]        # what Alice wrote goes to the server's Sent folder, whatever its name

[[rule]]
name = "Spam"
when = { header."X-Spam-Flag" = "yes" }
then = { skip = "the old provider marked it as spam" }

[[rule]]
name = "Urgent"
when = { header."X-Priority" = "1*" }
then = { flagged = true, continue = true }

[[rule]]
name = "Client ACME"
when = { any = [ { from = "*@acme.example" }, { recipient = "*@acme.example" } ] }
then = { folder = "Clients/ACME" }

[[rule]]
name = "Lists"
when = { list-id = "*.lists.example.org" }
then = { folder = "Lists/{list-id}", add-flags = ["$List"], mark = "seen" }

[[rule]]
name = "Müller"
when = { from = { domain = "mueller.example" } }
then = { folder = "Haushalt/Müller & Söhne" }

[[rule]]
name = "Old"
when = { before = 2016-01-01 }
then = { folder = "Archive/{date:%Y}" }
"""

SENT = "\\Sent"
_ALICE = "Alice <alice@example.com>"
_FROM_LINE = pattern(rb"^(>*From )", MULTILINE)


@dataclass(frozen=True, slots=True)
class Sample:
    """One message: its octets (CRLF) as a server has them, and what should become of it in the target.

    ``folder`` is as people write it, with ``\\Sent`` for the server's Sent folder; empty: it should not arrive.
    ``status`` are the lines that a mail program adds inside an mbox. ``damaged``: the POP3 server lists it and
    cannot give it.
    """

    name: str
    octets: bytes
    date: datetime
    subject: str
    folder: str
    flags: frozenset[str] = frozenset()
    status: tuple[str, ...] = ()
    damaged: bool = False

    @property
    def arrives(self) -> bool:
        return bool(self.folder)


def _compose(headers: Iterable[str], body: str, *, charset: str = "utf-8") -> bytes:
    return "\n".join((*headers, "", body, "")).replace("\n", "\r\n").encode(charset)


def _mail(
    sender: str,
    subject: str,
    when: datetime,
    body: str,
    *more: str,
    to: str = _ALICE,
    sent: bool = False,
) -> bytes:
    """An ordinary message: received at ``when`` and written a minute before, or ``sent`` by Alice at ``when``."""
    written = when if sent else when - timedelta(minutes=1)
    trace = f"Received: from mx.example.net by pop.example.com; {format_datetime(when)}"
    return _compose(
        (
            *(() if sent else (trace,)),
            f"From: {sender}",
            f"To: {to}",
            f"Subject: {subject}",
            f"Date: {format_datetime(written)}",
            f"Message-ID: <{int(when.timestamp())}.{len(body)}@{sender.rpartition('@')[2].rstrip('>')}>",
            *more,
        ),
        body,
    )


def maildrop(now: datetime) -> list[Sample]:
    """The POP3 maildrop, in its order. ``now`` is aware, in UTC, in whole seconds: what came in the last 14 days
    counts as unread, since POP3 does not say. A table, so it stays whole."""
    seen = frozenset({SEEN})
    offer, lost = now - timedelta(days=400), now - timedelta(days=250)
    offer_octets = _offer(offer)
    walk, backup = now - timedelta(days=300), now - timedelta(days=120)
    raw, own, spam = now - timedelta(days=90), now - timedelta(days=80), now - timedelta(days=70)
    bill, urgent, hello = now - timedelta(days=30), now - timedelta(days=3), now - timedelta(hours=5)
    old = datetime(2013, 6, 1, 9, 30, tzinfo=UTC)
    twin = _mail("cron@backup.example", "Backup finished", backup, "0 errors, 0 warnings.")
    return [
        Sample(
            "01-old",
            _mail("Erik <erik@example.net>", "Photos of the summer", old, "They are on the server."),
            old,
            "Photos of the summer",
            "Archive/2013",
            seen,
        ),
        Sample("02-offer", offer_octets, offer, "Offer no. 4711", "Clients/ACME", seen),
        Sample(
            "03-list",
            _mail(
                "Ann <ann@example.net>",
                "[hikers] Sunday's walk",
                walk,
                "..from the station at nine.\n.\nA line of a single dot stands above, and this one is long: "
                + "on and " * 800
                + "on.",
                "List-Id: People who walk <hikers.lists.example.org>",
                to="hikers@lists.example.org",
            ),
            walk,
            "[hikers] Sunday's walk",
            "Lists/hikers.lists.example.org",
            seen | {"$List"},
        ),
        Sample(
            "04-damaged",
            _mail("Erik <erik@example.net>", "Nobody will read this", lost, "The disk had a bad block here."),
            lost,
            "Nobody will read this",
            "",
            damaged=True,
        ),
        Sample("05-twin", twin, backup, "Backup finished", "INBOX", seen),
        Sample("06-twin", twin, backup, "Backup finished", "INBOX", seen),
        Sample(
            # No Message-ID, no Date, and a subject in raw Latin-1, as many programs wrote it for years.
            "07-raw",
            _compose(
                (
                    f"Received: from fax.example.net by pop.example.com; {format_datetime(raw)}",
                    "From: fax@example.net",
                    "Subject: Grüße vom Faxgerät",
                ),
                "1 Seite",
                charset="latin-1",
            ),
            raw,
            "Grüße vom Faxgerät",
            "INBOX",
            seen,
        ),
        Sample(
            "08-own",
            _mail(_ALICE, "Re: Offer no. 4711", own, "We take it.", to="berta@acme.example", sent=True),
            own,
            "Re: Offer no. 4711",
            SENT,
            seen,
        ),
        Sample(
            # Spam likes to name the recipient as its sender. It is not own mail.
            "09-spam",
            _mail(_ALICE, "You have won", spam, "Click here.", "X-Spam-Flag: YES"),
            spam,
            "You have won",
            "",
        ),
        Sample("10-bill", _bill(bill), bill, "Rechnung für März", "Haushalt/Müller & Söhne", seen),
        Sample(
            "11-urgent",
            _mail(
                "Berta <berta@acme.example>",
                "Signature needed today",
                urgent,
                "Please.",
                "X-Priority: 1 (Highest)",
            ),
            urgent,
            "Signature needed today",
            "Clients/ACME",
            frozenset({FLAGGED}),
        ),
        Sample(
            "12-hello",
            _mail("Erik <erik@example.net>", "Lunch tomorrow?", hello, "At noon?"),
            hello,
            "Lunch tomorrow?",
            "INBOX",
        ),
    ]


def mbox(now: datetime) -> list[Sample]:
    """The messages of the mbox file, in its order; the last one is in the maildrop too. A table, so it stays
    whole."""
    plan, tagged, quoted = now - timedelta(days=700), now - timedelta(days=650), now - timedelta(days=600)
    draft, sent, unread = now - timedelta(days=550), now - timedelta(days=500), now - timedelta(days=450)
    old, offer = datetime(2011, 2, 3, 18, 0, tzinfo=UTC), now - timedelta(days=400)
    return [
        Sample(
            "old",
            _mail("Erik <erik@example.net>", "Moving house", old, "New address below."),
            old,
            "Moving house",
            "Archive/2011",
            frozenset({SEEN, ANSWERED}),
            ("Status: RO", "X-Status: A"),
        ),
        Sample(
            "plan",
            _mail("Berta <berta@acme.example>", "Project plan", plan, "Version 1."),
            plan,
            "Project plan",
            "Clients/ACME",
            frozenset({SEEN, FLAGGED}),
            ("X-Mozilla-Status: 0005", "X-Mozilla-Status2: 00000000"),
        ),
        Sample(
            "tagged",
            _mail("Ann <ann@example.net>", "Tax papers", tagged, "Keep them."),
            tagged,
            "Tax papers",
            "INBOX",
            frozenset({SEEN, "$label1", "taxes"}),
            ("X-Mozilla-Status: 0001", "X-Mozilla-Status2: 00000000", "X-Mozilla-Keys: $label1 taxes"),
        ),
        Sample(
            "quoted",
            _mail(
                "Ann <ann@example.net>",
                "A poem",
                quoted,
                "It begins:\n\nFrom here to there\n>From there to here",
            ),
            quoted,
            "A poem",
            "INBOX",
            frozenset({SEEN}),
            ("Status: RO",),
        ),
        Sample(
            "deleted",
            _mail(
                "Erik <erik@example.net>", "Old joke", draft, "Deleted in the mail program, never compacted."
            ),
            draft,
            "Old joke",
            "",
            status=("X-Mozilla-Status: 0009", "X-Mozilla-Status2: 00000000"),
        ),
        Sample(
            "sent",
            _mail(_ALICE, "Tax papers, signed", sent, "Here.", to="ann@example.net", sent=True),
            sent,
            "Tax papers, signed",
            SENT,
            frozenset({SEEN}),
            ("Status: RO",),
        ),
        Sample(
            "unread",
            _mail(
                "Ann <ann@example.net>", "Never opened", unread, "Unread for a long time, and that is kept."
            ),
            unread,
            "Never opened",
            "INBOX",
            frozenset(),
            ("Status: O",),
        ),
        Sample("offer", _offer(offer), offer, "Offer no. 4711", "", status=("Status: RO",)),
    ]


def _offer(when: datetime) -> bytes:
    return _mail("Berta <berta@acme.example>", "Offer no. 4711", when, "Two for the price of three.")


def _bill(when: datetime) -> bytes:
    """A message with an attachment and every word of its header encoded."""
    picture = encodebytes(bytes(range(256)) * 48).decode().rstrip().split("\n")
    return _mail(
        "=?utf-8?Q?M=C3=BCller_=26_S=C3=B6hne?= <rechnung@mueller.example>",
        "=?utf-8?Q?Rechnung_f=C3=BCr_M=C3=A4rz?=",
        when,
        "\n".join(
            (
                "--frontier",
                "Content-Type: text/plain; charset=utf-8",
                "Content-Transfer-Encoding: 8bit",
                "",
                "Anbei die Rechnung. Schöne Grüße!",
                "--frontier",
                "Content-Type: application/pdf",
                "Content-Disposition: attachment; filename*=utf-8''Rechnung%20M%C3%A4rz.pdf",
                "Content-Transfer-Encoding: base64",
                "",
                *picture,
                "--frontier--",
            )
        ),
        "MIME-Version: 1.0",
        'Content-Type: multipart/mixed; boundary="frontier"',
    )


def write_maildrop(samples: Sequence[Sample], folder: Path) -> None:
    """One file a message, as :mod:`pop2imap.demo.pop3_server` serves them. ``folder`` must not exist yet."""
    folder.mkdir()
    for sample in samples:
        suffix = "damaged" if sample.damaged else "eml"
        (folder / f"{sample.name}.{suffix}").write_bytes(sample.octets)


def write_mbox(samples: Sequence[Sample], file: Path) -> None:
    """An mboxrd file: lines end in LF, ``From `` lines of a body are quoted. Mozilla's status lines come first in
    the header, as Thunderbird writes them; the others close it, as Unix mail programs do."""
    with file.open("xb") as out:
        for sample in samples:
            head, _, body = sample.octets.replace(b"\r\n", b"\n").partition(b"\n\n")
            lines = [f"{line}\n".encode("ascii") for line in sample.status]
            first = b"".join(line for line in lines if line.startswith(b"X-Mozilla-"))
            last = b"".join(line for line in lines if not line.startswith(b"X-Mozilla-"))
            out.write(f"From mailer@example.net {sample.date:%a %b %e %H:%M:%S %Y}\n".encode("ascii"))
            out.write(first + head + b"\n" + last + b"\n" + _FROM_LINE.sub(rb">\1", body) + b"\n")
