"""First figures: what a call costs, how many tasks a worker runs, how soon one starts.

Run it with ``python benchmarks/figures.py``. It uses a temporary folder and real workers, takes
under a minute, and prints a table. Machines differ and are noisy, so read the ratios: the floor is
a bare ``sqlite3`` INSERT of the same row into the same kind of file, measured in the same run, in
turn with the calls.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import statistics
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import figures_tasks as tasks

import autocron

CALLS = 500
DRAIN = 3000
STARTS = 100


def floor(path: str) -> sqlite3.Connection:
    """Open a bare database with the same settings as autocron's."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE calls (id TEXT UNIQUE, name TEXT, payload TEXT, at INTEGER)")
    return connection


def enqueue_against_floor(bare: sqlite3.Connection) -> None:
    """Time calls and bare inserts in turn."""
    calls, inserts = [], []
    for number in range(CALLS):
        began = time.perf_counter()
        tasks.nothing.options(days=1)()
        calls.append(time.perf_counter() - began)
        began = time.perf_counter()
        row = (os.urandom(12).hex(), "tasks:nothing", "[[],{}]", number)
        bare.execute("INSERT INTO calls VALUES (?, ?, ?, ?)", row)
        inserts.append(time.perf_counter() - began)
    call, insert = statistics.median(calls), statistics.median(inserts)
    print(
        f"enqueue, FULL sync   p50 {call * 1e6:7.0f} µs   bare INSERT {insert * 1e6:.0f} µs   "
        f"ratio {call / insert:.2f}"
    )


def drain() -> None:
    """Time one worker over tasks that do nothing."""
    began = time.perf_counter()
    for _ in range(DRAIN):
        last = tasks.nothing()
    stored = time.perf_counter() - began
    last.get(120)
    seconds = time.perf_counter() - began
    print(
        f"call and run         {DRAIN / seconds:.0f} tasks/s "
        f"({DRAIN} called in {stored:.2f} s, run {seconds - stored:.2f} s later)"
    )


def prefilled_drain(database: str) -> None:
    """Time one worker over tasks that are all waiting when it begins."""
    autocron.start(database, workers=0, durability="normal")
    first = tasks.stamp()
    for _ in range(DRAIN):
        tasks.nothing()
    last = tasks.stamp()
    autocron.start(database)
    seconds = last.get(120) - first.get(120)
    print(f"drain, 1 worker      {DRAIN / seconds:.0f} tasks/s ({DRAIN} were waiting)")


def start_latency() -> None:
    """Time from before the call to the first line of the function, worker idle."""
    seconds = []
    for _ in range(STARTS):
        time.sleep(0.02)
        before = time.time()
        seconds.append(tasks.stamp().get(10) - before)
    seconds.sort()
    print(
        f"idle to task start   p50 {seconds[STARTS // 2] * 1e3:.2f} ms   "
        f"p95 {seconds[STARTS * 95 // 100] * 1e3:.2f} ms (the call's own sync included)"
    )


def main() -> None:
    """Measure, print, and leave nothing behind."""
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        autocron.start(os.path.join(folder, "figures.db"))
        try:
            tasks.nothing().get(30)
            bare = floor(os.path.join(folder, "floor.db"))
            enqueue_against_floor(bare)
            bare.close()
            start_latency()
            drain()
            autocron.stop()
            prefilled_drain(os.path.join(folder, "figures.db"))
        finally:
            autocron.stop()


if __name__ == "__main__":
    main()
