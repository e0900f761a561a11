"""Who holds the lock that a statement has waited for in vain, so that a person knows whom to ask.

Asked only after a lock time-out (SQLSTATE 55P03), on the session that met it. What is refused here or takes too long
costs a name, never the next try.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final, NamedTuple

import psycopg
from psycopg import sql

from gmhealth.adapters.postgres.connection import Connection
from gmhealth.core.plan import NetEffect
from gmhealth.errors import Unavailable

# Sessions that have, or wait for, a lock on the table: `whole` is whether they have one that no row can be written
# under, or else wait for it, which is as bad (PostgreSQL manual, 13.3.1). The transaction IDs are those of the
# transaction and its open savepoints. It needs no grant; of other roles' sessions PostgreSQL hides state and time.
SESSIONS = sql.SQL("""
SELECT a.pid,
       a.application_name,
       coalesce(a.usename::text, 'unknown'),
       a.state,
       floor(extract(epoch FROM now() - a.xact_start))::bigint,
       on_table.whole,
       ARRAY(SELECT x.transactionid::text
               FROM pg_locks AS x
              WHERE x.pid = a.pid AND x.locktype = 'transactionid' AND x.mode = 'ExclusiveLock')
  FROM (SELECT pid,
               bool_or(granted) FILTER (WHERE mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock',
                                                       'AccessExclusiveLock')) AS whole
          FROM pg_locks
         WHERE locktype = 'relation'
           AND relation = to_regclass({name})
           AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
           AND mode <> 'AccessShareLock'
         GROUP BY pid) AS on_table
  JOIN pg_stat_activity AS a USING (pid)
 ORDER BY a.xact_start
""")

# It waits for no row, so no deadlock can come of it. EXCEPT and not a join, since LOCK_ORDER leaves nested loops only.
LOCKED_GAMES = sql.SQL("""
WITH free AS MATERIALIZED (
    SELECT game_id FROM {table} WHERE game_id = ANY (%(games)s) FOR NO KEY UPDATE SKIP LOCKED
)
SELECT game_id, count(*) OVER ()
  FROM (SELECT game_id FROM {table} WHERE game_id = ANY (%(games)s) EXCEPT SELECT game_id FROM free) AS locked
 ORDER BY game_id
 LIMIT %(limit)s
""")

# xmax is the ID of the transaction that has the lock, or of a multixact, the list of several that share it (PostgreSQL
# manual, 24.1.5.1); which of the two it is cannot be seen, so both are given. An ID that no multixact has is refused.
# KEY SHARE, of a foreign key, lets us write.
LOCKERS = sql.SQL("""
SELECT r.game_id, r.xmax::text, ARRAY(
           SELECT m.xid::text
             FROM pg_get_multixact_members(CASE WHEN mxid_age(r.xmax) BETWEEN 1 AND mxid_age(d.datminmxid)
                                                THEN r.xmax END) AS m
            WHERE m.mode <> 'keysh')
  FROM {table} AS r, pg_database AS d
 WHERE r.game_id = ANY (%(games)s)
   AND d.datname = current_database()
""")

NAMED: Final = 3
"""Games that are named, and sessions for each."""
LONGEST: Final = 60
"""Characters of a name that somebody else chose."""
_PLAIN: Final = re.compile(r"[\w.:/+@#-]+", re.ASCII)


class Session(NamedTuple):
    """A session that has or waits for locks on the table.

    `whole`: whether it has one on all of it; None if it does not want one. `state`, and `seconds` since its transaction
    began, may be hidden.
    """

    pid: int
    name: str
    user: str
    state: str | None
    seconds: int | None
    whole: bool | None
    transactions: Sequence[str]

    def __str__(self) -> str:
        """What a person finds it by."""
        facts = [_shown(self.name)] if self.name else []
        facts.append(f"user {_shown(self.user)}")
        if self.state is not None and self.seconds is not None:
            facts.append(f"{self.state}, transaction begun {self.seconds:,} s ago")
        return f"PostgreSQL session {self.pid} ({', '.join(facts)})"


@contextmanager
def locks_named(
    connection: Connection, table: sql.Identifier, what: str, effects: Collection[NetEffect]
) -> Iterator[None]:
    """Have a lock time-out, met while trying to do `what`, say what is locked and by whom, as far as it is found."""
    try:
        yield
    except psycopg.errors.LockNotAvailable as error:
        found = _found(connection, table, [effect.game_id for effect in effects])
        if not found:
            raise
        raise Unavailable(
            f"PostgreSQL could not {what}: {found}",
            hint="nothing is lost: `consume` goes on once the lock is gone",
            server="PostgreSQL",
            cause=type(error).__name__,
        ) from error


def _found(connection: Connection, table: sql.Identifier, games: Sequence[str]) -> str:
    """What is locked and by whom; empty if that cannot be found, or is over."""
    sessions = [Session(*row) for row in _ask(connection, SESSIONS, table)]
    if whole := [each for each in sessions if each.whole]:
        return f"the table is locked by {_those(whole)}"
    if queued := [str(each) for each in sessions if each.whole is False]:
        return f"the table is waited for by {_some(queued)}, and what that waits for must end first"
    locked = _ask(connection, LOCKED_GAMES, table, games=games, limit=NAMED) if games else []
    named = [game for game, _ in locked]
    lockers = {game: {xmax, *members} for game, xmax, members in _ask(connection, LOCKERS, table, games=named)}
    by_holder: dict[str, list[str]] = {}
    for game in named:
        by_holder.setdefault(_holder(sessions, lockers.get(game, set())), []).append(_shown(game))
    parts = [f"{', '.join(each)} {'is' if len(each) == 1 else 'are'} locked{by}" for by, each in by_holder.items()]
    if locked and locked[0][1] > len(named):
        parts.append(f"and so are {locked[0][1] - len(named):,} more")
    return "; ".join(parts)


def _ask(connection: Connection, query: sql.SQL, table: sql.Identifier, **values: Any) -> list[tuple[Any, ...]]:
    with suppress(psycopg.Error):
        made = query.format(table=table, name=sql.Literal(table.as_string()))
        return connection.execute(made, values).fetchall()
    return []


def _holder(sessions: Sequence[Session], transactions: set[str]) -> str:
    """Who has a lock of `transactions`.

    A savepoint that was released has no ID any more, and without a grant none is known: then all who may be it.
    """
    if known := [each for each in sessions if not transactions.isdisjoint(each.transactions)]:
        return f" by {_those(known)}"
    perhaps = [str(each) for each in sessions if each.transactions]
    return f", perhaps by {_some(perhaps)}" if perhaps else ", holder unknown"


def _those(sessions: Sequence[Session]) -> str:
    ends = ", ".join(f"pg_terminate_backend({each.pid})" for each in sessions[:NAMED])
    return f"{_some([str(each) for each in sessions])}, which SELECT {ends} ends"


def _some(texts: Sequence[str]) -> str:
    others = f" and {len(texts) - NAMED:,} others" if len(texts) > NAMED else ""
    return " and ".join(texts[:NAMED]) + others


def _shown(text: str) -> str:
    """A text that somebody else chose, as one word of a bounded length in which nothing steers a terminal."""
    return text if _PLAIN.fullmatch(text) and len(text) <= LONGEST else repr(text[:LONGEST])
