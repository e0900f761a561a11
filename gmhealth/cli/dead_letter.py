"""`gmhealth dead-letter`: what could not be decoded, or not be written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from gmhealth.cli.render import Part, show
from gmhealth.cli.session import confirm, session
from gmhealth.cli.tables import Facts, Grid, plain
from gmhealth.cli.types import Output, OutputOption, parse_entry_id
from gmhealth.core.entry import EntryId
from gmhealth.errors import ConfigError

if TYPE_CHECKING:
    from gmhealth.adapters.redis.dead_letters import DeadLetter
    from gmhealth.operations.models import LettersDoneView, LettersView, LetterView
    from gmhealth.operations.session import Session

app = typer.Typer(no_args_is_help=True)
Ids = Annotated[list[EntryId] | None, typer.Argument(help="Dead letters, by ID.", metavar="ID", parser=parse_entry_id)]
All = Annotated[bool, typer.Option("--all", help="All of them.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@app.callback()
def dead_letter() -> None:
    """Look at what could not be decoded or written; retry or purge it.

    - `gmhealth dead-letter list`
    - `gmhealth dead-letter retry --all`

    An entry that is no health event, or whose game's row PostgreSQL refuses, goes to a stream of dead letters, byte for
    byte, and the consumer goes on.
    """


@app.command("list")
def list_letters(
    ctx: typer.Context,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="So many of the newest.", metavar="N")] = 20,
    output: OutputOption = Output.TABLE,
) -> None:
    """List the newest dead letters, with the reason of each.

    - `gmhealth dead-letter list`
    - `gmhealth dead-letter list --limit 100 -o json`
    """
    with session(ctx, "dead-letter") as opened:
        from gmhealth.operations.dead_letters import letter_view
        from gmhealth.operations.models import LettersView

        letters = opened.parts.letters
        shown = [letter_view(letter) for letter in letters.newest(limit)]
        view = LettersView(
            target=opened.target,
            total=letters.count(),
            dropped=letters.dropped(),
            by_reason=dict(Counter(each.reason for each in shown).most_common()),
            letters=shown,
        )
        show(view, output, *_listed(opened, view))


def _listed(opened: Session, view: LettersView) -> Iterator[Part]:
    from gmhealth.operations.dead_letters import dropped_text

    where = f"{opened.parts.keys.dead_letters} on {view.target.redis}"
    if not view.letters:
        lost = f"; {dropped_text(view.dropped)}" if view.dropped else ": everything could be decoded and written"
        yield plain(f"there are no dead letters in {where}{lost}", 2000)
        return
    columns = ("dead letter", "failed", "reason", "valid now", "retried as")
    rows = [
        (each.id, each.failed_at or "-", each.reason, "yes" if each.valid_now else "no", each.retried_as or "-")
        for each in view.letters
    ]
    shown = "" if view.total == len(rows) else f", the newest {len(rows)}"
    yield Grid(f"{view.total:,} dead letters in {where}{shown}", columns, rows)
    if view.dropped:
        yield plain(f"{dropped_text(view.dropped)} (dead_letter_limit of the consumer)")
    yield f"next: {opened.command('dead-letter', 'show', view.letters[0].id)}"


@app.command("show")
def show_letter(
    ctx: typer.Context,
    letter_id: Annotated[EntryId, typer.Argument(metavar="ID", help="The dead letter.", parser=parse_entry_id)],
    output: OutputOption = Output.TABLE,
) -> None:
    """Show one dead letter whole.

    - `gmhealth dead-letter show 1795449364420-0`
    - `gmhealth dead-letter show 1795449364420-0 -o json`

    A very long value is cut in the table; -o json has all of it.
    """
    with session(ctx, "dead-letter") as opened:
        from gmhealth.operations.dead_letters import letter_view, one

        view = letter_view(one(opened, letter_id))
        show(view, output, *_shown(opened, view))


def _shown(opened: Session, view: LetterView) -> Iterator[Part]:
    from gmhealth.operations.times import utc_and_local

    pairs = [
        ("source", f"{view.source.id or 'an entry'} of {opened.parts.keys.source}"),
        ("failed", utc_and_local(view.failed_at)),
        ("reason", view.reason),
        *([("detail", view.detail)] if view.detail else []),
        ("valid now", "yes" if view.valid_now else "no"),
        ("retried as", view.retried_as or "not retried"),
    ]
    yield Facts(f"Dead letter {view.id}", pairs)
    if view.fields:
        yield Facts(f"Its {len(view.fields):,} fields", list(view.fields), 2000)
    yield f"next: {_next(opened, view)}"


def _next(opened: Session, view: LetterView) -> str:
    from gmhealth.core.events import Reason

    if view.retried_as:
        return opened.command("dead-letter", "purge", view.id)
    if view.valid_now:
        mend = "mend the table; then " if view.reason == Reason.ROW_REFUSED.value else ""
        return f"{mend}{opened.command('dead-letter', 'retry', view.id)}"
    return f"mend what sends it; then {opened.command('dead-letter', 'purge', view.id)}"


@app.command()
def retry(
    ctx: typer.Context, ids: Ids = None, every: All = False, yes: Yes = False, output: OutputOption = Output.TABLE
) -> None:
    """Decode dead letters again; what is valid now goes back to the stream of health events.

    - `gmhealth dead-letter retry 1795449364420-0`
    - `gmhealth dead-letter retry --all`

    Appending and marking are one step, so none is lost or sent twice. It comes back as a new entry, after all that
    came since: if the game has newer events, this old one will have the last word.
    """
    with session(ctx, "dead-letter") as opened:
        from gmhealth.operations.dead_letters import retry_all, why_not

        chosen = list(_chosen(opened, ids, every))
        left = {letter.letter_id: why for letter in chosen if (why := why_not(letter))}
        ready = [letter for letter in chosen if letter.letter_id not in left]
        if ready:
            where = f"{opened.settings.health_stream} on {opened.target.redis}"
            confirm(opened, f"Append {len(ready):,} entries to {where}?", yes=yes)
        done = retry_all(opened, ready, left)
        _show_done(opened, output, "Retried", "as entry", done, left)


@app.command()
def purge(
    ctx: typer.Context, ids: Ids = None, every: All = False, yes: Yes = False, output: OutputOption = Output.TABLE
) -> None:
    """Delete dead letters for good.

    - `gmhealth dead-letter purge 1795449364420-0`
    - `gmhealth dead-letter purge --all --yes`
    """
    with session(ctx, "dead-letter") as opened:
        chosen = {letter.letter_id: letter.reason for letter in _chosen(opened, ids, every)}
        if chosen:
            where = f"{opened.parts.keys.dead_letters} on {opened.target.redis}"
            confirm(opened, f"Delete {len(chosen):,} dead letters of {where} for good?", yes=yes)
        opened.parts.letters.delete(chosen)
        _show_done(opened, output, "Deleted", "reason", chosen, {})


def _chosen(opened: Session, ids: list[EntryId] | None, every: bool) -> Iterable[DeadLetter]:
    from gmhealth.operations.dead_letters import one

    if bool(ids) == every:
        raise ConfigError("it takes IDs or --all, and not both", hint="`gmhealth dead-letter list` shows the IDs")
    return opened.parts.letters.all() if every else [one(opened, each) for each in dict.fromkeys(ids or ())]


def _show_done(
    opened: Session, output: Output, title: str, column: str, done: dict[str, str], left: dict[str, str]
) -> None:
    from gmhealth.operations.models import LettersDoneView

    view: LettersDoneView = LettersDoneView(target=opened.target, done=done, left=left)
    parts: list[Part] = [Grid(title, ("dead letter", column), list(done.items())) if done else f"{title}: none"]
    if left:
        parts.append(Grid("Left", ("dead letter", "why"), list(left.items()), prose=True))
    show(view, output, *parts)
