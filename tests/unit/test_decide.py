"""Dates, flags and ranges of decided messages; the rules themselves have tests of their own."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest

from pop2imap.decide import HOLD_LIMIT, Decided, Decider
from pop2imap.model import FLAGGED, SEEN, Account, DateFrom, Key, Message, Unread
from pop2imap.octets import from_bytes
from pop2imap.options import Mark, Options
from pop2imap.rules import toml

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


def message(
    position: int,
    day: str = "",
    *,
    flags: frozenset[str] | None = None,
    envelope: datetime | None = None,
    discarded: str = "",
) -> Message:
    dated = f"Date: {day} 10:00:00 +0000\r\n" if day else ""
    octets = from_bytes(f"From: a@example.com\r\n{dated}\r\nbody {position}\r\n".encode())
    return Message(
        position, Key("s", str(position)), octets, octets.size, flags, envelope, discarded=discarded
    )


def decide(
    *items: Message | Unread, options: Options | None = None, rules: str = ""
) -> list[Decided | Unread]:
    parsed = toml.parse(f"version = 1\n{rules}", "rules.toml")
    decider = Decider(parsed, options or Options(), "INBOX", NOW)
    return list(decider.decide(items))


def only(items: list[Decided | Unread]) -> Decided:
    (item,) = items
    assert isinstance(item, Decided)
    return item


def test_the_date_of_the_message_is_used_and_named() -> None:
    item = only(decide(message(1, "Mon, 02 Mar 2020")))
    assert (item.date, item.date_from) == (datetime(2020, 3, 2, 10, tzinfo=UTC), DateFrom.DATE)


def test_the_envelope_date_comes_first() -> None:
    envelope = datetime(2019, 1, 1, tzinfo=UTC)
    item = only(decide(message(1, "Mon, 02 Mar 2020", envelope=envelope)))
    assert (item.date, item.date_from) == (envelope, DateFrom.ENVELOPE)


def test_undated_messages_take_the_date_of_the_nearest_neighbour_also_at_the_head() -> None:
    gone = Unread(2, None, Account.GONE, "gone")
    items = decide(
        message(1), gone, message(3, "Mon, 02 Mar 2020"), message(4), message(5, "Tue, 03 Mar 2020")
    )
    assert items[1] is gone
    dates = [(i.date.day, i.date_from) for i in items if isinstance(i, Decided)]
    assert dates == [
        (2, DateFrom.NEIGHBOUR),
        (2, DateFrom.DATE),
        (2, DateFrom.NEIGHBOUR),
        (3, DateFrom.DATE),
    ]
    further = decide(message(1, "Mon, 02 Mar 2020"), message(2), message(3), message(4, "Tue, 03 Mar 2020"))
    assert [i.date.day for i in further if isinstance(i, Decided)] == [2, 2, 3, 3], (
        "the nearer one, be it later"
    )
    assert [i.position if isinstance(i, Unread) else i.message.position for i in items] == [1, 2, 3, 4, 5]


def test_a_settled_neighbour_that_is_not_read_again_lends_its_date() -> None:
    decider = Decider(toml.default(), Options(), "INBOX", NOW)
    decider.remember(2, int(datetime(2001, 2, 3, tzinfo=UTC).timestamp()))
    item = only(list(decider.decide([message(3)])))
    assert (item.date.year, item.date_from) == (2001, DateFrom.NEIGHBOUR)


def test_without_any_date_the_start_of_the_run_is_used_and_said() -> None:
    items = decide(message(1), message(2))
    assert [(i.date, i.date_from) for i in items if isinstance(i, Decided)] == [(NOW, DateFrom.RUN)] * 2


def test_undated_messages_that_wait_for_a_neighbour_do_not_pile_up() -> None:
    read = 0

    def source() -> Iterator[Message]:
        nonlocal read
        for read in range(1, 200):
            yield message(read)

    decider = Decider(toml.default(), Options(), "INBOX", NOW)
    next(iter(decider.decide(source())))
    assert read == HOLD_LIMIT + 1


@pytest.mark.parametrize(
    ("mark", "age", "seen"),
    [
        (Mark("auto"), 13, False),
        (Mark("auto"), 15, True),
        (Mark("seen"), 0, True),
        (Mark("unseen"), 999, False),
        (Mark("older-than", 30), 29, False),
        (Mark("older-than", 30), 31, True),
    ],
)
def test_mail_of_unknown_state_is_marked_as_asked(mark: Mark, age: int, seen: bool) -> None:
    item = only(decide(message(1, envelope=NOW - timedelta(days=age)), options=Options(mark=mark)))
    assert (SEEN in item.flags) is seen
    assert item.guessed


@pytest.mark.parametrize("flags", [frozenset(), frozenset({FLAGGED}), frozenset({SEEN, "$Label1"})])
def test_a_known_state_is_kept_whatever_the_mark(flags: frozenset[str]) -> None:
    old = message(1, envelope=datetime(2001, 1, 1, tzinfo=UTC), flags=flags)
    item = only(decide(old, options=Options(mark=Mark("seen"))))
    assert item.flags == flags
    assert not item.guessed


def test_recent_is_never_sent() -> None:
    assert only(decide(message(1, flags=frozenset({"\\Recent", SEEN})))).flags == {SEEN}


def test_rules_add_and_take_away() -> None:
    rules = '[[rule]]\nname = "r"\nthen = { folder = "X", add-flags = ["$List"], mark = "unseen", flagged = true }\n'
    item = only(decide(message(1, flags=frozenset({SEEN})), rules=rules))
    assert item.flags == {"$List", FLAGGED}
    assert not item.guessed
    assert item.decision.folders == ("X",)


def test_days_out_of_range_are_skipped_in_words_that_a_report_can_count() -> None:
    options = Options(since=date(2020, 1, 1), before=date(2021, 1, 1))
    items = decide(
        message(1, "Tue, 31 Dec 2019"),
        message(2, "Wed, 01 Jan 2020"),
        message(3, "Thu, 31 Dec 2020"),
        message(4, "Fri, 01 Jan 2021"),
        options=options,
    )
    skipped = [i.decision.skip for i in items if isinstance(i, Decided)]
    assert skipped == [
        "dated before 2020-01-01 (--since)",
        "",
        "",
        "dated 2021-01-01 or later (--before)",
    ]


def test_what_the_source_marks_as_deleted_is_skipped_in_its_words() -> None:
    assert only(decide(message(1, discarded="deleted at home"))).decision.skip == "deleted at home"
