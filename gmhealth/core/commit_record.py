"""The commit record: what the last commit left on Redis, for whoever settles after it (design 3.1, R).

One JSON object. It fences commits (its bytes are compared), says up to when all that was written has been published,
and which PostgreSQL it was written to.
"""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import DecodeError, Meta, Struct
from msgspec.json import Decoder, encode

from gmhealth.core.entry import EntryId


class Server(Struct, frozen=True):
    """What identifies a PostgreSQL server; "" for what its service does not tell, which differs from nothing.

    `system` is the cluster's identifier, `timeline` its eight hexadecimal digits, `started` when this server was.
    """

    system: str = ""
    timeline: str = ""
    started: str = ""

    def is_other_cluster_than(self, server: Server) -> bool:
        """Whether the two have nothing to do with each other."""
        return _differ(self.system, server.system)

    def is_older_than(self, server: Server) -> bool:
        """Whether `server` was promoted after this one: what is written here reaches nobody."""
        return _differ(self.timeline, server.timeline) and self.timeline < server.timeline

    def may_lack_writes_to(self, server: Server) -> bool:
        """Whether this is another server of the cluster, or the same one restarted, which may have lost commits."""
        return _differ(self.timeline, server.timeline) or _differ(self.started, server.started)


def _differ(ours: str, theirs: str) -> bool:
    return "" not in (ours, theirs) and ours != theirs


_TIME: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?\+00$"


class CommitRecord(Struct, frozen=True):
    """What a commit leaves. `worker` is unique to a process and `n` never repeats within it, so the two name a commit.

    `offset` is the text that stands at the offset's key ("" for none). `entries_read`: that entry is so many-th ever
    added to its stream, None where that is not known. `written_at`: PostgreSQL's time up to which all that was written
    has been published. `verified`: `server` has been searched for lost writes.
    """

    n: Annotated[int, Meta(ge=1)]
    worker: str
    offset: str
    entries_read: Annotated[int, Meta(ge=0)] | None
    written_at: Annotated[str, Meta(pattern=_TIME)]
    server: Server
    verified: bool

    @property
    def id(self) -> str:
        """Names the commit."""
        return f"{self.worker}#{self.n}"

    @property
    def entry_id(self) -> EntryId | None:
        """The offset; None where none was saved."""
        return EntryId.parse(self.offset)

    def pack(self) -> bytes:
        """The record as it is stored."""
        return encode(self)


_DECODER: Final = Decoder(CommitRecord)


def unpack(packed: bytes) -> CommitRecord | None:
    """Read what `pack` made; None for all else, which counts as no record (design 3.1)."""
    try:
        record = _DECODER.decode(packed)
    except (DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return record if record.offset == "" or record.entry_id is not None else None
