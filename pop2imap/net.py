"""Connecting, TLS and deadlines, for every protocol alike.

Certificates are always checked, host name included; there is no option that turns this off. A private CA is
named with ``ca_file``. Clear text is for loopback; whoever asks for more must say so (``config`` decides).

Deadlines are *progress* deadlines: each send of a bounded chunk and each receive must move something within
``Timeouts.idle`` seconds, and what a server has begun to say must go on at a :class:`Pace`.
``socket.sendall`` alone will not do: on a plain socket its time-out covers the whole call, so a large message
on a slow link would fail while it is moving.
"""

from __future__ import annotations

import contextlib
import ipaddress
import select
import socket
import ssl
import time
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from pop2imap.errors import ConfigError, ConnectionLost, HostUnavailable, TlsRefused

_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)  # Linux

SEND_CHUNK = 1 << 16

SHORT = 4096
"""Octets of a receive below which the sender may wait for our acknowledgement. A stream of mail needs none."""

SLOWEST = 1024
"""Octets per second below which a server is not sending but holding on."""

SLOW_FOR = 60.0
"""Seconds of waiting within a reply over which that is measured."""


class Transport(Enum):
    """How the octets of a protocol travel."""

    TLS = "tls"  # implicit TLS from the first octet (RFC 8314)
    STARTTLS = "starttls"  # clear greeting, then STLS (POP3) or STARTTLS (IMAP), or nothing at all
    CLEAR = "clear"


class Timeouts(NamedTuple):
    """Seconds. ``connect`` covers one address; ``idle`` is the longest wait for any progress."""

    connect: float = 30.0
    idle: float = 120.0


class Server(NamedTuple):
    """Where a mail server listens. ``host`` is in ASCII (IDN as A-labels) or an IP address without brackets."""

    host: str
    port: int
    transport: Transport
    ca_file: Path | None = None
    timeouts: Timeouts = Timeouts()

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def is_loopback(host: str) -> bool:
    """Whether ``host`` can only mean this machine: ``localhost`` or a loopback address."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def tls_context(server: Server) -> ssl.SSLContext:
    """A verifying client context, TLS 1.2 or newer. Raises ConfigError if the CA file cannot be used."""
    try:
        context = ssl.create_default_context(cafile=server.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            "cannot be used as a file of CA certificates",
            where=str(server.ca_file),
            todo="it must hold one or more certificates in PEM form",
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


@contextlib.contextmanager
def network_errors(server: Server, doing: str) -> Iterator[None]:
    """Turn what sockets and TLS raise into our tree. ``doing`` completes "... while <doing>"."""
    where = str(server)
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        raise TlsRefused(
            f"the certificate is not to be trusted: {error.verify_message}",
            where=where,
            todo="check the host name; for a private CA use --source-ca/--target-ca FILE",
        ) from error
    except ssl.SSLEOFError as error:  # it may have hung up for any reason, on us as on everybody
        if doing == "connecting":
            raise HostUnavailable(
                "the server hung up in the TLS handshake",
                where=where,
                todo="if it does so each time, check the port, and pops/imaps against +starttls",
            ) from error
        raise ConnectionLost(f"connection lost while {doing}", where=where) from error
    except ssl.SSLError as error:
        if doing == "connecting":
            raise TlsRefused(
                f"no TLS there: {error.reason or error}",
                where=where,
                todo="check the port, and pops/imaps against +starttls",
            ) from error
        raise ConnectionLost(f"TLS failed while {doing}: {error.reason or error}", where=where) from error
    except socket.gaierror as error:
        raise HostUnavailable(
            f"unknown host: {error.strerror}",
            where=where,
            todo="check the spelling of the host name",
        ) from error
    except TimeoutError as error:
        raise ConnectionLost(f"no answer while {doing}", where=where) from error
    except ConnectionRefusedError as error:
        raise HostUnavailable(
            "nothing listens there: connection refused", where=where, todo="check host and port"
        ) from error
    except (EOFError, OSError) as error:
        if doing == "connecting":
            raise HostUnavailable(f"cannot connect: {error}", where=where) from error
        raise ConnectionLost(f"connection lost while {doing}: {error}", where=where) from error


class Pace:
    """Notices a server that sends just enough never to be silent. Counts only the time spent waiting for the
    rest of something: what a server needs to begin a reply, and what we need between two, is not its slowness."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._octets = 0

    def note(self, seconds: float, octets: int) -> bool:
        """Whether it is still fast enough, after ``octets`` came within ``seconds``."""
        self._seconds += seconds
        self._octets += octets
        if self._seconds < SLOW_FOR:
            return True
        enough = self._octets >= SLOWEST * self._seconds
        self.restart()
        return enough

    def restart(self) -> None:
        """Forget what was counted: something new begins."""
        self._seconds, self._octets = 0.0, 0


class Bell:
    """Wakes a thread that waits for a server, since something else has come. Rung by any thread, heard by one."""

    def __init__(self) -> None:
        self._ear, self._hammer = socket.socketpair()
        for end in (self._ear, self._hammer):
            end.setblocking(False)

    def ring(self) -> None:
        """Wake it, or let its next waiting end at once."""
        with contextlib.suppress(BlockingIOError):  # it has been rung often enough
            self._hammer.send(b"!")

    def heard(self) -> bool:
        """Whether it was rung since the last time."""
        try:
            return bool(self._ear.recv(1 << 12))
        except BlockingIOError:
            return False

    def fileno(self) -> int:
        """For ``poll``."""
        return self._ear.fileno()

    def close(self) -> None:
        """It will not be used any more."""
        self._ear.close()
        self._hammer.close()


