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
ORDER = {
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
# The names of so many of the latest tasks are looked at for a guess; 0.5 µs each.
MOST_NAMES = 20_000
# A lane is a priority of three digits, a blank, and a queue.
_PRIORITY = 4


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
        found, looked, values = self.parts(state, now)
        return " AND ".join([*found, *looked]), values

    def parts(self, state: TaskState, now: datetime) -> Tuple[List[str], List[str], Dict[str, Any]]:
        """Return the same in two parts: what an index finds, and what each row is looked at for."""
        found, clauses = [STATE[state]], []
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
        ages = found if state in ENDED else clauses
        if self.older_than_seconds is not None:
            ages.append(f"{_SINCE[state]} < :older_than")
            values["older_than"] = _before(now, self.older_than_seconds)
        if self.newer_than_seconds is not None:
            ages.append(f"{_SINCE[state]} > :newer_than")
            values["newer_than"] = _before(now, self.newer_than_seconds)
        if self.search is not None:
            clauses.append("(instr(name, :search) > 0 OR substr(id, 1, :begins) = :search)")
            values["search"], values["begins"] = self.search, len(self.search)
        return found, clauses, values


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
        order = f"ORDER BY {ORDER[state]} LIMIT :limit"
        pieces = pieces_of(store, only, values) if state is TaskState.WAITING and limit >= 0 else ()
        heads = [
            f"SELECT seq FROM tasks WHERE {condition}{piece} {order}" for piece in pieces or ("",)
        ]
        # The rows themselves are read of those only that are shown.
        seqs = " UNION ALL ".join(f"SELECT seq FROM ({head}) AS head" for head in heads)
        sql = f"SELECT {TASK} FROM tasks WHERE seq IN ({seqs}) {order}"
        values["limit"] = _MOST if limit < 0 else limit
        found += store.tasks_of("list tasks", sql, values)
    if len(states) > 1:
        found.sort(key=lambda task: task.finished_at or task.enqueued_at, reverse=True)
    return found if limit < 0 else found[:limit]


def pieces_of(store: AskedStore, only: Filter, values: Dict[str, Any]) -> List[str]:
    """Return conditions for pieces of what waits that have an order each; none if they are many.

    Arguments:
        store: The database.
        only: Which tasks; of a queue the lanes of others are left out.
        values: To this the values of the conditions are added.
    """
    lanes = [lane for (lane,) in store.ask("list the lanes", _LANES)]
    if only.queue is not None:
        lanes = [lane for lane in lanes if queue_of(lane) == only.queue]
    if len(lanes) > _MOST_LANES:
        return []
    pieces = []
    for number, lane in enumerate(lanes):
        values[f"lane_{number}"] = lane
        pieces.append(f" AND after_id IS NULL AND lane = :lane_{number}")
    return [*pieces, " AND after_id IS NOT NULL"]


def queue_of(lane: object) -> object:
    """Return the queue of a lane; the lane itself if it is none."""
    return lane[_PRIORITY:] if isinstance(lane, str) else lane


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


def latest_names(store: AskedStore) -> Tuple[List[str], Optional[int]]:
    """Return the same in bounded time: of so many of the latest tasks; None is all of them."""
    doing, values = "list the task functions", {"most": MOST_NAMES}
    sql = (
        "SELECT name FROM (SELECT name FROM tasks ORDER BY seq DESC LIMIT :most) AS latest "
        "UNION SELECT name FROM schedules"
    )
    found = sorted(name for (name,) in store.ask(doing, sql, values))
    older = store.ask(doing, "SELECT 1 FROM tasks LIMIT 1 OFFSET :most", values)
    return found, MOST_NAMES if older else None
