"""How `--help` looks, and what starting up costs: plain text, as Rich and pydantic take longer to load than to use.

A docstring's paragraphs of lines that begin with `gmhealth ` are examples. They are shown first and as they are.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from typer.core import TyperCommand, TyperGroup

EXAMPLE: Final = "gmhealth "


class Command(TyperCommand):
    """A command whose help begins with its examples."""

    def get_params(self, ctx: Any) -> Any:
        """The parameters, `--help` among them, each left alone when it is not given."""
        return leave_unset(super().get_params(ctx))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help."""
        _write(self, ctx, formatter)


class Group(TyperGroup):
    """The same for a command that has commands."""

    def get_params(self, ctx: Any) -> Any:
        """The parameters, `--help` among them, each left alone when it is not given."""
        return leave_unset(super().get_params(ctx))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help."""
        _write(self, ctx, formatter)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the commands with their first sentences, whole."""
        named = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(name, paragraphs(found.help)[0]) for name, found in named if found is not None])


def paragraphs(text: str | None) -> list[str]:
    """The paragraphs of a docstring, without the indentation of its examples."""
    blocks = (text or "").strip().split("\n\n")
    return ["\n".join(line.strip() for line in block.strip().splitlines()) for block in blocks]


def leave_unset(params: Sequence[Any]) -> Sequence[Any]:
    """Have Typer convert only values that were given: to convert a default, too, it loads pydantic."""
    for param in params:
        if not param.required and "process_value" not in vars(param):
            param.process_value = _converting(param)
    return params


def _converting(param: Any) -> Any:
    convert = param.process_value

    def process(ctx: Any, value: Any) -> Any:
        if value is not None and value is not param.default:
            return convert(ctx, value)
        return value if param.callback is None else param.callback(ctx, param, value)

    return process


def _write(command: Any, ctx: Any, formatter: Any) -> None:
    summary, *others = paragraphs(command.help)
    examples = [block for block in others if block.startswith(EXAMPLE)]
    formatter.write_text(summary)
    formatter.write_paragraph()
    for line in "\n".join(examples).splitlines():
        formatter.write(f"  {line}\n")
    formatter.write_paragraph()
    command.format_usage(ctx, formatter)
    for block in others:
        if block not in examples:
            formatter.write_paragraph()
            formatter.write_text(block)
    _write_options(command, ctx, formatter)


def _write_options(command: Any, ctx: Any, formatter: Any) -> None:
    for title, kind in (("Arguments", "argument"), ("Options", "option")):
        params = [param for param in command.get_params(ctx) if param.param_type_name == kind]
        records = [record for param in params if (record := param.get_help_record(ctx)) is not None]
        if records:
            with formatter.section(title):
                formatter.write_dl([(_readable(name), text) for name, text in records])
    if isinstance(command, Group):
        command.format_commands(ctx, formatter)


def _readable(name: str) -> str:
    """Name a value by what it is; Typer names it by its class, and an argument twice."""
    name = re.sub(r"^([A-Z_]+) <.*>$", r"\1", name)
    return re.sub(r"<(int|float)( range)?>", "N", name).replace("<str>", "TEXT")
