"""Tortures an application: ``python -m tests.torture --seed 1 --seconds 60``."""

from __future__ import annotations

import argparse
import contextlib
import random
import shlex
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional

from tests.torture.chaos import KINDS
from tests.torture.plants import PLANTS
from tests.torture.run import torture
from tests.torture.terms import LIMIT_SECONDS, LONG, SHORT, Terms

_AT_MOST_SHOWN = 40


def main() -> int:
    """Do what the command line says; 1 is that a promise was broken."""
    plants = "; ".join(f"{name}: {plant.what}" for name, plant in PLANTS.items())
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--seed", type=int, help="of all chance; drawn if it is not given")
    parser.add_argument(
        "--short",
        action="store_true",
        help=f"gently, and not held to times: until {SHORT.kills} kills and {SHORT.tasks} calls",
    )
    parser.add_argument(
        "--seconds", type=float, help=f"how long it kills at most: {LONG.seconds:g}"
    )
    parser.add_argument("--kills", type=int, help="enough after so many kills,")
    parser.add_argument("--tasks", type=int, help="and so many accepted calls")
    parser.add_argument("--runs", type=int, default=1, help="so many runs, each with the next seed")
    parser.add_argument("--often", choices=KINDS, help="do this as often as all else together")
    parser.add_argument(
        "--mix", choices=("torture", "brief"), help="many short tasks, or some of all"
    )
    parser.add_argument("--plant", choices=PLANTS, help=f"plant a bug on purpose. {plants}")
    parser.add_argument("--keep", type=Path, help="an empty folder for what a run leaves behind")
    options = parser.parse_args()
    seed = random.randrange(10**6) if options.seed is None else options.seed
    runs = []
    for number in range(options.runs):
        with _folder(options.keep) as folder:
            found = torture(
                Path(folder).resolve(),
                seed=seed + number,
                terms=_terms(options),
                plant=options.plant,
            )
        _show(found, options)
        runs.append(found)
    if len(runs) > 1:
        _sum_up(runs)
    return 1 if any(found["broken"] for found in runs) else 0


def _terms(options: argparse.Namespace) -> Terms:
    given = {name: getattr(options, name) for name in ("seconds", "kills", "tasks", "often", "mix")}
    terms = SHORT if options.short else LONG
    return terms._replace(**{name: value for name, value in given.items() if value is not None})


@contextlib.contextmanager
def _folder(kept: Optional[Path]) -> Iterator[str]:
    if kept is None:
        with tempfile.TemporaryDirectory(prefix="autocron-torture-") as folder:
            yield folder
    else:
        # One run after the other, each in its own.
        folder = tempfile.mkdtemp(prefix="run-", dir=str(kept))
        yield folder


def _show(found: Dict[str, Any], options: argparse.Namespace) -> None:
    counts = ", ".join(f"{kind} {count}" for kind, count in sorted(found["counts"].items()))
    print(f"seed {found['seed']}, {found['seconds']:.0f} s")
    print(
        f"  accepted {found['accepted']} (no-ops {found['no-ops']}), lost {found['lost']}, "
        f"repeated {found['repeated']} (handed back {found['handed back']}), "
        f"failed after three deaths {found['died']}, occurrences {found['occurrences']}"
    )
    print(f"  kills {found['kills']}; {counts}; orphans {found['orphans']}")
    _show_recoveries([found])
    if found["wake"] is not None:
        print(f"  a call when all is quiet: begun after {found['wake'] * 1000:.1f} ms (p50)")
    if found["broken"]:
        print(f"  {len(found['broken'])} BROKEN:")
        for line in found["broken"][:_AT_MOST_SHOWN]:
            print(f"    {line}")
        if len(found["broken"]) > _AT_MOST_SHOWN:
            print(f"    and {len(found['broken']) - _AT_MOST_SHOWN} more")
    again = f"python -m tests.torture --seed {found['seed']}"
    again += " --short" if options.short else ""
    for name in ("seconds", "kills", "tasks", "often", "mix", "plant"):
        given = getattr(options, name)
        again += f" --{name} {shlex.quote(str(given))}" if given is not None else ""
    print(f"  again: {again}", flush=True)


def _sum_up(runs: List[Dict[str, Any]]) -> None:
    counts: Dict[str, int] = {}
    for found in runs:
        for kind, count in found["counts"].items():
            counts[kind] = counts.get(kind, 0) + count
    numbers = ("accepted", "no-ops", "lost", "repeated", "died", "orphans", "kills")
    total = {name: sum(found[name] for found in runs) for name in numbers}
    print("in all: " + ", ".join(f"{name} {count}" for name, count in total.items()))
    print("  " + ", ".join(f"{kind} {count}" for kind, count in sorted(counts.items())))
    _show_recoveries(runs)


def _show_recoveries(runs: List[Dict[str, Any]]) -> None:
    for kind in sorted({kind for found in runs for kind in found["recoveries"]}):
        times = sorted(seconds for found in runs for seconds in found["recoveries"].get(kind, ()))
        if not times:
            continue
        median, late = times[len(times) // 2], times[len(times) * 95 // 100]
        limit = LIMIT_SECONDS.get(kind)
        beyond = 0 if limit is None else sum(seconds > limit for seconds in times)
        print(
            f"  {kind} killed, work went on: p50 {median:.3f} s, p95 {late:.3f} s, "
            f"max {times[-1]:.3f} s ({len(times)}"
            + (f"; {beyond} beyond {limit:g} s)" if limit is not None else ")")
        )


if __name__ == "__main__":
    sys.exit(main())
