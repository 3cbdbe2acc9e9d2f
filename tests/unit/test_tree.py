"""A store of many folders as one source, and what a migration makes of its folders."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pop2imap.errors import ExitCode
from pop2imap.model import Account, Message, Remark, Unread, place_of
from pop2imap.sources import Source
from pop2imap.sources.mbox import MboxSource
from pop2imap.sources.tree import Found, Part, TreeSource
from tests.unit.test_migrate import Bench, counts, mail, mbox_of


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with ExitStack() as stack:
        yield Bench(tmp_path, stack)


def tree(path: Path, folders: dict[str, list[bytes]], *parts: Part) -> TreeSource:
    """A store of these folders, each in a file, and of further parts."""
    made = []
    for number, (folder, messages) in enumerate(folders.items()):
        file = path / f"{number} {folder.replace('/', ' ')}"
        file.write_bytes(mbox_of(*messages))
        made.append(Part(folder, folder, maker(file)))
    return TreeSource("mbox:tree", "mbox", lambda: Found([*made, *parts], remarks=(Remark("a store"),)))


def maker(path: Path) -> Callable[[], Source]:
    return lambda: MboxSource(path)


def test_each_message_says_where_it_lies(tmp_path: Path) -> None:
    source = tree(tmp_path, {"INBOX": [mail(1)], "Work/Old": [mail(2), mail(3)]})
    source.open()
    refs = source.list().refs
    assert [ref.place for ref in refs] == [place_of([name]) for name in ("INBOX", "Work/Old", "Work/Old")]
    folders = [item.folders for item in source.read(refs) if isinstance(item, Message)]
    assert folders == [("INBOX",), ("Work/Old",), ("Work/Old",)]


def test_the_same_message_in_two_folders_is_two(tmp_path: Path) -> None:
    source = tree(tmp_path, {"A": [mail(1)], "B": [mail(1)]})
    source.open()
    assert len({ref.key for ref in source.list().refs}) == 2


def test_a_part_that_cannot_be_had_says_so_and_costs_itself_alone(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(bytes(range(256)))
    broken = Part("binary", "Broken", maker(tmp_path / "binary"))
    lost = Part("lost", "Lost", None, "the disk says no")
    source = tree(tmp_path, {"A": [mail(1)]}, broken, lost)
    source.open()
    items = list(source.read(source.list().refs))
    assert [type(item) for item in items] == [Message, Unread, Unread]
    assert "no mbox" in items[1].reason  # type: ignore[union-attr]
    assert items[2].reason == "the disk says no"  # type: ignore[union-attr]


def test_a_part_that_goes_between_listing_and_reading_costs_itself_alone(tmp_path: Path) -> None:
    source = tree(tmp_path, {"A": [mail(1)], "B": [mail(2), mail(3)], "C": [mail(4)]})
    source.open()
    refs = source.list().refs
    (tmp_path / "1 B").unlink()
    items = list(source.read(refs))
    assert [item.position for item in items] == [1, 2, 3, 4]
    assert [isinstance(item, Unread) for item in items] == [False, True, True, False]


def test_folders_at_home_are_folders_in_the_target(bench: Bench, tmp_path: Path) -> None:
    folders = {"INBOX": [mail(1)], "Work/Old": [mail(2), mail(3)], "\\Sent": [mail(4)]}
    report = bench.run(tree(tmp_path, folders))
    assert counts(report) == {"stored": 4}
    assert bench.held("Work/Old") == {mail(2): 1, mail(3): 1}
    assert bench.held("Sent") == {mail(4): 1}
    assert bench.held() == {mail(1): 1}
    again = bench.run(tree(tmp_path, folders))
    assert again.moved.messages == 0
    assert counts(again) == {"stored": 4}


def test_flattened_they_say_nothing(bench: Bench, tmp_path: Path) -> None:
    bench.run(tree(tmp_path, {"INBOX": [mail(1)], "Work": [mail(2)]}), flatten=True)
    assert bench.held() == {mail(1): 1, mail(2): 1}


def test_a_rule_moves_a_folder(bench: Bench, tmp_path: Path) -> None:
    bench.rules = """
    [[rule]]
    name = "old work"
    when.source-folder = "Work/*"
    then.folder = "Archive/Work"
    """
    bench.run(tree(tmp_path, {"Work": [mail(1)], "Work/Old": [mail(2)]}))
    assert bench.held("Archive/Work") == {mail(2): 1}
    assert bench.held("Work") == {mail(1): 1}


def test_own_mail_that_was_filed_stays_where_it_is(bench: Bench, tmp_path: Path) -> None:
    bench.rules = 'me = ["bob@example.org"]'
    bench.run(tree(tmp_path, {"INBOX": [mail(1)], "Projects": [mail(2)]}))
    assert bench.held("Sent") == {mail(1): 1}
    assert bench.held("Projects") == {mail(2): 1}


def test_trash_and_junk_are_left_at_home_unless_asked_for(bench: Bench, tmp_path: Path) -> None:
    folders = {"INBOX": [mail(1)], "\\Trash": [mail(2)], "\\Trash/Old": [mail(3)], "\\Junk": [mail(4)]}
    report = bench.run(tree(tmp_path, folders))
    assert counts(report) == {"stored": 1, "skipped": 3}
    assert report.skipped_why == {
        "in the trash folder at home (--with-trash moves it)": 2,
        "in the junk folder at home (--with-junk moves it)": 1,
    }
    report = bench.run(tree(tmp_path, folders), with_trash=True)
    assert counts(report) == {"stored": 3, "skipped": 1}


def test_an_unreadable_part_ends_the_run_with_3_and_the_rest_is_moved(bench: Bench, tmp_path: Path) -> None:
    lost = Part("lost", "Lost", None, "the disk says no")
    for _ in range(2):
        report = bench.run(tree(tmp_path, {"A": [mail(1)], "B": [mail(2)]}, lost))
        assert report.exit_code is ExitCode.INCOMPLETE
        assert counts(report) == {"stored": 2, "unreadable": 1}
        assert [problem.reason for problem in report.problems] == ["the disk says no"]
        assert report.unsafe_because()
    assert bench.run(tree(tmp_path, {"A": [mail(1)]}, lost), dry_run=True).exit_code is ExitCode.INCOMPLETE


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_source_of_several_that_is_missing_costs_itself_alone(
    bench: Bench, tmp_path: Path, dry_run: bool
) -> None:
    missing = MboxSource(tmp_path / "missing")
    report = bench.run(missing, bench.mbox(mail(1)), dry_run=dry_run)
    assert report.exit_code is ExitCode.INCOMPLETE
    assert counts(report)["unreadable"] == 1
    assert "no such file" in report.problems[0].reason
    assert report.moved.messages == 1
    assert bench.run(MboxSource(tmp_path / "missing"), dry_run=dry_run).exit_code is ExitCode(65)


def test_what_lies_in_another_folder_at_home_since_is_said(bench: Bench, tmp_path: Path) -> None:
    """One part whose folder has another name for people today: its key lasts, its place does not."""
    file = tmp_path / "file"
    file.write_bytes(mbox_of(mail(1), mail(2)))

    def store(folder: str) -> TreeSource:
        return TreeSource("mbox:tree", "mbox", lambda: Found([Part("file", folder, maker(file))]))

    bench.run(store("Before"))
    report = bench.run(store("After"))
    assert report.moved.messages == 0
    assert any("2 messages" in remark and "other folders at home" in remark for remark in report.remarks)
    plan = bench.run(store("After"), dry_run=True)
    assert any("2 messages that are stored already would go to another" in remark for remark in plan.remarks)
    assert [account for account in plan.counts if plan.counts[account].messages] == [Account.STORED]


def test_a_folder_that_was_renamed_is_not_moved_again(bench: Bench, tmp_path: Path) -> None:
    bench.run(tree(tmp_path, {"A": [mail(1), mail(2)]}))
    report = bench.run(tree(tmp_path, {"B": [mail(1), mail(2)]}))
    assert report.moved.messages == 0
    assert bench.held("A") == {mail(1): 1, mail(2): 1}
    assert not bench.held("B")
