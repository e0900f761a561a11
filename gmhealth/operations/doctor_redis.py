"""What `gmhealth doctor` looks at in Redis, and what it asks the sentinels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gmhealth.adapters.redis.address import address_text, read_url
from gmhealth.adapters.redis.sentinel import ask_each
from gmhealth.operations.findings import judged
from gmhealth.operations.models import CheckView

if TYPE_CHECKING:
    from gmhealth.adapters.redis.sentinel import Answer
    from gmhealth.operations.session import Session


def redis_server(opened: Session) -> Iterator[CheckView]:
    """Its version and the settings that decide what survives."""
    look = opened.parts.queries
    info = look.info("server")
    name = "Valkey" if "valkey_version" in info else "Redis"
    version = str(info.get("valkey_version", info.get("redis_version", "?")))
    major = str(info.get("redis_version", "0")).split(".", maxsplit=1)[0]
    hint = "7.0 or newer counts what was removed from a stream unread"
    yield judged("Redis", major.isdigit() and int(major) >= 7, f"{name} {version}", hint, bad="warning")
    clustered = str(look.info("cluster").get("cluster_enabled", 0)) == "1"
    hint = "a batch is one step over several keys, which a cluster spreads: use one primary, by Sentinel if you like"
    yield judged("Redis Cluster", not clustered, "yes" if clustered else "no", hint)
    policy = str(look.info("memory").get("maxmemory_policy", "unknown"))
    hint = "this policy may evict whole streams and the offset: set maxmemory-policy noeviction"
    yield judged("Redis eviction", not policy.startswith("allkeys"), policy, hint, bad="warning")
    kept = str(look.info("persistence").get("aof_enabled", 0)) == "1"
    hint = "without it a restart loses events and offset: set appendonly yes"
    yield judged("Redis AOF", kept, "on" if kept else "off", hint, bad="warning")


def redis_keys(opened: Session) -> Iterator[CheckView]:
    """The type of each key."""
    keys = opened.parts.keys
    wanted = {
        keys.source: "stream",
        keys.snapshots: "stream",
        keys.dead_letters: "stream",
        keys.journal: "stream",
        keys.writes: "stream",
        keys.offset: "string",
        keys.record: "string",
        keys.dropped: "string",
        keys.last_break: "string",
        keys.waiting: "string",
        keys.pause: "string",
    }
    for key, kind in wanted.items():
        found = opened.parts.queries.kind(key)
        hint = f"it must be a {kind}: check the names of the streams and GMHEALTH_KEY_PREFIX"
        yield judged(f"key {key}", found in (kind, "none"), found, hint)


def redis_permissions(opened: Session) -> Iterator[CheckView]:
    """What this connection's user may do, asked without doing it."""
    refused = opened.parts.queries.refused(opened.parts.keys)
    if refused is None:
        yield CheckView(name="Redis permissions", result="warning", found="this server cannot tell (before 7.0)")
        return
    hint = "let its user do this: gmhealth-operations(7), PERMISSIONS, names the ACL"
    text = f"may not {', '.join(refused)}" if refused else "all that consume needs"
    yield judged("Redis permissions", not refused, text, hint)


def redis_sentinels(opened: Session) -> Iterator[CheckView]:
    """Whether each can be reached, and all name the same primary; nothing where none are set."""
    sentinels = opened.servers.sentinels
    if sentinels is None:
        return

    answers = list(ask_each(sentinels, read_url(opened.servers.redis_url)))
    for answer in answers:
        yield _one(answer, sentinels.master)
    named = sorted({address_text(*answer.primary) for answer in answers if answer.primary is not None})
    disagree = "they disagree: a failover is going on, or one of them is cut off from the others"
    hint = disagree if named else "see above"
    yield judged(f"primary {sentinels.master}", len(named) == 1, ", ".join(named) or "nobody names one", hint)


def _one(answer: Answer, master: str) -> CheckView:
    name = f"sentinel {answer.sentinel}"
    if answer.error is not None:
        hint = "is it running? the others carry on without it, as long as they are a majority"
        return CheckView(name=name, result="warning", found=f"no answer: {answer.error}", hint=hint)
    found = "knows the primary" if answer.primary else f"knows no primary called {master}"
    hint = "check GMHEALTH_REDIS_SENTINEL_MASTER: `SENTINEL MASTERS` lists their names"
    return judged(name, answer.primary is not None, found, hint)
