"""huey on SQLite, with the sync of its default (SQLite's own: FULL), and without."""

from __future__ import annotations

import os
from typing import Iterable

from huey import SqliteHuey

from benchmarks import workload
from benchmarks.peers import Processes

_SYNC = "AUTOCRON_BENCH_HUEY"
queue = SqliteHuey(
    filename=os.path.join(os.environ[workload.FOLDER], "huey.db"),
    fsync=False if os.environ.get(_SYNC) == "off" else None,
)


@queue.task()
def work(number: int) -> int:
    return workload.work(number)


class Huey:
    """huey, its workers as processes."""

    def __init__(self, sync: str) -> None:
        os.environ[_SYNC] = sync
        # Read by the workers from the environment; this process has made its queue already.
        queue.storage._fsync = False if sync == "off" else None
        queue.storage.close()
        self._workers = Processes()

    def open(self) -> None:
        queue.storage.conn  # noqa: B018

    def call(self, number: int) -> None:
        work(number)

    def fill(self, numbers: Iterable[int]) -> None:
        queue.storage.conn.execute("PRAGMA synchronous=OFF")
        for number in numbers:
            work(number)
        queue.storage.close()

    def start(self, workers: int) -> None:
        self._workers.run(
            "huey_consumer",
            "benchmarks.peers.huey_sqlite.queue",
            "-k",
            "process",
            "-w",
            str(workers),
        )

    def stop(self) -> None:
        self._workers.stop()
