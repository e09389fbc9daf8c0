"""What an import costs over bare Python, and how soon after ``start()`` the first task runs."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from typing import Any, List

from benchmarks import workload
from benchmarks.peers import peer
from benchmarks.subjects import Figures

TITLE = "Import and start"
PEERS = ["autocron", "huey", "litequeue", "Celery, Redis", "RQ, Redis"]
REFERENCES: Any = {}
_MODULES = {
    "autocron": "autocron",
    "huey": "huey",
    "litequeue": "litequeue",
    "Celery, Redis": "celery; celery.Celery('x')",
    "RQ, Redis": "rq",
}


def measure(name: str, quick: bool) -> Figures:
    """Measure imports in turn with bare Python, then one start."""
    bare: List[float] = []
    imports: List[float] = []
    for _ in range(3 if quick else 11):
        bare.append(_cpu_seconds("pass"))
        imports.append(_cpu_seconds(f"import {_MODULES[name]}"))
    used = 1e3 * (statistics.median(imports) - statistics.median(bare))
    figures = {"import, processor, ms": used}
    measured = peer(name)
    began = time.time()
    measured.open()
    measured.start(1)
    started = time.time()
    measured.call(0)
    first = workload.wait_for(1)[0]
    measured.stop()
    if name == "autocron":
        figures["start(), ms"] = 1e3 * (started - began)
    figures["first task after the start, ms"] = 1e3 * (first.at - began)
    return figures


def _cpu_seconds(code: str) -> float:
    process = subprocess.Popen([sys.executable, "-c", code])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.WEXITSTATUS(status)
    return usage.ru_utime + usage.ru_stime
