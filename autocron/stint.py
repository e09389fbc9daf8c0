"""A stint: short tasks that are claimed together, run one after the other, and stored together.

To claim a task and to end it takes a transaction, and that takes longer than many a task. While
tasks wait that were short lately, an engine with a :class:`~autocron.ports.Logbook` claims several
in the transaction that stores what has ended. How many follows from what they took: all of a stint
together are to take a few milliseconds, so that nothing waits longer behind them, neither what is
more urgent, nor who waits for a result.
"""

from __future__ import annotations

import math
from collections import deque
from datetime import datetime
from typing import Deque, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple

from autocron.core.task import Task

# What all tasks of a stint are to take together, and how many they are at most.
STINT_SECONDS = 0.005
MOST = 64
# A task that took longer counts as long for so many that did not; a worker lives for long.
_FORGOTTEN_EACH_TIME = 0.1
_MOST_NAMES = 1000


class Stint:
    """The tasks that one engine has claimed together: those that have ended, and those to come.

    Attributes:
        kept: What has ended and is not stored: each task as it is stored, and as it is to be.
        ahead: What is claimed and has not begun.
    """

    def __init__(self) -> None:
        self.kept: List[Tuple[Task, Task]] = []
        self.ahead: Deque[Task] = deque()
        self._began_at: Optional[datetime] = None
        self._size = 1
        # By the name of the function.
        self._seconds: Dict[str, float] = {}

    def __bool__(self) -> bool:
        return bool(self.kept or self.ahead)

    def learn(self, task: Task, ended_at: datetime) -> None:
        """Take note of how long an attempt took, which has begun at ``started_at``."""
        if task.started_at is None:
            return
        # It may have been set back meanwhile.
        name, seconds = task.name, max(0.0, (ended_at - task.started_at).total_seconds())
        before = self._seconds.get(name)
        if before is not None and seconds < before:
            seconds = before + (seconds - before) * _FORGOTTEN_EACH_TIME
        elif before is None and len(self._seconds) >= _MOST_NAMES:
            self._seconds.clear()
        self._seconds[name] = seconds

    def room(self, first: Task) -> int:
        """Tell how many tasks may be claimed with one: twice as many each time that there are."""
        seconds = self._seconds.get(first.name, math.inf)
        return min(2 * self._size, MOST) - 1 if seconds < STINT_SECONDS else 0

    def fitting(self, first: Task, following: Iterable[Task]) -> Iterator[Task]:
        """Return those that may be claimed with the first one: while they are short together.

        Arguments:
            first: One for which there is room.
            following: Those behind it.
        """
        seconds = self._seconds[first.name]
        for task in following:
            # One that is not known is given a stint of its own.
            seconds += self._seconds.get(task.name, math.inf)
            if seconds > STINT_SECONDS:
                return
            yield task

    def begin(self, claimed: Sequence[Task]) -> Task:
        """Take what was claimed, once all that was kept is stored; return the first one."""
        first, *ahead = claimed
        self.ahead.extend(ahead)
        self._began_at, self._size = first.started_at, len(claimed)
        return first

    def is_over(self, at: datetime) -> bool:
        """Tell whether what has ended is to be stored now."""
        began_at = self._began_at
        return began_at is None or not 0 <= (at - began_at).total_seconds() < STINT_SECONDS
