"""The command line of `scripts/fuzz`."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from random import Random
from time import perf_counter
from typing import Final

import psycopg

from gmhealth.embedded import embedded_servers
from scripts.ending import end_in_order
from scripts.fuzzing import path
from scripts.fuzzing.decoding import Wrong, decode_all, from_hypothesis
from scripts.fuzzing.entries import entries
from scripts.fuzzing.flood import flood

DESCRIPTION: Final = "Send generated entries, most of them bad, through the decoder and the whole path on real servers."
ROUND: Final = 50_000
"""So many entries are on the stream at once."""


def main() -> int:
    """Run, and print what was done; 1 if anything came out wrong."""
    given = _parse()
    print(f"seed {given.seed}: the same seed makes the same entries")
    try:
        _decode(given.entries, given.seed)
        with _site() as site:
            _path(site, given.entries if given.path is None else given.path, given.seed)
            _flood(site, given.flood, given.seed)
    except Wrong as wrong:
        print(f"wrong: {wrong}")
        return 1
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description=DESCRIPTION)
    parser.add_argument("--entries", type=int, default=100_000, metavar="N", help="how many to decode (100,000)")
    parser.add_argument("--path", type=int, metavar="N", help="how many to send through the whole path (all)")
    parser.add_argument("--flood", type=int, default=10_000, metavar="N", help="valid ones in the flood (10,000)")
    parser.add_argument("--seed", type=int, default=Random().randrange(10**6), help="begin with this one")
    return parser.parse_args()


def _decode(count: int, seed: int) -> None:
    began = perf_counter()
    counts = decode_all(islice(entries(seed), count))
    print(f"decoded {count:,} entries in {perf_counter() - began:.0f} s, none raised, all as the oracle says:")
    for name, number in counts.most_common():
        print(f"  {number:>9,}  {name}")


@contextmanager
def _site() -> Iterator[path.Site]:
    with (
        tempfile.TemporaryDirectory(prefix="gmhealth-fuzz-") as directory,
        embedded_servers(Path(directory)) as servers,
        psycopg.connect(servers.postgres_dsn, autocommit=True) as pg,
        path.connect(servers) as client,
    ):
        yield path.Site(servers, client, pg)


def _path(site: path.Site, count: int, seed: int) -> None:
    began, made, random, invalid, done = perf_counter(), entries(seed), Random(seed), 0, 0
    collected = from_hypothesis(max(10, min(2_000, count // 10)))
    invalid += path.run(site, collected, random)
    while done < count:
        chunk = list(islice(made, min(ROUND, count - done)))
        invalid += path.run(site, chunk, random)
        done += len(chunk)
        if sys.stderr.isatty():
            print(f"\r{done:,} of {count:,}", end="\r", file=sys.stderr)
    took = perf_counter() - began
    print(f"consumed {count:,} of them and {len(collected):,} of Hypothesis's on real servers in {took:.0f} s:")
    print(f"  {invalid:>9,}  invalid, each in the dead letters byte for byte and in order")
    print(f"  {count + len(collected) - invalid:>9,}  valid, each applied: rows and last snapshots as the oracle says")


def _flood(site: path.Site, count: int, seed: int) -> None:
    for factor in (1, 9):
        without, among, ratio = flood(site, count // factor, factor, seed)
        print(
            f"flood: {count // factor:,} valid entries took {without:.2f} s alone and {among:.2f} s among"
            f" {factor} times as many invalid ones; speed of the valid ones {ratio:.2f}"
        )


if __name__ == "__main__":
    end_in_order()
    sys.exit(main())
