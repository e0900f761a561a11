"""Settings, from option, environment, credentials, file and default, in this order.

msgspec checks them, since pydantic would take a third of what `offset show` may take in all to be loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args, get_origin

import msgspec
from msgspec import Meta

from gmhealth.core.batch_size import MOST_ENTRIES
from gmhealth.errors import ConfigError

PREFIX: Final = "GMHEALTH_"
SECRETS: Final = frozenset(
    {"redis_url", "redis_password", "redis_sentinel_password", "postgres_dsn", "postgres_password"}
)
"""Can also come from a file (`GMHEALTH_…_FILE`, or one of that name in $CREDENTIALS_DIRECTORY); never shown."""


class Secret:
    """A text that shows itself to nobody who does not ask for it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return "Secret(...)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def reveal(self) -> str:
        """Give the text."""
        return self._text


_SENTINEL: Final = r"(\[[0-9a-fA-F:.]+\]|[0-9A-Za-z._-]+)(:[0-9]{1,5})?"


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What can be set. A field `x` is the option `--x`, the variable `GMHEALTH_X` and the key `x` of the file."""

    redis_url: Annotated[Secret | None, Meta(description="Redis, as redis://host:6379/0 (rediss:// for TLS)")] = None
    redis_password: Annotated[Secret | None, Meta(description="Redis password, if it is not in the URL")] = None
    redis_sentinels: Annotated[
        Annotated[str, Meta(pattern=rf"^{_SENTINEL}(, ?{_SENTINEL})*$")] | None,
        Meta(
            description="ask these sentinels for Redis, as host:26379,host:26379,…; the host in `redis_url` is then not"
            " looked at (redis://user@/0), and its TLS holds for them as well"
        ),
    ] = None
    redis_sentinel_master: Annotated[
        str, Meta(min_length=1, description="the name under which the sentinels know the primary")
    ] = "mymaster"
    redis_sentinel_password: Annotated[Secret | None, Meta(description="the sentinels' password, if they want one")] = (
        None
    )
    postgres_dsn: Annotated[Secret | None, Meta(description="PostgreSQL, as postgresql://user@host:5432/database")] = (
        None
    )
    postgres_password: Annotated[Secret | None, Meta(description="PostgreSQL password, if it is not in the DSN")] = None
    postgres_table: Annotated[
        str,
        Meta(
            pattern=r"^[^.]+(\.[^.]+)?$",
            description="Game Master's table; may name its schema",
        ),
    ] = "runtime_records"
    health_stream: Annotated[str, Meta(min_length=1, description="stream of health events")] = "runtime:health_events"
    lobby_stream: Annotated[str, Meta(min_length=1, description="stream of snapshots")] = "gm:lobby_events"
    key_prefix: Annotated[str, Meta(description="before the keys of offset, dead letters and audit")] = "gamemaster:"
    batch_size: Annotated[int, Meta(ge=1, le=MOST_ENTRIES, description="most entries in one batch")] = 10_000
    dead_letter_limit: Annotated[int, Meta(ge=1, description="about how many dead letters are kept")] = 100_000
    embedded: Annotated[bool, Meta(description="start or use the embedded servers (development)")] = False
    embedded_dir: Annotated[Path | None, Meta(description="where the embedded servers keep their data")] = None
    metrics_addr: Annotated[
        Annotated[str, Meta(pattern=r"^((\[[0-9a-fA-F:.]+\]|[^\s:\[\]]*):)?[0-9]{1,5}$")] | None,
        Meta(description="where `consume` serves metrics, as [HOST:]PORT; without HOST on the loopback only"),
    ] = None
    log_level: Annotated[Literal["debug", "info", "warning", "error"], Meta(description="least level to log")] = "info"
    log_format: Annotated[Literal["auto", "console", "json", "journal"], Meta(description="form of log lines")] = "auto"


NAMES: Final = Settings.__struct_fields__


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
    for name in values:
        if name not in NAMES:
            raise ConfigError(f"there is no setting {name} ({origins[name]})", hint=_did_you_mean(name) or "remove it")
    return _complete(_checked(values, origins), origins)


def _checked(values: Mapping[str, Any], origins: Mapping[str, str]) -> Settings:
    for name, value in values.items():
        if not _is_text(value):
            raise ConfigError(f"{name} {origins[name]} cannot be used: it is no UTF-8", hint=_meaning(name))
    try:
        # Not strict: a variable is always a text.
        return msgspec.convert(values, Settings, strict=False, dec_hook=_secret_or_path)
    except msgspec.ValidationError as error:
        problem, _, place = str(error).rpartition(" - at `$.")
        name = place.rstrip("`")
        said = "it is not written as it should be" if "regex" in problem else f"{problem[:1].lower()}{problem[1:]}"
        raise ConfigError(f"{name} {origins[name]} cannot be used: {said}", hint=_meaning(name)) from None


def _is_text(value: Any) -> bool:
    """Whether there is none of what Python hands a byte on as that is no UTF-8: nobody could send it on."""
    try:
        str(value).encode()
    except UnicodeEncodeError:
        return False
    return True


def _secret_or_path(kind: type, value: Any) -> Secret | Path:
    if not isinstance(value, str):
        raise TypeError("Expected text")
    return Secret(value) if kind is Secret else Path(value)


def _meaning(name: str) -> str:
    """What the setting is, and what it may be where that is one of a few words."""
    kind, meta = next(get_args(field.type) for field in msgspec.structs.fields(Settings) if field.name == name)
    words = get_args(kind) if get_origin(kind) is Literal else ("true", "false") if kind is bool else ()
    return f"{meta.description}{': ' if words else ''}{', '.join(words)}"


def _from_file(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    import tomllib  # noqa: PLC0415  # start-up time

    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"the settings file {path} cannot be read: {error}", hint="see gmhealth.toml(5)") from error


def _from_credentials(environ: Mapping[str, str]) -> dict[str, Any]:
    directory = environ.get("CREDENTIALS_DIRECTORY")
    if not directory:
        return {}
    paths = {name: Path(directory) / name for name in SECRETS}
    return {name: _secret(path) for name, path in paths.items() if _is_there(path)}


def _is_there(path: Path) -> bool:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:  # it is: reading it will say what is wrong
        pass
    return True


def _from_environ(environ: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for variable, value in environ.items():
        if not variable.startswith(PREFIX):
            continue
        name = variable.removeprefix(PREFIX).lower()
        secret = name.removesuffix("_file")
        if secret != name and secret in SECRETS:
            found.setdefault(secret, _secret(Path(value)))
        elif name in NAMES:
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
    import difflib  # noqa: PLC0415  # start-up time

    close = difflib.get_close_matches(name, NAMES, n=1)
    return f"did you mean {PREFIX}{close[0].upper()} ({close[0]} in the file)?" if close else ""


def _complete(settings: Settings, origins: Mapping[str, str]) -> Settings:
    """Check that it is clear which servers are meant: embedded ones never start by accident."""
    if settings.embedded:
        for name in ("redis_url", "redis_sentinels", "postgres_dsn"):
            if _is_set(getattr(settings, name)):
                raise ConfigError(
                    f"both the embedded servers and {PREFIX}{name.upper()} ({origins[name]}) are asked for",
                    hint=f"unset {PREFIX}{name.upper()}, or leave out --embedded and GMHEALTH_EMBEDDED",
                )
        return settings
    missing = [name for name in ("redis_url", "postgres_dsn") if not _is_set(getattr(settings, name))]
    if missing:
        empty = {name: f" (empty, {origins[name]})" for name in missing if name in origins}
        names = " and ".join(PREFIX + name.upper() + empty.get(name, "") for name in missing)
        raise ConfigError(
            f"{names} {'is' if len(missing) == 1 else 'are'} not set, so there is nothing to talk to",
            hint="set them, or try `gmhealth --embedded …`, which brings its own servers",
        )
    return settings


def _is_set(value: Secret | str | None) -> bool:
    """Whether there is anything in it: for an empty DSN libpq would go wherever its defaults lead."""
    return bool(value.reveal().strip() if isinstance(value, Secret) else value)
