"""Loads an application, and kills nothing: ``python -m tests.torture.load --seconds 600``.

Eight processes call tasks as fast as they can, and four workers run them. No caller is told that
the database is locked, nobody starves, processes do not grow, and neither does the file, since what
has ended is purged.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Dict, List, NamedTuple

from autocron.core.task import TaskState
from tests.processes.world import World, eventually
from tests.torture.application import Processes
from tests.torture.ledger import Ledger

APPLICATIONS, WORKERS = 8, 4
# So soon results are purged, that a minute shows whether the file is bounded.
_RESULT_TTL_SECONDS = 5
# Who has less than this of what is everyone's share starves.
_LEAST_SHARE = 0.25
_MOST_GROWTH_BYTES = 2_000_000
# What is loaded late, and what an allocator keeps, is not taken for growth: so much of a run is
# over before growth is measured, and so many tasks are run while it is.
_WARM_SHARE, _ENOUGH_TASKS = 0.2, 20_000
_MOST_FILE_GROWTH = 1.5
_CALM_SECONDS = 300.0


class _Sample(NamedTuple):
    """What was seen at one moment.

    Attributes:
        begun: How many attempts had begun.
        memory: The resident bytes of each process, by what it is.
        size: The bytes of the database's files.
    """

    begun: int
    memory: Dict[str, int]
    size: int


def main() -> int:
    """Do what the command line says; 1 is that a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture.load", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0, help="at most: 600")
    parser.add_argument("--tasks", type=int, default=200_000, help="enough: 200000 calls")
    parser.add_argument("--pause", type=float, default=0.0, help="of a process, after 20 calls: 0")
    parser.add_argument("--seed", type=int, help="of all chance; drawn if it is not given")
    options = parser.parse_args()
    seed = random.randrange(10**6) if options.seed is None else options.seed
    with tempfile.TemporaryDirectory(prefix="autocron-load-") as folder:
        broken = _load(Path(folder).resolve(), seed, options)
    for line in broken:
        print(f"  BROKEN: {line}")
    return 1 if broken else 0


