"""A store in plain Python, for the simulator, which asks it millions of times.

It is no stand-in that may differ: it keeps the contract of :mod:`autocron.testing.contract`, and
the specification plays the same random histories on it as on SQLite.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from types import MappingProxyType, TracebackType
from typing import Any, ContextManager, Dict, List, Mapping, Optional, Tuple, Type

from autocron.core.errors import StoreError
from autocron.core.schedule import Schedule
from autocron.core.task import Task, TaskState
from autocron.ports import Stats
from autocron.testing.plain_index import DueOrder, Ended, Tasks

_UTC = timezone.utc
_WAITING, _RUNNING = TaskState.WAITING, TaskState.RUNNING
_INSTANTS = (
    "enqueued_at",
    "run_at",
    "occurrence_at",
    "unknown_since_at",
    "started_at",
    "finished_at",
)


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
        self.undo: List[Tuple[Any, ...]] = []  # functions, and what each is called with
        self._added = 0
        self._forget()

    def _forget(self) -> None:
        self._tasks: Tasks = {}
        self._ages: Dict[str, int] = {}
        self._due = DueOrder(self._tasks)
        self._ended = {state: Ended() for state in TaskState if state.is_final}
        self._in_hand: Dict[str, int] = {}  # how many tasks of a schedule wait or run
        self._uniques: Dict[str, Tasks] = {}  # the waiting tasks with a unique key
        self._schedules: Dict[str, Schedule] = {}
        self._settings: Mapping[str, str] = {}

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
        for change, *values in reversed(changes):
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
            self._put(self._added, None, _in_utc(task))

    def swap(self, before: Task, after: Task) -> bool:
        """Replace a task if it still is at ``before.revision``; tell whether it was."""
        with self._lock:
            if self.is_undone:
                raise _undone(f"change task {before.id}")
            stored = self._tasks.get(before.id)
            if stored is not before and (stored is None or stored.revision != before.revision):
                return False
            if after.id != before.id:
                after = replace(after, id=before.id)
            self._put(self._ages[before.id], stored, _in_utc(after))
            return True

    def _put(self, age: int, before: Optional[Task], after: Optional[Task]) -> None:
        """Make a task what it is to be; None is one that is not stored.

        The only place where tasks change.
        """
        if self.depth:
            self.undo.append((self._put, age, after, before))
        left = came = None
        if before is not None:
            if before.state is _WAITING:
                left = before.schedule
                if before.unique is not None:
                    _take(self._uniques, before.unique, before)
            elif before.state is _RUNNING:
                left = before.schedule
                if before.lock is not None:
                    self._due.release(before.lock)
        if after is not None:
            self._tasks[after.id] = after
            if before is None:
                self._ages[after.id] = age
            if after.state is _RUNNING:
                came = after.schedule
                if after.lock is not None:
                    self._due.hold(after.lock)
            elif after.state is _WAITING:
                came = after.schedule
                self._due.put(after, age)
                if after.unique is not None:
                    self._uniques.setdefault(after.unique, {})[after.id] = after
            else:
                self._ended[after.state].put(after, age)
        elif before is not None:
            del self._tasks[before.id], self._ages[before.id]
        if left is not came:
            if left is not None:
                self._in_hand[left] -= 1
            if came is not None:
                self._in_hand[came] = self._in_hand.get(came, 0) + 1

    def get(self, task_id: str) -> Optional[Task]:
        """Return one task, or None."""
        with self._lock:
            if self.is_undone:
                raise _undone("read a task")
            return self._tasks.get(task_id)

    def claimable(self, now: datetime) -> Optional[Task]:
        """Return the waiting task to run next: due, its lock free; by priority, due time, age."""
        with self._lock:
            if self.is_undone:
                raise _undone("look for a due task")
            return self._due.claimable(now)

    def next_due_at(self, after: datetime) -> Optional[datetime]:
        """Return the earliest due time after an instant among the waiting tasks."""
        with self._lock:
            if self.is_undone:
                raise _undone("look for the next due task")
            return self._due.next_due_at(after)

    def find(
        self,
        *,
        state: Optional[TaskState] = None,
        name: Optional[str] = None,
        worker: Optional[str] = None,
        schedule: Optional[str] = None,
        unique: Optional[str] = None,
        limit: Optional[int] = None,
    ) -> List[Task]:
        """Return the tasks that match all that is given, oldest first.

        Arguments:
            state: Their state.
            name: The name of their task function.
            worker: The worker that holds them.
            schedule: The key of their schedule.
            unique: Their unique key.
            limit: Return at most so many.
        """
        with self._lock:
            if self.is_undone:
                raise _undone("look for tasks")
            tasks = self._tasks
            if state is _WAITING and unique is not None:
                tasks = self._uniques.get(unique, {})
            found = [
                task
                for task in tasks.values()
                if (state is None or task.state is state)
                and (schedule is None or task.schedule == schedule)
                and (unique is None or task.unique == unique)
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
            return self._in_hand.get(schedule, 0) > 0

    def _waiting(self) -> List[Task]:
        return [task for task in self._tasks.values() if task.state is _WAITING]

    def stats(self, now: datetime) -> Stats:
        """Return counts over all tasks.

        Arguments:
            now: The instant up to which a waiting task is due.
        """
        with self._lock:
            if self.is_undone:
                raise _undone("count the tasks")
            counts = dict.fromkeys(TaskState, 0)
            for task in self._tasks.values():
                counts[task.state] += 1
            due = (task.run_at for task in self._waiting() if task.run_at <= now)
            return Stats(counts, min(due, default=None))

    def purge(self, state: TaskState, finished_before: datetime, limit: int) -> int:
        """Remove at most ``limit`` tasks in a final state that ended earlier, the oldest first.

        Arguments:
            state: A final state.
            finished_before: What ended at this instant, or later, stays.
            limit: How many at most.

        Returns:
            How many were removed.

        Raises:
            StoreError: The state is not final.
        """
        ended = self._ended.get(state)
        if ended is None:
            raise StoreError(f"can not purge {state.value} tasks: only what has ended is purged")
        removed = 0
        with self._lock:
            if self.is_undone:
                raise _undone(f"purge {state.value} tasks")
            while removed < limit:
                entry = ended.take(finished_before, self._tasks)
                if entry is None:
                    break
                if self.depth:
                    self._put(entry[1], entry[3], None)
                else:
                    # What has ended is nowhere else.
                    task_id = entry[3].id
                    del self._tasks[task_id], self._ages[task_id]
                removed += 1
        return removed

    def shift(self, seconds: float) -> int:
        """Move the due times of the waiting tasks with an elapsed delay; return how many."""
        by = timedelta(microseconds=round(seconds * 1_000_000))
        with self._lock:
            if self.is_undone:
                raise _undone("shift delays")
            delayed = [task for task in self._waiting() if task.elapsed]
            for task in delayed:
                moved = replace(task, run_at=_moved(task.run_at, by), revision=task.revision + 1)
                self._put(self._ages[task.id], task, moved)
            return len(delayed)

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
            self._put_schedule(given.key, after)
            return True

    def _put_schedule(self, key: str, after: Optional[Schedule]) -> None:
        if self.depth:
            self.undo.append((self._put_schedule, key, self._schedules.get(key)))
        if after is None:
            self._schedules.pop(key, None)
        else:
            self._schedules[key] = after

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
            self.undo.append((self._put_settings, self._settings))
        # Never changed, only replaced: whoever holds them sees whether they are the same.
        self._settings = MappingProxyType(dict(settings))


def _undone(doing: str) -> StoreError:
    return StoreError(
        f"can not {doing} in a plain store: an error has undone this transaction; let the error "
        f"pass and begin again"
    )


def _take(groups: Dict[str, Tasks], key: str, task: Task) -> None:
    group = groups[key]
    del group[task.id]
    if not group:
        del groups[key]


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
        and (task.occurrence_at is None or task.occurrence_at.tzinfo is _UTC)
        and (task.started_at is None or task.started_at.tzinfo is _UTC)
        and (task.finished_at is None or task.finished_at.tzinfo is _UTC)
        and (task.unknown_since_at is None or task.unknown_since_at.tzinfo is _UTC)
    ):
        return task
    given = {name: getattr(task, name) for name in _INSTANTS}
    return replace(task, **{name: at and at.astimezone(_UTC) for name, at in given.items()})
