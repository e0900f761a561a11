"""The checks of `gmhealth doctor`, each a generator of findings; one that cannot be made is a failure, too."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from gmhealth.cli.views import CheckView
from gmhealth.errors import GmhealthError

if TYPE_CHECKING:
    from gmhealth.cli.session import Session

CLOCKS_S: Final = 2.0
"""Clocks this far apart mislead whoever compares times; nothing breaks, as order comes from the stream."""
COLUMNS: Final = {
    "game_id": ("text", "character varying"),
    "status": ("text", "character varying"),
    "current_turn": ("integer",),
    "engine_health": ("text", "character varying"),
    "updated_at": ("timestamp with time zone",),
}
WRITTEN: Final = ("status", "engine_health", "updated_at")

Check = Callable[["Session"], Iterator[CheckView]]


def run_checks(opened: Session) -> Iterator[CheckView]:
    """Make every check; what raises becomes the finding, and what needs it is still tried."""
    for name, check in CHECKS.items():
        try:
            yield from check(opened)
        except GmhealthError as error:
            yield CheckView(name=name, result="fail", found=str(error), hint=error.hint)


def _ok(name: str, found: object) -> CheckView:
    return CheckView(name=name, result="ok", found=str(found))


def _judged(name: str, good: bool, found: object, hint: str, *, bad: str = "fail") -> CheckView:
    return _ok(name, found) if good else CheckView(name=name, result=bad, found=str(found), hint=hint)


def _redis_server(opened: Session) -> Iterator[CheckView]:
    look = opened.parts.look
    info = look.info("server")
    name = "Valkey" if "valkey_version" in info else "Redis"
    version = str(info.get("valkey_version", info.get("redis_version", "?")))
    compatible = str(info.get("redis_version", "0"))
    yield _judged(
        "Redis",
        int(compatible.split(".", maxsplit=1)[0]) >= 7,
        f"{name} {version}",
        "7.0 or newer counts lost entries",
        bad="warning",
    )
    clustered = str(look.info("cluster").get("cluster_enabled", 0)) == "1"
    yield _judged(
        "Redis Cluster",
        not clustered,
        "yes" if clustered else "no",
        "a batch is committed in one step over four keys, which a cluster spreads: use a single primary, or Sentinel",
    )
    policy = str(look.info("memory").get("maxmemory_policy", "unknown"))
    yield _judged(
        "Redis eviction",
        not policy.startswith("allkeys"),
        policy,
        "this policy may evict whole streams and the offset: set maxmemory-policy noeviction",
        bad="warning",
    )
    kept = str(look.info("persistence").get("aof_enabled", 0)) == "1"
    yield _judged(
        "Redis AOF", kept, "on" if kept else "off", "without it a restart loses events and offset", bad="warning"
    )


def _redis_keys(opened: Session) -> Iterator[CheckView]:
    keys = opened.parts.keys
    wanted = {
        keys.source: "stream",
        keys.snapshots: "stream",
        keys.dead_letters: "stream",
        keys.offset: "string",
        keys.mark: "string",
    }
    for key, kind in wanted.items():
        found = opened.parts.look.kind(key)
        yield _judged(f"key {key}", found in (kind, "none"), found, f"it must be a {kind}: check names and key prefix")


def _redis_permissions(opened: Session) -> Iterator[CheckView]:
    refused = opened.parts.look.refused(opened.parts.keys)
    if refused is None:
        yield CheckView(name="Redis permissions", result="warning", found="this server cannot tell (before 7.0)")
        return
    hint = 'let its user do this: README, "Permissions", has the ACL'
    yield _judged("Redis permissions", not refused, ", ".join(refused) or "all that consume needs", hint)


def _postgres_server(opened: Session) -> Iterator[CheckView]:
    found = opened.parts.games.checks(
        {
            "version": "SELECT current_setting('server_version')",
            "number": "SELECT current_setting('server_version_num')::integer",
            "recovery": "SELECT pg_is_in_recovery()",
            "commit": "SELECT current_setting('synchronous_commit')",
        }
    )
    yield _judged("PostgreSQL", found["number"] >= 140000, found["version"], "14 or newer ends frozen sessions")
    yield _judged(
        "PostgreSQL primary",
        not found["recovery"],
        "yes" if not found["recovery"] else "a standby",
        "connect to the primary",
    )
    durable = found["commit"] != "off"
    yield _judged("PostgreSQL commit", durable, found["commit"], "a crash may lose what was reported", bad="warning")
    shared = opened.parts.games.shares_sessions()
    yield _judged(
        "PostgreSQL session",
        not shared,
        "shared with others by a pooler" if shared else "our own",
        "the writer's lock needs a direct connection, or a pooler in session mode",
    )


def _postgres_table(opened: Session) -> Iterator[CheckView]:
    table = opened.settings.postgres_table
    columns = opened.parts.games.columns()
    yield _judged(
        f"table {table}",
        bool(columns),
        f"{len(columns)} columns" if columns else "not there",
        "Game Master's migrations make it: check database, search_path and GMHEALTH_POSTGRES_TABLE",
    )
    for name, types in COLUMNS.items():
        if columns:
            yield from _column(name, types, columns.get(name))


def _column(name: str, types: tuple[str, ...], found: Any) -> Iterator[CheckView]:
    if found is None or found.type not in types:
        text = "not there" if found is None else found.type
        yield CheckView(
            name=f"column {name}", result="fail", found=text, hint=f"it must be {types[0]}: another schema?"
        )
        return
    missing = ["SELECT"] * (not found.may_select) + ["UPDATE"] * (name in WRITTEN and not found.may_update)
    hint = f"GRANT {', '.join(f'{each} ({name})' for each in missing)} ON the table TO this role"
    yield _judged(
        f"column {name}",
        not missing,
        f"{found.type}, may {'read and write' if name in WRITTEN else 'read'}"
        if not missing
        else f"no {' and no '.join(missing)}",
        hint,
    )


def _offset(opened: Session) -> Iterator[CheckView]:
    from gmhealth.cli.lag import standing

    found = standing(opened.parts)
    yield _judged(
        "stream",
        found.state.exists,
        f"{found.state.length:,} entries",
        "nothing was ever appended, or it was deleted",
        bad="warning",
    )
    yield _ok("offset", found.saved.text or "none saved: consume starts at the beginning")
    gap = found.gap
    if gap is not None:
        yield CheckView(
            name="gap",
            result="fail",
            found=gap.text,
            hint="`gmhealth offset show`; consume goes on by itself and reports it",
        )
    letters = opened.parts.letters.count()
    yield _judged("dead letters", not letters, f"{letters:,}", "`gmhealth dead-letter list`", bad="warning")
    holder = opened.parts.rows.holder()
    yield _judged("consumer", holder is not None, holder or "none", "start it: gmhealth consume", bad="warning")


def _clocks(opened: Session) -> Iterator[CheckView]:
    here = time.time()
    redis = opened.parts.look.now_ms() / 1000 - here
    here = time.time()
    postgres = float(opened.parts.games.checks({"now": "SELECT extract(epoch FROM clock_timestamp())"})["now"]) - here
    for name, ahead in (("Redis", redis), ("PostgreSQL", postgres)):
        yield _judged(
            f"clock of {name}",
            abs(ahead) < CLOCKS_S,
            f"{ahead:+.2f} s from here",
            "set the clocks by NTP: ages and times shown are off by this",
            bad="warning",
        )


CHECKS: Final[dict[str, Check]] = {
    "Redis": _redis_server,
    "Redis keys": _redis_keys,
    "Redis permissions": _redis_permissions,
    "PostgreSQL": _postgres_server,
    "table": _postgres_table,
    "offset": _offset,
    "clocks": _clocks,
}
