"""An mbox keeps the contract of a source: with LF and CRLF, as Thunderbird writes it, with Content-Length instead
of quoting, through a pipe, and when another program changes it under our hands."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

import pytest

from pop2imap.sources import Listing, ListProgress, Source
from pop2imap.sources.mbox import MboxSource
from tests.contract.source import MAIL, MakeSource, PartlyUnreadableContract, SourceContract

FROM = b"From alice@example.com Thu Nov 29 19:33:09 2018"
LOOKS_LIKE_MBOX = (
    b"From: grace@example.com\r\nSubject: an mbox\r\n\r\nFrom here:\r\n\r\n"
    b"From bob@example.com Thu Nov 29 19:33:09 2018\r\nSubject: inside\r\n\r\n>From there\r\n>>From far\r\n"
)


def as_mbox(mail: list[bytes]) -> bytes:
    """mboxrd with LF."""
    return b"".join(
        FROM + b"\n" + re.sub(rb"(?m)^(>*From )", rb">\1", octets).replace(b"\r\n", b"\n") + b"\n"
        for octets in mail
    )


class _AsFile(SourceContract):
    @pytest.fixture
    def mail(self) -> list[bytes]:
        return [*MAIL, LOOKS_LIKE_MBOX]

    def write(self, mail: list[bytes]) -> bytes:
        raise NotImplementedError

    @pytest.fixture
    def path(self, mail: list[bytes], tmp_path: Path) -> Path:
        path = tmp_path / "mail.mbox"
        path.write_bytes(self.write(mail))
        return path

    @pytest.fixture
    def make(self, path: Path) -> MakeSource:
        return lambda: MboxSource(path)


class TestLf(_AsFile):
    def write(self, mail: list[bytes]) -> bytes:
        return as_mbox(mail)


class TestCrlf(_AsFile):
    def write(self, mail: list[bytes]) -> bytes:
        return as_mbox(mail).replace(b"\n", b"\r\n")


class TestThunderbird(_AsFile):
    """Bare From_ lines, its own fields on top, and messages of LF and CRLF in one file."""

    def write(self, mail: list[bytes]) -> bytes:
        text = b""
        for number, octets in enumerate(mail):
            quoted = re.sub(rb"(?m)^(>*From )", rb">\1", octets)
            body = quoted.replace(b"\r\n", b"\n") if number % 2 else quoted
            own = b"X-Mozilla-Status: 0001\r\nX-Mozilla-Status2: 00000000\r\nX-Mozilla-Keys:    \r\n"
            text += b"From \r\n" + own + body + b"\r\n"
        return text


class TestMboxcl2(_AsFile):
    """No quoting; each message says how long its body is."""

    @pytest.fixture
    def mail(self) -> list[bytes]:
        mail = []
        for octets in [*MAIL, LOOKS_LIKE_MBOX]:
            head, _, body = octets.partition(b"\r\n\r\n")
            length = len(body.replace(b"\r\n", b"\n"))
            mail.append(head + b"\r\nContent-Length: %d\r\n\r\n" % length + body)
        return mail

    def write(self, mail: list[bytes]) -> bytes:
        return b"".join(FROM + b"\n" + octets.replace(b"\r\n", b"\n") + b"\n" for octets in mail)


class TestThroughAPipe(_AsFile):
    def write(self, mail: list[bytes]) -> bytes:
        return as_mbox(mail)

    @pytest.fixture
    def make(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeSource:
        def make() -> Source:
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(path.read_bytes())))
            return MboxSource(None)

        return make


class _ChangedUnderOurHands(MboxSource):
    """Another program changes the second message after the listing."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._text = path

    def list(self, progress: ListProgress | None = None) -> Listing:
        listing = super().list(progress)
        self._text.write_bytes(self._text.read_bytes().replace(b"Subject: dots", b"Subject: DOTS"))
        return listing


class TestChanged(PartlyUnreadableContract):
    @pytest.fixture
    def partly_unreadable(self, tmp_path: Path) -> Source:
        path = tmp_path / "mail.mbox"
        path.write_bytes(as_mbox(MAIL))
        return _ChangedUnderOurHands(path)
