"""Puts samples where a source finds them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from os import utime
from pathlib import Path

from pop2imap.model import ANSWERED, DRAFT, FLAGGED, SEEN
from tests.corpus.sample import Sample

UNDATED = datetime(1998, 1, 1, tzinfo=UTC)
"""Stands in the From_ line of a message without a date, where the sender ``-`` says that it means nothing."""


def write_mbox(samples: Iterable[Sample], path: Path) -> int:
    """Write an mbox as mboxrd, with the flags in the lines of Thunderbird and of Unix programs by turns. Returns how
    many messages. Lines end in LF, but for messages with a bare LF or CR CR LF, which are kept with CRLF."""
    count = 0
    with path.open("wb") as file:
        for sample in samples:
            count += 1
            file.write(_in_mbox(sample))
    return count


def _in_mbox(sample: Sample) -> bytes:
    octets = sample.over("mbox")
    end = b"\r\n" if re.search(rb"(?<!\r)\n|\r\r\n", octets) else b"\n"
    own, last = _book_keeping(sample)
    message = b"".join(line + b"\r\n" for line in own) + octets
    if last:
        head, empty, body = message.partition(b"\r\n\r\n")
        message = b"\r\n".join([head, *last]) + empty + body
    message = re.sub(rb"(?m)^(>*From )", rb">\1", message)
    if end == b"\n":
        message = message.replace(b"\r\n", b"\n")
    found = re.search(rb"(?m)^From: .*?([^ <]+@[^ >\r]+)", octets)
    named = found is not None and found[1].isascii() and len(found[1]) < 100 and b"\0" not in found[1]
    sender, date = (
        (found[1] if found and named else b"nobody", sample.date) if sample.date else (b"-", UNDATED)
    )
    return b"From %b %b" % (sender, date.strftime("%a %b %e %H:%M:%S %Y").encode()) + end + message + end


def _book_keeping(sample: Sample) -> tuple[list[bytes], list[bytes]]:
    """The lines before and after the header fields."""
    flags = sample.flags
    if flags is None:
        return [], []
    keywords = " ".join(sorted(flag for flag in flags if not flag.startswith("\\"))).encode()
    if DRAFT not in flags and (sample.number % 2 or sample.deleted):
        status = sum(bit for bit, flag in ((1, SEEN), (2, ANSWERED), (4, FLAGGED)) if flag in flags)
        status |= (0x1000 if "$Forwarded" in flags else 0) | (0x8 if sample.deleted else 0)
        keys = keywords.replace(b"$Forwarded", b"").ljust(40)
        return [
            b"X-Mozilla-Status: %04x" % status,
            b"X-Mozilla-Status2: 00000000",
            b"X-Mozilla-Keys: " + keys,
        ], []
    letters = [
        b"A" if ANSWERED in flags else b"",
        b"F" if FLAGGED in flags else b"",
        b"T" if DRAFT in flags else b"",
    ]
    lines = [b"Status: RO" if SEEN in flags else b"Status: O"]
    if any(letters):
        lines.append(b"X-Status: " + b"".join(letters))
    if keywords:
        lines.append(b"X-Keywords: " + keywords)
    return [], lines


def write_maildir(samples: Iterable[Sample], directory: Path) -> int:
    """Write a Maildir that a Dovecot of any user serves over POP3 in the order of ``samples``, deleted ones left
    out. Returns how many messages."""
    for name in ("", "cur", "new", "tmp"):
        (directory / name).mkdir(parents=True, exist_ok=True)
        (directory / name).chmod(0o777)
    count = 0
    for sample in samples:
        if sample.deleted:
            continue
        served = len(sample.over("pop3"))
        name = f"{1_000_000_000 + count}.M{count}P1.corpus,S={len(sample.octets)},W={served}:2,"
        path = directory / "cur" / name
        path.write_bytes(sample.octets)
        path.chmod(0o666)
        moment = (sample.date or UNDATED).timestamp()
        utime(path, (moment, moment))
        count += 1
    return count
