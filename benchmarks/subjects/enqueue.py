"""What a call costs, in turn with bare inserts of the same size into SQLite files beside it."""

from __future__ import annotations

import os
import sqlite3
import time
from typing import Callable, Dict, List

from benchmarks.peers import NAMES, peer
from benchmarks.subjects import Figures, quantile
from benchmarks.workload import FOLDER

TITLE = "A call, workers off"
PEERS = [name for name in NAMES if name != "RQ, no fork"]
REFERENCES = {
    "p50, µs": (None, "raw FULL, µs"),
    "p50, µs ": (None, "raw NORMAL, µs"),
}


def raw_inserts(path: str, sync: str) -> Callable[[int], None]:
    """Return what inserts a small row into a new database, one synced write each."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute(f"PRAGMA synchronous={sync}")
    connection.execute("CREATE TABLE calls (id TEXT UNIQUE, name TEXT, payload TEXT, at INTEGER)")

    def insert(number: int) -> None:
        row = (os.urandom(12).hex(), "benchmarks.peers.own:work", f"[[{number}],{{}}]", number)
        connection.execute("INSERT INTO calls VALUES (?, ?, ?, ?)", row)

    return insert


def measure(name: str, quick: bool) -> Figures:
    """Time single calls."""
    measured = peer(name)
    measured.open()
    kinds: Dict[str, Callable[[int], None]] = {"call": measured.call}
    for sync in ("FULL", "NORMAL"):
        kinds[sync] = raw_inserts(os.path.join(os.environ[FOLDER], f"raw-{sync}.db"), sync)
    seconds: Dict[str, List[float]] = {kind: [] for kind in kinds}
    # Turns of some, since after each wait for the disk everything takes several times as long.
    for _ in range(4 if quick else 20):
        for kind, act in kinds.items():
            # Numbers that no worker would tell of; the first ones are to get warm.
            for number in range(1, 60):
                began = time.perf_counter()
                act(number)
                if number >= 10:
                    seconds[kind].append(time.perf_counter() - began)
    measured.stop()
    call, full, normal = (1e6 * quantile(seconds[kind], 0.5) for kind in ("call", "FULL", "NORMAL"))
    return {
        "p50, µs": call,
        "p95, µs": 1e6 * quantile(seconds["call"], 0.95),
        "raw FULL, µs": full,
        "raw NORMAL, µs": normal,
        # Once more, to be compared with the other one.
        "p50, µs ": call,
    }
