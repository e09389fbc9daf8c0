"""A store in plain Python, for the simulator, which asks it millions of times.

It is no stand-in that may differ: it keeps the contract of :mod:`autocron.testing.contract`, and
the specification plays the same random histories on it as on SQLite.
"""

from __future__ import annotations

import heapq
import threading
from bisect import bisect_left, insort
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from types import MappingProxyType, TracebackType
from typing import (
    Any,
    Callable,
    ContextManager,
    Dict,
    FrozenSet,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    Type,
)

from autocron.core.errors import StoreError
from autocron.core.schedule import Schedule
from autocron.core.task import ALL_QUEUES, Task, TaskState
from autocron.ports import Stats
from autocron.testing.plain_index import DueOrder, GroupedShelf, Shelf, Tasks, put_into, take_from

_UTC = timezone.utc
_INSTANTS = (
    "enqueued_at",
    "run_at",
    "expires_at",
    "unique_until_at",
    "occurrence_at",
    "unknown_since_at",
    "started_at",
    "finished_at",
    "cancel_asked_at",
)
Undo = Tuple[Callable[..., None], Tuple[Any, ...]]
# When a task with a rate key began, and from when on that does not matter any more.
Start = Tuple[datetime, datetime]


class _Transaction:
    """What ``with store.transaction():`` enters; it has no state of its own."""

    __slots__ = ("_acquire", "_release", "_store")

    def __init__(self, store: PlainStore, lock: Any) -> None:
        self._store = store
        self._acquire, self._release = lock.acquire, lock.release

    def __enter__(self) -> None:
        self._acquire()
        self._store.depth += 1

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        store = self._store
        try:
            store.depth -= 1
            if kind is not None or store.is_undone or store.depth:
                store.end(failed=kind is not None)
            else:
                store.undo.clear()
        finally:
            self._release()


