"""Entries of every kind, by seed: valid ones, valid ones with something broken, and bytes at random."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Final, TypeAlias

from scripts.fuzzing.oracle import TYPES

Fields: TypeAlias = list[bytes]

GAMES: Final = [f"game-{number:03d}".encode() for number in range(50)]
"""Those that have a row."""
NAMES: Final = [b"game_id", b"container_id", b"event_type", b"occurred_at_ms", b"details"]
ODD: Final = [
    b"", b" ", b"\t\n", b"\0", b"game\0a", b"\xff", b"\xed\xa0\x80", b"\xc0\x80", "\u0661".encode(), "\u00a0".encode(),
    "\u202egame".encode(), b"-1", b"+1", b"1.5", b"1e3", b"0x10", b"1_000", b" 1", b"253402300799999",
    b"253402300800000", b"9" * 5000, b"0" * 5000, b"Probe_Failed", b"probe_failed ", b"container_paused", b"null",
    b"{}", b'{"a":', b"[" * 1000, b"\r\n*1\r\n$4\r\nPING\r\n", b"g" * 256, b"g" * 257, "\u00e9".encode() * 128, b"%s%n",
    b"'; DROP TABLE runtime_records; --", b"\\x00", b"3:abc,", b"$$",
]  # fmt: skip


def entries(seed: int) -> Iterator[Fields]:
    """Give entries without end."""
    random = Random(seed)
    while True:
        yield random.choices(KINDS, WEIGHTS)[0](random)


def valid(random: Random) -> Fields:
    """One as Runtime Manager sends it; some are for games without a row."""
    game = random.choice(GAMES) if random.random() < 0.9 else b"game-x%d" % random.randrange(100)
    values = [
        game,
        b"%012x" % random.getrandbits(48),
        random.choice(TYPES),
        b"%d" % random.randrange(2 ** random.randrange(1, 47)),
        random.choice([b"{}", b'{"exit_code":137,"oom":true}', random.choice(ODD)]),
    ]
    return [part for pair in zip(NAMES, values, strict=True) for part in pair]


def shuffled(random: Random) -> Fields:
    """The same in another order, with other fields between, perhaps of a name that is there already."""
    fields = valid(random)
    pairs = list(zip(fields[::2], fields[1::2], strict=True))
    pairs += [(random.choice([*ODD, *NAMES, b"more"]), random.choice(ODD)) for _ in range(random.randrange(3))]
    random.shuffle(pairs)
    return [part for pair in pairs for part in pair]


def mutated(random: Random) -> Fields:
    """A valid one in which a few things are broken."""
    fields = valid(random)
    for _ in range(random.choice((1, 1, 1, 2, 5))):
        at = random.randrange(len(fields))
        fields[at] = random.choice(BREAKS)(random, fields[at])
    if random.random() < 0.2:
        at = 2 * random.randrange(len(fields) // 2)
        del fields[at : at + 2]
    return fields or [b"", b""]


def noise(random: Random) -> Fields:
    """Bytes at random."""
    return [random.randbytes(random.randrange(12)) for _ in range(2 * random.randrange(1, 8))]


def wide(random: Random) -> Fields:
    """A thousand fields, around a valid one."""
    return [*valid(random), *(b"name %d" % (number // 2) for number in range(2 * 995))]


def large(random: Random) -> Fields:
    """A megabyte, in a value or in a name."""
    fields = valid(random)
    fields[random.randrange(10)] = random.randbytes(2**20)
    return fields


def _bit(random: Random, part: bytes) -> bytes:
    if not part:
        return b"\0"
    at = random.randrange(len(part))
    return part[:at] + bytes([part[at] ^ 1 << random.randrange(8)]) + part[at + 1 :]


def _cut(random: Random, part: bytes) -> bytes:
    at = random.randrange(len(part) + 1)
    return part[:at] + part[random.randrange(at, len(part) + 1) :]


def _grown(random: Random, part: bytes) -> bytes:
    at = random.randrange(len(part) + 1)
    return part[:at] + random.choice([random.choice(ODD), random.randbytes(3), part]) + part[at:]


BREAKS: Final[list[Callable[[Random, bytes], bytes]]] = [
    _bit,
    _cut,
    _grown,
    lambda random, _: random.choice(ODD),
    lambda random, _: random.choice(NAMES),
]
KINDS: Final[list[Callable[[Random], Fields]]] = [valid, shuffled, mutated, noise, wide, large]
WEIGHTS: Final = [30.0, 20.0, 35.0, 15.0, 0.05, 0.005]
