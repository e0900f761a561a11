"""What the shell offers: event names, and game IDs from the table."""

from __future__ import annotations

import os

import typer


def event_names(incomplete: str) -> list[str]:
    """The event types that begin like this."""
    from gmhealth.core.events import EventType

    return [name for name in EventType if name.startswith(incomplete)]


def game_ids(ctx: typer.Context, incomplete: str) -> list[str]:
    """Up to fifty game IDs that begin like this; none if the table cannot be asked, as a shell wants no errors."""
    from gmhealth import bootstrap
    from gmhealth.cli.globals import Globals
    from gmhealth.errors import GmhealthError
    from gmhealth.settings import load_settings

    given = next((each.obj for each in (ctx, ctx.parent) if each and isinstance(each.obj, Globals)), Globals())
    options = {"embedded": True} if "--embedded" in os.environ.get("COMP_WORDS", "").split() else given.options
    try:
        settings = load_settings(os.environ, options, given.config)
        with (
            bootstrap.servers(settings, os.environ) as where,
            bootstrap.connected(settings, where, "completion") as parts,
        ):
            return parts.games.game_ids(incomplete, 50)
    except GmhealthError:
        return []
