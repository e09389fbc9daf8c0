"""Holds a disk that lost its power against what was promised."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Iterable, List, NamedTuple, Set, Tuple

from autocron.core.errors import AutocronError
from autocron.core.task import TaskState
from autocron.shell.sqlite import SQLiteStore
from autocron.stint import MOST
from tests.fresh_start import damage, go_on, repeated_occurrences, told
from tests.power_loss.workload import Note, Run


class Promised(NamedTuple):
    """What must be there.

    Attributes:
        stored: The ids of tasks that are stored.
        cancelled: The ids of tasks that were cancelled, or asked to end.
        schedules: The names of schedules that were made at run time.
    """

    stored: Set[str]
    cancelled: Set[str]
    schedules: Set[str]


def promised(run: Run, number: int) -> Promised:
    """Tell what must be there, by what was noted until a record was made."""
    found = Promised(set(), set(), set())
    for at, (what, *words) in run.notes:
        if at > number + 1:
            break
        if what in ("accepted", "begun"):
            found.stored.update(words)
        elif what == "cancelled":
            found.cancelled.update(words)
        elif what == "schedule":
            found.schedules.update(words)
    return found


def calls(notes: Iterable[Note]) -> List[Tuple[str, ...]]:
    """Return the ids of the tasks of each call, which are all there, or none of them."""
    return [tuple(words) for _, (what, *words) in notes if what == "accepted" and len(words) > 1]


def judge(path: Path, must: Promised, together: List[Tuple[str, ...]]) -> List[str]:
    """Open a database as a fresh start does; return which promises are broken.

    Arguments:
        path: The database.
        must: What must be there.
        together: The ids of tasks that are all there, or none of them.
    """
    store = SQLiteStore(str(path), durability="normal")
    try:
        store.open()
        with closing(store):
            return _look(store, must, together) or go_on(store)
    except (AutocronError, sqlite3.Error) as error:
        return [f"{type(error).__name__}: {error}"]


def _look(store: SQLiteStore, must: Promised, together: List[Tuple[str, ...]]) -> List[str]:
    broken = damage(store)
    if broken:
        return broken
    tasks = {task.id: task for task in store.find()}
    broken += [f"lost: task {task_id}" for task_id in sorted(must.stored - set(tasks))]
    names = {schedule.key for schedule in store.schedules()}
    broken += [f"lost: schedule {name}" for name in sorted(must.schedules - names)]
    for task_id in must.cancelled & set(tasks):
        task = tasks[task_id]
        if task.cancel_asked_at is None and not task.state.is_final:
            broken.append(f"lost: the cancelling of {told(task)}")
    # Ages are counted, and nothing was purged: what is there is a beginning of all that was stored.
    count, latest = store.read("count the tasks", "SELECT count(*), max(seq) FROM tasks")[0]
    if count != (latest or 0):
        broken.append(f"no beginning: {count} tasks, of which the latest is number {latest}")
    for call in together:
        if 0 < len(set(call) & set(tasks)) < len(call):
            broken.append(f"half of a call: of {call} only {set(call) & set(tasks)}")
    groups = {task.group for task in tasks.values()}
    for task in tasks.values():
        if task.after is not None and task.after not in tasks and task.after not in groups:
            broken.append(f"half of a call: {told(task)} waits for {task.after}, which is missing")
    holders = Counter(task.worker for task in tasks.values() if task.state is TaskState.RUNNING)
    broken += [f"the worker {name} holds {n} tasks" for name, n in holders.items() if n > MOST]
    return broken + repeated_occurrences(tasks.values())
