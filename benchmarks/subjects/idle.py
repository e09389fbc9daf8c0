"""What two idle workers, and whoever looks after them, cost."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Any, List

from benchmarks import workload
from benchmarks.peers import NAMES, peer
from benchmarks.subjects import Figures

TITLE = "Two idle workers"
PEERS = [name for name in NAMES if name not in ("autocron, normal", "huey, no sync", "RQ, no fork")]
REFERENCES: Any = {}
_SETTLE_SECONDS = 3.0


def measure(name: str, quick: bool) -> Figures:
    """Measure processor time and memory of all processes of a peer, after a task has run."""
    measured = peer(name)
    measured.open()
    measured.start(2)
    measured.call(0)
    workload.wait_for(1)
    time.sleep(_SETTLE_SECONDS)
    processes = _processes()
    seconds = 5 if quick else 30
    before = sum(map(_cpu_seconds, processes))
    time.sleep(seconds)
    used = sum(map(_cpu_seconds, processes)) - before
    memory = sum(map(_pss_megabytes, processes))
    measured.stop()
    return {
        "processor, ms in 30 s": 1e3 * used * 30 / seconds,
        "memory (PSS), MB": memory,
        "processes": len(processes),
    }


def _processes() -> List[Path]:
    """Return those that have inherited the folder of this measurement."""
    mark = f"{workload.FOLDER}={os.environ[workload.FOLDER]}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment = (process / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if mark in environment and int(process.name) != os.getpid():
            found.append(process)
    return found


def _cpu_seconds(process: Path) -> float:
    threads = process.glob("task/*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


def _pss_megabytes(process: Path) -> float:
    found = re.search(r"^Pss:\s+(\d+) kB", (process / "smaps_rollup").read_text(), re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0
