"""The letters of the test data: what stands in the maildrops before Thunderbird fetches it.

They look like the mail of twenty years, and have what goes wrong in such mail. Nobody in them exists. Lines end with
LF here unless a letter is about just that.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

__all__ = ["Letter", "later", "of_alice", "of_bob"]

_PICTURE = base64.b64encode(
    base64.b64decode(
        b"iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    )
)


@dataclass(frozen=True)
class Letter:
    """One message. ``name`` is a word for it, ``octets`` are as the server keeps them."""

    name: str
    octets: bytes


def _letter(
    name: str,
    date: str,
    subject: str,
    body: str | bytes,
    *more: str,
    sender: str = "Carol Beispiel <carol@example.net>",
    identifier: str | None = "",
    charset: str = "utf-8",
) -> Letter:
    """Fields in the order in which servers and senders write them; ``more`` are further ones."""
    identifier = f"<{name}@example.net>" if identifier == "" else identifier
    fields = [
        "Return-Path: <carol@example.net>",
        f"Received: from mx.example.net (mx.example.net [192.0.2.7])\n\tby mail.example.org; {date}",
        f"From: {sender}",
        "To: Alice Muster <alice@example.org>",
        f"Subject: {subject}",
        f"Date: {date}",
        *([f"Message-ID: {identifier}"] if identifier else []),
        "MIME-Version: 1.0",
        *more,
    ]
    if not any(field.startswith("Content-Type:") for field in more):
        fields += [f"Content-Type: text/plain; charset={charset}", "Content-Transfer-Encoding: 8bit"]
    octets = body if isinstance(body, bytes) else body.encode(charset)
    return Letter(name, "".join(f"{field}\n" for field in fields).encode() + b"\n" + octets)


def _mixed(text: str, kind: str, name: str, content: bytes) -> tuple[str, str]:
    """The Content-Type field and the body of a letter with one attachment."""
    body = (
        f"--=_part\nContent-Type: text/plain; charset=utf-8\n\n{text}\n"
        f'--=_part\nContent-Type: {kind}; name="{name}"\nContent-Transfer-Encoding: base64\n'
        f'Content-Disposition: attachment; filename="{name}"\n\n{content.decode()}\n--=_part--\n'
    )
    return 'Content-Type: multipart/mixed; boundary="=_part"', body


def of_alice() -> list[Letter]:
    """What is there when Alice fetches for the first time."""
    return [
        *_plain(),
        *_threads(),
        *_identifiers(),
        *_odd_octets(),
        *_for_folders(),
        _large("large", "A long report"),
        _large("huge", "A longer report"),
    ]


def _plain() -> list[Letter]:
    kind, body = _mixed("The picture.", "image/png", "dot.png", _PICTURE)
    return [
        _letter(
            "oldest",
            "Thu, 4 Mar 2004 09:15:00 +0100",
            "Welcome to your mailbox",
            "Hello Alice,\n\nwelcome.\n",
        ),
        _letter(
            "html",
            "Mon, 11 Jul 2005 18:02:33 +0200",
            "Summer sale",
            "<html><body><h1>Sale</h1><p>Only this <b>week</b>.</p></body></html>\n",
            "Content-Type: text/html; charset=utf-8",
            sender="The Shop <news@shop.example>",
        ),
        _letter(
            "latin1",
            "Wed, 25 Oct 2006 07:00:00 +0200",
            "=?iso-8859-1?Q?Gr=FC=DFe_aus_K=F6ln?=",
            "Viele Grüße aus Köln, schöne Tage\n",
            charset="iso-8859-1",
            sender="=?iso-8859-1?Q?J=FCrgen_M=FCster?= <juergen@example.net>",
        ),
        _letter(
            "raw8bit", "Sat, 1 Mar 2008 12:00:00 +0000", "Rohe Umlaute: Bücher", "Ein Betreff ohne MIME.\n"
        ),
        _letter("attached", "Tue, 12 May 2009 20:21:22 +0200", "A picture", body, kind),
        _letter(
            "japanese",
            "Fri, 15 Jan 2010 23:59:59 +0900",
            "=?UTF-8?B?6KuL5rGC5pu444Gu5Lu2?=",
            "請求書をお送りします。\n",
            sender="=?UTF-8?B?5L2Q6Jek?= <sato@example.com>",
        ),
        _letter("no-date-zone", "Sun, 7 Aug 2011 10:11:12 -0000", "Nobody knows where", "Zone unknown.\n"),
    ]


def _threads() -> list[Letter]:
    first, second = "<garden@example.net>", "<garden-1@example.net>"
    return [
        _letter("garden", "Mon, 2 Apr 2012 10:00:00 +0200", "The garden", "Shall we plant beans?\n"),
        _letter(
            "garden-1",
            "Mon, 2 Apr 2012 11:30:00 +0200",
            "Re: The garden",
            "> Shall we plant beans?\nYes.\n",
            f"In-Reply-To: {first}",
            f"References: {first}",
            sender="Dora Muster <dora@example.org>",
        ),
        _letter(
            "garden-2",
            "Tue, 3 Apr 2012 08:00:00 +0200",
            "Re: The garden",
            "When?\n",
            f"In-Reply-To: {second}",
            f"References: {first}\n {second}",
        ),
        _letter(
            "garden-3",
            "Wed, 4 Apr 2012 08:00:00 +0200",
            "AW: The garden",
            "Am Samstag.\n",
            f"In-Reply-To: {second}",
            f"References: {first}\n {second}",
            sender="Dora Muster <dora@example.org>",
        ),
    ]


def _identifiers() -> list[Letter]:
    twin = _letter("twin", "Fri, 6 Sep 2013 06:00:00 +0200", "Twice the same", "Octet for octet.\n")
    same = "<same-id@example.net>"
    return [
        _letter(
            "nameless",
            "Tue, 5 Feb 2013 09:00:00 +0100",
            "Without Message-ID",
            "Nobody named me.\n",
            identifier=None,
        ),
        _letter("same-1", "Wed, 6 Mar 2013 09:00:00 +0100", "Same ID, first body", "One.\n", identifier=same),
        _letter(
            "same-2", "Wed, 6 Mar 2013 09:00:01 +0100", "Same ID, second body", "Two.\n", identifier=same
        ),
        twin,
        Letter("twin-again", twin.octets),
    ]


def _odd_octets() -> list[Letter]:
    from_lines = (
        "From here on\n>From there\n>>From beyond\nFrom - Tue Mar 27 10:00:00 2012\n\nFrom me\n.\n..dots\n"
    )
    return [
        _letter("from-lines", "Mon, 3 Mar 2014 14:00:00 +0100", "Lines with From", from_lines),
        _letter(
            "line-ends",
            "Tue, 4 Mar 2014 14:00:00 +0100",
            "Mixed line ends",
            b"one\r\ntwo\nthree\r\nfour\rstill four\n",
        ),
        _letter(
            "sender-lines",
            "Wed, 5 Mar 2014 14:00:00 +0100",
            "Somebody else's book-keeping",
            "Exported once.\n",
            "X-UIDL: 0123456789abcdef",
            "Status: RO",
            "X-Status: A",
            "X-Mozilla-Status: 0009",
            "X-Mozilla-Status2: 00000000",
            "X-Mozilla-Keys: $label1 foreign",
            "X-Account-Key: account7",
        ),
        _letter("no-end", "Thu, 6 Mar 2014 14:00:00 +0100", "No final newline", "It ends here"),
        _letter("empty", "Fri, 7 Mar 2014 14:00:00 +0100", "An empty body", ""),
        _letter(
            "blank-end", "Sat, 8 Mar 2014 14:00:00 +0100", "Three empty lines at the end", "Text\n\n\n\n"
        ),
        Letter("bare-header", b"From: Carol Beispiel <carol@example.net>\nSubject: Header only, no Date\n\n"),
    ]


def _for_folders() -> list[Letter]:
    kind, body = _mixed("Invoice attached.", "text/plain", "Rechnung.txt", base64.b64encode(b"42,00 EUR\n"))
    return [
        _letter(
            "bank-1",
            "Mon, 5 Jan 2015 08:00:00 +0100",
            "Transfer 1",
            "10 EUR\n",
            sender="Bank <info@bank.example>",
        ),
        _letter(
            "bank-2",
            "Fri, 5 Feb 2016 08:00:00 +0100",
            "Transfer 2",
            "20 EUR\n",
            sender="Bank <info@bank.example>",
        ),
        _letter("invoice", "Sat, 4 Mar 2017 08:00:00 +0100", "Invoice 17", body, kind),
        _letter(
            "list-1",
            "Sun, 8 Apr 2018 08:00:00 +0200",
            "[list] First",
            "To the list.\n",
            "List-Id: <list.example.net>",
        ),
        _letter(
            "list-2",
            "Mon, 6 May 2019 08:00:00 +0200",
            "[list] Second",
            "Again.\n",
            "List-Id: <list.example.net>",
        ),
        _letter(
            "junk-1",
            "Tue, 2 Jun 2020 03:00:00 +0000",
            "You have won",
            "Money.\n",
            sender="Luck <luck@junk.example>",
        ),
        _letter(
            "junk-2",
            "Wed, 3 Jun 2020 03:00:00 +0000",
            "You have won again",
            "More.\n",
            sender="Luck <luck@junk.example>",
        ),
        _letter("old-1", "Thu, 15 Jul 2021 12:00:00 +0200", "For the archive, 2021", "Keep me.\n"),
        _letter("old-2", "Fri, 19 Aug 2022 12:00:00 +0200", "For the archive, 2022", "Keep me too.\n"),
        _letter("trash-1", "Sat, 9 Sep 2023 12:00:00 +0200", "For the bin", "In Trash.\n"),
        _letter("trash-2", "Sun, 10 Sep 2023 12:00:00 +0200", "Gone from the bin", "Deleted from Trash.\n"),
        _letter("trash-3", "Mon, 11 Sep 2023 12:00:00 +0200", "Deleted at once", "Never in Trash.\n"),
        _letter("gone", "Tue, 12 Sep 2023 12:00:00 +0200", "Gone from the server", "Only at home.\n"),
        _letter(
            "important",
            "Wed, 10 Jan 2024 09:30:00 +0100",
            "Please read today",
            "Urgent.\n",
            "X-Priority: 1 (Highest)",
            "Importance: high",
        ),
    ]


def _large(name: str, subject: str) -> Letter:
    lines = "".join(
        f"Line {number} of a long report, with some words to fill it up.\n" for number in range(1000)
    )
    return _letter(name, "Thu, 11 Jan 2024 09:30:00 +0100", subject, lines)


def later() -> list[Letter]:
    """What comes to Alice's maildrop after she has fetched for the last time."""
    return [
        _letter("late-1", "Mon, 3 Jun 2024 09:00:00 +0200", "Not fetched yet", "Only on the server.\n"),
        _letter("late-2", "Tue, 4 Jun 2024 09:00:00 +0200", "Not fetched yet either", "The same.\n"),
    ]


def of_bob() -> list[Letter]:
    """What is in the other maildrop, of the account that keeps each message in a file of its own."""
    return [
        _letter("bob-1", "Mon, 1 Feb 2021 10:00:00 +0100", "First of bob", "One.\n"),
        _letter(
            "bob-2", "Tue, 2 Feb 2021 10:00:00 +0100", "Second of bob", "From the start\n>From the rest\n"
        ),
        _letter(
            "bob-3", "Wed, 3 Feb 2021 10:00:00 +0100", "=?utf-8?Q?Dritte_f=C3=BCr_bob?=", "Drei Äpfel.\n"
        ),
        _letter("bob-4", "Thu, 4 Feb 2021 10:00:00 +0100", "Fourth, to be deleted", "Four.\n"),
        _letter("bob-5", "Fri, 5 Feb 2021 10:00:00 +0100", "Fifth, to be moved", "Five.\n"),
        _letter(
            "bob-6",
            "Sat, 6 Feb 2021 10:00:00 +0100",
            "Sixth, with lines of others",
            "Six.\n",
            "X-UIDL: fedcba9876543210",
            "X-Mozilla-Status: 0001",
            "X-Mozilla-Keys: $label2",
        ),
    ]