class PlainStore:
    """Keeps tasks, schedules and settings in dictionaries; implements ``autocron.ports.Store``.

    Threads may share one: whoever is in a transaction has it alone. Closing it forgets what is in
    it, as with a database in memory.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._transaction = _Transaction(self, self._lock)
        self.depth = 0
        self.is_undone = False
        self.undo: List[Undo] = []
        self._added = 0
        self._forget()

    def _forget(self) -> None:
        self._tasks: Dict[str, Task] = {}
        self._ages: Dict[str, int] = {}
        self._uniques: Dict[str, Tasks] = {}  # those that have a period, in any state
        self._expiring: List[Tuple[datetime, int, str]] = []
        self._schedules: Dict[str, Schedule] = {}
        self._settings: Mapping[str, str] = {}
        self._paused: Dict[str, bool] = {}
        self._starts: Dict[str, Tuple[Start, ...]] = {}
        self._busy: Dict[str, datetime] = {}
        self._waiting, self._running = GroupedShelf(), GroupedShelf()
        self._shelves: Dict[TaskState, Shelf] = {
            TaskState.WAITING: self._waiting,
            TaskState.RUNNING: self._running,
            TaskState.SUCCEEDED: Shelf(),
            TaskState.FAILED: Shelf(),
            TaskState.CANCELLED: Shelf(),
        }
        self._due = DueOrder(self._tasks, self._waiting.tasks, self._busy)
        self._count = 0

    def open(self) -> None:
        """Do nothing: it is usable as it is."""

    def close(self) -> None:
        """Forget everything.

        Raises:
            StoreError: This thread is in a transaction.
        """
        with self._lock:
            if self.depth:
                raise StoreError("can not close a plain store inside a transaction; leave it first")
            self._forget()

    # -- transactions -------------------------------------------------------------------------

    def transaction(self) -> ContextManager[None]:
        """Make what is done inside one atomic change; an exception undoes all of it.

        A transaction inside another one joins it: an exception in the inner one undoes both.
        """
        return self._transaction

    def end(self, failed: bool) -> None:
        """Undo a transaction, or note that the outer one is to be undone; for itself."""
        if self.depth:
            self.is_undone = self.is_undone or failed
            return
        changes, self.undo, self.is_undone = self.undo, [], False
        for change, values in reversed(changes):
            change(*values)
        if not failed:
            raise _undone("commit a transaction")

    # -- tasks --------------------------------------------------------------------------------

    def add(self, task: Task) -> None:
        """Store a new task.

        Raises:
            StoreError: Its id is taken.
        """
        with self._lock:
            if self.is_undone:
                raise _undone(f"store task {task.id}")
            if task.id in self._tasks:
                raise StoreError(f"can not store task {task.id}: its id is taken")
            self._added += 1
            self._put(task.id, self._added, _in_utc(task))

    def swap(self, before: Task, after: Task) -> bool:
        """Replace a task if it still is at ``before.revision``; tell whether it was."""
        with self._lock:
            if self.is_undone:
                raise _undone(f"change task {before.id}")
            stored = self._tasks.get(before.id)
            if stored is None or stored.revision != before.revision:
                return False
            if after.id != before.id:
                after = replace(after, id=before.id)
            self._put(before.id, self._ages[before.id], _in_utc(after))
            return True

    def _put(self, task_id: str, age: int, after: Optional[Task]) -> None:
        """Make a task what it is to be; None removes it. The only place where tasks change."""
        before = self._tasks.get(task_id)
        if self.depth:
            self.undo.append((self._put, (task_id, age, before)))
        if before is not None:
            self._take(before, age)
        if after is None:
            del self._tasks[task_id], self._ages[task_id]
            return
        self._tasks[task_id], self._ages[task_id] = after, age
        shelf = self._shelves[after.state]
        shelf.put(after)
        if after.unique_until_at is not None and after.unique is not None:
            put_into(self._uniques, after.unique, after)
        if shelf is self._waiting:
            if after.after is None:
                self._due.put(after, age)
            if after.expires_at is not None:
                insort(self._expiring, (after.expires_at, age, task_id))
        elif shelf is self._running:
            if after.lock is not None:
                self._due.hold(after.lock)
        elif after.finished_at is not None:
            self._count += 1
            heapq.heappush(shelf.ended, (after.finished_at, age, self._count, after))

    def _take(self, before: Task, age: int) -> None:
        """Take a task out of where it is found."""
        shelf = self._shelves[before.state]
        shelf.take(before)
        if before.unique_until_at is not None and before.unique is not None:
            take_from(self._uniques, before.unique, before)
        if shelf is self._running:
            if before.lock is not None:
                self._due.release(before.lock)
        elif shelf is self._waiting and before.expires_at is not None:
            place = bisect_left(self._expiring, (before.expires_at, age, before.id))
            del self._expiring[place]

    def get(self, task_id: str) -> Optional[Task]:
        """Return one task, or None."""
        with self._lock:
            if self.is_undone:
                raise _undone("read a task")
            return self._tasks.get(task_id)

    def claimable(self, now: datetime, queues: Optional[Sequence[str]] = None) -> Optional[Task]:
        """Return the waiting task to run next: by priority, due time, age.

        Arguments:
            now: The instant at which it is due, has not expired, and its rate key is free.
            queues: The queues of which one is to be its own; None is all.
        """
        with self._lock:
            if self.is_undone:
                raise _undone("look for a due task")
            return self._due.claimable(now, self._open(queues))

    def next_due_at(
        self, after: datetime, queues: Optional[Sequence[str]] = None
    ) -> Optional[datetime]:
        """Return the next instant at which something may become claimable by time alone.

        Arguments:
            after: The instant is later than this one.
            queues: The queues of which it is asked; None is all. What is paused does not count.
        """
        with self._lock:
            if self.is_undone:
                raise _undone("look for the next due task")
            return self._due.next_due_at(after, self._open(queues))

    def _open(self, queues: Optional[Sequence[str]]) -> Callable[[str], bool]:
        """Return what tells whether tasks of a queue may be claimed now."""
        paused = self._paused
        if queues is None and not paused:
            return _anything
        if ALL_QUEUES in paused:
            return _nothing
        return lambda queue: queue not in paused and (queues is None or queue in queues)

    def expiring(self, limit: int) -> List[Task]:
        """Return waiting tasks that expire, the first one to expire first."""
        with self._lock:
            if self.is_undone:
                raise _undone("look for tasks that expire")
            return [self._tasks[task_id] for _, _, task_id in self._expiring[: max(limit, 0)]]

    def taken_by(self, unique: str, running: bool, now: datetime) -> Optional[Task]:
        """Return the oldest task that takes a unique key.

        Arguments:
            unique: The key.
            running: Whether a running task takes it, too.
            now: Later than this is the ``unique_until_at`` of a task that takes it.
        """
        with self._lock:
            if self.is_undone:
                raise _undone("look for a unique task")
            taken = list(self._waiting.of_unique(unique).values())
            if running:
                taken += self._running.of_unique(unique).values()
            if unique in self._uniques:
                taken += [
                    task
                    for task in self._uniques[unique].values()
                    if task.unique_until_at is not None and task.unique_until_at > now
                ]
            return min(taken, key=lambda task: self._ages[task.id], default=None)

    def find(
        self,
        *,
        state: Optional[TaskState] = None,
        name: Optional[str] = None,
        worker: Optional[str] = None,
        schedule: Optional[str] = None,
        group: Optional[str] = None,
        after: Optional[str] = None,
        limit: Optional[int] = None,
    ) -> List[Task]:
        """Return the tasks that match all that is given, oldest first.

        Arguments:
            state: Their state.
            name: The name of their task function.
            worker: The worker that holds them.
            schedule: The key of their schedule.
            group: The id of their group.
            after: The id of the task, or the group, for which they are held, or were.
            limit: Return at most so many.
        """
        with self._lock:
            if self.is_undone:
                raise _undone("look for tasks")
            tasks = self._tasks
            if state is not None:
                shelf = self._shelves[state]
                tasks = shelf.tasks
                if not tasks:
                    return []
                if schedule is not None:
                    tasks = shelf.of_schedule(schedule)
                elif group is not None:
                    tasks = shelf.of_group(group)
                elif after is not None:
                    tasks = shelf.of_forerunner(after)
            if not tasks:
                return []
            found = [
                task
                for task in tasks.values()
                if (schedule is None or task.schedule == schedule)
                and (group is None or task.group == group)
                and (after is None or task.after == after)
                and (worker is None or task.worker == worker)
                and (name is None or task.name == name)
            ]
            if len(found) > 1:
                found.sort(key=lambda task: self._ages[task.id])
            return found if limit is None or limit < 0 else found[:limit]

    def has_in_hand(self, schedule: str) -> bool:
        """Tell whether a task of the schedule with this key waits or runs."""
        with self._lock:
            if self.is_undone:
                raise _undone("look for tasks of a schedule")
            return bool(self._waiting.of_schedule(schedule) or self._running.of_schedule(schedule))

    def stats(self, now: datetime) -> Stats:
        """Return counts over all tasks.

        Arguments:
            now: The instant up to which a waiting task is due.
        """
        with self._lock:
            if self.is_undone:
                raise _undone("count the tasks")
            counts = {state: len(self._shelves[state].tasks) for state in TaskState}
            due = (
                task.run_at
                for task in self._waiting.tasks.values()
                if task.after is None and task.run_at <= now
            )
            return Stats(counts, min(due, default=None))

    def purge(self, state: TaskState, finished_before: datetime, limit: int) -> int:
        """Remove at most ``limit`` tasks in a final state that ended earlier, the oldest first.

        What is still needed stays: the members of a group of which one waits or runs, and tasks
        whose ``unique_until_at`` is not earlier, too.

        Arguments:
            state: A final state.
            finished_before: What ended at this instant, or later, stays.
            limit: How many at most.

        Returns:
            How many were removed.

        Raises:
            StoreError: The state is not final.
        """
        if state is TaskState.WAITING or state is TaskState.RUNNING:
            raise StoreError(f"can not purge {state.value} tasks: only what has ended is purged")
        removed = 0
        with self._lock:
            if self.is_undone:
                raise _undone(f"purge {state.value} tasks")
            heap = self._shelves[state].ended
            needed = []
            while heap and heap[0][0] < finished_before and removed < limit:
                entry = heapq.heappop(heap)
                _, age, _, task = entry
                if self._tasks.get(task.id) is not task:
                    continue
                if self._is_needed(task, finished_before):
                    needed.append(entry)
                else:
                    self._put(task.id, age, None)
                    removed += 1
            for entry in needed:
                heapq.heappush(heap, entry)
        return removed

    def _is_needed(self, task: Task, finished_before: datetime) -> bool:
        if task.unique_until_at is not None and task.unique_until_at >= finished_before:
            return True
        group = task.group
        return group is not None and bool(
            self._waiting.of_group(group) or self._running.of_group(group)
        )

    def shift(self, seconds: float) -> int:
        """Move the due times of the waiting tasks with an elapsed delay; return how many.

        What is held stays: its delay begins when it is released. The starts of rate keys, and the
        instants at which they become free, move along.
        """
        by = timedelta(microseconds=round(seconds * 1_000_000))
        with self._lock:
            if self.is_undone:
                raise _undone("shift delays")
            delayed = [
                task for task in self._waiting.tasks.values() if task.elapsed and task.after is None
            ]
            for task in delayed:
                moved = replace(task, run_at=_moved(task.run_at, by), revision=task.revision + 1)
                self._put(task.id, self._ages[task.id], moved)
            for key, starts in list(self._starts.items()):
                moved_starts = tuple((_moved(at, by), _moved(end, by)) for at, end in starts)
                self._set(self._starts, key, moved_starts)
            for key, free_at in list(self._busy.items()):
                self._set(self._busy, key, _moved(free_at, by))
            return len(delayed)

    # -- rates and queues ---------------------------------------------------------------------

    def starts(self, rate_key: str, limit: int) -> List[datetime]:
        """Return the latest starts of the tasks with a rate key, the last one first."""
        with self._lock:
            if self.is_undone:
                raise _undone("read the starts of a rate")
            starts = sorted((at for at, _ in self._starts.get(rate_key, ())), reverse=True)
            return starts[: max(limit, 0)]

    def put_start(
        self, rate_key: str, at: datetime, until_at: datetime, free_at: Optional[datetime]
    ) -> None:
        """Add a start of a task with a rate key.

        Arguments:
            rate_key: The key.
            at: When it began.
            until_at: From when on it does not matter any more.
            free_at: Until when no other one is claimable; None if the key is free.
        """
        with self._lock:
            if self.is_undone:
                raise _undone(f"note a start of rate {rate_key}")
            start = (at.astimezone(_UTC), until_at.astimezone(_UTC))
            self._set(self._starts, rate_key, (*self._starts.get(rate_key, ()), start))
            self._set(self._busy, rate_key, free_at and free_at.astimezone(_UTC))

    def purge_starts(self, now: datetime) -> None:
        """Remove the starts that do not matter any more, and what they kept from being free."""
        with self._lock:
            if self.is_undone:
                raise _undone("purge the starts of rates")
            for key, starts in list(self._starts.items()):
                left = tuple(start for start in starts if start[1] > now)
                if len(left) < len(starts):
                    self._set(self._starts, key, left or None)
            for key, free_at in list(self._busy.items()):
                if free_at <= now:
                    self._set(self._busy, key, None)

    def busy_rates(self) -> Mapping[str, datetime]:
        """Return until when rate keys are not free, as far as they are not, or were not lately."""
        with self._lock:
            if self.is_undone:
                raise _undone("read the rates")
            return dict(self._busy)

    def paused(self) -> FrozenSet[str]:
        """Return the queues that are paused; :data:`autocron.core.task.ALL_QUEUES` is all."""
        with self._lock:
            if self.is_undone:
                raise _undone("read the paused queues")
            return frozenset(self._paused)

    def put_paused(self, queue: str, is_paused: bool) -> None:
        """Pause a queue, or resume it."""
        with self._lock:
            if self.is_undone:
                raise _undone(f"{'pause' if is_paused else 'resume'} queue {queue}")
            self._set(self._paused, queue, True if is_paused else None)

    # -- schedules and settings -----------------------------------------------------------------

    def schedules(self, key: Optional[str] = None) -> List[Schedule]:
        """Return all schedules, or the one with a key, ordered by key."""
        with self._lock:
            if self.is_undone:
                raise _undone("read the schedules")
            if key is not None:
                schedule = self._schedules.get(key)
                return [] if schedule is None else [schedule]
            return [self._schedules[key] for key in sorted(self._schedules)]

    def swap_schedule(self, before: Optional[Schedule], after: Optional[Schedule]) -> bool:
        """Replace a schedule if it still equals ``before``; None is one that is not stored.

        Raises:
            StoreError: ``before`` and ``after`` have different keys.
        """
        given = before or after
        if given is None or (after is not None and after.key != given.key):
            keys = sorted({schedule.key for schedule in (before, after) if schedule is not None})
            raise StoreError(f"can not swap schedules: expected one key, given {keys}")
        with self._lock:
            if self.is_undone:
                raise _undone(f"change schedule {given.key}")
            stored = self._schedules.get(given.key)
            if stored is not before and stored != before:
                return False
            if after is not None and after.watermark_at.tzinfo is not _UTC:
                after = replace(after, watermark_at=after.watermark_at.astimezone(_UTC))
            self._set(self._schedules, given.key, after)
            return True

    def settings(self) -> Mapping[str, str]:
        """Return all settings that were ever set."""
        with self._lock:
            if self.is_undone:
                raise _undone("read the settings")
            return self._settings

    def put_settings(self, changes: Mapping[str, Optional[str]]) -> None:
        """Set settings; None removes one. All are changed, or none."""
        with self._lock:
            if self.is_undone:
                raise _undone("change the settings")
            settings = {**self._settings, **changes}
            self._put_settings(
                {name: value for name, value in settings.items() if value is not None}
            )

    def _put_settings(self, settings: Mapping[str, str]) -> None:
        if self.depth:
            self.undo.append((self._put_settings, (self._settings,)))
        # Never changed, only replaced: whoever holds them sees whether they are the same.
        self._settings = MappingProxyType(dict(settings))

    def _set(self, values: Dict[str, Any], key: str, value: Any) -> None:
        """Set what is kept under a key; None removes it."""
        if self.depth:
            self.undo.append((self._set, (values, key, values.get(key))))
        if value is None:
            values.pop(key, None)
        else:
            values[key] = value


def _anything(queue: str) -> bool:
    return True


def _nothing(queue: str) -> bool:
    return False


def _undone(doing: str) -> StoreError:
    return StoreError(
        f"can not {doing} in a plain store: an error has undone this transaction; let the error "
        f"pass and begin again"
    )


def _moved(at: datetime, by: timedelta) -> datetime:
    try:
        return at + by
    except OverflowError:
        end = datetime.max if by > timedelta(0) else datetime.min
        return end.replace(tzinfo=_UTC)


def _in_utc(task: Task) -> Task:
    """Return a task all of whose instants are in UTC, as they come back from a database."""
    if (
        task.enqueued_at.tzinfo is _UTC
        and task.run_at.tzinfo is _UTC
        and (task.expires_at is None or task.expires_at.tzinfo is _UTC)
        and (task.unique_until_at is None or task.unique_until_at.tzinfo is _UTC)
        and (task.occurrence_at is None or task.occurrence_at.tzinfo is _UTC)
        and (task.started_at is None or task.started_at.tzinfo is _UTC)
        and (task.finished_at is None or task.finished_at.tzinfo is _UTC)
        and (task.unknown_since_at is None or task.unknown_since_at.tzinfo is _UTC)
        and (task.cancel_asked_at is None or task.cancel_asked_at.tzinfo is _UTC)
        and not task.history
    ):
        return task
    given = {name: getattr(task, name) for name in _INSTANTS}
    history = tuple(
        replace(
            past,
            started_at=past.started_at.astimezone(_UTC),
            ended_at=past.ended_at.astimezone(_UTC),
        )
        for past in task.history
    )
    return replace(
        task, history=history, **{name: at and at.astimezone(_UTC) for name, at in given.items()}
    )
