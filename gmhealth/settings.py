"""Settings, from option, environment, credentials, file and default, in this order.

pydantic-settings would do this too, at half of what `offset show` may cost in all; the layering is forty lines.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, ValidationError

from gmhealth.errors import ConfigError

PREFIX: Final = "GMHEALTH_"
SECRETS: Final = frozenset({"redis_url", "redis_password", "postgres_dsn", "postgres_password"})
"""Can also come from a file (`GMHEALTH_…_FILE`, or one of that name in $CREDENTIALS_DIRECTORY); never shown."""

Name = Annotated[str, StringConstraints(min_length=1)]
Address = Annotated[str, StringConstraints(pattern=r"^((\[[0-9a-fA-F:.]+\]|[^\s:\[\]]*):)?[0-9]{1,5}$")]


class Settings(BaseModel):
    """What can be set. A field `x` is the option `--x`, the variable `GMHEALTH_X` and the key `x` of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    redis_url: SecretStr | None = Field(None, description="Redis, as redis://host:6379/0 (rediss:// for TLS)")
    redis_password: SecretStr | None = Field(None, description="Redis password, if it is not in the URL")
    postgres_dsn: SecretStr | None = Field(None, description="PostgreSQL, as postgresql://user@host:5432/database")
    postgres_password: SecretStr | None = Field(None, description="PostgreSQL password, if it is not in the DSN")
    postgres_table: Annotated[str, StringConstraints(pattern=r"^[^.]+(\.[^.]+)?$")] = Field(
        "runtime_records", description="Game Master's table; may name its schema"
    )
    health_stream: Name = Field("runtime:health_events", description="stream of health events")
    lobby_stream: Name = Field("gm:lobby_events", description="stream of snapshots")
    key_prefix: str = Field("gamemaster:", description="before the keys of offset, dead letters and audit")
    batch_size: int = Field(5000, ge=1, le=100_000, description="most entries in one batch")
    dead_letter_limit: int = Field(100_000, ge=1, description="about how many dead letters are kept")
    embedded: bool = Field(default=False, description="start or use the embedded servers (development)")
    embedded_dir: Path | None = Field(None, description="where the embedded servers keep their data")
    metrics_addr: Address | None = Field(
        None, description="where `consume` serves metrics, as [HOST:]PORT; without HOST on the loopback only"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least level to log")
    log_format: Literal["auto", "console", "json", "journal"] = Field("auto", description="form of log lines")


def load_settings(environ: Mapping[str, str], options: Mapping[str, Any], config: Path | None) -> Settings:
    """Layer the sources and check the result. Raises `ConfigError`, naming the source and never a secret's value."""
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for origin, layer in (
        (f"in {config}", _from_file(config)),
        ("in $CREDENTIALS_DIRECTORY", _from_credentials(environ)),
        ("in the environment", _from_environ(environ)),
        ("on the command line", {name: value for name, value in options.items() if value is not None}),
    ):
        values.update(layer)
        origins.update(dict.fromkeys(layer, origin))
    try:
        settings = Settings(**values)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = str(first["loc"][0])
        raise ConfigError(
            f"{name} {origins.get(name, '')} cannot be used: {first['msg']}", hint=_did_you_mean(name)
        ) from None
    return _complete(settings, origins)


def _from_file(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"the settings file {path} cannot be read: {error}", hint="see gmhealth.toml(5)") from error


def _from_credentials(environ: Mapping[str, str]) -> dict[str, Any]:
    directory = environ.get("CREDENTIALS_DIRECTORY")
    if not directory:
        return {}
    paths = {name: Path(directory) / name for name in SECRETS}
    return {name: _secret(path) for name, path in paths.items() if path.exists()}


def _from_environ(environ: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for variable, value in environ.items():
        if not variable.startswith(PREFIX):
            continue
        name = variable.removeprefix(PREFIX).lower()
        secret = name.removesuffix("_file")
        if secret != name and secret in SECRETS:
            found.setdefault(secret, _secret(Path(value)))
        elif name in Settings.model_fields:
            found[name] = value
        elif name != "config":
            raise ConfigError(f"there is no setting {variable}", hint=_did_you_mean(name) or "unset it")
    return found


def _secret(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"the secret in {path} cannot be read: {error}", hint="check the path and its mode"
        ) from error


def _did_you_mean(name: str) -> str:
    if name in Settings.model_fields:
        return Settings.model_fields[name].description or ""
    close = difflib.get_close_matches(name, Settings.model_fields, n=1)
    return f"did you mean {PREFIX}{close[0].upper()} ({close[0]} in the file)?" if close else ""


def _complete(settings: Settings, origins: Mapping[str, str]) -> Settings:
    """Check that it is clear which servers are meant: embedded ones never start by accident."""
    if settings.embedded:
        for name in ("redis_url", "postgres_dsn"):
            if name in origins:
                raise ConfigError(
                    f"both the embedded servers and {PREFIX}{name.upper()} ({origins[name]}) are asked for",
                    hint=f"unset {PREFIX}{name.upper()}, or leave out --embedded and GMHEALTH_EMBEDDED",
                )
        return settings
    missing = [name for name in ("redis_url", "postgres_dsn") if getattr(settings, name) is None]
    if missing:
        names = " and ".join(PREFIX + name.upper() for name in missing)
        raise ConfigError(
            f"{names} {'is' if len(missing) == 1 else 'are'} not set, so there is nothing to talk to",
            hint="set them, or try `gmhealth --embedded …`, which brings its own servers",
        )
    return settings
