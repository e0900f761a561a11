"""`gmhealth dead-letter`: what could not be decoded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gmhealth.cli.boundary import Commands
from gmhealth.cli.render import Output, OutputOption, facts, grid, show
from gmhealth.cli.session import Session, confirm, session
from gmhealth.errors import ConfigError, NotFound

if TYPE_CHECKING:
    from gmhealth.adapters.redis_dead_letters import DeadLetter
    from gmhealth.cli.views import LettersDoneView, LetterView

app = typer.Typer(cls=Commands, no_args_is_help=True, help="Look at what could not be decoded; retry or purge it.")
Ids = Annotated[list[str] | None, typer.Argument(help="Dead letters, by ID.", metavar="[ID]...")]
All = Annotated[bool, typer.Option("--all", help="All of them.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@app.command("list")
def list_letters(
    ctx: typer.Context,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="So many of the newest.")] = 20,
    output: OutputOption = Output.TABLE,
) -> None:
    """List the newest dead letters, with the reason of each.

    gmhealth dead-letter list

    gmhealth dead-letter list --limit 100 -o json
    """
    with session(ctx, "dead-letter") as opened:
        from gmhealth.cli.times import clock
        from gmhealth.cli.views import LettersView

        letters = opened.parts.letters
        shown = [_view(letter) for letter in letters.newest(limit)]
        view = LettersView(
            target=opened.target,
            total=letters.count(),
            by_reason=dict(Counter(each.reason for each in shown).most_common()),
            letters=shown,
        )
        columns = ("dead letter", "source entry", "failed", "reason", "valid now", "retried as")
        rows = [
            (each.id, each.source.id, clock(each.failed_at), each.reason, _yes(each.valid_now), each.retried_as or "-")
            for each in shown
        ]
        title = f"Dead letters: {view.total:,} in {opened.parts.keys.dead_letters} of {view.target.redis}"
        after = "next: gmhealth dead-letter show ID" if shown else "none: everything could be decoded"
        show(view, output, grid(title, columns, rows) if rows else title, after)


@app.command("show")
def show_letter(
    ctx: typer.Context,
    letter_id: Annotated[str, typer.Argument(metavar="ID", help="The dead letter.")],
    output: OutputOption = Output.TABLE,
) -> None:
    """Show one dead letter whole.

    gmhealth dead-letter show 1795449364420-0

    gmhealth dead-letter show 1795449364420-0 -o json
    """
    with session(ctx, "dead-letter") as opened:
        view = _view(_one(opened, letter_id))
        pairs: list[tuple[str, object]] = [
            ("source", f"{view.source.id} of {view.source_stream}"),
            ("reason", view.reason),
            ("valid now", _yes(view.valid_now)),
            ("retried as", view.retried_as or "not retried"),
            ("next", _next(view)),
        ]
        show(view, output, facts(f"Dead letter {view.id}", pairs), grid("Fields", ("name", "value"), view.fields))


@app.command()
def retry(
    ctx: typer.Context, ids: Ids = None, every: All = False, yes: Yes = False, output: OutputOption = Output.TABLE
) -> None:
    """Decode dead letters again; what is valid now goes back to the stream of health events.

        gmhealth dead-letter retry 1795449364420-0

        gmhealth dead-letter retry --all

    Appending and marking are one step, so none is lost or sent twice. It comes back as a new entry, after all that
    came since: if the game has newer events, this old one will have the last word.
    """
    with session(ctx, "dead-letter") as opened:
        chosen = _chosen(opened, ids, every)
        left = {letter.letter_id: why for letter in chosen if (why := _not_retried(letter))}
        ready = [letter for letter in chosen if letter.letter_id not in left]
        if ready:
            confirm(
                f"Append {len(ready)} entries to {opened.settings.health_stream} on {opened.target.redis}?", yes=yes
            )
        done = {}
        for letter in ready:
            entry_id = opened.parts.letters.retry(letter)
            if entry_id is None:
                left[letter.letter_id] = "retried before"
            else:
                done[letter.letter_id] = entry_id
        _show_done(opened, output, "Retried, as entry", done, left)


@app.command()
def purge(
    ctx: typer.Context, ids: Ids = None, every: All = False, yes: Yes = False, output: OutputOption = Output.TABLE
) -> None:
    """Delete dead letters for good.

    gmhealth dead-letter purge 1795449364420-0

    gmhealth dead-letter purge --all --yes
    """
    with session(ctx, "dead-letter") as opened:
        chosen = _chosen(opened, ids, every)
        if chosen:
            where = f"{opened.parts.keys.dead_letters} on {opened.target.redis}"
            confirm(f"Delete {len(chosen)} dead letters of {where} for good?", yes=yes)
        opened.parts.letters.delete([letter.letter_id for letter in chosen])
        _show_done(opened, output, "Deleted", {letter.letter_id: letter.reason for letter in chosen}, {})


def _chosen(opened: Session, ids: list[str] | None, every: bool) -> list[DeadLetter]:
    if bool(ids) == every:
        raise ConfigError("it takes IDs or --all, and not both", hint="`gmhealth dead-letter list` shows the IDs")
    return list(opened.parts.letters.all()) if every else [_one(opened, each) for each in ids or ()]


def _one(opened: Session, letter_id: str) -> DeadLetter:
    from gmhealth.cli.times import parse_entry_id

    letter = opened.parts.letters.one(parse_entry_id(letter_id))
    if letter is None:
        raise NotFound(f"there is no dead letter {letter_id}", hint="`gmhealth dead-letter list` shows them")
    return letter


def _not_retried(letter: DeadLetter) -> str:
    from gmhealth.core.events import InvalidEntry, decode

    if letter.retried_as is not None:
        return f"retried before, as {letter.retried_as}"
    found = decode(letter.entry)
    return f"still invalid: {found.reason}" if isinstance(found, InvalidEntry) else ""


def _view(letter: DeadLetter) -> LetterView:
    from gmhealth.cli.lag import entry_view
    from gmhealth.cli.times import from_ms
    from gmhealth.cli.views import EntryView, LetterView
    from gmhealth.core.entry import EntryId
    from gmhealth.core.events import HealthEvent, decode

    texts = [part.decode("utf-8", "backslashreplace") for part in letter.fields or ()]
    return LetterView(
        id=letter.letter_id,
        source=entry_view(EntryId.parse(letter.source_id)) or EntryView(id=letter.source_id, time=None),
        source_stream=letter.source_stream,
        reason=letter.reason,
        failed_at=from_ms(letter.failed_at_ms),
        fields=list(zip(texts[::2], texts[1::2], strict=False)),
        valid_now=isinstance(decode(letter.entry), HealthEvent),
        retried_as=letter.retried_as,
    )


def _next(view: LetterView) -> str:
    if view.retried_as:
        return f"gmhealth dead-letter purge {view.id}"
    return f"gmhealth dead-letter retry {view.id}" if view.valid_now else "mend the producer; then purge it"


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _show_done(opened: Session, output: Output, title: str, done: dict[str, str], left: dict[str, str]) -> None:
    from gmhealth.cli.views import LettersDoneView

    view: LettersDoneView = LettersDoneView(target=opened.target, done=done, left=left)
    parts: list[Any] = [_listed(title, done.items()) if done else f"{title}: none"]
    if left:
        parts.append(_listed("Left", left.items()))
    show(view, output, *parts)


def _listed(title: str, pairs: Iterable[tuple[str, str]]) -> Any:
    return grid(title, ("dead letter", ""), list(pairs))
