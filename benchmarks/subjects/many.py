"""10,000 calls at once, where a peer has a way to say so, or one after the other from threads."""

from __future__ import annotations

import threading
import time
from typing import Any

from benchmarks.peers import peer
from benchmarks.subjects import Figures

TITLE = "10,000 calls at once, and calls of four threads"
PEERS = ["autocron", "autocron, normal", "litequeue", "RQ, Redis"]
REFERENCES: Any = {}
_THREADS = 4


def measure(name: str, quick: bool) -> Figures:
    """Time one call for 10,000 tasks, and as many single ones as a few threads make in turn."""
    measured: Any = peer(name)
    measured.open()
    count = 2_000 if quick else 10_000
    measured.call_many([1] * 10)
    began = time.perf_counter()
    measured.call_many([1] * count)
    figures = {"at once, per s": count / (time.perf_counter() - began)}
    if name.startswith("autocron"):
        each = count // 40
        threads = [
            threading.Thread(target=lambda: [measured.call(1) for _ in range(each)])
            for _ in range(_THREADS)
        ]
        began = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        figures["four threads, per s"] = _THREADS * each / (time.perf_counter() - began)
    measured.stop()
    return figures
