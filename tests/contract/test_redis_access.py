"""What Redis forbids: permanent, with a hint, and without a password in any line (design 3.3)."""

from __future__ import annotations

import pytest
import redis

from gmhealth.adapters.redis import connection as redis_connection
from gmhealth.adapters.redis.ledger import RedisLedger
from gmhealth.core.commit_record import CommitRecord, Server
from gmhealth.embedded import EmbeddedServers
from gmhealth.errors import ConfigError, Unusable
from gmhealth.worker.ports import Commit, Saved
from tests.canary import CANARY, shown
from tests.ledger_keys import KEYS

RECORD = CommitRecord(1, "worker", "", None, "2026-10-10 10:00:00+00", Server(), verified=False)


def ledger_over(url: str, password: str | None = None) -> RedisLedger:
    return RedisLedger(redis_connection.connect(url, password=password), KEYS, dead_letter_limit=100)


@pytest.mark.parametrize(
    ("user", "rights", "word", "hint"),
    [
        pytest.param(
            f"clerk:{CANARY}", [">right"], "invalid username-password pair", "GMHEALTH_REDIS_URL", id="password"
        ),
        pytest.param(f"nobody:{CANARY}", [">right"], "invalid username-password pair", "GMHEALTH_REDIS_URL", id="user"),
        pytest.param(f"clerk:{CANARY}", [f">{CANARY}", "+@all", "~other"], "offset", "ACL", id="keys"),
        pytest.param(f"clerk:{CANARY}", [f">{CANARY}", "+@all", "-get", "~*"], "'get'", "ACL", id="commands"),
    ],
)
def test_what_the_access_list_forbids_stays_forbidden(
    own_servers: EmbeddedServers, admin: redis.Redis, user: str, rights: list[str], word: str, hint: str
) -> None:
    admin.execute_command("ACL", "SETUSER", "clerk", "reset", "on", *rights)
    ledger = ledger_over(own_servers.redis_url.replace("unix://", f"unix://{user}@"))
    with pytest.raises(Unusable, match=f"Redis refused to load the offset.*{word}") as caught:
        ledger.saved()
    assert hint in caught.value.hint
    assert CANARY not in shown(caught.value)


def test_a_commit_that_the_access_list_forbids_is_unusable(own_servers: EmbeddedServers, admin: redis.Redis) -> None:
    admin.execute_command("ACL", "SETUSER", "clerk", "reset", "on", ">right", "+@all", "~offset", "~record")
    ledger = ledger_over(own_servers.redis_url.replace("unix://", "unix://clerk:right@"))
    with pytest.raises(Unusable, match="Redis refused to commit") as caught:
        ledger.commit(Commit(Saved(None), True, RECORD))
    assert "ACL" in caught.value.hint
    assert admin.exists(KEYS.offset, KEYS.record) == 0


def test_a_server_that_wants_a_password_is_given_the_one_of_its_own_setting(
    own_servers: EmbeddedServers, admin: redis.Redis
) -> None:
    admin.config_set("requirepass", CANARY)
    with pytest.raises(Unusable, match=r"(?i)authentication required") as caught:
        ledger_over(own_servers.redis_url).saved()
    assert "GMHEALTH_REDIS_PASSWORD_FILE" in caught.value.hint
    assert ledger_over(own_servers.redis_url, CANARY).saved() == Saved(None)


@pytest.mark.parametrize(
    "option",
    ["protocol=3", "socket_timeout=60", "retry_on_timeout=yes", "decode_responses=yes", "client_name=x", "host=x"],
)
def test_what_is_settled_is_not_for_the_url_to_say(option: str) -> None:
    with pytest.raises(ConfigError, match=f"the Redis URL has the option {option.partition('=')[0]}, which") as caught:
        redis_connection.connect(f"redis://redis/0?{option}")
    assert "ssl_ca_certs" in caught.value.hint


def test_an_option_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ConfigError, match="has an option that gmhealth does not take"):
        redis_connection.connect("redis://redis/0?frobnicate=1")


@pytest.mark.parametrize("path", ["abc", "0/1", "-1", "\u0664"])
def test_a_path_that_is_no_database_is_not_taken_for_database_0(path: str) -> None:
    with pytest.raises(ConfigError, match="no number of a database"):
        redis_connection.connect(f"redis://redis/{path}")
