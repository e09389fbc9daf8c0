"""Is a plain call as quick as it was? Enqueue and drain, in this checkout and in another one.

::

    git worktree add ../before COMMIT
    python benchmarks/compare.py ../before

Both are measured in one run, in turn, each time in a process of its own: so many calls of a plain
``@delay`` function into a new database, each durable by itself, and their run by one engine in
that process. Printed is the median of each, and the ratio of the speeds: 1.0 is as quick as before,
below 0.95 is slower. The processor's time is what to look at on a machine that others use, too.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Dict, List

HERE = Path(__file__).resolve().parent.parent
MEASURES = ("enqueue, processor", "drain, processor", "enqueue, wall", "drain, wall")


def measure(count: int, durability: str) -> List[float]:
    """Return microseconds a task, in the order of MEASURES, for the autocron on the path."""
    from autocron.app import App
    from autocron.engine import Engine
    from autocron.operations import Operations
    from autocron.shell.chance import draw, new_id
    from autocron.shell.clock import SystemClock
    from autocron.shell.invoke import FunctionInvoker
    from autocron.shell.local import LocalBackend
    from autocron.shell.sqlite import SQLiteStore
    from autocron.zones import load_zone

    class Service:
        is_serving = True

        def __init__(self, backend: Any) -> None:
            self.backend = backend
            self.clock = clock

        def announce(self) -> None: ...

    app, clock = App(), SystemClock()

    def work(number: int, text: str) -> None: ...

    work.__qualname__ = "work"
    delayed = app.delay(work)
    with tempfile.TemporaryDirectory() as folder:
        store = SQLiteStore(os.path.join(folder, "compare.db"), durability=durability)
        store.open(create=True)
        operations = Operations(store, clock, new_id=new_id, draw=draw)
        app.use(Service(LocalBackend(store, operations)))  # type: ignore[arg-type]
        began, began_cpu = time.perf_counter(), time.process_time()
        for number in range(count):
            delayed(number, "text")
        enqueued, enqueued_cpu = time.perf_counter() - began, time.process_time() - began_cpu
        engine = Engine(
            store,
            clock,
            zones=load_zone,
            new_id=new_id,
            invoker=FunctionInvoker(lambda name: app.registry.get(name) or name, lambda: app.codec),
            worker="worker",
            draw=draw,
        )
        began, began_cpu = time.perf_counter(), time.process_time()
        ended = 0
        while ended < count:
            ended += engine.tick().finished is not None
        drained, drained_cpu = time.perf_counter() - began, time.process_time() - began_cpu
        store.close()
    return [1e6 * s / count for s in (enqueued_cpu, drained_cpu, enqueued, drained)]


def measured(checkout: Path, count: int, durability: str) -> List[float]:
    """Measure a checkout in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--measure", str(count), "--durability", durability],
        env={**os.environ, "PYTHONPATH": str(checkout)},
        stdout=subprocess.PIPE,
        check=True,
    )
    found: List[float] = json.loads(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare a plain call with another checkout.")
    parser.add_argument("other", nargs="?", type=Path, help="the folder of the other checkout")
    parser.add_argument("--tasks", type=int, default=3000, help="how many tasks (3000)")
    parser.add_argument("--rounds", type=int, default=7, help="how many rounds of each (7)")
    parser.add_argument("--durability", choices=("full", "normal"), default="normal")
    parser.add_argument("--measure", type=int, metavar="N", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure, options.durability)))
        return
    if options.other is None or not (options.other / "autocron").is_dir():
        parser.error("give the folder of another checkout of autocron")
    checkouts = {"before": options.other.resolve(), "here": HERE}
    rounds: Dict[str, List[List[float]]] = {name: [] for name in checkouts}
    for _ in range(options.rounds):
        for name, checkout in checkouts.items():
            rounds[name].append(measured(checkout, options.tasks, options.durability))
    print(f"{'microseconds a task':22}{'before':>10}{'here':>10}{'ratio':>8}")
    for place, name in enumerate(MEASURES):
        before, here = (statistics.median(r[place] for r in rounds[c]) for c in checkouts)
        print(f"{name:22}{before:10.1f}{here:10.1f}{before / here:8.2f}")


if __name__ == "__main__":
    main()
