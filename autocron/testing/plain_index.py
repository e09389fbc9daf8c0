"""How the plain store finds tasks without looking at all of them.

Both parts are lazy: a task that has changed leaves its old entries behind, and an entry counts only
as long as the very object in it is what is stored.
"""

from __future__ import annotations

import heapq
from bisect import insort
from datetime import datetime
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

from autocron.core.task import Task, TaskState

# Due time, age, and a number of its own, so that two entries never compare their tasks.
Entry = Tuple[datetime, int, int, Task]
Tasks = Dict[str, Task]

# Ids of tasks, in the order in which they came; a dictionary, since sets have none.
Ids = Dict[str, None]


class InHand:
    """The tasks that wait or run, by what they have in common.

    A task that begins to run stays where it is, so that the life of most tasks changes this twice.
    """

    def __init__(self) -> None:
        # Also schedules of which none does so: the next one is not far.
        self.of_schedule: Dict[str, Ids] = {}
        self.of_unique: Dict[str, Ids] = {}
        self.of_group: Dict[str, Ids] = {}
        self.of_forerunner: Dict[str, Ids] = {}

    def put(self, task: Task) -> None:
        """Note that a task waits or runs."""
        if task.schedule is not None:
            ids = self.of_schedule.get(task.schedule)
            if ids is None:
                self.of_schedule[task.schedule] = {task.id: None}
            else:
                ids[task.id] = None
        if task.unique is not None:
            self.of_unique.setdefault(task.unique, {})[task.id] = None
        if task.group is not None:
            self.of_group.setdefault(task.group, {})[task.id] = None
        if task.after is not None:
            self.of_forerunner.setdefault(task.after, {})[task.id] = None

    def take(self, task: Task) -> None:
        """Note that a task does so no more."""
        if task.schedule is not None:
            del self.of_schedule[task.schedule][task.id]
        if task.unique is not None:
            _take(self.of_unique, task.unique, task.id)
        if task.group is not None:
            _take(self.of_group, task.group, task.id)
        if task.after is not None:
            _take(self.of_forerunner, task.after, task.id)


def _take(groups: Dict[str, Ids], key: str, task_id: str) -> None:
    group = groups[key]
    if len(group) == 1:
        del groups[key]
    else:
        del group[task_id]


class _Lane:
    """The tasks of one priority in one queue, in the order in which they are to be run.

    Tasks that share a lock, its limit, and a rate key can begin or can not, all of them alike: only
    the first of such a group stands among the tasks without one, so that any number of tasks that
    wait for a lock cost as much as one. A task that expires stands for itself.
    """

    __slots__ = ("groups", "heap")

    def __init__(self) -> None:
        self.heap: List[Entry] = []
        self.groups: Dict[Tuple[Any, ...], List[Entry]] = {}

    def put(self, entry: Entry) -> None:
        """Add a task that has a lock or a rate key."""
        task = entry[3]
        if task.expires_at is not None:
            heapq.heappush(self.heap, entry)
            return
        group = self.groups.setdefault((task.lock, task.limit, task.rate_key), [])
        heapq.heappush(group, entry)
        if group[0] is entry:
            heapq.heappush(self.heap, entry)


