"""The mark that each commit leaves on Redis: whose it is, which one of theirs, and which ones it comes after.

`host:1:ab#12,host:2:cd~7`: the twelfth commit of the first worker, on top of the seventh of the second. So whoever has
seen a mark can tell from any later one whether that commit is still there, or whether Redis has gone back in time.
"""

from __future__ import annotations

from typing import Final

READ: Final = "#"
"""In the mark of a commit that left the offset at an entry that was read."""
NOT_READ: Final = "~"
"""In the mark of one that left it elsewhere: perhaps where an operator put it, which need be no entry's ID."""
BETWEEN: Final = ","
"""Between the workers; no host name has it."""
WORKERS: Final = 16
"""The last commits of so many workers are in a mark: each process is another one, and there may come and go many."""


def mark_of(name: str, number: int, *, read: bool, after: str | None) -> str:
    """The mark of the `number`-th commit of the worker called `name`, which applies after the one that left `after`."""
    before = [each for each in (after or "").split(BETWEEN) if _worker_and_number(each)[0] not in ("", name)]
    return BETWEEN.join([f"{name}{READ if read else NOT_READ}{number}", *before[: WORKERS - 1]])


def latest(mark: str | None) -> str:
    """The last commit alone: whose it is, and which one of theirs; empty if there is none."""
    return (mark or "").partition(BETWEEN)[0]


def says_read(mark: str | None) -> bool:
    """Whether the commit left the offset at an entry that was read."""
    return READ in latest(mark)


def includes(mark: str | None, commit: str) -> bool:
    """Whether the commit that was to leave `commit` was applied, if its worker has made no other one since."""
    return latest(commit) in (mark or "").split(BETWEEN)


def lacks(mark: str | None, seen: str | None) -> bool:
    """Whether the commit that left `seen` is not among those that led to `mark`: Redis has gone back in time.

    No operator's reset does that, as it leaves the mark. A mark that is gone lacks all that was seen.
    """
    if mark == seen:
        return False
    there, known = _numbers(mark), _numbers(seen)
    newest, gone = next(iter(there), ""), False
    if there.get(newest, 1) <= known.get(newest, 0):
        return True
    for name, number in known.items():
        if name not in there:
            # Names fall off a full mark from its old end: not one that came after another that is there as it was.
            gone = True
            if len(there) < WORKERS:
                return True
        elif there[name] < number or (gone and there[name] == number):
            return True
    return False


def _numbers(mark: str | None) -> dict[str, int]:
    """The number of each worker's last commit, the latest one first."""
    found = dict(map(_worker_and_number, (mark or "").split(BETWEEN)))
    found.pop("", None)
    return found


def _worker_and_number(text: str) -> tuple[str, int]:
    for kind in (READ, NOT_READ):
        name, _, number = text.rpartition(kind)
        if name and number.isdecimal():
            return name, int(number)
    return "", 0
