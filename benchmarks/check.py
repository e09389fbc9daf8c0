"""Is autocron as near to SQLite's limit as it was? ``tox run -e bench-check``, some seconds.

What a call, a run, and a run in a stint take is compared with bare loops over the same statements,
in short turns within one process. Of each turn the quicker steps count, in which nothing else came
in between, so that it can be run on a machine that is in use; of stints all. It fails if one of
these ratios is more than 30 % worse than the one recorded in ``recorded.json``, which ``--record``
writes.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from collections import deque
from itertools import count, islice
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List

from autocron.app import App
from autocron.engine import Engine
from autocron.operations import Operations
from autocron.shell.chance import draw, new_id
from autocron.shell.clock import SystemClock
from autocron.shell.invoke import FunctionInvoker
from autocron.shell.local import LocalBackend
from autocron.shell.logbook import FileLogbook
from autocron.shell.sqlite import SQLiteStore
from autocron.zones import load_zone
from benchmarks.subjects.drain import bare_loop
from benchmarks.subjects.enqueue import raw_inserts

RECORDED = Path(__file__).with_name("recorded.json")
WORSE_BY = 0.3
TURNS, COUNT = 15, 300


class _Service:
    is_serving = True

    def __init__(self, backend: Any, clock: SystemClock) -> None:
        self.backend = backend
        self.clock = clock

    def announce(self) -> None: ...


class Bench:
    """An application, its engine and a database, all in this process."""

    def __init__(self, folder: str, in_stints: bool = False) -> None:
        clock, app = SystemClock(), App()
        self.path = os.path.join(folder, "check.db")
        self._store = SQLiteStore(self.path, durability="normal")
        self._store.open(create=True)
        operations = Operations(self._store, clock, new_id=new_id, draw=draw)
        backend = LocalBackend(self._store, operations)
        app.use(_Service(backend, clock))  # type: ignore[arg-type]

        def work(number: int) -> int:
            return number

        work.__qualname__ = "work"
        self._work: Callable[[int], Any] = app.delay(work)
        self._engine = Engine(
            self._store,
            clock,
            zones=load_zone,
            new_id=new_id,
            invoker=FunctionInvoker(lambda name: app.registry.get(name) or name, lambda: app.codec),
            worker="worker",
            draw=draw,
            logbook=FileLogbook(os.path.join(folder, "logbook")) if in_stints else None,
        )

    def calls(self, count: int = COUNT) -> Iterator[Any]:
        """Call as often as this is asked."""
        return (self._work(number) for number in range(count))

    def runs(self) -> Iterator[Any]:
        """Run a task as often as this is asked."""
        while True:
            while self._engine.tick().finished is None:
                pass
            yield


def _quick_seconds(steps: Iterator[Any], count: int) -> float:
    """Return what a step takes when nothing comes in between: a tenth of them are quicker."""
    seconds = []
    for _ in range(count):
        began = time.perf_counter()
        next(steps)
        seconds.append(time.perf_counter() - began)
    return sorted(seconds)[count // 10]


def _seconds(steps: Iterator[Any], count: int) -> float:
    """Return what a step takes, of those that others wait for, too."""
    began = time.perf_counter()
    deque(islice(steps, count), 0)
    return (time.perf_counter() - began) / count


def measure(turns: int = TURNS) -> Dict[str, float]:
    """Return how many times as long as the floor each takes: the median over the turns."""
    calls: List[float] = []
    runs: List[float] = []
    stints: List[float] = []
    with contextlib.ExitStack() as folders:
        folder, other, third = (
            folders.enter_context(tempfile.TemporaryDirectory()) for _ in range(3)
        )
        bench, bare, stint = Bench(folder), Bench(other), Bench(third, in_stints=True)
        inserts = map(raw_inserts(os.path.join(folder, "raw.db"), "NORMAL"), count())
        connection = sqlite3.connect(bare.path, isolation_level=None)
        connection.execute("PRAGMA synchronous=NORMAL")
        for _ in range(turns):
            raw = _quick_seconds(inserts, COUNT)
            calls.append(_quick_seconds(bench.calls(), COUNT) / raw)
            deque(bare.calls(COUNT), 0)
            floor = _quick_seconds(bare_loop(connection), COUNT)
            runs.append(_quick_seconds(bench.runs(), COUNT) / floor)
            # Of a stint most steps store nothing, so all of them count, and so of the floor.
            deque(bare.calls(COUNT), 0)
            floor = _seconds(bare_loop(connection), COUNT)
            deque(stint.calls(COUNT), 0)
            stints.append(_seconds(stint.runs(), COUNT) / floor)
        connection.close()
    return {
        "call": statistics.median(calls),
        "run": statistics.median(runs),
        "stint": statistics.median(stints),
    }


def main() -> None:
    """Print the ratios; exit with 1 if one has become worse by too much."""
    parser = argparse.ArgumentParser(prog="bench-check", description=__doc__)
    parser.add_argument("--record", action="store_true", help="record what is measured now")
    options = parser.parse_args()
    found = measure()
    if options.record:
        RECORDED.write_text(json.dumps(found, indent=1) + "\n")
    recorded = json.loads(RECORDED.read_text())
    is_worse = False
    for name, ratio in found.items():
        verdict = "ok"
        # A ratio of speeds that has fallen by so much.
        if recorded[name] / ratio < 1 - WORSE_BY:
            is_worse, verdict = True, f"more than {WORSE_BY:.0%} slower than recorded"
        print(f"{name}: {ratio:.2f} times the floor, recorded {recorded[name]:.2f}: {verdict}")
    sys.exit(is_worse)


if __name__ == "__main__":
    main()
