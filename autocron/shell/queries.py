"""The statements of the SQLite store: what to run next, when to look again, what is in the way.

A *lane* is all that waits with one priority in one queue; its text sorts by priority, the highest
first, then by queue. There are few lanes, however many tasks there are, so the questions about what
waits are a walk from lane to lane, each step of which is a seek in one index: neither what waits
for the future, nor for another task, nor in a paused queue, is looked at.
"""

from __future__ import annotations

from functools import lru_cache
from operator import itemgetter
from typing import Dict, Optional, Sequence, Tuple

from autocron.core.task import ALL_QUEUES, TaskState
from autocron.shell.rows import MAX_INSTANT, MIN_INSTANT, SCHEDULE_COLUMNS, TASK_COLUMNS

# The number of the row comes last.
TASK = ", ".join((*TASK_COLUMNS, "seq"))
SEQ = len(TASK_COLUMNS)
# By this the heads of several lanes are compared: the due time, then the age, which comes last.
DUE = itemgetter(TASK_COLUMNS.index("run_at"), len(TASK_COLUMNS))
DISCARD = "DELETE FROM tasks WHERE id = ? AND revision = ?"
GET = f"SELECT {TASK} FROM tasks WHERE id = ?"


@lru_cache(maxsize=512)
def add(columns: Tuple[str, ...], count: int = 1) -> str:
    """Return the statement that adds so many tasks of which these columns are given.

    If it fails, several are to be undone by the transaction around it.
    """
    row = f"({', '.join('?' * len(columns))})"
    # To undo just this statement SQLite would copy each page before it changes it, into a file
    # once there are 64 KB of them: of 10,000 small tasks each took 4.1 µs, and takes 2.2.
    or_fail = " OR FAIL" if count > 1 else ""
    return f"INSERT{or_fail} INTO tasks ({', '.join(columns)}) VALUES {', '.join([row] * count)}"


@lru_cache(maxsize=512)
def swap(columns: Tuple[str, ...]) -> str:
    """Return the statement that changes these columns of a task with an id and a revision."""
    changes = ", ".join(f"{column} = ?" for column in columns)
    return f"UPDATE tasks SET {changes or 'id = id'} WHERE id = ? AND revision = ?"


# Where a query repeats the condition of a partial index word by word, SQLite sees that it fits.
STATE = {
    state: f"state = '{state.value}'"
    + (" AND state <> 'waiting' AND state <> 'running'" if state.is_final else "")
    for state in TaskState
}
_TO_RUN = "state = 'waiting' AND after_id IS NULL"
_LEVEL, _QUEUE = 3, "substr({}, 5)"
_IS_OPEN = """NOT EXISTS (SELECT 1 FROM paused_queues WHERE queue = '{all}')
        AND NOT EXISTS (SELECT 1 FROM paused_queues WHERE queue = {queue})"""

