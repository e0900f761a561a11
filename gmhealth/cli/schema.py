"""`gmhealth schema`: the form of what other commands print with `-o json`."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from gmhealth.errors import ConfigError


def next_words(ctx: typer.Context, incomplete: str) -> list[str]:
    """The words that go on to the name of a command which has a schema."""
    before = ctx.params.get("command") or []
    names = (name.split() for name in printed())
    found = {words[len(before)] for words in names if words[: len(before)] == before and len(words) > len(before)}
    return sorted(word for word in found if word.startswith(incomplete))


def schema(
    command: Annotated[
        list[str], typer.Argument(metavar="COMMAND", help="A command with -o json.", autocompletion=next_words)
    ],
) -> None:
    """Print the JSON schema of what COMMAND prints with -o json.

    - `gmhealth schema status`
    - `gmhealth schema offset show`

    Where a command prints one of several objects, as inspect does with --follow, the schema takes any of them.
    """
    from pydantic import TypeAdapter
    from pydantic.json_schema import GenerateJsonSchema

    name, known = " ".join(command), printed()
    if name not in known:
        raise ConfigError(f"no command {name} prints JSON", hint=f"these do: {', '.join(known)}")
    form = TypeAdapter(known[name]).json_schema(mode="serialization")
    typer.echo(json.dumps({"$schema": GenerateJsonSchema.schema_dialect, **form}, indent=2))


def printed() -> dict[str, Any]:
    """What each command prints, by the command's name."""
    from gmhealth.operations import models

    return {
        "status": models.StatusView,
        "inspect": models.InspectView | models.EventView | models.SnapshotView,
        "replay": models.ReplayView,
        "offset show": models.OffsetView,
        "offset reset": models.ResetView,
        "doctor": models.DoctorView,
        "dead-letter list": models.LettersView,
        "dead-letter show": models.LetterView,
        "dead-letter retry": models.LettersDoneView,
        "dead-letter purge": models.LettersDoneView,
        "simulate": models.SimulateView | models.EntryFieldsView,
    }
