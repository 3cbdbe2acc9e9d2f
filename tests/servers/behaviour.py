"""What the real servers of the tests do to mail and to names, in one place.

``docs/quirks.md`` tells people the same; ``tests/system/test_servers.py`` holds both to what the servers really do.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field


def dovecot_keeps(octets: bytes) -> bytes:
    """QUIRK(Dovecot): what APPEND makes of octets that are not lines ended by CRLF, in a Maildir and in an mdbox."""
    octets = octets.replace(b"\0", b"\x80").removesuffix(b"\r")
    return re.sub(rb"\r\r\n|(?<!\r)\n", b"\r\n", octets)


def dovecot_refuses(octets: bytes) -> str:
    return "" if octets else "empty"


_CYRUS_FIELD = re.compile(rb"[!-9;-~\x80-\xff]+:")


def cyrus_keeps(octets: bytes) -> bytes:
    """QUIRK(Cyrus): 8-bit octets in the header become "X"; all else stays, bare CR and CR CR LF included."""
    head, empty, body = octets.partition(b"\r\n\r\n")
    return re.sub(rb"[\x80-\xff]", b"X", head) + empty + body


def cyrus_refuses(octets: bytes) -> str:
    """QUIRK(Cyrus): it looks for NUL and bare LF everywhere, then at each line of the header."""
    if not octets:
        return "empty"
    if b"\0" in octets:
        return "NUL characters"
    if re.search(rb"(?<!\r)\n", octets):
        return "bare newlines"
    *lines, last = octets.partition(b"\r\n\r\n")[0].split(b"\r\n")
    if b"\r\n\r\n" in octets:
        lines.append(last)
    elif last:
        return "invalid header"  # it does not even end
    for number, line in enumerate(lines):
        if line and not (
            line[:1] in b" \t" or _CYRUS_FIELD.match(line) or (number == 0 and line.startswith(b"From "))
        ):
            return "invalid header"
    return ""


def courier_keeps(octets: bytes) -> bytes:
    """QUIRK(Courier): every CR goes, every LF becomes CRLF, and so does the end of the last line."""
    octets = octets.replace(b"\r", b"")
    return (octets if octets.endswith(b"\n") else octets + b"\n").replace(b"\n", b"\r\n")


def courier_refuses(octets: bytes) -> str:
    return "" if octets else "empty"  # which is our doing: it would store CRLF


@dataclass(frozen=True)
class Setup:
    """A server in one of its settings.

    ``keeps`` gives the octets it shows after it took some; ``refuses`` the words of the reason why it does not take
    them, or nothing. ``delimiter``, ``prefix``, ``dots`` (whether a name may hold one) make names of mailboxes.
    """

    kind: str
    keeps: Callable[[bytes], bytes]
    refuses: Callable[[bytes], str]
    delimiter: str = "/"
    prefix: str = ""
    dots: bool = True
    settings: dict[str, str] = field(default_factory=dict)
    offers: frozenset[str] = frozenset()
    lacks: frozenset[str] = frozenset()

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
    "Dovecot": Setup("Dovecot", dovecot_keeps, dovecot_refuses, dots=False, offers=_ALL),
    "Dovecot below INBOX": Setup(
        "Dovecot",
        dovecot_keeps,
        dovecot_refuses,
        delimiter=".",
        prefix="INBOX.",
        dots=False,
        settings={"SEP": ".", "PREFIX": "INBOX."},
        offers=_ALL,
    ),
    "Dovecot with mdbox": Setup(
        "Dovecot", dovecot_keeps, dovecot_refuses, settings={"LAYOUT": "mdbox"}, offers=_ALL
    ),
    "Cyrus": Setup(
        "Cyrus",
        cyrus_keeps,
        cyrus_refuses,
        prefix="INBOX/",
        offers=_ALL | {"APPENDLIMIT=4294967295", "QUOTA"},
    ),
    "Cyrus beside INBOX, with dots": Setup(
        "Cyrus",
        cyrus_keeps,
        cyrus_refuses,
        delimiter=".",
        dots=False,
        settings={"ALTNS": "yes", "UNIXSEP": "no"},
        offers=_ALL,
    ),
    "Courier": Setup(
        "Courier",
        courier_keeps,
        courier_refuses,
        delimiter=".",
        prefix="INBOX.",
        dots=False,
        offers=frozenset({"UIDPLUS", "NAMESPACE", "QUOTA"}),
        lacks=frozenset({"MULTIAPPEND", "LITERAL+", "LITERAL-", "SPECIAL-USE", "UNSELECT"}),
    ),
}
