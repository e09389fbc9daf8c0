"""Cuts the store, and the processes, at each of their points: ``python -m tests.crash_points``."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import List, Tuple

from tests.crash_points import processes, store
from tests.crash_points.processes import Step

# All of them take an hour.
_TELL_EVERY = 50


def main() -> int:
    """Do what the command line says; 1 is that a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash_points", description=__doc__)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--store", action="store_true", help="only the writes of the store")
    which.add_argument("--processes", action="store_true", help="only the steps of processes")
    parser.add_argument("--list", action="store_true", help="only tell which points there are")
    parser.add_argument("--only", default="", help="only points with this in their names")
    parser.add_argument("--count", type=int, help="only so many points of each, drawn by the seed")
    parser.add_argument("--seed", type=int, help="drawn if it is not given")
    parser.add_argument("--at-once", type=int, default=3, help="so many applications at once: 3")
    options = parser.parse_args()
    seed = random.randrange(10**6) if options.seed is None else options.seed
    print(f"seed {seed}", flush=True)
    broken: List[str] = []
    with tempfile.TemporaryDirectory(prefix="autocron-cut-") as name:
        folder = Path(name).resolve()
        if not options.processes:
            broken += _cut_store(folder, random.Random(seed), options)
        if not options.store:
            broken += _cut_processes(folder, random.Random(seed), options)
    for why in broken:
        print(f"  {why}")
    print(f"broken {len(broken)}")
    return 1 if broken else 0


def _cut_store(folder: Path, chance: random.Random, options: argparse.Namespace) -> List[str]:
    began = time.monotonic()
    (folder / "references").mkdir()
    cuts = [
        (reference, point)
        for reference in store.references(folder / "references")
        for point in store.chosen(reference.points)
        if options.only in str(point)
    ]
    if options.count is not None:
        cuts = chance.sample(cuts, min(options.count, len(cuts)))
    if options.list:
        for _, point in cuts:
            print(point)
        return []
    broken = [why for each, point in cuts for why in store.cut(each, point, folder / "cut")]
    print(f"store: {len(cuts)} points were cut, in {time.monotonic() - began:.0f} s", flush=True)
    return broken


def _cut_processes(folder: Path, chance: random.Random, options: argparse.Namespace) -> List[str]:
    began = time.monotonic()
    (folder / "steps").mkdir()
    # One process alone, and all of them with it.
    steps = [
        step._replace(all=everything)
        for step in processes.steps(folder / "steps")
        for everything in (False, True)
    ]
    steps = [step for step in steps if options.only in str(step)]
    if options.count is not None:
        steps = chance.sample(steps, min(options.count, len(steps)))
    if options.list:
        print("\n".join(map(str, steps)))
        return []

    def cut(numbered: Tuple[int, Step]) -> processes.Cut:
        with tempfile.TemporaryDirectory(prefix=f"{numbered[0]}-", dir=str(folder)) as own:
            return processes.cut(numbered[1], Path(own))

    with ThreadPoolExecutor(options.at_once) as pool:
        reached = 0
        broken: List[str] = []
        for number, found in enumerate(pool.map(cut, enumerate(steps)), 1):
            reached += found.was_reached
            broken += found.broken
            if number % _TELL_EVERY == 0 or number == len(steps):
                print(
                    f"processes: {reached} of {number} points were reached and cut, of "
                    f"{len(steps)} in all, {len(broken)} things broken, in "
                    f"{time.monotonic() - began:.0f} s",
                    flush=True,
                )
    return broken


if __name__ == "__main__":
    sys.exit(main())
