"""What the real servers of the tests do to mail and to names, in one place.

``docs/quirks.md`` tells people the same; ``tests/system/test_servers.py`` holds both to what the servers really do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from email import message_from_bytes

from pop2imap.octets import from_bytes

EMPTY = "the message is empty: no IMAP server takes that"
"""Why such a message is refused everywhere: it is our doing. Dovecot and Cyrus say no, Courier would store CRLF."""


def words_of(reason: str) -> str:
    """A server's words in the reason of a report: those it said to the message as it is."""
    return reason.removeprefix("the server refused it: ").partition("; and changed it was refused, too")[0]


def dovecot_keeps(octets: bytes) -> bytes:
    """QUIRK(Dovecot): what APPEND makes of octets that are not lines ended by CRLF, in a Maildir and in an mdbox."""
    octets = octets.replace(b"\0", b"\x80").removesuffix(b"\r")
    return re.sub(rb"\r\r\n|(?<!\r)\n", b"\r\n", octets)


def dovecot_refuses(octets: bytes) -> str:
    return "" if octets else EMPTY


_END_OF_HEADER = re.compile(rb"(?:\A|\n)\r*\n")


def cyrus_keeps(octets: bytes) -> bytes:
    """QUIRK(Cyrus): 8-bit octets become "X" up to the first empty line, be there CR in it or not; all else stays, bare
    CR and CR CR LF included."""
    found = _END_OF_HEADER.search(octets)
    end = found.end() if found else len(octets)
    return re.sub(rb"[\x80-\xff]", b"X", octets[:end]) + octets[end:]


_CYRUS_READS = 4096  # octets of a line that it looks at


def cyrus_refuses(octets: bytes) -> str:
    """QUIRK(Cyrus): it looks for NUL and bare LF everywhere, then at each line up to one that begins with CR."""
    if not octets:
        return EMPTY
    if b"\0" in octets:
        return "Message contains NUL characters"
    if re.search(rb"(?<!\r)\n", octets):
        return "Message contains bare newlines"
    for line in re.findall(rb"[^\n]*\n|[^\n]+", octets):
        if line.startswith(b"\r"):
            return ""
        name = line[:_CYRUS_READS].partition(b":")[0]
        folded_or_from = line.startswith((b" ", b"\t", b"From "))
        if not line.endswith(b"\n") or not (folded_or_from or (name and min(name) > 0x20)):
            return "Message contains invalid header"
    return ""


def courier_keeps(octets: bytes) -> bytes:
    """QUIRK(Courier): every CR goes, what does not end in LF gets one, and every LF becomes CRLF."""
    ended = octets if octets.endswith(b"\n") else octets + b"\n"
    return ended.replace(b"\r", b"").replace(b"\n", b"\r\n")


SHOWN_IN_PART = "the server would take it and show only a part of it: it has more than 300 parts (Courier)"


def courier_refuses(octets: bytes) -> str:
    """QUIRK(Courier): it takes everything, but of a message with many parts it serves the first 300. As with empty
    messages, it is our doing that they are not sent."""
    if not octets:
        return EMPTY
    return SHOWN_IN_PART if courier_parts(octets) > COURIER_PARTS else ""


COURIER_PARTS = 300


def courier_parts(octets: bytes) -> int:
    """Parts, messages within messages, and for each multipart what stands before its parts; 0 if they are few."""
    octets = courier_keeps(octets)
    many = max(octets.count(b"\n--"), octets.count(b"message/rfc822")) >= 100
    if not many or b"MIME-Version: 1.0" not in octets:
        return 0
    entities = list(message_from_bytes(octets).walk())
    return len(entities) - 1 + sum(entity.get_content_maintype() == "multipart" for entity in entities)


def dovecot_takes(keywords: Collection[str]) -> bool:
    return all(len(keyword) <= 50 for keyword in keywords)


def cyrus_takes(keywords: Collection[str]) -> bool:
    """QUIRK(Cyrus): a mailbox has a hundred keywords at most, and there are others already."""
    return len(keywords) < 100


def courier_takes(keywords: Collection[str]) -> bool:
    return not any(re.search(r"[]\[}~]", word) or word.isdigit() or word == "NIL" for word in keywords)


@dataclass(frozen=True)
class Setup:
    """A server in one of its settings.

    ``keeps`` gives the octets it shows after it took some; ``refuses`` the words why it does not take them, or
    nothing; ``takes`` whether it takes a message with all of these keywords. ``delimiter``, ``prefix``, ``dots``
    (whether a name may hold one) make names of mailboxes.
    """

    kind: str
    keeps: Callable[[bytes], bytes]
    refuses: Callable[[bytes], str]
    takes: Callable[[Collection[str]], bool]
    delimiter: str = "/"
    prefix: str = ""
    dots: bool = True
    settings: dict[str, str] = field(default_factory=dict)
    offers: frozenset[str] = frozenset()
    lacks: frozenset[str] = frozenset()

    def flags(self, wanted: frozenset[str]) -> frozenset[str]:
        """Those of a stored message: where its keywords are not taken, it is stored without any."""
        keywords = {flag for flag in wanted if not flag.startswith("\\")}
        return wanted if self.takes(keywords) else wanted - keywords

    def mailbox(self, folder: str) -> str:
        """What a folder of the rules is called there."""
        if folder == "INBOX":
            return folder
        levels = folder.replace("\\Sent", "Sent").split("/")
        if not self.dots:
            levels = [level.replace(".", "_") for level in levels]
        return self.prefix + self.delimiter.join(levels)


_ALL = frozenset({"UIDPLUS", "LITERAL+", "MULTIAPPEND", "SPECIAL-USE", "NAMESPACE"})

SETUPS = {
    "Dovecot": Setup("Dovecot", dovecot_keeps, dovecot_refuses, dovecot_takes, dots=False, offers=_ALL),
    "Dovecot below INBOX": Setup(
        "Dovecot",
        dovecot_keeps,
        dovecot_refuses,
        dovecot_takes,
        delimiter=".",
        prefix="INBOX.",
        dots=False,
        settings={"SEP": ".", "PREFIX": "INBOX."},
        offers=_ALL,
    ),
    "Dovecot with mdbox": Setup(
        "Dovecot", dovecot_keeps, dovecot_refuses, dovecot_takes, settings={"LAYOUT": "mdbox"}, offers=_ALL
    ),
    "Cyrus": Setup(
        "Cyrus",
        cyrus_keeps,
        cyrus_refuses,
        cyrus_takes,
        prefix="INBOX/",
        offers=_ALL | {"APPENDLIMIT=4294967295", "QUOTA"},
    ),
    "Cyrus beside INBOX, with dots": Setup(
        "Cyrus",
        cyrus_keeps,
        cyrus_refuses,
        cyrus_takes,
        delimiter=".",
        dots=False,
        settings={"ALTNS": "yes", "UNIXSEP": "no"},
        offers=_ALL,
    ),
    "Courier": Setup(
        "Courier",
        courier_keeps,
        courier_refuses,
        courier_takes,
        delimiter=".",
        prefix="INBOX.",
        dots=False,
        offers=frozenset({"UIDPLUS", "NAMESPACE", "QUOTA"}),
        lacks=frozenset({"MULTIAPPEND", "LITERAL+", "LITERAL-", "SPECIAL-USE", "UNSELECT"}),
    ),
}


def match_digest(octets: bytes) -> bytes:
    """The match digest of a message."""
    return from_bytes(octets).match_digest
