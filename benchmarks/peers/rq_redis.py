"""RQ on Redis, with a fork for each task (its default), and without."""

from __future__ import annotations

import os
from typing import Iterable

from redis import Redis
from rq import Queue

from benchmarks import workload
from benchmarks.peers import Processes


class RQ:
    """RQ with one of its classes of workers."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._url = os.environ[workload.REDIS] + "/2"
        self._workers = Processes()

    def open(self) -> None:
        self._queue = Queue(connection=Redis.from_url(self._url))

    def call(self, number: int) -> None:
        self._queue.enqueue(workload.work, number)

    def call_many(self, numbers: Iterable[int]) -> None:
        """Enqueue many at once."""
        data = [Queue.prepare_data(workload.work, (number,)) for number in numbers]
        self._queue.enqueue_many(data)

    def fill(self, numbers: Iterable[int]) -> None:
        self.call_many(numbers)

    def start(self, workers: int) -> None:
        for _ in range(workers):
            self._workers.run(
                *f"rq worker --quiet --url {self._url} --worker-class {self._kind}".split()
            )

    def stop(self) -> None:
        self._workers.stop()
