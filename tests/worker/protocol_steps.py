"""What a worker does next, in the world of `protocol_world`: one atomic step on one server at a time."""

from __future__ import annotations

from collections.abc import Iterator

from tests.worker.protocol_fold import SWAP, fold
from tests.worker.protocol_world import Bounds, Commit, Plan, Saved, Worker, World, bits, publish, put, save


def step(world: World, at: int, bounds: Bounds, *, lose: bool) -> Iterator[tuple[str, World]]:
    """The next step of worker `at`, in every way it can end: answered, or (`lose`) with its answer lost."""
    worker = world.workers[at]
    if bounds.lock and not worker.session:
        if not lose:
            yield "lock", _lock(world, at, bounds)
    elif worker.half is not None:
        yield "publish", _second_half(world, at, worker.half, bounds)
    elif worker.doubt:
        if bounds.lock and world.holder != at and not lose:
            yield "keep alive", _failed(world, at, session=False)
        yield "settle", _failed(world, at) if lose else put(world, at, _settle(world, worker, bounds))
    elif worker.hand:
        yield from _with_batch(world, at, bounds, lose=lose)
    else:
        yield from _without_batch(world, at, bounds, lose=lose)


def _without_batch(world: World, at: int, bounds: Bounds, *, lose: bool) -> Iterator[tuple[str, World]]:
    worker = world.workers[at]
    if worker.repair is not None or (worker.following and not worker.owed):
        yield from _commit(world, at, _telling(worker, world.marks + 1), bounds, lose=lose)
    elif worker.owed:
        row = (world.version, world.summary)
        yield "load to repair", _on_session(world, at, bounds, worker._replace(repair=row), lose=lose)
    elif (after := _read(world, worker, bounds)) == worker:
        yield "rest", _on_session(world, at, bounds, after, lose=lose)
    else:
        yield "read", _failed(world, at) if lose else put(world, at, after)


def _with_batch(world: World, at: int, bounds: Bounds, *, lose: bool) -> Iterator[tuple[str, World]]:
    worker = world.workers[at]
    if worker.plan is None and "write before publishing" in bounds.without:
        yield "load", _on_session(world, at, bounds, _fold(world, worker, bounds), lose=lose)
    elif worker.plan is None:
        yield from _write(world, at, bounds, lose=lose)
    else:
        yield from _commit(world, at, _batch(worker, worker.plan, world.marks + 1), bounds, lose=lose)


def deliver(world: World, commit: Commit, bounds: Bounds) -> tuple[World, bool]:
    """Redis runs a commit; whether it was applied."""
    if "fence" not in bounds.without and _moved(commit.fence, world.saved, bounds):
        return world, False
    if "one atomic step" in bounds.without:
        return save(world, commit), True
    return save(publish(world, commit, bounds), commit), True


def _moved(old: Saved, new: Saved, bounds: Bounds) -> bool:
    return old.offset != new.offset or (old.mark != new.mark and "mark in the fence" not in bounds.without)


def _lock(world: World, at: int, bounds: Bounds) -> World:
    worker = world.workers[at]
    if world.holder is not None:
        return put(world, at, worker._replace(standby=True))
    emitted = worker.emitted if "debounce cleared with the lock" in bounds.without else ""
    unsettled = worker.unsettled
    if unsettled is not None and "commit in doubt forgotten with the lock" not in bounds.without:
        unsettled = unsettled._replace(summary="")
    worker = worker._replace(session=True, doubt=True, emitted=emitted, unsettled=unsettled)
    return put(world._replace(holder=at), at, worker)


def _failed(world: World, at: int, *, session: bool = True) -> World:
    worker = world.workers[at]
    worker = worker._replace(doubt=True, plan=None, repair=None, following=False, again=bool(worker.hand))
    if not session:
        world = world._replace(holder=None if world.holder == at else world.holder)
        worker = worker._replace(session=False)
    return put(world, at, worker)


def _on_session(world: World, at: int, bounds: Bounds, after: Worker, *, lose: bool) -> World:
    if lose or (bounds.lock and world.holder != at):
        return _failed(world, at, session=False)
    return put(world, at, after)


def _settle(world: World, worker: Worker, bounds: Bounds) -> Worker:
    now = world.saved
    takes_over = worker.saved is None or worker.standby
    if worker.saved is None:
        worker = worker._replace(saved=now, place=now.offset)
    if (commit := worker.unsettled) is not None:
        by_offset = "outcome told by the mark" in bounds.without and commit.offset is not None
        if now.offset == commit.offset if by_offset else now.mark == commit.mark:
            worker = _applied(worker, commit)
    if takes_over:
        worker = _owe_skipped(worker, now, bounds)
    worker = worker._replace(unsettled=None, doubt=False, standby=False)
    known = worker.saved
    if known is None or known[:2] != now[:2]:
        return _follow(worker, now, bounds)
    return worker


