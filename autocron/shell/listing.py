"""What is shown of a database, in the order in which people read it: queries that only read.

Beside :mod:`autocron.shell.sqlite`: the engine never asks these questions.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Dict, Iterable, List, Optional, Sequence, Tuple

from autocron.core.task import Task, TaskState
from autocron.core.values import frozen
from autocron.shell.local import AskedStore
from autocron.shell.queries import COUNT, STATE, TASK
from autocron.shell.rows import microseconds

UNFINISHED = (TaskState.RUNNING, TaskState.WAITING)
ENDED = (TaskState.SUCCEEDED, TaskState.FAILED, TaskState.CANCELLED)

# Since when a task is in its state: that is its age.
_SINCE = {
    TaskState.WAITING: "enqueued_at",
    TaskState.RUNNING: "started_at",
    **dict.fromkeys(ENDED, "finished_at"),
}
_ORDER = {
    TaskState.WAITING: "run_at, seq",
    TaskState.RUNNING: "started_at, seq",
    **dict.fromkeys(ENDED, "finished_at DESC, seq DESC"),
}
# A walk from lane to lane, as in :mod:`autocron.shell.queries`; nothing else is looked at.
_TO_RUN = "state = 'waiting' AND after_id IS NULL"
WALK = f"""
WITH RECURSIVE walk (lane) AS (
    SELECT min(lane) FROM tasks WHERE {_TO_RUN}
    UNION ALL
    SELECT (SELECT min(lane) FROM tasks WHERE {_TO_RUN} AND lane > walk.lane)
    FROM walk WHERE walk.lane IS NOT NULL
)"""
_LANES = f"{WALK} SELECT lane FROM walk WHERE lane IS NOT NULL"
# The heads of so many lanes are one query; if there are more, all that waits is sorted.
_MOST_LANES = 100


@frozen
class Filter:
    """Which tasks are meant.

    Attributes:
        task: The name of their function, or its end after a ``:`` or ``.``; None is all.
        queue: Their queue; None is all.
        older_than_seconds: They are in their state for longer than this: waiting since the call,
            running since the attempt began, or ended.
        newer_than_seconds: They are in their state for less than this.
        search: The name of their function has this in it, or their id begins so.
    """

    task: Optional[str] = None
    queue: Optional[str] = None
    older_than_seconds: Optional[float] = None
    newer_than_seconds: Optional[float] = None
    search: Optional[str] = None

    def condition(self, state: TaskState, now: datetime) -> Tuple[str, Dict[str, Any]]:
        """Return the condition in SQL, and its values, for the tasks in one state."""
        clauses = [STATE[state]]
        values: Dict[str, Any] = {}
        if self.task is not None:
            clauses.append(
                "(name = :name OR (length(name) > :length"
                " AND substr(name, length(name) - :length) IN (:after_colon, :after_dot)))"
            )
            values["name"], values["length"] = self.task, len(self.task)
            values["after_colon"], values["after_dot"] = f":{self.task}", f".{self.task}"
        if self.queue is not None:
            clauses.append("queue = :queue")
            values["queue"] = self.queue
        if self.older_than_seconds is not None:
            clauses.append(f"{_SINCE[state]} < :older_than")
            values["older_than"] = _before(now, self.older_than_seconds)
        if self.newer_than_seconds is not None:
            clauses.append(f"{_SINCE[state]} > :newer_than")
            values["newer_than"] = _before(now, self.newer_than_seconds)
        if self.search is not None:
            clauses.append("(instr(name, :search) > 0 OR substr(id, 1, :begins) = :search)")
            values["search"], values["begins"] = self.search, len(self.search)
        return " AND ".join(clauses), values


EVERYTHING = Filter()
# More than there are.
_MOST = 2**62


def _before(now: datetime, seconds: float) -> int:
    return microseconds(now) - round(seconds * 1_000_000)


def listed(
    store: AskedStore,
    states: Sequence[TaskState],
    now: datetime,
    only: Filter = EVERYTHING,
    limit: int = -1,
) -> List[Task]:
    """Return tasks in some states.

    Arguments:
        store: The database.
        states: Their states: one, or several final ones.
        now: The present instant.
        only: Which of them.
        limit: Return at most so many; all if it is negative.

    Returns:
        What waits in the order in which it is due, what runs with the longest-running one first,
        and what has ended with the latest one first.
    """
    found: List[Task] = []
    for state in states:
        condition, values = only.condition(state, now)
        order = f"ORDER BY {_ORDER[state]} LIMIT :limit"
        heads = [f"SELECT seq FROM tasks WHERE {condition} {order}"]
        if state is TaskState.WAITING and limit >= 0:
            heads = _heads_of_lanes(store, condition, order, values) or heads
        # The rows themselves are read of those only that are shown.
        seqs = " UNION ALL ".join(f"SELECT seq FROM ({head}) AS head" for head in heads)
        sql = f"SELECT {TASK} FROM tasks WHERE seq IN ({seqs}) {order}"
        values["limit"] = _MOST if limit < 0 else limit
        found += store.tasks_of("list tasks", sql, values)
    if len(states) > 1:
        found.sort(key=lambda task: task.finished_at or task.enqueued_at, reverse=True)
    return found if limit < 0 else found[:limit]


def _heads_of_lanes(
    store: AskedStore, condition: str, order: str, values: Dict[str, Any]
) -> List[str]:
    """Return the queries for what waits, first in each lane; none if there are too many of them."""
    lanes = store.ask("list the lanes", _LANES)
    if len(lanes) > _MOST_LANES:
        return []
    of_a_lane = []
    for number, (lane,) in enumerate(lanes):
        values[f"lane_{number}"] = lane
        of_a_lane.append(f"after_id IS NULL AND lane = :lane_{number}")
    return [
        f"SELECT seq FROM tasks WHERE {condition} AND {each} {order}"
        for each in (*of_a_lane, "after_id IS NOT NULL")
    ]


def listed_ids(
    store: AskedStore, states: Sequence[TaskState], now: datetime, only: Filter = EVERYTHING
) -> List[str]:
    """Return the ids of tasks in some states, oldest first."""
    found: List[Tuple[int, str]] = []
    for state in states:
        condition, values = only.condition(state, now)
        found += store.ask("list tasks", f"SELECT seq, id FROM tasks WHERE {condition}", values)
    return [task_id for _, task_id in sorted(found)]


def count(
    store: AskedStore, states: Iterable[TaskState], now: datetime, only: Filter = EVERYTHING
) -> int:
    """Return how many tasks are in some states."""
    total = 0
    for state in states:
        condition, values = only.condition(state, now)
        counted = f"(SELECT count(*) FROM tasks WHERE {condition})"
        sql = f"SELECT {COUNT[state] if only == EVERYTHING else counted}"
        total += store.ask("count tasks", sql, values)[0][0]
    return total


def ids_that_begin(store: AskedStore, start: str, limit: int) -> List[str]:
    """Return ids that begin with a text, at most so many, in their order."""
    # Above all ids that begin so: no character of an id is that high.
    sql = "SELECT id FROM tasks WHERE id >= ? AND id < ? ORDER BY id LIMIT ?"
    rows = store.ask("look for an id", sql, (start, f"{start}\U0010ffff", limit))
    return [task_id for (task_id,) in rows]


def names(store: AskedStore) -> List[str]:
    """Return the names of all task functions that the database has heard of."""
    sql = "SELECT name FROM tasks UNION SELECT name FROM schedules"
    return sorted(name for (name,) in store.ask("list the task functions", sql))
