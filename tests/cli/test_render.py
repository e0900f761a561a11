"""What the commands show, as rendered: whole at every width, one row a line off a terminal, harmless."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from gmhealth.cli import dead_letter, doctor, inspect, offset, offset_reset, replay, simulate, status
from gmhealth.cli.render import Part, draw
from gmhealth.cli.tables import STYLES, Facts, Grid, styled
from gmhealth.core.plan import Outcome
from gmhealth.core.rules import EventType, Status, Summary
from gmhealth.core.text import safe, shell_word
from gmhealth.operations.models import (
    BreakView,
    CheckView,
    DoctorView,
    EntryView,
    EventView,
    GamePlanView,
    GapView,
    InspectView,
    LagView,
    LettersDoneView,
    LettersView,
    LetterView,
    OffsetView,
    ReplayView,
    ResetView,
    RowView,
    SimulateView,
    SnapshotView,
    StatusView,
    TargetView,
    WaitingView,
)
from tests.cli.world import HOSTILE

WIDTHS = [40, 60, 80, 120, 200]
GAME = "game-01HZYX4T8KQ3W5V7N9P2R6S0AB"
AT = datetime(2026, 11, 23, 3, 15, 0, 123000, tzinfo=UTC)
IDS = [f"17954493644{number:02}-{number}" for number in range(20)]
WHY = "the status was generation_in_progress, not running; snapshot sent"
LONG = "the stream was trimmed past the offset: 1,234,567 entries are gone that were never read"
TARGET = TargetView(
    redis="unix:/var/lib/gmhealth/sockets/valkey.sock database 0",
    stream="runtime:health_events",
    offset_key="gamemaster:stream_offsets:health_events",
    postgres="gmhealth@db.example.com:5432/games",
    table="runtime_records",
)


def command(*words: object) -> str:
    return " ".join(["gmhealth", "--config", "/etc/gmhealth/gmhealth.toml", *(shell_word(str(word)) for word in words)])


OPENED: Any = SimpleNamespace(
    command=command,
    target=TARGET,
    parts=SimpleNamespace(
        keys=SimpleNamespace(dead_letters="gamemaster:dead_letters:health_events", source="runtime:health_events")
    ),
)


def entry(number: int) -> EntryView:
    return EntryView(id=IDS[number], time=AT)


def row(game_id: str, state: str, health: str) -> RowView:
    return RowView(game_id=game_id, status=state, current_turn=42, engine_health=health, updated_at=AT)


def snapshot() -> SnapshotView:
    return SnapshotView(
        entry=entry(19), current_turn="42", runtime_status="running", engine_health_summary="oom", occurred_at_ms="1"
    )


def events(apart: timedelta, game_id: str) -> list[EventView]:
    return [
        EventView(
            entry=entry(number),
            type=kind,
            occurred_at=AT + number * apart,
            container_id=game_id,
            details=game_id,
            read=True,
            outcome=list(Outcome)[number % len(Outcome)],
            why=f"{WHY} {game_id}",
        )
        for number, kind in enumerate(EventType)
    ]


def inspected(game_id: str, apart: timedelta = timedelta(seconds=1)) -> Iterable[Part]:
    view = InspectView(
        target=TARGET,
        row=row(game_id, "engine_unreachable", "oom"),
        may_follow=["running", "stopped"],
        events=events(apart, game_id),
        scanned=20_000,
        scanned_all=False,
        last_snapshot=snapshot(),
    )
    return inspect._parts(OPENED, view)


def looked_at(game_id: str) -> Iterable[Part]:
    view = StatusView(
        target=TARGET,
        state="behind",
        consumer=f"gmhealth consume gm-1:4711, PostgreSQL session 815 {game_id}",
        replay=None,
        waiting=WaitingView(
            worker="gm-1:4711", server="PostgreSQL", cause="refused", since=AT, tries=1234, detail="a row is locked"
        ),
        offset=entry(1),
        lag=LagView(entries=12_345, exact=False, seconds=95),
        gap=GapView(kind="trimmed", lost=1_234_567, exact=True, text=LONG),
        last_break=BreakView(kind="trimmed", at=AT, offset=entry(2), lost=7, exact=True, text=LONG),
        events_per_minute=10_000,
        events_per_minute_exact=False,
        dead_letters=7,
        dead_letters_dropped=3,
        by_status=dict.fromkeys(Status, 1234),
        by_summary=dict.fromkeys(Summary, 1234),
        unhealthy=[row(game_id, "engine_unreachable", "oom"), row("g", "generation_in_progress", "inspect_unhealthy")],
        unhealthy_total=1234,
        looked_at=AT + timedelta(minutes=3),
    )
    return status._parts(OPENED, view)


def plans(game_id: str) -> list[GamePlanView]:
    health = {"summary": "", "summary_after": "inspect_unhealthy", "snapshots": 12}
    moved = {"status": "running", "status_after": "engine_unreachable"}
    return [
        GamePlanView(game_id=game_id, **health, **moved),
        GamePlanView(game_id="g", **health, status="finished", status_after="finished"),
    ]


def replayed(game_id: str) -> Iterable[Part]:
    view = ReplayView(
        target=TARGET,
        first=IDS[0],
        last=IDS[9],
        entries=1_234_567,
        invalid=8,
        unknown_games=9,
        snapshots=10,
        games=plans(game_id),
        stale=[game_id] * 12,
        trimmed=None,
        done=0,
        resume=None,
    )
    return [*replay._planned(view), f"next: {command('replay', '--from-id', IDS[0], '--game-id', game_id)}"]


def reset(game_id: str) -> Iterable[Part]:
    view = ResetView(
        target=TARGET,
        old=entry(5),
        new=entry(4),
        direction="back",
        entries=1_234_567,
        exact=False,
        note=LONG,
        consumer="gmhealth consume gm-1:4711",
        replay=None,
        status_changes=plans(game_id),
        applied=True,
        followed_by="gm-1:4711:abc",
        undo=command("offset", "reset", "--to-id", IDS[5]),
    )
    return [*offset_reset._plan(view), *offset_reset._result(view, command("offset", "show"))]


def shown_offset(game_id: str) -> Iterable[Part]:
    view = OffsetView(
        target=TARGET,
        offset=entry(1),
        first=entry(0),
        last=entry(19),
        length=1_234_567,
        lag=LagView(entries=12_345, exact=False, seconds=95),
        gap=None,
        last_break=None,
        consumer=None,
        replay=f"gmhealth replay {game_id}",
        last_commit_by="0123456789abcdef",
        last_reset={"old": IDS[3], "new": IDS[2], "by": game_id, "at_ms": "1795403700123", "reason": game_id},
    )
    return offset._parts(OPENED, view)


def letter(game_id: str, number: int) -> LetterView:
    return LetterView(
        id=IDS[number],
        source=entry(number),
        reason=f"event_type_unknown {game_id}",
        detail=LONG,
        failed_at=AT,
        fields=[("game_id", game_id), ("event_type", "nonsense"), ("details", "{}")],
        valid_now=bool(number),
        retried_as=IDS[number + 1] if number else None,
    )


def letters(game_id: str) -> Iterable[Part]:
    found = [letter(game_id, 0), letter(game_id, 1)]
    view = LettersView(target=TARGET, total=1234, dropped=5, by_reason={}, letters=found)
    return dead_letter._listed(OPENED, view)


def retried(game_id: str) -> Iterable[Part]:
    left = {IDS[3]: f"retried before, as {IDS[4]}", IDS[5]: f"still invalid: {LONG} {game_id}"}
    view = LettersDoneView(target=TARGET, done={IDS[1]: IDS[2]}, left=left)
    return [
        Grid("Retried", ("dead letter", "as entry"), list(view.done.items())),
        Grid("Left", ("dead letter", "why"), list(view.left.items()), prose=True),
    ]


def checked(game_id: str) -> Iterable[Part]:
    checks = [
        CheckView(name="Redis", result="ok", found=f"Valkey 9.1.2 at {game_id}"),
        CheckView(name="gap", result="warning", found=LONG, hint=LONG),
        CheckView(name="table", result="fail", found=LONG, hint=f"look at {IDS[1]}"),
    ]
    return doctor._parts(DoctorView(target=TARGET, checks=checks))


def simulated(game_id: str) -> Iterable[Part]:
    fields = {"game_id": game_id, "container_id": "simulated000", "event_type": "container_oom", "details": "{}"}
    view = SimulateView(target=TARGET, fields=fields, entries=IDS[:3], row_ms=1.5, snapshot_ms=2.5, snapshot=snapshot())
    return [Facts("Simulated", [*simulate._pairs(view), *simulate._waited(view)]), simulate._next(OPENED, view)]


VIEWS: dict[str, Callable[[str], Iterable[Part]]] = {
    "inspect": inspected,
    "inspect, over days": lambda game_id: inspected(game_id, timedelta(days=1)),
    "status": looked_at,
    "replay": replayed,
    "offset reset": reset,
    "offset show": shown_offset,
    "dead-letter list": letters,
    "dead-letter show": lambda game_id: dead_letter._shown(OPENED, letter(game_id, 1)),
    "dead-letter retry": retried,
    "doctor": checked,
    "simulate": simulated,
}
WHOLE = re.compile(
    "|".join([GAME, r"\d{13}-\d+", *sorted({*EventType, *Status, *Summary, *Outcome}, key=len, reverse=True)])
)
"""Names, IDs and outcomes."""


def rendered(parts: Iterable[Part], columns: int | None, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lines as on a terminal of so many columns; None is a pipe."""
    if columns is None:
        monkeypatch.delenv("COLUMNS", raising=False)
    else:
        monkeypatch.setenv("COLUMNS", str(columns))
    stream = io.StringIO()
    draw(stream, parts)
    return stream.getvalue().split("\n")[:-1]


