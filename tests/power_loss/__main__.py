"""Takes the power from an application under load: ``python -m tests.power_loss --cuts 1000``."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Optional

from tests.power_loss.recording import compile_recorder, why_not
from tests.power_loss.run import Found, lose_power
from tests.power_loss.workload import PLANTS, record

_AT_MOST_SHOWN = 20


def main() -> int:
    """Do what the command line says; 1 is that a promise was broken, 2 that nothing was tried."""
    parser = argparse.ArgumentParser(prog="python -m tests.power_loss", description=__doc__)
    parser.add_argument("--seed", type=int, help="of all chance; drawn if it is not given")
    parser.add_argument("--durability", choices=("full", "normal"), help="one of them; both")
    parser.add_argument("--calls", type=int, default=200, help="of each of two processes: 200")
    parser.add_argument("--cuts", type=int, default=1000, help="how often the power is lost: 1000")
    parser.add_argument("--starts", type=int, default=10, help="real starts among them: 10")
    parser.add_argument("--plant", choices=PLANTS, help="make 'full' sync as this does instead")
    options = parser.parse_args()
    missing = why_not()
    if missing is not None:
        print(f"NOT TESTED what a power cut leaves: {missing}")
        return 2
    seed = random.randrange(10**6) if options.seed is None else options.seed
    broken = False
    for durability in (options.durability,) if options.durability else ("full", "normal"):
        broken |= bool(_try(durability, seed, options).broken)
    return 1 if broken else 0


def _try(durability: str, seed: int, options: argparse.Namespace) -> Found:
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="autocron-power-") as name:
        folder = Path(name).resolve()
        (folder / "run").mkdir()
        run = record(
            compile_recorder(folder),
            folder / "run",
            durability=durability,
            seed=seed,
            calls=options.calls,
            plant=options.plant,
        )
        found = lose_power(
            run,
            folder / "left",
            durability=durability,
            seed=seed,
            cuts=options.cuts,
            starts=options.starts,
        )
    accepted = sum(note.words[0] == "accepted" for note in run.notes)
    writes = sum(record.kind == "W" for record in run.records)
    syncs = sum(record.kind == "E" for record in run.records)
    print(f"durability {durability}, seed {seed}, {time.monotonic() - began:.0f} s")
    print(f"  recorded {accepted} calls, {writes} writes, {syncs} syncs")
    print(
        f"  power lost {found.cuts} times, {found.unsynced} times with an unsynced log; "
        f"started {found.starts} times; stored tasks looked for {found.promises}"
    )
    print(f"  accepted and not promised: at most {found.at_risk} tasks")
    print("  after " + ", ".join(f"{what} {n}" for what, n in sorted(found.kinds.items())))
    _show(found, durability, seed, options.plant)
    return found


def _show(found: Found, durability: str, seed: int, plant: Optional[str]) -> None:
    print(f"  broken {len(found.broken)}")
    for line in found.broken[:_AT_MOST_SHOWN]:
        print(f"    {line}")
    again = f"python -m tests.power_loss --seed {seed} --durability {durability}"
    print(f"  again: {again}{f' --plant {plant}' if plant else ''}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
