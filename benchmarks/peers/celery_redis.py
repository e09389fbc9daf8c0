"""Celery with Redis as broker and for results, its defaults besides."""

from __future__ import annotations

import os
from typing import Iterable

from celery import Celery

from benchmarks import workload
from benchmarks.peers import Processes

_url = os.environ[workload.REDIS]
app = Celery("benchmark", broker=f"{_url}/0", backend=f"{_url}/1")
app.conf.broker_connection_retry_on_startup = True


@app.task
def work(number: int) -> int:
    return workload.work(number)


class CeleryRedis:
    """Celery, its workers as processes."""

    def __init__(self) -> None:
        self._workers = Processes()

    def open(self) -> None:
        work.delay(1).forget()

    def call(self, number: int) -> None:
        work.delay(number)

    def fill(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            work.delay(number)

    def start(self, workers: int) -> None:
        self._workers.run(
            *f"celery -A benchmarks.peers.celery_redis worker -c {workers} -l ERROR".split()
        )

    def stop(self) -> None:
        self._workers.stop()
