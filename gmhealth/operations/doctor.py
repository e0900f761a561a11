"""The checks of `gmhealth doctor`, in order; what cannot be looked at because its server is away is skipped."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from gmhealth.errors import GmhealthError, Unavailable
from gmhealth.operations.dead_letters import dropped_text
from gmhealth.operations.discontinuities import break_text, is_recent
from gmhealth.operations.doctor_postgres import postgres_server, postgres_session, postgres_table
from gmhealth.operations.doctor_redis import redis_keys, redis_permissions, redis_sentinels, redis_server
from gmhealth.operations.findings import judged, ok
from gmhealth.operations.leader import consumer_text, holder
from gmhealth.operations.models import CheckView
from gmhealth.operations.position import standing
from gmhealth.operations.times import span

if TYPE_CHECKING:
    from gmhealth.operations.session import Session
    from gmhealth.worker.ports import Saved

CLOCKS_S: Final = 2.0
"""Clocks this far apart mislead whoever compares times; nothing breaks, as order comes from the stream."""


AWAY: Final = "is it running, and do the address, the network and the firewall lead there?"
REFUSED: Final = "the server's own log may say more"


class Check(NamedTuple):
    """A look at something on the servers it `needs`, which yields a finding for each thing it judges."""

    name: str
    needs: frozenset[str]
    look: Callable[[Session], Iterator[CheckView]]


def run_checks(opened: Session) -> Iterator[CheckView]:
    """Make every check. What raises is a failure; the rest is still looked at, as far as its servers are there."""
    away: set[str] = set()
    for check in CHECKS:
        if check.needs & away:
            found = f"not looked at: {' and '.join(sorted(check.needs & away))} cannot be reached"
            yield CheckView(name=check.name, result="skipped", found=found)
            continue
        try:
            yield from check.look(opened)
        except GmhealthError as error:
            hint = "" if "doctor" in error.hint else error.hint  # that is where we are
            if isinstance(error, Unavailable):
                away.add(error.server)
            yield CheckView(name=check.name, result="fail", found=str(error), hint=hint or _last_resort(error))


def _last_resort(error: GmhealthError) -> str:
    return AWAY if isinstance(error, Unavailable) else REFUSED


def _offset(opened: Session) -> Iterator[CheckView]:

    found, now_s = standing(opened.parts), opened.parts.queries.now_ms() / 1000
    length = f"{found.state.length:,} entries"
    none = "nothing was appended yet, or it was deleted"
    yield judged("stream", found.state.exists, length if found.state.exists else "not there", none, bad="warning")
    yield _saved_offset(found.saved)
    gap = found.gap
    yield judged(
        "gap",
        gap is None,
        gap.text if gap else "none: the stream leads on from the offset",
        f"consume goes on by itself and reports it; details: {opened.command('offset', 'show')}",
    )
    inspect = opened.command("inspect", "GAME_ID")
    yield judged(
        "last break",
        not is_recent(found.last_break, now_s),
        break_text(found.last_break, now_s),
        f"compare the games with their engines: {inspect} shows what is left of their events",
        bad="warning",
    )
    ahead_s = found.state.last_generated.ms / 1000 - now_s
    hint = "new entries get IDs of that time: ages, --to-time and --ago mislead until then"
    told = (
        f"{span(ahead_s)} ahead of the server's clock, which was set back" if ahead_s > 0 else "not ahead of the clock"
    )
    yield judged("entry IDs", ahead_s < CLOCKS_S, told, hint, bad="warning")
    letters, dropped = opened.parts.letters.count(), opened.parts.letters.dropped()
    told = f"{letters:,}" + (f"; {dropped_text(dropped)}" if dropped else "")
    listed = opened.command("dead-letter", "list")
    yield judged("dead letters", not letters, told, f"look at them: {listed}", bad="warning")


def _saved_offset(saved: Saved) -> CheckView:
    if saved.is_first:
        return ok("offset", "none saved: consume starts at the beginning")
    gone = f"its key is gone; consume restores it to {saved.entry_id}, where the last commit left it"
    begin = "to begin at the beginning instead: `gmhealth offset reset --to-start`"
    return judged("offset", saved.text is not None, saved.text or gone, begin, bad="warning")


def _consumer(opened: Session) -> Iterator[CheckView]:
    held = holder(opened.parts)
    start = f"start it: {opened.command('consume')}"
    found = consumer_text(*held) if held.replay else held.consumer or "none"
    yield judged("consumer", held.consumer is not None, found, start, bad="warning")


def _redis_clock(opened: Session) -> Iterator[CheckView]:
    here = time.time()
    yield _clock("Redis", opened.parts.queries.now_ms() / 1000 - here)


def _postgres_clock(opened: Session) -> Iterator[CheckView]:
    with opened.parts.games.held():
        here = time.time()
        there = opened.parts.games.checks({"now": "SELECT extract(epoch FROM clock_timestamp())"})["now"]
    yield _clock("PostgreSQL", float(there) - here)


def _clock(name: str, ahead: float) -> CheckView:
    hint = "set the clocks by NTP: ages and times shown are off by this"
    return judged(f"clock of {name}", abs(ahead) < CLOCKS_S, f"{ahead:+.2f} s from here", hint, bad="warning")


REDIS, POSTGRES = frozenset({"Redis"}), frozenset({"PostgreSQL"})
CHECKS: Final = (
    Check("Redis Sentinel", frozenset(), redis_sentinels),
    Check("Redis", REDIS, redis_server),
    Check("Redis keys", REDIS, redis_keys),
    Check("Redis permissions", REDIS, redis_permissions),
    Check("offset", REDIS, _offset),
    Check("clock of Redis", REDIS, _redis_clock),
    Check("PostgreSQL", POSTGRES, postgres_server),
    Check("PostgreSQL session", POSTGRES, postgres_session),
    Check("PostgreSQL table", POSTGRES, postgres_table),
    Check("consumer", POSTGRES, _consumer),
    Check("clock of PostgreSQL", POSTGRES, _postgres_clock),
)
