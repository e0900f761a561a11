"""Settings: where they come from, what is refused, and that no secret is ever shown."""

from __future__ import annotations

from collections.abc import Mapping
from errno import EACCES
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gmhealth.errors import ConfigError
from gmhealth.settings import NAMES, SECRETS, Settings, load_settings
from tests.canary import CANARY, shown

SERVERS = {"GMHEALTH_REDIS_URL": "redis://r", "GMHEALTH_POSTGRES_DSN": "postgresql://p"}


def load(
    environ: Mapping[str, str] = SERVERS, options: Mapping[str, Any] | None = None, config: Path | None = None
) -> Settings:
    return load_settings(environ, options or {}, config)


def refused(
    environ: Mapping[str, str] = SERVERS, options: Mapping[str, Any] | None = None, config: Path | None = None
) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load(environ, options, config)
    assert CANARY not in shown(caught.value)
    return caught.value


def secret(settings: Settings, name: str) -> str:
    value = getattr(settings, name)
    return "" if value is None else str(value.get_secret_value())


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "gmhealth.toml"
    path.write_text('batch_size = 2\nlobby_stream = "from the file"\nredis_url = "redis://file"\n', encoding="utf-8")
    return path


@pytest.fixture
def credentials(tmp_path: Path) -> dict[str, str]:
    """An environment with a credentials directory as systemd makes it."""
    directory = tmp_path / "credentials"
    directory.mkdir()
    (directory / "redis_url").write_text("redis://credentials\n", encoding="utf-8")
    (directory / "postgres_dsn").write_text("postgresql://credentials\n", encoding="utf-8")
    (directory / "of_another_program").write_text("x", encoding="utf-8")
    return {"CREDENTIALS_DIRECTORY": str(directory)}


def test_without_any_source_the_defaults_hold() -> None:
    settings = load()
    assert (settings.health_stream, settings.lobby_stream) == ("runtime:health_events", "gm:lobby_events")
    assert (settings.key_prefix, settings.postgres_table) == ("gamemaster:", "runtime_records")
    assert settings.embedded is False


def test_an_option_goes_before_the_environment_that_before_the_file_and_that_before_the_default(config: Path) -> None:
    default = load().batch_size
    environ = {**SERVERS, "GMHEALTH_BATCH_SIZE": "3"}
    assert default not in (2, 3, 4)
    assert load(config=config).batch_size == 2
    assert load(environ, config=config).batch_size == 3
    assert load(environ, {"batch_size": 4}, config).batch_size == 4


def test_an_option_that_was_not_given_changes_nothing(config: Path) -> None:
    assert load(options={"batch_size": None}, config=config).batch_size == 2


def test_credentials_go_before_the_file_and_the_environment_before_both(
    config: Path, credentials: dict[str, str]
) -> None:
    assert secret(load(credentials, config=config), "redis_url") == "redis://credentials"
    environ = {**credentials, "GMHEALTH_REDIS_URL": "redis://environment"}
    assert secret(load(environ, config=config), "redis_url") == "redis://environment"


def test_credentials_of_other_programs_are_left_alone(credentials: dict[str, str]) -> None:
    assert secret(load(credentials), "postgres_dsn") == "postgresql://credentials"


@pytest.mark.parametrize("name", sorted(SECRETS))
def test_each_secret_can_come_from_a_file_of_its_own(tmp_path: Path, name: str) -> None:
    path = tmp_path / "secret"
    path.write_text(f"{CANARY}\n", encoding="utf-8")
    without = {variable: value for variable, value in SERVERS.items() if variable != f"GMHEALTH_{name.upper()}"}
    assert secret(load({**without, f"GMHEALTH_{name.upper()}_FILE": str(path)}), name) == CANARY


@pytest.mark.parametrize("first", [True, False])
def test_the_variable_itself_goes_before_the_file_it_names(tmp_path: Path, first: bool) -> None:
    path = tmp_path / "secret"
    path.write_text("redis://file", encoding="utf-8")
    pair = [("GMHEALTH_REDIS_URL", "redis://variable"), ("GMHEALTH_REDIS_URL_FILE", str(path))]
    environ = {"GMHEALTH_POSTGRES_DSN": "postgresql://p", **dict(pair if first else pair[::-1])}
    assert secret(load(environ), "redis_url") == "redis://variable"


def test_only_secrets_come_from_files() -> None:
    error = refused({**SERVERS, "GMHEALTH_LOBBY_STREAM_FILE": "/etc/hostname"})
    assert "GMHEALTH_LOBBY_STREAM_FILE" in str(error)


