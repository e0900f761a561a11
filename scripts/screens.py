"""Takes pictures of commands on a terminal: a game was lost and came back, but its recovery was skipped."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pexpect
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from gmhealth.embedded import embedded_servers
from scripts.benchmark.roster import environment
from scripts.ending import end_in_order

ROOT: Final = Path(__file__).parent.parent
COLUMNS: Final = 100
GAME: Final = "game-andromeda"
LOST: Final = (("probe_failed", GAME), ("container_oom", GAME), ("container_exited", "game-cassiopeia"))
BACK: Final = (("container_started", GAME), ("probe_recovered", GAME))
PICTURES: Final[Mapping[str, tuple[str, ...]]] = {"status": ("status",), "inspect": ("inspect", GAME)}
SVG: Final = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
"""Rich's form of a picture, without the fonts that it would fetch from another site."""


def main() -> None:
    """Play the story and take the pictures."""
    with tempfile.TemporaryDirectory(prefix="gmhealth") as state:
        own = {"GMHEALTH_EMBEDDED": "1", "GMHEALTH_EMBEDDED_DIR": state, "TERM": "xterm-256color"}
        environ = {name: value for name, value in environment().items() if name != "NO_COLOR"} | own
        with embedded_servers(Path(state)):  # up from one command to the next
            with _consumer(environ):
                _simulate(LOST, environ, "--wait")
            _simulate(BACK, environ)
            _run(("offset", "reset", "--to-end", "--yes", "--reason", "catching up"), environ)
            with _consumer(environ):
                _take_pictures(environ, state)


def _take_pictures(environ: Mapping[str, str], state: str) -> None:
    for name, words in PICTURES.items():
        target = ROOT / "man" / f"{name}.svg"
        target.write_text(_picture(name, words, _shown(words, environ, state)), encoding="utf-8")
        print(target.relative_to(ROOT))


GMHEALTH: Final = (sys.executable, "-P", "-m", "gmhealth")


def _simulate(events: Iterable[tuple[str, str]], environ: Mapping[str, str], *options: str) -> None:
    for event, game_id in events:
        _run(("simulate", event, "--game-id", game_id, *options), environ)


def _run(words: Iterable[str], environ: Mapping[str, str]) -> None:
    subprocess.run([*GMHEALTH, *words], env=environ, check=True, capture_output=True)


@contextmanager
def _consumer(environ: Mapping[str, str]) -> Iterator[None]:
    process = subprocess.Popen([*GMHEALTH, "consume"], env=environ, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        next(line for line in process.stderr if " consuming " in line and "Ctrl-C" not in line)
        yield
    finally:
        process.terminate()
        process.communicate()


def _shown(words: tuple[str, ...], environ: Mapping[str, str], state: str) -> str:
    """What the command writes on a terminal, with names of nobody's machine."""
    program, *arguments = GMHEALTH
    child = pexpect.spawn(
        program, [*arguments, *words], env=dict(environ), dimensions=(50, COLUMNS), encoding="utf-8", timeout=60
    )
    text = str(child.read()).replace("\r\n", "\n")
    child.wait()
    text = text.replace(str(Path(state).resolve()), "/var/lib/gmhealth").replace(state, "/var/lib/gmhealth")
    return re.sub(r"consume \S+:\d+, PostgreSQL session \d+", "consume gm-1:4711, PostgreSQL session 815", text)


def _picture(name: str, words: tuple[str, ...], shown: str) -> str:
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text.assemble(("$ ", "dim"), ("gmhealth " + " ".join(words), "bold")))
    console.print(Text.from_ansi(shown.rstrip("\n")))
    return console.export_svg(title="gmhealth", theme=MONOKAI, code_format=SVG, unique_id=f"gmhealth-{name}")


if __name__ == "__main__":
    end_in_order()
    main()
