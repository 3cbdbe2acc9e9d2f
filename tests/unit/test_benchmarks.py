"""What the benchmarks compute; what they measure, they measure themselves."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from benchmarks import ceilings, corpus, sizes
from benchmarks.__main__ import command
from benchmarks.link import link
from benchmarks.measure import Run, Spent, Spread, ratios, spend
from benchmarks.moves import Rounds, Wanted
from benchmarks.show import BEGIN, END, Table, between_markers, number, percent


def run(seconds: float, *, fault: str = "", moved: int = 10) -> Run:
    return Run("program", Spent(seconds, 0, 0, fault, ""), moved, 10, 1000)


def test_a_message_of_dots_comes_out_as_it_was() -> None:
    assert ceilings.unstuffed(b"..\r\na\r\n...b\r\n.. c..\r\n") == b".\r\na\r\n..b\r\n. c..\r\n"
    assert ceilings.unstuffed(b"a..\r\n") == b"a..\r\n"
    assert ceilings.unstuffed(b"") == b""


@pytest.mark.parametrize("count", [0, 1, 120])
def test_the_raw_program_reads_from_an_mbox_what_was_written(tmp_path: Path, count: int) -> None:
    mail = list(corpus.messages(count, "mixed"))
    octets = corpus.write_mbox(tmp_path / "mbox", mail)
    read = list(ceilings.mbox_messages(ceilings.End(path=str(tmp_path / "mbox"))))
    assert read == [message.replace(b"\n", b"\r\n") for message in mail]
    assert octets == sum(map(len, read))


def test_a_corpus_is_the_same_each_time_and_has_the_sizes_that_it_says() -> None:
    assert list(corpus.messages(5, "mixed")) == list(corpus.messages(5, "mixed"))
    assert list(corpus.messages(5, "mixed")) != list(corpus.messages(5, "mixed", seed=2))
    assert max(map(len, corpus.messages(200, "small"))) < 8_000
    sizes = sorted(map(len, corpus.messages(400, "mixed")))
    assert sizes[200] < 8_000 < 300_000 < sizes[-1]


def test_ratios_are_of_the_same_round_and_of_whole_runs_alone() -> None:
    runs = [run(2), run(4), run(1, fault="ended with 1"), run(5, moved=9)]
    assert ratios(runs, [run(1), run(1), run(1), run(1)]) == [0.5, 0.25]
    assert ratios(runs[:1], [run(1.5)], at_rest=1, ceiling_at_rest=0.5) == [1.0]
    assert ratios([run(1)], [run(1, moved=0)]) == []
    assert ratios([run(1)], [run(1)], at_rest=0.9) == []


def test_a_run_that_moved_too_few_says_so() -> None:
    assert run(1).fault == ""
    assert run(1, moved=9).fault == "moved 9 of 10"
    assert run(1, moved=9, fault="ended with 3: why").fault == "ended with 3: why, moved 9 of 10"


def test_a_program_that_takes_too_long_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    spent = spend(["sh", "-c", "sleep 60 & sleep 60"], env={}, cwd=tmp_path, limit=0.01)
    assert spent.late
    assert spent.fault == "not finished after 0 s"


def test_of_a_program_that_failed_its_last_words_are_kept(tmp_path: Path) -> None:
    command = ["sh", "-c", "echo out; echo first >&2; echo last >&2; exit 3"]
    spent = spend(command, env={}, cwd=tmp_path, limit=60)
    assert (spent.out, spent.fault, spent.late) == ("out\n", "ended with 3: last", False)


def test_mailboxes_grow_tenfold_up_to_what_was_asked_for() -> None:
    assert sizes.sizes(1) == [2_000]
    assert sizes.sizes(20_000) == [2_000, 20_000]
    assert sizes.sizes(199_999) == [2_000, 20_000]


def test_a_large_message_counts_as_long_as_it_is_on_a_wire(tmp_path: Path) -> None:
    octets = corpus.write_mbox(tmp_path / "mbox", corpus.messages(1, "small"), large=200_000)
    read = list(ceilings.mbox_messages(ceilings.End(path=str(tmp_path / "mbox"))))
    assert sum(map(len, read)) == octets
    assert 100_000 < len(read[1]) < 210_000


def test_a_spread_is_the_middle_and_both_ends() -> None:
    assert Spread.of([0.5, 0.9, 0.8]) == Spread(0.8, 0.5, 0.9)
    assert Spread.of([]) is None
    assert percent(Spread.of([0.5, 0.9, 0.8])) == "80 % (50–90)"
    assert percent(None) == "–"


def test_a_number_has_three_digits() -> None:
    assert [number(value) for value in (1234.5, 99.6, 12.34, 9.96, 1.234)] == [
        "1,234",
        "100",
        "12.3",
        "10.0",
        "1.23",
    ]


def test_a_table_is_aligned_for_a_terminal_and_has_pipes_for_a_page() -> None:
    table = Table("t", ("", "msg/s"), [("a program", "1"), ("b", "23,456")], ("with care",))
    assert table.text() == "t\n            msg/s\na program       1\nb          23,456\n(with care)"
    assert table.markdown() == (
        "### t\n\n|  | msg/s |\n| --- | --: |\n| a program | 1 |\n| b | 23,456 |\n\nwith care."
    )


def test_what_was_between_the_markers_is_replaced_and_nothing_else() -> None:
    page = f"# before\n\n{BEGIN}\nold\n{END}\n\nafter\n"
    new = between_markers(page, ["one", "two"])
    assert new == f"# before\n\n{BEGIN}\n\none\n\ntwo\n\n{END}\n\nafter\n"
    assert between_markers(new, ["one", "two"]) == new
    with pytest.raises(ValueError, match="the page has no"):
        between_markers("# nothing", ["one"])


def test_all_octets_pass_the_link_in_order_and_its_end_too() -> None:
    octets = bytes(range(256)) * 8192
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        link(0.001, 0, [listener.getsockname()[1]]) as (port,),
    ):
        client = socket.create_connection(("127.0.0.1", port), 30)
        server, _ = listener.accept()
        with client, server:
            client.sendall(b"hello")
            assert server.recv(5) == b"hello"
            server.sendall(octets)
            server.close()
            with client.makefile("rb") as file:
                assert file.read() == octets


def test_a_page_says_how_to_measure_the_same_again() -> None:
    asked = Wanted(2000, Rounds(5, 1, 600.0), (0.0, 0.04), 20000)
    assert command(["resume"], asked) == (
        "python -m benchmarks resume --delay 0 --delay 40 --rounds 5 --peer-rounds 1 --limit 600 "
        "--messages 2000 --scale 20000"
    )


def test_a_link_that_would_change_nothing_is_none() -> None:
    with link(0, 0, [1, 2]) as ports:
        assert ports == [1, 2]
