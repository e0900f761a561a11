"""The whole path: a real `gmhealth consume --once` over entries of every kind, and what must come of them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import Any, Final

import psycopg
import redis

from gmhealth.core.packed_letter import unpack
from gmhealth.embedded import EmbeddedServers
from scripts.fuzzing import oracle
from scripts.fuzzing.decoding import Wrong
from scripts.fuzzing.entries import GAMES, Fields
from tests.games import add_game, games

STREAM: Final = "runtime:health_events"
LOBBY: Final = "gm:lobby_events"
OFFSET: Final = "gamemaster:stream_offsets:health_events"
DEAD: Final = "gamemaster:dead_letters:health_events"
STATUSES: Final = ["running", "engine_unreachable", "generation_in_progress", "stopped"]
PAGE: Final = 1000


@dataclass(frozen=True, slots=True)
class Site:
    """The servers, and how to look at them."""

    servers: EmbeddedServers
    redis: Any
    pg: psycopg.Connection[Any]

    def environ(self) -> dict[str, str]:
        """What leads gmhealth here, and lets it keep every dead letter."""
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("GMHEALTH_")},
            "GMHEALTH_REDIS_URL": self.servers.redis_url,
            "GMHEALTH_POSTGRES_DSN": self.servers.postgres_dsn,
            "GMHEALTH_DEAD_LETTER_LIMIT": "1000000000",
        }

    def reset(self, random: Random) -> dict[str, oracle.Row]:
        """Empty both servers; gives the rows that the games then have."""
        self.redis.flushdb()
        self.pg.execute("DELETE FROM runtime_records")
        rows = {game.decode(): oracle.Row(random.choice(STATUSES), "") for game in GAMES}
        for game_id, row in rows.items():
            add_game(self.pg, game_id, status=row.status)
        return rows

    def append(self, entries: Sequence[Fields]) -> list[bytes]:
        """Append `entries`; gives their IDs."""
        ids: list[bytes] = []
        left = iter(entries)
        while chunk := list(islice(left, PAGE)):
            pipeline = self.redis.pipeline(transaction=False)
            for fields in chunk:
                pipeline.execute_command("XADD", STREAM, "*", *fields)
            ids += pipeline.execute()
        return ids

    def stream(self, key: str) -> Iterator[tuple[bytes, list[bytes]]]:
        """A stream's entries, raw."""
        after = b"-"
        while page := self.redis.execute_command("XRANGE", key, after, "+", "COUNT", PAGE):
            yield from page
            after = b"(" + page[-1][0]


def connect(servers: EmbeddedServers) -> redis.Redis:
    """A client whose XRANGE is given as it comes."""
    client = redis.Redis.from_url(servers.redis_url, protocol=2)
    client.set_response_callback("XRANGE", lambda reply, **_: reply)
    return client


def run(site: Site, entries: Sequence[Fields], random: Random) -> int:
    """Have `entries` consumed and check everything that came of them; how many were invalid."""
    rows = site.reset(random)
    ids = site.append(entries)
    size = str(random.choice((50, 1000, 5000)))
    done = subprocess.run(
        [sys.executable, "-P", "-m", "gmhealth", "consume", "--once", "--batch-size", size],
        env=site.environ(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Wrong(f"exit {done.returncode}: {done.stderr[-2000:]}")
    bad: list[tuple[bytes, Fields]] = []
    for entry_id, fields in zip(ids, entries, strict=True):
        event = oracle.event(fields)
        if event is None:
            bad.append((entry_id, fields))
        elif event.game_id in rows:
            rows[event.game_id] = oracle.after(rows[event.game_id], event.type)
    _check(site, rows, bad, ids[-1])
    return len(bad)


def _check(site: Site, rows: dict[str, oracle.Row], bad: Sequence[tuple[bytes, Fields]], last: bytes) -> None:
    if site.redis.get(OFFSET) != last:
        raise Wrong(f"the offset is {site.redis.get(OFFSET)} and not {last!r}")
    found = {game_id: oracle.Row(row.status, row.engine_health) for game_id, row in games(site.pg).items()}
    if found != rows:
        raise Wrong(f"rows differ: {[(each, rows[each], found[each]) for each in rows if rows[each] != found[each]]}")
    last_sent = {
        fields[3].decode(): oracle.Row(fields[7].decode(), fields[9].decode()) for _, fields in site.stream(LOBBY)
    }
    if last_sent != {game_id: row for game_id, row in rows.items() if row.summary}:
        raise Wrong("the last snapshots are not of the rows as they are")
    kept = [unpack(fields[-1]) for _, fields in site.stream(DEAD)]
    letters = [letter and (letter.source_id, letter.fields) for letter in kept]
    if letters != list(bad):
        differ = next((pair for pair in zip(letters, bad, strict=False) if pair[0] != pair[1]), "their number")
        raise Wrong(f"dead letters differ: {len(letters)} and {len(bad)}: {differ}")
