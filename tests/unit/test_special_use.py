"""Where folders of a store belong, by their names, and names as IMAP servers keep them on disk."""

from __future__ import annotations

import base64
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pop2imap.sources.mutf7 import decoded
from pop2imap.sources.special_use import folder_name, level_name
from pop2imap.target.folders import check_name


@pytest.mark.parametrize(
    ("levels", "folder"),
    [
        ([], "INBOX"),
        (["INBOX"], "INBOX"),
        (["inbox", "2020"], "INBOX/2020"),
        (["Posteingang"], "INBOX"),
        (["Sent"], "\\Sent"),
        (["sent-mail"], "\\Sent"),
        (["Sent Messages"], "\\Sent"),
        (["Gesendete Objekte", "2019"], "\\Sent/2019"),
        (["Entwürfe"], "\\Drafts"),
        (["Corbeille"], "\\Trash"),
        (["Correo no deseado"], "\\Junk"),
        (["Архив"], "\\Archive"),
        (["送信済み"], "\\Sent"),
        (["Work", "Sent"], "Work/Sent"),
        (["Sent of Alice"], "Sent of Alice"),
        (["a/b"], "a_b"),
        (["\\Sent"], "_Sent"),
        (["\\\\Sent"], "__Sent"),
        (["50% *off*"], "50_ _off_"),
        (["a\nb\u202e"], "a_b_"),
        ([" a "], "a"),
        ([""], "_"),
        (["Entwu\u0308rfe"], "\\Drafts"),
        (["caf\udce9"], "café"),  # a name in ISO 8859-1
        (["gr\udcc3\udcbcn"], "grün"),
    ],
)
def test_folders_by_name(levels: list[str], folder: str) -> None:
    assert folder_name(levels) == folder


def test_a_name_of_too_many_levels_gets_no_more() -> None:
    assert folder_name(["a"] * 40).count("/") == 32


@given(st.lists(st.text(st.characters(exclude_categories=()), max_size=20), min_size=1, max_size=5))
def test_whatever_a_name_is_the_target_can_be_asked_for_it(levels: list[str]) -> None:
    levels = [level.replace("\0", "") for level in levels]
    check_name(folder_name(levels))


@given(st.binary(min_size=1, max_size=50))
def test_whatever_octets_a_name_has_it_can_be_stored(octets: bytes) -> None:
    name = level_name(octets.decode("utf-8", "surrogateescape"))
    assert name.encode()
    assert not name.startswith("\\")
    assert "/" not in name


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Entw&APw-rfe", "Entwürfe"),
        ("&U,BTFw-", "台北"),
        ("&ZeVnLIqe-", "日本語"),
        ("R&-D", "R&D"),
        ("&2D3cSQ-", "👉"),
        ("R&D", "R&D"),  # no modified UTF-7: as it is
        ("a & b", "a & b"),
        ("&AGE-", "&AGE-"),  # "a" is not written so
        ("&!-", "&!-"),
        ("&2D0-", "&2D0-"),  # half a pair
        ("&APx-", "&APx-"),  # bits left over
        ("Entwürfe", "Entwürfe"),
        ("ü&APw-", "ü&APw-"),
        ("plain", "plain"),
    ],
)
def test_modified_utf_7(name: str, said: str) -> None:
    assert decoded(name) == said


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_what_a_server_encodes_is_decoded(text: str) -> None:
    encoded, run = "", ""
    for one in [*text, ""]:
        if one and not " " <= one <= "~":
            run += one
            continue
        if run:
            digits = base64.b64encode(run.encode("utf-16-be")).decode().rstrip("=").replace("/", ",")
            encoded, run = f"{encoded}&{digits}-", ""
        encoded += "&-" if one == "&" else one
    assert decoded(encoded) == text


@given(st.text(max_size=40))
def test_anything_else_does_no_harm(text: str) -> None:
    assert isinstance(unicodedata.normalize("NFC", decoded(text)), str)
