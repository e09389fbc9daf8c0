"""autocron itself, through what its users call."""

from __future__ import annotations

import os
from typing import Iterable

import autocron
from benchmarks import workload


@autocron.delay
def work(number: int) -> int:
    """Do nothing."""
    return workload.work(number)


class Autocron:
    """autocron with ``durability="full"`` or ``"normal"``."""

    def __init__(self, durability: str) -> None:
        self._durability = durability
        self._database = os.path.join(os.environ[workload.FOLDER], "autocron.db")

    def open(self) -> None:
        autocron.start(self._database, workers=0, durability=self._durability)

    def call(self, number: int) -> None:
        work(number)

    def call_many(self, numbers: Iterable[int]) -> None:
        """Enqueue many at once."""
        work.map(numbers)

    def call_later(self, number: int, seconds: float) -> None:
        """Enqueue a call for later."""
        work.options(seconds=seconds)(number)

    def fill(self, numbers: Iterable[int]) -> None:
        autocron.stop()
        autocron.start(self._database, workers=0, durability="normal")
        for number in numbers:
            work(number)

    def start(self, workers: int) -> None:
        autocron.stop()
        autocron.start(self._database, workers=workers, durability=self._durability)

    def stop(self) -> None:
        autocron.stop()
