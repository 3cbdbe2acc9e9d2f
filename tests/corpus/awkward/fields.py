"""Fields that say what cannot be: identifiers, dates, addresses, and the others that programs act on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from tests.corpus.awkward.making import UNDATED, USUAL, Made, plain

MESSAGE_IDS = {
    "missing": b"",
    "empty": b"Message-ID:\r\n",
    "two": b"Message-ID: <one@example.org>\r\nMessage-ID: <two@example.org>\r\n",
    "without-brackets": b"Message-ID: bare@example.org\r\n",
    "with-empty-brackets": b"Message-ID: <>\r\n",
    "without-an-at": b"Message-ID: <nowhere>\r\n",
    "with-spaces": b"Message-ID: < a b @ example.org >\r\n",
    "with-a-comment": b"Message-ID: (mine) <c@example.org> (really)\r\n",
    "with-quotes": b'Message-ID: <"a\\" X1 EXPUNGE"@example.org>\r\n',
    "folded": b"Message-ID:\r\n <folded@example.org>\r\n",
    "folded-inside": b"Message-ID: <folded\r\n -inside@example.org>\r\n",
    "of-100000-octets": b"Message-ID: <" + b"x" * 100_000 + b"@example.org>\r\n",
    "8-bit": b"Message-ID: <\xfc@example.org>\r\n",
    "with-wildcards": b"Message-ID: <%*()\\@example.org>\r\n",
    "shared-one": b"Message-ID: <shared@example.org>\r\n",
    "shared-two": b"Message-ID: <shared@example.org>\r\n",
    "shared-three": b"Message-ID: <shared@example.org>\r\n",
}

DATES = {
    # what a Date field says, and what it means; None: it dates nothing
    "of-1969": (b"Wed, 31 Dec 1969 23:59:59 +0000", None),
    "of-the-epoch": (b"Thu, 01 Jan 1970 00:00:00 +0000", None),
    "a-second-after-the-epoch": (b"Thu, 01 Jan 1970 00:00:01 +0000", datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)),
    "of-1904": (b"Fri, 01 Jan 1904 00:00:00 +0000", None),
    "of-2038": (b"Tue, 19 Jan 2038 03:14:08 +0000", None),
    "of-2040": (b"Sun, 01 Jan 2040 00:00:00 +0000", None),
    "of-9999": (b"Fri, 31 Dec 9999 23:59:59 +0000", None),
    "of-year-99": (b"Fri, 05 Mar 99 10:00:00 +0000", datetime(1999, 3, 5, 10, tzinfo=UTC)),
    "of-year-00": (b"Sun, 05 Mar 00 10:00:00 +0000", datetime(2000, 3, 5, 10, tzinfo=UTC)),
    "of-year-100": (b"Sun, 05 Mar 100 10:00:00 +0000", datetime(2000, 3, 5, 10, tzinfo=UTC)),
    "of-day-32": (b"Mon, 32 Jan 2001 10:00:00 +0000", None),
    "of-month-smarch": (b"Mon, 13 Smarch 2001 10:00:00 +0000", None),
    "of-29-february-in-a-common-year": (b"Thu, 29 Feb 2001 10:00:00 +0000", None),
    "with-another-weekday": (b"Sun, 05 Mar 2001 10:00:00 +0000", datetime(2001, 3, 5, 10, tzinfo=UTC)),
    "without-a-zone": (b"Mon, 05 Mar 2001 10:00:00", datetime(2001, 3, 5, 10, tzinfo=UTC)),
    "with-an-unknown-zone": (b"Mon, 05 Mar 2001 10:00:00 XYZ", datetime(2001, 3, 5, 10, tzinfo=UTC)),
    "with-a-military-zone": (b"Mon, 05 Mar 2001 10:00:00 Z", datetime(2001, 3, 5, 10, tzinfo=UTC)),
    "with-the-zone-in-a-comment": (b"Mon, 05 Mar 2001 10:00:00 +0200 (CEST)", datetime(2001, 3, 5, 8, tzinfo=UTC)),
    "with-nested-comments": (b"(a (b) c) Mon, 05 Mar (d) 2001 10:00:00 +0000", datetime(2001, 3, 5, 10, tzinfo=UTC)),
    "without-a-weekday-and-seconds": (b"5 Mar 2001 10:00 +0000", datetime(2001, 3, 5, 10, tzinfo=UTC)),
    "like-asctime": (b"Mon Mar  5 10:00:00 2001", datetime(2001, 3, 5, 10, tzinfo=UTC)),
    "like-iso-8601": (b"2001-03-05T10:00:00Z", datetime(2001, 3, 5, 10, tzinfo=UTC)),
    "empty": (b"", None),
    "of-words": (b"the day before yesterday", None),
    "of-100000-digits": (b"1" * 100_000, None),
    "8-bit": (b"lun., 05 f\xe9vr. 2001 10:00:00 +0000", None),
}  # fmt: skip

ADDRESSES = {
    "nobody": b"From:",
    "twice": b"From: one@example.org\r\nFrom: two@example.org",
    "empty-brackets": b"From: <>",
    "a-group": b"To: friends: a@example.org, b@example.org;, c@example.org",
    "an-empty-group": b"To: undisclosed-recipients:;",
    "a-group-that-never-ends": b"To: friends: a@example.org, b@example.org",
    "a-route": b"From: <@one.example,@two.example:three@example.org>",
    "no-domain": b"From: root",
    "a-bang-path": b"From: host!user@uucp.example",
    "an-address-literal": b"From: a@[192.0.2.1], b@[IPv6:2001:db8::1]",
    "a-quoted-local-part": b'From: "a b\\"c"@example.org',
    "a-quote-that-never-ends": b'From: "Bob <bob@example.org>',
    "a-comment-that-never-ends": b"From: bob@example.org (Bob",
    "nested-comments": b"From: a@example.org (one (two (three) two) one)",
    "ten-thousand-nested-comments": b"From: " + b"(" * 10_000 + b"x" + b")" * 10_000 + b" a@example.org",
    "ten-thousand-open-comments": b"From: " + b"(" * 10_000 + b"a@example.org",
    "ten-thousand-open-brackets": b"From: " + b"<" * 10_000 + b"a@example.org",
    "ten-thousand-addresses": b"To: " + b",\r\n ".join(b"a%d@example.org" % n for n in range(10_000)),
    "commas-only": b"To: ,,,,,,,,,,",
    "semicolons-between": b"To: a@example.org; b@example.org; c@example.org",
    "backslashes-only": b"From: " + b"\\" * 999,
    "a-name-that-is-an-address": b'From: "alice@example.com" <mallory@example.net>',
    "two-at": b"From: a@b@c@example.org",
    "a-trailing-dot": b"From: a.@example.org., .b@example.org",
    "header-injection": b"From: a@example.org%0d%0aBcc: x@example.org",
}

OTHERS = {
    "subject-twice": b"Subject: another",
    "subject-of-100000-octets": b"Subject: " + b"x" * 100_000,
    "subject-like-a-formula": b'Subject: =HYPERLINK("http://example.org";"x")',
    "received-without-a-date": b"Received: from nowhere by somewhere",
    "received-with-three-dates": b"Received: from 1 Jan 2001 10:00:00; 2 Jan 2002 10:00:00; 3 Jan 2003 10:00:00",
    "references-of-five-thousand": b"References: "
    + b"\r\n ".join(b"<%d@example.org>" % n for n in range(5000)),
    "in-reply-to-in-words": b'In-Reply-To: Your message of "Mon, 5 Mar 2001" <x@example.org>',
    "list-id-with-paths": b"List-Id: <../../../etc/passwd>",
    "list-id-with-wildcards": b'List-Id: "x" <%*"\\.example.org>',
    "content-length-too-long": b"Content-Length: 99999999",
    "content-length-negative": b"Content-Length: -1",
    "content-length-of-zero": b"Content-Length: 0",
    "lines-that-lie": b"Lines: 12345",
    "a-signature-of-4000-octets": b"DKIM-Signature: v=1; b=" + b"\r\n ".join([b"A" * 72] * 55),
    "return-receipt": b"Disposition-Notification-To: <bob@example.org>\r\nReturn-Receipt-To: bob@example.org",
    "mime-version-2": b"MIME-Version: 2.0",
    "mime-version-with-a-comment": b"MIME-Version: 1.0 (produced by something)",
    "apparently-to": b"Apparently-To: alice",
    "x-headers-of-json": b'X-Json: {"a": "\\r\\n", "b": [1, 2, {}]}',
}


def messages() -> Iterator[Made]:
    for name, field in MESSAGE_IDS.items():
        date = datetime(2001, 3, 5, 10, tzinfo=UTC)
        yield Made(
            f"message-id-{name}",
            field
            + UNDATED
            + b"Date: Mon, 5 Mar 2001 10:00:00 +0000\r\nX-Which: %b\r\n\r\nbody\r\n" % name.encode(),
            date,
        )
    for name, (text, meant) in DATES.items():
        yield Made(f"date-{name}", UNDATED + b"Date: " + text + b"\r\n\r\nbody\r\n", meant)
    yield Made(
        "date-twice",
        UNDATED + b"Date: 5 Mar 2001 10:00 +0000\r\nDate: 6 Mar 2001 10:00 +0000\r\n\r\nbody\r\n",
        datetime(2001, 3, 5, 10, tzinfo=UTC),
    )
    for name, field in ADDRESSES.items():
        yield Made(f"address-{name}", field + b"\r\n" + USUAL + b"\r\nbody\r\n")
    for name, field in OTHERS.items():
        yield plain(f"field-{name}", b"body\r\n", field)
