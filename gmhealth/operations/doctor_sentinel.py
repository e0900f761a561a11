"""What `gmhealth doctor` asks the sentinels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gmhealth.adapters.redis.address import address_text, read_url
from gmhealth.adapters.redis.sentinel import ask_each
from gmhealth.operations.findings import judged
from gmhealth.operations.models import CheckView

if TYPE_CHECKING:
    from gmhealth.adapters.redis.sentinel import Answer
    from gmhealth.operations.session import Session


def redis_sentinels(opened: Session) -> Iterator[CheckView]:
    """Whether each can be reached, and all name the same primary; nothing where none are set."""
    sentinels = opened.servers.sentinels
    if sentinels is None:
        return

    answers = list(ask_each(sentinels, read_url(opened.servers.redis_url)))
    for answer in answers:
        yield _one(answer, sentinels.master)
    named = sorted({address_text(*answer.primary) for answer in answers if answer.primary is not None})
    disagree = "they disagree: a failover is going on, or one of them is cut off from the others"
    hint = disagree if named else "see above"
    yield judged(f"primary {sentinels.master}", len(named) == 1, ", ".join(named) or "nobody names one", hint)


def _one(answer: Answer, master: str) -> CheckView:
    name = f"sentinel {answer.sentinel}"
    if answer.error is not None:
        hint = "is it running? the others carry on without it, as long as they are a majority"
        return CheckView(name=name, result="warning", found=f"no answer: {answer.error}", hint=hint)
    found = "knows the primary" if answer.primary else f"knows no primary called {master}"
    hint = "check GMHEALTH_REDIS_SENTINEL_MASTER: `SENTINEL MASTERS` lists their names"
    return judged(name, answer.primary is not None, found, hint)