# One step of the walk for the task to run next: the lane after ``:passed``, its head, and the lane
# after that. Of its tasks only those are passed over, one by one, that may not begin.
_STEP = f"""
SELECT {", ".join(f"tasks.{column}" for column in TASK_COLUMNS)}, tasks.seq, this.lane, (
    SELECT min(lane) FROM tasks WHERE {_TO_RUN} AND lane > this.lane
)
FROM (SELECT min(lane) AS lane FROM tasks WHERE {_TO_RUN} AND lane > :passed) AS this
LEFT JOIN tasks ON tasks.seq = (
    SELECT CASE WHEN {{is_open}} THEN (
        SELECT seq FROM tasks
        WHERE {_TO_RUN} AND lane = this.lane AND run_at <= :now
        AND (expires_at IS NULL OR expires_at > :now)
        AND (lock_key IS NULL OR lock_limit > (
            SELECT count(*) FROM tasks AS holder
            WHERE holder.state = 'running' AND holder.lock_key = tasks.lock_key
        ))
        AND (rate_key IS NULL OR NOT EXISTS (
            SELECT 1 FROM busy_rates
            WHERE busy_rates.rate_key = tasks.rate_key AND free_at > :now
        ))
        ORDER BY run_at, seq LIMIT 1
    ) END
)"""
# For each lane SQLite has to be told more, and to look.
MOST_LANES = 32
# The lanes of one priority in which something waits, as far as that is too many.
_BESIDE = f"""
WITH RECURSIVE walk (lane) AS (
    SELECT min(lane) FROM tasks WHERE {_TO_RUN} AND lane >= :level AND lane < :level || '!'
    UNION ALL
    SELECT (
        SELECT min(lane) FROM tasks
        WHERE {_TO_RUN} AND lane > walk.lane AND lane < :level || '!'
    )
    FROM walk WHERE walk.lane IS NOT NULL
)
SELECT lane FROM walk WHERE lane IS NOT NULL AND {{is_open}} LIMIT {MOST_LANES + 1}"""
# The tasks of one lane behind one that was claimed just now, which is not among them any more.
_BEHIND = f"""
SELECT {TASK} FROM tasks
WHERE {_TO_RUN} AND lane = :lane_{{number}} AND run_at BETWEEN :from AND :now"""
_LANES = f"""
WITH RECURSIVE walk (lane) AS (
    SELECT min(lane) FROM tasks WHERE {_TO_RUN}
    UNION ALL
    SELECT (SELECT min(lane) FROM tasks WHERE {_TO_RUN} AND lane > walk.lane)
    FROM walk WHERE walk.lane IS NOT NULL
)"""
_NEXT_DUE_AT = f"""{_LANES}
SELECT min(at) FROM (
    SELECT (
        SELECT min(run_at) FROM tasks WHERE {_TO_RUN} AND lane = walk.lane AND run_at > :after
    ) AS at
    FROM walk WHERE walk.lane IS NOT NULL AND {{is_open}}
    UNION ALL
    SELECT min(free_at) FROM busy_rates WHERE free_at > :after
)"""
OLDEST_DUE_AT = f"""{_LANES}
SELECT min(at) FROM (
    SELECT (
        SELECT min(run_at) FROM tasks WHERE {_TO_RUN} AND lane = walk.lane AND run_at <= :now
    ) AS at
    FROM walk WHERE walk.lane IS NOT NULL
)"""


def _in_queues(sql: str, lane: str, queues: Optional[Sequence[str]]) -> str:
    queue = _QUEUE.format(lane)
    is_open = _IS_OPEN.format(all=ALL_QUEUES, queue=queue)
    if queues is not None:
        names = ", ".join(f":queue_{number}" for number in range(len(queues)))
        is_open += f" AND {queue} IN ({names})"
    return sql.format(is_open=is_open)


_STEP_ANYWHERE = _in_queues(_STEP, "this.lane", None)
_BESIDE_ANYWHERE = _in_queues(_BESIDE, "walk.lane", None)
_NEXT_DUE_AT_ANYWHERE = _in_queues(_NEXT_DUE_AT, "walk.lane", None)


def step(queues: Optional[Sequence[str]]) -> str:
    """Return the query for the next lane after ``:passed`` and its head at ``:now``.

    The head is in the first columns of its row, and NULL if there is none in some queues; the last
    two are the lane, and the one after it.
    """
    return _STEP_ANYWHERE if queues is None else _in_queues(_STEP, "this.lane", queues)


def beside(queues: Optional[Sequence[str]]) -> str:
    """Return the query for the lanes of ``:level`` in some queues."""
    return _BESIDE_ANYWHERE if queues is None else _in_queues(_BESIDE, "walk.lane", queues)


@lru_cache(maxsize=MOST_LANES)
def behind(lanes: int) -> str:
    """Return the query for the first tasks, ``:limit`` at most, of ``:lane_0`` and so many more."""
    # SQLite merges them as it goes, since each comes in this order by itself.
    each = " UNION ALL ".join(_BEHIND.format(number=number) for number in range(lanes))
    return f"{each} ORDER BY run_at, seq LIMIT :limit"


def level(lane: str) -> str:
    """Return what all lanes of one priority have in common."""
    return lane[:_LEVEL]


def next_due_at(queues: Optional[Sequence[str]]) -> str:
    """Return the query for the next instant after ``:after`` at which to look at some queues."""
    if queues is None:
        return _NEXT_DUE_AT_ANYWHERE
    return _in_queues(_NEXT_DUE_AT, "walk.lane", queues)


def queue_values(queues: Optional[Sequence[str]]) -> Dict[str, str]:
    """Return the values of the queues in those queries."""
    return {f"queue_{number}": queue for number, queue in enumerate(queues or ())}