def is_pasted(line: str) -> bool:
    return line.startswith(("next: ", "undo: ", "the live consumer has followed: "))


@pytest.mark.parametrize("columns", WIDTHS)
@pytest.mark.parametrize("name", VIEWS)
def test_nothing_runs_over_the_edge_and_no_name_breaks(
    name: str, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = rendered(VIEWS[name](GAME), columns, monkeypatch)
    assert [line for line in lines if cell_len(line) > columns and not is_pasted(line)] == []
    assert [line for line in lines if line.endswith(" ")] == []
    piped = WHOLE.findall("\n".join(rendered(VIEWS[name](GAME), None, monkeypatch)))
    assert sorted(WHOLE.findall("\n".join(lines))) == sorted(piped)
    assert piped


@pytest.mark.parametrize("columns", WIDTHS)
@pytest.mark.parametrize("name", VIEWS)
def test_every_character_is_shown(name: str, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Long text folds: no character of it is cut, whatever the form; times may be short."""
    shown = "".join("".join(rendered(VIEWS[name](GAME), columns, monkeypatch)).split())
    for text in {LONG, WHY, TARGET.redis, "snapshot sent"}:
        if any(text in line for line in rendered(VIEWS[name](GAME), None, monkeypatch)):
            assert "".join(text.split()) in shown


@pytest.mark.parametrize("name", VIEWS)
def test_off_a_terminal_a_row_is_a_line(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = rendered(VIEWS[name](GAME), None, monkeypatch)
    assert [line for line in lines if set(line) & set("─━│\x1b") or line.endswith(" ")] == []
    if name.startswith("inspect"):
        whole = re.compile(rf"2026-\d\d-\d\d 03:15:\d\d\.123Z  \w+ +\w+ +\d+-\d+ +{WHY} {GAME}")
        assert sum(whole.fullmatch(line) is not None for line in lines) == len(EventType)


@pytest.mark.parametrize("columns", [None, *WIDTHS])
@pytest.mark.parametrize("name", VIEWS)
def test_hostile_text_is_shown_as_text(name: str, columns: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = rendered(VIEWS[name](HOSTILE), columns, monkeypatch)
    assert "".join(lines).isprintable()
    assert safe(HOSTILE)[:15] in "".join(lines)
    assert [line for line in lines if columns and cell_len(line) > columns and not is_pasted(line)] == []


def test_a_command_to_paste_is_one_line_after_an_empty_one(monkeypatch: pytest.MonkeyPatch) -> None:
    line = f"next: {command('replay', '--from-id', IDS[0], '--game-id', GAME, '--dry-run')}"
    assert rendered(["done", "undo: it", line], 40, monkeypatch) == ["done", "undo: it", "", line]


def test_at_80_columns_an_event_is_a_line_and_its_reason_below(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = ("occurred", "event", "outcome", "entry", "why")
    rows = [(AT, "container_disappeared", "health_only", IDS[0], WHY)]
    assert rendered([Grid("Events", columns, rows, prose=True)], 80, monkeypatch) == [
        "Events",
        "occurred      event                  outcome      entry",
        "─" * 65,
        "03:15:00.123  container_disappeared  health_only  1795449364400-0",
        f"    {WHY}",
        "times are of 2026-11-23, in UTC",
    ]


def test_on_a_narrow_terminal_a_row_is_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [("game-andromeda", "engine_unreachable", "oom")]
    assert rendered([Grid("Games", ("game", "status", "health"), rows)], 30, monkeypatch) == [
        "Games",
        "",
        "game    game-andromeda",
        "status  engine_unreachable",
        "health  oom",
    ]


def test_a_value_whose_words_do_not_fit_beside_its_name_goes_under_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert rendered([Facts("", [("looked through", GAME), ("turn", 4)])], 40, monkeypatch)[1:] == [
        "looked through",
        f"  {GAME}",
        "turn            4",
    ]


VALUES = st.text(st.characters(categories=["L", "N", "P", "Zs"]), max_size=60).filter(str.strip)


@given(st.lists(st.lists(VALUES, min_size=3, max_size=3), max_size=4), st.integers(20, 200), st.booleans())
def test_a_table_of_anything_fits_and_is_whole(rows: Sequence[Sequence[str]], width: int, last_is_prose: bool) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        lines = rendered([Grid("t", ("one", "two", "three"), rows, last_is_prose)], width, monkeypatch)
    assert all(cell_len(line) <= width for line in lines)
    shown = list("".join("".join(lines).split()))
    for character in "".join("".join(value for row in rows for value in row).split()):
        shown.remove(character)


def test_statuses_summaries_events_and_outcomes_are_coloured_alike() -> None:
    for event in EventType:
        assert STYLES[event] == STYLES[event.summary]
    for text in ("engine_unreachable", "running -> engine_unreachable", "oom, engine_unreachable 3"):
        assert "bold red" in [str(span.style) for span in styled(text).spans if text[span.start] == "e"]
    assert styled("none: a replay is running").spans == []
