"""Both copies as one: a maildrop, and the mail program's files that were fetched from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from pop2imap.at_home import in_order, maildrop_of
from pop2imap.decide import PART
from pop2imap.errors import ExitCode
from pop2imap.model import FLAGGED, SEEN
from pop2imap.report import Copies, Report
from pop2imap.sources import Source
from pop2imap.sources.mbox import MboxSource
from pop2imap.sources.tree import Found, Part, TreeSource
from tests.fakes.memory_target import like_dovecot
from tests.unit.test_migrate import Bench, counts, mail

ACCOUNT = "account1"
U1, U2, U3, U4, U5 = NAMES = [f"0000000{number}5f3c9d01" for number in range(1, 6)]
FILED, READ, FOR_BIN, NEW, GONE = (mail(name) for name in ("filed", "read", "for the bin", "new", "gone"))


class Home(TreeSource):
    """A mail program: folders of messages, each with its UIDL and its X-Mozilla-Status, and what it has fetched."""

    def __init__(
        self,
        path: Path,
        folders: Mapping[str, Sequence[tuple[bytes, str, int]]],
        maildrop: str,
        fetched: Sequence[str] = (),
    ) -> None:
        parts = []
        for folder, messages in folders.items():
            file = path / folder.replace("/", " ").replace("\\", "")
            file.write_bytes(b"".join(map(_as_thunderbird, messages)))
            parts.append(Part(folder, folder, self._maker(file, maildrop)))
        super().__init__("thunderbird:home", "thunderbird", lambda: Found(parts))
        self._fetched = {maildrop: list(fetched)}

    @staticmethod
    def _maker(file: Path, maildrop: str) -> Callable[[], Source]:
        return lambda: MboxSource(file, maildrops={ACCOUNT: maildrop})

    def fetched(self) -> Mapping[str, Sequence[str]]:
        return self._fetched


def _as_thunderbird(message: tuple[bytes, str, int]) -> bytes:
    octets, uidl, status = message
    names = f"X-Account-Key: {ACCOUNT}\nX-UIDL: {uidl}\n" if uidl else ""
    own = f"From - Mon May 04 10:00:00 2020\n{names}X-Mozilla-Status: {status:04x}\nX-Mozilla-Status2: 00000000\n"
    return own.encode() + octets.replace(b"\r\n", b"\n") + b"\n"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with ExitStack() as stack:
        yield Bench(tmp_path, stack)


def home(bench: Bench, drop: Source, **more: Sequence[tuple[bytes, str, int]]) -> Home:
    folders = {
        "INBOX": [(READ, U2, 1), (FOR_BIN, U3, 8)],
        "Work/Filed": [(FILED, U1, 5)],
        **{folder.replace("_", "\\"): messages for folder, messages in more.items()},
    }
    return Home(bench.path, folders, maildrop_of(drop), [U1, U2, U3, U5])


def dropped(bench: Bench) -> Source:
    """Five messages, called U1 to U5."""
    bench.maildrop.uids = list(NAMES)
    return bench.drop(FILED, READ, FOR_BIN, NEW, GONE)


def flags_in(bench: Bench, folder: str) -> list[frozenset[str]]:
    return [one.flags for one in bench.server.mailboxes[folder].mail.values()]


def run(bench: Bench, *sources: Source, **options: object) -> Report:
    return bench.run(*in_order(sources), **options)  # type: ignore[arg-type]


def test_each_message_comes_once_in_the_state_it_has_at_home(bench: Bench) -> None:
    drop = dropped(bench)
    report = run(bench, drop, home(bench, drop))
    assert bench.held() == {READ: 1, NEW: 1}
    assert bench.held("Work/Filed") == {FILED: 1}
    assert bench.held("Trash") == {FOR_BIN: 1, GONE: 1}
    assert counts(report) == {"stored": 5, "present": 2, "skipped": 1}
    assert report.copies == Copies(both=2, only_at_home=0, only_in_maildrop=3)
    again = run(bench, drop, home(bench, drop))
    assert again.moved.messages == 0
    assert counts(again) == counts(report)


def test_what_is_at_home_by_name_is_not_even_fetched(bench: Bench) -> None:
    drop = dropped(bench)
    run(bench, drop, home(bench, drop))
    assert bench.pop3 is not None
    assert [place for session in bench.pop3.sessions for place in session.retrieved] == [2, 3, 4]


def test_a_plan_says_the_same(bench: Bench) -> None:
    drop = dropped(bench)
    report = run(bench, drop, home(bench, drop), dry_run=True)
    assert counts(report) == {"pending": 5, "present": 2, "skipped": 1}
    assert report.copies == Copies(both=2, only_at_home=0, only_in_maildrop=3)
    assert any("2 messages were deleted in the mail program" in remark for remark in report.remarks)


@pytest.mark.parametrize(
    ("choice", "inbox", "trash", "stored"),
    [("trash", 2, 2, 5), ("skip", 2, 0, 3), ("keep", 4, 0, 5)],
)
def test_what_was_deleted_at_home_goes_where_it_is_wanted(
    bench: Bench, choice: str, inbox: int, trash: int, stored: int
) -> None:
    drop = dropped(bench)
    report = run(bench, drop, home(bench, drop), deleted_at_home=choice)
    assert (bench.held().total(), bench.held("Trash").total()) == (inbox, trash)
    assert counts(report)["stored"] == stored


def test_one_after_the_other_is_the_same(bench: Bench) -> None:
    drop = dropped(bench)
    run(bench, home(bench, drop))
    report = run(bench, drop)
    assert counts(report) == {"stored": 3, "present": 2}
    assert bench.held("Trash") == {FOR_BIN: 1, GONE: 1}


def test_a_maildrop_that_was_moved_first_stays_where_it_is(bench: Bench) -> None:
    drop = dropped(bench)
    run(bench, drop)
    report = run(bench, home(bench, drop))
    assert report.moved.messages == 0
    assert counts(report) == {"present": 2, "skipped": 1}


def test_without_names_octets_tell(bench: Bench) -> None:
    drop = dropped(bench)
    store = Home(bench.path, {"Kept": [(FILED, "", 1), (READ, "", 1)]}, "somebody@else")
    report = run(bench, store, drop)
    assert counts(report) == {"stored": 5, "present": 2}
    assert bench.held("Kept") == {FILED: 1, READ: 1}


def test_a_name_of_another_maildrop_says_nothing(bench: Bench) -> None:
    drop = dropped(bench)
    store = Home(bench.path, {"Kept": [(mail("other"), U1, 1)]}, "somebody@else")
    report = run(bench, store, drop)
    assert counts(report) == {"stored": 6}


def test_short_names_and_those_of_nowhere_say_nothing(bench: Bench) -> None:
    """Some servers give such names again, to other mail; here even of the same size."""
    drop = dropped(bench)
    bench.maildrop.uids = ["1", "2", "3", U4, U5]
    one, other = mail("x1"), mail("x2")
    short = Home(bench.path, {"Kept": [(one, "1", 1), (other, "2", 8)]}, maildrop_of(drop), ["1", "2", "3"])
    bench.maildrop.mail[0], bench.maildrop.mail[1] = mail("y1"), mail("y2")
    report = run(bench, short, drop)
    assert counts(report) == {"stored": 6, "skipped": 1}
    assert not bench.held("Trash")


def test_a_name_alone_is_not_believed_if_the_size_is_another(bench: Bench) -> None:
    """Anybody may write an X-UIDL line; nothing may be lost by it."""
    drop = dropped(bench)
    store = Home(bench.path, {"Kept": [(mail("something quite different"), U4, 1)]}, maildrop_of(drop))
    report = run(bench, store, drop)
    assert counts(report) == {"stored": 6}
    assert bench.held()[NEW] == 1


def test_what_servers_make_of_a_message_is_that_message(bench: Bench) -> None:
    """At home with a bare LF, as it was received; in the maildrop as that server rewrote it."""
    bench.server.rewrite = like_dovecot
    octets = b"From: a@example.org\r\nDate: Mon, 04 May 2020 10:00:00 +0000\r\n\r\n8 bit and NUL: \x80\r\n"
    at_home = octets.replace(b"\x80", b"\0")
    drop = bench.drop(octets, octets)
    store = Home(bench.path, {"Kept": [(at_home, "", 1)]}, "somebody@else")
    report = run(bench, store, drop)
    assert counts(report) == {"stored": 2, "present": 1}, (
        "one at home stands for one in the maildrop, not for its twin"
    )


def test_mail_that_nothing_fetched_is_unread(bench: Bench) -> None:
    drop = dropped(bench)
    run(bench, drop, home(bench, drop), mark=bench.options.mark._replace(kind="seen"))
    by_octets = dict(zip(bench.server.octets_in("INBOX"), flags_in(bench, "INBOX"), strict=True))
    assert SEEN not in by_octets[NEW]
    assert SEEN in by_octets[READ]


def test_junk_at_home_does_not_come_back_from_the_maildrop(bench: Bench) -> None:
    drop = dropped(bench)
    store = home(bench, drop, _Junk=[(NEW, U4, 1)])
    report = run(bench, store, drop)
    assert NEW not in bench.held()
    assert counts(report) == {"stored": 4, "present": 2, "skipped": 3}
    report = run(bench, home(bench, drop, _Junk=[(NEW, U4, 1)]), drop, with_junk=True)
    assert bench.held("Junk") == {NEW: 1}
    assert counts(report) == {"stored": 5, "present": 3, "skipped": 1}


def partly(bench: Bench, maildrop: str, status: int = 0x405) -> Home:
    """Of NEW, the mail program has the beginning, starred and read, in a folder."""
    return Home(bench.path, {"Kept": [(NEW.removesuffix(b" new\r\n") + b"\r\n", U4, status)]}, maildrop)


def test_what_was_fetched_in_part_and_deleted_does_not_come_back(bench: Bench) -> None:
    drop = dropped(bench)
    run(bench, drop, partly(bench, maildrop_of(drop), 0x408))
    assert bench.held("Trash") == {NEW: 1}
    assert NEW not in bench.held()


def test_of_a_partly_fetched_message_the_whole_comes_into_its_place(bench: Bench) -> None:
    drop = dropped(bench)
    plan = run(bench, drop, partly(bench, maildrop_of(drop)), dry_run=True)
    assert counts(plan) == {"pending": 5, "skipped": 1}
    report = run(bench, drop, partly(bench, maildrop_of(drop)))
    assert counts(report) == {"stored": 5, "skipped": 1}
    assert report.skipped_why == {PART: 1}
    assert bench.held("Kept") == {NEW: 1}
    assert flags_in(bench, "Kept") == [frozenset({SEEN, FLAGGED})]
    assert NEW not in bench.held()
    again = run(bench, drop, partly(bench, maildrop_of(drop)))
    assert again.moved.messages == 0


def test_a_run_that_ends_before_the_maildrop_has_its_turn_loses_nothing(bench: Bench) -> None:
    drop = dropped(bench)
    run(bench, partly(bench, maildrop_of(drop)), drop, limit=1)
    run(bench, partly(bench, maildrop_of(drop)), drop)
    assert bench.held("Kept") == {NEW: 1}
    assert bench.held().total() == 4


def test_the_beginning_is_moved_if_there_is_no_more_of_it(bench: Bench) -> None:
    drop = dropped(bench)
    part = partly(bench, maildrop_of(drop))
    bench.maildrop.mail.pop(3)
    assert bench.maildrop.uids is not None
    bench.maildrop.uids.pop(3)
    assert counts(run(bench, part, drop)) == {"stored": 5}
    assert bench.held("Kept").total() == 1


def test_the_beginning_is_moved_if_the_maildrop_is_another(bench: Bench) -> None:
    drop = dropped(bench)
    assert counts(run(bench, partly(bench, "somebody@else"), drop)) == {"stored": 6}
    assert bench.held()[NEW] == 1


def test_duplicates_are_kept_if_they_are_wanted(bench: Bench) -> None:
    drop = dropped(bench)
    report = run(bench, drop, home(bench, drop), keep_duplicates=True)
    assert counts(report) == {"stored": 7, "skipped": 1}
    assert report.exit_code is ExitCode.OK
