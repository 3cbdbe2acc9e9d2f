"""One IMAP session: every command but login and APPEND. The only importer of imapclient.

imaplib does the talking, and imapclient reads what comes; around them, :mod:`pop2imap.target.wire` keeps the bounds,
:mod:`pop2imap.target.asking` makes errors ours, :mod:`pop2imap.target.login` opens the door. What returns ``Steps`` is
a question, which does nothing until it is asked, with ``ask`` alone or with ``together`` in one burst
(:mod:`pop2imap.target.burst`). Errors of all: ConnectionLost, ProtocolError, ServerBusy; FolderError where a folder is
concerned.

This file stays whole although it is long: each command is a few lines, and the wall around imapclient has one
gate.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

from imapclient.imap_utf7 import decode as decode_mutf7
from imapclient.imap_utf7 import encode as encode_mutf7
from imapclient.response_parser import parse_response

from pop2imap import __version__, net
from pop2imap.credentials import Secret
from pop2imap.errors import (
    AuthenticationFailed,
    FolderError,
    HostUnavailable,
    ProtocolError,
    ServerBusy,
)
from pop2imap.logs import said
from pop2imap.model import Found
from pop2imap.target import fetched
from pop2imap.target.answers import Meaning, parse
from pop2imap.target.append import quoted
from pop2imap.target.asking import Asking, busy_or
from pop2imap.target.burst import Asked, Command, Experience, Steps, ask
from pop2imap.target.folders import Listed, check_name, is_inbox
from pop2imap.target.login import log_in, start_tls
from pop2imap.target.wire import NoGreeting, Sink, Wire
from pop2imap.text import printable

logging.getLogger("imapclient").addHandler(logging.NullHandler())
logging.getLogger("imapclient").propagate = False  # it would log folder names and mail
log = logging.getLogger(__name__)

T = TypeVar("T")

NAME_OCTETS = 220
"""Octets of a mailbox name in modified UTF-7: Maildir++ keeps a whole path in one file name of at most 255. Rules
make names of at most 200; the rest is for the server's prefix."""

LISTED_OCTETS = 1024
"""Octets of a name in a listing; longer ones are nobody's, and slow to compare."""

UIDS_AT_ONCE = 5_000
WIDEST_RANGE = 65_536
"""UIDs of one FETCH of a survey; wider where many are missing, so that one answer stays bounded."""


class Status(NamedTuple):
    """What STATUS says of a mailbox. None: the server did not say."""

    uidvalidity: int | None
    uidnext: int | None
    messages: int | None
    append_limit: int | None


class Selected(NamedTuple):
    """What SELECT or EXAMINE says of a mailbox. None: the server did not say. Flags are lower case."""

    uidvalidity: int | None
    uidnext: int | None
    messages: int
    permanent_flags: frozenset[str] | None
    read_only: bool


