"""One IMAP session: connecting, login, and every command but APPEND. The only importer of imapclient.

imapclient and imaplib do the talking; this module keeps their traps shut (:mod:`pop2imap.target.wire` some of
them) and speaks to the rest of the program in our own words:

* Nothing untagged outlives its command. imaplib piles it up, even what an attacker sent before STARTTLS.
* STARTTLS is all or nothing: not offered, refused, PREAUTH, or one octet that stands behind its OK in clear
  text ends the connection before any credential is sent (RFC 3501 6.2.1, RFC 9051 11.1).
* What a refusal says is read from the last line that came, by :mod:`pop2imap.target.answers`, never from the
  text of an exception.
* Whatever a server may say that imapclient cannot read (ValueError, IndexError and more) is a ProtocolError.
* No exception that leaves ``login`` holds the secret, nor hangs on one that does.

Errors of every method: ConnectionLost, ProtocolError, ServerBusy; FolderError where a folder is concerned.

This file stays whole although it is long: each command is a few lines, and the wall around imapclient has one
gate.
"""

from __future__ import annotations

import contextlib
import imaplib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from imapclient import IMAPClient
from imapclient.imap_utf7 import decode as decode_mutf7
from imapclient.imap_utf7 import encode as encode_mutf7
from imapclient.response_parser import parse_response

from pop2imap import __version__, net
from pop2imap.credentials import Secret
from pop2imap.errors import (
    AuthenticationFailed,
    ConnectionLost,
    FolderError,
    HostUnavailable,
    Pop2imapError,
    ProtocolError,
    ServerBusy,
    TlsRefused,
)
from pop2imap.logs import said
from pop2imap.model import Found
from pop2imap.target import fetched
from pop2imap.target.answers import Answer, Meaning, parse
from pop2imap.target.append import quoted
from pop2imap.target.folders import Listed, check_name
from pop2imap.target.wire import CANNOT_READ, NoGreeting, Sink, Wire
from pop2imap.text import printable

logging.getLogger("imapclient").addHandler(logging.NullHandler())
logging.getLogger("imapclient").propagate = False  # it would log folder names and mail
log = logging.getLogger(__name__)

NAME_OCTETS = 200
"""Octets of a mailbox name in modified UTF-7: Maildir++ keeps a whole path in one file name of at most 255."""

UIDS_AT_ONCE = 5_000
WIDEST_RANGE = 65_536
"""UIDs of one FETCH of a survey; wider where many are missing, so that one answer stays bounded."""


class _Client(IMAPClient):  # type: ignore[misc]
    """imapclient on our :class:`Wire`."""

    def __init__(self, server: net.Server) -> None:
        self._server = server
        super().__init__(server.host, server.port, ssl=server.transport is net.Transport.TLS)
        self.normalise_times = False
        self._imap.debug = 4  # imapclient set 5: every line would be formatted for a log that nobody keeps
        self._imap._mesg = lambda *_: None

    def _create_IMAP4(self) -> Wire:  # noqa: N802
        return Wire(self._server)

    def _set_read_timeout(self) -> None:
        """The connection has its own deadlines."""


@dataclass(frozen=True, slots=True)
class Status:
    """What STATUS says of a mailbox. None: the server did not say."""

    uidvalidity: int | None
    uidnext: int | None
    messages: int | None
    append_limit: int | None


