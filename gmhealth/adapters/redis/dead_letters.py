"""The stream of dead letters: what could not be decoded, or not written, byte for byte (I7)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import redis
from redis import exceptions

from gmhealth.adapters.redis.connection import round_trip, translated, unless_error
from gmhealth.adapters.redis.queries import RedisQueries
from gmhealth.core.entry import START, Entry, EntryId
from gmhealth.core.packed_letter import unpack
from gmhealth.core.text import number

RETRY_SCRIPT: Final = Path(__file__).with_name("retry.lua").read_text(encoding="utf-8")
MOST_PARTS: Final = 7_900
"""Names and values that a script can hand to one XADD: Lua's `unpack` takes less than 8,000."""
PAGE: Final = 100
"""Letters that are read at once; they may be large."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An entry that was no health event, or whose game's row was refused; its ID tells when that was.

    If it is damaged itself, `fields` is None and `reason` says so.
    """

    letter_id: str
    source_id: str
    reason: str
    fields: list[bytes] | None
    retried_as: str | None
    detail: str = ""

    @property
    def entry(self) -> Entry:
        """The entry as it came."""
        return self.source_id.encode(), self.fields or []


class RedisDeadLetters:
    """Reads, retries and deletes the letters of `letters`; `retried` maps a letter's ID to its new entry's.

    `dropped` holds how many were ever dropped.
    """

    def __init__(self, client: redis.Redis, *, letters: str, retried: str, dropped: str, stream: str) -> None:
        self._client, self._letters, self._retried, self._stream = client, letters, retried, stream
        self._dropped = dropped
        self._look = RedisQueries(client)
        self._script = client.register_script(RETRY_SCRIPT)

    def all(self) -> Iterator[DeadLetter]:
        """Read every letter, oldest first."""
        return self._read(self._look.forward(self._letters, START, page=PAGE))

    def newest(self, limit: int) -> Iterator[DeadLetter]:
        """Read up to `limit` letters, newest first."""
        return self._read(self._look.backward(self._letters, limit, page=PAGE))

    def one(self, letter_id: EntryId) -> DeadLetter | None:
        """Read one letter."""
        return next(self._read(self._look.forward(self._letters, letter_id.before(), letter_id)), None)

    def count(self) -> int:
        """How many letters there are."""
        return self._look.length(self._letters)

    def dropped(self) -> int:
        """How many were dropped since ever, to keep to the limit; 0 where the count cannot be read."""
        with translated(self._client, f"look at {self._dropped}"):
            held = unless_error(*round_trip(self._client, ("GET", self._dropped))) or b""
        return number(held) or 0

    def retry(self, letter: DeadLetter) -> str | None:
        """Append the entry to the health stream and mark the letter, in one atomic step.

        Returns the new entry's ID; None if the letter was retried before, or was deleted.
        """
        with translated(self._client, f"retry the dead letter {letter.letter_id}"):
            if len(letter.fields or ()) > MOST_PARTS:
                return self._retry_large(letter)
            keys = [self._stream, self._retried, self._letters]
            reply = self._script(keys=keys, args=[letter.letter_id, *(letter.fields or [])])
        return None if reply is None else reply.decode()

    def _retry_large(self, letter: DeadLetter) -> str | None:
        """The same without a script. EXEC does nothing if anybody has retried a letter meanwhile: look again then."""
        while True:
            with self._client.pipeline(transaction=True) as pipeline, suppress(exceptions.WatchError):
                pipeline.watch(self._retried)
                if pipeline.hexists(self._retried, letter.letter_id):
                    return None
                if not pipeline.execute_command("XRANGE", self._letters, letter.letter_id, letter.letter_id):
                    return None
                pipeline.xlen(self._stream)  # raises if it is no stream: EXEC would mark the letter all the same
                pipeline.multi()
                pipeline.execute_command("XADD", self._stream, "*", *(letter.fields or ()))
                pipeline.hset(self._retried, letter.letter_id, "an entry whose ID was not noted")
                entry_id = str(pipeline.execute()[0].decode())
                self._client.hset(self._retried, letter.letter_id, entry_id)
                return entry_id

    def delete(self, letter_ids: Collection[str]) -> int:
        """Delete letters for good; returns how many were there."""
        if not letter_ids:
            return 0
        with translated(self._client, f"purge {self._letters}"):
            pipeline = self._client.pipeline(transaction=True)
            pipeline.xdel(self._letters, *letter_ids)
            pipeline.hdel(self._retried, *letter_ids)
            return int(pipeline.execute()[0])

    def _read(self, entries: Iterable[Entry]) -> Iterator[DeadLetter]:
        left = iter(entries)
        while page := list(islice(left, PAGE)):
            with translated(self._client, f"look at {self._retried}"):
                retried = self._client.execute_command("HMGET", self._retried, *(entry_id for entry_id, _ in page))
            for entry, retried_as in zip(page, retried, strict=True):
                yield _letter(entry, retried_as)


def _letter(entry: Entry, retried_as: bytes | None) -> DeadLetter:
    letter_id, values = entry
    packed = dict(zip(values[::2], values[1::2], strict=False)).get(b"letter", b"")
    source_id, reason, fields, detail = unpack(packed) or (b"", "damaged", None, "")
    return DeadLetter(
        letter_id=letter_id.decode(),
        source_id=_text(source_id),
        reason=reason,
        fields=fields,
        retried_as=None if retried_as is None else _text(retried_as),
        detail=detail,
    )


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")
