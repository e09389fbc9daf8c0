"""From before a call to the first line of its function, in an idle worker of another process.

The floors are bare inserts of a small row after the same rests, synced and not: a disk that has
rested answers later, and a process that has slept is slower.
"""

from __future__ import annotations

import os
import time
from typing import Any, List

from benchmarks import workload
from benchmarks.peers import NAMES, peer
from benchmarks.subjects import Figures, quantile
from benchmarks.subjects.enqueue import raw_inserts

TITLE = "Idle to task start"
_FLOORS = {"a bare synced insert": "FULL", "a bare insert": "NORMAL"}
PEERS = (*_FLOORS, *NAMES)
REFERENCES: Any = {}
_LATER_SECONDS = 0.15


def measure(name: str, quick: bool) -> Figures:
    """Call at uneven intervals, each time when the call before has been run."""
    if name in _FLOORS:
        return {"the call itself, p50, ms": _floor(_FLOORS[name], 30 if quick else 200)}
    measured: Any = peer(name)
    measured.open()
    measured.start(1)
    measured.call(0)
    workload.wait_for(1)
    figures = _measure(measured.call, 30 if quick else 200, "")
    # After a longer rest, since some look less often then.
    figures.update(_measure(measured.call, 1 if quick else 5, "after 3 s: ", 3.0))
    if hasattr(measured, "call_later"):
        late = _measure(
            lambda number: measured.call_later(number, _LATER_SECONDS), 10 if quick else 40, ""
        )
        figures["late, p50, ms"] = late["p50, ms"] - 1e3 * _LATER_SECONDS
    measured.stop()
    return figures


def _rest(turn: int) -> float:
    return 0.01 + 0.02 * (turn * 7 % 10) / 10


def _floor(sync: str, count: int) -> float:
    insert = raw_inserts(os.path.join(os.environ[workload.FOLDER], "raw.db"), sync)
    seconds: List[float] = []
    for turn in range(count):
        time.sleep(_rest(turn))
        began = time.perf_counter()
        insert(turn)
        seconds.append(time.perf_counter() - began)
    return 1e3 * quantile(seconds, 0.5)


def _measure(call: Any, count: int, prefix: str, rest_seconds: float = 0.0) -> Figures:
    seconds: List[float] = []
    after_call: List[float] = []
    for turn in range(count):
        time.sleep(rest_seconds or _rest(turn))
        before = len(workload.stamps())
        called = time.time()
        call(before * workload.EVERY)
        returned = time.time()
        at = workload.wait_for(before + 1)[before].at
        seconds.append(1e3 * (at - called))
        after_call.append(1e3 * (at - returned))
    figures = {f"{prefix}p50, ms": quantile(seconds, 0.5)}
    if not prefix:
        figures["p99, ms"] = quantile(seconds, 0.99)
        figures["the call itself, p50, ms"] = quantile(seconds, 0.5) - quantile(after_call, 0.5)
    return figures
