"""One run of torture, from the start of the application to the verdict."""

from __future__ import annotations

import contextlib
import statistics
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

from autocron.core.task import Task, TaskState
from tests.processes.world import eventually, processes_naming
from tests.torture.application import Processes
from tests.torture.chaos import Chaos
from tests.torture.judge import judge
from tests.torture.ledger import Ledger
from tests.torture.terms import LIMIT_SECONDS, WAKE_SECONDS, Terms

APPLICATIONS, WORKERS = 2, 4
# So long all may take, after the last kill, until nothing waits any more: times the patience.
_CALM = 3.0


def torture(
    folder: Path,
    *,
    seed: int,
    terms: Terms,
    plant: Optional[str] = None,
) -> Dict[str, Any]:
    """Run an application under load and chaos; return the figures, with what is broken.

    Arguments:
        folder: An empty folder.
        seed: Of all chance.
        terms: How hard, and how long.
        plant: A bug to plant.
    """
    processes = Processes(
        folder,
        count=APPLICATIONS,
        workers=WORKERS,
        seed=seed,
        mix=terms.mix,
        window=terms.window,
        pause_seconds=terms.pause_seconds,
        plant=plant,
    )
    world, ledger = processes.world, Ledger(folder)
    chaos = Chaos(processes, ledger, seed, terms)
    calm_seconds = _CALM * terms.patience_seconds
    broken: List[str] = []
    orphans: Dict[int, str] = {}
    has_ended = False
    began_at = time.monotonic()
    try:
        processes.keep_up()
        until = _Until(ledger, processes, calm_seconds)
        until(lambda: ledger.began_count > 50, "the first tasks begin")
        chaos.run()
        (folder / "stop").touch()
        _calm_down(processes, ledger, until, broken)
        _probe(processes, ledger, until)
        _look_at_processes(processes, terms.patience_seconds, broken)
        ledger.read()
        tasks = {task.id: task for task in world.store.find()}
        orphans = _end(processes, terms.patience_seconds)
        has_ended = True
    except AssertionError as error:
        broken.append(str(error))
        ledger.read()
        tasks = {task.id: task for task in world.store.find()}
    finally:
        world.close(has_failed=not has_ended or bool(orphans))
    (folder / "story").write_text("\n".join(chaos.story) + "\n")
    verdict = judge(ledger, chaos, tasks, world.said())
    broken += verdict.broken
    broken += [f"orphan: process {pid}: {line}" for pid, line in orphans.items()]
    for kind, times in chaos.recoveries.items():
        limit = LIMIT_SECONDS.get(kind)
        late = [f"{seconds:.2f}" for seconds in times if limit is not None and seconds > limit]
        if late and terms.is_timed:
            broken.append(f"{kind} killed: work went on after {', '.join(late)} s, not {limit:g} s")
    waits = _waits(ledger)
    wake = statistics.median(waits) if waits else None
    if wake is not None and wake > WAKE_SECONDS and terms.is_timed:
        broken.append(f"not woken: a task began {wake:.3f} s after its call (median)")
    return {
        "seed": seed,
        "seconds": time.monotonic() - began_at,
        "accepted": len(ledger.calls),
        "no-ops": sum(call.kind == "noop" for call in ledger.calls.values()),
        "lost": len(verdict.lost),
        "repeated": verdict.repeated,
        "handed back": verdict.handed_back,
        "died": verdict.died,
        "occurrences": verdict.occurrences,
        "orphans": len(orphans),
        "kills": chaos.kills,
        "counts": dict(chaos.counts),
        "recoveries": dict(chaos.recoveries),
        "wake": wake,
        "broken": broken,
    }


class _Until:
    """Waits until something is so, reads the ledger meanwhile, and keeps the application up."""

    def __init__(self, ledger: Ledger, processes: Processes, seconds: float) -> None:
        self._ledger = ledger
        self._processes = processes
        self._seconds = seconds

    def __call__(self, look: Callable[[], object], what: str) -> None:
        def look_again() -> object:
            self._ledger.read()
            self._processes.keep_up()
            return look()

        eventually(look_again, what, self._seconds, pause=0.05)


def _calm_down(processes: Processes, ledger: Ledger, until: _Until, broken: List[str]) -> None:
    """Wait until every task has ended, but for those that the schedule goes on to make."""
    store = processes.world.store

    def left() -> List[Task]:
        found = store.find(state=TaskState.WAITING) + store.find(state=TaskState.RUNNING)
        return [task for task in found if task.schedule is None]

    names = {str(who) for who in range(APPLICATIONS)}
    until(lambda: ledger.stopped >= names, "the application stops calling")
    try:
        until(lambda: not left(), "all tasks have ended")
    except AssertionError as error:
        broken.append(f"{len(left())} tasks are left: {error}")


def _probe(processes: Processes, ledger: Ledger, until: _Until) -> None:
    """See how soon a call wakes a worker when all is quiet."""
    (processes.world.folder / "probe").touch()
    until(lambda: ledger.has_probed, "all probes are called")
    until(
        lambda: all(ledger.attempts.get(task_id) for task_id in ledger.probes),
        "all probes have begun",
    )


def _waits(ledger: Ledger) -> List[float]:
    begun = [(ledger.attempts.get(task_id), at) for task_id, at in ledger.probes.items()]
    return [attempts[0].began - at for attempts, at in begun if attempts]


def _look_at_processes(processes: Processes, seconds: float, broken: List[str]) -> None:
    """See whether there are one supervisor and its workers, and nobody else."""
    world = processes.world

    def roles() -> Dict[str, int]:
        found = {"supervisor": 0, "worker": 0}
        for line in processes_naming(world.database).values():
            for role in found:
                found[role] += f"boot {role} " in line
        return found

    wanted = {"supervisor": 1, "worker": WORKERS}
    try:
        eventually(lambda: roles() == wanted, "one supervisor and its workers", seconds, pause=0.1)
    except AssertionError:
        broken.append(f"expected the processes {wanted}, found {roles()}")


def _end(processes: Processes, seconds: float) -> Dict[int, str]:
    """End the application; return what is left."""
    world = processes.world
    processes.end()
    # What is left is told in full.
    with contextlib.suppress(AssertionError):
        world.await_end(seconds)
    return processes_naming(f"{world.folder}/")
