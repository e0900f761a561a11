"""The commands by name, each loaded when it is asked for: a command that runs needs no other one's module."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, Final

import typer

from gmhealth.cli.help import Command

MODULES: Final[Mapping[str, str]] = {
    "status": "gmhealth.cli.status:status",
    "inspect": "gmhealth.cli.inspect:inspect",
    "replay": "gmhealth.cli.replay:replay",
    "offset": "gmhealth.cli.offset:app",
    "doctor": "gmhealth.cli.doctor:doctor",
    "dead-letter": "gmhealth.cli.dead_letter:app",
    "simulate": "gmhealth.cli.simulate:simulate",
    "consume": "gmhealth.cli.consume:consume",
    "schema": "gmhealth.cli.schema:schema",
}


class Modules(Mapping[str, Any]):
    """Typer's command for each name, in the order of the help."""

    def __init__(self) -> None:
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._loaded:
            module, _, attribute = MODULES[name].partition(":")
            self._loaded[name] = _command(name, getattr(import_module(module), attribute))
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(MODULES)

    def __len__(self) -> int:
        return len(MODULES)


def _command(name: str, found: Any) -> Any:
    app = found
    if not isinstance(found, typer.Typer):
        app = typer.Typer(add_completion=False)
        app.command(cls=Command)(found)
    command = typer.main.get_command(app)
    command.name = name
    return command
