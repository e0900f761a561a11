"""The statement that writes a batch's effects, and the settings that keep its locks in order (design 3.1, W).

It is one transaction, so no row stays locked while a client is waited for. It decides by the status that it finds under
the row's lock: who changes the row meanwhile is waited for, and then the statement looks again (READ COMMITTED;
PostgreSQL manual, 13.2.1), so a swap never overrules another one (I4) and needs no guard.
"""

from __future__ import annotations

from typing import Final

from psycopg import sql

# The changes come in game_id order and are joined in that order: see LOCK_ORDER. As one JSON text they cost the client
# a quarter of what an array per column does.
CHANGES = sql.SQL("""
(SELECT item ->> 0 AS game_id,
        item ->> 1 AS target,
        item ->> 2 AS engine_health
   FROM jsonb_array_elements(%(changes)s) AS item)
""")
# The literals take the type of the column, text or enum alike.
STATUS = sql.SQL("""
CASE WHEN {found}.status::text = 'running' AND {change}.target = 'engine_unreachable' THEN 'engine_unreachable'
     WHEN {found}.status::text = 'engine_unreachable' AND {change}.target = 'running' THEN 'running'
     ELSE {found}.status
END
""")

# The time of the write: later than `since` though the clock was set back. As a SELECT without FROM it is computed once
# a statement, and takes no part in the join.
AT = sql.SQL("greatest(now(), %(since)s::timestamptz + interval '1 microsecond')")
UPDATED_AT = sql.SQL("greatest((SELECT {at}), r.updated_at + interval '1 microsecond')")

WRITE = sql.SQL("""
UPDATE {table} AS r
   SET status = {status},
       engine_health = change.engine_health,
       updated_at = {updated_at}
  FROM {changes} AS change
 WHERE r.game_id = change.game_id
   AND r.status IS NOT NULL
   AND r.current_turn IS NOT NULL
RETURNING (SELECT {at}::text), r.game_id, old.status::text, coalesce(NULLIF(r.updated_at, (SELECT {at}))::text, ''),
          r.status::text, r.current_turn + 0, r.engine_health
""")

# Before PostgreSQL 18 RETURNING cannot tell what was there. The lock is taken row by row, in the order of the changes;
# once it is held, nobody changes the row before the UPDATE, which starts from what the lock found.
WRITE_BEFORE_18 = sql.SQL("""
WITH found AS MATERIALIZED (
    SELECT change.target, change.engine_health, locked.game_id, locked.status
      FROM {changes} AS change
     CROSS JOIN LATERAL (
           SELECT r.game_id, r.status
             FROM {table} AS r
            WHERE r.game_id = change.game_id
              AND r.status IS NOT NULL
              AND r.current_turn IS NOT NULL
              FOR NO KEY UPDATE
           ) AS locked
)
UPDATE {table} AS r
   SET status = {status},
       engine_health = found.engine_health,
       updated_at = {updated_at}
  FROM found
 WHERE r.game_id = found.game_id
RETURNING (SELECT {at}::text), r.game_id, found.status::text, coalesce(NULLIF(r.updated_at, (SELECT {at}))::text, ''),
          r.status::text, r.current_turn + 0, r.engine_health
""")

LOCK_ORDER: Final = """
-- Changes are then looked up by primary key one after the other, in the order they are sent: the lock order. A plan
-- made while the table is tiny would have it on the outer side, and lock in the order of the disk.
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SET enable_material = off;
-- Planning anew for each batch costs more than the statement, and comes to the same plan.
SET plan_cache_mode = force_generic_plan;
"""

RETURNS_OLD: Final = 180_000
"""The server version from which on RETURNING tells what was there before."""


class WriteStatement:
    """The statement for one table, in the form that a server of some version takes.

    It takes `changes`, an array of arrays as JSON, and `since`, a time as text; a row that it gives has the time of the
    write, the game, the status before, the row's own time ("" if that is the write's), and the row as it is now.
    """

    def __init__(self, table: sql.Identifier) -> None:
        self._returns_old = _complete(WRITE, table, found="r", change="change")
        self._before_18 = _complete(WRITE_BEFORE_18, table, found="found", change="found")

    def of(self, server_version: int) -> sql.Composed:
        """The form for servers of this version."""
        return self._returns_old if server_version >= RETURNS_OLD else self._before_18


def _complete(query: sql.SQL, table: sql.Identifier, *, found: str, change: str) -> sql.Composed:
    status = STATUS.format(found=sql.Identifier(found), change=sql.Identifier(change))
    return query.format(table=table, status=status, changes=CHANGES, updated_at=UPDATED_AT.format(at=AT), at=AT)
