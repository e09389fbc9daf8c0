"""Lists of tasks, and how many there are, in bounded time.

What an index finds is counted, however much it is. For the rest, the function of a task above all,
each row has to be read: 0.5 µs each, and so a second for two million. So at the first of a list is
looked, in its order, and it is said at how many.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Dict, List, Optional, Sequence, Tuple

from autocron.core.task import Task, TaskState
from autocron.core.values import changed, frozen
from autocron.shell.at_once import at_once
from autocron.shell.counting import waiting, waiting_in
from autocron.shell.listing import ORDER, Filter, count, listed, pieces_of
from autocron.shell.local import AskedStore
from autocron.shell.queries import TASK

MOST_READ = 100_000


@frozen
class Listed:
    """Tasks, at most as many as were asked for, and how many there are.

    Attributes:
        tasks: The tasks.
        count: How many there are.
        most_read: At so many, the first of the list, was looked, and there may be more; None if
            it was looked at all.
    """

    tasks: Tuple[Task, ...] = ()
    count: int = 0
    most_read: Optional[int] = None


def look(
    store: AskedStore,
    states: Sequence[TaskState],
    now: datetime,
    only: Filter,
    limit: int,
    is_thorough: bool = True,
) -> Listed:
    """Return tasks in some states.

    Arguments:
        store: The database.
        states: Their states: one, or several final ones.
        now: The present instant.
        only: Which of them.
        limit: Return at most so many.
        is_thorough: Whether to look at all, however long it takes.
    """
    # What runs is little.
    if not is_thorough and TaskState.RUNNING not in states and _has_to_read(states, now, only):
        return _first(store, states, now, only, limit)
    tasks = tuple(listed(store, states, now, only, limit))
    if tuple(states) == (TaskState.WAITING,) and only == Filter(queue=only.queue):
        # Lanes have the queue in their name; rows would have to be read for it.
        how_many = waiting(store) if only.queue is None else waiting_in(store, only.queue)
        return Listed(tasks, how_many)
    return Listed(tasks, count(store, states, now, only))


def _has_to_read(states: Sequence[TaskState], now: datetime, only: Filter) -> bool:
    if TaskState.WAITING in states:
        only = changed(only, queue=None)
    return any(only.parts(state, now)[1] for state in states)


def _first(
    store: AskedStore, states: Sequence[TaskState], now: datetime, only: Filter, limit: int
) -> Listed:
    """Look at the first tasks, in the order of the list."""
    values: Dict[str, Any] = {"limit": limit, "most": MOST_READ}
    order = ORDER[states[0]]
    pieces: List[str] = []
    for state in states:
        found, read, more = only.parts(state, now)
        values.update(more)
        of_lanes = pieces_of(store, only, values) if state is TaskState.WAITING else []
        pieces += [
            f"SELECT seq, run_at, finished_at, ({' AND '.join(read)}) AS fits "
            f"FROM tasks WHERE {' AND '.join(found)}{piece}"
            for piece in of_lanes or ("",)
        ]
    # Each piece is read along its index, and no further than the others ask for.
    first = f"{' UNION ALL '.join(pieces)} ORDER BY {order} LIMIT :most"
    seqs = f"SELECT seq FROM ({first}) AS first WHERE fits LIMIT :limit"
    whole = f"SELECT {TASK} FROM tasks WHERE seq IN ({seqs}) ORDER BY {order}"
    counts = f"SELECT count(*), count(CASE WHEN fits THEN 1 END) FROM ({first}) AS first"
    tasks, ((read_count, fitting),) = at_once(
        lambda: store.tasks_of("list tasks", whole, values),
        lambda: store.ask("count tasks", counts, values),
    )
    return Listed(tuple(tasks), fitting, MOST_READ if read_count >= MOST_READ else None)