def _owe_skipped(worker: Worker, now: Saved, bounds: Bounds) -> Worker:
    """Of what an operator went past, the first batch may have been in a dead worker's hand."""
    if "skipped entries owed" in bounds.without:
        return worker
    skipped = bounds.entries[now.committed : min(now.offset, now.committed + bounds.batch)]
    return worker._replace(owed=worker.owed or not SWAP.keys().isdisjoint(skipped))


def _follow(worker: Worker, now: Saved, bounds: Bounds) -> Worker:
    emitted = worker.emitted if "debounce cleared when following" in bounds.without else ""
    if "owed when following" not in bounds.without:
        worker = _owe_skipped(worker, now, bounds)
    owed = worker.owed and "repair" not in bounds.without
    # Who leaves a mark where only a mark has changed is answered by another mark, without end.
    moved = worker.saved is None or worker.saved.offset != now.offset or "quiet about marks" in bounds.without
    worker = worker._replace(saved=now, place=now.offset, emitted=emitted, owed=owed, following=moved)
    return worker._replace(hand=0, again=False, plan=None)


def _applied(worker: Worker, commit: Commit) -> Worker:
    if commit.offset is None:
        return worker._replace(saved=commit.fence._replace(mark=commit.mark), owed=False)
    now = Saved(commit.offset, commit.mark, commit.offset)
    worker = worker._replace(saved=now, place=commit.offset, emitted=commit.summary, owed=False)
    return worker._replace(hand=0, again=False, plan=None)


def _read(world: World, worker: Worker, bounds: Bounds) -> Worker:
    if worker.saved is not None and worker.saved.offset != world.saved.offset:
        return _follow(worker, world.saved, bounds)
    there = min(world.arrived, len(bounds.entries))
    return worker._replace(hand=min(worker.place + bounds.batch, there)) if worker.place < there else worker


def _fold(world: World, worker: Worker, bounds: Bounds) -> Worker:
    emitted = worker.emitted
    if worker.again and "debounce dropped on a retry" not in bounds.without:
        emitted = ""
    plan = fold(bounds.entries[worker.place : worker.hand], world.status, emitted)
    if "debounce remembered last" in bounds.without:
        emitted = plan.summary
    return worker._replace(plan=plan, emitted=emitted, owed=worker.owed or plan.status != plan.expected, again=False)


def _write(world: World, at: int, bounds: Bounds, *, lose: bool) -> Iterator[tuple[str, World]]:
    """The row decides: the batch is folded over the status that the write finds under the row's lock."""
    worker = world.workers[at]
    if bounds.lock and world.holder != at:
        yield "write without a session", _failed(world, at, session=False)
        return
    # Whether its answer will come is not known as it leaves: a status that it may move is owed from then on.
    may_move = not SWAP.keys().isdisjoint(bounds.entries[worker.place : worker.hand])
    if lose:
        owing = put(world, at, worker._replace(owed=worker.owed or may_move))
        yield "write never sent", _failed(owing, at, session=False)
    worker = _fold(world, worker, bounds)
    plan = worker.plan
    assert plan is not None
    version = world.version + (plan.status != plan.expected)
    worker = worker._replace(plan=plan._replace(shows=version if plan.told else None))
    if lose:
        worker = worker._replace(owed=worker.owed or may_move)
    world = world._replace(status=plan.status, summary=plan.summary, version=version)
    written = put(world._replace(written=world.written | bits(worker.place, worker.hand)), at, worker)
    yield ("write, answer lost", _failed(written, at, session=False)) if lose else ("write", written)


def _batch(worker: Worker, plan: Plan, mark: int) -> Commit:
    assert worker.saved is not None
    return Commit(worker.saved, worker.place, worker.hand, mark, plan.shows, plan.summary)


def _telling(worker: Worker, mark: int) -> Commit:
    assert worker.saved is not None
    shows, summary = worker.repair or (None, "")
    return Commit(worker.saved, worker.place, None, mark, shows, summary)


def _commit(world: World, at: int, commit: Commit, bounds: Bounds, *, lose: bool) -> Iterator[tuple[str, World]]:
    world = put(world._replace(marks=commit.mark), at, world.workers[at]._replace(unsettled=commit))
    done, applied = deliver(world, commit, bounds)
    if lose:
        yield "commit never sent", _failed(world, at)
        yield "commit, answer lost", _failed(done, at)
        if bounds.late and world.late is None:
            yield "commit still on its way", _failed(world._replace(late=commit), at)
        return
    worker = done.workers[at]._replace(unsettled=None, repair=None, following=False)
    if not applied:
        yield "commit refused", put(done, at, _follow(worker, done.saved, bounds))
    elif "one atomic step" in bounds.without:
        yield "offset", put(done, at, worker._replace(half=commit))
    else:
        yield "commit", put(done, at, _applied(worker, commit))


def _second_half(world: World, at: int, commit: Commit, bounds: Bounds) -> World:
    world = publish(world, commit, bounds)
    return put(world, at, _applied(world.workers[at]._replace(half=None), commit))
