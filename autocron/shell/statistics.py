"""What the database knows of the past: how much has ended, how long it waited and ran."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Dict, List, Optional, Sequence, Tuple

from autocron.core.settings import Settings
from autocron.core.task import TaskState
from autocron.core.values import frozen
from autocron.ports import Stats
from autocron.shell.counting import QueueInfo, counted
from autocron.shell.listing import ENDED, Filter
from autocron.shell.local import AskedStore
from autocron.shell.rows import microseconds

# name -> seconds; in growing order.
WINDOWS = {"minute": 60.0, "hour": 3600.0, "day": 86400.0}
# So many of what succeeded, failed or was cancelled are looked at, the latest; each takes 2 µs.
MOST_READ = 20_000


@frozen
class Ended:
    """How many tasks have ended within a time, by what became of them."""

    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0

    @property
    def count(self) -> int:
        """All of them."""
        return self.succeeded + self.failed + self.cancelled


@frozen
class Spread:
    """How long something took: half of the tasks at most the one, 95 of 100 at most the other."""

    median_seconds: float
    p95_seconds: float


@frozen
class Figures:
    """The figures of one task function, or of all.

    Attributes:
        ended: What has ended within the last minute, hour and day, by the names of
            :data:`WINDOWS`.
        waited: From due to begun, of the latest attempt of what has succeeded or failed within
            the last day; None if nothing has.
        ran: From begun to ended, of the same.
    """

    ended: Dict[str, Ended]
    waited: Optional[Spread]
    ran: Optional[Spread]


@frozen
class Statistics:
    """What ``--stats`` tells.

    Attributes:
        total: The figures of all tasks.
        tasks: Those of each task function, by name.
        queues: The queues.
        stats: Counts over all tasks.
        result_ttl: For how many seconds results are kept, so how far the figures of what has
            succeeded or was cancelled go back.
        failure_ttl: The same for what has failed.
        most_read: Of each kind at most so many are in the figures, the latest, and more have ended;
            None if all are.
    """

    total: Figures
    tasks: Dict[str, Figures]
    queues: Tuple[QueueInfo, ...]
    stats: Stats
    result_ttl: float
    failure_ttl: float
    most_read: Optional[int] = None


# (state, ended, waited, ran) in microseconds; the latter are None for what never began.
_Row = Tuple[TaskState, int, Optional[int], Optional[int]]


def statistics(store: AskedStore, now: datetime, only: Filter) -> Statistics:
    """Return the figures of what has ended within a day, as far as it is kept."""
    by_name: Dict[str, List[_Row]] = {}
    is_cut = False
    # An age within the filter, and within a day.
    longest = min(only.newer_than_seconds or WINDOWS["day"], WINDOWS["day"])
    within = Filter(only.task, only.queue, only.older_than_seconds, longest)
    for state in ENDED:
        condition, values = within.condition(state, now)
        sql = (
            "SELECT name, finished_at, started_at - run_at, finished_at - started_at "
            f"FROM tasks WHERE {condition} "
            f"ORDER BY finished_at DESC, seq DESC LIMIT {MOST_READ + 1}"
        )
        rows = store.ask("read what has ended", sql, values)
        is_cut = is_cut or len(rows) > MOST_READ
        for name, ended, waited, ran in rows[:MOST_READ]:
            if type(name) is not str or type(ended) is not int:
                continue  # no row of ours
            by_name.setdefault(name, []).append((state, ended, waited, ran))
    found = counted(store, store.paused(), now)
    settings = Settings.read(store.settings())
    everything = [row for one in by_name.values() for row in one]
    return Statistics(
        total=_figures(everything, now),
        tasks={name: _figures(one, now) for name, one in sorted(by_name.items())},
        queues=found.queues,
        stats=found.stats,
        result_ttl=settings.result_ttl,
        failure_ttl=settings.failure_ttl,
        most_read=MOST_READ if is_cut else None,
    )


def _figures(rows: Sequence[_Row], now: datetime) -> Figures:
    ended = {}
    for window, seconds in WINDOWS.items():
        since = microseconds(now - timedelta(seconds=seconds))
        states = [state for state, at, _, _ in rows if at > since]
        ended[window] = Ended(*(states.count(state) for state in ENDED))
    return Figures(
        ended=ended,
        # Under a clock that was set back it may have begun before it was due.
        waited=_spread([max(row[2], 0) for row in rows if row[2] is not None and _has_run(row)]),
        ran=_spread([row[3] for row in rows if row[3] is not None and _has_run(row)]),
    )


def _has_run(row: _Row) -> bool:
    # What was cancelled may have run long before, if at all.
    return row[0] is not TaskState.CANCELLED


def _spread(taken: List[int]) -> Optional[Spread]:
    if not taken:
        return None
    taken.sort()
    # The nearest rank: a time that some task really took.
    half, most = (taken[-(-len(taken) * part // 100) - 1] for part in (50, 95))
    return Spread(half / 1e6, most / 1e6)
