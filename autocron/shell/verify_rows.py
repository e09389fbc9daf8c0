"""Whether each row is what autocron writes, and whether all rows together make sense."""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta
from typing import Any, Callable, Dict, Iterator, List, Mapping, Sequence, Tuple, Type

from autocron.core.schedule import CLOCK_CORRECTION_SECONDS
from autocron.core.settings import AUTOCRON_LOCK, NAMES, InvalidSetting, check_setting
from autocron.core.task import Task, TaskState
from autocron.operations import SCHEDULES_VERSION
from autocron.shell import queries
from autocron.shell.damage import DAMAGED
from autocron.shell.findings import Findings
from autocron.shell.rows import SCHEDULE_COLUMNS, TASK_COLUMNS, lane, row_schedule, row_task
from autocron.shell.verify_schema import RESTORE, Columns

Tell = Callable[[str, int, int], None]

# So many rows between two tellings.
_STEP = 1000
_KINDS: Mapping[str, Tuple[Type[Any], ...]] = {
    "INTEGER": (int,),
    "TEXT": (str,),
    "REAL": (float, int),
}
_WORDS = {int: "a number", str: "a text", float: "a fraction", type(None): "nothing"}
_UNKNOWN_HAND = f"nobody but autocron may write here: {RESTORE}"
_BUG = f"{_UNKNOWN_HAND}, and if nothing else has written, report it as a bug"


class NoText(bytes):
    """What stands where a text should be, and is no UTF-8."""


def as_text(stored: bytes) -> Any:
    """Make a text of what SQLite takes for one; for the ``text_factory`` of a connection."""
    try:
        return stored.decode()
    except UnicodeDecodeError:
        return NoText(stored)


