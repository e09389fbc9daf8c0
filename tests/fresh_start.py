"""What is found in a database that something was cut off from: opened, looked at, and gone on with.

The rigs that cut share this: an engine like that of a supervisor and its worker takes over what is
stored, and everything there has to come to its end.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections import Counter
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Iterable, List

from autocron.core.outcome import Outcome, Returned
from autocron.core.task import Task
from autocron.engine import Engine
from autocron.ports import Hand
from autocron.shell import schema
from autocron.shell.rows import microseconds
from autocron.shell.sqlite import SQLiteStore
from autocron.testing import ManualClock
from autocron.testing.contract.tools import NOW
from autocron.zones import load_zone

_MADE = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name"
# What is in a database of the first version: the ids of tasks, and their states.
OLD_TASKS = {"old-1": "waiting", "old-2": "running", "old-3": "succeeded"}
# More steps than any of the rigs needs; what still waits then is stuck.
_AT_MOST_STEPS = 100_000


class _Runs:
    """Returns at once, whatever is run."""

    def invoke(self, task: Task, hand: Hand) -> Outcome:
        return Returned("1")


def damage(store: SQLiteStore) -> List[str]:
    """Tell what is wrong with the database itself."""
    found = [row[0] for row in store.read("check it", "PRAGMA integrity_check")]
    broken = [] if found == ["ok"] else [f"damaged: {line}" for line in found[:5]]
    with closing(SQLiteStore(":memory:")) as new:
        if store.read("look", _MADE) != new.read("look", _MADE):
            broken.append("the tables are not those of a new database")
    return broken


def go_on(store: SQLiteStore, delays_seconds: int = 3) -> List[str]:
    """Take back what nobody holds any more, and run all there is; tell what is wrong then.

    Arguments:
        store: The database; no process uses it.
        delays_seconds: Everything in it is due within so many seconds.
    """
    tasks = store.find()
    if not tasks:
        return damage(store)
    known = [at for task in tasks for at in (task.run_at, task.started_at, task.finished_at)]
    clock = ManualClock(max(at for at in known if at is not None) + timedelta(seconds=1))
    numbers = map(str, itertools.count())
    engine = Engine(
        store,
        clock,
        zones=load_zone,
        new_id=lambda: f"new {next(numbers)}",
        invoker=_Runs(),
        worker="new",
        keeps_house=True,
    )
    deaths = {task.id: task.deaths for task in tasks}
    for worker in sorted({task.worker for task in tasks if task.worker is not None}):
        engine.reclaim(worker, charged=False)
    for _ in range(delays_seconds):
        for _ in range(_AT_MOST_STEPS):
            tick = engine.tick()
            if tick.claimed is None and tick.finished is None:
                break
        clock.advance(seconds=1)
    after = store.find()
    broken = damage(store) + repeated_occurrences(after)
    broken += [f"stuck: {told(task)}" for task in after if not task.state.is_final]
    broken += [
        f"charged with a death: {told(task)}"
        for task in after
        if task.deaths > deaths.get(task.id, 0)
    ]
    return broken


def repeated_occurrences(tasks: Iterable[Task]) -> List[str]:
    """Tell which occurrences of a schedule have more than one task."""
    found = Counter((t.schedule, t.occurrence_at) for t in tasks if t.occurrence_at is not None)
    return [f"{n} tasks of the occurrence {which}" for which, n in found.items() if n > 1]


def told(task: Task) -> str:
    """Return a task in words."""
    return f"{task.name} {task.id}, {task.state.value}, attempt {task.attempt}"


def make_version_1(path: Path) -> None:
    """Make a database as the first version has made it, with tasks and a schedule in it."""
    at = microseconds(NOW)
    with closing(sqlite3.connect(str(path), isolation_level=None)) as connection:
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
        connection.execute("PRAGMA journal_mode=WAL")
        for statement in schema.MIGRATIONS[0].split(";"):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id={schema.APPLICATION_ID}")
        connection.execute("PRAGMA user_version=1")
        for task_id, state in OLD_TASKS.items():
            connection.execute(
                "INSERT INTO tasks (id, name, payload, enqueued_at, run_at, state, revision, "
                "elapsed, priority, retries, attempt, failures, deaths, worker) "
                "VALUES (?, 'a:b', '', ?, ?, ?, 0, 0, 0, 0, 0, 0, 0, ?)",
                (task_id, at, at, state, "w" if state == "running" else None),
            )
        connection.execute(
            "INSERT INTO schedules VALUES ('a:c', 'a:c', '@daily', 'UTC', 'once', 'skip', 60.0, "
            "0, ?, '')",
            (at,),
        )
