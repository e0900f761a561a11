"""What the shell offers that Typer does not know: game IDs from the table."""

from __future__ import annotations

import os
import re
from typing import Final

import typer

PLAIN: Final = re.compile(r"[\w.@%+-]+", re.ASCII)
"""What every shell takes for a plain word. Others are not offered: typed for a person, an ID could run a command."""
MOST: Final = 50


def game_ids(ctx: typer.Context, incomplete: str) -> list[str]:
    """Some game IDs that begin like this; none if the table cannot be asked, as a shell wants no errors."""
    from gmhealth import bootstrap
    from gmhealth.errors import GmhealthError
    from gmhealth.settings import load_settings

    given = ctx.find_root().params
    try:
        settings = load_settings(os.environ, {"embedded": given.get("embedded")}, given.get("config"))
        with (
            bootstrap.servers(settings, os.environ) as where,
            bootstrap.connected(settings, where, "completion") as parts,
        ):
            return [found for found in parts.games.game_ids(incomplete, MOST) if PLAIN.fullmatch(found)]
    except GmhealthError:
        return []