class Session:
    """One connection to an IMAP server. Connects, with TLS as the transport asks, when it is made.

    Raises HostUnavailable, TlsRefused, ServerBusy, ProtocolError. Not thread-safe.
    """

    def __init__(self, server: net.Server, experience: Experience | None = None) -> None:
        """``experience`` is what other sessions with this server have learned, and learns from this one."""
        self.server = server
        self._where = str(server)
        self._experience = experience or Experience()
        self.capabilities: frozenset[str] = frozenset()
        self._folder = ""  # what was selected last
        self.wire = self._connect()
        try:
            self._asking = Asking(self.wire, self._where)
            self.greeting = ""
            if server.transport is net.Transport.STARTTLS:
                if "STARTTLS" not in self.wire.capabilities:  # a greeting may tell less than there is
                    self._read_capabilities()
                    self.wire.capabilities = tuple(self.capabilities)
                start_tls(self._asking)
            elif self.wire.state == "AUTH":
                raise AuthenticationFailed(
                    "the server says that somebody is logged in already (PREAUTH), not who", where=self._where
                )
            else:
                self.greeting = parse(self.wire.welcome).text
        except BaseException:
            self.wire.shutdown()
            raise

    # -- connecting

    def _connect(self) -> Wire:
        try:
            return Wire(self.server)
        except NoGreeting as error:
            line = error.line
        with contextlib.suppress(ProtocolError):
            answer = parse(line)
            if answer.kind == "BYE":
                raise busy_or(HostUnavailable, "the server will not talk to us", answer, self._where)
        raise ProtocolError(
            f"what listens there does not speak IMAP: {said(line, 100)}",
            where=self._where,
            todo="check host and port",
        )

    def login(self, user: str, password: Secret, login_as: str = "") -> None:
        """Log in as ``user``, or with the rights of ``user`` as ``login_as``, and learn what the server can do
        from now on. Raises AuthenticationFailed, ServerBusy."""
        offered = frozenset(
            self.wire.capabilities
        )  # none after STARTTLS: what came before it is not believed
        wanting = login_as or not offered or "LOGINDISABLED" in offered
        if wanting and "AUTH=PLAIN" not in offered:  # a greeting may tell less than there is
            offered = self._read_capabilities()
        log_in(self._asking, self.server.transport, offered, user, password, login_as)
        told = self._asking.answer().capabilities or self._untagged_capabilities()
        if "IMAP4REV1" in told:
            self.capabilities = frozenset(told)
        else:
            self._read_capabilities()

    def _read_capabilities(self) -> frozenset[str]:
        self.capabilities = self.ask(self._capabilities())
        return self.capabilities

    def _capabilities(self) -> Steps[frozenset[str]]:
        with self._asking("asking what the server can do"):
            yield Command("CAPABILITY")
            return frozenset(self._untagged_capabilities())

    def _untagged_capabilities(self) -> tuple[str, ...]:
        told = self.wire.untagged_responses.pop("CAPABILITY", [])
        return tuple(word.upper() for line in told if isinstance(line, bytes) for word in _text(line).split())

    # -- asking

    def ask(self, steps: Steps[T]) -> T:
        """Ask one question."""
        asked = Asked(steps)
        self.together(asked)
        return asked.value

    def together(self, *questions: Asked[Any]) -> None:
        """Ask all of these, in order, in as few bursts as they take. What the server refuses is the error of that
        question. Raises ConnectionLost, ServerBusy."""
        ask(self.wire, self._experience, questions)

    def _said(self, doing: str, line: str, folder: str = "") -> Steps[None]:
        """One command that has to be answered with OK."""
        answer = yield Command(line)
        if answer.kind != "OK":
            self._asking.refused(doing, folder)

    def identify(self) -> Steps[str]:
        """What the server calls itself, told our own name (RFC 2971), or the text of its greeting."""
        if "ID" in self.capabilities:
            with contextlib.suppress(ProtocolError), self._asking("exchanging names"):
                yield from self._said("exchanging names", _ID)
                fields = parse_response(self._untagged("ID"))
                told = fields[0] if fields and isinstance(fields[0], tuple) else ()
                named = {
                    bytes(key).lower(): value
                    for key, value in zip(told[::2], told[1::2], strict=False)
                    if isinstance(key, bytes) and isinstance(value, bytes | int)
                }
                words = [str(v) if isinstance(v, int) else _text(v) for k in _ID_SHOWN if (v := named.get(k))]
                if words:
                    return said(" ".join(words), 80)
        return said(self.greeting, 80) or "an IMAP server"

    def _untagged(self, kind: str) -> list[Any]:
        """What came of this kind, for imapclient's parser."""
        told: list[Any] = self.wire.untagged_responses.pop(kind, [None])
        return told

    # -- folders

    def namespace(self) -> Steps[tuple[str | None, str, tuple[str, ...]]]:
        """Prefix and delimiter of the personal namespace, and the prefixes of all others (RFC 2342).

        A server without NAMESPACE tells no prefix, but its delimiter: "" where names have no levels.
        """
        if "NAMESPACE" in self.capabilities:
            with contextlib.suppress(ProtocolError), self._asking("asking for namespaces"):
                yield from self._said("asking for namespaces", "NAMESPACE")
                ours, *theirs = (_spaces(told) for told in parse_response(self._untagged("NAMESPACE")))
                personal = sorted(ours, key=lambda space: not _holds_inbox(space[0]))
                if personal:
                    prefix, delimiter = personal[0]
                    if prefix and delimiter and not prefix.endswith(delimiter):
                        prefix += delimiter
                    others = (*(space for kind in theirs for space in kind), *personal[1:])
                    return prefix, delimiter, tuple(other for other, _ in others if other)
        root = yield from self._list('LIST "" ""')
        return None, root[0].delimiter if root else "", ()

    def listing(self) -> Steps[list[Listed]]:
        """Every mailbox of the account, special uses included (RFC 6154)."""
        if "SPECIAL-USE" in self.capabilities and "LIST-EXTENDED" in self.capabilities:
            with contextlib.suppress(ProtocolError):  # QUIRK(some): offered, and answered with BAD
                return (yield from self._list('LIST "" "*" RETURN (SPECIAL-USE)'))
        return (yield from self._list('LIST "" "*"'))

    def subscribed(self) -> Steps[set[str]]:
        """The names that are subscribed."""
        listed = yield from self._list('LSUB "" "*"')
        return {one.name for one in listed}

    def _list(self, line: str) -> Steps[list[Listed]]:
        with self._asking("listing folders"):
            yield from self._said("listing folders", line)
            listed = []
            for record in _records(self._untagged(line.partition(" ")[0])):
                parsed = parse_response(record)
                attributes, delimiter, raw = parsed[:3]
                name = _name(raw)
                if name is None:
                    log.warning("a folder of the server is left out: its name %s cannot be read", _shown(raw))
                    continue
                names = frozenset(_text(attribute).lower() for attribute in attributes)
                listed.append(Listed(name, _text(delimiter or b""), names))
            return listed

    def create(self, name: str, use: str = "") -> Steps[str]:
        """Make a mailbox, with a special use if ``use`` names one and the server can (RFC 6154 3).

        Gives nothing when it was made, else what the server said: the caller looks whether it is there.
        """
        line, refusal = f"CREATE {_wire_name(name)}", ""
        special = [f"{line} (USE ({use}))"] if use and "CREATE-SPECIAL-USE" in self.capabilities else []
        for form in (*special, line):  # the use may be taken, or not allowed: the folder matters more
            refusal = yield from self._made("creating a folder", form, name)
            if not refusal:
                break
        return refusal

    def _made(self, doing: str, line: str, name: str) -> Steps[str]:
        """A change: nothing when it was made, else what the server said."""
        with self._asking(doing, name):
            answer = yield Command(line)
        if answer.kind == "OK":
            return ""
        if answer.meaning is Meaning.BUSY:
            raise self._asking.busy_or(ServerBusy, doing, answer)
        return answer.words

    def subscribe(self, name: str) -> Steps[None]:
        """Raises FolderError."""
        doing = "subscribing to a folder"
        with self._asking(doing, name):
            yield from self._said(doing, f"SUBSCRIBE {_wire_name(name)}", name)

    def unsubscribe(self, name: str) -> Steps[None]:
        """A server that will not is no reason to stop."""
        doing = "unsubscribing from a folder"
        with contextlib.suppress(FolderError, ProtocolError), self._asking(doing, name):
            yield from self._said(doing, f"UNSUBSCRIBE {_wire_name(name)}", name)

    def delete(self, name: str) -> Steps[str]:
        """Delete a mailbox, with all that is in it. Gives nothing when that is done, else what the server said."""
        return (yield from self._made("deleting a folder", f"DELETE {_wire_name(name)}", name))

    def status(self, name: str) -> Steps[Status]:
        """Raises FolderError, also when there is no such mailbox. An answer that names another mailbox is not
        believed, unless it comes again when nothing else was asked."""
        items = "MESSAGES UIDNEXT UIDVALIDITY"
        if "APPENDLIMIT" in self.capabilities:  # without a value: it differs by mailbox (RFC 7889 2)
            items += " APPENDLIMIT"
        line = f"STATUS {_wire_name(name)} ({items})"
        doing = "asking for the state of a folder"
        with self._asking(doing, name):
            yield from self._said(doing, line, name)
            told = parse_response(self._untagged("STATUS"))
            if not (self._experience.one_at_a_time or (len(told) == 2 and _same(_name(told[0]), name))):
                self._experience.blame("it tells of other folders than those that were asked for")
                yield from self._said(doing, line, name)
                told = parse_response(self._untagged("STATUS"))
            pairs = told[-1]
            values = {
                key.upper(): value
                for key, value in zip(pairs[::2], pairs[1::2], strict=True)
                if isinstance(key, bytes)
            }
        return Status(
            fetched.number(values.get(b"UIDVALIDITY"), 32) or None,
            fetched.number(values.get(b"UIDNEXT"), 32) or None,
            fetched.number(values.get(b"MESSAGES")),
            fetched.number(values.get(b"APPENDLIMIT")),
        )

    def select(self, name: str, *, read_only: bool) -> Steps[Selected]:
        """SELECT, or EXAMINE where nothing must change. Raises FolderError."""
        verb, doing = "EXAMINE" if read_only else "SELECT", "opening a folder"
        with self._asking(doing, name):
            answer = yield Command(f"{verb} {_wire_name(name)}")
            self._folder = name
            self.wire.state = "AUTH"  # a failed one leaves none selected (RFC 3501 6.3.1)
            if answer.kind != "OK":
                self._asking.refused(doing, name)
            self.wire.state = "SELECTED"
            told = self.wire.untagged_responses
            lines = [line for line in told.get("OK", ()) if isinstance(line, bytes)]
            codes = {code.code: code.argument for code in (parse(b"* OK " + line) for line in lines)}
            uidvalidity, uidnext = (
                fetched.number(codes.get(code, "").encode("utf-8", "replace"), 32)
                for code in ("UIDVALIDITY", "UIDNEXT")
            )
            exists = fetched.number(told["EXISTS"][-1]) if told.get("EXISTS") else None
        flags = codes.get("PERMANENTFLAGS")
        return Selected(
            uidvalidity or None,
            uidnext or None,
            exists or 0,
            None if flags is None else frozenset(flags.strip("()").lower().split()),
            answer.code == "READ-ONLY",
        )

    @property
    def has_selected(self) -> bool:
        """Whether a mailbox is selected."""
        return bool(self.wire.state == "SELECTED")

    def unselect(self) -> Steps[None]:
        """Leave the selected mailbox, never with CLOSE, which expunges."""
        with contextlib.suppress(ProtocolError), self._asking("leaving a folder"):
            # an EXAMINE that fails leaves none selected
            yield Command("UNSELECT" if "UNSELECT" in self.capabilities else 'EXAMINE ""', may_fail=True)
        self.wire.state = "AUTH"

    # -- messages of the selected mailbox

    def last_uid(self) -> int | None:
        """The highest UID there is, or None."""
        uids = [fetched.uid(response) or 0 for response in self._fetch("*:*", "(UID)")]
        return max(uids, default=0) or None

    def survey(self, lowest: int, uidnext: int | None, messages: int) -> Iterator[Found]:
        """Every message from UID ``lowest`` on, in as many FETCHes as keep each answer bounded.

        The last one is open-ended, so that what came meanwhile is shown too.
        """
        items = "(UID RFC822.SIZE INTERNALDATE FLAGS)"
        first, width = lowest, UIDS_AT_ONCE
        while messages > UIDS_AT_ONCE and uidnext is not None and first + width < uidnext:
            shown = 0
            for response in self._fetch(f"{first}:{first + width - 1}", items):
                if one := fetched.found(response):
                    shown += 1
                    yield one
            first += width
            width = min(width * 2, WIDEST_RANGE) if shown < UIDS_AT_ONCE // 4 else UIDS_AT_ONCE
        for response in self._fetch(f"{first}:*", items):  # always shows the last message (RFC 3501 6.4.8)
            one = fetched.found(response)
            if one and one.uid >= first:
                yield one

    def digests(self, uids: Sequence[int]) -> dict[int, tuple[bytes, bytes]]:
        """(digest, match digest) of each message. Their octets stream through; no flag is set."""
        digests: list[fetched.BodyDigest] = []

        def new_sink() -> Sink:
            if len(digests) >= len(uids):
                raise ProtocolError("more messages came than were asked for", where=self._where)
            digests.append(fetched.BodyDigest())
            return digests[-1].update

        self.wire.new_sink = new_sink
        try:
            records = self._fetch_records(fetched.uid_set(uids), "(UID BODY.PEEK[])")
        finally:
            self.wire.new_sink = None
        bodies = fetched.bodies(records, digests)
        return {uid: digest.digests for uid, digest in bodies}

    def message_ids(self, first: int, last: int) -> Iterator[tuple[int, bytes]]:
        """(UID, the header field Message-ID as it stands) of the messages from UID ``first`` to ``last``, which the
        caller keeps few; no flag is set."""
        yield from fetched.heads(
            self._fetch_records(f"{first}:{last}", "(UID BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])")
        )

    def there(self, uids: Sequence[int]) -> set[int]:
        """Those of these ascending UIDs that are there."""
        found = {fetched.uid(response) or 0 for response in self._fetch(fetched.uid_set(uids), "(UID)")}
        return found & set(uids)

    def mark_deleted(self, uids: Sequence[int], yes: bool) -> None:
        r"""Set ``\Deleted`` on these ascending UIDs, or take it away. Raises FolderError."""
        how = "+FLAGS.SILENT" if yes else "-FLAGS.SILENT"
        self._uid("marking as deleted", "STORE", fetched.uid_set(uids), how, "(\\Deleted)")

    def marked_deleted(self) -> set[int]:
        r"""The UIDs of all messages with ``\Deleted``. Raises FolderError."""
        found = self._uid("looking for what is marked as deleted", "SEARCH", "DELETED")
        return {
            int(word) for line in found if isinstance(line, bytes) for word in line.split() if word.isdigit()
        }

    def expunge(self, uids: Sequence[int] | None) -> None:
        """Remove what is marked as deleted: only of these ascending UIDs (RFC 4315 2.1), or all of it (None). Raises
        FolderError."""
        if uids is not None:
            self._uid("removing messages", "EXPUNGE", fetched.uid_set(uids))
            return
        with self._asking("removing messages"):
            done, _ = self.wire._simple_command("EXPUNGE")
            if done != "OK":
                self._asking.refused("removing messages", self._folder)

    def _uid(self, doing: str, command: str, *arguments: str) -> list[object]:
        with self._asking(doing):
            done, data = self.wire.uid(command, *arguments)
            if done != "OK":
                self._asking.refused(doing, self._folder)
            return list(data or ())

    def _fetch(self, uids: str, items: str) -> Iterator[bytes]:
        return fetched.responses(self._fetch_records(uids, items))

    def _fetch_records(self, uids: str, items: str) -> list[fetched.Record | None]:
        with self._asking("fetching"):
            done, records = self.wire.uid("FETCH", uids, items)
            if done != "OK":
                self._asking.refused("fetching")
            return list(records)

    # -- the account

    def quota(self) -> Steps[list[tuple[str, int, int]]]:
        """(resource, used, limit) of INBOX, resources as RFC 9208 names them; nothing if not told."""
        if "QUOTA" not in self.capabilities:
            return []
        with contextlib.suppress(ProtocolError), self._asking("asking for the quota"):
            yield from self._said("asking for the quota", "GETQUOTAROOT INBOX")
            roots = parse_response(self._untagged("QUOTA"))[1::2]  # each after its name
            told = [root[at : at + 3] for root in roots for at in range(0, len(root), 3)]
            numbers = [(_text(name).upper(), fetched.number(u), fetched.number(lim)) for name, u, lim in told]
            return [(name, used, limit) for name, used, limit in numbers if used is not None and limit]
        return []

    def noop(self) -> None:
        """Show that we are there, and learn whether the server is."""
        self.ask(self._noop())

    def _noop(self) -> Steps[None]:
        with self._asking("keeping the connection alive"):
            yield from self._said("keeping the connection alive", "NOOP")

    def close(self) -> None:
        """Say LOGOUT and close. Never raises, never waits."""
        with contextlib.suppress(Exception):
            self.wire.send(b"Z LOGOUT\r\n")
        self.drop()

    def drop(self) -> None:
        """Close without a word. Never raises."""
        self.wire.shutdown()


