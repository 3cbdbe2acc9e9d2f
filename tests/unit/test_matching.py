"""Who gets what: checked against all possible matchings."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import example, given
from hypothesis import strategies as st

from pop2imap.journal import Placement
from pop2imap.matching import match
from pop2imap.model import Found, Key

DAY = datetime(2020, 1, 1, tzinfo=UTC)
A, B = b"A" * 32, b"B" * 32


def claim(
    number: int,
    bound: int = 1,
    digest: bytes = A,
    *,
    stored: bool = False,
    days: int = 0,
    flags: tuple[str, ...] = (),
) -> Placement:
    return Placement(
        key=Key("mbox:x", str(number)),
        folder="INBOX",
        mailbox="INBOX",
        uidvalidity=7,
        lower_bound=bound,
        match_digest=digest,
        size=10,
        date=DAY + timedelta(days=days),
        flags=flags,
        id=number,
        stored=stored,
    )


def found(uid: int, *, days: int = 0, flags: tuple[str, ...] = ()) -> Found:
    return Found(uid, 10, DAY + timedelta(days=days), frozenset(flags))


def test_equal_octets_at_or_above_the_bound_make_a_pair() -> None:
    assert match([claim(1, 5)], [found(5)], {5: A}) == {1: 5}
    assert match([claim(1, 5)], [found(9)], {9: A}) == {1: 9}


def test_a_message_below_the_bound_was_there_before() -> None:
    assert match([claim(1, 5)], [found(4)], {4: A}) == {}


def test_other_octets_and_unread_ones_are_no_pair() -> None:
    assert match([claim(1)], [found(1), found(2)], {1: B}) == {}


def test_of_twins_the_one_goes_without_whose_flags_no_copy_has() -> None:
    unread, read, flagged = claim(1), claim(2, flags=("\\Seen",)), claim(3, flags=("\\Flagged",))
    there = [found(1), found(2, flags=("\\Flagged",))]
    assert match([unread, read, flagged], there, {1: A, 2: A}) == {1: 1, 3: 2}


def test_a_copy_that_is_stored_claims_before_an_intent() -> None:
    unsent, stored = claim(1, 5), claim(2, 3, stored=True)
    assert match([unsent, stored], [found(6)], {6: A}) == {2: 6}


def test_a_stored_claim_leaves_what_an_intent_with_a_higher_bound_needs() -> None:
    stored, intent = claim(1, 1, stored=True, days=3), claim(2, 10, days=3)
    both = [found(4), found(12, days=3)]  # the stored one would like 12 better: it has the date
    assert match([stored, intent], both, {4: A, 12: A}) == {1: 4, 2: 12}


def test_among_equals_date_and_flags_decide_and_then_the_date_alone() -> None:
    claims = [claim(1, flags=("\\Seen",)), claim(2, days=1), claim(3, days=1, flags=("\\Seen",))]
    mail = [found(1, days=1, flags=("\\seen", "\\Recent")), found(2, days=1), found(3)]
    assert match(claims, mail, dict.fromkeys((1, 2, 3), A)) == {1: 3, 2: 2, 3: 1}


def test_digests_do_not_mix() -> None:
    claims = [claim(1, digest=A), claim(2, digest=B), claim(3, digest=B)]
    assert match(claims, [found(1), found(2)], {1: B, 2: A}) == {1: 2, 2: 1}


def test_a_thousand_twins_are_quick() -> None:
    claims = [claim(n, n // 10 + 1, stored=n % 3 == 0) for n in range(1, 3001)]
    mail = [found(uid, days=uid % 2) for uid in range(1, 3001)]
    pairs = match(claims, mail, dict.fromkeys(range(1, 3001), A))
    assert len(pairs) == len(set(pairs.values())) == 3000


claims_st = st.lists(
    st.tuples(st.integers(0, 7), st.booleans(), st.sampled_from([A, A, B]), st.integers(0, 1)), max_size=6
).map(
    lambda drawn: [
        claim(n, bound, digest, stored=stored, days=days)
        for n, (bound, stored, digest, days) in enumerate(drawn, 1)
    ]
)
mail_st = st.dictionaries(
    st.integers(1, 9), st.tuples(st.sampled_from([A, A, B, None]), st.integers(0, 1)), max_size=6
)


def most(claims: list[Placement], digests: dict[int, bytes]) -> tuple[int, int]:
    """The most stored claims that can be matched at once, and the most intents besides, by trying everything."""
    best = (0, 0)

    def go(at: int, free: frozenset[int], stored: int, intents: int) -> None:
        nonlocal best
        best = max(best, (stored, intents))
        if at == len(claims):
            return
        one = claims[at]
        go(at + 1, free, stored, intents)
        for uid in free:
            if uid >= one.lower_bound and digests[uid] == one.match_digest:
                go(at + 1, free - {uid}, stored + one.stored, intents + (not one.stored))

    go(0, frozenset(digests), 0, 0)
    return best


@given(claims_st, mail_st)
@example([claim(1, 1, stored=True), claim(2, 3)], {1: (A, 0), 4: (A, 0)})
def test_as_many_are_matched_as_can_be_the_stored_ones_first(
    claims: list[Placement], mail: dict[int, tuple[bytes | None, int]]
) -> None:
    digests = {uid: digest for uid, (digest, _) in mail.items() if digest is not None}
    pairs = match(claims, [found(uid, days=days) for uid, (_, days) in mail.items()], digests)
    by_id = {one.id: one for one in claims}
    assert len(set(pairs.values())) == len(pairs), "a UID was given twice"
    for number, uid in pairs.items():
        assert uid >= by_id[number].lower_bound
        assert digests[uid] == by_id[number].match_digest
    matched = [by_id[number].stored for number in pairs]
    assert (sum(matched), len(matched) - sum(matched)) == most(claims, digests)


@given(claims_st, mail_st)
def test_the_order_of_claims_and_candidates_does_not_matter(
    claims: list[Placement], mail: dict[int, tuple[bytes | None, int]]
) -> None:
    digests = {uid: digest for uid, (digest, _) in mail.items() if digest is not None}
    candidates = [found(uid, days=days) for uid, (_, days) in mail.items()]
    assert match(claims, candidates, digests) == match(claims[::-1], candidates[::-1], digests)
