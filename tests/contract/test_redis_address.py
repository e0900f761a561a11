"""Sentinels as they are written and shown, and what of a URL goes with them."""

from __future__ import annotations

import pytest

from gmhealth.adapters.redis import connection as redis_connection
from gmhealth.adapters.redis.address import Sentinels, describe, read_sentinels, read_url
from gmhealth.errors import ConfigError
from tests.canary import CANARY

THREE = read_sentinels("a,[::1]:5000, b:26380", "games", CANARY)


def test_each_has_a_port() -> None:
    assert Sentinels((("a", 26379), ("::1", 5000), ("b", 26380)), "games", CANARY) == THREE


@pytest.mark.parametrize("text", ["a:70000", "a..b", f"a,{'x' * 64}:26379"])
def test_a_port_or_a_name_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="redis_sentinels"):
        read_sentinels(text, "games", None)


def test_they_are_shown_without_secrets_and_instead_of_the_host() -> None:
    shown = describe(f"redis://user:{CANARY}@elsewhere:1/3", THREE)
    assert shown == "games by Sentinel a:26379,[::1]:5000,b:26380 database 3"
    assert CANARY not in repr(THREE)


def test_a_unix_socket_has_no_sentinels() -> None:
    with pytest.raises(ConfigError, match="Unix socket"):
        redis_connection.connect("unix:///run/redis.sock", sentinels=THREE)


@pytest.mark.parametrize(("url", "secure"), [("redis://user:x@/3", False), ("rediss://elsewhere/3", True)])
def test_everything_but_the_address_comes_from_the_url(url: str, secure: bool) -> None:
    with redis_connection.connect(url, password="p", sentinels=THREE) as client:
        pool = client.connection_pool
        assert ("SSL" in pool.connection_class.__name__) is secure
        assert (pool.connection_kwargs["db"], pool.connection_kwargs["password"]) == (3, "p")
        assert {"host", "port"}.isdisjoint(pool.connection_kwargs)
        assert (pool.connection_kwargs["protocol"], pool.connection_kwargs["retry"].get_retries()) == (2, 0)


@pytest.mark.parametrize(
    "url",
    [
        "redis://gm:2024/secret@host:6379/0",
        "redis://gm:2024?secret@host:6379/0",
        "redis://:2024#secret@host:6379/0",
        "redis://gm:2024#secret",
        "unix://gm:2024/secret@/run/redis.sock",
        "unix://gm:2024?secret@/run/redis.sock",
        "redis://host/secret",
        "redis://host:port/0",
        "http://host",
    ],
)
def test_a_url_out_of_which_a_password_has_come_apart_is_neither_used_nor_shown(url: str) -> None:
    with pytest.raises(ConfigError, match=r"cannot be read|no number of a database") as refused:
        read_url(url)
    assert refused.value.__cause__ is None
    assert "2024" not in str(refused.value)
    assert describe(url) == "an unreadable URL"


@pytest.mark.parametrize(
    "url", ["redis://gm:x@2024?word@host:6379/0", "redis://gm:x@host/0?2024", "redis://host?2024=1"]
)
def test_what_is_refused_for_an_option_that_there_is_none_of_is_not_shown(url: str) -> None:
    with pytest.raises(ConfigError, match="has an option that"):
        read_url(url)
    assert describe(url) == "an unreadable URL"
