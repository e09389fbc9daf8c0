"""The statements of the PostgreSQL store.

What is in :mod:`autocron.shell.queries` for SQLite is here for PostgreSQL, and the values are the
same. The walk from lane to lane is one query here, since each question costs a round trip.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Dict, Tuple

from autocron.core.task import ALL_QUEUES, TaskState
from autocron.shell.rows import SCHEDULE_COLUMNS, TASK_COLUMNS

TASK = ", ".join(f"tasks.{column}" for column in TASK_COLUMNS)
FROM = "FROM autocron_tasks AS tasks"
GET = f"SELECT {TASK} {FROM} WHERE id = %s"
GET_WITH_TICKET = f"SELECT {TASK}, ticket {FROM} WHERE id = %s"


@lru_cache(maxsize=512)
def add(columns: Tuple[str, ...]) -> str:
    """Return the statement that adds a task of which these columns are given."""
    marks = ", ".join(["%s"] * len(columns))
    return f"INSERT INTO autocron_tasks ({', '.join(columns)}) VALUES ({marks})"


@lru_cache(maxsize=512)
def swap(columns: Tuple[str, ...]) -> str:
    """Return the statement that changes these columns of a task with an id and a revision."""
    changes = ", ".join(f"{column} = %s" for column in columns) or "id = id"
    return f"UPDATE autocron_tasks SET {changes} WHERE id = %s AND revision = %s"


DISCARD = "DELETE FROM autocron_tasks WHERE id = %s AND revision = %s"


@lru_cache(maxsize=512)
def translated(sql: str) -> str:
    """Return a question as PostgreSQL understands it.

    Arguments:
        sql: See :class:`autocron.shell.local.AskedStore`.
    """
    for ours, theirs in _TRANSLATIONS:
        sql = re.sub(ours, theirs, sql)
    return sql


_TRANSLATIONS = (
    (r"\bFROM (tasks|schedules)\b", r"FROM autocron_\1 AS \1"),
    (r":([a-z_][a-z_0-9]*)\b", r"%(\1)s"),
    (r"\?", "%s"),
    (r"\binstr\(", "strpos("),
)

STATE: Dict[TaskState, str] = {
    state: f"state = '{state.value}'"
    + (" AND state IN ('succeeded', 'failed', 'cancelled')" if state.is_final else "")
    for state in TaskState
}
TO_RUN = "state = 'waiting' AND after_id IS NULL"
_LANES = f"""
WITH RECURSIVE walk (lane) AS (
    (SELECT lane FROM autocron_tasks WHERE {TO_RUN} ORDER BY lane LIMIT 1)
    UNION ALL
    SELECT (
        SELECT lane FROM autocron_tasks WHERE {TO_RUN} AND lane > walk.lane ORDER BY lane LIMIT 1
    )
    FROM walk WHERE walk.lane IS NOT NULL
)"""
_IS_OPEN = f"""walk.lane IS NOT NULL
    AND (%(queues)s::text[] IS NULL OR substr(walk.lane, 5) = ANY (%(queues)s::text[]))
    AND NOT EXISTS (
        SELECT 1 FROM autocron_paused_queues WHERE queue IN ('{ALL_QUEUES}', substr(walk.lane, 5))
    )"""
_CLAIMABLE = f"""{_LANES}
SELECT {TASK} FROM walk CROSS JOIN LATERAL (
    SELECT * {FROM}
    WHERE {TO_RUN} AND tasks.lane = walk.lane AND run_at <= %(now)s
    AND (expires_at IS NULL OR expires_at > %(now)s)
    AND (lock_key IS NULL OR lock_limit > (
        SELECT count(*) FROM autocron_tasks AS holder
        WHERE holder.state = 'running' AND holder.lock_key = tasks.lock_key
    ))
    AND (rate_key IS NULL OR NOT EXISTS (
        SELECT 1 FROM autocron_busy_rates AS busy
        WHERE busy.rate_key = tasks.rate_key AND busy.free_at > %(now)s
    ))
    ORDER BY run_at, seq LIMIT 1 {{lock}}
) AS tasks
WHERE {_IS_OPEN}
ORDER BY tasks.priority DESC, tasks.run_at, tasks.seq LIMIT 1"""
CLAIMABLE = _CLAIMABLE.format(lock="")
# In a transaction: what another worker is just about to take is left to that one.
CLAIMABLE_ALONE = _CLAIMABLE.format(lock="FOR UPDATE OF tasks SKIP LOCKED")
NEXT_DUE_AT = f"""{_LANES}
SELECT min(at) FROM (
    SELECT (
        SELECT min(run_at) FROM autocron_tasks
        WHERE {TO_RUN} AND lane = walk.lane AND run_at > %(after)s
    ) AS at
    FROM walk WHERE {_IS_OPEN}
    UNION ALL
    SELECT min(free_at) FROM autocron_busy_rates WHERE free_at > %(after)s
) AS instants"""
EXPIRING = f"""
SELECT {TASK} {FROM} WHERE state = 'waiting' AND expires_at IS NOT NULL
ORDER BY expires_at, seq LIMIT %s"""
TAKEN_BY = f"""
SELECT {TASK} {FROM}
WHERE unique_key = %(unique)s AND (
    state = 'waiting' OR (state = 'running' AND %(running)s) OR unique_until_at > %(now)s
)
ORDER BY seq LIMIT 1"""
COUNTS = "SELECT state, count(*) FROM autocron_tasks GROUP BY state"
OLDEST_DUE_AT = f"SELECT min(run_at) FROM autocron_tasks WHERE {TO_RUN} AND run_at <= %s"
_PURGE = """
DELETE FROM autocron_tasks WHERE seq IN (
    SELECT seq FROM autocron_tasks AS tasks
    WHERE {state} AND finished_at < %(before)s
    AND (unique_until_at IS NULL OR unique_until_at < %(before)s)
    AND (after_id IS NULL OR NOT EXISTS (
        SELECT 1 FROM autocron_tasks AS forerunner WHERE forerunner.id = tasks.after_id
    ))
    AND (group_id IS NULL OR NOT EXISTS (
        SELECT 1 FROM autocron_tasks AS member
        WHERE member.group_id = tasks.group_id AND member.state IN ('waiting', 'running')
    ))
    ORDER BY finished_at, seq LIMIT %(limit)s
)"""
PURGE = {state: _PURGE.format(state=STATE[state]) for state in TaskState if state.is_final}

_MOVED = "greatest(%(min)s, least(%(max)s, {} + %(by)s))"
SHIFT = f"""
UPDATE autocron_tasks SET run_at = {_MOVED.format("run_at")}, revision = revision + 1
WHERE {TO_RUN} AND (elapsed = 1 OR (%(by)s < 0 AND run_at <= enqueued_at))"""
SHIFT_STARTS = (
    f"UPDATE autocron_starts SET at = {_MOVED.format('at')}, until_at = {_MOVED.format('until_at')}"
)
SHIFT_FREE = f"UPDATE autocron_busy_rates SET free_at = {_MOVED.format('free_at')}"
STARTS = "SELECT at FROM autocron_starts WHERE rate_key = %s ORDER BY at DESC LIMIT %s"
PUT_BUSY = """
INSERT INTO autocron_busy_rates VALUES (%s, %s)
ON CONFLICT (rate_key) DO UPDATE SET free_at = excluded.free_at"""
PUT_SETTING = """
INSERT INTO autocron_settings VALUES (%s, %s)
ON CONFLICT (name) DO UPDATE SET value = excluded.value"""
IN_HAND = """
SELECT EXISTS (
    SELECT 1 FROM autocron_tasks WHERE schedule = %s AND state IN ('waiting', 'running')
)"""

SCHEDULE = ", ".join(SCHEDULE_COLUMNS)
ADD_SCHEDULE = (
    f"INSERT INTO autocron_schedules ({SCHEDULE}) VALUES "
    f"({', '.join(['%s'] * len(SCHEDULE_COLUMNS))}) ON CONFLICT (key) DO NOTHING"
)
_EACH_COLUMN = " AND ".join(f"{column} IS NOT DISTINCT FROM %s" for column in SCHEDULE_COLUMNS)
CHANGE_SCHEDULE = (
    f"UPDATE autocron_schedules SET {', '.join(f'{name} = %s' for name in SCHEDULE_COLUMNS)} "
    f"WHERE {_EACH_COLUMN}"
)
REMOVE_SCHEDULE = f"DELETE FROM autocron_schedules WHERE {_EACH_COLUMN}"

# What waits without a ticket: for a lock, or in a paused queue; the most urgent first.
_WITHOUT = f"SELECT id, queue, priority, run_at {FROM} WHERE {TO_RUN} AND ticket IS NULL"
_URGENT = "ORDER BY lane, run_at, seq"
WITHOUT_IN_QUEUE = f"{_WITHOUT} AND (queue = %(queue)s OR %(queue)s = '{ALL_QUEUES}') {_URGENT}"
WITHOUT_FOR_LOCK = f"{_WITHOUT} AND lock_key = %(lock)s {_URGENT} LIMIT 1"
SET_TICKET = f"UPDATE autocron_tasks SET ticket = %s WHERE id = %s AND {TO_RUN}"
RUNNING_WITH_LOCK = f"""
SELECT count(*) FROM autocron_tasks WHERE {STATE[TaskState.RUNNING]} AND lock_key = %s"""
WORKERS_WITH = """
SELECT worker FROM autocron_tasks WHERE state = 'running' AND worker IS NOT NULL AND ticket = %s"""
# By the server's clock alone: those of hosts differ.
PUT_HOST = """
INSERT INTO autocron_hosts VALUES (%s, %s, now())
ON CONFLICT (name) DO UPDATE SET workers = excluded.workers, seen_at = excluded.seen_at"""
HOSTS = """
SELECT name, workers, extract(epoch FROM now() - seen_at)::double precision FROM autocron_hosts
WHERE seen_at > now() - make_interval(secs => %s) ORDER BY name"""
FORGET_HOSTS = "DELETE FROM autocron_hosts WHERE seen_at < now() - interval '1 day'"
# The one question to a table of procrastinate's.
LOST_TICKETS = f"""
SELECT id, queue, priority, run_at {FROM}
WHERE {TO_RUN} AND ticket IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM procrastinate_jobs AS job
    WHERE job.id = tasks.ticket AND job.status IN ('todo', 'doing')
)
ORDER BY seq LIMIT %s"""
BUSY_UNTIL = "SELECT free_at FROM autocron_busy_rates WHERE rate_key = %s AND free_at > %s"
