"""A time to wait is read out of the words of servers, and out of nothing else."""

from __future__ import annotations

import pytest

from pop2imap.hints import LONGEST, longer, waiting_time


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Request is throttled. Suggested Backoff Time: 299961 milliseconds", 299.961),
        ("Request is throttled. Suggested Backoff Time: 0 milliseconds", 0),
        ("Upload was rate limited. Try again in 45 seconds.", 45),
        ("Upload was rate limited. Try again in 1 minute.", 60),
        ("Download was rate limited. Try again in 2 hours.", 7200),
        ("Logins must be at least 1 minute apart", 60),
        ("Logins must be at least 5 minutes apart", 300),
        ("slow down, retry after 20 seconds", 20),
        ("Wait for 10 seconds before the next command", 10),
        ("try again in 999999999 days", LONGEST),
    ],
)
def test_a_time_in_words(text: str, seconds: float) -> None:
    assert waiting_time(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    [
        *("", "try again later", "try again in some minutes", "try again in 5", "try again in -5 seconds"),
        *("at least 5 minutes", "quota of 30 days exceeded", "Append completed (0.002 + 0.000 secs)"),
        *("try again in 9999999999 seconds", "try again in 5 secondsful"),
    ],
)
def test_no_time_in_words(text: str) -> None:
    assert waiting_time(text) is None


def test_the_longer_of_two_counts_as_far_as_they_are_known() -> None:
    assert longer(None, None) is None
    assert longer(2.0, None) == longer(None, 2.0) == longer(2.0, 1.0) == 2.0
