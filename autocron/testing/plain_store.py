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
    Iterable,
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
from autocron.testing.plain_index import DueOrder, Entry, InHand

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
_WAITING, _RUNNING = TaskState.WAITING, TaskState.RUNNING
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
        self.undo: List[Tuple[Any, ...]] = []  # functions, and what each is called with
        self._added = 0
        self._forget()

    def _forget(self) -> None:
        self._tasks: Dict[str, Task] = {}
        self._ages: Dict[str, int] = {}
        # Those with a unique key that have a period, in any state.
        self._uniques: Dict[str, Dict[str, Task]] = {}
        self._expiring: List[Tuple[datetime, int, str]] = []
        self._schedules: Dict[str, Schedule] = {}
        self._settings: Mapping[str, str] = {}
        self._paused: Dict[str, bool] = {}
        self._starts: Dict[str, Tuple[Start, ...]] = {}
        self._busy: Dict[str, datetime] = {}
        self._in_hand = InHand()
        self._due = DueOrder(self._tasks, self._busy)
        # When tasks in each final state ended, as heaps in which purged ones may still stand.
        self._ended: Dict[TaskState, List[Entry]] = {
            state: [] for state in TaskState if state.is_final
        }
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
            # What it was is in UTC, and so are the instants of events.
            self._put(self._ages[before.id], stored, after)
            return True

    def _put(self, age: int, before: Optional[Task], after: Optional[Task]) -> None:
        """Make a task what it is to be; None is one that is not stored.

        The only place where tasks change.
        """
        if self.depth:
            self.undo.append((self._put, age, after, before))
        was_in_hand = before is not None and (before.state is _WAITING or before.state is _RUNNING)
        is_in_hand = after is not None and (after.state is _WAITING or after.state is _RUNNING)
        if before is not None:
            if before.state is _RUNNING and before.lock is not None:
                self._due.release(before.lock)
            if before.expires_at is not None or before.unique_until_at is not None:
                self._forget_times(before, age)
            if was_in_hand and not (
                is_in_hand and after is not None and InHand.is_alike(before, after)
            ):
                self._in_hand.take(before)
                was_in_hand = False
        if after is None:
            assert before is not None
            del self._tasks[before.id], self._ages[before.id]
            return
        self._tasks[after.id] = after
        if before is None:
            self._ages[after.id] = age
        if is_in_hand and not was_in_hand:
            self._in_hand.put(after)
        if after.state is _WAITING:
            if after.after is None:
                self._due.put(after, age)
        elif after.state is _RUNNING:
            if after.lock is not None:
                self._due.hold(after.lock)
        elif after.finished_at is not None:
            self._count += 1
            entry = (after.finished_at, age, self._count, after)
            heapq.heappush(self._ended[after.state], entry)
        if after.expires_at is not None or after.unique_until_at is not None:
            self._note_times(after, age)

    def _note_times(self, task: Task, age: int) -> None:
        """Note when a task expires, and that it has its unique key for a time."""
        if task.expires_at is not None and task.state is _WAITING:
            insort(self._expiring, (task.expires_at, age, task.id))
        if task.unique_until_at is not None and task.unique is not None:
            self._uniques.setdefault(task.unique, {})[task.id] = task

    def _forget_times(self, task: Task, age: int) -> None:
        if task.expires_at is not None and task.state is _WAITING:
            del self._expiring[bisect_left(self._expiring, (task.expires_at, age, task.id))]
        if task.unique_until_at is not None and task.unique is not None:
            del self._uniques[task.unique][task.id]
            if not self._uniques[task.unique]:
                del self._uniques[task.unique]

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
            if not self._expiring:
                return []
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
            taken = [
                task
                for task in map(self._tasks.__getitem__, self._in_hand.of_unique.get(unique, ()))
                if running or task.state is _WAITING
            ]
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
            tasks: Iterable[Task] = self._tasks.values()
            if state is _WAITING or state is _RUNNING:
                for groups, key in (
                    (self._in_hand.of_schedule, schedule),
                    (self._in_hand.of_group, group),
                    (self._in_hand.of_forerunner, after),
                ):
                    if key is not None:
                        tasks = map(self._tasks.__getitem__, groups.get(key, ()))
                        break
            found = [
                task
                for task in tasks
                if (state is None or task.state is state)
                and (schedule is None or task.schedule == schedule)
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
            return schedule in self._in_hand.of_schedule

    def _to_run(self) -> List[Task]:
        """Return the waiting tasks that are not held."""
        return [
            task for task in self._tasks.values() if task.state is _WAITING and task.after is None
        ]

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
            due = (task.run_at for task in self._to_run() if task.run_at <= now)
            return Stats(counts, min(due, default=None))

    def purge(self, state: TaskState, finished_before: datetime, limit: int) -> int:
        """Remove at most ``limit`` tasks in a final state that ended earlier, the oldest first.

        What is still needed stays: the members of a group of which one waits or runs, what waited
        for a task that is stored, and tasks whose ``unique_until_at`` is not earlier, too.

        Arguments:
            state: A final state.
            finished_before: What ended at this instant, or later, stays.
            limit: How many at most.

        Returns:
            How many were removed.

        Raises:
            StoreError: The state is not final.
        """
        heap = self._ended.get(state)
        if heap is None:
            raise StoreError(f"can not purge {state.value} tasks: only what has ended is purged")
        with self._lock:
            if self.is_undone:
                raise _undone(f"purge {state.value} tasks")
            needed: List[Entry] = []
            # What is needed is judged of all before any is gone, as one statement of SQL does.
            gone: List[Entry] = []
            while heap and heap[0][0] < finished_before and len(gone) < limit:
                entry = heapq.heappop(heap)
                task = entry[3]
                if self._tasks.get(task.id) is not task:
                    continue
                (needed if self._is_needed(task, finished_before) else gone).append(entry)
            for entry in needed:
                heapq.heappush(heap, entry)
            for _, age, _, task in gone:
                self._put(age, task, None)
        return len(gone)

    def _is_needed(self, task: Task, finished_before: datetime) -> bool:
        if task.unique_until_at is not None and task.unique_until_at >= finished_before:
            return True
        if task.after is not None and task.after in self._tasks:
            return True
        return task.group is not None and task.group in self._in_hand.of_group

    def shift(self, seconds: float) -> int:
        """Move the due times of the waiting tasks with an elapsed delay; return how many.

        What is held stays: its delay begins when it is released. The starts of rate keys, and the
        instants at which they become free, move along.
        """
        by = timedelta(microseconds=round(seconds * 1_000_000))
        with self._lock:
            if self.is_undone:
                raise _undone("shift delays")
            delayed = [task for task in self._to_run() if task.elapsed]
            for task in delayed:
                moved = replace(task, run_at=_moved(task.run_at, by), revision=task.revision + 1)
                self._put(self._ages[task.id], task, moved)
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
            self.undo.append((self._put_settings, self._settings))
        # Never changed, only replaced: whoever holds them sees whether they are the same.
        self._settings = MappingProxyType(dict(settings))

    def _set(self, values: Dict[str, Any], key: str, value: Any) -> None:
        """Set what is kept under a key; None removes it."""
        if self.depth:
            self.undo.append((self._set, values, key, values.get(key)))
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
