"""Settings, from option, environment, credentials, file and default, in this order.

pydantic checks them. The sources are merged here: pydantic-settings passes over a misspelt variable, and its errors
name no source.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from gmhealth.core.batch_size import MOST_ENTRIES
from gmhealth.errors import ConfigError

PREFIX: Final = "GMHEALTH_"
_SENTINEL: Final = r"(\[[0-9a-fA-F:.]+\]|[0-9A-Za-z._-]+)(:[0-9]{1,5})?"


def _none_if_blank(secret: SecretStr | None) -> SecretStr | None:
    return secret if secret and secret.get_secret_value().strip() else None


Secret = Annotated[SecretStr | None, AfterValidator(_none_if_blank)]
"""One that is blank counts as not set: with an empty DSN libpq would go wherever its defaults lead."""


class Settings(BaseModel, frozen=True, extra="forbid", hide_input_in_errors=True):
    """What can be set. A field `x` is the option `--x`, the variable `GMHEALTH_X` and the key `x` of the file."""

    redis_url: Secret = Field(default=None, description="Redis, as redis://host:6379/0 (rediss:// for TLS)")
    redis_password: Secret = Field(default=None, description="Redis password, if it is not in the URL")
    redis_sentinels: str | None = Field(
        default=None,
        pattern=rf"^{_SENTINEL}(, ?{_SENTINEL})*$",
        description="ask these sentinels for Redis, as host:26379,host:26379,…; the host in `redis_url` is then not"
        " looked at (redis://user@/0), and its TLS holds for them as well",
    )
    redis_sentinel_master: str = Field(
        default="mymaster", min_length=1, description="the name under which the sentinels know the primary"
    )
    redis_sentinel_password: Secret = Field(default=None, description="the sentinels' password, if they want one")
    postgres_dsn: Secret = Field(default=None, description="PostgreSQL, as postgresql://user@host:5432/database")
    postgres_password: Secret = Field(default=None, description="PostgreSQL password, if it is not in the DSN")
    postgres_table: str = Field(
        default="runtime_records",
        pattern=r"^[^.]+(\.[^.]+)?$",
        description="Game Master's table; may name its schema",
    )
    health_stream: str = Field(default="runtime:health_events", min_length=1, description="stream of health events")
    lobby_stream: str = Field(default="gm:lobby_events", min_length=1, description="stream of snapshots")
    key_prefix: str = Field(default="gamemaster:", description="before the keys of offset, dead letters and audit")
    batch_size: int = Field(default=10_000, ge=1, le=MOST_ENTRIES, description="most entries in one batch")
    dead_letter_limit: int = Field(default=100_000, ge=1, description="about how many dead letters are kept")
    embedded: bool = Field(default=False, description="start or use the embedded servers (development)")
    embedded_dir: Path | None = Field(default=None, description="where the embedded servers keep their data")
    metrics_addr: str | None = Field(
        default=None,
        pattern=r"^((\[[0-9a-fA-F:.]+\]|[^\s:\[\]]*):)?[0-9]{1,5}$",
        description="where `consume` serves metrics, as [HOST:]PORT; without HOST on the loopback only",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="least level to log")
    log_format: Literal["auto", "console", "json", "journal"] = Field(default="auto", description="form of log lines")

    @field_validator("*", mode="before")
    @classmethod
    def _is_utf_8(cls, value: Any) -> Any:
        """Refuse bytes that are not, which Python passes on as surrogates: they could not be sent on."""
        if any("\ud800" <= character <= "\udfff" for character in str(value)):
            raise ValueError("it is not UTF-8")
        return value

    @model_validator(mode="after")
    def _servers_are_clear(self, info: ValidationInfo) -> Self:
        """Have either addresses or the embedded servers, which never start by accident."""
        origins: Mapping[str, str] = info.context or {}
        given = [name for name in ("redis_url", "redis_sentinels", "postgres_dsn") if getattr(self, name) is not None]
        if self.embedded and given:
            origin = origins.get(given[0], given[0])
            raise ConfigError(
                f"both the embedded servers and {origin} are asked for",
                hint=f"unset {origin}, or leave out --embedded and GMHEALTH_EMBEDDED",
            )
        missing = [name for name in ("redis_url", "postgres_dsn") if name not in given]
        if missing and not self.embedded:
            names = (f"{origins[name]} (empty)" if name in origins else PREFIX + name.upper() for name in missing)
            raise ConfigError(
                f"{' and '.join(names)} {'is' if len(missing) == 1 else 'are'} not set, so there is nothing to talk to",
                hint="set them, or try `gmhealth --embedded …`, which brings its own servers",
            )
        return self


NAMES: Final = tuple(Settings.model_fields)
SECRETS: Final = frozenset(
    name for name, field in Settings.model_fields.items() if field.annotation == SecretStr | None
)
"""Can also come from a file (`GMHEALTH_…_FILE`, or one of that name in $CREDENTIALS_DIRECTORY); never shown."""

_Values = Iterator[tuple[str, Any, str]]
"""The settings of a source: name, value, and what a person calls the place where it was set."""


def load_settings(environ: Mapping[str, str], options: Mapping[str, Any], config: Path | None) -> Settings:
    """Merge the sources and check the result. Raises `ConfigError`, naming the source and never a secret's value."""
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for source in (_from_file(config), _from_credentials(environ), _from_environ(environ), _from_options(options)):
        for name, value, origin in source:
            if name not in NAMES:
                raise ConfigError(f"there is no setting {origin}", hint=_did_you_mean(name))
            values[name], origins[name] = value, origin
    try:
        return Settings.model_validate(values, context=origins)
    except ValidationError as error:
        raise _first_of(error, origins) from None


