"""What the options before the command's name say, and the settings they lead to."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from gmhealth.settings import Settings


@dataclass(frozen=True, slots=True)
class Globals:
    """The global options as given; None where one was not."""

    config: Path | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def again(self) -> list[str]:
        """The words that lead another command to the same servers."""
        words = [] if self.config is None else ["--config", str(self.config)]
        return [*words, "--embedded"] if self.options.get("embedded") else words


def settings_of(ctx: typer.Context, **options: Any) -> Settings:
    """Load the settings for a command, with its own `options` on top, and set up logging by them."""
    from gmhealth.observability.logs import set_up
    from gmhealth.settings import load_settings

    given: Globals = ctx.obj
    settings = load_settings(os.environ, {**given.options, **options}, given.config)
    set_up(settings.log_level, settings.log_format, os.environ)
    return settings


def program() -> str:
    """How this program was called, for the commands that messages tell to run next."""
    return os.environ.get("_GMHEALTH_PROGRAM", "gmhealth")