class Rows:
    """The rows of one database, under one snapshot.

    Arguments:
        findings: Get what is wrong.
        connection: The database, with :func:`as_text`.
        columns: Those that its tables have to have.
        tell: Is called with what is read, how many rows of it are, and of how many, now and then.
    """

    def __init__(
        self, findings: Findings, connection: sqlite3.Connection, columns: Columns, tell: Tell
    ) -> None:
        self._findings = findings
        self._connection = connection
        self._columns = columns
        self._tell = tell
        self.counts: Dict[str, int] = {}

    def verify_kinds(self, table: str) -> None:
        """Check that each column of a table holds what it is for, and nothing more.

        What is a row of tasks or schedules of the present version, :meth:`verify_tasks` and
        :meth:`verify_schedules` read as well.
        """
        names = [name for name, _, _ in self._columns[table]]
        for row in self._read(table, f"SELECT {', '.join(names)} FROM {table}"):
            self._check_kinds(f"{table} {row[0]!r:.80}", table, names, row)

    def verify_tasks(self) -> None:
        """Check each row of tasks: its columns, whether it is a task, and what goes together."""
        columns = f"{', '.join(f'tasks.{name}' for name in TASK_COLUMNS)}, lane, seq"
        names = [*TASK_COLUMNS, "lane", "seq"]
        for row in self._read("tasks", f"SELECT {columns} FROM tasks NOT INDEXED"):
            where = f"task {row[0]}" if type(row[0]) is str else f"row {row[-1]} of tasks"
            if self._check_kinds(where, "tasks", names, row):
                try:
                    task = row_task(row)
                # Whatever a damaged text provokes in a parser.
                except Exception as error:
                    self._add_unreadable(where, error)
                else:
                    self._check_task(where, task, row[-2])

    def verify_schedules(self, now: datetime) -> None:
        """Check each row of schedules: its columns, whether it is one, and its watermark."""
        latest = now + timedelta(seconds=CLOCK_CORRECTION_SECONDS)
        for row in self._read("schedules", f"SELECT {queries.SCHEDULE} FROM schedules"):
            where = f"schedule {row[0]}"
            if not self._check_kinds(where, "schedules", SCHEDULE_COLUMNS, row):
                continue
            try:
                watermark_at = row_schedule(row).watermark_at
            except Exception as error:
                self._add_unreadable(where, error)
                continue
            if watermark_at > latest:
                self._findings.add(
                    where,
                    f"it has been dealt with until {watermark_at}, more than three hours after the "
                    f"clock, which says {now}",
                    "check the clock; a supervisor that runs lets it go on from now",
                )

    def verify_settings(self) -> None:
        """Check each setting as if it were set now."""
        for name, value in self._read("settings", "SELECT name, value FROM settings"):
            where = f"setting {name}"
            if not self._check_kinds(where, "settings", ["name", "value"], (name, value)):
                continue
            what = _wrong_with_setting(name, value)
            if what:
                option = f"--set-{name.replace('_', '-')}"
                remedy = f"set it again with {option}" if name in NAMES else RESTORE
                self._findings.add(where, what, remedy)

    def verify_company(self) -> None:
        """Check what several tasks must not be at once."""
        running = "state = 'running'"
        for worker, count in self._connection.execute(
            f"SELECT worker, count(*) FROM tasks WHERE {running} AND worker IS NOT NULL "
            "GROUP BY worker HAVING count(*) > 1"
        ):
            self._findings.add(f"worker {worker}", f"it runs {count} tasks at once", _BUG)
        for key, count, limit in self._connection.execute(
            f"SELECT lock_key, count(*), max(lock_limit) FROM tasks WHERE {running} "
            "AND lock_key IS NOT NULL GROUP BY lock_key HAVING count(*) > max(lock_limit)"
        ):
            what = f"{count} tasks run at once, and at most {limit} may"
            self._findings.add(f"limit {key}", what, _BUG)
        for task_id, after in self._connection.execute(
            "SELECT id, after_id FROM tasks AS held WHERE state = 'waiting' "
            "AND after_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM tasks WHERE id = held.after_id "
            "AND state IN ('waiting', 'running')) AND NOT EXISTS (SELECT 1 FROM tasks "
            "WHERE group_id = held.after_id AND state IN ('waiting', 'running'))"
        ):
            self._findings.add(
                f"task {task_id}",
                f"it waits for {after}, which neither waits nor runs, and so will never run",
                f"cancel it with --cancel {task_id}, and call it again",
            )

    def _read(self, table: str, sql: str) -> Iterator[Sequence[Any]]:
        total = self._connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        self.counts[table] = 0
        for row in self._connection.execute(sql):
            yield row
            self.counts[table] += 1
            if self.counts[table] % _STEP == 0:
                self._tell(table, self.counts[table], total)

    def _check_kinds(
        self, where: str, table: str, names: Sequence[str], row: Sequence[Any]
    ) -> bool:
        wanted = {name: (kind, is_needed) for name, kind, is_needed in self._columns[table]}
        wrong: List[str] = []
        for name, value in zip(names, row):
            kind, is_needed = wanted[name]
            if value is None:
                if is_needed and name != "seq":
                    wrong.append(f"{name} is empty")
            elif type(value) not in _KINDS[kind]:
                found = "no UTF-8" if type(value) is NoText else _WORDS.get(type(value), "bytes")
                wrong.append(f"{name} is {found} instead of {_WORDS[_KINDS[kind][0]]}")
        if wrong:
            self._findings.add(where, ", ".join(wrong), _UNKNOWN_HAND)
        return not wrong

    def _add_unreadable(self, where: str, error: Exception) -> None:
        what = f"it holds what autocron did not write ({type(error).__name__}: {error!s:.200})"
        self._findings.add(where, what, _UNKNOWN_HAND)

    def _check_task(self, where: str, task: Task, stored_lane: str) -> None:
        is_running = task.state is TaskState.RUNNING
        if is_running and task.worker is None:
            self._findings.add(where, "it is running, and no worker runs it", _BUG)
        if not is_running and task.worker is not None:
            what = f"it is {task.state.value}, and held by the worker {task.worker}"
            self._findings.add(where, what, _BUG)
        is_set_aside = task.failure is not None and task.failure.type == DAMAGED
        # When that was, nobody knows.
        if (task.finished_at is not None) != task.state.is_final and not is_set_aside:
            ended = "has never ended" if task.finished_at is None else "has ended"
            self._findings.add(where, f"it is {task.state.value}, and {ended}", _BUG)
        right = lane(task.priority, task.queue)
        if stored_lane != right:
            what = f"it waits in the lane {stored_lane!r} instead of {right!r}"
            self._findings.add(where, what, _BUG)


def _wrong_with_setting(name: str, value: str) -> str:
    if name == AUTOCRON_LOCK and value not in ("on", "off"):
        return f"{value!r} is neither on nor off"
    if name == SCHEDULES_VERSION and not (value.isascii() and value.isdigit()):
        return f"{value!r} is no whole number"
    if name in NAMES:
        try:
            check_setting(name, value)
        except InvalidSetting as error:
            return str(error)
    return ""
