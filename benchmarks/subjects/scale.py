"""The same speed with a thousand tasks in the database, and with millions."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from typing import Any, List, Sequence

from benchmarks import workload
from benchmarks.peers import peer
from benchmarks.subjects import Figures

SMALL, LARGE = "1,000 of each", "1,000,000 of each"
TITLE = "With so many tasks waiting, scheduled for later, and kept as results"
PEERS = [SMALL, LARGE]
REFERENCES = {
    "call, p50, µs": (SMALL, "call, p50, µs"),
    "drain, per s": (SMALL, "drain, per s"),
}
_TRIES = 5
# What looks at tasks, alone and with what narrows it: for what all of them are, and for nothing.
_LISTS: List[List[str]] = [
    ["--info"],
    ["--stats"],
    ["--stats", "--task", "work"],
    ["--stats", "--queue", "none"],
    ["--tasks"],
    ["--tasks", "--task", "work"],
    ["--tasks", "--task", "none"],
    ["--tasks", "--queue", "default"],
    ["--tasks", "--queue", "none"],
    ["--tasks", "--older-than", "1h"],
    ["--results"],
    ["--results", "--task", "work"],
    ["--results", "--task", "none"],
    ["--results", "--queue", "none"],
    ["--results", "--newer-than", "1h"],
    ["--failed"],
    ["--failed", "--task", "none"],
]
_YEAR = 365 * 86400 * 10**6
# Columns that are as in every task are left to their defaults, as autocron does it.
_ROWS = """
WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < :count)
INSERT INTO tasks ({columns}) SELECT {values} FROM numbers"""
# Ids are as long as those that autocron draws.
_WHAT = "id, name, payload, enqueued_at, run_at"
_NAME = "'benchmarks.peers.own:work', '[[1],{}]'"


def _fill(database: str, count: int) -> None:
    connection = sqlite3.connect(database)
    now = time.time_ns() // 1000
    values = {"count": count, "now": now, "year": _YEAR}
    for columns, row in (
        (_WHAT, f"printf('w%029d', n), {_NAME}, :now + n, :now + n"),
        (_WHAT, f"printf('l%029d', n), {_NAME}, :now, :now + :year + n * 1000000"),
        (
            f"{_WHAT}, state, revision, attempt, started_at, finished_at, result",
            f"printf('r%029d', n), {_NAME}, :now, :now, 'succeeded', 2, 1, :now, :now, '1'",
        ),
    ):
        connection.execute(_ROWS.format(columns=columns, values=row), values)
        connection.commit()
    connection.close()


def measure(name: str, quick: bool) -> Figures:
    """Fill a database; then call, drain, and ask."""
    count = 1_000 if name == SMALL else 50_000 if quick else 1_000_000
    database = os.path.join(os.environ[workload.FOLDER], "autocron.db")
    measured: Any = peer("autocron, normal")
    measured.open()
    _fill(database, count)
    figures = {f"{' '.join(words)}, ms": _command_ms(database, words) for words in _LISTS}
    figures["--show, ms"] = _command_ms(database, ["--show", f"r{0:029}"])
    seconds = []
    for _ in range(500):
        began = time.perf_counter()
        measured.call(1)
        seconds.append(time.perf_counter() - began)
    figures["call, p50, µs"] = 1e6 * sorted(seconds)[len(seconds) // 2]
    # These are before all others, by their priority.
    first = 1000
    from benchmarks.peers.own import work

    urgent = work.options(priority=50)
    for number in range(first + 1):
        urgent(number)
    began = time.time()
    measured.start(1)
    told = workload.wait_for(first // workload.EVERY + 1)[: first // workload.EVERY + 1]
    measured.stop()
    figures["first task after the start, ms"] = 1e3 * (told[0].at - began)
    figures["drain, per s"] = first / (told[-1].at - told[0].at)
    return figures


def _command_ms(database: str, words: Sequence[str]) -> float:
    """Return how long a command takes, its interpreter's start included; the best of some."""
    command = [sys.executable, "-m", "autocron", database, *words]
    taken = []
    for _ in range(_TRIES):
        began = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        taken.append(time.perf_counter() - began)
    return 1e3 * min(taken)
