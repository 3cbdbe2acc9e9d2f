"""How rules work together: order, continue, own mail, skip, what a decision says."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pop2imap.model import Decision
from pop2imap.rules import Rules, toml
from pop2imap.text import printable
from tests.unit.deciding import decide, rules, then

ME = 'me = ["alice@example.com", "alice@example.org"]'
RECEIVED = "Received: from a by b; Mon, 1 Jan 2001 10:00:00 +0000\n"
SENT = "From: Alice <Alice@example.com>\nTo: bob@acme.example\n"


def test_the_contract_is_kept() -> None:
    kept: Rules = toml.default()
    assert kept.names == ()


def test_without_rules_everything_goes_to_the_default_folder() -> None:
    decision = decide(toml.default(), "Subject: x\n")
    assert decision == Decision(("INBOX",), ("no rule matches → INBOX, the default folder",))
    assert decide(toml.default(into="inbox/Old"), "").folders == ("INBOX/Old",)


def test_the_first_rule_that_matches_decides() -> None:
    ruled = rules(
        '[[rule]]\nname = "A"\nwhen = { subject = "a*" }\nthen = { folder = "A" }\n'
        '[[rule]]\nname = "B"\nwhen = { subject = "*b" }\nthen = { folder = "B", mark = "seen" }\n'
    )
    assert decide(ruled, "Subject: ab\n") == Decision(
        ("A",), ('rule "A": subject ab matches a* → A',), ("A",)
    )
    assert decide(ruled, "Subject: b\n").rules == ("B",)
    assert decide(ruled, "Subject: c\n").rules == ()
    assert ruled.names == ("A", "B")


def test_rules_that_continue_gather_folders_and_flags() -> None:
    ruled = rules("""
        [[rule]]
        name = "Tag"
        then = { add-flags = ["$One", "\\\\Answered"], mark = "seen", continue = true }
        [[rule]]
        name = "Copy"
        then = { folder = "Copies", add-flags = ["$Two"], flagged = true, continue = true }
        [[rule]]
        name = "Again"
        then = { folder = "Copies", continue = true }
        [[rule]]
        name = "File"
        when = { subject = "x" }
        then = { folder = "Files", mark = "unseen" }
        [[rule]]
        name = "Never"
        then = { folder = "Never" }
    """)
    decision = decide(ruled, "Subject: x\n")
    assert decision.folders == ("Copies", "Files")
    assert decision.add_flags == {"$One", "\\Answered", "$Two"}
    assert decision.seen is False, "the last rule that says it wins"
    assert decision.flagged is True
    assert decision.rules == ("Tag", "Copy", "Again", "File")
    assert decision.why[0] == (
        'rule "Tag": every message matches → tagged $One \\Answered, marked seen, then the next rules'
    )


def test_if_no_rule_that_matches_gives_a_folder_it_is_the_default_folder_and_why_says_so() -> None:
    decision = decide(then('mark = "seen"'), "")
    assert decision.folders == ("INBOX",)
    assert decision.seen is True
    assert decision.why == (
        'rule "R": every message matches → marked seen',
        "no rule that matches gives a folder → INBOX, the default folder",
    )


def test_rules_describe_themselves_one_line_each() -> None:
    assert then('folder = "A/{from}", add-flags = ["$x"], flagged = false, continue = true').describe() == [
        'rule "R": every message → A/{from}, tagged $x, not flagged, then the next rules',
        "the rest → INBOX",
    ]


def test_a_copy_is_enough_to_need_no_default_folder() -> None:
    assert decide(then('folder = "Copies", continue = true'), "").folders == ("Copies",)


def test_skip_leaves_the_message_out_whatever_rules_before_said() -> None:
    ruled = rules(
        '[[rule]]\nname = "Copy"\nthen = { folder = "Copies", add-flags = ["$X"], continue = true }\n'
        '[[rule]]\nname = "Spam"\nthen = { skip = "it is spam" }\n'
    )
    decision = decide(ruled, "")
    assert decision.folders == ()
    assert decision.skip == "it is spam"
    assert decision.add_flags == frozenset()
    assert decision.rules == ("Copy", "Spam")
    assert decision.why[-1] == 'rule "Spam": every message matches → left out: it is spam'


def test_seen_and_flagged_among_the_flags_are_marks() -> None:
    decision = decide(then('add-flags = ["\\\\seen", "\\\\Flagged", "\\\\Draft", "$x", "$X"]'), "")
    assert decision.seen is True
    assert decision.flagged is True
    assert decision.add_flags == {"\\Draft", "$x"}


def test_a_named_group_names_the_folder() -> None:
    ruled = rules(r"""
        [[rule]]
        name = "Projects"
        when.any = [{ subject = { regex = '\[(?P<project>[^\]]+)\]' } }, { from = { regex = '@(?P<project>\w+)' } }]
        then.folder = "Projects/{project}"
    """)
    assert decide(ruled, "Subject: Re: [Über/All] x\n").folders == ("Projects/Über_All",)
    assert decide(ruled, "From: x@acme.example\nSubject: y\n").folders == ("Projects/acme",)
    assert decide(ruled, "Subject: [/] x\n").folders == ("Projects/_",)
    none = decide(ruled, "Subject: [..] x\n")
    assert none.folders == ("INBOX",)
    assert "but {project} has no value here" in none.why[0]


# --- own mail ------------------------------------------------------------------------------------------------


def test_own_mail_goes_to_sent_seen() -> None:
    ruled = rules('[[rule]]\nname = "All"\nthen = { folder = "All" }\n', top=ME)
    assert ruled.names == ("own mail", "All")
    assert decide(ruled, SENT) == Decision(
        ("\\Sent",),
        ("own mail: from Alice@example.com, and it has no Received line → \\Sent, marked seen",),
        ("own mail",),
        seen=True,
    )
    copied = decide(ruled, RECEIVED + SENT)
    assert copied.folders == ("\\Sent",)
    assert "not to or cc the same person" in copied.why[0]


@pytest.mark.parametrize(
    "mail",
    [
        RECEIVED + "From: alice@example.com\nTo: alice@example.com\n",  # a note to oneself, or forged spam
        RECEIVED + "From: alice@example.com\nTo: bob@acme.example\nCc: Alice <ALICE@EXAMPLE.ORG>\n",
        RECEIVED + "From: bob@acme.example\nTo: alice@example.com\n",
        "From: bob@acme.example\nTo: carol@example.com\n",
        "Sender: alice@example.com\n",
        "",
    ],
)
def test_forged_mail_notes_to_oneself_and_other_peoples_mail_are_not_own_mail(mail: str) -> None:
    ruled = rules('[[rule]]\nname = "All"\nthen = { folder = "All" }\n', top=ME)
    assert decide(ruled, mail).folders == ("All",)


def test_a_note_to_oneself_that_was_never_received_is_own_mail() -> None:
    assert decide(
        toml.default(me=["alice@example.com"]), "From: alice@example.com\nTo: alice@example.com\n"
    ).rules == ("own mail",)


def test_rules_that_ask_for_sent_come_before_own_mail_and_others_never_get_it() -> None:
    ruled = rules(
        '[[rule]]\nname = "First"\nthen = { folder = "First" }\n'
        '[[rule]]\nname = "Tag"\nwhen = { sent = true }\nthen = { add-flags = ["$Mine"], continue = true }\n'
        '[[rule]]\nname = "Old"\nwhen = { sent = true, subject = "old" }\nthen = { folder = "\\\\Sent/{date:%Y}" }\n'
        '[[rule]]\nname = "Either"\nwhen.any = [{ sent = true, subject = "e" }, { cc = "*" }]\n'
        'then = { folder = "E" }\n',
        top=ME,
    )
    assert decide(ruled, SENT).folders == ("\\Sent",)
    assert decide(ruled, SENT).add_flags == {"$Mine"}
    assert decide(ruled, SENT).rules == ("Tag", "own mail")
    assert decide(ruled, SENT + "Subject: old\n").folders == ("\\Sent/2014",)
    assert decide(ruled, SENT + "Subject: e\n").folders == ("E",)
    assert decide(ruled, RECEIVED + "From: x@example.com\nCc: y@example.com\n").folders == ("First",)


def test_without_me_nothing_is_own_mail() -> None:
    assert decide(toml.default(), SENT).folders == ("INBOX",)


def test_me_in_idn_spelling_is_found() -> None:
    ruled = toml.default(me=["alice@bücher.example"])
    assert decide(ruled, "From: ALICE@xn--bcher-kva.example\n").rules == ("own mail",)


# --- any mail at all -----------------------------------------------------------------------------------------

EVERYTHING = r"""
[[rule]]
name = "Lists"
when = { list-id = "*" }
then = { folder = "Lists/{list-id}/{from-domain}", continue = true }
[[rule]]
name = "Regex"
when = { subject = { regex = '(?P<word>\w+)' }, header.X-A = "?*a*?" }
then = { folder = "{word}/{from}/{date:%Y/%m}", continue = true }
[[rule]]
name = "Not"
when = { not = { any = [{ from-name = "*a*" }, { recipient = { domain = "a" } }, { sent = true }] } }
then = { folder = "{source-folder}", continue = true }
"""
FIELDS = ["From", "To", "Cc", "Subject", "List-Id", "X-A", "Received"]


@settings(max_examples=200)
@given(
    st.lists(st.tuples(st.sampled_from(FIELDS), st.binary(max_size=60)), max_size=8),
    st.text(max_size=20),
    st.frozensets(st.text(max_size=5), max_size=2),
)
def test_any_mail_at_all_gets_a_decision(
    fields: list[tuple[str, bytes]], folder: str, flags: frozenset[str]
) -> None:
    mail = b"".join(name.encode() + b": " + body + b"\n" for name, body in fields) + b"\n"
    decision = decide(rules(EVERYTHING, top='me = ["a@b.example"]'), mail, source_folder=folder, flags=flags)
    assert bool(decision.folders) is not bool(decision.skip)
    assert decision.why
    assert [printable(line, 10_000) for line in decision.why] == list(decision.why)
    for name in decision.folders:
        name.encode()
        assert name.isprintable()
