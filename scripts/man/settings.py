"""The settings as they are declared: for gmhealth.toml(5) and gmhealth(1)."""

from __future__ import annotations

from typing import Any, NamedTuple

from gmhealth.settings import PREFIX, SECRETS, Settings


class Setting(NamedTuple):
    """A setting: its key in the file, its variables, what it holds and what it means."""

    key: str
    variables: tuple[str, ...]
    kind: str
    default: str
    description: str


def settings() -> list[Setting]:
    """All of them, in their order."""
    return [_setting(key, schema) for key, schema in Settings.model_json_schema()["properties"].items()]


def _setting(key: str, schema: dict[str, Any]) -> Setting:
    variable = PREFIX + key.upper()
    variables = (variable, f"{variable}_FILE") if key in SECRETS else (variable,)
    default = schema["default"]
    shown = "" if default is None else str(default).lower() if isinstance(default, bool) else str(default)
    return Setting(key, variables, _kind(schema), shown, schema["description"])


def _kind(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(schema["enum"])
    kind = schema.get("type", "string").replace("string", "text")
    bounds = [f"{word} {schema[key]}" for word, key in (("from", "minimum"), ("to", "maximum")) if key in schema]
    return " ".join([kind, *bounds])
