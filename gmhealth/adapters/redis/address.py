"""What the Redis URL says, checked before anything is sent, and how a server is named without its secrets."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import SplitResult, parse_qs, parse_qsl, unquote, urlsplit

from redis.connection import SSLConnection, parse_url

from gmhealth.core.text import is_host
from gmhealth.errors import ConfigError

TLS_OPTIONS: Final = (
    *("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile", "ssl_password"),
    *("ssl_cert_reqs", "ssl_check_hostname", "ssl_ciphers"),
)
OPTIONS: Final = frozenset({"db", "username", "password", *TLS_OPTIONS})
SETTLED: Final = frozenset(
    {
        *("protocol", "legacy_responses", "decode_responses", "encoding", "encoding_errors", "client_name", "lib_name"),
        *("retry", "retry_on_timeout", "retry_on_error", "health_check_interval", "max_connections", "timeout"),
        *("socket_timeout", "socket_connect_timeout", "socket_keepalive", "socket_read_size", "host", "port", "path"),
    }
)
"""What redis-py would take from a URL, before what it is told by us: a protocol with other shapes, or blind retries."""


SENTINEL_PORT: Final = 26379


@dataclass(frozen=True, slots=True)
class Sentinels:
    """Who is asked for the primary called `master`."""

    addresses: tuple[tuple[str, int], ...]
    master: str
    password: str | None = field(default=None, repr=False)


def read_sentinels(text: str, master: str, password: str | None) -> Sentinels:
    """Split `host:port,[::1]:26379,host`, whose form the settings have checked."""
    parts = [urlsplit(f"//{each.strip()}") for each in text.split(",")]
    try:
        addresses = tuple((each.hostname or "", each.port or SENTINEL_PORT) for each in parts)
    except ValueError as error:
        raise _unusable_sentinels(str(error)) from error
    if not all(is_host(host) for host, _ in addresses):
        raise _unusable_sentinels("a part of a host is empty or too long for a name")
    return Sentinels(addresses, master, password)


def _unusable_sentinels(why: str) -> ConfigError:
    return ConfigError(f"redis_sentinels cannot be used: {why}", hint="write it as host:26379,host:26379")


def address_text(host: str, port: int) -> str:
    """Write `host:port`, or `[host]:port` for IPv6."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def read_url(url: str) -> dict[str, Any]:
    """Split `url` into what a connection is made from. Raises `ConfigError` without showing any of it."""
    parts = _split(url)
    if parts is None:
        raise ConfigError(
            "the Redis URL cannot be read (it is not shown: it may hold a password)",
            hint="write it as redis://host:6379/0, rediss://… for TLS, or unix:///path; a password percent-encoded",
        )
    given: dict[str, Any] = parse_url(url)
    names = [name for name, _ in parse_qsl(parts.query, keep_blank_values=True)]
    for name in names:
        if name not in OPTIONS:  # which may be a part of a password
            raise ConfigError(
                f"the Redis URL has {f'the option {name}, which' if name in SETTLED else 'an option that'}"
                " gmhealth does not take",
                hint=f"it takes {', '.join(sorted(OPTIONS))}",
            )
    if not _has_database(parts):
        raise ConfigError(
            "the path of the Redis URL is no number of a database (it is not shown: it may be a part of a password)",
            hint="write it as redis://host:6379/0",
        )
    if given.get("connection_class") is SSLConnection:
        _check_files(given)
    return given


def _split(url: str) -> SplitResult | None:
    """Split `url`; None if it cannot be, or if a part of a password seems to have come out as something else.

    "/", "?" and "#" end the host, and what is before them is taken for a port, if it is a number. A Unix socket has no
    host: there is nothing, or a user and "@", before its path, which may hold "@" itself.
    """
    try:
        parts = urlsplit(url)
        host = str(parse_url(url).get("host", ""))
    except ValueError:
        return None
    apart = bool(parts.netloc.rpartition("@")[2]) if parts.scheme == "unix" else "@" not in parts.netloc
    astray = apart and "@" in parts.path + parts.query
    return None if parts.fragment or astray or not is_host(host) else parts


def _has_database(parts: SplitResult) -> bool:
    return parts.scheme == "unix" or _is_number(parts.path.strip("/"))


def _is_number(path: str) -> bool:
    return not path or (path.isascii() and path.isdigit())


def _check_files(given: Mapping[str, Any]) -> None:
    """Load the certificates as a connection will: what cannot be is no matter of trying again."""
    try:
        context = ssl.create_default_context(cafile=given.get("ssl_ca_certs"), capath=given.get("ssl_ca_path"))
        if given.get("ssl_certfile") or given.get("ssl_keyfile"):
            certificate, key = given.get("ssl_certfile"), given.get("ssl_keyfile")
            context.load_cert_chain(certificate or "", key, given.get("ssl_password"))
        if given.get("ssl_ciphers"):
            context.set_ciphers(given["ssl_ciphers"])
    except OSError as error:
        raise ConfigError(
            f"the certificates that the Redis URL names cannot be used: {error.strerror or error}",
            hint="check ssl_ca_certs, ssl_ca_path, ssl_certfile, ssl_keyfile and ssl_ciphers, and the files' modes",
        ) from error
    if given.get("ssl_cert_reqs", "required") not in ("none", "optional", "required"):
        raise ConfigError("ssl_cert_reqs of the Redis URL is not none, optional or required")


def describe(url: str, sentinels: Sentinels | None = None) -> str:
    """Name the server, or who knows it, and the logical database, without secrets."""
    parts = _split(url)
    query = parse_qs(parts.query, keep_blank_values=True) if parts else {}
    if parts is None or not _has_database(parts) or not query.keys() <= OPTIONS:  # as `read_url` refuses it
        return "an unreadable URL"
    unix = parts.scheme == "unix"
    database = query.get("db", ["" if unix else parts.path.strip("/")])[0]
    if sentinels is not None:
        asked = ",".join(address_text(*each) for each in sentinels.addresses)
        return f"{sentinels.master} by Sentinel {asked} database {_database(database)}"
    place = f"unix:{unquote(parts.path)}" if unix else f"{parts.hostname or 'localhost'}:{parts.port or 6379}"
    return f"{place} database {_database(database)}"


def _database(text: str) -> str:
    return text or "0" if _is_number(text) else "?"
