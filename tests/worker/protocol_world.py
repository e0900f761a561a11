"""The protocol as a small state machine: what is durable, what each worker remembers, what is on its way.

One game, whose status events move to and fro. Written from design 3.1 to 3.4 and not from the product, so that a rule
can be left out to see that it is missed. `protocol_steps` has what a worker does, `protocol_search` the search.
"""

from __future__ import annotations

from typing import Final, NamedTuple

MOST_COMMITS: Final = 60
"""No history within the bounds of the tests needs as many, unless workers keep hindering each other."""


class Bounds(NamedTuple):
    """What there is to consume, and what may go wrong how often.

    `entries`: x container_exited, s container_started, r probe_recovered; `arrived` of them are there from the start.
    `lock`: PostgreSQL lets one worker at a time write; without it the fence is alone. `late`: a commit that was given
    up may still arrive. `others`: transitions by Game Master, which reports them itself. `without`: rules left out.
    """

    entries: str
    batch: int = 1
    workers: int = 1
    lock: bool = True
    lost: int = 1
    crashes: int = 1
    resets: int = 1
    others: int = 0
    late: bool = False
    arrived: int = 99
    without: frozenset[str] = frozenset()


class Plan(NamedTuple):
    """A fold over a row with the status `expected`; `shows` is the version of the row that it left."""

    expected: str
    status: str
    summary: str
    told: bool
    shows: int | None = None


class Saved(NamedTuple):
    """What Redis holds of the consumer; `committed` is the offset that the last commit left."""

    offset: int = 0
    mark: int = 0
    committed: int = 0


class Commit(NamedTuple):
    """The fenced step on Redis; `offset` is None for a repair, which tells the row and moves nothing."""

    fence: Saved
    after: int
    offset: int | None
    mark: int
    shows: int | None
    summary: str


class Worker(NamedTuple):
    """What one worker remembers, all of which a crash forgets; `hand` is the last entry of the batch, 0 without one."""

    session: bool = False
    doubt: bool = True
    standby: bool = False
    saved: Saved | None = None
    place: int = 0
    hand: int = 0
    again: bool = False
    plan: Plan | None = None
    following: bool = False
    repair: tuple[int, str] | None = None
    emitted: str = ""
    owed: bool = False
    unsettled: Commit | None = None
    half: Commit | None = None


class World(NamedTuple):
    """Both servers and the workers; from `version` on, what an onlooker knows. Sets of entries are bits."""

    workers: tuple[Worker, ...]
    lost: int
    crashes: int
    resets: int
    others: int
    arrived: int
    status: str = "running"
    summary: str = ""
    saved: Saved = Saved()
    holder: int | None = None
    late: Commit | None = None
    marks: int = 0
    version: int = 0  # transitions of the row so far; a swap and its reversal in one batch are none
    lobby: int = 0  # the version that the last snapshot shows
    lobby_summary: str = ""
    written: int = 0  # entries whose effect on the row is durable
    published: int = 0  # entries whose snapshots, if any, were sent
    skipped: int = 0  # entries that an operator went past
    broken: str = ""


def bits(after: int, last: int) -> int:
    """The entries after `after` up to `last`."""
    return (1 << last) - (1 << after) if last > after else 0


def begin(bounds: Bounds) -> World:
    """Before anything has happened."""
    workers = (Worker(),) * bounds.workers
    return World(workers, bounds.lost, bounds.crashes, bounds.resets, bounds.others, bounds.arrived)


def put(world: World, at: int, worker: Worker) -> World:
    """The world with one worker changed."""
    return world._replace(workers=(*world.workers[:at], worker, *world.workers[at + 1 :]))


def publish(world: World, commit: Commit, bounds: Bounds) -> World:
    """The snapshots arrive (I5: each entry's once)."""
    range_ = bits(commit.after, commit.offset or 0)
    if commit.shows is not None:
        # Where another reports as well, whose snapshot comes last is for neither to decide: I3 asks for one at all.
        alone = bounds.lock and not bounds.others
        lobby = commit.shows if alone else max(commit.shows, world.lobby)
        world = world._replace(lobby=lobby, lobby_summary=commit.summary)
    return world._replace(
        published=world.published | range_,
        skipped=world.skipped & ~range_,
        broken=world.broken or ("I5" if world.published & range_ else ""),
    )


def save(world: World, commit: Commit) -> World:
    """Mark and offset are set (I1: with everything before it durable; I6: only from where the batch was read)."""
    offset = world.saved.offset if commit.offset is None else commit.offset
    world = world._replace(saved=Saved(offset, commit.mark, offset), broken=world.broken or _judge(world, commit))
    return world._replace(broken=world.broken or ("livelock" if commit.mark > MOST_COMMITS else ""))


def _judge(world: World, commit: Commit) -> str:
    if commit.offset is None:
        return ""
    if bits(0, commit.offset) & ~(world.written & world.published | world.skipped):
        return "I1"
    return "I6" if world.saved.offset != commit.after else ""


def reset(world: World, target: int) -> World:
    """An operator sets the offset: what follows is to be published again, what is gone past is not."""
    past = bits(0, target)
    return world._replace(
        saved=world.saved._replace(offset=target),
        resets=world.resets - 1,
        published=world.published & past,
        skipped=(world.skipped | bits(world.saved.offset, target)) & past,
    )


def crash(world: World, at: int) -> World:
    """A worker dies; one with an empty memory takes its place."""
    holder = None if world.holder == at else world.holder
    return put(world._replace(crashes=world.crashes - 1, holder=holder), at, Worker())


def end_session(world: World, at: int) -> World:
    """PostgreSQL ends a worker's session, and with it the lock; the worker finds out when it next uses it."""
    return world._replace(holder=None, lost=world.lost - 1) if world.holder == at else world


def generate(world: World) -> World:
    """Game Master begins or ends a turn, and says so."""
    status = {"running": "generating", "generating": "running"}.get(world.status)
    if status is None:
        return world
    version = world.version + 1
    return world._replace(
        status=status, version=version, lobby=version, lobby_summary=world.summary, others=world.others - 1
    )
