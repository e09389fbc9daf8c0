"""How many tasks there are: of each state, and in each queue.

A count is a walk along the index that has just what is counted: 20 to 55 ms for a million. All
tasks are counted by pages: 45 ms for three million. So what is few is counted first; of what is
many one is what is left of all, and the others are walked along at once, on as many processors as
there are.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from functools import partial
from typing import Any, Dict, FrozenSet, Iterable, List, Optional, Tuple

from autocron.core.task import ALL_QUEUES, TaskState
from autocron.core.values import frozen
from autocron.ports import Stats
from autocron.shell.at_once import at_once
from autocron.shell.listing import ENDED, WALK, queue_of
from autocron.shell.local import AskedStore
from autocron.shell.queries import COUNT, STATE
from autocron.shell.rows import MAX_INSTANT, MIN_INSTANT, instant, microseconds

# Along `tasks_to_run`, which has all that it needs.
_ANY = "tasks WHERE state = 'waiting' AND after_id IS NULL AND lane = {lane}"
_LATER, _DUE = f"{_ANY} AND run_at > :now", f"{_ANY} AND run_at <= :now"
_FEW = "(SELECT count(*) FROM (SELECT 1 FROM {} LIMIT :few) AS first_few)"
_LANES = f"""{WALK}
SELECT lane, {_FEW.format(_LATER.format(lane="walk.lane"))},
    {_FEW.format(_DUE.format(lane="walk.lane"))},
    (SELECT min(run_at) FROM {_DUE.format(lane="walk.lane")})
