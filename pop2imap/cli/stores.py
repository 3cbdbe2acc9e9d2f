"""What a directory of mail on this computer holds, for people: ``pop2imap ~/.thunderbird``."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pop2imap.cli.output import say
from pop2imap.text import printable

if TYPE_CHECKING:
    from pop2imap.sources.thunderbird_listing import DescribedAccount, DescribedProfile


def show_thunderbird(path: Path) -> None:
    """Print what is in the profile ``path``, or in the profiles of such a directory, and what to type next. Raises
    SourceDataError where there is neither."""
    from pop2imap.sources.thunderbird_listing import describe

    say("\n".join(lines(describe(path))))


def lines(profiles: tuple[DescribedProfile, ...]) -> Iterator[str]:
    """The same as lines of text, safe to show."""
    for profile in profiles:
        default = ", the default one" if profile.is_default and len(profiles) > 1 else ""
        yield f"Thunderbird profile {printable(profile.name)}{default}: {printable(str(profile.path), 500)}"
        yield from _profile(profile)
        yield ""
    ready = [one for one in profiles if one.accounts]
    if not ready:
        yield "There is no mail to move."
        return
    place = shlex.quote(f"thunderbird:{ready[0].path}")
    yield "See what would happen:"
    yield f"  pop2imap plan {printable(place, 500)} imaps://USER@HOST"


def _profile(profile: DescribedProfile) -> Iterator[str]:
    if profile.fault:
        yield f"  {printable(profile.fault, 500)}"
        return
    if profile.running:
        from pop2imap.sources.thunderbird import RUNNING

        yield f"  {RUNNING}"
    for account in profile.accounts:
        yield from _account(account, counted=not profile.running)
    for remark in profile.remarks:
        yield f"  note: {printable(str(remark), 500)}"


def _account(account: DescribedAccount, *, counted: bool) -> Iterator[str]:
    from pop2imap.report.text import in_messages, size
    from pop2imap.sources.thunderbird_listing import KINDS

    about = [KINDS.get(account.kind, account.kind)]
    about += [account.server] if account.server else []
    about += [email for email in account.emails if email not in (account.name, account.server)]
    said = f"  {printable(account.name, 80)} ({printable(', '.join(about), 200)})"
    if account.left_out:
        yield f"{said}: left out, {account.left_out}"
        return
    if not counted:
        yield said
        return
    yield f"{said}: {in_messages(account.messages)}, {size(account.octets)}"
    empty = 0
    for folder in account.folders:
        if folder.fault:
            yield f"    {printable(folder.folder)}: cannot be read: {printable(folder.fault, 500)}"
        elif folder.messages:
            yield f"    {printable(folder.folder)}: {in_messages(folder.messages)}, {size(folder.octets)}"
        else:
            empty += 1
    if empty:
        yield f"    {empty:,} empty folder{'' if empty == 1 else 's'}"
