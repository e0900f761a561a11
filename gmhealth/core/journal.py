"""The journal: what each event did, for people, and what each write left, for settling (design 3.5).

Both are one MessagePack array a commit. Few values are ever met, so each event and game is an index into a table of
them, and entry IDs are stored without what they all begin with: five to ten bytes an event.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias, TypeVar

from msgspec import DecodeError, Struct
from msgspec.msgpack import Decoder, encode

from gmhealth.core.plan import NetEffect, Row, Step
from gmhealth.core.rules import SWAPS

T = TypeVar("T")
InFlight: TypeAlias = Callable[[], Mapping[str, Collection[str]]]
"""Tells the summaries, by game, that a batch which was written and not committed may have left; asked if need be."""


class Done(NamedTuple):
    """What became of one event, or, in a repair, of one game, whose ID then stands for the entry's."""

    entry_id: str
    outcome: str
    before: str
    after: str
    published: bool


class Line(NamedTuple):
    """A row as one write left it, and the net effect that led there; `target` and `summary` are "" for none.

    `before` is the status that was found. `updated_at` is PostgreSQL's time as text, which sorts as time does.
    """

    game_id: str
    target: str
    summary: str
    before: str
    status: str
    engine_health: str
    updated_at: str


class Stored(NamedTuple):
    """A row as it stands: `updated_at` is "" for NULL, `updated_ms` None for what no clock shows."""

    game_id: str
    row: Row
    updated_at: str
    updated_ms: int | None


class _Events(Struct, array_like=True):
    table: list[tuple[str, str, str, bool]]
    indices: list[int]
    prefix: str
    rest: str


class _Lines(Struct, array_like=True):
    table: list[tuple[str, str, str, str, str, str]]
    indices: list[int]
    games: list[str]


_EVENTS: Final = Decoder(_Events)
_LINES: Final = Decoder(_Lines)


def pack_events(steps: Sequence[Step], *, publish: bool = True) -> bytes:
    """Pack what each event of a batch did."""
    ids = [step.event.entry_id.decode("latin-1") for step in steps]
    done = [(step.outcome, step.before, step.status, publish and step.snapshot is not None) for step in steps]
    return _pack_events(ids, done)


def pack_repairs(rows: Iterable[Stored]) -> bytes:
    """Pack that these rows were published as they stood, without an event."""
    rows = list(rows)
    return _pack_events(
        [each.game_id for each in rows], [("repair", each.row.status, each.row.status, True) for each in rows]
    )


def _pack_events(ids: Sequence[str], done: Sequence[tuple[str, str, str, bool]]) -> bytes:
    table, indices = _tabulated(done)
    prefix = _common_prefix(ids)
    cut = len(prefix)
    return encode(_Events(table, indices, prefix, "\0".join([each[cut:] for each in ids])))


def unpack_events(packed: bytes) -> list[Done] | None:
    """Read what was packed; None for all else."""
    try:
        found = _EVENTS.decode(packed)
        rest = found.rest.split("\0") if found.indices else []
        return [Done(found.prefix + tail, *found.table[index]) for tail, index in zip(rest, found.indices, strict=True)]
    except (DecodeError, UnicodeDecodeError, ValueError, IndexError):
        return None


def pack_lines(lines: Iterable[Line]) -> bytes:
    """Pack what a write left of each game."""
    games: list[str] = []
    left: list[tuple[str, str, str, str, str, str]] = []
    for game_id, *rest in lines:
        games.append(game_id)
        left.append((*rest,))  # type: ignore[arg-type]  # six texts, as Line has them
    return encode(_Lines(*_tabulated(left), games))


def unpack_lines(packed: bytes) -> list[Line]:
    """Read what was packed; nothing for all else, as a damaged entry tells of no game."""
    try:
        found = _LINES.decode(packed)
        return [Line(game, *found.table[index]) for game, index in zip(found.games, found.indices, strict=True)]
    except (DecodeError, UnicodeDecodeError, ValueError, IndexError):
        return []


def by_game(lines: Iterable[Line]) -> dict[str, list[Line]]:
    """The lines of each game, in the order in which they were written."""
    found: dict[str, list[Line]] = {}
    for line in lines:
        found.setdefault(line.game_id, []).append(line)
    return found


def is_lost(row: Stored, lines: Sequence[Line], in_flight: InFlight = dict) -> bool:
    """Whether the row lacks the write that left the last of `lines`, or an earlier one (design 3.4, 2; I10).

    Only we write `engine_health`, so another one than the last that we wrote shows it, but for a new row under an old
    ID, and for a batch whose rows were written and whose commit failed: its lines are nowhere, and `in_flight` tells
    what it may have left. With the same summary the row is back where one of these writes found it, or where the last
    transition leads from, which led to where the row was: an earlier write, of which there is no line, had moved it
    then. Its time alone shows nothing: another writer that came after us may have begun, and taken the time, before us.
    """
    newest, status, summary = lines[-1], row.row.status, row.row.engine_health
    is_older = row.updated_at <= newest.updated_at
    if summary != newest.engine_health:
        return is_older or (summary != "" and summary not in in_flight().get(row.game_id, ()))
    found = {line.before for line in lines if line.updated_at >= row.updated_at}
    if (target := _target(lines, row)) == newest.status:
        found.add(SWAPS.get(target, ""))
    return is_older and status != newest.status and status in found


def effect_of(row: Stored, lines: Sequence[Line]) -> NetEffect | None:
    """What to write again to a row that lacks the last of `lines`: those that are newer than it, or the last one.

    None where nothing that we wrote is among them.
    """
    summary = next((line.summary for line in reversed(_newer(lines, row)) if line.summary), None)
    return None if summary is None else NetEffect(row.game_id, _target(lines, row), summary)


def _newer(lines: Sequence[Line], row: Stored) -> Sequence[Line]:
    return [line for line in lines if line.updated_at > row.updated_at] or lines[-1:]


def _target(lines: Sequence[Line], row: Stored) -> str:
    return next((line.target for line in reversed(_newer(lines, row)) if line.target), "")


def lost(
    lines: Mapping[str, Sequence[Line]], rows: Iterable[Stored], in_flight: InFlight
) -> dict[str, NetEffect | None]:
    """Games of `rows` that lack a write, each with what is to be written again."""
    return {row.game_id: effect_of(row, of) for row in rows if is_lost(row, of := lines[row.game_id], in_flight)}


def _tabulated(values: Sequence[T]) -> tuple[list[T], list[int]]:
    """The distinct values, and for each of `values` where among them it is."""
    places = {value: at for at, value in enumerate(dict.fromkeys(values))}
    return list(places), [places[value] for value in values]


def _common_prefix(texts: Sequence[str]) -> str:
    """What all of `texts` begin with: what the least and the greatest of them do."""
    if not texts:
        return ""
    least, greatest = min(texts), max(texts)
    for at, (one, other) in enumerate(zip(least, greatest, strict=False)):
        if one != other:
            return least[:at]
    return least
