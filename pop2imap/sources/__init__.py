"""The contract of a source, which every kind of source keeps (``tests/contract/source.py`` holds them to it)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple, Protocol

from pop2imap.model import Message, Ref, Remark, Unread

ListProgress = Callable[[int, int], None]
"""Called while listing with (done, expected; 0 if unknown), in the unit of ``Source.lists_by``."""


class Listing(NamedTuple):
    """Everything a source has, in source order.

    ``refs`` makes its items on access: it may be long, so a source keeps it compact. ``complete`` is False
    when the source is known to show only a part of its mail (Gmail over POP3). ``remarks`` tell what the
    listing showed that a person should know: no UIDL, repeated UIDLs, UIDL count ≠ STAT, suspicious lines.
    """

    refs: Sequence[Ref]
    octets: int
    complete: bool = True
    remarks: tuple[Remark, ...] = ()


def too_large(size: int, most: int) -> str:
    """Why a message that could be had is not read: ``size`` octets, where ``most`` are wanted."""
    return f"{size:,} octets; --max-message-size allows {most:,}"


class Source(Protocol):
    """One source of mail. Used by one thread at a time.

    Every method may raise what ``pop2imap.errors`` says of sources and networks: HostUnavailable, TlsRefused,
    ConnectionLost, ProtocolError, AuthenticationFailed, ServerBusy, SourceDataError, LocalIOError.
    """

    id: str
    """Stable name of this source, the first part of every key: ``pop3:alice@pop.example:995``,
    ``mbox:/home/alice/mail/inbox``."""

    kind: str
    lists_by: Literal["octets", "messages"]
    """What ``list`` counts when it reports its progress."""

    folder: str
    """Name of the source folder, for rules and templates: ``INBOX``, or the file's name."""

    def open(self) -> tuple[str, ...]:
        """Connect and log in, or open the file. Returns what there is to say of it, one line each, for
        ``check``. Must come first; may be called again after ``close``."""

    def list(self, progress: ListProgress | None = None) -> Listing:
        """Every message the source shows. Reads no bodies where the protocol allows that."""

    def read(self, refs: Sequence[Ref]) -> Iterator[Message | Unread]:
        """The messages of ``refs`` (of the last listing), whole, in order, one item for each ref.

        One message that cannot be had is an ``Unread``, not an exception; the rest follows.
        """

    def peek(self, refs: Sequence[Ref]) -> Iterator[Message | Unread]:
        """Like ``read``, but without any effect on the source, reading no more than rules need.
        Messages may be not ``whole``. A ref without a key may come back with a key that is unique but
        means nothing beyond this listing."""

    def close(self, *, settled: bool) -> tuple[Remark, ...]:
        """End the session. ``settled``: everything that was read is durably settled, so the source may
        be left in good order (POP3: QUIT). Otherwise nothing may happen there (POP3: no QUIT). Returns
        what was noticed meanwhile, such as a file that grew. Never raises."""


class Erasable(Source, Protocol):
    """A source whose mail can be deleted through it. Nothing is, until :meth:`commit`."""

    @property
    def login_delay(self) -> float:
        """Seconds that must pass between two sessions, as far as the server of the last one said so."""

    def delete(self, refs: Sequence[Ref]) -> Iterator[tuple[Ref, str]]:
        """Mark messages (of the last listing) as deleted. Of each, in order: the server's refusal, in words; empty if
        it is marked."""

    def commit(self) -> str:
        """End the session so that what was marked goes. Returns what was in the way of that, in words: then nobody
        knows what has gone; only the listing of another session tells. Empty: the server has agreed. Never raises."""
