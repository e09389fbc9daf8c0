"""The store of our own engine: one SQLite file that any number of processes share."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from types import MappingProxyType
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from autocron.core.errors import StoreError
from autocron.core.schedule import Schedule
from autocron.core.task import Task, TaskState
from autocron.ports import Stats
from autocron.shell.connections import MEMORY, Pool
from autocron.shell.database import Database
from autocron.shell.rows import (
    MAX_INSTANT,
    MIN_INSTANT,
    SCHEDULE_COLUMNS,
    TASK_COLUMNS,
    instant,
    microseconds,
    readable,
    row_schedule,
    row_task,
    schedule_row,
    task_row,
)

_TASK = ", ".join(TASK_COLUMNS)
_ADD = f"INSERT INTO tasks ({_TASK}) VALUES ({', '.join('?' * len(TASK_COLUMNS))})"
_SWAP = (
    f"UPDATE tasks SET {', '.join(f'{column} = ?' for column in TASK_COLUMNS[1:])} "
    f"WHERE id = ? AND revision = ?"
)
_GET = f"SELECT {_TASK} FROM tasks WHERE id = ?"

# Both walk down the priorities among the waiting tasks, each step a seek in one index: there are
# 201 at most, however many tasks there are. A row of the first has the next priority, and the task
# to run at the one before; the walk ends where there is one.
_CLAIMABLE = f"""
WITH RECURSIVE level (priority, head) AS (
    SELECT max(priority), NULL FROM tasks WHERE state = 'waiting'
    UNION ALL
    SELECT (
        SELECT max(priority) FROM tasks WHERE state = 'waiting' AND priority < level.priority
    ), (
        SELECT seq FROM tasks
        WHERE state = 'waiting' AND priority = level.priority AND run_at <= ?
        AND (lock_key IS NULL OR lock_key NOT IN (
            SELECT lock_key FROM tasks WHERE state = 'running' AND lock_key IS NOT NULL
        ))
        ORDER BY run_at, seq LIMIT 1
    )
    FROM level WHERE level.priority IS NOT NULL AND level.head IS NULL
)
SELECT {_TASK} FROM tasks WHERE seq = (SELECT max(head) FROM level)"""
_LEVELS = """
WITH RECURSIVE level (priority) AS (
    SELECT max(priority) FROM tasks WHERE state = 'waiting'
    UNION ALL
    SELECT (SELECT max(priority) FROM tasks WHERE state = 'waiting' AND priority < level.priority)
    FROM level WHERE level.priority IS NOT NULL
)"""
_FIRST_RUN_AT = """{levels}
SELECT min(first) FROM (
    SELECT (
        SELECT min(run_at) FROM tasks
        WHERE state = 'waiting' AND priority = level.priority AND run_at {compared} ?
    ) AS first
    FROM level WHERE level.priority IS NOT NULL
)"""
_NEXT_DUE_AT = _FIRST_RUN_AT.format(levels=_LEVELS, compared=">")
_OLDEST_DUE_AT = _FIRST_RUN_AT.format(levels=_LEVELS, compared="<=")

# Where a query names the state in words, SQLite can see that a partial index fits.
_STATE = {
    state: f"state = '{state.value}'"
    + (" AND state <> 'waiting' AND state <> 'running'" if state.is_final else "")
    for state in TaskState
}
_SCHEDULE = ", ".join(SCHEDULE_COLUMNS)
_IN_HAND = """
SELECT EXISTS (SELECT 1 FROM tasks WHERE schedule = ? AND state IN ('waiting', 'running'))"""
_ADD_SCHEDULE = (
    f"INSERT INTO schedules ({_SCHEDULE}) SELECT {', '.join('?' * len(SCHEDULE_COLUMNS))} "
    f"WHERE NOT EXISTS (SELECT 1 FROM schedules WHERE key = ?)"
)
_EACH_COLUMN = " AND ".join(f"{column} IS ?" for column in SCHEDULE_COLUMNS)
_CHANGE_SCHEDULE = (
    f"UPDATE schedules SET {', '.join(f'{column} = ?' for column in SCHEDULE_COLUMNS)} "
    f"WHERE {_EACH_COLUMN}"
)
_REMOVE_SCHEDULE = f"DELETE FROM schedules WHERE {_EACH_COLUMN}"

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

    Raises:
        StoreError: An argument can not be used.
    """

    def __init__(
        self, path: str, *, durability: str = "full", timeout_seconds: float = 30.0
    ) -> None:
        super().__init__(path, durability=durability, timeout_seconds=timeout_seconds)
        # The settings in memory: the pool through which they were read, and after which change.
        self._known_settings: Tuple[Optional[Pool], int, Mapping[str, str]] = (None, 0, {})
        self._settings_changes = 0

    # -- tasks --------------------------------------------------------------------------------

    def add(self, task: Task) -> None:
        """Store a new task.

        Raises:
            StoreError: Its id is taken, or the database can not be written.
        """
        self.write(f"store task {task.id}", _ADD, task_row(task))

    def swap(self, before: Task, after: Task) -> bool:
        """Replace a task if it still is at ``before.revision``; tell whether it was.

        Arguments:
            before: The task as it was read.
            after: What it is to become; its id stays.
        """
        _, *changes = task_row(after)
        doing = f"change task {before.id}"
        return self.write(doing, _SWAP, (*changes, before.id, before.revision)) == 1

    def get(self, task_id: str) -> Optional[Task]:
        """Return one task, or None."""
        return self._one_task("read a task", _GET, (task_id,))

    def claimable(self, now: datetime) -> Optional[Task]:
        """Return the waiting task to run next: due, its lock free; by priority, due time, age."""
        return self._one_task("look for a due task", _CLAIMABLE, (microseconds(now),))

    def next_due_at(self, after: datetime) -> Optional[datetime]:
        """Return the earliest due time after an instant among the waiting tasks."""
        return self._instant("look for the next due task", _NEXT_DUE_AT, after)

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
        given = {"name": name, "worker": worker, "schedule": schedule, "unique_key": unique}
        wanted = {column: value for column, value in given.items() if value is not None}
        clauses = [f"{column} = ?" for column in wanted]
        if state is not None:
            clauses.append(_STATE[state])
        where = f"WHERE {' AND '.join(clauses)} " if clauses else ""
        rows = self.read(
            "look for tasks",
            f"SELECT {_TASK} FROM tasks {where}ORDER BY seq LIMIT ?",
            (*wanted.values(), -1 if limit is None else limit),
        )
        return [readable(row_task, row, self.path) for row in rows]

    def has_in_hand(self, schedule: str) -> bool:
        """Tell whether a task of the schedule with this key waits or runs."""
        return bool(self.read("look for tasks of a schedule", _IN_HAND, (schedule,))[0][0])

    def stats(self, now: datetime) -> Stats:
        """Return counts over all tasks.

        Arguments:
            now: The instant up to which a waiting task is due.
        """
        sums = ", ".join(f"(SELECT count(*) FROM tasks WHERE {_STATE[state]})" for state in _STATE)
        rows = self.read("count the tasks", f"SELECT {sums}")
        counts: Dict[TaskState, int] = dict(zip(_STATE, rows[0]))
        return Stats(counts, self._instant("count the tasks", _OLDEST_DUE_AT, now))

    def purge(self, state: TaskState, finished_before: datetime, limit: int) -> int:
        """Remove at most ``limit`` tasks in a final state that ended earlier, the oldest first.

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
            f"DELETE FROM tasks WHERE seq IN (SELECT seq FROM tasks WHERE {_STATE[state]} "
            f"AND finished_at < ? ORDER BY finished_at, seq LIMIT ?)",
            (microseconds(finished_before), max(limit, 0)),
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
        """Move the due times of the waiting tasks with an elapsed delay; return how many."""
        return self.write(
            "shift delays",
            "UPDATE tasks SET run_at = max(?, min(?, run_at + ?)), revision = revision + 1 "
            "WHERE state = 'waiting' AND elapsed",
            (MIN_INSTANT, MAX_INSTANT, round(seconds * 1_000_000)),
        )

    def _one_task(self, doing: str, sql: str, values: Sequence[Any]) -> Optional[Task]:
        rows = self.read(doing, sql, values)
        return readable(row_task, rows[0], self.path) if rows else None

    def _instant(self, doing: str, sql: str, at: datetime) -> Optional[datetime]:
        found = self.read(doing, sql, (microseconds(at),))[0][0]
        return None if found is None else instant(found)

    # -- schedules and settings -----------------------------------------------------------------

    def schedules(self, key: Optional[str] = None) -> List[Schedule]:
        """Return all schedules, or the one with a key, ordered by key."""
        where, values = ("WHERE key = ? ", (key,)) if key is not None else ("", ())
        rows = self.read(
            "read the schedules", f"SELECT {_SCHEDULE} FROM schedules {where}ORDER BY key", values
        )
        return [readable(row_schedule, row, self.path) for row in rows]

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
            sql, values = _ADD_SCHEDULE, (*values, key)
        else:
            sql = _REMOVE_SCHEDULE if after is None else _CHANGE_SCHEDULE
            values = (*values, *schedule_row(before))
        return self.write(f"change schedule {key}", sql, values) == 1

    def settings(self) -> Mapping[str, str]:
        """Return all settings that were ever set."""
        doing, sql = "read the settings", "SELECT name, value FROM settings"
        if self.path != MEMORY or self.in_transaction:
            return dict(self.read(doing, sql))
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
