"""Writes exports as Google Takeout does: one mbox, or one for each label, of any size."""

from __future__ import annotations

import random
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

OWN = {
    "en": ("Inbox", "Sent", "Archived", "Unread", "Opened", "Starred", "Important", "Trash", "Spam"),
    "de": ("Posteingang", "Gesendet", "Archiviert", "Ungelesen", "Geöffnet", "Markiert", "Wichtig", "Papierkorb",
           "Spam"),
    "fr": ("Boîte de réception", "Messages envoyés", "Messages archivés", "Non lus", "Ouvert", "Favoris", "Important",
           "Corbeille", "Spam"),
}  # fmt: skip
"""Gmail's labels by language."""

USERS = ("Work", "Work/Clients", 'Say "hi"', "Family, friends", "Überblick", "家族/写真", "2019")


@dataclass(frozen=True, slots=True)
class Exported:
    """One message: ``octets`` (CRLF) without what Takeout adds; ``labels`` as Gmail calls them."""

    number: int
    octets: bytes
    labels: tuple[str, ...]


def messages(octets: int, *, labels: int = 7, language: str = "en", seed: int = 1) -> Iterator[Exported]:
    """Messages of together at least ``octets``, with some of ``labels`` user labels; the same for the same arguments,
    one at a time."""
    chance = random.Random(seed)
    inbox, sent, archived, unread, opened, starred, important, trash, spam = OWN[language]
    users = [USERS[nth] if nth < len(USERS) else f"Label {nth}" for nth in range(labels)]
    number = done = 0
    while done < octets:
        number += 1
        place = chance.choices((inbox, sent, archived, trash, spam), (50, 20, 20, 5, 5))[0]
        its = [
            place,
            *chance.sample(users, min(len(users), chance.choices((0, 1, 2, 3), (50, 30, 15, 5))[0])),
        ]
        its += [one for one, part in ((important, 0.3), (starred, 0.1)) if chance.random() < part]
        its.append(unread if chance.random() < 0.2 else opened)
        chance.shuffle(its)
        text = _message(chance, number)
        done += len(text)
        yield Exported(number, text, tuple(its))


def _message(chance: random.Random, number: int) -> bytes:
    head = (
        f"Delivered-To: alice@example.com\r\nReceived: by 2002:a05:0:0:0:0:0:{number:x} with SMTP id x{number}\r\n"
        f"From: bob{number % 97}@example.org\r\nTo: alice@example.com\r\nSubject: number {number}\r\n"
        f"Message-ID: <{number}@example.org>\r\nDate: Thu, 29 Nov 2018 19:33:09 +0000\r\n\r\n"
    )
    line = b"All work and no play, %d times.\r\n" % number
    return head.encode() + b"From here on:\r\n" + line * chance.randint(1, 100)


def header_value(labels: Sequence[str]) -> str:
    """CSV; where it is not ASCII, in encoded words as a whole, which may part a character. Folded."""
    text = ",".join('"' + one.replace('"', '""') + '"' if set(one) & set(',"') else one for one in labels)
    if text.isascii():
        return text
    octets = text.encode()
    words = [octets[at : at + 40] for at in range(0, len(octets), 40)]
    return "\r\n ".join(f"=?UTF-8?B?{b64encode(word).decode()}?=" for word in words)


def as_takeout(exported: Exported) -> bytes:
    """The message as it stands in an mbox of the export."""
    body = exported.octets
    lines = body.split(b"\r\n")
    quoted = b"\r\n".join(b">" + line if line.lstrip(b">").startswith(b"From ") else line for line in lines)
    return (
        b"From %d@xxx Thu Nov 29 19:33:09 +0000 2018\r\n" % (1_600_000_000_000 + exported.number)
        + b"X-GM-THRID: %d\r\n" % (1_600_000_000_000 + exported.number // 3)
        + f"X-Gmail-Labels: {header_value(exported.labels)}\r\n".encode()
        + quoted
        + b"\r\n"
    )


def by_label(exported: Sequence[Exported]) -> dict[str, bytes]:
    """The files of an export by labels: each message is in one for each of its labels."""
    files: dict[str, bytes] = {}
    for one in exported:
        for label in one.labels:
            name = label.replace("/", "-").replace('"', "_")
            files[name] = files.get(name, b"") + as_takeout(one)
    return files
