"""The tasks of a plain store, and the questions about them, for one thread.

It is no stand-in that may differ: it keeps the contract of :mod:`autocron.testing.contract`, but
for what is said about threads, and the specification plays the same random histories on it as on
SQLite.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from itertools import takewhile
from typing import (
    Callable,
    ContextManager,
    Dict,
    Iterable,
    List,
    Optional,
    Sequence,
    Tuple,
)

from autocron.core.errors import StoreError
from autocron.core.task import ALL_QUEUES, Task, TaskState, is_plain
from autocron.core.values import changed
from autocron.ports import Stats
from autocron.testing.plain_index import DueOrder, Entry, InHand
from autocron.testing.plain_journal import Journal, undone
from autocron.testing.plain_records import PlainRecords, moved

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


class PlainTables(PlainRecords):
    """Keeps tasks, schedules and settings in dictionaries; implements ``autocron.ports.Store``.

    One thread at a time may use it: the simulator has no other, and asks millions of times. For a
    store that threads share there is :class:`autocron.testing.plain_store.PlainStore`. Closing it
    forgets what is in it, as with a database in memory.
    """

    def __init__(self, journal: Optional[Journal] = None) -> None:
        self._added = 0
        super().__init__(Journal() if journal is None else journal)

    def _forget(self) -> None:
        super()._forget()
        self._tasks: Dict[str, Task] = {}
        self._ages: Dict[str, int] = {}
        # Those with a unique key that have a period, in any state.
        self._uniques: Dict[str, Dict[str, Task]] = {}
        self._expiring: List[Tuple[datetime, int, str]] = []
        self._in_hand = InHand()
        self._due = DueOrder(self._tasks, self._busy)
        # The tasks in each final state, the first to end first; what has changed may still stand.
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
        if self._journal.depth:
            raise StoreError("can not close a plain store inside a transaction; leave it first")
        self._forget()

    def transaction(self) -> ContextManager[None]:
        """Make what is done inside one atomic change; an exception undoes all of it."""
        return self._journal

    # -- tasks --------------------------------------------------------------------------------

    def add(self, task: Task) -> None:
        """Store a new task.

        Raises:
            StoreError: Its id is taken.
        """
        if self._journal.is_undone:
            raise undone(f"store task {task.id}")
        if task.id in self._tasks:
            raise StoreError(f"can not store task {task.id}: its id is taken")
        self._added += 1
        self._insert(_in_utc(task), self._added)

    def add_all(self, tasks: Sequence[Task]) -> None:
        """Store several new tasks, all or none; see :meth:`add`."""
        with self.transaction():
            for task in tasks:
                self.add(task)

    def swap(self, before: Task, after: Task) -> bool:
        """Replace a task if it still is at ``before.revision``; tell whether it was."""
        if self._journal.is_undone:
            raise undone(f"change task {before.id}")
        task_id = before.id
        stored = self._tasks.get(task_id)
        if stored is None or (stored is not before and stored.revision != before.revision):
            return False
        if after.id != task_id:
            after = replace(after, id=task_id)
        # What it was is in UTC, and so are the instants of events.
        self._replace(stored, after, self._ages[task_id])
        return True

    # The three changes of a task; each notes the one that undoes it.

    def _insert(self, task: Task, age: int) -> None:
        journal = self._journal
        if journal.depth:
            journal.changes.append((self._delete, task, age))
        self._tasks[task.id] = task
        self._ages[task.id] = age
        self._enter(task, age)

    def _delete(self, task: Task, age: int) -> None:
        journal = self._journal
        if journal.depth:
            journal.changes.append((self._insert, task, age))
        state = task.state
        if state is _WAITING or state is _RUNNING or task.unique_until_at is not None:
            self._leave(task, age)
        # Else it has ended, and stands among no others any more: that is what is purged.
        del self._tasks[task.id], self._ages[task.id]

    def _replace(self, before: Task, after: Task, age: int) -> None:
        journal = self._journal
        if journal.depth:
            journal.changes.append((self._restore, after, before, age))
        self._tasks[after.id] = after
        if (
            # It begins to run, and stays where it is: half of all changes.
            after.state is _RUNNING
            and before.state is _WAITING
            and after.lock is None
            and before.expires_at is None
            and before.unique_until_at is None
            and after.unique_until_at is None
            and before.schedule is after.schedule
            and before.unique is after.unique
            and before.group is after.group
            and before.after is after.after
        ):
            return
        self._leave(before, age)
        self._enter(after, age)

    def _restore(self, after: Task, before: Task, age: int) -> None:
        """Undo a replacement."""
        ended = self._ended.get(before.state)
        if ended is not None:
            # It has not left its place there, and would stand there twice.
            ended[:] = [entry for entry in ended if entry[3] is not before]
        self._replace(after, before, age)

    def _enter(self, task: Task, age: int) -> None:
        """Let a task stand where it is looked for."""
        state = task.state
        if state is _WAITING:
            self._in_hand.put(task)
            if task.after is None:
                self._due.put(task, age)
        elif state is _RUNNING:
            self._in_hand.put(task)
            if task.lock is not None:
                self._due.hold(task.lock)
        elif task.finished_at is not None:
            self._count += 1
            entry = (task.finished_at, age, self._count, task)
            ended = self._ended[state]
            if ended and entry < ended[-1]:
                insort(ended, entry)
            else:
                ended.append(entry)
        if task.expires_at is not None or task.unique_until_at is not None:
            self._note_times(task, age)

    def _leave(self, task: Task, age: int) -> None:
        """Let a task stand there no more; what orders are in, it leaves when it comes up."""
        state = task.state
        if state is _WAITING or state is _RUNNING:
            self._in_hand.take(task)
            if state is _RUNNING and task.lock is not None:
                self._due.release(task.lock)
        if task.expires_at is not None or task.unique_until_at is not None:
            self._forget_times(task, age)

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
        if self._journal.is_undone:
            raise undone("read a task")
        return self._tasks.get(task_id)

    def claimable(self, now: datetime, queues: Optional[Sequence[str]] = None) -> Optional[Task]:
        """Return the waiting task to run next: by priority, due time, age.

        Arguments:
            now: The instant at which it is due, has not expired, and its rate key is free.
            queues: The queues of which one is to be its own; None is all.
        """
        if self._journal.is_undone:
            raise undone("look for a due task")
        is_open = None if queues is None and not self._paused else self._open(queues)
        return self._due.claimable(now, is_open)

    def claimable_next(
        self, claimed: Task, now: datetime, limit: int, queues: Optional[Sequence[str]] = None
    ) -> List[Task]:
        """Return the waiting tasks to run after one that was claimed just now, in order.

        Looks at all tasks: who claims several at once is a process, with a database.
        """
        if self._journal.is_undone:
            raise undone("look for the next due tasks")
        is_open = self._open(queues)
        due = [
            task
            for task in self._tasks.values()
            if task.state is _WAITING
            and task.after is None
            and task.priority == claimed.priority
            and claimed.run_at <= task.run_at <= now
            and is_open(task.queue)
        ]
        due.sort(key=lambda task: (task.run_at, self._ages[task.id]))
        return list(takewhile(is_plain, due[: max(limit, 0)]))

    def next_due_at(
        self, after: datetime, queues: Optional[Sequence[str]] = None
    ) -> Optional[datetime]:
        """Return the next instant at which something may become claimable by time alone.

        Arguments:
            after: The instant is later than this one.
            queues: The queues of which it is asked; None is all. What is paused does not count.
        """
        if self._journal.is_undone:
            raise undone("look for the next due task")
        is_open = None if queues is None and not self._paused else self._open(queues)
        return self._due.next_due_at(after, is_open)

    def _open(self, queues: Optional[Sequence[str]]) -> Callable[[str], bool]:
        """Return what tells whether tasks of a queue may be claimed now."""
        paused = self._paused
        if ALL_QUEUES in paused:
            return _nothing
        return lambda queue: queue not in paused and (queues is None or queue in queues)

    def expiring(self, limit: int) -> List[Task]:
        """Return waiting tasks that expire, the first one to expire first."""
        if self._journal.is_undone:
            raise undone("look for tasks that expire")
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
        if self._journal.is_undone:
            raise undone("look for a unique task")
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
        if self._journal.is_undone:
            raise undone("look for tasks")
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
        if self._journal.is_undone:
            raise undone("look for tasks of a schedule")
        return bool(self._in_hand.of_schedule.get(schedule))

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
        if self._journal.is_undone:
            raise undone("count the tasks")
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
        ended = self._ended.get(state)
        if ended is None:
            raise StoreError(f"can not purge {state.value} tasks: only what has ended is purged")
        if self._journal.is_undone:
            raise undone(f"purge {state.value} tasks")
        needed: List[Entry] = []
        # What is needed is judged of all before any is gone, as one statement of SQL does.
        gone: List[Entry] = []
        seen = 0
        for entry in ended:
            if entry[0] >= finished_before or len(gone) >= limit:
                break
            seen += 1
            task = entry[3]
            if self._tasks.get(task.id) is not task:
                continue
            is_alone = task.unique_until_at is None and task.after is None and task.group is None
            if is_alone or not self._is_needed(task, finished_before):
                gone.append(entry)
            else:
                needed.append(entry)
        ended[:seen] = needed
        for _, age, _, task in gone:
            self._delete(task, age)
        return len(gone)

    def _is_needed(self, task: Task, finished_before: datetime) -> bool:
        if task.unique_until_at is not None and task.unique_until_at >= finished_before:
            return True
        if task.after is not None and task.after in self._tasks:
            return True
        return task.group is not None and task.group in self._in_hand.of_group

    def shift(self, seconds: float) -> int:
        """Move the due times of the waiting tasks with an elapsed delay; return how many.

        So are, if they move back, those of the tasks that were due at their call. What is held
        stays: its delay begins when it is released. The starts of rate keys, and the instants at
        which they become free, move along.
        """
        by = timedelta(microseconds=round(seconds * 1_000_000))
        if self._journal.is_undone:
            raise undone("shift delays")
        delayed = [
            task
            for task in self._to_run()
            if task.elapsed or (seconds < 0 and task.run_at <= task.enqueued_at)
        ]
        for task in delayed:
            run_at = moved(task.run_at, by)
            after = changed(task, run_at=run_at, revision=task.revision + 1)
            self._replace(task, after, self._ages[task.id])
        self._shift_rates(by)
        return len(delayed)


def _nothing(queue: str) -> bool:
    return False


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
