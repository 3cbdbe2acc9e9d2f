"""UIDLs that are made of UID and UIDVALIDITY: what they say of the message in the IMAP account behind the maildrop.

RFC 1939 7 leaves it to the server what a UIDL is. Two families of servers write both numbers into it; of any other
UIDL nothing is known.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_FORMS = (
    (16, re.compile(r"(?P<uid>[0-9a-fA-F]{8})(?P<uidvalidity>[0-9a-fA-F]{8})")),  # QUIRK(Dovecot): default
    (10, re.compile(r"(?P<uidvalidity>[1-9][0-9]{0,9})\.(?P<uid>[1-9][0-9]{0,9})")),  # QUIRK(Cyrus)
)

_MOST = 1 << 32  # RFC 3501 9, nz-number


class ImapName(NamedTuple):
    """What a UIDL says. ``base`` tells the forms apart: 16 is Dovecot's, 10 that of Cyrus."""

    base: int
    uidvalidity: int
    uid: int


def imap_name(uidl: str) -> ImapName | None:
    """UIDVALIDITY and UID of the message with this UIDL; None if it does not say."""
    for base, form in _FORMS:
        if found := form.fullmatch(uidl):
            uidvalidity, uid = int(found["uidvalidity"], base), int(found["uid"], base)
            return ImapName(base, uidvalidity, uid) if 0 < uidvalidity < _MOST and 0 < uid < _MOST else None
    return None
