"""What stands on each page, and in which order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from gmhealth import __version__, errors
from gmhealth.cli.boundary import INTERRUPTED
from gmhealth.cli.doctor import PROBLEM
from gmhealth.settings import SECRETS
from scripts.man.commands import Command, Parameter, tree
from scripts.man.roff import argument, bold, example, items, paragraph, section, text
from scripts.man.settings import settings

PROSE: Final = Path(__file__).with_name("prose")
EDITION: Final = "2026-11-29"
"""Of the prose. Not today's date: pages made twice are the same."""

EXITS: Final = {
    0: "Done.",
    errors.GmhealthError.exit_code: "It failed: something is broken, or a server is not what gmhealth needs.",
    errors.ConfigError.exit_code: "Usage or configuration: an option or a setting is missing, unknown or malformed.",
    errors.NotFound.exit_code: "The game, entry or range asked for does not exist.",
    errors.Refused.exit_code: "A safety check said no; nothing was changed.",
    errors.Unavailable.exit_code: "A server cannot be reached for now; trying again may help.",
    PROBLEM: "A check of `gmhealth doctor` found a problem.",
    INTERRUPTED: "Interrupted before the end, by Ctrl-C or SIGTERM.",
}

OTHER_VARIABLES: Final = {
    "CREDENTIALS_DIRECTORY": "Where systemd puts credentials: files named "
    f"{', '.join(sorted(SECRETS))} are read from there.",
    "NOTIFY_SOCKET": "Where `gmhealth consume` tells the service manager READY, STATUS, WATCHDOG and STOPPING.",
    "JOURNAL_STREAM": "If it names standard error, log lines take the journal's form.",
    "NO_COLOR": "If set, nothing is coloured.",
    "TERM": "If it is dumb, nothing is coloured or redrawn.",
    "COLUMNS": "How wide tables may be.",
    "XDG_STATE_HOME": "Below it the embedded servers keep their data, unless GMHEALTH_EMBEDDED_DIR says otherwise.",
    "SUDO_USER": "Goes into the audit of `gmhealth offset reset` as who did it.",
}

OVERVIEWS: Final = {
    "gmhealth-operations": "how to install and run gmhealth, and what to do when something is wrong",
    "gmhealth-internals": "what gmhealth guarantees, how, and how fast it is",
}


def pages() -> dict[str, str]:
    """Every page by its file's name."""
    root = tree()
    found = {"gmhealth.1": _program(root), "gmhealth.toml.5": _file()}
    for command in root.commands:
        found[f"{command.page}.1"] = _command(command, root)
    return found | {f"{name}.7": _overview(name, summary) for name, summary in OVERVIEWS.items()}


def _page(name: str, volume: int, summary: str, *sections: str) -> str:
    head = [
        '.\\" Written by scripts/man-pages; a change here is lost.',
        f'.TH {argument(name.upper())} {volume} {EDITION} {argument(f"gmhealth {__version__}")} "gmhealth manual"',
        section("NAME", f"{text(name)} \\- {text(summary)}"),
    ]
    return "\n".join([*head, *(each for each in sections if each)]) + "\n"


def _program(root: Command) -> str:
    variables = [(bold(each.variables[0]), _sentence(each.description)) for each in settings()]
    secret = [
        (bold(each.variables[1]), f"A file that holds `{each.key}`.") for each in settings() if each.variables[1:]
    ]
    named = [(bold(each.variable), each.help) for each in root.options if each.variable]
    other = [(bold(name), words) for name, words in OTHER_VARIABLES.items()]
    return _page(
        "gmhealth",
        1,
        _name(root),
        _synopsis(root),
        section("DESCRIPTION", *_description(root), _prose("gmhealth.description")),
        section("OPTIONS", _parameters(root.options)),
        section("COMMANDS", items((f"\\fB{text(each.page)}\\fR(1)", each.summary) for each in root.commands)),
        section("EXIT STATUS", items((bold(str(code)), words) for code, words in sorted(EXITS.items()))),
        section("ENVIRONMENT", items([*variables, *secret, *named, *other])),
        _prose("gmhealth"),
        _see_also("gmhealth.toml(5)", *_overviews(), *(f"{each.page}(1)" for each in root.commands)),
    )


def _command(command: Command, root: Command) -> str:
    below = [line for each in command.commands for line in _subcommand(each)]
    return _page(
        command.page,
        1,
        _name(command),
        _synopsis(*(command.commands or [command])),
        section("DESCRIPTION", *_description(command)),
        section("COMMANDS", *below),
        section("OPTIONS", _parameters(command.arguments + command.options)),
        section("EXAMPLES", example(command.examples) if command.examples else ""),
        _prose(command.page),
        section("EXIT STATUS", f"As in {bold('gmhealth')}(1)."),
        _see_also("gmhealth(1)", "gmhealth.toml(5)", *_overviews(), *_others(command, root)),
    )


def _subcommand(command: Command) -> Iterator[str]:
    yield f".SS {argument(' '.join((*command.path[1:], *_placeholders(command))))}"
    yield from _description(command)
    yield _parameters(command.arguments + command.options)
    if command.examples:
        yield f".PP\n{example(command.examples)}"


def _file() -> str:
    rows = []
    for each in settings():
        default = f" Default: {each.default}." if each.default else ""
        rows.append((f"{bold(each.key)} ({text(each.kind)})", f"{_sentence(each.description)}{default}"))
    return _page(
        "gmhealth.toml",
        5,
        "settings of gmhealth",
        _prose("gmhealth.toml.description"),
        section("SETTINGS", items(rows)),
        _prose("gmhealth.toml"),
        _see_also("gmhealth(1)", *_overviews()),
    )


def _overview(name: str, summary: str) -> str:
    """A page that is prose throughout."""
    others = [each for each in _overviews() if each != f"{name}(7)"]
    return _page(name, 7, summary, _prose(name), _see_also("gmhealth(1)", "gmhealth.toml(5)", *others))


def _name(command: Command) -> str:
    first = command.summary.rstrip(".")
    return first[0].lower() + first[1:]


def _synopsis(*commands: Command) -> str:
    called = (f"{bold(' '.join(each.path))} {text(each.usage)}" for each in commands)
    return section("SYNOPSIS", "\n.br\n".join(called))


def _placeholders(command: Command) -> list[str]:
    return [each.names for each in command.arguments]


def _description(command: Command) -> Iterator[str]:
    yield paragraph(command.summary)
    for block in command.description:
        yield f".PP\n{paragraph(block)}"


def _parameters(parameters: list[Parameter]) -> str:
    return items((bold(each.names), each.help) for each in parameters)


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}."


def _prose(name: str) -> str:
    """Hand-written sections, as roff."""
    path = PROSE / f"{name}.roff"
    return path.read_text(encoding="utf-8").rstrip("\n") if path.exists() else ""


def _overviews() -> list[str]:
    return [f"{name}(7)" for name in OVERVIEWS]


def _others(command: Command, root: Command) -> list[str]:
    return [f"{each.page}(1)" for each in root.commands if each.page != command.page]


def _see_also(*names: str) -> str:
    return section("SEE ALSO", ",\n".join(f"{bold(name[:-3])}{name[-3:]}" for name in names))
