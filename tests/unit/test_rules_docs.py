"""The examples in docs/rules.md are read, run, and do what the text says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pop2imap.errors import ConfigError
from pop2imap.model import Decision
from pop2imap.rules import toml
from pop2imap.rules.engine import MAX_FOLDERS
from pop2imap.rules.folders import MAX_LEVEL_LENGTH, MAX_NAME_OCTETS, PLACEHOLDERS, SPECIAL_USES
from pop2imap.rules.literals import MAX_FLAG_OCTETS
from pop2imap.rules.toml_then import KEYS as THEN_KEYS
from pop2imap.rules.toml_when import KEYS as WHEN_KEYS
from pop2imap.rules.values import REGEX_SEES
from tests.unit.deciding import decide

GUIDE = (Path(__file__).parents[2] / "docs" / "rules.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^(<!-- faulty -->\n)?```(\w+)\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE)


def file_of(block: str) -> str:
    return block if block.startswith("version") else f"version = 1\n\n{block}"


def examples() -> list[tuple[str, str]]:
    """Each message with the rules that stand last before it."""
    found, rules = [], ""
    for faulty, kind, block in BLOCKS:
        if kind == "toml":
            rules = "" if faulty else file_of(block)
        elif rules:
            found.append((rules, block))
    return found


@pytest.mark.parametrize("block", [block for faulty, kind, block in BLOCKS if kind == "toml" and not faulty])
def test_every_file_shown_is_without_fault_and_without_warning(block: str) -> None:
    assert toml.parse(file_of(block), "rules.toml").warnings == ()


def in_short(decision: Decision) -> str:
    said = [" + ".join(decision.folders)]
    if decision.add_flags:
        said.append(f"tagged {' '.join(sorted(decision.add_flags))}")
    said += ["seen"] * (decision.seen is True) + ["flagged"] * (decision.flagged is True)
    return ", ".join(said)


def test_there_are_messages_to_try() -> None:
    assert len(examples()) >= 8


@pytest.mark.parametrize(("rules", "shown"), examples())
def test_every_message_shown_goes_where_the_text_says_and_for_that_reason(rules: str, shown: str) -> None:
    mail, outcome = shown.split("\n→ ")
    said, *why = outcome.strip().split("\n")
    decision = decide(toml.parse(rules, "rules.toml"), mail + "\n")
    assert in_short(decision) == said
    if why:
        assert list(decision.why) == why


def test_the_faults_shown_are_those_that_come() -> None:
    (faulty,) = [block for mark, _, block in BLOCKS if mark]
    shown = GUIDE.partition(faulty)[2].split("```text\n")[1].split("```")[0]
    with pytest.raises(ConfigError) as caught:
        toml.parse(faulty, "rules.toml")
    assert str(caught.value) == shown.strip()


@pytest.mark.parametrize("word", sorted(WHEN_KEYS | THEN_KEYS | {f"{{{name}" for name in PLACEHOLDERS}))
def test_every_key_and_placeholder_is_told(word: str) -> None:
    assert re.search(rf"`{re.escape(word)}(?![\w-])", GUIDE), word


def test_the_limits_told_are_the_limits() -> None:
    for number, words in [
        (MAX_FOLDERS, "`max-folders = {}`"),
        (REGEX_SEES, "first {} characters"),
        (MAX_LEVEL_LENGTH, "cut to {} characters"),
        (MAX_NAME_OCTETS, "longer than {} octets"),
        (MAX_FLAG_OCTETS, "of up to {}\nletters"),
    ]:
        assert words.format(number) in GUIDE
    for use in SPECIAL_USES:
        assert f"`\\{use}`" in GUIDE
