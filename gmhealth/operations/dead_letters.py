"""Dead letters as the commands see them: shown, found by ID, and sent again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gmhealth.core.entry import EntryId
from gmhealth.core.events import HealthEvent, InvalidEntry, decode
from gmhealth.errors import GmhealthError, NotFound
from gmhealth.operations.models import EntryView, LetterView
from gmhealth.operations.position import entry_view
from gmhealth.operations.times import time_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gmhealth.adapters.redis.dead_letters import DeadLetter
    from gmhealth.operations.session import Session


def letter_view(letter: DeadLetter) -> LetterView:
    """Show a letter whole. Redis gave it its ID when it was found, so that tells when this was."""
    texts = [part.decode("utf-8", "backslashreplace") for part in letter.fields or ()]
    return LetterView(
        id=letter.letter_id,
        source=entry_view(EntryId.parse(letter.source_id)) or EntryView(id=letter.source_id, time=None),
        reason=letter.reason,
        detail=letter.detail,
        failed_at=time_of(found) if (found := EntryId.parse(letter.letter_id)) else None,
        fields=list(zip(texts[::2], texts[1::2], strict=False)),
        valid_now=isinstance(decode(letter.entry), HealthEvent),
        retried_as=letter.retried_as,
    )


def dropped_text(dropped: int) -> str:
    """Say how many are no longer there, though nobody purged them."""
    return f"{dropped:,} older ones were dropped to keep to the limit"


def one(opened: Session, letter_id: EntryId) -> DeadLetter:
    """Find a letter by its ID."""
    letter = opened.parts.letters.one(letter_id)
    if letter is None:
        raise NotFound(
            f"there is no dead letter {letter_id} in {opened.parts.keys.dead_letters} on {opened.target.redis}",
            hint=f"{opened.command('dead-letter', 'list')} shows them",
        )
    return letter


def why_not(letter: DeadLetter) -> str:
    """Why a letter cannot be retried; empty if it can."""
    if letter.retried_as is not None:
        return f"retried before, as {letter.retried_as}"
    if letter.fields is None:
        return "damaged: its fields cannot be read"
    found = decode(letter.entry)
    if isinstance(found, InvalidEntry):
        return f"still invalid: {found.reason.value}"
    return ""


def retry_all(opened: Session, letters: Sequence[DeadLetter], left: dict[str, str]) -> dict[str, str]:
    """Send letters again, one atomic step each; returns their new IDs. What others did meanwhile goes to `left`."""
    done: dict[str, str] = {}
    for letter in letters:
        # Whatever becomes of one that is stopped: what was appended is marked, and no letter is appended twice.
        so_far = f"{len(done):,} of {len(letters):,} were retried; the same command again does the rest"
        try:
            entry_id = opened.parts.letters.retry(letter)
        except KeyboardInterrupt:
            opened.say(so_far)
            raise
        except GmhealthError as error:
            error.hint = so_far
            raise
        if entry_id is None:
            left[letter.letter_id] = "retried or purged meanwhile"
        else:
            done[letter.letter_id] = entry_id
    return done
