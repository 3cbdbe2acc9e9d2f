"""The statements that go past SQLAlchemy: all that a migration says to its journal.

A run says the same few dozen things, some of them for each message. Written as text they cost what the database costs,
and no run waits for the import of SQLAlchemy (a quarter of a second, while a link moves hundreds of messages). The
others stay with SQLAlchemy Core: the tables and the steps that make them (``schema``), and what is asked and written
rarely (``history``, ``undoing``).

Only what any SQL database understands stands here, so that another one than SQLite remains possible. The four
statements that a run says for each message bring the seal of their rows (:mod:`pop2imap.journal.seals`), over the
columns in the order of the tables; the others leave that to triggers. Two forms are bound to the tables: *claim = 1*
is the condition of the index on claims, which SQLite uses only for a condition that is written in the very same way,
and values are written as :mod:`pop2imap.journal.values` has them. ``{}`` is a list of parameters, as long as it has to
be: see :func:`among`.
"""

# ruff: noqa: S608 (put together of our own words alone)

from __future__ import annotations

from functools import lru_cache

from pop2imap.journal.values import HELD, INTENDED, PRESENT, STORED, UNDOING
from pop2imap.model import SETTLED, Account

_MINE = f"'{STORED}', '{PRESENT}'"
_SETTLED = ", ".join(sorted(f"'{account.value}'" for account in SETTLED))


@lru_cache(maxsize=64)
def among(statement: str, count: int) -> str:
    """``statement`` with so many parameters in place of its ``{}``."""
    return statement.format(", ".join("?" * count))


# -- names that have numbers

NUMBER = "SELECT id FROM {} WHERE name = ?"
NAMES = "SELECT id, name FROM {}"
ADD_NAME = "INSERT INTO {} (name) VALUES (?)"

# -- messages

