"""Are source and target the same mailbox? Whoever moves a maildrop into itself doubles it, run by run.

Theory of operation
-------------------
A POP3 maildrop is very often the INBOX of an IMAP account, and nothing in POP3 says of which one. Two things tell:

* *The names.* Servers make a UIDL out of UID and UIDVALIDITY. If those that the maildrop lists lead to messages of
  the target's INBOX that are not ours, of the sizes that the maildrop lists, it is that INBOX. (A copy that was made
  UID for UID looks the same, and has all of the mail already.)
* *The contents.* Where a UIDL tells nothing (QUIRK(Courier): its POP3 server has numbers of its own), and user and
  host are the same or nearly so at both ends (``pop.example.com``, ``imap.example.com``), an INBOX that holds messages
  of the sizes that the maildrop lists, in that order, is taken for it. At unusual ports, behind which may be tunnels to
  anywhere, the hosts must be the same, and the INBOX must hold nothing else. None of this is looked at once the journal
  has mail of this source: then it may be ours.

Both are asked before anything is sent, cost one or two questions, and are over-cautious on purpose: what they take for
one mailbox by mistake costs an option (``--allow-same-account``), what they miss costs a mailbox full of doubles.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum
from typing import NamedTuple

from pop2imap.errors import FolderError, UsageError
from pop2imap.journal import JournalReader
from pop2imap.model import Mailbox, Ref
from pop2imap.sources import Listing, Source
from pop2imap.target import Target
from pop2imap.text import printable
from pop2imap.uidl import imap_name

SAMPLE = 50
"""UIDLs that are looked at."""

MANY_ENOUGH = 3
"""Messages whose sizes are no coincidence."""

SAME_SIZES = 0.9
"""Share of the sizes that must be equal; servers may count line ends in two ways."""


class _Name(NamedTuple):
    uidl: str
    uidvalidity: int
    uid: int
    size: int


def refuse_same(
    source: Source,
    listing: Listing,
    target: Target,
    journal: JournalReader | None,
    *,
    names_alone: bool = False,
) -> None:
    """Raise UsageError if ``source``, which lists ``listing``, is the INBOX of ``target``. ``journal`` is that of the
    target, if it has one. ``names_alone``: contents tell nothing, since copies are what is looked for. Raises what
    targets and journals raise; changes nothing."""
    if same := sameness(source, listing, target, journal, names_alone=names_alone):
        raise UsageError(
            f"source and target are one mailbox: {same}",
            where=source.id,
            todo="name another account as the target; if this is another one, to which the mail was copied before, say "
            "--allow-same-account: what is there already is then recognised",
        )


def refuse_same_name(source: Source, target: Target) -> None:
    """Raise UsageError if user and host are the very same at both ends: before anything is deleted, when what is in the
    target tells nothing, since a copy has the sizes of what it is a copy of."""
    ours, theirs = _parts(source.id.removeprefix("pop3:")), _parts(target.identity)
    if ours[:2] == theirs[:2] and _at_usual_ports(ours, theirs):
        raise UsageError(
            f"source and target are one mailbox, {printable(f'{ours.user}@{ours.host}')}: what is deleted at the "
            "source is gone from the target, too",
            todo="name another target",
        )


def sameness(
    source: Source,
    listing: Listing,
    target: Target,
    journal: JournalReader | None,
    *,
    names_alone: bool = False,
) -> str:
    """What shows that they are one mailbox, in words; nothing if nothing does."""
    if source.kind != "pop3" or not len(listing.refs):
        return ""
    try:
        inbox = target.locate("INBOX")
        if inbox is None or not inbox.messages:
            return ""
        names = list(_names(listing.refs))
        if any(name.uidvalidity != inbox.uidvalidity for name in names):
            return ""
        if names:
            if journal and journal.unlocated(inbox.name):
                return ""  # some of it is ours, and which is not known
            put = journal.put(source.id, inbox.name, inbox.uidvalidity) if journal else {}
            if any(put.get(name.uidl) == name.uid for name in names):
                return (
                    ""  # two numberings alike: our copy of a message cannot have the UID of that very message
                )
            ours = set(put.values())
            return _by_names([name for name in names if name.uid not in ours], inbox, target)
        likeness = alike(source.id, target.identity)
        if names_alone or (journal and journal.known(source.id)) or likeness is Likeness.NONE:
            return ""
        return _by_contents(listing.refs, inbox, target, whole=likeness is Likeness.HOST)
    except FolderError:  # then nothing can be stored there either
        return ""


def _names(refs: Sequence[Ref]) -> Iterator[_Name]:
    """What some of the UIDLs say, spread over all of them; nothing if one of these says nothing."""
    some = [refs[at] for at in range(0, len(refs), max(len(refs) // SAMPLE, 1))]
    said = [(ref, imap_name(ref.key.name)) for ref in some if ref.key]
    names = [
        _Name(ref.key.name, name.uidvalidity, name.uid, ref.size) for ref, name in said if ref.key and name
    ]
    if len(names) == len(some) and len({name.base for _, name in said if name}) == 1:
        yield from names


def _by_names(names: Sequence[_Name], inbox: Mailbox, target: Target) -> str:
    if not names:
        return ""
    wanted = {name.uid for name in names}
    sizes = {one.uid: one.size for one in target.survey(inbox, min(wanted)) if one.uid in wanted}
    equal = sum(sizes.get(name.uid) == name.size for name in names)
    if len(sizes) < len(wanted) or equal < SAME_SIZES * len(names):
        return ""
    return "the names of its messages are those of the messages in the target's INBOX, and so are their sizes"


def _by_contents(refs: Sequence[Ref], inbox: Mailbox, target: Target, *, whole: bool) -> str:
    if inbox.messages < len(refs) or (whole and not MANY_ENOUGH <= inbox.messages <= len(refs)):
        return ""
    sizes = [one.size for one in target.survey(inbox, 1)]
    for first in {0, len(sizes) - len(refs)}:  # a maildrop may show the newest messages alone
        equal = sum(size == ref.size for size, ref in zip(sizes[first:], refs, strict=False))
        if equal >= SAME_SIZES * len(refs):
            return "user and host are the same or nearly so, and the target's INBOX holds messages of the same sizes"
    return ""


class Likeness(Enum):
    """How much the names of two accounts are alike."""

    NONE = "none"
    HOST = "user and host are the same"
    ACCOUNT = "they most likely mean one account"


def alike(source: str, target: str) -> Likeness:
    """How much two identities, ``pop3:user@host:port`` and ``user@host:port``, are alike."""
    ours, theirs = _parts(source.removeprefix("pop3:")), _parts(target)
    if ours.user.partition("@")[0] != theirs.user.partition("@")[0]:
        return Likeness.NONE
    if _at_usual_ports(ours, theirs):
        return Likeness.ACCOUNT if _domain(ours.host) == _domain(theirs.host) else Likeness.NONE
    return Likeness.HOST if ours.host == theirs.host else Likeness.NONE


class _Parts(NamedTuple):
    user: str
    host: str
    port: str


def _at_usual_ports(source: _Parts, target: _Parts) -> bool:
    """Behind other ports may be tunnels to anywhere."""
    return source.port in {"110", "995"} and target.port in {"143", "993"}


def _parts(identity: str) -> _Parts:
    user, _, server = identity.lower().rpartition("@")
    host, _, port = server.rpartition(":")
    return _Parts(user, "localhost" if host in _THIS_MACHINE else host, port)


_THIS_MACHINE = frozenset({"127.0.0.1", "[::1]", "::1", "localhost"})


def _domain(host: str) -> str:
    """``pop.example.com`` → ``example.com``; an address stays as it is."""
    rest = host.partition(".")[2]
    return rest if "." in rest and not host.replace(".", "").isdigit() else host
