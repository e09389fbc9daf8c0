"""How fast workers run what is waiting, from the start of the first task to that of the last.

The floor is a bare loop over autocron's own schema with autocron's own statements, and no
function that is called: begin, finish, look for the next due task, claim it, commit.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections import Counter, deque
from contextlib import suppress
from itertools import islice
from typing import Iterator

from autocron.shell import queries
from benchmarks import workload
from benchmarks.peers import NAMES, peer
from benchmarks.subjects import Figures

FLOOR = "floor"
TITLE = "Draining what waits"
PEERS = [FLOOR, *(name for name in NAMES if name != "autocron, normal")]
REFERENCES = {
    "1 worker, per s": (FLOOR, "1 worker, per s"),
    "2 workers, per s": (None, "1 worker, per s"),
}


def measure(name: str, quick: bool) -> Figures:
    """Let one worker drain so many tasks, then two."""
    count = 600 if quick else 4000
    if name == FLOOR:
        return {"1 worker, per s": _floor(count)}
    if "Redis" in name or "RQ" in name:
        count = max(2 * workload.EVERY, count // (4 if "Celery" in name else 10))
    measured = peer(name)
    measured.open()
    figures = {}
    for workers in (1, 2):
        with suppress(FileNotFoundError):
            os.remove(os.path.join(os.environ[workload.FOLDER], "stamps"))
        measured.fill(range(count + 1))
        measured.start(workers)
        told = workload.wait_for(count // workload.EVERY + 1)
        measured.stop()
        seconds = max(stamp.at for stamp in told) - min(stamp.at for stamp in told)
        unit = "worker" if workers == 1 else "workers"
        figures[f"{workers} {unit}, per s"] = count / seconds
        if workers == 2:
            by_worker = Counter(stamp.pid for stamp in told)
            least = min(by_worker.values()) if len(by_worker) > 1 else 0
            figures["the lazier of two, %"] = 100 * least / len(told)
        measured = peer(name)
        measured.open()
    measured.stop()
    return figures


def _floor(count: int) -> float:
    """Return how many tasks a second SQLite allows for."""
    own = peer("autocron")
    own.open()
    own.fill([1] * count)
    own.stop()
    path = os.path.join(os.environ[workload.FOLDER], "autocron.db")
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous=NORMAL")
    began = time.perf_counter()
    deque(islice(bare_loop(connection), count + 1), 0)
    seconds = time.perf_counter() - began
    connection.close()
    return count / seconds


def bare_loop(connection: sqlite3.Connection) -> Iterator[None]:
    """Claim and end waiting tasks with autocron's statements, one a step, and do nothing else."""
    claim = queries.swap(("state", "revision", "worker", "started_at", "attempt"))
    finish = queries.swap(("state", "revision", "worker", "finished_at", "result"))
    look = queries.step(None)
    execute, task_id = connection.execute, None
    while True:
        execute("BEGIN IMMEDIATE")
        now = time.time_ns() // 1000
        if task_id is not None:
            execute(finish, ("succeeded", 2, None, now, "null", task_id, 1))
        task_id = execute(look, {"now": now, "passed": ""}).fetchone()[0]
        if task_id is not None:
            execute(claim, ("running", 1, "worker", now, 1, task_id, 0))
        execute("COMMIT")
        yield