def first_of(line: socket.socket, bell: Bell) -> bool:
    """Wait until there is something to receive, which gives True, or the bell was rung. Raises TimeoutError after the
    time-out of the socket."""
    if line.fileno() < 0:
        raise EOFError("it was closed")
    if isinstance(line, ssl.SSLSocket) and line.pending():
        return True
    waiting = select.poll()
    waiting.register(line, select.POLLIN)
    waiting.register(bell, select.POLLIN)
    timeout = line.gettimeout()
    ready = {descriptor for descriptor, _ in waiting.poll(None if timeout is None else timeout * 1000)}
    if not ready:
        raise TimeoutError
    if bell.fileno() in ready:
        bell.heard()
    return line.fileno() in ready


class Connection:
    """One byte stream to a server, before and after its upgrade to TLS. Not thread-safe."""

    def __init__(self, server: Server) -> None:
        """Connect, with TLS if the transport is implicit TLS.

        Raises HostUnavailable (unknown host, nothing there, no answer) or TlsRefused.
        """
        self.server = server
        self._pace = Pace()
        self._greeted = False
        self._context = None if server.transport is Transport.CLEAR else tls_context(server)
        try:
            with network_errors(server, "connecting"):
                # create_connection tries every address of the name, IPv6 and IPv4
                self._socket: socket.socket = socket.create_connection(
                    (server.host, server.port), timeout=server.timeouts.connect
                )
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if server.transport is Transport.TLS:
                    self._wrap()
        except ConnectionLost as error:  # a time-out while connecting is no connection at all
            raise HostUnavailable(error.what, where=error.where) from error

    def _wrap(self) -> None:
        assert self._context is not None
        self._socket = self._context.wrap_socket(self._socket, server_hostname=self.server.host)

    def greeted(self) -> None:
        """The server has greeted us. Until then, silence or an end means that there is no server of ours at all,
        and that is HostUnavailable: so it is when TLS is spoken on one side only."""
        self._greeted = True
        self._socket.settimeout(self.server.timeouts.idle)

    def start_tls(self) -> None:
        """Upgrade to TLS. The caller has read the server's agreement and nothing beyond it.

        Raises TlsRefused when the handshake or the certificate fails.
        """
        with network_errors(self.server, "connecting"):
            self._wrap()

    def send(self, octets: bytes) -> None:
        """Send all of ``octets``. Raises ConnectionLost."""
        view = memoryview(octets)
        with network_errors(self.server, "sending"):
            for at in range(0, len(octets), SEND_CHUNK):
                self._socket.sendall(view[at : at + SEND_CHUNK])

    def receive(self, most: int = 1 << 18, *, begun: bool = False, unless: Bell | None = None) -> bytes:
        """At least one octet, at most ``most``. ``begun``: it is the rest of something of which a part is here,
        so that it has to come at a :class:`Pace`. ``unless``: a bell that ends the waiting, with no octet.

        Raises ConnectionLost, also when the server has closed.
        """
        if not begun:
            self._pace.restart()
        since = time.monotonic()
        try:
            with network_errors(self.server, "reading"):
                if unless is not None and not first_of(self._socket, unless):
                    return b""
                octets = self._socket.recv(most)
                if len(octets) < SHORT:
                    self._acknowledge()
                if not octets:
                    raise EOFError("the server closed it")
        except ConnectionLost as error:
            if self._greeted:
                raise
            raise HostUnavailable(
                f"no greeting: {error.what}",
                where=error.where,
                todo="check the port, and pop3s/imaps against +starttls and clear text",
            ) from error
        if begun and not self._pace.note(time.monotonic() - since, len(octets)):
            raise ConnectionLost(
                f"the server sent less than {SLOWEST} octets a second for a minute", where=str(self.server)
            )
        return octets

    def _acknowledge(self) -> None:
        """Let the system acknowledge at once. QUIRK(Courier): it writes "OK" and "+" in two pieces without
        TCP_NODELAY, so the second waits for the acknowledgement of the first, 40 ms for each message."""
        if _QUICKACK is not None:
            with contextlib.suppress(OSError):
                self._socket.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)

    def poll(self, most: int = 1 << 18) -> bytes:
        """What has arrived already, at most ``most`` octets; none if nothing has. Never waits.

        Raises ConnectionLost, also when the server has closed.
        """
        with network_errors(self.server, "reading"):
            self._socket.settimeout(0)
            try:
                octets = self._socket.recv(most)
                if len(octets) < SHORT:
                    self._acknowledge()
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return b""  # with TLS, also when what has arrived is no octet of ours (a session ticket)
            finally:
                self._socket.settimeout(self.server.timeouts.idle)
            if not octets:
                raise EOFError("the server closed it")
            return octets

    def close(self) -> None:
        """Close without a word. Never raises. A thread that waits in ``receive`` is woken: closing alone would
        leave it waiting, and the connection open, and then on whatever is opened next under its number."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):
            self._socket.close()