_ID = f'ID ("name" "pop2imap" "version" "{__version__}")'
_ID_SHOWN = (b"name", b"version")


def _text(octets: bytes | str) -> str:
    return octets if isinstance(octets, str) else octets.decode("utf-8", "surrogateescape")


def _shown(raw: object) -> str:
    return printable(raw if isinstance(raw, bytes) else str(raw))


def _records(data: Sequence[fetched.Record | None]) -> Iterator[list[fetched.Record]]:
    """imaplib's records, response by response, for imapclient's parser."""
    record: list[fetched.Record] = []
    for part in data:
        if part is None:
            continue
        record.append(part)
        if not isinstance(part, tuple):
            if record != [b""]:
                yield record
            record = []


def _name(raw: object) -> str | None:
    """A listed name, decoded; None if it could not be sent back as it came."""
    if isinstance(raw, int):
        raw = str(raw).encode()
    if not isinstance(raw, bytes) or len(raw) > LISTED_OCTETS:
        return None
    try:
        name: str = decode_mutf7(raw)
    except UnicodeDecodeError:
        return None
    return name if encode_mutf7(name) == raw else None


def _same(told: str | None, asked: str) -> bool:
    return told == asked or (told is not None and is_inbox(told) and is_inbox(asked))


def _spaces(told: Any) -> list[tuple[str, str]]:
    """Prefix and delimiter of each namespace of one kind."""
    return [(decode_mutf7(prefix), _text(delimiter or b"")) for prefix, delimiter, *_ in told or ()]


def _holds_inbox(prefix: str) -> bool:
    return prefix == "" or prefix.upper().startswith("INBOX")


def encoded(name: str) -> bytes:
    """A mailbox name in modified UTF-7 (RFC 3501 5.1.3). Raises FolderError for what no server should see."""
    check_name(name)
    octets: bytes = encode_mutf7(name)
    if len(octets) > NAME_OCTETS:
        raise FolderError(
            f"the name takes {len(octets)} octets on the server; {NAME_OCTETS} are safe",
            where=printable(name),
            todo="choose a shorter folder name",
        )
    return octets


def _wire_name(name: str) -> str:
    return quoted(encoded(name)).decode("ascii")
