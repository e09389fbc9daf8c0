"""How the plain store finds tasks without looking at all of them.

Both parts are lazy: a task that has changed leaves its old entries behind, and an entry counts only
as long as the very object in it is what is stored.
"""

from __future__ import annotations

import heapq
from bisect import insort
from datetime import datetime
from typing import Dict, Iterable, List, Mapping, Optional, Tuple

from autocron.core.task import Task, TaskState

# Due time, age, and a number of its own, so that two entries never compare their tasks.
Entry = Tuple[datetime, int, int, Task]
Tasks = Dict[str, Task]


class Ended:
    """When tasks in one final state ended: a heap, in which purged tasks may still stand."""

    def __init__(self) -> None:
        self._heap: List[Entry] = []
        self._count = 0

    def put(self, task: Task, age: int) -> None:
        """Note that a task has ended."""
        if task.finished_at is not None:
            self._count += 1
            heapq.heappush(self._heap, (task.finished_at, age, self._count, task))

    def take(self, before: datetime, stored: Mapping[str, Task]) -> Optional[Entry]:
        """Take out the first that ended before an instant and is still there."""
        heap = self._heap
        while heap and heap[0][0] < before:
            entry = heapq.heappop(heap)
            task = entry[3]
            if stored.get(task.id) is task:
                return entry
        return None


class DueOrder:
    """The waiting tasks, in the order in which they are to be run.

    Each priority has a heap by due time and age. Of the tasks with one lock only the first stands
    in it, and none while the lock is held, so that any number of tasks that wait for a lock cost
    nothing.

    Arguments:
        stored: What is stored, by id; an entry counts while its task is the one in there.
    """

    def __init__(self, stored: Mapping[str, Task]) -> None:
        self._stored = stored
        self._count = 0
        self._heaps: Dict[int, List[Entry]] = {}
        self._levels: List[Tuple[int, List[Entry]]] = []  # by descending priority, negated
        self._of_lock: Dict[str, Dict[int, List[Entry]]] = {}
        self._holders: Dict[str, int] = {}
        self._later: List[Entry] = []
        self._horizon: Optional[datetime] = None

    def put(self, task: Task, age: int) -> None:
        """Note that a task waits."""
        self._count += 1
        entry = (task.run_at, age, self._count, task)
        heap = self._heaps.get(task.priority)
        if heap is None:
            heap = self._heaps[task.priority] = []
            insort(self._levels, (-task.priority, heap))
        if task.lock is None:
            heapq.heappush(heap, entry)
        else:
            group = self._of_lock.setdefault(task.lock, {}).setdefault(task.priority, [])
            heapq.heappush(group, entry)
            if group[0] is entry and task.lock not in self._holders:
                heapq.heappush(heap, entry)
        if self._horizon is not None and task.run_at > self._horizon:
            heapq.heappush(self._later, entry)

    def hold(self, lock: str) -> None:
        """Note that a task with a lock runs."""
        self._holders[lock] = self._holders.get(lock, 0) + 1

    def release(self, lock: str) -> None:
        """Note that a task with a lock runs no more."""
        self._holders[lock] -= 1
        if not self._holders[lock]:
            del self._holders[lock]
            for priority in self._of_lock.get(lock, ()):
                self._offer_first(lock, priority)

    def _offer_first(self, lock: str, priority: int) -> None:
        group = self._of_lock[lock][priority]
        while group and not self._counts(group[0]):
            heapq.heappop(group)
        if group:
            heapq.heappush(self._heaps[priority], group[0])

    def _counts(self, entry: Entry) -> bool:
        task = entry[3]
        return self._stored.get(task.id) is task

    def claimable(self, now: datetime) -> Optional[Task]:
        """Return the task to run next at an instant."""
        stored = self._stored
        for _, heap in self._levels:
            while heap:
                task = heap[0][3]
                if stored.get(task.id) is not task:
                    heapq.heappop(heap)
                    if task.lock is not None and task.lock not in self._holders:
                        self._offer_first(task.lock, task.priority)
                elif task.lock is not None and task.lock in self._holders:
                    heapq.heappop(heap)  # offered again when the lock is released
                elif task.run_at > now:
                    break
                else:
                    return task
        return None

    def next_due_at(self, after: datetime) -> Optional[datetime]:
        """Return the earliest due time after an instant; asked of ever later ones, in no time."""
        if self._horizon is None or after < self._horizon:
            self._later = self._entries(self._stored.values(), after)
        self._horizon = after
        later = self._later
        while later and (later[0][0] <= after or not self._counts(later[0])):
            heapq.heappop(later)
        return later[0][0] if later else None

    @staticmethod
    def _entries(tasks: Iterable[Task], after: datetime) -> List[Entry]:
        entries = [
            # Negative numbers are those of no other entry.
            (task.run_at, 0, -number, task)
            for number, task in enumerate(tasks)
            if task.run_at > after and task.state is TaskState.WAITING
        ]
        heapq.heapify(entries)
        return entries
