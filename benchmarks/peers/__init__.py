"""The systems that are measured, all through the same few methods.

A peer is made in a process of its own, whose environment names a new folder and a Redis server.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from typing import Dict, Iterable, List, Protocol

from benchmarks.workload import FOLDER


class Peer(Protocol):
    """One system, in one configuration."""

    def open(self) -> None:
        """Make it ready to take calls in this process; no worker runs."""

    def call(self, number: int) -> None:
        """Enqueue ``work(number)``, as its users do."""

    def fill(self, numbers: Iterable[int]) -> None:
        """Enqueue the same calls without waiting for the disk: they are there to be drained."""

    def start(self, workers: int) -> None:
        """Run so many worker processes, as its users do."""

    def stop(self) -> None:
        """End them, and all else that was started."""


# name -> module, class, arguments
_PEERS: Dict[str, List[str]] = {
    "autocron": ["own", "Autocron", "full"],
    "autocron, normal": ["own", "Autocron", "normal"],
    "huey": ["huey_sqlite", "Huey", "default"],
    "huey, no sync": ["huey_sqlite", "Huey", "off"],
    "litequeue": ["lite", "LiteQueue"],
    "Celery, Redis": ["celery_redis", "CeleryRedis"],
    "RQ, Redis": ["rq_redis", "RQ", "rq.Worker"],
    "RQ, no fork": ["rq_redis", "RQ", "rq.SimpleWorker"],
}
NAMES = list(_PEERS)
NEEDS_REDIS = {"Celery, Redis", "RQ, Redis", "RQ, no fork"}


def peer(name: str) -> Peer:
    """Make a peer of its name."""
    module, kind, *arguments = _PEERS[name]
    made: Peer = getattr(importlib.import_module(f"benchmarks.peers.{module}"), kind)(*arguments)
    return made


class Processes:
    """Worker processes of a peer, started by its own command."""

    def __init__(self) -> None:
        self._all: List[subprocess.Popen[bytes]] = []

    def run(self, *command: str) -> None:
        """Start a command of the environment's ``bin``, or a module of Python's with ``-m``."""
        if command[0] == "-m":
            command = (sys.executable, *command)
        else:
            command = (os.path.join(os.path.dirname(sys.executable), command[0]), *command[1:])
        log = open(os.path.join(os.environ[FOLDER], "workers.log"), "ab")  # noqa: SIM115
        self._all.append(subprocess.Popen(command, stdout=log, stderr=log))
        log.close()

    def stop(self) -> None:
        """End them."""
        for process in self._all:
            process.terminate()
        for process in self._all:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._all.clear()
