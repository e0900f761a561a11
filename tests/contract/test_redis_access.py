"""What Redis forbids: permanent, with a hint, and without a password in any line (design 3.3)."""

from __future__ import annotations

import pytest
import redis

from gmhealth.adapters import redis_connection
from gmhealth.adapters.redis_ledger import RedisLedger
from gmhealth.embedded import EmbeddedServers
from gmhealth.errors import Unusable
from gmhealth.ports import Commit, Saved
from tests.canary import CANARY, shown
from tests.contract.conftest import KEYS


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
    admin.execute_command("ACL", "SETUSER", "clerk", "reset", "on", ">right", "+@all", "~offset", "~mark")
    ledger = ledger_over(own_servers.redis_url.replace("unix://", "unix://clerk:right@"))
    with pytest.raises(Unusable, match="Redis refused to commit") as caught:
        ledger.commit(Commit(None, None, "worker#1", [], [], 1))
    assert "ACL" in caught.value.hint
    assert admin.exists(KEYS.offset, KEYS.mark) == 0


def test_a_server_that_wants_a_password_is_given_the_one_of_its_own_setting(
    own_servers: EmbeddedServers, admin: redis.Redis
) -> None:
    admin.config_set("requirepass", CANARY)
    with pytest.raises(Unusable, match=r"(?i)authentication required") as caught:
        ledger_over(own_servers.redis_url).saved()
    assert "GMHEALTH_REDIS_PASSWORD_FILE" in caught.value.hint
    assert ledger_over(own_servers.redis_url, CANARY).saved() == Saved(None, None)
