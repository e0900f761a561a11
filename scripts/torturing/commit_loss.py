"""PostgreSQL without its last commits, as after a crash with `synchronous_commit = off`, or a promotion.

The consumer's sessions have it on, so a real crash keeps what they wrote: the rows are set back instead.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

import psycopg

from scripts.torturing.site import DURABLE, Site
from scripts.torturing.versions import LOSS

LATELY_S: Final = 20.0
"""A consumer writes again what was lost of its last minute."""
FIRST: Final = """
SELECT min(at) FROM (
    SELECT min(at) AS at FROM versions WHERE at > %s AND by LIKE 'gmhealth%%'
     GROUP BY transaction ORDER BY min(at) DESC LIMIT %s) AS writes
"""
LOST: Final = """
WITH lost AS (SELECT DISTINCT transaction FROM versions WHERE at >= %(since)s AND by <> %(loss)s),
games AS (
    SELECT DISTINCT game_id FROM versions WHERE game_id = ANY (%(games)s) AND transaction IN (SELECT * FROM lost)),
kept AS (
    SELECT DISTINCT ON (game_id) * FROM versions
     WHERE game_id IN (SELECT * FROM games) AND transaction NOT IN (SELECT * FROM lost)
     ORDER BY game_id, n DESC)
INSERT INTO versions (at, game_id, by, old_status, old_turn, status, turn, health, updated_us)
SELECT extract(epoch FROM clock_timestamp()), game_id, %(loss)s, r.status, r.current_turn,
       coalesce(kept.status, 'running'), coalesce(kept.turn, 1), coalesce(kept.health, ''),
       coalesce(kept.updated_us, extract(epoch FROM r.created_at) * 1000000)
  FROM games JOIN runtime_records AS r USING (game_id) LEFT JOIN kept USING (game_id)
RETURNING n
"""
SET_BACK: Final = """
UPDATE runtime_records AS r
   SET status = v.status, current_turn = v.turn, engine_health = v.health,
       updated_at = 'epoch'::timestamptz + v.updated_us * interval '1 microsecond'
  FROM versions AS v
 WHERE v.n = ANY (%s) AND r.game_id = v.game_id
"""


def first_of(site: Site, writes: int) -> float | None:
    """Give when the first of a consumer's last few `writes` was made; None if it has made none lately."""
    found: float | None = site.query(FIRST, [time.time() - LATELY_S, writes])[0][0]
    return found


def lose_commits(site: Site, games: Sequence[str], *, since: float) -> None:
    """Set rows back to before the transactions that wrote versions `since` then.

    Nobody may be connected who would know. A crash or a promotion loses the end of what was committed, so only whole
    transactions are lost, those of all writers; but `games` need not be all.
    """
    facts = {"since": since, "loss": LOSS, "games": list(games)}
    with psycopg.connect(site.postgres.dsn, application_name="harness", options=DURABLE) as session:
        session.execute("SET session_replication_role = replica")  # without triggers
        session.execute("LOCK TABLE runtime_records IN EXCLUSIVE MODE")
        session.execute(SET_BACK, [[n for (n,) in session.execute(LOST, facts).fetchall()]])
