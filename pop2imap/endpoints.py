"""Endpoints as people write them.

::

    pop3s://USER@HOST[:PORT]        POP3, TLS from the first octet          995
    pop3+starttls://USER@HOST       POP3, upgraded with STLS                110
    pop3://USER@HOST                POP3 in clear text: loopback only       110
    imaps://  imap+starttls://  imap://            the same for IMAP        993, 143, 143
    mbox:PATH                       an mbox file, compressed or not, an archive of such files, a directory of them
    thunderbird:PATH                a Thunderbird profile
    maildir:PATH  mh:PATH           a Maildir, an MH store
    eml:PATH                        a directory of .eml or .emlx files
    takeout:PATH                    mail of Google Takeout, with its labels
    PATH                            a file or directory whose kind is found out
    -  or  mbox:-                   an mbox on standard input

A user name with ``@`` may stand as it is, since the *last* ``@`` splits, or as ``%40``. Whatever could be a
password is never repeated: not in an error, not in a repr. Until a text has been taken apart, any part of it
could be one, so errors show only the parts that are known to be something else.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
import stat
from pathlib import Path
from typing import NamedTuple, NoReturn
from urllib.parse import quote, unquote

from pop2imap.errors import SourceDataError, UsageError
from pop2imap.kinds import LOCAL, Kind, has_labels, kind_of_directory
from pop2imap.net import Server, Timeouts, Transport, is_loopback
from pop2imap.text import printable

_SCHEMES: dict[str, tuple[Kind, Transport, int]] = {
    "pop3s": (Kind.POP3, Transport.TLS, 995),
    "pop3+starttls": (Kind.POP3, Transport.STARTTLS, 110),
    "pop3": (Kind.POP3, Transport.CLEAR, 110),
    "imaps": (Kind.IMAP, Transport.TLS, 993),
    "imap+starttls": (Kind.IMAP, Transport.STARTTLS, 143),
    "imap": (Kind.IMAP, Transport.CLEAR, 143),
}
_NEARLY = {
    "pops": "pop3s",
    "pop": "pop3s",
    "pop3+ssl": "pop3s",
    "pop3+tls": "pop3s",
    "pop3+stls": "pop3+starttls",
    "imap+ssl": "imaps",
    "imap+tls": "imaps",
    "imap4": "imaps",
    "imap4s": "imaps",
}
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_SAFE_IN_USER = "@!$&'()*+,;=~"

_MAGIC: tuple[tuple[bytes, str, str], ...] = (
    (b"!BDN", "an Outlook .pst file", "turn it into mbox files first, for example with readpst"),
    (b"SQLite format 3\x00", "an SQLite database", "name the mbox file itself"),
    (b"\x01\x01\x01\x01", "an MMDF mailbox", "turn it into an mbox first"),
    (b"*mbx*\r\n", "a UW mbx mailbox", "turn it into an mbox first, for example with mailutil"),
    (b"\xcf\xad\x12\xfe", "an Outlook Express .dbx file", "turn it into an mbox first"),
    (b"BABYL OPTIONS", "an Emacs Babyl file", "turn it into an mbox first"),
    (b"// <!-- <mdb:mork", "a Thunderbird index (.msf)", "name the file of the same name without .msf"),
)
PACKED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd", b"PK\x03\x04")
"""How gzip, bzip2, xz, zstd and zip files begin."""

_HEADER_LINE = re.compile(rb"[!-9;-~]{1,76}:[ \t]")


class Endpoint(NamedTuple):
    """One end of a move. ``user``, ``host`` (A-labels, or an address without brackets), ``port`` and
    ``transport`` are those of a server; ``path`` (absolute) is that of a file, None for standard input."""

    kind: Kind
    user: str = ""
    host: str = ""
    port: int = 0
    transport: Transport = Transport.TLS
    path: Path | None = None

    def server(self, ca_file: Path | None = None, timeouts: Timeouts | None = None) -> Server:
        """Where to connect. Not for files."""
        assert not self.kind.is_local
        return Server(self.host, self.port, self.transport, ca_file, timeouts or Timeouts())

    def __str__(self) -> str:
        """The canonical spelling: ``parse`` of it gives an equal endpoint."""
        if self.kind.is_local:
            return f"{self.kind.value}:{self.path or '-'}"
        scheme, default = next(
            (name, port)
            for name, (kind, transport, port) in _SCHEMES.items()
            if kind is self.kind and transport is self.transport
        )
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == default else f":{self.port}"
        return f"{scheme}://{quote(self.user, safe=_SAFE_IN_USER)}@{host}{port}"


def parse(text: str, *, allow_cleartext: bool = False, base: Path | None = None) -> Endpoint:
    """The endpoint that ``text`` names. ``base`` is the folder that relative paths start from (default: the
    current one).

    Raises UsageError for what cannot be meant, SourceDataError for a bare path to something that is no mail.
    """
    if text in {"-", "mbox:-"}:
        return Endpoint(Kind.MBOX)
    word, colon, path = text.partition(":")
    if colon and word in LOCAL:
        return Endpoint(LOCAL[word], path=_local_path(word, path, base))
    if found := _SCHEME.fullmatch(text):
        return _server_endpoint(found[1].lower(), found[2], allow_cleartext)
    return _bare(text, base)


def _server_endpoint(scheme: str, rest: str, allow_cleartext: bool) -> Endpoint:
    if scheme not in _SCHEMES:
        _unknown_scheme(scheme)
    kind, transport, default_port = _SCHEMES[scheme]
    example = f"{scheme}://USER@HOST"
    userinfo, at, authority = rest.rpartition("@")
    if ":" in userinfo:
        raise UsageError(
            "this URL holds a password",
            where=f"{scheme}://",
            todo="what is typed there stays in the shell's history and in lists of processes, so change that "
            "password; then write the URL without it and use --source-password-file/--target-password-file, "
            "…-password-command, or let pop2imap ask. A ':' in a user name is written %3A",
        )
    if any(mark in rest for mark in "?#") or "/" in userinfo or "/" in authority.removesuffix("/"):
        raise UsageError(
            "only user, host and port belong into this URL, no path, '?' or '#'",
            where=f"{scheme}://",
            todo=f"write {example}; in a user name '/' is written %2F, '?' %3F and '#' %23",
        )
    host, port = _host_and_port(scheme, authority.removesuffix("/"), default_port, sure=bool(at))
    if not userinfo:
        raise UsageError("no user name", where=f"{scheme}://", todo=f"write {example}")
    endpoint = Endpoint(kind, _user(scheme, userinfo), host, port, transport)
    if not allow_cleartext:
        require_encryption(endpoint)
    return endpoint


def require_encryption(endpoint: Endpoint) -> None:
    """Raise UsageError if ``endpoint`` would be reached in clear text over a network."""
    if endpoint.kind.is_local or endpoint.transport is not Transport.CLEAR or is_loopback(endpoint.host):
        return
    protocol = endpoint.kind.value
    raise UsageError(
        "refused: password and mail would travel in clear text",
        where=f"{protocol}://…@{endpoint.host}",
        todo=f"write {protocol}s:// or {protocol}+starttls://; --allow-cleartext if there is no other way",
    )


def _unknown_scheme(scheme: str) -> NoReturn:
    if scheme == "file" or scheme in LOCAL:
        word = scheme if scheme in LOCAL else "mbox"
        raise UsageError(
            "files are named without slashes before them", where=f"{scheme}://", todo=f"{word}:PATH"
        )
    near = _NEARLY.get(scheme) or next(iter(difflib.get_close_matches(scheme, _SCHEMES, 1)), None)
    known = ", ".join(f"{name}://" for name in _SCHEMES)
    raise UsageError(
        "pop2imap does not know this kind of endpoint",
        where=f"{printable(scheme, 40)}://",
        todo=f"did you mean {near}://?"
        if near
        else f"one of {known}, {', '.join(f'{word}:PATH' for word in LOCAL)}",
    )


def _user(scheme: str, userinfo: str) -> str:
    try:
        user = unquote(userinfo, errors="strict")
    except UnicodeDecodeError:
        user = "\0"
    if any(not c.isprintable() for c in user):
        raise UsageError(
            "the user name holds characters that no login takes",
            where=f"{scheme}://",
            todo="only '%' followed by two hex digits stands for another character; '%' itself is %25",
        )
    return user


def _host_and_port(scheme: str, authority: str, default_port: int, *, sure: bool) -> tuple[str, int]:
    """``sure``: an ``@`` stood before it, so that it is no user name (and no password) for certain."""
    if found := re.fullmatch(r"\[([^\]]*)\](?::(.*))?", authority, re.DOTALL):
        host, port = _ip_address(scheme, found[1]), found[2]
    else:
        name, colon, after = authority.partition(":")
        if ":" in after:
            raise UsageError(
                "more than one ':' after the host",
                where=f"{scheme}://",
                todo="an IPv6 address stands in brackets: [::1]:110",
            )
        if not sure:
            raise UsageError("no user name", where=f"{scheme}://", todo=f"write {scheme}://USER@HOST")
        host, port = _host_name(scheme, name), after if colon else None
    if port is None:
        return host, default_port
    if not re.fullmatch(r"[0-9]{1,5}", port) or not 1 <= int(port) <= 65535:
        raise UsageError(
            "the port is no number from 1 to 65535",
            where=f"{scheme}://",
            todo=f"leave it out for the usual one, {default_port}",
        )
    return host, int(port)


def _ip_address(scheme: str, text: str) -> str:
    try:
        address = ipaddress.IPv6Address(text.replace("%25", "%", 1))
    except ValueError:
        raise UsageError(
            "there is no IPv6 address between the brackets", where=f"{scheme}://", todo="for example [::1]"
        ) from None
    return str(address)


def _host_name(scheme: str, name: str) -> str:
    """``name`` in lower-case ASCII. Internal names may hold underscores, so this is wider than RFC 952."""
    ascii_name = name.rstrip(".").lower()
    if not ascii_name.isascii():
        import idna

        try:
            ascii_name = idna.encode(ascii_name, uts46=True).decode("ascii")
        except idna.IDNAError as error:
            raise UsageError(
                f"'{printable(name, 80)}' is no host name: {printable(str(error), 80)}", where=f"{scheme}://"
            ) from None
    labels = ascii_name.split(".")
    if len(ascii_name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise UsageError(
            f"'{printable(name, 80)}' is no host name" if name else "no host name",
            where=f"{scheme}://",
            todo=f"write {scheme}://USER@HOST",
        )
    if labels[-1].isdigit():
        try:
            ipaddress.IPv4Address(ascii_name)
        except ValueError:
            raise UsageError(
                f"'{printable(name, 80)}' is neither a host name nor an IPv4 address", where=f"{scheme}://"
            ) from None
    return ascii_name


def _local_path(word: str, text: str, base: Path | None) -> Path:
    where = f"{word}:"
    if not text:
        otherwise = ", or - for standard input" if word == Kind.MBOX.value else ""
        raise UsageError("no path", where=where, todo=f"write {word}:PATH{otherwise}")
    if re.match(r"//(?!/)", text):
        raise UsageError(
            "files are named without slashes before them", where=where, todo=f"write {word}:PATH"
        )
    return _absolute(text, base)


def _absolute(text: str, base: Path | None) -> Path:
    if "\0" in text:
        raise UsageError("a path cannot hold a NUL character")
    return Path(base or Path.cwd(), os.path.expanduser(text)).absolute()


def _bare(text: str, base: Path | None) -> Endpoint:
    if not text:
        raise UsageError("one of the endpoints is empty")
    path = _absolute(text, base)
    try:
        status = path.stat()
    except OSError as error:
        _not_there(text, error)
    try:
        if stat.S_ISDIR(status.st_mode):
            return Endpoint(kind_of_directory(path), path=path)
    except OSError as error:
        raise SourceDataError(f"cannot be looked at: {error.strerror}", where=printable(text)) from None
    return Endpoint(_kind_of_file(path) if stat.S_ISREG(status.st_mode) else Kind.MBOX, path=path)


def _not_there(text: str, error: OSError) -> NoReturn:
    if "@" in text or ":" in text:  # rather a URL gone wrong than a file, so perhaps with a password in it
        raise UsageError(
            "one of the endpoints is neither a URL nor a file",
            todo="write pop3s://USER@HOST, imaps://USER@HOST or mbox:PATH, without any password",
        ) from None
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        raise SourceDataError("no such file", where=printable(text), todo="check the path") from None
    raise SourceDataError(f"cannot be looked at: {error.strerror}", where=printable(text)) from None


def _kind_of_file(path: Path) -> Kind:
    """Raises SourceDataError unless ``path`` begins as an mbox does, or an archive or a compressed file (or is empty,
    as an empty mbox is)."""
    where = printable(str(path))
    try:
        with open(path, "rb") as file:
            start = file.read(4096)
    except OSError as error:
        raise SourceDataError(f"cannot be read: {error.strerror}", where=where) from None
    if start and not start.startswith((b"From ", *PACKED)) and start[257:262] != b"ustar":
        raise not_an_mbox(start[:512], where, "if it is one all the same, write mbox:PATH")
    is_takeout = has_labels(start) or (path.name.lower().startswith("takeout") and start.startswith(PACKED))
    return Kind.TAKEOUT if is_takeout else Kind.MBOX


def not_an_mbox(start: bytes, where: str, otherwise: str) -> SourceDataError:
    """The error that says what a file is instead of an mbox. ``start`` is how it begins (some 500 octets),
    ``where`` its name, printable; ``otherwise`` is what to do about a file of no known kind."""
    for magic, what, todo in _MAGIC:
        if start.startswith(magic):
            return SourceDataError(
                f"this is {what}, not an mbox", where=where, todo=todo.replace("FILE", where)
            )
    if _HEADER_LINE.match(start):
        what = "this looks like a single message, not an mbox, in which each message begins with a From line"
    else:
        what = f"no mbox: it begins with '{printable(start[:24], 60)}', not with 'From '"
    return SourceDataError(what, where=where, todo=otherwise)