def test_a_variable_that_is_no_setting_is_refused_with_a_guess() -> None:
    error = refused({**SERVERS, "GMHEALTH_BATCHSIZE": "3"})
    assert str(error) == "there is no setting GMHEALTH_BATCHSIZE"
    assert "GMHEALTH_BATCH_SIZE" in error.hint


def test_a_key_that_is_no_setting_is_refused_with_a_guess(config: Path) -> None:
    config.write_text("batchsize = 3\n", encoding="utf-8")
    error = refused(config=config)
    assert "batchsize" in str(error)
    assert str(config) in str(error)
    assert "batch_size" in error.hint


def test_the_variable_that_names_the_file_is_no_setting_of_the_file() -> None:
    assert load({**SERVERS, "GMHEALTH_CONFIG": "/etc/gmhealth.toml", "PATH": "/bin"}) == load()


@pytest.mark.parametrize(
    ("environ", "options", "words"),
    [
        ({"GMHEALTH_BATCH_SIZE": "0"}, {}, "GMHEALTH_BATCH_SIZE cannot be used: input should be "),
        ({"GMHEALTH_BATCH_SIZE": "many"}, {}, "GMHEALTH_BATCH_SIZE cannot be used: input should be "),
        (
            {"GMHEALTH_BATCH_SIZE": "3"},
            {"batch_size": 10**9},
            "--batch-size cannot be used: input should be less than or equal to 100000",
        ),
        ({"GMHEALTH_HEALTH_STREAM": ""}, {}, "GMHEALTH_HEALTH_STREAM cannot be used"),
        ({"GMHEALTH_POSTGRES_TABLE": "a.b.c"}, {}, "GMHEALTH_POSTGRES_TABLE cannot be used"),
        ({"GMHEALTH_EMBEDDED": "maybe"}, {}, "GMHEALTH_EMBEDDED cannot be used: input should be a valid boolean"),
        ({"GMHEALTH_LOG_LEVEL": "loud"}, {}, "GMHEALTH_LOG_LEVEL cannot be used: input should be 'debug', "),
    ],
)
def test_a_value_that_cannot_be_used_is_named_with_its_source(
    environ: dict[str, str], options: dict[str, Any], words: str
) -> None:
    assert words in str(refused({**SERVERS, **environ}, options))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f'redis_password = ["{CANARY}"]', "redis_password in"),
        (f"redis_password = {{ value = '{CANARY}' }}", "redis_password in"),
        (f"redis_url = redis://:{CANARY}@r", "cannot be read"),
        (f"{CANARY}", "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_used_does_not_show_its_secrets(config: Path, text: str, words: str) -> None:
    config.write_text(text, encoding="utf-8")
    error = refused(config=config)
    assert words in str(error)
    assert str(config) in str(error)


@pytest.mark.parametrize(
    ("variable", "origin"),
    [("GMHEALTH_REDIS_URL_FILE", "GMHEALTH_REDIS_URL_FILE"), ("CREDENTIALS_DIRECTORY", "the credential redis_url")],
)
def test_a_secret_that_cannot_be_read_names_its_file(tmp_path: Path, variable: str, origin: str) -> None:
    path = tmp_path / "redis_url"
    path.mkdir()
    error = str(refused({"GMHEALTH_POSTGRES_DSN": "x", variable: str(path if "FILE" in variable else tmp_path)}))
    assert error.startswith(f"{origin} cannot be read")
    assert str(path) in error


def test_credentials_of_somebody_else_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service's, whose environment came along with `sudo`. Root may read them all, so nothing real is asked."""

    def denied(path: Path, **_: object) -> NoReturn:
        raise PermissionError(EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_text", denied)
    assert f"cannot be read: [Errno 13] Permission denied: '{tmp_path}/" in str(
        refused({"CREDENTIALS_DIRECTORY": str(tmp_path)})
    )


@pytest.mark.parametrize(
    ("variable", "value", "hint"),
    [
        ("GMHEALTH_METRICS_ADDR", "here", "[HOST:]PORT"),
        ("GMHEALTH_REDIS_SENTINELS", "a b", "host:26379,host:26379"),
    ],
)
def test_what_it_may_be_is_said_in_words(variable: str, value: str, hint: str) -> None:
    error = refused({**SERVERS, variable: value})
    assert hint in error.hint
    assert "pattern" not in str(error)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert str(tmp_path / "none.toml") in str(refused(config=tmp_path / "none.toml"))


@pytest.mark.parametrize("name", sorted(SECRETS))
def test_no_secret_is_shown_by_the_settings(name: str) -> None:
    settings = load({**SERVERS, f"GMHEALTH_{name.upper()}": f"redis://:{CANARY}@host"})
    assert CANARY in secret(settings, name)
    assert CANARY not in f"{settings} {settings!r} {getattr(settings, name)}"


AROUND = st.text(st.characters(categories=["L", "N", "P", "Z", "C"]), max_size=5)  # surrogates are of C
VALUES = st.builds("{}{}{}".format, AROUND, st.just(CANARY), AROUND)


@given(name=st.sampled_from(NAMES), value=VALUES | st.lists(VALUES) | st.dictionaries(VALUES, VALUES))
def test_whatever_the_value_no_error_shows_it(name: str, value: object) -> None:
    try:
        settings = load(SERVERS, {name: value})
    except ConfigError as error:
        text = shown(error)
    else:
        text = repr(settings) if name in SECRETS else ""
    assert CANARY not in text


@pytest.mark.parametrize(
    ("environ", "names"),
    [
        ({}, "GMHEALTH_REDIS_URL and GMHEALTH_POSTGRES_DSN are"),
        ({"GMHEALTH_REDIS_URL": "redis://r"}, "GMHEALTH_POSTGRES_DSN is"),
        ({"GMHEALTH_POSTGRES_DSN": "postgresql://p"}, "GMHEALTH_REDIS_URL is"),
    ],
)
def test_without_servers_it_says_which_are_missing_and_how_to_do_without(environ: dict[str, str], names: str) -> None:
    error = refused(environ)
    assert str(error) == f"{names} not set, so there is nothing to talk to"
    assert "--embedded" in error.hint


@pytest.mark.parametrize("blank", ["", " \n"])
@pytest.mark.parametrize("variable", SERVERS)
def test_an_address_that_is_empty_is_none(tmp_path: Path, variable: str, blank: str) -> None:
    """As of a template, or a secret that nobody filled in: libpq would go where its defaults lead."""
    assert str(refused({**SERVERS, variable: blank})).startswith(f"{variable} (empty) is not set")
    path = tmp_path / "secret"
    path.write_text(blank, encoding="utf-8")
    without = {name: value for name, value in SERVERS.items() if name != variable}
    said = str(refused({**without, f"{variable}_FILE": str(path)}))
    assert said.startswith(f"{variable}_FILE (empty) is not set")
    assert load({variable: blank}, {"embedded": True}).embedded


@pytest.mark.parametrize("name", ["log_level", "batch_size", "lobby_stream", "redis_url"])
def test_bytes_that_are_no_text_are_named_with_their_source(name: str) -> None:
    error = refused({**SERVERS, f"GMHEALTH_{name.upper()}": f"{CANARY}\udcff"})
    assert str(error) == f"GMHEALTH_{name.upper()} cannot be used: it is not UTF-8"
    assert error.hint


def test_the_embedded_servers_need_no_addresses() -> None:
    assert load({}, {"embedded": True}).embedded
    assert load({"GMHEALTH_EMBEDDED": "1"}).embedded


@pytest.mark.parametrize("variable", SERVERS)
def test_embedded_servers_and_an_address_are_one_too_many(variable: str) -> None:
    error = refused({variable: f"redis://:{CANARY}@r"}, {"embedded": True})
    assert f"both the embedded servers and {variable} are asked for" in str(error)
    assert f"unset {variable}" in error.hint


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load().batch_size = 3  # type: ignore[misc]  # what mypy sees is tested here


@pytest.mark.parametrize(
    "text", ["a", "a:26379", "a:1,b:2", "a:1, b:2", "[::1]:26379,10.0.0.1", "sentinel-1.example:5000"]
)
def test_sentinels_are_addresses(text: str) -> None:
    assert load({**SERVERS, "GMHEALTH_REDIS_SENTINELS": text}).redis_sentinels == text


@pytest.mark.parametrize("text", ["", ",", "a:", "a:port", "a,,b", "::1", "redis://a:1", f"user:{CANARY}@a:1", "a;b"])
def test_what_is_no_list_of_sentinels_is_refused(text: str) -> None:
    assert str(refused({**SERVERS, "GMHEALTH_REDIS_SENTINELS": text})).startswith("GMHEALTH_REDIS_SENTINELS cannot")


def test_sentinels_and_embedded_servers_are_one_too_many() -> None:
    assert "GMHEALTH_REDIS_SENTINELS" in str(refused({"GMHEALTH_EMBEDDED": "1", "GMHEALTH_REDIS_SENTINELS": "a:1"}))