def _load(folder: Path, seed: int, options: argparse.Namespace) -> List[str]:
    processes = Processes(
        folder,
        count=APPLICATIONS,
        workers=WORKERS,
        seed=seed,
        mix="load",
        window=100,
        pause_seconds=options.pause,
    )
    world, ledger = processes.world, Ledger(folder)
    subprocess.run(
        [
            *(sys.executable, "-m", "autocron", world.database),
            *("--set-result-ttl", str(_RESULT_TTL_SECONDS)),
        ],
        env=world.environment,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    has_ended = False
    try:
        processes.keep_up()
        world.await_workers(count=WORKERS)
        eventually(lambda: _have_all_called(ledger), "all processes call", _CALM_SECONDS, 0.2)
        # Who came later than the others is not behind for that.
        before = _called_by(ledger)
        samples = _watch(processes, ledger, options)
        (folder / "stop").touch()
        eventually(lambda: _is_calm(world, ledger), "all tasks have ended", _CALM_SECONDS, 0.2)
        workers = set(world.workers)
        processes.end()
        world.await_end()
        has_ended = True
    finally:
        if not has_ended:
            print(world.said()[-4000:])
        world.close(has_failed=not has_ended)
    called_by = _called_by(ledger)
    called_by.subtract(before)
    for pid in workers:
        # What tasks have called.
        called_by.pop(pid, None)
    return [*_judge(ledger, called_by, world.said()), *_measure(samples)]


def _called_by(ledger: Ledger) -> Counter[int]:
    return Counter(call.pid for call in ledger.calls.values())


def _have_all_called(ledger: Ledger) -> bool:
    ledger.read()
    return len(ledger.started) == APPLICATIONS and len(_called_by(ledger)) >= APPLICATIONS


def _watch(processes: Processes, ledger: Ledger, options: argparse.Namespace) -> List[_Sample]:
    samples: List[_Sample] = []
    ends_at = time.monotonic() + options.seconds
    # What was called before all had begun to call does not count.
    enough = len(ledger.calls) + options.tasks
    while time.monotonic() < ends_at and len(ledger.calls) < enough:
        # A look now and then, not a wait for something.
        time.sleep(0.5)
        ledger.read()
        world = processes.world
        roles = {f"worker {pid}": pid for pid in world.workers}
        if world.supervisor is not None:
            roles["supervisor"] = world.supervisor
        memory = {role: _resident(pid) for role, pid in roles.items()}
        files = [Path(world.database + end) for end in ("", "-wal")]
        size = sum(file.stat().st_size for file in files if file.exists())
        samples.append(_Sample(ledger.began_count, memory, size))
    return samples


def _resident(pid: int) -> int:
    with open(f"/proc/{pid}/statm", "rb") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _is_calm(world: World, ledger: Ledger) -> bool:
    ledger.read()
    active = world.store.find(state=TaskState.WAITING) + world.store.find(state=TaskState.RUNNING)
    has_stopped = len(ledger.stopped) == APPLICATIONS
    return has_stopped and all(task.schedule is not None for task in active)


def _judge(ledger: Ledger, called_by: Counter[int], output: str) -> List[str]:
    """Hold what was called and run against what is promised."""
    ended = [a for attempts in ledger.attempts.values() for a in attempts if a.ended is not None]
    run = {attempt.task_id for attempt in ended}
    lost = [task_id for task_id in ledger.calls if task_id not in run]
    run_by = Counter(attempt.pid for attempt in ended)
    slowest = max(ledger.slowest.values())
    print(
        f"accepted {len(ledger.calls)}, lost {len(lost)}, run twice {len(ended) - len(run)}, "
        f"refused {len(ledger.refused)}; the slowest call took {slowest:.3f} s"
    )
    print(f"  called by {sorted(called_by.values())}, run by {sorted(run_by.values())}")
    broken = [f"a call was refused: {why}" for why in ledger.refused]
    broken += [f"lost: {task_id}" for task_id in lost]
    if "locked" in output:
        broken.append("a process says that the database is locked")
    for what, counts, number in (("process", called_by, APPLICATIONS), ("worker", run_by, WORKERS)):
        least = _LEAST_SHARE * sum(counts.values()) / number
        if len(ended) < _ENOUGH_TASKS:
            # Where there is little to do, one of them may do most of it.
            least = 1
        if len(counts) < number or min(counts.values()) < least:
            broken.append(f"a {what} starves: {sorted(counts.values())}")
    return broken


def _measure(samples: List[_Sample]) -> List[str]:
    """Hold memory and the size of the file against what they were."""
    warm = samples[int(len(samples) * _WARM_SHARE) :]
    first, last = warm[0], warm[-1]
    tasks = last.begun - first.begun
    growth = {role: size - first.memory.get(role, size) for role, size in last.memory.items()}
    half = len(warm) // 2
    before = max(sample.size for sample in warm[:half] or warm)
    after = max(sample.size for sample in warm[half:])
    supervisors = growth.get("supervisor", 0)
    most = max((size for role, size in growth.items() if role != "supervisor"), default=0)
    print(
        f"  over {tasks} tasks: workers grew by {most / 1e6:.2f} MB at most, the supervisor by "
        f"{supervisors / 1e6:.2f} MB; the files had {before / 1e6:.1f} MB at most in the first "
        f"half, and {after / 1e6:.1f} MB in the second"
    )
    quarters = [samples[(len(samples) - 1) * number // 4].memory for number in range(5)]
    told = " ".join(f"{memory.get('supervisor', 0) / 1e6:.2f}" for memory in quarters)
    mine = " ".join(f"{max(memory.values(), default=0) / 1e6:.2f}" for memory in quarters)
    print(f"  MB after each quarter: the supervisor {told}, the largest of all {mine}")
    if tasks < _ENOUGH_TASKS:
        return []
    broken = [
        f"{role} has grown by {size / 1e6:.2f} MB"
        for role, size in growth.items()
        if size > _MOST_GROWTH_BYTES
    ]
    if after > before * _MOST_FILE_GROWTH:
        broken.append(f"the files grow: {before / 1e6:.1f} MB, then {after / 1e6:.1f} MB")
    return broken


if __name__ == "__main__":
    sys.exit(main())
