"""What is shown of a database, in the order in which people read it: queries that only read.

Beside :mod:`autocron.shell.sqlite`: the engine never asks these questions.
"""

from __future__ import annotations

from typing import List

from autocron.core.task import Task
from autocron.shell.queries import TASK
from autocron.shell.rows import readable, row_task
from autocron.shell.sqlite import SQLiteStore

_NEXT = f"SELECT {TASK} FROM tasks WHERE state = 'waiting' ORDER BY run_at, seq LIMIT ?"
# Three walks along one index, each in its order, and never more than the limit from any of them.
_ENDED = " UNION ALL ".join(
    f"SELECT * FROM (SELECT {TASK} FROM tasks WHERE state = '{state}' "
    "AND state <> 'waiting' AND state <> 'running' ORDER BY finished_at DESC, seq DESC LIMIT ?)"
    for state in ("succeeded", "failed", "cancelled")
)


def next_tasks(store: SQLiteStore, limit: int) -> List[Task]:
    """Return waiting tasks, those first that are due first."""
    rows = store.read("look for waiting tasks", _NEXT, (limit,))
    return [readable(row_task, row, store.path) for row in rows]


def ended_tasks(store: SQLiteStore, limit: int) -> List[Task]:
    """Return tasks that have ended, the latest first."""
    rows = store.read("look for ended tasks", _ENDED, (limit, limit, limit))
    found = [readable(row_task, row, store.path) for row in rows]
    found.sort(key=lambda task: task.finished_at or task.enqueued_at, reverse=True)
    return found[:limit]
