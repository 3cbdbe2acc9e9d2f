"""How much went to the target, and came from each source, by the hour: what daily limits are measured by.

Octets for the target are counted in the transaction that makes their intents durable, so before the first of them is
sent: a crash may leave some counted that never left, and never the other way round. A message that is made ready again
is counted again. Hours that lie ahead, since a clock was set back, count like any other.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from sqlite3 import Connection

from pop2imap.journal import statements as say
from pop2imap.journal.copies import CopyReader
from pop2imap.journal.values import moment, seconds, storable

TARGET = ""
"""Stands for the target, where sources stand by their ids."""

KEPT = timedelta(days=8)
"""How long an hour is remembered: a clock that was a week ahead forgets nothing of a day."""


class TrafficReader(CopyReader):
    """What can be asked of it."""

    def traffic(self, name: str, since: datetime) -> list[tuple[datetime, int]]:
        """See :class:`pop2imap.journal.Journal`."""
        with self._reading() as database:
            rows = database.execute(say.TRAFFIC_SINCE, (storable(name), seconds(hour_of(since)))).fetchall()
        return [(moment(hour), octets) for hour, octets in rows]


def add(database: Connection, name: str, octets: int, when: datetime) -> None:
    """Count so many octets more in the hour of ``when`` (UTC), within the transaction that is under way."""
    hour, name = hour_of(when), storable(name)
    done = database.execute(say.ADD_TRAFFIC, (octets, name, seconds(hour)))
    if not done.rowcount:
        database.execute(say.FORGET_TRAFFIC, (seconds(hour - KEPT),))
        database.execute(say.BEGIN_TRAFFIC, (name, seconds(hour), octets))


def hour_of(when: datetime) -> datetime:
    """The beginning of its hour."""
    return when.replace(minute=0, second=0, microsecond=0)