@dataclass(frozen=True, slots=True)
class Selected:
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

    def __init__(self, server: net.Server) -> None:
        self.server = server
        self._where = str(server)
        self.capabilities: frozenset[str] = frozenset()
        client = self._connect()
        try:
            self._client = client
            self.wire: Wire = client._imap
            self.greeting = ""
            if server.transport is net.Transport.STARTTLS:
                self._start_tls()
            elif self.wire.state == "AUTH":
                raise AuthenticationFailed(
                    "the server says that somebody is logged in already (PREAUTH), not who", where=self._where
                )
            else:
                self.greeting = parse(self.wire.welcome).text
        except BaseException:
            client._imap.shutdown()
            raise

    # -- connecting

    def _connect(self) -> _Client:
        try:
            return _Client(self.server)
        except NoGreeting as error:
            line = error.line
        with contextlib.suppress(ProtocolError):
            answer = parse(line)
            if answer.kind == "BYE":
                raise self._busy_or(HostUnavailable, "the server will not talk to us", answer)
        raise ProtocolError(
            f"what listens there does not speak IMAP: {said(line, 100)}",
            where=self._where,
            todo="check host and port",
        )

    def _start_tls(self) -> None:
        def unsafe(what: str, todo: str = "") -> TlsRefused:
            return TlsRefused(what, where=self._where, todo=todo)

        if self.wire.state != "NONAUTH":
            raise unsafe("the server claims a login before STARTTLS (PREAUTH), which makes TLS impossible")
        if "STARTTLS" not in self.wire.capabilities:
            raise unsafe("the server does not offer STARTTLS", "use imaps:// if it listens on port 993")
        try:
            with self._asking("asking for STARTTLS"):
                done, _ = self.wire._simple_command("STARTTLS")
        except (ProtocolError, ServerBusy) as error:
            raise unsafe(f"the server refuses STARTTLS: {error.what}") from None
        if done != "OK":
            raise unsafe(f"the server refuses STARTTLS: {self._answer().words}")
        if self.wire.buffered():
            raise unsafe("somebody put octets behind the server's answer to STARTTLS: this may be an attack")
        self.wire.connection.start_tls()
        # whatever came in clear text may be an attacker's
        self.wire.untagged_responses.clear()
        self.wire.capabilities = ()
        self._client._cached_capabilities = None
        self._client._starttls_done = True

    def login(self, user: str, password: Secret, login_as: str = "") -> None:
        """Log in as ``user``, or with the rights of ``user`` as ``login_as`` (SASL PLAIN, RFC 4616), and learn
        what the server can do from now on.

        One mechanism is tried, once: a second guess may lock an account. Raises AuthenticationFailed,
        ServerBusy.
        """
        self._read_capabilities()
        plain = "AUTH=PLAIN" in self.capabilities
        self._check_login(plain, user, password, login_as)
        failure: Pop2imapError | None = None
        try:
            self._log_in(plain, user, password, login_as)
        except Pop2imapError as error:
            failure = error
        except Exception:  # its text, its traceback and what it came from may hold the password
            failure = self._login_refused()
        if failure is not None:
            failure.__cause__ = failure.__context__ = None
            raise failure.with_traceback(None)
        self._read_capabilities()

    def _check_login(self, plain: bool, user: str, password: Secret, login_as: str) -> None:
        def refuse(what: str, todo: str = "") -> NoReturn:
            raise AuthenticationFailed(what, where=self._where, todo=todo)

        if any(mark in text for text in (user, login_as, password.reveal()) for mark in "\0\r\n"):
            refuse("user name or password holds a line break or a NUL, which no login takes")
        if plain:
            return
        if login_as:
            refuse("logging in for somebody else needs AUTH=PLAIN, which this server does not offer")
        if "LOGINDISABLED" in self.capabilities:
            clear = self.server.transport is net.Transport.CLEAR
            refuse(
                "the server allows no password here (LOGINDISABLED)",
                "use imaps:// or imap+starttls://" if clear else "",
            )
        if not (user + password.reveal()).isascii():
            refuse("the server offers only LOGIN, which takes no characters beyond ASCII")

    def _log_in(self, plain: bool, user: str, password: Secret, login_as: str) -> None:
        self.wire.untagged_responses.clear()
        if plain:
            self._client.plain_login(user, password.reveal(), login_as)
            return
        # imaplib would send the user name as it is: not quoted
        arguments = (quoted(text.encode("ascii")).decode("ascii") for text in (user, password.reveal()))
        done, _ = self.wire._simple_command("LOGIN", *arguments)
        if done != "OK":
            raise imaplib.IMAP4.error("refused")
        self.wire.state = "AUTH"

    def _login_refused(self) -> Pop2imapError:
        try:
            answer = self._answer()
            if answer.kind not in {"NO", "BAD", "BYE"}:
                self._unreadable("logging in")
        except ProtocolError as error:
            return error
        if answer.kind == "BYE" or answer.meaning in {Meaning.BUSY, Meaning.LIMIT}:
            return self._busy_or(ConnectionLost, "not logged in", answer)
        return AuthenticationFailed(
            f"login refused: {answer.words}", where=self._where, todo="check user name and password"
        )

    def _read_capabilities(self) -> None:
        with self._asking("asking what the server can do"):
            self.wire._simple_command("CAPABILITY")
            told = self.wire.untagged_responses.pop("CAPABILITY", [])
        self.capabilities = frozenset(
            word.upper() for line in told if isinstance(line, bytes) for word in _text(line).split()
        )
        self._client._cached_capabilities = tuple(sorted(word.encode() for word in self.capabilities))

    def identify(self) -> str:
        """What the server calls itself, told our own name (RFC 2971), or the text of its greeting."""
        if "ID" in self.capabilities:
            with contextlib.suppress(ProtocolError):
                fields = self._ask("exchanging names", self._client.id_, _OUR_NAME)
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

    # -- folders

    def namespace(self) -> tuple[str | None, str, tuple[str, ...]]:
        """Prefix and delimiter of the personal namespace, and the prefixes of all others (RFC 2342).

        A server without NAMESPACE tells no prefix, but its delimiter: "" where names have no levels.
        """
        if "NAMESPACE" in self.capabilities:
            with contextlib.suppress(ProtocolError):
                spaces = self._ask("asking for namespaces", self._client.namespace)
                others = tuple(prefix for kind in spaces[1:] for prefix, _ in kind or ())
                personal = sorted(spaces.personal or (), key=lambda space: not _holds_inbox(space[0]))
                if personal:
                    prefix, delimiter = personal[0]
                    if prefix and delimiter and not prefix.endswith(delimiter):
                        prefix += delimiter
                    foreign = (*others, *(other for other, _ in personal[1:]))
                    return prefix, delimiter or "", tuple(filter(None, foreign))
        root = self._list("LIST", '""', '""')
        return None, root[0].delimiter if root else "", ()

    def listing(self) -> list[Listed]:
        """Every mailbox of the account, special uses included (RFC 6154)."""
        if "SPECIAL-USE" in self.capabilities and "LIST-EXTENDED" in self.capabilities:
            with contextlib.suppress(ProtocolError):  # QUIRK(some): offered, and answered with BAD
                return self._list("LIST", '""', '"*"', "RETURN (SPECIAL-USE)")
        return self._list("LIST", '""', '"*"')

    def subscribed(self) -> set[str]:
        """The names that are subscribed."""
        return {listed.name for listed in self._list("LSUB", '""', '"*"')}

    def _list(self, command: str, *arguments: str) -> list[Listed]:
        with self._asking("listing folders"):
            done, _ = self.wire._simple_command(command, *arguments)
            if done != "OK":
                self._refuse("listing folders")
            listed = []
            for record in _records(self.wire.untagged_responses.pop(command, [])):
                parsed = parse_response(record)
                attributes, delimiter, raw = parsed[:3]
                name = _name(raw)
                if name is None:
                    log.warning("a folder of the server is left out: its name %s cannot be read", _shown(raw))
                    continue
                names = frozenset(_text(attribute).lower() for attribute in attributes)
                listed.append(Listed(name, _text(delimiter or b""), names))
            return listed

    def create(self, name: str, use: str = "") -> str:
        """Make a mailbox, with a special use if ``use`` names one and the server can (RFC 6154 3).

        Returns nothing when it was made, else what the server said: the caller looks whether it is there.
        """
        arguments = [_wire_name(name)]
        if use and "CREATE-SPECIAL-USE" in self.capabilities:
            arguments.append(f"(USE ({use}))")
        with self._asking("creating a folder", name):
            done, _ = self.wire._simple_command("CREATE", *arguments)
            answer = self._answer()
        if done == "OK":
            return ""
        if answer.meaning is Meaning.BUSY:
            raise self._busy_or(ServerBusy, "creating a folder", answer)
        if len(arguments) > 1:
            return self.create(name)  # the use is taken, or not allowed: the folder matters more
        return answer.words

    def subscribe(self, name: str) -> None:
        """Raises FolderError."""
        self._ask("subscribing to a folder", self._client.subscribe_folder, name, folder=name)

    def status(self, name: str) -> Status:
        """Raises FolderError, also when there is no such mailbox."""
        items = ["MESSAGES", "UIDNEXT", "UIDVALIDITY"]
        if "APPENDLIMIT" in self.capabilities:  # without a value: it differs by mailbox (RFC 7889 2)
            items.append("APPENDLIMIT")
        told: Mapping[bytes, object] = self._ask(
            "asking for the state of a folder", self._client.folder_status, name, items, folder=name
        )
        values = {key.upper(): fetched.number(value) for key, value in told.items() if isinstance(key, bytes)}
        return Status(
            values.get(b"UIDVALIDITY") or None,
            values.get(b"UIDNEXT") or None,
            values.get(b"MESSAGES"),
            values.get(b"APPENDLIMIT"),
        )

    def select(self, name: str, *, read_only: bool) -> Selected:
        """SELECT, or EXAMINE where nothing must change. Raises FolderError."""
        with self._asking("opening a folder", name):
            self.wire.state = "AUTH"  # a failed one leaves none selected (RFC 3501 6.3.1)
            done, _ = self.wire._simple_command("EXAMINE" if read_only else "SELECT", _wire_name(name))
            answer = self._answer()
            if done != "OK":
                self._refuse("opening a folder", name)
            self.wire.state = "SELECTED"
            told = self.wire.untagged_responses
            lines = [line for line in told.get("OK", ()) if isinstance(line, bytes)]
            codes = {code.code: code.argument for code in (parse(b"* OK " + line) for line in lines)}
            exists = fetched.number(told["EXISTS"][-1]) if told.get("EXISTS") else None
        flags = codes.get("PERMANENTFLAGS")
        return Selected(
            fetched.number(codes.get("UIDVALIDITY", "").encode()) or None,
            fetched.number(codes.get("UIDNEXT", "").encode()) or None,
            exists or 0,
            None if flags is None else frozenset(flags.strip("()").lower().split()),
            answer.code == "READ-ONLY",
        )

    def unselect(self) -> None:
        """Leave the selected mailbox, never with CLOSE, which expunges."""
        if self.wire.state != "SELECTED":
            return
        with contextlib.suppress(ProtocolError), self._asking("leaving a folder"):
            if "UNSELECT" in self.capabilities:
                self.wire._simple_command("UNSELECT")
            else:  # an EXAMINE that fails leaves none selected
                self.wire._simple_command("EXAMINE", '""')
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
            digests.append(fetched.BodyDigest())
            return digests[-1].update

        self.wire.new_sink = new_sink
        try:
            records = self._fetch_records(fetched.uid_set(uids), "(UID BODY.PEEK[])")
        finally:
            self.wire.new_sink = None
        bodies = fetched.bodies(records, digests)
        return {uid: digest.digests for uid, digest in bodies}

    def _fetch(self, uids: str, items: str) -> Iterator[bytes]:
        return fetched.responses(self._fetch_records(uids, items))

    def _fetch_records(self, uids: str, items: str) -> list[fetched.Record | None]:
        with self._asking("fetching"):
            done, records = self.wire.uid("FETCH", uids, items)
            if done != "OK":
                self._refuse("fetching")
            return list(records)

    # -- the account

    def quota(self) -> list[tuple[str, int, int]]:
        """(resource, used, limit) of INBOX, resources as RFC 9208 names them; nothing if not told."""
        if "QUOTA" not in self.capabilities:
            return []
        with contextlib.suppress(ProtocolError):
            _, quotas = self._ask("asking for the quota", self._client.get_quota_root, "INBOX")
            numbers = [(q.resource.upper(), fetched.number(q.usage), fetched.number(q.limit)) for q in quotas]
            return [(name, used, limit) for name, used, limit in numbers if used is not None and limit]
        return []

    def noop(self) -> None:
        """Show that we are there, and learn whether the server is."""
        with self._asking("keeping the connection alive"):
            self.wire._simple_command("NOOP")

    def close(self) -> None:
        """Say LOGOUT and close. Never raises, never waits."""
        with contextlib.suppress(Exception):
            self.wire.send(b"Z LOGOUT\r\n")
        self.drop()

    def drop(self) -> None:
        """Close without a word. Never raises."""
        self.wire.shutdown()

    # -- errors

    @contextlib.contextmanager
    def _asking(self, doing: str, folder: str = "") -> Iterator[None]:
        """Around every command: nothing old before it, only errors of ours after it."""
        self.wire.untagged_responses.clear()
        try:
            yield
        except imaplib.IMAP4.abort:
            answer = self._answer()
            if answer.kind != "BYE":
                self._unreadable(doing)
            raise self._busy_or(
                ConnectionLost, f"the server ended the session while {doing}", answer
            ) from None
        except imaplib.IMAP4.error:
            self._refuse(doing, folder)
        except CANNOT_READ:
            self._unreadable(doing)

    def _ask(self, doing: str, call: Callable[..., object], *arguments: object, folder: str = "") -> Any:
        """Call one of imapclient's methods that do a whole command."""
        with self._asking(doing, folder):
            return call(*arguments)

    def _answer(self) -> Answer:
        return parse(self.wire.last_line)

    def _refuse(self, doing: str, folder: str = "") -> NoReturn:
        """Raise what the last answer, a NO or BAD, means."""
        answer = self._answer()
        if answer.kind not in {"NO", "BAD"}:
            self._unreadable(doing)
        if answer.meaning is Meaning.BUSY:
            raise self._busy_or(ServerBusy, f"refused while {doing}", answer) from None
        if folder:
            raise FolderError(f"refused while {doing}: {answer.words}", where=printable(folder)) from None
        raise ProtocolError(f"refused while {doing}: {answer.words}", where=self._where) from None

    def _unreadable(self, doing: str) -> NoReturn:
        last = said(self.wire.last_line, 100)
        raise ProtocolError(
            f"an answer that cannot be read while {doing}: {last}", where=self._where
        ) from None

    def _busy_or(self, otherwise: type[Pop2imapError], what: str, answer: Answer) -> Pop2imapError:
        """ServerBusy if the server says that it is, else ``otherwise``."""
        busy = answer.meaning in {Meaning.BUSY, Meaning.LIMIT}
        return (ServerBusy if busy else otherwise)(
            f"{what}: {answer.words}", where=self._where, retry_after=answer.retry_after
        )


_OUR_NAME = {"name": "pop2imap", "version": __version__}
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
    if not isinstance(raw, bytes):
        return None
    try:
        name: str = decode_mutf7(raw)
    except UnicodeDecodeError:
        return None
    return name if encode_mutf7(name) == raw else None


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