_NAMED = "WHERE m.source = ? AND m.nth BETWEEN ? AND ? AND m.name IN ({})"
KNOWN_MESSAGES = f"SELECT m.id, m.source, m.name, m.nth, m.rules FROM messages m {_NAMED}"
ENTRIES = (
    "SELECT m.name, m.nth, m.account, m.size, m.digest, m.date, m.reason, m.subject, m.rules, "
    "p.folder, p.mailbox, p.state, p.repairs "
    f"FROM messages m LEFT JOIN placements p ON p.message = m.id {_NAMED}"
)
SETTLED_MESSAGES = (
    "SELECT m.name, m.nth, m.account, m.size, m.date, m.rules FROM messages m "
    f"{_NAMED} AND m.account IN ({_SETTLED})"
)
REPAIRED = "SELECT id FROM placements WHERE repairs <> '' LIMIT 1"
ADD_MESSAGE = (
    "INSERT INTO messages (id, source, name, nth, account, size, digest, date, date_from, copies, why, rules, reason, "
    "subject, run, seal) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
CHANGE_MESSAGE = (
    "UPDATE messages SET source = ?, name = ?, nth = ?, account = ?, size = ?, digest = ?, date = ?, date_from = ?, "
    "copies = ?, why = ?, rules = ?, reason = ?, subject = ?, run = ? WHERE id = ?"
)
RENAME_MESSAGE = "UPDATE messages SET source = ?, name = ?, nth = ?, run = ? WHERE id = ?"
REMOVE_MESSAGE = "UPDATE messages SET nth = ?, run = ? WHERE id = ?"
DELETE_MESSAGE = "DELETE FROM messages WHERE id = ?"
SET_ACCOUNT = (
    "UPDATE messages SET account = ?1, reason = ?2, subject = ?3, seal = pop2imap_seal(id, source, name, nth, ?1, "
    "size, digest, date, date_from, copies, why, rules, ?2, ?3, run) WHERE id = ?4"
)
LOWEST = "SELECT name, min(nth) FROM messages WHERE source = ? AND name IN ({}) GROUP BY name"
STATES = (
    "SELECT m.id, m.copies, m.reason, m.subject, p.state FROM messages m "
    "LEFT JOIN placements p ON p.message = m.id WHERE m.id IN ({})"
)

# -- placements

COPIES = "SELECT id, message, folder, mailbox, state FROM placements WHERE message IN ({})"
ADD_PLACEMENT = (
    "INSERT INTO placements (id, message, folder, mailbox, state, claim, uidvalidity, lower_bound, uid, match_digest, "
    "size, date, flags, run, repairs, seal) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
DELETE_PLACEMENTS = "DELETE FROM placements WHERE id IN ({})"
FORGET_REFUSALS = "DELETE FROM placements WHERE state = 'refused' AND message IN ({})"
TO_SETTLE = (
    "SELECT id, message, mailbox, state, claim, uidvalidity, lower_bound FROM placements WHERE id IN ({})"
)
OWNERS = "SELECT uid FROM placements WHERE mailbox = ? AND uidvalidity = ? AND uid IN ({})"
SET_OUTCOME = (
    "UPDATE placements SET state = ?1, claim = ?2, uid = ?3, mailbox = ?4, uidvalidity = ?5, seal = pop2imap_seal(id, "
    "message, folder, ?4, ?1, ?2, ?5, lower_bound, ?3, match_digest, size, date, flags, run, repairs) WHERE id = ?6"
)
LOSE_UIDS = (
    "UPDATE placements SET uidvalidity = ?, lower_bound = 0, uid = NULL, claim = 1 "
    "WHERE mailbox = ? AND uidvalidity <> ? AND (uid IS NOT NULL OR claim = 1)"
)

CLAIMS = (
    "SELECT p.id, m.source, m.name, m.nth, p.folder, p.uidvalidity, p.lower_bound, p.match_digest, p.size, p.date, "
    "p.flags, p.repairs, p.state FROM placements p JOIN messages m ON p.message = m.id "
    "WHERE p.mailbox = ? AND claim = 1"
)
INTENTS = f"{CLAIMS} AND p.state = '{INTENDED}'"
CLAIMS_LIKE = f"{CLAIMS} AND p.match_digest IN ({{}})"
UNLOCATED = f"SELECT match_digest FROM placements WHERE mailbox = ? AND claim = 1 AND state <> '{INTENDED}'"
IN_DOUBT = (
    "SELECT DISTINCT b.name, f.name FROM placements p JOIN mailboxes b ON p.mailbox = b.id "
    f"JOIN folders f ON p.folder = f.id WHERE claim = 1 AND p.state = '{INTENDED}' ORDER BY b.name, f.name"
)
OWNED = "SELECT uid FROM placements WHERE mailbox = ? AND uidvalidity = ? AND uid IS NOT NULL"
PUT = (
    "SELECT m.name, p.uid FROM placements p JOIN messages m ON p.message = m.id "
    f"WHERE p.mailbox = ? AND p.uidvalidity = ? AND p.uid IS NOT NULL AND p.state = '{STORED}' AND m.source = ?"
)
UNDOING_COPIES = f"SELECT count(*) FROM placements WHERE state = '{UNDOING}'"
HELD_COPIES = f"SELECT count(*) FROM placements WHERE state = '{HELD}'"
SETTLED_LIKE = (
    f"SELECT DISTINCT match_digest FROM placements WHERE state IN ({_MINE}) AND match_digest IN ({{}})"
)
REPAIRS_LIKE = (
    "SELECT m.digest, p.repairs FROM messages m JOIN placements p ON p.message = m.id "
    f"WHERE p.state IN ({_MINE}) AND p.repairs <> '' AND m.digest IN ({{}})"
)

# -- mailboxes

UIDVALIDITY = "SELECT uidvalidity FROM mailboxes WHERE id = ?"
LAST_UIDVALIDITY = "SELECT uidvalidity FROM mailboxes WHERE name = ?"
SET_UIDVALIDITY = "UPDATE mailboxes SET uidvalidity = ? WHERE id = ?"
SET_FIRST_UID = "UPDATE origins SET first_uid = ? WHERE mailbox = ?"
ADD_FIRST_UID = "INSERT INTO origins (first_uid, mailbox) VALUES (?, ?)"
SET_MADE = "UPDATE origins SET made = ? WHERE mailbox = ?"
ADD_MADE = "INSERT INTO origins (made, mailbox) VALUES (?, ?)"
BEGAN = (
    "SELECT b.uidvalidity, o.first_uid FROM mailboxes b LEFT JOIN origins o ON o.mailbox = b.id "
    "WHERE b.name = ?"
)

# -- sums

_OWNS_A_COPY = (
    "EXISTS (SELECT * FROM placements p WHERE p.message = m.id "
    f"AND p.state IN ({_MINE}) AND (p.uid IS NOT NULL OR claim = 1))"
)
"""Of a message that is present: found in the target itself, not only brought by another source."""

BROUGHT_BY_OTHERS = (
    "SELECT count(*) FROM messages m WHERE m.digest = ? AND m.source <> ? AND (m.account = "
    f"'{Account.STORED.value}' OR (m.account = '{Account.PRESENT.value}' AND {_OWNS_A_COPY}))"
)
LENT_BY_OTHERS = (
    f"SELECT count(*) FROM messages m WHERE m.digest = ? AND m.source = ? AND m.account = '{Account.PRESENT.value}' "
    f"AND NOT {_OWNS_A_COPY} AND NOT (m.name = ? AND m.nth = ?)"
)
REWRITTEN = (
    "SELECT p.match_digest, m.digest, count(DISTINCT m.id) FROM placements p JOIN messages m ON p.message = m.id "
    f"WHERE p.state IN ({_MINE}) AND p.match_digest <> m.digest AND p.repairs = '' AND m.source <> ? "
    "GROUP BY p.match_digest, m.digest"
)
SHARED = (
    "SELECT count(DISTINCT m.digest) FROM messages m "
    f"WHERE m.account = '{Account.PRESENT.value}' AND NOT {_OWNS_A_COPY}"
)
AT_HOME = (
    "SELECT h.uidl, m.account, m.size, m.digest, m.date, h.deleted, h.partial FROM homes h "
    "LEFT JOIN messages m ON h.message = m.id WHERE h.maildrop = ? AND h.uidl IN ({})"
)
KNOWS = "SELECT maildrop FROM homes WHERE maildrop = ? LIMIT 1"
ADD_HOME = (
    "INSERT INTO homes (maildrop, uidl, message, deleted, partial, seal) VALUES (?1, ?2, ?3, ?4, ?5, ?6) "
    "ON CONFLICT (maildrop, uidl) DO UPDATE SET message = ?3, deleted = ?4, partial = ?5, seal = ?6 "
    "WHERE message IS NULL OR deleted OR (partial AND NOT ?4)"
)
"""Of several copies at home, one that is whole and not deleted counts."""
ADD_FETCHED = (
    "INSERT INTO homes (maildrop, uidl, deleted, partial) VALUES (?, ?, 0, 0) ON CONFLICT DO NOTHING"
)
_IS_SETTLED = f"account IN ({_SETTLED})"
SAME_OCTETS = (
    f"SELECT name, nth FROM messages WHERE source = ? AND digest = ? AND {_IS_SETTLED} ORDER BY nth, id"
)
KNOWN = f"SELECT count(*) FROM messages WHERE source = ? AND {_IS_SETTLED} AND nth >= 0"
REMOVED = "SELECT count(*) FROM messages WHERE source = ? AND nth < 0"
FOLDERS = (
    "SELECT f.name, count(*), sum(p.size) FROM placements p JOIN folders f ON p.folder = f.id "
    f"WHERE p.state = '{STORED}' GROUP BY f.name ORDER BY f.name"
)
COUNTS = (
    "SELECT s.name, m.account, count(*), sum(m.size) FROM messages m JOIN sources s ON m.source = s.id "
    "GROUP BY s.name, m.account ORDER BY s.name"
)
PROBLEMS = (
    "SELECT s.name, m.name, m.nth, m.account, m.date, m.subject, m.size, m.reason "
    "FROM messages m JOIN sources s ON m.source = s.id WHERE m.account IN ({}) ORDER BY s.name, m.id"
)

# -- copies, in portions

_OURS = f"(p.state = '{UNDOING}' OR p.state = '{STORED}' AND (:run IS NULL OR p.run = :run))"
"""Stored by a run of ours (None: by any), or half undone."""
_THERE = f"p.state IN ({_MINE})"

_PLACES = (
    "SELECT b.name, b.uidvalidity, f.name, count(p.uid), count(*) FROM placements p "
    "JOIN mailboxes b ON p.mailbox = b.id JOIN folders f ON p.folder = f.id "
    "WHERE {} AND (p.uid IS NOT NULL OR claim = 1) GROUP BY b.id, f.id ORDER BY b.name, count(*) DESC, f.name"
)
PLACES = _PLACES.format(_THERE)
PLACES_OURS = _PLACES.format(_OURS)

_COPY = (
    "SELECT p.id, m.source, m.name, m.nth, m.digest, p.folder, p.uid, p.match_digest, p.size, p.date, p.repairs, "
    "p.state FROM placements p JOIN messages m ON p.message = m.id "
)
_BY_UID = (
    f"{_COPY}WHERE p.mailbox = :mailbox AND p.uidvalidity = :uidvalidity AND p.uid IS NOT NULL AND p.uid > :above "
    "AND {} ORDER BY p.uid LIMIT :most"
)
WITH_UID = _BY_UID.format(_THERE)
OURS_WITH_UID = _BY_UID.format(_OURS)
_BY_DIGEST = (
    f"{_COPY}WHERE p.mailbox = :mailbox AND claim = 1 AND p.match_digest >= :digest AND (p.match_digest > :digest "
    "OR p.match_digest = :digest AND p.id > :above) AND {} ORDER BY p.match_digest, p.id LIMIT :most"
)
WITHOUT_UID = _BY_DIGEST.format(_THERE)
RENUMBERED = _BY_DIGEST.format(f"{_THERE} AND p.lower_bound = 0")
OURS_WITHOUT_UID = _BY_DIGEST.format(_OURS)
HELD_ONES = (
    f"{_COPY.replace(' FROM', ', b.name FROM')}JOIN mailboxes b ON p.mailbox = b.id "
    f"WHERE p.state = '{HELD}' ORDER BY p.id"
)
MADE = (
    "SELECT b.name, b.uidvalidity FROM origins o JOIN mailboxes b ON o.mailbox = b.id "
    "WHERE o.made IS NOT NULL AND (:run IS NULL OR o.made = :run) ORDER BY b.name"
)
RUNS = "SELECT id FROM runs ORDER BY id"
LENT = f"SELECT count(*) FROM messages m WHERE m.account = '{Account.PRESENT.value}' AND NOT {_OWNS_A_COPY}"
DELETED_LIKE = "SELECT DISTINCT digest FROM messages WHERE nth < 0 AND digest IN ({})"
FACT = "SELECT value FROM meta WHERE name = ?"

# -- the run, and the journal itself

LAST_ID = "SELECT max(id) FROM {}"
BEGIN_RUN = "INSERT INTO runs (started, options_digest, version, counts) VALUES (?, ?, ?, ?)"
END_RUN = "UPDATE runs SET ended = ?, exit_code = ?, counts = ? WHERE id = ?"
FORGET_TEXTS = (
    "DELETE FROM texts WHERE id NOT IN (SELECT why FROM messages WHERE why IS NOT NULL "
    "UNION SELECT rules FROM messages WHERE rules IS NOT NULL)"
)
COUNT_COMMIT = "UPDATE meta SET value = ? WHERE name = 'commits'"
FACTS = "SELECT name, value FROM meta"
FORGET_FACT = "DELETE FROM meta WHERE name = ?"
ADD_FACT = "INSERT INTO meta (name, value) VALUES (?, ?)"

# -- what was moved, by the hour

TRAFFIC_SINCE = "SELECT hour, octets FROM traffic WHERE name = ? AND hour >= ? ORDER BY hour"
ADD_TRAFFIC = "UPDATE traffic SET octets = octets + ? WHERE name = ? AND hour = ?"
BEGIN_TRAFFIC = "INSERT INTO traffic (name, hour, octets) VALUES (?, ?, ?)"
FORGET_TRAFFIC = "DELETE FROM traffic WHERE hour < ?"