class DueOrder:
    """The waiting tasks that are not held, in the order in which they are to be run.

    Arguments:
        stored: What is stored, by id; an entry counts while its task is the one in there.
        busy: Until when the rate keys are busy.
    """

    def __init__(self, stored: Mapping[str, Task], busy: Mapping[str, datetime]) -> None:
        self._stored = stored
        self._busy = busy
        self._count = 0
        # By priority, negated as sorted() sorts upwards, and queue.
        self._lanes: Dict[Tuple[int, str], _Lane] = {}
        self._order: List[Tuple[int, str]] = []
        self._only: Optional[_Lane] = None
        self._holders: Dict[str, int] = {}
        self._later: Dict[str, List[Entry]] = {}
        self._horizon: Optional[datetime] = None

    def put(self, task: Task, age: int) -> None:
        """Note that a task waits, and is not held."""
        self._count += 1
        entry = (task.run_at, age, self._count, task)
        place = (-task.priority, task.queue)
        lane = self._lanes.get(place)
        if lane is None:
            lane = self._lanes[place] = _Lane()
            insort(self._order, place)
            self._only = lane if len(self._order) == 1 else None
        if task.lock is None and task.rate_key is None:
            heapq.heappush(lane.heap, entry)
        else:
            lane.put(entry)
        if self._horizon is not None and task.run_at > self._horizon:
            heapq.heappush(self._later.setdefault(task.queue, []), entry)

    def hold(self, lock: str) -> None:
        """Note that a task with a lock runs."""
        self._holders[lock] = self._holders.get(lock, 0) + 1

    def release(self, lock: str) -> None:
        """Note that a task with a lock runs no more."""
        self._holders[lock] -= 1
        if not self._holders[lock]:
            del self._holders[lock]

    def _counts(self, entry: Entry) -> bool:
        task = entry[3]
        return self._stored.get(task.id) is task

    def claimable(self, now: datetime, is_open: Optional[Callable[[str], bool]]) -> Optional[Task]:
        """Return the task to run next at an instant, of the queues that are open; None is all."""
        if is_open is None and self._only is not None:
            head = self._head(self._only, now)
            return None if head is None else head[3]
        best: Optional[Entry] = None
        level = 0
        for place in self._order:
            if best is not None and place[0] != level:
                break
            if is_open is None or is_open(place[1]):
                head = self._head(self._lanes[place], now)
                if head is not None and (best is None or head < best):
                    best, level = head, place[0]
        return None if best is None else best[3]

    def _head(self, lane: _Lane, now: datetime) -> Optional[Entry]:
        """Return the first entry of a lane whose task may begin."""
        heap, stored = lane.heap, self._stored
        passed: List[Entry] = []
        head: Optional[Entry] = None
        while heap:
            entry = heap[0]
            task = entry[3]
            if stored.get(task.id) is not task:
                heapq.heappop(heap)
                if lane.groups:
                    self._offer_next(lane, task)
            elif entry[0] > now:
                break
            elif (
                task.lock is None and task.rate_key is None and task.expires_at is None
            ) or self._may_begin(task, now):
                head = entry
                break
            else:
                passed.append(heapq.heappop(heap))
        for entry in passed:
            heapq.heappush(heap, entry)
        return head

    def _offer_next(self, lane: _Lane, task: Task) -> None:
        """Let the next one of a group stand in its lane."""
        group = lane.groups.get((task.lock, task.limit, task.rate_key))
        if group is None or task.expires_at is not None:
            return
        while group and not self._counts(group[0]):
            heapq.heappop(group)
        if group:
            heapq.heappush(lane.heap, group[0])
        else:
            del lane.groups[task.lock, task.limit, task.rate_key]

    def _may_begin(self, task: Task, now: datetime) -> bool:
        if task.expires_at is not None and task.expires_at <= now:
            return False
        if task.lock is not None and self._holders.get(task.lock, 0) >= task.limit:
            return False
        if task.rate_key is None:
            return True
        free_at = self._busy.get(task.rate_key)
        return free_at is None or free_at <= now

    def next_due_at(
        self, after: datetime, is_open: Optional[Callable[[str], bool]]
    ) -> Optional[datetime]:
        """Return the earliest due time after an instant; asked of ever later ones, in no time."""
        if self._horizon is None or after < self._horizon:
            self._later = self._entries(after)
        self._horizon = after
        if not (self._later or self._busy):
            return None
        found: Optional[datetime] = None
        for queue, later in self._later.items():
            while later and (later[0][0] <= after or not self._counts(later[0])):
                heapq.heappop(later)
            if (
                later
                and (is_open is None or is_open(queue))
                and (found is None or later[0][0] < found)
            ):
                found = later[0][0]
        for free_at in self._busy.values():
            if free_at > after and (found is None or free_at < found):
                found = free_at
        return found

    def _entries(self, after: datetime) -> Dict[str, List[Entry]]:
        """Return what waits for later than an instant, by queue."""
        later: Dict[str, List[Entry]] = {}
        for number, task in enumerate(self._stored.values()):
            if task.state is TaskState.WAITING and task.after is None and task.run_at > after:
                # Negative numbers are those of no other entry.
                later.setdefault(task.queue, []).append((task.run_at, 0, -number, task))
        for entries in later.values():
            heapq.heapify(entries)
        return later