FROM walk WHERE lane IS NOT NULL"""
_LANES_ONLY = f"""{WALK}
SELECT lane, {_FEW.format(_ANY.format(lane="walk.lane"))} FROM walk WHERE lane IS NOT NULL"""
_ENDED = {state: f"tasks WHERE {STATE[state]}" for state in ENDED}
_ENDED_ALL = {_ENDED[state]: f"SELECT {COUNT[state]}" for state in ENDED}
_ENDED_FEW = f"SELECT {', '.join(_FEW.format(_ENDED[state]) for state in ENDED)}"
_HELD = """
SELECT queue, count(*) FROM tasks WHERE state = 'waiting' AND after_id IS NOT NULL GROUP BY queue"""
_RUNNING = "SELECT queue, count(*) FROM tasks WHERE state = 'running' GROUP BY queue"
# All tasks, which SQLite counts by pages, and not by rows; without rows that are no tasks, which
# are in no known state.
_NAMES = sorted(state.value for state in ENDED)
_STRANGE = [
    f"SELECT count(*) FROM tasks WHERE state <> 'waiting' AND state <> 'running' AND {gap}"
    for gap in (
        f"state < '{_NAMES[0]}'",
        *(f"state > '{low}' AND state < '{high}'" for low, high in zip(_NAMES, _NAMES[1:])),
        f"state > '{_NAMES[-1]}'",
    )
]
_ALL = f"SELECT (SELECT count(*) FROM tasks) {''.join(f' - ({one})' for one in _STRANGE)}"
_OTHERS = f"""SELECT (SELECT count(*) FROM tasks WHERE state <> 'waiting' AND state <> 'running')
    + {COUNT[TaskState.RUNNING]}"""
# What is less than this is counted first, in a quarter of a millisecond; it needs no thread.
FEW = 5_000
# What is counted: a table with its condition, and a lane.
_Part = Tuple[str, Any]


@frozen
class QueueInfo:
    """A queue, and what is in it.

    Attributes:
        name: Its name.
        is_paused: Whether it is paused, by itself or with all others.
        waiting: How many tasks wait in it, those that are held included.
        due: How many of them are due.
        held: How many of them wait for another task.
        running: How many of its tasks run.
        oldest_due_at: When the longest-waiting due task became due; None if nothing is due.
    """

    name: str
    is_paused: bool
    waiting: int = 0
    due: int = 0
    held: int = 0
    running: int = 0
    oldest_due_at: Optional[datetime] = None


@frozen
class Counted:
    """How many tasks there are.

    Attributes:
        stats: Of each state, and since when the oldest due one has waited.
        queues: In each queue in which something waits or runs, and in those that are paused, by
            name.
    """

    stats: Stats
    queues: Tuple[QueueInfo, ...]


def counted(store: AskedStore, paused: FrozenSet[str], now: datetime) -> Counted:
    """Count the tasks.

    Arguments:
        store: The database.
        paused: The queues that are paused.
        now: The instant up to which a waiting task is due.
    """
    held = _added_up(store.ask("count what is held", _HELD))
    running = _added_up(store.ask("count what runs", _RUNNING))
    values = {"now": microseconds(now), "few": FEW}
    lanes = store.ask("count what waits", _LANES, values)
    (few,) = store.ask("count what has ended", _ENDED_FEW, {"few": FEW})
    counts: Dict[_Part, int] = {(_ENDED[state], None): count for state, count in zip(ENDED, few)}
    for lane, later, due, _ in lanes:
        counts[_LATER, lane], counts[_DUE, lane] = later, due
    _count_large(store, counts, values, sum(held.values()) + sum(running.values()))
    waits: Counter[Any] = Counter(held)
    due_now: Counter[Any] = Counter()
    since: Dict[Any, List[int]] = {}
    for lane, _, _, first in lanes:
        queue, due = queue_of(lane), counts[_DUE, lane]
        due_now[queue] += due
        waits[queue] += due + counts[_LATER, lane]
        if type(first) is int and MIN_INSTANT <= first <= MAX_INSTANT:
            since.setdefault(queue, []).append(first)
    found = []
    # Rows that are no tasks are in none; who claims, or lists, sets them aside.
    names = {name for name in {*waits, *running} if isinstance(name, str)}
    for name in sorted((names | paused) - {ALL_QUEUES}):
        found.append(
            QueueInfo(
                name=name,
                is_paused=name in paused or ALL_QUEUES in paused,
                waiting=waits[name],
                due=due_now[name],
                held=held[name],
                running=running[name],
                oldest_due_at=instant(min(since[name])) if name in since else None,
            )
        )
    of_states = {state: counts[_ENDED[state], None] for state in ENDED}
    of_states[TaskState.WAITING] = sum(waits.values())
    of_states[TaskState.RUNNING] = sum(running.values())
    oldest = min((first for one in since.values() for first in one), default=None)
    stats = Stats(
        counts={state: of_states[state] for state in TaskState},
        oldest_due_at=None if oldest is None else instant(oldest),
    )
    return Counted(stats, tuple(found))


def _count_large(
    store: AskedStore, counts: Dict[_Part, int], values: Dict[str, Any], others: int
) -> None:
    """Count what is not few; one of them is what is left of all tasks."""
    large = [part for part, count in counts.items() if count >= FEW]
    if not large:
        return
    # Of what waits, if any of it is large: that takes twice as long as what has ended.
    *walked, left = large
    every, *found = at_once(
        lambda: store.ask("count the tasks", _ALL)[0][0],
        *(partial(_walk, store, part, values) for part in reversed(walked)),
    )
    counts.update(zip(reversed(walked), found))
    rest = every - others - sum(count for part, count in counts.items() if part != left)
    # What happened while they were counted may be in several of them, or in none.
    counts[left] = max(rest, FEW)


def _walk(store: AskedStore, part: _Part, values: Dict[str, Any]) -> int:
    of, lane = part
    sql = _ENDED_ALL.get(of) or f"SELECT count(*) FROM {of.format(lane=':lane')}"
    count: int = store.ask("count the tasks", sql, {**values, "lane": lane})[0][0]
    return count


def waiting(store: AskedStore) -> int:
    """Return how many tasks wait: what is left of all."""
    doing = "count what waits"
    if not store.ask(doing, "SELECT 1 FROM tasks LIMIT 1 OFFSET :few", {"few": FEW}):
        return int(store.ask(doing, f"SELECT {COUNT[TaskState.WAITING]}")[0][0])
    every: int
    others: int
    every, others = at_once(
        lambda: store.ask(doing, "SELECT count(*) FROM tasks")[0][0],
        lambda: store.ask(doing, _OTHERS)[0][0],
    )
    # What ends, or comes, while both are counted may be in one of them only.
    return max(every - others, 0)


def waiting_in(store: AskedStore, queue: str) -> int:
    """Return how many tasks wait in a queue, those that are held included."""
    doing, values = "count what waits", {"few": FEW}
    held = _added_up(store.ask("count what is held", _HELD))
    counts: Dict[Any, int] = dict(store.ask(doing, _LANES_ONLY, values))
    mine = [lane for lane in counts if queue_of(lane) == queue]
    large = [lane for lane in mine if counts[lane] >= FEW]
    others = sum(held.values()) + sum(counts[lane] for lane in counts if lane not in mine)
    if large and all(counts[lane] < FEW for lane in counts if lane not in mine):
        # What is left of all that waits takes two thirds of the time.
        return max(waiting(store) - others, FEW) + held[queue]
    walks = (partial(_walk, store, (_ANY, lane), {}) for lane in large)
    counts.update(zip(large, at_once(*walks)))
    return sum(counts[lane] for lane in mine) + held[queue]


def _added_up(rows: Iterable[Tuple[Any, int]]) -> Counter[Any]:
    """Add up counts that belong to the same name."""
    found: Counter[Any] = Counter()
    for name, count in rows:
        found[name] += count
    return found
