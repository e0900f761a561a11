"""The command tree as it is, read by its attributes: Typer carries a Click of its own, so there is none to import."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import typer

from gmhealth.cli import app

EXAMPLE: Final = re.compile(r"^- `(gmhealth .*)`$", re.MULTILINE)


class Parameter(NamedTuple):
    """An option or an argument: how it is written, and what it does."""

    names: str
    help: str
    spellings: tuple[str, ...]
    variable: str | None


class Command(NamedTuple):
    """A command; `path` is how it is called, `commands` are those below it."""

    path: tuple[str, ...]
    summary: str
    examples: str
    description: list[str]
    usage: str
    arguments: list[Parameter]
    options: list[Parameter]
    commands: list[Command]

    @property
    def page(self) -> str:
        """The name of its man page; commands of a group share the group's."""
        return "-".join(self.path[:2])

    def walk(self) -> Iterator[Command]:
        """This command and all below it."""
        yield self
        for each in self.commands:
            yield from each.walk()


def tree() -> Command:
    """All commands, from `gmhealth` down."""
    return _command(typer.main.get_command(app), ("gmhealth",), None)


def _command(found: Any, path: tuple[str, ...], parent: Any) -> Command:
    context = found.context_class(found, info_name=path[-1], parent=parent, **found.context_settings)
    summary, *others = found.help.split("\n\n")
    params = [param for param in found.get_params(context) if not getattr(param, "hidden", False)]
    return Command(
        path,
        summary,
        "\n".join(EXAMPLE.findall(found.help)),
        [block for block in others if not EXAMPLE.search(block)],
        " ".join(found.collect_usage_pieces(context)),
        [_parameter(param, context) for param in params if param.param_type_name == "argument"],
        [_parameter(param, context) for param in params if param.param_type_name == "option"],
        [_command(each, (*path, name), context) for name, each in getattr(found, "commands", {}).items()],
    )


def _parameter(param: Any, context: Any) -> Parameter:
    names, words = param.get_help_record(context)
    variable = param.envvar if isinstance(param.envvar, str) else None
    return Parameter(_readable(names), words, (*param.opts, *param.secondary_opts), variable)


def _readable(names: str) -> str:
    """Name a value by what it is; Typer names it by its class, and an argument twice."""
    names = re.sub(r"^([A-Z_]+) <.*>$", r"\1", names)
    return re.sub(r"<(int|float)( range)?>", "N", names).replace("<str>", "TEXT")
