"""A POP3 maildrop as a source: names, listings, heads, and when QUIT is said."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator

import pytest

from pop2imap import net
from pop2imap.credentials import Secret
from pop2imap.errors import (
    AuthenticationFailed,
    ConnectionLost,
    InternalError,
    ProtocolError,
    ServerBusy,
    SourceDataError,
)
from pop2imap.model import Key, Message, Ref, Remark, Unread
from pop2imap.sources import Listing, Source
from pop2imap.sources.pop3 import Pop3Source
from tests.fakes.pop3_server import (
    CAPABILITIES,
    MASTER,
    MASTER_PASSWORD,
    PASSWORD,
    USER,
    Maildrop,
    Pop3Server,
    endless,
)
from tests.fakes.round_trips import counted

MAIL = [f"Subject: {number}\r\n\r\nbody of {number}\r\n".encode() for number in range(1, 6)]
TWIN = b"Subject: twin\r\n\r\n"


@contextlib.contextmanager
def opened(maildrop: Maildrop) -> Iterator[tuple[Pop3Source, Pop3Server]]:
    with Pop3Server(maildrop) as server:
        source = Pop3Source(server.address(), USER, Secret(PASSWORD))
        source.open()
        try:
            yield source, server
        finally:
            source.close(settled=False)


ONE_AT_A_TIME = tuple(name for name in CAPABILITIES if name != "PIPELINING")


def listing_of(maildrop: Maildrop) -> Listing:
    with opened(maildrop) as (source, _):
        return source.list()


def octets(item: Message | Unread) -> bytes:
    assert isinstance(item, Message)
    return b"".join(item.octets.chunks())


def texts(remarks: tuple[Remark, ...]) -> str:
    return " | ".join(remark.text for remark in remarks)


class TestIdentity:
    def test_names_mailbox_and_server(self) -> None:
        secret = Secret(PASSWORD)
        tls = net.Transport.TLS
        source: Source = Pop3Source(net.Server("POP.Example.COM", 995, tls), "Alice@example.com", secret)
        assert source.id == "pop3:Alice@example.com@pop.example.com:995"
        assert (source.kind, source.folder) == ("pop3", "INBOX")
        assert Pop3Source(net.Server("::1", 110, tls), "a", secret).id == "pop3:a@[::1]:110"
        assert Pop3Source(net.Server("x", 1, tls), "admin", secret, login_as="bob").id == "pop3:bob@x:1"

    def test_shows_no_password(self) -> None:
        source = Pop3Source(net.Server("localhost", 1, net.Transport.CLEAR), "a", Secret("hunter2"))
        assert "hunter2" not in repr(vars(source))


class TestOpening:
    def test_says_how_it_got_in_and_what_is_missing(self) -> None:
        with Pop3Server(Maildrop()) as server:
            source = Pop3Source(server.address(), MASTER, Secret(MASTER_PASSWORD), login_as=USER)
            facts = " | ".join(source.open())
            source.close(settled=True)
        assert "logged in as admin for the mailbox of alice with AUTH PLAIN" in facts
        assert "offers UIDL, TOP, PIPELINING" in facts

    @pytest.mark.parametrize(
        ("capabilities", "words"),
        [
            (None, "no CAPA"),
            (("USER", "TOP"), "offers no UIDL"),
            (("USER", "UIDL"), "offers no TOP"),
            (("USER", "UIDL", "TOP"), "offers no PIPELINING"),
            (("USER", "LOGIN-DELAY 300"), "300 seconds between two logins"),
            (("USER", "EXPIRE 0"), "EXPIRE 0"),
        ],
    )
    def test_warns(self, capabilities: tuple[str, ...] | None, words: str) -> None:
        with Pop3Server(Maildrop(capabilities=capabilities)) as server:
            source = Pop3Source(server.address(), USER, Secret(PASSWORD))
            assert words in " | ".join(source.open())
            source.close(settled=True)

    def test_again_begins_anew(self) -> None:
        with opened(Maildrop(MAIL)) as (source, server):
            source.list()
            source.open()
            with pytest.raises(InternalError):
                next(source.read([]))
            assert len(source.list().refs) == len(MAIL)
            assert not server.sessions[0].quit

    def test_that_fails_leaves_nothing_open(self) -> None:
        with Pop3Server(Maildrop()) as server:
            source = Pop3Source(server.address(), USER, Secret("wrong"))
            with pytest.raises(AuthenticationFailed):
                source.open()
            server.wait()
            assert source.close(settled=True) == ()
            with pytest.raises(InternalError):
                source.list()


class TestListing:
    def test_names_messages_by_their_uidl(self) -> None:
        listing = listing_of(Maildrop(MAIL, uids=["a", "b", "c", "d", "e"]))
        assert [ref.key.name for ref in listing.refs if ref.key] == ["a", "b", "c", "d", "e"]
        assert listing.octets == sum(map(len, MAIL))
        assert listing.complete
        assert listing.remarks == ()

    def test_of_an_empty_maildrop_is_empty(self) -> None:
        assert len(listing_of(Maildrop()).refs) == 0
        refusing = {"LIST": b"-ERR no messages\r\n", "UIDL": b"-ERR no messages\r\n"}
        assert len(listing_of(Maildrop(answers=dict(refusing))).refs) == 0

    def test_tells_repeated_names_apart(self) -> None:
        listing = listing_of(Maildrop(MAIL, uids=["a", "b", "a", "a", "b"]))
        assert [(ref.key.name, ref.key.nth) for ref in listing.refs if ref.key] == [
            ("a", 0),
            ("b", 0),
            ("a", 1),
            ("a", 2),
            ("b", 1),
        ]
        assert [remark.count for remark in listing.remarks] == [3]

    def test_does_without_uidl(self) -> None:
        listing = listing_of(Maildrop(MAIL, answers={"UIDL": b"-ERR never heard of it\r\n"}))
        assert [ref.key for ref in listing.refs] == [None] * len(MAIL)
        assert "no UIDL" in texts(listing.remarks)

    def test_takes_trouble_for_no_lack_of_uidl(self) -> None:
        with pytest.raises(ServerBusy):
            listing_of(Maildrop(MAIL, answers={"UIDL": b"-ERR [SYS/TEMP] busy\r\n"}))
        with pytest.raises(SourceDataError):
            listing_of(Maildrop(MAIL, answers={"UIDL": b"-ERR [SYS/PERM] broken\r\n"}))
        farewell = b"-ERR idle for too long\r\n"
        with pytest.raises(ConnectionLost):
            listing_of(Maildrop(MAIL, answers={"UIDL": farewell}, cut={"UIDL": len(farewell)}))

    def test_adds_up_what_it_shows(self) -> None:
        listing = listing_of(Maildrop(MAIL[:2], answers={"LIST": b"+OK\r\n1 10\r\n1 99\r\n2 20\r\n.\r\n"}))
        assert listing.octets == sum(ref.size for ref in listing.refs) == 30

    def test_does_with_broken_and_missing_names(self) -> None:
        listing = listing_of(Maildrop(MAIL, uids=["a", "", None, "d d", "e"]))
        assert [ref.key.name if ref.key else None for ref in listing.refs] == ["a", None, None, None, "e"]
        assert "make no sense" in texts(listing.remarks)
        assert "not in the UIDL reply" in texts(listing.remarks)

    def test_says_when_counts_differ(self) -> None:
        listing = listing_of(Maildrop(MAIL, answers={"STAT": b"+OK 7 700\r\n"}))
        assert len(listing.refs) == 5
        assert "STAT counts 7 messages, LIST shows 5" in texts(listing.remarks)

    @pytest.mark.parametrize("answer", [b"-ERR\r\n", b"+OK\r\n", b"+OK some\r\n"])
    def test_does_without_stat(self, answer: bytes) -> None:
        assert len(listing_of(Maildrop(MAIL, answers={"STAT": answer})).refs) == 5

    def test_does_not_do_without_list(self) -> None:
        with pytest.raises(ProtocolError):
            listing_of(Maildrop(MAIL, answers={"LIST": b"-ERR no\r\n"}))

    @pytest.mark.parametrize("command", ["LIST", "UIDL"])
    def test_has_an_end(self, command: str) -> None:
        drop = Maildrop(MAIL, capabilities=ONE_AT_A_TIME)
        drop.answers[command] = endless(b"1 1\r\n" * 50_000)
        with pytest.raises(ProtocolError):
            listing_of(drop)

    @pytest.mark.parametrize("command", ["STAT", "LIST", "UIDL"])
    def test_that_is_cut_is_a_lost_connection(self, command: str) -> None:
        with pytest.raises(ConnectionLost):
            listing_of(Maildrop(MAIL, cut={command: 8}))

    def test_with_octets_behind_it_is_not_believed(self) -> None:
        with opened(Maildrop(MAIL, answers={"LIST": b"+OK\r\n1 1\r\n.\r\n2 2\r\n.\r\n"})) as (source, server):
            with pytest.raises(ConnectionLost, match="nobody asked for"):  # it may have been the pipelining
                source.list()
            source.open()
            with pytest.raises(ProtocolError, match="nobody asked for"):
                source.list()
            assert server.sessions[1].most_waiting == 1

    def test_is_sent_for_with_the_login(self) -> None:
        with counted() as trips:
            capabilities = (*CAPABILITIES, "UTF8 USER")
            with opened(Maildrop(MAIL, capabilities=capabilities)) as (source, server):
                assert len(source.list().refs) == len(MAIL)
                assert trips.count == 5  # greeting, CAPA, UTF8 and USER, PASS, all the rest
                commands = server.sessions[0].commands
                assert commands[:4] == ["CAPA", "UTF8", f"USER {USER}", f"PASS {PASSWORD}"]
                assert commands[4:] == ["CAPA", "STAT", "LIST", "UIDL"]
                source.list()
                assert trips.count == 8

    def test_is_asked_for_line_by_line_without_pipelining(self) -> None:
        with opened(Maildrop(MAIL, capabilities=ONE_AT_A_TIME)) as (source, server):
            assert len(source.list().refs) == len(MAIL)
            assert server.sessions[0].most_waiting == 1

    def test_may_be_sent_for_and_never_asked(self) -> None:
        with opened(Maildrop(MAIL)) as (source, server):
            source.close(settled=True)
            server.wait()
            assert server.sessions[0].quit

    def test_that_comes_in_another_order_is_asked_for_again(self) -> None:
        uids: list[str | None] = ["10", "20", "30", "40", "50"]
        drop = Maildrop(MAIL, uids=uids, mixes_pipelines=True)
        with opened(drop) as (source, server):
            refs = source.list().refs
            assert [ref.key.name for ref in refs if ref.key] == uids
            assert [ref.size for ref in refs] == [len(octets) for octets in MAIL]
            assert server.sessions[0].commands.count("LIST") == 2

    def test_that_breaks_a_session_is_asked_for_line_by_line_in_the_next(self) -> None:
        with opened(Maildrop(MAIL, cut={"STAT": 0})) as (source, server):
            with pytest.raises(ConnectionLost):
                source.list()
            server.maildrop.cut.clear()
            source.open()
            assert len(source.list().refs) == len(MAIL)
            assert server.sessions[1].most_waiting == 1

    @pytest.mark.parametrize(
        "maildrop",
        [
            Maildrop(MAIL, capabilities=(*CAPABILITIES, "X-GOOGLE-RICO")),
            Maildrop(MAIL, greeting=b"+OK Gpop ready for requests from 192.0.2.1 x7mb\r\n"),
        ],
    )
    def test_of_gmail_is_only_a_part(self, maildrop: Maildrop) -> None:
        listing = listing_of(maildrop)
        assert not listing.complete
        assert "Gmail" in texts(listing.remarks)


class TestReading:
    def test_keeps_the_octets_that_servers_and_libraries_like_to_change(self) -> None:
        mail = [
            b"bare\nline\nfeed\r\n",
            b"bare\rcarriage\r\r\nreturn\r\n",
            b"nul \0 and \xff\xfe\r\n",
            b"x" * 20_000 + b"\r\n",
            b".\r\n..\r\n.a\r\n",
            b"a\n.\nSECRET REST\n.\r\nb\r\n",
            b"\r\n\r\n",
            b"",
        ]
        with opened(Maildrop(mail)) as (source, _):
            assert [octets(item) for item in source.read(source.list().refs)] == mail

    def test_ends_what_has_no_line_end_as_pop3_must(self) -> None:
        with opened(Maildrop([b"no line end"])) as (source, _):
            assert [octets(item) for item in source.read(source.list().refs)] == [b"no line end\r\n"]

    def test_with_bare_line_feeds_throughout_needs_leave(self) -> None:
        answers = {"RETR 1": b"+OK\nSubject: x\n\n..\n.\n", "RETR 2": b"+OK\nSubject: y\n\n.\n"}
        with Pop3Server(Maildrop(MAIL[:2], answers=dict(answers))) as server:
            source = Pop3Source(server.address(), USER, Secret(PASSWORD), lenient_end=True)
            source.open()
            items = [octets(item) for item in source.read(source.list().refs)]
            source.close(settled=True)
        assert items == [b"Subject: x\n\n.\n", b"Subject: y\n\n"]

    def test_names_what_has_no_uidl_by_its_octets(self) -> None:
        mail = [TWIN, MAIL[0], TWIN, TWIN]
        with opened(Maildrop(mail, answers={"UIDL": b"-ERR\r\n"})) as (source, _):
            keys = [item.key for item in source.read(source.list().refs)]
            name = "sha256:" + hashlib.sha256(TWIN).hexdigest()
            assert [key for key in keys if key and key.name == name] == [
                Key(source.id, name, n) for n in range(3)
            ]
            refs = source.list().refs
            some = [item.key for item in source.read(refs[:3])]
            assert some == keys[:3]
            assert [item.key for item in source.read(refs[3:])] == keys[3:]

    def test_names_only_what_has_no_uidl_by_its_octets(self) -> None:
        with opened(Maildrop([TWIN, TWIN, TWIN], uids=["a", "", "c"])) as (source, _):
            keys = [item.key for item in source.read(source.list().refs)]
        assert [key.name[:7] if key else None for key in keys] == ["a", "sha256:", "c"]
        assert keys[1] is not None
        assert keys[1].nth == 0

    def test_notes_sizes_that_differ_and_believes_the_end(self) -> None:
        sizes = [len(octets) for octets in MAIL]
        sizes[0] += 100
        sizes[1] -= 1
        sizes[2] = 0
        with opened(Maildrop(MAIL, sizes=sizes)) as (source, _):
            assert [octets(item) for item in source.read(source.list().refs)] == MAIL
            (remark,) = source.close(settled=True)
        assert remark.count == 2
        assert "1 of them shorter" in remark.text

    def test_before_listing_or_of_a_ref_of_no_listing_is_a_defect(self) -> None:
        with opened(Maildrop(MAIL)) as (source, _):
            with pytest.raises(InternalError):
                next(source.read([]))
            source.list()
            for position in (0, 6):
                with pytest.raises(InternalError):
                    next(source.read([Ref(position, None, 1)]))


class TestPeeking:
    def test_sees_heads_only_and_retrieves_nothing(self) -> None:
        with opened(Maildrop(MAIL)) as (source, server):
            refs = source.list().refs
            items = list(source.peek(refs))
            assert [octets(item) for item in items] == [octets[: octets.index(b"body")] for octets in MAIL]
            for item, ref in zip(items, refs, strict=True):
                assert isinstance(item, Message)
                assert (item.whole, item.size, item.key) == (False, ref.size, ref.key)
            assert server.sessions[0].retrieved == []
            assert server.sessions[0].most_waiting > 1

    def test_gives_names_for_the_moment_to_what_has_no_uidl(self) -> None:
        with opened(Maildrop(MAIL, answers={"UIDL": b"-ERR\r\n"})) as (source, _):
            keys = [item.key for item in source.peek(source.list().refs)]
            assert keys == [Key(source.id, f"position:{n}") for n in range(1, 6)]

    @pytest.mark.parametrize("capabilities", [("USER", "UIDL", "PIPELINING"), None])
    def test_without_top_sees_nothing_and_says_so(self, capabilities: tuple[str, ...] | None) -> None:
        maildrop = Maildrop(MAIL, capabilities=capabilities, answers={"TOP": b"-ERR what?\r\n"})
        with opened(maildrop) as (source, server):
            items = list(source.peek(source.list().refs))
            assert [octets(item) for item in items] == [b""] * 5
            assert [item.size for item in items if isinstance(item, Message)] == [
                len(octets) for octets in MAIL
            ]
            (remark,) = source.close(settled=False)
            assert "no TOP" in remark.text
            assert remark.count == 5
            (log,) = server.wait()
            assert not any(line.startswith("RETR") for line in log.commands)

    def test_may_fail_for_one(self) -> None:
        for capabilities in (CAPABILITIES, None):
            maildrop = Maildrop(MAIL, capabilities=capabilities, answers={"TOP 3 0": b"-ERR damaged\r\n"})
            with opened(maildrop) as (source, _):
                items = list(source.peek(source.list().refs))
            assert [isinstance(item, Unread) for item in items] == [False, False, True, False, False]

    def test_does_not_keep_what_a_server_gives_beyond_the_head(self) -> None:
        with opened(Maildrop(MAIL, answers={"TOP 1 0": b"+OK\r\n" + MAIL[0] + b".\r\n"})) as (source, _):
            (item,) = source.peek(source.list().refs[:1])
            assert octets(item) == b"Subject: 1\r\n\r\n"


class TestClosing:
    def read_all(self, source: Pop3Source) -> None:
        assert len(list(source.read(source.list().refs))) == len(MAIL)

    def test_says_quit_when_all_is_settled(self) -> None:
        with opened(Maildrop(MAIL)) as (source, server):
            self.read_all(source)
            assert source.close(settled=True) == ()
            assert server.wait()[0].quit

    def test_says_nothing_otherwise(self) -> None:
        with opened(Maildrop(MAIL)) as (source, server):
            self.read_all(source)
            assert source.close(settled=False) == ()
            assert not server.wait()[0].quit

    def test_does_not_say_quit_over_mail_that_was_asked_for_and_not_taken(self) -> None:
        with opened(Maildrop(MAIL)) as (source, server):
            next(source.read(source.list().refs))
            (remark,) = source.close(settled=True)
            assert "QUIT" in remark.text
            assert not server.wait()[0].quit

    def test_says_quit_when_mail_was_not_even_asked_for(self) -> None:
        with opened(Maildrop(MAIL, capabilities=("USER", "UIDL"))) as (source, server):
            next(source.read(source.list().refs))
            assert source.close(settled=True) == ()
            (log,) = server.wait()
            assert log.quit
            assert log.retrieved == [0]

    def test_does_not_say_quit_over_mail_that_was_dropped_unseen(self) -> None:
        with opened(Maildrop(MAIL)) as (source, server):
            refs = source.list().refs
            next(source.read(refs))
            self.read_all(source)
            (remark,) = source.close(settled=True)
            assert "QUIT" in remark.text
            assert not server.wait()[0].quit

    def test_says_quit_after_heads_that_nobody_took(self) -> None:
        with opened(Maildrop(MAIL)) as (source, server):
            next(source.peek(source.list().refs))
            assert source.close(settled=True) == ()
            assert server.wait()[0].quit

    @pytest.mark.parametrize("answer", [b"-ERR some deleted messages not removed\r\n", b"what?\r\n"])
    def test_tells_when_quit_failed(self, answer: bytes) -> None:
        with opened(Maildrop(MAIL, answers={"QUIT": answer})) as (source, _):
            (remark,) = source.close(settled=True)
        assert "QUIT" in remark.text

    def test_tells_when_there_was_nobody_to_say_it_to(self) -> None:
        with opened(Maildrop(MAIL, cut={"QUIT": 0})) as (source, _):
            (remark,) = source.close(settled=True)
        assert "QUIT" in remark.text
        with opened(Maildrop(MAIL, cut={"LIST": 4})) as (source, server):
            with pytest.raises(ConnectionLost):
                source.list()
            (remark,) = source.close(settled=True)
            assert "QUIT" in remark.text
            assert server.wait()[0].commands[-1] == "LIST"

    def test_lets_gmail_show_the_rest_only_when_all_is_settled(self) -> None:
        maildrop = Maildrop(
            MAIL, shows=2, hides_retrieved=True, capabilities=(*CAPABILITIES, "X-GOOGLE-RICO")
        )
        with opened(maildrop) as (source, _):
            seen = []
            for settled in (False, True, True, True):
                seen.append([octets(item) for item in source.read(source.list().refs)])
                source.close(settled=settled)
                source.open()
            assert seen == [MAIL[:2], MAIL[:2], MAIL[2:4], MAIL[4:]]
            assert len(source.list().refs) == 0


class TestDeleting:
    def test_marks_in_order_and_says_which_the_server_refuses(self) -> None:
        maildrop = Maildrop(list(MAIL), answers={"DELE 2": b"-ERR [SYS/PERM] never\r\n"})
        with opened(maildrop) as (source, server):
            refs = source.list().refs
            refusals = [(ref.position, words) for ref, words in source.delete([refs[0], refs[1], refs[4]])]
            assert refusals == [(1, ""), (2, 'the server said "[SYS/PERM] never"'), (5, "")]
            assert source.commit() == ""
        assert server.sessions[0].quit
        assert server.visible() == [1, 2, 3]

    def test_needs_a_listing_of_this_session(self) -> None:
        with opened(Maildrop(list(MAIL))) as (source, _):
            with pytest.raises(InternalError):
                next(source.delete([Ref(1, None, 1)]))
            source.list()
            with pytest.raises(InternalError):
                next(source.delete([Ref(9, None, 1)]))

    def test_happens_with_commit_alone(self) -> None:
        with opened(Maildrop(list(MAIL))) as (source, server):
            refs = source.list().refs
            assert [words for _, words in source.delete(refs)] == [""] * len(MAIL)
            source.close(settled=True)
            assert not server.wait()[0].quit
            assert len(server.visible()) == len(MAIL)

    def test_tells_of_a_quit_that_was_not_answered_well(self) -> None:
        with opened(Maildrop(list(MAIL), answers={"QUIT": b"-ERR not all of them\r\n"})) as (source, _):
            list(source.delete(source.list().refs[:1]))
            assert source.commit() == 'the server said "not all of them"'
        with opened(Maildrop(list(MAIL), cut_at_quit="after")) as (source, _):
            list(source.delete(source.list().refs[:1]))
            assert source.commit()

    def test_knows_the_pause_that_the_server_wants(self) -> None:
        with opened(Maildrop(capabilities=("USER", "LOGIN-DELAY 10"))) as (source, _):
            assert source.login_delay == 10.0
        with opened(Maildrop()) as (source, _):
            assert source.login_delay == 0.0
