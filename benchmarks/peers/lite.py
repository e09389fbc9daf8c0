"""litequeue, a bare queue on SQLite: its worker is a loop that looks each millisecond."""

from __future__ import annotations

import os
import time
from typing import Iterable

from litequeue import LiteQueue as Queue

from benchmarks import workload
from benchmarks.peers import Processes


def _open() -> Queue:
    return Queue(os.path.join(os.environ[workload.FOLDER], "lite.db"))


class LiteQueue:
    """litequeue with its own settings, which sync as ``NORMAL`` does."""

    def __init__(self) -> None:
        self._workers = Processes()

    def open(self) -> None:
        self._queue = _open()

    def call(self, number: int) -> None:
        self._queue.put(str(number))

    def call_many(self, numbers: Iterable[int]) -> None:
        """Enqueue many at once."""
        with self._queue.transaction():
            for number in numbers:
                self._queue.put(str(number))

    def fill(self, numbers: Iterable[int]) -> None:
        self.call_many(numbers)

    def start(self, workers: int) -> None:
        for _ in range(workers):
            self._workers.run("-m", "benchmarks.peers.lite")

    def stop(self) -> None:
        self._workers.stop()
        self._queue.close()


def main() -> None:
    """Work until ended."""
    queue = _open()
    while True:
        message = queue.pop()
        if message is None:
            time.sleep(0.001)
            continue
        workload.work(int(message.data))
        queue.done(message.message_id, claim_id=message.claim_id)


if __name__ == "__main__":
    main()
