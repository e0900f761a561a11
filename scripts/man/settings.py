"""The settings as they are declared: for gmhealth.toml(5), gmhealth(1) and the README."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, get_args, get_origin

from msgspec import structs

from gmhealth.settings import PREFIX, SECRETS, Settings

MARKERS = "<!-- settings -->", "<!-- /settings -->"
KINDS = {bool: "boolean", int: "integer", str: "text", float: "number"}


class Setting(NamedTuple):
    """A setting: its key in the file, its variables, what it holds and what it means."""

    key: str
    variables: tuple[str, ...]
    kind: str
    default: str
    description: str


def settings() -> list[Setting]:
    """All of them, in their order."""
    return [_setting(field) for field in structs.fields(Settings)]


def _setting(field: structs.FieldInfo) -> Setting:
    key, (annotation, meta) = field.name, get_args(field.type)
    variable = PREFIX + key.upper()
    variables = (variable, f"{variable}_FILE") if key in SECRETS else (variable,)
    default = field.default
    shown = "" if default is None else str(default).lower() if isinstance(default, bool) else str(default)
    return Setting(key, variables, _kind(annotation, meta), shown, meta.description)


def _kind(annotation: Any, meta: Any) -> str:
    if get_origin(annotation) is Literal:
        return ", ".join(get_args(annotation))
    low = [] if meta.ge is None else [f"from {meta.ge}"]
    high = [] if meta.le is None else [f"to {meta.le}"]
    return " ".join([KINDS.get(annotation, "text"), *low, *high])


def table() -> str:
    """The settings as a table of the README."""
    lines = ["| key in the file | variable | default | what it is |", "|---|---|---|---|"]
    for each in settings():
        variables = " or ".join(f"`{name}`" for name in each.variables)
        default = f"`{each.default}`" if each.default else ""
        lines.append(f"| `{each.key}` | {variables} | {default} | {each.description} |")
    return "\n".join(lines)


def with_table(readme: str) -> str:
    """`readme` with the table between its markers; as it is where it has none."""
    start, end = MARKERS
    before, found, rest = readme.partition(start)
    if not found:
        return readme
    return f"{before}{start}\n{table()}\n{end}{rest.partition(end)[2]}"