EXPIRING = f"""
SELECT {TASK} FROM tasks WHERE state = 'waiting' AND expires_at IS NOT NULL
ORDER BY expires_at, seq LIMIT ?"""
TAKEN_BY = f"""
SELECT {TASK} FROM tasks WHERE seq = (
    SELECT min(oldest) FROM (
        SELECT min(seq) AS oldest FROM tasks WHERE unique_key = :unique AND state = 'waiting'
        UNION ALL
        SELECT min(seq) FROM tasks WHERE unique_key = :unique AND state = 'running' AND :running
        UNION ALL
        SELECT min(seq) FROM tasks WHERE unique_key = :unique AND unique_until_at > :now
    )
)"""
# How many tasks are in a state. Those that wait are what is left of all, which SQLite counts by
# pages and not by rows: no index has just them, and to look at a million takes 0.3 seconds.
COUNT = {state: f"(SELECT count(*) FROM tasks WHERE {STATE[state]})" for state in TaskState}
# The last state by name: without an upper bound to compare with, an entry takes 21 ns and not 34.
LAST = max(state.value for state in TaskState if state.is_final)
_FROM_LAST = "state <> 'waiting' AND state <> 'running' AND state"
COUNT[TaskState(LAST)] = f"""(
    (SELECT count(*) FROM tasks WHERE {_FROM_LAST} >= '{LAST}')
    - (SELECT count(*) FROM tasks WHERE {_FROM_LAST} > '{LAST}')
)"""
COUNT[TaskState.WAITING] = f"""(
    (SELECT count(*) FROM tasks) - {COUNT[TaskState.RUNNING]}
    - (SELECT count(*) FROM tasks WHERE state <> 'waiting' AND state <> 'running')
)"""
COUNTS = f"SELECT {', '.join(COUNT[state] for state in STATE)}"
_PURGE = """
DELETE FROM tasks WHERE seq IN (
    SELECT seq FROM tasks
    WHERE {state} AND finished_at < :before
    AND (unique_until_at IS NULL OR unique_until_at < :before)
    AND (after_id IS NULL OR NOT EXISTS (
        SELECT 1 FROM tasks AS before WHERE before.id = tasks.after_id
    ))
    AND (group_id IS NULL OR NOT EXISTS (
        SELECT 1 FROM tasks AS member
        WHERE member.group_id = tasks.group_id AND member.state IN ('waiting', 'running')
    ))
    ORDER BY finished_at, seq LIMIT :limit
)"""
PURGE = {state: _PURGE.format(state=STATE[state]) for state in TaskState if state.is_final}

_MOVED = "max(:min, min(:max, {} + :by))"
# What is held has no due time yet: its delay begins when it is released. What was due at its call
# stays due when the clock is set back, and is so anyway when it is set forward.
SHIFT = f"""
UPDATE tasks SET run_at = {_MOVED.format("run_at")}, revision = revision + 1
WHERE {_TO_RUN} AND (elapsed OR (:by < 0 AND run_at <= enqueued_at))"""
SHIFT_STARTS = (
    f"UPDATE starts SET at = {_MOVED.format('at')}, until_at = {_MOVED.format('until_at')}"
)
SHIFT_FREE = f"UPDATE busy_rates SET free_at = {_MOVED.format('free_at')}"
PAST_STARTS = """
SELECT EXISTS (SELECT 1 FROM starts WHERE until_at <= ?)
OR EXISTS (SELECT 1 FROM busy_rates WHERE free_at <= ?)"""
STARTS = f"""
SELECT at FROM starts WHERE rate_key = ? AND at BETWEEN {MIN_INSTANT} AND {MAX_INSTANT}
ORDER BY at DESC LIMIT ?"""

SCHEDULE = ", ".join(SCHEDULE_COLUMNS)
IN_HAND = """
SELECT EXISTS (SELECT 1 FROM tasks WHERE schedule = ? AND state IN ('waiting', 'running'))"""
ADD_SCHEDULE = (
    f"INSERT INTO schedules ({SCHEDULE}) SELECT {', '.join('?' * len(SCHEDULE_COLUMNS))} "
    f"WHERE NOT EXISTS (SELECT 1 FROM schedules WHERE key = ?)"
)
_EACH_COLUMN = " AND ".join(f"{column} IS ?" for column in SCHEDULE_COLUMNS)
CHANGE_SCHEDULE = (
    f"UPDATE schedules SET {', '.join(f'{column} = ?' for column in SCHEDULE_COLUMNS)} "
    f"WHERE {_EACH_COLUMN}"
)
REMOVE_SCHEDULE = f"DELETE FROM schedules WHERE {_EACH_COLUMN}"
