"""What a person writes into a file of rules beside text: addresses, domains, flags, sizes, dates.

Each function returns what it means, or raises Fault. Addresses are checked with email-validator (imported where there
are any: it takes its time); a domain of special use (``example.invalid``, ``.test``, ``localhost``) is likely a
mistake, but may be meant: a warning.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time

from pop2imap.model import ANSWERED, DRAFT, FLAGGED, SEEN
from pop2imap.rules.faults import Fault, kind, unknown
from pop2imap.sizes import octets
from pop2imap.text import printable

MAX_FLAG_OCTETS = 50
"""QUIRK(Dovecot): longer keywords are refused."""

_SETTABLE = {flag.lower(): flag for flag in (SEEN, ANSWERED, FLAGGED, DRAFT)}
_KEYWORD = re.compile(r"[!#$&'+,\-./0-9:;<=>?@A-Z\[^_`a-z|}~]+")  # an atom, RFC 3501 9
_LABEL = re.compile(r"\w(?:[\w-]{0,61}\w)?")


def address(text: str, warn: Callable[[str], None], *, hint: bool = True) -> str:
    """One whole address, normalised. ``hint``: a pattern would do as well, so a fault says how to write it."""
    import email_validator

    local, at, name = text.rpartition("@")
    shown = printable(text, 80)
    if not at or not local:
        meant = f'"*@{name}" or {{ domain = "{name}" }}' if "." in name else f'"{text}*" or "*{text}"'
        raise Fault(f'"{shown}" is no whole address' + (f": write {printable(meant)}" if hint else ""))
    local_only = _not_public(name)
    try:
        # email-validator would refuse a domain that is not public
        checked = email_validator.validate_email(
            f"{local}@example.com" if local_only else text, check_deliverability=False
        )
    except email_validator.EmailNotValidError as error:
        raise Fault(f'"{shown}" is no address: {printable(str(error))}') from None
    if local_only:
        warn(f'"{shown}" is no address that mail travels to or from: {local_only} is no public domain')
        return f"{checked.local_part}@{name.lower()}"
    return checked.normalized


def domain(text: str, warn: Callable[[str], None]) -> str:
    """A domain name, normalised."""
    import email_validator

    shown = printable(text, 80)
    if "@" in text or "*" in text:
        raise Fault(f'"{shown}" is no domain: {{ domain = "acme.example" }} means it and all below it')
    if local_only := _not_public(text):
        warn(f'no mail travels to or from "{shown}": {local_only} is no public domain')
        return text.lower()
    try:
        return email_validator.validate_email(f"x@{text}", check_deliverability=False).domain
    except email_validator.EmailNotValidError as error:
        raise Fault(f'"{shown}" is no domain: {printable(str(error))}') from None


def _not_public(name: str) -> str:
    """The domain of special use (RFC 6761) that ``name`` is or lies in, or ``name`` itself if it has a single
    label; an empty string for all others, and for what is no domain."""
    import email_validator

    folded = name.lower()
    if not all(_LABEL.fullmatch(label) for label in folded.split(".")):
        return ""
    for special in email_validator.SPECIAL_USE_DOMAIN_NAMES:
        if folded == special or folded.endswith(f".{special}"):
            return str(special)
    return "" if "." in folded else folded


def flag(text: str) -> str:
    """A flag that a rule may give: a settable system flag, or a keyword."""
    shown = printable(text, 60)
    if text.startswith("\\"):
        if known := _SETTABLE.get(text.lower()):
            return known
        if text.lower() == "\\deleted":
            raise Fault("a rule does not mark mail as deleted; skip leaves it out")
        raise Fault(unknown("flag", text, _SETTABLE.values()))
    if known := _SETTABLE.get(f"\\{text.lower()}"):
        raise Fault(f'"{shown}" would be a tag of that name; the flag is "{known}" (in TOML "\\{known}")')
    if not _KEYWORD.fullmatch(text):
        raise Fault(
            f'"{shown}" is no flag: letters, digits and signs, but no space, quote, backslash, () {{ % * ]'
        )
    if len(text) > MAX_FLAG_OCTETS:
        raise Fault(f'"{shown}" is too long for a flag (at most {MAX_FLAG_OCTETS} characters)')
    return text


def looked_for_flag(text: str) -> str:
    """A flag that a test may look for: what a source can say, \\Deleted too."""
    return "\\Deleted" if text.lower() == "\\deleted" else flag(text)


def size(value: object) -> int:
    """Octets: a number, or text such as ``200k`` or ``5M`` (of 1024 octets, and of 1024 of those)."""
    if isinstance(value, str) and (written := octets(value)) is not None:
        return written
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    shown = f' "{printable(value, 40)}"' if isinstance(value, str) else ""
    raise Fault(f'must be a size, such as 4096, "200k" or "5M", not {kind(value)}{shown}')


def moment(value: object) -> datetime:
    """A moment in UTC: a date is its first one; a time without a zone is in UTC."""
    if isinstance(value, datetime):
        try:
            return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)
        except OverflowError:
            raise Fault("this date is out of range") from None
    if isinstance(value, date):
        return datetime.combine(value, time(), UTC)
    hint = " (without quotes)" if isinstance(value, str) else ""
    raise Fault(f"must be a date, such as 2015-01-31{hint}, not {kind(value)}")
