"""Mail that looks like something else: like the protocols that carry it, and like the files that keep it."""

from __future__ import annotations

from collections.abc import Iterator

from pop2imap.model import ANSWERED, DRAFT, FLAGGED, SEEN
from tests.corpus.awkward.making import USUAL, Made, plain

DOTS = {
    "one-dot": b".\r\n",
    "two-dots": b"..\r\n",
    "three-dots": b"...\r\n",
    "a-dot-before-a-word": b".word\r\n",
    "two-dots-before-a-word": b"..word\r\n",
    "a-dot-and-a-space": b". \r\n",
    "a-dot-and-an-answer": b".\r\n+OK 17 octets\r\nSubject: not another\r\n\r\nmessage\r\n.\r\n",
    "a-thousand-dots": b".\r\n" * 1000,
    "a-line-of-a-thousand-dots": b"." * 1000 + b"\r\n",
    "a-dot-at-the-very-end": b"text\r\n.",
    "a-dot-between-empty-lines": b"\r\n.\r\n\r\n.\r\n\r\n",
    "a-dot-between-bare-cr": b"\r.\r\n\r\r\n.\r\r\n",
}

FROM = {
    "from": b"From here on",
    "from-with-a-date": b"From bob@example.org Mon Jan  1 00:00:00 2001",
    "from-and-a-header": b"From bob@example.org Mon Jan  1 00:00:00 2001\r\nX-Mozilla-Status: 0001\r\nA: b\r\n",
    "from-alone": b"From ",
    "from-and-a-hyphen": b"From - Mon Jan 01 00:00:00 2001",
    "from-eudora": b"From ???@??? Mon Jan 01 00:00:00 2001",
    "from-of-git": b"From 0123456789abcdef0123456789abcdef01234567 Mon Sep 17 00:00:00 2001",
    "from-with-a-colon": b"From: bob@example.org",
    "from-without-a-space": b"From\tbob@example.org Mon Jan  1 00:00:00 2001",
}
QUOTES = {"": b"", "quoted": b">", "quoted-twice": b">>", "quoted-five-times": b">" * 5, "cited": b"> "}

COMMANDS = {
    "a-literal": b"a1 APPEND INBOX {10}\r\n0123456789\r\n",
    "a-literal-that-does-not-wait": b"{10+}\r\n{99999999999}\r\n~{5}\r\n",
    "a-logout": b"a1 LOGOUT\r\n* BYE\r\nA0 LOGOUT\r\nA1 LOGOUT\r\n",
    "a-bracket": b")\r\n) \r\n))\r\n",
    "a-done": b"DONE\r\n",
    "a-create": b"z9 CREATE PWNED\r\n",
    "an-expunge": b"A1 UID STORE 1:* +FLAGS (\\Deleted)\r\nA2 EXPUNGE\r\n",
    "a-fetch-answer": b"* 1 FETCH (UID 1 BODY[] {3}\r\nabc)\r\nA1 OK done\r\n",
    "a-go-ahead": b"+ go ahead\r\n+\r\n",
    "an-appenduid": b"A1 OK [APPENDUID 1 1] done\r\n",
    "the-next-message-of-a-multiappend": b' () "01-Jan-2001 00:00:00 +0000" {3}\r\nabc\r\n',
    "a-starttls": b"STLS\r\nSTARTTLS\r\na STARTTLS\r\n",
    "a-pop3-session": b"+OK\r\n.\r\nDELE 1\r\nQUIT\r\n",
    "smtp": b"DATA\r\n\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<x@example.org>\r\n",
}

BOOK_KEEPING = {
    "status-read": b"Status: RO",
    "status-of-nonsense": b"Status: maybe",
    "x-status-deleted": b"X-Status: D",
    "x-status-flagged": b"X-Status: AF",
    "x-keywords": b"X-Keywords: work private",
    "x-uid": b"X-UID: 4711",
    "x-imap": b"X-IMAP: 1234567890 0000000001",
    "x-imapbase": b"X-IMAPbase: 1234567890 1 work",
    "x-uidl": b"X-UIDL: 0000001a4711",
    "x-account-key": b"X-Account-Key: account1",
    "x-mozilla-status-read": b"X-Mozilla-Status: 0001",
    "x-mozilla-status-deleted": b"X-Mozilla-Status: 0008",
    "x-mozilla-status2": b"X-Mozilla-Status2: 00800000",
    "x-mozilla-keys": b"X-Mozilla-Keys: $label1 work",
    "content-length-that-is-exact": b"Content-Length: 6",
    "x-gmail-labels": b"X-Gmail-Labels: Inbox,Unread,=?utf-8?q?Gr=C3=BC=C3=9Fe?=",
}

FLAGS = {
    "all-system-flags": {SEEN, ANSWERED, FLAGGED, DRAFT},
    "no-flag-at-all": set(),
    "usual-keywords": {"$Forwarded", "$MDNSent", "$label1", "Junk", "NonJunk"},
    "keywords-of-signs": {SEEN, "$", "a+b/c", "!#&'-.", "a=b", "x@y", "a^b`"},
    "a-keyword-with-a-tilde": {SEEN, "~a", "work"},
    "a-keyword-that-is-a-number": {FLAGGED, "1"},
    "a-keyword-that-says-nil": {"NIL"},
    "a-keyword-of-50-octets": {"x" * 50},
    "a-keyword-of-51-octets": {ANSWERED, "x" * 51, "work"},
    "a-hundred-keywords": {SEEN, *(f"key{number}" for number in range(100))},
}
"""What mail programs note."""


def messages() -> Iterator[Made]:
    for name, body in DOTS.items():
        yield plain(f"{name}-begins-the-body", body)
        yield plain(f"{name}-within-the-body", b"text\r\n" + body + b"text\r\n")
    for name, line in FROM.items():
        for how, quote in QUOTES.items():
            lines = quote + line + b"\r\n"
            yield plain(
                "-".join(filter(None, (name, how))), b"text\r\n" + lines + b"\r\n" + lines + b"text\r\n"
            )
    yield plain("from-begins-the-body", b"From here on\r\n")
    yield plain("from-ends-the-body", b"text\r\n\r\nFrom ")
    yield plain(
        "from-behind-lines-of-spaces", b"text\r\n \r\nFrom bob@example.org Mon Jan  1 00:00:00 2001\r\n"
    )
    yield plain(
        "a-whole-mbox", b"From a@example.org Mon Jan  1 00:00:00 2001\r\nSubject: a\r\n\r\nbody\r\n\r\n" * 20
    )
    for name, body in COMMANDS.items():
        yield plain(f"{name}-in-the-body", body)
    yield plain("a-literal-for-the-last-line", b"text {10}")
    yield plain("a-literal-in-the-header", b"body\r\n", b"X-Odd: a {10}", b"a1 LOGOUT: b")
    for name, field in BOOK_KEEPING.items():
        yield plain(f"{name}-is-content", b"body1\r\n" if "exact" not in name else b"body\r\n", field)
        yield Made(f"{name}-is-content-at-the-top", field + b"\r\n" + USUAL + b"\r\nbody of the other\r\n")
        yield plain(f"{name}-in-the-body", field + b"\r\n\r\n" + field + b"\r\n")
    yield Made(
        "what-mail-programs-keep-for-themselves",
        b"Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\r\nX-IMAP: 1234567890 0000000001\r\n"
        + USUAL
        + b"\r\nThis text is part of the internal format of your mail folder, and is not a real message.\r\n",
    )
    for name, flags in FLAGS.items():
        yield plain(name, b"with %b\r\n" % name.encode())._replace(flags=frozenset(flags))
