"""Connections: whom they trust, and what is too slow."""

from __future__ import annotations

import socket
import ssl

import pytest

from pop2imap import net
from pop2imap.errors import ConnectionLost, HostUnavailable
from pop2imap.net import SLOW_FOR, SLOWEST, Connection, Pace, Server, Transport, tls_context


def test_certificates_and_host_names_are_always_checked_and_old_tls_is_refused() -> None:
    context = tls_context(Server("mail.example.com", 993, Transport.TLS))
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_a_server_that_only_drips_is_too_slow() -> None:
    pace = Pace()
    assert pace.note(SLOW_FOR - 1, 1)
    assert not pace.note(1, 1)


def test_a_server_that_pauses_and_goes_on_is_not() -> None:
    pace = Pace()
    assert pace.note(SLOW_FOR - 1, 1)
    assert pace.note(1, int(SLOWEST * SLOW_FOR))
    assert pace.note(SLOW_FOR - 1, 1)


def test_what_begins_anew_is_not_charged_with_what_was_before() -> None:
    pace = Pace()
    assert pace.note(SLOW_FOR - 1, 1)
    pace.restart()
    assert pace.note(SLOW_FOR - 1, 1)


def test_only_the_rest_of_something_has_to_come_at_a_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(net, "SLOW_FOR", 0.0)
    monkeypatch.setattr(net, "SLOWEST", 1 << 60)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connection = Connection(Server("127.0.0.1", listener.getsockname()[1], Transport.CLEAR))
        peer, _ = listener.accept()
        with peer:
            peer.sendall(b"ab")
            assert connection.receive(1) == b"a"
            with pytest.raises(ConnectionLost, match="octets a second"):
                connection.receive(1, begun=True)
        connection.close()


@pytest.mark.parametrize("greeted", [False, True])
def test_silence_before_the_greeting_is_no_server_and_after_it_a_lost_connection(greeted: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        server = net.Server("127.0.0.1", port, net.Transport.CLEAR, timeouts=net.Timeouts(0.05, 0.05))
        connection = net.Connection(server)
        if greeted:
            connection.greeted()
        with pytest.raises(HostUnavailable) as caught:
            connection.receive()
        connection.close()
    assert isinstance(caught.value, ConnectionLost) is greeted, "which a run would try again"
    assert ("check the port" in str(caught.value)) is not greeted