def _did_you_mean(name: str) -> str:
    close = get_close_matches(name, NAMES, n=1)
    return f"did you mean {PREFIX}{close[0].upper()} ({close[0]} in the file)?" if close else "remove it"


def _first_of(error: ValidationError, origins: Mapping[str, str]) -> ConfigError:
    first = error.errors(include_url=False, include_input=False)[0]
    name, problem = str(first["loc"][0]), first["msg"].removeprefix("Value error, ")
    if first["type"] == "string_pattern_mismatch":  # whose text shows the pattern
        problem = "it is not written as it should be"
    return ConfigError(
        f"{origins[name]} cannot be used: {problem[0].lower()}{problem[1:]}",
        hint=Settings.model_fields[name].description or "",
    )


def _from_file(path: Path | None) -> _Values:
    if path is not None:
        with _reading(str(path), hint="see gmhealth.toml(5)"):
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        for name, value in values.items():
            yield name, value, f"{name} in {path}"


def _from_credentials(environ: Mapping[str, str]) -> _Values:
    if directory := environ.get("CREDENTIALS_DIRECTORY"):
        for name in SECRETS:
            origin = f"the credential {name}"
            with _reading(origin), suppress(FileNotFoundError, NotADirectoryError):
                yield name, _secret(Path(directory, name)), origin


def _from_environ(environ: Mapping[str, str]) -> _Values:
    names = {variable: variable.removeprefix(PREFIX).lower() for variable in environ if variable.startswith(PREFIX)}
    for variable, name in sorted(names.items(), key=lambda pair: not pair[1].endswith("_file")):
        secret, value = name.removesuffix("_file"), environ[variable]
        if secret != name and secret in SECRETS:  # before the variable of the secret itself, which wins
            with _reading(variable):
                yield secret, _secret(Path(value)), variable
        elif name != "config":
            yield name, value, variable


def _from_options(options: Mapping[str, Any]) -> _Values:
    for name, value in options.items():
        if value is not None:
            yield name, value, f"--{name.replace('_', '-')}"


@contextmanager
def _reading(origin: str, hint: str = "check the path and its mode") -> Iterator[None]:
    try:
        yield
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{origin} cannot be read: {error}", hint=hint) from error


def _secret(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip()
