"""Endpoints as people write them, and as they should not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pop2imap.endpoints import Endpoint, parse
from pop2imap.errors import Pop2imapError, SourceDataError, UsageError
from pop2imap.kinds import Kind
from pop2imap.net import Transport


@pytest.mark.parametrize(
    ("text", "kind", "transport", "port"),
    [
        ("pop3s://alice@pop.example.com", Kind.POP3, Transport.TLS, 995),
        ("pop3+starttls://alice@pop.example.com", Kind.POP3, Transport.STARTTLS, 110),
        ("pop3://alice@localhost", Kind.POP3, Transport.CLEAR, 110),
        ("imaps://alice@imap.example.com", Kind.IMAP, Transport.TLS, 993),
        ("imap+starttls://alice@imap.example.com", Kind.IMAP, Transport.STARTTLS, 143),
        ("imap://alice@127.0.0.1", Kind.IMAP, Transport.CLEAR, 143),
        ("IMAPS://alice@imap.example.com/", Kind.IMAP, Transport.TLS, 993),
    ],
)
def test_each_scheme_has_its_protocol_transport_and_port(
    text: str, kind: Kind, transport: Transport, port: int
) -> None:
    endpoint = parse(text)
    assert (endpoint.kind, endpoint.transport, endpoint.port) == (kind, transport, port)
    assert endpoint.user == "alice"


@pytest.mark.parametrize(
    ("text", "user"),
    [
        ("imaps://alice@example.com@imap.example.com", "alice@example.com"),
        ("imaps://alice%40example.com@imap.example.com", "alice@example.com"),
        ("imaps://a%3Ab%2Fc%25@imap.example.com", "a:b/c%"),
        ("imaps://EXAMPLE\\alice@imap.example.com", "EXAMPLE\\alice"),
        ("imaps://j%C3%BCrgen@imap.example.com", "jürgen"),
        ("imaps://jürgen@imap.example.com", "jürgen"),
        ("imaps://alice*admin@imap.example.com", "alice*admin"),
    ],
)
def test_the_last_at_sign_ends_the_user_name(text: str, user: str) -> None:
    endpoint = parse(text)
    assert endpoint.user == user
    assert endpoint.host == "imap.example.com"


@pytest.mark.parametrize(
    ("authority", "host", "port", "spelled"),
    [
        ("[::1]:110", "::1", 110, "[::1]:110"),
        ("[0:0:0:0:0:0:0:1]", "::1", 995, "[::1]"),
        ("[fe80::1%25eth0]:1995", "fe80::1%eth0", 1995, "[fe80::1%eth0]:1995"),
        ("POP.Example.COM.", "pop.example.com", 995, "pop.example.com"),
        ("mail_1.internal:995", "mail_1.internal", 995, "mail_1.internal"),
        ("bücher.example", "xn--bcher-kva.example", 995, "xn--bcher-kva.example"),
        ("192.0.2.7:10995", "192.0.2.7", 10995, "192.0.2.7:10995"),
    ],
)
def test_hosts_are_names_in_ascii_or_addresses(authority: str, host: str, port: int, spelled: str) -> None:
    endpoint = parse(f"pop3s://alice@{authority}")
    assert (endpoint.host, endpoint.port) == (host, port)
    assert str(endpoint) == f"pop3s://alice@{spelled}"


@pytest.mark.parametrize(
    "text",
    [
        "pop3s://alice:hunter2@pop.example.com",
        "pop3s://alice@example.com:hunter2@pop.example.com",
        "pop3s://alice:hunter2@x@pop.example.com:995",
        "pop3s://alice:hunter2/?#@pop.example.com",
        "pop3s://alice:hunter2",
        "pop3s://alice@pop.example.com:hunter2",
        "pop3s://alice@pop.example.com/?password=hunter2",
        "pop3s://alice@pop.example.com#hunter2",
        "pop3s://alice@pop.example.com/hunter2",
        "pops://alice:hunter2@pop.example.com",
        "ftp://alice:hunter2@pop.example.com",
        "alice:hunter2@pop.example.com",
        "pop3s:alice:hunter2@pop.example.com",
        "pop3s://alice:hunter2@[pop.example.com]",
        "pop3s://alice:%zz%ffhunter2@pop.example.com",
    ],
)
def test_what_could_be_a_password_is_refused_and_never_repeated(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    error = caught.value
    assert "hunter2" not in str(error)
    assert "hunter2" not in repr(error)


def test_a_password_in_a_url_is_answered_with_what_to_do() -> None:
    with pytest.raises(UsageError, match="change that password") as caught:
        parse("imaps://alice:hunter2@imap.example.com")
    assert "--target-password-file" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("imaps://imap.example.com", "no user name"),
        ("imaps://@imap.example.com", "no user name"),
        ("imaps://[::1]", "no user name"),
        ("imaps://alice@", "no host name"),
        ("imaps://alice@-bad-.example", "no host name"),
        ("imaps://alice@exa mple.com", "no host name"),
        ("imaps://alice@" + "x" * 64 + ".example", "no host name"),
        ("imaps://alice@192.0.2.700", "neither a host name nor an IPv4 address"),
        ("imaps://alice@::1", "in brackets"),
        ("imaps://alice@[::g]", "no IPv6 address"),
        ("imaps://alice@imap.example.com:0", "1 to 65535"),
        ("imaps://alice@imap.example.com:65536", "1 to 65535"),
        ("imaps://alice@imap.example.com:", "1 to 65535"),
        ("imaps://alice@imap.example.com:99\u0663", "1 to 65535"),
        ("imaps://alice%0d%0aDELE@imap.example.com", "no login takes"),
        ("imaps://alice%ff@imap.example.com", "no login takes"),
        ("imaps://EXAMPLE/alice@imap.example.com", "%2F"),
        ("pops://alice@pop.example.com", "did you mean pop3s://"),
        ("pop4s://alice@pop.example.com", "did you mean pop3s://"),
        ("gopher://alice@pop.example.com", "one of pop3s://"),
        ("file:///home/alice/inbox", "mbox:PATH"),
        ("mbox://home/alice/inbox", "mbox:PATH"),
        ("mbox:", "no path"),
        ("", "empty"),
        ("alice@pop.example.com", "neither a URL nor a file"),
    ],
)
def test_what_cannot_be_meant_is_said(text: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert words in str(caught.value)


def test_clear_text_is_for_loopback() -> None:
    with pytest.raises(UsageError, match="clear text"):
        parse("pop3://alice@pop.example.com")
    with pytest.raises(UsageError, match="clear text"):
        parse("imap://alice@192.0.2.1")
    assert parse("imap://alice@[::1]").transport is Transport.CLEAR
    assert parse("pop3://alice@127.8.9.1").transport is Transport.CLEAR
    assert parse("pop3://alice@pop.example.com", allow_cleartext=True).transport is Transport.CLEAR


def test_a_bare_path_to_an_mbox_is_found_out(tmp_path: Path) -> None:
    (tmp_path / "inbox").write_bytes(b"From alice@example.com Mon Jan  2 03:04:05 2006\nSubject: x\n\n")
    (tmp_path / "empty").write_bytes(b"")
    assert parse("inbox", base=tmp_path) == Endpoint(Kind.MBOX, path=tmp_path / "inbox")
    assert parse(str(tmp_path / "inbox")).path == tmp_path / "inbox"
    assert parse("empty", base=tmp_path).kind is Kind.MBOX


def test_a_named_pipe_is_not_opened_to_find_out(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert parse("pipe", base=tmp_path).path == tmp_path / "pipe"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"Return-Path: <a@example.com>\r\nSubject: x\r\n\r\n", "a single message"),
        (b"!BDN....", "an Outlook .pst file"),
        (b'// <!-- <mdb:mork:z v="1.4"/> -->', "Thunderbird index"),
        (b"\x1b]0;evil\x07", "\\x1b"),
        (b"hello\n", "not with 'From '"),
    ],
)
def test_a_file_that_is_no_mbox_is_called_by_its_name(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "thing").write_bytes(content)
    with pytest.raises(SourceDataError) as caught:
        parse("thing", base=tmp_path)
    assert words in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert parse("mbox:thing", base=tmp_path).path == tmp_path / "thing", "asked for by name, it is believed"


def test_the_kind_of_a_directory_is_found_out(tmp_path: Path) -> None:
    for directory in (
        "md/cur",
        "md/new",
        "md++/.Sent/cur",
        "mh",
        "mh2",
        "eml/below",
        "tree/Work.sbd",
        "empty",
        "tb",
    ):
        (tmp_path / directory).mkdir(parents=True)
    for directory in ("export/Takeout/Mail", "profiles"):
        (tmp_path / directory).mkdir(parents=True)
    for file in ("mh/1", "mh/12", "mh/,3", "mh2/.mh_sequences", "mh2/text", "eml/below/a.EML", "tree/Work"):
        (tmp_path / file).touch()
    (tmp_path / "tb/prefs.js").touch()
    (tmp_path / "profiles/profiles.ini").touch()
    kinds = {name: parse(name, base=tmp_path).kind.value for name in sorted(os.listdir(tmp_path))}
    assert kinds == {
        "eml": "eml",
        "empty": "mbox",
        "export": "takeout",
        "md": "maildir",
        "md++": "maildir",
        "mh": "mh",
        "mh2": "mh",
        "profiles": "thunderbird",
        "tb": "thunderbird",
        "tree": "mbox",
    }
    assert parse("export/Takeout", base=tmp_path).kind is Kind.TAKEOUT


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("mail.gz", b"\x1f\x8b\x08\x00", Kind.MBOX),
        ("mail.zip", b"PK\x03\x04", Kind.MBOX),
        ("takeout-1.zip", b"PK\x03\x04", Kind.TAKEOUT),
        ("mail", b"From 17@xxx Fri May 23 16:35:53 +0000 2025\r\nX-GM-THRID: 17\r\n", Kind.TAKEOUT),
        ("mail", b"From a@example.org Fri May 23 16:35:53 2025\nSubject: X-GM-THRID: 1\n\n", Kind.MBOX),
        ("mail", b"", Kind.MBOX),
    ],
)
def test_the_kind_of_a_file_is_found_out(tmp_path: Path, name: str, content: bytes, kind: Kind) -> None:
    (tmp_path / name).write_bytes(content)
    assert parse(name, base=tmp_path) == Endpoint(kind, path=tmp_path / name)


@pytest.mark.parametrize("word", ["mbox", "maildir", "mh", "eml", "takeout", "thunderbird"])
def test_every_kind_of_files_can_be_asked_for_by_name(word: str) -> None:
    endpoint = parse(f"{word}:mail", base=Path("/srv"))
    assert str(endpoint) == f"{word}:/srv/mail"
    assert parse(str(endpoint)) == endpoint
    with pytest.raises(UsageError, match=f"{word}:PATH"):
        parse(f"{word}:")


def test_a_missing_file_is_named() -> None:
    with pytest.raises(SourceDataError, match="no/such/inbox: no such file"):
        parse("no/such/inbox")


def test_paths_are_absolute_and_the_home_folder_is_filled_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert parse("mbox:~/mail/in box").path == tmp_path / "mail" / "in box"
    assert parse("mbox:mail", base=Path("/srv")).path == Path("/srv/mail")
    assert parse("mbox:///var/mail/alice").path == Path("/var/mail/alice")
    assert str(parse("mbox:mail")) == f"mbox:{tmp_path}/mail"


def test_standard_input_is_a_dash() -> None:
    assert parse("-") == parse("mbox:-") == Endpoint(Kind.MBOX, path=None)
    assert str(parse("-")) == "mbox:-"


@given(
    st.sampled_from(["pop3s", "pop3+starttls", "pop3", "imaps", "imap+starttls", "imap"]),
    st.text(min_size=1).filter(str.isprintable),
    st.sampled_from(["mail.example.com", "::1", "192.0.2.1"]),
    st.integers(1, 65535),
)
def test_the_canonical_spelling_means_the_same(scheme: str, user: str, host: str, port: int) -> None:
    kind = Kind.IMAP if scheme.startswith("imap") else Kind.POP3
    transport = Transport.CLEAR
    if scheme.endswith("s"):
        transport = Transport.STARTTLS if "+" in scheme else Transport.TLS
    endpoint = Endpoint(kind, user, host, port, transport)
    assert parse(str(endpoint), allow_cleartext=True) == endpoint


@given(st.text())
def test_any_text_is_an_endpoint_or_a_clear_error(text: str) -> None:
    try:
        endpoint = parse("pop3s://" + text)
    except Pop2imapError as error:
        said = str(error)
    else:
        said = str(endpoint)
        assert parse(said) == endpoint
    assert len(said.splitlines()) == 1
    assert "\x1b" not in said


def test_where_to_connect() -> None:
    server = parse("imaps://alice@[::1]:1993").server(Path("/ca.pem"))
    assert (server.host, server.port, server.transport, server.ca_file) == (
        "::1",
        1993,
        Transport.TLS,
        Path("/ca.pem"),
    )
