"""Mail that nobody wrote: the same octets for the same seed, as messages and as an mbox."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

PEOPLE = 500
"""How many senders there are; message n is from person n modulo this."""

BY_PERSON = f"""version = 1
max-folders = {PEOPLE}

[[rule]]
name = "People"
when = {{ from = "*@example.org" }}
then = {{ folder = "People/{{from}}" }}
"""
"""Rules that make a folder for each of them."""

BY_SUBJECT = """version = 1

[[rule]]
name = "Sevens"
when = { subject = "*number 7*" }
then = { folder = "Sevens" }
"""

FROM = b"From person@example.org Mon May 04 10:00:00 2020\n"
LETTERS = b"abcdefghijklmnopqrstuvwxyz     "


def mixed(chance: random.Random) -> int:
    """Octets of a message as mailboxes have them: 70 % text, 25 % with pictures, 5 % with documents; mean 64 kB."""
    kind = chance.random()
    if kind < 0.70:
        return int(chance.gauss(4_000, 800))
    if kind < 0.95:
        return chance.randint(20_000, 90_000)
    return chance.randint(300_000, 1_500_000)


def small(chance: random.Random) -> int:
    """Octets of a message where the cost of each message is what counts."""
    return int(chance.gauss(4_000, 800))


SHAPES: dict[str, Callable[[random.Random], int]] = {"mixed": mixed, "small": small}


def messages(count: int, shape: str, seed: int = 1) -> Iterator[bytes]:
    """That many messages with LF, each with four Received lines and the headers that people's mail has."""
    chance = random.Random(f"{shape} {seed}")
    size = SHAPES[shape]
    for number in range(count):
        head = b"".join(
            b"Received: from mx%d.example.org (mx%d.example.org [192.0.2.%d])\n\tby mail.example.com (Postfix) with "
            b"ESMTP id 4AbC%d\n\tfor <alice@example.com>; Mon, 04 May 2020 10:%02d:%02d +0000 (UTC)\n"
            % (hop, hop, hop, number, number // 60 % 60, number % 60)
            for hop in range(4)
        )
        head += (
            b"From: Person %d <person%d@example.org>\nTo: Alice <alice@example.com>\nSubject: hello, number %d\n"
            b"Message-ID: <%d.%d@example.org>\nDate: Mon, 04 May 2020 10:00:00 +0000\nMIME-Version: 1.0\n"
            b"Content-Type: text/plain; charset=utf-8\n\n"
            % (number % PEOPLE, number % PEOPLE, number, number, seed)
        )
        line = bytes(chance.choices(LETTERS, k=70)) + b"\n"
        yield head + line * max(1, (size(chance) - len(head)) // len(line))


def write_mbox(path: Path, mail: Iterable[bytes], *, large: int = 0) -> int:
    """The messages as an mbox, and after them one of about ``large`` octets, if any, which is never whole in memory.

    Returns how many octets the messages have on a wire, where lines end with CRLF.
    """
    octets = 0
    with path.open("wb") as file:
        for message in mail:
            file.write(b"%b%b\n" % (FROM, message))
            octets += len(message) + message.count(b"\n")
        if large:
            head = b"From: Person <person@example.org>\nSubject: large\n\n"
            block = (b"A" * 76 + b"\n") * 1000
            file.write(FROM + head)
            for _ in range(large // len(block)):
                file.write(block)
            file.write(b"\n")
            octets += len(head) + 3 + large // len(block) * (len(block) + 1000)
    return octets
