"""The store of our own engine: one SQLite file that any number of processes share."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from itertools import takewhile
from types import MappingProxyType
from typing import Any, Dict, FrozenSet, List, Mapping, Optional, Sequence, Tuple

from autocron.core.errors import StoreError
from autocron.core.schedule import Schedule
from autocron.core.task import Task, TaskState, is_plain
from autocron.core.values import made
from autocron.ports import Stats
from autocron.shell import queries
from autocron.shell.connections import MEMORY, Pool
from autocron.shell.damage import (
    DamagedRow,
    UndecodableText,
    remove_undecodable,
    set_aside,
    undecodable_rows,
)
from autocron.shell.database import Database, Values
from autocron.shell.rows import (
    MAX_INSTANT,
    MIN_INSTANT,
    Row,
    added,
    added_at_once,
    changed,
    instant,
    lane,
    microseconds,
    readable,
    row_schedule,
    row_task,
    schedule_row,
)
from autocron.shell.turnstile import Turnstile

# How many question marks every SQLite takes is 999; of more than this nothing is gained.
_MOST_VALUES = 300
# Pages that purging has freed are used again by the next tasks. Only when more than a quarter of
# the file is free does some of it go back to the disk, a little at a time.
_MIN_FREE_PAGES = 256
_VACUUM_PAGES = 256


class SQLiteStore(Database):
    """Keeps tasks, schedules and settings in SQLite; implements :class:`autocron.ports.Store`.

    Any number of threads and processes may use one database; after a fork a store may be used in
    parent and child. Nothing is touched before :meth:`open` or the first use.

    Arguments:
        path: An absolute file name, or ``":memory:"`` for a database of this object alone.
        durability: ``"full"``: what was stored survives a power cut. ``"normal"``: it survives
            the death of every process, and a power cut may take the latest changes back.
        timeout_seconds: How long to wait while another process writes.
        turnstile: Where transactions wait for those of other processes that have one, too.

    Raises:
        StoreError: An argument can not be used.
    """

    def __init__(
        self,
        path: str,
        *,
        durability: str = "full",
        timeout_seconds: float = 30.0,
        turnstile: Optional[Turnstile] = None,
    ) -> None:
        super().__init__(
            path, durability=durability, timeout_seconds=timeout_seconds, turnstile=turnstile
        )
        # The settings in memory: the pool through which they were read, and after which change.
        self._known_settings: Tuple[Optional[Pool], int, Mapping[str, str]] = (None, 0, {})
        self._settings_changes = 0

    # -- tasks --------------------------------------------------------------------------------

    def add(self, task: Task) -> None:
        """Store a new task.

        Raises:
            StoreError: Its id is taken, or the database can not be written.
        """
        columns, values = added(task)
        self.write(f"store task {task.id}", queries.add(columns), values)

    def add_all(self, tasks: Sequence[Task]) -> None:
        """Store new tasks, in their order, all or none.

        Raises:
            StoreError: An id is taken, or the database can not be written.
        """
        with self.transaction():
            for columns, count, values in added_at_once(tasks, _MOST_VALUES):
                # Several in one statement take half as long.
                self.write("store tasks", queries.add(columns, count), values)

    def swap(self, before: Task, after: Task) -> bool:
        """Replace a task if it still is at ``before.revision``; tell whether it was.

        Arguments:
            before: The task as it was read.
            after: What it is to become; its id stays.
        """
        if after.id != before.id:
            after = made(Task, {**vars(after), "id": before.id})
        columns, values = changed(before, after)
        values += (before.id, before.revision)
        return self.write(f"change task {before.id}", queries.swap(columns), values) == 1

    def get(self, task_id: str) -> Optional[Task]:
        """Return one task, or None."""
        return self._one_task("read a task", queries.GET, (task_id,))

    def claimable(self, now: datetime, queues: Optional[Sequence[str]] = None) -> Optional[Task]:
        """Return the waiting task to run next: by priority, due time, age.

        Arguments:
            now: The instant at which it is due, has not expired, and its rate key is free.
            queues: The queues of which one is to be its own; None is all.
        """
        doing, sql = "look for a due task", queries.step(queues)
        values = {"now": microseconds(now), "passed": "", **queries.queue_values(queues)}
        best: Optional[Row] = None
        while True:
            row = self._read_tasks(doing, sql, values)[0]
            if row[0] is not None and (best is None or queries.DUE(row) < queries.DUE(best)):
                best = row
            lane, following = row[-2:]
            # Once a task is found, only the lanes of the same priority are of interest.
            if following is None or (
                best is not None and queries.level(following) != queries.level(lane)
            ):
                if best is None:
                    return None
                try:
                    return readable(row_task, best, self.path)
                except DamagedRow as error:
                    self._set_aside(best[queries.SEQ], error.__cause__ or error)
                    # It is in nobody's way any more.
                    return self.claimable(now, queues)
            values["passed"] = lane

    def claimable_next(
        self, claimed: Task, now: datetime, limit: int, queues: Optional[Sequence[str]] = None
    ) -> List[Task]:
        """Return the waiting tasks to run after one that was claimed just now, in order.

        It ends before the first one of which more has to be known than that it is due. Where very
        many queues have tasks of its priority there is none.

        Arguments:
            claimed: The task that was claimed.
            now: The instant at which they are due.
            limit: At most so many.
            queues: The queues of which they may be; None is all.
        """
        doing = "look for the next due tasks"
        asked = {
            "level": queries.level(lane(claimed.priority, claimed.queue)),
            **queries.queue_values(queues),
        }
        lanes = [row[0] for row in self._read_tasks(doing, queries.beside(queues), asked)]
        if not 0 < len(lanes) <= queries.MOST_LANES:
            return []
        values = {
            "from": microseconds(claimed.run_at),
            "now": microseconds(now),
            "limit": max(limit, 0),
            **{f"lane_{number}": lane for number, lane in enumerate(lanes)},
        }
        return list(takewhile(is_plain, self._tasks(doing, queries.behind(len(lanes)), values)))

    def next_due_at(
        self, after: datetime, queues: Optional[Sequence[str]] = None
    ) -> Optional[datetime]:
        """Return the next instant at which something may become claimable by time alone.

        Arguments:
            after: The instant is later than this one.
            queues: The queues of which it is asked; None is all. What is paused does not count.
        """
        values = {"after": microseconds(after), **queries.queue_values(queues)}
        return self._instant("look for the next due task", queries.next_due_at(queues), values)

    def expiring(self, limit: int) -> List[Task]:
        """Return waiting tasks that expire, the first one to expire first."""
        return self._tasks("look for tasks that expire", queries.EXPIRING, (max(limit, 0),))

    def taken_by(self, unique: str, running: bool, now: datetime) -> Optional[Task]:
        """Return the oldest task that takes a unique key.

        Arguments:
            unique: The key.
            running: Whether a running task takes it, too.
            now: Later than this is the ``unique_until_at`` of a task that takes it.
        """
        values = {"unique": unique, "running": int(running), "now": microseconds(now)}
        return self._one_task("look for a unique task", queries.TAKEN_BY, values)

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
        given = {
            "name": name,
            "worker": worker,
            "schedule": schedule,
            "group_id": group,
            "after_id": after,
        }
        wanted = {column: value for column, value in given.items() if value is not None}
        clauses = [f"{column} = ?" for column in wanted]
        if state is not None:
            clauses.append(queries.STATE[state])
        where = f"WHERE {' AND '.join(clauses)} " if clauses else ""
        # Those that run are few, and have an index; SQLite takes it only if it has no better order.
        order = "+seq" if state is TaskState.RUNNING else "seq"
        return self._tasks(
            "look for tasks",
            f"SELECT {queries.TASK} FROM tasks {where}ORDER BY {order} LIMIT ?",
            (*wanted.values(), -1 if limit is None else limit),
        )

    def has_in_hand(self, schedule: str) -> bool:
        """Tell whether a task of the schedule with this key waits or runs."""
        return bool(self.read("look for tasks of a schedule", queries.IN_HAND, (schedule,))[0][0])

    def stats(self, now: datetime) -> Stats:
        """Return counts over all tasks.

        Arguments:
            now: The instant up to which a waiting task is due.
        """
        doing = "count the tasks"
        rows = self.read(doing, queries.COUNTS)
        counts: Dict[TaskState, int] = dict(zip(queries.STATE, rows[0]))
        values = {"now": microseconds(now)}
        return Stats(counts, self._instant(doing, queries.OLDEST_DUE_AT, values))

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
            StoreError: The state is not final, or the database can not be written.
        """
        if not state.is_final:
            raise StoreError(f"can not purge {state.value} tasks: only what has ended is purged")
        count = self.write(
            f"purge {state.value} tasks",
            queries.PURGE[state],
            {"before": microseconds(finished_before), "limit": max(limit, 0)},
        )
        if count and not self.in_transaction and self.path != MEMORY:
            # The tasks are gone already; a file that could not shrink is no reason to say no.
            with suppress(StoreError):
                self._give_back_pages()
        return count

    def _give_back_pages(self) -> None:
        doing = "shrink the database"
        free = self.read(doing, "PRAGMA freelist_count")[0][0]
        if free > _MIN_FREE_PAGES and 4 * free > self.read(doing, "PRAGMA page_count")[0][0]:
            self.script(doing, f"PRAGMA incremental_vacuum({_VACUUM_PAGES})")

    def shift(self, seconds: float) -> int:
        """Move the due times of the waiting tasks with an elapsed delay; return how many.

        So are, if they move back, those of the tasks that were due at their call. What is held
        stays: its delay begins when it is released. The starts of rate keys, and the instants at
        which they become free, move along.
        """
        doing = "shift delays"
        values = {"by": round(seconds * 1_000_000), "min": MIN_INSTANT, "max": MAX_INSTANT}
        with self.transaction():
            count = self.write(doing, queries.SHIFT, values)
            self.write(doing, queries.SHIFT_STARTS, values)
            self.write(doing, queries.SHIFT_FREE, values)
        return count

    def _tasks(self, doing: str, sql: str, values: Values) -> List[Task]:
        return self.tasks_of(doing, sql, values)

    def ask(self, doing: str, sql: str, values: Values = ()) -> List[Any]:
        """Return the rows of a question; see :class:`autocron.shell.local.AskedStore`."""
        return self.read(doing, sql, values)

    def discard(self, task: Task) -> bool:
        """Remove a task if it is as it was read; tell whether it was."""
        return self.write(f"discard task {task.id}", queries.DISCARD, (task.id, task.revision)) == 1

    def tasks_of(self, doing: str, sql: str, values: Values = ()) -> List[Task]:
        """Return the tasks of a query for :data:`autocron.shell.queries.TASK`.

        Rows that are no tasks are set aside as failed, and left out.
        """
        return self._made(self._read_tasks(doing, sql, values))

    def _one_task(self, doing: str, sql: str, values: Values) -> Optional[Task]:
        rows = self._read_tasks(doing, sql, values)
        if not rows:
            return None
        try:
            return readable(row_task, rows[0], self.path)
        except DamagedRow as error:
            self._set_aside(rows[0][queries.SEQ], error.__cause__ or error)
            # It is a task again.
            return self._one_task(doing, sql, values)

    def _made(self, rows: Sequence[Row]) -> List[Task]:
        tasks = []
        for row in rows:
            try:
                tasks.append(readable(row_task, row, self.path))
            except DamagedRow as error:
                self._set_aside(row[queries.SEQ], error.__cause__ or error)
        return tasks

    def _set_aside(self, seq: int, error: BaseException) -> None:
        set_aside(self, seq, error, MIN_INSTANT, MAX_INSTANT)

    def _read_tasks(self, doing: str, sql: str, values: Values) -> List[Row]:
        try:
            return self.read(doing, sql, values)
        except UndecodableText:
            self._set_aside_undecodable()
            return self.read(doing, sql, values)

    def _set_aside_undecodable(self) -> None:
        """Put all that SQLite can not give back as text out of the way."""
        for seq, error in undecodable_rows(self, f"SELECT {queries.TASK}, lane FROM tasks"):
            self._set_aside(seq, error)
        remove_undecodable(self)

    def _instant(self, doing: str, sql: str, values: Values) -> Optional[datetime]:
        found = self.read(doing, sql, values)[0][0]
        # Autocron has written no other; what they are found by sets such a row aside, or not.
        is_one = type(found) is int and MIN_INSTANT <= found <= MAX_INSTANT
        return instant(found) if is_one else None

    # -- rates and queues ---------------------------------------------------------------------

    def starts(self, rate_key: str, limit: int) -> List[datetime]:
        """Return the latest starts of the tasks with a rate key, the last one first."""
        rows = self.read("read the starts of a rate", queries.STARTS, (rate_key, max(limit, 0)))
        return [instant(at) for (at,) in rows]

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
        doing = f"note a start of rate {rate_key}"
        start = (rate_key, microseconds(at), microseconds(until_at))
        with self.transaction():
            self.write(doing, "INSERT INTO starts VALUES (?, ?, ?)", start)
            if free_at is None:
                self.write(doing, "DELETE FROM busy_rates WHERE rate_key = ?", (rate_key,))
            else:
                busy = (rate_key, microseconds(free_at))
                self.write(doing, "REPLACE INTO busy_rates VALUES (?, ?)", busy)

    def purge_starts(self, now: datetime) -> None:
        """Remove the starts that do not matter any more, and what they kept from being free."""
        doing, past = "purge the starts of rates", (microseconds(now),)
        # An idle supervisor asks twice a minute, and must not keep writers waiting for nothing.
        if not self.read(doing, queries.PAST_STARTS, past * 2)[0][0]:
            return
        with self.transaction():
            self.write(doing, "DELETE FROM starts WHERE until_at <= ?", past)
            self.write(doing, "DELETE FROM busy_rates WHERE free_at <= ?", past)

    def busy_rates(self) -> Mapping[str, datetime]:
        """Return until when rate keys are not free, as far as they are not, or were not lately."""
        rows = self.read("read the rates", "SELECT rate_key, free_at FROM busy_rates")
        return {
            key: instant(free_at)
            for key, free_at in rows
            if type(free_at) is int and MIN_INSTANT <= free_at <= MAX_INSTANT
        }

    def paused(self) -> FrozenSet[str]:
        """Return the queues that are paused; :data:`autocron.core.task.ALL_QUEUES` is all."""
        rows = self.read("read the paused queues", "SELECT queue FROM paused_queues")
        return frozenset(queue for (queue,) in rows if type(queue) is str)

    def put_paused(self, queue: str, is_paused: bool) -> None:
        """Pause a queue, or resume it."""
        if is_paused:
            self.write(f"pause queue {queue}", "REPLACE INTO paused_queues VALUES (?)", (queue,))
        else:
            sql = "DELETE FROM paused_queues WHERE queue = ?"
            self.write(f"resume queue {queue}", sql, (queue,))

    # -- schedules and settings -----------------------------------------------------------------

    def schedules(self, key: Optional[str] = None) -> List[Schedule]:
        """Return all schedules, or the one with a key, ordered by key."""
        where, values = ("WHERE key = ? ", (key,)) if key is not None else ("", ())
        rows = self._read_tasks(
            "read the schedules",
            f"SELECT {queries.SCHEDULE} FROM schedules {where}ORDER BY key",
            values,
        )
        found = []
        for row in rows:
            try:
                found.append(readable(row_schedule, row, self.path))
            except DamagedRow as error:
                import logging  # few need it, and it is large

                logger = logging.getLogger("autocron")
                logger.error("the schedule %.100r is left out: %s", row[0], error)
        return found

    def swap_schedule(self, before: Optional[Schedule], after: Optional[Schedule]) -> bool:
        """Replace a schedule if it still equals ``before``; None is one that is not stored.

        Raises:
            StoreError: ``before`` and ``after`` have different keys.
        """
        keys = {schedule.key for schedule in (before, after) if schedule is not None}
        if len(keys) != 1:
            raise StoreError(f"can not swap schedules: expected one key, given {sorted(keys)}")
        key = keys.pop()
        values = () if after is None else schedule_row(after)
        if before is None:
            if not self.schedules(key):
                # What stands there, if anything, is damaged, and gives way.
                self.write(f"replace schedule {key}", "DELETE FROM schedules WHERE key = ?", (key,))
            sql, values = queries.ADD_SCHEDULE, (*values, key)
        else:
            sql = queries.REMOVE_SCHEDULE if after is None else queries.CHANGE_SCHEDULE
            values = (*values, *schedule_row(before))
        return self.write(f"change schedule {key}", sql, values) == 1

    def settings(self) -> Mapping[str, str]:
        """Return all settings that were ever set."""
        doing, sql = "read the settings", "SELECT name, value FROM settings"
        if self.path != MEMORY or self.in_transaction:
            rows = self._read_tasks(doing, sql, ())
            return {name: value for name, value in rows if type(name) is type(value) is str}
        # Nobody else can change what is in memory, and an engine asks at each step.
        changes = self._settings_changes
        pool, known_after, known = self._known_settings
        if known_after == changes and pool is self._pool and pool is not None and pool.is_mine:
            return known
        stored = MappingProxyType(dict(self.read(doing, sql)))
        # What another thread sets meanwhile makes it void at once.
        self._known_settings = (self._pool, changes, stored)
        return stored

    def put_settings(self, changes: Mapping[str, Optional[str]]) -> None:
        """Set settings; None removes one. All are changed, or none."""
        doing = "change the settings"
        with self.transaction():
            self._settings_changes += 1
            for name, value in changes.items():
                if value is None:
                    self.write(doing, "DELETE FROM settings WHERE name = ?", (name,))
                else:
                    self.write(doing, "REPLACE INTO settings VALUES (?, ?)", (name, value))
